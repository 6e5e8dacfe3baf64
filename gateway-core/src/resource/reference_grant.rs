//! ReferenceGrant: who may refer to objects of its namespace. It stands beside the targets, not the referrers.

use serde::Deserialize;

use super::Meta;

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
