//! What a request head must not be, beyond what Pingora refuses itself.
//!
//! In: a parsed head. Out: a status to refuse it with, or a head without fields that concern only the client's connection. Messages
//! that another server could frame differently are refused, never repaired.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};
use pingora_error::{ErrorType, OrErr, Result};
use pingora_http::RequestHeader;

use gateway_core::admit::Reason;

use crate::observe::Fault;

/// Why a head is refused.
pub(super) struct Flaw {
    pub(super) status: StatusCode,
    pub(super) fault: Fault,
    /// Whether the bytes that follow could be misread.
    pub(super) is_framing: bool,
}

/// Judges a head. `limit` is how many bytes its fields may have over HTTP/2; over HTTP/1 the connection counted them already.
pub(super) fn check(head: &RequestHeader, is_grpc: bool, limit: usize) -> Result<(), Flaw> {
    let framing = |status, what| Err(Flaw { status, fault: Fault::Framing(what), is_framing: true });
    if head.version == Version::HTTP_2 && size(head) > limit {
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return Err(Flaw { status, fault: Fault::HeadTooLarge, is_framing: false });
    }
    if !has_form(head) {
        let fault = Fault::Refused(Reason::BadTarget);
        return Err(Flaw { status: StatusCode::BAD_REQUEST, fault, is_framing: false });
    }
    let mut codings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next()
        && (!coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") || codings.next().is_some())
    {
        return framing(StatusCode::NOT_IMPLEMENTED, "a transfer coding other than chunked");
    }
    let mut lengths = head.headers.get_all(header::CONTENT_LENGTH).iter();
    if let Some(length) = lengths.next()
        && (lengths.next().is_some() || !length.as_bytes().iter().all(u8::is_ascii_digit))
    {
        return framing(StatusCode::BAD_REQUEST, "more than one Content-Length");
    }
    if let Some(expectation) = head.headers.get(header::EXPECT)
        && !expectation.as_bytes().eq_ignore_ascii_case(b"100-continue")
    {
        return Err(Flaw { status: StatusCode::EXPECTATION_FAILED, fault: Fault::Expectation, is_framing: false });
    }
    if is_grpc && head.version != Version::HTTP_2 {
        return Err(Flaw { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, fault: Fault::GrpcOverHttp1, is_framing: false });
    }
    Ok(())
}

/// The bytes of a head's target and fields, each field with the two separators that HTTP/1 would write.
fn size(head: &RequestHeader) -> usize {
    let fields = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    head.raw_path().len() + fields.sum::<usize>()
}

/// Whether the target is in origin, absolute or asterisk form (RFC 9112, section 3.2). Pingora makes a path of anything else.
fn has_form(head: &RequestHeader) -> bool {
    let target = head.raw_path();
    match target.first() {
        Some(b'/') => true,
        Some(b'*') => target == b"*",
        _ => target.windows(3).any(|part| part == b"://"),
    }
}

/// Removes what concerns only the client's connection, so that no later edit can be undone by a `Connection` field that names it. A
/// WebSocket upgrade stays one.
pub(super) fn strip(head: &mut RequestHeader) -> Result<(), Flaw> {
    let mut is_asked = false;
    if let Some(named) = named_by_connection(&head.headers)? {
        is_asked = named.contains(&header::UPGRADE);
        for name in named.iter().filter(|name| **name != header::UPGRADE) {
            head.remove_header(name);
        }
        head.remove_header(&header::CONNECTION);
    }
    let is_websocket = is_asked
        && head.version == Version::HTTP_11
        && head.headers.get(header::UPGRADE).is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"));
    if !is_websocket {
        head.remove_header(&header::UPGRADE);
    }
    for name in [KEEP_ALIVE, PROXY_CONNECTION] {
        head.remove_header(&name);
    }
    Ok(())
}

/// Puts a cookie together that HTTP/2 carried in pieces, each a field of its own: nobody else reads them so (RFC 9113, section 8.2.3).
pub(super) fn join_cookies(head: &mut RequestHeader) -> Result<()> {
    let pieces = head.headers.get_all(header::COOKIE);
    if head.version != Version::HTTP_2 || pieces.iter().nth(1).is_none() {
        return Ok(());
    }
    let whole = pieces.iter().map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b"; "[..]);
    let whole = HeaderValue::from_maybe_shared(Bytes::from(whole)).or_err(ErrorType::InvalidHTTPHeader, "a cookie in pieces")?;
    head.insert_header(header::COOKIE, whole)
}

/// The fields that `Connection` names, apart from one that Pingora needs to see itself.
fn named_by_connection(headers: &HeaderMap) -> Result<Option<Vec<HeaderName>>, Flaw> {
    if !headers.contains_key(header::CONNECTION) {
        return Ok(None);
    }
    let mut named = Vec::new();
    let tokens = headers.get_all(header::CONNECTION).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    for token in tokens.map(<[u8]>::trim_ascii).filter(|token| !token.is_empty()) {
        let Some(name) = HeaderName::from_bytes(token).ok().filter(may_be_named) else {
            return Err(Flaw {
                status: StatusCode::BAD_REQUEST,
                fault: Fault::Framing("Connection names a field that is not for the connection"),
                is_framing: true,
            });
        };
        if name != header::TE {
            named.push(name);
        }
    }
    Ok(Some(named))
}

/// Whether a field may concern only the connection. Whom the request is for, how it is framed and who sent it never do.
fn may_be_named(name: &HeaderName) -> bool {
    ![header::HOST, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::FORWARDED].contains(name)
        && !name.as_str().starts_with("x-forwarded-")
}

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

#[cfg(test)]
mod tests {
    use super::*;

    fn head(version: Version, fields: &[(&'static str, &'static str)]) -> RequestHeader {
        let mut head = RequestHeader::build("POST", b"/", None).unwrap();
        head.set_version(version);
        for (name, value) in fields {
            head.append_header(*name, *value).unwrap();
        }
        head
    }

    #[test]
    fn what_could_be_framed_differently_elsewhere_is_refused() {
        let status = |fields: &[(&'static str, &'static str)]| {
            check(&head(Version::HTTP_11, fields), false, 8192).map_err(|flaw| flaw.status)
        };
        assert_eq!(status(&[("Transfer-Encoding", "chunked")]), Ok(()));
        assert_eq!(status(&[("Transfer-Encoding", "\tCHUNKED ")]), Ok(()));
        assert_eq!(status(&[("Transfer-Encoding", "gzip, chunked")]), Err(StatusCode::NOT_IMPLEMENTED));
        assert_eq!(
            status(&[("Transfer-Encoding", "identity"), ("Transfer-Encoding", "chunked")]),
            Err(StatusCode::NOT_IMPLEMENTED)
        );
        assert_eq!(status(&[("Content-Length", "3")]), Ok(()));
        assert_eq!(status(&[("Content-Length", "3"), ("Content-Length", "3")]), Err(StatusCode::BAD_REQUEST));
        assert_eq!(status(&[("Content-Length", "3, 3")]), Err(StatusCode::BAD_REQUEST));
        assert_eq!(status(&[("Expect", "100-Continue")]), Ok(()));
        assert_eq!(status(&[("Expect", "foo")]), Err(StatusCode::EXPECTATION_FAILED));
    }

    #[test]
    fn a_connection_field_removes_what_it_names_and_nothing_that_is_not_its_business() {
        let mut plain = head(Version::HTTP_11, &[("Connection", "close, X-Mine"), ("X-Mine", "1"), ("Upgrade", "h2c")]);
        assert!(strip(&mut plain).is_ok());
        assert!(plain.headers.is_empty());
        let mut upgrade = head(Version::HTTP_11, &[("Connection", "Upgrade"), ("Upgrade", "WebSocket")]);
        assert!(strip(&mut upgrade).is_ok());
        assert_eq!(upgrade.headers.len(), 1);
        for name in ["Host", "X-Forwarded-Port", "content-length", "b a d"] {
            assert!(strip(&mut head(Version::HTTP_11, &[("Connection", name)])).is_err(), "{name}");
        }
    }
}
