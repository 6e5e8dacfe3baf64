//! One transaction: what changed, who depends on it, in which order they are judged again.
//!
//! ```text
//! changes ─► learn ─► Dirty ─► classes ─► gateways ─► ports ─► backends ─► routes ─► statuses ─► Update
//! ```
//! In: changes. Out: an `Update`. Each stage may only add work for stages after it, so that one pass is enough.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::name::{Kind, ObjectId, ObjectName};
use crate::resource::Object;
use crate::snapshot::filters::Handle;
use crate::snapshot::matching::Expressions;
use crate::snapshot::{BackendName, Writer};
use crate::status::Status;

use super::attach::Namespaces;
use super::backends::Backends;
use super::certificates::Certificates;
use super::dependents::{Dependents, Links, Needs};
use super::gateways::Gateways;
use super::hashed::Hashed;
use super::objects::{Objects, service_of};
use super::references::World;
use super::route::Route;
use super::routes::{self, RouteState};
use super::translate::http::{self, Translated};
use super::{Change, Classes, Fact, Options, Update, class, gateway, objects, status};

/// What a compiler remembers between transactions.
#[derive(Debug)]
pub(super) struct State {
    objects: Objects,
    dependents: Dependents,
    needs: Needs,
    classes: BTreeMap<ObjectName, Vec<ObjectId>>,
    linked: BTreeMap<ObjectName, (Vec<ObjectId>, Vec<String>)>,
    gateways: Gateways,
    routes: Hashed<ObjectId, RouteState>,
    backends: Backends,
    certificates: Certificates,
    handles: BTreeMap<ObjectId, Result<Handle, String>>,
    expressions: Expressions,
    writer: Writer,
    said: BTreeMap<ObjectId, Status>,
    problems: BTreeMap<ObjectId, Vec<String>>,
}

/// What has to be judged again.
#[derive(Debug, Default)]
struct Dirty {
    classes: BTreeSet<ObjectName>,
    gateways: BTreeSet<ObjectName>,
    ports: BTreeSet<u16>,
    services: BTreeSet<ObjectName>,
    routes: BTreeSet<ObjectId>,
    /// Gateways whose status may differ though nothing else does.
    phrased: BTreeSet<ObjectName>,
    /// Backends that routes no longer use.
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
            Kind::HttpRoute | Kind::GrpcRoute | Kind::TlsRoute | Kind::TcpRoute | Kind::UdpRoute => {
                self.routes.insert(id.clone());
            }
            Kind::ReferenceGrant
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
            objects: Objects::new(seed),
            dependents: Dependents::new(seed),
            needs: Needs::new(seed),
            classes: BTreeMap::new(),
            linked: BTreeMap::new(),
            gateways: Gateways::default(),
            routes: Hashed::with_hasher(seed),
            backends: Backends::new(seed),
            certificates: Certificates::default(),
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
        self.judge_gateways(&mut dirty, options);
        self.judge_backends(&mut dirty, options);
        for id in std::mem::take(&mut dirty.routes) {
            self.judge_route(&id, &mut dirty, options);
        }
        // Only now, so that a backend whose last user changed its name in this transaction stays the same backend.
        for (backend, route) in std::mem::take(&mut dirty.released) {
            self.backends.release(&backend, &route, &mut self.writer);
        }
        self.phrase_gateways(&mut dirty, options);
        self.phrase_backends(&mut dirty);
        Update {
            snapshot: self.writer.commit(),
            statuses: self.news(dirty.statuses),
            problems: self.complaints(dirty.problems),
            needs: self.needs.take(),
            next: self.objects.facts.now.and_then(|now| self.gateways.next_moment(now)),
        }
    }

    fn put(&mut self, object: Object, dirty: &mut Dirty) {
        let new = object.clone();
        let old = self.objects.put(object);
        if !old.as_ref().is_some_and(|old| objects::is_same_but_for_status(old, &new)) {
            self.changed(old.as_ref(), Some(&new), dirty);
        }
    }

    fn remove(&mut self, id: &ObjectId, dirty: &mut Dirty) {
        if let Some(old) = self.objects.remove(id) {
            self.changed(Some(&old), None, dirty);
        }
    }

    /// Marks who has to be judged again because an object changed.
    fn changed(&mut self, old: Option<&Object>, new: Option<&Object>, dirty: &mut Dirty) {
        let Some(object) = new.or(old) else { return };
        let id = object.id();
        match object {
            Object::EndpointSlice(_) => {
                let services = [old, new].into_iter().flatten().filter_map(|object| {
                    let Object::EndpointSlice(slice) = object else { return None };
                    service_of(slice)
                });
                dirty.services.extend(services);
            }
            Object::ReferenceGrant(_) => self.regrant(old, new, dirty),
            Object::Namespace(_) => self.relabel(old, new, dirty),
            Object::GatewayClass(_)
            | Object::Gateway(_)
            | Object::HttpRoute(_)
            | Object::GrpcRoute(_)
            | Object::TlsRoute(_)
            | Object::TcpRoute(_)
            | Object::UdpRoute(_) => dirty.touch(&id),
            Object::Service(_) => drop(dirty.services.insert(id.name.clone())),
            Object::Secret(_) => self.certificates.forget(&id.name),
            Object::Extension(_) => drop(self.handles.remove(&id)),
            Object::DirectResponse(_) | Object::GatewayParameters(_) => {}
        }
        for user in self.dependents.users(&id) {
            dirty.touch(user);
        }
        // A Gateway that appears or goes changes what its routes have to say, ours or not.
        if id.kind == Kind::Gateway && old.is_some() != new.is_some() {
            // What proxies acknowledged was the Gateway that was.
            self.objects.facts.acknowledged.remove(&id.name);
            dirty.routes.extend(self.dependents.children(&id.name).cloned());
        }
    }

    /// Whoever refers into the namespace of a grant from a namespace that its old or new form names.
    fn regrant(&self, old: Option<&Object>, new: Option<&Object>, dirty: &mut Dirty) {
        for object in [old, new].into_iter().flatten() {
            let Object::ReferenceGrant(grant) = object else { continue };
            for who in self.dependents.crossing(grant.meta.name.namespace()) {
                if grant.spec.from.iter().any(|from| from.namespace == who.name.namespace()) {
                    dirty.touch(who);
                }
            }
        }
    }

    /// The routes of a namespace whose admission by a selector flips.
    fn relabel(&self, old: Option<&Object>, new: Option<&Object>, dirty: &mut Dirty) {
        let Some(name) = old.or(new).map(|object| object.meta().name.name().to_owned()) else { return };
        let labels = |object: Option<&Object>| match object {
            Some(Object::Namespace(namespace)) => objects::labels_of(&name, Some(namespace)),
            Some(_) | None => objects::labels_of(&name, None),
        };
        let (before, after) = (labels(old), labels(new));
        if before == after {
            return;
        }
        // The message of a route that stays refused names the labels that are missing, so any change of labels counts for it.
        for route in self.dependents.residents(&name) {
            let state = self.routes.get(route);
            let selected =
                state.into_iter().flat_map(|state| &state.gateways).filter_map(|gateway| self.gateways.get(gateway)).any(
                    |gateway| {
                        gateway.listeners.iter().any(|listener| matches!(listener.surface.namespaces, Namespaces::Selector(_)))
                    },
                );
            if selected {
                dirty.routes.insert(route.clone());
            }
        }
    }

    fn learn(&mut self, fact: Fact, dirty: &mut Dirty) {
        let facts = &mut self.objects.facts;
        match fact {
            Fact::Socket(socket, bound) => {
                let old = match bound {
                    Some(bound) => facts.sockets.insert(socket, bound.clone()).filter(|old| *old == bound),
                    None => facts.sockets.remove(&socket).is_none().then_some(super::Bound::Yes),
                };
                if old.is_none() {
                    dirty.phrased.extend(self.gateways.on_port(socket.port).cloned());
                }
            }
            Fact::Acknowledged(gateway, generation) => {
                facts.acknowledged.insert(gateway.clone(), generation);
                dirty.phrased.insert(gateway);
            }
            Fact::Addresses(gateway, addresses) => {
                match addresses {
                    Some(addresses) => drop(facts.addresses.insert(gateway.clone(), addresses)),
                    None => drop(facts.addresses.remove(&gateway)),
                }
                dirty.gateways.insert(gateway);
            }
            Fact::Time(now) => {
                // A clock that goes back is as good a reason to look again.
                let (from, to) = facts.now.replace(now).map_or((i64::MIN, i64::MAX), |before| (before.min(now), before.max(now)));
                dirty.gateways.extend(self.gateways.changing(from, to).cloned());
            }
            Fact::Bundle(bundle) => {
                facts.bundle = Some(bundle);
                dirty.classes.extend(self.objects.classes.keys().cloned());
            }
        }
    }

    fn judge_classes(&mut self, dirty: &mut Dirty, options: &Options) {
        for name in std::mem::take(&mut dirty.classes) {
            let id = ObjectId::new(Kind::GatewayClass, name.clone());
            let found = self.objects.classes.get(&name).filter(|class| class::is_ours(class, options));
            let judged = found.map(|found| class::judge(found, &self.objects, options.support));
            let (status, uses) = judged.map_or((None, Vec::new()), |(status, uses)| (Some(Status::GatewayClass(status)), uses));
            let old = self.classes.remove(&name).unwrap_or_default();
            self.dependents.relink(&id, links(&old, &[], &[]), links(&uses, &[], &[]));
            if !uses.is_empty() {
                self.classes.insert(name, uses);
            }
            dirty.statuses.push((id, status));
        }
    }

    fn judge_gateways(&mut self, dirty: &mut Dirty, options: &Options) {
        let mut changed = BTreeSet::new();
        for name in std::mem::take(&mut dirty.gateways) {
            self.judge_gateway(&name, dirty, options);
            changed.insert(name);
        }
        let ports = std::mem::take(&mut dirty.ports);
        for port in &ports {
            changed.extend(self.gateways.merge(*port));
        }
        for name in &changed {
            if options.traffic {
                self.gateways.publish(name, &mut self.writer);
            }
        }
        if options.traffic {
            // A conflict elsewhere on a shared port moves no listener to another port, so these ports are all.
            for port in ports {
                self.gateways.settle(port, &mut self.writer);
            }
        }
        dirty.phrased.extend(changed);
    }

    fn judge_gateway(&mut self, name: &ObjectName, dirty: &mut Dirty, options: &Options) {
        let id = ObjectId::new(Kind::Gateway, name.clone());
        let object = self.objects.gateways.get(name).cloned();
        let class = object.as_ref().map(|gateway| ObjectName::cluster(&gateway.spec.gateway_class_name));
        let is_ours = |class: &ObjectName| match options.classes {
            Classes::All => true,
            Classes::Named => self.objects.classes.get(class).is_some_and(|class| class::is_ours(class, options)),
        };
        let ours = object.as_ref().filter(|_| class.as_ref().is_some_and(is_ours));
        let Options { support, settings, .. } = options;
        let state = ours.map(|gateway| gateway::judge(gateway, &self.objects, *support, settings, &mut self.certificates));
        dirty.problems.push((id.clone(), ours.map_or_else(Vec::new, |gateway| gateway::remarks(gateway))));
        let (uses, crosses) = match &state {
            Some(state) => (state.uses.clone(), state.crosses.clone()),
            None => (class.map(|class| ObjectId::new(Kind::GatewayClass, class)).into_iter().collect(), Vec::new()),
        };
        let (old_uses, old_crosses) = self.linked.remove(name).unwrap_or_default();
        self.dependents.relink(&id, links(&old_uses, &old_crosses, &[]), links(&uses, &crosses, &[]));
        let was_ours = self.gateways.get(name).is_some();
        if state.is_some() {
            uses.iter().for_each(|object| self.needs.join(name, object));
        }
        if was_ours {
            old_uses.iter().for_each(|object| self.needs.leave(name, object));
        }
        let is_gone = object.is_none();
        if !is_gone {
            self.linked.insert(name.clone(), (uses, crosses));
        }
        let (reattach, ports) = self.gateways.replace(name, state);
        dirty.ports.extend(ports);
        if reattach {
            dirty.routes.extend(self.dependents.children(name).cloned());
        }
    }

    fn judge_backends(&mut self, dirty: &mut Dirty, options: &Options) {
        for service in std::mem::take(&mut dirty.services) {
            let routes = self.backends.refresh(&service, &self.objects, options.support, &mut self.writer);
            dirty.routes.extend(routes);
        }
    }

    fn judge_route(&mut self, id: &ObjectId, dirty: &mut Dirty, options: &Options) {
        let old = self.routes.remove(id);
        let Some(route) = self.objects.routes.get(id).cloned() else {
            if let Some(old) = old {
                self.retract(id, &old, dirty);
            }
            return;
        };
        let mut world = World {
            objects: &self.objects,
            support: options.support,
            extensions: &options.extensions,
            handles: &mut self.handles,
            backends: &mut self.backends,
            writer: &mut self.writer,
        };
        let references = world.references(&route);
        let translated = self.translate(id, &route, &references, old.as_ref(), options);
        let labels = self.objects.labels(route.namespace());
        let gateways = &self.gateways;
        let objects = &self.objects;
        let attachment =
            routes::attach_route(&route, &labels, |name| gateways.get(name), |name| objects.gateways.contains_key(name));
        let status = routes::status(&route, &options.controller_name, &attachment, &references, &translated);
        dirty.statuses.push((id.clone(), Some(Status::Route(status))));
        dirty.problems.push((id.clone(), attachment.problems.clone()));
        let carried = if routes::invalid(&translated).is_none() { attachment.listeners } else { Vec::new() };
        let mut new = RouteState { gateways: route.gateways(), route, references, translated, carried, places: Vec::new() };
        let is_placed =
            old.as_ref().is_some_and(|old| Arc::ptr_eq(&old.translated, &new.translated) && old.carried == new.carried);
        match &old {
            Some(old) if is_placed => new.places.clone_from(&old.places),
            _ if options.traffic => {
                let places = routes::places(&new.route, &new.translated, &new.carried);
                new.places = routes::replace(&mut self.writer, id, old.as_ref().map_or(&[], |old| &old.places), places);
            }
            _ => {}
        }
        self.account(id, old.as_ref(), Some(&new), dirty);
        self.routes.insert(id.clone(), new);
    }

    /// The rules of a route: those of its last version when neither it nor what it refers to changed.
    fn translate(
        &mut self,
        id: &ObjectId,
        route: &Route,
        references: &super::references::References,
        old: Option<&RouteState>,
        options: &Options,
    ) -> Arc<Translated> {
        if let Some(old) = old
            && old.references.rules == references.rules
            && old.route.is_same_but_for_status(route)
        {
            return old.translated.clone();
        }
        let Route::Http(http) = route else { return Arc::default() };
        let none = http::Shared::new();
        let before = old.map_or(&none, |old| &old.translated.shared);
        Arc::new(http::translate(http, id, references, before, options.support, &mut self.expressions))
    }

    fn retract(&mut self, id: &ObjectId, old: &RouteState, dirty: &mut Dirty) {
        routes::replace(&mut self.writer, id, &old.places, Vec::new());
        self.account(id, Some(old), None, dirty);
        dirty.statuses.push((id.clone(), None));
        dirty.problems.push((id.clone(), Vec::new()));
    }

    /// Keeps the books: counts of listeners, uses of backends, who depends on whom, what Gateways need.
    fn account(&mut self, id: &ObjectId, old: Option<&RouteState>, new: Option<&RouteState>, dirty: &mut Dirty) {
        let attached = |state: Option<&RouteState>| state.map_or_else(Vec::new, RouteState::attached);
        dirty.phrased.extend(self.gateways.recount(&attached(old), &attached(new)));
        for name in old.into_iter().flat_map(|old| &old.references.backends) {
            if new.is_none_or(|new| new.references.backends.binary_search(name).is_err()) {
                dirty.released.push((name.clone(), id.clone()));
            }
        }
        let links = |state: Option<&'_ RouteState>| {
            state.map_or_else(Default::default, |state| {
                (state.references.uses.clone(), state.references.crosses.clone(), state.gateways.clone())
            })
        };
        let (before, after) = (links(old), links(new));
        self.dependents.relink(id, self::links(&before.0, &before.1, &before.2), self::links(&after.0, &after.1, &after.2));
        if old.is_none() || new.is_none() {
            self.dependents.reside(id, new.is_some());
        }
        for (state, joins) in [(new, true), (old, false)] {
            let Some(state) = state else { continue };
            for gateway in &state.gateways {
                for object in needed(id, state) {
                    if joins { self.needs.join(gateway, &object) } else { self.needs.leave(gateway, &object) }
                }
            }
        }
    }

    fn phrase_gateways(&mut self, dirty: &mut Dirty, options: &Options) {
        for name in std::mem::take(&mut dirty.phrased) {
            let status = self.gateways.get(&name).map(|state| {
                let attached = |listener: &str| self.gateways.attached(&name, listener);
                Status::Gateway(status::gateway(state, &self.objects.facts, options.proof, attached))
            });
            dirty.statuses.push((ObjectId::new(Kind::Gateway, name), status));
        }
    }

    fn phrase_backends(&mut self, dirty: &mut Dirty) {
        for (service, ports) in self.backends.take_touched() {
            let say = |port: &u16| format!("port {port} has no ready endpoint; requests to it are answered 503");
            dirty.problems.push((ObjectId::new(Kind::Service, service), ports.iter().map(say).collect()));
        }
    }

    /// The statuses that differ from those given before.
    fn news(&mut self, judged: Vec<(ObjectId, Option<Status>)>) -> BTreeMap<ObjectId, Option<Status>> {
        let mut news = BTreeMap::new();
        for (id, status) in judged {
            if self.said.get(&id) == status.as_ref() {
                continue;
            }
            match &status {
                Some(status) => drop(self.said.insert(id.clone(), status.clone())),
                None => drop(self.said.remove(&id)),
            }
            news.insert(id, status);
        }
        news
    }

    fn complaints(&mut self, found: Vec<(ObjectId, Vec<String>)>) -> BTreeMap<ObjectId, Vec<String>> {
        let mut news = BTreeMap::new();
        for (id, problems) in found {
            let known = self.problems.get(&id).map_or(&[][..], Vec::as_slice);
            if known == problems {
                continue;
            }
            if problems.is_empty() {
                self.problems.remove(&id);
            } else {
                self.problems.insert(id.clone(), problems.clone());
            }
            news.insert(id, problems);
        }
        news
    }
}

/// What a Gateway depends on because a route names it.
fn needed(id: &ObjectId, state: &RouteState) -> impl Iterator<Item = ObjectId> {
    let namespace = ObjectId::new(Kind::Namespace, ObjectName::cluster(id.name.namespace()));
    let services = state.references.backends.iter().map(|name| ObjectId::new(Kind::Service, name.service.clone()));
    [id.clone(), namespace].into_iter().chain(services).chain(state.references.uses.iter().cloned())
}

fn links<'a>(uses: &'a [ObjectId], crosses: &'a [String], parents: &'a [ObjectName]) -> Links<'a> {
    Links { uses, crosses, parents }
}
