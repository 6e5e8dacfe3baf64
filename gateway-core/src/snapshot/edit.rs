//! The writer: edits of one transaction at a time, from which the next snapshot is made.
//!
//! In: listeners, settings, candidates and backends, as the compiler puts and removes them. Out: a snapshot that shares all that did
//! not change with the one before; the very same one when nothing changed for traffic.
//!
//! A listener keeps its routes while it stands on no socket: a conflict that comes and goes moves no route.
//!
//! Invariants: each bucket is rewritten at most once in a transaction; what a snapshot holds does not depend on the path that led
//! to it.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::Arc;

use super::backend::{Backend, BackendId};
use super::listener::{Listener, ListenerId, Settings};
use super::listeners::Site;
use super::matching::{Match, PathPattern};
use super::table::Table;
use super::{Kept, Seed, Snapshot, Socket};
use crate::name::ObjectId;

mod routes;
mod sockets;

use routes::RouteEdits;
use sockets::SocketEdits;

/// Where a candidate stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The listener.
    pub(crate) listener: ListenerId,
    /// The host name as the route writes it, in lower case; `None` for a route without.
    pub(crate) host: Option<Arc<str>>,
    /// The path; the candidate's own.
    pub(crate) path: PathPattern,
}

/// Makes snapshots. One per compiler.
#[derive(Debug)]
pub(crate) struct Writer {
    snapshot: Arc<Snapshot>,
    known: BTreeMap<ListenerId, Known>,
    settings: BTreeMap<Socket, Arc<Settings>>,
    // What this transaction touched:
    listeners: BTreeSet<ListenerId>,
    sockets: BTreeSet<Socket>,
    routes: BTreeMap<ListenerId, RouteEdits>,
    backends: BTreeMap<BackendId, Option<Arc<Backend>>>,
}

/// One listener, as it is to stand and as it stands.
#[derive(Debug, Default)]
struct Known {
    listener: Option<Arc<Listener>>,
    /// Sorted, without repetitions.
    sockets: Vec<Socket>,
    table: Table,
    /// Whether `table` is another than that of `placed`.
    table_changed: bool,
    /// What the snapshot holds, and where.
    placed: Option<(Arc<Site>, Vec<Socket>)>,
}

impl Known {
    /// Whether the snapshot holds the listener as it is to stand.
    fn is_in_place(&self) -> bool {
        match (&self.listener, &self.placed) {
            (None, None) => true,
            (Some(listener), Some((site, sockets))) => {
                !self.table_changed && *listener == site.listener && self.sockets == *sockets
            }
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}

impl Writer {
    /// A writer whose snapshot holds nothing.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            snapshot: Arc::new(Snapshot::empty(seed)),
            known: BTreeMap::new(),
            settings: BTreeMap::new(),
            listeners: BTreeSet::new(),
            sockets: BTreeSet::new(),
            routes: BTreeMap::new(),
            backends: BTreeMap::new(),
        }
    }

    /// The seed of all maps of this compiler.
    pub(crate) fn seed(&self) -> Seed {
        self.snapshot.seed
    }

    /// Puts a listener on these sockets, and off others. Its routes stay.
    pub(crate) fn put_listener(&mut self, listener: Arc<Listener>, sockets: &[Socket]) {
        let known = self.known.entry(listener.id.clone()).or_default();
        known.sockets = sockets.to_vec();
        known.sockets.sort_unstable();
        known.sockets.dedup();
        self.listeners.insert(listener.id.clone());
        known.listener = Some(listener);
    }

    /// Takes a listener off all sockets. Its routes stay until they are removed.
    pub(crate) fn remove_listener(&mut self, id: &ListenerId) {
        if let Some(known) = self.known.get_mut(id) {
            known.listener = None;
            self.listeners.insert(id.clone());
        }
    }

    /// Puts what connections to a socket obey; `None` for the defaults.
    pub(crate) fn put_settings(&mut self, socket: Socket, settings: Option<Arc<Settings>>) {
        match settings {
            Some(settings) => self.settings.insert(socket, settings),
            None => self.settings.remove(&socket),
        };
        self.sockets.insert(socket);
    }

    /// Adds a candidate at a place.
    pub(crate) fn add(&mut self, place: Place, candidate: Arc<Match>) {
        debug_assert_eq!(place.path, candidate.path, "a candidate stands at its own path");
        self.routes.entry(place.listener).or_default().add(place.host, candidate);
    }

    /// Removes all candidates of a route at a place, those added before in this transaction included.
    pub(crate) fn remove(&mut self, place: Place, route: &ObjectId) {
        self.routes.entry(place.listener).or_default().remove(place.host, place.path, route);
    }

    /// Puts a backend.
    pub(crate) fn put_backend(&mut self, backend: Arc<Backend>) {
        self.backends.insert(backend.id, Some(backend));
    }

    /// Removes a backend. No rule refers to it any more.
    pub(crate) fn remove_backend(&mut self, id: BackendId) {
        self.backends.insert(id, None);
    }

    /// Ends the transaction.
    pub(crate) fn commit(&mut self) -> Arc<Snapshot> {
        self.rewrite_tables();
        let mut sockets = SocketEdits::new(&self.snapshot, &self.settings);
        place_listeners(&mut self.known, mem::take(&mut self.listeners), &mut sockets);
        for socket in mem::take(&mut self.sockets) {
            sockets.settle(socket);
        }
        let mut next = None;
        if let Some(changed) = sockets.finish() {
            next.get_or_insert_with(|| Snapshot::clone(&self.snapshot)).sockets = changed;
        }
        for (id, backend) in mem::take(&mut self.backends) {
            if self.snapshot.backend(id) != backend.as_ref() {
                let backends = &mut next.get_or_insert_with(|| Snapshot::clone(&self.snapshot)).backends;
                match backend {
                    Some(backend) => backends.insert(id, Kept(backend)),
                    None => backends.remove(&id),
                };
            }
        }
        if let Some(next) = next {
            self.snapshot = Arc::new(next);
        }
        Arc::clone(&self.snapshot)
    }

    /// Performs the edits of routes.
    fn rewrite_tables(&mut self) {
        let seed = self.snapshot.seed;
        for (id, edits) in mem::take(&mut self.routes) {
            let known = self.known.entry(id.clone()).or_default();
            known.table_changed |= edits.apply(&mut known.table, seed);
            self.listeners.insert(id);
        }
    }
}

/// Moves listeners to where they belong now: all that leave a name do so first, since another may take it.
fn place_listeners(known: &mut BTreeMap<ListenerId, Known>, touched: BTreeSet<ListenerId>, sockets: &mut SocketEdits<'_>) {
    let out_of_place = |id: &&ListenerId| known.get(*id).is_some_and(|known| !known.is_in_place());
    let moving: Vec<_> = touched.iter().filter(out_of_place).collect();
    for id in &moving {
        let Some(known) = known.get_mut(*id) else { continue };
        let Some((site, placed_on)) = known.placed.take() else { continue };
        let name_stays = known.listener.as_ref().is_some_and(|listener| listener.hostname == site.listener.hostname);
        let leaves = placed_on.iter().filter(|socket| !name_stays || !known.sockets.contains(socket));
        leaves.for_each(|socket| sockets.take_off(*socket, &site.listener));
    }
    for id in &moving {
        let Some(known) = known.get_mut(*id) else { continue };
        known.table_changed = false;
        let Some(listener) = &known.listener else { continue };
        let site = Arc::new(Site { listener: Arc::clone(listener), table: known.table.clone() });
        known.sockets.iter().for_each(|socket| sockets.put_on(*socket, Arc::clone(&site)));
        known.placed = Some((site, known.sockets.clone()));
    }
    for id in &touched {
        if known.get(id).is_some_and(|known| known.listener.is_none() && known.table.is_empty()) {
            known.remove(id);
        }
    }
}

#[cfg(test)]
mod tests;
