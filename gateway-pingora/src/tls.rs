//! TLS that clients begin: the ClientHello's name selects the listener, and that whether TLS ends here, and with which certificates.
//! TLS that we begin is `backend`'s.
//!
//! In: an accepted stream. Out: its hello, and after the handshake the stream with what it told, or nothing. A connection that nobody
//! answers for ends without an alert.
//!
//! Invariants: **a rotated certificate touches no open connection**; tickets given under one certificate set, or one validation of
//! clients, are worth nothing under another.

mod backend;
mod certificates;
mod clients;
mod configs;
mod hello;

use std::sync::Arc;
use std::time::{Duration, Instant};

use pingora_core::protocols::tls::SslDigest;
use rustls::ProtocolVersion;
use tokio::net::TcpStream;
use tokio::time::timeout_at;
use tokio_rustls::server::TlsStream;

use gateway_core::admit::Handshake;
use gateway_core::snapshot::{Listener, Socket};

pub(crate) use backend::{Aim, BackendHandshake, BackendHandshakes};
pub(crate) use configs::Configs;
pub(crate) use hello::Hello;

/// What a handshake told.
pub(crate) struct Met {
    pub(crate) handshake: Handshake,
    /// The listener that answers for the name.
    pub(crate) listener: Arc<Listener>,
    pub(crate) digest: Arc<SslDigest>,
    pub(crate) took: Duration,
    pub(crate) is_h2: bool,
}

/// Reads the hello of a connection until this moment.
pub(crate) async fn hello(stream: TcpStream, socket: &Socket, by: tokio::time::Instant) -> Option<Box<Hello>> {
    match timeout_at(by, Hello::read(stream)).await {
        Ok(Ok(hello)) => Some(hello),
        Ok(Err(error)) => {
            tracing::debug!(%socket, %error, "not a TLS hello");
            None
        }
        Err(_) => None,
    }
}

/// Ends TLS as a listener says, until this moment.
pub(crate) async fn shake_hands(
    hello: Box<Hello>,
    listener: &Arc<Listener>,
    configs: &Configs,
    by: tokio::time::Instant,
) -> Option<(TlsStream<TcpStream>, Met)> {
    let began = Instant::now();
    let config = configs.of(listener)?;
    let server_name = hello.server_name.clone();
    let stream = match timeout_at(by, hello.into_handshake().into_stream(config)).await.ok()? {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(listener = %listener.id, ?server_name, %error, "TLS handshake failed");
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
        handshake: Handshake { server_name, validation: listener.validation.as_ref().map(|validation| validation.fingerprint) },
        listener: Arc::clone(listener),
        digest: Arc::new(SslDigest::new(cipher, version, None, None, Vec::new())),
        took: began.elapsed(),
        is_h2: session.alpn_protocol() == Some(b"h2"),
    };
    Some((stream, met))
}
