//! Desired statuses, and how they join what is stored.
//!
//! In: what a judge found, and the status an API server holds. Out: the status to write, or nothing. Entries and conditions of
//! other controllers stay as they are, byte for byte.

use serde::Serialize;
use serde_json::Value;

use crate::condition::Condition;
use crate::resource::ParentRef;

/// The status we want an object to have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Status {
    /// `GatewayClass.status`.
    GatewayClass(ClassStatus),
    /// `Gateway.status`.
    Gateway(GatewayStatus),
    /// `status` of a route of any kind.
    Route(RouteStatus),
}

/// `GatewayClass.status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClassStatus {
    /// Accepted, SupportedVersion.
    pub conditions: Vec<Condition>,
    /// Names claimed (GEP-2162), sorted.
    pub supported_features: Vec<Feature>,
}

/// One entry of `supportedFeatures`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Feature {
    /// The registered name.
    pub name: &'static str,
}

/// `Gateway.status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayStatus {
    /// What is bound.
    pub addresses: Vec<StatusAddress>,
    /// Accepted, Programmed, ResolvedRefs.
    pub conditions: Vec<Condition>,
    /// One entry per listener of the spec, in its order.
    pub listeners: Vec<ListenerStatus>,
}

/// One entry of `Gateway.status.addresses`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StatusAddress {
    /// `IPAddress` or `Hostname`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The address.
    pub value: String,
}

/// One entry of `Gateway.status.listeners`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerStatus {
    /// The listener.
    pub name: String,
    /// The route kinds it takes.
    pub supported_kinds: Vec<RouteGroupKind>,
    /// How many routes attached.
    pub attached_routes: usize,
    /// Accepted, Programmed, ResolvedRefs, Conflicted, OverlappingTLSConfig.
    pub conditions: Vec<Condition>,
}

/// A route kind a listener takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RouteGroupKind {
    /// Always `gateway.networking.k8s.io`.
    pub group: &'static str,
    /// The kind.
    pub kind: &'static str,
}

/// `status` of a route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RouteStatus {
    /// One entry per parentRef that names a parent of ours, in the order of the spec.
    pub parents: Vec<ParentStatus>,
}

/// One entry of `status.parents`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentStatus {
    /// The reference as the spec holds it.
    pub parent_ref: ParentRef,
    /// Our controller name.
    pub controller_name: std::sync::Arc<str>,
    /// Accepted, ResolvedRefs, PartiallyInvalid.
    pub conditions: Vec<Condition>,
}

/// The status to write over `stored`, or `None` when nothing of ours differs. `now` is an RFC 3339 time in UTC, used for
/// conditions whose status flips.
pub fn merge(desired: &Status, stored: Option<&Value>, now: &str) -> Option<Value> {
    let _ = (desired, stored, now);
    unimplemented!("being written")
}
