//! Filters as data: what to do to a request or a response, worked out when the configuration was read.
//!
//! In: `HTTPRouteFilter` as the compiler translated it. Out: edits, rewrites and answers which the data plane performs as they
//! stand. Nothing here touches a connection.

mod auth;
mod cors;
mod mirror;
mod rewrite;

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, StatusCode};

use super::fingerprint::Fingerprint;
use crate::name::ObjectId;

pub use auth::{Auth, AuthProtocol, Body, Named};
pub use cors::{Cors, Listed, OriginPattern, Origins};
pub use mirror::{Mirror, Share};
pub use rewrite::{PathRewrite, Redirect, Rewrite};

/// One filter of a rule or a backendRef that does something to requests or responses. What becomes of it for one request is a
/// `Task`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// `RequestHeaderModifier`.
    EditRequest(Arc<HeaderEdits>),
    /// `ResponseHeaderModifier`: applies to the backend's response.
    EditResponse(Arc<HeaderEdits>),
    /// `URLRewrite`.
    Rewrite(Arc<Rewrite>),
    /// `RequestMirror`.
    Mirror(Arc<Mirror>),
    /// `CORS`: applies to responses; preflights are answered in its place.
    Cors(Arc<Cors>),
    /// `ExternalAuth`.
    Auth(Arc<Auth>),
    /// `ExtensionRef` to a filter of the data plane's own.
    Extension(Extension),
}

/// One filter of a listener, for all its requests and before any route is looked at (GEP-5224).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenerFilter {
    /// `ExternalAuth`.
    Auth(Arc<Auth>),
    /// `ExtensionRef` to a filter of the data plane's own.
    Extension(Extension),
}

/// What a filter answers in place of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A redirect (`RequestRedirect`).
    Redirect(Redirect),
    /// A fixed response (`DirectResponse`).
    Respond(Arc<DirectResponse>),
}

/// Header edits; performed as set, then add, then remove.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderEdits {
    /// Replace all values.
    pub set: Box<[HeaderEdit]>,
    /// Append a value.
    pub add: Box<[HeaderEdit]>,
    /// Delete all values.
    pub remove: Box<[HeaderName]>,
}

/// A header name and value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderEdit {
    /// The name.
    pub name: HeaderName,
    /// The name in the case the manifest wrote, for HTTP/1.
    pub written: bytes::Bytes,
    /// The value.
    pub value: HeaderValue,
}

/// A fixed response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectResponse {
    /// The status code.
    pub status: StatusCode,
    /// `Content-Type`, where there is a body.
    pub content_type: HeaderValue,
    /// The body, possibly empty.
    pub body: bytes::Bytes,
}

/// An extension filter: the object that configures it, and what its builder made of it. Equal when both are the same.
#[derive(Clone)]
pub struct Extension {
    /// The object.
    pub id: ObjectId,
    /// The builder's handle, opaque here.
    pub handle: Handle,
    /// Of what the object says: two handles cannot be compared across compilers, what they were made of can.
    pub content: Fingerprint,
}

/// What a data plane made of an extension object.
pub type Handle = Arc<dyn Any + Send + Sync>;

impl PartialEq for Extension {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && std::ptr::addr_eq(Arc::as_ptr(&self.handle), Arc::as_ptr(&other.handle))
    }
}

impl Eq for Extension {}

impl fmt::Debug for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extension").field("id", &self.id).finish_non_exhaustive()
    }
}
