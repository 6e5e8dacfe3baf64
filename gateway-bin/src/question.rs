//! What is asked about, and not sent: which route would take it, and what would be done.
//!
//! In: a target, and method and headers where it is a request; and a snapshot. Out: core's explanation, with the endpoints there are.
//! A request on its way meets two decisions: that about its connection, which may be none that speaks HTTP, and its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use gateway_core::admit::{Admitted, Arrival, Handshake, admit, is_grpc};
use gateway_core::decide::{Decision, StreamArrival, StreamDecision, decide, decide_datagram, decide_stream};
use gateway_core::explain::{Outcome, StreamExplanation, StreamOutcome, explain, explain_datagram, explain_stream};
use gateway_core::snapshot::{Backend, Listeners, Snapshot, Socket, Transport, Turn};
use http::header::{CONTENT_TYPE, HOST};
use http::request::Parts;
use http::{HeaderValue, Method, Version};
use serde_json::{Value, json};

use crate::args::Header;
use crate::target::{Arrives, Request, Target};

/// The question.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) target: Target,
    /// Without one, GET, and POST for calls.
    pub(crate) method: Option<Method>,
    pub(crate) headers: Vec<Header>,
}

/// What is said about it.
#[derive(Debug)]
pub(crate) struct Explained {
    pub(crate) text: String,
    pub(crate) json: Value,
    /// Whether it would be forwarded, or answered by a rule; or, of a connection, taken.
    pub(crate) is_served: bool,
}

impl Question {
    /// Asks a snapshot. `ports` are those that are bound in place of others: the URL may name either.
    pub(crate) fn ask(&self, snapshot: &Arc<Snapshot>, ports: &BTreeMap<u16, u16>) -> Explained {
        let Some((socket, listeners)) = self.socket(snapshot, ports) else {
            let (port, over) = (self.target.port, if self.transport() == Transport::Udp { " over UDP" } else { "" });
            return Explained::nothing(None, format!("nothing listens on port {port}{over}{}", open(snapshot)));
        };
        let request = match &self.target.arrives {
            Arrives::Udp => return flow(snapshot, &socket),
            Arrives::Request(request) => Some(request),
            Arrives::Tls | Arrives::Tcp => None,
        };
        if let Some(why) = self.clash(listeners) {
            return Explained::nothing(Some(&socket), why);
        }
        let arrival = StreamArrival { socket, server_name: self.target.server_name() };
        let connection = explain_stream(snapshot, &arrival);
        match (request, &connection.outcome) {
            (Some(request), StreamOutcome::Http) => self.ask_request(snapshot, arrival, request),
            (_, StreamOutcome::Http | StreamOutcome::Forward { .. } | StreamOutcome::Refuse { .. }) => {
                let forwarded = match decide_stream(snapshot, &arrival, Turn::peek) {
                    StreamDecision::Forward(forward) => Some(forward.backend),
                    StreamDecision::Http(_) | StreamDecision::Refuse(_) => None,
                };
                Explained::stream(&connection, forwarded.as_deref())
            }
        }
    }

    /// Why no connection comes about: one side speaks TLS and the other does not.
    fn clash(&self, listeners: &Listeners) -> Option<String> {
        // What begins with TLS passes as well where nobody looks for any.
        let is_blind = listeners.find(None).is_some_and(|listener| !listener.protocol.is_http());
        match (self.target.is_tls(), listeners.is_tls()) {
            (true, false) if !is_blind => Some("TLS is not spoken here: ask about an http, grpc or tcp URL".into()),
            (false, true) => Some("connections begin with TLS here: ask about an https, grpcs or tls URL".into()),
            (true, _) | (false, false) => None,
        }
    }

    fn ask_request(&self, snapshot: &Arc<Snapshot>, arrival: StreamArrival, request: &Request) -> Explained {
        let StreamArrival { socket, server_name } = arrival;
        let head = match self.head(request) {
            Ok(head) => head,
            Err(why) => return Explained::nothing(Some(&socket), why),
        };
        // Whoever asks is taken to have the client certificate that is asked for.
        let listener = snapshot.listeners(&socket).and_then(|listeners| listeners.find(server_name.as_deref()));
        let validation = listener.and_then(|listener| listener.validation.as_ref()).map(|validation| validation.fingerprint);
        let tls = request.is_tls.then_some(Handshake { server_name, validation });
        match admit(snapshot, &Arrival { socket, tls }, &head) {
            Ok(admitted) => Explained::request(admitted, &head, &socket),
            Err(refusal) => {
                let grpc = is_grpc(&head).then(|| refusal.reason.grpc_status());
                let because = refusal.reason.to_string();
                Explained::refused(&socket, &Outcome::Refuse { status: refusal.reason.status().as_u16(), grpc, because })
            }
        }
    }

    fn transport(&self) -> Transport {
        if self.target.arrives == Arrives::Udp { Transport::Udp } else { Transport::Tcp }
    }

    /// The socket the URL leads to: of the port, the one with the URL's address, else the one for all addresses, else the first.
    fn socket<'a>(&self, snapshot: &'a Snapshot, ports: &BTreeMap<u16, u16>) -> Option<(Socket, &'a Listeners)> {
        let (stated, address, transport) = (self.target.port, self.target.address(), self.transport());
        let named = ports.iter().find(|(_, bound)| **bound == stated).map(|(named, _)| *named);
        let of_port = |port: u16| {
            let sockets = || snapshot.sockets().filter(move |(s, _)| s.port == port && s.transport == transport);
            let exact = sockets().find(|(socket, _)| address.is_some() && socket.address == address);
            exact.or_else(|| sockets().find(|(socket, _)| socket.address.is_none())).or_else(|| sockets().next())
        };
        let found = named.and_then(of_port).or_else(|| of_port(stated));
        found.map(|(socket, listeners)| (*socket, listeners))
    }

    fn head(&self, request: &Request) -> Result<Parts, String> {
        let (mut head, ()) = http::Request::new(()).into_parts();
        head.method = self.method.clone().unwrap_or(if request.is_call { Method::POST } else { Method::GET });
        head.uri = request.path.clone().into();
        head.headers.insert(HOST, request.authority.clone());
        if request.is_call {
            head.version = Version::HTTP_2;
            head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        }
        for Header { name, value } in &self.headers {
            // What is stated takes the place of what follows from the URL; other names may come twice.
            match *name == HOST || *name == CONTENT_TYPE {
                true => drop(head.headers.insert(name, value.clone())),
                false => drop(head.headers.append(name, value.clone())),
            }
        }
        if request.is_call && !is_grpc(&head) {
            return Err("a call has the content type application/grpc, alone or followed by + or ;".into());
        }
        Ok(head)
    }
}

impl Explained {
    /// Nobody even decides.
    fn nothing(socket: Option<&Socket>, why: String) -> Self {
        let outcome = json!({ "does": "nothing", "because": why });
        match socket.map(ToString::to_string) {
            Some(socket) => {
                Self { text: format!("{socket}: {why}"), json: json!({ "socket": socket, "outcome": outcome }), is_served: false }
            }
            None => Self { text: why, json: json!({ "outcome": outcome }), is_served: false },
        }
    }

    /// No listener takes it.
    fn refused(socket: &Socket, outcome: &Outcome) -> Self {
        Self::new(json!({ "outcome": outcome }), format!("{socket}: {outcome}"), socket.to_string(), None, false)
    }

    fn request(mut admitted: Admitted, head: &Parts, socket: &Socket) -> Self {
        let explanation = explain(&admitted, head);
        // As though the filters of the listener let it pass as it is.
        let decision = match admitted.rehead(head) {
            Ok(()) => decide(&admitted, head, Turn::peek),
            Err(refusal) => Decision::Refuse(refusal),
        };
        let (backend, is_served) = match &decision {
            Decision::Forward(forward) => (Some(&*forward.backend), true),
            Decision::Answer(_) => (None, true),
            Decision::Refuse(_) => (None, false),
        };
        Self::new(
            serde_json::to_value(&explanation).unwrap_or_default(),
            format!("{socket}: {explanation}"),
            socket.to_string(),
            backend,
            is_served,
        )
    }

    fn stream(explanation: &StreamExplanation, backend: Option<&Backend>) -> Self {
        let is_served = !matches!(explanation.outcome, StreamOutcome::Refuse { .. });
        let socket = explanation.socket.clone();
        Self::new(
            serde_json::to_value(explanation).unwrap_or_default(),
            format!("{socket}: {explanation}"),
            socket,
            backend,
            is_served,
        )
    }

    fn new(mut json: Value, mut text: String, socket: String, backend: Option<&Backend>, is_served: bool) -> Self {
        let endpoints: Vec<String> =
            backend.map_or_else(Vec::new, |backend| backend.endpoints.iter().map(ToString::to_string).collect());
        if !endpoints.is_empty() {
            text.push_str(&format!("\n  endpoints: {}", endpoints.join(", ")));
        }
        if let Some(fields) = json.as_object_mut() {
            fields.insert("socket".into(), socket.into());
            fields.insert("endpoints".into(), endpoints.into());
        }
        Self { text, json, is_served }
    }
}

fn flow(snapshot: &Snapshot, socket: &Socket) -> Explained {
    let forwarded = decide_datagram(snapshot, socket, Turn::peek).ok().map(|forward| forward.backend);
    Explained::stream(&explain_datagram(snapshot, socket), forwarded.as_deref())
}

fn open(snapshot: &Snapshot) -> String {
    let open: Vec<_> = snapshot.sockets().map(|(socket, _)| socket.to_string()).collect();
    if open.is_empty() { String::new() } else { format!("; open are {}", open.join(", ")) }
}
