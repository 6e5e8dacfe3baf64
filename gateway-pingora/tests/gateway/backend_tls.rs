//! TLS to backends: who has to answer, who we are to it, and that nothing is sent to anybody else (BackendTLSPolicy, GEP-3155).

use std::net::SocketAddr;

use rcgen::PKCS_ECDSA_P256_SHA256;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::authority::Authority;
use crate::backend::{Backend, Reply};
use crate::calls::{answered, call, grpc_route};
use crate::client::{Client, get};
use crate::protocols::h2;
use crate::streams::tcp;
use crate::tls::{Offer, connect, secret};
use crate::world::{World, free_port, gateway, route, run, service, speaking, until};

const ALL: &str = "[{backendRefs: [{name: web, port: 80}]}]";
const H1: &[&str] = &["http/1.1"];
const BOTH: &[&str] = &["h2", "http/1.1"];
const SPIFFE: &str = "spiffe://abc.example.com/test-identity";

/// A BackendTLSPolicy for the Service `web` that trusts the ConfigMap `ca`; `more` stands in its `validation`, `options` beside it.
fn policy(more: &str, options: &str) -> String {
    format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {{name: p, namespace: default}}
spec:
  targetRefs: [{{group: '', kind: Service, name: web}}]
  options: {{{options}}}
  validation:
    hostname: abc.example.com
    caCertificateRefs: [{{group: '', kind: ConfigMap, name: ca}}]
    {more}"
    )
}

fn front(authority: &Authority, policy: &str, endpoints: &[SocketAddr]) -> String {
    gateway("") + &route("all", ALL) + &service("web", endpoints) + &authority.config_map("ca") + policy
}

#[test]
fn a_backend_that_proves_its_name_is_asked_over_connections_that_are_kept() {
    run(async {
        let authority = Authority::new("one");
        let web = Backend::tls("web", authority.sign(&["abc.example.com"]).server(H1)).await;
        let world = World::of(&front(&authority, &policy("", ""), &[web.address])).await;
        for nth in 1..=3 {
            let json = get(world.at(80), "a.example", "/").await.json();
            assert_eq!((&json["sni"], &json["alpn"], &json["shown"]), (&"abc.example.com".into(), &"http/1.1".into(), &0.into()));
            // By then its connection is kept for the next.
            world.record(nth).await;
        }
        assert_eq!((web.accepted(), web.asked()), (1, 3));
    });
}

#[test]
fn what_is_negotiated_is_spoken() {
    run(async {
        let authority = Authority::new("one");
        let signed = authority.sign(&["abc.example.com"]);
        let (both, none) = (Backend::tls("both", signed.server(BOTH)).await, Backend::tls("none", signed.server(&[])).await);
        for (backend, alpn) in [(&both, serde_json::json!("h2")), (&none, serde_json::Value::Null)] {
            let world = World::of(&front(&authority, &policy("", ""), &[backend.address])).await;
            for nth in 1..=3 {
                let response = get(world.at(80), "a.example", "/").await;
                assert_eq!((response.status, &response.json()["alpn"]), (200, &alpn));
                world.record(nth).await;
            }
            assert_eq!((backend.accepted(), backend.asked()), (1, 3));
            let mut client = Client::connect(world.at(80)).await;
            client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n").await;
            assert_eq!(client.response().await.status, 100, "whatever the backend speaks");
            client.send("abc").await;
            assert_eq!(client.response().await.status, 200);
        }
    });
}

#[test]
fn a_backend_that_does_not_prove_who_it_is_gets_nothing_and_the_client_502() {
    run(async {
        let (authority, other) = (Authority::new("one"), Authority::new("other"));
        let (right, wrong): (&[&str], &[&str]) = (&["abc.example.com"], &["other.example.com"]);
        let backends = [
            Backend::tls("foreign", other.sign(right).server(BOTH)).await,
            Backend::tls("named otherwise", authority.sign(wrong).server(BOTH)).await,
            Backend::tls("expired", authority.sign_until(right, 2020).server(BOTH)).await,
            Backend::tls("asks for a certificate", {
                authority.sign(right).server_of(H1, &[&rustls::version::TLS12], Some(&other))
            })
            .await,
            Backend::tls("speaks neither", authority.sign(right).server(&["spdy"])).await,
            Backend::greeting(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await,
        ];
        for (index, backend) in backends.iter().enumerate() {
            let world = World::of(&front(&authority, &policy("", ""), &[backend.address])).await;
            for _ in 0..2 {
                assert_eq!(get(world.at(80), "a", "/").await.status, 502, "{index}");
            }
            let fault = world.record(2).await.fault.unwrap().to_string();
            assert!(fault.contains("TLS to the backend failed"), "{index}: {fault}");
            assert_eq!(backend.asked(), 0, "{index}");
        }
    });
}

#[test]
fn any_of_the_subject_alternative_names_proves_the_identity_and_the_hostname_does_not() {
    run(async {
        let authority = Authority::new("one");
        let spiffe = Backend::tls("spiffe", authority.sign(&[SPIFFE]).server(BOTH)).await;
        let host = Backend::tls("host", authority.sign(&["abc.example.com"]).server(H1)).await;
        let wild = Backend::tls("wild", authority.sign(&["x.y.example.com"]).server(H1)).await;
        let uri = format!("{{type: URI, uri: '{SPIFFE}'}}");
        let other = "{type: URI, uri: 'spiffe://abc.example.com/other'}".to_owned();
        let wildcard = "{type: Hostname, hostname: '*.y.example.com'}".to_owned();
        let rows = [
            (&spiffe, uri.clone(), 200),
            (&spiffe, format!("{other}, {uri}"), 200),
            (&spiffe, other, 502),
            (&wild, format!("{uri}, {wildcard}"), 200),
            (&host, uri, 502),
            (&host, wildcard, 502),
        ];
        for (row, (backend, names, status)) in rows.into_iter().enumerate() {
            let (accepted, asked) = (backend.accepted(), backend.asked());
            let more = format!("subjectAltNames: [{names}]");
            let world = World::of(&front(&authority, &policy(&more, ""), &[backend.address])).await;
            for nth in 1..=3 {
                assert_eq!(get(world.at(80), "a", "/").await.status, status, "row {row}");
                world.record(nth).await;
            }
            if status == 200 {
                assert_eq!((backend.accepted() - accepted, backend.asked() - asked), (2, 3), "looked at once");
            } else {
                assert_eq!(backend.asked(), asked, "row {row}: nothing was sent");
            }
        }
    });
}

#[test]
fn a_certificate_that_was_replaced_is_looked_at_again() {
    run(async {
        let authority = Authority::new("one");
        let address = ([127, 0, 0, 1], free_port()).into();
        let more = format!("subjectAltNames: [{{type: URI, uri: '{SPIFFE}'}}]");
        let world = World::of(&front(&authority, &policy(&more, ""), &[address])).await;
        let rows = [(SPIFFE, 200), (SPIFFE, 200), ("spiffe://abc.example.com/other", 502), (SPIFFE, 200)];
        for (row, (names, status)) in rows.into_iter().enumerate() {
            let backend = Backend::tls_at(address, "web", authority.sign(&[names]).server(BOTH)).await;
            let answered = get(world.at(80), "a", "/").await.status;
            assert_eq!(answered, status, "row {row}: {:?}", world.record(row + 1).await.fault);
            backend.stop().await;
        }
    });
}

/// An end without `close_notify`, which many servers leave out, says as little of a request as any other.
#[test]
fn a_request_that_met_the_end_of_a_kept_connection_is_sent_again_where_that_is_harmless() {
    run(async {
        let authority = Authority::new("one");
        for (method, status, asked) in [("GET", 200, 3), ("POST", 502, 2)] {
            let web = Backend::leaving(authority.sign(&["abc.example.com"]).server(BOTH)).await;
            let world = World::of(&front(&authority, &policy("", ""), &[web.address])).await;
            assert_eq!(get(world.at(80), "a", "/").await.status, 200);
            let mut client = Client::connect(world.at(80)).await;
            client.send(format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")).await;
            assert_eq!((client.response().await.status, web.asked()), (status, asked), "{:?}", world.record(2).await.fault);
        }
    });
}

/// The backend goes on answering where it was kept, under a certificate that proves nothing: that connection is not met again.
#[test]
fn a_kept_connection_that_proves_nothing_gives_way_to_a_new_one() {
    run(async {
        let authority = Authority::new("one");
        let address = ([127, 0, 0, 1], free_port()).into();
        let more = format!("subjectAltNames: [{{type: URI, uri: '{SPIFFE}'}}]");
        for alpn in [BOTH, H1] {
            let world = World::of(&front(&authority, &policy(&more, ""), &[address])).await;
            let other = Backend::tls_at(address, "other", authority.sign(&["abc.example.com"]).server(alpn)).await;
            assert_eq!(get(world.at(80), "a", "/").await.status, 502);
            let left = other.leave().await;
            let web = Backend::tls_at(address, "web", authority.sign(&[SPIFFE]).server(alpn)).await;
            assert_eq!(get(world.at(80), "a", "/").await.status, 200, "{:?}", world.record(2).await.fault);
            assert_eq!((left.asked(), web.asked()), (0, 1));
            web.stop().await;
        }
    });
}

#[test]
fn another_policy_never_meets_a_connection_of_the_former() {
    run(async {
        let (authority, other) = (Authority::new("one"), Authority::new("other"));
        let web = Backend::tls("web", authority.sign(&["abc.example.com"]).server(BOTH)).await;
        let mut world = World::of(&front(&authority, &policy("", ""), &[web.address])).await;
        assert_eq!(get(world.at(80), "a", "/").await.status, 200);
        world.put(&other.config_map("ca")).await;
        assert_eq!(get(world.at(80), "a", "/").await.status, 502, "it was signed by nobody who is trusted now");
        world.put("\n---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: ca, namespace: default}, data: {ca.crt: ''}}").await;
        assert_eq!(get(world.at(80), "a", "/").await.status, 500, "nobody is trusted");
        world.put(&authority.config_map("ca")).await;
        assert_eq!(get(world.at(80), "a", "/").await.status, 200);
        assert_eq!(web.asked(), 2);
    });
}

#[test]
fn versions_and_suites_of_the_policy_are_kept_to() {
    run(async {
        let authority = Authority::new("one");
        let signed = authority.sign(&["abc.example.com"]);
        let old = Backend::tls("old", signed.server_of(H1, &[&rustls::version::TLS12], None)).await;
        let new = Backend::tls("new", signed.server(BOTH)).await;
        let least = "pingora-gateway.dev/min-tls-version: '1.3'";
        let suites = "pingora-gateway.dev/tls-cipher-suites: TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384";
        let rows = [(&old, "", 200), (&old, least, 502), (&new, least, 200), (&old, suites, 200), (&new, suites, 502)];
        for (row, (backend, options, status)) in rows.into_iter().enumerate() {
            let world = World::of(&front(&authority, &policy("", options), &[backend.address])).await;
            assert_eq!(get(world.at(80), "a", "/").await.status, status, "row {row}");
        }
    });
}

#[test]
fn each_gateway_presents_its_own_certificate_and_shares_no_connection() {
    run(async {
        let (authority, clients) = (Authority::new("servers"), Authority::new("clients"));
        let config = authority.sign(&["abc.example.com"]).server_of(BOTH, rustls::DEFAULT_VERSIONS, Some(&clients));
        let web = Backend::tls("web", config).await;
        let second = |name: &str, port: u16, tls: &str| {
            format!(
                "
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: {name}, namespace: default}}
spec:
  gatewayClassName: pingora
  listeners: [{{name: http, port: {port}, protocol: HTTP}}]
  {tls}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}, namespace: default}}
spec:
  parentRefs: [{{name: {name}}}]
  rules: {ALL}"
            )
        };
        let presenting = |secret: &str| format!("tls: {{backend: {{clientCertificateRef: {{name: {secret}}}}}}}");
        let yaml = second("gw", 80, &presenting("one"))
            + &second("other", 8080, &presenting("one"))
            + &second("bare", 8443, "")
            + &clients.sign(&["gw.example.com"]).secret("one")
            + &clients.sign(&["gw.example.com"]).secret("two")
            + &service("web", &[web.address])
            + &authority.config_map("ca")
            + &policy("", "");
        let mut world = World::of(&yaml).await;
        for (nth, port) in (1..).zip([80, 8080, 80, 8080]) {
            let response = get(world.at(port), "a", "/").await;
            assert_eq!((response.status, &response.json()["shown"]), (200, &1.into()), "{port}");
            world.record(nth).await;
        }
        assert_eq!(web.accepted(), 2, "one connection for each");
        assert_eq!(get(world.at(8443), "a", "/").await.status, 502, "it has none to show");
        let accepted = web.accepted();
        world.put(&second("gw", 80, &presenting("two"))).await;
        assert_eq!(get(world.at(80), "a", "/").await.status, 200);
        assert_eq!(web.accepted(), accepted + 1, "another certificate takes another connection");
    });
}

#[test]
fn calls_reach_backends_over_tls_and_fail_as_unavailable() {
    run(async {
        let authority = Authority::new("one");
        let good = Backend::tls("good", authority.sign(&["abc.example.com"]).server(&["h2"])).await;
        let named = Backend::tls("named otherwise", authority.sign(&["other.example.com"]).server(&["h2"])).await;
        let h1 = Backend::tls("h1", authority.sign(&["abc.example.com"]).server(&[])).await;
        for (backend, expected) in [(&good, ("good", "0")), (&named, ("", "14")), (&h1, ("", "14"))] {
            let yaml = gateway("") + &grpc_route("all", ALL) + &service("web", &[backend.address]);
            let world = World::of(&(yaml + &authority.config_map("ca") + &policy("", ""))).await;
            let send = h2(world.at(80)).await;
            for _ in 0..2 {
                let (name, status) = answered(&send, call("/s.S/M")).await;
                assert_eq!((name.as_str(), status.as_str()), expected);
            }
        }
        assert_eq!((good.accepted(), named.asked(), h1.asked()), (1, 0, 0));
    });
}

#[test]
fn upgrades_reach_backends_over_tls() {
    run(async {
        let authority = Authority::new("one");
        let web = Backend::tls("web", authority.sign(&["abc.example.com"]).server(BOTH)).await;
        let foreign = Backend::tls("foreign", Authority::new("other").sign(&["abc.example.com"]).server(BOTH)).await;
        let yaml = |backend: &Backend| {
            let web = speaking("web", "kubernetes.io/wss", &[backend.address]);
            gateway("") + &route("all", ALL) + &web + &authority.config_map("ca") + &policy("", "")
        };
        let upgrade = "GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        let world = World::of(&yaml(&web)).await;
        let mut client = Client::connect(world.at(80)).await;
        client.send(upgrade).await;
        assert_eq!(client.response().await.status, 101);
        client.send("hello").await;
        assert_eq!(client.bytes(5).await, b"hello");
        let world = World::of(&yaml(&foreign)).await;
        let mut client = Client::connect(world.at(80)).await;
        client.send(upgrade).await;
        assert_eq!(client.response().await.status, 502);
        assert_eq!(foreign.asked(), 0);
    });
}

#[test]
fn bytes_of_tcp_and_tls_routes_reach_backends_over_tls() {
    run(async {
        let authority = Authority::new("one");
        let web = Backend::tls("web", authority.sign(&[SPIFFE]).server(&[])).await;
        let foreign = Backend::tls("foreign", Authority::new("other").sign(&[SPIFFE]).server(&[])).await;
        let policy = policy(&format!("subjectAltNames: [{{type: URI, uri: '{SPIFFE}'}}]"), "");
        let yaml = |backend: &Backend| {
            let routes = tcp("", "[{name: web, port: 80}]");
            routes + &service("web", &[backend.address]) + &authority.config_map("ca") + &policy
        };
        let world = World::of(&yaml(&web)).await;
        let mut client = Client::connect(world.at(8080)).await;
        assert_eq!(client.get("a", "/").await.json()["sni"], "abc.example.com");
        let terminating = tcp(
            "  - {name: tls, port: 443, protocol: TLS, tls: {mode: Terminate, certificateRefs: [{name: front}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: t, namespace: default}
spec:
  parentRefs: [{name: gw, sectionName: tls}]
  hostnames: [front.example]
  rules: [{backendRefs: [{name: web, port: 80}]}]",
            "[{name: web, port: 80}]",
        );
        let (_, secret) = secret("front", &["front.example"], &PKCS_ECDSA_P256_SHA256);
        let world = World::of(&(yaml(&web) + &terminating + &secret)).await;
        let stream = connect(&world, "front.example", Offer::default()).await.unwrap();
        assert_eq!(
            Client::over(stream).get("a", "/").await.json()["sni"],
            "abc.example.com",
            "one handshake ends, another begins"
        );
        let world = World::of(&yaml(&foreign)).await;
        // The reset may come before anything is sent.
        let ended = async {
            let mut stream = TcpStream::connect(world.at(8080)).await?;
            stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await?;
            stream.read_u8().await
        };
        assert_eq!(ended.await.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
        assert_eq!(foreign.asked(), 0);
    });
}

#[test]
fn the_way_back_of_an_endpoint_is_a_handshake() {
    run(async {
        let authority = Authority::new("one");
        let signed = authority.sign(&["abc.example.com"]);
        let good = Backend::tls("good", signed.server(H1)).await;
        let bad: SocketAddr = ([127, 0, 0, 1], free_port()).into();
        let world = World::of(&front(&authority, &policy("", ""), &[good.address, bad])).await;
        while world.gateway.counters().upstream_ejections() == 0 {
            assert_eq!(get(world.at(80), "a", "/").await.json()["backend"], "good");
        }
        // Somebody answers there, but not over TLS.
        let clear = Backend::answering_at(bad, |_| Reply::text("in clear")).await;
        until("two probes", || clear.accepted() > 1).await;
        for _ in 0..20 {
            assert_eq!(get(world.at(80), "a", "/").await.json()["backend"], "good");
        }
        assert_eq!(clear.asked(), 0);
        clear.stop().await;
        let back = Backend::tls_at(bad, "back", signed.server(H1)).await;
        while back.asked() == 0 {
            assert_eq!(get(world.at(80), "a", "/").await.status, 200);
        }
    });
}
