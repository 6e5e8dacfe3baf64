//! ConfigMap: trust anchors under the key `ca.crt`. Nothing else in it is read.

use serde_json::{Map, Value};

use super::report::Report;
use super::{Meta, contents};

/// A ConfigMap as read.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigMap {
    /// Who it is.
    pub meta: Meta,
    /// What stands under `ca.crt`, in `data` or `binaryData`; certificates in PEM, if it is what it should be.
    pub ca_certificates: Option<Vec<u8>>,
}

impl ConfigMap {
    /// Takes the fields of a ConfigMap apart.
    pub(super) fn decode(meta: Option<Meta>, fields: &mut Map<String, Value>, report: &mut Report) -> Option<Self> {
        let texts = contents::texts(fields, "data", report).into_iter().map(|(key, text)| (key, text.into_bytes()));
        let bytes = contents::bytes(fields, "binaryData", report);
        let mut ca_certificates = None;
        for (key, value) in texts.chain(bytes) {
            if key != CA_KEY {
                continue;
            }
            if ca_certificates.is_some() {
                report.refuse(format!("binaryData.{CA_KEY}"), "expected a key that is not in data too, found one that is");
            }
            ca_certificates = Some(value);
        }
        Some(Self { meta: meta?, ca_certificates })
    }
}

/// The key of the trust anchors.
const CA_KEY: &str = "ca.crt";

#[cfg(test)]
mod tests {
    use crate::resource::Object;
    use crate::resource::fixture::{document, object, outcome};

    fn anchors(fields: &str) -> Option<Vec<u8>> {
        let Object::ConfigMap(map) = object(&document("v1", "ConfigMap", fields)) else { panic!("no ConfigMap") };
        map.ca_certificates.clone()
    }

    #[test]
    fn trust_anchors_are_under_ca_crt() {
        assert_eq!(anchors("data: {ca.crt: text, other: x}").as_deref(), Some(&b"text"[..]));
        assert_eq!(anchors("binaryData: {ca.crt: Ynl0ZXM=, other: eA==}").as_deref(), Some(&b"bytes"[..]));
        assert_eq!(anchors("data: {ca.crt: ''}").as_deref(), Some(&b""[..]));
        assert_eq!(anchors("data: {ca.pem: x}"), None);
        assert_eq!(anchors("immutable: true"), None);
    }

    #[test]
    fn contents_are_texts_or_base64() {
        for (fields, path) in [
            ("data: {a: 1}", "data.a"),
            ("data: []", "data"),
            ("binaryData: {a: '*'}", "binaryData.a"),
            ("data: {ca.crt: a}\nbinaryData: {ca.crt: YQ==}", "binaryData.ca.crt"),
        ] {
            let invalid = outcome(&document("v1", "ConfigMap", fields)).unwrap_err();
            assert_eq!(invalid.len(), 1, "{invalid:?}");
            assert_eq!(invalid[0].path, path, "{}", invalid[0]);
        }
    }
}
