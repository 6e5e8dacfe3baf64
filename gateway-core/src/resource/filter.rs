//! Payloads of filters that several kinds share: header modifiers, fractions, cross-origin rules, external authorization.

use serde::Deserialize;

use super::place::Place;
use super::report::Report;
use super::syntax::{self, Syntax};
use super::{BackendObjectRef, HttpMethod, number, open::open_enum};

/// Changes to headers. Of equal names, in any case, the first entry of a list counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeaderModifier {
    /// Headers to replace.
    #[serde(default)]
    pub set: Vec<HeaderValue>,
    /// Headers to add to.
    #[serde(default)]
    pub add: Vec<HeaderValue>,
    /// Headers to take away.
    #[serde(default)]
    pub remove: Vec<String>,
}

impl HeaderModifier {
    pub(super) fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self { set, add, remove } = self;
        for (field, headers) in [("set", set), ("add", add)] {
            let at = at.field(field);
            report.count(&at, headers.len(), 0, 16);
            report.unique(&at, headers.iter().map(|header| &header.name), "a name");
            for (index, HeaderValue { name, value }) in headers.iter().enumerate() {
                report.text(&at.entry(index).field("name"), name, syntax::HEADER_NAME);
                report.text(&at.entry(index).field("value"), value, syntax::HEADER_VALUE);
            }
        }
        let at = at.field("remove");
        report.count(&at, remove.len(), 0, 16);
        report.unique(&at, remove, "a name");
    }
}

/// A header.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeaderValue {
    /// The name, in any case.
    pub name: String,
    /// The value.
    pub value: String,
}

/// A share of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fraction {
    /// So many.
    #[serde(deserialize_with = "number::count")]
    pub numerator: u32,
    /// Of so many; 100 unless stated.
    #[serde(default = "hundred", deserialize_with = "number::positive")]
    pub denominator: u32,
}

impl Fraction {
    pub(super) fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self { numerator, denominator } = self;
        if numerator > denominator {
            report.refuse(&at.field("numerator"), format!("expected at most the denominator {denominator}, found {numerator}"));
        }
    }
}

fn hundred() -> u32 {
    100
}

/// Rules for cross-origin requests.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cors {
    /// The origins admitted, as `scheme://host(:port)` where the host may hold `*`, or `*` alone.
    #[serde(default)]
    pub allow_origins: Vec<String>,
    /// Whether credentials may be sent; not unless stated.
    #[serde(default)]
    pub allow_credentials: bool,
    /// The methods named in the answer, or `*` alone.
    #[serde(default)]
    pub allow_methods: Vec<String>,
    /// The request headers named in the answer, or `*` alone.
    #[serde(default)]
    pub allow_headers: Vec<String>,
    /// The response headers scripts may read.
    #[serde(default)]
    pub expose_headers: Vec<String>,
    /// For how many seconds the answer may be kept; 5 unless stated.
    #[serde(default = "five", deserialize_with = "number::positive")]
    pub max_age: u32,
}

impl Cors {
    pub(super) fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self { allow_origins, allow_credentials: _, allow_methods, allow_headers, expose_headers, max_age: _ } = self;
        check_set(allow_origins, 64, Some(syntax::ORIGIN), &at.field("allowOrigins"), report);
        check_set(allow_methods, 9, Some(METHOD), &at.field("allowMethods"), report);
        check_set(allow_headers, 64, Some(syntax::HEADER_NAME), &at.field("allowHeaders"), report);
        check_set(expose_headers, 64, Some(syntax::HEADER_NAME), &at.field("exposeHeaders"), report);
        for (field, list) in [("allowOrigins", allow_origins), ("allowMethods", allow_methods), ("allowHeaders", allow_headers)] {
            if list.len() > 1 && list.iter().any(|entry| entry == "*") {
                report.refuse(&at.field(field), "expected '*' to be the only entry, found others beside it");
            }
        }
    }
}

/// A method that the schema knows, or all of them.
const METHOD: Syntax = Syntax {
    holds: |text| text == "*" || HttpMethod::KNOWN.contains(&text),
    called: "GET, HEAD, POST, PUT, DELETE, CONNECT, OPTIONS, TRACE, PATCH or *",
};

/// A list without repetitions, of texts with a form.
fn check_set(list: &[String], most: usize, syntax: Option<Syntax>, at: &Place<'_>, report: &mut Report) {
    report.count(at, list.len(), 0, most);
    report.unique(at, list, "a value");
    let Some(syntax) = syntax else { return };
    for (index, entry) in list.iter().enumerate() {
        report.text(&at.entry(index), entry, syntax);
    }
}

fn five() -> u32 {
    5
}

/// Ask somebody whether a request may pass.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalAuth {
    /// In which protocol.
    pub protocol: ExternalAuthProtocol,
    /// Whom.
    pub backend_ref: BackendObjectRef,
    /// Settings of protocol `GRPC`.
    #[serde(default)]
    pub grpc: Option<GrpcAuth>,
    /// Settings of protocol `HTTP`.
    #[serde(default)]
    pub http: Option<HttpAuth>,
    /// Whether the body goes along.
    #[serde(default)]
    pub forward_body: Option<ForwardBody>,
}

impl ExternalAuth {
    pub(super) fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self { protocol, backend_ref, grpc, http, forward_body: _ } = self;
        backend_ref.check(&at.field("backendRef"), report);
        report.union(at, protocol.as_str(), &[("GRPC", "grpc", grpc.is_some()), ("HTTP", "http", http.is_some())]);
        if let Some(GrpcAuth { allowed_headers }) = grpc {
            check_set(allowed_headers, 64, None, &at.field("grpc").field("allowedHeaders"), report);
        }
        if let Some(HttpAuth { path, allowed_headers, allowed_response_headers }) = http {
            let at = at.field("http");
            report.optional_text(&at.field("path"), path.as_deref(), syntax::PATH_CHARACTERS);
            check_set(allowed_headers, 64, None, &at.field("allowedHeaders"), report);
            check_set(allowed_response_headers, 64, None, &at.field("allowedResponseHeaders"), report);
        }
    }
}

open_enum! {
    /// The protocol of external authorization.
    ExternalAuthProtocol {
        /// A plain request.
        Http = "HTTP",
        /// A gRPC check.
        Grpc = "GRPC",
    }
}

/// Settings of external authorization over gRPC.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrpcAuth {
    /// The request headers sent along; all when empty.
    #[serde(default)]
    pub allowed_headers: Vec<String>,
}

/// Settings of external authorization over HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpAuth {
    /// What is put before the path.
    #[serde(default)]
    pub path: Option<String>,
    /// The request headers sent along beside the necessary ones.
    #[serde(default)]
    pub allowed_headers: Vec<String>,
    /// The headers copied from the answer into the request; all but the host when empty.
    #[serde(default)]
    pub allowed_response_headers: Vec<String>,
}

/// Whether the body goes along.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ForwardBody {
    /// At most so many bytes; none when 0.
    #[serde(default, deserialize_with = "number::count")]
    pub max_size: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::fixture::{assert_accepted, assert_refused, many, value};

    const V1: &str = "gateway.networking.k8s.io/v1";

    fn filter(written: &str) -> String {
        format!("{{rules: [{{filters: [{{{written}}}]}}]}}")
    }

    #[test]
    fn what_is_left_out_is_filled_in() {
        let cors: Cors = serde_json::from_value(value("{}")).unwrap();
        assert_eq!((cors.max_age, cors.allow_credentials), (5, false));
        let auth: ExternalAuth = serde_json::from_value(value("{protocol: HTTP, backendRef: {name: b, port: 1}}")).unwrap();
        assert!(auth.backend_ref.is_service());
    }

    #[test]
    fn header_lists_are_short_and_distinct() {
        for (kind, filter_type, field) in [
            ("HTTPRoute", "RequestHeaderModifier", "requestHeaderModifier"),
            ("HTTPRoute", "ResponseHeaderModifier", "responseHeaderModifier"),
            ("GRPCRoute", "RequestHeaderModifier", "requestHeaderModifier"),
            ("GRPCRoute", "ResponseHeaderModifier", "responseHeaderModifier"),
        ] {
            let at = format!("spec.rules[0].filters[0].{field}");
            let modifier = |lists: &str| filter(&format!("type: {filter_type}, {field}: {{{lists}}}"));
            for list in ["set", "add"] {
                assert_refused(
                    V1,
                    kind,
                    &[
                        (
                            modifier(&format!("{list}: {}", many(17, "{name: h#, value: v}"))),
                            &format!("{at}.{list}"),
                            "at most 16",
                        ),
                        (
                            modifier(&format!("{list}: [{{name: a, value: v}}, {{name: a, value: w}}]")),
                            &format!("{at}.{list}[1]"),
                            "a name of its own",
                        ),
                        (
                            modifier(&format!("{list}: [{{name: 'a:', value: v}}]")),
                            &format!("{at}.{list}[0].name"),
                            "a header name",
                        ),
                        (modifier(&format!("{list}: [{{name: a, value: ''}}]")), &format!("{at}.{list}[0].value"), "1 to 4096"),
                    ],
                );
            }
            assert_refused(
                V1,
                kind,
                &[
                    (modifier(&format!("remove: {}", many(17, "h#"))), &*format!("{at}.remove"), "at most 16"),
                    (modifier("remove: [a, a]"), &format!("{at}.remove[1]"), "a name of its own"),
                ],
            );
            assert_accepted(
                V1,
                kind,
                &[modifier(
                    "set: [{name: Foo, value: v}, {name: foo, value: w}], add: [{name: Foo, value: v}], remove: [foo, Foo]",
                )],
            );
        }
    }

    #[test]
    fn cross_origin_rules_are_short_and_distinct() {
        let cors = |fields: &str| filter(&format!("type: CORS, cors: {{{fields}}}"));
        let at = "spec.rules[0].filters[0].cors";
        let methods = "GET, HEAD, POST, PUT, DELETE, CONNECT, OPTIONS, TRACE, PATCH";
        assert_refused(
            V1,
            "HTTPRoute",
            &[
                (cors("allowMethods: [GET, GET]"), &*format!("{at}.allowMethods[1]"), "a value of its own"),
                (cors("allowMethods: [BREW]"), &format!("{at}.allowMethods[0]"), "PATCH or *"),
            ],
        );
        assert_accepted(V1, "HTTPRoute", &[cors(&format!("allowMethods: [{methods}]")), cors("allowMethods: ['*']")]);
        for (list, most) in [("allowOrigins", 64), ("allowHeaders", 64), ("exposeHeaders", 64)] {
            let entry = if list == "allowOrigins" { "'http://h#'" } else { "h#" };
            let same = entry.replace('#', "0");
            assert_refused(
                V1,
                "HTTPRoute",
                &[
                    (cors(&format!("{list}: {}", many(most + 1, entry))), &*format!("{at}.{list}"), &*format!("at most {most}")),
                    (cors(&format!("{list}: [{same}, {same}]")), &format!("{at}.{list}[1]"), "a value of its own"),
                ],
            );
            let star = cors(&format!("{list}: ['*', {same}]"));
            if list == "exposeHeaders" {
                assert_accepted(V1, "HTTPRoute", &[star]);
            } else {
                assert_refused(V1, "HTTPRoute", &[(star, &*format!("{at}.{list}"), "'*' to be the only entry")]);
            }
            assert_accepted(V1, "HTTPRoute", &[cors(&format!("{list}: ['*']"))]);
        }
        assert_refused(
            V1,
            "HTTPRoute",
            &[
                (cors("maxAge: 0"), &*format!("{at}.maxAge"), "from 1"),
                (cors("allowHeaders: ['a b']"), &format!("{at}.allowHeaders[0]"), "a header name"),
                (cors("exposeHeaders: ['']"), &format!("{at}.exposeHeaders[0]"), "a header name"),
            ],
        );
        for origin in
            ["example.com", "ftp://a", "https://", "https://a/", "https://a:0", "https://a:65536", "https://a:b", "https://a?b"]
        {
            let spec = cors(&format!("allowOrigins: ['{origin}']"));
            assert_refused(V1, "HTTPRoute", &[(spec, &*format!("{at}.allowOrigins[0]"), "an origin")]);
        }
        assert_accepted(
            V1,
            "HTTPRoute",
            &[cors(
                "allowOrigins: ['https://*.bar.com', 'http://a:8080', 'https://*'], allowMethods: [PATCH], allowCredentials: true",
            )],
        );
    }

    #[test]
    fn external_auth_speaks_one_protocol() {
        let auth =
            |fields: &str| filter(&format!("type: ExternalAuth, externalAuth: {{backendRef: {{name: b, port: 1}}, {fields}}}"));
        let at = "spec.rules[0].filters[0].externalAuth";
        assert_refused(
            V1,
            "HTTPRoute",
            &[
                (auth("protocol: GRPC"), &*format!("{at}.grpc"), "as the type is GRPC, found none"),
                (auth("protocol: HTTP"), &format!("{at}.http"), "as the type is HTTP, found none"),
                (auth("protocol: HTTP, http: {}, grpc: {}"), &format!("{at}.grpc"), "expected nothing"),
                (auth("http: {}"), &format!("{at}.protocol"), "found none"),
                (auth("protocol: HTTP, http: {path: 'a b'}"), &format!("{at}.http.path"), "RFC 3986"),
                (auth("protocol: HTTP, http: {path: ''}"), &format!("{at}.http.path"), "1 to 1024"),
                (auth(&format!("protocol: HTTP, http: {{path: {}}}", "a".repeat(1025))), &format!("{at}.http.path"), "1 to 1024"),
                (
                    auth(&format!("protocol: HTTP, http: {{allowedHeaders: {}}}", many(65, "h#"))),
                    &format!("{at}.http.allowedHeaders"),
                    "at most 64",
                ),
                (
                    auth("protocol: HTTP, http: {allowedResponseHeaders: [a, a]}"),
                    &format!("{at}.http.allowedResponseHeaders[1]"),
                    "a value of its own",
                ),
                (
                    auth("protocol: GRPC, grpc: {allowedHeaders: [a, a]}"),
                    &format!("{at}.grpc.allowedHeaders[1]"),
                    "a value of its own",
                ),
                (auth("protocol: HTTP, http: {}, forwardBody: {maxSize: -1}"), &format!("{at}.forwardBody.maxSize"), "from 0"),
            ],
        );
        assert_accepted(
            V1,
            "HTTPRoute",
            &[auth("protocol: HTTP, http: {path: /auth}, forwardBody: {maxSize: 100000}"), auth("protocol: LATER")],
        );
    }
}
