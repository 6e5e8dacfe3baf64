//! What is said of objects: statuses and problems that differ from those given before.
//!
//! In: what was judged in a transaction. Out: news.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use crate::name::{Kind, ObjectId};
use crate::status::{GatewayStatus, Status};

use super::super::Options;
use super::super::status::{self, Standing};
use super::{Dirty, State};

impl State {
    /// Phrases the holders of listeners: Gateways first, since their sets say how they stand, and how many sets are accepted last.
    pub(super) fn phrase_holders(&mut self, dirty: &mut Dirty, options: &Options) {
        let (mut sets, gateways): (BTreeSet<ObjectId>, BTreeSet<ObjectId>) =
            std::mem::take(&mut dirty.phrased).into_iter().partition(|id| id.kind == Kind::ListenerSet);
        let mut statuses: BTreeMap<ObjectId, Option<GatewayStatus>> = BTreeMap::new();
        for id in gateways {
            let status = self.gateway_status(&id, options);
            let standing = status.as_ref().map(|status| Standing::of(&status.conditions));
            if self.acceptance.stand(&id.name, standing) {
                sets.extend(self.dependents.sets(&id).cloned());
            }
            statuses.insert(id, status);
        }
        for id in sets {
            let state = self.gateways.set(&id.name);
            let host = state.and_then(|state| self.gateways.get(&state.gateway));
            let status = state.zip(host).map(|(state, host)| {
                let attached = |listener: &str| self.gateways.counts.of(&id, listener);
                let parent = self.acceptance.of(&state.gateway);
                status::listener_set(state, host, parent, &self.objects.facts, options.proof, attached)
            });
            let is_accepted = status.as_ref().is_some_and(|status| Standing::of(&status.conditions).is_accepted);
            let gateway = state.filter(|_| is_accepted).map(|state| state.gateway.clone());
            for gateway in self.acceptance.accept(&id.name, gateway.as_ref()) {
                let gateway = ObjectId::new(Kind::Gateway, gateway);
                if let Entry::Vacant(entry) = statuses.entry(gateway) {
                    let status = self.gateway_status(entry.key(), options);
                    entry.insert(status);
                }
            }
            dirty.statuses.push((id, status.map(Status::ListenerSet)));
        }
        for (id, status) in statuses {
            let attached_listener_sets = self.acceptance.sets(&id.name);
            let status = status.map(|status| Status::Gateway(GatewayStatus { attached_listener_sets, ..status }));
            dirty.statuses.push((id, status));
        }
    }

    fn gateway_status(&self, id: &ObjectId, options: &Options) -> Option<GatewayStatus> {
        let state = self.gateways.get(&id.name)?;
        let attached = |listener: &str| self.gateways.counts.of(id, listener);
        Some(status::gateway(state, &self.objects.facts, options.proof, attached))
    }

    /// Says which backends in use have no endpoint. Of an XBackend it is said with what its status cannot tell.
    pub(super) fn phrase_backends(&mut self, dirty: &mut Dirty) {
        for object in self.backends.take_touched() {
            if object.kind == Kind::XBackend {
                dirty.policed.insert(object);
            } else {
                let said: Vec<_> = self.backends.said(&object).into_iter().collect();
                if !said.is_empty() || self.problems.contains_key(&object) {
                    dirty.problems.push((object, said));
                }
            }
        }
    }

    /// The statuses that differ from those given before.
    pub(super) fn news(&mut self, judged: Vec<(ObjectId, Option<Status>)>) -> BTreeMap<ObjectId, Option<Status>> {
        // Of what was judged twice the last counts. Maps are made in less time from all that they are to hold than one by one.
        let mut news: BTreeMap<_, _> = judged.into_iter().collect();
        news.retain(|id, status| self.said.get(id) != status.as_ref());
        if self.said.is_empty() {
            self.said = news.iter().filter_map(|(id, status)| Some((id.clone(), status.clone()?))).collect();
            return news;
        }
        for (id, status) in &news {
            match status {
                Some(status) => drop(self.said.insert(id.clone(), status.clone())),
                None => drop(self.said.remove(id)),
            }
        }
        news
    }

    pub(super) fn complaints(&mut self, found: Vec<(ObjectId, Vec<String>)>) -> BTreeMap<ObjectId, Vec<String>> {
        let mut news = BTreeMap::new();
        for (id, problems) in found {
            let known = self.problems.get(&id).map_or(&[][..], Vec::as_slice);
            if known == problems {
                continue;
            }
            if problems.is_empty() {
                self.problems.remove(&id);
            } else {
                self.problems.insert(id.clone(), problems.clone());
            }
            news.insert(id, problems);
        }
        news
    }
}
