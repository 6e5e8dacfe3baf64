//! Rows of GatewayClass, Gateway, ListenerSet, GatewayParameters and ReferenceGrant.

use super::{Row, many, map, plain, row};

/// A Gateway with an HTTP listener and more.
fn gateway(fields: &str) -> String {
    format!("{{gatewayClassName: c, listeners: [{{name: a, port: 80, protocol: HTTP}}], {fields}}}")
}

/// A Gateway with these listeners.
fn listeners(listeners: &str) -> String {
    format!("{{gatewayClassName: c, listeners: {listeners}}}")
}

/// A Gateway with one listener.
fn listener(fields: &str) -> String {
    listeners(&format!("[{{name: a, port: 80, {fields}}}]"))
}

/// The same of a ListenerSet.
fn set(listeners: &str) -> String {
    format!("{{parentRef: {{name: g}}, listeners: {listeners}}}")
}

/// A Gateway with client validation.
fn authorities(refs: &str) -> String {
    gateway(&format!("tls: {{frontend: {{default: {{validation: {{caCertificateRefs: {refs}}}}}}}}}"))
}

pub(super) fn rows() -> Vec<Row> {
    [classes(), whole(), single(), of_sets(), grants()].into_iter().flatten().collect()
}

fn classes() -> Vec<Row> {
    let (class, parameters) = ("GatewayClass", "GatewayParameters");
    vec![
        row(
            "a controller is a domain and a path",
            class,
            "{controllerName: example.com}",
            "spec.controllerName",
            "a domain and a path",
        ),
        row(
            "the name of a controller has at most 253 characters",
            class,
            format!("{{controllerName: example.com/{}}}", "a".repeat(242)),
            "spec.controllerName",
            "at most 253 characters",
        ),
        row("a class names its controller", class, "{}", "spec.controllerName", "expected a value, found none"),
        row(
            "a description has at most 64 characters",
            class,
            format!("{{controllerName: a.b/c, description: {}}}", "d".repeat(65)),
            "spec.description",
            "at most 64 characters, found 65",
        ),
        row(
            "parameters have a kind",
            class,
            "{controllerName: a.b/c, parametersRef: {group: a, name: x}}",
            "spec.parametersRef.kind",
            "expected a value, found none",
        ),
        row(
            "a field is one of the kind",
            class,
            "{controllerName: a.b/c, controler: a}",
            "spec.controler",
            "a field of GatewayClass",
        ),
        row(
            "trusted proxies are ranges of addresses",
            parameters,
            "{trustedProxies: [10.0.0.0/33]}",
            "spec.trustedProxies[0]",
            "a range of addresses",
        ),
        row("limits are positive", parameters, "{limits: {maxHeaderBytes: 0}}", "spec.limits.maxHeaderBytes", "from 1 to"),
        row(
            "a time limit is a duration",
            parameters,
            "{limits: {idleTimeout: 75}}",
            "spec.limits.idleTimeout",
            "a duration such as",
        ),
    ]
}

/// Rules of a Gateway as a whole.
fn whole() -> Vec<Row> {
    let kind = "Gateway";
    let refs = "[{group: '', kind: ConfigMap, name: c}]";
    let per_port = format!("{{port: 443, tls: {{validation: {{caCertificateRefs: {refs}}}}}}}");
    vec![
        row(
            "a Gateway has a class",
            kind,
            "{listeners: [{name: a, port: 80, protocol: HTTP}]}",
            "spec.gatewayClassName",
            "found none",
        ),
        row("a Gateway has a listener", kind, listeners("[]"), "spec.listeners", "1 to 64 entries, found 0"),
        row(
            "a Gateway has at most 64 listeners",
            kind,
            listeners(&many(65, "{name: l#, port: 80, protocol: HTTP, hostname: h#.com}")),
            "spec.listeners",
            "found 65",
        ),
        row(
            "a Gateway has at most 16 addresses",
            kind,
            gateway(&format!("addresses: {}", many(17, "{value: 10.0.0.#}"))),
            "spec.addresses",
            "at most 16 entries, found 17",
        ),
        row(
            "addresses of type IPAddress are distinct",
            kind,
            gateway("addresses: [{value: 10.0.0.1}, {value: 10.0.0.1}]"),
            "spec.addresses[1]",
            "an address of its own",
        ),
        row(
            "addresses of type Hostname are distinct",
            kind,
            gateway("addresses: [{type: Hostname, value: a.b}, {type: Hostname, value: a.b}]"),
            "spec.addresses[1]",
            "an address of its own",
        ),
        row(
            "an IPAddress is an address",
            kind,
            gateway("addresses: [{value: a.b}]"),
            "spec.addresses[0].value",
            "an IPv4 or IPv6",
        ),
        row(
            "an address of type Hostname is a host name",
            kind,
            gateway("addresses: [{type: Hostname, value: A}]"),
            "spec.addresses[0].value",
            "a lower-case host name",
        ),
        row(
            "routability is empty, Cluster or a domain and a path",
            kind,
            gateway("addresses: [{routability: Everywhere}]"),
            "spec.addresses[0].routability",
            "Cluster, or a domain and a path",
        ),
        row(
            "the domain of a routability is not k8s.io",
            kind,
            gateway("addresses: [{routability: k8s.io/a}]"),
            "spec.addresses[0].routability",
            "not under k8s.io",
        ),
        row(
            "the domain of a routability is not under k8s.io",
            kind,
            gateway("addresses: [{routability: a.k8s.io/a}]"),
            "spec.addresses[0].routability",
            "not under k8s.io",
        ),
        row(
            "a routability has at most 253 characters",
            kind,
            gateway(&format!("addresses: [{{routability: example.com/{}}}]", "a".repeat(242))),
            "spec.addresses[0].routability",
            "at most 253 characters",
        ),
        row(
            "infrastructure has at most 8 labels",
            kind,
            gateway(&format!("infrastructure: {{labels: {}}}", map(9))),
            "spec.infrastructure.labels",
            "at most 8 entries, found 9",
        ),
        row(
            "infrastructure has at most 16 annotations",
            kind,
            gateway(&format!("infrastructure: {{annotations: {}}}", map(17))),
            "spec.infrastructure.annotations",
            "at most 16 entries, found 17",
        ),
        row(
            "labels of infrastructure have keys",
            kind,
            gateway("infrastructure: {labels: {'a/b/c': d}}"),
            "spec.infrastructure.labels.a/b/c",
            "a key",
        ),
        row(
            "labels of infrastructure have values",
            kind,
            gateway("infrastructure: {labels: {a: '-'}}"),
            "spec.infrastructure.labels.a",
            "a label value",
        ),
        row(
            "annotations of infrastructure have keys",
            kind,
            gateway("infrastructure: {annotations: {'a~': b}}"),
            "spec.infrastructure.annotations.a~",
            "a key",
        ),
        row(
            "annotations of infrastructure have at most 4096 characters",
            kind,
            gateway(&format!("infrastructure: {{annotations: {{a: {}}}}}", "b".repeat(4097))),
            "spec.infrastructure.annotations.a",
            "at most 4096",
        ),
        row(
            "parameters of infrastructure have a name",
            kind,
            gateway("infrastructure: {parametersRef: {group: a, kind: K, name: ''}}"),
            "spec.infrastructure.parametersRef.name",
            "1 to 253",
        ),
        row(
            "client validation has a default",
            kind,
            gateway("tls: {frontend: {perPort: []}}"),
            "spec.tls.frontend.default",
            "expected a value, found none",
        ),
        row(
            "ports of client validation are distinct",
            kind,
            gateway(&format!("tls: {{frontend: {{default: {{}}, perPort: [{per_port}, {per_port}]}}}}")),
            "spec.tls.frontend.perPort[1]",
            "a port of its own",
        ),
        row(
            "client validation by port is for at most 64 ports",
            kind,
            gateway(&format!("tls: {{frontend: {{default: {{}}, perPort: {}}}}}", many(65, "{port: 1#, tls: {}}"))),
            "spec.tls.frontend.perPort",
            "at most 64 entries, found 65",
        ),
        row(
            "client validation has an authority",
            kind,
            authorities("[]"),
            "spec.tls.frontend.default.validation.caCertificateRefs",
            "1 to 16 entries, found 0",
        ),
        row(
            "client validation has at most 16 authorities",
            kind,
            authorities(&many(17, "{group: '', kind: ConfigMap, name: c#}")),
            "spec.tls.frontend.default.validation.caCertificateRefs",
            "1 to 16 entries, found 17",
        ),
        row(
            "a ClusterTrustBundle of client validation is in no namespace",
            kind,
            authorities("[{group: certificates.k8s.io, kind: ClusterTrustBundle, name: 'a:b', namespace: c}]"),
            "spec.tls.frontend.default.validation.caCertificateRefs[0].namespace",
            "in no namespace",
        ),
        row(
            "the client certificate for backends has a name",
            kind,
            gateway("tls: {backend: {clientCertificateRef: {}}}"),
            "spec.tls.backend.clientCertificateRef.name",
            "expected a value, found none",
        ),
    ]
}

/// Rules of one listener.
fn single() -> Vec<Row> {
    let kind = "Gateway";
    let secret = "certificateRefs: [{name: s}]";
    let filters = |requests: &str| listener(&format!("protocol: HTTP, filters: {{requests: {requests}}}"));
    let extension = "extensionRef: {group: a.b, kind: K, name: k}";
    vec![
        row(
            "HTTP listeners have no tls",
            kind,
            listener(&format!("protocol: HTTP, tls: {{{secret}}}")),
            "spec.listeners[0].tls",
            "HTTP",
        ),
        row(
            "TCP listeners have no tls",
            kind,
            listener(&format!("protocol: TCP, tls: {{{secret}}}")),
            "spec.listeners[0].tls",
            "TCP",
        ),
        row(
            "UDP listeners have no tls",
            kind,
            listener(&format!("protocol: UDP, tls: {{{secret}}}")),
            "spec.listeners[0].tls",
            "UDP",
        ),
        row(
            "HTTPS listeners terminate",
            kind,
            listener("protocol: HTTPS, tls: {mode: Passthrough}"),
            "spec.listeners[0].tls.mode",
            "expected Terminate",
        ),
        row("TLS listeners state a mode", kind, listener("protocol: TLS"), "spec.listeners[0].tls", "an object with a mode"),
        row(
            "TCP listeners have no hostname",
            kind,
            listener("protocol: TCP, hostname: a.b"),
            "spec.listeners[0].hostname",
            "TCP",
        ),
        row(
            "UDP listeners have no hostname",
            kind,
            listener("protocol: UDP, hostname: a.b"),
            "spec.listeners[0].hostname",
            "UDP",
        ),
        row(
            "names of listeners are distinct",
            kind,
            listeners("[{name: a, port: 80, protocol: HTTP}, {name: a, port: 81, protocol: HTTP}]"),
            "spec.listeners[1]",
            "a name of its own",
        ),
        row(
            "port, protocol and hostname of listeners are distinct",
            kind,
            listeners("[{name: a, port: 80, protocol: HTTP, hostname: a.b}, {name: b, port: 80, protocol: HTTP, hostname: a.b}]"),
            "spec.listeners[1]",
            "a combination of port, protocol and hostname of its own",
        ),
        row(
            "what terminates has certificates or options",
            kind,
            listener("protocol: HTTPS, tls: {mode: Terminate}"),
            "spec.listeners[0].tls.certificateRefs",
            "or options",
        ),
        row(
            "a TLS listener without a mode terminates",
            kind,
            listener("protocol: TLS, tls: {}"),
            "spec.listeners[0].tls.certificateRefs",
            "as the mode is Terminate",
        ),
        row(
            "a listener has at most 64 certificates",
            kind,
            listener(&format!("protocol: HTTPS, tls: {{certificateRefs: {}}}", many(65, "{name: s#}"))),
            "spec.listeners[0].tls.certificateRefs",
            "at most 64 entries, found 65",
        ),
        row(
            "options have keys",
            kind,
            listener("protocol: HTTPS, tls: {options: {'a~': b}}"),
            "spec.listeners[0].tls.options.a~",
            "a key",
        ),
        row(
            "a listener has at most 16 options",
            kind,
            listener(&format!("protocol: HTTPS, tls: {{options: {}}}", map(17))),
            "spec.listeners[0].tls.options",
            "at most 16 entries, found 17",
        ),
        row(
            "a wildcard is the first label of a hostname",
            kind,
            listener("protocol: HTTP, hostname: 'a.*.b'"),
            "spec.listeners[0].hostname",
            "a lower-case host name",
        ),
        row(
            "a wildcard is a whole label",
            kind,
            listener("protocol: HTTP, hostname: '*a.b'"),
            "spec.listeners[0].hostname",
            "host name",
        ),
        row(
            "a wildcard has a domain",
            kind,
            listener("protocol: HTTP, hostname: '*'"),
            "spec.listeners[0].hostname",
            "host name",
        ),
        row("a listener has a port", kind, listeners("[{name: a, protocol: HTTP}]"), "spec.listeners[0].port", "found none"),
        row(
            "a port is not 0",
            kind,
            listeners("[{name: a, port: 0, protocol: HTTP}]"),
            "spec.listeners[0].port",
            "from 1 to 65535",
        ),
        row(
            "a protocol has the form of one",
            kind,
            listener("protocol: 'a b'"),
            "spec.listeners[0].protocol",
            "a protocol such as",
        ),
        row(
            "a listener admits at most 8 kinds",
            kind,
            listener(&format!("protocol: HTTP, allowedRoutes: {{kinds: {}}}", many(9, "{kind: K#}"))),
            "spec.listeners[0].allowedRoutes.kinds",
            "at most 8 entries, found 9",
        ),
        row(
            "filters are of HTTP and HTTPS listeners",
            kind,
            listener("protocol: TCP, filters: {requests: []}"),
            "spec.listeners[0].filters",
            "the protocol is TCP",
        ),
        row(
            "a listener has at most 16 filters",
            kind,
            filters(&many(17, &format!("{{type: ExtensionRef, {extension}}}"))),
            "spec.listeners[0].filters.requests",
            "at most 16 entries, found 17",
        ),
        row(
            "a filter of a listener has the payload of its type",
            kind,
            filters("[{type: ExternalAuth}]"),
            "spec.listeners[0].filters.requests[0].externalAuth",
            "as the type is ExternalAuth, found none",
        ),
        row(
            "a filter of a listener has no other payload",
            kind,
            filters(&format!("[{{type: Later, {extension}}}]")),
            "spec.listeners[0].filters.requests[0].extensionRef",
            "expected nothing",
        ),
        row(
            "a filter of a listener changes no headers",
            kind,
            filters(&format!("[{{type: ExtensionRef, {extension}, requestHeaderModifier: {{}}}}]")),
            "spec.listeners[0].filters.requests[0].requestHeaderModifier",
            "a field of Gateway",
        ),
    ]
}

fn of_sets() -> Vec<Row> {
    let kind = "ListenerSet";
    let listeners = "listeners: [{name: a, port: 80, protocol: HTTP}]";
    vec![
        row("a set has a parent", kind, format!("{{{listeners}}}"), "spec.parentRef", "expected a value, found none"),
        row(
            "the parent of a set is in a namespace",
            kind,
            format!("{{parentRef: {{name: g, namespace: 'a.b'}}, {listeners}}}"),
            "spec.parentRef.namespace",
            "a DNS label",
        ),
        row(
            "the parent of a set is a whole object",
            kind,
            format!("{{parentRef: {{name: g, sectionName: a}}, {listeners}}}"),
            "spec.parentRef.sectionName",
            "a field of ListenerSet",
        ),
        row("a set has a listener", kind, set("[]"), "spec.listeners", "1 to 64 entries, found 0"),
        row(
            "a set has at most 64 listeners",
            kind,
            set(&many(65, "{name: l#, port: 80, protocol: HTTP, hostname: h#.com}")),
            "spec.listeners",
            "found 65",
        ),
        row("a listener of a set has a port", kind, set("[{name: a, protocol: HTTP}]"), "spec.listeners[0].port", "found none"),
        row(
            "names of a set are distinct",
            kind,
            set("[{name: a, port: 80, protocol: HTTP}, {name: a, port: 81, protocol: HTTP}]"),
            "spec.listeners[1]",
            "a name of its own",
        ),
        row(
            "port, protocol and hostname within a set are distinct",
            kind,
            set("[{name: a, port: 80, protocol: HTTP}, {name: b, port: 80, protocol: HTTP}]"),
            "spec.listeners[1]",
            "port, protocol and hostname of its own",
        ),
        row(
            "TLS listeners of a set state a mode",
            kind,
            set("[{name: a, port: 443, protocol: TLS}]"),
            "spec.listeners[0].tls",
            "an object with a mode",
        ),
        row(
            "HTTP listeners of a set have no tls",
            kind,
            set("[{name: a, port: 80, protocol: HTTP, tls: {certificateRefs: [{name: s}]}}]"),
            "spec.listeners[0].tls",
            "the protocol is HTTP",
        ),
        row(
            "HTTPS listeners of a set terminate",
            kind,
            set("[{name: a, port: 443, protocol: HTTPS, tls: {mode: Passthrough}}]"),
            "spec.listeners[0].tls.mode",
            "expected Terminate",
        ),
        row(
            "UDP listeners of a set have no hostname",
            kind,
            set("[{name: a, port: 53, protocol: UDP, hostname: a.b}]"),
            "spec.listeners[0].hostname",
            "UDP",
        ),
    ]
}

fn grants() -> Vec<Row> {
    let kind = "ReferenceGrant";
    let from = "from: [{group: a.b, kind: K, namespace: ns}]";
    let to = "to: [{group: '', kind: Service}]";
    vec![
        row("a grant is from somewhere", kind, format!("{{from: [], {to}}}"), "spec.from", "1 to 16 entries, found 0"),
        row("a grant is to something", kind, format!("{{{from}, to: []}}"), "spec.to", "1 to 16 entries, found 0"),
        row(
            "a grant is from at most 16",
            kind,
            format!("{{from: {}, {to}}}", many(17, "{group: a, kind: K, namespace: n#}")),
            "spec.from",
            "found 17",
        ),
        row(
            "a grant knows no wildcard",
            kind,
            format!("{{from: [{{group: a, kind: K, namespace: '*'}}], {to}}}"),
            "spec.from[0].namespace",
            "a DNS label",
        ),
        row("a grant names the group", kind, format!("{{{from}, to: [{{kind: Service}}]}}"), "spec.to[0].group", "found none"),
        plain(
            "an object has a name",
            kind,
            &format!("metadata: {{name: A}}\nspec: {{{from}, {to}}}"),
            "metadata.name",
            "a DNS name",
        ),
    ]
}
