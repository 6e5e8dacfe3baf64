//! Client certificates on HTTPS listeners (`GatewaySpec.TLS.Frontend`, GEP-91): who is let in, and until when; and how TLS is spoken
//! (`tls.options`).

use std::sync::Arc;

use rcgen::PKCS_ECDSA_P256_SHA256;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, ClientConfig, HandshakeKind, SignatureScheme, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::authority::{Authority, Signed};
use crate::backend::Backend;
use crate::client::Client;
use crate::tls::{Trusting, secret, web};
use crate::world::{World, run, until};

/// A Gateway with HTTPS listeners on 443 and 8443 that asks its clients for this; `options` are of the first listener.
fn gateway(frontend: &str, options: &str) -> String {
    format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: default}}
spec:
  gatewayClassName: pingora
  tls: {{frontend: {frontend}}}
  listeners:
  - {{name: one, port: 443, protocol: HTTPS, tls: {{certificateRefs: [{{name: cert}}], options: {{{options}}}}}}}
  - {{name: other, port: 8443, protocol: HTTPS, tls: {{certificateRefs: [{{name: cert}}]}}}}"
    )
}

/// Certificates of the authority in this ConfigMap are asked for.
fn asks(authority: &str, mode: &str) -> String {
    format!("{{validation: {{mode: {mode}, caCertificateRefs: [{{group: '', kind: ConfigMap, name: {authority}}}]}}}}")
}

/// This everywhere, but for that on port 8443.
fn frontend(default: &str, other: &str) -> String {
    format!("{{default: {default}, perPort: [{{port: 8443, tls: {other}}}]}}")
}

fn rest(backend: &Backend) -> String {
    secret("cert", &["a.example"], &PKCS_ECDSA_P256_SHA256).1 + &web(backend)
}

/// A client that shows this certificate. It remembers its sessions, whatever the port.
fn client(shown: Option<&Signed>, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let builder =
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Trusting(vec![SignatureScheme::ECDSA_NISTP256_SHA256])));
    let mut config = match shown {
        Some(signed) => {
            let (chain, key) = signed.to_show();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::in_memory_sessions(16);
    Arc::new(config)
}

const EITHER: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

async fn connect(world: &World, port: u16, config: &Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(world.at(port)).await?;
    TlsConnector::from(Arc::clone(config)).connect(ServerName::try_from("a.example").unwrap(), stream).await
}

/// How a request on a new connection is answered; `None` when the connection is refused, be it after the client's own handshake.
async fn status(world: &World, port: u16, config: &Arc<ClientConfig>) -> Option<u16> {
    let mut client = Client::over(connect(world, port, config).await.ok()?);
    client.try_send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    client.try_response(false).await.map(|response| response.status)
}

/// How the handshake of a new connection went, if it lets a request through.
async fn kind(world: &World, port: u16, config: &Arc<ClientConfig>) -> Option<HandshakeKind> {
    let stream = connect(world, port, config).await.ok()?;
    let kind = stream.get_ref().1.handshake_kind();
    let mut client = Client::over(stream);
    client.try_send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    client.try_response(false).await.filter(|response| response.status == 200).and(kind)
}

#[test]
fn only_clients_with_a_certificate_of_the_authority_are_let_in_where_one_is_asked_for() {
    run(async {
        let backend = Backend::echo("web").await;
        let (known, foreign) = (Authority::new("known"), Authority::new("foreign"));
        let (good, bad, old) = (known.sign(&["c"]), foreign.sign(&["c"]), known.sign_until(&["c"], 2020));
        let yaml = gateway(&frontend(&asks("known", "AllowValidOnly"), "{}"), "") + &known.config_map("known") + &rest(&backend);
        let world = World::of(&yaml).await;
        for versions in [&[&TLS13][..], &[&TLS12][..]] {
            assert_eq!(status(&world, 443, &client(Some(&good), versions)).await, Some(200), "{versions:?}");
            // Once more, and once more: a refusal leaves nothing behind.
            for _ in 0..3 {
                for shown in [None, Some(&bad), Some(&old)] {
                    assert_eq!(status(&world, 443, &client(shown, versions)).await, None, "{versions:?}");
                }
            }
            for shown in [None, Some(&good), Some(&bad)] {
                assert_eq!(status(&world, 8443, &client(shown, versions)).await, Some(200), "nothing is asked on this port");
            }
        }
        until("refusals are counted", || world.gateway.counters().connections_refused() == 18).await;
    });
}

#[test]
fn with_the_insecure_fallback_any_client_is_let_in() {
    run(async {
        let backend = Backend::echo("web").await;
        let (known, foreign) = (Authority::new("known"), Authority::new("foreign"));
        let fallback = asks("known", "AllowInsecureFallback");
        let yaml = gateway(&frontend(&fallback, &fallback), "") + &known.config_map("known") + &rest(&backend);
        let world = World::of(&yaml).await;
        for versions in [&[&TLS13][..], &[&TLS12][..]] {
            for shown in [None, Some(&known.sign(&["c"])), Some(&foreign.sign(&["c"])), Some(&known.sign_until(&["c"], 2020))] {
                for port in [443, 8443] {
                    assert_eq!(status(&world, port, &client(shown, versions)).await, Some(200), "{versions:?} on {port}");
                }
            }
        }
    });
}

#[test]
fn a_session_is_resumed_only_where_the_same_was_asked_for() {
    run(async {
        let backend = Backend::echo("web").await;
        let (one, two) = (Authority::new("one"), Authority::new("two"));
        let yaml = |other: &str| {
            gateway(&frontend(&asks("one", "AllowValidOnly"), other), "") + &one.config_map("one") + &two.config_map("two")
        };
        let mut world = World::of(&(yaml(&asks("two", "AllowValidOnly")) + &rest(&backend))).await;
        for versions in [&[&TLS13][..], &[&TLS12][..]] {
            let of_one = client(Some(&one.sign(&["c"])), versions);
            assert!(![None, Some(HandshakeKind::Resumed)].contains(&kind(&world, 443, &of_one).await));
            assert_eq!(kind(&world, 443, &of_one).await, Some(HandshakeKind::Resumed), "{versions:?}");
            assert_eq!(kind(&world, 8443, &of_one).await, None, "the other port trusts others");
        }
        // Let in without a certificate here is not let in there.
        world.put(&yaml(&asks("one", "AllowInsecureFallback"))).await;
        let anybody = client(None, EITHER);
        for _ in 0..3 {
            assert!(kind(&world, 8443, &anybody).await.is_some());
            assert_eq!(kind(&world, 443, &anybody).await, None);
        }
    });
}

#[test]
fn when_another_validation_is_asked_for_open_connections_get_421_and_end_and_new_ones_need_it_at_once() {
    run(async {
        let backend = Backend::echo("web").await;
        let (old, new) = (Authority::new("old"), Authority::new("new"));
        let yaml = gateway(&frontend(&asks("ca", "AllowValidOnly"), "{}"), "");
        let mut world = World::of(&(yaml.clone() + &old.config_map("ca") + &rest(&backend))).await;
        let (of_old, of_new) = (client(Some(&old.sign(&["c"])), EITHER), client(Some(&new.sign(&["c"])), EITHER));
        let mut client = Client::over(connect(&world, 443, &of_old).await.unwrap());
        let mut elsewhere = Client::over(connect(&world, 8443, &of_old).await.unwrap());
        assert_eq!(client.get("a.example", "/").await.status, 200);
        // The same content is no other validation.
        world.put(&old.config_map("ca").replace("\ndata:", "\nimmutable: false\ndata:")).await;
        assert_eq!(client.get("a.example", "/").await.header("connection"), "keep-alive");

        world.put(&new.config_map("ca")).await;
        loop {
            let response = client.get("a.example", "/").await;
            assert_eq!(response.status, 421);
            if response.header("connection") == "close" {
                break;
            }
        }
        assert!(client.ends().await);
        assert_eq!(status(&world, 443, &of_old).await, None, "nor by a ticket of before");
        assert_eq!(status(&world, 443, &of_new).await, Some(200));
        // Asked for where nothing was.
        assert_eq!(elsewhere.get("a.example", "/").await.header("connection"), "keep-alive");
        world.put(&gateway(&frontend(&asks("ca", "AllowValidOnly"), &asks("ca", "AllowValidOnly")), "")).await;
        assert_eq!(elsewhere.get("a.example", "/").await.status, 421);
    });
}

#[test]
fn without_an_authority_that_can_be_used_nobody_is_let_in() {
    run(async {
        let backend = Backend::echo("web").await;
        let authority = Authority::new("known");
        let good = client(Some(&authority.sign(&["c"])), EITHER);
        let yaml = gateway(&frontend(&asks("ca", "AllowValidOnly"), "{}"), "");
        let mut world = World::of(&(yaml + &authority.config_map("ca") + &rest(&backend))).await;
        assert_eq!(status(&world, 443, &good).await, Some(200));
        world.remove(gateway_core::name::Kind::ConfigMap, "ca").await;
        for _ in 0..3 {
            assert_eq!(status(&world, 443, &good).await, None);
        }
        assert_eq!(status(&world, 8443, &good).await, Some(200), "the other port serves on");
    });
}

#[test]
fn versions_and_suites_are_those_of_the_listeners_options() {
    run(async {
        let backend = Backend::echo("web").await;
        let options = "pingora-gateway.dev/min-tls-version: '1.3', pingora-gateway.dev/tls-cipher-suites: 'TLS_CHACHA20_POLY1305_SHA256,TLS_AES_128_GCM_SHA256'";
        let mut world = World::of(&(gateway("{default: {}}", options) + &rest(&backend))).await;
        let suite = async |world: &World, port| {
            let stream = connect(world, port, &client(None, EITHER)).await.unwrap();
            stream.get_ref().1.negotiated_cipher_suite().unwrap().suite()
        };
        assert_eq!(status(&world, 443, &client(None, &[&TLS12])).await, None);
        assert_eq!(status(&world, 443, &client(None, &[&TLS13])).await, Some(200));
        assert_eq!(status(&world, 8443, &client(None, &[&TLS12])).await, Some(200), "the other listener states nothing");
        assert_eq!(suite(&world, 443).await, CipherSuite::TLS13_CHACHA20_POLY1305_SHA256, "the preferred first");
        let other = "pingora-gateway.dev/tls-cipher-suites: TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384";
        world.put(&gateway("{default: {}}", other)).await;
        assert_eq!(suite(&world, 443).await, CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384);
        assert_eq!(status(&world, 443, &client(None, &[&TLS13])).await, None, "no suite of that version is left");
    });
}
