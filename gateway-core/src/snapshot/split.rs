//! Weighted choice among the targets of a rule: exact over any window, with a number of state per rule.
//!
//! In: weights, and turns. Out: which target. With `S` the sum of the weights divided by their greatest common divisor, turn `t`
//! falls at `(t mod S) · stride mod S`, a permutation of `0..S`: any `S` turns in a row meet each target exactly as often as its
//! weight says, from any start. The stride is chosen so that the targets alternate evenly.
//!
//! Invariants: the stride and `S` have no common divisor.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::rule::Target;

/// The targets of a rule with their shares.
#[derive(Debug)]
pub struct Split {
    targets: Box<[Target]>,
    /// Divided by their greatest common divisor.
    weights: Box<[u32]>,
    cycle: Cycle,
    turn: Option<Arc<Turn>>,
}

/// The places of turns in a cycle: each place once in a cycle, neighbours far apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cycle {
    length: u64,
    /// Has no divisor in common with the length.
    stride: u64,
}

impl Cycle {
    /// A cycle of this length, at least 1. Choosing its stride takes microseconds.
    pub(super) fn of(length: u64) -> Self {
        Self { length: length.max(1), stride: stride(length) }
    }

    /// As `of`, but the former one where the length is the same.
    fn following(former: Option<Self>, length: u64) -> Self {
        former.filter(|former| former.length == length).unwrap_or_else(|| Self::of(length))
    }

    /// The turn, less than the length, that has this place.
    fn turn_at(self, place: u64) -> u64 {
        // The inverse of the stride, by the extended algorithm of Euclid: they have no divisor in common.
        let length = i128::from(self.length);
        let (mut remainders, mut factors) = ((length, i128::from(self.stride)), (0, 1));
        while remainders.1 != 0 {
            let quotient = remainders.0 / remainders.1;
            remainders = (remainders.1, remainders.0 - quotient * remainders.1);
            factors = (factors.1, factors.0 - quotient * factors.1);
        }
        let inverse = u64::try_from(factors.0.rem_euclid(length)).unwrap_or(0);
        wide_remainder(place % self.length, inverse, self.length)
    }

    pub(super) fn length(self) -> u64 {
        self.length
    }

    /// The place of a turn, less than the length.
    pub(super) fn place(self, turn: u64) -> u64 {
        let turn = turn % self.length;
        match turn.checked_mul(self.stride) {
            Some(product) => product % self.length,
            None => wide_remainder(turn, self.stride, self.length),
        }
    }
}

/// A counter of turns. One per rule with several targets and one per sampled mirror, kept by the rule's next version, so that
/// shares survive changes. Core never advances it: whoever decides says how.
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

impl Split {
    /// Shares requests among targets, each with its weight. The caller left out targets of weight 0, and gives a turn when there
    /// are several. Choosing the stride takes microseconds: where a rule had a split before, use `following`.
    pub fn new(targets: Vec<(Target, u32)>, turn: Option<Arc<Turn>>) -> Self {
        Self::with(targets, turn, None)
    }

    /// As `new`, keeping the stride of a former split where the weights are the same.
    pub fn following(former: &Self, targets: Vec<(Target, u32)>, turn: Option<Arc<Turn>>) -> Self {
        Self::with(targets, turn, Some(former.cycle))
    }

    fn with(targets: Vec<(Target, u32)>, turn: Option<Arc<Turn>>, former: Option<Cycle>) -> Self {
        let (targets, mut weights): (Vec<_>, Vec<_>) = targets.into_iter().unzip();
        let divisor = weights.iter().copied().fold(0, |a, b| u32::try_from(gcd(a.into(), b.into())).unwrap_or(1));
        if divisor > 1 {
            weights.iter_mut().for_each(|weight| *weight /= divisor);
        }
        let cycle = Cycle::following(former, weights.iter().copied().map(u64::from).sum());
        Self { targets: targets.into(), weights: weights.into(), cycle, turn }
    }

    /// The index of the target whose turn it is.
    pub fn pick(&self, turn: u64) -> usize {
        if self.weights.len() < 2 {
            return 0;
        }
        let mut place = self.cycle.place(turn);
        for (target, weight) in self.weights.iter().enumerate() {
            let weight = u64::from(*weight);
            if place < weight {
                return target;
            }
            place -= weight;
        }
        0
    }

    /// The first turn that falls to the target with this index; `pick` gives the target back.
    pub(crate) fn turn_of(&self, target: usize) -> u64 {
        let place = self.weights.iter().take(target).copied().map(u64::from).sum();
        self.cycle.turn_at(place)
    }

    /// The targets, in the order of the rule's backendRefs.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// The weight of each target, divided by their greatest common divisor.
    pub fn weights(&self) -> &[u32] {
        &self.weights
    }

    /// The counter of turns, where there are several targets.
    pub fn turn(&self) -> Option<&Arc<Turn>> {
        self.turn.as_ref()
    }
}

impl PartialEq for Split {
    fn eq(&self, other: &Self) -> bool {
        let Self { targets, weights, cycle: _, turn } = self;
        let same_turn = match (turn, &other.turn) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        same_turn && *targets == other.targets && *weights == other.weights
    }
}

impl Eq for Split {}

/// The number near `sum / φ`, without a divisor in common with `sum`, whose multiples fall most evenly: its continued fraction
/// has the smallest largest quotient, and among those the smallest sum of quotients.
fn stride(sum: u64) -> u64 {
    const REACH: u64 = 32;
    if sum < 3 {
        return 1;
    }
    let centre = sum - sum.saturating_mul(382) / 1000;
    let around = centre.saturating_sub(REACH).max(1)..=centre.saturating_add(REACH).min(sum - 1);
    around.filter_map(|stride| Some((unevenness(sum, stride)?, stride))).min().map_or(1, |(_, stride)| stride)
}

/// The largest quotient in the continued fraction of `stride / sum` and the sum of all; `None` where the two have a common
/// divisor.
fn unevenness(sum: u64, stride: u64) -> Option<(u64, u64)> {
    let (mut a, mut b, mut largest, mut total) = (sum, stride, 0, 0);
    while b != 0 {
        largest = largest.max(a / b);
        total += a / b;
        (a, b) = (b, a % b);
    }
    (a == 1).then_some((largest, total))
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn wide_remainder(turn: u64, stride: u64, sum: u64) -> u64 {
    u64::try_from(u128::from(turn) * u128::from(stride) % u128::from(sum)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::rule::TargetAction;
    use super::*;

    fn target() -> Target {
        Target::new(TargetAction::Fail("nothing".into()))
    }

    fn split(weights: &[u32]) -> Split {
        Split::new(weights.iter().map(|weight| (target(), *weight)).collect(), None)
    }

    fn longest_run(weights: &[u32]) -> usize {
        let split = split(weights);
        let picks: Vec<_> = (0..2 * split.cycle.length).map(|turn| split.pick(turn)).collect();
        picks.chunk_by(|a, b| a == b).map(<[usize]>::len).max().unwrap()
    }

    #[test]
    fn targets_alternate() {
        assert_eq!(longest_run(&[1, 1]), 1);
        assert_eq!(longest_run(&[7, 7, 7]), 1);
        assert_eq!(longest_run(&[90, 10]), 9);
        assert!(longest_run(&[5, 1, 1]) <= 3);
        assert!(longest_run(&[50, 30, 20]) <= 2);
    }

    #[test]
    fn the_share_of_a_lone_target_is_everything() {
        assert_eq!(split(&[3]).pick(u64::MAX), 0);
        assert_eq!(split(&[3]).weights(), [1]);
    }

    #[test]
    fn a_following_split_shares_alike() {
        let (targets, weights) = ([(); 3], [3, 2, 9]);
        let former = split(&weights);
        let targets = targets.map(|()| target());
        let following = Split::following(&former, targets.into_iter().zip(weights).collect(), None);
        assert_eq!(following, former);
        assert_eq!(following.cycle, former.cycle);
    }

    #[test]
    fn weights_beyond_the_api_do_no_harm() {
        let split = split(&[u32::MAX, u32::MAX - 1, u32::MAX - 2]);
        for turn in [0, 1, u64::MAX / 2, u64::MAX] {
            assert!(split.pick(turn) < 3);
        }
    }

    proptest! {
        #[test]
        fn shares_are_exact_over_any_window_from_any_start(
            weights in prop::collection::vec(1_u32..60, 1..6), start in 0..u64::MAX / 2
        ) {
            let split = split(&weights);
            let mut count = vec![0_u32; weights.len()];
            for turn in start..start + split.cycle.length {
                // The counter wraps after 2^64 turns; within one lap shares are exact.
                count[split.pick(turn)] += 1;
            }
            prop_assert_eq!(&count[..], split.weights());
            for target in 0..weights.len() {
                prop_assert!(weights.len() == 1 || split.pick(split.turn_of(target)) == target);
            }
        }
    }
}
