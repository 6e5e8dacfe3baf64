//! A route of any kind, as far as all kinds are alike: its parents, hostnames and references.
//!
//! In: a route object. Out: views of it which the judges share. What a rule means is `translate`'s business.

use std::sync::Arc;

use crate::name::{Kind, ObjectId};
use crate::resource::{
    DefaultGateways, Duration, GrpcRoute, HttpRoute, HttpRule, Meta, Object, ParentRef, TcpRoute, TlsRoute, UdpRoute,
};
use crate::snapshot::Retry;

use super::age;

/// A route of any kind.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Route {
    Http(Arc<HttpRoute>),
    Grpc(Arc<GrpcRoute>),
    Tls(Arc<TlsRoute>),
    Tcp(Arc<TcpRoute>),
    Udp(Arc<UdpRoute>),
}

impl Route {
    /// The route in an object, if it is one.
    pub(super) fn of(object: Object) -> Option<Self> {
        match object {
            Object::HttpRoute(route) => Some(Self::Http(route)),
            Object::GrpcRoute(route) => Some(Self::Grpc(route)),
            Object::TlsRoute(route) => Some(Self::Tls(route)),
            Object::TcpRoute(route) => Some(Self::Tcp(route)),
            Object::UdpRoute(route) => Some(Self::Udp(route)),
            Object::GatewayClass(_)
            | Object::Gateway(_)
            | Object::ReferenceGrant(_)
            | Object::ListenerSet(_)
            | Object::BackendTlsPolicy(_)
            | Object::XBackendTrafficPolicy(_)
            | Object::XTelemetryPolicy(_)
            | Object::XBackend(_)
            | Object::ServiceImport(_)
            | Object::ConfigMap(_)
            | Object::ClusterTrustBundle(_)
            | Object::Namespace(_)
            | Object::Service(_)
            | Object::EndpointSlice(_)
            | Object::Secret(_)
            | Object::DirectResponse(_)
            | Object::GatewayParameters(_)
            | Object::Extension(_) => None,
        }
    }

    /// The object again.
    pub(super) fn into_object(self) -> Object {
        match self {
            Self::Http(route) => Object::HttpRoute(route),
            Self::Grpc(route) => Object::GrpcRoute(route),
            Self::Tls(route) => Object::TlsRoute(route),
            Self::Tcp(route) => Object::TcpRoute(route),
            Self::Udp(route) => Object::UdpRoute(route),
        }
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Http(_) => Kind::HttpRoute,
            Self::Grpc(_) => Kind::GrpcRoute,
            Self::Tls(_) => Kind::TlsRoute,
            Self::Tcp(_) => Kind::TcpRoute,
            Self::Udp(_) => Kind::UdpRoute,
        }
    }

    pub(super) fn id(&self) -> ObjectId {
        ObjectId::new(self.kind(), self.meta().name.clone())
    }

    pub(super) fn meta(&self) -> &Meta {
        match self {
            Self::Http(route) => &route.meta,
            Self::Grpc(route) => &route.meta,
            Self::Tls(route) => &route.meta,
            Self::Tcp(route) => &route.meta,
            Self::Udp(route) => &route.meta,
        }
    }

    /// What it states that has no effect, or another than one may think, and no condition can say so.
    pub(super) fn remarks(&self) -> impl Iterator<Item = String> {
        let rules = if let Self::Http(route) = self { &*route.spec.rules } else { &[] };
        let is_hasty = |rule: &HttpRule| {
            rule.retry.as_ref().is_some_and(|retry| retry.attempts > 0 && retry.backoff.is_some_and(Duration::is_zero))
        };
        let hasty = rules.iter().enumerate().filter(move |(_, rule)| is_hasty(rule)).map(|(index, _)| {
            let pause = Duration::from(Retry::BACKOFF);
            format!("spec.rules[{index}].retry.backoff: 0s is as none: nothing is sent again at once, pauses begin at {pause}")
        });
        age::remark(self.meta()).into_iter().chain(hasty)
    }

    pub(super) fn namespace(&self) -> &str {
        self.meta().name.namespace()
    }

    /// Whether two versions of a route differ in nothing but their status.
    pub(super) fn is_same_but_for_status(&self, other: &Self) -> bool {
        let spec = match (self, other) {
            (Self::Http(one), Self::Http(other)) => one.spec == other.spec,
            (Self::Grpc(one), Self::Grpc(other)) => one.spec == other.spec,
            (Self::Tls(one), Self::Tls(other)) => one.spec == other.spec,
            (Self::Tcp(one), Self::Tcp(other)) => one.spec == other.spec,
            (Self::Udp(one), Self::Udp(other)) => one.spec == other.spec,
            (Self::Http(_) | Self::Grpc(_) | Self::Tls(_) | Self::Tcp(_) | Self::Udp(_), _) => false,
        };
        spec && is_same_meta(self.meta(), other.meta())
    }

    /// `spec.parentRefs`.
    pub(super) fn parents(&self) -> &[ParentRef] {
        match self {
            Self::Http(route) => &route.spec.parent_refs,
            Self::Grpc(route) => &route.spec.parent_refs,
            Self::Tls(route) => &route.spec.parent_refs,
            Self::Tcp(route) => &route.spec.parent_refs,
            Self::Udp(route) => &route.spec.parent_refs,
        }
    }

    /// `spec.useDefaultGateways`.
    pub(super) fn default_gateways(&self) -> Option<&DefaultGateways> {
        match self {
            Self::Http(route) => route.spec.use_default_gateways.as_ref(),
            Self::Grpc(route) => route.spec.use_default_gateways.as_ref(),
            Self::Tls(route) => route.spec.use_default_gateways.as_ref(),
            Self::Tcp(route) => route.spec.use_default_gateways.as_ref(),
            Self::Udp(route) => route.spec.use_default_gateways.as_ref(),
        }
    }

    /// Whether it asks for every Gateway that is a default.
    pub(super) fn is_for_default_gateways(&self) -> bool {
        self.default_gateways() == Some(&DefaultGateways::All)
    }

    /// `spec.hostnames`; none for kinds without.
    pub(super) fn hostnames(&self) -> &[String] {
        match self {
            Self::Http(route) => &route.spec.hostnames,
            Self::Grpc(route) => &route.spec.hostnames,
            Self::Tls(route) => &route.spec.hostnames,
            Self::Tcp(_) | Self::Udp(_) => &[],
        }
    }
}

/// Whether two versions of an object's metadata mean the same.
pub(super) fn is_same_meta(one: &Meta, other: &Meta) -> bool {
    let Meta { name, generation, created, labels, annotations, resource_version: _, uid, violations } = one;
    *name == other.name
        && *generation == other.generation
        && *created == other.created
        && *labels == other.labels
        && *annotations == other.annotations
        && *uid == other.uid
        && *violations == other.violations
}
