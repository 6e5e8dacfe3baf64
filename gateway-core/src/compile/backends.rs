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
use crate::snapshot::{Backend, BackendId, BackendName, BackendProtocol, Writer};
use crate::support::Support;

use super::gateway::Fault;
use super::objects::Objects;
use super::resolve;

/// Every backend in use.
#[derive(Debug, Default)]
pub(super) struct Backends {
    entries: BTreeMap<BackendName, Entry>,
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
    /// Takes note that a route uses a backend. Returns what it leads to.
    pub(super) fn enlist(
        &mut self,
        name: &BackendName,
        route: &ObjectId,
        objects: &Objects,
        support: Support,
        writer: &mut Writer,
    ) -> Result<BackendId, Fault> {
        if !self.entries.contains_key(name) {
            let id = BackendId(self.next);
            self.next += 1;
            let entry = Entry::new(id, name, objects, support);
            entry.publish(name, writer);
            self.touched.insert(name.service.clone());
            self.entries.insert(name.clone(), entry);
        }
        let entry = self.entries.get_mut(name).expect("the entry was made above");
        entry.users.insert(route.clone());
        entry.verdict.clone().map(|_| entry.id)
    }

    /// Takes note that a route no longer uses a backend.
    pub(super) fn release(&mut self, name: &BackendName, route: &ObjectId, writer: &mut Writer) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        entry.users.remove(route);
        if entry.users.is_empty() {
            writer.remove_backend(entry.id);
            self.entries.remove(name);
            self.touched.insert(name.service.clone());
        }
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
        let first = BackendName { service: service.clone(), port: 0 };
        let last = BackendName { service: service.clone(), port: u16::MAX };
        for (name, entry) in self.entries.range_mut(first..=last) {
            let new = Entry::new(entry.id, name, objects, support);
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
            entry.publish(name, writer);
        }
        routes
    }

    /// Services about which there may be something else to say than before, each with its ports in use that have no endpoint.
    pub(super) fn take_touched(&mut self) -> BTreeMap<ObjectName, Vec<u16>> {
        let touched = std::mem::take(&mut self.touched);
        let idle = |service: &ObjectName| {
            let first = BackendName { service: service.clone(), port: 0 };
            let last = BackendName { service: service.clone(), port: u16::MAX };
            let idle = self.entries.range(first..=last).filter(|(_, entry)| entry.verdict.is_ok() && entry.endpoints.is_empty());
            idle.map(|(name, _)| name.port).collect()
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
