//! What `explain` tells a person: all that happens to requests like the one asked about, and for what does not, why.

use gateway_core::decide::StreamArrival;
use gateway_core::explain::{explain_datagram, explain_stream};
use gateway_core::snapshot::{Socket, Transport};

use super::certificates::secret;
use super::world::{World, service};

fn world(listeners: &str, routes: &str) -> World {
    World::of(&format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: infra}}
spec:
  gatewayClassName: c
  listeners: [{listeners}]
---
{routes}{}{}{}",
        service("infra", "s", "10.0.0.1"),
        service("infra", "a", "10.0.0.2"),
        service("other", "far", "10.0.0.3"),
    ))
}

const HTTP: &str = "{name: http, port: 80, protocol: HTTP}";

fn route(kind: &str, rules: &str) -> String {
    format!(
        "{{apiVersion: gateway.networking.k8s.io/v1, kind: {kind}, metadata: {{name: r, namespace: infra}}, spec: {{parentRefs: [{{name: gw}}], rules: [{rules}]}}}}\n"
    )
}

/// What is told of a GET by rules of an HTTPRoute, from the outcome on.
fn told(rules: &str) -> Vec<String> {
    let explanation = world(HTTP, &route("HTTPRoute", rules)).explained("GET", "http://h/p", &[]);
    let text = explanation.to_string();
    text.lines().skip(1 + explanation.candidates.len()).map(str::to_owned).collect()
}

#[test]
fn every_backend_ref_of_a_split_is_told_with_its_share_and_why_it_fails_where_it_does() {
    let refs = "{name: s, port: 80, weight: 4}, {name: a, port: 80, weight: 2, filters: [{type: RequestHeaderModifier, \
                requestHeaderModifier: {set: [{name: X, value: '1'}]}}]}, {name: a, port: 80, weight: 0}, \
                {name: gone, port: 80, weight: 2}, {name: far, namespace: other, port: 80, weight: 2}, \
                {kind: Odd, name: s, port: 80, weight: 2}, {name: s, port: 81, weight: 2}, \
                {name: s, port: 80, weight: 2, filters: [{type: ExtensionRef, extensionRef: {group: pingora-gateway.dev, \
                kind: DirectResponse, name: gone}}]}";
    let expected = [
        "next: forwarded to infra/s:80, which has one endpoint",
        "  share: 2 of 8 forwarded to infra/s:80, which has one endpoint",
        "  share: 1 of 8 forwarded to infra/a:80, which has one endpoint; request headers: set x: 1",
        "  share: 1 of 8 refused with 500: the backend reference is invalid: Service infra/gone does not exist (BackendNotFound)",
        "  share: 1 of 8 refused with 500: the backend reference is invalid: ",
        "  share: 1 of 8 refused with 500: the backend reference is invalid: ",
        "  share: 1 of 8 refused with 500: the backend reference is invalid: Service infra/s has no TCP port 81; its ports are 80/TCP (BackendNotFound)",
        "  share: 1 of 8 refused with 500: filter DirectResponse infra/gone does not exist",
    ];
    let told = told(&format!("{{backendRefs: [{refs}]}}"));
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (line, expected) in told.iter().zip(expected) {
        assert!(line.starts_with(expected), "{expected:?} is not in\n{line}");
    }
    assert!(told[4].contains("Service other/far") && told[4].ends_with(" (RefNotPermitted)"), "{told:#?}");
    assert!(told[5].contains("Odd infra/s is no backend") && told[5].ends_with(" (InvalidKind)"), "{told:#?}");
}

#[test]
fn a_rule_with_one_backend_ref_says_what_the_condition_says_of_it() {
    let world = world(HTTP, &route("HTTPRoute", "{backendRefs: [{name: far, namespace: other, port: 80}]}"));
    let message = world.message("HTTPRoute infra/r", "ResolvedRefs");
    let explanation = world.explained("GET", "http://h/p", &[]);
    assert!(explanation.shares.is_empty(), "one takes all");
    let expected = format!("\nrefused with 500: the backend reference is invalid: {message} (RefNotPermitted)");
    assert!(explanation.to_string().ends_with(&expected), "{explanation}");
}

#[test]
fn looking_at_shares_takes_no_turn_and_what_a_rule_answers_itself_is_not_shared() {
    let refs = "backendRefs: [{name: s, port: 80}, {name: gone, port: 80}]";
    let cors = format!("{{filters: [{{type: CORS, cors: {{allowOrigins: ['https://a']}}}}], {refs}}}");
    let world = world(HTTP, &route("HTTPRoute", &cors));
    let explained = || world.explained("GET", "http://h/p", &[]);
    assert_eq!((explained().shares.len(), explained()), (2, explained()));
    let asked = ["origin: https://a", "access-control-request-method: GET"];
    assert!(world.explained("OPTIONS", "http://h/p", &asked).shares.is_empty());
}

#[test]
fn a_mirror_that_copies_nothing_is_told_with_the_reason() {
    let mirror =
        |reference: &str, share: &str| format!("{{type: RequestMirror, requestMirror: {{backendRef: {reference}{share}}}}}");
    let filters = [
        mirror("{name: gone, port: 80}", ""),
        mirror("{name: far, namespace: other, port: 80}", ""),
        mirror("{name: a, port: 80}", ", percent: 50"),
    ];
    let rules = format!("{{filters: [{}], backendRefs: [{{name: s, port: 80}}]}}", filters.join(", "));
    let mut world = world(HTTP, &route("HTTPRoute", &rules));
    let steps = world.explained("GET", "http://h/", &[]).steps;
    assert_eq!(steps[0], "not copied: the backend reference is invalid: Service infra/gone does not exist (BackendNotFound)");
    assert!(steps[1].starts_with("not copied: ") && steps[1].ends_with(" (RefNotPermitted)"), "{steps:?}");
    assert_eq!(steps[2], "copied to infra/a:80, as 1 of 2 requests are");
    world.get("http://h/", &[]);
    let steps = world.explained("GET", "http://h/", &[]).steps;
    assert_eq!(steps[2], "not copied to infra/a:80: 1 of 2 requests are, and this one is not among them");
    world.remove("EndpointSlice infra/a-1");
    let steps = world.explained("GET", "http://h/", &[]).steps;
    assert_eq!(steps[2], "not copied to infra/a:80: the backend has no endpoint");
}

#[test]
fn shares_of_connections_and_flows_are_told_too() {
    let refs = "{backendRefs: [{name: s, port: 80, weight: 3}, {name: gone, port: 80, weight: 1}]}";
    let expected = |end: &str| {
        format!(
            "wins\nnext: {end}\n  share: 3 of 4 {end}\n  share: 1 of 4 refused: the backend reference is invalid: \
             Service infra/gone does not exist (BackendNotFound)"
        )
    };
    let tcp = world("{name: tcp, port: 9000, protocol: TCP}", &route("TCPRoute", refs));
    let socket = Socket { address: None, port: 9000, transport: Transport::Tcp };
    let explanation = explain_stream(&tcp.snapshot, &StreamArrival { socket, server_name: None }).to_string();
    assert!(explanation.ends_with(&expected("forwarded to infra/s:80, which has 1 endpoint")), "{explanation}");
    let udp = world("{name: udp, port: 53, protocol: UDP}", &route("UDPRoute", refs));
    let socket = Socket { address: None, port: 53, transport: Transport::Udp };
    let explanation = explain_datagram(&udp.snapshot, &socket);
    assert_eq!((explanation.shares.len(), explanation.shares[1].weight, explanation.shares[1].of), (2, 1, 4));
}

#[test]
fn a_listener_that_has_nothing_to_show_on_tls_says_so() {
    let listeners = "{name: https, port: 443, protocol: HTTPS, hostname: a.example, tls: {certificateRefs: [{name: gone}]}}, \
                     {name: tls, port: 443, protocol: TLS, hostname: b.example, tls: {certificateRefs: [{name: broken}]}}, \
                     {name: well, port: 443, protocol: HTTPS, hostname: c.example, tls: {certificateRefs: [{name: cert}]}}";
    let secrets = "---
{apiVersion: v1, kind: Secret, metadata: {name: broken, namespace: infra}, type: Opaque}
";
    let world = world(listeners, &(route("HTTPRoute", "{}") + secrets + &secret("infra", "cert", "c.example")));
    let explained = |name: &str| {
        let socket = Socket { address: None, port: 443, transport: Transport::Tcp };
        explain_stream(&world.snapshot, &StreamArrival { socket, server_name: Some(name.into()) }).to_string()
    };
    for (name, listener, why) in [
        ("a.example", "https", "Secret infra/gone does not exist"),
        ("b.example", "tls", "Secret infra/broken is of type Opaque, and a certificate needs type kubernetes.io/tls"),
    ] {
        let expected = format!("Gateway infra/gw listener {listener} answers for {name}\nrefused: the listener is closed: {why}");
        assert_eq!(explained(name), expected);
        assert_eq!(world.message(&format!("Gateway infra/gw#{listener}"), "ResolvedRefs"), why);
    }
    assert!(explained("c.example").ends_with("HTTP is spoken"));
    assert!(explained("d.example").ends_with("refused: no listener answers for this host"));
}
