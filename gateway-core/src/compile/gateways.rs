//! All Gateways that are ours and the ListenerSets that add to them, with what they have in common: ports they share, the sockets that
//! follow, how many routes each listener carries.
//!
//! In: Gateways and sets as judged on their own. Out: conflicts and overlaps among listeners of one port, listeners and sockets for
//! the snapshot. A change judges again only what it touches.
//!
//! Invariants: what a set's listeners are judged with is in `Terms`, so that a Gateway concerns its sets only when these change.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::name::{Kind, ObjectId, ObjectName};
use crate::resource::{AllowedListeners, DefaultGateways, GatewayTls};
use crate::snapshot::matching::Age;
use crate::snapshot::{Certificate, Listener, ListenerId, Protocol, Settings, Tracing, Writer};

use super::age::age;
use super::attach::Surface;
use super::claims::{Claims, claims_of};
use super::counts::Counts;
use super::difference::Difference;
use super::gateway::GatewayState;
use super::listener::ListenerState;
use super::listener_set::SetState;
use super::merge::{Claim, Family, Ground, Place, Rank};
use super::placed::Placed;
use super::rooms::Rooms;
use super::status::sockets;
use super::{Options, Proof};

/// All Gateways that are ours, and their ListenerSets.
#[derive(Debug)]
pub(super) struct Gateways {
    /// Whether no two Gateways share addresses.
    are_apart: bool,
    states: BTreeMap<ObjectName, GatewayState>,
    /// Sets of these Gateways, allowed or not.
    sets: BTreeMap<ObjectName, SetState>,
    /// What the sets of a Gateway were judged with.
    terms: BTreeMap<ObjectName, Terms>,
    /// Which requests of a Gateway become spans.
    tracings: BTreeMap<ObjectName, Arc<Tracing>>,
    rooms: Rooms,
    defaults: BTreeSet<ObjectName>,
    claims: Claims,
    placed: Placed,
    /// Holders with a listener on a port.
    ports: BTreeMap<u16, BTreeSet<ObjectId>>,
    pub(super) counts: Counts,
    /// When time alone will change a verdict, and whose.
    moments: BTreeSet<(i64, ObjectId)>,
}

/// What of a Gateway its ListenerSets are judged and served with.
#[derive(Clone, Debug, PartialEq)]
struct Terms {
    is_open: bool,
    allowed: AllowedListeners,
    age: Age,
    ground: Ground,
    listen: Vec<Option<IpAddr>>,
    tls: Option<GatewayTls>,
    client_certificate: Option<Arc<Certificate>>,
    settings: Arc<Settings>,
}

/// A holder of listeners, as routes see it.
#[derive(Debug)]
pub(super) struct Parent<'a> {
    /// The Gateway that the listeners belong to.
    pub(super) gateway: &'a ObjectName,
    pub(super) surfaces: Vec<&'a Surface>,
    /// Whether its Gateway takes it; a Gateway takes itself.
    pub(super) is_allowed: bool,
}

impl Gateways {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            // Who compiles for traffic has sockets, and these are what Gateways share.
            are_apart: options.proof == Proof::Acknowledgement && !options.traffic,
            states: BTreeMap::new(),
            sets: BTreeMap::new(),
            terms: BTreeMap::new(),
            tracings: BTreeMap::new(),
            rooms: Rooms::default(),
            defaults: BTreeSet::new(),
            claims: Claims::default(),
            placed: Placed::default(),
            ports: BTreeMap::new(),
            counts: Counts::default(),
            moments: BTreeSet::new(),
        }
    }

    pub(super) fn get(&self, name: &ObjectName) -> Option<&GatewayState> {
        self.states.get(name)
    }

    pub(super) fn set(&self, name: &ObjectName) -> Option<&SetState> {
        self.sets.get(name)
    }

    /// The Gateway that serves the listeners of a holder: itself, or that of a ListenerSet, where it takes the set.
    pub(super) fn behind<'a>(&'a self, holder: &'a ObjectId) -> Option<&'a ObjectName> {
        if holder.kind == Kind::Gateway {
            return Some(&holder.name);
        }
        self.set(&holder.name).filter(|set| set.refusal.is_none()).map(|set| &set.gateway)
    }

    /// The Gateways that take routes without being named.
    pub(super) fn defaults(&self) -> impl Iterator<Item = &ObjectName> {
        self.defaults.iter()
    }

    pub(super) fn is_default(&self, gateway: &ObjectName) -> bool {
        self.defaults.contains(gateway)
    }

    /// A Gateway of ours, or a ListenerSet of one, as routes see it.
    pub(super) fn parent(&self, holder: &ObjectId) -> Option<Parent<'_>> {
        let surfaces = self.listeners(holder)?.iter().map(|listener| &listener.surface).collect();
        if holder.kind == Kind::ListenerSet {
            let state = self.sets.get(&holder.name)?;
            return Some(Parent { gateway: &state.gateway, surfaces, is_allowed: state.refusal.is_none() });
        }
        let (gateway, _) = self.states.get_key_value(&holder.name)?;
        Some(Parent { gateway, surfaces, is_allowed: true })
    }

    /// The holders for which something changes after `from` and until `to`, in seconds since 1970.
    pub(super) fn changing(&self, from: i64, to: i64) -> impl Iterator<Item = &ObjectId> {
        self.moments
            .iter()
            .skip_while(move |(moment, _)| *moment <= from)
            .take_while(move |(moment, _)| *moment <= to)
            .map(|(_, id)| id)
    }

    /// When something changes next, after `now`.
    pub(super) fn next_moment(&self, now: i64) -> Option<i64> {
        let first = ObjectId::new(Kind::GatewayClass, ObjectName::cluster(""));
        self.moments.range((now.saturating_add(1), first)..).next().map(|(moment, _)| *moment)
    }

    /// The holders of listeners on a port.
    pub(super) fn on_port(&self, port: u16) -> impl Iterator<Item = &ObjectId> {
        self.ports.get(&port).into_iter().flatten()
    }

    /// Puts a Gateway as judged on its own, or takes it away. Returns for which routes attachment has to be judged again.
    pub(super) fn replace(&mut self, name: &ObjectName, new: Option<GatewayState>) -> Difference {
        let id = ObjectId::new(Kind::Gateway, name.clone());
        let claims = new.as_ref().map_or_else(Vec::new, |state| self.claims_of_gateway(name, state));
        self.rooms.own(name, new.as_ref().map_or(0, |state| state.listeners.len()));
        let is_default = new.as_ref().is_some_and(|state| state.object.spec.default_scope == Some(DefaultGateways::All));
        if is_default {
            self.defaults.insert(name.clone())
        } else {
            self.defaults.remove(name)
        };
        let old = match new {
            Some(new) => self.states.insert(name.clone(), new),
            None => self.states.remove(name),
        };
        let new = self.states.get(name);
        let (listeners, moments) = new.map_or((None, &[][..]), |state| (Some(&*state.listeners), &*state.moments));
        let (known, before) = old.as_ref().map_or((None, &[][..]), |state| (Some(&*state.listeners), &*state.moments));
        let difference = Difference::between(known, listeners);
        note_moments(&mut self.moments, &id, before, moments);
        note_ports(&mut self.ports, &id, known, listeners);
        self.claims.put(id, claims);
        difference
    }

    /// Puts a ListenerSet as judged on its own, or takes it away. Returns for which routes attachment has to be judged again.
    pub(super) fn replace_set(&mut self, name: &ObjectName, new: Option<SetState>) -> Difference {
        let id = ObjectId::new(Kind::ListenerSet, name.clone());
        let claims = new.as_ref().map_or_else(Vec::new, |state| self.claims_of_set(state));
        let old = match new {
            Some(new) => self.sets.insert(name.clone(), new),
            None => self.sets.remove(name),
        };
        let new = self.sets.get(name);
        let place = |state: &SetState| (state.gateway.clone(), (age(&state.object.meta), name.clone()));
        let allowed = |state: &&SetState| state.refusal.is_none();
        let (before, after) = (old.as_ref().filter(allowed).map(place), new.filter(allowed).map(place));
        if let Some((gateway, set)) = before.filter(|before| after.as_ref() != Some(before)) {
            self.rooms.leave(&gateway, &set);
        }
        if let Some((gateway, set)) = after {
            self.rooms.enter(&gateway, set, new.map_or(0, |state| state.listeners.len()));
        }
        let (listeners, moments) = new.map_or((None, &[][..]), |state| (Some(&*state.listeners), &*state.moments));
        let (known, before) = old.as_ref().map_or((None, &[][..]), |state| (Some(&*state.listeners), &*state.moments));
        let standing = |state: Option<&SetState>| state.map(|state| (state.gateway.clone(), state.refusal.is_none()));
        let stands = standing(old.as_ref()) == standing(new);
        let difference = if stands { Difference::between(known, listeners) } else { Difference::Whole };
        note_moments(&mut self.moments, &id, before, moments);
        note_ports(&mut self.ports, &id, known, listeners);
        self.claims.put(id, claims);
        difference
    }

    /// How many of the listeners of a set fit.
    pub(super) fn room(&self, gateway: &ObjectName, set: &ObjectName) -> usize {
        self.rooms.of(gateway, set)
    }

    /// The sets for which another number of listeners fits than before.
    pub(super) fn settle_rooms(&mut self) -> BTreeSet<ObjectName> {
        self.rooms.settle()
    }

    /// Looks whether what a Gateway's sets are judged with is still so. To be asked once the Gateway's own listeners are merged:
    /// a Gateway none of whose listeners is valid is not accepted, and so has nothing to add to.
    pub(super) fn renew_terms(&mut self, gateway: &ObjectName) -> bool {
        let new = self.states.get(gateway).map(|state| Terms {
            is_open: state.fault.is_none() && state.listeners.iter().any(ListenerState::is_accepted),
            allowed: state.object.spec.allowed_listeners.clone(),
            age: age(&state.object.meta),
            ground: self.ground(gateway, state),
            listen: state.allotted.listen.clone(),
            tls: state.object.spec.tls.clone(),
            client_certificate: state.client_certificate.clone(),
            settings: Arc::clone(&state.settings),
        });
        if self.terms.get(gateway) == new.as_ref() {
            return false;
        }
        match new {
            Some(new) => drop(self.terms.insert(gateway.clone(), new)),
            None => drop(self.terms.remove(gateway)),
        }
        true
    }

    /// Whether a Gateway of ours is accepted, as it was when this was looked at last.
    pub(super) fn is_accepted(&self, gateway: &ObjectName) -> bool {
        self.terms.get(gateway).is_some_and(|terms| terms.is_open)
    }

    /// Takes note which requests of a Gateway become spans. Returns whether that is anything else than before, so that its listeners
    /// and those of its sets have to be published again.
    pub(super) fn trace(&mut self, gateway: &ObjectName, tracing: Option<&Arc<Tracing>>) -> bool {
        if self.tracings.get(gateway) == tracing {
            return false;
        }
        match tracing {
            Some(tracing) => drop(self.tracings.insert(gateway.clone(), Arc::clone(tracing))),
            None => drop(self.tracings.remove(gateway)),
        }
        true
    }

    /// Judges what was claimed anew and given back: who conflicts, who overlaps. Returns the holders that were judged anew, and those
    /// for which it made a difference.
    pub(super) fn merge(&mut self) -> BTreeSet<ObjectId> {
        let changed = self.claims.settle();
        for id in &changed {
            self.take_verdicts(id);
        }
        changed
    }

    /// Writes the listeners of a holder, as merged, into the snapshot, and takes away those it no longer has.
    pub(super) fn publish(&mut self, holder: &ObjectId, writer: &mut Writer) {
        let set = self.sets.get(&holder.name).filter(|_| holder.kind == Kind::ListenerSet);
        let host = self.states.get(set.map_or(&holder.name, |set| &set.gateway));
        let Some(host) = host.filter(|_| self.is_open(holder)) else {
            let nobody = (Age::default(), holder.name.clone());
            return self.placed.put(holder, Vec::new(), &nobody, writer);
        };
        let tracing = self.tracings.get(&host.object.meta.name);
        let valid = self.listeners(holder).unwrap_or_default().iter().filter(|listener| listener.is_valid());
        let wanted = valid.filter_map(|listener| {
            let sockets = sockets(host, listener);
            let protocol = listener.protocol.filter(|_| !sockets.is_empty())?;
            let tracing = tracing.filter(|_| protocol.is_http());
            Some((Listener { tracing: tracing.cloned(), ..traffic(holder, host, listener, protocol) }, sockets))
        });
        let wanted = wanted.collect();
        let seniority = (age(&host.object.meta), host.object.meta.name.clone());
        self.placed.put(holder, wanted, &seniority, writer);
    }

    /// Settles what connections on sockets obey before their listener is known.
    pub(super) fn settle(&mut self, writer: &mut Writer) {
        self.placed.settle(writer);
    }

    /// Whether anything of a holder is served.
    fn is_open(&self, holder: &ObjectId) -> bool {
        if holder.kind == Kind::ListenerSet {
            let set = self.sets.get(&holder.name).filter(|set| set.refusal.is_none() && set.fault.is_none());
            return set.and_then(|set| self.terms.get(&set.gateway)).is_some_and(|terms| terms.is_open);
        }
        self.states.get(&holder.name).is_some_and(|state| state.fault.is_none())
    }

    fn listeners(&self, holder: &ObjectId) -> Option<&[ListenerState]> {
        if holder.kind == Kind::ListenerSet {
            return self.sets.get(&holder.name).map(|state| &*state.listeners);
        }
        self.states.get(&holder.name).map(|state| &*state.listeners)
    }

    /// What the listeners of a Gateway claim.
    fn claims_of_gateway(&self, name: &ObjectName, state: &GatewayState) -> Vec<(Place, Claim)> {
        if state.fault.is_some() {
            return Vec::new();
        }
        let first = Rank { is_set: false, age: age(&state.object.meta), holder: name.clone(), index: 0 };
        claims_of(&first, name, &self.ground(name, state), &state.listeners)
    }

    /// What the listeners of a ListenerSet claim.
    fn claims_of_set(&self, set: &SetState) -> Vec<(Place, Claim)> {
        let is_open = |terms: &&Terms| terms.is_open && set.fault.is_none();
        let Some(terms) = self.terms.get(&set.gateway).filter(is_open) else { return Vec::new() };
        let meta = &set.object.meta;
        let first = Rank { is_set: true, age: age(meta), holder: meta.name.clone(), index: 0 };
        claims_of(&first, &set.gateway, &terms.ground, &set.listeners)
    }

    /// With whom the listeners of a Gateway share their ports.
    fn ground(&self, name: &ObjectName, state: &GatewayState) -> Ground {
        let mut addresses = state.allotted.listen.clone();
        addresses.sort_unstable();
        addresses.dedup();
        if self.are_apart || addresses.is_empty() { Ground::Own(name.clone()) } else { Ground::Shared(addresses.into()) }
    }

    fn take_verdicts(&mut self, id: &ObjectId) {
        let listeners = if id.kind == Kind::ListenerSet {
            self.sets.get_mut(&id.name).map(|state| &mut state.listeners)
        } else {
            self.states.get_mut(&id.name).map(|state| &mut state.listeners)
        };
        let Some(listeners) = listeners else { return };
        for (index, verdict) in self.claims.verdicts(id) {
            if let Some(listener) = listeners.get_mut(index) {
                listener.conflict.clone_from(&verdict.conflict);
                listener.overlap.clone_from(&verdict.overlap);
            }
        }
    }
}

fn note_moments(moments: &mut BTreeSet<(i64, ObjectId)>, id: &ObjectId, old: &[i64], new: &[i64]) {
    for moment in old {
        moments.remove(&(*moment, id.clone()));
    }
    moments.extend(new.iter().map(|moment| (*moment, id.clone())));
}

fn note_ports(
    ports: &mut BTreeMap<u16, BTreeSet<ObjectId>>,
    id: &ObjectId,
    old: Option<&[ListenerState]>,
    new: Option<&[ListenerState]>,
) {
    let of = |listeners: Option<&[ListenerState]>| -> BTreeSet<u16> {
        listeners.into_iter().flatten().map(|listener| listener.surface.port).collect()
    };
    let (old, new) = (of(old), of(new));
    for port in old.difference(&new) {
        if let Some(holders) = ports.get_mut(port) {
            holders.remove(id);
            if holders.is_empty() {
                ports.remove(port);
            }
        }
    }
    for port in new.difference(&old) {
        ports.entry(*port).or_default().insert(id.clone());
    }
}

/// A listener as traffic meets it. `host` is the Gateway that it belongs to.
fn traffic(holder: &ObjectId, host: &GatewayState, listener: &ListenerState, protocol: Protocol) -> Listener {
    // One that is closed stands like one that has no certificate, and passes no bytes through either.
    let closed = listener.closed.as_ref().map(|(_, why)| why.as_str().into());
    Listener {
        id: ListenerId { parent: holder.clone(), name: listener.surface.name.clone() },
        gateway: host.object.meta.name.clone(),
        hostname: listener.surface.hostname.clone().filter(|_| Family::of(protocol).has_names()),
        protocol,
        port: listener.surface.port,
        certificates: closed.map_or_else(|| listener.certificates.clone(), Err),
        tls: listener.tls.clone(),
        validation: listener.validation.clone(),
        filters: listener.filters.clone(),
        client_certificate: host.client_certificate.clone(),
        tracing: None,
        settings: host.settings.clone(),
    }
}
