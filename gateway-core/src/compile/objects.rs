//! The objects and facts a compiler knows, as they were last given.
//!
//! In: changes. Out: objects by kind and name, EndpointSlices by Service, grants by namespace. Judges nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::name::{GATEWAY_GROUP, GroupKind, Kind, ObjectId, ObjectName};
use crate::resource::{
    BackendTlsPolicy, ClusterTrustBundle, ConfigMap, DirectResponse, EndpointSlice, Extension, Gateway, GatewayClass,
    GatewayParameters, ListenerSet, Namespace, Object, ReferenceGrant, Secret, Service, ServiceImport, ServicePort, XBackend,
    XBackendTrafficPolicy, XTelemetryPolicy,
};
use crate::snapshot::{Network, Seed, Socket};

use super::hashed::{Hashed, shrink};
use super::route::{Route, is_same_meta};
use super::{Addresses, Bound, Bundle, ServiceNames};

/// Everything known, by kind.
#[derive(Debug)]
pub(super) struct Objects {
    service_names: Option<ServiceNames>,
    pub(super) classes: BTreeMap<ObjectName, Arc<GatewayClass>>,
    pub(super) gateways: BTreeMap<ObjectName, Arc<Gateway>>,
    pub(super) listener_sets: BTreeMap<ObjectName, Arc<ListenerSet>>,
    pub(super) routes: Hashed<ObjectId, Route>,
    pub(super) namespaces: Hashed<ObjectName, Arc<Namespace>>,
    pub(super) services: Hashed<ObjectName, Arc<Service>>,
    pub(super) service_imports: BTreeMap<ObjectName, Arc<ServiceImport>>,
    pub(super) xbackends: BTreeMap<ObjectName, Arc<XBackend>>,
    pub(super) backend_tls: BTreeMap<ObjectName, Arc<BackendTlsPolicy>>,
    pub(super) backend_traffic: BTreeMap<ObjectName, Arc<XBackendTrafficPolicy>>,
    pub(super) telemetry: BTreeMap<ObjectName, Arc<XTelemetryPolicy>>,
    pub(super) secrets: BTreeMap<ObjectName, Arc<Secret>>,
    pub(super) config_maps: BTreeMap<ObjectName, Arc<ConfigMap>>,
    pub(super) trust_bundles: BTreeMap<ObjectName, Arc<ClusterTrustBundle>>,
    pub(super) parameters: BTreeMap<ObjectName, Arc<GatewayParameters>>,
    pub(super) responses: BTreeMap<ObjectName, Arc<DirectResponse>>,
    pub(super) extensions: BTreeMap<ObjectId, Arc<Extension>>,
    slices: Hashed<ObjectName, Arc<EndpointSlice>>,
    /// By Service, ServiceImport or XBackend.
    slices_of: Hashed<ObjectId, Vec<ObjectName>>,
    /// By host name, the Services and XBackends that stand for it, and the Services that may be reached by it.
    named: BTreeMap<Arc<str>, BTreeSet<ObjectId>>,
    grants: BTreeMap<ObjectName, Arc<ReferenceGrant>>,
    grants_in: BTreeMap<String, BTreeSet<ObjectName>>,
    pub(super) facts: Facts,
}

/// What the world told.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) sockets: BTreeMap<Socket, Bound>,
    pub(super) acknowledged: BTreeMap<ObjectId, i64>,
    pub(super) addresses: BTreeMap<ObjectName, Addresses>,
    pub(super) service_ranges: Option<Vec<Network>>,
    pub(super) bundle: Option<Bundle>,
    /// What host names resolve to.
    pub(super) resolved: BTreeMap<Arc<str>, Arc<[IpAddr]>>,
    /// In seconds since 1970; `None` until somebody tells.
    pub(super) now: Option<i64>,
}

impl Objects {
    pub(super) fn new(seed: Seed, service_names: Option<ServiceNames>) -> Self {
        Self {
            service_names,
            classes: BTreeMap::new(),
            gateways: BTreeMap::new(),
            listener_sets: BTreeMap::new(),
            routes: Hashed::with_hasher(seed),
            namespaces: Hashed::with_hasher(seed),
            services: Hashed::with_hasher(seed),
            service_imports: BTreeMap::new(),
            xbackends: BTreeMap::new(),
            backend_tls: BTreeMap::new(),
            backend_traffic: BTreeMap::new(),
            telemetry: BTreeMap::new(),
            secrets: BTreeMap::new(),
            config_maps: BTreeMap::new(),
            trust_bundles: BTreeMap::new(),
            parameters: BTreeMap::new(),
            responses: BTreeMap::new(),
            extensions: BTreeMap::new(),
            slices: Hashed::with_hasher(seed),
            slices_of: Hashed::with_hasher(seed),
            named: BTreeMap::new(),
            grants: BTreeMap::new(),
            grants_in: BTreeMap::new(),
            facts: Facts::default(),
        }
    }

    /// Keeps an object. Returns the one it replaces.
    pub(super) fn put(&mut self, object: Object) -> Option<Object> {
        let (id, host) = (object.id(), self.host(&object));
        let old = self.keep(object);
        self.forget_name(old.as_ref());
        if let Some(host) = host {
            self.named.entry(host).or_default().insert(id);
        }
        old
    }

    fn keep(&mut self, object: Object) -> Option<Object> {
        let name = object.meta().name.clone();
        match object {
            Object::GatewayClass(new) => self.classes.insert(name, new).map(Object::GatewayClass),
            Object::Gateway(new) => self.gateways.insert(name, new).map(Object::Gateway),
            Object::ListenerSet(new) => self.listener_sets.insert(name, new).map(Object::ListenerSet),
            Object::BackendTlsPolicy(new) => self.backend_tls.insert(name, new).map(Object::BackendTlsPolicy),
            Object::XBackendTrafficPolicy(new) => self.backend_traffic.insert(name, new).map(Object::XBackendTrafficPolicy),
            Object::XTelemetryPolicy(new) => self.telemetry.insert(name, new).map(Object::XTelemetryPolicy),
            Object::XBackend(new) => self.xbackends.insert(name, new).map(Object::XBackend),
            Object::ServiceImport(new) => self.service_imports.insert(name, new).map(Object::ServiceImport),
            Object::ConfigMap(new) => self.config_maps.insert(name, new).map(Object::ConfigMap),
            Object::ClusterTrustBundle(new) => self.trust_bundles.insert(name, new).map(Object::ClusterTrustBundle),
            Object::Namespace(new) => self.namespaces.insert(name, new).map(Object::Namespace),
            Object::Service(new) => self.services.insert(name, new).map(Object::Service),
            Object::Secret(new) => self.secrets.insert(name, new).map(Object::Secret),
            Object::GatewayParameters(new) => self.parameters.insert(name, new).map(Object::GatewayParameters),
            Object::DirectResponse(new) => self.responses.insert(name, new).map(Object::DirectResponse),
            Object::EndpointSlice(new) => {
                let old = self.forget_slice(&name);
                for owner in owners_of(&new) {
                    let names = self.slices_of.entry(owner).or_insert_with(|| Vec::with_capacity(1));
                    if let Err(at) = names.binary_search(&name) {
                        names.insert(at, name.clone());
                    }
                }
                self.slices.insert(name, new);
                old
            }
            Object::ReferenceGrant(new) => {
                self.grants_in.entry(name.namespace().to_owned()).or_default().insert(name.clone());
                self.grants.insert(name, new).map(Object::ReferenceGrant)
            }
            Object::Extension(new) => {
                let id = ObjectId::new(Kind::Extension(Box::new(new.kind.clone())), name);
                self.extensions.insert(id, new).map(Object::Extension)
            }
            Object::HttpRoute(_) | Object::GrpcRoute(_) | Object::TlsRoute(_) | Object::TcpRoute(_) | Object::UdpRoute(_) => {
                let route = Route::of(object)?;
                self.routes.insert(route.id(), route).map(Route::into_object)
            }
        }
    }

    /// Forgets an object. Returns it.
    pub(super) fn remove(&mut self, id: &ObjectId) -> Option<Object> {
        let old = self.forget(id);
        self.forget_name(old.as_ref());
        old
    }

    /// Gives back the room of objects that are gone.
    pub(super) fn shrink(&mut self) {
        shrink(&mut self.routes);
        shrink(&mut self.namespaces);
        shrink(&mut self.services);
        shrink(&mut self.slices);
        shrink(&mut self.slices_of);
    }

    /// The Services and XBackends that stand for a host name or may be reached by it.
    pub(super) fn named(&self, host: &str) -> impl Iterator<Item = &ObjectId> {
        self.named.get(host).into_iter().flatten()
    }

    /// The host name that an object stands for, or may be reached by.
    fn host(&self, object: &Object) -> Option<Arc<str>> {
        let reached = || self.service_names.as_ref().filter(|_| matches!(object, Object::Service(_)));
        external_name(object).or_else(|| Some(reached()?.of(&object.meta().name)))
    }

    fn forget_name(&mut self, old: Option<&Object>) {
        let Some((old, host)) = old.and_then(|old| Some((old, self.host(old)?))) else { return };
        if let Some(ids) = self.named.get_mut(&host) {
            ids.remove(&old.id());
            if ids.is_empty() {
                self.named.remove(&host);
            }
        }
    }

    fn forget(&mut self, id: &ObjectId) -> Option<Object> {
        let name = &id.name;
        match &id.kind {
            Kind::GatewayClass => self.classes.remove(name).map(Object::GatewayClass),
            Kind::Gateway => self.gateways.remove(name).map(Object::Gateway),
            Kind::ListenerSet => self.listener_sets.remove(name).map(Object::ListenerSet),
            Kind::BackendTlsPolicy => self.backend_tls.remove(name).map(Object::BackendTlsPolicy),
            Kind::XBackendTrafficPolicy => self.backend_traffic.remove(name).map(Object::XBackendTrafficPolicy),
            Kind::XTelemetryPolicy => self.telemetry.remove(name).map(Object::XTelemetryPolicy),
            Kind::XBackend => self.xbackends.remove(name).map(Object::XBackend),
            Kind::ServiceImport => self.service_imports.remove(name).map(Object::ServiceImport),
            Kind::ConfigMap => self.config_maps.remove(name).map(Object::ConfigMap),
            Kind::ClusterTrustBundle => self.trust_bundles.remove(name).map(Object::ClusterTrustBundle),
            Kind::Namespace => self.namespaces.remove(name).map(Object::Namespace),
            Kind::Service => self.services.remove(name).map(Object::Service),
            Kind::Secret => self.secrets.remove(name).map(Object::Secret),
            Kind::GatewayParameters => self.parameters.remove(name).map(Object::GatewayParameters),
            Kind::DirectResponse => self.responses.remove(name).map(Object::DirectResponse),
            Kind::EndpointSlice => self.forget_slice(name),
            Kind::ReferenceGrant => {
                if let Some(names) = self.grants_in.get_mut(name.namespace()) {
                    names.remove(name);
                    if names.is_empty() {
                        self.grants_in.remove(name.namespace());
                    }
                }
                self.grants.remove(name).map(Object::ReferenceGrant)
            }
            Kind::Extension(_) => self.extensions.remove(id).map(Object::Extension),
            Kind::HttpRoute | Kind::GrpcRoute | Kind::TlsRoute | Kind::TcpRoute | Kind::UdpRoute => {
                self.routes.remove(id).map(Route::into_object)
            }
        }
    }

    /// The EndpointSlices of a Service, ServiceImport or XBackend, by name.
    pub(super) fn slices(&self, owner: &ObjectId) -> impl Iterator<Item = &Arc<EndpointSlice>> + Clone {
        self.slices_of.get(owner).into_iter().flatten().filter_map(|name| self.slices.get(name))
    }

    /// The ports of a Service or ServiceImport; `None` for what does not exist or is of another kind.
    pub(super) fn ports(&self, owner: &ObjectId) -> Option<&[ServicePort]> {
        if owner.kind == Kind::Service {
            return self.services.get(&owner.name).map(|service| &*service.spec.ports);
        }
        let import = self.service_imports.get(&owner.name).filter(|_| owner.kind == Kind::ServiceImport)?;
        Some(&import.spec.ports)
    }

    /// The ReferenceGrants in a namespace, by name.
    pub(super) fn grants(&self, namespace: &str) -> impl Iterator<Item = &Arc<ReferenceGrant>> {
        self.grants_in.get(namespace).into_iter().flatten().filter_map(|name| self.grants.get(name))
    }

    /// The labels of a namespace; one that is not among the objects has only its name as a label.
    pub(super) fn labels(&self, namespace: &str) -> BTreeMap<String, String> {
        labels_of(namespace, self.namespaces.get(&ObjectName::cluster(namespace)).map(Arc::as_ref))
    }

    fn forget_slice(&mut self, name: &ObjectName) -> Option<Object> {
        let old = self.slices.remove(name)?;
        for owner in owners_of(&old) {
            let Some(names) = self.slices_of.get_mut(&owner) else { continue };
            if let Ok(at) = names.binary_search(name) {
                names.remove(at);
            }
            if names.is_empty() {
                self.slices_of.remove(&owner);
            }
        }
        Some(Object::EndpointSlice(old))
    }
}

/// Whether two versions of an object differ in nothing but their status.
pub(super) fn is_same_but_for_status(one: &Object, other: &Object) -> bool {
    let body = match (one, other) {
        (Object::GatewayClass(one), Object::GatewayClass(other)) => one.spec == other.spec,
        (Object::Gateway(one), Object::Gateway(other)) => one.spec == other.spec,
        (Object::ListenerSet(one), Object::ListenerSet(other)) => one.spec == other.spec,
        (Object::BackendTlsPolicy(one), Object::BackendTlsPolicy(other)) => one.spec == other.spec,
        (Object::XBackendTrafficPolicy(one), Object::XBackendTrafficPolicy(other)) => one.spec == other.spec,
        (Object::XTelemetryPolicy(one), Object::XTelemetryPolicy(other)) => one.spec == other.spec,
        (Object::XBackend(one), Object::XBackend(other)) => one.spec == other.spec,
        (Object::ServiceImport(one), Object::ServiceImport(other)) => one.spec == other.spec,
        (Object::ConfigMap(one), Object::ConfigMap(other)) => one.ca_certificates == other.ca_certificates,
        (Object::ClusterTrustBundle(one), Object::ClusterTrustBundle(other)) => one.spec == other.spec,
        (Object::ReferenceGrant(one), Object::ReferenceGrant(other)) => one.spec == other.spec,
        (Object::Namespace(_), Object::Namespace(_)) => true,
        (Object::Service(one), Object::Service(other)) => one.spec == other.spec,
        (Object::EndpointSlice(one), Object::EndpointSlice(other)) => {
            one.address_type == other.address_type && one.endpoints == other.endpoints && one.ports == other.ports
        }
        (Object::Secret(one), Object::Secret(other)) => one.secret_type == other.secret_type && one.data == other.data,
        (Object::DirectResponse(one), Object::DirectResponse(other)) => one.spec == other.spec,
        (Object::GatewayParameters(one), Object::GatewayParameters(other)) => one.spec == other.spec,
        (Object::Extension(one), Object::Extension(other)) => one.kind == other.kind && one.body == other.body,
        _ => match (Route::of(one.clone()), Route::of(other.clone())) {
            (Some(one), Some(other)) => return one.is_same_but_for_status(&other),
            (None, _) | (_, None) => return false,
        },
    };
    body && is_same_meta(one.meta(), other.meta())
}

/// What an EndpointSlice belongs to.
pub(super) fn owners_of(slice: &EndpointSlice) -> impl Iterator<Item = ObjectId> {
    let owners =
        [(Kind::Service, slice.service()), (Kind::ServiceImport, slice.service_import()), (Kind::XBackend, slice.xbackend())];
    let namespace = slice.meta.name.namespace();
    owners.into_iter().filter_map(move |(kind, name)| Some(ObjectId::new(kind, ObjectName::new(namespace, name?))))
}

/// The host name that a Service or an XBackend stands for, in lower case and without a dot at its end.
pub(super) fn external_name(object: &Object) -> Option<Arc<str>> {
    let name = if let Object::Service(service) = object {
        service.spec.external_host()?
    } else if let Object::XBackend(backend) = object {
        backend.spec.external_host()?
    } else {
        return None;
    };
    Some(external_host(name))
}

/// A host name as it is resolved.
pub(super) fn external_host(stated: &str) -> Arc<str> {
    stated.trim_end_matches('.').to_ascii_lowercase().into()
}

/// The labels that selectors see of a namespace, whether it is among the objects or not.
pub(super) fn labels_of(name: &str, namespace: Option<&Namespace>) -> BTreeMap<String, String> {
    let mut labels = namespace.map_or_else(BTreeMap::new, |found| found.meta.labels.clone());
    labels.insert(NAME_LABEL.to_owned(), name.to_owned());
    labels
}

/// A kind as a reference states it, with its group where that is not the core group or Gateway API's own.
pub(super) fn written_kind(group: &str, kind: &str) -> String {
    match group {
        "" | GATEWAY_GROUP => kind.to_owned(),
        group => format!("{kind}.{group}"),
    }
}

/// The kind of an object by group and kind, known or registered as an extension.
pub(super) fn kind_of(group: &str, kind: &str) -> Kind {
    Kind::named(group, kind).unwrap_or_else(|| Kind::Extension(Box::new(GroupKind::new(group, kind))))
}

const NAME_LABEL: &str = "kubernetes.io/metadata.name";
