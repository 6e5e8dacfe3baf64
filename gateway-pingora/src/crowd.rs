//! All who are being served: connections of every listener, and flows of datagrams.
//!
//! In: those who come and go. Out: whether one more may come, and when nobody is left.
//!
//! Invariants: whoever was let in is counted until its seat is dropped.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// All who are being served, in the process.
#[derive(Debug, Default)]
pub(crate) struct Crowd(watch::Sender<usize>);

impl Crowd {
    /// Lets one in unless `most` are there.
    pub(crate) fn enter(self: &Arc<Self>, most: usize) -> Option<Seat> {
        let entered = self.0.send_if_modified(|count| {
            let may = *count < most;
            *count += usize::from(may);
            may
        });
        entered.then(|| Seat(Arc::clone(self)))
    }

    /// Waits until nobody is left or `deadline` has come, and says how many are left.
    pub(crate) async fn gone(&self, deadline: Instant) -> usize {
        let mut count = self.0.subscribe();
        let _ = timeout_at(deadline, count.wait_for(|count| *count == 0)).await;
        *self.0.borrow()
    }
}

/// The place of one of them; dropping it is leaving.
#[derive(Debug)]
pub(crate) struct Seat(Arc<Crowd>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}
