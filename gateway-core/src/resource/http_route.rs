//! HTTPRoute: which requests, what is done to them, and where they go.
//!
//! Matches stand in `http_match`, filters in `http_filter`. A rule always has at least one match, and a match always has a path, as the schema fills them in.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{DefaultGateways, Duration, FilteredBackendRef, HttpFilter, HttpMatch, Meta, ParentRef, SessionPersistence, number};

/// An HTTPRoute as read.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpRoute {
    /// Who it is.
    pub meta: Meta,
    /// What is wanted.
    pub spec: HttpRouteSpec,
    /// The stored status, as it stands.
    pub status: Option<Value>,
}

/// The specification of an HTTPRoute.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteSpec {
    /// The parents it wants to attach to.
    #[serde(default)]
    pub parent_refs: Vec<ParentRef>,
    /// Whether Gateways that serve as default are wanted too.
    #[serde(default)]
    pub use_default_gateways: Option<DefaultGateways>,
    /// The host names, exact or with a leading `*.`; all of the listener when empty.
    #[serde(default)]
    pub hostnames: Vec<String>,
    /// The rules; one that matches everything unless stated.
    #[serde(default = "one_rule")]
    pub rules: Vec<HttpRule>,
}

/// One rule of an HTTPRoute.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRule {
    /// A name for policies and logs.
    #[serde(default)]
    pub name: Option<String>,
    /// The requests it is for, any of these. Never empty: everything unless stated.
    #[serde(default = "everything", deserialize_with = "some_matches")]
    pub matches: Vec<HttpMatch>,
    /// What is done to them.
    #[serde(default)]
    pub filters: Vec<HttpFilter>,
    /// Where they go.
    #[serde(default)]
    pub backend_refs: Vec<FilteredBackendRef<HttpFilter>>,
    /// How long they may take.
    #[serde(default)]
    pub timeouts: Option<HttpTimeouts>,
    /// When they are tried again.
    #[serde(default)]
    pub retry: Option<HttpRetry>,
    /// How clients stay with an endpoint.
    #[serde(default)]
    pub session_persistence: Option<SessionPersistence>,
}

/// Time limits of a rule; `0s` switches one off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpTimeouts {
    /// For the whole request, retries included.
    #[serde(default)]
    pub request: Option<Duration>,
    /// For one attempt at one backend.
    #[serde(default)]
    pub backend_request: Option<Duration>,
}

/// When a request is tried again.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRetry {
    /// The statuses that call for it.
    #[serde(default, deserialize_with = "number::error_statuses")]
    pub codes: Vec<u16>,
    /// How often, beside the first time; once unless stated, never when 0.
    #[serde(default = "number::one", deserialize_with = "number::count")]
    pub attempts: u32,
    /// The base interval between attempts.
    #[serde(default)]
    pub backoff: Option<Duration>,
}

fn one_rule() -> Vec<HttpRule> {
    vec![HttpRule {
        name: None,
        matches: everything(),
        filters: Vec::new(),
        backend_refs: Vec::new(),
        timeouts: None,
        retry: None,
        session_persistence: None,
    }]
}

fn everything() -> Vec<HttpMatch> {
    vec![HttpMatch::default()]
}

/// A list written empty means what an absent one means.
fn some_matches<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<HttpMatch>, D::Error> {
    let stated = Vec::deserialize(deserializer)?;
    Ok(if stated.is_empty() { everything() } else { stated })
}
