//! The PROXY protocol on listeners: whose word is taken, in which version, and what it may not be.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use gateway_pingora::StreamRecord;
use rcgen::PKCS_ECDSA_P256_SHA256;
use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::authorization::{check, guarded};
use crate::backend::Backend;
use crate::client::Client;
use crate::streams::{read, tcp, tls_route};
use crate::tls::{self, Offer, secret, web};
use crate::world::{World, gateway, route, run, service, until};

const TRUSTING: &str = "  trustedProxies: [127.0.0.0/8]\n  proxyProtocol: {ports: [80]}\n";
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";

/// A header of version 2: a command, a family with its transport, addresses, and what is added.
fn v2(command: u8, family: u8, addresses: &[u8], added: &[u8]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([0x20 | command, family]);
    header.extend(((addresses.len() + added.len()) as u16).to_be_bytes());
    header.extend([addresses, added].concat());
    header
}

const V4: &[u8] = &[203, 0, 113, 7, 192, 0, 2, 1, 0x9C, 0x40, 0, 80];

async fn open(world: &World, first: &[u8]) -> Client {
    let mut stream = TcpStream::connect(world.at(80)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(first).await.unwrap();
    Client::over(stream)
}

#[test]
fn the_clients_address_is_the_one_that_a_trusted_proxy_tells() {
    run(async {
        let backend = Backend::echo("web").await;
        let world = World::of(&(gateway(TRUSTING) + &web(&backend))).await;
        let v6 = [&[0x20, 1, 0xD, 0xB8][..], &[0; 11], &[7], &[0; 16], &[0x9C, 0x40, 0, 80]].concat();
        let rows: [(Vec<u8>, &str); 11] = [
            (b"PROXY TCP4 203.0.113.7 192.0.2.1 40000 80\r\n".to_vec(), "203.0.113.7"),
            (b"PROXY TCP6 2001:db8::7 2001:db8::1 40000 80\r\n".to_vec(), "2001:db8::7"),
            (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
            (v2(1, 0x11, V4, b""), "203.0.113.7"),
            (v2(1, 0x11, V4, &[[0x04, 0x0F, 0xA0].as_slice(), &[0; 4000]].concat()), "203.0.113.7"),
            (v2(1, 0x21, &v6, b""), "2001:db8::7"),
            (v2(0, 0, b"", b""), "127.0.0.1"),
            // Who speaks for itself, or for nobody known, may add what it likes: it is passed over.
            (b"PROXY UNKNOWN 203.0.113.7 192.0.2.1 40000 80\r\n".to_vec(), "127.0.0.1"),
            (v2(0, 0x11, V4, b""), "127.0.0.1"),
            (v2(0, 0xFF, &V4[..3], b""), "127.0.0.1"),
            (v2(1, 0x00, b"", &[0x04, 0, 1, 0]), "127.0.0.1"),
        ];
        for (count, (header, expected)) in rows.into_iter().enumerate() {
            // In one piece with the request, and byte by byte.
            let mut whole = open(&world, &[&header, GET].concat()).await;
            assert_eq!(whole.response().await.echoed("x-forwarded-for"), expected);
            let mut single = open(&world, b"").await;
            for byte in header.iter().take(200) {
                single.send([*byte]).await;
                tokio::task::yield_now().await;
            }
            single.send([header.get(200..).unwrap_or_default(), GET].concat()).await;
            assert_eq!(single.response().await.echoed("x-forwarded-for"), expected);
            assert_eq!(world.record(2 * (count + 1)).await.peer.ip().to_string(), expected);
        }
    });
}

#[test]
fn a_trusted_proxy_has_to_tell_and_within_bounds() {
    run(async {
        let backend = Backend::echo("web").await;
        let settings = TRUSTING.to_owned() + "  limits: {headerTimeout: 300ms}\n";
        let world = World::of(&(gateway(&settings) + &web(&backend))).await;
        let rows: [Vec<u8>; 7] = [
            GET.to_vec(),
            b"PROXY TCP4 203.0.113.7 192.0.2.1 40000\r\n".to_vec(),
            [b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat(),
            v2(1, 0x11, &V4[..8], b""),
            v2(7, 0x11, V4, b""),
            v2(1, 0x11, V4, &[0; 8200]),
            // Half of it, and nothing more.
            b"PROXY TCP4 203.0.".to_vec(),
        ];
        for (count, row) in (1..).zip(rows) {
            let mut client = open(&world, &row).await;
            assert!(client.ends().await, "{:?}", String::from_utf8_lossy(&row));
            until("it is counted", || world.gateway.counters().connections_refused() == count).await;
        }
        assert_eq!(backend.asked(), 0);
    });
}

#[test]
fn others_are_not_believed_and_other_ports_are_as_they_are() {
    run(async {
        let backend = Backend::echo("web").await;
        for settings in [
            "  trustedProxies: [10.0.0.0/8]\n  proxyProtocol: {ports: [80]}\n",
            "  trustedProxies: [127.0.0.0/8]\n  proxyProtocol: {ports: [81]}\n",
        ] {
            let world = World::of(&(gateway(settings) + &web(&backend))).await;
            assert_eq!(open(&world, GET).await.response().await.echoed("x-forwarded-for"), "127.0.0.1");
            let mut client = open(&world, &[b"PROXY TCP4 203.0.113.7 192.0.2.1 40000 80\r\n", GET].concat()).await;
            assert_eq!(client.response().await.status, 400);
        }
    });
}

const TOLD: &[u8] = b"PROXY TCP4 203.0.113.7 192.0.2.1 40000 443\r\n";
const CLIENT: &str = "203.0.113.7:40000";

/// Lets a Gateway have the settings of this file, at these ports.
fn trusting(gateway: &str, ports: &str) -> String {
    let reference = "  infrastructure: {parametersRef: {group: pingora-gateway.dev, kind: GatewayParameters, name: settings}}\n";
    let class = "gatewayClassName: pingora\n";
    assert!(gateway.contains(class));
    gateway.replace(class, &format!("{class}{reference}"))
        + &format!(
            "
---
apiVersion: pingora-gateway.dev/v1alpha1
kind: GatewayParameters
metadata: {{name: settings, namespace: default}}
spec: {{trustedProxies: [127.0.0.0/8], proxyProtocol: {{ports: [{ports}]}}}}
"
        )
}

async fn told(at: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(TOLD).await.unwrap();
    stream
}

async fn told_tls(at: SocketAddr, name: &'static str) -> Client {
    let connector = TlsConnector::from(Arc::new(Offer::default().config()));
    Client::over(connector.connect(ServerName::try_from(name).unwrap(), told(at).await).await.unwrap())
}

#[test]
fn the_header_comes_before_the_handshake_of_tls() {
    run(async {
        let backend = Backend::echo("web").await;
        let (_, secret) = secret("a", &["a.example"], &PKCS_ECDSA_P256_SHA256);
        let world = World::of(&(trusting(&tls::gateway(&[("a", "", &["a"])]), "443") + &secret + &web(&backend))).await;
        let response = told_tls(world.at(443), "a.example").await.get("a.example", "/").await;
        assert_eq!(
            (response.echoed("x-forwarded-for"), response.echoed("x-forwarded-proto")),
            ("203.0.113.7".into(), "https".into())
        );
        assert_eq!(world.record(1).await.peer.to_string(), CLIENT);
        assert!(tls::connect(&world, "a.example", Offer::default()).await.is_err(), "a proxy has to tell");
    });
}

#[test]
fn connections_of_bytes_have_their_clients_address_in_the_log_and_none_of_the_header() {
    run(async {
        let records: Arc<Mutex<Vec<StreamRecord>>> = Arc::default();
        let kept = Arc::clone(&records);
        let (plain, inner_web) = (Backend::greeting(b"hello ").await, Backend::echo("inner").await);
        // A backend that ends TLS itself: another gateway.
        let (_, inner_secret) = secret("inner", &["a.example"], &PKCS_ECDSA_P256_SHA256);
        let inner = World::of(&(tls::gateway(&[("tls", "", &["inner"])]) + &inner_secret + &web(&inner_web))).await;
        let passes = "  - {name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough}}";
        let yaml = trusting(&tcp(passes, "[{name: plain, port: 80}]"), "8080, 443")
            + &tls_route("passes", "a.example", "inner")
            + &service("plain", &[plain.address])
            + &service("inner", &[inner.at(443)]);
        let world = World::with(|builder| builder.on_stream(move |record| kept.lock().unwrap().push(record)), &yaml).await;
        let mut stream = told(world.at(8080)).await;
        stream.write_all(b"there").await.unwrap();
        assert_eq!(read(&mut stream, 11).await, "hello there");
        drop(stream);
        assert_eq!(told_tls(world.at(443), "a.example").await.get("a.example", "/").await.status, 200);
        until("both are told", || records.lock().unwrap().len() == 2).await;
        assert!(records.lock().unwrap().iter().all(|record| record.peer.to_string() == CLIENT));
    });
}

#[test]
fn who_authorizes_is_told_the_clients_address() {
    run(async {
        let web = Backend::echo("web").await;
        let guard = Backend::answering_calls(|_, message| (check(message), "0")).await;
        let yaml = gateway(TRUSTING)
            + &route("all", &guarded("protocol: GRPC, grpc: {}", ""))
            + &service("guard", &[guard.address])
            + &service("web", &[web.address]);
        let world = World::of(&yaml).await;
        let mut client = Client::over(told(world.at(80)).await);
        client.send("GET / HTTP/1.1\r\nHost: a.example\r\nAuthorization: ann\r\n\r\n").await;
        let told = client.response().await.echoed("x-told");
        assert!(told.ends_with("peer=203.0.113.7"), "{told}");
    });
}

#[test]
fn a_change_of_the_ports_holds_for_the_next_connections() {
    run(async {
        let backend = Backend::echo("web").await;
        let mut world = World::of(&(gateway("") + &web(&backend))).await;
        assert_eq!(open(&world, GET).await.response().await.status, 200);
        world.put(&gateway(TRUSTING)).await;
        let mut client = Client::over(told(world.at(80)).await);
        client.send(GET).await;
        assert_eq!(client.response().await.echoed("x-forwarded-for"), "203.0.113.7");
    });
}
