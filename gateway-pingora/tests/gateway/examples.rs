//! The examples, run.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use gateway_pingora::Gateway;
use tokio::sync::mpsc::unbounded_channel;

use crate::backend::{Asked, Backend, Reply};
use crate::client::{Client, get};
use crate::world::{World, free_port, gateway, route, run, service, until};

#[path = "../../examples/around.rs"]
#[expect(dead_code, reason = "its main is for those who run it alone")]
mod around;
#[path = "../../examples/count.rs"]
#[expect(dead_code, reason = "its main is for those who run it alone")]
mod count;
#[path = "../../examples/embed.rs"]
#[expect(dead_code, reason = "its main is for those who run it alone")]
mod embed;
#[path = "../../examples/sign.rs"]
#[expect(dead_code, reason = "its main is for those who run it alone")]
mod sign;
#[path = "../../examples/token.rs"]
#[expect(dead_code, reason = "its main is for those who run it alone")]
mod token;

/// A rule with the filter of an object `one` of this kind, and the object.
fn filtered(kind: &str, spec: &str) -> String {
    let rule = format!(
        "
  - filters: [{{type: ExtensionRef, extensionRef: {{group: example.com, kind: {kind}, name: one}}}}]
    backendRefs: [{{name: web, port: 80}}]"
    );
    let object = format!(
        "
---
apiVersion: example.com/v1
kind: {kind}
metadata: {{name: one, namespace: default}}
spec: {spec}"
    );
    gateway("") + &route("all", &rule) + &object
}

#[test]
fn sign_signs_what_a_backend_gets() {
    run(async {
        let web = Backend::echo("web").await;
        let yaml = filtered("Sign", "{key: 0123456789abcdef}") + &service("web", &[web.address]);
        let world = World::with(|builder| builder.filter("example.com", "Sign", sign::Sign::read), &yaml).await;
        let mut client = Client::connect(world.at(80)).await;
        client.send("GET /a?b=c HTTP/1.1\r\nHost: a\r\nX-Signature: forged\r\n\r\n").await;
        let signature = client.response().await.echoed("x-signature");
        let time = signature.split_once('.').unwrap().0.parse().unwrap();
        let key = sign::Sign::read(&serde_json::json!({"key": "0123456789abcdef"})).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(signature, key.signature("GET", "/a?b=c", time));
        assert!(sign::Sign::read(&serde_json::json!({"key": "short"})).is_err());
    });
}

#[test]
fn token_asks_a_service_and_tells_the_backend_who_it_is() {
    run(async {
        let web = Backend::echo("web").await;
        let tokens = Backend::answering(|Asked { target, headers, .. }| {
            assert_eq!(target, "/introspect");
            let is_known = headers.iter().any(|(_, value)| value == "Bearer good");
            let answer = if is_known { "204 No Content\r\nX-User: ann" } else { "404 Not Found\r\nContent-Length: 0" };
            Reply::Bytes(format!("HTTP/1.1 {answer}\r\n\r\n").into_bytes())
        })
        .await;
        let yaml = filtered("TokenCheck", &format!("{{service: '{}'}}", tokens.address)) + &service("web", &[web.address]);
        let world = World::with(|builder| builder.filter("example.com", "TokenCheck", token::TokenCheck::read), &yaml).await;
        let mut client = Client::connect(world.at(80)).await;
        for _ in 0..3 {
            client.send("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\nX-User: mallory\r\n\r\n").await;
            let answer = client.response().await;
            assert_eq!((answer.status, answer.echoed("x-user"), answer.echoed("authorization")), (200, "ann".into(), "".into()));
        }
        assert_eq!(tokens.accepted(), 1, "its connection is kept");
        client.send("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer bad\r\n\r\n").await;
        assert_eq!(client.response().await.status, 401);
        assert_eq!(client.get("a", "/").await.header("www-authenticate"), "Bearer");
        tokens.stop().await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\n\r\n").await;
        assert_eq!(client.response().await.status, 500);
        assert_eq!(web.asked(), 3);
    });
}

#[test]
fn count_counts_bodies_both_ways_and_refuses_long_ones() {
    run(async {
        let web = Backend::answering(|asked| Reply::text(&"x".repeat(asked.body.len() * 2))).await;
        let totals: Arc<count::Totals> = Arc::default();
        let counting = count::Count { totals: Arc::clone(&totals), most: 10 };
        let yaml = gateway("") + &route("all", "[{backendRefs: [{name: web, port: 80}]}]") + &service("web", &[web.address]);
        let world = World::with(|builder| builder.always(counting), &yaml).await;
        for (body, status) in [("abc", 200), ("0123456789", 200), ("0123456789a", 500)] {
            let mut client = Client::connect(world.at(80)).await;
            client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len())).await;
            assert_eq!(client.response().await.status, status, "{body}");
        }
        until("all are counted", || totals.requests.load(Ordering::Relaxed) == 3).await;
        assert_eq!((totals.received.load(Ordering::Relaxed), totals.sent.load(Ordering::Relaxed)), (24, 26));
    });
}

#[test]
fn embed_serves_what_its_own_source_says_and_follows_it() {
    run(async {
        let (one, two, port) = (Backend::echo("one").await, Backend::echo("two").await, free_port());
        let gateway = Gateway::builder().map_port(80, port).build().unwrap();
        let (changes, source) = unbounded_channel();
        let put = |yaml: &str| {
            for change in embed::read(yaml, &gateway).unwrap() {
                changes.send(change).unwrap();
            }
        };
        tokio::spawn(embed::follow(gateway.clone(), source));
        let serving = tokio::spawn({
            let gateway = gateway.clone();
            async move { gateway.run().await }
        });
        let at = (std::net::Ipv4Addr::LOCALHOST, port).into();
        put(&(crate::world::gateway("")
            + &route("all", "[{backendRefs: [{name: web, port: 80}]}]")
            + &service("web", &[one.address])));
        until("it listens", || std::net::TcpStream::connect(at).is_ok()).await;
        while get(at, "a", "/").await.header("x-backend") != "one" {}
        put(&service("web", &[two.address]));
        while get(at, "a", "/").await.header("x-backend") != "two" {}
        gateway.drain(std::time::Duration::from_secs(5)).await;
        serving.await.unwrap();
    });
}

#[test]
fn around_adds_to_what_ours_does_and_passes_all_of_it_on() {
    run(async {
        let web = Backend::echo("web").await;
        let yaml = gateway("") + &route("all", "[{backendRefs: [{name: web, port: 80}]}]") + &service("web", &[web.address]);
        let world = World::around(around::Timed, &yaml).await;
        let mut client = Client::connect(world.at(80)).await;
        let answer = client.get("a", "/").await;
        assert!(answer.status == 200 && answer.header("server-timing").starts_with("backend;dur="), "{answer:?}");
    });
    // What ours implements, by the text of both.
    let callbacks = |text: &'static str| {
        let (_, rest) = text.split_once("impl ProxyHttp for ").unwrap();
        let (block, _) = rest.split_once("\n}\n").unwrap();
        let mut names: Vec<&str> = block
            .lines()
            .filter_map(|line| line.strip_prefix("    fn ").or_else(|| line.strip_prefix("    async fn ")))
            .map(|line| line.split('(').next().unwrap())
            .collect();
        names.sort_unstable();
        names
    };
    let ours = callbacks(include_str!("../../src/proxy.rs"));
    assert!(ours.contains(&"connected_to_upstream") && ours.len() > 15, "{ours:?}");
    assert_eq!(callbacks(include_str!("../../examples/around.rs")), ours);
}
