//! How what is made for a Gateway in a cluster looks: its Service, and the pods of its proxies.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de};

use super::super::open::open_enum;
use super::super::place::Place;
use super::super::report::Report;
use super::super::service::ServiceType;
use super::super::{number, syntax};

/// The Services that lead to a Gateway's proxies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceParameters {
    /// Its type; `LoadBalancer` unless stated. Addresses of routability `Cluster` are of type `ClusterIP` whatever is stated.
    #[serde(rename = "type")]
    pub service_type: Option<ServiceType>,
    /// Annotations beside those of the Gateway's infrastructure, which win.
    pub annotations: Option<BTreeMap<String, String>>,
    /// Which load balancer is to serve it; the cluster's own choice unless stated.
    pub load_balancer_class: Option<String>,
    /// Whether traffic from outside may take a detour over another node and lose its source address; `Cluster` unless stated.
    pub external_traffic_policy: Option<TrafficPolicy>,
}

open_enum! {
    /// Which nodes may take traffic from outside.
    TrafficPolicy {
        /// All of them.
        Cluster = "Cluster",
        /// Those with a proxy.
        Local = "Local",
    }
}

/// The pods of a Gateway's proxies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodParameters {
    /// How many there are. Unless stated there is one at first, and whoever scales the Deployment decides.
    #[serde(deserialize_with = "number::optional_count")]
    pub replicas: Option<u32>,
    /// What each is given of a node; little is requested and nothing limited unless stated.
    pub resources: Option<Resources>,
    /// Whether they listen on the addresses of their nodes; not unless stated. They then run as root, with the single capability to bind
    /// low ports, as a node's own ports cannot be opened otherwise.
    pub host_network: Option<bool>,
    /// Labels a node must have.
    pub node_selector: Option<BTreeMap<String, String>>,
    /// Taints of nodes that are put up with.
    pub tolerations: Option<Vec<Toleration>>,
    /// From which level on they log; `warn` unless stated.
    pub log_level: Option<LogLevel>,
    /// How a line of the access log looks; `json` unless stated.
    pub log_format: Option<LogFormat>,
}

/// What a pod is given of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Resources {
    /// At least.
    pub requests: BTreeMap<String, Quantity>,
    /// At most.
    pub limits: BTreeMap<String, Quantity>,
}

/// An amount of a resource, as `250m` or `64Mi`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quantity(pub String);

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Whole(u64),
            Fraction(f64),
        }
        let text = match Written::deserialize(deserializer) {
            Ok(Written::Text(text)) => text,
            Ok(Written::Whole(number)) => number.to_string(),
            Ok(Written::Fraction(number)) => number.to_string(),
            Err(_) => return Err(de::Error::custom("expected a quantity such as 250m or 64Mi")),
        };
        Ok(Self(text))
    }
}

/// A taint of nodes that is put up with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Toleration {
    /// Its key; any, when empty.
    pub key: Option<String>,
    /// Whether the value counts.
    pub operator: Option<TolerationOperator>,
    /// Its value.
    pub value: Option<String>,
    /// Its effect; any, unless stated.
    pub effect: Option<TaintEffect>,
    /// For how many seconds, with `NoExecute`; for ever unless stated.
    #[serde(deserialize_with = "number::optional_count")]
    pub toleration_seconds: Option<u32>,
}

open_enum! {
    /// How a toleration is compared with a taint.
    TolerationOperator {
        /// The key is enough.
        Exists = "Exists",
        /// The value must be the same.
        Equal = "Equal",
    }
}

open_enum! {
    /// What a taint does.
    TaintEffect {
        /// Nothing is placed there.
        NoSchedule = "NoSchedule",
        /// Nothing is placed there if it can be avoided.
        PreferNoSchedule = "PreferNoSchedule",
        /// What is there is ended too.
        NoExecute = "NoExecute",
    }
}

open_enum! {
    /// From which level on a proxy logs.
    LogLevel {
        /// What went wrong.
        Error = "error",
        /// And what might.
        Warn = "warn",
        /// And what happens.
        Info = "info",
        /// And why.
        Debug = "debug",
    }
}

open_enum! {
    /// How a line of the access log looks.
    LogFormat {
        /// One JSON object.
        Json = "json",
        /// Words for people.
        Text = "text",
    }
}

impl ServiceParameters {
    pub(super) fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self { service_type, annotations, load_balancer_class, external_traffic_policy } = self;
        one_of(&at.field("type"), service_type.as_ref(), &["LoadBalancer", "NodePort", "ClusterIP"], ServiceType::as_str, report);
        let place = at.field("externalTrafficPolicy");
        one_of(&place, external_traffic_policy.as_ref(), TrafficPolicy::KNOWN, TrafficPolicy::as_str, report);
        keys(&at.field("annotations"), annotations.iter().flatten().map(|(key, _)| key), report);
        if let Some(class) = load_balancer_class {
            report.text(&at.field("loadBalancerClass"), class, syntax::QUALIFIED_NAME);
        }
    }

    /// These over those of another, field by field.
    pub(super) fn over(self, other: &Self) -> Self {
        Self {
            service_type: self.service_type.or_else(|| other.service_type.clone()),
            annotations: self.annotations.or_else(|| other.annotations.clone()),
            load_balancer_class: self.load_balancer_class.or_else(|| other.load_balancer_class.clone()),
            external_traffic_policy: self.external_traffic_policy.or_else(|| other.external_traffic_policy.clone()),
        }
    }
}

impl PodParameters {
    pub(super) fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self { replicas: _, resources, host_network: _, node_selector, tolerations, log_level, log_format } = self;
        if let Some(Resources { requests, limits }) = resources {
            let place = at.field("resources");
            for (list, quantities) in [("requests", requests), ("limits", limits)] {
                let place = place.field(list);
                for (resource, Quantity(quantity)) in quantities {
                    report.text(&place.field(resource), resource, syntax::QUALIFIED_NAME);
                    report.text(&place.field(resource), quantity, syntax::QUANTITY);
                }
            }
        }
        let place = at.field("nodeSelector");
        keys(&place, node_selector.iter().flatten().map(|(key, _)| key), report);
        for (key, value) in node_selector.iter().flatten() {
            report.text(&place.field(key), value, syntax::LABEL_VALUE);
        }
        for (index, toleration) in tolerations.iter().flatten().enumerate() {
            let Toleration { key, operator, value, effect, toleration_seconds: _ } = toleration;
            let place = at.field("tolerations");
            let place = place.entry(index);
            if let Some(key) = key.as_ref().filter(|key| !key.is_empty()) {
                report.text(&place.field("key"), key, syntax::QUALIFIED_NAME);
            }
            if let Some(value) = value {
                report.text(&place.field("value"), value, syntax::LABEL_VALUE);
            }
            one_of(&place.field("operator"), operator.as_ref(), TolerationOperator::KNOWN, TolerationOperator::as_str, report);
            one_of(&place.field("effect"), effect.as_ref(), TaintEffect::KNOWN, TaintEffect::as_str, report);
        }
        one_of(&at.field("logLevel"), log_level.as_ref(), LogLevel::KNOWN, LogLevel::as_str, report);
        one_of(&at.field("logFormat"), log_format.as_ref(), LogFormat::KNOWN, LogFormat::as_str, report);
    }

    /// These over those of another, field by field.
    pub(super) fn over(self, other: &Self) -> Self {
        Self {
            replicas: self.replicas.or(other.replicas),
            resources: self.resources.or_else(|| other.resources.clone()),
            host_network: self.host_network.or(other.host_network),
            node_selector: self.node_selector.or_else(|| other.node_selector.clone()),
            tolerations: self.tolerations.or_else(|| other.tolerations.clone()),
            log_level: self.log_level.or_else(|| other.log_level.clone()),
            log_format: self.log_format.or_else(|| other.log_format.clone()),
        }
    }
}

/// This kind is ours: what it does not name it does not know.
fn one_of<T>(at: &Place<'_>, stated: Option<&T>, known: &[&str], text: fn(&T) -> &str, report: &mut Report) {
    if let Some(found) = stated.map(text).filter(|found| !known.contains(found)) {
        report.refuse(at.to_string(), format!("expected one of {}, found {found:?}", known.join(", ")));
    }
}

fn keys<'k>(at: &Place<'_>, keys: impl Iterator<Item = &'k String>, report: &mut Report) {
    for key in keys {
        report.text(&at.field(key), key, syntax::QUALIFIED_NAME);
    }
}
