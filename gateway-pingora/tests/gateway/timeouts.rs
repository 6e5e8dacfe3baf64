//! How long requests and their attempts may take (`HTTPRouteTimeouts`).

use std::time::{Duration, Instant};

use gateway_pingora::Fault;

use crate::backend::{Backend, Reply};
use crate::calls::{call, grpc_route};
use crate::client::{Client, get};
use crate::protocols::{ask, h2, request};
use crate::world::{World, gateway, route, run, service, speaking};

const MS: fn(u64) -> Duration = Duration::from_millis;

fn rules(timeouts: &str) -> String {
    format!("[{{timeouts: {{{timeouts}}}, backendRefs: [{{name: web, port: 80}}]}}]")
}

async fn world(timeouts: &str, backend: &Backend) -> World {
    World::of(&(gateway("") + &route("all", &rules(timeouts)) + &service("web", &[backend.address]))).await
}

fn took(began: Instant, least: u64, most: u64) {
    let took = began.elapsed();
    assert!(took >= MS(least) && took < MS(most), "{took:?} is not between {least} and {most} ms");
}

#[test]
fn an_expired_limit_is_504_whichever_it_is_and_whatever_the_client_speaks() {
    run(async {
        let silent = Backend::answering(|_| Reply::Hang).await;
        for (timeouts, fault) in [("request: 300ms", Fault::RequestTimeout), ("backendRequest: 300ms", Fault::BackendTimeout)] {
            let world = world(timeouts, &silent).await;
            let began = Instant::now();
            assert_eq!(get(world.at(80), "a", "/").await.status, 504);
            took(began, 300, 2_000);
            assert_eq!(world.record(1).await.fault, Some(fault));
            let send = h2(world.at(80)).await;
            assert_eq!(ask(&send, request("http://a/")).await.unwrap().0.status, 504);
            let mut client = Client::connect(world.at(80)).await;
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc").await;
            assert_eq!(client.response().await.status, 504);
        }
    });
}

#[test]
fn a_call_that_takes_too_long_ends_with_deadline_exceeded() {
    run(async {
        let silent = Backend::mute().await;
        let route = grpc_route("all", "[{backendRefs: [{name: web, port: 80}]}]");
        // GRPCRoutes have no limits of their own; the HTTPRoute's hold for calls that it matches.
        let yaml = gateway("")
            + &route.replace("all", "none").replace("[{backendRefs", "[{matches: [{method: {service: x.Y}}], backendRefs");
        let h2c = speaking("web", "kubernetes.io/h2c", &[silent.address]);
        let world = World::of(&(yaml + &crate::world::route("all", &rules("request: 300ms")) + &h2c)).await;
        let send = h2(world.at(80)).await;
        let (head, _, _) = ask(&send, call("/s.S/M")).await.unwrap();
        assert_eq!((head.status.as_u16(), &head.headers["grpc-status"]), (200, &"4".parse::<http::HeaderValue>().unwrap()));
    });
}

#[test]
fn no_limit_is_none_at_all() {
    run(async {
        let slow = Backend::answering(|_| Reply::Late(MS(600), Box::new(Reply::text("late")))).await;
        for timeouts in ["request: 0s", "request: 0s, backendRequest: 0s", "request: 5s, backendRequest: 3s"] {
            assert_eq!(get(world(timeouts, &slow).await.at(80), "a", "/").await.status, 200, "{timeouts}");
        }
        assert_eq!(get(world("backendRequest: 300ms", &slow).await.at(80), "a", "/").await.status, 504);
    });
}

#[test]
fn a_response_that_goes_on_too_long_is_cut() {
    run(async {
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        let endless = Backend::answering(move |_| Reply::Trickle(head.clone(), b"1\r\nx\r\n", MS(50))).await;
        for (timeouts, fault) in [("request: 300ms", Fault::RequestTimeout), ("backendRequest: 300ms", Fault::BackendTimeout)] {
            let world = world(timeouts, &endless).await;
            let began = Instant::now();
            let mut client = Client::connect(world.at(80)).await;
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
            let read = client.rest().await;
            took(began, 300, 2_000);
            let text = String::from_utf8_lossy(&read);
            assert!(text.starts_with("HTTP/1.1 200") && !text.contains("504") && !text.ends_with("0\r\n\r\n"), "{text}");
            let record = world.record(1).await;
            assert_eq!((record.status, record.fault), (200, Some(fault)));
            let send = h2(world.at(80)).await;
            assert!(ask(&send, request("http://a/")).await.is_err(), "its stream is reset");
        }
    });
}

#[test]
fn limits_hold_until_an_upgrade_and_not_after_it() {
    run(async {
        let upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        let head = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n".to_vec();
        let tunnel = Backend::answering(move |_| Reply::Mirror(head.clone())).await;
        let silent = Backend::answering(|_| Reply::Hang).await;
        for timeouts in ["request: 300ms", "backendRequest: 300ms"] {
            let world_of_tunnel = world(timeouts, &tunnel).await;
            let mut client = Client::connect(world_of_tunnel.at(80)).await;
            client.send(upgrade).await;
            assert_eq!(client.response().await.status, 101);
            tokio::time::sleep(MS(600)).await;
            client.send("hello").await;
            assert_eq!(client.bytes(5).await, b"hello");
            let world_of_silent = world(timeouts, &silent).await;
            let mut client = Client::connect(world_of_silent.at(80)).await;
            let began = Instant::now();
            client.send(upgrade).await;
            assert_eq!(client.response().await.status, 504);
            took(began, 300, 2_000);
        }
    });
}
