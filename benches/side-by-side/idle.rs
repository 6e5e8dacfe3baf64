//! Connections that ask once and then stay, idle.
//!
//! In: how many, of which protocol. Out: the open connections. The frames of HTTP/2 are written by hand: nothing but one request is
//! needed.

use std::io::{Error, ErrorKind, Read as _, Result, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use benches::process::status;

use crate::contestant::{HOST, PATH, Place};
use crate::load::Shape;

/// So many connections, each of which got an answer.
pub(crate) fn connections(place: &Place, shape: Shape, count: usize) -> Result<Vec<TcpStream>> {
    let one = || match shape {
        Shape::Http1 => http1(place.h1()),
        Shape::Http2 => http2(place.h2c()),
    };
    (0..count).map(|_| one()).collect()
}

fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(stream)
}

fn http1(address: SocketAddr) -> Result<TcpStream> {
    let mut stream = connect(address)?;
    stream.write_all(format!("GET {PATH} HTTP/1.1\r\nHost: {HOST}\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    let mut piece = [0; 1024];
    while !answer.ends_with(b"text") {
        let n = stream.read(&mut piece)?;
        answer.extend_from_slice(&piece[..n]);
        if n == 0 || status(&answer).is_some_and(|status| status != 200) {
            return Err(Error::new(ErrorKind::InvalidData, format!("not the answer: {}", String::from_utf8_lossy(&answer))));
        }
    }
    Ok(stream)
}

fn http2(address: SocketAddr) -> Result<TcpStream> {
    let mut stream = connect(address)?;
    // RFC 7541: GET and http are in the static table, as are the names of :path and :authority.
    let mut head = vec![0x82, 0x86];
    for (name, value) in [(0x04, PATH), (0x01, HOST)] {
        head.push(name);
        head.push(u8::try_from(value.len()).map_err(|_| Error::other("too long to be written so"))?);
        head.extend_from_slice(value.as_bytes());
    }
    let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    sent.extend(frame(SETTINGS, 0, 0, &[]));
    sent.extend(frame(HEADERS, END_STREAM | END_HEADERS, 1, &head));
    stream.write_all(&sent)?;
    loop {
        let mut start = [0; 9];
        stream.read_exact(&mut start)?;
        let [high, middle, low, kind, flags, ..] = start;
        let mut payload = vec![0; u32::from_be_bytes([0, high, middle, low]) as usize];
        stream.read_exact(&mut payload)?;
        match (kind, flags) {
            (SETTINGS, 0) => stream.write_all(&frame(SETTINGS, ACK, 0, &[]))?,
            (DATA | HEADERS, flags) if flags & END_STREAM != 0 => return Ok(stream),
            (RESET | GOAWAY, _) => return Err(Error::new(ErrorKind::ConnectionReset, "the request was refused")),
            _ => {}
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("one small request");
    let mut frame = vec![0, 0, length, kind, flags, 0, 0, 0, stream];
    frame.extend_from_slice(payload);
    frame
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
