//! The header that a proxy puts before a connection (PROXY protocol, version 1 or 2): for whom it connects.
//!
//! In: a stream that begins with one, and how long it may take. Out: the client's address as the proxy tells it, nothing where it connects for itself, and the
//! stream right behind the header. Whom to believe is decided before.
//!
//! Invariants: **no byte behind the header is taken**; a header has a bound, whatever it says of its own length.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use ppp::{v1, v2};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

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
    take(stream, &mut header, v2::PROTOCOL_PREFIX.len()).await?;
    if header == v2::PROTOCOL_PREFIX {
        take(stream, &mut header, FIXED - v2::PROTOCOL_PREFIX.len()).await?;
        let length = header.last_chunk().map_or(0, |length| usize::from(u16::from_be_bytes(*length)));
        if length > LONGEST {
            return Err(io::Error::new(ErrorKind::InvalidData, format!("a header of {length} bytes")));
        }
        take(stream, &mut header, length).await?;
        return of_v2(&header);
    }
    if !header.starts_with(b"PROXY ") {
        return Err(io::Error::new(ErrorKind::InvalidData, "no PROXY header"));
    }
    take_line(stream, &mut header).await?;
    of_v1(&header)
}

async fn take(stream: &mut TcpStream, header: &mut Vec<u8>, count: usize) -> io::Result<()> {
    let before = header.len();
    header.resize(before + count, 0);
    stream.read_exact(&mut header[before..]).await.map(drop)
}

/// Takes bytes up to the end of the line, which is looked for before they are taken.
async fn take_line(stream: &mut TcpStream, header: &mut Vec<u8>) -> io::Result<()> {
    let mut ahead = [0; LINE];
    while header.len() < LINE {
        let count = stream.peek(&mut ahead[..LINE - header.len()]).await?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let end = ahead[..count].iter().position(|byte| *byte == b'\n');
        take(stream, header, end.map_or(count, |end| end + 1)).await?;
        if end.is_some() {
            return Ok(());
        }
    }
    Err(io::Error::new(ErrorKind::InvalidData, "a line that does not end"))
}

fn of_v1(header: &[u8]) -> io::Result<Option<SocketAddr>> {
    let header = v1::Header::try_from(header).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
    Ok(match header.addresses {
        v1::Addresses::Unknown => None,
        v1::Addresses::Tcp4(ends) => Some((ends.source_address, ends.source_port).into()),
        v1::Addresses::Tcp6(ends) => Some((ends.source_address, ends.source_port).into()),
    })
}

fn of_v2(header: &[u8]) -> io::Result<Option<SocketAddr>> {
    let header = v2::Header::try_from(header).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
    Ok(match (header.command, header.addresses) {
        (v2::Command::Proxy, v2::Addresses::IPv4(ends)) => Some((ends.source_address, ends.source_port).into()),
        (v2::Command::Proxy, v2::Addresses::IPv6(ends)) => Some((ends.source_address, ends.source_port).into()),
        (v2::Command::Local, _) | (_, v2::Addresses::Unspecified | v2::Addresses::Unix(_)) => None,
    })
}

/// Bytes of a line of version 1 at most, its end included.
const LINE: usize = 107;
/// Bytes of version 2 before what they tell the length of.
const FIXED: usize = 16;
/// Bytes that may follow: addresses, and what a proxy adds, a client's certificate perhaps.
const LONGEST: usize = 8192;
