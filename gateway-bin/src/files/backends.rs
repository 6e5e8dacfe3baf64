//! The Services and EndpointSlices that `--backend` stands for.
//!
//! In: what the flags say, and the Services among the files. Out: manifests as JSON, as somebody might have written them: an
//! EndpointSlice for each family and port of the addresses, and the Service itself where no file has it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use gateway_core::name::ObjectName;
use gateway_core::resource::{Service, ServicePort, TransportProtocol};
use serde_json::{Value, json};

use crate::args::Backend;

/// What the flags say, by Service and port.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backends(BTreeMap<ObjectName, BTreeMap<u16, BTreeSet<SocketAddr>>>);

impl Backends {
    /// Several flags for one port add up.
    pub(crate) fn new(flags: &[Backend]) -> Self {
        let mut all = Self::default();
        for flag in flags {
            let ports = all.0.entry(flag.service.clone()).or_default();
            ports.entry(flag.port).or_default().extend(&flag.endpoints);
        }
        all
    }

    /// The Services named.
    pub(crate) fn services(&self) -> impl Iterator<Item = &ObjectName> {
        self.0.keys()
    }

    /// The manifests. `service` finds the Services among the files.
    pub(crate) fn manifests<'a>(&self, service: impl Fn(&ObjectName) -> Option<&'a Service>) -> Vec<Value> {
        let mut manifests = Vec::new();
        for (name, ports) in &self.0 {
            let among_files = service(name);
            if among_files.is_none() {
                manifests.push(synthesised(name, ports.keys().copied()));
            }
            for (port, endpoints) in ports {
                let served = match among_files {
                    Some(service) => {
                        TRANSPORTS.iter().filter_map(|transport| service.spec.port(*port, transport)).cloned().collect()
                    }
                    None => synthesised_ports(*port),
                };
                if !served.is_empty() {
                    manifests.extend(slices(name, *port, &served, endpoints));
                }
            }
        }
        manifests
    }

    /// What the flags name that no Service among the files has, each as (Service, port).
    pub(crate) fn astray<'a>(&self, service: impl Fn(&ObjectName) -> Option<&'a Service>) -> Vec<(ObjectName, u16)> {
        let lacks = |name: &ObjectName, port: u16| {
            service(name).is_some_and(|service| TRANSPORTS.iter().all(|transport| service.spec.port(port, transport).is_none()))
        };
        let all = self.0.iter().flat_map(|(name, ports)| ports.keys().map(move |port| (name, *port)));
        all.filter(|(name, port)| lacks(name, *port)).map(|(name, port)| (name.clone(), port)).collect()
    }
}

/// What an address may be reached by. Nobody says by which: a flag stands for both.
const TRANSPORTS: [TransportProtocol; 2] = [TransportProtocol::Tcp, TransportProtocol::Udp];

/// A Service with several ports must name them.
fn synthesised_ports(port: u16) -> Vec<ServicePort> {
    let named = |transport: TransportProtocol| {
        let name = format!("port-{port}-{}", transport.as_str().to_ascii_lowercase());
        ServicePort { name, port, protocol: transport, app_protocol: None }
    };
    TRANSPORTS.map(named).into()
}

fn synthesised(name: &ObjectName, ports: impl Iterator<Item = u16>) -> Value {
    let ports = ports.flat_map(synthesised_ports);
    let ports: Vec<_> =
        ports.map(|port| json!({"name": port.name, "port": port.port, "protocol": port.protocol.as_str()})).collect();
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": name.namespace(), "name": name.name()},
        "spec": {"ports": ports},
    })
}

fn slices<'a>(
    name: &'a ObjectName,
    port: u16,
    served: &[ServicePort],
    endpoints: &BTreeSet<SocketAddr>,
) -> impl Iterator<Item = Value> + 'a {
    let mut groups: BTreeMap<(&str, u16), Vec<Value>> = BTreeMap::new();
    for endpoint in endpoints {
        let family = if endpoint.is_ipv4() { "IPv4" } else { "IPv6" };
        groups.entry((family, endpoint.port())).or_default().push(json!({"addresses": [endpoint.ip().to_string()]}));
    }
    let served: Vec<_> = served.iter().map(|port| (port.name.clone(), port.protocol.as_str().to_owned())).collect();
    groups.into_iter().map(move |((family, target), endpoints)| {
        let ports: Vec<_> =
            served.iter().map(|(name, protocol)| json!({"name": name, "port": target, "protocol": protocol})).collect();
        let own = format!("{}-{port}-{}-{target}", name.name(), family.to_ascii_lowercase());
        json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "namespace": name.namespace(),
                "name": own,
                "labels": {"kubernetes.io/service-name": name.name(), "endpointslice.kubernetes.io/managed-by": "gateway-backend-flag"},
            },
            "addressType": family,
            "ports": ports,
            "endpoints": endpoints,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_stands_for_a_service_and_a_slice_per_family_and_port() {
        let flags = [
            "shop/cart:80=127.0.0.1:9000,127.0.0.2:9000,[::1]:9000".parse().unwrap(),
            "shop/cart:81=127.0.0.1:9001".parse().unwrap(),
        ];
        let manifests = Backends::new(&flags).manifests(|_| None);
        let kinds: Vec<_> = manifests.iter().map(|manifest| manifest["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["Service", "EndpointSlice", "EndpointSlice", "EndpointSlice"]);
        let port = |name: &str, port: u16, protocol: &str| json!({"name": name, "port": port, "protocol": protocol});
        let ports = [
            port("port-80-tcp", 80, "TCP"),
            port("port-80-udp", 80, "UDP"),
            port("port-81-tcp", 81, "TCP"),
            port("port-81-udp", 81, "UDP"),
        ];
        assert_eq!(manifests[0]["spec"]["ports"], json!(ports));
        assert_eq!(manifests[1]["endpoints"], json!([{"addresses": ["127.0.0.1"]}, {"addresses": ["127.0.0.2"]}]));
        assert_eq!(manifests[1]["ports"], json!([port("port-80-tcp", 9000, "TCP"), port("port-80-udp", 9000, "UDP")]));
        assert_eq!(manifests[2]["addressType"], "IPv6");
    }
}
