//! Mirrors: copies of requests for a backend whose answers nobody waits for (`HTTPRequestMirrorFilter`).
//!
//! In: a backend and a share of requests. Out: for each turn, whether its request is copied. A copy goes to one endpoint and shows
//! what the steps before it made of the request; nothing that becomes of it changes the answer to the client.

use std::sync::Arc;

use crate::snapshot::backend::BackendId;
use crate::snapshot::split::{Cycle, Turn};

/// A `RequestMirror`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// Where copies go; or why they go nowhere, where the reference is invalid.
    pub backend: Result<BackendId, Arc<str>>,
    /// Of which requests; `None` for all.
    pub share: Option<Share>,
}

/// So many of every so many requests, exact over any window of turns. The turns are the mirror's own, so that shares of several
/// mirrors, and of targets, do not depend on each other.
#[derive(Clone, Debug)]
pub struct Share {
    numerator: u64,
    cycle: Cycle,
    turn: Arc<Turn>,
}

impl Share {
    /// `numerator` of every `denominator` requests; `None` where that is all of them.
    pub fn new(numerator: u32, denominator: u32, turn: Arc<Turn>) -> Option<Self> {
        let divisor = gcd(numerator, denominator).max(1);
        let (numerator, denominator) = (u64::from(numerator / divisor), u64::from(denominator / divisor));
        (numerator < denominator).then(|| Self { numerator, cycle: Cycle::of(denominator), turn })
    }

    /// Whether the request with this turn is among them.
    pub fn has(&self, turn: u64) -> bool {
        self.cycle.place(turn) < self.numerator
    }

    /// The counter of turns.
    pub fn turn(&self) -> &Arc<Turn> {
        &self.turn
    }

    /// How many of how many, without a divisor in common.
    pub fn fraction(&self) -> (u64, u64) {
        (self.numerator, self.cycle.length())
    }
}

impl PartialEq for Share {
    fn eq(&self, other: &Self) -> bool {
        let Self { numerator, cycle, turn } = self;
        *numerator == other.numerator && *cycle == other.cycle && Arc::ptr_eq(turn, &other.turn)
    }
}

impl Eq for Share {}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn none_is_never_and_all_is_no_share() {
        let share = |numerator, denominator| Share::new(numerator, denominator, Arc::default());
        assert_eq!(share(100, 100), None);
        assert_eq!(share(7, 0), None, "the API admits no denominator of 0");
        let never = share(0, 100).unwrap();
        assert!((0..1000).all(|turn| !never.has(turn)));
    }

    proptest! {
        #[test]
        fn a_share_is_exact_over_any_window_from_any_start(denominator in 1_u32..200, part in 0_u32..200, start in 0..u64::MAX / 2) {
            let numerator = part % denominator;
            let share = Share::new(numerator, denominator, Arc::default()).unwrap();
            let count = (start..start + u64::from(denominator)).filter(|turn| share.has(*turn)).count();
            prop_assert_eq!(count, numerator as usize);
        }
    }
}
