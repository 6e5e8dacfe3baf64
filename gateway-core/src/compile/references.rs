//! Where references lead: those of a route to backends and extension objects, and those of anybody to a backend.
//!
//! In: who refers, the reference, the objects, the grants. Out: one answer per reference, in the order of the spec, and what a change
//! of which would change an answer. Written for the condition ResolvedRefs and for `translate`.
//!
//! Invariants: nothing is asked about a target before a grant permits it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::condition::Reason;
use crate::name::{Kind, OWN_GROUP, ObjectId, ObjectName};
use crate::resource::{
    BackendObjectRef, BackendRef, DirectResponse, ExternalAuthProtocol, GrpcFilter, GrpcFilterPayload, HttpFilter,
    HttpFilterPayload, LocalObjectRef,
};
use crate::snapshot::filters::Extension;
use crate::snapshot::{BackendId, BackendName, Fingerprint, Persistence, Usage, Writer};
use crate::support::Capability;

use super::Extensions;
use super::backends::{Backends, Sources};
use super::fault::Fault;
use super::grant::Reference;
use super::objects::{kind_of, written_kind};
use super::route::Route;
use super::ties::Ties;

/// What an `ExtensionRef` leads to.
#[derive(Clone, Debug)]
pub(crate) enum Resolved {
    /// A direct response.
    Response(Arc<DirectResponse>),
    /// A filter of the data plane.
    Extension(Extension),
    /// Nothing usable.
    Fault(Fault),
}

impl PartialEq for Resolved {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Response(one), Self::Response(other)) => Arc::ptr_eq(one, other),
            (Self::Extension(one), Self::Extension(other)) => one == other,
            (Self::Fault(one), Self::Fault(other)) => one == other,
            (Self::Response(_) | Self::Extension(_) | Self::Fault(_), _) => false,
        }
    }
}

/// Where the references of one rule lead.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct RuleReferences {
    /// Of its filters.
    pub(super) filters: FilterReferences,
    /// Of its backendRefs, in order.
    pub(super) targets: Vec<TargetReferences>,
}

/// Where one backendRef leads.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TargetReferences {
    pub(super) backend: Result<BackendId, Fault>,
    /// How clients stay with an endpoint of it by what it or a policy states.
    pub(super) persistence: Option<Arc<Persistence>>,
    /// Of its filters.
    pub(super) filters: FilterReferences,
}

/// Where the references of one list of filters lead.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct FilterReferences {
    /// Of its ExtensionRefs, in order.
    pub(super) extensions: Vec<Resolved>,
    /// Of its mirrors and external authorizations, in order, the two kinds as they come.
    pub(super) backends: Vec<Result<BackendId, Fault>>,
}

/// Where all references of a route lead.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct References {
    /// One per rule.
    pub(super) rules: Vec<RuleReferences>,
    /// The gravest fault.
    pub(super) fault: Option<Fault>,
    /// What it refers to.
    pub(super) ties: Ties,
}

/// What resolving needs to look at.
#[derive(Debug)]
pub(super) struct World<'a> {
    pub(super) sources: Sources<'a>,
    pub(super) extensions: &'a Extensions,
    pub(super) handles: &'a mut BTreeMap<ObjectId, Result<Extension, String>>,
    pub(super) backends: &'a mut Backends,
    pub(super) writer: &'a mut Writer,
}

impl World<'_> {
    /// Follows a reference to a backend, of whatever object and field: asks for the grant, the kind, the existence and the protocol,
    /// in this order, and takes note of what the answer depends on. `who` uses the backend from now on, whether it is usable or not;
    /// where it names it in `ties.backends` no longer, it has to release it.
    pub(super) fn backend(
        &mut self,
        who: &ObjectId,
        reference: &BackendObjectRef,
        usage: Usage,
        ties: &mut Ties,
    ) -> Result<BackendId, Fault> {
        self.led(who, reference, usage, ties).map(|(backend, _)| backend)
    }

    /// The same, with how clients stay with an endpoint of it.
    fn led(
        &mut self,
        who: &ObjectId,
        reference: &BackendObjectRef,
        usage: Usage,
        ties: &mut Ties,
    ) -> Result<(BackendId, Option<Arc<Persistence>>), Fault> {
        let namespace = who.name.namespace();
        let target = ObjectId::new(kind_of(&reference.group, &reference.kind), reference.target(namespace));
        let asked = Reference { from: &who.kind, namespace, to: &target };
        if target.kind == Kind::XBackend && asked.crosses() {
            return Err((
                Reason::RefNotPermitted,
                format!("{target} is in another namespace; XBackends are for their own alone"),
            ));
        }
        if !ties.permits(&asked, self.sources.objects) {
            return Err((Reason::RefNotPermitted, asked.advice()));
        }
        let port = self.port(&target, reference)?;
        let name = BackendName { object: target, port, usage };
        ties.backends.push(name.clone());
        self.backends.enlist(&name, who, self.sources, self.writer)
    }

    /// The port that a reference names; those of XBackends are stated by these.
    fn port(&self, target: &ObjectId, reference: &BackendObjectRef) -> Result<Option<u16>, Fault> {
        let needed = [
            (Kind::Service, None),
            (Kind::ServiceImport, Some(Capability::ServiceImport)),
            (Kind::XBackend, Some(Capability::XBackend)),
        ];
        let Some((_, lacking)) = needed.iter().find(|(kind, _)| *kind == target.kind) else {
            let what =
                if let Kind::Extension(kind) = &target.kind { format!("{kind} {}", target.name) } else { target.to_string() };
            return Err((Reason::InvalidKind, format!("{what} is no backend; a Service, which has no group, is")));
        };
        if lacking.is_some_and(|needed| !self.sources.support.has(needed)) {
            let message = format!("{target} is of a kind that this data plane does not serve as a backend; a Service is served");
            return Err((Reason::InvalidKind, message));
        }
        if target.kind == Kind::XBackend {
            return Ok(None);
        }
        let unstated = || (Reason::BackendNotFound, format!("the reference to {target} states no port"));
        reference.port.map(Some).ok_or_else(unstated)
    }

    /// Follows the references of a route.
    pub(super) fn references(&mut self, route: &Route) -> References {
        let mut found = References::default();
        let id = route.id();
        match route {
            Route::Http(route) => {
                found.expect(route.spec.rules.iter().map(|rule| rule.backend_refs.len()));
                for rule in &route.spec.rules {
                    let filters = self.http_filters(&id, &rule.filters, &mut found);
                    let targets = rule.backend_refs.iter().map(|target| {
                        let own = self.target(&id, &target.object, Usage::Http, &mut found);
                        TargetReferences { filters: self.http_filters(&id, &target.filters, &mut found), ..own }
                    });
                    let targets = targets.collect();
                    found.rules.push(RuleReferences { filters, targets });
                }
            }
            Route::Grpc(route) => {
                found.expect(route.spec.rules.iter().map(|rule| rule.backend_refs.len()));
                for rule in &route.spec.rules {
                    let filters = self.grpc_filters(&id, &rule.filters, &mut found);
                    let targets = rule.backend_refs.iter().map(|target| {
                        let own = self.target(&id, &target.object, Usage::Grpc, &mut found);
                        TargetReferences { filters: self.grpc_filters(&id, &target.filters, &mut found), ..own }
                    });
                    let targets = targets.collect();
                    found.rules.push(RuleReferences { filters, targets });
                }
            }
            Route::Tls(route) => {
                let rules = route.spec.rules.iter().map(|rule| &*rule.backend_refs);
                self.plain(&id, rules, Usage::Stream, &mut found);
            }
            Route::Tcp(route) => {
                let rules = route.spec.rules.iter().map(|rule| &*rule.backend_refs);
                self.plain(&id, rules, Usage::Stream, &mut found);
            }
            Route::Udp(route) => {
                let rules = route.spec.rules.iter().map(|rule| &*rule.backend_refs);
                self.plain(&id, rules, Usage::Datagram, &mut found);
            }
        }
        found.ties.settle();
        found
    }

    /// The rules of a kind without filters.
    fn plain<'r>(&mut self, id: &ObjectId, rules: impl Iterator<Item = &'r [BackendRef]>, usage: Usage, found: &mut References) {
        for targets in rules {
            let targets = targets.iter().map(|target| self.target(id, &target.object, usage, found)).collect();
            found.rules.push(RuleReferences { filters: FilterReferences::default(), targets });
        }
    }

    fn http_filters(&mut self, id: &ObjectId, filters: &[HttpFilter], found: &mut References) -> FilterReferences {
        let mut leads = FilterReferences::default();
        for filter in filters {
            match filter.payload() {
                HttpFilterPayload::RequestMirror(mirror) => {
                    leads.backends.push(self.note(id, &mirror.backend_ref, Usage::Http, found));
                }
                HttpFilterPayload::ExternalAuth(auth) => {
                    leads.backends.push(self.note(id, &auth.backend_ref, usage_of(&auth.protocol), found));
                }
                HttpFilterPayload::ExtensionRef(reference) => leads.extensions.push(self.extension(id, reference, found)),
                HttpFilterPayload::RequestHeaderModifier(_)
                | HttpFilterPayload::ResponseHeaderModifier(_)
                | HttpFilterPayload::RequestRedirect(_)
                | HttpFilterPayload::UrlRewrite(_)
                | HttpFilterPayload::Cors(_)
                | HttpFilterPayload::DirectResponse(_)
                | HttpFilterPayload::Unknown(_) => {}
            }
        }
        leads
    }

    fn grpc_filters(&mut self, id: &ObjectId, filters: &[GrpcFilter], found: &mut References) -> FilterReferences {
        let mut leads = FilterReferences::default();
        for filter in filters {
            match filter.payload() {
                GrpcFilterPayload::RequestMirror(mirror) => {
                    leads.backends.push(self.note(id, &mirror.backend_ref, Usage::Grpc, found));
                }
                GrpcFilterPayload::ExtensionRef(reference) => leads.extensions.push(self.extension(id, reference, found)),
                GrpcFilterPayload::RequestHeaderModifier(_)
                | GrpcFilterPayload::ResponseHeaderModifier(_)
                | GrpcFilterPayload::Unknown(_) => {}
            }
        }
        leads
    }

    /// Where a route's backendRef leads, but for its filters; a fault is noted.
    fn target(&mut self, id: &ObjectId, reference: &BackendObjectRef, usage: Usage, found: &mut References) -> TargetReferences {
        let (backend, persistence) = match self.led(id, reference, usage, &mut found.ties) {
            Ok((backend, persistence)) => (Ok(backend), persistence),
            Err(fault) => {
                found.note(&fault);
                (Err(fault), None)
            }
        };
        TargetReferences { backend, persistence, filters: FilterReferences::default() }
    }

    /// Where a route's reference to a backend leads; a fault is noted.
    fn note(
        &mut self,
        id: &ObjectId,
        reference: &BackendObjectRef,
        usage: Usage,
        found: &mut References,
    ) -> Result<BackendId, Fault> {
        let leads = self.backend(id, reference, usage, &mut found.ties);
        if let Err(fault) = &leads {
            found.note(fault);
        }
        leads
    }

    /// Where a route's ExtensionRef leads; a fault is noted.
    fn extension(&mut self, route: &ObjectId, reference: &LocalObjectRef, found: &mut References) -> Resolved {
        let leads = self.filter(route.name.namespace(), reference, &mut found.ties);
        if let Resolved::Fault(fault) = &leads {
            found.note(fault);
        }
        leads
    }

    /// What an ExtensionRef leads to.
    pub(super) fn filter(&mut self, namespace: &str, reference: &LocalObjectRef, ties: &mut Ties) -> Resolved {
        let id = ObjectId::new(kind_of(&reference.group, &reference.kind), ObjectName::new(namespace, &reference.name));
        ties.uses.push(id.clone());
        let missing = || Resolved::Fault((Reason::BackendNotFound, format!("filter {id} does not exist")));
        let unknown = || {
            let kind = written_kind(&reference.group, &reference.kind);
            let known = self.extensions.kinds().map(|kind| written_kind(&kind.group, &kind.kind));
            let known: Vec<_> = [format!("DirectResponse.{OWN_GROUP}")].into_iter().chain(known).collect();
            let message = format!("filters of kind {kind} are not known here; known are {}", known.join(", "));
            Resolved::Fault((Reason::InvalidKind, message))
        };
        match &id.kind {
            Kind::DirectResponse if self.sources.support.has(Capability::DirectResponse) => {
                self.sources.objects.responses.get(&id.name).map_or_else(missing, |found| Resolved::Response(found.clone()))
            }
            Kind::Extension(kind) => {
                let Some(builder) = self.extensions.get(kind) else { return unknown() };
                let Some(object) = self.sources.objects.extensions.get(&id) else { return missing() };
                let build = || {
                    let content = Fingerprint::of([object.body.to_string()]);
                    builder(&object.body).map(|handle| Extension { id: id.clone(), handle, content })
                };
                match self.handles.entry(id.clone()).or_insert_with(build) {
                    Ok(extension) => Resolved::Extension(extension.clone()),
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
    /// Makes room for rules with so many backendRefs each. Thousands of routes are kept, and most have one of each.
    fn expect(&mut self, rules: impl ExactSizeIterator<Item = usize>) {
        self.rules.reserve_exact(rules.len());
        self.ties.backends.reserve_exact(rules.sum());
    }

    /// Keeps the gravest fault: permission, then kind, then existence, then protocol; of equals the first.
    fn note(&mut self, fault: &Fault) {
        let by_gravity = [Reason::BackendNotFound, Reason::InvalidKind, Reason::RefNotPermitted];
        let gravity = |fault: &Fault| by_gravity.iter().position(|reason| *reason == fault.0);
        if self.fault.as_ref().is_none_or(|known| gravity(fault) > gravity(known)) {
            self.fault = Some(fault.clone());
        }
    }
}

/// What a backend that is asked in this protocol is used for.
pub(super) fn usage_of(protocol: &ExternalAuthProtocol) -> Usage {
    match protocol {
        ExternalAuthProtocol::Grpc => Usage::Grpc,
        ExternalAuthProtocol::Http | ExternalAuthProtocol::Other(_) => Usage::Http,
    }
}
