//! The objects as read: one type per kind, with the defaults of the schema in place, and the rules a real API server would apply.
//!
//! In: documents as JSON values, whether from files or from a cluster, and in any version of a kind's group. Out: [`Object`]s, or
//! every reason why a document is none, each naming object, field and what was expected there. What refers to what, and what is
//! served, is no concern of this room.
//!
//! Invariants: `read` is total and never panics. What the schema fills in is never absent in these types. What the API leaves
//! open, and enumerations it may extend, never fail a read: an unknown value is kept as written and becomes a condition later.

mod backend_tls_policy;
mod check;
mod cluster_trust_bundle;
mod config_map;
mod contents;
mod direct_response;
mod duration;
mod endpoint_slice;
mod filter;
#[cfg(test)]
mod fixture;
mod gateway;
mod gateway_class;
mod gateway_parameters;
mod grpc_route;
mod http_filter;
mod http_match;
mod http_route;
mod json;
mod lenient;
mod listener;
mod listener_set;
mod meta;
#[cfg(test)]
mod mutation;
mod namespace;
mod number;
mod open;
mod place;
mod read;
mod redirect;
mod reference;
mod reference_grant;
mod report;
mod secret;
mod selector;
mod service;
mod service_import;
mod session_persistence;
mod syntax;
mod tcp_route;
mod tls_route;
mod typed;
mod udp_route;
mod version;
mod violations;
mod xbackend;
mod xbackend_traffic_policy;
mod xtelemetry_policy;

use std::sync::Arc;

use serde_json::Value;

use crate::name::{GroupKind, Kind, ObjectId};

pub use self::backend_tls_policy::{
    BackendTlsPolicy, BackendTlsPolicySpec, BackendTlsValidation, PolicyTargetRef, SubjectAltName, SubjectAltNameType,
    WellKnownCaCertificates,
};
pub use self::check::validate;
pub use self::cluster_trust_bundle::{ClusterTrustBundle, ClusterTrustBundleSpec};
pub use self::config_map::ConfigMap;
pub use self::direct_response::{DirectResponse, DirectResponseSpec};
pub use self::duration::{Duration, NotADuration};
pub use self::endpoint_slice::{Endpoint, EndpointAddressType, EndpointConditions, EndpointPort, EndpointSlice, XBACKEND_LABEL};
pub use self::filter::{
    Cors, ExternalAuth, ExternalAuthProtocol, ForwardBody, Fraction, GrpcAuth, HeaderModifier, HeaderValue, HttpAuth,
};
pub use self::gateway::{
    AddressType, AllowedListeners, DefaultGateways, FrontendTls, FrontendTlsConfig, FrontendTlsPort, FrontendTlsValidation,
    FrontendValidationMode, Gateway, GatewayAddress, GatewayBackendTls, GatewayInfrastructure, GatewaySpec, GatewayTls,
    ListenerNamespaces,
};
pub use self::gateway_class::{GatewayClass, GatewayClassSpec, ParametersRef};
pub use self::gateway_parameters::{
    GatewayParameters, GatewayParametersSpec, Limits, LogFormat, LogLevel, PodParameters, ProxyProtocol, Quantity, Resources,
    ServiceParameters, TaintEffect, Toleration, TolerationOperator, TrafficPolicy,
};
pub use self::grpc_route::{
    GrpcFilter, GrpcFilterPayload, GrpcFilterType, GrpcMatch, GrpcMethodMatch, GrpcRoute, GrpcRouteSpec, GrpcRule,
};
pub use self::http_filter::{HttpFilter, HttpFilterPayload, HttpFilterType, RequestMirror};
pub use self::http_match::{HeaderMatch, HttpMatch, HttpMethod, MatchType, PathMatch, PathMatchType, QueryParamMatch};
pub use self::http_route::{HttpRetry, HttpRoute, HttpRouteSpec, HttpRule, HttpTimeouts};
pub use self::listener::{
    AllowedRoutes, FromNamespaces, Listener, ListenerFilter, ListenerFilterType, ListenerFilters, ListenerTls, Protocol,
    RouteGroupKind, RouteNamespaces, TlsMode,
};
pub use self::listener_set::{ListenerSet, ListenerSetSpec, ParentGatewayRef};
pub use self::meta::Meta;
pub use self::namespace::Namespace;
pub use self::read::{FieldValidation, Reader, Reading, read, read_stored};
pub use self::redirect::{PathModifier, PathModifierType, PathReplacement, RedirectScheme, RequestRedirect, UrlRewrite};
pub use self::reference::{
    BackendObjectRef, BackendRef, FilteredBackendRef, LocalObjectRef, ObjectRef, ParentRef, SecretObjectRef,
};
pub use self::reference_grant::{GrantFrom, GrantTo, Reference, ReferenceGrant, ReferenceGrantSpec};
pub use self::report::{Invalid, Warning};
pub use self::secret::Secret;
pub use self::selector::{LabelOperator, LabelRequirement, LabelSelector};
pub use self::service::{Service, ServicePort, ServiceSpec, ServiceType, TransportProtocol};
pub use self::service_import::{ServiceImport, ServiceImportSpec, ServiceImportType};
pub use self::session_persistence::{CookieLifetime, SessionCookie, SessionHeader, SessionPersistence, SessionPersistenceType};
pub(crate) use self::syntax::is_subdomain;
pub use self::tcp_route::{TcpRoute, TcpRouteSpec, TcpRule};
pub use self::tls_route::{TlsRoute, TlsRouteSpec, TlsRule};
pub use self::udp_route::{UdpRoute, UdpRouteSpec, UdpRule};
pub use self::violations::Violations;
pub use self::xbackend::{
    EndpointSelector, ExternalHostname, XBackend, XBackendPort, XBackendProtocol, XBackendSpec, XBackendTls, XBackendTlsMode,
    XBackendType,
};
pub use self::xbackend_traffic_policy::{
    RequestRate, RetryBudget, RetryConstraint, XBackendTrafficPolicy, XBackendTrafficPolicySpec,
};
pub use self::xtelemetry_policy::{
    AttributeSource, ParentBasedSampling, SpanAttribute, TelemetryMode, Tracing, TracingProvider, XTelemetryPolicy,
    XTelemetryPolicySpec,
};

/// An object of one of the kinds that are read. Cloning it copies one pointer.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// A GatewayClass.
    GatewayClass(Arc<GatewayClass>),
    /// A Gateway.
    Gateway(Arc<Gateway>),
    /// A ListenerSet.
    ListenerSet(Arc<ListenerSet>),
    /// An HTTPRoute.
    HttpRoute(Arc<HttpRoute>),
    /// A GRPCRoute.
    GrpcRoute(Arc<GrpcRoute>),
    /// A TLSRoute.
    TlsRoute(Arc<TlsRoute>),
    /// A TCPRoute.
    TcpRoute(Arc<TcpRoute>),
    /// A UDPRoute.
    UdpRoute(Arc<UdpRoute>),
    /// A ReferenceGrant.
    ReferenceGrant(Arc<ReferenceGrant>),
    /// A BackendTLSPolicy.
    BackendTlsPolicy(Arc<BackendTlsPolicy>),
    /// An XBackendTrafficPolicy.
    XBackendTrafficPolicy(Arc<XBackendTrafficPolicy>),
    /// An XTelemetryPolicy.
    XTelemetryPolicy(Arc<XTelemetryPolicy>),
    /// An XBackend.
    XBackend(Arc<XBackend>),
    /// A Namespace.
    Namespace(Arc<Namespace>),
    /// A Service.
    Service(Arc<Service>),
    /// A ServiceImport.
    ServiceImport(Arc<ServiceImport>),
    /// An EndpointSlice.
    EndpointSlice(Arc<EndpointSlice>),
    /// A Secret.
    Secret(Arc<Secret>),
    /// A ConfigMap.
    ConfigMap(Arc<ConfigMap>),
    /// A ClusterTrustBundle.
    ClusterTrustBundle(Arc<ClusterTrustBundle>),
    /// A DirectResponse.
    DirectResponse(Arc<DirectResponse>),
    /// A GatewayParameters.
    GatewayParameters(Arc<GatewayParameters>),
    /// An object of a kind registered as an extension filter.
    Extension(Arc<Extension>),
}

impl Object {
    /// Which object it is.
    pub fn id(&self) -> ObjectId {
        ObjectId::new(self.kind(), self.meta().name.clone())
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::GatewayClass(_) => Kind::GatewayClass,
            Self::Gateway(_) => Kind::Gateway,
            Self::ListenerSet(_) => Kind::ListenerSet,
            Self::HttpRoute(_) => Kind::HttpRoute,
            Self::GrpcRoute(_) => Kind::GrpcRoute,
            Self::TlsRoute(_) => Kind::TlsRoute,
            Self::TcpRoute(_) => Kind::TcpRoute,
            Self::UdpRoute(_) => Kind::UdpRoute,
            Self::ReferenceGrant(_) => Kind::ReferenceGrant,
            Self::BackendTlsPolicy(_) => Kind::BackendTlsPolicy,
            Self::XBackendTrafficPolicy(_) => Kind::XBackendTrafficPolicy,
            Self::XTelemetryPolicy(_) => Kind::XTelemetryPolicy,
            Self::XBackend(_) => Kind::XBackend,
            Self::Namespace(_) => Kind::Namespace,
            Self::Service(_) => Kind::Service,
            Self::ServiceImport(_) => Kind::ServiceImport,
            Self::EndpointSlice(_) => Kind::EndpointSlice,
            Self::Secret(_) => Kind::Secret,
            Self::ConfigMap(_) => Kind::ConfigMap,
            Self::ClusterTrustBundle(_) => Kind::ClusterTrustBundle,
            Self::DirectResponse(_) => Kind::DirectResponse,
            Self::GatewayParameters(_) => Kind::GatewayParameters,
            Self::Extension(extension) => Kind::Extension(Box::new(extension.kind.clone())),
        }
    }

    /// Its metadata.
    pub fn meta(&self) -> &Meta {
        match self {
            Self::GatewayClass(object) => &object.meta,
            Self::Gateway(object) => &object.meta,
            Self::ListenerSet(object) => &object.meta,
            Self::HttpRoute(object) => &object.meta,
            Self::GrpcRoute(object) => &object.meta,
            Self::TlsRoute(object) => &object.meta,
            Self::TcpRoute(object) => &object.meta,
            Self::UdpRoute(object) => &object.meta,
            Self::ReferenceGrant(object) => &object.meta,
            Self::BackendTlsPolicy(object) => &object.meta,
            Self::XBackendTrafficPolicy(object) => &object.meta,
            Self::XTelemetryPolicy(object) => &object.meta,
            Self::XBackend(object) => &object.meta,
            Self::Namespace(object) => &object.meta,
            Self::Service(object) => &object.meta,
            Self::ServiceImport(object) => &object.meta,
            Self::EndpointSlice(object) => &object.meta,
            Self::Secret(object) => &object.meta,
            Self::ConfigMap(object) => &object.meta,
            Self::ClusterTrustBundle(object) => &object.meta,
            Self::DirectResponse(object) => &object.meta,
            Self::GatewayParameters(object) => &object.meta,
            Self::Extension(object) => &object.meta,
        }
    }

    /// Its metadata, to be changed.
    fn meta_mut(&mut self) -> &mut Meta {
        match self {
            Self::GatewayClass(object) => &mut Arc::make_mut(object).meta,
            Self::Gateway(object) => &mut Arc::make_mut(object).meta,
            Self::ListenerSet(object) => &mut Arc::make_mut(object).meta,
            Self::HttpRoute(object) => &mut Arc::make_mut(object).meta,
            Self::GrpcRoute(object) => &mut Arc::make_mut(object).meta,
            Self::TlsRoute(object) => &mut Arc::make_mut(object).meta,
            Self::TcpRoute(object) => &mut Arc::make_mut(object).meta,
            Self::UdpRoute(object) => &mut Arc::make_mut(object).meta,
            Self::ReferenceGrant(object) => &mut Arc::make_mut(object).meta,
            Self::BackendTlsPolicy(object) => &mut Arc::make_mut(object).meta,
            Self::XBackendTrafficPolicy(object) => &mut Arc::make_mut(object).meta,
            Self::XTelemetryPolicy(object) => &mut Arc::make_mut(object).meta,
            Self::XBackend(object) => &mut Arc::make_mut(object).meta,
            Self::Namespace(object) => &mut Arc::make_mut(object).meta,
            Self::Service(object) => &mut Arc::make_mut(object).meta,
            Self::ServiceImport(object) => &mut Arc::make_mut(object).meta,
            Self::EndpointSlice(object) => &mut Arc::make_mut(object).meta,
            Self::Secret(object) => &mut Arc::make_mut(object).meta,
            Self::ConfigMap(object) => &mut Arc::make_mut(object).meta,
            Self::ClusterTrustBundle(object) => &mut Arc::make_mut(object).meta,
            Self::DirectResponse(object) => &mut Arc::make_mut(object).meta,
            Self::GatewayParameters(object) => &mut Arc::make_mut(object).meta,
            Self::Extension(object) => &mut Arc::make_mut(object).meta,
        }
    }
}

/// An object of a kind registered as an extension filter. What it means is known to whoever registered the kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Extension {
    /// Who it is.
    pub meta: Meta,
    /// Its kind.
    pub kind: GroupKind,
    /// Its fields as written, without `apiVersion`, `kind`, `metadata` and `status`.
    pub body: Value,
}
