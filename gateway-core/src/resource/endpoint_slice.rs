//! EndpointSlice: some of the endpoints behind a Service.

use serde::Deserialize;

use super::{Meta, TransportProtocol, number, open::open_enum};

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
