//! `explain`, and the admin server's view of the same: requests, calls, connections and datagrams.

use serde_json::{Value, json};

use crate::scene::{Folder, GATEWAY, output, route, run};

#[test]
fn explain_says_who_wins_and_why_the_others_do_not() {
    let quickstart = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/quickstart");
    let (status, stdout, stderr) = output(&["explain", "http://localhost:8080/api/v1/items", quickstart, "-H", "X-Tester: yes"]);
    assert_eq!((status, stderr.as_str()), (1, ""), "no endpoint yet: {stdout}");
    for expected in [
        "*:8080: Gateway quickstart/web listener http answers for localhost",
        "HTTPRoute quickstart/store rule 2 (api) match 0, host *, prefix /api/v1: wins",
        "HTTPRoute quickstart/store rule 1 (testers)",
        "holds, but ranks lower",
        "refused with 503: the backend has no endpoint",
    ] {
        assert!(stdout.contains(expected), "{expected:?} is not in\n{stdout}");
    }
    let flag = "quickstart/store:80=127.0.0.1:9";
    let (status, stdout, _) = output(&["explain", "localhost:8080/api/v1/items", quickstart, "-X", "get", "--backend", flag]);
    assert_eq!(status, 0);
    for expected in
        ["first: rewrite matched prefix to /", "first: request headers: set x-api-version: v1", "endpoints: 127.0.0.1:9"]
    {
        assert!(stdout.contains(expected), "{expected:?} is not in\n{stdout}");
    }
}

#[test]
fn explain_answers_as_json_and_for_ports_nobody_opened() {
    let folder = Folder::new();
    folder.write("gateway.yaml", GATEWAY).write("r.yaml", route("r", "/", "one"));
    let (status, stdout, _) = output(&["explain", "http://host:8080/", folder.root(), "-o", "json"]);
    assert_eq!(status, 0);
    let json: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&json["candidates"][0]["verdict"], &json["outcome"]["status"]), (&"won".into(), &200.into()), "{json}");
    let (status, stdout, _) = output(&["explain", "http://host/", folder.root()]);
    assert_eq!((status, stdout.as_str()), (1, "nothing listens on port 80; open are *:8080\n"));
}

#[test]
fn the_admin_server_explains_the_running_configuration() {
    let folder = Folder::new();
    folder.write("gateway.yaml", GATEWAY).write("r.yaml", route("r", "/", "one"));
    let running = run(&[folder.root()]);
    let url = format!("http://{}:8080/x", running.address);
    let json: Value = serde_json::from_str(&running.admin(&format!("/explain?method=GET&url={url}&header=A:%20b"))).unwrap();
    assert_eq!(json["candidates"][0]["route"], "HTTPRoute x/r", "{json}");
    assert!(running.admin("/explain?method=GET").starts_with("url is missing"));
    assert!(running.admin("/explain?url=gopher://x").starts_with("\"gopher\" is no scheme that is known here: expected http"));
}

/// A Gateway that carries every kind of traffic, a route for each, and backends.
fn everything() -> Folder {
    let folder = Folder::new();
    let key = rcgen::generate_simple_self_signed(["*.example".to_owned()]).unwrap();
    let indented = |pem: String| pem.lines().map(|line| format!("    {line}\n")).collect::<String>();
    let secret = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: cert, namespace: x}}\ntype: kubernetes.io/tls\nstringData:\n  tls.crt: |\n{}  tls.key: |\n{}",
        indented(key.cert.pem()),
        indented(key.signing_key.serialize_pem()),
    );
    folder.write("cert.yaml", secret).write("gateway.yaml", EVERY_LISTENER).write("routes.yaml", EVERY_ROUTE);
    folder
}

/// Asks for the data plane that performs all.
fn explained(folder: &Folder, url: &str, more: &[&str]) -> (i32, String) {
    let backends = ["cart", "copy", "gate", "calls", "db", "cache", "names"].map(|name| format!("x/{name}:80=127.0.0.1:9"));
    let mut args = vec!["explain", url, folder.root(), "--support", "all"];
    args.extend_from_slice(more);
    args.extend(backends.iter().flat_map(|backend| ["--backend", backend]));
    let (status, stdout, stderr) = output(&args);
    assert_eq!(stderr, "", "{url}: {stdout}");
    (status, stdout)
}

#[test]
fn every_scheme_is_explained_as_its_traffic_is_decided() {
    let folder = everything();
    let rows = [
        (
            "http://shop.example/cart",
            0,
            "*:80: Gateway x/web listener http answers for shop.example; path /cart\n  HTTPRoute x/cart rule 0 match 0, \
             host shop.example, prefix /: wins\nforwarded to x/cart:80, which has one endpoint",
        ),
        ("http://other.example/cart", 1, "refused with 404: no rule matches"),
        ("https://shop.example/cart", 0, "*:443: Gateway x/web listener https answers for shop.example; path /cart\n"),
        (
            "grpc://shop.example/shop.Calls/Add",
            0,
            "GRPCRoute x/calls rule 0 match 0, host shop.example, service shop.Calls: wins\n  HTTPRoute x/cart rule 0 match 0, host \
             shop.example, prefix /: holds, but ranks lower\nforwarded to x/calls:80",
        ),
        ("grpcs://shop.example/shop.Calls/Add", 0, "GRPCRoute x/calls rule 0 match 0"),
        ("grpc://other.example/shop.Calls/Add", 1, "refused with gRPC status 12 UNIMPLEMENTED: no rule matches"),
        (
            "tls://db.example",
            0,
            "*:443: Gateway x/web listener passes answers for db.example\n  TLSRoute x/db, host db.example: wins\n\
             TLS passes through, forwarded to x/db:80, which has 1 endpoint\n  endpoints: 127.0.0.1:9\n",
        ),
        ("tls://cache.example:443", 0, "TLS ends here, then forwarded to x/cache:80"),
        ("tls://shop.example", 0, "*:443: Gateway x/web listener https answers for shop.example\nHTTP is spoken"),
        ("tls://nobody.test", 1, "*:443: nobody answers for nobody.test\nrefused: "),
        ("https://db.example/cart", 0, "TLS passes through, forwarded to x/db:80"),
        (
            "tcp://:5432",
            0,
            "*:5432: Gateway x/web listener tcp answers\n  TCPRoute x/db, host *: wins\nforwarded to x/db:80, which has 1 endpoint\n",
        ),
        ("tls://db.example:5432", 0, "Gateway x/web listener tcp answers"),
        ("http://db.example:5432/", 0, "Gateway x/web listener tcp answers"),
        ("tcp://:80", 0, "*:80: HTTP is spoken\n"),
        (
            "udp://:53",
            0,
            "*:53/udp: Gateway x/web listener udp answers\n  UDPRoute x/names, host *: wins\nforwarded to x/names:80",
        ),
        ("udp://:54", 1, "nothing listens on port 54 over UDP; open are "),
        ("tcp://:53", 1, "nothing listens on port 53; open are "),
        ("https://shop.example:80/", 1, "*:80: TLS is not spoken here: ask about an http, grpc or tcp URL\n"),
        ("http://shop.example:443/", 1, "*:443: connections begin with TLS here: ask about an https, grpcs or tls URL\n"),
    ];
    for (url, status, expected) in rows {
        let (ended, text) = explained(&folder, url, &[]);
        assert_eq!(ended, status, "{url}: {text}");
        assert!(text.contains(expected), "{url}: {expected:?} is not in\n{text}");
    }
}

#[test]
fn what_is_done_beside_forwarding_is_told() {
    let folder = everything();
    let (status, text) = explained(&folder, "http://shop.example/full", &["-H", "Origin: https://app.example"]);
    assert_eq!(status, 0, "{text}");
    for expected in [
        "\n  first: the origin https://app.example may read the response\n",
        "\n  first: x/gate:80 is asked over HTTP whether the request may pass\n",
        "\n  first: copied to x/copy:80, as 1 of 2 requests are\n",
        "\n  terms: the whole request may take 2s\n",
    ] {
        assert!(text.contains(expected), "{expected:?} is not in\n{text}");
    }
    let preflight = ["-X", "OPTIONS", "-H", "Origin: https://app.example", "-H", "Access-Control-Request-Method: GET"];
    let (status, text) = explained(&folder, "http://shop.example/full", &preflight);
    assert_eq!(status, 0, "{text}");
    assert!(text.contains("answered 2"), "{text}");
    assert!(text.contains("\n  terms: it is a preflight, and the origin https://app.example is allowed"), "{text}");
}

#[test]
fn shares_that_fail_and_listeners_that_are_closed_are_explained() {
    let folder = everything();
    let split = "\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: split, namespace: x}
spec:
  parentRefs: [{name: web}]
  hostnames: [split.example]
  rules: [{backendRefs: [{name: cart, port: 80, weight: 9}, {name: missing, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: closed, namespace: x}
spec:
  gatewayClassName: any
  listeners: [{name: https, port: 8443, protocol: HTTPS, tls: {certificateRefs: [{name: missing}]}}]
";
    folder.write("split.yaml", split);
    let (status, text) = explained(&folder, "http://split.example/", &[]);
    let expected = "next: forwarded to x/cart:80, which has one endpoint
  share: 9 of 10 forwarded to x/cart:80, which has one endpoint
  share: 1 of 10 refused with 500: the backend reference is invalid: Service x/missing does not exist (BackendNotFound)
  endpoints: 127.0.0.1:9
";
    assert!(status == 0 && text.ends_with(expected), "{text}");
    let (status, text) = explained(&folder, "https://any.example:8443/", &[]);
    assert!(status == 1 && text.ends_with("refused: the listener is closed: Secret x/missing does not exist\n"), "{text}");
}

#[test]
fn connections_and_datagrams_are_explained_as_json() {
    let folder = everything();
    let json = |url: &str| -> Value { serde_json::from_str(&explained(&folder, url, &["-o", "json"]).1).unwrap() };
    let passed = json("tls://db.example");
    assert_eq!(passed["outcome"], json!({"does": "forward", "backend": "x/db:80", "endpoints": 1, "tls": "passes"}));
    assert_eq!((&passed["socket"], &passed["serverName"]), (&"*:443".into(), &"db.example".into()));
    assert_eq!((&passed["candidates"][0]["verdict"], &passed["endpoints"]), (&"won".into(), &json!(["127.0.0.1:9"])));
    assert_eq!(json("udp://:53")["outcome"]["tls"], "unseen");
    assert_eq!(
        json("tcp://:80"),
        json!({"socket": "*:80", "candidates": [], "outcome": {"does": "http"}, "shares": [], "endpoints": []})
    );
    let refused = json("grpc://other.example/a/b");
    assert_eq!(refused["outcome"], json!({"does": "refuse", "status": 404, "grpcStatus": 12, "because": "no rule matches"}));
}

#[test]
fn without_saying_for_whom_it_is_explained_what_the_program_does() {
    let folder = everything();
    let kept = "\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: kept, namespace: x}
spec:
  parentRefs: [{name: web}]
  hostnames: [shop.example]
  rules: [{matches: [{path: {value: /kept}}], sessionPersistence: {cookie: {}}, backendRefs: [{name: cart, port: 80}]}]
";
    folder.write("kept.yaml", kept);
    let (_, all) = explained(&folder, "http://shop.example/kept", &[]);
    assert!(all.contains("HTTPRoute x/kept rule 0 match 0, host shop.example, prefix /kept: wins"), "{all}");
    let asked = ["explain", "http://shop.example/kept", folder.root(), "--backend", "x/cart:80=127.0.0.1:9"];
    let (_, unsaid, _) = output(&asked);
    let (_, said, _) = output(&[&asked[..], &["--support", "run"]].concat());
    assert_eq!(unsaid, said);
    assert!(unsaid.contains("the client stays with an endpoint by cookie session-"), "it is performed:\n{unsaid}");
}

#[test]
fn a_url_that_says_nothing_is_refused_with_what_is_expected() {
    let rows: [(&[&str], &str); 5] = [
        (&["tcp://db.example:5432"], "a connection does not carry the name db.example: expected tcp://:port"),
        (&["grpc://host/service"], "expected grpc://host/service/method"),
        (&["http://host:0/"], "\"0\" is not a port: expected 1 to 65535"),
        (&["tls://db.example", "-X", "GET"], "a connection has no method and no headers: ask about an http or grpc URL"),
        (&["udp://:53", "-H", "a: b"], "a datagram has no method and no headers: ask about an http or grpc URL"),
    ];
    for (args, expected) in rows {
        let args: Vec<&str> = ["explain"].into_iter().chain(args.iter().copied()).chain(["."]).collect();
        let (status, stdout, stderr) = output(&args);
        assert_eq!((status, stdout.as_str()), (2, ""), "{args:?}");
        assert!(stderr.contains(expected) && stderr.contains("Usage: gateway explain"), "{args:?}: {stderr}");
    }
}

const EVERY_LISTENER: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: x}
spec:
  gatewayClassName: any
  listeners:
  - {name: http, port: 80, protocol: HTTP}
  - {name: https, port: 443, protocol: HTTPS, hostname: shop.example, tls: {certificateRefs: [{name: cert}]}}
  - {name: passes, port: 443, protocol: TLS, hostname: db.example, tls: {mode: Passthrough}}
  - {name: ends, port: 443, protocol: TLS, hostname: cache.example, tls: {mode: Terminate, certificateRefs: [{name: cert}]}}
  - {name: tcp, port: 5432, protocol: TCP}
  - {name: udp, port: 53, protocol: UDP}
";

const EVERY_ROUTE: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: cart, namespace: x}
spec:
  parentRefs: [{name: web}]
  hostnames: [shop.example]
  rules: [{backendRefs: [{name: cart, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: full, namespace: x}
spec:
  parentRefs: [{name: web}]
  hostnames: [shop.example]
  rules:
  - matches: [{path: {value: /full}}]
    filters:
    - {type: CORS, cors: {allowOrigins: ['https://app.example']}}
    - {type: ExternalAuth, externalAuth: {protocol: HTTP, http: {}, backendRef: {name: gate, port: 80}}}
    - {type: RequestMirror, requestMirror: {backendRef: {name: copy, port: 80}, percent: 50}}
    timeouts: {request: 2s}
    backendRefs: [{name: cart, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: calls, namespace: x}
spec:
  parentRefs: [{name: web}]
  hostnames: [shop.example]
  rules: [{matches: [{method: {service: shop.Calls}}], backendRefs: [{name: calls, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: db, namespace: x}
spec:
  parentRefs: [{name: web, sectionName: passes}]
  hostnames: [db.example]
  rules: [{backendRefs: [{name: db, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: cache, namespace: x}
spec:
  parentRefs: [{name: web, sectionName: ends}]
  hostnames: [cache.example]
  rules: [{backendRefs: [{name: cache, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {name: db, namespace: x}
spec: {parentRefs: [{name: web, sectionName: tcp}], rules: [{backendRefs: [{name: db, port: 80}]}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: UDPRoute
metadata: {name: names, namespace: x}
spec: {parentRefs: [{name: web, sectionName: udp}], rules: [{backendRefs: [{name: names, port: 80}]}]}
";
