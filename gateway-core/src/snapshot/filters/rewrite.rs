//! Rewrites and redirects: another host, path, scheme or port for a request (`HTTPURLRewriteFilter`, `HTTPRequestRedirectFilter`).
//!
//! In: what the filters state, checked. Out: the new path of a request, given how much of the old one matched.

use http::{HeaderValue, StatusCode};

/// A `URLRewrite`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// Replaces Host or `:authority`.
    pub hostname: Option<HeaderValue>,
    /// Replaces the path or its matched prefix.
    pub path: Option<PathRewrite>,
}

/// What replaces a path (`HTTPPathModifier`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathRewrite {
    /// `ReplaceFullPath`.
    Full(Box<str>),
    /// `ReplacePrefixMatch`, without trailing slashes.
    Prefix(Box<str>),
}

impl PathRewrite {
    /// The new path, and how long its matched prefix is now. `prefix` is the length of the part of `path` that matched,
    /// without trailing slashes; `path` is in normal form.
    pub fn apply(&self, path: &str, prefix: usize) -> (String, usize) {
        match self {
            Self::Full(full) => (full.to_string(), full.len()),
            Self::Prefix(replacement) => {
                let rest = path.get(prefix..).unwrap_or("");
                let mut new = String::with_capacity(replacement.len() + rest.len() + 1);
                new.push_str(replacement);
                new.push_str(rest);
                if new.is_empty() {
                    new.push('/');
                }
                (new, replacement.len())
            }
        }
    }
}

/// A `RequestRedirect`. Fields that are `None` come from the request and the listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308.
    pub status: StatusCode,
    /// `http` or `https`.
    pub scheme: Option<Box<str>>,
    /// The host of the Location.
    pub hostname: Option<Box<str>>,
    /// The port of the Location.
    pub port: Option<u16>,
    /// The path of the Location.
    pub path: Option<PathRewrite>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_replaced_as_the_table_of_http_path_modifier_says() {
        let rows = [
            ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
            ("/foo/bar", "/foo", "/xyz/", "/xyz/bar"),
            ("/foo/bar", "/foo/", "/xyz", "/xyz/bar"),
            ("/foo/bar", "/foo/", "/xyz/", "/xyz/bar"),
            ("/foo", "/foo", "/xyz", "/xyz"),
            ("/foo/", "/foo", "/xyz", "/xyz/"),
            ("/foo/bar", "/foo", "", "/bar"),
            ("/foo/bar", "/foo", "/", "/bar"),
            ("/foo/", "/foo", "", "/"),
            ("/foo/", "/foo", "/", "/"),
            ("/foo", "/foo", "", "/"),
            ("/foo", "/foo", "/", "/"),
            ("/foo/bar", "/", "/xyz", "/xyz/foo/bar"),
        ];
        for (path, prefix, replacement, expected) in rows {
            let rewrite = PathRewrite::Prefix(replacement.trim_end_matches('/').into());
            let (new, _) = rewrite.apply(path, prefix.trim_end_matches('/').len());
            assert_eq!(new, expected, "{path} with {prefix} replaced by {replacement:?}");
        }
    }
}
