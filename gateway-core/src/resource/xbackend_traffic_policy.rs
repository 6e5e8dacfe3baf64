//! XBackendTrafficPolicy: how much of a backend's traffic may be retries, and how clients stay with an endpoint.
//!
//! In: a policy as written. Out: the same with every default of the schema in place. Which of several policies counts is asked
//! elsewhere.

use serde::Deserialize;
use serde_json::Value;

use super::place::Place;
use super::report::Report;
use super::{Duration, LocalObjectRef, Meta, SessionPersistence, number, reference};

/// An XBackendTrafficPolicy as read.
#[derive(Clone, Debug, PartialEq)]
pub struct XBackendTrafficPolicy {
    /// Who it is.
    pub meta: Meta,
    /// What is wanted.
    pub spec: XBackendTrafficPolicySpec,
    /// The stored status, as it stands.
    pub status: Option<Value>,
}

/// The specification of an XBackendTrafficPolicy.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct XBackendTrafficPolicySpec {
    /// What it applies to, always as a whole.
    pub target_refs: Vec<LocalObjectRef>,
    /// When requests are not tried again; no limit when absent.
    #[serde(default)]
    pub retry_constraint: Option<RetryConstraint>,
    /// How clients stay with an endpoint.
    #[serde(default)]
    pub session_persistence: Option<SessionPersistence>,
}

impl XBackendTrafficPolicySpec {
    pub(super) fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self { target_refs, retry_constraint, session_persistence } = self;
        reference::check_targets(target_refs, &at.field("targetRefs"), report);
        if let Some(constraint) = retry_constraint {
            constraint.check(&at.field("retryConstraint"), report);
        }
        if let Some(persistence) = session_persistence {
            persistence.check(&at.field("sessionPersistence"), report);
        }
    }
}

/// When requests are not tried again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetryConstraint {
    /// The share of requests that may be retries.
    #[serde(default)]
    pub budget: RetryBudget,
    /// The rate of retries that is always permitted.
    #[serde(default)]
    pub min_retry_rate: RequestRate,
}

impl RetryConstraint {
    fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self { budget, min_retry_rate } = self;
        let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3600));
        if !(second..=hour).contains(&budget.interval) {
            let expected = format!("expected a duration from 1s to 1h, found {}", budget.interval);
            report.refuse(&at.field("budget").field("interval"), expected);
        }
        if min_retry_rate.interval.is_zero() || min_retry_rate.interval > hour {
            let expected = format!("expected a duration above 0s and up to 1h, found {}", min_retry_rate.interval);
            report.refuse(&at.field("minRetryRate").field("interval"), expected);
        }
    }
}

/// A share of the requests within a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RetryBudget {
    /// The share in percent; 20 unless stated.
    #[serde(deserialize_with = "number::percent")]
    pub percent: u8,
    /// The while; 10 s unless stated.
    pub interval: Duration,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self { percent: 20, interval: Duration::from_secs(10) }
    }
}

/// So many requests within a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RequestRate {
    /// So many; 10 unless stated.
    #[serde(deserialize_with = "number::million")]
    pub count: u32,
    /// The while; 1 s unless stated.
    pub interval: Duration,
}

impl Default for RequestRate {
    fn default() -> Self {
        Self { count: 10, interval: Duration::from_secs(1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Object;
    use crate::resource::fixture::{assert_accepted, assert_refused, document, many, object};

    const V1: &str = "gateway.networking.x-k8s.io/v1alpha1";

    fn with(fields: &str) -> String {
        format!("{{targetRefs: [{{group: '', kind: Service, name: s}}], {fields}}}")
    }

    #[test]
    fn what_is_left_out_is_filled_in() {
        for (fields, budget, rate) in [
            ("retryConstraint: {}", (20, 10), (10, 1)),
            ("retryConstraint: {budget: {percent: 5}, minRetryRate: {interval: 2s}}", (5, 10), (10, 2)),
            ("retryConstraint: {budget: {interval: 1h}, minRetryRate: {count: 1}}", (20, 3600), (1, 1)),
        ] {
            let yaml = document(V1, "XBackendTrafficPolicy", &format!("spec: {}", with(fields)));
            let Object::XBackendTrafficPolicy(policy) = object(&yaml) else { panic!("no policy") };
            let found = policy.spec.retry_constraint.unwrap();
            assert_eq!(found.budget, RetryBudget { percent: budget.0, interval: Duration::from_secs(budget.1) });
            assert_eq!(found.min_retry_rate, RequestRate { count: rate.0, interval: Duration::from_secs(rate.1) });
        }
    }

    #[test]
    fn budgets_and_targets_are_bounded() {
        assert_refused(
            V1,
            "XBackendTrafficPolicy",
            &[
                ("{}".to_owned(), "spec.targetRefs", "expected a value, found none"),
                ("{targetRefs: []}".to_owned(), "spec.targetRefs", "1 to 16 entries, found 0"),
                (format!("{{targetRefs: {}}}", many(17, "{group: '', kind: Service, name: s#}")), "spec.targetRefs", "found 17"),
                (
                    "{targetRefs: [{group: '', kind: Service, name: s}, {group: '', kind: Service, name: s}]}".to_owned(),
                    "spec.targetRefs[1]",
                    "a target of its own",
                ),
                (
                    "{targetRefs: [{group: '', kind: Service, name: s, sectionName: a}]}".to_owned(),
                    "spec.targetRefs[0].sectionName",
                    "a field of XBackendTrafficPolicy",
                ),
                (with("retryConstraint: {budget: {percent: 101}}"), "spec.retryConstraint.budget.percent", "from 0 to 100"),
                (with("retryConstraint: {budget: {interval: 999ms}}"), "spec.retryConstraint.budget.interval", "from 1s to 1h"),
                (with("retryConstraint: {budget: {interval: 1h1ms}}"), "spec.retryConstraint.budget.interval", "from 1s to 1h"),
                (
                    with("retryConstraint: {minRetryRate: {count: 0}}"),
                    "spec.retryConstraint.minRetryRate.count",
                    "from 1 to 1000000",
                ),
                (
                    with("retryConstraint: {minRetryRate: {interval: 0s}}"),
                    "spec.retryConstraint.minRetryRate.interval",
                    "above 0s",
                ),
                (
                    with("retryConstraint: {minRetryRate: {interval: 2h}}"),
                    "spec.retryConstraint.minRetryRate.interval",
                    "up to 1h",
                ),
                (with("sessionPersistence: {}"), "spec.sessionPersistence.cookie", "as the type is Cookie, found none"),
            ],
        );
        assert_accepted(V1, "XBackendTrafficPolicy", &[with("sessionPersistence: {cookie: {}}")]);
    }
}
