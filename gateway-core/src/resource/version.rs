//! Which versions of a kind there are or were. Any version is read as the same type, but one that never was deserves a remark.

use crate::name::Kind;

use super::report::Report;

/// Remarks on a version the kind never had, naming the right one.
pub(super) fn check(kind: &Kind, version: &str, report: &mut Report) {
    let known = versions(kind);
    let Some(best) = known.first().filter(|_| !known.contains(&version)) else { return };
    let slash = if kind.group().is_empty() { "" } else { "/" };
    report.warn("apiVersion", format!("{kind} never had version {version}; read as {}{slash}{best}", kind.group()));
}

/// The versions a kind has or had, the best first; none for a kind that is not ours to judge.
fn versions(kind: &Kind) -> &'static [&'static str] {
    match kind {
        Kind::GatewayClass | Kind::Gateway | Kind::HttpRoute => &["v1", "v1beta1", "v1alpha2"],
        Kind::GrpcRoute | Kind::TcpRoute | Kind::UdpRoute => &["v1", "v1alpha2"],
        Kind::ListenerSet => &["v1"],
        Kind::BackendTlsPolicy => &["v1", "v1alpha3", "v1alpha2"],
        Kind::XBackendTrafficPolicy | Kind::XTelemetryPolicy | Kind::XBackend => &["v1alpha1"],
        Kind::TlsRoute => &["v1", "v1alpha3", "v1alpha2"],
        Kind::ReferenceGrant => &["v1", "v1beta1", "v1alpha2"],
        Kind::Namespace | Kind::Service | Kind::Secret | Kind::ConfigMap => &["v1"],
        Kind::ServiceImport => &["v1alpha1", "v1beta1"],
        Kind::ClusterTrustBundle => &["v1", "v1beta1", "v1alpha1"],
        Kind::EndpointSlice => &["v1", "v1beta1", "v1alpha1"],
        Kind::DirectResponse | Kind::GatewayParameters => &["v1alpha1"],
        Kind::Extension(_) => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_never_was_is_remarked_on() {
        for (kind, version, remark) in [
            (Kind::HttpRoute, "v1", None),
            (Kind::HttpRoute, "v1beta1", None),
            (Kind::TcpRoute, "v1beta1", Some("TCPRoute never had version v1beta1; read as gateway.networking.k8s.io/v1")),
            (Kind::GrpcRoute, "v1beta1", Some("GRPCRoute never had version v1beta1; read as gateway.networking.k8s.io/v1")),
            (Kind::TlsRoute, "v1beta1", Some("TLSRoute never had version v1beta1; read as gateway.networking.k8s.io/v1")),
            (Kind::TlsRoute, "v1alpha3", None),
            (Kind::UdpRoute, "v1alpha2", None),
            (Kind::ReferenceGrant, "v1beta1", None),
            (Kind::ReferenceGrant, "v2", Some("ReferenceGrant never had version v2; read as gateway.networking.k8s.io/v1")),
            (Kind::Service, "v1beta1", Some("Service never had version v1beta1; read as v1")),
            (Kind::EndpointSlice, "v1beta1", None),
            (Kind::DirectResponse, "v1", Some("DirectResponse never had version v1; read as pingora-gateway.dev/v1alpha1")),
        ] {
            let mut report = Report::on(String::new());
            check(&kind, version, &mut report);
            assert_eq!(report.warnings.first().map(|warning| warning.message.as_str()), remark, "{kind} {version}");
        }
    }
}
