//! What stored objects violate of the schema, as faults for conditions.
//!
//! In: the metadata of an object as read. Out: a fault of the part asked about, or none, which is nearly always. A violation of one
//! rule or listener is a fault of that alone.

use crate::condition::Reason;
use crate::resource::{Invalid, Meta};

use super::gateway::Fault;

/// Why a rule of a route cannot be performed.
pub(super) fn of_rule(meta: &Meta, index: usize) -> Option<Fault> {
    fault(Reason::UnsupportedValue, meta.violations.within(RULES, index))
}

/// Why a route as a whole cannot be accepted.
pub(super) fn of_route(meta: &Meta) -> Option<Fault> {
    fault(Reason::UnsupportedValue, meta.violations.outside(RULES))
}

fn fault<'a>(reason: Reason, mut violations: impl Iterator<Item = &'a Invalid>) -> Option<Fault> {
    let Invalid { object: _, path, expected } = violations.next()?;
    let more = violations.count();
    let others = if more == 0 { String::new() } else { format!("; and {more} more violations of the schema") };
    Some((reason, format!("{path}: {expected}{others}")))
}

const RULES: &str = "spec.rules";
