//! EndpointSlice: some of the endpoints behind a Service.

use serde::Deserialize;

use super::place::Place;
use super::report::Report;
use super::{Meta, TransportProtocol, number, open::open_enum, syntax};

/// An EndpointSlice as read.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointSlice {
    /// Who it is.
    pub meta: Meta,
    /// What the addresses are.
    pub address_type: EndpointAddressType,
    /// The endpoints.
    pub endpoints: Vec<Endpoint>,
    /// The ports of every endpoint.
    pub ports: Vec<EndpointPort>,
}

impl EndpointSlice {
    /// The Service it belongs to, by its label.
    pub fn service(&self) -> Option<&str> {
        self.meta.labels.get(SERVICE_LABEL).map(String::as_str)
    }

    /// The ServiceImport it belongs to, by its label.
    pub fn service_import(&self) -> Option<&str> {
        self.meta.labels.get(IMPORT_LABEL).map(String::as_str)
    }

    /// The XBackend whose endpoints it holds, by our label `pingora-gateway.dev/backend`. Slices of a headless Service have the labels
    /// of that Service, so one that selects the pods and is labelled so is all it takes.
    pub fn xbackend(&self) -> Option<&str> {
        self.meta.labels.get(XBACKEND_LABEL).map(String::as_str)
    }
}

impl EndpointSlice {
    pub(super) fn check(&self, report: &mut Report) {
        let syntax = match self.address_type {
            EndpointAddressType::Ipv4 => syntax::IPV4_ADDRESS,
            EndpointAddressType::Ipv6 => syntax::IPV6_ADDRESS,
            EndpointAddressType::Fqdn => syntax::PRECISE_HOSTNAME,
            EndpointAddressType::Other(_) => return,
        };
        let at = Place::top("endpoints");
        for (index, endpoint) in self.endpoints.iter().enumerate() {
            report.count(&at.entry(index).field("addresses"), endpoint.addresses.len(), 1, 100);
            for (position, address) in endpoint.addresses.iter().enumerate() {
                report.text(&at.entry(index).field("addresses").entry(position), address, syntax);
            }
        }
    }
}

/// The fields of an EndpointSlice beside its metadata.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StatedSlice {
    pub(super) address_type: EndpointAddressType,
    #[serde(default)]
    pub(super) endpoints: Vec<Endpoint>,
    #[serde(default)]
    pub(super) ports: Vec<EndpointPort>,
}

open_enum! {
    /// What the addresses of an EndpointSlice are.
    EndpointAddressType {
        /// IPv4 addresses.
        Ipv4 = "IPv4",
        /// IPv6 addresses.
        Ipv6 = "IPv6",
        /// Host names.
        Fqdn = "FQDN",
    }
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// Its addresses; all of them lead to the same endpoint.
    pub addresses: Vec<String>,
    /// How it fares.
    #[serde(default)]
    pub conditions: EndpointConditions,
}

/// How an endpoint fares; what is absent is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointConditions {
    /// Whether it takes traffic; unknown counts as yes.
    #[serde(default)]
    pub ready: Option<bool>,
    /// Whether it could take traffic, terminating or not.
    #[serde(default)]
    pub serving: Option<bool>,
    /// Whether it is on its way out.
    #[serde(default)]
    pub terminating: Option<bool>,
}

impl EndpointConditions {
    /// Whether it takes traffic.
    pub fn is_ready(self) -> bool {
        self.ready != Some(false)
    }

    /// Whether it is on its way out but still answers, which serves when nothing is ready.
    pub fn is_draining(self) -> bool {
        self.terminating == Some(true) && self.serving.or(self.ready) != Some(false)
    }
}

/// A port of an EndpointSlice.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointPort {
    /// The name, that of the Service's port; empty for the only one.
    #[serde(default)]
    pub name: String,
    /// The number; every port when absent.
    #[serde(default, deserialize_with = "number::optional_port")]
    pub port: Option<u16>,
    /// The transport; `TCP` unless stated.
    #[serde(default)]
    pub protocol: TransportProtocol,
    /// What is spoken on it.
    #[serde(default)]
    pub app_protocol: Option<String>,
}

const SERVICE_LABEL: &str = "kubernetes.io/service-name";
const IMPORT_LABEL: &str = "multicluster.kubernetes.io/service-name";
/// The label of an EndpointSlice that holds endpoints of the XBackend it names.
pub const XBACKEND_LABEL: &str = "pingora-gateway.dev/backend";

#[cfg(test)]
mod tests {
    use crate::resource::Object;
    use crate::resource::fixture::{object, outcome};

    fn slice(fields: &str) -> String {
        format!(
            "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: x, labels: {{kubernetes.io/service-name: users}}}}\n{fields}"
        )
    }

    #[test]
    fn a_slice_tells_its_service_and_endpoints() {
        let yaml = slice(
            "addressType: IPv4\nendpoints: [{addresses: [10.0.0.1], conditions: {ready: false, serving: true, terminating: true}, nodeName: n}, {addresses: [10.0.0.2]}]\nports: [{port: 8080}, {}]",
        );
        let Object::EndpointSlice(slice) = object(&yaml) else { panic!("no slice") };
        assert_eq!(slice.service(), Some("users"));
        let [leaving, there] = &*slice.endpoints else { panic!("two endpoints") };
        assert!(!leaving.conditions.is_ready() && leaving.conditions.is_draining());
        assert!(there.conditions.is_ready() && !there.conditions.is_draining());
        assert_eq!(slice.ports[0].port, Some(8080));
        assert_eq!(slice.ports[1].port, None);
    }

    #[test]
    fn lists_may_be_absent() {
        let Object::EndpointSlice(slice) = object(&slice("addressType: IPv6\nendpoints: null")) else { panic!("no slice") };
        assert!(slice.endpoints.is_empty() && slice.ports.is_empty());
    }

    #[test]
    fn addresses_are_of_their_type() {
        for (fields, path) in [
            ("addressType: IPv4\nendpoints: [{addresses: ['::1']}]", "endpoints[0].addresses[0]"),
            ("addressType: IPv6\nendpoints: [{addresses: [10.0.0.1]}]", "endpoints[0].addresses[0]"),
            ("addressType: FQDN\nendpoints: [{addresses: [A_b]}]", "endpoints[0].addresses[0]"),
            ("endpoints: []", "addressType"),
            ("addressType: IPv4\nports: [{port: 65536}]", "ports[0].port"),
        ] {
            let invalid = outcome(&slice(fields)).unwrap_err();
            assert_eq!(invalid.len(), 1, "{invalid:?}");
            assert_eq!(invalid[0].path, path, "{}", invalid[0]);
        }
    }
}
