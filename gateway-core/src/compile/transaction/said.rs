//! What is said of objects: statuses and problems that differ from those given before.
//!
//! In: what was judged in a transaction. Out: news.

use std::collections::BTreeMap;

use crate::name::ObjectId;
use crate::status::Status;

use super::super::{Options, status};
use super::{Dirty, State};

impl State {
    pub(super) fn phrase_gateways(&mut self, dirty: &mut Dirty, options: &Options) {
        for id in std::mem::take(&mut dirty.phrased) {
            let status = self.gateways.get(&id.name).map(|state| {
                let attached = |listener: &str| self.gateways.attached(&id, listener);
                Status::Gateway(status::gateway(state, &self.objects.facts, options.proof, attached))
            });
            dirty.statuses.push((id, status));
        }
    }

    pub(super) fn phrase_backends(&mut self, dirty: &mut Dirty) {
        for (object, ports) in self.backends.take_touched() {
            let say = |port: &u16| format!("port {port} has no ready endpoint; requests to it are answered 503");
            dirty.problems.push((object, ports.iter().map(say).collect()));
        }
    }

    /// The statuses that differ from those given before.
    pub(super) fn news(&mut self, judged: Vec<(ObjectId, Option<Status>)>) -> BTreeMap<ObjectId, Option<Status>> {
        let mut news = BTreeMap::new();
        for (id, status) in judged {
            if self.said.get(&id) == status.as_ref() {
                continue;
            }
            match &status {
                Some(status) => drop(self.said.insert(id.clone(), status.clone())),
                None => drop(self.said.remove(&id)),
            }
            news.insert(id, status);
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
