//! Connections for requests that ask for an upgrade.
//!
//! In: an endpoint. Out: a connection whose response cannot be read before Pingora has handed on all of the request. Pingora 0.9.1
//! takes the end of a request for the end of the tunnel when it meets the two in the wrong order, which endpoints that answer at
//! once bring about: the tunnel closes as soon as it is open.
//!
//! Such connections are made for one request and never pooled.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::connectors::L4Connect;
use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_core::protocols::l4::stream::Stream;
use pingora_core::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora_error::{Error, ErrorType, Result};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Holds a response back until the request has been handed on.
#[derive(Debug, Default)]
pub(crate) struct Gate(AtomicU8);

impl Gate {
    /// The end of the request's body is about to be handed on, by the task that also reads the response.
    pub(crate) fn open(&self) {
        // Once open it stays so: a tunnel has a body too.
        let _ = self.0.compare_exchange(CLOSED, OPENING, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Whether to read. The first time after `open` it is not yet: whoever asks takes what was handed on first.
    fn pass(&self, cx: &Context<'_>) -> bool {
        match self.0.load(Ordering::Acquire) {
            OPEN => true,
            // The one who opens it polls the reader next: both are one task.
            CLOSED => false,
            _ => {
                self.0.store(OPEN, Ordering::Release);
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
    pub(super) time: Duration,
}

#[async_trait]
impl L4Connect for Connect {
    async fn connect(&self, address: &SocketAddr) -> Result<Stream> {
        let Some(address) = address.as_inet() else {
            return Err(Error::explain(ErrorType::InternalError, "endpoints have internet addresses"));
        };
        match timeout(self.time, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                let gated = Gated { stream, gate: Arc::clone(&self.gate) };
                Ok(Stream::from(VirtualSocketStream::new(Box::new(gated))))
            }
            Ok(Err(error)) => Err(Error::because(ErrorType::ConnectError, "connecting for an upgrade", error)),
            Err(_) => Err(Error::explain(ErrorType::ConnectTimedout, "connecting for an upgrade")),
        }
    }
}

#[derive(Debug)]
struct Gated {
    stream: TcpStream,
    gate: Arc<Gate>,
}

impl AsyncRead for Gated {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.gate.pass(cx) {
            return Poll::Pending;
        }
        Pin::new(&mut this.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Gated {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, data)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

impl VirtualSocket for Gated {
    fn set_socket_option(&self, option: VirtualSockOpt) -> io::Result<()> {
        if matches!(option, VirtualSockOpt::NoDelay) {
            self.stream.set_nodelay(true)?;
        }
        Ok(())
    }
}
