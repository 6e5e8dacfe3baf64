//! What the schema leaves open, and what is to be a condition rather than a refusal: the object is read, and its condition says it.

use super::super::world::{World, service};

/// The condition of an object among these manifests.
struct Case {
    rule: &'static str,
    manifest: String,
    object: &'static str,
    condition: &'static str,
    verdict: &'static str,
    part: &'static str,
}

fn gateway(fields: &str) -> String {
    format!(
        "---\n{{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {{name: x, namespace: team}}, spec: {{gatewayClassName: c, {fields}}}}}\n"
    )
}

fn route(rule: &str) -> String {
    format!(
        "---\n{{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {{name: x, namespace: team}}, spec: {{parentRefs: [{{name: gw}}], rules: [{{{rule}}}]}}}}\n"
    )
}

fn of_gateway(rule: &'static str, fields: &str, object: &'static str, verdict: &'static str, part: &'static str) -> Case {
    Case { rule, manifest: gateway(fields), object, condition: "Accepted", verdict, part }
}

fn of_route(rule: &'static str, fields: &str, part: &'static str) -> Case {
    Case { rule, manifest: route(fields), object: "HTTPRoute team/x", condition: "Accepted", verdict: "!UnsupportedValue", part }
}

fn cases() -> Vec<Case> {
    let backend = "backendRefs: [{name: b, port: 80}]";
    let rewrite = "filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]";
    vec![
        of_gateway(
            "an unknown protocol",
            "listeners: [{name: a, port: 80, protocol: example.com/mine}]",
            "Gateway team/x#a",
            "!UnsupportedProtocol",
            "example.com/mine",
        ),
        of_gateway(
            "an unknown mode of TLS",
            "listeners: [{name: a, port: 443, protocol: HTTPS, tls: {mode: Later, certificateRefs: [{name: s}]}}]",
            "Gateway team/x#a",
            "!UnsupportedValue",
            "Later",
        ),
        of_gateway(
            "unknown namespaces of routes",
            "listeners: [{name: a, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Later}}}]",
            "Gateway team/x#a",
            "!UnsupportedValue",
            "from: Later is unknown",
        ),
        of_gateway(
            "an unknown type of address",
            "listeners: [{name: a, port: 80, protocol: HTTP}], addresses: [{type: example.com/mine, value: a}]",
            "Gateway team/x",
            "!UnsupportedAddress",
            "example.com/mine",
        ),
        of_route("an unknown method", &format!("matches: [{{method: LATER}}], {backend}"), "LATER"),
        of_route("an unknown type of path", &format!("matches: [{{path: {{type: Later, value: a}}}}], {backend}"), "Later"),
        of_route(
            "an unknown type of header match",
            &format!("matches: [{{headers: [{{type: Later, name: a, value: b}}]}}], {backend}"),
            "Later",
        ),
        of_route(
            "an expression nobody can compile",
            &format!("matches: [{{path: {{type: RegularExpression, value: '('}}}}], {backend}"),
            "cannot be used",
        ),
        of_route("an unknown filter", &format!("filters: [{{type: Later}}], {backend}"), "Later"),
        of_route(
            "an unknown status of a redirect",
            "filters: [{type: RequestRedirect, requestRedirect: {statusCode: 418}}]",
            "418",
        ),
        of_route(
            "an unknown scheme of a redirect",
            "filters: [{type: RequestRedirect, requestRedirect: {scheme: gopher}}]",
            "gopher",
        ),
        of_route(
            "an unknown type of path modifier",
            &format!("filters: [{{type: URLRewrite, urlRewrite: {{path: {{type: Later}}}}}}], {backend}"),
            "Later",
        ),
        of_route(
            "a prefix replaced where several matches are",
            &format!("matches: [{{path: {{value: /a}}}}, {{path: {{value: /b}}}}], {rewrite}, {backend}"),
            "ReplacePrefixMatch",
        ),
        of_route(
            "a prefix replaced where no prefix is matched",
            &format!("matches: [{{path: {{type: Exact, value: /a}}}}], {rewrite}, {backend}"),
            "ReplacePrefixMatch",
        ),
        of_route("an unknown type of session", &format!("sessionPersistence: {{type: Later}}, {backend}"), ""),
    ]
}

/// What each case is about, by the kind of its object.
pub(super) fn rules() -> Vec<(&'static str, &'static str)> {
    cases().iter().map(|case| (case.object.split(' ').next().unwrap_or_default(), case.rule)).collect()
}

#[test]
fn what_the_schema_leaves_open_becomes_a_condition() {
    let shared = gateway("listeners: [{name: http, port: 8080, protocol: HTTP}]").replace("name: x", "name: gw");
    for Case { rule, manifest, object, condition, verdict, part } in cases() {
        let world = World::of(&format!("{shared}{manifest}{}", service("team", "b", "10.0.0.1")));
        assert_eq!(world.condition(object, condition), verdict, "{rule}: {}", world.message(object, condition));
        let message = world.message(object, condition);
        assert!(message.contains(part), "{rule}: {message:?} should hold {part:?}");
    }
}
