//! Listeners: who may share a port, what is reported, who answers for a host (`GatewaySpec.Listeners`, `ListenerStatus`, GEP-3567).

use gateway_core::compile::{Addresses, Bound, Change, Fact};
use gateway_core::name::ObjectName;
use gateway_core::snapshot::{Socket, Transport};
use gateway_core::status::Status;

use super::certificates::secret;
use super::world::{World, id, service};

fn gateway(name: &str, listeners: &str) -> String {
    format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: {name}, namespace: infra}}
spec:
  gatewayClassName: c
  listeners:
{listeners}
"
    )
}

#[test]
fn listeners_of_one_gateway_with_the_same_port_and_hostname_all_fall() {
    let world = World::of(&gateway(
        "gw",
        "  - {name: one, port: 80, protocol: HTTP, hostname: a.example.com}
  - {name: two, port: 80, protocol: HTTP, hostname: a.example.com}
  - {name: three, port: 80, protocol: HTTP}",
    ));
    for name in ["one", "two"] {
        assert_eq!(world.condition(&format!("Gateway infra/gw#{name}"), "Conflicted"), "HostnameConflict");
        assert_eq!(world.condition(&format!("Gateway infra/gw#{name}"), "Accepted"), "!HostnameConflict");
        assert_eq!(world.condition(&format!("Gateway infra/gw#{name}"), "Programmed"), "!HostnameConflict");
    }
    assert_eq!(world.condition("Gateway infra/gw#three", "Conflicted"), "absent", "present only while true");
    assert_eq!(world.condition("Gateway infra/gw", "Accepted"), "ListenersNotValid");
    assert_eq!(world.condition("Gateway infra/gw", "Programmed"), "Programmed", "one listener can serve");
    assert!(world.message("Gateway infra/gw", "Accepted").contains("one, two"));
}

#[test]
fn plain_http_and_tls_on_one_port_are_a_protocol_conflict() {
    let world = World::of(&gateway(
        "gw",
        "  - {name: one, port: 443, protocol: HTTP, hostname: a.example.com}
  - {name: two, port: 443, protocol: HTTPS, hostname: b.example.com, tls: {certificateRefs: [{name: cert}]}}",
    ));
    for name in ["one", "two"] {
        assert_eq!(world.condition(&format!("Gateway infra/gw#{name}"), "Conflicted"), "ProtocolConflict");
    }
    assert_eq!(world.condition("Gateway infra/gw", "Accepted"), "!ListenersNotValid");
    assert_eq!(world.condition("Gateway infra/gw", "Programmed"), "!Invalid");
    assert_eq!(world.snapshot.sockets().count(), 0);
}

#[test]
fn an_unknown_protocol_is_unsupported_and_leaves_the_others_alone() {
    let world =
        World::of(&gateway("gw", "  - {name: odd, port: 1111, protocol: INVALID}\n  - {name: good, port: 80, protocol: HTTP}"));
    assert_eq!(world.condition("Gateway infra/gw#odd", "Accepted"), "!UnsupportedProtocol");
    assert_eq!(world.condition("Gateway infra/gw#good", "Programmed"), "Programmed");
    let Some(Status::Gateway(status)) = world.compiler.statuses().get(&id("Gateway infra/gw")) else { panic!("no status") };
    assert!(status.listeners[0].supported_kinds.is_empty());
    assert_eq!(world.condition("Gateway infra/gw", "Accepted"), "ListenersNotValid");
}

#[test]
fn route_kinds_a_listener_cannot_take_are_invalid_and_the_good_ones_stay() {
    let world = World::of(&gateway(
        "gw",
        "  - {name: l, port: 80, protocol: HTTP, allowedRoutes: {kinds: [{kind: HTTPRoute}, {kind: TCPRoute}, {group: odd.example, kind: HTTPRoute}]}}",
    ));
    assert_eq!(world.condition("Gateway infra/gw#l", "ResolvedRefs"), "!InvalidRouteKinds");
    assert_eq!(world.condition("Gateway infra/gw#l", "Programmed"), "Programmed");
    let Some(Status::Gateway(status)) = world.compiler.statuses().get(&id("Gateway infra/gw")) else { panic!("no status") };
    let kinds: Vec<_> = status.listeners[0].supported_kinds.iter().map(|kind| kind.kind.as_str()).collect();
    assert_eq!(kinds, ["HTTPRoute"]);
}

#[test]
fn of_gateways_on_one_address_the_first_by_age_then_name_keeps_the_port() {
    let listener = "  - {name: http, port: 80, protocol: HTTP}";
    let younger = gateway("a", listener).replace("{name: a,", "{name: a, creationTimestamp: '2026-01-02T00:00:00Z',");
    let older = gateway("b", listener).replace("{name: b,", "{name: b, creationTimestamp: '2026-01-01T00:00:00Z',");
    let mut world = World::of(&format!("{younger}{older}{}", gateway("c", listener)));
    assert_eq!(world.condition("Gateway infra/b#http", "Programmed"), "Programmed");
    for loser in ["a", "c"] {
        assert_eq!(world.condition(&format!("Gateway infra/{loser}#http"), "Conflicted"), "HostnameConflict");
        let message = world.message(&format!("Gateway infra/{loser}#http"), "Accepted");
        assert!(message.contains("infra/b") && message.contains("an address of its own"), "{message}");
    }
    world.remove("Gateway infra/b");
    world.bind();
    assert_eq!(world.condition("Gateway infra/a#http", "Programmed"), "Programmed", "the next in age is promoted");
    assert_eq!(world.condition("Gateway infra/c#http", "Conflicted"), "HostnameConflict");
    let own = Addresses::unasked("10.0.0.9".parse().expect("an address"));
    world.apply([Change::Fact(Fact::Addresses(ObjectName::new("infra", "c"), Some(own)))]);
    world.bind();
    assert_eq!(world.condition("Gateway infra/c#http", "Programmed"), "Programmed", "an address of its own resolves it");
}

#[test]
fn gateways_on_one_address_share_a_port_by_hostname() {
    let world = World::of(&format!(
        "{}{}",
        gateway("a", "  - {name: http, port: 80, protocol: HTTP, hostname: a.example.com}"),
        gateway("b", "  - {name: http, port: 80, protocol: HTTP, hostname: b.example.com}")
    ));
    assert_eq!(world.condition("Gateway infra/a#http", "Programmed"), "Programmed");
    assert_eq!(world.condition("Gateway infra/b#http", "Programmed"), "Programmed");
}

#[test]
fn a_port_that_cannot_be_bound_is_unavailable_until_it_can() {
    let mut world = World::of(&gateway("gw", "  - {name: l, port: 80, protocol: HTTP}"));
    let socket = Socket { address: None, port: 80, transport: Transport::Tcp };
    world.apply([Change::Fact(Fact::Socket(socket, Some(Bound::Refused("address in use".into()))))]);
    assert_eq!(world.condition("Gateway infra/gw#l", "Accepted"), "!PortUnavailable");
    assert!(world.message("Gateway infra/gw#l", "Accepted").contains("address in use"));
    assert_eq!(world.snapshot.sockets().count(), 1, "it is still wanted, so that it can be tried again");
    world.bind();
    assert_eq!(world.condition("Gateway infra/gw#l", "Accepted"), "Accepted");
    world.apply([Change::Fact(Fact::Socket(socket, None))]);
    assert_eq!(world.condition("Gateway infra/gw#l", "Programmed"), "!Pending");
    assert_eq!(world.condition("Gateway infra/gw", "Programmed"), "!Pending");
}

/// Four tiers of listeners, four paths, each known to one of them.
#[test]
fn gateway_http_listener_isolation_never_falls_back_to_a_less_specific_listener() {
    let tiers = [
        ("empty", None),
        ("wide", Some("*.example.com")),
        ("narrow", Some("*.foo.example.com")),
        ("exact", Some("abc.foo.example.com")),
    ];
    let mut listeners = String::new();
    let mut text = String::new();
    for (name, host) in tiers {
        let host = host.map_or_else(String::new, |host| format!(", hostname: '{host}'"));
        listeners += &format!("  - {{name: {name}, port: 80, protocol: HTTP{host}}}\n");
        text += &format!(
            "
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}, namespace: infra}}
spec: {{parentRefs: [{{name: gw, sectionName: {name}}}], rules: [{{matches: [{{path: {{value: /{name}}}}}], backendRefs: [{{name: s, port: 80}}]}}]}}
"
        );
    }
    let world = World::of(&format!("{}{text}{}", gateway("gw", &listeners), service("infra", "s", "10.0.0.1")));
    let hosts =
        [("bar.com", "empty"), ("bar.example.com", "wide"), ("bar.foo.example.com", "narrow"), ("abc.foo.example.com", "exact")];
    for (host, answers) in hosts {
        for (path, _) in tiers {
            let expected = if path == answers { format!("infra/s:80 /{path}") } else { "404".to_owned() };
            assert_eq!(world.get(&format!("http://{host}/{path}"), &[]), expected, "{host} {path}");
        }
    }
}

/// The whole table.
#[test]
fn http_route_https_listener_detect_misdirected_requests() {
    let hosts = [
        ("empty", None),
        ("second", Some("second-example.org")),
        ("wild", Some("*.wildcard.org")),
        ("fourth", Some("fourth-example.wildcard.org")),
    ];
    let mut listeners = String::new();
    for (name, host) in hosts {
        let host = host.map_or_else(String::new, |host| format!(", hostname: '{host}'"));
        listeners +=
            &format!("  - {{name: {name}, port: 443, protocol: HTTPS{host}, tls: {{certificateRefs: [{{name: cert}}]}}}}\n");
    }
    let route = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r, namespace: infra}
spec:
  parentRefs: [{name: gw}]
  hostnames: [example.org, second-example.org, '*.wildcard.org']
  rules: [{backendRefs: [{name: s, port: 80}]}]
";
    let world = World::of(&format!(
        "{}{route}{}{}",
        gateway("gw", &listeners),
        secret("infra", "cert", "example.org"),
        service("infra", "s", "10.0.0.1")
    ));
    let rows = [
        ("example.org", "example.org", "200"),
        ("example.org", "second-example.org", "421"),
        ("example.org", "unknown-example.org", "404"),
        ("second-example.org", "second-example.org", "200"),
        ("second-example.org", "example.org", "421"),
        ("second-example.org", "unknown-example.org", "421"),
        ("third-example.wildcard.org", "third-example.wildcard.org", "200"),
        ("third-example.wildcard.org", "fith-example.wildcard.org", "200"),
        ("third-example.wildcard.org", "fourth-example.wildcard.org", "421"),
        ("third-example.wildcard.org", "second-example.org", "421"),
        ("third-example.wildcard.org", "unknown-example.org", "421"),
        ("fourth-example.wildcard.org", "fourth-example.wildcard.org", "200"),
        ("fourth-example.wildcard.org", "fith-example.wildcard.org", "421"),
        ("unknown-example.org", "example.org", "200"),
        ("unknown-example.org", "unknown-example.org", "404"),
    ];
    for (server_name, authority, expected) in rows {
        let answer = world.over("GET", "https", server_name, authority, "/", &[]);
        let code = if answer.starts_with("infra/s") { "200" } else { &answer };
        assert_eq!(code, expected, "{authority} over a connection for {server_name}");
    }
    for name in ["empty", "wild", "fourth"] {
        assert_eq!(world.condition(&format!("Gateway infra/gw#{name}"), "OverlappingTLSConfig"), "OverlappingCertificates");
    }
}

#[test]
fn what_has_no_effect_and_no_condition_is_a_problem() {
    let text = gateway(
        "gw",
        "  - {name: l, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: cert}], options: {example.com/x: 'on'}}}",
    );
    let world = World::of(&text);
    let problems = &world.compiler.problems()[&id("Gateway infra/gw")];
    assert!(problems.iter().any(|problem| problem.contains("example.com/x")), "{problems:?}");
}
