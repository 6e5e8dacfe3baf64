//! What the threads that apply changes have in common: they take in all that they were told meanwhile, and wake by themselves when time
//! alone changes something, or memory is to be given back.
//!
//! In: events, and when the compiler wants to be asked again. Out: when to go on. What is applied is the mode's own.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use gateway_core::compile::Fact;
use gateway_pingora::Gateway;

use crate::memory;

/// Waits for events, not beyond a moment: those that came, or none once it is over. `None` when nobody can send one any more.
pub(crate) fn wait<E>(events: &Receiver<E>, until: Option<Instant>) -> Option<Vec<E>> {
    let first = match until {
        Some(at) => events.recv_timeout(at.saturating_duration_since(Instant::now())),
        None => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
    };
    match first {
        Ok(event) => Some(std::iter::once(event).chain(events.try_iter().take(MOST_EVENTS)).collect()),
        Err(RecvTimeoutError::Timeout) => Some(Vec::new()),
        Err(RecvTimeoutError::Disconnected) => None,
    }
}

/// Tells a thread what the adapter finds out.
pub(crate) fn pass_on_facts<E: Send + 'static>(gateway: &Gateway, tell: Sender<E>, event: fn(Fact) -> E) {
    let mut facts = gateway.facts();
    tokio::spawn(async move {
        while let Some(fact) = facts.recv().await {
            if tell.send(event(fact)).is_err() {
                return;
            }
        }
    });
}

/// When to wake without being told.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    /// When time alone changes something.
    time_at: Option<Instant>,
    /// When memory is to be given back.
    rest_at: Option<Instant>,
}

impl Alarm {
    /// Something was applied at `time`; time alone changes something at `next`. Both are seconds since 1970.
    pub(crate) fn set(&mut self, time: i64, next: Option<i64>) {
        let now = Instant::now();
        let wait = next.map(|next| Duration::from_secs(u64::try_from(next - time).unwrap_or(0)) + REST);
        self.time_at = wait.map(|wait| now + wait.min(LONGEST_WAIT));
        self.rest_at = Some(now + REST);
    }

    /// When to wake.
    pub(crate) fn next(&self) -> Option<Instant> {
        [self.time_at, self.rest_at].into_iter().flatten().min()
    }

    /// Whether the compiler wants to be asked again.
    pub(crate) fn is_time(&self, now: Instant) -> bool {
        self.time_at.is_some_and(|at| at <= now)
    }

    /// Gives memory back, where it is time for that. `is_left` says whether more will be to give back a little later.
    pub(crate) fn rest(&mut self, now: Instant, is_left: impl FnOnce() -> bool) {
        if self.rest_at.is_some_and(|at| at <= now) {
            self.rest_at = is_left().then(|| now + REST);
            memory::give_back();
        }
    }
}

/// How long after the last change memory is given back.
const REST: Duration = Duration::from_secs(1);
/// How long the clock is left alone: it may be set meanwhile.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// How many events one turn takes in.
const MOST_EVENTS: usize = 10_000;

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn all_that_was_told_is_taken_in_at_once_and_nothing_when_nobody_tells() {
        let (tell, events) = channel();
        (0..3).for_each(|event| tell.send(event).unwrap());
        assert_eq!(wait(&events, None), Some(vec![0, 1, 2]));
        assert_eq!(wait(&events, Some(Instant::now())), Some(vec![]));
        drop(tell);
        assert_eq!(wait::<i32>(&events, None), None);
    }

    #[test]
    fn an_alarm_wakes_for_memory_once_and_for_time_as_long_as_that_is_over() {
        let mut alarm = Alarm::default();
        assert_eq!(alarm.next(), None);
        alarm.set(100, Some(110));
        let first = alarm.next().unwrap();
        assert!(!alarm.is_time(first));
        alarm.rest(first, || false);
        let second = alarm.next().unwrap();
        assert!(second - first >= Duration::from_secs(9) && alarm.is_time(second));
        alarm.set(100, None);
        let rest = alarm.next().unwrap();
        alarm.rest(rest, || true);
        assert_eq!(alarm.next(), Some(rest + REST));
        alarm.rest(rest + REST, || false);
        assert_eq!(alarm.next(), None);
    }
}
