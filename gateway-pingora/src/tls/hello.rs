//! The ClientHello of a connection, read before anything is answered.
//!
//! In: an accepted stream. Out: the server name, and the stream with all that was read of it, so that the handshake can go on here or
//! elsewhere. However the hello is cut into records and segments, it is read once; rustls bounds it to 64 KiB. What is no hello that can be
//! answered (a version before TLS 1.2, other bytes) is told so by an alert.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use rustls::server::{Accepted, Acceptor};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::StartHandshake;

/// A connection whose ClientHello was read.
pub(crate) struct Hello {
    /// In lower case.
    pub(crate) server_name: Option<Arc<str>>,
    accepted: Accepted,
    stream: TcpStream,
    read: Vec<u8>,
}

impl Hello {
    /// Reads until the hello is whole. Boxed: it is large, and waits for the handshake in the task of its connection.
    pub(super) async fn read(mut stream: TcpStream) -> io::Result<Box<Self>> {
        let mut acceptor = Acceptor::default();
        let mut read = Vec::with_capacity(USUAL);
        loop {
            let before = read.len();
            if stream.read_buf(&mut read).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let mut new = read.get(before..).unwrap_or_default();
            while !new.is_empty() {
                if acceptor.read_tls(&mut new)? == 0 {
                    return Err(io::Error::new(ErrorKind::InvalidData, "more than a hello may have"));
                }
            }
            let accepted = match acceptor.accept() {
                Ok(accepted) => accepted,
                Err((error, mut alert)) => {
                    let mut told = Vec::new();
                    alert.write_all(&mut told)?;
                    stream.write_all(&told).await?;
                    stream.shutdown().await?;
                    return Err(io::Error::new(ErrorKind::InvalidData, error));
                }
            };
            if let Some(accepted) = accepted {
                let name = accepted.client_hello().server_name().map(|name| name.trim_end_matches('.').to_ascii_lowercase());
                return Ok(Box::new(Self { server_name: name.map(Into::into), accepted, stream, read }));
            }
        }
    }

    /// The stream as it is, and the bytes that were read of it.
    pub(crate) fn into_parts(self) -> (TcpStream, Vec<u8>) {
        (self.stream, self.read)
    }

    /// The handshake, to go on with.
    pub(super) fn into_handshake(self) -> StartHandshake<TcpStream> {
        StartHandshake::from_parts(self.accepted, self.stream)
    }
}

/// Bytes of most hellos.
const USUAL: usize = 2048;
