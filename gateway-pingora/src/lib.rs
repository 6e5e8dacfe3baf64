//! Gateway API on Cloudflare Pingora: listeners, requests and filters, performed as [`gateway_core`] decides them.
//!
//! [`gateway_core::compile::Compiler`] turns objects into snapshots; this crate serves the current one. It opens the ports that the
//! snapshot's listeners name, ends TLS, admits and decides every request, performs its filters and asks a backend. A new snapshot is
//! one pointer: connections and requests in progress do not notice.
//!
//! ```text
//! Compiler ─► Snapshot ─► Gateway::live ─► ports follow, requests decide
//!     ▲                                          │
//!     └──────────── Gateway::facts ◄─────────────┘  bound, refused, resolved
//! ```
//!
//! Within a Pingora server, [`Gateway::service`] is a service like any other; on a plain tokio runtime, [`Gateway::run`] is the same.
//! Filters of one's own are types that implement [`Filter`], registered under the kind by which routes refer to them. In `examples`
//! stand three to copy (`sign`, `token`, `count`), a program around the gateway (`embed`), and a `ProxyHttp` around ours (`around`).
//!
//! ```
//! use std::sync::Arc;
//!
//! use async_trait::async_trait;
//! use gateway_core::compile::{Compiler, Options};
//! use gateway_pingora::{Exchange, Filter, FilterError, Gateway, ResponseHeader, SUPPORT};
//!
//! struct Banner(String);
//!
//! #[async_trait]
//! impl Filter for Banner {
//!     async fn response(&self, _: &mut Exchange, head: &mut ResponseHeader) -> Result<(), FilterError> {
//!         Ok(head.insert_header("X-Banner", self.0.as_str())?)
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let gateway = Gateway::builder()
//!     .filter("example.com", "Banner", |spec| {
//!         let text = spec["text"].as_str().ok_or("a Banner needs a text")?;
//!         Ok(Banner(text.to_owned()))
//!     })
//!     .map_port(80, 8080)
//!     .build()?;
//!
//! let options = Options { support: SUPPORT, extensions: gateway.extensions().clone(), ..Options::default() };
//! let mut compiler = Compiler::new(options);
//! let update = compiler.apply([]); // objects come here, and the facts that the gateway tells
//! gateway.live().publish(update.snapshot);
//! gateway.resolve(&update.names);
//!
//! let serving = tokio::spawn({
//!     let gateway = gateway.clone();
//!     async move { gateway.run().await }
//! });
//! gateway.drain(std::time::Duration::ZERO).await; // when it is time to go
//! # serving.await.map_err(std::io::Error::other)
//! # }
//! ```

#![forbid(unsafe_code)]

mod alive;
mod answer;
mod aside;
mod auth;
mod connection;
mod cors;
mod crowd;
mod datagram;
mod deadline;
mod facts;
mod filter;
pub mod filters;
mod listen;
mod live;
mod mirror;
mod names;
mod observe;
mod passage;
mod proxy;
mod session;
mod spans;
mod stream;
mod tls;
mod trace_context;
mod upstream;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use pingora_core::protocols::http::v2::server::default_h2_options;
use pingora_core::server::configuration::ServerConf;
use pingora_proxy::{ProxyHttp, http_proxy};
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use gateway_core::compile::{Extensions, Fact};
use gateway_core::name::GroupKind;
use gateway_core::snapshot::Settings;
use gateway_core::support::{Capability, Support};

pub use connection::Connection;
pub use filter::{Exchange, Filter, FilterError};
pub use listen::{Service, listen};
pub use live::Live;
pub use observe::{Counters, Fault, Record, StreamRecord};
pub use passage::Passage;
pub use pingora_http::{RequestHeader, ResponseHeader};
pub use proxy::Proxy;
pub use session::SessionKey;

use crowd::Crowd;
use datagram::Datagrams;

/// What this crate performs.
pub const SUPPORT: Support = Support::of(&[
    Capability::Http,
    Capability::Https,
    Capability::DetectMisdirected,
    Capability::EditResponse,
    Capability::Rewrite,
    Capability::Cors,
    Capability::Mirror,
    Capability::AuthHttp,
    Capability::AuthGrpc,
    Capability::ListenerFilters,
    Capability::BackendFilters,
    Capability::DirectResponse,
    Capability::H2c,
    Capability::WebSocket,
    Capability::Grpc,
    Capability::TlsPassthrough,
    Capability::TlsTerminate,
    Capability::Tcp,
    Capability::RequestTimeout,
    Capability::BackendTimeout,
    Capability::Retry,
    Capability::RetryBudget,
    Capability::SessionPersistence,
    Capability::BackendTls,
    Capability::BackendTlsNames,
    Capability::BackendClientCertificate,
    Capability::Udp,
    Capability::ClientValidation,
    Capability::InsecureFallback,
    Capability::TlsOptions,
    Capability::ProxyProtocol,
    Capability::ExternalNames,
    Capability::XBackend,
    Capability::ServiceImport,
    Capability::Tracing,
])
.forwarding(proxy::permission::HELD);

/// A gateway, ready to serve what is published to it. Cloning it copies pointers.
#[derive(Clone)]
pub struct Gateway {
    proxy: Proxy,
    premises: Arc<listen::Premises>,
    extensions: Arc<Extensions>,
    pool: usize,
    streams: u32,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("extensions", &self.extensions).finish_non_exhaustive()
    }
}

impl Gateway {
    /// A gateway with the built-in filters, to add one's own to.
    pub fn builder() -> Builder {
        let builder = Builder {
            filters: filter::Registry::default(),
            ports: listen::PortMap::default(),
            on_records: None,
            on_streams: None,
            stream_idle: STREAM_IDLE,
            flow_idle: FLOW_IDLE,
            flows: FLOWS,
            connect_timeout: CONNECT_TIMEOUT,
            auth_timeout: AUTH_TIMEOUT,
            pool: POOL,
            connections: CONNECTIONS,
            streams: STREAMS,
            inherited: listen::Inherited::default(),
            name_servers: Vec::new(),
        };
        builder.filter(filters::GROUP, "RequestId", filters::RequestId::read)
    }

    /// The current snapshot: publish new ones here.
    pub fn live(&self) -> &Live {
        &self.premises.live
    }

    /// The kinds of extension filter that are registered, for the compiler's options.
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// Keeps host names resolved while the gateway serves (`true`), or no longer (`false`): the compiler's `Update::names`. What they
    /// resolve to is among the facts, and is asked again before it expires. While no name server answers, the last answer holds for
    /// an hour.
    pub fn resolve(&self, names: &BTreeMap<Arc<str>, bool>) {
        self.premises.names.want(names);
    }

    /// Seals the sessions of clients with the first of these keys from now on, and knows those that any of them sealed. Gateways that
    /// share keys honour each other's sessions: a key that is to replace another is added behind it everywhere, then put before it.
    /// Without keys nothing changes; before the first are given a key is made up, and its sessions end with the process.
    pub fn seal_sessions(&self, keys: impl IntoIterator<Item = SessionKey>) {
        self.proxy.parts.sessions.replace(keys.into_iter().collect());
    }

    /// What becomes of sockets and host names: first all facts that hold now, then every further one. They belong into the compiler.
    pub fn facts(&self) -> mpsc::UnboundedReceiver<Fact> {
        self.premises.facts.listen()
    }

    /// What was counted so far.
    pub fn counters(&self) -> &Counters {
        &self.premises.counters
    }

    /// The gateway as a `ProxyHttp`, for a proxy of one's own to delegate to: every callback that ours implements, or what it would have
    /// done is left undone; the example `around` has them all. Under Pingora's own listeners a connection in clear
    /// counts for the socket of its local port; one over TLS is refused with 421, as its server name is not known.
    pub fn proxy(&self) -> Proxy {
        self.proxy.clone()
    }

    /// The gateway's listeners as a Pingora service, serving the gateway itself. Within a runtime, build one and serve it once.
    pub fn service(&self) -> Service<Proxy> {
        self.service_with(self.proxy())
    }

    /// The gateway's listeners as a Pingora service, serving a proxy of one's own that delegates to [`Gateway::proxy`].
    pub fn service_with<P>(&self, outer: P) -> Service<P>
    where
        P: ProxyHttp + Send + Sync + 'static,
        P::CTX: Send + Sync,
    {
        let conf = ServerConf { max_retries: TRIES, upstream_keepalive_pool_size: self.pool, ..ServerConf::default() };
        let mut proxy = http_proxy(&Arc::new(conf), outer);
        let mut options = proxy.server_options.take().unwrap_or_default();
        options.h2c = true;
        proxy.server_options = Some(options);
        let mut h2 = default_h2_options();
        h2.max_concurrent_streams(self.streams);
        h2.initial_window_size(H2_STREAM_WINDOW).initial_connection_window_size(H2_CONNECTION_WINDOW);
        proxy.h2_options = Some(h2);
        Service { premises: Arc::clone(&self.premises), proxy: Arc::new(proxy) }
    }

    /// Serves on the current tokio runtime until [`Gateway::drain`] is called; then until the last connection has ended.
    pub async fn run(&self) {
        // The sender lives as long as the call: nothing else ends it.
        let (_running, shutdown) = watch::channel(false);
        self.service().serve(shutdown).await;
    }

    /// Duplicates of all sockets that are listened on, for another process to take over ([`Builder::inherit`]). While both listen,
    /// either accepts; once this one is drained, the other has all, and no connection was refused.
    ///
    /// # Errors
    /// When the process may open no further file.
    pub fn sockets(&self) -> io::Result<Vec<OwnedFd>> {
        self.premises.open.duplicates()
    }

    /// Closes sockets that were inherited and that no listener asked for, and says how many they were. Worth calling once the first
    /// configuration is served: until then connections wait in them.
    pub fn close_inherited(&self) -> usize {
        self.premises.inherited.close()
    }

    /// Closes all ports and lets connections end: responses announce it, idle connections end a little later, and after `deadline`
    /// the rest is cut. Returns when nobody is left or the deadline has come, with the number of connections that are left; spans
    /// that were not sent yet are sent by then, where their collectors are quick, and all records are received.
    pub async fn drain(&self, deadline: Duration) -> usize {
        let by = Instant::now() + deadline;
        self.premises.stop.send_replace(Some(deadline));
        let left = self.premises.crowd.gone(by).await;
        self.proxy.parts.spans.flush(by).await;
        if let Some(sink) = &self.proxy.parts.sink {
            sink.flush().await;
        }
        if let Some(sink) = &self.premises.streams.sink {
            sink.flush().await;
        }
        left
    }
}

/// What a gateway is built from.
#[must_use = "a builder does nothing until `build`"]
pub struct Builder {
    filters: filter::Registry,
    ports: listen::PortMap,
    on_records: Option<observe::Receive<Record>>,
    on_streams: Option<observe::Receive<StreamRecord>>,
    stream_idle: Duration,
    flow_idle: Duration,
    flows: usize,
    connect_timeout: Duration,
    auth_timeout: Duration,
    pool: usize,
    connections: usize,
    streams: u32,
    inherited: listen::Inherited,
    name_servers: Vec<SocketAddr>,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("filters", &self.filters).field("ports", &self.ports).finish_non_exhaustive()
    }
}

impl Builder {
    /// Registers a kind of extension filter: `read` makes a filter of an object's `spec` (`null` where it has none), or says why it
    /// cannot; the text becomes part of the route's status.
    pub fn filter<F: Filter>(
        mut self,
        group: &str,
        kind: &str,
        read: impl Fn(&Value) -> Result<F, String> + Send + Sync + 'static,
    ) -> Self {
        self.filters.insert(GroupKind::new(group, kind), read);
        self
    }

    /// Adds a filter for every request that is answered or forwarded by a rule, before the rule's own.
    pub fn always(mut self, filter: impl Filter) -> Self {
        self.filters.always.push(Arc::new(filter));
        self
    }

    /// Binds port `bound` for listeners that name port `named`, as a NAT in front of the process would.
    pub fn map_port(mut self, named: u16, bound: u16) -> Self {
        self.ports.0.insert(named, bound);
        self
    }

    /// Sockets that another process listened on ([`Gateway::sockets`]): a listener whose address one is bound to takes it instead of
    /// binding its own.
    pub fn inherit(mut self, sockets: impl IntoIterator<Item = TcpListener>) -> Self {
        self.inherited.add(sockets);
        self
    }

    /// The same for sockets that are written datagrams. Nothing is read of them before [`Gateway::close_inherited`]: both processes
    /// would, and a flow's datagrams would go now here, now there.
    pub fn inherit_datagrams(mut self, sockets: impl IntoIterator<Item = UdpSocket>) -> Self {
        self.inherited.add_datagrams(sockets);
        self
    }

    /// Calls `receive` with a record of every request, on a thread of its own, some milliseconds after its end at the latest. Records
    /// that it is too slow for are lost and counted.
    pub fn on_record(self, mut receive: impl FnMut(Record) + Send + 'static) -> Self {
        self.on_records(move |records| records.for_each(&mut receive))
    }

    /// The same with all records that came since it was called last, at least one: for who writes them somewhere, and would rather do
    /// that once. In the place of `on_record`, not beside it.
    pub fn on_records(mut self, receive: impl FnMut(&mut dyn Iterator<Item = Record>) + Send + 'static) -> Self {
        self.on_records = Some(Box::new(receive));
        self
    }

    /// As `on_record`, for connections whose bytes are forwarded, of TLSRoutes and TCPRoutes, and for flows of datagrams, of UDPRoutes.
    pub fn on_stream(self, mut receive: impl FnMut(StreamRecord) + Send + 'static) -> Self {
        self.on_streams(move |records| records.for_each(&mut receive))
    }

    /// As `on_records`, for connections and flows.
    pub fn on_streams(mut self, receive: impl FnMut(&mut dyn Iterator<Item = StreamRecord>) + Send + 'static) -> Self {
        self.on_streams = Some(Box::new(receive));
        self
    }

    /// How long a connection of a TLSRoute or TCPRoute may carry no byte in either direction: an hour unless told otherwise. A peer
    /// that is gone without a word is noticed earlier, by the system's keep-alive probes.
    pub fn stream_idle_timeout(mut self, time: Duration) -> Self {
        self.stream_idle = time;
        self
    }

    /// How long nothing may pass between a client and the endpoint of a UDPRoute before the next datagram begins another flow: a minute
    /// unless told otherwise.
    pub fn flow_idle_timeout(mut self, time: Duration) -> Self {
        self.flow_idle = time;
        self
    }

    /// How many flows of datagrams a socket may have: 4096 unless told otherwise. For one more, the one that was silent for longest
    /// ends; where all have just spoken, the datagram is dropped. Each counts among [`Builder::max_connections`], too.
    pub fn max_flows(mut self, count: usize) -> Self {
        self.flows = count;
        self
    }

    /// How long a connect to an endpoint may take: 5 seconds unless told otherwise.
    pub fn connect_timeout(mut self, time: Duration) -> Self {
        self.connect_timeout = time;
        self
    }

    /// How long the backend of an `ExternalAuth` may take to say whether a request may pass, connecting included: 5 seconds unless told
    /// otherwise. Then the client is told 504.
    pub fn auth_timeout(mut self, time: Duration) -> Self {
        self.auth_timeout = time;
        self
    }

    /// How many connections of clients may be open, of all listeners: 16384 unless told otherwise. One more is told 503 where that is
    /// cheap (HTTP in clear), else closed.
    pub fn max_connections(mut self, count: usize) -> Self {
        self.connections = count;
        self
    }

    /// How many requests a client may have open on one HTTP/2 connection: 100 unless told otherwise.
    pub fn max_concurrent_streams(mut self, count: u32) -> Self {
        self.streams = count;
        self
    }

    /// How many idle connections to endpoints are kept, per thread of the server: 4096 unless told otherwise.
    pub fn pooled_connections(mut self, count: usize) -> Self {
        self.pool = count;
        self
    }

    /// Asks these name servers for host names of backends, and neither those that the system names nor its file of hosts.
    pub fn name_servers(mut self, servers: impl IntoIterator<Item = SocketAddr>) -> Self {
        self.name_servers = servers.into_iter().collect();
        self
    }

    /// Builds the gateway. It serves nothing until a snapshot is published and a service runs.
    ///
    /// # Errors
    /// When the thread for records cannot be started, or the system has no random numbers.
    pub fn build(self) -> io::Result<Gateway> {
        let counters = Arc::new(Counters::default());
        let upstreams = Arc::new(upstream::Upstreams::new(Arc::clone(&counters), self.connect_timeout));
        let live = Arc::new(Live::new(Arc::clone(&upstreams)));
        let asides = Arc::new(aside::Asides::new(Arc::clone(&upstreams)));
        let crowd = Arc::<Crowd>::default();
        let sink = self.on_streams.map(observe::Sink::start).transpose()?;
        let datagrams = Datagrams {
            live: Arc::clone(&live),
            upstreams: Arc::clone(&upstreams),
            counters: Arc::clone(&counters),
            sink: sink.clone(),
            crowd: Arc::clone(&crowd),
            crowd_most: self.connections,
            most: self.flows,
            idle: self.flow_idle,
        };
        let streams = stream::Streams {
            upstreams: Arc::clone(&upstreams),
            counters: Arc::clone(&counters),
            sink,
            connect_timeout: self.connect_timeout,
            idle: self.stream_idle,
            pipes: stream::Pipes::default(),
        };
        let spans = spans::Spans::new(Arc::clone(&live), Arc::clone(&asides), Arc::clone(&upstreams), Arc::clone(&counters));
        let parts = proxy::Parts {
            live: Arc::clone(&live),
            upstreams,
            spans,
            mirrors: mirror::Mirrors::new(Arc::clone(&asides), Arc::clone(&counters)),
            authorities: auth::Authorities::new(asides, self.auth_timeout),
            sessions: session::KeyRing::made_up()?,
            counters: Arc::clone(&counters),
            always: self.filters.always.into(),
            sink: self.on_records.map(observe::Sink::start).transpose()?,
            settings: Arc::new(Settings::default()),
        };
        let facts: Arc<facts::Facts> = Arc::default();
        let names = names::Names::new(self.name_servers.into(), Arc::clone(&facts), Arc::clone(&counters));
        let premises = listen::Premises {
            live,
            counters,
            configs: tls::Configs::default(),
            ports: self.ports,
            facts,
            names,
            crowd,
            most: self.connections,
            overflow: listen::Overflow::default(),
            inherited: self.inherited,
            streams,
            datagrams: Arc::new(datagrams),
            open: listen::Open::default(),
            stop: watch::Sender::new(None),
        };
        Ok(Gateway {
            proxy: Proxy { parts: Arc::new(parts) },
            premises: Arc::new(premises),
            extensions: Arc::new(self.filters.extensions),
            pool: self.pool,
            streams: self.streams,
        })
    }
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const AUTH_TIMEOUT: Duration = Duration::from_secs(5);
const STREAM_IDLE: Duration = Duration::from_secs(3600);
const FLOW_IDLE: Duration = Duration::from_secs(60);
const POOL: usize = 4096;
/// Each takes a socket.
const FLOWS: usize = 4096;
/// Idle, they take half a gigabyte over HTTP/2.
const CONNECTIONS: usize = 16_384;
/// As most servers allow; a page of a browser needs fewer.
const STREAMS: u32 = 100;
/// Pingora's own bound on tries; ours is the number of endpoints.
const TRIES: usize = 1 << 20;
/// What a client may send on a stream, or on all of a connection, before it must wait.
const H2_STREAM_WINDOW: u32 = 1 << 20;
const H2_CONNECTION_WINDOW: u32 = 4 << 20;
