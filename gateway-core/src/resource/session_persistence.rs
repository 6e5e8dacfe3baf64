//! How the requests of a client stay with one endpoint.

use serde::Deserialize;

use super::place::Place;
use super::report::Report;
use super::{Duration, open::open_enum, syntax};

/// How clients stay with an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionPersistence {
    /// What carries the session; `Cookie` unless stated.
    #[serde(rename = "type", default = "by_cookie")]
    pub persistence_type: SessionPersistenceType,
    /// Settings of type `Cookie`.
    #[serde(default)]
    pub cookie: Option<SessionCookie>,
    /// Settings of type `Header`.
    #[serde(default)]
    pub header: Option<SessionHeader>,
    /// How long a session lasts at most.
    #[serde(default)]
    pub absolute_timeout: Option<Duration>,
}

impl SessionPersistence {
    pub(super) fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self { persistence_type, cookie, header, absolute_timeout } = self;
        let payloads = [("Cookie", "cookie", cookie.is_some()), ("Header", "header", header.is_some())];
        report.union(at, persistence_type.as_str(), &payloads);
        if let Some(SessionCookie { name, path, lifetime_type }) = cookie {
            let cookie = at.field("cookie");
            report.optional_text(&cookie.field("name"), name.as_deref(), syntax::COOKIE_NAME);
            report.short(&cookie.field("path"), path, 1024);
            if *lifetime_type == CookieLifetime::Permanent && absolute_timeout.is_none() {
                let expected = "expected a duration, as the cookie's lifetimeType is Permanent, found none";
                report.refuse(&at.field("absoluteTimeout"), expected);
            }
        }
        if let Some(SessionHeader { name }) = header {
            report.text(&at.field("header").field("name"), name, syntax::HEADER_NAME);
        }
    }
}

fn by_cookie() -> SessionPersistenceType {
    SessionPersistenceType::Cookie
}

open_enum! {
    /// What carries a session.
    SessionPersistenceType {
        /// A cookie.
        Cookie = "Cookie",
        /// A header.
        Header = "Header",
    }
}

/// The cookie of a session.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionCookie {
    /// Its name; the implementation's choice unless stated.
    #[serde(default)]
    pub name: Option<String>,
    /// Its path; `/` unless stated.
    #[serde(default = "root")]
    pub path: String,
    /// Whether it outlives the client's own session; `Session` unless stated.
    #[serde(default = "of_session")]
    pub lifetime_type: CookieLifetime,
}

fn root() -> String {
    "/".to_owned()
}

fn of_session() -> CookieLifetime {
    CookieLifetime::Session
}

open_enum! {
    /// Whether a cookie outlives the client's own session.
    CookieLifetime {
        /// It does, up to the absolute timeout.
        Permanent = "Permanent",
        /// It does not.
        Session = "Session",
    }
}

/// The header of a session.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionHeader {
    /// Its name.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::fixture::{assert_accepted, assert_refused, value};

    #[test]
    fn what_is_left_out_is_filled_in() {
        let read: SessionPersistence = serde_json::from_value(value("{cookie: {}}")).unwrap();
        let cookie = SessionCookie { name: None, path: "/".to_owned(), lifetime_type: CookieLifetime::Session };
        assert_eq!((read.persistence_type, read.cookie), (SessionPersistenceType::Cookie, Some(cookie)));
    }

    #[test]
    fn settings_are_those_of_the_type() {
        let rule = |persistence: &str| format!("{{rules: [{{sessionPersistence: {persistence}}}]}}");
        for kind in ["HTTPRoute", "GRPCRoute"] {
            assert_refused(
                "gateway.networking.k8s.io/v1",
                kind,
                &[
                    (rule("{}"), "spec.rules[0].sessionPersistence.cookie", "as the type is Cookie, found none"),
                    (rule("{type: Header}"), "spec.rules[0].sessionPersistence.header", "as the type is Header, found none"),
                    (
                        rule("{type: Header, header: {name: h}, cookie: {}}"),
                        "spec.rules[0].sessionPersistence.cookie",
                        "expected nothing, as the type is \"Header\"",
                    ),
                    (rule("{cookie: {}, header: {name: h}}"), "spec.rules[0].sessionPersistence.header", "expected nothing"),
                    (rule("{type: Header, header: {}}"), "spec.rules[0].sessionPersistence.header.name", "found none"),
                    (rule("{type: Header, header: {name: 'a b'}}"), "spec.rules[0].sessionPersistence.header.name", "token"),
                    (rule("{cookie: {name: 'a;b'}}"), "spec.rules[0].sessionPersistence.cookie.name", "a cookie name"),
                    (
                        rule(&format!("{{cookie: {{path: /{}}}}}", "p".repeat(1024))),
                        "spec.rules[0].sessionPersistence.cookie.path",
                        "at most 1024",
                    ),
                    (
                        rule("{cookie: {lifetimeType: Permanent}}"),
                        "spec.rules[0].sessionPersistence.absoluteTimeout",
                        "as the cookie's lifetimeType is Permanent",
                    ),
                    (
                        rule("{sessionName: s, cookie: {}}"),
                        "spec.rules[0].sessionPersistence.sessionName",
                        "found one it does not have",
                    ),
                ],
            );
            assert_accepted(
                "gateway.networking.k8s.io/v1",
                kind,
                &[rule("{cookie: {lifetimeType: Permanent}, absoluteTimeout: 1h}"), rule("{type: Later}")],
            );
        }
    }
}
