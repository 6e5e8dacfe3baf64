//! Where the references of a route lead: backends and extension objects.
//!
//! In: a route, the objects, the grants. Out: one answer per reference, in the order of the spec, and what a change of which would
//! change an answer. Written for the condition ResolvedRefs and for `translate`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::condition::Reason;
use crate::name::{Kind, OWN_GROUP, ObjectId, ObjectName};
use crate::resource::{BackendObjectRef, DirectResponse, HttpFilter, HttpFilterPayload, HttpRoute, LocalObjectRef};
use crate::snapshot::filters::Handle;
use crate::snapshot::{BackendId, BackendName, Usage, Writer};
use crate::support::{Capability, Support};

use super::Extensions;
use super::backends::Backends;
use super::gateway::Fault;
use super::grant::Reference;
use super::objects::{Objects, kind_of};
use super::resolve;
use super::route::Route;

/// What an `ExtensionRef` leads to.
#[derive(Clone, Debug)]
pub(crate) enum Resolved {
    /// A direct response.
    Response(Arc<DirectResponse>),
    /// A filter of the data plane.
    Handle(ObjectId, Handle),
    /// Nothing usable.
    Fault(Fault),
}

impl PartialEq for Resolved {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Response(one), Self::Response(other)) => Arc::ptr_eq(one, other),
            (Self::Handle(_, one), Self::Handle(_, other)) => Arc::ptr_eq(one, other),
            (Self::Fault(one), Self::Fault(other)) => one == other,
            (Self::Response(_) | Self::Handle(..) | Self::Fault(_), _) => false,
        }
    }
}

/// Where the references of one rule lead.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct RuleReferences {
    /// Of the rule's ExtensionRefs, in order.
    pub(super) filters: Vec<Resolved>,
    /// Of its backendRefs, in order.
    pub(super) targets: Vec<TargetReferences>,
}

/// Where one backendRef leads.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TargetReferences {
    pub(super) backend: Result<BackendId, Fault>,
    /// Of its ExtensionRefs, in order.
    pub(super) filters: Vec<Resolved>,
}

/// Where all references of a route lead.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct References {
    /// One per rule; empty for kinds that are judged but not served.
    pub(super) rules: Vec<RuleReferences>,
    /// The gravest fault.
    pub(super) fault: Option<Fault>,
    /// Backends in use, each once.
    pub(super) backends: Vec<BackendName>,
    /// Other objects referred to, existing or not.
    pub(super) uses: Vec<ObjectId>,
    /// Namespaces referred into.
    pub(super) crosses: Vec<String>,
}

/// What resolving needs to look at.
pub(super) struct World<'a> {
    pub(super) objects: &'a Objects,
    pub(super) support: Support,
    pub(super) extensions: &'a Extensions,
    pub(super) handles: &'a mut BTreeMap<ObjectId, Result<Handle, String>>,
    pub(super) backends: &'a mut Backends,
    pub(super) writer: &'a mut Writer,
}

impl World<'_> {
    /// Follows the references of a route.
    pub(super) fn references(&mut self, route: &Route) -> References {
        let mut found = References::default();
        match route {
            Route::Http(http) => self.follow_http(route, http, &mut found),
            Route::Grpc(_) | Route::Tls(_) | Route::Tcp(_) | Route::Udp(_) => {
                for backend in route.backends() {
                    if let Err(fault) = self.judged(route, backend, &mut found) {
                        found.note(fault);
                    }
                }
            }
        }
        found.backends.sort_unstable();
        found.backends.dedup();
        found.uses.sort_unstable();
        found.uses.dedup();
        found.crosses.sort_unstable();
        found.crosses.dedup();
        found
    }

    fn follow_http(&mut self, route: &Route, http: &HttpRoute, found: &mut References) {
        let id = route.id();
        for rule in &http.spec.rules {
            let mut references = RuleReferences { filters: self.extensions(route, &rule.filters, found), ..Default::default() };
            for backend in &rule.backend_refs {
                let leads = self.permitted(route, &backend.object, found).and_then(|name| {
                    found.backends.push(name.clone());
                    self.backends.enlist(&name, &id, self.objects, self.support, self.writer)
                });
                if let Err(fault) = &leads {
                    found.note(fault.clone());
                }
                let filters = self.extensions(route, &backend.filters, found);
                references.targets.push(TargetReferences { backend: leads, filters });
            }
            for filter in &rule.filters {
                let backend = match filter.payload() {
                    HttpFilterPayload::RequestMirror(mirror) => &mirror.backend_ref,
                    HttpFilterPayload::ExternalAuth(auth) => &auth.backend_ref,
                    HttpFilterPayload::RequestHeaderModifier(_)
                    | HttpFilterPayload::ResponseHeaderModifier(_)
                    | HttpFilterPayload::RequestRedirect(_)
                    | HttpFilterPayload::UrlRewrite(_)
                    | HttpFilterPayload::Cors(_)
                    | HttpFilterPayload::ExtensionRef(_)
                    | HttpFilterPayload::DirectResponse(_)
                    | HttpFilterPayload::Unknown(_) => continue,
                };
                if let Err(fault) = self.judged(route, backend, found) {
                    found.note(fault);
                }
            }
            found.rules.push(references);
        }
    }

    /// A reference that is judged for the condition only, since nothing is sent there.
    fn judged(&mut self, route: &Route, backend: &BackendObjectRef, found: &mut References) -> Result<(), Fault> {
        let name = self.permitted(route, backend, found)?;
        found.uses.push(name.object.clone());
        let service = self.objects.services.get(&name.object.name).map(Arc::as_ref);
        if matches!(route, Route::Udp(_)) {
            return match service {
                Some(_) => Ok(()),
                None => Err((Reason::BackendNotFound, format!("{} does not exist", name.object))),
            };
        }
        resolve::exists(service, &name).map(|_| ())
    }

    /// Asks for the grant and the kind, in this order, before anything is looked at.
    fn permitted(&self, route: &Route, backend: &BackendObjectRef, found: &mut References) -> Result<BackendName, Fault> {
        let target = ObjectId::new(kind_of(&backend.group, &backend.kind), backend.target(route.namespace()));
        let kind = route.kind();
        let asked = Reference { from: &kind, namespace: route.namespace(), to: &target };
        if asked.crosses() {
            found.crosses.push(target.name.namespace().to_owned());
            if !asked.is_permitted(self.objects) {
                return Err((Reason::RefNotPermitted, asked.advice()));
            }
            found
                .uses
                .extend(asked.grants(self.objects).map(|grant| ObjectId::new(Kind::ReferenceGrant, grant.meta.name.clone())));
        }
        if !backend.is_service() {
            return Err((Reason::InvalidKind, format!("{} {} is no backend; a Service is", target.kind, target.name)));
        }
        let Some(port) = backend.port else {
            return Err((Reason::BackendNotFound, format!("the reference to Service {} states no port", target.name)));
        };
        Ok(BackendName { object: target, port: Some(port), usage: Usage::Http })
    }

    /// What each ExtensionRef of a list of filters leads to.
    fn extensions(&mut self, route: &Route, filters: &[HttpFilter], found: &mut References) -> Vec<Resolved> {
        let mut resolved = Vec::new();
        for filter in filters {
            let HttpFilterPayload::ExtensionRef(reference) = filter.payload() else { continue };
            let leads = self.extension(route.namespace(), reference, found);
            if let Resolved::Fault(fault) = &leads {
                found.note(fault.clone());
            }
            resolved.push(leads);
        }
        resolved
    }

    fn extension(&mut self, namespace: &str, reference: &LocalObjectRef, found: &mut References) -> Resolved {
        let id = ObjectId::new(kind_of(&reference.group, &reference.kind), ObjectName::new(namespace, &reference.name));
        found.uses.push(id.clone());
        let missing = || Resolved::Fault((Reason::BackendNotFound, format!("filter {id} does not exist")));
        let unknown = || {
            let message = format!("filters of kind {} are not known here; DirectResponse.{OWN_GROUP} is", id.kind.as_str());
            Resolved::Fault((Reason::InvalidKind, message))
        };
        match &id.kind {
            Kind::DirectResponse if self.support.has(Capability::DirectResponse) => {
                self.objects.responses.get(&id.name).map_or_else(missing, |found| Resolved::Response(found.clone()))
            }
            Kind::Extension(kind) => {
                let Some(builder) = self.extensions.get(kind) else { return unknown() };
                let Some(object) = self.objects.extensions.get(&id) else { return missing() };
                match self.handles.entry(id.clone()).or_insert_with(|| builder(&object.body)) {
                    Ok(handle) => Resolved::Handle(id.clone(), handle.clone()),
                    Err(why) => Resolved::Fault((Reason::InvalidKind, format!("filter {id} cannot be used: {why}"))),
                }
            }
            Kind::GatewayClass
            | Kind::Gateway
            | Kind::HttpRoute
            | Kind::GrpcRoute
            | Kind::TlsRoute
            | Kind::TcpRoute
            | Kind::UdpRoute
            | Kind::ReferenceGrant
            | Kind::ListenerSet
            | Kind::BackendTlsPolicy
            | Kind::XBackendTrafficPolicy
            | Kind::XTelemetryPolicy
            | Kind::XBackend
            | Kind::ServiceImport
            | Kind::ConfigMap
            | Kind::ClusterTrustBundle
            | Kind::Namespace
            | Kind::Service
            | Kind::EndpointSlice
            | Kind::Secret
            | Kind::DirectResponse
            | Kind::GatewayParameters => unknown(),
        }
    }
}

impl References {
    /// Keeps the gravest fault: permission, then kind, then existence, then protocol; of equals the first.
    fn note(&mut self, fault: Fault) {
        let by_gravity = [Reason::BackendNotFound, Reason::InvalidKind, Reason::RefNotPermitted];
        let gravity = |fault: &Fault| by_gravity.iter().position(|reason| *reason == fault.0);
        if self.fault.as_ref().is_none_or(|known| gravity(&fault) > gravity(known)) {
            self.fault = Some(fault);
        }
    }
}
