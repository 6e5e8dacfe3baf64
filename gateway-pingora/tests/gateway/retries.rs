//! When a request is sent again, and when not (`HTTPRouteRetry`, GEP-1731; budgets of XBackendTrafficPolicy, GEP-3388).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use crate::backend::{Backend, Reply};
use crate::calls::{answered, call, grpc_route};
use crate::client::{Client, get};
use crate::protocols::h2;
use crate::world::{World, free_port, gateway, route, run, service};

fn rules(retry: &str, more: &str) -> String {
    format!("[{{retry: {{{retry}}}, {more}backendRefs: [{{name: web, port: 80}}]}}]")
}

async fn world(retry: &str, endpoints: &[SocketAddr]) -> World {
    World::of(&(gateway("") + &route("all", &rules(retry, "")) + &service("web", endpoints))).await
}

/// Answers with this status as often, then with 200 and the body it got.
async fn failing(status: u16, times: usize) -> Backend {
    let count = AtomicUsize::new(0);
    Backend::answering(move |asked| match count.fetch_add(1, Ordering::SeqCst) < times {
        true => Reply::status(status),
        false => Reply::text(&format!("{} bytes", asked.body.len())),
    })
    .await
}

#[test]
fn statuses_that_the_rule_lists_are_retried_so_often_and_others_are_not() {
    run(async {
        for status in [500, 502, 503, 504] {
            let backend = failing(status, 3).await;
            let world = world(&format!("attempts: 3, codes: [{status}]"), &[backend.address]).await;
            assert_eq!((get(world.at(80), "a", "/").await.status, backend.asked()), (200, 4), "{status}");
            let record = world.record(1).await;
            assert_eq!((record.tries, record.fault, world.gateway.counters().upstream_retries()), (4, None, 3));
        }
        let rows = [
            ("attempts: 2, codes: [503]", 503, 3),
            ("attempts: 3, codes: [500]", 503, 1),
            ("codes: [503]", 503, 2),
            ("attempts: 0, codes: [503]", 503, 1),
            ("attempts: 3", 503, 1),
        ];
        for (retry, status, asked) in rows {
            let backend = failing(503, 100).await;
            let world = world(retry, &[backend.address]).await;
            let response = get(world.at(80), "a", "/").await;
            assert_eq!((response.status, backend.asked()), (status, asked), "{retry}: the last answer is the client's");
        }
    });
}

#[test]
fn failed_connects_are_retried_whatever_the_codes_and_elsewhere() {
    run(async {
        let good = Backend::echo("good").await;
        let bad: SocketAddr = ([127, 0, 0, 1], free_port()).into();
        let world_of_two = world("attempts: 100", &[good.address, bad]).await;
        for _ in 0..10 {
            assert_eq!(get(world_of_two.at(80), "a", "/").await.status, 200);
        }
        let world_of_none = world("attempts: 3, backoff: 1ms", &[bad]).await;
        assert_eq!(get(world_of_none.at(80), "a", "/").await.status, 503);
        assert_eq!(world_of_none.record(1).await.tries, 4);
    });
}

#[test]
fn another_attempt_goes_to_another_endpoint() {
    run(async {
        let (bad, good) = (Backend::answering(|_| Reply::status(500)).await, Backend::echo("good").await);
        let world = world("attempts: 1, codes: [500]", &[bad.address, good.address]).await;
        for _ in 0..20 {
            assert_eq!(get(world.at(80), "a", "/").await.status, 200);
        }
        assert!(bad.asked() > 0);
    });
}

#[test]
fn attempts_pause_from_the_backoff_on() {
    run(async {
        let backend = failing(503, 2).await;
        let world = world("attempts: 2, codes: [503], backoff: 200ms", &[backend.address]).await;
        let began = Instant::now();
        assert_eq!(get(world.at(80), "a", "/").await.status, 200);
        let took = began.elapsed();
        // 200 and 400 milliseconds, of which up to a half is taken away.
        assert!(took >= Duration::from_millis(300) && took < Duration::from_millis(2_000), "{took:?}");
    });
}

#[test]
fn a_body_is_sent_again_as_far_as_it_is_kept() {
    run(async {
        for (length, status, asked) in [(30_000, 200, 2), (200_000, 503, 1)] {
            let backend = failing(503, 1).await;
            let world = world("attempts: 1, codes: [503]", &[backend.address]).await;
            let mut client = Client::connect(world.at(80)).await;
            let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
            client.send([head.into_bytes(), vec![b'x'; length]].concat()).await;
            let response = client.response().await;
            assert_eq!((response.status, backend.asked()), (status, asked), "{length}");
            if status == 200 {
                assert_eq!(response.text(), format!("{length} bytes"));
            }
        }
    });
}

#[test]
fn what_may_have_been_processed_is_not_sent_again() {
    run(async {
        let backend = Backend::answering(|_| Reply::Close).await;
        let world = world("attempts: 3, codes: [500, 502, 503, 504]", &[backend.address]).await;
        for request in ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"] {
            assert_eq!(crate::client::status(world.at(80), request).await, 502);
        }
        assert_eq!(backend.asked(), 2);
    });
}

#[test]
fn an_expired_attempt_is_retried_where_504_is_listed_and_no_attempt_outlives_the_request() {
    run(async {
        // How many attempts fit into the time of the request depends on how busy the machine is.
        for (code, request, asked) in [("504", "", 3..=3), ("503", "", 1..=1), ("504", "request: 250ms, ", 1..=3)] {
            let silent = Backend::answering(|_| Reply::Hang).await;
            let retry = format!("attempts: {}, codes: [{code}], backoff: 1ms", if request.is_empty() { 2 } else { 50 });
            let rules = rules(&retry, &format!("timeouts: {{{request}backendRequest: 100ms}}, "));
            let world = World::of(&(gateway("") + &route("all", &rules) + &service("web", &[silent.address]))).await;
            assert_eq!(get(world.at(80), "a", "/").await.status, 504, "{code} {request}");
            assert!(asked.contains(&silent.asked()), "{code} {request}: {}", silent.asked());
        }
    });
}

/// A backend of calls that refuses the first ones: their streams, or with UNAVAILABLE.
async fn refusing(first: usize, by_reset: bool) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let counted = Arc::clone(&counted);
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    let is_refused = counted.fetch_add(1, Ordering::SeqCst) < first;
                    if is_refused && by_reset {
                        respond.send_reset(h2::Reason::REFUSED_STREAM);
                        continue;
                    }
                    let mut body = request.into_body();
                    // The connection has to be driven while its streams are read.
                    tokio::spawn(async move {
                        while let Some(Ok(piece)) = body.data().await {
                            let _ = body.flow_control().release_capacity(piece.len());
                        }
                        let status = if is_refused { "14" } else { "0" };
                        let head =
                            http::Response::builder().header("content-type", "application/grpc").header("grpc-status", status);
                        respond.send_response(head.body(()).unwrap(), true).unwrap();
                    });
                }
            });
        }
    });
    (address, asked)
}

#[test]
fn what_a_backend_says_it_has_not_processed_is_retried_whatever_the_codes() {
    run(async {
        for by_reset in [true, false] {
            let (address, asked) = refusing(1, by_reset).await;
            let retrying = route("all", &rules("attempts: 1", "")) + &service("web", &[address]);
            let h2c =
                retrying.replace("{name: web, port: 80}]\n---", "{name: web, port: 80, appProtocol: kubernetes.io/h2c}]\n---");
            assert_ne!(h2c, retrying);
            let world = World::of(&(gateway("") + &h2c)).await;
            let send = h2(world.at(80)).await;
            let status = answered(&send, call("/s.S/M")).await.1;
            assert_eq!(status, "0", "by reset: {by_reset}, {:?}", world.record(1).await.fault);
            assert_eq!(asked.load(Ordering::SeqCst), 2);
        }
        let (address, asked) = refusing(1, false).await;
        let world = World::of(
            &(gateway("") + &grpc_route("all", "[{backendRefs: [{name: web, port: 80}]}]") + &service("web", &[address])),
        )
        .await;
        let send = h2(world.at(80)).await;
        assert_eq!(
            (answered(&send, call("/s.S/M")).await.1, asked.load(Ordering::SeqCst)),
            ("14".into(), 1),
            "its rule says nothing"
        );
    });
}

#[test]
fn beyond_the_budget_of_a_backend_nothing_is_retried_and_the_client_gets_503() {
    run(async {
        let backend = Backend::answering(|_| Reply::status(500)).await;
        let policy = "
---
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackendTrafficPolicy
metadata: {name: p, namespace: default}
spec:
  targetRefs: [{group: '', kind: Service, name: web}]
  retryConstraint: {budget: {percent: 0, interval: 1h}, minRetryRate: {count: 3, interval: 1h}}";
        let all = rules("attempts: 2, codes: [500], backoff: 1ms", "");
        let world = World::of(&(gateway("") + &route("all", &all) + &service("web", &[backend.address]) + policy)).await;
        let mut statuses = Vec::new();
        for _ in 0..3 {
            statuses.push(get(world.at(80), "a", "/").await.status);
        }
        assert_eq!((statuses, backend.asked()), (vec![500, 503, 503], 6), "three retries are afforded");
        let fault = world.record(3).await.fault.unwrap().to_string();
        assert!(fault.contains("too many"), "{fault}");
        assert_eq!(world.gateway.counters().upstream_retries_over_budget(), 2);
    });
}
