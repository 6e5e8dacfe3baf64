//! The status of a ListenerSet (`ListenerSetStatus`, GEP-1713).
//!
//! A listener counts as valid when it is accepted and can serve: unlike in the summary of a Gateway, one without a usable certificate
//! does not.

use crate::condition::{ConditionType, Reason};
use crate::name::{Kind, ObjectId};
use crate::status::{ListenerSetStatus, ListenerStatus};

use super::super::Proof;
use super::super::fault::Fault;
use super::super::gateway::GatewayState;
use super::super::listener_set::SetState;
use super::super::objects::Facts;
use super::listener::{Around, listener_fault, listener_status, pending};
use super::{Standing, condition};

/// The status of a ListenerSet of a Gateway of ours. `attached` tells how many routes a listener carries.
pub(in super::super) fn listener_set(
    state: &SetState,
    host: &GatewayState,
    parent: Standing,
    facts: &Facts,
    proof: Proof,
    attached: impl Fn(&str) -> usize,
) -> ListenerSetStatus {
    let generation = state.object.meta.generation;
    let id = ObjectId::new(Kind::ListenerSet, state.object.meta.name.clone());
    let around = Around {
        host,
        generation,
        is_acknowledged: facts.acknowledged.get(&id) == Some(&generation),
        unserved: match (&state.fault, parent.is_accepted) {
            (Some(_), _) => Some("the ListenerSet is not accepted"),
            (None, false) => Some("the Gateway of the ListenerSet is not accepted"),
            (None, true) => None,
        },
        facts,
        proof,
    };
    let listeners: Vec<(ListenerStatus, bool)> =
        (state.listeners.iter()).map(|listener| listener_status(&around, listener, attached(&listener.surface.name))).collect();
    let is_valid = |listener: &&_| listener_fault(&around, listener).is_none() && listener.is_usable();
    let valid = state.listeners.iter().filter(is_valid).count();
    let bad = || {
        let names: Vec<&str> =
            (state.listeners.iter()).filter(|listener| !is_valid(listener)).map(|listener| &*listener.surface.name).collect();
        (Reason::ListenersNotValid, format!("listeners that are not valid: {}", names.join(", ")))
    };
    let summary = Summary { state, parent, valid, any_programmed: listeners.iter().any(|(_, programmed)| *programmed), proof };
    ListenerSetStatus {
        conditions: vec![
            condition(ConditionType::Accepted, summary.accepted(bad), generation),
            condition(ConditionType::Programmed, summary.programmed(bad), generation),
        ],
        listeners: listeners.into_iter().map(|(status, _)| status).collect(),
    }
}

struct Summary<'a> {
    state: &'a SetState,
    parent: Standing,
    /// How many listeners are valid.
    valid: usize,
    any_programmed: bool,
    proof: Proof,
}

impl Summary<'_> {
    /// Why nothing of the set is looked at any further.
    fn fault(&self) -> Option<Fault> {
        let refused = self.state.refusal.clone().map(|why| (Reason::NotAllowed, why));
        refused.or_else(|| self.state.fault.clone().map(|why| (Reason::Invalid, why)))
    }

    fn accepted(&self, bad: impl Fn() -> Fault) -> Result<Fault, Fault> {
        if let Some(fault) = self.fault() {
            return Err(fault);
        }
        if !self.parent.is_accepted {
            return Err((Reason::ParentNotAccepted, format!("Gateway {} is not accepted", self.state.gateway)));
        }
        if self.valid == 0 {
            return Err(bad());
        }
        if self.valid < self.state.listeners.len() {
            return Ok(bad());
        }
        Ok((Reason::Accepted, "the ListenerSet is accepted".to_owned()))
    }

    fn programmed(&self, bad: impl Fn() -> Fault) -> Result<Fault, Fault> {
        if let Some(fault) = self.fault() {
            return Err(fault);
        }
        if self.parent.is_accepted && self.valid == 0 {
            return Err(bad());
        }
        if !self.parent.is_programmed {
            return Err((Reason::ParentNotProgrammed, format!("Gateway {} is not programmed", self.state.gateway)));
        }
        if !self.any_programmed {
            return Err((Reason::Pending, pending(self.proof)));
        }
        Ok((Reason::Programmed, "the data plane serves the ListenerSet".to_owned()))
    }
}
