//! Listening sockets that pass from one process to the next: those that were handed to this one, and those it can hand on.
//!
//! In: sockets that another process listened on, and our own as they open. Out: a socket for whoever would bind its address, and
//! duplicates of all that are open. A connection that waits in a socket's queue stays there: whichever process accepts next has it.
//!
//! Invariants: a socket is taken once; what nobody took is closed when it is told to be, and its port is free then.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use gateway_core::snapshot::Socket;
use tokio::net::TcpListener;

/// Sockets of a former process, by the address they are bound to.
#[derive(Debug, Default)]
pub(crate) struct Inherited(Mutex<BTreeMap<SocketAddr, StdListener>>);

impl Inherited {
    /// Keeps those that listen for connections. One without an address of its own is none, and is closed.
    pub(crate) fn new(sockets: impl IntoIterator<Item = StdListener>) -> Self {
        let by_address = sockets.into_iter().filter_map(|socket| Some((socket.local_addr().ok()?, socket)));
        Self(Mutex::new(by_address.collect()))
    }

    /// The socket that is bound to an address, if there was one and nobody took it.
    pub(super) fn take(&self, address: SocketAddr) -> Option<StdListener> {
        self.sockets().remove(&address)
    }

    /// Closes what nobody took, and says how many they were.
    pub(crate) fn close(&self) -> usize {
        std::mem::take(&mut *self.sockets()).len()
    }

    fn sockets(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, StdListener>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sockets that are open now. They are not kept open from here.
#[derive(Debug, Default)]
pub(crate) struct Open(Mutex<BTreeMap<Socket, Weak<TcpListener>>>);

impl Open {
    /// Takes note of one that opened.
    pub(super) fn add(&self, socket: Socket, listener: &Arc<TcpListener>) {
        let mut open = self.sockets();
        open.retain(|_, listener| listener.strong_count() > 0);
        open.insert(socket, Arc::downgrade(listener));
    }

    /// A duplicate of each, in order.
    pub(crate) fn duplicates(&self) -> io::Result<Vec<OwnedFd>> {
        let open: Vec<_> = self.sockets().values().filter_map(Weak::upgrade).collect();
        open.iter().map(|listener| listener.as_fd().try_clone_to_owned()).collect()
    }

    fn sockets(&self) -> MutexGuard<'_, BTreeMap<Socket, Weak<TcpListener>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
