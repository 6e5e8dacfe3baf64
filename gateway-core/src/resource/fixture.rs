//! Documents for tests of this room, and what reading them says.

use serde_json::Value;

use super::{FieldValidation, Invalid, Object, Reader, Reading, Warning, read};

/// A reader as file mode has it.
pub(super) fn reader() -> Reader {
    Reader { validation: FieldValidation::Strict, lenient_forms: true, extensions: Vec::new() }
}

/// The document as a JSON value.
pub(super) fn value(yaml: &str) -> Value {
    serde_saphyr::from_str(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"))
}

/// A document of this kind named `team/x`, its other fields as written: `spec: {…}`.
pub(super) fn document(api_version: &str, kind: &str, fields: &str) -> String {
    format!("apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: x, namespace: team}}\n{fields}\n")
}

/// What reading the document says.
pub(super) fn outcome(yaml: &str) -> Result<(Object, Vec<Warning>), Vec<Invalid>> {
    match read(value(yaml), &reader())? {
        Reading::Object { object, warnings } => Ok((object, warnings)),
        Reading::Foreign { kind, .. } => panic!("{kind} is not read"),
    }
}

/// The object the document is.
pub(super) fn object(yaml: &str) -> Object {
    outcome(yaml).unwrap_or_else(|invalid| panic!("{invalid:#?}\n{yaml}")).0
}

/// Each specification is refused once, at this path, with these words.
pub(super) fn assert_refused<S: AsRef<str>>(api_version: &str, kind: &str, cases: &[(S, &str, &str)]) {
    for (spec, path, part) in cases {
        let yaml = document(api_version, kind, &format!("spec: {}", spec.as_ref()));
        let Err(invalid) = outcome(&yaml) else { panic!("accepted\n{yaml}") };
        assert_eq!(invalid.len(), 1, "{invalid:#?}\n{yaml}");
        assert_eq!(invalid[0].path, *path, "{}\n{yaml}", invalid[0]);
        assert!(invalid[0].expected.contains(part), "{} should hold {part:?}\n{yaml}", invalid[0]);
        assert!(invalid[0].object.starts_with(kind), "{}", invalid[0]);
    }
}

/// Each specification is accepted.
pub(super) fn assert_accepted<S: AsRef<str>>(api_version: &str, kind: &str, specs: &[S]) {
    for spec in specs {
        object(&document(api_version, kind, &format!("spec: {}", spec.as_ref())));
    }
}

/// A list of so many entries, each with `#` replaced by its number.
pub(super) fn many(count: usize, entry: &str) -> String {
    let entries: Vec<_> = (0..count).map(|number| entry.replace('#', &number.to_string())).collect();
    format!("[{}]", entries.join(", "))
}
