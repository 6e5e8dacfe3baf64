//! The bodies of the fuzz targets: what the watcher of frames sees, and what a header of the PROXY protocol tells, must not depend on how
//! bytes are split, and must be what a plain reading of the same bytes finds.
//!
//! Both are taken from their source: they know neither Pingora nor sockets, so that nothing else has to be built.

#[path = "../../src/connection/preamble/header.rs"]
mod header;
#[path = "../../src/connection/frames.rs"]
mod watcher;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use header::{LINE, Next, next};
use watcher::Watcher;

/// The first two bytes say how many frames are allowed and how the rest, sent by a client, is split.
pub fn frames(bytes: &[u8]) {
    let [allowed, sizes, input @ ..] = bytes else { return };
    let allowed = u32::from(*allowed) + 1;
    let start = Instant::now();
    let mut whole = Watcher::new(0, allowed);
    let mut split = Watcher::new(0, allowed);
    let may_whole = whole.received(input, start);
    let mut may_split = true;
    let mut rest = input;
    let mut size = usize::from(*sizes);
    while !rest.is_empty() {
        size = (size * 31 + 7) % 61 + 1;
        let (part, more) = rest.split_at(size.min(rest.len()));
        may_split &= split.received(part, start);
        rest = more;
    }
    assert_eq!(may_whole, may_split, "a flood is one however it is split");
    assert_eq!(whole.unfinished().is_some(), split.unfinished().is_some(), "a head is unfinished however it is split");
    assert_eq!(whole.goaway(), split.goaway(), "the last stream is known however it is split");
    whole.sent(input);
    input.chunks(usize::from(*sizes) + 1).for_each(|part| split.sent(part));
    assert_eq!(whole.goaway(), split.goaway(), "a frame of our own has its end however it is split");
    assert_eq!(may_whole, is_paid(input, u64::from(allowed)), "what is paid is paid");
    // Time gives back: after long enough one more frame is allowed whatever came.
    let later = start + Duration::from_secs(60);
    let mut fresh = Watcher::new(0, allowed);
    fresh.received(&[0, 0, 0, 6, 0, 0, 0, 0, 0].repeat(300), start);
    assert!(fresh.received(&[0, 0, 0, 6, 0, 0, 0, 0, 0], later), "a minute pays for one");
}

/// The same judgement by a plain walk over whole frames.
fn is_paid(mut rest: &[u8], allowed: u64) -> bool {
    let most = allowed * 64;
    let mut stock = most;
    while let Some((header, more)) = rest.split_at_checked(9) {
        let length = u64::from(header[0]) << 16 | u64::from(header[1]) << 8 | u64::from(header[2]);
        match (header[3], header[4]) {
            (1, _) => {}
            (0, flags) if length == 0 && flags & 1 == 1 => {}
            (0, _) if length > 0 => stock = (stock + length).min(most),
            _ if stock < 64 => return false,
            _ => stock -= 64,
        }
        rest = more.get(usize::try_from(length).unwrap_or(usize::MAX)..).unwrap_or(&[]);
    }
    true
}

/// What became of a header: how many bytes were taken, and whom it tells of.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Whole(usize, Option<SocketAddr>),
    Unfinished,
    Refused,
}

/// The first byte says how the rest, sent by a proxy, is split.
pub fn headers(bytes: &[u8]) {
    let [sizes, input @ ..] = bytes else { return };
    let whole = outcome(input, usize::MAX);
    assert_eq!(whole, outcome(input, usize::from(*sizes % 9) + 1), "it is read alike however it is split");
    if let Outcome::Whole(taken, told) = whole {
        assert_eq!(Outcome::Whole(taken, told), outcome(&input[..taken], 1), "what is behind it does not count");
        assert_eq!(told, told_plainly(&input[..taken]), "it tells what stands in it");
    }
}

/// Reads a header of which so many bytes come at a time.
fn outcome(input: &[u8], at_a_time: usize) -> Outcome {
    let mut taken = 0;
    loop {
        let rest = &input[taken..];
        taken += match next(&input[..taken]) {
            Err(_) => return Outcome::Refused,
            Ok(Next::Nothing(told)) => return Outcome::Whole(taken, told),
            Ok(Next::Bytes(count)) if count > rest.len() => return Outcome::Unfinished,
            Ok(Next::Bytes(count)) => count,
            Ok(Next::Line(_)) if rest.is_empty() => return Outcome::Unfinished,
            Ok(Next::Line(most)) => {
                let there = &rest[..most.min(rest.len()).min(at_a_time)];
                there.iter().position(|byte| *byte == b'\n').map_or(there.len(), |end| end + 1)
            }
        };
        assert!(taken <= 16 + 8192, "a header has a bound");
        assert!(input.starts_with(b"\r\n") || taken <= LINE, "and a line has one");
    }
}

/// The same address by its place in a good header.
fn told_plainly(header: &[u8]) -> Option<SocketAddr> {
    if header.starts_with(b"PROXY ") {
        let line = std::str::from_utf8(header).expect("a good line is text").trim_end();
        let parts: Vec<&str> = line.split(' ').collect();
        return (parts[1] != "UNKNOWN")
            .then(|| SocketAddr::new(parts[2].parse().expect("an address"), parts[4].parse().expect("a port")));
    }
    let port = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    match (header[12], header[13] >> 4) {
        (0x21, 1) => Some((<[u8; 4]>::try_from(&header[16..20]).unwrap(), port(24)).into()),
        (0x21, 2) => Some((<[u8; 16]>::try_from(&header[16..32]).unwrap(), port(48)).into()),
        _ => None,
    }
}
