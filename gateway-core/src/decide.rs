//! The second half of verb two: the rule that wins an admitted request, and what is to be done.
//!
//! In: an admitted request, its head, and turns for weighted choices. Out: a `Decision`, which is data: the data plane performs it
//! and looks at no configuration of its own.
//!
//! Host names as routes write them come first, from the exact one over wildcards to none, each falling through to the next when
//! none of its rules matches; within a host the exact path, then expressions, then prefixes; then the rest of `Rank`.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode, header};

use crate::admit::{Admitted, Reason, Refusal};
use crate::snapshot::filters::{DirectResponse, Redirect, Step};
use crate::snapshot::matching::PathPattern;
use crate::snapshot::{Action, Backend, Listener, Rule, Split, Turn};

mod fields;
mod location;
pub(crate) mod walk;

pub(crate) use fields::{Field, parameter};
use walk::{Miss, Stand, Visitor, walk};

/// What is to be done with a request.
#[derive(Clone, Debug)]
pub enum Decision {
    /// Perform the rule's steps, then answer without a backend.
    Answer(Answer),
    /// Perform the rule's steps, then the target's, then forward.
    Forward(Forward),
    /// Answer with an error.
    Refuse(Refusal),
}

/// A response of our own: a redirect or a direct response.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The rule; its `steps` come before the answer.
    pub rule: Arc<Rule>,
    /// The listener.
    pub listener: Arc<Listener>,
    /// The status code.
    pub status: StatusCode,
    /// The headers, `Content-Length` excepted.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Bytes,
}

/// A request to forward.
#[derive(Clone, Debug)]
pub struct Forward {
    /// The rule that won.
    pub rule: Arc<Rule>,
    /// The listener.
    pub listener: Arc<Listener>,
    /// The backend that was chosen. It has at least one endpoint.
    pub backend: Arc<Backend>,
    /// Index of the chosen `backendRef` in the rule.
    pub(crate) target: usize,
    /// Bytes of the path that the matched prefix covers, without its trailing slash; what `ReplacePrefixMatch` replaces.
    pub matched_prefix: usize,
}

impl Forward {
    /// What to do first, in order: the rule's steps, then the chosen target's.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.rule.steps.iter().chain(self.rule.target_steps(self.target))
    }
}

/// Decides an admitted request. `turns` takes the next turn of a rule with several targets (`Turn::take`), or only looks at it
/// (`Turn::peek`).
pub fn decide(admitted: &Admitted, head: &Parts, turns: impl FnMut(&Turn) -> u64) -> Decision {
    let mut first = First(None);
    match (walk(admitted, head, &mut first), first.0) {
        (Err(reason), _) => refuse(admitted, None, reason),
        (Ok(()), None) => refuse(admitted, None, Reason::NoRule),
        (Ok(()), Some(winner)) => perform(admitted, head, winner, turns),
    }
}

/// Keeps the first match.
struct First<'a>(Option<Stand<'a>>);

impl<'a> Visitor<'a> for First<'a> {
    fn miss(&mut self, _: Stand<'a>, _: Miss) {}

    fn hit(&mut self, candidate: Stand<'a>) -> ControlFlow<()> {
        self.0 = Some(candidate);
        ControlFlow::Break(())
    }

    fn too_long(&mut self, _: Stand<'a>, _: &Reason) {}
}

/// What the winner's rule says is to be done.
pub(crate) fn perform(admitted: &Admitted, head: &Parts, winner: Stand<'_>, turns: impl FnMut(&Turn) -> u64) -> Decision {
    let rule = &winner.matched.rule;
    let matched_prefix = match &winner.matched.path {
        PathPattern::Prefix(prefix) => prefix.len(),
        PathPattern::Exact(_) | PathPattern::Expression(_) => admitted.path(head).trim_end_matches('/').len(),
    };
    match &rule.action {
        Action::Redirect(redirect) => answer_redirect(admitted, head, rule, redirect, matched_prefix),
        Action::Respond(response) => Decision::Answer(answer(admitted, rule, response)),
        Action::Fail(why) => refuse(admitted, Some(rule), Reason::Rule(Arc::clone(why))),
        Action::Forward(split) => match choose(admitted, split, turns) {
            Ok((target, backend)) => {
                let (rule, listener, backend) = (Arc::clone(rule), Arc::clone(admitted.listener()), Arc::clone(backend));
                Decision::Forward(Forward { rule, listener, backend, target, matched_prefix })
            }
            Err(reason) => refuse(admitted, Some(rule), reason),
        },
    }
}

/// The target whose turn it is, and its backend.
fn choose<'a>(
    admitted: &'a Admitted,
    split: &Split,
    mut turns: impl FnMut(&Turn) -> u64,
) -> Result<(usize, &'a Arc<Backend>), Reason> {
    let target = match split.turn() {
        Some(turn) if split.targets().len() > 1 => split.pick(turns(turn)),
        _ => 0,
    };
    let id = split.targets().get(target).and_then(|target| target.backend).ok_or(Reason::InvalidBackend)?;
    let backend = admitted.snapshot.backend(id).ok_or(Reason::InvalidBackend)?;
    if backend.endpoints.is_empty() { Err(Reason::NoEndpoint) } else { Ok((target, backend)) }
}

fn answer(admitted: &Admitted, rule: &Arc<Rule>, response: &DirectResponse) -> Answer {
    let mut headers = Vec::new();
    if !response.body.is_empty() {
        headers.push((header::CONTENT_TYPE, response.content_type.clone()));
    }
    let (rule, listener) = (Arc::clone(rule), Arc::clone(admitted.listener()));
    Answer { rule, listener, status: response.status, headers, body: response.body.clone() }
}

fn answer_redirect(admitted: &Admitted, head: &Parts, rule: &Arc<Rule>, redirect: &Redirect, matched_prefix: usize) -> Decision {
    let Some(location) = location::of(admitted, head, redirect, matched_prefix) else {
        return refuse(admitted, Some(rule), Reason::BadTarget);
    };
    let (rule, listener) = (Arc::clone(rule), Arc::clone(admitted.listener()));
    let headers = vec![(header::LOCATION, location)];
    Decision::Answer(Answer { rule, listener, status: redirect.status, headers, body: Bytes::new() })
}

/// A refusal after the listener is known.
pub(crate) fn refuse(admitted: &Admitted, rule: Option<&Arc<Rule>>, reason: Reason) -> Decision {
    Decision::Refuse(Refusal { reason, listener: Some(Arc::clone(admitted.listener())), rule: rule.cloned() })
}

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
