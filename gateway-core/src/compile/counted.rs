//! Things that are held for some number of reasons, so that it is told once when the first comes and when the last goes.
//!
//! In: reasons that come and go. Out: what is held now and was not when this was asked last, and the other way round.

use std::collections::hash_map::Entry;
use std::hash::Hash;

use crate::snapshot::Seed;

use super::hashed::Hashed;

/// What is held, counted.
#[derive(Debug)]
pub(super) struct Counted<K> {
    held: Hashed<K, Held>,
    /// What was touched since this was asked last, in the order in which it was.
    touched: Vec<K>,
}

#[derive(Debug)]
struct Held {
    reasons: u32,
    /// Where it was touched since this was asked last, whether it was held before.
    before: Option<bool>,
}

impl<K: Clone + Eq + Hash + Ord> Counted<K> {
    pub(super) fn new(seed: Seed) -> Self {
        Self { held: Hashed::with_hasher(seed), touched: Vec::new() }
    }

    /// One more reason.
    pub(super) fn join(&mut self, key: &K) {
        match self.held.get_mut(key) {
            // Most that is held has been for long, or for many reasons.
            Some(held) if held.reasons > 0 => held.reasons += 1,
            Some(held) => held.reasons = 1,
            None => {
                self.held.insert(key.clone(), Held { reasons: 1, before: Some(false) });
                self.touched.push(key.clone());
            }
        }
    }

    /// One reason less.
    pub(super) fn leave(&mut self, key: &K) {
        let Some(held) = self.held.get_mut(key).filter(|held| held.reasons > 0) else { return };
        held.reasons -= 1;
        if held.reasons == 0 && held.before.is_none() {
            held.before = Some(true);
            self.touched.push(key.clone());
        }
    }

    /// What joined or left since this was asked last, with whether it is held now; sorted.
    pub(super) fn take(&mut self) -> Vec<(K, bool)> {
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        let changed = touched.into_iter().filter_map(|key| {
            let Entry::Occupied(mut entry) = self.held.entry(key.clone()) else { return None };
            let was_held = entry.get_mut().before.take()?;
            let is_held = entry.get().reasons > 0;
            if !is_held {
                entry.remove();
            }
            (is_held != was_held).then_some((key, is_held))
        });
        changed.collect()
    }

    /// Whether nothing is held.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}
