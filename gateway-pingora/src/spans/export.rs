//! Spans on their way to collectors: gathered, sent in batches, tried again for a while, and dropped rather than waited for.
//!
//! In: encoded spans, each with whose policy it follows and who collects them. Out: calls to the collector's endpoints. One task gathers
//! and knows all that waits; each destination has one call under way at a time, so that a collector that hangs delays nobody else's
//! spans. What waits is bounded in number and bytes. Endpoints are those of the collector as it is when the call is made.
//!
//! Invariants: **who hands in a span never waits**; a span is handed to a collector whose policy it follows, or to nobody.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use pingora_error::Result;
use pingora_http::RequestHeader;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use gateway_core::name::ObjectName;
use gateway_core::snapshot::{self as traffic, Backend, ExportProtocol, Listener, Tracing};

use super::otlp;
use crate::aside::{Aside, Asides, Body};
use crate::observe::Counters;
use crate::trace_context::TraceContext;
use crate::upstream::{Upstreams, draw};

/// Sends spans to collectors.
#[derive(Clone)]
pub(super) struct Exporter(Arc<Parts>);

struct Parts {
    asides: Arc<Asides>,
    upstreams: Arc<Upstreams>,
    counters: Arc<Counters>,
    /// To the task that gathers, which begins with the first span.
    gatherer: OnceLock<mpsc::Sender<Message>>,
}

/// A span on its way.
pub(super) struct Parcel {
    pub(super) span: Bytes,
    pub(super) way: Way,
}

/// Where a span goes.
#[derive(Clone, Debug)]
pub(super) struct Way {
    /// Whose policy it follows.
    pub(super) tracing: Arc<Tracing>,
    pub(super) collector: Arc<Backend>,
    /// For whose traffic: it says which certificate the collector is shown.
    pub(super) listener: Arc<Listener>,
}

enum Message {
    Span(Parcel),
    /// Send all that waits, and say when it is gone.
    Flush(oneshot::Sender<()>),
}

impl Exporter {
    pub(super) fn new(asides: Arc<Asides>, upstreams: Arc<Upstreams>, counters: Arc<Counters>) -> Self {
        Self(Arc::new(Parts { asides, upstreams, counters, gatherer: OnceLock::new() }))
    }

    /// Takes a span; drops it where too many wait.
    pub(super) fn send(&self, parcel: Parcel) {
        let gatherer = self.0.gatherer.get_or_init(|| {
            let (sender, messages) = mpsc::channel(QUEUE);
            tokio::spawn(Gatherer::new(self.clone()).gather(messages));
            sender
        });
        if gatherer.try_send(Message::Span(parcel)).is_err() {
            self.0.counters.spans_dropped.add();
        }
    }

    /// Sends what waits, until it is gone or the time has come.
    pub(super) async fn flush(&self, by: Instant) {
        let Some(gatherer) = self.0.gatherer.get() else { return };
        let (sender, done) = oneshot::channel();
        // In vain where the task has ended with its runtime.
        let _ = timeout_at(by, async {
            if gatherer.send(Message::Flush(sender)).await.is_ok() {
                let _ = done.await;
            }
        })
        .await;
    }

    /// Sends a batch, several times where that may help, and counts what became of it.
    async fn export(&self, way: &Way, spans: Vec<Bytes>) {
        let (count, counters) = (spans.len() as u64, &self.0.counters);
        let Tracing::Enabled(asked) = &*way.tracing else { return };
        let body = otlp::request(asked.protocol, asked.service_name.as_deref().unwrap_or(SERVICE_NAME), spans);
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            let Some(collector) = self.0.upstreams.current(&way.collector) else {
                counters.spans_dropped.add_all(count);
                return;
            };
            let outcome = timeout(PATIENCE, self.call(asked, &collector, &way.listener, &body)).await;
            let wait = match outcome.unwrap_or_else(|_| Outcome::again("it took too long")) {
                Outcome::Taken { refused } => {
                    counters.spans_exported.add_all(count.saturating_sub(refused));
                    counters.spans_failed.add_all(refused.min(count));
                    return;
                }
                Outcome::Again { why, wait } if attempt < MOST_ATTEMPTS => {
                    tracing::debug!(%why, collector = %collector.name, "spans were not taken, and are sent again");
                    wait
                }
                Outcome::Again { why, .. } | Outcome::Failed(why) => {
                    tracing::warn!(%why, spans = count, collector = %collector.name, "spans were not taken");
                    counters.spans_failed.add_all(count);
                    return;
                }
            };
            // Between half of the pause and all of it: others wait too.
            let jitter = Duration::from_millis(draw() % (u64::try_from(pause.as_millis()).unwrap_or(u64::MAX) / 2).max(1));
            sleep(wait.unwrap_or(pause / 2 + jitter).min(LONGEST_PAUSE)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// One call. A pooled connection that the endpoint had just closed is none.
    async fn call(&self, asked: &traffic::Spans, collector: &Arc<Backend>, listener: &Listener, body: &Bytes) -> Outcome {
        let mut tries = 0;
        loop {
            tries += 1;
            let mut aside = match self.0.asides.open(collector, listener).await {
                Ok(aside) => aside,
                Err(error) => return Outcome::again(error),
            };
            let outcome = put(asked, collector, &mut aside, body).await;
            let is_stale = outcome.is_err() && aside.is_reused() && !aside.is_answered();
            self.0.asides.close(aside).await;
            match outcome {
                Ok(outcome) => return outcome,
                Err(_) if is_stale && tries < MOST_STALE => {}
                Err(error) => return Outcome::again(error),
            }
        }
    }
}

/// What became of a call.
#[derive(Debug)]
enum Outcome {
    /// The collector has the spans, but for those it refused.
    Taken { refused: u64 },
    /// It may take them later.
    Again { why: String, wait: Option<Duration> },
    /// It will not.
    Failed(String),
}

impl Outcome {
    fn again(why: impl ToString) -> Self {
        Self::Again { why: why.to_string(), wait: None }
    }
}

/// Puts a message to an endpoint and reads the answer.
async fn put(asked: &traffic::Spans, collector: &Backend, aside: &mut Aside, body: &Bytes) -> Result<Outcome> {
    aside.send_head(head(asked, collector, body.len())?, Body::Follows).await?;
    aside.send_whole(body.clone()).await?;
    let answer = aside.head().await?;
    let (status, headers) = (answer.status, answer.headers.clone());
    let mut read = BytesMut::new();
    while let Some(piece) = aside.read().await? {
        if read.len() + piece.len() > MOST_ANSWER {
            return Ok(Outcome::Failed("its answer is too long".to_owned()));
        }
        read.extend_from_slice(&piece);
    }
    Ok(match asked.protocol {
        ExportProtocol::Http => heard_http(status, &headers, &read),
        ExportProtocol::Grpc => {
            let trailers = if headers.contains_key(GRPC_STATUS) { None } else { aside.trailers().await? };
            heard_grpc(status, trailers.as_ref().unwrap_or(&headers), &read)
        }
    })
}

fn head(asked: &traffic::Spans, collector: &Backend, length: usize) -> Result<RequestHeader> {
    let (path, content_type) = match asked.protocol {
        ExportProtocol::Http => (HTTP_PATH, "application/x-protobuf"),
        ExportProtocol::Grpc => (GRPC_PATH, "application/grpc"),
    };
    let mut head = RequestHeader::build(Method::POST, path.as_bytes(), Some(8))?;
    let name = &collector.name.object.name;
    head.insert_header(header::HOST, format!("{}.{}", name.name(), name.namespace()))?;
    head.insert_header(header::USER_AGENT, concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))?;
    for (index, (name, value)) in asked.headers.0.iter().enumerate() {
        let is_first = asked.headers.0.iter().position(|(other, _)| other == name) == Some(index);
        if OF_A_MESSAGE.contains(name) {
            continue;
        }
        if is_first {
            head.insert_header(name, value.clone())?;
        } else {
            head.append_header(name, value.clone())?;
        }
    }
    head.insert_header(header::CONTENT_TYPE, content_type)?;
    head.insert_header(header::CONTENT_LENGTH, length)?;
    if asked.protocol == ExportProtocol::Grpc {
        head.insert_header(header::TE, "trailers")?;
    }
    // It is no part of a trace, and says so to whoever stands between here and the collector.
    if let Ok(context) = TraceContext::begin() {
        context.write(&mut head, true)?;
    }
    Ok(head)
}

/// Whether a request carries spans and says of itself that it is not sampled: a span of it would be one more to send, and so on.
pub(super) fn is_export(head: &RequestHeader) -> bool {
    head.method == Method::POST
        && [HTTP_PATH, GRPC_PATH].contains(&head.uri.path())
        && TraceContext::of(&head.headers).is_some_and(|context| !context.is_sampled)
}

fn heard_http(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Outcome {
    match status.as_u16() {
        200..300 => Outcome::Taken { refused: otlp::refused(ExportProtocol::Http, body).unwrap_or(0) },
        429 | 502..=504 => {
            let after = headers.get(header::RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
            Outcome::Again { why: format!("it answered {status}"), wait: after.map(Duration::from_secs) }
        }
        _ => Outcome::Failed(format!("it answered {status}")),
    }
}

fn heard_grpc(status: StatusCode, trailers: &HeaderMap, body: &[u8]) -> Outcome {
    let code = trailers.get(GRPC_STATUS).and_then(|code| code.to_str().ok()?.parse::<u8>().ok());
    match (status.as_u16(), code) {
        (200, Some(0)) => Outcome::Taken { refused: otlp::refused(ExportProtocol::Grpc, body).unwrap_or(0) },
        // As the protocol lists them.
        (200, Some(code @ (1 | 4 | 10 | 11 | 14 | 15))) => Outcome::again(format!("it answered with gRPC status {code}")),
        (200, Some(code)) => Outcome::Failed(format!("it answered with gRPC status {code}")),
        (429 | 502..=504, _) => Outcome::again(format!("it answered {status}")),
        _ => Outcome::Failed(format!("it answered {status}, and no call")),
    }
}

/// What waits for each destination, and what is under way.
struct Gatherer {
    exporter: Exporter,
    lanes: HashMap<Destination, Lane>,
    calls: JoinSet<Destination>,
    /// When what waits is sent, be it little.
    due: Option<Instant>,
    flushes: Vec<oneshot::Sender<()>>,
}

/// Spans of one policy, of one Gateway.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Destination {
    /// The policy by its address: what waits holds it.
    tracing: usize,
    gateway: ObjectName,
}

struct Lane {
    way: Way,
    waiting: Vec<Bytes>,
    bytes: usize,
    is_busy: bool,
}

impl Gatherer {
    fn new(exporter: Exporter) -> Self {
        Self { exporter, lanes: HashMap::new(), calls: JoinSet::new(), due: None, flushes: Vec::new() }
    }

    async fn gather(mut self, mut messages: mpsc::Receiver<Message>) {
        loop {
            let due = self.due;
            tokio::select! {
                message = messages.recv() => match message {
                    Some(Message::Span(parcel)) => self.take(parcel),
                    Some(Message::Flush(done)) => {
                        self.flushes.push(done);
                        self.send_all();
                    }
                    None => return,
                },
                Some(ended) = self.calls.join_next() => {
                    // A call neither panics nor is cancelled.
                    if let Ok(destination) = ended {
                        self.ended(&destination);
                    }
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.send_all(),
            }
            if self.lanes.is_empty() {
                self.due = None;
                for done in self.flushes.drain(..) {
                    // Whoever asked may have gone.
                    let _ = done.send(());
                }
            }
        }
    }

    fn take(&mut self, Parcel { span, way }: Parcel) {
        let destination = Destination { tracing: Arc::as_ptr(&way.tracing) as usize, gateway: way.listener.gateway.clone() };
        let lane = self.lanes.entry(destination.clone()).or_insert_with(|| Lane {
            way: way.clone(),
            waiting: Vec::new(),
            bytes: 0,
            is_busy: false,
        });
        // Where two versions of either are in use, the last one seen counts.
        lane.way = way;
        if lane.waiting.len() >= MOST_WAITING || lane.bytes + span.len() > MOST_BYTES {
            self.exporter.0.counters.spans_dropped.add();
            return;
        }
        lane.bytes += span.len();
        lane.waiting.push(span);
        if lane.is_full() {
            self.send_from(&destination);
        } else {
            self.due.get_or_insert_with(|| Instant::now() + GATHERED);
        }
    }

    /// Sends what waits to all who are not being sent something.
    fn send_all(&mut self) {
        self.due = None;
        let all: Vec<Destination> = self.lanes.keys().cloned().collect();
        all.iter().for_each(|destination| self.send_from(destination));
    }

    /// Sends a batch, where none is under way.
    fn send_from(&mut self, destination: &Destination) {
        let Some(lane) = self.lanes.get_mut(destination) else { return };
        if lane.is_busy || lane.waiting.is_empty() {
            return;
        }
        lane.is_busy = true;
        let (batch, way, exporter, destination) = (lane.batch(), lane.way.clone(), self.exporter.clone(), destination.clone());
        self.calls.spawn(async move {
            exporter.export(&way, batch).await;
            destination
        });
    }

    /// A call ended: what came meanwhile waits its time, unless it is much, or somebody wants it gone.
    fn ended(&mut self, destination: &Destination) {
        let Some(lane) = self.lanes.get_mut(destination) else { return };
        lane.is_busy = false;
        if lane.waiting.is_empty() {
            self.lanes.remove(destination);
        } else if lane.is_full() || !self.flushes.is_empty() {
            self.send_from(destination);
        } else {
            self.due.get_or_insert_with(|| Instant::now() + GATHERED);
        }
    }
}

impl Lane {
    fn is_full(&self) -> bool {
        self.waiting.len() >= BATCH || self.bytes >= BATCH_BYTES
    }

    /// Takes the spans of one call from what waits.
    fn batch(&mut self) -> Vec<Bytes> {
        let mut bytes = 0;
        let mut fits = |span: &&Bytes| {
            bytes += span.len();
            bytes <= BATCH_BYTES
        };
        // One that is longer by itself goes alone.
        let count = self.waiting.iter().take(BATCH).take_while(&mut fits).count().max(1).min(self.waiting.len());
        let batch: Vec<Bytes> = self.waiting.drain(..count).collect();
        self.bytes -= batch.iter().map(Bytes::len).sum::<usize>();
        batch
    }
}

/// What the resource is called where the policy does not say.
const SERVICE_NAME: &str = "pingora-gateway";
const HTTP_PATH: &str = "/v1/traces";
const GRPC_PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// What is ours to say of a call, or concerns its connection.
const OF_A_MESSAGE: [HeaderName; 9] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::EXPECT,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("traceparent"),
];
/// Spans that may wait to be gathered, which takes no time.
const QUEUE: usize = 1024;
/// Spans of a call, and about how many bytes they have: receivers take four megabytes, unless told otherwise.
const BATCH: usize = 512;
const BATCH_BYTES: usize = 1 << 20;
/// How long spans are gathered for a call.
const GATHERED: Duration = Duration::from_secs(1);
/// Spans, and their bytes, that may wait for one destination.
const MOST_WAITING: usize = 4096;
const MOST_BYTES: usize = 4 << 20;
/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Attempts at one batch, and the pauses between them.
const MOST_ATTEMPTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Tries of one attempt, while each meets a pooled connection that turns out to be closed.
const MOST_STALE: usize = 4;
/// Bytes of an answer.
const MOST_ANSWER: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_made_again_where_the_protocol_says_so_and_when_it_says() {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, "7".parse().unwrap());
        let seven = Some(Duration::from_secs(7));
        for status in [429, 502, 503, 504] {
            let heard = heard_http(StatusCode::from_u16(status).unwrap(), &headers, b"");
            assert!(matches!(heard, Outcome::Again { wait, .. } if wait == seven), "{status}");
        }
        for status in [301, 400, 401, 404, 413, 500, 501] {
            assert!(matches!(heard_http(StatusCode::from_u16(status).unwrap(), &headers, b""), Outcome::Failed(_)), "{status}");
        }
        assert!(matches!(heard_http(StatusCode::OK, &headers, b""), Outcome::Taken { refused: 0 }));
        let grpc = |code: u8| {
            let trailers = [(GRPC_STATUS, u16::from(code).into())].into_iter().collect();
            heard_grpc(StatusCode::OK, &trailers, &[0; 5])
        };
        assert!(matches!(grpc(0), Outcome::Taken { refused: 0 }));
        for code in 1..17 {
            let is_again = matches!(grpc(code), Outcome::Again { .. });
            assert_eq!(is_again, [1, 4, 10, 11, 14, 15].contains(&code), "{code}");
        }
        assert!(matches!(heard_grpc(StatusCode::OK, &HeaderMap::new(), b""), Outcome::Failed(_)), "no call answers so");
    }
}
