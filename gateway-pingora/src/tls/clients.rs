//! What is asked of clients that begin TLS (`FrontendTLSValidation`, GEP-91).
//!
//! In: a validation as the compiler made it. Out: a verifier for rustls. Where it is optional (`AllowInsecureFallback`), a client is
//! asked all the same, and let in with any certificate or with none: nobody learns from it who the client is.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};

use gateway_core::snapshot::ClientValidation;

/// The verifier of a validation.
pub(super) fn verifier(
    validation: &ClientValidation,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, VerifierBuilderError> {
    let mut roots = RootCertStore::empty();
    // The compiler has tried each of them.
    roots.add_parsable_certificates(validation.trust.roots.iter().cloned());
    let names: usize = roots.roots.iter().map(|root| root.subject.len()).sum();
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    if names > LONGEST_HINT {
        builder = builder.clear_root_hint_subjects();
    }
    if !validation.is_optional {
        return builder.build();
    }
    Ok(Arc::new(Anybody(builder.allow_unauthenticated().build()?)))
}

/// Asks for a certificate, and lets anybody in. Whoever shows one must hold its key, as far as that can be told of it.
#[derive(Debug)]
struct Anybody(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for Anybody {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        lenient(self.0.verify_tls12_signature(message, certificate, signed))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        lenient(self.0.verify_tls13_signature(message, certificate, signed))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// A certificate that cannot be read is as good as any other; a wrong signature is not.
fn lenient(verified: Result<HandshakeSignatureValid, Error>) -> Result<HandshakeSignatureValid, Error> {
    match verified {
        Err(Error::InvalidCertificate(why)) if why != CertificateError::BadSignature => Ok(HandshakeSignatureValid::assertion()),
        other => other,
    }
}

/// Bytes of names of authorities that a client is told. The message has room for 65,535 with all that belongs to it.
const LONGEST_HINT: usize = 16 * 1024;
