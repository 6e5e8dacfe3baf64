//! Whether Gateways are accepted and programmed, and how many of their ListenerSets are accepted.
//!
//! In: statuses as they are phrased. Out: what the one has to say because of the other.

use std::collections::BTreeMap;

use crate::name::ObjectName;

use super::status::Standing;

/// What statuses of Gateways and ListenerSets say of each other.
#[derive(Debug, Default)]
pub(super) struct Acceptance {
    gateways: BTreeMap<ObjectName, Standing>,
    /// Accepted sets, each with its Gateway.
    accepted: BTreeMap<ObjectName, ObjectName>,
    counts: BTreeMap<ObjectName, usize>,
}

impl Acceptance {
    /// How a Gateway stands; one that is not ours stands for nothing.
    pub(super) fn of(&self, gateway: &ObjectName) -> Standing {
        let nothing = Standing { is_accepted: false, is_programmed: false };
        self.gateways.get(gateway).copied().unwrap_or(nothing)
    }

    /// How many ListenerSets of a Gateway are accepted.
    pub(super) fn sets(&self, gateway: &ObjectName) -> usize {
        self.counts.get(gateway).copied().unwrap_or(0)
    }

    /// Takes note of how a Gateway stands, and tells whether it stood otherwise.
    pub(super) fn stand(&mut self, gateway: &ObjectName, standing: Option<Standing>) -> bool {
        let before = match standing {
            Some(standing) => self.gateways.insert(gateway.clone(), standing),
            None => self.gateways.remove(gateway),
        };
        before != standing
    }

    /// Takes note of the Gateway that accepts a set, if one does. Returns the Gateways whose count differs.
    pub(super) fn accept(&mut self, set: &ObjectName, gateway: Option<&ObjectName>) -> Vec<ObjectName> {
        if self.accepted.get(set) == gateway {
            return Vec::new();
        }
        let mut touched = Vec::new();
        if let Some(before) = self.accepted.remove(set) {
            if let Some(count) = self.counts.get_mut(&before) {
                *count -= 1;
                if *count == 0 {
                    self.counts.remove(&before);
                }
            }
            touched.push(before);
        }
        if let Some(gateway) = gateway {
            self.accepted.insert(set.clone(), gateway.clone());
            *self.counts.entry(gateway.clone()).or_insert(0) += 1;
            touched.push(gateway.clone());
        }
        touched
    }
}
