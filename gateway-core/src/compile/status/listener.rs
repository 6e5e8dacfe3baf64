//! The status of one listener, of a Gateway or of a ListenerSet (`ListenerStatus`, `ListenerEntryStatus`).

use std::net::IpAddr;

use crate::condition::{ConditionType, Reason, Truth};
use crate::name::GATEWAY_GROUP;
use crate::snapshot::Socket;
use crate::status::{ListenerStatus, RouteGroupKind};

use super::super::fault::Fault;
use super::super::gateway::GatewayState;
use super::super::listener::ListenerState;
use super::super::objects::Facts;
use super::super::{Bound, Proof};
use super::condition;

/// What the status of a listener depends on beside itself.
#[derive(Debug)]
pub(super) struct Around<'a> {
    /// The Gateway it belongs to.
    pub(super) host: &'a GatewayState,
    /// The generation of its holder.
    pub(super) generation: i64,
    /// Whether all proxies serve that generation.
    pub(super) is_acknowledged: bool,
    /// Why nothing of its holder is served.
    pub(super) unserved: Option<&'static str>,
    pub(super) facts: &'a Facts,
    pub(super) proof: Proof,
}

/// The status of a listener, and whether it is programmed.
pub(super) fn listener_status(around: &Around<'_>, listener: &ListenerState, attached_routes: usize) -> (ListenerStatus, bool) {
    let generation = around.generation;
    let fault = listener_fault(around, listener);
    let is_refused = fault.as_ref().is_some_and(|(reason, _)| *reason == Reason::NotAllowed);
    let programmed = programmed(around, listener, fault.as_ref());
    let is_programmed = programmed.is_ok();
    let accepted = fault.map_or_else(|| Ok((Reason::Accepted, "the listener is accepted".to_owned())), Err);
    let good = || {
        let but = listener.unproven.as_ref().map_or_else(String::new, |why| format!(", but {why}"));
        Ok((Reason::ResolvedRefs, format!("all references are resolved{but}")))
    };
    let references = listener.reference.clone().map_or_else(good, Err);
    let mut conditions = vec![
        condition(ConditionType::Accepted, accepted, generation),
        condition(ConditionType::Programmed, programmed, generation),
        condition(ConditionType::ResolvedRefs, references, generation),
    ];
    if is_refused && let Some(references) = conditions.last_mut() {
        references.status = Truth::Unknown;
        references.reason = Reason::Pending;
        references.message = "references are looked at once the ListenerSet is allowed".to_owned();
    }
    if let Some(conflict) = &listener.conflict {
        conditions.push(condition(ConditionType::Conflicted, Ok((conflict.reason, conflict.message.clone())), generation));
    }
    if let Some(overlap) = &listener.overlap {
        conditions.push(condition(
            ConditionType::OverlappingTlsConfig,
            Ok((overlap.reason, overlap.message.clone())),
            generation,
        ));
    }
    let kinds = listener.surface.kinds.iter().filter(|_| !is_of_unknown_protocol(listener));
    let supported_kinds = kinds.map(|kind| RouteGroupKind { group: GATEWAY_GROUP, kind: kind.as_str().to_owned() }).collect();
    (ListenerStatus { name: listener.surface.name.to_string(), supported_kinds, attached_routes, conditions }, is_programmed)
}

fn is_of_unknown_protocol(listener: &ListenerState) -> bool {
    listener.fault.as_ref().is_some_and(|(reason, _)| *reason == Reason::UnsupportedProtocol)
}

/// Why a listener is not accepted, sockets included.
pub(super) fn listener_fault(around: &Around<'_>, listener: &ListenerState) -> Option<Fault> {
    if let Some(conflict) = &listener.conflict {
        return Some((conflict.reason, conflict.message.clone()));
    }
    if let Some(fault) = &listener.fault {
        return Some(fault.clone());
    }
    if let Some(closed) = listener.closed.as_ref().or(listener.unfiltered.as_ref()) {
        return Some(closed.clone());
    }
    sockets(around.host, listener).into_iter().find_map(|socket| match around.facts.sockets.get(&socket)? {
        Bound::Yes => None,
        Bound::Refused(why) => Some((Reason::PortUnavailable, format!("{socket} cannot be listened on: {why}"))),
    })
}

fn programmed(around: &Around<'_>, listener: &ListenerState, fault: Option<&Fault>) -> Result<Fault, Fault> {
    if let Some((reason, message)) = fault {
        let is_said_again = listener.conflict.is_some() || *reason == Reason::NotAllowed;
        return Err((if is_said_again { *reason } else { Reason::Invalid }, message.clone()));
    }
    if let Some(why) = around.unserved {
        return Err((Reason::Invalid, why.to_owned()));
    }
    if let Err(why) = &listener.filters {
        return Err((Reason::Invalid, format!("{why}; requests are answered 500")));
    }
    if !listener.is_usable() {
        return Err((Reason::Invalid, "there is no usable certificate, so connections are closed".to_owned()));
    }
    let sockets = sockets(around.host, listener);
    let bound = &around.facts.sockets;
    let served = match around.proof {
        Proof::Sockets => !sockets.is_empty() && sockets.iter().all(|socket| bound.get(socket) == Some(&Bound::Yes)),
        Proof::Acknowledgement => around.is_acknowledged,
    };
    if served {
        Ok((Reason::Programmed, "the data plane serves the listener".to_owned()))
    } else {
        Err((Reason::Pending, pending(around.proof)))
    }
}

/// Where a listener's connections arrive. `host` is the Gateway that it belongs to.
pub(in super::super) fn sockets(host: &GatewayState, listener: &ListenerState) -> Vec<Socket> {
    let Some(family) = listener.family() else { return Vec::new() };
    let socket =
        |address: &Option<IpAddr>| Socket { address: *address, port: listener.surface.port, transport: family.transport() };
    let mut sockets: Vec<Socket> = host.allotted.listen.iter().map(socket).collect();
    sockets.sort_unstable();
    sockets.dedup();
    sockets
}

pub(super) fn pending(proof: Proof) -> String {
    match proof {
        Proof::Sockets => "the data plane does not listen yet".to_owned(),
        Proof::Acknowledgement => "not every proxy serves this generation yet".to_owned(),
    }
}
