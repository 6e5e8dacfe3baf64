//! One request on its way: what was decided for it, whom it asked, and what went wrong.
//!
//! In: what the callbacks of `ProxyHttp` learn one after another. Out: the record of the request. Boxed, it is the `CTX` of our `ProxyHttp`;
//! a proxy that delegates to it carries one inside its own.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Method, Version, header};
use pingora_core::protocols::http::ServerSession;
use pingora_http::{RequestHeader, ResponseHeader};

use gateway_core::decide::Forward;
use gateway_core::snapshot::matching::PathPattern;
use gateway_core::snapshot::{Listener, Rule};

use crate::auth::{Change, How};
use crate::connection::{Active, Connection};
use crate::deadline::Deadlines;
use crate::filter::{Exchange, Filter, FilterError, guarded, guarded_now};
use crate::mirror::Tap;
use crate::observe::{Counters, Fault, Record};
use crate::session::Held;
use crate::spans::OpenSpan;
use crate::upstream::{Attempt, Gate};

/// One request on its way.
#[derive(Default)]
pub struct Passage {
    pub(crate) arrival: Option<Entry>,
    pub(crate) exchange: Option<Exchange>,
    /// Filters whose `request` ran, in order.
    pub(crate) filters: Vec<Arc<dyn Filter>>,
    pub(crate) listener: Option<Arc<Listener>>,
    pub(crate) rule: Option<Arc<Rule>>,
    pub(crate) forward: Option<Forward>,
    pub(crate) attempt: Option<Attempt>,
    pub(crate) deadlines: Deadlines,
    /// Where sessions are kept, the client's.
    pub(crate) session: Option<Held>,
    /// Whether the request was repeated because a pooled connection had been closed.
    pub(crate) is_repeated: bool,
    /// Whether what follows the failure of an attempt was concluded before Pingora tells of it.
    pub(crate) is_concluded: bool,
    /// Whether the response is the gateway's own, and was written whole.
    pub(crate) is_answered: bool,
    /// Endpoints that failed.
    pub(crate) tried: Vec<SocketAddr>,
    /// Endpoints asked.
    pub(crate) tries: u32,
    /// What is changed of the response by those who let the request pass.
    pub(crate) told: Vec<Change>,
    /// Copies of the request that want its body.
    pub(crate) taps: Vec<Tap>,
    /// Bytes of the body that copies were shown.
    shown: usize,
    /// Bytes of the body that passed in this attempt: another one begins with what the last had.
    passed: usize,
    /// Attempts as retries count them.
    pub(crate) attempts: u32,
    /// How long to wait before the next.
    pub(crate) pause: Option<Duration>,
    /// Holds back the response to a request that asks for an upgrade.
    pub(crate) gate: Option<Arc<Gate>>,
    /// The request's span, where it is sampled.
    pub(crate) span: Option<Box<OpenSpan>>,
    pub(crate) fault: Option<Fault>,
}

impl fmt::Debug for Passage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passage").field("exchange", &self.exchange).field("attempt", &self.attempt).finish_non_exhaustive()
    }
}

/// How a request came, before anything changed it.
pub(crate) struct Entry {
    pub(crate) at: SystemTime,
    pub(crate) began: Instant,
    pub(crate) connection: Arc<Connection>,
    pub(crate) method: Method,
    pub(crate) host: Box<str>,
    pub(crate) version: Version,
    pub(crate) is_grpc: bool,
    _active: Active,
}

impl Passage {
    /// Notes how the request came.
    pub(crate) fn enter(&mut self, connection: Arc<Connection>, head: &RequestHeader) {
        let server_name = connection.arrival().tls.as_ref().and_then(|tls| tls.server_name.clone());
        let target = String::from_utf8_lossy(head.raw_path()).into_owned().into_boxed_str();
        self.exchange = Some(Exchange::new(connection.peer(), server_name, target));
        self.arrival = Some(Entry {
            at: SystemTime::now(),
            began: Instant::now(),
            method: head.method.clone(),
            host: authority(head).into(),
            version: head.version,
            is_grpc: is_grpc(&head.headers),
            _active: Active::begin(&connection),
            connection,
        });
    }

    /// The client's connection; `None` before `early_request_filter`.
    pub fn connection(&self) -> Option<&Arc<Connection>> {
        self.arrival.as_ref().map(|entry| &entry.connection)
    }

    /// The listener the request met.
    pub fn listener(&self) -> Option<&Arc<Listener>> {
        self.listener.as_ref()
    }

    /// What was decided, where the request is forwarded.
    pub fn forward(&self) -> Option<&Forward> {
        self.forward.as_ref()
    }

    /// Whether errors are told in the manner of gRPC.
    pub(crate) fn is_grpc(&self) -> bool {
        self.arrival.as_ref().is_some_and(|entry| entry.is_grpc && entry.version == Version::HTTP_2)
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.connection().is_some_and(|connection| connection.is_draining())
    }

    /// Another attempt begins: what passed of the body passes once more.
    pub(crate) fn begin_again(&mut self) {
        self.passed = 0;
    }

    /// Shows a piece of the body to copies of the request, as far as they were not shown it.
    pub(crate) fn tap(&mut self, body: Option<&Bytes>, is_end: bool) {
        if self.taps.is_empty() {
            return;
        }
        let length = body.map_or(0, Bytes::len);
        let known = self.shown.saturating_sub(self.passed).min(length);
        self.passed += length;
        self.shown = self.shown.max(self.passed);
        let fresh = body.map(|body| body.slice(known..));
        self.taps.retain(|tap| tap.show(fresh.as_ref(), is_end));
    }

    /// Notes what the match that won asks of the path.
    pub(crate) fn matched(&mut self, path: Option<&PathPattern>) {
        if let Some(span) = &mut self.span {
            span.path = path.cloned();
        }
    }

    /// Notes the first thing that went wrong; what follows from it is not noted.
    pub(crate) fn blame(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }

    /// Shows the response's head to the filters that saw the request, and performs what those say of it who let the request pass.
    pub(crate) async fn show_response(&mut self, head: &mut ResponseHeader) -> Result<(), FilterError> {
        for Change { name, value, how } in &self.told {
            match how {
                How::Set => head.insert_header(name, value.clone())?,
                How::Append => drop(head.append_header(name, value.clone())?),
                How::SetIfAbsent if !head.headers.contains_key(name) => head.insert_header(name, value.clone())?,
                How::SetIfPresent if head.headers.contains_key(name) => head.insert_header(name, value.clone())?,
                How::SetIfAbsent | How::SetIfPresent => {}
            }
        }
        let Some(exchange) = &mut self.exchange else { return Ok(()) };
        for filter in self.filters.iter().rev() {
            guarded(filter.response(exchange, head)).await?;
        }
        Ok(())
    }

    /// The record, once all is over.
    pub(crate) fn record(&self, session: &ServerSession) -> Option<Record> {
        let entry = self.arrival.as_ref()?;
        let exchange = self.exchange.as_ref()?;
        Some(Record {
            at: entry.at,
            duration: entry.began.elapsed(),
            method: entry.method.clone(),
            target: exchange.target().into(),
            host: entry.host.clone(),
            version: entry.version,
            status: session.response_written().map_or(0, |head| head.status.as_u16()),
            request_bytes: session.body_bytes_read() as u64,
            response_bytes: session.body_bytes_sent() as u64,
            peer: entry.connection.peer(),
            server_name: entry.connection.arrival().tls.as_ref().and_then(|tls| tls.server_name.clone()),
            listener: self.listener.clone(),
            rule: self.rule.clone(),
            backend: self.forward.as_ref().map(|forward| Arc::clone(&forward.backend)),
            endpoint: self.attempt.as_ref().map(Attempt::address),
            tries: self.tries,
            fault: self.fault.clone(),
        })
    }

    /// Tells filters how it ended.
    pub(crate) fn tell_filters(&mut self, record: &Record, counters: &Counters) {
        let Some(exchange) = &mut self.exchange else { return };
        for filter in &self.filters {
            let told = guarded_now(|| {
                filter.log(exchange, record);
                Ok(())
            });
            if let Err(error) = told {
                counters.filter_failures.add();
                tracing::error!(%error, "a filter failed at the end of a request");
            }
        }
    }
}

/// The authority a request names: that of its target, else its Host.
pub(crate) fn authority(head: &RequestHeader) -> &str {
    match head.uri.authority() {
        Some(authority) => authority.as_str(),
        None => head.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or(""),
    }
}

/// Whether the content is gRPC, in any of its codecs.
fn is_grpc(headers: &HeaderMap) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    let Some(content_type) = headers.get(header::CONTENT_TYPE) else { return false };
    let Some((start, rest)) = content_type.as_bytes().split_at_checked(GRPC.len()) else { return false };
    start.eq_ignore_ascii_case(GRPC) && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
}
