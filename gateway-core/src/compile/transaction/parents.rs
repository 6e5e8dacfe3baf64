//! Classes and Gateways judged again, and the ports these share.
//!
//! In: marks in `Dirty`. Out: listeners in the snapshot, and marks for the routes whose attachment may differ.

use crate::name::{Kind, ObjectId, ObjectName};
use crate::status::Status;

use super::super::listener::Sources;
use super::super::{Classes, Options, class, gateway};
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
        let changed = self.gateways.merge();
        if options.traffic {
            for holder in &changed {
                self.gateways.publish(holder, &mut self.writer);
            }
            self.gateways.settle(&mut self.writer);
        }
        dirty.phrased.extend(changed);
    }

    pub(super) fn judge_gateway(&mut self, name: &ObjectName, dirty: &mut Dirty, options: &Options) {
        let id = ObjectId::new(Kind::Gateway, name.clone());
        let object = self.objects.gateways.get(name).cloned();
        let class = object.as_ref().map(|gateway| ObjectName::cluster(&gateway.spec.gateway_class_name));
        let is_ours = |class: &ObjectName| match options.classes {
            Classes::All => true,
            Classes::Named => self.objects.classes.get(class).is_some_and(|class| class::is_ours(class, options)),
        };
        let ours = object.as_ref().filter(|_| class.as_ref().is_some_and(is_ours));
        let Options { support, settings, .. } = options;
        let mut sources = Sources {
            objects: &self.objects,
            support: *support,
            certificates: &mut self.certificates,
            authorities: &mut self.authorities,
        };
        let state = ours.map(|gateway| gateway::judge(gateway, &mut sources, settings));
        dirty.problems.push((id.clone(), ours.map_or_else(Vec::new, |gateway| gateway::remarks(gateway, *support))));
        let (uses, crosses) = match &state {
            Some(state) => (state.ties.uses.clone(), state.ties.crosses.clone()),
            None => (class.map(|class| ObjectId::new(Kind::GatewayClass, class)).into_iter().collect(), Vec::new()),
        };
        let (old_uses, old_crosses) = self.linked.remove(name).unwrap_or_default();
        for class in old_uses.iter().chain(&uses).filter(|object| object.kind == Kind::GatewayClass) {
            let is_used = self.dependents.users(class).next().is_some();
            dirty.classes_used.entry(class.name.clone()).or_insert(is_used);
        }
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
        if self.gateways.replace(name, state) {
            dirty.routes.extend(self.dependents.children(name).cloned());
        }
    }
}
