//! Mirrors (`HTTPRequestMirrorFilter`), on sockets.

use std::sync::{Arc, Mutex};

use crate::backend::{Asked, Backend, Reply};
use crate::client::Client;
use crate::world::{World, gateway, route, run, service, speaking, until};

/// A backend that keeps what it was asked.
struct Kept {
    backend: Backend,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Kept {
    async fn answering(answer: impl Fn() -> Reply + Send + Sync + 'static) -> Self {
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let kept = Arc::clone(&asked);
        let backend = Backend::answering(move |request| {
            kept.lock().unwrap().push(request);
            answer()
        });
        Self { backend: backend.await, asked }
    }

    async fn quiet() -> Self {
        Self::answering(|| Reply::status(500)).await
    }

    /// The requests, once there are so many.
    async fn requests(&self, count: usize) -> Vec<Asked> {
        until("copies", || self.asked.lock().unwrap().len() >= count).await;
        self.asked.lock().unwrap().clone()
    }
}

fn field<'a>(asked: &'a Asked, name: &str) -> Option<&'a str> {
    asked.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

#[test]
fn copies_go_to_every_mirror_and_show_what_the_filters_before_made_of_the_request() {
    run(async {
        let (web, one, two) = (Backend::echo("web").await, Kept::quiet().await, Kept::quiet().await);
        let rules = r#"
  - matches: [{path: {value: /a}}]
    filters:
    - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Before, value: "1"}]}}
    - {type: RequestMirror, requestMirror: {backendRef: {name: one, port: 80}}}
    - {type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}}
    - {type: RequestMirror, requestMirror: {backendRef: {name: two, port: 80}}}
    backendRefs: [{name: web, port: 80}]
"#;
        let services =
            service("web", &[web.address]) + &service("one", &[one.backend.address]) + &service("two", &[two.backend.address]);
        let world = World::of(&(gateway("") + &route("all", rules) + &services)).await;
        let mut client = Client::connect(world.at(80)).await;
        let body = "x".repeat(100_000);
        let length = body.len();
        client.send(format!("POST /a/x?q=1 HTTP/1.1\r\nHost: a.example\r\nContent-Length: {length}\r\n\r\n{body}")).await;
        let response = client.response().await;
        assert_eq!((response.status, response.json()["target"].as_str()), (200, Some("/b/x?q=1")));
        let (one, two) = (one.requests(1).await, two.requests(1).await);
        assert_eq!((one[0].method.as_str(), one[0].target.as_str()), ("POST", "/a/x?q=1"), "not rewritten yet");
        assert_eq!(two[0].target, "/b/x?q=1");
        for copy in [&one[0], &two[0]] {
            assert_eq!(field(copy, "host"), Some("a.example"));
            assert_eq!(field(copy, "x-before"), Some("1"));
            assert_eq!(copy.body, body.as_bytes());
        }
        assert_eq!(client.get("a.example", "/a").await.status, 200, "the connection goes on");
    });
}

#[test]
fn a_body_in_chunks_is_copied_too() {
    run(async {
        let (web, copy) = (Backend::echo("web").await, Kept::quiet().await);
        let rules = "[{filters: [{type: RequestMirror, requestMirror: {backendRef: {name: copy, port: 80}}}], backendRefs: [{name: web, port: 80}]}]";
        let services = service("web", &[web.address]) + &service("copy", &[copy.backend.address]);
        let world = World::of(&(gateway("") + &route("all", rules) + &services)).await;
        let mut client = Client::connect(world.at(80)).await;
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").await;
        client.send("6\r\n world\r\n0\r\n\r\n").await;
        assert_eq!(client.response().await.status, 200);
        let copies = copy.requests(1).await;
        let body = String::from_utf8_lossy(&copies[0].body).into_owned();
        assert!(body.contains("hello") && body.contains(" world") && body.ends_with("0\r\n\r\n"), "{body:?}");
    });
}

#[test]
fn no_mirror_delays_or_fails_its_request() {
    run(async {
        let (web, gone) = (Backend::echo("web").await, Backend::echo("gone").await);
        let hanging = Kept::answering(|| Reply::Hang).await;
        let closing = Kept::answering(|| Reply::Close).await;
        let nowhere = gone.address;
        gone.stop().await;
        let mirror = |name: &str| format!("{{type: RequestMirror, requestMirror: {{backendRef: {{name: {name}, port: 80}}}}}}");
        let all = ["hanging", "closing", "nowhere", "idle", "missing"].map(mirror).join(", ");
        let rules = format!("[{{filters: [{all}], backendRefs: [{{name: web, port: 80}}]}}]");
        let services = service("web", &[web.address])
            + &service("hanging", &[hanging.backend.address])
            + &service("closing", &[closing.backend.address])
            + &service("nowhere", &[nowhere])
            + &service("idle", &[]);
        let world = World::of(&(gateway("") + &route("all", &rules) + &services)).await;
        let mut client = Client::connect(world.at(80)).await;
        // More than waits for a copy, and than the sockets of one that does not read hold.
        let length = 24 << 20;
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n")).await;
        client.send(vec![b'x'; length]).await;
        let response = client.response().await;
        assert_eq!((response.status, response.json()["body"].as_str().map(str::len)), (200, Some(length)));
        for _ in 0..5 {
            assert_eq!(client.get("a", "/").await.status, 200);
        }
        closing.requests(1).await;
        assert!(hanging.requests(1).await.len() <= 6);
    });
}

#[test]
fn a_share_of_requests_is_copied_exactly() {
    run(async {
        let (web, tenth, fifth) = (Backend::echo("web").await, Kept::quiet().await, Kept::quiet().await);
        let rules = "[{filters: [
            {type: RequestMirror, requestMirror: {percent: 10, backendRef: {name: tenth, port: 80}}},
            {type: RequestMirror, requestMirror: {fraction: {numerator: 2, denominator: 10}, backendRef: {name: fifth, port: 80}}}
            ], backendRefs: [{name: web, port: 80}]}]";
        let services = service("web", &[web.address])
            + &service("tenth", &[tenth.backend.address])
            + &service("fifth", &[fifth.backend.address]);
        let world = World::of(&(gateway("") + &route("all", rules) + &services)).await;
        let mut client = Client::connect(world.at(80)).await;
        for _ in 0..50 {
            assert_eq!(client.get("a", "/").await.status, 200);
        }
        assert_eq!((tenth.requests(5).await.len(), fifth.requests(10).await.len()), (5, 10));
    });
}

#[test]
fn a_copy_is_made_once_however_often_its_request_is_sent() {
    run(async {
        let gone = Backend::echo("gone").await;
        let nowhere = gone.address;
        gone.stop().await;
        let (web, copy) = (Backend::echo("web").await, Kept::quiet().await);
        let rules = "[{filters: [{type: RequestMirror, requestMirror: {backendRef: {name: copy, port: 80}}}], backendRefs: [{name: web, port: 80}]}]";
        let services = service("web", &[web.address, nowhere]) + &service("copy", &[copy.backend.address]);
        let world = World::of(&(gateway("") + &route("all", rules) + &services)).await;
        let mut client = Client::connect(world.at(80)).await;
        for nth in 0..8 {
            let body = format!("number {nth}");
            let length = body.len();
            client.send(format!("POST /{nth} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}")).await;
            assert_eq!(client.response().await.status, 200);
        }
        let copies = copy.requests(8).await;
        let mut bodies: Vec<_> = copies.iter().map(|copy| String::from_utf8_lossy(&copy.body).into_owned()).collect();
        bodies.sort();
        assert_eq!(bodies, (0..8).map(|nth| format!("number {nth}")).collect::<Vec<_>>());
    });
}

#[test]
fn what_the_gateway_answers_itself_is_copied_with_its_body() {
    run(async {
        let copy = Kept::quiet().await;
        let rules = "[{filters: [
            {type: RequestMirror, requestMirror: {backendRef: {name: copy, port: 80}}},
            {type: RequestRedirect, requestRedirect: {hostname: b.example}}]}]";
        let world = World::of(&(gateway("") + &route("all", rules) + &service("copy", &[copy.backend.address]))).await;
        let mut client = Client::connect(world.at(80)).await;
        client.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello").await;
        assert_eq!(client.response().await.status, 302);
        let copies = copy.requests(1).await;
        assert_eq!((copies[0].target.as_str(), copies[0].body.as_slice()), ("/x", &b"hello"[..]));
    });
}

#[test]
fn a_backend_that_speaks_http2_gets_its_copies_so() {
    run(async {
        let (web, copy) = (Backend::echo("web").await, Backend::h2c("copy").await);
        let rules = "[{filters: [{type: RequestMirror, requestMirror: {backendRef: {name: copy, port: 80}}}], backendRefs: [{name: web, port: 80}]}]";
        let services = service("web", &[web.address]) + &speaking("copy", "kubernetes.io/h2c", &[copy.address]);
        let world = World::of(&(gateway("") + &route("all", rules) + &services)).await;
        let mut client = Client::connect(world.at(80)).await;
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello").await;
        assert_eq!(client.response().await.status, 200);
        until("a copy", || copy.asked() == 1).await;
    });
}
