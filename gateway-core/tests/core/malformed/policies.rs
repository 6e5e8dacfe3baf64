//! Rows of BackendTLSPolicy, XBackendTrafficPolicy and XTelemetryPolicy.

use super::{Row, many, row};

pub(super) fn rows() -> Vec<Row> {
    [backend_tls(), traffic(), telemetry()].into_iter().flatten().collect()
}

/// A BackendTLSPolicy for these targets.
fn targets(refs: &str) -> String {
    format!("{{targetRefs: {refs}, validation: {{hostname: a.b, wellKnownCACertificates: System}}}}")
}

/// A BackendTLSPolicy with this validation.
fn validation(fields: &str) -> String {
    format!("{{targetRefs: [{{group: '', kind: Service, name: s}}], validation: {{{fields}}}}}")
}

/// A BackendTLSPolicy with these names.
fn names(names: &str) -> String {
    validation(&format!("hostname: a.b, wellKnownCACertificates: System, subjectAltNames: {names}"))
}

fn backend_tls() -> Vec<Row> {
    let kind = "BackendTLSPolicy";
    let service = "group: '', kind: Service, name: s";
    let anchors = "caCertificateRefs: [{group: '', kind: ConfigMap, name: c}]";
    vec![
        row("a policy has a target", kind, targets("[]"), "spec.targetRefs", "1 to 16 entries, found 0"),
        row(
            "a policy has at most 16 targets",
            kind,
            targets(&many(17, "{group: '', kind: Service, name: s#}")),
            "spec.targetRefs",
            "found 17",
        ),
        row(
            "a target has a group",
            kind,
            targets("[{kind: Service, name: s}]"),
            "spec.targetRefs[0].group",
            "expected a value, found none",
        ),
        row(
            "a target is in the namespace of the policy",
            kind,
            targets(&format!("[{{{service}, namespace: a}}]")),
            "spec.targetRefs[0].namespace",
            "a field of BackendTLSPolicy",
        ),
        row(
            "references to one target both have a sectionName",
            kind,
            targets(&format!("[{{{service}}}, {{{service}, sectionName: a}}]")),
            "spec.targetRefs[1]",
            "a sectionName in every reference to the same target",
        ),
        row(
            "sections of one target are distinct",
            kind,
            targets(&format!("[{{{service}, sectionName: a}}, {{{service}, sectionName: a}}]")),
            "spec.targetRefs[1]",
            "another sectionName for the same target",
        ),
        row(
            "a policy has trust anchors",
            kind,
            validation("hostname: a.b"),
            "spec.validation.caCertificateRefs",
            "found neither",
        ),
        row(
            "trust anchors are listed",
            kind,
            validation("hostname: a.b, caCertificateRefs: []"),
            "spec.validation.caCertificateRefs",
            "found neither",
        ),
        row(
            "trust anchors come from one source",
            kind,
            validation(&format!("hostname: a.b, wellKnownCACertificates: System, {anchors}")),
            "spec.validation.wellKnownCACertificates",
            "expected nothing beside caCertificateRefs",
        ),
        row(
            "trust anchors come from at most 8 objects",
            kind,
            validation(&format!("hostname: a.b, caCertificateRefs: {}", many(9, "{group: '', kind: ConfigMap, name: c#}"))),
            "spec.validation.caCertificateRefs",
            "at most 8 entries, found 9",
        ),
        row(
            "trust anchors are in the namespace of the policy",
            kind,
            validation("hostname: a.b, caCertificateRefs: [{group: '', kind: ConfigMap, name: c, namespace: d}]"),
            "spec.validation.caCertificateRefs[0].namespace",
            "a field of BackendTLSPolicy",
        ),
        row("a policy has a hostname", kind, validation(anchors), "spec.validation.hostname", "expected a value, found none"),
        row(
            "the hostname has no wildcard",
            kind,
            validation(&format!("hostname: '*.a.b', {anchors}")),
            "spec.validation.hostname",
            "without wildcard",
        ),
        row(
            "the hostname is no address",
            kind,
            validation(&format!("hostname: 10.0.0.1, {anchors}")),
            "spec.validation.hostname",
            "no address",
        ),
        row(
            "there are at most 5 names",
            kind,
            names(&many(6, "{type: Hostname, hostname: a#.b}")),
            "spec.validation.subjectAltNames",
            "at most 5 entries, found 6",
        ),
        row(
            "a name of a host is one",
            kind,
            names("[{type: Hostname}]"),
            "spec.validation.subjectAltNames[0].hostname",
            "expected a string, as the type is Hostname",
        ),
        row(
            "a name of a URI is one",
            kind,
            names("[{type: URI}]"),
            "spec.validation.subjectAltNames[0].uri",
            "as the type is URI",
        ),
        row(
            "a name of a host is no URI",
            kind,
            names("[{type: Hostname, hostname: a.b, uri: 'a://b'}]"),
            "spec.validation.subjectAltNames[0].uri",
            "expected nothing",
        ),
        row(
            "a name of a URI is no host",
            kind,
            names("[{type: URI, hostname: a.b, uri: 'a://b'}]"),
            "spec.validation.subjectAltNames[0].hostname",
            "expected nothing",
        ),
        row(
            "a URI has a scheme",
            kind,
            names("[{type: URI, uri: //a/b}]"),
            "spec.validation.subjectAltNames[0].uri",
            "an absolute URI",
        ),
        row(
            "a name has a type",
            kind,
            names("[{hostname: a.b}]"),
            "spec.validation.subjectAltNames[0].type",
            "expected a value, found none",
        ),
        row(
            "options have keys",
            kind,
            validation(&format!("hostname: a.b, {anchors}")).replacen('{', "{options: {'a~': b}, ", 1),
            "spec.options.a~",
            "a key",
        ),
    ]
}

fn traffic() -> Vec<Row> {
    let kind = "XBackendTrafficPolicy";
    let with = |fields: &str| format!("{{targetRefs: [{{group: '', kind: Service, name: s}}], {fields}}}");
    vec![
        row("a policy has a target", kind, "{targetRefs: []}", "spec.targetRefs", "1 to 16 entries, found 0"),
        row(
            "a policy has at most 16 targets",
            kind,
            format!("{{targetRefs: {}}}", many(17, "{group: '', kind: Service, name: s#}")),
            "spec.targetRefs",
            "found 17",
        ),
        row(
            "targets are distinct",
            kind,
            format!("{{targetRefs: {}}}", many(2, "{group: '', kind: Service, name: s}")),
            "spec.targetRefs[1]",
            "a target of its own",
        ),
        row(
            "a target is a whole object",
            kind,
            "{targetRefs: [{group: '', kind: Service, name: s, sectionName: a}]}",
            "spec.targetRefs[0].sectionName",
            "a field of XBackendTrafficPolicy",
        ),
        row(
            "a budget is at most 100 percent",
            kind,
            with("retryConstraint: {budget: {percent: 101}}"),
            "spec.retryConstraint.budget.percent",
            "from 0 to 100",
        ),
        row(
            "a budget is for a second at least",
            kind,
            with("retryConstraint: {budget: {interval: 999ms}}"),
            "spec.retryConstraint.budget.interval",
            "from 1s to 1h",
        ),
        row(
            "a budget is for an hour at most",
            kind,
            with("retryConstraint: {budget: {interval: 61m}}"),
            "spec.retryConstraint.budget.interval",
            "from 1s to 1h",
        ),
        row(
            "a rate is one at least",
            kind,
            with("retryConstraint: {minRetryRate: {count: 0}}"),
            "spec.retryConstraint.minRetryRate.count",
            "from 1 to 1000000",
        ),
        row(
            "a rate is a million at most",
            kind,
            with("retryConstraint: {minRetryRate: {count: 1000001}}"),
            "spec.retryConstraint.minRetryRate.count",
            "from 1 to 1000000",
        ),
        row(
            "a rate is for some time",
            kind,
            with("retryConstraint: {minRetryRate: {interval: 0s}}"),
            "spec.retryConstraint.minRetryRate.interval",
            "above 0s",
        ),
        row(
            "a rate is for an hour at most",
            kind,
            with("retryConstraint: {minRetryRate: {interval: 2h}}"),
            "spec.retryConstraint.minRetryRate.interval",
            "up to 1h",
        ),
        row(
            "a session by cookie has a cookie",
            kind,
            with("sessionPersistence: {}"),
            "spec.sessionPersistence.cookie",
            "as the type is Cookie",
        ),
        row(
            "a session has fields of today",
            kind,
            with("sessionPersistence: {cookie: {}, sessionName: s}"),
            "spec.sessionPersistence.sessionName",
            "a field of XBackendTrafficPolicy",
        ),
    ]
}

/// An XTelemetryPolicy for a Gateway.
fn tracing(fields: &str) -> String {
    format!("{{targetRefs: [{{group: gateway.networking.k8s.io, kind: Gateway, name: g}}], tracing: {{{fields}}}}}")
}

/// The same with tracing switched on.
fn enabled(fields: &str) -> String {
    tracing(&format!("mode: Enabled, provider: {{backendRef: {{name: o, port: 4317}}}}, {fields}"))
}

fn attributes(list: &str) -> String {
    enabled(&format!("attributes: {list}"))
}

fn telemetry() -> Vec<Row> {
    let kind = "XTelemetryPolicy";
    let provider = "provider: {backendRef: {name: o, port: 4317}}";
    vec![
        row("a policy has a target", kind, "{targetRefs: [], tracing: {}}", "spec.targetRefs", "1 to 16 entries, found 0"),
        row(
            "a policy has at most 16 targets",
            kind,
            format!("{{targetRefs: {}, tracing: {{}}}}", many(17, "{group: a.b, kind: Gateway, name: g#}")),
            "spec.targetRefs",
            "found 17",
        ),
        row(
            "targets are distinct",
            kind,
            format!("{{targetRefs: {}, tracing: {{}}}}", many(2, "{group: a.b, kind: Gateway, name: g}")),
            "spec.targetRefs[1]",
            "a target of its own",
        ),
        row(
            "a policy is about tracing",
            kind,
            "{targetRefs: [{group: a.b, kind: Gateway, name: g}]}",
            "spec.tracing",
            "expected a value, found none",
        ),
        row(
            "tracing that is on has a provider",
            kind,
            tracing("mode: Enabled"),
            "spec.tracing.provider",
            "as the mode is Enabled, found none",
        ),
        row(
            "tracing that is off has no provider",
            kind,
            tracing(&format!("mode: Disabled, {provider}")),
            "spec.tracing.provider",
            "Disabled",
        ),
        row("tracing by default has no provider", kind, tracing(provider), "spec.tracing.provider", "ImplementationDefault"),
        row(
            "tracing by default has no rate",
            kind,
            tracing("samplingRate: {numerator: 1}"),
            "spec.tracing.samplingRate",
            "not Enabled",
        ),
        row(
            "tracing that is off asks no parent",
            kind,
            tracing("mode: Disabled, parentBasedSampling: {}"),
            "spec.tracing.parentBasedSampling",
            "not Enabled",
        ),
        row(
            "tracing that is off names no service",
            kind,
            tracing("mode: Disabled, serviceName: a"),
            "spec.tracing.serviceName",
            "not Enabled",
        ),
        row(
            "tracing that is off names no span",
            kind,
            tracing("mode: Disabled, spanName: a"),
            "spec.tracing.spanName",
            "not Enabled",
        ),
        row(
            "tracing that is off has no attributes",
            kind,
            tracing("mode: Disabled, attributes: [{name: a, sourceType: Literal, literalValue: b}]"),
            "spec.tracing.attributes",
            "not Enabled",
        ),
        row(
            "a collector has a port",
            kind,
            tracing("mode: Enabled, provider: {backendRef: {name: o}}"),
            "spec.tracing.provider.backendRef.port",
            "as the kind is Service",
        ),
        row(
            "a collector is sent at most 16 headers",
            kind,
            tracing(&format!(
                "mode: Enabled, provider: {{backendRef: {{name: o, port: 1}}, headers: {}}}",
                many(17, "{name: h#, value: v}")
            )),
            "spec.tracing.provider.headers",
            "at most 16 entries, found 17",
        ),
        row(
            "a header for a collector is a token",
            kind,
            tracing("mode: Enabled, provider: {backendRef: {name: o, port: 1}, headers: [{name: 'a b', value: c}]}"),
            "spec.tracing.provider.headers[0].name",
            "token characters",
        ),
        row(
            "a rate is at most one",
            kind,
            enabled("samplingRate: {numerator: 101}"),
            "spec.tracing.samplingRate.numerator",
            "at most the denominator 100",
        ),
        row(
            "a rate of parents is at most one",
            kind,
            enabled("parentBasedSampling: {mode: Enabled, samplingRate: {numerator: 2, denominator: 1}}"),
            "spec.tracing.parentBasedSampling.samplingRate.numerator",
            "at most the denominator 1",
        ),
        row(
            "a service has at most 253 characters",
            kind,
            enabled(&format!("serviceName: {}", "a".repeat(254))),
            "spec.tracing.serviceName",
            "1 to 253 letters",
        ),
        row(
            "a service is called by letters, digits and few signs",
            kind,
            enabled("serviceName: 'check out'"),
            "spec.tracing.serviceName",
            "1 to 253 letters",
        ),
        row(
            "a span is called by words with single blanks between them",
            kind,
            enabled("spanName: 'GET  cart'"),
            "spec.tracing.spanName",
            "single blanks between them",
        ),
        row(
            "a rate of parents is stated only where parents count",
            kind,
            enabled("parentBasedSampling: {mode: Disabled, samplingRate: {numerator: 5}}"),
            "spec.tracing.parentBasedSampling.samplingRate",
            "the mode is Disabled and not Enabled",
        ),
        row(
            "a span has at most 256 characters",
            kind,
            enabled(&format!("spanName: {}", "a".repeat(257))),
            "spec.tracing.spanName",
            "1 to 256",
        ),
        row(
            "attributes are distinct",
            kind,
            attributes(&many(2, "{name: a, sourceType: Literal, literalValue: b}")),
            "spec.tracing.attributes[1]",
            "a name of its own",
        ),
        row(
            "an attribute from a header has one",
            kind,
            attributes("[{name: a, sourceType: Header}]"),
            "spec.tracing.attributes[0].headerName",
            "expected a string, as the type is Header",
        ),
        row(
            "an attribute from a text has one",
            kind,
            attributes("[{name: a, sourceType: Literal}]"),
            "spec.tracing.attributes[0].literalValue",
            "as the type is Literal",
        ),
        row(
            "an attribute from an attribute has one",
            kind,
            attributes("[{name: a, sourceType: Attribute}]"),
            "spec.tracing.attributes[0].attributeKey",
            "as the type is Attribute",
        ),
        row(
            "an attribute has no other source",
            kind,
            attributes("[{name: a, sourceType: Header, headerName: b, attributeKey: c}]"),
            "spec.tracing.attributes[0].attributeKey",
            "expected nothing",
        ),
        row(
            "a text of an attribute has at most 1024 characters",
            kind,
            attributes(&format!("[{{name: a, sourceType: Literal, literalValue: {}}}]", "b".repeat(1025))),
            "spec.tracing.attributes[0].literalValue",
            "1 to 1024",
        ),
        row(
            "an attribute has a source as the schema calls it",
            kind,
            attributes("[{name: a, type: Literal, literalValue: b}]"),
            "spec.tracing.attributes[0].sourceType",
            "expected a value, found none",
        ),
    ]
}
