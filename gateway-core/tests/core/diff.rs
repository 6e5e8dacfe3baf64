//! What differs between two configurations, as `diff` tells it.

mod words;

use std::collections::BTreeMap;
use std::sync::Arc;

use gateway_core::admit::{Admitted, Reason, admit, is_grpc};
use gateway_core::compile::{Change, Compiler};
use gateway_core::decide::{
    Decision, StreamArrival, StreamDecision, StreamForward, Task, decide, decide_datagram, decide_stream,
};
use gateway_core::diff::{Compiled, Criteria, Difference, Probe, Request, diff};
use gateway_core::snapshot::{Snapshot, Socket, Transport};
use http::request::Parts;
use proptest::prelude::*;

use super::laws::{last_words, step};
use super::world::{World, objects, options, service, signing};

pub(super) fn between(before: &World, after: &World) -> Difference {
    let side =
        |world: &World| (Arc::clone(&world.snapshot), world.compiler.statuses().clone(), world.compiler.problems().clone());
    let (before, after) = (side(before), side(after));
    let side = |side| {
        let (snapshot, statuses, problems): &(_, _, _) = side;
        Compiled { snapshot, statuses, problems }
    };
    diff(side(&before), side(&after))
}

const GATEWAY: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: shop}
spec: {gatewayClassName: c, listeners: [{name: http, protocol: HTTP, port: 80}]}
";

/// The differences between one Gateway with these rules of one route and with those, the Services `cart` and `new` beside it.
fn rules(before: &str, after: &str) -> Difference {
    let world = |rules: &str| {
        let route = format!(
            "
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: cart, namespace: shop}}
spec: {{parentRefs: [{{name: web}}], hostnames: [shop.example.com], rules: [{rules}]}}
"
        );
        let services = [service("shop", "cart", "10.0.0.1"), service("shop", "new", "10.0.0.2")].concat();
        World::of(&format!("{GATEWAY}{route}{services}"))
    };
    between(&world(before), &world(after))
}

/// The lines about requests.
fn requests(difference: &Difference) -> Vec<String> {
    difference
        .traffic
        .iter()
        .flat_map(|change| change.to_string().lines().map(str::trim).map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

/// Endpoints for whatever Services there are.
fn endpoints() -> String {
    let names = ["one", "two"].into_iter().flat_map(|namespace| ["s1", "s2"].map(|service| (namespace, service)));
    let slice = |(namespace, service)| {
        format!(
            "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {service}-all, namespace: {namespace}, labels: {{kubernetes.io/service-name: {service}}}}}
addressType: IPv4
ports: [{{port: 8080}}, {{name: u, port: 9090, protocol: UDP}}]
endpoints: [{{addresses: [10.0.1.1]}}]
"
        )
    };
    names.map(slice).collect::<Vec<_>>().join("\n---")
}

const CART: &str = "backendRefs: [{name: cart, port: 80}]";

#[test]
fn a_rule_that_goes_leaves_its_requests_to_nobody() {
    let difference = rules(
        &format!(
            "{{matches: [{{path: {{value: /cart}}}}], {CART}}}, {{matches: [{{path: {{type: Exact, value: /x}}}}], {CART}}}"
        ),
        &format!("{{matches: [{{path: {{value: /cart}}}}], {CART}}}"),
    );
    let expected =
        ["GET http://shop.example.com/x", "before: HTTPRoute shop/cart rule 1: → shop/cart:80", "now:    404: no rule matches"];
    assert_eq!(requests(&difference), expected);
    assert!(difference.statuses.is_empty() && difference.listeners.is_empty(), "{difference}");
}

#[test]
fn a_rule_that_takes_what_another_had_is_seen_at_the_paths_that_tell_them_apart() {
    let all = format!("{{{CART}}}");
    let difference =
        rules(&all, &format!("{all}, {{matches: [{{path: {{value: /new}}}}], backendRefs: [{{name: new, port: 80}}]}}"));
    let [change] = &difference.traffic[..] else { panic!("{difference}") };
    let asked: Vec<_> = change.examples.iter().map(|example| example.probe.to_string()).collect();
    assert_eq!(asked, ["GET http://shop.example.com/new", "GET http://shop.example.com/new/other"], "and not a sibling");
}

#[test]
fn what_candidates_of_one_place_ask_is_asked_singly_and_together() {
    let to = |name: &str, asks: &str| {
        format!("{{matches: [{{path: {{value: /a}}, {asks}}}], backendRefs: [{{name: {name}, port: 80}}]}}")
    };
    let (header, query) = ("headers: [{name: X-Canary, value: 'yes'}]", "queryParams: [{name: version, value: '2 b'}]");
    let both = |first: &str, second: &str| format!("{}, {}, {{{CART}}}", to(first, header), to(second, query));
    let difference = rules(&both("cart", "new"), &both("new", "cart"));
    let asked: Vec<_> =
        difference.traffic.iter().flat_map(|change| &change.examples).map(|example| example.probe.to_string()).collect();
    for expected in [
        "GET http://shop.example.com/a with x-canary: yes",
        "GET http://shop.example.com/a?version=2%20b",
        "GET http://shop.example.com/a?version=2%20b with x-canary: yes",
    ] {
        assert!(asked.iter().any(|asked| asked == expected), "{expected} is not among {asked:#?}");
    }
    assert!(!asked.iter().any(|asked| asked == "GET http://shop.example.com/a"), "it is answered as before");
}

#[test]
fn a_method_is_asked_for_and_so_is_another() {
    let rule = |name: &str| format!("{{matches: [{{method: GET}}], {CART}}}, {{backendRefs: [{{name: {name}, port: 80}}]}}");
    let difference = rules(&rule("cart"), &rule("new"));
    assert_eq!(requests(&difference)[0], "POST http://shop.example.com/ and 1 more");
    let difference = rules(
        &format!("{{matches: [{{method: PUT}}], {CART}}}"),
        "{matches: [{method: PUT}], backendRefs: [{name: new, port: 80}]}",
    );
    assert_eq!(requests(&difference)[0], "PUT http://shop.example.com/ and 1 more");
}

#[test]
fn expressions_are_asked_with_texts_they_match_or_named() {
    let rule = |pattern: &str, name: &str| {
        format!(
            "{{matches: [{{path: {{type: RegularExpression, value: '{pattern}'}}}}], backendRefs: [{{name: {name}, port: 80}}]}}"
        )
    };
    let difference = rules(&rule("/users/[0-9]+", "cart"), &rule("/users/[0-9]+", "new"));
    assert_eq!(requests(&difference)[0], "GET http://shop.example.com/users/0 and 3 more");
    let difference = rules(&rule("x.*", "cart"), &rule("x.*", "new"));
    assert_eq!(difference.traffic, [], "{difference}");
    assert_eq!(difference.extent.unknown, ["HTTPRoute shop/cart rule 0 match 0: path expression x.*"]);
}

#[test]
fn expressions_that_differ_by_a_range_are_told_apart() {
    let rule = |asks: &str| format!("{{matches: [{{{asks}}}], {CART}}}");
    let path = |pattern: &str| rule(&format!("path: {{type: RegularExpression, value: '{pattern}'}}"));
    let header = |pattern: &str| rule(&format!("headers: [{{name: v, type: RegularExpression, value: '{pattern}'}}]"));
    for (before, after, asked) in [
        (path("/v[0-9]/x"), path("/v[0-8]/x"), "GET http://shop.example.com/v9/x"),
        (path("/M(a|b|c)"), path("/M(a|b)"), "GET http://shop.example.com/Mc"),
        (header("a[0-9]"), header("a[0-8]"), "GET http://shop.example.com/ with v: a9"),
    ] {
        let difference = rules(&before, &after);
        let found: Vec<_> =
            difference.traffic.iter().flat_map(|change| &change.examples).map(|example| example.probe.to_string()).collect();
        assert!(found.iter().any(|found| found == asked), "{asked} is not among {found:#?}");
    }
}

#[test]
fn weights_are_compared_as_shares() {
    let split = |cart: u32, new: u32| {
        format!("{{backendRefs: [{{name: cart, port: 80, weight: {cart}}}, {{name: new, port: 80, weight: {new}}}]}}")
    };
    assert!(rules(&split(1, 2), &split(50, 100)).is_empty(), "the same shares");
    assert!(rules(&split(1, 2), "{backendRefs: [{name: new, port: 80, weight: 2}, {name: cart, port: 80}]}").is_empty());
    let lines = requests(&rules(&split(9, 1), &split(1, 1)));
    assert_eq!(
        lines[1..],
        [
            "before: HTTPRoute shop/cart rule 0: 9 of 10 → shop/cart:80, 1 of 10 → shop/new:80",
            "now:    HTTPRoute shop/cart rule 0: 1 of 2 → shop/cart:80, 1 of 2 → shop/new:80",
        ]
    );
    assert!(!rules(&split(1, 1), &split(1, 0)).is_empty());
    let broken = "{backendRefs: [{name: cart, port: 80}, {name: gone, port: 80}]}";
    let lines = requests(&rules(&split(1, 1), broken));
    assert_eq!(
        lines[2],
        "now:    HTTPRoute shop/cart rule 0: 1 of 2 → shop/cart:80, 1 of 2 500: \
         the backend reference is invalid: Service shop/gone does not exist (BackendNotFound)"
    );
}

#[test]
fn what_is_refused_for_another_reason_is_answered_alike() {
    let to = |name: &str| format!("{{backendRefs: [{{name: {name}, port: 80}}]}}");
    let difference = rules(&to("gone"), &to("lost"));
    assert!(difference.traffic.is_empty() && !difference.statuses.is_empty(), "{difference}");
    let shared = "{backendRefs: [{name: gone, port: 80}, {name: lost, port: 80}, {name: cart, port: 80, weight: 2}]}";
    let half = "{backendRefs: [{name: cart, port: 80}, {name: gone, port: 80}]}";
    assert!(rules(shared, half).traffic.is_empty(), "half of them get 500 on both sides");
}

#[test]
fn what_a_rule_does_besides_is_compared_too() {
    let with = |more: &str| format!("{{{more}, {CART}}}");
    let rows = [
        (
            "filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Version, value: v1}]}}]",
            "filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Version, value: v2}]}}]",
            "request headers: set x-version: v2",
        ),
        ("timeouts: {request: 1s}", "timeouts: {request: 2s}", "the whole request may take 2s"),
        ("retry: {attempts: 2}", "retry: {attempts: 3}", "sent again up to 3 times"),
        (
            "filters: []",
            "filters: [{type: RequestMirror, requestMirror: {backendRef: {name: new, port: 80}, percent: 5}}]",
            "copied to shop/new:80, 1 of 20 requests",
        ),
        (
            "filters: [{type: CORS, cors: {allowOrigins: ['https://a.example']}}]",
            "filters: [{type: CORS, cors: {allowOrigins: ['https://b.example']}}]",
            "CORS: {allowOrigins: [https://b.example], allowCredentials: false,",
        ),
        (
            "filters: []",
            "filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /v2}}}]",
            "as /v2",
        ),
        ("sessionPersistence: {cookie: {name: a}}", "sessionPersistence: {cookie: {name: b}}", "by cookie b"),
    ];
    for (before, after, expected) in rows {
        let difference = rules(&with(before), &with(after));
        let lines = requests(&difference).join("\n");
        assert!(lines.contains(expected), "{expected} is not in\n{lines}");
        assert!(rules(&with(after), &with(after)).is_empty());
    }
}

#[test]
fn a_redirect_is_told_by_where_it_leads() {
    let to = |path: &str| {
        format!(
            "{{matches: [{{path: {{value: /a}}}}], filters: [{{type: RequestRedirect, requestRedirect: {{path: {{type: ReplacePrefixMatch, replacePrefixMatch: {path}}}}}}}]}}"
        )
    };
    let difference = rules(&to("/b"), &to("/c"));
    let [change] = &difference.traffic[..] else { panic!("{difference}") };
    let led: Vec<_> = change.examples.iter().map(|example| (example.before[0].as_deref(), example.after[0].as_deref())).collect();
    assert_eq!(
        led,
        [
            (Some("http://shop.example.com/b"), Some("http://shop.example.com/c")),
            (Some("http://shop.example.com/b/other"), Some("http://shop.example.com/c/other")),
        ]
    );
}

#[test]
fn another_name_for_what_does_the_same_is_no_difference_for_requests() {
    let named = |name: &str| {
        World::of(&format!(
            "{GATEWAY}---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}, namespace: shop}}
spec: {{parentRefs: [{{name: web}}], rules: [{{{CART}}}]}}
{}",
            service("shop", "cart", "10.0.0.1")
        ))
    };
    let difference = between(&named("one"), &named("two"));
    assert_eq!(difference.traffic, []);
    let told: Vec<_> = difference
        .statuses
        .iter()
        .map(|one| (one.of.as_str(), one.what.as_str(), one.before.is_some(), one.after.is_some()))
        .collect();
    assert_eq!(
        told,
        [
            ("HTTPRoute shop/one", "Accepted", true, false),
            ("HTTPRoute shop/one", "ResolvedRefs", true, false),
            ("HTTPRoute shop/two", "Accepted", false, true),
            ("HTTPRoute shop/two", "ResolvedRefs", false, true),
        ]
    );
}

#[test]
fn hosts_are_asked_by_a_stranger_to_each_wildcard_and_one_to_all() {
    let world = |hosts: &str| {
        World::of(&format!(
            "{GATEWAY}---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: cart, namespace: shop}}
spec: {{parentRefs: [{{name: web}}], hostnames: [{hosts}], rules: [{{{CART}}}]}}
{}",
            service("shop", "cart", "10.0.0.1")
        ))
    };
    let difference = between(&world("'*.example.com', other.example.com"), &world("''".trim_matches('\'')));
    let asked: Vec<_> =
        difference.traffic.iter().flat_map(|change| &change.examples).map(|example| example.probe.to_string()).collect();
    assert_eq!(asked, ["GET http://other.invalid/", "GET http://other.invalid/other"], "the others are answered as before");
    let difference = between(&world("'*.example.com', other.example.com"), &world("other.example.com"));
    assert_eq!(requests(&difference)[0], "GET http://otherx.example.com/ and 1 more");
}

#[test]
fn a_listener_that_takes_a_name_takes_its_requests() {
    let world = |more: &str| {
        World::of(&format!(
            "{}---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: cart, namespace: shop}}
spec: {{parentRefs: [{{name: web, sectionName: http}}], rules: [{{matches: [{{path: {{value: /cart}}}}], {CART}}}]}}
{}",
            GATEWAY.replace("port: 80}]", &format!("port: 80}}{more}]")),
            service("shop", "cart", "10.0.0.1")
        ))
    };
    let difference = between(&world(""), &world(", {name: mine, protocol: HTTP, port: 80, hostname: mine.example.com}"));
    assert_eq!(
        requests(&difference),
        [
            "GET http://mine.example.com/cart and 1 more",
            "before: HTTPRoute shop/cart rule 0 at Gateway shop/web listener http: → shop/cart:80",
            "now:    Gateway shop/web listener mine: 404: no rule matches",
        ]
    );
    assert!(difference.listeners.iter().any(|one| one.of == "Gateway shop/web listener mine" && one.what == "hostname"));
    let difference = between(&world(""), &world(", {name: more, protocol: HTTP, port: 81}"));
    assert_eq!(
        requests(&difference)[1..],
        ["before: nobody listens there", "now:    Gateway shop/web listener more: 404: no rule matches"]
    );
}

#[test]
fn calls_are_asked_by_service_and_method() {
    let world = |method: &str| {
        World::of(&format!("{GATEWAY}---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {{name: cart, namespace: shop}}
spec: {{parentRefs: [{{name: web}}], hostnames: [shop.example.com], rules: [{{matches: [{{method: {{service: shop.Cart, method: {method}}}}}], {CART}}}]}}
{}", service("shop", "cart", "10.0.0.1")))
    };
    let difference = between(&world("Get"), &world("Put"));
    assert_eq!(
        requests(&difference),
        [
            "gRPC http://shop.example.com/shop.Cart/Get",
            "before: GRPCRoute shop/cart rule 0: → shop/cart:80",
            "now:    gRPC status 12: no rule matches",
            "gRPC http://shop.example.com/shop.Cart/Put",
            "before: gRPC status 12: no rule matches",
            "now:    GRPCRoute shop/cart rule 0: → shop/cart:80",
        ]
    );
}

#[test]
fn connections_are_asked_by_server_name_and_port_and_flows_by_port() {
    let world = |backend: &str| {
        World::of(
            &format!(
                "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: web, namespace: shop}}
spec:
  gatewayClassName: c
  listeners:
  - {{name: tls, protocol: TLS, port: 443, tls: {{mode: Passthrough}}}}
  - {{name: tcp, protocol: TCP, port: 9000}}
  - {{name: udp, protocol: UDP, port: 53}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {{name: r, namespace: shop}}
spec: {{parentRefs: [{{name: web}}], hostnames: [db.example.com], rules: [{{backendRefs: [{{name: {backend}, port: 80}}]}}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {{name: r, namespace: shop}}
spec: {{parentRefs: [{{name: web}}], rules: [{{backendRefs: [{{name: {backend}, port: 80}}]}}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: UDPRoute
metadata: {{name: r, namespace: shop}}
spec: {{parentRefs: [{{name: web}}], rules: [{{backendRefs: [{{name: {backend}, port: 80}}]}}]}}
{}{}",
                service("shop", "cart", "10.0.0.1"),
                service("shop", "new", "10.0.0.2")
            )
            .replace("{ports: [{port: 80}]}", "{ports: [{name: t, port: 80}, {name: u, protocol: UDP, port: 80}]}")
            .replace("ports: [{port: 8080}]", "ports: [{name: t, port: 8080}, {name: u, protocol: UDP, port: 8080}]"),
        )
    };
    let difference = between(&world("cart"), &world("new"));
    assert_eq!(
        requests(&difference),
        [
            "udp://*:53",
            "before: UDPRoute shop/r rule 0: → shop/cart:80",
            "now:    UDPRoute shop/r rule 0: → shop/new:80",
            "tls://db.example.com:443",
            "before: TLSRoute shop/r rule 0: → shop/cart:80",
            "now:    TLSRoute shop/r rule 0: → shop/new:80",
            "tcp://*:9000",
            "before: TCPRoute shop/r rule 0: → shop/cart:80",
            "now:    TCPRoute shop/r rule 0: → shop/new:80",
        ]
    );
}

#[test]
fn statuses_and_backends_are_compared() {
    let world = |more: &str, address: &str| {
        World::of(&format!(
            "{GATEWAY}---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: cart, namespace: shop, generation: 3}}
spec: {{parentRefs: [{{name: web{more}}}], rules: [{{{CART}}}]}}
{}",
            service("shop", "cart", address)
        ))
    };
    let difference = between(&world("", "10.0.0.1"), &world(", sectionName: none", "10.0.0.1"));
    let told: Vec<_> =
        difference.statuses.iter().filter(|one| one.what != "ResolvedRefs").map(|one| format!("{}: {one}", one.of)).collect();
    assert_eq!(told.len(), 3, "{told:#?}");
    assert_eq!(told[0], "Gateway shop/web: listener http, attachedRoutes: 1 → 0");
    assert!(told[1].starts_with("HTTPRoute shop/cart: Gateway web, Accepted no more: True Accepted"), "{}", told[1]);
    assert!(
        told[2].starts_with("HTTPRoute shop/cart: Gateway web listener none, Accepted now: False NoMatchingParent: "),
        "{}",
        told[2]
    );
    let difference = between(&world("", "10.0.0.1"), &world("", "10.0.0.2"));
    assert_eq!(difference.traffic, []);
    let [backend] = &difference.backends[..] else { panic!("{difference}") };
    assert_eq!(backend.to_string(), "endpoints: 10.0.0.1:8080 → 10.0.0.2:8080");
}

#[test]
fn a_backend_that_nobody_serves_on_either_side_is_compared_as_though_somebody_did() {
    let world = |to: &str| {
        let objects = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: cart, namespace: shop}
spec: {parentRefs: [{name: web}], hostnames: [shop.example.com], rules: [{backendRefs: [{name: TO, port: 80}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: basket, namespace: shop}
spec: {ports: [{port: 80}]}
";
        World::of(&format!("{GATEWAY}{}", objects.replace("TO", to)))
    };
    let difference = between(&world("cart"), &world("basket"));
    let [change] = &difference.traffic[..] else { panic!("{difference}") };
    let expected = "GET http://shop.example.com/ and 1 more
    before: HTTPRoute shop/cart rule 0: → shop/cart:80
    now:    HTTPRoute shop/cart rule 0: → shop/basket:80";
    assert_eq!(change.to_string().trim(), expected);
    assert_eq!(difference.extent.supposed, 2);
    assert!(difference.to_string().ends_with("2 backends have no endpoint on either side, and are taken to have one"));
    // Where one side has an endpoint, that the other has none is what matters.
    let served = |to: &str| {
        let mut served = world(to);
        served.put(&service("shop", "cart", "10.0.0.1"));
        served
    };
    let difference = between(&served("cart"), &world("cart"));
    assert_eq!(difference.extent.supposed, 0);
    assert!(
        difference.to_string().contains("now:    HTTPRoute shop/cart rule 0: 503: the backend has no endpoint"),
        "{difference}"
    );
}

#[test]
fn an_extension_object_whose_content_alone_changed_is_seen() {
    let world = |key: &str| {
        let route = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: cart, namespace: shop}
spec:
  parentRefs: [{name: web}]
  rules:
  - filters: [{type: ExtensionRef, extensionRef: {group: example.com, kind: Sign, name: sign}}]
    backendRefs: [{name: cart, port: 80}]
---
apiVersion: example.com/v1
kind: Sign
metadata: {name: sign, namespace: shop}
spec: KEY
";
        let services = service("shop", "cart", "10.0.0.1");
        World::with(signing(), &format!("{GATEWAY}{}{services}", route.replace("KEY", key)))
    };
    let difference = between(&world("{key: a}"), &world("{key: b}"));
    let [change] = &difference.traffic[..] else { panic!("{difference}") };
    let [before, after] = [&change.before, &change.after].map(|treatment| treatment.shares[0].steps[0].text.as_str());
    assert_eq!((before, after), ("filter Sign shop/sign", "filter Sign shop/sign, changed"));
    let difference = between(&world("{key: a, other: b}"), &world("{other: b, key: a}"));
    assert!(difference.is_empty(), "the order of fields says nothing: {difference}");
}

#[test]
fn what_is_left_out_of_a_place_with_very_many_candidates_is_told() {
    let rule = |nth: usize, to: &str| {
        let matches: Vec<_> = (0..14).map(|at| format!("{{headers: [{{name: X-{nth}-{at}, value: v}}]}}")).collect();
        format!("{{matches: [{}], backendRefs: [{{name: {to}, port: 80}}]}}", matches.join(", "))
    };
    let all = |to: &str| [rule(0, "cart"), rule(1, "cart"), rule(2, to)].join(", ");
    let difference = rules(&all("cart"), &all("cart"));
    assert!(difference.is_empty() && difference.extent.left_out > 0, "{difference}");
    let difference = rules(&all("cart"), &all("new"));
    let [change] = &difference.traffic[..] else { panic!("{difference}") };
    assert!(change.count >= 28, "each candidate's own is asked, with a child: {difference}");
}

/// What is decided of a probe, told by this test itself, over so many turns: each outcome with how often.
fn told(snapshot: &Arc<Snapshot>, probe: &Probe) -> BTreeMap<String, usize> {
    /// All weights of the generated objects divide it.
    const TURNS: u64 = 60;
    let mut counted = BTreeMap::new();
    for turn in 0..TURNS {
        let line = match probe {
            Probe::Request(request) => {
                let server_name = request.is_tls.then(|| Arc::clone(&request.host));
                let arrival = StreamArrival { socket: request.socket, server_name };
                match decide_stream(snapshot, &arrival, |_| turn) {
                    StreamDecision::Http(_) => requested(snapshot, request, turn),
                    StreamDecision::Forward(forward) => streamed(&forward),
                    StreamDecision::Refuse(_) => "closed".to_owned(),
                }
            }
            Probe::Connection(arrival) => match decide_stream(snapshot, arrival, |_| turn) {
                StreamDecision::Http(_) => "http".to_owned(),
                StreamDecision::Forward(forward) => streamed(&forward),
                StreamDecision::Refuse(_) => "closed".to_owned(),
            },
            Probe::Flow(socket) => match decide_datagram(snapshot, socket, |_| turn) {
                Ok(forward) => streamed(&forward),
                Err(_) => "dropped".to_owned(),
            },
        };
        *counted.entry(line).or_default() += 1;
    }
    let is_tls = snapshot.listeners(probe_socket(probe)).map(|listeners| listeners.is_tls());
    counted.insert(format!("begins with TLS: {is_tls:?}"), 1);
    counted
}

fn probe_socket(probe: &Probe) -> &Socket {
    match probe {
        Probe::Request(request) => &request.socket,
        Probe::Connection(arrival) => &arrival.socket,
        Probe::Flow(socket) => socket,
    }
}

fn streamed(forward: &StreamForward) -> String {
    format!("{} {:?}", forward.backend.name, forward.listener.protocol)
}

fn requested(snapshot: &Arc<Snapshot>, request: &Request, turn: u64) -> String {
    let head = request.head().expect("probes can be asked");
    match admit(snapshot, &request.arrival(snapshot), &head) {
        Ok(admitted) => decided(&admitted, &head, turn),
        Err(refusal) => refused(&refusal.reason, request.is_call),
    }
}

/// What a client sees of a refusal.
fn refused(reason: &Reason, is_call: bool) -> String {
    if is_call { reason.grpc_status().to_string() } else { reason.status().to_string() }
}

fn decided(admitted: &Admitted, head: &Parts, turn: u64) -> String {
    match decide(admitted, head, |_| turn) {
        Decision::Refuse(refusal) => refused(&refusal.reason, is_grpc(head)),
        Decision::Answer(answer) => {
            let tasks: Vec<_> = answer.tasks().map(task).collect();
            format!("{} {:?} {:?} {tasks:?}", answer.status, answer.headers, answer.body)
        }
        Decision::Forward(forward) => {
            let tasks: Vec<_> = forward.tasks().map(task).collect();
            let rule = &forward.rule;
            format!(
                "{} {tasks:?} {:?} {:?} {:?} {:?} {}",
                forward.backend.name, rule.timeouts, rule.retry, rule.repick, forward.persistence, forward.matched_prefix
            )
        }
    }
}

/// A task without numbers and pointers, which differ from compiler to compiler.
fn task(task: Task<'_>) -> String {
    match task {
        Task::Mirror(mirror, backend) => {
            format!("mirror {} {:?}", backend.name, mirror.share.as_ref().map(|share| share.fraction()))
        }
        Task::Auth(auth, backend) => format!("auth {} {:?} {:?}", backend.name, auth.protocol, auth.body),
        Task::EditRequest(_) | Task::EditResponse(_) | Task::Rewrite(_) | Task::Cors(..) | Task::Extension(_) => {
            format!("{task:?}")
        }
    }
}

/// Requests on a grid that covers what the generated objects speak of.
fn grid() -> Vec<Probe> {
    let mut all = Vec::new();
    for (port, is_tls) in [(80, false), (443, true), (443, false), (80, true)] {
        for host in ["a.example.com", "x.example.com", "b.a.example.com", "b.other.org", "x.com", "other.invalid"] {
            for path in ["/", "/a", "/a/b", "/ab", "/c"] {
                for method in ["GET", "POST", "PUT"] {
                    let socket = Socket { address: None, port, transport: Transport::Tcp };
                    let asks = Criteria { method: Some(method.to_owned()), ..Criteria::default() };
                    all.push(Probe::Request(Request {
                        socket,
                        is_tls,
                        host: host.into(),
                        path: path.into(),
                        asks,
                        is_call: false,
                    }));
                }
            }
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_configuration_does_not_differ_from_itself(steps in proptest::collection::vec(step(), 1..40)) {
        let compile = |changes: Vec<Change>| {
            let mut compiler = Compiler::new(options());
            let update = compiler.apply(changes);
            World { compiler, snapshot: update.snapshot }
        };
        let mut backwards = last_words(&steps);
        let one = compile(backwards.clone());
        backwards.reverse();
        let difference = between(&one, &compile(backwards));
        prop_assert!(difference.is_empty(), "{difference}");
    }

    #[test]
    fn what_is_reported_is_treated_differently_and_what_is_treated_differently_is_reported(
        shared in proptest::collection::vec(step(), 10..40), before in proptest::collection::vec(step(), 0..3), after in proptest::collection::vec(step(), 1..4)
    ) {
        let compile = |more: &[super::laws::Step]| {
            let steps: Vec<_> = shared.iter().chain(more).cloned().collect();
            let mut compiler = Compiler::new(options());
            let update = compiler.apply(last_words(&steps).into_iter().chain(objects(&endpoints()).into_iter().map(Change::Put)));
            World { compiler, snapshot: update.snapshot }
        };
        let (before, after) = (compile(&before), compile(&after));
        let difference = between(&before, &after);
        // What is supposed to have an endpoint is compared as though it had one.
        for change in difference.traffic.iter().filter(|_| difference.extent.supposed == 0) {
            for example in &change.examples {
                let (was, is) = (told(&before.snapshot, &example.probe), told(&after.snapshot, &example.probe));
                prop_assert!(was != is, "{}: {was:?}\n{difference}", example.probe);
            }
        }
        if difference.traffic.is_empty() {
            for probe in grid() {
                let (mut was, mut is) = (told(&before.snapshot, &probe), told(&after.snapshot, &probe));
                // Whether connections that nobody is served on begin with TLS is told of their listeners.
                if !difference.listeners.is_empty() && was.keys().any(|line| line.starts_with("closed")) {
                    was.retain(|line, _| !line.starts_with("begins"));
                    is.retain(|line, _| !line.starts_with("begins"));
                }
                prop_assert_eq!(was, is, "{} is not seen\n{}", probe, difference);
            }
        }
    }
}

#[test]
fn a_policy_that_changes_how_a_backend_is_spoken_to_is_told_by_what_it_does() {
    use super::backend_tls_policies::{P, REF, S, SYSTEM, base, policy};
    let told = |before: &str, after: &str| {
        let difference = between(&World::of(before), &World::of(after));
        let security = difference.backends.iter().map(ToString::to_string).filter(|line| line.contains("security"));
        (security.collect::<Vec<_>>(), requests(&difference).len(), difference.statuses.iter().any(|one| one.of == P))
    };
    let (clear, with, broken) = (base(), base() + &policy("p", "", S, SYSTEM), base() + &policy("p", "", S, REF));
    let (security, changed, is_told) = told(&clear, &with);
    assert!(security[0].contains("security: in clear → TLS to abc.example.com"), "{security:?}");
    assert_eq!((changed, is_told), (0, true), "requests go where they went");
    let (security, changed, _) = told(&with, &broken);
    assert!(security[0].contains("→ nothing is sent: BackendTLSPolicy team/p"), "{security:?}");
    assert!(changed > 0, "they are answered 500");
}
