//! Session persistence: how the requests of a client stay with one endpoint of a backend (GEP-1619).
//!
//! In: what an XBackend, a rule or a policy states, its name settled. Out: where a request carries its session, how a response
//! starts one, and when one is over. What a session's token says is sealed by the data plane; here it is a text. The share of each
//! backend is decided before, on every request: a session holds an endpoint within a backend and never the backend itself, so a
//! client has one session for each.

use std::sync::Arc;
use std::time::Duration;

use http::header::{COOKIE, InvalidHeaderValue, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};

/// The session persistence of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Persistence {
    /// Who states it.
    pub source: Source,
    /// What carries a session.
    pub carrier: Carrier,
    /// How long a session lasts at most, which its token has to tell; `None` for any time.
    pub lifetime: Option<Duration>,
}

/// Who states session persistence. Where several do, the greatest holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// An XBackendTrafficPolicy.
    Policy,
    /// The rule.
    Rule,
    /// The XBackend itself.
    Backend,
}

/// What carries a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// A cookie.
    Cookie(Cookie),
    /// A header, which the client sends back as it came.
    Header(HeaderName),
}

/// The cookie of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    /// Its name.
    pub name: Box<str>,
    /// Its path.
    pub path: Box<str>,
    /// Whether it outlives the client's own session, up to the lifetime.
    pub is_permanent: bool,
}

impl Persistence {
    /// Whose holds of what is stated for one backend: the XBackend's goes before the rule's, and that before a policy's.
    pub(crate) fn holding<'a>(rule: Option<&'a Arc<Self>>, backend: Option<&'a Arc<Self>>) -> Option<&'a Arc<Self>> {
        rule.into_iter().chain(backend).max_by_key(|stated| stated.source)
    }

    /// The tokens a request carries, in order; more than one where a client holds cookies of one name for several paths.
    pub fn tokens<'h>(&'h self, request: &'h HeaderMap) -> impl Iterator<Item = &'h str> {
        let (cookie, header) = match &self.carrier {
            Carrier::Cookie(cookie) => (Some(&*cookie.name), None),
            Carrier::Header(name) => (None, Some(name)),
        };
        let in_cookies = cookie.into_iter().flat_map(|name| cookies(request).filter(move |(known, _)| *known == name));
        let in_headers = header.into_iter().flat_map(|name| request.get_all(name)).filter_map(|value| value.to_str().ok());
        in_cookies.map(|(_, token)| token).chain(in_headers)
    }

    /// What a response says so that the client keeps a token. `is_secure`: the client came over TLS.
    ///
    /// # Errors
    /// When the token has characters that a header cannot hold.
    pub fn keep(&self, token: &str, is_secure: bool) -> Result<(HeaderName, HeaderValue), InvalidHeaderValue> {
        let Cookie { name, path, is_permanent } = match &self.carrier {
            Carrier::Header(name) => return Ok((name.clone(), HeaderValue::try_from(token)?)),
            Carrier::Cookie(cookie) => cookie,
        };
        let mut written = format!("{name}={token}; Path={path}");
        if let Some(lifetime) = self.lifetime.filter(|_| *is_permanent) {
            let seconds = lifetime.as_secs() + u64::from(lifetime.subsec_nanos() > 0);
            written.push_str(&format!("; Max-Age={seconds}"));
        }
        if is_secure {
            written.push_str("; Secure");
        }
        written.push_str("; HttpOnly; SameSite=Strict");
        Ok((SET_COOKIE, HeaderValue::try_from(written)?))
    }

    /// Whether a session of this age is over.
    pub fn is_over(&self, age: Duration) -> bool {
        self.lifetime.is_some_and(|lifetime| age >= lifetime)
    }

    /// The name under which clients keep their sessions. Cookies and headers do not meet.
    pub fn name(&self) -> (bool, &str) {
        match &self.carrier {
            Carrier::Cookie(cookie) => (true, &cookie.name),
            Carrier::Header(name) => (false, name.as_str()),
        }
    }
}

/// The cookies of a request, by name and value. A value in quotes is without them.
fn cookies(request: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let fields = request.get_all(COOKIE).into_iter().filter_map(|field| field.to_str().ok());
    let pairs = fields.flat_map(|field| field.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.map(|(name, value)| {
        let inner = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        (name.trim_end(), inner.unwrap_or(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_cookie(is_permanent: bool, lifetime: Option<Duration>) -> Persistence {
        let cookie = Cookie { name: "sid".into(), path: "/shop".into(), is_permanent };
        Persistence { source: Source::Rule, carrier: Carrier::Cookie(cookie), lifetime }
    }

    fn kept(persistence: &Persistence, is_secure: bool) -> String {
        let (name, value) = persistence.keep("t0", is_secure).unwrap();
        format!("{name}: {}", value.to_str().unwrap())
    }

    #[test]
    fn a_session_cookie_has_no_age_and_a_permanent_one_has() {
        let lifetime = Some(Duration::from_millis(3_600_500));
        let session = "set-cookie: sid=t0; Path=/shop; Secure; HttpOnly; SameSite=Strict";
        assert_eq!(kept(&by_cookie(false, lifetime), true), session);
        let permanent = "set-cookie: sid=t0; Path=/shop; Max-Age=3601; HttpOnly; SameSite=Strict";
        assert_eq!(kept(&by_cookie(true, lifetime), false), permanent);
        let header = Persistence { carrier: Carrier::Header("x-session".parse().unwrap()), ..by_cookie(false, None) };
        assert_eq!(kept(&header, true), "x-session: t0");
        assert!(by_cookie(false, None).keep("a\nb", true).is_err());
    }

    #[test]
    fn a_session_ends_with_its_lifetime() {
        let persistence = by_cookie(false, Some(Duration::from_secs(10)));
        assert!(!persistence.is_over(Duration::from_millis(9_999)) && persistence.is_over(Duration::from_secs(10)));
        assert!(!by_cookie(false, None).is_over(Duration::MAX));
    }

    #[test]
    fn several_cookies_of_a_request_are_told_apart() {
        let mut request = HeaderMap::new();
        for field in ["a=1; sid=first; xsid=no", "sid=\"second\";sid = third", "SID=no; sidx=no; broken"] {
            request.append(COOKIE, HeaderValue::from_static(field));
        }
        let persistence = by_cookie(false, None);
        let tokens: Vec<_> = persistence.tokens(&request).collect();
        assert_eq!(tokens, ["first", "second", " third"]);
        let header = Persistence { carrier: Carrier::Header("x-session".parse().unwrap()), ..persistence };
        assert_eq!(header.tokens(&request).count(), 0);
        request.append("X-Session", HeaderValue::from_static("t0"));
        assert_eq!(header.tokens(&request).collect::<Vec<_>>(), ["t0"]);
    }
}
