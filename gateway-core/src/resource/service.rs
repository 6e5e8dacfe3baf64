//! Service: a name for backends, and their ports. Of a Service only what routing needs is read.

use serde::Deserialize;

use super::place::Place;
use super::report::Report;
use super::{Meta, number, open::open_enum, syntax};

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
        find_port(&self.ports, number, protocol)
    }

    /// The host name it stands for, where that is all it does.
    pub fn external_host(&self) -> Option<&str> {
        self.external_name.as_deref().filter(|_| self.service_type == ServiceType::ExternalName)
    }

    pub(super) fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self { service_type, cluster_ip: _, external_name, ports } = self;
        if *service_type == ServiceType::ExternalName {
            let name = external_name.as_deref().unwrap_or_default();
            let name = name.strip_suffix('.').unwrap_or(name);
            report.text(&at.field("externalName"), name, syntax::PRECISE_HOSTNAME);
        }
        check_ports(ports, &at.field("ports"), report);
    }
}

/// The port with this number and protocol.
pub(super) fn find_port<'p>(ports: &'p [ServicePort], number: u16, protocol: &TransportProtocol) -> Option<&'p ServicePort> {
    ports.iter().find(|port| port.port == number && port.protocol == *protocol)
}

/// Ports differ in number or protocol, and in name where there are several.
pub(super) fn check_ports(ports: &[ServicePort], at: &Place<'_>, report: &mut Report) {
    report.unique(at, ports.iter().map(|port| (port.port, &port.protocol)), "a port and protocol");
    if ports.len() > 1 {
        report.unique(at, ports.iter().map(|port| &port.name), "a name");
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Object;
    use crate::resource::fixture::{assert_accepted, assert_refused, document, object};

    #[test]
    fn of_a_service_only_routing_is_read() {
        let spec =
            "spec: {clusterIP: None, selector: {app: a}, ports: [{port: 80, targetPort: http, appProtocol: kubernetes.io/h2c}]}";
        let Object::Service(service) = object(&document("v1", "Service", spec)) else { panic!("no Service") };
        assert_eq!(service.spec.service_type, ServiceType::ClusterIp);
        assert_eq!(service.spec.cluster_ip.as_deref(), Some("None"));
        let port = service.spec.port(80, &TransportProtocol::Tcp).unwrap();
        assert_eq!((port.name.as_str(), port.app_protocol.as_deref()), ("", Some("kubernetes.io/h2c")));
        assert_eq!(service.spec.port(80, &TransportProtocol::Udp), None);
    }

    #[test]
    fn ports_are_ports_and_distinct() {
        assert_refused(
            "v1",
            "Service",
            &[
                ("{ports: [{port: 0}]}", "spec.ports[0].port", "from 1 to 65535"),
                ("{ports: [{name: a}]}", "spec.ports[0].port", "expected a value, found none"),
                ("{ports: [{name: a, port: 1}, {name: b, port: 1}]}", "spec.ports[1]", "a port and protocol of its own"),
                ("{ports: [{port: 1}, {port: 2}]}", "spec.ports[1]", "a name of its own"),
                ("{type: ExternalName}", "spec.externalName", "a lower-case host name"),
            ],
        );
        assert_accepted(
            "v1",
            "Service",
            &[
                "{type: ExternalName, externalName: example.com.}",
                "{ports: [{name: a, port: 53}, {name: b, port: 53, protocol: UDP}]}",
            ],
        );
    }
}
