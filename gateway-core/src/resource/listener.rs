//! Listeners: a port, a protocol, perhaps a host name, and which routes may attach.
//!
//! In: an entry of `listeners` as written. Out: the same with every default of the schema in place.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::{ExternalAuth, LabelSelector, LocalObjectRef, SecretObjectRef, number, open::open_enum, reference::gateway_group};

/// One listener.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    /// The name, unique within its Gateway.
    pub name: String,
    /// The host name, exact or with a leading `*.`; all when absent.
    #[serde(default)]
    pub hostname: Option<String>,
    /// The port.
    #[serde(deserialize_with = "number::port")]
    pub port: u16,
    /// The protocol.
    #[serde(deserialize_with = "protocol")]
    pub protocol: Protocol,
    /// TLS settings of HTTPS and TLS listeners.
    #[serde(default)]
    pub tls: Option<ListenerTls>,
    /// Which routes may attach.
    #[serde(default)]
    pub allowed_routes: AllowedRoutes,
    /// What runs before a route is chosen.
    #[serde(default)]
    pub filters: Option<ListenerFilters>,
}

open_enum! {
    /// The protocol of a listener.
    Protocol {
        /// HTTP/1.1 and HTTP/2 in the clear.
        Http = "HTTP",
        /// HTTP over TLS.
        Https = "HTTPS",
        /// TLS, passed through or terminated.
        Tls = "TLS",
        /// TCP.
        Tcp = "TCP",
        /// UDP.
        Udp = "UDP",
    }
}

/// The protocols of the API are read whatever their case (ProtocolType).
fn protocol<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Protocol, D::Error> {
    let text = String::deserialize(deserializer)?;
    let known = Protocol::KNOWN.iter().find(|known| known.eq_ignore_ascii_case(&text));
    Ok(Protocol::from(known.map_or(text, |known| (*known).to_owned())))
}

/// TLS settings of a listener.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerTls {
    /// Whether TLS ends here; `Terminate` unless stated.
    #[serde(default = "terminate")]
    pub mode: TlsMode,
    /// The certificates presented to clients.
    #[serde(default)]
    pub certificate_refs: Vec<SecretObjectRef>,
    /// Options of the implementation.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
}

fn terminate() -> TlsMode {
    TlsMode::Terminate
}

open_enum! {
    /// Whether TLS ends at the listener.
    TlsMode {
        /// It does.
        Terminate = "Terminate",
        /// It is forwarded as it comes.
        Passthrough = "Passthrough",
    }
}

/// Which routes may attach to a listener.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AllowedRoutes {
    /// The namespaces they may be in.
    #[serde(default)]
    pub namespaces: RouteNamespaces,
    /// Their kinds; all the protocol can carry when empty.
    #[serde(default)]
    pub kinds: Vec<RouteGroupKind>,
}

/// The namespaces routes may be in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteNamespaces {
    /// Which namespaces; `Same` unless stated.
    #[serde(default = "from_same")]
    pub from: FromNamespaces,
    /// The selector of `from: Selector`; without one, nothing is selected.
    #[serde(default)]
    pub selector: Option<LabelSelector>,
}

impl Default for RouteNamespaces {
    fn default() -> Self {
        Self { from: FromNamespaces::Same, selector: None }
    }
}

fn from_same() -> FromNamespaces {
    FromNamespaces::Same
}

open_enum! {
    /// Which namespaces something may come from.
    FromNamespaces {
        /// Any.
        All = "All",
        /// Those a selector selects.
        Selector = "Selector",
        /// The namespace of the object that says so.
        Same = "Same",
        /// None.
        None = "None",
    }
}

/// A kind of routes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteGroupKind {
    /// The group; `gateway.networking.k8s.io` unless stated.
    #[serde(default = "gateway_group")]
    pub group: String,
    /// The kind.
    pub kind: String,
}

/// What runs before a route is chosen, by phase.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerFilters {
    /// For every request, in this order.
    #[serde(default)]
    pub requests: Vec<ListenerFilter>,
}

/// One filter of a listener.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerFilter {
    /// Which of the payloads is meant.
    #[serde(rename = "type")]
    pub filter_type: ListenerFilterType,
    /// Ask somebody whether the request may pass.
    #[serde(default)]
    pub external_auth: Option<ExternalAuth>,
    /// A filter of the implementation.
    #[serde(default)]
    pub extension_ref: Option<LocalObjectRef>,
}

open_enum! {
    /// The type of a listener's filter.
    ListenerFilterType {
        /// Ask somebody whether the request may pass.
        ExternalAuth = "ExternalAuth",
        /// A filter of the implementation.
        ExtensionRef = "ExtensionRef",
    }
}
