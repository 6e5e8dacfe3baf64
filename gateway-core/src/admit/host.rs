//! The host a request is for.
//!
//! In: the target's authority and the Host header. Out: one host in lower case, without port and without trailing dot, and its port;
//! or the finding that there is none or that it is malformed. Only letters, digits, `-`, `_` and dots make a name: what holds more
//! (user information, lists, escapes) is refused, since others might read another host in it.
//!
//! Invariants: a host has at most 253 bytes, as DNS names have.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use arrayvec::ArrayString;
use http::header::HOST;
use http::request::Parts;
use http::{HeaderValue, Version};

/// The longest host name there is, in bytes.
const LONGEST: usize = 253;

/// A host in lower case.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Host {
    text: Text,
    is_name: bool,
}

/// Most hosts stand in place, so that finding one allocates nothing; room for the longest would be copied with each request.
#[derive(Clone, PartialEq, Eq)]
enum Text {
    Short(ArrayString<60>),
    Long(Box<str>),
}

/// The Host is missing or malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadHost;

impl Host {
    /// The host, an IPv6 address in its brackets.
    pub(crate) fn as_str(&self) -> &str {
        match &self.text {
            Text::Short(text) => text,
            Text::Long(text) => text,
        }
    }

    /// The host where it is a name; an address matches no host name.
    pub(crate) fn name(&self) -> Option<&str> {
        self.is_name.then(|| self.as_str())
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A host as a request writes it, with its port.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Authority<'a> {
    /// Without port and trailing dot; at most `LONGEST` bytes of ASCII.
    host: &'a str,
    is_name: bool,
    port: Option<u16>,
}

impl Authority<'_> {
    /// The host in lower case.
    pub(crate) fn host(self) -> Host {
        let mut text = ArrayString::from(self.host).map_or_else(|_| Text::Long(self.host.into()), Text::Short);
        match &mut text {
            Text::Short(text) => text.make_ascii_lowercase(),
            Text::Long(text) => text.make_ascii_lowercase(),
        }
        Host { text, is_name: self.is_name }
    }

    fn agrees(self, other: Self) -> bool {
        self.host.eq_ignore_ascii_case(other.host) && self.port == other.port
    }
}

/// The host a request is for. `None`: HTTP/1.0 without Host.
pub(crate) fn of(head: &Parts) -> Result<Option<Authority<'_>>, BadHost> {
    let mut written = head.headers.get_all(HOST).iter();
    let header = written.next().map(|written| written.to_str().map_err(|_| BadHost).and_then(parse)).transpose()?;
    if written.next().is_some() {
        return Err(BadHost);
    }
    let target = head.uri.authority().map(|authority| parse(authority.as_str())).transpose()?;
    match (target, header) {
        // RFC 9112 3.2 and RFC 9113 8.3.1: HTTP/1.1 needs the header even then, and the two must not differ.
        (Some(target), Some(header)) if target.agrees(header) => Ok(Some(target)),
        (Some(target), None) if head.version != Version::HTTP_11 => Ok(Some(target)),
        (None, Some(header)) => Ok(Some(header)),
        (None, None) if head.version < Version::HTTP_11 => Ok(None),
        (Some(_), _) | (None, None) => Err(BadHost),
    }
}

/// The authority, as the request writes it: what a header match on Host is compared with.
pub(crate) fn written(head: &Parts) -> Option<&[u8]> {
    match head.uri.authority() {
        Some(authority) => Some(authority.as_str().as_bytes()),
        None => head.headers.get(HOST).map(HeaderValue::as_bytes),
    }
}

fn parse(written: &str) -> Result<Authority<'_>, BadHost> {
    if written.starts_with('[') {
        let (host, port) = split(written, written.find(']').ok_or(BadHost)? + 1)?;
        check_ipv6(host)?;
        return Ok(Authority { host, is_name: false, port });
    }
    let (host, port) = split(written, name_end(written)?)?;
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.is_empty() || host.len() > LONGEST {
        return Err(BadHost);
    }
    Ok(Authority { host, is_name: !is_ipv4(host), port })
}

fn split(written: &str, end: usize) -> Result<(&str, Option<u16>), BadHost> {
    let (host, port) = written.split_at_checked(end).ok_or(BadHost)?;
    Ok((host, port_of(port.as_bytes())?))
}

fn check_ipv6(written: &str) -> Result<(), BadHost> {
    let inner = written.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).ok_or(BadHost)?;
    inner.parse::<Ipv6Addr>().map(|_| ()).map_err(|_| BadHost)
}

/// Where a name ends: at a colon, or with the text. Before that are labels of letters, digits, `-` and `_`, none empty, though the
/// last may have a dot after it. One pass, and a table in the place of comparisons: every request takes it.
fn name_end(written: &str) -> Result<usize, BadHost> {
    let mut last = Class::Dot;
    for (at, byte) in written.bytes().enumerate() {
        let class = CLASSES[usize::from(byte)];
        match class {
            Class::Label => {}
            Class::Dot if last != Class::Dot => {}
            Class::Colon => return Ok(at),
            Class::Dot | Class::Other => return Err(BadHost),
        }
        last = class;
    }
    Ok(written.len())
}

/// What a byte is in a host.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Label,
    Dot,
    Colon,
    Other,
}

/// The class of each byte.
static CLASSES: [Class; 256] = {
    let mut classes = [Class::Other; 256];
    let mut byte = 0;
    while byte < classes.len() {
        classes[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => Class::Label,
            b'.' => Class::Dot,
            b':' => Class::Colon,
            _ => Class::Other,
        };
        byte += 1;
    }
    classes
};

fn is_ipv4(written: &str) -> bool {
    written.ends_with(|last: char| last.is_ascii_digit()) && written.parse::<Ipv4Addr>().is_ok()
}

/// Nothing, or a colon and digits, possibly none (RFC 3986 3.2.3).
fn port_of(written: &[u8]) -> Result<Option<u16>, BadHost> {
    match written {
        [] | [b':'] => Ok(None),
        [b':', digits @ ..] if digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit) => {
            let port = digits.iter().fold(0, |port: u32, digit| port * 10 + u32::from(digit - b'0'));
            u16::try_from(port).map(Some).map_err(|_| BadHost)
        }
        _ => Err(BadHost),
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn found(version: Version, target: &str, hosts: &[&str]) -> Result<Option<String>, BadHost> {
        let mut request = Request::builder().version(version).uri(target);
        for host in hosts {
            request = request.header(HOST, HeaderValue::from_bytes(host.as_bytes()).unwrap());
        }
        of(&request.body(()).unwrap().into_parts().0).map(|host| host.map(|host| host.host().as_str().to_owned()))
    }

    #[test]
    fn port_and_trailing_dot_are_removed_and_case_does_not_matter() {
        let rows = [
            ("example.com", "example.com"),
            ("Example.COM:1234", "example.com"),
            ("example.com.", "example.com"),
            ("example.com.:80", "example.com"),
            ("example.com:", "example.com"),
            ("_sip.xn--caf-dma.example:65535", "_sip.xn--caf-dma.example"),
            ("localhost", "localhost"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[2001:DB8::1]:80", "[2001:db8::1]"),
        ];
        for (written, host) in rows {
            assert_eq!(found(Version::HTTP_11, "/", &[written]), Ok(Some(host.to_owned())), "{written}");
        }
        let long = ["a".repeat(126), "b".repeat(126)].join(".");
        assert_eq!(found(Version::HTTP_11, "/", &[&long]), Ok(Some(long.clone())));
    }

    #[test]
    fn what_is_not_one_host_with_an_optional_port_is_refused() {
        let long = "a".repeat(254);
        let rows = [
            "",
            ".",
            "..",
            ":80",
            "a,b",
            "a/b",
            "a b",
            " ",
            "user@a",
            "a:65536",
            "a:-1",
            "a:+80",
            "a:8o",
            "a:000080",
            "a..b",
            ".a",
            "a%41",
            "a:1:2",
            "[::1",
            "[]",
            "[a]",
            "[127.0.0.1]",
            "[::1]x",
            "[fe80::1%25en0]",
            "::1",
            "é",
            "a\\b",
            "a?b",
            "a#b",
            "*.a",
            &long,
        ];
        for written in rows {
            assert_eq!(found(Version::HTTP_11, "/", &[written]), Err(BadHost), "{written:?}");
        }
        assert_eq!(found(Version::HTTP_11, "/", &["a", "a"]), Err(BadHost), "more than one");
    }

    #[test]
    fn only_http_1_0_may_do_without_a_host() {
        assert_eq!(found(Version::HTTP_10, "/", &[]), Ok(None));
        for version in [Version::HTTP_11, Version::HTTP_2] {
            assert_eq!(found(version, "/", &[]), Err(BadHost), "{version:?}");
        }
        assert_eq!(found(Version::HTTP_10, "/", &["a", "b"]), Err(BadHost));
    }

    #[test]
    fn the_authority_of_the_target_and_the_host_header_must_agree() {
        assert_eq!(found(Version::HTTP_2, "http://A.example/x", &[]), Ok(Some("a.example".to_owned())));
        assert_eq!(found(Version::HTTP_2, "/x", &["a.example"]), Ok(Some("a.example".to_owned())));
        assert_eq!(found(Version::HTTP_11, "http://a.example:80/x", &["A.example.:80"]), Ok(Some("a.example".to_owned())));
        assert_eq!(found(Version::HTTP_11, "http://a.example/x", &[]), Err(BadHost));
        for version in [Version::HTTP_11, Version::HTTP_2] {
            assert_eq!(found(version, "http://a.example/x", &["b.example"]), Err(BadHost), "{version:?}");
            assert_eq!(found(version, "http://a.example/x", &["a.example:81"]), Err(BadHost), "{version:?}");
        }
    }

    #[test]
    fn an_address_is_no_name() {
        let named = |written: &str| parse(written).unwrap().host().name().is_some();
        assert!(named("a1") && named("1.2.3.4.example") && named("1.2.3"));
        assert!(!named("1.2.3.4") && !named("1.2.3.4.") && !named("[::1]"));
    }
}
