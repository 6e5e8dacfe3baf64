//! The contents of Secrets and ConfigMaps: maps from keys to texts or to bytes in base64.
//!
//! In: a field of such an object. Out: its entries. No message quotes what stands in them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::report::{Report, what};

/// The entries of a map of texts; what is no text is refused.
pub(super) fn texts(fields: &mut Map<String, Value>, field: &str, report: &mut Report) -> Vec<(String, String)> {
    let stated = fields.remove(field).unwrap_or_else(|| Value::Object(Map::new()));
    let Value::Object(entries) = stated else {
        report.refuse(field, format!("expected an object of strings, found {}", what(&stated)));
        return Vec::new();
    };
    let mut texts = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        if let Value::String(text) = value {
            texts.push((key, text));
        } else {
            report.refuse(format!("{field}.{key}"), format!("expected a string, found {}", what(&value)));
        }
    }
    texts
}

/// The entries of a map of bytes in base64.
pub(super) fn bytes(fields: &mut Map<String, Value>, field: &str, report: &mut Report) -> Vec<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    for (key, text) in texts(fields, field, report) {
        match STANDARD.decode(text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect::<Vec<_>>()) {
            Ok(value) => bytes.push((key, value)),
            Err(_) => report.refuse(format!("{field}.{key}"), "expected base64, found something else"),
        }
    }
    bytes
}
