//! Stored objects that violate the schema of today, because another version or channel of the API admitted them: a violation
//! becomes a condition of the part it concerns, and nothing else is touched.

use super::world::{World, service};

const GATEWAY: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: infra}
spec: {gatewayClassName: c, listeners: [{name: http, port: 80, protocol: HTTP}]}
";

fn world(spec: &str) -> World {
    let route = format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: r, namespace: infra}}
spec: {{parentRefs: [{{name: gw}}], {spec}}}
"
    );
    World::of(&format!("{GATEWAY}{route}{}", service("infra", "v1", "10.0.0.1")))
}

#[test]
fn a_stored_rule_that_violates_the_schema_is_dropped_alone() {
    let good = "{matches: [{path: {value: /good}}], backendRefs: [{name: v1, port: 80}]}";
    for (bad, field) in [
        // Only the experimental channel checks the values of headers.
        (
            "filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: 'b  c'}]}}]",
            "filters[0].requestHeaderModifier.set[0].value",
        ),
        ("matches: [{path: {value: /bad//path}}, {path: {value: /bad}}]", "matches[0].path.value"),
    ] {
        let matches = if bad.starts_with("matches") { "" } else { "matches: [{path: {value: /bad}}], " };
        let world = world(&format!("rules: [{{{matches}{bad}, backendRefs: [{{name: v1, port: 80}}]}}, {good}]"));
        assert_eq!(world.condition("HTTPRoute infra/r", "Accepted"), "Accepted", "{bad}");
        assert_eq!(world.condition("HTTPRoute infra/r", "PartiallyInvalid"), "UnsupportedValue", "{bad}");
        let message = world.message("HTTPRoute infra/r", "PartiallyInvalid");
        assert!(message.starts_with(&format!("Dropped Rule: rule 0: spec.rules[0].{field}: expected")), "{message}");
        assert_eq!(world.get("http://h/bad", &[]), "500", "{bad}");
        assert_eq!(world.get("http://h/good", &[]), "infra/v1:80 /good", "{bad}");
    }
}

#[test]
fn of_stored_rules_with_one_name_the_later_is_dropped() {
    let rule = |path: &str| format!("{{name: a, matches: [{{path: {{value: {path}}}}}], backendRefs: [{{name: v1, port: 80}}]}}");
    let world = world(&format!("rules: [{}, {}]", rule("/first"), rule("/second")));
    assert_eq!(world.condition("HTTPRoute infra/r", "PartiallyInvalid"), "UnsupportedValue");
    assert_eq!(world.get("http://h/first", &[]), "infra/v1:80 /first");
    assert_eq!(world.get("http://h/second", &[]), "500");
}

#[test]
fn a_stored_route_that_violates_the_schema_beside_its_rules_is_not_accepted() {
    let world = world("hostnames: [a.com, 'a..com'], rules: [{backendRefs: [{name: v1, port: 80}]}]");
    assert_eq!(world.condition("HTTPRoute infra/r", "Accepted"), "!UnsupportedValue");
    assert_eq!(world.condition("HTTPRoute infra/r", "PartiallyInvalid"), "absent");
    let message = world.message("HTTPRoute infra/r", "Accepted");
    assert!(message.starts_with("spec.hostnames[1]: expected a lower-case host name"), "{message}");
    assert!(message.ends_with("; requests that its matches take are answered 500"), "{message}");
    assert_eq!(world.get("http://a.com/", &[]), "500");
    assert_eq!(world.attached("infra/gw", "http"), 0);
}

/// §4.9: what was dropped "should not let its traffic fall to a less specific rule silently where that is a security concern", be it one rule
/// of a route or all of them.
#[test]
fn what_a_route_matches_that_is_not_accepted_falls_to_no_other_route() {
    let lax = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: lax, namespace: infra}
spec: {parentRefs: [{name: gw}], rules: [{backendRefs: [{name: v1, port: 80}]}]}
";
    let strict = |more: &str, filter: &str| {
        format!(
            "
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: strict, namespace: infra}}
spec:
  parentRefs: [{{name: gw}}]
  {more}
  rules:
  - {{matches: [{{path: {{value: /admin}}}}], filters: [{{{filter}}}], backendRefs: [{{name: v1, port: 80}}]}}
"
        )
    };
    let fine = strict("", "type: RequestHeaderModifier, requestHeaderModifier: {remove: [a]}");
    let unknown = strict("", "type: NobodyKnows");
    let violating = strict("hostnames: [h, 'a..com']", "type: RequestHeaderModifier, requestHeaderModifier: {remove: [a]}");
    let mut world = World::of(&format!("{GATEWAY}{lax}{}", service("infra", "v1", "10.0.0.1")));
    for (bad, host) in [(&unknown, "*"), (&violating, "h")] {
        world.put(bad);
        assert_eq!(world.condition("HTTPRoute infra/strict", "Accepted"), "!UnsupportedValue");
        let message = world.message("HTTPRoute infra/strict", "Accepted");
        assert!(message.ends_with("; requests that its matches take are answered 500"), "{message}");
        assert_eq!(world.attached("infra/gw", "http"), 1, "it is not attached all the same");
        assert_eq!(world.get("http://h/admin", &[]), "500");
        let explained = world.explained("GET", "http://h/admin", &[]).to_string();
        assert!(
            explained.contains(&format!("HTTPRoute infra/strict rule 0 match 0, host {host}, prefix /admin: wins")),
            "{explained}"
        );
        assert_eq!(world.get("http://h/", &[]), "infra/v1:80 /");
        world.put(&fine);
        assert_eq!((world.attached("infra/gw", "http"), world.get("http://h/admin", &[]).as_str()), (2, "infra/v1:80 /admin"));
    }
    world.put(&unknown);
    world.remove("HTTPRoute infra/strict");
    assert_eq!(world.get("http://h/admin", &[]), "infra/v1:80 /admin", "it is not stated any more");
    // Whom a listener does not take has no say there at all.
    world.put(&unknown.replace("{name: gw}", "{name: gw, sectionName: other}"));
    assert_eq!(world.condition("HTTPRoute infra/strict", "Accepted"), "!NoMatchingParent");
    assert_eq!(world.get("http://h/admin", &[]), "infra/v1:80 /admin");
}
