//! Cross-origin rules: which origins may read a rule's answers, and what browsers are told of it (`HTTPCORSFilter`, GEP-1767).
//!
//! In: what the filter states, and the headers of a request or a response. Out: the headers of the answer to a preflight, and those
//! that join the response to an actual request. An origin that is not allowed gets neither, and nothing else happens to it.
//!
//! Invariants: `Access-Control-Allow-Credentials` is `true` or absent; `*` is never said where credentials are allowed; what
//! depends on the origin says so in `Vary`.

use std::fmt;

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
    VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue};

/// A `CORS` filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    /// Which origins are allowed.
    pub origins: Origins,
    /// Whether credentials are.
    pub credentials: bool,
    /// Which methods.
    pub methods: Listed,
    /// Which request headers.
    pub headers: Listed,
    /// Which response headers scripts may read.
    pub exposed: Listed,
    /// For how many seconds a browser may keep the answer.
    pub max_age: u32,
}

/// Which origins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// All, `null` included.
    Any,
    /// Those that one of these patterns matches; none where there is no pattern.
    Of(Box<[OriginPattern]>),
}

/// What of a list is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed {
    /// `*`.
    Any,
    /// These, joined as written; `None` for an empty list, of which nothing is said.
    These(Option<HeaderValue>),
}

/// `scheme://host` or `scheme://host:port`, where `*` in the host stands for one or more characters, dots included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginPattern {
    scheme: Box<str>,
    host: Box<str>,
    port: Option<u16>,
}

impl Cors {
    /// The headers that the gateway's own replace on every response under this filter, the backend's included.
    pub const REPLACED: [HeaderName; 6] = [
        ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_ALLOW_CREDENTIALS,
        ACCESS_CONTROL_ALLOW_METHODS,
        ACCESS_CONTROL_ALLOW_HEADERS,
        ACCESS_CONTROL_EXPOSE_HEADERS,
        ACCESS_CONTROL_MAX_AGE,
    ];

    /// Whether a request from this origin is allowed.
    pub fn allows(&self, origin: &HeaderValue) -> bool {
        match &self.origins {
            Origins::Any => true,
            Origins::Of(patterns) => {
                let Some(origin) = origin.to_str().ok().and_then(Parsed::of) else { return false };
                patterns.iter().any(|pattern| pattern.matches(origin))
            }
        }
    }

    /// The headers of the answer to a preflight with these headers.
    pub fn preflight(&self, request: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
        let mut answer = Vec::with_capacity(7);
        let origin = request.get(ORIGIN).filter(|origin| self.allows(origin));
        if let Some(origin) = origin {
            self.grant(origin, &mut answer);
            let methods = self.said(&self.methods, || request.get(ACCESS_CONTROL_REQUEST_METHOD).cloned());
            answer.extend(methods.map(|methods| (ACCESS_CONTROL_ALLOW_METHODS, methods)));
            let headers = self.said(&self.headers, || joined(request.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter()));
            answer.extend(headers.map(|headers| (ACCESS_CONTROL_ALLOW_HEADERS, headers)));
            let exposed = self.said(&self.exposed, || None);
            answer.extend(exposed.map(|exposed| (ACCESS_CONTROL_EXPOSE_HEADERS, exposed)));
            answer.push((ACCESS_CONTROL_MAX_AGE, HeaderValue::from(self.max_age)));
        }
        answer.extend(self.vary());
        answer
    }

    /// The headers that join a response, where the request was sent by `origin`; those in `REPLACED` are taken away first, and
    /// `Vary` is added to what is there.
    pub fn response(&self, origin: Option<&HeaderValue>, response: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
        let mut added = Vec::with_capacity(4);
        if let Some(origin) = origin.filter(|origin| self.allows(origin)) {
            self.grant(origin, &mut added);
            // With credentials, browsers take `*` for the name of a header: what there is has to be named.
            let named = || {
                let names = response.keys().filter(|name| !Self::REPLACED.contains(name));
                joined(names.map(|name| name.as_str().as_bytes()))
            };
            let exposed = self.said(&self.exposed, named);
            added.extend(exposed.map(|exposed| (ACCESS_CONTROL_EXPOSE_HEADERS, exposed)));
        }
        added.extend(self.vary());
        added
    }

    fn grant(&self, origin: &HeaderValue, answer: &mut Vec<(HeaderName, HeaderValue)>) {
        let origin = if self.says_any() { HeaderValue::from_static("*") } else { origin.clone() };
        answer.push((ACCESS_CONTROL_ALLOW_ORIGIN, origin));
        if self.credentials {
            answer.push((ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true")));
        }
    }

    /// What is said of a list; where it is `*` and credentials are allowed, the names that were `asked` for.
    fn said(&self, listed: &Listed, asked: impl FnOnce() -> Option<HeaderValue>) -> Option<HeaderValue> {
        match listed {
            Listed::These(names) => names.clone(),
            Listed::Any if !self.credentials => Some(HeaderValue::from_static("*")),
            Listed::Any => asked(),
        }
    }

    fn says_any(&self) -> bool {
        self.origins == Origins::Any && !self.credentials
    }

    fn vary(&self) -> Option<(HeaderName, HeaderValue)> {
        (!self.says_any()).then(|| (VARY, HeaderValue::from_static("Origin")))
    }
}

impl Listed {
    /// A list as written.
    pub fn of<T: AsRef<str>>(names: &[T]) -> Result<Self, http::header::InvalidHeaderValue> {
        if names.iter().any(|name| name.as_ref() == "*") {
            return Ok(Self::Any);
        }
        let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
        let joined = (!names.is_empty()).then(|| HeaderValue::try_from(names.join(", ")));
        joined.transpose().map(Self::These)
    }
}

fn joined<T: AsRef<[u8]>>(values: impl Iterator<Item = T>) -> Option<HeaderValue> {
    let mut all = Vec::new();
    for value in values {
        if !all.is_empty() {
            all.extend_from_slice(b", ");
        }
        all.extend_from_slice(value.as_ref());
    }
    if all.is_empty() { None } else { HeaderValue::from_maybe_shared(bytes::Bytes::from(all)).ok() }
}

impl OriginPattern {
    /// The pattern as written; `None` when it is none.
    pub fn parse(written: &str) -> Option<Self> {
        let Parsed { scheme, host, port } = Parsed::of(written)?;
        Some(Self { scheme: scheme.to_ascii_lowercase().into(), host: host.to_ascii_lowercase().into(), port })
    }

    fn matches(&self, origin: Parsed<'_>) -> bool {
        let is_port = self.port.or_else(|| usual_port(&self.scheme)) == origin.port.or_else(|| usual_port(origin.scheme));
        is_port && self.scheme.eq_ignore_ascii_case(origin.scheme) && is_like(self.host.as_bytes(), origin.host.as_bytes())
    }
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// The port a scheme has where none is named.
fn usual_port(scheme: &str) -> Option<u16> {
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// An origin taken apart.
#[derive(Clone, Copy, Debug)]
struct Parsed<'a> {
    scheme: &'a str,
    host: &'a str,
    port: Option<u16>,
}

impl<'a> Parsed<'a> {
    fn of(written: &'a str) -> Option<Self> {
        /// Longer than any host with its port.
        const LONGEST: usize = 300;
        let (scheme, rest) = written.split_once("://").filter(|_| written.len() <= LONGEST)?;
        let end = match rest.strip_prefix('[') {
            Some(address) => address.find(']')? + 2,
            None => rest.find(':').unwrap_or(rest.len()),
        };
        let (host, port) = rest.split_at_checked(end)?;
        let port = match port.strip_prefix(':') {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
            Some(_) => return None,
            None if port.is_empty() => None,
            None => return None,
        };
        let is_host = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic() && !b"/?#@\\".contains(&byte));
        (is_host && !scheme.is_empty()).then_some(Self { scheme, host, port })
    }
}

/// Whether a text is like a pattern in lower case, in which `*` stands for one or more characters.
fn is_like(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    // Where to go on when what follows the last star does not fit: after it, one character later in the text.
    let mut again: Option<(usize, usize)> = None;
    while read < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                (at, read) = (at + 1, read + 1);
                again = Some((at, read));
            }
            Some(byte) if *byte == text[read].to_ascii_lowercase() => (at, read) = (at + 1, read + 1),
            Some(_) | None => match &mut again {
                Some((star, from)) => {
                    *from += 1;
                    (at, read) = (*star, *from);
                }
                None => return false,
            },
        }
    }
    at == pattern.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_allowed(pattern: &str, origin: &str) -> bool {
        OriginPattern::parse(pattern).unwrap().matches(Parsed::of(origin).unwrap())
    }

    #[test]
    fn an_origin_is_scheme_host_and_effective_port() {
        let rows = [
            ("https://www.foo.com", "https://www.foo.com", true),
            ("https://www.foo.com", "https://www.foo.com:443", true),
            ("https://www.foo.com:443", "https://www.foo.com", true),
            ("http://foo.com", "http://foo.com:80", true),
            ("https://www.foo.com", "https://WWW.Foo.Com", true),
            ("https://www.foo.com", "HTTPS://www.foo.com", true),
            ("https://www.foo.com", "http://www.foo.com", false),
            ("https://www.foo.com", "https://www.foo.com:8443", false),
            ("https://www.foo.com:8443", "https://www.foo.com", false),
            ("http://www.foo.com", "http://www.foo.com:443", false),
            ("https://www.foo.com", "https://www.foo.com.evil.org", false),
            ("https://*.bar.com", "https://www.bar.com", true),
            ("https://*.bar.com", "https://xpto.www.bar.com", true),
            ("https://*.bar.com", "https://bar.com", false),
            ("https://*.bar.com", "https://.bar.com", false),
            ("https://*.bar.com", "https://wwwbar.com", false),
            ("https://*.bar.com", "https://www.bar.com.org", false),
            ("https://*.bar.com:8443", "https://a.bar.com:8443", true),
            ("https://*.bar.com", "https://a.bar.com:8443", false),
            ("https://*", "https://anything.example", true),
            ("https://*", "http://anything.example", false),
            ("https://a.*.com", "https://a.b.c.com", true),
            ("https://a.*.com", "https://a.com.org", false),
            ("https://*a*b", "https://xaxaxb", true),
            ("https://*a*b", "https://xb", false),
            ("app://x", "app://x", true),
            ("app://x", "app://x:80", false),
            ("http://[::1]:80", "http://[::1]", true),
        ];
        for (pattern, origin, expected) in rows {
            assert_eq!(is_allowed(pattern, origin), expected, "{origin} by {pattern}");
        }
    }

    #[test]
    fn what_is_no_origin_is_allowed_by_nothing_but_any() {
        let odd =
            ["null", "", "https://", "https://a/b", "https://a:b", "https://a:-1", "https://a:65536", "https://u@a", "a.com"];
        let cors = |origins| Cors {
            origins,
            credentials: false,
            methods: Listed::Any,
            headers: Listed::Any,
            exposed: Listed::Any,
            max_age: 5,
        };
        let all = Origins::Of(Box::new([OriginPattern::parse("https://*").unwrap()]));
        for origin in odd {
            let origin = HeaderValue::from_static(origin);
            assert!(!cors(all.clone()).allows(&origin) && cors(Origins::Any).allows(&origin), "{origin:?}");
        }
        let long = HeaderValue::try_from(format!("https://{}.com", "a".repeat(400))).unwrap();
        assert!(!cors(all).allows(&long));
    }
}
