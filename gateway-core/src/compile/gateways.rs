//! All Gateways that are ours, with what they have in common: ports they share, the sockets that follow, how many routes each
//! listener carries.
//!
//! In: Gateways as judged on their own. Out: conflicts and overlaps among listeners of one port, listeners and sockets for the
//! snapshot. A change judges again only what it touches.

use std::collections::{BTreeMap, BTreeSet};

use crate::name::{Kind, ObjectId, ObjectName};
use crate::snapshot::{Listener, ListenerId, Protocol, Writer};

use super::age::age;
use super::attach::Surface;
use super::gateway::GatewayState;
use super::listener::ListenerState;
use super::merge::{Claim, Family, Ground, Merge, Place, Rank};
use super::placed::Placed;
use super::status::sockets;
use super::{Options, Proof};

/// All Gateways that are ours.
#[derive(Debug)]
pub(super) struct Gateways {
    /// Whether no two Gateways share addresses.
    are_apart: bool,
    states: BTreeMap<ObjectName, GatewayState>,
    merge: Merge,
    /// What the listeners of each holder claim.
    claims: BTreeMap<ObjectId, Vec<(Place, Claim)>>,
    /// Holders that were judged anew since they were merged.
    renewed: BTreeSet<ObjectId>,
    placed: Placed,
    /// Holders with a listener on a port.
    ports: BTreeMap<u16, BTreeSet<ObjectId>>,
    attached: BTreeMap<ListenerId, usize>,
    /// When time alone will change a verdict, and whose.
    moments: BTreeSet<(i64, ObjectName)>,
}

impl Gateways {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            // Who compiles for traffic has sockets, and these are what Gateways share.
            are_apart: options.proof == Proof::Acknowledgement && !options.traffic,
            states: BTreeMap::new(),
            merge: Merge::default(),
            claims: BTreeMap::new(),
            renewed: BTreeSet::new(),
            placed: Placed::default(),
            ports: BTreeMap::new(),
            attached: BTreeMap::new(),
            moments: BTreeSet::new(),
        }
    }

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

    /// The holders of listeners on a port.
    pub(super) fn on_port(&self, port: u16) -> impl Iterator<Item = &ObjectId> {
        self.ports.get(&port).into_iter().flatten()
    }

    /// How many routes a listener carries.
    pub(super) fn attached(&self, holder: &ObjectId, listener: &str) -> usize {
        let id = ListenerId { parent: holder.clone(), name: listener.into() };
        self.attached.get(&id).copied().unwrap_or(0)
    }

    /// Counts a route on its new listeners and no longer on its old ones. Both are sorted. Returns the holders concerned.
    pub(super) fn recount(&mut self, old: &[ListenerId], new: &[ListenerId]) -> BTreeSet<ObjectId> {
        let mut touched = BTreeSet::new();
        for id in old.iter().filter(|id| new.binary_search(id).is_err()) {
            if let Some(count) = self.attached.get_mut(id) {
                *count -= 1;
                if *count == 0 {
                    self.attached.remove(id);
                }
            }
            touched.insert(id.parent.clone());
        }
        for id in new.iter().filter(|id| old.binary_search(id).is_err()) {
            *self.attached.entry(id.clone()).or_insert(0) += 1;
            touched.insert(id.parent.clone());
        }
        touched
    }

    /// Puts a Gateway as judged on its own, or takes it away. Returns whether attachment to it has to be judged again.
    pub(super) fn replace(&mut self, name: &ObjectName, new: Option<GatewayState>) -> bool {
        let old = match new {
            Some(new) => self.states.insert(name.clone(), new),
            None => self.states.remove(name),
        };
        for moment in old.iter().flat_map(|old| &old.moments) {
            self.moments.remove(&(*moment, name.clone()));
        }
        let new = self.states.get(name);
        self.moments.extend(new.iter().flat_map(|new| &new.moments).map(|moment| (*moment, name.clone())));
        let all = |state: Option<&GatewayState>| state.map(|state| surfaces(state).cloned().collect::<Vec<Surface>>());
        let reattach = all(old.as_ref()) != all(new);
        let ports = |state: Option<&GatewayState>| -> BTreeSet<u16> {
            state.into_iter().flat_map(surfaces).map(|surface| surface.port).collect()
        };
        let (old_ports, new_ports) = (ports(old.as_ref()), ports(new));
        let claims = new.map_or_else(Vec::new, |state| self.claims_of(name, state));
        let id = gateway_id(name);
        self.stand_on(&id, &old_ports, &new_ports);
        self.claim(id, claims);
        reattach
    }

    /// Judges what was claimed anew and given back: who conflicts, who overlaps. Returns the holders that were judged anew, and those
    /// for which it made a difference.
    pub(super) fn merge(&mut self) -> BTreeSet<ObjectId> {
        let mut changed = self.merge.settle();
        changed.append(&mut self.renewed);
        for id in &changed {
            self.take_verdicts(id);
        }
        changed
    }

    /// Writes the listeners of a holder, as merged, into the snapshot, and takes away those it no longer has.
    pub(super) fn publish(&mut self, holder: &ObjectId, writer: &mut Writer) {
        let Some(state) = self.states.get(&holder.name) else {
            let nobody = (Default::default(), holder.name.clone());
            return self.placed.put(holder, Vec::new(), &nobody, writer);
        };
        let mut wanted = Vec::new();
        for listener in state.listeners.iter().filter(|listener| state.fault.is_none() && listener.is_valid()) {
            let sockets = sockets(state, listener);
            if let Some(protocol) = listener.protocol.filter(|_| !sockets.is_empty()) {
                wanted.push((traffic(&holder.name, state, listener, protocol), sockets));
            }
        }
        let seniority = (age(&state.object.meta), holder.name.clone());
        self.placed.put(holder, wanted, &seniority, writer);
    }

    /// Settles what connections on sockets obey before their listener is known.
    pub(super) fn settle(&mut self, writer: &mut Writer) {
        self.placed.settle(writer);
    }

    /// What the listeners of a Gateway claim.
    fn claims_of(&self, name: &ObjectName, state: &GatewayState) -> Vec<(Place, Claim)> {
        if state.fault.is_some() {
            return Vec::new();
        }
        let ground = self.ground(name, state);
        let rank = Rank { is_set: false, age: age(&state.object.meta), holder: name.clone(), index: 0 };
        claims(&rank, name, &ground, &state.listeners)
    }

    /// With whom the listeners of a Gateway share their ports.
    fn ground(&self, name: &ObjectName, state: &GatewayState) -> Ground {
        let mut addresses = state.allotted.listen.clone();
        addresses.sort_unstable();
        addresses.dedup();
        if self.are_apart || addresses.is_empty() { Ground::Own(name.clone()) } else { Ground::Shared(addresses.into()) }
    }

    /// Exchanges what a holder claims.
    fn claim(&mut self, id: ObjectId, new: Vec<(Place, Claim)>) {
        let old = self.claims.remove(&id).unwrap_or_default();
        for (place, claim) in old.iter().filter(|claim| !new.contains(claim)) {
            self.merge.remove(place, &claim.rank);
        }
        for (place, claim) in new.iter().filter(|claim| !old.contains(claim)) {
            self.merge.put(place, claim.clone());
        }
        if !new.is_empty() {
            self.claims.insert(id.clone(), new);
        }
        self.renewed.insert(id);
    }

    fn take_verdicts(&mut self, id: &ObjectId) {
        let Some(state) = self.states.get_mut(&id.name) else { return };
        for (place, claim) in self.claims.get(id).into_iter().flatten() {
            let verdict = self.merge.verdict(place, &claim.rank);
            if let (Some(listener), Some(verdict)) = (state.listeners.get_mut(claim.rank.index), verdict) {
                listener.conflict.clone_from(&verdict.conflict);
                listener.overlap.clone_from(&verdict.overlap);
            }
        }
    }

    fn stand_on(&mut self, id: &ObjectId, old: &BTreeSet<u16>, new: &BTreeSet<u16>) {
        for port in old.difference(new) {
            if let Some(holders) = self.ports.get_mut(port) {
                holders.remove(id);
                if holders.is_empty() {
                    self.ports.remove(port);
                }
            }
        }
        for port in new.difference(old) {
            self.ports.entry(*port).or_default().insert(id.clone());
        }
    }
}

/// What listeners claim that are fit to serve and did not fall among their own. `first` is the rank of the first.
fn claims(first: &Rank, gateway: &ObjectName, ground: &Ground, listeners: &[ListenerState]) -> Vec<(Place, Claim)> {
    let fit = listeners.iter().enumerate().filter(|(_, listener)| listener.is_valid());
    let claim = |(index, listener): (usize, &ListenerState)| {
        let family = listener.family()?;
        let claim = Claim {
            rank: Rank { index, ..first.clone() },
            gateway: gateway.clone(),
            listener: listener.surface.name.clone(),
            family,
            hostname: listener.surface.hostname.clone().filter(|_| family.has_names()),
            is_https: listener.protocol == Some(Protocol::Https),
        };
        let place = Place { port: listener.surface.port, transport: family.transport(), ground: ground.clone() };
        Some((place, claim))
    };
    fit.filter_map(claim).collect()
}

fn surfaces(state: &GatewayState) -> impl Iterator<Item = &Surface> {
    state.listeners.iter().map(|listener| &listener.surface)
}

/// A listener as traffic meets it.
fn traffic(gateway: &ObjectName, state: &GatewayState, listener: &ListenerState, protocol: Protocol) -> Listener {
    Listener {
        id: ListenerId { parent: gateway_id(gateway), name: listener.surface.name.clone() },
        gateway: gateway.clone(),
        hostname: listener.surface.hostname.clone().filter(|_| Family::of(protocol).has_names()),
        protocol,
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
