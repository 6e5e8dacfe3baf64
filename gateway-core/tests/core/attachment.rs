//! Which routes attach to which listeners, and what they are told (§ 4.1, 4.2 and 4.9 of the checklist of the specification:
//! `ParentReference`, `RouteStatus`, `HTTPRouteSpec.Hostnames`).

use gateway_core::compile::{Classes, Options};
use gateway_core::status::Status;
use gateway_core::support::{Capability, Support};

use super::world::{World, id, options};

const GATEWAY: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: infra}
spec:
  gatewayClassName: c
  listeners:
  - {name: all, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}
  - {name: same, port: 8080, protocol: HTTP, hostname: same.example.com}
  - name: chosen
    port: 80
    protocol: HTTP
    hostname: '*.chosen.example.com'
    allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {gateway-access: allowed}}}}
  - {name: grpc, port: 9090, protocol: HTTP, allowedRoutes: {namespaces: {from: All}, kinds: [{kind: GRPCRoute}]}}
";

fn route(parent: &str, namespace: &str, hosts: &str) -> String {
    format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: r, namespace: {namespace}, labels: {{gateway-access: allowed}}}}
spec: {{parentRefs: [{{name: gw, namespace: infra{parent}}}], hostnames: {hosts}}}
"
    )
}

fn judged(parent: &str, namespace: &str, hosts: &str) -> World {
    World::of(&format!("{GATEWAY}{}", route(parent, namespace, hosts)))
}

#[test]
fn a_parent_ref_that_names_no_listener_is_no_matching_parent() {
    for parent in [", sectionName: nobody", ", port: 81", ", sectionName: all, port: 8080"] {
        let world = judged(parent, "infra", "[]");
        assert_eq!(world.condition("HTTPRoute infra/r", "Accepted"), "!NoMatchingParent", "{parent}");
        assert_eq!(world.condition("HTTPRoute infra/r", "ResolvedRefs"), "ResolvedRefs", "written even when not accepted");
        assert!(world.message("HTTPRoute infra/r", "Accepted").contains("all (port 80), same (port 8080)"));
    }
}

#[test]
fn a_listener_that_takes_other_kinds_does_not_allow_the_route() {
    let world = judged(", sectionName: grpc", "infra", "[]");
    assert_eq!(world.condition("HTTPRoute infra/r", "Accepted"), "!NotAllowedByListeners");
    assert!(world.message("HTTPRoute infra/r", "Accepted").contains("listener grpc takes only GRPCRoute"));
}

#[test]
fn namespaces_default_to_the_gateways_own() {
    let world = judged(", sectionName: same", "team", "[]");
    assert_eq!(world.condition("HTTPRoute team/r", "Accepted"), "!NotAllowedByListeners");
    let message = world.message("HTTPRoute team/r", "Accepted");
    assert!(message.contains("takes only routes of its own namespace infra") && message.contains("from: All"), "{message}");
    assert_eq!(judged(", sectionName: same", "infra", "[]").condition("HTTPRoute infra/r", "Accepted"), "Accepted");
}

#[test]
fn a_selector_looks_at_the_labels_of_the_namespace_and_not_of_the_route() {
    let mut world = judged(", sectionName: chosen", "team", "[]");
    assert_eq!(world.condition("HTTPRoute team/r", "Accepted"), "!NotAllowedByListeners");
    let message = world.message("HTTPRoute team/r", "Accepted");
    assert!(message.contains("Namespace team does not satisfy gateway-access: allowed"), "{message}");
    assert!(message.contains("the label on the HTTPRoute itself does not count"), "{message}");
    world.put("{apiVersion: v1, kind: Namespace, metadata: {name: team, labels: {gateway-access: allowed}}}");
    assert_eq!(world.condition("HTTPRoute team/r", "Accepted"), "Accepted", "a relabelled namespace is judged again");
    assert_eq!(world.attached("infra/gw", "chosen"), 1);
    world.remove("Namespace team");
    assert_eq!(world.condition("HTTPRoute team/r", "Accepted"), "!NotAllowedByListeners");
    assert_eq!(world.attached("infra/gw", "chosen"), 0);
}

#[test]
fn a_namespace_that_is_not_among_the_objects_has_only_its_name_as_a_label() {
    let selector = "{from: Selector, selector: {matchLabels: {kubernetes.io/metadata.name: team}}}";
    let gateway = format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: infra}}
spec: {{gatewayClassName: c, listeners: [{{name: l, port: 80, protocol: HTTP, allowedRoutes: {{namespaces: {selector}}}}}]}}
"
    );
    let world = World::of(&format!("{gateway}{}", route("", "team", "[]")));
    assert_eq!(world.condition("HTTPRoute team/r", "Accepted"), "Accepted");
}

#[test]
fn hostnames_without_a_host_in_common_are_no_matching_listener_hostname() {
    let world = judged(", sectionName: chosen", "infra", "[other.example.com]");
    assert_eq!(
        world.condition("HTTPRoute infra/r", "Accepted"),
        "!NotAllowedByListeners",
        "namespaces are asked before hostnames"
    );
    let world = judged(", sectionName: same", "infra", "[other.example.com]");
    assert_eq!(world.condition("HTTPRoute infra/r", "Accepted"), "!NoMatchingListenerHostname");
    assert!(world.message("HTTPRoute infra/r", "Accepted").contains("same.example.com"));
}

#[test]
fn an_accepted_route_is_told_which_listeners_carry_it_and_why_others_do_not() {
    let world = judged("", "team", "[]");
    assert_eq!(world.condition("HTTPRoute team/r", "Accepted"), "Accepted");
    let message = world.message("HTTPRoute team/r", "Accepted");
    assert!(message.starts_with("carried by listener all of Gateway infra/gw; not by others: "), "{message}");
    for lost in [
        "listener same takes only routes of its own namespace",
        "listener chosen selects namespaces",
        "listener grpc takes only GRPCRoute",
    ] {
        assert!(message.contains(lost), "{message}");
    }
}

#[test]
fn a_route_counts_once_on_a_listener_however_many_parent_refs_lead_there() {
    let twice = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: twice, namespace: infra}
spec: {parentRefs: [{name: gw, sectionName: all}, {name: gw, sectionName: same}]}
";
    let world = World::of(&format!("{GATEWAY}{twice}{}", route("", "team", "[]")));
    assert_eq!((world.attached("infra/gw", "all"), world.attached("infra/gw", "same")), (2, 1));
}

#[test]
fn there_is_one_entry_per_parent_ref_and_none_for_a_gateway_that_does_not_exist() {
    let text = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r, namespace: infra}
spec: {parentRefs: [{name: gw, sectionName: all}, {name: nobody}, {name: gw, sectionName: same}, {kind: Service, group: '', name: mesh}]}
";
    let world = World::of(&format!("{GATEWAY}{text}"));
    let Some(Status::Route(status)) = world.compiler.statuses().get(&id("HTTPRoute infra/r")) else { panic!("no status") };
    let sections: Vec<_> = status.parents.iter().map(|parent| parent.parent_ref.section_name.as_deref()).collect();
    assert_eq!(sections, [Some("all"), Some("same")]);
    let problems = &world.compiler.problems()[&id("HTTPRoute infra/r")];
    assert!(problems.iter().any(|problem| problem.contains("infra/nobody")), "{problems:?}");
}

#[test]
fn routes_of_kinds_that_are_not_served_are_judged_and_refused() {
    let text = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: r, namespace: infra}
spec: {parentRefs: [{name: gw}], rules: [{backendRefs: [{name: nothing, port: 80}]}]}
";
    let http_alone = Options { support: Support::of(&[Capability::Http]), ..options() };
    let world = World::with(http_alone, &format!("{GATEWAY}{text}"));
    assert_eq!(world.condition("GRPCRoute infra/r", "Accepted"), "!NotAllowedByListeners");
    assert_eq!(world.condition("GRPCRoute infra/r", "ResolvedRefs"), "!BackendNotFound");
    assert_eq!(world.condition("Gateway infra/gw#grpc", "ResolvedRefs"), "!InvalidRouteKinds");
}

#[test]
fn only_gateways_of_our_classes_get_a_status_where_classes_are_named() {
    let class = |controller: &str| {
        format!(
            "---\n{{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {{name: c}}, spec: {{controllerName: {controller}}}}}\n"
        )
    };
    let named = Options { classes: Classes::Named, ..options() };
    let mut world = World::with(named, &format!("{GATEWAY}{}", route("", "infra", "[]")));
    assert_eq!(world.condition("Gateway infra/gw", "Accepted"), "absent", "the class is missing, so nobody owns the Gateway");
    world.put(&class("example.com/other"));
    assert_eq!(world.condition("Gateway infra/gw", "Accepted"), "absent");
    assert_eq!(world.condition("GatewayClass c", "Accepted"), "absent");
    world.put(&class("pingora-gateway.dev/controller"));
    assert_eq!(world.condition("Gateway infra/gw", "Accepted"), "Accepted");
    assert_eq!(world.condition("HTTPRoute infra/r", "Accepted"), "Accepted");
    world.put(&class("example.com/other"));
    assert_eq!(world.condition("HTTPRoute infra/r", "Accepted"), "absent", "our entry goes with the Gateway");
}

#[test]
fn changing_the_kinds_of_a_live_listener_detaches_its_routes() {
    let mut world = judged(", sectionName: all", "infra", "[]");
    assert_eq!(world.attached("infra/gw", "all"), 1);
    world.put(&GATEWAY.replace(
        "{name: all, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}",
        "{name: all, port: 80, protocol: HTTP, allowedRoutes: {kinds: [{kind: GRPCRoute}]}}",
    ));
    assert_eq!(world.condition("HTTPRoute infra/r", "Accepted"), "!NotAllowedByListeners");
    assert_eq!(world.attached("infra/gw", "all"), 0);
}

#[test]
fn observed_generation_follows_the_object() {
    let mut world = judged("", "infra", "[]");
    world.put(&route("", "infra", "[]").replace("name: r,", "name: r, generation: 9,"));
    let Some(Status::Route(status)) = world.compiler.statuses().get(&id("HTTPRoute infra/r")) else { panic!("no status") };
    assert!(status.parents[0].conditions.iter().all(|condition| condition.observed_generation == 9));
}

#[test]
fn hosts_follow_a_change_of_the_listeners_hostname() {
    let gateway = |hostname: &str| {
        format!(
            "\n---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: gw, namespace: infra}}\nspec: {{gatewayClassName: c, listeners: [{{name: l, port: 80, protocol: HTTP{hostname}}}]}}\n"
        )
    };
    let route = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r, namespace: infra}
spec: {parentRefs: [{name: gw}], hostnames: [a.example.com, b.other.org], rules: [{filters: [{type: DirectResponse, directResponse: {statusCode: 200}}]}]}
";
    let narrow = gateway(", hostname: '*.example.com'");
    let mut world = World::of(&format!("{narrow}{route}"));
    assert_eq!(world.get("http://b.other.org/", &[]), "404");
    world.put(&gateway(""));
    assert_eq!(world.get("http://b.other.org/", &[]), "200 ");
    world.put(&narrow);
    assert_eq!(world.snapshot.outline(), World::of(&format!("{narrow}{route}")).snapshot.outline());
}

#[test]
fn a_missing_gateway_that_is_named_twice_is_told_of_once() {
    let world = World::of(
        "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: r, namespace: infra}, spec: {parentRefs: [{name: gone, \
         sectionName: a}, {name: gone, sectionName: b}, {name: lost}], rules: [{}]}}",
    );
    let problems = &world.compiler.problems()[&id("HTTPRoute infra/r")];
    assert_eq!(
        problems[..],
        [
            "parentRef infra/gone: there is no such Gateway, or none that could be read",
            "parentRef infra/lost: there is no such Gateway, or none that could be read"
        ]
    );
}
