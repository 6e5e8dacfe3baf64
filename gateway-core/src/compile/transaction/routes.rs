//! Routes judged again, and the backends they use.
//!
//! In: marks in `Dirty`. Out: candidates and backends in the snapshot, statuses of routes, and the books of who uses what.

use std::cell::LazyCell;
use std::sync::Arc;

use crate::name::{Kind, ObjectId, ObjectName};
use crate::snapshot::ListenerId;
use crate::status::Status;

use super::super::Options;
use super::super::attachment::{Attachment, attach_route};
use super::super::backends::Sources;
use super::super::dependents::Links;
use super::super::references::{References, World};
use super::super::route::Route;
use super::super::routes::{self, RouteState};
use super::super::translate::{self, Shared, Translated};
use super::{Dirty, State, links};

impl State {
    pub(super) fn judge_backends(&mut self, dirty: &mut Dirty, options: &Options) {
        for object in dirty.backends.take() {
            let sources = Sources::of(&self.objects, &self.policies, options);
            let users = self.backends.refresh(&object, sources, &mut self.writer);
            users.iter().for_each(|user| dirty.touch(user));
        }
    }

    pub(super) fn judge_route(&mut self, id: &ObjectId, dirty: &mut Dirty, options: &Options) {
        let old = self.routes.remove(id);
        let Some(route) = self.objects.routes.get(id).cloned() else {
            if let Some(old) = old {
                self.retract(id, &old, dirty);
            }
            return;
        };
        let references = Arc::new(world!(self, options).references(&route));
        let translated = self.translate(&route, &references, old.as_deref(), options);
        self.settle_route(id, old.as_deref(), (route, references, translated), dirty, options);
    }

    /// Attaches a route again, of which nothing changed but perhaps the listeners it meets.
    pub(super) fn reattach_route(&mut self, id: &ObjectId, dirty: &mut Dirty, options: &Options) {
        let Some(old) = self.routes.remove(id) else { return };
        let parts = (old.route.clone(), Arc::clone(&old.references), Arc::clone(&old.translated));
        self.settle_route(id, Some(&old), parts, dirty, options);
    }

    /// Attaches a route, puts its matches where they stand, keeps the books and phrases its status.
    fn settle_route(
        &mut self,
        id: &ObjectId,
        old: Option<&RouteState>,
        (route, references, translated): (Route, Arc<References>, Arc<Translated>),
        dirty: &mut Dirty,
        options: &Options,
    ) {
        let attachment = self.attach(&route);
        if !attachment.problems.is_empty() || self.problems.contains_key(id) {
            dirty.problems.push((id.clone(), attachment.problems.clone()));
        }
        let is_valid = routes::invalid(&route, &translated).is_none();
        let stands_on = routes::stands_on(&route, &attachment.listeners, is_valid);
        let contends = routes::contends(&route, &stands_on);
        let (holders, gateways) = (attachment.holders.clone(), attachment.gateways.clone());
        let (places, carriers) = (Vec::new(), Vec::new());
        let mut new =
            RouteState { route, references, translated, is_valid, stands_on, carriers, places, contends, holders, gateways };
        let carried = RouteState::carried(Some(&new));
        let mut carriers: Vec<ObjectName> =
            carried.iter().filter_map(|(listener, _)| self.gateways.behind(&listener.parent).cloned()).collect();
        carriers.sort_unstable();
        carriers.dedup();
        new.carriers = carriers;
        match old {
            Some(old) if Arc::ptr_eq(&old.translated, &new.translated) && old.stands_on == new.stands_on => {
                new.places.clone_from(&old.places);
            }
            _ if options.traffic => {
                let places = routes::places(&new.route, &new.translated, &new.stands_on);
                new.places = routes::replace(&mut self.writer, id, old.map_or(&[], |old| &old.places), places);
            }
            _ => {}
        }
        if !old.is_some_and(|old| old.is_booked_like(&new)) {
            self.account(id, old, Some(&new), dirty);
        }
        if new.contends.is_empty() {
            self.phrase_route(id, &new, &attachment, dirty, options);
        } else {
            dirty.contending.insert(id.clone());
        }
        self.routes.insert(id.clone(), Box::new(new));
    }

    fn attach(&self, route: &Route) -> Attachment {
        let labels = LazyCell::new(|| self.objects.labels(route.namespace()));
        attach_route(route, &labels, &self.gateways, &self.objects)
    }

    /// Phrases the routes that contend with others, now that all of them are judged.
    pub(super) fn phrase_contending(&mut self, dirty: &mut Dirty, options: &Options) {
        let mut contending = std::mem::take(&mut dirty.contending);
        contending.extend(self.rivals.take_touched());
        for id in contending {
            if let Some(state) = self.routes.get(&id) {
                self.phrase_route(&id, state, &self.attach(&state.route), dirty, options);
            }
        }
    }

    fn phrase_route(&self, id: &ObjectId, state: &RouteState, attachment: &Attachment, dirty: &mut Dirty, options: &Options) {
        let RouteState { route, references, translated, contends, .. } = state;
        let idle = |listeners: &[ListenerId]| self.rivals.idle(id, contends, listeners);
        let status = routes::status(route, &options.controller_name, attachment, references, translated, idle);
        dirty.statuses.push((id.clone(), Some(Status::Route(Arc::new(status)))));
    }

    /// The rules of a route: those of its last version when neither it nor what it refers to changed.
    pub(super) fn translate(
        &mut self,
        route: &Route,
        references: &References,
        old: Option<&RouteState>,
        options: &Options,
    ) -> Arc<Translated> {
        if let Some(old) = old
            && old.references.rules == references.rules
            && old.route.is_same_but_for_status(route)
        {
            return old.translated.clone();
        }
        let none = Shared::new();
        let before = old.map_or(&none, |old| &old.translated.shared);
        Arc::new(translate::translate(route, references, before, options.support, &mut self.expressions))
    }

    pub(super) fn retract(&mut self, id: &ObjectId, old: &RouteState, dirty: &mut Dirty) {
        routes::replace(&mut self.writer, id, &old.places, Vec::new());
        self.account(id, Some(old), None, dirty);
        dirty.statuses.push((id.clone(), None));
        dirty.problems.push((id.clone(), Vec::new()));
    }

    /// Keeps the books: counts of listeners, uses of backends, who depends on whom, what Gateways need.
    pub(super) fn account(&mut self, id: &ObjectId, old: Option<&RouteState>, new: Option<&RouteState>, dirty: &mut Dirty) {
        dirty.phrased.extend(self.gateways.counts.recount(RouteState::carried(old), RouteState::carried(new)));
        self.rivals.replace(id, RouteState::contention(old), RouteState::contention(new));
        for name in old.into_iter().flat_map(|old| &old.references.ties.backends) {
            if new.is_none_or(|new| new.references.ties.backends.binary_search(name).is_err()) {
                dirty.released.push((name.clone(), id.clone()));
            }
        }
        self.dependents.relink(id, linked(old), linked(new));
        let seeks = |state: Option<&RouteState>| state.is_some_and(|state| state.route.is_for_default_gateways());
        if seeks(old) != seeks(new) {
            self.dependents.seek(id, seeks(new));
        }
        for (state, joins) in [(new, true), (old, false)] {
            let Some(state) = state else { continue };
            for gateway in &state.gateways {
                let namespace = ObjectId::new(Kind::Namespace, ObjectName::cluster(id.name.namespace()));
                for object in [id, &namespace].into_iter().chain(state.references.ties.needed()) {
                    if joins { self.needs.join(gateway, object) } else { self.needs.leave(gateway, object) }
                }
            }
            for gateway in &state.carriers {
                for backend in &state.references.ties.backends {
                    if joins { self.reach.open(gateway, &backend.object) } else { self.reach.close(gateway, &backend.object) }
                }
            }
        }
    }
}

fn linked(state: Option<&RouteState>) -> Links<'_> {
    state.map_or_else(Links::default, |state| {
        let ties = &state.references.ties;
        links(&ties.uses, &ties.crosses, &state.holders)
    })
}
