//! Time and size that clients may take.

use std::time::{Duration, Instant};

use crate::backend::Backend;
use crate::client::Client;
use crate::protocols::{ask, h2, request};
use crate::world::{World, gateway, route, run, service, until};

async fn world(backend: &Backend, limits: &str) -> World {
    let settings = format!("  limits: {limits}\n");
    let route = route("all", "[{backendRefs: [{name: web, port: 80}]}]");
    World::of(&(gateway(&settings) + &route + &service("web", &[backend.address]))).await
}

#[test]
fn a_head_that_is_too_large_is_431() {
    run(async {
        let backend = Backend::echo("web").await;
        let world = world(&backend, "{maxHeaderBytes: 8192}").await;
        let mut client = Client::connect(world.at(80)).await;
        let large = |bytes: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nX-Large: {}\r\n\r\n", "x".repeat(bytes));
        client.send(large(4000)).await;
        assert_eq!(client.response().await.status, 200);
        client.send(large(100_000)).await;
        assert_eq!(client.response().await.status, 431);
        assert!(client.ends().await);
        assert_eq!(world.gateway.counters().heads_too_large(), 1);
    });
}

#[test]
fn a_head_that_is_too_large_is_431_over_http_2_too() {
    run(async {
        let backend = Backend::echo("web").await;
        let world = world(&backend, "{maxHeaderBytes: 8192}").await;
        let send = h2(world.at(80)).await;
        let large = |bytes: usize| {
            let mut large = request("http://a/");
            large.headers_mut().insert("x-large", "x".repeat(bytes).parse().unwrap());
            large
        };
        assert_eq!(ask(&send, large(4000)).await.unwrap().0.status, 200);
        assert_eq!(ask(&send, large(20_000)).await.unwrap().0.status, 431);
        assert_eq!(ask(&send, large(4000)).await.unwrap().0.status, 200, "the connection goes on");
        assert_eq!(world.gateway.counters().heads_too_large(), 1);
    });
}

#[test]
fn a_head_that_is_too_slow_ends_the_connection_however_it_dribbles() {
    run(async {
        let backend = Backend::echo("web").await;
        let world = world(&backend, "{headerTimeout: 400ms}").await;
        let began = Instant::now();
        let mut silent = Client::connect(world.at(80)).await;
        assert!(silent.ends().await);
        assert!(began.elapsed() < Duration::from_secs(5));

        let mut client = Client::connect(world.at(80)).await;
        assert_eq!(client.get("a", "/").await.status, 200);
        let began = Instant::now();
        for byte in b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ".iter().chain(std::iter::repeat_n(&b'x', 400)) {
            if !client.try_send([*byte]).await {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            if world.gateway.counters().heads_too_slow() > 0 {
                break;
            }
        }
        assert!((Duration::from_millis(350)..Duration::from_secs(5)).contains(&began.elapsed()), "{:?}", began.elapsed());
        assert_eq!(client.response().await.status, 408);
        assert!(client.ends().await);

        // Half of the preface of HTTP/2.
        let mut client = Client::connect(world.at(80)).await;
        client.send("PRI * HT").await;
        until("the connection ends", || world.gateway.counters().connections_open() == 0).await;
    });
}

#[test]
fn idle_connections_end_and_busy_ones_do_not() {
    run(async {
        let backend = Backend::echo("web").await;
        let world = world(&backend, "{idleTimeout: 300ms, headerTimeout: 10s}").await;
        let mut client = Client::connect(world.at(80)).await;
        for _ in 0..3 {
            assert_eq!(client.get("a", "/").await.status, 200);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // A request in progress, whose body takes longer than an idle connection has.
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n").await;
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_millis(150)).await;
            client.send("x").await;
        }
        assert_eq!(client.response().await.status, 200);
        assert!(client.ends().await);

        let send = h2(world.at(80)).await;
        assert_eq!(ask(&send, request("http://a/")).await.unwrap().0.status, 200);
        until("the connection ends", || world.gateway.counters().connections_open() == 0).await;
        assert!(ask(&send, request("http://a/")).await.is_err());
    });
}
