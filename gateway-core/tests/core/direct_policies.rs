//! What all direct policies have in common (GEP-713): targets, conflicts, ancestors and how many have room.

use gateway_core::compile::Need;
use gateway_core::snapshot::Security;
use gateway_core::status::{Status, merge};
use serde_json::{Value, json};

use super::backend_tls_policies::{GATEWAY, P, REF, S, SYSTEM, backend, base, policy, route, why_broken};
use super::client_validation::{authority, config_map};
use super::world::{World, id, service};

#[test]
fn a_broken_policy_keeps_its_place_and_no_younger_one_has_a_say() {
    let broken = policy("a", "", S, REF);
    let world = World::of(&(base() + &broken + &policy("b", "", S, SYSTEM)));
    assert_eq!(world.condition("BackendTLSPolicy team/a", "Accepted"), "!NoValidCACertificate");
    assert_eq!(world.condition("BackendTLSPolicy team/b", "Accepted"), "!Conflicted");
    assert_eq!(world.get("http://h/", &[]), "500");
    assert!(why_broken(&world, "team/s:80").contains("BackendTLSPolicy team/a"));
}

/// §9 item 29: "`TargetNotFound`".
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

/// §9 item 29: "several targetRefs".
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
    assert_eq!(world.message(P, "Accepted"), "it is in force");
}

/// §9 item 29: "multi-Gateway ancestors"; item 53.
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

/// §9 item 29: "16-ancestor limit".
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
fn what_no_route_can_lead_to_is_no_target() {
    let odd = "{group: example.com, kind: Service, name: s}";
    let world = World::of(&(base() + &policy("p", "", odd, SYSTEM)));
    assert_eq!(world.get("http://h/", &[]), "team/s:80 /");
    let problems = &world.compiler.problems()[&id(P)];
    assert!(problems[0].contains("targetRef Service.example.com s is without effect"), "{problems:?}");
    assert!(problems[1].contains("no Gateway leads to what it targets"), "{problems:?}");
}

/// An XBackend says itself how it is spoken to.
#[test]
fn a_target_of_a_kind_that_routes_lead_to_and_policies_do_not_is_told_to_the_gateway() {
    let xbackend = "\n---\n{apiVersion: gateway.networking.x-k8s.io/v1alpha1, kind: XBackend, metadata: {name: x, namespace: team}, spec: {type: EndpointSelector, endpointSelector: {matchLabels: {app: x}}, port: {number: 8080}, protocol: HTTP}}";
    let (group, kind) = ("gateway.networking.x-k8s.io", "XBackend");
    let rules = format!("[{{backendRefs: [{{group: {group}, kind: {kind}, name: x}}]}}]");
    let targets = format!("{{group: {group}, kind: {kind}, name: x}}");
    let world =
        World::of(&(GATEWAY.to_owned() + &route("HTTPRoute", "r", &rules) + xbackend + &policy("p", "", &targets, SYSTEM)));
    assert_eq!(world.condition("HTTPRoute team/r", "ResolvedRefs"), "ResolvedRefs");
    assert_eq!(world.condition("BackendTLSPolicy team/p#team/gw", "Accepted"), "!Invalid");
    let message = world.message(P, "Accepted");
    assert!(message.contains("only Services and ServiceImports are targets"), "{message}");
    let mut backends = world.snapshot.backends();
    assert_eq!(backends.next().map(|found| found.security.clone()), Some(Security::Clear));
}

fn ancestors(world: &World) -> Vec<String> {
    let Status::Policy(status) = &world.compiler.statuses()[&id(P)] else { panic!("it has one") };
    status.ancestors.iter().map(|one| one.ancestor_ref.name.clone()).collect()
}

/// §9 item 53: "ancestors omitted".
#[test]
fn gateways_that_do_not_carry_a_route_to_the_target_are_no_ancestors() {
    let rules = "[{backendRefs: [{name: s, port: 80}]}]";
    let set = |from: &str| {
        format!(
            "\n---\n{{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {{name: other, namespace: team}}, spec: {{gatewayClassName: c, allowedListeners: {{namespaces: {{from: {from}}}}}, listeners: [{{name: o, port: 81, protocol: HTTP}}]}}}}"
        )
    };
    let listener_set = "\n---\n{apiVersion: gateway.networking.k8s.io/v1, kind: ListenerSet, metadata: {name: set, namespace: team}, spec: {parentRef: {name: other}, listeners: [{name: l, port: 82, protocol: HTTP}]}}";
    let through = route("HTTPRoute", "r2", rules).replace("{name: gw}", "{kind: ListenerSet, name: set}");
    let mut world = World::of(&(base() + &set("Same") + listener_set + &through + &policy("p", "", S, SYSTEM)));
    assert_eq!(ancestors(&world), ["gw", "other"], "through a ListenerSet too");
    world.put(&set("None"));
    assert_eq!(ancestors(&world), ["gw"], "the Gateway does not take the ListenerSet");
    world.put(&set("Same"));
    assert_eq!(ancestors(&world), ["gw", "other"]);
    // A route with no valid rule is not accepted.
    world.put(&route(
        "HTTPRoute",
        "r",
        "[{matches: [{path: {type: RegularExpression, value: '('}}], backendRefs: [{name: s, port: 80}]}]",
    ));
    assert_eq!(world.condition("HTTPRoute team/r", "Accepted"), "!UnsupportedValue");
    assert_eq!(ancestors(&world), ["other"]);
    world.remove("ListenerSet team/set");
    assert_eq!(ancestors(&world), [""; 0]);
    let problems = &world.compiler.problems()[&id(P)];
    assert!(problems[0].contains("no Gateway leads to what it targets"), "{problems:?}");
}

/// A Gateway that comes later does not drive one from the list that has an entry there.
#[test]
fn who_has_an_entry_keeps_it_when_the_list_is_full() {
    let front = |name: &str, port: u16| {
        GATEWAY.replace("name: gw,", &format!("name: {name},")).replace("port: 80", &format!("port: {port}"))
            + &route("HTTPRoute", name, "[{backendRefs: [{name: s, port: 80}]}]").replace("name: gw}", &format!("name: {name}}}"))
    };
    let with = |status: &Value| {
        let mut value: Value = serde_saphyr::from_str(policy("p", "", S, SYSTEM).trim().trim_start_matches("---")).unwrap();
        value["status"] = status.clone();
        format!("\n---\n{value}\n")
    };
    let others = |n: usize| json!({"ancestorRef": {"name": format!("x{n}")}, "controllerName": "x.example/c", "conditions": []});
    let others = json!({"ancestors": (0..15).map(others).collect::<Vec<_>>()});
    let mut world = World::of(&(front("late", 80) + &service("team", "s", "10.0.0.1") + &with(&others)));
    let written = merge(&world.compiler.statuses()[&id(P)], Some(&others), "2026-01-01T00:00:00Z").unwrap();
    world.put(&with(&written));
    world.put(&front("early", 81));
    world.bind();
    assert_eq!(ancestors(&world), ["late"]);
    assert_eq!((world.get("http://h:80/", &[]), world.get("http://h:81/", &[])), ("team/s:80 /".into(), "500".into()));
    world.remove("HTTPRoute team/late");
    assert_eq!(ancestors(&world), ["early"], "its entry is free now");
    assert_eq!(world.get("http://h:81/", &[]), "team/s:80 /");
}

/// Of many for one target, only the one that has its say is looked at when another comes or goes.
#[test]
fn a_policy_that_has_no_say_concerns_none_of_its_rivals() {
    let many: String = (0..8).map(|n| policy(&format!("p{n}"), "", S, SYSTEM)).collect();
    let mut world = World::of(&(base() + &many));
    let statuses =
        |world: &mut World, yaml: &str| world.put(yaml).statuses.keys().map(|id| id.name.name().to_owned()).collect::<Vec<_>>();
    assert_eq!(statuses(&mut world, &policy("p9", "", S, SYSTEM)), ["p9"]);
    assert!(
        world.message("BackendTLSPolicy team/p9", "Accepted").contains("BackendTLSPolicy team/p0 targets Service team/s too")
    );
    let snapshot = std::sync::Arc::clone(&world.snapshot);
    world.remove("BackendTLSPolicy team/p9");
    assert!(std::sync::Arc::ptr_eq(&snapshot, &world.snapshot));
    world.remove("BackendTLSPolicy team/p0");
    assert_eq!(world.condition("BackendTLSPolicy team/p1", "Accepted"), "Accepted", "the next is promoted");
    assert!(
        world.message("BackendTLSPolicy team/p7", "Accepted").contains("BackendTLSPolicy team/p1 targets"),
        "all say who goes first"
    );
}
