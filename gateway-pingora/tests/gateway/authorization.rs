//! External authorization (`HTTPExternalAuthFilter`, GEP-1494), over HTTP and over gRPC, on sockets.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use tokio::net::TcpListener;

use crate::authority::Authority;
use crate::backend::{Asked, Backend, Reply};
use crate::calls::{answered, call};
use crate::client::{Client, get};
use crate::protocols::{ask, h2, request};
use crate::world::{World, gateway, route, run, service, speaking};

/// A rule that asks `guard`; `fields` are those of the filter, `more` other filters after it.
pub(crate) fn guarded(fields: &str, more: &str) -> String {
    format!(
        "
  - filters:
    - {{type: ExternalAuth, externalAuth: {{backendRef: {{name: guard, port: 80}}, {fields}}}}}
    {more}
    backendRefs: [{{name: web, port: 80}}]"
    )
}

/// Permits what carries `Authorization: ann`, and says who it is; denies the rest.
fn doorman(asked: &Asked) -> Reply {
    match field(asked, "authorization") {
        Some("ann") => {
            Reply::Bytes(b"HTTP/1.1 200 OK\r\nX-User: ann\r\nX-Team: blue\r\nHost: evil\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n".into())
        }
        _ => Reply::Bytes(
            b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nKeep-Alive: timeout=9\r\nContent-Length: 7\r\n\r\nwho? me".into(),
        ),
    }
}

fn field<'a>(asked: &'a Asked, name: &str) -> Option<&'a str> {
    asked.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// A backend that keeps what it was asked.
async fn keeping(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> (Backend, Arc<Mutex<Vec<Asked>>>) {
    let kept: Arc<Mutex<Vec<Asked>>> = Arc::default();
    let asked = Arc::clone(&kept);
    let backend = Backend::answering(move |request| {
        let reply = answer(&request);
        asked.lock().unwrap().push(request);
        reply
    });
    (backend.await, kept)
}

async fn world(rules: &str, guard: &Backend, web: &Backend) -> World {
    World::of(&(gateway("") + &route("all", rules) + &service("guard", &[guard.address]) + &service("web", &[web.address]))).await
}

#[test]
fn a_request_is_forwarded_when_its_authority_says_200_with_the_headers_that_are_allowed() {
    run(async {
        let web = Backend::echo("web").await;
        let (guard, kept) = keeping(doorman).await;
        let fields = "protocol: HTTP, http: {path: /check, allowedHeaders: [X-Seen], allowedResponseHeaders: [X-User]}";
        let world = world(&guarded(fields, ""), &guard, &web).await;
        let mut client = Client::connect(world.at(80)).await;
        client
            .send(
                "POST /a/x?q=1 HTTP/1.1\r\nHost: a.example\r\nAuthorization: ann\r\nX-Seen: 1\r\nX-Unseen: 1\r\nCookie: c\r\n\
                 X-User: mallory\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\nabc",
            )
            .await;
        let answer = client.response().await;
        assert_eq!((answer.status, answer.json()["body"].as_str()), (200, Some("abc")));
        assert_eq!(
            (answer.echoed("x-user"), answer.echoed("x-team"), answer.echoed("host")),
            ("ann".into(), "".into(), "a.example".into())
        );
        assert_eq!(answer.echoed("content-type"), "application/json");
        let asked = kept.lock().unwrap().remove(0);
        assert_eq!((asked.method.as_str(), asked.target.as_str()), ("POST", "/check/a/x?q=1"));
        let mut names: Vec<String> = asked.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        names.sort_unstable();
        assert_eq!(names, ["authorization", "content-length", "host", "x-seen"]);
        assert_eq!((field(&asked, "host"), field(&asked, "content-length")), (Some("a.example"), Some("0")));
        for _ in 0..5 {
            client.send("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: ann\r\n\r\n").await;
            assert_eq!(client.response().await.status, 200);
        }
        assert_eq!(guard.accepted(), 1, "its connection is kept");
        assert_eq!(world.gateway.counters().auth_permitted(), 6);
    });
}

#[test]
fn without_a_list_all_headers_of_the_answer_go_on_but_the_host_and_what_describes_its_content() {
    run(async {
        let web = Backend::echo("web").await;
        let (guard, _) = keeping(doorman).await;
        let world = world(&guarded("protocol: HTTP, http: {}", ""), &guard, &web).await;
        let mut client = Client::connect(world.at(80)).await;
        client.send("POST / HTTP/1.1\r\nHost: a\r\nAuthorization: ann\r\nContent-Type: a/b\r\nContent-Length: 1\r\n\r\nx").await;
        let answer = client.response().await;
        assert_eq!((answer.echoed("x-user"), answer.echoed("x-team")), ("ann".into(), "blue".into()));
        assert_eq!((answer.echoed("host"), answer.echoed("content-type")), ("a".into(), "a/b".into()));
        assert_eq!(answer.echoed("content-length"), "1");
    });
}

#[test]
fn every_other_answer_is_the_clients_and_the_backend_never_sees_the_request() {
    run(async {
        let web = Backend::echo("web").await;
        let (guard, _) = keeping(|asked| match asked.target.as_str() {
            "/login" => Reply::Bytes(b"HTTP/1.1 302 Found\r\nLocation: /sign-in\r\nContent-Length: 0\r\n\r\n".into()),
            "/none" => Reply::Bytes(b"HTTP/1.1 204 No Content\r\n\r\n".into()),
            _ => doorman(asked),
        })
        .await;
        let world = world(&guarded("protocol: HTTP, http: {}", ""), &guard, &web).await;
        let mut client = Client::connect(world.at(80)).await;
        let answer = client.get("a", "/").await;
        assert_eq!((answer.status, answer.header("www-authenticate"), answer.text().as_str()), (401, "Basic", "who? me"));
        assert!(!answer.has("keep-alive"));
        let answer = client.get("a", "/login").await;
        assert_eq!((answer.status, answer.header("location")), (302, "/sign-in"));
        assert_eq!(client.get("a", "/none").await.status, 204, "success is 200 and nothing else");
        client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.head_response().await.status, 401);
        assert_eq!(ask(&h2(world.at(80)).await, request("http://a/")).await.unwrap().0.status, 401);
        assert_eq!((web.asked(), world.gateway.counters().auth_denied()), (0, 5));
        assert!(world.record(5).await.fault.is_some());
    });
}

/// GEP-1494: "fail closed".
#[test]
fn an_authority_that_cannot_be_heard_denies() {
    run(async {
        let web = Backend::echo("web").await;
        let (guard, _) = keeping(|asked| match asked.target.as_str() {
            "/hang" => Reply::Hang,
            "/close" => Reply::Close,
            "/garbage" => Reply::Last(b"no HTTP at all\r\n\r\n".into()),
            "/cut" => Reply::Last(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nhalf".into()),
            _ => Reply::status(200),
        })
        .await;
        let yaml = gateway("")
            + &route("all", &guarded("protocol: HTTP, http: {}", ""))
            + &service("guard", &[guard.address])
            + &service("web", &[web.address]);
        let world = World::with(|builder| builder.auth_timeout(Duration::from_millis(300)), &yaml).await;
        let mut client = Client::connect(world.at(80)).await;
        for (target, status) in [("/", 200), ("/hang", 504), ("/close", 502), ("/garbage", 502), ("/cut", 502)] {
            assert_eq!(client.get("a", target).await.status, status, "{target}");
        }
        guard.stop().await;
        assert_eq!(client.get("a", "/").await.status, 503);
        assert_eq!((web.asked(), world.gateway.counters().auth_failed()), (1, 5));
    });
}

#[test]
fn an_authority_that_closes_its_connections_is_asked_again() {
    run(async {
        let web = Backend::echo("web").await;
        let (guard, _) = keeping(|_| Reply::Last(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".into())).await;
        let world = world(&guarded("protocol: HTTP, http: {}", ""), &guard, &web).await;
        let mut client = Client::connect(world.at(80)).await;
        for _ in 0..20 {
            assert_eq!(client.get("a", "/").await.status, 200);
        }
    });
}

/// `forwardBody`, and §10 row 6.
#[test]
fn a_body_goes_along_up_to_max_size_and_then_to_the_backend_and_a_longer_one_is_413() {
    run(async {
        let web = Backend::echo("web").await;
        let (guard, kept) = keeping(|_| Reply::status(200)).await;
        let world = world(&guarded("protocol: HTTP, http: {}, forwardBody: {maxSize: 40000}", ""), &guard, &web).await;
        let at = world.at(80);
        let send = |length: usize| async move {
            let mut client = Client::connect(at).await;
            let body = "y".repeat(length);
            // Refused by its length alone, it may not be taken.
            client.try_send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}")).await;
            client.response().await
        };
        for length in [0, 1, 40_000] {
            let answer = send(length).await;
            assert_eq!(answer.json()["body"].as_str().map(str::len), Some(length));
            let asked = kept.lock().unwrap().pop().unwrap();
            assert_eq!((asked.body.len(), field(&asked, "content-length")), (length, Some(length.to_string().as_str())));
        }
        assert_eq!(send(40_001).await.status, 413);

        let mut client = Client::connect(at).await;
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n").await;
        let answer = client.response().await;
        assert_eq!(answer.status, 200);
        assert!(answer.json()["body"].as_str().unwrap().contains("abcde"), "{answer:?}");
        assert_eq!(kept.lock().unwrap().pop().unwrap().body, b"abcde");
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").await;
        assert_eq!(client.response().await.status, 200, "and the connection goes on");
        client
            .send(format!(
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n9C41\r\n{}\r\n0\r\n\r\n",
                "y".repeat(40_001)
            ))
            .await;
        assert_eq!(client.response().await.status, 413);

        let mut client = Client::connect(at).await;
        client.send("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n").await;
        assert_eq!(client.response().await.status, 100);
        client.send("hi").await;
        assert_eq!(client.response().await.json()["body"], "hi");

        let send = h2(at).await;
        let post = Request::post("http://a/").body(&b"over two"[..]).unwrap();
        let (head, body, _) = ask(&send, post).await.unwrap();
        assert_eq!(head.status, 200);
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&body).unwrap()["method"], "POST");
        assert_eq!(kept.lock().unwrap().pop().unwrap().body, b"over two");
        assert_eq!(ask(&send, request("http://a/")).await.unwrap().0.status, 200, "without a body");
    });
}

#[test]
fn a_body_that_was_shown_reaches_backends_over_http2_and_mirrors_too() {
    run(async {
        let (web, copied) = (Backend::h2c("web").await, Arc::new(Mutex::new(Vec::new())));
        let kept = Arc::clone(&copied);
        let copy = Backend::answering(move |asked| {
            kept.lock().unwrap().push(asked.body);
            Reply::status(200)
        })
        .await;
        let (guard, _) = keeping(|_| Reply::status(200)).await;
        let mirror = "- {type: RequestMirror, requestMirror: {backendRef: {name: copy, port: 80}}}";
        let yaml = gateway("")
            + &route("all", &guarded("protocol: HTTP, http: {}, forwardBody: {maxSize: 99}", mirror))
            + &service("guard", &[guard.address])
            + &service("copy", &[copy.address])
            + &speaking("web", "kubernetes.io/h2c", &[web.address]);
        let world = World::of(&yaml).await;
        let mut client = Client::connect(world.at(80)).await;
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc").await;
        assert_eq!(client.response().await.json()["body"], "abc");
        crate::world::until("the copy", || *copied.lock().unwrap() == [b"abc".to_vec()]).await;
    });
}

/// Checklist §4.6.5: after the answer to a preflight, before rewrites.
#[test]
fn a_preflight_is_answered_without_asking_and_a_rewrite_is_not_seen_by_the_authority() {
    run(async {
        let web = Backend::echo("web").await;
        let (guard, kept) = keeping(doorman).await;
        let more = "- {type: CORS, cors: {allowOrigins: ['*']}}
    - {type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /new}}}";
        let world = world(&guarded("protocol: HTTP, http: {}", more), &guard, &web).await;
        let mut client = Client::connect(world.at(80)).await;
        client.send("OPTIONS /x HTTP/1.1\r\nHost: a\r\nOrigin: https://b\r\nAccess-Control-Request-Method: GET\r\n\r\n").await;
        assert_eq!((client.response().await.status, guard.asked()), (204, 0));
        client.send("GET /x HTTP/1.1\r\nHost: a\r\nOrigin: https://b\r\nAuthorization: ann\r\n\r\n").await;
        assert_eq!(client.response().await.json()["target"], "/new");
        assert_eq!(kept.lock().unwrap()[0].target, "/x");
        client.send("GET /x HTTP/1.1\r\nHost: a\r\nOrigin: https://b\r\n\r\n").await;
        let answer = client.response().await;
        assert_eq!(
            (answer.status, answer.header("access-control-allow-origin")),
            (401, "*"),
            "a script may read that it was denied"
        );
    });
}

#[test]
fn an_authority_is_asked_over_tls_where_a_policy_says_so_and_not_otherwise() {
    run(async {
        let authority = Authority::new("one");
        let web = Backend::echo("web").await;
        let guard = Backend::tls("guard", authority.sign(&["guard.example"]).server(&["http/1.1"])).await;
        let policy = |name: &str| {
            format!(
                "
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {{name: p, namespace: default}}
spec:
  targetRefs: [{{group: '', kind: Service, name: guard}}]
  validation: {{hostname: {name}, caCertificateRefs: [{{group: '', kind: ConfigMap, name: ca}}]}}"
            )
        };
        let yaml = gateway("")
            + &route("all", &guarded("protocol: HTTP, http: {}", ""))
            + &service("guard", &[guard.address])
            + &service("web", &[web.address])
            + &authority.config_map("ca");
        let mut world = World::of(&(yaml + &policy("guard.example"))).await;
        assert_eq!(get(world.at(80), "a", "/").await.status, 200);
        world.put(&policy("other.example")).await;
        let answer = get(world.at(80), "a", "/").await;
        assert_eq!((answer.status, guard.asked(), web.asked()), (502, 1, 1), "{:?}", world.record(2).await.fault);
    });
}

/// The fields of a protobuf message by number, those of type string, bytes or message.
fn fields(mut message: &[u8]) -> BTreeMap<u64, Vec<Vec<u8>>> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let (first, rest) = bytes.split_first().unwrap();
            *bytes = rest;
            value |= u64::from(first & 0x7f) << shift;
            if first & 0x80 == 0 {
                break;
            }
        }
        value
    }
    let mut found: BTreeMap<u64, Vec<Vec<u8>>> = BTreeMap::new();
    while !message.is_empty() {
        let tag = varint(&mut message);
        let value = varint(&mut message);
        if tag & 7 == 2 {
            let (field, rest) = message.split_at(usize::try_from(value).unwrap());
            message = rest;
            found.entry(tag >> 3).or_default().push(field.to_vec());
        }
    }
    found
}

fn one(message: &[u8], path: &[u64]) -> Vec<u8> {
    path.iter().fold(message.to_vec(), |message, number| fields(&message).get(number).map_or_else(Vec::new, |all| all[0].clone()))
}

/// A field of a protobuf message.
fn part(number: u8, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()][..], bytes].concat()
}

/// A `HeaderValueOption`.
fn option(name: &str, value: &str) -> Vec<u8> {
    part(1, [part(1, name), part(2, value)].concat())
}

/// What Envoy's `ext_authz` service says: status OK with changes, or 7 with an answer.
pub(crate) fn check(message: &[u8]) -> Vec<u8> {
    let http = one(message, &[1, 4, 2]);
    let headers: BTreeMap<String, String> = fields(&http)
        .remove(&3)
        .unwrap_or_default()
        .iter()
        .map(|entry| [1, 2].map(|number| String::from_utf8(one(entry, &[number])).unwrap()))
        .map(|[name, value]| (name, value))
        .collect();
    let text = |number: u64| String::from_utf8(one(&http, &[number])).unwrap();
    if headers.get("authorization").is_some_and(|who| who == "ann") {
        let told = format!("{} {} {} {} {} body={} peer={}", text(2), text(6), text(5), text(4), text(10), text(11), {
            String::from_utf8(one(message, &[1, 1, 1, 1, 2])).unwrap()
        });
        let append = [option("x-list", "two"), part(2, [8, 1])].concat();
        let ok = [
            part(2, option("x-told", &told)),
            part(2, append),
            part(2, option("host", "evil")),
            part(5, "authorization"),
            part(6, option("x-response", "1")),
        ]
        .concat();
        let mut message = vec![3 << 3 | 2];
        // More than 127 bytes: a length of two.
        message.extend([u8::try_from(ok.len() & 0x7f).unwrap() | 0x80, u8::try_from(ok.len() >> 7).unwrap()]);
        return [part(1, []), [message, ok].concat()].concat();
    }
    let status = part(1, [8, 0x91, 3]);
    let denied = [status, part(2, option("x-why", "unknown")), part(3, "no")].concat();
    [part(1, [8, 7]), part(2, denied)].concat()
}

#[test]
fn over_grpc_an_authority_is_asked_and_answers_as_envoys_ext_authz() {
    run(async {
        let web = Backend::echo("web").await;
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&heads);
        let guard = Backend::answering_calls(move |head, message| {
            kept.lock().unwrap().push(format!("{} {} {:?}", head.method, head.uri, head.headers.get("te")));
            (check(message), "0")
        })
        .await;
        let world = world(&guarded("protocol: GRPC, grpc: {}, forwardBody: {maxSize: 9}", ""), &guard, &web).await;
        let mut client = Client::connect(world.at(80)).await;
        client
            .send("POST /a?b=c HTTP/1.1\r\nHost: a.example\r\nAuthorization: ann\r\nX-List: one\r\nContent-Length: 3\r\n\r\nabc")
            .await;
        let answer = client.response().await;
        assert_eq!(
            (answer.status, answer.header("x-response"), answer.json()["body"].as_str()),
            (200, "1", Some("abc")),
            "{answer:?}"
        );
        assert_eq!(answer.echoed("x-told"), "POST http a.example /a?b=c HTTP/1.1 body=abc peer=127.0.0.1");
        assert_eq!((answer.echoed("x-list"), answer.echoed("authorization")), ("one|two".into(), "".into()));
        assert_eq!(answer.echoed("host"), "a.example");
        let answer = client.get("a.example", "/").await;
        assert_eq!((answer.status, answer.header("x-why"), answer.text().as_str()), (401, "unknown", "no"));
        let asked = "POST http://guard.default/envoy.service.auth.v3.Authorization/Check Some(\"trailers\")";
        assert_eq!(*heads.lock().unwrap(), [asked, asked]);
    });
}

#[test]
fn over_grpc_only_the_headers_that_are_allowed_go_along() {
    run(async {
        let web = Backend::echo("web").await;
        let guard = Backend::answering_calls(|_, message| (check(message), "0")).await;
        let world = world(&guarded("protocol: GRPC, grpc: {allowedHeaders: [X-Other]}", ""), &guard, &web).await;
        let mut client = Client::connect(world.at(80)).await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: ann\r\n\r\n").await;
        assert_eq!(client.response().await.status, 401, "it was not told who asks");
    });
}

#[test]
fn a_check_that_fails_or_says_what_cannot_be_read_denies() {
    run(async {
        let web = Backend::echo("web").await;
        let guard = Backend::answering_calls(|_, message| match one(message, &[1, 4, 2, 4]).as_slice() {
            b"/fails" => (Vec::new(), "14"),
            b"/garbage" => (vec![0xff; 9], "0"),
            _ => (Vec::new(), "0"),
        })
        .await;
        let world = world(&guarded("protocol: GRPC, grpc: {}", ""), &guard, &web).await;
        let mut client = Client::connect(world.at(80)).await;
        for (target, status) in [("/", 200), ("/fails", 502), ("/garbage", 502)] {
            assert_eq!(client.get("a", target).await.status, status, "{target}");
        }
        assert_eq!(web.asked(), 1);
    });
}

#[test]
fn an_authority_that_answers_before_it_has_heard_everything_is_believed() {
    run(async {
        let web = Backend::echo("web").await;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let guard = service("guard", &[listener.local_addr().unwrap()]);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut connection = h2::server::handshake(stream).await.unwrap();
                    // The stream is let go when it has its answer, and reset by that: of a question larger than its window all cannot be sent.
                    while let Some(Ok((_question, mut respond))) = connection.accept().await {
                        let head = http::Response::builder().header("content-type", "application/grpc").body(()).unwrap();
                        let mut stream = respond.send_response(head, false).unwrap();
                        stream.send_data(Bytes::from_static(&[0; 5]), false).unwrap();
                        stream
                            .send_trailers([("grpc-status".parse().unwrap(), "0".parse().unwrap())].into_iter().collect())
                            .unwrap();
                    }
                });
            }
        });
        let rules = guarded("protocol: GRPC, grpc: {}, forwardBody: {maxSize: 65536}", "");
        let world = World::of(&(gateway("") + &route("all", &rules) + &guard + &service("web", &[web.address]))).await;
        for _ in 0..3 {
            let mut client = Client::connect(world.at(80)).await;
            client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65536\r\n\r\n{}", "x".repeat(65536))).await;
            assert_eq!(client.response().await.status, 200);
        }
    });
}

#[test]
fn a_call_that_is_denied_is_told_so_in_the_manner_of_grpc() {
    run(async {
        let web = Backend::h2c("web").await;
        let (guard, _) = keeping(doorman).await;
        // GRPCRoutes have no such filter: an HTTPRoute to the same backend has.
        let yaml = gateway("")
            + &route("all", &guarded("protocol: HTTP, http: {}", ""))
            + &service("guard", &[guard.address])
            + &speaking("web", "kubernetes.io/h2c", &[web.address]);
        let world = World::of(&yaml).await;
        let send = h2(world.at(80)).await;
        assert_eq!(answered(&send, call("/shop.Cart/Add")).await, (String::new(), "16".to_owned()));
        let mut known = call("/shop.Cart/Add");
        known.headers_mut().insert("authorization", "ann".parse().unwrap());
        assert_eq!(answered(&send, known).await, ("web".to_owned(), "0".to_owned()));
    });
}
