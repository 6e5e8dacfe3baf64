//! What is counted, and the record an access line is made of.
//!
//! In: what happened. Out: a few counters to read at any time, and one `Record` per request, delivered to a callback on a thread of
//! its own, several at a time where many come: to wake that thread for each would cost the request as much as to decide it several
//! times over. Counting and delivering never wait: records that the callback is too slow for are lost, and their number is counted.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, SystemTime};

use http::{Method, Version};
use tokio::time::{Instant, sleep};

use gateway_core::admit::Reason;
use gateway_core::decide::StreamForward;
use gateway_core::snapshot::{Backend, Listener, Rule, Transport};

/// How one request went.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Record {
    /// When its head had arrived.
    pub at: SystemTime,
    /// From then to the end of the response.
    pub duration: Duration,
    /// The method.
    pub method: Method,
    /// The target as the client sent it, query included.
    pub target: Box<str>,
    /// The authority as the client sent it; empty when it sent none.
    pub host: Box<str>,
    /// The protocol version on the client's side.
    pub version: Version,
    /// The status sent; 0 when none could be sent.
    pub status: u16,
    /// Bytes of the request's body that were read.
    pub request_bytes: u64,
    /// Bytes of the response's body that were sent.
    pub response_bytes: u64,
    /// The client.
    pub peer: SocketAddr,
    /// The server name of the TLS handshake.
    pub server_name: Option<Arc<str>>,
    /// The listener the request met.
    pub listener: Option<Arc<Listener>>,
    /// The rule that won.
    pub rule: Option<Arc<Rule>>,
    /// The backend that was chosen.
    pub backend: Option<Arc<Backend>>,
    /// The endpoint that was asked last.
    pub endpoint: Option<SocketAddr>,
    /// How many endpoints were asked.
    pub tries: u32,
    /// Why the gateway itself answered, or gave up.
    pub fault: Option<Fault>,
}

/// How one connection of bytes went, of a TLSRoute or a TCPRoute; or one flow of datagrams, of a UDPRoute.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StreamRecord {
    /// When it was accepted, or the first datagram came.
    pub at: SystemTime,
    /// From then to its end.
    pub duration: Duration,
    /// Whether it was a connection or a flow of datagrams.
    pub transport: Transport,
    /// The client.
    pub peer: SocketAddr,
    /// The server name of the ClientHello.
    pub server_name: Option<Arc<str>>,
    /// The listener it met.
    pub listener: Option<Arc<Listener>>,
    /// The rule that won.
    pub rule: Option<Arc<Rule>>,
    /// The backend that was chosen.
    pub backend: Option<Arc<Backend>>,
    /// The endpoint that was asked last.
    pub endpoint: Option<SocketAddr>,
    /// How many endpoints were asked.
    pub tries: u32,
    /// Bytes that the client sent and the endpoint took, or was sent in datagrams.
    pub received_bytes: u64,
    /// Bytes that the endpoint sent and the client took, or was sent in datagrams.
    pub sent_bytes: u64,
    /// Why it did not end by itself.
    pub fault: Option<Fault>,
}

impl StreamRecord {
    /// The record of what begins now.
    pub(crate) fn new(transport: Transport, at: SystemTime, peer: SocketAddr) -> Self {
        Self {
            at,
            duration: Duration::ZERO,
            transport,
            peer,
            server_name: None,
            listener: None,
            rule: None,
            backend: None,
            endpoint: None,
            tries: 0,
            received_bytes: 0,
            sent_bytes: 0,
            fault: None,
        }
    }

    /// The same once it was decided.
    pub(crate) fn of(mut self, forward: &StreamForward) -> Self {
        self.listener = Some(Arc::clone(&forward.listener));
        self.rule = Some(Arc::clone(&forward.rule));
        self.backend = Some(Arc::clone(&forward.backend));
        self
    }
}

/// Why the gateway itself answered with an error, or gave up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The configuration refuses the request.
    Refused(Reason),
    /// The message is framed in a way that may be read differently elsewhere.
    Framing(&'static str),
    /// The head has more bytes than the Gateway allows.
    HeadTooLarge,
    /// `Expect` asks for something other than `100-continue`.
    Expectation,
    /// gRPC over HTTP/1.
    GrpcOverHttp1,
    /// A filter failed.
    Filter(Arc<str>),
    /// The backend of an `ExternalAuth` said that the request may not pass.
    Denied,
    /// The body is longer than what an `ExternalAuth` may see.
    BodyTooLarge,
    /// The backend of an `ExternalAuth` could not say whether the request may pass.
    Authority(Arc<str>),
    /// No endpoint could be connected to.
    Connect(Arc<str>),
    /// No endpoint proved who it is, or TLS with it failed otherwise.
    Identity(Arc<str>),
    /// The endpoint closed, reset or garbled the exchange.
    Upstream(Arc<str>),
    /// The client took too long.
    Slow(Arc<str>),
    /// The client went away, or sent something unreadable.
    Client(Arc<str>),
    /// `timeouts.request` of the rule has passed.
    RequestTimeout,
    /// `timeouts.backendRequest` of the rule has passed.
    BackendTimeout,
    /// Too many of the backend's requests are retries.
    RetryBudget,
    /// No byte passed for so long that the connection was ended.
    Idle,
    /// A fault of the gateway's own.
    Internal(Arc<str>),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(reason) => reason.fmt(f),
            Self::Framing(what) => f.write_str(what),
            Self::HeadTooLarge => f.write_str("the head is too large"),
            Self::Expectation => f.write_str("the expectation is not known"),
            Self::GrpcOverHttp1 => f.write_str("gRPC needs HTTP/2"),
            Self::Filter(why) => write!(f, "a filter failed: {why}"),
            Self::Denied => f.write_str("the request was not authorized"),
            Self::BodyTooLarge => f.write_str("the body is too large to be authorized"),
            Self::Authority(why) => write!(f, "the backend that authorizes requests failed: {why}"),
            Self::Connect(why) => write!(f, "no endpoint could be reached: {why}"),
            Self::Identity(why) => write!(f, "TLS to the backend failed: {why}"),
            Self::Upstream(why) => write!(f, "the backend failed: {why}"),
            Self::Slow(why) => write!(f, "the client is too slow: {why}"),
            Self::Client(why) => write!(f, "the client failed: {why}"),
            Self::RequestTimeout => f.write_str("the request's time is over"),
            Self::BackendTimeout => f.write_str("the backend took too long"),
            Self::RetryBudget => f.write_str("too many of the backend's requests are retries"),
            Self::Idle => f.write_str("idle for too long"),
            Self::Internal(why) => write!(f, "internal: {why}"),
        }
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What is counted since the gateway was built. `connections_open`, `requests_open`, `streams_open` and
        /// `flows_open` go up and down.
        #[derive(Debug, Default)]
        pub struct Counters { $($(#[$doc])* pub(crate) $name: Count,)* }

        impl Counters {
            $($(#[$doc])* pub fn $name(&self) -> u64 { self.$name.get() })*

            /// All of them by name, in a fixed order.
            pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name.get()),)*].into_iter()
            }
        }
    };
}

counters! {
    /// Connections accepted.
    connections_accepted,
    /// Connections open now.
    connections_open,
    /// Connections turned away because as many were open as may be.
    connections_over_limit,
    /// Connections that ended before a request could be read: TLS failed, no name matched, or the client was too slow.
    connections_refused,
    /// Requests in progress now.
    requests_open,
    /// Connections of bytes (TLSRoute, TCPRoute) that were forwarded.
    streams_forwarded,
    /// Those that are forwarded now.
    streams_open,
    /// Those that were refused, or reached no endpoint.
    streams_refused,
    /// Flows of datagrams (UDPRoute) that were forwarded.
    flows_forwarded,
    /// Those that are forwarded now.
    flows_open,
    /// Those that were refused, or reached no endpoint.
    flows_refused,
    /// Those that ended to make room for others.
    flows_evicted,
    /// Datagrams of clients.
    datagrams_received,
    /// Datagrams to clients.
    datagrams_sent,
    /// Datagrams that went nowhere: their flow was refused, there was no room for it, or the system took no more.
    datagrams_dropped,
    /// Requests answered with 1xx as their last status (upgrades).
    responses_1xx,
    /// Requests answered with 2xx.
    responses_2xx,
    /// Requests answered with 3xx.
    responses_3xx,
    /// Requests answered with 4xx.
    responses_4xx,
    /// Requests answered with 5xx.
    responses_5xx,
    /// Requests that got no status: the client was gone.
    responses_none,
    /// Request heads that were too large.
    heads_too_large,
    /// Request heads that took too long.
    heads_too_slow,
    /// Request bodies that took too long.
    bodies_too_slow,
    /// Clients that did not take what waited for them.
    writes_too_slow,
    /// Connections ended because of HTTP/2 frames without content.
    floods,
    /// Connects to endpoints that failed.
    upstream_connects_failed,
    /// Exchanges an endpoint broke off or garbled.
    upstream_resets,
    /// Requests given to another endpoint after a failed connect.
    upstream_repicks,
    /// Requests sent again as their rule says.
    upstream_retries,
    /// Requests not sent again because the backend's budget for retries was used up.
    upstream_retries_over_budget,
    /// Times an endpoint was taken out of use.
    upstream_ejections,
    /// Copies of requests that were begun.
    mirrors_sent,
    /// Copies that were not: too many were under way.
    mirrors_dropped,
    /// Copies that did not reach their end.
    mirrors_failed,
    /// Requests that the backend of an `ExternalAuth` let pass.
    auth_permitted,
    /// Requests that it did not.
    auth_denied,
    /// Requests refused because it could not say.
    auth_failed,
    /// Spans that their collector took.
    spans_exported,
    /// Spans that were not sent: too many waited, or their collector is gone.
    spans_dropped,
    /// Spans that their collector did not take, however often they were sent.
    spans_failed,
    /// Questions to name servers, for host names of backends.
    names_asked,
    /// Those that nobody answered.
    names_failed,
    /// Filters that failed or panicked.
    filter_failures,
    /// Panics that ended a connection or a stream.
    panics,
    /// Records lost because the callback was too slow.
    records_lost,
}

/// One counter.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self) {
        self.add_all(1);
    }

    pub(crate) fn add_all(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn sub(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    pub(crate) fn count_status(&self, status: u16) {
        match status {
            100..=199 => &self.responses_1xx,
            200..=299 => &self.responses_2xx,
            300..=399 => &self.responses_3xx,
            400..=499 => &self.responses_4xx,
            500..=599 => &self.responses_5xx,
            _ => &self.responses_none,
        }
        .add();
    }
}

/// Where records go.
#[derive(Debug)]
pub(crate) struct Sink<T> {
    sender: SyncSender<Box<T>>,
    /// Records that were sent and for which `receive` has not returned.
    waiting: Arc<AtomicUsize>,
}

impl<T> Clone for Sink<T> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), waiting: Arc::clone(&self.waiting) }
    }
}

impl<T: Send + 'static> Sink<T> {
    /// Starts the thread that calls `receive`; it ends with the last clone of the sink.
    pub(crate) fn start(mut receive: Receive<T>) -> std::io::Result<Self> {
        let (sender, records) = sync_channel::<Box<T>>(WAITING);
        let waiting = Arc::<AtomicUsize>::default();
        let delivered = Arc::clone(&waiting);
        thread::Builder::new().name("gateway-records".into()).spawn(move || {
            let mut batch = Vec::new();
            while let Ok(record) = records.recv() {
                batch.push(record);
                batch.extend(records.try_iter().take(WAITING));
                let count = batch.len();
                receive(&mut batch.drain(..).map(|record| *record));
                delivered.fetch_sub(count, Ordering::Release);
                // Whoever sends meanwhile has nobody to wake.
                thread::sleep(PAUSE);
            }
        })?;
        Ok(Self { sender, waiting })
    }

    pub(crate) fn send(&self, record: T, counters: &Counters) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        if self.sender.try_send(Box::new(record)).is_err() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            counters.records_lost.add();
        }
    }

    /// Waits until all that was sent is received, or for as long as a callback may take that is not stuck.
    pub(crate) async fn flush(&self) {
        let by = Instant::now() + PATIENCE;
        while self.waiting.load(Ordering::Acquire) > 0 && Instant::now() < by {
            sleep(Duration::from_millis(1)).await;
        }
    }
}

/// What is called with the records that came since it was called last.
pub(crate) type Receive<T> = Box<dyn FnMut(&mut dyn Iterator<Item = T>) + Send>;

/// How many records may wait for the callback.
const WAITING: usize = 8192;

/// How long records are waited for at the end.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long records may wait for others. More than `WAITING` in that time are more than a machine serves requests.
const PAUSE: Duration = Duration::from_millis(4);
