//! The byte stream under every HTTP connection: what Pingora reads requests from and writes responses to.
//!
//! In: an accepted stream, in clear or after its TLS handshake. Out: the same bytes, with small writes gathered until they are
//! flushed or nothing follows at once, and with the limits that Pingora leaves to its streams: the time a request head may take in all, its size, the time
//! between requests, frames of HTTP/2 that carry nothing, clients that do not read, and the end of idle connections when their
//! listener goes.
//!
//! Invariants: **bytes pass untouched**, or the connection ends. Whatever is too large, too slow or too much is answered before that,
//! but for clients that do not read.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::tls::SslDigest;
use pingora_core::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
    UniqueIDType,
};
use pingora_http::ResponseHeader;
use socket2::SockRef;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, timeout};
use tokio_rustls::server::TlsStream;

use super::Connection;
use super::frames::Watcher;

/// The byte stream of one HTTP connection.
pub(crate) struct Wire<S> {
    inner: S,
    connection: Arc<Connection>,
    layers: Layers,
    out: Gathered,
    peeked: Peeked,
    head: Head,
    timer: Option<Pin<Box<Sleep>>>,
    /// Once the connection speaks HTTP/2.
    frames: Option<Box<Watcher>>,
    /// Since when a piece of a body is awaited, and of which request.
    awaited: Option<(u32, Instant)>,
    patience: Patience,
    /// Our last word was said for good; until then it is being sent.
    dismissed: Option<Pin<Box<Sleep>>>,
    /// Our side is closed; until then the client may still be reading, and what it still sends must not reset the connection.
    lingering: Option<Pin<Box<Sleep>>>,
}

/// A stream below HTTP.
pub(crate) trait Carrier: AsyncRead + AsyncWrite + Unpin + Send + Sync + 'static {
    /// Drops what is not sent yet, and lets the next drop tell the peer at once, without waiting for it.
    fn cut(&self);

    /// Pending while a read would be; nothing is taken.
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

impl Carrier for TcpStream {
    fn cut(&self) {
        // Best effort: without it the system goes on trying for a while.
        let _ = SockRef::from(self).set_linger(Some(Duration::ZERO));
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_read_ready(cx).map(drop)
    }
}

impl Carrier for TlsStream<TcpStream> {
    fn cut(&self) {
        self.get_ref().0.cut();
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // What goes wrong is told to the next read.
        Pin::new(self).poll_fill_buf(cx).map(drop)
    }
}

/// How long a client that does not read is waited for.
#[derive(Default)]
struct Patience {
    timer: Option<Pin<Box<Sleep>>>,
    /// Nothing was taken since the timer was set.
    is_tried: bool,
    is_over: bool,
}

/// What Pingora is told about the layers below HTTP.
pub(crate) struct Layers {
    pub(crate) fd: i32,
    pub(crate) accepted: SystemTime,
    pub(crate) tls: Option<Tls>,
}

/// What Pingora is told about a TLS handshake.
pub(crate) struct Tls {
    pub(crate) digest: Arc<SslDigest>,
    pub(crate) took: Duration,
    pub(crate) is_h2: bool,
}

/// The request head that is being read, as far as the stream can see one.
#[derive(Default)]
struct Head {
    /// Which request it will be, counting from 1; `Connection::begun` when it was begun.
    after: u32,
    bytes: usize,
    since: Option<Instant>,
}

/// Writes waiting for a flush.
#[derive(Default)]
struct Gathered {
    bytes: Vec<u8>,
    sent: usize,
    /// Something was written since the last flush.
    is_due: bool,
    /// How much waited when this was last looked at.
    seen: usize,
}

/// Bytes read to recognise HTTP/2, waiting to be read again.
#[derive(Default)]
struct Peeked {
    bytes: [u8; PREFACE.len()],
    start: usize,
    end: usize,
}

impl<S: Carrier> Wire<S> {
    pub(crate) fn new(inner: S, connection: Arc<Connection>, layers: Layers) -> Self {
        let is_h2 = layers.tls.as_ref().is_some_and(|tls| tls.is_h2);
        if is_h2 {
            connection.set_h2();
        }
        let frames = is_h2.then(|| Box::new(Watcher::new(PREFACE.len(), connection.settings.max_control_frames)));
        Self {
            inner,
            connection,
            layers,
            out: Gathered::default(),
            peeked: Peeked::default(),
            head: Head::default(),
            timer: None,
            frames,
            awaited: None,
            patience: Patience::default(),
            dismissed: None,
            lingering: None,
        }
    }

    /// Whether HTTP/2 is spoken, which over TLS the handshake settled; in clear the first bytes tell, and are waited for.
    pub(crate) async fn speaks_h2(&mut self) -> io::Result<bool> {
        if self.layers.tls.is_none() {
            self.recognise(PREFACE.len()).await?;
        }
        Ok(self.frames.is_some())
    }

    /// Reads so many bytes, or those after which they are certainly not the preface of HTTP/2; they will be read again.
    async fn recognise(&mut self, wanted: usize) -> io::Result<()> {
        let mut seen = Peeked::default();
        while seen.end < wanted && PREFACE.starts_with(&seen.bytes[..seen.end]) {
            match self.read(&mut seen.bytes[seen.end..wanted]).await? {
                0 => break,
                n => seen.end += n,
            }
        }
        if seen.bytes == *PREFACE {
            self.connection.set_h2();
            self.frames = Some(Box::new(Watcher::new(0, self.connection.settings.max_control_frames)));
        }
        self.peeked = seen;
        Ok(())
    }

    /// Waits, between requests of HTTP/1, until there is something to read, or no reason left to wait for it, which reading tells.
    /// Nothing is waited for where something of the next request was read already.
    pub(crate) async fn rest(&mut self) {
        poll_fn(|cx| self.poll_rest(cx)).await;
    }

    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.next_head();
        if !self.connection.is_even() || self.connection.is_closing() || self.inner.poll_readable(cx).is_ready() {
            return Poll::Ready(());
        }
        self.connection.watch(cx.waker());
        if self.connection.is_closing() {
            return Poll::Ready(());
        }
        self.poll_deadline(cx, self.head_deadline())
    }

    /// Begins a new head where a request was begun since.
    fn next_head(&mut self) {
        let begun = self.connection.begun();
        if self.head.after != begun {
            self.head = Head { after: begun, ..Head::default() };
        }
    }

    /// Until when the next bytes of a head must come.
    fn head_deadline(&self) -> Instant {
        let settings = &self.connection.settings;
        if let Some(since) = self.head.since {
            since + settings.header_timeout
        } else if self.head.after == 0 {
            self.connection.opened + settings.header_timeout
        } else {
            self.connection.idle_since() + settings.idle_timeout
        }
    }

    /// Reads while no request of HTTP/1 is in progress.
    fn poll_read_head(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.next_head();
        if self.head.bytes == 0 && self.connection.is_closing() {
            return Poll::Ready(Ok(()));
        }
        if self.head.bytes > self.connection.settings.max_header_bytes {
            self.connection.counters.heads_too_large.add();
            return Poll::Ready(Err(self.refuse(TOO_LARGE)));
        }
        let before = buf.filled().len();
        match Pin::new(&mut self.inner).poll_read(cx, buf) {
            Poll::Ready(read) => {
                read?;
                let bytes = buf.filled().len() - before;
                self.connection.gave(bytes);
                self.head.bytes += bytes;
                if self.head.since.is_none() {
                    self.head.since = Some(Instant::now());
                }
                Poll::Ready(Ok(()))
            }
            Poll::Pending => {
                self.connection.watch(cx.waker());
                if self.connection.is_closing() && self.head.bytes == 0 {
                    return Poll::Ready(Ok(()));
                }
                ready!(self.poll_deadline(cx, self.head_deadline()));
                if self.head.bytes == 0 {
                    return Poll::Ready(Ok(()));
                }
                self.connection.counters.heads_too_slow.add();
                Poll::Ready(Err(self.refuse(TOO_SLOW)))
            }
        }
    }

    /// Reads while a request of HTTP/1 is in progress.
    fn poll_read_body(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.connection.gave(buf.filled().len() - before);
        if read.is_pending() {
            self.send_rest(cx);
        }
        if self.connection.awaits_body() {
            let this = self.connection.begun();
            let since = self.awaited.filter(|(request, _)| *request == this);
            if read.is_pending() {
                self.awaited = since.or_else(|| Some((this, Instant::now())));
            } else if let Some((_, since)) = since {
                self.connection.has_waited(since.elapsed());
                self.awaited = None;
            }
        }
        read
    }

    /// Reads HTTP/2.
    fn poll_read_frames(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.dismissed.is_some() {
            return self.poll_dismissal(cx);
        }
        let before = buf.filled().len();
        match Pin::new(&mut self.inner).poll_read(cx, buf) {
            Poll::Ready(read) => {
                read?;
                let bytes = buf.filled().get(before..).unwrap_or(&[]);
                if self.frames.as_mut().is_none_or(|frames| frames.received(bytes, Instant::now())) {
                    return Poll::Ready(Ok(()));
                }
                buf.set_filled(before);
                self.connection.counters.floods.add();
                tracing::info!(peer = %self.connection.peer, "a flood of HTTP/2 frames");
                self.dismiss(cx)
            }
            Poll::Pending => {
                self.connection.watch(cx.waker());
                let settings = &self.connection.settings;
                if let Some(since) = self.frames.as_ref().and_then(|frames| frames.unfinished()) {
                    ready!(self.poll_deadline(cx, since + settings.header_timeout));
                    self.connection.counters.heads_too_slow.add();
                    return self.dismiss(cx);
                }
                if self.connection.is_busy() {
                    return Poll::Pending;
                }
                self.poll_deadline(cx, self.connection.idle_since() + settings.idle_timeout).map(Ok)
            }
        }
    }

    /// Pending until the time for what is awaited is over.
    fn poll_deadline(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        // The timer may be set too early, never too late: between requests the deadline mostly moves on, and setting it costs.
        let timer = match &mut self.timer {
            Some(timer) => {
                if timer.deadline() > deadline {
                    timer.as_mut().reset(deadline);
                }
                timer
            }
            slot @ None => slot.insert(Box::pin(tokio::time::sleep_until(deadline))),
        };
        while timer.as_mut().poll(cx).is_ready() {
            if timer.deadline() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }

    /// Tells a client of HTTP/2 to go, and reads no more of what it says.
    fn dismiss(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(goaway) = self.frames.as_ref().and_then(|frames| frames.goaway()) {
            self.out.bytes.extend_from_slice(&goaway);
        }
        self.dismissed = Some(Box::pin(tokio::time::sleep(2 * LINGER)));
        self.poll_dismissal(cx)
    }

    fn poll_dismissal(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let is_late = self.dismissed.as_mut().is_none_or(|limit| limit.as_mut().poll(cx).is_ready());
        if !is_late && Pin::new(&mut *self).poll_shutdown(cx).is_pending() {
            return Poll::Pending;
        }
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the client sent too much that carries nothing, or too slowly",
        )))
    }

    /// Passes on what became of a write; one that waits for too long ends the connection.
    fn poll_patience<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.patience.is_tried = false;
            return written;
        }
        if !std::mem::replace(&mut self.patience.is_tried, true) {
            let deadline = Instant::now() + self.connection.settings.write_timeout;
            match &mut self.patience.timer {
                Some(timer) => timer.as_mut().reset(deadline),
                slot @ None => *slot = Some(Box::pin(tokio::time::sleep_until(deadline))),
            }
        }
        if self.patience.timer.as_mut().is_some_and(|timer| timer.as_mut().poll(cx).is_ready()) {
            self.patience.is_over = true;
            self.connection.counters.writes_too_slow.add();
            self.inner.cut();
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")));
        }
        Poll::Pending
    }

    /// Writes what comes whole, or as much of it as is taken.
    fn poll_pass(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.out.is_due = true;
        let written = Pin::new(&mut self.inner).poll_write(cx, data);
        let written = ready!(self.poll_patience(cx, written))?;
        self.saw(data.get(..written).unwrap_or(data));
        Poll::Ready(Ok(written))
    }

    /// Keeps small writes for later.
    fn gather(&mut self, data: &[u8]) {
        self.saw(data);
        self.out.is_due = true;
        self.out.bytes.extend_from_slice(data);
    }

    fn saw(&mut self, data: &[u8]) {
        if let Some(frames) = &mut self.frames {
            frames.sent(data);
        }
    }

    /// Puts an answer in place of a request; it is sent when the connection is shut down.
    fn refuse(&mut self, answer: &'static [u8]) -> io::Error {
        self.out.bytes.extend_from_slice(answer);
        io::Error::new(io::ErrorKind::InvalidData, "the request head was too large or too slow")
    }

    /// Reads and forgets until the client has closed its side too, or has had time enough.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(limit) = &mut self.lingering else { return Poll::Ready(()) };
        if limit.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let mut rest = [0; 1024];
        loop {
            let mut rest = ReadBuf::new(&mut rest);
            match ready!(Pin::new(&mut self.inner).poll_read(cx, &mut rest)) {
                Ok(()) if !rest.filled().is_empty() => {}
                _ => return Poll::Ready(()),
            }
        }
    }

    /// Sends what waits once nothing follows at once. Pingora does not flush a response of stated length before its end, however
    /// long that takes; it reads from here whenever it waits, to learn whether the client is still there.
    fn send_rest(&mut self, cx: &mut Context<'_>) {
        if !self.out.is_due {
            return;
        }
        let waits = self.out.bytes.len();
        if std::mem::replace(&mut self.out.seen, waits) != waits {
            // What follows may be ready already, in the other half of this task.
            return cx.waker().wake_by_ref();
        }
        // What goes wrong is told to the next write.
        let _ = self.poll_flushed(cx);
    }

    fn poll_flushed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        ready!(self.poll_patience(cx, flushed))?;
        self.out.is_due = false;
        self.out.seen = 0;
        Poll::Ready(Ok(()))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.patience.is_over {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        while let Some(rest) = self.out.bytes.get(self.out.sent..).filter(|rest| !rest.is_empty()) {
            let written = Pin::new(&mut self.inner).poll_write(cx, rest);
            let sent = ready!(self.poll_patience(cx, written))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.out.sent += sent;
        }
        self.out.sent = 0;
        if self.out.bytes.capacity() > KEPT {
            self.out.bytes = Vec::new();
        } else {
            self.out.bytes.clear();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Carrier> AsyncRead for Wire<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.peeked.start < this.peeked.end {
            let rest = &this.peeked.bytes[this.peeked.start..this.peeked.end];
            let n = rest.len().min(buf.remaining());
            buf.put_slice(&rest[..n]);
            this.peeked.start += n;
            return Poll::Ready(Ok(()));
        }
        if this.frames.is_some() {
            this.poll_read_frames(cx, buf)
        } else if this.connection.is_busy() {
            this.poll_read_body(cx, buf)
        } else {
            this.poll_read_head(cx, buf)
        }
    }
}

impl<S: Carrier> AsyncWrite for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.dismissed.is_some() {
            // The last word was said.
            return Poll::Ready(Ok(data.len()));
        }
        if this.out.bytes.len() + data.len() > GATHERED {
            ready!(this.poll_send(cx))?;
        }
        if this.out.bytes.is_empty() && data.len() >= LARGE {
            return this.poll_pass(cx, data);
        }
        this.gather(data);
        Poll::Ready(Ok(data.len()))
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        if this.dismissed.is_some() {
            return Poll::Ready(Ok(total));
        }
        if this.out.bytes.len() + total > GATHERED {
            ready!(this.poll_send(cx))?;
        }
        if this.out.bytes.is_empty() && total >= LARGE {
            let written = Pin::new(&mut this.inner).poll_write_vectored(cx, slices);
            let written = ready!(this.poll_patience(cx, written))?;
            let mut left = written;
            for slice in slices {
                let part = slice.get(..left.min(slice.len())).unwrap_or(slice);
                this.saw(part);
                left -= part.len();
            }
            return Poll::Ready(Ok(written));
        }
        for slice in slices {
            this.gather(slice);
        }
        Poll::Ready(Ok(total))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.dismissed.is_some() {
            return Poll::Ready(Ok(()));
        }
        this.poll_flushed(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.lingering.is_none() {
            ready!(this.poll_send(cx))?;
            ready!(Pin::new(&mut this.inner).poll_shutdown(cx))?;
            this.lingering = Some(Box::pin(tokio::time::sleep(LINGER)));
        }
        this.poll_linger(cx).map(Ok)
    }
}

#[async_trait]
impl<S: Carrier> Peek for Wire<S> {
    /// Reads until the bytes are those of `buf.len()`, or are certainly not the preface of HTTP/2; the rest of `buf` stays zero.
    async fn try_peek(&mut self, buf: &mut [u8]) -> io::Result<bool> {
        self.recognise(buf.len().min(PREFACE.len())).await?;
        let seen = &self.peeked.bytes[..self.peeked.end];
        buf.fill(0);
        buf[..seen.len()].copy_from_slice(seen);
        Ok(true)
    }
}

#[async_trait]
impl<S: Carrier> Shutdown for Wire<S> {
    async fn shutdown(&mut self) {
        // A peer that does not take the end is not waited for.
        let _ = timeout(2 * LINGER, AsyncWriteExt::shutdown(self)).await;
    }
}

impl<S> UniqueID for Wire<S> {
    fn id(&self) -> UniqueIDType {
        self.layers.fd
    }
}

impl<S> Ssl for Wire<S> {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.layers.tls.as_ref().map(|tls| Arc::clone(&tls.digest))
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.layers.tls.as_ref().map(|tls| if tls.is_h2 { ALPN::H2 } else { ALPN::H1 })
    }
}

impl<S> GetTimingDigest for Wire<S> {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        let mut layers = vec![Some(TimingDigest { established_ts: self.layers.accepted, ..TimingDigest::default() })];
        if let Some(tls) = &self.layers.tls {
            layers.push(Some(TimingDigest {
                established_ts: self.layers.accepted + tls.took,
                establishment_duration: Some(tls.took),
                ..TimingDigest::default()
            }));
        }
        layers
    }
}

impl<S> GetProxyDigest for Wire<S> {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        let nothing = ResponseHeader::build_no_case(200, Some(0)).ok()?;
        Some(Arc::new(ProxyDigest::new(Box::new(nothing), Some(Box::new(Arc::clone(&self.connection))))))
    }
}

impl<S> GetSocketDigest for Wire<S> {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        let digest = SocketDigest::from_raw_fd(self.layers.fd);
        // Fresh cells: setting them cannot fail.
        let _ = digest.peer_addr.set(Some(SocketAddr::Inet(self.connection.peer)));
        let _ = digest.local_addr.set(Some(SocketAddr::Inet(self.connection.local)));
        Some(Arc::new(digest))
    }
}

impl<S> fmt::Debug for Wire<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("peer", &self.connection.peer).field("local", &self.connection.local).finish_non_exhaustive()
    }
}

/// How HTTP/2 without TLS begins (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes of small writes to gather.
const GATHERED: usize = 16 * 1024;
/// Bytes of a write that is not worth copying.
const LARGE: usize = 8 * 1024;
/// Bytes of an empty buffer worth keeping for the next response.
const KEPT: usize = 2 * 1024;
/// How long a client may take to read the last answer.
const LINGER: Duration = Duration::from_millis(500);

const TOO_LARGE: &[u8] = b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const TOO_SLOW: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

#[cfg(test)]
mod tests;
