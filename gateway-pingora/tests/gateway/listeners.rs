//! Ports that come and go while others serve, and connections that are sent home.

use std::net::TcpListener;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gateway_core::compile::{Bound, Fact};
use gateway_core::name::Kind;
use tokio::net::TcpStream;

use crate::backend::{Backend, Reply};
use crate::client::{Client, get};
use crate::protocols::{ask, h2, request};
use crate::tls::{self, Offer};
use crate::world::{World, gateway, route, run, service, until};

/// A second Gateway, on port 8080, with the same routes.
fn second(settings: &str) -> String {
    gateway(settings).replace("name: gw,", "name: second,").replace("port: 80,", "port: 8080,")
}

fn both(backend: &Backend) -> String {
    let route = route("all", "[{backendRefs: [{name: web, port: 80}]}]").replace("[{name: gw}]", "[{name: gw}, {name: second}]");
    route + &service("web", &[backend.address])
}

/// A backend whose answer to `/slow` waits until it is let go.
async fn slow() -> (Backend, mpsc::Sender<()>) {
    let (go, wait) = mpsc::channel();
    let wait = Arc::new(Mutex::new(wait));
    let backend = Backend::answering(move |asked| {
        if asked.target == "/slow" {
            // Let go of, or the test is over.
            let _ = tokio::task::block_in_place(|| wait.lock().unwrap().recv());
        }
        Reply::text("done")
    })
    .await;
    (backend, go)
}

#[test]
fn a_listener_comes_and_goes_without_touching_another() {
    run(async {
        let backend = Backend::echo("web").await;
        let mut world = World::of(&(gateway("") + &both(&backend))).await;
        let mut kept = Client::connect(world.at(80)).await;
        assert_eq!(kept.get("a", "/").await.status, 200);
        assert!(TcpStream::connect(world.at(8080)).await.is_err());
        for _ in 0..3 {
            world.put(&second("")).await;
            assert_eq!(world.bound(8080), Some(&Bound::Yes));
            assert_eq!(get(world.at(8080), "a", "/").await.status, 200);
            world.remove(Kind::Gateway, "second").await;
            assert!(TcpStream::connect(world.at(8080)).await.is_err(), "the port is free as soon as the fact says so");
        }
        assert_eq!(kept.get("a", "/").await.status, 200);
        assert_eq!(kept.get("a", "/").await.header("connection"), "keep-alive");
    });
}

#[test]
fn a_refused_port_is_told_and_tried_again() {
    run(async {
        let backend = Backend::echo("web").await;
        let mut world = World::of(&(gateway("") + &both(&backend))).await;
        let taken = TcpListener::bind(world.at(8080)).unwrap();
        world.put(&second("")).await;
        assert!(matches!(world.bound(8080), Some(Bound::Refused(_))), "{:?}", world.bound(8080));
        assert_eq!(get(world.at(80), "a", "/").await.status, 200);
        drop(taken);
        assert!(matches!(world.fact().await, Fact::Socket(_, Some(Bound::Yes))));
        assert_eq!(get(world.at(8080), "a", "/").await.status, 200);
    });
}

#[test]
fn a_request_in_progress_outlives_its_listener_and_idle_connections_end() {
    run(async {
        let (backend, go) = slow().await;
        let mut world = World::of(&(gateway("") + &second("") + &both(&backend))).await;
        let mut idle = Client::connect(world.at(8080)).await;
        assert_eq!(idle.get("a", "/").await.status, 200);
        let mut busy = Client::connect(world.at(8080)).await;
        busy.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let send = h2(world.at(8080)).await;
        let over_h2 = tokio::spawn({
            let send = send.clone();
            async move { ask(&send, request("http://a/slow")).await }
        });
        until("both are asked", || world.gateway.counters().requests_open() == 2 && backend.accepted() >= 2).await;
        world.remove(Kind::Gateway, "second").await;
        assert!(TcpStream::connect(world.at(8080)).await.is_err());
        assert!(idle.ends().await);
        go.send(()).unwrap();
        go.send(()).unwrap();
        let response = busy.response().await;
        assert_eq!((response.status, response.text().as_str(), response.header("connection")), (200, "done", "close"));
        assert!(busy.ends().await);
        let (head, body, _) = over_h2.await.unwrap().unwrap();
        assert_eq!((head.status.as_u16(), body.as_slice()), (200, b"done".as_slice()));
        until("all have gone", || world.gateway.counters().connections_open() == 0).await;
        assert!(ask(&send, request("http://a/")).await.is_err());
        assert_eq!(get(world.at(80), "a", "/").await.status, 200);
    });
}

#[test]
fn at_the_drain_time_the_rest_is_cut() {
    run(async {
        let backend = Backend::answering(|_| Reply::Hang).await;
        let mut world = World::of(&(gateway("") + &second("  limits: {drainTimeout: 300ms}\n") + &both(&backend))).await;
        let mut client = Client::connect(world.at(8080)).await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        until("it is asked", || backend.asked() == 1).await;
        let began = Instant::now();
        world.remove(Kind::Gateway, "second").await;
        assert!(client.ends().await);
        assert!((Duration::from_millis(250)..Duration::from_secs(5)).contains(&began.elapsed()), "{:?}", began.elapsed());
    });
}

#[test]
fn a_drained_gateway_closes_its_ports_and_says_when_nobody_is_left() {
    run(async {
        let (backend, go) = slow().await;
        let world = World::of(&(gateway("") + &both(&backend))).await;
        let mut idle = Client::connect(world.at(80)).await;
        assert_eq!(idle.get("a", "/").await.status, 200);
        let mut busy = Client::connect(world.at(80)).await;
        busy.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await;
        until("it is asked", || world.gateway.counters().requests_open() == 1).await;
        let gateway = world.gateway.clone();
        let drained = tokio::spawn(async move { gateway.drain(Duration::from_secs(20)).await });
        // A request on its way is still served, and told that it was the last.
        loop {
            let response = idle.get("a", "/").await;
            assert_eq!(response.status, 200);
            if response.header("connection") == "close" {
                break;
            }
        }
        until("the port is closed", || std::net::TcpStream::connect(world.at(80)).is_err()).await;
        assert!(!drained.is_finished());
        go.send(()).unwrap();
        assert_eq!(busy.response().await.header("connection"), "close");
        assert_eq!(drained.await.unwrap(), 0);
        until("the service returns", || world.is_over()).await;
    });
}

/// In clear: a tunnel is cut, idle connections end, those of the other listener go on.
#[test]
fn a_listener_that_leaves_its_port_to_another_takes_only_its_own_connections_along() {
    run(async {
        let backend = Backend::answering(|asked| match asked.target.as_str() {
            "/chat" => {
                Reply::Mirror(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n".to_vec())
            }
            _ => Reply::text("done"),
        })
        .await;
        let beside = second("  limits: {drainTimeout: 1500ms}\n")
            .replace("port: 8080, protocol: HTTP", "port: 80, protocol: HTTP, hostname: b.example");
        let mut world = World::of(&(gateway("") + &beside + &both(&backend))).await;
        let mut kept = Client::connect(world.at(80)).await;
        assert_eq!(kept.get("b.example", "/").await.status, 200);
        assert_eq!(kept.get("a.example", "/").await.status, 200, "the last listener counts");
        let mut idle = Client::connect(world.at(80)).await;
        assert_eq!(idle.get("b.example", "/").await.status, 200);
        let mut unused = Client::connect(world.at(80)).await;
        let h2_kept = h2(world.at(80)).await;
        assert!(ask(&h2_kept, request("http://a.example/")).await.is_ok());
        let h2_gone = h2(world.at(80)).await;
        assert!(ask(&h2_gone, request("http://b.example/")).await.is_ok());
        let mut tunnel = Client::connect(world.at(80)).await;
        tunnel.send("GET /chat HTTP/1.1\r\nHost: b.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n").await;
        assert_eq!(tunnel.response().await.status, 101);

        let began = Instant::now();
        world.remove(Kind::Gateway, "second").await;
        assert!(idle.ends().await);
        assert!(began.elapsed() < Duration::from_millis(1400), "{:?}", began.elapsed());
        tunnel.send("still there").await;
        assert_eq!(tunnel.bytes(11).await, b"still there");
        assert!(tunnel.ends().await);
        assert!((Duration::from_millis(1400)..Duration::from_secs(8)).contains(&began.elapsed()), "{:?}", began.elapsed());
        assert!(ask(&h2_gone, request("http://a.example/")).await.is_err());
        for client in [&mut kept, &mut unused] {
            let response = client.get("a.example", "/").await;
            assert_eq!((response.status, response.header("connection")), (200, "keep-alive"));
        }
        assert!(ask(&h2_kept, request("http://a.example/")).await.is_ok());
    });
}

#[test]
fn the_same_over_tls_and_a_rotated_certificate_takes_nobody_along() {
    run(async {
        let backend = Backend::answering(|asked| if asked.target == "/slow" { Reply::Hang } else { Reply::text("done") }).await;
        let listeners = [("a", "a.example", &["a"][..]), ("b", "b.example", &["b"][..])];
        let parameters = "
---
apiVersion: pingora-gateway.dev/v1alpha1
kind: GatewayParameters
metadata: {name: settings, namespace: default}
spec:
  limits: {drainTimeout: 1500ms}
";
        let reference =
            "  infrastructure: {parametersRef: {group: pingora-gateway.dev, kind: GatewayParameters, name: settings}}\n";
        let gateway = |count| tls::gateway(&listeners[..count]).replace("  listeners:\n", &format!("{reference}  listeners:\n"));
        let secrets = || {
            let secret = |name, host| tls::secret(name, &[host], &rcgen::PKCS_ECDSA_P256_SHA256).1;
            secret("a", "a.example") + &secret("b", "b.example")
        };
        let mut world = World::of(&(gateway(2) + parameters + &secrets() + &tls::web(&backend))).await;
        let mut kept = Client::over(tls::connect(&world, "a.example", Offer::default()).await.unwrap());
        assert_eq!(kept.get("a.example", "/").await.status, 200);
        let mut idle = Client::over(tls::connect(&world, "b.example", Offer::default()).await.unwrap());
        assert_eq!(idle.get("b.example", "/").await.status, 200);
        let mut busy = Client::over(tls::connect(&world, "b.example", Offer::default()).await.unwrap());
        busy.send("GET /slow HTTP/1.1\r\nHost: b.example\r\n\r\n").await;
        until("it is asked", || backend.asked() == 3).await;

        world.put(&secrets()).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        for (client, host) in [(&mut kept, "a.example"), (&mut idle, "b.example")] {
            assert_eq!(client.get(host, "/").await.header("connection"), "keep-alive");
        }

        let began = Instant::now();
        world.put(&gateway(1)).await;
        assert!(idle.ends().await);
        assert!(began.elapsed() < Duration::from_millis(1400), "{:?}", began.elapsed());
        assert!(busy.ends().await);
        assert!((Duration::from_millis(1400)..Duration::from_secs(8)).contains(&began.elapsed()), "{:?}", began.elapsed());
        assert_eq!(kept.get("a.example", "/").await.header("connection"), "keep-alive");

        // Without a certificate the listener stays, closed.
        world.remove(Kind::Secret, "a").await;
        assert!(kept.ends().await);
    });
}

#[test]
fn listeners_of_a_set_serve_in_clear_and_over_tls_with_certificates_of_their_own() {
    run(async {
        let backend = Backend::echo("web").await;
        let (own, own_secret) = tls::secret("own", &["a.example.com"], &rcgen::PKCS_ECDSA_P256_SHA256);
        let (theirs, their_secret) = tls::secret("theirs", &["b.example.com"], &rcgen::PKCS_ECDSA_P256_SHA256);
        let gateway = tls::gateway(&[("https", "a.example.com", &["own"])])
            .replace("gatewayClassName: pingora", "gatewayClassName: pingora\n  allowedListeners: {namespaces: {from: Same}}");
        let set = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: set, namespace: default}
spec:
  parentRef: {name: gw}
  listeners:
  - {name: https, port: 443, protocol: HTTPS, hostname: b.example.com, tls: {certificateRefs: [{name: theirs}]}}
  - {name: http, port: 80, protocol: HTTP}";
        let of_set = route("of-set", "[{backendRefs: [{name: web, port: 80}]}]")
            .replace("[{name: gw}]", "[{kind: ListenerSet, name: set}]");
        let all = gateway + set + &own_secret + &their_secret + &of_set + &service("web", &[backend.address]);
        let mut world = World::of(&all).await;
        assert_eq!(get(world.at(80), "anything", "/").await.status, 200);
        let first = tls::connect(&world, "a.example.com", Offer::default()).await.unwrap();
        let second = tls::connect(&world, "b.example.com", Offer::default()).await.unwrap();
        assert!(tls::leaf(&first) == own && tls::leaf(&second) == theirs);
        let mut kept = Client::over(first);
        assert_eq!(kept.get("a.example.com", "/").await.status, 404, "the route names the set alone");
        assert_eq!(Client::over(second).get("b.example.com", "/").await.status, 200);
        world.remove(Kind::ListenerSet, "set").await;
        assert!(TcpStream::connect(world.at(80)).await.is_err());
        assert!(tls::connect(&world, "b.example.com", Offer::default()).await.is_err());
        assert_eq!(kept.get("a.example.com", "/").await.status, 404, "connections of other listeners stay");
    });
}
