//! What is made for Gateways: what is wanted, what is stored, and what is to be done about the difference.
//!
//! In: manifests wanted, objects of ours as they are stored, how writes ended. Out: writes and deletions, one at a time per object.
//!
//! Invariants: what is as it should be is not written; an object that is ours and wanted by nobody is deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use gateway_core::name::ObjectName;
use serde_json::Value;

use crate::cluster::child::{Child, ChildId, contains, outcome as outcome_of};
use crate::cluster::write::Failure;

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Made {
    wanted: BTreeMap<ChildId, Wanted>,
    /// Objects that carry our mark.
    stored: BTreeMap<ChildId, Value>,
    /// Each with whether it was seen meanwhile: then what the write answers may be older than what was seen.
    under_way: BTreeMap<ChildId, bool>,
    due: BTreeMap<ChildId, Instant>,
    /// Nothing is deleted before everything wanted is known.
    is_complete: bool,
}

#[derive(Debug)]
struct Wanted {
    of: ObjectName,
    child: Child,
    fingerprint: u64,
    /// Why this very manifest was refused.
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
    /// This is wanted for a Gateway now, and nothing else.
    pub(crate) fn want(&mut self, gateway: &ObjectName, children: Vec<Child>, now: Instant) {
        let ids: BTreeSet<ChildId> = children.iter().map(Child::id).collect();
        let dropped = self.wanted.iter().filter(|(id, wanted)| wanted.of == *gateway && !ids.contains(*id));
        let dropped: Vec<ChildId> = dropped.map(|(id, _)| id.clone()).collect();
        for id in dropped {
            self.wanted.remove(&id);
            self.due.insert(id, now);
        }
        for mut child in children {
            let (id, fingerprint) = (child.id(), child.fingerprint());
            if self.wanted.get(&id).is_some_and(|known| known.fingerprint == fingerprint && known.of == *gateway) {
                continue;
            }
            // What others see of it too: whether what is stored came of this manifest.
            child.manifest["metadata"]["annotations"][APPLIED] = Value::from(mark_of(fingerprint));
            let wanted = Wanted { of: gateway.clone(), child, fingerprint, refusal: None, became: None };
            self.wanted.insert(id.clone(), wanted);
            self.due.insert(id, now);
        }
    }

    /// All Gateways have said what they want: what is left is nobody's.
    pub(crate) fn complete(&mut self, now: Instant) {
        self.is_complete = true;
        let ids: Vec<ChildId> = self.stored.keys().chain(self.wanted.keys()).cloned().collect();
        self.due.extend(ids.into_iter().map(|id| (id, now)));
    }

    /// An object of ours is stored like this, or is there no more.
    pub(crate) fn see(&mut self, id: &ChildId, document: Option<Value>, now: Instant) {
        if let Some(is_seen) = self.under_way.get_mut(id) {
            *is_seen = true;
        }
        match document {
            Some(document) => drop(self.stored.insert(id.clone(), document)),
            None => drop(self.stored.remove(id)),
        }
        self.due.entry(id.clone()).or_insert(now);
    }

    /// An object of ours as it is stored.
    pub(crate) fn stored(&self, id: &ChildId) -> Option<&Value> {
        self.stored.get(id)
    }

    /// Objects of ours that are stored, with the Gateway they are wanted for.
    pub(crate) fn all_stored(&self) -> impl Iterator<Item = (&ChildId, &Value)> {
        self.stored.iter()
    }

    /// Why an object could not be written.
    pub(crate) fn refusal(&self, id: &ChildId) -> Option<&str> {
        self.wanted.get(id)?.refusal.as_deref()
    }

    /// The Gateway an object is wanted for.
    pub(crate) fn gateway(&self, id: &ChildId) -> Option<&ObjectName> {
        self.wanted.get(id).map(|wanted| &wanted.of)
    }

    /// An object as it is wanted until now.
    pub(crate) fn wanted_child(&self, id: &ChildId) -> Option<Child> {
        let mut child = self.wanted.get(id)?.child.clone();
        if let Some(annotations) = child.manifest.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
            annotations.remove(APPLIED);
        }
        Some(child)
    }

    /// What is to be done now.
    pub(crate) fn take(&mut self, now: Instant) -> Vec<Deed> {
        let ripe = self.due.iter().filter(|(id, at)| **at <= now && !self.under_way.contains_key(*id));
        let ripe: Vec<ChildId> = ripe.map(|(id, _)| id.clone()).collect();
        let mut deeds = Vec::new();
        for id in ripe {
            self.due.remove(&id);
            let stored = self.stored.get(&id);
            let deed = match self.wanted.get(&id) {
                Some(wanted) if wanted.refusal.is_some() => None,
                Some(wanted) => {
                    let expected = wanted.became.as_ref().unwrap_or(&wanted.child.manifest);
                    let is_there = stored.is_some_and(|stored| contains(stored, expected));
                    (!is_there).then(|| Deed::Apply(wanted.child.clone(), stored.is_some()))
                }
                None => stored.filter(|stored| self.is_complete && !is_ending(stored)).map(|stored| {
                    let uid = stored.pointer("/metadata/uid").and_then(Value::as_str).map(str::to_owned);
                    Deed::Delete(id.clone(), uid)
                }),
            };
            if deed.is_some() {
                self.under_way.insert(id, false);
            }
            deeds.extend(deed);
        }
        deeds
    }

    /// A write came to its end. Returns why not, where a person should know.
    pub(crate) fn applied(
        &mut self,
        id: &ChildId,
        outcome: Result<Value, Failure>,
        now: Instant,
    ) -> Option<(ObjectName, String)> {
        let is_seen = self.under_way.remove(id).unwrap_or(false);
        let wanted = self.wanted.get_mut(id);
        match outcome {
            Ok(document) => {
                if let Some(wanted) = wanted.filter(|wanted| mark(&document) == Some(&mark_of(wanted.fingerprint))) {
                    // What an API server writes otherwise than it was given it will write so again.
                    let is_alike = contains(&document, &wanted.child.manifest);
                    wanted.became = (!is_alike).then(|| outcome_of(&document, &wanted.child.manifest));
                }
                if !is_seen {
                    self.stored.insert(id.clone(), document);
                }
                // It may be wanted otherwise by now.
                self.due.entry(id.clone()).or_insert(now);
                None
            }
            Err(failure) => {
                let told = wanted.as_ref().map(|wanted| (wanted.of.clone(), failure.message.clone()));
                match wanted {
                    Some(wanted) if failure.is_final => wanted.refusal = Some(failure.message),
                    Some(_) | None => drop(self.due.insert(id.clone(), now + RETRY)),
                }
                told
            }
        }
    }

    /// A deletion came to its end.
    pub(crate) fn deleted(&mut self, id: &ChildId, has_worked: bool, now: Instant) {
        self.under_way.remove(id);
        if !has_worked {
            self.due.insert(id.clone(), now + RETRY);
        } else if self.wanted.contains_key(id) {
            self.due.insert(id.clone(), now);
        }
    }

    /// When something is to be done next.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.due.iter().filter(|(id, _)| !self.under_way.contains_key(*id)).map(|(_, at)| *at).min()
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
/// How long after a failure it is tried again.
const RETRY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::discover::Subject;

    fn web() -> ObjectName {
        ObjectName::new("shop", "web")
    }

    fn child(data: &str) -> Child {
        let manifest = json!({"kind": "ConfigMap", "metadata": {"name": "web", "annotations": {}}, "data": {"x": data}});
        Child { subject: Subject::OwnConfigMap, name: web(), manifest }
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
                    made.see(&id, None, now);
                }
            }
        }
        done
    }

    #[test]
    fn what_is_wanted_is_made_and_made_again_when_somebody_changes_it() {
        let (mut made, now) = (Made::default(), Instant::now());
        made.want(&web(), vec![child("1")], now);
        let deeds = made.take(now);
        assert!(made.take(now).is_empty(), "one write at a time");
        assert_eq!(carry_out(&mut made, deeds, now), ["apply \"1\""]);
        assert!(made.take(now).is_empty());
        let mut changed = made.stored(&child("").id()).unwrap().clone();
        changed["data"]["x"] = json!("other");
        made.see(&child("").id(), Some(changed), now);
        made.want(&web(), vec![child("1")], now);
        let deeds = made.take(now);
        assert_eq!(carry_out(&mut made, deeds, now), ["apply \"1\""]);
        made.want(&web(), vec![child("2")], now);
        let deeds = made.take(now);
        assert_eq!(carry_out(&mut made, deeds, now), ["apply \"2\""]);
        made.see(&child("").id(), None, now);
        let deeds = made.take(now);
        assert_eq!(carry_out(&mut made, deeds, now), ["apply \"2\""], "whatever was deleted comes back");
    }

    #[test]
    fn what_nobody_wants_is_deleted_once_it_is_known_that_nobody_does() {
        let (mut made, now) = (Made::default(), Instant::now());
        made.see(&child("").id(), Some(json!({"metadata": {"uid": "u"}})), now);
        assert!(made.take(now).is_empty());
        made.complete(now);
        let deeds = made.take(now);
        assert_eq!(carry_out(&mut made, deeds, now), ["delete shop/web u"]);
    }

    #[test]
    fn a_manifest_that_was_refused_is_not_tried_again_but_another_is() {
        let (mut made, now) = (Made::default(), Instant::now());
        made.want(&web(), vec![child("1")], now);
        made.take(now);
        let failure = |is_final| Failure { message: "no".into(), is_final };
        assert!(made.applied(&child("").id(), Err(failure(false)), now).is_some());
        assert_eq!(made.next(), Some(now + RETRY));
        made.take(now + RETRY);
        made.applied(&child("").id(), Err(failure(true)), now);
        assert!(made.take(now + RETRY + RETRY).is_empty());
        assert_eq!(made.refusal(&child("").id()), Some("no"));
        made.want(&web(), vec![child("2")], now);
        assert_eq!(made.take(now).len(), 1);
    }
}
