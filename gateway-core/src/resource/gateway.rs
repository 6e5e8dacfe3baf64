//! Gateway: addresses, listeners and what all of them share.
//!
//! The listeners themselves are described in `listener`, as other kinds hold them too.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::name::CERTIFICATES_GROUP;

use super::place::Place;
use super::report::Report;
use super::{
    FromNamespaces, LabelSelector, Listener, LocalObjectRef, Meta, ObjectRef, SecretObjectRef, listener, number, open::open_enum,
    syntax,
};

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
    #[serde(default)]
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

impl GatewaySpec {
    pub(super) fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self { gateway_class_name, listeners, addresses, infrastructure, allowed_listeners: _, tls, default_scope: _ } = self;
        report.text(&at.field("gatewayClassName"), gateway_class_name, syntax::NAME);
        listener::check_all(listeners, listener::Holder::Gateway, &at.field("listeners"), report);
        check_addresses(addresses, &at.field("addresses"), report);
        if let Some(infrastructure) = infrastructure {
            infrastructure.check(&at.field("infrastructure"), report);
        }
        if let Some(tls) = tls {
            tls.check(&at.field("tls"), report);
        }
    }
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

fn check_addresses(addresses: &[GatewayAddress], at: &Place<'_>, report: &mut Report) {
    report.count(at, addresses.len(), 0, 16);
    for (index, GatewayAddress { address_type, value, routability }) in addresses.iter().enumerate() {
        let at = at.entry(index);
        match address_type {
            AddressType::IpAddress if !value.is_empty() => report.text(&at.field("value"), value, syntax::IP_ADDRESS),
            AddressType::Hostname if !value.is_empty() => report.text(&at.field("value"), value, syntax::HOSTNAME),
            AddressType::IpAddress | AddressType::Hostname | AddressType::NamedAddress | AddressType::Other(_) => {
                report.short(&at.field("value"), value, 253);
            }
        }
        report.optional_text(&at.field("routability"), routability.as_deref(), syntax::ROUTABILITY);
    }
    let stated = addresses.iter().enumerate().filter(|(_, address)| !address.value.is_empty());
    let must_differ = |address: &GatewayAddress| matches!(address.address_type, AddressType::IpAddress | AddressType::Hostname);
    let stated = stated.filter(|(_, address)| must_differ(address));
    report.unique_among(at, stated.map(|(index, address)| (index, (&address.address_type, &address.value))), "an address");
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

impl GatewayInfrastructure {
    fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self { labels, annotations, parameters_ref } = self;
        let place = at.field("labels");
        report.count(&place, labels.len(), 0, 8);
        for (key, value) in labels {
            report.text(&place.field(key), key, syntax::QUALIFIED_NAME);
            report.text(&place.field(key), value, syntax::LABEL_VALUE);
        }
        report.annotations(&at.field("annotations"), annotations);
        if let Some(parameters_ref) = parameters_ref {
            parameters_ref.check(&at.field("parametersRef"), report);
        }
    }
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

impl GatewayTls {
    fn check(&self, at: &Place<'_>, report: &mut Report) {
        if let Some(GatewayBackendTls { client_certificate_ref: Some(certificate) }) = &self.backend {
            certificate.check(&at.field("backend").field("clientCertificateRef"), report);
        }
        let Some(FrontendTls { default, per_port }) = &self.frontend else { return };
        let at = at.field("frontend");
        default.check(&at.field("default"), report);
        let at = at.field("perPort");
        report.count(&at, per_port.len(), 0, 64);
        report.unique(&at, per_port.iter().map(|entry| entry.port), "a port");
        for (index, entry) in per_port.iter().enumerate() {
            entry.tls.check(&at.entry(index).field("tls"), report);
        }
    }
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

impl FrontendTlsConfig {
    fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Some(FrontendTlsValidation { ca_certificate_refs, mode: _ }) = &self.validation else { return };
        let at = at.field("validation");
        let at = at.field("caCertificateRefs");
        report.count(&at, ca_certificate_refs.len(), 1, 16);
        for (index, anchor) in ca_certificate_refs.iter().enumerate() {
            let at = at.entry(index);
            anchor.check(&at, report);
            let is_bundle = anchor.group == CERTIFICATES_GROUP && anchor.kind == "ClusterTrustBundle";
            if is_bundle && anchor.namespace.is_some() {
                report.refuse(&at.field("namespace"), "expected none, as a ClusterTrustBundle is in no namespace, found one");
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Object;
    use crate::resource::fixture::{assert_accepted, assert_refused, document, many, object};

    const V1: &str = "gateway.networking.k8s.io/v1";

    fn with(fields: &str) -> String {
        format!("{{gatewayClassName: c, listeners: [{{name: a, port: 80, protocol: HTTP}}], {fields}}}")
    }

    #[test]
    fn what_is_left_out_is_filled_in() {
        let spec = with(
            "addresses: [{value: 10.0.0.1}], tls: {backend: {clientCertificateRef: {name: s}}, frontend: {default: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: c}]}}}}",
        );
        let Object::Gateway(gateway) = object(&document(V1, "Gateway", &format!("spec: {spec}"))) else { panic!("no Gateway") };
        assert_eq!(gateway.spec.addresses[0].address_type, AddressType::IpAddress);
        assert_eq!(gateway.spec.allowed_listeners.namespaces.from, FromNamespaces::None);
        let tls = gateway.spec.tls.as_ref().unwrap();
        let certificate = tls.backend.as_ref().unwrap().client_certificate_ref.as_ref().unwrap();
        assert!(certificate.is_secret());
        let frontend = tls.frontend.as_ref().unwrap();
        assert_eq!(frontend.for_port(443).validation.as_ref().unwrap().mode, FrontendValidationMode::AllowValidOnly);
    }

    #[test]
    fn an_entry_for_a_port_replaces_the_default() {
        let spec = with(
            "tls: {frontend: {default: {}, perPort: [{port: 8443, tls: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: c}]}}}]}}",
        );
        let Object::Gateway(gateway) = object(&document(V1, "Gateway", &format!("spec: {spec}"))) else { panic!("no Gateway") };
        let frontend = gateway.spec.tls.as_ref().unwrap().frontend.as_ref().unwrap();
        assert!(frontend.for_port(8443).validation.is_some());
        assert!(frontend.for_port(443).validation.is_none());
    }

    #[test]
    fn addresses_are_few_and_distinct() {
        assert_refused(
            V1,
            "Gateway",
            &[
                (with(&format!("addresses: {}", many(17, "{value: 10.0.0.#}"))), "spec.addresses", "at most 16"),
                (with("addresses: [{value: 10.0.0.1}, {value: 10.0.0.1}]"), "spec.addresses[1]", "an address of its own"),
                (
                    with("addresses: [{type: Hostname, value: a.b}, {type: Hostname, value: a.b}]"),
                    "spec.addresses[1]",
                    "an address of its own",
                ),
                (with("addresses: [{value: 10.0.0.256}]"), "spec.addresses[0].value", "an IPv4 or IPv6 address"),
                (with("addresses: [{type: Hostname, value: A.b}]"), "spec.addresses[0].value", "a lower-case host name"),
                (
                    with(&format!("addresses: [{{type: NamedAddress, value: {}}}]", "a".repeat(254))),
                    "spec.addresses[0].value",
                    "at most 253",
                ),
                (with("addresses: [{routability: Public}]"), "spec.addresses[0].routability", "Cluster, or a domain"),
                (with("addresses: [{routability: k8s.io/x}]"), "spec.addresses[0].routability", "not under k8s.io"),
                (with("addresses: [{routability: a.k8s.io/x}]"), "spec.addresses[0].routability", "not under k8s.io"),
            ],
        );
        assert_accepted(
            V1,
            "Gateway",
            &[
                with("addresses: [{}, {}, {type: Hostname}, {type: test/fake-invalid-type, value: x}, {value: '::1'}]"),
                with("addresses: [{routability: ''}, {routability: Cluster}, {routability: testing.x-k8s.io/sentinel}]"),
            ],
        );
    }

    #[test]
    fn infrastructure_holds_few_labels_and_annotations() {
        let labels = |count: usize| (0..count).map(|number| format!("l{number}: v")).collect::<Vec<_>>().join(", ");
        assert_refused(
            V1,
            "Gateway",
            &[
                (with(&format!("infrastructure: {{labels: {{{}}}}}", labels(9))), "spec.infrastructure.labels", "at most 8"),
                (
                    with(&format!("infrastructure: {{annotations: {{{}}}}}", labels(17))),
                    "spec.infrastructure.annotations",
                    "at most 16",
                ),
                (with("infrastructure: {labels: {-a: b}}"), "spec.infrastructure.labels.-a", "a key"),
                (with("infrastructure: {labels: {a: b c}}"), "spec.infrastructure.labels.a", "a label value"),
                (with("infrastructure: {annotations: {a/b/c: b}}"), "spec.infrastructure.annotations.a/b/c", "a key"),
                (
                    with("infrastructure: {parametersRef: {group: '', kind: '', name: nm}}"),
                    "spec.infrastructure.parametersRef.kind",
                    "a kind",
                ),
            ],
        );
        assert_accepted(V1, "Gateway", &[with("infrastructure: {labels: {example.com/a: ''}, annotations: {a: any thing}}")]);
    }

    /// One of another group is of a kind that is not known, and what it is in is its own business.
    #[test]
    fn only_the_trust_bundle_of_its_group_has_no_namespace() {
        let refs = "[{group: example.com, kind: ClusterTrustBundle, name: c, namespace: ns}]";
        let anchors = with(&format!("tls: {{frontend: {{default: {{validation: {{caCertificateRefs: {refs}}}}}}}}}"));
        assert_accepted(V1, "Gateway", &[anchors]);
    }

    #[test]
    fn tls_of_the_gateway_as_a_whole() {
        let anchors =
            |refs: &str| with(&format!("tls: {{frontend: {{default: {{validation: {{caCertificateRefs: {refs}}}}}}}}}"));
        let place = "spec.tls.frontend.default.validation.caCertificateRefs";
        assert_refused(
            V1,
            "Gateway",
            &[
                (
                    with("tls: {frontend: {default: {}, perPort: [{port: 1, tls: {}}, {port: 1, tls: {}}]}}"),
                    "spec.tls.frontend.perPort[1]",
                    "a port of its own",
                ),
                (
                    with(&format!("tls: {{frontend: {{default: {{}}, perPort: {}}}}}", many(65, "{port: 1#, tls: {}}"))),
                    "spec.tls.frontend.perPort",
                    "at most 64",
                ),
                (with("tls: {frontend: {perPort: []}}"), "spec.tls.frontend.default", "expected a value, found none"),
                (anchors("[]"), place, "1 to 16 entries, found 0"),
                (anchors(&many(17, "{group: '', kind: ConfigMap, name: c#}")), place, "1 to 16 entries, found 17"),
                (
                    anchors("[{group: certificates.k8s.io, kind: ClusterTrustBundle, name: c, namespace: ns}]"),
                    "spec.tls.frontend.default.validation.caCertificateRefs[0].namespace",
                    "a ClusterTrustBundle is in no namespace",
                ),
                (
                    with("tls: {backend: {clientCertificateRef: {name: ''}}}"),
                    "spec.tls.backend.clientCertificateRef.name",
                    "1 to 253",
                ),
            ],
        );
    }
}
