//! Requests in every form a client may send: targets, hosts, versions, paths, repeated fields, expressions.

use gateway_core::admit::{Arrival, Handshake, admit};
use gateway_core::decide::{Decision, decide};
use gateway_core::snapshot::{Socket, Transport, Turn};
use http::request::Parts;
use http::{Request, Version};

use super::certificates::secret;
use super::world::{World, service};

fn world(rules: &str) -> World {
    World::of(&format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: infra}}
spec:
  gatewayClassName: c
  listeners:
  - {{name: http, port: 80, protocol: HTTP}}
  - {{name: named, port: 80, protocol: HTTP, hostname: named.example.com}}
  - {{name: one, port: 443, protocol: HTTPS, hostname: one.example.com, tls: {{certificateRefs: [{{name: cert}}]}}}}
  - {{name: two, port: 443, protocol: HTTPS, hostname: two.example.com, tls: {{certificateRefs: [{{name: cert}}]}}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: r, namespace: infra}}
spec: {{parentRefs: [{{name: gw}}], rules: [{rules}]}}
{}{}{}",
        service("infra", "s", "10.0.0.1"),
        service("infra", "other", "10.0.0.2"),
        secret("infra", "cert", "one.example.com")
    ))
}

const ALL: &str = "{backendRefs: [{name: s, port: 80}]}";

fn head(version: Version, method: &str, target: &str, host: Option<&str>) -> Parts {
    let request = Request::builder().version(version).method(method).uri(target);
    let request = host.into_iter().fold(request, |request, host| request.header("host", host));
    request.body(()).expect("a head").into_parts().0
}

/// What becomes of a head in clear, or over TLS for a server name.
fn answered(world: &World, tls: Option<&str>, head: &Parts) -> String {
    let port = if tls.is_some() { 443 } else { 80 };
    let socket = Socket { address: None, port, transport: Transport::Tcp };
    let tls = tls.map(|name| Handshake { server_name: Some(name.into()), validation: None });
    let admitted = match admit(&world.snapshot, &Arrival { socket, tls }, head) {
        Ok(admitted) => admitted,
        Err(refusal) => return refusal.reason.status().as_u16().to_string(),
    };
    match decide(&admitted, head, Turn::take) {
        Decision::Forward(forward) => {
            format!("{} {} by {}", forward.backend.name, admitted.path(head), forward.listener.id.name)
        }
        Decision::Refuse(refusal) => refusal.reason.status().as_u16().to_string(),
        Decision::Answer(answer) => answer.status.as_u16().to_string(),
    }
}

/// §9 item 56.
#[test]
fn connect_trace_asterisk_http_1_0_and_absolute_form_are_each_decided() {
    let world = world(ALL);
    let rows = [
        (head(Version::HTTP_11, "CONNECT", "h:443", Some("h")), "405"),
        (head(Version::HTTP_2, "CONNECT", "http://h/p", None), "405"),
        (head(Version::HTTP_11, "TRACE", "/p", Some("h")), "405"),
        (head(Version::HTTP_11, "OPTIONS", "*", Some("h")), "404"),
        (head(Version::HTTP_11, "GET", "*", Some("h")), "400"),
        (head(Version::HTTP_11, "OPTIONS", "/p", Some("h")), "infra/s:80 /p by http"),
        (head(Version::HTTP_10, "GET", "/p", None), "infra/s:80 /p by http"),
        (head(Version::HTTP_10, "GET", "/p", Some("named.example.com")), "infra/s:80 /p by named"),
        (head(Version::HTTP_11, "GET", "/p", None), "400"),
        (head(Version::HTTP_2, "GET", "/p", None), "400"),
        (head(Version::HTTP_11, "GET", "http://named.example.com/p", Some("named.example.com")), "infra/s:80 /p by named"),
        (head(Version::HTTP_11, "GET", "http://named.example.com/p", Some("other.example.com")), "400"),
        (head(Version::HTTP_11, "GET", "http://named.example.com/p", None), "400"),
        (head(Version::HTTP_2, "GET", "http://named.example.com/p", None), "infra/s:80 /p by named"),
    ];
    for (head, expected) in rows {
        assert_eq!(answered(&world, None, &head), expected, "{head:?}");
    }
}

/// §9 item 14: a connection of HTTP/1.1 that is kept, and one of HTTP/2, meet the same rule.
#[test]
fn a_connection_over_tls_whose_host_changes_is_misdirected_over_http_1_1_too() {
    let world = world(ALL);
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let rows = [
            ("one.example.com", "infra/s:80 / by one"),
            ("two.example.com", "421"),
            ("ONE.example.com:443", "infra/s:80 / by one"),
            ("three.example.com", "404"),
            ("one.example.com.", "infra/s:80 / by one"),
        ];
        for (host, expected) in rows {
            let head = head(version, "GET", "/", Some(host));
            assert_eq!(answered(&world, Some("one.example.com"), &head), expected, "{host} over {version:?}");
        }
    }
}

/// §9 item 13: one form is matched and forwarded, so no rule is passed by another spelling.
#[test]
fn a_path_is_matched_and_forwarded_in_one_normal_form() {
    let guarded = "{matches: [{path: {value: /admin}}], backendRefs: [{name: other, port: 80}]}";
    let world = world(&format!("{guarded}, {ALL}"));
    let rows = [
        ("/admin", "infra/other:80 /admin"),
        ("//admin", "infra/other:80 /admin"),
        ("/./admin", "infra/other:80 /admin"),
        ("/x/../admin", "infra/other:80 /admin"),
        ("/x/%2e%2E/admin", "infra/other:80 /admin"),
        ("/%61dmin", "infra/other:80 /admin"),
        ("/admin/..", "infra/s:80 /"),
        ("/admin/../../..", "infra/s:80 /"),
        ("/admin%2Fx", "infra/s:80 /admin%2Fx"),
        ("/admin%2fx", "infra/s:80 /admin%2Fx"),
        ("/admin;x=1", "infra/s:80 /admin;x=1"),
        ("/admin/;/x", "infra/other:80 /admin/;/x"),
        ("/ADMIN", "infra/s:80 /ADMIN"),
        ("/admin/%00", "400"),
        ("/admin/%zz", "400"),
    ];
    for (path, expected) in rows {
        assert_eq!(world.get(&format!("http://h{path}"), &[]), expected, "{path}");
    }
    assert_eq!(world.get("http://h/x?path=/../admin//", &[]), "infra/s:80 /x", "the query is no part of it");
}

/// §9 item 6.
#[test]
fn a_redirect_keeps_query_and_escapes_and_speaks_of_the_listeners_port_whatever_port_host_names() {
    let world = world("{filters: [{type: RequestRedirect, requestRedirect: {}}]}");
    let rows = [
        ("http://h/a?b=c&d=%2F%20", "302 http://h/a?b=c&d=%2F%20"),
        ("http://h/a%20b%2Fc?", "302 http://h/a%20b%2Fc?"),
        ("http://h/?a?b", "302 http://h/?a?b"),
    ];
    for (url, location) in rows {
        assert_eq!(world.get(url, &[]), location, "{url}");
    }
    let odd = head(Version::HTTP_11, "GET", "/a", Some("h:12345"));
    let admitted = world.admitted("http", "h", "h", &odd).expect("it is admitted");
    let Decision::Answer(answer) = decide(&admitted, &odd, Turn::take) else { panic!("it is redirected") };
    assert_eq!(answer.headers[0].1, "http://h/a");
}

/// §9 item 22.
#[test]
fn repeated_headers_are_one_value_of_repeated_parameters_the_first_and_of_equal_matchers_the_first() {
    let rule = |matched: &str| format!("{{matches: [{{{matched}}}], backendRefs: [{{name: s, port: 80}}]}}");
    let headers = world(&rule("headers: [{name: X, value: 'a,b'}, {name: x, value: never}]"));
    assert_eq!(headers.get("http://h/", &["x: a", "x: b"]), "infra/s:80 /");
    assert_eq!(headers.get("http://h/", &["x: a,b"]), "infra/s:80 /");
    for wrong in [&["x: a"][..], &["x: b", "x: a"], &["x: never"], &[]] {
        assert_eq!(headers.get("http://h/", wrong), "404", "{wrong:?}");
    }
    let queries = world(&rule("queryParams: [{name: q, value: 'a b'}]"));
    for query in ["q=a+b", "q=a%20b&q=c", "%71=a%20b", "x&q=a+b"] {
        assert_eq!(queries.get(&format!("http://h/?{query}"), &[]), "infra/s:80 /", "{query}");
    }
    for query in ["q=c&q=a+b", "Q=a+b", "q=a%2Bb", ""] {
        assert_eq!(queries.get(&format!("http://h/?{query}"), &[]), "404", "{query}");
    }
}

/// §9 item 23: whole values, in time that grows with their length alone, and never on more than can be answered for.
#[test]
fn expressions_of_path_header_and_query_match_whole_values_and_are_safe_from_hostile_ones() {
    let rule = "{matches: [{path: {type: RegularExpression, value: '/(a+)+b'}, headers: [{name: x, type: RegularExpression, value: '(x|xx)+'}], queryParams: [{name: q, type: RegularExpression, value: '[0-9]+'}]}], backendRefs: [{name: s, port: 80}]}";
    let world = world(rule);
    assert_eq!(world.get("http://h/aab?q=12", &["x: xxx"]), "infra/s:80 /aab");
    for (url, header) in [
        ("http://h/aab/?q=12", "x: xxx"),
        ("http://h/x/aab?q=12", "x: xxx"),
        ("http://h/aab?q=12a", "x: xxx"),
        ("http://h/aab?q=12", "x: xxxy"),
    ] {
        assert_eq!(world.get(url, &[header]), "404", "{url} {header}");
    }
    let hostile = format!("http://h/{}", "a".repeat(8_000));
    assert_eq!(world.get(&hostile, &["x: x"]), "404", "(a+)+b against thousands of a");
    let long = "x".repeat(9_000);
    assert_eq!(world.get(&format!("http://h/{}b", "a".repeat(9_000)), &[]), "414");
    assert_eq!(world.get("http://h/ab?q=1", &[&format!("x: {long}")]), "431");
    assert_eq!(world.get(&format!("http://h/ab?q={}", "1".repeat(9_000)), &["x: x"]), "400");
    for bad in ["(", "(?=a)", "\\1", "a{99999}{99999}"] {
        let world = self::world(&format!(
            "{{matches: [{{path: {{type: RegularExpression, value: '{bad}'}}}}], backendRefs: [{{name: s, port: 80}}]}}"
        ));
        assert_eq!(world.condition("HTTPRoute infra/r", "Accepted"), "!UnsupportedValue", "{bad}");
    }
}

/// §9 item 59.
#[test]
fn of_more_than_two_equal_rules_the_first_wins_also_after_they_changed_places_and_within_a_rule_matches_share_it() {
    let rule = |to: &str| {
        format!("{{matches: [{{path: {{value: /p}}}}, {{path: {{value: /p}}}}], backendRefs: [{{name: {to}, port: 80}}]}}")
    };
    let mut world = world(&[rule("s"), rule("other"), rule("missing")].join(", "));
    assert_eq!(world.get("http://h/p", &[]), "infra/s:80 /p");
    for (order, expected) in [
        (["other", "s", "missing"], "infra/other:80 /p"),
        (["missing", "other", "s"], "500"),
        (["s", "missing", "other"], "infra/s:80 /p"),
    ] {
        let rules = order.map(rule).join(", ");
        world.put(&format!(
            "{{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {{name: r, namespace: infra}}, spec: {{parentRefs: [{{name: gw}}], rules: [{rules}]}}}}"
        ));
        assert_eq!(world.get("http://h/p", &[]), expected, "{order:?}");
    }
    let explained = world.explained("GET", "http://h/p", &[]);
    let met: Vec<_> = explained.candidates.iter().map(|candidate| (candidate.rule, candidate.index)).collect();
    assert_eq!(met, [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]);
}
