//! How many of the requests to a backend may be retries (XBackendTrafficPolicy, GEP-3388).
//!
//! In: requests and retries as they happen. Out: whether one more retry is afforded. Counts of the last while are kept in ten slots,
//! so that what happened longer ago is forgotten step by step.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gateway_core::snapshot::RetryBudget;

use super::endpoint::now;

/// What happened at one backend of late.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) budget: RetryBudget,
    /// Retries included.
    requests: Window,
    retries: Window,
    recent: Window,
}

impl Ledger {
    pub(super) fn new(budget: RetryBudget) -> Self {
        let (interval, least) = (Window::new(budget.interval), Window::new(budget.least_interval));
        Self { budget, requests: interval, retries: Window::new(budget.interval), recent: least }
    }

    /// Takes note of a request that is no retry.
    pub(super) fn count_request(&self) {
        self.requests.count(now());
    }

    /// Whether one more retry is afforded; then it is counted.
    pub(super) fn affords_retry(&self) -> bool {
        self.affords_at(now())
    }

    fn affords_at(&self, now: u64) -> bool {
        let share = (self.retries.sum(now) + 1) * 100 <= u64::from(self.budget.percent) * (self.requests.sum(now) + 1);
        let is_afforded = share || self.recent.sum(now) < u64::from(self.budget.least);
        if is_afforded {
            [&self.requests, &self.retries, &self.recent].into_iter().for_each(|window| window.count(now));
        }
        is_afforded
    }
}

/// How often something happened within a time.
#[derive(Debug)]
struct Window {
    /// Milliseconds of one slot.
    step: u64,
    /// Each holds the number of its step, and in the lower half how often it happened then.
    slots: [AtomicU64; SLOTS],
}

impl Window {
    fn new(time: Duration) -> Self {
        let step = u64::try_from(time.as_millis()).unwrap_or(u64::MAX) / (SLOTS as u64 - 1);
        Self { step: step.max(1), slots: std::array::from_fn(|_| AtomicU64::new(0)) }
    }

    fn count(&self, now: u64) {
        let tick = now / self.step;
        let slot = &self.slots[(tick % SLOTS as u64) as usize];
        let counted = |held: u64| {
            let count = if held >> 32 == tick & HALF { held & HALF } else { 0 };
            Some((tick & HALF) << 32 | (count + 1).min(HALF))
        };
        // The closure always gives a value.
        let _ = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, counted);
    }

    fn sum(&self, now: u64) -> u64 {
        let tick = now / self.step;
        let held = self.slots.iter().map(|slot| slot.load(Ordering::Relaxed));
        held.filter(|held| (tick & HALF).wrapping_sub(held >> 32) < SLOTS as u64).map(|held| held & HALF).sum()
    }
}

const SLOTS: usize = 11;
const HALF: u64 = u32::MAX as u64;

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(percent: u8, least: u32) -> Ledger {
        let (interval, least_interval) = (Duration::from_secs(10), Duration::from_secs(1));
        Ledger::new(RetryBudget { percent, interval, least, least_interval })
    }

    #[test]
    fn retries_are_a_share_of_the_requests_of_the_interval() {
        let ledger = ledger(20, 0);
        (0..100).for_each(|_| ledger.requests.count(5_000));
        let afforded = (0..100).filter(|_| ledger.affords_at(5_000)).count();
        assert_eq!(afforded, 25, "of 125 requests they are a fifth");
        assert!(!ledger.affords_at(14_900), "the interval is not over");
        assert!(!ledger.affords_at(30_000), "there was no request of late that they could be a share of");
    }

    #[test]
    fn a_least_number_is_afforded_in_any_case() {
        let ledger = ledger(0, 3);
        let afforded = |now| (0..10).filter(|_| ledger.affords_at(now)).count();
        assert_eq!((afforded(1_000), afforded(1_900), afforded(2_200)), (3, 0, 3));
    }
}
