//! Filters of listeners: a phase before any route is looked at (`ListenerFilters`, GEP-5224), on sockets.

use async_trait::async_trait;
use bytes::Bytes;
use gateway_pingora::{Exchange, Filter, FilterError, RequestHeader};
use serde_json::Value;

use crate::backend::{Backend, Reply};
use crate::client::{Client, get};
use crate::protocols::{ask, h2, request};
use crate::world::{World, route, run, service};

const GUARD: &str = "{type: ExternalAuth, externalAuth: {protocol: HTTP, http: {}, backendRef: {name: guard, port: 80}}}";

fn turn(name: &str) -> String {
    format!("{{type: ExtensionRef, extensionRef: {{group: example.com, kind: Turn, name: {name}}}}}")
}

/// Does to the head what its `spec` says: `path`, `host`; adds `mark` to `X-Marks`; answers with `status`.
struct Turn(Value);

#[async_trait]
impl Filter for Turn {
    async fn request(&self, _: &mut Exchange, head: &mut RequestHeader) -> Result<Option<http::Response<Bytes>>, FilterError> {
        if let Some(path) = self.0["path"].as_str() {
            head.set_uri(path.parse()?);
        }
        if let Some(host) = self.0["host"].as_str() {
            head.insert_header("Host", host)?;
        }
        if let Some(mark) = self.0["mark"].as_str() {
            head.append_header("X-Marks", mark)?;
        }
        match self.0["status"].as_u64() {
            Some(status) => Ok(Some(http::Response::builder().status(status as u16).body(Bytes::from("turned"))?)),
            None => Ok(None),
        }
    }
}

/// A listener with these filters, and a route: `/p` is `web`, nothing else is anything.
async fn world(filters: &[&str], web: &Backend, guard: &Backend) -> World {
    let mut yaml = format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: default}}
spec:
  gatewayClassName: pingora
  listeners:
  - {{name: http, port: 80, protocol: HTTP, filters: {{requests: [{}]}}}}",
        filters.join(", ")
    );
    for (name, spec) in [
        ("one", "{mark: one}"),
        ("two", "{mark: two}"),
        ("away", "{path: /p/../p/%61}"),
        ("host", "{host: other.example, mark: host}"),
        ("bad", "{path: '/p/%00'}"),
        ("end", "{status: 418}"),
    ] {
        yaml.push_str(&format!(
            "
---
{{apiVersion: example.com/v1, kind: Turn, metadata: {{name: {name}, namespace: default}}, spec: {spec}}}"
        ));
    }
    yaml += &route("all", "[{matches: [{path: {value: /p}}], backendRefs: [{name: web, port: 80}]}]");
    yaml += &(service("web", &[web.address]) + &service("guard", &[guard.address]));
    World::with(|builder| builder.filter("example.com", "Turn", |spec| Ok(Turn(spec.clone()))), &yaml).await
}

/// Permits where `Authorization` stands.
async fn guard() -> Backend {
    Backend::answering(|asked| {
        let is_known = asked.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        if is_known { Reply::status(200) } else { Reply::status(403) }
    })
    .await
}

/// §2.12: "a 404 is still authenticated first"; a preflight has no exemption.
#[test]
fn every_request_of_the_listener_is_asked_about_whichever_route_follows_or_none() {
    run(async {
        let (web, guard) = (Backend::echo("web").await, guard().await);
        let world = world(&[GUARD], &web, &guard).await;
        let mut client = Client::connect(world.at(80)).await;
        for target in ["/p", "/nowhere"] {
            assert_eq!(client.get("a", target).await.status, 403, "{target}");
        }
        client.send("OPTIONS /p HTTP/1.1\r\nHost: a\r\nOrigin: https://b\r\nAccess-Control-Request-Method: GET\r\n\r\n").await;
        assert_eq!(client.response().await.status, 403);
        for (target, status) in [("/p", 200), ("/nowhere", 404)] {
            client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\nAuthorization: x\r\n\r\n")).await;
            assert_eq!(client.response().await.status, status, "{target}");
        }
        assert_eq!((guard.asked(), web.asked()), (5, 1));
        let over_h2 = h2(world.at(80)).await;
        assert_eq!(ask(&over_h2, request("http://a/p")).await.unwrap().0.status, 403);
        guard.stop().await;
        assert_eq!(client.get("a", "/p").await.status, 503, "nobody can say that it may pass");
    });
}

#[test]
fn filters_run_in_exactly_their_order_and_one_that_answers_ends_the_request() {
    run(async {
        let (web, guard) = (Backend::echo("web").await, guard().await);
        let (one, two, end) = (turn("one"), turn("two"), turn("end"));
        let in_order = world(&[&two, &one, &two], &web, &guard).await;
        assert_eq!(get(in_order.at(80), "a", "/p").await.echoed("x-marks"), "two|one|two");
        let ended = world(&[&one, &end, GUARD], &web, &guard).await;
        let answer = get(ended.at(80), "a", "/p").await;
        assert_eq!((answer.status, answer.text().as_str()), (418, "turned"));
        assert_eq!((guard.asked(), web.asked()), (0, 1));
    });
}

#[test]
fn routes_are_matched_once_by_the_head_as_filters_left_it_and_its_path_is_put_into_normal_form() {
    run(async {
        let (web, guard) = (Backend::echo("web").await, guard().await);
        let away = turn("away");
        let moved = world(&[&away], &web, &guard).await;
        assert_eq!(get(moved.at(80), "a", "/nowhere").await.json()["target"], "/p/a");
        let bad = turn("bad");
        let broken = world(&[&bad], &web, &guard).await;
        assert_eq!(get(broken.at(80), "a", "/p").await.status, 400);
    });
}

/// §2.12: "`Host`/`:authority` cannot change: ignore the mutation and go on".
#[test]
fn a_host_that_a_filter_changes_stays_what_the_client_asked_for() {
    run(async {
        let (web, guard) = (Backend::echo("web").await, guard().await);
        let host = turn("host");
        let world = world(&[&host], &web, &guard).await;
        let answer = get(world.at(80), "a.example", "/p").await;
        assert_eq!((answer.echoed("host"), answer.echoed("x-marks")), ("a.example".into(), "host".into()));
        let over_h2 = h2(world.at(80)).await;
        let (_, body, _) = ask(&over_h2, request("http://b.example/p")).await.unwrap();
        let json: Value = serde_json::from_slice(&body).unwrap();
        let hosts: Vec<&Value> =
            json["headers"].as_array().unwrap().iter().filter(|field| field[0] == "Host" || field[0] == "host").collect();
        assert_eq!(hosts.len(), 1);
        assert_eq!(hosts[0][1], "b.example");
    });
}
