//! What a backendRef leads to (`HTTPBackendRef`, GEP-1911).
//!
//! In: a Service, a port, and the Service's EndpointSlices. Out: how to speak to the backend, or the reason it cannot be used; and
//! the endpoints that may serve now. Grants are asked before, so nothing here is reached without permission.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::condition::Reason;
use crate::resource::{Endpoint, EndpointAddressType, EndpointSlice, Service, ServicePort, ServiceType, TransportProtocol};
use crate::snapshot::{BackendName, BackendProtocol, Usage};
use crate::support::{Capability, Support};

use super::fault::Fault;

/// How a port of a Service is spoken to, or why it cannot be used.
pub(super) fn protocol(port: &ServicePort, name: &BackendName, support: Support) -> Result<BackendProtocol, Fault> {
    match name.usage {
        Usage::Http => http(port, name, support),
        Usage::Grpc => Ok(BackendProtocol::Http2),
        Usage::Stream | Usage::Datagram => Ok(BackendProtocol::Raw),
    }
}

fn http(port: &ServicePort, name: &BackendName, support: Support) -> Result<BackendProtocol, Fault> {
    match port.app_protocol.as_deref() {
        Some("kubernetes.io/h2c") if support.has(Capability::H2c) => Ok(BackendProtocol::Http2),
        Some("kubernetes.io/ws") if support.has(Capability::WebSocket) => Ok(BackendProtocol::Http1),
        Some(other) if other.starts_with("kubernetes.io/") => {
            let message =
                format!("port {} of {} has appProtocol {other}, which HTTPRoutes cannot use here", port.port, name.object);
            Err((Reason::UnsupportedProtocol, message))
        }
        Some(_) | None => Ok(BackendProtocol::Http1),
    }
}

/// The Service's port, or why there is none to use.
pub(super) fn port<'s>(service: Option<&'s Service>, name: &BackendName) -> Result<&'s ServicePort, Fault> {
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
pub(super) fn endpoints<'a>(
    port: &ServicePort,
    slices: impl Iterator<Item = &'a Arc<EndpointSlice>> + Clone,
) -> Arc<[SocketAddr]> {
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
