//! Filters as data: what to do to a request or a response, worked out when the configuration was read.
//!
//! In: `HTTPRouteFilter` as the compiler translated it. Out: edits, rewrites and answers which the data plane performs as they
//! stand. Nothing here touches a connection.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, StatusCode};

use crate::name::ObjectId;

/// One filter to perform, in list order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// `RequestHeaderModifier`.
    EditRequest(Arc<HeaderEdits>),
    /// `ResponseHeaderModifier`: applies to the backend's response.
    EditResponse(Arc<HeaderEdits>),
    /// `URLRewrite`.
    Rewrite(Arc<Rewrite>),
    /// `ExtensionRef` to a filter of the data plane's own.
    Extension(Extension),
}

/// Header edits; performed as set, then add, then remove.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderEdits {
    /// Replace all values.
    pub set: Box<[HeaderEdit]>,
    /// Append a value.
    pub add: Box<[HeaderEdit]>,
    /// Delete all values.
    pub remove: Box<[HeaderName]>,
}

/// A header name and value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderEdit {
    /// The name.
    pub name: HeaderName,
    /// The name in the case the manifest wrote, for HTTP/1.
    pub written: bytes::Bytes,
    /// The value.
    pub value: HeaderValue,
}

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

/// A fixed response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectResponse {
    /// The status code.
    pub status: StatusCode,
    /// `Content-Type`, where there is a body.
    pub content_type: HeaderValue,
    /// The body, possibly empty.
    pub body: bytes::Bytes,
}

/// An extension filter: the object that configures it, and what its builder made of it. Equal when both are the same.
#[derive(Clone)]
pub struct Extension {
    /// The object.
    pub id: ObjectId,
    /// The builder's handle, opaque here.
    pub handle: Handle,
}

/// What a data plane made of an extension object.
pub type Handle = Arc<dyn Any + Send + Sync>;

impl PartialEq for Extension {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && std::ptr::addr_eq(Arc::as_ptr(&self.handle), Arc::as_ptr(&other.handle))
    }
}

impl Eq for Extension {}

impl fmt::Debug for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extension").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_replaced_as_the_table_of_http_path_modifier_says() {
        let rows = [
            ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
            ("/foo/bar", "/foo", "/xyz/", "/xyz/bar"),
            ("/foo", "/foo", "/xyz", "/xyz"),
            ("/foo/", "/foo", "/xyz", "/xyz/"),
            ("/foo/bar", "/foo", "", "/bar"),
            ("/foo/bar", "/foo", "/", "/bar"),
            ("/foo/", "/foo", "/", "/"),
            ("/foo", "/foo", "", "/"),
            ("/foo/bar", "/", "/xyz", "/xyz/foo/bar"),
        ];
        for (path, prefix, replacement, expected) in rows {
            let rewrite = PathRewrite::Prefix(replacement.trim_end_matches('/').into());
            let (new, _) = rewrite.apply(path, prefix.trim_end_matches('/').len());
            assert_eq!(new, expected, "{path} with {prefix} replaced by {replacement:?}");
        }
    }
}
