//! Conflicts within the own list of one Gateway, where all that conflict fall and none wins (`GatewaySpec.Listeners`).
//!
//! In: the listeners as stated. Out: a conflict for each that has one. What falls here claims nothing, so it stands in nobody's way.

use std::sync::Arc;

use super::super::listener::{ListenerState, tls_modes};
use super::{Conflict, Family};
use crate::condition::Reason;
use crate::resource::{Listener, Protocol, TlsMode};
use crate::support::Support;

/// A listener as far as its siblings are concerned.
#[derive(Clone, Debug)]
pub(in super::super) struct Stated {
    pub(in super::super) name: Arc<str>,
    pub(in super::super) port: u16,
    pub(in super::super) family: Family,
    /// In lower case.
    pub(in super::super) hostname: Option<Arc<str>>,
    /// Whether it is fit to serve.
    pub(in super::super) is_fit: bool,
    /// Whether it passes TLS through, where it is of protocol TLS and the data plane does not perform both modes.
    pub(in super::super) passes_through: Option<bool>,
}

impl Stated {
    /// The listener, if it takes part: where it is fit to serve, or of a TLS mode that makes it unfit beside one that is performed.
    pub(in super::super) fn of(spec: &Listener, state: &ListenerState, support: Support) -> Option<Self> {
        let is_fit = state.fault.is_none();
        let is_mode_alone = spec.protocol == Protocol::Tls && tls_modes(support).count() == 1;
        let passes_through = spec.tls.as_ref().filter(|_| is_mode_alone).and_then(|tls| match tls.mode {
            TlsMode::Passthrough => Some(true),
            TlsMode::Terminate => Some(false),
            TlsMode::Other(_) => None,
        });
        let family = state.family().or_else(|| passes_through.map(|_| Family::Tls))?;
        let surface = &state.surface;
        let stated = Self {
            name: surface.name.clone(),
            port: surface.port,
            family,
            hostname: surface.hostname.clone(),
            is_fit,
            passes_through,
        };
        (is_fit || passes_through.is_some()).then_some(stated)
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
        } else if one.family == other.family {
            format!(
                "listener {name} has another tls.mode on port {port}, and this data plane does not perform both; keep one of them"
            )
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
    if one.passes_through.is_some() && other.passes_through.is_some() && one.passes_through != other.passes_through {
        return Some(Reason::ProtocolConflict);
    }
    if !one.is_fit || !other.is_fit {
        return None;
    }
    if one.family != other.family {
        return Some(Reason::ProtocolConflict);
    }
    (!one.family.has_names() || one.hostname == other.hostname).then_some(Reason::HostnameConflict)
}
