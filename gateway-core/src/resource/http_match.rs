//! What an HTTPRoute asks of a request: path, method, headers, query. Within one match all criteria must hold.
//!
//! In: an entry of `matches` as written. Out: the same with path and types filled in. Regular expressions are kept as text and not looked at.

use serde::Deserialize;

use super::open::open_enum;

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
