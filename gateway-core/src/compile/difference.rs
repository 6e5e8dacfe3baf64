//! Which listeners of a Gateway or ListenerSet routes meet otherwise than before, and which of its routes that concerns.
//!
//! In: the listeners as they were and as they are, a route's parentRef. Out: whether the route has to be attached again. Only what
//! attachment looks at counts: a certificate or a filter concerns no route.
//!
//! Invariants: a route that is left alone would get the same verdict, word for word. Its status also names the listeners that do not
//! carry it, so one that names no listener is concerned by each.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::resource::ParentRef;

use super::attach::Surface;
use super::listener::ListenerState;

/// How the listeners of a holder differ.
#[derive(Debug)]
pub(super) enum Difference {
    /// In nothing that concerns routes.
    None,
    /// Some differ, came or went; the others are what they were.
    Listeners(Listeners),
    /// In whether there are any, or in their order.
    Whole,
}

/// The listeners in which a holder differs.
#[derive(Debug)]
pub(super) struct Listeners {
    /// Names and ports of those that differ, as they were and as they are.
    names: BTreeSet<Arc<str>>,
    ports: BTreeSet<u16>,
    /// Names and ports of those that are there.
    all: BTreeSet<(Arc<str>, u16)>,
}

impl Difference {
    /// Compares the listeners of a holder; `None` where it is not ours.
    pub(super) fn between(old: Option<&[ListenerState]>, new: Option<&[ListenerState]>) -> Self {
        let (old, new) = match (old, new) {
            (None, None) => return Self::None,
            (Some(old), Some(new)) => (old, new),
            (Some(_), None) | (None, Some(_)) => return Self::Whole,
        };
        let (old, new) = (surfaces(old), surfaces(new));
        if old == new {
            return Self::None;
        }
        let (was, is): (BTreeSet<&Surface>, BTreeSet<&Surface>) = (old.iter().copied().collect(), new.iter().copied().collect());
        let stayed_before = old.iter().filter(|surface| is.contains(*surface));
        if !stayed_before.eq(new.iter().filter(|surface| was.contains(*surface))) {
            return Self::Whole;
        }
        let differ: Vec<&Surface> = was.symmetric_difference(&is).copied().collect();
        Self::Listeners(Listeners {
            names: differ.iter().map(|surface| Arc::clone(&surface.name)).collect(),
            ports: differ.iter().map(|surface| surface.port).collect(),
            all: new.iter().map(|surface| (Arc::clone(&surface.name), surface.port)).collect(),
        })
    }
}

fn surfaces(listeners: &[ListenerState]) -> Vec<&Surface> {
    listeners.iter().map(|listener| &listener.surface).collect()
}

impl Listeners {
    /// Whether a route has to be attached again that names the holder so.
    pub(super) fn concern(&self, parent: &ParentRef) -> bool {
        let named = |name: &str, port: u16| {
            parent.section_name.as_deref().is_none_or(|wanted| wanted == name) && parent.port.is_none_or(|wanted| wanted == port)
        };
        let differs = parent.section_name.as_deref().is_none_or(|name| self.names.contains(name))
            && parent.port.is_none_or(|port| self.ports.contains(&port));
        // Where it names none of them its status lists them all.
        differs || !self.all.iter().any(|(name, port)| named(name, *port))
    }
}
