//! What is made for Gateways and XBackends: what is wanted, what is stored, and what is to be done about the difference.
//!
//! In: manifests wanted, objects of ours as they are stored, how writes ended. Out: writes and deletions, one at a time per object.
//!
//! Invariants: what is as it should be is not written; an object that is ours and wanted by nobody is deleted, unless it is not known
//! what its owner wants; what was refused is tried again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use gateway_core::name::ObjectId;
use serde_json::Value;

use super::schedule::Schedule;
use crate::cluster::child::{Child, ChildId, contains, outcome as outcome_of};
use crate::cluster::write::Failure;

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Made {
    wanted: BTreeMap<ChildId, Wanted>,
    /// Objects that carry our mark, each with the owner that it names.
    stored: BTreeMap<ChildId, (ObjectId, Value)>,
    work: Schedule<ChildId>,
    /// Owners of which it is not known what they want.
    unread: BTreeSet<ObjectId>,
    /// What is to stay as it is though nobody wants it so, by its owner.
    spared: BTreeMap<ObjectId, BTreeSet<ChildId>>,
    /// Nothing is deleted before everything wanted is known.
    is_complete: bool,
}

#[derive(Debug)]
struct Wanted {
    of: ObjectId,
    child: Child,
    fingerprint: u64,
    /// Why it was refused last.
    refusal: Option<String>,
    /// What an API server made of it, where that is something else.
    became: Option<Value>,
}

/// Something to be done.
#[derive(Debug)]
pub(crate) enum Deed {
    /// Write it; whether it was seen to be ours.
    Apply(Child, bool),
    /// Delete it, if it still is the one with this uid.
    Delete(ChildId, Option<String>),
}

impl Made {
    /// This is wanted for an owner now, and nothing else; what is spared is to stay, if it is there, as it is.
    pub(crate) fn want(&mut self, owner: &ObjectId, children: Vec<Child>, spared: BTreeSet<ChildId>, now: Instant) {
        let before = self.spared.remove(owner).unwrap_or_default();
        before.difference(&spared).for_each(|id| self.work.add(id, now));
        if !spared.is_empty() {
            self.spared.insert(owner.clone(), spared);
        }
        let ids: BTreeSet<ChildId> = children.iter().map(Child::id).collect();
        let dropped = self.wanted.iter().filter(|(id, wanted)| wanted.of == *owner && !ids.contains(*id));
        let dropped: Vec<ChildId> = dropped.map(|(id, _)| id.clone()).collect();
        for id in dropped {
            self.wanted.remove(&id);
            self.work.hurry(&id, now);
        }
        for mut child in children {
            let (id, fingerprint) = (child.id(), child.fingerprint());
            if self.wanted.get(&id).is_some_and(|known| known.fingerprint == fingerprint && known.of == *owner) {
                continue;
            }
            // What others see of it too: whether what is stored came of this manifest.
            child.manifest["metadata"]["annotations"][APPLIED] = Value::from(mark_of(fingerprint));
            let wanted = Wanted { of: owner.clone(), child, fingerprint, refusal: None, became: None };
            self.work.hurry(&id, now);
            self.wanted.insert(id, wanted);
        }
    }

    /// All owners have said what they want: what is left is nobody's.
    pub(crate) fn complete(&mut self, now: Instant) {
        self.is_complete = true;
        for id in self.stored.keys().chain(self.wanted.keys()) {
            self.work.hurry(id, now);
        }
    }

    /// Whether it is known what an owner wants. While it is not, what is there stays.
    pub(crate) fn understand(&mut self, owner: &ObjectId, is_read: bool, now: Instant) {
        if !is_read {
            self.unread.insert(owner.clone());
        } else if self.unread.remove(owner) {
            for (id, _) in self.stored.iter().filter(|(_, (of, _))| of == owner) {
                self.work.add(id, now);
            }
        }
    }

    /// An object is stored like this: one of ours, with the owner that it names, or somebody else's.
    pub(crate) fn see(&mut self, id: &ChildId, ours: Option<(ObjectId, Value)>, now: Instant) {
        self.work.touch(id);
        match ours {
            Some(ours) => drop(self.stored.insert(id.clone(), ours)),
            None => drop(self.stored.remove(id)),
        }
        self.work.add(id, now);
    }

    /// There is no object of this name, ours or not: nothing is in the way any more.
    pub(crate) fn vanish(&mut self, id: &ChildId, now: Instant) {
        self.work.touch(id);
        self.stored.remove(id);
        if self.wanted.contains_key(id) {
            self.work.hurry(id, now);
        } else {
            self.work.drop(id);
        }
    }

    /// An object of ours as it is stored.
    pub(crate) fn stored(&self, id: &ChildId) -> Option<&Value> {
        self.stored.get(id).map(|(_, document)| document)
    }

    /// Objects of ours that are stored and name an owner.
    pub(crate) fn stored_of<'a>(&'a self, owner: &'a ObjectId) -> impl Iterator<Item = (&'a ChildId, &'a Value)> {
        self.stored.iter().filter(move |(_, (of, _))| of == owner).map(|(id, (_, document))| (id, document))
    }

    /// Why an object could not be written when it was tried last.
    pub(crate) fn refusal(&self, id: &ChildId) -> Option<&str> {
        self.wanted.get(id)?.refusal.as_deref()
    }

    /// For which owner an object is wanted.
    pub(crate) fn owner(&self, id: &ChildId) -> Option<&ObjectId> {
        self.wanted.get(id).map(|wanted| &wanted.of)
    }

    /// What is to be done now.
    pub(crate) fn take(&mut self, now: Instant) -> Vec<Deed> {
        let mut deeds = Vec::new();
        for id in self.work.take(now) {
            let stored = self.stored.get(&id);
            let deed = match self.wanted.get(&id) {
                Some(wanted) => {
                    let expected = wanted.became.as_ref().unwrap_or(&wanted.child.manifest);
                    let is_there = stored.is_some_and(|(_, stored)| contains(stored, expected));
                    (!is_there).then(|| Deed::Apply(wanted.child.clone(), stored.is_some()))
                }
                None => {
                    let is_spared = |of: &ObjectId| self.spared.get(of).is_some_and(|spared| spared.contains(&id));
                    let is_left =
                        |(of, stored): &&(ObjectId, Value)| !self.unread.contains(of) && !is_spared(of) && !is_ending(stored);
                    stored.filter(|_| self.is_complete).filter(is_left).map(|(_, stored)| {
                        let uid = stored.pointer("/metadata/uid").and_then(Value::as_str).map(str::to_owned);
                        Deed::Delete(id.clone(), uid)
                    })
                }
            };
            if deed.is_some() {
                self.work.begin(&id);
            }
            deeds.extend(deed);
        }
        deeds
    }

    /// A write came to its end. Returns for whom it was and why not, where a person should know.
    pub(crate) fn applied(&mut self, id: &ChildId, outcome: Result<Value, Failure>, now: Instant) -> Option<(ObjectId, String)> {
        let is_seen = self.work.end(id, outcome.is_ok(), now);
        let wanted = self.wanted.get_mut(id);
        match outcome {
            Ok(document) => {
                let wanted = wanted?;
                wanted.refusal = None;
                if mark(&document) == Some(&mark_of(wanted.fingerprint)) {
                    // What an API server writes otherwise than it was given it will write so again.
                    let is_alike = contains(&document, &wanted.child.manifest);
                    wanted.became = (!is_alike).then(|| outcome_of(&document, &wanted.child.manifest));
                }
                if !is_seen {
                    self.stored.insert(id.clone(), (wanted.of.clone(), document));
                }
                // It may be wanted otherwise by now.
                self.work.add(id, now);
                None
            }
            Err(failure) => {
                let wanted = wanted.filter(|_| !failure.is_too_late)?;
                let told = (wanted.of.clone(), failure.message.clone());
                wanted.refusal = failure.is_refusal.then_some(failure.message);
                Some(told)
            }
        }
    }

    /// A deletion came to its end.
    pub(crate) fn deleted(&mut self, id: &ChildId, has_worked: bool, now: Instant) {
        self.work.end(id, has_worked, now);
        if has_worked && self.wanted.contains_key(id) {
            self.work.add(id, now);
        }
    }

    /// When something is to be done next.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.work.next()
    }
}

fn mark(stored: &Value) -> Option<&str> {
    stored.get("metadata")?.get("annotations")?.get(APPLIED)?.as_str()
}

fn mark_of(fingerprint: u64) -> String {
    format!("{fingerprint:016x}")
}

fn is_ending(stored: &Value) -> bool {
    stored.pointer("/metadata/deletionTimestamp").is_some()
}

/// From which manifest an object was made.
const APPLIED: &str = "pingora-gateway.dev/applied";

#[cfg(test)]
mod tests {
    use gateway_core::name::{Kind, ObjectName};
    use serde_json::json;

    use super::*;
    use crate::cluster::discover::Subject;

    fn web() -> ObjectId {
        ObjectId::new(Kind::Gateway, ObjectName::new("shop", "web"))
    }

    fn child(data: &str) -> Child {
        let manifest = json!({"kind": "ConfigMap", "metadata": {"name": "web", "annotations": {}}, "data": {"x": data}});
        Child { subject: Subject::OwnConfigMap, name: web().name, manifest }
    }

    /// Carries a write out as an API server would.
    fn carry_out(made: &mut Made, deeds: Vec<Deed>, now: Instant) -> Vec<String> {
        let mut done = Vec::new();
        for deed in deeds {
            match deed {
                Deed::Apply(child, _) => {
                    done.push(format!("apply {}", child.manifest["data"]["x"]));
                    let mut stored = child.manifest.clone();
                    stored["metadata"]["uid"] = json!("u");
                    made.applied(&child.id(), Ok(stored), now);
                }
                Deed::Delete(id, uid) => {
                    done.push(format!("delete {} {}", id.1, uid.unwrap_or_default()));
                    made.deleted(&id, true, now);
                    made.vanish(&id, now);
                }
            }
        }
        done
    }

    #[test]
    fn what_is_wanted_is_made_and_made_again_when_somebody_changes_it() {
        let (mut made, now) = (Made::default(), Instant::now());
        made.want(&web(), vec![child("1")], BTreeSet::new(), now);
        let deeds = made.take(now);
        assert!(made.take(now).is_empty(), "one write at a time");
        assert_eq!(carry_out(&mut made, deeds, now), ["apply \"1\""]);
        assert!(made.take(now).is_empty());
        let mut changed = made.stored(&child("").id()).unwrap().clone();
        changed["data"]["x"] = json!("other");
        made.see(&child("").id(), Some((web(), changed)), now);
        made.want(&web(), vec![child("1")], BTreeSet::new(), now);
        let deeds = made.take(now);
        assert_eq!(carry_out(&mut made, deeds, now), ["apply \"1\""]);
        made.want(&web(), vec![child("2")], BTreeSet::new(), now);
        let deeds = made.take(now);
        assert_eq!(carry_out(&mut made, deeds, now), ["apply \"2\""]);
        made.vanish(&child("").id(), now);
        let deeds = made.take(now);
        assert_eq!(carry_out(&mut made, deeds, now), ["apply \"2\""], "whatever was deleted comes back");
    }

    #[test]
    fn what_nobody_wants_is_deleted_once_it_is_known_that_nobody_does() {
        let (mut made, now) = (Made::default(), Instant::now());
        made.see(&child("").id(), Some((web(), json!({"metadata": {"uid": "u"}}))), now);
        assert!(made.take(now).is_empty());
        made.complete(now);
        let deeds = made.take(now);
        assert_eq!(carry_out(&mut made, deeds, now), ["delete shop/web u"]);
    }

    #[test]
    fn what_was_refused_is_told_and_tried_again_and_at_once_when_it_is_wanted_otherwise() {
        let (mut made, mut now) = (Made::default(), Instant::now());
        made.want(&web(), vec![child("1")], BTreeSet::new(), now);
        for is_refusal in [false, true, true] {
            assert_eq!(made.take(now).len(), 1);
            let failure = Failure { message: "no".into(), is_too_late: false, is_refusal };
            assert_eq!(made.applied(&child("").id(), Err(failure), now), Some((web(), "no".into())));
            assert_eq!(made.refusal(&child("").id()), is_refusal.then_some("no"));
            assert!(made.take(now).is_empty(), "not without a pause");
            now = made.next().unwrap();
        }
        made.take(now);
        made.applied(&child("").id(), Err(Failure { message: "no".into(), is_too_late: false, is_refusal: true }), now);
        made.want(&web(), vec![child("2")], BTreeSet::new(), now);
        let deeds = made.take(now);
        assert_eq!(carry_out(&mut made, deeds, now), ["apply \"2\""]);
        assert_eq!(made.refusal(&child("").id()), None);
    }

    #[test]
    fn what_an_object_stands_in_the_way_of_is_done_as_soon_as_that_is_gone() {
        let (mut made, now) = (Made::default(), Instant::now());
        made.want(&web(), vec![child("1")], BTreeSet::new(), now);
        made.take(now);
        made.applied(&child("").id(), Err(Failure { message: "not ours".into(), is_too_late: false, is_refusal: true }), now);
        made.see(&child("").id(), None, now);
        assert!(made.take(now).is_empty(), "it is there still");
        made.vanish(&child("").id(), now);
        assert_eq!(made.take(now).len(), 1);
    }

    #[test]
    fn what_is_spared_stays_though_a_new_controller_never_wanted_it() {
        let (mut made, now) = (Made::default(), Instant::now());
        made.see(&child("").id(), Some((web(), json!({"metadata": {"uid": "u"}}))), now);
        made.want(&web(), vec![], [child("").id()].into(), now);
        made.complete(now);
        assert!(made.take(now).is_empty());
        made.want(&web(), vec![], BTreeSet::new(), now);
        assert_eq!(made.take(now).len(), 1);
    }

    #[test]
    fn what_is_made_for_a_gateway_that_cannot_be_read_stays_until_it_can() {
        let (mut made, now) = (Made::default(), Instant::now());
        made.see(&child("").id(), Some((web(), json!({"metadata": {"uid": "u"}}))), now);
        made.understand(&web(), false, now);
        made.complete(now);
        assert!(made.take(now).is_empty());
        made.understand(&web(), true, now);
        assert_eq!(made.take(now).len(), 1);
    }
}
