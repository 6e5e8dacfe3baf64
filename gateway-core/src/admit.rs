//! The first half of verb two: a request head on a socket meets its listener, or is refused.
//!
//! In: where a request arrived and its head. Out: the listener that answers for its host, and the path in normal form; or a
//! `Refusal`. Looks at no route. Framing (lengths, transfer codings) is the business of whoever reads the bytes.
//!
//! Filters of the listener run between this half and the other, and may change the head but never the listener.
//!
//! The listener is the one that answers for the host, over TLS also for the server name of the handshake: one that answers for
//! less is never tried instead, and a request for another listener's host on this connection is misdirected (GEP-3567).

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use http::request::Parts;
use http::{Method, StatusCode};

use crate::name::ObjectName;
use crate::snapshot::matching::PathPattern;
use crate::snapshot::matching::path::{self, Slashes};
use crate::snapshot::{Backend, Fingerprint, Listener, Listeners, Rule, Security, Site, Snapshot, Socket};

/// Why a policy is not in force for a Gateway.
const UNTOLD: &str = "the status of the policy for TLS to this backend has no room for this Gateway";

#[cfg(test)]
pub(crate) mod fixture;
mod grpc;
mod guards;
pub(crate) mod host;

pub use grpc::{GrpcStatus, is_grpc};
pub use guards::Guard;
use host::{Authority, Host};

/// What is known of a connection before its first request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The socket it was accepted on, as configured.
    pub socket: Socket,
    /// What the TLS handshake told; `None` for a connection in clear.
    pub tls: Option<Handshake>,
}

/// What a TLS handshake told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handshake {
    /// The server name the client asked for, in lower case; `None` when it named none.
    pub server_name: Option<Arc<str>>,
    /// The fingerprint of the client validation that the client passed; `None` when none was asked for.
    pub validation: Option<Fingerprint>,
}

/// A request that met its listener. Holds the snapshot until it is decided.
#[derive(Clone, Debug)]
pub struct Admitted {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) site: Arc<Site>,
    /// `None` for HTTP/1.0 without Host.
    pub(crate) host: Option<Host>,
    /// The path in normal form, where it differs from the head's.
    pub(crate) path: Option<Box<str>>,
    /// What has to run before it may be decided.
    guards: Vec<Guard>,
    /// The authority as it came, where guards may change the head; empty for none.
    authority: Option<Box<[u8]>>,
}

impl Admitted {
    /// The listener.
    pub fn listener(&self) -> &Arc<Listener> {
        &self.site.listener
    }

    /// The path in normal form: what routes are matched with, and what must be forwarded.
    pub fn path<'a>(&'a self, head: &'a Parts) -> &'a str {
        self.path.as_deref().unwrap_or_else(|| head.uri.path())
    }

    /// The filters of the listener, to run in this order before the request is decided; one that answers itself ends it. They may
    /// change method, path and headers, and `rehead` has to follow. Empty when they have run, or there are none.
    pub fn guards(&self) -> &[Guard] {
        &self.guards
    }

    /// Takes note that all guards have run and let the request pass, and that its head is this now. The listener stays the one
    /// that was found, and the host the one that was asked for, whatever the head says of it; the path is put into normal form
    /// anew.
    ///
    /// # Errors
    /// A `Refusal` with status 400 or 405 when the head is not one to decide on.
    pub fn rehead(&mut self, head: &Parts) -> Result<(), Refusal> {
        let path = check_target(head).and_then(|()| path_of(head, self.listener()));
        let at_listener = |reason| Refusal { listener: Some(Arc::clone(self.listener())), ..Refusal::new(reason) };
        self.path = path.map_err(at_listener)?;
        self.guards.clear();
        Ok(())
    }

    /// The authority as the client wrote it, empty for none, where the head may say another by now.
    pub(crate) fn authority(&self) -> Option<&[u8]> {
        self.authority.as_deref()
    }
}

/// Why a request is not answered by a rule or a backend.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// What went wrong; it maps to one status code.
    pub reason: Reason,
    /// The listener, where the request met one.
    pub listener: Option<Arc<Listener>>,
    /// The rule, where one matched.
    pub rule: Option<Arc<Rule>>,
    /// What its match asks of the path.
    pub path: Option<PathPattern>,
}

/// The reasons for a refusal, each with its status code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// 400: HTTP/1.1 without Host, or a Host that is not one host with an optional port.
    BadHost,
    /// 400: a target that is neither a path nor `*`, or a path with `%00`, `\`, or a broken escape.
    BadTarget,
    /// 405: CONNECT or TRACE.
    MethodNotServed,
    /// 404: nobody listens for this host here.
    NoListener,
    /// 404: the listener has nothing to show on TLS; the text says why.
    Closed(Arc<str>),
    /// 421: another listener of the socket answers for this host, or asks for other client certificates than the connection's.
    Misdirected,
    /// 404: no rule of the listener matches.
    NoRule,
    /// 414: a regular expression would have to be tried on more than 8 KiB of path.
    PathTooLong,
    /// 431: the same for a header value.
    HeaderTooLong,
    /// 400: the same for a query value.
    QueryTooLong,
    /// 500: the filters of the listener cannot be performed; the text says why.
    Listener(Arc<str>),
    /// 500: the filters of the listener did not run.
    Unfiltered,
    /// 500: the rule cannot forward; the text says why.
    Rule(Arc<str>),
    /// 500: the share of an invalid backendRef; the text says why.
    InvalidBackend(Arc<str>),
    /// 500: the backend should be spoken to over TLS and cannot; the text says why.
    BrokenBackend(Arc<str>),
    /// 503: the backend has no endpoint.
    NoEndpoint,
    /// 503: the backend that would say whether the request may pass has no endpoint.
    NoAuthority,
}

impl Reason {
    /// Why nothing can be sent to a backend for a Gateway; `None` when something can.
    pub(crate) fn against(backend: &Backend, gateway: &ObjectName) -> Option<Self> {
        match &backend.security {
            Security::Broken(why) => Some(Self::BrokenBackend(Arc::clone(why))),
            Security::Tls(tls) if tls.barred.binary_search(gateway).is_ok() => Some(Self::BrokenBackend(UNTOLD.into())),
            Security::Clear | Security::Tls(_) => backend.endpoints.is_empty().then_some(Self::NoEndpoint),
        }
    }

    /// The status code to answer with.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::BadHost | Self::BadTarget | Self::QueryTooLong => StatusCode::BAD_REQUEST,
            Self::MethodNotServed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NoListener | Self::Closed(_) | Self::NoRule => StatusCode::NOT_FOUND,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::PathTooLong => StatusCode::URI_TOO_LONG,
            Self::HeaderTooLong => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Listener(_) | Self::Unfiltered | Self::Rule(_) | Self::InvalidBackend(_) | Self::BrokenBackend(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Self::NoEndpoint | Self::NoAuthority => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The status to answer a gRPC call with.
    pub fn grpc_status(&self) -> GrpcStatus {
        match self {
            Self::BadHost | Self::BadTarget | Self::Unfiltered => GrpcStatus::Internal,
            Self::MethodNotServed | Self::NoListener | Self::Closed(_) | Self::NoRule => GrpcStatus::Unimplemented,
            Self::PathTooLong | Self::HeaderTooLong | Self::QueryTooLong => GrpcStatus::ResourceExhausted,
            // On a connection of its own the call may be served.
            Self::Misdirected => GrpcStatus::Unavailable,
            Self::Listener(_)
            | Self::Rule(_)
            | Self::InvalidBackend(_)
            | Self::BrokenBackend(_)
            | Self::NoEndpoint
            | Self::NoAuthority => GrpcStatus::Unavailable,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadHost => "the Host is missing or malformed",
            Self::BadTarget => "the request target is malformed",
            Self::MethodNotServed => "this method is not served",
            Self::NoListener => "no listener answers for this host",
            Self::Misdirected => "another listener answers for this host",
            Self::NoRule => "no rule matches",
            Self::PathTooLong => "the path is too long",
            Self::HeaderTooLong => "a header value is too long",
            Self::QueryTooLong => "a query value is too long",
            Self::Listener(why) | Self::Rule(why) | Self::InvalidBackend(why) | Self::BrokenBackend(why) => why,
            Self::Closed(why) => return write!(f, "the listener is closed: {why}"),
            Self::Unfiltered => "the filters of the listener did not run",
            Self::NoEndpoint => "the backend has no endpoint",
            Self::NoAuthority => "the backend that authorizes requests has no endpoint",
        })
    }
}

impl Refusal {
    fn new(reason: Reason) -> Self {
        Self { reason, listener: None, rule: None, path: None }
    }
}

/// Finds the listener of a request and puts its path into normal form.
///
/// # Errors
/// A `Refusal` with status 400, 404, 405 or 421 (listener selection: `GatewaySpec.Listeners`, GEP-3567), or 500 or 503 where the
/// listener's filters cannot be performed.
pub fn admit(snapshot: &Arc<Snapshot>, arrival: &Arrival, head: &Parts) -> Result<Admitted, Refusal> {
    check_target(head).map_err(Refusal::new)?;
    let host = host::of(head).map_err(|_| Refusal::new(Reason::BadHost))?.map(Authority::host);
    let listeners = snapshot.listeners(&arrival.socket).ok_or_else(|| Refusal::new(Reason::NoListener))?;
    let name = host.as_ref().and_then(Host::name);
    let site = select(listeners, arrival.tls.as_ref(), name).map_err(Refusal::new)?;
    let at_listener = |reason| Refusal { listener: Some(Arc::clone(&site.listener)), ..Refusal::new(reason) };
    let path = path_of(head, &site.listener).map_err(at_listener)?;
    let guards = guards::guards(&site.listener, snapshot).map_err(at_listener)?;
    let authority = (!guards.is_empty()).then(|| host::written(head).unwrap_or_default().into());
    Ok(Admitted { snapshot: Arc::clone(snapshot), site: Arc::clone(site), host, path, guards, authority })
}

/// Whether the target and method of a request are for a listener at all.
fn check_target(head: &Parts) -> Result<(), Reason> {
    if head.method == Method::CONNECT || head.method == Method::TRACE {
        return Err(Reason::MethodNotServed);
    }
    if head.uri.path().starts_with('/') || is_asterisk(head) { Ok(()) } else { Err(Reason::BadTarget) }
}

/// Whether a request is about the server as a whole.
fn is_asterisk(head: &Parts) -> bool {
    head.uri.path() == "*" && head.method == Method::OPTIONS
}

/// The path in normal form, where it differs from the head's.
fn path_of(head: &Parts, listener: &Listener) -> Result<Option<Box<str>>, Reason> {
    if is_asterisk(head) {
        return Ok(None);
    }
    let slashes = if listener.settings.merge_slashes { Slashes::Merge } else { Slashes::Keep };
    match path::normal(head.uri.path(), slashes) {
        Ok(Cow::Borrowed(_)) => Ok(None),
        Ok(Cow::Owned(path)) => Ok(Some(path.into_boxed_str())),
        Err(_) => Err(Reason::BadTarget),
    }
}

/// The listener that answers for a host, on a connection that arrived so.
fn select<'a>(listeners: &'a Listeners, tls: Option<&Handshake>, host: Option<&str>) -> Result<&'a Arc<Site>, Reason> {
    if tls.is_some() != listeners.is_tls() {
        return Err(Reason::Misdirected);
    }
    let best = listeners.site(host).ok_or(Reason::NoListener)?;
    if let Some(handshake) = tls {
        let shaken = listeners.site(handshake.server_name.as_deref());
        // Where the host's best listener is another, either it answers for the host more specifically or the handshake's does not
        // answer for it at all.
        if shaken.is_none_or(|shaken| shaken.listener.id != best.listener.id) {
            return Err(Reason::Misdirected);
        }
        // What it passed may be less than what is asked by now, or by a listener that took the place of another.
        let demanded = best.listener.validation.as_ref().map(|validation| validation.fingerprint);
        if demanded.is_some() && demanded != handshake.validation {
            return Err(Reason::Misdirected);
        }
    }
    match &best.listener.certificates {
        Err(why) => Err(Reason::Closed(Arc::clone(why))),
        Ok(_) if best.listener.protocol.is_http() => Ok(best),
        Ok(_) => Err(Reason::NoListener),
    }
}

#[cfg(test)]
mod tests;
