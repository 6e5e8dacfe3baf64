//! Redirections and rewrites of an HTTPRoute: another scheme, host, port or path for a request, told to the client or kept from
//! it.
//!
//! In: the payloads as written. Out: the same with the status filled in, and by [`PathModifier::replacement`] the one change its
//! type means.

use serde::Deserialize;

use super::place::Place;
use super::report::Report;
use super::{number, open::open_enum, syntax};

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

impl RequestRedirect {
    pub(super) fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self { scheme: _, hostname, path, port: _, status_code: _ } = self;
        report.optional_text(&at.field("hostname"), hostname.as_deref(), syntax::PRECISE_HOSTNAME);
        if let Some(path) = path {
            path.check(&at.field("path"), report);
        }
    }
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

impl UrlRewrite {
    pub(super) fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self { hostname, path } = self;
        report.optional_text(&at.field("hostname"), hostname.as_deref(), syntax::PRECISE_HOSTNAME);
        if let Some(path) = path {
            path.check(&at.field("path"), report);
        }
    }
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

impl PathModifier {
    fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self { modifier_type, replace_full_path, replace_prefix_match } = self;
        let values = [
            ("ReplaceFullPath", "replaceFullPath", replace_full_path),
            ("ReplacePrefixMatch", "replacePrefixMatch", replace_prefix_match),
        ];
        for (means, field, value) in values {
            match (means == modifier_type.as_str(), value) {
                (true, None) => report.refuse(&at.field(field), format!("expected a string, as the type is {means}, found none")),
                (false, Some(_)) => {
                    report.refuse(&at.field(field), format!("expected nothing, as the type is {modifier_type}, found a string"));
                }
                (_, Some(value)) => report.short(&at.field(field), value, 1024),
                (false, None) => {}
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::fixture::{assert_accepted, assert_refused, value};

    const V1: &str = "gateway.networking.k8s.io/v1";

    fn filters(list: &str) -> String {
        format!("{{rules: [{{filters: {list}}}]}}")
    }

    #[test]
    fn what_is_left_out_is_filled_in() {
        let redirect: RequestRedirect = serde_json::from_value(value("{}")).unwrap();
        assert_eq!((redirect.status_code, redirect.scheme), (302, None));
    }

    #[test]
    fn a_modifier_does_what_its_type_means() {
        for (written, replacement) in [
            ("{type: ReplaceFullPath, replaceFullPath: /a}", PathReplacement::Full("/a")),
            ("{type: ReplacePrefixMatch, replacePrefixMatch: ''}", PathReplacement::PrefixMatch("")),
            ("{type: Later}", PathReplacement::Unknown("Later")),
        ] {
            let modifier: PathModifier = serde_json::from_value(value(written)).unwrap();
            assert_eq!(modifier.replacement(), replacement, "{written}");
        }
    }

    #[test]
    fn a_redirect_leads_somewhere() {
        let redirect = |fields: &str| filters(&format!("[{{type: RequestRedirect, requestRedirect: {{{fields}}}}}]"));
        let at = "spec.rules[0].filters[0].requestRedirect";
        assert_refused(
            V1,
            "HTTPRoute",
            &[
                (redirect("hostname: '*.a.b'"), &format!("{at}.hostname"), "without wildcard"),
                (redirect("port: 0"), &format!("{at}.port"), "from 1 to 65535"),
                (redirect("statusCode: 999"), &format!("{at}.statusCode"), "a status code"),
                (
                    redirect("path: {type: ReplaceFullPath}"),
                    &format!("{at}.path.replaceFullPath"),
                    "as the type is ReplaceFullPath",
                ),
                (
                    redirect("path: {type: ReplacePrefixMatch}"),
                    &format!("{at}.path.replacePrefixMatch"),
                    "as the type is ReplacePrefixMatch",
                ),
                (
                    redirect("path: {type: ReplaceFullPath, replaceFullPath: /, replacePrefixMatch: /}"),
                    &format!("{at}.path.replacePrefixMatch"),
                    "expected nothing, as the type is ReplaceFullPath",
                ),
                (
                    redirect(&format!("path: {{type: ReplaceFullPath, replaceFullPath: /{}}}", "a".repeat(1024))),
                    &format!("{at}.path.replaceFullPath"),
                    "at most 1024",
                ),
            ],
        );
        assert_accepted(
            V1,
            "HTTPRoute",
            &[
                redirect("scheme: gopher, statusCode: 304"),
                redirect("path: {type: Later}"),
                redirect("path: {type: ReplaceFullPath, replaceFullPath: ''}"),
            ],
        );
    }

    #[test]
    fn a_replaced_prefix_without_one_prefix_is_not_judged() {
        let rewrite = "{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}";
        assert_accepted(
            V1,
            "HTTPRoute",
            &[
                format!("{{rules: [{{matches: [{{path: {{type: Exact, value: /a}}}}], filters: [{rewrite}]}}]}}"),
                format!("{{rules: [{{matches: [{{}}, {{path: {{value: /a}}}}], filters: [{rewrite}]}}]}}"),
            ],
        );
    }

    #[test]
    fn a_rewrite_has_a_precise_host() {
        let rewrite = filters("[{type: URLRewrite, urlRewrite: {hostname: a_b}}]");
        assert_refused(V1, "HTTPRoute", &[(rewrite, "spec.rules[0].filters[0].urlRewrite.hostname", "a lower-case host name")]);
    }
}
