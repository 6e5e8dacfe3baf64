//! What a person should know: what has another effect than one may think is said, plainly and once.

use super::certificates::secret;
use super::world::{World, id, service, signing};

const GATEWAY: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: team, annotations: {NOTE}}
spec: {gatewayClassName: c, MORE listeners: [{name: http, port: 80, protocol: HTTP}]}
";

fn gateway(note: &str, more: &str) -> String {
    GATEWAY.replace("NOTE", note).replace("MORE", more)
}

/// An object `team/x` of Gateway API's own group.
fn object(kind: &str, note: &str, spec: &str) -> String {
    let version = if kind.starts_with('X') { "gateway.networking.x-k8s.io/v1alpha1" } else { "gateway.networking.k8s.io/v1" };
    format!(
        "---\n{{apiVersion: {version}, kind: {kind}, metadata: {{name: x, namespace: team, annotations: {{{note}}}}}, spec: {spec}}}\n"
    )
}

fn route(rules: &str) -> String {
    object("HTTPRoute", "", &format!("{{parentRefs: [{{name: gw}}], rules: [{rules}]}}"))
}

fn problems(world: &World, what: &str) -> Vec<String> {
    world.compiler.problems().get(&id(what)).cloned().unwrap_or_default()
}

#[test]
fn an_order_that_is_no_number_is_said_of_every_kind_that_is_ordered() {
    let service = service("team", "s", "10.0.0.1");
    let target = "targetRefs: [{group: '', kind: Service, name: s}]";
    let kinds = [
        ("ListenerSet", "{parentRef: {name: gw}, listeners: [{name: a, port: 81, protocol: HTTP}]}".to_owned()),
        ("HTTPRoute", "{parentRefs: [{name: gw}]}".to_owned()),
        ("TCPRoute", "{parentRefs: [{name: gw}], rules: [{backendRefs: [{name: s, port: 80}]}]}".to_owned()),
        ("BackendTLSPolicy", format!("{{{target}, validation: {{hostname: a.example, wellKnownCACertificates: System}}}}")),
        ("XBackendTrafficPolicy", format!("{{{target}}}")),
        (
            "XTelemetryPolicy",
            "{targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: gw}], tracing: {mode: Disabled}}".to_owned(),
        ),
    ];
    let expected = "metadata.annotations pingora-gateway.dev/order has no effect: it is not a whole number";
    let said = |what: &str, note: &str, text: &str| {
        let problems = problems(&World::of(text), what);
        assert_eq!(problems.iter().any(|problem| problem == expected), note == "soon", "{what} {note}: {problems:?}");
    };
    for note in ["soon", "'-7'", "''"] {
        let note_as = format!("pingora-gateway.dev/order: {note}");
        let note = if note == "''" { "soon" } else { note };
        said("Gateway team/gw", note, &gateway(&note_as, ""));
        for (kind, spec) in &kinds {
            said(&format!("{kind} team/x"), note, &format!("{}{service}{}", gateway("", ""), object(kind, &note_as, spec)));
        }
    }
}

#[test]
fn a_backoff_of_no_time_is_as_none_and_that_is_said() {
    let world = |retry: &str| {
        let rule = format!("{{backendRefs: [{{name: s, port: 80}}], retry: {{{retry}}}}}");
        World::of(&format!("{}{}{}", gateway("", ""), route(&rule), service("team", "s", "10.0.0.1")))
    };
    let expected = "spec.rules[0].retry.backoff: 0s is as none: nothing is sent again at once, pauses begin at 25ms";
    assert_eq!(problems(&world("attempts: 1, backoff: 0s"), "HTTPRoute team/x"), [expected]);
    for retry in ["attempts: 0, backoff: 0s", "attempts: 1, backoff: 1s", "attempts: 1"] {
        assert!(problems(&world(retry), "HTTPRoute team/x").is_empty(), "{retry}");
    }
}

#[test]
fn unknown_namespaces_of_listener_sets_are_said_at_the_gateway() {
    let world = World::of(&gateway("", "allowedListeners: {namespaces: {from: Odd}},"));
    let expected =
        "spec.allowedListeners.namespaces.from: Odd is unknown, so no ListenerSets are taken; use Same, Selector or All";
    assert_eq!(problems(&world, "Gateway team/gw"), [expected]);
}

#[test]
fn a_listener_that_takes_routes_from_nobody_knows_where_answers_nothing() {
    let odd = gateway("", "").replace("protocol: HTTP", "protocol: HTTP, allowedRoutes: {namespaces: {from: Odd}}");
    let world = World::of(&format!("{odd}{}", route("{}")));
    assert_eq!(world.condition("Gateway team/gw#http", "Accepted"), "!UnsupportedValue");
    assert_eq!(world.condition("HTTPRoute team/x", "Accepted"), "!NotAllowedByListeners");
    assert_eq!(world.get("http://h/", &[]), "500");
}

#[test]
fn a_policy_some_of_whose_targets_are_missing_says_which() {
    let targets =
        |more: &str| format!("targetRefs: [{{group: '', kind: Service, name: s}}, {{group: '', kind: Service, name: {more}}}]");
    let text = |more: &str| {
        let policy = format!("{{{}, validation: {{hostname: a.example, wellKnownCACertificates: System}}}}", targets(more));
        let traffic = object("XBackendTrafficPolicy", "", &format!("{{{}}}", targets(more)));
        let rest = route("{backendRefs: [{name: s, port: 80}]}") + &traffic + &service("team", "s", "10.0.0.1");
        format!("{}{}{rest}", gateway("", ""), object("BackendTLSPolicy", "", &policy))
    };
    let mut world = World::of(&text("gone"));
    for policy in ["BackendTLSPolicy team/x", "XBackendTrafficPolicy team/x"] {
        assert_eq!(world.condition(policy, "Accepted"), "Accepted", "it is in force where it can be");
        assert_eq!(world.message(policy, "Accepted"), "it is in force, but not everywhere: Service team/gone does not exist");
    }
    world.put(&service("team", "gone", "10.0.0.2"));
    for policy in ["BackendTLSPolicy team/x", "XBackendTrafficPolicy team/x"] {
        assert_eq!(world.message(policy, "Accepted"), "it is in force");
    }
    world.remove("Service team/gone");
    assert!(world.message("BackendTLSPolicy team/x", "Accepted").contains("Service team/gone does not exist"));
}

#[test]
fn a_kind_of_a_foreign_group_is_named_with_its_group() {
    let foreign = "{group: example.com, kind: Gateway, name: gw}";
    let text = object("HTTPRoute", "", &format!("{{parentRefs: [{foreign}]}}"))
        + &object("ListenerSet", "", &format!("{{parentRef: {foreign}, listeners: [{{name: a, port: 81, protocol: HTTP}}]}}"));
    let world = World::of(&text);
    let expected = "parentRef Gateway.example.com gw: parents of this kind are not served here";
    for what in ["HTTPRoute team/x", "ListenerSet team/x"] {
        assert!(problems(&world, what)[0].contains(expected), "{:?}", problems(&world, what));
    }
    let kinds = "protocol: HTTP, allowedRoutes: {kinds: [{group: example.com, kind: HTTPRoute}, {kind: TLSRoute}]}";
    let world = World::of(&gateway("", "").replace("protocol: HTTP", kinds));
    let expected = "allowedRoutes.kinds names HTTPRoute.example.com, TLSRoute, which a HTTP listener does not take here";
    assert_eq!(world.message("Gateway team/gw#http", "ResolvedRefs"), expected);
    let https = "protocol: HTTPS, tls: {certificateRefs: [{group: example.com, kind: Secret, name: a}]}";
    let world = World::of(&gateway("", "").replace("protocol: HTTP", https));
    let expected = "Secret of example.com holds no certificates here; name a Secret, which has no group";
    assert_eq!(world.message("Gateway team/gw#http", "ResolvedRefs"), expected);
}

#[test]
fn a_filter_of_unknown_kind_is_told_what_is_known_where_it_stands() {
    let odd = "{type: ExtensionRef, extensionRef: {group: example.com, kind: Odd, name: a}}";
    let listener = gateway("", "").replace("protocol: HTTP", &format!("protocol: HTTP, filters: {{requests: [{odd}]}}"));
    let world = World::with(signing(), &listener);
    let expected =
        "filters.requests[0]: filters of kind Odd.example.com are not known here for listeners; known are Sign.example.com";
    assert_eq!(world.message("Gateway team/gw#http", "ResolvedRefs"), expected);
    let world = World::with(signing(), &format!("{}{}", gateway("", ""), route(&format!("{{filters: [{odd}]}}"))));
    let expected =
        "filters of kind Odd.example.com are not known here; known are DirectResponse.pingora-gateway.dev, Sign.example.com";
    assert_eq!(world.message("HTTPRoute team/x", "ResolvedRefs"), expected);
}

#[test]
fn a_rule_one_of_whose_matches_cannot_be_read_says_one_thing_of_its_requests() {
    let matches = "{matches: [{path: {type: Odd, value: /a}}, {path: {value: /b}}], backendRefs: [{name: s, port: 80}]}";
    let world = World::of(&format!("{}{}{}", gateway("", ""), route(matches), service("team", "s", "10.0.0.1")));
    let expected = "no rule is valid; rule 0: path match type Odd is unknown, so this match takes nothing; requests that its matches take are answered 500";
    assert_eq!(world.message("HTTPRoute team/x", "Accepted"), expected);
    assert_eq!((world.get("http://h/a", &[]), world.get("http://h/b", &[])), ("404".into(), "500".into()));
}

#[test]
fn a_certificate_for_other_hosts_than_the_listeners_is_remarked_and_no_failure() {
    let told = |hostname: &str, certified: &str| {
        let https = format!("protocol: HTTPS, {hostname} tls: {{certificateRefs: [{{name: cert}}]}}");
        let world =
            World::of(&format!("{}{}", gateway("", "").replace("protocol: HTTP", &https), secret("team", "cert", certified)));
        assert_eq!(world.condition("Gateway team/gw#http", "ResolvedRefs"), "ResolvedRefs", "Gateway API does not demand it");
        assert_eq!(world.condition("Gateway team/gw#http", "Accepted"), "Accepted");
        world.message("Gateway team/gw#http", "ResolvedRefs")
    };
    let good = "all references are resolved";
    let bad = |host: &str, names: &str| {
        format!("{good}, but no certificate is for {host}, so clients will not trust it: that of Secret team/cert is for {names}")
    };
    let rows = [
        ("hostname: a.example.com,", "a.example.com", None),
        ("hostname: a.example.com,", "*.example.com", None),
        ("hostname: b.a.example.com,", "*.example.com", Some("b.a.example.com")),
        ("hostname: a.example.com,", "b.example.com", Some("a.example.com")),
        ("hostname: '*.example.com',", "*.example.com", None),
        ("hostname: '*.example.com',", "a.example.com", None),
        ("hostname: '*.example.com',", "*.a.example.com", None),
        ("hostname: '*.example.com',", "example.com", Some("*.example.com")),
        ("hostname: '*.example.com',", "*.com", Some("*.example.com")),
        ("", "anything.example", None),
    ];
    for (hostname, certified, host) in rows {
        let expected = host.map_or_else(|| good.to_owned(), |host| bad(host, certified));
        assert_eq!(told(hostname, certified), expected, "{hostname} {certified}");
    }
}
