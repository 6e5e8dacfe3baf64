//! Filters of one's own, the built-in one, and proxies that delegate to ours.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use gateway_pingora::{Exchange, Filter, FilterError, Passage, Proxy, Record, RequestHeader, ResponseHeader};
use pingora_core::upstreams::peer::HttpPeer;
use pingora_proxy::{FailToProxy, ProxyHttp, Session};
use serde_json::Value;

use crate::backend::Backend;
use crate::client::{Client, get};
use crate::protocols::{ask, h2, request};
use crate::world::{World, gateway, route, run, service, until};

/// Does what its `spec.mode` says.
struct Tester {
    mode: String,
    logged: Arc<AtomicUsize>,
}

#[async_trait]
impl Filter for Tester {
    async fn request(
        &self,
        exchange: &mut Exchange,
        head: &mut RequestHeader,
    ) -> Result<Option<http::Response<Bytes>>, FilterError> {
        match self.mode.as_str() {
            "fail" => return Err("as told".into()),
            "panic" => panic!("as told"),
            "answer" => {
                return Ok(Some(http::Response::builder().status(202).header("x-mine", "1").body(Bytes::from("mine"))?));
            }
            _ => {}
        }
        head.insert_header("X-Seen", format!("{} from {}", exchange.target(), exchange.peer().ip()))?;
        exchange.state().insert(7_u32);
        Ok(None)
    }

    async fn request_body(&self, _: &mut Exchange, piece: &mut Option<Bytes>, _: bool) -> Result<(), FilterError> {
        match self.mode.as_str() {
            "panic in body" => panic!("as told"),
            "shout" => {
                if let Some(bytes) = piece {
                    *bytes = bytes.to_ascii_uppercase().into();
                }
            }
            _ => {}
        }
        Ok(())
    }

    async fn response(&self, exchange: &mut Exchange, head: &mut ResponseHeader) -> Result<(), FilterError> {
        if self.mode == "panic in response" {
            panic!("as told");
        }
        if let Some(number) = exchange.state().get::<u32>() {
            head.insert_header("X-State", number.to_string())?;
        }
        Ok(())
    }

    fn response_body(&self, _: &mut Exchange, piece: &mut Option<Bytes>, _: bool) -> Result<(), FilterError> {
        if let (Some(bytes), "shout") = (piece, self.mode.as_str()) {
            *bytes = bytes.to_ascii_uppercase().into();
        }
        Ok(())
    }

    fn log(&self, _: &mut Exchange, record: &Record) {
        assert!(record.status > 0);
        self.logged.fetch_add(1, Ordering::SeqCst);
    }
}

/// A gateway with a rule for every mode, at `/mode`.
async fn world(backend: &Backend, modes: &[&str], logged: &Arc<AtomicUsize>) -> World {
    let mut rules = String::new();
    let mut objects = String::new();
    for (index, mode) in modes.iter().enumerate() {
        rules.push_str(&format!(
            "
  - matches: [{{path: {{value: /{index}}}}}]
    filters:
    - {{type: ExtensionRef, extensionRef: {{group: example.com, kind: Tester, name: t{index}}}}}
    backendRefs: [{{name: web, port: 80}}]"
        ));
        objects.push_str(&format!(
            "
---
apiVersion: example.com/v1
kind: Tester
metadata: {{name: t{index}, namespace: default}}
spec: {{mode: {mode}}}"
        ));
    }
    let yaml = gateway("") + &route("all", &rules) + &objects + &service("web", &[backend.address]);
    let logged = Arc::clone(logged);
    let read = move |spec: &Value| {
        let mode = spec["mode"].as_str().ok_or("a Tester needs a mode")?.to_owned();
        Ok(Tester { mode, logged: Arc::clone(&logged) })
    };
    World::with(|builder| builder.filter("example.com", "Tester", read), &yaml).await
}

#[test]
fn a_filter_sees_and_changes_all_of_an_exchange() {
    run(async {
        let backend = Backend::echo("web").await;
        let logged = Arc::default();
        let world = world(&backend, &["shout", "answer", "look"], &logged).await;
        let mut client = Client::connect(world.at(80)).await;
        client.send("POST /0 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc").await;
        let response = client.response().await;
        assert_eq!((response.status, response.header("x-state")), (200, "7"));
        assert!(
            response.text().contains(r#""BODY":"ABC""#) && response.text().contains("/0 FROM 127.0.0.1"),
            "{}",
            response.text()
        );
        let response = client.get("a", "/1").await;
        assert_eq!((response.status, response.header("x-mine"), response.text().as_str()), (202, "1", "mine"));
        assert_eq!(client.get("a", "/2").await.echoed("x-seen"), "/2 from 127.0.0.1");
        assert_eq!(backend.asked(), 2);
        until("all are logged", || logged.load(Ordering::SeqCst) == 3).await;
    });
}

#[test]
fn a_filter_that_fails_or_panics_fails_its_own_request_alone() {
    run(async {
        let backend = Backend::echo("web").await;
        let world = world(&backend, &["fail", "panic", "panic in body", "panic in response", "look"], &Arc::default()).await;
        let send = h2(world.at(80)).await;
        for path in ["/0", "/1", "/3"] {
            assert_eq!(get(world.at(80), "a", path).await.status, 500, "{path}");
            assert_eq!(ask(&send, request(&format!("http://a{path}"))).await.unwrap().0.status, 500, "{path}");
        }
        let mut client = Client::connect(world.at(80)).await;
        client.send("POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc").await;
        assert_eq!(client.response().await.status, 500);
        assert_eq!(ask(&send, request("http://a/4")).await.unwrap().0.status, 200, "the connection goes on");
        world.record(8).await;
        let counters = world.gateway.counters();
        assert_eq!((counters.filter_failures(), counters.panics(), counters.responses_5xx()), (7, 0, 7));
        let record = world.records.lock().unwrap().iter().find(|record| &*record.target == "/1").cloned().unwrap();
        assert!(record.fault.unwrap().to_string().contains("panicked: as told"));
    });
}

#[test]
fn the_built_in_filter_gives_requests_an_identity() {
    run(async {
        let backend = Backend::echo("web").await;
        let rules = "
  - filters: [{type: ExtensionRef, extensionRef: {group: pingora-gateway.dev, kind: RequestId, name: id}}]
    backendRefs: [{name: web, port: 80}]";
        let object = "
---
apiVersion: pingora-gateway.dev/v1alpha1
kind: RequestId
metadata: {name: id, namespace: default}";
        let world = World::of(&(gateway("") + &route("all", rules) + object + &service("web", &[backend.address]))).await;
        let mut client = Client::connect(world.at(80)).await;
        let (one, two) = (client.get("a", "/").await, client.get("a", "/").await);
        assert_eq!(one.header("x-request-id").len(), 32);
        assert_eq!(one.header("x-request-id"), one.echoed("x-request-id"));
        assert_ne!(one.header("x-request-id"), two.header("x-request-id"));
        client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: mine\r\n\r\n").await;
        let response = client.response().await;
        assert_eq!((response.header("x-request-id"), response.echoed("x-request-id")), ("mine", "mine".into()));
    });
}

/// A proxy around ours, with a CTX of its own, that panics where it is told to.
struct Outer(Proxy);

#[async_trait]
impl ProxyHttp for Outer {
    type CTX = (u32, Box<Passage>);

    fn new_ctx(&self) -> Self::CTX {
        (0, self.0.new_ctx())
    }

    async fn early_request_filter(&self, session: &mut Session, ctx: &mut Self::CTX) -> pingora_error::Result<()> {
        self.0.early_request_filter(session, &mut ctx.1).await
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut Self::CTX) -> pingora_error::Result<bool> {
        assert_ne!(session.req_header().uri.path(), "/panic");
        ctx.0 += 1;
        self.0.request_filter(session, &mut ctx.1).await
    }

    async fn upstream_peer(&self, session: &mut Session, ctx: &mut Self::CTX) -> pingora_error::Result<Box<HttpPeer>> {
        self.0.upstream_peer(session, &mut ctx.1).await
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        head: &mut ResponseHeader,
        ctx: &mut Self::CTX,
    ) -> pingora_error::Result<()> {
        head.insert_header("X-Outer", ctx.0.to_string())?;
        self.0.response_filter(session, head, &mut ctx.1).await
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &pingora_error::Error, ctx: &mut Self::CTX) -> FailToProxy {
        self.0.fail_to_proxy(session, error, &mut ctx.1).await
    }

    async fn logging(&self, session: &mut Session, error: Option<&pingora_error::Error>, ctx: &mut Self::CTX) {
        self.0.logging(session, error, &mut ctx.1).await;
    }
}

#[test]
fn a_proxy_around_ours_is_served_and_its_panics_stay_with_their_connection() {
    run(async {
        let backend = Backend::echo("web").await;
        let yaml = gateway("") + &route("all", "[{backendRefs: [{name: web, port: 80}]}]") + &service("web", &[backend.address]);
        let world = World::around(Outer, &yaml).await;
        let mut kept = Client::connect(world.at(80)).await;
        assert_eq!(kept.get("a", "/").await.header("x-outer"), "1");
        let mut client = Client::connect(world.at(80)).await;
        client.send("GET /panic HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(client.ends().await);
        let send = h2(world.at(80)).await;
        assert!(ask(&send, request("http://a/panic")).await.is_err());
        assert_eq!(ask(&send, request("http://a/")).await.unwrap().0.status, 200);
        assert_eq!(kept.get("a", "/").await.status, 200);
        until("they are counted", || world.gateway.counters().panics() == 2).await;
        until("they are gone", || world.gateway.counters().requests_open() == 0).await;
    });
}
