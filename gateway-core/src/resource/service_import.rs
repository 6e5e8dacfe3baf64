//! ServiceImport: a Service of other clusters. Only what routing needs is read.

use serde::Deserialize;

use super::place::Place;
use super::report::Report;
use super::{Meta, ServicePort, TransportProtocol, open::open_enum, service, syntax};

/// A ServiceImport as read.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceImport {
    /// Who it is.
    pub meta: Meta,
    /// What it stands for.
    pub spec: ServiceImportSpec,
}

/// The specification of a ServiceImport, which later versions write at the top of the object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceImportSpec {
    /// The type; `ClusterSetIP` unless stated.
    #[serde(rename = "type", default)]
    pub import_type: ServiceImportType,
    /// The ports.
    #[serde(default)]
    pub ports: Vec<ServicePort>,
    /// The addresses of the Service as a whole.
    #[serde(default)]
    pub ips: Vec<String>,
}

impl ServiceImportSpec {
    /// The port with this number and protocol.
    pub fn port(&self, number: u16, protocol: &TransportProtocol) -> Option<&ServicePort> {
        service::find_port(&self.ports, number, protocol)
    }

    pub(super) fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self { import_type: _, ports, ips } = self;
        for (index, address) in ips.iter().enumerate() {
            report.text(&at.field("ips").entry(index), address, syntax::IP_ADDRESS);
        }
        service::check_ports(ports, &at.field("ports"), report);
    }
}

open_enum! {
    /// What a ServiceImport is.
    #[derive(Default)]
    ServiceImportType {
        /// An address for all clusters.
        #[default]
        ClusterSetIp = "ClusterSetIP",
        /// Endpoints alone.
        Headless = "Headless",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Object;
    use crate::resource::fixture::{assert_refused, document, object, outcome};

    #[test]
    fn every_version_is_read_alike() {
        let fields = "type: Headless, ports: [{port: 80, appProtocol: http}], ips: [10.0.0.1], sessionAffinity: None";
        let nested = document("multicluster.x-k8s.io/v1alpha1", "ServiceImport", &format!("spec: {{{fields}}}\nstatus: {{}}"));
        let flat = format!(
            "{{apiVersion: multicluster.x-k8s.io/v1beta1, kind: ServiceImport, metadata: {{name: x, namespace: team}}, {fields}}}"
        );
        for yaml in [nested, flat] {
            let (read, warnings) = outcome(&yaml).unwrap();
            assert_eq!(warnings, []);
            let Object::ServiceImport(import) = read else { panic!("no ServiceImport") };
            assert_eq!(import.spec.import_type, ServiceImportType::Headless);
            let port = import.spec.port(80, &TransportProtocol::Tcp).unwrap();
            assert_eq!(port.app_protocol.as_deref(), Some("http"));
            assert_eq!(import.spec.ips, ["10.0.0.1"]);
        }
        let bare = object("{apiVersion: multicluster.x-k8s.io/v1alpha1, kind: ServiceImport, metadata: {name: x}}");
        assert!(matches!(bare, Object::ServiceImport(import) if import.spec == ServiceImportSpec::default()));
    }

    #[test]
    fn ports_are_ports_and_distinct() {
        assert_refused(
            "multicluster.x-k8s.io/v1alpha1",
            "ServiceImport",
            &[
                ("{ports: [{port: 0}]}", "spec.ports[0].port", "from 1 to 65535"),
                ("{ports: [{name: a, port: 1}, {name: b, port: 1}]}", "spec.ports[1]", "a port and protocol of its own"),
                ("{ports: [{port: 1}, {port: 2}]}", "spec.ports[1]", "a name of its own"),
                ("{ips: [nowhere]}", "spec.ips[0]", "an IPv4 or IPv6 address"),
            ],
        );
    }
}
