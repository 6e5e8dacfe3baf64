//! Connections for requests that ask for an upgrade.
//!
//! In: an endpoint, and the handshake where it is over TLS. Out: a connection whose response cannot be read before Pingora has handed on all of the request. Pingora 0.9.1
//! takes the end of a request for the end of the tunnel when it meets the two in the wrong order, which endpoints that answer at
//! once bring about: the tunnel closes as soon as it is open.
//!
//! Such connections are made for one request and never pooled.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use pingora_core::connectors::L4Connect;
use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_core::protocols::l4::stream::Stream;
use pingora_core::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora_error::{Error, ErrorType, Result};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep_until, timeout};
use tokio_rustls::client::TlsStream;

use crate::alive;
use crate::tls::{Aim, BackendHandshake};

/// Holds a response back until the request has been handed on, and waits for its head until a moment.
#[derive(Debug)]
pub(crate) struct Gate {
    state: AtomicU8,
    is_upgraded: AtomicBool,
    until: Option<Instant>,
    has_expired: AtomicBool,
}

impl Gate {
    pub(crate) fn new(until: Option<Instant>) -> Self {
        Self { state: AtomicU8::new(CLOSED), is_upgraded: AtomicBool::new(false), until, has_expired: AtomicBool::new(false) }
    }

    /// The response's head is there: where it upgrades, what follows may take any time.
    pub(crate) fn answered(&self, is_upgrade: bool) {
        self.is_upgraded.store(is_upgrade, Ordering::Release);
    }

    /// Whether the head was waited for in vain.
    pub(crate) fn has_expired(&self) -> bool {
        self.has_expired.load(Ordering::Acquire)
    }

    /// The end of the request's body is about to be handed on, by the task that also reads the response.
    pub(crate) fn open(&self) {
        // Once open it stays so: a tunnel has a body too.
        let _ = self.state.compare_exchange(CLOSED, OPENING, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Whether to read. The first time after `open` it is not yet: whoever asks takes what was handed on first.
    fn pass(&self, cx: &Context<'_>) -> bool {
        match self.state.load(Ordering::Acquire) {
            OPEN => true,
            // The one who opens it polls the reader next: both are one task.
            CLOSED => false,
            _ => {
                self.state.store(OPEN, Ordering::Release);
                cx.waker().wake_by_ref();
                false
            }
        }
    }
}

const CLOSED: u8 = 0;
const OPENING: u8 = 1;
const OPEN: u8 = 2;

/// How to connect for one request.
#[derive(Debug)]
pub(super) struct Connect {
    pub(super) gate: Arc<Gate>,
    pub(super) handshake: Option<Arc<BackendHandshake>>,
    pub(super) time: Duration,
}

impl Connect {
    async fn reach(&self, address: std::net::SocketAddr) -> Result<Wire> {
        let stream = TcpStream::connect(address).await;
        let stream = stream.map_err(|error| Error::because(ErrorType::ConnectError, "connecting for an upgrade", error))?;
        alive::probe(&stream);
        let Some(handshake) = &self.handshake else { return Ok(Wire::Clear(stream)) };
        let stream = handshake.shake(stream, Aim::Upgrade).await;
        let stream = stream.map_err(|error| Error::because(ErrorType::TLSHandshakeFailure, "TLS for an upgrade", error))?;
        Ok(Wire::Tls(Box::new(stream)))
    }
}

#[async_trait]
impl L4Connect for Connect {
    async fn connect(&self, address: &SocketAddr) -> Result<Stream> {
        let Some(address) = address.as_inet() else {
            return Err(Error::explain(ErrorType::InternalError, "endpoints have internet addresses"));
        };
        match timeout(self.time, self.reach(*address)).await {
            Ok(Ok(wire)) => {
                let limit = self.gate.until.map(|until| Box::pin(sleep_until(until.into())));
                let gated = Gated { wire, gate: Arc::clone(&self.gate), limit };
                Ok(Stream::from(VirtualSocketStream::new(Box::new(gated))))
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(Error::explain(ErrorType::ConnectTimedout, "connecting for an upgrade")),
        }
    }
}

#[derive(Debug)]
struct Gated {
    wire: Wire,
    gate: Arc<Gate>,
    limit: Option<Pin<Box<Sleep>>>,
}

#[derive(Debug)]
enum Wire {
    Clear(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Gated {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.gate.is_upgraded.load(Ordering::Acquire) {
            this.limit = None;
        }
        if this.limit.as_mut().is_some_and(|limit| limit.as_mut().poll(cx).is_ready()) {
            this.gate.has_expired.store(true, Ordering::Release);
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if !this.gate.pass(cx) {
            return Poll::Pending;
        }
        match &mut this.wire {
            Wire::Clear(stream) => Pin::new(stream).poll_read(cx, buf),
            Wire::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Gated {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().wire {
            Wire::Clear(stream) => Pin::new(stream).poll_write(cx, data),
            Wire::Tls(stream) => Pin::new(stream).poll_write(cx, data),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().wire {
            Wire::Clear(stream) => Pin::new(stream).poll_flush(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().wire {
            Wire::Clear(stream) => Pin::new(stream).poll_shutdown(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl VirtualSocket for Gated {
    fn set_socket_option(&self, option: VirtualSockOpt) -> io::Result<()> {
        let socket = match &self.wire {
            Wire::Clear(stream) => stream,
            Wire::Tls(stream) => stream.get_ref().0,
        };
        if matches!(option, VirtualSockOpt::NoDelay) {
            socket.set_nodelay(true)?;
        }
        Ok(())
    }
}
