//! The connections of one door, and how they are sent home when it closes.
//!
//! In: connections as they come. Out: their end, in steps: responses announce it and HTTP/2 gets its GOAWAY; a little later whatever
//! is idle ends; at the deadline the rest is cut. The little while lets requests that are on their way be answered.
//!
//! Invariants: a connection is counted from its acceptance to the end of its task, however that comes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

use crate::connection::Connection;
use crate::observe::Counters;

/// All connections of the process.
#[derive(Debug, Default)]
pub(crate) struct Crowd(watch::Sender<usize>);

impl Crowd {
    /// Waits until nobody is left or `deadline` has come, and says how many are left.
    pub(crate) async fn gone(&self, deadline: Instant) -> usize {
        let mut count = self.0.subscribe();
        let _ = timeout_at(deadline, count.wait_for(|count| *count == 0)).await;
        *self.0.borrow()
    }
}

/// The connections of one door.
#[derive(Debug)]
pub(super) struct Guests {
    crowd: Arc<Crowd>,
    counters: Arc<Counters>,
    next: AtomicU64,
    inside: Mutex<HashMap<u64, Guest>>,
    count: watch::Sender<usize>,
    /// What Pingora watches: true once the door is closed.
    pub(super) leaving: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Guest {
    connection: Option<Arc<Connection>>,
    task: Option<AbortHandle>,
}

impl Guests {
    pub(super) fn new(crowd: Arc<Crowd>, counters: Arc<Counters>) -> Arc<Self> {
        Arc::new(Self {
            crowd,
            counters,
            next: AtomicU64::new(0),
            inside: Mutex::default(),
            count: watch::Sender::new(0),
            leaving: watch::Sender::new(false),
        })
    }

    /// Lets one in.
    pub(super) fn enter(self: &Arc<Self>) -> Ticket {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.inside().insert(number, Guest::default());
        self.crowd.0.send_modify(|count| *count += 1);
        self.count.send_modify(|count| *count += 1);
        self.counters.connections_accepted.add();
        self.counters.connections_open.add();
        Ticket { guests: Arc::clone(self), number }
    }

    /// Remembers how to end a task. It may have ended already.
    pub(super) fn remember(&self, number: u64, task: AbortHandle) {
        if let Some(guest) = self.inside().get_mut(&number) {
            guest.task = Some(task);
        }
    }

    /// Sends all home; `limit` overrides the drain time of the connections' own settings.
    pub(super) async fn leave(&self, limit: Option<Duration>) {
        self.leaving.send_replace(true);
        let limit = {
            let inside = self.inside();
            let connections = || inside.values().filter_map(|guest| guest.connection.as_ref());
            connections().for_each(|connection| connection.drain());
            limit.or_else(|| connections().map(|connection| connection.settings.drain_timeout).max()).unwrap_or(GRACE)
        };
        let start = Instant::now();
        if self.empty_by(start + limit.min(GRACE)).await {
            return;
        }
        for guest in self.inside().values() {
            if let Some(connection) = &guest.connection {
                connection.close_when_idle();
            }
        }
        if self.empty_by(start + limit).await {
            return;
        }
        for guest in self.inside().values() {
            if let Some(task) = &guest.task {
                task.abort();
            }
        }
    }

    async fn empty_by(&self, deadline: Instant) -> bool {
        let mut count = self.count.subscribe();
        timeout_at(deadline, count.wait_for(|count| *count == 0)).await.is_ok()
    }

    fn inside(&self) -> MutexGuard<'_, HashMap<u64, Guest>> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One guest's presence; dropping it is leaving.
#[derive(Debug)]
pub(super) struct Ticket {
    guests: Arc<Guests>,
    pub(super) number: u64,
}

impl Ticket {
    /// Joins what became of the connection after its handshake. One that comes when the door is closed knows at once.
    pub(super) fn introduce(&self, connection: &Arc<Connection>) {
        if let Some(guest) = self.guests.inside().get_mut(&self.number) {
            guest.connection = Some(Arc::clone(connection));
        }
        if *self.guests.leaving.borrow() {
            connection.drain();
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let guest = self.guests.inside().remove(&self.number);
        let counters = &self.guests.counters;
        let counted = guest.and_then(|guest| guest.connection).is_some_and(|connection| connection.has_panicked());
        if std::thread::panicking() && !counted {
            counters.panics.add();
            tracing::error!("a connection panicked");
        }
        counters.connections_open.sub();
        self.guests.count.send_modify(|count| *count -= 1);
        self.guests.crowd.0.send_modify(|count| *count -= 1);
    }
}

/// How long announced connections are left alone before idle ones end.
const GRACE: Duration = Duration::from_secs(1);
