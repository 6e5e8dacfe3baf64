//! Fields whose grounds share addresses in part, judged together: a claim stands where it conflicts on none of its addresses.
//!
//! In: the grounds. Out: verdicts in their fields. Judges all of them, since one claim may make room for another elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::field::{Field, Lead, protocol_conflict};
use super::{Claim, Conflict, Ground, Key, Port, Rank, words};
use crate::name::ObjectId;

pub(super) fn settle(port: &mut Port, grounds: &BTreeSet<Ground>, number: u16, changed: &mut BTreeSet<ObjectId>) {
    let neighbours: Vec<BTreeSet<Ground>> = grounds.iter().map(|ground| port.neighbours(ground)).collect();
    let mut fields: Vec<(Ground, Field)> = grounds.iter().filter_map(|ground| port.fields.remove_entry(ground)).collect();
    for (at, rank, conflict) in conflicts(&fields, number) {
        if let Some((_, field)) = fields.get_mut(at) {
            field.find(&rank, conflict, changed);
        }
    }
    fields.iter_mut().for_each(|(_, field)| field.rename());
    let mut overlaps = Vec::new();
    for (at, (_, field)) in fields.iter().enumerate() {
        let near = |ground: &Ground| neighbours.get(at).is_some_and(|near| near.contains(ground));
        let others: Vec<&Field> = fields.iter().filter(|(ground, _)| near(ground)).map(|(_, field)| field).collect();
        overlaps.extend(field.claims().map(|claim| (at, claim.rank.clone(), field.overlap(&claim.rank, &others, number))));
    }
    for (at, rank, overlap) in overlaps {
        if let Some((_, field)) = fields.get_mut(at) {
            field.compare(&rank, overlap, changed);
        }
    }
    port.fields.extend(fields);
}

/// The conflicts of all claims, each with the index of its field.
fn conflicts(fields: &[(Ground, Field)], number: u16) -> Vec<(usize, Rank, Option<Conflict>)> {
    let mut order: Vec<(usize, &Claim)> =
        fields.iter().enumerate().flat_map(|(at, (_, field))| field.claims().map(move |claim| (at, claim))).collect();
    order.sort_by(|(_, a), (_, b)| a.rank.cmp(&b.rank));
    let mut leads: BTreeMap<Option<IpAddr>, Lead> = BTreeMap::new();
    let mut names: BTreeMap<(Option<IpAddr>, &Key), &Claim> = BTreeMap::new();
    let mut found = Vec::with_capacity(order.len());
    for (at, claim) in order {
        let addresses = fields.get(at).map_or(&[][..], |(ground, _)| ground.addresses());
        let conflict = addresses.iter().find_map(|address| {
            let lead = leads.get(address)?;
            let winner = names.get(&(*address, &claim.hostname)).copied();
            if lead.family != claim.family {
                return Some(protocol_conflict(claim, lead, winner, number));
            }
            winner.map(|winner| words::hostname(claim, winner, number))
        });
        if conflict.is_none() {
            for address in addresses {
                leads.entry(*address).or_insert_with(|| Lead::of(claim));
                names.insert((*address, &claim.hostname), claim);
            }
        }
        found.push((at, claim.rank.clone(), conflict));
    }
    found
}
