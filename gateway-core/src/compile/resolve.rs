//! What a backendRef leads to (`HTTPBackendRef`, GEP-1911, GEP-1748, GEP-4894).
//!
//! In: a Service, ServiceImport or XBackend with its EndpointSlices or its resolved host name, a port, a use, the policies that apply.
//! Out: how to speak to the backend and the endpoints that may serve now, or the reason it cannot be used. Grants are asked before, so
//! nothing here is reached without permission.

use std::sync::Arc;

use crate::condition::Reason;
use crate::name::{Kind, ObjectId};
use crate::resource::{
    ServiceImport, ServicePort, ServiceSpec, TransportProtocol, XBackend, XBackendProtocol, XBackendSpec, XBackendType,
};
use crate::snapshot::{BackendName, BackendProtocol, Persistence, RetryBudget, Security, Usage};
use crate::support::{Capability, Support};

use super::ExternalNames;
use super::backends::{Found, Sources};
use super::endpoints::{self, Port};
use super::fault::Fault;
use super::objects::external_host;
use super::policies::Policy;
use super::violation;

/// What a name leads to, or why it cannot be used.
pub(super) fn find(name: &BackendName, sources: Sources<'_>) -> Result<Found, Fault> {
    let missing = || (Reason::BackendNotFound, format!("{} does not exist", name.object));
    let (objects, wanted) = (sources.objects, &name.object.name);
    if name.object.kind == Kind::ServiceImport {
        return import(objects.service_imports.get(wanted).ok_or_else(missing)?, name, sources);
    }
    if name.object.kind == Kind::XBackend {
        return xbackend(objects.xbackends.get(wanted).ok_or_else(missing)?, name, sources);
    }
    service(&objects.services.get(wanted).ok_or_else(missing)?.spec, name, sources)
}

fn service(spec: &ServiceSpec, name: &BackendName, sources: Sources<'_>) -> Result<Found, Fault> {
    let Sources { objects, support, external_names, cluster_domain, .. } = sources;
    let number = name.port.unwrap_or(0);
    let host = spec.external_host().map(external_host);
    let unstated;
    let port = match &host {
        Some(_) if !support.has(Capability::ExternalNames) || external_names == ExternalNames::Refused => {
            let message = format!(
                "{} is of type ExternalName, which is not served: it could lead anywhere; use a Service with EndpointSlices",
                name.object
            );
            return Err((Reason::BackendNotFound, message));
        }
        // The ports of such a Service are nobody's business but the host's.
        Some(_) if spec.ports.is_empty() => {
            let protocol = transport(name.usage);
            unstated = ServicePort { name: String::new(), port: number, protocol, app_protocol: None };
            &unstated
        }
        Some(_) | None => port(spec.port(number, &transport(name.usage)), &spec.ports, name)?,
    };
    if let Some(host) = &host {
        leads_out(host, name, external_names, cluster_domain)?;
    }
    let policy = policy(port, name, sources);
    let Spoken { protocol, alpn } = spoken(port, name, policy.is_some(), support)?;
    let host = host.or_else(|| own_host(name, sources));
    let endpoints = match &host {
        Some(host) => endpoints::behind_name(host, number, &objects.facts, external_names),
        None => endpoints::in_slices(Port::Named(port), objects.slices(&name.object)),
    };
    let (persistence, retry_budget) = traffic(name, &spec.ports, sources);
    let security = policy.map_or(Security::Clear, |policy| policy.security(alpn));
    let is_resolved = is_resolved(host.as_deref(), sources);
    Ok(Found { protocol, security, endpoints, persistence, retry_budget, host, is_resolved })
}

/// The host name by which a Service is reached that has no EndpointSlice.
fn own_host(name: &BackendName, sources: Sources<'_>) -> Option<Arc<str>> {
    let names = sources.service_names.filter(|_| sources.support.has(Capability::ExternalNames))?;
    sources.objects.slices(&name.object).next().is_none().then(|| names.of(&name.object.name))
}

/// The policy for TLS to a port.
fn policy<'s>(port: &ServicePort, name: &BackendName, sources: Sources<'s>) -> Option<&'s Policy> {
    match name.usage {
        Usage::Http | Usage::Grpc | Usage::Stream => sources.policies.tls(&name.object, &port.name),
        // TLS has no datagrams.
        Usage::Datagram => None,
    }
}

/// What the policy for traffic says of requests to one of these ports.
fn traffic(name: &BackendName, ports: &[ServicePort], sources: Sources<'_>) -> (Option<Arc<Persistence>>, Option<RetryBudget>) {
    let traffic = sources.policies.traffic(&name.object).filter(|_| matches!(name.usage, Usage::Http | Usage::Grpc));
    let port = name.port.unwrap_or(0);
    let is_first = ports.first().is_none_or(|first| first.port == port);
    traffic.map_or((None, None), |traffic| (traffic.persistence(&name.object, port, is_first), traffic.retry_budget))
}

fn import(import: &ServiceImport, name: &BackendName, sources: Sources<'_>) -> Result<Found, Fault> {
    let found = import.spec.port(name.port.unwrap_or(0), &transport(name.usage));
    let port = port(found, &import.spec.ports, name)?;
    let policy = policy(port, name, sources);
    let Spoken { protocol, alpn } = spoken(port, name, policy.is_some(), sources.support)?;
    let mut slices = sources.objects.slices(&name.object).peekable();
    // Without slices, the addresses of the Service as a whole stand for its endpoints.
    let endpoints = match slices.peek() {
        Some(_) => endpoints::in_slices(Port::Named(port), slices),
        None => endpoints::stated(&import.spec.ips, port.port),
    };
    let (persistence, retry_budget) = traffic(name, &import.spec.ports, sources);
    let security = policy.map_or(Security::Clear, |policy| policy.security(alpn));
    Ok(Found { protocol, security, endpoints, persistence, retry_budget, host: None, is_resolved: false })
}

fn xbackend(backend: &XBackend, name: &BackendName, sources: Sources<'_>) -> Result<Found, Fault> {
    let Sources { objects, policies, support, external_names, cluster_domain, service_names: _ } = sources;
    // What violates the schema is as good as not there: an address for a name, or TLS that was forgotten, must not be made use of.
    if let Some(violation) = violation::of_object(&backend.meta) {
        return Err((Reason::BackendNotFound, format!("{} is not valid: {violation}", name.object)));
    }
    let spec = &backend.spec;
    let own = policies.get(&name.object);
    let Spoken { protocol, alpn } = spoken_with(spec, &name.object, name.usage, support)?;
    let number = spec.port.number;
    let (endpoints, host) = match &spec.backend_type {
        XBackendType::EndpointSelector => (endpoints::in_slices(Port::Number(number), objects.slices(&name.object)), None),
        XBackendType::ExternalHostname if support.has(Capability::ExternalNames) => {
            let host = external_host(spec.external_host().unwrap_or_default());
            leads_out(&host, name, external_names, cluster_domain)?;
            (endpoints::behind_name(&host, number, &objects.facts, external_names), Some(host))
        }
        XBackendType::ExternalHostname => {
            let message = format!("{} is of type ExternalHostname: host names are not resolved by this data plane", name.object);
            return Err((Reason::BackendNotFound, message));
        }
        XBackendType::Other(unknown) => {
            return Err((Reason::BackendNotFound, format!("{} is of type {unknown}, which is not known", name.object)));
        }
    };
    let persistence = own.and_then(|own| own.persistence()).filter(|_| matches!(name.usage, Usage::Http | Usage::Grpc)).cloned();
    let security = own.map_or(Security::Clear, |own| own.security(alpn));
    let is_resolved = is_resolved(host.as_deref(), sources);
    Ok(Found { protocol, security, endpoints, persistence, retry_budget: None, host, is_resolved })
}

fn is_resolved(host: Option<&str>, sources: Sources<'_>) -> bool {
    host.is_some_and(|host| sources.objects.facts.resolved.contains_key(host))
}

/// Fails for the names of the cluster's own Services and pods, which would be a way around ReferenceGrants.
fn leads_out(host: &str, name: &BackendName, external_names: ExternalNames, cluster_domain: &str) -> Result<(), Fault> {
    let is_within = host.strip_suffix(cluster_domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    if !is_within || external_names == ExternalNames::Anywhere {
        return Ok(());
    }
    let message = format!("{} leads to {host}, a name of the cluster's own; refer to the Service itself", name.object);
    Err((Reason::BackendNotFound, message))
}

/// What is spoken, and what is offered where it is spoken over TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Spoken {
    protocol: BackendProtocol,
    alpn: &'static [&'static str],
}

/// HTTP of any version, as is negotiated; HTTP/1.1 in clear.
const ANY_HTTP: Spoken = Spoken { protocol: BackendProtocol::Http1, alpn: &["h2", "http/1.1"] };
const HTTP1: Spoken = Spoken { protocol: BackendProtocol::Http1, alpn: &["http/1.1"] };
const HTTP2: Spoken = Spoken { protocol: BackendProtocol::Http2, alpn: &["h2"] };
const BYTES: Spoken = Spoken { protocol: BackendProtocol::Raw, alpn: &[] };

/// What is spoken on a port of a Service or ServiceImport.
fn spoken(port: &ServicePort, name: &BackendName, is_tls: bool, support: Support) -> Result<Spoken, Fault> {
    match name.usage {
        Usage::Http => http(port, name, is_tls, support),
        Usage::Grpc => Ok(HTTP2),
        Usage::Stream | Usage::Datagram => Ok(BYTES),
    }
}

fn http(port: &ServicePort, name: &BackendName, is_tls: bool, support: Support) -> Result<Spoken, Fault> {
    let unsupported = |why: String| Err((Reason::UnsupportedProtocol, format!("port {} of {} {why}", port.port, name.object)));
    match port.app_protocol.as_deref() {
        Some("kubernetes.io/h2c") if support.has(Capability::H2c) => Ok(HTTP2),
        Some("kubernetes.io/ws") if support.has(Capability::WebSocket) => Ok(HTTP1),
        Some("kubernetes.io/wss") if support.has(Capability::WebSocket) && is_tls => Ok(HTTP1),
        Some("kubernetes.io/wss") if support.has(Capability::WebSocket) => {
            unsupported("has appProtocol kubernetes.io/wss, which needs a BackendTLSPolicy that targets the port".to_owned())
        }
        Some(other) if other.starts_with("kubernetes.io/") => {
            unsupported(format!("has appProtocol {other}, which HTTPRoutes cannot use here"))
        }
        Some(tls) if tls.eq_ignore_ascii_case("https") && !is_tls => {
            unsupported(format!("has appProtocol {tls}, which needs a BackendTLSPolicy that targets the port"))
        }
        Some(calls) if calls.eq_ignore_ascii_case("grpc") && support.has(Capability::H2c) => Ok(HTTP2),
        Some(calls) if calls.eq_ignore_ascii_case("grpc") => {
            unsupported(format!("has appProtocol {calls}: HTTP/2, which this data plane does not speak to backends"))
        }
        Some(_) | None => Ok(ANY_HTTP),
    }
}

/// What is spoken with an XBackend: what it states, as far as it is fit for the use.
fn spoken_with(spec: &XBackendSpec, object: &ObjectId, usage: Usage, support: Support) -> Result<Spoken, Fault> {
    use XBackendProtocol::{Grpc, H2c, Http, Http2, Http11, Mcp, Other, Tcp, Wss};
    let unfit = |stated: &XBackendProtocol, what: &str| {
        Err((Reason::UnsupportedProtocol, format!("{object} speaks {stated}, which is not for {what}")))
    };
    match (usage, &spec.protocol) {
        (_, Some(Other(unknown))) => {
            Err((Reason::UnsupportedProtocol, format!("{object} speaks {unknown}, which is not known here")))
        }
        (Usage::Datagram, _) => Err((Reason::UnsupportedProtocol, format!("{object} has no UDP port: XBackends have none"))),
        (Usage::Stream, _) => Ok(BYTES),
        (Usage::Http | Usage::Grpc, Some(H2c)) if !support.has(Capability::H2c) => unfit(&H2c, "this data plane"),
        (Usage::Http, Some(Wss)) if !support.has(Capability::WebSocket) => unfit(&Wss, "this data plane"),
        (Usage::Http, None | Some(Http | Mcp)) => Ok(ANY_HTTP),
        (Usage::Http, Some(Http11 | Wss)) => Ok(HTTP1),
        (Usage::Http, Some(Http2 | H2c | Grpc)) | (Usage::Grpc, None | Some(Http | Http2 | H2c | Grpc)) => Ok(HTTP2),
        (Usage::Http, Some(stated @ Tcp)) => unfit(stated, "HTTP"),
        (Usage::Grpc, Some(stated @ (Http11 | Mcp | Tcp | Wss))) => unfit(stated, "gRPC"),
    }
}

/// The port that a reference names, of all there are, or why there is none to use.
fn port<'p>(found: Option<&'p ServicePort>, all: &[ServicePort], name: &BackendName) -> Result<&'p ServicePort, Fault> {
    found.ok_or_else(|| {
        let known: Vec<String> = all.iter().map(|port| format!("{}/{}", port.port, port.protocol.as_str())).collect();
        let known = if known.is_empty() { "it has none".to_owned() } else { format!("its ports are {}", known.join(", ")) };
        let (number, transport) = (name.port.unwrap_or(0), transport(name.usage));
        (Reason::BackendNotFound, format!("{} has no {} port {number}; {known}", name.object, transport.as_str()))
    })
}

fn transport(usage: Usage) -> TransportProtocol {
    match usage {
        Usage::Http | Usage::Grpc | Usage::Stream => TransportProtocol::Tcp,
        Usage::Datagram => TransportProtocol::Udp,
    }
}
