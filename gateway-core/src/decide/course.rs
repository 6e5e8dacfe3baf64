//! What is done with one request on its way: the steps of its rule and target, each with what this request makes of it.
//!
//! In: the rule, the target, the request's origin, turns. Out: tasks in order, with the backends they concern, so that nothing of
//! the snapshot is needed to perform them. A mirror whose turn it is not has no task.
//!
//! Invariants: an authorization has its backend, and that has an endpoint, or there is no course at all.

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderValue, header};

use crate::admit::{Admitted, Reason};
use crate::snapshot::filters::{Auth, Cors, Extension, HeaderEdits, Mirror, Rewrite, Step};
use crate::snapshot::{Backend, BackendId, Rule, Turn};

/// One thing to do with a request or with the response to it.
#[derive(Clone, Copy, Debug)]
pub enum Task<'a> {
    /// Edit the request's headers.
    EditRequest(&'a Arc<HeaderEdits>),
    /// Edit the headers of the backend's response.
    EditResponse(&'a Arc<HeaderEdits>),
    /// Change host or path.
    Rewrite(&'a Arc<Rewrite>),
    /// Send a copy of the request, as it now is, to this backend, and wait for nothing.
    Mirror(&'a Arc<Mirror>, &'a Arc<Backend>),
    /// Replace what the backend's response says to other origins; the request named this one.
    Cors(&'a Arc<Cors>, Option<&'a HeaderValue>),
    /// Ask this backend whether the request may pass, and go on only when it says so.
    Auth(&'a Arc<Auth>, &'a Arc<Backend>),
    /// Run a filter of the data plane.
    Extension(&'a Extension),
}

/// What this request makes of the steps of a rule.
#[derive(Clone, Debug)]
pub(super) struct Course {
    /// Of the target; none where the rule itself answers.
    target: Option<usize>,
    /// For each mirror and authorization in order, whom it concerns; `None` where it does not concern this request.
    asides: Vec<Option<Arc<Backend>>>,
    /// The origin, where any step asks for it.
    origin: Option<HeaderValue>,
}

impl Course {
    /// The course of a request by a rule, to a target of it. Turns of mirrors are taken here.
    pub(super) fn of(
        admitted: &Admitted,
        head: &Parts,
        rule: &Rule,
        target: Option<usize>,
        turns: &mut impl FnMut(&Turn) -> u64,
    ) -> Result<Self, Reason> {
        let mut course = Self { target, asides: Vec::new(), origin: None };
        let gateway = &admitted.listener().gateway;
        let find = |id: BackendId| admitted.snapshot.backend(id).filter(|backend| Reason::against(backend, gateway).is_none());
        for step in steps(rule, target) {
            match step {
                Step::Mirror(mirror) => {
                    let backend = mirror.backend.as_ref().ok().and_then(|id| find(*id));
                    let is_due = |_: &&Arc<Backend>| mirror.share.as_ref().is_none_or(|share| share.has(turns(share.turn())));
                    course.asides.push(backend.filter(is_due).cloned());
                }
                Step::Auth(auth) => course.asides.push(Some(Arc::clone(find(auth.backend).ok_or(Reason::NoAuthority)?))),
                Step::Cors(_) => course.origin = head.headers.get(header::ORIGIN).cloned(),
                Step::EditRequest(_) | Step::EditResponse(_) | Step::Rewrite(_) | Step::Extension(_) => {}
            }
        }
        Ok(course)
    }

    /// The tasks, in order.
    pub(super) fn tasks<'a>(&'a self, rule: &'a Rule) -> impl Iterator<Item = Task<'a>> {
        self.steps(rule).filter_map(|(_, task)| task)
    }

    /// The steps in order, each with its task; those of mirrors may have none.
    pub(super) fn steps<'a>(&'a self, rule: &'a Rule) -> impl Iterator<Item = (&'a Step, Option<Task<'a>>)> {
        let mut asides = self.asides.iter();
        steps(rule, self.target).map(move |step| {
            let task = match step {
                Step::EditRequest(edits) => Some(Task::EditRequest(edits)),
                Step::EditResponse(edits) => Some(Task::EditResponse(edits)),
                Step::Rewrite(rewrite) => Some(Task::Rewrite(rewrite)),
                Step::Mirror(mirror) => asides.next().and_then(Option::as_ref).map(|backend| Task::Mirror(mirror, backend)),
                Step::Cors(cors) => Some(Task::Cors(cors, self.origin.as_ref())),
                Step::Auth(auth) => asides.next().and_then(Option::as_ref).map(|backend| Task::Auth(auth, backend)),
                Step::Extension(extension) => Some(Task::Extension(extension)),
            };
            (step, task)
        })
    }
}

fn steps(rule: &Rule, target: Option<usize>) -> impl Iterator<Item = &Step> {
    rule.steps.iter().chain(target.map_or(&[][..], |target| rule.target_steps(target)))
}
