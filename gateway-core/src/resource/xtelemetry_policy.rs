//! XTelemetryPolicy: which spans a Gateway sends to a collector, and what they hold.
//!
//! In: a policy as written. Out: the same with every default of the schema in place. Which of several policies counts, and whether
//! the collector exists, is asked elsewhere.

use serde::Deserialize;
use serde_json::Value;

use super::place::Place;
use super::report::Report;
use super::{BackendObjectRef, Fraction, HeaderValue, LocalObjectRef, Meta, open::open_enum, reference, syntax};

/// An XTelemetryPolicy as read.
#[derive(Clone, Debug, PartialEq)]
pub struct XTelemetryPolicy {
    /// Who it is.
    pub meta: Meta,
    /// What is wanted.
    pub spec: XTelemetryPolicySpec,
    /// The stored status, as it stands.
    pub status: Option<Value>,
}

/// The specification of an XTelemetryPolicy.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct XTelemetryPolicySpec {
    /// The Gateways it applies to.
    pub target_refs: Vec<LocalObjectRef>,
    /// What is traced.
    pub tracing: Tracing,
}

impl XTelemetryPolicySpec {
    pub(super) fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self { target_refs, tracing } = self;
        reference::check_targets(target_refs, &at.field("targetRefs"), report);
        tracing.check(&at.field("tracing"), report);
    }
}

/// What is traced.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tracing {
    /// Whether anything; up to the implementation unless stated.
    #[serde(default)]
    pub mode: TelemetryMode,
    /// Where spans are sent.
    #[serde(default)]
    pub provider: Option<TracingProvider>,
    /// The share of new traces that are sampled.
    #[serde(default)]
    pub sampling_rate: Option<Fraction>,
    /// Whether the decision of a parent span counts.
    #[serde(default)]
    pub parent_based_sampling: Option<ParentBasedSampling>,
    /// What the spans call the service.
    #[serde(default)]
    pub service_name: Option<String>,
    /// What the spans are called.
    #[serde(default)]
    pub span_name: Option<String>,
    /// What else the spans hold.
    #[serde(default)]
    pub attributes: Vec<SpanAttribute>,
}

impl Tracing {
    fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self { mode, provider, sampling_rate, parent_based_sampling, service_name, span_name, attributes } = self;
        if *mode == TelemetryMode::Enabled && provider.is_none() {
            report.refuse(&at.field("provider"), "expected an object, as the mode is Enabled, found none");
        }
        let of_enabled = [
            ("provider", provider.is_some()),
            ("samplingRate", sampling_rate.is_some()),
            ("parentBasedSampling", parent_based_sampling.is_some()),
            ("serviceName", service_name.is_some()),
            ("spanName", span_name.is_some()),
            ("attributes", !attributes.is_empty()),
        ];
        for (field, is_there) in of_enabled {
            if is_there && matches!(mode, TelemetryMode::Disabled | TelemetryMode::ImplementationDefault) {
                report
                    .refuse(&at.field(field), format!("expected nothing, as the mode is {mode} and not Enabled, found a value"));
            }
        }
        if let Some(TracingProvider { backend_ref, headers }) = provider {
            let at = at.field("provider");
            backend_ref.check(&at.field("backendRef"), report);
            let at = at.field("headers");
            report.count(&at, headers.len(), 0, 16);
            for (index, HeaderValue { name, value }) in headers.iter().enumerate() {
                report.text(&at.entry(index).field("name"), name, syntax::HEADER_NAME);
                report.text(&at.entry(index).field("value"), value, syntax::HEADER_VALUE);
            }
        }
        if let Some(rate) = sampling_rate {
            rate.check(&at.field("samplingRate"), report);
        }
        if let Some(ParentBasedSampling { mode, sampling_rate: Some(rate) }) = parent_based_sampling {
            let at = at.field("parentBasedSampling");
            let at = at.field("samplingRate");
            rate.check(&at, report);
            if matches!(mode, TelemetryMode::Disabled | TelemetryMode::ImplementationDefault) {
                report.refuse(&at, format!("expected nothing, as the mode is {mode} and not Enabled, found a value"));
            }
        }
        report.optional_text(&at.field("serviceName"), service_name.as_deref(), syntax::SERVICE_NAME);
        report.optional_text(&at.field("spanName"), span_name.as_deref(), syntax::SPAN_NAME);
        let at = at.field("attributes");
        report.unique(&at, attributes.iter().map(|attribute| &attribute.name), "a name");
        for (index, attribute) in attributes.iter().enumerate() {
            attribute.check(&at.entry(index), report);
        }
    }
}

open_enum! {
    /// Whether something is done.
    #[derive(Default)]
    TelemetryMode {
        /// It is.
        Enabled = "Enabled",
        /// It is not.
        Disabled = "Disabled",
        /// Whether it is done is up to the implementation.
        #[default]
        ImplementationDefault = "ImplementationDefault",
    }
}

/// Where spans are sent.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TracingProvider {
    /// The collector.
    pub backend_ref: BackendObjectRef,
    /// Headers of the requests that carry spans.
    #[serde(default)]
    pub headers: Vec<HeaderValue>,
}

/// Whether the decision of a parent span counts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentBasedSampling {
    /// Whether it counts; up to the implementation unless stated.
    #[serde(default)]
    pub mode: TelemetryMode,
    /// Of the spans whose parent is sampled, the share that is too; all unless stated.
    #[serde(default)]
    pub sampling_rate: Option<Fraction>,
}

/// Something a span holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SpanAttribute {
    /// What it is called there.
    pub name: String,
    /// Which of the sources is meant.
    pub source_type: AttributeSource,
    /// The header of type `Header`.
    #[serde(default)]
    pub header_name: Option<String>,
    /// The text of type `Literal`.
    #[serde(default)]
    pub literal_value: Option<String>,
    /// The attribute of type `Attribute`, as OpenTelemetry names it.
    #[serde(default)]
    pub attribute_key: Option<String>,
}

impl SpanAttribute {
    fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self { name, source_type, header_name, literal_value, attribute_key } = self;
        report.text(&at.field("name"), name, syntax::ATTRIBUTE_NAME);
        let sources = [
            ("Header", "headerName", header_name.is_some()),
            ("Literal", "literalValue", literal_value.is_some()),
            ("Attribute", "attributeKey", attribute_key.is_some()),
        ];
        report.union_of_texts(at, source_type.as_str(), &sources);
        report.optional_text(&at.field("headerName"), header_name.as_deref(), syntax::HEADER_NAME);
        report.optional_text(&at.field("attributeKey"), attribute_key.as_deref(), syntax::ATTRIBUTE_KEY);
        if let Some(value) = literal_value {
            report.bounded(&at.field("literalValue"), value, 1, 1024);
        }
    }
}

open_enum! {
    /// Where the value of an attribute comes from.
    AttributeSource {
        /// A header of the request.
        Header = "Header",
        /// The policy itself.
        Literal = "Literal",
        /// What is known of the request.
        Attribute = "Attribute",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Object;
    use crate::resource::fixture::{assert_accepted, assert_refused, document, many, object};

    const V1: &str = "gateway.networking.x-k8s.io/v1alpha1";
    const PROVIDER: &str = "provider: {backendRef: {name: otel, port: 4317}}";

    fn with(tracing: &str) -> String {
        format!("{{targetRefs: [{{group: gateway.networking.k8s.io, kind: Gateway, name: g}}], tracing: {{{tracing}}}}}")
    }

    fn enabled(fields: &str) -> String {
        with(&format!("mode: Enabled, {PROVIDER}, {fields}"))
    }

    #[test]
    fn what_is_left_out_is_filled_in() {
        let read = |spec: &str| {
            let yaml = document(V1, "XTelemetryPolicy", &format!("spec: {spec}"));
            let Object::XTelemetryPolicy(policy) = object(&yaml) else { panic!("no policy") };
            policy.spec.tracing.clone()
        };
        assert_eq!(read(&with("")).mode, TelemetryMode::ImplementationDefault);
        let tracing = read(&enabled("samplingRate: {numerator: 5}, parentBasedSampling: {}"));
        assert_eq!(tracing.sampling_rate, Some(Fraction { numerator: 5, denominator: 100 }));
        let parent = ParentBasedSampling { mode: TelemetryMode::ImplementationDefault, sampling_rate: None };
        assert_eq!(tracing.parent_based_sampling, Some(parent));
        assert!(tracing.provider.unwrap().backend_ref.is_service());
    }

    #[test]
    fn services_and_spans_are_named_as_the_schema_has_it() {
        let named = enabled(
            "serviceName: Checkout_Edge:eu/1, spanName: 'GET cart', parentBasedSampling: {mode: Enabled, samplingRate: {numerator: 5}}",
        );
        assert_accepted(V1, "XTelemetryPolicy", &[&named]);
    }

    #[test]
    fn only_enabled_tracing_is_described() {
        let targets = "targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: g}]";
        assert_refused(
            V1,
            "XTelemetryPolicy",
            &[
                (format!("{{{targets}}}"), "spec.tracing", "expected a value, found none"),
                ("{tracing: {}}".to_owned(), "spec.targetRefs", "expected a value, found none"),
                ("{targetRefs: [], tracing: {}}".to_owned(), "spec.targetRefs", "1 to 16 entries, found 0"),
                (
                    format!("{{targetRefs: {}, tracing: {{}}}}", many(2, "{group: g.io, kind: Gateway, name: g}")),
                    "spec.targetRefs[1]",
                    "a target of its own",
                ),
                (with("mode: Enabled"), "spec.tracing.provider", "as the mode is Enabled, found none"),
                (with(&format!("mode: Disabled, {PROVIDER}")), "spec.tracing.provider", "as the mode is Disabled"),
                (with(PROVIDER), "spec.tracing.provider", "as the mode is ImplementationDefault"),
                (with("samplingRate: {numerator: 1}"), "spec.tracing.samplingRate", "not Enabled"),
                (with("parentBasedSampling: {}"), "spec.tracing.parentBasedSampling", "not Enabled"),
                (with("serviceName: a"), "spec.tracing.serviceName", "not Enabled"),
                (with("spanName: a"), "spec.tracing.spanName", "not Enabled"),
                (
                    with("mode: Disabled, attributes: [{name: a, sourceType: Literal, literalValue: b}]"),
                    "spec.tracing.attributes",
                    "not Enabled",
                ),
                (
                    with("mode: Enabled, provider: {backendRef: {name: otel}}"),
                    "spec.tracing.provider.backendRef.port",
                    "as the kind is Service",
                ),
                (
                    with(&format!(
                        "mode: Enabled, provider: {{backendRef: {{name: o, port: 1}}, headers: {}}}",
                        many(17, "{name: a#, value: b}")
                    )),
                    "spec.tracing.provider.headers",
                    "at most 16",
                ),
                (enabled("samplingRate: {numerator: 101}"), "spec.tracing.samplingRate.numerator", "at most the denominator"),
                (
                    enabled("parentBasedSampling: {mode: Enabled, samplingRate: {numerator: 2, denominator: 1}}"),
                    "spec.tracing.parentBasedSampling.samplingRate.numerator",
                    "at most the denominator",
                ),
                (enabled("serviceName: ''"), "spec.tracing.serviceName", "1 to 253 letters"),
                (
                    enabled("parentBasedSampling: {samplingRate: {numerator: 2}}"),
                    "spec.tracing.parentBasedSampling.samplingRate",
                    "the mode is ImplementationDefault",
                ),
                (enabled("spanName: ''"), "spec.tracing.spanName", "1 to 256 characters"),
            ],
        );
        assert_accepted(V1, "XTelemetryPolicy", &[with("mode: Later"), with("mode: Disabled"), enabled("serviceName: a-b")]);
    }

    #[test]
    fn attributes_hold_what_their_source_means() {
        let attributes = |attributes: &str| enabled(&format!("attributes: {attributes}"));
        assert_refused(
            V1,
            "XTelemetryPolicy",
            &[
                (attributes("[{name: a, sourceType: Header}]"), "spec.tracing.attributes[0].headerName", "as the type is Header"),
                (attributes("[{name: a, sourceType: Literal}]"), "spec.tracing.attributes[0].literalValue", "found none"),
                (attributes("[{name: a, sourceType: Attribute}]"), "spec.tracing.attributes[0].attributeKey", "found none"),
                (
                    attributes("[{name: a, sourceType: Header, headerName: b, literalValue: c}]"),
                    "spec.tracing.attributes[0].literalValue",
                    "expected nothing",
                ),
                (
                    attributes("[{name: a, sourceType: Attribute, attributeKey: http.Method}]"),
                    "spec.tracing.attributes[0].attributeKey",
                    "lower-case letters",
                ),
                (
                    attributes("[{name: 'a b', sourceType: Literal, literalValue: c}]"),
                    "spec.tracing.attributes[0].name",
                    "letters",
                ),
                (
                    attributes(&format!("[{{name: a, sourceType: Literal, literalValue: {}}}]", "c".repeat(1025))),
                    "spec.tracing.attributes[0].literalValue",
                    "1 to 1024 characters, found 1025",
                ),
                (
                    attributes(&many(2, "{name: a, sourceType: Literal, literalValue: c}")),
                    "spec.tracing.attributes[1]",
                    "a name of its own",
                ),
            ],
        );
    }
}
