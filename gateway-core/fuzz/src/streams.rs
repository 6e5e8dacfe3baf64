//! Connections and flows nobody has checked, against the world: where they go by their socket and server name alone.
//!
//! Bytes: which socket, whether there is a name, then the name as a ClientHello might carry it, of any bytes that make text.
//!
//! Laws: nothing panics; `explain_stream` and `explain_datagram` say what `decide_stream` and `decide_datagram` do.

use std::sync::Arc;

use gateway_core::admit::Refusal;
use gateway_core::decide::{StreamArrival, StreamDecision, StreamForward, decide_datagram, decide_stream};
use gateway_core::explain::{StreamOutcome, Tls, explain_datagram, explain_stream};
use gateway_core::snapshot::{Protocol, Snapshot, Socket, Turn};

use crate::input::Input;
use crate::world::SNAPSHOT;

/// Asks what becomes of the connection that the bytes say.
pub fn streams(bytes: &[u8]) -> StreamOutcome {
    let snapshot = &*SNAPSHOT;
    let sockets: Vec<Socket> = snapshot.sockets().map(|(socket, _)| *socket).collect();
    let mut input = Input::new(bytes);
    let Some(socket) = input.pick(&sockets) else { panic!("the world listens nowhere") };
    let is_named = input.byte() % 8 != 0;
    let server_name = is_named.then(|| input.text());
    ask(snapshot, socket, server_name.map(Arc::from))
}

/// Asks what becomes of a connection, and of a flow on its socket.
pub(crate) fn ask(snapshot: &Snapshot, socket: Socket, server_name: Option<Arc<str>>) -> StreamOutcome {
    let forwarded = |forward: &StreamForward| StreamOutcome::Forward {
        backend: forward.backend.name.to_string(),
        endpoints: forward.backend.endpoints.len(),
        tls: match forward.listener.protocol {
            Protocol::TlsTerminate => Tls::Ends,
            Protocol::TlsPassthrough => Tls::Passes,
            _ => Tls::Unseen,
        },
    };
    let refused = |refusal: &Refusal| StreamOutcome::Refuse { because: refusal.reason.to_string() };
    let stream = StreamArrival { socket, server_name };
    let decided = match decide_stream(snapshot, &stream, Turn::peek) {
        StreamDecision::Http(_) => StreamOutcome::Http,
        StreamDecision::Forward(forward) => forwarded(&forward),
        StreamDecision::Refuse(refusal) => refused(&refusal),
    };
    assert_eq!(explain_stream(snapshot, &stream).outcome, decided, "what is explained of a connection is what is decided");
    let outcome = match decide_datagram(snapshot, &socket, Turn::peek) {
        Ok(forward) => forwarded(&forward),
        Err(refusal) => refused(&refusal),
    };
    assert_eq!(explain_datagram(snapshot, &socket).outcome, outcome, "what is explained of a flow is what is decided");
    decided
}
