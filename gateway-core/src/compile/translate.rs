//! From the rules of a route to rules and matches of the snapshot, one file per kind of route and per kind of filter.
//!
//! In: a route and what its references lead to. Out: rules, matches, and what had to be dropped. Knows nothing of listeners.

pub(super) mod auth;
mod cors;
pub(super) mod filters;
mod headers;
pub(super) mod http;
mod limits;
mod mirror;
mod paths;
pub(super) mod persistence;
mod turns;

use crate::condition::Reason;

use super::fault::Fault;

/// A value that cannot be performed.
fn unsupported(message: String) -> Fault {
    (Reason::UnsupportedValue, message)
}
