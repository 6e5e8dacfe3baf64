//! The certificates of the wire: one authority per installation, one certificate per controller process.
//!
//! In: the authority's private key, kept by the cluster. Out: the authority's certificate, which proxies trust, and certificates for
//! controllers, whose keys never leave their process. The authority's certificate is made of its key anew each time: what proxies
//! check by is the name and the key in it, which stay. The keys that seal sessions follow from that key too: there is nothing more to
//! keep, and no Secret to be written in the namespaces of Gateways.

use anyhow::Context as _;
use gateway_core::name::ObjectName;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd};
use ring::hmac;

use super::SERVER_NAME;

/// The authority of an installation.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
    key: String,
}

/// What a server shows: a certificate and its key, in PEM.
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    /// A new one.
    pub(crate) fn create() -> anyhow::Result<Self> {
        let key = KeyPair::generate().context("cannot make a key")?;
        Self::of(key, None)
    }

    /// The one whose certificate and key were kept.
    pub(crate) fn read(certificate: &str, key: &str) -> anyhow::Result<Self> {
        let key = KeyPair::from_pem(key).context("the key of the wire's authority cannot be read")?;
        Self::of(key, Some(certificate.to_owned()))
    }

    fn of(key: KeyPair, certificate: Option<String>) -> anyhow::Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "pingora-gateway.dev controllers");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2120, 1, 1);
        let pem = key.serialize_pem();
        let certificate = match certificate {
            Some(certificate) => certificate,
            None => params.self_signed(&key).context("cannot make the wire's authority")?.pem(),
        };
        Ok(Self { issuer: Issuer::new(params, key), certificate, key: pem })
    }

    /// What proxies are to trust, in PEM.
    pub(crate) fn certificate(&self) -> &str {
        &self.certificate
    }

    /// What has to be kept secret, in PEM.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// What the keys of sessions are made of.
    pub(crate) fn session_secret(&self) -> SessionSecret {
        SessionSecret(hmac::Key::new(hmac::HMAC_SHA256, self.key.as_bytes()))
    }

    /// A certificate for a controller.
    pub(crate) fn issue(&self) -> anyhow::Result<Identity> {
        let key = KeyPair::generate().context("cannot make a key")?;
        let mut params = CertificateParams::new([SERVER_NAME.to_owned()]).context("the server's name")?;
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2120, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).context("cannot make the controller's certificate")?;
        Ok(Identity { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

/// What the keys of sessions are made of: the same for all controllers of an installation.
#[derive(Clone, Debug)]
pub(crate) struct SessionSecret(hmac::Key);

impl SessionSecret {
    /// The key that seals the sessions of a Gateway's clients. It tells nothing of another's.
    pub(crate) fn key(&self, gateway: &ObjectName) -> Vec<u8> {
        hmac::sign(&self.0, format!("{PURPOSE} {gateway}").as_bytes()).as_ref().to_vec()
    }
}

const PURPOSE: &str = "pingora-gateway.dev session key 1";
