//! Filters of an HTTPRoute: what is done to a request or its response, at a rule or at one of its backends.
//!
//! In: an entry of `filters` as written: a type and one field for each payload. Out: that, and by [`HttpFilter::payload`] the one payload the type means.

use serde::Deserialize;

use super::{
    BackendObjectRef, Cors, DirectResponseSpec, ExternalAuth, Fraction, HeaderModifier, LocalObjectRef, number, open::open_enum,
};

/// One filter of an HTTPRoute.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpFilter {
    /// Which of the payloads is meant.
    #[serde(rename = "type")]
    pub filter_type: HttpFilterType,
    /// Change headers of the request.
    #[serde(default)]
    pub request_header_modifier: Option<HeaderModifier>,
    /// Change headers of the response.
    #[serde(default)]
    pub response_header_modifier: Option<HeaderModifier>,
    /// Send a copy elsewhere.
    #[serde(default)]
    pub request_mirror: Option<RequestMirror>,
    /// Answer with a redirection.
    #[serde(default)]
    pub request_redirect: Option<RequestRedirect>,
    /// Forward under another host or path.
    #[serde(default)]
    pub url_rewrite: Option<UrlRewrite>,
    /// Answer and mark cross-origin requests.
    #[serde(default)]
    pub cors: Option<Cors>,
    /// Ask somebody whether the request may pass.
    #[serde(default)]
    pub external_auth: Option<ExternalAuth>,
    /// A filter of the implementation.
    #[serde(default)]
    pub extension_ref: Option<LocalObjectRef>,
    /// Answer with a fixed response: a form of files, which the API writes as an `extensionRef` to a DirectResponse.
    #[serde(default)]
    pub direct_response: Option<DirectResponseSpec>,
}

impl HttpFilter {
    /// What the filter does.
    pub fn payload(&self) -> HttpFilterPayload<'_> {
        let payload = match &self.filter_type {
            HttpFilterType::RequestHeaderModifier => {
                self.request_header_modifier.as_ref().map(HttpFilterPayload::RequestHeaderModifier)
            }
            HttpFilterType::ResponseHeaderModifier => {
                self.response_header_modifier.as_ref().map(HttpFilterPayload::ResponseHeaderModifier)
            }
            HttpFilterType::RequestMirror => self.request_mirror.as_ref().map(HttpFilterPayload::RequestMirror),
            HttpFilterType::RequestRedirect => self.request_redirect.as_ref().map(HttpFilterPayload::RequestRedirect),
            HttpFilterType::UrlRewrite => self.url_rewrite.as_ref().map(HttpFilterPayload::UrlRewrite),
            HttpFilterType::Cors => self.cors.as_ref().map(HttpFilterPayload::Cors),
            HttpFilterType::ExternalAuth => self.external_auth.as_ref().map(HttpFilterPayload::ExternalAuth),
            HttpFilterType::ExtensionRef => self.extension_ref.as_ref().map(HttpFilterPayload::ExtensionRef),
            HttpFilterType::DirectResponse => self.direct_response.as_ref().map(HttpFilterPayload::DirectResponse),
            HttpFilterType::Other(_) => None,
        };
        payload.unwrap_or(HttpFilterPayload::Unknown(self.filter_type.as_str()))
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

/// Answer with a redirection.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestRedirect {
    /// The scheme; the request's unless stated.
    #[serde(default)]
    pub scheme: Option<RedirectScheme>,
    /// The host; the request's unless stated.
    #[serde(default)]
    pub hostname: Option<String>,
    /// The path; the request's unless stated.
    #[serde(default)]
    pub path: Option<PathModifier>,
    /// The port; by scheme or listener unless stated.
    #[serde(default, deserialize_with = "number::optional_port")]
    pub port: Option<u16>,
    /// The status; 302 unless stated. What the API does not list becomes a condition.
    #[serde(default = "found", deserialize_with = "number::status_code")]
    pub status_code: u16,
}

fn found() -> u16 {
    302
}

open_enum! {
    /// The scheme a redirection leads to.
    RedirectScheme {
        /// In the clear.
        Http = "http",
        /// Over TLS.
        Https = "https",
    }
}

/// Forward under another host or path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UrlRewrite {
    /// The host; the request's unless stated.
    #[serde(default)]
    pub hostname: Option<String>,
    /// The path; the request's unless stated.
    #[serde(default)]
    pub path: Option<PathModifier>,
}

/// How a path is changed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PathModifier {
    /// Which of the two is meant.
    #[serde(rename = "type")]
    pub modifier_type: PathModifierType,
    /// What stands in place of the whole path.
    #[serde(default)]
    pub replace_full_path: Option<String>,
    /// What stands in place of the matched prefix.
    #[serde(default)]
    pub replace_prefix_match: Option<String>,
}

impl PathModifier {
    /// What the modifier does.
    pub fn replacement(&self) -> PathReplacement<'_> {
        let replacement = match &self.modifier_type {
            PathModifierType::ReplaceFullPath => self.replace_full_path.as_deref().map(PathReplacement::Full),
            PathModifierType::ReplacePrefixMatch => self.replace_prefix_match.as_deref().map(PathReplacement::PrefixMatch),
            PathModifierType::Other(_) => None,
        };
        replacement.unwrap_or(PathReplacement::Unknown(self.modifier_type.as_str()))
    }
}

/// What a path modifier does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathReplacement<'a> {
    /// The whole path becomes this.
    Full(&'a str),
    /// The matched prefix becomes this.
    PrefixMatch(&'a str),
    /// A type the API does not name; or one it names, without its value, which `validate` refuses.
    Unknown(&'a str),
}

open_enum! {
    /// The type of a path modifier.
    PathModifierType {
        /// The whole path.
        ReplaceFullPath = "ReplaceFullPath",
        /// The matched prefix.
        ReplacePrefixMatch = "ReplacePrefixMatch",
    }
}
