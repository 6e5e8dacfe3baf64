//! How many listeners of each ListenerSet fit beside those of its Gateway that go before (`TooManyListeners`).
//!
//! In: how many listeners Gateways and their sets have. Out: the sets for which no longer all fit, or more than before. While all
//! fit, nothing is walked; beyond that, only the sets that come last.

use std::collections::{BTreeMap, BTreeSet};

use crate::name::ObjectName;
use crate::snapshot::matching::Age;

use super::MAX_LISTENERS;

/// The rooms of all Gateways.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    gateways: BTreeMap<ObjectName, Room>,
    touched: BTreeSet<ObjectName>,
}

/// The room of one Gateway.
#[derive(Debug, Default)]
struct Room {
    own: usize,
    /// How many listeners each set has, the set that goes first first.
    sets: BTreeMap<(Age, ObjectName), usize>,
    /// All listeners of the sets.
    total: usize,
    /// How many listeners fit of those sets of which not all do.
    cut: BTreeMap<ObjectName, usize>,
}

impl Rooms {
    /// Takes note of how many listeners a Gateway has itself.
    pub(super) fn own(&mut self, gateway: &ObjectName, listeners: usize) {
        let room = self.gateways.entry(gateway.clone()).or_default();
        if room.own != listeners {
            room.own = listeners;
            self.touched.insert(gateway.clone());
        }
    }

    /// Takes note of how many listeners a set has.
    pub(super) fn enter(&mut self, gateway: &ObjectName, set: (Age, ObjectName), listeners: usize) {
        let room = self.gateways.entry(gateway.clone()).or_default();
        room.total += listeners;
        room.total -= room.sets.insert(set, listeners).unwrap_or(0);
        self.touched.insert(gateway.clone());
    }

    /// Takes note that a set is no longer there.
    pub(super) fn leave(&mut self, gateway: &ObjectName, set: &(Age, ObjectName)) {
        let Some(room) = self.gateways.get_mut(gateway) else { return };
        room.total -= room.sets.remove(set).unwrap_or(0);
        self.touched.insert(gateway.clone());
    }

    /// How many of the listeners of a set fit.
    pub(super) fn of(&self, gateway: &ObjectName, set: &ObjectName) -> usize {
        self.gateways.get(gateway).and_then(|room| room.cut.get(set)).copied().unwrap_or(usize::MAX)
    }

    /// The sets of which another number fits than when this was asked last.
    pub(super) fn settle(&mut self) -> BTreeSet<ObjectName> {
        let mut changed = BTreeSet::new();
        for gateway in std::mem::take(&mut self.touched) {
            let Some(room) = self.gateways.get_mut(&gateway) else { continue };
            let cut = room.cut();
            changed.extend(room.cut.iter().filter(|(set, fit)| cut.get(*set) != Some(*fit)).map(|(set, _)| set.clone()));
            changed.extend(cut.iter().filter(|(set, fit)| room.cut.get(*set) != Some(*fit)).map(|(set, _)| set.clone()));
            room.cut = cut;
            if room.own == 0 && room.sets.is_empty() {
                self.gateways.remove(&gateway);
            }
        }
        changed
    }
}

impl Room {
    fn cut(&self) -> BTreeMap<ObjectName, usize> {
        let mut excess = (self.own + self.total).saturating_sub(MAX_LISTENERS);
        let mut cut = BTreeMap::new();
        for ((_, set), listeners) in self.sets.iter().rev() {
            if excess == 0 {
                break;
            }
            let over = excess.min(*listeners);
            cut.insert(set.clone(), listeners - over);
            excess -= over;
        }
        cut
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_come_last_find_no_room() {
        let mut rooms = Rooms::default();
        let gateway = ObjectName::new("infra", "gw");
        let set = |age: i64, name: &str| (Age::new(None, Some(age)), ObjectName::new("team", name));
        rooms.own(&gateway, 4);
        rooms.enter(&gateway, set(1, "a"), MAX_LISTENERS - 10);
        rooms.enter(&gateway, set(2, "b"), 6);
        assert!(rooms.settle().is_empty(), "they fit exactly");
        rooms.enter(&gateway, set(2, "c"), 3);
        rooms.enter(&gateway, set(0, "first"), 2);
        let changed: Vec<String> = rooms.settle().iter().map(ToString::to_string).collect();
        assert_eq!(changed, ["team/b", "team/c"]);
        let fit = |rooms: &Rooms, name: &str| rooms.of(&gateway, &ObjectName::new("team", name));
        assert_eq!((fit(&rooms, "c"), fit(&rooms, "b"), fit(&rooms, "a")), (0, 4, usize::MAX));
        rooms.enter(&gateway, set(2, "b"), 6);
        assert!(rooms.settle().is_empty(), "the same again changes nothing");
        rooms.leave(&gateway, &set(1, "a"));
        assert_eq!(rooms.settle().len(), 2);
        assert_eq!((fit(&rooms, "c"), fit(&rooms, "b")), (usize::MAX, usize::MAX));
        for gone in [set(0, "first"), set(2, "b"), set(2, "c")] {
            rooms.leave(&gateway, &gone);
        }
        rooms.own(&gateway, 0);
        rooms.settle();
        assert!(rooms.gateways.is_empty());
    }
}
