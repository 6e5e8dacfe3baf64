//! Listeners of every protocol: what may share a port, which kinds of route each takes, what happens where the data plane performs less
//! (`Listener.Protocol`, GEP-2643, GEP-2644, GEP-2645).

use gateway_core::compile::Options;
use gateway_core::snapshot::Protocol;
use gateway_core::support::{Capability, Installed, Support};

use super::certificates::secret;
use super::world::{World, id, options};

/// A Gateway `infra/gw` with these listeners, and its certificate.
pub(crate) fn gateway(listeners: &str) -> String {
    format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: infra}}
spec:
  gatewayClassName: c
  listeners:
{listeners}
{}",
        secret("infra", "cert", "a.example.com")
    )
}

fn performing(capabilities: &[Capability], listeners: &str) -> World {
    World::with(Options { support: Support::of(capabilities), ..options() }, &gateway(listeners))
}

/// Accepted and Conflicted of a listener.
fn standing(world: &World, listener: &str) -> (String, String) {
    let what = format!("Gateway infra/gw#{listener}");
    (world.condition(&what, "Accepted"), world.condition(&what, "Conflicted"))
}

fn supported_kinds(world: &World, listener: &str) -> Vec<String> {
    let status = &world.compiler.statuses()[&id("Gateway infra/gw")];
    let found = status.listeners().iter().find(|found| found.name == listener).expect("a listener");
    found.supported_kinds.iter().map(|kind| kind.kind.clone()).collect()
}

/// A route of any kind, attached without a section.
fn route(kind: &str, name: &str, section: &str) -> String {
    let hostnames = if kind == "TLSRoute" { "hostnames: [a.example.com], " } else { "" };
    format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1
kind: {kind}
metadata: {{name: {name}, namespace: infra}}
spec: {{parentRefs: [{{name: gw{section}}}], {hostnames}rules: [{{backendRefs: [{{name: s, port: 80}}]}}]}}
"
    )
}

const PASSTHROUGH: &str = "tls: {mode: Passthrough}";
const TERMINATE: &str = "tls: {certificateRefs: [{name: cert}]}";
const EVERY_PROTOCOL: &str = "  - {name: http, port: 80, protocol: HTTP}
  - {name: https, port: 443, protocol: HTTPS, hostname: a.example.com, tls: {certificateRefs: [{name: cert}]}}
  - {name: passthrough, port: 443, protocol: TLS, hostname: b.example.com, tls: {mode: Passthrough}}
  - {name: terminate, port: 443, protocol: TLS, hostname: '*.example.com', tls: {certificateRefs: [{name: cert}]}}
  - {name: tcp, port: 53, protocol: TCP}
  - {name: udp, port: 53, protocol: UDP}";

#[test]
fn every_protocol_is_served_where_the_data_plane_performs_it() {
    let world = World::of(&gateway(EVERY_PROTOCOL));
    for name in ["http", "https", "passthrough", "terminate", "tcp", "udp"] {
        assert_eq!(world.condition(&format!("Gateway infra/gw#{name}"), "Programmed"), "Programmed", "{name}");
    }
    let found: Vec<(String, Protocol)> = world
        .snapshot
        .sockets()
        .flat_map(|(_, listeners)| listeners.iter().map(|found| (found.id.name.to_string(), found.protocol)).collect::<Vec<_>>())
        .collect();
    let expected = [
        ("tcp", Protocol::Tcp),
        ("udp", Protocol::Udp),
        ("http", Protocol::Http),
        ("https", Protocol::Https),
        ("passthrough", Protocol::TlsPassthrough),
        ("terminate", Protocol::TlsTerminate),
    ];
    assert_eq!(found, expected.map(|(name, protocol)| (name.to_owned(), protocol)));
}

#[test]
fn protocols_that_the_data_plane_does_not_perform_are_unsupported_and_conflict_with_nobody() {
    let world = performing(&[Capability::Http, Capability::Https], EVERY_PROTOCOL);
    for name in ["passthrough", "terminate", "tcp", "udp"] {
        assert_eq!(standing(&world, name), ("!UnsupportedProtocol".to_owned(), "absent".to_owned()), "{name}");
        assert!(supported_kinds(&world, name).is_empty(), "{name}");
    }
    assert_eq!(world.condition("Gateway infra/gw", "Accepted"), "ListenersNotValid");
    assert_eq!(world.snapshot.sockets().count(), 2);
}

/// § 9 item 34.
#[test]
fn tcp_and_udp_listeners_share_a_port_number() {
    let world = World::of(&gateway("  - {name: tcp, port: 53, protocol: TCP}\n  - {name: udp, port: 53, protocol: UDP}"));
    for name in ["tcp", "udp"] {
        assert_eq!(standing(&world, name), ("Accepted".to_owned(), "absent".to_owned()));
    }
    assert_eq!(world.condition("Gateway infra/gw", "Accepted"), "Accepted");
    assert_eq!(world.snapshot.sockets().count(), 2);
}

/// § 9 item 16.
#[test]
fn in_one_gateway_http_with_https_and_tcp_with_http_on_a_port_are_all_rejected() {
    let pairs = [
        ("protocol: HTTP", format!("protocol: HTTPS, {TERMINATE}")),
        ("protocol: TCP", "protocol: HTTP".to_owned()),
        ("protocol: TCP", format!("protocol: HTTPS, hostname: a.example.com, {TERMINATE}")),
        ("protocol: TCP", format!("protocol: TLS, {PASSTHROUGH}")),
        ("protocol: HTTP, hostname: a.example.com", format!("protocol: TLS, {PASSTHROUGH}")),
    ];
    for (one, other) in pairs {
        let world = World::of(&gateway(&format!("  - {{name: one, port: 80, {one}}}\n  - {{name: other, port: 80, {other}}}")));
        for name in ["one", "other"] {
            let expected = ("!ProtocolConflict".to_owned(), "ProtocolConflict".to_owned());
            assert_eq!(standing(&world, name), expected, "{one} beside {other}");
        }
        assert_eq!(world.condition("Gateway infra/gw", "Accepted"), "!ListenersNotValid");
        assert_eq!(world.snapshot.sockets().count(), 0, "{one} beside {other}");
    }
    let same = World::of(&gateway(
        "  - {name: one, port: 53, protocol: TCP}
  - {name: other, port: 53, protocol: TCP}
  - {name: good, port: 80, protocol: HTTP}",
    ));
    for name in ["one", "other"] {
        assert_eq!(
            standing(&same, name),
            ("!HostnameConflict".to_owned(), "HostnameConflict".to_owned()),
            "all on the port fall"
        );
    }
    assert_eq!(same.condition("Gateway infra/gw", "Accepted"), "ListenersNotValid");
    assert!(same.message("Gateway infra/gw", "Accepted").contains("one, other"));
}

/// § 10 row 2.
#[test]
fn conflicted_listeners_are_not_accepted_for_the_same_reason() {
    let world = World::of(&gateway(&format!(
        "  - {{name: one, port: 443, protocol: TLS, hostname: a.example.com, {PASSTHROUGH}}}
  - {{name: other, port: 443, protocol: TLS, hostname: a.example.com, {TERMINATE}}}"
    )));
    for name in ["one", "other"] {
        let what = format!("Gateway infra/gw#{name}");
        assert_eq!(world.condition(&what, "Conflicted"), "HostnameConflict");
        assert_eq!(world.condition(&what, "Accepted"), "!HostnameConflict");
        assert_eq!(world.condition(&what, "Programmed"), "!HostnameConflict");
    }
}

/// § 10 row 3.
#[test]
fn https_and_tls_share_a_port_and_are_told_apart_by_name() {
    let both = |one: &str, other: &str| {
        World::of(&gateway(&format!(
            "  - {{name: https, port: 443, protocol: HTTPS{one}, {TERMINATE}}}
  - {{name: tls, port: 443, protocol: TLS{other}, {PASSTHROUGH}}}"
        )))
    };
    for (one, other) in [(", hostname: a.example.com", ", hostname: b.example.com"), ("", ", hostname: '*.example.com'")] {
        let world = both(one, other);
        for name in ["https", "tls"] {
            assert_eq!(standing(&world, name), ("Accepted".to_owned(), "absent".to_owned()), "{one} beside {other}");
            assert_eq!(
                world.condition(&format!("Gateway infra/gw#{name}"), "OverlappingTLSConfig"),
                "absent",
                "only HTTPS beside HTTPS"
            );
        }
    }
    for host in [", hostname: a.example.com", ""] {
        let world = both(host, host);
        for name in ["https", "tls"] {
            assert_eq!(standing(&world, name), ("!HostnameConflict".to_owned(), "HostnameConflict".to_owned()), "{host}");
        }
    }
}

#[test]
fn a_tls_mode_that_is_not_performed_is_an_unsupported_value_and_beside_the_other_mode_a_protocol_conflict() {
    let passthrough = format!("  - {{name: passthrough, port: 443, protocol: TLS, hostname: a.example.com, {PASSTHROUGH}}}\n");
    let terminate = format!("  - {{name: terminate, port: 443, protocol: TLS, hostname: b.example.com, {TERMINATE}}}\n");
    let both = format!("{passthrough}{terminate}");
    let accepted = ("Accepted".to_owned(), "absent".to_owned());
    let conflict = ("!ProtocolConflict".to_owned(), "ProtocolConflict".to_owned());
    for (performed, refused, capability) in
        [("passthrough", "terminate", Capability::TlsPassthrough), ("terminate", "passthrough", Capability::TlsTerminate)]
    {
        let other = if refused == "terminate" { &terminate } else { &passthrough };
        let alone = performing(&[capability], other);
        assert_eq!(standing(&alone, refused), ("!UnsupportedValue".to_owned(), "absent".to_owned()));
        assert_eq!(alone.condition("Gateway infra/gw", "Accepted"), "!ListenersNotValid");
        let mixed = performing(&[capability], &both);
        for name in [performed, refused] {
            assert_eq!(standing(&mixed, name), conflict, "{name} where only {performed} is performed");
        }
        let apart = performing(&[capability], &both.replacen("port: 443", "port: 8443", 1));
        assert_eq!(standing(&apart, performed), accepted, "each port is judged alone");
        assert_eq!(standing(&apart, refused), ("!UnsupportedValue".to_owned(), "absent".to_owned()));
    }
    let mixed = World::of(&gateway(&both));
    assert_eq!((standing(&mixed, "passthrough"), standing(&mixed, "terminate")), (accepted.clone(), accepted));
}

#[test]
fn supported_kinds_are_those_of_the_protocol_that_are_allowed_and_others_are_invalid() {
    let rows: [(&str, &[&str]); 5] = [
        ("protocol: HTTP", &["HTTPRoute", "GRPCRoute"]),
        ("protocol: HTTPS, tls: {certificateRefs: [{name: cert}]}", &["HTTPRoute", "GRPCRoute"]),
        ("protocol: TLS, tls: {mode: Passthrough}", &["TLSRoute"]),
        ("protocol: TCP", &["TCPRoute"]),
        ("protocol: UDP", &["UDPRoute"]),
    ];
    for (protocol, kinds) in rows {
        let unrestricted = World::of(&gateway(&format!("  - {{name: l, port: 443, {protocol}}}")));
        assert_eq!(supported_kinds(&unrestricted, "l"), kinds, "{protocol}");
        assert_eq!(unrestricted.condition("Gateway infra/gw#l", "ResolvedRefs"), "ResolvedRefs", "{protocol}");
        for (_, others) in rows {
            let fits = others == kinds;
            let allowed = format!("allowedRoutes: {{kinds: [{{kind: {}}}, {{kind: Odd}}]}}", others[0]);
            let restricted = World::of(&gateway(&format!("  - {{name: l, port: 443, {protocol}, {allowed}}}")));
            assert_eq!(restricted.condition("Gateway infra/gw#l", "ResolvedRefs"), "!InvalidRouteKinds", "{protocol} {allowed}");
            let expected: &[&str] = if fits { &others[..1] } else { &[] };
            assert_eq!(supported_kinds(&restricted, "l"), expected, "{protocol} {allowed}");
            assert_eq!(restricted.condition("Gateway infra/gw#l", "Accepted"), "Accepted", "{protocol} {allowed}");
        }
    }
}

/// § 10 row 1.
#[test]
fn a_route_of_a_kind_that_the_protocol_does_not_carry_is_not_allowed_by_the_listeners() {
    for (kind, sections) in [
        ("TLSRoute", &["http", "https", "tcp", "udp"][..]),
        ("TCPRoute", &["http", "https", "passthrough", "terminate", "udp"]),
        ("UDPRoute", &["http", "https", "passthrough", "terminate", "tcp"]),
        ("HTTPRoute", &["passthrough", "terminate", "tcp", "udp"]),
        ("GRPCRoute", &["passthrough", "terminate", "tcp", "udp"]),
    ] {
        for section in sections {
            let route = route(kind, "r", &format!(", sectionName: {section}"));
            let world = World::of(&format!("{}{route}", gateway(EVERY_PROTOCOL)));
            let what = format!("{kind} infra/r");
            assert_eq!(world.condition(&what, "Accepted"), "!NotAllowedByListeners", "{kind} on {section}");
            assert_eq!(world.attached("infra/gw", section), 0);
        }
    }
}

#[test]
fn a_route_without_a_section_attaches_to_every_listener_that_takes_its_kind() {
    for (kind, carriers) in [
        ("HTTPRoute", &["http", "https"][..]),
        ("GRPCRoute", &["http", "https"]),
        ("TLSRoute", &["terminate"]),
        ("TCPRoute", &["tcp"]),
        ("UDPRoute", &["udp"]),
    ] {
        let world = World::of(&format!("{}{}", gateway(EVERY_PROTOCOL), route(kind, "r", "")));
        assert_eq!(world.condition(&format!("{kind} infra/r"), "Accepted"), "Accepted", "{kind}");
        for listener in ["http", "https", "passthrough", "terminate", "tcp", "udp"] {
            let expected = usize::from(carriers.contains(&listener));
            assert_eq!(world.attached("infra/gw", listener), expected, "{kind} on {listener}");
        }
    }
}

#[test]
fn a_tls_listener_without_a_usable_certificate_is_closed_and_keeps_its_name() {
    let world = World::of(&gateway("  - {name: l, port: 443, protocol: TLS, tls: {certificateRefs: [{name: none}]}}"));
    assert_eq!(world.condition("Gateway infra/gw#l", "Accepted"), "Accepted");
    assert_eq!(world.condition("Gateway infra/gw#l", "ResolvedRefs"), "!InvalidCertificateRef");
    assert_eq!(world.condition("Gateway infra/gw#l", "Programmed"), "!Invalid");
    let (_, listeners) = world.snapshot.sockets().next().expect("its socket");
    assert!(!listeners.find(Some("a.example.com")).expect("the listener").is_open());
}

/// § 9 item 17, within one Gateway.
#[test]
fn overlapping_hostnames_on_a_port_are_told_to_every_affected_https_listener_and_to_no_other() {
    let https = |name: &str, port: u16, host: &str| {
        let tls = format!("tls: {{mode: Terminate, certificateRefs: [{{name: of-{name}}}]}}");
        format!("  - {{name: {name}, port: {port}, protocol: HTTPS, hostname: '{host}', {tls}}}\n")
    };
    let listeners = https("foo", 443, "foo.example.com")
        + &https("deep", 443, "bar.bar.example.com")
        + &https("wild", 443, "*.example.com")
        + &https("bare", 443, "example.com")
        + &https("elsewhere", 9443, "foo.example.com");
    let names = ["foo", "deep", "wild", "bare", "elsewhere"];
    let own: String = names.iter().map(|name| secret("infra", &format!("of-{name}"), &format!("{name}.example.org"))).collect();
    let world = World::of(&(gateway(&listeners) + &own));
    let overlap = |name: &str| world.condition(&format!("Gateway infra/gw#{name}"), "OverlappingTLSConfig");
    for name in ["foo", "deep", "wild"] {
        assert_eq!(overlap(name), "OverlappingHostnames", "{name}");
    }
    for name in ["bare", "elsewhere"] {
        assert_eq!(overlap(name), "absent", "{name}: never false");
    }
    let message = world.message("Gateway infra/gw#wild", "OverlappingTLSConfig");
    assert!(message.starts_with("hosts in common with foo, deep on port 443"), "{message}");
    assert_eq!(world.condition("Gateway infra/gw", "Accepted"), "Accepted", "it is no fault");
}

const MIXED: &str = "  - {name: end, port: 443, protocol: TLS, hostname: tls.example.com, tls: {mode: Terminate, certificateRefs: [{name: cert}]}}
  - {name: pass, port: 443, protocol: TLS, hostname: sub.tls.example.com, tls: {mode: Passthrough}}";

/// Both modes on one port are for those that claim it; for others both listeners fall.
#[test]
fn tls_route_listener_mixed_termination_not_supported() {
    for only in [Capability::TlsTerminate, Capability::TlsPassthrough] {
        let world = performing(&[only], MIXED);
        for name in ["end", "pass"] {
            assert_eq!(standing(&world, name), ("!ProtocolConflict".to_owned(), "ProtocolConflict".to_owned()), "{only:?}");
        }
        assert!(Support::of(&[only]).features(Installed::NEWEST).all(|feature| feature != "TLSRouteModeMixed"));
    }
    let world = World::of(&gateway(MIXED));
    assert_eq!([standing(&world, "end").0, standing(&world, "pass").0], ["Accepted", "Accepted"]);
}

#[test]
fn tls_route_listener_terminate_not_supported() {
    let listener = "  - {name: end, port: 443, protocol: TLS, hostname: tls.example.com, tls: {mode: Terminate, certificateRefs: [{name: cert}]}}";
    let without = performing(&[Capability::TlsPassthrough], listener);
    assert_eq!(standing(&without, "end").0, "!UnsupportedValue");
    assert_eq!(without.condition("Gateway infra/gw", "Accepted"), "!ListenersNotValid");
    let with = performing(&[Capability::TlsTerminate], listener);
    assert_eq!(standing(&with, "end").0, "Accepted");
}

#[test]
fn tls_route_listener_passthrough_supported_kinds() {
    let world = World::of(&gateway(
        "  - {name: pass, port: 443, protocol: TLS, tls: {mode: Passthrough}, allowedRoutes: {kinds: [{kind: TCPRoute}, {kind: TLSRoute}]}}",
    ));
    assert_eq!(supported_kinds(&world, "pass"), ["TLSRoute"]);
    assert_eq!(world.condition("Gateway infra/gw#pass", "ResolvedRefs"), "!InvalidRouteKinds");
}

#[test]
fn tls_route_listener_terminate_supported_kinds() {
    let world =
        World::of(&gateway("  - {name: end, port: 443, protocol: TLS, tls: {mode: Terminate, certificateRefs: [{name: cert}]}}"));
    assert_eq!(standing(&world, "end").0, "Accepted");
    assert_eq!(supported_kinds(&world, "end"), ["TLSRoute"]);
    assert_eq!(world.condition("Gateway infra/gw#end", "ResolvedRefs"), "ResolvedRefs");
}
