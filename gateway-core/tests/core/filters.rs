//! Filters: what is done to requests that a rule wins (`HTTPRouteFilter`, `HTTPRequestRedirectFilter`, `HTTPURLRewriteFilter`).

use gateway_core::compile::Options;
use gateway_core::decide::Task;
use gateway_core::snapshot::filters::HeaderEdit;
use gateway_core::support::{Capability, Support};

use super::certificates::secret;
use super::world::{World, options, service, sign, signing};

fn text(rules: &str) -> String {
    format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: infra}}
spec:
  gatewayClassName: c
  listeners:
  - {{name: http, port: 80, protocol: HTTP}}
  - {{name: alt, port: 8080, protocol: HTTP}}
  - {{name: https, port: 443, protocol: HTTPS, tls: {{certificateRefs: [{{name: cert}}]}}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: r, namespace: infra}}
spec: {{parentRefs: [{{name: gw}}], rules: [{rules}]}}
{}{}",
        service("infra", "s", "10.0.0.1"),
        secret("infra", "cert", "h")
    )
}

fn world(rules: &str) -> World {
    World::of(&text(rules))
}

pub(crate) const BACKEND: &str = "backendRefs: [{name: s, port: 80}]";

#[test]
fn http_route_redirect_port_and_scheme_names_the_port_of_the_listener_unless_it_is_the_schemes_own() {
    let rows = [
        ("http://h", "", "http://h/p"),
        ("http://h", "port: 80", "http://h/p"),
        ("http://h", "port: 8080", "http://h:8080/p"),
        ("http://h", "scheme: https", "https://h/p"),
        ("http://h", "scheme: https, port: 443", "https://h/p"),
        ("http://h", "scheme: https, port: 8443", "https://h:8443/p"),
        ("http://h:8080", "", "http://h:8080/p"),
        ("http://h:8080", "port: 80", "http://h/p"),
        ("http://h:8080", "scheme: https", "https://h/p"),
        ("https://h", "", "https://h/p"),
        ("https://h", "port: 443", "https://h/p"),
        ("https://h", "port: 8443", "https://h:8443/p"),
        ("https://h", "scheme: http", "http://h/p"),
        ("https://h", "scheme: http, port: 80", "http://h/p"),
        ("https://h", "scheme: http, port: 8080", "http://h:8080/p"),
    ];
    for (from, redirect, location) in rows {
        let world = world(&format!("{{filters: [{{type: RequestRedirect, requestRedirect: {{{redirect}}}}}]}}"));
        assert_eq!(world.get(&format!("{from}/p"), &[]), format!("302 {location}"), "{from} with {redirect}");
    }
}

#[test]
fn a_redirect_keeps_the_query_and_replaces_host_path_and_status() {
    let filter = |redirect: &str| {
        format!("{{matches: [{{path: {{value: /old}}}}], filters: [{{type: RequestRedirect, requestRedirect: {{{redirect}}}}}]}}")
    };
    let full = world(&filter("hostname: example.org, statusCode: 308, path: {type: ReplaceFullPath, replaceFullPath: /new}"));
    assert_eq!(full.get("http://h/old/x?a=b%20c", &[]), "308 http://example.org/new?a=b%20c");
    let prefix = world(&filter("path: {type: ReplacePrefixMatch, replacePrefixMatch: /new/}"));
    assert_eq!(prefix.get("http://h/old/x", &[]), "302 http://h/new/x");
    assert_eq!(prefix.get("http://h/old", &[]), "302 http://h/new");
}

#[test]
fn a_rewrite_replaces_the_matched_prefix_or_the_whole_path_and_the_host() {
    let rewrite = |path: &str, more: &str| {
        format!(
            "{{matches: [{{path: {{value: /api/v1}}}}], filters: [{{type: URLRewrite, urlRewrite: {{{more}path: {path}}}}}], {BACKEND}}}"
        )
    };
    let strip = world(&rewrite("{type: ReplacePrefixMatch, replacePrefixMatch: /}", ""));
    assert_eq!(strip.get("http://h/api/v1/x", &[]), "infra/s:80 /x");
    assert_eq!(strip.get("http://h/api/v1", &[]), "infra/s:80 /");
    let full = world(&rewrite("{type: ReplaceFullPath, replaceFullPath: /one}", "hostname: inner.example.org, "));
    assert_eq!(full.get("http://h/api/v1/x", &[]), "infra/s:80 /one host=inner.example.org");
}

#[test]
fn a_backends_rewrite_starts_from_the_rewritten_request_and_its_edits_follow_the_rules() {
    let world = world(
        "{matches: [{path: {value: /a}}], filters: [
          {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X, value: rule}]}},
          {type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}}],
        backendRefs: [{name: s, port: 80, filters: [
          {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: W, value: backend}]}},
          {type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /c}}}]}]}",
    );
    assert_eq!(world.get("http://h/a/x", &[]), "infra/s:80 /c/x x=rule w=backend");
}

#[test]
fn a_direct_response_answers_inline_and_by_reference() {
    let inline = world("{filters: [{type: DirectResponse, directResponse: {statusCode: 200, body: healthy}}]}");
    assert_eq!(inline.get("http://h/", &[]), "200 healthy");
    let by_reference =
        "{filters: [{type: ExtensionRef, extensionRef: {group: pingora-gateway.dev, kind: DirectResponse, name: d}}]}";
    let mut world = world(by_reference);
    assert_eq!(world.get("http://h/", &[]), "500", "an unresolved filter is never skipped");
    assert_eq!(world.condition("HTTPRoute infra/r", "ResolvedRefs"), "!BackendNotFound");
    world.put("{apiVersion: pingora-gateway.dev/v1alpha1, kind: DirectResponse, metadata: {name: d, namespace: infra}, spec: {statusCode: 418, body: short and stout}}");
    assert_eq!(world.get("http://h/", &[]), "418 short and stout");
    assert_eq!(world.condition("HTTPRoute infra/r", "ResolvedRefs"), "ResolvedRefs");
}

/// HTTPRouteSpec: `RequestRedirect` and `URLRewrite` exclude each other, and a rule answers once.
#[test]
fn what_answers_stands_alone() {
    let answer = "{type: DirectResponse, directResponse: {statusCode: 200}}";
    for rules in [
        format!("{{filters: [{answer}], {BACKEND}}}"),
        format!("{{filters: [{answer}, {{type: RequestRedirect, requestRedirect: {{port: 1}}}}]}}"),
        format!(
            "{{backendRefs: [{{name: s, port: 80, filters: [{answer}, {{type: RequestRedirect, requestRedirect: {{}}}}]}}]}}"
        ),
    ] {
        assert_eq!(world(&rules).condition("HTTPRoute infra/r", "Accepted"), "!IncompatibleFilters", "{rules}");
    }
}

/// Filters with what is seen of them: at the backend (`None`: they answer), and whether they judge before rewrites and mirrors.
const FILTERS: [(&str, Option<&str>); 9] = [
    ("{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X, value: why}]}}", Some("x=why")),
    ("{type: ResponseHeaderModifier, responseHeaderModifier: {remove: [Server]}}", Some("response")),
    ("{type: URLRewrite, urlRewrite: {hostname: inner.example.org}}", Some("host=inner.example.org")),
    ("{type: RequestMirror, requestMirror: {backendRef: {name: copy, port: 80}}}", Some("mirror=infra/copy:80")),
    ("{type: CORS, cors: {allowOrigins: ['*']}}", Some("cors")),
    (AUTH, Some("auth=infra/guard:80")),
    ("{type: ExtensionRef, extensionRef: {group: example.com, kind: Sign, name: sign}}", Some("Sign infra/sign")),
    ("{type: RequestRedirect, requestRedirect: {}}", None),
    ("{type: DirectResponse, directResponse: {statusCode: 200}}", None),
];

pub(crate) const AUTH: &str =
    "{type: ExternalAuth, externalAuth: {protocol: HTTP, http: {path: /auth}, backendRef: {name: guard, port: 80}}}";

/// The services that filters refer to, and an extension filter.
fn with_company(rules: &str) -> String {
    let company = service("infra", "copy", "10.0.0.2") + &service("infra", "guard", "10.0.0.3");
    text(rules) + &company
}

pub(crate) fn company(rules: &str) -> World {
    performing(Support::ALL, rules)
}

/// The same for a data plane that performs less.
pub(crate) fn performing(support: Support, rules: &str) -> World {
    let mut world = World::with(Options { support, ..signing() }, &with_company(rules));
    world.apply([sign("sign")]);
    world
}

/// What is done, in order, of these filters: an authorization goes before the first rewrite or mirror of its list.
fn in_order(list: &[usize]) -> Vec<&'static str> {
    let mut order: Vec<usize> = Vec::new();
    for &filter in list {
        let is_later = |other: &usize| [2, 3].contains(other);
        let at = if filter == 5 { order.iter().position(is_later) } else { None };
        order.insert(at.unwrap_or(order.len()), filter);
    }
    order.into_iter().filter_map(|filter| FILTERS[filter].1).collect()
}

/// §9 item 28, and "All combinations must work except URLRewrite+RequestRedirect".
#[test]
fn every_combination_of_filters_is_performed_in_list_order_the_rules_before_the_backends() {
    for (one, (first, _)) in FILTERS.iter().enumerate().take(7) {
        for (other, (second, _)) in FILTERS.iter().enumerate().take(7) {
            let is_twice = one == other && ![3, 5, 6].contains(&one);
            if !is_twice {
                let world = company(&format!("{{filters: [{first}, {second}], {BACKEND}}}"));
                let done = ["infra/s:80 /p"].into_iter().chain(in_order(&[one, other])).collect::<Vec<_>>().join(" ");
                assert_eq!(world.get("http://h/p", &[]), done, "{first} then {second}");
                let world = company(&format!("{{backendRefs: [{{name: s, port: 80, filters: [{first}, {second}]}}]}}"));
                assert_eq!(world.get("http://h/p", &[]), done, "{first} then {second}, at the backend");
            }
            let world = company(&format!("{{filters: [{first}], backendRefs: [{{name: s, port: 80, filters: [{second}]}}]}}"));
            let both = in_order(&[one]).into_iter().chain(in_order(&[other]));
            let done = ["infra/s:80 /p"].into_iter().chain(both).collect::<Vec<_>>().join(" ");
            assert_eq!(world.get("http://h/p", &[]), done, "{first}, and {second} at the backend");
            assert_eq!(world.condition("HTTPRoute infra/r", "Accepted"), "Accepted");
            assert_eq!(world.condition("HTTPRoute infra/r", "ResolvedRefs"), "ResolvedRefs");
        }
    }
}

/// §4.6: "All combinations must work"; none is skipped, so that what denies is never passed by.
#[test]
fn what_answers_does_so_once_all_others_of_its_list_have_run_wherever_it_stands() {
    let seen =
        |world: &World| world.answered("GET", "http://h/p", &[]).tasks().map(|task| format!("{task:?}")).collect::<Vec<_>>();
    let redirect = FILTERS[7].0;
    for (index, (filter, _)) in FILTERS.iter().enumerate().take(7).filter(|(index, _)| *index != 2) {
        let before = company(&format!("{{filters: [{filter}, {redirect}]}}"));
        assert_eq!(before.get("http://h/p", &[]), "302 http://h/p", "{filter}");
        let concerns_responses = [1, 4].contains(&index);
        assert_eq!(seen(&before).len(), usize::from(!concerns_responses), "{filter}");
        let after = company(&format!("{{filters: [{redirect}, {filter}]}}"));
        assert_eq!(after.get("http://h/p", &[]), "302 http://h/p", "{filter}");
        assert_eq!(seen(&after), seen(&before), "{filter}");
        let at_backend =
            company(&format!("{{filters: [{filter}], backendRefs: [{{name: s, port: 80, filters: [{redirect}]}}]}}"));
        assert_eq!(at_backend.get("http://h/p", &[]), "302 http://h/p", "{filter}");
        assert_eq!(seen(&at_backend).len(), usize::from(!concerns_responses), "{filter}");
    }
}

#[test]
fn a_redirect_or_direct_response_at_a_backend_answers_exactly_its_share() {
    let at_backend = |filter: &str| {
        world(&format!(
            "{{backendRefs: [{{name: s, port: 80, weight: 3}}, {{name: s, port: 80, weight: 1, filters: [{filter}]}}]}}"
        ))
    };
    for (filter, answer) in [
        (
            "{type: RequestRedirect, requestRedirect: {hostname: new.example.org, path: {type: ReplacePrefixMatch, replacePrefixMatch: /n}}}",
            "302 http://new.example.org/n/p",
        ),
        ("{type: DirectResponse, directResponse: {statusCode: 200, body: soon}}", "200 soon"),
    ] {
        let world = at_backend(filter);
        let answers: Vec<_> = (0..400).map(|_| world.get("http://h/p", &[])).collect();
        assert_eq!(answers.iter().filter(|given| *given == answer).count(), 100);
        assert_eq!(answers.iter().filter(|given| *given == "infra/s:80 /p").count(), 300);
    }
    let invalid =
        world("{backendRefs: [{name: missing, port: 80, filters: [{type: DirectResponse, directResponse: {statusCode: 200}}]}]}");
    assert_eq!(invalid.get("http://h/p", &[]), "500", "an invalid reference is 500 always");
}

#[test]
fn different_filters_under_weights_stay_with_their_backends() {
    let world = company(&format!(
        "{{filters: [{{type: RequestHeaderModifier, requestHeaderModifier: {{set: [{{name: R, value: rule}}]}}}}], backendRefs: [
          {{name: s, port: 80, filters: [{{type: URLRewrite, urlRewrite: {{path: {{type: ReplacePrefixMatch, replacePrefixMatch: /one}}}}}}]}},
          {{name: copy, port: 80, filters: [{{type: URLRewrite, urlRewrite: {{path: {{type: ReplaceFullPath, replaceFullPath: /two}}}}}}, {}]}},
          {{name: guard, port: 80}}]}}",
        FILTERS[0].0
    ));
    let mut answers: Vec<_> = (0..3).map(|_| world.get("http://h/p", &[])).collect();
    answers.sort_unstable();
    assert_eq!(answers, ["infra/copy:80 /two r=rule x=why", "infra/guard:80 /p r=rule", "infra/s:80 /one/p r=rule"]);
}

/// HTTPHeaderFilter: names are case-insensitive; an edit is performed as set, then add, then remove.
#[test]
fn header_edits_are_handed_on_as_set_add_and_remove_with_the_first_of_equivalent_names() {
    let edits = "set: [{name: X, value: one}], add: [{name: A, value: two}, {name: B, value: three}], remove: [Gone]";
    for level in [
        format!("{{filters: [{{type: RequestHeaderModifier, requestHeaderModifier: {{{edits}}}}}], {BACKEND}}}"),
        format!(
            "{{backendRefs: [{{name: s, port: 80, filters: [{{type: RequestHeaderModifier, requestHeaderModifier: {{{edits}}}}}]}}]}}"
        ),
    ] {
        let forward = world(&level).forwarded("GET", "http://h/", &[]);
        let Some(Task::EditRequest(edits)) = forward.tasks().next() else { panic!("it is edited") };
        let names = |edits: &[HeaderEdit]| edits.iter().map(|edit| edit.name.to_string()).collect::<Vec<_>>();
        assert_eq!((names(&edits.set), names(&edits.add)), (vec!["x".to_owned()], vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(edits.remove[0], "gone");
    }
}

#[test]
fn what_frames_a_message_or_belongs_to_a_connection_is_not_for_filters_to_change() {
    for edit in [
        "set: [{name: Transfer-Encoding, value: chunked}]",
        "set: [{name: content-length, value: '0'}]",
        "add: [{name: Connection, value: close}]",
        "add: [{name: Host, value: other.example.org}]",
        "remove: [Upgrade]",
        "remove: [Host]",
        "set: [{name: Keep-Alive, value: x}]",
    ] {
        for kind in ["Request", "Response"] {
            let lower = kind.to_lowercase();
            let world =
                world(&format!("{{filters: [{{type: {kind}HeaderModifier, {lower}HeaderModifier: {{{edit}}}}}], {BACKEND}}}"));
            assert_eq!(world.condition("HTTPRoute infra/r", "Accepted"), "!UnsupportedValue", "{kind}: {edit}");
        }
    }
    let host = world(&format!(
        "{{filters: [{{type: RequestHeaderModifier, requestHeaderModifier: {{set: [{{name: Host, value: other}}]}}}}], {BACKEND}}}"
    ));
    assert_eq!(host.get("http://h/", &[]), "infra/s:80 / host=other", "a Host that is set is the authority");
}

/// §9 item 51: choice.
#[test]
fn response_header_changes_are_for_responses_of_backends_and_not_for_local_answers() {
    let edit = "{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: X, value: why}]}}";
    for answer in ["{type: RequestRedirect, requestRedirect: {}}", "{type: DirectResponse, directResponse: {statusCode: 200}}"] {
        let world = world(&format!("{{filters: [{edit}, {answer}]}}"));
        let answer = world.answered("GET", "http://h/", &[]);
        assert!(answer.headers.iter().all(|(name, _)| name != "x") && answer.tasks().count() == 0);
    }
}

#[test]
fn an_extension_ref_to_a_kind_nobody_knows_is_invalid_kind_and_500() {
    let world = world(&format!(
        "{{filters: [{{type: ExtensionRef, extensionRef: {{group: example.com, kind: Odd, name: x}}}}], {BACKEND}}}"
    ));
    assert_eq!(world.condition("HTTPRoute infra/r", "ResolvedRefs"), "!InvalidKind");
    assert_eq!(world.condition("HTTPRoute infra/r", "Accepted"), "Accepted");
    assert_eq!(world.get("http://h/", &[]), "500");
}

/// §9 item 20: a rule that asks for what the data plane lacks is dropped, and the message says so.
#[test]
fn what_is_not_performed_is_refused_and_never_ignored() {
    let support = Support::of(&[Capability::Http, Capability::Https]);
    let with = |rules: &str| World::with(Options { support, ..options() }, &text(rules));
    let rows = [
        ("retry: {attempts: 2}, ", "retry"),
        ("retry: {}, ", "retry"),
        ("timeouts: {request: 1s}, ", "timeouts.request"),
        ("timeouts: {backendRequest: 1s}, ", "timeouts.backendRequest"),
        ("sessionPersistence: {type: Cookie, cookie: {}}, ", "sessionPersistence"),
        ("filters: [{type: CORS, cors: {}}], ", "CORS"),
        ("filters: [{type: RequestMirror, requestMirror: {backendRef: {name: s, port: 80}}}], ", "RequestMirror"),
        (
            "filters: [{type: ExternalAuth, externalAuth: {protocol: HTTP, http: {}, backendRef: {name: s, port: 80}}}], ",
            "externalAuth.protocol HTTP",
        ),
        (
            "filters: [{type: ExternalAuth, externalAuth: {protocol: GRPC, grpc: {}, backendRef: {name: s, port: 80}}}], ",
            "externalAuth.protocol GRPC",
        ),
        (
            "filters: [{type: ExternalAuth, externalAuth: {protocol: LATER, backendRef: {name: s, port: 80}}}], ",
            "externalAuth.protocol LATER",
        ),
        ("filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {}}], ", "ResponseHeaderModifier"),
        ("filters: [{type: NobodyKnows}], ", "NobodyKnows"),
    ];
    for (what, named) in rows {
        let one = with(&format!("{{{what}{BACKEND}}}"));
        assert_eq!(one.condition("HTTPRoute infra/r", "Accepted"), "!UnsupportedValue", "{what}");
        assert_eq!(one.condition("HTTPRoute infra/r", "PartiallyInvalid"), "absent", "never on what is wholly invalid");
        assert!(one.message("HTTPRoute infra/r", "Accepted").contains(named), "{what}");
        let among = with(&format!("{{matches: [{{path: {{value: /bad}}}}], {what}{BACKEND}}}, {{{BACKEND}}}"));
        assert_eq!(among.condition("HTTPRoute infra/r", "Accepted"), "Accepted", "{what}");
        assert_eq!(among.condition("HTTPRoute infra/r", "PartiallyInvalid"), "UnsupportedValue", "{what}");
        assert!(among.message("HTTPRoute infra/r", "PartiallyInvalid").starts_with("Dropped Rule"), "{what}");
        assert_eq!(among.get("http://h/bad", &[]), "500");
        assert_eq!(among.get("http://h/good", &[]), "infra/s:80 /good");
    }
    for fine in ["retry: {attempts: 0}, ", "timeouts: {request: 0s, backendRequest: 0s}, "] {
        let world = with(&format!("{{{fine}{BACKEND}}}"));
        assert_eq!(world.condition("HTTPRoute infra/r", "Accepted"), "Accepted", "{fine}");
        assert_eq!(world.get("http://h/", &[]), "infra/s:80 /");
    }
    let at_backend = "{backendRefs: [{name: s, port: 80, filters: [{type: RequestHeaderModifier, requestHeaderModifier: {}}]}]}";
    assert_eq!(with(at_backend).condition("HTTPRoute infra/r", "Accepted"), "!UnsupportedValue");
}

#[test]
fn an_unknown_filter_is_unsupported_wherever_it_stands_and_whatever_is_performed() {
    for rules in [
        format!("{{filters: [{{type: NobodyKnows}}], {BACKEND}}}"),
        "{backendRefs: [{name: s, port: 80, filters: [{type: NobodyKnows}]}]}".to_owned(),
    ] {
        let world = world(&rules);
        assert_eq!(world.condition("HTTPRoute infra/r", "Accepted"), "!UnsupportedValue", "{rules}");
        assert_eq!(world.get("http://h/", &[]), "500", "what it was to do is not known");
    }
}

/// §9 item 20.
#[test]
fn a_rewrite_and_a_redirect_in_one_list_are_incompatible_and_their_rule_is_dropped() {
    let both = "[{type: RequestRedirect, requestRedirect: {}}, {type: URLRewrite, urlRewrite: {hostname: a.example.org}}]";
    let alone = world(&format!("{{filters: {both}}}"));
    assert_eq!(alone.condition("HTTPRoute infra/r", "Accepted"), "!IncompatibleFilters");
    let among = world(&format!("{{matches: [{{path: {{value: /bad}}}}], filters: {both}}}, {{{BACKEND}}}"));
    assert_eq!(among.condition("HTTPRoute infra/r", "Accepted"), "Accepted");
    assert_eq!(among.condition("HTTPRoute infra/r", "PartiallyInvalid"), "IncompatibleFilters");
    assert_eq!(among.get("http://h/bad", &[]), "500");
    assert_eq!(among.get("http://h/good", &[]), "infra/s:80 /good");
    let at_backend = world(&format!("{{backendRefs: [{{name: s, port: 80, filters: {both}}}]}}"));
    assert_eq!(at_backend.condition("HTTPRoute infra/r", "Accepted"), "!IncompatibleFilters");
}

#[test]
fn a_data_plane_that_performs_less_gets_conditions_for_the_rest() {
    let support = Support::of(&[Capability::Http]);
    let rewrite = format!("{{filters: [{{type: URLRewrite, urlRewrite: {{hostname: x.example.org}}}}], {BACKEND}}}");
    let world = World::with(Options { support, ..options() }, &text(&rewrite));
    assert_eq!(world.condition("HTTPRoute infra/r", "Accepted"), "!UnsupportedValue");
    assert_eq!(world.condition("Gateway infra/gw#https", "Accepted"), "!UnsupportedProtocol");
}
