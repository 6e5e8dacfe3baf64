//! Connections whose bytes are forwarded as they come: TCPRoutes, and TLSRoutes whose TLS passes through or ended here.
//!
//! In: a client's stream, what was decided for it, what was read of it already. Out: the same bytes at an endpoint and back, each half
//! closed when its sender closes it; and a record. An endpoint that cannot be connected to is one of several: others are tried, before
//! a byte of the client was given to any.
//!
//! Invariants: **a refused client sees a reset where nothing was said, and never half of a conversation**; whoever breaks off is told to
//! the other side as what it was.

mod copy;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

use gateway_core::admit::{Reason, Refusal};
use gateway_core::decide::StreamForward;
use gateway_core::snapshot::Security;

use crate::observe::{Counters, Fault, Sink, StreamRecord};
use crate::upstream::{Attempt, Upstreams};
use copy::{Ended, Passed, copy};

/// What forwarding takes.
pub(crate) struct Streams {
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) sink: Option<Sink<StreamRecord>>,
    pub(crate) connect_timeout: Duration,
    pub(crate) idle: Duration,
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams").finish_non_exhaustive()
    }
}

/// Who came, and when.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(crate) at: SystemTime,
    pub(crate) peer: SocketAddr,
    pub(crate) server_name: Option<Arc<str>>,
}

/// A client's stream.
pub(crate) enum Client {
    /// As it came.
    Tcp(TcpStream),
    /// After its TLS ended here.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Client {
    fn socket(&self) -> &TcpStream {
        match self {
            Self::Tcp(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }
}

/// Counts a stream as open while it lives.
struct Open<'a>(&'a Counters);

impl<'a> Open<'a> {
    fn count(counters: &'a Counters) -> Self {
        counters.streams_open.add();
        Self(counters)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.streams_open.sub();
    }
}

impl Streams {
    /// Forwards a connection, `begun` first, until both sides are done.
    pub(crate) async fn forward(&self, client: Client, visit: Visit, forward: StreamForward, begun: Vec<u8>) {
        let mut story = Story::new(visit, &forward);
        let endpoint = match self.connect(&forward, &mut story).await {
            Ok((endpoint, attempt)) => {
                attempt.succeeded();
                // In flight as long as the stream lasts.
                Some((endpoint, attempt))
            }
            Err(fault) => {
                story.fault = Some(fault);
                None
            }
        };
        let Some((endpoint, _attempt)) = endpoint else {
            self.counters.streams_refused.add();
            reset(client.socket());
            return self.tell(story);
        };
        self.counters.streams_forwarded.add();
        let _open = Open::count(&self.counters);
        keep_alive(client.socket());
        keep_alive(&endpoint);
        let Passed { received, sent, ended } = copy(client, endpoint, &begun, self.idle).await;
        story.record.received_bytes = received;
        story.record.sent_bytes = sent;
        story.fault = match ended {
            Ended::Done => None,
            Ended::Idle => Some(Fault::Idle),
            Ended::ByClient(error) => Some(Fault::Client(error.to_string().into())),
            Ended::ByEndpoint(error) => {
                self.counters.upstream_resets.add();
                Some(Fault::Upstream(error.to_string().into()))
            }
        };
        self.tell(story);
    }

    /// Refuses a connection in clear: it is reset.
    pub(crate) fn refuse(&self, stream: &TcpStream, visit: Visit, refusal: Refusal) {
        reset(stream);
        self.turn_away(stream, visit, refusal);
    }

    /// Refuses a connection that is closed without a word.
    pub(crate) fn turn_away(&self, _stream: &TcpStream, visit: Visit, refusal: Refusal) {
        self.counters.streams_refused.add();
        let mut story = Story::of(visit);
        story.record.listener = refusal.listener;
        story.record.rule = refusal.rule;
        story.fault = Some(Fault::Refused(refusal.reason));
        self.tell(story);
    }

    /// Connects to an endpoint, to another where one cannot be reached.
    async fn connect(&self, forward: &StreamForward, story: &mut Story) -> Result<(TcpStream, Attempt), Fault> {
        let backend = &forward.backend;
        match forward.security() {
            Security::Clear => {}
            // `SUPPORT` keeps it away; nothing that should be over TLS goes in clear all the same.
            Security::Tls(_) => return Err(Fault::Internal("TLS to backends is not performed".into())),
            Security::Broken(why) => return Err(Fault::Refused(Reason::BrokenBackend(Arc::clone(why)))),
        }
        let mut tried = Vec::new();
        let mut last = Fault::Refused(Reason::NoEndpoint);
        while tried.len() < MOST_ENDPOINTS {
            let Some(mut attempt) = self.upstreams.pick(backend, &tried) else { break };
            let address = attempt.address();
            story.record.endpoint = Some(address);
            story.record.tries += 1;
            let why: Arc<str> = match timeout(self.connect_timeout, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    attempt.connected();
                    // Best effort: without it small pieces may be delayed.
                    let _ = stream.set_nodelay(true);
                    return Ok((stream, attempt));
                }
                Ok(Err(error)) => error.to_string().into(),
                Err(_) => "timed out".into(),
            };
            self.upstreams.unreachable(&attempt);
            tried.push(address);
            last = Fault::Connect(why);
        }
        Err(last)
    }

    fn tell(&self, story: Story) {
        let Story { mut record, fault } = story;
        record.duration = record.at.elapsed().unwrap_or_default();
        record.fault = fault;
        if let Some(sink) = &self.sink {
            sink.send(record, &self.counters);
        }
    }
}

/// What will be told of a connection.
struct Story {
    record: StreamRecord,
    fault: Option<Fault>,
}

impl Story {
    fn of(visit: Visit) -> Self {
        let Visit { at, peer, server_name } = visit;
        let record = StreamRecord {
            at,
            duration: Duration::ZERO,
            peer,
            server_name,
            listener: None,
            rule: None,
            backend: None,
            endpoint: None,
            tries: 0,
            received_bytes: 0,
            sent_bytes: 0,
            fault: None,
        };
        Self { record, fault: None }
    }

    fn new(visit: Visit, forward: &StreamForward) -> Self {
        let mut story = Self::of(visit);
        story.record.listener = Some(Arc::clone(&forward.listener));
        story.record.rule = Some(Arc::clone(&forward.rule));
        story.record.backend = Some(Arc::clone(&forward.backend));
        story
    }
}

/// Makes closing a stream a reset.
fn reset(stream: &TcpStream) {
    // Best effort: the client sees an end in any case.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// Lets the system notice a peer that is gone without a word.
fn keep_alive(stream: &TcpStream) {
    let probes = TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_EVERY);
    // Best effort: the idle time is a bound too.
    let _ = SockRef::from(stream).set_tcp_keepalive(&probes);
}

/// Endpoints tried for one connection at most.
const MOST_ENDPOINTS: usize = 4;
/// Silence after which the system asks whether a peer is still there, and how often then.
const PROBE_AFTER: Duration = Duration::from_secs(60);
const PROBE_EVERY: Duration = Duration::from_secs(15);
