//! What an HTTPRoute asks of a request: path, method, headers, query. Within one match all criteria must hold.
//!
//! In: an entry of `matches` as written. Out: the same with path and types filled in. Regular expressions are kept as text and
//! not looked at.

use serde::Deserialize;

use super::open::open_enum;
use super::place::Place;
use super::report::Report;
use super::syntax::{self, Syntax};

/// One match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpMatch {
    /// The path; the prefix `/` unless stated.
    #[serde(default)]
    pub path: PathMatch,
    /// The headers, all of them.
    #[serde(default)]
    pub headers: Vec<HeaderMatch>,
    /// The query parameters, all of them.
    #[serde(default)]
    pub query_params: Vec<QueryParamMatch>,
    /// The method; any when absent.
    #[serde(default)]
    pub method: Option<HttpMethod>,
}

impl HttpMatch {
    pub(super) fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self { path, headers, query_params, method: _ } = self;
        let value = at.field("path");
        let value = value.field("value");
        match path.match_type {
            PathMatchType::Exact | PathMatchType::PathPrefix => report.text(&value, &path.value, syntax::PATH),
            PathMatchType::RegularExpression | PathMatchType::Other(_) => report.short(&value, &path.value, 1024),
        }
        check_headers(headers, Some(syntax::HEADER_VALUE), &at.field("headers"), report);
        let at = at.field("queryParams");
        report.count(&at, query_params.len(), 0, 16);
        report.unique(&at, query_params.iter().map(|param| &param.name), "a name");
        for (index, QueryParamMatch { match_type: _, name, value }) in query_params.iter().enumerate() {
            report.text(&at.entry(index).field("name"), name, syntax::HEADER_NAME);
            report.text(&at.entry(index).field("value"), value, syntax::QUERY_VALUE);
        }
    }
}

/// The headers of a match, of HTTP or gRPC. Where values have no syntax, only their length is bounded.
pub(super) fn check_headers(headers: &[HeaderMatch], values: Option<Syntax>, at: &Place<'_>, report: &mut Report) {
    report.count(at, headers.len(), 0, 16);
    report.unique(at, headers.iter().map(|header| &header.name), "a name");
    for (index, HeaderMatch { match_type: _, name, value }) in headers.iter().enumerate() {
        report.text(&at.entry(index).field("name"), name, syntax::HEADER_NAME);
        match values {
            Some(syntax) => report.text(&at.entry(index).field("value"), value, syntax),
            None => report.bounded(&at.entry(index).field("value"), value, 1, 4096),
        }
    }
}

/// What is asked of the path.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PathMatch {
    /// How it is compared; `PathPrefix` unless stated.
    #[serde(rename = "type", default = "path_prefix")]
    pub match_type: PathMatchType,
    /// What it is compared with; `/` unless stated.
    #[serde(default = "root")]
    pub value: String,
}

impl Default for PathMatch {
    fn default() -> Self {
        Self { match_type: path_prefix(), value: root() }
    }
}

fn path_prefix() -> PathMatchType {
    PathMatchType::PathPrefix
}

fn root() -> String {
    "/".to_owned()
}

open_enum! {
    /// How a path is compared.
    PathMatchType {
        /// Byte for byte.
        Exact = "Exact",
        /// As a prefix, by whole segments.
        PathPrefix = "PathPrefix",
        /// As a regular expression.
        RegularExpression = "RegularExpression",
    }
}

/// What is asked of a header, of HTTP or gRPC.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeaderMatch {
    /// How the value is compared; `Exact` unless stated.
    #[serde(rename = "type", default)]
    pub match_type: MatchType,
    /// The name, in any case.
    pub name: String,
    /// What the value is compared with.
    pub value: String,
}

/// What is asked of a query parameter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueryParamMatch {
    /// How the value is compared; `Exact` unless stated.
    #[serde(rename = "type", default)]
    pub match_type: MatchType,
    /// The name, case and all.
    pub name: String,
    /// What the value is compared with.
    pub value: String,
}

open_enum! {
    /// How a header, a query parameter or a gRPC method is compared.
    #[derive(Default)]
    MatchType {
        /// Byte for byte.
        #[default]
        Exact = "Exact",
        /// As a regular expression.
        RegularExpression = "RegularExpression",
    }
}

open_enum! {
    /// A method of HTTP.
    HttpMethod {
        /// GET.
        Get = "GET",
        /// HEAD.
        Head = "HEAD",
        /// POST.
        Post = "POST",
        /// PUT.
        Put = "PUT",
        /// DELETE.
        Delete = "DELETE",
        /// CONNECT.
        Connect = "CONNECT",
        /// OPTIONS.
        Options = "OPTIONS",
        /// TRACE.
        Trace = "TRACE",
        /// PATCH.
        Patch = "PATCH",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::fixture::{assert_accepted, assert_refused, many, value};

    const V1: &str = "gateway.networking.k8s.io/v1";

    fn matching(fields: &str) -> String {
        format!("{{rules: [{{matches: [{{{fields}}}]}}]}}")
    }

    #[test]
    fn what_is_left_out_is_filled_in() {
        for (written, match_type, path) in [
            ("{}", PathMatchType::PathPrefix, "/"),
            ("{path: {}}", PathMatchType::PathPrefix, "/"),
            ("{path: {value: /a}}", PathMatchType::PathPrefix, "/a"),
            ("{path: {type: Exact}}", PathMatchType::Exact, "/"),
        ] {
            let read: HttpMatch = serde_json::from_value(value(written)).unwrap();
            assert_eq!(read.path, PathMatch { match_type, value: path.to_owned() }, "{written}");
        }
        let read: HttpMatch =
            serde_json::from_value(value("{headers: [{name: a, value: b}], queryParams: [{name: a, value: b}], method: BREW}"))
                .unwrap();
        assert_eq!((&read.headers[0].match_type, &read.query_params[0].match_type), (&MatchType::Exact, &MatchType::Exact));
        assert_eq!(read.method, Some(HttpMethod::Other("BREW".to_owned())));
    }

    #[test]
    fn exact_and_prefix_paths_are_absolute_and_plain() {
        for path in [
            "", "a", "//", "/a//b", "/a/./b", "/a/../b", "/a%2fb", "/a%2Fb", "/a#b", "/a/.", "/a/..", "/a b", "/a%2", "/a%zz",
            "/ä", "/a?b", "/a|b",
        ] {
            for match_type in ["Exact", "PathPrefix"] {
                let spec = matching(&format!("path: {{type: {match_type}, value: '{path}'}}"));
                assert_refused(V1, "HTTPRoute", &[(spec, "spec.rules[0].matches[0].path.value", "an absolute path")]);
            }
        }
        let long = format!("/{}", "a".repeat(1024));
        for match_type in ["Exact", "PathPrefix", "RegularExpression"] {
            let spec = matching(&format!("path: {{type: {match_type}, value: {long}}}"));
            assert_refused(V1, "HTTPRoute", &[(spec, "spec.rules[0].matches[0].path.value", "at most 1024")]);
        }
        let accepted = ["/", "/a/", "/a.b/..c", "/a/...", "/%41%7e", "/-._~!$&''()*+,;=:@", "/a%2e"]
            .map(|path| matching(&format!("path: {{value: '{path}'}}")));
        assert_accepted(V1, "HTTPRoute", &accepted);
    }

    #[test]
    fn regular_expressions_and_unknown_types_are_not_judged() {
        assert_accepted(
            V1,
            "HTTPRoute",
            &[
                matching("path: {type: RegularExpression, value: '[('}"),
                matching("path: {type: Glob, value: '**'}"),
                matching("headers: [{type: RegularExpression, name: a, value: '[('}]"),
                matching("headers: [{type: Later, name: a, value: b}]"),
                matching("queryParams: [{type: RegularExpression, name: a, value: '[('}]"),
                matching("method: BREW"),
            ],
        );
    }

    #[test]
    fn headers_and_parameters_are_few_and_distinct() {
        let long = "v".repeat(4097);
        for (list, at) in
            [("headers", "spec.rules[0].matches[0].headers"), ("queryParams", "spec.rules[0].matches[0].queryParams")]
        {
            let spec = |entries: &str| matching(&format!("{list}: {entries}"));
            assert_refused(
                V1,
                "HTTPRoute",
                &[
                    (spec(&many(17, "{name: h#, value: v}")), at, "at most 16 entries, found 17"),
                    (spec("[{name: a, value: v}, {name: a, value: w}]"), &format!("{at}[1]"), "a name of its own"),
                    (spec("[{name: 'a b', value: v}]"), &format!("{at}[0].name"), "a header name"),
                    (spec("[{name: '', value: v}]"), &format!("{at}[0].name"), "a header name"),
                    (spec(&format!("[{{name: {}, value: v}}]", "n".repeat(257))), &format!("{at}[0].name"), "1 to 256"),
                    (spec("[{name: a, value: ''}]"), &format!("{at}[0].value"), "expected 1 to"),
                    (spec(&format!("[{{name: a, value: {long}}}]")), &format!("{at}[0].value"), "expected 1 to"),
                    (spec("[{name: a}]"), &format!("{at}[0].value"), "expected a value, found none"),
                ],
            );
            assert_accepted(V1, "HTTPRoute", &[spec("[{name: Foo, value: v}, {name: foo, value: w}]")]);
        }
        assert_refused(
            V1,
            "HTTPRoute",
            &[
                (matching("headers: [{name: ':path', value: v}]"), "spec.rules[0].matches[0].headers[0].name", "token"),
                (matching("headers: [{name: a, value: ' v'}]"), "spec.rules[0].matches[0].headers[0].value", "printable"),
                (matching("headers: [{name: a, value: 'v  w'}]"), "spec.rules[0].matches[0].headers[0].value", "single spaces"),
                (matching("headers: [{name: a, value: ü}]"), "spec.rules[0].matches[0].headers[0].value", "printable"),
                (
                    matching("headers: [{name: a, value: true}]"),
                    "spec.rules[0].matches[0].headers[0].value",
                    "found boolean `true`",
                ),
            ],
        );
        assert_accepted(V1, "HTTPRoute", &[matching("headers: [{name: a, value: \"v w\\tx\"}]")]);
    }
}
