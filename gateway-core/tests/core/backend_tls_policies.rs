//! TLS to backends (BackendTLSPolicy, GEP-1897, GEP-713).

use gateway_core::admit::GrpcStatus;
use gateway_core::compile::{Need, Options};
use gateway_core::snapshot::{Backend, BackendTls, PeerName, Presents, Security, Trust};
use gateway_core::status::{Status, merge};
use gateway_core::support::{Capability, Support};
use serde_json::{Value, json};
use std::sync::Arc;

use super::client_validation::{authority, config_map};
use super::trust::bundle;
use super::world::{World, id, options, service};

const GATEWAY: &str = "
---
{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: gw, namespace: team}, spec: {gatewayClassName: c, listeners: [{name: http, port: 80, protocol: HTTP}]}}
";

fn route(kind: &str, name: &str, rules: &str) -> String {
    format!(
        "\n---\n{{apiVersion: gateway.networking.k8s.io/v1, kind: {kind}, metadata: {{name: {name}, namespace: team}}, spec: {{parentRefs: [{{name: gw}}], rules: {rules}}}}}\n"
    )
}

/// A Gateway, a route of it to Service `s` and that Service.
fn base() -> String {
    let rules = "[{backendRefs: [{name: s, port: 80}]}]";
    format!("{GATEWAY}{}{}", route("HTTPRoute", "r", rules), service("team", "s", "10.0.0.1"))
}

/// A policy `team/name` with these targets and this validation.
fn policy(name: &str, meta: &str, targets: &str, validation: &str) -> String {
    format!(
        "\n---\n{{apiVersion: gateway.networking.k8s.io/v1, kind: BackendTLSPolicy, metadata: {{name: {name}, namespace: team, {meta}}}, spec: {{targetRefs: [{targets}], validation: {{hostname: abc.example.com, {validation}}}}}}}\n"
    )
}

const S: &str = "{group: '', kind: Service, name: s}";
const SYSTEM: &str = "wellKnownCACertificates: System";
const REF: &str = "caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]";

fn backend<'s>(world: &'s World, name: &str) -> &'s Arc<Backend> {
    world.snapshot.backends().find(|backend| backend.name.to_string() == name).unwrap_or_else(|| panic!("{name} is in use"))
}

fn tls(world: &World, name: &str) -> Arc<BackendTls> {
    let security = &backend(world, name).security;
    let Security::Tls(tls) = security else { panic!("{security:?}") };
    Arc::clone(tls)
}

fn why_broken(world: &World, name: &str) -> String {
    let security = &backend(world, name).security;
    let Security::Broken(why) = security else { panic!("{security:?}") };
    why.to_string()
}

const P: &str = "BackendTLSPolicy team/p";

#[test]
fn backend_tls_policy_says_the_server_name_the_name_to_prove_and_the_authorities() {
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

#[test]
fn backend_tls_policy_follows_its_config_map_as_it_is_created_blanked_and_restored() {
    let mut world = World::of(&(base() + &policy("p", "", S, REF)));
    let states =
        |world: &World| (world.condition(P, "Accepted"), world.condition(P, "ResolvedRefs"), world.get("http://h/", &[]));
    let bad = ("!NoValidCACertificate".to_owned(), "!InvalidCACertificateRef".to_owned(), "500".to_owned());
    let good = ("Accepted".to_owned(), "ResolvedRefs".to_owned(), "team/s:80 /".to_owned());
    assert_eq!(states(&world), bad);
    world.put(&config_map("team", "ca", &authority("one")));
    assert_eq!(states(&world), good);
    let first = tls(&world, "team/s:80").fingerprint;
    world.put(&config_map("team", "ca", "''"));
    assert_eq!(states(&world), bad);
    world.put(&config_map("team", "ca", &authority("two")));
    assert_eq!(states(&world), good);
    assert_ne!(tls(&world, "team/s:80").fingerprint, first, "no connection checked against other authorities is used again");
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

#[test]
fn a_broken_policy_keeps_its_place_and_no_younger_one_has_a_say() {
    let broken = policy("a", "", S, REF);
    let world = World::of(&(base() + &broken + &policy("b", "", S, SYSTEM)));
    assert_eq!(world.condition("BackendTLSPolicy team/a", "Accepted"), "!NoValidCACertificate");
    assert_eq!(world.condition("BackendTLSPolicy team/b", "Accepted"), "!Conflicted");
    assert_eq!(world.get("http://h/", &[]), "500");
    assert!(why_broken(&world, "team/s:80").contains("BackendTLSPolicy team/a"));
}

#[test]
fn backend_tls_policy_grpc_route_offers_http2_alone() {
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

#[test]
fn backend_tls_policy_invalid_ca_certificate_ref_is_never_spoken_in_clear() {
    for (held, why) in [("", "does not exist"), (&*config_map("team", "ca", "nonsense"), "holds 0 certificates")] {
        let world = World::of(&(base() + &policy("p", "", S, REF) + held));
        assert_eq!(world.condition(P, "ResolvedRefs"), "!InvalidCACertificateRef");
        assert_eq!(world.condition(P, "Accepted"), "!NoValidCACertificate");
        assert!(world.message(P, "ResolvedRefs").contains(why), "{}", world.message(P, "ResolvedRefs"));
        assert_eq!(world.get("http://h/", &[]), "500");
    }
}

#[test]
fn backend_tls_policy_invalid_kind_of_authority() {
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

#[test]
fn backend_tls_policy_san_validation_replaces_the_host_name_as_what_is_proven() {
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

/// The backend of a connection, or the reason why there is none.
fn connected(world: &World, port: u16, server_name: Option<&str>) -> Result<Arc<Backend>, String> {
    use gateway_core::decide::{StreamArrival, StreamDecision, decide_stream};
    use gateway_core::snapshot::{Socket, Transport, Turn};
    let socket = Socket { address: None, port, transport: Transport::Tcp };
    let arrival = StreamArrival { socket, server_name: server_name.map(Into::into) };
    match decide_stream(&world.snapshot, &arrival, Turn::take) {
        StreamDecision::Forward(forward) => Ok(forward.backend),
        StreamDecision::Refuse(refusal) => Err(refusal.reason.to_string()),
        StreamDecision::Http(_) => panic!("it is no HTTP"),
    }
}

#[test]
fn backend_tls_policy_tls_route_terminate_and_tcp_route_and_no_passthrough() {
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
    let Security::Tls(spoken) = &ended.security else { panic!("it is encrypted again") };
    assert_eq!((&*spoken.identity.server_name, spoken.alpn.len()), ("abc.example.com", 0));
    assert!(matches!(connected(&world, 9000, None).unwrap().security, Security::Tls(_)));
    assert_eq!(world.condition(P, "Accepted"), "Accepted");
    let broken = World::of(&(yaml + &policy("p", "", S, REF)));
    for (port, name) in [(8443, Some("end.example.com")), (9000, None)] {
        assert!(connected(&broken, port, name).unwrap_err().contains("no certificate authority is usable"));
    }
    assert!(connected(&broken, 8443, Some("pass.example.com")).is_ok(), "the client's own handshake passes through");
}

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
fn a_target_that_does_not_exist_is_said_to_the_gateways_whose_routes_name_it() {
    let mut world = World::of(&(GATEWAY.to_owned() + &route("HTTPRoute", "r", "[{backendRefs: [{name: s, port: 80}]}]")));
    world.put(&policy("p", "", S, SYSTEM));
    assert_eq!(world.condition(P, "Accepted"), "!TargetNotFound");
    assert!(world.message(P, "Accepted").contains("Service team/s does not exist"));
    world.put(&service("team", "s", "10.0.0.1"));
    assert_eq!(world.condition(P, "Accepted"), "Accepted");
    world.put(&policy("p", "", "{group: '', kind: Service, name: s, sectionName: odd}", SYSTEM));
    assert_eq!(world.condition(P, "Accepted"), "!TargetNotFound", "a port of that name does not");
    assert_eq!(world.get("http://h/", &[]), "team/s:80 /", "and the ports there are stay as they are");
}

#[test]
fn a_policy_of_several_targets_has_a_say_in_each() {
    let rules = "[{backendRefs: [{name: s, port: 80}, {name: t, port: 80}]}]";
    let yaml = GATEWAY.to_owned()
        + &route("HTTPRoute", "r", rules)
        + &service("team", "s", "10.0.0.1")
        + &service("team", "t", "10.0.0.2");
    let both = format!("{S}, {{group: '', kind: Service, name: t}}");
    let mut world = World::of(&(yaml + &policy("p", "", &both, SYSTEM) + &policy("a", "", S, SYSTEM)));
    assert!(matches!(backend(&world, "team/t:80").security, Security::Tls(_)));
    assert_eq!(world.condition(P, "Accepted"), "Accepted", "it is in force for one of them");
    assert!(world.message(P, "Accepted").contains("not everywhere: BackendTLSPolicy team/a targets Service team/s too"));
    world.remove("BackendTLSPolicy team/a");
    assert_eq!(world.message(P, "Accepted"), "the policy is in force");
}

#[test]
fn each_gateway_whose_routes_use_the_service_is_an_ancestor_and_needs_the_policy() {
    let second = GATEWAY.replace("name: gw,", "name: other,").replace("port: 80", "port: 81");
    let routed = route("HTTPRoute", "r2", "[{backendRefs: [{name: s, port: 80}]}]").replace("name: gw", "name: other");
    let mut world = World::of(&(base() + &second + &policy("p", "", S, REF) + &config_map("team", "ca", &authority("one"))));
    let ancestors = |world: &World| {
        let Status::Policy(status) = &world.compiler.statuses()[&id(P)] else { panic!("it has one") };
        status.ancestors.iter().map(|one| one.ancestor_ref.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(ancestors(&world), ["gw"]);
    let update = world.put(&routed);
    assert_eq!(ancestors(&world), ["gw", "other"]);
    let other = id("Gateway team/other").name;
    let need = |what: &str, joined: bool| Need { gateway: other.clone(), object: id(what), joined };
    for what in [P, "ConfigMap team/ca", "Service team/s"] {
        assert!(update.needs.contains(&need(what, true)), "{what}: {:?}", update.needs);
    }
    let update = world.remove("HTTPRoute team/r2");
    assert_eq!(ancestors(&world), ["gw"]);
    for what in [P, "ConfigMap team/ca", "Service team/s"] {
        assert!(update.needs.contains(&need(what, false)), "{what}: {:?}", update.needs);
    }
    // A route that is not accepted leads nowhere.
    world.put(&routed.replace("parentRefs: [{name: other", "parentRefs: [{sectionName: odd, name: other"));
    assert_eq!(ancestors(&world), ["gw"]);
}

#[test]
fn the_list_of_ancestors_ends_at_sixteen_and_beyond_it_nothing_is_sent() {
    let gateways: String = (0..3)
        .map(|n| {
            let name = format!("g{n}");
            GATEWAY.replace("name: gw,", &format!("name: {name},")).replace("port: 80,", &format!("port: 8{n}, "))
                + &route("HTTPRoute", &name, "[{backendRefs: [{name: s, port: 80}]}]")
                    .replace("name: gw", &format!("name: {name}"))
        })
        .collect();
    let others = |count: usize| {
        let entry =
            |n: usize| json!({"ancestorRef": {"name": format!("x{n}")}, "controllerName": "x.example/c", "conditions": []});
        json!({"ancestors": (0..count).map(entry).collect::<Vec<Value>>()})
    };
    let with = |count: usize| {
        let text = policy("p", "", S, SYSTEM);
        let mut value: Value = serde_saphyr::from_str(text.trim().trim_start_matches("---")).unwrap();
        value["status"] = others(count);
        format!("\n---\n{value}\n")
    };
    let mut world = World::of(&(gateways + &service("team", "s", "10.0.0.1") + &with(14)));
    let answers = |world: &World| [80, 81, 82].map(|port| world.get(&format!("http://h:{port}/"), &[]));
    assert_eq!(answers(&world), ["team/s:80 /", "team/s:80 /", "500"]);
    let Status::Policy(status) = &world.compiler.statuses()[&id(P)] else { panic!("it has one") };
    assert_eq!(status.ancestors.len(), 2);
    let merged = merge(&world.compiler.statuses()[&id(P)], Some(&others(14)), "2026-01-01T00:00:00Z").unwrap();
    assert_eq!(merged["ancestors"].as_array().unwrap().len(), 16);
    assert!(world.compiler.problems()[&id(P)][0].contains("no room for Gateway team/g2"));
    // Others leave room, or take more.
    world.put(&with(13));
    assert_eq!(answers(&world), ["team/s:80 /", "team/s:80 /", "team/s:80 /"]);
    assert!(!world.compiler.problems().contains_key(&id(P)));
    world.put(&with(16));
    assert_eq!(answers(&world), ["500", "500", "500"]);
    world.remove(P);
    assert_eq!(answers(&world), ["team/s:80 /", "team/s:80 /", "team/s:80 /"]);
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
}

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

#[test]
fn what_is_no_service_is_no_target() {
    let odd = "{group: example.com, kind: Service, name: s}";
    let world = World::of(&(base() + &policy("p", "", odd, SYSTEM)));
    assert_eq!(world.get("http://h/", &[]), "team/s:80 /");
    let problems = &world.compiler.problems()[&id(P)];
    assert!(problems[0].contains("targetRef Service.example.com s is without effect"), "{problems:?}");
    assert!(problems[1].contains("no Gateway leads to what it targets"), "{problems:?}");
}
