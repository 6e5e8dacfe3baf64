//! Load on one address: connections that ask one request after another, and every answer judged.
//!
//! Each connection carries some requests and is then opened anew, as clients do. A request that was begun is never sent again: what
//! is not answered is lost, and counts. A connection that the server closed between two requests, having said nothing, is opened anew only
//! where it had announced that by `Connection: close`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::http::{Connection, Request};

/// Connections at a time.
const CONNECTIONS: usize = 4;
/// Between two requests of one connection.
const PAUSE: Duration = Duration::from_millis(10);
/// Requests before a connection is opened anew.
const LIFETIME: usize = 50;

/// Load that goes on until it is stopped.
pub(super) struct Load {
    is_over: Arc<AtomicBool>,
    connections: Vec<JoinHandle<Tally>>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Requests that were answered as they should.
    pub(super) answered: usize,
    /// Every other one, in words.
    pub(super) lost: Vec<String>,
}

impl Load {
    /// Begins to ask an address for a host's root.
    pub(super) fn on(address: SocketAddr, host: &str) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let request = Request::get(host, "/");
        let connection = |_| {
            let (is_over, request) = (Arc::clone(&is_over), request.clone());
            thread::spawn(move || ask_until(&is_over, address, &request))
        };
        Self { connections: (0..CONNECTIONS).map(connection).collect(), is_over }
    }

    /// Stops it, and tells what came of it.
    pub(super) fn stop(self) -> Tally {
        self.is_over.store(true, Ordering::Relaxed);
        let mut all = Tally::default();
        for connection in self.connections {
            match connection.join() {
                Ok(tally) => {
                    all.answered += tally.answered;
                    all.lost.extend(tally.lost);
                }
                Err(_) => all.lost.push("a connection's thread ended".to_owned()),
            }
        }
        all
    }

    /// Stops it, and demands that nothing was lost.
    ///
    /// # Errors
    ///
    /// When something was, or nothing was asked.
    pub(super) fn must_be_whole(self) -> Result<String> {
        let Tally { answered, lost } = self.stop();
        ensure!(
            lost.is_empty(),
            "{} of {} requests were lost: {}",
            lost.len(),
            answered + lost.len(),
            lost[..lost.len().min(8)].join("; ")
        );
        ensure!(answered > CONNECTIONS, "only {answered} requests were asked");
        Ok(format!("{answered} requests, none lost"))
    }
}

fn ask_until(is_over: &AtomicBool, address: SocketAddr, request: &Request) -> Tally {
    let started = Instant::now();
    let mut tally = Tally::default();
    let mut open: Option<(Connection, usize)> = None;
    while !is_over.load(Ordering::Relaxed) && tally.lost.len() < 100 {
        let answer = match open.take() {
            Some(connection) => Ok(connection),
            None => Connection::open(address).map(|connection| (connection, 0)),
        };
        let answer = answer.and_then(|(mut connection, asked)| Ok((connection.exchange(request)?, connection, asked + 1)));
        match answer {
            Ok((response, connection, asked)) => {
                if response.status == 200 {
                    tally.answered += 1;
                } else {
                    tally.lost.push(format!("{} after {:.1?}", response.status, started.elapsed()));
                }
                let closes = response.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
                if !closes && asked < LIFETIME {
                    open = Some((connection, asked));
                }
            }
            Err(err) => tally.lost.push(format!("{err} after {:.1?}", started.elapsed())),
        }
        thread::sleep(PAUSE);
    }
    tally
}
