//! Filters of listeners: a phase of its own before any route is looked at (`ListenerFilters`, GEP-5224).

use gateway_core::admit::{Admitted, Guard, Reason};
use gateway_core::compile::Options;
use gateway_core::decide::{Decision, decide};
use gateway_core::name::ObjectName;
use gateway_core::snapshot::Turn;
use gateway_core::support::{Capability, Installed, Support};
use http::request::Parts;

use super::world::{World, head, id, options, service, sign, signing};

const SIGN: &str = "{type: ExtensionRef, extensionRef: {group: example.com, kind: Sign, name: sign}}";
const GUARD: &str = "{type: ExternalAuth, externalAuth: {protocol: HTTP, http: {}, backendRef: {name: guard, port: 80}}}";
const CHECK: &str = "{type: ExternalAuth, externalAuth: {protocol: GRPC, grpc: {}, backendRef: {name: guard, port: 80}}}";

/// A Gateway whose listener for `h` has these filters, beside one for all other hosts, and routes for both.
fn text(protocol: &str, filters: &str) -> String {
    format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: infra}}
spec:
  gatewayClassName: c
  listeners:
  - {{name: all, port: 80, protocol: HTTP}}
  - {{name: h, port: 80, protocol: {protocol}, hostname: h, filters: {{requests: [{filters}]}}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: r, namespace: infra}}
spec:
  parentRefs: [{{name: gw}}]
  rules:
  - matches: [{{path: {{value: /p}}}}]
    backendRefs: [{{name: s, port: 80}}]
  - matches: [{{path: {{value: /q}}, headers: [{{name: Host, value: h}}]}}]
    backendRefs: [{{name: s, port: 80}}]
  - matches: [{{path: {{value: /cors}}}}]
    filters: [{{type: CORS, cors: {{allowOrigins: ['*']}}}}]
    backendRefs: [{{name: s, port: 80}}]
{}{}",
        service("infra", "s", "10.0.0.1"),
        service("infra", "guard", "10.0.0.2")
    )
}

fn world(filters: &str) -> World {
    let mut world = World::with(signing(), &text("HTTP", filters));
    world.apply([sign("sign")]);
    world
}

fn admitted(world: &World, method: &str, path: &str) -> (Admitted, Parts) {
    let head = head(method, path, "h", &[]);
    (world.admitted("http", "h", "h", &head).expect("it is admitted"), head)
}

/// What runs before a request is decided.
fn guards(admitted: &Admitted) -> Vec<String> {
    let line = |guard: &Guard| match guard {
        Guard::Auth(_, backend) => format!("{} {:?}", backend.name, backend.name.usage),
        Guard::Extension(extension) => extension.id.to_string(),
    };
    admitted.guards().iter().map(line).collect()
}

fn refusal(decision: Decision) -> Reason {
    let Decision::Refuse(refusal) = decision else { panic!("{decision:?} is no refusal") };
    refusal.reason
}

/// §9 item 62: "exact order".
#[test]
fn filters_of_a_listener_run_in_exactly_their_order_the_same_one_as_often_as_it_stands_there() {
    let world = world(&[SIGN, GUARD, SIGN, CHECK].join(", "));
    let (admitted, _) = admitted(&world, "GET", "/p");
    assert_eq!(guards(&admitted), ["Sign infra/sign", "infra/guard:80 Http", "Sign infra/sign", "infra/guard:80 Grpc"]);
    for kind in ["Accepted", "Programmed", "ResolvedRefs"] {
        assert_eq!(world.condition("Gateway infra/gw#h", kind), kind);
    }
}

/// §9 item 62: "no skipping".
#[test]
fn a_request_whose_listener_filters_did_not_run_is_never_decided() {
    let world = world(GUARD);
    let (mut admitted, head) = admitted(&world, "GET", "/p");
    assert_eq!(refusal(decide(&admitted, &head, Turn::take)), Reason::Unfiltered);
    admitted.rehead(&head).expect("the head is fine");
    assert!(admitted.guards().is_empty());
    assert!(matches!(decide(&admitted, &head, Turn::take), Decision::Forward(_)));
}

/// §9 item 62: "404s pass through them too", and a preflight has no exemption.
#[test]
fn filters_run_for_every_request_of_the_listener_whichever_route_follows_or_none() {
    let world = world(GUARD);
    for (method, path) in [("GET", "/p"), ("GET", "/nowhere"), ("OPTIONS", "*"), ("OPTIONS", "/cors")] {
        let (mut admitted, head) = admitted(&world, method, path);
        assert_eq!(guards(&admitted), ["infra/guard:80 Http"], "{method} {path}");
        admitted.rehead(&head).expect("the head is fine");
        if ["/nowhere", "*"].contains(&path) {
            assert_eq!(refusal(decide(&admitted, &head, Turn::take)), Reason::NoRule, "{method} {path}");
        }
    }
    assert_eq!(world.get("http://other/p", &[]), "infra/s:80 /p", "another listener has filters of its own, or none");
}

/// §9 item 62: "one match": routes are matched once, by the head as filters left it.
#[test]
fn filters_may_change_path_method_and_headers_and_the_path_is_put_into_normal_form_again() {
    let world = world(SIGN);
    let (mut admitted, _) = admitted(&world, "GET", "/nowhere");
    let changed = head("PUT", "/a/../%70/./x//y", "h", &[]);
    admitted.rehead(&changed).expect("the head is fine");
    assert_eq!(admitted.path(&changed), "/p/x/y");
    assert!(matches!(decide(&admitted, &changed, Turn::take), Decision::Forward(_)));
    for (method, path, reason) in [("GET", "/p/%00", Reason::BadTarget), ("TRACE", "/p", Reason::MethodNotServed)] {
        let (mut admitted, _) = self::admitted(&world, "GET", "/p");
        let refused = admitted.rehead(&head(method, path, "h", &[])).expect_err("it is refused");
        assert_eq!(refused.reason, reason);
        assert_eq!(refused.listener.map(|listener| listener.id.name.to_string()), Some("h".to_owned()));
        assert!(!admitted.guards().is_empty(), "it stays undecided");
    }
}

/// §10 row 21, §9 item 62: "Host immutable": ignored at run time, and `InvalidListenerFilter` where configuration alone shows it.
#[test]
fn a_host_that_a_filter_changes_is_ignored_and_the_listener_is_never_chosen_again() {
    let world = world(SIGN);
    let (mut admitted, _) = admitted(&world, "GET", "/q");
    let changed = head("GET", "/q", "other", &[]);
    admitted.rehead(&changed).expect("the head is fine");
    assert_eq!(&*admitted.listener().id.name, "h");
    let Decision::Forward(forward) = decide(&admitted, &changed, Turn::take) else { panic!("the rule for host h wins") };
    assert_eq!((forward.rule.id.index, &*forward.listener.id.name), (1, "h"));

    let mut none = head("GET", "/q", "h", &[]);
    none.version = http::Version::HTTP_10;
    none.headers.clear();
    let for_all_hosts =
        text("HTTP", SIGN).replace("  - {name: all, port: 80, protocol: HTTP}\n", "").replace("hostname: h, ", "");
    let mut everywhere = World::with(signing(), &for_all_hosts);
    everywhere.apply([sign("sign")]);
    let mut admitted = everywhere.admitted("http", "h", "h", &none).expect("HTTP/1.0 may do without");
    let invented = head("GET", "/q", "h", &[]);
    admitted.rehead(&invented).expect("the head is fine");
    assert_eq!(refusal(decide(&admitted, &invented, Turn::take)), Reason::NoRule, "nor is one that a filter invents");

    for name in ["Host", ":authority"] {
        let taking = format!(
            "{{type: ExternalAuth, externalAuth: {{protocol: HTTP, http: {{allowedResponseHeaders: ['{name}']}}, backendRef: {{name: guard, port: 80}}}}}}"
        );
        let world = self::world(&taking);
        assert_eq!(world.condition("Gateway infra/gw#h", "Accepted"), "!InvalidListenerFilter", "{name}");
        assert_eq!(world.get("http://h/p", &[]), "500", "{name}");
    }
}

/// §9 item 62: "fail closed"; the message names the index in the list.
#[test]
fn a_reference_that_leads_nowhere_closes_the_listener_with_500_and_says_which() {
    let auth = |backend: &str| {
        format!("{{type: ExternalAuth, externalAuth: {{protocol: HTTP, http: {{}}, backendRef: {{{backend}}}}}}}")
    };
    let extension = |kind: &str, name: &str| {
        format!("{{type: ExtensionRef, extensionRef: {{group: example.com, kind: {kind}, name: {name}}}}}")
    };
    for (filter, reason) in [
        (auth("name: missing, port: 80"), "!InvalidListenerFilterRef"),
        (auth("name: guard, port: 81"), "!InvalidListenerFilterRef"),
        (auth("name: guard, kind: Odd"), "!InvalidListenerFilterRef"),
        (auth("name: guard, namespace: other, port: 80"), "!RefNotPermitted"),
        (extension("Sign", "missing"), "!InvalidListenerFilterRef"),
        (extension("Sign", "broken"), "!InvalidListenerFilterRef"),
        (extension("Odd", "x"), "!InvalidListenerFilterRef"),
        (
            "{type: ExtensionRef, extensionRef: {group: pingora-gateway.dev, kind: DirectResponse, name: d}}".to_owned(),
            "!InvalidListenerFilterRef",
        ),
    ] {
        let mut world = world(&format!("{SIGN}, {filter}"));
        world.apply([sign("broken")]);
        world.put("{apiVersion: pingora-gateway.dev/v1alpha1, kind: DirectResponse, metadata: {name: d, namespace: infra}, spec: {statusCode: 200}}");
        assert_eq!(world.condition("Gateway infra/gw#h", "ResolvedRefs"), reason, "{filter}");
        assert!(world.message("Gateway infra/gw#h", "ResolvedRefs").contains("filters.requests[1]"), "{filter}");
        assert_eq!(world.condition("Gateway infra/gw#h", "Accepted"), "Accepted", "{filter}");
        assert_eq!(world.condition("Gateway infra/gw#h", "Programmed"), "!Invalid", "{filter}");
        assert_eq!(world.condition("Gateway infra/gw", "Programmed"), "Programmed", "the other listener serves");
        for (path, expected) in [("/p", "500"), ("/nowhere", "500")] {
            assert_eq!(world.get(&format!("http://h{path}"), &[]), expected, "{filter}: never past it, nor by another listener");
        }
        assert_eq!(world.get("http://other/p", &[]), "infra/s:80 /p", "{filter}");
        assert_eq!(world.attached("infra/gw", "h"), 1, "{filter}");
    }
}

/// "A type the implementation lacks → `Accepted=False/UnsupportedValue`; dropping the filter silently is forbidden."
#[test]
fn a_type_nobody_knows_and_a_data_plane_without_listener_filters_let_nothing_through() {
    let later = world(&format!("{GUARD}, {{type: Later}}"));
    let lacking = Options { support: Support::of(&[Capability::Http]), ..options() };
    let lacking = World::with(lacking, &text("HTTP", GUARD));
    let without_grpc = Support::of(&[Capability::Http, Capability::ListenerFilters, Capability::AuthHttp]);
    let without_grpc = World::with(Options { support: without_grpc, ..options() }, &text("HTTP", CHECK));
    for world in [later, lacking, without_grpc] {
        assert_eq!(world.condition("Gateway infra/gw#h", "Accepted"), "!UnsupportedValue");
        assert_eq!(world.condition("Gateway infra/gw#h", "Programmed"), "!Invalid");
        assert_eq!(world.condition("Gateway infra/gw", "Accepted"), "ListenersNotValid");
        assert_eq!(world.get("http://h/p", &[]), "500", "and no other listener answers in its place");
        assert_eq!(world.get("http://other/p", &[]), "infra/s:80 /p");
    }
}

/// §10 row 22, for what reaches a compiler past the schema.
#[test]
fn filters_on_a_listener_that_speaks_no_http_are_an_invalid_listener_filter() {
    for protocol in ["TCP", "UDP", "TLS"] {
        let gateway = format!(
            "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: infra}}
spec: {{gatewayClassName: c, listeners: [{{name: l, port: 9000, protocol: {protocol}, filters: {{requests: [{SIGN}]}}{}}}]}}
",
            if protocol == "TLS" { ", tls: {mode: Passthrough}" } else { "" }
        );
        let world = World::with(signing(), &gateway);
        assert_eq!(world.condition("Gateway infra/gw#l", "Accepted"), "!InvalidListenerFilter", "{protocol}");
        assert_eq!(world.snapshot.sockets().count(), 0, "{protocol}");
    }
}

/// §7.1: "Gateway/ListenerSet → external-auth backend of a listener filter".
#[test]
fn an_authorization_elsewhere_needs_a_grant_for_gateways_which_can_be_revoked() {
    let elsewhere =
        "{type: ExternalAuth, externalAuth: {protocol: HTTP, http: {}, backendRef: {name: far, namespace: other, port: 80}}}";
    let grant = |kind: &str| {
        format!(
            "{{apiVersion: gateway.networking.k8s.io/v1beta1, kind: ReferenceGrant, metadata: {{name: g, namespace: other}}, spec: {{from: [{{group: gateway.networking.k8s.io, kind: {kind}, namespace: infra}}], to: [{{group: '', kind: Service}}]}}}}"
        )
    };
    let mut world = world(elsewhere);
    world.put(&service("other", "far", "10.0.0.9"));
    world.put(&grant("HTTPRoute"));
    assert_eq!(world.condition("Gateway infra/gw#h", "ResolvedRefs"), "!RefNotPermitted");
    world.put(&grant("Gateway"));
    assert_eq!(world.condition("Gateway infra/gw#h", "ResolvedRefs"), "ResolvedRefs");
    assert_eq!(guards(&admitted(&world, "GET", "/p").0), ["other/far:80 Http"]);
    world.remove("ReferenceGrant other/g");
    assert_eq!(world.condition("Gateway infra/gw#h", "ResolvedRefs"), "!RefNotPermitted");
    assert_eq!(world.get("http://h/p", &[]), "500");
}

#[test]
fn a_backend_of_a_listener_filter_is_followed_needed_and_let_go_like_any_other() {
    let mut world = world(GUARD);
    world.remove("EndpointSlice infra/guard-1");
    assert_eq!(world.get("http://h/p", &[]), "503", "nobody can say whether the request may pass");
    assert_eq!(world.condition("Gateway infra/gw#h", "ResolvedRefs"), "ResolvedRefs");
    world.put(&service("infra", "guard", "10.0.0.7"));
    let (before, _) = admitted(&world, "GET", "/p");
    let Some(Guard::Auth(_, backend)) = before.guards().first() else { panic!("somebody is asked") };
    assert_eq!(backend.endpoints[0].to_string(), "10.0.0.7:8080");
    world.remove("Service infra/guard");
    assert_eq!(world.condition("Gateway infra/gw#h", "ResolvedRefs"), "!InvalidListenerFilterRef");
    assert_eq!(world.get("http://h/p", &[]), "500");
    let update = world.put(&service("infra", "guard", "10.0.0.8"));
    assert!(update.needs.is_empty(), "it was needed all the time, existing or not");
    assert_eq!(world.condition("Gateway infra/gw#h", "ResolvedRefs"), "ResolvedRefs");
    let update = world.put(&text("HTTP", SIGN));
    let gateway = ObjectName::new("infra", "gw");
    let left: Vec<_> =
        update.needs.iter().filter(|need| !need.joined && need.gateway == gateway).map(|need| &need.object).collect();
    assert_eq!(left, [&id("Service infra/guard")]);
    assert!(world.snapshot.backends().all(|backend| backend.name.to_string() != "infra/guard:80"));
}

#[test]
fn a_changed_extension_object_is_read_again_for_listeners() {
    let mut world = World::with(signing(), &text("HTTP", SIGN));
    assert_eq!(world.condition("Gateway infra/gw#h", "ResolvedRefs"), "!InvalidListenerFilterRef");
    world.apply([sign("sign")]);
    assert_eq!(world.condition("Gateway infra/gw#h", "ResolvedRefs"), "ResolvedRefs");
    assert_eq!(guards(&admitted(&world, "GET", "/p").0), ["Sign infra/sign"]);
}

/// §10 row 20.
#[test]
fn the_feature_has_the_name_of_the_registry() {
    assert!(Support::ALL.features(Installed::NEWEST).any(|name| name == "GatewayListenerFilters"));
    let without = Support::of(&[Capability::Http]);
    assert!(without.features(Installed::NEWEST).all(|name| name != "GatewayListenerFilters"));
}

#[test]
fn filters_of_listeners_are_explained() {
    let explanation = world(&format!("{SIGN}, {GUARD}")).explained("GET", "http://h/p", &[]);
    assert_eq!(
        explanation.steps,
        [
            "at the listener: filter Sign infra/sign",
            "at the listener: infra/guard:80 is asked over HTTP whether the request may pass"
        ]
    );
    assert!(explanation.to_string().contains("forwarded to infra/s:80"), "{explanation}");
}

fn set(listener: &str) -> String {
    format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: infra}}
spec: {{gatewayClassName: c, allowedListeners: {{namespaces: {{from: All}}}}, listeners: [{{name: own, port: 80, protocol: HTTP}}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {{name: set, namespace: team}}
spec: {{parentRef: {{name: gw, namespace: infra}}, listeners: [{{name: l, hostname: h, {listener}}}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: r, namespace: team}}
spec: {{parentRefs: [{{kind: ListenerSet, name: set}}], rules: [{{backendRefs: [{{name: s, port: 80}}]}}]}}
{}{}",
        service("team", "s", "10.0.0.1"),
        service("infra", "guard", "10.0.0.2")
    )
}

/// §10 row 22: the schema of ListenerSets does not say it.
#[test]
fn filters_on_an_entry_of_a_listener_set_that_speaks_no_http_are_an_invalid_listener_filter() {
    let world = World::with(
        signing(),
        &set(&format!("port: 9000, protocol: TLS, tls: {{mode: Passthrough}}, filters: {{requests: [{SIGN}]}}")),
    );
    assert_eq!(world.condition("ListenerSet team/set#l", "Accepted"), "!InvalidListenerFilter");
    assert!(world.snapshot.sockets().all(|(socket, _)| socket.port != 9000));
}

/// §9 item 62: "ListenerSet protocol check, fail closed"; the reference is the set's, and so is the grant it needs.
#[test]
fn filters_of_a_listener_set_are_performed_with_grants_for_listener_sets() {
    let far =
        "{type: ExternalAuth, externalAuth: {protocol: HTTP, http: {}, backendRef: {name: guard, namespace: infra, port: 80}}}";
    let grant = |kind: &str| {
        format!(
            "{{apiVersion: gateway.networking.k8s.io/v1beta1, kind: ReferenceGrant, metadata: {{name: g, namespace: infra}}, spec: {{from: [{{group: gateway.networking.k8s.io, kind: {kind}, namespace: team}}], to: [{{group: '', kind: Service}}]}}}}"
        )
    };
    let mut world = World::of(&set(&format!("port: 80, protocol: HTTP, filters: {{requests: [{far}]}}")));
    for kind in ["Gateway", "HTTPRoute"] {
        world.put(&grant(kind));
        assert_eq!(world.condition("ListenerSet team/set#l", "ResolvedRefs"), "!RefNotPermitted", "{kind}");
        assert_eq!(world.get("http://h/p", &[]), "500");
    }
    world.put(&grant("ListenerSet"));
    assert_eq!(world.condition("ListenerSet team/set#l", "ResolvedRefs"), "ResolvedRefs");
    let (mut admitted, head) = admitted(&world, "GET", "/p");
    assert_eq!(guards(&admitted), ["infra/guard:80 Http"]);
    admitted.rehead(&head).expect("the head is fine");
    assert!(matches!(decide(&admitted, &head, Turn::take), Decision::Forward(_)));
    let update = world.remove("ListenerSet team/set");
    let gateway = ObjectName::new("infra", "gw");
    assert!(update.needs.iter().any(|need| !need.joined && need.gateway == gateway && need.object == id("Service infra/guard")));
    assert!(world.snapshot.backends().all(|backend| backend.name.to_string() != "infra/guard:80"));
}
