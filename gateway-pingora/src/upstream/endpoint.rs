//! What is known of one endpoint of one backend.
//!
//! In: how exchanges with it began and ended. Out: whether it is in use, and how loaded it is. All of it is atomic numbers: requests
//! on all threads share one endpoint without waiting for each other.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pingora_core::protocols::Digest;
use tokio::time::timeout;

use crate::tls::BackendHandshake;

/// One address of one backend.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) address: SocketAddr,
    /// Never the same for an address that left and came back.
    pub(super) epoch: u64,
    in_flight: AtomicU32,
    /// Average time to a response head, in microseconds; 0 before the first.
    latency: AtomicU64,
    /// When the average last moved (milliseconds, as `now`).
    sampled: AtomicU64,
    /// Failed exchanges in a row.
    failures: AtomicU32,
    /// Times it was ejected for failed exchanges in a row.
    relapses: AtomicU32,
    /// Out of use before this moment (milliseconds after the first); `UNTIL_PROBED` before a connect succeeds.
    ejected: AtomicU64,
    /// How often a connection to it did not prove what was asked.
    distrusted: AtomicU64,
}

impl Endpoint {
    pub(super) fn new(address: SocketAddr, epoch: u64) -> Self {
        Self {
            address,
            epoch,
            in_flight: AtomicU32::new(0),
            latency: AtomicU64::new(0),
            sampled: AtomicU64::new(0),
            failures: AtomicU32::new(0),
            relapses: AtomicU32::new(0),
            distrusted: AtomicU64::new(0),
            ejected: AtomicU64::new(0),
        }
    }

    pub(super) fn is_in_use(&self, now: u64) -> bool {
        self.ejected.load(Ordering::Relaxed) <= now
    }

    /// Whether it would likely answer one more request sooner than `other`. Latencies count where both are known and one is at least
    /// twice the other: less is noise, and would leave an endpoint without work for being a little further away.
    pub(super) fn beats(&self, other: &Self, now: u64) -> bool {
        let waiting = |endpoint: &Self| u64::from(endpoint.in_flight.load(Ordering::Relaxed)) + 1;
        let (mine, theirs) = (self.latency(now), other.latency(now));
        if mine.max(theirs) < 2 * mine.min(theirs) {
            return waiting(self) < waiting(other);
        }
        mine.saturating_mul(waiting(self)) < theirs.saturating_mul(waiting(other))
    }

    /// The average, halved again and again since it last moved, so that who was slow once is soon asked again. What is unknown or
    /// very short counts as a millisecond.
    fn latency(&self, now: u64) -> u64 {
        let age = now.saturating_sub(self.sampled.load(Ordering::Relaxed)) / HALVED_EVERY;
        (self.latency.load(Ordering::Relaxed) >> age.min(63)).max(SHORT)
    }

    /// Which of its connections may be met: when one did not prove what was asked, it and all made before it are left alone.
    pub(super) fn trusted(&self) -> u64 {
        self.distrusted.load(Ordering::Relaxed)
    }

    /// Takes it out of use until `restore`; false when it is already.
    pub(super) fn eject_until_probed(&self) -> bool {
        self.ejected.swap(UNTIL_PROBED, Ordering::Relaxed) != UNTIL_PROBED
    }

    /// Whether only a probe brings it back.
    pub(super) fn awaits_probe(&self) -> bool {
        self.ejected.load(Ordering::Relaxed) == UNTIL_PROBED
    }

    pub(super) fn restore(&self) {
        self.ejected.store(0, Ordering::Relaxed);
        self.failures.store(0, Ordering::Relaxed);
    }

    /// Counts a failed exchange; says for how long the endpoint is out of use now, if it is.
    pub(super) fn count_failure(&self) -> Option<Duration> {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if failures < TOLERATED { None } else { self.eject() }
    }

    /// The same for one that says of itself that it is not there: once is enough.
    pub(super) fn count_refusal(&self) -> Option<Duration> {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.eject()
    }

    /// Takes it out of use for a while, each time for longer; nothing when it is already.
    fn eject(&self) -> Option<Duration> {
        let now = now();
        if !self.is_in_use(now) {
            return None;
        }
        let relapses = self.relapses.fetch_add(1, Ordering::Relaxed);
        let time = (FIRST_EJECTION * 2u32.saturating_pow(relapses.min(10))).min(LAST_EJECTION);
        // Another thread may have ejected it meanwhile, which comes to the same.
        self.ejected.store(now + time.as_millis() as u64, Ordering::Relaxed);
        Some(time)
    }

    fn count_success(&self, latency: Duration) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
            self.relapses.store(0, Ordering::Relaxed);
        }
        self.count_latency(latency.as_micros() as u64, now());
    }

    /// The average as it counts now takes the sample in: neither a first sample nor one after a long while speaks for all. A lost
    /// update loses one sample of many.
    fn count_latency(&self, sample: u64, now: u64) {
        self.latency.store((self.latency(now) * 7 + sample) / 8, Ordering::Relaxed);
        self.sampled.store(now, Ordering::Relaxed);
    }
}

/// One exchange with an endpoint, from its choice to its end.
#[derive(Debug)]
pub(crate) struct Attempt {
    endpoint: Arc<Endpoint>,
    way: Way,
    began: Instant,
}

/// How an endpoint is reached.
#[derive(Clone, Debug)]
pub(super) struct Way {
    /// The handshake; none where nothing is encrypted.
    pub(super) handshake: Option<Arc<BackendHandshake>>,
    /// Connections of other numbers are of another kind, or not for the same Gateway.
    pub(super) pool: u64,
}

impl Attempt {
    pub(super) fn begin(endpoint: Arc<Endpoint>, way: Way) -> Self {
        endpoint.in_flight.fetch_add(1, Ordering::Relaxed);
        Self { endpoint, way, began: Instant::now() }
    }

    pub(super) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    pub(super) fn way(&self) -> &Way {
        &self.way
    }

    /// What a connection of one's own to the endpoint has to begin with.
    pub(crate) fn handshake(&self) -> Option<&Arc<BackendHandshake>> {
        self.way.handshake.as_ref()
    }

    /// Whether the endpoint at the other end of a connection that Pingora made has proven what was asked of it. To be asked before
    /// anything is sent, of a pooled connection too. One that has not is met by nobody else, though Pingora may have pooled it.
    ///
    /// # Errors
    /// Why it has not.
    pub(crate) async fn check(&self, met: Option<&Digest>, time: Duration) -> Result<(), String> {
        let Some(handshake) = &self.way.handshake else { return Ok(()) };
        let met = met.and_then(|digest| digest.ssl_digest.as_ref()).ok_or("the connection is not over TLS")?;
        let checked = timeout(time, handshake.check(self.address(), met)).await;
        let checked = checked.unwrap_or_else(|_| Err("its certificate could not be looked at in time".to_owned()));
        if checked.is_err() {
            self.endpoint.distrusted.fetch_add(1, Ordering::Relaxed);
        }
        checked
    }

    /// Whom it asks.
    pub(crate) fn address(&self) -> SocketAddr {
        self.endpoint.address
    }

    /// The request is about to be sent: what came before was not the endpoint's work.
    pub(crate) fn connected(&mut self) {
        self.began = Instant::now();
    }

    /// A response head came that speaks for the endpoint.
    pub(crate) fn succeeded(&self) {
        self.endpoint.count_success(self.began.elapsed());
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.endpoint.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Milliseconds since an arbitrary moment, never 0.
pub(super) fn now() -> u64 {
    static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);
    FIRST.elapsed().as_millis() as u64 + 1
}

/// Microseconds below which latencies are not told apart.
const SHORT: u64 = 1000;
/// Milliseconds without a sample that halve an average.
const HALVED_EVERY: u64 = 250;
const UNTIL_PROBED: u64 = u64::MAX;
/// Failed exchanges in a row that eject an endpoint.
const TOLERATED: u32 = 5;
const FIRST_EJECTION: Duration = Duration::from_secs(1);
const LAST_EJECTION: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_failures_in_a_row_eject_for_a_second_and_a_success_forgives() {
        let endpoint = Endpoint::new(([127, 0, 0, 1], 1).into(), 0);
        for _ in 0..4 {
            assert_eq!(endpoint.count_failure(), None);
        }
        endpoint.count_success(Duration::from_millis(1));
        for _ in 0..4 {
            assert_eq!(endpoint.count_failure(), None);
        }
        assert_eq!(endpoint.count_failure(), Some(FIRST_EJECTION));
        assert!(!endpoint.is_in_use(now()) && endpoint.is_in_use(now() + 1001));
        assert_eq!(endpoint.count_failure(), None, "it is out already");
        endpoint.ejected.store(0, Ordering::Relaxed);
        assert_eq!(endpoint.count_failure(), Some(2 * FIRST_EJECTION), "it relapsed");
    }

    #[test]
    fn one_slow_answer_does_not_leave_an_endpoint_without_work() {
        let (slow, other) = (Endpoint::new(([127, 0, 0, 1], 1).into(), 0), Endpoint::new(([127, 0, 0, 1], 2).into(), 1));
        other.count_latency(500, 1);
        slow.count_latency(4_000, 1);
        assert!(!other.beats(&slow, 1), "a first answer is one of many");
        slow.count_latency(100_000, 1);
        assert!(other.beats(&slow, 1));
        assert!(!other.beats(&slow, 1_001), "it is asked again within a second");
        slow.count_latency(500, 1_001);
        assert!(!other.beats(&slow, 1_001), "and what it was before is forgotten");
    }

    #[test]
    fn an_ejection_for_good_ends_with_a_probe() {
        let endpoint = Endpoint::new(([127, 0, 0, 1], 1).into(), 0);
        assert!(endpoint.eject_until_probed());
        assert!(!endpoint.eject_until_probed(), "it was already");
        assert!(!endpoint.is_in_use(now()));
        endpoint.restore();
        assert!(endpoint.is_in_use(now()));
    }
}
