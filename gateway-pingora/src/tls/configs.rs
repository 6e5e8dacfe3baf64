//! Server configurations: how TLS ends at a listener.
//!
//! In: listeners. Out: one rustls configuration per content of what they say of TLS: certificates, what is asked of clients, versions
//! and suites, and what is spoken within. Sessions are resumed by tickets, under a key of each configuration's own.
//!
//! Invariants: **a ticket that was given where less was asked of the client is worth nothing where more is**; a configuration lives as
//! long as a snapshot holds certificates and validation of its content.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{self, Ticketer};
use rustls::server::NoServerSessionStorage;

use gateway_core::snapshot::{CertificateSet, ClientValidation, Fingerprint, Listener, TlsOptions, TlsVersion};

use super::certificates::Choices;
use super::clients;

/// Server configurations by the content of what listeners say.
pub(crate) struct Configs {
    provider: Arc<CryptoProvider>,
    made: Mutex<HashMap<Fingerprint, Made>>,
}

/// A configuration, and whose content it is of.
struct Made {
    certificates: Weak<CertificateSet>,
    validation: Option<Weak<ClientValidation>>,
    config: Arc<ServerConfig>,
}

impl Made {
    fn new(certificates: &Arc<CertificateSet>, listener: &Listener, config: &Arc<ServerConfig>) -> Self {
        Self {
            certificates: Arc::downgrade(certificates),
            validation: listener.validation.as_ref().map(Arc::downgrade),
            config: Arc::clone(config),
        }
    }

    fn is_in_use(&self) -> bool {
        self.certificates.strong_count() > 0 && self.validation.as_ref().is_none_or(|validation| validation.strong_count() > 0)
    }
}

impl Default for Configs {
    fn default() -> Self {
        Self { provider: Arc::new(ring::default_provider()), made: Mutex::default() }
    }
}

impl fmt::Debug for Configs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Configs").finish_non_exhaustive()
    }
}

impl Configs {
    /// The configuration of a listener; `None` where it has no certificate that rustls can use.
    pub(super) fn of(&self, listener: &Listener) -> Option<Arc<ServerConfig>> {
        let certificates = listener.certificates.as_ref().ok()?.as_ref()?;
        let content = content(certificates, listener);
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = made.get_mut(&content) {
            let config = Arc::clone(&known.config);
            if !known.is_in_use() {
                *known = Made::new(certificates, listener, &config);
            }
            return Some(config);
        }
        let config = Arc::new(self.make(certificates, listener)?);
        made.insert(content, Made::new(certificates, listener, &config));
        Some(config)
    }

    /// Lets go of configurations whose content no snapshot holds.
    pub(crate) fn sweep(&self) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, made| made.is_in_use());
    }

    fn make(&self, certificates: &CertificateSet, listener: &Listener) -> Option<ServerConfig> {
        let choices = Choices::of(certificates, &self.provider)?;
        let failed = |error: &dyn fmt::Display| tracing::error!(listener = %listener.id, %error, "cannot set up TLS");
        let provider = offering(&self.provider, &listener.tls);
        let versions: &[_] = match listener.tls.minimum_version {
            TlsVersion::V1_2 => &[&rustls::version::TLS13, &rustls::version::TLS12],
            TlsVersion::V1_3 => &[&rustls::version::TLS13],
        };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_protocol_versions(versions).inspect_err(|error| failed(error)).ok()?;
        let builder = match &listener.validation {
            None => builder.with_no_client_auth(),
            Some(validation) => {
                let verifier = clients::verifier(validation, &provider);
                builder.with_client_cert_verifier(verifier.inspect_err(|error| failed(error)).ok()?)
            }
        };
        let mut config = builder.with_cert_resolver(Arc::new(choices));
        // What is stated is stated in an order.
        config.ignore_client_order = !listener.tls.cipher_suites.is_empty();
        if listener.protocol.is_http() {
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        }
        match Ticketer::new() {
            Ok(ticketer) => {
                config.ticketer = ticketer;
                config.session_storage = Arc::new(NoServerSessionStorage {});
            }
            Err(error) => tracing::warn!(%error, "sessions are kept in memory: no tickets"),
        }
        Some(config)
    }
}

/// Stands for all that a configuration is made of.
fn content(certificates: &CertificateSet, listener: &Listener) -> Fingerprint {
    let TlsOptions { minimum_version, cipher_suites } = &listener.tls;
    let suites: Vec<u8> = cipher_suites.iter().flat_map(|suite| u16::from(*suite).to_be_bytes()).collect();
    let how = [u8::from(listener.protocol.is_http()), u8::from(*minimum_version == TlsVersion::V1_3)];
    let validation = listener.validation.as_ref().map(|validation| validation.fingerprint);
    let validation = validation.as_ref().map_or(&[][..], AsRef::as_ref);
    Fingerprint::of([certificates.fingerprint.as_ref(), validation, &how, &suites])
}

/// The provider with the suites that are stated, all of its own where none is.
fn offering(provider: &Arc<CryptoProvider>, options: &TlsOptions) -> Arc<CryptoProvider> {
    if options.cipher_suites.is_empty() {
        return Arc::clone(provider);
    }
    let of = |suite| provider.cipher_suites.iter().find(move |known| known.suite() == suite).copied();
    let cipher_suites = options.cipher_suites.iter().filter_map(|suite| of(*suite)).collect();
    Arc::new(CryptoProvider { cipher_suites, ..CryptoProvider::clone(provider) })
}
