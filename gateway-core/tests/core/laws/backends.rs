//! Backends that are no Services with EndpointSlices, for the universe of the laws.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::super::certificates::secret;
use super::{NAMESPACES, pick};

/// Made once: keys take time.
static CLIENT: LazyLock<String> = LazyLock::new(|| secret("one", "client", "client.example"));

/// Sessions, or none.
const SESSIONS: &[&str] = &[
    "",
    ", sessionPersistence: {type: Cookie, cookie: {name: kept}}",
    ", sessionPersistence: {type: Cookie, cookie: {name: sid}}",
    ", sessionPersistence: {type: Header, header: {name: X-Kept}}",
    ", sessionPersistence: {type: Cookie, cookie: {lifetimeType: Permanent}}",
];

fn xbackend() -> impl Strategy<Value = String> {
    let what = pick(&[
        "type: EndpointSelector, endpointSelector: {matchLabels: {app: a}}, port: {number: 8080}",
        "type: ExternalHostname, externalHostname: {hostname: a.example}, port: {number: 443}",
        "type: ExternalHostname, externalHostname: {hostname: b.example}, port: {number: 443}",
        "type: Later, port: {number: 443}",
    ]);
    let tls = pick(&[
        "",
        ", tls: {mode: ServerOnly, validation: {hostname: a.example, caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]}}",
        ", tls: {mode: ClientAndServer, clientCertificateRef: {name: client}, validation: {hostname: a.example, wellKnownCACertificates: System}}",
        ", protocol: TCP",
        ", protocol: HTTP11",
    ]);
    (pick(&["x1", "x2"]), pick(NAMESPACES), what, tls, pick(SESSIONS)).prop_map(|(name, namespace, what, tls, sessions)| {
        // Sessions are for endpoints that are selected.
        let sessions = if what.starts_with("type: EndpointSelector") { sessions } else { "" };
        format!("apiVersion: gateway.networking.x-k8s.io/v1alpha1\nkind: XBackend\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{{what}{tls}{sessions}}}\n")
    })
}

fn import() -> impl Strategy<Value = String> {
    (pick(&["i1", "i2"]), pick(NAMESPACES), pick(&["ips: [10.7.0.1]", "ips: []"])).prop_map(|(name, namespace, ips)| {
        format!("apiVersion: multicluster.x-k8s.io/v1alpha1\nkind: ServiceImport\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{ports: [{{port: 80}}], {ips}}}\n")
    })
}

fn slice() -> impl Strategy<Value = String> {
    let label = pick(&["multicluster.kubernetes.io/service-name: i1", "pingora-gateway.dev/backend: x1"]);
    (pick(&["e3", "e4"]), pick(NAMESPACES), label, 1..5u8).prop_map(|(name, namespace, label, host)| {
        format!("apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: {name}, namespace: {namespace}, labels: {{{label}}}}}\naddressType: IPv4\nports: [{{port: 8080}}]\nendpoints: [{{addresses: [10.0.1.{host}]}}]\n")
    })
}

/// One that is elsewhere.
fn external() -> impl Strategy<Value = String> {
    (pick(&["s1", "s2"]), pick(NAMESPACES), pick(&["a.example", "B.example."])).prop_map(|(name, namespace, host)| {
        format!("apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{type: ExternalName, externalName: {host}}}\n")
    })
}

/// Any of them, and what they refer to.
pub(super) fn object() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => xbackend(),
        1 => import(),
        2 => slice(),
        1 => external(),
        1 => Just(CLIENT.clone()),
    ]
}
