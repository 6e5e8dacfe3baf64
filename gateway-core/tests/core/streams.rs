//! Connections and flows, and the TLSRoutes, TCPRoutes and UDPRoutes that take them (GEP-2643, GEP-2644, GEP-2645).

use gateway_core::admit::Refusal;
use gateway_core::compile::Change;
use gateway_core::decide::{StreamArrival, StreamDecision, StreamForward, decide_datagram, decide_stream};
use gateway_core::explain::{explain_datagram, explain_stream};
use gateway_core::resource::{Object, TcpRoute};
use gateway_core::snapshot::{BackendProtocol, Protocol, Socket, Transport, Turn, Usage};

use super::protocols::gateway;
use super::world::{World, objects, service};

/// A route of any kind of `infra`; `more` are fields of its spec.
fn route(kind: &str, name: &str, more: &str, backends: &str) -> String {
    aged(kind, name, "", more, backends)
}

/// The same, created in this second.
fn created(second: u8) -> String {
    format!(", creationTimestamp: '2026-01-01T00:00:0{second}Z'")
}

fn aged(kind: &str, name: &str, created: &str, more: &str, backends: &str) -> String {
    format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1
kind: {kind}
metadata: {{name: {name}, namespace: infra{created}}}
spec: {{parentRefs: [{{name: gw}}], {more}rules: [{{backendRefs: {backends}}}]}}
"
    )
}

fn tls(name: &str, hosts: &str, backends: &str) -> String {
    route("TLSRoute", name, &format!("hostnames: {hosts}, "), backends)
}

/// Services by name, each with an endpoint on its TCP port 80.
fn services(names: &[&str]) -> String {
    names.iter().map(|name| service("infra", name, "10.0.0.1")).collect()
}

/// The same with UDP port 80.
fn udp_services(names: &[&str]) -> String {
    services(names).replace("{port: 80}", "{port: 80, protocol: UDP}").replace("{port: 8080}", "{port: 8080, protocol: UDP}")
}

fn world(listeners: &str, more: &str) -> World {
    World::of(&format!("{}{more}", gateway(listeners)))
}

/// What happens to a connection: the name of the Service, with what TLS does before; `https at listener`, or why it is refused.
fn connect(world: &World, port: u16, server_name: Option<&str>) -> String {
    let socket = Socket { address: None, port, transport: Transport::Tcp };
    let arrival = StreamArrival { socket, server_name: server_name.map(Into::into) };
    let (explanation, decision) =
        (explain_stream(&world.snapshot, &arrival), decide_stream(&world.snapshot, &arrival, Turn::take));
    match decision {
        StreamDecision::Http(Some(listener)) => format!("https at {}", listener.id.name),
        StreamDecision::Http(None) => "http".to_owned(),
        StreamDecision::Refuse(refusal) => refused(&refusal),
        StreamDecision::Forward(forward) => {
            let route = forward.rule.id.route.to_string();
            assert_eq!(explanation.candidates[0].route, route, "explain agrees");
            let tls = match forward.listener.protocol {
                Protocol::TlsTerminate => "ended, ",
                Protocol::TlsPassthrough => "passed on, ",
                Protocol::Tcp => "",
                Protocol::Http | Protocol::Https | Protocol::Udp => panic!("{:?}", forward.listener),
            };
            assert!(forward.backend.name.usage == Usage::Stream && forward.backend.protocol == BackendProtocol::Raw);
            format!("{tls}{}", named(&forward))
        }
    }
}

/// What happens to a flow of datagrams.
fn send(world: &World, port: u16) -> String {
    let socket = Socket { address: None, port, transport: Transport::Udp };
    let explanation = explain_datagram(&world.snapshot, &socket);
    match decide_datagram(&world.snapshot, &socket, Turn::take) {
        Ok(forward) => {
            assert_eq!(explanation.candidates[0].route, forward.rule.id.route.to_string(), "explain agrees");
            assert!(forward.backend.name.usage == Usage::Datagram && forward.listener.protocol == Protocol::Udp);
            named(&forward)
        }
        Err(refusal) => refused(&refusal),
    }
}

fn named(forward: &StreamForward) -> String {
    let endpoints = &forward.backend.endpoints;
    assert_eq!(endpoints.len(), 1);
    forward.backend.name.to_string().replace("infra/", "").replace(":80", "")
}

fn refused(refusal: &Refusal) -> String {
    let by = refusal.rule.as_ref().map_or_else(String::new, |rule| format!("{}: ", rule.id.route.name.name()));
    format!("refused, {by}{}", refusal.reason)
}

/// A share that leads nowhere, with what the route's condition says of it.
fn unresolved(world: &World, route: &str) -> String {
    let (name, condition) = (&route[route.len() - 1..], world.condition(route, "ResolvedRefs"));
    let reason = condition.strip_prefix('!').expect("ResolvedRefs is False");
    format!("refused, {name}: the backend reference is invalid: {} ({reason})", world.message(route, "ResolvedRefs"))
}

const NOBODY: &str = "refused, no listener answers for this host";
const NO_ROUTE: &str = "refused, no rule matches";
const PASSTHROUGH: &str = "  - {name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough}}";
const TERMINATE: &str = "  - {name: tls, port: 8443, protocol: TLS, tls: {certificateRefs: [{name: cert}]}}";
const TCP: &str = "  - {name: tcp, port: 9000, protocol: TCP}";
const UDP: &str = "  - {name: udp, port: 5300, protocol: UDP}";

/// Accepted and ResolvedRefs of a route.
fn conditions(world: &World, route: &str) -> (String, String) {
    (world.condition(route, "Accepted"), world.condition(route, "ResolvedRefs"))
}

fn is(accepted: &str, resolved: &str) -> (String, String) {
    (accepted.to_owned(), resolved.to_owned())
}

#[test]
fn tls_route_simple_same_namespace() {
    let world = world(PASSTHROUGH, &(tls("r", "[abc.example.com]", "[{name: s, port: 80}]") + &services(&["s"])));
    assert_eq!(conditions(&world, "TLSRoute infra/r"), is("Accepted", "ResolvedRefs"));
    assert_eq!(world.attached("infra/gw", "tls"), 1);
    assert_eq!(connect(&world, 443, Some("abc.example.com")), "passed on, s");
    assert_eq!(connect(&world, 443, Some("other.example.com")), NO_ROUTE);
    assert_eq!(connect(&world, 443, None), NO_ROUTE);
}

#[test]
fn tls_route_terminate_simple_same_namespace() {
    let world = world(TERMINATE, &(tls("r", "[a.example.com]", "[{name: s, port: 80}]") + &services(&["s"])));
    assert_eq!(world.condition("Gateway infra/gw#tls", "Accepted"), "Accepted");
    assert_eq!(connect(&world, 8443, Some("a.example.com")), "ended, s");
    assert_eq!(connect(&world, 8443, None), NO_ROUTE, "without a server name no TLSRoute matches");
}

#[test]
fn tls_route_hostname_intersection() {
    let listeners = "
  - {name: exact, port: 443, protocol: TLS, hostname: abc.example.com, tls: {mode: Passthrough}}
  - {name: longer, port: 443, protocol: TLS, hostname: '*.wild.example.com', tls: {mode: Passthrough}}
  - {name: shorter, port: 443, protocol: TLS, hostname: '*.example.com', tls: {mode: Passthrough}}
  - {name: any, port: 443, protocol: TLS, tls: {mode: Passthrough}}";
    let at = |name: &str, section: &str, hosts: &str| {
        tls(name, hosts, &format!("[{{name: {name}, port: 80}}]"))
            .replace("{name: gw}", &format!("{{name: gw, sectionName: {section}}}"))
    };
    let routes = [
        at("s1", "exact", "['*.example.com', other.org]"),
        at("s2", "longer", "[a.wild.example.com, '*.b.wild.example.com']"),
        at("s3", "shorter", "['*.example.com']"),
        at("s4", "any", "['*.com', x.org]"),
    ];
    let world = world(listeners, &(routes.concat() + &services(&["s1", "s2", "s3", "s4"])));
    let rows = [
        ("abc.example.com", "passed on, s1"),
        ("a.wild.example.com", "passed on, s2"),
        ("x.b.wild.example.com", "passed on, s2"),
        ("other.wild.example.com", NO_ROUTE),
        ("other.example.com", "passed on, s3"),
        ("example.com", "passed on, s4"),
        ("other.com", "passed on, s4"),
        ("x.org", "passed on, s4"),
        ("other.org", NO_ROUTE),
    ];
    for (name, expected) in rows {
        assert_eq!(connect(&world, 443, Some(name)), expected, "{name}");
    }
    for name in ["exact", "longer", "shorter", "any"] {
        assert_eq!(world.attached("infra/gw", name), 1, "{name}");
    }
}

#[test]
fn tls_route_invalid_backend_ref_nonexistent() {
    let world = world(PASSTHROUGH, &tls("r", "[abc.example.com]", "[{name: none, port: 80}]"));
    assert_eq!(conditions(&world, "TLSRoute infra/r"), is("Accepted", "!BackendNotFound"));
    assert_eq!(connect(&world, 443, Some("abc.example.com")), unresolved(&world, "TLSRoute infra/r"));
}

#[test]
fn tls_route_invalid_backend_ref_unknown_kind() {
    let world = world(PASSTHROUGH, &tls("r", "[abc.example.com]", "[{group: odd.example, kind: Odd, name: s, port: 80}]"));
    assert_eq!(conditions(&world, "TLSRoute infra/r"), is("Accepted", "!InvalidKind"));
    assert_eq!(connect(&world, 443, Some("abc.example.com")), unresolved(&world, "TLSRoute infra/r"));
}

#[test]
fn tls_route_invalid_no_matching_listener() {
    let listeners = "
  - {name: http, port: 80, protocol: HTTP}
  - {name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: cert}]}}";
    let at = |reference: &str| tls("r", "[abc.example.com]", "[{name: s, port: 80}]").replace("{name: gw}", reference);
    for (reference, expected) in [
        ("{name: gw, sectionName: http}", "!NotAllowedByListeners"),
        ("{name: gw, sectionName: https}", "!NotAllowedByListeners"),
        ("{name: gw}", "!NotAllowedByListeners"),
        ("{name: gw, sectionName: none}", "!NoMatchingParent"),
    ] {
        let world = world(listeners, &(at(reference) + &services(&["s"])));
        assert_eq!(conditions(&world, "TLSRoute infra/r"), is(expected, "ResolvedRefs"), "{reference}");
        assert_eq!((world.attached("infra/gw", "http"), world.attached("infra/gw", "https")), (0, 0));
        assert_eq!(connect(&world, 443, Some("abc.example.com")), "https at https");
    }
}

#[test]
fn tls_route_invalid_no_matching_listener_hostname() {
    for hostname in ["abc.example.com", "'*.example.org'"] {
        let listener = PASSTHROUGH.replace("protocol: TLS,", &format!("protocol: TLS, hostname: {hostname},"));
        let world = world(&listener, &(tls("r", "[b.example.com]", "[{name: s, port: 80}]") + &services(&["s"])));
        assert_eq!(conditions(&world, "TLSRoute infra/r"), is("!NoMatchingListenerHostname", "ResolvedRefs"));
        assert_eq!(world.attached("infra/gw", "tls"), 0);
        assert_eq!(connect(&world, 443, Some("b.example.com")), NOBODY);
    }
}

fn grant(kind: &str) -> String {
    format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {{name: grant, namespace: other}}
spec: {{from: [{{group: gateway.networking.k8s.io, kind: {kind}, namespace: infra}}], to: [{{group: '', kind: Service}}]}}
"
    )
}

/// § 9 item 42: and a right one.
#[test]
fn tls_route_invalid_reference_grant() {
    let route = tls("r", "[abc.example.com]", "[{name: s, namespace: other, port: 80}]");
    let mut world = world(PASSTHROUGH, &(route + &grant("TCPRoute") + &service("other", "s", "10.0.0.1")));
    assert_eq!(conditions(&world, "TLSRoute infra/r"), is("Accepted", "!RefNotPermitted"));
    assert_eq!(connect(&world, 443, Some("abc.example.com")), unresolved(&world, "TLSRoute infra/r"));
    world.put(&grant("TLSRoute"));
    assert_eq!(conditions(&world, "TLSRoute infra/r"), is("Accepted", "ResolvedRefs"));
    assert_eq!(connect(&world, 443, Some("abc.example.com")), "passed on, other/s");
}

#[test]
fn tls_route_mixed_termination_same_namespace() {
    let listeners = "
  - {name: end, port: 8883, protocol: TLS, hostname: end.example.com, tls: {certificateRefs: [{name: cert}]}}
  - {name: pass, port: 8883, protocol: TLS, hostname: pass.example.com, tls: {mode: Passthrough}}";
    let routes = tls("end", "[end.example.com]", "[{name: plain, port: 80}]")
        + &tls("pass", "[pass.example.com]", "[{name: secret, port: 80}]");
    let world = world(listeners, &(routes + &services(&["plain", "secret"])));
    for name in ["end", "pass"] {
        assert_eq!(world.condition(&format!("Gateway infra/gw#{name}"), "Accepted"), "Accepted");
        assert_eq!(world.attached("infra/gw", name), 1);
    }
    assert_eq!(connect(&world, 8883, Some("end.example.com")), "ended, plain");
    assert_eq!(connect(&world, 8883, Some("pass.example.com")), "passed on, secret");
    assert_eq!(connect(&world, 8883, Some("other.example.com")), NOBODY);
    assert_eq!(connect(&world, 8883, None), NOBODY);
}

/// § 9 item 58: on a listener of either mode, with promotion.
#[test]
fn tls_route_multiple_routes_attachment_same_hostname_intersection() {
    for (own, older, newer) in
        [("abc.example.com", "*.example.com", "abc.example.com"), ("*.example.com", "*.com", "*.example.com")]
    {
        for (listener, port, mode) in [(PASSTHROUGH, 443, "passed on"), (TERMINATE, 8443, "ended")] {
            let listener = listener.replace("protocol: TLS,", &format!("protocol: TLS, hostname: '{own}',"));
            let at = |name: &str, second, host: &str, service: &str| {
                aged(
                    "TLSRoute",
                    name,
                    &created(second),
                    &format!("hostnames: ['{host}'], "),
                    &format!("[{{name: {service}, port: 80}}]"),
                )
            };
            let routes = at("older", 1, older, "s1") + &at("newer", 2, newer, "s2");
            let mut world = world(&listener, &(routes + &services(&["s1", "s2"])));
            assert_eq!(connect(&world, port, Some("abc.example.com")), format!("{mode}, s2"), "{own}");
            for name in ["older", "newer"] {
                assert_eq!(conditions(&world, &format!("TLSRoute infra/{name}")), is("Accepted", "ResolvedRefs"));
            }
            world.remove("TLSRoute infra/newer");
            assert_eq!(connect(&world, port, Some("abc.example.com")), format!("{mode}, s1"));
        }
    }
}

/// § 9 item 58: of a route with several host names the one that matches counts.
#[test]
fn a_tls_route_competes_with_the_host_name_that_matches() {
    let routes = tls("a", "['*.example.com', b.example.com]", "[{name: s1, port: 80}]")
        + &tls("b", "['*.a.example.com', '*.com']", "[{name: s2, port: 80}]");
    let world = world(PASSTHROUGH, &(routes + &services(&["s1", "s2"])));
    let rows = [("b.example.com", "s1"), ("x.a.example.com", "s2"), ("a.example.com", "s1"), ("x.com", "s2")];
    for (name, expected) in rows {
        assert_eq!(connect(&world, 443, Some(name)), format!("passed on, {expected}"), "{name}");
    }
}

/// § 9 item 42: of two routes for one host name the older takes all, the other is accepted and idle, and says so.
#[test]
fn of_tls_routes_for_one_host_name_the_older_takes_all_and_the_next_is_promoted() {
    let at = |name: &str, second, hosts: &str, service: &str| {
        aged("TLSRoute", name, &created(second), &format!("hostnames: {hosts}, "), &format!("[{{name: {service}, port: 80}}]"))
    };
    let routes = at("younger", 2, "[a.example.com, b.example.com]", "s1") + &at("older", 1, "[a.example.com]", "s2");
    let mut world = world(PASSTHROUGH, &(routes + &services(&["s1", "s2"])));
    assert_eq!(world.attached("infra/gw", "tls"), 2);
    assert_eq!(connect(&world, 443, Some("a.example.com")), "passed on, s2");
    assert_eq!(connect(&world, 443, Some("b.example.com")), "passed on, s1");
    let message = world.message("TLSRoute infra/younger", "Accepted");
    assert!(
        message.ends_with("; idle on listener tls for a.example.com: TLSRoute infra/older goes first and takes all"),
        "{message}"
    );
    assert!(!world.message("TLSRoute infra/older", "Accepted").contains("idle"));
    let update = world.remove("TLSRoute infra/older");
    assert_eq!(connect(&world, 443, Some("a.example.com")), "passed on, s1");
    assert!(!world.message("TLSRoute infra/younger", "Accepted").contains("idle"));
    assert_eq!(update.statuses.len(), 3, "the route that is gone, the one that was promoted, and the Gateway's count");
}

#[test]
fn tcp_route_parent_ref_attach_all() {
    let listeners: String = (1..5).map(|n| format!("  - {{name: tcp-{n}, port: 900{n}, protocol: TCP}}\n")).collect();
    let world = world(&listeners, &(route("TCPRoute", "r", "", "[{name: s, port: 80}]") + &services(&["s"])));
    for n in 1..5 {
        assert_eq!(connect(&world, 9000 + n, None), "s");
        assert_eq!(world.attached("infra/gw", &format!("tcp-{n}")), 1);
    }
}

/// By port, by section, by both.
fn parent_ref_port_and_section_name(kind: &str, protocol: &str) {
    let listeners: String = (1..4).map(|n| format!("  - {{name: l-{n}, port: 900{n}, protocol: {protocol}}}\n")).collect();
    let at = |name: &str, reference: &str| {
        route(kind, name, "", &format!("[{{name: {name}, port: 80}}]")).replace("{name: gw}", reference)
    };
    let routes = at("s1", "{name: gw, port: 9001}")
        + &at("s2", "{name: gw, sectionName: l-2}")
        + &at("s3", "{name: gw, sectionName: l-3, port: 9003}");
    let names = ["s1", "s2", "s3"];
    let backends = if kind == "TCPRoute" { services(&names) } else { udp_services(&names) };
    let world = world(&listeners, &(routes + &backends));
    for (n, name) in (1..4).zip(names) {
        let arrived = if kind == "TCPRoute" { connect(&world, 9000 + n, None) } else { send(&world, 9000 + n) };
        assert_eq!(arrived, name, "{kind}");
        assert_eq!(world.attached("infra/gw", &format!("l-{n}")), 1);
    }
}

#[test]
fn tcp_route_parent_ref_port_and_section_name() {
    parent_ref_port_and_section_name("TCPRoute", "TCP");
}

#[test]
fn udp_route_parent_ref_port_and_section_name() {
    parent_ref_port_and_section_name("UDPRoute", "UDP");
}

/// § 10 row 16: the older takes all, the other is idle and says so.
fn multiple_routes_attachment(kind: &str, listener: &str, name: &str) {
    let at =
        |name: &str, second, service: &str| aged(kind, name, &created(second), "", &format!("[{{name: {service}, port: 80}}]"));
    let routes = at("a", 3, "s1") + &at("b", 2, "s2") + &at("c", 2, "s3");
    let names = ["s1", "s2", "s3", "s4"];
    let backends = if kind == "TCPRoute" { services(&names) } else { udp_services(&names) };
    let mut world = world(listener, &(routes + &backends));
    let arrive = |world: &World| if kind == "TCPRoute" { connect(world, 9000, None) } else { send(world, 5300) };
    assert!((0..100).all(|_| arrive(&world) == "s2"));
    assert_eq!(world.attached("infra/gw", name), 3, "losers count");
    for route in ["a", "b", "c"] {
        assert_eq!(conditions(&world, &format!("{kind} infra/{route}")), is("Accepted", "ResolvedRefs"));
    }
    let message = |world: &World, route: &str| world.message(&format!("{kind} infra/{route}"), "Accepted");
    let idle = |first: &str| format!("; idle on listener {name}: {kind} infra/{first} goes first and takes all");
    assert!(message(&world, "a").ends_with(&idle("b")) && message(&world, "c").ends_with(&idle("b")));
    assert!(!message(&world, "b").contains("idle"));
    world.remove(&format!("{kind} infra/b"));
    assert_eq!(arrive(&world), "s3", "the next in age is promoted");
    assert!(message(&world, "a").ends_with(&idle("c")) && !message(&world, "c").contains("idle"));
    let update = world.put(&at("d", 1, "s4"));
    assert_eq!(arrive(&world), "s4");
    assert!(message(&world, "a").ends_with(&idle("d")) && message(&world, "c").ends_with(&idle("d")));
    assert_eq!(update.statuses.len(), 4, "the three routes of the listener and the Gateway's count");
    let update = world.put(&at("e", 4, "s1"));
    assert_eq!(update.statuses.len(), 2, "a younger one changes nothing for the others");
}

#[test]
fn tcp_route_multiple_routes_attachment() {
    multiple_routes_attachment("TCPRoute", TCP, "tcp");
}

#[test]
fn udp_route_multiple_routes_attachment() {
    multiple_routes_attachment("UDPRoute", UDP, "udp");
}

#[test]
fn tcp_route_invalid_backend_ref_nonexistent() {
    let world = world(TCP, &route("TCPRoute", "t", "", "[{name: none, port: 80}]"));
    assert_eq!(conditions(&world, "TCPRoute infra/t"), is("Accepted", "!BackendNotFound"));
    assert_eq!(connect(&world, 9000, None), unresolved(&world, "TCPRoute infra/t"));
}

#[test]
fn udp_route_invalid_backend_ref_nonexistent() {
    let world = world(UDP, &route("UDPRoute", "u", "", "[{name: none, port: 80}]"));
    assert_eq!(conditions(&world, "UDPRoute infra/u"), is("Accepted", "!BackendNotFound"));
    assert_eq!(send(&world, 5300), unresolved(&world, "UDPRoute infra/u"));
}

/// While a grant permits it, and not before nor after.
fn reference_grant(kind: &str, listener: &str) {
    let backend = if kind == "TCPRoute" { services(&["s"]) } else { udp_services(&["s"]) }.replace("infra", "other");
    let mut world = world(listener, &(route(kind, "r", "", "[{name: s, namespace: other, port: 80}]") + &backend));
    let arrive = |world: &World| if kind == "TCPRoute" { connect(world, 9000, None) } else { send(world, 5300) };
    let what = format!("{kind} infra/r");
    assert_eq!(conditions(&world, &what), is("Accepted", "!RefNotPermitted"));
    assert_eq!(arrive(&world), unresolved(&world, &what));
    world.put(&grant(kind));
    assert_eq!(conditions(&world, &what), is("Accepted", "ResolvedRefs"));
    assert_eq!(arrive(&world), "other/s");
    world.remove("ReferenceGrant other/grant");
    assert_eq!(conditions(&world, &what), is("Accepted", "!RefNotPermitted"));
    assert_eq!(arrive(&world), unresolved(&world, &what));
}

#[test]
fn tcp_route_reference_grant() {
    reference_grant("TCPRoute", TCP);
}

#[test]
fn udp_route_reference_grant() {
    reference_grant("UDPRoute", UDP);
}

/// Without any grant, and with one for another kind of route.
fn invalid_cross_namespace_backend_ref(kind: &str, listener: &str) {
    let backend = if kind == "TCPRoute" { services(&["s"]) } else { udp_services(&["s"]) }.replace("infra", "other");
    let mut world = world(listener, &(route(kind, "r", "", "[{name: s, namespace: other, port: 80}]") + &backend));
    for grant in ["", &grant("HTTPRoute")] {
        if !grant.is_empty() {
            world.put(grant);
        }
        assert_eq!(conditions(&world, &format!("{kind} infra/r")), is("Accepted", "!RefNotPermitted"));
        let arrived = if kind == "TCPRoute" { connect(&world, 9000, None) } else { send(&world, 5300) };
        assert_eq!(arrived, unresolved(&world, &format!("{kind} infra/r")));
    }
}

#[test]
fn tcp_route_invalid_cross_namespace_backend_ref() {
    invalid_cross_namespace_backend_ref("TCPRoute", TCP);
}

#[test]
fn udp_route_invalid_cross_namespace_backend_ref() {
    invalid_cross_namespace_backend_ref("UDPRoute", UDP);
}

/// A route of this kind that names a listener of another protocol.
fn elsewhere(kind: &str, section: &str) -> World {
    let listeners = format!("  - {{name: http, port: 80, protocol: HTTP}}\n{PASSTHROUGH}\n{UDP}");
    let reference = format!("{{name: gw, sectionName: {section}}}");
    let route = route(kind, "r", "", "[{name: s, port: 80}]").replace("{name: gw}", &reference);
    let world = world(&listeners, &(route + &services(&["s"])));
    assert_eq!(world.condition(&format!("{kind} infra/r"), "Accepted"), "!NotAllowedByListeners");
    assert_eq!(world.attached("infra/gw", section), 0);
    world
}

#[test]
fn tcp_route_invalid_non_tcp_listener() {
    assert_eq!(connect(&elsewhere("TCPRoute", "http"), 80, None), "http");
    assert_eq!(send(&elsewhere("TCPRoute", "udp"), 5300), NO_ROUTE);
}

#[test]
fn udp_route_not_allowed_by_listeners() {
    assert_eq!(connect(&elsewhere("UDPRoute", "tls"), 443, Some("h")), NO_ROUTE);
}

/// § 9 items 32, 33 and 42: shares are exact, invalid references take theirs, all weights zero is a refusal of all.
fn weighted_routing(kind: &str, listener: &str) {
    let names = ["s1", "s2", "s3"];
    let backends = if kind == "UDPRoute" { udp_services(&names) } else { services(&names) };
    let hosts = if kind == "TLSRoute" { "hostnames: [a.example.com], " } else { "" };
    let shared = |targets: &[(&str, u32)]| {
        let targets: Vec<_> =
            targets.iter().map(|(name, weight)| format!("{{name: {name}, port: 80, weight: {weight}}}")).collect();
        route(kind, "r", hosts, &format!("[{}]", targets.join(", ")))
    };
    let count = |world: &World, service: &str| {
        let arrived = (0..500).map(|_| match kind {
            "TCPRoute" => connect(world, 9000, None),
            "UDPRoute" => send(world, 5300),
            _ => connect(world, 443, Some("a.example.com")).replace("passed on, ", ""),
        });
        arrived.filter(|arrived| arrived == service).count()
    };
    let mut world = world(listener, &(shared(&[("s1", 70), ("s2", 30), ("s3", 0)]) + &backends));
    assert_eq!([count(&world, "s1"), count(&world, "s2"), count(&world, "s3")], [350, 150, 0], "{kind}");
    world.put(&shared(&[("s1", 3), ("none", 1), ("s2", 1)]));
    assert_eq!(world.condition(&format!("{kind} infra/r"), "ResolvedRefs"), "!BackendNotFound");
    let refused = unresolved(&world, &format!("{kind} infra/r"));
    assert_eq!([count(&world, "s1"), count(&world, &refused)], [300, 100], "{kind}");
    world.put(&shared(&[("s1", 0), ("s2", 0)]));
    assert_eq!(count(&world, "refused, r: all backendRefs of the rule have weight 0"), 500);
}

#[test]
fn tcp_route_weighted_routing_and_the_share_of_invalid_references() {
    weighted_routing("TCPRoute", TCP);
}

#[test]
fn udp_route_weighted_routing_and_the_share_of_invalid_references() {
    weighted_routing("UDPRoute", UDP);
}

#[test]
fn tls_routes_share_by_weight_and_invalid_references_refuse_their_share() {
    weighted_routing("TLSRoute", PASSTHROUGH);
}

#[test]
fn udp_route() {
    let world = world(UDP, &(route("UDPRoute", "r", "", "[{name: s, port: 80}]") + &udp_services(&["s"])));
    assert_eq!(conditions(&world, "UDPRoute infra/r"), is("Accepted", "ResolvedRefs"));
    assert_eq!(world.attached("infra/gw", "udp"), 1);
    assert_eq!(send(&world, 5300), "s");
}

#[test]
fn udp_route_parent_ref_attach_all_listeners() {
    let listeners: String = (1..4).map(|n| format!("  - {{name: udp-{n}, port: 530{n}, protocol: UDP}}\n")).collect();
    let world = world(&listeners, &(route("UDPRoute", "r", "", "[{name: s, port: 80}]") + &udp_services(&["s"])));
    for n in 1..4 {
        assert_eq!(send(&world, 5300 + n), "s");
        assert_eq!(world.attached("infra/gw", &format!("udp-{n}")), 1);
    }
    assert_eq!(send(&world, 5309), NOBODY);
}

/// § 9 items 33 and 34: TCP and UDP on one port number, each to the port of its own transport.
#[test]
fn tcp_and_udp_on_one_port_number_reach_the_service_port_of_their_transport() {
    let listeners = format!("{TCP}\n  - {{name: udp, port: 9000, protocol: UDP}}");
    let both = "
---
apiVersion: v1
kind: Service
metadata: {name: dns, namespace: infra}
spec: {ports: [{name: t, port: 80}, {name: u, port: 80, protocol: UDP}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: dns-1, namespace: infra, labels: {kubernetes.io/service-name: dns}}
addressType: IPv4
endpoints: [{addresses: [10.0.0.1]}]
ports: [{name: t, port: 8053}, {name: u, port: 9053, protocol: UDP}]
";
    let routes = |service: &str| {
        let backends = format!("[{{name: {service}, port: 80}}]");
        route("TCPRoute", "t", "", &backends) + &route("UDPRoute", "u", "", &backends)
    };
    let mut world = world(&listeners, &(routes("dns") + both));
    assert_eq!((connect(&world, 9000, None), send(&world, 9000)), ("dns".to_owned(), "dns".to_owned()));
    let endpoints: Vec<_> = world.snapshot.backends().map(|backend| (backend.name.usage, backend.endpoints[0].port())).collect();
    assert_eq!(endpoints, [(Usage::Stream, 8053), (Usage::Datagram, 9053)]);
    world.put(&(routes("web") + &services(&["web"])));
    assert_eq!(connect(&world, 9000, None), "web");
    assert_eq!(send(&world, 9000), unresolved(&world, "UDPRoute infra/u"));
    assert_eq!(world.condition("UDPRoute infra/u", "ResolvedRefs"), "!BackendNotFound");
    assert!(world.message("UDPRoute infra/u", "ResolvedRefs").contains("no UDP port 80"));
}

/// § 9 item 3, for streams: no endpoint is a refusal, until one comes.
#[test]
fn a_service_without_endpoints_refuses_connections_until_one_comes() {
    let idle = "\n---\n{apiVersion: v1, kind: Service, metadata: {name: s, namespace: infra}, spec: {ports: [{port: 80}]}}";
    let mut world = world(TCP, &(route("TCPRoute", "r", "", "[{name: s, port: 80}]") + idle));
    assert_eq!(conditions(&world, "TCPRoute infra/r"), is("Accepted", "ResolvedRefs"));
    assert_eq!(connect(&world, 9000, None), "refused, r: the backend has no endpoint");
    world.put(&services(&["s"]));
    assert_eq!(connect(&world, 9000, None), "s");
}

/// A listener that was accepted but cannot serve keeps its name, so that no other answers in its place.
#[test]
fn a_terminate_listener_without_a_certificate_is_closed_for_its_name() {
    let listeners = "
  - {name: closed, port: 443, protocol: TLS, hostname: a.example.com, tls: {certificateRefs: [{name: none}]}}
  - {name: open, port: 443, protocol: TLS, tls: {mode: Passthrough}}";
    let world = world(listeners, &(tls("r", "['*.example.com']", "[{name: s, port: 80}]") + &services(&["s"])));
    assert_eq!(world.attached("infra/gw", "closed"), 1, "it counts its routes all the same");
    let closed = "refused, the listener is closed: Secret infra/none does not exist";
    assert_eq!(connect(&world, 443, Some("a.example.com")), closed);
    assert_eq!(connect(&world, 443, Some("b.example.com")), "passed on, s");
}

/// Rules are named for policies and logs (`rules[].name`).
#[test]
fn rules_of_streams_have_names() {
    let named =
        |kind: &str, more: &str| route(kind, "r", more, "[{name: s, port: 80}]").replace("rules: [{", "rules: [{name: first, ");
    let routes = named("TCPRoute", "") + &named("TLSRoute", "hostnames: [a.example.com], ");
    let world = world(&format!("{TCP}\n{PASSTHROUGH}"), &(routes + &services(&["s"])));
    for (port, server_name) in [(9000, None), (443, Some("a.example.com"))] {
        let socket = Socket { address: None, port, transport: Transport::Tcp };
        let arrival = StreamArrival { socket, server_name: server_name.map(Into::into) };
        assert_eq!(explain_stream(&world.snapshot, &arrival).candidates[0].rule_name.as_deref(), Some("first"));
    }
}

/// Law 7: an explanation lists who contends, and says what is done.
#[test]
fn an_explanation_lists_the_routes_a_connection_met() {
    let at = |name: &str, second, hosts: &str| {
        aged("TLSRoute", name, &created(second), &format!("hostnames: {hosts}, "), "[{name: s, port: 80}]")
    };
    let routes = at("b", 2, "[a.example.com]") + &at("a", 1, "[a.example.com]") + &at("c", 1, "['*.example.com']");
    let world = world(TERMINATE, &(routes + &services(&["s"])));
    let socket = Socket { address: None, port: 8443, transport: Transport::Tcp };
    let arrival = StreamArrival { socket, server_name: Some("a.example.com".into()) };
    let explanation = explain_stream(&world.snapshot, &arrival);
    let expected = "Gateway infra/gw listener tls answers for a.example.com
  TLSRoute infra/a, host a.example.com: wins
  TLSRoute infra/b, host a.example.com: holds, but ranks lower
  TLSRoute infra/c, host *.example.com: holds, but ranks lower
TLS ends here, then forwarded to infra/s:80, which has 1 endpoint";
    assert_eq!(explanation.to_string(), expected);
    let json = serde_json::to_value(&explanation).unwrap();
    assert_eq!(json["outcome"], serde_json::json!({"does": "forward", "backend": "infra/s:80", "endpoints": 1, "tls": "ends"}));
}

/// § 9 items 41 and 58: listeners of ListenerSets carry streams as those of Gateways do, told apart by name on one port.
#[test]
fn listeners_of_listener_sets_carry_streams() {
    let gateway = gateway(PASSTHROUGH)
        .replace("gatewayClassName: c", "gatewayClassName: c\n  allowedListeners: {namespaces: {from: Same}}");
    let set = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: set, namespace: infra}
spec:
  parentRef: {name: gw}
  listeners:
  - {name: tls, port: 443, protocol: TLS, hostname: '*.set.example', tls: {mode: Passthrough}}
  - {name: tcp, port: 9000, protocol: TCP}
  - {name: udp, port: 9000, protocol: UDP}
";
    let on_set = |text: String| text.replace("{name: gw}", "{kind: ListenerSet, name: set}");
    let routes = [
        tls("own", "['*.example']", "[{name: s1, port: 80}]"),
        on_set(tls("wide", "['*.example']", "[{name: s2, port: 80}]")),
        on_set(tls("narrow", "['*.set.example']", "[{name: s3, port: 80}]")),
        on_set(route("TCPRoute", "t", "", "[{name: s2, port: 80}]")),
        on_set(route("UDPRoute", "u", "", "[{name: s4, port: 80}]")),
    ];
    let mut world =
        World::of(&format!("{gateway}{set}{}{}{}", routes.concat(), services(&["s1", "s2", "s3"]), udp_services(&["s4"])));
    assert_eq!(connect(&world, 443, Some("a.set.example")), "passed on, s3");
    assert_eq!(connect(&world, 443, Some("a.example")), "passed on, s1");
    assert_eq!((connect(&world, 9000, None), send(&world, 9000)), ("s2".to_owned(), "s4".to_owned()));
    world.remove("TLSRoute infra/narrow");
    assert_eq!(connect(&world, 443, Some("a.set.example")), "passed on, s2", "the next is promoted");
    world.remove("TLSRoute infra/wide");
    assert_eq!(connect(&world, 443, Some("a.set.example")), NO_ROUTE, "no other listener stands in");
}

/// § 10 row 3 and GEP-3567: on a port shared with TLS listeners, a request for a name of theirs is misdirected.
#[test]
fn a_request_over_https_for_a_name_of_a_tls_listener_is_misdirected() {
    let listeners = "
  - {name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: cert}]}}
  - {name: tls, port: 443, protocol: TLS, hostname: b.example.com, tls: {mode: Passthrough}}";
    let http = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: h, namespace: infra}
spec: {parentRefs: [{name: gw}], rules: [{backendRefs: [{name: s, port: 80}]}]}
";
    let routes = http.to_owned() + &tls("t", "[b.example.com]", "[{name: s, port: 80}]");
    let world = world(listeners, &(routes + &services(&["s"])));
    assert_eq!(connect(&world, 443, Some("a.example.com")), "https at https");
    assert_eq!(connect(&world, 443, None), "https at https");
    assert_eq!(connect(&world, 443, Some("b.example.com")), "passed on, s");
    assert_eq!(world.over("GET", "https", "a.example.com", "a.example.com:443", "/", &[]), "infra/s:80 /");
    assert_eq!(world.over("GET", "https", "a.example.com", "b.example.com:443", "/", &[]), "421");
}

/// §2.4, "not accepted": a listener that is not accepted for what it asks keeps its name, so that its clients never meet another's
/// certificates and routes.
#[test]
fn no_other_listener_answers_to_the_name_of_one_that_is_not_accepted() {
    let http = route("HTTPRoute", "h", "", "[{name: s, port: 80}]");
    let others = "
  - {name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: cert}]}}
  - {name: any, port: 8443, protocol: TLS, hostname: '*.example.com', tls: {mode: Passthrough}}
  - {name: http, port: 80, protocol: HTTP}
";
    let cert = "certificateRefs: [{name: cert}]";
    let rows = [
        (443, "HTTPS", format!("tls: {{{cert}, options: {{pingora-gateway.dev/min-tls-version: '1.0'}}}}")),
        (443, "HTTPS", format!("tls: {{{cert}, mode: Passthrough}}")),
        (443, "TLS", format!("tls: {{{cert}, mode: Odd}}")),
        (443, "TLS", "tls: {mode: Passthrough, options: {pingora-gateway.dev/min-tls-version: '1.3'}}".to_owned()),
        (8443, "TLS", format!("tls: {{{cert}, mode: Odd}}")),
        (443, "HTTPS", format!("tls: {{{cert}, options: {{'': x}}}}")),
        (80, "HTTP", format!("tls: {{{cert}}}")),
    ];
    for (port, protocol, tls_fields) in rows {
        let own = format!("  - {{name: own, port: {port}, protocol: {protocol}, hostname: own.example.com, {tls_fields}}}");
        let passed = tls("t", "['*.example.com']", "[{name: s, port: 80}]");
        let mut world = world(&(others.to_owned() + &own), &(http.clone() + &passed + &services(&["s"])));
        assert_eq!(world.condition("Gateway infra/gw#own", "Accepted"), "!UnsupportedValue", "{own}");
        let ask = |world: &World, name: &str| match port {
            80 => world.get(&format!("http://{name}/"), &[]),
            _ => connect(world, port, Some(name)),
        };
        let closed = format!("refused, the listener is closed: {}", world.message("Gateway infra/gw#own", "Accepted"));
        let (refused, usual) = match port {
            80 => ("500", "infra/s:80 /"),
            443 => (&*closed, "https at https"),
            _ => (&*closed, "passed on, s"),
        };
        assert_eq!(ask(&world, "own.example.com"), refused, "{own}");
        assert_eq!(ask(&world, "a.example.com"), usual, "{own}");
        world.put(&gateway(others));
        assert_eq!(ask(&world, "own.example.com"), usual, "its name is free again: {own}");
    }
}

/// One whose place is not stated in due form has none.
#[test]
fn a_listener_whose_host_name_cannot_be_read_keeps_none() {
    let own = "
  - {name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: cert}]}}
  - {name: own, port: 443, protocol: HTTPS, hostname: 'own..example.com', tls: {certificateRefs: [{name: cert}]}}";
    let world = world(own, &(route("HTTPRoute", "h", "", "[{name: s, port: 80}]") + &services(&["s"])));
    assert_eq!(world.condition("Gateway infra/gw#own", "Accepted"), "!UnsupportedValue");
    assert_eq!(connect(&world, 443, Some("own..example.com")), "https at https");
}

/// Bytes carry no filter that could be missed: where a route for them is not valid, the next takes its place.
#[test]
fn an_invalid_route_of_bytes_makes_way_for_the_next() {
    let old = aged("TCPRoute", "old", &created(1), "", "[{name: s1, port: 80}]");
    let young = aged("TCPRoute", "young", &created(2), "", "[{name: s2, port: 80}]");
    let mut world = world(TCP, &(old.clone() + &young + &services(&["s1", "s2"])));
    assert_eq!(connect(&world, 9000, None), "s1");
    world.put(&old.replace("[{name: gw}]", "[{name: gw}, {name: gw}]"));
    assert_eq!(world.condition("TCPRoute infra/old", "Accepted"), "!UnsupportedValue");
    assert_eq!(connect(&world, 9000, None), "s2");
}

/// There is one rule: a stored route with more is not accepted, and of one made otherwise the first takes all.
#[test]
fn of_several_rules_of_a_stream_the_first_takes_all_if_any() {
    let one = route("TCPRoute", "r", "", "[{name: s1, port: 80}]");
    let mut world = world(TCP, &services(&["s1", "s2"]));
    world.put(&one.replace("rules: [", "rules: [{backendRefs: [{name: s2, port: 80}]}, "));
    assert_eq!(world.condition("TCPRoute infra/r", "Accepted"), "!UnsupportedValue");
    assert!(world.message("TCPRoute infra/r", "Accepted").contains("exactly 1 entry"));
    assert_eq!(connect(&world, 9000, None), NO_ROUTE);
    let Some(Object::TcpRoute(made)) = objects(&one).pop() else { panic!("it is a TCPRoute") };
    let mut made = TcpRoute::clone(&made);
    made.spec.rules.extend(made.spec.rules.clone());
    world.apply([Change::Put(Object::TcpRoute(made.into()))]);
    assert_eq!(world.condition("TCPRoute infra/r", "PartiallyInvalid"), "UnsupportedValue");
    let message = world.message("TCPRoute infra/r", "PartiallyInvalid");
    assert_eq!(message, "Dropped Rule: rule 1: a route of this kind has one rule; the first takes all");
    assert_eq!(connect(&world, 9000, None), "s1");
}
