//! What is known of a client's connection, and how to find it again from within a request.
//!
//! In: where a connection was accepted and what its handshake told. Out: one shared value per connection, which the byte stream
//! ([`wire`]), its listener and its requests use to tell each other what they are doing.

mod frames;
pub(crate) mod preamble;
pub(crate) mod wire;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

use gateway_core::admit::Arrival;
use gateway_core::snapshot::{Listener, ListenerId, Listeners, Protocol, Settings};
use pingora_proxy::Session;
use tokio::sync::watch;

use crate::observe::Counters;

/// A client's connection on one of our listeners.
#[derive(Debug)]
pub struct Connection {
    arrival: Arrival,
    peer: SocketAddr,
    local: SocketAddr,
    pub(crate) settings: Arc<Settings>,
    pub(crate) counters: Arc<Counters>,
    opened: Instant,
    /// Requests in progress.
    active: AtomicU32,
    /// Requests begun so far.
    begun: AtomicU32,
    /// Milliseconds after `opened` at which the last request ended.
    idle_since: AtomicU64,
    /// Responses say that the connection will be closed; Pingora watches it and says the same on HTTP/2.
    leaving: watch::Sender<bool>,
    owner: Mutex<Option<Owner>>,
    /// It is closed as soon as no request is in progress.
    closing: AtomicBool,
    speaks_h2: AtomicBool,
    /// The request in progress, of HTTP/1, has a body that is not all there.
    awaits_body: AtomicBool,
    /// Milliseconds that its pieces were waited for.
    waited: AtomicU64,
    /// Bytes of HTTP/1 that were read.
    given: AtomicU64,
    /// How many of them are of requests that were begun.
    taken: AtomicU64,
    panicked: AtomicBool,
    /// Whoever waits for the next bytes of an idle connection.
    reader: Mutex<Option<Waker>>,
}

impl Connection {
    pub(crate) fn new(
        arrival: Arrival,
        peer: SocketAddr,
        local: SocketAddr,
        settings: Arc<Settings>,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            arrival,
            peer,
            local,
            settings,
            counters,
            opened: Instant::now(),
            active: AtomicU32::new(0),
            begun: AtomicU32::new(0),
            idle_since: AtomicU64::new(0),
            leaving: watch::Sender::new(false),
            owner: Mutex::default(),
            closing: AtomicBool::new(false),
            speaks_h2: AtomicBool::new(false),
            awaits_body: AtomicBool::new(false),
            waited: AtomicU64::new(0),
            given: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            panicked: AtomicBool::new(false),
            reader: Mutex::new(None),
        }
    }

    /// The connection a request came by; `None` when it did not come by a listener of ours.
    pub fn of(session: &Session) -> Option<&Arc<Self>> {
        session.digest()?.proxy_digest.as_ref()?.user_data.as_ref()?.downcast_ref()
    }

    /// The socket it arrived on, and what its handshake told.
    pub fn arrival(&self) -> &Arrival {
        &self.arrival
    }

    /// The client's end.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Our end.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Whether its listener is being closed: responses should say so.
    pub fn is_draining(&self) -> bool {
        *self.leaving.borrow()
    }

    /// First step of closing: responses announce the end.
    pub(crate) fn drain(&self) {
        self.leaving.send_replace(true);
    }

    /// Second step of closing: it ends as soon as no request is in progress.
    pub(crate) fn close_when_idle(&self) {
        self.leaving.send_replace(true);
        self.closing.store(true, Ordering::Release);
        self.wake_reader();
    }

    /// Becomes true with the first step of closing.
    pub(crate) fn leaving(&self) -> watch::Receiver<bool> {
        self.leaving.subscribe()
    }

    /// A handshake chose a listener: the connection belongs to it.
    pub(crate) fn chosen(&self, listener: &Listener) {
        let mut owner = self.owner();
        if owner.as_ref().is_none_or(|owner| !owner.is(listener)) {
            let Listener { id, protocol, settings, .. } = listener;
            *owner = Some(Owner { listener: id.clone(), protocol: *protocol, drain_timeout: settings.drain_timeout });
        }
    }

    /// A request met a listener. In clear the connection belongs to the one that was met last; over TLS the handshake chose.
    pub(crate) fn met(&self, listener: Option<&Arc<Listener>>) {
        if let (None, Some(listener)) = (&self.arrival.tls, listener) {
            self.chosen(listener);
        }
    }

    /// Where the listener it belongs to no longer serves it: how long it may go on. `in_clear` finds listeners that speak this by id.
    pub(crate) fn notice(&self, listeners: &Listeners, in_clear: impl FnOnce(&ListenerId, Protocol) -> bool) -> Option<Duration> {
        let owner = self.owner();
        let owner = owner.as_ref()?;
        let serves = match &self.arrival.tls {
            Some(tls) => listeners.find(tls.server_name.as_deref()).is_some_and(|found| {
                let demanded = found.validation.as_ref().map(|validation| validation.fingerprint);
                found.id == owner.listener
                    && found.protocol == owner.protocol
                    && found.is_open()
                    && (demanded.is_none() || demanded == tls.validation)
            }),
            None => in_clear(&owner.listener, owner.protocol),
        };
        (!serves).then_some(owner.drain_timeout)
    }

    fn owner(&self) -> MutexGuard<'_, Option<Owner>> {
        self.owner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    fn is_busy(&self) -> bool {
        self.active.load(Ordering::Acquire) > 0
    }

    fn begun(&self) -> u32 {
        self.begun.load(Ordering::Acquire)
    }

    fn idle_since(&self) -> Instant {
        self.opened + Duration::from_millis(self.idle_since.load(Ordering::Relaxed))
    }

    /// A request of HTTP/1 begins, with a body or without.
    pub(crate) fn await_body(&self, is_due: bool) {
        self.waited.store(0, Ordering::Relaxed);
        self.awaits_body.store(is_due, Ordering::Relaxed);
    }

    fn awaits_body(&self) -> bool {
        self.awaits_body.load(Ordering::Relaxed)
    }

    fn has_waited(&self, time: Duration) {
        self.waited.fetch_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Whether a body of which so many bytes came has kept us waiting for longer than it may.
    pub(crate) fn body_dawdles(&self, bytes: u64) -> bool {
        let rate = u64::from(self.settings.min_body_rate);
        let Some(paid) = bytes.saturating_mul(1000).checked_div(rate) else { return false };
        let allowed = self.settings.body_timeout.saturating_add(Duration::from_millis(paid));
        Duration::from_millis(self.waited.load(Ordering::Relaxed)) > allowed
    }

    /// The stream gave bytes of HTTP/1.
    fn gave(&self, bytes: usize) {
        self.given.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// A request of HTTP/1 has so many bytes, or nobody knows how many; then it is not known of any that follows either.
    pub(crate) fn take(&self, bytes: Option<u64>) {
        let taken = self.taken.load(Ordering::Relaxed);
        self.taken.store(taken.saturating_add(bytes.unwrap_or(u64::MAX)), Ordering::Relaxed);
    }

    /// Whether all that was read is of requests that were begun: nothing of the next one waits anywhere above the stream.
    pub(crate) fn is_even(&self) -> bool {
        self.given.load(Ordering::Relaxed) == self.taken.load(Ordering::Relaxed)
    }

    fn set_h2(&self) {
        self.speaks_h2.store(true, Ordering::Relaxed);
    }

    fn speaks_h2(&self) -> bool {
        self.speaks_h2.load(Ordering::Relaxed)
    }

    fn watch(&self, reader: &Waker) {
        let mut slot = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *slot {
            Some(known) => known.clone_from(reader),
            None => *slot = Some(reader.clone()),
        }
    }

    fn wake_reader(&self) {
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// Whether a panic on it was counted already.
    pub(crate) fn has_panicked(&self) -> bool {
        self.panicked.load(Ordering::Relaxed)
    }
}

/// Whose connection it is. It keeps no listener, which would keep keys.
#[derive(Debug)]
struct Owner {
    listener: ListenerId,
    protocol: Protocol,
    drain_timeout: Duration,
}

impl Owner {
    fn is(&self, listener: &Listener) -> bool {
        self.listener == listener.id
            && self.protocol == listener.protocol
            && self.drain_timeout == listener.settings.drain_timeout
    }
}

/// A request in progress. While one lives its connection is busy; a panic that ends it is counted.
#[derive(Debug)]
pub(crate) struct Active(Arc<Connection>);

impl Active {
    pub(crate) fn begin(connection: &Arc<Connection>) -> Self {
        connection.active.fetch_add(1, Ordering::AcqRel);
        connection.begun.fetch_add(1, Ordering::AcqRel);
        connection.counters.requests_open.add();
        Self(Arc::clone(connection))
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        let connection = &self.0;
        connection.counters.requests_open.sub();
        let idle = u64::try_from(connection.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        connection.idle_since.store(idle, Ordering::Relaxed);
        if std::thread::panicking() {
            connection.panicked.store(true, Ordering::Relaxed);
            connection.counters.panics.add();
            tracing::error!(peer = %connection.peer, "a request panicked");
        }
        if connection.active.fetch_sub(1, Ordering::AcqRel) == 1 && (connection.speaks_h2() || connection.is_closing()) {
            connection.wake_reader();
        }
    }
}
