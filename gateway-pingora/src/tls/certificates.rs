//! The choice among the certificates of one listener.
//!
//! In: a certificate set as the compiler checked it. Out: for each hello, the certificate that fits the server name and the key types
//! the client knows.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use gateway_core::snapshot::{Certificate, CertificateSet};

/// The certificates of a set, in its order.
#[derive(Debug)]
pub(super) struct Choices(Box<[Choice]>);

impl Choices {
    /// Those of a set whose keys rustls can use; `None` where it can use none.
    pub(super) fn of(set: &CertificateSet, provider: &CryptoProvider) -> Option<Self> {
        let choices: Box<[Choice]> =
            set.certificates.iter().filter_map(|certificate| Choice::of(certificate, provider)).collect();
        (!choices.is_empty()).then_some(Self(choices))
    }
}

/// One certificate to choose.
#[derive(Debug)]
struct Choice {
    names: Arc<[Box<str>]>,
    key: Arc<CertifiedKey>,
}

impl Choice {
    fn of(certificate: &Certificate, provider: &CryptoProvider) -> Option<Self> {
        match provider.key_provider.load_private_key(certificate.key.clone_key()) {
            Ok(key) => {
                let key = Arc::new(CertifiedKey::new(certificate.chain.clone(), key));
                Some(Self { names: Arc::clone(&certificate.names), key })
            }
            Err(error) => {
                tracing::warn!(secret = %certificate.secret, %error, "this key cannot be used");
                None
            }
        }
    }

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
