//! Who may refer to what in another namespace (ReferenceGrant, GEP-709).

use super::certificates::secret;
use super::client_validation::{authority, config_map};
use super::world::{World, service};

/// Who refers, in namespace `infra`, to what of namespace `vault`, and which condition tells.
struct Referrer {
    kind: &'static str,
    group: &'static str,
    manifest: String,
    /// Group and kind of the target, which is named `target`.
    to: &'static str,
    target: String,
    shown: &'static str,
    condition: &'static str,
}

const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";

fn route(kind: &'static str, version: &str, spec: &str) -> Referrer {
    let manifest = format!(
        "\n---\napiVersion: {GATEWAY_GROUP}/{version}\nkind: {kind}\nmetadata: {{name: r, namespace: infra}}\nspec: {{parentRefs: [{{name: gw}}], {spec}}}\n"
    );
    let protocol = if kind == "UDPRoute" { "UDP" } else { "TCP" };
    let target = service("vault", "target", "10.0.0.1").replace("port: 80}", &format!("port: 80, protocol: {protocol}}}"));
    let shown = Box::leak(format!("{kind} infra/r").into_boxed_str());
    Referrer { kind, group: GATEWAY_GROUP, manifest, to: "group: '', kind: Service", target, shown, condition: "ResolvedRefs" }
}

fn referrers() -> Vec<Referrer> {
    let backends = "backendRefs: [{name: target, namespace: vault, port: 80}]";
    let gateway = |tls: &str| {
        format!(
            "
---
apiVersion: {GATEWAY_GROUP}/v1
kind: Gateway
metadata: {{name: tls, namespace: infra}}
spec:
  gatewayClassName: c
  {tls}
"
        )
    };
    let listeners = |certificate: &str| {
        format!("listeners: [{{name: l, port: 443, protocol: HTTPS, tls: {{certificateRefs: [{{{certificate}}}]}}}}]")
    };
    let authorities = "tls: {frontend: {default: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: target, namespace: vault}]}}}}";
    let secrets = "group: '', kind: Secret";
    let set = format!(
        "
---
apiVersion: {GATEWAY_GROUP}/v1
kind: ListenerSet
metadata: {{name: set, namespace: infra}}
spec:
  parentRef: {{name: gw}}
  {}
",
        listeners("name: target, namespace: vault")
    );
    vec![
        Referrer {
            kind: "ListenerSet",
            group: GATEWAY_GROUP,
            manifest: set,
            to: secrets,
            target: secret("vault", "target", "a.example.com"),
            shown: "ListenerSet infra/set#l",
            condition: "ResolvedRefs",
        },
        route("HTTPRoute", "v1", &format!("rules: [{{{backends}}}]")),
        route(
            "HTTPRoute",
            "v1",
            "rules: [{filters: [{type: RequestMirror, requestMirror: {backendRef: {name: target, namespace: vault, port: 80}}}]}]",
        ),
        route("GRPCRoute", "v1", &format!("rules: [{{{backends}}}]")),
        route("TLSRoute", "v1", &format!("hostnames: [a.example.com], rules: [{{{backends}}}]")),
        route("TCPRoute", "v1", &format!("rules: [{{{backends}}}]")),
        route("UDPRoute", "v1", &format!("rules: [{{{backends}}}]")),
        Referrer {
            kind: "Gateway",
            group: GATEWAY_GROUP,
            manifest: gateway(&listeners("name: target, namespace: vault")),
            to: secrets,
            target: secret("vault", "target", "a.example.com"),
            shown: "Gateway infra/tls#l",
            condition: "ResolvedRefs",
        },
        Referrer {
            kind: "Gateway",
            group: GATEWAY_GROUP,
            manifest: gateway(&format!(
                "{}\n  tls: {{backend: {{clientCertificateRef: {{name: target, namespace: vault}}}}}}",
                listeners("name: own")
            )) + &secret("infra", "own", "a.example.com"),
            to: secrets,
            target: secret("vault", "target", "a.example.com"),
            shown: "Gateway infra/tls",
            condition: "ResolvedRefs",
        },
        Referrer {
            kind: "Gateway",
            group: GATEWAY_GROUP,
            manifest: gateway(&format!("{}\n  {authorities}", listeners("name: own"))) + &secret("infra", "own", "a.example.com"),
            to: "group: '', kind: ConfigMap",
            target: config_map("vault", "target", &authority("ca")),
            shown: "Gateway infra/tls#l",
            condition: "ResolvedRefs",
        },
    ]
}

fn world(manifests: &[&str]) -> World {
    let gateway = format!(
        "
---
apiVersion: {GATEWAY_GROUP}/v1
kind: Gateway
metadata: {{name: gw, namespace: infra}}
spec:
  gatewayClassName: c
  allowedListeners: {{namespaces: {{from: Same}}}}
  listeners:
  - {{name: http, port: 80, protocol: HTTP}}
  - {{name: tls, port: 8443, protocol: TLS, tls: {{mode: Passthrough}}}}
  - {{name: tcp, port: 5000, protocol: TCP}}
  - {{name: udp, port: 5000, protocol: UDP}}
"
    );
    World::of(&format!("{gateway}{}", manifests.concat()))
}

fn grant(from: &str, to: &str) -> String {
    format!(
        "
---
apiVersion: {GATEWAY_GROUP}/v1
kind: ReferenceGrant
metadata: {{name: grant, namespace: vault}}
spec: {{from: [{{{from}}}], to: [{{{to}}}]}}
"
    )
}

#[test]
fn each_kind_that_refers_needs_a_grant_that_names_it_and_loses_its_reference_with_it() {
    for Referrer { kind, group, manifest, to, target, shown, condition } in referrers() {
        let from = format!("group: {group}, kind: {kind}, namespace: infra");
        for to in [to.to_owned(), format!("{to}, name: target")] {
            let mut world = world(&[&manifest, &target, &grant(&from, &to)]);
            assert_eq!(world.condition(shown, condition), condition, "{kind} to {to}");
            world.remove("ReferenceGrant vault/grant");
            assert_eq!(world.condition(shown, condition), "!RefNotPermitted", "{kind} to {to}");
            world.put(&grant(&from, &to));
            assert_eq!(world.condition(shown, condition), condition, "{kind} to {to}");
        }
        let near_misses = [
            (format!("group: {group}, kind: {kind}, namespace: elsewhere"), to.to_owned()),
            (format!("group: example.com, kind: {kind}, namespace: infra"), to.to_owned()),
            (format!("group: {group}, kind: Odd, namespace: infra"), to.to_owned()),
            (from.clone(), format!("{to}, name: other")),
            (from, to.replace("kind: ", "kind: Odd")),
        ];
        for (from, to) in near_misses {
            let world = world(&[&manifest, &target, &grant(&from, &to)]);
            assert_eq!(world.condition(shown, condition), "!RefNotPermitted", "from {from} to {to}");
        }
    }
}

/// § 9, item 45.
#[test]
fn nothing_that_is_said_without_a_grant_tells_whether_the_target_exists() {
    for Referrer { kind, manifest, target, .. } in referrers() {
        let (without, with) = (world(&[&manifest]), world(&[&manifest, &target]));
        assert_eq!(without.compiler.statuses(), with.compiler.statuses(), "{kind}");
        assert_eq!(without.compiler.problems(), with.compiler.problems(), "{kind}");
        assert_eq!(without.snapshot.outline(), with.snapshot.outline(), "{kind}");
    }
}

#[test]
fn any_of_several_grants_is_enough_and_any_from_goes_with_any_to() {
    let found = referrers().into_iter().find(|referrer| referrer.kind == "HTTPRoute");
    let Referrer { manifest, target, shown, condition, .. } = found.expect("HTTPRoutes refer");
    let from = "group: gateway.networking.k8s.io, kind: TCPRoute, namespace: infra}, {group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: infra";
    let both = grant(from, "group: '', kind: Secret}, {group: '', kind: Service");
    let other = grant("group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: infra", "group: '', kind: Service")
        .replace("name: grant", "name: second");
    let mut world = world(&[&manifest, &target, &both, &other]);
    assert_eq!(world.condition(shown, condition), condition);
    world.remove("ReferenceGrant vault/grant");
    assert_eq!(world.condition(shown, condition), condition, "the second still permits it");
    world.remove("ReferenceGrant vault/second");
    assert_eq!(world.condition(shown, condition), "!RefNotPermitted");
}
