//! Bytes from one side to the other, in both directions at once.
//!
//! In: two connected streams. Out: how much passed, and how it ended. Each direction reads no further than the other side takes, so
//! that a slow reader slows its sender down. When one side closes its half, the other is told, and its own half goes on. Between two
//! sockets the system moves the bytes itself once much went that way, where it has pipes for it.
//!
//! Invariants: **a direction in which nothing passes holds no buffer and no pipe**.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::task::coop::consume_budget;
use tokio::time::Instant;

use super::pipes::{Lent, Pipes};
use super::{Client, Endpoint, reset};

/// What passed.
#[derive(Debug)]
pub(super) struct Passed {
    /// From the client to the endpoint.
    pub(super) received: u64,
    /// From the endpoint to the client.
    pub(super) sent: u64,
    pub(super) ended: Ended,
}

/// How it ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// Both sides had closed their halves.
    Done,
    /// Nothing passed for too long.
    Idle,
    /// The client broke off.
    ByClient(io::Error),
    /// The endpoint broke off.
    ByEndpoint(io::Error),
}

/// How much went one way, and when something last did.
struct Way<'a> {
    passed: AtomicU64,
    pulse: &'a Pulse,
}

/// When a byte last passed, in either direction.
struct Pulse {
    began: Instant,
    /// Milliseconds after that.
    last: AtomicU64,
}

impl Pulse {
    fn beat(&self) {
        self.last.store(self.began.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// Ends when nothing passed for this long.
    async fn stops(&self, idle: Duration) {
        loop {
            let at = self.began + Duration::from_millis(self.last.load(Ordering::Relaxed)) + idle;
            if at <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(at).await;
        }
    }
}

impl Way<'_> {
    fn passed(&self) -> u64 {
        self.passed.load(Ordering::Relaxed)
    }

    fn count(&self, bytes: usize) {
        self.passed.fetch_add(bytes as u64, Ordering::Relaxed);
        self.pulse.beat();
    }
}

/// Which side an error is of.
enum Broken {
    From(io::Error),
    To(io::Error),
}

/// Copies until both sides are done. `begun` goes to the endpoint first. Where a side breaks off, the other is reset.
pub(super) async fn copy(mut client: Client, mut endpoint: Endpoint, begun: &[u8], idle: Duration, pipes: &Pipes) -> Passed {
    let pulse = Pulse { began: Instant::now(), last: AtomicU64::new(0) };
    let up = Way { passed: AtomicU64::new(0), pulse: &pulse };
    let down = Way { passed: AtomicU64::new(0), pulse: &pulse };
    let ended = match (&mut client, &mut endpoint) {
        (Client::Tcp(client), Endpoint::Tcp(endpoint)) => {
            let ((from_client, to_client), (from_endpoint, to_endpoint)) = (client.split(), endpoint.split());
            let there = pass_sockets(from_client, to_endpoint, begun, &up, pipes);
            let back = pass_sockets(from_endpoint, to_client, &[], &down, pipes);
            both(there, back, &pulse, idle).await
        }
        (Client::Tls(client), Endpoint::Tcp(endpoint)) => {
            let (from_endpoint, to_endpoint) = endpoint.split();
            let (from_client, to_client) = tokio::io::split(&mut **client);
            let there = pass(from_client, to_endpoint, begun, &up);
            let back = pass(from_endpoint, to_client, &[], &down);
            both(there, back, &pulse, idle).await
        }
        (Client::Tcp(client), Endpoint::Tls(endpoint)) => {
            let (from_client, to_client) = client.split();
            let (from_endpoint, to_endpoint) = tokio::io::split(&mut **endpoint);
            let there = pass(from_client, to_endpoint, begun, &up);
            let back = pass(from_endpoint, to_client, &[], &down);
            both(there, back, &pulse, idle).await
        }
        (Client::Tls(client), Endpoint::Tls(endpoint)) => {
            let (from_client, to_client) = tokio::io::split(&mut **client);
            let (from_endpoint, to_endpoint) = tokio::io::split(&mut **endpoint);
            let there = pass(from_client, to_endpoint, begun, &up);
            let back = pass(from_endpoint, to_client, &[], &down);
            both(there, back, &pulse, idle).await
        }
    };
    end(&ended, client.socket(), endpoint.socket());
    Passed { received: up.passed.into_inner(), sent: down.passed.into_inner(), ended }
}

/// A reset says that it was no proper end.
fn end(ended: &Ended, client: &TcpStream, endpoint: &TcpStream) {
    match ended {
        Ended::Done => {}
        Ended::Idle => {
            reset(client);
            reset(endpoint);
        }
        Ended::ByClient(_) => reset(endpoint),
        Ended::ByEndpoint(_) => reset(client),
    }
}

async fn both(
    there: impl Future<Output = Result<(), Broken>>,
    back: impl Future<Output = Result<(), Broken>>,
    pulse: &Pulse,
    idle: Duration,
) -> Ended {
    let there = async {
        there.await.map_err(|broken| match broken {
            Broken::From(error) => Ended::ByClient(error),
            Broken::To(error) => Ended::ByEndpoint(error),
        })
    };
    let back = async {
        back.await.map_err(|broken| match broken {
            Broken::From(error) => Ended::ByEndpoint(error),
            Broken::To(error) => Ended::ByClient(error),
        })
    };
    tokio::select! {
        done = async { tokio::try_join!(there, back) } => done.map_or_else(|ended| ended, |_| Ended::Done),
        () = pulse.stops(idle) => Ended::Idle,
    }
}

/// One direction, to the end of its sender's half.
async fn pass<R, W>(mut from: R, mut to: W, begun: &[u8], way: &Way<'_>) -> Result<(), Broken>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    begin(&mut to, begun, way).await?;
    while copy_piece(&mut from, &mut to, way).await? > 0 {}
    close(&mut to).await
}

/// The same between sockets.
async fn pass_sockets(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    begun: &[u8],
    way: &Way<'_>,
    pipes: &Pipes,
) -> Result<(), Broken> {
    begin(&mut to, begun, way).await?;
    loop {
        let copied = copy_piece(&mut from, &mut to, way).await?;
        if copied == 0 {
            return close(&mut to).await;
        }
        // Whatever was no full piece was all there is for now.
        if copied == PIECE
            && let Some(pipe) = pipes.lend(way.passed())
        {
            splice(from.as_ref(), to.as_ref(), pipe, way).await?;
        }
    }
}

/// What was read before.
async fn begin<W: AsyncWrite + Unpin>(to: &mut W, begun: &[u8], way: &Way<'_>) -> Result<(), Broken> {
    if !begun.is_empty() {
        to.write_all(begun).await.map_err(Broken::To)?;
        way.count(begun.len());
    }
    Ok(())
}

/// Waits for something to read, and copies it. 0 at the end of what is sent.
async fn copy_piece<R, W>(from: &mut R, to: &mut W, way: &Way<'_>) -> Result<usize, Broken>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let piece = match read(from).await {
        Ok(piece) => piece,
        // Many who speak TLS end without saying so; what it meant is for the two sides to know.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
        Err(error) => return Err(Broken::From(error)),
    };
    if !piece.is_empty() {
        to.write_all(&piece).await.map_err(Broken::To)?;
        to.flush().await.map_err(Broken::To)?;
        way.count(piece.len());
    }
    Ok(piece.len())
}

/// Reads into a buffer that exists only once there is something to read.
async fn read<R: AsyncRead + Unpin>(from: &mut R) -> io::Result<Vec<u8>> {
    poll_fn(|cx| {
        let mut piece = Vec::with_capacity(PIECE);
        let read = pin!(from.read_buf(&mut piece)).poll(cx);
        read.map_ok(|_| piece)
    })
    .await
}

/// Lets the system move what there is to read, until there is nothing.
async fn splice(from: &TcpStream, to: &TcpStream, mut pipe: Lent<'_>, way: &Way<'_>) -> Result<(), Broken> {
    while pipe.fill(from).map_err(Broken::From)? > 0 {
        loop {
            match pipe.pour(to).await.map_err(Broken::To)? {
                0 => break,
                poured => way.count(poured),
            }
        }
        // Who always has more to send gives way to others.
        consume_budget().await;
    }
    Ok(())
}

/// Tells that nothing more comes.
async fn close<W: AsyncWrite + Unpin>(to: &mut W) -> Result<(), Broken> {
    // The other side may be gone already, having said all it had to say.
    match to.shutdown().await {
        Err(error) if error.kind() != ErrorKind::NotConnected => Err(Broken::To(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;

/// Bytes that are copied at a time.
const PIECE: usize = 16 * 1024;
