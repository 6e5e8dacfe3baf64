//! Protocols on either side: keep-alive, pipelining, HTTP/1.0, HTTP/2 in clear, gRPC, `100-continue`, upgrades.

use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddr};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::backend::{Backend, Reply};
use crate::client::{Client, get};
use crate::world::{World, gateway, route, run, service, speaking, until};

const ALL: &str = "[{backendRefs: [{name: web, port: 80}]}]";
const SWITCHED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";

async fn world(endpoint: SocketAddr) -> World {
    World::of(&(gateway("") + &route("all", ALL) + &service("web", &[endpoint]))).await
}

/// An HTTP/2 client in clear.
pub(crate) async fn h2(address: SocketAddr) -> h2::client::SendRequest<Bytes> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (send, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    send
}

/// A request over HTTP/2, its response with body and trailers.
pub(crate) async fn ask(
    send: &h2::client::SendRequest<Bytes>,
    request: http::Request<&'static [u8]>,
) -> Result<(http::response::Parts, Vec<u8>, Option<http::HeaderMap>), h2::Error> {
    let mut send = send.clone().ready().await?;
    let (head, body) = request.into_parts();
    let (response, mut stream) = send.send_request(http::Request::from_parts(head, ()), body.is_empty())?;
    if !body.is_empty() {
        // The answer may have come already.
        let _ = stream.send_data(Bytes::from_static(body), true);
    }
    let (head, mut body) = response.await?.into_parts();
    let mut bytes = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        bytes.extend_from_slice(&piece);
    }
    let trailers = body.trailers().await?;
    Ok((head, bytes, trailers))
}

pub(crate) fn request(uri: &str) -> http::Request<&'static [u8]> {
    http::Request::builder().uri(uri).body(&b""[..]).unwrap()
}

fn grpc(uri: &str) -> http::Request<&'static [u8]> {
    let builder = http::Request::builder().method("POST").uri(uri).header("content-type", "application/grpc");
    builder.header("te", "trailers").body(&b"abc"[..]).unwrap()
}

#[test]
fn a_connection_serves_many_requests_and_so_does_one_to_the_backend() {
    run(async {
        let backend = Backend::echo("web").await;
        let world = world(backend.address).await;
        let mut client = Client::connect(world.at(80)).await;
        for _ in 0..5 {
            assert_eq!(client.get("a", "/").await.header("connection"), "keep-alive");
        }
        assert_eq!(backend.accepted(), 1);
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        assert_eq!(client.response().await.header("connection"), "close");
        assert!(client.ends().await);
        assert_eq!(world.gateway.counters().connections_accepted(), 1);
        until("the connection is gone", || world.gateway.counters().connections_open() == 0).await;
    });
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    run(async {
        let backend = Backend::echo("web").await;
        let world = world(backend.address).await;
        let mut client = Client::connect(world.at(80)).await;
        client
            .send(
                "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\nHost: a\r\n\r\n\
                 GET /3 HTTP/1.1\r\nHost: a\r\n\r\nGET /4 HTTP/1.1\r\nHo",
            )
            .await;
        for target in ["/1", "/2", "/3"] {
            assert_eq!(client.response().await.json()["target"], target);
        }
        client.send("st: a\r\n\r\n").await;
        assert_eq!(client.response().await.json()["target"], "/4");
    });
}

#[test]
fn what_was_read_of_the_next_request_waits_for_nothing() {
    run(async {
        let backend = Backend::echo("web").await;
        let world = world(backend.address).await;
        let next = "GET /later HTTP/1.1\r\nHost: a\r\n\r\n";
        let firsts = [
            "GET /first HTTP/1.1\r\nHost: a\r\n\r\n",
            "\r\nGET /first HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /first HTTP/1.1\nHost: a\n\n",
            "POST /first HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
            "POST /first HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            "GET /%66irst HTTP/1.1\r\nHost: a\r\n\r\n",
        ];
        // These are escaped by Pingora, which adds as many bytes as those of the next request are, and drops a fragment.
        let escaped = ["/first?", "/first#"]
            .map(|target| format!("GET {target}{} x HTTP/1.1\r\nHost: a\r\n\r\n", "<".repeat(next.len() / 2 - 1)));
        for first in firsts.into_iter().chain(escaped.iter().map(String::as_str)) {
            let mut client = Client::connect(world.at(80)).await;
            for _ in 0..3 {
                client.send(&format!("{first}{next}")).await;
                assert_eq!(client.response().await.status, 200, "{first}");
                assert_eq!(client.response().await.json()["target"], "/later", "{first}");
                client.send(&next[..9]).await;
                client.send(&next[9..]).await;
                assert_eq!(client.response().await.json()["target"], "/later", "after {first}");
            }
        }
    });
}

#[test]
fn http10_gets_what_it_can_read() {
    run(async {
        let backend = Backend::answering(|asked| match asked.target.as_str() {
            "/chunked" => Reply::Bytes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".to_vec()),
            "/hinted" => {
                let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n";
                Reply::Bytes(format!("{hints}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").into_bytes())
            }
            _ => Reply::text("abc"),
        })
        .await;
        let world = world(backend.address).await;
        let mut client = Client::connect(world.at(80)).await;
        client.send("GET /chunked HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n").await;
        let response = client.response().await;
        assert!(!response.has("transfer-encoding"), "{response:?}");
        assert_eq!((response.text().as_str(), response.header("connection")), ("abc", "close"));
        let mut client = Client::connect(world.at(80)).await;
        client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
        assert_eq!(client.response().await.header("connection"), "keep-alive");
        client.send("GET /hinted HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
        assert_eq!(client.response().await.status, 200, "it knows no answers before the answer");
        client.send("GET / HTTP/1.0\r\n\r\n").await;
        assert_eq!(client.response().await.text(), "abc");
        assert!(client.ends().await);
        // Shorter than the preface of HTTP/2, which must not keep it waiting.
        let mut client = Client::connect(world.at(80)).await;
        client.send("GET / HTTP/1.0\r\n\r\n").await;
        assert_eq!(client.response().await.status, 200);
    });
}

#[test]
fn http2_by_prior_knowledge_reaches_http1_backends() {
    run(async {
        let backend = Backend::echo("web").await;
        let world = world(backend.address).await;
        let send = h2(world.at(80)).await;
        let asked = ["/a", "/b", "/c"].map(|path| request(&format!("http://a.example{path}")));
        let answers = futures(asked.map(|request| ask(&send, request))).await;
        for (answer, path) in answers.into_iter().zip(["/a", "/b", "/c"]) {
            let (head, body, _) = answer.unwrap();
            let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!((head.status.as_u16(), &json["target"]), (200, &path.into()));
            assert!(body.windows(9).any(|part| part == b"a.example"));
        }
        let (head, _, _) = ask(&send, http::Request::post("http://a.example/").body(&b"xyz"[..]).unwrap()).await.unwrap();
        assert_eq!(head.status, 200);
        let mut bad = request("http://a.example/");
        *bad.method_mut() = http::Method::TRACE;
        assert_eq!(ask(&send, bad).await.unwrap().0.status, 405);
        assert_eq!(world.gateway.counters().connections_accepted(), 1);
    });
}

#[test]
fn cookies_that_http2_carries_in_pieces_arrive_and_are_matched_as_one_field() {
    run(async {
        let (plain, known) = (Backend::echo("plain").await, Backend::echo("known").await);
        let rules = "
  - {matches: [{headers: [{name: Cookie, value: a=1; b=2}]}], backendRefs: [{name: known, port: 80}]}
  - {backendRefs: [{name: plain, port: 80}]}
";
        let services = service("plain", &[plain.address]) + &service("known", &[known.address]);
        let world = World::of(&(gateway("") + &route("all", rules) + &services)).await;
        let send = h2(world.at(80)).await;
        for (pieces, backend) in [(vec!["a=1", "b=2"], "known"), (vec!["a=1; b=2"], "known"), (vec!["a=1", "b=2; c=3"], "plain")]
        {
            let mut asked = request("http://a.example/");
            for piece in &pieces {
                asked.headers_mut().append("cookie", piece.parse().unwrap());
            }
            let (_, body, _) = ask(&send, asked).await.unwrap();
            let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let fields = json["headers"].as_array().unwrap().iter().filter(|field| field[0] == "cookie");
            let cookies: Vec<_> = fields.map(|field| field[1].as_str().unwrap()).collect();
            assert_eq!((json["backend"].as_str().unwrap(), cookies), (backend, vec![pieces.join("; ").as_str()]));
        }
    });
}

async fn futures<T, const N: usize>(all: [impl Future<Output = T>; N]) -> Vec<T> {
    let mut done = Vec::new();
    for one in all {
        done.push(one.await);
    }
    done
}

#[test]
fn grpc_goes_through_with_its_trailers_and_errors_are_told_its_way() {
    run(async {
        let backend = Backend::h2c("grpc").await;
        let rules = "
  - {matches: [{path: {value: /ok.S}}], backendRefs: [{name: web, port: 80}]}
  - {matches: [{path: {value: /bad.S}}], backendRefs: [{name: absent, port: 80}]}
";
        let yaml = gateway("") + &route("all", rules) + &speaking("web", "kubernetes.io/h2c", &[backend.address]);
        let world = World::of(&yaml).await;
        let send = h2(world.at(80)).await;
        let (head, body, trailers) = ask(&send, grpc("http://a.example/ok.S/M")).await.unwrap();
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((head.status.as_u16(), &json["authority"], &json["body"]), (200, &"a.example".into(), &"abc".into()));
        assert_eq!(trailers.unwrap()["grpc-status"], "0");
        for (path, status) in [("/none.S/M", "12"), ("/bad.S/M", "14")] {
            let (head, body, trailers) = ask(&send, grpc(&format!("http://a.example{path}"))).await.unwrap();
            assert_eq!((head.status.as_u16(), body.len(), trailers.is_none()), (200, 0, true));
            assert_eq!(
                (&head.headers["grpc-status"], &head.headers["content-type"]),
                (&status.parse().unwrap(), &"application/grpc".parse().unwrap())
            );
        }
    });
}

#[test]
fn a_backend_of_http2_gets_host_rewrites_as_authority() {
    run(async {
        let backend = Backend::h2c("inner").await;
        let rules = "
  - filters: [{type: URLRewrite, urlRewrite: {hostname: inner.example, path: {type: ReplaceFullPath, replaceFullPath: /x}}}]
    backendRefs: [{name: web, port: 80}]
";
        let yaml = gateway("") + &route("all", rules) + &speaking("web", "kubernetes.io/h2c", &[backend.address]);
        let world = World::of(&yaml).await;
        let json = get(world.at(80), "a.example", "/y?q").await.json();
        assert_eq!((&json["authority"], &json["target"]), (&"inner.example".into(), &"/x?q".into()));
        let (_, body, _) = ask(&h2(world.at(80)).await, request("http://a.example/y?q")).await.unwrap();
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&json["authority"], &json["target"]), (&"inner.example".into(), &"/x?q".into()));
    });
}

#[test]
fn a_client_that_still_sends_when_it_was_answered_is_heard_out_over_http2() {
    run(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let rules = "
  - {matches: [{path: {value: /moved}}], filters: [{type: RequestRedirect, requestRedirect: {scheme: https}}]}
  - {matches: [{path: {value: /nobody}}], backendRefs: [{name: nobody, port: 80}]}
  - {matches: [{path: {value: /hasty}}], backendRefs: [{name: hasty, port: 80}]}
";
        let services = service("hasty", &[listener.local_addr().unwrap()]) + &service("nobody", &[]);
        let world = World::of(&(gateway("") + &route("all", rules) + &services)).await;
        tokio::spawn(async move {
            // It answers every head, and reads nothing of a body.
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
                    stream.read_buf(&mut head).await.unwrap();
                }
                stream.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n").await.unwrap();
            }
        });
        for (path, status) in [("/moved", 302), ("/nobody", 503), ("/hasty", 413), ("/none", 404)] {
            let mut send = h2(world.at(80)).await.ready().await.unwrap();
            let post = http::Request::post(format!("http://a.example{path}")).header("content-length", 6).body(()).unwrap();
            let (response, mut body) = send.send_request(post, false).unwrap();
            body.send_data(Bytes::from_static(b"abc"), false).unwrap();
            let mut response = response.await.unwrap();
            assert_eq!(response.status(), status, "{path}");
            while let Some(piece) = response.body_mut().data().await {
                piece.unwrap();
            }
            // What comes after a reset on the same connection would be behind it.
            assert_eq!(ask(&send, request("http://a.example/none")).await.unwrap().0.status, 404);
            let is_reset = poll_fn(|context| Poll::Ready(body.poll_reset(context).is_ready())).await;
            assert!(!is_reset, "{path}");
            body.send_data(Bytes::from_static(b"def"), true).unwrap();
        }
        // A large body is not waited for: who sends it is told to stop.
        let mut send = h2(world.at(80)).await.ready().await.unwrap();
        let post = http::Request::post("http://a.example/none").header("content-length", 1 << 20).body(()).unwrap();
        let (response, mut body) = send.send_request(post, false).unwrap();
        assert_eq!(response.await.unwrap().status(), 404);
        assert_eq!(poll_fn(|context| body.poll_reset(context)).await.unwrap(), h2::Reason::NO_ERROR);
    });
}

#[test]
fn leave_to_send_a_body_is_given() {
    run(async {
        let (h1, h2c) = (Backend::echo("one").await, Backend::h2c("two").await);
        let rules = "
  - {matches: [{path: {value: /one}}], backendRefs: [{name: one, port: 80}]}
  - {matches: [{path: {value: /two}}], backendRefs: [{name: two, port: 80}]}
";
        let services = service("one", &[h1.address]) + &speaking("two", "kubernetes.io/h2c", &[h2c.address]);
        let world = World::of(&(gateway("") + &route("all", rules) + &services)).await;
        for path in ["/one", "/two"] {
            let mut client = Client::connect(world.at(80)).await;
            client.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")).await;
            assert_eq!(client.response().await.status, 100, "{path}");
            client.send("abc").await;
            assert_eq!(client.response().await.json()["body"], "abc", "{path}");
        }
        let mut client = Client::connect(world.at(80)).await;
        client.send("POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n").await;
        let response = client.response().await;
        assert_eq!((response.status, response.header("connection")), (404, "close"), "it would not know whether to send");
    });
}

#[test]
fn a_websocket_is_a_tunnel() {
    run(async {
        let backend = Backend::answering(|asked| {
            let upgrade = asked.headers.iter().any(|(name, value)| name.eq_ignore_ascii_case("upgrade") && value == "websocket");
            assert!(upgrade, "{asked:?}");
            Reply::Mirror(SWITCHED.to_vec())
        })
        .await;
        let yaml = gateway("") + &route("all", ALL) + &speaking("web", "kubernetes.io/ws", &[backend.address]);
        let world = World::of(&yaml).await;
        let mut client = Client::connect(world.at(80)).await;
        client
            .send(
                "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            )
            .await;
        let response = client.response().await;
        assert_eq!((response.status, response.header("upgrade")), (101, "websocket"));
        for n in 0..10 {
            let message = vec![n; 1000 * usize::from(n) + 1];
            client.send(&message).await;
            assert_eq!(client.bytes(message.len()).await, message);
        }
        drop(client);
        assert_eq!(world.record(1).await.status, 101);
    });
}

#[test]
fn nothing_is_upgraded_that_did_not_ask_for_it() {
    run(async {
        let backend =
            Backend::answering(|asked| match asked.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("upgrade")) {
                false if asked.target == "/plain" => Reply::text("plain"),
                _ => Reply::Mirror(SWITCHED.to_vec()),
            })
            .await;
        let world = world(backend.address).await;
        let mut client = Client::connect(world.at(80)).await;
        // A field that `Connection` does not name is of no connection that we know (RFC 9110, section 7.8).
        client.send("GET /plain HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n").await;
        assert_eq!(client.response().await.text(), "plain");
        assert_eq!(client.get("a", "/").await.status, 502, "what a backend changes to by itself");
        assert_eq!(ask(&h2(world.at(80)).await, request("http://a.example/")).await.unwrap().0.status, 502);
    });
}

#[test]
fn an_answer_that_cannot_be_passed_on_whole_is_none() {
    run(async {
        let backend = Backend::answering(|asked| {
            Reply::Bytes(match asked.target.as_str() {
                // The coding would be lost over HTTP/2, and what it did to the body not.
                "/coded" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".to_vec(),
                // There is no body that the length could be of.
                _ => b"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n".to_vec(),
            })
        })
        .await;
        let world = world(backend.address).await;
        assert_eq!(get(world.at(80), "a", "/coded").await.status, 502);
        let response = get(world.at(80), "a", "/empty").await;
        assert_eq!((response.status, response.has("content-length")), (204, false));
        let send = h2(world.at(80)).await;
        assert_eq!(ask(&send, request("http://a.example/coded")).await.unwrap().0.status, 502);
        let (head, ..) = ask(&send, request("http://a.example/empty")).await.unwrap();
        assert_eq!((head.status.as_u16(), head.headers.contains_key("content-length")), (204, false));
    });
}

#[test]
fn an_answer_of_stated_length_is_passed_on_as_it_comes() {
    run(async {
        let begun = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nabc".to_vec();
        let backend = Backend::answering(move |_| Reply::Trickle(begun.clone(), b"d", Duration::from_secs(600))).await;
        let world = world(backend.address).await;
        let mut client = Client::connect(world.at(80)).await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let mut heard = Vec::new();
        while !heard.ends_with(b"\r\n\r\nabcd") {
            heard.extend(client.bytes(1).await);
        }
        let mut send = h2(world.at(80)).await.ready().await.unwrap();
        let (response, _) = send.send_request(http::Request::get("http://a.example/").body(()).unwrap(), true).unwrap();
        let mut body = response.await.unwrap().into_body();
        let mut heard = Vec::new();
        while heard != b"abcd" {
            heard.extend_from_slice(&body.data().await.unwrap().unwrap());
        }
    });
}

/// A peer that is gone without a word is noticed by the system's probes, however long nothing has to be said.
#[cfg(target_os = "linux")]
#[test]
fn peers_that_are_gone_are_noticed_on_both_sides() {
    /// Whether probes are due on the socket between these two ports of this process.
    fn is_probed(local: Option<u16>, remote: u16) -> bool {
        let port = |end: &str| end.rsplit_once(':').map(|(_, port)| u16::from_str_radix(port, 16).unwrap());
        ["/proc/net/tcp", "/proc/net/tcp6"].iter().any(|file| {
            std::fs::read_to_string(file).unwrap_or_default().lines().any(|line| {
                let fields: Vec<&str> = line.split_whitespace().collect();
                let [_, at, to, "01", _, timer, ..] = fields[..] else { return false };
                local.is_none_or(|local| port(at) == Some(local)) && port(to) == Some(remote) && timer.starts_with("02:")
            })
        })
    }

    const CHAT: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    run(async {
        for asked in [CHAT, "GET /events HTTP/1.1\r\nHost: a\r\n\r\n"] {
            let backend = Backend::answering(|asked| match asked.target.as_str() {
                "/chat" => Reply::Mirror(SWITCHED.to_vec()),
                _ => Reply::Hang,
            })
            .await;
            let world = world(backend.address).await;
            let stream = TcpStream::connect(world.at(80)).await.unwrap();
            let port = stream.local_addr().unwrap().port();
            let mut client = Client::over(stream);
            client.send(asked).await;
            until("the client is watched", || is_probed(Some(world.port(80)), port)).await;
            until("the backend is watched", || is_probed(None, backend.address.port())).await;
        }
    });
}

#[test]
fn large_bodies_pass_both_ways() {
    run(async {
        let backend = Backend::answering(|asked| {
            let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", asked.body.len()).into_bytes();
            answer.extend_from_slice(&asked.body);
            Reply::Bytes(answer)
        })
        .await;
        let world = world(backend.address).await;
        let body: Vec<u8> = (0..3_000_000u32).map(|n| n as u8).collect();
        let mut client = Client::connect(world.at(80)).await;
        for _ in 0..2 {
            client.send(format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len())).await;
            client.send(&body).await;
            assert!(client.response().await.body == body);
        }
    });
}
