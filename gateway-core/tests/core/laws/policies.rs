//! Policies for backends and what they refer to, for the universe of the laws.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{NAMESPACES, pick};

const PEM: &str = include_str!("../pem/ecdsa.crt");

fn target() -> impl Strategy<Value = Value> {
    let service = |name: &str| json!({"group": "", "kind": "Service", "name": name});
    let section = |name: &str| json!({"group": "", "kind": "Service", "name": "s1", "sectionName": name});
    prop_oneof![
        3 => Just(service("s1")),
        2 => Just(service("s2")),
        1 => Just(service("none")),
        2 => Just(section("web")),
        1 => Just(section("none")),
        1 => Just(json!({"group": "multicluster.x-k8s.io", "kind": "ServiceImport", "name": "i1"})),
        1 => Just(json!({"group": "gateway.networking.x-k8s.io", "kind": "XBackend", "name": "x1"})),
        1 => Just(json!({"group": "example.com", "kind": "Odd", "name": "s1"})),
    ]
}

fn validation() -> impl Strategy<Value = Value> {
    let (map, roots) = (
        json!({"group": "", "kind": "ConfigMap", "name": "ca"}),
        json!({"group": "certificates.k8s.io", "kind": "ClusterTrustBundle", "name": "roots"}),
    );
    let odd = json!({"group": "", "kind": "Secret", "name": "ca"});
    prop_oneof![
        Just(json!({"hostname": "a.example.com", "wellKnownCACertificates": "System"})),
        Just(json!({"hostname": "b.example.com", "wellKnownCACertificates": "Later"})),
        Just(json!({"hostname": "a.example.com", "caCertificateRefs": [map]})),
        Just(json!({"hostname": "a.example.com", "caCertificateRefs": [map, roots]})),
        Just(json!({"hostname": "a.example.com", "caCertificateRefs": [roots, odd]})),
        Just(json!({"hostname": "a.example.com", "wellKnownCACertificates": "System",
            "subjectAltNames": [{"type": "URI", "uri": "spiffe://a/b"}]})),
    ]
}

fn tracing() -> impl Strategy<Value = Value> {
    let to = |reference: Value| json!({"mode": "Enabled", "provider": {"backendRef": reference}});
    prop_oneof![
        3 => Just(to(json!({"name": "s1", "port": 80}))),
        2 => Just(to(json!({"name": "s2", "namespace": "two", "port": 80}))),
        1 => Just(to(json!({"name": "none", "port": 80}))),
        1 => Just(json!({"mode": "Disabled"})),
        1 => Just(json!({"mode": "Later"})),
        1 => Just(json!({})),
    ]
}

/// A stored status with so many entries of another controller.
fn stored() -> impl Strategy<Value = Value> {
    prop_oneof![4 => Just(0), 1 => Just(14), 1 => Just(15), 1 => Just(16)].prop_map(|count: usize| {
        let entry = |n: usize| json!({"ancestorRef": {"name": format!("x{n}")}, "controllerName": "other", "conditions": []});
        json!({"ancestors": (0..count).map(entry).collect::<Vec<_>>()})
    })
}

fn metadata() -> impl Strategy<Value = Value> {
    (pick(&["p1", "p2", "p3"]), pick(NAMESPACES), proptest::option::of(0..3i64)).prop_map(|(name, namespace, second)| {
        let created = second.map(|second| format!("2026-01-01T00:00:0{second}Z"));
        match created {
            Some(created) => json!({"name": name, "namespace": namespace, "creationTimestamp": created}),
            None => json!({"name": name, "namespace": namespace}),
        }
    })
}

/// Targets, each once: those of one object all have sections, or there is only one.
fn targets() -> impl Strategy<Value = Vec<Value>> {
    vec(target(), 1..3).prop_map(|mut targets| {
        let mut known: Vec<Value> = Vec::new();
        targets.retain(|target| {
            let is_new = !known.contains(&target["name"]);
            known.push(target["name"].clone());
            is_new
        });
        targets
    })
}

/// A policy, or something that policies refer to.
pub(super) fn policy() -> impl Strategy<Value = String> {
    let tls = (metadata(), targets(), validation(), stored(), pick(&["1.2", "1.3", "odd"])).prop_map(
        |(metadata, targets, validation, status, version)| {
            json!({
                "apiVersion": "gateway.networking.k8s.io/v1", "kind": "BackendTLSPolicy", "metadata": metadata, "status": status,
                "spec": {"targetRefs": targets, "validation": validation, "options": {"pingora-gateway.dev/min-tls-version": version}},
            })
        },
    );
    let asks = prop_oneof![
        Just(json!({"retryConstraint": {}})),
        Just(json!({"retryConstraint": {"budget": {"percent": 50}}})),
        Just(json!({"sessionPersistence": {"cookie": {"name": "sid"}}})),
        Just(json!({"sessionPersistence": {"type": "Later"}})),
    ];
    let traffic = (metadata(), targets(), asks, stored()).prop_map(|(metadata, mut targets, mut spec, status)| {
        for target in &mut targets {
            target.as_object_mut().expect("a target").remove("sectionName");
        }
        spec["targetRefs"] = json!(targets);
        json!({
            "apiVersion": "gateway.networking.x-k8s.io/v1alpha1", "kind": "XBackendTrafficPolicy", "metadata": metadata,
            "status": status, "spec": spec,
        })
    });
    let gateway = |name: &'static str| json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": name});
    let gateways = prop_oneof![
        3 => Just(vec![gateway("g1")]),
        1 => Just(vec![gateway("g2"), gateway("g1")]),
        1 => Just(vec![gateway("none"), json!({"group": "", "kind": "Service", "name": "s1"})]),
    ];
    let telemetry = (metadata(), gateways, tracing(), stored()).prop_map(|(metadata, targets, tracing, status)| {
        json!({
            "apiVersion": "gateway.networking.x-k8s.io/v1alpha1", "kind": "XTelemetryPolicy", "metadata": metadata, "status": status,
            "spec": {"targetRefs": targets, "tracing": tracing},
        })
    });
    let map = (pick(NAMESPACES), pick(&[PEM, "", "nonsense"])).prop_map(|(namespace, pem)| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ca", "namespace": namespace}, "data": {"ca.crt": pem}})
    });
    let roots = pick(&[PEM, "nonsense"]).prop_map(|pem| {
        json!({"apiVersion": "certificates.k8s.io/v1", "kind": "ClusterTrustBundle", "metadata": {"name": "roots"}, "spec": {"trustBundle": pem}})
    });
    prop_oneof![5 => tls, 2 => traffic, 3 => telemetry, 2 => map, 1 => roots].prop_map(|object| object.to_string())
}
