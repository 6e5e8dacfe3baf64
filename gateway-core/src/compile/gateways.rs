//! All Gateways that are ours, with what they have in common: ports they share, the sockets that follow, how many routes each
//! listener carries.
//!
//! In: Gateways as judged on their own. Out: conflicts and overlaps among listeners of one port, listeners and sockets for the
//! snapshot. A change judges again only the ports it touches.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::name::{Kind, ObjectId, ObjectName};
use crate::snapshot::matching::Age;
use crate::snapshot::{Listener, ListenerId, Protocol, Settings, Socket, Writer};

use super::age::age;
use super::attach::{Surface, intersects};
use super::gateway::GatewayState;
use super::listener::ListenerState;
use super::merge::{self, Claim, Conflict, Family};
use super::status::sockets;

/// All Gateways that are ours.
#[derive(Debug, Default)]
pub(super) struct Gateways {
    states: BTreeMap<ObjectName, GatewayState>,
    ports: BTreeMap<u16, BTreeSet<ObjectName>>,
    published: BTreeMap<ListenerId, (Arc<Listener>, Vec<Socket>)>,
    settings: BTreeMap<Socket, Arc<Settings>>,
    attached: BTreeMap<ListenerId, usize>,
    /// When time alone will change a verdict, and whose.
    moments: BTreeSet<(i64, ObjectName)>,
}

impl Gateways {
    pub(super) fn get(&self, name: &ObjectName) -> Option<&GatewayState> {
        self.states.get(name)
    }

    /// The Gateways for which something changes after `from` and until `to`, in seconds since 1970.
    pub(super) fn changing(&self, from: i64, to: i64) -> impl Iterator<Item = &ObjectName> {
        self.moments
            .iter()
            .skip_while(move |(moment, _)| *moment <= from)
            .take_while(move |(moment, _)| *moment <= to)
            .map(|(_, name)| name)
    }

    /// When something changes next, after `now`.
    pub(super) fn next_moment(&self, now: i64) -> Option<i64> {
        self.moments.range((now.saturating_add(1), ObjectName::cluster(""))..).next().map(|(moment, _)| *moment)
    }

    /// The Gateways with a listener on a port.
    pub(super) fn on_port(&self, port: u16) -> impl Iterator<Item = &ObjectName> {
        self.ports.get(&port).into_iter().flatten()
    }

    /// How many routes a listener carries.
    pub(super) fn attached(&self, gateway: &ObjectName, listener: &str) -> usize {
        let id = ListenerId { parent: gateway_id(gateway), name: listener.into() };
        self.attached.get(&id).copied().unwrap_or(0)
    }

    /// Counts a route on its new listeners and no longer on its old ones. Both are sorted. Returns the Gateways concerned.
    pub(super) fn recount(&mut self, old: &[ListenerId], new: &[ListenerId]) -> BTreeSet<ObjectName> {
        let mut touched = BTreeSet::new();
        for id in old.iter().filter(|id| new.binary_search(id).is_err()) {
            if let Some(count) = self.attached.get_mut(id) {
                *count -= 1;
                if *count == 0 {
                    self.attached.remove(id);
                }
            }
            touched.insert(id.parent.name.clone());
        }
        for id in new.iter().filter(|id| old.binary_search(id).is_err()) {
            *self.attached.entry(id.clone()).or_insert(0) += 1;
            touched.insert(id.parent.name.clone());
        }
        touched
    }

    /// Puts a Gateway as judged on its own, or takes it away. Returns whether attachment to it has to be judged again, and the
    /// ports that have to be merged again.
    pub(super) fn replace(&mut self, name: &ObjectName, new: Option<GatewayState>) -> (bool, BTreeSet<u16>) {
        let old = match new {
            Some(new) => self.states.insert(name.clone(), new),
            None => self.states.remove(name),
        };
        for moment in old.iter().flat_map(|old| &old.moments) {
            self.moments.remove(&(*moment, name.clone()));
        }
        let new = self.states.get(name);
        self.moments.extend(new.iter().flat_map(|new| &new.moments).map(|moment| (*moment, name.clone())));
        let surfaces = |state: Option<&GatewayState>| state.map(|state| surfaces(state).cloned().collect::<Vec<Surface>>());
        let reattach = surfaces(old.as_ref()) != surfaces(new);
        let ports = |state: Option<&GatewayState>| state.map_or_else(BTreeSet::new, |state| surfaces_ports(state).collect());
        let (old_ports, new_ports): (BTreeSet<u16>, BTreeSet<u16>) = (ports(old.as_ref()), ports(new));
        for port in old_ports.difference(&new_ports) {
            if let Some(names) = self.ports.get_mut(port) {
                names.remove(name);
                if names.is_empty() {
                    self.ports.remove(port);
                }
            }
        }
        for port in &new_ports {
            self.ports.entry(*port).or_default().insert(name.clone());
        }
        (reattach, &old_ports | &new_ports)
    }

    /// Judges a port: who conflicts, who overlaps. Returns the Gateways for which that changed.
    pub(super) fn merge(&mut self, port: u16) -> BTreeSet<ObjectName> {
        let names: Vec<ObjectName> = self.on_port(port).cloned().collect();
        let found = merge::conflicts(port, &self.claims(port, &names));
        let mut changed = BTreeSet::new();
        for name in names {
            let Some(state) = self.states.get_mut(&name) else { continue };
            let verdicts: Vec<(usize, Option<Conflict>, Option<String>)> = (state.listeners.iter().enumerate())
                .filter(|(_, listener)| listener.surface.port == port)
                .map(|(at, _)| (at, found.get(&(name.clone(), at)).cloned(), None))
                .collect();
            for (at, conflict, _) in &verdicts {
                let listener = &mut state.listeners[*at];
                if listener.conflict != *conflict {
                    listener.conflict.clone_from(conflict);
                    changed.insert(name.clone());
                }
            }
            for (at, ..) in verdicts {
                let overlap = overlap(&state.listeners, at);
                if state.listeners[at].overlap != overlap {
                    state.listeners[at].overlap = overlap;
                    changed.insert(name.clone());
                }
            }
        }
        changed
    }

    /// Writes the listeners of a Gateway, as merged, into the snapshot, and takes away those it no longer has.
    pub(super) fn publish(&mut self, name: &ObjectName, writer: &mut Writer) {
        let mut wanted: BTreeMap<ListenerId, (Arc<Listener>, Vec<Socket>)> = BTreeMap::new();
        if let Some(state) = self.states.get(name).filter(|state| state.fault.is_none()) {
            for listener in state.listeners.iter().filter(|listener| listener.is_valid()) {
                let sockets = sockets(state, listener);
                if !sockets.is_empty() {
                    let listener = traffic(name, state, listener);
                    wanted.insert(listener.id.clone(), (Arc::new(listener), sockets));
                }
            }
        }
        let parent = gateway_id(name);
        let first = ListenerId { parent: parent.clone(), name: "".into() };
        let held: Vec<ListenerId> =
            self.published.range(first..).map(|(id, _)| id).take_while(|id| id.parent == parent).cloned().collect();
        for id in held.iter().filter(|id| !wanted.contains_key(*id)) {
            self.published.remove(id);
            writer.remove_listener(id);
        }
        for (id, (listener, sockets)) in wanted {
            let is_same = self.published.get(&id).is_some_and(|(known, on)| *known == listener && *on == sockets);
            if !is_same {
                writer.put_listener(listener.clone(), &sockets);
                self.published.insert(id, (listener, sockets));
            }
        }
    }

    /// Settles what connections on the sockets of a port obey before their listener is known: the settings of the Gateway that
    /// was there first.
    pub(super) fn settle(&mut self, port: u16, writer: &mut Writer) {
        let mut wanted: BTreeMap<Socket, (Age, &ObjectName, Arc<Settings>)> = BTreeMap::new();
        for name in self.ports.get(&port).into_iter().flatten() {
            let Some(state) = self.states.get(name).filter(|state| state.fault.is_none()) else { continue };
            let age = age(&state.object.meta);
            for listener in state.listeners.iter().filter(|listener| listener.surface.port == port && listener.is_valid()) {
                for socket in sockets(state, listener) {
                    let holder = wanted.entry(socket).or_insert_with(|| (age, name, state.settings.clone()));
                    if (age, name) < (holder.0, holder.1) {
                        *holder = (age, name, state.settings.clone());
                    }
                }
            }
        }
        let wanted: BTreeMap<Socket, Arc<Settings>> =
            wanted.into_iter().map(|(socket, (.., settings))| (socket, settings)).collect();
        let held: Vec<Socket> = self.settings.keys().filter(|socket| socket.port == port).copied().collect();
        for socket in held.into_iter().filter(|socket| !wanted.contains_key(socket)) {
            self.settings.remove(&socket);
            writer.put_settings(socket, None);
        }
        for (socket, settings) in wanted {
            if self.settings.get(&socket) != Some(&settings) {
                writer.put_settings(socket, Some(settings.clone()));
                self.settings.insert(socket, settings);
            }
        }
    }

    fn claims<'a>(&'a self, port: u16, names: &'a [ObjectName]) -> Vec<Claim<'a>> {
        let mut claims = Vec::new();
        for name in names {
            let Some(state) = self.states.get(name).filter(|state| state.fault.is_none()) else { continue };
            for (index, listener) in state.listeners.iter().enumerate().filter(|(_, listener)| listener.surface.port == port) {
                let (Some(family), None) = (listener.family, &listener.fault) else { continue };
                claims.push(Claim {
                    age: age(&state.object.meta),
                    gateway: name,
                    index,
                    name: &listener.surface.name,
                    family,
                    hostname: listener.surface.hostname.as_deref(),
                    addresses: &state.allotted.listen as &[Option<IpAddr>],
                });
            }
        }
        claims
    }
}

fn surfaces(state: &GatewayState) -> impl Iterator<Item = &Surface> {
    state.listeners.iter().map(|listener| &listener.surface)
}

fn surfaces_ports(state: &GatewayState) -> impl Iterator<Item = u16> {
    state.listeners.iter().map(|listener| listener.surface.port)
}

/// With which HTTPS listeners of its port and Gateway a listener has hosts in common (OverlappingTLSConfig, GEP-3567).
fn overlap(listeners: &[ListenerState], at: usize) -> Option<String> {
    let this = &listeners[at];
    let counts = |listener: &ListenerState| listener.terminates && listener.is_valid() && listener.family == Some(Family::Tls);
    if !counts(this) {
        return None;
    }
    let others: Vec<&str> = listeners
        .iter()
        .enumerate()
        .filter(|(other, listener)| *other != at && counts(listener) && listener.surface.port == this.surface.port)
        .filter(|(_, other)| {
            other.surface.hostname.as_deref().is_none_or(|host| intersects(this.surface.hostname.as_deref(), host))
        })
        .map(|(_, other)| &*other.surface.name)
        .collect();
    (!others.is_empty()).then(|| {
        format!(
            "hosts in common with {} on port {}; requests that a client sends over a connection made for another listener get 421",
            others.join(", "),
            this.surface.port
        )
    })
}

/// A listener as traffic meets it.
fn traffic(gateway: &ObjectName, state: &GatewayState, listener: &ListenerState) -> Listener {
    Listener {
        id: ListenerId { parent: gateway_id(gateway), name: listener.surface.name.clone() },
        gateway: gateway.clone(),
        hostname: listener.surface.hostname.clone(),
        protocol: if listener.terminates { Protocol::Https } else { Protocol::Http },
        port: listener.surface.port,
        certificates: if listener.closed.is_some() { None } else { listener.certificates.clone() },
        tls: listener.tls.clone(),
        validation: listener.validation.clone(),
        client_certificate: state.client_certificate.clone(),
        settings: state.settings.clone(),
    }
}

fn gateway_id(name: &ObjectName) -> ObjectId {
    ObjectId::new(Kind::Gateway, name.clone())
}
