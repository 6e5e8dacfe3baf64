//! GatewayParameters: what no standard field of a Gateway or its class can say.

mod made;

use serde::Deserialize;

use super::place::Place;
use super::report::Report;
use super::{Duration, Meta, number, syntax};

pub use self::made::{
    LogFormat, LogLevel, PodParameters, Quantity, Resources, ServiceParameters, TaintEffect, Toleration, TolerationOperator,
    TrafficPolicy,
};

/// A GatewayParameters as read.
#[derive(Clone, Debug, PartialEq)]
pub struct GatewayParameters {
    /// Who it is.
    pub meta: Meta,
    /// The parameters.
    pub spec: GatewayParametersSpec,
}

/// The parameters of a Gateway. What is not stated is left to the parameters of its class, then to the defaults of the data
/// plane. Changes take effect at once, those of a class's parameters on all Gateways of the class.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayParametersSpec {
    /// Address ranges whose word on the client's address is believed; none unless stated.
    #[serde(default)]
    pub trusted_proxies: Option<Vec<String>>,
    /// Where connections of trusted proxies begin with a header of the PROXY protocol; nowhere unless stated.
    #[serde(default)]
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Whether `//` in a path counts as `/`; it does unless stated.
    #[serde(default)]
    pub merge_slashes: Option<bool>,
    /// Limits on connections.
    #[serde(default)]
    pub limits: Limits,
    /// The Services made for the Gateway. They and the pods are made in a cluster only; elsewhere a problem of the Gateway says that
    /// this has no effect.
    #[serde(default)]
    pub service: ServiceParameters,
    /// The pods of its proxies.
    #[serde(default)]
    pub pods: PodParameters,
}

impl GatewayParametersSpec {
    pub(super) fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self { trusted_proxies, proxy_protocol: _, merge_slashes: _, limits: _, service, pods } = self;
        service.check(&at.field("service"), report);
        pods.check(&at.field("pods"), report);
        for (index, range) in trusted_proxies.iter().flatten().enumerate() {
            report.text(&at.field("trustedProxies").entry(index), range, syntax::ADDRESS_RANGE);
        }
    }
}

/// Where connections of trusted proxies begin with a header of the PROXY protocol, in version 1 or 2, that says for whom they are.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProxyProtocol {
    /// The ports of listeners for connections.
    #[serde(deserialize_with = "number::ports")]
    pub ports: Vec<u16>,
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
    /// How long a client may pause within a request's body; 60s unless stated.
    pub body_timeout: Option<Duration>,
    /// Bytes a second that a body must bring on average, once the gateway has waited `bodyTimeout` for its pieces in all; 100 unless
    /// stated, 0 asks for none.
    #[serde(deserialize_with = "number::optional_count")]
    pub min_body_rate: Option<u32>,
    /// How long a client may take nothing of what waits for it; 60s unless stated.
    pub write_timeout: Option<Duration>,
    /// How long a connection may rest between requests; 75s unless stated.
    pub idle_timeout: Option<Duration>,
    /// HTTP/2 frames without content that a connection may send beyond what its traffic explains; 1000 unless stated.
    #[serde(deserialize_with = "number::optional_positive")]
    pub max_control_frames: Option<u32>,
    /// How long what is under way may go on when its listener closes; 30s unless stated.
    pub drain_timeout: Option<Duration>,
}

impl GatewayParametersSpec {
    /// These parameters over others, field by field.
    #[must_use]
    pub fn over(self, other: &Self) -> Self {
        Self {
            trusted_proxies: self.trusted_proxies.or_else(|| other.trusted_proxies.clone()),
            proxy_protocol: self.proxy_protocol.or_else(|| other.proxy_protocol.clone()),
            merge_slashes: self.merge_slashes.or(other.merge_slashes),
            limits: self.limits.over(&other.limits),
            service: self.service.over(&other.service),
            pods: self.pods.over(&other.pods),
        }
    }
}

impl Limits {
    fn over(self, other: &Self) -> Self {
        Self {
            max_header_bytes: self.max_header_bytes.or(other.max_header_bytes),
            header_timeout: self.header_timeout.or(other.header_timeout),
            body_timeout: self.body_timeout.or(other.body_timeout),
            min_body_rate: self.min_body_rate.or(other.min_body_rate),
            write_timeout: self.write_timeout.or(other.write_timeout),
            idle_timeout: self.idle_timeout.or(other.idle_timeout),
            max_control_frames: self.max_control_frames.or(other.max_control_frames),
            drain_timeout: self.drain_timeout.or(other.drain_timeout),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Object;
    use crate::resource::fixture::{assert_refused, document, object};

    const V1: &str = "pingora-gateway.dev/v1alpha1";

    #[test]
    fn what_is_left_out_stays_open() {
        for fields in ["", "spec: {}", "spec: {limits: {}}", "spec: {limits: null}"] {
            let Object::GatewayParameters(parameters) = object(&document(V1, "GatewayParameters", fields)) else {
                panic!("no parameters")
            };
            assert_eq!(parameters.spec, GatewayParametersSpec::default());
        }
        let spec = "spec: {trustedProxies: [10.0.0.0/8, '2001:db8::/32', '::1'], mergeSlashes: false, limits: {idleTimeout: 75s, maxHeaderBytes: 1024, minBodyRate: 0}}";
        let Object::GatewayParameters(parameters) = object(&document(V1, "GatewayParameters", spec)) else {
            panic!("no parameters")
        };
        assert_eq!(parameters.spec.merge_slashes, Some(false));
        assert_eq!(parameters.spec.limits.idle_timeout, Some(Duration::from_secs(75)));
        assert_eq!(parameters.spec.limits.max_header_bytes, Some(1024));
        assert_eq!(parameters.spec.limits.min_body_rate, Some(0));
    }

    #[test]
    fn parameters_are_of_their_types() {
        assert_refused(
            V1,
            "GatewayParameters",
            &[
                ("{trustedProxies: [10.0.0.0/33]}", "spec.trustedProxies[0]", "a range of addresses"),
                ("{trustedProxies: [example.com]}", "spec.trustedProxies[0]", "found \"example.com\""),
                ("{proxyProtocol: {ports: [80, 0]}}", "spec.proxyProtocol.ports[1]", "a port from 1 to 65535"),
                ("{proxyProtocol: {ports: 80}}", "spec.proxyProtocol.ports", "found integer `80`"),
                ("{proxyProtocol: {}}", "spec.proxyProtocol.ports", "found none"),
                ("{proxyProtocol: {version: 2, ports: [80]}}", "spec.proxyProtocol.version", "a field of GatewayParameters"),
                ("{mergeSlashes: 'no'}", "spec.mergeSlashes", "expected a boolean"),
                ("{limits: {maxHeaderBytes: 0}}", "spec.limits.maxHeaderBytes", "a whole number from 1"),
                ("{limits: {maxControlFrames: 0}}", "spec.limits.maxControlFrames", "a whole number from 1"),
                ("{limits: {minBodyRate: -1}}", "spec.limits.minBodyRate", "a whole number from 0"),
                ("{limits: {bodyTimeout: 5}}", "spec.limits.bodyTimeout", "a duration such as 1h30m"),
                ("{limits: {writeTimeout: fast}}", "spec.limits.writeTimeout", "a duration such as 1h30m"),
                (
                    "{limits: {idleTimeout: 5}}",
                    "spec.limits.idleTimeout",
                    "a duration such as 1h30m, 10s or 500ms (GEP-2257), found integer `5`",
                ),
                ("{limits: {drainTimeout: 1d}}", "spec.limits.drainTimeout", "a duration such as 1h30m"),
                (
                    "{service: {type: Odd}}",
                    "spec.service.type",
                    "expected one of LoadBalancer, NodePort, ClusterIP, found \"Odd\"",
                ),
                (
                    "{service: {externalTrafficPolicy: Far}}",
                    "spec.service.externalTrafficPolicy",
                    "expected one of Cluster, Local",
                ),
                ("{service: {annotations: {'a b': c}}}", "spec.service.annotations.a b", "a key"),
                ("{service: {loadBalancerClass: 'a b'}}", "spec.service.loadBalancerClass", "a key"),
                ("{pods: {replicas: -1}}", "spec.pods.replicas", "a whole number from 0"),
                ("{pods: {resources: {requests: {cpu: much}}}}", "spec.pods.resources.requests.cpu", "a quantity such as 250m"),
                ("{pods: {resources: {limits: {memory: []}}}}", "spec.pods.resources.limits.memory", "a quantity such as 250m"),
                ("{pods: {hostNetwork: 'yes'}}", "spec.pods.hostNetwork", "expected a boolean"),
                ("{pods: {nodeSelector: {zone: 'a b'}}}", "spec.pods.nodeSelector.zone", "a label value"),
                (
                    "{pods: {tolerations: [{operator: Like}]}}",
                    "spec.pods.tolerations[0].operator",
                    "expected one of Exists, Equal",
                ),
                ("{pods: {tolerations: [{effect: None}]}}", "spec.pods.tolerations[0].effect", "expected one of NoSchedule"),
                ("{pods: {logLevel: loud}}", "spec.pods.logLevel", "expected one of error, warn, info, debug"),
                ("{pods: {logFormat: xml}}", "spec.pods.logFormat", "expected one of json, text"),
                ("{limits: {other: 1}}", "spec.limits.other", "a field of GatewayParameters"),
            ],
        );
    }
}
