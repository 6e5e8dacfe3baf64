//! Gateway: addresses, listeners and what all of them share.
//!
//! The listeners themselves are described in `listener`, as other kinds hold them too.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{FromNamespaces, LabelSelector, Listener, LocalObjectRef, Meta, ObjectRef, SecretObjectRef, number, open::open_enum};

/// A Gateway as read.
#[derive(Clone, Debug, PartialEq)]
pub struct Gateway {
    /// Who it is.
    pub meta: Meta,
    /// What is wanted.
    pub spec: GatewaySpec,
    /// The stored status, as it stands.
    pub status: Option<Value>,
}

/// The specification of a Gateway.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewaySpec {
    /// The name of the class.
    pub gateway_class_name: String,
    /// The listeners.
    pub listeners: Vec<Listener>,
    /// The addresses asked for; any when empty.
    #[serde(default)]
    pub addresses: Vec<GatewayAddress>,
    /// What goes onto everything made for this Gateway.
    #[serde(default)]
    pub infrastructure: Option<GatewayInfrastructure>,
    /// Which ListenerSets may attach; none unless stated.
    #[serde(default)]
    pub allowed_listeners: AllowedListeners,
    /// TLS settings of the Gateway as a whole.
    #[serde(default)]
    pub tls: Option<GatewayTls>,
    /// Whether routes without a parent attach here.
    #[serde(default)]
    pub default_scope: Option<DefaultGateways>,
}

open_enum! {
    /// Which Gateways a route without parent asks for, and which such routes a Gateway takes.
    DefaultGateways {
        /// All of them.
        All = "All",
        /// None of them.
        None = "None",
    }
}

/// One address asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayAddress {
    /// What the value is.
    #[serde(rename = "type", default = "ip_address")]
    pub address_type: AddressType,
    /// The address; when empty, any of the type.
    #[serde(default)]
    pub value: String,
    /// From where the address must be reachable; no promise when absent or empty.
    #[serde(default)]
    pub routability: Option<String>,
}

fn ip_address() -> AddressType {
    AddressType::IpAddress
}

open_enum! {
    /// What the value of an address is.
    AddressType {
        /// An IPv4 or IPv6 address.
        IpAddress = "IPAddress",
        /// A host name.
        Hostname = "Hostname",
        /// The name of an address known to the infrastructure.
        NamedAddress = "NamedAddress",
    }
}

/// What goes onto everything made for a Gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayInfrastructure {
    /// Labels to copy.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Annotations to copy.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// Where further parameters stand.
    #[serde(default)]
    pub parameters_ref: Option<LocalObjectRef>,
}

/// Which ListenerSets may attach.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AllowedListeners {
    /// The namespaces they may be in.
    #[serde(default)]
    pub namespaces: ListenerNamespaces,
}

/// The namespaces ListenerSets may be in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerNamespaces {
    /// Which namespaces; `None` unless stated.
    #[serde(default = "from_none")]
    pub from: FromNamespaces,
    /// The selector of `from: Selector`.
    #[serde(default)]
    pub selector: Option<LabelSelector>,
}

impl Default for ListenerNamespaces {
    fn default() -> Self {
        Self { from: FromNamespaces::None, selector: None }
    }
}

fn from_none() -> FromNamespaces {
    FromNamespaces::None
}

/// TLS settings of a Gateway as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayTls {
    /// Towards backends.
    #[serde(default)]
    pub backend: Option<GatewayBackendTls>,
    /// Towards clients.
    #[serde(default)]
    pub frontend: Option<FrontendTls>,
}

/// TLS towards backends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayBackendTls {
    /// The certificate presented to backends.
    #[serde(default)]
    pub client_certificate_ref: Option<SecretObjectRef>,
}

/// TLS towards clients, for HTTPS listeners.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FrontendTls {
    /// For ports without an entry of their own.
    pub default: FrontendTlsConfig,
    /// For single ports; replaces the default there.
    #[serde(default)]
    pub per_port: Vec<FrontendTlsPort>,
}

impl FrontendTls {
    /// The settings of the HTTPS listeners on `port`.
    pub fn for_port(&self, port: u16) -> &FrontendTlsConfig {
        self.per_port.iter().find(|entry| entry.port == port).map_or(&self.default, |entry| &entry.tls)
    }
}

/// TLS towards clients, for one port.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FrontendTlsPort {
    /// The port.
    #[serde(deserialize_with = "number::port")]
    pub port: u16,
    /// Its settings.
    pub tls: FrontendTlsConfig,
}

/// What is asked of clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FrontendTlsConfig {
    /// How client certificates are validated; not asked for when absent.
    #[serde(default)]
    pub validation: Option<FrontendTlsValidation>,
}

/// How client certificates are validated.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FrontendTlsValidation {
    /// The trust anchors.
    pub ca_certificate_refs: Vec<ObjectRef>,
    /// What happens to a client without a valid certificate.
    #[serde(default = "allow_valid_only")]
    pub mode: FrontendValidationMode,
}

fn allow_valid_only() -> FrontendValidationMode {
    FrontendValidationMode::AllowValidOnly
}

open_enum! {
    /// What happens to a client without a valid certificate.
    FrontendValidationMode {
        /// It is refused.
        AllowValidOnly = "AllowValidOnly",
        /// It is served.
        AllowInsecureFallback = "AllowInsecureFallback",
    }
}
