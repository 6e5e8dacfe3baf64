//! Requests that the gateway sends beside its clients' own: copies for mirrors, questions to authorities.
//!
//! In: a backend as decided, for whose traffic, a head. Out: an exchange with one endpoint of it, over Pingora's connector and to the
//! same peers as traffic: endpoints, their health, TLS and its checks are those of `upstream`. The connections kept are this room's
//! own.
//!
//! Invariants: **nothing is sent before the endpoint has proven what was asked of it**; only a connect is tried on another endpoint,
//! never an exchange.

use std::sync::Arc;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, Version, header};
use pingora_core::connectors::http::Connector;
use pingora_core::protocols::http::client::HttpSession;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::{Error, ErrorType, OrErr, Result};
use pingora_http::{RequestHeader, ResponseHeader};

use gateway_core::snapshot::{Backend, BackendProtocol, Listener};

use crate::upstream::{Attempt, POOLED, Unfit, Upstreams};

/// Sends requests of the gateway's own.
pub(crate) struct Asides {
    connector: Connector,
    upstreams: Arc<Upstreams>,
}

/// What follows the head of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// Nothing.
    None,
    /// As many bytes as `Content-Length` says; where it says nothing, until they end.
    Follows,
}

/// One exchange.
pub(crate) struct Aside {
    session: HttpSession,
    peer: Box<HttpPeer>,
    attempt: Attempt,
    is_reused: bool,
}

/// Why there is no connection on which anything may be sent.
struct Unmet {
    error: Box<Error>,
    /// Whether it was one that had been kept, and proves nothing.
    is_reused: bool,
}

impl Asides {
    pub(crate) fn new(upstreams: Arc<Upstreams>) -> Self {
        Self { connector: Connector::new(None), upstreams }
    }

    /// Connects to an endpoint of a backend, for traffic of a listener.
    ///
    /// # Errors
    /// Why nothing can be sent: no endpoint, none reachable, none that proved who it is.
    pub(crate) async fn open(&self, backend: &Arc<Backend>, listener: &Listener) -> Result<Aside> {
        let mut tried = Vec::new();
        let mut is_repeated = false;
        loop {
            let mut attempt = self.upstreams.pick(backend, listener, &tried).map_err(|unfit| {
                let why = match unfit {
                    Unfit::NoEndpoint => "no endpoint to ask".to_owned(),
                    Unfit::Broken(why) => why.to_string(),
                };
                Error::explain(ErrorType::ConnectError, why)
            })?;
            let peer = self.upstreams.peer(backend, &attempt);
            match self.connect(backend, &peer, &attempt).await {
                Ok((session, is_reused)) => {
                    attempt.connected();
                    return Ok(Aside { session, peer, attempt, is_reused });
                }
                // One that was kept may be with an endpoint that is gone: the next is not kept.
                Err(Unmet { is_reused: true, .. }) if !is_repeated => is_repeated = true,
                Err(Unmet { error, .. }) => {
                    self.upstreams.unreachable(&attempt);
                    tried.push(attempt.address());
                    if tried.len() >= backend.endpoints.len().min(MOST_ENDPOINTS) {
                        return Err(error);
                    }
                }
            }
        }
    }

    async fn connect(&self, backend: &Backend, peer: &HttpPeer, attempt: &Attempt) -> Result<(HttpSession, bool), Unmet> {
        let connected = self.connector.get_http_session(peer).await;
        let (session, is_reused) = connected.map_err(|error| Unmet { error, is_reused: false })?;
        let checked = attempt.check(session.digest(), self.upstreams.connect_timeout()).await;
        checked.or_err(ErrorType::InvalidCert, "the endpoint").map_err(|error| Unmet { error, is_reused })?;
        if backend.protocol == BackendProtocol::Http2 && session.as_http2().is_none() {
            let error = Error::explain(ErrorType::InvalidCert, "HTTP/2 was not negotiated");
            return Err(Unmet { error, is_reused: false });
        }
        Ok((session, is_reused))
    }

    /// Ends an exchange; its connection is kept where the response was read to its end.
    pub(crate) async fn close(&self, mut aside: Aside) {
        // Pingora knows nothing of the end of a response whose head it has not read.
        if aside.is_done() {
            self.connector.release_http_session(aside.session, &*aside.peer, Some(POOLED)).await;
        } else {
            aside.session.shutdown().await;
        }
    }
}

impl Aside {
    /// Sends the head, in the form that the protocol spoken needs.
    pub(crate) async fn send_head(&mut self, mut head: RequestHeader, body: Body) -> Result<()> {
        let host = host(&head)?;
        for name in OF_A_CONNECTION {
            head.remove_header(&name);
        }
        if body == Body::None {
            head.remove_header(&header::TRANSFER_ENCODING);
        }
        let path = head.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        if self.session.as_http2().is_some() {
            head.remove_header(&header::TRANSFER_ENCODING);
            head.remove_header(&header::HOST);
            head.set_version(Version::HTTP_2);
            let scheme = if self.peer.is_tls() { "https" } else { "http" };
            let uri = Uri::builder().scheme(scheme).authority(host.as_bytes()).path_and_query(path).build();
            head.set_uri(uri.or_err(ErrorType::InvalidHTTPHeader, "host")?);
        } else {
            head.set_version(Version::HTTP_11);
            head.set_uri(Uri::from(path));
            head.insert_header(header::HOST, host)?;
            let is_framed =
                head.headers.contains_key(header::CONTENT_LENGTH) || head.headers.contains_key(header::TRANSFER_ENCODING);
            if body == Body::Follows && !is_framed {
                head.insert_header(header::TRANSFER_ENCODING, "chunked")?;
            }
        }
        match (&mut self.session, body) {
            // The end goes with it: who answers at once may not want to hear of it any more.
            (HttpSession::H2(session), Body::None) => session.write_request_header(Box::new(head), true),
            (session, Body::None) => {
                session.write_request_header(Box::new(head)).await?;
                session.finish_request_body().await
            }
            (session, Body::Follows) => session.write_request_header(Box::new(head)).await,
        }
    }

    /// Sends the body, and its end with it.
    pub(crate) async fn send_whole(&mut self, body: Bytes) -> Result<()> {
        self.session.write_request_body(body, true).await?;
        self.finish().await
    }

    /// Sends a piece of the body.
    pub(crate) async fn send(&mut self, piece: Bytes) -> Result<()> {
        self.session.write_request_body(piece, false).await
    }

    /// Ends the body.
    pub(crate) async fn finish(&mut self) -> Result<()> {
        self.session.finish_request_body().await
    }

    /// Reads the head of the response; informational ones are passed over.
    pub(crate) async fn head(&mut self) -> Result<&ResponseHeader> {
        loop {
            self.session.read_response_header().await?;
            let is_final = self.session.response_header().is_some_and(|head| !head.status.is_informational());
            if is_final || self.session.as_http2().is_some() {
                break;
            }
        }
        self.attempt.succeeded();
        self.session.response_header().ok_or_else(|| Error::explain(ErrorType::InvalidHTTPHeader, "no response"))
    }

    /// Reads the next piece of the response's body; `None` at its end.
    pub(crate) async fn read(&mut self) -> Result<Option<Bytes>> {
        self.session.read_response_body().await
    }

    /// Reads the trailers of the response, once its body has ended; `None` where there are none, or none are read.
    pub(crate) async fn trailers(&mut self) -> Result<Option<HeaderMap>> {
        match &mut self.session {
            HttpSession::H2(session) => session.read_trailers().await,
            HttpSession::H1(_) | HttpSession::Custom(()) => Ok(None),
        }
    }

    /// Whether its connection had been used before: the endpoint may have closed it meanwhile.
    pub(crate) fn is_reused(&self) -> bool {
        self.is_reused
    }

    /// Whether a response was read to its end.
    pub(crate) fn is_done(&mut self) -> bool {
        self.is_answered() && self.session.response_done()
    }

    /// Whether the head of a response was read.
    pub(crate) fn is_answered(&self) -> bool {
        self.session.response_header().is_some()
    }
}

/// Whom a request is for.
pub(crate) fn host(head: &RequestHeader) -> Result<HeaderValue> {
    if let Some(host) = head.headers.get(header::HOST) {
        return Ok(host.clone());
    }
    let authority = head.uri.authority().map_or("", |authority| authority.as_str());
    HeaderValue::from_str(authority).or_err(ErrorType::InvalidHTTPHeader, "host")
}

/// What concerns one connection, or waits for leave that nobody here gives.
const OF_A_CONNECTION: [HeaderName; 6] = [
    header::CONNECTION,
    header::UPGRADE,
    header::EXPECT,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
];

/// How many endpoints are tried while none can be connected to.
const MOST_ENDPOINTS: usize = 4;
