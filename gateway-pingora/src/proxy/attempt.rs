//! The backend's side of a request: whom it asks, and what follows when that fails.
//!
//! In: a request as decided, and how connects and exchanges went. Out: a peer for Pingora, whether the request is tried again, and
//! what is to blame when it is not. Which endpoints there are and how they are doing is `upstream`'s.
//!
//! Invariants: no byte of a request is sent to two endpoints, but for a request that may be repeated and met a pooled connection
//! that the endpoint had just closed.

use std::sync::Arc;

use http::Version;
use pingora_core::protocols::Digest;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::{Error, ErrorSource, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;

use gateway_core::admit::Reason;
use gateway_core::snapshot::BackendProtocol;

use super::Proxy;
use crate::observe::Fault;
use crate::passage::Passage;
use crate::upstream::Unfit;

impl Proxy {
    /// Chooses the endpoint to ask next.
    pub(super) fn next_attempt(&self, session: &Session, passage: &mut Passage) -> Result<Box<HttpPeer>> {
        let Some(forward) = &passage.forward else {
            return Err(Error::explain(ErrorType::InternalError, "nothing was decided"));
        };
        let attempt = match self.parts.upstreams.pick(&forward.backend, &forward.listener, &passage.tried) {
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
        let peer = if session.is_upgrade_req() && forward.backend.protocol == BackendProtocol::Http1 {
            let gate = Arc::default();
            let peer = self.parts.upstreams.peer_for_upgrade(&attempt, &gate);
            passage.gate = Some(gate);
            peer
        } else {
            self.parts.upstreams.peer(&forward.backend, &attempt)
        };
        passage.begin_again();
        passage.tries += 1;
        passage.attempt = Some(attempt);
        Ok(peer)
    }

    /// There is a connection: nothing is sent on it before the endpoint has proven who it is.
    pub(super) async fn connected(&self, peer: &HttpPeer, digest: Option<&Digest>, passage: &mut Passage) -> Result<()> {
        let Some(attempt) = &mut passage.attempt else { return Ok(()) };
        if peer.is_tls() {
            let checked = attempt.check(digest, self.parts.upstreams.connect_timeout()).await;
            checked.map_err(|why| Error::explain(ErrorType::InvalidCert, why).into_up())?;
        }
        attempt.connected();
        Ok(())
    }

    /// What is spoken was negotiated: a backend that needs HTTP/2 gets nothing else.
    pub(super) fn negotiated(request: &RequestHeader, passage: &mut Passage) -> Result<()> {
        let needs_h2 = passage.forward.as_ref().is_some_and(|forward| forward.backend.protocol == BackendProtocol::Http2);
        if needs_h2 && request.version != Version::HTTP_2 {
            return Err(Error::explain(ErrorType::InvalidCert, "HTTP/2 was not negotiated").into_up());
        }
        Ok(())
    }

    /// A connect failed: the next endpoint is tried, where the rule lets it.
    pub(super) fn not_connected(&self, passage: &mut Passage, mut error: Box<Error>) -> Box<Error> {
        let (Some(attempt), Some(forward)) = (&passage.attempt, &passage.forward) else { return error };
        self.parts.upstreams.unreachable(attempt);
        passage.tried.push(attempt.address());
        let most = forward.backend.endpoints.len().min(MOST_ENDPOINTS);
        let may_repick = forward.rule.repick && passage.tried.len() < most;
        let (status, why) = (if is_tls(&error) { 502 } else { 503 }, error.to_string().into());
        if may_repick {
            self.parts.counters.upstream_repicks.add();
        } else {
            passage.blame(if is_tls(&error) { Fault::Identity(why) } else { Fault::Connect(why) });
        }
        error.set_retry(may_repick);
        error.etype = ErrorType::HTTPStatus(status);
        error
    }

    /// An exchange broke off after its connection was there.
    pub(super) fn broken_off(&self, session: &Session, passage: &mut Passage, mut error: Box<Error>, reused: bool) -> Box<Error> {
        if is_tls(&error) {
            return self.not_connected(passage, error);
        }
        let may_repeat = session.req_header().method.is_idempotent() && !session.as_ref().retry_buffer_truncated();
        let was_repeated = std::mem::replace(&mut passage.is_repeated, true);
        let repicks = passage.forward.as_ref().is_some_and(|forward| forward.rule.repick);
        if may_repeat && repicks && !was_repeated && session.response_written().is_none() {
            error.retry.decide_reuse(reused);
        } else {
            error.set_retry(false);
        }
        if error.esource() == &ErrorSource::Upstream && !error.retry() {
            self.parts.counters.upstream_resets.add();
            if let Some(attempt) = &passage.attempt {
                self.parts.upstreams.failed(attempt);
            }
            passage.blame(Fault::Upstream(error.to_string().into()));
        }
        error
    }

    /// The backend answered: what its status says of the endpoint.
    pub(super) fn heard(&self, head: &ResponseHeader, passage: &Passage) {
        let Some(attempt) = &passage.attempt else { return };
        match head.status.as_u16() {
            100 | 102..=199 => {}
            502..=504 => self.parts.upstreams.failed(attempt),
            _ => attempt.succeeded(),
        }
    }
}

/// Whether an endpoint did not prove who it is, or TLS with it failed otherwise.
fn is_tls(error: &Error) -> bool {
    matches!(error.etype(), ErrorType::TLSHandshakeFailure | ErrorType::InvalidCert)
}

/// How many endpoints a request is offered to while none can be connected to.
const MOST_ENDPOINTS: usize = 4;
