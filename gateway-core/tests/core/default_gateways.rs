//! Gateways that take routes without being named (GEP-3793: `Gateway.spec.defaultScope`, `useDefaultGateways` of routes).

use gateway_core::status::Status;

use super::world::{World, id};

fn gateway(name: &str, port: u16, more: &str) -> String {
    format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: {name}, namespace: infra}}
spec: {{gatewayClassName: c, {more}listeners: [
  {{name: l, port: {port}, protocol: HTTP, allowedRoutes: {{namespaces: {{from: All}}}}}},
  {{name: tcp, port: 5{port}, protocol: TCP, allowedRoutes: {{namespaces: {{from: All}}}}}},
  {{name: udp, port: 5{port}, protocol: UDP, allowedRoutes: {{namespaces: {{from: All}}}}}},
  {{name: tls, port: 6{port}, protocol: TLS, tls: {{mode: Passthrough}}, allowedRoutes: {{namespaces: {{from: All}}}}}}]}}
"
    )
}

const DEFAULT: &str = "defaultScope: All, ";

fn route(kind: &str, fields: &str) -> String {
    let hostnames = if kind == "TLSRoute" { "hostnames: [a.example.com], " } else { "" };
    let rules = match kind {
        "HTTPRoute" => "[{filters: [{type: DirectResponse, directResponse: {statusCode: 200}}]}]",
        _ => "[{backendRefs: [{name: s, port: 80}]}]",
    };
    format!(
        "\n---\n{{apiVersion: gateway.networking.k8s.io/v1, kind: {kind}, metadata: {{name: r, namespace: team}}, spec: {{{fields}, {hostnames}rules: {rules}}}}}\n"
    )
}

/// The parents in the status of `team/r`, as `name` or `name#section`.
fn parents(world: &World, kind: &str) -> Vec<String> {
    let Some(Status::Route(status)) = world.compiler.statuses().get(&id(&format!("{kind} team/r"))) else { panic!("no status") };
    let parents = status.parents.iter().map(|parent| &parent.parent_ref);
    parents
        .map(|parent| {
            parent.section_name.as_ref().map_or_else(|| parent.name.clone(), |section| format!("{}#{section}", parent.name))
        })
        .collect()
}

const ASKS: &str = "useDefaultGateways: All";

/// § 9 item 52, the part of default Gateways.
#[test]
fn a_route_that_asks_for_default_gateways_is_bound_to_every_one_and_says_so_in_its_status() {
    for (kind, listener) in
        [("HTTPRoute", "l"), ("GRPCRoute", "l"), ("TLSRoute", "tls"), ("TCPRoute", "tcp"), ("UDPRoute", "udp")]
    {
        let world =
            World::of(&(gateway("a", 80, DEFAULT) + &gateway("b", 81, DEFAULT) + &gateway("other", 82, "") + &route(kind, ASKS)));
        assert_eq!(parents(&world, kind), ["a", "b"], "{kind}");
        for default in ["a", "b"] {
            assert_eq!(world.condition(&format!("{kind} team/r#{default}"), "Accepted"), "Accepted", "{kind}");
            assert_eq!(world.condition(&format!("Gateway infra/{default}"), "DefaultGateway"), "DefaultGateway");
            assert_eq!(world.attached(&format!("infra/{default}"), listener), 1, "{kind}");
        }
        assert_eq!(world.condition("Gateway infra/other", "DefaultGateway"), "absent");
        assert_eq!(world.attached("infra/other", listener), 0);
        let Some(Status::Route(status)) = world.compiler.statuses().get(&id(&format!("{kind} team/r"))) else {
            panic!("no status")
        };
        let echoed = serde_json::to_value(&status.parents[0].parent_ref).expect("JSON");
        let expected =
            serde_json::json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "infra", "name": "a"});
        assert_eq!(echoed, expected);
    }
}

#[test]
fn defaults_come_and_go_and_their_routes_follow() {
    let mut world = World::of(&(gateway("a", 80, "") + &route("HTTPRoute", ASKS)));
    assert_eq!(parents(&world, "HTTPRoute"), [""; 0], "treated as if it asked for none");
    assert!(world.compiler.problems()[&id("HTTPRoute team/r")][0].contains("no Gateway is a default"));
    assert_eq!(world.get("http://x/", &[]), "404");

    world.put(&gateway("a", 80, DEFAULT));
    assert_eq!((parents(&world, "HTTPRoute"), world.get("http://x/", &[])), (vec!["a".to_owned()], "200 ".to_owned()));
    world.put(&gateway("b", 81, DEFAULT));
    assert_eq!(parents(&world, "HTTPRoute"), ["a", "b"]);
    world.put(&gateway("a", 80, DEFAULT).replace(
        "{name: l, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}",
        "{name: l, port: 80, protocol: HTTP}",
    ));
    assert_eq!(
        world.condition("HTTPRoute team/r#a", "Accepted"),
        "!NotAllowedByListeners",
        "a default Gateway admits nobody else"
    );
    assert_eq!(world.get("http://x/", &[]), "404");
    world.put(&gateway("a", 80, "defaultScope: None, "));
    assert_eq!(parents(&world, "HTTPRoute"), ["b"]);
    assert_eq!(world.condition("Gateway infra/a", "DefaultGateway"), "absent");
    world.remove("Gateway infra/b");
    assert_eq!(parents(&world, "HTTPRoute"), [""; 0]);
    world.put(&gateway("b", 81, DEFAULT));
    assert_eq!(world.get("http://x:81/", &[]), "200 ");
    world.put(&route("HTTPRoute", "useDefaultGateways: None"));
    assert_eq!((parents(&world, "HTTPRoute"), world.get("http://x:81/", &[])), (Vec::new(), "404".to_owned()));
    let update = world.put(&gateway("c", 82, DEFAULT));
    assert!(!update.statuses.contains_key(&id("HTTPRoute team/r")));
}

#[test]
fn parents_that_are_named_are_bound_too_and_one_that_is_a_default_only_as_it_is_named() {
    let named = "useDefaultGateways: All, parentRefs: [{name: other, namespace: infra}, {name: a, namespace: infra, sectionName: nobody}]";
    let world = World::of(
        &(gateway("a", 80, DEFAULT) + &gateway("b", 81, DEFAULT) + &gateway("other", 82, "") + &route("HTTPRoute", named)),
    );
    assert_eq!(parents(&world, "HTTPRoute"), ["other", "a#nobody", "b"]);
    assert_eq!(world.condition("HTTPRoute team/r#a", "Accepted"), "!NoMatchingParent");
    let answers = ["http://x:82/", "http://x/", "http://x:81/"].map(|url| world.get(url, &[]));
    assert_eq!(answers, ["200 ", "404", "200 "]);
}

#[test]
fn a_scope_nobody_knows_has_no_effect_and_is_told() {
    let world = World::of(
        &(gateway("a", 80, DEFAULT) + &gateway("b", 81, "defaultScope: Odd, ") + &route("HTTPRoute", "useDefaultGateways: Odd")),
    );
    assert_eq!(parents(&world, "HTTPRoute"), [""; 0]);
    assert_eq!(world.condition("Gateway infra/b", "DefaultGateway"), "absent");
    for what in ["HTTPRoute team/r", "Gateway infra/b"] {
        assert!(world.compiler.problems()[&id(what)][0].contains("Odd is unknown"), "{what}");
    }
}

#[test]
fn listeners_of_sets_take_no_routes_that_name_nobody() {
    let set = "\n---\n{apiVersion: gateway.networking.k8s.io/v1, kind: ListenerSet, metadata: {name: ls, namespace: team}, spec: {parentRef: {name: a, namespace: infra}, listeners: [{name: l, port: 90, protocol: HTTP}]}}\n";
    let allowed = format!("{DEFAULT}allowedListeners: {{namespaces: {{from: All}}}}, ");
    let world = World::of(&(gateway("a", 80, &allowed) + set + &route("HTTPRoute", ASKS)));
    assert_eq!(world.condition("ListenerSet team/ls", "Accepted"), "Accepted");
    assert_eq!(world.attached_to("ListenerSet team/ls", "l"), 0);
    assert_eq!((world.get("http://x/", &[]), world.get("http://x:90/", &[])), ("200 ".to_owned(), "404".to_owned()));
}
