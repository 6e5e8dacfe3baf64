//! TLS to backends: who has to answer, and who we are to it (BackendTLSPolicy, `XBackend.spec.tls`, `Gateway.spec.tls.backend`).
//!
//! In: what core decided about a backend, and the certificate that its Gateway presents. Out: one `BackendHandshake` for each
//! content: a rustls configuration that accepts exactly what was asked for, and the same in the words of Pingora's connector.
//!
//! Pingora's connector checks the chain and the name that is asked for (SNI), and tells of the certificate its digest and no names.
//! Where the policy states other names, they are read in a handshake of our own with the same endpoint; from then on a certificate
//! is known by its digest. What was negotiated is checked too, since the connector takes neither versions nor suites.
//!
//! Invariants: **no request is sent before the endpoint has proven what was asked of it**; a handshake is kept as long as a snapshot
//! holds its content.

mod verifier;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::panic::catch_unwind;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};

use pingora_core::protocols::tls::SslDigest;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::utils::tls::{CertKey, WrappedX509, parse_x509};
use ring::digest::{SHA256, digest};
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use gateway_core::snapshot::{BackendIdentity, BackendTls, Certificate, Listener, PeerName, PoolKey, TlsVersion, Trust};

use verifier::Verifier;

/// Handshakes by their content: what is asked, what is presented, and for which Gateway. No session is resumed by another.
pub(crate) struct BackendHandshakes {
    provider: Arc<CryptoProvider>,
    /// The authorities that the system trusts, read when first asked for.
    system: OnceLock<Arc<RootCertStore>>,
    made: RwLock<HashMap<PoolKey, Made>>,
}

type Outcome = Result<Arc<BackendHandshake>, Arc<str>>;

struct Made {
    tls: Weak<BackendTls>,
    certificate: Option<Weak<Certificate>>,
    outcome: Outcome,
}

impl Default for BackendHandshakes {
    fn default() -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Self { provider, system: OnceLock::new(), made: RwLock::default() }
    }
}

impl fmt::Debug for BackendHandshakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackendHandshakes").finish_non_exhaustive()
    }
}

impl BackendHandshakes {
    /// The handshake with a backend for traffic of a listener.
    ///
    /// # Errors
    /// Why there can be none: nothing is sent.
    pub(crate) fn handshake(&self, tls: &Arc<BackendTls>, listener: &Listener) -> Outcome {
        let certificate = tls.certificate(listener);
        let content = tls.pool_key(listener);
        if let Some(made) = read(&self.made).get(&content).filter(|made| made.is_held()) {
            return made.outcome.clone();
        }
        let former = read(&self.made).get(&content).map(|made| made.outcome.clone());
        let outcome = former.unwrap_or_else(|| self.make(tls, certificate).map(Arc::new));
        let (tls, certificate) = (Arc::downgrade(tls), certificate.map(Arc::downgrade));
        write(&self.made).insert(content, Made { tls, certificate, outcome: outcome.clone() });
        outcome
    }

    /// Lets go of handshakes whose content no snapshot holds.
    pub(crate) fn sweep(&self) {
        write(&self.made).retain(|_, made| made.is_held());
    }

    fn make(&self, tls: &BackendTls, certificate: Option<&Arc<Certificate>>) -> Result<BackendHandshake, Arc<str>> {
        let identity = Arc::clone(&tls.identity);
        let server_name = ServerName::try_from(identity.server_name.to_string())
            .map_err(|_| format!("{} cannot be asked for as a server name", identity.server_name))?;
        let config = self.config(&identity, certificate).map_err(|error| format!("TLS cannot be set up: {error}"))?;
        let offering = |protocols: &[&str]| {
            let mut config = config.clone();
            config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
            config
        };
        let mut look = offering(tls.alpn);
        look.resumption = Resumption::disabled();
        Ok(BackendHandshake {
            server_name,
            config: Arc::new(offering(tls.alpn)),
            upgrade: Arc::new(offering(&["http/1.1"])),
            look: Arc::new(look),
            alpn: tls.alpn,
            ca: authorities(&identity.trust)?,
            certificate: certificate.map(|certificate| cert_key(certificate)).transpose()?,
            is_proven_by_name: *identity.names == [PeerName::Host((&*identity.server_name).into())],
            proven: Mutex::default(),
            identity,
        })
    }

    fn config(
        &self,
        identity: &Arc<BackendIdentity>,
        certificate: Option<&Arc<Certificate>>,
    ) -> Result<ClientConfig, rustls::Error> {
        let mut provider = CryptoProvider::clone(&self.provider);
        let wanted = &identity.options.cipher_suites;
        if !wanted.is_empty() {
            let known = |wanted| self.provider.cipher_suites.iter().find(|known| known.suite() == wanted).copied();
            provider.cipher_suites = wanted.iter().copied().filter_map(known).collect();
        }
        let versions: &[&SupportedProtocolVersion] = match identity.options.minimum_version {
            TlsVersion::V1_2 => &[&rustls::version::TLS13, &rustls::version::TLS12],
            TlsVersion::V1_3 => &[&rustls::version::TLS13],
        };
        let algorithms = provider.signature_verification_algorithms;
        let verifier = Verifier { identity: Arc::clone(identity), roots: self.roots(&identity.trust), algorithms };
        let builder = ClientConfig::builder_with_provider(Arc::new(provider)).with_protocol_versions(versions)?;
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
        match certificate {
            Some(certificate) => builder.with_client_auth_cert(certificate.chain.clone(), certificate.key.clone_key()),
            None => Ok(builder.with_no_client_auth()),
        }
    }

    fn roots(&self, trust: &Trust) -> Arc<RootCertStore> {
        match trust {
            Trust::System => Arc::clone(self.system.get_or_init(|| Arc::new(system_roots()))),
            Trust::Set(set) => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(set.roots.iter().cloned());
                Arc::new(roots)
            }
        }
    }
}

impl Made {
    fn is_held(&self) -> bool {
        let is_gone = |certificate: &Weak<Certificate>| certificate.strong_count() == 0;
        self.tls.strong_count() > 0 && !self.certificate.as_ref().is_some_and(is_gone)
    }
}

/// What a handshake with a backend takes, and which certificates were seen to satisfy it.
pub(crate) struct BackendHandshake {
    identity: Arc<BackendIdentity>,
    server_name: ServerName<'static>,
    config: Arc<ClientConfig>,
    /// The same for a connection that is to be upgraded, which HTTP/2 has no way for.
    upgrade: Arc<ClientConfig>,
    /// The same for a look at the certificate, which a resumed session would not show.
    look: Arc<ClientConfig>,
    alpn: &'static [&'static str],
    /// Whom Pingora is to trust; whom the system does when absent.
    ca: Option<Arc<[WrappedX509]>>,
    certificate: Option<Arc<CertKey>>,
    /// Whether the name that is asked for is the one to prove, as Pingora checks it.
    is_proven_by_name: bool,
    /// Digests of certificates that hold a name that was asked for.
    proven: Mutex<HashSet<Box<[u8]>>>,
}

impl fmt::Debug for BackendHandshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackendHandshake").field("server_name", &self.identity.server_name).finish_non_exhaustive()
    }
}

/// What a connection that we make ourselves is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aim {
    /// What the backend speaks.
    Speak,
    /// A request for an upgrade.
    Upgrade,
    /// The certificate.
    Look,
}

impl BackendHandshake {
    /// A peer to which Pingora connects in this way. What it cannot check is left to `check`.
    pub(crate) fn peer(&self, address: SocketAddr) -> HttpPeer {
        let mut peer = HttpPeer::new(address, true, self.identity.server_name.to_string());
        peer.options.ca.clone_from(&self.ca);
        peer.client_cert_key.clone_from(&self.certificate);
        peer.options.verify_hostname = self.is_proven_by_name;
        let (least, most) = match (self.alpn.contains(&"http/1.1"), self.alpn.contains(&"h2")) {
            (true, true) => (1, 2),
            (false, true) => (2, 2),
            (_, false) => (1, 1),
        };
        peer.options.set_http_version(most, least);
        peer
    }

    /// Whether an endpoint that Pingora is connected to has proven what was asked of it.
    ///
    /// # Errors
    /// Why it has not.
    pub(crate) async fn check(&self, address: SocketAddr, met: &SslDigest) -> Result<(), String> {
        let options = &self.identity.options;
        if options.minimum_version == TlsVersion::V1_3 && Some(&*met.version) != ProtocolVersion::TLSv1_3.as_str() {
            return Err(format!("{} was negotiated, which is too old", met.version));
        }
        let is_wanted = |suite: &rustls::CipherSuite| suite.as_str() == Some(&*met.cipher);
        if !options.cipher_suites.is_empty() && !options.cipher_suites.iter().any(is_wanted) {
            return Err(format!("{} was negotiated, which may not be used", met.cipher));
        }
        if self.is_proven_by_name || self.knows(&met.cert_digest) {
            return Ok(());
        }
        // An endpoint with several certificates may show another one; a few handshakes meet all of them.
        for _ in 0..LOOKS {
            let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
            let stream = self.shake(stream, Aim::Look).await.map_err(|error| error.to_string())?;
            let leaf = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
            let leaf = leaf.ok_or("it showed no certificate")?;
            self.learn(digest(&SHA256, leaf).as_ref());
            if self.knows(&met.cert_digest) {
                return Ok(());
            }
        }
        Err("it shows another certificate every time".to_owned())
    }

    /// The handshake itself, over a connection of ours. It succeeds only with an endpoint that has proven what was asked of it.
    pub(crate) async fn shake(&self, stream: TcpStream, aim: Aim) -> io::Result<TlsStream<TcpStream>> {
        let config = match aim {
            Aim::Speak => &self.config,
            Aim::Upgrade => &self.upgrade,
            Aim::Look => &self.look,
        };
        TlsConnector::from(Arc::clone(config)).connect(self.server_name.clone(), stream).await
    }

    fn knows(&self, digest: &[u8]) -> bool {
        self.proven.lock().unwrap_or_else(PoisonError::into_inner).contains(digest)
    }

    fn learn(&self, digest: &[u8]) {
        let mut proven = self.proven.lock().unwrap_or_else(PoisonError::into_inner);
        if proven.len() >= KNOWN {
            // What is still in use will be learnt again.
            proven.clear();
        }
        proven.insert(digest.into());
    }
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// The authorities that the system trusts: those that Pingora's connector reads too.
fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    match rustls_native_certs::load_native_certs() {
        Ok(certificates) => {
            let (_, unreadable) = roots.add_parsable_certificates(certificates);
            if roots.is_empty() || unreadable > 0 {
                tracing::warn!(trusted = roots.len(), unreadable, "authorities that the system trusts");
            }
        }
        Err(error) => tracing::error!(%error, "the system's authorities cannot be read: it trusts none"),
    }
    roots
}

/// Authorities as Pingora takes them.
fn authorities(trust: &Trust) -> Result<Option<Arc<[WrappedX509]>>, Arc<str>> {
    let Trust::Set(set) = trust else { return Ok(None) };
    let read = || set.roots.iter().map(|root| WrappedX509::new(root.to_vec(), parse_x509)).collect();
    // Pingora's parser panics where ours reads a certificate that its does not.
    catch_unwind(read).map(Some).map_err(|_| "an authority cannot be read by the connector".into())
}

/// A certificate with its key as Pingora takes it.
fn cert_key(certificate: &Certificate) -> Result<Arc<CertKey>, Arc<str>> {
    let why = || Arc::from(format!("the certificate of Secret {} cannot be used by the connector", certificate.secret));
    let key = certificate.key.secret_der().to_vec();
    // The connector finds out the format of a key by its content, and relies on that.
    PrivateKeyDer::try_from(key.clone()).map_err(|_| why())?;
    let chain = certificate.chain.iter().map(|certificate| certificate.to_vec()).collect();
    // As for authorities.
    catch_unwind(|| Arc::new(CertKey::new(chain, key))).map_err(|_| why())
}

/// Handshakes in search of a certificate's names.
const LOOKS: usize = 3;
/// Certificates that are known by their digests.
const KNOWN: usize = 256;
