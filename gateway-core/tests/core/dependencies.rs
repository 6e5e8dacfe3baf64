//! The first law of the compiler for what Gateways and their ListenerSets refer to: certificates, authorities, grants, parameters,
//! addresses, and what is installed.

use gateway_core::compile::{AddressValue, Addresses, Answer, Bundle, Change, Compiler, Fact, Given, Outcome};
use gateway_core::name::ObjectName;
use gateway_core::resource::Object;
use gateway_core::snapshot::Network;
use proptest::prelude::*;

use super::certificates::data;
use super::client_validation::config_map;
use super::laws::{last_of, outcome};
use super::trust::bundle;
use super::world::{id, objects, options};

const RSA: (&str, &str) = (include_str!("pem/rsa.crt"), include_str!("pem/rsa.pkcs8.key"));
const ECDSA: (&str, &str) = (include_str!("pem/ecdsa.crt"), include_str!("pem/ecdsa.pkcs8.key"));

fn pick(from: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    proptest::sample::select(from)
}

fn one(change: impl Into<String>) -> Vec<Change> {
    objects(&change.into()).into_iter().map(Change::Put).collect()
}

/// Entries of `spec.addresses`, with what is given for each in turn.
const ADDRESSES: &[&str] = &[
    "[]",
    "[{value: 10.96.0.1}]",
    "[{routability: Cluster}, {type: IPAddress}]",
    "[{routability: testing.x-k8s.io/sentinel}]",
    "[{type: NamedAddress, value: x}]",
];

fn gateway_yaml(name: &str, tls: &str, addresses: &str, infrastructure: &str, refs: &str) -> String {
    format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: {name}, namespace: one}}
spec:
  gatewayClassName: c
  allowedListeners: {{namespaces: {{from: All}}}}
  listeners:
  - {{name: https, port: 443, protocol: HTTPS, tls: {{certificateRefs: {refs}}}}}
  - {{name: http, port: 80, protocol: HTTP}}
  addresses: {addresses}
{infrastructure}{tls}"
    )
}

fn gateway() -> impl Strategy<Value = Vec<Change>> {
    let tls = pick(&[
        "",
        "  tls: {frontend: {default: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: ca, namespace: two}]}}}}\n",
        "  tls: {frontend: {default: {validation: {caCertificateRefs: [{group: certificates.k8s.io, kind: ClusterTrustBundle, name: roots}, {group: '', kind: ConfigMap, name: ca, namespace: two}]}}}}\n",
        "  tls: {frontend: {default: {}, perPort: [{port: 8443, tls: {validation: {mode: AllowInsecureFallback, caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]}}}]}}\n",
        "  tls: {backend: {clientCertificateRef: {name: cert, namespace: two}}}\n",
        "  tls: {backend: {clientCertificateRef: {name: cert}}}\n",
    ]);
    let infrastructure =
        pick(&["", "", "  infrastructure: {parametersRef: {group: pingora-gateway.dev, kind: GatewayParameters, name: p}}\n"]);
    (pick(&["g1", "g2"]), tls, pick(ADDRESSES), infrastructure, pick(REFS))
        .prop_map(|(name, tls, addresses, infrastructure, refs)| one(gateway_yaml(name, tls, addresses, infrastructure, refs)))
}

const REFS: &[&str] = &["[{name: cert, namespace: two}]", "[{name: cert}, {name: other, namespace: two}]", "[{name: cert}]"];

fn listener_set() -> impl Strategy<Value = Vec<Change>> {
    (pick(&["one", "two"]), pick(&["g1", "g2"]), pick(&["443", "8443"]), pick(REFS)).prop_map(
        |(namespace, gateway, port, refs)| {
            one(format!(
                "
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {{name: set, namespace: {namespace}}}
spec:
  parentRef: {{name: {gateway}, namespace: one}}
  listeners: [{{name: l, port: {port}, protocol: HTTPS, hostname: set.example.com, tls: {{certificateRefs: {refs}}}}}]
"
            ))
        },
    )
}

fn referred() -> impl Strategy<Value = Vec<Change>> {
    let namespace = || pick(&["one", "two"]);
    let secret = (namespace(), pick(&["cert", "other"]), 0..4usize).prop_map(|(namespace, name, nth)| {
        let (kind, (certificate, key)) = match nth {
            0 => ("kubernetes.io/tls", RSA),
            1 => ("kubernetes.io/tls", ECDSA),
            2 => ("kubernetes.io/tls", (RSA.0, ECDSA.1)),
            _ => ("Opaque", RSA),
        };
        one(data(namespace, name, kind, certificate, key))
    });
    let pem = || proptest::sample::select(&[RSA.0, ECDSA.0, "nonsense"][..]);
    let authority = (namespace(), pem()).prop_map(|(namespace, pem)| one(config_map(namespace, "ca", pem)));
    let roots = pem().prop_map(|pem| one(bundle("v1", "roots", pem)));
    let grant = (pick(&["g", "h"]), namespace(), pick(&["Gateway", "ListenerSet"]), pick(&["Secret", "ConfigMap", "Secret, name: cert"]), namespace())
        .prop_map(|(name, from, kind, to, namespace)| one(format!(
            "\n---\napiVersion: gateway.networking.k8s.io/v1\nkind: ReferenceGrant\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{from: [{{group: gateway.networking.k8s.io, kind: {kind}, namespace: {from}}}], to: [{{group: '', kind: {to}}}]}}\n"
        )));
    let parameters = (namespace(), pick(&["{mergeSlashes: false}", "{limits: {idleTimeout: 5s}}", "{trustedProxies: [odd]}", "{proxyProtocol: {ports: [80]}}"])).prop_map(|(namespace, spec)| {
        one(format!("\n---\napiVersion: pingora-gateway.dev/v1alpha1\nkind: GatewayParameters\nmetadata: {{name: p, namespace: {namespace}}}\nspec: {spec}\n"))
    });
    let class = pick(&["", "parametersRef: {group: pingora-gateway.dev, kind: GatewayParameters, name: p, namespace: two}"]).prop_map(|reference| {
        one(format!("\n---\napiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {{name: c}}\nspec:\n  controllerName: example.com/c\n  {reference}\n"))
    });
    prop_oneof![3 => secret, 2 => authority, 2 => roots, 4 => grant, 1 => parameters, 1 => class]
}

fn fact() -> impl Strategy<Value = Vec<Change>> {
    let installed = (pick(&["v1.7.0", "v1.6.1", "v0.9.0"]), any::<bool>(), any::<bool>()).prop_map(
        |(version, experimental, trust_bundles)| {
            vec![Change::Fact(Fact::Bundle(Bundle { trust_bundles, ..Bundle::of(version, experimental) }))]
        },
    );
    let ranges = proptest::option::of(pick(&["10.96.0.0/12", "192.168.0.0/16"]))
        .prop_map(|range| vec![Change::Fact(Fact::ServiceRanges(range.and_then(Network::parse).map(|range| vec![range])))]);
    // Before the certificates, while they are valid, after them.
    let time =
        proptest::sample::select(&[0i64, 2_000_000_000, 9_000_000_000][..]).prop_map(|now| vec![Change::Fact(Fact::Time(now))]);
    let addresses = (pick(&["g1", "g2"]), pick(ADDRESSES), 0..3u8).prop_map(|(name, stated, first)| {
        let yaml = gateway_yaml(name, "", stated, "", "[]");
        let Some(Object::Gateway(gateway)) = objects(&yaml).into_iter().next() else { return Vec::new() };
        let answers = (gateway.spec.addresses.iter().cloned().map(Some).chain([None]).enumerate()).map(|(nth, to)| {
            let ip = std::net::IpAddr::from([10, 96, 0, first + u8::try_from(nth).unwrap_or(0)]);
            let outcome = match nth % 3 {
                2 => Outcome::Refused("no".into()),
                _ => Outcome::Given(Given { value: AddressValue::Ip(ip), routability: None }),
            };
            Answer { to, outcome }
        });
        let addresses = Addresses { listen: vec![Some([10, 96, 0, first].into())], answers: answers.collect() };
        vec![Change::Fact(Fact::Addresses(ObjectName::new("one", name), Some(addresses)))]
    });
    prop_oneof![installed, ranges, time, addresses]
}

fn removal() -> impl Strategy<Value = Vec<Change>> {
    let ids = pick(&[
        "Gateway one/g1",
        "ListenerSet one/set",
        "Secret one/cert",
        "Secret two/cert",
        "ConfigMap two/ca",
        "ConfigMap one/ca",
        "ClusterTrustBundle roots",
        "ReferenceGrant two/g",
        "ReferenceGrant one/h",
        "GatewayParameters two/p",
        "GatewayParameters one/p",
        "GatewayClass c",
    ]);
    ids.prop_map(|what| vec![Change::Remove(id(what))])
}

fn step() -> impl Strategy<Value = Vec<Change>> {
    prop_oneof![3 => gateway(), 2 => listener_set(), 6 => referred(), 3 => fact(), 3 => removal()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    /// Laws 1 and 8.
    #[test]
    fn any_sequence_of_changes_to_what_gateways_refer_to_leaves_what_compiling_the_final_objects_at_once_gives(
        steps in proptest::collection::vec(step(), 1..40),
        cut in 1..6usize,
    ) {
        let mut compiler = Compiler::new(options());
        let mut update = compiler.apply([]);
        for transaction in steps.chunks(cut) {
            update = compiler.apply(transaction.iter().flatten().cloned());
        }
        let mut fresh = Compiler::new(options());
        let at_once = fresh.apply(last_of(steps.into_iter().flatten()));
        let (walked, direct) = (outcome(&compiler, &update), outcome(&fresh, &at_once));
        prop_assert_eq!(walked.0, direct.0);
        prop_assert_eq!(walked.1, direct.1);
        prop_assert_eq!(walked.2, direct.2);
        prop_assert_eq!(update.next, at_once.next);
    }
}
