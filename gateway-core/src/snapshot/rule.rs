//! A rule of a route, ready to be performed: the steps before the backend, and what then answers.
//!
//! In: `HTTPRouteRule` as the compiler translated it. Out: data that `decide` hands on. A rule is immutable and shared by all its
//! matches on all its listeners.

use std::fmt;
use std::sync::Arc;

use super::backend::BackendId;
use super::filters::{Cors, Reply, Step};
use super::persistence::Persistence;
use super::retry::Retry;
use super::split::{Split, Turn};
use super::timeouts::Timeouts;
use crate::name::ObjectId;

/// Which rule: its route, and its place or name there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId {
    /// The route.
    pub route: ObjectId,
    /// Its index in `spec.rules`.
    pub index: usize,
    /// `spec.rules[].name`.
    pub name: Option<Arc<str>>,
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rule {}", self.route, self.index)?;
        self.name.as_ref().map_or(Ok(()), |name| write!(f, " ({name})"))
    }
}

/// A rule. Made by `new`; what it states beside steps and action is set after.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Which one.
    pub id: RuleId,
    /// The rule's filters in list order, those that answer excepted. Performed before `action`.
    pub steps: Box<[Step]>,
    /// What answers.
    pub action: Action,
    /// How long its requests may take.
    pub timeouts: Timeouts,
    /// When they are sent again; `None` for never.
    pub retry: Option<Retry>,
    /// Whether a failed connect may be tried on another endpoint: where the rule states no `retry` at all.
    pub repick: bool,
    /// Whether it, or a target of it, has rules for other origins.
    has_cors: bool,
}

impl Rule {
    /// A rule that states no more than what is done.
    pub fn new(id: RuleId, steps: Box<[Step]>, action: Action) -> Self {
        let has_cors = cors(&steps).is_some()
            || match &action {
                Action::Forward(split) => split.targets().iter().any(|target| cors(&target.steps).is_some()),
                Action::Reply(_) | Action::Fail(_) => false,
            };
        Self { id, steps, action, timeouts: Timeouts::default(), retry: None, repick: true, has_cors }
    }

    /// A rule whose requests are answered 500. The text says why.
    pub fn failing(id: RuleId, why: &str) -> Self {
        Self::new(id, Box::new([]), Action::Fail(why.into()))
    }

    /// The steps of the target with this index, performed after the rule's own.
    pub fn target_steps(&self, target: usize) -> &[Step] {
        match &self.action {
            Action::Forward(split) => split.targets().get(target).map_or(&[], |target| &target.steps),
            Action::Reply(_) | Action::Fail(_) => &[],
        }
    }

    /// The split of a rule that has several targets, and its counter of turns.
    pub(crate) fn shared(&self) -> Option<(&Split, &Turn)> {
        match &self.action {
            Action::Forward(split) if split.targets().len() > 1 => split.turn().map(|turn| (split, &**turn)),
            Action::Forward(_) | Action::Reply(_) | Action::Fail(_) => None,
        }
    }

    /// Whether preflights are answered for the rule, or for a target of it: they match it by what they ask about.
    pub(crate) fn has_cors(&self) -> bool {
        self.has_cors
    }
}

/// The rules for other origins among some steps.
pub(crate) fn cors(steps: &[Step]) -> Option<&Arc<Cors>> {
    steps.iter().find_map(|step| match step {
        Step::Cors(cors) => Some(cors),
        Step::EditRequest(_)
        | Step::EditResponse(_)
        | Step::Rewrite(_)
        | Step::Mirror(_)
        | Step::Auth(_)
        | Step::Extension(_) => None,
    })
}

/// What answers a request that a rule matched.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// A filter of the rule.
    Reply(Reply),
    /// One of the targets, by weight.
    Forward(Split),
    /// 500: the rule has no backend that could ever take a request, or was dropped as invalid. The text says why.
    Fail(Arc<str>),
}

/// One `backendRef` of a rule.
#[derive(Debug, PartialEq, Eq)]
pub struct Target {
    /// What answers the requests that fall to it.
    pub action: TargetAction,
    /// The reference's own filters, performed after the rule's.
    pub steps: Box<[Step]>,
    /// How clients stay with an endpoint of the backend, where the rule says so.
    pub persistence: Option<Arc<Persistence>>,
}

/// What answers a request that falls to a `backendRef`.
#[derive(Debug, PartialEq, Eq)]
pub enum TargetAction {
    /// A filter of the reference, in place of the backend.
    Reply(Reply),
    /// The backend.
    Forward(BackendId),
    /// 500: the reference or a filter of it is invalid. The text says which and why.
    Fail(Arc<str>),
}

impl Target {
    /// What answers, without more.
    pub fn new(action: TargetAction) -> Self {
        Self { action, steps: Box::new([]), persistence: None }
    }
}
