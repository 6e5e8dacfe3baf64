//! Which backends that routes refer to nobody serves.
//!
//! In: the objects in force. Out: Services, with the port, that are missing or have no endpoint, and the flag that would serve each.
//! Advice for people: what requests meet is the compiler's to say.

use std::collections::{BTreeSet, HashMap, HashSet};

use gateway_core::name::ObjectId;
use gateway_core::resource::{BackendObjectRef, EndpointSlice, Object, ServiceType, TransportProtocol};
use gateway_core::snapshot::BackendName;

/// The backends of HTTPRoutes that nobody serves; no other kind of route is served yet.
pub(crate) fn unserved(objects: &HashMap<ObjectId, Object>) -> BTreeSet<BackendName> {
    let mut wanted = BTreeSet::new();
    for object in objects.values() {
        let namespace = object.meta().name.namespace();
        if let Object::HttpRoute(route) = object {
            let refs = route.spec.rules.iter().flat_map(|rule| &rule.backend_refs);
            wanted.extend(refs.filter_map(|backend| service(&backend.object, namespace)));
        }
    }
    let served = served(objects);
    wanted.retain(|backend| !served.contains(backend));
    wanted
}

fn service(backend: &BackendObjectRef, namespace: &str) -> Option<BackendName> {
    let port = backend.port.filter(|_| backend.is_service())?;
    Some(BackendName::service(backend.target(namespace), port))
}

fn served(objects: &HashMap<ObjectId, Object>) -> HashSet<BackendName> {
    let mut slices: HashMap<(&str, &str), Vec<&EndpointSlice>> = HashMap::new();
    for object in objects.values() {
        if let Object::EndpointSlice(slice) = object
            && let Some(service) = slice.service()
            && slice.endpoints.iter().any(|endpoint| endpoint.conditions.is_ready() || endpoint.conditions.is_draining())
        {
            slices.entry((slice.meta.name.namespace(), service)).or_default().push(slice);
        }
    }
    let mut served = HashSet::new();
    for object in objects.values() {
        let Object::Service(service) = object else { continue };
        let name = &service.meta.name;
        let own = slices.get(&(name.namespace(), name.name())).map_or(&[][..], Vec::as_slice);
        let elsewhere = service.spec.service_type == ServiceType::ExternalName;
        for port in service.spec.ports.iter().filter(|port| port.protocol == TransportProtocol::Tcp) {
            if elsewhere || own.iter().any(|slice| slice.ports.iter().any(|offered| offered.name == port.name)) {
                served.insert(BackendName::service(name.clone(), port.port));
            }
        }
    }
    served
}

/// The flag that would serve a backend.
pub(crate) fn flag(backend: &BackendName) -> String {
    format!("--backend {backend}=127.0.0.1:PORT")
}
