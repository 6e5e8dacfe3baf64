//! Two forms that people write in files though the API lacks them: objects in a header modifier's `remove`, and an inline
//! DirectResponse.
//!
//! In: the specification of an HTTPRoute or GRPCRoute as JSON. Out: the same in the form of the API, with a warning for each that
//! quotes that form; the inline DirectResponse stays, as it has no other. Where the forms are not admitted, the first is left for
//! the types to refuse and the second is refused here.

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

#[cfg(test)]
mod tests {
    use crate::resource::fixture::{document, outcome, reader, value};
    use crate::resource::{HttpFilterPayload, Object, Reader, read};

    const V1: &str = "gateway.networking.k8s.io/v1";
    const REMOVE: &str = "type: RequestHeaderModifier, requestHeaderModifier: {remove: [X-A, {name: X-B}]}";
    const RESPONSE: &str = "type: DirectResponse, directResponse: {body: Service is healthy}";

    #[test]
    fn objects_to_remove_are_taken_as_names() {
        for (spec, place) in [
            (format!("{{rules: [{{filters: [{{{REMOVE}}}]}}]}}"), "spec.rules[0].filters[0]"),
            (
                format!("{{rules: [{{backendRefs: [{{name: b, port: 1, filters: [{{{REMOVE}}}]}}]}}]}}"),
                "spec.rules[0].backendRefs[0].filters[0]",
            ),
        ] {
            for kind in ["HTTPRoute", "GRPCRoute"] {
                let yaml = document(V1, kind, &format!("spec: {spec}"));
                let (_, warnings) = outcome(&yaml).unwrap();
                assert_eq!(warnings.len(), 1, "{warnings:?}");
                assert_eq!(warnings[0].path, format!("{place}.requestHeaderModifier.remove[1]"));
                assert!(warnings[0].message.contains("remove: [\"X-B\"]"), "{}", warnings[0]);

                let strict = Reader { lenient_forms: false, ..reader() };
                let invalid = read(value(&yaml), &strict).unwrap_err();
                assert_eq!(invalid[0].path, format!("{place}.requestHeaderModifier.remove[1]"));
                assert!(invalid[0].expected.contains("expected a string, found an object"), "{}", invalid[0]);
            }
        }
        let odd =
            "spec: {rules: [{filters: [{type: RequestHeaderModifier, requestHeaderModifier: {remove: [{name: A, value: b}]}}]}]}";
        assert!(outcome(&document(V1, "HTTPRoute", odd)).is_err(), "an object with more than a name is none of the forms");
    }

    #[test]
    fn an_inline_response_names_the_standard_form() {
        let yaml = document(V1, "HTTPRoute", &format!("spec: {{rules: [{{filters: [{{{RESPONSE}}}]}}]}}"));
        let (object, warnings) = outcome(&yaml).unwrap();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].message.contains("ExtensionRef"), "{}", warnings[0]);
        let Object::HttpRoute(route) = object else { panic!("no HTTPRoute") };
        let HttpFilterPayload::DirectResponse(response) = route.spec.rules[0].filters[0].payload() else { panic!("no response") };
        assert_eq!((response.status_code, response.body.as_str()), (200, "Service is healthy"));

        let strict = Reader { lenient_forms: false, ..reader() };
        let invalid = read(value(&yaml), &strict).unwrap_err();
        assert_eq!((invalid.len(), invalid[0].path.as_str()), (1, "spec.rules[0].filters[0].type"));
    }
}
