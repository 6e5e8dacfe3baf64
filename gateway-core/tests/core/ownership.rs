//! Whose status it is: entries and conditions of ours come and go with what they are about, those of others stay as they are
//! (`RouteStatus.Parents`, `ListenerSet.status`).

use gateway_core::status::{Status, merge};
use serde_json::{Value, json};

use super::world::{World, id, options, service};

const NOW: &str = "2026-01-01T00:00:00Z";

fn gateway() -> &'static str {
    "
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: infra}
spec: {gatewayClassName: c, allowedListeners: {namespaces: {from: All}}, listeners: [
  {name: http, port: 80, protocol: HTTP}, {name: tcp, port: 9000, protocol: TCP}, {name: udp, port: 9000, protocol: UDP},
  {name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough}}]}
"
}

const KINDS: [&str; 5] = ["HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute"];

fn route(kind: &str, parents: &str) -> String {
    let hostnames = if kind == "TLSRoute" { "hostnames: [a.example.com], " } else { "" };
    format!(
        "\n---\n{{apiVersion: gateway.networking.k8s.io/v1, kind: {kind}, metadata: {{name: r, namespace: infra}}, spec: {{parentRefs: {parents}, {hostnames}rules: [{{backendRefs: [{{name: s, port: 80}}]}}]}}}}\n"
    )
}

fn set() -> &'static str {
    "\n---\n{apiVersion: gateway.networking.k8s.io/v1, kind: ListenerSet, metadata: {name: ls, namespace: infra}, spec: {parentRef: {name: gw}, listeners: [{name: l, port: 80, protocol: HTTP, hostname: set.example.com}]}}\n"
}

fn status<'w>(world: &'w World, what: &str) -> &'w Status {
    &world.compiler.statuses()[&id(what)]
}

/// An entry of another controller, out of date on purpose.
fn foreign_entry(parent: Value) -> Value {
    json!({
        "parentRef": parent,
        "controllerName": "example.com/other",
        "conditions": [{"type": "Accepted", "status": "Unknown", "reason": "Pending", "message": "", "lastTransitionTime": "1970-01-01T00:00:00Z", "observedGeneration": 1}],
    })
}

fn condition(kind: &str) -> Value {
    json!({"type": kind, "status": "True", "reason": "Odd", "message": "not ours", "lastTransitionTime": "1970-01-01T00:00:00Z", "observedGeneration": 1})
}

/// § 9 item 5: stale entries of our own, by the reason they went stale.
#[test]
fn our_entry_goes_with_the_parent_ref_the_gateway_and_its_class() {
    let class = |controller: &str| {
        format!(
            "\n---\n{{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {{name: c}}, spec: {{controllerName: {controller}}}}}\n"
        )
    };
    let (ours, theirs) = (class(&options().controller_name), class("example.com/other"));
    for kind in KINDS {
        let what = format!("{kind} infra/r");
        let named = gateway_core::compile::Options { classes: gateway_core::compile::Classes::Named, ..options() };
        let all = "[{name: gw}, {kind: ListenerSet, name: ls}]";
        let start = ours.clone() + gateway() + set() + &route(kind, all);
        let stored = |world: &World, before: Option<&Value>| merge(status(world, &what), before, NOW);
        let foreign = foreign_entry(json!({"name": "gone", "namespace": "elsewhere"}));
        for (why, change, left) in [
            ("parentRef", route(kind, "[{kind: ListenerSet, name: ls}]"), 1),
            ("class", theirs.clone(), 0),
            ("Gateway", String::new(), 0),
        ] {
            let mut world = World::with(named.clone(), &start);
            let before = stored(&world, Some(&json!({"parents": [foreign]}))).expect("it is written");
            assert_eq!(before["parents"].as_array().map(Vec::len), Some(3), "{kind}");
            if change.is_empty() {
                drop(world.remove("Gateway infra/gw"))
            } else {
                drop(world.put(&change))
            }
            let after = stored(&world, Some(&before)).expect("our entry goes");
            let entries = after["parents"].as_array().expect("a list");
            assert_eq!(entries.len(), left + 1, "{kind}, {why}: {after}");
            assert_eq!(entries[0], foreign, "{kind}, {why}");
            assert_eq!(stored(&world, Some(&after)), None, "nothing is left to write");
        }
    }
}

/// § 9 item 5: foreign entries on the kinds that the suite's preserve tests leave out, and a writer in between.
#[test]
fn entries_of_others_stay_as_they_are_byte_for_byte_and_where_they_are() {
    for kind in KINDS {
        let world = World::of(&(gateway().to_owned() + &route(kind, "[{name: gw}]")));
        let status = status(&world, &format!("{kind} infra/r"));
        let (one, two) = (foreign_entry(json!({"name": "b"})), foreign_entry(json!({"name": "a", "odd": {"field": [1]}})));
        let first = merge(status, Some(&json!({"parents": [one, two], "odd": true})), NOW).expect("it is written");
        assert_eq!((&first["parents"][0], &first["parents"][1], &first["odd"]), (&one, &two, &json!(true)), "{kind}");
        // Somebody else writes between our reading and our writing.
        let mut read_again = first.clone();
        read_again["parents"] = json!([two, first["parents"][2], one]);
        assert_eq!(merge(status, Some(&read_again), "2026-02-02T00:00:00Z"), None, "{kind}: ours is as we want it");
    }
}

/// § 9 item 5: conditions of types that are not ours, on sets, their listeners and classes.
#[test]
fn conditions_of_others_on_sets_listeners_and_classes_stay_as_they_are() {
    let class = "\n---\n{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: c}, spec: {controllerName: example.com/c}}\n";
    let world = World::of(&(class.to_owned() + gateway() + set()));
    let seeded = condition("example.com/Seeded");
    for what in ["ListenerSet infra/ls", "GatewayClass c"] {
        let stored = json!({
            "conditions": [seeded, condition("Accepted")],
            "listeners": [{"name": "l", "conditions": [condition("Programmed"), seeded]}, {"name": "gone", "conditions": [seeded]}],
        });
        let written = merge(status(&world, what), Some(&stored), NOW);
        // What is stored was judged at a later generation than that of these objects, so nothing of it is touched.
        assert_eq!(written, None, "{what}");
        let mut older = stored.clone();
        older["conditions"][1]["observedGeneration"] = json!(0);
        older["listeners"][0]["conditions"][0]["observedGeneration"] = json!(0);
        let written = merge(status(&world, what), Some(&older), NOW).expect("it is written");
        assert_eq!(written["conditions"][0], seeded, "{what}");
        assert_ne!(written["conditions"][1]["reason"], "Odd", "{what}");
        if what.starts_with("ListenerSet") {
            let listeners = written["listeners"].as_array().expect("a list");
            assert_eq!(listeners.len(), 1, "an entry whose listener is gone is stale");
            assert_eq!(listeners[0]["conditions"][1], seeded);
        }
    }
}

/// § 10 row 15, for all kinds of route and of parent.
#[test]
fn a_parent_that_does_not_exist_gets_no_entry() {
    for kind in KINDS {
        for parents in ["[{name: none}]", "[{kind: ListenerSet, name: none}]", "[{kind: Service, group: '', name: mesh}]"] {
            let world = World::of(&(gateway().to_owned() + &route(kind, parents)));
            let Status::Route(found) = status(&world, &format!("{kind} infra/r")) else { panic!("no status") };
            assert!(found.parents.is_empty(), "{kind} {parents}");
            assert_eq!(merge(status(&world, &format!("{kind} infra/r")), None, NOW), None, "nothing is written");
        }
    }
}

/// § 10 row 10, GatewayWithAttachedRoutes.
#[test]
fn routes_are_counted_whatever_the_health_of_their_listener_and_backends() {
    let broken = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: infra}
spec: {gatewayClassName: c, listeners: [
  {name: bare, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: none}]}},
  {name: one, port: 80, protocol: HTTP}, {name: other, port: 80, protocol: TCP}]}
";
    let world = World::of(&(broken.to_owned() + &route("HTTPRoute", "[{name: gw}]") + &route("TCPRoute", "[{name: gw}]")));
    assert_eq!(world.condition("Gateway infra/gw#bare", "Programmed"), "!Invalid");
    assert_eq!(world.condition("Gateway infra/gw#one", "Accepted"), "!ProtocolConflict");
    assert_eq!(["bare", "one", "other"].map(|listener| world.attached("infra/gw", listener)), [1, 1, 1]);
    for kind in ["HTTPRoute", "TCPRoute"] {
        assert_eq!(world.condition(&format!("{kind} infra/r"), "Accepted"), "Accepted");
        assert_eq!(world.condition(&format!("{kind} infra/r"), "ResolvedRefs"), "!BackendNotFound");
    }
}

/// § 9 item 15: what a Gateway leaves behind when it is deleted.
#[test]
fn a_gateway_that_is_deleted_leaves_no_entry_on_routes_sets_and_policies_and_no_socket() {
    let policy = "\n---\n{apiVersion: gateway.networking.k8s.io/v1, kind: BackendTLSPolicy, metadata: {name: p, namespace: infra}, spec: {targetRefs: [{group: '', kind: Service, name: s}], validation: {hostname: s.example.com, wellKnownCACertificates: System}}}\n";
    let routed = route("HTTPRoute", "[{name: gw}]") + &service("infra", "s", "10.0.0.1");
    let mut world = World::of(&(gateway().to_owned() + set() + &routed + policy));
    let objects = ["HTTPRoute infra/r", "BackendTLSPolicy infra/p"];
    for what in objects {
        assert_eq!(world.condition(what, "Accepted"), "Accepted", "{what}");
    }
    let stored = objects.map(|what| merge(status(&world, what), None, NOW).expect("it is written"));
    let update = world.remove("Gateway infra/gw");
    assert_eq!(update.statuses.get(&id("Gateway infra/gw")), Some(&None));
    for (what, stored) in objects.into_iter().zip(stored) {
        assert_eq!(world.condition(what, "Accepted"), "absent", "{what}");
        let written = merge(status(&world, what), Some(&stored), NOW).expect("our entry goes");
        let left = written.get("parents").or_else(|| written.get("ancestors")).and_then(Value::as_array);
        assert!(left.is_none_or(Vec::is_empty), "{what}: {written}");
    }
    assert_eq!(world.condition("ListenerSet infra/ls", "Accepted"), "absent");
    assert_eq!(world.snapshot.sockets().count(), 0);
    let left = |what: &str| update.needs.iter().any(|need| !need.joined && need.object == id(what));
    assert!(left("HTTPRoute infra/r") && left("Service infra/s") && left("BackendTLSPolicy infra/p"), "{:?}", update.needs);
}
