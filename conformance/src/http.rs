//! HTTP/1.1 as small as it can be, over blocking sockets, in clear or over TLS: enough to ask a question and to read the answer.
//!
//! In: requests without a body. Out: whole answers, whether their end is told by length, chunks or close. Nothing is retried, no
//! redirect is followed, and no header is added but `Host`.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// How long any single read, write or connect may take.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// A request without a body.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The value of `Host`.
    pub host: String,
    /// The target as written on the request line.
    pub target: String,
    /// Further headers, in order.
    pub headers: Vec<(String, String)>,
}

impl Request {
    /// A GET.
    pub fn get(host: &str, target: &str) -> Self {
        Self { method: "GET".into(), host: host.into(), target: target.into(), headers: Vec::new() }
    }

    /// The same with one header more.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers, in order, as written.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A connection that may carry several requests, one after the other.
#[derive(Debug)]
pub struct Connection<S = TcpStream>(BufReader<S>);

impl Connection {
    /// Connects.
    pub fn open(to: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&to, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Ends a handshake with a server of this name, which one of these authorities knows, on a connection of its own.
    pub fn open_tls(to: SocketAddr, name: &str, roots: RootCertStore) -> io::Result<Connection<TlsStream>> {
        let Self(plain) = Self::open(to)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = builder.map_err(io::Error::other)?.with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        let mut session = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        let mut plain = plain.into_inner();
        while session.is_handshaking() {
            session.complete_io(&mut plain)?;
        }
        Ok(Connection(BufReader::new(StreamOwned::new(session, plain))))
    }
}

/// A client's end of a connection over TLS.
pub type TlsStream = StreamOwned<ClientConnection, TcpStream>;

impl<S: Read + Write> Connection<S> {
    /// Sends a request and reads its answer.
    pub fn exchange(&mut self, request: &Request) -> io::Result<Response> {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: {}\r\n", request.method, request.target, request.host);
        for (name, value) in &request.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        self.0.get_mut().write_all(head.as_bytes())?;

        let (line, headers) = head_of(&mut self.0)?;
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let Some(status) = status else {
            return Err(io::Error::other(format!("not a status line: {line:?}")));
        };
        let mut response = Response { status, headers, body: Vec::new() };
        if request.method == "HEAD" || matches!(status, 100..200 | 204 | 304) {
            return Ok(response);
        }
        response.body = self.body(&response)?;
        Ok(response)
    }

    fn body(&mut self, response: &Response) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        let chunked = response.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
        if chunked {
            loop {
                let size = line_of(&mut self.0)?;
                let size = size.split(';').next().and_then(|size| u64::from_str_radix(size.trim(), 16).ok());
                let size = size.ok_or_else(|| io::Error::other("a chunk without a size"))?;
                self.0.by_ref().take(size).read_to_end(&mut body)?;
                line_of(&mut self.0)?;
                if size == 0 {
                    return Ok(body);
                }
            }
        }
        match response.header("content-length").and_then(|length| length.parse::<u64>().ok()) {
            Some(length) => {
                self.0.by_ref().take(length).read_to_end(&mut body)?;
                if body.len() as u64 != length {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            None => {
                self.0.read_to_end(&mut body)?;
            }
        }
        Ok(body)
    }
}

/// One request on a connection of its own.
pub fn ask(to: SocketAddr, request: &Request) -> io::Result<Response> {
    Connection::open(to)?.exchange(&request.clone().with("Connection", "close"))
}

/// Reads a start line and the headers after it.
pub(crate) fn head_of(from: &mut impl BufRead) -> io::Result<(String, Vec<(String, String)>)> {
    let start = line_of(from)?;
    let mut headers = Vec::new();
    loop {
        let line = line_of(from)?;
        if line.is_empty() {
            return Ok((start, headers));
        }
        let (name, value) = line.split_once(':').ok_or_else(|| io::Error::other(format!("not a header: {line:?}")))?;
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
}

/// Reads a line and takes its end off. The end of the stream is an error: nobody reads a line where none is due.
fn line_of(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if from.take(64 * 1024).read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
