//! TCPRoute: where the connections of a port go.

use serde::Deserialize;
use serde_json::Value;

use super::{BackendRef, DefaultGateways, Meta, ParentRef};

/// A TCPRoute as read.
#[derive(Clone, Debug, PartialEq)]
pub struct TcpRoute {
    /// Who it is.
    pub meta: Meta,
    /// What is wanted.
    pub spec: TcpRouteSpec,
    /// The stored status, as it stands.
    pub status: Option<Value>,
}

/// The specification of a TCPRoute.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TcpRouteSpec {
    /// The parents it wants to attach to.
    #[serde(default)]
    pub parent_refs: Vec<ParentRef>,
    /// Whether Gateways that serve as default are wanted too.
    #[serde(default)]
    pub use_default_gateways: Option<DefaultGateways>,
    /// The rules: exactly one.
    pub rules: Vec<TcpRule>,
}

/// The rule of a TCPRoute.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TcpRule {
    /// A name for policies and logs.
    #[serde(default)]
    pub name: Option<String>,
    /// Where the connections go.
    #[serde(default)]
    pub backend_refs: Vec<BackendRef>,
}
