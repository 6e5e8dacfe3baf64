//! A header of the PROXY protocol, by its bytes alone: how many are to be read, and whom they tell of.
//!
//! In: the bytes so far. Out: what is to be read next, until the header is whole; then the client's address, or nothing where the proxy
//! speaks for itself or for a client without one. Of such a header nothing else is looked at, as the protocol has it.
//!
//! Invariants: **nobody is asked to read behind the header**; a header has a bound, whatever it says of its own length.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;

use ppp::{v1, v2};

/// What is to be read of a header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// So many bytes more.
    Bytes(usize),
    /// What is left of its line, which is at most so many bytes.
    Line(usize),
    /// Nothing: it is whole, and tells of this client.
    Nothing(Option<SocketAddr>),
}

/// What follows these bytes.
///
/// # Errors
/// When they begin no good header.
pub(crate) fn next(header: &[u8]) -> Result<Next> {
    let missing = |whole: usize| whole.checked_sub(header.len()).filter(|missing| *missing > 0);
    if let Some(missing) = missing(v2::PROTOCOL_PREFIX.len()) {
        return Ok(Next::Bytes(missing));
    }
    if header.starts_with(v2::PROTOCOL_PREFIX) {
        let Some(length) = header.get(FIXED - 2..FIXED).and_then(<[u8]>::first_chunk) else {
            return Ok(Next::Bytes(FIXED - header.len()));
        };
        let length = usize::from(u16::from_be_bytes(*length));
        if length > LONGEST {
            return Err(Error::new(ErrorKind::InvalidData, format!("a header of {length} bytes")));
        }
        return missing(FIXED + length).map_or_else(|| of_v2(header).map(Next::Nothing), |missing| Ok(Next::Bytes(missing)));
    }
    if !header.starts_with(b"PROXY ") {
        return Err(Error::new(ErrorKind::InvalidData, "no PROXY header"));
    }
    if header.ends_with(b"\n") {
        return of_v1(header).map(Next::Nothing);
    }
    missing(LINE).map(Next::Line).ok_or_else(|| Error::new(ErrorKind::InvalidData, "a line that does not end"))
}

fn of_v1(header: &[u8]) -> Result<Option<SocketAddr>> {
    let header = v1::Header::try_from(header).map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
    Ok(match header.addresses {
        v1::Addresses::Unknown => None,
        v1::Addresses::Tcp4(ends) => Some((ends.source_address, ends.source_port).into()),
        v1::Addresses::Tcp6(ends) => Some((ends.source_address, ends.source_port).into()),
    })
}

fn of_v2(header: &[u8]) -> Result<Option<SocketAddr>> {
    if header.get(v2::PROTOCOL_PREFIX.len()) == Some(&LOCAL) {
        return Ok(None);
    }
    let header = v2::Header::try_from(header).map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
    Ok(match header.addresses {
        v2::Addresses::IPv4(ends) => Some((ends.source_address, ends.source_port).into()),
        v2::Addresses::IPv6(ends) => Some((ends.source_address, ends.source_port).into()),
        v2::Addresses::Unspecified | v2::Addresses::Unix(_) => None,
    })
}

/// Bytes of a line of version 1 at most, its end included.
pub(crate) const LINE: usize = 107;
/// Bytes of version 2 before what they tell the length of.
const FIXED: usize = 16;
/// Bytes that may follow: addresses, and what a proxy adds, a client's certificate perhaps.
const LONGEST: usize = 8192;
/// Version 2, of a connection that is the proxy's own.
const LOCAL: u8 = 0x20;
