//! Policies for backends judged again, and what is said of them.
//!
//! In: marks in `Dirty`. Out: backends to be looked at again, statuses of policies, and what Gateways need because of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::name::{Kind, ObjectId, ObjectName};
use crate::status::Status;

use super::super::policies::{self, Ancestors, Replaced};
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
            if let Some((new, old)) = new.as_mut().zip(self.policies.get_mut(&id)) {
                new.barred = Arc::clone(&old.barred);
                new.needed = std::mem::take(&mut old.needed);
            }
            let after = new.as_ref().map(|policy| policy.ties.clone()).unwrap_or_default();
            let Replaced { old, targets, rivals } = self.policies.replace(&id, new);
            let before = old.as_ref().map(|policy| policy.ties.clone()).unwrap_or_default();
            self.dependents.relink(&id, links(&before.uses, &before.crosses, &[]), links(&after.uses, &after.crosses, &[]));
            if let Some(old) = old {
                old.needed.iter().for_each(|(gateway, object)| self.needs.leave(gateway, object));
            }
            dirty.backends.extend(targets);
            dirty.policed.extend(rivals);
            dirty.policed.insert(id);
        }
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
            let Ancestors { told, barred } = policies::ancestors(policy, &self.reach);
            let status =
                policies::status(&id, policy, &told, &self.policies, &self.objects, &self.reach, &options.controller_name);
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
            self.settle_policy(&id, needed, &barred, options);
        }
    }

    /// Keeps the books of a policy: what Gateways need because of it, and for which of them it is not in force.
    fn settle_policy(&mut self, id: &ObjectId, needed: Vec<(ObjectName, ObjectId)>, barred: &[ObjectName], options: &Options) {
        let Some(policy) = self.policies.get_mut(id) else { return };
        needed.iter().for_each(|(gateway, object)| self.needs.join(gateway, object));
        let before = std::mem::replace(&mut policy.needed, needed);
        before.iter().for_each(|(gateway, object)| self.needs.leave(gateway, object));
        if *policy.barred == *barred {
            return;
        }
        policy.barred = barred.into();
        let targets = policy.targets.clone();
        for target in targets {
            let sources = backends::Sources::of(&self.objects, &self.policies, options);
            // Whether references can be used does not hang on it.
            self.backends.refresh(&target.object, sources, &mut self.writer);
        }
    }
}
