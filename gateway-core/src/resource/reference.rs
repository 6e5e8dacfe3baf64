//! References from one object to another, with the groups and kinds the schema infers where a manifest leaves them out.
//!
//! In: references as written. Out: references whose group and kind are always stated. Whether the target exists, and whether it may be referred to, is
//! asked elsewhere.

use serde::{Deserialize, Serialize};

use crate::name::{GATEWAY_GROUP, ObjectName};

use super::number;

/// A parent a route wants to attach to. Serialised as status repeats it: as stored, defaulted group and kind included.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentRef {
    /// The group; `gateway.networking.k8s.io` unless stated.
    #[serde(default = "gateway_group")]
    pub group: String,
    /// The kind; `Gateway` unless stated.
    #[serde(default = "gateway_kind")]
    pub kind: String,
    /// The namespace; the route's own unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
    /// The name of a section, for a Gateway that of a listener.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section_name: Option<String>,
    /// The port, for a Gateway that of its listeners.
    #[serde(default, deserialize_with = "number::optional_port", skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

impl ParentRef {
    /// The name of the parent, as seen from an object in `namespace`.
    pub fn target(&self, namespace: &str) -> ObjectName {
        ObjectName::new(self.namespace.as_deref().unwrap_or(namespace), &self.name)
    }

    /// Whether the parent is a Gateway.
    pub fn is_gateway(&self) -> bool {
        self.group == GATEWAY_GROUP && self.kind == GATEWAY_KIND
    }
}

/// Where requests, streams or datagrams are sent, without a share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendObjectRef {
    /// The group; the core group unless stated.
    #[serde(default)]
    pub group: String,
    /// The kind; `Service` unless stated.
    #[serde(default = "service_kind")]
    pub kind: String,
    /// The name.
    pub name: String,
    /// The namespace; the referring object's own unless stated.
    #[serde(default)]
    pub namespace: Option<String>,
    /// The port of the Service, not of its pods.
    #[serde(default, deserialize_with = "number::optional_port")]
    pub port: Option<u16>,
}

impl BackendObjectRef {
    /// The name of the backend, as seen from an object in `namespace`.
    pub fn target(&self, namespace: &str) -> ObjectName {
        ObjectName::new(self.namespace.as_deref().unwrap_or(namespace), &self.name)
    }

    /// Whether the backend is a Service of the core group.
    pub fn is_service(&self) -> bool {
        self.group.is_empty() && self.kind == SERVICE_KIND
    }
}

/// A backend and its share, of a rule without filters at backends: TLSRoute, TCPRoute, UDPRoute.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "StatedBackendRef")]
pub struct BackendRef {
    /// The backend.
    pub object: BackendObjectRef,
    /// Its share of the sum of all weights of the rule; 1 unless stated.
    pub weight: u32,
}

/// The fields of a [`BackendRef`] side by side, as manifests have them: flattening would hide unknown fields from the reader.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatedBackendRef {
    #[serde(default)]
    group: String,
    #[serde(default = "service_kind")]
    kind: String,
    name: String,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default, deserialize_with = "number::optional_port")]
    port: Option<u16>,
    #[serde(default = "number::one", deserialize_with = "number::weight")]
    weight: u32,
}

impl From<StatedBackendRef> for BackendRef {
    fn from(stated: StatedBackendRef) -> Self {
        let StatedBackendRef { group, kind, name, namespace, port, weight } = stated;
        Self { object: BackendObjectRef { group, kind, name, namespace, port }, weight }
    }
}

/// A backend and its share, of a rule that may have filters `F` at its backends.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "StatedFilteredBackendRef<F>")]
pub struct FilteredBackendRef<F> {
    /// The backend.
    pub object: BackendObjectRef,
    /// Its share of the sum of all weights of the rule; 1 unless stated.
    pub weight: u32,
    /// Filters for what goes to this backend.
    pub filters: Vec<F>,
}

/// The fields of a [`FilteredBackendRef`] side by side.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatedFilteredBackendRef<F> {
    #[serde(default)]
    group: String,
    #[serde(default = "service_kind")]
    kind: String,
    name: String,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default, deserialize_with = "number::optional_port")]
    port: Option<u16>,
    #[serde(default = "number::one", deserialize_with = "number::weight")]
    weight: u32,
    #[serde(default = "Vec::new")]
    filters: Vec<F>,
}

impl<F> From<StatedFilteredBackendRef<F>> for FilteredBackendRef<F> {
    fn from(stated: StatedFilteredBackendRef<F>) -> Self {
        let StatedFilteredBackendRef { group, kind, name, namespace, port, weight, filters } = stated;
        Self { object: BackendObjectRef { group, kind, name, namespace, port }, weight, filters }
    }
}

/// A certificate with its key, usually in a Secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretObjectRef {
    /// The group; the core group unless stated.
    #[serde(default)]
    pub group: String,
    /// The kind; `Secret` unless stated.
    #[serde(default = "secret_kind")]
    pub kind: String,
    /// The name.
    pub name: String,
    /// The namespace; the referring object's own unless stated.
    #[serde(default)]
    pub namespace: Option<String>,
}

impl SecretObjectRef {
    /// The name of the target, as seen from an object in `namespace`.
    pub fn target(&self, namespace: &str) -> ObjectName {
        ObjectName::new(self.namespace.as_deref().unwrap_or(namespace), &self.name)
    }

    /// Whether the target is a Secret of the core group.
    pub fn is_secret(&self) -> bool {
        self.group.is_empty() && self.kind == SECRET_KIND
    }
}

/// An object of any kind, perhaps in another namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// The group.
    pub group: String,
    /// The kind.
    pub kind: String,
    /// The name.
    pub name: String,
    /// The namespace; the referring object's own unless stated, and none for a cluster-scoped target.
    #[serde(default)]
    pub namespace: Option<String>,
}

/// An object of any kind in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LocalObjectRef {
    /// The group.
    pub group: String,
    /// The kind.
    pub kind: String,
    /// The name.
    pub name: String,
}

pub(super) fn gateway_group() -> String {
    GATEWAY_GROUP.to_owned()
}

fn gateway_kind() -> String {
    GATEWAY_KIND.to_owned()
}

fn service_kind() -> String {
    SERVICE_KIND.to_owned()
}

fn secret_kind() -> String {
    SECRET_KIND.to_owned()
}

const GATEWAY_KIND: &str = "Gateway";
const SERVICE_KIND: &str = "Service";
const SECRET_KIND: &str = "Secret";
