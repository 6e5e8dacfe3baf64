//! GatewayParameters: what no standard field of a Gateway or its class can say.

use serde::Deserialize;

use super::{Duration, Meta, number};

/// A GatewayParameters as read.
#[derive(Clone, Debug, PartialEq)]
pub struct GatewayParameters {
    /// Who it is.
    pub meta: Meta,
    /// The parameters.
    pub spec: GatewayParametersSpec,
}

/// The parameters of a Gateway. What is not stated is left to the class's parameters, then to the defaults of the data plane.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayParametersSpec {
    /// Address ranges whose word on the client's address is believed; none unless stated.
    #[serde(default)]
    pub trusted_proxies: Option<Vec<String>>,
    /// Whether `//` in a path counts as `/`; it does unless stated.
    #[serde(default)]
    pub merge_slashes: Option<bool>,
    /// Limits on connections.
    #[serde(default)]
    pub limits: Limits,
}

/// Limits on connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    /// The largest head of a request in bytes; 65536 unless stated.
    #[serde(deserialize_with = "number::optional_positive")]
    pub max_header_bytes: Option<u32>,
    /// How long a head may take to arrive; 10s unless stated.
    pub header_timeout: Option<Duration>,
    /// How long a connection may rest between requests; 75s unless stated.
    pub idle_timeout: Option<Duration>,
    /// How long what is under way may go on when its listener closes; 30s unless stated.
    pub drain_timeout: Option<Duration>,
}
