//! Certificate authorities, and what they sign.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, ServerConfig};
use std::sync::Arc;

/// An authority with a name of its own.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key.
pub(crate) struct Signed {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Signs a certificate for these names: a URI where one has a scheme, else a host.
    pub(crate) fn sign(&self, names: &[&str]) -> Signed {
        self.sign_until(names, 4096)
    }

    /// The same, valid until the first of January of this year.
    pub(crate) fn sign_until(&self, names: &[&str], year: i32) -> Signed {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        let san = |name: &&str| match name.contains("://") {
            true => SanType::URI((*name).try_into().unwrap()),
            false => SanType::DnsName((*name).try_into().unwrap()),
        };
        params.subject_alt_names = names.iter().map(san).collect();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Signed { certificate, key }
    }

    fn der(&self) -> CertificateDer<'static> {
        self.0.as_ref().der().clone()
    }

    /// A ConfigMap that holds it.
    pub(crate) fn config_map(&self, name: &str) -> String {
        let pem = self.0.as_ref().pem().replace('\n', "\n    ");
        format!(
            "
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: {name}, namespace: default}}
data:
  ca.crt: |
    {pem}"
        )
    }
}

impl Signed {
    /// A server that shows it and negotiates these protocols.
    pub(crate) fn server(&self, alpn: &[&str]) -> ServerConfig {
        self.server_of(alpn, rustls::DEFAULT_VERSIONS, None)
    }

    /// The same in these versions, asking clients for a certificate of an authority.
    pub(crate) fn server_of(
        &self,
        alpn: &[&str],
        versions: &[&'static rustls::SupportedProtocolVersion],
        clients: Option<&Authority>,
    ) -> ServerConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions).unwrap();
        let builder = match clients {
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.der()).unwrap();
                let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
            None => builder.with_no_client_auth(),
        };
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let mut config = builder.with_single_cert(vec![self.certificate.der().clone()], key).unwrap();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        config
    }

    /// What a client that shows it needs.
    pub(crate) fn to_show(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (vec![self.certificate.der().clone()], PrivateKeyDer::try_from(self.key.serialize_der()).unwrap())
    }

    /// A Secret that holds it.
    pub(crate) fn secret(&self, name: &str) -> String {
        format!(
            "
---
apiVersion: v1
kind: Secret
metadata: {{name: {name}, namespace: default}}
type: kubernetes.io/tls
data: {{tls.crt: {}, tls.key: {}}}",
            STANDARD.encode(self.certificate.pem()),
            STANDARD.encode(self.key.serialize_pem())
        )
    }
}
