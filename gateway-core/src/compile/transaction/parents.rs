//! Classes, Gateways and ListenerSets judged again, and the ports these share.
//!
//! In: marks in `Dirty`. Out: listeners in the snapshot, and marks for the routes whose attachment may differ.

use crate::name::{Kind, ObjectId, ObjectName};
use crate::resource::ParentRef;
use crate::snapshot::BackendName;
use crate::status::Status;

use super::super::dependents::Links;
use super::super::difference::Difference;
use super::super::listener::Sources;
use super::super::references::World;
use super::super::{Classes, Options, class, gateway, listener_set};
use super::{Dirty, State, links};

impl State {
    pub(super) fn judge_classes(&mut self, dirty: &mut Dirty, options: &Options) {
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

    pub(super) fn judge_gateways(&mut self, dirty: &mut Dirty, options: &Options) {
        for name in std::mem::take(&mut dirty.gateways) {
            self.judge_gateway(&name, dirty, options);
        }
        // Gateways go before all ListenerSets, so that what becomes of their own listeners is known without these.
        let mut changed = self.gateways.merge();
        for id in changed.iter().filter(|id| id.kind == Kind::Gateway) {
            if self.gateways.renew_terms(&id.name) {
                dirty.sets.extend(self.dependents.sets(id).map(|set| set.name.clone()));
                dirty.policies.extend(self.policies.on(id).cloned());
            }
        }
        loop {
            for name in std::mem::take(&mut dirty.sets) {
                self.judge_set(&name, dirty, options);
            }
            // How many listeners fit depends on how many there are, and on nothing that is found of them: there are two rounds at most.
            dirty.sets = self.gateways.settle_rooms();
            if dirty.sets.is_empty() {
                break;
            }
        }
        changed.append(&mut self.gateways.merge());
        if options.traffic {
            for holder in &changed {
                self.gateways.publish(holder, &mut self.writer);
            }
            self.gateways.settle(&mut self.writer);
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
        let mut sources = sources!(self, options);
        let state = ours.map(|gateway| gateway::judge(gateway, &mut sources, &options.settings));
        dirty
            .problems
            .push((id.clone(), ours.map_or_else(Vec::new, |gateway| gateway::remarks(gateway, &self.objects, options.support))));
        let linked = match &state {
            Some(state) => Linked {
                uses: state.ties.uses.clone(),
                crosses: state.ties.crosses.clone(),
                backends: state.ties.backends.clone(),
                parents: Vec::new(),
                needed: Some((name.clone(), state.ties.needed().cloned().collect())),
            },
            None => Linked {
                uses: class.map(|class| ObjectId::new(Kind::GatewayClass, class)).into_iter().collect(),
                ..Linked::default()
            },
        };
        self.link(&id, object.is_some().then_some(linked), dirty);
        // Whether it exists, and whether it is ours.
        dirty.policies.extend(self.policies.on(&id).cloned());
        let was_default = self.gateways.is_default(name);
        let difference = self.gateways.replace(name, state);
        self.reattach(&id, &difference, dirty);
        if self.gateways.is_default(name) != was_default {
            dirty.reattached.extend(self.dependents.seekers().cloned());
        }
    }

    fn judge_set(&mut self, name: &ObjectName, dirty: &mut Dirty, options: &Options) {
        let id = ObjectId::new(Kind::ListenerSet, name.clone());
        let object = self.objects.listener_sets.get(name).cloned();
        let parent = object.as_ref().map(|set| &set.spec.parent_ref).filter(|parent| parent.is_gateway());
        let gateway = parent.map(|parent| parent.target(name.namespace()));
        let host = gateway.as_ref().and_then(|gateway| self.gateways.get(gateway));
        let state = object.as_ref().zip(host).map(|(set, host)| {
            let labels = self.objects.labels(name.namespace());
            let room = self.gateways.room(&host.object.meta.name, name);
            let mut sources = sources!(self, options);
            listener_set::judge(set, host, &labels, room, &mut sources)
        });
        let is_known = |gateway: &ObjectName| self.objects.gateways.contains_key(gateway);
        let problems = object.as_ref().map(|set| listener_set::remarks(set, state.as_ref(), is_known)).unwrap_or_default();
        dirty.problems.push((id.clone(), problems));
        let parents = gateway.iter().map(|gateway| ObjectId::new(Kind::Gateway, gateway.clone())).collect();
        let linked = match &state {
            Some(state) => {
                let namespace = ObjectId::new(Kind::Namespace, ObjectName::cluster(name.namespace()));
                let needed = [id.clone(), namespace].into_iter().chain(state.ties.needed().cloned()).collect();
                let is_allowed = state.refusal.is_none();
                Linked {
                    uses: state.ties.uses.clone(),
                    crosses: state.ties.crosses.clone(),
                    backends: state.ties.backends.clone(),
                    parents,
                    needed: is_allowed.then(|| (state.gateway.clone(), needed)),
                }
            }
            None => Linked { parents, ..Linked::default() },
        };
        self.link(&id, object.is_some().then_some(linked), dirty);
        let difference = self.gateways.replace_set(name, state);
        self.reattach(&id, &difference, dirty);
    }

    /// Marks the routes that a difference in the listeners of a holder concerns.
    fn reattach(&self, holder: &ObjectId, difference: &Difference, dirty: &mut Dirty) {
        let listeners = match difference {
            Difference::None => return,
            Difference::Whole => return dirty.reattached.extend(self.dependents.routes(holder).cloned()),
            Difference::Listeners(listeners) => listeners,
        };
        let is_concerned = |id: &&ObjectId| {
            let Some(state) = self.routes.get(*id) else { return false };
            let route = &state.route;
            let names = |parent: &&ParentRef| parent.holder(route.namespace()).is_some_and(|named| named == *holder);
            let mut named = route.parents().iter().filter(names).peekable();
            // One that comes by being a default names no listener.
            named.peek().is_none() || named.any(|parent| listeners.concern(parent))
        };
        dirty.reattached.extend(self.dependents.routes(holder).filter(is_concerned).cloned());
    }

    /// Exchanges what a holder of listeners refers to, and what its Gateway needs for it.
    fn link(&mut self, id: &ObjectId, new: Option<Linked>, dirty: &mut Dirty) {
        let old = self.linked.remove(id).unwrap_or_default();
        let after = new.as_ref().map(Linked::links).unwrap_or_default();
        for class in old.uses.iter().chain(after.uses).filter(|object| object.kind == Kind::GatewayClass) {
            let is_used = self.dependents.users(class).next().is_some();
            dirty.classes_used.entry(class.name.clone()).or_insert(is_used);
        }
        self.dependents.relink(id, old.links(), after);
        let backends = new.as_ref().map_or(&[][..], |new| &new.backends);
        let left = old.backends.iter().filter(|backend| backends.binary_search(backend).is_err());
        dirty.released.extend(left.map(|backend| (backend.clone(), id.clone())));
        if let Some((gateway, objects)) = new.as_ref().and_then(|new| new.needed.as_ref()) {
            objects.iter().for_each(|object| self.needs.join(gateway, object));
            backends.iter().for_each(|backend| self.reach.open(gateway, &backend.object));
        }
        if let Some((gateway, objects)) = &old.needed {
            objects.iter().for_each(|object| self.needs.leave(gateway, object));
            old.backends.iter().for_each(|backend| self.reach.close(gateway, &backend.object));
        }
        if let Some(new) = new {
            self.linked.insert(id.clone(), new);
        }
    }
}

/// What a holder of listeners refers to.
#[derive(Debug, Default)]
pub(super) struct Linked {
    uses: Vec<ObjectId>,
    crosses: Vec<String>,
    backends: Vec<BackendName>,
    parents: Vec<ObjectId>,
    /// What its Gateway needs for it.
    needed: Option<(ObjectName, Vec<ObjectId>)>,
}

impl Linked {
    fn links(&self) -> Links<'_> {
        links(&self.uses, &self.crosses, &self.parents)
    }
}
