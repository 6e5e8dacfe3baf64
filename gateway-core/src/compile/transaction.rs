//! One transaction: what changed, who depends on it, in which order they are judged again.
//!
//! ```text
//! changes ─► learn ─► Dirty ─► classes ─► policies ─► backends ─► gateways ─► sets ─► telemetry ─► routes ─► statuses ─► Update
//! ```
//! In: changes. Out: an `Update`. Each stage may only add work for stages after it, so that one pass is enough.

/// What references are followed with: a part of the state, so that the rest of it can be used beside.
macro_rules! world {
    ($state:expr, $options:expr) => {
        World {
            sources: crate::compile::backends::Sources::of(&$state.objects, &$state.policies, $options),
            extensions: &$options.extensions,
            handles: &mut $state.handles,
            backends: &mut $state.backends,
            writer: &mut $state.writer,
        }
    };
}

/// What holders of listeners are judged with.
macro_rules! sources {
    ($state:expr, $options:expr) => {
        Sources {
            objects: &$state.objects,
            support: $options.support,
            certificates: &mut $state.certificates,
            authorities: &mut $state.authorities,
            world: world!($state, $options),
        }
    };
}

mod changes;
mod facts;
mod parents;
mod policies;
mod routes;
mod said;
mod telemetry;

use std::collections::{BTreeMap, BTreeSet};

use crate::name::{Kind, ObjectId, ObjectName};
use crate::resource::GatewayParametersSpec;
use crate::snapshot::filters::Extension;
use crate::snapshot::matching::Expressions;
use crate::snapshot::{BackendName, Writer};
use crate::status::Status;

use super::acceptance::Acceptance;
use super::backends::Backends;
use super::certificates::Certificates;
use super::dependents::{Dependents, Links, Needs};
use super::gateways::Gateways;
use super::hashed::{Hashed, shrink};
use super::marked::Marked;
use super::objects::Objects;
use super::policies::Policies;
use super::reach::Reach;
use super::rivals::Rivals;
use super::routes::RouteState;
use super::trust::Authorities;
use super::{Change, Options, Update};

/// What a compiler remembers between transactions.
#[derive(Debug)]
pub(super) struct State {
    objects: Objects,
    dependents: Dependents,
    needs: Needs,
    classes: BTreeMap<ObjectName, Vec<ObjectId>>,
    linked: BTreeMap<ObjectId, parents::Linked>,
    gateways: Gateways,
    acceptance: Acceptance,
    routes: Hashed<ObjectId, Box<RouteState>>,
    rivals: Rivals,
    backends: Backends,
    certificates: Certificates,
    authorities: Authorities,
    policies: Policies,
    reach: Reach,
    handles: BTreeMap<ObjectId, Result<Extension, String>>,
    expressions: Expressions,
    writer: Writer,
    said: BTreeMap<ObjectId, Status>,
    problems: BTreeMap<ObjectId, Vec<String>>,
}

/// What has to be judged again.
#[derive(Debug, Default)]
struct Dirty {
    classes: BTreeSet<ObjectName>,
    /// Classes that Gateways named or name now, with whether any did before.
    classes_used: BTreeMap<ObjectName, bool>,
    gateways: BTreeSet<ObjectName>,
    sets: BTreeSet<ObjectName>,
    /// Policies to be judged: those for backends before these, those for Gateways after these.
    policies: BTreeSet<ObjectId>,
    /// Policies of which something else may have to be said.
    policed: BTreeSet<ObjectId>,
    /// Objects that backendRefs lead to.
    backends: Marked<ObjectId>,
    routes: Marked<ObjectId>,
    /// Routes that may meet other listeners than before, though nothing of their own changed.
    reattached: Marked<ObjectId>,
    /// Routes that were judged and contend with others, so that what is said of them depends on those.
    contending: BTreeSet<ObjectId>,
    /// Holders of listeners whose status may differ though nothing else does.
    phrased: BTreeSet<ObjectId>,
    /// Backends that are no longer used, each with who no longer uses it.
    released: Vec<(BackendName, ObjectId)>,
    statuses: Vec<(ObjectId, Option<Status>)>,
    problems: Vec<(ObjectId, Vec<String>)>,
}

impl Dirty {
    /// Whoever has this id is judged again.
    fn touch(&mut self, id: &ObjectId) {
        match &id.kind {
            Kind::GatewayClass => drop(self.classes.insert(id.name.clone())),
            Kind::Gateway => drop(self.gateways.insert(id.name.clone())),
            Kind::ListenerSet => drop(self.sets.insert(id.name.clone())),
            Kind::HttpRoute | Kind::GrpcRoute | Kind::TlsRoute | Kind::TcpRoute | Kind::UdpRoute => {
                self.routes.insert(id.clone());
            }
            Kind::BackendTlsPolicy | Kind::XBackendTrafficPolicy | Kind::XTelemetryPolicy | Kind::XBackend => {
                self.policies.insert(id.clone());
            }
            Kind::ReferenceGrant
            | Kind::ServiceImport
            | Kind::ConfigMap
            | Kind::ClusterTrustBundle
            | Kind::Namespace
            | Kind::Service
            | Kind::EndpointSlice
            | Kind::Secret
            | Kind::DirectResponse
            | Kind::GatewayParameters
            | Kind::Extension(_) => {}
        }
    }
}

impl State {
    pub(super) fn new(options: &Options) -> Self {
        let writer = Writer::new(options.seed);
        let seed = writer.seed();
        Self {
            objects: Objects::new(seed, options.service_names.clone()),
            dependents: Dependents::new(seed),
            needs: Needs::new(seed),
            classes: BTreeMap::new(),
            linked: BTreeMap::new(),
            gateways: Gateways::new(options),
            acceptance: Acceptance::default(),
            routes: Hashed::with_hasher(seed),
            rivals: Rivals::default(),
            backends: Backends::new(seed),
            certificates: Certificates::default(),
            authorities: Authorities::default(),
            policies: Policies::new(seed),
            reach: Reach::new(seed),
            handles: BTreeMap::new(),
            expressions: Expressions::default(),
            writer,
            said: BTreeMap::new(),
            problems: BTreeMap::new(),
        }
    }

    /// The statuses as last given.
    pub(super) fn statuses(&self) -> &BTreeMap<ObjectId, Status> {
        &self.said
    }

    /// The problems as last given.
    pub(super) fn problems(&self) -> &BTreeMap<ObjectId, Vec<String>> {
        &self.problems
    }

    /// What is stated for a Gateway.
    pub(super) fn parameters(&self, gateway: &ObjectName) -> Option<GatewayParametersSpec> {
        self.objects.gateways.get(gateway).map(|gateway| super::parameters::stated(gateway, &self.objects))
    }

    /// Whether a Gateway names the class.
    pub(super) fn is_class_used(&self, class: &ObjectName) -> bool {
        self.dependents.users(&ObjectId::new(Kind::GatewayClass, class.clone())).next().is_some()
    }

    pub(super) fn apply(&mut self, changes: impl IntoIterator<Item = Change>, options: &Options) -> Update {
        let mut dirty = Dirty::default();
        for change in changes {
            match change {
                Change::Put(object) => self.put(object, &mut dirty),
                Change::Remove(id) => self.remove(&id, &mut dirty),
                Change::Fact(fact) => self.learn(fact, &mut dirty),
            }
        }
        self.judge_classes(&mut dirty, options);
        self.judge_policies(&mut dirty, options);
        self.judge_backends(&mut dirty, options);
        self.judge_gateways(&mut dirty, options);
        self.judge_telemetry(&mut dirty, options);
        let routes = dirty.routes.take();
        for id in dirty.reattached.take().iter().filter(|id| routes.binary_search(id).is_err()) {
            self.reattach_route(id, &mut dirty, options);
        }
        self.routes.reserve(routes.iter().filter(|id| !self.routes.contains_key(id)).count());
        for id in &routes {
            self.judge_route(id, &mut dirty, options);
        }
        self.phrase_contending(&mut dirty, options);
        // Only now, so that a backend whose last user changed its name in this transaction stays the same backend.
        for (backend, user) in std::mem::take(&mut dirty.released) {
            self.backends.release(&backend, &user, &mut self.writer);
        }
        self.phrase_backends(&mut dirty);
        self.phrase_policies(&mut dirty, options);
        self.phrase_holders(&mut dirty, options);
        self.shrink();
        Update {
            snapshot: self.writer.commit(),
            statuses: self.news(dirty.statuses),
            problems: self.complaints(dirty.problems),
            needs: self.needs.take(),
            names: self.backends.take_names(),
            classes: (dirty.classes_used.into_iter())
                .map(|(class, was_used)| (self.is_class_used(&class), was_used, class))
                .filter(|(is_used, was_used, _)| is_used != was_used)
                .map(|(is_used, _, class)| (class, is_used))
                .collect(),
            next: self.objects.facts.now.and_then(|now| self.gateways.next_moment(now)),
        }
    }

    /// Gives back the room of what is gone.
    fn shrink(&mut self) {
        self.objects.shrink();
        shrink(&mut self.routes);
        self.backends.shrink();
        self.reach.shrink();
    }
}

fn links<'a>(uses: &'a [ObjectId], crosses: &'a [String], parents: &'a [ObjectId]) -> Links<'a> {
    Links { uses, crosses, parents }
}
