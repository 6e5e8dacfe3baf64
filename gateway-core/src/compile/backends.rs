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
use crate::snapshot::{Backend, BackendId, BackendName, BackendProtocol, Fingerprint, Security, Seed, Usage, Writer};
use crate::support::Support;

use super::fault::Fault;
use super::hashed::Hashed;
use super::objects::Objects;
use super::policies;
use super::resolve;

/// Every backend in use.
#[derive(Debug)]
pub(super) struct Backends {
    /// By object, then port and usage.
    entries: Hashed<ObjectId, BTreeMap<Port, Entry>>,
    next: u32,
    /// Objects whose entries gained or lost their last endpoint.
    touched: BTreeSet<ObjectId>,
}

/// A port of an object in one of its uses.
type Port = (Option<u16>, Usage);

#[derive(Debug)]
struct Entry {
    id: BackendId,
    verdict: Result<BackendProtocol, Fault>,
    endpoints: Arc<[SocketAddr]>,
    users: BTreeSet<ObjectId>,
}

impl Backends {
    pub(super) fn new(seed: Seed) -> Self {
        Self { entries: Hashed::with_hasher(seed), next: 0, touched: BTreeSet::new() }
    }

    /// Takes note that an object uses a backend. Returns what it leads to.
    pub(super) fn enlist(
        &mut self,
        name: &BackendName,
        user: &ObjectId,
        objects: &Objects,
        support: Support,
        writer: &mut Writer,
    ) -> Result<BackendId, Fault> {
        let entry = self.entries.entry(name.object.clone()).or_default().entry(port_of(name)).or_insert_with(|| {
            let entry = Entry::new(BackendId(self.next), name, objects, support);
            self.next += 1;
            entry.publish(name, writer);
            self.touched.insert(name.object.clone());
            entry
        });
        entry.users.insert(user.clone());
        entry.verdict.clone().map(|_| entry.id)
    }

    /// Takes note that an object no longer uses a backend.
    pub(super) fn release(&mut self, name: &BackendName, user: &ObjectId, writer: &mut Writer) {
        let Some(ports) = self.entries.get_mut(&name.object) else { return };
        let Some(entry) = ports.get_mut(&port_of(name)) else { return };
        entry.users.remove(user);
        if !entry.users.is_empty() {
            return;
        }
        writer.remove_backend(entry.id);
        ports.remove(&port_of(name));
        if ports.is_empty() {
            self.entries.remove(&name.object);
        }
        self.touched.insert(name.object.clone());
    }

    /// Looks again at the entries of an object. Returns the users for which one became good, bad, or bad in another way.
    pub(super) fn refresh(
        &mut self,
        object: &ObjectId,
        objects: &Objects,
        support: Support,
        writer: &mut Writer,
    ) -> BTreeSet<ObjectId> {
        let mut users = BTreeSet::new();
        for ((port, usage), entry) in self.entries.get_mut(object).into_iter().flatten() {
            let name = BackendName { object: object.clone(), port: *port, usage: *usage };
            let new = Entry::new(entry.id, &name, objects, support);
            if new.verdict != entry.verdict {
                users.extend(entry.users.iter().cloned());
            } else if new.endpoints == entry.endpoints {
                continue;
            }
            if new.endpoints.is_empty() != entry.endpoints.is_empty() || new.verdict.is_ok() != entry.verdict.is_ok() {
                self.touched.insert(object.clone());
            }
            entry.verdict = new.verdict;
            entry.endpoints = new.endpoints;
            entry.publish(&name, writer);
        }
        users
    }

    /// Objects about which there may be something else to say than before, each with its ports in use that have no endpoint.
    pub(super) fn take_touched(&mut self) -> BTreeMap<ObjectId, BTreeSet<u16>> {
        let touched = std::mem::take(&mut self.touched);
        let idle = |object: &ObjectId| {
            let ports = self.entries.get(object).into_iter().flatten();
            let idle = ports.filter(|(_, entry)| entry.verdict.is_ok() && entry.endpoints.is_empty());
            idle.filter_map(|((port, _), _)| *port).collect()
        };
        touched.iter().map(|object| (object.clone(), idle(object))).collect()
    }
}

fn port_of(name: &BackendName) -> Port {
    (name.port, name.usage)
}

impl Entry {
    fn new(id: BackendId, name: &BackendName, objects: &Objects, support: Support) -> Self {
        let service = objects.services.get(&name.object.name).map(Arc::as_ref);
        let found = resolve::port(service, name).and_then(|port| {
            let protocol = resolve::protocol(port, name, support)?;
            policies::unprotected(port, name, objects).map_or(Ok((protocol, port)), Err)
        });
        let (verdict, endpoints) = match found {
            Ok((protocol, port)) => (Ok(protocol), resolve::endpoints(port, objects.slices(&name.object.name))),
            Err(fault) => (Err(fault), Arc::from([])),
        };
        Self { id, verdict, endpoints, users: BTreeSet::new() }
    }

    fn publish(&self, name: &BackendName, writer: &mut Writer) {
        let Ok(protocol) = self.verdict else {
            writer.remove_backend(self.id);
            return;
        };
        let fingerprint = Fingerprint::of([name.to_string(), format!("{:?} {protocol:?}", name.usage)]);
        let endpoints = self.endpoints.clone();
        let (id, name) = (self.id, name.clone());
        writer.put_backend(Arc::new(Backend {
            id,
            name,
            protocol,
            security: Security::Clear,
            endpoints,
            persistence: None,
            retry_budget: None,
            fingerprint,
        }));
    }
}
