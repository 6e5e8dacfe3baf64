//! Host names that are taken, arranged so that those which have hosts in common with one are found by look-ups.
//!
//! In: names as they are taken and given back. Out: the takers whose names overlap with a given one. Names are ordered by their
//! labels from the last to the first, so that all below a suffix stand next to each other.

use std::collections::BTreeMap;

use super::{Key, Rank};

/// Takers by name.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    taken: BTreeMap<Key, Rank>,
    /// Names but none, labels reversed: `*.example.com` is `com.example.*`.
    reversed: BTreeMap<String, Rank>,
}

impl Hosts {
    pub(super) fn get(&self, key: &Key) -> Option<&Rank> {
        self.taken.get(key)
    }

    /// Says who has a name.
    pub(super) fn set(&mut self, key: &Key, taker: Option<Rank>) {
        let reversed = key.as_deref().map(reversed);
        match taker {
            Some(taker) => {
                if let Some(reversed) = reversed {
                    self.reversed.insert(reversed, taker.clone());
                }
                self.taken.insert(key.clone(), taker);
            }
            None => {
                if let Some(reversed) = reversed {
                    self.reversed.remove(&reversed);
                }
                self.taken.remove(key);
            }
        }
    }

    /// Who has another name with hosts in common with this one: wildcards above it, names below it, and no name.
    pub(super) fn overlapping(&self, hostname: Option<&str>) -> impl Iterator<Item = &Rank> {
        let own = hostname.map(reversed);
        let any = hostname.and_then(|_| self.taken.get(&None));
        let above = own.clone().into_iter().flat_map(move |own| {
            let dots: Vec<usize> = own.match_indices('.').map(|(at, _)| at).collect();
            dots.into_iter().filter_map(move |dot| {
                let wildcard = format!("{}*", own.get(..=dot)?);
                self.reversed.get(&wildcard).filter(|_| wildcard != own)
            })
        });
        let below = match own {
            None => Some(String::new()),
            Some(own) => own.strip_suffix('*').map(str::to_owned),
        };
        let below = below.into_iter().flat_map(move |suffix| {
            let names = self.reversed.range(suffix.clone()..);
            let itself = format!("{suffix}*");
            let is_all = hostname.is_none();
            names.take_while(move |(name, _)| name.starts_with(&suffix)).filter(move |(name, _)| is_all || **name != itself)
        });
        any.into_iter().chain(above).chain(below.map(|(_, taker)| taker))
    }
}

impl FromIterator<(Key, Rank)> for Hosts {
    fn from_iter<I: IntoIterator<Item = (Key, Rank)>>(takers: I) -> Self {
        let mut hosts = Self::default();
        for (key, taker) in takers {
            hosts.set(&key, Some(taker));
        }
        hosts
    }
}

fn reversed(name: &str) -> String {
    let mut labels: Vec<&str> = name.split('.').collect();
    labels.reverse();
    labels.join(".")
}

#[cfg(test)]
mod tests {
    use super::super::super::attach::intersects;
    use super::*;
    use crate::name::ObjectName;

    #[test]
    fn names_with_hosts_in_common_are_those_that_intersect() {
        let names = [
            None,
            Some("*.com"),
            Some("*.example.com"),
            Some("*.a.example.com"),
            Some("example.com"),
            Some("a.example.com"),
            Some("b.a.example.com"),
            Some("b-a.example.com"),
            Some("example.org"),
            Some("com"),
        ];
        let rank = |index| Rank { is_set: false, age: Default::default(), holder: ObjectName::new("n", "g"), index };
        let mut hosts: Hosts = names.iter().enumerate().map(|(index, name)| (name.map(Into::into), rank(index))).collect();
        for (index, name) in names.iter().enumerate() {
            let mut found: Vec<usize> = hosts.overlapping(*name).map(|rank| rank.index).collect();
            found.sort_unstable();
            let meets = |other: &Option<&str>| other.is_none_or(|other| intersects(*name, other));
            let expected: Vec<usize> = (0..names.len()).filter(|at| *at != index && meets(&names[*at])).collect();
            assert_eq!(found, expected, "{name:?}");
        }
        for name in names {
            hosts.set(&name.map(Into::into), None);
        }
        assert_eq!(hosts.overlapping(None).count(), 0);
    }
}
