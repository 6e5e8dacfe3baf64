//! GRPCRoute: which calls, what is done to them, and where they go.
//!
//! Unlike an HTTPRoute it may be without rules, and a rule without matches: both mean every call.

use serde::Deserialize;
use serde_json::Value;

use super::{
    DefaultGateways, FilteredBackendRef, HeaderMatch, HeaderModifier, LocalObjectRef, MatchType, Meta, ParentRef, RequestMirror,
    SessionPersistence, open::open_enum,
};

/// A GRPCRoute as read.
#[derive(Clone, Debug, PartialEq)]
pub struct GrpcRoute {
    /// Who it is.
    pub meta: Meta,
    /// What is wanted.
    pub spec: GrpcRouteSpec,
    /// The stored status, as it stands.
    pub status: Option<Value>,
}

/// The specification of a GRPCRoute.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrpcRouteSpec {
    /// The parents it wants to attach to.
    #[serde(default)]
    pub parent_refs: Vec<ParentRef>,
    /// Whether Gateways that serve as default are wanted too.
    #[serde(default)]
    pub use_default_gateways: Option<DefaultGateways>,
    /// The host names, exact or with a leading `*.`; all of the listener when empty.
    #[serde(default)]
    pub hostnames: Vec<String>,
    /// The rules; every call when empty.
    #[serde(default)]
    pub rules: Vec<GrpcRule>,
}

/// One rule of a GRPCRoute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrpcRule {
    /// A name for policies and logs.
    #[serde(default)]
    pub name: Option<String>,
    /// The calls it is for, any of these; every call when empty.
    #[serde(default)]
    pub matches: Vec<GrpcMatch>,
    /// What is done to them.
    #[serde(default)]
    pub filters: Vec<GrpcFilter>,
    /// Where they go.
    #[serde(default)]
    pub backend_refs: Vec<FilteredBackendRef<GrpcFilter>>,
    /// How clients stay with an endpoint.
    #[serde(default)]
    pub session_persistence: Option<SessionPersistence>,
}

/// One match of a GRPCRoute: all criteria must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrpcMatch {
    /// The service and method; any when absent.
    #[serde(default)]
    pub method: Option<GrpcMethodMatch>,
    /// The headers, all of them.
    #[serde(default)]
    pub headers: Vec<HeaderMatch>,
}

/// What is asked of service and method; one of them may be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrpcMethodMatch {
    /// How they are compared; `Exact` unless stated.
    #[serde(rename = "type", default)]
    pub match_type: MatchType,
    /// The service; any when absent.
    #[serde(default)]
    pub service: Option<String>,
    /// The method; any when absent.
    #[serde(default)]
    pub method: Option<String>,
}

/// One filter of a GRPCRoute.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrpcFilter {
    /// Which of the payloads is meant.
    #[serde(rename = "type")]
    pub filter_type: GrpcFilterType,
    /// Change headers of the request.
    #[serde(default)]
    pub request_header_modifier: Option<HeaderModifier>,
    /// Change headers of the response.
    #[serde(default)]
    pub response_header_modifier: Option<HeaderModifier>,
    /// Send a copy elsewhere.
    #[serde(default)]
    pub request_mirror: Option<RequestMirror>,
    /// A filter of the implementation.
    #[serde(default)]
    pub extension_ref: Option<LocalObjectRef>,
}

impl GrpcFilter {
    /// What the filter does.
    pub fn payload(&self) -> GrpcFilterPayload<'_> {
        let payload = match &self.filter_type {
            GrpcFilterType::RequestHeaderModifier => {
                self.request_header_modifier.as_ref().map(GrpcFilterPayload::RequestHeaderModifier)
            }
            GrpcFilterType::ResponseHeaderModifier => {
                self.response_header_modifier.as_ref().map(GrpcFilterPayload::ResponseHeaderModifier)
            }
            GrpcFilterType::RequestMirror => self.request_mirror.as_ref().map(GrpcFilterPayload::RequestMirror),
            GrpcFilterType::ExtensionRef => self.extension_ref.as_ref().map(GrpcFilterPayload::ExtensionRef),
            GrpcFilterType::Other(_) => None,
        };
        payload.unwrap_or(GrpcFilterPayload::Unknown(self.filter_type.as_str()))
    }
}

/// What a filter of a GRPCRoute does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrpcFilterPayload<'a> {
    /// Change headers of the request.
    RequestHeaderModifier(&'a HeaderModifier),
    /// Change headers of the response.
    ResponseHeaderModifier(&'a HeaderModifier),
    /// Send a copy elsewhere.
    RequestMirror(&'a RequestMirror),
    /// A filter of the implementation.
    ExtensionRef(&'a LocalObjectRef),
    /// A type the API does not name; or one it names, without its payload, which `validate` refuses.
    Unknown(&'a str),
}

open_enum! {
    /// The type of a GRPCRoute's filter.
    GrpcFilterType {
        /// Change headers of the request.
        RequestHeaderModifier = "RequestHeaderModifier",
        /// Change headers of the response.
        ResponseHeaderModifier = "ResponseHeaderModifier",
        /// Send a copy elsewhere.
        RequestMirror = "RequestMirror",
        /// A filter of the implementation.
        ExtensionRef = "ExtensionRef",
    }
}
