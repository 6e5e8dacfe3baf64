//! Which backends that are referred to nobody serves.
//!
//! In: the objects in force. Out: Services, with the port, that are missing or have no endpoint, and the flag that would serve each.
//! Routes of every kind count, with the targets of their filters, and the filters of listeners. A Service that is found by its name has
//! endpoints, as far as can be told. Advice for people: what requests meet is the compiler's to say.

use std::collections::{BTreeSet, HashMap, HashSet};

use gateway_core::name::{ObjectId, ObjectName};
use gateway_core::resource::{
    BackendObjectRef, BackendRef, EndpointSlice, GrpcFilter, GrpcFilterPayload, HttpFilter, HttpFilterPayload, Listener, Object,
    ServiceType, TransportProtocol,
};
use gateway_core::snapshot::Transport;

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ServicePort {
    pub(crate) service: ObjectName,
    port: u16,
}

/// The backends that nobody serves. `by_name` says whether Services without EndpointSlices are found by their names.
pub(crate) fn unserved(objects: &HashMap<ObjectId, Object>, by_name: bool) -> BTreeSet<ServicePort> {
    let served = served(objects, by_name);
    let mut unserved = BTreeSet::new();
    for object in objects.values() {
        let namespace = object.meta().name.namespace();
        let transport = if matches!(object, Object::UdpRoute(_)) { Transport::Udp } else { Transport::Tcp };
        let wanted = references(object).into_iter().filter_map(|reference| ServicePort::of(reference, namespace));
        unserved.extend(wanted.filter(|port| !served.contains(&(port.clone(), transport))));
    }
    unserved
}

impl ServicePort {
    fn of(backend: &BackendObjectRef, namespace: &str) -> Option<Self> {
        let port = backend.port.filter(|_| backend.is_service())?;
        Some(Self { service: backend.target(namespace), port })
    }

    /// The flag that would serve it.
    pub(crate) fn flag(&self) -> String {
        format!("--backend {}:{}=127.0.0.1:PORT", self.service, self.port)
    }
}

/// The backends that an object refers to.
fn references(object: &Object) -> Vec<&BackendObjectRef> {
    match object {
        Object::HttpRoute(route) => {
            let of_rules = route.spec.rules.iter().flat_map(|rule| {
                let targets = rule.backend_refs.iter().flat_map(|backend| of_filters(&backend.filters).chain([&backend.object]));
                of_filters(&rule.filters).chain(targets)
            });
            of_rules.collect()
        }
        Object::GrpcRoute(route) => {
            let of_rules = route.spec.rules.iter().flat_map(|rule| {
                let targets = rule.backend_refs.iter().flat_map(|backend| of_calls(&backend.filters).chain([&backend.object]));
                of_calls(&rule.filters).chain(targets)
            });
            of_rules.collect()
        }
        Object::TlsRoute(route) => plain(route.spec.rules.iter().map(|rule| &rule.backend_refs)),
        Object::TcpRoute(route) => plain(route.spec.rules.iter().map(|rule| &rule.backend_refs)),
        Object::UdpRoute(route) => plain(route.spec.rules.iter().map(|rule| &rule.backend_refs)),
        Object::Gateway(gateway) => of_listeners(&gateway.spec.listeners),
        Object::ListenerSet(set) => of_listeners(&set.spec.listeners),
        Object::GatewayClass(_)
        | Object::ReferenceGrant(_)
        | Object::BackendTlsPolicy(_)
        | Object::XBackendTrafficPolicy(_)
        | Object::XTelemetryPolicy(_)
        | Object::XBackend(_)
        | Object::Namespace(_)
        | Object::Service(_)
        | Object::ServiceImport(_)
        | Object::EndpointSlice(_)
        | Object::Secret(_)
        | Object::ConfigMap(_)
        | Object::ClusterTrustBundle(_)
        | Object::DirectResponse(_)
        | Object::GatewayParameters(_)
        | Object::Extension(_) => Vec::new(),
    }
}

fn plain<'a>(rules: impl Iterator<Item = &'a Vec<BackendRef>>) -> Vec<&'a BackendObjectRef> {
    rules.flatten().map(|backend| &backend.object).collect()
}

fn of_filters(filters: &[HttpFilter]) -> impl Iterator<Item = &BackendObjectRef> {
    filters.iter().filter_map(|filter| match filter.payload() {
        HttpFilterPayload::RequestMirror(mirror) => Some(&mirror.backend_ref),
        HttpFilterPayload::ExternalAuth(auth) => Some(&auth.backend_ref),
        HttpFilterPayload::RequestHeaderModifier(_)
        | HttpFilterPayload::ResponseHeaderModifier(_)
        | HttpFilterPayload::RequestRedirect(_)
        | HttpFilterPayload::UrlRewrite(_)
        | HttpFilterPayload::Cors(_)
        | HttpFilterPayload::ExtensionRef(_)
        | HttpFilterPayload::DirectResponse(_)
        | HttpFilterPayload::Unknown(_) => None,
    })
}

fn of_calls(filters: &[GrpcFilter]) -> impl Iterator<Item = &BackendObjectRef> {
    filters.iter().filter_map(|filter| match filter.payload() {
        GrpcFilterPayload::RequestMirror(mirror) => Some(&mirror.backend_ref),
        GrpcFilterPayload::RequestHeaderModifier(_)
        | GrpcFilterPayload::ResponseHeaderModifier(_)
        | GrpcFilterPayload::ExtensionRef(_)
        | GrpcFilterPayload::Unknown(_) => None,
    })
}

fn of_listeners(listeners: &[Listener]) -> Vec<&BackendObjectRef> {
    let filters = listeners.iter().filter_map(|listener| listener.filters.as_ref()).flat_map(|filters| &filters.requests);
    filters.filter_map(|filter| filter.external_auth.as_ref()).map(|auth| &auth.backend_ref).collect()
}

fn served(objects: &HashMap<ObjectId, Object>, by_name: bool) -> HashSet<(ServicePort, Transport)> {
    let mut slices: HashMap<(&str, &str), Vec<&EndpointSlice>> = HashMap::new();
    for object in objects.values() {
        if let Object::EndpointSlice(slice) = object
            && let Some(service) = slice.service()
        {
            let of_service = slices.entry((slice.meta.name.namespace(), service)).or_default();
            if slice.endpoints.iter().any(|endpoint| endpoint.conditions.is_ready() || endpoint.conditions.is_draining()) {
                of_service.push(slice);
            }
        }
    }
    let mut served = HashSet::new();
    for object in objects.values() {
        let Object::Service(service) = object else { continue };
        let name = &service.meta.name;
        let own = slices.get(&(name.namespace(), name.name()));
        let elsewhere = service.spec.service_type == ServiceType::ExternalName || (by_name && own.is_none());
        let own = own.map_or(&[][..], Vec::as_slice);
        for port in &service.spec.ports {
            let transport = match port.protocol {
                TransportProtocol::Tcp => Transport::Tcp,
                TransportProtocol::Udp => Transport::Udp,
                TransportProtocol::Sctp | TransportProtocol::Other(_) => continue,
            };
            let mut offered = own.iter().flat_map(|slice| &slice.ports);
            if elsewhere || offered.any(|offered| offered.name == port.name && offered.protocol == port.protocol) {
                served.insert((ServicePort { service: name.clone(), port: port.port }, transport));
            }
        }
    }
    served
}
