//! Kinds that are read and not performed yet: what a person should know of their objects, since nothing may be accepted and ignored.

use crate::name::Kind;

/// What to say of an object of this kind; `None` for kinds that are performed.
pub(super) fn remark(kind: &Kind) -> Option<&'static str> {
    match kind {
        Kind::XBackend | Kind::ServiceImport => {
            Some("it is not served; a backendRef that names it is answered 500, a Service with EndpointSlices is served")
        }
        Kind::GatewayClass
        | Kind::Gateway
        | Kind::ListenerSet
        | Kind::HttpRoute
        | Kind::GrpcRoute
        | Kind::TlsRoute
        | Kind::TcpRoute
        | Kind::UdpRoute
        | Kind::BackendTlsPolicy
        | Kind::XBackendTrafficPolicy
        | Kind::XTelemetryPolicy
        | Kind::ReferenceGrant
        | Kind::Namespace
        | Kind::Service
        | Kind::EndpointSlice
        | Kind::Secret
        | Kind::ConfigMap
        | Kind::ClusterTrustBundle
        | Kind::DirectResponse
        | Kind::GatewayParameters
        | Kind::Extension(_) => None,
    }
}
