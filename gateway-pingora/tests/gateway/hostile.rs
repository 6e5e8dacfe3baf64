//! Clients that mean harm: they are slow, or many, or send what costs others. Each ends by its own limit; its neighbours live on.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::backend::{Backend, Reply};
use crate::client::{Client, get};
use crate::protocols::{ask, h2, request};
use crate::world::{World, gateway, route, run, service, until};

async fn world(backend: &Backend, limits: &str) -> World {
    let settings = format!("  limits: {limits}\n");
    let route = route("all", "[{backendRefs: [{name: web, port: 80}]}]");
    World::of(&(gateway(&settings) + &route + &service("web", &[backend.address]))).await
}

/// A backend whose every answer is larger than all buffers on its way.
async fn generous() -> Backend {
    Backend::answering(|_| {
        let body = vec![b'x'; 16 << 20];
        Reply::Bytes([format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes(), body].concat())
    })
    .await
}

/// An HTTP/2 client that sends frames as it likes.
struct Frames(TcpStream);

impl Frames {
    async fn connect(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        let mut this = Self(stream);
        assert!(this.send(SETTINGS, 0, 0, b"").await);
        this
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        self.0.write_all(&frame(kind, flags, stream, payload)).await.is_ok()
    }

    /// A request for `/`, its stream left open or not.
    async fn ask(&mut self, stream: u32, flags: u8) -> bool {
        self.send(HEADERS, flags, stream, HEAD).await
    }

    /// The error of the GOAWAY that ends the connection; `None` when it ends without one.
    async fn goaway(mut self) -> Option<u32> {
        let mut bytes = Vec::new();
        let mut read = Box::pin(async {
            while self.0.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {}
            bytes
        });
        let bytes = timeout(Duration::from_secs(10), &mut read).await.expect("the connection ends");
        let mut rest = &bytes[..];
        while let Some((header, more)) = rest.split_at_checked(9) {
            let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
            let (payload, more) = more.split_at_checked(length)?;
            if header[3] == GOAWAY && payload[4..8] != [0; 4] {
                return Some(u32::from_be_bytes([payload[4], payload[5], payload[6], payload[7]]));
            }
            rest = more;
        }
        None
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = (payload.len() as u32).to_be_bytes();
    [&[a, b, c, kind, flags], &stream.to_be_bytes()[..], payload].concat()
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `GET http://a/`, in HPACK: four pseudo-header fields.
const HEAD: &[u8] = b"\x82\x86\x84\x41\x01a";
const ENHANCE_YOUR_CALM: u32 = 11;

fn within(began: Instant, least: u64, most: u64) {
    let passed = began.elapsed();
    assert!((Duration::from_millis(least)..Duration::from_millis(most)).contains(&passed), "{passed:?}");
}

#[test]
fn a_body_that_stops_is_408() {
    run(async {
        let backend = Backend::echo("web").await;
        let world = world(&backend, "{bodyTimeout: 300ms}").await;
        for head in ["Content-Length: 10", "Transfer-Encoding: chunked"] {
            let began = Instant::now();
            let mut client = Client::connect(world.at(80)).await;
            client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n1")).await;
            assert_eq!(client.response().await.status, 408, "{head}");
            assert!(client.ends().await);
            within(began, 290, 5000);
        }
        assert_eq!(world.gateway.counters().bodies_too_slow(), 2);
        assert!(world.record(2).await.fault.unwrap().to_string().contains("too slow"));
        assert_eq!(get(world.at(80), "a", "/").await.status, 200);
    });
}

#[test]
fn a_body_that_dribbles_is_408_though_it_never_stops() {
    run(async {
        let backend = Backend::echo("web").await;
        let world = world(&backend, "{bodyTimeout: 300ms, minBodyRate: 1000}").await;
        let began = Instant::now();
        let mut client = Client::connect(world.at(80)).await;
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n").await;
        while world.gateway.counters().bodies_too_slow() == 0 && client.try_send("x").await {
            tokio::time::sleep(Duration::from_millis(30)).await;
            assert!(began.elapsed() < Duration::from_secs(8), "it is borne for ever");
        }
        assert_eq!(client.response().await.status, 408);
        within(began, 290, 5000);
        // One that is as fast as it must be may take its time.
        let mut client = Client::connect(world.at(80)).await;
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000\r\n\r\n").await;
        for _ in 0..10 {
            client.send("x".repeat(300)).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(client.response().await.status, 200);
    });
}

#[test]
fn a_body_may_wait_for_a_backend_that_does_not_read() {
    run(async {
        // Answers once it has the body: until then nothing of the client's is late.
        let backend = Backend::answering(|asked| Reply::text(&asked.body.len().to_string())).await;
        let world = world(&backend, "{bodyTimeout: 300ms, minBodyRate: 1000000}").await;
        let mut client = Client::connect(world.at(80)).await;
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n").await;
        client.send("x".repeat(200_000)).await;
        assert_eq!(client.response().await.text(), "200000");
        assert_eq!(world.gateway.counters().bodies_too_slow(), 0);
    });
}

#[test]
fn a_client_that_does_not_read_is_cut_off() {
    run(async {
        let backend = generous().await;
        let world = world(&backend, "{writeTimeout: 400ms}").await;
        let began = Instant::now();
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = socket.connect(world.at(80)).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        until("it is noticed", || world.gateway.counters().writes_too_slow() == 1).await;
        within(began, 390, 8000);
        until("the connection ends", || world.gateway.counters().connections_open() == 0).await;
        until("nothing is left in progress", || world.gateway.counters().requests_open() == 0).await;
        let mut rest = Vec::new();
        let read = stream.read_to_end(&mut rest).await;
        assert!(read.is_err() && rest.len() < 16 << 20, "it is reset: {read:?}");
        assert_eq!(get(world.at(80), "a", "/").await.body.len(), 16 << 20, "who reads gets all");
    });
}

#[test]
fn a_stream_that_does_not_read_is_reset_and_its_neighbours_live_on() {
    run(async {
        let backend = generous().await;
        let world = world(&backend, "{writeTimeout: 400ms}").await;
        let send = h2(world.at(80)).await;
        let mut stuck = send.clone().ready().await.unwrap();
        let (response, _) = stuck.send_request(request("http://a/").map(|_| ()), true).unwrap();
        let mut body = response.await.unwrap().into_body();
        until("it is noticed", || world.gateway.counters().writes_too_slow() == 1).await;
        let mut came = 0;
        let ended = loop {
            match body.data().await {
                Some(Ok(piece)) => {
                    came += piece.len();
                    // What the neighbours share is given back; the stream may be gone.
                    let _ = body.flow_control().release_capacity(piece.len());
                }
                Some(Err(error)) => break error,
                None => panic!("it is all there: {came}"),
            }
        };
        assert!(ended.is_reset(), "{ended}");
        assert_eq!(ask(&send, request("http://a/")).await.unwrap().1.len(), 16 << 20, "on the same connection");
    });
}

#[test]
fn a_flood_of_frames_without_content_is_told_to_calm_down() {
    run(async {
        let backend = Backend::echo("web").await;
        let world = world(&backend, "{maxControlFrames: 200}").await;
        let neighbour = h2(world.at(80)).await;
        let rows: [(&str, u8, u32, &[u8]); 6] = [
            ("PING", PING, 0, b"12345678"),
            ("SETTINGS", SETTINGS, 0, b""),
            ("PRIORITY", PRIORITY, 1, b"\0\0\0\0\x01"),
            ("WINDOW_UPDATE", WINDOW_UPDATE, 0, b"\0\0\0\x01"),
            ("RST_STREAM", RST_STREAM, 1, b"\0\0\0\x08"),
            ("unknown", 77, 0, b""),
        ];
        for (at, (name, kind, stream, payload)) in rows.into_iter().enumerate() {
            let began = Instant::now();
            let mut client = Frames::connect(world.at(80)).await;
            assert!(client.ask(1, END_HEADERS).await);
            let mut sent = 0;
            while sent < 100_000 && client.send(kind, 0, stream, payload).await {
                sent += 1;
            }
            assert_eq!(client.goaway().await, Some(ENHANCE_YOUR_CALM), "{name} after {sent}");
            within(began, 0, 5000);
            assert_eq!(world.gateway.counters().floods(), at as u64 + 1, "{name}");
        }
        assert_eq!(ask(&neighbour, request("http://a/")).await.unwrap().0.status, 200);
        // As many over a day are none.
        let mut client = Frames::connect(world.at(80)).await;
        for _ in 0..150 {
            assert!(client.send(PING, 0, 0, b"12345678").await);
        }
        assert!(client.ask(1, END_HEADERS | END_STREAM).await);
        let mut answer = vec![0; 9];
        assert!(client.0.read_exact(&mut answer).await.is_ok());
        assert_eq!(world.gateway.counters().floods(), 6);
    });
}

#[test]
fn empty_pieces_of_a_body_without_end_end_the_connection() {
    run(async {
        let backend = Backend::echo("web").await;
        let world = world(&backend, "{}").await;
        let mut client = Frames::connect(world.at(80)).await;
        assert!(client.ask(1, END_HEADERS).await);
        let mut pieces = 0;
        while pieces < 100_000 && client.send(DATA, 0, 1, b"").await {
            pieces += 1;
        }
        assert_eq!(client.goaway().await, Some(ENHANCE_YOUR_CALM), "after {pieces}");
    });
}

#[test]
fn streams_opened_and_reset_at_once_are_told_to_calm_down() {
    run(async {
        let backend = Backend::echo("web").await;
        let world = world(&backend, "{}").await;
        let mut client = Frames::connect(world.at(80)).await;
        let mut stream = 1;
        while stream < 100_000 {
            let both =
                [frame(HEADERS, END_HEADERS | END_STREAM, stream, HEAD), frame(RST_STREAM, 0, stream, b"\0\0\0\x08")].concat();
            if client.0.write_all(&both).await.is_err() {
                break;
            }
            stream += 2;
        }
        assert_eq!(client.goaway().await, Some(ENHANCE_YOUR_CALM), "after {stream}");
        until("nothing is left in progress", || world.gateway.counters().requests_open() == 0).await;
        assert_eq!(get(world.at(80), "a", "/").await.status, 200);
    });
}

#[test]
fn a_head_in_endless_pieces_ends_the_connection() {
    run(async {
        let backend = Backend::echo("web").await;
        let world = world(&backend, "{headerTimeout: 300ms}").await;
        let mut client = Frames::connect(world.at(80)).await;
        assert!(client.ask(1, END_STREAM).await);
        let mut pieces = 0;
        while pieces < 10_000 && client.send(CONTINUATION, 0, 1, b"").await {
            pieces += 1;
        }
        assert_eq!(client.goaway().await, Some(ENHANCE_YOUR_CALM), "after {pieces}");
    });
}

#[test]
fn a_head_of_http_2_that_stops_ends_the_connection_though_others_are_in_progress() {
    run(async {
        let backend = Backend::answering(|_| Reply::Hang).await;
        let world = world(&backend, "{headerTimeout: 300ms}").await;
        let began = Instant::now();
        let mut client = Frames::connect(world.at(80)).await;
        assert!(client.ask(1, END_HEADERS | END_STREAM).await);
        until("the first is in progress", || world.gateway.counters().requests_open() == 1).await;
        assert!(client.ask(3, END_STREAM).await);
        assert_eq!(client.goaway().await, Some(ENHANCE_YOUR_CALM));
        within(began, 290, 5000);
        assert_eq!(world.gateway.counters().heads_too_slow(), 1);
        until("nothing is left in progress", || world.gateway.counters().requests_open() == 0).await;

        // A frame that does not end is no better.
        let mut client = Frames::connect(world.at(80)).await;
        assert!(client.0.write_all(&frame(HEADERS, END_HEADERS, 1, HEAD)[..11]).await.is_ok());
        client.goaway().await;
        assert_eq!(world.gateway.counters().heads_too_slow(), 2);
    });
}

#[test]
fn beyond_the_bound_on_connections_a_client_is_told_and_a_place_that_is_left_is_free() {
    run(async {
        let backend = Backend::echo("web").await;
        let yaml = gateway("") + &route("all", "[{backendRefs: [{name: web, port: 80}]}]") + &service("web", &[backend.address]);
        let world = World::with(|builder| builder.max_connections(2), &yaml).await;
        let mut first = Client::connect(world.at(80)).await;
        let second = h2(world.at(80)).await;
        assert_eq!(first.get("a", "/").await.status, 200);
        assert_eq!(ask(&second, request("http://a/")).await.unwrap().0.status, 200);
        let refused = get(world.at(80), "a", "/").await;
        assert_eq!((refused.status, refused.header("retry-after")), (503, "1"));
        let mut client = Frames::connect(world.at(80)).await;
        client.ask(1, END_HEADERS | END_STREAM).await;
        assert_eq!(client.goaway().await, Some(ENHANCE_YOUR_CALM));
        let began = Instant::now();
        let mut silent = Client::connect(world.at(80)).await;
        assert!(silent.ends().await);
        within(began, 0, 5000);
        let counters = world.gateway.counters();
        assert_eq!((counters.connections_over_limit(), counters.connections_accepted(), counters.connections_open()), (3, 2, 2));
        assert_eq!(first.get("a", "/").await.status, 200, "those who are in are served");
        drop(second);
        until("one leaves", || counters.connections_open() == 1).await;
        assert_eq!(get(world.at(80), "a", "/").await.status, 200);
    });
}

#[test]
fn more_streams_than_allowed_are_refused() {
    run(async {
        let backend = Backend::answering(|_| Reply::Hang).await;
        let yaml = gateway("") + &route("all", "[{backendRefs: [{name: web, port: 80}]}]") + &service("web", &[backend.address]);
        let world = World::with(|builder| builder.max_concurrent_streams(4), &yaml).await;
        let mut client = Frames::connect(world.at(80)).await;
        for stream in (1..20).step_by(2) {
            assert!(client.ask(stream, END_HEADERS | END_STREAM).await);
        }
        until("they are in progress", || world.gateway.counters().requests_open() == 4).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(world.gateway.counters().requests_open(), 4);
    });
}

#[test]
fn long_paths_are_served_and_many_fields_are_refused() {
    run(async {
        let backend = Backend::echo("web").await;
        let world = world(&backend, "{}").await;
        let long = format!("/{}", "a/".repeat(30_000));
        let response = get(world.at(80), "a", &long).await;
        assert_eq!((response.status, response.json()["target"].as_str().map(str::len)), (200, Some(60_001)));
        let send = h2(world.at(80)).await;
        assert_eq!(ask(&send, request(&format!("http://a{long}"))).await.unwrap().0.status, 200);
        let fields = |count: usize| (0..count).map(|at| format!("X-{at}: 1\r\n")).collect::<String>();
        let mut client = Client::connect(world.at(80)).await;
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", fields(200))).await;
        assert_eq!(client.response().await.status, 200);
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", fields(300))).await;
        assert_eq!(client.response().await.status, 400);
        assert!(client.ends().await);
    });
}

#[test]
fn half_a_request_is_no_request() {
    run(async {
        let backend = Backend::echo("web").await;
        let world = world(&backend, "{}").await;
        for half in ["GET / HT", "GET / HTTP/1.1\r\nHost: a\r\n", "PRI * HTTP/2.0\r\n\r\nSM"] {
            let mut client = TcpStream::connect(world.at(80)).await.unwrap();
            client.write_all(half.as_bytes()).await.unwrap();
            client.shutdown().await.unwrap();
            let mut rest = Vec::new();
            let _ = timeout(Duration::from_secs(10), client.read_to_end(&mut rest)).await.expect("the connection ends");
        }
        // Half a body: its backend is let go.
        let mut client = TcpStream::connect(world.at(80)).await.unwrap();
        client.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab").await.unwrap();
        drop(client);
        until("all is over", || {
            let counters = world.gateway.counters();
            counters.connections_open() == 0 && counters.requests_open() == 0
        })
        .await;
        assert_eq!(backend.asked(), 0);
    });
}

#[test]
fn a_thousand_idle_connections_are_neighbours_like_others() {
    run(async {
        let backend = Backend::echo("web").await;
        let world = world(&backend, "{headerTimeout: 20s, idleTimeout: 20s}").await;
        let mut idle = Vec::new();
        for at in 0..1000 {
            let mut client = Client::connect(world.at(80)).await;
            if at % 10 == 0 {
                assert_eq!(client.get("a", "/").await.status, 200);
            }
            idle.push(client);
        }
        until("they are open", || world.gateway.counters().connections_open() == 1000).await;
        let began = Instant::now();
        assert_eq!(get(world.at(80), "a", "/").await.status, 200);
        within(began, 0, 1000);
        drop(idle);
        until("they are gone", || world.gateway.counters().connections_open() == 0).await;
    });
}

#[test]
fn a_body_over_http_2_may_be_cut_into_small_pieces() {
    run(async {
        let backend = Backend::echo("web").await;
        let world = world(&backend, "{maxControlFrames: 10}").await;
        let send = h2(world.at(80)).await;
        let mut ready = send.clone().ready().await.unwrap();
        let post = http::Request::post("http://a/").body(()).unwrap();
        let (response, mut stream) = ready.send_request(post, false).unwrap();
        for _ in 0..50 {
            stream.send_data(Bytes::from_static(b"x"), false).unwrap();
        }
        stream.send_data(Bytes::new(), true).unwrap();
        assert_eq!(response.await.unwrap().status(), 200);
        assert_eq!(world.gateway.counters().floods(), 0);
    });
}
