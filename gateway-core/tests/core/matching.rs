//! Which rule wins (`HTTPRouteRule.Matches`, `HTTPRouteSpec.Hostnames`), from manifests to decisions.

use super::world::{World, service};

const GATEWAY: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: infra}
spec:
  gatewayClassName: c
  listeners: [{name: http, port: 80, protocol: HTTP}, {name: one, port: 81, protocol: HTTP, hostname: abc.example.com}, {name: wide, port: 82, protocol: HTTP, hostname: '*.example.com'}]
";

/// Routes `(name, metadata, hostnames, rules)`, each backend name a Service.
fn world(routes: &[(&str, &str, &str, &str)]) -> World {
    let mut text = GATEWAY.to_owned();
    for (name, meta, hosts, rules) in routes {
        text += &format!(
            "
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}, namespace: infra{meta}}}
spec: {{parentRefs: [{{name: gw}}], hostnames: {hosts}, rules: [{rules}]}}
"
        );
    }
    for name in ["v1", "v2", "v3", "v4"] {
        text += &service("infra", name, "10.0.0.1");
    }
    World::of(&text)
}

fn to(backend: &str, matches: &str) -> String {
    format!("{{matches: [{matches}], backendRefs: [{{name: {backend}, port: 80}}]}}")
}

/// Which Service answers, or the status code.
fn winner(world: &World, method: &str, url: &str, headers: &[&str]) -> String {
    let answer = world.request(method, url, headers);
    answer.strip_prefix("infra/").and_then(|rest| rest.split(':').next()).unwrap_or(&answer).to_owned()
}

#[test]
fn paths_match_exactly_or_by_whole_segments() {
    let rules = [
        to("v1", "{path: {type: Exact, value: /two}}"),
        to("v2", "{path: {value: /v2/}}"),
        to("v3", "{path: {type: RegularExpression, value: '/re/[0-9]+'}}"),
    ]
    .join(", ");
    let world = world(&[("r", "", "[]", &rules)]);
    let rows = [
        ("/two", "v1"),
        ("/two/", "404"),
        ("/Two", "404"),
        ("/v2", "v2"),
        ("/v2/", "v2"),
        ("/v2/example", "v2"),
        ("/v2example", "404"),
        ("/re/42", "v3"),
        ("/re/42/x", "404"),
        ("/x/re/42", "404"),
        ("/two?a=/v2", "v1"),
        ("/x/../two", "v1"),
        ("/%74wo", "v1"),
        ("//two", "v1"),
        ("/v2%2Fexample", "404"),
        ("/v2/../../two", "v1"),
    ];
    for (path, expected) in rows {
        assert_eq!(winner(&world, "GET", &format!("http://h{path}"), &[]), expected, "{path}");
    }
}

#[test]
fn precedence_is_path_then_method_then_headers_then_queries_then_age_then_name_then_order() {
    let rows = [
        (
            "an exact path before a longer expression and prefixes",
            "{path: {type: Exact, value: /a/b}}",
            "{path: {type: RegularExpression, value: '/a/b|zzzzzzzz'}}",
        ),
        ("an expression before a prefix", "{path: {type: RegularExpression, value: '/a.*'}}", "{path: {value: /a/b}}"),
        ("the longer prefix", "{path: {value: /a/b}}", "{path: {value: /a}, method: GET, headers: [{name: x, value: '1'}]}"),
        (
            "a method before headers",
            "{path: {value: /a}, method: GET}",
            "{path: {value: /a}, headers: [{name: x, value: '1'}, {name: z, value: '2'}]}",
        ),
        (
            "more headers before queries",
            "{path: {value: /a}, headers: [{name: x, value: '1'}]}",
            "{path: {value: /a}, queryParams: [{name: q, value: '1'}, {name: p, value: '2'}]}",
        ),
        (
            "more headers",
            "{path: {value: /a}, headers: [{name: x, value: '1'}, {name: z, value: '2'}]}",
            "{path: {value: /a}, headers: [{name: x, value: '1'}]}",
        ),
        (
            "more queries",
            "{path: {value: /a}, queryParams: [{name: q, value: '1'}, {name: p, value: '2'}]}",
            "{path: {value: /a}, queryParams: [{name: q, value: '1'}]}",
        ),
    ];
    for (why, better, worse) in rows {
        for (first, second) in [(("a", "v1", better), ("b", "v2", worse)), (("a", "v2", worse), ("b", "v1", better))] {
            let world = world(&[(first.0, "", "[]", &to(first.1, first.2)), (second.0, "", "[]", &to(second.1, second.2))]);
            assert_eq!(winner(&world, "GET", "http://h/a/b?q=1&p=2", &["x: 1", "z: 2"]), "v1", "{why}");
        }
    }
    let same = "{path: {value: /a}}";
    let young = ", creationTimestamp: '2026-01-02T00:00:00Z'";
    let old = ", creationTimestamp: '2026-01-01T00:00:00Z'";
    let by_age =
        world(&[("a", young, "[]", &to("v2", same)), ("b", old, "[]", &to("v1", same)), ("c", "", "[]", &to("v3", same))]);
    assert_eq!(winner(&by_age, "GET", "http://h/a", &[]), "v1", "the older route, and none is youngest");
    let ordered = world(&[
        ("a", old, "[]", &to("v2", same)),
        ("b", ", annotations: {pingora-gateway.dev/order: '-1'}", "[]", &to("v1", same)),
    ]);
    assert_eq!(winner(&ordered, "GET", "http://h/a", &[]), "v1", "a stated order goes before ages");
    let by_name = world(&[("b", old, "[]", &to("v2", same)), ("a", old, "[]", &to("v1", same))]);
    assert_eq!(winner(&by_name, "GET", "http://h/a", &[]), "v1", "then the first by name");
}

#[test]
fn http_route_rule_order_the_earlier_wins_even_when_its_backend_does_not_exist() {
    let (one, other) = (
        "{headers: [{name: a, value: '1'}, {name: b, value: '2'}]}",
        "{headers: [{name: b, value: '2'}, {name: a, value: '1'}]}",
    );
    let good = world(&[("r", "", "[]", &format!("{}, {}", to("v1", one), to("v2", other)))]);
    assert_eq!(winner(&good, "GET", "http://h/", &["a: 1", "b: 2"]), "v1");
    let broken = world(&[("r", "", "[]", &format!("{}, {}", to("missing", one), to("v2", other)))]);
    assert_eq!(winner(&broken, "GET", "http://h/", &["a: 1", "b: 2"]), "500");
    assert_eq!(broken.condition("HTTPRoute infra/r", "ResolvedRefs"), "!BackendNotFound");
}

/// On listeners of both sorts of names.
#[test]
fn http_route_multiple_routes_attachment_same_hostname_intersection() {
    for (port, worse, better) in [(81, "'*.example.com'", "abc.example.com"), (82, "'*.com'", "'*.example.com'")] {
        let world = world(&[
            (
                "older",
                ", creationTimestamp: '2026-01-01T00:00:00Z'",
                &format!("[{worse}]"),
                &format!(
                    "{}, {}",
                    to("v1", "{path: {value: /path/prefix}}"),
                    to("v1", "{path: {value: /path/prefix}, headers: [{name: b, value: '1'}]}")
                ),
            ),
            (
                "younger",
                ", creationTimestamp: '2026-01-02T00:00:00Z'",
                &format!("[{better}]"),
                &to("v2", "{path: {value: /path}, headers: [{name: a, value: '1'}]}"),
            ),
        ]);
        let url = format!("http://abc.example.com:{port}/path/prefix/longer");
        assert_eq!(winner(&world, "GET", &url, &["a: 1", "b: 1"]), "v2", "the better hostname before the longer path");
        assert_eq!(winner(&world, "GET", &url, &["b: 1"]), "v1", "no rule of the better tier matches, so the next is asked");
    }
}

#[test]
fn hosts_are_compared_without_port_and_case() {
    let world = world(&[("r", "", "[very.specific.com]", &to("v1", "{path: {value: /}}"))]);
    for host in ["very.specific.com", "VERY.specific.COM", "very.specific.com."] {
        assert_eq!(winner(&world, "GET", &format!("http://{host}/"), &[]), "v1", "{host}");
    }
    assert_eq!(winner(&world, "GET", "http://specific.com/", &[]), "404");
}

#[test]
fn of_equivalent_criteria_only_the_first_counts() {
    let rules =
        to("v1", "{headers: [{name: Color, value: blue}, {name: color, value: red}], queryParams: [{name: q, value: '1'}]}");
    let world = world(&[("r", "", "[]", &rules)]);
    assert_eq!(winner(&world, "GET", "http://h/?q=1&q=2", &["color: blue"]), "v1");
    assert_eq!(winner(&world, "GET", "http://h/?q=2&q=1", &["color: blue"]), "404", "of a repeated parameter the first value");
    assert_eq!(winner(&world, "GET", "http://h/?q=1", &["color: red"]), "404");
    assert_eq!(winner(&world, "GET", "http://h/?Q=1", &["color: blue"]), "404", "parameter names are case-sensitive");
}

#[test]
fn methods_are_exact_and_head_is_not_get() {
    let world = world(&[("r", "", "[]", &format!("{}, {}", to("v1", "{method: GET}"), to("v2", "{method: PATCH}")))]);
    let rows = [("GET", "v1"), ("PATCH", "v2"), ("HEAD", "404"), ("get", "404"), ("CONNECT", "405"), ("TRACE", "405")];
    for (method, expected) in rows {
        assert_eq!(winner(&world, method, "http://h/", &[]), expected, "{method}");
    }
}

#[test]
fn a_rule_with_a_bad_expression_is_dropped_and_the_others_serve() {
    let world = world(&[(
        "r",
        "",
        "[]",
        &format!(
            "{}, {}",
            to("v1", "{path: {type: RegularExpression, value: '('}}, {path: {value: /also}}"),
            to("v2", "{path: {value: /}}")
        ),
    )]);
    assert_eq!(world.condition("HTTPRoute infra/r", "Accepted"), "Accepted");
    assert_eq!(world.condition("HTTPRoute infra/r", "PartiallyInvalid"), "UnsupportedValue");
    let message = world.message("HTTPRoute infra/r", "PartiallyInvalid");
    assert!(message.starts_with("Dropped Rule") && message.contains("rule 0"), "{message}");
    assert_eq!(winner(&world, "GET", "http://h/also", &[]), "500", "its other matches do not fall to a rule not meant for them");
    assert_eq!(winner(&world, "GET", "http://h/else", &[]), "v2");
}

#[test]
fn a_match_with_a_bad_criterion_keeps_its_path_and_answers_500() {
    let bad = "{path: {type: Exact, value: /admin}, headers: [{name: x, type: RegularExpression, value: '('}]}";
    let world = world(&[("r", "", "[]", &format!("{}, {}", to("v1", bad), to("v2", "{path: {value: /}}")))]);
    assert_eq!(winner(&world, "GET", "http://h/admin", &[]), "500");
    assert_eq!(winner(&world, "GET", "http://h/else", &[]), "v2");
}

#[test]
fn a_route_all_of_whose_rules_are_invalid_is_not_accepted() {
    let world = world(&[("r", "", "[]", &to("v1", "{path: {type: RegularExpression, value: '('}}"))]);
    assert_eq!(world.condition("HTTPRoute infra/r", "Accepted"), "!UnsupportedValue");
    assert_eq!(world.condition("HTTPRoute infra/r", "PartiallyInvalid"), "absent");
    assert_eq!(world.attached("infra/gw", "http"), 0);
    assert_eq!(winner(&world, "GET", "http://h/", &[]), "404");
}
