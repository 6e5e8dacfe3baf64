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

/// The parameters of a Gateway.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayParametersSpec {
    /// Address ranges whose word on the client's address is believed.
    #[serde(default)]
    pub trusted_proxies: Vec<String>,
    /// Whether `//` in a path counts as `/`; it does unless stated.
    #[serde(default = "yes")]
    pub merge_slashes: bool,
    /// Limits on connections.
    #[serde(default)]
    pub limits: Limits,
}

impl Default for GatewayParametersSpec {
    fn default() -> Self {
        Self { trusted_proxies: Vec::new(), merge_slashes: true, limits: Limits::default() }
    }
}

/// Limits on connections.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    /// The largest head of a request in bytes; 65536 unless stated.
    #[serde(deserialize_with = "number::positive")]
    pub max_header_bytes: u32,
    /// How long a head may take to arrive; 10s unless stated.
    pub header_timeout: Duration,
    /// How long a connection may rest between requests; 75s unless stated.
    pub idle_timeout: Duration,
    /// How long what is under way may go on when its listener closes; 30s unless stated.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_header_bytes: 65_536,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            drain_timeout: Duration::from_secs(30),
        }
    }
}

fn yes() -> bool {
    true
}
