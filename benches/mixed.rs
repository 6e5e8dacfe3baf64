//! A universe of every kind of object, to measure changes in: routes of five kinds on a Gateway and on ListenerSets, with what they
//! refer to and the policies that aim at it.
//!
//! In: how many routes. Out: objects as a source would give them, in two versions that differ in what a change is about. Sixteen
//! routes stand beside one ListenerSet, four such groups in one team with a namespace, so that what one change touches is the same
//! however many routes there are.

use gateway_core::resource::Object;
use serde_json::{Value, json};

use crate::read;

const V1: &str = "gateway.networking.k8s.io/v1";
const GROUP: usize = 16;
const TEAM: usize = 4 * GROUP;
/// The places in a group of routes to a ServiceImport and to an XBackend.
const IMPORTED: usize = 2;
const SELECTED: usize = 4;

/// Certificates, authorities and sizes.
#[derive(Clone, Debug)]
pub struct Mixed {
    /// Routes of all kinds.
    pub routes: usize,
    /// Two certificates with their keys, in PEM: the versions of every Secret and ConfigMap.
    pub pairs: [(String, String); 2],
}

impl Mixed {
    /// Everything, in its first version.
    pub fn objects(&self) -> Vec<Object> {
        let mut objects = vec![self.gateway(0), self.telemetry(0), self.collector()];
        for team in 0..self.routes.div_ceil(TEAM) {
            objects.extend([self.namespace(team, 0, 0), self.grant(team, 0), self.authorities(team, 0), self.roots(team, 0)]);
        }
        for set in 0..self.routes.div_ceil(GROUP) {
            objects.extend([self.set(set, 0), self.secret(set, 0)]);
        }
        for nth in 0..self.routes {
            objects.extend([self.route(nth, 0), self.backend(nth, 0), self.slice(nth, 0)]);
            match nth % GROUP {
                5 => objects.push(self.tls_policy(nth, 0)),
                6 => objects.push(self.traffic_policy(nth, 0)),
                _ => {}
            }
        }
        objects
    }

    /// The one Gateway; versions differ in the hostname of a listener without routes.
    pub fn gateway(&self, version: usize) -> Object {
        read(json!({
            "apiVersion": V1, "kind": "Gateway", "metadata": {"name": "web", "namespace": "infra", "generation": 1 + version},
            "spec": {"gatewayClassName": "pingora", "allowedListeners": {"namespaces": {"from": "All"}}, "listeners": [
                {"name": "http", "protocol": "HTTP", "port": 80, "allowedRoutes": {"namespaces": {"from": "All"}}},
                {"name": "own", "protocol": "HTTP", "port": 80, "hostname": format!("own-{version}.example.org")},
                {"name": "picky", "protocol": "HTTP", "port": 8080, "allowedRoutes": {"namespaces": {
                    "from": "Selector", "selector": {"matchLabels": {"admit": "yes"}},
                }}},
                {"name": "passed", "protocol": "TLS", "port": 8443, "tls": {"mode": "Passthrough"},
                 "allowedRoutes": {"namespaces": {"from": "All"}}},
            ]},
        }))
    }

    /// The namespace of a team; a label that the Gateway's selector asks for, and one that nobody asks for.
    pub fn namespace(&self, team: usize, admit: usize, other: usize) -> Object {
        let admit = if admit == 0 { "yes" } else { "no" };
        let labels = json!({"admit": admit, "other": other.to_string()});
        read(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": format!("team-{team}"), "labels": labels}}))
    }

    /// Lets a team's HTTPRoutes refer to Services of its store, or to Secrets alone.
    pub fn grant(&self, team: usize, version: usize) -> Object {
        read(json!({
            "apiVersion": V1, "kind": "ReferenceGrant", "metadata": {"name": "team", "namespace": format!("store-{team}")},
            "spec": {
                "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": format!("team-{team}")}],
                "to": [{"group": "", "kind": if version == 0 { "Service" } else { "Secret" }}],
            },
        }))
    }

    /// The certificate authorities of a team.
    pub fn authorities(&self, team: usize, version: usize) -> Object {
        let metadata = json!({"name": "ca", "namespace": format!("team-{team}")});
        read(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"ca.crt": self.pairs[version].0}}))
    }

    /// A ListenerSet with a listener for each protocol; versions differ in the host name.
    pub fn set(&self, set: usize, version: usize) -> Object {
        let hostname = format!("set-{set}.v{version}.example.net");
        let certificates = json!({"certificateRefs": [{"name": format!("cert-{set}")}]});
        read(json!({
            "apiVersion": V1, "kind": "ListenerSet",
            "metadata": {"name": format!("set-{set}"), "namespace": team_of_set(set), "generation": 1 + version},
            "spec": {"parentRef": {"name": "web", "namespace": "infra"}, "listeners": [
                {"name": "https", "protocol": "HTTPS", "port": 443, "hostname": hostname, "tls": certificates},
                {"name": "http", "protocol": "HTTP", "port": 80, "hostname": hostname},
                {"name": "stream", "protocol": if set.is_multiple_of(2) { "TCP" } else { "UDP" }, "port": 10_000 + set},
            ]},
        }))
    }

    /// The certificate of a ListenerSet.
    pub fn secret(&self, set: usize, version: usize) -> Object {
        let (certificate, key) = &self.pairs[version];
        read(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": format!("cert-{set}"), "namespace": team_of_set(set)},
            "type": "kubernetes.io/tls", "stringData": {"tls.crt": certificate, "tls.key": key},
        }))
    }

    /// A route; its kind and parent follow from its place in its group, versions differ in a header or a weight.
    pub fn route(&self, nth: usize, version: usize) -> Object {
        let (place, set) = (nth % GROUP, nth / GROUP);
        let web = json!({"name": "web", "namespace": "infra"});
        let section = |name: &str| json!({"name": "web", "namespace": "infra", "sectionName": name});
        let of_set = json!({"kind": "ListenerSet", "name": format!("set-{set}")});
        let stream = json!({"kind": "ListenerSet", "name": format!("set-{set}"), "sectionName": "stream"});
        let hosts = json!([format!("host-{}.example.com", nth / 5)]);
        let (kind, parent, hosts) = match place {
            0 => ("HTTPRoute", section("picky"), hosts),
            1..=6 => ("HTTPRoute", section("http"), hosts),
            7..=10 => ("HTTPRoute", of_set, Value::Null),
            11..=12 => ("GRPCRoute", web, hosts),
            13 => ("GRPCRoute", of_set, Value::Null),
            14 => ("TLSRoute", section("passed"), json!([format!("db-{nth}.example.com")])),
            _ if set.is_multiple_of(2) => ("TCPRoute", stream, Value::Null),
            _ => ("UDPRoute", stream, Value::Null),
        };
        let mut backend = match place {
            IMPORTED => {
                json!({"group": "multicluster.x-k8s.io", "kind": "ServiceImport", "name": format!("service-{nth}"), "port": 80})
            }
            SELECTED => json!({"group": "gateway.networking.x-k8s.io", "kind": "XBackend", "name": format!("service-{nth}")}),
            _ => json!({"name": format!("service-{nth}"), "port": 80}),
        };
        if place == 3 {
            backend["namespace"] = json!(service_namespace(nth));
        }
        let filters = json!([{"type": "RequestHeaderModifier", "requestHeaderModifier": {
            "set": [{"name": "X-Version", "value": format!("v{version}")}],
        }}]);
        let rule = match kind {
            "HTTPRoute" => {
                json!({"matches": [{"path": {"value": format!("/api/service-{nth}")}}], "filters": filters, "backendRefs": [backend]})
            }
            "GRPCRoute" => {
                json!({"matches": [{"method": {"service": format!("shop.Service{nth}")}}], "filters": filters, "backendRefs": [backend]})
            }
            _ => {
                backend["weight"] = json!(1 + version);
                json!({"backendRefs": [backend]})
            }
        };
        let mut spec = json!({"parentRefs": [parent], "rules": [rule]});
        if !hosts.is_null() {
            spec["hostnames"] = hosts;
        }
        let metadata = json!({"name": format!("route-{nth}"), "namespace": team(nth), "generation": 1 + version});
        read(json!({"apiVersion": V1, "kind": kind, "metadata": metadata, "spec": spec}))
    }

    /// What a route leads to: a Service, a ServiceImport or an XBackend.
    pub fn backend(&self, nth: usize, version: usize) -> Object {
        let metadata = json!({"name": format!("service-{nth}"), "namespace": service_namespace(nth)});
        match nth % GROUP {
            IMPORTED => read(json!({
                "apiVersion": "multicluster.x-k8s.io/v1alpha1", "kind": "ServiceImport", "metadata": metadata,
                "spec": {"type": "ClusterSetIP", "ports": [{"name": "web", "port": 80 + version, "protocol": "TCP"}, {"name": "own", "port": 90}]},
            })),
            SELECTED => read(json!({
                "apiVersion": "gateway.networking.x-k8s.io/v1alpha1", "kind": "XBackend", "metadata": metadata,
                "spec": {
                    "type": "EndpointSelector", "endpointSelector": {"matchLabels": {"app": "a"}}, "port": {"number": 8080 + version},
                },
            })),
            _ => self.service(nth, version),
        }
    }

    /// What is traced at the Gateway, in two versions.
    pub fn telemetry(&self, version: usize) -> Object {
        read(json!({
            "apiVersion": "gateway.networking.x-k8s.io/v1alpha1", "kind": "XTelemetryPolicy",
            "metadata": {"name": "traces", "namespace": "infra", "generation": 1 + version},
            "spec": {
                "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "web"}],
                "tracing": {
                    "mode": "Enabled", "serviceName": format!("v{version}"),
                    "provider": {"backendRef": {"name": "collector", "port": 4317}},
                },
            },
        }))
    }

    fn collector(&self) -> Object {
        let metadata = json!({"name": "collector", "namespace": "infra"});
        read(json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": [{"port": 4317}]}}))
    }

    /// The other certificate authorities of a team.
    pub fn roots(&self, team: usize, version: usize) -> Object {
        let (certificate, _) = &self.pairs[version];
        read(json!({
            "apiVersion": "certificates.k8s.io/v1", "kind": "ClusterTrustBundle", "metadata": {"name": format!("roots-{team}")},
            "spec": {"trustBundle": certificate},
        }))
    }

    /// The Service of a route; versions differ in one more port.
    pub fn service(&self, nth: usize, version: usize) -> Object {
        let protocol = if is_udp(nth) { "UDP" } else { "TCP" };
        let mut ports = vec![json!({"name": "web", "port": 80, "protocol": protocol})];
        if version > 0 {
            ports.push(json!({"name": "more", "port": 81, "protocol": protocol}));
        }
        let metadata = json!({"name": format!("service-{nth}"), "namespace": service_namespace(nth)});
        read(json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": ports}}))
    }

    /// The EndpointSlice of a Service; versions differ in one address.
    pub fn slice(&self, nth: usize, version: usize) -> Object {
        let address = |last: usize| json!({"addresses": [format!("10.{}.{}.{last}", (nth >> 8) & 255, nth & 255)]});
        let name = format!("service-{nth}");
        let metadata = json!({
            "name": format!("{name}-1"), "namespace": service_namespace(nth), "labels": {label(nth): name},
        });
        let protocol = if is_udp(nth) { "UDP" } else { "TCP" };
        read(json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata, "addressType": "IPv4",
            "ports": [{"name": "web", "port": 8080, "protocol": protocol}],
            "endpoints": [address(1 + version), address(3), address(4)],
        }))
    }

    /// How a Service is spoken to; versions differ in the name its certificate must have.
    pub fn tls_policy(&self, nth: usize, version: usize) -> Object {
        read(json!({
            "apiVersion": V1, "kind": "BackendTLSPolicy",
            "metadata": {"name": format!("policy-{nth}"), "namespace": team(nth), "generation": 1 + version},
            "spec": {
                "targetRefs": [{"group": "", "kind": "Service", "name": format!("service-{nth}")}],
                "validation": {
                    "hostname": format!("v{version}.internal"),
                    "caCertificateRefs": [
                        {"group": "", "kind": "ConfigMap", "name": "ca"},
                        {"group": "certificates.k8s.io", "kind": "ClusterTrustBundle", "name": format!("roots-{}", nth / TEAM)},
                    ],
                },
            },
        }))
    }

    /// The budget of retries of a Service, in two versions.
    pub fn traffic_policy(&self, nth: usize, version: usize) -> Object {
        read(json!({
            "apiVersion": "gateway.networking.x-k8s.io/v1alpha1", "kind": "XBackendTrafficPolicy",
            "metadata": {"name": format!("policy-{nth}"), "namespace": team(nth), "generation": 1 + version},
            "spec": {
                "targetRefs": [{"group": "", "kind": "Service", "name": format!("service-{nth}")}],
                "retryConstraint": {"budget": {"percent": 10 + version}},
            },
        }))
    }
}

/// The label by which a slice belongs to what a route leads to.
fn label(nth: usize) -> &'static str {
    match nth % GROUP {
        IMPORTED => "multicluster.kubernetes.io/service-name",
        SELECTED => "pingora-gateway.dev/backend",
        _ => "kubernetes.io/service-name",
    }
}

fn team(nth: usize) -> String {
    format!("team-{}", nth / TEAM)
}

fn team_of_set(set: usize) -> String {
    team(set * GROUP)
}

fn service_namespace(nth: usize) -> String {
    if nth % GROUP == 3 { format!("store-{}", nth / TEAM) } else { team(nth) }
}

fn is_udp(nth: usize) -> bool {
    nth % GROUP == 15 && !(nth / GROUP).is_multiple_of(2)
}
