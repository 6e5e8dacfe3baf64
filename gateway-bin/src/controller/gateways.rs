//! What is to be made for Gateways that changed, and what became of their addresses.
//!
//! In: Gateways that may need something else than they have. Out: the objects wanted for each, and facts for the compiler: addresses
//! given or refused, ports that proxies could not open. Writes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gateway_core::compile::{Bound, Change, Fact};
use gateway_core::condition::{ConditionType, Truth};
use gateway_core::name::{Kind, ObjectId, ObjectName};
use gateway_core::resource::{Gateway, ListenerSet, Protocol};
use gateway_core::snapshot::{Socket, Transport};
use gateway_core::status::{Part, Status};
use serde_json::Value;

use super::apply::Applier;
use crate::cluster::address::{self, Asking, Held};
use crate::cluster::child::ChildId;
use crate::cluster::discover::Subject;
use crate::cluster::provision::{self, Ports};

impl Applier {
    /// Works out what is to be made for Gateways and XBackends that changed, and what became of addresses.
    pub(super) fn look_after_owners(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        for owner in std::mem::take(&mut self.dirty) {
            if owner.kind == Kind::XBackend {
                self.look_after_backend(&owner);
                continue;
            }
            let gateway = self.gateways.get(&owner.name).cloned();
            match gateway.filter(|_| self.compiler.statuses().contains_key(&owner)) {
                Some(gateway) => self.look_after(&owner, &gateway, &mut changes),
                None => {
                    self.made.want(&owner, Vec::new(), BTreeSet::new(), self.now);
                    self.told.remove(&owner);
                    let name = owner.name;
                    self.accounts.retain(|_, gateway| *gateway != name);
                    self.tell_refused(&name, BTreeMap::new(), &mut changes);
                    if self.addresses.remove(&name).is_some() {
                        changes.push(Change::Fact(Fact::Addresses(name, None)));
                    }
                }
            }
        }
        changes
    }

    fn look_after(&mut self, owner: &ObjectId, gateway: &Gateway, changes: &mut Vec<Change>) {
        let name = &gateway.meta.name;
        let asking = address::ask(gateway);
        let service = |asking: &Asking| (Subject::Object(Kind::Service), provision::service_name(gateway, asking));
        let wanted: Vec<ChildId> = asking.iter().map(service).collect();
        let held: Vec<(Asking, Held<'_>)> = asking
            .iter()
            .cloned()
            .map(|one| {
                let id = service(&one);
                (one, self.held(&id))
            })
            .collect();
        let left = |(id, _): &(&ChildId, &Value)| id.0 == Subject::Object(Kind::Service) && !wanted.contains(id);
        let leftover: Vec<(&ChildId, &Value)> = self.made.stored_of(owner).filter(left).collect();
        let mut addresses = address::addresses(&held, leftover.iter().map(|(_, document)| *document));
        let parameters = self.compiler.parameters(name).unwrap_or_default();
        let children = provision::children(gateway, &parameters, &self.ports(gateway), &asking, &self.place.outfit);
        // What a Gateway has it keeps until it has what it asks for now.
        let mut spared = BTreeSet::new();
        if address::is_satisfied(&addresses) {
            addresses = address::addresses(&held, std::iter::empty());
        } else {
            spared.extend(leftover.iter().map(|(id, _)| (*id).clone()));
        }
        self.made.want(owner, children, spared, self.now);
        self.accounts.insert(provision::account(gateway), name.clone());
        let refused = self.feeds.refused(name);
        let sockets = addresses.listen.iter().filter(|address| address.is_some()).flat_map(|address| {
            refused.iter().map(|((port, is_udp), why)| {
                let transport = if *is_udp { Transport::Udp } else { Transport::Tcp };
                (Socket { address: *address, port: *port, transport }, Arc::from(why.as_str()))
            })
        });
        let sockets = sockets.collect();
        self.tell_refused(name, sockets, changes);
        if self.addresses.get(name) != Some(&addresses) {
            self.addresses.insert(name.clone(), addresses.clone());
            changes.push(Change::Fact(Fact::Addresses(name.clone(), Some(addresses))));
        }
    }

    fn held(&self, id: &ChildId) -> Held<'_> {
        let service = self.made.stored(id);
        let uid = service.and_then(|service| service.pointer("/metadata/uid")).and_then(Value::as_str);
        let complaint = self.refusals.get(&id.1).filter(|(of, _)| Some(of.as_str()) == uid).map(|(_, why)| why.as_str());
        Held { service, refusal: self.made.refusal(id).or(complaint) }
    }

    /// The ports of a Gateway's listeners, and of the ListenerSets that it takes.
    fn ports(&self, gateway: &Gateway) -> Ports {
        let name = &gateway.meta.name;
        let is_taken = |set: &&Arc<ListenerSet>| {
            let id = ObjectId::new(Kind::ListenerSet, set.meta.name.clone());
            let status = self.compiler.statuses().get(&id);
            set.spec.parent_ref.is_gateway()
                && set.spec.parent_ref.target(set.meta.name.namespace()) == *name
                && status.is_some_and(|status| holds(status, ConditionType::Accepted))
        };
        let sets = self.sets.values().filter(is_taken).flat_map(|set| &set.spec.listeners);
        gateway
            .spec
            .listeners
            .iter()
            .chain(sets)
            .filter_map(|listener| Some((listener.port, transport(&listener.protocol)?)))
            .collect()
    }

    fn tell_refused(&mut self, name: &ObjectName, sockets: BTreeMap<Socket, Arc<str>>, changes: &mut Vec<Change>) {
        let before = self.refused.remove(name).unwrap_or_default();
        if before == sockets {
            if !sockets.is_empty() {
                self.refused.insert(name.clone(), sockets);
            }
            return;
        }
        let gone = before.keys().filter(|socket| !sockets.contains_key(socket));
        changes.extend(gone.map(|socket| Change::Fact(Fact::Socket(*socket, None))));
        changes.extend(
            sockets.iter().map(|(socket, why)| Change::Fact(Fact::Socket(*socket, Some(Bound::Refused(Arc::clone(why)))))),
        );
        self.refused.insert(name.clone(), sockets);
    }
}

fn transport(protocol: &Protocol) -> Option<Transport> {
    match protocol {
        Protocol::Http | Protocol::Https | Protocol::Tls | Protocol::Tcp => Some(Transport::Tcp),
        Protocol::Udp => Some(Transport::Udp),
        Protocol::Other(_) => None,
    }
}

/// Whether a condition of an object as a whole is true.
fn holds(status: &Status, kind: ConditionType) -> bool {
    let mut whole = status.parts().into_iter().filter(|(part, _)| *part == Part::Whole).flat_map(|(_, conditions)| conditions);
    whole.any(|condition| condition.kind == kind && condition.status == Truth::True)
}
