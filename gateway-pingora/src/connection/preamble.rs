//! The header that a proxy puts before a connection (PROXY protocol, version 1 or 2): for whom it connects.
//!
//! In: a stream that begins with one, and how long it may take. Out: the client's address as the proxy tells it, nothing where it connects for itself, and the
//! stream right behind the header. Whom to believe is decided before; what the bytes say is `header`'s to know.
//!
//! Invariants: **no byte behind the header is taken**.

mod header;

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use header::{LINE, Next, next};

/// Reads the header, for this time at most; `None` where the proxy speaks for itself (a check of its own, say), or for a client without
/// an address.
///
/// # Errors
/// When there is no good header: the connection is of no use, then.
pub(crate) async fn read(stream: &mut TcpStream, time: Duration) -> io::Result<Option<SocketAddr>> {
    timeout(time, read_on(stream)).await.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
}

async fn read_on(stream: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    let mut header = Vec::with_capacity(LINE);
    loop {
        let count = match next(&header)? {
            Next::Bytes(count) => count,
            Next::Line(most) => of_line(stream, most).await?,
            Next::Nothing(told) => return Ok(told),
        };
        let before = header.len();
        header.resize(before + count, 0);
        stream.read_exact(&mut header[before..]).await?;
    }
}

/// How many bytes of a line are there to be taken, up to its end.
async fn of_line(stream: &TcpStream, most: usize) -> io::Result<usize> {
    let mut ahead = [0; LINE];
    let count = stream.peek(&mut ahead[..most]).await?;
    if count == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(ahead[..count].iter().position(|byte| *byte == b'\n').map_or(count, |end| end + 1))
}
