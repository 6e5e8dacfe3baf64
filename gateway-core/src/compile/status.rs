//! Verdicts phrased as statuses (`GatewayStatus`, `ListenerSetStatus`, `ListenerStatus`, `GatewayClassStatus`).
//!
//! In: a Gateway, ListenerSet or class as judged, the facts, the counts of routes. Out: the status to show. Decides nothing that
//! traffic depends on.
//!
//! Invariants: summary conditions are always present; Conflicted and OverlappingTLSConfig only while true; every condition carries
//! the generation that was judged.

use crate::condition::{Condition, ConditionType, Reason, Truth};
use crate::name::{Kind, ObjectId};
use crate::resource::DefaultGateways;
use crate::status::{GatewayStatus, ListenerStatus};

use super::Proof;
use super::fault::Fault;
use super::gateway::GatewayState;
use super::objects::Facts;

mod listener;
mod listener_set;

pub(super) use listener::sockets;
use listener::{Around, listener_fault, listener_status, pending};
pub(super) use listener_set::listener_set;

/// Whether a Gateway is accepted and programmed, as its ListenerSets have to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) is_accepted: bool,
    pub(super) is_programmed: bool,
}

impl Standing {
    /// What the conditions of a status say.
    pub(super) fn of(conditions: &[Condition]) -> Self {
        let holds = |kind| conditions.iter().any(|found| found.kind == kind && found.status == Truth::True);
        Self { is_accepted: holds(ConditionType::Accepted), is_programmed: holds(ConditionType::Programmed) }
    }
}

/// The status of a Gateway. `attached` tells how many routes a listener carries. How many ListenerSets it has is not known here.
pub(super) fn gateway(state: &GatewayState, facts: &Facts, proof: Proof, attached: impl Fn(&str) -> usize) -> GatewayStatus {
    let generation = state.object.meta.generation;
    let id = ObjectId::new(Kind::Gateway, state.object.meta.name.clone());
    let around = Around {
        host: state,
        generation,
        is_acknowledged: facts.acknowledged.get(&id) == Some(&generation),
        unserved: state.fault.is_some().then_some("the Gateway is not accepted"),
        facts,
        proof,
    };
    let listeners: Vec<(ListenerStatus, bool)> =
        state.listeners.iter().map(|listener| listener_status(&around, listener, attached(&listener.surface.name))).collect();
    let programmed = listeners.iter().any(|(_, programmed)| *programmed);
    let mut conditions = vec![
        condition(ConditionType::Accepted, accepted(&around), generation),
        condition(ConditionType::Programmed, programmed_as_a_whole(&around, programmed), generation),
        condition(ConditionType::ResolvedRefs, resolved(state), generation),
    ];
    if state.is_insecure {
        let message =
            "spec.tls.frontend has mode AllowInsecureFallback: clients are let in without a valid certificate".to_owned();
        let verdict = Ok((Reason::ConfigurationChanged, message));
        conditions.push(condition(ConditionType::InsecureFrontendValidationMode, verdict, generation));
    }
    if let Some(assigned) = &state.allotted.assigned {
        conditions.push(condition(ConditionType::AddressesAssigned, assigned.clone(), generation));
    }
    if state.object.spec.default_scope == Some(DefaultGateways::All) {
        let message = "spec.defaultScope is All: routes that ask for default Gateways attach without naming this one".to_owned();
        conditions.push(condition(ConditionType::DefaultGateway, Ok((Reason::DefaultGateway, message)), generation));
    }
    GatewayStatus {
        addresses: state.allotted.shown.clone(),
        attached_listener_sets: 0,
        conditions,
        listeners: listeners.into_iter().map(|(status, _)| status).collect(),
    }
}

/// One condition from a verdict: what holds, or a fault.
pub(super) fn condition(kind: ConditionType, verdict: Result<Fault, Fault>, generation: i64) -> Condition {
    let (status, (reason, message)) = match verdict {
        Ok(good) => (Truth::True, good),
        Err(fault) => (Truth::False, fault),
    };
    Condition { kind, status, reason, message: clamped(message), observed_generation: generation }
}

/// A message as long as an API server takes it (`metav1.Condition.message`) and a person reads it.
fn clamped(mut message: String) -> String {
    if message.len() > LONGEST_MESSAGE {
        let end = message.floor_char_boundary(LONGEST_MESSAGE);
        message.truncate(end);
        message.push_str(" …");
    }
    message
}

const LONGEST_MESSAGE: usize = 4096;

fn accepted(around: &Around<'_>) -> Result<Fault, Fault> {
    let state = around.host;
    if let Some(fault) = &state.fault {
        return Err(fault.clone());
    }
    let bad: Vec<&str> = state
        .listeners
        .iter()
        .filter(|listener| listener_fault(around, listener).is_some())
        .map(|listener| &*listener.surface.name)
        .collect();
    if bad.is_empty() {
        let unusable: Vec<&str> =
            state.listeners.iter().filter(|listener| !listener.is_usable()).map(|listener| &*listener.surface.name).collect();
        if unusable.is_empty() {
            return Ok((Reason::Accepted, "the Gateway is accepted".to_owned()));
        }
        return Ok((Reason::ListenersNotValid, format!("listeners that cannot serve: {}", unusable.join(", "))));
    }
    let message = format!("listeners that are not accepted: {}", bad.join(", "));
    if bad.len() == state.listeners.len() {
        Err((Reason::ListenersNotValid, message))
    } else {
        Ok((Reason::ListenersNotValid, message))
    }
}

fn programmed_as_a_whole(around: &Around<'_>, any: bool) -> Result<Fault, Fault> {
    let state = around.host;
    if state.fault.is_some() {
        return Err((Reason::Invalid, "the Gateway is not accepted".to_owned()));
    }
    if let Some(fault) = &state.address {
        return Err(fault.clone());
    }
    if any {
        return Ok((Reason::Programmed, "the data plane serves the Gateway".to_owned()));
    }
    if !state.listeners.iter().any(|listener| listener.is_usable() && listener_fault(around, listener).is_none()) {
        return Err((Reason::Invalid, "no listener can serve".to_owned()));
    }
    Err((Reason::Pending, pending(around.proof)))
}

fn resolved(state: &GatewayState) -> Result<Fault, Fault> {
    if let Some(fault) = &state.reference {
        return Err(fault.clone());
    }
    let broken: Vec<&str> =
        state.listeners.iter().filter(|listener| listener.reference.is_some()).map(|listener| &*listener.surface.name).collect();
    if !broken.is_empty() {
        return Err((Reason::ListenersNotResolved, format!("listeners whose references are broken: {}", broken.join(", "))));
    }
    Ok((Reason::ResolvedRefs, "all references of the Gateway and its listeners are resolved".to_owned()))
}
