//! TLSRoute: where TLS connections go, by the server name the client asks for.

use serde::Deserialize;
use serde_json::Value;

use super::place::Place;
use super::report::Report;
use super::{BackendRef, DefaultGateways, Meta, ParentRef, reference, syntax};

/// A TLSRoute as read.
#[derive(Clone, Debug, PartialEq)]
pub struct TlsRoute {
    /// Who it is.
    pub meta: Meta,
    /// What is wanted.
    pub spec: TlsRouteSpec,
    /// The stored status, as it stands.
    pub status: Option<Value>,
}

/// The specification of a TLSRoute.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TlsRouteSpec {
    /// The parents it wants to attach to.
    #[serde(default)]
    pub parent_refs: Vec<ParentRef>,
    /// Whether Gateways that serve as default are wanted too.
    #[serde(default)]
    pub use_default_gateways: Option<DefaultGateways>,
    /// The server names, exact or with a leading `*.`.
    #[serde(default)]
    pub hostnames: Vec<String>,
    /// The rules: exactly one.
    pub rules: Vec<TlsRule>,
}

impl TlsRouteSpec {
    pub(super) fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self { parent_refs, use_default_gateways: _, hostnames, rules } = self;
        reference::check_parents(parent_refs, at, report);
        let place = at.field("hostnames");
        report.count(&place, hostnames.len(), 1, 1024);
        for (index, hostname) in hostnames.iter().enumerate() {
            report.text(&place.entry(index), hostname, syntax::SERVER_NAME);
        }
        let at = at.field("rules");
        report.count(&at, rules.len(), 1, 1);
        for (index, TlsRule { name, backend_refs }) in rules.iter().enumerate() {
            reference::check_rule(name.as_deref(), backend_refs, &at.entry(index), report);
        }
    }
}

/// The rule of a TLSRoute.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TlsRule {
    /// A name for policies and logs.
    #[serde(default)]
    pub name: Option<String>,
    /// Where the connections go.
    #[serde(default)]
    pub backend_refs: Vec<BackendRef>,
}

#[cfg(test)]
mod tests {
    use crate::resource::fixture::{assert_accepted, assert_refused, many};

    #[test]
    fn there_is_one_rule_and_a_server_name() {
        let route = |hostnames: &str| format!("{{hostnames: {hostnames}, rules: [{{backendRefs: [{{name: b, port: 1}}]}}]}}");
        assert_refused(
            "gateway.networking.k8s.io/v1",
            "TLSRoute",
            &[
                ("{rules: [{backendRefs: [{name: b, port: 1}]}]}".to_owned(), "spec.hostnames", "1 to 1024 entries, found 0"),
                (route("[]"), "spec.hostnames", "1 to 1024 entries, found 0"),
                (route(&many(1025, "h#.com")), "spec.hostnames", "1 to 1024 entries, found 1025"),
                (route("[10.0.0.1]"), "spec.hostnames[0]", "and no address"),
                (route("['a.*.com']"), "spec.hostnames[0]", "a lower-case host name"),
                (route("['*']"), "spec.hostnames[0]", "a lower-case host name"),
                (route("[a.com, B.com]"), "spec.hostnames[1]", "found \"B.com\""),
                ("{hostnames: [a.com], rules: []}".to_owned(), "spec.rules", "exactly 1 entry, found 0"),
                ("{hostnames: [a.com], rules: [{}]}".to_owned(), "spec.rules[0].backendRefs", "1 to 16 entries, found 0"),
            ],
        );
        assert_accepted("gateway.networking.k8s.io/v1", "TLSRoute", &[route("[a.com, '*.a.com']")]);
    }
}
