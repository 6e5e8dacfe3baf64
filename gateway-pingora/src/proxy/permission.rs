//! Requests that somebody has to let pass: external authorization by rules and backends, and the filters of listeners.
//!
//! In: a request, who is asked. Out: the request as it goes on, or the answer that ends it. A body that goes along is read before, and
//! kept where Pingora keeps what it may have to send again: it is forwarded from there. That is 64 KiB, which no `forwardBody.maxSize`
//! that is accepted exceeds; a longer body is refused with 413.
//!
//! Invariants: **whoever must be asked was asked, or nothing goes on**; the filters of a listener run before it is decided, and none
//! of them changes whom the request is for.

use std::sync::Arc;

use bytes::Bytes;
use http::{StatusCode, Version, header};
use pingora_core::protocols::http::ServerSession;
use pingora_error::{Error, ErrorType};
use pingora_proxy::Session;
use tokio::time::timeout;

use gateway_core::admit::{Admitted, Guard};
use gateway_core::snapshot::Backend;
use gateway_core::snapshot::filters::{Auth, Body};

use super::steps::Stop;
use super::{Proxy, edit};
use crate::answer::{After, Response};
use crate::auth::{Question, Verdict};
use crate::observe::Fault;
use crate::passage::Passage;

impl Proxy {
    /// Runs the filters of the listener; one that answers ends the request.
    pub(super) async fn guard(
        &self,
        session: &mut Session,
        passage: &mut Passage,
        admitted: &mut Admitted,
    ) -> Result<Option<Response>, Stop> {
        for guard in admitted.guards() {
            let asked_for = edit::Host::of(session.req_header());
            let response = match guard {
                Guard::Auth(auth, backend) => self.authorize(session, passage, auth, backend).await?,
                Guard::Extension(extension) => self.ask_extension(extension, session, passage).await?,
            };
            if response.is_some() {
                return Ok(response);
            }
            Self::edited(asked_for.restore(session.req_header_mut()))?;
        }
        let head = session.req_header_mut();
        admitted.rehead(head).map_err(|refusal| {
            let status = refusal.reason.status();
            Stop { status, fault: Fault::Refused(refusal.reason), after: After::GoOn }
        })?;
        let path = admitted.path(head);
        if path != head.uri.path() {
            let path = path.to_owned();
            Self::edited(edit::set_path(head, &path))?;
        }
        Ok(None)
    }

    /// Asks whether the request may pass. The response is that of who denies it.
    pub(super) async fn authorize(
        &self,
        session: &mut Session,
        passage: &mut Passage,
        auth: &Auth,
        backend: &Arc<Backend>,
    ) -> Result<Option<Response>, Stop> {
        let (Some(connection), Some(listener)) = (passage.connection().cloned(), passage.listener.clone()) else {
            return Err(Fault::Internal("no listener to ask for".into()).into());
        };
        let body = match auth.body(0) {
            Body::Left => None,
            Body::Sent | Body::Refused(_) => Some(self.whole_body(session, passage, auth).await?),
        };
        let head = session.req_header();
        let question = Question { auth, backend, listener: &listener, connection: &connection, head, body: body.as_ref() };
        match self.parts.authorities.ask(question).await {
            Ok(Verdict::Permit(mut changes)) => {
                self.parts.counters.auth_permitted.add();
                Self::edited(edit::permitted(session.req_header_mut(), &changes))?;
                passage.told.append(&mut changes.response);
                Ok(None)
            }
            Ok(Verdict::Deny(denial)) => {
                self.parts.counters.auth_denied.add();
                passage.blame(Fault::Denied);
                let response = Response::from(denial);
                Ok(Some(if passage.is_grpc() { response.for_grpc() } else { response }))
            }
            Err(unheard) => {
                self.parts.counters.auth_failed.add();
                tracing::warn!(backend = %backend.name, fault = %unheard.fault, "nobody said whether a request may pass");
                Err(Stop { status: unheard.status, fault: unheard.fault, after: After::GoOn })
            }
        }
    }

    /// Reads the request's body, as far as it may be shown.
    async fn whole_body(&self, session: &mut Session, passage: &Passage, auth: &Auth) -> Result<Bytes, Stop> {
        let may_go = |length: u64| {
            if length > u64::from(HELD) || matches!(auth.body(length), Body::Refused(_)) {
                let status = StatusCode::PAYLOAD_TOO_LARGE;
                return Err(Stop { status, fault: Fault::BodyTooLarge, after: After::GoOn });
            }
            Ok(())
        };
        if let Some(held) = held(session) {
            return may_go(held.len() as u64).map(|()| held);
        }
        if session.is_upgrade_req() || session.as_downstream_mut().is_body_done() {
            return Ok(Bytes::new());
        }
        let stated = session.get_header(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        may_go(stated.unwrap_or(0))?;
        if session.get_header(header::EXPECT).is_some() && session.req_header().version == Version::HTTP_11 {
            let told = session.as_downstream_mut().write_continue_response().await;
            told.map_err(|error| self.broken_body(&error))?;
            session.req_header_mut().remove_header(&header::EXPECT);
        }
        let Some(connection) = passage.connection() else { return Ok(Bytes::new()) };
        let downstream = session.as_downstream_mut();
        downstream.enable_retry_buffering();
        let mut length = 0;
        loop {
            let piece = timeout(connection.settings.body_timeout, downstream.read_request_body()).await;
            match piece.unwrap_or_else(|_| Err(Error::explain(ErrorType::ReadTimedout, "reading a body to show"))) {
                Ok(Some(piece)) => {
                    length += piece.len() as u64;
                    may_go(length)?;
                }
                Ok(None) => return Ok(downstream.get_retry_buffer().unwrap_or_default()),
                Err(error) => return Err(self.broken_body(&error)),
            }
            let is_h1 = !matches!(downstream, ServerSession::H2(_));
            if is_h1 && connection.body_dawdles(length) {
                return Err(
                    self.broken_body(&Error::explain(ErrorType::ReadTimedout, "reading a body to show, too slow on average"))
                );
            }
        }
    }

    /// The client did not send what it said.
    fn broken_body(&self, error: &Error) -> Stop {
        let why = error.to_string().into();
        let (status, fault) = if error.etype() == &ErrorType::ReadTimedout {
            self.parts.counters.bodies_too_slow.add();
            (StatusCode::REQUEST_TIMEOUT, Fault::Slow(why))
        } else {
            (StatusCode::BAD_REQUEST, Fault::Client(why))
        };
        Stop { status, fault, after: After::Close }
    }
}

/// The body of a request that was read already, to be shown.
pub(super) fn held(session: &mut Session) -> Option<Bytes> {
    let downstream = session.as_downstream_mut();
    if downstream.is_body_done() { downstream.get_retry_buffer() } else { None }
}

/// Bytes of a body that Pingora holds to send them, again or at last.
pub(crate) const HELD: u32 = 64 * 1024;
