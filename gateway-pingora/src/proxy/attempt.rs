//! The backend's side of a request: whom it asks, and what follows when that fails.
//!
//! In: a request as decided, and how connects and exchanges went. Out: a peer for Pingora, whether the request is tried again, when,
//! and what is to blame when it is not. Which failures a rule retries is core's to say (`Retry::allows`); which endpoints there are and
//! how they are doing is `upstream`'s.
//!
//! A request is sent again as far as its body can be: what was read of it is kept up to 64 KiB, and one of which more was read is not
//! repeated. Other attempts go to endpoints that were not tried yet, as long as there are any.
//!
//! Invariants: **what an endpoint may have processed is sent to no other**, but for a status that the rule lists; a pooled connection
//! that the endpoint had just closed is no attempt, and what may be repeated is sent again at once.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderValue, StatusCode, Version, header};
use pingora_core::protocols::Digest;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::{Error, ErrorSource, ErrorType, Result, RetryType};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;
use tokio::time::sleep;

use gateway_core::admit::Reason;
use gateway_core::decide::Forward;
use gateway_core::snapshot::{BackendProtocol, Failure};

use super::Proxy;
use crate::deadline::Expired;
use crate::observe::Fault;
use crate::passage::Passage;
use crate::upstream::{Attempt, Gate, Unfit, draw};

impl Proxy {
    /// Chooses the endpoint to ask next, after the pause that a retry waits for.
    pub(super) async fn next_attempt(&self, session: &Session, passage: &mut Passage) -> Result<Box<HttpPeer>> {
        // What came before let its endpoint go.
        passage.attempt = None;
        passage.deadlines.prepare();
        if let Some(pause) = passage.pause.take() {
            sleep(passage.deadlines.left(Instant::now()).map_or(pause, |left| left.min(pause))).await;
        }
        let now = Instant::now();
        if passage.deadlines.expired(now).is_some() {
            passage.blame(Fault::RequestTimeout);
            return Err(Error::explain(ErrorType::HTTPStatus(504), "no time is left"));
        }
        let Some(forward) = &passage.forward else {
            return Err(Error::explain(ErrorType::InternalError, "nothing was decided"));
        };
        let held = passage.session.and_then(|session| session.endpoint);
        let attempt = match self.choose(forward, held, &mut passage.tried) {
            Ok(attempt) => attempt,
            Err(unfit) => {
                let (status, reason) = match unfit {
                    Unfit::NoEndpoint => (503, Reason::NoEndpoint),
                    Unfit::Broken(why) => (500, Reason::BrokenBackend(why)),
                };
                passage.blame(Fault::Refused(reason));
                return Err(Error::explain(ErrorType::HTTPStatus(status), "no endpoint to ask"));
            }
        };
        let patience = passage.deadlines.patience(now);
        let mut peer = if session.is_upgrade_req() && forward.backend.protocol == BackendProtocol::Http1 {
            // The tunnel knows no limit, so that it is the gate's until then.
            let gate = Arc::new(Gate::new(patience.and_then(|patience| now.checked_add(patience))));
            let peer = self.parts.upstreams.peer_for_upgrade(&attempt, &gate);
            passage.gate = Some(gate);
            peer
        } else {
            let mut peer = self.parts.upstreams.peer(&forward.backend, &attempt);
            peer.options.read_timeout = patience;
            peer.options.write_timeout = patience;
            if passage.is_repeated {
                // A connection that was kept may be as dead as the last: this one is new, and not kept.
                peer.group_key = draw();
                peer.options.idle_timeout = Some(Duration::ZERO);
            }
            peer
        };
        if let Some(left) = passage.deadlines.left(now) {
            let connect = self.parts.upstreams.connect_timeout();
            peer.options.total_connection_timeout = Some(left.min(connect));
        }
        if passage.attempts == 0 {
            self.parts.upstreams.count_request(&forward.backend);
        }
        passage.begin_again();
        passage.tries += 1;
        passage.attempts += 1;
        passage.attempt = Some(attempt);
        Ok(peer)
    }

    /// The endpoint that the client's session holds, or else one that was not tried yet. A rule that retries begins anew when all were.
    fn choose(&self, forward: &Forward, held: Option<SocketAddr>, tried: &mut Vec<SocketAddr>) -> Result<Attempt, Unfit> {
        let held = held.filter(|held| !tried.contains(held));
        if let Some(attempt) = held.and_then(|held| self.parts.upstreams.pick_held(&forward.backend, &forward.listener, held)) {
            return Ok(attempt);
        }
        let pick = |tried: &[_]| self.parts.upstreams.pick(&forward.backend, &forward.listener, tried);
        match pick(tried) {
            Err(Unfit::NoEndpoint) if forward.rule.retry.is_some() && !tried.is_empty() => {
                tried.clear();
                pick(tried)
            }
            picked => picked,
        }
    }

    /// There is a connection: nothing is sent on it before the endpoint has proven who it is. One that was kept may be with an endpoint
    /// that is gone, and where it proves nothing, one of today may.
    pub(super) async fn connected(
        &self,
        peer: &HttpPeer,
        digest: Option<&Digest>,
        reused: bool,
        passage: &mut Passage,
    ) -> Result<()> {
        let Some(attempt) = &mut passage.attempt else { return Ok(()) };
        if peer.is_tls() {
            let time = peer.options.total_connection_timeout.unwrap_or_else(|| self.parts.upstreams.connect_timeout());
            let checked = attempt.check(digest, time).await;
            checked.map_err(|why| {
                let mut error = Error::explain(ErrorType::InvalidCert, why).into_up();
                error.set_retry(reused && !passage.is_repeated);
                error
            })?;
        }
        attempt.connected();
        passage.deadlines.started(Instant::now());
        Ok(())
    }

    /// What is spoken was negotiated: a backend that needs HTTP/2 gets nothing else.
    pub(super) fn negotiated(request: &RequestHeader, passage: &Passage) -> Result<()> {
        let needs_h2 = passage.forward.as_ref().is_some_and(|forward| forward.backend.protocol == BackendProtocol::Http2);
        if needs_h2 && request.version != Version::HTTP_2 {
            return Err(Error::explain(ErrorType::InvalidCert, "HTTP/2 was not negotiated").into_up());
        }
        Ok(())
    }

    /// A connect failed: another endpoint is tried, where the rule lets it.
    pub(super) fn not_connected(&self, passage: &mut Passage, mut error: Box<Error>) -> Box<Error> {
        let (Some(attempt), Some(forward)) = (&passage.attempt, &passage.forward) else { return error };
        let expired = passage.deadlines.expired(Instant::now()).is_some();
        if !(expired && error.etype() == &ErrorType::ConnectTimedout) {
            self.parts.upstreams.unreachable(attempt);
        }
        passage.tried.push(attempt.address());
        let (status, fault) = match (expired, is_tls(&error), error.to_string().into()) {
            (true, ..) => (StatusCode::GATEWAY_TIMEOUT, Fault::RequestTimeout),
            (false, true, why) => (StatusCode::BAD_GATEWAY, Fault::Identity(why)),
            (false, false, why) => (StatusCode::SERVICE_UNAVAILABLE, Fault::Connect(why)),
        };
        let again = if expired {
            Again::No
        } else if forward.rule.repick {
            let most = forward.backend.endpoints.len().min(MOST_ENDPOINTS);
            let may_repick = passage.tried.len() < most;
            if may_repick {
                self.parts.counters.upstream_repicks.add();
            }
            if may_repick { Again::Yes } else { Again::No }
        } else {
            self.again(passage, Failure::NotConnected)
        };
        Self::conclude(passage, &mut error, again, status, fault);
        error
    }

    /// An exchange broke off after its connection was there.
    pub(super) fn broken_off(&self, session: &Session, passage: &mut Passage, mut error: Box<Error>, reused: bool) -> Box<Error> {
        if is_tls(&error) {
            // Nothing was sent.
            return if error.retry == RetryType::Decided(true) {
                Self::repeat(passage, error)
            } else {
                self.not_connected(passage, error)
            };
        }
        if std::mem::take(&mut passage.is_concluded) {
            return error;
        }
        if error.esource() != &ErrorSource::Upstream {
            error.set_retry(false);
            return error;
        }
        let can_replay = session.response_written().is_none() && !session.as_ref().retry_buffer_truncated();
        let is_not_processed = error.retry == RetryType::Decided(true);
        let is_stale = reused
            && (error.retry == RetryType::ReusedOnly || is_bare_end(&error))
            && session.req_header().method.is_idempotent();
        error.set_retry(false);
        let is_wait = is_wait(&error) || passage.gate.as_ref().is_some_and(|gate| gate.has_expired());
        let expired = if is_wait { passage.deadlines.waited(Instant::now()) } else { None };
        let reopens = passage.forward.as_ref().is_some_and(|forward| forward.rule.repick || forward.rule.retry.is_some());
        if expired.is_none() && can_replay && (is_stale || is_not_processed) && reopens && !passage.is_repeated {
            return Self::repeat(passage, error);
        }
        self.parts.counters.upstream_resets.add();
        if let Some(attempt) = &passage.attempt {
            self.parts.upstreams.failed(attempt);
            passage.tried.push(attempt.address());
        }
        let (failure, fault) = match expired {
            Some(Expired::Request) => (None, Fault::RequestTimeout),
            Some(Expired::Attempt) => (Some(Failure::Expired), Fault::BackendTimeout),
            None if is_not_processed => (Some(Failure::NotProcessed), Fault::Upstream(error.to_string().into())),
            None => (Some(Failure::Broken), Fault::Upstream(error.to_string().into())),
        };
        let again = match failure {
            Some(failure) if can_replay => self.again(passage, failure),
            Some(_) | None => Again::No,
        };
        let status = failure.map_or(StatusCode::GATEWAY_TIMEOUT, Failure::status);
        Self::conclude(passage, &mut error, again, status, fault);
        error
    }

    /// The connection had been kept, and was no attempt: the request is sent again at once, once.
    fn repeat(passage: &mut Passage, mut error: Box<Error>) -> Box<Error> {
        passage.is_repeated = true;
        passage.attempts -= 1;
        error.set_retry(true);
        error
    }

    /// The backend answered: what its status says of the endpoint, and whether another attempt follows all the same.
    pub(super) fn heard(&self, session: &Session, head: &ResponseHeader, passage: &mut Passage) -> Result<()> {
        let Some(attempt) = &passage.attempt else { return Ok(()) };
        if let Some(flaw) = flaw(head, passage.gate.is_some()) {
            return Err(Error::explain(ErrorType::InvalidHTTPHeader, flaw).into_up());
        }
        match head.status.as_u16() {
            100 | 102..=199 => return Ok(()),
            502..=504 => self.parts.upstreams.failed(attempt),
            _ => attempt.succeeded(),
        }
        if let Some(gate) = &passage.gate {
            gate.answered(head.status == StatusCode::SWITCHING_PROTOCOLS);
        }
        if session.response_written().is_some() || session.as_ref().retry_buffer_truncated() {
            return Ok(());
        }
        let is_unavailable = passage.is_grpc() && head.headers.get("grpc-status").is_some_and(|status| status == UNAVAILABLE);
        let failure = if is_unavailable { Failure::NotProcessed } else { Failure::Status(head.status) };
        let address = attempt.address();
        let again = self.again(passage, failure);
        if again == Again::No {
            return Ok(());
        }
        passage.tried.push(address);
        let mut error = Error::explain(ErrorType::HTTPStatus(head.status.as_u16()), "a status that calls for another attempt");
        let fault = Fault::Upstream(format!("it answered {}", head.status).into());
        Self::conclude(passage, &mut error, again, head.status, fault);
        passage.is_concluded = true;
        Err(error.into_up())
    }

    /// Whether the time of the request, or of its attempt, is over while its response goes on.
    pub(super) fn goes_on(passage: &Passage) -> Result<()> {
        match passage.deadlines.expired(Instant::now()) {
            Some(_) => Err(Error::explain(ErrorType::ReadTimedout, "the response takes too long").into_up()),
            None => Ok(()),
        }
    }

    /// Whether the rule calls for another attempt after this failure, and the backend affords one.
    fn again(&self, passage: &Passage, failure: Failure) -> Again {
        let Some(forward) = &passage.forward else { return Again::No };
        if !forward.rule.retry.as_ref().is_some_and(|retry| retry.allows(passage.attempts, failure)) {
            return Again::No;
        }
        if self.parts.upstreams.affords_retry(&forward.backend) {
            self.parts.counters.upstream_retries.add();
            return Again::Yes;
        }
        self.parts.counters.upstream_retries_over_budget.add();
        Again::OverBudget
    }

    /// What follows a failure: another attempt after a pause, or an answer.
    fn conclude(passage: &mut Passage, error: &mut Error, again: Again, status: StatusCode, fault: Fault) {
        let (status, fault) = match again {
            Again::Yes => {
                error.set_retry(true);
                let retry = passage.forward.as_ref().and_then(|forward| forward.rule.retry.as_ref());
                passage.pause = retry.map(|retry| retry.pause(passage.attempts, draw()));
                return;
            }
            Again::OverBudget => (StatusCode::SERVICE_UNAVAILABLE, Fault::RetryBudget),
            Again::No => (status, fault),
        };
        passage.blame(fault);
        error.set_retry(false);
        error.etype = ErrorType::HTTPStatus(status.as_u16());
    }
}

/// Whether another attempt follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    Yes,
    No,
    /// It would, were there not too many of them (XBackendTrafficPolicy).
    OverBudget,
}

/// Whether an endpoint did not prove who it is, or TLS with it failed otherwise.
fn is_tls(error: &Error) -> bool {
    matches!(error.etype(), ErrorType::TLSHandshakeFailure | ErrorType::InvalidCert)
}

/// Whether a connection over HTTP/2 ended without TLS saying so. Pingora tells it apart from other ends, which it lets be tried again:
/// where nothing of a response has come, there is none that could have been cut off.
fn is_bare_end(error: &Error) -> bool {
    let cause = error.cause.as_ref().and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.and_then(h2::Error::get_io).is_some_and(|error| error.kind() == ErrorKind::UnexpectedEof)
}

/// Why a response cannot be passed on. `is_asked` says whether an upgrade was asked for.
fn flaw(head: &ResponseHeader, is_asked: bool) -> Option<&'static str> {
    if head.status == StatusCode::SWITCHING_PROTOCOLS && !is_asked {
        return Some("an upgrade that nobody asked for");
    }
    let mut codings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
    let is_chunked = |coding: &HeaderValue| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
    let is_plain = codings.next().is_none_or(is_chunked) && codings.next().is_none();
    (!is_plain).then_some("a transfer coding other than chunked")
}

/// Whether it was waited for in vain.
fn is_wait(error: &Error) -> bool {
    matches!(error.etype(), ErrorType::ReadTimedout | ErrorType::WriteTimedout)
}

/// How many endpoints a request is offered to while none can be connected to, and its rule states no retries.
const MOST_ENDPOINTS: usize = 4;
/// `UNAVAILABLE` of gRPC.
const UNAVAILABLE: &str = "14";
