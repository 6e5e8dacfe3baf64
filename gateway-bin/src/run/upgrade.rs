//! One process takes over from another without a connection refused.
//!
//! ```text
//! new ── "gateway-upgrade 1" ──────────────► old        over a Unix socket that the old one listens on
//!     ◄─ its listening sockets ─────────────            both accept from here on
//!     ── "ready", once all is served ───────►
//!     ◄─ "yours" ───────────────────────────            the old one closes its copies, drains, and ends
//! ```
//! In: the path of that socket. Out: the sockets of a predecessor, and later the word that a successor has ours.
//!
//! Invariants: **until a successor says that it is ready the old process goes on as if nobody had asked**, whatever becomes of the
//! new one; only the same user, or root, gets anything.

mod pass;

use std::fs;
use std::io::{self, BufRead as _, BufReader, ErrorKind, Write as _};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use tokio::net::UnixListener;

use super::news::say;

/// A process that serves, and waits for this one to be ready.
pub(crate) struct Predecessor {
    stream: UnixStream,
    sockets: Sockets,
}

/// Sockets that a process listened on.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    pub(crate) listeners: Vec<TcpListener>,
    pub(crate) datagrams: Vec<UdpSocket>,
}

impl FromIterator<OwnedFd> for Sockets {
    /// A newer predecessor may have sockets of other kinds: those are closed.
    fn from_iter<T: IntoIterator<Item = OwnedFd>>(descriptors: T) -> Self {
        let mut sockets = Self::default();
        for descriptor in descriptors {
            let known = socket2::SockRef::from(&descriptor);
            if !known.local_addr().is_ok_and(|it| it.is_ipv4() || it.is_ipv6()) {
                continue;
            }
            match known.r#type() {
                Ok(socket2::Type::STREAM) => sockets.listeners.push(descriptor.into()),
                Ok(socket2::Type::DGRAM) => sockets.datagrams.push(descriptor.into()),
                Ok(_) | Err(_) => {}
            }
        }
        sockets
    }
}

/// Asks who serves at `path` for its sockets; `None` when nobody does.
pub(crate) fn take_over(path: &Path) -> anyhow::Result<Option<Predecessor>> {
    let stream = match UnixStream::connect(path) {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => return Ok(None),
        Err(error) => return Err(anyhow!("cannot take over at {}: {error}", path.display())),
    };
    let told = || format!("cannot take over from the process that serves at {}", path.display());
    is_one_of_us(&stream).with_context(told)?;
    stream.set_read_timeout(Some(PATIENCE)).with_context(told)?;
    stream.set_write_timeout(Some(PATIENCE)).with_context(told)?;
    let asked = (&stream).write_all(HELLO.as_bytes());
    let sockets = asked.and_then(|()| pass::receive(&stream)).with_context(told)?;
    Ok(Some(Predecessor { sockets: sockets.into_iter().collect(), stream }))
}

impl Predecessor {
    /// The sockets it listens on, once.
    pub(crate) fn sockets(&mut self) -> Sockets {
        std::mem::take(&mut self.sockets)
    }

    /// Says that all is served here now. Returns when the predecessor accepts nothing any more, or is gone.
    pub(crate) fn relieve(self) -> anyhow::Result<()> {
        let mut answer = String::new();
        let told = (&self.stream).write_all(READY.as_bytes());
        match told.and_then(|()| BufReader::new(&self.stream).read_line(&mut answer)) {
            Ok(_) if answer == YOURS => Ok(()),
            // It ended meanwhile: all is ours even so.
            Ok(0) => Ok(()),
            Ok(_) => bail!("the process that was to be relieved answered {answer:?}"),
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => Ok(()),
            Err(error) => Err(anyhow!("the process that was to be relieved does not answer: {error}")),
        }
    }
}

/// Where a successor asks. Dropping it frees the path.
pub(crate) struct Seat {
    listener: UnixListener,
    path: PathBuf,
}

impl Seat {
    /// Listens at `path`, which nobody serves any more.
    pub(crate) fn at(path: &Path) -> anyhow::Result<Self> {
        let told = || format!("successors cannot be waited for at {}", path.display());
        let beside = path.with_extension(format!("{}.new", std::process::id()));
        // What a former process of this number left would be in the way.
        let _ = fs::remove_file(&beside);
        let listener = UnixListener::bind(&beside).with_context(told)?;
        // Nobody sees it at its path before its permissions are right.
        let placed = fs::set_permissions(&beside, fs::Permissions::from_mode(0o600)).and_then(|()| fs::rename(&beside, path));
        if placed.is_err() {
            let _ = fs::remove_file(&beside);
        }
        placed.with_context(told)?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Gives `sockets` to whoever asks, and returns once one of them is ready to serve. What goes wrong before is said, and changes
    /// nothing here. The answer frees the successor to take the path.
    pub(crate) async fn succeeded<F>(self, sockets: F)
    where
        F: Fn() -> io::Result<Vec<OwnedFd>>,
    {
        loop {
            let Ok((stream, _)) = self.listener.accept().await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let Ok(stream) = stream.into_std() else { continue };
            // Both ends are local and bounded in time; one at a time is served.
            let given = sockets();
            let asked = tokio::task::spawn_blocking(move || hand_over(&stream, given).map(|pid| (stream, pid))).await;
            match asked.map_err(anyhow::Error::from).and_then(|handed| handed) {
                Ok((stream, pid)) => {
                    say(&format!("process {pid} has taken over; finishing what is under way"));
                    drop(self);
                    // A successor that is gone by now has the sockets all the same, or had; there is no way back.
                    let _ = (&stream).write_all(YOURS.as_bytes());
                    return;
                }
                Err(error) => say(&format!("warning: a process wanted to take over and did not: {error:#}")),
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // It may be gone already; another process may not have taken it yet, as it waits for our word.
        let _ = fs::remove_file(&self.path);
    }
}

/// Gives the sockets away and waits for the word that they are served. Returns the number of the process.
fn hand_over(stream: &UnixStream, sockets: io::Result<Vec<OwnedFd>>) -> anyhow::Result<i32> {
    let pid = is_one_of_us(stream)?;
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut lines = BufReader::new(stream);
    let mut line = String::new();
    lines.read_line(&mut line).context("it does not say what it wants")?;
    if line != HELLO {
        bail!("it speaks another language: {:?}", line.trim_end());
    }
    let sockets = sockets.context("the sockets cannot be duplicated")?;
    say(&format!("process {pid} takes over {} sockets", sockets.len()));
    pass::send(stream, &sockets).context("the sockets cannot be passed on")?;
    drop(sockets);
    stream.set_read_timeout(Some(LONGEST_START))?;
    line.clear();
    match lines.read_line(&mut line) {
        Ok(_) if line == READY => Ok(pid),
        Ok(0) => bail!("process {pid} ended before it was ready"),
        Ok(_) => bail!("process {pid} said {:?}", line.trim_end()),
        Err(error) => bail!("process {pid} was not ready within {LONGEST_START:?}: {error}"),
    }
}

/// Asks the system who is at the other end. Nobody gets, or gives, a socket who could not have opened it by our rights.
fn is_one_of_us(stream: impl AsFd) -> anyhow::Result<i32> {
    let peer = rustix::net::sockopt::socket_peercred(stream)?;
    let (user, us) = (peer.uid.as_raw(), rustix::process::geteuid().as_raw());
    if user != us && user != 0 {
        bail!("it belongs to user {user}, this process to user {us}");
    }
    Ok(peer.pid.as_raw_nonzero().get())
}

const HELLO: &str = "gateway-upgrade 1\n";
const READY: &str = "ready\n";
const YOURS: &str = "yours\n";

/// How long the other end may take for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a successor may take to read its configuration and to open what is new.
const LONGEST_START: Duration = Duration::from_secs(300);
/// Pause after an accept failed for lack of resources.
const PAUSE: Duration = Duration::from_millis(50);
