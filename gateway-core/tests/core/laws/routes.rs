//! Routes of every kind for the universe of the laws: few names, hosts and backends, so that they meet.

use proptest::collection::vec;
use proptest::prelude::*;

use super::filters::filters;
use super::{HOSTS, NAMESPACES, created, parents, pick};

/// What a rule of a route with matches asks, has and does.
#[derive(Clone, Debug)]
struct Rule {
    path: &'static str,
    method: Option<&'static str>,
    call: &'static str,
    backends: &'static str,
    http_backends: String,
    http_extra: String,
    grpc_extra: &'static str,
}

fn rule() -> impl Strategy<Value = Rule> {
    let path = pick(&[
        "{value: /}",
        "{value: /a}",
        "{value: /a/b}",
        "{type: Exact, value: /a}",
        "{type: RegularExpression, value: '/a.*'}",
        "{type: RegularExpression, value: '('}",
        "{type: Odd, value: /a}",
    ]);
    let call = pick(&[
        "",
        "matches: [{method: {service: a.B, method: Get}}], ",
        "matches: [{method: {service: .a.B}}], ",
        "matches: [{method: {method: Get}}, {headers: [{name: x, value: '1'}]}], ",
        "matches: [{method: {type: RegularExpression, service: 'a.*'}}], ",
        "matches: [{method: {type: RegularExpression, method: '('}}], ",
        "matches: [{method: {type: Odd, method: Get}}], ",
    ]);
    let backends = pick(&[
        "[]",
        "[{name: s1, port: 80}]",
        "[{name: s1, port: 80, weight: 3}, {name: s2, port: 80}]",
        "[{name: s2, namespace: two, port: 80}]",
        "[{name: s1, kind: Odd}]",
        "[{name: s1, port: 81}]",
        "[{group: gateway.networking.x-k8s.io, kind: XBackend, name: x1}, {name: s1, port: 80}]",
        "[{group: multicluster.x-k8s.io, kind: ServiceImport, name: i1, port: 80}]",
    ]);
    let target = (
        pick(&[
            "name: s1, port: 80",
            "name: s1, port: 80, weight: 3",
            "name: s2, port: 80",
            "name: s2, namespace: two, port: 80",
            "name: s1, kind: Odd",
            "name: s1, port: 81",
            "name: s2, port: 80, weight: 0",
            "group: gateway.networking.x-k8s.io, kind: XBackend, name: x1",
            "group: gateway.networking.x-k8s.io, kind: XBackend, name: x2",
            "group: multicluster.x-k8s.io, kind: ServiceImport, name: i1, port: 80",
        ]),
        filters(),
    );
    let http_backends = vec(target, 0..3).prop_map(|targets| {
        let targets: Vec<_> = targets.into_iter().map(|(target, filters)| format!("{{{filters}{target}}}")).collect();
        format!("[{}]", targets.join(", "))
    });
    let terms = pick(&[
        "",
        "",
        "",
        "name: named, ",
        "retry: {attempts: 0}, ",
        "retry: {attempts: 2, codes: [500], backoff: 1s}, ",
        "timeouts: {request: 2s, backendRequest: 0s}, ",
        "sessionPersistence: {cookie: {}}, ",
        "sessionPersistence: {cookie: {name: sid, lifetimeType: Permanent}, absoluteTimeout: 1h}, ",
        "sessionPersistence: {type: Header, header: {name: X-Session}}, ",
        "sessionPersistence: {type: Later}, ",
    ]);
    let http_extra = (terms, filters()).prop_map(|(terms, filters)| format!("{terms}{filters}"));
    let grpc_extra = pick(&[
        "",
        "",
        "name: first, ",
        "filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {remove: [x]}}], ",
        "filters: [{type: RequestMirror, requestMirror: {percent: 50, backendRef: {name: s2, port: 80}}}], ",
        "filters: [{type: Odd}], ",
        "sessionPersistence: {type: Header, header: {name: x}}, ",
    ]);
    (path, proptest::option::of(pick(&["GET", "PUT"])), call, backends, (http_backends, http_extra), grpc_extra).prop_map(
        |(path, method, call, backends, (http_backends, http_extra), grpc_extra)| Rule {
            path,
            method,
            call,
            backends,
            http_backends,
            http_extra,
            grpc_extra,
        },
    )
}

/// A route of any kind.
pub(super) fn route() -> impl Strategy<Value = String> {
    let kind =
        pick(&["HTTPRoute", "HTTPRoute", "HTTPRoute", "GRPCRoute", "GRPCRoute", "TLSRoute", "TLSRoute", "TCPRoute", "UDPRoute"]);
    let name = (pick(&["r1", "r2", "r3"]), pick(NAMESPACES), created());
    (kind, name, parents(), vec(pick(HOSTS), 0..3), vec(rule(), 1..3)).prop_map(
        |(kind, (name, namespace, created), parents, mut hosts, mut rules)| {
            hosts.sort_unstable();
            hosts.dedup();
            let mut text = format!(
                "apiVersion: gateway.networking.k8s.io/v1\nkind: {kind}\nmetadata: {{name: {name}, namespace: {namespace}{created}}}\nspec:\n{parents}"
            );
            match kind {
                "TLSRoute" if hosts.is_empty() => text += "  hostnames: [a.example.com]\n",
                "HTTPRoute" | "GRPCRoute" | "TLSRoute" => text += &format!("  hostnames: {hosts:?}\n"),
                _ => {}
            }
            // A GRPCRoute may be without rules, a stream has one, which has a backend.
            match kind {
                "GRPCRoute" if rules.iter().all(|rule| rule.backends == "[]") => rules.clear(),
                "HTTPRoute" | "GRPCRoute" => {}
                _ => rules.truncate(1),
            }
            text += if rules.is_empty() { "  rules: []\n" } else { "  rules:\n" };
            for (nth, Rule { path, method, call, backends, http_backends, http_extra, grpc_extra }) in rules.into_iter().enumerate() {
                let method = method.map_or_else(String::new, |method| format!(", method: {method}"));
                text += &match kind {
                    "HTTPRoute" => {
                        format!("  - {{{http_extra}matches: [{{path: {path}{method}}}], backendRefs: {http_backends}}}\n")
                    }
                    "GRPCRoute" => {
                        format!("  - {{{}{call}backendRefs: {backends}}}\n", grpc_extra.replace("first", &format!("rule-{nth}")))
                    }
                    _ if backends == "[]" => "  - {backendRefs: [{name: s2, port: 80}]}\n".to_owned(),
                    _ => format!("  - {{backendRefs: {backends}}}\n"),
                };
            }
            text
        },
    )
}
