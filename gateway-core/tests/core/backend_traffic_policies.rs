//! How many requests to a Service may be retries, and how its clients stay with an endpoint (XBackendTrafficPolicy, GEP-3388, GEP-1619).

use std::time::Duration;

use gateway_core::compile::Options;
use gateway_core::snapshot::{RetryBudget, Source};
use gateway_core::support::{Capability, Support};

use super::backend_tls_policies::{GATEWAY, S, backend, base, route};
use super::world::{World, id, options, service};

const P: &str = "XBackendTrafficPolicy team/p";

/// A policy `team/name` with these targets and these fields.
fn policy(name: &str, meta: &str, targets: &str, fields: &str) -> String {
    format!(
        "\n---\n{{apiVersion: gateway.networking.x-k8s.io/v1alpha1, kind: XBackendTrafficPolicy, metadata: {{name: {name}, namespace: team, {meta}}}, spec: {{targetRefs: [{targets}], {fields}}}}}\n"
    )
}

fn session(world: &World, url: &str) -> Option<(Source, String)> {
    let persistence = world.forwarded("GET", url, &[]).persistence?;
    Some((persistence.source, persistence.name().1.to_owned()))
}

const BUDGET: &str = "retryConstraint: {}";

#[test]
fn a_budget_states_a_share_of_a_while_and_a_rate_that_is_always_allowed() {
    let mut world = World::of(&(base() + &policy("p", "", S, BUDGET)));
    let budget = |world: &World| backend(world, "team/s:80").retry_budget;
    let second = Duration::from_secs(1);
    let stated = |percent, interval, least, least_interval| Some(RetryBudget { percent, interval, least, least_interval });
    assert_eq!(budget(&world), stated(20, 10 * second, 10, second), "what the API says where nothing is stated");
    assert_eq!(world.condition(P, "Accepted"), "Accepted");
    assert_eq!(world.condition(P, "ResolvedRefs"), "absent", "it refers to nothing");
    let before = backend(&world, "team/s:80").fingerprint();
    let fields = "retryConstraint: {budget: {percent: 5, interval: 1h}, minRetryRate: {count: 3, interval: 500ms}}";
    world.put(&policy("p", "", S, fields));
    assert_eq!(budget(&world), stated(5, 3600 * second, 3, second / 2));
    assert_ne!(backend(&world, "team/s:80").fingerprint(), before, "what is counted under the other budget does not count on");
    world.remove(P);
    assert_eq!(budget(&world), None);
}

#[test]
fn the_budget_is_one_for_all_routes_to_the_service_and_for_none_that_has_no_requests() {
    let yaml = GATEWAY.replace("port: 80, protocol: HTTP}", "port: 80, protocol: HTTP}, {name: tcp, port: 9000, protocol: TCP}")
        + &route("HTTPRoute", "a", "[{matches: [{path: {value: /a}}], backendRefs: [{name: s, port: 80}]}]")
        + &route("HTTPRoute", "b", "[{matches: [{path: {value: /b}}], backendRefs: [{name: s, port: 80}]}]")
        + &route("GRPCRoute", "g", "[{backendRefs: [{name: s, port: 80}]}]")
        + &route("TCPRoute", "t", "[{backendRefs: [{name: s, port: 80}]}]").replace("{name: gw}", "{name: gw, sectionName: tcp}")
        + &service("team", "s", "10.0.0.1")
        + &policy("p", "", S, BUDGET);
    let world = World::of(&yaml);
    let (a, b) = (world.forwarded("GET", "http://h/a", &[]).backend, world.forwarded("GET", "http://h/b", &[]).backend);
    assert!(std::sync::Arc::ptr_eq(&a, &b) && a.retry_budget.is_some());
    let with: Vec<_> = world.snapshot.backends().map(|found| (found.name.usage, found.retry_budget.is_some())).collect();
    use gateway_core::snapshot::Usage::{Grpc, Http, Stream};
    assert_eq!(with, [(Http, true), (Grpc, true), (Stream, false)]);
}

/// "`sessionPersistence` as §4.8 for all routes to the Service"; what a rule states goes before it.
#[test]
fn sessions_are_kept_for_all_routes_to_the_service_unless_a_rule_states_its_own() {
    let rules = "[{matches: [{path: {value: /own}}], sessionPersistence: {cookie: {name: own}}, backendRefs: [{name: s, port: 80}]}, {backendRefs: [{name: s, port: 80}]}]";
    let yaml = GATEWAY.to_owned() + &route("HTTPRoute", "r", rules) + &service("team", "s", "10.0.0.1");
    let mut world = World::of(&(yaml + &policy("p", "", S, "sessionPersistence: {cookie: {name: sid}}")));
    assert_eq!(session(&world, "http://h/"), Some((Source::Policy, "sid".to_owned())));
    assert_eq!(session(&world, "http://h/own"), Some((Source::Rule, "own".to_owned())));
    world.remove(P);
    assert_eq!(session(&world, "http://h/"), None);
    assert_eq!(session(&world, "http://h/own"), Some((Source::Rule, "own".to_owned())));
}

#[test]
fn a_client_has_a_session_of_each_target_under_a_name_of_its_own() {
    let rules = "[{matches: [{path: {value: /s}}], backendRefs: [{name: s, port: 80}]}, {matches: [{path: {value: /t}}], backendRefs: [{name: t, port: 80}]}]";
    let both = format!("{S}, {{group: '', kind: Service, name: t}}");
    let yaml = GATEWAY.to_owned()
        + &route("HTTPRoute", "r", rules)
        + &service("team", "s", "10.0.0.1")
        + &service("team", "t", "10.0.0.2");
    for fields in ["{cookie: {name: sid}}", "{cookie: {}}", "{type: Header, header: {name: sid}}"] {
        let world = World::of(&(yaml.clone() + &policy("p", "", &both, &format!("sessionPersistence: {fields}"))));
        let (s, t) = (session(&world, "http://h/s").unwrap().1, session(&world, "http://h/t").unwrap().1);
        assert_ne!(s, t, "{fields}");
    }
}

/// "Conflicts and ancestors as any direct policy (GEP-713)".
#[test]
fn of_several_for_one_service_the_oldest_has_its_say_and_the_next_is_promoted() {
    let percent = |n: u8| format!("retryConstraint: {{budget: {{percent: {n}}}}}");
    let mut world = World::of(
        &(base() + &policy("a", "", S, &percent(1)) + &policy("p", "creationTimestamp: '2024-01-01T00:00:00Z'", S, &percent(2))),
    );
    let held = |world: &World| backend(world, "team/s:80").retry_budget.map(|budget| budget.percent);
    assert_eq!(held(&world), Some(2));
    assert_eq!(world.condition(P, "Accepted"), "Accepted");
    assert_eq!(world.condition("XBackendTrafficPolicy team/a", "Accepted"), "!Conflicted");
    assert_eq!(world.condition("XBackendTrafficPolicy team/a#team/gw", "Accepted"), "!Conflicted", "the ancestor is the Gateway");
    world.remove(P);
    assert_eq!(held(&world), Some(1));
    assert_eq!(world.condition("XBackendTrafficPolicy team/a", "Accepted"), "Accepted");
    world.remove("Service team/s");
    assert_eq!(world.condition("XBackendTrafficPolicy team/a", "Accepted"), "!TargetNotFound");
}

/// A policy of another kind for the same Service is no rival.
#[test]
fn kinds_of_policies_do_not_contend_with_each_other() {
    let tls = super::backend_tls_policies::policy("p", "", S, super::backend_tls_policies::SYSTEM);
    let world = World::of(&(base() + &policy("p", "", S, BUDGET) + &tls));
    assert_eq!(world.condition(P, "Accepted"), "Accepted");
    assert_eq!(world.condition("BackendTLSPolicy team/p", "Accepted"), "Accepted");
    let found = backend(&world, "team/s:80");
    assert!(found.retry_budget.is_some() && matches!(found.security, gateway_core::snapshot::Security::Tls(_)));
}

#[test]
fn what_the_data_plane_does_not_perform_is_not_accepted_and_has_no_effect() {
    let has = |capabilities: &[Capability]| Options { support: Support::of(capabilities), ..options() };
    let rows = [
        (has(&[Capability::Http, Capability::SessionPersistence]), BUDGET, "spec.retryConstraint is not performed"),
        (
            has(&[Capability::Http, Capability::RetryBudget]),
            "sessionPersistence: {cookie: {}}",
            "sessionPersistence is not performed",
        ),
        (options(), "sessionPersistence: {type: Later}", "Later is unknown"),
    ];
    for (options, fields, why) in rows {
        let world = World::with(options, &(base() + &policy("p", "", S, fields)));
        assert_eq!(world.condition(P, "Accepted"), "!Invalid", "{fields}");
        assert!(world.message(P, "Accepted").contains(why), "{}", world.message(P, "Accepted"));
        let found = backend(&world, "team/s:80");
        assert_eq!((found.retry_budget, found.persistence.as_ref()), (None, None));
        assert_eq!(world.get("http://h/", &[]), "team/s:80 /", "traffic goes on as without it");
    }
}

#[test]
fn a_policy_that_no_gateway_leads_to_says_so_where_no_condition_can() {
    let world = World::of(&policy("p", "", "{group: '', kind: Service, name: gone}", BUDGET));
    let problems = &world.compiler.problems()[&id(P)];
    assert!(problems[0].contains("Service team/gone does not exist"), "{problems:?}");
    assert!(problems[1].contains("no Gateway leads to what it targets"), "{problems:?}");
}
