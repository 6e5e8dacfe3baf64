//! `decide_stream` and `decide_datagram` with their reasons kept: the routes a connection or a flow met, in order, and what is done.
//!
//! In: where it arrived. Out: data, and text for a person. Listener, candidates and what follows come from the functions that decide,
//! with turns looked at and not taken.

use std::fmt;

use serde::Serialize;

use super::{Candidate, Share, Verdict, shares};
use crate::admit::Refusal;
use crate::decide::stream::{Met, candidates, forward, meet, meet_flow};
use crate::decide::{StreamArrival, StreamForward};
use crate::snapshot::{Listener, Protocol, Site, Snapshot, Socket, Turn};

/// Why a connection or a flow is treated as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamExplanation {
    /// Where it arrived.
    pub socket: String,
    /// The server name it asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// The listener that answers, where one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener: Option<String>,
    /// The routes that would take it, the best first.
    pub candidates: Vec<Candidate>,
    /// What is done.
    pub outcome: StreamOutcome,
    /// What is done with all that the rule takes, where it shares them among several backendRefs; `outcome` is that of the one whose
    /// turn comes next.
    pub shares: Vec<Share<StreamOutcome>>,
}

/// What is done with a connection or a flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "does", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum StreamOutcome {
    /// HTTP is spoken: its requests are decided one by one.
    Http,
    /// It is forwarded; of several targets, to the one whose turn comes next.
    Forward {
        /// The backend.
        backend: String,
        /// How many endpoints it has.
        endpoints: usize,
        /// What becomes of its TLS.
        tls: Tls,
    },
    /// A connection is closed, a flow dropped.
    Refuse {
        /// What went wrong.
        because: String,
    },
}

/// What becomes of the TLS of what is forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Tls {
    /// Nobody looks for any.
    Unseen,
    /// It ends here: the backend gets what was encrypted.
    Ends,
    /// It passes through: the backend ends it.
    Passes,
}

/// Explains what `decide_stream` says of a connection now. Takes no turn.
pub fn explain_stream(snapshot: &Snapshot, arrival: &StreamArrival) -> StreamExplanation {
    let StreamArrival { socket, server_name } = arrival;
    let name = server_name.as_deref();
    match meet(snapshot, arrival) {
        Ok(Met::Http(listener)) => StreamExplanation::new(socket, name, listener.map(|found| &**found), StreamOutcome::Http),
        Ok(Met::Site(site, name)) => explain_site(snapshot, socket, site, name),
        Err(refusal) => StreamExplanation::refused(socket, name, &refusal),
    }
}

/// Explains what `decide_datagram` says of a flow now. Takes no turn.
pub fn explain_datagram(snapshot: &Snapshot, socket: &Socket) -> StreamExplanation {
    match meet_flow(snapshot, socket) {
        Ok(site) => explain_site(snapshot, socket, site, None),
        Err(refusal) => StreamExplanation::refused(socket, None, &refusal),
    }
}

fn explain_site(snapshot: &Snapshot, socket: &Socket, site: &Site, name: Option<&str>) -> StreamExplanation {
    let winner = candidates(site, name).next();
    let outcome = StreamOutcome::of(forward(snapshot, site, winner, Turn::peek));
    let mut explanation = StreamExplanation::new(socket, name, Some(&site.listener), outcome);
    if let Some((_, matched)) = winner {
        let done = |turns: &dyn Fn(&Turn) -> u64| (StreamOutcome::of(forward(snapshot, site, winner, turns)), Vec::new());
        explanation.shares = shares::of(&matched.rule, done);
    }
    let verdicts = std::iter::once(Verdict::Won).chain(std::iter::repeat(Verdict::RankedLower));
    let met = candidates(site, name).zip(verdicts);
    explanation.candidates = met.map(|((tier, matched), verdict)| Candidate::new(tier, matched, verdict)).collect();
    explanation
}

impl StreamExplanation {
    fn new(socket: &Socket, name: Option<&str>, listener: Option<&Listener>, outcome: StreamOutcome) -> Self {
        let (socket, server_name) = (socket.to_string(), name.map(str::to_owned));
        let listener = listener.map(|found| found.id.to_string());
        Self { socket, server_name, listener, candidates: Vec::new(), outcome, shares: Vec::new() }
    }

    fn refused(socket: &Socket, name: Option<&str>, refusal: &Refusal) -> Self {
        let outcome = StreamOutcome::Refuse { because: refusal.reason.to_string() };
        Self::new(socket, name, refusal.listener.as_deref(), outcome)
    }
}

impl StreamOutcome {
    fn of(decided: Result<StreamForward, Refusal>) -> Self {
        match decided {
            Ok(StreamForward { backend, listener, .. }) => Self::Forward {
                backend: backend.name.to_string(),
                endpoints: backend.endpoints.len(),
                tls: match listener.protocol {
                    Protocol::TlsTerminate => Tls::Ends,
                    Protocol::TlsPassthrough => Tls::Passes,
                    Protocol::Http | Protocol::Https | Protocol::Tcp | Protocol::Udp => Tls::Unseen,
                },
            },
            Err(refusal) => Self::Refuse { because: refusal.reason.to_string() },
        }
    }
}

impl fmt::Display for StreamExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.listener, &self.server_name) {
            (Some(listener), Some(name)) => writeln!(f, "{listener} answers for {name}")?,
            (Some(listener), None) => writeln!(f, "{listener} answers")?,
            (None, Some(name)) => writeln!(f, "nobody answers for {name}")?,
            (None, None) => {}
        }
        for Candidate { route, host, verdict, .. } in &self.candidates {
            writeln!(f, "  {route}, host {host}: {verdict}")?;
        }
        shares::write(f, &self.outcome, &self.shares)
    }
}

impl fmt::Display for StreamOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http => f.write_str("HTTP is spoken"),
            Self::Forward { backend, endpoints, tls } => {
                let bytes = match tls {
                    Tls::Unseen => "forwarded",
                    Tls::Ends => "TLS ends here, then forwarded",
                    Tls::Passes => "TLS passes through, forwarded",
                };
                let plural = if *endpoints == 1 { "" } else { "s" };
                write!(f, "{bytes} to {backend}, which has {endpoints} endpoint{plural}")
            }
            Self::Refuse { because } => write!(f, "refused: {because}"),
        }
    }
}
