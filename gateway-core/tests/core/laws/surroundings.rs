//! What stands around Gateways and routes, for the universe of the laws: parameters, certificates, grants for them, and facts.

use gateway_core::compile::{Bound, Bundle, Fact};
use gateway_core::name::ObjectName;
use gateway_core::snapshot::{Network, Socket, Transport};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{NAMESPACES, pick};

const ECDSA: (&str, &str) = (include_str!("../pem/ecdsa.crt"), include_str!("../pem/ecdsa.pkcs8.key"));
const RSA: (&str, &str) = (include_str!("../pem/rsa.crt"), include_str!("../pem/rsa.pkcs8.key"));

/// More fields of a Gateway, which name what [`surrounding`] makes.
pub(super) const EXTRAS: &[&str] = &[
    "",
    "",
    "",
    "  defaultScope: All\n",
    "  addresses: [{type: test/odd, value: x}]\n",
    "  infrastructure: {parametersRef: {group: pingora-gateway.dev, kind: GatewayParameters, name: p}}\n",
    "  infrastructure: {parametersRef: {group: '', kind: ConfigMap, name: p}}\n",
    "  tls: {backend: {clientCertificateRef: {name: client}}}\n",
    "  tls: {backend: {clientCertificateRef: {name: cert, namespace: two}}}\n",
    "  tls: {frontend: {default: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]}}}}\n",
    "  tls: {frontend: {default: {}, perPort: [{port: 443, tls: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: ca, namespace: two}], mode: AllowInsecureFallback}}}]}}\n",
];

fn pair() -> impl Strategy<Value = (&'static str, &'static str)> {
    prop_oneof![3 => Just(ECDSA), 2 => Just(RSA), 1 => Just((ECDSA.0, RSA.1)), 1 => Just(("", ""))]
}

fn secret() -> impl Strategy<Value = Value> {
    let name = prop_oneof![2 => Just(("two", "cert")), 1 => Just(("one", "client")), 1 => Just(("two", "client"))];
    (name, pair(), pick(&["kubernetes.io/tls", "kubernetes.io/tls", "Opaque"])).prop_map(
        |((namespace, name), (certificate, key), kind)| {
            json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}, "type": kind,
                "stringData": {"tls.crt": certificate, "tls.key": key},
            })
        },
    )
}

fn parameters() -> impl Strategy<Value = Value> {
    let spec = prop_oneof![
        Just(json!({})),
        Just(json!({"mergeSlashes": false})),
        Just(json!({"trustedProxies": ["10.0.0.0/8"], "proxyProtocol": {"ports": [80]}})),
        Just(json!({"proxyProtocol": {"ports": [80]}})),
        Just(json!({"trustedProxies": ["10.0.0.0/8"], "limits": {"maxHeaderBytes": 16384}})),
        Just(json!({"trustedProxies": ["10.0.0.0/99"]})),
    ];
    (pick(NAMESPACES), spec).prop_map(|(namespace, spec)| {
        json!({
            "apiVersion": "pingora-gateway.dev/v1alpha1", "kind": "GatewayParameters",
            "metadata": {"name": "p", "namespace": namespace}, "spec": spec,
        })
    })
}

fn class() -> impl Strategy<Value = Value> {
    (pick(NAMESPACES), pick(&["example.com/c", "example.com/other"])).prop_map(|(namespace, controller)| {
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {"name": "c"},
            "spec": {"controllerName": controller, "parametersRef": {
                "group": "pingora-gateway.dev", "kind": "GatewayParameters", "name": "p", "namespace": namespace,
            }},
        })
    })
}

/// Grants to what Gateways refer to, narrow and wide.
fn grant() -> impl Strategy<Value = Value> {
    let to = prop_oneof![
        Just(json!([{"group": "", "kind": "Secret", "name": "cert"}])),
        Just(json!([{"group": "", "kind": "Secret"}, {"group": "", "kind": "ConfigMap"}])),
        Just(json!([{"group": "", "kind": "Service", "name": "s2"}, {"group": "", "kind": "ConfigMap", "name": "other"}])),
    ];
    (pick(&["Gateway", "Gateway", "HTTPRoute", "BackendTLSPolicy"]), to).prop_map(|(from, to)| {
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "ReferenceGrant",
            "metadata": {"name": "other", "namespace": "two"},
            "spec": {"from": [{"group": "gateway.networking.k8s.io", "kind": from, "namespace": "one"}], "to": to},
        })
    })
}

/// Any of them.
pub(super) fn surrounding() -> impl Strategy<Value = String> {
    prop_oneof![4 => secret(), 2 => parameters(), 1 => class(), 2 => grant()].prop_map(|object| object.to_string())
}

/// A fact that no object has a part in.
pub(super) fn fact() -> impl Strategy<Value = Fact> {
    let sockets =
        (proptest::sample::select(&[80_u16, 443][..]), any::<bool>(), any::<bool>()).prop_map(|(port, is_tcp, bound)| {
            let transport = if is_tcp { Transport::Tcp } else { Transport::Udp };
            Fact::Socket(Socket { address: None, port, transport }, bound.then_some(Bound::Yes))
        });
    let times = proptest::sample::select(&TIMES[..]).prop_map(Fact::Time);
    let bundles = (pick(&["v1.7.0", "v1.6.0", "v1.4.0", "odd"]), any::<bool>(), any::<bool>()).prop_map(
        |(version, experimental, trust_bundles)| Fact::Bundle(Bundle { trust_bundles, ..Bundle::of(version, experimental) }),
    );
    let gone = pick(&["g1", "g2", "g3"]).prop_map(|gateway| Fact::Addresses(ObjectName::new("one", gateway), None));
    let ranges = proptest::option::of(pick(&["10.0.0.0/8", "192.0.2.0/24"]))
        .prop_map(|range| Fact::ServiceRanges(range.map(|range| Network::parse(range).into_iter().collect())));
    prop_oneof![2 => sockets, 3 => times, 1 => bundles, 1 => gone, 1 => ranges]
}

/// Before the certificates are valid, while they are, and when none is any more.
const TIMES: [i64; 3] = [0, 2_000_000_000, 99_000_000_000];
