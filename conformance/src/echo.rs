//! A backend that says who it is and what it was asked.
//!
//! In: HTTP/1.1 requests. Out: for each, status 200 and a JSON object with the backend's name, the method, the target and the
//! headers as they arrived. A thread for every connection; it ends when its peer does.
//!
//! Invariants: stopping an echo loses nothing. It takes no further connection, and those it has are told to close with the next
//! answer.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::http::{PATIENCE, Response, head_of};

/// A backend that is listening. Dropping it stops it.
#[derive(Debug)]
pub struct Echo {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    name: String,
    /// How it ends TLS, where it does.
    tls: Option<Arc<ServerConfig>>,
    stopped: AtomicBool,
    answered: AtomicUsize,
}

impl Echo {
    /// Listens on a free port of 127.0.0.1.
    pub fn start(name: &str) -> Result<Self> {
        Self::start_at(name, (Ipv4Addr::LOCALHOST, 0).into())
    }

    /// Listens on this address, which may have been another echo's.
    pub fn start_at(name: &str, address: SocketAddr) -> Result<Self> {
        Self::listen(name, address, None)
    }

    /// Listens on a free port of 127.0.0.1 and ends TLS, with a certificate of its own for these hosts. Returns what clients trust it by.
    pub fn start_tls(name: &str, hosts: &[String]) -> Result<(Self, CertificateDer<'static>)> {
        let made = rcgen::generate_simple_self_signed(hosts)?;
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).map_err(anyhow::Error::msg)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = builder.with_no_client_auth().with_single_cert(vec![certificate.clone()], key)?;
        Ok((Self::listen(name, (Ipv4Addr::LOCALHOST, 0).into(), Some(Arc::new(config)))?, certificate))
    }

    fn listen(name: &str, address: SocketAddr, tls: Option<Arc<ServerConfig>>) -> Result<Self> {
        let listener = TcpListener::bind(address).with_context(|| format!("backend {name} on {address}"))?;
        let address = listener.local_addr()?;
        let (stopped, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
        let shared = Arc::new(Shared { name: name.into(), tls, stopped, answered });
        let accepting = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let shared = accepting.clone();
                thread::spawn(move || shared.serve(stream));
            }
        });
        Ok(Self { address, shared })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many requests it has answered.
    pub fn answered(&self) -> usize {
        self.shared.answered.load(Ordering::SeqCst)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // The accepting thread looks up at its next connection, which is this one, and closes the listener.
        if let Ok(waker) = TcpStream::connect_timeout(&self.address, PATIENCE) {
            let _ = waker.set_read_timeout(Some(PATIENCE));
            let _ = (&waker).read(&mut [0]);
        }
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        match self.tls.as_ref().map(|tls| ServerConnection::new(Arc::clone(tls))) {
            None => self.converse(stream),
            Some(Ok(session)) => self.converse(StreamOwned::new(session, stream)),
            Some(Err(_)) => {}
        }
    }

    fn converse(&self, stream: impl Read + Write) {
        let mut stream = BufReader::new(stream);
        while let Ok(true) = self.answer(&mut stream) {}
    }

    /// Answers one request; whether another may follow.
    fn answer(&self, stream: &mut BufReader<impl Read + Write>) -> io::Result<bool> {
        if stream.fill_buf()?.is_empty() {
            return Ok(false);
        }
        let (line, headers) = head_of(stream)?;
        let given =
            |name: &str| headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str());
        let length = given("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        io::copy(&mut stream.by_ref().take(length), &mut io::sink())?;

        let mut words = line.split(' ');
        let body = json!({
            "backend": self.name,
            "method": words.next(),
            "target": words.next(),
            "headers": headers,
        });
        let body = body.to_string();
        let last =
            self.stopped.load(Ordering::SeqCst) || given("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let connection = if last { "Connection: close\r\n" } else { "" };
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{connection}\r\n", body.len());
        self.answered.fetch_add(1, Ordering::SeqCst);
        stream.get_mut().write_all(format!("{head}{body}").as_bytes())?;
        Ok(!last)
    }
}

/// What an echo said: the far side of an answer that came through the gateway.
#[derive(Clone, Debug)]
pub struct Heard {
    /// The backend's name.
    pub backend: String,
    /// The request target it was given.
    pub target: String,
    /// The headers it was given, in order.
    pub headers: Vec<(String, String)>,
}

impl Heard {
    /// Reads what an echo said. `None`: the answer is not an echo's.
    pub fn read(response: &Response) -> Option<Self> {
        let said: Value = serde_json::from_slice(&response.body).ok()?;
        Some(Self {
            backend: said.get("backend")?.as_str()?.to_owned(),
            target: said.get("target")?.as_str()?.to_owned(),
            headers: serde_json::from_value(said.get("headers")?.clone()).ok()?,
        })
    }

    /// Every value of a header, in order.
    pub fn values(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Connection, Request, ask};

    #[test]
    fn a_stopped_echo_answers_the_connections_it_has_and_refuses_others() {
        let echo = Echo::start("one").unwrap();
        let address = echo.address();
        let mut connection = Connection::open(address).unwrap();
        let request = Request::get("example.com", "/a?b").with("X-Two", "1").with("X-Two", "2");
        let first = connection.exchange(&request).unwrap();
        let heard = Heard::read(&first).unwrap();
        assert_eq!((heard.backend.as_str(), heard.target.as_str()), ("one", "/a?b"));
        assert_eq!(heard.values("x-two"), ["1", "2"]);

        drop(echo);
        assert!(ask(address, &request).is_err(), "the port is closed");
        let last = connection.exchange(&request).unwrap();
        assert_eq!((last.status, last.header("connection")), (200, Some("close")));

        let again = Echo::start_at("again", address).unwrap();
        assert_eq!(ask(address, &request).unwrap().status, 200);
        assert_eq!(again.answered(), 1);
    }
}
