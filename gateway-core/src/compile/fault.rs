//! What is wrong with something, as a condition will say it.

use crate::condition::Reason;

/// A reason for the machine and one for the person.
pub(super) type Fault = (Reason, String);

/// Several faults as one: what each says, under the reason of the first, or that of a missing grant, which goes before all others
/// so that it is the same whatever else is wrong.
pub(super) fn together(faults: Vec<Fault>) -> Option<Fault> {
    let first = faults.iter().find(|(reason, _)| *reason == Reason::RefNotPermitted).or_else(|| faults.first());
    let reason = first.map(|(reason, _)| *reason)?;
    let messages: Vec<String> = faults.into_iter().map(|(_, message)| message).collect();
    Some((reason, messages.join("; ")))
}
