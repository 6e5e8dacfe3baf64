//! Servers of bytes and of datagrams.
//!
//! In: what clients send. Out: for TCP, a word comes back as it was until the client is done, or a flood comes after [`FLOOD`]; for
//! UDP, the datagram.

use std::io::Result;
use std::net::UdpSocket;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What asks for bytes without end.
pub(crate) const FLOOD: &[u8] = b"flood";
/// What is said on short connections.
pub(crate) const WORD: &[u8] = b"a word and back.";

/// Answers for as long as it is waited for.
pub(super) async fn streams(listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(stream_of(stream))),
            // A connection that is gone before it was accepted.
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

async fn stream_of(mut stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut piece = [0; 1024];
    loop {
        let n = stream.read(&mut piece).await?;
        match &piece[..n] {
            [] => return Ok(()),
            FLOOD => break,
            word => stream.write_all(word).await?,
        }
    }
    let flood = vec![b'x'; 256 * 1024];
    loop {
        stream.write_all(&flood).await?;
    }
}

/// Answers until the socket fails for good.
pub(super) fn datagrams(socket: &UdpSocket) {
    let mut datagram = [0; 2048];
    loop {
        // An error is that of an earlier answer, whose client is gone.
        if let Ok((n, from)) = socket.recv_from(&mut datagram) {
            let _ = socket.send_to(&datagram[..n], from);
        }
    }
}
