//! Connections of TCPRoutes and TLSRoutes: bytes both ways, half-closes, resets, passthrough beside termination on one port.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gateway_pingora::{Fault, StreamRecord};
use rcgen::PKCS_ECDSA_P256_SHA256;
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::backend::Backend;
use crate::client::Client;
use crate::tls::{Offer, connect_at, leaf, secret};
use crate::world::{World, free_port, run, service, until};

/// A server that says its name, gives back what it gets, and says `bye` once the client has closed its half.
struct Echo {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Echo {
    async fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    stream.write_all(name.as_bytes()).await.unwrap();
                    let (mut from, mut to) = stream.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                    let _ = to.write_all(b"bye").await;
                });
            }
        });
        Self { address, task }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn tcp(more: &str, rules: &str) -> String {
    format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: default}}
spec:
  gatewayClassName: pingora
  listeners:
  - {{name: tcp, port: 8080, protocol: TCP}}
{more}
---
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {{name: r, namespace: default}}
spec:
  parentRefs: [{{name: gw, sectionName: tcp}}]
  rules: [{{backendRefs: {rules}}}]
"
    )
}

pub(crate) async fn read(stream: &mut TcpStream, count: usize) -> String {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).await.unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn bytes_go_both_ways_the_server_may_speak_first_and_halves_are_closed_one_by_one() {
    run(async {
        let echo = Echo::start("hello ").await;
        let world = World::of(&(tcp("", "[{name: s, port: 80}]") + &service("s", &[echo.address]))).await;
        let mut client = TcpStream::connect(world.at(8080)).await.unwrap();
        assert_eq!(read(&mut client, 6).await, "hello ");
        client.write_all(b"one").await.unwrap();
        assert_eq!(read(&mut client, 3).await, "one");
        client.write_all(b"two").await.unwrap();
        client.shutdown().await.unwrap();
        let mut rest = String::new();
        client.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "twobye", "the other half goes on after the client's");
        until("it is over", || world.gateway.counters().streams_open() == 0).await;
        assert_eq!(world.gateway.counters().streams_forwarded(), 1);
    });
}

#[test]
fn much_passes_with_a_slow_reader() {
    run(async {
        let echo = Echo::start("").await;
        let world = World::of(&(tcp("", "[{name: s, port: 80}]") + &service("s", &[echo.address]))).await;
        let (mut from, mut to) = TcpStream::connect(world.at(8080)).await.unwrap().into_split();
        let sent: Vec<u8> = (0..8 << 20).map(|n: u32| (n % 251) as u8).collect();
        let whole = sent.clone();
        let writing = tokio::spawn(async move {
            to.write_all(&whole).await.unwrap();
            to.shutdown().await.unwrap();
        });
        let mut got = Vec::new();
        from.read_to_end(&mut got).await.unwrap();
        writing.await.unwrap();
        assert!(got.len() == sent.len() + 3 && got.starts_with(&sent));
    });
}

#[test]
fn a_reset_of_either_side_reaches_the_other_as_one() {
    run(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let records: Arc<Mutex<Vec<StreamRecord>>> = Arc::default();
        let kept = Arc::clone(&records);
        let yaml = tcp("", "[{name: s, port: 80}]") + &service("s", &[listener.local_addr().unwrap()]);
        let world = World::with(|builder| builder.on_stream(move |record| kept.lock().unwrap().push(record)), &yaml).await;
        for (nth, client_breaks) in [true, false].into_iter().enumerate() {
            let mut client = TcpStream::connect(world.at(8080)).await.unwrap();
            let (mut endpoint, _) = listener.accept().await.unwrap();
            client.write_all(b"x").await.unwrap();
            assert_eq!(read(&mut endpoint, 1).await, "x");
            let (breaks, mut other) = if client_breaks { (client, endpoint) } else { (endpoint, client) };
            SockRef::from(&breaks).set_linger(Some(Duration::ZERO)).unwrap();
            drop(breaks);
            let error = other.read(&mut [0; 8]).await.expect_err("it is told as what it was");
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
            until("it is told", || records.lock().unwrap().len() == nth + 1).await;
        }
        let records = records.lock().unwrap();
        assert!(matches!(records[0].fault, Some(Fault::Client(_))), "{:?}", records[0]);
        assert!(matches!(records[1].fault, Some(Fault::Upstream(_))), "{:?}", records[1]);
        assert_eq!((records[0].received_bytes, records[0].sent_bytes, records[0].tries), (1, 0, 1));
    });
}

/// What a connection is told first; an error when it is reset, be it before it is even told that it was accepted.
async fn first_word(address: SocketAddr) -> std::io::Result<String> {
    let mut client = TcpStream::connect(address).await?;
    let mut bytes = [0; 16];
    let count = client.read(&mut bytes).await?;
    Ok(String::from_utf8_lossy(&bytes[..count]).into_owned())
}

/// The same; `None` when it is reset or closed.
async fn greeting(address: SocketAddr) -> Option<String> {
    first_word(address).await.ok().filter(|word| !word.is_empty())
}

#[test]
fn connections_are_shared_by_weight_and_those_of_an_invalid_backend_are_reset() {
    run(async {
        let (one, two) = (Echo::start("one").await, Echo::start("two").await);
        let backends = "[{name: s, port: 80, weight: 5}, {name: t, port: 80, weight: 3}, {name: gone, port: 80, weight: 2}]";
        let world = World::of(&(tcp("", backends) + &service("s", &[one.address]) + &service("t", &[two.address]))).await;
        let mut shares = [0; 3];
        for _ in 0..50 {
            match greeting(world.at(8080)).await.as_deref() {
                Some("one") => shares[0] += 1,
                Some("two") => shares[1] += 1,
                Some(other) => panic!("{other}"),
                None => shares[2] += 1,
            }
        }
        assert_eq!(shares, [25, 15, 10]);
        assert_eq!(world.gateway.counters().streams_refused(), 10);
    });
}

#[test]
fn an_endpoint_that_cannot_be_reached_is_passed_over_and_without_any_the_client_is_reset() {
    run(async {
        let echo = Echo::start("one").await;
        let dead: SocketAddr = (Ipv4Addr::LOCALHOST, free_port()).into();
        let world = World::of(&(tcp("", "[{name: s, port: 80}]") + &service("s", &[dead, echo.address]))).await;
        for _ in 0..8 {
            assert_eq!(greeting(world.at(8080)).await.as_deref(), Some("one"));
        }
        let alone = World::of(&(tcp("", "[{name: s, port: 80}]") + &service("s", &[dead]))).await;
        let error = first_word(alone.at(8080)).await.expect_err("nothing was said to anybody");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_stream_on_which_nothing_passes_is_ended_after_the_idle_time_and_not_while_something_does() {
    run(async {
        let echo = Echo::start("").await;
        let yaml = tcp("", "[{name: s, port: 80}]") + &service("s", &[echo.address]);
        let world = World::with(|builder| builder.stream_idle_timeout(Duration::from_millis(300)), &yaml).await;
        let mut client = TcpStream::connect(world.at(8080)).await.unwrap();
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(900) {
            client.write_all(b"x").await.unwrap();
            assert_eq!(read(&mut client, 1).await, "x");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(client.read(&mut [0; 8]).await.is_err(), "it is reset");
    });
}

const TLS: &str = "  - {name: web, port: 8443, protocol: HTTPS, hostname: web.example, tls: {certificateRefs: [{name: cert}]}}
  - {name: end, port: 8443, protocol: TLS, hostname: end.example, tls: {mode: Terminate, certificateRefs: [{name: cert}]}}
  - {name: pass, port: 8443, protocol: TLS, hostname: \"*.pass.example\", tls: {mode: Passthrough}}
";

pub(crate) fn tls_route(name: &str, host: &str, backend: &str) -> String {
    format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {{name: {name}, namespace: default}}
spec:
  parentRefs: [{{name: gw}}]
  hostnames: [{host}]
  rules: [{{backendRefs: [{{name: {backend}, port: 80}}]}}]
"
    )
}

#[test]
fn on_one_port_tls_ends_or_passes_through_by_its_server_name() {
    run(async {
        let plain = Echo::start("plain ").await;
        let web = Backend::echo("web").await;
        // A backend that ends TLS itself: another gateway.
        let inner_web = Backend::echo("inner").await;
        let (inner_certificate, inner_secret) = secret("inner", &["a.pass.example"], &PKCS_ECDSA_P256_SHA256);
        let inner =
            World::of(&(crate::tls::gateway(&[("tls", "", &["inner"])]) + &inner_secret + &crate::tls::web(&inner_web))).await;
        let (certificate, cert) = secret("cert", &["web.example", "end.example"], &PKCS_ECDSA_P256_SHA256);
        let pages = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: pages, namespace: default}
spec: {parentRefs: [{name: gw, sectionName: web}], rules: [{backendRefs: [{name: pages, port: 80}]}]}";
        let yaml = tcp(TLS, "[{name: s, port: 80}]")
            + &cert
            + &tls_route("end", "end.example", "s")
            + &tls_route("pass", "a.pass.example", "inner")
            + &service("s", &[plain.address])
            + &service("inner", &[inner.at(443)])
            + &service("pages", &[web.address])
            + pages;
        let world = World::of(&yaml).await;
        let at = world.at(8443);

        let http1 = || Offer { alpn: &[b"http/1.1"], ..Offer::default() };

        let mut ended = connect_at(at, "end.example", Offer::default()).await.unwrap();
        assert_eq!(leaf(&ended), certificate);
        let mut bytes = [0; 6];
        ended.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"plain ", "the backend speaks first, in clear");
        ended.write_all(b"two").await.unwrap();
        ended.shutdown().await.unwrap();
        let mut rest = String::new();
        ended.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "twobye");

        let passed = connect_at(at, "a.pass.example", http1()).await.unwrap();
        assert_eq!(leaf(&passed), inner_certificate, "the backend's own handshake");
        assert_eq!(Client::over(passed).get("a.pass.example", "/x").await.json()["backend"], "inner");

        let https = connect_at(at, "web.example", http1()).await.unwrap();
        assert_eq!(leaf(&https), certificate);
        assert_eq!(Client::over(https).get("web.example", "/").await.json()["backend"], "web");

        for name in ["other.example", "b.pass.example"] {
            assert!(connect_at(at, name, Offer::default()).await.is_err(), "{name}");
        }
    });
}

#[test]
fn a_hello_in_single_bytes_is_read_and_passed_on_whole() {
    run(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let yaml = tcp(TLS, "[{name: s, port: 80}]")
            + &tls_route("pass", "a.pass.example", "s")
            + &service("s", &[listener.local_addr().unwrap()]);
        let world = World::of(&yaml).await;
        let hello = crate::tls::hello("a.pass.example");
        let mut client = TcpStream::connect(world.at(8443)).await.unwrap();
        client.set_nodelay(true).unwrap();
        for byte in &hello {
            client.write_all(std::slice::from_ref(byte)).await.unwrap();
            tokio::task::yield_now().await;
        }
        let (mut endpoint, _) = listener.accept().await.unwrap();
        let mut got = vec![0; hello.len()];
        endpoint.read_exact(&mut got).await.unwrap();
        assert_eq!(got, hello);
        // Without a server name nobody answers, and no alert is sent.
        let mut nameless = TcpStream::connect(world.at(8443)).await.unwrap();
        nameless.write_all(&crate::tls::hello("127.0.0.1")).await.unwrap();
        let mut rest = Vec::new();
        let _ = nameless.read_to_end(&mut rest).await;
        assert!(rest.is_empty(), "{rest:?}");
    });
}

#[test]
fn a_hello_of_several_records_is_passed_on_as_it_came_and_one_that_never_ends_is_cut_off() {
    run(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let patience = "
---
apiVersion: pingora-gateway.dev/v1alpha1
kind: GatewayParameters
metadata: {name: patience, namespace: default}
spec: {limits: {headerTimeout: 300ms}}";
        let named = "  infrastructure: {parametersRef: {group: pingora-gateway.dev, kind: GatewayParameters, name: patience}}\n  listeners:";
        let yaml = tcp(TLS, "[{name: s, port: 80}]").replace("  listeners:", named)
            + patience
            + &tls_route("pass", "a.pass.example", "s")
            + &service("s", &[listener.local_addr().unwrap()]);
        let world = World::of(&yaml).await;
        let hello = crate::tls::hello("a.pass.example");
        for size in [1, 40] {
            let records: Vec<u8> =
                hello[5..].chunks(size).flat_map(|piece| [&hello[..3], &[0, size_of(piece)][..], piece].concat()).collect();
            let mut client = TcpStream::connect(world.at(8443)).await.unwrap();
            client.write_all(&records).await.unwrap();
            let (mut endpoint, _) = listener.accept().await.unwrap();
            let mut got = vec![0; records.len()];
            endpoint.read_exact(&mut got).await.unwrap();
            assert_eq!(got, records);
        }
        // A message is announced, and comes a byte at a time: each is progress, and the time is one for all.
        let began = Instant::now();
        let mut client = TcpStream::connect(world.at(8443)).await.unwrap();
        let mut is_taken = client.write_all(&[22, 3, 1, 0, 4, 1, 0, 0xff, 0]).await.is_ok();
        while is_taken && began.elapsed() < Duration::from_secs(20) {
            is_taken = client.write_all(&[22, 3, 1, 0, 1, 0]).await.is_ok();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(began.elapsed() < Duration::from_secs(10));
        until("it is counted", || world.gateway.counters().connections_refused() == 1).await;
    });
}

#[test]
fn much_tls_passes_through_byte_for_byte_and_its_record_counts_it() {
    run(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let records: Arc<Mutex<Vec<StreamRecord>>> = Arc::default();
        let kept = Arc::clone(&records);
        let yaml = tcp(TLS, "[{name: s, port: 80}]")
            + &tls_route("pass", "a.pass.example", "s")
            + &service("s", &[listener.local_addr().unwrap()]);
        let world = World::with(|builder| builder.on_stream(move |record| kept.lock().unwrap().push(record)), &yaml).await;
        let hello = crate::tls::hello("a.pass.example");
        let (up, down): (Vec<u8>, Vec<u8>) = ((0..5 << 20).map(|n: u32| (n % 251) as u8).collect(), vec![7; 4 << 20]);
        let sent = [hello, up].concat();
        let mut client = TcpStream::connect(world.at(8443)).await.unwrap();
        let (mut from_gateway, mut to_gateway) = client.split();
        let (mut got_up, mut got_down) = (Vec::new(), Vec::new());
        tokio::try_join!(
            async { to_gateway.write_all(&sent).await.and(to_gateway.shutdown().await) },
            async { from_gateway.read_to_end(&mut got_down).await.map(drop) },
            async {
                let (mut endpoint, _) = listener.accept().await?;
                let (mut from_client, mut to_client) = endpoint.split();
                tokio::try_join!(from_client.read_to_end(&mut got_up), to_client.write_all(&down))?;
                to_client.shutdown().await
            },
        )
        .unwrap();
        assert!(got_up == sent && got_down == down);
        until("it is told", || records.lock().unwrap().len() == 1).await;
        let record = &records.lock().unwrap()[0];
        assert_eq!((record.received_bytes, record.sent_bytes), (sent.len() as u64, down.len() as u64));
        assert!(record.fault.is_none(), "{:?}", record.fault);
    });
}

fn size_of(piece: &[u8]) -> u8 {
    u8::try_from(piece.len()).unwrap()
}

#[test]
fn a_changed_route_concerns_new_connections_only_and_a_removed_listener_lets_streams_finish_until_the_drain_time() {
    run(async {
        let (one, two) = (Echo::start("one").await, Echo::start("two").await);
        let with = |backend: &str| tcp("", &format!("[{{name: {backend}, port: 80}}]"));
        let settings = "
---
apiVersion: pingora-gateway.dev/v1alpha1
kind: GatewayParameters
metadata: {name: settings, namespace: default}
spec: {limits: {drainTimeout: 1s}}";
        let drained = |yaml: String| {
            yaml.replace(
                "  listeners:",
                "  infrastructure: {parametersRef: {group: pingora-gateway.dev, kind: GatewayParameters, name: settings}}\n  listeners:",
            )
        };
        let yaml = drained(with("s")) + settings + &service("s", &[one.address]) + &service("t", &[two.address]);
        let mut world = World::of(&yaml).await;
        let mut client = TcpStream::connect(world.at(8080)).await.unwrap();
        assert_eq!(read(&mut client, 3).await, "one");
        world.put(&drained(with("t"))).await;
        assert_eq!(greeting(world.at(8080)).await.as_deref(), Some("two"));
        client.write_all(b"still").await.unwrap();
        assert_eq!(read(&mut client, 5).await, "still");
        world.remove(gateway_core::name::Kind::Gateway, "gw").await;
        client.write_all(b"still").await.unwrap();
        assert_eq!(read(&mut client, 5).await, "still");
        let began = Instant::now();
        assert!(!matches!(client.read(&mut [0; 8]).await, Ok(1..)), "cut at the drain time");
        assert!(began.elapsed() < Duration::from_secs(5));
    });
}
