//! Objects put and removed: who has to be judged again because of it.
//!
//! In: an object in its old and new form. Out: marks in `Dirty`. Judges nothing.

use crate::name::{Kind, ObjectId};
use crate::resource::{LabelSelector, Object};

use super::super::attach::{Namespaces, Surface, unmet};
use super::super::objects::{self, owners_of};
use super::{Dirty, State};

impl State {
    pub(super) fn put(&mut self, object: Object, dirty: &mut Dirty) {
        let new = object.clone();
        let old = self.objects.put(object);
        if !old.as_ref().is_some_and(|old| objects::is_same_but_for_status(old, &new)) {
            self.changed(old.as_ref(), Some(&new), dirty);
        } else if self.policies.get(&new.id()).is_some() {
            // How much room others leave in the list of ancestors is said by the status alone.
            dirty.touch(&new.id());
        }
    }

    pub(super) fn remove(&mut self, id: &ObjectId, dirty: &mut Dirty) {
        if let Some(old) = self.objects.remove(id) {
            self.changed(Some(&old), None, dirty);
        }
    }

    /// Marks who has to be judged again because an object changed.
    pub(super) fn changed(&mut self, old: Option<&Object>, new: Option<&Object>, dirty: &mut Dirty) {
        let Some(object) = new.or(old) else { return };
        let id = object.id();
        match object {
            Object::EndpointSlice(_) => {
                let slices = [old, new].into_iter().flatten().filter_map(|object| {
                    let Object::EndpointSlice(slice) = object else { return None };
                    Some(slice)
                });
                dirty.backends.extend(slices.flat_map(|slice| owners_of(slice)).filter(|owner| self.backends.are_of(owner)));
            }
            Object::ReferenceGrant(_) => self.regrant(old, new, dirty),
            Object::Namespace(_) => self.relabel(old, new, dirty),
            Object::GatewayClass(_)
            | Object::Gateway(_)
            | Object::ListenerSet(_)
            | Object::HttpRoute(_)
            | Object::GrpcRoute(_)
            | Object::TlsRoute(_)
            | Object::TcpRoute(_)
            | Object::UdpRoute(_) => dirty.touch(&id),
            Object::Service(_) => {
                self.mark_backend(&id, dirty);
                dirty.policed.extend(self.policies.on(&id).cloned());
            }
            Object::Secret(_) => self.certificates.forget(&id.name),
            Object::Extension(_) => drop(self.handles.remove(&id)),
            Object::BackendTlsPolicy(_) | Object::XBackendTrafficPolicy(_) | Object::XTelemetryPolicy(_) => dirty.touch(&id),
            Object::XBackend(_) => {
                self.mark_backend(&id, dirty);
                dirty.touch(&id);
            }
            Object::ServiceImport(_) => {
                self.mark_backend(&id, dirty);
                dirty.policed.extend(self.policies.on(&id).cloned());
            }
            Object::DirectResponse(_) | Object::GatewayParameters(_) => {}
            Object::ConfigMap(_) | Object::ClusterTrustBundle(_) => self.authorities.forget(&id),
        }
        for user in self.dependents.users(&id) {
            dirty.touch(user);
        }
        let is_holder = matches!(id.kind, Kind::Gateway | Kind::ListenerSet);
        if is_holder && new.is_none() {
            // What proxies acknowledged was what is gone.
            self.objects.facts.acknowledged.remove(&id);
        }
        // One that appears or goes changes what its children have to say, ours or not.
        if is_holder && old.is_some() != new.is_some() {
            dirty.reattached.extend(self.dependents.routes(&id).cloned());
            dirty.sets.extend(self.dependents.sets(&id).map(|set| set.name.clone()));
        }
    }

    /// The backends of an object are looked at again. Whoever comes to use one later sees it as it is then.
    fn mark_backend(&self, id: &ObjectId, dirty: &mut Dirty) {
        if self.backends.are_of(id) {
            dirty.backends.insert(id.clone());
        }
    }

    /// Whoever refers into the namespace of a grant from a namespace that its old or new form names.
    pub(super) fn regrant(&self, old: Option<&Object>, new: Option<&Object>, dirty: &mut Dirty) {
        for object in [old, new].into_iter().flatten() {
            let Object::ReferenceGrant(grant) = object else { continue };
            for who in self.dependents.crossing(grant.meta.name.namespace()) {
                // The listeners of a set also depend on what its Gateway refers to, from a namespace of its own.
                let is_set = who.kind == Kind::ListenerSet;
                if is_set || grant.spec.from.iter().any(|from| from.namespace == who.name.namespace()) {
                    dirty.touch(who);
                }
            }
        }
    }

    /// The routes and ListenerSets of a namespace for which a selector says otherwise than before, or says it for other reasons.
    pub(super) fn relabel(&self, old: Option<&Object>, new: Option<&Object>, dirty: &mut Dirty) {
        let Some(name) = old.or(new).map(|object| object.meta().name.name().to_owned()) else { return };
        let labels = |object: Option<&Object>| match object {
            Some(Object::Namespace(namespace)) => objects::labels_of(&name, Some(namespace)),
            Some(_) | None => objects::labels_of(&name, None),
        };
        let (before, after) = (labels(old), labels(new));
        if before == after {
            return;
        }
        let differs = |selector: &LabelSelector| unmet(selector, &before) != unmet(selector, &after);
        for (parent, children) in self.dependents.residents(&name) {
            let Some(found) = self.gateways.parent(parent) else { continue };
            let is_said_otherwise = |surface: &&Surface| match &surface.namespaces {
                Namespaces::Selector(selector) => differs(selector),
                Namespaces::Same | Namespaces::All | Namespaces::Unknown(_) => false,
            };
            let routes = found.surfaces.iter().any(is_said_otherwise);
            let allowed = self.gateways.get(&parent.name).filter(|_| parent.kind == Kind::Gateway);
            let selector = allowed.and_then(|gateway| gateway.object.spec.allowed_listeners.namespaces.selector.as_ref());
            let sets = selector.is_some_and(differs);
            for child in children {
                let is_set = child.kind == Kind::ListenerSet;
                if is_set && sets {
                    dirty.touch(child);
                } else if !is_set && routes {
                    dirty.reattached.insert(child.clone());
                }
            }
        }
    }
}
