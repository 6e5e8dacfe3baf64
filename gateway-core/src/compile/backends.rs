//! The backends that routes use: one entry per Service and port, whatever the number of routes.
//!
//! In: uses that begin and end, Services and EndpointSlices that change. Out: verdicts for the routes, backends for the snapshot.
//! A change of endpoints touches one entry and no route.
//!
//! Invariants: an entry exists while a route uses it; the snapshot holds it while its verdict is good.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher as _;
use std::net::SocketAddr;
use std::sync::Arc;

use foldhash::quality::FixedState;

use crate::name::{ObjectId, ObjectName};
use crate::snapshot::{Backend, BackendId, BackendName, BackendProtocol, Seed, Writer};
use crate::support::Support;

use super::gateway::Fault;
use super::hashed::Hashed;
use super::objects::Objects;
use super::resolve;

/// Every backend in use.
#[derive(Debug)]
pub(super) struct Backends {
    /// By Service, then port.
    entries: Hashed<ObjectName, BTreeMap<u16, Entry>>,
    next: u32,
    /// Services whose entries gained or lost their last endpoint.
    touched: BTreeSet<ObjectName>,
}

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

    /// Takes note that a route uses a backend. Returns what it leads to.
    pub(super) fn enlist(
        &mut self,
        name: &BackendName,
        route: &ObjectId,
        objects: &Objects,
        support: Support,
        writer: &mut Writer,
    ) -> Result<BackendId, Fault> {
        let entry = self.entries.entry(name.service.clone()).or_default().entry(name.port).or_insert_with(|| {
            let entry = Entry::new(BackendId(self.next), name, objects, support);
            self.next += 1;
            entry.publish(name, writer);
            self.touched.insert(name.service.clone());
            entry
        });
        entry.users.insert(route.clone());
        entry.verdict.clone().map(|_| entry.id)
    }

    /// Takes note that a route no longer uses a backend.
    pub(super) fn release(&mut self, name: &BackendName, route: &ObjectId, writer: &mut Writer) {
        let Some(ports) = self.entries.get_mut(&name.service) else { return };
        let Some(entry) = ports.get_mut(&name.port) else { return };
        entry.users.remove(route);
        if !entry.users.is_empty() {
            return;
        }
        writer.remove_backend(entry.id);
        ports.remove(&name.port);
        if ports.is_empty() {
            self.entries.remove(&name.service);
        }
        self.touched.insert(name.service.clone());
    }

    /// Looks again at the entries of a Service. Returns the routes for which one became good, bad, or bad in another way.
    pub(super) fn refresh(
        &mut self,
        service: &ObjectName,
        objects: &Objects,
        support: Support,
        writer: &mut Writer,
    ) -> BTreeSet<ObjectId> {
        let mut routes = BTreeSet::new();
        for (port, entry) in self.entries.get_mut(service).into_iter().flatten() {
            let name = BackendName { service: service.clone(), port: *port };
            let new = Entry::new(entry.id, &name, objects, support);
            if new.verdict != entry.verdict {
                routes.extend(entry.users.iter().cloned());
            } else if new.endpoints == entry.endpoints {
                continue;
            }
            if new.endpoints.is_empty() != entry.endpoints.is_empty() || new.verdict.is_ok() != entry.verdict.is_ok() {
                self.touched.insert(service.clone());
            }
            entry.verdict = new.verdict;
            entry.endpoints = new.endpoints;
            entry.publish(&name, writer);
        }
        routes
    }

    /// Services about which there may be something else to say than before, each with its ports in use that have no endpoint.
    pub(super) fn take_touched(&mut self) -> BTreeMap<ObjectName, Vec<u16>> {
        let touched = std::mem::take(&mut self.touched);
        let idle = |service: &ObjectName| {
            let ports = self.entries.get(service).into_iter().flatten();
            ports.filter(|(_, entry)| entry.verdict.is_ok() && entry.endpoints.is_empty()).map(|(port, _)| *port).collect()
        };
        touched.iter().map(|service| (service.clone(), idle(service))).collect()
    }
}

impl Entry {
    fn new(id: BackendId, name: &BackendName, objects: &Objects, support: Support) -> Self {
        let service = objects.services.get(&name.service).map(Arc::as_ref);
        let verdict = resolve::protocol(service, name, support);
        let port = verdict.as_ref().ok().and_then(|_| resolve::exists(service, name).ok());
        let endpoints = port.map_or_else(|| Arc::from([]), |port| resolve::endpoints(port, objects.slices(&name.service)));
        Self { id, verdict, endpoints, users: BTreeSet::new() }
    }

    fn publish(&self, name: &BackendName, writer: &mut Writer) {
        let Ok(protocol) = self.verdict else {
            writer.remove_backend(self.id);
            return;
        };
        let fingerprint = FixedState::with_seed(2).hash_one((name, protocol));
        let endpoints = self.endpoints.clone();
        writer.put_backend(Arc::new(Backend { id: self.id, name: name.clone(), protocol, endpoints, fingerprint }));
    }
}
