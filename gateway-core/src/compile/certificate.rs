//! A Secret judged as a listener's certificate.
//!
//! In: the Secret. Out: the chain with its key, or what is wrong with it, in words that never quote the key. Knows neither the
//! listener nor the time: whether a certificate has expired, or is for the listener's host, is a matter for whoever shows it.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::resource::Secret;
use crate::snapshot::{Certificate, Fingerprint};

/// Reads a certificate with its key.
///
/// # Errors
/// What a person has to mend in the Secret.
pub(super) fn certificate(secret: &Secret) -> Result<Arc<Certificate>, String> {
    let name = &secret.meta.name;
    if secret.secret_type != TLS_TYPE {
        return Err(format!("Secret {name} is of type {}, and a certificate needs type {TLS_TYPE}", secret.secret_type));
    }
    let pem = |key: &str| secret.data.get(key).ok_or_else(|| format!("Secret {name} has no {key}"));
    let (chain_pem, key_pem) = (pem("tls.crt")?, pem("tls.key")?);
    let chain = CertificateDer::pem_slice_iter(chain_pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("tls.crt of Secret {name} is not PEM: {error}"))?;
    let leaf = chain.first().ok_or_else(|| format!("tls.crt of Secret {name} holds no certificate"))?;
    let unreadable = || format!("tls.crt of Secret {name} holds a certificate that cannot be read");
    let (_, read) = X509Certificate::from_der(leaf).map_err(|_| unreadable())?;
    let names = names(&read).ok_or_else(unreadable)?;
    let (not_before, not_after) = (read.validity().not_before.timestamp(), read.validity().not_after.timestamp());
    let key =
        PrivateKeyDer::from_pem_slice(key_pem).map_err(|_| format!("tls.key of Secret {name} holds no private key in PEM"))?;
    CertifiedKey::from_der(chain.clone(), key.clone_key(), &ring::default_provider()).map_err(|error| {
        if matches!(error, rustls::Error::InconsistentKeys(_)) {
            format!("tls.key of Secret {name} is not the key of the certificate in tls.crt")
        } else {
            format!("the certificate of Secret {name} cannot be used: {error}")
        }
    })?;
    let fingerprint = Fingerprint::of([chain_pem, key_pem]);
    Ok(Arc::new(Certificate { secret: name.clone(), chain, key, not_before, not_after, names, fingerprint }))
}

/// Why a Secret cannot serve as a certificate, in words that name its fields and never quote them; `None` where it can. Whether it is
/// valid now makes no difference.
pub fn certificate_flaw(secret: &Secret) -> Option<String> {
    certificate(secret).err()
}

/// What is wrong with a certificate at a time, in seconds since 1970.
pub(super) fn out_of_date(certificate: &Certificate, now: i64) -> Option<String> {
    let date = |second: i64| jiff::Timestamp::from_second(second).map_or_else(|_| second.to_string(), |time| time.to_string());
    let secret = &certificate.secret;
    if now < certificate.not_before {
        return Some(format!(
            "the certificate of Secret {secret} is not valid before {}; it is used all the same",
            date(certificate.not_before)
        ));
    }
    let expired = now > certificate.not_after;
    expired.then(|| {
        format!("the certificate of Secret {secret} expired at {}; it is used all the same", date(certificate.not_after))
    })
}

/// Whether a certificate with these names can be for a listener with this host name: for that host, or for some of those that a wildcard
/// stands for. A `*` in a certificate stands for one label (RFC 9525).
fn is_for(names: &[Box<str>], host: &str) -> bool {
    match host.strip_prefix("*.") {
        Some(parent) => names.iter().any(|name| name.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.'))),
        None => names.iter().any(|name| **name == *host || name.strip_prefix("*.").is_some_and(|parent| is_child(host, parent))),
    }
}

fn is_child(host: &str, parent: &str) -> bool {
    host.split_once('.').is_some_and(|(_, rest)| rest == parent)
}

/// That none of the certificates of a listener is for its host name, so that clients will not trust it; nothing is lost by it here.
pub(super) fn none_is_for(host: &str, certificates: &[Arc<Certificate>]) -> Option<String> {
    /// Names that are told of one certificate.
    const TOLD: usize = 3;
    if certificates.iter().any(|certificate| is_for(&certificate.names, host)) {
        return None;
    }
    let told = |certificate: &Arc<Certificate>| {
        let Certificate { secret, names, .. } = &**certificate;
        let listed: Vec<&str> = names.iter().take(TOLD).map(|name| &**name).collect();
        match names.len() {
            0 => format!("that of Secret {secret} names no host"),
            1..=TOLD => format!("that of Secret {secret} is for {}", listed.join(", ")),
            more => format!("that of Secret {secret} is for {} and {} more", listed.join(", "), more - TOLD),
        }
    };
    let told: Vec<_> = certificates.iter().map(told).collect();
    Some(format!("no certificate is for {host}, so clients will not trust it: {}", told.join("; ")))
}

/// When the answer to that changes.
pub(super) fn moments(certificate: &Certificate) -> [i64; 2] {
    [certificate.not_before, certificate.not_after.saturating_add(1)]
}

/// The DNS names of a leaf, in lower case; `None` when the certificate cannot be read.
fn names(certificate: &X509Certificate<'_>) -> Option<Arc<[Box<str>]>> {
    let Some(alternatives) = certificate.subject_alternative_name().ok()? else { return Some(Arc::default()) };
    let dns = |name: &GeneralName<'_>| {
        let GeneralName::DNSName(name) = name else { return None };
        Some(name.to_ascii_lowercase().into_boxed_str())
    };
    Some(alternatives.value.general_names.iter().filter_map(dns).collect())
}

const TLS_TYPE: &str = "kubernetes.io/tls";
