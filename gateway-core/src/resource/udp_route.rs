//! UDPRoute: where the datagrams of a port go.

use serde::Deserialize;
use serde_json::Value;

use super::{BackendRef, DefaultGateways, Meta, ParentRef};

/// A UDPRoute as read.
#[derive(Clone, Debug, PartialEq)]
pub struct UdpRoute {
    /// Who it is.
    pub meta: Meta,
    /// What is wanted.
    pub spec: UdpRouteSpec,
    /// The stored status, as it stands.
    pub status: Option<Value>,
}

/// The specification of a UDPRoute.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UdpRouteSpec {
    /// The parents it wants to attach to.
    #[serde(default)]
    pub parent_refs: Vec<ParentRef>,
    /// Whether Gateways that serve as default are wanted too.
    #[serde(default)]
    pub use_default_gateways: Option<DefaultGateways>,
    /// The rules: exactly one.
    pub rules: Vec<UdpRule>,
}

/// The rule of a UDPRoute.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UdpRule {
    /// A name for policies and logs.
    #[serde(default)]
    pub name: Option<String>,
    /// Where the datagrams go.
    #[serde(default)]
    pub backend_refs: Vec<BackendRef>,
}
