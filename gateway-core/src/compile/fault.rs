//! What is wrong with something, as a condition will say it.

use crate::condition::Reason;

/// A reason for the machine and one for the person.
pub(super) type Fault = (Reason, String);
