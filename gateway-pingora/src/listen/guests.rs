//! The connections of one door, and how they are sent home: all when it closes, some when their listener is gone.
//!
//! In: connections as they come, and the listeners of the door's socket whenever they change. Out: their end, in steps: responses announce it and HTTP/2 gets its GOAWAY; a little later whatever
//! is idle ends; at the deadline the rest is cut. The little while lets requests that are on their way be answered.
//!
//! Invariants: **a listener that goes takes no connection of another along**; a connection is counted from its acceptance to the end of its task, however that comes.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout_at};

use gateway_core::snapshot::{Fingerprint, ListenerId, Listeners, Protocol, Roster};

use crate::connection::Connection;
use crate::crowd::{Crowd, Seat};
use crate::observe::Counters;

/// The connections of one door.
#[derive(Debug)]
pub(super) struct Guests {
    crowd: Arc<Crowd>,
    counters: Arc<Counters>,
    next: AtomicU64,
    inside: Mutex<HashMap<u64, Guest>>,
    count: watch::Sender<usize>,
    /// True once the door is closed.
    closed: AtomicBool,
    /// The listeners that guests were last compared with.
    places: Mutex<Places>,
    /// How often the places changed.
    changes: AtomicU64,
    /// Sweeps that still have to look for guests who met a listener while it went.
    looks: AtomicU8,
}

/// The numbers of guests who were told to leave, by the time they may stay.
pub(super) type Parting = BTreeMap<Duration, Vec<u64>>;

/// The listeners of the door's socket at one time.
#[derive(Debug, Default)]
struct Places {
    /// `None` before the first.
    roster: Option<Roster>,
    /// By id.
    all: Box<[Place]>,
}

/// A listener as far as its connections depend on it: a rotated certificate, a route, a setting make no difference. What is asked of
/// clients does.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    id: ListenerId,
    hostname: Option<Arc<str>>,
    protocol: Protocol,
    is_open: bool,
    validation: Option<Fingerprint>,
}

#[derive(Debug, Default)]
struct Guest {
    connection: Option<Arc<Connection>>,
    task: Option<AbortHandle>,
}

impl Guest {
    fn close_when_idle(&self) {
        if let Some(connection) = &self.connection {
            connection.close_when_idle();
        }
    }

    fn cut(&self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Guests {
    pub(super) fn new(crowd: Arc<Crowd>, counters: Arc<Counters>) -> Arc<Self> {
        Arc::new(Self {
            crowd,
            counters,
            next: AtomicU64::new(0),
            inside: Mutex::default(),
            count: watch::Sender::new(0),
            closed: AtomicBool::new(false),
            places: Mutex::default(),
            changes: AtomicU64::new(0),
            looks: AtomicU8::new(0),
        })
    }

    /// Lets one in unless `most` are open in the process.
    pub(super) fn enter(self: &Arc<Self>, most: usize) -> Option<Ticket> {
        let seat = self.crowd.enter(most)?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.inside().insert(number, Guest::default());
        self.count.send_modify(|count| *count += 1);
        self.counters.connections_accepted.add();
        self.counters.connections_open.add();
        Some(Ticket { guests: Arc::clone(self), number, changes: self.changes.load(Ordering::Acquire), _seat: seat })
    }

    /// Remembers how to end a task. It may have ended already.
    pub(super) fn remember(&self, number: u64, task: AbortHandle) {
        if let Some(guest) = self.inside().get_mut(&number) {
            guest.task = Some(task);
        }
    }

    /// Compares guests with the listeners of a new snapshot. Those whose listener no longer serves them are told, and are returned
    /// by the time they may stay, for [`Guests::see_off`].
    pub(super) fn follow(&self, listeners: &Listeners) -> Parting {
        let mut known = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if known.roster.as_ref() == Some(listeners.roster()) {
            return Parting::new();
        }
        known.roster = Some(listeners.roster().clone());
        let places: Box<[Place]> = listeners
            .iter()
            .map(|listener| Place {
                id: listener.id.clone(),
                hostname: listener.hostname.clone(),
                protocol: listener.protocol,
                is_open: listener.is_open(),
                validation: listener.validation.as_ref().map(|validation| validation.fingerprint),
            })
            .collect();
        if known.all == places {
            return Parting::new();
        }
        known.all = places;
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.looks.store(LOOKS, Ordering::Release);
        self.part(listeners, &known.all)
    }

    /// The same once in a while: finds those whose handshake or request met a listener that went at the same time.
    pub(super) fn sweep(&self, listeners: &Listeners) -> Parting {
        let look = self.looks.fetch_update(Ordering::AcqRel, Ordering::Acquire, |looks| looks.checked_sub(1));
        if look.is_err() {
            return Parting::new();
        }
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        self.part(listeners, &places.all)
    }

    fn part(&self, listeners: &Listeners, places: &[Place]) -> Parting {
        let in_clear = |id: &ListenerId, protocol: Protocol| {
            let found = places.binary_search_by(|place| place.id.cmp(id)).ok().and_then(|at| places.get(at));
            found.is_some_and(|place| place.protocol == protocol)
        };
        let mut leaving = Parting::new();
        for (number, guest) in &*self.inside() {
            let Some(connection) = guest.connection.as_ref().filter(|connection| !connection.is_draining()) else { continue };
            if let Some(limit) = connection.notice(listeners, in_clear) {
                connection.drain();
                leaving.entry(limit).or_default().push(*number);
            }
        }
        leaving
    }

    /// Sees guests off who were told to leave: idle ones end after a little while, and at `limit` the rest is cut.
    pub(super) async fn see_off(self: Arc<Self>, numbers: Vec<u64>, limit: Duration) {
        let start = Instant::now();
        sleep_until(start + limit.min(GRACE)).await;
        self.inside_of(&numbers, Guest::close_when_idle);
        sleep_until(start + limit).await;
        self.inside_of(&numbers, Guest::cut);
    }

    fn inside_of(&self, numbers: &[u64], act: impl Fn(&Guest)) {
        let inside = self.inside();
        numbers.iter().filter_map(|number| inside.get(number)).for_each(act);
    }

    /// Tells all, and whoever still comes, that the door closes.
    pub(super) fn announce(&self) {
        self.closed.store(true, Ordering::Release);
        self.inside().values().filter_map(|guest| guest.connection.as_ref()).for_each(|connection| connection.drain());
    }

    /// Sends all home once they were told; `limit` overrides the drain time of the connections' own settings.
    pub(super) async fn leave(&self, limit: Option<Duration>) {
        let limit = {
            let inside = self.inside();
            let connections = || inside.values().filter_map(|guest| guest.connection.as_ref());
            limit.or_else(|| connections().map(|connection| connection.settings.drain_timeout).max()).unwrap_or(GRACE)
        };
        let start = Instant::now();
        if self.empty_by(start + limit.min(GRACE)).await {
            return;
        }
        self.inside().values().for_each(Guest::close_when_idle);
        if self.empty_by(start + limit).await {
            return;
        }
        self.inside().values().for_each(Guest::cut);
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
    /// How often the listeners had changed when it came.
    changes: u64,
    _seat: Seat,
}

impl Ticket {
    /// Joins what became of the connection after its handshake. One that comes when the door is closed knows at once.
    pub(super) fn introduce(&self, connection: &Arc<Connection>) {
        if let Some(guest) = self.guests.inside().get_mut(&self.number) {
            guest.connection = Some(Arc::clone(connection));
        }
        if self.guests.closed.load(Ordering::Acquire) {
            connection.drain();
        }
        if self.guests.changes.load(Ordering::Acquire) != self.changes {
            self.guests.looks.store(LOOKS, Ordering::Release);
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
    }
}

/// How long announced connections are left alone before idle ones end.
const GRACE: Duration = Duration::from_secs(1);
/// Sweeps after a change that look again: the first may come too soon.
const LOOKS: u8 = 2;
