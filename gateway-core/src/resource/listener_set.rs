//! ListenerSet: listeners that somebody else adds to a Gateway.
//!
//! In: a ListenerSet as written. Out: its parent, with what the schema infers, and its listeners, which are those of `listener`.
//! Whether the Gateway admits it, and how the listeners of several sets merge, is asked elsewhere.

use serde::Deserialize;
use serde_json::Value;

use super::place::Place;
use super::report::Report;
use super::{Listener, Meta, ObjectRef, listener};
use crate::name::{GATEWAY_GROUP, ObjectName};

use super::reference::{gateway_group, gateway_kind};

/// A ListenerSet as read.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenerSet {
    /// Who it is.
    pub meta: Meta,
    /// What is wanted.
    pub spec: ListenerSetSpec,
    /// The stored status, as it stands.
    pub status: Option<Value>,
}

/// The specification of a ListenerSet.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerSetSpec {
    /// The Gateway it adds to.
    pub parent_ref: ParentGatewayRef,
    /// The listeners.
    #[serde(default)]
    pub listeners: Vec<Listener>,
}

impl ListenerSetSpec {
    pub(super) fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self { parent_ref, listeners } = self;
        parent_ref.to_object_ref().check(&at.field("parentRef"), report);
        listener::check_all(listeners, listener::Holder::ListenerSet, &at.field("listeners"), report);
    }
}

/// The parent of a ListenerSet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentGatewayRef {
    /// The group; `gateway.networking.k8s.io` unless stated.
    #[serde(default = "gateway_group")]
    pub group: String,
    /// The kind; `Gateway` unless stated.
    #[serde(default = "gateway_kind")]
    pub kind: String,
    /// The name.
    pub name: String,
    /// The namespace; the set's own unless stated.
    #[serde(default)]
    pub namespace: Option<String>,
}

impl ParentGatewayRef {
    /// The name of the parent, as seen from a set in `namespace`.
    pub fn target(&self, namespace: &str) -> ObjectName {
        ObjectName::new(self.namespace.as_deref().unwrap_or(namespace), &self.name)
    }

    /// Whether the parent is a Gateway.
    pub fn is_gateway(&self) -> bool {
        self.group == GATEWAY_GROUP && self.kind == "Gateway"
    }

    fn to_object_ref(&self) -> ObjectRef {
        let Self { group, kind, name, namespace } = self.clone();
        ObjectRef { group, kind, name, namespace }
    }
}

#[cfg(test)]
mod tests {
    use crate::resource::fixture::{assert_accepted, assert_refused, document, object};
    use crate::resource::{FromNamespaces, Object};

    const V1: &str = "gateway.networking.k8s.io/v1";

    #[test]
    fn what_is_left_out_is_filled_in() {
        let yaml = document(V1, "ListenerSet", "spec: {parentRef: {name: g}, listeners: [{name: a, port: 80, protocol: HTTP}]}");
        let Object::ListenerSet(set) = object(&yaml) else { panic!("no ListenerSet") };
        assert!(set.spec.parent_ref.is_gateway());
        assert_eq!(set.spec.parent_ref.target("team").as_str(), "team/g");
        assert_eq!(set.spec.listeners[0].allowed_routes.namespaces.from, FromNamespaces::Same);
    }

    #[test]
    fn a_set_has_one_parent_and_listeners() {
        let listeners = "listeners: [{name: a, port: 80, protocol: HTTP}]";
        assert_refused(
            V1,
            "ListenerSet",
            &[
                (format!("{{{listeners}}}"), "spec.parentRef", "expected a value, found none"),
                (format!("{{parentRef: {{}}, {listeners}}}"), "spec.parentRef.name", "expected a value, found none"),
                (format!("{{parentRef: {{name: ''}}, {listeners}}}"), "spec.parentRef.name", "1 to 253"),
                (format!("{{parentRef: {{name: g, namespace: A}}, {listeners}}}"), "spec.parentRef.namespace", "a DNS label"),
                (format!("{{parentRef: {{name: g, group: a_b}}, {listeners}}}"), "spec.parentRef.group", "an API group"),
                (
                    format!("{{parentRef: {{name: g, sectionName: a}}, {listeners}}}"),
                    "spec.parentRef.sectionName",
                    "a field of ListenerSet",
                ),
                ("{parentRef: {name: g}}".to_owned(), "spec.listeners", "1 to 64 entries, found 0"),
                ("{parentRef: {name: g}, listeners: []}".to_owned(), "spec.listeners", "1 to 64 entries, found 0"),
                (
                    "{parentRef: {name: g}, listeners: [{name: a, protocol: HTTP}]}".to_owned(),
                    "spec.listeners[0].port",
                    "expected a value, found none",
                ),
            ],
        );
        let filters = "listeners: [{name: a, port: 80, protocol: TCP, filters: {requests: []}}]";
        assert_accepted(
            V1,
            "ListenerSet",
            &[
                format!("{{parentRef: {{name: g, kind: Mesh, group: a.b}}, {listeners}}}"),
                format!("{{parentRef: {{name: g}}, {filters}}}"),
            ],
        );
    }
}
