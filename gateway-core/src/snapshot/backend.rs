//! A backend: one port of one Service, with the endpoints that serve it now.
//!
//! In: what the compiler resolved from Services and EndpointSlices. Out: addresses to choose from and how to speak to them.
//! Health, pools and the choice among endpoints belong to whoever connects.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use super::fingerprint::Fingerprint;
use super::persistence::Persistence;
use crate::name::{Kind, ObjectId, ObjectName};

/// The number of a backend, never reused within one compiler. Meaningless outside it: compare backends by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackendId(pub(crate) u32);

/// What a backendRef names, and what for: the same port is another backend for another use.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackendName {
    /// A Service, a ServiceImport or an XBackend.
    pub object: ObjectId,
    /// The object's port, not the endpoints'; `None` for kinds whose objects hold it themselves.
    pub port: Option<u16>,
    /// What for.
    pub usage: Usage,
}

impl BackendName {
    /// A port of a Service, for HTTP.
    pub fn service(name: ObjectName, port: u16) -> Self {
        Self { object: ObjectId::new(Kind::Service, name), port: Some(port), usage: Usage::Http }
    }
}

/// What a backend is used for, which decides how it is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Usage {
    /// Requests of HTTPRoutes, mirrors and checks over HTTP.
    Http,
    /// Calls of GRPCRoutes and checks over gRPC: HTTP/2, whatever the port says.
    Grpc,
    /// Connections of TLSRoutes and TCPRoutes.
    Stream,
    /// Datagrams of UDPRoutes.
    Datagram,
}

impl fmt::Display for BackendName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.object.kind != Kind::Service {
            write!(f, "{} ", self.object.kind)?;
        }
        write!(f, "{}", self.object.name)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// What is spoken to the endpoints (`Service.spec.ports[].appProtocol`, GEP-1911).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BackendProtocol {
    /// HTTP/1.1 in clear, WebSocket upgrades included.
    Http1,
    /// HTTP/2 in clear by prior knowledge (`kubernetes.io/h2c`).
    H2c,
    /// Bytes as they come.
    Raw,
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
    /// How clients stay with an endpoint, where the XBackend or a policy says so.
    pub persistence: Option<Arc<Persistence>>,
    /// Changes when anything but the endpoints does, equal for equal content: a key for state derived from configuration.
    pub fingerprint: Fingerprint,
}
