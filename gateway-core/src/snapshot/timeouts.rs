//! How long the requests of a rule may take (`HTTPRouteTimeouts`).
//!
//! In: what the rule states. Out: that, with "none" told from "not stated". An expired limit is answered 504; where the response has
//! begun, it is cut.

use std::time::Duration;

/// The limits of a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// From the request's arrival to the end of its response, all attempts included.
    pub request: Timeout,
    /// Of one attempt at one backend.
    pub backend_request: Timeout,
}

/// One limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Timeout {
    /// Not stated: the data plane's own holds, if it has one.
    #[default]
    Unstated,
    /// `0s`: none, not even the data plane's own.
    Never,
    /// So long, at least a millisecond.
    After(Duration),
}

impl Timeout {
    /// The limit to keep, where the data plane's own is this.
    pub fn or(self, own: Option<Duration>) -> Option<Duration> {
        match self {
            Self::Unstated => own,
            Self::Never => None,
            Self::After(limit) => Some(limit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_switches_off_the_data_planes_own_limit_too() {
        let own = Some(Duration::from_secs(60));
        assert_eq!(Timeout::Unstated.or(own), own);
        assert_eq!(Timeout::Never.or(own), None);
        assert_eq!(Timeout::After(Duration::from_secs(1)).or(own), Some(Duration::from_secs(1)));
    }
}
