//! GatewayClass: which controller is in charge of the Gateways that name the class.

use serde::Deserialize;
use serde_json::Value;

use super::Meta;

/// A GatewayClass as read.
#[derive(Clone, Debug, PartialEq)]
pub struct GatewayClass {
    /// Who it is.
    pub meta: Meta,
    /// What is wanted.
    pub spec: GatewayClassSpec,
    /// The stored status, as it stands.
    pub status: Option<Value>,
}

/// The specification of a GatewayClass.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayClassSpec {
    /// The controller, as `domain/path`.
    pub controller_name: String,
    /// Where further parameters stand.
    #[serde(default)]
    pub parameters_ref: Option<ParametersRef>,
    /// What the class is for, in words.
    #[serde(default)]
    pub description: Option<String>,
}

/// The parameters of a class, cluster-scoped or in a namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParametersRef {
    /// The group.
    pub group: String,
    /// The kind.
    pub kind: String,
    /// The name.
    pub name: String,
    /// The namespace; none for a cluster-scoped target.
    #[serde(default)]
    pub namespace: Option<String>,
}
