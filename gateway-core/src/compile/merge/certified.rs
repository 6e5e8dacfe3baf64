//! What the certificates of HTTPS listeners are valid for, arranged so that those for the same hosts are found by look-ups.
//!
//! In: the names of a listener's certificates, when it takes a place and gives it back. Out: with whose they have hosts in common, and
//! of whom that may be judged otherwise now. A wildcard stands for one label (RFC 9525), so names meet only below one parent domain.

use std::collections::{BTreeMap, BTreeSet};

use super::Rank;

/// The holders of names, by parent domain.
#[derive(Debug, Default)]
pub(super) struct Certified(BTreeMap<Box<str>, Domain>);

/// The names directly below a domain.
#[derive(Debug, Default)]
struct Domain {
    /// By label; `*` is one like others here.
    labels: BTreeMap<Box<str>, BTreeSet<Rank>>,
    /// All of them, each with how many of the names it has.
    all: BTreeMap<Rank, usize>,
}

/// With whose certificates those of a listener have hosts in common.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Common {
    /// Of the same object.
    pub(super) siblings: BTreeSet<Rank>,
    /// Whether there are others.
    pub(super) foreign: bool,
}

impl Certified {
    /// Takes note of the names of a listener. Returns whose common names may be others now.
    pub(super) fn add(&mut self, names: &[Box<str>], rank: &Rank) -> BTreeSet<Rank> {
        let mut stirred = BTreeSet::new();
        for (label, parent) in names.iter().map(|name| parted(name)) {
            let domain = self.0.entry(parent.into()).or_default();
            domain.stir(label, rank, &mut stirred);
            if domain.labels.entry(label.into()).or_default().insert(rank.clone()) {
                *domain.all.entry(rank.clone()).or_default() += 1;
            }
        }
        stirred
    }

    /// Takes the names of a listener back. Returns whose common names may be others now.
    pub(super) fn remove(&mut self, names: &[Box<str>], rank: &Rank) -> BTreeSet<Rank> {
        let mut stirred = BTreeSet::new();
        for (label, parent) in names.iter().map(|name| parted(name)) {
            let Some(domain) = self.0.get_mut(parent) else { continue };
            domain.forget(label, rank);
            domain.stir(label, rank, &mut stirred);
            if domain.all.is_empty() {
                self.0.remove(parent);
            }
        }
        stirred
    }

    /// With whose certificates those with these names, of a listener of this rank, have hosts in common.
    pub(super) fn common(&self, names: &[Box<str>], rank: &Rank) -> Common {
        let mut common = Common::default();
        for (label, parent) in names.iter().map(|name| parted(name)) {
            let Some(domain) = self.0.get(parent) else { continue };
            let (first, last) = rank.siblings();
            let mut look = |ends: [Option<&Rank>; 2], siblings: &mut dyn Iterator<Item = &Rank>| {
                // Ranks of one object stand together, so that any other is at an end.
                common.foreign |= ends.into_iter().flatten().any(|other| !other.is_of_the_same_holder(rank));
                common.siblings.extend(siblings.filter(|other| *other != rank).cloned());
            };
            if label == "*" {
                let ends = [domain.all.first_key_value(), domain.all.last_key_value()].map(|end| end.map(|(rank, _)| rank));
                look(ends, &mut domain.all.range(&first..=&last).map(|(rank, _)| rank));
                continue;
            }
            for ranks in [label, "*"].iter().filter_map(|label| domain.labels.get(*label)) {
                look([ranks.first(), ranks.last()], &mut ranks.range(&first..=&last));
            }
        }
        common
    }
}

impl Domain {
    fn forget(&mut self, label: &str, rank: &Rank) {
        let Some(ranks) = self.labels.get_mut(label) else { return };
        if !ranks.remove(rank) {
            return;
        }
        if ranks.is_empty() {
            self.labels.remove(label);
        }
        if let Some(count) = self.all.get_mut(rank) {
            *count -= 1;
            if *count == 0 {
                self.all.remove(rank);
            }
        }
    }

    /// Who has others in common than before, by a name that `rank` has and that is not noted here: its siblings, which are told by name,
    /// and those that had, or have now, nobody but their own siblings.
    fn stir(&self, label: &str, rank: &Rank, stirred: &mut BTreeSet<Rank>) {
        let (first, last) = rank.siblings();
        let none = BTreeSet::new();
        let wild = self.labels.get("*").unwrap_or(&none);
        if are_siblings([self.all.first_key_value(), self.all.last_key_value()].into_iter().flatten().map(|(rank, _)| rank)) {
            stirred.extend(wild.iter().cloned());
        }
        let mut look = |ranks: &BTreeSet<Rank>| {
            if are_siblings([ranks.first(), ranks.last(), wild.first(), wild.last()].into_iter().flatten()) {
                stirred.extend(ranks.iter().cloned());
            }
        };
        if label != "*" {
            look(self.labels.get(label).unwrap_or(&none));
            stirred.extend(wild.range(&first..=&last).cloned());
            stirred.extend(self.labels.get(label).unwrap_or(&none).range(&first..=&last).cloned());
            return;
        }
        // Where several objects have the wildcard, everybody below has one of them in common.
        if are_siblings([wild.first(), wild.last()].into_iter().flatten()) {
            self.labels.values().for_each(look);
        }
        stirred.extend(self.all.range(&first..=&last).map(|(rank, _)| rank.clone()));
    }
}

/// Whether all are listeners of one object.
fn are_siblings<'a>(mut ranks: impl Iterator<Item = &'a Rank>) -> bool {
    let Some(first) = ranks.next() else { return true };
    ranks.all(|rank| rank.is_of_the_same_holder(first))
}

/// The first label of a name, and what stands behind it.
fn parted(name: &str) -> (&str, &str) {
    name.split_once('.').unwrap_or((name, ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::ObjectName;

    fn rank(holder: &str, index: usize) -> Rank {
        Rank { is_set: false, age: Default::default(), holder: ObjectName::new("n", holder), index }
    }

    fn names(all: &[&str]) -> Vec<Box<str>> {
        all.iter().map(|name| (*name).into()).collect()
    }

    #[test]
    fn certificates_meet_where_a_name_of_one_host_is_in_both() {
        let rows = [
            ("a.com", "a.com", true),
            ("a.com", "b.com", false),
            ("*.com", "a.com", true),
            ("*.com", "b.a.com", false),
            ("*.a.com", "b.a.com", true),
            ("*.a.com", "*.a.com", true),
            ("*.a.com", "*.com", false),
            ("localhost", "localhost", true),
        ];
        for (one, other, meet) in rows {
            for (one, other) in [(one, other), (other, one)] {
                let mut certified = Certified::default();
                assert!(certified.add(&names(&[one]), &rank("a", 0)).is_empty());
                let stirred = certified.add(&names(&[other, "else.org"]), &rank("b", 0));
                assert_eq!(stirred.contains(&rank("a", 0)), meet, "{one} {other}");
                let common = |certified: &Certified| certified.common(&names(&[one]), &rank("a", 0));
                assert_eq!(common(&certified), Common { foreign: meet, ..Common::default() }, "{one} {other}");
                let stirred = certified.remove(&names(&[other, "else.org"]), &rank("b", 0));
                assert_eq!(stirred.contains(&rank("a", 0)), meet, "{one} {other}");
                assert_eq!(common(&certified), Common::default());
                certified.remove(&names(&[one]), &rank("a", 0));
                assert!(certified.0.is_empty());
            }
        }
    }

    #[test]
    fn siblings_are_told_from_others() {
        let mut certified = Certified::default();
        for (holder, index) in [("a", 0), ("a", 1), ("b", 0)] {
            certified.add(&names(&["*.a.com", "a.com"]), &rank(holder, index));
        }
        let common = certified.common(&names(&["*.a.com", "a.com"]), &rank("a", 0));
        assert_eq!(common, Common { siblings: [rank("a", 1)].into(), foreign: true });
        let common = certified.common(&names(&["*.a.com", "a.com"]), &rank("b", 0));
        assert_eq!(common, Common { siblings: BTreeSet::new(), foreign: true });
    }
}
