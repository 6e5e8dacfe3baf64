//! The turns of a rule, which go on in the rule's next version: shares stay exact while the configuration changes.
//!
//! In: a rule's last version. Out: a counter for each purpose: the one the last version had for it, or a new one. Purposes are told
//! apart by where a filter stands and by its backend, so that filters that come, go or move keep the turns of the others.

use std::sync::Arc;

use crate::snapshot::filters::Step;
use crate::snapshot::{Action, BackendId, Rule, Split, TargetAction, Turn};

/// The counters of a rule's last version that are not taken over yet.
#[derive(Debug)]
pub(super) struct Turns<'a> {
    split: Option<&'a Split>,
    mirrors: Vec<(Place, BackendId, &'a Arc<Turn>)>,
    place: Place,
}

/// Where the filters stand that are being translated: at the rule, or at the backendRef to a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Rule,
    Target(Option<BackendId>),
}

impl<'a> Turns<'a> {
    /// Those of a rule's last version.
    pub(super) fn of(former: Option<&'a Rule>) -> Self {
        let split = former.and_then(|rule| match &rule.action {
            Action::Forward(split) => Some(split),
            Action::Reply(_) | Action::Fail(_) => None,
        });
        let targets = split.into_iter().flat_map(Split::targets);
        let of_targets = targets.flat_map(|target| {
            let backend = if let TargetAction::Forward(backend) = target.action { Some(backend) } else { None };
            shared(&target.steps, Place::Target(backend))
        });
        let mirrors = former.into_iter().flat_map(|rule| shared(&rule.steps, Place::Rule)).chain(of_targets).collect();
        Self { split, mirrors, place: Place::Rule }
    }

    /// The filters translated from now on stand there.
    pub(super) fn enter(&mut self, place: Place) {
        self.place = place;
    }

    /// The counter of a mirror to this backend.
    pub(super) fn of_mirror(&mut self, backend: BackendId) -> Arc<Turn> {
        let place = self.place;
        match self.mirrors.iter().position(|(known, to, _)| (*known, *to) == (place, backend)) {
            // Of several mirrors to one backend, the first in the list keeps the first's.
            Some(at) => Arc::clone(self.mirrors.remove(at).2),
            None => Arc::default(),
        }
    }

    /// What the requests of the last version were shared by.
    pub(super) fn split(&self) -> Option<&'a Split> {
        self.split
    }
}

/// Whether a rule has any turn to go on with.
pub(super) fn has_turns(rule: &Rule) -> bool {
    let mut turns = Turns::of(Some(rule));
    turns.split.is_some_and(|split| split.turn().is_some()) || turns.mirrors.pop().is_some()
}

fn shared(steps: &[Step], place: Place) -> impl Iterator<Item = (Place, BackendId, &Arc<Turn>)> {
    steps.iter().filter_map(move |step| match step {
        Step::Mirror(mirror) => {
            let backend = *mirror.backend.as_ref().ok()?;
            mirror.share.as_ref().map(|share| (place, backend, share.turn()))
        }
        Step::EditRequest(_) | Step::EditResponse(_) | Step::Rewrite(_) | Step::Cors(_) | Step::Auth(_) | Step::Extension(_) => {
            None
        }
    })
}
