//! Filters of one's own: the trait, and the registry that joins them to kinds of extension objects.
//!
//! In: types that implement [`Filter`], under the group and kind by which routes refer to their objects (`ExtensionRef`), or for
//! every request. Out: what the compiler needs to read those objects, and handles that requests run.
//!
//! Invariants: **a filter that fails or panics fails its own request with 500**, and nothing else.

use std::any::Any;
use std::fmt;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;

use async_trait::async_trait;
use bytes::Bytes;
use pingora_http::{RequestHeader, ResponseHeader};
use serde_json::Value;

use gateway_core::compile::Extensions;
use gateway_core::name::GroupKind;
use gateway_core::snapshot::filters::{Extension, Handle};

use crate::observe::Record;

/// Why a filter failed. Clients see a bare 500; the text goes to the log.
pub type FilterError = Box<dyn std::error::Error + Send + Sync>;

/// A filter for HTTP requests and their responses.
///
/// A filter whose `request` ran sees the response too, whoever gives it. Requests run filters in the order of the configuration,
/// responses in the opposite order. State that belongs to one request goes into [`Exchange::state`].
#[async_trait]
pub trait Filter: Send + Sync + 'static {
    /// Sees the request's head and may change it. A response given here is sent instead of asking a backend, and later filters do
    /// not see the request.
    async fn request(
        &self,
        exchange: &mut Exchange,
        head: &mut RequestHeader,
    ) -> Result<Option<http::Response<Bytes>>, FilterError> {
        let _ = (exchange, head);
        Ok(None)
    }

    /// Sees each piece of the request's body on its way to the backend; `end` is true with the last.
    async fn request_body(&self, exchange: &mut Exchange, piece: &mut Option<Bytes>, end: bool) -> Result<(), FilterError> {
        let _ = (exchange, piece, end);
        Ok(())
    }

    /// Sees the response's head and may change it.
    async fn response(&self, exchange: &mut Exchange, head: &mut ResponseHeader) -> Result<(), FilterError> {
        let _ = (exchange, head);
        Ok(())
    }

    /// Sees each piece of a backend's response body. It must not wait.
    fn response_body(&self, exchange: &mut Exchange, piece: &mut Option<Bytes>, end: bool) -> Result<(), FilterError> {
        let _ = (exchange, piece, end);
        Ok(())
    }

    /// Sees what became of the exchange when it is over.
    fn log(&self, exchange: &mut Exchange, record: &Record) {
        let _ = (exchange, record);
    }
}

/// One request and its response, as filters know it.
#[derive(Debug)]
pub struct Exchange {
    peer: SocketAddr,
    server_name: Option<Arc<str>>,
    target: Box<str>,
    state: http::Extensions,
}

impl Exchange {
    pub(crate) fn new(peer: SocketAddr, server_name: Option<Arc<str>>, target: Box<str>) -> Self {
        Self { peer, server_name, target, state: http::Extensions::new() }
    }

    /// Who connected. Not a header: the other end of the connection.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The server name of the TLS handshake, in lower case.
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// The request target as the client sent it.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// What filters remember from one call to the next, by type.
    pub fn state(&mut self) -> &mut http::Extensions {
        &mut self.state
    }
}

/// Filters by kind, and those for every request.
#[derive(Clone, Default)]
pub(crate) struct Registry {
    pub(crate) extensions: Extensions,
    pub(crate) always: Vec<Arc<dyn Filter>>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("extensions", &self.extensions).field("always", &self.always.len()).finish()
    }
}

impl Registry {
    /// Registers a kind whose objects `read` turns into filters; it is given the object's `spec`.
    pub(crate) fn insert<F: Filter>(
        &mut self,
        kind: GroupKind,
        read: impl Fn(&Value) -> Result<F, String> + Send + Sync + 'static,
    ) {
        let build = move |object: &Value| -> Result<Handle, String> {
            let filter: Arc<dyn Filter> = Arc::new(read(object.get("spec").unwrap_or(&Value::Null))?);
            Ok(Arc::new(filter) as Arc<dyn Any + Send + Sync>)
        };
        self.extensions.insert(kind, Arc::new(build));
    }
}

/// The filter behind a handle that a registry's builder made; `None` for a foreign handle.
pub(crate) fn of(extension: &Extension) -> Option<Arc<dyn Filter>> {
    extension.handle.downcast_ref::<Arc<dyn Filter>>().cloned()
}

/// Runs one asynchronous call of a filter; a panic in it becomes an error.
pub(crate) async fn guarded<T>(call: impl Future<Output = Result<T, FilterError>>) -> Result<T, FilterError> {
    let mut call = std::pin::pin!(call);
    std::future::poll_fn(move |cx| match catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(outcome)) => Poll::Ready(outcome),
        Err(panic) => Poll::Ready(Err(panicked(panic.as_ref()))),
    })
    .await
}

/// Runs one synchronous call of a filter; a panic in it becomes an error.
pub(crate) fn guarded_now<T>(call: impl FnOnce() -> Result<T, FilterError>) -> Result<T, FilterError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| Err(panicked(panic.as_ref())))
}

fn panicked(panic: &(dyn Any + Send)) -> FilterError {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the filter panicked: {}", text.unwrap_or("no message")).into()
}
