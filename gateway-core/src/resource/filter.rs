//! Payloads of filters that several kinds share: header modifiers, fractions, cross-origin rules, external authorization.

use serde::Deserialize;

use super::{BackendObjectRef, number, open::open_enum};

/// Changes to headers. Of equal names, in any case, the first entry of a list counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeaderModifier {
    /// Headers to replace.
    #[serde(default)]
    pub set: Vec<HeaderValue>,
    /// Headers to add to.
    #[serde(default)]
    pub add: Vec<HeaderValue>,
    /// Headers to take away.
    #[serde(default)]
    pub remove: Vec<String>,
}

/// A header.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeaderValue {
    /// The name, in any case.
    pub name: String,
    /// The value.
    pub value: String,
}

/// A share of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fraction {
    /// So many.
    #[serde(deserialize_with = "number::count")]
    pub numerator: u32,
    /// Of so many; 100 unless stated.
    #[serde(default = "hundred", deserialize_with = "number::positive")]
    pub denominator: u32,
}

fn hundred() -> u32 {
    100
}

/// Rules for cross-origin requests.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cors {
    /// The origins admitted, as `scheme://host(:port)` where the host may hold `*`, or `*` alone.
    #[serde(default)]
    pub allow_origins: Vec<String>,
    /// Whether credentials may be sent; not unless stated.
    #[serde(default)]
    pub allow_credentials: bool,
    /// The methods named in the answer, or `*` alone.
    #[serde(default)]
    pub allow_methods: Vec<String>,
    /// The request headers named in the answer, or `*` alone.
    #[serde(default)]
    pub allow_headers: Vec<String>,
    /// The response headers scripts may read.
    #[serde(default)]
    pub expose_headers: Vec<String>,
    /// For how many seconds the answer may be kept; 5 unless stated.
    #[serde(default = "five", deserialize_with = "number::positive")]
    pub max_age: u32,
}

fn five() -> u32 {
    5
}

/// Ask somebody whether a request may pass.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalAuth {
    /// In which protocol.
    pub protocol: ExternalAuthProtocol,
    /// Whom.
    pub backend_ref: BackendObjectRef,
    /// Settings of protocol `GRPC`.
    #[serde(default)]
    pub grpc: Option<GrpcAuth>,
    /// Settings of protocol `HTTP`.
    #[serde(default)]
    pub http: Option<HttpAuth>,
    /// Whether the body goes along.
    #[serde(default)]
    pub forward_body: Option<ForwardBody>,
}

open_enum! {
    /// The protocol of external authorization.
    ExternalAuthProtocol {
        /// A plain request.
        Http = "HTTP",
        /// A gRPC check.
        Grpc = "GRPC",
    }
}

/// Settings of external authorization over gRPC.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrpcAuth {
    /// The request headers sent along; all when empty.
    #[serde(default)]
    pub allowed_headers: Vec<String>,
}

/// Settings of external authorization over HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpAuth {
    /// What is put before the path.
    #[serde(default)]
    pub path: Option<String>,
    /// The request headers sent along beside the necessary ones.
    #[serde(default)]
    pub allowed_headers: Vec<String>,
    /// The headers copied from the answer into the request; all but the host when empty.
    #[serde(default)]
    pub allowed_response_headers: Vec<String>,
}

/// Whether the body goes along.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ForwardBody {
    /// At most so many bytes; none when 0.
    #[serde(default, deserialize_with = "number::count")]
    pub max_size: u32,
}
