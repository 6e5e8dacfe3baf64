//! How the requests of a client stay with one endpoint.

use serde::Deserialize;

use super::{Duration, open::open_enum};

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
