//! What stored objects violate of the schema, as faults for conditions.
//!
//! In: the metadata of an object as read. Out: a fault of the part asked about, or none, which is nearly always. A violation of one
//! rule or listener is a fault of that alone.

use crate::condition::Reason;
use crate::resource::{Invalid, Meta};

use super::fault::Fault;

/// Why a rule of a route cannot be performed.
pub(super) fn of_rule(meta: &Meta, index: usize) -> Option<Fault> {
    fault(Reason::UnsupportedValue, meta.violations.within(RULES, index))
}

/// Why a route as a whole cannot be accepted.
pub(super) fn of_route(meta: &Meta) -> Option<Fault> {
    fault(Reason::UnsupportedValue, meta.violations.outside(RULES))
}

/// What an object violates that is read as a whole or not at all.
pub(super) fn of_object(meta: &Meta) -> Option<String> {
    told(meta.violations.all().iter())
}

/// Why a Gateway as a whole cannot be accepted. A namespace of what is in none is a fault of that reference alone.
pub(super) fn of_gateway(meta: &Meta) -> Option<Fault> {
    let is_reference = |path: &str| path.contains(".caCertificateRefs[") && path.ends_with(".namespace");
    let violations = meta.violations.outside(LISTENERS).filter(|violation| !is_reference(&violation.path));
    fault(Reason::Invalid, violations)
}

/// Why a listener cannot be accepted. That it is like another is for those to settle who compare them.
pub(super) fn of_listener(meta: &Meta, index: usize) -> Option<Fault> {
    let violations = meta.violations.within(LISTENERS, index).filter(|violation| !violation.path.ends_with(']'));
    fault(Reason::UnsupportedValue, violations)
}

/// Whether a listener states in due form where it stands: its port, protocol and host name.
pub(super) fn has_place(meta: &Meta, index: usize) -> bool {
    let is_place = |violation: &Invalid| [".port", ".protocol", ".hostname"].iter().any(|field| violation.path.ends_with(field));
    !meta.violations.within(LISTENERS, index).any(is_place)
}

/// Why a ListenerSet as a whole cannot be accepted.
pub(super) fn of_listener_set(meta: &Meta) -> Option<String> {
    told(meta.violations.outside(LISTENERS))
}

fn fault<'a>(reason: Reason, violations: impl Iterator<Item = &'a Invalid>) -> Option<Fault> {
    told(violations).map(|message| (reason, message))
}

fn told<'a>(mut violations: impl Iterator<Item = &'a Invalid>) -> Option<String> {
    let Invalid { object: _, path, expected } = violations.next()?;
    let more = violations.count();
    let others = if more == 0 { String::new() } else { format!("; and {more} more violations of the schema") };
    Some(format!("{path}: {expected}{others}"))
}

const RULES: &str = "spec.rules";
const LISTENERS: &str = "spec.listeners";
