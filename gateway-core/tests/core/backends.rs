//! Where references lead, and what requests get when they lead nowhere (`HTTPBackendRef`, ReferenceGrant, GEP-1911).

use gateway_core::compile::Change;
use gateway_core::snapshot::Snapshot;

use super::world::{World, id, objects, service};

mod app_protocols;
mod guards;

const GATEWAY: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: infra}
spec: {gatewayClassName: c, listeners: [{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}]}
";

fn route(rules: &str) -> String {
    format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: r, namespace: team}}
spec: {{parentRefs: [{{name: gw, namespace: infra}}], rules: [{rules}]}}
"
    )
}

fn world(rules: &str, more: &str) -> World {
    World::of(&format!("{GATEWAY}{}{more}", route(rules)))
}

const GRANT: &str = "
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: grant, namespace: other}
spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: team}], to: [{group: '', kind: Service}]}
";

#[test]
fn a_reference_into_another_namespace_needs_a_grant_which_can_be_revoked() {
    let rules = "{backendRefs: [{name: s, namespace: other, port: 80}]}";
    let mut with = world(rules, &service("other", "s", "10.0.0.1"));
    let without = world(rules, "");
    for world in [&with, &without] {
        assert_eq!(world.condition("HTTPRoute team/r", "ResolvedRefs"), "!RefNotPermitted");
        assert_eq!(world.condition("HTTPRoute team/r", "Accepted"), "Accepted", "backends never influence acceptance");
        assert_eq!(world.get("http://h/", &[]), "500");
    }
    assert_eq!(with.message("HTTPRoute team/r", "ResolvedRefs"), without.message("HTTPRoute team/r", "ResolvedRefs"));
    with.put(GRANT);
    assert_eq!(with.get("http://h/", &[]), "other/s:80 /");
    with.put(&GRANT.replace("to: [{group: '', kind: Service}]", "to: [{group: '', kind: Service, name: t}]"));
    assert_eq!(with.get("http://h/", &[]), "500", "a narrowed grant");
    with.put(GRANT);
    with.remove("ReferenceGrant other/grant");
    assert_eq!(with.get("http://h/", &[]), "500", "a revoked grant");
    assert_eq!(with.condition("HTTPRoute team/r", "ResolvedRefs"), "!RefNotPermitted");
}

#[test]
fn a_reference_that_leads_nowhere_says_why_and_its_requests_get_500() {
    let rows = [
        ("{name: missing, port: 80}", "!BackendNotFound", "Service team/missing does not exist"),
        ("{name: s, port: 81}", "!BackendNotFound", "no TCP port 81; its ports are 80"),
        ("{name: s, kind: Odd, port: 80}", "!InvalidKind", "Odd team/s"),
        ("{name: outside, port: 80}", "!BackendNotFound", "ExternalName"),
        ("{name: odd, port: 80}", "!UnsupportedProtocol", "kubernetes.io/wss"),
    ];
    let more = format!(
        "{}
---
{{apiVersion: v1, kind: Service, metadata: {{name: outside, namespace: team}}, spec: {{type: ExternalName, externalName: example.com}}}}
---
{{apiVersion: v1, kind: Service, metadata: {{name: odd, namespace: team}}, spec: {{ports: [{{port: 80, appProtocol: kubernetes.io/wss}}]}}}}
",
        service("team", "s", "10.0.0.1")
    );
    for (backend, reason, why) in rows {
        let world = world(&format!("{{backendRefs: [{backend}]}}"), &more);
        assert_eq!(world.condition("HTTPRoute team/r", "ResolvedRefs"), reason, "{backend}");
        assert!(
            world.message("HTTPRoute team/r", "ResolvedRefs").contains(why),
            "{}",
            world.message("HTTPRoute team/r", "ResolvedRefs")
        );
        assert_eq!(world.get("http://h/", &[]), "500", "{backend}");
    }
}

#[test]
fn of_several_faults_the_gravest_is_reported() {
    let world =
        world("{backendRefs: [{name: missing, port: 80}, {name: s, kind: Odd}, {name: s, namespace: other, port: 80}]}", "");
    assert_eq!(world.condition("HTTPRoute team/r", "ResolvedRefs"), "!RefNotPermitted");
}

#[test]
fn invalid_references_take_exactly_their_share_of_requests() {
    let world = world(
        "{backendRefs: [{name: s, port: 80, weight: 3}, {name: missing, port: 80, weight: 1}]}",
        &service("team", "s", "10.0.0.1"),
    );
    let answers: Vec<String> = (0..400).map(|_| world.get("http://h/", &[])).collect();
    assert_eq!(answers.iter().filter(|answer| *answer == "500").count(), 100);
    assert_eq!(answers.iter().filter(|answer| *answer == "team/s:80 /").count(), 300);
}

#[test]
fn weights_are_exact_over_any_window_and_survive_a_change_of_the_route() {
    let rules =
        "{backendRefs: [{name: a, port: 80, weight: 90}, {name: b, port: 80, weight: 10}, {name: c, port: 80, weight: 0}]}";
    let services = ["a", "b", "c"].map(|name| service("team", name, "10.0.0.1")).concat();
    let mut world = world(rules, &services);
    let mut answers: Vec<String> = (0..50).map(|_| world.get("http://h/", &[])).collect();
    world.put(&route(rules).replace("name: r,", "name: r, generation: 2, labels: {changed: 'yes'},"));
    answers.extend((0..50).map(|_| world.get("http://h/", &[])));
    let count = |name: &str| answers.iter().filter(|answer| answer.starts_with(&format!("team/{name}:80"))).count();
    assert_eq!((count("a"), count("b"), count("c")), (90, 10, 0));
}

#[test]
fn no_backend_refs_and_all_weights_zero_are_500_with_resolved_refs() {
    for rules in ["{matches: [{path: {value: /}}]}", "{backendRefs: [{name: s, port: 80, weight: 0}]}"] {
        let world = world(rules, &service("team", "s", "10.0.0.1"));
        assert_eq!(world.get("http://h/", &[]), "500", "{rules}");
        assert_eq!(world.condition("HTTPRoute team/r", "ResolvedRefs"), "ResolvedRefs");
    }
}

#[test]
fn a_service_without_ready_endpoints_is_503_until_endpoints_arrive() {
    let mut world = world(
        "{backendRefs: [{name: s, port: 80}]}",
        "\n---\n{apiVersion: v1, kind: Service, metadata: {name: s, namespace: team}, spec: {ports: [{port: 80}]}}",
    );
    assert_eq!(world.get("http://h/", &[]), "503");
    assert_eq!(world.condition("HTTPRoute team/r", "ResolvedRefs"), "ResolvedRefs");
    assert!(world.compiler.problems().contains_key(&id("Service team/s")));
    world.put(&service("team", "s", "10.0.0.1"));
    assert_eq!(world.get("http://h/", &[]), "team/s:80 /");
    assert!(!world.compiler.problems().contains_key(&id("Service team/s")));
    world.remove("Service team/s");
    assert_eq!(world.get("http://h/", &[]), "500");
    assert_eq!(world.condition("HTTPRoute team/r", "ResolvedRefs"), "!BackendNotFound");
}

fn endpoints(snapshot: &Snapshot) -> Vec<String> {
    snapshot.backends().flat_map(|backend| backend.endpoints.iter().map(ToString::to_string).collect::<Vec<_>>()).collect()
}

fn slice(name: &str, ports: &str, endpoints: &str) -> String {
    format!(
        "
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}, namespace: team, labels: {{kubernetes.io/service-name: s}}}}
addressType: IPv4
ports: {ports}
endpoints: {endpoints}
"
    )
}

#[test]
fn endpoints_are_the_ready_ones_or_else_those_that_still_serve_while_they_terminate() {
    let service = "\n---\n{apiVersion: v1, kind: Service, metadata: {name: s, namespace: team}, spec: {ports: [{port: 80}]}}";
    let mut world = world("{backendRefs: [{name: s, port: 80}]}", service);
    let terminating = "{addresses: [10.0.0.2], conditions: {ready: false, serving: true, terminating: true}}";
    let dead = "{addresses: [10.0.0.3], conditions: {ready: false, serving: false, terminating: true}}";
    world.put(&slice("one", "[{port: 8080}]", &format!("[{{addresses: [10.0.0.1]}}, {terminating}, {dead}]")));
    world.put(&slice(
        "two",
        "[{port: 8080}]",
        "[{addresses: [10.0.0.1], conditions: {ready: true}}, {addresses: [10.0.0.4], conditions: {ready: false}}]",
    ));
    assert_eq!(endpoints(&world.snapshot), ["10.0.0.1:8080"], "each once");
    world.put(&slice("one", "[{port: 8080}]", &format!("[{terminating}, {dead}]")));
    world.remove("EndpointSlice team/two");
    assert_eq!(endpoints(&world.snapshot), ["10.0.0.2:8080"]);
}

#[test]
fn the_service_port_maps_to_endpoint_ports_by_name_slice_by_slice() {
    let service = "\n---\n{apiVersion: v1, kind: Service, metadata: {name: s, namespace: team}, spec: {ports: [{name: web, port: 80}, {name: admin, port: 81}]}}";
    let mut world = world("{backendRefs: [{name: s, port: 80}]}", service);
    world.put(&slice("one", "[{name: web, port: 8080}, {name: admin, port: 9000}]", "[{addresses: [10.0.0.1]}]"));
    world.put(&slice("two", "[{name: web, port: 8081}]", "[{addresses: [10.0.0.2]}]"));
    world.put(&slice("three", "[{name: other, port: 1}]", "[{addresses: [10.0.0.3]}]"));
    world.put(&slice("four", "[]", "[]"));
    assert_eq!(endpoints(&world.snapshot), ["10.0.0.1:8080", "10.0.0.2:8081"]);
}

#[test]
fn a_change_of_endpoints_touches_no_status_and_no_rule() {
    let mut world = world("{backendRefs: [{name: s, port: 80}]}", &service("team", "s", "10.0.0.1"));
    let changed = objects(&service("team", "s", "10.0.0.9")).into_iter().map(Change::Put).collect::<Vec<_>>();
    let update = world.apply(changed);
    assert!(update.statuses.is_empty() && update.needs.is_empty());
    assert_eq!(endpoints(&world.snapshot), ["10.0.0.9:8080"]);
}

#[test]
fn needs_tell_what_a_gateway_began_and_ceased_to_depend_on_existing_or_not() {
    let mut world = World::of(GATEWAY);
    let joined = world.put(&route("{backendRefs: [{name: missing, port: 80}]}"));
    let named = |update: &gateway_core::compile::Update, joined: bool| {
        update.needs.iter().filter(|need| need.joined == joined).map(|need| need.object.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(named(&joined, true), ["HTTPRoute team/r", "Namespace team", "Service team/missing"]);
    let left = world.remove("HTTPRoute team/r");
    assert_eq!(named(&left, false), named(&joined, true));
}

/// A route of any kind to port 80 of a Service that only serves it over one transport.
fn route_of(kind: &str, more: &str) -> String {
    format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1
kind: {kind}
metadata: {{name: r, namespace: team}}
spec: {{parentRefs: [{{name: gw, namespace: infra}}], {more}rules: [{{backendRefs: [{{name: s, port: 80}}]}}]}}
"
    )
}

#[test]
fn every_kind_of_route_speaks_to_the_same_port_in_its_own_way() {
    let service = |protocol: &str, app: &str| {
        let spec = format!("{{ports: [{{port: 80, protocol: {protocol}{app}}}]}}");
        format!("\n---\n{{apiVersion: v1, kind: Service, metadata: {{name: s, namespace: team}}, spec: {spec}}}")
    };
    let h2c = ", appProtocol: kubernetes.io/h2c";
    let rows = [
        ("HTTPRoute", "", "TCP", "", "Http1"),
        ("HTTPRoute", "", "TCP", ", appProtocol: http", "Http1"),
        ("HTTPRoute", "", "TCP", ", appProtocol: example.com/own", "Http1"),
        ("HTTPRoute", "", "TCP", ", appProtocol: kubernetes.io/ws", "Http1"),
        ("HTTPRoute", "", "TCP", h2c, "Http2"),
        ("GRPCRoute", "", "TCP", "", "Http2"),
        ("GRPCRoute", "", "TCP", h2c, "Http2"),
        ("TLSRoute", "hostnames: [h.example], ", "TCP", "", "Raw"),
        ("TCPRoute", "", "TCP", h2c, "Raw"),
        ("UDPRoute", "", "UDP", "", "Raw"),
        ("HTTPRoute", "", "TCP", ", appProtocol: kubernetes.io/odd", "!UnsupportedProtocol"),
        ("HTTPRoute", "", "SCTP", "", "!BackendNotFound"),
        ("HTTPRoute", "", "UDP", "", "!BackendNotFound"),
        ("UDPRoute", "", "TCP", "", "!BackendNotFound"),
        ("UDPRoute", "", "SCTP", "", "!BackendNotFound"),
    ];
    for (kind, more, protocol, app, expected) in rows {
        let world = World::of(&format!("{GATEWAY}{}{}", route_of(kind, more), service(protocol, app)));
        let resolved = world.condition(&format!("{kind} team/r"), "ResolvedRefs");
        let found = match world.snapshot.backends().next() {
            Some(backend) if resolved == "ResolvedRefs" => format!("{:?}", backend.protocol),
            _ => resolved,
        };
        assert_eq!(found, expected, "{kind} {protocol}{app}");
    }
}

#[test]
fn mirrors_and_external_authorization_are_references_like_backends() {
    let mirror = "{type: RequestMirror, requestMirror: {backendRef: {name: m, port: 80}}}";
    let auth =
        "{type: ExternalAuth, externalAuth: {protocol: GRPC, grpc: {}, backendRef: {name: a, namespace: other, port: 80}}}";
    let rules = format!("{{filters: [{mirror}, {auth}], backendRefs: [{{name: s, port: 80, filters: [{mirror}]}}]}}");
    let mut world = world(&rules, &service("team", "s", "10.0.0.1"));
    assert_eq!(world.condition("HTTPRoute team/r", "ResolvedRefs"), "!RefNotPermitted", "external authorization");
    world.put(GRANT);
    assert_eq!(world.condition("HTTPRoute team/r", "ResolvedRefs"), "!BackendNotFound");
    world.put(&service("other", "a", "10.0.0.2"));
    assert!(world.message("HTTPRoute team/r", "ResolvedRefs").contains("Service team/m"), "the mirror");
    world.put(&service("team", "m", "10.0.0.3"));
    assert_eq!(world.condition("HTTPRoute team/r", "ResolvedRefs"), "ResolvedRefs");
    let spoken: Vec<String> =
        world.snapshot.backends().map(|backend| format!("{} {:?}", backend.name, backend.protocol)).collect();
    assert_eq!(spoken, ["other/a:80 Http2", "team/m:80 Http1", "team/s:80 Http1"]);
    world.remove("HTTPRoute team/r");
    assert_eq!(world.snapshot.backends().count(), 0, "what nobody uses is let go");
}
