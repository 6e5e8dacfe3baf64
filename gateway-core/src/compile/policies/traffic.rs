//! XBackendTrafficPolicy (GEP-3388, GEP-1619): how many requests to a Service may be retries, and how clients stay with an endpoint.
//!
//! In: a policy. Out: a budget and session persistence for the backends of its targets, or why it has no effect.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::condition::Reason;
use crate::name::ObjectId;
use crate::resource::{RetryConstraint, XBackendTrafficPolicy};
use crate::snapshot::{Persistence, RetryBudget, Source};
use crate::support::Capability;

use super::super::age::{self, age};
use super::super::fault::Fault;
use super::super::ties::Ties;
use super::super::translate::persistence;
use super::super::{Options, violation};
use super::{Asks, Held, Policy, Target, backends};

/// What a policy asks of traffic to a backend.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::compile) struct Traffic {
    pub(in crate::compile) retry_budget: Option<RetryBudget>,
    /// By target, of its first port.
    persistence: BTreeMap<ObjectId, Arc<Persistence>>,
}

impl Traffic {
    /// How clients stay with an endpoint behind a port of a target: under the name of the policy behind the first port, under others
    /// behind the others, since a client has a session for each.
    pub(in crate::compile) fn persistence(&self, target: &ObjectId, port: u16, is_first: bool) -> Option<Arc<Persistence>> {
        let first = self.persistence.get(target)?;
        Some(if is_first { Arc::clone(first) } else { Arc::new(persistence::of_port(first, port)) })
    }
}

/// Judges a policy by itself.
pub(super) fn judge(policy: &XBackendTrafficPolicy, options: &Options) -> Policy {
    let namespace = policy.meta.name.namespace();
    let refs = policy.spec.target_refs.iter().map(|target| (&*target.group, &*target.kind, &*target.name, None));
    let (targets, mut remarks) = backends(namespace, refs);
    remarks.extend(age::remark(&policy.meta));
    let violation = violation::of_object(&policy.meta).map(|message| (Reason::Invalid, message));
    let traffic = violation.map_or_else(|| read(policy, &targets, options), Err);
    Policy {
        age: age(&policy.meta),
        generation: policy.meta.generation,
        targets,
        fault: traffic.as_ref().err().cloned(),
        resolved: None,
        asks: Asks::Traffic(traffic.unwrap_or_default()),
        ties: Ties::default(),
        remarks,
        held: Held::of(policy.status.as_ref(), &options.controller_name),
        barred: Arc::from([]),
        needed: Vec::new(),
        ways: Vec::new(),
    }
}

fn read(policy: &XBackendTrafficPolicy, targets: &[Target], options: &Options) -> Result<Traffic, Fault> {
    let retry_budget = policy.spec.retry_constraint.as_ref().map(budget);
    if retry_budget.is_some() && !options.support.has(Capability::RetryBudget) {
        return Err((Reason::Invalid, "spec.retryConstraint is not performed by this data plane".to_owned()));
    }
    let mut found = BTreeMap::new();
    for (stated, target) in policy.spec.session_persistence.iter().flat_map(|stated| targets.iter().map(move |at| (stated, at))) {
        let of = format!("XBackendTrafficPolicy {} {}", policy.meta.name, target.object.name);
        let is_first = found.is_empty();
        let own = persistence::of_backend(stated, Source::Policy, &of, is_first, options.support);
        let own = own.map_err(|(_, message)| (Reason::Invalid, message))?;
        found.insert(target.object.clone(), Arc::new(own));
    }
    Ok(Traffic { retry_budget, persistence: found })
}

fn budget(stated: &RetryConstraint) -> RetryBudget {
    let RetryConstraint { budget, min_retry_rate } = stated;
    RetryBudget {
        percent: budget.percent,
        interval: budget.interval.to_std(),
        least: min_retry_rate.count,
        least_interval: min_retry_rate.interval.to_std(),
    }
}
