//! The current snapshot behind one atomic pointer.
//!
//! In: snapshots, published whenever there is a new one. Out: the current one, for every request and for whoever follows changes.
//! A request loads it once and lets it go before it waits; what was decided is kept, never the snapshot.
//!
//! Invariants: **no request frees a snapshot**: what was swapped out is kept here until nobody else holds it, and freed by whoever
//! publishes or collects.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use gateway_core::snapshot::Snapshot;

use crate::upstream::Upstreams;

/// The current snapshot.
#[derive(Debug)]
pub struct Live {
    current: ArcSwap<Snapshot>,
    retired: Mutex<Vec<Arc<Snapshot>>>,
    published: watch::Sender<u64>,
    /// What must know a snapshot before requests do.
    upstreams: Option<Arc<Upstreams>>,
    /// Held while publishing: snapshots are followed in the order in which they become current.
    publishing: Mutex<()>,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            current: ArcSwap::from_pointee(Snapshot::empty(0)),
            retired: Mutex::default(),
            published: watch::Sender::new(0),
            upstreams: None,
            publishing: Mutex::default(),
        }
    }
}

impl Live {
    pub(crate) fn new(upstreams: Arc<Upstreams>) -> Self {
        Self { upstreams: Some(upstreams), ..Self::default() }
    }

    /// Makes `snapshot` the current one and frees former ones that nobody holds any longer. The same pointer again does nothing.
    pub fn publish(&self, snapshot: Arc<Snapshot>) {
        let publishing = self.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&self.current.load(), &snapshot) {
            return;
        }
        if let Some(upstreams) = &self.upstreams {
            upstreams.follow(&self.current.load(), &snapshot);
        }
        let former = self.current.swap(snapshot);
        self.retired.lock().unwrap_or_else(PoisonError::into_inner).push(former);
        self.published.send_modify(|count| *count += 1);
        drop(publishing);
        self.collect();
    }

    /// The current snapshot. Hold it for as short as can be, and never across an await.
    pub fn load(&self) -> impl Deref<Target = Arc<Snapshot>> {
        self.current.load()
    }

    /// Changes whenever another snapshot became the current one; the value counts them.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.published.subscribe()
    }

    /// Frees former snapshots that nobody holds any longer and says how many they were. Worth calling once in a while: after a large
    /// one was freed, a program may want to return memory to the system.
    pub fn collect(&self) -> usize {
        let freed = {
            let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
            let (held, freed): (Vec<_>, Vec<_>) = retired.drain(..).partition(|snapshot| Arc::strong_count(snapshot) > 1);
            *retired = held;
            freed
        };
        freed.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn former_snapshots_wait_for_their_last_holder() {
        let live = Live::default();
        let held = Arc::clone(&live.load());
        live.publish(Arc::new(Snapshot::empty(0)));
        assert_eq!(live.collect(), 0, "a request still holds it");
        drop(held);
        assert_eq!(live.collect(), 1);
        assert_eq!(live.collect(), 0);
    }

    #[test]
    fn the_same_pointer_is_no_change() {
        let live = Live::default();
        let changed = live.changed();
        let snapshot = Arc::new(Snapshot::empty(0));
        live.publish(Arc::clone(&snapshot));
        live.publish(snapshot);
        assert_eq!(*changed.borrow(), 1);
    }
}
