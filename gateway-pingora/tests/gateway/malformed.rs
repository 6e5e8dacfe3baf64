//! Messages that are not as they should be: for each what the gateway answers, and that nothing ambiguous reaches a backend.

use crate::backend::Backend;
use crate::client::{Client, Response};
use crate::world::{World, gateway, route, run, service};

async fn world(backend: &Backend) -> World {
    let yaml = gateway("") + &route("all", "[{backendRefs: [{name: web, port: 80}]}]") + &service("web", &[backend.address]);
    World::of(&yaml).await
}

async fn ask(world: &World, request: &[u8]) -> Option<Response> {
    let mut client = Client::connect(world.at(80)).await;
    client.send(request).await;
    client.try_response(false).await
}

#[test]
fn every_malformed_request_has_its_answer() {
    run(async {
        let backend = Backend::echo("web").await;
        let world = world(&backend).await;
        let many = |count: usize| {
            let fields: String = (0..count).map(|n| format!("X-{n}: 1\r\n")).collect();
            format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").into_bytes()
        };
        let post = |fields: &str, body: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}").into_bytes();
        let get = |line: &str, fields: &str| format!("{line}\r\n{fields}\r\n").into_bytes();
        let chunked = |body: &str| post("Transfer-Encoding: chunked\r\n", body);
        let rows: Vec<(&str, u16, Vec<u8>)> = vec![
            ("duplicate length, same value", 400, post("Content-Length: 3\r\nContent-Length: 3\r\n", "abc")),
            ("a list of lengths", 400, post("Content-Length: 3, 3\r\n", "abc")),
            ("duplicate length, different", 400, post("Content-Length: 3\r\nContent-Length: 4\r\n", "abcd")),
            ("+3", 400, post("Content-Length: +3\r\n", "abc")),
            ("-1", 400, post("Content-Length: -1\r\n", "")),
            ("0x3", 400, post("Content-Length: 0x3\r\n", "abc")),
            ("23 digits", 400, post("Content-Length: 99999999999999999999999\r\n", "abc")),
            ("gzip, chunked", 501, post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n")),
            ("chunked, gzip", 400, post("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n")),
            ("identity", 400, post("Transfer-Encoding: identity\r\n", "")),
            ("xchunked", 400, post("Transfer-Encoding: xchunked\r\n", "")),
            ("chunked then identity", 400, post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n")),
            ("identity then chunked", 501, post("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")),
            ("CHUNKED", 200, post("Transfer-Encoding: CHUNKED\r\n", "0\r\n\r\n")),
            ("tab before the value", 200, post("Transfer-Encoding:\tchunked\r\n", "0\r\n\r\n")),
            ("space before the colon", 400, post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n")),
            ("chunked in HTTP/1.0", 400, get("POST / HTTP/1.0", "Host: a\r\nTransfer-Encoding: chunked\r\n")),
            ("folded field", 400, get("GET / HTTP/1.1", "Host: a\r\nX-Y: 1\r\n 2\r\n")),
            ("HTTP/1.2", 400, get("GET / HTTP/1.2", "Host: a\r\n")),
            ("HTTP/2.0", 400, get("GET / HTTP/2.0", "Host: a\r\n")),
            ("bare line feeds", 200, b"GET / HTTP/1.1\nHost: a\n\n".to_vec()),
            ("one bare line feed", 200, b"GET / HTTP/1.1\r\nHost: a\n\r\n".to_vec()),
            ("HTTP/0.9", 400, b"GET /\r\n\r\n".to_vec()),
            ("bare CR in a value", 400, get("GET / HTTP/1.1", "Host: a\r\nX-Y: 1\r2\r\n")),
            ("NUL in a value", 400, get("GET / HTTP/1.1", "Host: a\r\nX-Y: 1\x002\r\n")),
            ("no colon", 400, get("GET / HTTP/1.1", "Host: a\r\nX-Y\r\n")),
            ("empty name", 400, get("GET / HTTP/1.1", "Host: a\r\n: 1\r\n")),
            ("space in a name", 400, get("GET / HTTP/1.1", "Host: a\r\nX Y: 1\r\n")),
            ("parenthesis in a name", 400, get("GET / HTTP/1.1", "Host: a\r\nX(Y: 1\r\n")),
            ("leading empty lines", 200, b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()),
            ("leading space", 400, get(" GET / HTTP/1.1", "Host: a\r\n")),
            ("no Host", 400, get("GET / HTTP/1.1", "")),
            ("empty Host", 400, get("GET / HTTP/1.1", "Host:\r\n")),
            ("list of hosts", 400, get("GET / HTTP/1.1", "Host: a,b\r\n")),
            ("slash in Host", 400, get("GET / HTTP/1.1", "Host: a/b\r\n")),
            ("port out of range", 400, get("GET / HTTP/1.1", "Host: a:99999\r\n")),
            ("two Hosts", 400, get("GET / HTTP/1.1", "Host: a\r\nHost: a\r\n")),
            ("userinfo", 400, get("GET / HTTP/1.1", "Host: u@a\r\n")),
            ("Host not of the target", 400, get("GET http://b/ HTTP/1.1", "Host: a\r\n")),
            ("no Host in HTTP/1.0", 200, get("GET / HTTP/1.0", "")),
            ("lower-case method", 200, get("get / HTTP/1.1", "Host: a\r\n")),
            ("TRACE", 405, get("TRACE / HTTP/1.1", "Host: a\r\n")),
            ("CONNECT", 405, get("CONNECT a:443 HTTP/1.1", "Host: a:443\r\n")),
            ("bad method byte", 400, get("G\x01T / HTTP/1.1", "Host: a\r\n")),
            ("relative target", 400, get("GET foo HTTP/1.1", "Host: a\r\n")),
            ("NUL in the path", 400, get("GET /a%00b HTTP/1.1", "Host: a\r\n")),
            ("backslash in the path", 400, get("GET /a\\b HTTP/1.1", "Host: a\r\n")),
            ("broken escape", 400, get("GET /a%2 HTTP/1.1", "Host: a\r\n")),
            ("chunk extension", 200, chunked("3;a=b\r\nabc\r\n0\r\n\r\n")),
            ("line feed in a chunk extension", 200, chunked("3;a=\nb\r\nabc\r\n0\r\n\r\n")),
            ("100 KB of chunk extension", 400, chunked(&format!("3;{}\r\nabc\r\n0\r\n\r\n", "a".repeat(100_000)))),
            ("space after the chunk size", 200, chunked("3 \r\nabc\r\n0\r\n\r\n")),
            ("chunk size ended by LF", 400, chunked("3\nabc\r\n0\r\n\r\n")),
            ("chunk size 0x3", 400, chunked("0x3\r\nabc\r\n0\r\n\r\n")),
            ("chunk size overflow", 400, chunked("fffffffffffffffff\r\nabc\r\n0\r\n\r\n")),
            ("chunk longer than its size", 400, chunked("3\r\nabcdef\r\n0\r\n\r\n")),
            ("trailers", 200, chunked("3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n")),
            (
                "GET with a body",
                200,
                get("GET / HTTP/1.1", "Host: a\r\nContent-Length: 3\r\n").into_iter().chain(*b"abc").collect(),
            ),
            ("Expect: foo", 417, post("Content-Length: 3\r\nExpect: foo\r\n", "abc")),
            ("underscore in a name", 200, get("GET / HTTP/1.1", "Host: a\r\nX_Y: 1\r\n")),
            ("250 fields", 200, many(250)),
            ("300 fields", 400, many(300)),
            ("a TLS hello", 400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
            ("Connection names Host", 400, get("GET / HTTP/1.1", "Host: a\r\nConnection: Host\r\n")),
            ("Connection names X-Forwarded-Port", 400, get("GET / HTTP/1.1", "Host: a\r\nConnection: X-Forwarded-Port\r\n")),
        ];
        let mut wrong = Vec::new();
        for (what, expected, request) in rows {
            let answer = ask(&world, &request).await;
            let got = answer.as_ref().map_or(0, |answer| answer.status);
            if got != expected {
                wrong.push(format!("{what}: {got} instead of {expected}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}

#[test]
fn length_and_chunks_together_are_forwarded_as_chunks_and_nothing_hidden_runs() {
    run(async {
        let backend = Backend::echo("web").await;
        let world = world(&backend).await;
        let mut client = Client::connect(world.at(80)).await;
        let hidden = "0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";
        client
            .send(format!(
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n{hidden}",
                hidden.len()
            ))
            .await;
        let response = client.response().await;
        assert_eq!(response.status, 200);
        assert_eq!((response.echoed("content-length"), response.echoed("transfer-encoding")), (String::new(), "chunked".into()));
        assert!(client.ends().await);
        assert_eq!(backend.asked(), 1);
    });
}

#[test]
fn a_body_cut_short_ends_the_connection() {
    run(async {
        let backend = Backend::echo("web").await;
        let world = world(&backend).await;
        let mut stream = tokio::net::TcpStream::connect(world.at(80)).await.unwrap();
        use tokio::io::AsyncWriteExt;
        stream.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc").await.unwrap();
        stream.shutdown().await.unwrap();
        assert!(Client::over(stream).try_response(false).await.is_none_or(|response| response.status >= 400));
        assert_eq!(backend.asked(), 0);
    });
}
