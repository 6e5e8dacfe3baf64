//! A backend for datagrams, and whoever asks it.
//!
//! In: datagrams. Out: each of them given back to its sender, after the backend's name and a blank.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result};

use crate::http::PATIENCE;

/// A backend that is listening. Dropping it stops it.
#[derive(Debug)]
pub struct DatagramEcho {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
}

impl DatagramEcho {
    /// Listens on a free port of 127.0.0.1.
    pub fn start(name: &str) -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).with_context(|| format!("backend {name}"))?;
        let address = socket.local_addr()?;
        let stopped = Arc::new(AtomicBool::new(false));
        let (told, name) = (Arc::clone(&stopped), format!("{name} "));
        thread::spawn(move || {
            let mut bytes = vec![0; LARGEST];
            while let Ok((count, client)) = socket.recv_from(&mut bytes) {
                if told.load(Ordering::SeqCst) {
                    return;
                }
                let _ = socket.send_to(&[name.as_bytes(), &bytes[..count]].concat(), client);
            }
        });
        Ok(Self { address, stopped })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for DatagramEcho {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // It looks up at its next datagram, which is this one.
        let _ = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.send_to(&[], self.address));
    }
}

/// Sends a datagram and waits for what comes back from where it was sent.
pub fn ask(to: SocketAddr, datagram: &[u8]) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(to)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send(datagram)?;
    let mut bytes = vec![0; LARGEST];
    let count = socket.recv(&mut bytes)?;
    bytes.truncate(count);
    Ok(bytes)
}

const LARGEST: usize = 65_536;
