//! TLS to backends (BackendTLSPolicy, GEP-1897, GEP-713).

use gateway_core::admit::GrpcStatus;
use gateway_core::compile::{ExternalNames, Options};
use gateway_core::snapshot::{Backend, BackendTls, CertifiedName, PeerName, Presents, Security, Trust};
use gateway_core::status::{Status, merge};
use gateway_core::support::{Capability, Support};
use serde_json::json;
use std::sync::Arc;

use super::client_validation::{authority, config_map};
use super::trust::bundle;
use super::world::{World, id, options, service};

pub(super) const GATEWAY: &str = "
---
{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: gw, namespace: team}, spec: {gatewayClassName: c, listeners: [{name: http, port: 80, protocol: HTTP}]}}
";

pub(super) fn route(kind: &str, name: &str, rules: &str) -> String {
    format!(
        "\n---\n{{apiVersion: gateway.networking.k8s.io/v1, kind: {kind}, metadata: {{name: {name}, namespace: team}}, spec: {{parentRefs: [{{name: gw}}], rules: {rules}}}}}\n"
    )
}

/// A Gateway, a route of it to Service `s` and that Service.
pub(super) fn base() -> String {
    let rules = "[{backendRefs: [{name: s, port: 80}]}]";
    format!("{GATEWAY}{}{}", route("HTTPRoute", "r", rules), service("team", "s", "10.0.0.1"))
}

/// A policy `team/name` with these targets and this validation.
pub(super) fn policy(name: &str, meta: &str, targets: &str, validation: &str) -> String {
    format!(
        "\n---\n{{apiVersion: gateway.networking.k8s.io/v1, kind: BackendTLSPolicy, metadata: {{name: {name}, namespace: team, {meta}}}, spec: {{targetRefs: [{targets}], validation: {{hostname: abc.example.com, {validation}}}}}}}\n"
    )
}

pub(super) const S: &str = "{group: '', kind: Service, name: s}";
pub(super) const SYSTEM: &str = "wellKnownCACertificates: System";
pub(super) const REF: &str = "caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]";

pub(super) fn backend<'s>(world: &'s World, name: &str) -> &'s Arc<Backend> {
    world.snapshot.backends().find(|backend| backend.name.to_string() == name).unwrap_or_else(|| panic!("{name} is in use"))
}

pub(super) fn tls(world: &World, name: &str) -> Arc<BackendTls> {
    let security = &backend(world, name).security;
    let Security::Tls(tls) = security else { panic!("{security:?}") };
    Arc::clone(tls)
}

pub(super) fn why_broken(world: &World, name: &str) -> String {
    let security = &backend(world, name).security;
    let Security::Broken(why) = security else { panic!("{security:?}") };
    why.to_string()
}

pub(super) const P: &str = "BackendTLSPolicy team/p";

#[test]
fn a_policy_says_the_server_name_the_name_to_prove_and_the_authorities() {
    let world = World::of(&(base() + &policy("p", "", S, REF) + &config_map("team", "ca", &authority("one"))));
    let spoken = tls(&world, "team/s:80");
    assert_eq!(&*spoken.identity.server_name, "abc.example.com");
    assert_eq!(*spoken.identity.names, [PeerName::Host("abc.example.com".into())]);
    assert!(matches!(&spoken.identity.trust, Trust::Set(set) if set.roots.len() == 1));
    assert_eq!(spoken.identity.presents, Presents::Gateways);
    assert_eq!(spoken.alpn, ["h2", "http/1.1"]);
    assert_eq!((world.condition(P, "Accepted"), world.condition(P, "ResolvedRefs")), ("Accepted".into(), "ResolvedRefs".into()));
    assert_eq!(world.condition("BackendTLSPolicy team/p#team/gw", "Accepted"), "Accepted", "the ancestor is the Gateway");
    assert_eq!(world.get("http://h/", &[]), "team/s:80 /");
}

/// HTTP and HTTPS in front. A backend that proves another name or was signed by others is the policy's business no more: it stays
/// accepted. The ConfigMap is missing, created, blank, restored, gone.
#[test]
fn backend_tls_policy() {
    let front = GATEWAY.replace(
        "port: 80, protocol: HTTP}",
        "port: 80, protocol: HTTP}, {name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: cert}]}}",
    );
    let yaml = base().replace(GATEWAY, &front) + &super::certificates::secret("team", "cert", "h") + &policy("p", "", S, REF);
    let mut world = World::of(&yaml);
    let states = |world: &World| {
        let answers = (world.get("http://h/", &[]), world.get("https://h/", &[]));
        (world.condition(P, "Accepted"), world.condition(P, "ResolvedRefs"), answers)
    };
    let bad = ("!NoValidCACertificate".to_owned(), "!InvalidCACertificateRef".to_owned(), ("500".to_owned(), "500".to_owned()));
    let served = || "team/s:80 /".to_owned();
    let good = ("Accepted".to_owned(), "ResolvedRefs".to_owned(), (served(), served()));
    assert_eq!(states(&world), bad);
    world.put(&config_map("team", "ca", &authority("one")));
    assert_eq!(states(&world), good);
    let first = tls(&world, "team/s:80");
    assert!(first.identity.is_proven_by([CertifiedName::Dns("abc.example.com")]));
    assert!(!first.identity.is_proven_by([CertifiedName::Dns("wrong.example.com")]), "the performer answers an error");
    world.put(&config_map("team", "ca", "''"));
    assert_eq!(states(&world), bad);
    world.put(&config_map("team", "ca", &authority("two")));
    assert_eq!(states(&world), good);
    let other = tls(&world, "team/s:80").fingerprint;
    assert_ne!(other, first.fingerprint, "no connection checked against other authorities is used again");
    world.remove("ConfigMap team/ca");
    assert_eq!(states(&world), bad);
    assert_eq!(world.condition("HTTPRoute team/r", "ResolvedRefs"), "ResolvedRefs", "the route's reference is good");
}

#[test]
fn backend_tls_policy_conflict_resolution() {
    let ports = "\n---\n{apiVersion: v1, kind: Service, metadata: {name: s, namespace: team}, spec: {ports: [{name: a, port: 80}, {name: b, port: 81}]}}";
    let rules = "[{backendRefs: [{name: s, port: 80}, {name: s, port: 81}]}]";
    let named =
        |name: &str, meta: &str, target: &str, host: &str| policy(name, meta, target, SYSTEM).replace("abc.example.com", host);
    let on = |section: &str| format!("{{group: '', kind: Service, name: s, sectionName: {section}}}");
    let mut world = World::of(&(GATEWAY.to_owned() + &route("HTTPRoute", "r", rules) + ports));
    let name = |world: &World, port: &str| tls(world, port).identity.server_name.to_string();
    // Of the same age the first by name; the older goes before.
    world.put(&(named("b", "", S, "b.example.com") + &named("c", "", S, "c.example.com")));
    assert_eq!(world.condition("BackendTLSPolicy team/b", "Accepted"), "Accepted");
    assert_eq!(world.condition("BackendTLSPolicy team/c", "Accepted"), "!Conflicted");
    assert!(world.message("BackendTLSPolicy team/c", "Accepted").contains("BackendTLSPolicy team/b targets Service team/s too"));
    assert_eq!(name(&world, "team/s:80"), "b.example.com");
    world.put(&named("c", "creationTimestamp: '2024-01-01T00:00:00Z'", S, "c.example.com"));
    assert_eq!(world.condition("BackendTLSPolicy team/b", "Accepted"), "!Conflicted");
    assert_eq!(world.condition("BackendTLSPolicy team/c", "Accepted"), "Accepted");
    assert_eq!(name(&world, "team/s:80"), "c.example.com");
    // One for a section goes before one for the whole, and both are accepted; two for one section conflict.
    world.put(&(named("d", "", &on("b"), "d.example.com") + &named("e", "", &on("b"), "e.example.com")));
    assert_eq!(world.condition("BackendTLSPolicy team/c", "Accepted"), "Accepted");
    assert_eq!(world.condition("BackendTLSPolicy team/d", "Accepted"), "Accepted");
    assert_eq!(world.condition("BackendTLSPolicy team/e", "Accepted"), "!Conflicted");
    assert_eq!((name(&world, "team/s:80"), name(&world, "team/s:81")), ("c.example.com".into(), "d.example.com".into()));
    // When one goes, the next in age is promoted.
    world.remove("BackendTLSPolicy team/d");
    assert_eq!(world.condition("BackendTLSPolicy team/e", "Accepted"), "Accepted");
    assert_eq!(name(&world, "team/s:81"), "e.example.com");
    world.remove("BackendTLSPolicy team/c");
    assert_eq!(world.condition("BackendTLSPolicy team/b", "Accepted"), "Accepted");
    assert_eq!(name(&world, "team/s:80"), "b.example.com");
}

/// A GRPCRoute offers HTTP/2 alone.
#[test]
fn backend_tls_policy_grpc_route() {
    let rules = "[{backendRefs: [{name: s, port: 80}]}]";
    let yaml =
        format!("{GATEWAY}{}{}{}", route("GRPCRoute", "g", rules), service("team", "s", "10.0.0.1"), policy("p", "", S, SYSTEM));
    let world = World::of(&yaml);
    assert_eq!(tls(&world, "team/s:80").alpn, ["h2"]);
    assert_eq!(world.condition(P, "Accepted"), "Accepted");
    let broken = World::of(&yaml.replace(SYSTEM, REF));
    assert_eq!(broken.condition("GRPCRoute team/g", "ResolvedRefs"), "ResolvedRefs");
    let call = ["content-type: application/grpc"];
    let gateway_core::decide::Decision::Refuse(refusal) = broken.decision("POST", "http://h/s.S/M", &call) else {
        panic!("nothing is sent")
    };
    assert_eq!((refusal.reason.status().as_u16(), refusal.reason.grpc_status()), (500, GrpcStatus::Unavailable));
}

/// Nothing is sent in clear.
#[test]
fn backend_tls_policy_invalid_ca_certificate_ref() {
    for (held, why) in [("", "does not exist"), (&*config_map("team", "ca", "nonsense"), "holds 0 certificates")] {
        let world = World::of(&(base() + &policy("p", "", S, REF) + held));
        assert_eq!(world.condition(P, "ResolvedRefs"), "!InvalidCACertificateRef");
        assert_eq!(world.condition(P, "Accepted"), "!NoValidCACertificate");
        assert!(world.message(P, "ResolvedRefs").contains(why), "{}", world.message(P, "ResolvedRefs"));
        assert_eq!(world.get("http://h/", &[]), "500");
    }
}

#[test]
fn backend_tls_policy_invalid_kind() {
    let refs = "caCertificateRefs: [{group: example.com, kind: Odd, name: ca}]";
    let world = World::of(&(base() + &policy("p", "", S, refs)));
    assert_eq!(world.condition(P, "ResolvedRefs"), "!InvalidKind");
    assert_eq!(world.condition(P, "Accepted"), "!NoValidCACertificate");
    assert_eq!(world.get("http://h/", &[]), "500");
}

#[test]
fn backend_tls_policy_observed_generation_bump() {
    let mut world = World::of(&(base() + &policy("p", "generation: 1", S, SYSTEM)));
    let changed = policy("p", "generation: 2", S, SYSTEM).replace("abc.example.com", "other.example.com");
    let update = world.put(&changed);
    let Some(Some(Status::Policy(status))) = update.statuses.get(&id(P)) else { panic!("it is said again") };
    let generations = status.ancestors.iter().flat_map(|ancestor| &ancestor.conditions);
    assert!(generations.clone().count() == 2 && generations.clone().all(|said| said.observed_generation == 2));
    assert_eq!(world.condition(P, "Accepted"), "Accepted");
    assert_eq!(&*tls(&world, "team/s:80").identity.server_name, "other.example.com");
}

#[test]
fn backend_tls_policy_preserve_foreign_status() {
    let foreign = json!({
        "ancestorRef": {"group": "x.example", "kind": "Thing", "name": "t"}, "controllerName": "x.example/c",
        "conditions": [{"type": "Odd", "status": "True", "reason": "R", "message": "", "observedGeneration": 1,
            "lastTransitionTime": "2024-01-01T00:00:00Z"}],
    });
    let world = World::of(&(base() + &policy("p", "generation: 7", S, SYSTEM)));
    let desired = &world.compiler.statuses()[&id(P)];
    let stored = json!({"ancestors": [foreign]});
    let merged = merge(desired, Some(&stored), "2026-01-01T00:00:00Z").unwrap();
    assert_eq!(merged["ancestors"][0], foreign);
    assert_eq!(merged["ancestors"][1]["ancestorRef"]["name"], "gw");
    assert_eq!(merged["ancestors"][1]["conditions"][0]["observedGeneration"], 7);
    // Entries of ours that no longer hold are removed.
    let mut without = World::of(&(base() + &policy("p", "", S, SYSTEM)));
    without.remove("HTTPRoute team/r");
    let left = merge(&without.compiler.statuses()[&id(P)], Some(&merged), "2026-01-01T00:00:01Z").unwrap();
    assert_eq!(left["ancestors"], json!([foreign]));
}

/// Names take the place of the host name as what is proven; that stays what is asked for.
#[test]
fn backend_tls_policy_san_validation() {
    let names = "subjectAltNames: [{type: Hostname, hostname: '*.Example.org'}, {type: URI, uri: 'spiffe://abc.example.com/id'}]";
    let names = names.replace("Example", "example");
    let world = World::of(&(base() + &policy("p", "", S, &format!("{SYSTEM}, {names}"))));
    let identity = &tls(&world, "team/s:80").identity;
    assert_eq!(&*identity.server_name, "abc.example.com", "the name asked for stays");
    assert_eq!(*identity.names, [PeerName::Host("*.example.org".into()), PeerName::Uri("spiffe://abc.example.com/id".into())]);
    assert_eq!(world.condition(P, "Accepted"), "Accepted");
    let unknown = World::of(&(base() + &policy("p", "", S, &format!("{SYSTEM}, subjectAltNames: [{{type: Later}}]"))));
    assert_eq!(unknown.condition(P, "Accepted"), "!Invalid");
    assert_eq!(unknown.get("http://h/", &[]), "500");
}

const TERMINATE: &str = "
---
{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: gw, namespace: team}, spec: {gatewayClassName: c, listeners: [
  {name: end, port: 8443, protocol: TLS, hostname: end.example.com, tls: {mode: Terminate, certificateRefs: [{name: cert}]}},
  {name: pass, port: 8443, protocol: TLS, hostname: pass.example.com, tls: {mode: Passthrough}},
  {name: tcp, port: 9000, protocol: TCP}]}}
";

/// How a connection goes on to its backend, or the reason why it does not.
fn connected(world: &World, port: u16, server_name: Option<&str>) -> Result<Security, String> {
    use gateway_core::decide::{StreamArrival, StreamDecision, decide_stream};
    use gateway_core::snapshot::{Socket, Transport, Turn};
    let socket = Socket { address: None, port, transport: Transport::Tcp };
    let arrival = StreamArrival { socket, server_name: server_name.map(Into::into) };
    match decide_stream(&world.snapshot, &arrival, Turn::take) {
        StreamDecision::Forward(forward) => Ok(forward.security().clone()),
        StreamDecision::Refuse(refusal) => Err(refusal.reason.to_string()),
        StreamDecision::Http(_) => panic!("it is no HTTP"),
    }
}

/// The same for TCPRoutes; where TLS passes through, the handshake is the client's own. §9 item 30: "its failure cases on TLSRoute Terminate".
#[test]
fn backend_tls_policy_tls_route_terminate() {
    let stream = |kind: &str, name: &str, section: &str, hosts: &str| {
        format!(
            "\n---\n{{apiVersion: gateway.networking.k8s.io/v1, kind: {kind}, metadata: {{name: {name}, namespace: team}}, spec: {{parentRefs: [{{name: gw, sectionName: {section}}}], {hosts}rules: [{{backendRefs: [{{name: s, port: 80}}]}}]}}}}\n"
        )
    };
    let yaml = TERMINATE.to_owned()
        + &super::certificates::secret("team", "cert", "end.example.com")
        + &stream("TLSRoute", "end", "end", "hostnames: [end.example.com], ")
        + &stream("TLSRoute", "pass", "pass", "hostnames: [pass.example.com], ")
        + &stream("TCPRoute", "tcp", "tcp", "")
        + &service("team", "s", "10.0.0.1");
    let world = World::of(&(yaml.clone() + &policy("p", "", S, SYSTEM)));
    let ended = connected(&world, 8443, Some("end.example.com")).unwrap();
    let Security::Tls(spoken) = &ended else { panic!("it is encrypted again") };
    assert_eq!((&*spoken.identity.server_name, spoken.alpn.len()), ("abc.example.com", 0));
    assert!(matches!(connected(&world, 9000, None).unwrap(), Security::Tls(_)));
    assert_eq!(world.condition(P, "Accepted"), "Accepted");
    let broken = World::of(&(yaml + &policy("p", "", S, REF)));
    for (port, name) in [(8443, Some("end.example.com")), (9000, None)] {
        assert!(connected(&broken, port, name).unwrap_err().contains("no certificate authority is usable"));
    }
    for world in [&world, &broken] {
        let passed = connected(world, 8443, Some("pass.example.com"));
        assert_eq!(passed, Ok(Security::Clear), "the client's own handshake passes through");
    }
}

/// §9 item 29: "partial CA refs"; item 64: "update, deletion without cached anchors"; §10 row 25.
#[test]
fn some_usable_references_are_enough_and_the_others_are_told() {
    let refs = "caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}, {group: certificates.k8s.io, kind: ClusterTrustBundle, name: roots}, {group: '', kind: Secret, name: x}]";
    let yaml = base() + &policy("p", "", S, refs);
    let world = World::of(&(yaml.clone() + &config_map("team", "ca", &authority("one"))));
    assert_eq!(world.condition(P, "ResolvedRefs"), "!InvalidCACertificateRef");
    assert_eq!(world.condition(P, "Accepted"), "Accepted");
    let message = world.message(P, "ResolvedRefs");
    assert!(message.contains("ClusterTrustBundle roots does not exist") && message.contains("Secret"), "{message}");
    assert_eq!(world.get("http://h/", &[]), "team/s:80 /");
    let mut world = World::of(&(yaml + &bundle("v1", "roots", &authority("two"))));
    assert_eq!(world.condition(P, "Accepted"), "Accepted");
    world.remove("ClusterTrustBundle roots");
    assert_eq!(world.condition(P, "Accepted"), "!NoValidCACertificate", "authorities that are gone are not kept");
    assert_eq!(world.get("http://h/", &[]), "500");
}

/// §9 item 64: "absent API"; §10 row 26.
#[test]
fn the_kind_of_a_missing_api_for_cluster_trust_bundles_is_invalid_kind_on_policies() {
    use gateway_core::compile::{Bundle, Change, Fact};
    let refs = "caCertificateRefs: [{group: certificates.k8s.io, kind: ClusterTrustBundle, name: roots}]";
    let mut world = World::of(&(base() + &policy("p", "", S, refs) + &bundle("v1", "roots", &authority("one"))));
    assert_eq!(world.condition(P, "Accepted"), "Accepted");
    let without = Bundle { trust_bundles: false, ..Bundle::of("v1.7.0", true) };
    world.apply([Change::Fact(Fact::Bundle(without))]);
    assert_eq!(world.condition(P, "ResolvedRefs"), "!InvalidKind");
    assert_eq!(world.condition(P, "Accepted"), "!NoValidCACertificate");
    world.apply([Change::Fact(Fact::Bundle(Bundle::of("v1.7.0", true)))]);
    assert_eq!(world.condition(P, "Accepted"), "Accepted");
}

#[test]
fn a_data_plane_that_does_not_speak_tls_to_backends_says_so_and_sends_nothing() {
    let without = |lacking: &[Capability]| {
        let all = [Capability::Http, Capability::BackendTls, Capability::BackendTlsNames];
        let has: Vec<Capability> = all.into_iter().filter(|capability| !lacking.contains(capability)).collect();
        Options { support: Support::of(&has), ..options() }
    };
    let named = format!("{SYSTEM}, subjectAltNames: [{{type: Hostname, hostname: a.b}}]");
    for (lacking, validation, why) in [
        (Capability::BackendTls, SYSTEM, "TLS to backends is not performed"),
        (Capability::BackendTlsNames, &*named, "subjectAltNames are not performed"),
    ] {
        let world = World::with(without(&[lacking]), &(base() + &policy("p", "", S, validation)));
        assert_eq!(world.condition(P, "Accepted"), "!Invalid");
        assert!(world.message(P, "Accepted").contains(why));
        assert_eq!(world.get("http://h/", &[]), "500");
    }
}

#[test]
fn authorities_by_a_name_that_is_not_known_and_options_of_ours_that_are_not_are_invalid() {
    let world = World::of(&(base() + &policy("p", "", S, "wellKnownCACertificates: Later")));
    assert_eq!(world.condition(P, "Accepted"), "!Invalid");
    assert_eq!(world.get("http://h/", &[]), "500");
    let stated = |option: &str| policy("p", "", S, SYSTEM).replace("validation:", &format!("options: {{{option}}}, validation:"));
    let world = World::of(&(base() + &stated("pingora-gateway.dev/min-tls-version: '1.3'")));
    assert_eq!(tls(&world, "team/s:80").identity.options.minimum_version, gateway_core::snapshot::TlsVersion::V1_3);
    let world = World::of(&(base() + &stated("pingora-gateway.dev/odd: '1'")));
    assert_eq!((world.condition(P, "Accepted"), world.get("http://h/", &[])), ("!Invalid".into(), "500".into()));
    assert!(world.message(P, "Accepted").starts_with("spec.options pingora-gateway.dev/odd is not known"));
    let world = World::of(&(base() + &stated("example.com/odd: '1'")));
    assert_eq!(world.condition(P, "Accepted"), "Accepted");
    let said = &world.compiler.problems()[&id(P)];
    assert_eq!(*said, ["spec.options example.com/odd has no effect: it is not known here"]);
}

/// §10 row 14.
#[test]
fn app_protocol_wss_needs_a_policy_and_others_decide_what_is_offered() {
    type Expected = Result<&'static [&'static str], &'static str>;
    let rows: [(&str, bool, Expected); 7] = [
        ("kubernetes.io/wss", false, Err("!UnsupportedProtocol")),
        ("kubernetes.io/wss", true, Ok(&["http/1.1"])),
        ("kubernetes.io/ws", true, Ok(&["http/1.1"])),
        ("kubernetes.io/h2c", true, Ok(&["h2"])),
        ("https", true, Ok(&["h2", "http/1.1"])),
        ("example.com/own", true, Ok(&["h2", "http/1.1"])),
        ("kubernetes.io/odd", true, Err("!UnsupportedProtocol")),
    ];
    for (protocol, has_policy, expected) in rows {
        let speaking = format!(
            "\n---\n{{apiVersion: v1, kind: Service, metadata: {{name: s, namespace: team}}, spec: {{ports: [{{port: 80, appProtocol: {protocol}}}]}}}}"
        );
        let policy = if has_policy { policy("p", "", S, SYSTEM) } else { String::new() };
        let mut world = World::of(&(base() + &speaking + &policy));
        let found = world.condition("HTTPRoute team/r", "ResolvedRefs");
        match expected {
            Ok(alpn) => assert_eq!((found.as_str(), tls(&world, "team/s:80").alpn), ("ResolvedRefs", alpn), "{protocol}"),
            Err(reason) => assert_eq!(found, reason, "{protocol}"),
        }
        if protocol.ends_with("wss") && has_policy {
            world.remove(P);
            assert_eq!(world.condition("HTTPRoute team/r", "ResolvedRefs"), "!UnsupportedProtocol", "it went");
        }
    }
}

/// §9 item 30: "mirrors, external auth".
#[test]
fn the_policy_holds_for_mirrors_and_external_authorization_too() {
    let rules = "[{filters: [{type: RequestMirror, requestMirror: {backendRef: {name: s, port: 80}}}, {type: ExternalAuth, externalAuth: {protocol: HTTP, backendRef: {name: s, port: 80}, http: {}}}], backendRefs: [{name: t, port: 80}]}]";
    let yaml = GATEWAY.to_owned()
        + &route("HTTPRoute", "r", rules)
        + &service("team", "s", "10.0.0.1")
        + &service("team", "t", "10.0.0.2");
    let world = World::of(&(yaml.clone() + &policy("p", "", S, SYSTEM)));
    assert!(matches!(backend(&world, "team/s:80").security, Security::Tls(_)));
    assert_eq!(world.condition(P, "Accepted"), "Accepted");
    assert_eq!(world.get("http://h/", &[]), "team/t:80 / auth=team/s:80 mirror=team/s:80");
    let world = World::of(
        &(yaml.replace("{type: ExternalAuth, externalAuth: {protocol: HTTP, backendRef: {name: s, port: 80}, http: {}}}", "")
            + &policy("p", "", S, REF)),
    );
    assert_eq!(world.get("http://h/", &[]), "team/t:80 /", "the copy is dropped, the request is not");
    let world = World::of(&(yaml + &policy("p", "", S, REF)));
    assert_eq!(world.get("http://h/", &[]), "503", "who cannot be asked lets nobody pass");
}

/// §9 item 29: "IP endpoints": the name asked for is the policy's, whatever the endpoints are. Item 4: they come and go.
#[test]
fn endpoints_are_addresses_and_come_and_go_while_the_name_asked_for_stays() {
    let mut world = World::of(&(base() + &policy("p", "", S, SYSTEM)));
    let spoken = tls(&world, "team/s:80");
    let slice = |address: &str, conditions: &str| {
        format!(
            "\n---\n{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {{name: s-1, namespace: team, labels: {{kubernetes.io/service-name: s}}}}, addressType: IPv6, endpoints: [{{addresses: ['{address}'], conditions: {{{conditions}}}}}], ports: [{{port: 8443}}]}}"
        )
    };
    world.put(&slice("fd00::1", "ready: true"));
    let now = backend(&world, "team/s:80");
    assert_eq!(*now.endpoints, ["[fd00::1]:8443".parse().unwrap()]);
    assert!(Arc::ptr_eq(&tls(&world, "team/s:80").identity, &spoken.identity));
    assert_eq!(&*spoken.identity.server_name, "abc.example.com");
    world.put(&slice("fd00::1", "ready: false"));
    assert_eq!(world.get("http://h/", &[]), "503");
    world.put(&slice("fd00::1", "ready: false, serving: true, terminating: true"));
    assert_eq!(world.get("http://h/", &[]), "team/s:80 /", "one that still serves while it terminates is better than none");
}

/// §9 item 29: "`System` roots".
#[test]
fn the_authorities_of_the_system_are_trusted_where_the_policy_names_them() {
    let world = World::of(&(base() + &policy("p", "", S, SYSTEM)));
    assert_eq!(tls(&world, "team/s:80").identity.trust, Trust::System);
    assert_eq!((world.condition(P, "Accepted"), world.condition(P, "ResolvedRefs")), ("Accepted".into(), "ResolvedRefs".into()));
}

/// §9 item 30: "GRPC over HTTPS listeners".
#[test]
fn calls_over_https_reach_their_backend_over_http2_and_tls() {
    let front =
        GATEWAY.replace("port: 80, protocol: HTTP}", "port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: cert}]}}");
    let yaml = front
        + &super::certificates::secret("team", "cert", "h")
        + &route("GRPCRoute", "g", "[{backendRefs: [{name: s, port: 80}]}]")
        + &service("team", "s", "10.0.0.1")
        + &policy("p", "", S, SYSTEM);
    let world = World::of(&yaml);
    let forward = world.forwarded("POST", "https://h/s.S/M", &["content-type: application/grpc"]);
    let Security::Tls(spoken) = &forward.backend.security else { panic!("it is not in clear") };
    assert_eq!((spoken.alpn, &*spoken.identity.server_name), (&["h2"][..], "abc.example.com"));
}

/// §9 item 46: "port name mapping, named targetPort, SCTP port", "missing port".
#[test]
fn a_section_is_the_name_of_a_port_whatever_its_number_and_target_port() {
    let ports = "\n---\n{apiVersion: v1, kind: Service, metadata: {name: s, namespace: team}, spec: {ports: [{name: web, port: 80, targetPort: pods-web}, {name: admin, port: 81, targetPort: 9000}, {name: web2, port: 82, protocol: SCTP}]}}";
    let rules = "[{matches: [{path: {value: /web}}], backendRefs: [{name: s, port: 80}]}, {matches: [{path: {value: /admin}}], backendRefs: [{name: s, port: 81}]}, {matches: [{path: {value: /sctp}}], backendRefs: [{name: s, port: 82}]}]";
    let section = |name: &str| format!("{{group: '', kind: Service, name: s, sectionName: {name}}}");
    let mut world =
        World::of(&(GATEWAY.to_owned() + &route("HTTPRoute", "r", rules) + ports + &policy("p", "", &section("web"), SYSTEM)));
    assert_eq!(&*tls(&world, "team/s:80").identity.server_name, "abc.example.com");
    assert_eq!(backend(&world, "team/s:81").security, Security::Clear, "keep the two apart");
    assert_ne!(backend(&world, "team/s:80").fingerprint(), backend(&world, "team/s:81").fingerprint());
    assert_eq!(world.condition("HTTPRoute team/r", "ResolvedRefs"), "!BackendNotFound", "SCTP is no port for HTTP");
    assert_eq!(world.get("http://h/sctp", &[]), "500");
    for not_a_name in ["pods-web", "'80'"] {
        world.put(&policy("p", "", &section(not_a_name), SYSTEM));
        assert_eq!(world.condition(P, "Accepted"), "!TargetNotFound", "{not_a_name}");
        assert!(
            world.message(P, "Accepted").contains("its ports are named web, admin, web2"),
            "{}",
            world.message(P, "Accepted")
        );
        assert_eq!(backend(&world, "team/s:80").security, Security::Clear);
    }
    world.put(&policy("p", "", &section("pods-web"), SYSTEM));
    world.put(&ports.replace("name: web,", "name: pods-web,"));
    assert_eq!(world.condition(P, "Accepted"), "Accepted", "the port got the name");
    assert_eq!(&*tls(&world, "team/s:80").identity.server_name, "abc.example.com");
}

#[test]
fn a_udp_port_has_no_tls_and_its_flows_stay_as_they_are() {
    let gateway = GATEWAY.replace("port: 80, protocol: HTTP", "port: 53, protocol: UDP");
    let udp = "\n---\n{apiVersion: v1, kind: Service, metadata: {name: s, namespace: team}, spec: {ports: [{port: 80, protocol: UDP}]}}";
    let yaml = gateway + &route("UDPRoute", "u", "[{backendRefs: [{name: s, port: 80}]}]") + udp + &policy("p", "", S, REF);
    let world = World::of(&yaml);
    assert_eq!(backend(&world, "team/s:80").security, Security::Clear);
    assert_eq!(world.condition(P, "Accepted"), "!NoValidCACertificate");
}

/// §9 item 64: "update", of either kind of source; whoever was refused before is asked again.
#[test]
fn another_authority_makes_another_handshake() {
    let refs = "caCertificateRefs: [{group: certificates.k8s.io, kind: ClusterTrustBundle, name: 'example.com:signer:roots'}]";
    let named = |pem: &str| bundle("v1", "example.com:signer:roots", pem);
    let mut world = World::of(&(base() + &policy("p", "", S, refs) + &named(&authority("one"))));
    let (one, whole) = (tls(&world, "team/s:80").fingerprint, backend(&world, "team/s:80").fingerprint());
    world.put(&named(&authority("two")));
    assert_ne!(tls(&world, "team/s:80").fingerprint, one);
    assert_ne!(backend(&world, "team/s:80").fingerprint(), whole);
    world.put(&named("nonsense"));
    assert_eq!(
        (world.condition(P, "ResolvedRefs"), world.condition(P, "Accepted")),
        ("!InvalidCACertificateRef".into(), "!NoValidCACertificate".into())
    );
    assert!(why_broken(&world, "team/s:80").contains("ClusterTrustBundle example.com:signer:roots"));
}

/// GEP-3155: "Backend connection pools" are those of one Gateway and of what it presents.
#[test]
fn no_two_gateways_and_no_two_certificates_share_a_connection() {
    let with = |name: &str, port: u16, cert: &str| {
        GATEWAY.replace("name: gw,", &format!("name: {name},")).replace("port: 80", &format!("port: {port}")).replace(
            "gatewayClassName: c,",
            &format!("gatewayClassName: c, tls: {{backend: {{clientCertificateRef: {{name: {cert}}}}}}},"),
        ) + &route("HTTPRoute", name, "[{backendRefs: [{name: s, port: 80}]}]").replace("name: gw}", &format!("name: {name}}}"))
    };
    let yaml = with("one", 80, "a")
        + &with("two", 81, "a")
        + &super::certificates::secret("team", "a", "a")
        + &super::certificates::secret("team", "b", "b")
        + &service("team", "s", "10.0.0.1")
        + &policy("p", "", S, SYSTEM);
    let mut world = World::of(&yaml);
    let key = |world: &World, port: u16| {
        let forward = world.forwarded("GET", &format!("http://h:{port}/"), &[]);
        let Security::Tls(spoken) = &forward.backend.security else { panic!("it is not in clear") };
        assert!(spoken.certificate(&forward.listener).is_some(), "the Gateway's own is presented");
        spoken.pool_key(&forward.listener)
    };
    let (one, two) = (key(&world, 80), key(&world, 81));
    assert_ne!(one, two);
    assert_eq!((one.handshake, one.certificate), (two.handshake, two.certificate));
    world.put(&with("one", 80, "b"));
    assert_ne!(key(&world, 80), one, "it presents another");
    assert_eq!(key(&world, 81), two);
}

/// A policy that nobody else uses is nobody else's business.
#[test]
fn a_change_of_a_policy_touches_its_targets_and_its_own_status_alone() {
    let rules = "[{backendRefs: [{name: s, port: 80}, {name: t, port: 80}]}]";
    let yaml = GATEWAY.to_owned()
        + &route("HTTPRoute", "r", rules)
        + &service("team", "s", "10.0.0.1")
        + &service("team", "t", "10.0.0.2");
    let mut world = World::of(&(yaml + &policy("p", "generation: 1", S, SYSTEM)));
    let (s, t) = (Arc::clone(backend(&world, "team/s:80")), Arc::clone(backend(&world, "team/t:80")));
    let update = world.put(&policy("p", "generation: 2", S, SYSTEM).replace("abc.example.com", "x.example.com"));
    assert_eq!(update.statuses.keys().map(ToString::to_string).collect::<Vec<_>>(), [P]);
    assert!(update.problems.is_empty() && update.needs.is_empty());
    assert!(Arc::ptr_eq(&t, backend(&world, "team/t:80")) && !Arc::ptr_eq(&s, backend(&world, "team/s:80")));
    assert_eq!(s.id, backend(&world, "team/s:80").id, "routes go on leading to it");
    let snapshot = Arc::clone(&world.snapshot);
    world.put(&policy("p", "generation: 3", S, SYSTEM).replace("abc.example.com", "x.example.com"));
    assert!(Arc::ptr_eq(&snapshot, &world.snapshot), "the same again changes no traffic");
}

/// §9 item 49: a ServiceImport is a target like a Service, its ports are sections.
#[test]
fn a_policy_for_a_service_import_holds_for_its_ports() {
    let import = |name: &str| {
        format!(
            "\n---\n{{apiVersion: multicluster.x-k8s.io/v1alpha1, kind: ServiceImport, metadata: {{name: s, namespace: team}}, spec: {{type: ClusterSetIP, ports: [{{port: 80, name: {name}}}], ips: [10.7.0.1]}}}}"
        )
    };
    let rules = "[{backendRefs: [{group: multicluster.x-k8s.io, kind: ServiceImport, name: s, port: 80}]}]";
    let target = |more: &str| format!("{{group: multicluster.x-k8s.io, kind: ServiceImport, name: s{more}}}");
    let mut world = World::of(&(GATEWAY.to_owned() + &route("HTTPRoute", "r", rules) + &policy("p", "", &target(""), SYSTEM)));
    assert_eq!(world.condition(P, "Accepted"), "!TargetNotFound");
    world.put(&import("web"));
    assert_eq!(world.condition(P, "Accepted"), "Accepted");
    let security = |world: &World| world.forwarded("GET", "http://h/", &[]).backend.security.clone();
    assert!(matches!(security(&world), Security::Tls(_)));
    world.put(&policy("p", "", &target(", sectionName: other"), SYSTEM));
    assert_eq!((world.condition(P, "Accepted"), security(&world)), ("!TargetNotFound".into(), Security::Clear));
    world.put(&import("other"));
    assert_eq!(world.condition(P, "Accepted"), "Accepted");
    world.put(&policy("p", "", &target(", sectionName: other"), REF));
    assert_eq!(world.get("http://h/", &[]), "500", "nothing in clear");
    world.put(&policy("p", "", S, SYSTEM));
    assert_eq!(security(&world), Security::Clear, "the Service of that name is another");
}

/// §9 item 47: where Services of type ExternalName lead anywhere at all, the name asked for is the policy's.
#[test]
fn a_service_of_type_external_name_is_spoken_to_as_its_policy_says() {
    let named = "\n---\n{apiVersion: v1, kind: Service, metadata: {name: s, namespace: team}, spec: {type: ExternalName, externalName: api.example.org}}";
    let rules = "[{backendRefs: [{name: s, port: 80}]}]";
    let yaml = GATEWAY.to_owned() + &route("HTTPRoute", "r", rules) + named;
    let refused = World::of(&(yaml.clone() + &policy("p", "", S, SYSTEM)));
    assert_eq!(refused.condition("HTTPRoute team/r", "ResolvedRefs"), "!BackendNotFound");
    assert_eq!(refused.get("http://h/", &[]), "500");
    let elsewhere = Options { external_names: ExternalNames::Elsewhere, ..options() };
    let mut world = World::with(elsewhere, &(yaml + &policy("p", "", S, SYSTEM)));
    let spoken = tls(&world, "team/s:80");
    assert_eq!(&*spoken.identity.server_name, "abc.example.com");
    world.put(&policy("p", "", S, REF));
    assert_eq!(world.get("http://h/", &[]), "500", "nothing in clear");
}
