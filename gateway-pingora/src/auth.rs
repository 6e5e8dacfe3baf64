//! External authorization: a backend is asked whether a request may pass (`HTTPExternalAuthFilter`, GEP-1494).
//!
//! In: the filter, whom it asks, the request as it now is, its body where that goes along. Out: a verdict; or why there is none, with
//! the status to answer with: whatever keeps the backend from a verdict denies. What goes along, and what of an answer counts, was
//! decided by `gateway_core`; how it is written and read is `request`'s or, over gRPC, `check`'s.
//!
//! A question that meets a pooled connection which its endpoint had just closed is asked once more: it changes nothing.
//!
//! Invariants: **there is no way to `Permit` but an answer that says so**; every question ends, in time and in bytes.

mod check;
mod request;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, StatusCode, header};
use pingora_error::{Error, ErrorType, Result};
use pingora_http::RequestHeader;
use tokio::time::timeout;

use gateway_core::snapshot::filters::{Auth, AuthProtocol};
use gateway_core::snapshot::{Backend, Listener};

use crate::aside::{Aside, Asides, Body};
use crate::connection::Connection;
use crate::observe::Fault;

/// Asks backends whether requests may pass.
pub(crate) struct Authorities {
    asides: Arc<Asides>,
    patience: Duration,
}

/// What a backend is asked.
pub(crate) struct Question<'a> {
    pub(crate) auth: &'a Auth,
    pub(crate) backend: &'a Arc<Backend>,
    pub(crate) listener: &'a Listener,
    pub(crate) connection: &'a Connection,
    pub(crate) head: &'a RequestHeader,
    /// Where it goes along.
    pub(crate) body: Option<&'a Bytes>,
}

/// What it says.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The request may pass, changed so.
    Permit(Changes),
    /// It may not: this is the answer to the client.
    Deny(http::Response<Bytes>),
}

/// What is changed of an exchange whose request may pass.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Fields of the request.
    pub(crate) request: Vec<Change>,
    /// Fields that the request loses, after the others.
    pub(crate) remove: Vec<HeaderName>,
    /// Fields of the response.
    pub(crate) response: Vec<Change>,
}

/// What is changed of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) name: HeaderName,
    pub(crate) value: HeaderValue,
    pub(crate) how: How,
}

/// How a field is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// It has this value alone.
    Set,
    /// It has this value too.
    Append,
    /// It has this value where it had none.
    SetIfAbsent,
    /// It has this value alone where it had any.
    SetIfPresent,
}

/// Why there is no verdict.
#[derive(Debug)]
pub(crate) struct Unheard {
    pub(crate) status: StatusCode,
    pub(crate) fault: Fault,
}

impl Authorities {
    pub(crate) fn new(asides: Arc<Asides>, patience: Duration) -> Self {
        Self { asides, patience }
    }

    /// Asks, and waits for the verdict.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn ask(&self, question: Question<'_>) -> Result<Verdict, Unheard> {
        match timeout(self.patience, self.asked(&question)).await {
            Ok(Ok(verdict)) => Ok(verdict),
            Ok(Err(error)) => Err(Unheard::of(&error)),
            Err(_) => Err(Unheard {
                status: StatusCode::GATEWAY_TIMEOUT,
                fault: Fault::Authority(format!("no answer within {:?}", self.patience).into()),
            }),
        }
    }

    async fn asked(&self, question: &Question<'_>) -> Result<Verdict> {
        let mut tries = 0;
        loop {
            let mut aside = self.asides.open(question.backend, question.listener).await?;
            let verdict = question.put(&mut aside).await;
            tries += 1;
            if verdict.is_err() && aside.is_reused() && !aside.is_answered() && tries < MOST_TRIES {
                self.asides.close(aside).await;
                continue;
            }
            if aside.is_done() || !aside.is_answered() {
                self.asides.close(aside).await;
                return verdict;
            }
            // What is left of an answer is of no interest, but its connection is.
            let asides = Arc::clone(&self.asides);
            tokio::spawn(async move {
                // A body that does not end costs its connection.
                let _ = timeout(PATIENCE_FOR_REST, read(&mut aside, MOST_REST)).await;
                asides.close(aside).await;
            });
            return verdict;
        }
    }
}

impl Question<'_> {
    /// Puts it to an endpoint and reads the answer.
    async fn put(&self, aside: &mut Aside) -> Result<Verdict> {
        let (head, body) = match &self.auth.protocol {
            AuthProtocol::Http { .. } => (request::head(self)?, self.body.cloned().unwrap_or_default()),
            AuthProtocol::Grpc { .. } => (check::head(self)?, check::request(self)),
        };
        let follows = if body.is_empty() { Body::None } else { Body::Follows };
        aside.send_head(head, follows).await?;
        let sent = if follows == Body::Follows { aside.send_whole(body).await } else { Ok(()) };
        let verdict = match &self.auth.protocol {
            AuthProtocol::Http { .. } => request::verdict(self.auth, aside).await,
            AuthProtocol::Grpc { .. } => check::verdict(self.auth, aside).await,
        };
        // Who knows enough may answer before everything was sent, and take no more of it.
        if aside.is_answered() { verdict } else { sent.and(verdict) }
    }
}

impl Unheard {
    fn of(error: &Error) -> Self {
        let is_unreached = matches!(
            error.etype(),
            ErrorType::ConnectTimedout
                | ErrorType::ConnectRefused
                | ErrorType::ConnectNoRoute
                | ErrorType::ConnectError
                | ErrorType::BindError
                | ErrorType::SocketError
        );
        let status = if is_unreached { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::BAD_GATEWAY };
        Self { status, fault: Fault::Authority(error.to_string().into()) }
    }
}

/// Reads the rest of an answer.
///
/// # Errors
/// When it breaks off, or has more than `most` bytes.
async fn read(aside: &mut Aside, most: usize) -> Result<Bytes> {
    let mut all = BytesMut::new();
    while let Some(piece) = aside.read().await? {
        if all.len() + piece.len() > most {
            return Err(unreadable("it is too long"));
        }
        all.extend_from_slice(&piece);
    }
    Ok(all.freeze())
}

/// Whether a field is for an answer to change: not where it says how its message is framed, or concerns a connection.
fn may_change(name: &HeaderName) -> bool {
    !OF_A_MESSAGE.contains(name)
}

/// An answer that cannot be read.
fn unreadable(why: &'static str) -> Box<Error> {
    Error::explain(ErrorType::InvalidHTTPHeader, why)
}

/// Tries of one question, while each meets a pooled connection that turns out to be closed.
const MOST_TRIES: usize = 4;
/// Bytes of an answer's body that are passed on, or understood.
const MOST_ANSWER: usize = 256 * 1024;
/// Bytes of an answer's body that are read for the sake of the connection.
const MOST_REST: usize = 64 * 1024;
/// How long that may take.
const PATIENCE_FOR_REST: Duration = Duration::from_secs(1);
/// What concerns one message or its connection.
const OF_A_MESSAGE: [HeaderName; 9] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];
