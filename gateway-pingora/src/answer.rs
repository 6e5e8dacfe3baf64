//! Responses of the gateway's own: answers, refusals and failures, written in one place.
//!
//! In: a status, with headers and a body where there are any. Out: a response in the manner the client understands: plain HTTP, or
//! for gRPC a response of trailers only. A small request body that nobody read is read first, so that the connection can go on; a
//! large one ends it. Over HTTP/2, where every connection can go on, it is read after the response, a backend's too.
//!
//! Invariants: filters that saw the request see these responses too, except a failure of their own.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use pingora_core::protocols::http::ServerSession;
use pingora_error::Result;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use tokio::time::timeout;

use crate::cors;
use crate::observe::Fault;
use crate::passage::Passage;

/// A response to write.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
}

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// It goes on where it can.
    GoOn,
    /// It ends: what follows on it could be misread.
    Close,
}

impl Response {
    /// The response for an error, in plain HTTP.
    fn error(status: StatusCode) -> Self {
        let text = status.canonical_reason().unwrap_or("Error");
        let mut headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"))];
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.push((header::ALLOW, HeaderValue::from_static(METHODS)));
        }
        Self { status, headers, body: Bytes::from(format!("{text}\n")) }
    }

    /// The response for an error, in the manner of gRPC: the status is 200, and the trailers, sent as headers, tell the rest.
    fn grpc_error(status: StatusCode) -> Self {
        let text = status.canonical_reason().unwrap_or("Error");
        let headers = vec![
            (header::CONTENT_TYPE, HeaderValue::from_static("application/grpc")),
            (GRPC_STATUS, HeaderValue::from_static(grpc_status(status))),
            (GRPC_MESSAGE, HeaderValue::from_static(text)),
        ];
        Self { status: StatusCode::OK, headers, body: Bytes::new() }
    }
}

impl From<http::Response<Bytes>> for Response {
    fn from(response: http::Response<Bytes>) -> Self {
        let (head, body) = response.into_parts();
        let mut headers = Vec::with_capacity(head.headers.len());
        for (name, value) in &head.headers {
            headers.push((name.clone(), value.clone()));
        }
        Self { status: head.status, headers, body }
    }
}

impl Response {
    /// The response of somebody who denies a gRPC call, in the manner of gRPC where it is not already.
    pub(crate) fn for_grpc(mut self) -> Self {
        if self.headers.iter().any(|(name, _)| *name == GRPC_STATUS) {
            return self;
        }
        let told = Self::grpc_error(self.status);
        self.headers.retain(|(name, _)| *name != header::CONTENT_TYPE);
        self.headers.extend(told.headers);
        Self { status: told.status, headers: self.headers, body: told.body }
    }
}

/// The gRPC status for an HTTP status (as in gRPC's "HTTP to gRPC Status Code Mapping", with what is retryable told so).
fn grpc_status(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 | 431 => "13",
        401 => "16",
        403 => "7",
        404 | 405 => "12",
        408 | 504 => "4",
        429 | 500 | 502 | 503 => "14",
        _ => "2",
    }
}

/// Answers with an error, and notes why.
pub(crate) async fn refuse(
    session: &mut Session,
    passage: &mut Passage,
    status: StatusCode,
    fault: Fault,
    after: After,
) -> Result<()> {
    passage.blame(fault);
    // 421 asks the client to use another connection, which gRPC has no words for.
    let mut response = if passage.is_grpc() && status != StatusCode::MISDIRECTED_REQUEST {
        Response::grpc_error(status)
    } else {
        Response::error(status)
    };
    cors::tell(&mut response.headers, passage, &session.req_header().headers);
    write(session, passage, response, after).await
}

/// Writes a response of our own.
pub(crate) async fn write(session: &mut Session, passage: &mut Passage, response: Response, after: After) -> Result<()> {
    let mut head = Box::new(ResponseHeader::build(response.status, Some(response.headers.len() + 3))?);
    for (name, value) in &response.headers {
        if !is_framing(name) {
            head.append_header(name, value.clone())?;
        }
    }
    let mut body = response.body;
    if passage.show_response(&mut head).await.is_err() {
        head = Box::new(ResponseHeader::build(StatusCode::INTERNAL_SERVER_ERROR, Some(3))?);
        body = Bytes::new();
    }
    let may_have_body = !matches!(head.status.as_u16(), 100..=199 | 204 | 304);
    let is_trailers_only = head.headers.contains_key(GRPC_STATUS);
    if may_have_body && !is_trailers_only {
        head.insert_header(header::CONTENT_LENGTH, body.len())?;
    }
    let has_body = may_have_body && !body.is_empty() && session.req_header().method != Method::HEAD;

    if after == After::Close || passage.is_draining() || !read_rest(session, passage).await {
        session.set_keepalive(None);
    }
    let downstream = session.as_downstream_mut();
    if let ServerSession::H2(stream) = downstream {
        stream.write_response_header(head, !has_body)?;
    } else {
        downstream.write_response_header(head).await?;
    }
    if has_body {
        downstream.write_response_body(body, true).await?;
    } else if !matches!(downstream, ServerSession::H2(_)) {
        downstream.finish_body().await?;
    }
    passage.is_answered = true;
    Ok(())
}

/// Lets a client of HTTP/2 finish its request when the whole response came before it had. A stream that is given up is reset, which
/// there are clients (curl 7) that take for a failure while they send, whatever they were answered; a small body is worth the wait.
pub(crate) async fn hear_out(session: &mut Session, passage: &mut Passage) {
    let downstream = session.as_downstream_mut();
    if matches!(downstream, ServerSession::H2(_)) && !downstream.is_body_done() && !is_large(downstream) {
        read_small(downstream, passage).await;
    }
}

/// Reads what is left of a small request body, which copies of the request may want; false where it is better to end the connection.
async fn read_rest(session: &mut Session, passage: &mut Passage) -> bool {
    let downstream = session.as_downstream_mut();
    let is_h2 = matches!(downstream, ServerSession::H2(_));
    if (is_h2 && passage.taps.is_empty()) || downstream.is_body_done() {
        return true;
    }
    // The client waits for leave to send its body; it will get an answer instead.
    if downstream.get_header(header::EXPECT).is_some() {
        return false;
    }
    !is_large(downstream) && read_small(downstream, passage).await || is_h2
}

/// Whether the request says that its body is one that nobody waits for.
fn is_large(downstream: &ServerSession) -> bool {
    let length = downstream.get_header(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    length.and_then(|length| length.parse::<usize>().ok()).is_some_and(|length| length > SMALL_BODY)
}

/// Reads the rest of a body that is small and comes soon; false where it is not.
async fn read_small(downstream: &mut ServerSession, passage: &mut Passage) -> bool {
    let read = async {
        let mut read = 0;
        while read <= SMALL_BODY {
            match downstream.read_request_body().await {
                Ok(Some(piece)) => {
                    read += piece.len();
                    passage.tap(Some(&piece), false);
                }
                Ok(None) => {
                    passage.tap(None, true);
                    return true;
                }
                Err(_) => return false,
            }
        }
        false
    };
    timeout(BODY_PATIENCE, read).await.unwrap_or(false)
}

/// Whether a header says how the message is framed, which is not for an answer to say.
fn is_framing(name: &HeaderName) -> bool {
    [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION].contains(name)
}

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// Bytes of an unread body worth reading for the sake of the connection.
const SMALL_BODY: usize = 64 * 1024;
/// How long that may take.
const BODY_PATIENCE: Duration = Duration::from_secs(1);
/// What is served where a method is not.
const METHODS: &str = "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS";
