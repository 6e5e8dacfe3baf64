//! Policies for backends judged again, and what is said of them.
//!
//! In: marks in `Dirty`. Out: backends to be looked at again, statuses of policies, and what Gateways need because of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::name::{Kind, ObjectId, ObjectName};
use crate::status::Status;

use super::super::policies::{self, Ancestors, Policy, Replaced};
use super::super::ties::Ties;
use super::super::{Options, backends};
use super::{Dirty, State, links};

impl State {
    /// Judges policies by themselves. Those that target the same are phrased again where another has its say now.
    pub(super) fn judge_policies(&mut self, dirty: &mut Dirty, options: &Options) {
        let (for_gateways, policies) =
            std::mem::take(&mut dirty.policies).into_iter().partition(|id| id.kind == Kind::XTelemetryPolicy);
        dirty.policies = for_gateways;
        let policies: BTreeSet<ObjectId> = policies;
        for id in policies {
            let mut new = policies::judge(&id, &self.objects, &mut self.authorities, &mut self.certificates, options);
            if let Some((new, old)) = new.as_mut().zip(self.policies.get(&id)) {
                new.barred = Arc::clone(&old.barred);
            }
            let Replaced { targets, rivals, .. } = self.replace_policy(&id, new, dirty);
            dirty.backends.extend(targets);
            dirty.policed.extend(rivals);
            dirty.policed.insert(id);
        }
    }

    /// Puts a policy as judged, or takes it away, with what it refers to. What Gateways need because of it stays as it was until that
    /// is settled again.
    pub(super) fn replace_policy(&mut self, id: &ObjectId, mut new: Option<Policy>, dirty: &mut Dirty) -> Replaced {
        if let Some((new, old)) = new.as_mut().zip(self.policies.get_mut(id)) {
            new.needed = std::mem::take(&mut old.needed);
            new.ways = std::mem::take(&mut old.ways);
        }
        let after = new.as_ref().map(|policy| policy.ties.clone()).unwrap_or_default();
        let replaced = self.policies.replace(id, new);
        let none = Ties::default();
        let before = replaced.old.as_ref().map_or(&none, |policy| &policy.ties);
        self.dependents.relink(id, links(&before.uses, &before.crosses, &[]), links(&after.uses, &after.crosses, &[]));
        let left = before.backends.iter().filter(|backend| after.backends.binary_search(backend).is_err());
        dirty.released.extend(left.map(|backend| (backend.clone(), id.clone())));
        if let Some(old) = &replaced.old {
            self.leave(&old.needed, &old.ways);
        }
        replaced
    }

    /// Exchanges what Gateways need because of a policy, and the ways it opens from them.
    pub(super) fn book_policy(&mut self, id: &ObjectId, needed: Vec<Owed>, ways: Vec<Owed>) {
        let Some(policy) = self.policies.get_mut(id) else { return };
        needed.iter().for_each(|(gateway, object)| self.needs.join(gateway, object));
        ways.iter().for_each(|(gateway, object)| self.reach.open(gateway, object));
        let needed = std::mem::replace(&mut policy.needed, needed);
        let ways = std::mem::replace(&mut policy.ways, ways);
        self.leave(&needed, &ways);
    }

    fn leave(&mut self, needed: &[Owed], ways: &[Owed]) {
        needed.iter().for_each(|(gateway, object)| self.needs.leave(gateway, object));
        ways.iter().for_each(|(gateway, object)| self.reach.close(gateway, object));
    }

    /// Says of policies what became of them, for the Gateways that lead to what they target.
    pub(super) fn phrase_policies(&mut self, dirty: &mut Dirty, options: &Options) {
        for object in self.reach.take_touched() {
            dirty.policed.extend(self.policies.on(&object).cloned());
        }
        for id in std::mem::take(&mut dirty.policed) {
            if id.kind == Kind::XTelemetryPolicy {
                self.phrase_telemetry(id, dirty, options);
                continue;
            }
            let Some(policy) = self.policies.get(&id) else {
                dirty.statuses.push((id.clone(), None));
                dirty.problems.push((id, Vec::new()));
                continue;
            };
            let ancestors = policies::ancestors(policy, &self.reach);
            let status =
                policies::status(&id, policy, &ancestors, &self.policies, &self.objects, &self.reach, &options.controller_name);
            let Ancestors { told, barred } = ancestors;
            let mut remarks = policies::remarks(policy, &told, &barred, &self.objects);
            if id.kind == Kind::XBackend {
                remarks.extend(self.backends.said(&id));
            }
            dirty.problems.push((id.clone(), remarks));
            dirty.statuses.push((id.clone(), Some(Status::Policy(status))));
            let owed = told.iter().chain(&barred).flat_map(|gateway| {
                let objects = [&id].into_iter().chain(policy.ties.needed());
                objects.map(move |object| (gateway.clone(), object.clone()))
            });
            let mut needed: Vec<_> = owed.collect();
            needed.sort_unstable();
            self.book_policy(&id, needed, Vec::new());
            self.bar(&id, &barred, options);
        }
    }

    /// Takes note for which Gateways a policy is not in force.
    fn bar(&mut self, id: &ObjectId, barred: &[ObjectName], options: &Options) {
        let Some(policy) = self.policies.get_mut(id).filter(|policy| *policy.barred != *barred) else { return };
        policy.barred = barred.into();
        let targets = policy.targets.clone();
        for target in targets {
            let sources = backends::Sources::of(&self.objects, &self.policies, options);
            // Whether references can be used does not hang on it.
            self.backends.refresh(&target.object, sources, &mut self.writer);
        }
    }
}

/// An object, with a Gateway that needs it or leads to it.
pub(super) type Owed = (ObjectName, ObjectId);
