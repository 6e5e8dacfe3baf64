//! A route attached to all its parents: those it names, and the Gateways that take routes without being named (GEP-3793).
//!
//! In: a route, the labels of its namespace, the holders of listeners. Out: a verdict per parent of ours, the listeners that carry it,
//! and who has to be watched for it.
//!
//! Invariants: every parentRef that names a Gateway of ours, or a ListenerSet of one, gets a verdict, and no other does; a Gateway's
//! own listeners are never those of its sets.

use crate::name::{GATEWAY_GROUP, Kind, ObjectId, ObjectName};
use crate::resource::{DefaultGateways, ParentRef};
use crate::snapshot::ListenerId;

use super::attach::{self, Labels, Verdict};
use super::counts::Carrying;
use super::gateways::Gateways;
use super::objects::{Objects, written_kind};
use super::route::Route;

/// What attaching a route gave.
#[derive(Debug, Default)]
pub(super) struct Attachment {
    /// Listeners that carry it with their hostnames, sorted, each once.
    pub(super) listeners: Vec<Carrying>,
    pub(super) parents: Vec<Parent>,
    /// The Gateways and ListenerSets that it names or is offered to, ours or not, sorted, each once.
    pub(super) holders: Vec<ObjectId>,
    /// The Gateways behind those, sorted, each once.
    pub(super) gateways: Vec<ObjectName>,
    /// What no status can say.
    pub(super) problems: Vec<String>,
}

/// What attaching a route through one parent gave.
#[derive(Debug)]
pub(super) struct Parent {
    pub(super) reference: ParentRef,
    pub(super) verdict: Verdict,
    /// The listeners that carry it.
    pub(super) listeners: Vec<ListenerId>,
}

/// Attaches a route.
pub(super) fn attach_route(route: &Route, labels: &impl Labels, gateways: &Gateways, objects: &Objects) -> Attachment {
    let mut attachment = Attachment::default();
    for parent in route.parents() {
        let Some(holder) = parent.holder(route.namespace()) else {
            let (kind, name) = (written_kind(&parent.group, &parent.kind), &parent.name);
            attachment.complain(format!(
                "parentRef {kind} {name}: parents of this kind are not served here; Gateway and ListenerSet of {GATEWAY_GROUP} are"
            ));
            continue;
        };
        attachment.holders.push(holder.clone());
        if !attachment.join(route, parent.clone(), &holder, labels, gateways) {
            if !is_known(&holder, objects) {
                attachment
                    .complain(format!("parentRef {}: there is no such {}, or none that could be read", holder.name, holder.kind));
            } else if holder.kind == Kind::Gateway {
                attachment.gateways.push(holder.name);
            }
        }
    }
    attachment.join_defaults(route, labels, gateways);
    attachment.problems.extend(route.remarks());
    attachment.listeners.sort_unstable();
    attachment.listeners.dedup();
    attachment.holders.sort_unstable();
    attachment.holders.dedup();
    attachment.gateways.sort_unstable();
    attachment.gateways.dedup();
    attachment
}

impl Attachment {
    /// Attaches through one parent, and tells whether it is one of ours.
    fn join(&mut self, route: &Route, parent: ParentRef, holder: &ObjectId, labels: &impl Labels, gateways: &Gateways) -> bool {
        let Some(found) = gateways.parent(holder) else { return false };
        let mut verdict = attach::attach(route, &parent, holder, &found.surfaces, labels);
        let mut carrying = Vec::new();
        if let Verdict::Attached { listeners, message } = &mut verdict {
            for surface in listeners.iter().filter_map(|at| found.surfaces.get(*at)) {
                let listener = ListenerId { parent: holder.clone(), name: surface.name.clone() };
                carrying.push(listener.clone());
                self.listeners.push((listener, surface.hostname.clone()));
            }
            if !found.is_allowed {
                message.push_str("; its Gateway does not take the ListenerSet, so nothing is served there");
            }
        }
        if found.is_allowed {
            self.gateways.push(found.gateway.clone());
        }
        self.parents.push(Parent { reference: parent, verdict, listeners: carrying });
        true
    }

    /// Says what no status can say, once for all references of which it is so.
    fn complain(&mut self, what: String) {
        if !self.problems.contains(&what) {
            self.problems.push(what);
        }
    }

    /// Attaches to the default Gateways, where the route asks for them. One that it names itself is told apart by that.
    fn join_defaults(&mut self, route: &Route, labels: &impl Labels, gateways: &Gateways) {
        match route.default_gateways() {
            Some(DefaultGateways::All) => {}
            Some(DefaultGateways::Other(scope)) => {
                let what = format!("spec.useDefaultGateways: {scope} is unknown and has no effect; All is known");
                return self.problems.push(what);
            }
            Some(DefaultGateways::None) | None => {
                if route.parents().is_empty() {
                    self.problems.push("spec.parentRefs is empty, so no Gateway serves it".to_owned());
                }
                return;
            }
        }
        let named = self.holders.clone();
        let defaults = gateways.defaults().map(|name| ObjectId::new(Kind::Gateway, name.clone()));
        for holder in defaults.filter(|holder| !named.contains(holder)) {
            let parent = ParentRef {
                group: GATEWAY_GROUP.to_owned(),
                kind: Kind::Gateway.as_str().to_owned(),
                namespace: Some(holder.name.namespace().to_owned()),
                name: holder.name.name().to_owned(),
                section_name: None,
                port: None,
            };
            self.join(route, parent, &holder, labels, gateways);
            self.holders.push(holder);
        }
        if self.holders.is_empty() {
            self.problems.push("spec.useDefaultGateways: no Gateway is a default, so none serves it".to_owned());
        }
    }
}

fn is_known(holder: &ObjectId, objects: &Objects) -> bool {
    if holder.kind == Kind::ListenerSet {
        objects.listener_sets.contains_key(&holder.name)
    } else {
        objects.gateways.contains_key(&holder.name)
    }
}
