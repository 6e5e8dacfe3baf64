//! The claims to one port of one ground.
//!
//! In: claims as they come and go. Out: a verdict for each. The first in order of precedence sets the family; each group of equal
//! host names has one winner.
//!
//! Invariants: while the family stays, only groups that were touched are judged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::attach::intersects;
use super::certified::{Certified, Common};
use super::hosts::Hosts;
use super::words;
use super::{Claim, Conflict, Family, Key, Overlap, Rank, Touch, Verdict};
use crate::condition::Reason;
use crate::name::{ObjectId, ObjectName};

/// The claims to one port of one ground.
#[derive(Debug, Default)]
pub(super) struct Field {
    standings: BTreeMap<Rank, Standing>,
    groups: BTreeMap<Key, BTreeSet<Rank>>,
    lead: Option<Lead>,
    /// Who has which name, among HTTPS listeners.
    hosts: Hosts,
    /// What the certificates of those are valid for.
    certified: Certified,
    /// Claims whose overlaps have to be looked at again, because of claims that went.
    stirred: BTreeSet<Rank>,
}

#[derive(Debug)]
struct Standing {
    claim: Claim,
    verdict: Verdict,
}

/// What the first claim means for the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lead {
    pub(super) family: Family,
    /// The Gateway, where it is a Gateway's own listener. Which ListenerSet goes first is nobody else's business.
    pub(super) gateway: Option<ObjectName>,
}

impl Lead {
    pub(super) fn of(claim: &Claim) -> Self {
        Self { family: claim.family, gateway: (!claim.rank.is_set).then(|| claim.gateway.clone()) }
    }
}

/// What is found of the claims of one group.
struct Judged {
    conflicts: Vec<(Rank, Option<Conflict>)>,
    winner: Option<Rank>,
}

impl Field {
    /// Puts a claim. Returns the group of the one it replaces.
    pub(super) fn put(&mut self, claim: Claim) -> Option<Key> {
        let rank = claim.rank.clone();
        let replaced = self.remove(&rank);
        self.groups.entry(claim.hostname.clone()).or_default().insert(rank.clone());
        self.standings.insert(rank, Standing { claim, verdict: Verdict::default() });
        replaced
    }

    /// Removes a claim. Returns its group.
    pub(super) fn remove(&mut self, rank: &Rank) -> Option<Key> {
        let Claim { hostname: key, names, .. } = self.standings.remove(rank)?.claim;
        if self.hosts.get(&key) == Some(rank) {
            self.stirred.extend(self.hosts.overlapping(key.as_deref()).cloned());
            self.stirred.extend(self.certified.remove(&names, rank));
            self.hosts.set(&key, None);
        }
        if let Some(group) = self.groups.get_mut(&key) {
            group.remove(rank);
            if group.is_empty() {
                self.groups.remove(&key);
            }
        }
        Some(key)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.standings.is_empty()
    }

    pub(super) fn verdict(&self, rank: &Rank) -> Option<&Verdict> {
        self.standings.get(rank).map(|standing| &standing.verdict)
    }

    /// All claims, the first first.
    pub(super) fn claims(&self) -> impl Iterator<Item = &Claim> {
        self.standings.values().map(|standing| &standing.claim)
    }

    /// Judges what was touched, where no address is shared with another ground.
    pub(super) fn settle(&mut self, touch: Touch, port: u16, changed: &mut BTreeSet<ObjectId>) {
        let lead = self.claims().next().map(Lead::of);
        let keys = match touch {
            Touch::Groups(keys) if lead == self.lead => keys,
            Touch::Groups(mut keys) => {
                keys.extend(self.groups.keys().cloned());
                keys
            }
            Touch::All => self.groups.keys().cloned().collect(),
        };
        self.lead = lead;
        let mut stirred = std::mem::take(&mut self.stirred);
        for key in keys {
            let judged = self.judge(&key, port);
            let winner = judged.winner.filter(|rank| self.is_https(rank));
            for (rank, conflict) in judged.conflicts {
                self.find(&rank, conflict, changed);
                stirred.insert(rank);
            }
            if self.hosts.get(&key) != winner.as_ref() {
                stirred.extend(self.hosts.overlapping(key.as_deref()).cloned());
                if let Some(loser) = self.hosts.get(&key).cloned() {
                    stirred.extend(self.certified.remove(&self.names(&loser), &loser));
                }
                if let Some(winner) = &winner {
                    stirred.extend(self.certified.add(&self.names(winner), winner));
                }
                self.hosts.set(&key, winner);
            }
        }
        for rank in stirred {
            let overlap = self.overlap(&rank, &[], port);
            self.compare(&rank, overlap, changed);
        }
    }

    /// Takes the conflict found of a claim.
    pub(super) fn find(&mut self, rank: &Rank, conflict: Option<Conflict>, changed: &mut BTreeSet<ObjectId>) {
        let Some(standing) = self.standings.get_mut(rank) else { return };
        if standing.verdict.conflict != conflict {
            standing.verdict.conflict = conflict;
            changed.insert(rank.id());
        }
    }

    /// Takes the overlap found of a claim.
    pub(super) fn compare(&mut self, rank: &Rank, overlap: Option<Overlap>, changed: &mut BTreeSet<ObjectId>) {
        let Some(standing) = self.standings.get_mut(rank) else { return };
        if standing.verdict.overlap != overlap {
            standing.verdict.overlap = overlap;
            changed.insert(rank.id());
        }
    }

    /// Puts down anew who has which name, where conflicts were found from outside.
    pub(super) fn rename(&mut self) {
        let winners = self.standings.values().filter(|standing| standing.verdict.conflict.is_none() && standing.claim.is_https);
        let winners: Vec<&Claim> = winners.map(|standing| &standing.claim).collect();
        self.hosts = winners.iter().map(|claim| (claim.hostname.clone(), claim.rank.clone())).collect();
        self.certified = Certified::default();
        for claim in winners {
            self.certified.add(&claim.names, &claim.rank);
        }
        self.stirred.clear();
    }

    /// With which other HTTPS listeners a claim has hosts in common, by name or by certificate, here and in fields that share addresses.
    pub(super) fn overlap(&self, rank: &Rank, others: &[&Self], port: u16) -> Option<Overlap> {
        let claim = &self.standings.get(rank).filter(|standing| self.hosts.get(&standing.claim.hostname) == Some(rank))?.claim;
        let hostname = claim.hostname.as_deref();
        let (first, last) = rank.siblings();
        let siblings = self.standings.range(first..=last).filter(|(other, standing)| {
            let other_name = standing.claim.hostname.as_deref();
            *other != rank
                && standing.claim.is_https
                && standing.verdict.conflict.is_none()
                && other_name.is_none_or(|name| intersects(hostname, name))
        });
        let own: Vec<Arc<str>> = siblings.map(|(_, standing)| standing.claim.listener.clone()).collect();
        let is_foreign = |other: &Rank| !other.is_of_the_same_holder(rank);
        let fields = || [self].into_iter().chain(others.iter().copied());
        let foreign = fields().flat_map(|field| field.hosts.overlapping(hostname)).any(is_foreign);
        let Common { siblings, .. } = self.certified.common(&claim.names, rank);
        let certified: Vec<Arc<str>> =
            siblings.iter().filter_map(|other| self.standings.get(other)).map(|other| other.claim.listener.clone()).collect();
        let is_certified = fields().any(|field| field.certified.common(&claim.names, rank).foreign);
        words::overlap((&own, foreign), (&certified, is_certified), port)
    }

    fn names(&self, rank: &Rank) -> Arc<[Box<str>]> {
        self.standings.get(rank).map(|standing| Arc::clone(&standing.claim.names)).unwrap_or_default()
    }

    fn is_https(&self, rank: &Rank) -> bool {
        self.standings.get(rank).is_some_and(|standing| standing.claim.is_https)
    }

    /// Judges the claims to one host name.
    fn judge(&self, key: &Key, port: u16) -> Judged {
        let mut judged = Judged { conflicts: Vec::new(), winner: None };
        let Some(lead) = &self.lead else { return judged };
        let mut winner: Option<&Claim> = None;
        let ranks = self.groups.get(key).into_iter().flatten();
        for claim in ranks.filter_map(|rank| self.standings.get(rank)).map(|standing| &standing.claim) {
            let conflict = match winner {
                _ if claim.family != lead.family => Some(protocol_conflict(claim, lead, winner, port)),
                Some(winner) => Some(words::hostname(claim, winner, port)),
                None => {
                    winner = Some(claim);
                    None
                }
            };
            judged.conflicts.push((claim.rank.clone(), conflict));
        }
        judged.winner = winner.map(|claim| claim.rank.clone());
        judged
    }
}

/// The conflict of a claim whose family is not that of the port. `winner` has its name, if somebody has.
pub(super) fn protocol_conflict(claim: &Claim, lead: &Lead, winner: Option<&Claim>, port: u16) -> Conflict {
    // The specification has a word for both conflicts at once only in ListenerSets.
    let is_both = claim.rank.is_set && winner.is_some() && claim.family.has_names() && lead.family.has_names();
    let reason = if is_both { Reason::ListenerConflict } else { Reason::ProtocolConflict };
    Conflict { reason, message: words::protocol(claim, lead, reason, port) }
}
