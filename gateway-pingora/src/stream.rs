//! Connections whose bytes are forwarded as they come: TCPRoutes, and TLSRoutes whose TLS passes through or ended here.
//!
//! In: a client's stream, what was decided for it, what was read of it already. Out: the same bytes at an endpoint, in clear or over
//! TLS of our own, and back, each half closed when its sender closes it; and a record. An endpoint that cannot be connected to is one of several: others are tried, before
//! a byte of the client was given to any.
//!
//! Invariants: **a refused client sees a reset where nothing was said, and never half of a conversation**; whoever breaks off is told to
//! the other side as what it was.

mod copy;
mod pipes;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{client, server};

use gateway_core::admit::{Reason, Refusal};
use gateway_core::decide::StreamForward;
use gateway_core::snapshot::Transport;

use crate::alive;
use crate::observe::{Counters, Fault, Sink, StreamRecord};
use crate::tls::Aim;
use crate::upstream::{Attempt, Unfit, Upstreams};
use copy::{Ended, Passed, copy};

pub(crate) use pipes::Pipes;

/// What forwarding takes.
pub(crate) struct Streams {
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) sink: Option<Sink<StreamRecord>>,
    pub(crate) connect_timeout: Duration,
    pub(crate) idle: Duration,
    pub(crate) pipes: Pipes,
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
    Tls(Box<server::TlsStream<TcpStream>>),
}

/// A connection to an endpoint.
enum Endpoint {
    /// In clear, or with the client's own TLS passing through.
    Tcp(TcpStream),
    /// Over TLS that begins here.
    Tls(Box<client::TlsStream<TcpStream>>),
}

impl Endpoint {
    fn socket(&self) -> &TcpStream {
        match self {
            Self::Tcp(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }
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
        // The client is by its listener.
        alive::probe(endpoint.socket());
        let Passed { received, sent, ended } = copy(client, endpoint, &begun, self.idle, &self.pipes).await;
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

    /// Connects to an endpoint, to another where one cannot be reached or does not prove who it is.
    async fn connect(&self, forward: &StreamForward, story: &mut Story) -> Result<(Endpoint, Attempt), Fault> {
        let mut tried = Vec::new();
        let mut last = Fault::Refused(Reason::NoEndpoint);
        while tried.len() < MOST_ENDPOINTS {
            let picked = self.upstreams.pick_over(forward.security(), &forward.backend, &forward.listener, &tried);
            let mut attempt = match picked {
                Ok(attempt) => attempt,
                Err(Unfit::NoEndpoint) => break,
                Err(Unfit::Broken(why)) => return Err(Fault::Refused(Reason::BrokenBackend(why))),
            };
            let address = attempt.address();
            story.record.endpoint = Some(address);
            story.record.tries += 1;
            last = match timeout(self.connect_timeout, reach(&attempt)).await {
                Ok(Ok(endpoint)) => {
                    attempt.connected();
                    return Ok((endpoint, attempt));
                }
                Ok(Err(fault)) => fault,
                Err(_) => Fault::Connect("timed out".into()),
            };
            self.upstreams.unreachable(&attempt);
            tried.push(address);
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

/// Connects as the endpoint has to be reached.
async fn reach(attempt: &Attempt) -> Result<Endpoint, Fault> {
    let stream = TcpStream::connect(attempt.address()).await.map_err(|error| Fault::Connect(error.to_string().into()))?;
    // Best effort: without it small pieces may be delayed.
    let _ = stream.set_nodelay(true);
    let Some(handshake) = attempt.handshake() else { return Ok(Endpoint::Tcp(stream)) };
    match handshake.shake(stream, Aim::Speak).await {
        Ok(stream) => Ok(Endpoint::Tls(Box::new(stream))),
        Err(error) => Err(Fault::Identity(error.to_string().into())),
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
        let record = StreamRecord { server_name, ..StreamRecord::new(Transport::Tcp, at, peer) };
        Self { record, fault: None }
    }

    fn new(visit: Visit, forward: &StreamForward) -> Self {
        let Self { record, fault } = Self::of(visit);
        Self { record: record.of(forward), fault }
    }
}

/// Makes closing a stream a reset.
fn reset(stream: &TcpStream) {
    // Best effort: the client sees an end in any case.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// Endpoints tried for one connection at most.
const MOST_ENDPOINTS: usize = 4;
