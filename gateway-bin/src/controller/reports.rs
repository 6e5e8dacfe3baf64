//! Statuses on their way to the API server: what we want, what is stored, and what is to be written now.
//!
//! In: statuses from the compiler, objects as they are stored, how writes ended. Out: writes, one at a time per object. A status
//! waits until the proxies it concerns have what it speaks of, but not for long, and none waits for another's. What could not be written
//! is tried again after pauses that grow.
//!
//! Invariants: what is stored as we want it is never written; only one write of an object is under way; what is due is wanted.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use gateway_core::name::{Kind, ObjectId, ObjectName};
use gateway_core::status::{self, Status};
use serde_json::Value;

use super::schedule::pause;
use crate::cluster::write::Outcome;

/// All statuses.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    wanted: HashMap<ObjectId, Status>,
    stored: HashMap<ObjectId, Stored>,
    due: BTreeMap<ObjectId, Due>,
    under_way: BTreeMap<ObjectId, UnderWay>,
    /// How often in a row each could not be written.
    failures: HashMap<ObjectId, u32>,
}

/// A write that was not answered yet.
#[derive(Debug)]
struct UnderWay {
    /// Whether the object was seen meanwhile: then what the write answers may be older than what was seen.
    is_seen: bool,
    before: Option<Value>,
}

/// What was written.
#[derive(Debug)]
pub(crate) struct Written {
    /// The status as it was stored.
    pub(crate) before: Option<Value>,
    pub(crate) after: Value,
}

/// What an API server holds.
#[derive(Clone, Debug)]
struct Stored {
    resource_version: String,
    uid: Option<String>,
    status: Option<Value>,
}

/// When a status may be written.
#[derive(Clone, Copy, Debug)]
struct Due {
    /// Once proxies have what was so in this turn,
    turn: u64,
    /// or now.
    at_latest: Instant,
    /// Not before, as the last attempt failed.
    not_before: Instant,
}

/// One write to be done.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) id: ObjectId,
    /// The version of the object that it is made for.
    pub(crate) resource_version: String,
    pub(crate) status: Value,
}

impl Reports {
    /// An object is stored like this.
    pub(crate) fn store(&mut self, id: &ObjectId, document: &Value) {
        if let Some(write) = self.under_way.get_mut(id) {
            write.is_seen = true;
        }
        let version = document.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default();
        let status = document.get("status").filter(|status| !status.is_null()).cloned();
        let uid = document.pointer("/metadata/uid").and_then(Value::as_str).map(str::to_owned);
        let stored = Stored { resource_version: version.to_owned(), uid, status };
        let former = self.stored.insert(id.clone(), stored);
        let is_alike = former.is_some_and(|former| former.status == self.stored[id].status);
        if !is_alike {
            self.hurry(id);
        }
    }

    /// An object is gone.
    pub(crate) fn forget(&mut self, id: &ObjectId) {
        self.stored.remove(id);
        self.due.remove(id);
        self.failures.remove(id);
    }

    /// A status as it is stored.
    pub(crate) fn stored(&self, id: &ObjectId) -> Option<&Value> {
        self.stored.get(id)?.status.as_ref()
    }

    /// Which object of its name is stored.
    pub(crate) fn uid(&self, id: &ObjectId) -> Option<&str> {
        self.stored.get(id)?.uid.as_deref()
    }

    /// Takes in what an update says.
    pub(crate) fn want(&mut self, statuses: &BTreeMap<ObjectId, Option<Status>>, turn: u64, now: Instant) {
        for (id, status) in statuses {
            let Some(status) = status else {
                self.wanted.remove(id);
                self.due.remove(id);
                self.failures.remove(id);
                continue;
            };
            let former = self.wanted.insert(id.clone(), status.clone());
            // A status that goes on changing is not put off for ever.
            let due = self.due.entry(id.clone()).or_insert(Due { turn, at_latest: now + PATIENCE, not_before: now });
            due.turn = turn;
            // What became of another says nothing of this one.
            if former.as_ref() != Some(status) {
                due.not_before = now;
                self.failures.remove(id);
            }
        }
    }

    /// Everything may differ from what is wanted: whoever wrote until now was somebody else.
    pub(crate) fn doubt(&mut self) {
        let now = Instant::now();
        let due = Due { turn: 0, at_latest: now, not_before: now };
        self.failures.clear();
        for id in self.wanted.keys() {
            self.due.insert(id.clone(), due);
        }
    }

    /// The writes to be done now. `is_served` tells whether the proxies of a Gateway or of a ListenerSet have what was so in a turn.
    pub(crate) fn take(&mut self, now: Instant, written_at: &str, is_served: impl Fn(&ObjectId, u64) -> bool) -> Vec<Write> {
        let mut writes = Vec::new();
        let ripe = |(id, due): (&ObjectId, &Due)| {
            let status = self.wanted.get(id)?;
            let is_idle = !self.under_way.contains_key(id) && due.not_before <= now;
            let is_ripe = is_idle && (due.at_latest <= now || holders(id, status).iter().all(|one| is_served(one, due.turn)));
            is_ripe.then(|| id.clone())
        };
        let ripe: Vec<ObjectId> = self.due.iter().filter_map(ripe).collect();
        for id in ripe {
            self.due.remove(&id);
            // What was not seen yet is looked at when it is.
            let (Some(wanted), Some(stored)) = (self.wanted.get(&id), self.stored.get(&id)) else { continue };
            if let Some(status) = status::merge(wanted, stored.status.as_ref(), written_at) {
                let Stored { resource_version, status: before, .. } = stored.clone();
                self.under_way.insert(id.clone(), UnderWay { is_seen: false, before });
                writes.push(Write { id, resource_version, status });
            }
        }
        writes
    }

    /// A write came to its end. Returns what was written.
    pub(crate) fn end(&mut self, id: &ObjectId, ended: Outcome, now: Instant) -> Option<Written> {
        let UnderWay { is_seen, before } = self.under_way.remove(id)?;
        let written = match &ended {
            Outcome::Written(document) => Some(Written { before, after: document["status"].clone() }),
            Outcome::Conflict(_) | Outcome::Gone | Outcome::Failed => None,
        };
        let failures = if matches!(ended, Outcome::Failed) { self.failures.remove(id).unwrap_or(0) + 1 } else { 0 };
        match ended {
            // What was seen meanwhile is newer than what the write tells; after `Gone` it may be another object of the name.
            Outcome::Written(_) | Outcome::Gone if is_seen => self.hurry(id),
            Outcome::Written(document) => self.store(id, &document),
            Outcome::Conflict(document) => {
                self.store(id, &document);
                self.hurry(id);
            }
            Outcome::Gone => self.forget(id),
            Outcome::Failed => self.set_due(id, Due { turn: 0, at_latest: now, not_before: now + pause(failures) }),
        }
        if failures == 0 {
            self.failures.remove(id);
        } else if self.wanted.contains_key(id) {
            self.failures.insert(id.clone(), failures);
        }
        written
    }

    /// When something has to be written at the latest.
    pub(crate) fn next(&self) -> Option<Instant> {
        let idle = self.due.iter().filter(|(id, _)| !self.under_way.contains_key(*id));
        idle.map(|(_, due)| due.at_latest.max(due.not_before)).min()
    }

    fn hurry(&mut self, id: &ObjectId) {
        let now = Instant::now();
        if !self.due.contains_key(id) {
            self.set_due(id, Due { turn: 0, at_latest: now, not_before: now });
        }
    }

    fn set_due(&mut self, id: &ObjectId, due: Due) {
        if self.wanted.contains_key(id) {
            self.due.insert(id.clone(), due);
        }
    }
}

/// The Gateways and ListenerSets whose proxies a status speaks of.
fn holders(id: &ObjectId, status: &Status) -> Vec<ObjectId> {
    match status {
        Status::Gateway(_) | Status::ListenerSet(_) => vec![id.clone()],
        Status::Route(route) => {
            let parents = route.parents.iter().map(|parent| &parent.parent_ref);
            let holder = |kind: Kind, namespace: Option<&str>, name: &str| {
                ObjectId::new(kind, ObjectName::new(namespace.unwrap_or_else(|| id.name.namespace()), name))
            };
            let holders = parents.filter_map(|parent| {
                let kind = [Kind::Gateway, Kind::ListenerSet].into_iter().find(|kind| parent.kind == kind.as_str())?;
                Some(holder(kind, parent.namespace.as_deref(), &parent.name))
            });
            holders.collect()
        }
        Status::Policy(policy) => {
            let ancestors = policy.ancestors.iter().map(|ancestor| &ancestor.ancestor_ref);
            ancestors.map(|one| ObjectId::new(Kind::Gateway, ObjectName::new(&one.namespace, &one.name))).collect()
        }
        Status::GatewayClass(_) => Vec::new(),
    }
}

/// How long a status waits for proxies.
const PATIENCE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use gateway_core::condition::{Condition, Reason, Truth};
    use gateway_core::status::ClassStatus;
    use serde_json::json;

    use super::*;

    fn id() -> ObjectId {
        ObjectId::new(Kind::GatewayClass, ObjectName::cluster("pingora"))
    }

    fn status(truth: Truth, generation: i64) -> Status {
        let kind = gateway_core::condition::ConditionType::Accepted;
        let condition =
            Condition { kind, status: truth, reason: Reason::Accepted, message: String::new(), observed_generation: generation };
        Status::GatewayClass(ClassStatus { conditions: vec![condition], supported_features: vec![] })
    }

    fn stored(version: &str, status: &Value) -> Value {
        json!({"metadata": {"resourceVersion": version}, "status": status})
    }

    fn take(reports: &mut Reports, now: Instant, is_served: bool) -> Vec<Write> {
        reports.take(now, "2026-01-01T00:00:00Z", |_, _| is_served)
    }

    #[test]
    fn what_is_stored_as_wanted_is_not_written() {
        let (mut reports, now) = (Reports::default(), Instant::now());
        reports.store(&id(), &stored("1", &Value::Null));
        reports.want(&[(id(), Some(status(Truth::True, 1)))].into(), 1, now);
        let write = take(&mut reports, now, true).remove(0);
        assert_eq!(write.resource_version, "1");
        assert!(take(&mut reports, now, true).is_empty(), "one write at a time");
        reports.end(&id(), Outcome::Written(stored("2", &write.status)), now);
        reports.doubt();
        assert!(take(&mut reports, Instant::now(), true).is_empty());
        reports.store(&id(), &stored("3", &json!({})));
        assert_eq!(take(&mut reports, Instant::now(), true).len(), 1, "somebody undid it");
    }

    #[test]
    fn after_a_conflict_it_is_made_anew_of_what_is_stored_then() {
        let (mut reports, now) = (Reports::default(), Instant::now());
        reports.store(&id(), &stored("1", &Value::Null));
        reports.want(&[(id(), Some(status(Truth::True, 1)))].into(), 1, now);
        take(&mut reports, now, true);
        let foreign = json!({"conditions": [{"type": "example.com/x", "status": "True"}]});
        reports.end(&id(), Outcome::Conflict(stored("2", &foreign)), now);
        let write = take(&mut reports, Instant::now(), true).remove(0);
        assert_eq!(write.resource_version, "2");
        assert!(write.status.to_string().contains("example.com/x"));
    }

    #[test]
    fn a_status_waits_for_proxies_but_not_for_long() {
        let (mut reports, now) = (Reports::default(), Instant::now());
        let gateway = ObjectId::new(Kind::Gateway, ObjectName::new("shop", "web"));
        let wanted =
            status::GatewayStatus { addresses: vec![], attached_listener_sets: 0, conditions: vec![], listeners: vec![] };
        reports.store(&gateway, &stored("1", &Value::Null));
        reports.want(&[(gateway.clone(), Some(Status::Gateway(wanted)))].into(), 7, now);
        assert!(take(&mut reports, now, false).is_empty());
        assert_eq!(reports.next(), Some(now + PATIENCE));
        assert_eq!(take(&mut reports, now + PATIENCE, false).len(), 1);
    }

    #[test]
    fn a_status_that_nobody_wants_any_more_is_not_due_however_its_write_ended() {
        let (mut reports, now) = (Reports::default(), Instant::now());
        let document = stored("2", &json!({}));
        for ended in [Outcome::Written(document.clone()), Outcome::Conflict(document.clone()), Outcome::Failed, Outcome::Gone] {
            reports.store(&id(), &stored("1", &Value::Null));
            reports.want(&[(id(), Some(status(Truth::True, 1)))].into(), 1, now);
            assert_eq!(take(&mut reports, Instant::now(), true).len(), 1);
            reports.want(&[(id(), None)].into(), 2, now);
            reports.store(&id(), &document);
            reports.end(&id(), ended, now);
            assert_eq!(reports.next(), None, "somebody would wait for a moment that is over, again and again");
        }
    }

    #[test]
    fn an_object_made_anew_while_its_former_was_written_to_has_its_status_too() {
        let (mut reports, now) = (Reports::default(), Instant::now());
        reports.store(&id(), &stored("1", &Value::Null));
        reports.want(&[(id(), Some(status(Truth::True, 1)))].into(), 1, now);
        assert_eq!(take(&mut reports, now, true).len(), 1);
        reports.forget(&id());
        reports.store(&id(), &stored("5", &Value::Null));
        reports.want(&[(id(), Some(status(Truth::True, 1)))].into(), 2, now);
        reports.end(&id(), Outcome::Gone, now);
        assert_eq!(take(&mut reports, Instant::now(), true).remove(0).resource_version, "5");
    }

    #[test]
    fn a_failed_write_is_tried_again_after_pauses_that_grow() {
        let (mut reports, now) = (Reports::default(), Instant::now());
        reports.store(&id(), &stored("1", &Value::Null));
        reports.want(&[(id(), Some(status(Truth::True, 1)))].into(), 1, now);
        take(&mut reports, now, true);
        let mut now = now;
        for expected in [1, 2, 4, 8] {
            assert!(reports.end(&id(), Outcome::Failed, now).is_none(), "nothing was written, and nobody is told");
            assert!(take(&mut reports, now, true).is_empty());
            now += Duration::from_secs(expected);
            assert_eq!(reports.next(), Some(now));
            assert_eq!(take(&mut reports, now, true).len(), 1);
        }
        reports.end(&id(), Outcome::Failed, now);
        reports.want(&[(id(), Some(status(Truth::False, 2)))].into(), 2, now);
        assert_eq!(take(&mut reports, now, true).len(), 1, "another status does not wait for the pause of the former");
        reports.end(&id(), Outcome::Gone, now);
        assert!(take(&mut reports, now + PATIENCE, true).is_empty() && reports.stored(&id()).is_none());
    }
}
