//! A table by host name: exact names, wildcards by their suffix, and what holds for any name.
//!
//! In: host names as the configuration writes them, in lower case. Out: the entries that cover a request's host, from the most
//! specific to the least. Used twice: for the listeners of a socket, and for the hosts of a listener's routes.

use super::depths::Depths;
use super::map::{Few, Seed};

/// Entries by host name.
#[derive(Clone, Debug)]
pub(crate) struct Names<T> {
    exact: Few<T>,
    /// By what follows `*.`.
    wild: Few<T>,
    /// Labels of the keys of `wild`.
    depths: Depths,
    any: Option<T>,
}

/// The host name under which an entry was found, as the configuration writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tier<'a> {
    /// The name itself.
    Exact(&'a str),
    /// `*.` and this.
    Wildcard(&'a str),
    /// No name.
    Any,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self { exact: Few::default(), wild: Few::default(), depths: Depths::default(), any: None }
    }
}

impl<T: Clone> Names<T> {
    /// The entry of a host name as written: `None` for none, `*.suffix` for a wildcard.
    pub(crate) fn get(&self, written: Option<&str>) -> Option<&T> {
        match Tier::of(written) {
            Tier::Exact(name) => self.exact.get(name),
            Tier::Wildcard(suffix) => self.wild.get(suffix),
            Tier::Any => self.any.as_ref(),
        }
    }

    /// Puts the entry of a host name as written.
    pub(crate) fn insert(&mut self, written: Option<&str>, entry: T, seed: Seed) {
        match Tier::of(written) {
            Tier::Exact(name) => {
                self.exact.insert(name, entry, seed);
            }
            Tier::Wildcard(suffix) => {
                if self.wild.insert(suffix, entry, seed) {
                    self.depths.add(labels(suffix), suffix.len());
                }
            }
            Tier::Any => self.any = Some(entry),
        }
    }

    /// Removes the entry of a host name as written.
    pub(crate) fn remove(&mut self, written: Option<&str>) {
        match Tier::of(written) {
            Tier::Exact(name) => {
                self.exact.remove(name);
            }
            Tier::Wildcard(suffix) => {
                if self.wild.remove(suffix) {
                    self.depths.remove(labels(suffix));
                }
            }
            Tier::Any => self.any = None,
        }
    }

    /// The entries that cover a host, the best first: its exact name, wildcards by length, any. Without a host, only the last.
    pub(crate) fn tiers<'h>(&self, host: Option<&'h str>) -> impl Iterator<Item = (Tier<'h>, &T)> {
        let exact = host.and_then(|host| self.exact.get(host).map(|entry| (Tier::Exact(host), entry)));
        let wild = host.into_iter().flat_map(|host| self.depths.suffixes(host));
        let wild = wild.filter_map(|suffix| self.wild.get(suffix).map(|entry| (Tier::Wildcard(suffix), entry)));
        let any = self.any.as_ref().map(|entry| (Tier::Any, entry));
        exact.into_iter().chain(wild).chain(any)
    }

    /// Whether there is no entry.
    pub(crate) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wild.is_empty() && self.any.is_none()
    }

    /// All entries: exact names, wildcards, any; by name.
    pub(crate) fn sorted(&self) -> impl Iterator<Item = (Tier<'_>, &T)> {
        let exact = self.exact.sorted().into_iter().map(|(name, entry)| (Tier::Exact(name), entry));
        let wild = self.wild.sorted().into_iter().map(|(suffix, entry)| (Tier::Wildcard(suffix), entry));
        exact.chain(wild).chain(self.any.as_ref().map(|entry| (Tier::Any, entry)))
    }
}

impl<'a> Tier<'a> {
    /// The tier of a host name as written.
    pub(crate) fn of(written: Option<&'a str>) -> Self {
        match written {
            None => Self::Any,
            Some(name) => name.strip_prefix("*.").map_or(Self::Exact(name), Self::Wildcard),
        }
    }
}

impl std::fmt::Display for Tier<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Wildcard(suffix) => write!(f, "*.{suffix}"),
            Self::Any => f.write_str("*"),
        }
    }
}

fn labels(suffix: &str) -> usize {
    suffix.bytes().filter(|byte| *byte == b'.').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_name_comes_first() {
        let mut names = Names::default();
        let written =
            [None, Some("*.com"), Some("*.example.com"), Some("*.b.example.com"), Some("a.b.example.com"), Some("example.com")];
        for name in written {
            names.insert(name, name.unwrap_or("any").to_owned(), Seed::new(1));
        }
        let found = |host| names.tiers(host).map(|(_, entry)| entry.as_str()).collect::<Vec<_>>();
        assert_eq!(found(Some("a.b.example.com")), ["a.b.example.com", "*.b.example.com", "*.example.com", "*.com", "any"]);
        assert_eq!(found(Some("c.d.b.example.com")), ["*.b.example.com", "*.example.com", "*.com", "any"]);
        assert_eq!(found(Some("b.example.com")), ["*.example.com", "*.com", "any"]);
        assert_eq!(found(Some("example.com")), ["example.com", "*.com", "any"]);
        assert_eq!(found(Some("com")), ["any"]);
        assert_eq!(found(None), ["any"]);
        for name in written {
            assert_eq!(names.get(name).map(String::as_str), Some(name.unwrap_or("any")));
            names.remove(name);
        }
        assert!(names.is_empty());
    }
}
