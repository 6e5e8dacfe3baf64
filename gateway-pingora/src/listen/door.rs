//! One socket: bound, accepting, and letting its connections go when it closes.
//!
//! In: the socket and what all doors share. Out: facts about binding, and a task per connection. Running out of file descriptors slows
//! accepting down and does not spin.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd as _, RawFd};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pingora_proxy::{HttpProxy, ProxyHttp};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use gateway_core::admit::{Arrival, Handshake};
use gateway_core::decide::{StreamArrival, StreamDecision, decide_stream};
use gateway_core::snapshot::{Listener, Protocol, Settings, Socket, Turn};

use super::conversation::converse;
use super::guests::{Guests, Ticket};
use super::{Premises, Service, binding};
use crate::connection::wire::{Layers, Tls, Wire};
use crate::connection::{Connection, preamble};
use crate::stream::{Client, Visit};
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
        let premises = &self.premises;
        let bind = || premises.ports.bind(&self.socket, &premises.inherited).map(Arc::new);
        let listener = binding::bound(&self.socket, premises, bind).await;
        tracing::info!(socket = %self.socket, bound = ?listener.local_addr().ok(), "listening");
        premises.open.add(self.socket, &listener);
        listener
    }

    fn let_in(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        let Some(ticket) = self.guests.enter(self.premises.most) else {
            self.premises.counters.connections_over_limit.add();
            let snapshot = self.premises.live.load();
            let speaks_http =
                snapshot.listeners(&self.socket).is_some_and(|all| all.iter().any(|one| one.protocol == Protocol::Http));
            return self.premises.overflow.turn_away(stream, speaks_http, self.premises.most);
        };
        let number = ticket.number;
        let this = Arc::clone(self);
        let task = tokio::spawn(async move { this.serve(stream, peer, ticket).await });
        self.guests.remember(number, task.abort_handle());
    }

    /// The task of a connection is as large as the largest that is awaited here, for as long as the connection lives: what an idle one of HTTP
    /// does not need, and is large, is boxed.
    async fn serve(&self, mut stream: TcpStream, peer: SocketAddr, ticket: Ticket) {
        let at = SystemTime::now();
        let Ok(local) = stream.local_addr() else { return };
        // Best effort: without it small responses may be delayed.
        let _ = stream.set_nodelay(true);
        let mut guest = Arrived { ticket, at, fd: stream.as_raw_fd(), peer: canonical(peer), local: canonical(local) };
        let (settings, is_tls) = {
            let snapshot = self.premises.live.load();
            // The socket may be gone from the configuration since the connection came.
            let Some(listeners) = snapshot.listeners(&self.socket) else { return };
            (Arc::clone(&listeners.settings), listeners.is_tls())
        };
        if settings.expects_proxy_header(self.socket.port, guest.peer.ip()) {
            match preamble::read(&mut stream, settings.header_timeout).await {
                Ok(told) => guest.peer = told.map_or(guest.peer, canonical),
                Err(error) => {
                    self.premises.counters.connections_refused.add();
                    return tracing::debug!(socket = %self.socket, proxy = %guest.peer, %error, "no good PROXY header");
                }
            }
        }
        match is_tls {
            true => self.serve_tls(stream, guest, &settings).await,
            false => self.serve_clear(stream, guest).await,
        }
    }

    async fn serve_clear(&self, stream: TcpStream, guest: Arrived) {
        let arrival = StreamArrival { socket: self.socket, server_name: None };
        let connection = |listener| guest.connection(self, None, listener);
        match self.decide(&arrival) {
            StreamDecision::Http(_) => {
                let Some(connection) = connection(None) else { return };
                let leaving = connection.leaving();
                let layers = Layers { fd: guest.fd, accepted: guest.at, tls: None };
                converse(&self.proxy, Box::new(Wire::new(stream, connection, layers)), &leaving).await;
            }
            StreamDecision::Forward(forward) => {
                let Some(_here) = connection(Some(&forward.listener)) else { return };
                Box::pin(self.premises.streams.forward(Client::Tcp(stream), guest.visit(None), forward, Vec::new())).await;
            }
            StreamDecision::Refuse(refusal) => self.premises.streams.refuse(&stream, guest.visit(None), refusal),
        }
    }

    async fn serve_tls(&self, stream: TcpStream, guest: Arrived, settings: &Settings) {
        let by = Instant::now() + settings.header_timeout;
        let refused = || self.premises.counters.connections_refused.add();
        let Some(hello) = Box::pin(tls::hello(stream, &self.socket, by)).await else { return refused() };
        let name = hello.server_name.clone();
        let arrival = StreamArrival { socket: self.socket, server_name: name.clone() };
        let configs = &self.premises.configs;
        match self.decide(&arrival) {
            StreamDecision::Http(Some(listener)) => {
                let Some((stream, met)) = Box::pin(tls::shake_hands(hello, &listener, configs, by)).await else {
                    return refused();
                };
                let Some(connection) = guest.connection(self, Some(met.handshake), Some(&met.listener)) else { return };
                let tls = Tls { digest: met.digest, took: met.took, is_h2: met.is_h2 };
                let leaving = connection.leaving();
                let layers = Layers { fd: guest.fd, accepted: guest.at, tls: Some(tls) };
                converse(&self.proxy, Box::new(Wire::new(stream, connection, layers)), &leaving).await;
            }
            StreamDecision::Forward(forward) => {
                let handshake = Handshake { server_name: name.clone(), validation: None };
                let Some(_here) = guest.connection(self, Some(handshake), Some(&forward.listener)) else { return };
                let (client, begun) = if forward.listener.protocol.ends_tls() {
                    let ended = Box::pin(tls::shake_hands(hello, &forward.listener, configs, by)).await;
                    let Some((stream, _)) = ended else { return refused() };
                    (Client::Tls(Box::new(stream)), Vec::new())
                } else {
                    let (stream, begun) = hello.into_parts();
                    (Client::Tcp(stream), begun)
                };
                Box::pin(self.premises.streams.forward(client, guest.visit(name), forward, begun)).await;
            }
            StreamDecision::Refuse(refusal) => {
                refused();
                tracing::debug!(socket = %self.socket, server_name = ?name, reason = %refusal.reason, "refused");
                let (stream, _) = hello.into_parts();
                self.premises.streams.turn_away(&stream, guest.visit(name), refusal);
            }
            StreamDecision::Http(None) => refused(),
        }
    }

    fn decide(&self, arrival: &StreamArrival) -> StreamDecision {
        decide_stream(&self.premises.live.load(), arrival, Turn::take)
    }
}

/// A connection that was accepted.
struct Arrived {
    ticket: Ticket,
    at: SystemTime,
    fd: RawFd,
    peer: SocketAddr,
    local: SocketAddr,
}

impl Arrived {
    /// Makes the connection known; `None` where its socket has left the configuration.
    fn connection<P>(&self, hall: &Hall<P>, tls: Option<Handshake>, listener: Option<&Arc<Listener>>) -> Option<Arc<Connection>> {
        let premises = &hall.premises;
        let settings = Arc::clone(&premises.live.load().listeners(&hall.socket)?.settings);
        let arrival = Arrival { socket: hall.socket, tls };
        let connection = Connection::new(arrival, self.peer, self.local, settings, Arc::clone(&premises.counters));
        if let Some(listener) = listener {
            connection.chosen(listener);
        }
        let connection = Arc::new(connection);
        self.ticket.introduce(&connection);
        Some(connection)
    }

    fn visit(&self, server_name: Option<Arc<str>>) -> Visit {
        Visit { at: self.at, peer: self.peer, server_name }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Proxy;

    #[test]
    fn the_task_of_a_connection_is_small() {
        fn size<A, B, C, D, F: Future>(_: impl FnOnce(A, B, C, D) -> F) -> usize {
            size_of::<F>()
        }
        assert!(size(|hall: &'static Hall<Proxy>, stream, peer, ticket| hall.serve(stream, peer, ticket)) <= 1280);
    }
}
