//! A backend for gRPC calls, and whoever makes one: HTTP/2 in clear, by prior knowledge.
//!
//! In: calls. Out: each answered with the backend's name and the path of the call in place of a message, and status 0 in trailers.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::http::PATIENCE;

/// A backend that is listening. Dropping it stops it.
#[derive(Debug)]
pub struct CallEcho {
    address: SocketAddr,
    _running: oneshot::Sender<()>,
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Called {
    /// What stood in place of a message: the backend's name, a blank, the path.
    pub said: String,
    /// `grpc-status`, of the trailers or of an answer that is nothing else.
    pub status: String,
}

impl CallEcho {
    /// Listens on a free port of 127.0.0.1.
    pub fn start(name: &str) -> Result<Self> {
        let (running, stopped) = oneshot::channel();
        let runtime = runtime()?;
        let listener =
            runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).with_context(|| format!("backend {name}"))?;
        let (address, name) = (listener.local_addr()?, name.to_owned());
        thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, name) => {}
                    // The sender is dropped, never used.
                    _ = stopped => {}
                }
            });
        });
        Ok(Self { address, _running: running })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Makes a call on a connection of its own: `path` is `/service/method`.
pub fn call(to: SocketAddr, host: &str, path: &str) -> Result<Called> {
    let uri = format!("http://{host}{path}");
    let request = Request::post(uri).header("content-type", "application/grpc").header("te", "trailers").body(())?;
    runtime()?.block_on(async { timeout(PATIENCE, made(to, request)).await.context("no answer")? })
}

async fn made(to: SocketAddr, request: Request<()>) -> Result<Called> {
    let (sender, connection) = h2::client::handshake(TcpStream::connect(to).await?).await?;
    tokio::spawn(connection);
    let (answer, _) = sender.ready().await?.send_request(request, true)?;
    let (head, mut body) = answer.await?.into_parts();
    let mut said = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        said.extend_from_slice(&piece);
    }
    let trailers = body.trailers().await?;
    let of =
        |headers: &HeaderMap| headers.get("grpc-status").map(|status| String::from_utf8_lossy(status.as_bytes()).into_owned());
    let status = trailers.as_ref().and_then(of).or_else(|| of(&head.headers)).unwrap_or_default();
    Ok(Called { said: String::from_utf8_lossy(&said).into_owned(), status })
}

async fn accept(listener: TcpListener, name: String) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, name.clone()));
    }
}

async fn serve(stream: TcpStream, name: String) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let head = Response::builder().header("content-type", "application/grpc").body(()).expect("a plain head");
        let Ok(mut stream) = respond.send_response(head, false) else { return };
        let _ = stream.send_data(Bytes::from(format!("{name} {}", request.uri().path())), false);
        let _ = stream.send_trailers(
            [("grpc-status", "0")]
                .map(|(name, value)| (name.parse().expect("a name"), HeaderValue::from_static(value)))
                .into_iter()
                .collect(),
        );
    }
}

fn runtime() -> Result<Runtime> {
    Builder::new_current_thread().enable_all().build().context("a runtime")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_answered_with_who_was_called_and_how() {
        let echo = CallEcho::start("one").unwrap();
        let called = call(echo.address(), "a.example", "/shop.Cart/Add").unwrap();
        assert_eq!(called, Called { said: "one /shop.Cart/Add".into(), status: "0".into() });
    }
}
