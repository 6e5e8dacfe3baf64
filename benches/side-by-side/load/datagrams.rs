//! UDP: datagrams of 64 bytes there and back, over 512 flows, 64 of which wait for an answer at a time.
//!
//! In: where a contestant passes datagrams on. Out: how many came back, and the share that did not.

use std::io::{Error, ErrorKind, Result};
use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use super::{Done, Scene};

pub(super) fn echoed(scene: &Scene<'_>, time: Duration) -> Result<Done> {
    let flows: Vec<_> = (0..FLOWS).map(|_| flow(scene)).collect::<Result<_>>()?;
    let (start, mut turn, mut sent, mut back) = (Instant::now(), 0_u64, 0_u64, 0_u64);
    while start.elapsed() < time {
        for flows in flows.chunks(AT_ONCE) {
            turn += 1;
            for flow in flows {
                flow.send(&datagram(turn))?;
                sent += 1;
            }
            for flow in flows {
                back += u64::from(comes_back(flow, turn)?);
            }
        }
        if sent > 1000 && back == 0 {
            break;
        }
    }
    let done = Done::of(back as f64, start.elapsed())?;
    Ok(Done { lost: Some(1.0 - back as f64 / sent as f64), ..done })
}

fn flow(scene: &Scene<'_>) -> Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(scene.place.udp())?;
    socket.set_read_timeout(Some(LOST_AFTER))?;
    Ok(socket)
}

/// Whether the datagram of this turn comes back in time. One of an earlier turn, given up already, is left out.
fn comes_back(flow: &UdpSocket, turn: u64) -> Result<bool> {
    let mut answer = [0; 2048];
    loop {
        match flow.recv(&mut answer) {
            Ok(n) if answer[..n] == datagram(turn) => return Ok(true),
            Ok(8..) if answer[..8] < datagram(turn)[..8] => {}
            Ok(n) => return Err(Error::other(format!("another datagram came back, of {n} bytes"))),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}

/// 64 bytes that begin with their turn.
fn datagram(turn: u64) -> [u8; 64] {
    let mut datagram = [b'.'; 64];
    datagram[..8].copy_from_slice(&turn.to_be_bytes());
    datagram
}

const FLOWS: usize = 512;
const AT_ONCE: usize = 64;
const LOST_AFTER: Duration = Duration::from_millis(100);
