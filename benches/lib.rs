//! Universes of routes to measure with: so many routes over so many hosts, each with its Service and endpoints.
//!
//! In: sizes. Out: objects as a source would give them. The same sizes give the same objects.

pub mod mixed;
pub mod page;
pub mod process;

use std::sync::Arc;

use gateway_core::compile::{Change, Compiler, Options};
use gateway_core::resource::{self, Object, Reader, Reading};
use gateway_core::support::Support;
use serde_json::{Value, json};

/// How many routes, over how many hosts.
#[derive(Clone, Copy, Debug)]
pub struct Universe {
    /// HTTPRoutes, each with one rule, one path prefix and one Service.
    pub routes: usize,
    /// Hosts the routes are spread over.
    pub hosts: usize,
}

impl Universe {
    /// So many routes over a fifth as many hosts, at least one.
    pub fn of(routes: usize) -> Self {
        Self { routes, hosts: (routes / 5).max(1) }
    }

    /// The Gateway, routes, Services and EndpointSlices.
    pub fn objects(self) -> Vec<Object> {
        let mut objects = vec![gateway()];
        for nth in 0..self.routes {
            objects.extend([self.route(nth, 0), service(nth), slice(nth, 3, 0)]);
        }
        objects
    }

    /// The host of a route.
    pub fn host(self, nth: usize) -> String {
        format!("host-{}.example.com", nth % self.hosts)
    }

    /// The path of a request that a route answers.
    pub fn path(self, nth: usize) -> String {
        format!("/api/v1/service-{nth}/items/7")
    }

    /// A route; versions differ in the value of a header they set.
    pub fn route(self, nth: usize, version: usize) -> Object {
        read(json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": format!("route-{nth}"), "namespace": "shop", "generation": version},
            "spec": {
                "parentRefs": [{"name": "web"}],
                "hostnames": [self.host(nth)],
                "rules": [{
                    "matches": [{"path": {"value": format!("/api/v1/service-{nth}")}}],
                    "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "X-Version", "value": format!("v{version}")}]}}],
                    "backendRefs": [{"name": format!("service-{nth}"), "port": 80}],
                }],
            },
        }))
    }
}

/// A route without hosts whose only rule has this match and forwards to the first Service.
pub fn route_matching(name: &str, matched: Value) -> Object {
    read(json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "parentRefs": [{"name": "web"}],
            "rules": [{"matches": [matched], "backendRefs": [{"name": "service-0", "port": 80}]}],
        },
    }))
}

/// A route for these hosts that forwards one path prefix to the first Service.
pub fn route_of_hosts(name: &str, hosts: &[String], path: &str) -> Object {
    read(json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "parentRefs": [{"name": "web"}],
            "hostnames": hosts,
            "rules": [{"matches": [{"path": {"value": path}}], "backendRefs": [{"name": "service-0", "port": 80}]}],
        },
    }))
}

/// The one Gateway, with one HTTP listener.
pub fn gateway() -> Object {
    read(json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"gatewayClassName": "pingora", "listeners": [{"name": "http", "protocol": "HTTP", "port": 80}]},
    }))
}

/// A Service with one port.
pub fn service(nth: usize) -> Object {
    read(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": format!("service-{nth}"), "namespace": "shop"},
        "spec": {"ports": [{"port": 80}]},
    }))
}

/// The EndpointSlice of a Service; versions differ in one address.
pub fn slice(nth: usize, endpoints: usize, version: usize) -> Object {
    let address = |at: usize| format!("10.{}.{}.{}", (nth >> 8) & 255, nth & 255, 1 + at);
    let mut addresses: Vec<Value> = (0..endpoints).map(|at| json!({"addresses": [address(at)]})).collect();
    addresses[0] = json!({"addresses": [format!("10.250.{}.1", version & 255)]});
    read(json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": format!("service-{nth}-1"), "namespace": "shop", "labels": {"kubernetes.io/service-name": format!("service-{nth}")}},
        "addressType": "IPv4", "ports": [{"port": 8080}], "endpoints": addresses,
    }))
}

/// A compiler that supports all and knows nothing.
pub fn compiler() -> Compiler {
    Compiler::new(Options { support: Support::ALL, seed: 7, controller_name: Arc::from("bench"), ..Options::default() })
}

/// Objects as changes.
pub fn puts(objects: &[Object]) -> impl Iterator<Item = Change> + '_ {
    objects.iter().cloned().map(Change::Put)
}

/// The object of a document.
pub fn read(document: Value) -> Object {
    match resource::read(document, &Reader::default()) {
        Ok(Reading::Object { object, .. }) => object,
        other => panic!("a bench object is not read: {other:?}"),
    }
}
