//! `X-Forwarded-*`: what backends are told about the client's side.
//!
//! In: the connection and its listener. Out: four fields on the request. What the client itself claims is dropped, unless it is one
//! of the listener's trusted proxies: then its list is extended, and what it says of protocol, host and port is kept.

use std::fmt::Write as _;
use std::net::IpAddr;

use http::{HeaderName, HeaderValue, header};
use pingora_error::Result;
use pingora_http::RequestHeader;

use gateway_core::snapshot::Listener;

use crate::connection::Connection;
use crate::passage::authority;

/// The client of a request: the last of those it is said to have come by, its connection's other end the last of all, that is no
/// trusted proxy.
pub(super) fn client(head: &RequestHeader, peer: IpAddr, listener: &Listener) -> IpAddr {
    let is_trusted = |address: IpAddr| listener.settings.trusted_proxies.iter().any(|network| network.contains(address));
    let mut client = peer;
    let stated: Vec<&str> = head.headers.get_all(&FOR).iter().filter_map(|value| value.to_str().ok()).collect();
    for entry in stated.iter().rev().flat_map(|value| value.rsplit(',')) {
        if !is_trusted(client) {
            break;
        }
        let Ok(address) = entry.trim().parse() else { break };
        client = address;
    }
    client
}

/// Sets the fields.
pub(super) fn mark(head: &mut RequestHeader, connection: &Connection, listener: &Listener) -> Result<()> {
    let peer = connection.peer().ip();
    let is_trusted = listener.settings.trusts(peer);
    let mut chain = String::with_capacity(48);
    if is_trusted {
        for known in head.headers.get_all(&FOR) {
            if let Ok(known) = known.to_str() {
                chain.push_str(known);
                chain.push_str(", ");
            }
        }
    } else {
        head.remove_header(&header::FORWARDED);
        // Many backends read `_` in a name as `-`.
        for name in [UNDERSCORED_FOR, UNDERSCORED_PROTO, UNDERSCORED_PORT, UNDERSCORED_HOST] {
            if head.headers.contains_key(&name) {
                head.remove_header(&name);
            }
        }
    }
    // Writing to a string cannot fail.
    let _ = write!(chain, "{peer}");
    head.insert_header("X-Forwarded-For", chain)?;

    let mut set = |name: &HeaderName, written: &'static str, value: HeaderValue| -> Result<()> {
        if is_trusted && head.headers.contains_key(name) {
            return Ok(());
        }
        head.insert_header(written, value)
    };
    let scheme = if connection.arrival().tls.is_some() { "https" } else { "http" };
    set(&PROTO, "X-Forwarded-Proto", HeaderValue::from_static(scheme))?;
    set(&PORT, "X-Forwarded-Port", HeaderValue::from(listener.port))?;
    if !(is_trusted && head.headers.contains_key(&HOST)) {
        match HeaderValue::from_str(authority(head)) {
            Ok(host) if !host.is_empty() => head.insert_header("X-Forwarded-Host", host)?,
            // HTTP/1.0 names no host.
            _ => drop(head.remove_header(&HOST)),
        }
    }
    Ok(())
}

/// Whether the client came over HTTPS, as a marked request says.
pub(super) fn is_https(head: &RequestHeader) -> bool {
    head.headers.get(&PROTO).is_some_and(|scheme| scheme.as_bytes().eq_ignore_ascii_case(b"https"))
}

const UNDERSCORED_FOR: HeaderName = HeaderName::from_static("x_forwarded_for");
const UNDERSCORED_PROTO: HeaderName = HeaderName::from_static("x_forwarded_proto");
const UNDERSCORED_PORT: HeaderName = HeaderName::from_static("x_forwarded_port");
const UNDERSCORED_HOST: HeaderName = HeaderName::from_static("x_forwarded_host");
const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
