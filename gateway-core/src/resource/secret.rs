//! Secret: certificates and keys, decoded. Its contents appear in no message and no debug output.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use super::report::{Report, what};
use super::{Meta, contents};

/// A Secret as read.
#[derive(Clone, PartialEq)]
pub struct Secret {
    /// Who it is.
    pub meta: Meta,
    /// What it holds, by convention: `kubernetes.io/tls` and others; `Opaque` unless stated.
    pub secret_type: String,
    /// The contents, decoded; what `stringData` says wins over `data`.
    pub data: BTreeMap<String, Vec<u8>>,
}

impl Secret {
    /// Takes the fields of a Secret apart by hand, since no message may quote what stands in them.
    pub(super) fn decode(meta: Option<Meta>, fields: &mut Map<String, Value>, report: &mut Report) -> Option<Self> {
        let mut data = BTreeMap::new();
        data.extend(contents::bytes(fields, "data", report));
        data.extend(contents::texts(fields, "stringData", report).into_iter().map(|(key, text)| (key, text.into_bytes())));
        let stated = fields.remove("type").unwrap_or_else(|| Value::String(OPAQUE.to_owned()));
        let Value::String(secret_type) = stated else {
            report.refuse("type", format!("expected a string, found {}", what(&stated)));
            return None;
        };
        Some(Self { meta: meta?, secret_type, data })
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret")
            .field("meta", &self.meta)
            .field("secret_type", &self.secret_type)
            .field("data", &self.data.keys().collect::<Vec<_>>())
            .finish()
    }
}

const OPAQUE: &str = "Opaque";

#[cfg(test)]
mod tests {
    use crate::resource::Object;
    use crate::resource::fixture::{object, outcome};

    fn secret(fields: &str) -> String {
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: x}}\n{fields}")
    }

    #[test]
    fn contents_are_decoded_and_strings_win() {
        let yaml =
            secret("type: kubernetes.io/tls\ndata: {a: aGVs\\\n bG8=, b: Yg==}\nstringData: {b: other}").replace("\\\n ", "");
        let Object::Secret(secret) = object(&yaml) else { panic!("no Secret") };
        assert_eq!(secret.secret_type, "kubernetes.io/tls");
        assert_eq!(secret.data["a"], b"hello");
        assert_eq!(secret.data["b"], b"other");
        assert_eq!(secret.meta.name.as_str(), "default/x");
        let Object::Secret(wrapped) = object(&self::secret("data: {a: \"aGVs\\nbG8=\\n\"}")) else { panic!("no Secret") };
        assert_eq!(wrapped.data["a"], b"hello", "line breaks inside base64 are passed over");
        assert_eq!(wrapped.secret_type, "Opaque");
    }

    #[test]
    fn no_message_tells_what_a_secret_holds() {
        for fields in [
            "data: {a: hunter2!}",
            "data: {a: 4242}",
            "data: {a: [hunter2]}",
            "data: hunter2",
            "data: 4242",
            "stringData: {a: 4242}",
            "stringData: hunter2",
            "stringData: {a: {hunter2: 4242}}",
        ] {
            let invalid = outcome(&secret(fields)).unwrap_err();
            let shown = format!("{invalid:?} {}", invalid[0]);
            assert!(!shown.contains("hunter2") && !shown.contains("4242"), "{shown}");
        }
        let shown = format!("{:?}", object(&secret("stringData: {key: hunter2}")));
        assert!(shown.contains("key") && !shown.contains("hunter2") && !shown.contains("104"), "{shown}");
    }
}
