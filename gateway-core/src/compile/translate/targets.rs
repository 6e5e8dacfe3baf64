//! The backendRefs of a rule, translated (`BackendRef`), of all kinds of route.
//!
//! In: references, where they lead, what the filters of each came to. Out: what answers.

use std::sync::Arc;

use crate::condition::Reason;
use crate::snapshot::filters::Reply;
use crate::snapshot::{Action, BackendId, Persistence, Split, Target, TargetAction};

use super::super::fault::Fault;
use super::filters::Steps;
use super::turns::Turns;

/// A target. `leads` is where its reference leads.
pub(super) fn target(leads: &Result<BackendId, Fault>, own: Steps, persistence: Option<Arc<Persistence>>) -> Target {
    // A filter that leads nowhere fails the requests of its target, and of no other; so does an invalid reference, whatever a
    // filter would answer in its place.
    let action = match (leads, own.answer) {
        (Err(fault), _) => TargetAction::Fail(invalid(fault)),
        (Ok(_), Some(Err(why))) => TargetAction::Fail(why),
        (Ok(_), Some(Ok(reply))) => TargetAction::Reply(reply),
        (Ok(backend), None) => TargetAction::Forward(*backend),
    };
    Target { action, steps: own.steps.into(), persistence }
}

/// Why a reference leads to no backend, as ResolvedRefs says it.
pub(super) fn invalid((reason, why): &Fault) -> Arc<str> {
    format!("the backend reference is invalid: {why} ({reason})").into()
}

/// Refuses backendRefs beside a filter that answers.
pub(super) fn beside(answer: Option<&Result<Reply, Arc<str>>>, backends: usize) -> Result<(), Fault> {
    if backends > 0 && matches!(answer, Some(Ok(_))) {
        let message = "a rule with RequestRedirect or DirectResponse must have no backendRefs".to_owned();
        return Err((Reason::IncompatibleFilters, message));
    }
    Ok(())
}

/// What answers: a filter of the rule, or one of the targets by weight; the turns of the rule's last version go on.
pub(super) fn action(answer: Option<Result<Reply, Arc<str>>>, mut targets: Vec<(Target, u32)>, turns: &Turns<'_>) -> Action {
    let is_stated = !targets.is_empty();
    targets.retain(|(_, weight)| *weight > 0);
    match answer {
        Some(Ok(reply)) => Action::Reply(reply),
        Some(Err(why)) => Action::Fail(why),
        None if !is_stated => Action::Fail("the rule has no backendRefs".into()),
        None if targets.is_empty() => Action::Fail("all backendRefs of the rule have weight 0".into()),
        None => Action::Forward(share(targets, turns.split())),
    }
}

fn share(targets: Vec<(Target, u32)>, former: Option<&Split>) -> Split {
    let turn = || former.and_then(Split::turn).cloned().unwrap_or_default();
    let turn = (targets.len() > 1).then(turn);
    match former {
        Some(former) => Split::following(former, targets, turn),
        None => Split::new(targets, turn),
    }
}
