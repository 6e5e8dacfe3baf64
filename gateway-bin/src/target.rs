//! Where what is asked about would arrive, read from a URL.
//!
//! In: a URL of a scheme that is known here. Out: what arrives, at which host and port. `http`, `https`, `grpc` and `grpcs` send a
//! request; `tls` begins a connection with a ClientHello, `tcp` one without, and `udp` sends a datagram.
//!
//! Invariants: nothing that was written is passed over; what says nothing here is an error that tells what is expected.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use http::HeaderValue;
use http::uri::PathAndQuery;

/// What a URL leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) arrives: Arrives,
    /// `None` only where no request is sent.
    pub(crate) host: Option<Host>,
    pub(crate) port: u16,
}

/// What arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Arrives {
    /// A request.
    Request(Request),
    /// A connection that begins with TLS.
    Tls,
    /// A connection of which nothing is known.
    Tcp,
    /// A datagram, the first of its client.
    Udp,
}

/// What a URL says of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) is_tls: bool,
    /// Whether it is a gRPC call.
    pub(crate) is_call: bool,
    /// Host and port, as they are written.
    pub(crate) authority: HeaderValue,
    pub(crate) path: PathAndQuery,
}

/// A host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// In lower case.
    Name(Arc<str>),
    Address(IpAddr),
}

impl Target {
    /// Whether a method or headers may be stated.
    ///
    /// # Errors
    /// What is asked about has none.
    pub(crate) fn check_head(&self, is_stated: bool) -> Result<(), String> {
        match &self.arrives {
            Arrives::Tls | Arrives::Tcp | Arrives::Udp if is_stated => {
                Err(format!("a {} has no method and no headers: ask about an http or grpc URL", self.arrives))
            }
            Arrives::Request(_) | Arrives::Tls | Arrives::Tcp | Arrives::Udp => Ok(()),
        }
    }

    /// Whether a handshake comes first.
    pub(crate) fn is_tls(&self) -> bool {
        match &self.arrives {
            Arrives::Request(request) => request.is_tls,
            Arrives::Tls => true,
            Arrives::Tcp | Arrives::Udp => false,
        }
    }

    /// The name that a ClientHello carries.
    pub(crate) fn server_name(&self) -> Option<Arc<str>> {
        match &self.host {
            Some(Host::Name(name)) if self.is_tls() => Some(name.trim_end_matches('.').into()),
            Some(Host::Name(_) | Host::Address(_)) | None => None,
        }
    }

    /// The address that a connection is made to, where the URL says one.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        if let Some(Host::Address(address)) = self.host { Some(address) } else { None }
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if METHODS.contains(&text) {
            return Err(format!("{text} is a method: state it with --method, and here a URL, as in http://host/path"));
        }
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let scheme = scheme.to_ascii_lowercase();
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err("a user stands before the host: state what a client makes of it as a header, with -H".into());
        }
        match scheme.as_str() {
            "http" => request(authority, path, false, false),
            "https" => request(authority, path, true, false),
            "grpc" => request(authority, path, false, true),
            "grpcs" => request(authority, path, true, true),
            "tls" => connection(Arrives::Tls, authority, path),
            "tcp" => connection(Arrives::Tcp, authority, path),
            "udp" => connection(Arrives::Udp, authority, path),
            other => {
                Err(format!("{other:?} is no scheme that is known here: expected http, https, grpc, grpcs, tls, tcp or udp"))
            }
        }
    }
}

fn request(authority: &str, path: &str, is_tls: bool, is_call: bool) -> Result<Target, String> {
    let (host, port) = host_and_port(authority)?;
    let expected = if is_call { "grpc://host/service/method" } else { "http://host/path" };
    let host = host.ok_or_else(|| format!("a request names its host: expected {expected}"))?;
    // A fragment is never sent.
    let path = path.split_once('#').map_or(path, |(path, _)| path);
    if is_call && !is_method(path) {
        return Err(format!("{path:?} names no method: expected {expected}"));
    }
    let target = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let path = target.parse().map_err(|_| format!("{target:?} is no path with a query: escape what does not belong there"))?;
    let authority = HeaderValue::from_str(authority).map_err(|_| format!("{authority:?} is no host"))?;
    let port = port.unwrap_or(if is_tls { 443 } else { 80 });
    Ok(Target { arrives: Arrives::Request(Request { is_tls, is_call, authority, path }), host: Some(host), port })
}

/// Whether a path is that of a call, `/service/method`.
fn is_method(path: &str) -> bool {
    let parts = path.strip_prefix('/').and_then(|path| path.split_once('/'));
    parts.is_some_and(|(service, method)| !service.is_empty() && !method.is_empty() && !method.contains(['/', '?']))
}

fn connection(arrives: Arrives, authority: &str, path: &str) -> Result<Target, String> {
    let (scheme, what, port) = match arrives {
        Arrives::Udp => ("udp", "datagram", None),
        Arrives::Tls => ("tls", "connection", Some(443)),
        Arrives::Tcp | Arrives::Request(_) => ("tcp", "connection", None),
    };
    if !matches!(path, "" | "/") {
        return Err(format!("a {what} has no path: expected {scheme}://host:port, without {path:?}"));
    }
    let (host, stated) = host_and_port(authority)?;
    if let (false, Some(Host::Name(name))) = (arrives == Arrives::Tls, &host) {
        return Err(format!("a {what} does not carry the name {name}: expected {scheme}://:port, or an address before the port"));
    }
    let port = stated.or(port).ok_or_else(|| format!("the port is missing: expected {scheme}://:port"))?;
    Ok(Target { arrives, host, port })
}

/// Reads `host`, `host:port`, `:port`, with an IPv6 address in brackets.
fn host_and_port(text: &str) -> Result<(Option<Host>, Option<u16>), String> {
    let end =
        if text.starts_with('[') { text.find(']').map_or(text.len(), |at| at + 1) } else { text.find(':').unwrap_or(text.len()) };
    let (host, rest) = text.split_at(end);
    if text.parse::<Ipv6Addr>().is_ok() || rest.matches(':').count() > 1 {
        return Err(format!("{text:?} is no host with a port: an IPv6 address stands in brackets, as in [::1]:8080"));
    }
    let port = match rest.strip_prefix(':') {
        Some("") => None,
        Some(port) => Some(number(port)?),
        None if rest.is_empty() => None,
        None => return Err(format!("{rest:?} follows the address: expected a port, as in [::1]:8080")),
    };
    Ok((if host.is_empty() { None } else { Some(host.parse()?) }, port))
}

fn number(port: &str) -> Result<u16, String> {
    match port.parse() {
        Ok(number) if number != 0 && port.bytes().all(|digit| digit.is_ascii_digit()) => Ok(number),
        Ok(_) | Err(_) => Err(format!("{port:?} is not a port: expected 1 to 65535")),
    }
}

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(literal) = text.strip_prefix('[') {
            let literal = literal.strip_suffix(']').ok_or_else(|| format!("{text:?} lacks the closing bracket"))?;
            let address = literal.parse::<Ipv6Addr>().map_err(|_| format!("{literal:?} is not an IPv6 address"))?;
            return Ok(Self::Address(address.into()));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Address(address));
        }
        if text.contains('*') {
            return Err(format!("{text:?} is no host but many: name one of them"));
        }
        let is_letter = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
        let labels = text.strip_suffix('.').unwrap_or(text);
        if labels.len() > 253 || labels.split('.').any(|label| label.is_empty() || !label.bytes().all(is_letter)) {
            return Err(format!("{text:?} is no host: expected letters, digits, '-', '_' and single dots, up to 253"));
        }
        Ok(Self::Name(text.to_ascii_lowercase().into()))
    }
}

impl fmt::Display for Arrives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Request(_) => "request",
            Self::Tls | Self::Tcp => "connection",
            Self::Udp => "datagram",
        })
    }
}

const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_what_arrives_and_where() {
        let name = |name: &str| Some(Host::Name(name.into()));
        let rows = [
            ("http://Shop.example/a?b#c", name("shop.example"), 80, "GET /a?b"),
            ("shop.example:8080", name("shop.example"), 8080, "GET /"),
            ("http://shop.example?b", name("shop.example"), 80, "GET /?b"),
            ("https://shop.example:/", name("shop.example"), 443, "GET / over TLS"),
            ("HTTPS://[::1]:8443/", Some(Host::Address("::1".parse().unwrap())), 8443, "GET / over TLS"),
            ("grpc://shop.example/shop.Cart/Add", name("shop.example"), 80, "call /shop.Cart/Add"),
            ("grpcs://shop.example:9/shop.Cart/Add", name("shop.example"), 9, "call /shop.Cart/Add over TLS"),
            ("tls://db.example", name("db.example"), 443, "tls"),
            ("tls://:8443/", None, 8443, "tls"),
            ("tcp://:5432", None, 5432, "tcp"),
            ("tcp://10.0.0.1:5432", Some(Host::Address("10.0.0.1".parse().unwrap())), 5432, "tcp"),
            ("udp://[::1]:53", Some(Host::Address("::1".parse().unwrap())), 53, "udp"),
        ];
        for (url, host, port, what) in rows {
            let target: Target = url.parse().unwrap_or_else(|why| panic!("{url}: {why}"));
            let arrives = match &target.arrives {
                Arrives::Request(Request { is_tls, is_call, path, .. }) => {
                    format!("{} {path}{}", if *is_call { "call" } else { "GET" }, if *is_tls { " over TLS" } else { "" })
                }
                Arrives::Tls => "tls".into(),
                Arrives::Tcp => "tcp".into(),
                Arrives::Udp => "udp".into(),
            };
            assert_eq!((target.host, target.port, arrives.as_str()), (host, port, what), "{url}");
        }
    }

    #[test]
    fn what_says_nothing_is_an_error_that_tells_what_is_expected() {
        let rows = [
            ("gopher://x", "\"gopher\" is no scheme that is known here: expected http, https, grpc, grpcs, tls, tcp or udp"),
            ("GET", "GET is a method: state it with --method, and here a URL, as in http://host/path"),
            ("http://", "a request names its host: expected http://host/path"),
            ("", "a request names its host: expected http://host/path"),
            ("http:///path", "a request names its host: expected http://host/path"),
            ("http://user@host/", "a user stands before the host: state what a client makes of it as a header, with -H"),
            ("http://host:0/", "\"0\" is not a port: expected 1 to 65535"),
            ("http://host:65536/", "\"65536\" is not a port: expected 1 to 65535"),
            ("http://host:+1/", "\"+1\" is not a port: expected 1 to 65535"),
            ("http://::1/", "\"::1\" is no host with a port: an IPv6 address stands in brackets, as in [::1]:8080"),
            ("http://[::1/", "\"[::1\" lacks the closing bracket"),
            ("http://[::1]8080/", "\"8080\" follows the address: expected a port, as in [::1]:8080"),
            ("http://[shop]/", "\"shop\" is not an IPv6 address"),
            ("http://*.example/", "\"*.example\" is no host but many: name one of them"),
            ("http://a..example/", "\"a..example\" is no host: expected letters, digits, '-', '_' and single dots, up to 253"),
            ("http://host/a b", "\"/a b\" is no path with a query: escape what does not belong there"),
            ("grpc://host", "\"\" names no method: expected grpc://host/service/method"),
            ("grpc://host/service", "\"/service\" names no method: expected grpc://host/service/method"),
            ("grpc://host/a/b/c", "\"/a/b/c\" names no method: expected grpc://host/service/method"),
            ("grpcs:///a/b", "a request names its host: expected grpc://host/service/method"),
            ("tls://db.example:443/path", "a connection has no path: expected tls://host:port, without \"/path\""),
            ("tcp://:80?q", "a connection has no path: expected tcp://host:port, without \"?q\""),
            ("tcp://10.0.0.1", "the port is missing: expected tcp://:port"),
            ("udp://", "the port is missing: expected udp://:port"),
            (
                "tcp://db.example:5432",
                "a connection does not carry the name db.example: expected tcp://:port, or an address before the port",
            ),
            (
                "udp://db.example:53",
                "a datagram does not carry the name db.example: expected udp://:port, or an address before the port",
            ),
        ];
        for (url, expected) in rows {
            assert_eq!(url.parse::<Target>(), Err(expected.to_owned()), "{url}");
        }
    }
}
