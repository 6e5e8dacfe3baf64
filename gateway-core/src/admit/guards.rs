//! The filters of a listener, as one request meets them (GEP-5224): before any route is looked at, whichever route follows, or none.
//!
//! In: a listener and the snapshot. Out: what is to run, in list order, with the backends it takes; or why the request cannot be let
//! through. Running them is the data plane's.
//!
//! Invariants: an authorization has its backend, and that has an endpoint, or the request is refused.

use std::sync::Arc;

use super::Reason;
use crate::snapshot::filters::{Auth, Extension, ListenerFilter};
use crate::snapshot::{Backend, Listener, Snapshot};

/// One filter to run before a request is decided.
#[derive(Clone, Debug)]
pub enum Guard {
    /// Ask this backend whether the request may pass, and go on only when it says so.
    Auth(Arc<Auth>, Arc<Backend>),
    /// Run a filter of the data plane.
    Extension(Extension),
}

/// The guards of a listener.
pub(super) fn guards(listener: &Listener, snapshot: &Snapshot) -> Result<Vec<Guard>, Reason> {
    let filters = listener.filters.as_ref().map_err(|why| Reason::Listener(Arc::clone(why)))?;
    let guard = |filter: &ListenerFilter| match filter {
        ListenerFilter::Auth(auth) => {
            let backend = snapshot.backend(auth.backend).filter(|backend| Reason::against(backend, &listener.gateway).is_none());
            Ok(Guard::Auth(Arc::clone(auth), Arc::clone(backend.ok_or(Reason::NoAuthority)?)))
        }
        ListenerFilter::Extension(extension) => Ok(Guard::Extension(extension.clone())),
    };
    if filters.is_empty() {
        return Ok(Vec::new()); // Most have none, and collecting takes its time even then.
    }
    filters.iter().map(guard).collect()
}
