//! Policies and backends of kinds that are read and not performed yet: what is said of them, and what they keep from being sent.
//!
//! In: objects of these kinds. Out: remarks, since nothing may be accepted and ignored; and the fault of a Service's port that a
//! BackendTLSPolicy wants spoken to over TLS, as nothing may go there in clear.

use crate::condition::Reason;
use crate::name::{Kind, ObjectName};
use crate::resource::{BackendTlsPolicy, Object, PolicyTargetRef, ServicePort};
use crate::snapshot::{BackendName, Usage};

use super::fault::Fault;
use super::objects::Objects;

/// The Services that a BackendTLSPolicy targets.
pub(super) fn targets(policy: &BackendTlsPolicy) -> impl Iterator<Item = ObjectName> {
    let namespace = policy.meta.name.namespace();
    services(policy).map(move |target| ObjectName::new(namespace, &target.name))
}

fn services(policy: &BackendTlsPolicy) -> impl Iterator<Item = &PolicyTargetRef> {
    policy.spec.target_refs.iter().filter(|target| target.group.is_empty() && target.kind == Kind::Service.as_str())
}

/// Why nothing may be sent to a port of a Service: a policy asks for TLS, and it would go in clear.
pub(super) fn unprotected(port: &ServicePort, name: &BackendName, objects: &Objects) -> Option<Fault> {
    match name.usage {
        Usage::Http | Usage::Grpc => {}
        Usage::Stream | Usage::Datagram => return None,
    }
    let service = &name.object.name;
    let applies = |policy: &&BackendTlsPolicy| {
        let mut targets = services(policy).filter(|target| target.name == service.name());
        targets.any(|target| target.section_name.as_ref().is_none_or(|section| *section == port.name))
    };
    let policy = objects.protecting(service).find(applies)?;
    let message = format!(
        "BackendTLSPolicy {} asks for TLS to {}, which is not performed; nothing is sent there in clear",
        policy.meta.name, name.object
    );
    Some((Reason::UnsupportedProtocol, message))
}

/// What a person should know of an object whose kind is not performed; `None` for kinds that are.
pub(super) fn remark(kind: &Kind) -> Option<&'static str> {
    match kind {
        Kind::BackendTlsPolicy => {
            Some("TLS to backends is not performed; requests to the ports it targets are answered 500, none is sent in clear")
        }
        Kind::XBackendTrafficPolicy => {
            Some("it has no effect: neither retry budgets nor sessions of a backend are performed for it")
        }
        Kind::XTelemetryPolicy => Some("it has no effect: traces are not exported"),
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

/// The Services whose ports may be protected otherwise, as one of the two versions of a policy targets them.
pub(super) fn touched<'a>(old: Option<&'a Object>, new: Option<&'a Object>) -> impl Iterator<Item = ObjectName> + 'a {
    let policies = [old, new].into_iter().flatten().filter_map(|object| {
        let Object::BackendTlsPolicy(policy) = object else { return None };
        Some(policy)
    });
    policies.flat_map(|policy| targets(policy))
}
