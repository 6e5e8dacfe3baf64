//! Weighted choice among the targets of a rule: exact over any window, with a number of state per rule.
//!
//! In: weights, and turns. Out: which target. With `S` the sum of the weights divided by their greatest common divisor, turn `t`
//! falls at `(t mod S) · stride mod S`, a permutation of `0..S`: any `S` turns in a row meet each target exactly as often as its
//! weight says, from any start. The stride is chosen so that the targets alternate evenly.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::rule::Target;

/// The targets of a rule with their shares.
#[derive(Debug)]
pub struct Split {
    targets: Box<[Target]>,
    /// Divided by their greatest common divisor.
    weights: Box<[u32]>,
    sum: u32,
    stride: u32,
    turn: Option<Arc<Turn>>,
}

/// A counter of turns. One per rule with several targets, kept by the rule's next version, so that shares survive changes.
/// Core never advances it: whoever decides says how.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Turn(AtomicU64);

impl Turn {
    /// Takes the next turn: what a data plane gives to `decide`.
    pub fn take(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }

    /// The turn that would come next, left where it is: what `explain` does.
    pub fn peek(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
