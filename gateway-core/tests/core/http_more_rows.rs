//! More rows of the conformance suite on HTTPRoutes, each as a test of its own: parents and listeners, other origins, mirrors, time
//! limits and retries. What a data plane does with them is decided here as data; that it does it is for tests on sockets.

use std::time::Duration;

use gateway_core::decide::{Decision, Task};
use gateway_core::snapshot::{BackendProtocol, Failure, Timeout};
use gateway_core::status::merge;
use http::{HeaderMap, HeaderName, StatusCode};
use serde_json::json;

use super::http_rows::{V1, V2, answers, route, ruled, world};
use super::protocols;
use super::world::{World, id, service};

/// A Gateway `infra/gw` with these listeners and a route `infra/name` for each `(name, parent, hostnames)`, to a Service of its name.
fn gateway(listeners: &str, routes: &[(&str, &str, &str)]) -> World {
    let routes = routes.iter().map(|(name, parent, hosts)| {
        route(
            "infra",
            name,
            &format!(
                "parentRefs: [{{name: gw{parent}}}], hostnames: [{hosts}], rules: [{{backendRefs: [{{name: {name}, port: 80}}]}}]"
            ),
        ) + &service("infra", name, "10.0.0.1")
    });
    World::of(&(protocols::gateway(listeners) + &routes.collect::<String>()))
}

/// A parent that carries nothing: the reason, and that nothing is counted or answered.
fn refused(parent: &str, reason: &str) {
    let world =
        gateway("  - {name: one, port: 80, protocol: HTTP}\n  - {name: two, port: 81, protocol: HTTP}", &[("r", parent, "")]);
    assert_eq!(world.condition("HTTPRoute infra/r", "Accepted"), reason);
    assert_eq!(world.condition("HTTPRoute infra/r", "ResolvedRefs"), "ResolvedRefs");
    assert_eq!((world.attached("infra/gw", "one"), world.attached("infra/gw", "two")), (0, 0));
    answers(&world, &[("http://h/", &[], "404"), ("http://h:81/", &[], "404")]);
}

#[test]
fn http_route_invalid_parent_ref_not_matching_listener_port() {
    refused(", port: 82", "!NoMatchingParent");
}

#[test]
fn http_route_invalid_parent_ref_not_matching_section_name() {
    refused(", sectionName: three", "!NoMatchingParent");
}

#[test]
fn http_route_invalid_parent_ref_section_name_not_matching_port() {
    refused(", sectionName: one, port: 81", "!NoMatchingParent");
}

#[test]
fn http_route_invalid_cross_namespace_parent_ref() {
    let world = world(&[route(
        "web",
        "r",
        "parentRefs: [{name: same-namespace, namespace: infra}], rules: [{backendRefs: [{name: backend, port: 80}]}]",
    )]);
    assert_eq!(world.condition("HTTPRoute web/r", "Accepted"), "!NotAllowedByListeners");
    assert_eq!(world.condition("HTTPRoute web/r", "ResolvedRefs"), "ResolvedRefs");
    assert_eq!(world.attached("infra/same-namespace", "http"), 0);
    answers(&world, &[("http://h/", &[], "404")]);
}

#[test]
fn http_route_disallowed_kind() {
    let listener =
        "  - {name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough}, allowedRoutes: {kinds: [{kind: TLSRoute}]}}";
    let world = gateway(listener, &[("r", "", "")]);
    assert_eq!(world.condition("HTTPRoute infra/r", "Accepted"), "!NotAllowedByListeners");
    assert_eq!(world.condition("HTTPRoute infra/r", "ResolvedRefs"), "ResolvedRefs");
    assert_eq!(world.attached("infra/gw", "tls"), 0);
}

#[test]
fn http_route_hostname_intersection() {
    let listeners = "  - {name: exact, port: 80, protocol: HTTP, hostname: very.specific.com}
  - {name: wild, port: 80, protocol: HTTP, hostname: '*.wildcard.io'}
  - {name: wild-any, port: 80, protocol: HTTP, hostname: '*.anotherwildcard.io'}
  - {name: none, port: 81, protocol: HTTP}";
    let routes = [
        ("same", ", sectionName: exact", "non.matching.com, '*.nonmatchingwildcard.io', very.specific.com"),
        ("under", ", sectionName: exact", "'*.specific.com'"),
        ("hosts", ", sectionName: wild", "non.matching.com, wildcard.io, foo.wildcard.io, bar.wildcard.io, foo.bar.wildcard.io"),
        ("all", ", sectionName: wild-any", "'*.anotherwildcard.io'"),
        ("alien", ", sectionName: exact", "specific.but.wrong.com, wildcard.io"),
        ("several", ", sectionName: none", "first.com, '*.second.com'"),
    ];
    let world = gateway(listeners, &routes);
    assert_eq!(world.condition("HTTPRoute infra/alien", "Accepted"), "!NoMatchingListenerHostname");
    assert_eq!(world.condition("HTTPRoute infra/alien", "ResolvedRefs"), "ResolvedRefs");
    for name in ["same", "under", "hosts", "all", "several"] {
        assert_eq!(world.condition(&format!("HTTPRoute infra/{name}"), "Accepted"), "Accepted", "{name}");
    }
    assert_eq!(["exact", "wild", "wild-any", "none"].map(|listener| world.attached("infra/gw", listener)), [2, 1, 1, 1]);
    answers(
        &world,
        &[
            ("http://very.specific.com/", &[], "infra/same:80"),
            ("http://non.matching.com/", &[], "404"),
            ("http://foo.nonmatchingwildcard.io/", &[], "404"),
            ("http://foo.wildcard.io/", &[], "infra/hosts:80"),
            ("http://bar.wildcard.io/", &[], "infra/hosts:80"),
            ("http://foo.bar.wildcard.io/", &[], "infra/hosts:80"),
            ("http://wildcard.io/", &[], "404"),
            ("http://other.wildcard.io/", &[], "404"),
            ("http://one.anotherwildcard.io/", &[], "infra/all:80"),
            ("http://one.two.three.anotherwildcard.io/", &[], "infra/all:80"),
            ("http://anotherwildcard.io/", &[], "404"),
            ("http://specific.but.wrong.com/", &[], "404"),
            ("http://first.com:81/", &[], "infra/several:80"),
            ("http://a.b.second.com:81/", &[], "infra/several:80"),
            ("http://second.com:81/", &[], "404"),
        ],
    );
    // A port that Host names beside the host is no part of it.
    let head = super::world::head("GET", "/", "very.specific.com:1234", &[]);
    assert!(world.admitted("http", "very.specific.com", "very.specific.com", &head).is_ok());
}

#[test]
fn http_route_listener_hostname_matching() {
    let listeners = "  - {name: one, port: 80, protocol: HTTP, hostname: bar.com}
  - {name: two, port: 80, protocol: HTTP, hostname: foo.bar.com}
  - {name: three, port: 80, protocol: HTTP, hostname: '*.bar.com'}
  - {name: four, port: 80, protocol: HTTP, hostname: '*.foo.com'}";
    let routes = [
        ("v1", ", sectionName: one", ""),
        ("v2", ", sectionName: two", ""),
        ("v3", ", sectionName: three}, {name: gw, sectionName: four", ""),
    ];
    answers(
        &gateway(listeners, &routes),
        &[
            ("http://bar.com/", &[], "infra/v1:80"),
            ("http://foo.bar.com/", &[], "infra/v2:80"),
            ("http://baz.bar.com/", &[], "infra/v3:80"),
            ("http://boo.bar.com/", &[], "infra/v3:80"),
            ("http://multiple.prefixes.bar.com/", &[], "infra/v3:80"),
            ("http://multiple.prefixes.foo.com/", &[], "infra/v3:80"),
            ("http://foo.com/", &[], "404"),
            ("http://no.matching.host/", &[], "404"),
        ],
    );
}

#[test]
fn http_route_listener_port_matching() {
    let listeners = "  - {name: one, port: 80, protocol: HTTP}
  - {name: two, port: 8080, protocol: HTTP, hostname: foo.com}
  - {name: three, port: 8090, protocol: HTTP, hostname: foo.com}
  - {name: four, port: 8090, protocol: HTTP, hostname: bar.com}";
    let routes = [("v1", ", port: 80", ""), ("v2", ", port: 8080", ""), ("v3", ", port: 8090, sectionName: three", "")];
    let world = gateway(listeners, &routes);
    assert_eq!(["one", "two", "three", "four"].map(|listener| world.attached("infra/gw", listener)), [1, 1, 1, 0]);
    answers(
        &world,
        &[
            ("http://foo.com/", &[], "infra/v1:80"),
            ("http://foo.com:8080/", &[], "infra/v2:80"),
            ("http://foo.com:8090/", &[], "infra/v3:80"),
            ("http://bar.com:8090/", &[], "404"),
        ],
    );
}

#[test]
fn http_route_preserve_foreign_status() {
    let foreign = json!({
        "parentRef": {"name": "nobodys", "namespace": "infra"}, "controllerName": "example.com/other",
        "conditions": [{"type": "Accepted", "status": "True", "reason": "Accepted", "message": "theirs", "observedGeneration": 1,
            "lastTransitionTime": "2024-01-01T00:00:00Z"}],
    });
    let at = |generation: u32, path: &str| {
        route(
            "infra",
            "r",
            &format!("parentRefs: [{{name: nobodys}}, {{name: same-namespace}}], rules: [{{matches: [{{path: {{value: {path}}}}}], {V1}}}]"),
        )
        .replace("namespace: infra}", &format!("namespace: infra, generation: {generation}}}"))
    };
    let mut world = world(&[at(1, "/before")]);
    let desired = |world: &World| world.compiler.statuses()[&id("HTTPRoute infra/r")].clone();
    let before = merge(&desired(&world), Some(&json!({"parents": [foreign]})), "2026-01-01T00:00:00Z").expect("ours joins");
    world.put(&at(2, "/after"));
    let after = merge(&desired(&world), Some(&before), "2026-01-01T00:00:01Z").expect("ours changes");
    for stored in [&before, &after] {
        assert_eq!(stored["parents"][0], foreign);
        assert_eq!(stored["parents"].as_array().map(Vec::len), Some(2), "none for a Gateway that does not exist");
        assert_eq!(stored["parents"][1]["parentRef"]["name"], "same-namespace");
    }
    let accepted = &after["parents"][1]["conditions"][0];
    assert_eq!((&accepted["status"], &accepted["observedGeneration"]), (&json!("True"), &json!(2)));
    answers(&world, &[("http://h/after", &[], "infra/v1:80"), ("http://h/before", &[], "404")]);
}

/// A Service without selector whose slices somebody wrote, one without an address of its own, and one that is both.
#[test]
fn http_route_service_types() {
    let service = |name: &str, headless: &str| {
        format!(
            "\n---\n{{apiVersion: v1, kind: Service, metadata: {{name: {name}, namespace: infra}}, spec: {{{headless}ports: [{{name: first-port, port: 8080, targetPort: 3000}}]}}}}"
        )
    };
    let slice = |name: &str, family: &str, address: &str, more: &str| {
        format!(
            "\n---\n{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {{name: {name}-{more}, namespace: infra, labels: {{kubernetes.io/service-name: {name}}}}}, addressType: {family}, ports: [{{name: first-port, port: 3000}}], endpoints: [{{addresses: ['{address}']}}]}}"
        )
    };
    let rule =
        |path: &str, to: &str| format!("{{matches: [{{path: {{value: /{path}}}}}], backendRefs: [{{name: {to}, port: 8080}}]}}");
    let mut world = ruled(&[&rule("manual", "manual"), &rule("headless", "headless"), &rule("both", "both")]);
    assert_eq!(world.condition("HTTPRoute infra/r", "ResolvedRefs"), "!BackendNotFound");
    let none = "clusterIP: None, ";
    for (name, headless) in [("manual", ""), ("headless", none), ("both", none)] {
        world.put(&service(name, headless));
        answers(&world, &[(&format!("http://h/{name}"), &[], "503")]);
        world.put(&(slice(name, "IPv4", "10.0.0.7", "v4") + &slice(name, "IPv6", "fd00::7", "v6")));
        let forward = world.forwarded("GET", &format!("http://h/{name}"), &[]);
        let endpoints: Vec<String> = forward.backend.endpoints.iter().map(ToString::to_string).collect();
        assert_eq!(endpoints, ["10.0.0.7:3000", "[fd00::7]:3000"], "{name}");
    }
    assert_eq!(world.condition("HTTPRoute infra/r", "ResolvedRefs"), "ResolvedRefs");
}

/// How a port that states this protocol is spoken to.
fn spoken(app_protocol: &str) -> BackendProtocol {
    let mut world = ruled(&[&format!("{{{V1}}}")]);
    world.put(&format!(
        "\n---\n{{apiVersion: v1, kind: Service, metadata: {{name: v1, namespace: infra}}, spec: {{ports: [{{port: 80, appProtocol: {app_protocol}}}]}}}}"
    ));
    assert_eq!(world.condition("HTTPRoute infra/r", "ResolvedRefs"), "ResolvedRefs");
    world.forwarded("GET", "http://h/ws", &["connection: upgrade", "upgrade: websocket"]).backend.protocol
}

#[test]
fn http_route_backend_protocol_h2c() {
    assert_eq!(spoken("kubernetes.io/h2c"), BackendProtocol::Http2);
}

#[test]
fn http_route_backend_protocol_web_socket() {
    assert_eq!(spoken("kubernetes.io/ws"), BackendProtocol::Http1);
}

fn allowed(world: &World, path: &str, origin: &str, asked: &str) -> Vec<String> {
    let origin = format!("origin: {origin}");
    let headers = match asked {
        "" => world
            .forwarded("GET", &format!("http://h{path}"), &[&origin])
            .tasks()
            .find_map(|task| match task {
                Task::Cors(cors, origin) => Some(cors.response(origin, &HeaderMap::new())),
                Task::EditRequest(_)
                | Task::EditResponse(_)
                | Task::Rewrite(_)
                | Task::Mirror(..)
                | Task::Auth(..)
                | Task::Extension(_) => None,
            })
            .expect("the response is told to origins"),
        method => {
            let sent =
                [origin, format!("access-control-request-method: {method}"), "access-control-request-headers: x-header-1".into()];
            let sent: Vec<&str> = sent.iter().map(String::as_str).collect();
            let Decision::Answer(answer) = world.decision("OPTIONS", &format!("http://h{path}"), &sent) else {
                panic!("a preflight is answered")
            };
            assert_eq!(answer.status, 204);
            answer.headers
        }
    };
    let name = |name: &HeaderName| name.as_str().strip_prefix("access-control-").map(str::to_owned);
    let told = headers.iter().filter_map(|(header, value)| Some(format!("{}: {}", name(header)?, value.to_str().ok()?)));
    let mut told: Vec<String> = told.collect();
    told.sort_unstable();
    told
}

#[test]
fn http_route_cors() {
    let rule = |path: &str, cors: &str| {
        format!("{{matches: [{{path: {{value: {path}}}}}], filters: [{{type: CORS, cors: {{{cors}}}}}], {V1}}}")
    };
    let lists = "allowMethods: [GET, OPTIONS], allowHeaders: [x-header-1, x-header-2], exposeHeaders: [x-header-3], maxAge: 3600";
    let world = ruled(&[
        &rule(
            "/exact",
            &format!(
                "allowOrigins: ['https://www.foo.com', 'https://www.bar.com', 'https://www.port.com:8443'], allowCredentials: true, {lists}"
            ),
        ),
        &rule("/wild", &format!("allowOrigins: ['https://*.bar.com'], {lists}")),
        &rule("/any", "allowOrigins: ['*']"),
    ]);
    let preflight = |origin: &str, credentials: bool| {
        let credentials = credentials.then_some("allow-credentials: true").into_iter().map(str::to_owned);
        let lines = [
            "allow-headers: x-header-1, x-header-2",
            "allow-methods: GET, OPTIONS",
            &format!("allow-origin: {origin}"),
            "expose-headers: x-header-3",
            "max-age: 3600",
        ];
        credentials.chain(lines.map(str::to_owned)).collect::<Vec<_>>()
    };
    let simple = |origin: &str, credentials: bool| {
        let told = preflight(origin, credentials);
        told.into_iter()
            .filter(|line| !line.contains("methods") && !line.contains("allow-headers") && !line.contains("max-age"))
            .collect::<Vec<_>>()
    };
    for origin in ["https://www.foo.com", "https://www.bar.com", "https://www.port.com:8443"] {
        assert_eq!(allowed(&world, "/exact", origin, "GET"), preflight(origin, true));
        assert_eq!(allowed(&world, "/exact", origin, ""), simple(origin, true));
    }
    for origin in ["https://a.bar.com", "https://xpto.www.bar.com"] {
        assert_eq!(allowed(&world, "/wild", origin, "GET"), preflight(origin, false));
        assert_eq!(allowed(&world, "/wild", origin, ""), simple(origin, false));
    }
    let nobody: Vec<String> = Vec::new();
    for (path, origin) in [
        ("/exact", "https://foobar.com"),
        ("/exact", "http://www.foo.com"),
        ("/exact", "https://www.port.com"),
        ("/wild", "https://bar.com"),
        ("/wild", "https://a.foo.com"),
    ] {
        assert_eq!(allowed(&world, path, origin, "GET"), nobody, "{origin}");
        assert_eq!(allowed(&world, path, origin, ""), nobody, "{origin} is forwarded and told nothing");
    }
    assert_eq!(allowed(&world, "/any", "https://whoever.example", "GET"), ["allow-origin: *", "max-age: 5"]);
}

fn mirror(to: &str, share: &str) -> String {
    format!("{{type: RequestMirror, requestMirror: {{backendRef: {{name: {to}, port: 80}}{share}}}}}")
}

const EDIT: &str =
    "{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Header-Set, value: set}], remove: [X-Gone]}}";

#[test]
fn http_route_request_mirror() {
    let world = ruled(&[
        &format!("{{matches: [{{path: {{value: /mirror}}}}], filters: [{}], {V1}}}", mirror("v2", "")),
        &format!("{{matches: [{{path: {{value: /edited}}}}], filters: [{EDIT}, {}], {V1}}}", mirror("v2", "")),
    ]);
    assert_eq!(world.condition("HTTPRoute infra/r", "ResolvedRefs"), "ResolvedRefs");
    for _ in 0..3 {
        answers(
            &world,
            &[
                ("http://h/mirror", &[], "infra/v1:80 /mirror mirror=infra/v2:80"),
                ("http://h/edited", &[], "infra/v1:80 /edited x-header-set=set mirror=infra/v2:80"),
            ],
        );
    }
}

#[test]
fn http_route_request_multiple_mirrors() {
    let world = ruled(&[&format!("{{filters: [{}, {}], {V1}}}", mirror("v2", ""), mirror("v3", ""))]);
    answers(&world, &[("http://h/", &[], "infra/v1:80 / mirror=infra/v2:80 mirror=infra/v3:80")]);
}

#[test]
fn http_route_request_percentage_mirror() {
    let rows = [
        (mirror("v2", ", percent: 20"), 100),
        (mirror("v2", ", fraction: {numerator: 1, denominator: 2}"), 250),
        (format!("{EDIT}, {}", mirror("v2", ", percent: 35")), 175),
    ];
    for (filters, expected) in rows {
        let world = ruled(&[&format!("{{filters: [{filters}], {V1}}}")]);
        let seen: Vec<String> = (0..500).map(|_| world.get("http://h/", &[])).collect();
        assert!(seen.iter().all(|answer| answer.starts_with("infra/v1:80 /")));
        assert_eq!(seen.iter().filter(|answer| answer.ends_with("mirror=infra/v2:80")).count(), expected, "{filters}");
    }
}

fn status(code: u16) -> Failure {
    Failure::Status(StatusCode::from_u16(code).expect("a status"))
}

#[test]
fn http_route_retry() {
    for code in [500, 502, 503, 504] {
        let world = ruled(&[
            &format!("{{matches: [{{path: {{value: /some}}}}], retry: {{attempts: 3, codes: [{code}]}}, {V1}}}"),
            &format!("{{matches: [{{path: {{value: /none}}}}], retry: {{attempts: 0, codes: [{code}]}}, {V2}}}"),
        ]);
        assert_eq!(world.condition("HTTPRoute infra/r", "Accepted"), "Accepted");
        let rule = world.forwarded("GET", "http://h/some", &[]).rule;
        let retry = rule.retry.as_ref().expect("it retries");
        let retries = (1..9).take_while(|made| retry.allows(*made, status(code))).count();
        assert_eq!(retries, 3, "attempts are retries beside the first");
        assert_eq!(status(code).status().as_u16(), code, "exhausted, the last error is answered");
        for other in [500, 502, 503, 504].into_iter().filter(|other| *other != code) {
            assert!(!retry.allows(1, status(other)), "{other} is not listed");
        }
        let none = world.forwarded("GET", "http://h/none", &[]).rule;
        assert!(none.retry.is_none() && !none.repick, "attempts: 0");
    }
}

#[test]
fn http_route_retry_connection_error() {
    let world = ruled(&[&format!("{{retry: {{attempts: 100}}, {V1}}}")]);
    let rule = world.forwarded("GET", "http://h/", &[]).rule;
    let retry = rule.retry.as_ref().expect("it retries");
    assert!((1..=100).all(|made| retry.allows(made, Failure::NotConnected)) && !retry.allows(101, Failure::NotConnected));
    assert!(!retry.allows(1, status(500)) && !retry.allows(1, Failure::Broken), "nothing else without codes");
}

#[test]
fn http_route_retry_with_backend_timeout() {
    let world = ruled(&[
        &format!(
            "{{matches: [{{path: {{value: /attempt}}}}], timeouts: {{backendRequest: 500ms}}, retry: {{attempts: 3, codes: [500]}}, {V1}}}"
        ),
        &format!(
            "{{matches: [{{path: {{value: /whole}}}}], timeouts: {{request: 500ms}}, retry: {{attempts: 3, codes: [500]}}, {V1}}}"
        ),
    ]);
    let half = Timeout::After(Duration::from_millis(500));
    let attempt = world.forwarded("GET", "http://h/attempt", &[]).rule;
    assert_eq!((attempt.timeouts.request, attempt.timeouts.backend_request), (Timeout::Unstated, half));
    let retry = attempt.retry.as_ref().expect("it retries");
    assert!(retry.allows(1, status(500)) && retry.allows(2, status(500)), "two failures in time, then a success");
    let whole = world.forwarded("GET", "http://h/whole", &[]).rule;
    assert_eq!((whole.timeouts.request, whole.timeouts.backend_request), (half, Timeout::Unstated));
    assert_eq!(Failure::Expired.status(), StatusCode::GATEWAY_TIMEOUT);
}

/// The limit is of the whole request, whatever the attempts are.
#[test]
fn http_route_retry_with_request_timeout() {
    let world = ruled(&[&format!("{{timeouts: {{request: 500ms}}, retry: {{attempts: 5, codes: [500]}}, {V1}}}")]);
    let rule = world.forwarded("GET", "http://h/", &[]).rule;
    assert_eq!(rule.timeouts.request, Timeout::After(Duration::from_millis(500)));
    let retry = rule.retry.as_ref().expect("it retries");
    assert_eq!((1..9).take_while(|made| retry.allows(*made, status(500))).count(), 5);
    let pauses: Duration = (1..=5).map(|made| retry.pause(made, 0)).sum();
    assert!(pauses > Duration::from_millis(500), "five pauses alone go beyond it, so it is the limit that ends them: {pauses:?}");
    assert_eq!(Failure::Expired.status(), StatusCode::GATEWAY_TIMEOUT);
}

/// A limit of half a second, and `0s`, which is none.
fn limited(field: &str) -> [Timeout; 2] {
    ["500ms", "0s"].map(|limit| {
        let world = ruled(&[&format!("{{timeouts: {{{field}: {limit}}}, {V1}}}")]);
        assert_eq!(world.condition("HTTPRoute infra/r", "Accepted"), "Accepted");
        let timeouts = world.forwarded("GET", "http://h/", &[]).rule.timeouts;
        let (stated, other) = match field {
            "request" => (timeouts.request, timeouts.backend_request),
            _ => (timeouts.backend_request, timeouts.request),
        };
        assert_eq!(other, Timeout::Unstated);
        stated
    })
}

#[test]
fn http_route_timeout_request() {
    assert_eq!(limited("request"), [Timeout::After(Duration::from_millis(500)), Timeout::Never]);
}

#[test]
fn http_route_timeout_backend_request() {
    assert_eq!(limited("backendRequest"), [Timeout::After(Duration::from_millis(500)), Timeout::Never]);
}
