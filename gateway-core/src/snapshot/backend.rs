//! A backend: one port of one Service, ServiceImport or XBackend in one use, with the endpoints that serve it now.
//!
//! In: what the compiler resolved from these, their EndpointSlices and policies. Out: addresses to choose from and how to speak to them.
//! Health, pools and the choice among endpoints belong to whoever connects.
//!
//! Invariants: **where TLS is asked for and cannot be spoken there is no endpoint**, so that nothing is sent in clear.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::backend_tls::Security;
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

/// What is spoken to the endpoints (`Service.spec.ports[].appProtocol`, GEP-1911; `XBackend.spec.protocol`), in clear or over TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BackendProtocol {
    /// HTTP/1.1, WebSocket upgrades included; over TLS what is negotiated, where more is offered.
    Http1,
    /// HTTP/2: in clear by prior knowledge (`kubernetes.io/h2c`).
    Http2,
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
    /// Whether over TLS.
    pub security: Security,
    /// Endpoints that may serve, each once, sorted. Empty: requests are answered 503.
    pub endpoints: Arc<[SocketAddr]>,
    /// How clients stay with an endpoint, where the XBackend or a policy says so.
    pub persistence: Option<Arc<Persistence>>,
    /// When requests to it are not tried again (XBackendTrafficPolicy, GEP-3388); no limit of its own when absent.
    pub retry_budget: Option<RetryBudget>,
}

impl Backend {
    /// Stands for all but the endpoints, equal for equal content: a key for state derived from configuration. It is computed anew each
    /// time, in some microseconds.
    pub fn fingerprint(&self) -> Fingerprint {
        let Self { id: _, name, protocol, security, endpoints: _, persistence, retry_budget } = self;
        let security = match security {
            Security::Clear => "clear".to_owned(),
            Security::Tls(tls) => format!("{} {:?}", tls.fingerprint, tls.barred),
            Security::Broken(why) => format!("broken {why}"),
        };
        let usage = format!("{:?} {protocol:?}", name.usage);
        Fingerprint::of([name.to_string(), usage, security, format!("{persistence:?} {retry_budget:?}")])
    }
}

/// How many of the requests to a backend may be retries. A retry beyond is not made, and the client gets 503.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RetryBudget {
    /// The share of the requests of `interval` that may be retries, in percent.
    pub percent: u8,
    /// The time looked back upon.
    pub interval: Duration,
    /// So many retries are permitted in any case,
    pub least: u32,
    /// within this time.
    pub least_interval: Duration,
}
