//! How a backend is spoken to over TLS, and how it proves who it is (BackendTLSPolicy, `XBackend.spec.tls`).
//!
//! In: what a policy or an XBackend asks for, its authorities read. Out: all that a handshake needs, as data, and the question which
//! names prove an identity. Checking a chain of certificates, its dates included, is the business of whoever shakes hands.
//!
//! Where TLS of a client passes through (TLSRoute, Passthrough), its own handshake reaches the backend and none of this is done.

use std::sync::Arc;

use super::fingerprint::Fingerprint;
use super::listener::{Certificate, Listener, TlsOptions};
use super::trust::TrustSet;
use crate::name::ObjectName;

/// Whether a backend is spoken to over TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Security {
    /// It is not.
    Clear,
    /// It is; nothing may be sent in clear.
    Tls(Arc<BackendTls>),
    /// It should be, and cannot: nothing may be sent. The text says why.
    Broken(Arc<str>),
}

/// TLS to a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendTls {
    /// Who the backend has to be, and who we are.
    pub identity: Arc<BackendIdentity>,
    /// What to offer (ALPN), the preferred first; nothing when empty. Where several are offered, what is negotiated is spoken.
    pub alpn: &'static [&'static str],
    /// Gateways for which nothing may be sent, sorted: their policy's status has no room to say that it is in force for them.
    pub barred: Arc<[ObjectName]>,
    /// Equal for equal handshakes.
    pub fingerprint: Fingerprint,
}

impl BackendTls {
    /// TLS with this identity, offering these protocols.
    pub fn new(identity: Arc<BackendIdentity>, alpn: &'static [&'static str]) -> Self {
        let BackendIdentity { server_name, names, trust, presents, options } = &*identity;
        let trust = match trust {
            Trust::System => "system".to_owned(),
            Trust::Set(set) => set.fingerprint.to_string(),
        };
        let presents = match presents {
            Presents::Gateways => "gateway".to_owned(),
            Presents::Nothing => "nothing".to_owned(),
            Presents::Own(certificate) => certificate.fingerprint.to_string(),
        };
        let content = [server_name.to_string(), format!("{names:?}"), trust, presents, format!("{options:?}"), alpn.join(",")];
        Self { fingerprint: Fingerprint::of(content), barred: Arc::from([]), identity, alpn }
    }

    /// What is presented for traffic of a listener, where the backend asks for a certificate.
    pub fn certificate<'a>(&'a self, listener: &'a Listener) -> Option<&'a Arc<Certificate>> {
        match &self.identity.presents {
            Presents::Gateways => listener.client_certificate.as_ref(),
            Presents::Nothing => None,
            Presents::Own(certificate) => Some(certificate),
        }
    }

    /// Which connections may be used for traffic of a listener.
    pub fn pool_key(&self, listener: &Listener) -> PoolKey {
        let certificate = self.certificate(listener).map(|certificate| certificate.fingerprint);
        PoolKey { handshake: self.fingerprint, certificate, gateway: listener.gateway.clone() }
    }
}

/// What connections to an endpoint have to have in common to be used for each other's requests: whom they were made for, what was
/// asked and what was presented. None is ever shared by two Gateways (GEP-3155).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PoolKey {
    /// `BackendTls::fingerprint`.
    pub handshake: Fingerprint,
    /// Of the certificate that was presented, if any.
    pub certificate: Option<Fingerprint>,
    /// The Gateway.
    pub gateway: ObjectName,
}

/// Who a backend has to be, and who we are to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendIdentity {
    /// The name to ask for (SNI), in lower case.
    pub server_name: Arc<str>,
    /// Names of which the certificate must hold one.
    pub names: Box<[PeerName]>,
    /// Who must have signed it.
    pub trust: Trust,
    /// What we present.
    pub presents: Presents,
    /// How TLS is spoken.
    pub options: TlsOptions,
}

impl BackendIdentity {
    /// Whether a certificate that holds these names has one that was asked for.
    ///
    /// A `*` stands for one label, in a certificate as in what was asked for; a name with `*` in both is proven by itself.
    pub fn is_proven_by<'n>(&self, held: impl IntoIterator<Item = CertifiedName<'n>>) -> bool {
        held.into_iter().any(|held| self.names.iter().any(|name| name.is_proven_by(held)))
    }
}

/// A name that a certificate may have to hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PeerName {
    /// A host in lower case, exact or `*.suffix`.
    Host(Box<str>),
    /// A URI, compared as it stands.
    Uri(Box<str>),
}

/// A name that a certificate holds (`subjectAltName`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertifiedName<'a> {
    /// `dNSName`.
    Dns(&'a str),
    /// `uniformResourceIdentifier`.
    Uri(&'a str),
}

impl PeerName {
    fn is_proven_by(&self, held: CertifiedName<'_>) -> bool {
        match (self, held) {
            (Self::Host(wanted), CertifiedName::Dns(held)) => {
                wanted.eq_ignore_ascii_case(held) || covers(wanted, held) || covers(held, wanted)
            }
            (Self::Uri(wanted), CertifiedName::Uri(held)) => **wanted == *held,
            (Self::Host(_), CertifiedName::Uri(_)) | (Self::Uri(_), CertifiedName::Dns(_)) => false,
        }
    }
}

/// Whether `*.suffix` stands for a host that has one label more than the suffix.
fn covers(pattern: &str, host: &str) -> bool {
    let Some(suffix) = pattern.strip_prefix("*.") else { return false };
    host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && label != "*" && rest.eq_ignore_ascii_case(suffix))
}

/// Whom to trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The authorities that the data plane's system trusts.
    System,
    /// These.
    Set(Arc<TrustSet>),
}

/// What certificate is presented to a backend that asks for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presents {
    /// That of the Gateway, where it has one (`Listener::client_certificate`).
    Gateways,
    /// None.
    Nothing,
    /// This one.
    Own(Arc<Certificate>),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(names: &[PeerName]) -> BackendIdentity {
        BackendIdentity {
            server_name: "abc.example.com".into(),
            names: names.into(),
            trust: Trust::System,
            presents: Presents::Gateways,
            options: TlsOptions::default(),
        }
    }

    #[test]
    fn a_certificate_proves_an_identity_when_it_holds_any_of_the_names() {
        let host = |name: &str| PeerName::Host(name.into());
        let uri = |name: &str| PeerName::Uri(name.into());
        let (dns, spiffe) = (CertifiedName::Dns, CertifiedName::Uri("spiffe://abc.example.com/test-identity"));
        let rows: [(&[PeerName], &[CertifiedName<'_>], bool); 14] = [
            (&[host("a.example.com")], &[dns("a.example.com")], true),
            (&[host("a.example.com")], &[dns("A.Example.com")], true),
            (&[host("a.example.com")], &[dns("*.example.com")], true),
            (&[host("a.b.example.com")], &[dns("*.example.com")], false),
            (&[host("example.com")], &[dns("*.example.com")], false),
            (&[host("*.example.com")], &[dns("a.example.com")], true),
            (&[host("*.example.com")], &[dns("a.b.example.com")], false),
            (&[host("*.example.com")], &[dns("*.example.com")], true),
            (&[host("*.com")], &[dns("*.example.com")], false),
            (&[host("x.y"), host("z.y")], &[dns("a.y"), dns("z.y")], true),
            (&[uri("spiffe://abc.example.com/test-identity")], &[dns("x.y"), spiffe], true),
            (&[uri("spiffe://abc.example.com/other")], &[spiffe], false),
            (&[host("a.example.com")], &[spiffe], false),
            (&[host("a.example.com")], &[], false),
        ];
        for (wanted, held, is_proven) in rows {
            assert_eq!(identity(wanted).is_proven_by(held.iter().copied()), is_proven, "{wanted:?} by {held:?}");
        }
    }

    #[test]
    fn equal_content_has_an_equal_fingerprint_and_any_difference_another() {
        let tls = |identity, alpn| BackendTls::new(Arc::new(identity), alpn);
        let one = identity(&[PeerName::Host("a.b".into())]);
        assert_eq!(tls(one.clone(), &["h2"]), tls(one.clone(), &["h2"]));
        let others = [
            tls(one.clone(), &["h2", "http/1.1"]),
            tls(BackendIdentity { server_name: "x.y".into(), ..one.clone() }, &["h2"]),
            tls(BackendIdentity { presents: Presents::Nothing, ..one.clone() }, &["h2"]),
            tls(identity(&[PeerName::Uri("a.b".into())]), &["h2"]),
        ];
        for other in others {
            assert_ne!(tls(one.clone(), &["h2"]).fingerprint, other.fingerprint);
        }
    }
}
