//! TCP: bytes one way on four connections, and short connections, sixteen at a time.
//!
//! In: where a contestant passes bytes on. Out: how many came, or how many connections said a word and heard it.

use std::io::{Error, Result};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, recv};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Done, Scene};
use crate::backends::{FLOOD, WORD};

pub(super) fn flood(scene: &Scene<'_>, time: Duration) -> Result<Done> {
    let address = scene.place.tcp();
    let taken = || -> Result<u64> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        std::io::Write::write_all(&mut stream, FLOOD)?;
        let (start, mut taken, mut piece) = (Instant::now(), 0, vec![0_u8; 256 * 1024]);
        while start.elapsed() < time {
            // Truncated to nothing: the system drops what came without a copy, so that the load has less to do than who is measured.
            let (_, n) = recv(&stream, &mut piece[..], RecvFlags::TRUNC)?;
            if n == 0 {
                return Err(Error::other("the connection was closed"));
            }
            taken += n as u64;
        }
        Ok(taken)
    };
    let all = thread::scope(|scope| {
        let all: Vec<_> = (0..4).map(|_| scope.spawn(taken)).collect();
        all.into_iter().map(|one| one.join().expect("it does not panic")).sum::<Result<u64>>()
    })?;
    Done::of(all as f64 / f64::from(1 << 30), time)
}

pub(super) fn words(scene: &Scene<'_>, time: Duration) -> Result<Done> {
    let address = scene.place.tcp();
    super::together(time, 16, move || async move {
        let mut stream = tokio::net::TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        stream.write_all(WORD).await?;
        let mut answer = [0; WORD.len()];
        stream.read_exact(&mut answer).await?;
        if answer == WORD { Ok(()) } else { Err(Error::other("another word came back")) }
    })
}
