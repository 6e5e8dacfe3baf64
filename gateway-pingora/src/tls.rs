//! TLS that clients begin: the ClientHello's name selects the listener, and that its certificates.
//!
//! In: an accepted stream. Out: the stream after its handshake with what it told, or nothing: a connection whose name no listener
//! answers for, or whose listener is closed, ends without an alert. Every handshake has `header_timeout` in all; the hello itself is
//! bounded by rustls to 64 KiB.
//!
//! Invariants: **a rotated certificate touches no open connection**; tickets given under one certificate set are worth nothing under
//! another.

mod certificates;

use std::sync::Arc;
use std::time::{Duration, Instant};

use pingora_core::protocols::tls::SslDigest;
use rustls::ProtocolVersion;
use rustls::server::Acceptor;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use gateway_core::admit::Handshake;
use gateway_core::snapshot::{Listener, Settings, Socket};

pub(crate) use certificates::Certificates;

use crate::live::Live;

/// What a handshake told.
pub(crate) struct Met {
    pub(crate) handshake: Handshake,
    /// The listener that answers for the name.
    pub(crate) listener: Arc<Listener>,
    pub(crate) digest: Arc<SslDigest>,
    pub(crate) took: Duration,
    pub(crate) is_h2: bool,
}

/// Performs a handshake within the time of `settings`.
pub(crate) async fn meet(
    stream: TcpStream,
    socket: &Socket,
    settings: &Settings,
    live: &Live,
    certificates: &Certificates,
) -> Option<(TlsStream<TcpStream>, Met)> {
    timeout(settings.header_timeout, handshake(stream, socket, live, certificates)).await.ok().flatten()
}

async fn handshake(
    stream: TcpStream,
    socket: &Socket,
    live: &Live,
    certificates: &Certificates,
) -> Option<(TlsStream<TcpStream>, Met)> {
    let began = Instant::now();
    let hello = match LazyConfigAcceptor::new(Acceptor::default(), stream).await {
        Ok(hello) => hello,
        Err(error) => {
            tracing::debug!(%socket, %error, "not a TLS hello");
            return None;
        }
    };
    let server_name: Option<Arc<str>> =
        hello.client_hello().server_name().map(|name| name.trim_end_matches('.').to_ascii_lowercase().into());
    let found = find(socket, server_name.as_deref(), live);
    let Some((listener, set)) = found.as_ref().and_then(|found| Some((found, found.certificates.as_ref()?))) else {
        tracing::debug!(%socket, ?server_name, "no listener for this name");
        return None;
    };
    let config = certificates.config(set)?;
    let stream = match hello.into_stream(config).await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%socket, ?server_name, %error, "TLS handshake failed");
            return None;
        }
    };
    let session = stream.get_ref().1;
    let cipher = session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or("");
    let version = match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        _ => "",
    };
    let met = Met {
        handshake: Handshake { server_name, validation: None },
        listener: Arc::clone(listener),
        digest: Arc::new(SslDigest::new(cipher, version, None, None, Vec::new())),
        took: began.elapsed(),
        is_h2: session.alpn_protocol() == Some(b"h2"),
    };
    Some((stream, met))
}

/// The listener that answers for a name.
fn find(socket: &Socket, server_name: Option<&str>, live: &Live) -> Option<Arc<Listener>> {
    let snapshot = live.load();
    snapshot.listeners(socket)?.find(server_name).cloned()
}
