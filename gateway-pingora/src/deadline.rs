//! How long a request and each of its attempts may take (`HTTPRouteTimeouts`).
//!
//! In: the limits of the rule, and when the request arrived and an attempt began. Out: the patience that is left for whatever is
//! waited for, and which limit has passed. Where a rule states none there is none: a long poll or a stream of events is not cut.
//!
//! Pingora waits for each read anew, and its timers count in hundredths of a second: a response whose head is late is answered 504 on
//! time, one whose body goes on too long is cut at the first piece after its limit, and one that stops after it has begun no later
//! than as long again.

use std::time::{Duration, Instant};

use gateway_core::snapshot::Timeouts;

/// The limits of one request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Deadlines {
    request: Option<Instant>,
    per_attempt: Option<Duration>,
    attempt: Option<Instant>,
}

/// Which limit has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expired {
    /// `timeouts.request`.
    Request,
    /// `timeouts.backendRequest`.
    Attempt,
}

impl Deadlines {
    /// The limits of a request that arrived at this moment.
    pub(crate) fn of(timeouts: Timeouts, arrived: Instant) -> Self {
        // One beyond all time is none.
        let request = timeouts.request.or(None).and_then(|limit| arrived.checked_add(limit));
        Self { request, per_attempt: timeouts.backend_request.or(None), attempt: None }
    }

    /// An attempt is about to be made, which `started` will tell once it is connected.
    pub(crate) fn prepare(&mut self) {
        self.attempt = None;
    }

    /// The request begins to be sent.
    pub(crate) fn started(&mut self, now: Instant) {
        self.attempt = self.per_attempt.and_then(|limit| now.checked_add(limit));
    }

    /// What is left of the request's time; `None` for any time at all.
    pub(crate) fn left(&self, now: Instant) -> Option<Duration> {
        self.request.map(|request| request.saturating_duration_since(now))
    }

    /// How long an attempt that begins now may be waited for.
    pub(crate) fn patience(&self, now: Instant) -> Option<Duration> {
        [self.left(now), self.per_attempt].into_iter().flatten().min()
    }

    /// The limit for which something was waited in vain: timers may be a moment early, and count from a moment before.
    pub(crate) fn waited(&self, now: Instant) -> Option<Expired> {
        let nearest = match (self.request, self.attempt) {
            (Some(request), Some(attempt)) if attempt < request => Some(Expired::Attempt),
            (Some(_), _) => Some(Expired::Request),
            (None, attempt) => attempt.map(|_| Expired::Attempt),
        };
        self.expired(now).or(nearest)
    }

    /// The limit that has passed, the request's own before that of the attempt.
    pub(crate) fn expired(&self, now: Instant) -> Option<Expired> {
        let is_over = |limit: Option<Instant>| limit.is_some_and(|limit| limit <= now);
        match (is_over(self.request), is_over(self.attempt)) {
            (true, _) => Some(Expired::Request),
            (false, true) => Some(Expired::Attempt),
            (false, false) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use gateway_core::snapshot::Timeout;

    use super::*;

    #[test]
    fn the_shorter_of_what_is_left_and_what_an_attempt_may_take_is_waited_for() {
        let (arrived, ms) = (Instant::now(), Duration::from_millis);
        let timeouts = Timeouts { request: Timeout::After(ms(700)), backend_request: Timeout::After(ms(300)) };
        let mut deadlines = Deadlines::of(timeouts, arrived);
        assert_eq!(deadlines.patience(arrived), Some(ms(300)));
        assert_eq!(deadlines.patience(arrived + ms(600)), Some(ms(100)));
        deadlines.started(arrived + ms(200));
        assert_eq!(deadlines.expired(arrived + ms(499)), None);
        assert_eq!(deadlines.waited(arrived + ms(499)), Some(Expired::Attempt));
        assert_eq!(deadlines.expired(arrived + ms(500)), Some(Expired::Attempt));
        assert_eq!(deadlines.expired(arrived + ms(700)), Some(Expired::Request));
        deadlines.prepare();
        assert_eq!(deadlines.expired(arrived + ms(600)), None, "the next one has a time of its own");
    }

    #[test]
    fn without_limits_nothing_expires() {
        let now = Instant::now();
        for timeouts in [Timeouts::default(), Timeouts { request: Timeout::Never, backend_request: Timeout::Never }] {
            let mut deadlines = Deadlines::of(timeouts, now);
            deadlines.started(now);
            assert_eq!((deadlines.patience(now), deadlines.expired(now + Duration::from_secs(1 << 30))), (None, None));
            assert_eq!(deadlines.waited(now), None);
        }
        let forever = Timeouts { request: Timeout::After(Duration::MAX), backend_request: Timeout::Unstated };
        assert_eq!(Deadlines::of(forever, now).left(now), None);
    }
}
