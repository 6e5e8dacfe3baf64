//! What the listeners of each holder claim, and what was found of it.
//!
//! In: the listeners of Gateways and ListenerSets, whenever these are judged anew. Out: the holders for which something changed. A
//! holder that claims what it claimed before moves nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::name::{ObjectId, ObjectName};
use crate::snapshot::Protocol;

use super::listener::ListenerState;
use super::merge::{Claim, Ground, Merge, Place, Rank, Verdict};

/// The claims of all holders.
#[derive(Debug, Default)]
pub(super) struct Claims {
    merge: Merge,
    held: BTreeMap<ObjectId, Vec<(Place, Claim)>>,
    /// Holders that were judged anew since this was settled.
    renewed: BTreeSet<ObjectId>,
}

impl Claims {
    /// Exchanges what a holder claims.
    pub(super) fn put(&mut self, id: ObjectId, new: Vec<(Place, Claim)>) {
        let old = self.held.remove(&id).unwrap_or_default();
        for (place, claim) in old.iter().filter(|claim| !has(&new, claim)) {
            self.merge.remove(place, &claim.rank);
        }
        for (place, claim) in new.iter().filter(|claim| !has(&old, claim)) {
            self.merge.put(place, claim.clone());
        }
        if !new.is_empty() {
            self.held.insert(id.clone(), new);
        }
        self.renewed.insert(id);
    }

    /// Judges what was exchanged. Returns the holders that were judged anew, and those for which it made a difference.
    pub(super) fn settle(&mut self) -> BTreeSet<ObjectId> {
        let mut changed = self.merge.settle();
        changed.append(&mut self.renewed);
        changed
    }

    /// What was found of the listeners of a holder, by index; of those that claim something.
    pub(super) fn verdicts(&self, holder: &ObjectId) -> impl Iterator<Item = (usize, &Verdict)> {
        let held = self.held.get(holder).into_iter().flatten();
        held.filter_map(|(place, claim)| Some((claim.rank.index, self.merge.verdict(place, &claim.rank)?)))
    }
}

/// Whether a claim is among others of the same holder, which are in the order of its listeners.
fn has(claims: &[(Place, Claim)], claim: &(Place, Claim)) -> bool {
    let index = claim.1.rank.index;
    let found = claims.binary_search_by_key(&index, |(_, known)| known.rank.index).ok();
    found.and_then(|at| claims.get(at)) == Some(claim)
}

/// What listeners claim that are fit to serve and did not fall among their own. `first` is the rank of the first.
pub(super) fn claims_of(first: &Rank, gateway: &ObjectName, ground: &Ground, listeners: &[ListenerState]) -> Vec<(Place, Claim)> {
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
            names: if listener.protocol == Some(Protocol::Https) { names(listener) } else { Arc::default() },
        };
        let place = Place { port: listener.surface.port, transport: family.transport(), ground: ground.clone() };
        Some((place, claim))
    };
    fit.filter_map(claim).collect()
}

/// What the certificates that a listener shows are valid for, each name once.
fn names(listener: &ListenerState) -> Arc<[Box<str>]> {
    let set = listener.certificates.as_ref().ok().filter(|_| listener.closed.is_none());
    match set.and_then(Option::as_ref).map(|set| &*set.certificates) {
        None => Arc::default(),
        Some([only]) => Arc::clone(&only.names),
        Some(several) => {
            let all: BTreeSet<&Box<str>> = several.iter().flat_map(|certificate| certificate.names.iter()).collect();
            all.into_iter().cloned().collect()
        }
    }
}
