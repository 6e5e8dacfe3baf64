//! A backend: one port of one Service, with the endpoints that serve it now.
//!
//! In: what the compiler resolved from Services and EndpointSlices. Out: addresses to choose from and how to speak to them.
//! Health, pools and the choice among endpoints belong to whoever connects.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::name::ObjectName;

/// The number of a backend, never reused within one compiler. Meaningless outside it: compare backends by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackendId(pub(crate) u32);

/// One port of one Service, as backendRefs name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackendName {
    /// The Service.
    pub service: ObjectName,
    /// The Service's port, not the endpoints'.
    pub port: u16,
}

impl fmt::Display for BackendName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.service, self.port)
    }
}

/// What is spoken to the endpoints (`Service.spec.ports[].appProtocol`, GEP-1911).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BackendProtocol {
    /// HTTP/1.1 in clear, WebSocket upgrades included.
    Http1,
    /// HTTP/2 in clear by prior knowledge (`kubernetes.io/h2c`).
    H2c,
}

/// A backend as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Its number.
    pub id: BackendId,
    /// Its name.
    pub name: BackendName,
    /// What is spoken to it.
    pub protocol: BackendProtocol,
    /// Endpoints that may serve, each once, sorted. Empty: requests are answered 503.
    pub endpoints: Arc<[SocketAddr]>,
    /// Changes when anything but the endpoints does, equal for equal content: a key for state derived from configuration.
    pub fingerprint: u64,
}
