//! Maps that share what did not change: a persistent hash map with one seed per compiler, and a smaller form for few entries.
//!
//! In: keys from the configuration. Out: look-ups by what a request says. A request only looks up, so it cannot lengthen a chain
//! of colliding keys; the seed keeps authors of routes from preparing one.
//!
//! Invariants: nothing visible depends on the order of a hash map.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;
use imbl::GenericHashMap;
use imbl::shared_ptr::DefaultSharedPtr;

/// A persistent map. Copying it copies one pointer; changing a copy copies the path to what changed.
pub(crate) type Map<K, V> = GenericHashMap<K, V, Seed, DefaultSharedPtr>;

/// The seed of every map of one compiler.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seed(&'static SharedSeed);

impl Seed {
    /// The seed made of a number. It lives as long as the process: make one per compiler.
    pub(crate) fn new(seed: u64) -> Self {
        Self(Box::leak(Box::new(SharedSeed::from_u64(seed))))
    }
}

impl BuildHasher for Seed {
    type Hasher = FoldHasher<'static>;

    fn build_hasher(&self) -> Self::Hasher {
        // The whole seed is secret. A secret hasher seed over the published shared one would leave multiplications by zero.
        FoldHasher::with_seed(0, self.0)
    }
}

/// How many entries are scanned rather than hashed.
const FEW: usize = 8;

/// A map from strings that usually holds a handful: most hosts have few paths, most sockets few listeners. Once it grew beyond
/// `FEW` it stays a hash map.
#[derive(Clone, Debug)]
pub(crate) enum Few<V> {
    /// In order of insertion; `None` when empty.
    Few(Option<Arc<Entries<V>>>),
    /// By hash.
    Many(Map<Arc<str>, V>),
}

type Entries<V> = Vec<Entry<V>>;

#[derive(Clone, Debug)]
pub(crate) struct Entry<V> {
    /// Of the key: where it differs, the key need not be fetched.
    brief: u64,
    key: Arc<str>,
    value: V,
}

impl<V> Entry<V> {
    fn new(key: &str, value: V) -> Self {
        Self { brief: brief(key), key: key.into(), value }
    }
}

/// The last bytes of a key, in which paths and host names of one configuration differ most, and its length.
fn brief(key: &str) -> u64 {
    let last = key.as_bytes().last_chunk().map_or(0, |last| u64::from_ne_bytes(*last));
    last ^ key.len() as u64
}

fn find<V>(entries: &[Entry<V>], key: &str) -> Option<usize> {
    let brief = brief(key);
    entries.iter().position(|entry| entry.brief == brief && *entry.key == *key)
}

impl<V> Default for Few<V> {
    fn default() -> Self {
        Self::Few(None)
    }
}

impl<V: Clone> Few<V> {
    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&V> {
        match self {
            Self::Few(None) => None,
            Self::Few(Some(entries)) => find(entries, key).map(|at| &entries[at].value),
            Self::Many(map) => map.get(key),
        }
    }

    /// Puts a value, and tells whether the key is new.
    pub(crate) fn insert(&mut self, key: &str, value: V, seed: Seed) -> bool {
        match self {
            Self::Few(None) => {
                *self = Self::Few(Some(Arc::new(vec![Entry::new(key, value)])));
                true
            }
            Self::Few(Some(entries)) => {
                if let Some(at) = find(entries, key) {
                    Arc::make_mut(entries)[at].value = value;
                    return false;
                }
                if entries.len() < FEW {
                    Arc::make_mut(entries).push(Entry::new(key, value));
                } else {
                    let mut map = Map::with_hasher(seed);
                    map.extend(entries.iter().map(|entry| (Arc::clone(&entry.key), entry.value.clone())));
                    map.insert(key.into(), value);
                    *self = Self::Many(map);
                }
                true
            }
            Self::Many(map) => match map.get_mut(key) {
                Some(present) => {
                    *present = value;
                    false
                }
                None => map.insert(key.into(), value).is_none(),
            },
        }
    }

    /// Removes a key, and tells whether it was there.
    pub(crate) fn remove(&mut self, key: &str) -> bool {
        match self {
            Self::Few(None) => false,
            Self::Few(Some(entries)) => {
                let Some(at) = find(entries, key) else { return false };
                Arc::make_mut(entries).remove(at);
                if entries.is_empty() {
                    *self = Self::default();
                }
                true
            }
            Self::Many(map) => {
                let removed = map.remove(key).is_some();
                if map.is_empty() {
                    *self = Self::default();
                }
                removed
            }
        }
    }

    /// Whether there is no entry.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Few(entries) => entries.is_none(),
            Self::Many(map) => map.is_empty(),
        }
    }

    /// All entries, by key.
    pub(crate) fn sorted(&self) -> Vec<(&str, &V)> {
        let mut all: Vec<(&str, &V)> = match self {
            Self::Few(entries) => {
                entries.iter().flat_map(|entries| entries.iter()).map(|entry| (&*entry.key, &entry.value)).collect()
            }
            Self::Many(map) => map.iter().map(|(k, v)| (&**k, v)).collect(),
        };
        all.sort_unstable_by_key(|(key, _)| *key);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_entries_become_many_and_none_again() {
        let mut few = Few::default();
        let keys: Vec<String> = (0..20).map(|n| format!("/key/{n:02}")).collect();
        for (n, key) in keys.iter().enumerate() {
            assert!(few.insert(key, n, Seed::new(7)));
            assert!(!few.insert(key, n + 100, Seed::new(7)), "the second time it is not new");
        }
        assert_eq!(few.sorted().len(), 20);
        assert!(few.sorted().is_sorted());
        let before = few.clone();
        for (n, key) in keys.iter().enumerate() {
            assert_eq!(few.get(key), Some(&(n + 100)));
            assert!(few.remove(key) && !few.remove(key));
        }
        for key in ["/a", "/ab", "/other/key/07", "/key/07"] {
            assert!(
                few.insert(key, 7, Seed::new(7)) && few.get("/another/key/07").is_none(),
                "short keys, and keys that end alike"
            );
            assert!(few.remove(key));
        }
        assert!(few.is_empty() && matches!(few, Few::Few(None)));
        assert_eq!(before.get("/key/07"), Some(&107), "a copy keeps what it had");
    }
}
