//! Mirrors: copies of requests for other backends (`HTTPRequestMirrorFilter`).

use gateway_core::decide::Task;

use super::world::{World, service};

fn text(rules: &str) -> String {
    format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: infra}}
spec: {{gatewayClassName: c, listeners: [{{name: http, port: 80, protocol: HTTP}}]}}
---
{}{}{}{}",
        route(rules),
        service("infra", "s", "10.0.0.1"),
        service("infra", "a", "10.0.0.2"),
        service("infra", "b", "10.0.0.3"),
    )
}

fn route(rules: &str) -> String {
    format!(
        "{{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {{name: r, namespace: infra}}, spec: {{parentRefs: [{{name: gw}}], rules: [{rules}]}}}}\n"
    )
}

fn mirror(to: &str, share: &str) -> String {
    format!("{{type: RequestMirror, requestMirror: {{backendRef: {{name: {to}, port: 80}}{share}}}}}")
}

fn rule(filters: &[String]) -> String {
    format!("{{filters: [{}], backendRefs: [{{name: s, port: 80}}]}}", filters.join(", "))
}

/// To whom each of the next requests is copied.
fn copies(world: &World, requests: usize) -> Vec<String> {
    let copied = |_| {
        let answer = world.get("http://h/p", &[]);
        assert!(answer.starts_with("infra/s:80 /p"), "the primary is never touched: {answer}");
        answer.replace("infra/s:80 /p", "").replace(" mirror=infra/", "").replace(":80", "")
    };
    (0..requests).map(copied).collect()
}

fn count(copies: &[String], to: char) -> usize {
    copies.iter().filter(|copy| copy.contains(to)).count()
}

/// HTTPRouteRequestMirror, HTTPRouteRequestMultipleMirrors.
#[test]
fn each_mirror_of_a_rule_gets_a_copy_of_every_request_unless_it_states_a_share() {
    let world = World::of(&text(&rule(&[mirror("a", ""), mirror("b", "")])));
    assert_eq!(copies(&world, 3), ["ab", "ab", "ab"]);
    let all =
        World::of(&text(&rule(&[mirror("a", ", percent: 100"), mirror("b", ", fraction: {numerator: 7, denominator: 7}")])));
    assert_eq!(copies(&all, 2), ["ab", "ab"]);
}

/// HTTPRouteRequestPercentageMirror.
#[test]
fn shares_of_mirrors_are_exact_and_independent_of_each_other_and_0_is_never() {
    let filters =
        [mirror("a", ", percent: 35"), mirror("b", ", fraction: {numerator: 1, denominator: 2}"), mirror("s", ", percent: 0")];
    let world = World::of(&text(&rule(&filters)));
    let seen = copies(&world, 500);
    assert_eq!((count(&seen, 'a'), count(&seen, 'b'), count(&seen, 's')), (175, 250, 0));
    let both = seen.iter().filter(|copy| *copy == "ab").count();
    assert!((60..=115).contains(&both), "each has turns of its own, so they meet in about 35 % of 50 %: {both}");
    for window in seen.windows(100) {
        assert_eq!(count(window, 'a'), 35, "exact over any window");
    }
}

#[test]
fn the_share_of_a_mirror_is_independent_of_the_share_of_the_target() {
    let rules = format!(
        "{{filters: [{}], backendRefs: [{{name: s, port: 80, weight: 1}}, {{name: b, port: 80, weight: 1}}]}}",
        mirror("a", ", percent: 50")
    );
    let world = World::of(&text(&rules));
    let answers: Vec<_> = (0..400).map(|_| world.get("http://h/", &[])).collect();
    for target in ["infra/s:80", "infra/b:80"] {
        let of_target: Vec<_> = answers.iter().filter(|answer| answer.starts_with(target)).collect();
        assert_eq!(of_target.len(), 200);
        assert!(answers.iter().filter(|answer| answer.contains("mirror=infra/a:80")).count() == 200);
    }
}

#[test]
fn the_turns_of_a_mirror_go_on_in_the_next_version_of_the_rule() {
    let named = |filters: &[String], path: &str| {
        format!(
            "{{name: one, matches: [{{path: {{value: {path}}}}}], filters: [{}], backendRefs: [{{name: s, port: 80}}]}}",
            filters.join(", ")
        )
    };
    let quarter = mirror("a", ", percent: 25");
    let mut world = World::of(&text(&named(std::slice::from_ref(&quarter), "/")));
    let mut seen = Vec::new();
    for round in 0..100 {
        seen.extend(copies(&world, 1));
        // The rule moves, and filters come and go beside the mirror; its name and the mirror's backend stay.
        let (other, share) = (mirror("b", ", percent: 10"), mirror("a", ", fraction: {numerator: 1, denominator: 4}"));
        let filters = if round % 2 == 0 { vec![other, share] } else { vec![quarter.clone()] };
        let first = "{matches: [{path: {value: /first}}]}";
        let rules = named(&filters, if round % 3 == 0 { "/p" } else { "/" });
        world.put(&route(&if round % 2 == 0 { format!("{first}, {rules}") } else { rules }));
    }
    assert_eq!(count(&seen, 'a'), 25);
}

/// §9 item 27: "invalid mirror ref → ResolvedRefs False".
#[test]
fn a_mirror_that_leads_nowhere_is_reported_and_dropped_and_the_primary_is_not_touched() {
    for (reference, reason) in [
        ("{name: missing, port: 80}", "!BackendNotFound"),
        ("{name: a, port: 81}", "!BackendNotFound"),
        ("{name: a, kind: Odd}", "!InvalidKind"),
        ("{name: a, namespace: other, port: 80}", "!RefNotPermitted"),
    ] {
        let bad = format!("{{type: RequestMirror, requestMirror: {{backendRef: {reference}}}}}");
        let world = World::of(&text(&rule(&[bad, mirror("b", "")])));
        assert_eq!(world.condition("HTTPRoute infra/r", "ResolvedRefs"), reason, "{reference}");
        assert_eq!(world.condition("HTTPRoute infra/r", "Accepted"), "Accepted");
        assert_eq!(world.condition("HTTPRoute infra/r", "PartiallyInvalid"), "absent");
        assert_eq!(copies(&world, 1), ["b"]);
    }
}

#[test]
fn a_mirror_is_copied_to_when_its_reference_becomes_good_and_only_while_it_has_endpoints() {
    let mut world = World::of(&text(&rule(&[mirror("later", "")])));
    assert_eq!(copies(&world, 1), [""]);
    world.put(&service("infra", "later", "10.0.0.9"));
    assert_eq!(world.condition("HTTPRoute infra/r", "ResolvedRefs"), "ResolvedRefs");
    assert_eq!(copies(&world, 1), ["later"]);
    world.remove("EndpointSlice infra/later-1");
    assert_eq!(copies(&world, 1), [""], "nobody is there, and the primary does not notice");
}

/// "a mirror copy reflects the filters listed before it".
#[test]
fn a_mirror_stands_at_its_place_so_that_it_shows_what_was_done_before_it() {
    let edit =
        |value: &str| format!("{{type: RequestHeaderModifier, requestHeaderModifier: {{set: [{{name: X, value: '{value}'}}]}}}}");
    let rewrite = "{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /new}}}".to_owned();
    let world = World::of(&text(&rule(&[edit("1"), mirror("a", ""), rewrite, mirror("b", "")])));
    let forward = world.forwarded("GET", "http://h/p?q=1", &[]);
    let order = forward.tasks().map(|task| match task {
        Task::EditRequest(_) => "edit".to_owned(),
        Task::Rewrite(_) => "rewrite".to_owned(),
        Task::Mirror(_, backend) => backend.name.to_string(),
        Task::EditResponse(_) | Task::Cors(..) | Task::Auth(..) | Task::Extension(_) => format!("{task:?}"),
    });
    let order: Vec<_> = order.collect();
    assert_eq!(order, ["edit", "infra/a:80", "rewrite", "infra/b:80"]);
}

/// "Forward" outlives the snapshot it was decided on.
#[test]
fn what_is_decided_holds_the_backends_of_mirrors_after_the_snapshot_is_gone() {
    let mut world = World::of(&text(&rule(&[mirror("a", "")])));
    let forward = world.forwarded("GET", "http://h/p", &[]);
    for gone in ["HTTPRoute infra/r", "Service infra/a", "Service infra/s", "Gateway infra/gw"] {
        world.remove(gone);
    }
    let Some(Task::Mirror(_, backend)) = forward.tasks().next() else { panic!("it is copied") };
    assert_eq!(backend.endpoints[0].to_string(), "10.0.0.2:8080");
}

#[test]
fn a_mirror_at_a_backend_copies_what_that_backend_gets() {
    let rules = format!("{{backendRefs: [{{name: s, port: 80, filters: [{}]}}, {{name: b, port: 80}}]}}", mirror("a", ""));
    let world = World::of(&text(&rules));
    let mut answers = [world.get("http://h/", &[]), world.get("http://h/", &[])];
    answers.sort_unstable();
    assert_eq!(answers, ["infra/b:80 /", "infra/s:80 / mirror=infra/a:80"]);
}

#[test]
fn mirrors_are_explained() {
    let world = World::of(&text(&rule(&[mirror("a", ", percent: 40"), mirror("b", "")])));
    let explained: Vec<_> = (0..2).map(|_| world.explained("GET", "http://h/", &[]).steps).collect();
    assert_eq!(explained[0], explained[1], "looking takes no turn");
    assert!(explained[0].iter().any(|line| line == "copied to infra/b:80"), "{explained:?}");
    let shown = (0..5).filter(|_| {
        let line = world
            .explained("GET", "http://h/", &[])
            .steps
            .iter()
            .any(|line| line == "copied to infra/a:80, as 2 of 5 requests are");
        world.get("http://h/", &[]);
        line
    });
    assert_eq!(shown.count(), 2);
}
