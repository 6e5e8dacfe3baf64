//! Traces: one span for each sampled request of a Gateway whose XTelemetryPolicy asks for spans (GEP-4768).
//!
//! In: a request that met its listener, later its record. Out: the head with our span as its parent, so that the backend's is a child
//! of it; the span, on its way to the collector. Which requests are sampled was decided by the policy, and is reckoned by
//! `gateway_core`. Where no policy asks for spans, what a request says of its trace is passed on untouched.
//!
//! Invariants: **tracing neither delays nor fails a request**; the calls that carry spans make none themselves.

mod attributes;
mod export;
mod otlp;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use pingora_http::{RequestHeader, ResponseHeader};
use prost::Message;
use tokio::time::Instant;

use gateway_core::snapshot::matching::PathPattern;
use gateway_core::snapshot::{Listener, Tracing};

use crate::aside::Asides;
use crate::live::Live;
use crate::observe::{Counters, Record};
use crate::trace_context::{TraceContext, trace_state};
use crate::upstream::Upstreams;
use attributes::{Noted, Told};
use export::{Exporter, Parcel, Way};

/// Makes spans of requests.
pub(crate) struct Spans {
    live: Arc<Live>,
    exporter: Exporter,
}

/// The span of a request that is not over.
#[derive(Debug)]
pub(crate) struct OpenSpan {
    way: Way,
    context: TraceContext,
    parent: Option<TraceContext>,
    trace_state: String,
    noted: Noted,
    /// What the match that won asks of the path, once one has.
    pub(crate) path: Option<PathPattern>,
    grpc_status: Option<u8>,
}

/// How a request came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    /// The client, trusted proxies looked through.
    pub(crate) client: IpAddr,
    pub(crate) is_tls: bool,
    pub(crate) is_grpc: bool,
}

impl Spans {
    pub(crate) fn new(live: Arc<Live>, asides: Arc<Asides>, upstreams: Arc<Upstreams>, counters: Arc<Counters>) -> Self {
        Self { live, exporter: Exporter::new(asides, upstreams, counters) }
    }

    /// Begins the span of a request that met this listener, where it is sampled; tells the backend, by the head, in any case.
    pub(crate) fn begin(&self, head: &mut RequestHeader, listener: &Arc<Listener>, origin: Origin) -> Option<Box<OpenSpan>> {
        let tracing = listener.tracing.as_ref()?;
        let Tracing::Enabled(asked) = &**tracing else { return None };
        let parent = TraceContext::of(&head.headers);
        let begun = parent.as_ref().map_or_else(TraceContext::begin, TraceContext::child);
        // Without random bytes there is no id; the request goes on without.
        let mut context = begun.ok()?;
        let is_sampled = asked.sampling.takes(parent.map(|parent| parent.is_sampled), context.trace.number());
        context.is_sampled = is_sampled && !export::is_export(head);
        // A header that cannot be written is one that the backend does not get.
        context.write(head, parent.is_some()).ok()?;
        if !context.is_sampled {
            return None;
        }
        let collector = Arc::clone(self.live.load().backend(asked.collector?)?);
        let way = Way { tracing: Arc::clone(tracing), collector, listener: Arc::clone(listener) };
        Some(Box::new(OpenSpan {
            way,
            context,
            parent,
            trace_state: if parent.is_some() { trace_state(&head.headers) } else { String::new() },
            noted: Noted::of(head, origin, listener.port, &asked.attributes),
            path: None,
            grpc_status: None,
        }))
    }

    /// Ends a span, and sends it.
    pub(crate) fn end(&self, span: OpenSpan, record: &Record, response: Option<&ResponseHeader>) {
        let Tracing::Enabled(asked) = &*span.way.tracing else { return };
        let in_head = response.and_then(|head| grpc_status(&head.headers));
        let grpc_status = span.grpc_status.or(in_head);
        let told = Told { noted: &span.noted, record, path: span.path.as_ref(), response, grpc_status };
        let status = told.error().map(|_| otlp::Status { code: otlp::Status::ERROR });
        let begun = record.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let remote = if span.parent.is_some() { otlp::Span::IS_REMOTE } else { 0 };
        let sent = otlp::Span {
            trace_id: span.context.trace.to_bytes().to_vec(),
            span_id: span.context.span.to_bytes().to_vec(),
            trace_state: span.trace_state,
            parent_span_id: span.parent.map(|parent| parent.span.to_bytes().to_vec()).unwrap_or_default(),
            name: asked.span_name.as_deref().map_or_else(|| told.name(), str::to_owned),
            kind: otlp::Span::SERVER,
            start_time_unix_nano: nanos(begun),
            end_time_unix_nano: nanos(begun + record.duration),
            attributes: told.attributes(&asked.attributes),
            status,
            flags: u32::from(span.context.flags()) | otlp::Span::KNOWS_WHETHER_REMOTE | remote,
        };
        self.exporter.send(Parcel { span: sent.encode_to_vec().into(), way: span.way });
    }

    /// Sends what waits, before the end of all.
    pub(crate) async fn flush(&self, by: Instant) {
        self.exporter.flush(by.min(Instant::now() + LAST_SPANS)).await;
    }
}

impl OpenSpan {
    /// Takes note of what the trailers of a response say.
    pub(crate) fn hear(&mut self, trailers: &HeaderMap) {
        self.grpc_status = grpc_status(trailers).or(self.grpc_status);
    }
}

fn grpc_status(headers: &HeaderMap) -> Option<u8> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// How long the end of a gateway waits for collectors.
const LAST_SPANS: Duration = Duration::from_secs(2);
