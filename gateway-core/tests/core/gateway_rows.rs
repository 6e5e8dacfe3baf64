//! The rows of the conformance suite on Gateways that values decide, each as a test of its own: what its manifests ask for, and what
//! Gateway and listeners are told. Those on addresses, parameters, names and isolation stand in the files of these.

use std::sync::Arc;

use gateway_core::admit::{Arrival, Handshake, admit};
use gateway_core::snapshot::{ClientValidation, Listener, PeerName, Presents, Socket, Transport};
use gateway_core::status::merge;
use serde_json::{Value, json};

use super::backend_tls_policies::{SYSTEM, policy, tls};
use super::certificates::{data, secret};
use super::client_validation::{authority, config_map};
use super::http_rows::route;
use super::world::{World, head, id, service};

/// A Gateway `infra/gw` at this generation.
fn at(generation: u32, spec: &str) -> String {
    format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: infra, generation: {generation}}}
spec: {{gatewayClassName: c, {spec}}}
"
    )
}

fn gateway(spec: &str) -> String {
    at(1, spec)
}

/// A route on `infra/gw`; `parent` are further fields of its parentRef, `hosts` its host names.
fn attached(name: &str, parent: &str, hosts: &str) -> String {
    let spec =
        format!("parentRefs: [{{name: gw{parent}}}], hostnames: [{hosts}], rules: [{{backendRefs: [{{name: s, port: 80}}]}}]");
    route("infra", name, &spec)
}

const HTTPS: &str = "name: https, port: 443, protocol: HTTPS";

fn state(world: &World, listener: &str) -> [String; 3] {
    let what = if listener.is_empty() { "Gateway infra/gw".to_owned() } else { format!("Gateway infra/gw#{listener}") };
    ["Accepted", "Programmed", "ResolvedRefs"].map(|condition| world.condition(&what, condition))
}

fn supported(world: &World, listener: &str) -> Vec<String> {
    let status = &world.compiler.statuses()[&id("Gateway infra/gw")];
    let found = status.listeners().iter().find(|found| found.name == listener).expect("a listener");
    found.supported_kinds.iter().map(|kind| kind.kind.clone()).collect()
}

/// The generation that each condition of the Gateway and of its listeners was judged at.
fn generations(world: &World) -> Vec<i64> {
    let status = &world.compiler.statuses()[&id("Gateway infra/gw")];
    status.parts().into_iter().flat_map(|(_, conditions)| conditions).map(|condition| condition.observed_generation).collect()
}

fn listener(world: &World, port: u16) -> Arc<Listener> {
    let (_, listeners) = world.snapshot.sockets().find(|(socket, _)| socket.port == port).expect("somebody listens");
    listeners.find(Some("a.example.com")).expect("a listener for all hosts").clone()
}

#[test]
fn gateway_invalid_route_kind() {
    for (kinds, expected) in
        [("[{kind: InvalidRoute}]", &[][..]), ("[{kind: HTTPRoute}, {kind: InvalidRoute}]", &["HTTPRoute".to_owned()])]
    {
        let world = World::of(&gateway(&format!(
            "listeners: [{{name: http, port: 80, protocol: HTTP, allowedRoutes: {{kinds: {kinds}}}}}]"
        )));
        assert_eq!(supported(&world, "http"), expected);
        assert_eq!(world.condition("Gateway infra/gw#http", "ResolvedRefs"), "!InvalidRouteKinds", "{kinds}");
        assert_eq!(world.attached("infra/gw", "http"), 0);
    }
}

#[test]
fn gateway_invalid_tls_configuration() {
    let malformed = data("infra", "cert", "kubernetes.io/tls", "Hello world", "Hello world");
    for (reference, held) in [
        ("{name: missing}", ""),
        ("{name: cert, group: wrong.group.company.io}", &*secret("infra", "cert", "a.example.com")),
        ("{name: cert, kind: WrongKind}", &*secret("infra", "cert", "a.example.com")),
        ("{name: cert}", &*malformed),
    ] {
        let world = World::of(&(gateway(&format!("listeners: [{{{HTTPS}, tls: {{certificateRefs: [{reference}]}}}}]")) + held));
        assert_eq!(world.condition("Gateway infra/gw#https", "ResolvedRefs"), "!InvalidCertificateRef", "{reference}");
        assert!(supported(&world, "https").contains(&"HTTPRoute".to_owned()));
        assert_eq!(world.attached("infra/gw", "https"), 0);
    }
}

#[test]
fn gateway_listener_unsupported_protocol() {
    let odd = "{name: odd, port: 8080, protocol: example.com/odd}";
    let alone = World::of(&gateway(&format!("listeners: [{odd}]")));
    assert_eq!(alone.condition("Gateway infra/gw", "Accepted"), "!ListenersNotValid");
    let beside = World::of(&gateway(&format!("listeners: [{odd}, {{name: http, port: 80, protocol: HTTP}}]")));
    assert_eq!(beside.condition("Gateway infra/gw", "Accepted"), "ListenersNotValid");
    assert_eq!(beside.condition("Gateway infra/gw#http", "Accepted"), "Accepted");
    assert_eq!(supported(&beside, "http"), ["HTTPRoute", "GRPCRoute"]);
    for world in [&alone, &beside] {
        assert_eq!(world.condition("Gateway infra/gw#odd", "Accepted"), "!UnsupportedProtocol");
        assert!(supported(world, "odd").is_empty());
    }
}

#[test]
fn gateway_modify_listeners() {
    let https = format!("{{{HTTPS}, hostname: secure.test.com, tls: {{certificateRefs: [{{name: cert}}]}}}}");
    let http = "{name: http, port: 80, protocol: HTTP, hostname: data.test.com}";
    let start = attached("r", "", "data.test.com, secure.test.com") + &secret("infra", "cert", "secure.test.com");
    let told = |world: &World| {
        let listeners = world.compiler.statuses()[&id("Gateway infra/gw")].listeners();
        listeners.iter().map(|found| (found.name.to_string(), found.attached_routes)).collect::<Vec<_>>()
    };
    let both = at(2, &format!("listeners: [{https}, {http}]"));
    let mut world = World::of(&(at(1, &format!("listeners: [{https}]")) + &start));
    assert_eq!(told(&world), [("https".to_owned(), 1)]);
    world.put(&both);
    world.bind();
    assert_eq!(told(&world), [("https".to_owned(), 1), ("http".to_owned(), 1)], "one joined");
    for listener in ["https", "http"] {
        assert_eq!(state(&world, listener), ["Accepted", "Programmed", "ResolvedRefs"], "{listener}");
        assert_eq!(supported(&world, listener), ["HTTPRoute", "GRPCRoute"]);
    }
    assert!(generations(&world).iter().all(|generation| *generation == 2));
    world.put(&at(3, &format!("listeners: [{http}]")));
    assert_eq!(told(&world), [("http".to_owned(), 1)], "one left, and nothing of it");
    assert_eq!(state(&world, "http"), ["Accepted", "Programmed", "ResolvedRefs"]);
    assert!(generations(&world).iter().all(|generation| *generation == 3));
    assert_eq!(world.snapshot.sockets().count(), 1);
}

#[test]
fn gateway_observed_generation_bump() {
    let one = "{name: http, port: 80, protocol: HTTP}";
    let mut world = World::of(&at(1, &format!("listeners: [{one}]")));
    assert!(generations(&world).iter().all(|generation| *generation == 1));
    world.put(&at(2, &format!("listeners: [{one}, {{name: alternate, port: 8080, protocol: HTTP}}]")));
    world.bind();
    let seen = generations(&world);
    assert!(seen.len() > 6 && seen.iter().all(|generation| *generation == 2), "{seen:?}");
    for listener in ["", "http", "alternate"] {
        assert_eq!(state(&world, listener)[..2], ["Accepted", "Programmed"], "{listener}");
    }
}

#[test]
fn gateway_preserve_foreign_conditions() {
    let seeded = json!({
        "type": "example.com/Seeded", "status": "True", "reason": "Odd", "message": "not ours", "observedGeneration": 1,
        "lastTransitionTime": "2024-01-01T00:00:00Z",
    });
    let spec = |host: &str| format!("listeners: [{{name: http, port: 80, protocol: HTTP, hostname: {host}}}]");
    let mut world = World::of(&at(1, &spec("a.example.com")));
    let desired = |world: &World| world.compiler.statuses()[&id("Gateway infra/gw")].clone();
    let found = |list: &Value, kind: &str| -> Value {
        let list = list.as_array().expect("a list");
        list.iter().find(|condition| condition["type"] == kind).cloned().unwrap_or_else(|| panic!("{kind} is there"))
    };
    let mut stored = merge(&desired(&world), None, "2026-01-01T00:00:00Z").expect("it is written");
    for list in ["/conditions", "/listeners/0/conditions"] {
        // Another writes a condition among ours.
        let Some(Value::Array(conditions)) = stored.pointer_mut(list) else { panic!("a list") };
        conditions.insert(1, seeded.clone());
    }
    world.put(&at(2, &spec("b.example.com")));
    let after = merge(&desired(&world), Some(&stored), "2026-01-01T00:00:01Z").expect("ours changes");
    for list in [&after["conditions"], &after["listeners"][0]["conditions"]] {
        assert_eq!(found(list, "example.com/Seeded"), seeded);
        let accepted = found(list, "Accepted");
        assert_eq!((&accepted["status"], &accepted["observedGeneration"]), (&json!("True"), &json!(2)));
    }
}

/// Two listeners whose certificates are in namespace `vault`, of which only `there` exists.
fn elsewhere(to: Option<&str>) -> World {
    let of = |name: &str, port: u16| {
        format!("{{name: {name}, port: {port}, protocol: HTTPS, tls: {{certificateRefs: [{{name: {name}, namespace: vault}}]}}}}")
    };
    let grant = to.map_or_else(String::new, |to| {
        format!("\n---\n{{apiVersion: gateway.networking.k8s.io/v1, kind: ReferenceGrant, metadata: {{name: g, namespace: vault}}, spec: {{from: [{{group: gateway.networking.k8s.io, kind: Gateway, namespace: infra}}], to: [{{group: '', kind: Secret{to}}}]}}}}")
    });
    let gateway = gateway(&format!("listeners: [{}, {}]", of("there", 443), of("missing", 8443)));
    World::of(&(gateway + &secret("vault", "there", "a.example.com") + &grant))
}

#[test]
fn gateway_secret_missing_reference_grant() {
    let world = elsewhere(None);
    for listener in ["there", "missing"] {
        assert_eq!(state(&world, listener)[2], "!RefNotPermitted", "{listener}");
        assert!(supported(&world, listener).contains(&"HTTPRoute".to_owned()));
        assert_eq!(world.attached("infra/gw", listener), 0);
    }
}

#[test]
fn gateway_secret_invalid_reference_grant() {
    assert_eq!(state(&elsewhere(Some(", name: other")), "there")[2], "!RefNotPermitted");
}

#[test]
fn gateway_secret_reference_grant_all_in_namespace() {
    let world = elsewhere(Some(""));
    assert_eq!(state(&world, "there")[1..], ["Programmed", "ResolvedRefs"]);
    assert_eq!(state(&world, "missing")[2], "!InvalidCertificateRef", "what may be seen is told");
}

#[test]
fn gateway_secret_reference_grant_specific() {
    let world = elsewhere(Some(", name: there"));
    assert_eq!(state(&world, "there")[1..], ["Programmed", "ResolvedRefs"]);
    assert_eq!(state(&world, "missing")[2], "!RefNotPermitted");
}

/// A Gateway that presents this to its backends, and a route to a Service that wants TLS.
fn presenting(reference: &str, held: &str) -> World {
    let spec = format!(
        "listeners: [{{name: http, port: 80, protocol: HTTP}}], tls: {{backend: {{clientCertificateRef: {{{reference}}}}}}}"
    );
    let policy = policy("p", "", "{group: '', kind: Service, name: s}", SYSTEM).replace("namespace: team", "namespace: infra");
    World::of(&(gateway(&spec) + &attached("r", "", "") + &service("infra", "s", "10.0.0.1") + &policy + held))
}

#[test]
fn gateway_invalid_tls_backend_configuration() {
    let good = secret("infra", "own", "gw");
    for (reference, held, reason) in [
        ("name: own", String::new(), "!InvalidClientCertificateRef"),
        ("name: own, group: wrong.group.company.io", good.clone(), "!InvalidClientCertificateRef"),
        ("name: own, kind: WrongKind", good.clone(), "!InvalidClientCertificateRef"),
        ("name: own", data("infra", "own", "kubernetes.io/tls", "Hello world", "Hello world"), "!InvalidClientCertificateRef"),
        ("name: own, namespace: vault", secret("vault", "own", "gw"), "!RefNotPermitted"),
    ] {
        let world = presenting(reference, &held);
        assert_eq!(state(&world, ""), ["Accepted", "Programmed", reason], "{reference}");
        let forward = world.forwarded("GET", "http://h/", &[]);
        assert_eq!(forward.listener.client_certificate, None, "{reference}");
    }
}

#[test]
fn gateway_tls_backend_client_certificate() {
    let world = presenting("name: own", &secret("infra", "own", "gw"));
    assert_eq!(state(&world, ""), ["Accepted", "Programmed", "ResolvedRefs"]);
    let forward = world.forwarded("GET", "http://h/", &[]);
    let presented = forward.listener.client_certificate.as_ref().expect("a certificate to present");
    assert_eq!(presented.secret.to_string(), "infra/own");
    let identity = &tls(&world, "infra/s:80").identity;
    assert_eq!((&identity.presents, &*identity.server_name), (&Presents::Gateways, "abc.example.com"));
    assert_eq!(*identity.names, [PeerName::Host("abc.example.com".into())]);
}

/// HTTPS on four ports and HTTP on one, a route on all, and authorities `default` and `port`.
fn validating(frontend: &str) -> World {
    let https = |name: &str, port: u16| {
        format!("{{name: {name}, port: {port}, protocol: HTTPS, tls: {{certificateRefs: [{{name: cert}}]}}}}")
    };
    let spec = format!(
        "listeners: [{}, {}, {}, {}, {{name: http, port: 80, protocol: HTTP}}], tls: {{frontend: {{{frontend}}}}}",
        https("a", 443),
        https("b", 8443),
        https("c", 9443),
        https("d", 10443)
    );
    World::of(
        &(gateway(&spec)
            + &attached("r", "", "")
            + &service("infra", "s", "10.0.0.1")
            + &secret("infra", "cert", "a.example.com")
            + &config_map("infra", "default", &authority("default"))
            + &config_map("infra", "port", &authority("port"))
            + &config_map("vault", "hidden", &authority("hidden"))),
    )
}

fn asks(reference: &str, mode: &str) -> String {
    format!("validation: {{caCertificateRefs: [{{group: '', {reference}}}]{mode}}}")
}

fn config_map_of(name: &str) -> String {
    format!("kind: ConfigMap, name: {name}")
}

fn validation(world: &World, port: u16) -> Option<ClientValidation> {
    listener(world, port).validation.as_deref().cloned()
}

/// What a request gets over a connection that passed this validation.
fn get(world: &World, port: u16, passed: Option<&ClientValidation>) -> u16 {
    let socket = Socket { address: None, port, transport: Transport::Tcp };
    let validation = passed.map(|passed| passed.fingerprint);
    let tls = Some(Handshake { server_name: Some("a.example.com".into()), validation });
    match admit(&world.snapshot, &Arrival { socket, tls }, &head("GET", "/", "a.example.com", &[])) {
        Ok(_) => 200,
        Err(refusal) => refusal.reason.status().as_u16(),
    }
}

#[test]
fn gateway_frontend_client_certificate_validation() {
    let world = validating(&format!(
        "default: {{{}}}, perPort: [{{port: 8443, tls: {{{}}}}}]",
        asks(&config_map_of("default"), ""),
        asks(&config_map_of("port"), "")
    ));
    for name in ["a", "b"] {
        assert_eq!(state(&world, name), ["Accepted", "Programmed", "ResolvedRefs"]);
    }
    let (default, own) = (validation(&world, 443).unwrap(), validation(&world, 8443).unwrap());
    assert!(!default.is_optional && !own.is_optional && default.trust != own.trust);
    for (port, right, wrong) in [(443, &default, &own), (8443, &own, &default)] {
        assert_eq!([get(&world, port, Some(right)), get(&world, port, Some(wrong)), get(&world, port, None)], [200, 421, 421]);
    }
}

#[test]
fn gateway_frontend_client_certificate_validation_insecure_fallback() {
    let mode = ", mode: AllowInsecureFallback";
    let world = validating(&format!(
        "default: {{{}}}, perPort: [{{port: 8443, tls: {{{}}}}}]",
        asks(&config_map_of("default"), mode),
        asks(&config_map_of("port"), mode)
    ));
    assert_eq!(world.condition("Gateway infra/gw", "InsecureFrontendValidationMode"), "ConfigurationChanged");
    for (name, port) in [("a", 443), ("b", 8443)] {
        assert_eq!(state(&world, name), ["Accepted", "Programmed", "ResolvedRefs"]);
        assert!(validation(&world, port).is_some_and(|asked| asked.is_optional), "it is asked, and let in all the same");
    }
}

#[test]
fn gateway_frontend_invalid_default_client_certificate_validation() {
    let world = validating(&format!("default: {{{}}}", asks(&config_map_of("missing"), "")));
    assert_eq!(state(&world, "http"), ["Accepted", "Programmed", "ResolvedRefs"]);
    assert_eq!(world.get("http://a.example.com/", &[]), "infra/s:80 /");
    assert_eq!(state(&world, "a"), ["!NoValidCACertificate", "!Invalid", "!InvalidCACertificateRef"]);
    let closed = listener(&world, 443);
    assert!(!closed.is_open() && closed.certificates.is_err(), "no handshake can end well");
}

#[test]
fn gateway_invalid_frontend_client_certificate_validation() {
    let port = |port: u16, reference: &str| format!("{{port: {port}, tls: {{{}}}}}", asks(reference, ""));
    let world = validating(&format!(
        "default: {{{}}}, perPort: [{}, {}, {}]",
        asks(&config_map_of("default"), ""),
        port(8443, &config_map_of("missing")),
        port(9443, "kind: Secret, name: cert"),
        port(10443, "kind: ConfigMap, name: hidden, namespace: vault")
    ));
    assert_eq!(state(&world, "a"), ["Accepted", "Programmed", "ResolvedRefs"]);
    assert_eq!(get(&world, 443, validation(&world, 443).as_ref()), 200);
    for (name, reason) in [("b", "!InvalidCACertificateRef"), ("c", "!InvalidCACertificateKind"), ("d", "!RefNotPermitted")] {
        assert_eq!(state(&world, name), ["!NoValidCACertificate", "!Invalid", reason], "{name}");
    }
}

#[test]
fn gateway_with_attached_routes() {
    let listener = "{name: http, port: 80, protocol: HTTP, hostname: '*.example.com'}";
    let mut world = World::of(&(gateway(&format!("listeners: [{listener}]")) + &attached("one", "", "")));
    assert_eq!(world.attached("infra/gw", "http"), 1);
    world.put(&(attached("two", "", "two.example.com") + &attached("three", "", "foreign.example.org")));
    assert_eq!(world.attached("infra/gw", "http"), 2);
    assert_eq!(world.condition("HTTPRoute infra/three", "Accepted"), "!NoMatchingListenerHostname");
    let bare = format!("listeners: [{{{HTTPS}, tls: {{certificateRefs: [{{name: missing}}]}}}}]");
    let world = World::of(&(gateway(&bare) + &attached("one", "", "")));
    assert_eq!(state(&world, "https")[1..], ["!Invalid", "!InvalidCertificateRef"]);
    assert_eq!(world.attached("infra/gw", "https"), 1, "whatever its health");
    assert_eq!(world.condition("HTTPRoute infra/one", "ResolvedRefs"), "!BackendNotFound", "and that of the route");
}

#[test]
fn gateway_with_attached_routes_with_port_8080() {
    let listeners = "listeners: [{name: unattached, port: 8080, protocol: HTTP}, {name: attached, port: 80, protocol: HTTP}]";
    let world = World::of(&(gateway(listeners) + &attached("r", ", sectionName: attached", "")));
    assert_eq!((world.attached("infra/gw", "unattached"), world.attached("infra/gw", "attached")), (0, 1));
    for listener in ["unattached", "attached"] {
        assert_eq!(state(&world, listener), ["Accepted", "Programmed", "ResolvedRefs"]);
    }
}
