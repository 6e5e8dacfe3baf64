//! Edits of heads: header modifiers, and the target and host of a request.
//!
//! In: edits as data. Out: Pingora's heads, changed by their own methods only, so that HTTP/1 keeps the case in which names were
//! written. Fields that belong to one connection, or that frame a message, are not for filters to set: core refuses such edits, and
//! here they are skipped.

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderName, HeaderValue, Uri, header};
use pingora_error::{Error, ErrorType, OrErr, Result};
use pingora_http::{RequestHeader, ResponseHeader};

use gateway_core::snapshot::filters::HeaderEdits;

use crate::auth::{Change, Changes, How};

/// Performs a `RequestHeaderModifier`.
pub(super) fn request(head: &mut RequestHeader, edits: &HeaderEdits) -> Result<()> {
    for edit in &edits.set {
        if edit.name == header::HOST {
            set_host(head, &edit.value)?;
        } else if may_edit(&edit.name) {
            head.insert_header(edit.written.clone(), edit.value.clone())?;
        }
    }
    for edit in edits.add.iter().filter(|edit| edit.name != header::HOST && may_edit(&edit.name)) {
        head.append_header(edit.written.clone(), edit.value.clone())?;
    }
    for name in edits.remove.iter().filter(|name| **name != header::HOST && may_edit(name)) {
        head.remove_header(name);
    }
    Ok(())
}

/// Performs a `ResponseHeaderModifier`.
pub(super) fn response(head: &mut ResponseHeader, edits: &HeaderEdits) -> Result<()> {
    for edit in edits.set.iter().filter(|edit| may_edit(&edit.name)) {
        head.insert_header(edit.written.clone(), edit.value.clone())?;
    }
    for edit in edits.add.iter().filter(|edit| may_edit(&edit.name)) {
        head.append_header(edit.written.clone(), edit.value.clone())?;
    }
    for name in edits.remove.iter().filter(|name| may_edit(name)) {
        head.remove_header(name);
    }
    Ok(())
}

/// Performs what is asked of a request's fields by the one who let it pass.
pub(super) fn permitted(head: &mut RequestHeader, changes: &Changes) -> Result<()> {
    for Change { name, value, how } in &changes.request {
        match how {
            How::Set => head.insert_header(name, value.clone())?,
            How::Append => drop(head.append_header(name, value.clone())?),
            How::SetIfAbsent if !head.headers.contains_key(name) => head.insert_header(name, value.clone())?,
            How::SetIfPresent if head.headers.contains_key(name) => head.insert_header(name, value.clone())?,
            How::SetIfAbsent | How::SetIfPresent => {}
        }
    }
    for name in &changes.remove {
        head.remove_header(name);
    }
    Ok(())
}

/// Sets the path, in origin form; the query stays.
pub(super) fn set_path(head: &mut RequestHeader, path: &str) -> Result<()> {
    let mut target = String::with_capacity(path.len() + 1 + head.uri.query().map_or(0, str::len));
    target.push_str(path);
    if let Some(query) = head.uri.query() {
        target.push('?');
        target.push_str(query);
    }
    match head.uri.authority().cloned() {
        None => head.set_raw_path(target.as_bytes()),
        Some(authority) => {
            let target = PathAndQuery::from_maybe_shared(Bytes::from(target))
                .or_err(ErrorType::InvalidHTTPHeader, "a path that cannot be written")?;
            set_uri(head, authority, target)
        }
    }
}

/// Sets Host, and `:authority` where there is one.
pub(super) fn set_host(head: &mut RequestHeader, host: &HeaderValue) -> Result<()> {
    if head.uri.authority().is_some() {
        let authority =
            Authority::try_from(host.as_bytes()).or_err(ErrorType::InvalidHTTPHeader, "a host that cannot be an authority")?;
        let target = head.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        set_uri(head, authority, target)?;
        if !head.headers.contains_key(header::HOST) {
            return Ok(());
        }
    }
    head.insert_header("Host", host.clone())
}

/// Whom a request is for, as it says at some moment.
pub(super) struct Host {
    authority: Option<Authority>,
    field: Option<HeaderValue>,
}

impl Host {
    pub(super) fn of(head: &RequestHeader) -> Self {
        Self { authority: head.uri.authority().cloned(), field: head.headers.get(header::HOST).cloned() }
    }

    /// Lets the request say so again.
    pub(super) fn restore(self, head: &mut RequestHeader) -> Result<()> {
        if let Some(authority) = self.authority.filter(|authority| head.uri.authority() != Some(authority)) {
            let target = head.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
            set_uri(head, authority, target)?;
        }
        let fields = head.headers.get_all(header::HOST);
        if !fields.iter().eq(self.field.iter()) {
            head.remove_header(&header::HOST);
            if let Some(field) = self.field {
                head.insert_header("Host", field)?;
            }
        }
        Ok(())
    }
}

fn set_uri(head: &mut RequestHeader, authority: Authority, target: PathAndQuery) -> Result<()> {
    let mut parts = http::uri::Parts::default();
    parts.scheme = head.uri.scheme().cloned();
    parts.authority = Some(authority);
    parts.path_and_query = Some(target);
    let uri = Uri::from_parts(parts).map_err(|error| Error::because(ErrorType::InvalidHTTPHeader, "a bad target", error))?;
    head.set_uri(uri);
    Ok(())
}

/// Whether a field is for filters to change.
fn may_edit(name: &HeaderName) -> bool {
    match *name {
        header::CONNECTION
        | header::CONTENT_LENGTH
        | header::TE
        | header::TRAILER
        | header::TRANSFER_ENCODING
        | header::UPGRADE => false,
        _ => !matches!(name.as_str(), "keep-alive" | "proxy-connection" | "http2-settings"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_keeps_the_query_and_the_form_of_the_target() {
        let mut head = RequestHeader::build("GET", b"/old?q=1", None).unwrap();
        set_path(&mut head, "/new").unwrap();
        assert_eq!(head.raw_path(), b"/new?q=1");
        head.set_uri("http://a.example/old?q=1".parse().unwrap());
        set_path(&mut head, "/new").unwrap();
        assert_eq!(head.uri, "http://a.example/new?q=1");
        let mut absolute = RequestHeader::build("GET", b"http://a.example/x?y", None).unwrap();
        set_path(&mut absolute, "/x").unwrap();
        assert_eq!(absolute.raw_path(), b"/x?y");
    }

    #[test]
    fn a_host_is_set_where_the_request_has_it() {
        let host = HeaderValue::from_static("b.example:8080");
        let mut h1 = RequestHeader::build("GET", b"/", None).unwrap();
        h1.insert_header("Host", "a.example").unwrap();
        set_host(&mut h1, &host).unwrap();
        assert_eq!(h1.headers["host"], "b.example:8080");
        let mut h2 = RequestHeader::build("GET", b"/", None).unwrap();
        h2.set_uri("http://a.example/x".parse().unwrap());
        set_host(&mut h2, &host).unwrap();
        assert_eq!(h2.uri, "http://b.example:8080/x");
        assert!(h2.headers.is_empty());
    }
}
