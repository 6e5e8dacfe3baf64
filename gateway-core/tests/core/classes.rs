//! GatewayClasses (`GatewayClassStatus`, GEP-2162) and the parameters of classes and Gateways.

use gateway_core::compile::{Bundle, Change, Fact};
use gateway_core::status::Status;

use super::world::{World, id};

fn class(parameters: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {{name: c}}\nspec: {{controllerName: example.com/x{parameters}}}\n"
    )
}

const GATEWAY: &str = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: infra}
spec: {gatewayClassName: c, listeners: [{name: http, port: 80, protocol: HTTP}]}
";

#[test]
fn a_class_with_parameters_nobody_knows_reports_it_and_its_gateways_are_served() {
    let world = World::of(&format!("{}{GATEWAY}", class(", parametersRef: {group: example.com, kind: Config, name: x}")));
    assert_eq!(world.condition("GatewayClass c", "Accepted"), "!InvalidParameters");
    assert!(world.message("GatewayClass c", "Accepted").contains("kind Config of group example.com"));
    assert_eq!(world.condition("Gateway infra/gw", "Programmed"), "Programmed");
}

#[test]
fn supported_features_are_sorted_and_published_with_accepted() {
    let world = World::of(&class(""));
    assert_eq!(world.condition("GatewayClass c", "Accepted"), "Accepted");
    assert_eq!(world.condition("GatewayClass c", "SupportedVersion"), "SupportedVersion");
    let Some(Status::GatewayClass(status)) = world.compiler.statuses().get(&id("GatewayClass c")) else { panic!("no status") };
    assert!(!status.supported_features.is_empty() && status.supported_features.iter().map(|feature| feature.name).is_sorted());
}

#[test]
fn a_bundle_that_is_not_known_is_an_unsupported_version() {
    let mut world = World::of(&class(""));
    let bundle =
        |version: &str| Change::Fact(Fact::Bundle(Bundle { version: version.into(), experimental: true, trust_bundles: true }));
    world.apply([bundle("v2.0.0")]);
    assert_eq!(world.condition("GatewayClass c", "SupportedVersion"), "!UnsupportedVersion");
    assert_eq!(world.condition("GatewayClass c", "Accepted"), "Accepted", "best effort");
    world.apply([bundle("v1.6.3")]);
    assert_eq!(world.condition("GatewayClass c", "SupportedVersion"), "SupportedVersion");
}

#[test]
fn a_gateways_parameters_lie_over_its_classs_and_the_defaults() {
    let parameters = |namespace: &str, name: &str, spec: &str| {
        format!(
            "\n---\napiVersion: pingora-gateway.dev/v1alpha1\nkind: GatewayParameters\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n"
        )
    };
    let gateway = GATEWAY.replace(
        "gatewayClassName: c,",
        "gatewayClassName: c, infrastructure: {parametersRef: {group: pingora-gateway.dev, kind: GatewayParameters, name: own}},",
    );
    let class = class(", parametersRef: {group: pingora-gateway.dev, kind: GatewayParameters, name: shared, namespace: infra}");
    let mut world = World::of(&format!(
        "{class}{gateway}{}",
        parameters("infra", "shared", "{mergeSlashes: false, limits: {idleTimeout: 5s}}")
    ));
    assert_eq!(world.condition("GatewayClass c", "Accepted"), "Accepted");
    assert_eq!(world.condition("Gateway infra/gw", "Accepted"), "!InvalidParameters");
    assert_eq!(world.snapshot.sockets().count(), 0, "nobody knows how it should be served");
    world.put(&parameters("infra", "own", "{trustedProxies: [10.0.0.0/8], limits: {idleTimeout: 7s}}"));
    world.bind();
    assert_eq!(world.condition("Gateway infra/gw", "Programmed"), "Programmed");
    let settings = world.snapshot.sockets().next().map(|(_, listeners)| listeners.settings.clone()).unwrap();
    assert!(!settings.merge_slashes && settings.trusted_proxies.len() == 1);
    assert_eq!(settings.idle_timeout, std::time::Duration::from_secs(7));
    assert_eq!(settings.header_timeout, std::time::Duration::from_secs(10));
}
