//! Things that are held for some number of reasons, so that it is told once when the first comes and when the last goes.
//!
//! In: reasons that come and go. Out: what is held now and was not when this was asked last, and the other way round.

use std::hash::Hash;

use crate::snapshot::Seed;

use super::hashed::Hashed;

/// What is held, counted.
#[derive(Debug)]
pub(super) struct Counted<K> {
    held: Hashed<K, u32>,
    /// Whether what was touched since this was asked last was held before.
    before: Hashed<K, bool>,
}

impl<K: Clone + Eq + Hash> Counted<K> {
    pub(super) fn new(seed: Seed) -> Self {
        Self { held: Hashed::with_hasher(seed), before: Hashed::with_hasher(seed) }
    }

    /// One more reason.
    pub(super) fn join(&mut self, key: K) {
        let count = self.held.entry(key.clone()).or_insert(0);
        self.before.entry(key).or_insert(*count > 0);
        *count += 1;
    }

    /// One reason less.
    pub(super) fn leave(&mut self, key: K) {
        let Some(count) = self.held.get_mut(&key) else { return };
        *count -= 1;
        if *count == 0 {
            self.held.remove(&key);
        }
        self.before.entry(key).or_insert(true);
    }

    /// What joined or left since this was asked last, with whether it is held now; in no order.
    pub(super) fn take(&mut self) -> Vec<(K, bool)> {
        let changed = self.before.drain().filter_map(|(key, was_held)| {
            let is_held = self.held.contains_key(&key);
            (is_held != was_held).then_some((key, is_held))
        });
        let changed = changed.collect();
        self.before.shrink_to(64);
        changed
    }
}
