//! Traces of what Gateways serve (XTelemetryPolicy, GEP-4768, GEP-5253, GEP-713).

use std::sync::Arc;

use gateway_core::compile::{Change, Classes, Need, Options};
use gateway_core::snapshot::{AttributeKey, AttributeValue, ExportProtocol, Listener, Security, Spans, Tracing, Usage};
use gateway_core::status::{Status, merge};
use gateway_core::support::{Capability, Support};
use serde_json::{Value, json};

use super::backend_tls_policies::{SYSTEM, backend, policy as tls_policy};
use super::world::{World, id, objects, options, service};

const T: &str = "XTelemetryPolicy team/p";
const TARGET: &str = "{group: gateway.networking.k8s.io, kind: Gateway, name: gw}";
const PROVIDER: &str = "provider: {backendRef: {name: otel, port: 80}}";

fn gateway(name: &str, port: u16) -> String {
    format!(
        "\n---\n{{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {{name: {name}, namespace: team}}, spec: {{gatewayClassName: c, listeners: [{{name: http, port: {port}, protocol: HTTP}}]}}}}\n"
    )
}

/// A policy `team/name` with this `tracing`, on these Gateways.
fn policy_on(name: &str, meta: &str, targets: &str, tracing: &str) -> String {
    format!(
        "\n---\n{{apiVersion: gateway.networking.x-k8s.io/v1alpha1, kind: XTelemetryPolicy, metadata: {{name: {name}, namespace: team, {meta}}}, spec: {{targetRefs: [{targets}], tracing: {{{tracing}}}}}}}\n"
    )
}

fn policy(name: &str, meta: &str, tracing: &str) -> String {
    policy_on(name, meta, TARGET, tracing)
}

/// One that is enabled, with more fields.
fn enabled(fields: &str) -> String {
    policy("p", "", &format!("mode: Enabled, {PROVIDER}, {fields}"))
}

/// Gateway `gw` with a route to a Service, and a collector.
fn base() -> String {
    let route = "\n---\n{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: r, namespace: team}, spec: {parentRefs: [{name: gw}], rules: [{backendRefs: [{name: s, port: 80}]}]}}\n";
    gateway("gw", 80) + route + &service("team", "s", "10.0.0.1") + &service("team", "otel", "10.0.0.9")
}

fn listener(world: &World, name: &str) -> Arc<Listener> {
    let all = world.snapshot.sockets().flat_map(|(_, listeners)| listeners.iter());
    let found = all.into_iter().find(|listener| listener.id.to_string() == name);
    Arc::clone(found.unwrap_or_else(|| panic!("no {name}")))
}

fn tracing(world: &World) -> Option<Arc<Tracing>> {
    listener(world, "Gateway team/gw listener http").tracing.clone()
}

fn spans(world: &World) -> Spans {
    match tracing(world).as_deref() {
        Some(Tracing::Enabled(spans)) => spans.clone(),
        other => panic!("{other:?}"),
    }
}

fn service_name(world: &World) -> Option<String> {
    spans(world).service_name.map(|name| name.to_string())
}

fn ancestors(world: &World, what: &str) -> Vec<String> {
    let Status::Policy(status) = &world.compiler.statuses()[&id(what)] else { panic!("it has one") };
    status.ancestors.iter().map(|one| format!("{} {}", one.ancestor_ref.kind, one.ancestor_ref.name)).collect()
}

/// §9 item 67: "one policy per Gateway".
#[test]
fn only_one_policy_per_gateway_the_oldest_then_the_first_by_name_wins_and_the_next_when_it_goes() {
    let named = |name: &str, created: &str| {
        let meta = if created.is_empty() { String::new() } else { format!("creationTimestamp: '{created}'") };
        policy(name, &meta, &format!("mode: Enabled, {PROVIDER}, serviceName: from-{name}"))
    };
    let (old, new) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
    let yaml = base() + &named("a", new) + &named("b", new) + &named("z", old) + &named("d", "");
    let mut world = World::of(&yaml);
    for winner in ["z", "a", "b", "d"] {
        assert_eq!(service_name(&world), Some(format!("from-{winner}")));
        for name in ["z", "a", "b", "d"] {
            let what = format!("XTelemetryPolicy team/{name}");
            let expected = match world.compiler.statuses().get(&id(&what)) {
                None => continue,
                Some(_) if name == winner => "Accepted",
                Some(_) => "!Conflicted",
            };
            assert_eq!(world.condition(&what, "Accepted"), expected, "{name} while {winner} wins");
            assert_eq!(world.condition(&what, "ResolvedRefs"), "ResolvedRefs");
        }
        world.remove(&format!("XTelemetryPolicy team/{winner}"));
    }
    assert_eq!(tracing(&world), None);
}

#[test]
fn a_broken_policy_keeps_its_gateway_and_no_younger_one_has_a_say() {
    let broken = policy("a", "", "mode: Later");
    let world = World::of(&(base() + &broken + &enabled("")));
    assert_eq!(world.condition("XTelemetryPolicy team/a", "Accepted"), "!Invalid");
    assert!(world.message("XTelemetryPolicy team/a", "Accepted").contains("mode Later is not known"));
    assert_eq!(world.condition(T, "Accepted"), "!Conflicted");
    assert!(world.message(T, "Accepted").contains("XTelemetryPolicy team/a targets Gateway team/gw too"));
    assert_eq!(tracing(&world), None);
}

#[test]
fn a_missing_gateway_is_target_not_found_until_it_appears() {
    let mut world = World::of(&(base() + &policy_on("p", "", &TARGET.replace("gw", "late"), "mode: Disabled")));
    assert_eq!(world.condition("XTelemetryPolicy team/p#team/late", "Accepted"), "!TargetNotFound");
    assert!(world.message(T, "Accepted").contains("Gateway team/late does not exist"));
    let update = world.put(&gateway("late", 81));
    assert_eq!(world.condition(T, "Accepted"), "Accepted");
    assert_eq!(ancestors(&world, T), ["Gateway late"]);
    assert_eq!(listener(&world, "Gateway team/late listener http").tracing.as_deref(), Some(&Tracing::Disabled));
    assert!(update.needs.contains(&Need { gateway: id("Gateway team/late").name, object: id(T), joined: true }));
    let update = world.remove("Gateway team/late");
    assert_eq!(world.condition(T, "Accepted"), "!TargetNotFound");
    assert!(update.needs.contains(&Need { gateway: id("Gateway team/late").name, object: id(T), joined: false }));
}

#[test]
fn a_policy_targets_gateways_of_its_own_namespace() {
    let elsewhere = gateway("gw", 81).replace("namespace: team", "namespace: other");
    let world = World::of(&(elsewhere + &policy("p", "", "mode: Disabled")));
    assert_eq!(world.condition(T, "Accepted"), "!TargetNotFound");
    assert_eq!(listener(&world, "Gateway other/gw listener http").tracing, None);
}

#[test]
fn the_ancestors_are_the_targeted_gateways_that_are_ours() {
    let class = |controller: &str| {
        format!(
            "\n---\n{{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {{name: c}}, spec: {{controllerName: {controller}}}}}\n"
        )
    };
    let ours = Options { classes: Classes::Named, ..options() };
    let second = TARGET.replace("gw", "other");
    let foreign = gateway("other", 81).replace("gatewayClassName: c", "gatewayClassName: d");
    let yaml = base() + &foreign + &class("pingora-gateway.dev/controller");
    let yaml = yaml + &policy_on("p", "generation: 3", &format!("{second}, {TARGET}"), &format!("mode: Enabled, {PROVIDER}"));
    let mut world = World::with(ours, &yaml);
    assert_eq!(ancestors(&world, T), ["Gateway gw"]);
    let Status::Policy(status) = &world.compiler.statuses()[&id(T)] else { panic!("it has one") };
    assert!(status.ancestors[0].conditions.iter().all(|condition| condition.observed_generation == 3));
    // The Gateway changes hands, with what is used for it.
    let update = world.put(&class("example.com/other"));
    assert!(ancestors(&world, T).is_empty());
    for object in [T, "Service team/otel"] {
        let need = Need { gateway: id("Gateway team/gw").name, object: id(object), joined: false };
        assert!(update.needs.contains(&need), "{object}: {:?}", update.needs);
    }
    assert!(
        world.snapshot.backends().all(|backend| backend.name.to_string() != "team/otel:80"),
        "nothing is exported for others"
    );
    world.put(&class("pingora-gateway.dev/controller"));
    assert_eq!(ancestors(&world, T), ["Gateway gw"]);
    assert!(spans(&world).collector.is_some());
}

#[test]
fn a_gateway_that_is_not_accepted_has_nothing_to_trace() {
    let mut world = World::of(&(base() + &enabled("")));
    world.put(&gateway("gw", 80).replace("protocol: HTTP", "protocol: example.com/odd"));
    assert_eq!(world.condition(T, "Accepted"), "!Invalid");
    assert!(world.message(T, "Accepted").contains("Gateway team/gw is not accepted"));
    world.put(&gateway("gw", 80));
    assert_eq!(world.condition(T, "Accepted"), "Accepted");
}

#[test]
fn other_kinds_are_no_targets() {
    let odd = "{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r}";
    let world = World::of(&(base() + &policy_on("p", "", odd, "mode: Disabled")));
    assert!(ancestors(&world, T).is_empty());
    let problems = &world.compiler.problems()[&id(T)];
    assert!(problems[0].contains("targetRef HTTPRoute.gateway.networking.k8s.io r is without effect"), "{problems:?}");
}

#[test]
fn a_collector_that_cannot_be_used_is_said_by_resolved_refs() {
    let with = |reference: &str| policy("p", "", &format!("mode: Enabled, provider: {{backendRef: {reference}}}"));
    let rows = [
        ("{name: none, port: 80}", "!BackendNotFound"),
        ("{name: otel, port: 81}", "!BackendNotFound"),
        ("{group: example.com, kind: Odd, name: otel}", "!InvalidKind"),
        ("{name: otel, namespace: vault, port: 80}", "!RefNotPermitted"),
        ("{name: none, namespace: vault, port: 80}", "!RefNotPermitted"),
    ];
    for (reference, expected) in rows {
        let mut world = World::of(&(base() + &service("vault", "otel", "10.0.0.8") + &with(reference)));
        assert_eq!(world.condition(T, "ResolvedRefs"), expected, "{reference}");
        assert_eq!(world.condition(T, "Accepted"), "Accepted", "{reference}");
        assert!(world.message(T, "Accepted").contains("no span is exported"), "{reference}");
        assert_eq!(spans(&world).collector, None);
        assert_eq!(world.get("http://h/", &[]), "team/s:80 /", "requests are answered as ever");
        world.put(&with("{name: otel, port: 80}"));
        assert_eq!(world.condition(T, "ResolvedRefs"), "ResolvedRefs");
        assert!(spans(&world).collector.is_some());
    }
}

/// §7.1: "XTelemetryPolicy → collector backend", "the last in `gateway.networking.x-k8s.io`".
#[test]
fn a_collector_in_another_namespace_needs_a_grant_from_the_experimental_group() {
    let grant = |group: &str| {
        format!(
            "\n---\n{{apiVersion: gateway.networking.k8s.io/v1, kind: ReferenceGrant, metadata: {{name: g, namespace: vault}}, spec: {{from: [{{group: {group}, kind: XTelemetryPolicy, namespace: team}}], to: [{{group: '', kind: Service}}]}}}}\n"
        )
    };
    let reference = "mode: Enabled, provider: {backendRef: {name: otel, namespace: vault, port: 80}}";
    let mut world = World::of(&(base() + &service("vault", "otel", "10.0.0.8") + &policy("p", "", reference)));
    assert_eq!(world.condition(T, "ResolvedRefs"), "!RefNotPermitted");
    let needs = |joined| Need { gateway: id("Gateway team/gw").name, object: id("Service vault/otel"), joined };
    world.put(&grant("gateway.networking.k8s.io"));
    assert_eq!(world.condition(T, "ResolvedRefs"), "!RefNotPermitted");
    let update = world.put(&grant("gateway.networking.x-k8s.io"));
    assert_eq!(world.condition(T, "ResolvedRefs"), "ResolvedRefs");
    let collector = spans(&world).collector.expect("it is permitted");
    assert_eq!(world.snapshot.backend(collector).expect("it is there").name.to_string(), "vault/otel:80");
    assert!(update.needs.contains(&needs(true)), "{:?}", update.needs);
    let update = world.remove("ReferenceGrant vault/g");
    assert_eq!(world.condition(T, "ResolvedRefs"), "!RefNotPermitted");
    assert_eq!(spans(&world).collector, None);
    assert!(update.needs.contains(&needs(false)), "{:?}", update.needs);
}

/// §9 item 67: "collector down never hurts traffic".
#[test]
fn a_collector_that_is_down_or_comes_and_goes_changes_no_answer() {
    let mut world = World::of(&(base() + &enabled("")));
    let used = |world: &World| spans(world).collector.and_then(|id| world.snapshot.backend(id).cloned());
    assert_eq!(used(&world).expect("it is there").endpoints.len(), 1);
    for removed in ["EndpointSlice team/otel-1", "Service team/otel"] {
        world.remove(removed);
        assert_eq!(world.get("http://h/", &[]), "team/s:80 /", "without {removed}");
        assert_eq!(world.condition("HTTPRoute team/r", "ResolvedRefs"), "ResolvedRefs");
        assert_eq!(world.condition("Gateway team/gw", "Programmed"), "Programmed");
    }
    assert_eq!(world.condition(T, "ResolvedRefs"), "!BackendNotFound");
    assert!(used(&world).is_none());
    world.put(&service("team", "otel", "10.0.0.7"));
    assert_eq!(world.condition(T, "ResolvedRefs"), "ResolvedRefs");
    assert_eq!(used(&world).expect("it is back").endpoints[0].to_string(), "10.0.0.7:8080");
}

/// §9 item 67: "Disabled stops export".
#[test]
fn disabled_stops_export_and_the_default_is_said_to_make_no_span() {
    let mut world = World::of(&(base() + &enabled("")));
    assert!(world.snapshot.backends().any(|backend| backend.name.to_string() == "team/otel:80"));
    world.put(&policy("p", "", "mode: Disabled"));
    assert_eq!(tracing(&world).as_deref(), Some(&Tracing::Disabled));
    assert!(world.snapshot.backends().all(|backend| backend.name.to_string() != "team/otel:80"), "nobody uses it");
    assert_eq!((world.condition(T, "Accepted"), world.condition(T, "ResolvedRefs")), ("Accepted".into(), "absent".into()));
    world.put(&policy("p", "", ""));
    assert_eq!(tracing(&world), None);
    assert_eq!(world.condition(T, "Accepted"), "Accepted");
    assert!(world.message(T, "Accepted").contains("no span is made"));
}

/// §9 item 67: "sampling 0 and 100 %".
#[test]
fn the_sampling_rate_is_a_fraction_of_new_traces() {
    let rows = [
        ("", (1, 1), [true, true, true]),
        ("samplingRate: {numerator: 0}", (0, 100), [false, false, false]),
        ("samplingRate: {numerator: 100}", (1, 1), [true, true, true]),
        ("samplingRate: {numerator: 1, denominator: 2}", (1, 2), [true, true, false]),
        ("samplingRate: {numerator: 1, denominator: 1000000}", (1, 1_000_000), [true, false, false]),
    ];
    for (stated, fraction, sampled) in rows {
        let sampling = spans(&World::of(&(base() + &enabled(stated)))).sampling;
        assert_eq!(sampling.own.fraction(), fraction, "{stated}");
        let numbers = [0, u64::MAX / 2, u64::MAX];
        assert_eq!(numbers.map(|number| sampling.takes(None, number)), sampled, "{stated}");
    }
}

/// §9 item 67: "parent decisions".
#[test]
fn parents_are_followed_thinned_by_a_rate_of_their_own_or_do_not_count() {
    let own = "samplingRate: {numerator: 0}";
    let rows = [
        // Enabled: all that parents sampled, and nothing else.
        ("parentBasedSampling: {mode: Enabled}", [true, true, false, false]),
        ("parentBasedSampling: {}", [true, true, false, false]),
        ("parentBasedSampling: {mode: Enabled, samplingRate: {numerator: 1, denominator: 2}}", [true, false, false, false]),
        ("parentBasedSampling: {mode: Disabled}", [false, false, false, false]),
        ("samplingRate: {numerator: 100}, parentBasedSampling: {mode: Disabled}", [true, true, true, true]),
        ("samplingRate: {numerator: 100}", [true, true, true, true]),
    ];
    for (stated, sampled) in rows {
        let fields = if stated.starts_with("sampling") { stated.to_owned() } else { format!("{own}, {stated}") };
        let sampling = spans(&World::of(&(base() + &enabled(&fields)))).sampling;
        let requests = [(true, 0), (true, u64::MAX), (false, 0), (false, u64::MAX)];
        assert_eq!(requests.map(|(parent, number)| sampling.takes(Some(parent), number)), sampled, "{stated}");
    }
    let world = World::of(&(base() + &enabled("parentBasedSampling: {mode: Later}")));
    assert_eq!(world.condition(T, "Accepted"), "!Invalid");
    assert_eq!(tracing(&world), None);
}

/// §9 item 67: "attributes"; §10 row 28: spelled as in the CRD.
#[test]
fn attributes_come_from_headers_literals_and_the_dictionary_by_source_type() {
    let attributes = "attributes: [
        {name: user, sourceType: Header, headerName: X-User}, {name: env, sourceType: Literal, literalValue: prod},
        {name: method, sourceType: Attribute, attributeKey: http.request.method},
        {name: kind, sourceType: Attribute, attributeKey: http.response.header.content-type}]";
    let found = spans(&World::of(&(base() + &enabled(attributes)))).attributes;
    let named: Vec<(&str, &AttributeValue)> = found.iter().map(|one| (&*one.name, &one.value)).collect();
    let expected = [
        ("user", AttributeValue::Header("x-user".parse().unwrap())),
        ("env", AttributeValue::Literal("prod".into())),
        ("method", AttributeValue::Known(AttributeKey::RequestMethod)),
        ("kind", AttributeValue::Known(AttributeKey::ResponseHeader("content-type".parse().unwrap()))),
    ];
    assert_eq!(named, expected.iter().map(|(name, value)| (*name, value)).collect::<Vec<_>>());
}

#[test]
fn a_key_that_is_not_known_is_omitted_and_told_and_no_request_fails() {
    let attributes = "attributes: [{name: a, sourceType: Attribute, attributeKey: db.system}, {name: b, sourceType: Literal, literalValue: c}, {name: d, sourceType: Later}]";
    let world = World::of(&(base() + &enabled(attributes)));
    assert_eq!(world.condition(T, "Accepted"), "Accepted");
    let message = world.message(T, "Accepted");
    assert!(message.contains("attribute a is omitted: attributeKey db.system is not known"), "{message}");
    assert!(message.contains("attribute d is omitted: source type Later is not known"), "{message}");
    assert_eq!(spans(&world).attributes.len(), 1);
    assert_eq!(world.get("http://h/", &[]), "team/s:80 /");
}

#[test]
fn names_and_headers_of_exports_are_those_of_the_policy_and_no_secret_is_printed() {
    let tracing = "mode: Enabled, provider: {backendRef: {name: otel, port: 80}, headers: [{name: X-Key, value: hush}, {name: b, value: c}]}, serviceName: shop, spanName: ingress";
    let world = World::of(&(base() + &policy("p", "", tracing)));
    let found = spans(&world);
    assert_eq!((found.service_name.as_deref(), found.span_name.as_deref()), (Some("shop"), Some("ingress")));
    let headers: Vec<_> = found.headers.0.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    assert_eq!(headers, [("x-key", "hush"), ("b", "c")]);
    assert!(!format!("{found:?}").contains("hush"));
    assert!(world.snapshot.outline().iter().all(|line| !line.contains("hush")));
    let less = spans(&World::of(&(base() + &enabled(""))));
    assert_eq!((less.service_name, less.span_name), (None, None));
}

/// §7.5: "choose by port name/appProtocol, default OTLP/gRPC".
#[test]
fn spans_are_sent_as_app_protocol_or_the_name_of_the_port_says_and_else_over_grpc() {
    use ExportProtocol::{Grpc, Http};
    let rows = [
        ("port: 80", Grpc),
        ("port: 80, name: otlp", Grpc),
        ("port: 80, name: otlp-grpc", Grpc),
        ("port: 80, name: otlp-http", Http),
        ("port: 80, name: http", Http),
        ("port: 80, name: traces, appProtocol: http", Http),
        ("port: 80, name: otlp-http, appProtocol: grpc", Grpc),
        ("port: 80, name: http, appProtocol: kubernetes.io/h2c", Grpc),
        ("port: 80, name: http, appProtocol: example.com/odd", Http),
    ];
    let mut world = World::of(&(base() + &enabled("")));
    for (port, protocol) in rows {
        world.put(&format!(
            "\n---\n{{apiVersion: v1, kind: Service, metadata: {{name: otel, namespace: team}}, spec: {{ports: [{{{port}}}]}}}}"
        ));
        let found = spans(&world);
        assert_eq!(found.protocol, protocol, "{port}");
        let collector = world.snapshot.backend(found.collector.expect("it exists")).expect("it is there");
        let usage = match protocol {
            Grpc => Usage::Grpc,
            Http => Usage::Http,
        };
        assert_eq!(collector.name.usage, usage, "{port}");
        let uses = world.snapshot.backends().filter(|backend| backend.name.object == id("Service team/otel")).count();
        assert_eq!(uses, 1, "the other use of it has ended: {port}");
    }
}

/// §7.2: "telemetry export (union of uses)".
#[test]
fn a_policy_for_tls_applies_to_the_collector_and_names_the_gateway_as_ancestor() {
    let target = "{group: '', kind: Service, name: otel}";
    let mut world = World::of(&(base() + &enabled("") + &tls_policy("p", "", target, SYSTEM)));
    assert!(matches!(backend(&world, "team/otel:80").security, Security::Tls(_)));
    assert_eq!(world.condition("BackendTLSPolicy team/p#team/gw", "Accepted"), "Accepted");
    world.put(&policy("p", "", "mode: Disabled"));
    assert!(ancestors(&world, "BackendTLSPolicy team/p").is_empty(), "nothing leads there any more");
}

#[test]
fn a_data_plane_that_does_not_trace_says_so() {
    let all: Vec<Capability> = vec![Capability::Http, Capability::Grpc];
    let less = Options { support: Support::of(&all), ..options() };
    for mode in ["mode: Disabled", "", &format!("mode: Enabled, {PROVIDER}")] {
        let world = World::with(less.clone(), &(base() + &policy("p", "", mode)));
        assert_eq!(world.condition(T, "Accepted"), "!Invalid", "{mode}");
        assert!(world.message(T, "Accepted").contains("tracing is not performed"), "{mode}");
        assert_eq!(tracing(&world), None);
        assert!(world.snapshot.backends().all(|backend| backend.name.to_string() != "team/otel:80"));
    }
}

#[test]
fn listeners_of_sets_are_traced_like_those_of_their_gateway_and_bytes_are_not() {
    let open = gateway("gw", 80).replace(
        "listeners: [",
        "allowedListeners: {namespaces: {from: Same}}, listeners: [{name: tcp, port: 90, protocol: TCP}, ",
    );
    let set = "\n---\n{apiVersion: gateway.networking.k8s.io/v1, kind: ListenerSet, metadata: {name: set, namespace: team}, spec: {parentRef: {name: gw}, listeners: [{name: more, port: 81, protocol: HTTP}]}}\n";
    let mut world = World::of(&(base() + &open + set + &enabled("")));
    let named = |world: &World, name: &str| listener(world, name).tracing.is_some();
    assert!(named(&world, "Gateway team/gw listener http") && named(&world, "ListenerSet team/set listener more"));
    assert!(!named(&world, "Gateway team/gw listener tcp"));
    world.put(&set.replace("port: 81", "port: 82"));
    assert!(named(&world, "ListenerSet team/set listener more"), "one that is changed later is too");
    world.remove(T);
    assert!(!named(&world, "Gateway team/gw listener http") && !named(&world, "ListenerSet team/set listener more"));
}

#[test]
fn the_list_of_ancestors_ends_at_sixteen_and_where_there_is_no_room_nothing_is_traced() {
    let others = |count: usize| {
        let entry =
            |n: usize| json!({"ancestorRef": {"name": format!("x{n}")}, "controllerName": "x.example/c", "conditions": []});
        json!({"ancestors": (0..count).map(entry).collect::<Vec<Value>>()})
    };
    let with = |count: usize| {
        let text = enabled("");
        let mut value: Value = serde_saphyr::from_str(text.trim().trim_start_matches("---")).unwrap();
        value["status"] = others(count);
        format!("\n---\n{value}\n")
    };
    let mut world = World::of(&(base() + &with(15)));
    assert!(tracing(&world).is_some());
    let merged = merge(&world.compiler.statuses()[&id(T)], Some(&others(15)), "2026-01-01T00:00:00Z").unwrap();
    assert_eq!(merged["ancestors"].as_array().unwrap().len(), 16, "entries of others stay");
    world.put(&with(16));
    assert_eq!(tracing(&world), None);
    assert!(world.compiler.problems()[&id(T)][0].contains("no room for Gateway team/gw"));
    world.put(&with(0));
    assert!(tracing(&world).is_some());
    assert!(!world.compiler.problems().contains_key(&id(T)));
}

#[test]
fn a_change_of_a_policy_touches_the_gateways_it_targets_and_its_own_status_alone() {
    let mut world = World::of(&(base() + &gateway("other", 81) + &enabled("spanName: a")));
    let others = listener(&world, "Gateway team/other listener http");
    let own = listener(&world, "Gateway team/gw listener http");
    let update = world.put(&enabled("spanName: b").replace("namespace: team, }", "namespace: team, generation: 2}"));
    assert_eq!(update.statuses.keys().map(ToString::to_string).collect::<Vec<_>>(), [T]);
    assert!(update.problems.is_empty() && update.needs.is_empty());
    assert!(Arc::ptr_eq(&others, &listener(&world, "Gateway team/other listener http")));
    assert_ne!(own, listener(&world, "Gateway team/gw listener http"));
    assert_eq!(world.get("http://h/", &[]), "team/s:80 /", "its routes stay on it");
    // The same again changes nothing.
    let snapshot = Arc::clone(&world.snapshot);
    let again = enabled("spanName: b").replace("namespace: team, }", "namespace: team, generation: 2}");
    let update = world.apply(objects(&again).into_iter().map(Change::Put));
    assert!(update.statuses.is_empty() && Arc::ptr_eq(&snapshot, &world.snapshot));
}

#[test]
fn what_a_stored_policy_violates_becomes_its_condition() {
    use gateway_core::resource::{Reading, read_stored};
    let yaml = policy("p", "", "mode: Enabled");
    let value: Value = serde_saphyr::from_str(yaml.trim().trim_start_matches("---")).unwrap();
    let Ok(Reading::Object { object, .. }) = read_stored(value, &Default::default()) else { panic!("it is read") };
    let mut world = World::of(&base());
    world.apply([Change::Put(object)]);
    assert_eq!(world.condition(T, "Accepted"), "!Invalid");
    assert!(world.message(T, "Accepted").contains("spec.tracing.provider"));
}
