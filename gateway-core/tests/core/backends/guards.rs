//! What a backend that the schema forbids, or that leads where only the gateway could reach, gets: nothing (GEP-4894, CVE-2021-25740).
//!
//! Bundles of the standard channel and older ones let objects pass that later schemas refuse, so everything is looked at again.

use std::net::IpAddr;
use std::sync::Arc;

use gateway_core::compile::{Change, ExternalNames, Fact, Options};

use super::super::world::{World, options};

const X: &str = "XBackend team/x";
const R: &str = "HTTPRoute team/r";

/// A Gateway, a route to XBackend `x`, and that with this specification.
fn yaml(spec: &str) -> String {
    format!(
        "
---
{{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {{name: gw, namespace: team}}, spec: {{gatewayClassName: c, listeners: [{{name: http, port: 80, protocol: HTTP}}]}}}}
---
{{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {{name: r, namespace: team}}, spec: {{parentRefs: [{{name: gw}}], rules: [{{backendRefs: [{{group: gateway.networking.x-k8s.io, kind: XBackend, name: x}}]}}]}}}}
---
{{apiVersion: gateway.networking.x-k8s.io/v1alpha1, kind: XBackend, metadata: {{name: x, namespace: team}}, spec: {spec}}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: x-1, namespace: team, labels: {{pingora-gateway.dev/backend: x}}}}
addressType: IPv4
endpoints: [{{addresses: [10.0.0.1]}}]
ports: [{{port: 8080}}]
"
    )
}

fn world(spec: &str) -> World {
    World::with(Options { external_names: ExternalNames::Elsewhere, ..options() }, &yaml(spec))
}

/// The XBackend alone, leading to this host.
fn xbackend(host: &str) -> String {
    format!(
        "\n---\n{{apiVersion: gateway.networking.x-k8s.io/v1alpha1, kind: XBackend, metadata: {{name: x, namespace: team}}, spec: {}}}\n",
        external(host)
    )
}

fn resolved(host: &str, address: &str) -> Change {
    let addresses: Arc<[IpAddr]> = [address.parse().expect("an address")].into();
    Change::Fact(Fact::Resolved(host.into(), Some(addresses)))
}

fn external(name: &str) -> String {
    format!("{{type: ExternalHostname, externalHostname: {{hostname: '{name}'}}, port: {{number: 80}}}}")
}

#[test]
fn xbackends_that_the_schema_forbids_are_sent_nothing_and_say_so() {
    let selector = "type: EndpointSelector, endpointSelector: {matchLabels: {app: a}}, port: {number: 80}";
    let rows = [
        external("10.0.0.1"),
        external("s.team.svc.cluster.local"),
        external("*.example.com"),
        format!("{{{selector}, externalHostname: {{hostname: example.com}}}}"),
        format!("{{{selector}, protocol: WSS}}"),
        format!("{{{selector}, protocol: HTTP2}}"),
        "{type: EndpointSelector, port: {number: 80}}".to_owned(),
        format!("{{{selector}, tls: {{mode: ServerOnly}}}}"),
    ];
    for spec in rows {
        let mut world = world(&spec);
        for name in ["10.0.0.1", "s.team.svc.cluster.local", "*.example.com"] {
            world.apply([resolved(name, "192.0.2.1")]);
        }
        assert_eq!(world.get("http://h/", &[]), "500", "{spec}");
        assert_eq!(world.condition(X, "Accepted"), "!Invalid", "{spec}");
        assert_eq!(world.condition(R, "ResolvedRefs"), "!BackendNotFound", "{spec}");
        assert!(world.message(R, "ResolvedRefs").contains("spec."), "it says which field: {}", world.message(R, "ResolvedRefs"));
        assert_eq!(world.snapshot.backends().count(), 0, "{spec}");
    }
}

#[test]
fn an_xbackend_that_is_mended_is_served_and_only_then_is_its_name_asked_for() {
    let mut world = world(&external("10.0.0.1"));
    assert_eq!(world.get("http://h/", &[]), "500");
    let update = world.put(&xbackend("example.com"));
    assert_eq!(Vec::from_iter(update.names), [("example.com".into(), true)], "the address was never one");
    assert_eq!(world.get("http://h/", &[]), "503", "its name is not resolved");
    world.apply([resolved("example.com", "192.0.2.1")]);
    assert_eq!(world.get("http://h/", &[]), "XBackend team/x /");
    assert_eq!((world.condition(X, "Accepted"), world.condition(R, "ResolvedRefs")), ("Accepted".into(), "ResolvedRefs".into()));
    let update = world.put(&xbackend("10.0.0.1"));
    assert_eq!(Vec::from_iter(update.names), [("example.com".into(), false)]);
    assert_eq!((world.get("http://h/", &[]), world.condition(X, "Accepted")), ("500".into(), "!Invalid".into()));
}

#[test]
fn names_of_the_cluster_lead_nowhere_as_they_would_get_around_grants() {
    let service = |host: &str| {
        format!(
            "\n---\n{{apiVersion: v1, kind: Service, metadata: {{name: s, namespace: team}}, spec: {{type: ExternalName, externalName: {host}}}}}"
        )
    };
    let to_service = "\n---\n{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: r, namespace: team}, spec: {parentRefs: [{name: gw}], rules: [{backendRefs: [{name: s, port: 80}]}]}}\n";
    let rows =
        [("t.other.svc.corp.example", false), ("corp.example", false), ("notcorp.example", true), ("corp.example.org", true)];
    for (host, leads) in rows {
        for external_names in [ExternalNames::Elsewhere, ExternalNames::Anywhere] {
            let options = Options { external_names, cluster_domain: "corp.example".into(), ..options() };
            let leads = leads || external_names == ExternalNames::Anywhere;
            let mut by_xbackend = World::with(options.clone(), &yaml(&external(host)));
            let mut by_service = World::with(options, &(yaml(&external(host)) + to_service + &service(host)));
            for world in [&mut by_xbackend, &mut by_service] {
                world.apply([resolved(host, "192.0.2.1")]);
                let found = (world.condition(R, "ResolvedRefs"), world.get("http://h/", &[]) == "500");
                let expected = if leads { "ResolvedRefs" } else { "!BackendNotFound" };
                assert_eq!(found, (expected.to_owned(), !leads), "{host} {external_names:?}");
            }
        }
    }
    let within = World::with(
        Options { external_names: ExternalNames::Elsewhere, ..options() },
        &(yaml(&external("example.com")) + to_service + &service("t.other.svc.cluster.local.")),
    );
    assert_eq!(within.condition(R, "ResolvedRefs"), "!BackendNotFound", "a dot at the end, and the domain that clusters have");
}
