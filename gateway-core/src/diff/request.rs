//! What is asked of both sides: requests, connections and flows, each a value of its own that can be asked again.
//!
//! In: where it arrives, and what it says. Out: the head and the arrival it stands for, and a line for a person. Whoever asks is taken
//! to hold the client certificate that is asked for.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Uri, Version};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::admit::{Arrival, Handshake};
use crate::decide::StreamArrival;
use crate::snapshot::{Snapshot, Socket};

/// What may be treated differently on two sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A request, or a gRPC call.
    Request(Request),
    /// A connection, before its first byte is answered.
    Connection(StreamArrival),
    /// A flow of datagrams.
    Flow(Socket),
}

/// A request for a host, without a body.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// Where it arrives.
    pub socket: Socket,
    /// Whether over TLS, in whose handshake the host is named.
    pub is_tls: bool,
    /// The host.
    pub host: Arc<str>,
    /// The path, in normal form.
    pub path: Arc<str>,
    /// What else it says.
    pub asks: Criteria,
    /// Whether it is a gRPC call.
    pub is_call: bool,
}

/// What a request says beside host and path.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Criteria {
    /// The method, where it matters.
    pub method: Option<String>,
    /// Headers, by name in lower case.
    pub headers: BTreeMap<String, String>,
    /// Query parameters, by name.
    pub queries: BTreeMap<String, String>,
}

impl Criteria {
    /// All that both say; `None` where they contradict each other.
    pub(super) fn with(&self, other: &Self) -> Option<Self> {
        let mut both = self.clone();
        if other.method.is_some() && self.method.is_some() && other.method != self.method {
            return None;
        }
        both.method = both.method.or_else(|| other.method.clone());
        let joins = |own: &mut BTreeMap<String, String>, others: &BTreeMap<String, String>| {
            others.iter().all(|(name, value)| own.entry(name.clone()).or_insert_with(|| value.clone()) == value)
        };
        (joins(&mut both.headers, &other.headers) && joins(&mut both.queries, &other.queries)).then_some(both)
    }
}

impl Request {
    /// Where it arrives at a snapshot: with the client certificate that the listener asks for there.
    pub fn arrival(&self, snapshot: &Snapshot) -> Arrival {
        let tls = self.is_tls.then(|| {
            let listener = snapshot.listeners(&self.socket).and_then(|listeners| listeners.find(Some(&self.host)));
            let validation = listener.and_then(|listener| listener.validation.as_ref());
            Handshake { server_name: Some(Arc::clone(&self.host)), validation: validation.map(|asked| asked.fingerprint) }
        });
        Arrival { socket: self.socket, tls }
    }

    /// Its head; `None` where it says what no request can.
    pub fn head(&self) -> Option<Parts> {
        let (mut head, ()) = http::Request::new(()).into_parts();
        head.method = Method::from_bytes(self.method().as_bytes()).ok()?;
        head.uri = self.target().parse::<Uri>().ok()?;
        head.headers.insert(http::header::HOST, HeaderValue::from_str(&self.host).ok()?);
        if self.is_call {
            head.version = Version::HTTP_2;
            head.headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        }
        for (name, value) in &self.asks.headers {
            head.headers.insert(HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(value).ok()?);
        }
        Some(head)
    }

    /// The method.
    pub fn method(&self) -> &str {
        self.asks.method.as_deref().unwrap_or(if self.is_call { "POST" } else { "GET" })
    }

    /// Where it leads, as a person would write it; the port where it is not the scheme's own.
    pub fn url(&self) -> String {
        let (scheme, usual) = if self.is_tls { ("https", 443) } else { ("http", 80) };
        let port = if self.socket.port == usual { String::new() } else { format!(":{}", self.socket.port) };
        format!("{scheme}://{}{port}{}", self.host, self.target())
    }

    fn target(&self) -> String {
        let mut target = self.path.to_string();
        for (at, (name, value)) in self.asks.queries.iter().enumerate() {
            target.push(if at == 0 { '?' } else { '&' });
            escape(name, &mut target);
            target.push('=');
            escape(value, &mut target);
        }
        target
    }
}

/// Appends a name or value of a query, escaped.
fn escape(text: &str, target: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => target.push(char::from(byte)),
            _ => target.extend(crate::snapshot::matching::path::escape(byte).map(char::from)),
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.is_call, self.method()) {
            (true, "POST") => write!(f, "gRPC {}", self.url())?,
            (true, method) => write!(f, "gRPC {method} {}", self.url())?,
            (false, method) => write!(f, "{method} {}", self.url())?,
        }
        at(&self.socket, f)?;
        for (at, (name, value)) in self.asks.headers.iter().enumerate() {
            let before = if at == 0 { " with " } else { ", " };
            write!(f, "{before}{name}: {}", value.escape_debug())?;
        }
        Ok(())
    }
}

/// The address of a socket that is not for all of the machine's.
fn at(socket: &Socket, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    socket.address.map_or(Ok(()), |address| write!(f, " at {address}"))
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(request) => write!(f, "{request}"),
            Self::Connection(StreamArrival { socket, server_name }) => {
                match server_name {
                    Some(name) => write!(f, "tls://{name}:{}", socket.port)?,
                    None => write!(f, "tcp://*:{}", socket.port)?,
                }
                at(socket, f)
            }
            Self::Flow(socket) => {
                write!(f, "udp://*:{}", socket.port)?;
                at(socket, f)
            }
        }
    }
}

impl Serialize for Probe {
    /// Its parts for a request, a line for the others.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let request = match self {
            Self::Request(request) => request,
            Self::Connection(_) | Self::Flow(_) => {
                let mut fields = serializer.serialize_struct("Probe", 1)?;
                fields.serialize_field("url", &self.to_string())?;
                return fields.end();
            }
        };
        let mut fields = serializer.serialize_struct("Probe", 5)?;
        fields.serialize_field("method", request.method())?;
        fields.serialize_field("url", &request.url())?;
        fields.serialize_field("headers", &request.asks.headers)?;
        fields.serialize_field("grpc", &request.is_call)?;
        fields.serialize_field("socket", &request.socket.to_string())?;
        fields.end()
    }
}
