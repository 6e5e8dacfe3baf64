//! Calls and the GRPCRoutes they meet (`GRPCRouteSpec`, GEP-1016): matching, precedence, filters, backends, status codes.

use gateway_core::admit::{Arrival, GrpcStatus, Handshake, Reason, admit};
use gateway_core::compile::Options;
use gateway_core::decide::{Decision, decide};
use gateway_core::explain::explain;
use gateway_core::snapshot::{BackendProtocol, Carrier, Socket, Transport, Turn, Usage};
use gateway_core::support::{Capability, Installed, Support};

use super::certificates::secret;
use super::world::{World, head, options, service};

const GATEWAY: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: infra}
spec: {gatewayClassName: c, listeners: [{name: http, port: 80, protocol: HTTP}]}
";

/// A GRPCRoute of `infra`; `more` are fields of its spec.
fn route(name: &str, more: &str, rules: &str) -> String {
    aged(name, "", more, rules)
}

fn aged(name: &str, created: &str, more: &str, rules: &str) -> String {
    format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {{name: {name}, namespace: infra{created}}}
spec: {{parentRefs: [{{name: gw}}], {more}rules: [{rules}]}}
"
    )
}

fn http_route(name: &str, hostnames: &str, rules: &str) -> String {
    route(name, hostnames, rules).replace("GRPCRoute", "HTTPRoute")
}

/// Services by name, each with an endpoint.
fn services(names: &[&str]) -> String {
    names.iter().map(|name| service("infra", name, "10.0.0.1")).collect()
}

fn world(more: &str) -> World {
    World::of(&format!("{GATEWAY}{more}{}", services(&["v1", "v2", "v3"])))
}

/// What happens to a call of `host[:port]/service/method`: the name of the Service and what is done before, or the status of gRPC.
fn call(world: &World, url: &str, headers: &[&str]) -> String {
    as_type(world, "application/grpc", url, headers)
}

fn as_type(world: &World, media_type: &str, url: &str, headers: &[&str]) -> String {
    let media_type = format!("content-type: {media_type}");
    let headers: Vec<&str> = headers.iter().copied().chain([&*media_type]).collect();
    let (authority, path) = url.split_at(url.find('/').expect("a path"));
    let (name, port) = authority.split_once(':').map_or((authority, 80), |(name, port)| (name, port.parse().expect("a port")));
    let tls = (port == 443).then(|| Handshake { server_name: Some(name.into()), validation: None });
    let socket = Socket { address: None, port, transport: Transport::Tcp };
    let request = head("POST", path, authority, &headers);
    let status = |reason: &Reason| format!("grpc {}", reason.grpc_status().code());
    let admitted = match admit(&world.snapshot, &Arrival { socket, tls }, &request) {
        Ok(admitted) => admitted,
        Err(refusal) => return status(&refusal.reason),
    };
    match decide(&admitted, &request, Turn::peek) {
        Decision::Refuse(refusal) => status(&refusal.reason),
        Decision::Answer(_) | Decision::Forward(_) => {
            let scheme = if port == 443 { "https" } else { "http" };
            let said = world.request("POST", &format!("{scheme}://{url}"), &headers);
            said.replace("infra/", "").replace(":80", "").replace(&format!(" {path}"), "")
        }
    }
}

const ECHO: &str = "gateway_api_conformance.echo_basic.grpcecho.GrpcEcho";

/// GRPCExactMethodMatching.
#[test]
fn grpc_exact_method_matching() {
    let world = world(&route(
        "r",
        "",
        &format!(
            "{{matches: [{{method: {{service: {ECHO}, method: Echo}}}}], backendRefs: [{{name: v1, port: 80}}]}},
             {{matches: [{{method: {{service: {ECHO}, method: EchoTwo}}}}], backendRefs: [{{name: v2, port: 80}}]}}"
        ),
    ));
    assert_eq!(call(&world, &format!("h/{ECHO}/Echo"), &[]), "v1");
    assert_eq!(call(&world, &format!("h/{ECHO}/EchoTwo"), &[]), "v2");
    assert_eq!(call(&world, &format!("h/{ECHO}/EchoThree"), &[]), "grpc 12");
    assert_eq!(call(&world, &format!("h/{ECHO}/echo"), &[]), "grpc 12", "case counts");
    assert_eq!(call(&world, &format!("h/{}/Echo", ECHO.to_lowercase()), &[]), "grpc 12", "case counts");
    assert_eq!(world.condition("GRPCRoute infra/r", "Accepted"), "Accepted");
    assert_eq!(world.condition("GRPCRoute infra/r", "ResolvedRefs"), "ResolvedRefs");
    assert_eq!(world.attached("infra/gw", "http"), 1);
}

/// GRPCRouteHeaderMatching.
#[test]
fn grpc_route_header_matching() {
    let world = world(&route(
        "r",
        "",
        "{matches: [{headers: [{name: Version, value: one}]}], backendRefs: [{name: v1, port: 80}]},
         {matches: [{headers: [{name: version, value: two}]}], backendRefs: [{name: v2, port: 80}]},
         {matches: [{headers: [{name: version, value: two}, {name: color, value: orange}]}], backendRefs: [{name: v1, port: 80}]},
         {matches: [{headers: [{name: color, value: blue}]}, {headers: [{name: color, value: green}]}], backendRefs: [{name: v1, port: 80}]},
         {matches: [{headers: [{name: color, value: red}]}, {headers: [{name: color, value: yellow}]}], backendRefs: [{name: v2, port: 80}]}",
    ));
    let rows: [(&[&str], &str); 11] = [
        (&["version: one"], "v1"),
        (&["VERSION: two"], "v2"),
        (&["version: two", "color: orange"], "v1"),
        (&["color: blue"], "v1"),
        (&["color: green"], "v1"),
        (&["color: red"], "v2"),
        (&["color: yellow"], "v2"),
        (&["version: two", "color: blue"], "v2"),
        (&["color: orange"], "grpc 12"),
        (&["color: Blue"], "grpc 12"),
        (&[], "grpc 12"),
    ];
    for (headers, expected) in rows {
        assert_eq!(call(&world, "h/a.B/C", headers), expected, "{headers:?}");
    }
}

/// GRPCRouteListenerHostnameMatching.
#[test]
fn grpc_route_listener_hostname_matching() {
    let listeners = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: infra}
spec:
  gatewayClassName: c
  listeners:
  - {name: one, port: 80, protocol: HTTP, hostname: bar.com}
  - {name: two, port: 80, protocol: HTTP, hostname: foo.bar.com}
  - {name: three, port: 80, protocol: HTTP, hostname: '*.bar.com'}
  - {name: four, port: 80, protocol: HTTP, hostname: '*.foo.com'}
";
    let at = |name: &str, sections: &str, service: &str| {
        route(name, "", &format!("{{backendRefs: [{{name: {service}, port: 80}}]}}")).replace("{name: gw}", sections)
    };
    let routes = [
        at("one", "{name: gw, sectionName: one}", "v1"),
        at("two", "{name: gw, sectionName: two}", "v2"),
        at("three", "{name: gw, sectionName: three}, {name: gw, sectionName: four}", "v3"),
    ];
    let world = World::of(&format!("{listeners}{}{}", routes.concat(), services(&["v1", "v2", "v3"])));
    let rows = [
        ("bar.com", "v1"),
        ("foo.bar.com", "v2"),
        ("baz.bar.com", "v3"),
        ("boo.bar.com", "v3"),
        ("multiple.prefixes.bar.com", "v3"),
        ("multiple.prefixes.foo.com", "v3"),
        ("foo.com", "grpc 12"),
        ("no.matching.host", "grpc 12"),
    ];
    for (host, expected) in rows {
        assert_eq!(call(&world, &format!("{host}/a.B/C"), &[]), expected, "{host}");
    }
}

/// GRPCRouteMultipleGateways.
#[test]
fn grpc_route_multiple_gateways() {
    let second = GATEWAY.replace("name: gw", "name: other").replace("port: 80", "port: 81");
    let both = route("shared", "", "{matches: [{method: {method: Shared}}], backendRefs: [{name: v1, port: 80}]}")
        .replace("{name: gw}", "{name: gw}, {name: other}");
    let own = |name: &str, gateway: &str, service: &str| {
        route(name, "", &format!("{{matches: [{{method: {{method: Own}}}}], backendRefs: [{{name: {service}, port: 80}}]}}"))
            .replace("{name: gw}", &format!("{{name: {gateway}}}"))
    };
    let world = world(&format!("---{second}{both}{}{}", own("a", "gw", "v2"), own("b", "other", "v3")));
    for (url, expected) in [("h/s/Shared", "v1"), ("h:81/s/Shared", "v1"), ("h/s/Own", "v2"), ("h:81/s/Own", "v3")] {
        assert_eq!(call(&world, url, &[]), expected, "{url}");
    }
}

/// GRPCRouteMultipleRoutesAttachmentSameHostnameIntersection.
#[test]
fn grpc_route_multiple_routes_attachment_same_hostname_intersection() {
    for (listener, older, newer) in
        [("abc.example.com", "*.example.com", "abc.example.com"), ("*.example.com", "*.com", "*.example.com")]
    {
        let gateway = GATEWAY.replace("protocol: HTTP", &format!("protocol: HTTP, hostname: '{listener}'"));
        let at = |name: &str, second: u8, host: &str, service: &str| {
            let created = format!(", creationTimestamp: '2026-01-01T00:00:0{second}Z'");
            aged(
                name,
                &created,
                &format!("hostnames: ['{host}'], "),
                &format!("{{backendRefs: [{{name: {service}, port: 80}}]}}"),
            )
        };
        let routes = at("older", 1, older, "v1") + &at("newer", 2, newer, "v2");
        let mut world = World::of(&format!("{gateway}{routes}{}", services(&["v1", "v2"])));
        assert_eq!(call(&world, "abc.example.com/a.B/C", &[]), "v2", "{listener}");
        for name in ["older", "newer"] {
            assert_eq!(world.condition(&format!("GRPCRoute infra/{name}"), "Accepted"), "Accepted");
        }
        world.remove("GRPCRoute infra/newer");
        assert_eq!(call(&world, "abc.example.com/a.B/C", &[]), "v1", "the next is promoted");
    }
}

/// § 9 item 58: fall-through from tier to tier, within one listener.
#[test]
fn calls_fall_through_from_one_host_name_as_written_to_the_next() {
    let rule = |asks: &str, service: &str| format!("{{matches: [{{{asks}}}], backendRefs: [{{name: {service}, port: 80}}]}}");
    let routes = [
        route("exact", "hostnames: [a.example.com, unused.org], ", &rule("method: {service: a.B}", "v1")),
        route("wild", "hostnames: ['*.example.com'], ", &rule("method: {service: a.B, method: Longer}", "v2")),
        route("none", "", &rule("headers: [{name: x, value: '1'}]", "v3")),
    ];
    let world = world(&routes.concat());
    assert_eq!(call(&world, "a.example.com/a.B/Longer", &[]), "v1", "the host name goes before the method");
    assert_eq!(call(&world, "b.example.com/a.B/Longer", &["x: 1"]), "v2");
    assert_eq!(call(&world, "a.example.com/c.D/E", &["x: 1"]), "v3");
    assert_eq!(call(&world, "a.example.com/c.D/E", &[]), "grpc 12");
}

/// GRPCRouteNamedRule.
#[test]
fn grpc_route_named_rule() {
    let world = world(&route(
        "r",
        "",
        "{name: first, matches: [{method: {method: Echo}}], backendRefs: [{name: v1, port: 80}]},
         {name: second, backendRefs: [{name: v2, port: 80}]}",
    ));
    assert_eq!((call(&world, "h/a.B/Echo", &[]), call(&world, "h/a.B/C", &[])), ("v1".to_owned(), "v2".to_owned()));
    let request = head("POST", "/a.B/C", "h", &["content-type: application/grpc"]);
    let socket = Socket { address: None, port: 80, transport: Transport::Tcp };
    let explanation = explain(&admit(&world.snapshot, &Arrival { socket, tls: None }, &request).unwrap(), &request);
    assert_eq!(explanation.candidates[0].rule_name.as_deref(), Some("second"));
}

/// GRPCRouteRequestHeaderModifier; § 9 item 43, § 10 row 27: header modifiers are performed, on requests and responses, of the rule
/// and then of the backend.
#[test]
fn grpc_route_request_header_modifier() {
    let set = |kind: &str, field: &str, name: &str, value: &str| {
        format!("{{type: {kind}, {field}: {{set: [{{name: {name}, value: {value}}}]}}}}")
    };
    let request = |name: &str, value: &str| set("RequestHeaderModifier", "requestHeaderModifier", name, value);
    let response = set("ResponseHeaderModifier", "responseHeaderModifier", "x-r", "r");
    let world = world(&route(
        "r",
        "",
        &format!(
            "{{filters: [{}, {response}], backendRefs: [{{name: v1, port: 80, filters: [{}]}}]}}",
            request("X-Rule", "one"),
            request("X-Backend", "two")
        ),
    ));
    assert_eq!(call(&world, "h/a.B/C", &[]), "v1 x-rule=one response x-backend=two");
    let claims = |minor| {
        let newest = Installed { minor, ..Installed::NEWEST };
        Support::of(&[Capability::Grpc]).features(newest).any(|name| name == "GRPCRouteRequestHeaderModifier")
    };
    assert!(claims(7) && !claims(6));
}

/// § 9 item 43: mirrors of calls, and extension references that lead nowhere.
#[test]
fn calls_are_mirrored_and_a_filter_that_leads_nowhere_fails_them() {
    let world = world(&route(
        "r",
        "",
        "{matches: [{method: {method: Mirrored}}], filters: [{type: RequestMirror, requestMirror: {backendRef: {name: v2, port: 80}}}],
          backendRefs: [{name: v1, port: 80}]},
         {matches: [{method: {method: Lost}}], filters: [{type: RequestMirror, requestMirror: {backendRef: {name: none, port: 80}}}],
          backendRefs: [{name: v1, port: 80}]},
         {matches: [{method: {method: Extended}}], filters: [{type: ExtensionRef, extensionRef: {group: odd.example, kind: Odd, name: x}}],
          backendRefs: [{name: v1, port: 80}]}",
    ));
    assert_eq!(call(&world, "h/a.B/Mirrored", &[]), "v1 mirror=v2");
    assert_eq!(call(&world, "h/a.B/Lost", &[]), "v1", "calls are no worse for it");
    assert_eq!(call(&world, "h/a.B/Extended", &[]), "grpc 14", "a filter is never skipped");
    assert_eq!(world.condition("GRPCRoute infra/r", "ResolvedRefs"), "!InvalidKind");
    assert_eq!(world.condition("GRPCRoute infra/r", "Accepted"), "Accepted");
}

/// GRPCRouteWeight.
#[test]
fn grpc_route_weight() {
    let weighted = |weights: [u32; 3]| {
        let targets: Vec<_> = ["v1", "v2", "v3"]
            .iter()
            .zip(weights)
            .map(|(name, weight)| format!("{{name: {name}, port: 80, weight: {weight}}}"))
            .collect();
        route("r", "", &format!("{{backendRefs: [{}]}}", targets.join(", ")))
    };
    let mut world = world(&weighted([70, 30, 0]));
    let shares = |world: &World, calls: usize| {
        let mut seen = [0; 3];
        for _ in 0..calls {
            match &*call(world, "h/a.B/C", &[]) {
                "v1" => seen[0] += 1,
                "v2" => seen[1] += 1,
                "v3" => seen[2] += 1,
                other => panic!("{other}"),
            }
        }
        seen
    };
    assert_eq!(shares(&world, 500), [350, 150, 0]);
    assert_eq!(shares(&world, 3).iter().sum::<usize>(), 3);
    // Turns go on in the next version of the rule, so that shares stay exact.
    world.put(&weighted([70, 30, 0]).replace("infra}", "infra, labels: {a: b}}"));
    let rest = shares(&world, 97);
    assert_eq!(rest.iter().sum::<usize>(), 97);
    world.put(&weighted([0, 0, 0]));
    assert_eq!(call(&world, "h/a.B/C", &[]), "grpc 14", "all weights are zero");
}

/// § 9 item 43: precedence by characters of the service, then of the method, then by count of headers.
#[test]
fn longer_services_go_first_then_longer_methods_then_more_headers_and_expressions_before_any() {
    let rule = |asks: &str, service: &str| format!("{{matches: [{{{asks}}}], backendRefs: [{{name: {service}, port: 80}}]}}");
    let names = ["both", "service", "method", "pattern", "two", "one", "any"];
    let rules = [
        rule("headers: [{name: x, value: '1'}]", "one"),
        rule("headers: [{name: x, value: '1'}, {name: z, value: '1'}]", "two"),
        rule("method: {type: RegularExpression, service: 'a\\..*'}", "pattern"),
        rule("method: {method: Get}", "method"),
        rule("method: {service: a.B}", "service"),
        rule("method: {service: a.B, method: Get}", "both"),
        "{backendRefs: [{name: any, port: 80}]}".to_owned(),
    ];
    let world = World::of(&format!("{GATEWAY}{}{}", route("r", "", &rules.join(", ")), services(&names)));
    let all = ["x: 1", "z: 1"];
    let rows: [(&str, &[&str], &str); 7] = [
        ("h/a.B/Get", &all, "both"),
        ("h/a.B/Put", &all, "service"),
        ("h/c.D/Get", &all, "method"),
        ("h/a.C/Put", &all, "pattern"),
        ("h/c.D/Put", &all, "two"),
        ("h/c.D/Put", &["x: 1"], "one"),
        ("h/c.D/Put", &[], "any"),
    ];
    for (url, headers, expected) in rows {
        assert_eq!(call(&world, url, headers), expected, "{url} {headers:?}");
    }
}

/// § 9 items 11 and 59: of equal matches the older route, then the first by namespace and name, then the earlier rule and match.
#[test]
fn of_equal_matches_the_older_route_wins_then_the_first_by_name_then_the_earlier_rule() {
    let rule = |service: &str| {
        format!(
            "{{matches: [{{method: {{service: a.B}}}}, {{method: {{service: a.B}}}}], backendRefs: [{{name: {service}, port: 80}}]}}"
        )
    };
    let at = |name: &str, second: u8, rules: &[&str]| {
        let rules: Vec<_> = rules.iter().map(|service| rule(service)).collect();
        aged(name, &format!(", creationTimestamp: '2026-01-01T00:00:0{second}Z'"), "", &rules.join(", "))
    };
    let mut world = world(&(at("a", 2, &["v1"]) + &at("b", 1, &["v2", "v1", "v3"]) + &at("c", 1, &["v3"])));
    assert_eq!(call(&world, "h/a.B/C", &[]), "v2");
    world.put(&at("b", 1, &["v3", "v2", "v1"]));
    assert_eq!(call(&world, "h/a.B/C", &[]), "v3", "the order of rules is looked at again");
    world.put(&at("b", 1, &["none", "v2", "v1"]));
    assert_eq!(call(&world, "h/a.B/C", &[]), "grpc 14", "the second rule never stands in");
    world.remove("GRPCRoute infra/b");
    assert_eq!(call(&world, "h/a.B/C", &[]), "v3");
    world.remove("GRPCRoute infra/c");
    assert_eq!(call(&world, "h/a.B/C", &[]), "v1");
}

/// `GRPCRouteRule.Matches`: without matches every call; so is a route without rules, which has no backend.
#[test]
fn a_rule_without_matches_and_a_route_without_rules_match_every_call() {
    let with = world(&route("r", "", "{backendRefs: [{name: v1, port: 80}]}"));
    for url in ["h/a.B/C", "h/", "h/odd", "h/a/b/c"] {
        assert_eq!(call(&with, url, &[]), "v1", "{url}");
    }
    let without = world(&route("r", "", ""));
    assert_eq!(call(&without, "h/a.B/C", &[]), "grpc 14");
    assert_eq!(without.condition("GRPCRoute infra/r", "Accepted"), "Accepted");
    assert_eq!(without.condition("GRPCRoute infra/r", "PartiallyInvalid"), "absent");
}

/// § 9 item 43: a method without a service is that of any service, and a leading dot of a service means nothing.
#[test]
fn a_method_alone_is_that_of_any_service_and_a_leading_dot_means_nothing() {
    let world = world(&route(
        "r",
        "",
        "{matches: [{method: {method: Get}}], backendRefs: [{name: v1, port: 80}]},
         {matches: [{method: {service: .a.B}}], backendRefs: [{name: v2, port: 80}]}",
    ));
    for (url, expected) in
        [("h/x.Y/Get", "v1"), ("h/a.B/Put", "v2"), ("h/a.B/Get", "v2"), ("h/.a.B/Put", "grpc 12"), ("h/a.B", "grpc 12")]
    {
        assert_eq!(call(&world, url, &[]), expected, "{url}");
    }
}

/// § 9 item 23: regular expressions match the whole of service and method, and cannot be made expensive.
#[test]
fn expressions_of_services_and_methods_match_the_whole_and_are_bounded() {
    let rule = |method: &str| {
        format!("{{matches: [{{method: {{type: RegularExpression, {method}}}}}], backendRefs: [{{name: v1, port: 80}}]}}")
    };
    let world = world(&route(
        "r",
        "",
        &format!(
            "{}, {}, {}",
            rule("service: 'a\\.[BC]', method: 'Get.*'"),
            rule("method: 'List|(?i)all'"),
            rule("service: '[0-9a-f]{900}{900}'")
        ),
    ));
    let long = format!("h/a.B/Get{}", "a".repeat(9000));
    let rows = [
        ("h/a.B/GetOne", "v1"),
        ("h/a.D/GetOne", "grpc 12"),
        ("h/a.BC/Get", "grpc 12"),
        ("h/x.Y/ALL", "v1"),
        ("h/x.Y/Lists", "grpc 12"),
        (&long, "grpc 8"),
    ];
    for (url, expected) in rows {
        assert_eq!(call(&world, url, &[]), expected, "{url}");
    }
    assert_eq!(world.condition("GRPCRoute infra/r", "PartiallyInvalid"), "UnsupportedValue");
    let message = world.message("GRPCRoute infra/r", "PartiallyInvalid");
    assert!(message.starts_with("Dropped Rule: rule 2: the regular expression") && message.contains("too large"), "{message}");
}

/// § 9 item 22: of equivalent header matches the first counts; repeated metadata is compared as joined; `-bin` values as base64 text.
#[test]
fn metadata_is_compared_as_headers_are() {
    let rule = |name: &str, value: &str, service: &str| {
        format!("{{matches: [{{headers: [{{name: {name}, value: '{value}'}}]}}], backendRefs: [{{name: {service}, port: 80}}]}}")
    };
    let world = world(&route(
        "r",
        "",
        &format!(
            "{}, {}, {{matches: [{{headers: [{{name: Twice, value: a}}, {{name: twice, value: b}}]}}], backendRefs: [{{name: v3, port: 80}}]}}",
            rule("x", "a,b", "v1"),
            rule("id-bin", "AAEC", "v2")
        ),
    ));
    assert_eq!(call(&world, "h/a.B/C", &["x: a", "x: b"]), "v1");
    assert_eq!(call(&world, "h/a.B/C", &["x: b", "x: a"]), "grpc 12");
    assert_eq!(call(&world, "h/a.B/C", &["id-bin: AAEC"]), "v2");
    assert_eq!(call(&world, "h/a.B/C", &["id-bin: AAEC="]), "grpc 12", "text, not what it stands for");
    assert_eq!(call(&world, "h/a.B/C", &["twice: a"]), "v3");
    assert_eq!(call(&world, "h/a.B/C", &["twice: b"]), "grpc 12");
}

/// § 9 item 44: what cannot be served is UNAVAILABLE, never UNKNOWN, for exactly its share.
#[test]
fn invalid_backends_and_backends_without_endpoints_are_unavailable() {
    let idle = "\n---\n{apiVersion: v1, kind: Service, metadata: {name: idle, namespace: infra}, spec: {ports: [{port: 80}]}}";
    let at = |method: &str, backends: &str| format!("{{matches: [{{method: {{method: {method}}}}}], backendRefs: [{backends}]}}");
    let rules = [
        at("None", ""),
        at("Missing", "{name: none, port: 80}"),
        at("Idle", "{name: idle, port: 80}"),
        at("Half", "{name: v1, port: 80}, {name: none, port: 80}"),
    ];
    let world = world(&(route("r", "", &rules.join(", ")) + idle));
    for method in ["None", "Missing", "Idle"] {
        assert_eq!(call(&world, &format!("h/a.B/{method}"), &[]), "grpc 14", "{method}");
    }
    let half: Vec<_> = (0..4).map(|_| world.request("POST", "http://h/a.B/Half", &["content-type: application/grpc"])).collect();
    assert_eq!(half.iter().filter(|said| *said == "500").count(), 2, "{half:?}");
    assert_eq!(world.condition("GRPCRoute infra/r", "ResolvedRefs"), "!BackendNotFound");
    assert_eq!(world.condition("GRPCRoute infra/r", "Accepted"), "Accepted", "backends never influence acceptance");
}

/// GEP-1911: calls need HTTP/2, whatever the port says.
#[test]
fn backends_of_calls_are_spoken_to_in_http2_whatever_their_app_protocol() {
    let odd = service("infra", "v2", "10.0.0.2").replace("{port: 80}", "{port: 80, appProtocol: kubernetes.io/ws}");
    let rules = "{backendRefs: [{name: v1, port: 80}, {name: v2, port: 80}]}";
    let world = World::of(&format!("{GATEWAY}{}{}{odd}", route("r", "", rules), services(&["v1"])));
    assert_eq!(world.condition("GRPCRoute infra/r", "ResolvedRefs"), "ResolvedRefs");
    let backends: Vec<_> = world.snapshot.backends().collect();
    assert!(
        backends.len() == 2
            && backends.iter().all(|found| found.name.usage == Usage::Grpc && found.protocol == BackendProtocol::Http2)
    );
}

/// § 10 row 4, § 9 items 43 and 58: both kinds serve the same hosts; calls meet the GRPCRoutes of a host name before its HTTPRoutes,
/// other requests meet HTTPRoutes alone.
#[test]
fn http_routes_and_grpc_routes_share_hostnames_and_are_told_apart_by_content_type() {
    let routes = [
        route("g", "hostnames: [a.example.com], ", "{matches: [{method: {service: a.B}}], backendRefs: [{name: v1, port: 80}]}"),
        http_route(
            "h",
            "hostnames: [a.example.com], ",
            "{matches: [{path: {type: Exact, value: /a.B/C}}, {path: {value: /http}}], backendRefs: [{name: v2, port: 80}]}",
        ),
        route("wide", "", "{backendRefs: [{name: v3, port: 80}]}"),
    ];
    let world = world(&routes.concat());
    for kind in ["GRPCRoute infra/g", "HTTPRoute infra/h", "GRPCRoute infra/wide"] {
        assert_eq!(world.condition(kind, "Accepted"), "Accepted");
    }
    assert_eq!(world.attached("infra/gw", "http"), 3);
    for media_type in ["application/grpc", "application/grpc+proto", "application/grpc; charset=utf-8", "Application/GRPC"] {
        assert_eq!(as_type(&world, media_type, "a.example.com/a.B/C", &[]), "v1", "{media_type}");
    }
    for media_type in ["application/grpc-web", "application/grpc-web+proto", "application/json", "application/grpcs"] {
        assert_eq!(as_type(&world, media_type, "a.example.com/a.B/C", &[]), "v2", "{media_type}");
        assert_eq!(world.request("POST", "http://b.example.com/x", &[&format!("content-type: {media_type}")]), "404");
    }
    assert_eq!(
        call(&world, "a.example.com/http/x", &[]),
        "v2",
        "its HTTPRoutes come next, before another host name's GRPCRoutes"
    );
    assert_eq!(call(&world, "a.example.com/c.D/E", &[]), "v3");
    assert_eq!(world.request("POST", "http://a.example.com/a.B/D", &[]), "404");
}

/// § 10 row 7: fall-through stays within one listener, for calls too.
#[test]
fn calls_never_fall_through_to_a_less_specific_listener() {
    let gateway = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: infra}
spec:
  gatewayClassName: c
  listeners:
  - {name: any, port: 80, protocol: HTTP}
  - {name: wild, port: 80, protocol: HTTP, hostname: '*.example.com'}
";
    let at = |name: &str, section: &str, method: &str, service: &str| {
        route(name, "", &format!("{{matches: [{{method: {{method: {method}}}}}], backendRefs: [{{name: {service}, port: 80}}]}}"))
            .replace("{name: gw}", &format!("{{name: gw, sectionName: {section}}}"))
    };
    let routes = at("a", "any", "Get", "v1") + &at("b", "wild", "Put", "v2");
    let world = World::of(&format!("{gateway}{routes}{}", services(&["v1", "v2"])));
    let rows = [("h/s/Get", "v1"), ("h/s/Put", "grpc 12"), ("a.example.com/s/Put", "v2"), ("a.example.com/s/Get", "grpc 12")];
    for (url, expected) in rows {
        assert_eq!(call(&world, url, &[]), expected, "{url}");
    }
}

/// § 9 item 20: a rule that cannot be performed is dropped and fails its calls; unknown values are unsupported.
#[test]
fn rules_of_calls_that_cannot_be_performed_are_dropped_and_their_calls_fail() {
    let rules = [
        ("matches: [{method: {type: Odd, method: Get}}]", "grpc 12", "method match type Odd is unknown"),
        ("matches: [{method: {method: Get}, headers: [{type: Odd, name: x, value: z}]}]", "grpc 14", "match type Odd is unknown"),
        ("matches: [{method: {method: Get}}], filters: [{type: Odd}]", "grpc 14", "filter Odd is not performed"),
        ("matches: [{method: {method: Get}}], sessionPersistence: {type: Odd}", "grpc 14", "sessionPersistence"),
    ];
    for (rule, expected, why) in rules {
        let good = "{matches: [{method: {method: Put}}], backendRefs: [{name: v1, port: 80}]}";
        let partly = world(&route("r", "", &format!("{{{rule}, backendRefs: [{{name: v2, port: 80}}]}}, {good}")));
        assert_eq!(partly.condition("GRPCRoute infra/r", "Accepted"), "Accepted", "{rule}");
        assert_eq!(partly.condition("GRPCRoute infra/r", "PartiallyInvalid"), "UnsupportedValue", "{rule}");
        let message = partly.message("GRPCRoute infra/r", "PartiallyInvalid");
        assert!(message.starts_with("Dropped Rule") && message.contains(why), "{message}");
        assert_eq!((call(&partly, "h/s/Get", &[]).as_str(), call(&partly, "h/s/Put", &[]).as_str()), (expected, "v1"), "{rule}");
        let wholly = world(&route("r", "", &format!("{{{rule}, backendRefs: [{{name: v2, port: 80}}]}}")));
        assert_eq!(wholly.condition("GRPCRoute infra/r", "Accepted"), "!UnsupportedValue", "{rule}");
        assert_eq!(wholly.condition("GRPCRoute infra/r", "PartiallyInvalid"), "absent");
        assert_eq!(call(&wholly, "h/s/Get", &[]), expected);
    }
}

/// What the data plane does not perform on calls is refused, not skipped.
#[test]
fn filters_of_calls_need_their_capabilities() {
    let rows = [
        (
            "filters: [{type: RequestMirror, requestMirror: {backendRef: {name: v2, port: 80}}}], backendRefs: [{name: v1, port: 80}]",
            Capability::Mirror,
        ),
        (
            "filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {remove: [x]}}], backendRefs: [{name: v1, port: 80}]",
            Capability::EditResponse,
        ),
        (
            "backendRefs: [{name: v1, port: 80, filters: [{type: RequestHeaderModifier, requestHeaderModifier: {remove: [x]}}]}]",
            Capability::BackendFilters,
        ),
    ];
    for (rule, needed) in rows {
        for has_it in [true, false] {
            let plain = [Capability::Http, Capability::Grpc];
            let capabilities: Vec<_> = plain.into_iter().chain(has_it.then_some(needed)).collect();
            let options = Options { support: Support::of(&capabilities), ..options() };
            let world =
                World::with(options, &format!("{GATEWAY}{}{}", route("r", "", &format!("{{{rule}}}")), services(&["v1", "v2"])));
            let expected = if has_it { "Accepted" } else { "!UnsupportedValue" };
            assert_eq!(world.condition("GRPCRoute infra/r", "Accepted"), expected, "{needed:?}");
        }
    }
}

/// Calls over HTTPS, and calls that reached the wrong listener.
#[test]
fn calls_arrive_over_tls_too_and_misdirected_ones_may_be_tried_elsewhere() {
    let gateway = format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: infra}}
spec:
  gatewayClassName: c
  listeners:
  - {{name: any, port: 443, protocol: HTTPS, tls: {{certificateRefs: [{{name: cert}}]}}}}
  - {{name: b, port: 443, protocol: HTTPS, hostname: b.example.com, tls: {{certificateRefs: [{{name: cert}}]}}}}
{}",
        secret("infra", "cert", "a.example.com")
    );
    let world = World::of(&format!("{gateway}{}{}", route("r", "", "{backendRefs: [{name: v1, port: 80}]}"), services(&["v1"])));
    assert_eq!(call(&world, "a.example.com:443/a.B/C", &[]), "v1");
    let tls = Some(Handshake { server_name: Some("a.example.com".into()), validation: None });
    let arrival = Arrival { socket: Socket { address: None, port: 443, transport: Transport::Tcp }, tls };
    let misdirected = head("POST", "/a.B/C", "b.example.com", &["content-type: application/grpc"]);
    let refusal = admit(&world.snapshot, &arrival, &misdirected).unwrap_err();
    assert_eq!((refusal.reason.status().as_u16(), refusal.reason.grpc_status()), (421, GrpcStatus::Unavailable));
}

/// Law 7: `explain` says which calls were compared, and how one is refused.
#[test]
fn an_explanation_of_a_call_lists_what_it_met_and_its_status() {
    let world = world(&route(
        "r",
        "hostnames: [h], ",
        "{matches: [{method: {service: a.B, method: Get}, headers: [{name: x, value: '1'}]}], backendRefs: [{name: v1, port: 80}]},
         {matches: [{method: {type: RegularExpression, service: 'a.C'}}], backendRefs: [{name: v1, port: 80}]}",
    ));
    let request = head("POST", "/a.B/Get", "h", &["content-type: application/grpc"]);
    let socket = Socket { address: None, port: 80, transport: Transport::Tcp };
    let explanation = explain(&admit(&world.snapshot, &Arrival { socket, tls: None }, &request).unwrap(), &request);
    let expected = "Gateway infra/gw listener http answers for h; path /a.B/Get
  GRPCRoute infra/r rule 0 match 0, host h, call a.B/Get, header x `1`: header x is absent, wanted `1`
  GRPCRoute infra/r rule 1 match 0, host h, service expression a.C: service or method does not match
refused with gRPC status 12 UNIMPLEMENTED: no rule matches";
    assert_eq!(explanation.to_string(), expected);
    let json = serde_json::to_value(&explanation.outcome).unwrap();
    assert_eq!(json["grpcStatus"], 12);
}

/// GEP-1619: a rule's session persistence is handed over with the decision.
#[test]
fn session_persistence_of_a_rule_of_calls_is_handed_over() {
    let rule = "{sessionPersistence: {type: Header, header: {name: X-Session}}, backendRefs: [{name: v1, port: 80}]}";
    let world = world(&route("r", "", rule));
    let request = head("POST", "/a.B/C", "h", &["content-type: application/grpc"]);
    let socket = Socket { address: None, port: 80, transport: Transport::Tcp };
    let admitted = admit(&world.snapshot, &Arrival { socket, tls: None }, &request).expect("a listener");
    let Decision::Forward(forward) = decide(&admitted, &request, Turn::peek) else { panic!("it is forwarded") };
    let carrier = forward.persistence.expect("it persists").carrier.clone();
    assert!(matches!(carrier, Carrier::Header(name) if name == "x-session"));
}

/// A DirectResponse answers calls as it answers requests: in HTTP, which clients of gRPC map to a status.
#[test]
fn a_direct_response_answers_calls() {
    let response = "
---
apiVersion: pingora-gateway.dev/v1alpha1
kind: DirectResponse
metadata: {name: closed, namespace: infra}
spec: {statusCode: 403, body: closed}
";
    let filter =
        "filters: [{type: ExtensionRef, extensionRef: {group: pingora-gateway.dev, kind: DirectResponse, name: closed}}]";
    let alone = world(&(route("r", "", &format!("{{{filter}}}")) + response));
    assert_eq!(call(&alone, "h/a.B/C", &[]), "403 closed");
    let beside = world(&(route("r", "", &format!("{{{filter}, backendRefs: [{{name: v1, port: 80}}]}}")) + response));
    assert_eq!(beside.condition("GRPCRoute infra/r", "Accepted"), "!IncompatibleFilters");
}

/// § 9 item 58: calls at listeners of ListenerSets.
#[test]
fn calls_arrive_at_listeners_of_listener_sets() {
    let gateway = GATEWAY.replace("gatewayClassName: c,", "gatewayClassName: c, allowedListeners: {namespaces: {from: Same}},");
    let set = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: set, namespace: infra}
spec: {parentRef: {name: gw}, listeners: [{name: http, port: 80, protocol: HTTP, hostname: '*.set.example'}]}
";
    let at = |name: &str, host: &str, service: &str| {
        route(name, &format!("hostnames: ['{host}'], "), &format!("{{backendRefs: [{{name: {service}, port: 80}}]}}"))
            .replace("{name: gw}", "{kind: ListenerSet, name: set}")
    };
    let own = route("own", "", "{backendRefs: [{name: v1, port: 80}]}");
    let routes = own + &at("wide", "*.example", "v2") + &at("narrow", "a.set.example", "v3");
    let mut world = World::of(&format!("{gateway}{set}{routes}{}", services(&["v1", "v2", "v3"])));
    for (host, expected) in [("a.set.example", "v3"), ("b.set.example", "v2"), ("a.example", "v1")] {
        assert_eq!(call(&world, &format!("{host}/a.B/C"), &[]), expected, "{host}");
    }
    world.remove("GRPCRoute infra/narrow");
    assert_eq!(call(&world, "a.set.example/a.B/C", &[]), "v2", "the next is promoted");
}
