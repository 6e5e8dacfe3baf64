//! Filters of an HTTPRoute: what is done to a request or its response, at a rule or at one of its backends.
//!
//! In: an entry of `filters` as written: a type and one field for each payload. Out: that, and by [`HttpFilter::payload`] the one
//! payload the type means.

use serde::Deserialize;

use super::place::Place;
use super::report::Report;
use super::{
    BackendObjectRef, Cors, DirectResponseSpec, ExternalAuth, Fraction, HeaderModifier, LocalObjectRef, RequestRedirect,
    UrlRewrite, number, open::open_enum,
};

/// One filter of an HTTPRoute. It has one payload, and routes are many: those it does not have take a word each.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpFilter {
    /// Which of the payloads is meant.
    #[serde(rename = "type")]
    pub filter_type: HttpFilterType,
    /// Change headers of the request.
    #[serde(default)]
    pub request_header_modifier: Option<Box<HeaderModifier>>,
    /// Change headers of the response.
    #[serde(default)]
    pub response_header_modifier: Option<Box<HeaderModifier>>,
    /// Send a copy elsewhere.
    #[serde(default)]
    pub request_mirror: Option<Box<RequestMirror>>,
    /// Answer with a redirection.
    #[serde(default)]
    pub request_redirect: Option<Box<RequestRedirect>>,
    /// Forward under another host or path.
    #[serde(default)]
    pub url_rewrite: Option<Box<UrlRewrite>>,
    /// Answer and mark cross-origin requests.
    #[serde(default)]
    pub cors: Option<Box<Cors>>,
    /// Ask somebody whether the request may pass.
    #[serde(default)]
    pub external_auth: Option<Box<ExternalAuth>>,
    /// A filter of the implementation.
    #[serde(default)]
    pub extension_ref: Option<Box<LocalObjectRef>>,
    /// Answer with a fixed response: a form of files, which the API writes as an `extensionRef` to a DirectResponse.
    #[serde(default)]
    pub direct_response: Option<Box<DirectResponseSpec>>,
}

impl HttpFilter {
    /// What the filter does.
    pub fn payload(&self) -> HttpFilterPayload<'_> {
        let payload = match &self.filter_type {
            HttpFilterType::RequestHeaderModifier => {
                self.request_header_modifier.as_deref().map(HttpFilterPayload::RequestHeaderModifier)
            }
            HttpFilterType::ResponseHeaderModifier => {
                self.response_header_modifier.as_deref().map(HttpFilterPayload::ResponseHeaderModifier)
            }
            HttpFilterType::RequestMirror => self.request_mirror.as_deref().map(HttpFilterPayload::RequestMirror),
            HttpFilterType::RequestRedirect => self.request_redirect.as_deref().map(HttpFilterPayload::RequestRedirect),
            HttpFilterType::UrlRewrite => self.url_rewrite.as_deref().map(HttpFilterPayload::UrlRewrite),
            HttpFilterType::Cors => self.cors.as_deref().map(HttpFilterPayload::Cors),
            HttpFilterType::ExternalAuth => self.external_auth.as_deref().map(HttpFilterPayload::ExternalAuth),
            HttpFilterType::ExtensionRef => self.extension_ref.as_deref().map(HttpFilterPayload::ExtensionRef),
            HttpFilterType::DirectResponse => self.direct_response.as_deref().map(HttpFilterPayload::DirectResponse),
            HttpFilterType::Other(_) => None,
        };
        payload.unwrap_or(HttpFilterPayload::Unknown(self.filter_type.as_str()))
    }
}

/// What must hold of all filters of a list together, and of each.
pub(super) fn check_all(filters: &[HttpFilter], at: &Place<'_>, report: &mut Report) {
    report.count(at, filters.len(), 0, 16);
    let once = filters.iter().enumerate().filter(|(_, filter)| match filter.filter_type {
        HttpFilterType::RequestHeaderModifier
        | HttpFilterType::ResponseHeaderModifier
        | HttpFilterType::RequestRedirect
        | HttpFilterType::UrlRewrite
        | HttpFilterType::Cors => true,
        HttpFilterType::RequestMirror
        | HttpFilterType::ExternalAuth
        | HttpFilterType::ExtensionRef
        | HttpFilterType::DirectResponse
        | HttpFilterType::Other(_) => false,
    });
    report.unique_among(at, once.map(|(index, filter)| (index, &filter.filter_type)), "a type");
    let has = |wanted: HttpFilterType| filters.iter().any(|filter| filter.filter_type == wanted);
    if has(HttpFilterType::RequestRedirect) && has(HttpFilterType::UrlRewrite) {
        report.refuse(at, "expected either a RequestRedirect or a URLRewrite, found both");
    }
    for (index, filter) in filters.iter().enumerate() {
        filter.check(&at.entry(index), report);
    }
}

impl HttpFilter {
    fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self {
            filter_type,
            request_header_modifier,
            response_header_modifier,
            request_mirror,
            request_redirect,
            url_rewrite,
            cors,
            external_auth,
            extension_ref,
            direct_response,
        } = self;
        let payloads = [
            ("RequestHeaderModifier", "requestHeaderModifier", request_header_modifier.is_some()),
            ("ResponseHeaderModifier", "responseHeaderModifier", response_header_modifier.is_some()),
            ("RequestMirror", "requestMirror", request_mirror.is_some()),
            ("RequestRedirect", "requestRedirect", request_redirect.is_some()),
            ("URLRewrite", "urlRewrite", url_rewrite.is_some()),
            ("CORS", "cors", cors.is_some()),
            ("ExternalAuth", "externalAuth", external_auth.is_some()),
            ("ExtensionRef", "extensionRef", extension_ref.is_some()),
            ("DirectResponse", "directResponse", direct_response.is_some()),
        ];
        report.union(at, filter_type.as_str(), &payloads);
        let at = |field| at.field(field);
        request_header_modifier.iter().for_each(|payload| payload.check(&at("requestHeaderModifier"), report));
        response_header_modifier.iter().for_each(|payload| payload.check(&at("responseHeaderModifier"), report));
        request_mirror.iter().for_each(|payload| payload.check(&at("requestMirror"), report));
        request_redirect.iter().for_each(|payload| payload.check(&at("requestRedirect"), report));
        url_rewrite.iter().for_each(|payload| payload.check(&at("urlRewrite"), report));
        cors.iter().for_each(|payload| payload.check(&at("cors"), report));
        external_auth.iter().for_each(|payload| payload.check(&at("externalAuth"), report));
        extension_ref.iter().for_each(|payload| payload.check(&at("extensionRef"), report));
        direct_response.iter().for_each(|payload| payload.check(&at("directResponse"), report));
    }
}

/// What a filter of an HTTPRoute does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpFilterPayload<'a> {
    /// Change headers of the request.
    RequestHeaderModifier(&'a HeaderModifier),
    /// Change headers of the response.
    ResponseHeaderModifier(&'a HeaderModifier),
    /// Send a copy elsewhere.
    RequestMirror(&'a RequestMirror),
    /// Answer with a redirection.
    RequestRedirect(&'a RequestRedirect),
    /// Forward under another host or path.
    UrlRewrite(&'a UrlRewrite),
    /// Answer and mark cross-origin requests.
    Cors(&'a Cors),
    /// Ask somebody whether the request may pass.
    ExternalAuth(&'a ExternalAuth),
    /// A filter of the implementation.
    ExtensionRef(&'a LocalObjectRef),
    /// Answer with a fixed response.
    DirectResponse(&'a DirectResponseSpec),
    /// A type the API does not name; or one it names, without its payload, which `validate` refuses.
    Unknown(&'a str),
}

open_enum! {
    /// The type of an HTTPRoute's filter.
    HttpFilterType {
        /// Change headers of the request.
        RequestHeaderModifier = "RequestHeaderModifier",
        /// Change headers of the response.
        ResponseHeaderModifier = "ResponseHeaderModifier",
        /// Send a copy elsewhere.
        RequestMirror = "RequestMirror",
        /// Answer with a redirection.
        RequestRedirect = "RequestRedirect",
        /// Forward under another host or path.
        UrlRewrite = "URLRewrite",
        /// Answer and mark cross-origin requests.
        Cors = "CORS",
        /// Ask somebody whether the request may pass.
        ExternalAuth = "ExternalAuth",
        /// A filter of the implementation.
        ExtensionRef = "ExtensionRef",
        /// Answer with a fixed response; in files only.
        DirectResponse = "DirectResponse",
    }
}

/// Send a copy of the request elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestMirror {
    /// Where to.
    pub backend_ref: BackendObjectRef,
    /// Of how many requests, in percent; of all when neither this nor `fraction` is there.
    #[serde(default, deserialize_with = "number::optional_percent")]
    pub percent: Option<u8>,
    /// Of how many requests, as a fraction.
    #[serde(default)]
    pub fraction: Option<Fraction>,
}

impl RequestMirror {
    pub(super) fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self { backend_ref, percent, fraction } = self;
        backend_ref.check(&at.field("backendRef"), report);
        if percent.is_some() && fraction.is_some() {
            report.refuse(&at.field("fraction"), "expected either percent or fraction, found both");
        }
        if let Some(fraction) = fraction {
            fraction.check(&at.field("fraction"), report);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::fixture::{assert_accepted, assert_refused, many, value};

    const V1: &str = "gateway.networking.k8s.io/v1";

    fn filters(list: &str) -> String {
        format!("{{rules: [{{filters: {list}}}]}}")
    }

    fn at_backend(list: &str) -> String {
        format!("{{rules: [{{backendRefs: [{{name: b, port: 1, filters: {list}}}]}}]}}")
    }

    const PAYLOADS: [(&str, &str, &str); 9] = [
        ("RequestHeaderModifier", "requestHeaderModifier", "{}"),
        ("ResponseHeaderModifier", "responseHeaderModifier", "{}"),
        ("RequestMirror", "requestMirror", "{backendRef: {name: b, port: 1}}"),
        ("RequestRedirect", "requestRedirect", "{}"),
        ("URLRewrite", "urlRewrite", "{}"),
        ("CORS", "cors", "{}"),
        ("ExternalAuth", "externalAuth", "{protocol: GRPC, grpc: {}, backendRef: {name: b, port: 1}}"),
        ("ExtensionRef", "extensionRef", "{group: a, kind: K, name: nm}"),
        ("DirectResponse", "directResponse", "{}"),
    ];

    #[test]
    fn what_is_left_out_is_filled_in() {
        let mirror: RequestMirror =
            serde_json::from_value(value("{backendRef: {name: b, port: 1}, fraction: {numerator: 1}}")).unwrap();
        assert!(mirror.backend_ref.is_service());
        assert_eq!(mirror.fraction.map(|fraction| fraction.denominator), Some(100));
    }

    #[test]
    fn the_payload_is_that_of_the_type() {
        for (filter_type, field, payload) in PAYLOADS {
            let path = format!("spec.rules[0].filters[0].{field}");
            let foreign = format!("[{{type: Later, {field}: {payload}}}]");
            assert_refused(
                V1,
                "HTTPRoute",
                &[
                    (filters(&format!("[{{type: {filter_type}}}]")), &path, &format!("as the type is {filter_type}, found none")),
                    (filters(&foreign), &path, "expected nothing, as the type is \"Later\""),
                ],
            );
            assert_accepted(
                V1,
                "HTTPRoute",
                &[
                    filters(&format!("[{{type: {filter_type}, {field}: {payload}}}]")),
                    at_backend(&format!("[{{type: {filter_type}, {field}: {payload}}}]")),
                ],
            );
            let filter: HttpFilter =
                serde_json::from_value(value(&format!("{{type: {filter_type}, {field}: {payload}}}"))).unwrap();
            assert!(!matches!(filter.payload(), HttpFilterPayload::Unknown(_)), "{filter_type}");
        }
        assert_accepted(V1, "HTTPRoute", &[filters("[{type: Later}]")]);
        assert_refused(V1, "HTTPRoute", &[(filters("[{}]"), "spec.rules[0].filters[0].type", "expected a value, found none")]);
    }

    #[test]
    fn some_filters_stand_once_in_a_list() {
        for (filter_type, field, payload) in PAYLOADS {
            let twice = many(2, &format!("{{type: {filter_type}, {field}: {payload}}}"));
            let is_once = !["RequestMirror", "ExternalAuth", "ExtensionRef", "DirectResponse"].contains(&filter_type);
            if is_once {
                assert_refused(
                    V1,
                    "HTTPRoute",
                    &[
                        (filters(&twice), "spec.rules[0].filters[1]", "a type of its own"),
                        (at_backend(&twice), "spec.rules[0].backendRefs[0].filters[1]", "a type of its own"),
                    ],
                );
            } else {
                assert_accepted(V1, "HTTPRoute", &[filters(&twice)]);
            }
        }
        let both = "[{type: RequestRedirect, requestRedirect: {}}, {type: URLRewrite, urlRewrite: {}}]";
        let mirrors = many(17, "{type: RequestMirror, requestMirror: {backendRef: {name: b, port: 1}}}");
        assert_refused(
            V1,
            "HTTPRoute",
            &[
                (filters(both), "spec.rules[0].filters", "either a RequestRedirect or a URLRewrite"),
                (at_backend(both), "spec.rules[0].backendRefs[0].filters", "either a RequestRedirect or a URLRewrite"),
                (filters(&mirrors), "spec.rules[0].filters", "at most 16 entries, found 17"),
                (at_backend(&mirrors), "spec.rules[0].backendRefs[0].filters", "at most 16 entries, found 17"),
            ],
        );
    }

    #[test]
    fn a_mirror_states_one_share() {
        let mirror = |fields: &str| {
            filters(&format!("[{{type: RequestMirror, requestMirror: {{backendRef: {{name: b, port: 1}}, {fields}}}}}]"))
        };
        let at = "spec.rules[0].filters[0].requestMirror";
        assert_refused(
            V1,
            "HTTPRoute",
            &[
                (mirror("percent: 1, fraction: {numerator: 1}"), &format!("{at}.fraction"), "either percent or fraction"),
                (mirror("percent: 101"), &format!("{at}.percent"), "from 0 to 100"),
                (
                    mirror("fraction: {numerator: 101}"),
                    &format!("{at}.fraction.numerator"),
                    "at most the denominator 100, found 101",
                ),
                (mirror("fraction: {numerator: 0, denominator: 0}"), &format!("{at}.fraction.denominator"), "from 1"),
                (mirror("fraction: {numerator: -1}"), &format!("{at}.fraction.numerator"), "from 0"),
                (mirror("fraction: {}"), &format!("{at}.fraction.numerator"), "found none"),
            ],
        );
        assert_accepted(V1, "HTTPRoute", &[mirror("percent: 0"), mirror("fraction: {numerator: 3, denominator: 3}")]);
    }

    #[test]
    fn an_inline_response_is_final_and_small() {
        let inline = filters("[{type: DirectResponse, directResponse: {statusCode: 100}}]");
        assert_refused(
            V1,
            "HTTPRoute",
            &[(inline, "spec.rules[0].filters[0].directResponse.statusCode", "from 200 to 599, found integer `100`")],
        );
    }
}
