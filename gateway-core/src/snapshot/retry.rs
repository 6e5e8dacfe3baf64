//! When a request is sent again (`HTTPRouteRetry`, GEP-1731).
//!
//! In: what the rule states, and how an attempt failed. Out: whether another may follow, how long to wait before it, and what to
//! answer when none follows. Nothing that a backend may have processed is sent twice unless its status is listed. The share of a
//! backend is decided before: other attempts go to other endpoints of the same backend.

use std::time::Duration;

use http::StatusCode;

/// A `retry` with at least one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How many attempts may follow the first.
    pub attempts: u32,
    /// The statuses of responses that call for another.
    pub codes: Box<[StatusCode]>,
    /// The base of the pauses between attempts.
    pub backoff: Duration,
}

/// How an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// There was no connection: refused, timed out, its TLS handshake failed, or a name was not resolved.
    NotConnected,
    /// The backend says that it has processed nothing: REFUSED_STREAM, a GOAWAY before the stream, UNAVAILABLE of gRPC.
    NotProcessed,
    /// A response with this status.
    Status(StatusCode),
    /// `timeouts.backendRequest` expired.
    Expired,
    /// The connection ended or was reset after the request was sent, so that it may have been processed.
    Broken,
}

impl Failure {
    /// What the client is answered when no other attempt follows.
    pub fn status(self) -> StatusCode {
        match self {
            Self::NotConnected | Self::NotProcessed => StatusCode::SERVICE_UNAVAILABLE,
            Self::Status(status) => status,
            Self::Expired => StatusCode::GATEWAY_TIMEOUT,
            Self::Broken => StatusCode::BAD_GATEWAY,
        }
    }
}

impl Retry {
    /// The base of pauses where none is stated.
    pub const BACKOFF: Duration = Duration::from_millis(25);

    /// Whether another attempt may follow the `made` ones, the last of which failed so.
    pub fn allows(&self, made: u32, failure: Failure) -> bool {
        // The first attempt is none of those that follow.
        made <= self.attempts
            && match failure {
                Failure::NotConnected | Failure::NotProcessed => true,
                Failure::Status(status) => self.codes.contains(&status),
                // As the 504 it would become.
                Failure::Expired => self.codes.contains(&StatusCode::GATEWAY_TIMEOUT),
                Failure::Broken => false,
            }
    }

    /// How long to wait after `made` attempts: the base, doubled with each up to ten times the base, of which `draw`, any number
    /// at all, takes away up to a half.
    pub fn pause(&self, made: u32, draw: u64) -> Duration {
        let doubled = self.backoff.saturating_mul(1_u32.checked_shl(made.saturating_sub(1)).unwrap_or(u32::MAX));
        let whole = doubled.min(self.backoff.saturating_mul(10));
        let half = whole / 2;
        let nanos = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX);
        whole.saturating_sub(Duration::from_nanos(draw % nanos.saturating_add(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry(attempts: u32, codes: &[u16]) -> Retry {
        let codes = codes.iter().map(|code| StatusCode::from_u16(*code).unwrap()).collect();
        Retry { attempts, codes, backoff: Retry::BACKOFF }
    }

    fn status(code: u16) -> Failure {
        Failure::Status(StatusCode::from_u16(code).unwrap())
    }

    #[test]
    fn attempts_are_those_beside_the_first() {
        let retry = retry(3, &[]);
        let allowed: Vec<_> = (1..=5).map(|made| retry.allows(made, Failure::NotConnected)).collect();
        assert_eq!(allowed, [true, true, true, false, false], "four tries in all");
    }

    #[test]
    fn pauses_grow_from_the_base_and_stay_below_ten_times_it() {
        let retry = retry(100, &[]);
        let pauses = |draw| [1, 2, 3, 4, 5, 100].map(|made| retry.pause(made, draw).as_millis());
        assert_eq!(pauses(0), [25, 50, 100, 200, 250, 250]);
        for made in [0, 1, 2, 33, u32::MAX] {
            for draw in [1, 12_345_678, u64::MAX] {
                let (pause, whole) = (retry.pause(made, draw), retry.pause(made, 0));
                assert!(pause <= whole && pause >= whole / 2 && !pause.is_zero(), "{pause:?} of {whole:?}");
            }
        }
        let long = Retry { backoff: Duration::MAX, ..retry };
        assert!(long.pause(5, u64::MAX) > Duration::ZERO);
    }

    #[test]
    fn an_exhausted_retry_ends_with_the_last_failures_own_code() {
        let codes = [Failure::NotConnected, Failure::NotProcessed, status(502), Failure::Expired, Failure::Broken];
        assert_eq!(codes.map(|failure| failure.status().as_u16()), [503, 503, 502, 504, 502]);
    }
}
