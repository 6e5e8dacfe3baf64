//! One socket: bound, accepting, and letting its connections go when it closes.
//!
//! In: the socket and what all doors share. Out: facts about binding, and a task per connection. A refused port is tried again, ever
//! more slowly; running out of file descriptors slows accepting down and does not spin.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pingora_core::apps::ServerApp;
use pingora_core::protocols::Stream;
use pingora_core::server::ShutdownWatch;
use pingora_proxy::{HttpProxy, ProxyHttp};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use gateway_core::admit::Arrival;
use gateway_core::compile::{Bound, Fact};
use gateway_core::snapshot::{Settings, Socket};

use super::guests::{Guests, Ticket};
use super::{Premises, Service};
use crate::connection::Connection;
use crate::connection::wire::{Layers, Tls, Wire};
use crate::tls;

/// An open socket.
pub(super) struct Door {
    accepting: JoinHandle<()>,
    pub(super) guests: Arc<Guests>,
}

impl Door {
    pub(super) fn open<P>(socket: Socket, service: &Service<P>) -> Self
    where
        P: ProxyHttp + Send + Sync + 'static,
        P::CTX: Send + Sync,
    {
        let guests = Guests::new(Arc::clone(&service.premises.crowd), Arc::clone(&service.premises.counters));
        let hall = Hall {
            socket,
            premises: Arc::clone(&service.premises),
            proxy: Arc::clone(&service.proxy),
            guests: Arc::clone(&guests),
        };
        Self { accepting: tokio::spawn(hall.run()), guests }
    }

    /// Frees the port and gives back the connections that are still there.
    pub(super) async fn close(self) -> Arc<Guests> {
        self.accepting.abort();
        // The port is free once the task is gone.
        let _ = self.accepting.await;
        self.guests
    }
}

/// What accepting needs.
struct Hall<P> {
    socket: Socket,
    premises: Arc<Premises>,
    proxy: Arc<HttpProxy<P>>,
    guests: Arc<Guests>,
}

impl<P> Hall<P>
where
    P: ProxyHttp + Send + Sync + 'static,
    P::CTX: Send + Sync,
{
    async fn run(self) {
        let listener = self.bind().await;
        let this = Arc::new(self);
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => this.let_in(stream, peer),
                Err(error) if is_the_peers(&error) => {}
                Err(error) => {
                    tracing::warn!(socket = %this.socket, %error, "cannot accept connections");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn bind(&self) -> Arc<TcpListener> {
        let mut pause = FIRST_RETRY;
        loop {
            match self.premises.ports.bind(&self.socket, &self.premises.inherited) {
                Ok(listener) => {
                    let listener = Arc::new(listener);
                    self.premises.open.add(self.socket, &listener);
                    tracing::info!(socket = %self.socket, bound = ?listener.local_addr().ok(), "listening");
                    self.premises.facts.tell(Fact::Socket(self.socket, Some(Bound::Yes)));
                    return listener;
                }
                Err(error) => {
                    tracing::warn!(socket = %self.socket, %error, "cannot listen");
                    let reason = format!("{error}{}", self.premises.ports.instead(self.socket.port));
                    self.premises.facts.tell(Fact::Socket(self.socket, Some(Bound::Refused(reason.into()))));
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_RETRY);
        }
    }

    fn let_in(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        let ticket = self.guests.enter();
        let number = ticket.number;
        let this = Arc::clone(self);
        let task = tokio::spawn(async move { this.serve(stream, peer, ticket).await });
        self.guests.remember(number, task.abort_handle());
    }

    async fn serve(&self, stream: TcpStream, peer: SocketAddr, ticket: Ticket) {
        let accepted = SystemTime::now();
        let (is_tls, settings) = {
            let snapshot = self.premises.live.load();
            // The socket may be gone from the configuration since the connection came.
            let Some(listeners) = snapshot.listeners(&self.socket) else { return };
            (listeners.is_tls(), Arc::clone(&listeners.settings))
        };
        let Ok(local) = stream.local_addr() else { return };
        // Best effort: without it small responses may be delayed.
        let _ = stream.set_nodelay(true);
        let fd = stream.as_raw_fd();
        let meet = |met: Option<tls::Met>, settings: Arc<Settings>| {
            let (handshake, listener) = met.map(|met| (met.handshake, met.listener)).unzip();
            let arrival = Arrival { socket: self.socket, tls: handshake };
            let connection =
                Connection::new(arrival, canonical(peer), canonical(local), settings, Arc::clone(&self.premises.counters));
            if let Some(listener) = listener {
                connection.chosen(&listener);
            }
            let connection = Arc::new(connection);
            ticket.introduce(&connection);
            connection
        };
        if is_tls {
            let Some((stream, met)) =
                tls::meet(stream, &self.socket, &settings, &self.premises.live, &self.premises.certificates).await
            else {
                self.premises.counters.connections_refused.add();
                return;
            };
            let layers =
                Layers { fd, accepted, tls: Some(Tls { digest: Arc::clone(&met.digest), took: met.took, is_h2: met.is_h2 }) };
            let connection = meet(Some(met), settings);
            let leaving = connection.leaving();
            self.speak(Box::new(Wire::new(stream, connection, layers)), &leaving).await;
        } else {
            let connection = meet(None, settings);
            let leaving = connection.leaving();
            self.speak(Box::new(Wire::new(stream, connection, Layers { fd, accepted, tls: None })), &leaving).await;
        }
    }

    async fn speak(&self, stream: Stream, leaving: &ShutdownWatch) {
        // Nothing comes back: HTTP keeps its streams to the end.
        let _ = self.proxy.process_new(stream, leaving).await;
    }
}

/// IPv4 as IPv4, also where it came by a socket of both families.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Whether an accept failed because the peer was gone already.
fn is_the_peers(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted)
}

/// Pause after an accept failed for lack of resources.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Pauses before a refused port is tried again.
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LAST_RETRY: Duration = Duration::from_secs(5);
