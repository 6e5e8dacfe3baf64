//! Rules for other origins (`HTTPCORSFilter`, GEP-1767), on sockets.

use crate::backend::{Backend, Reply};
use crate::client::{Client, Response};
use crate::world::{World, gateway, route, run, service};

const RULES: &str = r#"
  - matches: [{path: {value: /}}]
    filters:
    - type: CORS
      cors: {allowOrigins: ["https://*.shop.example"], allowMethods: [GET, PUT], allowHeaders: [X-Own], exposeHeaders: [X-Backend], allowCredentials: true, maxAge: 60}
    backendRefs: [{name: web, port: 80}]
  - matches: [{path: {value: /none}}]
    filters: [{type: CORS, cors: {allowOrigins: ["*"]}}]
    backendRefs: [{name: idle, port: 80}]
  - matches: [{path: {value: /broken}}]
    filters: [{type: CORS, cors: {allowOrigins: ["*"]}}]
    backendRefs: [{name: missing, port: 80}]
  - matches: [{path: {value: /told}}]
    filters:
    - {type: CORS, cors: {allowOrigins: ["*"]}}
    - {type: ExtensionRef, extensionRef: {group: pingora-gateway.dev, kind: DirectResponse, name: told}}
"#;

const TOLD: &str = "
---
apiVersion: pingora-gateway.dev/v1alpha1
kind: DirectResponse
metadata: {name: told, namespace: default}
spec: {statusCode: 200, body: told}";

/// A backend with rules of its own for other origins.
async fn opinionated() -> Backend {
    Backend::answering(|_| {
        Reply::Bytes(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Backend: web\r\nVary: Accept\r\nAccess-Control-Allow-Origin: *\r\n\
              Access-Control-Max-Age: 9\r\nAccess-Control-Allow-Credentials: false\r\n\r\nok"
                .to_vec(),
        )
    })
    .await
}

async fn world(backend: &Backend) -> World {
    let yaml = gateway("") + &route("all", RULES) + TOLD + &service("web", &[backend.address]) + &service("idle", &[]);
    World::of(&yaml).await
}

async fn from(client: &mut Client, origin: &str, target: &str) -> Response {
    client.send(format!("GET {target} HTTP/1.1\r\nHost: a.example\r\nOrigin: {origin}\r\n\r\n")).await;
    client.response().await
}

fn all(response: &Response, name: &str) -> Vec<String> {
    let values = response.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
    values.map(|(_, value)| value.clone()).collect()
}

#[test]
fn a_preflight_is_answered_by_the_gateway_and_never_forwarded() {
    run(async {
        let backend = opinionated().await;
        let world = world(&backend).await;
        let mut client = Client::connect(world.at(80)).await;
        let ask = |origin: &str| {
            format!(
                "OPTIONS / HTTP/1.1\r\nHost: a.example\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: PUT\r\n\
                 Access-Control-Request-Headers: x-own\r\n\r\n"
            )
        };
        client.send(ask("https://eu.shop.example")).await;
        let answer = client.response().await;
        assert_eq!(answer.status, 204);
        assert_eq!(answer.header("access-control-allow-origin"), "https://eu.shop.example");
        assert_eq!(answer.header("access-control-allow-credentials"), "true");
        assert_eq!(answer.header("access-control-allow-methods"), "GET, PUT");
        assert_eq!(answer.header("access-control-allow-headers"), "X-Own");
        assert_eq!(answer.header("access-control-max-age"), "60");
        assert_eq!(answer.header("vary"), "Origin");
        client.send(ask("https://evil.example")).await;
        let answer = client.response().await;
        assert!(!answer.headers.iter().any(|(name, _)| name.to_ascii_lowercase().starts_with("access-control-")), "{answer:?}");
        assert_eq!(backend.asked(), 0);
        client.send("OPTIONS / HTTP/1.1\r\nHost: a.example\r\nOrigin: https://eu.shop.example\r\n\r\n").await;
        assert_eq!(client.response().await.text(), "ok", "without a method it asks nothing, and is forwarded");
    });
}

#[test]
fn the_gateways_word_to_other_origins_replaces_the_backends() {
    run(async {
        let backend = opinionated().await;
        let world = world(&backend).await;
        let mut client = Client::connect(world.at(80)).await;
        let answer = from(&mut client, "https://eu.shop.example", "/").await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
        assert_eq!(all(&answer, "access-control-allow-origin"), ["https://eu.shop.example"]);
        assert_eq!(all(&answer, "access-control-allow-credentials"), ["true"]);
        assert_eq!(all(&answer, "access-control-expose-headers"), ["X-Backend"]);
        assert!(!answer.has("access-control-max-age"), "that is for preflights");
        assert_eq!(all(&answer, "vary"), ["Accept", "Origin"]);
    });
}

#[test]
fn a_request_from_an_origin_that_is_not_allowed_is_forwarded_and_tells_it_nothing() {
    run(async {
        let backend = opinionated().await;
        let world = world(&backend).await;
        let mut client = Client::connect(world.at(80)).await;
        let answer = from(&mut client, "https://evil.example", "/").await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
        assert!(!answer.headers.iter().any(|(name, _)| name.to_ascii_lowercase().starts_with("access-control-")), "{answer:?}");
        assert_eq!(all(&answer, "vary"), ["Accept", "Origin"], "caches keep it apart");
    });
}

#[test]
fn responses_of_the_gateway_itself_tell_origins_too() {
    run(async {
        let backend = opinionated().await;
        let world = world(&backend).await;
        let mut client = Client::connect(world.at(80)).await;
        for (target, status) in [("/none", 503), ("/broken", 500), ("/told", 200)] {
            let answer = from(&mut client, "https://any.example", target).await;
            assert_eq!(answer.status, status, "{target}");
            assert_eq!(all(&answer, "access-control-allow-origin"), ["*"], "{target}");
        }
        let gone = opinionated().await;
        let address = gone.address;
        gone.stop().await;
        let mut world = world;
        world.put(&service("idle", &[address])).await;
        let answer = from(&mut client, "https://any.example", "/none").await;
        assert_eq!((answer.status, all(&answer, "access-control-allow-origin")), (503, vec!["*".to_owned()]), "unreachable");
    });
}
