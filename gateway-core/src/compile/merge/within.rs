//! Conflicts within the own list of one Gateway, where all that conflict fall and none wins (`GatewaySpec.Listeners`).
//!
//! In: the listeners as stated. Out: a conflict for each that has one. What falls here claims nothing, so it stands in nobody's way.

use std::sync::Arc;

use super::super::listener::ListenerState;
use super::{Conflict, Family};
use crate::condition::Reason;

/// A listener as far as its siblings are concerned.
#[derive(Clone, Debug)]
pub(in super::super) struct Stated {
    pub(in super::super) name: Arc<str>,
    pub(in super::super) port: u16,
    pub(in super::super) family: Family,
    /// In lower case.
    pub(in super::super) hostname: Option<Arc<str>>,
}

impl Stated {
    /// The listener, if it is fit to serve.
    pub(in super::super) fn of(listener: &ListenerState) -> Option<Self> {
        let ListenerState { surface, family, fault: None, .. } = listener else { return None };
        Some(Self { name: surface.name.clone(), port: surface.port, family: (*family)?, hostname: surface.hostname.clone() })
    }
}

/// The conflicts of listeners, `None` for those that take no part.
pub(in super::super) fn conflicts_within(listeners: &[Option<Stated>]) -> Vec<Option<Conflict>> {
    let conflict = |at: usize| {
        let one = listeners.get(at)?.as_ref()?;
        let others = listeners.iter().enumerate().filter(|(other, _)| *other != at).filter_map(|(_, other)| other.as_ref());
        let rivals = others.filter_map(|other| rivalry(one, other).map(|reason| (reason, other)));
        let (reason, other) = rivals.min_by_key(|(reason, _)| u8::from(*reason != Reason::ProtocolConflict))?;
        let (name, port) = (&other.name, one.port);
        let message = if reason != Reason::ProtocolConflict {
            format!("listener {name} has the same port {port} and hostname; give one of them another")
        } else {
            format!("listener {name} speaks another protocol on port {port}; give one of them another port")
        };
        Some(Conflict { reason, message })
    };
    (0..listeners.len()).map(conflict).collect()
}

fn rivalry(one: &Stated, other: &Stated) -> Option<Reason> {
    if one.port != other.port || one.family.transport() != other.family.transport() {
        return None;
    }
    if one.family != other.family {
        return Some(Reason::ProtocolConflict);
    }
    (!one.family.has_names() || one.hostname == other.hostname).then_some(Reason::HostnameConflict)
}
