//! One object of every kind that has a status of ours.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::scene::{NAMESPACE, Scene};
use crate::cluster::{PATIENCE, condition, soon};
use crate::manifest::list;

const GROUP: &str = "gateway.networking.k8s.io";
const EXPERIMENTAL: &str = "gateway.networking.x-k8s.io";

/// Kinds, as paths name them, and what an object of that kind may say.
const KINDS: [(&str, &str, &str, &str); 9] = [
    ("listenersets", GROUP, "ListenerSet", "{parentRef: {name: kinds}, listeners: [{name: more, protocol: HTTP, port: 8080}]}"),
    (
        "grpcroutes",
        GROUP,
        "GRPCRoute",
        "{parentRefs: [{name: kinds, sectionName: http}], rules: [{backendRefs: [{name: kinds, port: 80}]}]}",
    ),
    (
        "tlsroutes",
        GROUP,
        "TLSRoute",
        "{parentRefs: [{name: kinds, sectionName: tls}], hostnames: [kinds.example], rules: [{backendRefs: [{name: kinds, port: 80}]}]}",
    ),
    (
        "tcproutes",
        GROUP,
        "TCPRoute",
        "{parentRefs: [{name: kinds, sectionName: tcp}], rules: [{backendRefs: [{name: kinds, port: 80}]}]}",
    ),
    (
        "udproutes",
        GROUP,
        "UDPRoute",
        "{parentRefs: [{name: kinds, sectionName: udp}], rules: [{backendRefs: [{name: kinds, port: 80}]}]}",
    ),
    (
        "backendtlspolicies",
        GROUP,
        "BackendTLSPolicy",
        "{targetRefs: [{group: '', kind: Service, name: kinds}], validation: {wellKnownCACertificates: System, hostname: kinds.example}}",
    ),
    (
        "xbackendtrafficpolicies",
        EXPERIMENTAL,
        "XBackendTrafficPolicy",
        "{targetRefs: [{group: '', kind: Service, name: kinds}], retryConstraint: {budget: {percent: 10, interval: 20s}}}",
    ),
    (
        "xtelemetrypolicies",
        EXPERIMENTAL,
        "XTelemetryPolicy",
        "{targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: kinds}], \
         tracing: {mode: Enabled, provider: {backendRef: {name: kinds, port: 80}}}}",
    ),
    (
        "xbackends",
        EXPERIMENTAL,
        "XBackend",
        "{type: ExternalHostname, externalHostname: {hostname: kinds.example}, port: {number: 80}, protocol: HTTP}",
    ),
];

pub(super) fn every_kind_has_its_status(scene: &Scene) -> Result<String> {
    scene.cluster.apply(&format!(
        "
apiVersion: v1
kind: Service
metadata: {{name: kinds, namespace: {NAMESPACE}}}
spec: {{ports: [{{name: tcp, port: 80}}, {{name: udp, port: 80, protocol: UDP}}]}}
---
apiVersion: {GROUP}/v1
kind: Gateway
metadata: {{name: kinds, namespace: {NAMESPACE}}}
spec:
  gatewayClassName: pingora
  allowedListeners: {{namespaces: {{from: Same}}}}
  listeners:
    - {{name: http, protocol: HTTP, port: 80}}
    - {{name: tls, protocol: TLS, port: 443, tls: {{mode: Passthrough}}}}
    - {{name: tcp, protocol: TCP, port: 9000}}
    - {{name: udp, protocol: UDP, port: 9000}}
"
    ))?;
    let crds = scene.cluster.get(&["customresourcedefinitions"])?;
    let version = |resource: &str, group: &str| {
        let name = format!("{resource}.{group}");
        let crd = list(&crds, "/items").iter().find(|crd| crd["metadata"]["name"] == *name)?;
        let stored = list(crd, "/spec/versions").iter().find(|version| version["storage"] == true)?;
        stored["name"].as_str().map(str::to_owned)
    };
    let mut judged = Vec::new();
    for (resource, group, kind, spec) in KINDS {
        // The standard channel has not all of them.
        let Some(version) = version(resource, group) else { continue };
        scene.cluster.apply(&format!(
            "{{apiVersion: {group}/{version}, kind: {kind}, metadata: {{name: kinds, namespace: {NAMESPACE}}}, spec: {spec}}}"
        ))?;
        judged.push((format!("{resource}.{group}"), kind));
    }
    // An XBackend is judged for who uses it.
    if judged.iter().any(|(_, kind)| *kind == "XBackend") {
        scene.cluster.apply(&format!(
            "
apiVersion: {GROUP}/v1
kind: HTTPRoute
metadata: {{name: kinds, namespace: {NAMESPACE}}}
spec:
  parentRefs: [{{name: kinds, sectionName: http}}]
  hostnames: [to-xbackend.example]
  rules: [{{backendRefs: [{{group: {EXPERIMENTAL}, kind: XBackend, name: kinds}}]}}]
"
        ))?;
    }
    scene.address_of("kinds")?;
    for (resource, kind) in &judged {
        soon(&format!("{kind} is accepted"), PATIENCE, || {
            let object = scene.get(resource, "kinds")?;
            let status = object.get("status").context("no status")?;
            ensure!(is_accepted(status), "{status}");
            Ok(Some(()))
        })?;
    }
    scene.delete("httproute", "kinds")?;
    for (resource, _) in judged.iter().rev() {
        scene.delete(resource, "kinds")?;
    }
    scene.delete("gateway", "kinds")?;
    scene.delete("service", "kinds")?;
    Ok(judged.iter().map(|(_, kind)| *kind).collect::<Vec<_>>().join(", "))
}

/// Whether a status says so, for itself or for one of those that it is judged for.
fn is_accepted(status: &Value) -> bool {
    let of = ["parents", "ancestors"].into_iter().filter_map(|field| status[field].as_array()).flatten();
    of.chain([status]).any(|entry| condition(&entry["conditions"], "Accepted").is_some_and(|(value, _)| value == "True"))
}
