//! Verdicts phrased as statuses (`GatewayStatus`, `ListenerStatus`, `GatewayClassStatus`).
//!
//! In: a Gateway or class as judged, the facts, the counts of routes. Out: the status to show. Decides nothing that traffic
//! depends on.
//!
//! Invariants: summary conditions are always present; Conflicted and OverlappingTLSConfig only while true; every condition carries
//! the generation that was judged.

use crate::condition::{Condition, ConditionType, Reason, Truth};
use crate::name::GATEWAY_GROUP;
use crate::snapshot::Socket;
use crate::status::{GatewayStatus, ListenerStatus, RouteGroupKind};

use super::fault::Fault;
use super::gateway::GatewayState;
use super::listener::ListenerState;
use super::objects::Facts;
use super::{Bound, Proof};

/// The status of a Gateway. `attached` tells how many routes a listener carries.
pub(super) fn gateway(state: &GatewayState, facts: &Facts, proof: Proof, attached: impl Fn(&str) -> usize) -> GatewayStatus {
    let generation = state.object.meta.generation;
    let listeners: Vec<(ListenerStatus, bool)> = state
        .listeners
        .iter()
        .map(|listener| listener_status(state, listener, facts, proof, attached(&listener.surface.name)))
        .collect();
    let programmed = listeners.iter().any(|(_, programmed)| *programmed);
    let mut conditions = vec![
        condition(ConditionType::Accepted, accepted(state, facts), generation),
        condition(ConditionType::Programmed, programmed_as_a_whole(state, facts, proof, programmed), generation),
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

fn accepted(state: &GatewayState, facts: &Facts) -> Result<Fault, Fault> {
    if let Some(fault) = &state.fault {
        return Err(fault.clone());
    }
    let bad: Vec<&str> = state
        .listeners
        .iter()
        .filter(|listener| listener_fault(state, listener, facts).is_some())
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

fn programmed_as_a_whole(state: &GatewayState, facts: &Facts, proof: Proof, any: bool) -> Result<Fault, Fault> {
    if state.fault.is_some() {
        return Err((Reason::Invalid, "the Gateway is not accepted".to_owned()));
    }
    if let Some(fault) = &state.address {
        return Err(fault.clone());
    }
    if any {
        return Ok((Reason::Programmed, "the data plane serves the Gateway".to_owned()));
    }
    if !state.listeners.iter().any(|listener| listener.is_usable() && listener_fault(state, listener, facts).is_none()) {
        return Err((Reason::Invalid, "no listener can serve".to_owned()));
    }
    Err((Reason::Pending, pending(proof)))
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

fn listener_status(
    state: &GatewayState,
    listener: &ListenerState,
    facts: &Facts,
    proof: Proof,
    attached_routes: usize,
) -> (ListenerStatus, bool) {
    let generation = state.object.meta.generation;
    let fault = listener_fault(state, listener, facts);
    let programmed = listener_programmed(state, listener, facts, proof, fault.as_ref());
    let is_programmed = programmed.is_ok();
    let accepted = fault.map_or_else(|| Ok((Reason::Accepted, "the listener is accepted".to_owned())), Err);
    let references =
        listener.reference.clone().map_or_else(|| Ok((Reason::ResolvedRefs, "all references are resolved".to_owned())), Err);
    let mut conditions = vec![
        condition(ConditionType::Accepted, accepted, generation),
        condition(ConditionType::Programmed, programmed, generation),
        condition(ConditionType::ResolvedRefs, references, generation),
    ];
    if let Some(conflict) = &listener.conflict {
        conditions.push(condition(ConditionType::Conflicted, Ok((conflict.reason, conflict.message.clone())), generation));
    }
    if let Some(overlap) = &listener.overlap {
        conditions.push(condition(
            ConditionType::OverlappingTlsConfig,
            Ok((Reason::OverlappingHostnames, overlap.clone())),
            generation,
        ));
    }
    let supported_kinds = if unknown_protocol(listener) {
        Vec::new()
    } else {
        listener
            .surface
            .kinds
            .iter()
            .map(|kind| RouteGroupKind { group: GATEWAY_GROUP, kind: kind.as_str().to_owned() })
            .collect()
    };
    (ListenerStatus { name: listener.surface.name.to_string(), supported_kinds, attached_routes, conditions }, is_programmed)
}

fn unknown_protocol(listener: &ListenerState) -> bool {
    listener.fault.as_ref().is_some_and(|(reason, _)| *reason == Reason::UnsupportedProtocol)
}

/// Why a listener is not accepted, sockets included.
fn listener_fault(state: &GatewayState, listener: &ListenerState, facts: &Facts) -> Option<Fault> {
    if let Some(conflict) = &listener.conflict {
        return Some((conflict.reason, conflict.message.clone()));
    }
    if let Some(fault) = &listener.fault {
        return Some(fault.clone());
    }
    if let Some(closed) = &listener.closed {
        return Some(closed.clone());
    }
    sockets(state, listener).into_iter().find_map(|socket| match facts.sockets.get(&socket)? {
        Bound::Yes => None,
        Bound::Refused(why) => Some((Reason::PortUnavailable, format!("{socket} cannot be listened on: {why}"))),
    })
}

fn listener_programmed(
    state: &GatewayState,
    listener: &ListenerState,
    facts: &Facts,
    proof: Proof,
    fault: Option<&Fault>,
) -> Result<Fault, Fault> {
    if let Some((reason, message)) = fault {
        let reason = if listener.conflict.is_some() { *reason } else { Reason::Invalid };
        return Err((reason, message.clone()));
    }
    if state.fault.is_some() {
        return Err((Reason::Invalid, "the Gateway is not accepted".to_owned()));
    }
    if !listener.is_usable() {
        return Err((Reason::Invalid, "there is no usable certificate, so connections are closed".to_owned()));
    }
    let sockets = sockets(state, listener);
    let served = match proof {
        Proof::Sockets => !sockets.is_empty() && sockets.iter().all(|socket| facts.sockets.get(socket) == Some(&Bound::Yes)),
        Proof::Acknowledgement => facts.acknowledged.get(&state.object.meta.name) == Some(&state.object.meta.generation),
    };
    if served {
        Ok((Reason::Programmed, "the data plane serves the listener".to_owned()))
    } else {
        Err((Reason::Pending, pending(proof)))
    }
}

/// Where a listener's connections arrive.
pub(super) fn sockets(state: &GatewayState, listener: &ListenerState) -> Vec<Socket> {
    let Some(family) = listener.family() else { return Vec::new() };
    let socket = |address: &Option<std::net::IpAddr>| Socket {
        address: *address,
        port: listener.surface.port,
        transport: family.transport(),
    };
    let mut sockets: Vec<Socket> = state.allotted.listen.iter().map(socket).collect();
    sockets.sort_unstable();
    sockets.dedup();
    sockets
}

fn pending(proof: Proof) -> String {
    match proof {
        Proof::Sockets => "the data plane does not listen yet".to_owned(),
        Proof::Acknowledgement => "not every proxy serves this generation yet".to_owned(),
    }
}
