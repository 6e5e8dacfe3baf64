//! Admitted requests and their rules, over snapshots made by hand: heads in, decisions out.

use http::request::Parts;

use super::*;
use crate::admit::admit;
use crate::admit::fixture::{arrival, head, tls_arrival};
use crate::snapshot::filters::{DirectResponse, PathRewrite, Redirect};
use crate::snapshot::fixture::{listener, marker, path, rule, snapshot, socket, tls_listener};
use crate::snapshot::matching::Match;
use crate::snapshot::{
    BackendId, BackendName, BackendProtocol, Carrier, Place, Snapshot, Source, Split, Target, TargetAction, Writer,
};

fn decided(snapshot: &Arc<Snapshot>, head: &Parts) -> Decision {
    decide(&admit(snapshot, &arrival(), head).unwrap(), head, Turn::take)
}

/// The name of the marker rule that wins, or the reason for a refusal.
fn winner(snapshot: &Arc<Snapshot>, request: &str) -> String {
    match decided(snapshot, &head(request)) {
        Decision::Refuse(Refusal { rule: Some(rule), .. }) => rule.id.route.name.name().to_owned(),
        Decision::Refuse(Refusal { reason, .. }) => reason.status().as_u16().to_string(),
        Decision::Answer(answer) => panic!("{answer:?}"),
        Decision::Forward(forward) => panic!("{forward:?}"),
    }
}

fn with(candidates: Vec<(Option<&str>, Match)>) -> Arc<Snapshot> {
    let routes: Vec<(Place, Arc<Match>)> = candidates.into_iter().map(|(host, candidate)| candidate.at("a", host)).collect();
    snapshot([listener("a", None)], routes)
}

fn on(written: &str, name: &str) -> Match {
    path(written, &marker(name))
}

#[test]
fn an_exact_path_is_matched_byte_for_byte() {
    let snapshot = with(vec![(None, on("=/one", "one")), (None, on("=/two/", "two"))]);
    let rows = [("/one", "one"), ("/one/", "404"), ("/ONE", "404"), ("/one/x", "404"), ("/two", "404"), ("/two/", "two")];
    for (path, expected) in rows {
        assert_eq!(winner(&snapshot, &format!("GET a.example{path}")), expected, "{path}");
    }
    assert_eq!(winner(&snapshot, "GET a.example/one?x=/two/"), "one", "the query is no part of the path");
}

#[test]
fn a_prefix_is_matched_by_elements() {
    let snapshot = with(vec![(None, on("/v2/", "v2")), (None, on("/v2/example/deep", "deep"))]);
    let rows = [
        ("/v2", "v2"),
        ("/v2/", "v2"),
        ("/v2/example", "v2"),
        ("/v2example", "404"),
        ("/", "404"),
        ("/V2", "404"),
        ("/v2/example/deep/", "deep"),
        ("/v2/example/deeper", "v2"),
        ("/v2%2Fexample", "404"),
        ("/v2//example//deep", "deep"),
    ];
    for (path, expected) in rows {
        assert_eq!(winner(&snapshot, &format!("GET a.example{path}")), expected, "{path}");
    }
}

#[test]
fn exact_goes_before_expressions_and_these_before_prefixes() {
    let snapshot = with(vec![
        (None, on("/", "root")),
        (None, on("/a/b/c", "prefix")),
        (None, on("~/a/.*", "short")),
        (None, on("~/a/[b-y]/.*", "long")),
        (None, on("=/a/b/c", "exact")),
    ]);
    let rows = [("/a/b/c", "exact"), ("/a/b/c/d", "long"), ("/a/z/c", "short"), ("/b", "root")];
    for (path, expected) in rows {
        assert_eq!(winner(&snapshot, &format!("GET a.example{path}")), expected, "{path}");
    }
}

#[test]
fn method_goes_before_headers_and_headers_before_query_parameters() {
    let snapshot = with(vec![
        (None, on("/", "query").with_query("q", "1").with_query("r", "1")),
        (None, on("/", "header").with_header("version", "1")),
        (None, on("/", "headers").with_header("version", "1").with_header("colour", "blue")),
        (None, on("/", "method").with_method("GET")),
        (None, on("/x", "path")),
        (None, on("/", "any")),
    ]);
    assert_eq!(winner(&snapshot, "GET a.example/?q=1&r=1\nversion: 1"), "method");
    assert_eq!(winner(&snapshot, "PUT a.example/?q=1&r=1\nversion: 1"), "header");
    assert_eq!(winner(&snapshot, "PUT a.example/?q=1&r=1\nversion: 1\ncolour: blue"), "headers");
    assert_eq!(winner(&snapshot, "PUT a.example/?q=1&r=1\nversion: 2"), "query");
    assert_eq!(winner(&snapshot, "PUT a.example/?q=1"), "any");
    assert_eq!(winner(&snapshot, "GET a.example/x"), "path");
    assert_eq!(winner(&snapshot, "HEAD a.example/"), "any", "HEAD is not GET");
}

#[test]
fn of_equal_matches_the_older_route_wins_then_the_first_by_name() {
    let snapshot = with(vec![
        (None, on("/a", "younger").with_age(2)),
        (None, on("/a", "older").with_age(1)),
        (None, on("/b", "b").with_age(1)),
        (None, on("/b", "a").with_age(1)),
    ]);
    assert_eq!(winner(&snapshot, "GET a.example/a"), "older");
    assert_eq!(winner(&snapshot, "GET a.example/b"), "a");
}

#[test]
fn the_host_name_as_written_goes_before_all_and_falls_through() {
    let snapshot = with(vec![
        (Some("*.example.com"), on("/path/prefix", "wildcard").with_header("b", "1")),
        (Some("abc.example.com"), on("/path", "exact").with_header("a", "1")),
        (Some("*.com"), on("/path/prefix/longer", "short")),
        (None, on("=/path/prefix/longer", "none")),
    ]);
    let at = |headers: &str| winner(&snapshot, &format!("GET abc.example.com/path/prefix/longer\n{headers}"));
    assert_eq!(at("a: 1\nb: 1"), "exact");
    assert_eq!(at("b: 1"), "wildcard");
    assert_eq!(at("c: 1"), "short");
    assert_eq!(winner(&snapshot, "GET abc.example.org/path/prefix/longer"), "none");
    assert_eq!(winner(&snapshot, "GET 10.0.0.1/path/prefix/longer"), "none");
}

#[test]
fn routes_of_a_less_specific_listener_are_never_tried() {
    let listeners = [listener("any", None), listener("wild", Some("*.example.com"))];
    let routes = [on("/any", "any").at("any", None), on("/wild", "wild").at("wild", None)];
    let snapshot = snapshot(listeners, routes);
    let rows =
        [("bar.com/any", "any"), ("bar.com/wild", "404"), ("bar.example.com/any", "404"), ("bar.example.com/wild", "wild")];
    for (target, expected) in rows {
        assert_eq!(winner(&snapshot, &format!("GET {target}")), expected, "{target}");
    }
}

#[test]
fn a_header_sent_several_times_is_compared_as_joined() {
    let snapshot = with(vec![
        (None, on("/exact", "exact").with_header("x", "a,b")),
        (None, on("/expression", "expression").with_header("x", "~a,[b-d]")),
    ]);
    for path in ["exact", "expression"] {
        for headers in ["x: a,b", "x: a\nx: b", "X: a\nx: b"] {
            assert_eq!(winner(&snapshot, &format!("GET a.example/{path}\n{headers}")), path, "{headers:?}");
        }
        for headers in ["", "x: a", "x: b\nx: a", "x: a\nx: b\nx: c", "x: a, b", "x: A,b"] {
            assert_eq!(winner(&snapshot, &format!("GET a.example/{path}\n{headers}")), "404", "{headers:?}");
        }
    }
}

#[test]
fn a_header_match_on_host_is_about_the_authority() {
    let snapshot = with(vec![(None, on("/", "host").with_header("host", "~a[.]example(:[0-9]+)?"))]);
    assert_eq!(winner(&snapshot, "GET a.example:8080/"), "host");
    assert_eq!(winner(&snapshot, "GET b.example/"), "404");
    let mut http2 = head("GET a.example/");
    http2.version = http::Version::HTTP_2;
    http2.headers.clear();
    http2.uri = "http://a.example/".parse().unwrap();
    assert!(matches!(decided(&snapshot, &http2), Decision::Refuse(Refusal { rule: Some(_), .. })));
}

#[test]
fn the_first_value_of_a_query_parameter_counts_without_its_escapes() {
    let snapshot = with(vec![
        (None, on("/", "whale").with_query("animal", "whale")),
        (None, on("/", "spaced").with_query("a b", "c+d é")),
        (None, on("/", "number").with_query("n", "~[0-9]+")),
        (None, on("/", "empty").with_query("flag", "")),
    ]);
    let rows = [
        ("animal=whale", "whale"),
        ("x=1&&animal=whale&animal=dog", "whale"),
        ("animal=dog&animal=whale", "404"),
        ("ANIMAL=whale", "404"),
        ("animal=Whale", "404"),
        ("%61nimal=w%68ale", "whale"),
        ("a+b=c%2Bd+%C3%A9", "spaced"),
        ("a%20b=c%2bd%20%c3%a9", "spaced"),
        ("n=%31%32", "number"),
        ("n=1x", "404"),
        ("flag", "empty"),
        ("flag=", "empty"),
        ("flag=1", "404"),
        ("animal=whale%", "404"),
    ];
    for (query, expected) in rows {
        assert_eq!(winner(&snapshot, &format!("GET a.example/?{query}")), expected, "{query}");
    }
}

#[test]
fn many_candidates_of_one_place_are_told_apart() {
    let mut candidates = Vec::new();
    for n in 0..60 {
        candidates.push((None, on("/", &format!("header-{n}")).with_header(&format!("h-{n}"), "1").with_header("all", "1")));
        candidates.push((None, on("/", &format!("query-{n}")).with_query(&format!("q {n}"), "1")));
        candidates.push((None, on("/", &format!("value-{n}")).with_header("value", &n.to_string())));
    }
    let snapshot = with(candidates);
    for n in 0..60 {
        assert_eq!(winner(&snapshot, &format!("GET a.example/\nall: 1\nh-{n}: 1")), format!("header-{n}"));
        assert_eq!(winner(&snapshot, &format!("GET a.example/?q+{n}=1&q+{n}=2")), format!("query-{n}"));
        assert_eq!(winner(&snapshot, &format!("GET a.example/\nvalue: {n}")), format!("value-{n}"));
        assert_eq!(winner(&snapshot, &format!("GET a.example/?q+{n}=2\nvalue: x{n}")), "404");
    }
}

#[test]
fn an_expression_is_never_tried_beyond_8_kib_and_nothing_falls_through() {
    let snapshot = with(vec![
        (None, on("~/files/.*", "path")),
        (None, on("/h", "header").with_header("x", "~.*")),
        (None, on("/q", "query").with_query("x", "~.*")),
        (None, on("/", "any")),
    ]);
    let long = "a".repeat(9000);
    assert_eq!(winner(&snapshot, &format!("GET a.example/files/{long}")), "414");
    assert_eq!(winner(&snapshot, &format!("GET a.example/other/{long}")), "any", "it need not be tried");
    assert_eq!(winner(&snapshot, &format!("GET a.example/h\nx: {long}")), "431");
    let (half, rest) = long.split_at(5000);
    assert_eq!(winner(&snapshot, &format!("GET a.example/h\nx: {half}\nx: {rest}")), "431");
    assert_eq!(winner(&snapshot, &format!("GET a.example/q?x={long}")), "400");
    assert_eq!(winner(&snapshot, &format!("GET a.example/q?x=%61{long}")), "400");
    assert_eq!(winner(&snapshot, &format!("GET a.example/q?y={long}")), "any");
}

#[test]
fn the_server_as_a_whole_has_no_rule() {
    let snapshot = with(vec![(None, on("/", "any")), (None, on("~.*", "expression"))]);
    let mut head = head("OPTIONS a.example/");
    head.uri = "*".parse().unwrap();
    let Decision::Refuse(refusal) = decided(&snapshot, &head) else { panic!() };
    assert_eq!(refusal.reason, Reason::NoRule);
}

#[test]
fn the_location_of_a_redirect_names_the_port_unless_it_is_the_schemes_own() {
    // (listener's port, scheme of the redirect, port of the redirect, expected)
    let rows = [
        (80, None, None, "http://a.example/x"),
        (80, None, Some(80), "http://a.example/x"),
        (80, None, Some(8080), "http://a.example:8080/x"),
        (80, Some("https"), None, "https://a.example/x"),
        (80, Some("https"), Some(443), "https://a.example/x"),
        (80, Some("https"), Some(8443), "https://a.example:8443/x"),
        (8080, None, None, "http://a.example:8080/x"),
        (8080, None, Some(80), "http://a.example/x"),
        (8080, Some("https"), None, "https://a.example/x"),
        (443, None, None, "https://a.example/x"),
        (443, None, Some(443), "https://a.example/x"),
        (443, None, Some(8443), "https://a.example:8443/x"),
        (443, Some("http"), None, "http://a.example/x"),
        (443, Some("http"), Some(80), "http://a.example/x"),
        (443, Some("http"), Some(8080), "http://a.example:8080/x"),
    ];
    for (listener_port, scheme, port, expected) in rows {
        let redirect = Redirect { scheme: scheme.map(Into::into), port, ..redirect() };
        assert_eq!(location(listener_port, "GET a.example:1234/x", redirect), expected);
    }
}

fn redirect() -> Redirect {
    Redirect { status: StatusCode::FOUND, scheme: None, hostname: None, port: None, path: None }
}

fn location(port: u16, request: &str, redirect: Redirect) -> String {
    let on_port = if port == 443 { tls_listener("a", None) } else { listener("a", None) };
    let listener = Listener { port, ..on_port };
    let rule = Arc::new(rule("redirect", 0, Action::Reply(Reply::Redirect(redirect))));
    let snapshot = snapshot([listener], [path("/x", &rule).at("a", None)]);
    let arrival = if port == 443 { tls_arrival(None) } else { crate::admit::Arrival { socket: socket(port), tls: None } };
    let head = head(request);
    let Decision::Answer(answer) = decide(&admit(&snapshot, &arrival, &head).unwrap(), &head, Turn::take) else { panic!() };
    assert_eq!(answer.status, StatusCode::FOUND);
    answer.headers[0].1.to_str().unwrap().to_owned()
}

#[test]
fn a_redirect_keeps_the_query_and_replaces_what_it_says() {
    let host = || Redirect { hostname: Some("b.example".into()), ..redirect() };
    let full = || Redirect { path: Some(PathRewrite::Full("/full".into())), ..redirect() };
    let prefix = || Redirect { path: Some(PathRewrite::Prefix("/y".into())), ..redirect() };
    let rows = [
        ("GET A.example/x?q=1&r=%20", redirect(), "http://a.example/x?q=1&r=%20"),
        ("GET a.example/x/z", host(), "http://b.example/x/z"),
        ("GET [::1]:80/x", redirect(), "http://[::1]/x"),
        ("GET a.example/x/z?q", full(), "http://a.example/full?q"),
        ("GET a.example/x/z?q", prefix(), "http://a.example/y/z?q"),
        ("GET a.example//x/./z", redirect(), "http://a.example/x/z"),
        ("GET a.example/x/%2f%c3%a9", redirect(), "http://a.example/x/%2F%C3%A9"),
        ("GET a.example/x?é", redirect(), "http://a.example/x?%C3%A9"),
    ];
    for (request, redirect, expected) in rows {
        assert_eq!(location(80, request, redirect), expected, "{request}");
    }
}

#[test]
fn what_a_redirect_says_cannot_end_the_header() {
    let injecting = Redirect { path: Some(PathRewrite::Full("/a\r\nset-cookie: b".into())), ..redirect() };
    assert_eq!(location(80, "GET a.example/x", injecting), "http://a.example/a%0D%0Aset-cookie:%20b");
}

#[test]
fn without_any_host_a_redirect_is_a_path() {
    let rule = Arc::new(rule("redirect", 0, Action::Reply(Reply::Redirect(redirect()))));
    let snapshot = snapshot([listener("a", None)], [path("/x", &rule).at("a", None)]);
    let mut head = head("GET a.example/x?q");
    head.version = http::Version::HTTP_10;
    head.headers.clear();
    let Decision::Answer(answer) = decided(&snapshot, &head) else { panic!() };
    assert_eq!(answer.headers, [(header::LOCATION, HeaderValue::from_static("/x?q"))]);
}

#[test]
fn a_direct_response_is_given_as_it_stands() {
    let response = |body: &'static str| DirectResponse {
        status: StatusCode::IM_A_TEAPOT,
        content_type: HeaderValue::from_static("text/plain"),
        body: Bytes::from_static(body.as_bytes()),
    };
    for (body, headers) in [("hello", 1), ("", 0)] {
        let rule = Arc::new(rule("respond", 0, Action::Reply(Reply::Respond(Arc::new(response(body))))));
        let snapshot = snapshot([listener("a", None)], [path("/", &rule).at("a", None)]);
        let Decision::Answer(answer) = decided(&snapshot, &head("GET a.example/")) else { panic!() };
        assert_eq!((answer.status, answer.headers.len(), &*answer.body), (StatusCode::IM_A_TEAPOT, headers, body.as_bytes()));
    }
}

/// A route to these backends; a backend without endpoints is given as 0 of them, and an invalid reference as `None`.
fn forwarding(targets: &[(Option<usize>, u32)], turn: Option<Arc<Turn>>) -> Arc<Snapshot> {
    let mut writer = Writer::new(1);
    writer.put_listener(Arc::new(listener("a", None)), &[socket(80)]);
    let mut split = Vec::new();
    for (n, (endpoints, weight)) in targets.iter().enumerate() {
        let id = BackendId(n as u32);
        if let Some(endpoints) = endpoints {
            let name = BackendName::service(ObjectName::new("test", &n.to_string()), 80);
            let endpoints = (0..*endpoints).map(|n| format!("10.0.0.{n}:80").parse().unwrap()).collect();
            let protocol = BackendProtocol::Http1;
            writer.put_backend(Arc::new(Backend {
                id,
                name,
                protocol,
                security: crate::snapshot::Security::Clear,
                endpoints,
                persistence: None,
                retry_budget: None,
            }));
        }
        let action = endpoints.map_or_else(|| TargetAction::Fail("no Service".into()), |_| TargetAction::Forward(id));
        split.push((Target::new(action), *weight));
    }
    let rule = Arc::new(rule("forward", 0, Action::Forward(Split::new(split, turn))));
    let (place, candidate) = path("/a", &rule).at("a", None);
    writer.add(place, candidate);
    writer.commit()
}

#[test]
fn the_sessions_of_an_xbackend_go_before_those_of_the_rule_and_those_before_a_policys() {
    let stated = |source: Source| {
        Some(Arc::new(Persistence { source, carrier: Carrier::Header(HeaderName::from_static("x")), lifetime: None }))
    };
    let snapshot = forwarding(&[(Some(1), 1)], None);
    let rows = [
        (None, None, None),
        (None, Some(Source::Policy), Some(Source::Policy)),
        (Some(Source::Rule), None, Some(Source::Rule)),
        (Some(Source::Rule), Some(Source::Policy), Some(Source::Rule)),
        (Some(Source::Rule), Some(Source::Backend), Some(Source::Backend)),
    ];
    for (rule, of_backend, wins) in rows {
        let target = Target { persistence: rule.and_then(stated), ..Target::new(TargetAction::Forward(BackendId(0))) };
        let known = Backend::clone(snapshot.backend(BackendId(0)).unwrap());
        let backend = Backend { persistence: of_backend.and_then(stated), ..known };
        assert_eq!(
            Persistence::holding(target.persistence.as_ref(), backend.persistence.as_ref()).map(|stated| stated.source),
            wins,
            "{rule:?} {of_backend:?}"
        );
    }
}

#[test]
fn requests_are_shared_by_weight_and_an_invalid_reference_takes_its_share_of_500s() {
    let turn = Arc::new(Turn::default());
    let snapshot = forwarding(&[(Some(1), 2), (None, 1), (Some(0), 1)], Some(Arc::clone(&turn)));
    let mut seen = [0; 3];
    for _ in 0..400 {
        match decided(&snapshot, &head("GET a.example/a/b")) {
            Decision::Forward(forward) => {
                assert_eq!((forward.matched_prefix, forward.tasks().count()), (2, 0));
                seen[0] += 1;
            }
            Decision::Refuse(refusal) if refusal.reason == Reason::InvalidBackend("no Service".into()) => seen[1] += 1,
            Decision::Refuse(refusal) if refusal.reason == Reason::NoEndpoint => seen[2] += 1,
            Decision::Refuse(refusal) => panic!("{refusal:?}"),
            Decision::Answer(answer) => panic!("{answer:?}"),
        }
    }
    assert_eq!((seen, turn.peek()), ([200, 100, 100], 400));
}

#[test]
fn a_lone_target_takes_no_turn() {
    let turn = Arc::new(Turn::default());
    let snapshot = forwarding(&[(Some(1), 7)], Some(Arc::clone(&turn)));
    assert!(matches!(decided(&snapshot, &head("GET a.example/a")), Decision::Forward(_)));
    assert_eq!(turn.peek(), 0);
}

#[test]
fn a_rule_without_targets_answers_500() {
    let Decision::Refuse(refusal) = decided(&forwarding(&[], None), &head("GET a.example/a")) else { panic!() };
    assert_eq!(refusal.reason.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(refusal.rule.is_some() && refusal.listener.is_some());
}
