//! The byte stream under every HTTP connection: what Pingora reads requests from and writes responses to.
//!
//! In: an accepted stream, in clear or after its TLS handshake. Out: the same bytes, with small writes gathered until they are
//! flushed, and with the limits that Pingora leaves to its streams: the time a request head may take in all, its size, the time
//! between requests, and the end of idle connections when their listener goes.
//!
//! Invariants: **limits concern what comes before a request**; while one is in progress, bytes pass untouched. A head that is too
//! large or too slow is answered before the connection ends.

use std::fmt;
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
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, Sleep, timeout};

use super::Connection;

/// The byte stream of one HTTP connection.
pub(crate) struct Wire<S> {
    inner: S,
    connection: Arc<Connection>,
    layers: Layers,
    out: Gathered,
    peeked: Peeked,
    head: Head,
    timer: Option<Pin<Box<Sleep>>>,
    /// Our side is closed; until then the client may still be reading, and what it still sends must not reset the connection.
    lingering: Option<Pin<Box<Sleep>>>,
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
}

/// Bytes read to recognise HTTP/2, waiting to be read again.
#[derive(Default)]
struct Peeked {
    bytes: [u8; PREFACE.len()],
    start: usize,
    end: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(crate) fn new(inner: S, connection: Arc<Connection>, layers: Layers) -> Self {
        if layers.tls.as_ref().is_some_and(|tls| tls.is_h2) {
            connection.set_h2();
        }
        Self {
            inner,
            connection,
            layers,
            out: Gathered::default(),
            peeked: Peeked::default(),
            head: Head::default(),
            timer: None,
            lingering: None,
        }
    }

    /// Reads while no request is in progress.
    fn poll_read_head(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let h2 = self.connection.speaks_h2();
        if !h2 {
            let begun = self.connection.begun();
            if self.head.after != begun {
                self.head = Head { after: begun, ..Head::default() };
            }
            if self.head.bytes == 0 && self.connection.is_closing() {
                return Poll::Ready(Ok(()));
            }
            if self.head.bytes > self.connection.settings.max_header_bytes {
                self.connection.counters.heads_too_large.add();
                return Poll::Ready(Err(self.refuse(TOO_LARGE)));
            }
        }
        let before = buf.filled().len();
        match Pin::new(&mut self.inner).poll_read(cx, buf) {
            Poll::Ready(read) => {
                read?;
                if !h2 {
                    self.head.bytes += buf.filled().len() - before;
                    if self.head.since.is_none() {
                        self.head.since = Some(Instant::now());
                    }
                }
                Poll::Ready(Ok(()))
            }
            Poll::Pending => {
                self.connection.watch(cx.waker());
                if self.connection.is_closing() && !h2 && self.head.bytes == 0 {
                    return Poll::Ready(Ok(()));
                }
                self.poll_deadline(cx, h2)
            }
        }
    }

    /// Pending until the time for what is awaited is over.
    fn poll_deadline(&mut self, cx: &mut Context<'_>, h2: bool) -> Poll<io::Result<()>> {
        let settings = &self.connection.settings;
        let deadline = if h2 {
            self.connection.idle_since() + settings.idle_timeout
        } else if let Some(since) = self.head.since {
            since + settings.header_timeout
        } else if self.head.after == 0 {
            self.connection.opened + settings.header_timeout
        } else {
            self.connection.idle_since() + settings.idle_timeout
        };
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
                if h2 || self.head.bytes == 0 {
                    return Poll::Ready(Ok(()));
                }
                self.connection.counters.heads_too_slow.add();
                return Poll::Ready(Err(self.refuse(TOO_SLOW)));
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
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

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.out.bytes.get(self.out.sent..).filter(|rest| !rest.is_empty()) {
            let sent = ready!(Pin::new(&mut self.inner).poll_write(cx, rest))?;
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

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.peeked.start < this.peeked.end {
            let rest = &this.peeked.bytes[this.peeked.start..this.peeked.end];
            let n = rest.len().min(buf.remaining());
            buf.put_slice(&rest[..n]);
            this.peeked.start += n;
            return Poll::Ready(Ok(()));
        }
        if !this.connection.is_busy() {
            return this.poll_read_head(cx, buf);
        }
        let read = Pin::new(&mut this.inner).poll_read(cx, buf);
        if read.is_pending() && this.connection.speaks_h2() {
            this.connection.watch(cx.waker());
        }
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.out.bytes.len() + data.len() > GATHERED {
            ready!(this.poll_send(cx))?;
        }
        if this.out.bytes.is_empty() && data.len() >= LARGE {
            return Pin::new(&mut this.inner).poll_write(cx, data);
        }
        this.out.bytes.extend_from_slice(data);
        Poll::Ready(Ok(data.len()))
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        if this.out.bytes.len() + total > GATHERED {
            ready!(this.poll_send(cx))?;
        }
        if this.out.bytes.is_empty() && total >= LARGE {
            return Pin::new(&mut this.inner).poll_write_vectored(cx, slices);
        }
        for slice in slices {
            this.out.bytes.extend_from_slice(slice);
        }
        Poll::Ready(Ok(total))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.inner).poll_flush(cx)
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
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Peek for Wire<S> {
    /// Reads until the bytes are those of `buf.len()`, or are certainly not the preface of HTTP/2; the rest of `buf` stays zero.
    async fn try_peek(&mut self, buf: &mut [u8]) -> io::Result<bool> {
        let mut seen = Peeked::default();
        let wanted = buf.len().min(PREFACE.len());
        while seen.end < wanted && PREFACE.starts_with(&seen.bytes[..seen.end]) {
            match self.read(&mut seen.bytes[seen.end..wanted]).await? {
                0 => break,
                n => seen.end += n,
            }
        }
        buf.fill(0);
        buf[..seen.end].copy_from_slice(&seen.bytes[..seen.end]);
        if seen.bytes == *PREFACE {
            self.connection.set_h2();
        }
        self.peeked = seen;
        Ok(true)
    }
}

#[async_trait]
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Shutdown for Wire<S> {
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
