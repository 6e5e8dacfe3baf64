//! How many routes each listener carries (`attachedRoutes`), whatever becomes of the listener.

use std::collections::{BTreeMap, BTreeSet};

use crate::name::ObjectId;
use crate::snapshot::ListenerId;

/// The counts of all listeners; those that carry none are not among them.
#[derive(Debug, Default)]
pub(super) struct Counts(BTreeMap<ListenerId, usize>);

impl Counts {
    /// How many routes a listener carries.
    pub(super) fn of(&self, holder: &ObjectId, listener: &str) -> usize {
        let id = ListenerId { parent: holder.clone(), name: listener.into() };
        self.0.get(&id).copied().unwrap_or(0)
    }

    /// Counts a route on its new listeners and no longer on its old ones. Both are sorted. Returns the holders concerned.
    pub(super) fn recount(&mut self, old: &[ListenerId], new: &[ListenerId]) -> BTreeSet<ObjectId> {
        let mut touched = BTreeSet::new();
        for id in old.iter().filter(|id| new.binary_search(id).is_err()) {
            if let Some(count) = self.0.get_mut(id) {
                *count -= 1;
                if *count == 0 {
                    self.0.remove(id);
                }
            }
            touched.insert(id.parent.clone());
        }
        for id in new.iter().filter(|id| old.binary_search(id).is_err()) {
            *self.0.entry(id.clone()).or_insert(0) += 1;
            touched.insert(id.parent.clone());
        }
        touched
    }
}
