//! A law of this room: no document, however odd, makes the reader panic, and what it accepts has nothing left to complain about.
//!
//! Documents are valid ones of every kind, with parts taken out, put elsewhere or replaced by whatever JSON can hold.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use crate::name::GroupKind;

use super::fixture::value;
use super::{FieldValidation, Reader, Reading, read, read_stored, validate};

proptest! {
    #[test]
    fn no_document_is_too_odd(
        document in documents(),
        changes in prop::collection::vec((any::<Index>(), change()), 0..6),
        validation in select(vec![FieldValidation::Strict, FieldValidation::Warn, FieldValidation::Ignore]),
        lenient_forms: bool,
    ) {
        let mut document = document;
        for (place, change) in changes {
            let places = count(&document);
            apply(&mut document, &mut place.index(places), change);
        }
        let reader = Reader { validation, lenient_forms, extensions: vec![GroupKind::new("example.com", "Sign")] };
        let stored = read_stored(document.clone(), &reader);
        match read(document.clone(), &reader) {
            Ok(Reading::Object { object, .. }) => prop_assert_eq!(validate(&object), []),
            Ok(Reading::Foreign { .. }) => prop_assert!(stored.is_ok()),
            Err(invalid) => {
                prop_assert!(!invalid.is_empty());
                for complaint in &invalid {
                    prop_assert!(!complaint.expected.is_empty() && !complaint.object.is_empty());
                }
            }
        }
        prop_assert_eq!(read(document.clone(), &reader), read(document, &reader));
    }

    #[test]
    fn no_value_is_too_odd(document in json_value()) {
        let reader = Reader { validation: FieldValidation::Strict, lenient_forms: true, extensions: Vec::new() };
        let _ = read(document, &reader);
    }
}

/// What happens to one place of a document.
#[derive(Clone, Debug)]
enum Change {
    Replace(Value),
    Remove,
    Wrap,
    Double,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => json_value().prop_map(Change::Replace),
        2 => Just(Change::Remove),
        1 => Just(Change::Wrap),
        1 => Just(Change::Double),
    ]
}

fn json_value() -> impl Strategy<Value = Value> {
    let words = [
        "",
        "/",
        "*",
        "*.a",
        "a",
        "A",
        "ReplacePrefixMatch",
        "Exact",
        "CORS",
        "Service",
        "v1",
        "1h",
        "🦀",
        "\u{0}",
        "/%",
        "a/b",
        "10.0.0.0/8",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-2_i64..70_000).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        select(words.map(Value::from).to_vec()),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let fields = select(vec!["name", "value", "type", "spec", "metadata", "kind", "filters", "remove", "x"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(fields.prop_map(str::to_owned), inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// The number of places in a document.
fn count(value: &Value) -> usize {
    let inner: usize = match value {
        Value::Array(entries) => entries.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    };
    inner + 1
}

/// Changes the place with this number, counted from the outside in.
fn apply(value: &mut Value, place: &mut usize, change: Change) -> Option<Change> {
    if *place == 0 {
        let before = value.take();
        *value = match change {
            Change::Replace(with) => with,
            Change::Remove => Value::Null,
            Change::Wrap => json!([before]),
            Change::Double => json!([before, before]),
        };
        return None;
    }
    *place -= 1;
    let mut change = Some(change);
    let inner: Box<dyn Iterator<Item = &mut Value>> = match value {
        Value::Array(entries) => Box::new(entries.iter_mut()),
        Value::Object(fields) => Box::new(fields.values_mut()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Box::new(std::iter::empty()),
    };
    for value in inner {
        change = apply(value, place, change?);
    }
    change
}

fn documents() -> impl Strategy<Value = Value> {
    select(DOCUMENTS.to_vec()).prop_map(value)
}

const DOCUMENTS: [&str; 24] = [
    "apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: c}
spec: {controllerName: a.b/c, description: d, parametersRef: {group: g, kind: K, name: x, namespace: y1}}",
    "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: g, namespace: team, creationTimestamp: '2024-01-01T00:00:00Z'}
spec:
  gatewayClassName: c
  listeners:
  - {name: a, port: 80, protocol: HTTP, hostname: '*.a.com', filters: {requests: [{type: ExtensionRef, extensionRef: {group: g, kind: K, name: x}}]}}
  - name: b
    port: 443
    protocol: HTTPS
    tls: {certificateRefs: [{name: s}], options: {a/b: c}}
    allowedRoutes: {namespaces: {from: Selector, selector: {matchExpressions: [{key: a, operator: In, values: [b]}]}}, kinds: [{kind: HTTPRoute}]}
  addresses: [{value: 10.0.0.1}, {type: Hostname, value: a.com, routability: Cluster}]
  infrastructure: {labels: {a: b}, annotations: {a: b}, parametersRef: {group: g, kind: K, name: x}}
  allowedListeners: {namespaces: {from: All}}
  tls:
    backend: {clientCertificateRef: {name: s}}
    frontend: {default: {}, perPort: [{port: 443, tls: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: x}]}}}]}
  defaultScope: All
status: {conditions: []}",
    "apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r, namespace: team, labels: {a: b}}
spec:
  parentRefs: [{name: g}, {name: g2, sectionName: a, port: 80}]
  hostnames: [a.com]
  rules:
  - name: first
    matches: [{path: {type: Exact, value: /a}, headers: [{name: a, value: b}], queryParams: [{name: a, value: b}], method: GET}]
    filters:
    - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: b}], add: [{name: a, value: b}], remove: [c, {name: d}]}}
    - {type: RequestMirror, requestMirror: {backendRef: {name: m, port: 1}, fraction: {numerator: 1}}}
    - {type: URLRewrite, urlRewrite: {hostname: b.com, path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}
    - {type: CORS, cors: {allowOrigins: ['https://*.a.com'], maxAge: 1}}
    - {type: ExternalAuth, externalAuth: {protocol: HTTP, http: {path: /a}, backendRef: {name: b, port: 1}, forwardBody: {maxSize: 1}}}
    - {type: DirectResponse, directResponse: {body: b}}
    backendRefs: [{name: b, port: 80, weight: 2, filters: [{type: ExtensionRef, extensionRef: {group: g, kind: K, name: x}}]}]
    timeouts: {request: 1s, backendRequest: 1ms}
    retry: {codes: [500], attempts: 2, backoff: 1s}
    sessionPersistence: {cookie: {lifetimeType: Permanent}, absoluteTimeout: 1h}",
    "apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r}
spec: {rules: [{filters: [{type: RequestRedirect, requestRedirect: {scheme: https, port: 443, path: {type: ReplaceFullPath, replaceFullPath: /}}}]}]}",
    "apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: r}
spec: {rules: [{matches: [{method: {service: a.B, method: C}, headers: [{name: a, value: b}]}], backendRefs: [{name: b, port: 1}]}]}",
    "apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: r}
spec: {hostnames: [a.com], rules: [{backendRefs: [{name: b, port: 1}]}]}",
    "apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TCPRoute
metadata: {name: r}
spec: {useDefaultGateways: All, rules: [{backendRefs: [{name: b, port: 1}]}]}",
    "apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: r}
spec: {from: [{group: g, kind: K, namespace: web}], to: [{group: '', kind: Service, name: s}]}",
    "apiVersion: v1
kind: Namespace
metadata: {name: web, labels: {a: b}}",
    "apiVersion: v1
kind: Service
metadata: {name: s}
spec: {type: ClusterIP, clusterIP: 10.0.0.1, ports: [{name: a, port: 80, protocol: TCP, appProtocol: http, targetPort: 8080}]}",
    "apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: s, labels: {kubernetes.io/service-name: s}}
addressType: IPv4
endpoints: [{addresses: [10.0.0.1], conditions: {ready: true}}]
ports: [{name: a, port: 80}]",
    "apiVersion: v1
kind: Secret
metadata: {name: s}
type: kubernetes.io/tls
data: {a: YQ==}
stringData: {b: c}",
    "apiVersion: pingora-gateway.dev/v1alpha1
kind: DirectResponse
metadata: {name: d}
spec: {statusCode: 404, body: gone, contentType: text/html}",
    "apiVersion: pingora-gateway.dev/v1alpha1
kind: GatewayParameters
metadata: {name: p}
spec: {trustedProxies: [10.0.0.0/8], proxyProtocol: {ports: [80, 443]}, mergeSlashes: false, limits: {maxHeaderBytes: 1, idleTimeout: 1s, bodyTimeout: 2s, minBodyRate: 3, writeTimeout: 4s, maxControlFrames: 5}}",
    "apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: l, namespace: team}
spec:
  parentRef: {name: g, namespace: infra}
  listeners: [{name: a, port: 80, protocol: HTTP}, {name: b, port: 443, protocol: TLS, tls: {mode: Passthrough}}]",
    "apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: p}
spec:
  targetRefs: [{group: '', kind: Service, name: s, sectionName: a}, {group: '', kind: Service, name: s, sectionName: b}]
  validation:
    caCertificateRefs: [{group: '', kind: ConfigMap, name: c}, {group: certificates.k8s.io, kind: ClusterTrustBundle, name: 'a.b:c'}]
    hostname: a.com
    subjectAltNames: [{type: Hostname, hostname: '*.a.com'}, {type: URI, uri: 'spiffe://a/b'}]
  options: {example.com/version: '1.3'}
status: {ancestors: []}",
    "apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackendTrafficPolicy
metadata: {name: p}
spec:
  targetRefs: [{group: '', kind: Service, name: s}]
  retryConstraint: {budget: {percent: 5, interval: 5s}, minRetryRate: {count: 2, interval: 1m}}
  sessionPersistence: {type: Header, header: {name: x}}",
    "apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XTelemetryPolicy
metadata: {name: p}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: g}]
  tracing:
    mode: Enabled
    provider: {backendRef: {name: otel, port: 4317}, headers: [{name: a, value: b}]}
    samplingRate: {numerator: 1}
    parentBasedSampling: {mode: Enabled, samplingRate: {numerator: 1, denominator: 2}}
    serviceName: s
    spanName: span
    attributes: [{name: a, sourceType: Literal, literalValue: b}, {name: b, sourceType: Header, headerName: c}]",
    "apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackend
metadata: {name: b}
spec:
  type: ExternalHostname
  externalHostname: {hostname: a.com}
  port: {number: 443}
  protocol: HTTP2
  tls: {mode: ServerOnly, validation: {hostname: a.com, wellKnownCACertificates: System}}",
    "apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackend
metadata: {name: b}
spec: {type: EndpointSelector, endpointSelector: {matchLabels: {app: a}}, port: {number: 80}, sessionPersistence: {cookie: {}}}",
    "apiVersion: multicluster.x-k8s.io/v1alpha1
kind: ServiceImport
metadata: {name: s}
spec: {type: ClusterSetIP, ports: [{name: a, port: 80, protocol: TCP, appProtocol: http}], ips: [10.0.0.1]}",
    "apiVersion: v1
kind: ConfigMap
metadata: {name: c}
data: {ca.crt: text}
binaryData: {other: YQ==}",
    "apiVersion: certificates.k8s.io/v1
kind: ClusterTrustBundle
metadata: {name: 'a.com:x:b'}
spec: {signerName: a.com/x, trustBundle: text}",
    "apiVersion: example.com/v1
kind: Sign
metadata: {name: x}
spec: {a: [1, null]}",
];

/// Each of the documents is valid before it is changed.
#[test]
fn the_documents_are_valid() {
    let reader = Reader {
        validation: FieldValidation::Strict,
        lenient_forms: true,
        extensions: vec![GroupKind::new("example.com", "Sign")],
    };
    for document in DOCUMENTS {
        let reading = read(value(document), &reader);
        assert!(matches!(reading, Ok(Reading::Object { .. })), "{reading:?}\n{document}");
    }
}
