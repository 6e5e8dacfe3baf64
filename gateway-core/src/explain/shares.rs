//! What becomes of the requests, connections or flows of a rule that shares them among several backendRefs.
//!
//! In: the rule that wins. Out: for each backendRef its share and what is done, decided by the functions that decide. Those of weight 0
//! take nothing and are not told.

use std::fmt;

use http::request::Parts;
use serde::Serialize;

use super::{Outcome, outcome, tasks};
use crate::admit::{Admitted, is_grpc};
use crate::decide::walk::Stand;
use crate::decide::{Decision, perform};
use crate::snapshot::{Rule, Turn};

/// What is done with what falls to one of several backendRefs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Share<O> {
    /// With how many of every `of`.
    pub weight: u64,
    /// The weight of all backendRefs together.
    pub of: u64,
    /// What is done.
    pub outcome: O,
    /// What the filters of the backendRef do before, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<String>,
}

/// The shares of a rule that wins a request.
pub(super) fn of_request(admitted: &Admitted, head: &Parts, winner: Stand<'_>) -> Vec<Share<Outcome>> {
    let rule = &winner.matched.rule;
    let mut all_are_preflights = true;
    let shares = of(rule, |turns| {
        let decision = perform(admitted, head, winner, turns);
        all_are_preflights &= matches!(&decision, Decision::Answer(answer) if answer.is_preflight());
        (outcome(&decision, is_grpc(head)), tasks::first(&decision, admitted, rule.steps.len()))
    });
    // What the rule itself answers is not shared.
    if all_are_preflights { Vec::new() } else { shares }
}

/// The shares of a rule; `done` is asked for each with turns that fall to it. Others are looked at and not taken.
pub(super) fn of<O>(rule: &Rule, mut done: impl FnMut(&dyn Fn(&Turn) -> u64) -> (O, Vec<String>)) -> Vec<Share<O>> {
    let Some((split, turn)) = rule.shared() else { return Vec::new() };
    let of = split.weights().iter().copied().map(u64::from).sum();
    let weights = split.weights().iter().enumerate();
    weights
        .map(|(target, weight)| {
            let at = split.turn_of(target);
            let (outcome, steps) = done(&|asked| if std::ptr::eq(asked, turn) { at } else { asked.peek() });
            Share { weight: u64::from(*weight), of, outcome, steps }
        })
        .collect()
}

/// Writes what is done next, and with which shares.
pub(super) fn write<O: fmt::Display>(f: &mut fmt::Formatter<'_>, outcome: &O, shares: &[Share<O>]) -> fmt::Result {
    let next = if shares.is_empty() { "" } else { "next: " };
    write!(f, "{next}{outcome}")?;
    shares.iter().try_for_each(|share| write!(f, "\n  share: {share}"))
}

impl<O: fmt::Display> fmt::Display for Share<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { weight, of, outcome, steps } = self;
        write!(f, "{weight} of {of} {outcome}")?;
        steps.iter().try_for_each(|step| write!(f, "; {step}"))
    }
}
