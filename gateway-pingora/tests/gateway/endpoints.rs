//! Which endpoint is asked, and what becomes of those that fail.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::backend::{Backend, Reply};
use crate::client::{Client, get, status};
use crate::world::{World, free_port, gateway, route, run, service, slice, until};
use gateway_core::name::Kind;

const ALL: &str = "[{backendRefs: [{name: web, port: 80}]}]";

async fn world(endpoints: &[SocketAddr]) -> World {
    World::of(&(gateway("") + &route("all", ALL) + &service("web", endpoints))).await
}

fn nobody() -> SocketAddr {
    ([127, 0, 0, 1], free_port()).into()
}

#[test]
fn all_endpoints_are_asked() {
    run(async {
        let backends = [Backend::echo("a").await, Backend::echo("b").await, Backend::echo("c").await];
        let world = world(&backends.each_ref().map(|backend| backend.address)).await;
        while backends.iter().any(|backend| backend.asked() < 5) {
            assert_eq!(get(world.at(80), "a", "/").await.status, 200);
        }
    });
}

#[test]
fn a_refused_connect_is_tried_elsewhere_and_the_endpoint_comes_back() {
    run(async {
        let good = Backend::echo("good").await;
        let bad = nobody();
        let world = world(&[good.address, bad]).await;
        for _ in 0..20 {
            let response = get(world.at(80), "a", "/").await;
            assert_eq!((response.status, &response.json()["backend"]), (200, &"good".into()));
        }
        let counters = world.gateway.counters();
        assert_eq!((counters.upstream_ejections(), counters.upstream_connects_failed()), (1, 1), "it was asked once");
        let back = Backend::answering_at(bad, |_| Reply::text("back")).await;
        // Probes connect and ask nothing.
        until("a probe", || back.accepted() > 0).await;
        while back.asked() == 0 {
            assert_eq!(get(world.at(80), "a", "/").await.status, 200);
        }
    });
}

#[test]
fn without_repick_a_refused_connect_is_503_at_once() {
    run(async {
        let good = Backend::echo("good").await;
        let rules = "[{retry: {attempts: 0}, backendRefs: [{name: web, port: 80}]}]";
        let yaml = gateway("") + &route("all", rules) + &service("web", &[good.address, nobody()]);
        let world = World::of(&yaml).await;
        let mut seen = Vec::new();
        while !seen.contains(&503) {
            seen.push(get(world.at(80), "a", "/").await.status);
        }
        assert_eq!(world.gateway.counters().upstream_repicks(), 0);
        assert_eq!(get(world.at(80), "a", "/").await.status, 200, "it is out of use");
    });
}

#[test]
fn when_nobody_can_be_reached_each_is_tried_once() {
    run(async {
        let world = world(&[nobody(), nobody(), nobody()]).await;
        for count in 1..3 {
            assert_eq!(get(world.at(80), "a", "/").await.status, 503);
            let record = world.record(count).await;
            assert_eq!((record.status, record.tries), (503, 3));
            assert!(record.fault.unwrap().to_string().contains("no endpoint could be reached"));
        }
    });
}

#[test]
fn an_exchange_broken_off_is_502_and_never_sent_twice() {
    run(async {
        let backend = Backend::answering(|asked| match asked.target.as_str() {
            "/half" => Reply::Last(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc".to_vec()),
            "/garbled" => Reply::Last(b"SSH-2.0-OpenSSH\r\n\r\n".to_vec()),
            _ => Reply::Close,
        })
        .await;
        let world = world(&[backend.address]).await;
        for request in ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"] {
            assert_eq!(status(world.at(80), request).await, 502);
        }
        assert_eq!(backend.asked(), 2);
        assert_eq!(get(world.at(80), "a", "/garbled").await.status, 502);
        let mut client = Client::connect(world.at(80)).await;
        client.send("GET /half HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let record = world.record(4).await;
        assert_eq!(record.status, 200);
        assert!(record.fault.is_some(), "the response was cut");
    });
}

#[test]
fn five_failures_in_a_row_take_an_endpoint_out_of_use() {
    run(async {
        let code = Arc::new(AtomicU16::new(503));
        let told = Arc::clone(&code);
        let flaky = Backend::answering(move |_| Reply::status(told.load(Ordering::SeqCst))).await;
        let good = Backend::echo("good").await;
        let world = world(&[flaky.address, good.address]).await;
        while world.gateway.counters().upstream_ejections() == 0 {
            get(world.at(80), "a", "/").await;
        }
        assert_eq!(flaky.asked(), 5);
        code.store(200, Ordering::SeqCst);
        for _ in 0..20 {
            assert_eq!(get(world.at(80), "a", "/").await.header("x-backend"), "good");
        }
        while flaky.asked() < 6 {
            get(world.at(80), "a", "/").await;
        }
        assert_eq!(world.gateway.counters().upstream_ejections(), 1);
    });
}

#[test]
fn a_status_500_takes_nobody_out_of_use() {
    run(async {
        let backend = Backend::answering(|_| Reply::status(500)).await;
        let world = world(&[backend.address]).await;
        for _ in 0..20 {
            assert_eq!(get(world.at(80), "a", "/").await.status, 500);
        }
        assert_eq!(world.gateway.counters().upstream_ejections(), 0);
    });
}

#[test]
fn a_pooled_connection_closed_meanwhile_does_not_fail_a_get() {
    run(async {
        // Announces nothing and closes after each response.
        let backend = Backend::answering(|_| Reply::Last(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec())).await;
        let world = world(&[backend.address]).await;
        let mut client = Client::connect(world.at(80)).await;
        for _ in 0..20 {
            assert_eq!(client.get("a", "/").await.text(), "ok");
        }
    });
}

#[test]
fn an_address_that_left_and_came_back_meets_no_old_connection() {
    run(async {
        let backend = Backend::echo("web").await;
        let mut world = world(&[backend.address]).await;
        for _ in 0..3 {
            assert_eq!(get(world.at(80), "a", "/").await.json()["connection"], 1);
        }
        world.remove(Kind::EndpointSlice, "web-0").await;
        assert_eq!(get(world.at(80), "a", "/").await.status, 503);
        world.put(&slice("web", 0, &backend.address)).await;
        assert_eq!(get(world.at(80), "a", "/").await.json()["connection"], 2);
    });
}

#[test]
fn a_response_that_takes_long_is_waited_for() {
    run(async {
        let backend = Backend::answering(|_| Reply::Hang).await;
        let world = world(&[backend.address]).await;
        let mut client = Client::connect(world.at(80)).await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        until("the backend is asked", || backend.asked() == 1).await;
        backend.stop().await;
        assert_eq!(client.response().await.status, 502);
    });
}
