//! Backends: servers that answer as a test tells them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::client::Wire;
use crate::world::until;

/// A backend; dropping it closes its port and its connections.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    /// Connections accepted.
    pub(crate) accepted: Arc<AtomicUsize>,
    /// Requests read.
    pub(crate) asked: Arc<AtomicUsize>,
    stage: watch::Sender<Stage>,
    task: JoinHandle<()>,
}

/// How far a backend has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Serves,
    /// It goes on with the connections that it has.
    Leaves,
    Stops,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Which connection, counting from 1.
    pub(crate) connection: usize,
}

/// What a backend does about a request.
pub(crate) enum Reply {
    /// Sends these bytes and waits for the next request.
    Bytes(Vec<u8>),
    /// Closes the connection without a word.
    Close,
    /// Sends these bytes, then closes.
    Last(Vec<u8>),
    /// Sends these bytes, then gives back whatever it receives.
    Mirror(Vec<u8>),
    /// Never answers.
    Hang,
    /// Answers after a while.
    Late(Duration, Box<Self>),
    /// Sends these bytes, then a piece after every pause, for ever.
    Trickle(Vec<u8>, &'static [u8], Duration),
}

impl Reply {
    pub(crate) fn status(code: u16) -> Self {
        Self::Bytes(format!("HTTP/1.1 {code} Said\r\nContent-Length: 0\r\n\r\n").into_bytes())
    }

    pub(crate) fn text(text: &str) -> Self {
        Self::Bytes(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()).into_bytes())
    }
}

impl Backend {
    /// Answers every request with its own head and body, in JSON.
    pub(crate) async fn echo(name: &'static str) -> Self {
        Self::answering(move |asked| {
            let body = json!({
                "backend": name, "method": asked.method, "target": asked.target, "headers": asked.headers,
                "body": String::from_utf8_lossy(&asked.body), "connection": asked.connection,
            })
            .to_string();
            let head = format!("HTTP/1.1 200 OK\r\nX-Backend: {name}\r\nContent-Length: {}\r\n\r\n", body.len());
            Reply::Bytes([head.into_bytes(), body.into_bytes()].concat())
        })
        .await
    }

    /// Answers as told.
    pub(crate) async fn answering(answer: impl Fn(Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::answering_at((Ipv4Addr::LOCALHOST, 0).into(), answer).await
    }

    /// The same at a known address.
    pub(crate) async fn answering_at(address: SocketAddr, answer: impl Fn(Asked) -> Reply + Send + Sync + 'static) -> Self {
        let answer = Arc::new(answer);
        Self::accepting(address, move |stream, number, asked| {
            let answer = Arc::clone(&answer);
            async move {
                let _ = converse(stream, number, &asked, &*answer).await;
            }
        })
        .await
    }

    /// Takes connections and says nothing.
    pub(crate) async fn mute() -> Self {
        Self::accepting((Ipv4Addr::LOCALHOST, 0).into(), |stream, _, _| async move {
            let _stream = stream;
            std::future::pending().await
        })
        .await
    }

    /// Says this to everybody who comes, and then gives back what it gets.
    pub(crate) async fn greeting(bytes: &'static [u8]) -> Self {
        Self::accepting((Ipv4Addr::LOCALHOST, 0).into(), move |mut stream, _, _| async move {
            let _ = stream.write_all(bytes).await;
            let (mut from, mut to) = stream.split();
            let _ = tokio::io::copy(&mut from, &mut to).await;
        })
        .await
    }

    /// Speaks HTTP/2 in clear by prior knowledge: echoes the head in JSON, for gRPC with trailers.
    pub(crate) async fn h2c(name: &'static str) -> Self {
        let at = (Ipv4Addr::LOCALHOST, 0).into();
        Self::accepting(at, move |stream, _, asked| converse_h2(stream, json!({"backend": name}), asked)).await
    }

    /// Answers gRPC calls over HTTP/2 in clear: given the head and the message of one, the message of the answer and its status.
    pub(crate) async fn answering_calls(
        answer: impl Fn(&http::request::Parts, &[u8]) -> (Vec<u8>, &'static str) + Send + Sync + 'static,
    ) -> Self {
        let answer = Arc::new(answer);
        Self::accepting((Ipv4Addr::LOCALHOST, 0).into(), move |stream, _, asked| {
            let answer = Arc::clone(&answer);
            async move {
                let Ok(mut connection) = h2::server::handshake(stream).await else { return };
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    asked.fetch_add(1, Ordering::SeqCst);
                    let answer = Arc::clone(&answer);
                    tokio::spawn(async move {
                        let (head, mut body) = request.into_parts();
                        let mut framed = Vec::new();
                        while let Some(Ok(piece)) = body.data().await {
                            let _ = body.flow_control().release_capacity(piece.len());
                            framed.extend_from_slice(&piece);
                        }
                        let (message, status) = answer(&head, framed.get(5..).unwrap_or_default());
                        let response = http::Response::builder().header("content-type", "application/grpc").body(()).unwrap();
                        let Ok(mut stream) = respond.send_response(response, false) else { return };
                        let prefix = [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes()].concat();
                        let _ = stream.send_data([prefix, message].concat().into(), false);
                        let mut trailers = http::HeaderMap::new();
                        trailers.insert("grpc-status", status.parse().unwrap());
                        let _ = stream.send_trailers(trailers);
                    });
                }
            }
        })
        .await
    }

    /// Echoes over TLS, in the version that is negotiated, what the handshake told included.
    pub(crate) async fn tls(name: &'static str, config: rustls::ServerConfig) -> Self {
        Self::tls_at((Ipv4Addr::LOCALHOST, 0).into(), name, config).await
    }

    /// The same at a known address.
    pub(crate) async fn tls_at(address: SocketAddr, name: &'static str, config: rustls::ServerConfig) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Self::accepting(address, move |stream, number, asked| {
            let acceptor = acceptor.clone();
            async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let session = stream.get_ref().1;
                let alpn = session.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
                let (sni, shown) = (session.server_name(), session.peer_certificates().map_or(0, <[_]>::len));
                let told = json!({"backend": name, "sni": sni, "alpn": alpn, "shown": shown, "connection": number});
                if alpn.as_deref() == Some("h2") {
                    return converse_h2(stream, told, asked).await;
                }
                let answer = |asked: Asked| {
                    if asked.target == "/upgrade" {
                        let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
                        return Reply::Mirror(head.into());
                    }
                    let mut told = told.clone();
                    told["headers"] = json!(asked.headers);
                    Reply::text(&told.to_string())
                };
                let _ = converse(stream, number, &asked, &answer).await;
            }
        })
        .await
    }

    /// Echoes over HTTP/2 and TLS, but that its first connection ends at its second request, without a word of either.
    pub(crate) async fn leaving(config: rustls::ServerConfig) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Self::accepting((Ipv4Addr::LOCALHOST, 0).into(), move |stream, number, asked| {
            let acceptor = acceptor.clone();
            async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                if number > 1 {
                    return converse_h2(stream, json!({}), asked).await;
                }
                let Ok(mut connection) = h2::server::handshake(stream).await else { return };
                let Some(Ok((_, mut respond))) = connection.accept().await else { return };
                let _ = respond.send_response(http::Response::new(()), true);
                let _ = connection.accept().await;
                asked.fetch_add(2, Ordering::SeqCst);
            }
        })
        .await
    }

    async fn accepting<F, T>(address: SocketAddr, serve: F) -> Self
    where
        F: Fn(TcpStream, usize, Arc<AtomicUsize>) -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (accepted, asked) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (count, requests) = (Arc::clone(&accepted), Arc::clone(&asked));
        let (stage, mut stages) = watch::channel(Stage::Serves);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let stream = tokio::select! {
                    Ok((stream, _)) = listener.accept() => stream,
                    _ = stages.changed() => break,
                };
                let number = count.fetch_add(1, Ordering::SeqCst) + 1;
                connections.spawn(serve(stream, number, Arc::clone(&requests)));
            }
            drop(listener);
            let _ = stages.wait_for(|stage| *stage == Stage::Stops).await;
            connections.shutdown().await;
        });
        Self { address, accepted, asked, stage, task }
    }

    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Goes on with the connections it has; the address refuses others when this returns.
    pub(crate) async fn leave(self) -> Self {
        self.stage.send_replace(Stage::Leaves);
        until("it has left", || std::net::TcpStream::connect(self.address).is_err()).await;
        self
    }

    /// Closes everything: the address refuses connections when this returns, and nothing is answered any more.
    pub(crate) async fn stop(mut self) {
        self.stage.send_replace(Stage::Stops);
        let _ = (&mut self.task).await;
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Echoes over HTTP/2 what is told, and what was asked.
async fn converse_h2(stream: impl Wire + 'static, told: Value, asked: Arc<AtomicUsize>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        asked.fetch_add(1, Ordering::SeqCst);
        let mut told = told.clone();
        tokio::spawn(async move {
            let (head, mut body) = request.into_parts();
            let mut text = Vec::new();
            while let Some(Ok(piece)) = body.data().await {
                let _ = body.flow_control().release_capacity(piece.len());
                text.extend_from_slice(&piece);
            }
            let headers: Vec<(String, String)> = head
                .headers
                .iter()
                .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
                .collect();
            told["method"] = json!(head.method.as_str());
            told["target"] = json!(head.uri.path_and_query().unwrap().as_str());
            told["authority"] = json!(head.uri.authority().map(|authority| authority.as_str()));
            told["headers"] = json!(headers);
            told["body"] = json!(String::from_utf8_lossy(&text));
            let mut response = http::Response::builder();
            let is_grpc = head.headers.get("content-type").is_some_and(|kind| kind == "application/grpc");
            if is_grpc {
                response = response.header("content-type", "application/grpc");
            }
            let Ok(mut stream) = respond.send_response(response.body(()).unwrap(), false) else { return };
            let _ = stream.send_data(Bytes::from(told.to_string()), !is_grpc);
            if is_grpc {
                let mut trailers = http::HeaderMap::new();
                trailers.insert("grpc-status", "0".parse().unwrap());
                let _ = stream.send_trailers(trailers);
            }
        });
    }
}

async fn converse(
    mut stream: impl Wire,
    connection: usize,
    count: &AtomicUsize,
    answer: &(dyn Fn(Asked) -> Reply + Send + Sync),
) -> std::io::Result<()> {
    let mut read = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
        };
        let head = String::from_utf8_lossy(&read[..end]).into_owned();
        read.drain(..end);
        let mut lines = head.split("\r\n");
        let mut first = lines.next().unwrap_or("").split(' ');
        let headers: Vec<(String, String)> =
            lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let mut asked = Asked {
            method: first.next().unwrap_or("").to_owned(),
            target: first.next().unwrap_or("").to_owned(),
            headers,
            body: Vec::new(),
            connection,
        };
        let value = |name: &str| asked.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        if value("expect").is_some() {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        if value("transfer-encoding").is_some() {
            while !read.ends_with(b"0\r\n\r\n") {
                if stream.read_buf(&mut read).await? == 0 {
                    return Ok(());
                }
            }
            asked.body = std::mem::take(&mut read);
        } else if let Some(length) = value("content-length").and_then(|length| length.parse::<usize>().ok()) {
            while read.len() < length {
                if stream.read_buf(&mut read).await? == 0 {
                    return Ok(());
                }
            }
            asked.body = read.drain(..length).collect();
        }
        count.fetch_add(1, Ordering::SeqCst);
        let mut reply = answer(asked);
        while let Reply::Late(time, then) = reply {
            tokio::time::sleep(time).await;
            reply = *then;
        }
        match reply {
            Reply::Late(..) => unreachable!("it was waited for"),
            Reply::Trickle(bytes, piece, pause) => {
                stream.write_all(&bytes).await?;
                loop {
                    stream.write_all(piece).await?;
                    tokio::time::sleep(pause).await;
                }
            }
            Reply::Bytes(bytes) => stream.write_all(&bytes).await?,
            Reply::Close => return Ok(()),
            Reply::Last(bytes) => {
                stream.write_all(&bytes).await?;
                return Ok(());
            }
            Reply::Mirror(bytes) => {
                stream.write_all(&bytes).await?;
                stream.write_all(&read).await?;
                let (mut from, mut to) = tokio::io::split(stream);
                tokio::io::copy(&mut from, &mut to).await?;
                return Ok(());
            }
            Reply::Hang => std::future::pending().await,
        }
    }
}
