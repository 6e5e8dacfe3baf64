//! Requests: what happens to each, from its head to its record.
//!
//! In: Pingora's callbacks. Out: a request admitted, decided and performed: its steps are `steps`, whom it asks `attempt`. The
//! snapshot is loaded once and let go before anything waits, the filters of a listener excepted (`permission`); what comes later only
//! performs what was decided.
//!
//! Invariants: **no callback after `request_filter` looks at configuration**.

mod attempt;
mod checks;
mod edit;
mod forwarded;
pub(crate) mod permission;
mod persist;
mod steps;

use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode, Version, header};
use pingora_core::modules::http::HttpModules;
use pingora_core::protocols::Digest;
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::{Error, ErrorSource, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};

use gateway_core::admit::{Admitted, Arrival, Handshake, Reason, Refusal, admit};
use gateway_core::decide::{Decision, Task, decide};
use gateway_core::snapshot::{Listener, Settings, Socket, Transport, Turn};

use crate::answer::{self, After};
use crate::auth::Authorities;
use crate::connection::Connection;
use crate::cors;
use crate::filter::{Filter, guarded, guarded_now};
use crate::live::Live;
use crate::mirror::Mirrors;
use crate::observe::{Counters, Fault, Record, Sink};
use crate::passage::Passage;
use crate::session::KeyRing;
use crate::spans::{Origin, Spans};
use crate::upstream::Upstreams;

/// The gateway as a `ProxyHttp`. Cloning it copies a pointer.
#[derive(Clone)]
pub struct Proxy {
    pub(crate) parts: Arc<Parts>,
}

/// What all requests share.
pub(crate) struct Parts {
    pub(crate) live: Arc<Live>,
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) mirrors: Mirrors,
    pub(crate) authorities: Authorities,
    pub(crate) sessions: KeyRing,
    pub(crate) spans: Spans,
    pub(crate) counters: Arc<Counters>,
    pub(crate) always: Box<[Arc<dyn Filter>]>,
    pub(crate) sink: Option<Sink<Record>>,
    /// For connections that did not come by a listener of ours.
    pub(crate) settings: Arc<Settings>,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy").finish_non_exhaustive()
    }
}

impl Proxy {
    /// Admits, by the current snapshot. The head becomes what will be forwarded: its path in normal form, its `X-Forwarded-*` fields
    /// ours, so that no rule is chosen by what a backend will not see.
    fn admit(&self, connection: &Connection, head: &mut RequestHeader) -> Result<Admitted, Undecided> {
        let snapshot = self.parts.live.load();
        let admitted = admit(&snapshot, connection.arrival(), head).map_err(Undecided::Refused)?;
        let path = admitted.path(head);
        let path = (path != head.uri.path() || !head.raw_path().starts_with(b"/")).then(|| path.to_owned());
        let prepared = path.map_or(Ok(()), |path| edit::set_path(head, &path));
        let prepared = prepared.and_then(|()| checks::join_cookies(head));
        let prepared = prepared.and_then(|()| forwarded::mark(head, connection, admitted.listener()));
        Self::edited(prepared).map_err(Undecided::Failed)?;
        Ok(admitted)
    }

    /// Begins the span of a request that met a listener.
    fn trace(&self, head: &mut RequestHeader, passage: &mut Passage, listener: &Arc<Listener>) {
        let Some(connection) = passage.connection().filter(|_| listener.tracing.is_some()) else { return };
        let client = forwarded::client(head, connection.peer().ip(), listener);
        let origin = Origin { client, is_tls: connection.arrival().tls.is_some(), is_grpc: passage.is_grpc() };
        passage.span = self.parts.spans.begin(head, listener, origin);
    }

    /// The connection of a request; one of Pingora's own listeners counts for the socket of its local port.
    fn connection(&self, session: &Session) -> Arc<Connection> {
        if let Some(connection) = Connection::of(session) {
            return Arc::clone(connection);
        }
        let address = |address: Option<&SocketAddr>| address.and_then(|address| address.as_inet()).copied();
        let unknown = || std::net::SocketAddr::from(([0, 0, 0, 0], 0));
        let peer = address(session.client_addr()).unwrap_or_else(unknown);
        let local = address(session.server_addr()).unwrap_or_else(unknown);
        let is_tls = session.digest().is_some_and(|digest| digest.ssl_digest.is_some());
        let own = Socket { address: Some(local.ip()), port: local.port(), transport: Transport::Tcp };
        let any = Socket { address: None, ..own };
        let socket = if self.parts.live.load().listeners(&own).is_some() { own } else { any };
        let arrival = Arrival { socket, tls: is_tls.then(Handshake::default) };
        let settings = Arc::clone(&self.parts.settings);
        Arc::new(Connection::new(arrival, peer, local, settings, Arc::clone(&self.parts.counters)))
    }

    /// Counts a request that is over, and tells of it whoever wants to know.
    fn record(&self, session: &Session, error: Option<&Error>, passage: &mut Passage) {
        if let Some(error) = error {
            passage.blame(judge(error).1);
            if error.esource() == &ErrorSource::Downstream {
                if error.etype() == &ErrorType::ReadTimedout {
                    self.parts.counters.bodies_too_slow.add();
                } else if error.etype() == &ErrorType::WriteTimedout {
                    self.parts.counters.writes_too_slow.add();
                }
            }
        }
        let status = session.response_written().map_or(0, |head| head.status.as_u16());
        self.parts.counters.count_status(status);
        if self.parts.sink.is_none() && passage.filters.is_empty() && passage.span.is_none() {
            return;
        }
        let Some(record) = passage.record(session.as_downstream()) else { return };
        if let Some(span) = passage.span.take() {
            self.parts.spans.end(*span, &record, session.response_written());
        }
        passage.tell_filters(&record, &self.parts.counters);
        if let Some(sink) = &self.parts.sink {
            sink.send(record, &self.parts.counters);
        }
    }
}

#[async_trait]
impl ProxyHttp for Proxy {
    /// Boxed: the future that Pingora makes of a request, and moves, has room for it three times over.
    type CTX = Box<Passage>;

    fn new_ctx(&self) -> Box<Passage> {
        Box::default()
    }

    /// None of Pingora's own: what concerns a message is decided by the configuration.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn early_request_filter(&self, session: &mut Session, passage: &mut Box<Passage>) -> Result<()> {
        let connection = self.connection(session);
        let is_draining = connection.is_draining();
        let has_body = has_body(session.req_header());
        let settings = Arc::clone(&connection.settings);
        if session.req_header().version != Version::HTTP_2 {
            connection.await_body(has_body);
            connection.take(extent(session));
        }
        passage.enter(connection, session.req_header());
        let is_http10 = session.req_header().version == Version::HTTP_10;
        let downstream = session.as_downstream_mut();
        // Such a client knows no answers before the answer (RFC 9110, section 15.2).
        downstream.set_ignore_info_resp(is_http10);
        downstream.set_pipelining_enabled(true);
        if let ServerSession::H2(stream) = downstream {
            // Under the flow control of HTTP/2 the connection below may be well while a stream is stuck.
            stream.set_write_timeout(Some(settings.write_timeout));
        } else if has_body {
            downstream.set_read_timeout(Some(settings.body_timeout));
        }
        if is_draining {
            downstream.set_keepalive(None);
        }
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, passage: &mut Box<Passage>) -> Result<bool> {
        let Some(entry) = &passage.arrival else {
            return Err(Error::explain(ErrorType::InternalError, "early_request_filter must come first"));
        };
        let (connection, is_grpc) = (Arc::clone(&entry.connection), entry.is_grpc);
        let limit = connection.settings.max_header_bytes;
        let checked = checks::check(session.req_header(), is_grpc, limit).and_then(|()| checks::strip(session.req_header_mut()));
        if let Err(flaw) = checked {
            if flaw.fault == Fault::HeadTooLarge {
                self.parts.counters.heads_too_large.add();
            }
            let after = if flaw.is_framing { After::Close } else { After::GoOn };
            return answer::refuse(session, passage, flaw.status, flaw.fault, after).await.map(|()| true);
        }
        if is_foreign_tls(session) {
            let refusal = Refusal { reason: Reason::Misdirected, listener: None, rule: None, path: None };
            return self.refuse(session, passage, refusal).await;
        }
        let mut admitted = match self.admit(&connection, session.req_header_mut()) {
            Ok(admitted) => admitted,
            Err(Undecided::Refused(refusal)) => {
                connection.met(refusal.listener.as_ref());
                if let Some(listener) = &refusal.listener {
                    self.trace(session.req_header_mut(), passage, listener);
                }
                return self.refuse(session, passage, refusal).await;
            }
            Err(Undecided::Failed(fault)) => return self.stop(session, passage, fault.into()).await,
        };
        passage.listener = Some(Arc::clone(admitted.listener()));
        connection.met(passage.listener.as_ref());
        self.trace(session.req_header_mut(), passage, admitted.listener());
        if !admitted.guards().is_empty() {
            // Boxed: most listeners have no filters, and all requests a state.
            match Box::pin(self.guard(session, passage, &mut admitted)).await {
                Ok(None) => {}
                Ok(Some(response)) => return answer::write(session, passage, response, After::GoOn).await.map(|()| true),
                Err(stop) => return self.stop(session, passage, stop).await,
            }
        }
        let decision = decide(&admitted, session.req_header(), Turn::take);
        // And the snapshot with it.
        drop(admitted);
        match decision {
            Decision::Answer(answer) => self.answer(session, passage, answer).await,
            Decision::Forward(forward) => self.forward(session, passage, forward).await,
            Decision::Refuse(refusal) => self.refuse(session, passage, refusal).await,
        }
    }

    async fn upstream_peer(&self, session: &mut Session, passage: &mut Box<Passage>) -> Result<Box<HttpPeer>> {
        self.next_attempt(session, passage).await
    }

    async fn connected_to_upstream(
        &self,
        _session: &mut Session,
        reused: bool,
        peer: &HttpPeer,
        _fd: RawFd,
        digest: Option<&Digest>,
        passage: &mut Box<Passage>,
    ) -> Result<()> {
        self.connected(peer, digest, reused, passage).await
    }

    async fn upstream_request_filter(
        &self,
        _: &mut Session,
        request: &mut RequestHeader,
        passage: &mut Box<Passage>,
    ) -> Result<()> {
        Self::negotiated(request, passage)
    }

    fn fail_to_connect(&self, _: &mut Session, _: &HttpPeer, passage: &mut Box<Passage>, error: Box<Error>) -> Box<Error> {
        self.not_connected(passage, error)
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        passage: &mut Box<Passage>,
        reused: bool,
    ) -> Box<Error> {
        self.broken_off(session, passage, error, reused)
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        passage: &mut Box<Passage>,
    ) -> Result<()> {
        if let Some(connection) = passage.connection()
            && session.req_header().version != Version::HTTP_2
            && !session.was_upgraded()
            && connection.body_dawdles(session.as_downstream().body_bytes_read() as u64)
        {
            return Err(Error::explain(ErrorType::ReadTimedout, "reading body, too slow on average").into_down());
        }
        // Copies show what the client sent: filters that change bodies do so for the backend.
        passage.tap(body.as_ref(), end);
        let Some(exchange) = &mut passage.exchange else { return Ok(()) };
        for filter in &passage.filters {
            if let Err(error) = guarded(filter.request_body(exchange, body, end)).await {
                let fault = self.filter_failed(&error);
                passage.fault.get_or_insert(fault);
                return Err(Error::explain(ErrorType::HTTPStatus(500), "a filter failed"));
            }
        }
        if let Some(gate) = passage.gate.as_ref().filter(|_| end) {
            gate.open();
        }
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        head: &mut ResponseHeader,
        passage: &mut Box<Passage>,
    ) -> Result<()> {
        self.heard(session, head, passage)
    }

    fn upstream_response_body_filter(
        &self,
        session: &mut Session,
        _body: &mut Option<Bytes>,
        _end: bool,
        passage: &mut Box<Passage>,
    ) -> Result<Option<Duration>> {
        // What was upgraded has no end that could be waited for.
        if session.was_upgraded() { Ok(None) } else { Self::goes_on(passage).map(|()| None) }
    }

    fn upstream_response_trailer_filter(
        &self,
        _: &mut Session,
        trailers: &mut HeaderMap,
        passage: &mut Box<Passage>,
    ) -> Result<()> {
        if let Some(span) = &mut passage.span {
            span.hear(trailers);
        }
        Ok(())
    }

    async fn response_filter(&self, session: &mut Session, head: &mut ResponseHeader, passage: &mut Box<Passage>) -> Result<()> {
        if head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(());
        }
        strip_response(head);
        if let Some(forward) = &passage.forward {
            for task in forward.tasks() {
                match task {
                    Task::EditResponse(edits) => edit::response(head, edits)?,
                    Task::Cors(cors, origin) => cors::replace(head, cors, origin)?,
                    Task::EditRequest(_) | Task::Rewrite(_) | Task::Mirror(..) | Task::Auth(..) | Task::Extension(_) => {}
                }
            }
        }
        self.keep_session(head, passage);
        if let Err(error) = passage.show_response(head).await {
            passage.filters.clear();
            let fault = self.filter_failed(&error);
            passage.blame(fault);
            return Err(Error::explain(ErrorType::HTTPStatus(500), "a filter failed"));
        }
        if session.req_header().version == Version::HTTP_10 && head.headers.contains_key(header::TRANSFER_ENCODING) {
            // Such a client cannot read chunks: the end of the connection ends the body.
            head.remove_header(&header::TRANSFER_ENCODING);
            session.set_keepalive(None);
        }
        if passage.is_draining() {
            session.set_keepalive(None);
        }
        Ok(())
    }

    fn response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        passage: &mut Box<Passage>,
    ) -> Result<Option<Duration>> {
        let Some(exchange) = &mut passage.exchange else { return Ok(None) };
        for filter in passage.filters.iter().rev() {
            if let Err(error) = guarded_now(|| filter.response_body(exchange, body, end)) {
                let fault = self.filter_failed(&error);
                passage.fault.get_or_insert(fault);
                return Err(Error::explain(ErrorType::HTTPStatus(500), "a filter failed"));
            }
        }
        Ok(None)
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, passage: &mut Box<Passage>) -> FailToProxy {
        let (status, fault) = judge(error);
        passage.blame(fault);
        let is_answered = session.response_written().is_some_and(|head| !head.status.is_informational() || head.status == 101);
        if let Some(status) = status.filter(|_| !is_answered) {
            let fault = Fault::Internal("".into());
            if let Err(error) = answer::refuse(session, passage, status, fault, After::Close).await {
                tracing::debug!(%error, "the client did not take the answer");
            }
        }
        FailToProxy { error_code: status.map_or(0, |status| status.as_u16()), can_reuse_downstream: false }
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, passage: &mut Box<Passage>) {
        self.record(session, error, passage);
        if error.is_none() || passage.is_answered {
            answer::hear_out(session, passage).await;
        }
    }

    /// Records tell what went wrong.
    fn suppress_error_log(&self, _session: &Session, _passage: &Box<Passage>, _error: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(&self, _: &Session, _: &Box<Passage>, _: &Error, _: ProxyWarnLogContext) -> bool {
        true
    }
}

/// Whether the request came over TLS by one of Pingora's own listeners, which tell neither the server name nor who the client
/// is: no listener of a Gateway can be chosen for it.
fn is_foreign_tls(session: &Session) -> bool {
    Connection::of(session).is_none() && session.digest().is_some_and(|digest| digest.ssl_digest.is_some())
}

/// Whether a body follows a head of HTTP/1.
fn has_body(head: &RequestHeader) -> bool {
    head.headers.contains_key(header::TRANSFER_ENCODING)
        || head.headers.get(header::CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0")
}

/// How many bytes of its connection a request of HTTP/1 has; `None` where only Pingora knows: it finds the end of chunks, and makes a head
/// longer whose target it escapes.
fn extent(session: &Session) -> Option<u64> {
    let (head, raw) = (session.req_header(), session.to_h1_raw());
    // As it was read: of the path that is made of it, a fragment is cut off.
    let line = raw.trim_ascii_start().split(|byte| *byte == b'\n').next().unwrap_or_default();
    if head.headers.contains_key(header::TRANSFER_ENCODING) || line.contains(&b'%') {
        return None;
    }
    let body = match head.headers.get(header::CONTENT_LENGTH) {
        Some(length) => length.to_str().ok()?.parse().ok()?,
        None => 0,
    };
    (raw.len() as u64).checked_add(body)
}

/// Why there is no decision.
enum Undecided {
    Refused(Refusal),
    Failed(Fault),
}

/// The status for an error, none where the client is gone, and whose fault it was.
fn judge(error: &Error) -> (Option<StatusCode>, Fault) {
    let text: Arc<str> = error.to_string().into();
    if let ErrorType::HTTPStatus(code) = error.etype() {
        let status = StatusCode::from_u16(*code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        return (Some(status), Fault::Internal(text));
    }
    match error.esource() {
        ErrorSource::Upstream => (Some(StatusCode::BAD_GATEWAY), Fault::Upstream(text)),
        ErrorSource::Downstream => {
            let is_gone = matches!(
                error.etype(),
                ErrorType::ReadError
                    | ErrorType::WriteError
                    | ErrorType::WriteTimedout
                    | ErrorType::ConnectionClosed
                    | ErrorType::H2Error
            );
            let status = match error.etype() == &ErrorType::ReadTimedout {
                true => StatusCode::REQUEST_TIMEOUT,
                false => StatusCode::BAD_REQUEST,
            };
            let status = (!is_gone).then_some(status);
            let is_slow = matches!(error.etype(), ErrorType::ReadTimedout | ErrorType::WriteTimedout);
            (status, if is_slow { Fault::Slow(text) } else { Fault::Client(text) })
        }
        ErrorSource::Internal | ErrorSource::Unset => (Some(StatusCode::INTERNAL_SERVER_ERROR), Fault::Internal(text)),
    }
}

/// Removes what concerned only the backend's connection, and a length of nothing.
fn strip_response(head: &mut ResponseHeader) {
    let connection = head.headers.get_all(header::CONNECTION).iter();
    let tokens = connection.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let named = tokens.filter_map(|token| HeaderName::from_bytes(token).ok());
    let named: Vec<HeaderName> = named.filter(|name| !OF_A_RESPONSE.contains(name) && head.headers.contains_key(name)).collect();
    for name in &named {
        head.remove_header(name);
    }
    for name in ["keep-alive", "proxy-connection", "proxy-authenticate", "trailer"] {
        if head.headers.contains_key(name) {
            head.remove_header(name);
        }
    }
    if head.status == StatusCode::NO_CONTENT {
        head.remove_header(&header::CONTENT_LENGTH);
    }
    if head.status != StatusCode::SWITCHING_PROTOCOLS {
        head.remove_header(&header::UPGRADE);
    }
}

/// What is never of a connection alone, whatever names it so: Pingora looks at these itself.
const OF_A_RESPONSE: [HeaderName; 4] = [header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::UPGRADE];
