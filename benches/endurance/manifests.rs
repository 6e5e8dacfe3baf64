//! The manifests that are saved, as text.
//!
//! In: numbers. Out: documents. The same numbers give the same text.

use std::fmt::Write as _;

/// Routes in one file.
pub(crate) const EACH: usize = 100;

/// A Gateway on this port, and the one Service that has an endpoint.
pub(crate) fn gateway(port: u16) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {{name: pingora}}\n\
         spec: {{controllerName: pingora-gateway.dev/controller}}\n---\n\
         apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: web, namespace: test}}\n\
         spec:\n  gatewayClassName: pingora\n  listeners: [{{name: http, protocol: HTTP, port: {port}}}]\n---\n{}",
        service("here")
    )
}

/// The file of this number, of so many routes in all.
pub(crate) fn routes(file: usize, all: usize, version: usize) -> String {
    let mut text = String::new();
    for nth in file * EACH..all.min((file + 1) * EACH) {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: route-{nth}, namespace: test}}\n\
             spec:\n  parentRefs: [{{name: web}}]\n  hostnames: [{}]\n  rules:\n  - matches: [{{path: {{value: {}}}}}]\n    \
             filters: [{{type: RequestHeaderModifier, requestHeaderModifier: {{set: [{{name: X-Version, value: v{version}}}]}}}}]\n    \
             backendRefs: [{{name: service-{nth}, port: 80}}]\n---\n{}",
            host(nth),
            path(nth),
            service(&format!("service-{nth}")),
        );
    }
    text
}

/// The host of a route: five routes share one.
pub(crate) fn host(nth: usize) -> String {
    format!("host-{}.test", nth / 5)
}

/// The path of a route.
pub(crate) fn path(nth: usize) -> String {
    format!("/api/service-{nth}")
}

/// A route with a good rule, and one whose Service is missing.
pub(crate) fn saved(nth: usize) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: saved-{nth}, namespace: test}}\n\
         spec:\n  parentRefs: [{{name: web}}]\n  hostnames: [saved-{nth}.test]\n  rules:\n  \
         - matches: [{{path: {{value: /good}}}}]\n    backendRefs: [{{name: here, port: 80}}]\n  \
         - matches: [{{path: {{value: /missing}}}}]\n    backendRefs: [{{name: nowhere, port: 80}}]\n"
    )
}

fn service(name: &str) -> String {
    format!("apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: test}}\nspec: {{ports: [{{port: 80}}]}}\n")
}
