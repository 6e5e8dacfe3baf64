//! `decide` with its reasons kept: which candidates a request met, in which order, and why each was not the one.
//!
//! In: an admitted request and its head. Out: data, and text for a person. The walk is that of `decide`, so the winner is the same;
//! what follows from it is decided by the same function, with turns looked at and not taken.
//!
//! Candidates whose host name or whose exact path, prefix, service or method does not hold are not met at all, and are not listed.

mod shares;
mod tasks;

use std::fmt;
use std::ops::ControlFlow;

use http::request::Parts;
use serde::Serialize;

use crate::admit::host::Host;
use crate::admit::{Admitted, GrpcStatus, Reason, is_grpc};
use crate::decide::walk::{Miss, Stand, Visitor, walk};
use crate::decide::{Decision, Field, parameter, perform, refuse};
use crate::snapshot::matching::{Match, PathPattern};
use crate::snapshot::{Tier, Turn};

mod stream;

pub use shares::Share;
pub use stream::{StreamExplanation, StreamOutcome, Tls, explain_datagram, explain_stream};
pub(crate) use tasks::{edited, limits, repeated, span, stays};

/// Why a request is answered as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The listener that answers.
    pub listener: String,
    /// The host it answers for; `None` for HTTP/1.0 without Host.
    pub host: Option<String>,
    /// The path in normal form.
    pub path: String,
    /// The candidates, the best first.
    pub candidates: Vec<Candidate>,
    /// What is done.
    pub outcome: Outcome,
    /// What is done with the requests of the rule, where it shares them among several backendRefs; `outcome` is that of the one whose
    /// turn comes next.
    pub shares: Vec<Share<Outcome>>,
    /// What is done before, in order: edits, copies, questions to others.
    pub steps: Vec<String>,
    /// On which terms it is forwarded: time limits, retries, sessions.
    pub terms: Vec<String>,
}

/// A match that was met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    /// The route.
    pub route: String,
    /// The index of the rule in the route.
    pub rule: usize,
    /// The name of the rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule_name: Option<String>,
    /// The index of the match in the rule.
    pub index: usize,
    /// The host name under which it was met, as the route writes it; `*` for a route without.
    pub host: String,
    /// What it asks.
    pub asks: String,
    /// What it came to.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// What a candidate came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", content = "because", rename_all = "camelCase")]
pub enum Verdict {
    /// It wins.
    Won,
    /// It does not hold, for this reason.
    Missed(String),
    /// It holds too, but another goes before it.
    RankedLower,
    /// Its expression would have to be tried on too long a value. The search ends here.
    TooLong(String),
}

/// What is done with the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "does", rename_all = "camelCase")]
pub enum Outcome {
    /// It is forwarded; of several targets, to the one whose turn comes next.
    Forward {
        /// The backend.
        backend: String,
        /// How many endpoints it has.
        endpoints: usize,
    },
    /// It is answered without a backend.
    Answer {
        /// The status code.
        status: u16,
        /// Where a redirect points.
        #[serde(skip_serializing_if = "Option::is_none")]
        location: Option<String>,
    },
    /// It is answered with an error.
    Refuse {
        /// The status code.
        status: u16,
        /// The status of gRPC that takes its place where the request is a call.
        #[serde(rename = "grpcStatus", skip_serializing_if = "Option::is_none")]
        grpc: Option<GrpcStatus>,
        /// What went wrong.
        because: String,
    },
}

/// Explains what `decide` says of an admitted request now. Takes no turn.
pub fn explain(admitted: &Admitted, head: &Parts) -> Explanation {
    let authority = admitted.authority();
    let mut record = Record { head, authority, candidates: Vec::new(), winner: None };
    let walked = walk(admitted, head, &mut record);
    let (decision, shares) = match (record.winner, walked) {
        // What comes after the winner is only for show, and may end as it likes.
        (Some(winner), _) => (perform(admitted, head, winner, Turn::peek), shares::of_request(admitted, head, winner)),
        (None, Ok(())) => (refuse(admitted, None, Reason::NoRule), Vec::new()),
        (None, Err(reason)) => (refuse(admitted, None, reason), Vec::new()),
    };
    Explanation {
        listener: admitted.listener().id.to_string(),
        host: admitted.host.as_ref().map(Host::as_str).map(str::to_owned),
        path: admitted.path(head).to_owned(),
        candidates: record.candidates,
        outcome: outcome(&decision, is_grpc(head)),
        shares,
        steps: admitted.guards().iter().map(tasks::guard).chain(tasks::first(&decision, admitted, 0)).collect(),
        terms: tasks::terms(&decision, head),
    }
}

impl Candidate {
    fn new(tier: Tier<'_>, matched: &Match, verdict: Verdict) -> Self {
        let id = &matched.rule.id;
        Self {
            route: id.route.to_string(),
            rule: id.index,
            rule_name: id.name.as_deref().map(str::to_owned),
            index: matched.index,
            host: tier.to_string(),
            asks: matched.to_string(),
            verdict,
        }
    }
}

/// Writes down what each candidate came to.
struct Record<'a> {
    head: &'a Parts,
    authority: Option<&'a [u8]>,
    candidates: Vec<Candidate>,
    winner: Option<Stand<'a>>,
}

impl Record<'_> {
    fn push(&mut self, stand: Stand<'_>, verdict: Verdict) {
        self.candidates.push(Candidate::new(stand.tier, stand.matched, verdict));
    }

    /// Why a match does not hold.
    fn reason(&self, stand: Stand<'_>, miss: Miss) -> String {
        let matched = stand.matched;
        let reason = match miss {
            Miss::Method => matched.method.as_ref().map(|wanted| format!("method is {}, wanted {wanted}", self.head.method)),
            Miss::Path => Some(match matched.path {
                PathPattern::Call(_) => "service or method does not match".to_owned(),
                PathPattern::Exact(_) | PathPattern::Prefix(_) | PathPattern::Expression(_) | PathPattern::Stream => {
                    "path does not match".to_owned()
                }
            }),
            Miss::Header(index) => matched.headers.get(index).map(|header| {
                let value = quoted(Field::of(self.head, self.authority, &header.name).text());
                format!("header {} is {value}, wanted {}", header.name, header.value)
            }),
            Miss::Query(index) => matched.queries.get(index).map(|query| {
                let value = quoted(parameter(self.head, &query.name).map(|value| value.text()));
                format!("query parameter {} is {value}, wanted {}", query.name, query.value)
            }),
        };
        reason.unwrap_or_default()
    }
}

impl<'a> Visitor<'a> for Record<'a> {
    fn miss(&mut self, candidate: Stand<'a>, miss: Miss) {
        let reason = self.reason(candidate, miss);
        self.push(candidate, Verdict::Missed(reason));
    }

    fn hit(&mut self, candidate: Stand<'a>) -> ControlFlow<()> {
        let verdict = if self.winner.is_none() { Verdict::Won } else { Verdict::RankedLower };
        self.winner.get_or_insert(candidate);
        self.push(candidate, verdict);
        ControlFlow::Continue(())
    }

    fn too_long(&mut self, candidate: Stand<'a>, reason: &Reason) {
        self.push(candidate, Verdict::TooLong(reason.to_string()));
    }
}

fn outcome(decision: &Decision, is_grpc: bool) -> Outcome {
    match decision {
        Decision::Forward(forward) => {
            Outcome::Forward { backend: forward.backend.name.to_string(), endpoints: forward.backend.endpoints.len() }
        }
        Decision::Answer(answer) => {
            let location = answer.headers.iter().find(|(name, _)| *name == http::header::LOCATION);
            let location = location.map(|(_, value)| String::from_utf8_lossy(value.as_bytes()).into_owned());
            Outcome::Answer { status: answer.status.as_u16(), location }
        }
        Decision::Refuse(refusal) => {
            let grpc = is_grpc.then(|| refusal.reason.grpc_status());
            Outcome::Refuse { status: refusal.reason.status().as_u16(), grpc, because: refusal.reason.to_string() }
        }
    }
}

/// A value of a request for a person to read: without control characters, and not without end.
fn quoted(value: Option<String>) -> String {
    const LONGEST: usize = 100;
    let Some(value) = value else { return "absent".to_owned() };
    let shown: String = value.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    let more = if value.chars().nth(LONGEST).is_some() { "…" } else { "" };
    format!("`{shown}{more}`")
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.host.as_deref().unwrap_or("no host");
        writeln!(f, "{} answers for {host}; path {}", self.listener, self.path)?;
        for candidate in &self.candidates {
            writeln!(f, "  {candidate}")?;
        }
        shares::write(f, &self.outcome, &self.shares)?;
        self.steps.iter().try_for_each(|step| write!(f, "\n  first: {step}"))?;
        self.terms.iter().try_for_each(|term| write!(f, "\n  terms: {term}"))
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rule {}", self.route, self.rule)?;
        if let Some(name) = &self.rule_name {
            write!(f, " ({name})")?;
        }
        write!(f, " match {}, host {}, {}: {}", self.index, self.host, self.asks, self.verdict)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Won => f.write_str("wins"),
            Self::Missed(why) | Self::TooLong(why) => f.write_str(why),
            Self::RankedLower => f.write_str("holds, but ranks lower"),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forward { backend, endpoints: 1 } => write!(f, "forwarded to {backend}, which has one endpoint"),
            Self::Forward { backend, endpoints } => write!(f, "forwarded to {backend}, which has {endpoints} endpoints"),
            Self::Answer { status, location: Some(location) } => write!(f, "answered {status}, {location}"),
            Self::Answer { status, location: None } => write!(f, "answered {status}"),
            Self::Refuse { grpc: Some(status), because, .. } => write!(f, "refused with gRPC status {status}: {because}"),
            Self::Refuse { status, grpc: None, because } => write!(f, "refused with {status}: {because}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admit::admit;
    use crate::admit::fixture::{arrival, head};
    use crate::snapshot::fixture::{listener, marker, path, snapshot};
    use crate::snapshot::matching::Match;

    fn explained(candidates: Vec<(Option<&str>, Match)>, request: &str) -> Explanation {
        let routes: Vec<_> = candidates.into_iter().map(|(host, candidate)| candidate.at("a", host)).collect();
        let head = head(request);
        explain(&admit(&snapshot([listener("a", None)], routes), &arrival(), &head).unwrap(), &head)
    }

    #[test]
    fn every_candidate_that_was_met_says_what_it_came_to() {
        let on = |written: &str, name: &str| path(written, &marker(name));
        let explanation = explained(
            vec![
                (Some("shop.example"), on("/a/b", "method").with_method("PUT")),
                (Some("shop.example"), on("/a", "header").with_header("version", "2").with_header("x", "~[0-9]+")),
                (Some("shop.example"), on("/a", "absent").with_header("y", "1")),
                (Some("*.example"), on("~/b.*", "expression")),
                (Some("*.example"), on("/a", "query").with_query("q", "1")),
                (None, on("/a/b/c", "winner")),
                (None, on("/a/x", "another path")),
                (None, on("/", "lower")),
                (None, on("/", "neither").with_method("POST")),
            ],
            "GET shop.example/a/./b/c?q=%32\nversion: 2\nx: a\tb",
        );
        let expected = "Gateway test/gateway listener a answers for shop.example; path /a/b/c
  HTTPRoute test/method rule 0 match 0, host shop.example, prefix /a/b, method PUT: method is GET, wanted PUT
  HTTPRoute test/header rule 0 match 0, host shop.example, prefix /a, header version `2`, header x expression `[0-9]+`: \
header x is `a\\tb`, wanted expression `[0-9]+`
  HTTPRoute test/absent rule 0 match 0, host shop.example, prefix /a, header y `1`: header y is absent, wanted `1`
  HTTPRoute test/expression rule 0 match 0, host *.example, expression /b.*: path does not match
  HTTPRoute test/query rule 0 match 0, host *.example, prefix /a, query parameter q `1`: query parameter q is `2`, wanted `1`
  HTTPRoute test/winner rule 0 match 0, host *, prefix /a/b/c: wins
  HTTPRoute test/neither rule 0 match 0, host *, prefix /, method POST: method is GET, wanted POST
  HTTPRoute test/lower rule 0 match 0, host *, prefix /: holds, but ranks lower
refused with 500: a marker";
        assert_eq!(explanation.to_string(), expected);
    }

    #[test]
    fn an_explanation_is_data() {
        let candidates = vec![(None, path("~/long.*", &marker("long"))), (None, path("=/a", &marker("a")))];
        let explanation = explained(candidates.clone(), "GET shop.example/a");
        let json = serde_json::to_value(&explanation).unwrap();
        let expected = serde_json::json!({
            "listener": "Gateway test/gateway listener a", "host": "shop.example", "path": "/a",
            "candidates": [
                {"route": "HTTPRoute test/a", "rule": 0, "index": 0, "host": "*", "asks": "exact /a", "verdict": "won"},
                {"route": "HTTPRoute test/long", "rule": 0, "index": 0, "host": "*", "asks": "expression /long.*",
                 "verdict": "missed", "because": "path does not match"},
            ],
            "outcome": {"does": "refuse", "status": 500, "because": "a marker"}, "shares": [], "steps": [], "terms": [],
        });
        assert_eq!(json, expected);
        let explanation = explained(candidates, &format!("GET shop.example/long{}", "g".repeat(9000)));
        assert_eq!(explanation.candidates[0].verdict, Verdict::TooLong("the path is too long".to_owned()));
        assert_eq!(explanation.outcome, Outcome::Refuse { status: 414, grpc: None, because: "the path is too long".to_owned() });
    }
}
