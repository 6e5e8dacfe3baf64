//! From a JSON value to a typed part of an object: every field that does not fit is reported, not only the first, and unknown
//! ones are noticed.
//!
//! In: a value and where it stands. Out: the typed part, or what was expected where. A field that does not fit is taken out and
//! the rest tried again, which ends at the first complaint that the taking out itself may have caused.

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Segment, Track};

use super::json::Json;
use super::report::Report;

/// What the value means, if it fits. Fields nobody knows are added to `unknown`.
pub(super) fn typed<T: DeserializeOwned>(
    mut value: Value,
    at: &str,
    unknown: &mut Vec<String>,
    report: &mut Report,
) -> Option<T> {
    let mut removed = false;
    for _ in 0..MAX_COMPLAINTS {
        let mut track = Track::new();
        let mut ignored = Vec::new();
        let read = serde_path_to_error::Deserializer::new(Json(&value), &mut track);
        let error = match serde_ignored::deserialize(read, |path| ignored.push(field(at, &path))) {
            Ok(part) => {
                unknown.append(&mut ignored);
                return Some(part).filter(|_| !removed);
            }
            Err(error) => error.to_string(),
        };
        let path = track.path();
        let missing = error.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
        if removed && missing.is_some() {
            return None;
        }
        report.refuse(place(at, &path, missing), complaint(&error, missing));
        if missing.is_some() || !remove(&mut value, &path) {
            return None;
        }
        removed = true;
    }
    None
}

/// The path of a complaint, with the missing field at its end.
fn place(at: &str, path: &serde_path_to_error::Path, missing: Option<&str>) -> String {
    let mut place = at.to_owned();
    for segment in path.iter() {
        match segment {
            Segment::Seq { index } => place.push_str(&format!("[{index}]")),
            Segment::Map { key } => step(&mut place, key),
            Segment::Enum { variant } => step(&mut place, variant),
            Segment::Unknown => step(&mut place, "?"),
        }
    }
    if let Some(missing) = missing {
        step(&mut place, missing);
    }
    place
}

/// The path of a field nobody knows.
fn field(at: &str, path: &serde_ignored::Path<'_>) -> String {
    match path {
        serde_ignored::Path::Root => at.to_owned(),
        serde_ignored::Path::Seq { parent, index } => format!("{}[{index}]", field(at, parent)),
        serde_ignored::Path::Map { parent, key } => {
            let mut place = field(at, parent);
            step(&mut place, key);
            place
        }
        serde_ignored::Path::Some { parent }
        | serde_ignored::Path::NewtypeStruct { parent }
        | serde_ignored::Path::NewtypeVariant { parent } => field(at, parent),
    }
}

fn step(place: &mut String, key: &str) {
    if !place.is_empty() {
        place.push('.');
    }
    place.push_str(key);
}

/// Takes out the field at `path`, or the innermost one that holds it.
fn remove(value: &mut Value, path: &serde_path_to_error::Path) -> bool {
    let segments: Vec<_> = path.iter().collect();
    let Some(last) = segments.iter().rposition(|segment| matches!(segment, Segment::Map { .. })) else { return false };
    let mut here = value;
    for (position, segment) in segments.into_iter().enumerate() {
        let next = match segment {
            Segment::Map { key } if position == last => {
                return here.as_object_mut().is_some_and(|fields| fields.remove(key).is_some());
            }
            Segment::Map { key } => here.get_mut(key),
            Segment::Seq { index } => here.get_mut(index),
            Segment::Enum { .. } | Segment::Unknown => None,
        };
        let Some(next) = next else { return false };
        here = next;
    }
    false
}

/// A message of the deserializer, turned to say first what was expected.
fn complaint(error: &str, missing: Option<&str>) -> String {
    if missing.is_some() {
        return "expected a value, found none".to_owned();
    }
    let found = error.strip_prefix("invalid type: ").or_else(|| error.strip_prefix("invalid value: "));
    let Some((found, expected)) = found.and_then(|rest| rest.rsplit_once(", expected ")) else {
        return error.to_owned();
    };
    let expected = match expected {
        "i64" | "u8" | "u16" | "u32" | "i32" | "u64" => "a whole number",
        "a sequence" => "a list",
        "a map" => "an object",
        "unit" => "nothing",
        other if other.starts_with("struct ") => "an object",
        other => other,
    };
    let found = match found {
        "map" => "an object",
        "sequence" => "a list",
        "null" | "unit value" => "nothing",
        other => other,
    };
    format!("expected {expected}, found {found}")
}

/// More complaints about one object help nobody.
const MAX_COMPLAINTS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::HttpRule;
    use crate::resource::fixture::value;

    fn complaints(yaml: &str) -> Vec<String> {
        let mut report = Report::on(String::new());
        assert!(typed::<HttpRule>(value(yaml), "spec", &mut Vec::new(), &mut report).is_none(), "{yaml}");
        report.invalid.into_iter().map(|invalid| format!("{}: {}", invalid.path, invalid.expected)).collect()
    }

    #[test]
    fn complaints_say_what_was_expected_and_what_was_found() {
        for (yaml, expected) in [
            ("5", "spec: expected an object, found integer `5`"),
            ("[]", "spec: expected an object, found a list"),
            ("{matches: {}}", "spec.matches: expected a list, found an object"),
            ("{matches: [null]}", "spec.matches[0]: expected an object, found nothing"),
            ("{matches: [[]]}", "spec.matches[0]: expected an object, found a list"),
            ("{name: 5}", "spec.name: expected a string, found integer `5`"),
            ("{name: {}}", "spec.name: expected a string, found an object"),
            ("{matches: [{path: [Exact, /]}]}", "spec.matches[0].path: expected an object, found a list"),
            (
                "{matches: [{path: {value: ', expected '}, method: 1.5}]}",
                "spec.matches[0].method: expected a string, found floating point `1.5`",
            ),
            ("{retry: {attempts: 1.5}}", "spec.retry.attempts: expected a whole number, found floating point `1.5`"),
            (
                "{retry: {attempts: 99999999999999999999}}",
                "spec.retry.attempts: expected a whole number, found floating point `1e+20`",
            ),
            (
                "{timeouts: {request: ', expected '}}",
                "spec.timeouts.request: expected a duration such as 1h30m, 10s or 500ms (GEP-2257), found string \", expected \"",
            ),
            ("{backendRefs: [{port: 1}]}", "spec.backendRefs[0].name: expected a value, found none"),
        ] {
            assert_eq!(complaints(yaml), [expected], "{yaml}");
        }
    }

    #[test]
    fn what_a_removal_causes_is_not_told() {
        assert_eq!(
            complaints("{backendRefs: [{name: 5, port: 1}]}"),
            ["spec.backendRefs[0].name: expected a string, found integer `5`"]
        );
        let many = format!("{{matches: [{}]}}", vec!["{method: 1}"; 40].join(", "));
        assert_eq!(complaints(&many).len(), MAX_COMPLAINTS);
    }
}
