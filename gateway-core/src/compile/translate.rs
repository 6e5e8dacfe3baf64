//! From the rules of a route to rules and matches of the snapshot, one file per kind of route.
//!
//! In: a route and what its references lead to. Out: rules, matches, and what had to be dropped. Knows nothing of listeners.

pub(super) mod filters;
pub(super) mod http;
