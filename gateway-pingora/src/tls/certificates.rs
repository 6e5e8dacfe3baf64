//! Server configurations made from certificate sets, and the choice among the certificates of one set.
//!
//! In: certificate sets as the compiler checked them. Out: one rustls configuration per content, with the certificate that fits the
//! server name and the key types the client knows.
//!
//! Invariants: a configuration lives as long as a snapshot holds a set of its content.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{self, Ticketer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use gateway_core::snapshot::{Certificate, CertificateSet, Fingerprint};

/// Server configurations by the content of their certificate sets.
pub(crate) struct Certificates {
    provider: Arc<CryptoProvider>,
    configs: Mutex<HashMap<(Fingerprint, Speaks), Made>>,
}

/// What is spoken over TLS that ends here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Speaks {
    /// HTTP of the version that is negotiated.
    Http,
    /// Whatever client and backend agree upon: nothing is negotiated for them.
    Bytes,
}

struct Made {
    of: Weak<CertificateSet>,
    config: Arc<ServerConfig>,
}

impl Default for Certificates {
    fn default() -> Self {
        Self { provider: Arc::new(ring::default_provider()), configs: Mutex::default() }
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").finish_non_exhaustive()
    }
}

impl Certificates {
    /// The configuration for a set; `None` where rustls accepts none of its keys.
    pub(super) fn config(&self, set: &Arc<CertificateSet>, speaks: Speaks) -> Option<Arc<ServerConfig>> {
        let mut configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = configs.get_mut(&(set.fingerprint, speaks)) {
            if made.of.strong_count() == 0 {
                made.of = Arc::downgrade(set);
            }
            return Some(Arc::clone(&made.config));
        }
        let config = Arc::new(self.make(set, speaks)?);
        configs.insert((set.fingerprint, speaks), Made { of: Arc::downgrade(set), config: Arc::clone(&config) });
        Some(config)
    }

    /// Lets go of configurations whose sets no snapshot holds.
    pub(crate) fn sweep(&self) {
        let mut configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        configs.retain(|_, made| made.of.strong_count() > 0);
    }

    fn make(&self, set: &CertificateSet, speaks: Speaks) -> Option<ServerConfig> {
        let choices: Box<[Choice]> = set.certificates.iter().filter_map(|certificate| self.choice(certificate)).collect();
        if choices.is_empty() {
            return None;
        }
        let builder = ServerConfig::builder_with_provider(Arc::clone(&self.provider));
        let builder = match builder.with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12]) {
            Ok(builder) => builder,
            Err(error) => {
                tracing::error!(%error, "cannot set up TLS");
                return None;
            }
        };
        let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(Choices(choices)));
        config.alpn_protocols = match speaks {
            Speaks::Http => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            Speaks::Bytes => Vec::new(),
        };
        match Ticketer::new() {
            Ok(ticketer) => config.ticketer = ticketer,
            Err(error) => tracing::warn!(%error, "sessions are kept in memory: no tickets"),
        }
        Some(config)
    }

    fn choice(&self, certificate: &Certificate) -> Option<Choice> {
        match self.provider.key_provider.load_private_key(certificate.key.clone_key()) {
            Ok(key) => {
                let key = Arc::new(CertifiedKey::new(certificate.chain.clone(), key));
                Some(Choice { names: certificate.names.clone(), key })
            }
            Err(error) => {
                tracing::warn!(secret = %certificate.secret, %error, "this key cannot be used");
                None
            }
        }
    }
}

/// One certificate to choose.
#[derive(Debug)]
struct Choice {
    names: Box<[Box<str>]>,
    key: Arc<CertifiedKey>,
}

impl Choice {
    fn fits(&self, server_name: &str) -> Fit {
        if self.names.iter().any(|name| name.eq_ignore_ascii_case(server_name)) {
            return Fit::Exact;
        }
        let Some((_, suffix)) = server_name.split_once('.') else { return Fit::No };
        let is_wildcard = |name: &str| name.strip_prefix("*.").is_some_and(|known| known.eq_ignore_ascii_case(suffix));
        if self.names.iter().any(|name| is_wildcard(name)) { Fit::Wildcard } else { Fit::No }
    }
}

/// How well a certificate fits a name; greater is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    No,
    Wildcard,
    Exact,
}

/// The certificates of a set, in its order.
#[derive(Debug)]
struct Choices(Box<[Choice]>);

impl ResolvesServerCert for Choices {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().unwrap_or("");
        let signs = |choice: &&Choice| choice.key.key.choose_scheme(hello.signature_schemes()).is_some();
        let mut best: Option<(Fit, &Choice)> = None;
        for choice in self.0.iter().filter(signs) {
            let fit = choice.fits(name);
            if best.is_none_or(|(known, _)| fit > known) {
                best = Some((fit, choice));
            }
        }
        best.map(|(_, choice)| choice).or_else(|| self.0.first()).map(|choice| Arc::clone(&choice.key))
    }
}
