//! Connections beyond the bound: told so where that is cheap, and closed.
//!
//! In: an accepted stream. Out: its end. Only a few are told at a time, each for a short while; the rest is closed at once, and the log
//! gets a line a second at most.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Those who are turned away.
#[derive(Debug)]
pub(crate) struct Overflow {
    seats: Arc<Semaphore>,
    story: Mutex<Story>,
}

/// What the log was told, and what it will be.
#[derive(Debug, Default)]
struct Story {
    told: Option<Instant>,
    since: u64,
}

impl Default for Overflow {
    fn default() -> Self {
        Self { seats: Arc::new(Semaphore::new(SEATS)), story: Mutex::default() }
    }
}

impl Overflow {
    /// Ends a connection, with an answer if it is to speak HTTP in clear.
    pub(super) fn turn_away(&self, stream: TcpStream, speaks_http: bool, most: usize) {
        self.tell(most);
        if !speaks_http {
            return;
        }
        let Ok(seat) = Arc::clone(&self.seats).try_acquire_owned() else { return };
        tokio::spawn(async move {
            // Whoever dawdles gets no answer.
            let _ = timeout(LONGEST, answer(stream)).await;
            drop(seat);
        });
    }

    fn tell(&self, most: usize) {
        let mut story = self.story.lock().unwrap_or_else(PoisonError::into_inner);
        story.since += 1;
        if story.told.is_none_or(|told| told.elapsed() >= PAUSE) {
            tracing::warn!(refused = story.since, most, "as many connections are open as may be; more are refused");
            *story = Story { told: Some(Instant::now()), since: 0 };
        }
    }
}

/// Answers the first bytes, whatever they ask; then reads on, so that the answer is not lost to a reset.
async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut bytes = [0; 1024];
    let came = stream.read(&mut bytes).await?;
    let begun = bytes.get(..came).unwrap_or(&[]);
    let is_h2 = came > 0 && (begun.starts_with(PREFACE) || PREFACE.starts_with(begun));
    stream.write_all(if is_h2 { GOAWAY } else { UNAVAILABLE }).await?;
    stream.shutdown().await?;
    while stream.read(&mut bytes).await? > 0 {}
    Ok(())
}

/// Connections told at a time.
const SEATS: usize = 64;
/// How long one may take.
const LONGEST: Duration = Duration::from_millis(500);
/// Between two lines of the log.
const PAUSE: Duration = Duration::from_secs(1);
const PREFACE: &[u8] = b"PRI * HTTP/2.0";
const UNAVAILABLE: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
/// Empty settings, then the end (ENHANCE_YOUR_CALM): no stream was looked at, all may be tried elsewhere.
const GOAWAY: &[u8] = b"\0\0\0\x04\0\0\0\0\0\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\x0b";
