//! Session persistence: configuration, names, cookies, lifetimes; weights go first (`SessionPersistence`, GEP-1619).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use gateway_core::compile::Options;
use gateway_core::snapshot::{Carrier, Persistence};
use gateway_core::support::{Capability, Support};
use http::HeaderMap;
use http::header::COOKIE;

use super::world::{World, options, service};

fn text(kind: &str, fields: &str) -> String {
    format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: infra}}
spec: {{gatewayClassName: c, listeners: [{{name: http, port: 80, protocol: HTTP}}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: {kind}
metadata: {{name: r, namespace: infra}}
spec: {{parentRefs: [{{name: gw}}], rules: [{{{fields}}}]}}
{}{}",
        service("infra", "a", "10.0.0.1"),
        service("infra", "b", "10.0.0.2")
    )
}

fn world(fields: &str) -> World {
    World::of(&text("HTTPRoute", fields))
}

const ONE: &str = "backendRefs: [{name: a, port: 80}]";
const BOTH: &str = "backendRefs: [{name: a, port: 80, weight: 3}, {name: b, port: 80, weight: 1}]";

/// The next request's backend and session persistence.
fn next(world: &World, cookies: &str) -> (String, Option<Arc<Persistence>>) {
    let forward = world.forwarded("GET", "http://h/", &[&format!("cookie: {cookies}")]);
    (forward.backend.name.to_string(), forward.persistence)
}

fn of(fields: &str) -> Persistence {
    let (_, persistence) = next(&world(&format!("sessionPersistence: {{{fields}}}, {ONE}")), "");
    Persistence::clone(&persistence.expect("sessions are kept"))
}

fn set_cookie(persistence: &Persistence, is_secure: bool) -> String {
    let (name, value) = persistence.keep("token", is_secure).expect("a token that can be written");
    format!("{name}: {}", value.to_str().expect("visible ASCII"))
}

/// §9 item 65: "cookie attributes".
#[test]
fn a_session_cookie_has_no_max_age_and_a_permanent_one_lasts_the_absolute_timeout() {
    let plain = of("type: Cookie, cookie: {name: sid}");
    assert_eq!(set_cookie(&plain, true), "set-cookie: sid=token; Path=/; Secure; HttpOnly; SameSite=Strict");
    let session = of("cookie: {name: sid, path: /shop}, absoluteTimeout: 1h");
    assert_eq!(set_cookie(&session, false), "set-cookie: sid=token; Path=/shop; HttpOnly; SameSite=Strict");
    let permanent = of("cookie: {name: sid, lifetimeType: Permanent}, absoluteTimeout: 1h");
    assert_eq!(set_cookie(&permanent, true), "set-cookie: sid=token; Path=/; Max-Age=3600; Secure; HttpOnly; SameSite=Strict");
    let header = of("type: Header, header: {name: X-Session}");
    assert_eq!(set_cookie(&header, true), "x-session: token");
}

/// §9 item 65: "expiry inside the value".
#[test]
fn the_absolute_timeout_holds_for_session_cookies_and_headers_too() {
    for persistence in [of("cookie: {}, absoluteTimeout: 90s"), of("type: Header, header: {name: x}, absoluteTimeout: 90s")] {
        assert!(!persistence.is_over(Duration::from_millis(89_999)) && persistence.is_over(Duration::from_secs(90)));
    }
    assert!(!of("cookie: {}").is_over(Duration::from_secs(1 << 40)));
}

#[test]
fn a_name_that_is_not_stated_is_made_up_is_stable_and_differs_from_backend_to_backend() {
    let names = |world: &World| -> BTreeSet<(String, String)> {
        let name = |persistence: Arc<Persistence>| persistence.name().1.to_owned();
        (0..8).map(|_| next(world, "")).map(|(backend, kept)| (backend, name(kept.expect("sessions are kept")))).collect()
    };
    let fields = format!("sessionPersistence: {{cookie: {{}}}}, {BOTH}");
    let (one, other) =
        (names(&world(&fields)), names(&World::with(Options { seed: 99, ..options() }, &text("HTTPRoute", &fields))));
    assert_eq!(one, other, "in every process alike");
    assert_eq!(one.len(), 2);
    assert_eq!(one.iter().map(|(_, name)| name).collect::<BTreeSet<_>>().len(), 2, "one session per backend: {one:?}");
    let reweighted = names(&world(&fields.replace("weight: 3", "weight: 5")));
    assert_eq!(one, reweighted, "a change of weights keeps sessions");
}

#[test]
fn a_stated_name_is_the_first_backends_and_others_add_to_it() {
    for fields in ["cookie: {name: sid}", "type: Header, header: {name: sid}"] {
        let world = world(&format!("sessionPersistence: {{{fields}}}, {BOTH}"));
        let mut names: Vec<_> = (0..4).map(|_| next(&world, "")).collect();
        names.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let name = |at: usize| names[at].1.as_ref().expect("sessions are kept").name().1.to_owned();
        assert_eq!(name(0), "sid", "{fields}");
        assert!(name(3).starts_with("sid-") && name(3).len() == "sid-".len() + 16, "{fields}: {}", name(3));
    }
}

/// §9 item 65: "weights first, one session per backend"; §10 row 17.
#[test]
fn the_share_of_backends_is_decided_before_any_session_and_an_invalid_share_is_500_all_the_same() {
    let world = world(&format!("sessionPersistence: {{cookie: {{name: sid}}}}, {BOTH}"));
    let backends: Vec<_> = (0..400).map(|_| next(&world, "sid=whatever; other=1").0).collect();
    assert_eq!(backends.iter().filter(|name| *name == "infra/a:80").count(), 300);
    let invalid = super::persistence::world(
        "sessionPersistence: {cookie: {name: sid}}, backendRefs: [{name: a, port: 80}, {name: missing, port: 80}]",
    );
    let answers: Vec<_> = (0..100).map(|_| invalid.get("http://h/", &["cookie: sid=whatever"])).collect();
    assert_eq!(answers.iter().filter(|answer| *answer == "500").count(), 50);
}

/// §9 item 65: "several cookies".
#[test]
fn the_sessions_of_several_backends_are_read_from_one_request_and_other_cookies_are_not() {
    let world = world(&format!("sessionPersistence: {{cookie: {{name: sid}}}}, {BOTH}"));
    let kept: Vec<_> = (0..4).map(|_| next(&world, "").1.expect("sessions are kept")).collect();
    let names: BTreeSet<_> = kept.iter().map(|kept| kept.name().1.to_owned()).collect();
    let cookies = names.iter().map(|name| format!("{name}=of-{name}")).collect::<Vec<_>>().join("; ");
    let mut request = HeaderMap::new();
    request.insert(COOKIE, format!("app=1; {cookies}; sidx=2").parse().expect("a header"));
    for kept in kept {
        assert_eq!(kept.tokens(&request).collect::<Vec<_>>(), [format!("of-{}", kept.name().1)]);
    }
}

/// §4.8: "equal cookie names on both are an invalid configuration": of two rules the later one is refused.
#[test]
fn a_rule_that_takes_the_name_of_another_backends_sessions_is_dropped() {
    let rules = |first: &str, second: &str, backend: &str| {
        format!(
            "sessionPersistence: {{{first}}}, matches: [{{path: {{value: /one}}}}], {ONE}}}, {{sessionPersistence: {{{second}}}, \
             matches: [{{path: {{value: /two}}}}], backendRefs: [{{name: {backend}, port: 80}}]"
        )
    };
    let sid = "cookie: {name: sid}";
    let rows = [
        (sid, sid, "b", false),
        (sid, sid, "a", true),
        (sid, "cookie: {name: SID}", "b", true),
        (sid, "cookie: {}", "b", true),
        (sid, "type: Header, header: {name: sid}", "b", true),
        ("type: Header, header: {name: sid}", "type: Header, header: {name: SID}", "b", false),
        ("cookie: {name: sid, path: /one}", "cookie: {name: sid, path: /two}", "b", true),
        ("cookie: {name: sid, path: /one}", "cookie: {name: sid, path: /one/deep}", "b", false),
        ("cookie: {name: sid, path: /one}", sid, "b", false),
    ];
    for (first, second, backend, is_valid) in rows {
        let world = world(&rules(first, second, backend));
        let (two, partly) =
            if is_valid { (format!("infra/{backend}:80 /two"), "absent") } else { ("500".into(), "UnsupportedValue") };
        assert_eq!(world.get("http://h/one", &[]), "infra/a:80 /one", "{first} / {second}");
        assert_eq!(world.get("http://h/two", &[]), two, "{first} / {second}");
        assert_eq!(world.condition("HTTPRoute infra/r", "PartiallyInvalid"), partly, "{first} / {second}");
        if !is_valid {
            let message = world.message("HTTPRoute infra/r", "PartiallyInvalid");
            assert!(message.contains("carries the sessions of Service infra/a in rules[0] already"), "{message}");
        }
    }
}

/// An XBackend with these sessions.
fn xbackend(name: &str, session: &str) -> String {
    format!(
        "\n---\n{{apiVersion: gateway.networking.x-k8s.io/v1alpha1, kind: XBackend, metadata: {{name: {name}, namespace: infra}}, spec: \
         {{type: EndpointSelector, endpointSelector: {{matchLabels: {{app: a}}}}, port: {{number: 8080}}{session}}}}}\n"
    )
}

/// A policy with these sessions for a Service.
fn policy(name: &str, service: &str, session: &str) -> String {
    format!(
        "\n---\n{{apiVersion: gateway.networking.x-k8s.io/v1alpha1, kind: XBackendTrafficPolicy, metadata: {{name: {name}, namespace: \
         infra}}, spec: {{targetRefs: [{{group: '', kind: Service, name: {service}}}], sessionPersistence: {{{session}}}}}}}\n"
    )
}

const SID: &str = "cookie: {name: sid}";
const X1: &str = "{group: gateway.networking.x-k8s.io, kind: XBackend, name: x1}";
const X2: &str = "{group: gateway.networking.x-k8s.io, kind: XBackend, name: x2}";

/// §4.8: "equal cookie names on both are an invalid configuration", whoever states them.
#[test]
fn a_rule_of_which_two_backends_keep_sessions_under_one_name_is_refused_whoever_states_it() {
    let of_x = |name: &str, stated: &str| xbackend(name, &format!(", sessionPersistence: {{{stated}}}"));
    let two = format!("backendRefs: [{X1}, {X2}]");
    let mixed = format!("backendRefs: [{X1}, {{name: a, port: 80}}]");
    let rows = [
        ("XBackends", two.clone(), of_x("x1", SID) + &of_x("x2", SID), false),
        ("XBackends apart", two.clone(), of_x("x1", SID) + &of_x("x2", "cookie: {name: other}"), true),
        ("XBackends without names", two.clone(), of_x("x1", "cookie: {}") + &of_x("x2", "cookie: {}"), true),
        ("one XBackend", two.clone(), of_x("x1", SID) + &xbackend("x2", ""), true),
        ("paths apart", two, of_x("x1", "cookie: {name: sid, path: /a}") + &of_x("x2", "cookie: {name: sid, path: /b}"), true),
        ("policies", BOTH.to_owned(), policy("p1", "a", SID) + &policy("p2", "b", SID), false),
        ("policies apart", BOTH.to_owned(), policy("p1", "a", SID) + &policy("p2", "b", "cookie: {name: other}"), true),
        (
            "headers",
            BOTH.to_owned(),
            policy("p1", "a", "type: Header, header: {name: X}") + &policy("p2", "b", "type: Header, header: {name: x}"),
            false,
        ),
        ("XBackend and policy", mixed.clone(), of_x("x1", SID) + &policy("p", "a", SID), false),
        (
            "XBackend and rule",
            format!("sessionPersistence: {{{SID}}}, backendRefs: [{{name: a, port: 80}}, {X1}]"),
            of_x("x1", SID),
            false,
        ),
        // What the rule states goes before the policy, and gives way to the XBackend: neither is what is kept.
        (
            "rule before policy",
            format!("sessionPersistence: {{cookie: {{}}}}, {BOTH}"),
            policy("p1", "a", SID) + &policy("p2", "b", SID),
            true,
        ),
        (
            "XBackend before rule",
            format!("sessionPersistence: {{{SID}}}, backendRefs: [{X1}]"),
            of_x("x1", "cookie: {name: other}"),
            true,
        ),
    ];
    for (what, fields, more, is_valid) in rows {
        let world = World::of(&(text("HTTPRoute", &fields) + &more));
        let accepted = world.condition("HTTPRoute infra/r", "Accepted");
        assert_eq!(accepted, if is_valid { "Accepted" } else { "!UnsupportedValue" }, "{what}");
        let is_served = world.get("http://h/", &[]) != "500";
        assert_eq!(is_served, is_valid, "{what}");
        let world = World::of(&(text("GRPCRoute", &fields) + &more));
        assert_eq!(world.condition("GRPCRoute infra/r", "Accepted"), accepted, "{what}");
    }
}

#[test]
fn who_states_the_name_of_a_session_twice_is_told_in_the_status() {
    let world = World::of(&(text("HTTPRoute", BOTH) + &policy("p1", "a", SID) + &policy("p2", "b", SID)));
    let message = world.message("HTTPRoute infra/r", "Accepted");
    for part in
        ["cookie sid", "an XBackendTrafficPolicy states it for Service infra/b", "sessions of Service infra/a in this rule"]
    {
        assert!(message.contains(part), "{part}: {message}");
    }
}

/// Of two rules the later one is refused, by what others state too.
#[test]
fn a_rule_is_judged_again_when_a_policy_or_xbackend_states_another_name() {
    let rules =
        format!("matches: [{{path: {{value: /one}}}}], {ONE}}}, {{matches: [{{path: {{value: /two}}}}], backendRefs: [{X1}]");
    let mut world = World::of(&(text("HTTPRoute", &rules) + &xbackend("x1", "")));
    let partly = |world: &World| world.condition("HTTPRoute infra/r", "PartiallyInvalid");
    world.put(&policy("p", "a", SID));
    assert_eq!(partly(&world), "absent");
    world.put(&xbackend("x1", &format!(", sessionPersistence: {{{SID}}}")));
    assert_eq!(partly(&world), "UnsupportedValue");
    assert_eq!((world.get("http://h/one", &[]).as_str(), world.get("http://h/two", &[]).as_str()), ("infra/a:80 /one", "500"));
    world.put(&policy("p", "a", "cookie: {name: other}"));
    assert_eq!(partly(&world), "absent");
    world.put(&policy("p", "a", SID));
    assert_eq!(partly(&world), "UnsupportedValue");
    world.remove("XBackendTrafficPolicy infra/p");
    assert_eq!(partly(&world), "absent");
}

/// A policy is for all ports of its Service, so it cannot state a name for each.
#[test]
fn the_ports_of_a_service_have_sessions_of_their_own_under_one_policy() {
    let rules = "matches: [{path: {value: /one}}], backendRefs: [{name: c, port: 80}]}, {matches: [{path: {value: /two}}], backendRefs: [{name: c, port: 81}]";
    let ports = "\n---\n{apiVersion: v1, kind: Service, metadata: {name: c, namespace: infra}, spec: {ports: [{name: w, port: 80}, {name: v, port: 81}]}}\n";
    for stated in [SID, "cookie: {}", "type: Header, header: {name: sid}"] {
        let world = World::of(&(text("HTTPRoute", rules) + ports + &policy("p", "c", stated)));
        assert_eq!(world.condition("HTTPRoute infra/r", "Accepted"), "Accepted", "{stated}");
        assert_eq!(world.condition("HTTPRoute infra/r", "PartiallyInvalid"), "absent", "{stated}");
        let names: BTreeSet<String> = world
            .snapshot
            .backends()
            .filter_map(|backend| backend.persistence.as_ref())
            .map(|kept| kept.name().1.to_owned())
            .collect();
        assert_eq!(names.len(), 2, "{stated}: {names:?}");
        assert!(!stated.contains("sid") || names.contains("sid"), "the first port has the stated name: {names:?}");
    }
}

#[test]
fn what_cannot_carry_a_session_is_refused() {
    for fields in [
        "type: Odd",
        "cookie: {lifetimeType: Odd}",
        "cookie: {lifetimeType: Permanent}, absoluteTimeout: 0s",
        "cookie: {path: '/a;b'}",
        "cookie: {name: 'a b'}",
        "cookie: {lifetimeType: Permanent}",
        "type: Header, cookie: {}",
        "type: Header, header: {name: Content-Length}",
        "type: Header, header: {name: connection}",
    ] {
        let world = world(&format!("sessionPersistence: {{{fields}}}, {ONE}"));
        assert_eq!(world.condition("HTTPRoute infra/r", "Accepted"), "!UnsupportedValue", "{fields}");
    }
}

/// "With it unimplemented the field must not be silently ignored".
#[test]
fn a_data_plane_that_keeps_no_sessions_says_so() {
    let support = Support::of(&[Capability::Http, Capability::Grpc]);
    let fields = format!("sessionPersistence: {{cookie: {{}}}}, {ONE}");
    let world = World::with(Options { support, ..options() }, &text("HTTPRoute", &fields));
    assert_eq!(world.condition("HTTPRoute infra/r", "Accepted"), "!UnsupportedValue");
    assert!(world.message("HTTPRoute infra/r", "Accepted").contains("sessionPersistence"));
}

#[test]
fn sessions_are_explained() {
    let terms =
        |fields: &str| world(&format!("sessionPersistence: {{{fields}}}, {ONE}")).explained("GET", "http://h/", &[]).terms;
    assert_eq!(
        terms("cookie: {name: sid}, absoluteTimeout: 1m"),
        ["the client stays with an endpoint by cookie sid for at most 1m"]
    );
    assert_eq!(terms("type: Header, header: {name: X}"), ["the client stays with an endpoint by header x"]);
    let Carrier::Header(_) = of("type: Header, header: {name: X}").carrier else { panic!("it is a header") };
}
