//! ListenerSets: who may add listeners to a Gateway, how they merge, what is reported, which routes they carry (`ListenerSet`,
//! GEP-1713).

use gateway_core::compile::{Addresses, Bound, Change, Classes, Fact, MAX_LISTENERS, Options, Proof};
use gateway_core::name::ObjectName;
use gateway_core::snapshot::{Socket, Transport};
use gateway_core::status::Status;

use super::certificates::secret;
use super::world::{World, id, options, service};

/// A Gateway `infra/gw` with a listener `own` on port 80 for `gateway.example.com`.
fn gateway(allowed: &str) -> String {
    with_listeners(
        allowed,
        "[{name: own, port: 80, protocol: HTTP, hostname: gateway.example.com, allowedRoutes: {namespaces: {from: All}}}]",
    )
}

fn with_listeners(allowed: &str, listeners: &str) -> String {
    let allowed = if allowed.is_empty() { String::new() } else { format!("allowedListeners: {{namespaces: {allowed}}}, ") };
    format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: infra}}
spec: {{gatewayClassName: c, {allowed}listeners: {listeners}}}
"
    )
}

/// A ListenerSet of that Gateway. `what` is `namespace/name`, or `namespace/name@second` for one made in that second.
fn set(what: &str, listeners: &str) -> String {
    let (what, created) = match what.split_once('@') {
        Some((what, second)) => (what, format!(", creationTimestamp: '2026-01-01T00:00:{second}Z'")),
        None => (what, String::new()),
    };
    let (namespace, name) = what.split_once('/').expect("namespace/name");
    format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {{name: {name}, namespace: {namespace}{created}}}
spec: {{parentRef: {{name: gw, namespace: infra}}, listeners: {listeners}}}
"
    )
}

fn http(name: &str, port: u16, hostname: &str) -> String {
    format!("{{name: {name}, port: {port}, protocol: HTTP, hostname: '{hostname}'}}")
}

fn route(name: &str, namespace: &str, parents: &str, path: &str) -> String {
    format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{parentRefs: {parents}, rules: [{{matches: [{{path: {{value: {path}}}}}], filters: [{{type: DirectResponse, directResponse: {{statusCode: 200, body: {name}}}}}]}}]}}
"
    )
}

fn namespace(name: &str, labels: &str) -> String {
    format!("\n---\n{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}, labels: {{{labels}}}}}}}\n")
}

/// Accepted and Programmed.
fn standing(world: &World, what: &str) -> (String, String) {
    (world.condition(what, "Accepted"), world.condition(what, "Programmed"))
}

fn attached_sets(world: &World) -> usize {
    let Some(Status::Gateway(status)) = world.compiler.statuses().get(&id("Gateway infra/gw")) else { panic!("no status") };
    status.attached_listener_sets
}

fn both(accepted: &str, programmed: &str) -> (String, String) {
    (accepted.to_owned(), programmed.to_owned())
}

fn conflicted(world: &World, what: &str, reason: &str) {
    assert_eq!(standing(world, what), both(&format!("!{reason}"), &format!("!{reason}")), "{what}");
    assert_eq!(world.condition(what, "Conflicted"), reason, "{what}");
}

fn serves(world: &World, what: &str) {
    assert_eq!(standing(world, what), both("Accepted", "Programmed"), "{what}");
    assert_eq!(world.condition(what, "Conflicted"), "absent", "{what}");
}

const SAME: &str = "{from: Same}";
const ALL: &str = "{from: All}";

/// A set that its Gateway does not take.
fn refused(allowed: &str) {
    let world = World::of(&(gateway(allowed) + &set("infra/ls", &format!("[{}]", http("l", 80, "a.example.com")))));
    assert_eq!(standing(&world, "ListenerSet infra/ls"), both("!NotAllowed", "!NotAllowed"));
    assert_eq!(attached_sets(&world), 0);
    assert_eq!(standing(&world, "ListenerSet infra/ls#l"), both("!NotAllowed", "!NotAllowed"));
    assert_eq!(world.condition("ListenerSet infra/ls#l", "ResolvedRefs"), "?Pending");
    assert!(world.message("ListenerSet infra/ls", "Accepted").contains("Same, Selector or All"));
    assert_eq!(world.get("http://a.example.com/", &[]), "404");
    serves(&world, "Gateway infra/gw#own");
}

#[test]
fn listener_set_default_not_allowed() {
    refused("");
}

#[test]
fn listener_set_allowed_namespace_none() {
    refused("{from: None}");
}

#[test]
fn listener_set_allowed_namespace_same_takes_sets_of_that_namespace_alone() {
    let world = World::of(
        &(gateway(SAME)
            + &set("infra/allowed", &format!("[{}]", http("l", 80, "a.example.com")))
            + &set("team/refused", &format!("[{}]", http("l", 80, "b.example.com")))),
    );
    serves(&world, "ListenerSet infra/allowed");
    assert_eq!(standing(&world, "ListenerSet team/refused"), both("!NotAllowed", "!NotAllowed"));
    assert_eq!(attached_sets(&world), 1);
}

/// § 9 item 9: relabelling a namespace.
#[test]
fn listener_set_allowed_namespace_selector_follows_the_labels_of_namespaces() {
    let selector = "{from: Selector, selector: {matchLabels: {listeners: allowed}}}";
    let mut world = World::of(
        &(gateway(selector)
            + &namespace("chosen", "listeners: allowed")
            + &namespace("plain", "")
            + &set("chosen/ls", &format!("[{}]", http("l", 80, "a.example.com")))
            + &set("plain/ls", &format!("[{}]", http("l", 80, "b.example.com")))
            + &route("r", "plain", "[{kind: ListenerSet, name: ls}]", "/")),
    );
    serves(&world, "ListenerSet chosen/ls");
    assert_eq!(standing(&world, "ListenerSet plain/ls"), both("!NotAllowed", "!NotAllowed"));
    assert!(world.message("ListenerSet plain/ls", "Accepted").contains("Namespace plain does not satisfy listeners: allowed"));
    assert!(world.message("HTTPRoute plain/r", "Accepted").contains("its Gateway does not take the ListenerSet"));
    assert_eq!((attached_sets(&world), world.get("http://b.example.com/", &[])), (1, "404".to_owned()));

    world.put(&namespace("plain", "listeners: allowed"));
    serves(&world, "ListenerSet plain/ls");
    assert_eq!((attached_sets(&world), world.get("http://b.example.com/", &[])), (2, "200 r".to_owned()));
    assert!(!world.message("HTTPRoute plain/r", "Accepted").contains("does not take"));
    world.put(&namespace("chosen", "listeners: other"));
    assert_eq!(standing(&world, "ListenerSet chosen/ls"), both("!NotAllowed", "!NotAllowed"));
    assert_eq!(attached_sets(&world), 1);
    let update = world.put(&namespace("plain", "listeners: allowed, other: label"));
    assert!(update.statuses.is_empty(), "a label that no selector asks for is nobody's business");

    world.put(&gateway("{from: Selector, selector: {}}"));
    serves(&world, "ListenerSet chosen/ls");
    assert_eq!(attached_sets(&world), 2, "an empty selector selects all");
}

#[test]
fn listener_set_allowed_routes_namespaces_same_is_that_of_the_set() {
    let listeners = "[
      {name: all, port: 80, protocol: HTTP, hostname: all.example.com, allowedRoutes: {namespaces: {from: All}}},
      {name: same, port: 80, protocol: HTTP, hostname: same.example.com},
      {name: chosen, port: 80, protocol: HTTP, hostname: chosen.example.com, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {routes: allowed}}}}}]";
    let parent = "[{kind: ListenerSet, name: ls, namespace: team}]";
    let world = World::of(
        &(gateway(ALL)
            + &set("team/ls", listeners)
            + &namespace("chosen", "routes: allowed")
            + &route("of-gateway", "infra", parent, "/gateway")
            + &route("of-set", "team", parent, "/set")
            + &route("of-chosen", "chosen", parent, "/chosen")
            + &route("refused", "infra", "[{kind: ListenerSet, name: ls, namespace: team, sectionName: same}]", "/refused")),
    );
    let attached = |listener| world.attached_to("ListenerSet team/ls", listener);
    assert_eq!((attached("all"), attached("same"), attached("chosen")), (3, 1, 1));
    assert_eq!(world.condition("HTTPRoute infra/refused", "Accepted"), "!NotAllowedByListeners");
    let message = world.message("HTTPRoute infra/refused", "Accepted");
    assert!(message.contains("ListenerSet team/ls") && message.contains("its own namespace team"), "{message}");
    for (host, served) in [("all", ["/gateway", "/set", "/chosen"].as_slice()), ("same", &["/set"]), ("chosen", &["/chosen"])] {
        for path in ["/gateway", "/set", "/chosen"] {
            let answer = world.get(&format!("http://{host}.example.com{path}"), &[]);
            assert_eq!(answer.starts_with("200"), served.contains(&path), "{host}{path}: {answer}");
        }
    }
}

#[test]
fn listener_set_allowed_routes_supported_kinds_of_a_passthrough_entry() {
    let listeners = "[{name: tls, port: 443, protocol: TLS, hostname: a.example.com, tls: {mode: Passthrough}, allowedRoutes: {kinds: [{kind: HTTPRoute}]}}]";
    let world = World::of(&(gateway(ALL) + &set("team/ls", listeners)));
    assert_eq!(world.condition("ListenerSet team/ls#tls", "ResolvedRefs"), "!InvalidRouteKinds");
    let status = &world.compiler.statuses()[&id("ListenerSet team/ls")];
    assert!(status.listeners()[0].supported_kinds.is_empty());
}

#[test]
fn listener_set_hostname_conflict_the_gateway_goes_first_then_the_older_set() {
    let listeners = "[
      {name: own, port: 80, protocol: HTTP, hostname: gateway.example.com},
      {name: contested, port: 80, protocol: HTTP, hostname: contested.example.com}]";
    let all = [
        with_listeners(ALL, listeners),
        set(
            "team/a@01",
            &format!(
                "[{}, {}, {}]",
                http("good", 80, "a.example.com"),
                http("gateway", 80, "contested.example.com"),
                http("shared", 80, "shared.example.com")
            ),
        ),
        set("team/b@02", &format!("[{}]", http("gateway", 80, "contested.example.com"))),
        set("team/c@03", &format!("[{}, {}]", http("good", 80, "c.example.com"), http("shared", 80, "shared.example.com"))),
        set("team/d@04", &format!("[{}]", http("shared", 80, "shared.example.com"))),
    ];
    let world = World::of(&all.concat());
    for good in [
        "Gateway infra/gw#own",
        "Gateway infra/gw#contested",
        "ListenerSet team/a#good",
        "ListenerSet team/a#shared",
        "ListenerSet team/c#good",
    ] {
        serves(&world, good);
    }
    for bad in
        ["ListenerSet team/a#gateway", "ListenerSet team/b#gateway", "ListenerSet team/c#shared", "ListenerSet team/d#shared"]
    {
        conflicted(&world, bad, "HostnameConflict");
    }
    for mixed in ["team/a", "team/c"] {
        assert_eq!(standing(&world, &format!("ListenerSet {mixed}")), both("ListenersNotValid", "Programmed"));
    }
    for lost in ["team/b", "team/d"] {
        assert_eq!(standing(&world, &format!("ListenerSet {lost}")), both("!ListenersNotValid", "!ListenersNotValid"));
    }
    assert_eq!(attached_sets(&world), 2);
    assert_eq!(standing(&world, "Gateway infra/gw"), both("Accepted", "Programmed"), "what sets do is not the Gateway's fault");
}

/// HTTP against TCP on one port.
#[test]
fn listener_set_protocol_conflict_the_first_stays() {
    let tcp = |name: &str, port: u16| format!("{{name: {name}, port: {port}, protocol: TCP}}");
    let all = [
        gateway(ALL),
        set("team/a@01", &format!("[{}, {}, {}]", tcp("gateway", 80), http("good", 8080, "a.example.com"), tcp("other", 9000))),
        set("team/b@02", &format!("[{}]", tcp("gateway", 80))),
        set("team/c@03", &format!("[{}, {}]", tcp("set", 8080), http("good", 8081, "c.example.com"))),
        set("team/d@04", &format!("[{}]", http("set", 9000, "d.example.com"))),
    ];
    let world = World::of(&all.concat());
    serves(&world, "Gateway infra/gw#own");
    for good in ["ListenerSet team/a#good", "ListenerSet team/a#other", "ListenerSet team/c#good"] {
        serves(&world, good);
    }
    for bad in ["ListenerSet team/a#gateway", "ListenerSet team/b#gateway", "ListenerSet team/c#set", "ListenerSet team/d#set"] {
        conflicted(&world, bad, "ProtocolConflict");
    }
    for lost in ["team/b", "team/d"] {
        assert_eq!(standing(&world, &format!("ListenerSet {lost}")), both("!ListenersNotValid", "!ListenersNotValid"));
    }
    assert_eq!(attached_sets(&world), 2);
}

#[test]
fn protocol_and_hostname_in_conflict_at_once_are_a_listener_conflict() {
    let https = |name: &str, host: &str| {
        format!("{{name: {name}, port: 80, protocol: HTTPS, hostname: {host}, tls: {{certificateRefs: [{{name: cert}}]}}}}")
    };
    let listeners = format!("[{}, {}]", https("both", "gateway.example.com"), https("protocol", "other.example.com"));
    let world = World::of(&(gateway(ALL) + &set("team/ls", &listeners) + &secret("team", "cert", "a.example.com")));
    conflicted(&world, "ListenerSet team/ls#both", "ListenerConflict");
    conflicted(&world, "ListenerSet team/ls#protocol", "ProtocolConflict");
}

#[test]
fn listener_set_dual_parent_ref_independence() {
    let parents = "[{name: gw, namespace: infra, sectionName: nobody}, {kind: ListenerSet, name: ls}]";
    let world = World::of(
        &(gateway(ALL) + &set("team/ls", &format!("[{}]", http("l", 80, "a.example.com"))) + &route("r", "team", parents, "/")),
    );
    assert_eq!(world.condition("HTTPRoute team/r#gw", "Accepted"), "!NoMatchingParent");
    assert_eq!(world.condition("HTTPRoute team/r#ls", "Accepted"), "Accepted");
    assert_eq!(world.message("HTTPRoute team/r#ls", "Accepted"), "carried by listener l of ListenerSet team/ls");
    assert_eq!(world.get("http://a.example.com/", &[]), "200 r");
    assert_eq!(world.get("http://gateway.example.com/", &[]), "404");
}

#[test]
fn listener_set_gateway_parent_section_name_not_found() {
    let world = World::of(
        &(gateway(ALL)
            + &set("infra/ls", &format!("[{}]", http("of-set", 80, "a.example.com")))
            + &route("r", "infra", "[{name: gw, sectionName: of-set}]", "/")),
    );
    assert_eq!(world.condition("HTTPRoute infra/r", "Accepted"), "!NoMatchingParent");
    assert_eq!(world.get("http://a.example.com/", &[]), "404");
    assert_eq!(world.attached_to("ListenerSet infra/ls", "of-set"), 0);
}

/// 36 pairs of host and path.
#[test]
fn listener_set_http_routing_reaches_only_listeners_of_the_parents_that_are_named() {
    let owners = ["gateway", "first", "second"];
    let hosts = |owner: &str| {
        let listeners: Vec<String> =
            ["one", "two"].iter().map(|nth| http(nth, 80, &format!("{nth}.{owner}.example.com"))).collect();
        format!("[{}]", listeners.join(", "))
    };
    let parents =
        |owner: &str| if owner == "gateway" { "name: gw".to_owned() } else { format!("kind: ListenerSet, name: {owner}") };
    let mut text =
        with_listeners(SAME, &hosts("gateway")) + &set("infra/first", &hosts("first")) + &set("infra/second", &hosts("second"));
    for owner in owners {
        text += &route(&format!("all-{owner}"), "infra", &format!("[{{{}}}]", parents(owner)), &format!("/all-{owner}"));
        text += &route(
            &format!("one-{owner}"),
            "infra",
            &format!("[{{{}, sectionName: one}}]", parents(owner)),
            &format!("/one-{owner}"),
        );
    }
    let world = World::of(&text);
    let mut pairs = 0;
    for owner in owners {
        for nth in ["one", "two"] {
            for other in owners {
                for route in ["all", "one"] {
                    let answer = world.get(&format!("http://{nth}.{owner}.example.com/{route}-{other}"), &[]);
                    let served = owner == other && (route == "all" || nth == "one");
                    let expected = if served { format!("200 {route}-{other}") } else { "404".to_owned() };
                    assert_eq!(answer, expected, "{nth} of {owner}, {route} of {other}");
                    pairs += 1;
                }
            }
        }
        let parent = if owner == "gateway" { "Gateway infra/gw".to_owned() } else { format!("ListenerSet infra/{owner}") };
        assert_eq!((world.attached_to(&parent, "one"), world.attached_to(&parent, "two")), (2, 1), "{owner}");
    }
    assert_eq!(pairs, 36);
}

#[test]
fn listener_set_reference_grant_is_its_own_and_inherited_from_nobody() {
    let grant = |kind: &str, namespace: &str| {
        let name = format!("{}-{namespace}", kind.to_lowercase());
        format!(
            "
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {{name: {name}, namespace: certs}}
spec: {{from: [{{group: gateway.networking.k8s.io, kind: {kind}, namespace: {namespace}}}], to: [{{group: '', kind: Secret}}]}}
"
        )
    };
    let https = "[{name: l, port: 443, protocol: HTTPS, hostname: a.example.com, tls: {certificateRefs: [{name: cert, namespace: certs}]}}]";
    let base = gateway(ALL)
        + &secret("certs", "cert", "a.example.com")
        + &set("team/ls", https)
        + &grant("Gateway", "infra")
        + &grant("Gateway", "team")
        + &grant("ListenerSet", "infra");
    let mut world = World::of(&base);
    assert_eq!(world.condition("ListenerSet team/ls#l", "ResolvedRefs"), "!RefNotPermitted");
    assert_eq!(world.condition("ListenerSet team/ls#l", "Accepted"), "Accepted", "the entry itself is well-formed");
    assert_eq!(standing(&world, "ListenerSet team/ls"), both("!ListenersNotValid", "!ListenersNotValid"));
    assert_eq!(attached_sets(&world), 0);
    world.put(&grant("ListenerSet", "team"));
    world.bind();
    assert_eq!(world.condition("ListenerSet team/ls#l", "ResolvedRefs"), "ResolvedRefs");
    serves(&world, "ListenerSet team/ls");
    assert_eq!(attached_sets(&world), 1);
    world.remove("ReferenceGrant certs/listenerset-team");
    assert_eq!(standing(&world, "ListenerSet team/ls"), both("!ListenersNotValid", "!ListenersNotValid"), "revoked");
}

/// § 10 row 8, the part of ListenerSets.
#[test]
fn a_set_with_one_usable_listener_is_accepted_and_names_the_others() {
    let listeners = format!(
        "[{}, {{name: bare, port: 443, protocol: HTTPS, hostname: a.example.com, tls: {{certificateRefs: [{{name: none}}]}}}}]",
        http("good", 80, "a.example.com")
    );
    let world = World::of(&(gateway(ALL) + &set("team/ls", &listeners)));
    assert_eq!(standing(&world, "ListenerSet team/ls"), both("ListenersNotValid", "Programmed"));
    assert!(world.message("ListenerSet team/ls", "Accepted").contains("bare"));
    assert_eq!(standing(&world, "ListenerSet team/ls#bare"), both("Accepted", "!Invalid"));
}

#[test]
fn listener_set_route_status_scoped_to_parent_ref() {
    let world = World::of(
        &(gateway(ALL)
            + &set("team/ls", &format!("[{}]", http("l", 80, "a.example.com")))
            + &route("r", "other", "[{kind: ListenerSet, name: ls, namespace: team}]", "/")),
    );
    let Some(Status::Route(status)) = world.compiler.statuses().get(&id("HTTPRoute other/r")) else { panic!("no status") };
    let [parent] = &*status.parents else { panic!("{:?}", status.parents) };
    let echoed = serde_json::to_value(&parent.parent_ref).expect("JSON");
    let expected =
        serde_json::json!({"group": "gateway.networking.k8s.io", "kind": "ListenerSet", "name": "ls", "namespace": "team"});
    assert_eq!(echoed, expected);
}

/// § 9 item 41: every protocol.
#[test]
fn sets_add_listeners_of_every_protocol() {
    let listeners = "[
      {name: https, port: 443, protocol: HTTPS, hostname: a.example.com, tls: {certificateRefs: [{name: cert}]}},
      {name: passthrough, port: 443, protocol: TLS, hostname: b.example.com, tls: {mode: Passthrough}},
      {name: terminate, port: 443, protocol: TLS, hostname: c.example.com, tls: {certificateRefs: [{name: cert}]}},
      {name: tcp, port: 53, protocol: TCP}, {name: udp, port: 53, protocol: UDP}]";
    let stream = |kind: &str| {
        let hostnames = if kind == "TLSRoute" { "hostnames: ['*.example.com'], " } else { "" };
        format!(
            "\n---\n{{apiVersion: gateway.networking.k8s.io/v1, kind: {kind}, metadata: {{name: r, namespace: team}}, spec: {{parentRefs: [{{kind: ListenerSet, name: ls}}], {hostnames}rules: [{{backendRefs: [{{name: s, port: 80}}]}}]}}}}\n"
        )
    };
    let text =
        gateway(ALL) + &set("team/ls", listeners) + &secret("team", "cert", "a.example.com") + &service("team", "s", "10.0.0.1");
    let world = World::of(&(text + &stream("TLSRoute") + &stream("TCPRoute") + &stream("UDPRoute")));
    for name in ["https", "passthrough", "terminate", "tcp", "udp"] {
        serves(&world, &format!("ListenerSet team/ls#{name}"));
    }
    let attached = |listener| world.attached_to("ListenerSet team/ls", listener);
    assert_eq!(["https", "passthrough", "terminate", "tcp", "udp"].map(attached), [0, 1, 1, 1, 1]);
    for kind in ["TLSRoute", "TCPRoute", "UDPRoute"] {
        assert_eq!(world.condition(&format!("{kind} team/r"), "Accepted"), "Accepted");
    }
}

/// § 9 item 41: promotion.
#[test]
fn when_the_winner_goes_the_next_in_line_is_promoted_and_nobody_else_is_touched() {
    let contested = format!("[{}]", http("l", 80, "contested.example.com"));
    let mut world = World::of(
        &(gateway(ALL)
            + &set("team/b@01", &contested)
            + &set("team/c", &contested)
            + &set("team/a", &contested)
            + &set("other/d@02", &format!("[{}]", http("l", 80, "d.example.com")))
            + &route("of-b", "team", "[{kind: ListenerSet, name: b}]", "/")
            + &route("of-a", "team", "[{kind: ListenerSet, name: a}]", "/")
            + &route("of-c", "team", "[{kind: ListenerSet, name: c}]", "/")),
    );
    assert_eq!(world.get("http://contested.example.com/", &[]), "200 of-b");
    let update = world.remove("ListenerSet team/b");
    assert!(!update.statuses.contains_key(&id("ListenerSet other/d")), "the set of another name is not touched");
    serves(&world, "ListenerSet team/a");
    conflicted(&world, "ListenerSet team/c#l", "HostnameConflict");
    assert_eq!(world.get("http://contested.example.com/", &[]), "200 of-a", "without ages the name decides");
    world.put(&set("team/a", &format!("[{}]", http("l", 80, "moved.example.com"))));
    serves(&world, "ListenerSet team/c");
    assert_eq!(world.get("http://contested.example.com/", &[]), "200 of-c");
    assert_eq!(world.get("http://moved.example.com/", &[]), "200 of-a");
    world.put(&with_listeners(ALL, &format!("[{}]", http("own", 80, "contested.example.com"))));
    conflicted(&world, "ListenerSet team/c#l", "HostnameConflict");
    serves(&world, "Gateway infra/gw#own");
}

#[test]
fn the_family_of_a_port_follows_its_first_listener() {
    let tcp = "[{name: l, port: 9000, protocol: TCP}]";
    let mut world = World::of(
        &(gateway(ALL)
            + &set("team/tcp@01", tcp)
            + &set("team/one@02", &format!("[{}]", http("l", 9000, "one.example.com")))
            + &set("team/two@03", &format!("[{}]", http("l", 9000, "two.example.com")))),
    );
    for lost in ["one", "two"] {
        conflicted(&world, &format!("ListenerSet team/{lost}#l"), "ProtocolConflict");
    }
    world.remove("ListenerSet team/tcp");
    world.bind();
    for promoted in ["one", "two"] {
        serves(&world, &format!("ListenerSet team/{promoted}"));
    }
    world.put(&set("team/tcp@01", tcp));
    for lost in ["one", "two"] {
        conflicted(&world, &format!("ListenerSet team/{lost}#l"), "ProtocolConflict");
    }
}

#[test]
fn listeners_of_a_gateway_that_fall_together_stand_in_no_sets_way() {
    let listeners = "[
      {name: good, port: 8080, protocol: HTTP},
      {name: one, port: 80, protocol: HTTP, hostname: a.example.com},
      {name: other, port: 80, protocol: TCP}]";
    let world = World::of(&(with_listeners(ALL, listeners) + &set("team/ls", &format!("[{}]", http("l", 80, "a.example.com")))));
    for fallen in ["one", "other"] {
        conflicted(&world, &format!("Gateway infra/gw#{fallen}"), "ProtocolConflict");
    }
    serves(&world, "ListenerSet team/ls");
}

#[test]
fn within_one_set_the_first_in_the_list_goes_first() {
    let listeners = format!("[{}, {{name: second, port: 80, protocol: TCP}}]", http("first", 80, "a.example.com"));
    let own = "[{name: own, port: 8080, protocol: HTTP}]";
    let world = World::of(&(with_listeners(ALL, own) + &set("team/ls", &listeners)));
    serves(&world, "ListenerSet team/ls#first");
    conflicted(&world, "ListenerSet team/ls#second", "ProtocolConflict");
}

#[test]
fn conflicts_name_no_listener_set_of_others() {
    let contested = http("l", 80, "contested.example.com");
    let listeners = format!("[{contested}, {{name: tcp, port: 9000, protocol: TCP}}]");
    let world = World::of(
        &(gateway(ALL)
            + &set("secret-tenant/secret-set@01", &format!("[{contested}, {}]", http("h", 9000, "x.example.com")))
            + &set("team/ls@02", &listeners)),
    );
    for listener in ["l", "tcp"] {
        let what = format!("ListenerSet team/ls#{listener}");
        for kind in ["Accepted", "Programmed", "Conflicted"] {
            let message = world.message(&what, kind);
            assert!(!message.contains("secret") && !message.is_empty(), "{message}");
        }
    }
    assert!(world.message("ListenerSet team/ls#l", "Accepted").contains("contested.example.com on port 80"));
}

/// § 9 item 41: missing parent, and one of a foreign class.
#[test]
fn nothing_is_written_for_a_parent_that_is_missing_or_foreign() {
    let ls = set("team/ls", &format!("[{}]", http("l", 80, "a.example.com")));
    let r = route("r", "team", "[{kind: ListenerSet, name: ls}]", "/");
    let mut world = World::of(&(ls.clone() + &r));
    for what in ["ListenerSet team/ls", "HTTPRoute team/r"] {
        assert_eq!(world.condition(what, "Accepted"), "absent");
    }
    assert!(world.compiler.problems()[&id("ListenerSet team/ls")][0].contains("there is no such Gateway"));
    world.put(&gateway(ALL));
    world.bind();
    serves(&world, "ListenerSet team/ls");
    assert_eq!(world.condition("HTTPRoute team/r", "Accepted"), "Accepted");
    world.remove("Gateway infra/gw");
    for what in ["ListenerSet team/ls", "HTTPRoute team/r"] {
        assert_eq!(world.condition(what, "Accepted"), "absent", "what was written is taken back");
    }
    assert_eq!(world.snapshot.sockets().count(), 0);
    world.remove("ListenerSet team/ls");
    assert!(world.compiler.problems()[&id("HTTPRoute team/r")][0].contains("there is no such ListenerSet"));

    let class = |controller: &str| {
        format!(
            "\n---\n{{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {{name: c}}, spec: {{controllerName: {controller}}}}}\n"
        )
    };
    let named = Options { classes: Classes::Named, ..options() };
    let mut world = World::with(named, &(class("example.com/foreign") + &gateway(ALL) + &ls + &r));
    for what in ["ListenerSet team/ls", "HTTPRoute team/r"] {
        assert_eq!(world.condition(what, "Accepted"), "absent");
    }
    world.put(&class("pingora-gateway.dev/controller"));
    world.bind();
    serves(&world, "ListenerSet team/ls");
    let odd = "\n---\n{apiVersion: gateway.networking.k8s.io/v1, kind: ListenerSet, metadata: {name: odd, namespace: team}, spec: {parentRef: {kind: Service, group: '', name: gw}, listeners: [{name: l, port: 80, protocol: HTTP}]}}\n";
    world.put(odd);
    assert_eq!(world.condition("ListenerSet team/odd", "Accepted"), "absent");
    assert!(world.compiler.problems()[&id("ListenerSet team/odd")][0].contains("Service gw"));
}

/// § 9 item 41: ParentNotAccepted.
#[test]
fn a_set_says_when_its_gateway_is_not_accepted() {
    let ls = set("team/ls", &format!("[{}]", http("l", 8080, "a.example.com")));
    let broken = gateway(ALL).replace("gatewayClassName: c,", "gatewayClassName: c, addresses: [{type: test/odd, value: x}],");
    let mut world = World::of(&(broken.clone() + &ls));
    assert_eq!(standing(&world, "ListenerSet team/ls"), both("!ParentNotAccepted", "!ParentNotProgrammed"));
    assert_eq!(standing(&world, "ListenerSet team/ls#l"), both("Accepted", "!Invalid"));
    assert_eq!((attached_sets(&world), world.snapshot.sockets().count()), (0, 0));
    world.put(&gateway(ALL));
    world.bind();
    serves(&world, "ListenerSet team/ls");
    assert_eq!(attached_sets(&world), 1);
    let fallen = "[{name: one, port: 80, protocol: HTTP}, {name: other, port: 80, protocol: TCP}]";
    world.put(&with_listeners(ALL, fallen));
    assert_eq!(world.condition("Gateway infra/gw", "Accepted"), "!ListenersNotValid");
    assert_eq!(standing(&world, "ListenerSet team/ls"), both("!ParentNotAccepted", "!ParentNotProgrammed"));
    assert_eq!(world.snapshot.sockets().count(), 0, "what is not accepted is not served");
    world.put(&broken);
    world.put(&gateway(ALL));
    world.bind();
    serves(&world, "ListenerSet team/ls");
}

#[test]
fn a_set_is_programmed_once_its_gateway_and_its_own_sockets_are() {
    let mut world = World::of(&(gateway(ALL) + &set("team/ls", &format!("[{}]", http("l", 8080, "a.example.com")))));
    let socket = |port| Socket { address: None, port, transport: Transport::Tcp };
    let fact = |port, bound| Change::Fact(Fact::Socket(socket(port), bound));
    world.apply([fact(80, None)]);
    assert_eq!(standing(&world, "ListenerSet team/ls"), both("Accepted", "!ParentNotProgrammed"));
    world.apply([fact(80, Some(Bound::Yes)), fact(8080, None)]);
    assert_eq!(standing(&world, "ListenerSet team/ls"), both("Accepted", "!Pending"));
    world.apply([fact(8080, Some(Bound::Refused("in use".into())))]);
    assert_eq!(standing(&world, "ListenerSet team/ls"), both("!ListenersNotValid", "!ListenersNotValid"));
    assert_eq!(standing(&world, "ListenerSet team/ls#l"), both("!PortUnavailable", "!Invalid"));
    assert_eq!(attached_sets(&world), 0);
    world.apply([fact(8080, Some(Bound::Yes))]);
    serves(&world, "ListenerSet team/ls");
    assert_eq!(attached_sets(&world), 1);
}

#[test]
fn proxies_acknowledge_a_gateway_and_its_sets_each_with_its_generation() {
    let named = Options { proof: Proof::Acknowledgement, traffic: false, ..options() };
    let listeners = format!("[{}]", http("l", 80, "a.example.com"));
    let mut world =
        World::with(named, &(gateway(ALL) + &set("team/ls", &listeners).replace("name: ls,", "name: ls, generation: 2,")));
    let acknowledge = |what: &str, generation| Change::Fact(Fact::Acknowledged(id(what), generation));
    assert_eq!(standing(&world, "ListenerSet team/ls"), both("Accepted", "!ParentNotProgrammed"));
    world.apply([acknowledge("Gateway infra/gw", 0)]);
    assert_eq!(standing(&world, "ListenerSet team/ls"), both("Accepted", "!Pending"));
    world.apply([acknowledge("ListenerSet team/ls", 1)]);
    assert_eq!(standing(&world, "ListenerSet team/ls"), both("Accepted", "!Pending"), "an older generation");
    world.apply([acknowledge("ListenerSet team/ls", 2)]);
    serves(&world, "ListenerSet team/ls");
    world.put(&set("team/ls", &listeners).replace("name: ls,", "name: ls, generation: 3,"));
    assert_eq!(standing(&world, "ListenerSet team/ls"), both("Accepted", "!Pending"), "until it is acknowledged anew");
    world.apply([acknowledge("ListenerSet team/ls", 3)]);
    serves(&world, "ListenerSet team/ls");
    for gone in ["Gateway infra/gw", "ListenerSet team/ls"] {
        world.remove(gone);
    }
    world.put(&(gateway(ALL) + &set("team/ls", &listeners).replace("name: ls,", "name: ls, generation: 3,")));
    assert_eq!(
        standing(&world, "ListenerSet team/ls"),
        both("Accepted", "!ParentNotProgrammed"),
        "what was acknowledged is gone"
    );
    world.apply([acknowledge("Gateway infra/gw", 0)]);
    assert_eq!(standing(&world, "ListenerSet team/ls"), both("Accepted", "!Pending"));
}

/// § 9 item 41: TooManyListeners.
#[test]
fn listeners_beyond_the_limit_are_too_many() {
    let listeners = |nth: usize| {
        let all: Vec<String> = (0..64).map(|at| http(&format!("l{at}"), 80, &format!("l{at}.s{nth}.example.com"))).collect();
        format!("[{}]", all.join(", "))
    };
    let sets = MAX_LISTENERS / 64;
    let mut text = gateway(ALL);
    for nth in 0..sets {
        text += &set(&format!("team/s{nth:04}"), &listeners(nth));
    }
    let mut world = World::of(&text);
    let last = format!("ListenerSet team/s{:04}", sets - 1);
    assert_eq!(standing(&world, &last), both("ListenersNotValid", "Programmed"), "the Gateway's own listener is one of them");
    assert_eq!(standing(&world, &format!("{last}#l63")), both("!TooManyListeners", "!Invalid"));
    serves(&world, &format!("{last}#l62"));
    assert_eq!(world.condition(&format!("{last}#l63"), "Conflicted"), "absent");
    world.put(&set("team/older@01", &format!("[{}]", http("l", 80, "older.example.com"))));
    serves(&world, "ListenerSet team/older");
    assert_eq!(standing(&world, &format!("{last}#l62")), both("!TooManyListeners", "!Invalid"), "the youngest give way");
    world.remove("ListenerSet team/older");
    world.remove("ListenerSet team/s0000");
    serves(&world, &last);
    let own: Vec<String> = (0..64).map(|at| http(&format!("own{at}"), 80, &format!("own{at}.example.com"))).collect();
    world.put(&set("team/s0000", &listeners(0)));
    serves(&world, &format!("{last}#l62"));
    world.put(&with_listeners(ALL, &format!("[{}]", own.join(", "))));
    assert_eq!(standing(&world, &last), both("!ListenersNotValid", "!ListenersNotValid"), "a Gateway's own go before all");
}

#[test]
fn settings_of_the_gateway_apply_to_the_listeners_of_its_sets() {
    let https = "[{name: l, port: 8443, protocol: HTTPS, hostname: a.example.com, tls: {certificateRefs: [{name: cert}]}}]";
    let frontend = "tls: {frontend: {default: {}, perPort: [{port: 8443, tls: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]}}}]}}, ";
    let base = set("team/ls", https) + &secret("team", "cert", "a.example.com");
    let mut world = World::of(&(gateway(ALL) + &base));
    serves(&world, "ListenerSet team/ls");
    world.put(&gateway(ALL).replace("gatewayClassName: c, ", &format!("gatewayClassName: c, {frontend}")));
    assert_eq!(world.condition("ListenerSet team/ls#l", "ResolvedRefs"), "!InvalidCACertificateRef");
    assert_eq!(standing(&world, "ListenerSet team/ls#l"), both("!NoValidCACertificate", "!Invalid"));
    serves(&world, "Gateway infra/gw#own");
    world.put(&gateway(ALL));
    serves(&world, "ListenerSet team/ls");
    let addresses = Addresses::unasked("10.0.0.9".parse().expect("an address"));
    world.apply([Change::Fact(Fact::Addresses(ObjectName::new("infra", "gw"), Some(addresses)))]);
    let sockets: Vec<String> = world.snapshot.sockets().map(|(socket, _)| socket.to_string()).collect();
    assert_eq!(sockets, ["10.0.0.9:80", "10.0.0.9:8443"], "its addresses are theirs");
    world.bind();
    serves(&world, "ListenerSet team/ls");
}

#[test]
fn sets_of_gateways_that_share_addresses_merge_by_age_too() {
    let listeners = format!("[{}]", http("l", 80, "contested.example.com"));
    let other = gateway(ALL)
        .replace("name: gw,", "name: other, creationTimestamp: '2025-01-01T00:00:00Z',")
        .replace("gateway.example.com", "other.example.com");
    let mut world = World::of(
        &(gateway(ALL)
            + &other
            + &set("team/younger@02", &listeners).replace("name: gw", "name: other")
            + &set("team/older@01", &listeners)),
    );
    serves(&world, "ListenerSet team/older");
    conflicted(&world, "ListenerSet team/younger#l", "HostnameConflict");
    let own = with_listeners(ALL, &format!("[{}]", http("own", 80, "contested.example.com"))).replace("name: gw", "name: third");
    world.put(&own);
    serves(&world, "Gateway infra/third#own");
    conflicted(&world, "ListenerSet team/older#l", "HostnameConflict");
    assert!(!world.message("ListenerSet team/older#l", "Accepted").contains("third"));
}

/// § 9 item 17, among sets.
#[test]
fn overlapping_hostnames_are_told_to_every_https_listener_and_name_only_ones_own() {
    let https = |name: &str, host: &str| {
        let hostname = if host.is_empty() { String::new() } else { format!("hostname: '{host}', ") };
        format!("{{name: {name}, port: 443, protocol: HTTPS, {hostname}tls: {{certificateRefs: [{{name: of-{name}}}]}}}}")
    };
    let own = |namespace: &str, name: &str| secret(namespace, &format!("of-{name}"), &format!("{name}.{namespace}.org"));
    let certificates: String =
        [("infra", "wild"), ("infra", "other"), ("team", "a"), ("team", "deep"), ("team", "deeper"), ("team", "l")]
            .map(|(namespace, name)| own(namespace, name))
            .concat();
    let base =
        with_listeners(ALL, &format!("[{}, {}]", https("wild", "*.example.com"), https("other", "b.other.org"))) + &certificates;
    let mut world = World::of(&base);
    let overlap = |world: &World, what: &str| world.condition(what, "OverlappingTLSConfig");
    assert_eq!(overlap(&world, "Gateway infra/gw#wild"), "absent");
    world.put(&set(
        "team/ls",
        &format!(
            "[{}, {}, {}]",
            https("a", "a.example.com"),
            https("deep", "*.a.example.com"),
            https("deeper", "b.a.example.com")
        ),
    ));
    for what in ["Gateway infra/gw#wild", "ListenerSet team/ls#a", "ListenerSet team/ls#deep", "ListenerSet team/ls#deeper"] {
        assert_eq!(overlap(&world, what), "OverlappingHostnames", "{what}");
    }
    assert_eq!(overlap(&world, "Gateway infra/gw#other"), "absent");
    let told = |world: &World, what: &str| world.message(what, "OverlappingTLSConfig");
    assert!(told(&world, "Gateway infra/gw#wild").starts_with("hosts in common with listeners of other objects on port 443"));
    assert!(told(&world, "ListenerSet team/ls#deep").starts_with("hosts in common with deeper and listeners of other objects"));
    assert!(told(&world, "ListenerSet team/ls#a").starts_with("hosts in common with listeners of other objects"));
    let update = world.put(&set("team/far", &format!("[{}]", https("l", "far.org"))));
    assert!(!update.statuses.contains_key(&id("ListenerSet team/ls")));
    world.put(&set("team/any", &format!("[{}]", https("l", ""))));
    assert_eq!(overlap(&world, "Gateway infra/gw#other"), "OverlappingHostnames");
    for what in ["ListenerSet team/far#l", "ListenerSet team/any#l"] {
        assert_eq!(overlap(&world, what), "OverlappingCertificates", "{what}: they show the same one");
    }
    world.remove("ListenerSet team/any");
    world.remove("ListenerSet team/ls");
    for what in ["Gateway infra/gw#wild", "Gateway infra/gw#other", "ListenerSet team/far#l"] {
        assert_eq!(overlap(&world, what), "absent", "present only while true, and never false");
    }
}

/// "MAY when certificates' SANs overlap; prefer `OverlappingCertificates` when both."
#[test]
fn overlapping_certificates_are_told_to_every_https_listener_of_the_port_that_shows_one() {
    let https = |name: &str, port: u16, certificate: &str| {
        format!(
            "{{name: {name}, port: {port}, protocol: HTTPS, hostname: {name}.example.com, tls: {{certificateRefs: [{{name: {certificate}}}]}}}}"
        )
    };
    let certificates = secret("infra", "wide", "*.example.com")
        + &secret("infra", "a", "a.example.com")
        + &secret("infra", "deep", "deep.a.example.com")
        + &secret("team", "own", "x.example.com");
    let listeners = [https("a", 443, "a"), https("deep", 443, "deep"), https("b", 443, "wide"), https("far", 8443, "wide")];
    let mut world = World::of(&(with_listeners(ALL, &format!("[{}]", listeners.join(", "))) + &certificates));
    let overlap = |world: &World, what: &str| world.condition(what, "OverlappingTLSConfig");
    let told = |world: &World, what: &str| world.message(what, "OverlappingTLSConfig");
    for name in ["a", "b"] {
        assert_eq!(overlap(&world, &format!("Gateway infra/gw#{name}")), "OverlappingCertificates", "{name}");
    }
    for name in ["deep", "far"] {
        assert_eq!(overlap(&world, &format!("Gateway infra/gw#{name}")), "absent", "{name}");
    }
    assert!(told(&world, "Gateway infra/gw#b").starts_with("certificates for the same hosts as a on port 443"));
    world.put(&set("team/ls", &format!("[{}]", https("x", 443, "own"))));
    assert_eq!(overlap(&world, "ListenerSet team/ls#x"), "OverlappingCertificates");
    let message = told(&world, "Gateway infra/gw#b");
    assert!(message.starts_with("certificates for the same hosts as a and listeners of other objects on port 443"), "{message}");
    // A certificate for other hosts in its place.
    world.put(&secret("infra", "wide", "*.example.org"));
    for what in ["Gateway infra/gw#a", "Gateway infra/gw#b", "ListenerSet team/ls#x"] {
        assert_eq!(overlap(&world, what), "absent", "{what}");
    }
    world.put(&secret("team", "own", "a.example.com"));
    assert_eq!(overlap(&world, "Gateway infra/gw#a"), "OverlappingCertificates");
    world.remove("ListenerSet team/ls");
    assert_eq!(overlap(&world, "Gateway infra/gw#a"), "absent");
}

/// Isolation and 421 look at the merged list.
#[test]
fn a_host_belongs_to_the_best_listener_of_gateway_and_sets_together() {
    let https = |host: &str| {
        format!("[{{name: l, port: 443, protocol: HTTPS, hostname: '{host}', tls: {{certificateRefs: [{{name: cert}}]}}}}]")
    };
    let certificates = secret("infra", "cert", "a.example.com") + &secret("team", "cert", "a.example.com");
    let world = World::of(
        &(with_listeners(ALL, &https("*.example.com"))
            + &certificates
            + &set("team/ls", &https("a.example.com"))
            + &route("of-gateway", "infra", "[{name: gw}]", "/")
            + &route("of-set", "team", "[{kind: ListenerSet, name: ls}]", "/set")),
    );
    let over = |name: &str, authority: &str, path: &str| world.over("GET", "https", name, authority, path, &[]);
    assert_eq!(over("a.example.com", "a.example.com", "/set"), "200 of-set");
    assert_eq!(over("a.example.com", "a.example.com", "/"), "404", "no fall-back to the wildcard's routes");
    assert_eq!(over("b.example.com", "b.example.com", "/"), "200 of-gateway");
    assert_eq!(over("b.example.com", "a.example.com", "/set"), "421");
    assert_eq!(over("a.example.com", "b.example.com", "/"), "421");
}

#[test]
fn observed_generation_of_a_set_follows_it() {
    let listeners = format!("[{}]", http("l", 80, "a.example.com"));
    let mut world = World::of(&(gateway(ALL) + &set("team/ls", &listeners)));
    world.put(&set("team/ls", &listeners).replace("name: ls,", "name: ls, generation: 7,"));
    let parts = world.compiler.statuses()[&id("ListenerSet team/ls")].parts();
    assert_eq!(parts.len(), 2);
    assert!(parts.iter().flat_map(|(_, conditions)| *conditions).all(|condition| condition.observed_generation == 7));
}

#[test]
fn a_gateway_is_phrased_again_only_for_the_count_of_its_sets() {
    let mut world = World::of(&gateway(ALL));
    let update = world.put(&set("team/ls", &format!("[{}]", http("l", 80, "a.example.com"))));
    assert!(update.statuses.contains_key(&id("Gateway infra/gw")));
    let update = world.put(&set("team/ls", &format!("[{}]", http("l", 80, "b.example.com"))));
    assert!(!update.statuses.contains_key(&id("Gateway infra/gw")), "{:?}", update.statuses.keys());
    assert_eq!(attached_sets(&world), 1);
}

/// § 9 item 57, for ListenerSets.
#[test]
fn what_a_stored_set_violates_is_told_of_the_listener_or_of_the_set() {
    let one = format!("[{}, {{name: bad, port: 81, protocol: TCP, hostname: a.example.com}}]", http("good", 80, "a.example.com"));
    let world = World::of(&(gateway(ALL) + &set("team/ls", &one)));
    assert_eq!(standing(&world, "ListenerSet team/ls#bad"), both("!UnsupportedValue", "!Invalid"));
    assert!(world.message("ListenerSet team/ls#bad", "Accepted").contains("spec.listeners[1].hostname"));
    assert_eq!(standing(&world, "ListenerSet team/ls"), both("ListenersNotValid", "Programmed"));
    let many: Vec<String> = (0..65).map(|at| http(&format!("l{at}"), 80, &format!("l{at}.example.com"))).collect();
    let world = World::of(&(gateway(ALL) + &set("team/ls", &format!("[{}]", many.join(", ")))));
    assert_eq!(standing(&world, "ListenerSet team/ls"), both("!Invalid", "!Invalid"));
    assert!(world.message("ListenerSet team/ls", "Accepted").contains("1 to 64 entries"));
    assert_eq!((attached_sets(&world), world.get("http://l1.example.com/", &[])), (0, "404".to_owned()));
    let twice = format!("[{}, {}]", http("same", 80, "a.example.com"), http("same", 8080, "b.example.com"));
    let world = World::of(&(gateway(ALL) + &set("team/ls", &twice)));
    assert_eq!(standing(&world, "ListenerSet team/ls"), both("ListenersNotValid", "Programmed"), "the first of a name is served");
    assert_eq!(world.snapshot.sockets().count(), 1);
}

/// § 9 item 9: relabelling for the routes of sets.
#[test]
fn relabelling_a_namespace_admits_its_routes_to_listeners_of_sets_or_sends_them_off() {
    let chosen = "[{name: l, port: 80, protocol: HTTP, hostname: a.example.com, allowedRoutes: {namespaces: {from: Selector, selector: {matchExpressions: [{key: routes, operator: In, values: [allowed, welcome]}]}}}}]";
    let parent = "[{kind: ListenerSet, name: ls, namespace: team}]";
    let mut world =
        World::of(&(gateway(ALL) + &set("team/ls", chosen) + &namespace("plain", "") + &route("r", "plain", parent, "/")));
    assert_eq!(world.condition("HTTPRoute plain/r", "Accepted"), "!NotAllowedByListeners");
    world.put(&namespace("plain", "routes: welcome"));
    assert_eq!(world.condition("HTTPRoute plain/r", "Accepted"), "Accepted");
    assert_eq!((world.attached_to("ListenerSet team/ls", "l"), world.get("http://a.example.com/", &[])), (1, "200 r".to_owned()));
    let update = world.put(&namespace("plain", "routes: allowed, unrelated: label"));
    assert!(update.statuses.is_empty(), "it is admitted as before");
    world.remove("Namespace plain");
    assert_eq!(world.condition("HTTPRoute plain/r", "Accepted"), "!NotAllowedByListeners");
    assert_eq!((world.attached_to("ListenerSet team/ls", "l"), world.get("http://a.example.com/", &[])), (0, "404".to_owned()));
}

#[test]
fn a_gateway_needs_its_sets_and_all_they_refer_to_once_it_takes_them() {
    let https = "[{name: l, port: 443, protocol: HTTPS, hostname: a.example.com, tls: {certificateRefs: [{name: cert}]}}]";
    let r = "\n---\n{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: r, namespace: team}, spec: {parentRefs: [{kind: ListenerSet, name: ls}], rules: [{backendRefs: [{name: s, port: 80}]}]}}\n";
    let mut world = World::of(&gateway(""));
    let told = |update: &gateway_core::compile::Update, joined| {
        let needs = update.needs.iter().filter(|need| need.joined == joined);
        needs.map(|need| format!("{} {}", need.gateway, need.object)).collect::<Vec<_>>()
    };
    let update = world.put(&(set("team/ls", https) + r));
    assert!(update.needs.is_empty(), "whose set is not taken needs nothing of it: {:?}", update.needs);
    let all = [
        "infra/gw ListenerSet team/ls",
        "infra/gw HTTPRoute team/r",
        "infra/gw Namespace team",
        "infra/gw Service team/s",
        "infra/gw Secret team/cert",
    ];
    assert_eq!(told(&world.put(&gateway(ALL)), true), all);
    assert_eq!(told(&world.put(&gateway("")), false), all);
    world.put(&gateway(ALL));
    let update = world.remove("ListenerSet team/ls");
    assert_eq!(told(&update, false), all);
}

#[test]
fn a_change_of_the_gateway_that_its_sets_do_not_depend_on_concerns_none_of_them() {
    let mut world = World::of(&(gateway(ALL) + &set("team/ls", &format!("[{}]", http("l", 8080, "a.example.com")))));
    let more = format!("[{}, {}]", http("own", 80, "gateway.example.com"), http("more", 80, "more.example.com"));
    let update = world.put(&with_listeners(ALL, &more));
    assert_eq!(update.statuses.keys().map(ToString::to_string).collect::<Vec<_>>(), ["Gateway infra/gw"]);
    let update = world.put(&with_listeners(ALL, &more).replace("name: gw,", "name: gw, generation: 3,"));
    assert_eq!(update.statuses.len(), 1);
}

/// § 9 item 38: names of 253 characters and names with dots, and traffic through them.
#[test]
fn sets_and_listeners_with_the_longest_names_and_with_dots_carry_routes() {
    let long = ["a", "b", "c", "d"].map(|letter| letter.repeat(63)).join(".")[..253].to_owned();
    let listener = http(&long, 8080, "long.example.com");
    let dotted = http("with.dots.in.it", 8080, "dots.example.com");
    let parent = |section: &str| format!("[{{kind: ListenerSet, name: {long}, sectionName: {section}}}]");
    let world = World::of(
        &(gateway(SAME)
            + &set(&format!("infra/{long}"), &format!("[{listener}, {dotted}]"))
            + &route("long", "infra", &parent(&long), "/")
            + &route("dots", "infra", &parent("with.dots.in.it"), "/")),
    );
    for name in [&*long, "with.dots.in.it"] {
        assert_eq!(world.condition(&format!("ListenerSet infra/{long}#{name}"), "Programmed"), "Programmed");
        assert_eq!(world.attached_to(&format!("ListenerSet infra/{long}"), name), 1);
    }
    assert_eq!(world.get("http://long.example.com:8080/", &[]), "200 long");
    assert_eq!(world.get("http://dots.example.com:8080/", &[]), "200 dots");
    assert_eq!(world.get("http://other.example.com:8080/", &[]), "404");
}
