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
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::admit::{Admitted, Reason, Refusal};
use crate::name::ObjectName;
use crate::snapshot::filters::{Reply, Step};
use crate::snapshot::matching::{Match, PathPattern};
use crate::snapshot::{Action, Backend, Listener, Persistence, Rule, Snapshot, Split, Target, TargetAction, Turn, cors};

mod course;
mod fields;
mod location;
mod preflight;
pub(crate) mod stream;
pub(crate) mod walk;

use course::Course;
pub use course::Task;
pub(crate) use fields::{Field, parameter};
use preflight::Preflight;
pub use stream::{StreamArrival, StreamDecision, StreamForward, decide_datagram, decide_stream};
use walk::{Miss, Stand, Visitor, walk};

/// What is to be done with a request.
#[derive(Clone, Debug)]
pub enum Decision {
    /// Perform the tasks, then answer without a backend.
    Answer(Answer),
    /// Perform the tasks, then forward.
    Forward(Forward),
    /// Answer with an error.
    Refuse(Refusal),
}

/// A response of our own: a redirect, a direct response or what a preflight asks for.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The rule.
    pub rule: Arc<Rule>,
    /// The listener.
    pub listener: Arc<Listener>,
    /// The status code.
    pub status: StatusCode,
    /// The headers, `Content-Length` excepted.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Bytes,
    /// What the match that won asks of the path.
    pub path: PathPattern,
    /// None for a preflight, which comes before all that a rule does.
    course: Option<Course>,
}

impl Answer {
    /// Whether it is the answer to a preflight.
    pub fn is_preflight(&self) -> bool {
        self.course.is_none()
    }

    /// What to do first, in order. What concerns responses is left out: edits are for those of backends, and what other origins
    /// are told stands among `headers`.
    pub fn tasks(&self) -> impl Iterator<Item = Task<'_>> {
        self.steps().filter_map(|(_, task)| task)
    }

    /// All steps of the rule and the chosen target, each with its task, where there is one for this request.
    pub(crate) fn steps(&self) -> impl Iterator<Item = (&Step, Option<Task<'_>>)> {
        let steps = self.course.iter().flat_map(|course| course.steps(&self.rule));
        steps.map(|(step, task)| (step, task.filter(|task| !matches!(task, Task::EditResponse(_) | Task::Cors(..)))))
    }
}

/// A request to forward. Holds all that performing it takes, so that the snapshot can be let go.
#[derive(Clone, Debug)]
pub struct Forward {
    /// The rule that won.
    pub rule: Arc<Rule>,
    /// The listener.
    pub listener: Arc<Listener>,
    /// The backend that was chosen. It has at least one endpoint.
    pub backend: Arc<Backend>,
    /// How the client stays with an endpoint of the backend.
    pub persistence: Option<Arc<Persistence>>,
    /// Bytes of the path that the matched prefix covers, without its trailing slash; what `ReplacePrefixMatch` replaces.
    pub matched_prefix: usize,
    /// What the match that won asks of the path.
    pub path: PathPattern,
    course: Course,
}

impl Forward {
    /// What to do, in order: the rule's steps, then the chosen target's.
    pub fn tasks(&self) -> impl Iterator<Item = Task<'_>> {
        self.course.tasks(&self.rule)
    }

    /// All steps of the rule and the chosen target, each with its task, where there is one for this request.
    pub(crate) fn steps(&self) -> impl Iterator<Item = (&Step, Option<Task<'_>>)> {
        self.course.steps(&self.rule)
    }
}

/// Decides an admitted request. `turns` takes the next turn of a rule with several targets, or of a mirror with a share
/// (`Turn::take`), or only looks at it (`Turn::peek`).
pub fn decide(admitted: &Admitted, head: &Parts, turns: impl FnMut(&Turn) -> u64) -> Decision {
    if !admitted.guards().is_empty() {
        return refuse(admitted, None, Reason::Unfiltered);
    }
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
pub(crate) fn perform(admitted: &Admitted, head: &Parts, winner: Stand<'_>, mut turns: impl FnMut(&Turn) -> u64) -> Decision {
    let Match { rule, path, .. } = &**winner.matched;
    let matched_prefix = match path {
        PathPattern::Prefix(prefix) => prefix.len(),
        PathPattern::Exact(_) | PathPattern::Expression(_) | PathPattern::Call(_) | PathPattern::Stream => {
            admitted.path(head).trim_end_matches('/').len()
        }
    };
    let case = Case { admitted, head, rule, path, matched_prefix };
    case.decide(&mut turns).unwrap_or_else(|reason| refuse(admitted, Some(winner.matched), reason))
}

/// A request and the rule that won it.
struct Case<'a> {
    admitted: &'a Admitted,
    head: &'a Parts,
    rule: &'a Arc<Rule>,
    path: &'a PathPattern,
    matched_prefix: usize,
}

impl<'a> Case<'a> {
    fn decide(&self, turns: &mut impl FnMut(&Turn) -> u64) -> Result<Decision, Reason> {
        let split = match &self.rule.action {
            Action::Fail(why) => return Err(Reason::Rule(Arc::clone(why))),
            Action::Reply(reply) => match self.preflight(&self.rule.steps) {
                Some(answer) => return Ok(answer),
                None => return self.reply(reply, None, turns),
            },
            Action::Forward(split) => split,
        };
        if let Some(answer) = self.preflight(&self.rule.steps) {
            return Ok(answer);
        }
        let (at, target) = choose(split, turns)?;
        if let Some(answer) = self.preflight(&target.steps) {
            return Ok(answer);
        }
        if let TargetAction::Reply(reply) = &target.action {
            return self.reply(reply, Some(at), turns);
        }
        let backend = Arc::clone(backend(&self.admitted.snapshot, target, &self.admitted.listener().gateway)?);
        let persistence = Persistence::holding(target.persistence.as_ref(), backend.persistence.as_ref()).cloned();
        let course = Course::of(self.admitted, self.head, self.rule, Some(at), turns)?;
        let (rule, listener, matched_prefix) = (Arc::clone(self.rule), self.listener(), self.matched_prefix);
        let path = self.path.clone();
        Ok(Decision::Forward(Forward { rule, listener, backend, persistence, matched_prefix, path, course }))
    }

    fn listener(&self) -> Arc<Listener> {
        Arc::clone(self.admitted.listener())
    }

    /// The answer to a preflight, where these steps have rules for other origins.
    fn preflight(&self, steps: &[Step]) -> Option<Decision> {
        let cors = Preflight::is(self.head).then(|| cors(steps)).flatten()?;
        let (rule, listener, status) = (Arc::clone(self.rule), self.listener(), StatusCode::NO_CONTENT);
        let (headers, path) = (cors.preflight(&self.head.headers), self.path.clone());
        Some(Decision::Answer(Answer { rule, listener, status, headers, body: Bytes::new(), path, course: None }))
    }

    /// The answer of a filter, of the rule or of the target with this index.
    fn reply(&self, reply: &Reply, target: Option<usize>, turns: &mut impl FnMut(&Turn) -> u64) -> Result<Decision, Reason> {
        let (status, mut headers, body) = match reply {
            Reply::Redirect(redirect) => {
                let location = location::of(self.admitted, self.head, redirect, self.matched_prefix).ok_or(Reason::BadTarget)?;
                (redirect.status, vec![(header::LOCATION, location)], Bytes::new())
            }
            Reply::Respond(response) => {
                let content_type = (!response.body.is_empty()).then(|| (header::CONTENT_TYPE, response.content_type.clone()));
                (response.status, content_type.into_iter().collect(), response.body.clone())
            }
        };
        let course = Course::of(self.admitted, self.head, self.rule, target, turns)?;
        for task in course.tasks(self.rule) {
            if let Task::Cors(cors, origin) = task {
                let said = cors.response(origin, &HeaderMap::new());
                headers.retain(|(name, _)| !said.iter().any(|(replaced, _)| replaced == name));
                headers.extend(said);
            }
        }
        let (rule, listener, path) = (Arc::clone(self.rule), self.listener(), self.path.clone());
        Ok(Decision::Answer(Answer { rule, listener, status, headers, body, path, course: Some(course) }))
    }
}

/// The target whose turn it is, with its index.
fn choose<'a>(split: &'a Split, turns: &mut impl FnMut(&Turn) -> u64) -> Result<(usize, &'a Target), Reason> {
    let at = match split.turn() {
        Some(turn) if split.targets().len() > 1 => split.pick(turns(turn)),
        _ => 0,
    };
    split.targets().get(at).map(|target| (at, target)).ok_or_else(|| Reason::Rule("the rule has no backend".into()))
}

/// The backend of a target, where it can be used.
fn backend<'a>(snapshot: &'a Snapshot, target: &Target, gateway: &ObjectName) -> Result<&'a Arc<Backend>, Reason> {
    let backend = found(snapshot, target)?;
    Reason::against(backend, gateway).map_or(Ok(backend), Err)
}

/// The backend of a target, whatever is known of it.
fn found<'a>(snapshot: &'a Snapshot, target: &Target) -> Result<&'a Arc<Backend>, Reason> {
    match &target.action {
        TargetAction::Forward(id) => snapshot.backend(*id).ok_or_else(|| invalid("nothing is known of the backend")),
        TargetAction::Fail(why) => Err(Reason::InvalidBackend(Arc::clone(why))),
        TargetAction::Reply(_) => Err(invalid("only HTTP can be answered")),
    }
}

fn invalid(why: &str) -> Reason {
    Reason::InvalidBackend(why.into())
}

/// A refusal after the listener is known.
pub(crate) fn refuse(admitted: &Admitted, matched: Option<&Match>, reason: Reason) -> Decision {
    let (rule, path) = matched.map(|matched| (Arc::clone(&matched.rule), matched.path.clone())).unzip();
    Decision::Refuse(Refusal { reason, listener: Some(Arc::clone(admitted.listener())), rule, path })
}

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
