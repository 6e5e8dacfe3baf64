//! How many routes each listener carries (`attachedRoutes`), whatever becomes of the listener.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::name::ObjectId;
use crate::snapshot::ListenerId;

/// A listener that carries a route, with its hostname.
pub(super) type Carrying = (ListenerId, Option<Arc<str>>);

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
    pub(super) fn recount(&mut self, old: &[Carrying], new: &[Carrying]) -> BTreeSet<ObjectId> {
        let mut touched = BTreeSet::new();
        for id in beside(old, new) {
            if let Some(count) = self.0.get_mut(id) {
                *count -= 1;
                if *count == 0 {
                    self.0.remove(id);
                }
            }
            touched.insert(id.parent.clone());
        }
        for id in beside(new, old) {
            match self.0.get_mut(id) {
                Some(count) => *count += 1,
                None => drop(self.0.insert(id.clone(), 1)),
            }
            touched.insert(id.parent.clone());
        }
        touched
    }
}

/// The listeners of `these` that are not among `those`.
fn beside<'a>(these: &'a [Carrying], those: &[Carrying]) -> impl Iterator<Item = &'a ListenerId> {
    let ids = these.iter().map(|(id, _)| id);
    ids.filter(|id| those.binary_search_by(|(known, _)| known.cmp(id)).is_err())
}
