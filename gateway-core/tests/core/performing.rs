//! Filters: what is done to requests that a rule wins (`HTTPRouteFilter`, `HTTPRequestRedirectFilter`, `HTTPURLRewriteFilter`).

use gateway_core::compile::Options;
use gateway_core::support::{Capability, Support};

use super::certificates::secret;
use super::world::{World, options, service};

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

const BACKEND: &str = "backendRefs: [{name: s, port: 80}]";

/// HTTPRouteRedirectPortAndScheme.
#[test]
fn a_redirect_names_the_port_of_the_listener_unless_it_is_the_schemes_own() {
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

#[test]
fn what_answers_stands_alone() {
    let answer = "{type: DirectResponse, directResponse: {statusCode: 200}}";
    for rules in [
        format!("{{filters: [{answer}], {BACKEND}}}"),
        format!("{{filters: [{answer}, {{type: RequestRedirect, requestRedirect: {{port: 1}}}}]}}"),
    ] {
        assert_eq!(world(&rules).condition("HTTPRoute infra/r", "Accepted"), "!IncompatibleFilters", "{rules}");
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

#[test]
fn what_is_not_performed_is_refused_and_never_ignored() {
    let rows = [
        ("retry: {attempts: 2}, ", "retry"),
        ("timeouts: {request: 1s}, ", "timeouts"),
        ("sessionPersistence: {type: Cookie, cookie: {}}, ", "sessionPersistence"),
        ("filters: [{type: CORS, cors: {}}], ", "CORS"),
        ("filters: [{type: RequestMirror, requestMirror: {backendRef: {name: s, port: 80}}}], ", "RequestMirror"),
        ("filters: [{type: NobodyKnows}], ", "NobodyKnows"),
    ];
    for (what, named) in rows {
        let one = world(&format!("{{{what}{BACKEND}}}"));
        assert_eq!(one.condition("HTTPRoute infra/r", "Accepted"), "!UnsupportedValue", "{what}");
        assert!(one.message("HTTPRoute infra/r", "Accepted").contains(named));
        let among = world(&format!("{{matches: [{{path: {{value: /bad}}}}], {what}{BACKEND}}}, {{{BACKEND}}}"));
        assert_eq!(among.condition("HTTPRoute infra/r", "PartiallyInvalid"), "UnsupportedValue", "{what}");
        assert_eq!(among.get("http://h/bad", &[]), "500");
        assert_eq!(among.get("http://h/good", &[]), "infra/s:80 /good");
    }
    for fine in ["retry: {attempts: 0}, ", "timeouts: {request: 0s}, "] {
        let world = world(&format!("{{{fine}{BACKEND}}}"));
        assert_eq!(world.condition("HTTPRoute infra/r", "Accepted"), "Accepted", "{fine}");
        assert_eq!(world.get("http://h/", &[]), "infra/s:80 /");
    }
}

#[test]
fn replace_prefix_match_with_several_matches_drops_the_rule() {
    let world = world(&format!(
        "{{matches: [{{path: {{value: /a}}}}, {{path: {{value: /b}}}}], filters: [{{type: URLRewrite, urlRewrite: {{path: {{type: ReplacePrefixMatch, replacePrefixMatch: /c}}}}}}], {BACKEND}}}, {{{BACKEND}}}"
    ));
    assert_eq!(world.condition("HTTPRoute infra/r", "PartiallyInvalid"), "UnsupportedValue");
    assert_eq!(world.get("http://h/b", &[]), "500");
}

#[test]
fn a_mirror_that_leads_nowhere_is_reported_though_it_is_not_performed() {
    let world = world(&format!(
        "{{filters: [{{type: RequestMirror, requestMirror: {{backendRef: {{name: missing, port: 80}}}}}}], {BACKEND}}}"
    ));
    assert_eq!(world.condition("HTTPRoute infra/r", "ResolvedRefs"), "!BackendNotFound");
}

#[test]
fn a_data_plane_that_performs_less_gets_conditions_for_the_rest() {
    let support = Support::of(&[Capability::Http]);
    let rewrite = format!("{{filters: [{{type: URLRewrite, urlRewrite: {{hostname: x.example.org}}}}], {BACKEND}}}");
    let world = World::with(Options { support, ..options() }, &text(&rewrite));
    assert_eq!(world.condition("HTTPRoute infra/r", "Accepted"), "!UnsupportedValue");
    assert_eq!(world.condition("Gateway infra/gw#https", "Accepted"), "!UnsupportedProtocol");
}
