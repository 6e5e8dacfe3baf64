//! Which Gateways lead to an object: through routes that are attached to them, filters of their listeners, or policies on them.
//!
//! In: ways that open and close. Out: the Gateways that lead to an object now, and the objects for which those changed. They are the
//! ancestors in the statuses of policies and XBackends (GEP-713).

use crate::name::{ObjectId, ObjectName};
use crate::snapshot::Seed;

use super::hashed::{Hashed, shrink};
use super::marked::Marked;

/// Ways from Gateways to objects, counted.
#[derive(Debug)]
pub(super) struct Reach {
    /// Few each, sorted.
    gateways: Hashed<ObjectId, Vec<(ObjectName, u32)>>,
    touched: Marked<ObjectId>,
}

impl Reach {
    pub(super) fn new(seed: Seed) -> Self {
        Self { gateways: Hashed::with_hasher(seed), touched: Marked::default() }
    }

    /// One more way.
    pub(super) fn open(&mut self, gateway: &ObjectName, object: &ObjectId) {
        let ways = self.gateways.entry(object.clone()).or_insert_with(|| Vec::with_capacity(1));
        match find(ways, gateway) {
            Ok(at) => ways[at].1 += 1,
            Err(at) => {
                ways.insert(at, (gateway.clone(), 1));
                self.touched.insert(object.clone());
            }
        }
    }

    /// One way less.
    pub(super) fn close(&mut self, gateway: &ObjectName, object: &ObjectId) {
        let Some(ways) = self.gateways.get_mut(object) else { return };
        let Ok(at) = find(ways, gateway) else { return };
        ways[at].1 -= 1;
        if ways[at].1 > 0 {
            return;
        }
        ways.remove(at);
        if ways.is_empty() {
            self.gateways.remove(object);
        }
        self.touched.insert(object.clone());
    }

    /// Gives back the room of objects that are gone.
    pub(super) fn shrink(&mut self) {
        shrink(&mut self.gateways);
    }

    /// The Gateways that lead to an object, by name.
    pub(super) fn gateways(&self, object: &ObjectId) -> impl Iterator<Item = &ObjectName> {
        self.gateways.get(object).into_iter().flatten().map(|(gateway, _)| gateway)
    }

    /// Whether a Gateway leads to an object.
    pub(super) fn leads(&self, gateway: &ObjectName, object: &ObjectId) -> bool {
        self.gateways.get(object).is_some_and(|ways| find(ways, gateway).is_ok())
    }

    /// Objects for which other Gateways may count than when this was asked last.
    pub(super) fn take_touched(&mut self) -> Vec<ObjectId> {
        self.touched.take()
    }
}

fn find(ways: &[(ObjectName, u32)], gateway: &ObjectName) -> Result<usize, usize> {
    ways.binary_search_by(|(known, _)| known.cmp(gateway))
}
