//! How TLS is spoken: options of listeners and policies under our domain.
//!
//! In: options as stated, and the field they stand in. Out: `TlsOptions`, or what is wrong with one. Options of other domains are not ours to judge.
//! Which there are, and what they mean, is told where `TlsOptions` is.

use std::collections::BTreeMap;

use rustls::CipherSuite;

use crate::name::OWN_GROUP;
use crate::snapshot::{TlsOptions, TlsVersion};

/// Reads the options that are ours.
///
/// # Errors
/// The first that is not known, or whose value is not.
pub(super) fn tls_options(field: &str, stated: &BTreeMap<String, String>) -> Result<TlsOptions, String> {
    let mut options = TlsOptions::default();
    for (key, value) in stated {
        match own(key) {
            None => {}
            Some(VERSION) => {
                options.minimum_version = version(value).ok_or_else(|| unknown(field, key, value, "use 1.2 or 1.3"))?
            }
            Some(SUITES) => options.cipher_suites = suites(field, key, value)?,
            Some(_) => return Err(format!("{field} {key} is not known; {OWN_GROUP}/{VERSION} and {OWN_GROUP}/{SUITES} are")),
        }
    }
    let has_new = options.cipher_suites.iter().any(|suite| TLS_1_3.iter().any(|(_, new)| new == suite));
    if options.minimum_version == TlsVersion::V1_3 && !options.cipher_suites.is_empty() && !has_new {
        return Err(format!("{field} {OWN_GROUP}/{SUITES} names no suite of TLS 1.3, the only version that is to be spoken"));
    }
    Ok(options)
}

/// Options as they would be stated, those that are not the defaults.
pub(crate) fn written_options(options: &TlsOptions) -> Vec<(String, String)> {
    let TlsOptions { minimum_version, cipher_suites } = options;
    let version = match minimum_version {
        TlsVersion::V1_2 => None,
        TlsVersion::V1_3 => Some("1.3".to_owned()),
    };
    let name = |suite: &CipherSuite| TLS_1_3.iter().chain(TLS_1_2).find(|(_, known)| known == suite).map(|(name, _)| *name);
    let suites: Vec<&str> = cipher_suites.iter().filter_map(name).collect();
    let suites = (!suites.is_empty()).then(|| suites.join(","));
    let keyed = |key: &str, value: Option<String>| value.map(|value| (format!("{OWN_GROUP}/{key}"), value));
    keyed(VERSION, version).into_iter().chain(keyed(SUITES, suites)).collect()
}

/// The name of an option under our domain.
pub(super) fn own(key: &str) -> Option<&str> {
    key.strip_prefix(OWN_GROUP)?.strip_prefix('/')
}

fn version(value: &str) -> Option<TlsVersion> {
    match value.trim() {
        "1.2" => Some(TlsVersion::V1_2),
        "1.3" => Some(TlsVersion::V1_3),
        _ => None,
    }
}

fn suites(field: &str, key: &str, value: &str) -> Result<Box<[CipherSuite]>, String> {
    let mut suites = Vec::new();
    for name in value.split(',').map(str::trim) {
        let known = TLS_1_3.iter().chain(TLS_1_2).find(|(known, _)| *known == name);
        let Some((_, suite)) = known else {
            let known: Vec<&str> = TLS_1_3.iter().chain(TLS_1_2).map(|(name, _)| *name).collect();
            return Err(unknown(field, key, name, &format!("use {}", known.join(", "))));
        };
        if !suites.contains(suite) {
            suites.push(*suite);
        }
    }
    Ok(suites.into())
}

fn unknown(field: &str, key: &str, value: &str, advice: &str) -> String {
    format!("{field} {key}: {value:?} is not known; {advice}")
}

const VERSION: &str = "min-tls-version";
const SUITES: &str = "tls-cipher-suites";

const TLS_1_3: &[(&str, CipherSuite)] = &[
    ("TLS_AES_256_GCM_SHA384", CipherSuite::TLS13_AES_256_GCM_SHA384),
    ("TLS_AES_128_GCM_SHA256", CipherSuite::TLS13_AES_128_GCM_SHA256),
    ("TLS_CHACHA20_POLY1305_SHA256", CipherSuite::TLS13_CHACHA20_POLY1305_SHA256),
];

const TLS_1_2: &[(&str, CipherSuite)] = &[
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(options: &[(&str, &str)]) -> Result<TlsOptions, String> {
        tls_options("tls.options", &options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn options_mean_what_the_table_says() {
        assert_eq!(read(&[]), Ok(TlsOptions::default()));
        assert_eq!(read(&[("example.com/min-tls-version", "9")]), Ok(TlsOptions::default()), "it is not ours");
        assert_eq!(read(&[("pingora-gateway.devil/x", "9")]), Ok(TlsOptions::default()), "nor is a domain that begins alike");
        let options = read(&[
            ("pingora-gateway.dev/min-tls-version", "1.3"),
            ("pingora-gateway.dev/tls-cipher-suites", "TLS_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256,TLS_AES_256_GCM_SHA384"),
        ])
        .unwrap();
        assert_eq!(options.minimum_version, TlsVersion::V1_3);
        assert_eq!(*options.cipher_suites, [CipherSuite::TLS13_AES_128_GCM_SHA256, CipherSuite::TLS13_AES_256_GCM_SHA384]);
    }

    #[test]
    fn what_is_not_known_is_said_with_what_is() {
        let old = ("pingora-gateway.dev/tls-cipher-suites", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256");
        let rows: [(&[(&str, &str)], &str); 5] = [
            (&[("pingora-gateway.dev/min-tls-version", "1.1")], "use 1.2 or 1.3"),
            (&[("pingora-gateway.dev/tls-cipher-suites", "TLS_RSA_WITH_RC4_128_MD5")], "use TLS_AES_256_GCM_SHA384"),
            (&[("pingora-gateway.dev/tls-cipher-suites", "")], "\"\" is not known"),
            (&[("pingora-gateway.dev/max-tls-version", "1.3")], "is not known; pingora-gateway.dev/min-tls-version"),
            (&[old, ("pingora-gateway.dev/min-tls-version", "1.3")], "no suite of TLS 1.3"),
        ];
        for (options, why) in rows {
            let message = read(options).unwrap_err();
            assert!(message.contains(why), "{message} should say: {why}");
        }
        assert!(read(&[old]).is_ok());
    }
}
