//! Who depends on whom: the one place that remembers references backwards.
//!
//! In: what each object refers to, existing or not. Out: who has to be judged again when something changes. Objects that are
//! missing are names here like any other.

use std::collections::BTreeMap;
use std::hash::Hash;

use crate::name::{Kind, ObjectId, ObjectName};
use crate::snapshot::Seed;

use super::Need;
use super::counted::Counted;
use super::hashed::{Hashed, HashedSet};

/// References, backwards.
#[derive(Debug)]
pub(super) struct Dependents {
    users: Hashed<ObjectId, HashedSet<ObjectId>>,
    crossing: Hashed<String, HashedSet<ObjectId>>,
    routes: Hashed<ObjectId, HashedSet<ObjectId>>,
    sets: Hashed<ObjectId, HashedSet<ObjectId>>,
    /// Routes and ListenerSets by their namespace, then by parent.
    residents: Hashed<String, Hashed<ObjectId, HashedSet<ObjectId>>>,
    seekers: HashedSet<ObjectId>,
}

/// What one object refers to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Links<'a> {
    /// Other objects.
    pub(super) uses: &'a [ObjectId],
    /// Other namespaces.
    pub(super) crosses: &'a [String],
    /// Gateways and ListenerSets, as parents.
    pub(super) parents: &'a [ObjectId],
}

impl Dependents {
    pub(super) fn new(seed: Seed) -> Self {
        Self {
            users: Hashed::with_hasher(seed),
            crossing: Hashed::with_hasher(seed),
            routes: Hashed::with_hasher(seed),
            sets: Hashed::with_hasher(seed),
            residents: Hashed::with_hasher(seed),
            seekers: HashedSet::with_hasher(seed),
        }
    }

    /// Replaces what an object refers to.
    pub(super) fn relink(&mut self, who: &ObjectId, old: Links<'_>, new: Links<'_>) {
        swap(&mut self.users, who, old.uses, new.uses);
        swap(&mut self.crossing, who, old.crosses, new.crosses);
        let children = if who.kind == Kind::ListenerSet { &mut self.sets } else { &mut self.routes };
        swap(children, who, old.parents, new.parents);
        if old.parents == new.parents {
            return;
        }
        let (namespace, seed) = (who.name.namespace(), *self.residents.hasher());
        let residents = self.residents.entry(namespace.to_owned()).or_insert_with(|| Hashed::with_hasher(seed));
        swap(residents, who, old.parents, new.parents);
        if residents.is_empty() {
            self.residents.remove(namespace);
        }
    }

    /// Takes note that a route asks for default Gateways, or no longer does.
    pub(super) fn seek(&mut self, route: &ObjectId, is_seeking: bool) {
        if is_seeking {
            self.seekers.insert(route.clone());
        } else {
            self.seekers.remove(route);
        }
    }

    /// Objects that refer to this one.
    pub(super) fn users(&self, of: &ObjectId) -> impl Iterator<Item = &ObjectId> {
        self.users.get(of).into_iter().flatten()
    }

    /// Objects that refer to any of this kind. Looks through all references: for what happens rarely.
    pub(super) fn users_of_kind(&self, kind: &Kind) -> impl Iterator<Item = &ObjectId> {
        self.users.iter().filter(move |(id, _)| id.kind == *kind).flat_map(|(_, users)| users)
    }

    /// Objects that refer into this namespace from another.
    pub(super) fn crossing(&self, namespace: &str) -> impl Iterator<Item = &ObjectId> {
        self.crossing.get(namespace).into_iter().flatten()
    }

    /// Routes that have this Gateway or ListenerSet for a parent.
    pub(super) fn routes(&self, parent: &ObjectId) -> impl Iterator<Item = &ObjectId> {
        self.routes.get(parent).into_iter().flatten()
    }

    /// ListenerSets that add to this Gateway.
    pub(super) fn sets(&self, gateway: &ObjectId) -> impl Iterator<Item = &ObjectId> {
        self.sets.get(gateway).into_iter().flatten()
    }

    /// Routes and ListenerSets of a namespace, by their parents.
    pub(super) fn residents(&self, namespace: &str) -> impl Iterator<Item = (&ObjectId, &HashedSet<ObjectId>)> {
        self.residents.get(namespace).into_iter().flatten()
    }

    /// Routes that ask for default Gateways.
    pub(super) fn seekers(&self) -> impl Iterator<Item = &ObjectId> {
        self.seekers.iter()
    }
}

/// Moves `who` from the sets of `old` to those of `new`; both are sorted.
fn swap<K: Ord + Hash + Clone>(sets: &mut Hashed<K, HashedSet<ObjectId>>, who: &ObjectId, old: &[K], new: &[K]) {
    for key in old.iter().filter(|key| new.binary_search(key).is_err()) {
        if let Some(set) = sets.get_mut(key) {
            set.remove(who);
            if set.is_empty() {
                sets.remove(key);
            }
        }
    }
    for key in new.iter().filter(|key| old.binary_search(key).is_err()) {
        let seed = *sets.hasher();
        sets.entry(key.clone()).or_insert_with(|| HashedSet::with_hasher(seed)).insert(who.clone());
    }
}

/// What each Gateway depends on, counted, so that joining and leaving are seen once.
#[derive(Debug)]
pub(super) struct Needs {
    seed: Seed,
    gateways: BTreeMap<ObjectName, Counted<ObjectId>>,
}

impl Needs {
    pub(super) fn new(seed: Seed) -> Self {
        Self { seed, gateways: BTreeMap::new() }
    }

    /// One more reason for a Gateway to depend on an object.
    pub(super) fn join(&mut self, gateway: &ObjectName, object: &ObjectId) {
        if !self.gateways.contains_key(gateway) {
            self.gateways.insert(gateway.clone(), Counted::new(self.seed));
        }
        if let Some(needed) = self.gateways.get_mut(gateway) {
            needed.join(object);
        }
    }

    /// One reason less.
    pub(super) fn leave(&mut self, gateway: &ObjectName, object: &ObjectId) {
        if let Some(needed) = self.gateways.get_mut(gateway) {
            needed.leave(object);
        }
    }

    /// What joined or left since this was asked last, in order.
    pub(super) fn take(&mut self) -> Vec<Need> {
        let mut changed = Vec::new();
        for (gateway, needed) in &mut self.gateways {
            let needs = needed.take().into_iter();
            changed.extend(needs.map(|(object, joined)| Need { gateway: gateway.clone(), object, joined }));
        }
        self.gateways.retain(|_, needed| !needed.is_empty());
        changed
    }
}
