//! Which routes contend for the same connections or flows: of TLSRoutes for one host name on a listener, of TCPRoutes and UDPRoutes
//! on a listener, the first by age, then name, takes all. The others stay accepted and idle, which their conditions say.
//!
//! In: where such routes stand. Out: for a route, who goes before it; and whose condition reads differently now.
//!
//! Invariants: a change concerns only the routes that stand where it happened, and the others there only when the first one differs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use crate::name::ObjectId;
use crate::snapshot::ListenerId;
use crate::snapshot::matching::Age;

/// Where a route stands: on a listener, under a host name as the route writes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stand {
    pub(super) listener: ListenerId,
    pub(super) host: Option<Arc<str>>,
}

/// A route among its rivals, the first first: as `Rank` has it.
type Rival = (Age, ObjectId);

/// The routes that contend, by where they stand.
#[derive(Debug, Default)]
pub(super) struct Rivals {
    stands: BTreeMap<Stand, BTreeSet<Rival>>,
    /// Of places that were touched, who was first before.
    before: BTreeMap<Stand, Option<Rival>>,
}

impl Rivals {
    /// Moves a route from where it stood to where it stands, each with its age then. Both are sorted.
    pub(super) fn replace(&mut self, id: &ObjectId, old: (Age, &[Stand]), new: (Age, &[Stand])) {
        if old == new {
            return;
        }
        for stand in old.1 {
            self.touch(stand);
            let Some(rivals) = self.stands.get_mut(stand) else { continue };
            rivals.remove(&(old.0, id.clone()));
            if rivals.is_empty() {
                self.stands.remove(stand);
            }
        }
        for stand in new.1 {
            self.touch(stand);
            self.stands.entry(stand.clone()).or_default().insert((new.0, id.clone()));
        }
    }

    fn touch(&mut self, stand: &Stand) {
        if !self.before.contains_key(stand) {
            self.before.insert(stand.clone(), self.first(stand).cloned());
        }
    }

    fn first(&self, stand: &Stand) -> Option<&Rival> {
        self.stands.get(stand).and_then(BTreeSet::first)
    }

    /// The routes that stand where another is first than before.
    pub(super) fn take_touched(&mut self) -> BTreeSet<ObjectId> {
        let before = std::mem::take(&mut self.before);
        let changed = before.iter().filter(|(stand, before)| self.first(stand) != before.as_ref());
        let rivals = changed.filter_map(|(stand, _)| self.stands.get(stand)).flatten();
        rivals.map(|(_, id)| id.clone()).collect()
    }

    /// Where the route is idle, in words, of the places on these listeners; `None` where it is idle nowhere.
    pub(super) fn idle(&self, id: &ObjectId, stands: &[Stand], listeners: &[ListenerId]) -> Option<String> {
        let mut by_rival: BTreeMap<(&ListenerId, &ObjectId), Vec<&str>> = BTreeMap::new();
        for stand in stands.iter().filter(|stand| listeners.contains(&stand.listener)) {
            if let Some((_, first)) = self.first(stand).filter(|(_, first)| first != id) {
                by_rival.entry((&stand.listener, first)).or_default().extend(stand.host.as_deref());
            }
        }
        let mut text = String::new();
        for ((listener, first), hosts) in by_rival {
            let separator = if text.is_empty() { "" } else { "; " };
            let _ = write!(text, "{separator}idle on listener {}", listener.name);
            for (nth, host) in hosts.iter().take(HOSTS).enumerate() {
                let _ = write!(text, "{}{host}", if nth == 0 { " for " } else { ", " });
            }
            if let Some(more @ 1..) = hosts.len().checked_sub(HOSTS) {
                let _ = write!(text, " and {more} more");
            }
            let _ = write!(text, ": {first} goes first and takes all");
        }
        Some(text).filter(|text| !text.is_empty())
    }
}

/// Host names that a message lists.
const HOSTS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::{Kind, ObjectName};

    fn route(name: &str) -> ObjectId {
        ObjectId::new(Kind::TcpRoute, ObjectName::new("test", name))
    }

    fn stand(listener: &str) -> Stand {
        let parent = ObjectId::new(Kind::Gateway, ObjectName::new("test", "g"));
        Stand { listener: ListenerId { parent, name: listener.into() }, host: None }
    }

    fn touched(rivals: &mut Rivals) -> Vec<String> {
        rivals.take_touched().into_iter().map(|id| id.name.name().to_owned()).collect()
    }

    #[test]
    fn only_where_another_becomes_first_do_its_rivals_read_differently() {
        let at = |created| Age::new(None, Some(created));
        let (one, two) = ([stand("one")], [stand("one"), stand("two")]);
        let none = (Age::default(), &[][..]);
        let mut rivals = Rivals::default();
        rivals.replace(&route("b"), none, (at(2), &two));
        rivals.replace(&route("c"), none, (at(3), &one));
        assert_eq!(touched(&mut rivals), ["b", "c"]);
        rivals.replace(&route("d"), none, (at(4), &two));
        assert_eq!(touched(&mut rivals), [""; 0], "a younger one changes nothing for the others");
        rivals.replace(&route("a"), none, (at(1), &two[1..]));
        assert_eq!(touched(&mut rivals), ["a", "b", "d"], "none of the other listener");
        rivals.replace(&route("a"), (at(1), &two[1..]), none);
        rivals.replace(&route("a"), none, (at(1), &two[1..]));
        assert_eq!(touched(&mut rivals), [""; 0], "it ended as it began");
        assert_eq!(
            rivals.idle(&route("d"), &two, &[one[0].listener.clone()]).unwrap(),
            "idle on listener one: TCPRoute test/b goes first and takes all"
        );
        assert_eq!(rivals.idle(&route("b"), &one, &[one[0].listener.clone()]), None);
        for (name, created, stands) in [("a", 1, &two[1..]), ("b", 2, &two), ("c", 3, &one), ("d", 4, &two)] {
            rivals.replace(&route(name), (at(created), stands), none);
        }
        rivals.take_touched();
        assert!(rivals.stands.is_empty() && rivals.before.is_empty());
    }
}
