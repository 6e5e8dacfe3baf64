//! A request that is asked about, not sent: which rule would answer it, and what would be done.
//!
//! In: method, URL and headers, and a snapshot. Out: core's explanation, with the endpoints there are. The URL says where
//! the request would arrive: its port picks the socket, its scheme whether a TLS handshake precedes, its host the name asked for.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use gateway_core::admit::{Arrival, Handshake, admit};
use gateway_core::decide::{Decision, decide};
use gateway_core::explain::explain;
use gateway_core::snapshot::{Backend, Snapshot, Socket, Transport, Turn};
use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Uri};
use serde_json::{Value, json};

use crate::args::Header;

/// The request.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) method: Method,
    pub(crate) url: Uri,
    pub(crate) headers: Vec<Header>,
}

/// What is said about it.
#[derive(Debug)]
pub(crate) struct Explained {
    pub(crate) text: String,
    pub(crate) json: Value,
    /// Whether it would be forwarded, or answered by a rule.
    pub(crate) is_served: bool,
}

impl Question {
    /// Asks a snapshot. `ports` are those that are bound in place of others: the URL may name either.
    pub(crate) fn ask(&self, snapshot: &Arc<Snapshot>, ports: &BTreeMap<u16, u16>) -> Explained {
        let Some(socket) = self.socket(snapshot, ports) else {
            let why = format!("nothing listens on port {}{}", self.port(), open(snapshot));
            return Explained { json: json!({ "outcome": { "does": "nothing", "because": why } }), text: why, is_served: false };
        };
        let head = match self.head() {
            Ok(head) => head,
            Err(why) => {
                return Explained {
                    json: json!({ "outcome": { "does": "nothing", "because": why } }),
                    text: why,
                    is_served: false,
                };
            }
        };
        let server_name =
            self.url.host().filter(|host| host.parse::<IpAddr>().is_err()).map(|host| host.to_ascii_lowercase().into());
        // Whoever asks is taken to have the client certificate that is asked for.
        let listener = snapshot.listeners(&socket).and_then(|listeners| listeners.find(server_name.as_deref()));
        let validation = listener.and_then(|listener| listener.validation.as_ref()).map(|validation| validation.fingerprint);
        let tls = self.is_tls().then_some(Handshake { server_name, validation });
        let mut admitted = match admit(snapshot, &Arrival { socket, tls }, &head) {
            Ok(admitted) => admitted,
            Err(refusal) => {
                let (status, why) = (refusal.reason.status().as_u16(), refusal.reason.to_string());
                let text = format!("{socket} refuses with {status}: {why}");
                let json =
                    json!({ "socket": socket.to_string(), "outcome": { "does": "refuse", "status": status, "because": why } });
                return Explained { text, json, is_served: false };
            }
        };
        let explanation = explain(&admitted, &head);
        // As though the filters of the listener let it pass as it is.
        let decision = match admitted.rehead(&head) {
            Ok(()) => decide(&admitted, &head, Turn::peek),
            Err(refusal) => Decision::Refuse(refusal),
        };
        let (endpoints, is_served) = match &decision {
            Decision::Forward(forward) => (addresses(&forward.backend), true),
            Decision::Answer(_) => (Vec::new(), true),
            Decision::Refuse(_) => (Vec::new(), false),
        };
        let mut text = format!("{socket}: {explanation}");
        if !endpoints.is_empty() {
            text.push_str(&format!("\n  endpoints: {}", endpoints.join(", ")));
        }
        let mut json = serde_json::to_value(&explanation).unwrap_or_default();
        if let Some(fields) = json.as_object_mut() {
            fields.insert("socket".into(), socket.to_string().into());
            fields.insert("endpoints".into(), endpoints.into());
        }
        Explained { text, json, is_served }
    }

    fn is_tls(&self) -> bool {
        self.url.scheme_str() == Some("https")
    }

    fn port(&self) -> u16 {
        self.url.port_u16().unwrap_or_else(|| if self.is_tls() { 443 } else { 80 })
    }

    /// The socket the URL leads to: of the port, the one with the URL's address, else the one for all addresses, else the first.
    fn socket(&self, snapshot: &Snapshot, ports: &BTreeMap<u16, u16>) -> Option<Socket> {
        let stated = self.port();
        let named = ports.iter().find(|(_, bound)| **bound == stated).map(|(named, _)| *named);
        let address = self.url.host().and_then(|host| host.trim_matches(['[', ']']).parse::<IpAddr>().ok());
        let of_port = |port: u16| -> Option<Socket> {
            let sockets =
                || snapshot.sockets().map(|(socket, _)| *socket).filter(move |s| s.port == port && s.transport == Transport::Tcp);
            let exact = sockets().find(|socket| address.is_some() && socket.address == address);
            exact.or_else(|| sockets().find(|socket| socket.address.is_none())).or_else(|| sockets().next())
        };
        named.and_then(of_port).or_else(|| of_port(stated))
    }

    fn head(&self) -> Result<http::request::Parts, String> {
        let (mut head, ()) = Request::new(()).into_parts();
        head.method = self.method.clone();
        let target = self.url.path_and_query().map_or("/", PathAndQuery::as_str);
        head.uri = target.parse().map_err(|_| format!("{target} is no request target"))?;
        let authority = self.url.authority().map_or("", |authority| authority.as_str());
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        head.headers.insert(HOST, HeaderValue::from_str(host).map_err(|_| format!("{host} is no host"))?);
        for Header { name, value } in &self.headers {
            // A stated Host takes the place of the URL's; other names may come twice.
            match *name == HOST {
                true => drop(head.headers.insert(HOST, value.clone())),
                false => drop(head.headers.append(name, value.clone())),
            }
        }
        Ok(head)
    }
}

fn open(snapshot: &Snapshot) -> String {
    let open: Vec<_> = snapshot.sockets().map(|(socket, _)| socket.to_string()).collect();
    if open.is_empty() { String::new() } else { format!("; open are {}", open.join(", ")) }
}

fn addresses(backend: &Backend) -> Vec<String> {
    backend.endpoints.iter().map(ToString::to_string).collect()
}
