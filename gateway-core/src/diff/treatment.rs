//! What one side does with a probe, as a value that compares with what another side does.
//!
//! In: a snapshot, and a probe. Out: for each target its share of such requests and what happens to it, decided by the functions that
//! decide; and what depends on the request alone: where a redirect leads, which path arrives. Backends, extensions and turns stand by
//! name, since numbers and pointers differ from one compiler to the next.
//!
//! Invariants: treatments of equal configurations are equal.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::admit::{Admitted, GrpcStatus, Reason, Refusal, admit, is_grpc};
use crate::decide::{
    Answer, Decision, Forward, StreamArrival, StreamDecision, StreamForward, decide, decide_datagram, decide_stream,
};
use crate::snapshot::{Listener, Protocol, Rule, Snapshot, Socket, Turn};

use super::request::{Probe, Request};
use super::told::Said;
use super::words;

/// What is done with such requests, connections or flows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Treatment {
    /// The listener that answers, where one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener: Option<String>,
    /// The rule, where one matches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What is done, each with its share; one alone where all are treated alike.
    pub shares: Vec<Share>,
}

/// What is done with some of the requests that a rule takes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Share {
    /// With how many of every `weight` of all shares together.
    pub weight: u64,
    /// What is done.
    #[serde(flatten)]
    pub fate: Fate,
    /// What is done first, in order.
    pub steps: Vec<Said>,
    /// On which terms.
    pub terms: Vec<String>,
}

/// What becomes of a request, a connection or a flow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "does", rename_all = "camelCase")]
pub enum Fate {
    /// It cannot even arrive.
    Nothing {
        /// Why.
        because: String,
    },
    /// It is forwarded.
    Forward {
        /// To this backend.
        backend: String,
    },
    /// Its bytes are forwarded.
    Pass {
        /// To this backend.
        backend: String,
        /// Whether TLS ends here first.
        #[serde(rename = "endsTls")]
        ends_tls: bool,
    },
    /// HTTP is spoken on the connection.
    Http,
    /// It is answered without a backend.
    Answer {
        /// The status code.
        status: u16,
        /// The headers, `name: value`, without where a redirect leads.
        headers: Vec<String>,
        /// The body.
        body: String,
    },
    /// It is answered with an error.
    Refuse {
        /// The status code.
        status: u16,
        /// The status of gRPC in its place.
        #[serde(rename = "grpcStatus", skip_serializing_if = "Option::is_none")]
        grpc: Option<u8>,
        /// What went wrong.
        because: String,
    },
    /// The connection is closed, the flow dropped.
    Close {
        /// What went wrong.
        because: String,
    },
}

impl Treatment {
    /// The same for whoever has read the other: with which objects that are named there have changed.
    pub(super) fn beside(mut self, before: &Self) -> Self {
        let told = || before.shares.iter().flat_map(|share| &share.steps);
        for step in self.shares.iter_mut().flat_map(|share| &mut share.steps) {
            *step = std::mem::take(step).beside(told());
        }
        self
    }
}

/// What is done with one probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) treatment: Treatment,
    /// For each share, what depends on the request alone: its `Location`, or as which host and path it arrives where that is another.
    pub(super) leads: Vec<Option<String>>,
}

impl Found {
    /// Whether a client or a backend could tell one from the other.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.treatment.shares == other.treatment.shares && self.leads == other.leads || self.seen() == other.seen()
    }

    /// What a client or a backend sees: not why something is refused.
    fn seen(&self) -> BTreeMap<Done, u64> {
        let shares = self.treatment.shares.iter().zip(&self.leads).map(|(share, lead)| {
            let Share { weight, fate, steps, terms } = share.clone();
            (weight, Done { fate: fate.unreasoned(), steps, terms, lead: lead.clone() })
        });
        joined(shares)
    }

    fn new(listener: Option<&Listener>, rule: Option<&Rule>, shares: Vec<(u64, Done)>) -> Self {
        let (shares, leads) = joined(shares.into_iter())
            .into_iter()
            .map(|(Done { fate, steps, terms, lead }, weight)| (Share { weight, fate, steps, terms }, lead))
            .unzip();
        let listener = listener.map(|listener| listener.id.to_string());
        Self { treatment: Treatment { listener, rule: rule.map(|rule| rule.id.to_string()), shares }, leads }
    }

    fn nothing(because: &str) -> Self {
        Self::new(None, None, vec![(1, Done::of(Fate::Nothing { because: because.to_owned() }))])
    }
}

/// Shares of the same together, their weights without a divisor in common.
fn joined(shares: impl Iterator<Item = (u64, Done)>) -> BTreeMap<Done, u64> {
    let mut joined: BTreeMap<Done, u64> = BTreeMap::new();
    for (weight, done) in shares {
        let sum = joined.entry(done).or_default();
        *sum = sum.saturating_add(weight);
    }
    let divisor = joined.values().copied().fold(0, gcd).max(1);
    joined.values_mut().for_each(|weight| *weight /= divisor);
    joined
}

impl Fate {
    /// The same without the reason of an answer that is the same for all reasons.
    fn unreasoned(self) -> Self {
        let because = String::new();
        match self {
            Self::Refuse { status, grpc, .. } => Self::Refuse { status, grpc, because },
            Self::Close { .. } => Self::Close { because },
            Self::Nothing { .. } | Self::Forward { .. } | Self::Pass { .. } | Self::Http | Self::Answer { .. } => self,
        }
    }
}

/// What is done with one request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Done {
    fate: Fate,
    steps: Vec<Said>,
    terms: Vec<String>,
    lead: Option<String>,
}

impl Done {
    fn of(fate: Fate) -> Self {
        Self { fate, steps: Vec::new(), terms: Vec::new(), lead: None }
    }
}

/// What a side does with a probe.
pub(super) fn treat(snapshot: &Arc<Snapshot>, probe: &Probe) -> Found {
    match probe {
        Probe::Request(request) => treat_request(snapshot, request),
        Probe::Connection(arrival) => match treat_connection(snapshot, arrival) {
            Ok(listener) => Found::new(listener.as_deref(), None, vec![(1, Done::of(Fate::Http))]),
            Err(found) => found,
        },
        Probe::Flow(socket) => treat_flow(snapshot, socket),
    }
}

fn treat_request(snapshot: &Arc<Snapshot>, request: &Request) -> Found {
    let Some(listeners) = snapshot.listeners(&request.socket) else { return Found::nothing("nobody listens there") };
    match (request.is_tls, listeners.is_tls()) {
        (true, false) => return Found::nothing("connections are in clear there"),
        (false, true) => return Found::nothing("connections begin with TLS there"),
        (true, true) | (false, false) => {}
    }
    let server_name = request.is_tls.then(|| Arc::clone(&request.host));
    if let Err(found) = treat_connection(snapshot, &StreamArrival { socket: request.socket, server_name }) {
        return found;
    }
    let Some(head) = request.head() else { return Found::nothing("no request says this") };
    let is_call = is_grpc(&head);
    let mut admitted = match admit(snapshot, &request.arrival(snapshot), &head) {
        Ok(admitted) => admitted,
        Err(refusal) => return refused(&refusal, is_call),
    };
    let guards: Vec<_> = admitted.guards().iter().map(words::guard).collect();
    // As though the filters of the listener let it pass as it is.
    if let Err(refusal) = admitted.rehead(&head) {
        return refused(&refusal, is_call);
    }
    // Which rule wins does not depend on turns.
    let first = decide(&admitted, &head, Turn::peek);
    let rule = match &first {
        Decision::Forward(forward) => Some(Arc::clone(&forward.rule)),
        Decision::Answer(answer) => Some(Arc::clone(&answer.rule)),
        Decision::Refuse(refusal) => refusal.rule.clone(),
    };
    let turns = rule.as_deref().map(turns).unwrap_or_else(|| vec![(1, None)]);
    let done = turns.into_iter().map(|(weight, turn)| {
        let decision = decide(&admitted, &head, |asked| at(turn, asked));
        (weight, done(&decision, &admitted, request, is_call, &guards))
    });
    Found::new(Some(admitted.listener()), rule.as_deref(), done.collect())
}

/// The weight of each target of a rule with a turn that falls to it; one without turn where there are not several.
fn turns(rule: &Rule) -> Vec<(u64, Option<(&Turn, u64)>)> {
    let Some((split, turn)) = rule.shared() else { return vec![(1, None)] };
    let weights = split.weights().iter().enumerate();
    weights.map(|(target, weight)| (u64::from(*weight), Some((turn, split.turn_of(target))))).collect()
}

/// The turn of whoever asks: the one that was chosen for a split; for a mirror the first, which is due unless none ever is.
fn at(chosen: Option<(&Turn, u64)>, asked: &Turn) -> u64 {
    chosen.filter(|(turn, _)| std::ptr::eq(*turn, asked)).map_or(0, |(_, at)| at)
}

fn done(decision: &Decision, admitted: &Admitted, request: &Request, is_call: bool, guards: &[Said]) -> Done {
    match decision {
        Decision::Forward(forward) => forwarded(forward, admitted, request, guards),
        Decision::Answer(answer) => answered(answer, admitted, request, guards),
        Decision::Refuse(refusal) => Done::of(refusal_fate(&refusal.reason, is_call)),
    }
}

fn forwarded(forward: &Forward, admitted: &Admitted, request: &Request, guards: &[Said]) -> Done {
    let mut way = words::Way::new(&request.host, path(admitted, request), forward.matched_prefix);
    let steps = guards.iter().cloned().chain(forward.tasks().filter_map(|task| way.step(task))).collect();
    let fate = Fate::Forward { backend: forward.backend.name.to_string() };
    Done { fate, steps, terms: words::terms(forward), lead: way.lead() }
}

fn answered(answer: &Answer, admitted: &Admitted, request: &Request, guards: &[Said]) -> Done {
    let mut way = words::Way::new(&request.host, path(admitted, request), 0);
    let steps = guards.iter().cloned().chain(answer.tasks().filter_map(|task| way.step(task))).collect();
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let (leads, headers): (Vec<_>, Vec<_>) = answer.headers.iter().partition(|(name, _)| *name == http::header::LOCATION);
    let fate = Fate::Answer {
        status: answer.status.as_u16(),
        headers: headers.iter().map(|(name, value)| format!("{name}: {}", text(value))).collect(),
        body: String::from_utf8_lossy(&answer.body).into_owned(),
    };
    let terms = answer.is_preflight().then(|| "it is a preflight".to_owned()).into_iter().collect();
    Done { fate, steps, terms, lead: leads.first().map(|(_, value)| text(value)) }
}

/// The path in normal form: a probe's own is in it already, unless the listener says otherwise.
fn path<'a>(admitted: &'a Admitted, request: &'a Request) -> &'a str {
    admitted.path.as_deref().unwrap_or(&request.path)
}

fn refused(refusal: &Refusal, is_call: bool) -> Found {
    let fate = refusal_fate(&refusal.reason, is_call);
    Found::new(refusal.listener.as_deref(), refusal.rule.as_deref(), vec![(1, Done::of(fate))])
}

fn refusal_fate(reason: &Reason, is_call: bool) -> Fate {
    let grpc = is_call.then(|| GrpcStatus::code(reason.grpc_status()));
    Fate::Refuse { status: reason.status().as_u16(), grpc, because: reason.to_string() }
}

/// What is done with a connection, unless HTTP is spoken: then its listener, where TLS chose it.
fn treat_connection(snapshot: &Snapshot, arrival: &StreamArrival) -> Result<Option<Arc<Listener>>, Found> {
    if snapshot.listeners(&arrival.socket).is_none() {
        return Err(Found::nothing("nobody listens there"));
    }
    let (rule, listener) = match decide_stream(snapshot, arrival, Turn::peek) {
        StreamDecision::Http(listener) => return Ok(listener),
        StreamDecision::Forward(StreamForward { rule, listener, .. }) => (Some(rule), Some(listener)),
        StreamDecision::Refuse(Refusal { rule, listener, .. }) => (rule, listener),
    };
    let turns = rule.as_deref().map(turns).unwrap_or_else(|| vec![(1, None)]);
    let shares = turns.into_iter().map(|(weight, turn)| {
        let fate = match decide_stream(snapshot, arrival, |asked| at(turn, asked)) {
            StreamDecision::Http(_) => Fate::Http,
            StreamDecision::Forward(forward) => passed(&forward),
            StreamDecision::Refuse(refusal) => Fate::Close { because: refusal.reason.to_string() },
        };
        (weight, Done::of(fate))
    });
    Err(Found::new(listener.as_deref(), rule.as_deref(), shares.collect()))
}

fn treat_flow(snapshot: &Snapshot, socket: &Socket) -> Found {
    if snapshot.listeners(socket).is_none() {
        return Found::nothing("nobody listens there");
    }
    let (rule, listener) = match decide_datagram(snapshot, socket, Turn::peek) {
        Ok(StreamForward { rule, listener, .. }) => (Some(rule), Some(listener)),
        Err(Refusal { rule, listener, .. }) => (rule, listener),
    };
    let turns = rule.as_deref().map(turns).unwrap_or_else(|| vec![(1, None)]);
    let shares = turns.into_iter().map(|(weight, turn)| {
        let fate = match decide_datagram(snapshot, socket, |asked| at(turn, asked)) {
            Ok(forward) => passed(&forward),
            Err(refusal) => Fate::Close { because: refusal.reason.to_string() },
        };
        (weight, Done::of(fate))
    });
    Found::new(listener.as_deref(), rule.as_deref(), shares.collect())
}

fn passed(forward: &StreamForward) -> Fate {
    Fate::Pass { backend: forward.backend.name.to_string(), ends_tls: forward.listener.protocol == Protocol::TlsTerminate }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
