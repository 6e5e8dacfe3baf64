//! Policies for Gateways judged again, and what is said of them.
//!
//! In: marks in `Dirty`. Out: listeners of the Gateways they target, statuses of policies, what Gateways need and lead to because of
//! them. Gateways are known by then, so that nothing is said to those of others.

use std::collections::BTreeSet;

use crate::name::{Kind, ObjectId, ObjectName};
use crate::status::Status;

use super::super::Options;
use super::super::policies::Replaced;
use super::super::policies::telemetry::{self, Standing};
use super::super::references::World;
use super::{Dirty, State};

/// How a Gateway stands to us: a part of the state, so that the rest of it can be used beside.
macro_rules! standing {
    ($state:expr) => {
        |gateway: &ObjectName| match $state.gateways.get(gateway) {
            Some(_) if $state.gateways.is_accepted(gateway) => Standing::Accepted,
            Some(_) => Standing::Refused,
            None if $state.objects.gateways.contains_key(gateway) => Standing::Foreign,
            None => Standing::Missing,
        }
    };
}

impl State {
    /// Judges policies for Gateways, and settles what holds for those they target.
    pub(super) fn judge_telemetry(&mut self, dirty: &mut Dirty, options: &Options) {
        let (mut touched, mut settled) = (BTreeSet::new(), BTreeSet::new());
        for id in std::mem::take(&mut dirty.policies) {
            let found = self.objects.telemetry.get(&id.name);
            let new = found.map(|policy| telemetry::judge(&id, policy, standing!(self), &mut world!(self, options), options));
            touched.extend(new.iter().flat_map(|policy| &policy.targets).map(|target| target.object.name.clone()));
            let Replaced { old, rivals, .. } = self.replace_policy(&id, new, dirty);
            touched.extend(old.iter().flat_map(|policy| &policy.targets).map(|target| target.object.name.clone()));
            settled.extend(rivals);
            settled.insert(id);
        }
        for gateway in touched {
            self.trace(&gateway, options);
        }
        self.gateways.settle(&mut self.writer);
        for id in &settled {
            self.settle_telemetry(id);
        }
        dirty.policed.extend(settled);
    }

    /// Tells the listeners of a Gateway and of its sets which requests become spans.
    fn trace(&mut self, gateway: &ObjectName, options: &Options) {
        if !self.gateways.trace(gateway, self.policies.tracing(gateway)) || !options.traffic {
            return;
        }
        let id = ObjectId::new(Kind::Gateway, gateway.clone());
        self.gateways.publish(&id, &mut self.writer);
        for set in self.dependents.sets(&id) {
            self.gateways.publish(set, &mut self.writer);
        }
    }

    /// Keeps the books of a policy: what Gateways need because of it, and the collector that those lead to where it has its say.
    fn settle_telemetry(&mut self, id: &ObjectId) {
        let Some(policy) = self.policies.get(id) else { return };
        let standing = standing!(self);
        let is_ours = |gateway: &ObjectName| matches!(standing(gateway), Standing::Accepted | Standing::Refused);
        let (mut needed, mut ways) = (Vec::new(), Vec::new());
        for target in policy.targets.iter().filter(|target| is_ours(&target.object.name)) {
            let gateway = &target.object.name;
            needed.extend([id].into_iter().chain(policy.ties.needed()).map(|object| (gateway.clone(), object.clone())));
            let has_say = self.policies.first(&id.kind, target) == Some(id);
            let is_in_force = has_say && policy.fault.is_none() && !policy.barred.contains(gateway);
            let backends = policy.ties.backends.iter().filter(|_| is_in_force);
            ways.extend(backends.map(|backend| (gateway.clone(), backend.object.clone())));
        }
        self.book_policy(id, needed, ways);
    }

    /// Says of a policy what became of it, to each Gateway that it targets.
    pub(super) fn phrase_telemetry(&mut self, id: ObjectId, dirty: &mut Dirty, options: &Options) {
        let policy = self.policies.get(&id);
        let status = policy
            .map(|policy| telemetry::status(&id, policy, &self.policies, standing!(self), &options.controller_name))
            .map(Status::Policy);
        let remarks = policy.map(|policy| policy.remarks.clone()).unwrap_or_default();
        dirty.problems.push((id.clone(), remarks));
        dirty.statuses.push((id, status));
    }
}
