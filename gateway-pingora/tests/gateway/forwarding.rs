//! What reaches the backend, and what comes back: paths, hosts, header edits, `X-Forwarded-*`, answers without a backend.

use crate::backend::{Backend, Reply};
use crate::client::{Client, get, status};
use crate::world::{World, gateway, route, run, service, speaking};

#[test]
fn a_request_arrives_as_it_was_sent_but_for_its_path_in_normal_form() {
    run(async {
        let backend = Backend::echo("web").await;
        let yaml = gateway("") + &route("all", "[{backendRefs: [{name: web, port: 80}]}]") + &service("web", &[backend.address]);
        let world = World::of(&yaml).await;
        let rows = [
            ("/a/b?x=1&y=%20", "/a/b?x=1&y=%20"),
            ("/a//b", "/a/b"),
            ("/a/../b/./c", "/b/c"),
            ("/%2e%2e/x", "/x"),
            ("/a%2Fb", "/a%2Fb"),
            ("/%61", "/a"),
            ("http://a.example/abs?q", "/abs?q"),
            ("/q?a=/../b//c", "/q?a=/../b//c"),
        ];
        let mut client = Client::connect(world.at(80)).await;
        for (sent, arrived) in rows {
            assert_eq!(client.get("a.example", sent).await.json()["target"], arrived, "{sent}");
        }
        client.send("GET / HTTP/1.1\r\nHost: A.example:8080\r\nX-MiXed: Case\r\nX-Mixed: two\r\n\r\n").await;
        let response = client.response().await;
        assert_eq!(response.echoed("host"), "A.example:8080");
        assert_eq!(response.echoed("x-mixed"), "Case|two");
        assert!(response.json()["headers"].as_array().unwrap().iter().any(|field| field[0] == "X-MiXed"), "the case is kept");
        client.send("OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
        let record = client.response().await;
        assert!([200, 404].contains(&record.status));
    });
}

#[test]
fn backends_learn_of_the_client_and_believe_nobody_else() {
    run(async {
        let backend = Backend::echo("web").await;
        let routes = route("all", "[{backendRefs: [{name: web, port: 80}]}]") + &service("web", &[backend.address]);
        let world = World::of(&(gateway("") + &routes)).await;
        let spoof = "GET / HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n\
                     X-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\nForwarded: for=6.6.6.6\r\n\r\n";
        let mut client = Client::connect(world.at(80)).await;
        client.send(spoof).await;
        let response = client.response().await;
        let seen = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "forwarded"];
        assert_eq!(seen.map(|name| response.echoed(name)), ["127.0.0.1", "http", "a.example", "80", ""]);

        let world = World::of(&(gateway("  trustedProxies: [127.0.0.0/8]\n") + &routes)).await;
        let mut client = Client::connect(world.at(80)).await;
        client.send(spoof).await;
        let response = client.response().await;
        assert_eq!(seen.map(|name| response.echoed(name)), ["6.6.6.6, 127.0.0.1", "https", "evil", "1", "for=6.6.6.6"]);
    });
}

#[test]
fn no_rule_is_chosen_by_what_an_untrusted_peer_claims_to_forward() {
    run(async {
        let backend = Backend::echo("web").await;
        let secure = "{matches: [{headers: [{name: X-Forwarded-Proto, value: https}]}], filters: [{type: RequestRedirect, requestRedirect: {hostname: secret}}]}";
        let rules = format!("[{secure}, {{backendRefs: [{{name: web, port: 80}}]}}]");
        let routes = route("all", &rules) + &service("web", &[backend.address]);
        let spoof = "GET / HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-Proto: https\r\nX_Forwarded_Proto: https\r\n\r\n";
        for (parameters, status) in [("", 200), ("  trustedProxies: [127.0.0.0/8]\n", 302)] {
            let world = World::of(&(gateway(parameters) + &routes)).await;
            let mut client = Client::connect(world.at(80)).await;
            client.send(spoof).await;
            let response = client.response().await;
            assert_eq!(response.status, status);
            if status == 200 {
                assert_eq!(response.echoed("x_forwarded_proto"), "", "nor under another spelling");
            }
        }
    });
}

#[test]
fn fields_of_one_connection_stay_on_it() {
    run(async {
        let backend = Backend::answering(|asked| {
            let names: Vec<_> = asked.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
            let body = names.join(",");
            let head = format!(
                "Content-Length: {}\r\nKeep-Alive: timeout=1\r\nProxy-Connection: x\r\nConnection: X-Own, close\r\nX-Own: 1",
                body.len()
            );
            Reply::Bytes(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}").into_bytes())
        })
        .await;
        let yaml = gateway("") + &route("all", "[{backendRefs: [{name: web, port: 80}]}]") + &service("web", &[backend.address]);
        let world = World::of(&yaml).await;
        let mut client = Client::connect(world.at(80)).await;
        client
            .send(
                "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\n\
                 Proxy-Connection: x\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\nX-Kept: 1\r\n\r\n",
            )
            .await;
        let response = client.response().await;
        let names = response.text();
        for gone in ["connection", "x-mine", "keep-alive", "te", "proxy-connection", "upgrade", "http2-settings"] {
            assert!(!names.split(',').any(|name| name == gone), "{gone} in {names}");
        }
        assert!(names.contains("x-kept"));
        for gone in ["keep-alive", "proxy-connection", "x-own"] {
            assert!(!response.has(gone), "{gone} in {response:?}");
        }
        assert_eq!(client.get("a", "/").await.status, 200, "the connection goes on");
    });
}

#[test]
fn filters_edit_rewrite_and_chain() {
    run(async {
        let (one, two) = (Backend::echo("one").await, Backend::echo("two").await);
        let rules = r#"
  - matches: [{path: {value: /edit}}]
    filters:
    - type: RequestHeaderModifier
      requestHeaderModifier:
        set: [{name: X-Set, value: "1"}]
        add: [{name: X-Add, value: b}]
        remove: [X-Gone]
    - type: ResponseHeaderModifier
      responseHeaderModifier:
        set: [{name: X-Backend, value: hidden}]
        add: [{name: X-More, value: "1"}]
        remove: [X-Nothing]
    backendRefs:
    - name: one
      port: 80
      filters:
      - type: RequestHeaderModifier
        requestHeaderModifier: {add: [{name: X-Add, value: c}]}
      - type: ResponseHeaderModifier
        responseHeaderModifier: {add: [{name: X-More, value: "2"}]}
  - matches: [{path: {value: /old}}]
    filters:
    - type: URLRewrite
      urlRewrite: {hostname: inner.example, path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}}
    backendRefs:
    - name: two
      port: 80
      filters:
      - type: URLRewrite
        urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /newer}}
  - matches: [{path: {value: /full}}]
    filters:
    - type: URLRewrite
      urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /all}}
    backendRefs: [{name: two, port: 80}]
"#;
        let yaml = gateway("") + &route("all", rules) + &service("one", &[one.address]) + &service("two", &[two.address]);
        let world = World::of(&yaml).await;
        let mut client = Client::connect(world.at(80)).await;
        client.send("GET /edit HTTP/1.1\r\nHost: a\r\nX-Add: a\r\nX-Gone: 1\r\nX-Set: 0\r\n\r\n").await;
        let response = client.response().await;
        assert_eq!(response.status, 200, "{response:?}");
        assert_eq!(["x-set", "x-add", "x-gone"].map(|name| response.echoed(name)), ["1", "a|b|c", ""]);
        let more: Vec<_> =
            response.headers.iter().filter(|(name, _)| name == "X-More").map(|(_, value)| value.as_str()).collect();
        assert_eq!((response.header("x-backend"), more), ("hidden", vec!["1", "2"]));
        let response = client.get("a", "/old/x?q").await;
        assert_eq!((&response.json()["target"], response.echoed("host")), (&"/newer/x?q".into(), "inner.example".into()));
        assert_eq!(response.echoed("x-forwarded-host"), "a");
        assert_eq!(client.get("a", "/full/x?q").await.json()["target"], "/all?q");
    });
}

#[test]
fn redirects_and_direct_responses_leave_the_connection_open() {
    run(async {
        let rules = r#"
  - matches: [{path: {value: /away}}]
    filters:
    - type: RequestRedirect
      requestRedirect: {scheme: https, hostname: b.example, statusCode: 301}
  - matches: [{path: {value: /said}}]
    filters:
    - type: ExtensionRef
      extensionRef: {group: pingora-gateway.dev, kind: DirectResponse, name: said}
"#;
        let said = "
---
apiVersion: pingora-gateway.dev/v1alpha1
kind: DirectResponse
metadata: {name: said, namespace: default}
spec: {statusCode: 418, body: short and stout}";
        let world = World::of(&(gateway("") + &route("all", rules) + said)).await;
        let mut client = Client::connect(world.at(80)).await;
        let response = client.get("a.example", "/away/x?q=1").await;
        assert_eq!((response.status, response.header("location")), (301, "https://b.example/away/x?q=1"));
        client.send("POST /said HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde").await;
        let response = client.response().await;
        assert_eq!((response.status, response.text().as_str()), (418, "short and stout"));
        assert_eq!(response.header("connection"), "keep-alive", "a small body is read for the sake of the connection");
        client.send("HEAD /said HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let response = client.head_response().await;
        assert_eq!((response.status, response.header("content-length")), (418, "15"));
        assert_eq!(client.get("a", "/nowhere").await.status, 404);
        client.send("POST /said HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc").await;
        assert_eq!(client.response().await.header("connection"), "close", "a large one is not");
        assert!(client.ends().await);
    });
}

#[test]
fn an_invalid_reference_is_500_and_no_endpoint_503() {
    run(async {
        let rules = "
  - {matches: [{path: {value: /invalid}}], backendRefs: [{name: absent, port: 80}]}
  - {matches: [{path: {value: /empty}}], backendRefs: [{name: empty, port: 80}]}
";
        let world = World::of(&(gateway("") + &route("all", rules) + &service("empty", &[]))).await;
        assert_eq!(get(world.at(80), "a", "/invalid").await.status, 500);
        assert_eq!(get(world.at(80), "a", "/empty").await.status, 503);
        assert_eq!(status(world.at(80), "GET /other HTTP/1.1\r\nHost: a\r\n\r\n").await, 404);
        world.record(3).await;
        let records = world.records.lock().unwrap();
        let record = records.iter().find(|record| &*record.target == "/other").unwrap();
        assert_eq!((record.status, record.target.as_ref(), record.host.as_ref()), (404, "/other", "a"));
        assert_eq!(world.gateway.counters().responses_5xx(), 2);
    });
}

#[test]
fn grpc_content_over_http1_is_415() {
    run(async {
        let backend = Backend::h2c("grpc").await;
        let yaml = gateway("")
            + &route("all", "[{backendRefs: [{name: web, port: 80}]}]")
            + &speaking("web", "kubernetes.io/h2c", &[backend.address]);
        let world = World::of(&yaml).await;
        let request = "POST /a.B/C HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(status(world.at(80), request).await, 415);
        let response = get(world.at(80), "a.example", "/x").await;
        assert_eq!((&response.json()["backend"], &response.json()["authority"]), (&"grpc".into(), &"a.example".into()));
    });
}

#[test]
fn records_tell_what_happened() {
    run(async {
        let backend = Backend::echo("web").await;
        let yaml = gateway("")
            + &route("all", "[{name: one, backendRefs: [{name: web, port: 80}]}]")
            + &service("web", &[backend.address]);
        let world = World::of(&yaml).await;
        let mut client = Client::connect(world.at(80)).await;
        client.send("POST /a//b?c HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\n\r\nabc").await;
        let sent = client.response().await.body.len() as u64;
        let record = world.record(1).await;
        assert_eq!((record.method.as_str(), record.target.as_ref(), record.status), ("POST", "/a//b?c", 200));
        assert_eq!((record.request_bytes, record.response_bytes, record.tries), (3, sent, 1));
        assert_eq!(record.endpoint, Some(backend.address));
        assert_eq!(record.backend.unwrap().name.to_string(), "default/web:80");
        assert_eq!(record.listener.unwrap().id.to_string(), "Gateway default/gw listener http");
        assert!(record.rule.unwrap().id.to_string().contains("one"));
        assert!(record.fault.is_none());
    });
}
