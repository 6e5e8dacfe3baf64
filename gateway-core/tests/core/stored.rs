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
    assert_eq!(world.get("http://a.com/", &[]), "404");
    assert_eq!(world.attached("infra/gw", "http"), 0);
}
