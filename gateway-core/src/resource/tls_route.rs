//! TLSRoute: where TLS connections go, by the server name the client asks for.

use serde::Deserialize;
use serde_json::Value;

use super::{BackendRef, DefaultGateways, Meta, ParentRef};

/// A TLSRoute as read.
#[derive(Clone, Debug, PartialEq)]
pub struct TlsRoute {
    /// Who it is.
    pub meta: Meta,
    /// What is wanted.
    pub spec: TlsRouteSpec,
    /// The stored status, as it stands.
    pub status: Option<Value>,
}

/// The specification of a TLSRoute.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TlsRouteSpec {
    /// The parents it wants to attach to.
    #[serde(default)]
    pub parent_refs: Vec<ParentRef>,
    /// Whether Gateways that serve as default are wanted too.
    #[serde(default)]
    pub use_default_gateways: Option<DefaultGateways>,
    /// The server names, exact or with a leading `*.`.
    pub hostnames: Vec<String>,
    /// The rules: exactly one.
    pub rules: Vec<TlsRule>,
}

/// The rule of a TLSRoute.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TlsRule {
    /// A name for policies and logs.
    #[serde(default)]
    pub name: Option<String>,
    /// Where the connections go.
    #[serde(default)]
    pub backend_refs: Vec<BackendRef>,
}
