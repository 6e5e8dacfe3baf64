//! Listening sockets that pass from one process to the next: those that were handed to this one, and those it can hand on.
//!
//! In: sockets that another process listened on, and our own as they open. Out: a socket for whoever would bind its address, and
//! duplicates of all that are open. A connection that waits in a socket's queue stays there: whichever process accepts next has it.
//!
//! Of a socket for datagrams, which nobody accepts from, both processes would read: whoever takes one leaves it to the other until it is
//! told that what is left may be closed.
//!
//! Invariants: a socket is taken once; what nobody took is closed when it is told to be, and its port is free then.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener, UdpSocket as StdUdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use gateway_core::snapshot::Socket;
use tokio::sync::watch;

/// Sockets of a former process.
#[derive(Debug)]
pub(crate) struct Inherited {
    listeners: Left<StdListener>,
    datagrams: Left<StdUdpSocket>,
    /// Whether the former process is done.
    are_ours: watch::Sender<bool>,
}

impl Default for Inherited {
    fn default() -> Self {
        Self { listeners: Left::default(), datagrams: Left::default(), are_ours: watch::Sender::new(false) }
    }
}

impl Inherited {
    /// Keeps those that listen for connections. One without an address of its own is none, and is closed.
    pub(crate) fn add(&mut self, sockets: impl IntoIterator<Item = StdListener>) {
        self.listeners.all().extend(sockets.into_iter().filter_map(|socket| Some((socket.local_addr().ok()?, socket))));
    }

    /// The same for those that are written datagrams.
    pub(crate) fn add_datagrams(&mut self, sockets: impl IntoIterator<Item = StdUdpSocket>) {
        self.datagrams.all().extend(sockets.into_iter().filter_map(|socket| Some((socket.local_addr().ok()?, socket))));
    }

    /// The socket that is bound to an address, if there was one and nobody took it.
    pub(super) fn take(&self, address: SocketAddr) -> Option<StdListener> {
        self.listeners.all().remove(&address)
    }

    /// The same for datagrams. Nothing is read of it before [`Inherited::ours`].
    pub(super) fn take_datagrams(&self, address: SocketAddr) -> Option<StdUdpSocket> {
        self.datagrams.all().remove(&address)
    }

    /// Waits until what is left is closed: the former process reads no more.
    pub(super) async fn ours(&self) {
        // The sender is right here.
        let _ = self.are_ours.subscribe().wait_for(|ours| *ours).await;
    }

    /// Closes what nobody took, and says how many they were.
    pub(crate) fn close(&self) -> usize {
        self.are_ours.send_replace(true);
        std::mem::take(&mut *self.listeners.all()).len() + std::mem::take(&mut *self.datagrams.all()).len()
    }
}

/// Sockets by the address they are bound to.
#[derive(Debug)]
struct Left<T>(Mutex<BTreeMap<SocketAddr, T>>);

impl<T> Default for Left<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Left<T> {
    fn all(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sockets that are open now. They are not kept open from here.
#[derive(Default)]
pub(crate) struct Open(Mutex<BTreeMap<Socket, Weak<dyn AsFd + Send + Sync>>>);

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.sockets().keys()).finish()
    }
}

impl Open {
    /// Takes note of one that opened.
    pub(super) fn add<T: AsFd + Send + Sync + 'static>(&self, socket: Socket, opened: &Arc<T>) {
        let opened: Weak<T> = Arc::downgrade(opened);
        let mut open = self.sockets();
        open.retain(|_, listener| listener.strong_count() > 0);
        open.insert(socket, opened);
    }

    /// A duplicate of each, in order.
    pub(crate) fn duplicates(&self) -> io::Result<Vec<OwnedFd>> {
        let open: Vec<_> = self.sockets().values().filter_map(Weak::upgrade).collect();
        open.iter().map(|listener| listener.as_fd().try_clone_to_owned()).collect()
    }

    fn sockets(&self) -> MutexGuard<'_, BTreeMap<Socket, Weak<dyn AsFd + Send + Sync>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
