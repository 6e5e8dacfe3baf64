//! A rule of a route, ready to be performed: the steps before the backend, and what then answers.
//!
//! In: `HTTPRouteRule` as the compiler translated it. Out: data that `decide` hands on. A rule is immutable and shared by all its
//! matches on all its listeners.

use std::fmt;
use std::sync::Arc;

use super::backend::BackendId;
use super::filters::{DirectResponse, Redirect, Step};
use super::split::Split;
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

/// A rule.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Which one.
    pub id: RuleId,
    /// The rule's filters in list order, those that answer excepted. Performed before `action`.
    pub steps: Box<[Step]>,
    /// What answers.
    pub action: Action,
    /// Whether a failed connect may be tried on another endpoint: false for `retry: {attempts: 0}`.
    pub repick: bool,
}

impl Rule {
    /// The steps of the target with this index, performed after the rule's own.
    pub fn target_steps(&self, target: usize) -> &[Step] {
        match &self.action {
            Action::Forward(split) => split.targets().get(target).map_or(&[], |target| &target.steps),
            Action::Redirect(_) | Action::Respond(_) | Action::Fail(_) => &[],
        }
    }
}

/// What answers a request that a rule matched.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// A redirect (`RequestRedirect`).
    Redirect(Redirect),
    /// A fixed response (`DirectResponse`).
    Respond(Arc<DirectResponse>),
    /// One of the targets, by weight.
    Forward(Split),
    /// 500: the rule has no backend that could ever take a request, or was dropped as invalid. The text says why.
    Fail(Arc<str>),
}

/// One `backendRef` of a rule.
#[derive(Debug, PartialEq, Eq)]
pub struct Target {
    /// The backend; `None` where the reference is invalid, and its share of requests is answered 500.
    pub backend: Option<BackendId>,
    /// The reference's own filters, performed after the rule's.
    pub steps: Box<[Step]>,
}
