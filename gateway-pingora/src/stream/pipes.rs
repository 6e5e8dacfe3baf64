//! Pipes through which the system moves bytes from one socket to another, so that they are never copied to us and back (`splice(2)`).
//!
//! In: two sockets, and how much went that way already. Out: a pipe for the next bytes, as long as it is held; nothing where all are
//! lent, where the system gives none or does nothing with it, and where it has no such thing: then bytes are copied, as well.
//!
//! Invariants: **a pipe that is lent is empty**, so that only the socket can be why nothing goes in; never more than `most` are lent, and
//! few wait for the next.

use std::io::{self, ErrorKind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::net::TcpStream;

use system::Pipe;

/// The pipes of all streams of a gateway.
#[derive(Debug)]
pub(crate) struct Pipes {
    /// Bytes that went one way before a pipe is worth its making.
    after: u64,
    most: usize,
    make: fn() -> io::Result<Pipe>,
    shelf: Mutex<Shelf>,
}

#[derive(Debug, Default)]
struct Shelf {
    at_rest: Vec<Pipe>,
    lent: usize,
    /// When the system last gave none, or did nothing with one.
    refused: Option<Instant>,
}

/// A pipe while it is used.
pub(super) struct Lent<'a> {
    pipes: &'a Pipes,
    /// There until it is given back.
    pipe: Option<Pipe>,
    /// Bytes in it.
    held: usize,
}

impl Default for Pipes {
    /// As many as the system can spare.
    fn default() -> Self {
        Self::new(AFTER, MOST.min(system::descriptors() / SHARE))
    }
}

impl Pipes {
    pub(super) fn new(after: u64, most: usize) -> Self {
        Self { after, most, make: Pipe::make, shelf: Mutex::default() }
    }

    /// A pipe for a direction in which this much has passed, where one is worth it and can be had.
    pub(super) fn lend(&self, passed: u64) -> Option<Lent<'_>> {
        if passed < self.after {
            return None;
        }
        let at_rest = {
            let mut shelf = self.shelf();
            if shelf.lent >= self.most || shelf.is_refused() {
                return None;
            }
            shelf.lent += 1;
            shelf.at_rest.pop()
        };
        match at_rest.map_or_else(self.make, Ok) {
            Ok(pipe) => Some(Lent { pipes: self, pipe: Some(pipe), held: 0 }),
            Err(error) => {
                self.shelf().lent -= 1;
                self.refuse(&error);
                None
            }
        }
    }

    fn refuse(&self, error: &io::Error) {
        tracing::debug!(%error, "the system moves nothing itself: bytes are copied");
        self.shelf().refused = Some(Instant::now());
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    fn is_refused(&self) -> bool {
        self.refused.is_some_and(|at| at.elapsed() < PAUSE)
    }
}

impl Lent<'_> {
    /// Takes in what there is to read, while it holds nothing. 0 where there is none, be it for now or for good.
    pub(super) fn fill(&mut self, from: &TcpStream) -> io::Result<usize> {
        debug_assert_eq!(self.held, 0, "a full pipe takes nothing, as if there were nothing to read");
        self.held = match self.pipe().fill(from) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            // Not the sender's doing: such a socket cannot, or we may not. Nothing was taken.
            Err(error)
                if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported | ErrorKind::PermissionDenied) =>
            {
                self.pipes.refuse(&error);
                0
            }
            filled => filled?,
        };
        Ok(self.held)
    }

    /// Gives out some of what it holds, once there is room for that; 0 where it holds nothing.
    pub(super) async fn pour(&mut self, to: &TcpStream) -> io::Result<usize> {
        if self.held == 0 {
            return Ok(0);
        }
        match to.async_io(Interest::WRITABLE, || self.pipe().pour(to, self.held)).await? {
            0 => Err(ErrorKind::WriteZero.into()),
            poured => {
                self.held -= poured;
                Ok(poured)
            }
        }
    }

    fn pipe(&self) -> &Pipe {
        self.pipe.as_ref().expect("a pipe is given back when nobody uses it any more")
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut shelf = self.pipes.shelf();
        shelf.lent -= 1;
        if let Some(pipe) = self.pipe.take().filter(|_| self.held == 0 && shelf.at_rest.len() < KEPT && !shelf.is_refused()) {
            shelf.at_rest.push(pipe);
        }
    }
}

const AFTER: u64 = 1 << 20;
/// A quarter of those of full size that a user without privileges may have (`pipe-user-pages-soft`).
const MOST: usize = 256;
/// Of so many descriptors that the process may have one is a pipe's.
const SHARE: usize = 32;
/// Pipes at rest.
const KEPT: usize = 16;
/// How long the system is not asked again.
const PAUSE: Duration = Duration::from_secs(1);

#[cfg(target_os = "linux")]
mod system {
    use std::io;
    use std::os::fd::OwnedFd;

    use rustix::io::retry_on_intr;
    use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_getpipe_size, pipe_with, splice};
    use rustix::process::{Resource, getrlimit};
    use tokio::net::TcpStream;

    #[derive(Debug)]
    pub(super) struct Pipe {
        pub(super) exit: OwnedFd,
        pub(super) entry: OwnedFd,
    }

    impl Pipe {
        pub(super) fn make() -> io::Result<Self> {
            let (exit, entry) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
            // A user who has many is given small ones, which are slower than copying.
            match fcntl_getpipe_size(&entry)? {
                SIZE.. => Ok(Self { exit, entry }),
                size => Err(io::Error::other(format!("{size} bytes are too few"))),
            }
        }

        pub(super) fn fill(&self, from: &TcpStream) -> io::Result<usize> {
            let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
            Ok(retry_on_intr(|| splice(from, None, &self.entry, None, SIZE, flags))?)
        }

        /// Where the other side is gone a signal comes with the error (SIGPIPE), which programs of Rust ignore from their start.
        pub(super) fn pour(&self, to: &TcpStream, most: usize) -> io::Result<usize> {
            let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
            Ok(retry_on_intr(|| splice(&self.exit, None, to, None, most, flags))?)
        }
    }

    /// How many descriptors the process may have.
    pub(super) fn descriptors() -> usize {
        getrlimit(Resource::Nofile).current.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX))
    }

    /// What the system gives where nothing else is asked, and what is moved at a time. Larger ones take a little less of the processor,
    /// and more of what a user may have.
    const SIZE: usize = 64 * 1024;
}

/// Elsewhere there are none.
#[cfg(not(target_os = "linux"))]
mod system {
    use std::convert::Infallible;
    use std::io;

    use tokio::net::TcpStream;

    #[derive(Debug)]
    pub(super) struct Pipe(Infallible);

    impl Pipe {
        pub(super) fn make() -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(super) fn fill(&self, _: &TcpStream) -> io::Result<usize> {
            match self.0 {}
        }

        pub(super) fn pour(&self, _: &TcpStream, _: usize) -> io::Result<usize> {
            match self.0 {}
        }
    }

    pub(super) fn descriptors() -> usize {
        0
    }
}

#[cfg(test)]
impl Pipes {
    /// Of a system that has none left.
    pub(super) fn refused(after: u64) -> Self {
        Self { make: || Err(ErrorKind::QuotaExceeded.into()), ..Self::new(after, MOST) }
    }

    /// Of a system that does nothing with them.
    #[cfg(target_os = "linux")]
    pub(super) fn useless(after: u64) -> Self {
        let make = || {
            let file = std::fs::File::options().read(true).write(true).open("/dev/null")?;
            Ok(Pipe { exit: file.try_clone()?.into(), entry: file.into() })
        };
        Self { make, ..Self::new(after, MOST) }
    }

    /// Whether one was used, and is at rest.
    pub(super) fn were_used(&self) -> bool {
        !self.shelf().at_rest.is_empty()
    }

    pub(super) fn are_in_use(&self) -> bool {
        self.shelf().lent > 0
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn one_is_lent_to_who_moved_much_and_no_more_than_there_may_be() {
        let pipes = Pipes::new(10, 2);
        assert!(pipes.lend(9).is_none());
        let (one, two) = (pipes.lend(10), pipes.lend(10));
        assert!(one.is_some() && two.is_some() && pipes.lend(10).is_none());
        drop(one);
        assert!(pipes.lend(10).is_some());
        assert!(Pipes::new(0, 0).lend(10).is_none());
    }

    #[test]
    fn few_are_kept() {
        let pipes = Pipes::new(0, 3 * KEPT);
        let all: Vec<_> = (0..2 * KEPT).map(|_| pipes.lend(0).unwrap()).collect();
        drop(all);
        let shelf = pipes.shelf();
        assert_eq!((shelf.at_rest.len(), shelf.lent), (KEPT, 0));
    }

    #[test]
    fn a_system_that_gave_none_is_not_asked_again_at_once() {
        let pipes = Pipes::refused(0);
        assert!(pipes.lend(0).is_none());
        let pipes = Pipes { make: Pipe::make, ..pipes };
        assert!(pipes.lend(0).is_none(), "it may be short of them still");
        pipes.shelf().refused = Instant::now().checked_sub(PAUSE);
        assert!(pipes.lend(0).is_some());
    }

    #[tokio::test]
    async fn one_that_still_holds_something_is_lent_to_nobody() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (from, _) = listener.accept().await.unwrap();
        sender.write_all(b"secret").await.unwrap();
        from.readable().await.unwrap();
        let pipes = Pipes::new(0, 1);
        let mut pipe = pipes.lend(0).unwrap();
        assert_eq!(pipe.fill(&from).unwrap(), 6);
        drop(pipe);
        assert!(!pipes.were_used() && !pipes.are_in_use());
    }
}
