//! Work that others carry out, by what it is about: when each is due, which is under way, and how long after a failure it is tried again.
//!
//! In: what is to be done, how it ended. Out: what may begin now. What the work is, it does not know.
//!
//! Invariants: of one thing only one piece of work is under way; what failed is tried again, each time after a longer pause.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Work by key.
#[derive(Debug)]
pub(super) struct Schedule<K> {
    due: BTreeMap<K, Instant>,
    /// Each with whether something was seen of it meanwhile.
    under_way: BTreeMap<K, bool>,
    /// How often in a row each has failed.
    failures: BTreeMap<K, u32>,
}

impl<K> Default for Schedule<K> {
    fn default() -> Self {
        Self { due: BTreeMap::new(), under_way: BTreeMap::new(), failures: BTreeMap::new() }
    }
}

impl<K: Ord + Clone> Schedule<K> {
    /// Something is to be done; where it failed before, once its pause is over.
    pub(super) fn add(&mut self, key: &K, now: Instant) {
        self.due.entry(key.clone()).or_insert(now);
    }

    /// Something is to be done now: whatever made it fail may be so no more.
    pub(super) fn hurry(&mut self, key: &K, now: Instant) {
        self.failures.remove(key);
        self.due.insert(key.clone(), now);
    }

    /// Nothing is to be done any more.
    pub(super) fn drop(&mut self, key: &K) {
        self.failures.remove(key);
        self.due.remove(key);
    }

    /// Something was seen of it: what the work under way tells may be older. Returns whether any is.
    pub(super) fn touch(&mut self, key: &K) -> bool {
        let under_way = self.under_way.get_mut(key);
        under_way.map(|is_seen| *is_seen = true).is_some()
    }

    /// What is due; each is to be begun, or needs nothing after all.
    pub(super) fn take(&mut self, now: Instant) -> Vec<K> {
        let ripe = self.due.iter().filter(|(key, at)| **at <= now && !self.under_way.contains_key(*key));
        let ripe: Vec<K> = ripe.map(|(key, _)| key.clone()).collect();
        for key in &ripe {
            self.due.remove(key);
        }
        ripe
    }

    /// Work is under way now.
    pub(super) fn begin(&mut self, key: &K) {
        self.under_way.insert(key.clone(), false);
    }

    /// Work came to its end. Returns whether something was seen meanwhile.
    pub(super) fn end(&mut self, key: &K, has_worked: bool, now: Instant) -> bool {
        if has_worked {
            self.failures.remove(key);
        } else {
            let failures = self.failures.entry(key.clone()).or_insert(0);
            *failures = failures.saturating_add(1);
            self.due.insert(key.clone(), now + pause(*failures));
        }
        self.under_way.remove(key).unwrap_or(false)
    }

    /// When something is due next.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.iter().filter(|(key, _)| !self.under_way.contains_key(*key)).map(|(_, at)| *at).min()
    }
}

/// How long to wait after so many failures in a row.
pub(super) fn pause(failures: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(LONGEST_PAUSE)
}

/// How long after its first failure something is tried again; then twice as long each time,
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// but never longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_tried_again_after_pauses_that_grow_up_to_a_limit_until_it_works() {
        let (mut schedule, mut now) = (Schedule::default(), Instant::now());
        schedule.add(&"a", now);
        let mut pauses = Vec::new();
        for _ in 0..9 {
            assert_eq!(schedule.take(now), ["a"]);
            schedule.begin(&"a");
            assert_eq!(schedule.next(), None, "it is under way");
            schedule.end(&"a", false, now);
            let next = schedule.next().unwrap();
            pauses.push((next - now).as_secs());
            schedule.add(&"a", now);
            assert!(schedule.take(now).is_empty(), "its pause is not over");
            now = next;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        schedule.take(now);
        schedule.begin(&"a");
        schedule.end(&"a", true, now);
        assert_eq!(schedule.next(), None);
    }

    #[test]
    fn one_piece_of_work_at_a_time_and_what_became_due_meanwhile_comes_after_it() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        schedule.hurry(&"a", now);
        schedule.take(now);
        schedule.begin(&"a");
        schedule.touch(&"a");
        schedule.hurry(&"a", now);
        assert!(schedule.take(now).is_empty());
        assert!(schedule.end(&"a", true, now), "something was seen meanwhile");
        assert_eq!(schedule.take(now), ["a"]);
    }
}
