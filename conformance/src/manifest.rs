//! Manifests: those read from a folder, and those made up around them.
//!
//! In: YAML files, taken as text (the program shall have them as they stand) and as JSON values (to know what to ask). Out: the
//! objects that such a folder leaves out, because a cluster would have them: Namespaces, Services, EndpointSlices, Secrets,
//! Gateways.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// One file.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The file's name.
    pub file: String,
    /// What it holds.
    pub text: String,
    /// The objects in it.
    pub objects: Vec<Value>,
}

impl Manifest {
    /// Reads every `.yaml` of a folder, by name.
    pub fn all_in(folder: &Path) -> Result<Vec<Self>> {
        let mut paths = Vec::new();
        for entry in folder.read_dir().with_context(|| format!("reading {}", folder.display()))? {
            paths.push(entry?.path());
        }
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
        paths.sort();
        paths.iter().map(|path| Self::read(path)).collect()
    }

    fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let objects = serde_saphyr::from_multiple(&text).with_context(|| path.display().to_string())?;
        let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Self { file, text, objects })
    }
}

/// The kind of an object.
pub fn kind(object: &Value) -> &str {
    text(object, "/kind")
}

/// The name of an object as statuses have it: `namespace/name`, or `name` for kinds without namespaces.
pub fn name(object: &Value) -> String {
    let name = text(object, "/metadata/name");
    match kind(object) {
        "GatewayClass" | "Namespace" => name.to_owned(),
        _ => format!("{}/{name}", namespace(object)),
    }
}

/// The namespace of an object.
pub fn namespace(object: &Value) -> &str {
    non_empty(text(object, "/metadata/namespace")).unwrap_or("default")
}

/// The text at a JSON pointer, empty where there is none.
pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The list at a JSON pointer, empty where there is none.
pub fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Whether it is a route, of whatever kind.
pub fn is_route(object: &Value) -> bool {
    kind(object).ends_with("Route")
}

/// The Gateways a route names, as `namespace/name`.
pub fn parents(route: &Value) -> Vec<String> {
    list(route, "/spec/parentRefs").iter().map(|parent| referred(route, parent)).collect()
}

/// The Services that a route's rules forward to, each with its port.
pub fn services(route: &Value) -> BTreeSet<(String, u16)> {
    let mut services = BTreeSet::new();
    for rule in list(route, "/spec/rules") {
        for reference in list(rule, "/backendRefs") {
            services.insert((referred(route, reference), port(reference)));
        }
    }
    services
}

/// The listener that a route of this kind needs, as a protocol and a port: for bytes and datagrams that of its first Service. TLS
/// passes through.
pub fn listener_for(route: &Value) -> (&'static str, u16) {
    let port = services(route).first().map_or(80, |(_, port)| *port);
    match kind(route) {
        "TCPRoute" => ("TCP", port),
        "UDPRoute" => ("UDP", port),
        "TLSRoute" => ("TLS", 443),
        _ => ("HTTP", 80),
    }
}

/// A Namespace with labels.
pub fn a_namespace(name: &str, labels: &BTreeMap<String, String>) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
}

/// A Service of TCP and the EndpointSlice of its endpoints. All of these have the same port.
pub fn a_service(name: &str, port: u16, endpoints: &[SocketAddr]) -> [Value; 2] {
    a_service_over("TCP", name, port, endpoints)
}

/// The same over a transport.
pub fn a_service_over(transport: &str, name: &str, port: u16, endpoints: &[SocketAddr]) -> [Value; 2] {
    let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
    let target = endpoints.first().map_or(port, SocketAddr::port);
    let listed: Vec<_> = endpoints.iter().map(|at| json!({"addresses": [at.ip()], "conditions": {"ready": true}})).collect();
    [
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"namespace": namespace, "name": name},
            "spec": {"ports": [{"port": port, "targetPort": target, "protocol": transport}]},
        }),
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"namespace": namespace, "name": format!("{name}-1"), "labels": {"kubernetes.io/service-name": name}},
            "endpoints": listed, "ports": [{"name": "", "port": target, "protocol": transport}],
        }),
    ]
}

/// A Secret with a certificate and its key, both in PEM.
pub fn a_secret(name: &str, certificate: &str, key: &str) -> Value {
    let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"namespace": namespace, "name": name},
        "data": {"tls.crt": STANDARD.encode(certificate), "tls.key": STANDARD.encode(key)},
    })
}

/// A Gateway with these listeners, each a protocol and a port, open to routes of every namespace.
pub fn a_gateway(name: &str, listeners: &BTreeSet<(&str, u16)>) -> Value {
    let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
    let listeners: Vec<_> = listeners
        .iter()
        .map(|(protocol, port)| {
            let name = format!("{}-{port}", protocol.to_ascii_lowercase());
            let mut listener =
                json!({"name": name, "protocol": protocol, "port": port, "allowedRoutes": {"namespaces": {"from": "All"}}});
            if *protocol == "TLS" {
                listener["tls"] = json!({"mode": "Passthrough"});
            }
            listener
        })
        .collect();
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"namespace": namespace, "name": name},
        "spec": {"gatewayClassName": "any", "listeners": listeners},
    })
}

/// Objects as the text of one file: JSON is YAML too.
pub fn file_of(objects: &[Value]) -> String {
    objects.iter().map(|object| format!("---\n{object:#}\n")).collect()
}

/// What a route's reference names, as `namespace/name`: without a namespace it is the route's.
pub fn referred(route: &Value, reference: &Value) -> String {
    let namespace = non_empty(text(reference, "/namespace")).unwrap_or_else(|| namespace(route));
    format!("{namespace}/{}", text(reference, "/name"))
}

fn port(reference: &Value) -> u16 {
    reference.get("port").and_then(Value::as_u64).and_then(|port| port.try_into().ok()).unwrap_or(80)
}

fn non_empty(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}
