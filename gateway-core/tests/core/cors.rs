//! Requests from other origins: preflights answered in the one walk, and what joins responses (`HTTPCORSFilter`, GEP-1767).

use gateway_core::decide::{Decision, Task};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::world::{World, service};

fn text(rules: &str) -> String {
    format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: infra}}
spec: {{gatewayClassName: c, listeners: [{{name: http, port: 80, protocol: HTTP}}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: r, namespace: infra}}
spec: {{parentRefs: [{{name: gw}}], rules: [{rules}]}}
{}{}",
        service("infra", "s", "10.0.0.1"),
        service("infra", "other", "10.0.0.2")
    )
}

fn with(cors: &str) -> World {
    World::of(&text(&format!("{{filters: [{{type: CORS, cors: {{{cors}}}}}], {TO_S}}}")))
}

const TO_S: &str = "backendRefs: [{name: s, port: 80}]";
const TO_OTHER: &str = "backendRefs: [{name: other, port: 80}]";
const LISTS: &str =
    "allowMethods: [GET, OPTIONS], allowHeaders: [x-header-1, x-header-2], exposeHeaders: [x-header-3, x-header-4]";

/// The headers of the answer to a preflight, sorted; `Err` with what happens else.
fn preflight(world: &World, path: &str, origin: &str, method: &str, headers: &str) -> Result<Vec<String>, String> {
    let mut sent = vec![format!("origin: {origin}"), format!("access-control-request-method: {method}")];
    if !headers.is_empty() {
        sent.push(format!("access-control-request-headers: {headers}"));
    }
    let sent: Vec<&str> = sent.iter().map(String::as_str).collect();
    match world.decision("OPTIONS", &format!("http://h{path}"), &sent) {
        Decision::Answer(answer) => {
            assert_eq!(answer.status, 204);
            assert!(answer.body.is_empty() && answer.tasks().count() == 0);
            Ok(lines(&answer.headers))
        }
        Decision::Forward(forward) => Err(forward.backend.name.to_string()),
        Decision::Refuse(refusal) => Err(refusal.reason.status().as_u16().to_string()),
    }
}

fn lines(headers: &[(HeaderName, HeaderValue)]) -> Vec<String> {
    let line = |(name, value): &(HeaderName, HeaderValue)| {
        format!("{}: {}", name.as_str().trim_start_matches("access-control-"), value.to_str().expect("visible ASCII"))
    };
    let mut lines: Vec<_> = headers.iter().map(line).collect();
    lines.sort_unstable();
    lines
}

/// What joins the response to an actual request, which is forwarded whatever its origin is.
fn actual(world: &World, origin: Option<&str>, response: &HeaderMap) -> Vec<String> {
    let sent = origin.map(|origin| format!("origin: {origin}"));
    let sent: Vec<&str> = sent.iter().map(String::as_str).collect();
    let forward = world.forwarded("GET", "http://h/", &sent);
    let mut tasks = forward.tasks();
    let Some(Task::Cors(cors, origin)) = tasks.next() else { panic!("the response is told to origins") };
    lines(&cors.response(origin, response))
}

/// HTTPRouteCORS: the table of a preflight's headers.
#[test]
fn a_preflight_from_an_allowed_origin_is_answered_with_the_configured_lists() {
    let world = with(&format!("allowOrigins: ['https://www.foo.com'], allowCredentials: true, {LISTS}, maxAge: 3600"));
    assert_eq!(
        preflight(&world, "/", "https://www.foo.com", "GET", "x-header-1, x-header-2"),
        Ok(vec![
            "allow-credentials: true".to_owned(),
            "allow-headers: x-header-1, x-header-2".to_owned(),
            "allow-methods: GET, OPTIONS".to_owned(),
            "allow-origin: https://www.foo.com".to_owned(),
            "expose-headers: x-header-3, x-header-4".to_owned(),
            "max-age: 3600".to_owned(),
            "vary: Origin".to_owned(),
        ])
    );
    let other = preflight(&world, "/", "https://www.foo.com", "DELETE", "x-other").expect("an answer");
    assert!(other.contains(&"allow-methods: GET, OPTIONS".to_owned()), "the browser decides: {other:?}");
}

/// §9 item 26: "default maxAge 5", and credentials are `true` or absent.
#[test]
fn max_age_is_5_unless_stated_and_credentials_are_never_false() {
    let world = with("allowOrigins: ['https://www.foo.com'], allowCredentials: false");
    assert_eq!(
        preflight(&world, "/", "https://www.foo.com", "GET", ""),
        Ok(vec!["allow-origin: https://www.foo.com".to_owned(), "max-age: 5".to_owned(), "vary: Origin".to_owned()])
    );
}

/// §9 item 26: "default port equivalence".
#[test]
fn origins_are_compared_by_scheme_host_and_effective_port_and_a_star_covers_labels_to_its_left() {
    let world =
        with("allowOrigins: ['https://www.foo.com', 'https://*.bar.com', 'http://*.baz.com:8080', 'https://plain.com:443']");
    for (origin, is_allowed) in [
        ("https://www.foo.com", true),
        ("https://WWW.foo.com:443", true),
        ("http://www.foo.com", false),
        ("https://foo.com", false),
        ("https://www.bar.com", true),
        ("https://xpto.www.bar.com", true),
        ("https://bar.com", false),
        ("http://a.b.baz.com:8080", true),
        ("http://a.baz.com", false),
        ("https://plain.com", true),
        ("null", false),
    ] {
        let headers = preflight(&world, "/", origin, "GET", "").expect("an answer");
        assert_eq!(headers.iter().any(|line| *line == format!("allow-origin: {origin}")), is_allowed, "{origin}: {headers:?}");
    }
}

#[test]
fn any_origin_is_a_star_without_credentials_and_the_origin_itself_with_them() {
    let (plain, trusted) = (with("allowOrigins: ['*']"), with("allowOrigins: ['*'], allowCredentials: true"));
    assert_eq!(preflight(&plain, "/", "https://a", "GET", ""), Ok(vec!["allow-origin: *".to_owned(), "max-age: 5".to_owned()]));
    let headers = preflight(&trusted, "/", "https://a", "GET", "").expect("an answer");
    assert_eq!(headers, ["allow-credentials: true", "allow-origin: https://a", "max-age: 5", "vary: Origin"]);
}

#[test]
fn a_star_for_methods_and_headers_is_said_without_credentials_and_echoed_with_them() {
    let any = "allowOrigins: ['https://a'], allowMethods: ['*'], allowHeaders: ['*']";
    let named = |world: &World, asked: &str| {
        let headers = preflight(world, "/", "https://a", "PUT", asked).expect("an answer");
        headers.into_iter().filter(|line| line.starts_with("allow-m") || line.starts_with("allow-h")).collect::<Vec<_>>()
    };
    let (plain, trusted) = (with(any), with(&format!("{any}, allowCredentials: true")));
    assert_eq!(named(&plain, "x-a, x-b"), ["allow-headers: *", "allow-methods: *"]);
    assert_eq!(named(&trusted, "x-a, x-b"), ["allow-headers: x-a, x-b", "allow-methods: PUT"]);
    assert_eq!(named(&trusted, ""), ["allow-methods: PUT"], "left out when nothing is asked for");
}

/// §9 item 26: "`*` exposeHeaders with credentials".
#[test]
fn exposed_headers_are_a_star_only_without_credentials() {
    let any = "allowOrigins: ['https://a'], exposeHeaders: ['*']";
    let (plain, trusted) = (with(any), with(&format!("{any}, allowCredentials: true")));
    let mut response = HeaderMap::new();
    for (name, value) in [("x-a", "1"), ("x-b", "2"), ("access-control-allow-origin", "*")] {
        response.insert(name, HeaderValue::from_static(value));
    }
    assert!(actual(&plain, Some("https://a"), &response).contains(&"expose-headers: *".to_owned()));
    let named = actual(&trusted, Some("https://a"), &response);
    assert!(
        named.iter().any(|line| ["expose-headers: x-a, x-b", "expose-headers: x-b, x-a"].contains(&line.as_str())),
        "{named:?}"
    );
    let asked = preflight(&trusted, "/", "https://a", "GET", "").expect("an answer");
    assert!(asked.iter().all(|line| !line.starts_with("expose")), "{asked:?}");
}

/// §10 row 12.
#[test]
fn a_foreign_origin_is_told_nothing_and_its_simple_request_is_forwarded_without_headers() {
    let world = with(&format!("allowOrigins: ['https://www.foo.com'], allowCredentials: true, {LISTS}"));
    assert_eq!(preflight(&world, "/", "https://evil.example", "GET", "x-header-1"), Ok(vec!["vary: Origin".to_owned()]));
    assert_eq!(actual(&world, Some("https://evil.example"), &HeaderMap::new()), ["vary: Origin"]);
    assert_eq!(actual(&world, None, &HeaderMap::new()), ["vary: Origin"], "a cache must not give it to others");
    let nobody = with("allowMethods: [GET]");
    assert_eq!(preflight(&nobody, "/", "https://a", "GET", ""), Ok(vec!["vary: Origin".to_owned()]), "no origin is allowed");
}

/// §9 item 26: "backend CORS headers overridden".
#[test]
fn an_allowed_origins_response_gets_the_gateways_headers_in_place_of_the_backends() {
    use gateway_core::snapshot::filters::Cors;
    let world = with(&format!("allowOrigins: ['https://www.foo.com'], allowCredentials: true, {LISTS}"));
    let headers = actual(&world, Some("https://www.foo.com"), &HeaderMap::new());
    let expected = [
        "allow-credentials: true",
        "allow-origin: https://www.foo.com",
        "expose-headers: x-header-3, x-header-4",
        "vary: Origin",
    ];
    assert_eq!(headers, expected, "what only preflights ask about is not said");
    for name in ["allow-origin", "allow-credentials", "allow-methods", "allow-headers", "expose-headers", "max-age"] {
        let name: HeaderName = format!("access-control-{name}").parse().expect("a name");
        assert!(Cors::REPLACED.contains(&name), "{name}");
    }
}

/// "Preflight = method OPTIONS + `Origin` + `Access-Control-Request-Method`. Non-CORS OPTIONS is forwarded."
#[test]
fn an_options_request_that_is_no_preflight_is_forwarded() {
    let world = with("allowOrigins: ['*']");
    for headers in [&[][..], &["origin: https://a"], &["access-control-request-method: GET"]] {
        assert_eq!(world.request("OPTIONS", "http://h/", headers), "infra/s:80 / cors", "{headers:?}");
    }
    let get = world.request("GET", "http://h/", &["origin: https://a", "access-control-request-method: GET"]);
    assert_eq!(get, "infra/s:80 / cors");
    let plain = World::of(&text(&format!("{{{TO_S}}}")));
    assert_eq!(preflight(&plain, "/", "https://a", "GET", ""), Err("infra/s:80".to_owned()), "a rule without CORS forwards it");
}

/// §9 item 26: "preflight on rules with method matches".
#[test]
fn a_preflight_meets_the_rule_of_the_request_it_asks_about() {
    let cors = |origin: &str| format!("filters: [{{type: CORS, cors: {{allowOrigins: ['https://{origin}']}}}}]");
    let rules = [
        format!("{{matches: [{{path: {{value: /m}}, method: PUT}}], {}, {TO_S}}}", cors("put")),
        format!("{{matches: [{{path: {{value: /m}}, method: GET}}], {}, {TO_S}}}", cors("get")),
        format!("{{matches: [{{path: {{value: /m}}, method: POST}}], {TO_OTHER}}}"),
        format!("{{matches: [{{path: {{value: /h}}, headers: [{{name: X-Team, value: red}}]}}], {}, {TO_S}}}", cors("red")),
        format!("{{matches: [{{path: {{value: /h}}, headers: [{{name: X-Other, value: '1'}}]}}], {TO_OTHER}}}"),
        format!("{{matches: [{{path: {{value: /h}}}}], {}, {TO_S}}}", cors("rest")),
        format!("{{matches: [{{path: {{value: /q}}, queryParams: [{{name: a, value: '1'}}]}}], {}, {TO_S}}}", cors("query")),
    ];
    let world = World::of(&text(&rules.join(", ")));
    let allowed = |path: &str, origin: &str, method: &str, headers: &str| {
        preflight(&world, path, &format!("https://{origin}"), method, headers)
            .map(|headers| headers.iter().any(|line| line.starts_with("allow-origin")))
    };
    assert_eq!(allowed("/m", "put", "PUT", ""), Ok(true));
    assert_eq!(allowed("/m", "put", "GET", ""), Ok(false), "that is another rule");
    assert_eq!(allowed("/m", "get", "GET", ""), Ok(true));
    assert_eq!(allowed("/m", "get", "get", ""), Err("404".to_owned()), "methods are exact");
    assert_eq!(allowed("/m", "get", "POST", ""), Err("404".to_owned()), "a rule without CORS has only its own method");
    assert_eq!(allowed("/h", "red", "GET", "accept, x-team"), Ok(true));
    assert_eq!(allowed("/h", "red", "GET", "accept"), Ok(false), "the header is not asked for");
    assert_eq!(allowed("/h", "rest", "GET", "x-other"), Ok(true), "a rule without CORS needs the header itself");
    assert_eq!(allowed("/q?a=1", "query", "GET", ""), Ok(true));
    assert_eq!(allowed("/q", "query", "GET", ""), Err("404".to_owned()), "a preflight has the query of the request");
}

/// The same where candidates are told apart by what they ask first.
#[test]
fn a_preflight_meets_its_rule_among_many_that_ask_for_headers() {
    let rule = |nth: usize| {
        format!(
            "{{matches: [{{headers: [{{name: X-N, value: '{nth}'}}, {{name: X-{nth}, value: '1'}}]}}], filters: [{{type: CORS, cors: {{allowOrigins: ['https://o{nth}']}}}}], {TO_S}}}"
        )
    };
    let world = World::of(&text(&(0..16).map(rule).collect::<Vec<_>>().join(", ")));
    for nth in [0, 7, 15] {
        let headers = preflight(&world, "/", &format!("https://o{nth}"), "GET", &format!("x-n, X-{nth}"));
        assert!(headers.is_ok_and(|headers| headers.contains(&format!("allow-origin: https://o{nth}"))), "{nth}");
    }
    assert_eq!(preflight(&world, "/", "https://o0", "GET", "x-n"), Err("404".to_owned()));
}

/// "explicit OPTIONS matches keep their rank".
#[test]
fn an_explicit_options_match_goes_before_a_rule_without_method() {
    let rules = [
        format!("{{filters: [{{type: CORS, cors: {{allowOrigins: ['*']}}}}], {TO_S}}}"),
        format!("{{matches: [{{method: OPTIONS}}], {TO_OTHER}}}"),
    ];
    let world = World::of(&text(&rules.join(", ")));
    assert_eq!(preflight(&world, "/", "https://a", "GET", ""), Err("infra/other:80".to_owned()));
}

/// "Run a rule's auth after CORS preflight handling": a preflight carries no credentials.
#[test]
fn a_preflight_is_answered_before_all_that_the_rule_does_and_whatever_its_backends_are() {
    let auth = "{type: ExternalAuth, externalAuth: {protocol: HTTP, http: {}, backendRef: {name: other, port: 80}}}";
    let cors = "{type: CORS, cors: {allowOrigins: ['*']}}";
    for rules in [
        format!("{{filters: [{auth}, {cors}], {TO_S}}}"),
        format!("{{filters: [{cors}], backendRefs: [{{name: missing, port: 80}}]}}"),
        format!("{{filters: [{cors}, {{type: RequestRedirect, requestRedirect: {{}}}}]}}"),
        format!("{{filters: [{{type: RequestRedirect, requestRedirect: {{}}}}, {cors}]}}"),
    ] {
        let headers = preflight(&World::of(&text(&rules)), "/", "https://a", "GET", "");
        assert_eq!(headers, Ok(vec!["allow-origin: *".to_owned(), "max-age: 5".to_owned()]), "{rules}");
    }
}

#[test]
fn the_answer_of_a_filter_is_readable_for_allowed_origins() {
    for order in [
        "{type: CORS, cors: {allowOrigins: ['https://a']}}, {type: RequestRedirect, requestRedirect: {}}",
        "{type: RequestRedirect, requestRedirect: {}}, {type: CORS, cors: {allowOrigins: ['https://a']}}",
    ] {
        let world = World::of(&text(&format!("{{filters: [{order}]}}")));
        let headers = |origin: &str| lines(&world.answered("GET", "http://h/", &[origin]).headers);
        assert_eq!(headers("origin: https://a"), ["allow-origin: https://a", "location: http://h/", "vary: Origin"], "{order}");
        assert_eq!(headers("origin: https://b"), ["location: http://h/", "vary: Origin"], "{order}");
    }
}

#[test]
fn cors_at_a_backend_answers_the_preflights_of_its_share() {
    let rules = "{matches: [{method: GET}], backendRefs: [{name: s, port: 80, filters: [{type: CORS, cors: {allowOrigins: ['*']}}]}, {name: other, port: 80}]}";
    let world = World::of(&text(rules));
    let mut answers = [0, 1].map(|_| preflight(&world, "/", "https://a", "GET", "").map(|headers| headers.len()));
    answers.sort_unstable();
    assert_eq!(answers, [Ok(2), Err("infra/other:80".to_owned())]);
}

#[test]
fn preflights_and_origins_are_explained() {
    let world = with("allowOrigins: ['https://a']");
    let asked = ["origin: https://a", "access-control-request-method: PUT"];
    let explanation = world.explained("OPTIONS", "http://h/", &asked);
    assert!(explanation.to_string().contains("answered 204"), "{explanation}");
    assert_eq!(explanation.terms, ["it is a preflight, and the origin https://a is allowed"]);
    assert_eq!(
        world.explained("OPTIONS", "http://h/", &["origin: https://b", asked[1]]).terms,
        ["it is a preflight, and the origin https://b is not allowed"]
    );
    assert_eq!(world.explained("GET", "http://h/", &asked[..1]).steps, ["the origin https://a may read the response"]);
    assert_eq!(
        world.explained("GET", "http://h/", &["origin: https://b"]).steps,
        ["the origin https://b may not read the response"]
    );
}
