//! TLS: certificates by name and key type, protocols by ALPN, rotation, requests that reached the wrong listener.

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SignatureAlgorithm};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::backend::Backend;
use crate::client::Client;
use crate::protocols::{ask, request};
use crate::world::{World, route, run, service, until};

/// A certificate for these names, and the Secret that holds it.
pub(crate) fn secret(name: &str, names: &[&str], algorithm: &'static SignatureAlgorithm) -> (CertificateDer<'static>, String) {
    let key = KeyPair::generate_for(algorithm).unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    let yaml = format!(
        "
---
apiVersion: v1
kind: Secret
metadata: {{name: {name}, namespace: default}}
type: kubernetes.io/tls
data: {{tls.crt: {}, tls.key: {}}}",
        STANDARD.encode(certificate.pem()),
        STANDARD.encode(key.serialize_pem())
    );
    (certificate.der().clone(), yaml)
}

/// A Gateway with HTTPS listeners on 443: `(name, hostname or "", secrets)`.
pub(crate) fn gateway(listeners: &[(&str, &str, &[&str])]) -> String {
    let listeners: String = listeners
        .iter()
        .map(|(name, host, secrets)| {
            let host = if host.is_empty() { String::new() } else { format!(", hostname: \"{host}\"") };
            let secrets: Vec<String> = secrets.iter().map(|secret| format!("{{name: {secret}}}")).collect();
            format!(
                "  - {{name: {name}, port: 443, protocol: HTTPS{host}, tls: {{certificateRefs: [{}]}}}}\n",
                secrets.join(", ")
            )
        })
        .collect();
    format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: default}}
spec:
  gatewayClassName: pingora
  listeners:
{listeners}"
    )
}

pub(crate) fn web(backend: &Backend) -> String {
    route("all", "[{backendRefs: [{name: web, port: 80}]}]") + &service("web", &[backend.address])
}

/// Believes every certificate: tests look at it themselves.
#[derive(Debug)]
pub(crate) struct Trusting(pub(crate) Vec<SignatureScheme>);

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}

/// What a client offers.
pub(crate) struct Offer {
    pub(crate) sni: bool,
    pub(crate) alpn: &'static [&'static [u8]],
    pub(crate) schemes: Vec<SignatureScheme>,
}

impl Default for Offer {
    fn default() -> Self {
        Self { sni: true, alpn: &[], schemes: vec![SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::ED25519] }
    }
}

pub(crate) async fn connect(world: &World, name: &'static str, offer: Offer) -> std::io::Result<TlsStream<TcpStream>> {
    connect_at(world.at(443), name, offer).await
}

pub(crate) async fn connect_at(at: SocketAddr, name: &'static str, offer: Offer) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(at).await?;
    TlsConnector::from(Arc::new(offer.config())).connect(ServerName::try_from(name).unwrap(), stream).await
}

/// What a client says first.
pub(crate) fn hello(name: &'static str) -> Vec<u8> {
    let config = Arc::new(Offer::default().config());
    let mut client = rustls::ClientConnection::new(config, ServerName::try_from(name).unwrap()).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

impl Offer {
    pub(crate) fn config(self) -> ClientConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let verifier = Arc::new(Trusting(self.schemes));
        let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        config.alpn_protocols = self.alpn.iter().map(|protocol| protocol.to_vec()).collect();
        config.enable_sni = self.sni;
        config
    }
}

pub(crate) fn leaf(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

#[test]
fn the_name_selects_the_listener_and_its_certificate() {
    run(async {
        let backend = Backend::echo("web").await;
        let (a, secret_a) = secret("a", &["a.example"], &PKCS_ECDSA_P256_SHA256);
        let (wild, secret_wild) = secret("wild", &["*.example"], &PKCS_ECDSA_P256_SHA256);
        let listeners = gateway(&[("a", "a.example", &["a"]), ("wild", "*.example", &["wild"])]);
        let world = World::of(&(listeners + &secret_a + &secret_wild + &web(&backend))).await;
        for (name, expected) in [("a.example", &a), ("A.Example", &a), ("b.example", &wild), ("x.y.example", &wild)] {
            let stream = connect(&world, name, Offer::default()).await.unwrap();
            assert!(leaf(&stream) == *expected, "{name}");
            let response = Client::over(stream).get(name, "/").await;
            assert_eq!(
                (response.status, response.echoed("x-forwarded-proto"), response.echoed("x-forwarded-port")),
                (200, "https".into(), "443".into())
            );
        }
        for (name, offer) in [("other.test", Offer::default()), ("a.example", Offer { sni: false, ..Offer::default() })] {
            let error = connect(&world, name, offer).await.unwrap_err();
            assert!(
                [std::io::ErrorKind::UnexpectedEof, std::io::ErrorKind::ConnectionReset].contains(&error.kind()),
                "closed without an alert: {error:?}"
            );
        }
        until("both are counted", || world.gateway.counters().connections_refused() == 2).await;
        let stream = TcpStream::connect(world.at(443)).await.unwrap();
        let mut plain = Client::over(stream);
        plain.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
        until("it is refused", || world.gateway.counters().connections_refused() == 3).await;
    });
}

#[test]
fn who_begins_with_what_cannot_be_answered_is_told_so_by_an_alert() {
    run(async {
        let backend = Backend::echo("web").await;
        let (_, certificate) = secret("a", &["a.example"], &PKCS_ECDSA_P256_SHA256);
        let world = World::of(&(gateway(&[("a", "a.example", &["a"])]) + &certificate + &web(&backend))).await;
        // The hello of a client that knows TLS 1.1 at most: it says nothing of the algorithms that it can check signatures by.
        let mut old = hello("a.example");
        let at = extension(&old, SIGNATURE_ALGORITHMS);
        old[at] = 0xff;
        for (first, told) in [(old, HANDSHAKE_FAILURE), (b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n".to_vec(), DECODE_ERROR)] {
            let mut stream = TcpStream::connect(world.at(443)).await.unwrap();
            stream.write_all(&first).await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            assert_eq!((answer[0], &answer[5..]), (ALERT, &[FATAL, told][..]));
        }
    });
}

/// Where an extension of a hello of one record begins (RFC 8446 4.1.2).
fn extension(hello: &[u8], kind: u16) -> usize {
    let number = |at: usize| usize::from(u16::from_be_bytes([hello[at], hello[at + 1]]));
    // After the heads of record and message, the version and the random bytes: session, suites, methods of compression, extensions.
    let mut at = 5 + 4 + 2 + 32;
    at += 1 + usize::from(hello[at]);
    at += 2 + number(at);
    at += 1 + usize::from(hello[at]);
    at += 2;
    while number(at) != usize::from(kind) {
        at += 4 + number(at + 2);
    }
    at
}

const SIGNATURE_ALGORITHMS: u16 = 13;
const ALERT: u8 = 21;
const FATAL: u8 = 2;
const HANDSHAKE_FAILURE: u8 = 40;
const DECODE_ERROR: u8 = 50;

#[test]
fn of_several_certificates_the_one_for_the_name_and_the_clients_keys_is_served() {
    run(async {
        let backend = Backend::echo("web").await;
        let (first, secret_first) = secret("first", &["*.example"], &PKCS_ECDSA_P256_SHA256);
        let (exact, secret_exact) = secret("exact", &["b.example"], &PKCS_ECDSA_P256_SHA256);
        let (other, secret_other) = secret("other", &["b.example"], &PKCS_ED25519);
        let listeners = gateway(&[("all", "", &["first", "exact", "other"])]);
        let world = World::of(&(listeners + &secret_first + &secret_exact + &secret_other + &web(&backend))).await;
        let ed25519 = || Offer { schemes: vec![SignatureScheme::ED25519], ..Offer::default() };
        assert!(leaf(&connect(&world, "a.example", Offer::default()).await.unwrap()) == first);
        assert!(leaf(&connect(&world, "b.example", Offer::default()).await.unwrap()) == exact);
        assert!(leaf(&connect(&world, "b.example", ed25519()).await.unwrap()) == other);
        assert!(leaf(&connect(&world, "c.test", Offer::default()).await.unwrap()) == first);
        assert!(leaf(&connect(&world, "a.example", Offer { sni: false, ..Offer::default() }).await.unwrap()) == first);
    });
}

#[test]
fn the_protocol_is_agreed_upon_and_a_foreign_host_is_421() {
    run(async {
        let backend = Backend::echo("web").await;
        let (_, secret_a) = secret("a", &["a.example"], &PKCS_ECDSA_P256_SHA256);
        let (_, secret_b) = secret("b", &["b.example"], &PKCS_ECDSA_P256_SHA256);
        let listeners = gateway(&[("a", "a.example", &["a"]), ("b", "b.example", &["b"])]);
        let world = World::of(&(listeners + &secret_a + &secret_b + &web(&backend))).await;
        let stream = connect(&world, "a.example", Offer { alpn: &[b"h2", b"http/1.1"], ..Offer::default() }).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (send, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(async move { drop(connection.await) });
        assert_eq!(ask(&send, request("https://a.example/")).await.unwrap().0.status, 200);
        assert_eq!(ask(&send, request("https://b.example/")).await.unwrap().0.status, 421);
        assert_eq!(ask(&send, request("https://a.example/")).await.unwrap().0.status, 200, "the connection goes on");
        let grpc = http::Request::post("https://b.example/").header("content-type", "application/grpc").body(&b""[..]).unwrap();
        assert_eq!(ask(&send, grpc).await.unwrap().0.status, 421);

        let stream = connect(&world, "a.example", Offer { alpn: &[b"http/1.1"], ..Offer::default() }).await.unwrap();
        let mut client = Client::over(stream);
        let response = client.get("b.example", "/").await;
        assert_eq!((response.status, response.header("connection")), (421, "keep-alive"));
        assert_eq!(client.get("a.example", "/").await.status, 200);
        assert_eq!(client.get("c.example", "/").await.status, 404);
    });
}

#[test]
fn a_rotated_certificate_is_served_at_once_and_touches_no_open_connection() {
    run(async {
        let backend = Backend::echo("web").await;
        let (old, secret_old) = secret("a", &["a.example"], &PKCS_ECDSA_P256_SHA256);
        let mut world = World::of(&(gateway(&[("a", "a.example", &["a"])]) + &secret_old + &web(&backend))).await;
        let stream = connect(&world, "a.example", Offer::default()).await.unwrap();
        assert!(leaf(&stream) == old);
        let mut kept = Client::over(stream);
        assert_eq!(kept.get("a.example", "/").await.status, 200);
        let (new, secret_new) = secret("a", &["a.example"], &PKCS_ED25519);
        world.put(&secret_new).await;
        assert!(leaf(&connect(&world, "a.example", Offer::default()).await.unwrap()) == new);
        assert_eq!(kept.get("a.example", "/").await.header("connection"), "keep-alive");

        // Without a usable certificate nobody is served in its name.
        world.remove(gateway_core::name::Kind::Secret, "a").await;
        assert!(connect(&world, "a.example", Offer::default()).await.is_err());
    });
}
