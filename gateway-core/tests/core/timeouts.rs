//! Time limits and retries of rules as data (`HTTPRouteTimeouts`, `HTTPRouteRetry`).

use std::time::Duration;

use gateway_core::snapshot::{Failure, Retry, Rule, Timeout, Timeouts};
use http::StatusCode;

use super::world::{World, service};

fn world(fields: &str) -> World {
    World::of(&format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: infra}}
spec: {{gatewayClassName: c, listeners: [{{name: http, port: 80, protocol: HTTP}}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: r, namespace: infra}}
spec: {{parentRefs: [{{name: gw}}], rules: [{{{fields}backendRefs: [{{name: s, port: 80}}]}}]}}
{}",
        service("infra", "s", "10.0.0.1")
    ))
}

fn rule(fields: &str) -> std::sync::Arc<Rule> {
    world(fields).forwarded("GET", "http://h/", &[]).rule
}

fn retry(fields: &str) -> Option<Retry> {
    rule(&format!("retry: {{{fields}}}, ")).retry.clone()
}

fn status(code: u16) -> Failure {
    Failure::Status(StatusCode::from_u16(code).expect("a status"))
}

/// HTTPRouteTimeoutRequest, HTTPRouteTimeoutBackendRequest; §9 item 25: "`0s` overriding defaults".
#[test]
fn a_timeout_of_0s_is_none_at_all_and_an_absent_one_is_the_data_planes() {
    let of = |fields: &str| rule(fields).timeouts;
    assert_eq!(of(""), Timeouts { request: Timeout::Unstated, backend_request: Timeout::Unstated });
    let both = of("timeouts: {request: 10s, backendRequest: 500ms}, ");
    assert_eq!(both.request, Timeout::After(Duration::from_secs(10)));
    assert_eq!(both.backend_request, Timeout::After(Duration::from_millis(500)));
    let off = of("timeouts: {request: 0s}, ");
    assert_eq!((off.request, off.backend_request), (Timeout::Never, Timeout::Unstated));
    let own = Some(Duration::from_secs(60));
    assert_eq!((off.request.or(own), off.backend_request.or(own)), (None, own));
    let any = of("timeouts: {request: 0s, backendRequest: 1h}, ");
    assert_eq!(
        any.backend_request,
        Timeout::After(Duration::from_secs(3600)),
        "nothing bounds an attempt where the request has no limit"
    );
}

#[test]
fn an_attempt_that_may_take_longer_than_its_request_is_invalid() {
    let world = world("timeouts: {request: 1s, backendRequest: 2s}, ");
    assert_eq!(world.condition("HTTPRoute infra/r", "Accepted"), "!UnsupportedValue");
    assert!(world.message("HTTPRoute infra/r", "Accepted").contains("timeouts.backendRequest"));
}

/// HTTPRouteRetry: "default `attempts` 1"; "`attempts: 0` MUST switch retries off altogether".
#[test]
fn attempts_are_one_unless_stated_and_none_when_0() {
    assert_eq!(retry("").map(|retry| retry.attempts), Some(1));
    assert_eq!(retry("attempts: 3").map(|retry| retry.attempts), Some(3));
    assert_eq!(retry("attempts: 0, codes: [500], backoff: 1s"), None);
    let retry = retry("attempts: 3").expect("it retries");
    assert_eq!((1..=5).filter(|made| retry.allows(*made, Failure::NotConnected)).count(), 3, "beside the first");
}

/// §9 item 24 with connection errors: `attempts: 0` has no re-pick either; without `retry` a connect that failed is re-picked.
#[test]
fn a_failed_connect_is_picked_again_only_where_the_rule_states_no_retry() {
    assert!(rule("").repick);
    assert!(!rule("retry: {attempts: 0}, ").repick && !rule("retry: {attempts: 2}, ").repick && !rule("retry: {}, ").repick);
}

/// §9 item 24 and the table of §4.7: nothing that may have been processed is sent twice.
#[test]
fn what_a_backend_may_have_processed_is_not_sent_again_unless_its_status_is_listed() {
    let plain = retry("attempts: 2").expect("it retries");
    let listed = retry("attempts: 2, codes: [500, 504]").expect("it retries");
    let rows = [
        (Failure::NotConnected, true, true),
        (Failure::NotProcessed, true, true),
        (status(500), false, true),
        (status(503), false, false),
        (status(504), false, true),
        (status(200), false, false),
        (Failure::Broken, false, false),
        (Failure::Expired, false, true),
    ];
    for (failure, without_codes, with_codes) in rows {
        assert_eq!((plain.allows(1, failure), listed.allows(1, failure)), (without_codes, with_codes), "{failure:?}");
        assert!(!plain.allows(3, failure) && !listed.allows(3, failure), "{failure:?} when exhausted");
    }
}

/// §10 row 23.
#[test]
fn failures_to_connect_are_retried_and_never_a_request_that_may_have_been_processed() {
    let retry = retry("attempts: 100, codes: [500, 502, 503, 504]").expect("it retries");
    assert!(retry.allows(1, Failure::NotConnected) && retry.allows(100, Failure::NotConnected));
    assert!(!retry.allows(1, Failure::Broken), "though 502 is listed: no backend answered it");
}

/// §10 row 24.
#[test]
fn an_expired_backend_request_is_retried_as_a_504_only_where_codes_list_it() {
    assert!(!retry("attempts: 2").expect("it retries").allows(1, Failure::Expired));
    assert!(!retry("attempts: 2, codes: [503]").expect("it retries").allows(1, Failure::Expired));
    assert!(retry("attempts: 2, codes: [504]").expect("it retries").allows(1, Failure::Expired));
}

/// §10 row 11.
#[test]
fn an_exhausted_retry_answers_the_last_failures_own_code() {
    let rows =
        [(Failure::NotConnected, 503), (Failure::Broken, 502), (Failure::Expired, 504), (status(500), 500), (status(503), 503)];
    for (failure, code) in rows {
        assert_eq!(failure.status().as_u16(), code, "{failure:?}");
    }
}

/// "`backoff` = base interval": honoured, and 25 ms where none is stated.
#[test]
fn backoff_is_the_base_of_pauses_that_grow_and_never_vanish() {
    let (plain, stated) = (retry("attempts: 9").expect("it retries"), retry("attempts: 9, backoff: 200ms").expect("it retries"));
    assert_eq!((plain.pause(1, 0), stated.pause(1, 0)), (Duration::from_millis(25), Duration::from_millis(200)));
    assert_eq!((plain.pause(9, 0), stated.pause(9, 0)), (Duration::from_millis(250), Duration::from_secs(2)));
    assert!((0..1000).all(|draw| stated.pause(3, draw * 7_919) >= Duration::from_millis(400)));
    assert_eq!(retry("attempts: 1, backoff: 0s").map(|retry| retry.backoff), Some(Retry::BACKOFF), "never at once");
}

#[test]
fn limits_and_retries_are_explained() {
    let terms = |fields: &str| world(fields).explained("GET", "http://h/", &[]).terms;
    assert!(terms("").is_empty());
    assert_eq!(
        terms("timeouts: {request: 0s, backendRequest: 500ms}, retry: {attempts: 2, codes: [500, 503]}, "),
        [
            "the whole request may take any time",
            "each attempt may take 500ms",
            "sent again up to 2 times when the backend cannot have processed it, and after status 500, 503; pauses begin at 25ms",
        ]
    );
    assert_eq!(terms("retry: {attempts: 0}, "), ["never sent again"]);
}
