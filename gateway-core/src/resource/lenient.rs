//! Two forms that people write in files though the API lacks them: objects in a header modifier's `remove`, and an inline DirectResponse.
//!
//! In: the specification of an HTTPRoute or GRPCRoute as JSON. Out: the same in the form of the API, with a warning for each that quotes that form; the
//! inline DirectResponse stays, as it has no other. Where the forms are not admitted, the first is left for the types to refuse and the second is refused here.

use serde_json::Value;

use super::report::Report;

/// Rewrites what has a form of the API and remarks on both, or refuses the rest.
pub(super) fn admit(spec: &mut Value, admitted: bool, report: &mut Report) {
    for (rule, place) in items(spec, "spec", "rules") {
        filters(rule, &place, admitted, report);
        for (backend, place) in items(rule, &place, "backendRefs") {
            filters(backend, &place, admitted, report);
        }
    }
}

fn filters(holder: &mut Value, place: &str, admitted: bool, report: &mut Report) {
    for (filter, place) in items(holder, place, "filters") {
        if filter.get("type").and_then(Value::as_str) == Some("DirectResponse") {
            direct_response(&place, admitted, report);
        }
        for modifier in ["requestHeaderModifier", "responseHeaderModifier"] {
            if let Some(value) = filter.get_mut(modifier).filter(|_| admitted) {
                removals(value, &format!("{place}.{modifier}"), report);
            }
        }
    }
}

fn direct_response(place: &str, admitted: bool, report: &mut Report) {
    match admitted {
        true => report.warn(place, format!("an inline DirectResponse works in files only; the standard form is {STANDARD}")),
        false => report.refuse(
            format!("{place}.type"),
            format!("expected a type of the API, found \"DirectResponse\"; the standard form is {STANDARD}"),
        ),
    }
}

fn removals(modifier: &mut Value, place: &str, report: &mut Report) {
    for (entry, place) in items(modifier, place, "remove") {
        let Some(fields) = entry.as_object().filter(|fields| fields.len() == 1) else { continue };
        let Some(name) = fields.get("name").and_then(Value::as_str).map(str::to_owned) else { continue };
        report.warn(place, format!("taken as the name of a header; the standard form is a plain string: remove: [\"{name}\"]"));
        *entry = Value::String(name);
    }
}

/// The entries of a list and where they stand; none if there is no such list.
fn items<'a>(holder: &'a mut Value, place: &str, list: &'static str) -> impl Iterator<Item = (&'a mut Value, String)> {
    let place = place.to_owned();
    let entries = holder.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
    entries.enumerate().map(move |(index, entry)| (entry, format!("{place}.{list}[{index}]")))
}

const STANDARD: &str = "type: ExtensionRef with extensionRef: {group: pingora-gateway.dev, kind: DirectResponse, name: …} and an object of that kind";
