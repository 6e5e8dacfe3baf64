//! The sibling of `decide` for what has no request: connections of TLSRoutes and TCPRoutes, flows of UDPRoutes.
//!
//! In: where a connection arrived and, where it begins with TLS, the server name of its ClientHello; or where the first datagram of
//! a flow arrived; and turns. Out: whether to speak HTTP, where to forward the bytes, or why to refuse them. Asked once, at the
//! ClientHello or at the accept and before any handshake.
//!
//! Of the routes for one host name as written the first by age, then name, takes all; of host names the most specific. A server
//! name is answered by the listener with the most specific host name, and by no other: one that is closed, or carries no route for
//! the name, refuses the connection. Without a server name only a listener without host name answers, and no TLSRoute.
//!
//! A refused connection is closed without an alert, a refused flow is dropped.

use std::net::IpAddr;
use std::sync::Arc;

use super::{backend, choose, found};
use crate::admit::{Reason, Refusal};
use crate::snapshot::matching::Match;
use crate::snapshot::{
    Action, Backend, Listener, Listeners, Protocol, Rule, Security, Site, Snapshot, Socket, Target, Tier, Transport, Turn,
};

/// What is known of a connection before its first byte is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamArrival {
    /// The socket it was accepted on, as configured.
    pub socket: Socket,
    /// The server name of the ClientHello in lower case; `None` when it names none, and where connections do not begin with TLS.
    pub server_name: Option<Arc<str>>,
}

/// What is to be done with a connection.
#[derive(Clone, Debug)]
pub enum StreamDecision {
    /// Speak HTTP; over TLS as this listener says, which ends here. Without a listener the connection is in clear, and each request
    /// meets its own.
    Http(Option<Arc<Listener>>),
    /// Forward the bytes.
    Forward(StreamForward),
    /// Close it.
    Refuse(Refusal),
}

/// A connection or a flow to forward. `listener.protocol` says whether TLS ends here first.
#[derive(Clone, Debug)]
pub struct StreamForward {
    /// The rule of the route that takes it.
    pub rule: Arc<Rule>,
    /// The listener.
    pub listener: Arc<Listener>,
    /// The backend that was chosen. It has at least one endpoint.
    pub backend: Arc<Backend>,
}

impl StreamForward {
    /// Whether the bytes go over TLS of ours: as the backend has it, unless the listener passes TLS through, when the client's own
    /// handshake reaches the backend.
    pub fn security(&self) -> &Security {
        if self.listener.protocol == Protocol::TlsPassthrough { &Security::Clear } else { &self.backend.security }
    }
}

/// Decides a connection. `turns` as for `decide`: one for each connection.
pub fn decide_stream(snapshot: &Snapshot, arrival: &StreamArrival, turns: impl FnMut(&Turn) -> u64) -> StreamDecision {
    match meet(snapshot, arrival) {
        Ok(Met::Http(listener)) => StreamDecision::Http(listener.cloned()),
        Ok(Met::Site(site, name)) => match forward(snapshot, site, candidates(site, name).next(), turns) {
            Ok(forward) => StreamDecision::Forward(forward),
            Err(refusal) => StreamDecision::Refuse(refusal),
        },
        Err(refusal) => StreamDecision::Refuse(refusal),
    }
}

/// Decides a flow of datagrams by the socket its first one arrived on. `turns` as for `decide`: one for each flow.
///
/// # Errors
/// Why its datagrams are dropped.
pub fn decide_datagram(snapshot: &Snapshot, socket: &Socket, turns: impl FnMut(&Turn) -> u64) -> Result<StreamForward, Refusal> {
    let site = meet_flow(snapshot, socket)?;
    forward(snapshot, site, candidates(site, None).next(), turns)
}

/// Whom a connection meets.
pub(crate) enum Met<'a> {
    /// HTTP; the listener where TLS chose it.
    Http(Option<&'a Arc<Listener>>),
    /// A listener for bytes, by this name.
    Site(&'a Arc<Site>, Option<&'a str>),
}

/// The listener a connection meets.
pub(crate) fn meet<'a>(snapshot: &'a Snapshot, arrival: &'a StreamArrival) -> Result<Met<'a>, Refusal> {
    let listeners = listeners(snapshot, &arrival.socket, Transport::Tcp)?;
    if !listeners.is_tls() {
        let tcp = listeners.site(None).filter(|site| site.listener.protocol == Protocol::Tcp);
        return Ok(tcp.map_or(Met::Http(None), |site| Met::Site(site, None)));
    }
    // An address is no server name (RFC 6066 3).
    let name = arrival.server_name.as_deref().filter(|name| name.parse::<IpAddr>().is_err());
    let site = listeners.site(name).ok_or_else(|| refusal(None, None, Reason::NoListener))?;
    let listener = &site.listener;
    if let Err(why) = &listener.certificates {
        return Err(refusal(Some(listener), None, Reason::Closed(Arc::clone(why))));
    }
    match (listener.protocol, name) {
        (Protocol::Https, _) => Ok(Met::Http(Some(listener))),
        (Protocol::TlsTerminate | Protocol::TlsPassthrough, Some(_)) => Ok(Met::Site(site, name)),
        (Protocol::TlsTerminate | Protocol::TlsPassthrough, None) => Err(refusal(Some(listener), None, Reason::NoRule)),
        (Protocol::Http | Protocol::Tcp | Protocol::Udp, _) => Err(refusal(None, None, Reason::NoListener)),
    }
}

/// The listener a flow meets.
pub(crate) fn meet_flow<'a>(snapshot: &'a Snapshot, socket: &Socket) -> Result<&'a Arc<Site>, Refusal> {
    let site = listeners(snapshot, socket, Transport::Udp)?.site(None);
    site.ok_or_else(|| refusal(None, None, Reason::NoListener))
}

fn listeners<'a>(snapshot: &'a Snapshot, socket: &Socket, transport: Transport) -> Result<&'a Listeners, Refusal> {
    let found = snapshot.listeners(socket).filter(|_| socket.transport == transport);
    found.ok_or_else(|| refusal(None, None, Reason::NoListener))
}

/// The candidates for a name, or for what has none, the best first, each with the host name its route writes. All of them hold.
pub(crate) fn candidates<'a>(site: &'a Site, name: Option<&'a str>) -> impl Iterator<Item = (Tier<'a>, &'a Arc<Match>)> {
    let tiers = site.table.tiers(name);
    tiers.flat_map(|(tier, host)| host.stream.iter().flat_map(|bucket| bucket.matches()).map(move |matched| (tier, matched)))
}

/// What the rule of the winner says is to be done.
pub(crate) fn forward(
    snapshot: &Snapshot,
    site: &Site,
    winner: Option<(Tier<'_>, &Arc<Match>)>,
    mut turns: impl FnMut(&Turn) -> u64,
) -> Result<StreamForward, Refusal> {
    let listener = &site.listener;
    let (_, winner) = winner.ok_or_else(|| refusal(Some(listener), None, Reason::NoRule))?;
    let rule = &winner.rule;
    let chosen = match &rule.action {
        Action::Forward(split) => choose(split, &mut turns).and_then(|(_, target)| reach(snapshot, target, listener)),
        Action::Fail(why) => Err(Reason::Rule(Arc::clone(why))),
        Action::Reply(_) => Err(Reason::Rule("only HTTP can be answered".into())),
    };
    let backend = chosen.map_err(|reason| refusal(Some(listener), Some(rule), reason))?;
    Ok(StreamForward { rule: Arc::clone(rule), listener: Arc::clone(listener), backend: Arc::clone(backend) })
}

/// The backend of a target, where it can be used. Where TLS passes through, the client's own handshake reaches it, and what policies
/// say of ours is no matter.
fn reach<'a>(snapshot: &'a Snapshot, target: &Target, listener: &Listener) -> Result<&'a Arc<Backend>, Reason> {
    if listener.protocol != Protocol::TlsPassthrough {
        return backend(snapshot, target, &listener.gateway);
    }
    let backend = found(snapshot, target)?;
    if backend.endpoints.is_empty() { Err(Reason::NoEndpoint) } else { Ok(backend) }
}

fn refusal(listener: Option<&Arc<Listener>>, rule: Option<&Arc<Rule>>, reason: Reason) -> Refusal {
    Refusal { reason, listener: listener.cloned(), rule: rule.cloned(), path: None }
}

#[cfg(test)]
mod tests;
