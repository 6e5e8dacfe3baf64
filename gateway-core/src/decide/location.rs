//! Where a redirect points (`HTTPRequestRedirectFilter`).
//!
//! In: the redirect, and the request it answers. Out: the value of `Location`: an absolute URI whose port is left out where it is
//! the scheme's own; a path alone where neither the request nor the redirect names a host. The query is kept.

use http::HeaderValue;
use http::request::Parts;

use crate::admit::Admitted;
use crate::admit::host::Host;
use crate::snapshot::filters::Redirect;
use crate::snapshot::matching::path::escape;

/// The `Location` of a redirect.
pub(super) fn of(admitted: &Admitted, head: &Parts, redirect: &Redirect, matched_prefix: usize) -> Option<HeaderValue> {
    let mut location = String::with_capacity(128);
    let host = redirect.hostname.as_deref().or_else(|| admitted.host.as_ref().map(Host::as_str));
    if let Some(host) = host {
        let scheme = redirect.scheme.as_deref().unwrap_or_else(|| scheme_of(admitted));
        push(&mut location, scheme);
        location.push_str("://");
        push(&mut location, host);
        if let Some(port) = port(admitted, redirect, scheme) {
            location.push(':');
            location.push_str(&port.to_string());
        }
    }
    let path = admitted.path(head);
    match &redirect.path {
        Some(rewrite) => push(&mut location, &rewrite.apply(path, matched_prefix).0),
        None => push(&mut location, path),
    }
    if let Some(query) = head.uri.query() {
        location.push('?');
        push(&mut location, query);
    }
    HeaderValue::try_from(location).ok()
}

/// The port to name: the redirect's own; where only its scheme is given, none; else the listener's.
fn port(admitted: &Admitted, redirect: &Redirect, scheme: &str) -> Option<u16> {
    let port = match (redirect.port, &redirect.scheme) {
        (Some(port), _) => port,
        (None, Some(_)) => return None,
        (None, None) => admitted.listener().port,
    };
    (!matches!((scheme, port), ("http", 80) | ("https", 443))).then_some(port)
}

/// The scheme of the request, as the listener sees it.
fn scheme_of(admitted: &Admitted) -> &'static str {
    if admitted.listener().protocol.ends_tls() { "https" } else { "http" }
}

/// Appends text, escaping what a header must not hold.
fn push(location: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'!'..=b'~' => location.push(char::from(byte)),
            _ => location.extend(escape(byte).map(char::from)),
        }
    }
}
