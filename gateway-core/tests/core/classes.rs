//! GatewayClasses (`GatewayClassStatus`, GEP-2162) and the parameters of classes and Gateways.

use gateway_core::compile::{Bundle, Change, Classes, CrdAnnotations, Fact, Options, Update};
use gateway_core::name::ObjectName;
use gateway_core::status::Status;
use gateway_core::support::{Capability, Support};

use super::world::{World, id, options};

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

fn features(world: &World) -> Vec<&'static str> {
    let Some(Status::GatewayClass(status)) = world.compiler.statuses().get(&id("GatewayClass c")) else { panic!("no status") };
    status.supported_features.iter().map(|feature| feature.name).collect()
}

/// A bundle of CRDs annotated so, each `version channel`; `-` is an annotation that is missing.
fn installed(crds: &[&str]) -> Change {
    let annotation = |text: &str| (text != "-").then(|| text.into());
    let crd = |text: &&str| {
        let (version, channel) = text.split_once(' ').expect("a version and a channel");
        CrdAnnotations { version: annotation(version), channel: annotation(channel) }
    };
    Change::Fact(Fact::Bundle(Bundle { crds: crds.iter().map(crd).collect(), trust_bundles: false }))
}

/// § 9, item 36.
#[test]
fn supported_version_is_true_while_the_annotation_of_every_crd_is_recognised() {
    let mut world = World::of(&class(""));
    let rows: [(&[&str], &str, &str); 10] = [
        (&["v1.7.0 experimental"], "SupportedVersion", "Gateway API v1.7.0 is installed"),
        (&["v1.7.0-rc.3 standard"], "SupportedVersion", "v1.7.0-rc.3"),
        (&["v1.5.0 standard"], "SupportedVersion", "v1.5.0"),
        (&["v1.6.3 standard", "v1.7.0 standard"], "SupportedVersion", "v1.6.3 and v1.7.0, channel standard, are installed side"),
        (&["v1.7.0 standard", "v1.7.0 experimental"], "SupportedVersion", "channel experimental and standard"),
        (&["v1.4.1 standard"], "!UnsupportedVersion", "annotated with v1.4.1; versions v1.5 to v1.7 are supported"),
        (&["v1.7.0 standard", "- -"], "!UnsupportedVersion", "annotated with nothing and v1.7.0"),
        (&["v2.0.0 standard", "v1.7.0 standard"], "!UnsupportedVersion", "v1.7.0 and v2.0.0"),
        (&["latest standard"], "!UnsupportedVersion", "latest"),
        (&[], "!UnsupportedVersion", "annotated with nothing"),
    ];
    for (crds, state, message) in rows {
        world.apply([installed(crds)]);
        assert_eq!(world.condition("GatewayClass c", "SupportedVersion"), state, "{crds:?}");
        let told = world.message("GatewayClass c", "SupportedVersion");
        assert!(told.contains(message), "{told} should say: {message}");
        assert_eq!(world.condition("GatewayClass c", "Accepted"), "Accepted", "best effort");
    }
}

/// § 9, items 37 and 61.
#[test]
fn published_features_follow_the_crds_and_the_cluster_trust_bundle_api_at_run_time() {
    let mut world = World::of(&class(""));
    let claims = |world: &World, name: &str| features(world).contains(&name);
    assert_eq!(features(&world).len(), 54, "files may hold all there is");
    world.apply([installed(&["v1.7.0 standard"])]);
    assert!(!claims(&world, "GatewayListenerFilters") && !claims(&world, "ClusterTrustBundle"));
    let update = world.apply([installed(&["v1.7.0 experimental"])]);
    assert_eq!(update.statuses.len(), 1, "the class alone");
    assert!(claims(&world, "GatewayListenerFilters") && !claims(&world, "ClusterTrustBundle"));
    world.apply([Change::Fact(Fact::Bundle(Bundle::of("v1.7.0", true)))]);
    assert_eq!(features(&world).len(), 54, "the API appeared");
    world.apply([installed(&["v1.6.1 experimental"])]);
    assert!(claims(&world, "GatewayInfrastructurePropagation") && claims(&world, "HTTPRouteRetry"));
    assert!(!claims(&world, "HTTPRouteRetryCodes") && !claims(&world, "HTTPRouteRetryBackendTimeout"));
    world.apply([installed(&["v1.6.3 standard", "v1.7.0 standard"])]);
    assert!(!claims(&world, "HTTPRouteRetryCodes"), "the oldest decides");
    assert!(claims(&world, "GatewayInfrastructure") && !claims(&world, "GatewayInfrastructurePropagation"));
    world.apply([installed(&["v1.9.0 experimental"])]);
    assert!(claims(&world, "HTTPRouteRetryCodes"), "of a later bundle, what we know");
    world.apply([installed(&["- experimental"])]);
    assert!(!claims(&world, "HTTPRouteRetryCodes") && claims(&world, "HTTPRoute"), "of one that says nothing, the least");
    assert!(features(&world).is_sorted());
}

/// § 9, item 36.
#[test]
fn parameters_of_a_class_that_cannot_be_used_are_invalid_parameters() {
    let own =
        |fields: &str| class(&format!(", parametersRef: {{group: pingora-gateway.dev, kind: GatewayParameters, {fields}}}"));
    let parameters = |spec: &str| {
        format!(
            "\n---\napiVersion: pingora-gateway.dev/v1alpha1\nkind: GatewayParameters\nmetadata: {{name: x, namespace: infra}}\nspec: {spec}\n"
        )
    };
    let rows = [
        (own("name: x"), String::new(), "without stating it"),
        (own("name: x, namespace: infra"), String::new(), "does not exist"),
        (
            own("name: x, namespace: infra"),
            parameters("{trustedProxies: [10.0.0.0/99]}"),
            "cannot be read: spec.trustedProxies[0]",
        ),
        (
            class(", parametersRef: {group: '', kind: ConfigMap, name: x, namespace: infra}"),
            String::new(),
            "kind ConfigMap of group core",
        ),
        (class(", parametersRef: {group: '', kind: Namespace, name: x}"), String::new(), "kind Namespace of group core"),
    ];
    for (class, parameters, why) in rows {
        let world = World::of(&format!("{class}{parameters}{GATEWAY}"));
        assert_eq!(world.condition("GatewayClass c", "Accepted"), "!InvalidParameters", "{why}");
        let message = world.message("GatewayClass c", "Accepted");
        assert!(message.contains(why), "{message} should say: {why}");
        assert_eq!(world.condition("GatewayClass c", "SupportedVersion"), "SupportedVersion");
        assert_eq!(world.condition("Gateway infra/gw", "Programmed"), "Programmed", "its Gateways are served with defaults");
    }
    let mut world = World::of(&own("name: x, namespace: infra"));
    world.put(&parameters("{mergeSlashes: false}"));
    assert_eq!(world.condition("GatewayClass c", "Accepted"), "Accepted", "they came later");
    world.remove("GatewayParameters infra/x");
    assert_eq!(world.condition("GatewayClass c", "Accepted"), "!InvalidParameters");
}

#[test]
fn gateway_invalid_parameters_ref_serves_nothing() {
    let gateway = |reference: &str| {
        GATEWAY.replace("gatewayClassName: c,", &format!("gatewayClassName: c, infrastructure: {{parametersRef: {reference}}},"))
    };
    let bad = "\n---\napiVersion: pingora-gateway.dev/v1alpha1\nkind: GatewayParameters\nmetadata: {name: bad, namespace: infra}\nspec: {trustedProxies: [everybody]}\n";
    for (reference, why) in [
        ("{group: pingora-gateway.dev, kind: GatewayParameters, name: none}", "does not exist"),
        ("{group: pingora-gateway.dev, kind: GatewayParameters, name: bad}", "cannot be read: spec.trustedProxies[0]"),
        ("{group: example.com, kind: Odd, name: x}", "names kind Odd of group example.com"),
    ] {
        let world = World::of(&format!("{}{bad}", gateway(reference)));
        assert_eq!(world.condition("Gateway infra/gw", "Accepted"), "!InvalidParameters");
        assert_eq!(world.condition("Gateway infra/gw", "Programmed"), "!Invalid");
        let message = world.message("Gateway infra/gw", "Accepted");
        assert!(message.contains(why), "{message} should say: {why}");
        assert_eq!(world.snapshot.sockets().count(), 0);
    }
}

/// § 9, item 36.
#[test]
fn a_class_is_told_to_be_used_while_at_least_one_gateway_names_it() {
    let name = ObjectName::cluster("c");
    let mut world = World::of(&class(""));
    assert!(!world.compiler.is_class_used(&name));
    let told = |update: &Update| update.classes.clone().into_iter().collect::<Vec<_>>();
    assert_eq!(told(&world.put(GATEWAY)), [(name.clone(), true)]);
    assert!(world.compiler.is_class_used(&name));
    let second = GATEWAY.replace("name: gw", "name: other");
    assert_eq!(told(&world.put(&second)), []);
    assert_eq!(told(&world.remove("Gateway infra/gw")), []);
    let elsewhere = second.replace("gatewayClassName: c,", "gatewayClassName: d,");
    assert_eq!(told(&world.put(&elsewhere)), [(name.clone(), false), (ObjectName::cluster("d"), true)]);
    assert!(!world.compiler.is_class_used(&name));
}

#[test]
fn every_class_of_our_controller_is_judged_and_no_other() {
    let named = Options { classes: Classes::Named, controller_name: "example.com/x".into(), ..options() };
    let second = class("").replace("name: c", "name: second");
    let foreign = class("").replace("name: c", "name: foreign").replace("example.com/x", "example.com/xy");
    let mut world = World::with(named, &format!("{}{second}{foreign}{GATEWAY}", class("")));
    for name in ["c", "second"] {
        assert_eq!(world.condition(&format!("GatewayClass {name}"), "Accepted"), "Accepted");
    }
    assert_eq!(world.condition("GatewayClass foreign", "Accepted"), "absent");
    assert_eq!(world.condition("Gateway infra/gw", "Programmed"), "Programmed");
    let update = world.put(&class("").replace("example.com/x", "example.com/other"));
    assert_eq!(update.statuses.get(&id("GatewayClass c")), Some(&None), "it is another's now");
    assert_eq!(update.statuses.get(&id("Gateway infra/gw")), Some(&None), "and so are its Gateways");
    assert_eq!(world.snapshot.sockets().count(), 0);
}

#[test]
fn gateway_class_observed_generation_bump_when_only_the_description_changes() {
    let described = |generation: u32| {
        class(&format!(", description: number {generation}"))
            .replace("{name: c}", &format!("{{name: c, generation: {generation}}}"))
    };
    let mut world = World::of(&described(1));
    for generation in [1, 2] {
        world.put(&described(generation));
        let Some(status) = world.compiler.statuses().get(&id("GatewayClass c")) else { panic!("no status") };
        let seen: Vec<i64> = status.parts().iter().flat_map(|(_, found)| *found).map(|one| one.observed_generation).collect();
        assert_eq!(seen, [i64::from(generation); 2]);
    }
}

#[test]
fn labels_and_annotations_that_nobody_copies_are_remarked() {
    let marked = GATEWAY.replace("gatewayClassName: c,", "gatewayClassName: c, infrastructure: {labels: {a: b}},");
    let remarks =
        |world: &World| world.compiler.problems().values().flatten().filter(|text| text.contains("spec.infrastructure")).count();
    let support = Support::of(&[Capability::Http]);
    let world = World::with(Options { support, ..options() }, &marked);
    assert_eq!(remarks(&world), 1);
    assert_eq!(world.condition("Gateway infra/gw", "Programmed"), "Programmed");
    assert_eq!(remarks(&World::of(&marked)), 0, "whoever deploys the data plane copies them");
}

/// § 9, item 38.
#[test]
fn gateway_name_maximum_length_and_that_of_a_class() {
    let long = ["a", "b", "c", "d"].map(|letter| letter.repeat(63)).join(".")[..253].to_owned();
    let class = class("").replace("{name: c}", &format!("{{name: {long}}}"));
    let gateway = GATEWAY
        .replace("name: gw", &format!("name: {long}"))
        .replace("gatewayClassName: c", &format!("gatewayClassName: {long}"));
    let world = World::of(&format!("{class}{gateway}"));
    assert_eq!(world.condition(&format!("GatewayClass {long}"), "Accepted"), "Accepted");
    for condition in ["Accepted", "Programmed", "ResolvedRefs"] {
        assert_eq!(world.condition(&format!("Gateway infra/{long}"), condition), condition);
    }
}

/// § 9, item 57.
#[test]
fn a_stored_gateway_that_violates_the_schema_as_a_whole_is_not_accepted() {
    let labels: Vec<String> = (0..9).map(|number| format!("l{number}: v")).collect();
    let marked = GATEWAY
        .replace("gatewayClassName: c,", &format!("gatewayClassName: c, infrastructure: {{labels: {{{}}}}},", labels.join(", ")));
    let world = World::of(&marked);
    assert_eq!(world.condition("Gateway infra/gw", "Accepted"), "!Invalid");
    let message = world.message("Gateway infra/gw", "Accepted");
    assert!(message.contains("spec.infrastructure.labels"), "{message}");
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

#[test]
fn ports_of_the_proxy_protocol_need_proxies_that_are_trusted_and_a_data_plane_that_reads_its_header() {
    let parameters = |spec: &str| {
        format!(
            "\n---\napiVersion: pingora-gateway.dev/v1alpha1\nkind: GatewayParameters\nmetadata: {{name: own, namespace: infra}}\nspec: {spec}\n"
        )
    };
    let gateway = GATEWAY.replace(
        "gatewayClassName: c,",
        "gatewayClassName: c, infrastructure: {parametersRef: {group: pingora-gateway.dev, kind: GatewayParameters, name: own}},",
    );
    let yaml = |spec: &str| format!("{}{gateway}{}", class(""), parameters(spec));
    let mut world = World::of(&yaml("{proxyProtocol: {ports: [80]}}"));
    assert_eq!(world.condition("Gateway infra/gw", "Accepted"), "!InvalidParameters");
    assert!(world.message("Gateway infra/gw", "Accepted").contains("no trustedProxies say"));
    assert_eq!(world.snapshot.sockets().count(), 0);
    let whole = "{proxyProtocol: {ports: [80]}, trustedProxies: [10.0.0.0/8]}";
    world.put(&parameters(whole));
    assert_eq!(world.condition("Gateway infra/gw", "Accepted"), "Accepted");
    let settings = world.snapshot.sockets().next().map(|(_, listeners)| listeners.settings.clone()).unwrap();
    let expects = |port, peer: [u8; 4]| settings.expects_proxy_header(port, peer.into());
    assert!(expects(80, [10, 1, 2, 3]) && !expects(80, [11, 1, 2, 3]) && !expects(443, [10, 1, 2, 3]));
    let support = Support::of(&[Capability::Http]);
    let world = World::with(Options { support, ..options() }, &yaml(whole));
    assert_eq!(world.condition("Gateway infra/gw", "Accepted"), "!InvalidParameters");
    assert!(world.message("Gateway infra/gw", "Accepted").contains("not performed"));
}
