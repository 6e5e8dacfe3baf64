//! The rows of the conformance suite on HTTPRoutes that values decide, each as a test of its own: what its manifests ask for and
//! which of its requests come to what. Those on parents, listeners, mirrors,
//! origins, time limits and retries stand in `http_more_rows`.

use gateway_core::decide::Task;
use gateway_core::snapshot::filters::HeaderEdit;

use super::certificates::secret;
use super::world::{World, service};

const GATEWAY: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: same-namespace, namespace: infra}
spec:
  gatewayClassName: c
  listeners:
  - {name: http, port: 80, protocol: HTTP}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: all-namespaces, namespace: infra}
spec:
  gatewayClassName: c
  listeners:
  - {name: http, port: 8080, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: https, namespace: infra}
spec:
  gatewayClassName: c
  listeners:
  - {name: https, port: 443, protocol: HTTPS, hostname: second-example.org, tls: {certificateRefs: [{name: cert}]}}
  - {name: https-other, port: 443, protocol: HTTPS, hostname: example.org, tls: {certificateRefs: [{name: cert}]}}
";

pub(super) fn route(namespace: &str, name: &str, spec: &str) -> String {
    format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{{spec}}}
"
    )
}

pub(super) fn world(routes: &[String]) -> World {
    let mut text = GATEWAY.to_owned() + &routes.concat() + &secret("infra", "cert", "example.org");
    for (namespace, names) in [("infra", ["v1", "v2", "v3"]), ("web", ["backend", "other", "more"])] {
        for (last, name) in names.iter().enumerate() {
            text += &service(namespace, name, &format!("10.0.0.{last}"));
        }
    }
    World::of(&text)
}

/// Rules on `same-namespace`.
pub(super) fn ruled(rules: &[&str]) -> World {
    world(&[route("infra", "r", &format!("parentRefs: [{{name: same-namespace}}], rules: [{}]", rules.join(", ")))])
}

pub(super) fn answers(world: &World, rows: &[(&str, &[&str], &str)]) {
    for (url, headers, expected) in rows {
        let answer = world.get(url, headers);
        let answer = if expected.contains(' ') { answer } else { answer.split(' ').next().unwrap_or_default().to_owned() };
        assert_eq!(answer, *expected, "{url} {headers:?}");
    }
}

pub(super) const V1: &str = "backendRefs: [{name: v1, port: 80}]";
pub(super) const V2: &str = "backendRefs: [{name: v2, port: 80}]";

#[test]
fn http_route_simple_same_namespace() {
    let world = ruled(&[&format!("{{{V1}}}")]);
    answers(&world, &[("http://h/", &[], "infra/v1:80")]);
    assert_eq!(world.condition("HTTPRoute infra/r", "Accepted"), "Accepted");
    assert_eq!(world.condition("HTTPRoute infra/r", "ResolvedRefs"), "ResolvedRefs");
}

#[test]
fn http_route_cross_namespace_attaches_and_serves() {
    let parent = "parentRefs: [{name: all-namespaces, namespace: infra}]";
    let world = world(&[route("web", "r", &format!("{parent}, rules: [{{backendRefs: [{{name: backend, port: 80}}]}}]"))]);
    answers(&world, &[("http://h:8080/", &[], "web/backend:80")]);
    let refused = self::world(&[route("web", "r", "parentRefs: [{name: same-namespace, namespace: infra}]")]);
    assert_eq!(refused.condition("HTTPRoute web/r", "Accepted"), "!NotAllowedByListeners");
    assert_eq!(refused.condition("HTTPRoute web/r", "ResolvedRefs"), "ResolvedRefs");
    assert_eq!(refused.attached("infra/same-namespace", "http"), 0);
}

#[test]
fn http_route_exact_path_matching() {
    let exact = |path: &str, to: &str| format!("{{matches: [{{path: {{type: Exact, value: {path}}}}}], {to}}}");
    let world = ruled(&[&exact("/one", V1), &exact("/two", V2)]);
    answers(
        &world,
        &[
            ("http://h/one", &[], "infra/v1:80"),
            ("http://h/two", &[], "infra/v2:80"),
            ("http://h/", &[], "404"),
            ("http://h/one/example", &[], "404"),
            ("http://h/two/", &[], "404"),
            ("http://h/Two", &[], "404"),
        ],
    );
}

#[test]
fn http_route_matching_by_prefix_elements_and_headers() {
    let world = ruled(&[
        &format!("{{matches: [{{path: {{value: /}}}}, {{headers: [{{name: version, value: one}}]}}], {V1}}}"),
        &format!("{{matches: [{{path: {{value: /v2}}}}, {{headers: [{{name: version, value: two}}]}}], {V2}}}"),
    ]);
    answers(
        &world,
        &[
            ("http://h/", &[], "infra/v1:80"),
            ("http://h/example", &[], "infra/v1:80"),
            ("http://h/", &["version: one"], "infra/v1:80"),
            ("http://h/v2", &[], "infra/v2:80"),
            ("http://h/v2/", &[], "infra/v2:80"),
            ("http://h/v2/example", &[], "infra/v2:80"),
            ("http://h/v2example", &[], "infra/v1:80"),
            ("http://h/foo/v2/example", &[], "infra/v1:80"),
            ("http://h/", &["version: two"], "infra/v2:80"),
        ],
    );
}

#[test]
fn http_route_matching_across_routes() {
    let parents = "parentRefs: [{name: same-namespace}]";
    let world = world(&[
        route(
            "infra",
            "part1",
            &format!(
                "{parents}, hostnames: [example.com, example.net], rules: [{{matches: [{{path: {{value: /}}}}, {{headers: [{{name: version, value: one}}]}}], {V1}}}]"
            ),
        ),
        route(
            "infra",
            "part2",
            &format!(
                "{parents}, hostnames: [example.com], rules: [{{matches: [{{path: {{value: /v2}}}}, {{headers: [{{name: version, value: two}}]}}], {V2}}}]"
            ),
        ),
    ]);
    answers(
        &world,
        &[
            ("http://example.com/", &[], "infra/v1:80"),
            ("http://example.com/", &["version: one"], "infra/v1:80"),
            ("http://example.net/example", &[], "infra/v1:80"),
            ("http://example.net/v2", &[], "infra/v1:80"),
            ("http://example.com/v2", &[], "infra/v2:80"),
            ("http://example.com/v2example", &[], "infra/v1:80"),
            ("http://example.com/", &["version: two"], "infra/v2:80"),
            ("http://example.net/", &["version: two"], "infra/v1:80"),
        ],
    );
}

#[test]
fn http_route_path_match_order_does_not_depend_on_the_list() {
    let rule = |kind: &str, path: &str, to: &str| {
        format!("{{matches: [{{path: {{type: {kind}, value: {path}}}}}], backendRefs: [{{name: {to}, port: 80}}]}}")
    };
    let rules = [
        rule("PathPrefix", "/match/prefix", "v1"),
        rule("PathPrefix", "/match/prefix/one", "v2"),
        rule("PathPrefix", "/match", "v3"),
        rule("PathPrefix", "/match/exact/one", "v3"),
        rule("Exact", "/match/exact/one", "v1"),
        rule("Exact", "/match/exact", "v2"),
    ];
    let reversed: Vec<&str> = rules.iter().rev().map(String::as_str).collect();
    for rules in [rules.iter().map(String::as_str).collect::<Vec<_>>(), reversed] {
        answers(
            &ruled(&rules),
            &[
                ("http://h/match/exact/one", &[], "infra/v1:80"),
                ("http://h/match/exact", &[], "infra/v2:80"),
                ("http://h/match/exact/one/x", &[], "infra/v3:80"),
                ("http://h/match", &[], "infra/v3:80"),
                ("http://h/match/prefix/one/any", &[], "infra/v2:80"),
                ("http://h/match/prefix/any", &[], "infra/v1:80"),
                ("http://h/match/any", &[], "infra/v3:80"),
            ],
        );
    }
}

#[test]
fn http_route_header_matching() {
    let rule = |matches: &str, to: &str| format!("{{matches: [{matches}], {to}}}");
    let header = |name: &str, value: &str| format!("{{name: {name}, value: {value}}}");
    let (one, two) = (header("version", "one"), header("version", "two"));
    let both = format!("{{headers: [{two}, {}]}}", header("color", "orange"));
    let either = format!("{{headers: [{}]}}, {{headers: [{}]}}", header("color", "blue"), header("color", "green"));
    let world = ruled(&[
        &rule(&format!("{{headers: [{one}]}}"), V1),
        &rule(&format!("{{headers: [{two}]}}"), V2),
        &rule(&both, V1),
        &rule(&either, V1),
        &rule(&format!("{{headers: [{}]}}, {{headers: [{}]}}", header("color", "red"), header("color", "yellow")), V2),
    ]);
    answers(
        &world,
        &[
            ("http://h/", &["Version: one"], "infra/v1:80"),
            ("http://h/", &["version: two"], "infra/v2:80"),
            ("http://h/", &["version: two", "color: orange"], "infra/v1:80"),
            ("http://h/", &["color: blue"], "infra/v1:80"),
            ("http://h/", &["color: green"], "infra/v1:80"),
            ("http://h/", &["color: red"], "infra/v2:80"),
            ("http://h/", &["color: yellow"], "infra/v2:80"),
            ("http://h/", &["color: purple"], "404"),
            ("http://h/", &["color: orange"], "404"),
            ("http://h/", &["some-other-header: one"], "404"),
            ("http://h/", &[], "404"),
        ],
    );
}

#[test]
fn http_route_query_param_matching() {
    let param = |name: &str, value: &str| format!("{{name: {name}, value: {value}}}");
    let world = ruled(&[
        &format!("{{matches: [{{queryParams: [{}]}}], {V1}}}", param("animal", "whale")),
        &format!("{{matches: [{{queryParams: [{}, {}]}}], {V2}}}", param("animal", "dolphin"), param("color", "blue")),
        &format!("{{matches: [{{path: {{value: /path}}, queryParams: [{}]}}], {V2}}}", param("animal", "whale")),
        &format!(
            "{{matches: [{{headers: [{{name: version, value: one}}], queryParams: [{}]}}], {V2}}}",
            param("animal", "whale")
        ),
    ]);
    answers(
        &world,
        &[
            ("http://h/?animal=whale", &[], "infra/v1:80"),
            ("http://h/?animal=whale&otherparam=irrelevant", &[], "infra/v1:80"),
            ("http://h/?animal=dolphin&color=blue", &[], "infra/v2:80"),
            ("http://h/?color=blue&animal=dolphin", &[], "infra/v2:80"),
            ("http://h/path?animal=whale", &[], "infra/v2:80"),
            ("http://h/?animal=whale", &["version: one"], "infra/v2:80"),
            ("http://h/?ANIMAL=whale", &[], "404"),
            ("http://h/?animal=Whale", &[], "404"),
            ("http://h/?animal=dolphin", &[], "404"),
            ("http://h/?animal=shark", &[], "404"),
            ("http://h/", &[], "404"),
        ],
    );
}

#[test]
fn http_route_method_matching() {
    let world = ruled(&[
        &format!("{{matches: [{{method: POST}}], {V1}}}"),
        &format!("{{matches: [{{method: GET}}], {V2}}}"),
        &format!("{{matches: [{{method: GET, path: {{value: /path1}}}}, {{path: {{value: /path5}}, method: PATCH}}], {V1}}}"),
        &format!("{{matches: [{{headers: [{{name: version, value: one}}]}}], {V1}}}"),
    ]);
    let rows: [(&str, &str, &[&str], &str); 8] = [
        ("POST", "/", &[], "infra/v1:80"),
        ("GET", "/", &[], "infra/v2:80"),
        ("HEAD", "/", &[], "404"),
        ("PUT", "/", &[], "404"),
        ("GET", "/path1", &[], "infra/v1:80"),
        ("PATCH", "/path5", &[], "infra/v1:80"),
        ("PUT", "/path1", &["version: one"], "infra/v1:80"),
        ("GET", "/path3", &["version: one"], "infra/v2:80"),
    ];
    for (method, path, headers, expected) in rows {
        let answer = world.request(method, &format!("http://h{path}"), headers);
        assert_eq!(answer.split(' ').next(), Some(expected), "{method} {path} {headers:?}");
    }
}

#[test]
fn http_route_named_rule() {
    let world = ruled(&[
        &format!("{{name: named-rule, matches: [{{path: {{value: /named}}}}], {V1}}}"),
        &format!("{{matches: [{{path: {{value: /unnamed}}}}], {V2}}}"),
    ]);
    answers(&world, &[("http://h/named", &[], "infra/v1:80"), ("http://h/unnamed", &[], "infra/v2:80")]);
    let named = world.forwarded("GET", "http://h/named", &[]).rule;
    assert_eq!(named.id.to_string(), "HTTPRoute infra/r rule 0 (named-rule)", "logs and metrics can name it");
    let explained = world.explained("GET", "http://h/named", &[]);
    assert_eq!(explained.candidates[0].rule_name.as_deref(), Some("named-rule"));
    let twice = ruled(&[
        &format!("{{name: same, matches: [{{path: {{value: /first}}}}], {V1}}}"),
        &format!("{{name: same, matches: [{{path: {{value: /second}}}}], {V2}}}"),
    ]);
    assert_eq!(twice.condition("HTTPRoute infra/r", "PartiallyInvalid"), "UnsupportedValue", "names are unique in a route");
}

#[test]
fn http_route_no_backend_refs() {
    let world = ruled(&["{matches: [{path: {value: /omitted}}]}", "{matches: [{path: {value: /empty}}], backendRefs: []}"]);
    answers(&world, &[("http://h/omitted", &[], "500"), ("http://h/empty", &[], "500")]);
    assert_eq!(world.condition("HTTPRoute infra/r", "ResolvedRefs"), "ResolvedRefs");
    assert_eq!(world.condition("HTTPRoute infra/r", "Accepted"), "Accepted");
}

#[test]
fn http_route_observed_generation_bump() {
    let at = |generation: i64, to: &str| {
        route("infra", "r", &format!("parentRefs: [{{name: same-namespace}}], rules: [{{{to}}}]"))
            .replace("namespace: infra}", &format!("namespace: infra, generation: {generation}}}"))
    };
    let mut world = world(&[at(1, V1)]);
    world.put(&at(2, V2));
    answers(&world, &[("http://h/", &[], "infra/v2:80")]);
    let status = &world.compiler.statuses()[&super::world::id("HTTPRoute infra/r")];
    let conditions: Vec<_> = status.parts().into_iter().flat_map(|(_, conditions)| conditions).collect();
    assert_eq!(conditions.len(), 2);
    assert!(conditions.iter().all(|condition| condition.observed_generation == 2));
}

/// A route with a reference that leads nowhere is accepted, counted, and answers 500.
fn invalid_reference(reference: &str, reason: &str) {
    let world = ruled(&[&format!("{{backendRefs: [{reference}]}}")]);
    assert_eq!(world.condition("HTTPRoute infra/r", "ResolvedRefs"), reason);
    assert_eq!(world.condition("HTTPRoute infra/r", "Accepted"), "Accepted");
    assert_eq!(world.attached("infra/same-namespace", "http"), 1);
    answers(&world, &[("http://h/", &[], "500")]);
}

#[test]
fn http_route_invalid_non_existent_backend_ref() {
    invalid_reference("{name: missing, port: 80}", "!BackendNotFound");
}

#[test]
fn http_route_invalid_backend_ref_unknown_kind() {
    invalid_reference("{name: v1, group: invalid.io, kind: Nonexistent, port: 80}", "!InvalidKind");
}

#[test]
fn http_route_invalid_cross_namespace_backend_ref() {
    invalid_reference("{name: backend, namespace: web, port: 80}", "!RefNotPermitted");
}

fn grant(from: &str, kind: &str, to: &str) -> String {
    format!(
        "{{apiVersion: gateway.networking.k8s.io/v1beta1, kind: ReferenceGrant, metadata: {{name: g, namespace: web}}, spec: {{from: [{{group: gateway.networking.k8s.io, kind: {kind}, namespace: {from}}}], to: [{{group: '', kind: Service, name: {to}}}]}}}}"
    )
}

/// Several at once: from another namespace, for another kind, to another name, each right in all else.
#[test]
fn http_route_invalid_reference_grant() {
    let mut world = ruled(&["{backendRefs: [{name: backend, namespace: web, port: 80}]}"]);
    for (at, (from, kind, to)) in
        [("web", "HTTPRoute", "backend"), ("infra", "Gateway", "backend"), ("infra", "HTTPRoute", "other")]
            .into_iter()
            .enumerate()
    {
        world.put(&grant(from, kind, to).replace("name: g,", &format!("name: g{at},")));
        assert_eq!(world.condition("HTTPRoute infra/r", "ResolvedRefs"), "!RefNotPermitted", "{from} {kind} {to}");
        answers(&world, &[("http://h/", &[], "500")]);
    }
}

#[test]
fn http_route_reference_grant() {
    let mut world = ruled(&["{backendRefs: [{name: backend, namespace: web, port: 80}]}"]);
    world.put(&grant("infra", "HTTPRoute", "backend"));
    assert_eq!(world.condition("HTTPRoute infra/r", "ResolvedRefs"), "ResolvedRefs");
    answers(&world, &[("http://h/", &[], "web/backend:80")]);
    world.remove("ReferenceGrant web/g");
    assert_eq!(world.condition("HTTPRoute infra/r", "ResolvedRefs"), "!RefNotPermitted");
    answers(&world, &[("http://h/", &[], "500")]);
}

#[test]
fn http_route_partially_invalid_via_invalid_reference_grant() {
    let world = ruled(&[
        "{matches: [{path: {value: /v2}}], backendRefs: [{name: backend, namespace: web, port: 80}]}",
        &format!("{{{V1}}}"),
    ]);
    assert_eq!(world.condition("HTTPRoute infra/r", "Accepted"), "Accepted");
    assert_eq!(world.condition("HTTPRoute infra/r", "ResolvedRefs"), "!RefNotPermitted");
    assert_eq!(world.condition("HTTPRoute infra/r", "PartiallyInvalid"), "absent", "it is not about references");
    answers(&world, &[("http://h/v2", &[], "500"), ("http://h/", &[], "infra/v1:80")]);
}

#[test]
fn http_route_weight() {
    let world = ruled(&[
        "{backendRefs: [{name: v1, port: 80, weight: 70}, {name: v2, port: 80, weight: 30}, {name: v3, port: 80, weight: 0}]}",
    ]);
    let answers: Vec<_> = (0..500).map(|_| world.get("http://h/", &[])).collect();
    let share = |name: &str| answers.iter().filter(|answer| answer.starts_with(name)).count();
    assert_eq!((share("infra/v1"), share("infra/v2"), share("infra/v3")), (350, 150, 0));
}

#[test]
fn http_route_multiple_gateways() {
    let both = "parentRefs: [{name: same-namespace}, {name: all-namespaces}]";
    let dedicated = "parentRefs: [{name: all-namespaces}]";
    let world = world(&[
        route("infra", "both", &format!("{both}, rules: [{{matches: [{{path: {{value: /shared}}}}], {V1}}}]")),
        route("infra", "own", &format!("{dedicated}, rules: [{{matches: [{{path: {{value: /own}}}}], {V2}}}]")),
    ]);
    answers(
        &world,
        &[
            ("http://h/shared", &[], "infra/v1:80"),
            ("http://h:8080/shared", &[], "infra/v1:80"),
            ("http://h:8080/own", &[], "infra/v2:80"),
            ("http://h/own", &[], "404"),
        ],
    );
}

#[test]
fn http_route_https_listener() {
    let own = |name: &str, section: &str, hosts: &str, to: &str| {
        route("infra", name, &format!("parentRefs: [{{name: https, sectionName: {section}}}]{hosts}, rules: [{{{to}}}]"))
    };
    let world = world(&[own("no-host", "https", "", V1), own("host", "https-other", ", hostnames: [example.org]", V2)]);
    answers(
        &world,
        &[
            ("https://second-example.org/", &[], "infra/v1:80"),
            ("https://example.org/", &[], "infra/v2:80"),
            ("https://unknown-example.org/", &[], "404"),
        ],
    );
}

#[test]
fn http_route_redirect_host_and_status() {
    let redirect = |path: &str, fields: &str| {
        format!("{{matches: [{{path: {{value: {path}}}}}], filters: [{{type: RequestRedirect, requestRedirect: {{{fields}}}}}]}}")
    };
    let world = ruled(&[
        &redirect("/hostname-redirect", "hostname: example.org"),
        &redirect("/host-and-status", "hostname: example.org, statusCode: 301"),
    ]);
    answers(
        &world,
        &[
            ("http://h/hostname-redirect", &[], "302 http://example.org/hostname-redirect"),
            ("http://h/host-and-status", &[], "301 http://example.org/host-and-status"),
        ],
    );
}

/// A POST is redirected with this status, and Location keeps its path.
fn redirected(status: u16) {
    let filter = format!("{{type: RequestRedirect, requestRedirect: {{hostname: example.org, statusCode: {status}}}}}");
    let world = ruled(&[&format!("{{filters: [{filter}]}}")]);
    assert_eq!(world.condition("HTTPRoute infra/r", "Accepted"), "Accepted");
    assert_eq!(world.request("POST", "http://h/some/path", &[]), format!("{status} http://example.org/some/path"));
}

#[test]
fn http_route_303_redirect() {
    redirected(303);
}

#[test]
fn http_route_307_redirect() {
    redirected(307);
}

#[test]
fn http_route_308_redirect() {
    redirected(308);
}

#[test]
fn http_route_redirect_path() {
    let redirect = |path: &str, fields: &str| {
        format!("{{matches: [{{path: {{value: {path}}}}}], filters: [{{type: RequestRedirect, requestRedirect: {{{fields}}}}}]}}")
    };
    let prefix = "path: {type: ReplacePrefixMatch, replacePrefixMatch: /replacement-prefix}";
    let full = "path: {type: ReplaceFullPath, replaceFullPath: /full-path-replacement}";
    let world = ruled(&[
        &redirect("/original-prefix", prefix),
        &redirect("/full", full),
        &redirect("/prefix-and-host", &format!("hostname: example.org, {prefix}")),
        &redirect("/prefix-and-status", &format!("statusCode: 301, {prefix}")),
        &redirect("/full-and-host", &format!("hostname: example.org, {full}")),
        &redirect("/full-and-status", &format!("statusCode: 301, {full}")),
    ]);
    answers(
        &world,
        &[
            ("http://h/original-prefix/lemon", &[], "302 http://h/replacement-prefix/lemon"),
            ("http://h/full/path/original", &[], "302 http://h/full-path-replacement"),
            ("http://h/prefix-and-host/lemon", &[], "302 http://example.org/replacement-prefix/lemon"),
            ("http://h/prefix-and-status/lemon", &[], "301 http://h/replacement-prefix/lemon"),
            ("http://h/full-and-host/lemon", &[], "302 http://example.org/full-path-replacement"),
            ("http://h/full-and-status/lemon", &[], "301 http://h/full-path-replacement"),
        ],
    );
}

/// Where redirects with these fields lead from `http://h/p`.
fn leads(rows: &[(&str, &str)]) {
    for (fields, expected) in rows {
        let redirect = format!("{{filters: [{{type: RequestRedirect, requestRedirect: {{{fields}}}}}]}}");
        answers(&ruled(&[&redirect]), &[("http://h/p", &[], expected)]);
    }
}

#[test]
fn http_route_redirect_port() {
    leads(&[
        ("port: 8083", "302 http://h:8083/p"),
        ("port: 8083, hostname: example.org", "302 http://example.org:8083/p"),
        ("port: 8083, statusCode: 301", "301 http://h:8083/p"),
        ("port: 8083, hostname: example.org, statusCode: 302", "302 http://example.org:8083/p"),
    ]);
}

#[test]
fn http_route_redirect_scheme() {
    leads(&[
        ("scheme: https", "302 https://h/p"),
        ("scheme: https, hostname: example.org", "302 https://example.org/p"),
        ("scheme: https, statusCode: 301", "301 https://h/p"),
        ("scheme: https, hostname: example.org, statusCode: 302", "302 https://example.org/p"),
    ]);
}

#[test]
fn http_route_rewrite_host() {
    let world = world(&[route(
        "infra",
        "r",
        &format!(
            "parentRefs: [{{name: same-namespace}}], hostnames: [rewrite.example], rules: [{{matches: [{{path: {{value: /one}}}}], filters: [{{type: URLRewrite, urlRewrite: {{hostname: one.example.org}}}}], {V1}}}, {{filters: [{{type: RequestHeaderModifier, requestHeaderModifier: {{set: [{{name: X-Set, value: done}}]}}}}, {{type: URLRewrite, urlRewrite: {{hostname: example.org}}}}], {V2}}}]"
        ),
    )]);
    answers(
        &world,
        &[
            ("http://rewrite.example/one", &[], "infra/v1:80 /one host=one.example.org"),
            ("http://rewrite.example/two", &[], "infra/v2:80 /two x-set=done host=example.org"),
        ],
    );
}

fn rewriting(kind: &str, field: &str, to: &str) -> String {
    format!("{{type: URLRewrite, urlRewrite: {{path: {{type: {kind}, {field}: {to}}}}}}}")
}

#[test]
fn http_route_rewrite_path() {
    let rule = |path: &str, filter: &str| format!("{{matches: [{{path: {{value: {path}}}}}], filters: [{filter}], {V1}}}");
    let prefix = |to: &str| rewriting("ReplacePrefixMatch", "replacePrefixMatch", to);
    let full = |to: &str| rewriting("ReplaceFullPath", "replaceFullPath", to);
    let edit = "{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Set, value: done}]}}";
    let world = ruled(&[
        &rule("/prefix/one", &prefix("/one")),
        &rule("/strip-prefix", &prefix("/")),
        &rule("/full/one", &full("/one")),
        &rule("/full/edited", &format!("{}, {edit}", full("/one"))),
        &rule("/prefix/edited", &format!("{edit}, {}", prefix("/prefix"))),
    ]);
    answers(
        &world,
        &[
            ("http://h/prefix/one/two", &[], "infra/v1:80 /one/two"),
            ("http://h/strip-prefix", &[], "infra/v1:80 /"),
            ("http://h/strip-prefix/three", &[], "infra/v1:80 /three"),
            ("http://h/full/one/two", &[], "infra/v1:80 /one"),
            ("http://h/full/edited/two", &[], "infra/v1:80 /one x-set=done"),
            ("http://h/prefix/edited/one", &[], "infra/v1:80 /prefix/one x-set=done"),
        ],
    );
}

#[test]
fn http_route_backend_url_rewrite() {
    let rule = |path: &str, filter: &str| {
        format!("{{matches: [{{path: {{value: {path}}}}}], backendRefs: [{{name: v1, port: 80, filters: [{filter}]}}]}}")
    };
    let world = ruled(&[
        &rule("/full", &rewriting("ReplaceFullPath", "replaceFullPath", "/rewritten-full")),
        &rule("/prefix", &rewriting("ReplacePrefixMatch", "replacePrefixMatch", "/rewritten-prefix")),
    ]);
    answers(
        &world,
        &[
            ("http://h/full/original", &[], "infra/v1:80 /rewritten-full"),
            ("http://h/prefix/original", &[], "infra/v1:80 /rewritten-prefix/original"),
        ],
    );
}

/// What is set, added and removed, by name and value.
fn edits(set: &[HeaderEdit], add: &[HeaderEdit], remove: &[http::HeaderName]) -> Vec<String> {
    let pair = |edit: &HeaderEdit| format!("{}={}", edit.name, edit.value.to_str().expect("visible ASCII"));
    let set = set.iter().map(|edit| format!("set {}", pair(edit)));
    let add = add.iter().map(|edit| format!("add {}", pair(edit)));
    set.chain(add).chain(remove.iter().map(|name| format!("remove {name}"))).collect()
}

/// What the filters of a rule change in requests, then in responses, in their order.
fn modified(rule: &str) -> Vec<(&'static str, Vec<String>)> {
    let forward = ruled(&[rule]).forwarded("GET", "http://h/", &[]);
    let done = forward.tasks().map(|task| match task {
        Task::EditRequest(found) => ("request", edits(&found.set, &found.add, &found.remove)),
        Task::EditResponse(found) => ("response", edits(&found.set, &found.add, &found.remove)),
        Task::Rewrite(_) | Task::Mirror(..) | Task::Cors(..) | Task::Auth(..) | Task::Extension(_) => {
            panic!("{task:?} was not asked for")
        }
    });
    done.collect()
}

/// A filter of this kind, what it says, and what comes of each: one by one, together, and names in another case.
fn modifiers(whose: &'static str, at_backend: bool) {
    let (kind, field) = match whose {
        "request" => ("RequestHeaderModifier", "requestHeaderModifier"),
        _ => ("ResponseHeaderModifier", "responseHeaderModifier"),
    };
    let rows: [(&str, &[&str]); 5] = [
        ("set: [{name: X-Header-Set, value: set-overwrites-values}]", &["set x-header-set=set-overwrites-values"]),
        ("add: [{name: X-Header-Add, value: add-appends-values}]", &["add x-header-add=add-appends-values"]),
        ("remove: [X-Header-Remove]", &["remove x-header-remove"]),
        (
            "set: [{name: X-Set-1, value: '1'}, {name: X-Set-2, value: '2'}], add: [{name: X-Add, value: '3'}], remove: [X-Remove-1, X-Remove-2]",
            &["set x-set-1=1", "set x-set-2=2", "add x-add=3", "remove x-remove-1", "remove x-remove-2"],
        ),
        (
            "set: [{name: x-lower, value: '1'}], add: [{name: X-UPPER, value: '2'}], remove: [X-mIxEd]",
            &["set x-lower=1", "add x-upper=2", "remove x-mixed"],
        ),
    ];
    for (modifier, expected) in rows {
        let filter = format!("filters: [{{type: {kind}, {field}: {{{modifier}}}}}]");
        let rule = if at_backend {
            format!("{{backendRefs: [{{name: v1, port: 80, {filter}}}]}}")
        } else {
            format!("{{{filter}, {V1}}}")
        };
        let expected: Vec<String> = expected.iter().map(|line| (*line).to_owned()).collect();
        assert_eq!(modified(&rule), [(whose, expected)], "{modifier}");
    }
}

#[test]
fn http_route_request_header_modifier() {
    modifiers("request", false);
}

#[test]
fn http_route_backend_request_header_modifier() {
    modifiers("request", true);
}

/// At backends too, and beside a modifier of requests.
#[test]
fn http_route_response_header_modifier() {
    modifiers("response", false);
    modifiers("response", true);
    let both = format!(
        "{{filters: [{{type: ResponseHeaderModifier, responseHeaderModifier: {{set: [{{name: X-A, value: '1'}}]}}}}, {{type: RequestHeaderModifier, requestHeaderModifier: {{remove: [X-B]}}}}], {V1}}}"
    );
    let done = modified(&both);
    assert_eq!(done, [("response", vec!["set x-a=1".to_owned()]), ("request", vec!["remove x-b".to_owned()])]);
}

#[test]
fn http_route_request_header_modifier_backend_weights() {
    let target = |name: &str| {
        format!(
            "{{name: {name}, port: 80, filters: [{{type: RequestHeaderModifier, requestHeaderModifier: {{set: [{{name: Backend, value: {name}}}]}}}}]}}"
        )
    };
    let world = ruled(&[&format!("{{backendRefs: [{}, {}]}}", target("v1"), target("v2"))]);
    for _ in 0..100 {
        let answer = world.get("http://h/", &[]);
        assert!(["infra/v1:80 / backend=v1", "infra/v2:80 / backend=v2"].contains(&answer.as_str()), "{answer}");
    }
}

/// §10 row 13.
#[test]
fn replace_prefix_match_in_a_rule_of_several_matches_drops_the_rule() {
    let redirect =
        "filters: [{type: RequestRedirect, requestRedirect: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}}}]";
    for matches in [
        "{path: {value: /bad}}, {path: {value: /also-bad}}",
        "{path: {type: Exact, value: /bad}}",
        "{path: {type: RegularExpression, value: '/bad'}}",
    ] {
        let world = ruled(&[&format!("{{matches: [{matches}], {redirect}}}"), &format!("{{{V1}}}")]);
        assert_eq!(world.condition("HTTPRoute infra/r", "Accepted"), "Accepted", "{matches}");
        assert_eq!(world.condition("HTTPRoute infra/r", "PartiallyInvalid"), "UnsupportedValue", "{matches}");
        assert!(world.message("HTTPRoute infra/r", "PartiallyInvalid").starts_with("Dropped Rule"), "{matches}");
        answers(&world, &[("http://h/bad", &[], "500"), ("http://h/good", &[], "infra/v1:80")]);
    }
}
