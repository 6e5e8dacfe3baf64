//! GatewayClass: which controller is in charge of the Gateways that name the class.

use serde::Deserialize;
use serde_json::Value;

use super::place::Place;
use super::report::Report;
use super::{Meta, syntax};

/// A GatewayClass as read.
#[derive(Clone, Debug, PartialEq)]
pub struct GatewayClass {
    /// Who it is.
    pub meta: Meta,
    /// What is wanted.
    pub spec: GatewayClassSpec,
    /// The stored status, as it stands.
    pub status: Option<Value>,
}

/// The specification of a GatewayClass.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayClassSpec {
    /// The controller, as `domain/path`.
    pub controller_name: String,
    /// Where further parameters stand.
    #[serde(default)]
    pub parameters_ref: Option<ParametersRef>,
    /// What the class is for, in words.
    #[serde(default)]
    pub description: Option<String>,
}

impl GatewayClassSpec {
    pub(super) fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self { controller_name, parameters_ref, description } = self;
        report.text(&at.field("controllerName"), controller_name, syntax::DOMAIN_PATH);
        if let Some(description) = description {
            report.short(&at.field("description"), description, 64);
        }
        if let Some(ParametersRef { group, kind, name, namespace }) = parameters_ref {
            let at = at.field("parametersRef");
            report.text(&at.field("group"), group, syntax::GROUP);
            report.text(&at.field("kind"), kind, syntax::KIND);
            report.text(&at.field("name"), name, syntax::NAME);
            report.optional_text(&at.field("namespace"), namespace.as_deref(), syntax::LABEL);
        }
    }
}

/// The parameters of a class, cluster-scoped or in a namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParametersRef {
    /// The group.
    pub group: String,
    /// The kind.
    pub kind: String,
    /// The name.
    pub name: String,
    /// The namespace; none for a cluster-scoped target.
    #[serde(default)]
    pub namespace: Option<String>,
}

#[cfg(test)]
mod tests {
    use crate::resource::fixture::{assert_accepted, assert_refused};

    #[test]
    fn a_class_names_its_controller() {
        let long = format!("{{controllerName: a.b/{}}}", "c".repeat(250));
        let wordy = format!("{{controllerName: a.b/c, description: {}}}", "d".repeat(65));
        assert_refused(
            "gateway.networking.k8s.io/v1",
            "GatewayClass",
            &[
                ("{}", "spec.controllerName", "expected a value, found none"),
                ("{controllerName: example.com}", "spec.controllerName", "a domain and a path"),
                ("{controllerName: example.com/}", "spec.controllerName", "a domain and a path"),
                ("{controllerName: Example.com/x}", "spec.controllerName", "found \"Example.com/x\""),
                (&long, "spec.controllerName", "at most 253"),
                (&wordy, "spec.description", "at most 64 characters, found 65"),
                (
                    "{controllerName: a.b/c, parametersRef: {group: A_, kind: K, name: nm}}",
                    "spec.parametersRef.group",
                    "an API group",
                ),
                ("{controllerName: a.b/c, parametersRef: {group: a, kind: 1K, name: nm}}", "spec.parametersRef.kind", "a kind"),
                ("{controllerName: a.b/c, parametersRef: {group: a, kind: K, name: ''}}", "spec.parametersRef.name", "1 to 253"),
                (
                    "{controllerName: a.b/c, parametersRef: {group: a, kind: K, name: nm, namespace: a.b}}",
                    "spec.parametersRef.namespace",
                    "a DNS label",
                ),
            ],
        );
        assert_accepted(
            "gateway.networking.k8s.io/v1",
            "GatewayClass",
            &["{controllerName: example.com/a/b.c~d, parametersRef: {group: '', kind: ConfigMap, name: nm, namespace: ns}}"],
        );
    }
}
