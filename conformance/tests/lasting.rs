//! What lasts, while everything changes: WebSockets, gRPC streams, connections of bytes and flows of datagrams, in clear and over TLS, go
//! on while routes come and go, endpoints go from three to none and back, listeners are added and removed, and certificates rotate,
//! their own routes and endpoints included; of a flow the route alone, as it goes where its endpoint is. New requests, handshakes,
//! connections and flows meet what stands.
//!
//! What changes has a version that the editor counts up, and settles once it was seen served. A request is judged by the versions that
//! stood between the one settled before it was sent and the last one written when its answer was there: these may be what it met, nothing
//! else. So 503 counts as right only where there may have been no endpoint.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says where")]

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use conformance::http::{Request, ask};
use conformance::manifest::{a_namespace, a_service, a_service_over, file_of};
use conformance::program::{Program, Running};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SerialNumber};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

/// How long the edits go on, and between two of them.
const FOR: Duration = Duration::from_secs(6);
const PAUSE: Duration = Duration::from_millis(200);
/// No other number in a certificate is near.
const FIRST_SERIAL: u64 = 64;
/// Whom clients of HTTPS ask for.
const NAME: &str = "lasting.example";
/// The same of connections of bytes, whose TLS ends at the gateway.
const ENDED: &str = "ended.example";
/// The same of those whose route and endpoint come and go.
const KEPT: &str = "kept.example";
/// What takes longer never comes.
const PATIENCE: Duration = Duration::from_secs(5);

#[test]
fn changes_cut_nothing_that_lasts_and_new_traffic_meets_what_stands() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let backends = Backends::start().await;
        let world = Arc::new(World::new(&backends));
        for part in Part::ALL {
            world.write(part, 1);
        }
        let folder = world.root.path().join("served");
        let program = Program::serving(&[&folder]).ports(&[80, 443, 9000, 9001, 8088, 9002, 9003, 9004]).start().unwrap();
        let at = Sockets::of(&program);
        let ends = Instant::now() + FOR;

        let mut tasks = Vec::new();
        let said = Arc::new(AtomicUsize::new(0));
        for nth in 0..5 {
            let (world, said) = (Arc::clone(&world), Arc::clone(&said));
            // What lasts is opened before the first edit.
            match nth {
                0 => tasks.push(lasting("a WebSocket", upgraded(TcpStream::connect(at.http).await.unwrap()).await, ends, said)),
                1 => tasks.push(lasting(
                    "a WebSocket over TLS",
                    upgraded(world.tls(at.https, NAME, b"http/1.1").await.unwrap().0).await,
                    ends,
                    said,
                )),
                2 => tasks.push(lasting(
                    "a connection of bytes over TLS",
                    world.tls(at.https, KEPT, b"bytes").await.unwrap().0,
                    ends,
                    said,
                )),
                3 => tasks.push(lasting("a connection of bytes", TcpStream::connect(at.kept_tcp).await.unwrap(), ends, said)),
                _ => tasks.push(tokio::spawn(flow(at.kept_udp, ends, said))),
            }
        }
        for tls in [false, true] {
            let stream: Box<dyn Duplex> = match tls {
                false => Box::new(TcpStream::connect(at.http).await.unwrap()),
                true => Box::new(world.tls(at.https, NAME, b"h2").await.unwrap().0),
            };
            let opened = call(stream, tls).await;
            tasks.push(tokio::spawn(streaming(opened, ends, Arc::clone(&said))));
        }
        for part in [Part::Toggled, Part::Churn] {
            for _ in 0..3 {
                tasks.push(tokio::spawn(asking(Arc::clone(&world), part, at.http, ends)));
            }
        }
        tasks.push(tokio::spawn(shaking_hands(Arc::clone(&world), at.https, ends)));
        tasks.push(tokio::spawn(opening_streams(Arc::clone(&world), at.https, ends)));
        tasks.push(tokio::spawn(connecting(at.tcp, at.udp, ends)));

        let meeting = tokio::spawn(meeting_bytes(Arc::clone(&world), at.kept_tcp, ends));
        let edit = |parts: Vec<Part>| {
            let world = Arc::clone(&world);
            tokio::task::spawn_blocking(move || world.edit_until(&parts, ends, at))
        };
        // A route is toggled all the time, whatever else is edited meanwhile.
        let (toggling, editing) = (edit(vec![Part::Toggled]), edit(Part::ALL[1..].to_vec()));
        let (toggles, edits) = (toggling.await.unwrap(), editing.await.unwrap());
        for task in tasks {
            task.await.unwrap();
        }
        let (met, refused) = meeting.await.unwrap();
        let said = said.load(Ordering::SeqCst);
        println!("{toggles} toggles, {edits} other edits, {said} words over what lasts, {met} met and {refused} refused");
        assert!(toggles >= 15 && edits >= 12 && said >= 150, "{toggles} toggles, {edits} other edits, {said} words");
        assert!(met > 0 && refused > 0, "{met} connections of bytes met an endpoint, {refused} none");
    });
}

/// What is edited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// A route that is removed and added.
    Toggled,
    /// A Service with three endpoints and none.
    Churn,
    /// The certificate of the HTTPS listener.
    Certificate,
    /// Listeners that are added and removed.
    Coming,
    /// The endpoints behind what lasts.
    LastingEndpoints,
    /// The routes of what lasts.
    LastingRoutes,
}

/// What has to be there for new connections of bytes by a route that comes and goes.
const OF_BYTES: [Part; 2] = [Part::LastingRoutes, Part::LastingEndpoints];

impl Part {
    const ALL: [Self; 6] =
        [Self::Toggled, Self::Churn, Self::Certificate, Self::Coming, Self::LastingEndpoints, Self::LastingRoutes];

    /// Whether what comes and goes is there in this version.
    fn is_there(version: u64) -> bool {
        version % 2 == 1
    }

    /// The status that a request meets when this version is served.
    fn status(self, version: u64) -> u16 {
        match (self, Self::is_there(version)) {
            (_, true) | (Self::Certificate, _) => 200,
            (Self::Churn | Self::LastingEndpoints, _) => 503,
            (Self::Toggled | Self::LastingRoutes | Self::Coming, _) => 404,
        }
    }

    fn host(self) -> &'static str {
        match self {
            Self::Toggled => "toggled.example",
            Self::Churn => "churn.example",
            Self::Certificate | Self::Coming | Self::LastingEndpoints | Self::LastingRoutes => "lasting.example",
        }
    }
}

/// Where the program listens.
#[derive(Clone, Copy)]
struct Sockets {
    http: SocketAddr,
    https: SocketAddr,
    tcp: SocketAddr,
    udp: SocketAddr,
    kept_tcp: SocketAddr,
    kept_udp: SocketAddr,
    coming: SocketAddr,
}

impl Sockets {
    fn of(program: &Running) -> Self {
        let at = |port| program.socket(port);
        let (kept_tcp, kept_udp) = (at(9003), at(9004));
        Self { http: at(80), https: at(443), tcp: at(9000), udp: at(9001), kept_tcp, kept_udp, coming: at(8088) }
    }
}

/// What stands behind the gateway.
struct Backends {
    web: Vec<SocketAddr>,
    lasting: SocketAddr,
    calls: SocketAddr,
    bytes: SocketAddr,
    datagrams: SocketAddr,
}

impl Backends {
    async fn start() -> Self {
        let mut web = Vec::new();
        // The endpoints of one slice have one port.
        let first = talking(Ipv4Addr::LOCALHOST, 0).await;
        web.push(first);
        for host in [2, 3] {
            web.push(talking(Ipv4Addr::new(127, 0, 0, host), first.port()).await);
        }
        let datagrams = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = datagrams.local_addr().unwrap();
        tokio::spawn(async move {
            let mut bytes = [0; 1024];
            while let Ok((count, client)) = datagrams.recv_from(&mut bytes).await {
                let _ = datagrams.send_to(&bytes[..count], client).await;
            }
        });
        let bytes = serving(Ipv4Addr::LOCALHOST, 0, give_back).await;
        let (lasting, calls) = (talking(Ipv4Addr::LOCALHOST, 0).await, serving(Ipv4Addr::LOCALHOST, 0, answer_calls).await);
        Self { web, lasting, calls, bytes, datagrams: address }
    }
}

/// A backend that answers each request 200, or gives back what follows an upgrade.
async fn talking(host: Ipv4Addr, port: u16) -> SocketAddr {
    serving(host, port, converse).await
}

async fn serving<F>(host: Ipv4Addr, port: u16, serve: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind((host, port)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

async fn give_back(mut stream: TcpStream) {
    let (mut from, mut to) = stream.split();
    let _ = tokio::io::copy(&mut from, &mut to).await;
}

async fn converse(mut stream: TcpStream) {
    let mut read = Vec::new();
    loop {
        while !read.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let is_upgrade = String::from_utf8_lossy(&read).to_ascii_lowercase().contains("upgrade: websocket");
        read.clear();
        let answer: &[u8] = match is_upgrade {
            true => b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            false => b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        };
        if stream.write_all(answer).await.is_err() {
            return;
        }
        if is_upgrade {
            return give_back(stream).await;
        }
    }
}

/// Gives back the pieces of each call, and ends it well.
async fn answer_calls(stream: TcpStream) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        tokio::spawn(async move {
            let head = http::Response::builder().header("content-type", "application/grpc").body(()).unwrap();
            let Ok(mut out) = respond.send_response(head, false) else { return };
            let mut body = request.into_body();
            while let Some(Ok(piece)) = body.data().await {
                let _ = body.flow_control().release_capacity(piece.len());
                let _ = out.send_data(piece, false);
            }
            let _ = out.send_trailers([("grpc-status".parse().unwrap(), "0".parse().unwrap())].into_iter().collect());
        });
    }
}

/// What is served, and how far its versions have come.
struct World {
    root: TempDir,
    web: Vec<SocketAddr>,
    lasting: SocketAddr,
    calls: SocketAddr,
    bytes: SocketAddr,
    written: [AtomicU64; 6],
    settled: [AtomicU64; 6],
    issuer: Issuer<'static, KeyPair>,
    roots: RootCertStore,
}

impl World {
    fn new(backends: &Backends) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = authority.self_signed(&key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        let root = TempDir::new().unwrap();
        fs::create_dir(root.path().join("served")).unwrap();
        let ones = || std::array::from_fn(|_| AtomicU64::new(1));
        let Backends { web, lasting, calls, bytes, .. } = backends;
        let issuer = Issuer::new(authority, key);
        let (web, lasting, calls, bytes) = (web.clone(), *lasting, *calls, *bytes);
        let world = Self { root, web, lasting, calls, bytes, written: ones(), settled: ones(), issuer, roots };
        let mut fixed = vec![a_namespace("default", &[].into()), route("HTTPRoute", "churn", Some("churn.example"), "churn", 80)];
        fixed.extend(a_service("default/web", 80, &world.web));
        fixed.extend(a_service("default/bytes", 9000, &[backends.bytes]));
        fixed.extend(a_service_over("UDP", "default/datagrams", 9001, &[backends.datagrams]));
        fixed.push(route("TCPRoute", "bytes", None, "bytes", 9000));
        fixed.push(route("TLSRoute", "ended", Some(ENDED), "bytes", 9000));
        fixed.push(route("UDPRoute", "datagrams", None, "datagrams", 9001));
        world.replace("fixed.yaml", &fixed);
        world
    }

    fn since(&self, part: Part) -> u64 {
        self.settled[part as usize].load(Ordering::SeqCst)
    }

    /// Panics unless a version that stood is as this says.
    fn judge(&self, part: Part, since: u64, seen: impl std::fmt::Debug, is_it: impl Fn(u64) -> bool) {
        let until = self.written[part as usize].load(Ordering::SeqCst);
        assert!((since..=until).any(is_it), "{part:?}: {seen:?} while versions {since} to {until} stood");
    }

    /// Edits one part after another until then, each seen served before the next; says how often.
    fn edit_until(&self, parts: &[Part], ends: Instant, at: Sockets) -> usize {
        let mut edits = 0;
        for part in parts.iter().copied().cycle() {
            if Instant::now() >= ends {
                return edits;
            }
            let version = self.written[part as usize].fetch_add(1, Ordering::SeqCst) + 1;
            self.write(part, version);
            let started = Instant::now();
            while !self.is_served(part, version, at) {
                assert!(started.elapsed() < PATIENCE, "{part:?}: version {version} is never served");
                std::thread::sleep(Duration::from_millis(2));
            }
            self.settled[part as usize].store(version, Ordering::SeqCst);
            edits += 1;
            std::thread::sleep(PAUSE);
        }
        edits
    }

    fn is_served(&self, part: Part, version: u64, at: Sockets) -> bool {
        let status = |at| ask(at, &Request::get(part.host(), "/")).map(|answer| answer.status).ok();
        match part {
            Part::Certificate => {
                let shown = tokio::runtime::Handle::current().block_on(self.tls(at.https, NAME, b"http/1.1"));
                shown.is_ok_and(|(_, certificate)| is_of(&certificate, version))
            }
            Part::Coming => status(at.coming).is_some() == Part::is_there(version),
            Part::LastingRoutes | Part::LastingEndpoints => {
                let stands = |part: Part| part.status(self.written[part as usize].load(Ordering::SeqCst));
                let due = [Part::LastingRoutes, Part::LastingEndpoints].map(stands).into_iter().find(|status| *status != 200);
                status(at.http) == Some(due.unwrap_or(200))
            }
            Part::Toggled | Part::Churn => status(at.http) == Some(part.status(version)),
        }
    }

    fn write(&self, part: Part, version: u64) {
        let is_there = Part::is_there(version);
        match part {
            Part::Toggled => {
                let routes = [route("HTTPRoute", "toggled", Some("toggled.example"), "web", 80)];
                self.replace("toggled.yaml", if is_there { &routes } else { &[] });
            }
            Part::Churn => {
                let endpoints = if is_there { &self.web[..] } else { &[] };
                self.replace("churn.yaml", &a_service("default/churn", 80, endpoints));
            }
            Part::Certificate => {
                let key = KeyPair::generate().unwrap();
                let mut params = CertificateParams::new([NAME, ENDED, KEPT].map(str::to_owned)).unwrap();
                params.serial_number = Some(SerialNumber::from(FIRST_SERIAL + version));
                let certificate = params.signed_by(&key, &self.issuer).unwrap();
                let data =
                    json!({"tls.crt": STANDARD.encode(certificate.pem()), "tls.key": STANDARD.encode(key.serialize_pem())});
                let secret = json!({
                    "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
                    "metadata": {"namespace": "default", "name": "certificate"}, "data": data,
                });
                self.replace("certificate.yaml", &[secret]);
            }
            Part::Coming => self.replace("gateway.yaml", &[gateway(is_there)]),
            Part::LastingEndpoints => {
                let endpoints = |address: SocketAddr| if is_there { vec![address] } else { Vec::new() };
                let mut objects = Vec::from(a_service("default/lasting", 80, &endpoints(self.lasting)));
                objects.extend(a_service("default/calls", 80, &endpoints(self.calls)));
                objects.extend(a_service("default/kept", 9003, &endpoints(self.bytes)));
                self.replace("lasting-endpoints.yaml", &objects);
            }
            Part::LastingRoutes => {
                let routes = [
                    route("HTTPRoute", "lasting", Some("lasting.example"), "lasting", 80),
                    route("GRPCRoute", "calls", Some("lasting.example"), "calls", 80),
                    route("TCPRoute", "kept", None, "kept", 9003),
                    route("TLSRoute", "kept-ended", Some(KEPT), "kept", 9003),
                    route("UDPRoute", "kept-datagrams", None, "datagrams", 9001),
                ];
                self.replace("lasting-routes.yaml", if is_there { &routes } else { &[] });
            }
        }
    }

    /// Puts a file in place whole.
    fn replace(&self, name: &str, objects: &[Value]) {
        let beside: PathBuf = self.root.path().join(name);
        fs::write(&beside, file_of(objects)).unwrap();
        fs::rename(beside, self.root.path().join("served").join(name)).unwrap();
    }

    /// A connection over TLS, and the certificate that was shown.
    async fn tls(
        &self,
        at: SocketAddr,
        name: &'static str,
        alpn: &[u8],
    ) -> std::io::Result<(tokio_rustls::client::TlsStream<TcpStream>, Vec<u8>)> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config = builder.with_root_certificates(self.roots.clone()).with_no_client_auth();
        config.alpn_protocols = vec![alpn.to_vec()];
        let name = ServerName::try_from(name).unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, TcpStream::connect(at).await?).await?;
        let shown = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
        Ok((stream, shown))
    }
}

/// The Gateway, with its listeners that come and go or without.
fn gateway(coming: bool) -> Value {
    let mut listeners = vec![
        json!({"name": "http", "protocol": "HTTP", "port": 80}),
        json!({"name": "https", "protocol": "HTTPS", "port": 443, "tls": {"certificateRefs": [{"name": "certificate"}]}}),
        json!({"name": "ended", "protocol": "TLS", "port": 443, "hostname": ENDED,
            "tls": {"mode": "Terminate", "certificateRefs": [{"name": "certificate"}]}}),
        json!({"name": "kept-ended", "protocol": "TLS", "port": 443, "hostname": KEPT,
            "tls": {"mode": "Terminate", "certificateRefs": [{"name": "certificate"}]}}),
        json!({"name": "kept", "protocol": "TCP", "port": 9003}),
        json!({"name": "kept-datagrams", "protocol": "UDP", "port": 9004}),
        json!({"name": "bytes", "protocol": "TCP", "port": 9000}),
        json!({"name": "datagrams", "protocol": "UDP", "port": 9001}),
    ];
    if coming {
        listeners.push(json!({"name": "coming", "protocol": "HTTP", "port": 8088}));
        listeners.push(json!({"name": "coming-bytes", "protocol": "TCP", "port": 9002}));
    }
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"namespace": "default", "name": "edge"},
        "spec": {"gatewayClassName": "any", "listeners": listeners},
    })
}

/// A route of this kind to a Service; of bytes and datagrams at the listener of its own name.
fn route(kind: &str, name: &str, host: Option<&str>, service: &str, port: u16) -> Value {
    let mut parent = json!({"name": "edge"});
    if host.is_none() {
        parent["sectionName"] = name.into();
    }
    let mut route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": kind, "metadata": {"namespace": "default", "name": name},
        "spec": {"parentRefs": [parent], "rules": [{"backendRefs": [{"name": service, "port": port}]}]},
    });
    if let Some(host) = host {
        route["spec"]["hostnames"] = json!([host]);
    }
    route
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// The same connection, once it is a WebSocket's.
async fn upgraded<S: Duplex>(mut stream: S) -> S {
    let head = b"GET /chat HTTP/1.1\r\nHost: lasting.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        assert_ne!(timeout(PATIENCE, stream.read_buf(&mut read)).await.unwrap().unwrap(), 0);
    }
    assert!(read.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&read));
    stream
}

/// Says a word, and hears it, again and again.
fn lasting(
    what: &'static str,
    mut stream: impl Duplex + 'static,
    ends: Instant,
    said: Arc<AtomicUsize>,
) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        for word in 0_u64.. {
            let (word, mut heard) = (word.to_be_bytes(), [0; 8]);
            let spoken = async {
                stream.write_all(&word).await?;
                stream.flush().await?;
                stream.read_exact(&mut heard).await
            };
            timeout(PATIENCE, spoken).await.expect(what).unwrap_or_else(|error| panic!("{what} was cut: {error}"));
            assert_eq!(heard, word, "{what}");
            said.fetch_add(1, Ordering::SeqCst);
            if Instant::now() >= ends {
                return;
            }
            sleep(Duration::from_millis(40)).await;
        }
    })
}

/// The same over a flow of datagrams.
async fn flow(to: SocketAddr, ends: Instant, said: Arc<AtomicUsize>) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    socket.connect(to).await.unwrap();
    for word in 0_u64.. {
        let (word, mut heard) = (word.to_be_bytes(), [0; 16]);
        socket.send(&word).await.unwrap();
        let count = timeout(PATIENCE, socket.recv(&mut heard)).await.expect("a datagram was lost").unwrap();
        assert_eq!(&heard[..count], word);
        said.fetch_add(1, Ordering::SeqCst);
        if Instant::now() >= ends {
            return;
        }
        sleep(Duration::from_millis(40)).await;
    }
}

/// A call that has begun, both ways.
async fn call(stream: Box<dyn Duplex>, is_tls: bool) -> (h2::client::ResponseFuture, h2::SendStream<Bytes>) {
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let scheme = if is_tls { "https" } else { "http" };
    let head = http::Request::post(format!("{scheme}://lasting.example/chat.Chat/Talk"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    sender.ready().await.unwrap().send_request(head.body(()).unwrap(), false).unwrap()
}

/// Says pieces over a call, and hears them; in the end it ends well.
async fn streaming(
    (answer, mut out): (h2::client::ResponseFuture, h2::SendStream<Bytes>),
    ends: Instant,
    said: Arc<AtomicUsize>,
) {
    out.send_data(Bytes::from_static(b"hello"), false).unwrap();
    let mut body = timeout(PATIENCE, answer).await.unwrap().unwrap().into_body();
    let mut due = b"hello".to_vec();
    loop {
        let mut heard = Vec::new();
        while heard.len() < due.len() {
            let piece = timeout(PATIENCE, body.data()).await.unwrap().expect("a call was cut").unwrap();
            body.flow_control().release_capacity(piece.len()).unwrap();
            heard.extend_from_slice(&piece);
        }
        assert_eq!(heard, due);
        let words = said.fetch_add(1, Ordering::SeqCst);
        if Instant::now() >= ends {
            break;
        }
        sleep(Duration::from_millis(40)).await;
        due = words.to_be_bytes().to_vec();
        out.send_data(due.clone().into(), false).unwrap();
    }
    out.send_data(Bytes::new(), true).unwrap();
    assert!(timeout(PATIENCE, body.data()).await.unwrap().is_none());
    let trailers = timeout(PATIENCE, body.trailers()).await.unwrap().unwrap();
    assert_eq!(trailers.unwrap()["grpc-status"], "0");
}

/// Asks for what comes and goes, on connections that are kept.
async fn asking(world: Arc<World>, part: Part, at: SocketAddr, ends: Instant) {
    let head = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", part.host());
    let mut stream = TcpStream::connect(at).await.unwrap();
    while Instant::now() < ends {
        let since = world.since(part);
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut read = Vec::new();
        let text = loop {
            let count = timeout(PATIENCE, stream.read_buf(&mut read)).await.expect("an answer").unwrap();
            assert_ne!(count, 0, "{part:?}: the connection was closed: {:?}", String::from_utf8_lossy(&read));
            let text = String::from_utf8_lossy(&read).to_ascii_lowercase();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.split_once("content-length: ").map(|(_, rest)| rest.lines().next().unwrap_or("").parse());
                if length.is_some_and(|length| length == Ok(body.len())) {
                    break text;
                }
            }
        };
        let status: u16 = text[9..12].parse().unwrap();
        world.judge(part, since, status, |version| part.status(version) == status);
        sleep(Duration::from_millis(10)).await;
    }
}

/// Ends handshakes, with the certificate that stands.
async fn shaking_hands(world: Arc<World>, at: SocketAddr, ends: Instant) {
    while Instant::now() < ends {
        let since = world.since(Part::Certificate);
        let (_stream, shown) = timeout(PATIENCE, world.tls(at, NAME, b"http/1.1")).await.unwrap().expect("a handshake fails");
        world.judge(Part::Certificate, since, "another certificate", |version| is_of(&shown, version));
        sleep(Duration::from_millis(30)).await;
    }
}

/// Opens connections of bytes over TLS, with the certificate that stands, which are answered.
async fn opening_streams(world: Arc<World>, at: SocketAddr, ends: Instant) {
    while Instant::now() < ends {
        let since = world.since(Part::Certificate);
        let (mut stream, shown) = timeout(PATIENCE, world.tls(at, ENDED, b"bytes")).await.unwrap().expect("a handshake fails");
        world.judge(Part::Certificate, since, "another certificate", |version| is_of(&shown, version));
        let mut heard = [0; 2];
        stream.write_all(b"hi").await.unwrap();
        timeout(PATIENCE, stream.read_exact(&mut heard)).await.expect("a new stream").unwrap();
        sleep(Duration::from_millis(30)).await;
    }
}

/// Opens connections of bytes by a route, and to an endpoint, that come and go: each is answered while both are there, and else it
/// ends at once. Says how many did which.
async fn meeting_bytes(world: Arc<World>, at: SocketAddr, ends: Instant) -> (usize, usize) {
    let (mut met, mut refused) = (0, 0);
    while Instant::now() < ends {
        let since = OF_BYTES.map(|part| world.since(part));
        let spoken = async {
            // Whoever is refused may learn it as early as here.
            let mut stream = TcpStream::connect(at).await?;
            stream.write_all(b"hi").await?;
            stream.read_exact(&mut [0; 2]).await
        };
        let is_met = timeout(PATIENCE, spoken).await.expect("an answer, or an end").is_ok();
        if is_met {
            met += 1;
            for (part, since) in OF_BYTES.into_iter().zip(since) {
                world.judge(part, since, "an answer", Part::is_there);
            }
        } else {
            refused += 1;
            let was_gone = OF_BYTES.into_iter().zip(since).any(|(part, since)| {
                let until = world.written[part as usize].load(Ordering::SeqCst);
                (since..=until).any(|version| !Part::is_there(version))
            });
            assert!(was_gone, "a connection was refused while route and endpoint stood");
        }
        sleep(Duration::from_millis(10)).await;
    }
    (met, refused)
}

/// Whether a certificate is that of a version: its serial number, which has one byte, says so.
fn is_of(certificate: &[u8], version: u64) -> bool {
    certificate.windows(3).any(|bytes| bytes == [2, 1, (FIRST_SERIAL + version) as u8])
}

/// Opens connections of bytes, and flows, which are answered.
async fn connecting(tcp: SocketAddr, udp: SocketAddr, ends: Instant) {
    while Instant::now() < ends {
        let mut heard = [0; 2];
        let mut stream = TcpStream::connect(tcp).await.unwrap();
        stream.write_all(b"hi").await.unwrap();
        timeout(PATIENCE, stream.read_exact(&mut heard)).await.expect("a new connection").unwrap();
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        socket.send_to(b"hi", udp).await.unwrap();
        timeout(PATIENCE, socket.recv(&mut heard)).await.expect("a new flow").unwrap();
        sleep(Duration::from_millis(30)).await;
    }
}
