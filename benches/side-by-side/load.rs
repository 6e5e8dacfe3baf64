//! Load: what is asked of a contestant for a while, and how much of it was done.
//!
//! In: where a contestant listens, and for how long. Out: how many units were done, or how long each took. Anything but the right
//! answer is an error: a contestant that refuses is not measured. Where others have a tool for it, theirs is used.

mod datagrams;
mod handshakes;
mod http;
mod streams;

use std::io::{Error, Result};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::Measure;
use crate::contestant::Place;
use crate::tools::Tools;

pub(crate) use http::at_rate;

/// A kind of load.
#[derive(Debug)]
pub(crate) struct Load {
    /// The name of its samples.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) of: Measure,
    pub(crate) unit: Unit,
    pub(crate) work: fn(&Scene<'_>, Duration) -> Result<Done>,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Request,
    Connection,
    Gibibyte,
    Call,
    Datagram,
}

/// Between whom.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    pub(crate) tools: &'a Tools,
    pub(crate) place: &'a Place,
    /// The core of the load.
    pub(crate) core: usize,
}

/// What was done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    pub(crate) units: f64,
    pub(crate) per_second: f64,
    /// The share of what was sent that did not come back, where that is no error.
    pub(crate) lost: Option<f64>,
}

/// All kinds, in the order in which they are measured and shown.
pub(crate) const LOADS: &[Load] = &[
    Load { name: "h1", title: "HTTP/1 in clear", of: Measure::H1, unit: Unit::Request, work: http::h1 },
    Load { name: "h2c", title: "HTTP/2 in clear", of: Measure::H2c, unit: Unit::Request, work: http::h2c },
    Load { name: "h1_tls", title: "HTTP/1 over TLS", of: Measure::Tls, unit: Unit::Request, work: http::h1_tls },
    Load { name: "h2_tls", title: "HTTP/2 over TLS", of: Measure::Tls, unit: Unit::Request, work: http::h2_tls },
    Load {
        name: "handshake",
        title: "TLS, a connection for each request",
        of: Measure::Handshakes,
        unit: Unit::Connection,
        work: handshakes::run,
    },
    Load { name: "bulk", title: "1 MiB answers, HTTP/1 in clear", of: Measure::Bulk, unit: Unit::Gibibyte, work: http::bulk },
    Load {
        name: "bulk_h1_tls",
        title: "1 MiB answers, HTTP/1 over TLS",
        of: Measure::Bulk,
        unit: Unit::Gibibyte,
        work: http::bulk_h1_tls,
    },
    Load {
        name: "bulk_h2_tls",
        title: "1 MiB answers, HTTP/2 over TLS",
        of: Measure::Bulk,
        unit: Unit::Gibibyte,
        work: http::bulk_h2_tls,
    },
    Load { name: "grpc", title: "gRPC in clear", of: Measure::Grpc, unit: Unit::Call, work: http::calls },
    Load { name: "tcp_bulk", title: "TCP, bytes one way", of: Measure::Tcp, unit: Unit::Gibibyte, work: streams::flood },
    Load {
        name: "tcp_connection",
        title: "TCP, short connections",
        of: Measure::Tcp,
        unit: Unit::Connection,
        work: streams::words,
    },
    Load {
        name: "udp",
        title: "UDP, a datagram there and back",
        of: Measure::Udp,
        unit: Unit::Datagram,
        work: datagrams::echoed,
    },
];

impl Unit {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Connection => "connection",
            Self::Gibibyte => "GiB",
            Self::Call => "call",
            Self::Datagram => "datagram",
        }
    }

    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Request => "requests",
            Self::Connection => "connections",
            Self::Gibibyte => "GiB",
            Self::Call => "calls",
            Self::Datagram => "datagrams",
        }
    }
}

impl Done {
    /// Units without loss.
    fn of(units: f64, time: Duration) -> Result<Self> {
        if units <= 0.0 {
            return Err(Error::other("nothing was done"));
        }
        Ok(Self { units, per_second: units / time.as_secs_f64(), lost: None })
    }
}

/// A runtime of the thread that waits on it.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// The same again and again, so many at a time: how often it was done. The first failure ends it.
fn together<F>(time: Duration, width: usize, once: impl Fn() -> F + Clone + Send + 'static) -> Result<Done>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let start = Instant::now();
    let done = runtime()?.block_on(async {
        let mut tasks = JoinSet::new();
        for _ in 0..width {
            let once = once.clone();
            tasks.spawn(async move {
                let mut done = 0_u64;
                while start.elapsed() < time {
                    // Whoever does not answer is not waited for.
                    tokio::time::timeout(Duration::from_secs(5), once()).await??;
                    done += 1;
                }
                Ok::<_, Error>(done)
            });
        }
        let mut all = 0;
        while let Some(done) = tasks.join_next().await {
            all += done.map_err(Error::other)??;
        }
        Ok::<_, Error>(all)
    })?;
    Done::of(done as f64, start.elapsed())
}
