//! Who goes first among routes: the route's own hostname, then what it matches, then age and name (`HTTPRouteSpec.Hostnames`,
//! `HTTPRouteRule.Matches`, feature GatewayRouteHostnameIntersectionPrecedence).

use super::certificates::secret;
use super::world::{World, service};

/// A Gateway `infra/gw` that takes routes and sets from everywhere, and the certificates of both.
fn gateway(listeners: &str) -> String {
    format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: infra}}
spec: {{gatewayClassName: c, allowedListeners: {{namespaces: {{from: All}}}}, listeners: {listeners}}}
{}{}",
        secret("infra", "cert", "a.example.com"),
        secret("team", "cert", "a.example.com")
    )
}

fn listener(name: &str, scheme: &str, hostname: &str) -> String {
    let hostname = if hostname.is_empty() { String::new() } else { format!("hostname: '{hostname}', ") };
    let (port, protocol, tls) = match scheme {
        "https" => (443, "HTTPS", "tls: {certificateRefs: [{name: cert}]}, "),
        _ => (80, "HTTP", ""),
    };
    format!("{{name: {name}, port: {port}, protocol: {protocol}, {hostname}{tls}allowedRoutes: {{namespaces: {{from: All}}}}}}")
}

/// A route that answers with its name; `when` is the second it was made in, or empty.
fn route(name: &str, when: &str, parent: &str, hosts: &str, path: &str) -> String {
    let created = if when.is_empty() { String::new() } else { format!(", creationTimestamp: '2026-01-01T00:00:{when}Z'") };
    format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}, namespace: team{created}}}
spec: {{parentRefs: [{parent}], hostnames: [{hosts}], rules: [{{matches: [{{path: {{value: {path}}}}}], filters: [{{type: DirectResponse, directResponse: {{statusCode: 200, body: {name}}}}}]}}]}}
"
    )
}

const GATEWAY: &str = "{name: gw, namespace: infra}";
const SET: &str = "{kind: ListenerSet, name: ls}";

/// § 9 item 11.
#[test]
fn of_equal_matches_the_older_route_wins_and_of_equal_ages_the_first_by_name() {
    let base = gateway(&format!("[{}]", listener("l", "http", "")));
    let all = route("c", "01", GATEWAY, "", "/") + &route("a", "02", GATEWAY, "", "/") + &route("b", "02", GATEWAY, "", "/");
    let mut world = World::of(&(base + &all + &route("aa", "", GATEWAY, "", "/")));
    for winner in ["c", "a", "b", "aa"] {
        assert_eq!(world.get("http://x/", &[]), format!("200 {winner}"));
        world.remove(&format!("HTTPRoute team/{winner}"));
    }
    assert_eq!(world.get("http://x/", &[]), "404");
}

/// § 9 item 11, for calls.
#[test]
fn of_equal_grpc_matches_the_older_route_wins_and_of_equal_ages_the_first_by_name() {
    let route = |name: &str, when: &str| {
        let created = if when.is_empty() { String::new() } else { format!(", creationTimestamp: '2026-01-01T00:00:{when}Z'") };
        let text = format!(
            "
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {{name: {name}, namespace: team{created}}}
spec: {{parentRefs: [{GATEWAY}], rules: [{{matches: [{{method: {{service: s.S}}}}], backendRefs: [{{name: {name}, port: 80}}]}}]}}
"
        );
        text + &service("team", name, "10.0.0.1")
    };
    let base = gateway(&format!("[{}]", listener("l", "http", "")));
    let mut world = World::of(&(base + &route("c", "01") + &route("a", "02") + &route("b", "02") + &route("aa", "")));
    for winner in ["c", "a", "b", "aa"] {
        let answer = world.request("POST", "http://x/s.S/M", &["content-type: application/grpc"]);
        assert!(
            answer.starts_with(&format!("Service team/{winner}:80")) || answer.starts_with(&format!("team/{winner}:80")),
            "{answer}"
        );
        world.remove(&format!("GRPCRoute team/{winner}"));
    }
}

/// § 10 row 18.
#[test]
fn a_stated_age_counts_none_is_youngest_then_the_name_and_an_annotation_forces_an_order() {
    let base = gateway(&format!("[{}]", listener("l", "http", "")));
    let mut world = World::of(
        &(base + &route("a", "", GATEWAY, "", "/") + &route("b", "", GATEWAY, "", "/") + &route("z", "09", GATEWAY, "", "/")),
    );
    assert_eq!(world.get("http://x/", &[]), "200 z", "a stated age goes before none");
    world.remove("HTTPRoute team/z");
    assert_eq!(world.get("http://x/", &[]), "200 a", "then the name decides");
    world.put(&route("b", "", GATEWAY, "", "/").replace("name: b,", "name: b, annotations: {pingora-gateway.dev/order: '-1'},"));
    assert_eq!(world.get("http://x/", &[]), "200 b", "an annotation goes before both");
    let set = |name: &str, more: &str| {
        format!(
            "\n---\n{{apiVersion: gateway.networking.k8s.io/v1, kind: ListenerSet, metadata: {{name: {name}, namespace: team{more}}}, spec: {{parentRef: {GATEWAY}, listeners: [{}]}}}}\n",
            listener("l", "http", "set.example.com")
        )
    };
    world.put(&(set("one", "") + &set("two", ", creationTimestamp: '2026-01-01T00:00:09Z'")));
    let winner = |world: &World| {
        ["one", "two"].into_iter().find(|name| world.condition(&format!("ListenerSet team/{name}#l"), "Accepted") == "Accepted")
    };
    assert_eq!(winner(&world), Some("two"));
    world.put(&set("one", ", annotations: {pingora-gateway.dev/order: '-1'}"));
    assert_eq!(winner(&world), Some("one"));
}

/// § 9 item 58: on listeners of Gateways and of ListenerSets, in clear and over TLS.
#[test]
fn the_routes_own_hostname_decides_and_not_what_it_has_in_common_with_the_listener() {
    for scheme in ["http", "https"] {
        for parent in [GATEWAY, SET] {
            let set = |listeners: &str| {
                format!(
                    "\n---\n{{apiVersion: gateway.networking.k8s.io/v1, kind: ListenerSet, metadata: {{name: ls, namespace: team}}, spec: {{parentRef: {GATEWAY}, listeners: {listeners}}}}}\n"
                )
            };
            let base = if parent == GATEWAY {
                gateway(&format!("[{}]", listener("l", scheme, "*.example.com")))
            } else {
                gateway(&format!("[{}]", listener("l", scheme, "other.org")))
                    + &set(&format!("[{}]", listener("l", scheme, "*.example.com")))
            };
            // All three have a.example.com in common with the listener's hosts; age and length of path speak for the wrong ones.
            let routes = route("none", "01", parent, "", "/long/path/indeed")
                + &route("wide", "02", parent, "'*.com', far.example.com", "/long/path")
                + &route("wild", "03", parent, "'*.example.com'", "/long")
                + &route("exact", "04", parent, "b.example.com, a.example.com", "/");
            let mut world = World::of(&(base + &routes));
            let get = |world: &World, path: &str| world.get(&format!("{scheme}://a.example.com{path}"), &[]);
            for winner in ["exact", "wild", "wide", "none"] {
                assert_eq!(get(&world, "/long/path/indeed"), format!("200 {winner}"), "{scheme} on {parent}");
                assert_eq!(get(&world, "/elsewhere"), if winner == "exact" { "200 exact" } else { "404" });
                world.remove(&format!("HTTPRoute team/{winner}"));
            }
            assert_eq!(get(&world, "/long/path/indeed"), "404");
        }
    }
}

/// § 9 item 58: traffic falls through within one listener. § 10 row 7.
#[test]
fn what_the_better_hostname_does_not_match_falls_through_to_the_worse_within_one_listener() {
    let listeners = format!("[{}, {}]", listener("wide", "http", "*.example.com"), listener("narrow", "http", "*.a.example.com"));
    let world = World::of(
        &(gateway(&listeners)
            + &route("exact", "04", GATEWAY, "b.a.example.com", "/exact")
            + &route("wild", "03", "{name: gw, namespace: infra, sectionName: narrow}", "'*.a.example.com'", "/wild")
            + &route("none", "01", "{name: gw, namespace: infra, sectionName: narrow}", "", "/")
            + &route("elsewhere", "01", "{name: gw, namespace: infra, sectionName: wide}", "", "/elsewhere")),
    );
    for (path, winner) in [("/exact", "exact"), ("/wild", "wild"), ("/elsewhere", "none")] {
        assert_eq!(world.get(&format!("http://b.a.example.com{path}"), &[]), format!("200 {winner}"));
    }
    assert_eq!(world.get("http://b.example.com/elsewhere", &[]), "200 elsewhere");
    assert_eq!(world.get("http://b.example.com/wild", &[]), "404");
}
