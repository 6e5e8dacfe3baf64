//! References from one object to another, with the groups and kinds the schema infers where a manifest leaves them out.
//!
//! In: references as written. Out: references whose group and kind are always stated. Whether the target exists, and whether it
//! may be referred to, is asked elsewhere.

use serde::{Deserialize, Serialize};

use crate::name::{EXPERIMENTAL_GROUP, GATEWAY_GROUP, Kind, ObjectId, ObjectName};

use super::place::Place;
use super::report::Report;
use super::{number, syntax};

/// A parent a route wants to attach to. Serialised as status repeats it: as stored, defaulted group and kind included.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentRef {
    /// The group; `gateway.networking.k8s.io` unless stated.
    #[serde(default = "gateway_group")]
    pub group: String,
    /// The kind; `Gateway` unless stated.
    #[serde(default = "gateway_kind")]
    pub kind: String,
    /// The namespace; the route's own unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
    /// The name of a section, for a Gateway that of a listener.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section_name: Option<String>,
    /// The port, for a Gateway that of its listeners.
    #[serde(default, deserialize_with = "number::optional_port", skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

impl ParentRef {
    /// The name of the parent, as seen from an object in `namespace`.
    pub fn target(&self, namespace: &str) -> ObjectName {
        ObjectName::new(self.namespace.as_deref().unwrap_or(namespace), &self.name)
    }

    /// Whether the parent is a Gateway.
    pub fn is_gateway(&self) -> bool {
        self.group == GATEWAY_GROUP && self.kind == GATEWAY_KIND
    }

    /// The parent, as seen from an object in `namespace`, where it is a Gateway or a ListenerSet.
    pub fn holder(&self, namespace: &str) -> Option<ObjectId> {
        let kind = Kind::named(&self.group, &self.kind).filter(|kind| matches!(kind, Kind::Gateway | Kind::ListenerSet))?;
        Some(ObjectId::new(kind, self.target(namespace)))
    }
}

/// What must hold of all parents of a route together, and of each.
pub(super) fn check_parents(parents: &[ParentRef], at: &Place<'_>, report: &mut Report) {
    let at = at.field("parentRefs");
    report.count(&at, parents.len(), 0, MAX_PARENTS);
    for (index, parent) in parents.iter().enumerate() {
        let at = at.entry(index);
        report.text(&at.field("group"), &parent.group, syntax::GROUP);
        report.text(&at.field("kind"), &parent.kind, syntax::KIND);
        report.optional_text(&at.field("namespace"), parent.namespace.as_deref(), syntax::LABEL);
        report.text(&at.field("name"), &parent.name, syntax::NAME);
        report.optional_text(&at.field("sectionName"), parent.section_name.as_deref(), syntax::SUBDOMAIN);
        for (earlier, other) in parents.iter().enumerate().take(index.min(MAX_PARENTS)) {
            let is_same = |a: &ParentRef, b: &ParentRef| {
                (&a.group, &a.kind, &a.namespace, &a.name) == (&b.group, &b.kind, &b.namespace, &b.name)
            };
            let names = |parent: &ParentRef| (parent.section_name.is_some(), parent.port.is_some());
            if !is_same(parent, other) {
                continue;
            }
            if names(parent) != names(other) {
                let expected = "expected sectionName or port, the same of both, in every reference to the same parent";
                report.refuse(&at, format!("{expected}, found entry {earlier} to differ in this"));
            } else if (&parent.section_name, parent.port) == (&other.section_name, other.port) {
                report.refuse(
                    &at,
                    format!("expected another sectionName or port for the same parent, found those of entry {earlier} again"),
                );
            } else {
                continue;
            }
            break;
        }
    }
}

/// Where requests, streams or datagrams are sent, without a share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendObjectRef {
    /// The group; the core group unless stated.
    #[serde(default)]
    pub group: String,
    /// The kind; `Service` unless stated.
    #[serde(default = "service_kind")]
    pub kind: String,
    /// The name.
    pub name: String,
    /// The namespace; the referring object's own unless stated.
    #[serde(default)]
    pub namespace: Option<String>,
    /// The port of the Service, not of its pods.
    #[serde(default, deserialize_with = "number::optional_port")]
    pub port: Option<u16>,
}

impl BackendObjectRef {
    /// The name of the backend, as seen from an object in `namespace`.
    pub fn target(&self, namespace: &str) -> ObjectName {
        ObjectName::new(self.namespace.as_deref().unwrap_or(namespace), &self.name)
    }

    /// Whether the backend is a Service of the core group.
    pub fn is_service(&self) -> bool {
        self.group.is_empty() && self.kind == SERVICE_KIND
    }
}

impl BackendObjectRef {
    pub(super) fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self { group, kind, name, namespace, port } = self;
        report.text(&at.field("group"), group, syntax::GROUP);
        report.text(&at.field("kind"), kind, syntax::KIND);
        report.text(&at.field("name"), name, syntax::NAME);
        report.optional_text(&at.field("namespace"), namespace.as_deref(), syntax::LABEL);
        if self.is_service() && port.is_none() {
            report.refuse(&at.field("port"), "expected a port, as the kind is Service, found none");
        }
        if group == XBACKEND.0 && kind == XBACKEND.1 && port.is_some() {
            report.refuse(&at.field("port"), "expected none, as the port is that of the XBackend, found one");
        }
    }
}

/// A backend and its share, of a rule without filters at backends: TLSRoute, TCPRoute, UDPRoute.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "StatedBackendRef")]
pub struct BackendRef {
    /// The backend.
    pub object: BackendObjectRef,
    /// Its share of the sum of all weights of the rule; 1 unless stated.
    pub weight: u32,
}

/// The rule of a TLSRoute, TCPRoute or UDPRoute.
pub(super) fn check_rule(name: Option<&str>, backends: &[BackendRef], at: &Place<'_>, report: &mut Report) {
    report.optional_text(&at.field("name"), name, syntax::SUBDOMAIN);
    let at = at.field("backendRefs");
    report.count(&at, backends.len(), 1, MAX_BACKENDS);
    for (index, backend) in backends.iter().enumerate() {
        backend.object.check(&at.entry(index), report);
    }
}

/// The fields of a [`BackendRef`] side by side, as manifests have them: flattening would hide unknown fields from the reader.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatedBackendRef {
    #[serde(default)]
    group: String,
    #[serde(default = "service_kind")]
    kind: String,
    name: String,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default, deserialize_with = "number::optional_port")]
    port: Option<u16>,
    #[serde(default = "number::one", deserialize_with = "number::weight")]
    weight: u32,
}

impl From<StatedBackendRef> for BackendRef {
    fn from(stated: StatedBackendRef) -> Self {
        let StatedBackendRef { group, kind, name, namespace, port, weight } = stated;
        Self { object: BackendObjectRef { group, kind, name, namespace, port }, weight }
    }
}

/// A backend and its share, of a rule that may have filters `F` at its backends.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "StatedFilteredBackendRef<F>")]
pub struct FilteredBackendRef<F> {
    /// The backend.
    pub object: BackendObjectRef,
    /// Its share of the sum of all weights of the rule; 1 unless stated.
    pub weight: u32,
    /// Filters for what goes to this backend.
    pub filters: Vec<F>,
}

/// The fields of a [`FilteredBackendRef`] side by side.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatedFilteredBackendRef<F> {
    #[serde(default)]
    group: String,
    #[serde(default = "service_kind")]
    kind: String,
    name: String,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default, deserialize_with = "number::optional_port")]
    port: Option<u16>,
    #[serde(default = "number::one", deserialize_with = "number::weight")]
    weight: u32,
    #[serde(default = "Vec::new")]
    filters: Vec<F>,
}

impl<F> From<StatedFilteredBackendRef<F>> for FilteredBackendRef<F> {
    fn from(stated: StatedFilteredBackendRef<F>) -> Self {
        let StatedFilteredBackendRef { group, kind, name, namespace, port, weight, filters } = stated;
        Self { object: BackendObjectRef { group, kind, name, namespace, port }, weight, filters }
    }
}

/// A certificate with its key, usually in a Secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretObjectRef {
    /// The group; the core group unless stated.
    #[serde(default)]
    pub group: String,
    /// The kind; `Secret` unless stated.
    #[serde(default = "secret_kind")]
    pub kind: String,
    /// The name.
    pub name: String,
    /// The namespace; the referring object's own unless stated.
    #[serde(default)]
    pub namespace: Option<String>,
}

impl SecretObjectRef {
    /// The name of the target, as seen from an object in `namespace`.
    pub fn target(&self, namespace: &str) -> ObjectName {
        ObjectName::new(self.namespace.as_deref().unwrap_or(namespace), &self.name)
    }

    /// Whether the target is a Secret of the core group.
    pub fn is_secret(&self) -> bool {
        self.group.is_empty() && self.kind == SECRET_KIND
    }
}

impl SecretObjectRef {
    pub(super) fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self { group, kind, name, namespace } = self;
        report.text(&at.field("group"), group, syntax::GROUP);
        report.text(&at.field("kind"), kind, syntax::KIND);
        report.text(&at.field("name"), name, syntax::NAME);
        report.optional_text(&at.field("namespace"), namespace.as_deref(), syntax::LABEL);
    }
}

/// An object of any kind, perhaps in another namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// The group.
    pub group: String,
    /// The kind.
    pub kind: String,
    /// The name.
    pub name: String,
    /// The namespace; the referring object's own unless stated, and none for a cluster-scoped target.
    #[serde(default)]
    pub namespace: Option<String>,
}

impl ObjectRef {
    pub(super) fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self { group, kind, name, namespace } = self;
        report.text(&at.field("group"), group, syntax::GROUP);
        report.text(&at.field("kind"), kind, syntax::KIND);
        report.text(&at.field("name"), name, syntax::NAME);
        report.optional_text(&at.field("namespace"), namespace.as_deref(), syntax::LABEL);
    }
}

/// An object of any kind in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LocalObjectRef {
    /// The group.
    pub group: String,
    /// The kind.
    pub kind: String,
    /// The name.
    pub name: String,
}

impl LocalObjectRef {
    pub(super) fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self { group, kind, name } = self;
        report.text(&at.field("group"), group, syntax::GROUP);
        report.text(&at.field("kind"), kind, syntax::KIND);
        report.text(&at.field("name"), name, syntax::NAME);
    }
}

/// The targets of a policy that applies to each as a whole.
pub(super) fn check_targets(targets: &[LocalObjectRef], at: &Place<'_>, report: &mut Report) {
    report.count(at, targets.len(), 1, MAX_TARGETS);
    report.unique(at, targets, "a target");
    for (index, target) in targets.iter().enumerate() {
        target.check(&at.entry(index), report);
    }
}

pub(super) fn gateway_group() -> String {
    GATEWAY_GROUP.to_owned()
}

pub(super) fn gateway_kind() -> String {
    GATEWAY_KIND.to_owned()
}

fn service_kind() -> String {
    SERVICE_KIND.to_owned()
}

fn secret_kind() -> String {
    SECRET_KIND.to_owned()
}

const GATEWAY_KIND: &str = "Gateway";
const SERVICE_KIND: &str = "Service";
const SECRET_KIND: &str = "Secret";

/// Group and kind of a backend whose port is its own.
const XBACKEND: (&str, &str) = (EXPERIMENTAL_GROUP, "XBackend");
const MAX_PARENTS: usize = 32;
/// The most targets of a policy.
pub(super) const MAX_TARGETS: usize = 16;
/// The most backends of a rule.
pub(super) const MAX_BACKENDS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::fixture::{assert_accepted, assert_refused, many};

    const V1: &str = "gateway.networking.k8s.io/v1";

    fn parents(refs: &str) -> String {
        format!("{{parentRefs: {refs}, rules: [{{backendRefs: [{{name: b, port: 1}}]}}]}}")
    }

    fn backend(reference: &str) -> String {
        format!("{{rules: [{{backendRefs: [{reference}]}}]}}")
    }

    #[test]
    fn status_repeats_a_parent_as_stored() {
        let parent: ParentRef = serde_json::from_str(r#"{"name": "g", "sectionName": "s"}"#).unwrap();
        let repeated = serde_json::to_value(&parent).unwrap();
        let expected =
            serde_json::json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "g", "sectionName": "s"});
        assert_eq!(repeated, expected);
        assert_eq!(parent.target("team").as_str(), "team/g");
        assert!(parent.is_gateway());
    }

    #[test]
    fn parents_are_few_and_distinct() {
        assert_refused(
            V1,
            "TCPRoute",
            &[
                (parents(&many(33, "{name: g#}")), "spec.parentRefs", "at most 32"),
                (parents("[{name: g}, {name: g}]"), "spec.parentRefs[1]", "another sectionName or port"),
                (
                    parents("[{name: g, sectionName: a}, {name: g}]"),
                    "spec.parentRefs[1]",
                    "the same of both, in every reference to the same parent",
                ),
                (parents("[{name: g, port: 1}, {name: g, sectionName: a}]"), "spec.parentRefs[1]", "found entry 0 to differ"),
                (
                    parents("[{name: g, sectionName: a, port: 1}, {name: g, sectionName: a, port: 1}]"),
                    "spec.parentRefs[1]",
                    "found those of entry 0 again",
                ),
                (parents("[{name: ''}]"), "spec.parentRefs[0].name", "1 to 253"),
                (parents("[{name: g, namespace: a.b}]"), "spec.parentRefs[0].namespace", "a DNS label"),
                (parents("[{name: g, sectionName: ''}]"), "spec.parentRefs[0].sectionName", "a DNS name"),
                (parents("[{name: g, port: 65536}]"), "spec.parentRefs[0].port", "a port from 1 to 65535"),
                (parents("[{name: g, group: a_b}]"), "spec.parentRefs[0].group", "an API group"),
                (parents("[{name: g, kind: ''}]"), "spec.parentRefs[0].kind", "a kind"),
            ],
        );
        assert_accepted(
            V1,
            "TCPRoute",
            &[
                parents("[{name: g, sectionName: a}, {name: g, sectionName: b}]"),
                parents("[{name: g, port: 1}, {name: g, port: 2}]"),
                parents("[{name: g}, {name: g, namespace: other}, {name: g, kind: Service, group: ''}]"),
            ],
        );
    }

    #[test]
    fn a_service_has_a_port_and_a_share() {
        assert_refused(
            V1,
            "TCPRoute",
            &[
                (backend("{name: b}"), "spec.rules[0].backendRefs[0].port", "as the kind is Service, found none"),
                (
                    backend("{name: b, group: gateway.networking.x-k8s.io, kind: XBackend, port: 1}"),
                    "spec.rules[0].backendRefs[0].port",
                    "the port is that of the XBackend",
                ),
                (backend("{name: b, port: 1, weight: -1}"), "spec.rules[0].backendRefs[0].weight", "from 0 to 1000000"),
                (backend("{name: b, port: 1, weight: 1000001}"), "spec.rules[0].backendRefs[0].weight", "from 0 to 1000000"),
                (backend("{port: 1}"), "spec.rules[0].backendRefs[0].name", "expected a value, found none"),
                (backend("{name: b, port: '80'}"), "spec.rules[0].backendRefs[0].port", "found string \"80\""),
                (backend("{name: b, port: 1, namespace: ''}"), "spec.rules[0].backendRefs[0].namespace", "a DNS label"),
            ],
        );
        assert_accepted(
            V1,
            "TCPRoute",
            &[
                backend("{name: b, port: 1, weight: 0}"),
                backend("{name: b, group: multicluster.x-k8s.io, kind: ServiceImport}"),
                backend("{name: b, group: gateway.networking.x-k8s.io, kind: XBackend}"),
            ],
        );
    }
}
