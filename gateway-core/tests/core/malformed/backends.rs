//! Rows of XBackend, ServiceImport and the core kinds.

use super::{Row, map, plain, row};

pub(super) fn rows() -> Vec<Row> {
    [xbackends(), core()].into_iter().flatten().collect()
}

/// An XBackend that is a host elsewhere.
fn host(fields: &str) -> String {
    format!("{{type: ExternalHostname, externalHostname: {{hostname: a.b}}, port: {{number: 443}}, {fields}}}")
}

/// An XBackend of such a host name.
fn named(hostname: &str) -> String {
    format!("{{type: ExternalHostname, externalHostname: {{hostname: {hostname}}}, port: {{number: 443}}}}")
}

/// An XBackend of selected endpoints.
fn selector(labels: &str) -> String {
    format!("{{type: EndpointSelector, endpointSelector: {{matchLabels: {labels}}}, port: {{number: 80}}}}")
}

fn xbackends() -> Vec<Row> {
    let kind = "XBackend";
    let validation = "validation: {hostname: a.b, wellKnownCACertificates: System}";
    let certificate = "clientCertificateRef: {name: s}";
    vec![
        row("a backend has a type", kind, "{port: {number: 1}}", "spec.type", "expected a value, found none"),
        row(
            "an external host has a host",
            kind,
            "{type: ExternalHostname, port: {number: 1}}",
            "spec.externalHostname",
            "as the type is ExternalHostname",
        ),
        row(
            "an external host selects nothing",
            kind,
            host("endpointSelector: {matchLabels: {a: b}}"),
            "spec.endpointSelector",
            "expected nothing",
        ),
        row(
            "selected endpoints have a selector",
            kind,
            "{type: EndpointSelector, port: {number: 1}}",
            "spec.endpointSelector",
            "as the type is EndpointSelector",
        ),
        row("a selector has a label", kind, selector("{}"), "spec.endpointSelector.matchLabels", "1 to 64 entries, found 0"),
        row("a selector has at most 64 labels", kind, selector(&map(65)), "spec.endpointSelector.matchLabels", "found 65"),
        row("a label has a key", kind, selector("{'a/b/c': d}"), "spec.endpointSelector.matchLabels.a/b/c", "a key"),
        row("a label has a value", kind, selector("{a: '*'}"), "spec.endpointSelector.matchLabels.a", "a label value"),
        row("an external host is no address", kind, named("10.0.0.1"), "spec.externalHostname.hostname", "no address"),
        row(
            "an external host is not of the cluster",
            kind,
            named("s.n.svc.cluster.local"),
            "spec.externalHostname.hostname",
            ".cluster.local",
        ),
        row(
            "an external host has no wildcard",
            kind,
            named("'*.a.b'"),
            "spec.externalHostname.hostname",
            "a lower-case host name",
        ),
        row(
            "a backend has a port",
            kind,
            "{type: ExternalHostname, externalHostname: {hostname: a.b}}",
            "spec.port",
            "expected a value, found none",
        ),
        row(
            "the port of a backend is a number",
            kind,
            host("").replace("number: 443", "port: 443"),
            "spec.port.number",
            "found none",
        ),
        row("the port of a backend is not 0", kind, host("").replace("443", "0"), "spec.port.number", "from 1 to 65535"),
        row(
            "H2C is without TLS",
            kind,
            host(&format!("protocol: H2C, tls: {{mode: ServerOnly, {validation}}}")),
            "spec.tls.mode",
            "as the protocol is H2C",
        ),
        row("HTTP2 is over TLS", kind, host("protocol: HTTP2"), "spec.tls.mode", "as the protocol is HTTP2, found None"),
        row("WSS is over TLS", kind, host("protocol: WSS"), "spec.tls.mode", "as the protocol is WSS, found None"),
        row(
            "no TLS validates nothing",
            kind,
            host(&format!("tls: {{mode: None, {validation}}}")),
            "spec.tls.validation",
            "expected nothing",
        ),
        row("TLS has a mode", kind, host("tls: {}"), "spec.tls.mode", "expected a value, found none"),
        row("TLS validates", kind, host("tls: {mode: ServerOnly}"), "spec.tls.validation", "as the mode is ServerOnly"),
        row(
            "TLS with ClientAndServer presents a certificate",
            kind,
            host(&format!("tls: {{mode: ClientAndServer, {validation}}}")),
            "spec.tls.clientCertificateRef",
            "as the mode is ClientAndServer",
        ),
        row(
            "TLS with ServerOnly presents none",
            kind,
            host(&format!("tls: {{mode: ServerOnly, {validation}, {certificate}}}")),
            "spec.tls.clientCertificateRef",
            "expected nothing",
        ),
        row(
            "TLS has trust anchors",
            kind,
            host("tls: {mode: ServerOnly, validation: {hostname: a.b}}"),
            "spec.tls.validation.caCertificateRefs",
            "found neither",
        ),
        row(
            "an external host has no sessions",
            kind,
            host("sessionPersistence: {cookie: {}}"),
            "spec.sessionPersistence",
            "as the type is ExternalHostname",
        ),
    ]
}

fn core() -> Vec<Row> {
    let labelled = "metadata: {name: x, namespace: team, labels: {kubernetes.io/service-name: s}}\naddressType: IPv4\n";
    vec![
        row(
            "ports of a Service are distinct",
            "Service",
            "{ports: [{name: a, port: 1}, {name: b, port: 1}]}",
            "spec.ports[1]",
            "a port and protocol",
        ),
        row(
            "several ports of a Service have names",
            "Service",
            "{ports: [{port: 1}, {port: 2}]}",
            "spec.ports[1]",
            "a name of its own",
        ),
        row("a Service elsewhere has a host", "Service", "{type: ExternalName}", "spec.externalName", "a lower-case host name"),
        plain("the name of a Service is a label", "Service", "metadata: {name: a.b}\nspec: {}", "metadata.name", "a DNS label"),
        plain("the name of a namespace is a label", "Namespace", "metadata: {name: A}", "metadata.name", "a DNS label"),
        plain("labels have values", "Namespace", "metadata: {name: a, labels: {a: b c}}", "metadata.labels.a", "a label value"),
        row(
            "ports of a ServiceImport are distinct",
            "ServiceImport",
            "{ports: [{name: a, port: 1}, {name: b, port: 1}]}",
            "spec.ports[1]",
            "a port and protocol",
        ),
        row(
            "addresses of a ServiceImport are addresses",
            "ServiceImport",
            "{ips: [a]}",
            "spec.ips[0]",
            "an IPv4 or IPv6 address",
        ),
        plain(
            "endpoints have addresses of their type",
            "EndpointSlice",
            &format!("{labelled}endpoints: [{{addresses: ['::1']}}]"),
            "endpoints[0].addresses[0]",
            "an IPv4 address",
        ),
        plain(
            "an endpoint has an address",
            "EndpointSlice",
            &format!("{labelled}endpoints: [{{addresses: []}}]"),
            "endpoints[0].addresses",
            "1 to 100 entries, found 0",
        ),
        plain("a slice has a type", "EndpointSlice", "endpoints: []", "addressType", "expected a value, found none"),
        plain("data are base64", "Secret", "data: {a: '*'}", "data.a", "expected base64"),
        plain("data are texts", "ConfigMap", "data: {a: 1}", "data.a", "expected a string, found a number"),
        plain("binary data are base64", "ConfigMap", "binaryData: {a: '*'}", "binaryData.a", "expected base64"),
        plain(
            "a key is in data or in binaryData",
            "ConfigMap",
            "data: {ca.crt: a}\nbinaryData: {ca.crt: YQ==}",
            "binaryData.ca.crt",
            "not in data too",
        ),
        plain(
            "a bundle is named after its signer",
            "ClusterTrustBundle",
            "metadata: {name: 'b:c'}\nspec: {signerName: a.b/c, trustBundle: x}",
            "metadata.name",
            "as the signer is a.b/c",
        ),
        plain(
            "a bundle without signer has no colon in its name",
            "ClusterTrustBundle",
            "metadata: {name: 'b:c'}\nspec: {trustBundle: x}",
            "metadata.name",
            "a DNS name",
        ),
        plain(
            "a bundle has trust anchors",
            "ClusterTrustBundle",
            "metadata: {name: b}\nspec: {}",
            "spec.trustBundle",
            "found none",
        ),
    ]
}
