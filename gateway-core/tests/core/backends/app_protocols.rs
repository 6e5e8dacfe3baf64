//! What `appProtocol` of a port says to each kind of route (GEP-1911, § 4.5, § 10 row 14).

use gateway_core::compile::Options;
use gateway_core::support::{Capability, Support};

use super::super::world::{World, options};

/// A Gateway, a route of this kind to port 80 of Service `s`, and that with this `appProtocol`.
fn yaml(kind: &str, app_protocol: &str) -> String {
    let (hostnames, transport) = match kind {
        "TLSRoute" => ("hostnames: [h.example], ", "TCP"),
        "UDPRoute" => ("", "UDP"),
        _ => ("", "TCP"),
    };
    format!(
        "
---
{{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {{name: gw, namespace: team}}, spec: {{gatewayClassName: c, listeners: [{{name: http, port: 80, protocol: HTTP}}]}}}}
---
{{apiVersion: gateway.networking.k8s.io/v1, kind: {kind}, metadata: {{name: r, namespace: team}}, spec: {{parentRefs: [{{name: gw}}], {hostnames}rules: [{{backendRefs: [{{name: s, port: 80}}]}}]}}}}
---
{{apiVersion: v1, kind: Service, metadata: {{name: s, namespace: team}}, spec: {{ports: [{{port: 80, protocol: {transport}, appProtocol: {app_protocol}}}]}}}}
"
    )
}

const POLICY: &str = "
---
{apiVersion: gateway.networking.k8s.io/v1, kind: BackendTLSPolicy, metadata: {name: p, namespace: team}, spec: {targetRefs: [{group: '', kind: Service, name: s}], validation: {hostname: a.example.com, wellKnownCACertificates: System}}}
";

/// What is spoken, or why it cannot be.
fn spoken(world: &World, kind: &str) -> String {
    let resolved = world.condition(&format!("{kind} team/r"), "ResolvedRefs");
    match world.snapshot.backends().next() {
        Some(backend) if resolved == "ResolvedRefs" => format!("{:?}", backend.protocol),
        _ => resolved,
    }
}

const ALL: [&str; 10] = [
    "http",
    "https",
    "HTTPS",
    "grpc",
    "kubernetes.io/h2c",
    "kubernetes.io/ws",
    "kubernetes.io/wss",
    "kubernetes.io/odd",
    "example.com/own",
    "ftp",
];

#[test]
fn app_protocol_says_to_an_http_route_what_is_spoken_in_clear_and_over_tls() {
    const NO: &str = "!UnsupportedProtocol";
    let expected = [
        ("Http1", "Http1"),
        (NO, "Http1"),
        (NO, "Http1"),
        ("Http2", "Http2"),
        ("Http2", "Http2"),
        ("Http1", "Http1"),
        (NO, "Http1"),
        (NO, NO),
        ("Http1", "Http1"),
        ("Http1", "Http1"),
    ];
    for (app_protocol, (clear, tls)) in ALL.into_iter().zip(expected) {
        let yaml = yaml("HTTPRoute", app_protocol);
        assert_eq!(spoken(&World::of(&yaml), "HTTPRoute"), clear, "{app_protocol}");
        assert_eq!(spoken(&World::of(&(yaml + POLICY)), "HTTPRoute"), tls, "{app_protocol} over TLS");
    }
}

#[test]
fn app_protocol_says_nothing_to_calls_streams_and_datagrams() {
    for (kind, protocol) in [("GRPCRoute", "Http2"), ("TLSRoute", "Raw"), ("TCPRoute", "Raw"), ("UDPRoute", "Raw")] {
        for app_protocol in ALL {
            assert_eq!(spoken(&World::of(&yaml(kind, app_protocol)), kind), protocol, "{kind} {app_protocol}");
        }
    }
}

#[test]
fn what_a_port_speaks_over_tls_is_not_spoken_to_it_in_clear_when_the_policy_goes() {
    for app_protocol in ["https", "kubernetes.io/wss"] {
        let mut world = World::of(&yaml("HTTPRoute", app_protocol));
        assert_eq!(world.get("http://h/", &[]), "500", "{app_protocol}");
        let said = world.message("HTTPRoute team/r", "ResolvedRefs");
        assert!(said.contains(app_protocol) && said.contains("BackendTLSPolicy"), "{said}");
        world.put(POLICY);
        assert_eq!(world.get("http://h/", &[]), "503", "it has no endpoints, but is spoken to");
        world.remove("BackendTLSPolicy team/p");
        assert_eq!(world.get("http://h/", &[]), "500", "{app_protocol}");
    }
}

#[test]
fn an_app_protocol_that_the_data_plane_does_not_speak_is_unsupported() {
    let plain = Options { support: Support::of(&[Capability::Http]), ..options() };
    for (app_protocol, expected) in [
        ("http", "Http1"),
        ("grpc", "!UnsupportedProtocol"),
        ("kubernetes.io/h2c", "!UnsupportedProtocol"),
        ("kubernetes.io/ws", "!UnsupportedProtocol"),
    ] {
        assert_eq!(
            spoken(&World::with(plain.clone(), &yaml("HTTPRoute", app_protocol)), "HTTPRoute"),
            expected,
            "{app_protocol}"
        );
    }
}
