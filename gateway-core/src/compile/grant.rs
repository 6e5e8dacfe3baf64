//! Which references across namespaces are permitted (ReferenceGrant, GEP-709).
//!
//! In: who refers to what, and the grants of the target's namespace. Out: yes or no. Whether the target exists is never asked
//! before, so that an answer tells nothing of it.

use std::sync::Arc;

use crate::name::{Kind, ObjectId};
use crate::resource::{self, ReferenceGrant};

use super::objects::Objects;

/// A reference to judge.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reference<'a> {
    /// The referring kind.
    pub(super) from: &'a Kind,
    /// The referring object's namespace.
    pub(super) namespace: &'a str,
    /// The target.
    pub(super) to: &'a ObjectId,
}

impl Reference<'_> {
    /// Whether the reference crosses namespaces and so needs a grant. What is in no namespace is everybody's.
    pub(super) fn crosses(&self) -> bool {
        !self.to.kind.is_cluster_scoped() && self.namespace != self.to.name.namespace()
    }

    /// The grants that permit it.
    pub(super) fn grants<'o>(&self, objects: &'o Objects) -> impl Iterator<Item = &'o Arc<ReferenceGrant>> {
        let to = &self.to;
        let reference = resource::Reference {
            from_group: self.from.group(),
            from_kind: self.from.as_str(),
            from_namespace: self.namespace,
            to_group: to.kind.group(),
            to_kind: to.kind.as_str(),
            to_namespace: to.name.namespace(),
            to_name: to.name.name(),
        };
        objects.grants(to.name.namespace()).filter(move |grant| grant.permits(&reference))
    }

    /// What to add to permit it, in words that are the same whether the target exists or not.
    pub(super) fn advice(&self) -> String {
        format!(
            "{} {} is in another namespace; a ReferenceGrant in namespace {} has to allow references from {} in namespace {}",
            self.to.kind,
            self.to.name,
            self.to.name.namespace(),
            self.from,
            self.namespace
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::ObjectName;
    use crate::resource::{FieldValidation, Reader, Reading, read};
    use crate::snapshot::Writer;

    #[test]
    fn a_grant_names_the_referring_kind_with_its_own_group() {
        let rows = [
            (Kind::HttpRoute, "gateway.networking.k8s.io"),
            (Kind::Gateway, "gateway.networking.k8s.io"),
            (Kind::ListenerSet, "gateway.networking.k8s.io"),
            (Kind::XTelemetryPolicy, "gateway.networking.x-k8s.io"),
        ];
        let to = ObjectId::new(Kind::Service, ObjectName::new("vault", "target"));
        for (from, group) in rows {
            for (stated, is_permitted) in [(group, true), ("example.com", false)] {
                let grant = serde_json::json!({
                    "apiVersion": "gateway.networking.k8s.io/v1", "kind": "ReferenceGrant",
                    "metadata": {"name": "g", "namespace": "vault"},
                    "spec": {
                        "from": [{"group": stated, "kind": from.as_str(), "namespace": "infra"}],
                        "to": [{"group": "", "kind": "Service"}],
                    },
                });
                let reader = Reader { validation: FieldValidation::Strict, lenient_forms: false, extensions: Vec::new() };
                let Ok(Reading::Object { object, .. }) = read(grant, &reader) else { panic!("it is valid") };
                let mut objects = Objects::new(Writer::new(7).seed(), None);
                objects.put(object);
                let asked = Reference { from: &from, namespace: "infra", to: &to };
                assert_eq!(asked.grants(&objects).next().is_some(), is_permitted, "{from} of {stated}");
            }
        }
    }

    #[test]
    fn what_is_in_no_namespace_or_in_ones_own_needs_no_grant() {
        let roots = ObjectId::new(Kind::ClusterTrustBundle, ObjectName::cluster("roots"));
        let own = ObjectId::new(Kind::Secret, ObjectName::new("infra", "cert"));
        let others = ObjectId::new(Kind::Secret, ObjectName::new("vault", "cert"));
        for (to, crosses) in [(roots, false), (own, false), (others, true)] {
            assert_eq!(Reference { from: &Kind::Gateway, namespace: "infra", to: &to }.crosses(), crosses, "{to}");
        }
    }
}
