//! The load: connections that ask for one thing after another, each by its protocol, and judge every answer.
//!
//! A connection is reopened now and then, as clients do; for TLS this is where certificates are judged. A request that was begun is
//! never sent again: when its connection fails, it is lost, and counts.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use conformance::http::{Request, Response};
use h2::client::SendRequest;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use crate::Sockets;
use crate::world::{Seen, Thing, World, complaint};

/// Between two requests of one connection.
const PAUSE: Duration = Duration::from_millis(15);

/// An answer that takes longer is lost.
const PATIENCE: Duration = Duration::from_secs(5);

/// How a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
    /// HTTP/1.1 over TLS.
    Tls1,
    /// HTTP/2 over TLS.
    Tls2,
}

impl Protocol {
    /// Requests before the connection is reopened.
    fn lifetime(self) -> usize {
        match self {
            Self::Http1 | Self::Http2 => 200,
            Self::Tls1 | Self::Tls2 => 25,
        }
    }
}

/// What came of the requests.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) asked: usize,
    by_protocol: BTreeMap<Protocol, usize>,
    absent: usize,
    pub(crate) handshakes: usize,
    /// Every wrong or missing answer, in words.
    pub(crate) wrong: Vec<String>,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.asked += other.asked;
        for (protocol, asked) in other.by_protocol {
            *self.by_protocol.entry(protocol).or_default() += asked;
        }
        self.absent += other.absent;
        self.handshakes += other.handshakes;
        self.wrong.extend(other.wrong);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { asked, by_protocol, absent, handshakes, wrong } = self;
        write!(f, "{asked} requests {by_protocol:?}, {absent} met nothing, {handshakes} TLS handshakes, {} wrong", wrong.len())
    }
}

/// One of the connections, with what it has seen.
pub(crate) struct Connection {
    at: usize,
    protocol: Protocol,
    sockets: Sockets,
    world: Arc<World>,
    tally: Tally,
}

/// A connection as far as a protocol has one.
enum Open {
    One(BufReader<Box<dyn Duplex>>),
    Two(SendRequest<Bytes>),
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

impl Connection {
    pub(crate) fn new(at: usize, protocol: Protocol, sockets: Sockets, world: Arc<World>) -> Self {
        Self { at, protocol, sockets, world, tally: Tally::default() }
    }

    /// Asks until then. Gives up early when everything fails: nothing more is to be learnt.
    pub(crate) async fn load_until(mut self, ends: Instant) -> Tally {
        let mut open = None;
        let mut turn = self.at;
        let mut left = 0;
        while Instant::now() < ends && self.tally.wrong.len() < 20 {
            turn += 1;
            let thing = Thing::ASKED[turn % Thing::ASKED.len()];
            let request = thing.request((turn / Thing::ASKED.len()) as u64);
            if left == 0 {
                open = None;
            }
            let reused = if thing == Thing::Coming { None } else { open.take() };
            let fresh = reused.is_none();
            self.tally.asked += 1;
            *self.tally.by_protocol.entry(self.protocol).or_default() += 1;

            let since = self.world.subject(thing).since();
            match timeout(PATIENCE, self.ask(thing, reused, &request)).await {
                Ok(Ok((seen, kept))) => {
                    self.tally.absent += usize::from(seen == Seen::Absent);
                    if let Err(wrong) = self.world.subject(thing).judge(since, seen) {
                        self.complain(thing, wrong);
                    }
                    if thing != Thing::Coming {
                        open = kept;
                        left = if fresh { self.protocol.lifetime() } else { left - 1 };
                    }
                }
                Ok(Err(wrong)) => self.complain(thing, wrong),
                Err(_) => self.complain(thing, format!("no answer within {PATIENCE:?}")),
            }
            sleep(PAUSE).await;
        }
        self.tally
    }

    fn complain(&mut self, thing: Thing, wrong: impl fmt::Display) {
        self.tally.wrong.push(complaint(thing, format!("over {:?}: {wrong}", self.protocol)));
    }

    /// Sends a request over the connection given, or else a new one; what it met, and the connection if it lives on.
    async fn ask(&mut self, thing: Thing, open: Option<Open>, request: &Request) -> Result<(Seen, Option<Open>), String> {
        if thing == Thing::Coming {
            // Its listener has a port of its own, and while that is closed any failure means just this.
            let answer = async {
                let stream = TcpStream::connect(self.sockets.coming).await?;
                exchange1(&mut BufReader::new(Box::new(stream)), request).await
            };
            return Ok((answer.await.map_or(Ok(Seen::Absent), |(response, _)| thing.read(&response))?, None));
        }
        let open = match open {
            Some(open) => open,
            None => self.connect().await.map_err(|err| format!("cannot connect: {err}"))?,
        };
        let (response, kept) = match open {
            Open::One(mut stream) => {
                let (response, lives) = exchange1(&mut stream, request).await.map_err(|err| format!("lost: {err}"))?;
                (response, lives.then_some(Open::One(stream)))
            }
            Open::Two(mut sender) => {
                let response = exchange2(&mut sender, request, self.scheme()).await.map_err(|err| format!("lost: {err}"))?;
                (response, Some(Open::Two(sender)))
            }
        };
        Ok((thing.read(&response)?, kept))
    }

    fn scheme(&self) -> &'static str {
        match self.protocol {
            Protocol::Http1 | Protocol::Http2 => "http",
            Protocol::Tls1 | Protocol::Tls2 => "https",
        }
    }

    async fn connect(&mut self) -> Result<Open, Box<dyn std::error::Error + Send + Sync>> {
        let (socket, alpn): (_, Option<&[u8]>) = match self.protocol {
            Protocol::Http1 | Protocol::Http2 => (self.sockets.http, None),
            Protocol::Tls1 => (self.sockets.https, Some(b"http/1.1")),
            Protocol::Tls2 => (self.sockets.https, Some(b"h2")),
        };
        let certificate = self.world.subject(Thing::Certificate);
        let since = certificate.since();
        let plain = TcpStream::connect(socket).await?;
        plain.set_nodelay(true)?;
        let stream: Box<dyn Duplex> = match alpn {
            None => Box::new(plain),
            Some(alpn) => {
                let host = ServerName::try_from(Thing::Stays.host())?;
                let stream = TlsConnector::from(self.world.client(alpn)).connect(host, plain).await?;
                let (_, session) = stream.get_ref();
                certificate.judge(since, self.world.read(session.peer_certificates())?)?;
                if session.alpn_protocol() != Some(alpn) {
                    return Err(format!("ALPN gave {:?}", session.alpn_protocol()).into());
                }
                self.tally.handshakes += 1;
                Box::new(stream)
            }
        };
        match self.protocol {
            Protocol::Http1 | Protocol::Tls1 => Ok(Open::One(BufReader::new(stream))),
            Protocol::Http2 | Protocol::Tls2 => {
                let (sender, connection) = h2::client::handshake(stream).await?;
                tokio::spawn(connection);
                Ok(Open::Two(sender))
            }
        }
    }
}

/// One request over HTTP/1.1; also whether the connection may be used again.
async fn exchange1(stream: &mut BufReader<Box<impl Duplex + ?Sized>>, request: &Request) -> io::Result<(Response, bool)> {
    let head = format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", request.target, request.host);
    stream.write_all(head.as_bytes()).await?;
    let status = line_of(stream).await?.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| io::Error::other("not a status line"))?;
    let mut response = Response { status, headers: Vec::new(), body: Vec::new() };
    loop {
        let line = line_of(stream).await?;
        let Some((name, value)) = line.split_once(':') else { break };
        response.headers.push((name.to_owned(), value.trim().to_owned()));
    }
    match response.header("content-length").and_then(|length| length.parse::<usize>().ok()) {
        Some(length) => {
            response.body.resize(length, 0);
            stream.read_exact(&mut response.body).await?;
        }
        None => loop {
            let size = usize::from_str_radix(&line_of(stream).await?, 16).map_err(io::Error::other)?;
            let from = response.body.len();
            response.body.resize(from + size, 0);
            stream.read_exact(&mut response.body[from..]).await?;
            line_of(stream).await?;
            if size == 0 {
                break;
            }
        },
    }
    let lives = response.header("connection").is_none_or(|value| !value.eq_ignore_ascii_case("close"));
    Ok((response, lives))
}

async fn line_of(stream: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

/// One request over HTTP/2.
async fn exchange2(sender: &mut SendRequest<Bytes>, request: &Request, scheme: &str) -> Result<Response, h2::Error> {
    let uri = format!("{scheme}://{}{}", request.host, request.target);
    let head = http::Request::get(uri).body(()).expect("a plain request");
    let mut ready = sender.clone().ready().await?;
    let (answer, _) = ready.send_request(head, true)?;
    let (head, mut stream) = answer.await?.into_parts();
    let mut body = Vec::new();
    while let Some(chunk) = stream.data().await {
        let chunk = chunk?;
        stream.flow_control().release_capacity(chunk.len())?;
        body.extend_from_slice(&chunk);
    }
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    Ok(Response { status: head.status.as_u16(), headers, body })
}
