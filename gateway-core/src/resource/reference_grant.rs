//! ReferenceGrant: who may refer to objects of its namespace. It stands beside the targets, not the referrers.

use serde::Deserialize;

use super::place::Place;
use super::report::Report;
use super::{Meta, syntax};

/// A ReferenceGrant as read.
#[derive(Clone, Debug, PartialEq)]
pub struct ReferenceGrant {
    /// Who it is.
    pub meta: Meta,
    /// What is granted.
    pub spec: ReferenceGrantSpec,
}

impl ReferenceGrant {
    /// Whether this grant alone permits the reference.
    pub fn permits(&self, reference: &Reference<'_>) -> bool {
        let from = |from: &GrantFrom| {
            from.group == reference.from_group && from.kind == reference.from_kind && from.namespace == reference.from_namespace
        };
        let to = |to: &GrantTo| {
            to.group == reference.to_group
                && to.kind == reference.to_kind
                && to.name.as_deref().is_none_or(|name| name.is_empty() || name == reference.to_name)
        };
        self.meta.name.namespace() == reference.to_namespace && self.spec.from.iter().any(from) && self.spec.to.iter().any(to)
    }
}

/// A reference that crosses namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference<'a> {
    /// The group of the object that refers.
    pub from_group: &'a str,
    /// Its kind.
    pub from_kind: &'a str,
    /// Its namespace.
    pub from_namespace: &'a str,
    /// The group of the target.
    pub to_group: &'a str,
    /// Its kind.
    pub to_kind: &'a str,
    /// Its namespace.
    pub to_namespace: &'a str,
    /// Its name.
    pub to_name: &'a str,
}

/// The specification of a ReferenceGrant: any of `from` may refer to any of `to`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReferenceGrantSpec {
    /// Who may refer.
    pub from: Vec<GrantFrom>,
    /// To what.
    pub to: Vec<GrantTo>,
}

impl ReferenceGrantSpec {
    pub(super) fn check(&self, at: &Place<'_>, report: &mut Report) {
        let place = at.field("from");
        report.count(&place, self.from.len(), 1, 16);
        for (index, GrantFrom { group, kind, namespace }) in self.from.iter().enumerate() {
            report.text(&place.entry(index).field("group"), group, syntax::GROUP);
            report.text(&place.entry(index).field("kind"), kind, syntax::KIND);
            report.text(&place.entry(index).field("namespace"), namespace, syntax::LABEL);
        }
        let place = at.field("to");
        report.count(&place, self.to.len(), 1, 16);
        for (index, GrantTo { group, kind, name }) in self.to.iter().enumerate() {
            report.text(&place.entry(index).field("group"), group, syntax::GROUP);
            report.text(&place.entry(index).field("kind"), kind, syntax::KIND);
            report.optional_text(&place.entry(index).field("name"), name.as_deref(), syntax::NAME);
        }
    }
}

/// Who may refer: all objects of a kind in a namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrantFrom {
    /// The group.
    pub group: String,
    /// The kind.
    pub kind: String,
    /// The namespace.
    pub namespace: String,
}

/// To what: one object of a kind, or all of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrantTo {
    /// The group.
    pub group: String,
    /// The kind.
    pub kind: String,
    /// The name; all of the kind when absent.
    #[serde(default)]
    pub name: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Object;
    use crate::resource::fixture::{assert_refused, document, many, object};

    const V1: &str = "gateway.networking.k8s.io/v1beta1";

    #[test]
    fn any_of_from_may_refer_to_any_of_to() {
        let spec = "spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: web}], to: [{group: '', kind: Service, name: a}, {group: '', kind: Secret}]}";
        let Object::ReferenceGrant(grant) = object(&document(V1, "ReferenceGrant", spec)) else { panic!("no grant") };
        let reference = Reference {
            from_group: "gateway.networking.k8s.io",
            from_kind: "HTTPRoute",
            from_namespace: "web",
            to_group: "",
            to_kind: "Service",
            to_namespace: "team",
            to_name: "a",
        };
        for (permitted, reference) in [
            (true, reference),
            (false, Reference { to_name: "b", ..reference }),
            (true, Reference { to_kind: "Secret", to_name: "b", ..reference }),
            (false, Reference { to_kind: "ConfigMap", ..reference }),
            (false, Reference { to_group: "x", ..reference }),
            (false, Reference { to_namespace: "web", ..reference }),
            (false, Reference { from_kind: "GRPCRoute", ..reference }),
            (false, Reference { from_group: "", ..reference }),
            (false, Reference { from_namespace: "team", ..reference }),
        ] {
            assert_eq!(grant.permits(&reference), permitted, "{reference:?}");
        }
    }

    #[test]
    fn a_grant_says_from_where_to_what() {
        let from = "from: [{group: a, kind: K, namespace: ns}]";
        let to = "to: [{group: '', kind: Service}]";
        assert_refused(
            V1,
            "ReferenceGrant",
            &[
                (format!("{{{from}, to: []}}"), "spec.to", "1 to 16 entries, found 0"),
                (format!("{{from: [], {to}}}"), "spec.from", "1 to 16 entries, found 0"),
                (
                    format!("{{{to}, from: {}}}", many(17, "{group: a, kind: K, namespace: ns#}")),
                    "spec.from",
                    "1 to 16 entries, found 17",
                ),
                (format!("{{{from}, to: {}}}", many(17, "{group: a, kind: K#}")), "spec.to", "1 to 16 entries, found 17"),
                (format!("{{{from}}}"), "spec.to", "expected a value, found none"),
                (format!("{{{to}, from: [{{group: a, kind: K, namespace: '*'}}]}}"), "spec.from[0].namespace", "a DNS label"),
                (format!("{{{to}, from: [{{kind: K, namespace: a}}]}}"), "spec.from[0].group", "expected a value, found none"),
                (format!("{{{from}, to: [{{group: '', kind: '*'}}]}}"), "spec.to[0].kind", "a kind"),
                (format!("{{{from}, to: [{{group: '', kind: Service, name: ''}}]}}"), "spec.to[0].name", "1 to 253"),
            ],
        );
    }
}
