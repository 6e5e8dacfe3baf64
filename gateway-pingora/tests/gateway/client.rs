//! A small HTTP/1 client that sends what it is told, byte for byte.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub(crate) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// One connection.
pub(crate) struct Client {
    wire: Box<dyn Wire>,
    read: Vec<u8>,
}

/// A response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// A header's value; empty when it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// What the echo backend tells.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The values of a request header as the echo backend got it, joined by `|`.
    pub(crate) fn echoed(&self, name: &str) -> String {
        let json = self.json();
        let fields = json["headers"].as_array().unwrap();
        let values = fields.iter().filter(|field| field[0].as_str().unwrap().eq_ignore_ascii_case(name));
        values.map(|field| field[1].as_str().unwrap()).collect::<Vec<_>>().join("|")
    }
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap())
    }

    pub(crate) fn over(wire: impl Wire + 'static) -> Self {
        Self { wire: Box::new(wire), read: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.wire.write_all(bytes.as_ref()).await.unwrap();
        self.wire.flush().await.unwrap();
    }

    /// Sends and says whether the other end still took it.
    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.wire.write_all(bytes.as_ref()).await.is_ok() && self.wire.flush().await.is_ok()
    }

    /// Sends a request without a body and reads the response.
    pub(crate) async fn get(&mut self, host: &str, target: &str) -> Response {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        self.response().await
    }

    pub(crate) async fn response(&mut self) -> Response {
        self.try_response(false).await.expect("a response")
    }

    /// Reads a response to HEAD.
    pub(crate) async fn head_response(&mut self) -> Response {
        self.try_response(true).await.expect("a response")
    }

    /// Reads a response; `None` when the connection ends before one.
    pub(crate) async fn try_response(&mut self, is_head: bool) -> Option<Response> {
        let end = loop {
            if let Some(at) = self.read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at + 4;
            }
            if !self.more().await {
                assert!(self.read.is_empty(), "half a head: {:?}", String::from_utf8_lossy(&self.read));
                return None;
            }
        };
        let head = String::from_utf8(self.read.drain(..end).collect()).unwrap();
        let mut lines = head.split("\r\n");
        let status: u16 = lines.next()?.split(' ').nth(1)?.parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        let mut response = Response { status, headers, body: Vec::new() };
        if is_head || matches!(status, 100..=199 | 204 | 304) {
            return Some(response);
        }
        if response.header("transfer-encoding").eq_ignore_ascii_case("chunked") {
            response.body = self.chunks().await;
        } else if let Ok(length) = response.header("content-length").parse::<usize>() {
            response.body = self.bytes(length).await;
        } else {
            while self.more().await {}
            response.body = std::mem::take(&mut self.read);
        }
        Some(response)
    }

    /// Reads exactly so many bytes.
    pub(crate) async fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.read.len() < count {
            assert!(self.more().await, "the connection ended after {} of {count} bytes", self.read.len());
        }
        self.read.drain(..count).collect()
    }

    /// Reads to the end of the connection.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.more().await {}
        std::mem::take(&mut self.read)
    }

    async fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            while !self.read.windows(2).any(|bytes| bytes == b"\r\n") {
                assert!(self.more().await, "the connection ended between chunks");
            }
            let at = self.read.windows(2).position(|bytes| bytes == b"\r\n").unwrap();
            let line: Vec<u8> = self.read.drain(..at + 2).collect();
            let size = usize::from_str_radix(std::str::from_utf8(&line[..at]).unwrap(), 16).unwrap();
            let chunk = self.bytes(size + 2).await;
            if size == 0 {
                return body;
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }

    /// Whether the connection ends, without a byte more, within ten seconds.
    pub(crate) async fn ends(&mut self) -> bool {
        assert!(self.read.is_empty(), "more came: {:?}", String::from_utf8_lossy(&self.read));
        let ended = timeout(Duration::from_secs(10), self.more()).await.is_ok_and(|more| !more);
        assert!(self.read.is_empty(), "more came: {:?}", String::from_utf8_lossy(&self.read));
        ended
    }

    async fn more(&mut self) -> bool {
        // A reset ends a connection too.
        self.wire.read_buf(&mut self.read).await.unwrap_or(0) > 0
    }
}

/// One request on a connection of its own.
pub(crate) async fn get(address: SocketAddr, host: &str, target: &str) -> Response {
    Client::connect(address).await.get(host, target).await
}

/// Bytes on a connection of their own, and the status of the response.
pub(crate) async fn status(address: SocketAddr, request: impl AsRef<[u8]>) -> u16 {
    let mut client = Client::connect(address).await;
    client.send(request).await;
    client.response().await.status
}
