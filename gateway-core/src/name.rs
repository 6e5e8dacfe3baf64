//! Identities of objects, cheap to clone, ordered as the specification orders them.
//!
//! In: namespace and name as written. Out: values to be keys, compared as the joined string `namespace/name` (so `a-b/x` sorts
//! before `a/x`), which is the tie-break of the specification. Knows nothing of what an object holds.
//!
//! Invariants: two names are equal exactly when their joined strings are.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// `namespace/name` of a namespaced object, or the bare name of a cluster-scoped one. Cloning it copies one pointer.
#[derive(Clone)]
pub struct ObjectName {
    joined: Arc<str>,
    /// Bytes of the namespace; 0 for a cluster-scoped object.
    namespace: u16,
}

impl ObjectName {
    /// The name of an object in `namespace`.
    pub fn new(namespace: &str, name: &str) -> Self {
        if namespace.is_empty() {
            return Self::cluster(name);
        }
        let mut joined = String::with_capacity(namespace.len() + 1 + name.len());
        joined.push_str(namespace);
        joined.push('/');
        joined.push_str(name);
        Self { joined: joined.into(), namespace: u16::try_from(namespace.len()).unwrap_or(0) }
    }

    /// The name of a cluster-scoped object.
    pub fn cluster(name: &str) -> Self {
        Self { joined: name.into(), namespace: 0 }
    }

    /// The namespace; empty for a cluster-scoped object.
    pub fn namespace(&self) -> &str {
        &self.joined[..usize::from(self.namespace)]
    }

    /// The name within the namespace.
    pub fn name(&self) -> &str {
        match self.namespace {
            0 => &self.joined,
            n => &self.joined[usize::from(n) + 1..],
        }
    }

    /// The joined string, `namespace/name`.
    pub fn as_str(&self) -> &str {
        &self.joined
    }
}

impl PartialEq for ObjectName {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.joined, &other.joined) || self.joined == other.joined
    }
}

impl Eq for ObjectName {}

impl PartialOrd for ObjectName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ObjectName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        if Arc::ptr_eq(&self.joined, &other.joined) { std::cmp::Ordering::Equal } else { self.joined.cmp(&other.joined) }
    }
}

impl Hash for ObjectName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.joined.hash(state);
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.joined)
    }
}

impl fmt::Debug for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.joined)
    }
}

/// An API group and kind, such as `gateway.networking.k8s.io` and `HTTPRoute`. The core group is the empty string.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKind {
    /// The API group; empty for core kinds.
    pub group: Arc<str>,
    /// The kind.
    pub kind: Arc<str>,
}

impl GroupKind {
    /// A group and kind.
    pub fn new(group: &str, kind: &str) -> Self {
        Self { group: group.into(), kind: kind.into() }
    }
}

impl fmt::Display for GroupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.group {
            "" => f.write_str(&self.kind),
            group => write!(f, "{}.{group}", self.kind),
        }
    }
}

/// The kinds this implementation reads. The order is the order in which reports list them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `gateway.networking.k8s.io` GatewayClass.
    GatewayClass,
    /// `gateway.networking.k8s.io` Gateway.
    Gateway,
    /// `gateway.networking.k8s.io` ListenerSet.
    ListenerSet,
    /// `gateway.networking.k8s.io` HTTPRoute.
    HttpRoute,
    /// `gateway.networking.k8s.io` GRPCRoute.
    GrpcRoute,
    /// `gateway.networking.k8s.io` TLSRoute.
    TlsRoute,
    /// `gateway.networking.k8s.io` TCPRoute.
    TcpRoute,
    /// `gateway.networking.k8s.io` UDPRoute.
    UdpRoute,
    /// `gateway.networking.k8s.io` ReferenceGrant.
    ReferenceGrant,
    /// `gateway.networking.k8s.io` BackendTLSPolicy.
    BackendTlsPolicy,
    /// `gateway.networking.x-k8s.io` XBackendTrafficPolicy.
    XBackendTrafficPolicy,
    /// `gateway.networking.x-k8s.io` XTelemetryPolicy.
    XTelemetryPolicy,
    /// `gateway.networking.x-k8s.io` XBackend.
    XBackend,
    /// Core Namespace.
    Namespace,
    /// Core Service.
    Service,
    /// `multicluster.x-k8s.io` ServiceImport.
    ServiceImport,
    /// `discovery.k8s.io` EndpointSlice.
    EndpointSlice,
    /// Core Secret.
    Secret,
    /// Core ConfigMap.
    ConfigMap,
    /// `certificates.k8s.io` ClusterTrustBundle.
    ClusterTrustBundle,
    /// `pingora-gateway.dev` DirectResponse.
    DirectResponse,
    /// `pingora-gateway.dev` GatewayParameters.
    GatewayParameters,
    /// A kind somebody registered as an extension filter.
    Extension(Box<GroupKind>),
}

/// The group of the Gateway API's own kinds.
pub const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";
/// The group of the Gateway API's experimental kinds.
pub const EXPERIMENTAL_GROUP: &str = "gateway.networking.x-k8s.io";
/// The group of our own kinds, and the domain of our labels, annotations and options.
pub const OWN_GROUP: &str = "pingora-gateway.dev";
/// The group of EndpointSlice.
pub const DISCOVERY_GROUP: &str = "discovery.k8s.io";
/// The group of ServiceImport.
pub const MULTICLUSTER_GROUP: &str = "multicluster.x-k8s.io";
/// The group of ClusterTrustBundle.
pub const CERTIFICATES_GROUP: &str = "certificates.k8s.io";

/// The kinds that are built in, in order.
static BUILT_IN: [Kind; 22] = [
    Kind::GatewayClass,
    Kind::Gateway,
    Kind::ListenerSet,
    Kind::HttpRoute,
    Kind::GrpcRoute,
    Kind::TlsRoute,
    Kind::TcpRoute,
    Kind::UdpRoute,
    Kind::ReferenceGrant,
    Kind::BackendTlsPolicy,
    Kind::XBackendTrafficPolicy,
    Kind::XTelemetryPolicy,
    Kind::XBackend,
    Kind::Namespace,
    Kind::Service,
    Kind::ServiceImport,
    Kind::EndpointSlice,
    Kind::Secret,
    Kind::ConfigMap,
    Kind::ClusterTrustBundle,
    Kind::DirectResponse,
    Kind::GatewayParameters,
];

impl Kind {
    /// The built-in kind with this group and name.
    pub fn named(group: &str, kind: &str) -> Option<Self> {
        BUILT_IN.iter().find(|known| known.as_str() == kind && known.group() == group).cloned()
    }

    /// The API group; empty for core kinds.
    pub fn group(&self) -> &str {
        match self {
            Self::GatewayClass
            | Self::Gateway
            | Self::ListenerSet
            | Self::HttpRoute
            | Self::GrpcRoute
            | Self::TlsRoute
            | Self::TcpRoute
            | Self::UdpRoute
            | Self::ReferenceGrant
            | Self::BackendTlsPolicy => GATEWAY_GROUP,
            Self::XBackendTrafficPolicy | Self::XTelemetryPolicy | Self::XBackend => EXPERIMENTAL_GROUP,
            Self::Namespace | Self::Service | Self::Secret | Self::ConfigMap => "",
            Self::ServiceImport => MULTICLUSTER_GROUP,
            Self::ClusterTrustBundle => CERTIFICATES_GROUP,
            Self::EndpointSlice => DISCOVERY_GROUP,
            Self::DirectResponse | Self::GatewayParameters => OWN_GROUP,
            Self::Extension(of) => &of.group,
        }
    }

    /// The kind as manifests write it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::GatewayClass => "GatewayClass",
            Self::Gateway => "Gateway",
            Self::ListenerSet => "ListenerSet",
            Self::HttpRoute => "HTTPRoute",
            Self::GrpcRoute => "GRPCRoute",
            Self::TlsRoute => "TLSRoute",
            Self::TcpRoute => "TCPRoute",
            Self::UdpRoute => "UDPRoute",
            Self::ReferenceGrant => "ReferenceGrant",
            Self::BackendTlsPolicy => "BackendTLSPolicy",
            Self::XBackendTrafficPolicy => "XBackendTrafficPolicy",
            Self::XTelemetryPolicy => "XTelemetryPolicy",
            Self::XBackend => "XBackend",
            Self::Namespace => "Namespace",
            Self::Service => "Service",
            Self::ServiceImport => "ServiceImport",
            Self::EndpointSlice => "EndpointSlice",
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
            Self::ClusterTrustBundle => "ClusterTrustBundle",
            Self::DirectResponse => "DirectResponse",
            Self::GatewayParameters => "GatewayParameters",
            Self::Extension(of) => &of.kind,
        }
    }

    /// Whether it is a kind of route.
    pub fn is_route(&self) -> bool {
        matches!(self, Self::HttpRoute | Self::GrpcRoute | Self::TlsRoute | Self::TcpRoute | Self::UdpRoute)
    }

    /// Whether objects of this kind live outside namespaces.
    pub fn is_cluster_scoped(&self) -> bool {
        matches!(self, Self::GatewayClass | Self::Namespace | Self::ClusterTrustBundle)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which object: its kind and name. Prints as `HTTPRoute team-a/users`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    /// The kind.
    pub kind: Kind,
    /// Namespace and name.
    pub name: ObjectName,
}

impl ObjectId {
    /// The id of an object.
    pub fn new(kind: Kind, name: ObjectName) -> Self {
        Self { kind, name }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_compare_as_the_joined_string() {
        assert!(ObjectName::new("a-b", "x") < ObjectName::new("a", "x"), "'-' sorts before '/'");
        let name = ObjectName::new("team", "route");
        assert_eq!((name.namespace(), name.name(), name.as_str()), ("team", "route", "team/route"));
        let class = ObjectName::cluster("pingora");
        assert_eq!((class.namespace(), class.name()), ("", "pingora"));
    }

    #[test]
    fn every_named_kind_is_found_by_its_group_and_kind() {
        for kind in &BUILT_IN {
            assert_eq!(Kind::named(kind.group(), kind.as_str()).as_ref(), Some(kind));
        }
        assert_eq!(Kind::named("", "HTTPRoute"), None);
    }
}
