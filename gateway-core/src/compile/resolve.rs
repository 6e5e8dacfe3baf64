//! What a backendRef leads to (`HTTPBackendRef`, GEP-1911).
//!
//! In: a Service, a port, the Service's EndpointSlices, the policies that apply. Out: how to speak to the backend and the endpoints
//! that may serve now, or the reason it cannot be used. Grants are asked before, so nothing here is reached without permission.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::condition::Reason;
use crate::resource::{Endpoint, EndpointAddressType, EndpointSlice, Service, ServicePort, ServiceType, TransportProtocol};
use crate::snapshot::{BackendName, BackendProtocol, Security, Usage};
use crate::support::{Capability, Support};

use super::backends::{Found, Sources};
use super::fault::Fault;

/// What a name leads to, or why it cannot be used.
pub(super) fn find(name: &BackendName, sources: Sources<'_>) -> Result<Found, Fault> {
    let Sources { objects, policies, support } = sources;
    let service = objects.services.get(&name.object.name).map(Arc::as_ref);
    let port = port(service, name)?;
    let policy = match name.usage {
        Usage::Http | Usage::Grpc | Usage::Stream => policies.tls(&name.object, &port.name),
        // TLS has no datagrams.
        Usage::Datagram => None,
    };
    let Spoken { protocol, alpn } = spoken(port, name, policy.is_some(), support)?;
    let security = policy.map_or(Security::Clear, |(_, policy)| policy.security(alpn));
    let endpoints = endpoints(port, objects.slices(&name.object.name));
    let traffic = policies.traffic(&name.object).filter(|_| matches!(name.usage, Usage::Http | Usage::Grpc));
    let persistence = traffic.and_then(|traffic| traffic.persistence(&name.object)).cloned();
    let retry_budget = traffic.and_then(|traffic| traffic.retry_budget);
    Ok(Found { protocol, security, endpoints, persistence, retry_budget })
}

/// What is spoken, and what is offered where it is spoken over TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spoken {
    pub(super) protocol: BackendProtocol,
    pub(super) alpn: &'static [&'static str],
}

/// HTTP of any version, as is negotiated; HTTP/1.1 in clear.
pub(super) const ANY_HTTP: Spoken = Spoken { protocol: BackendProtocol::Http1, alpn: &["h2", "http/1.1"] };
pub(super) const HTTP1: Spoken = Spoken { protocol: BackendProtocol::Http1, alpn: &["http/1.1"] };
pub(super) const HTTP2: Spoken = Spoken { protocol: BackendProtocol::Http2, alpn: &["h2"] };
pub(super) const BYTES: Spoken = Spoken { protocol: BackendProtocol::Raw, alpn: &[] };

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
        Some(_) | None => Ok(ANY_HTTP),
    }
}

/// The Service's port, or why there is none to use.
fn port<'s>(service: Option<&'s Service>, name: &BackendName) -> Result<&'s ServicePort, Fault> {
    let not_found = |message: String| (Reason::BackendNotFound, message);
    let service = service.ok_or_else(|| not_found(format!("{} does not exist", name.object)))?;
    if service.spec.service_type == ServiceType::ExternalName {
        let message = format!(
            "{} is of type ExternalName, which is not served: it could lead anywhere; use a Service with EndpointSlices",
            name.object
        );
        return Err(not_found(message));
    }
    let number = name.port.unwrap_or(0);
    let transport = transport(name.usage);
    service.spec.port(number, &transport).ok_or_else(|| {
        let ports: Vec<String> =
            service.spec.ports.iter().map(|port| format!("{}/{}", port.port, port.protocol.as_str())).collect();
        let ports = if ports.is_empty() { "it has none".to_owned() } else { format!("its ports are {}", ports.join(", ")) };
        not_found(format!("{} has no {} port {number}; {ports}", name.object, transport.as_str()))
    })
}

fn transport(usage: Usage) -> TransportProtocol {
    match usage {
        Usage::Http | Usage::Grpc | Usage::Stream => TransportProtocol::Tcp,
        Usage::Datagram => TransportProtocol::Udp,
    }
}

/// The endpoints that may serve a port of a Service: those that are ready, or else those that still serve while they terminate.
/// Each once, sorted.
fn endpoints<'a>(port: &ServicePort, slices: impl Iterator<Item = &'a Arc<EndpointSlice>> + Clone) -> Arc<[SocketAddr]> {
    let ready = collect(port, slices.clone(), |endpoint| endpoint.conditions.is_ready());
    if !ready.is_empty() {
        return ready.into();
    }
    collect(port, slices, |endpoint| endpoint.conditions.is_draining()).into()
}

fn collect<'a>(
    port: &ServicePort,
    slices: impl Iterator<Item = &'a Arc<EndpointSlice>>,
    serves: impl Fn(&Endpoint) -> bool,
) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for slice in slices.filter(|slice| slice.address_type != EndpointAddressType::Fqdn) {
        let named = slice.ports.iter().find(|stated| stated.name == port.name && stated.protocol == port.protocol);
        let Some(number) = named.and_then(|stated| stated.port) else { continue };
        let addresses = slice.endpoints.iter().filter(|endpoint| serves(endpoint)).flat_map(|endpoint| &endpoint.addresses);
        found.extend(
            addresses.filter_map(|address| address.parse::<IpAddr>().ok()).map(|address| SocketAddr::new(address, number)),
        );
    }
    found.sort_unstable();
    found.dedup();
    found
}
