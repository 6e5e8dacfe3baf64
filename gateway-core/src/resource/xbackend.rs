//! XBackend: a backend that is no Service: a host name elsewhere, or the endpoints with certain labels.
//!
//! In: an XBackend as written. Out: the same with every default of the schema in place. Whether its trust anchors exist, and where
//! its endpoints are, is asked elsewhere.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::place::Place;
use super::report::Report;
use super::syntax::{self, Syntax};
use super::{BackendTlsValidation, Meta, SecretObjectRef, SessionPersistence, number, open::open_enum};

/// An XBackend as read.
#[derive(Clone, Debug, PartialEq)]
pub struct XBackend {
    /// Who it is.
    pub meta: Meta,
    /// What it stands for.
    pub spec: XBackendSpec,
    /// The stored status, as it stands.
    pub status: Option<Value>,
}

/// The specification of an XBackend.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct XBackendSpec {
    /// Which of the payloads is meant.
    #[serde(rename = "type")]
    pub backend_type: XBackendType,
    /// The host of type `ExternalHostname`.
    #[serde(default)]
    pub external_hostname: Option<ExternalHostname>,
    /// The endpoints of type `EndpointSelector`.
    #[serde(default)]
    pub endpoint_selector: Option<EndpointSelector>,
    /// The port there.
    pub port: XBackendPort,
    /// What is spoken; what the route and the listener determine when absent.
    #[serde(default)]
    pub protocol: Option<XBackendProtocol>,
    /// Whether over TLS; not unless stated.
    #[serde(default)]
    pub tls: XBackendTls,
    /// How clients stay with an endpoint, of type `EndpointSelector`.
    #[serde(default)]
    pub session_persistence: Option<SessionPersistence>,
}

impl XBackendSpec {
    /// The host name it stands for, where it does.
    pub fn external_host(&self) -> Option<&str> {
        let host = self.external_hostname.as_ref().filter(|_| self.backend_type == XBackendType::ExternalHostname)?;
        Some(&host.hostname)
    }

    pub(super) fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self { backend_type, external_hostname, endpoint_selector, port: _, protocol, tls, session_persistence } = self;
        let payloads = [
            ("ExternalHostname", "externalHostname", external_hostname.is_some()),
            ("EndpointSelector", "endpointSelector", endpoint_selector.is_some()),
        ];
        report.union(at, backend_type.as_str(), &payloads);
        if let Some(ExternalHostname { hostname }) = external_hostname {
            report.text(&at.field("externalHostname").field("hostname"), hostname, EXTERNAL_HOSTNAME);
        }
        if let Some(EndpointSelector { match_labels }) = endpoint_selector {
            let selector = at.field("endpointSelector");
            let at = selector.field("matchLabels");
            report.count(&at, match_labels.len(), 1, 64);
            for (key, value) in match_labels {
                report.text(&at.field(key), key, syntax::QUALIFIED_NAME);
                report.text(&at.field(key), value, syntax::LABEL_VALUE);
            }
        }
        tls.check(&at.field("tls"), report);
        match (protocol, &tls.mode) {
            (Some(XBackendProtocol::H2c), XBackendTlsMode::ServerOnly | XBackendTlsMode::ClientAndServer) => {
                let expected = format!("expected None, as the protocol is H2C, found {}; HTTP2 is HTTP/2 over TLS", tls.mode);
                report.refuse(&at.field("tls").field("mode"), expected);
            }
            (Some(protocol @ (XBackendProtocol::Http2 | XBackendProtocol::Wss)), XBackendTlsMode::None) => {
                let expected = format!("expected ServerOnly or ClientAndServer, as the protocol is {protocol}, found None");
                report.refuse(&at.field("tls").field("mode"), expected);
            }
            _ => {}
        }
        if let Some(persistence) = session_persistence {
            let at = at.field("sessionPersistence");
            if *backend_type == XBackendType::ExternalHostname {
                report.refuse(&at, "expected nothing, as the type is ExternalHostname, found an object");
            }
            persistence.check(&at, report);
        }
    }
}

/// A host name outside of the cluster.
const EXTERNAL_HOSTNAME: Syntax = Syntax {
    holds: |text| (syntax::PRECISE_SERVER_NAME.holds)(text) && !text.ends_with(".cluster.local"),
    called: "a lower-case host name such as example.com, no address and none that ends in .cluster.local",
};

open_enum! {
    /// What an XBackend is.
    XBackendType {
        /// A host name elsewhere.
        ExternalHostname = "ExternalHostname",
        /// The endpoints with certain labels.
        EndpointSelector = "EndpointSelector",
    }
}

/// A host name elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalHostname {
    /// The name.
    pub hostname: String,
}

/// Which endpoints, by their labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointSelector {
    /// Labels that must be there with these values.
    pub match_labels: BTreeMap<String, String>,
}

/// The port of an XBackend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct XBackendPort {
    /// The number: that of the host, or that of the selected pods.
    #[serde(deserialize_with = "number::port")]
    pub number: u16,
}

open_enum! {
    /// What is spoken with an XBackend.
    XBackendProtocol {
        /// HTTP of the version that is negotiated, or HTTP/1.1.
        Http = "HTTP",
        /// HTTP/1.1.
        Http11 = "HTTP11",
        /// HTTP/2 over TLS.
        Http2 = "HTTP2",
        /// HTTP/2 in the clear.
        H2c = "H2C",
        /// gRPC.
        Grpc = "GRPC",
        /// The Model Context Protocol.
        Mcp = "MCP",
        /// TCP.
        Tcp = "TCP",
        /// WebSocket over TLS.
        Wss = "WSS",
    }
}

/// Whether an XBackend is spoken to over TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct XBackendTls {
    /// Who proves who it is.
    pub mode: XBackendTlsMode,
    /// What the backend's certificate is checked against.
    #[serde(default)]
    pub validation: Option<BackendTlsValidation>,
    /// The certificate presented to the backend.
    #[serde(default)]
    pub client_certificate_ref: Option<SecretObjectRef>,
}

impl XBackendTls {
    fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self { mode, validation, client_certificate_ref } = self;
        let (validates, presents) = match mode {
            XBackendTlsMode::None => (false, false),
            XBackendTlsMode::ServerOnly => (true, false),
            XBackendTlsMode::ClientAndServer => (true, true),
            XBackendTlsMode::Other(_) => (validation.is_some(), client_certificate_ref.is_some()),
        };
        let fields = [
            ("validation", validates, validation.is_some()),
            ("clientCertificateRef", presents, client_certificate_ref.is_some()),
        ];
        for (field, wanted, is_there) in fields {
            match (wanted, is_there) {
                (true, false) => {
                    report.refuse(&at.field(field), format!("expected an object, as the mode is {mode}, found none"))
                }
                (false, true) => {
                    report.refuse(&at.field(field), format!("expected nothing, as the mode is {mode}, found an object"));
                }
                (true, true) | (false, false) => {}
            }
        }
        if let Some(validation) = validation {
            validation.check(&at.field("validation"), report);
        }
        if let Some(certificate) = client_certificate_ref {
            certificate.check(&at.field("clientCertificateRef"), report);
        }
    }
}

open_enum! {
    /// Who proves who it is.
    #[derive(Default)]
    XBackendTlsMode {
        /// Nobody: TLS is not spoken.
        #[default]
        None = "None",
        /// The backend.
        ServerOnly = "ServerOnly",
        /// The backend and the gateway.
        ClientAndServer = "ClientAndServer",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Object;
    use crate::resource::fixture::{assert_accepted, assert_refused, document, object};

    const V1: &str = "gateway.networking.x-k8s.io/v1alpha1";
    const VALIDATION: &str = "validation: {hostname: a.com, wellKnownCACertificates: System}";

    fn host(fields: &str) -> String {
        format!("{{type: ExternalHostname, externalHostname: {{hostname: a.com}}, port: {{number: 443}}, {fields}}}")
    }

    fn selector(fields: &str) -> String {
        format!("{{type: EndpointSelector, endpointSelector: {{matchLabels: {{app: a}}}}, port: {{number: 80}}, {fields}}}")
    }

    #[test]
    fn what_is_left_out_is_filled_in() {
        let Object::XBackend(backend) = object(&document(V1, "XBackend", &format!("spec: {}", host("")))) else {
            panic!("no XBackend")
        };
        assert_eq!(backend.spec.tls, XBackendTls { mode: XBackendTlsMode::None, validation: None, client_certificate_ref: None });
        assert_eq!((backend.spec.port.number, backend.spec.protocol.as_ref()), (443, None));
    }

    #[test]
    fn a_backend_holds_what_its_type_means() {
        let labels = (0..65).map(|number| format!("a{number}: b")).collect::<Vec<_>>().join(", ");
        assert_refused(
            V1,
            "XBackend",
            &[
                (host("").replace("externalHostname: {hostname: a.com}, ", ""), "spec.externalHostname", "found none"),
                (host("endpointSelector: {matchLabels: {a: b}}"), "spec.endpointSelector", "expected nothing"),
                (selector("externalHostname: {hostname: a.com}"), "spec.externalHostname", "expected nothing"),
                (selector("").replace("app: a", ""), "spec.endpointSelector.matchLabels", "1 to 64 entries, found 0"),
                (selector("").replace("app: a", &labels), "spec.endpointSelector.matchLabels", "found 65"),
                (selector("").replace("app: a", "app: a b"), "spec.endpointSelector.matchLabels.app", "a label value"),
                (host("").replace("a.com", "10.0.0.1"), "spec.externalHostname.hostname", "no address"),
                (host("").replace("a.com", "s.ns.svc.cluster.local"), "spec.externalHostname.hostname", ".cluster.local"),
                (host("").replace("a.com", "'*.a.com'"), "spec.externalHostname.hostname", "a lower-case host name"),
                (host("").replace("number: 443", ""), "spec.port.number", "expected a value, found none"),
                (host("").replace("number: 443", "number: 65536"), "spec.port.number", "from 1 to 65535"),
                (host("").replace("number: 443", "port: 443"), "spec.port.number", "expected a value, found none"),
                (host("sessionPersistence: {cookie: {}}"), "spec.sessionPersistence", "as the type is ExternalHostname"),
            ],
        );
        assert_accepted(
            V1,
            "XBackend",
            &[
                selector("sessionPersistence: {cookie: {}}"),
                host("").replace("ExternalHostname", "Later").replace("externalHostname: {hostname: a.com}, ", ""),
            ],
        );
    }

    #[test]
    fn tls_is_what_mode_and_protocol_say() {
        let certificate = "clientCertificateRef: {name: s}";
        assert_refused(
            V1,
            "XBackend",
            &[
                (host("tls: {mode: ServerOnly}"), "spec.tls.validation", "as the mode is ServerOnly, found none"),
                (host("tls: {}"), "spec.tls.mode", "expected a value, found none"),
                (
                    host(&format!("tls: {{mode: None, {VALIDATION}}}")),
                    "spec.tls.validation",
                    "expected nothing, as the mode is None",
                ),
                (
                    host(&format!("tls: {{mode: ServerOnly, {VALIDATION}, {certificate}}}")),
                    "spec.tls.clientCertificateRef",
                    "expected nothing, as the mode is ServerOnly",
                ),
                (
                    host(&format!("tls: {{mode: ClientAndServer, {VALIDATION}}}")),
                    "spec.tls.clientCertificateRef",
                    "as the mode is ClientAndServer, found none",
                ),
                (
                    host("tls: {mode: ServerOnly, validation: {hostname: a.com}}"),
                    "spec.tls.validation.caCertificateRefs",
                    "found neither",
                ),
                (
                    host(&format!("protocol: H2C, tls: {{mode: ServerOnly, {VALIDATION}}}")),
                    "spec.tls.mode",
                    "expected None, as the protocol is H2C",
                ),
                (host("protocol: HTTP2"), "spec.tls.mode", "as the protocol is HTTP2, found None"),
                (host("protocol: WSS, tls: {mode: None}"), "spec.tls.mode", "as the protocol is WSS, found None"),
            ],
        );
        assert_accepted(
            V1,
            "XBackend",
            &[
                host(&format!("protocol: HTTP2, tls: {{mode: ClientAndServer, {VALIDATION}, {certificate}}}")),
                host("protocol: H2C, tls: {mode: None}"),
                host("protocol: Later, tls: {mode: Later}"),
            ],
        );
    }
}
