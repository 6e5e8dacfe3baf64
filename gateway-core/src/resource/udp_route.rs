//! UDPRoute: where the datagrams of a port go.

use serde::Deserialize;
use serde_json::Value;

use super::place::Place;
use super::report::Report;
use super::{BackendRef, DefaultGateways, Meta, ParentRef, reference};

/// A UDPRoute as read.
#[derive(Clone, Debug, PartialEq)]
pub struct UdpRoute {
    /// Who it is.
    pub meta: Meta,
    /// What is wanted.
    pub spec: UdpRouteSpec,
    /// The stored status, as it stands.
    pub status: Option<Value>,
}

/// The specification of a UDPRoute.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UdpRouteSpec {
    /// The parents it wants to attach to.
    #[serde(default)]
    pub parent_refs: Vec<ParentRef>,
    /// Whether Gateways that serve as default are wanted too.
    #[serde(default)]
    pub use_default_gateways: Option<DefaultGateways>,
    /// The rules: exactly one.
    pub rules: Vec<UdpRule>,
}

impl UdpRouteSpec {
    pub(super) fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self { parent_refs, use_default_gateways: _, rules } = self;
        reference::check_parents(parent_refs, at, report);
        let at = at.field("rules");
        report.count(&at, rules.len(), 1, 1);
        for (index, UdpRule { name, backend_refs }) in rules.iter().enumerate() {
            reference::check_rule(name.as_deref(), backend_refs, &at.entry(index), report);
        }
    }
}

/// The rule of a UDPRoute.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UdpRule {
    /// A name for policies and logs.
    #[serde(default)]
    pub name: Option<String>,
    /// Where the datagrams go.
    #[serde(default)]
    pub backend_refs: Vec<BackendRef>,
}

#[cfg(test)]
mod tests {
    use crate::resource::fixture::{assert_accepted, assert_refused, many};

    #[test]
    fn there_is_one_rule_with_backends() {
        let backends = format!("{{rules: [{{backendRefs: {}}}]}}", many(17, "{name: b#, port: 1}"));
        assert_refused(
            "gateway.networking.k8s.io/v1",
            "UDPRoute",
            &[
                ("{}", "spec.rules", "expected a value, found none"),
                ("{rules: []}", "spec.rules", "exactly 1 entry, found 0"),
                (
                    "{rules: [{backendRefs: [{name: b, port: 1}]}, {backendRefs: [{name: b, port: 1}]}]}",
                    "spec.rules",
                    "exactly 1 entry, found 2",
                ),
                ("{rules: [{}]}", "spec.rules[0].backendRefs", "1 to 16 entries, found 0"),
                (&backends, "spec.rules[0].backendRefs", "1 to 16 entries, found 17"),
                ("{rules: [{name: A, backendRefs: [{name: b, port: 1}]}]}", "spec.rules[0].name", "a DNS name"),
            ],
        );
        assert_accepted(
            "gateway.networking.k8s.io/v1",
            "UDPRoute",
            &["{useDefaultGateways: All, rules: [{backendRefs: [{name: b, port: 1}]}]}"],
        );
    }
}
