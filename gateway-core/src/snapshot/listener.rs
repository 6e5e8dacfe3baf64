//! A listener as traffic meets it, and what a connection on its socket has to know before a request is read.
//!
//! In: listeners the compiler accepted. Out: a name to match, certificates to serve, settings to obey. The routes it carries
//! stand in its host table.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::CipherSuite;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::filters::ListenerFilter;
use super::fingerprint::Fingerprint;
use super::tracing::Tracing;
use super::trust::TrustSet;
use crate::name::{ObjectId, ObjectName};

/// Which listener: the object that holds it and its name there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerId {
    /// The Gateway or ListenerSet that holds it.
    pub parent: ObjectId,
    /// `spec.listeners[].name`.
    pub name: Arc<str>,
}

impl fmt::Display for ListenerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} listener {}", self.parent, self.name)
    }
}

/// What a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// HTTP/1 and HTTP/2 in clear.
    Http,
    /// HTTP/1 and HTTP/2 over TLS that ends here.
    Https,
    /// Bytes over TLS that ends here.
    TlsTerminate,
    /// TLS that is passed on as it is.
    TlsPassthrough,
    /// Bytes.
    Tcp,
    /// Datagrams.
    Udp,
}

impl Protocol {
    /// Whether requests are read at such a listener.
    pub fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }

    /// Whether TLS ends at such a listener.
    pub fn ends_tls(self) -> bool {
        matches!(self, Self::Https | Self::TlsTerminate)
    }

    /// Whether connections to such a listener begin with a TLS handshake.
    pub fn begins_with_tls(self) -> bool {
        matches!(self, Self::Https | Self::TlsTerminate | Self::TlsPassthrough)
    }
}

/// A listener. One that cannot serve (no usable certificate, no usable authority to check clients with) keeps its place in the name
/// table with `certificates` saying why, so that no other listener answers in its name; connections to it are closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Which one.
    pub id: ListenerId,
    /// The Gateway it belongs to.
    pub gateway: ObjectName,
    /// `hostname` in lower case: exact, `*.suffix`, or `None` for all.
    pub hostname: Option<Arc<str>>,
    /// What it speaks.
    pub protocol: Protocol,
    /// `port`, of which redirects speak.
    pub port: u16,
    /// What to serve where TLS ends here, `None` elsewhere; or why connections are closed.
    pub certificates: Result<Option<Arc<CertificateSet>>, Arc<str>>,
    /// How TLS is spoken where it ends here (`tls.options` under our domain).
    pub tls: TlsOptions,
    /// The client certificates to ask for; `None` for none (`spec.tls.frontend`, GEP-91).
    pub validation: Option<Arc<ClientValidation>>,
    /// What runs for every request, in this order, before any route is looked at (`filters.requests`, GEP-5224); or why requests
    /// are answered 500, as nothing may be let through unfiltered.
    pub filters: Result<Arc<[ListenerFilter]>, Arc<str>>,
    /// What the Gateway presents on TLS connections to backends (`spec.tls.backend`, GEP-3155).
    pub client_certificate: Option<Arc<Certificate>>,
    /// Which requests become spans (XTelemetryPolicy); `None` for what the data plane does where nothing is said.
    pub tracing: Option<Arc<Tracing>>,
    /// The Gateway's settings.
    pub settings: Arc<Settings>,
}

impl Listener {
    /// Whether the listener can carry traffic.
    pub fn is_open(&self) -> bool {
        self.certificates.is_ok()
    }
}

/// How TLS is spoken, as `tls.options` say under our domain. A listener whose options are not of this table is not accepted.
///
/// | option | value |
/// |---|---|
/// | `pingora-gateway.dev/min-tls-version` | `1.2` (as when it is left out) or `1.3` |
/// | `pingora-gateway.dev/tls-cipher-suites` | names of suites as IANA registers them, separated by commas, the preferred first: `TLS_AES_256_GCM_SHA384`, `TLS_AES_128_GCM_SHA256`, `TLS_CHACHA20_POLY1305_SHA256`, and for TLS 1.2 `TLS_ECDHE_ECDSA_WITH_…` and `TLS_ECDHE_RSA_WITH_…` with `AES_256_GCM_SHA384`, `AES_128_GCM_SHA256` or `CHACHA20_POLY1305_SHA256` |
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// The oldest version that is spoken.
    pub minimum_version: TlsVersion,
    /// The suites that may be used, the preferred first; all that the data plane has when empty.
    pub cipher_suites: Box<[CipherSuite]>,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[default]
    V1_2,
    /// TLS 1.3.
    V1_3,
}

/// What a listener asks of client certificates (`FrontendTLSValidation`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientValidation {
    /// Who may have signed them.
    pub trust: Arc<TrustSet>,
    /// Whether a client without a valid one is let in all the same (`AllowInsecureFallback`).
    pub is_optional: bool,
    /// Equal for equal content: what a connection carries to say which validation it passed.
    pub fingerprint: Fingerprint,
}

/// The certificates of one listener, in the order of its certificateRefs. Compared by fingerprint.
#[derive(Debug)]
pub struct CertificateSet {
    /// At least one.
    pub certificates: Box<[Arc<Certificate>]>,
    /// Equal for equal content: a key for server configurations derived from it.
    pub fingerprint: Fingerprint,
}

impl PartialEq for CertificateSet {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for CertificateSet {}

/// A certificate chain with its key, checked to belong together. Prints neither. Compared by fingerprint.
pub struct Certificate {
    /// The Secret it came from.
    pub secret: ObjectName,
    /// Leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's private key.
    pub key: PrivateKeyDer<'static>,
    /// From when the leaf is valid, in seconds since 1970.
    pub not_before: i64,
    /// Until when, that second included.
    pub not_after: i64,
    /// DNS names of the leaf in lower case, wildcards as written.
    pub names: Arc<[Box<str>]>,
    /// Equal for equal content.
    pub fingerprint: Fingerprint,
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint && self.secret == other.secret
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("secret", &self.secret).field("names", &self.names).finish_non_exhaustive()
    }
}

/// What `GatewayParameters` settle, class and Gateway merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Peers whose word on the client's address is believed: their `X-Forwarded-*` headers are kept and extended.
    pub trusted_proxies: Box<[Network]>,
    /// Ports at which the connections of these peers begin with a header of the PROXY protocol.
    pub proxy_protocol: Box<[u16]>,
    /// Whether `//` in a request path is merged to `/` before matching and forwarding.
    pub merge_slashes: bool,
    /// Bytes of a request head, beyond which the answer is 431.
    pub max_header_bytes: usize,
    /// From the first byte of a head, or the start of the connection, to its end.
    pub header_timeout: Duration,
    /// Between two pieces of a request's body.
    pub body_timeout: Duration,
    /// Bytes a second that a body must bring on average, once `body_timeout` was waited for its pieces in all; 0 asks for none.
    pub min_body_rate: u32,
    /// Without a byte taken of what waits for the client.
    pub write_timeout: Duration,
    /// Between requests of one connection.
    pub idle_timeout: Duration,
    /// HTTP/2 frames without content, beyond what a connection's traffic explains.
    pub max_control_frames: u32,
    /// How long connections of a removed listener may finish.
    pub drain_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            trusted_proxies: Box::new([]),
            proxy_protocol: Box::new([]),
            merge_slashes: true,
            max_header_bytes: 64 * 1024,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(60),
            min_body_rate: 100,
            write_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(75),
            max_control_frames: 1000,
            drain_timeout: Duration::from_secs(30),
        }
    }
}

impl Settings {
    /// Whether this peer's word on the client's address is believed.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(peer))
    }

    /// Whether a connection of this peer to this port begins with a header of the PROXY protocol. It has to, then; nobody else's does.
    pub fn expects_proxy_header(&self, port: u16, peer: IpAddr) -> bool {
        self.proxy_protocol.contains(&port) && self.trusts(peer)
    }
}

/// A network in CIDR form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// The network `address/prefix`; `None` when the prefix is longer than the address.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let longest = if address.is_ipv4() { 32 } else { 128 };
        (prefix <= longest).then_some(Self { address, prefix })
    }

    /// Reads `10.0.0.0/8`, or a single address.
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once('/') {
            Some((address, prefix)) => Self::new(address.parse().ok()?, prefix.parse().ok()?),
            None => {
                let address: IpAddr = text.parse().ok()?;
                Self::new(address, if address.is_ipv4() { 32 } else { 128 })
            }
        }
    }

    /// Whether the network holds `address`; an IPv4 address in IPv6 form counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_the_addresses_its_prefix_covers() {
        let holds = |network: &str, address: &str| Network::parse(network).unwrap().contains(address.parse().unwrap());
        assert!(holds("10.0.0.0/8", "10.255.1.2"));
        assert!(!holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("0.0.0.0/0", "203.0.113.9"));
        assert!(holds("127.0.0.1", "::ffff:127.0.0.1"));
        assert!(holds("2001:db8::/32", "2001:db8:1::1"));
        assert!(!holds("::/0", "127.0.0.1"));
        assert_eq!(Network::parse("10.0.0.0/33"), None);
        assert_eq!(Network::parse("ten"), None);
    }
}
