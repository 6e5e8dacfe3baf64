//! Service: a name for backends, and their ports. Of a Service only what routing needs is read.

use serde::Deserialize;

use super::{Meta, number, open::open_enum};

/// A Service as read.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Who it is.
    pub meta: Meta,
    /// What it stands for.
    pub spec: ServiceSpec,
}

/// The specification of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceSpec {
    /// The type; `ClusterIP` unless stated.
    #[serde(rename = "type", default)]
    pub service_type: ServiceType,
    /// The address inside the cluster; `None` as text for a headless Service.
    #[serde(rename = "clusterIP", default)]
    pub cluster_ip: Option<String>,
    /// The host name an ExternalName Service stands for.
    #[serde(default)]
    pub external_name: Option<String>,
    /// The ports.
    #[serde(default)]
    pub ports: Vec<ServicePort>,
}

impl ServiceSpec {
    /// The port with this number and protocol.
    pub fn port(&self, number: u16, protocol: &TransportProtocol) -> Option<&ServicePort> {
        self.ports.iter().find(|port| port.port == number && port.protocol == *protocol)
    }
}

open_enum! {
    /// What a Service is.
    #[derive(Default)]
    ServiceType {
        /// An address inside the cluster, or none.
        #[default]
        ClusterIp = "ClusterIP",
        /// A port on every node besides.
        NodePort = "NodePort",
        /// A load balancer besides.
        LoadBalancer = "LoadBalancer",
        /// A host name elsewhere.
        ExternalName = "ExternalName",
    }
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServicePort {
    /// The name, by which EndpointSlices know it; empty for the only port.
    #[serde(default)]
    pub name: String,
    /// The number.
    #[serde(deserialize_with = "number::port")]
    pub port: u16,
    /// The transport; `TCP` unless stated.
    #[serde(default)]
    pub protocol: TransportProtocol,
    /// What is spoken on it.
    #[serde(default)]
    pub app_protocol: Option<String>,
}

open_enum! {
    /// The transport of a port.
    #[derive(Default)]
    TransportProtocol {
        /// TCP.
        #[default]
        Tcp = "TCP",
        /// UDP.
        Udp = "UDP",
        /// SCTP.
        Sctp = "SCTP",
    }
}
