//! The backends in use: one entry per object, port and usage, whatever the number of routes or others that use it.
//!
//! In: uses that begin and end, Services and EndpointSlices that change. Out: verdicts for the users, backends for the snapshot.
//! A change of endpoints touches one entry and no user.
//!
//! Invariants: an entry exists while somebody uses it; the snapshot holds it while its verdict is good.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use crate::name::ObjectId;
use crate::snapshot::{
    Backend, BackendId, BackendName, BackendProtocol, Persistence, RetryBudget, Security, Seed, Usage, Writer,
};
use crate::support::Support;

use super::counted::Counted;
use super::fault::Fault;
use super::hashed::{Hashed, shrink};
use super::marked::Marked;
use super::objects::Objects;
use super::policies::Policies;
use super::resolve;
use super::users::Users;
use super::{ExternalNames, Options, ServiceNames};

/// Every backend in use.
#[derive(Debug)]
pub(super) struct Backends {
    /// By object; few each, sorted by port and usage.
    entries: Hashed<ObjectId, Vec<(Port, Entry)>>,
    next: u32,
    /// Objects whose entries gained or lost their last endpoint.
    touched: Marked<ObjectId>,
    /// The host names that entries lead to.
    names: Counted<Arc<str>>,
}

/// A port of an object in one of its uses.
type Port = (Option<u16>, Usage);

#[derive(Debug)]
struct Entry {
    id: BackendId,
    found: Result<Found, Fault>,
    users: Users,
}

/// What a reference that can be used leads to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) protocol: BackendProtocol,
    pub(super) security: Security,
    pub(super) endpoints: Arc<[SocketAddr]>,
    pub(super) persistence: Option<Arc<Persistence>>,
    pub(super) retry_budget: Option<RetryBudget>,
    /// The host name that has to be resolved for it.
    pub(super) host: Option<Arc<str>>,
    /// Whether somebody told what the host name resolves to.
    pub(super) is_resolved: bool,
}

fn host(found: &Result<Found, Fault>) -> Option<&Arc<str>> {
    found.as_ref().ok()?.host.as_ref()
}

/// What backends are made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sources<'a> {
    pub(super) objects: &'a Objects,
    pub(super) policies: &'a Policies,
    pub(super) support: Support,
    pub(super) external_names: ExternalNames,
    pub(super) service_names: Option<&'a ServiceNames>,
    pub(super) cluster_domain: &'a str,
}

impl<'a> Sources<'a> {
    pub(super) fn of(objects: &'a Objects, policies: &'a Policies, options: &'a Options) -> Self {
        let Options { support, external_names, ref service_names, ref cluster_domain, .. } = *options;
        Self { objects, policies, support, external_names, service_names: service_names.as_ref(), cluster_domain }
    }
}

impl Backends {
    pub(super) fn new(seed: Seed) -> Self {
        Self { entries: Hashed::with_hasher(seed), next: 0, touched: Marked::default(), names: Counted::new(seed) }
    }

    /// Takes note that an object uses a backend. Returns what it leads to, and how clients stay with an endpoint of it.
    pub(super) fn enlist(
        &mut self,
        name: &BackendName,
        user: &ObjectId,
        sources: Sources<'_>,
        writer: &mut Writer,
    ) -> Result<(BackendId, Option<Arc<Persistence>>), Fault> {
        let seed = *self.entries.hasher();
        let ports = self.entries.entry(name.object.clone()).or_insert_with(|| Vec::with_capacity(1));
        let known = ports.binary_search_by_key(&port_of(name), |(port, _)| *port);
        let at = known.unwrap_or_else(|at| {
            let found = resolve::find(name, sources);
            let entry = Entry { id: BackendId(self.next), found, users: Users::default() };
            self.next += 1;
            entry.publish(name, writer);
            entry.host().into_iter().for_each(|host| self.names.join(host));
            self.touched.insert(name.object.clone());
            ports.insert(at, (port_of(name), entry));
            at
        });
        let (_, entry) = &mut ports[at];
        entry.users.insert(user, seed);
        entry.found.as_ref().map(|found| (entry.id, found.persistence.clone())).map_err(Fault::clone)
    }

    /// Whether anybody uses a backend of an object.
    pub(super) fn are_of(&self, object: &ObjectId) -> bool {
        self.entries.contains_key(object)
    }

    /// Gives back the room of backends that are gone.
    pub(super) fn shrink(&mut self) {
        shrink(&mut self.entries);
    }

    /// Takes note that an object no longer uses a backend.
    pub(super) fn release(&mut self, name: &BackendName, user: &ObjectId, writer: &mut Writer) {
        let Some(ports) = self.entries.get_mut(&name.object) else { return };
        let Ok(at) = ports.binary_search_by_key(&port_of(name), |(port, _)| *port) else { return };
        let (_, entry) = &mut ports[at];
        entry.users.remove(user);
        if !entry.users.is_empty() {
            return;
        }
        writer.remove_backend(entry.id);
        entry.host().into_iter().for_each(|host| self.names.leave(host));
        ports.remove(at);
        if ports.is_empty() {
            self.entries.remove(&name.object);
        }
        self.touched.insert(name.object.clone());
    }

    /// Looks again at the entries of an object. Returns the users for which one became good, bad, or bad in another way, or keeps
    /// sessions in another way, which may be in that of others they keep.
    pub(super) fn refresh(&mut self, object: &ObjectId, sources: Sources<'_>, writer: &mut Writer) -> BTreeSet<ObjectId> {
        let mut users = BTreeSet::new();
        for ((port, usage), entry) in self.entries.get_mut(object).into_iter().flatten() {
            let name = BackendName { object: object.clone(), port: *port, usage: *usage };
            let found = resolve::find(&name, sources);
            if found == entry.found {
                continue;
            }
            if found.as_ref().map(|found| &found.persistence) != entry.found.as_ref().map(|found| &found.persistence) {
                users.extend(entry.users.iter().cloned());
            }
            let said = |found: &Result<Found, Fault>| {
                found.as_ref().map(|found| (found.endpoints.is_empty(), found.host.clone(), found.is_resolved)).ok()
            };
            if said(&found) != said(&entry.found) {
                self.touched.insert(object.clone());
            }
            let old = std::mem::replace(&mut entry.found, found);
            entry.host().into_iter().for_each(|host| self.names.join(host));
            host(&old).into_iter().for_each(|host| self.names.leave(host));
            entry.publish(&name, writer);
        }
        users
    }

    /// Objects about which there may be something else to say than before.
    pub(super) fn take_touched(&mut self) -> Vec<ObjectId> {
        self.touched.take()
    }

    /// What is to be said of an object's ports in use that have no endpoint.
    pub(super) fn said(&self, object: &ObjectId) -> BTreeSet<String> {
        let ports = self.entries.get(object).into_iter().flatten();
        let idle = ports.filter(|(_, entry)| entry.found.as_ref().is_ok_and(|found| found.endpoints.is_empty()));
        let is_resolved = |entry: &Entry| entry.found.as_ref().is_ok_and(|found| found.is_resolved);
        let say = |((port, _), entry): &(Port, Entry)| match (entry.host(), port) {
            (Some(host), _) if !is_resolved(entry) => {
                format!(
                    "{host} is not resolved: nothing is known of its addresses, and until then requests to it are answered 503"
                )
            }
            (Some(host), _) => format!("{host} resolves to no address that may be used; requests to it are answered 503"),
            (None, Some(port)) => format!("port {port} has no ready endpoint; requests to it are answered 503"),
            (None, None) => "it has no ready endpoint; requests to it are answered 503".to_owned(),
        };
        idle.map(say).collect()
    }

    /// The host names that entries began or ceased to lead to since this was asked last.
    pub(super) fn take_names(&mut self) -> BTreeMap<Arc<str>, bool> {
        self.names.take().into_iter().collect()
    }
}

fn port_of(name: &BackendName) -> Port {
    (name.port, name.usage)
}

impl Entry {
    fn host(&self) -> Option<&Arc<str>> {
        host(&self.found)
    }

    fn publish(&self, name: &BackendName, writer: &mut Writer) {
        let Ok(found) = &self.found else {
            writer.remove_backend(self.id);
            return;
        };
        let Found { protocol, security, endpoints, persistence, retry_budget, host: _, is_resolved: _ } = found.clone();
        let (id, name) = (self.id, name.clone());
        writer.put_backend(Arc::new(Backend { id, name, protocol, security, endpoints, persistence, retry_budget }));
    }
}
