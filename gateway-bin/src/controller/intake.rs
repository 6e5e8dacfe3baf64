//! What was seen in the cluster, taken in: objects as changes for the compiler, ours as what is stored of them.
//!
//! In: one sighting, or a content that was fetched. Out: changes, and books kept. Judges nothing.

use gateway_core::compile::{Change, Fact};
use gateway_core::name::{Kind, ObjectId, ObjectName};
use gateway_core::resource::{Object, Reading, read_stored};
use gateway_core::snapshot::Network;
use serde_json::Value;

use super::apply::{Applier, gateway};
use super::events::Unread;
use crate::cluster::discover::Subject;
use crate::cluster::provision;
use crate::cluster::watch::Seen;

/// How much is known of an object whose content is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// It was asked for, and never known.
    Asked,
    /// It is known, or known not to be.
    Known,
}

impl Applier {
    /// Takes in what was seen.
    pub(super) fn see(&mut self, seen: Seen, changes: &mut Vec<Change>) {
        match seen {
            Seen::Installed(installed, bundle) => {
                self.listed.retain(|subject| installed.contains_key(subject));
                self.installed = Some(installed);
                changes.push(Change::Fact(Fact::Bundle(bundle)));
            }
            Seen::Listed(subject) => drop(self.listed.insert(subject)),
            Seen::Put(Subject::Object(kind), name, document) => self.put(ObjectId::new(kind, name), document, changes),
            Seen::Gone(Subject::Object(kind), name) => self.gone(ObjectId::new(kind, name), changes),
            Seen::Put(subject @ (Subject::Deployment | Subject::ServiceAccount | Subject::OwnConfigMap), name, document) => {
                let owner = provision::owner_of(&document, &self.place.outfit.controller_name);
                self.made.see(&(subject, name), owner.map(|owner| (owner, document)), self.now);
            }
            Seen::Gone(subject @ (Subject::Deployment | Subject::ServiceAccount | Subject::OwnConfigMap), name) => {
                self.made.vanish(&(subject, name), self.now);
            }
            Seen::Put(Subject::ServiceEvent, _, event) => self.complain(&event),
            Seen::Gone(Subject::ServiceEvent, _) => {}
            Seen::Put(Subject::ServiceRange, name, document) => {
                let ranges = document.pointer("/spec/cidrs").and_then(Value::as_array).into_iter().flatten();
                let ranges = ranges.filter_map(|range| Network::parse(range.as_str()?)).collect();
                self.ranges.insert(name, ranges);
                changes.push(self.service_ranges());
            }
            Seen::Gone(Subject::ServiceRange, name) => {
                self.ranges.remove(&name);
                changes.push(self.service_ranges());
            }
        }
    }

    /// An object is now this.
    fn put(&mut self, id: ObjectId, document: Value, changes: &mut Vec<Change>) {
        if is_fetched(&id.kind) {
            if self.contents.contains_key(&id) {
                self.fetches.hurry(&id, self.now);
            }
            return;
        }
        if id.kind == Kind::Service {
            let child = (Subject::Object(Kind::Service), id.name.clone());
            let owner = provision::owner_of(&document, &self.place.outfit.controller_name);
            self.dirty.extend(owner.clone().or_else(|| self.made.owner(&child).cloned()));
            self.made.see(&child, owner.map(|owner| (owner, document.clone())), self.now);
        }
        if has_status(&id.kind) {
            self.reports.store(&id, &document);
        }
        // What is made for Gateways may be shaped otherwise.
        if id.kind == Kind::GatewayParameters {
            self.dirty.extend(self.feeds.users(&id).map(gateway));
        }
        self.read(id, document, changes);
    }

    /// Reads an object whole.
    pub(super) fn read(&mut self, id: ObjectId, mut document: Value, changes: &mut Vec<Change>) {
        // Statuses are kept by `reports`; of policies the compiler looks at what others wrote.
        if has_status(&id.kind)
            && !is_shared(&id.kind)
            && let Some(fields) = document.as_object_mut()
        {
            fields.remove("status");
        }
        match read_stored(document.clone(), &self.reader) {
            Ok(Reading::Object { object, .. }) => {
                self.understood(&id);
                if let Object::Gateway(gateway) = &object {
                    self.gateways.insert(id.name.clone(), gateway.clone());
                    self.dirty.insert(id);
                } else if let Object::XBackend(backend) = &object {
                    self.backends.insert(id.name.clone(), backend.clone());
                    self.dirty.insert(id);
                } else if let Object::ListenerSet(set) = &object {
                    self.sets.insert(id.name.clone(), set.clone());
                }
                self.feeds.put(&object, &document);
                changes.push(Change::Put(object));
            }
            Ok(Reading::Foreign { .. }) => {}
            Err(reasons) => {
                let told: Vec<String> = reasons.iter().map(ToString::to_string).collect();
                self.not_understood(id, told.join("; "), &document);
            }
        }
    }

    /// An object cannot be read: what it was before holds, and what is made for it stays.
    fn not_understood(&mut self, id: ObjectId, why: String, document: &Value) {
        if self.unread.get(&id).is_some_and(|known| known.why == why) {
            return;
        }
        tracing::warn!(object = %id, "cannot be read: {why}");
        self.made.understand(&id, false, self.now);
        let class = document.pointer("/spec/gatewayClassName").and_then(Value::as_str).map(str::to_owned);
        let unread = Unread { why, class, is_told: false };
        self.unread.insert(id, unread);
    }

    /// An object can be read, or is gone.
    fn understood(&mut self, id: &ObjectId) {
        if self.unread.remove(id).is_some() {
            self.made.understand(id, true, self.now);
        }
    }

    /// An object is gone.
    pub(super) fn gone(&mut self, id: ObjectId, changes: &mut Vec<Change>) {
        self.understood(&id);
        if id.kind == Kind::Gateway {
            self.gateways.remove(&id.name);
            self.dirty.insert(id.clone());
        } else if id.kind == Kind::XBackend {
            self.backends.remove(&id.name);
            self.dirty.insert(id.clone());
        } else if id.kind == Kind::ListenerSet {
            self.sets.remove(&id.name);
        } else if id.kind == Kind::Service {
            let child = (Subject::Object(Kind::Service), id.name.clone());
            self.dirty.extend(self.made.owner(&child).cloned());
            self.made.vanish(&child, self.now);
            self.refusals.remove(&id.name);
        }
        if is_fetched(&id.kind) && self.contents.contains_key(&id) {
            self.contents.insert(id.clone(), Content::Known);
            // What is under way may tell what it was.
            if self.fetches.touch(&id) {
                self.fetches.add(&id, self.now);
            }
        }
        if id.kind == Kind::GatewayParameters {
            self.dirty.extend(self.feeds.users(&id).map(gateway));
        }
        self.reports.forget(&id);
        self.feeds.remove(&id);
        changes.push(Change::Remove(id));
    }

    /// Somebody could not do what a Service of ours asks for.
    fn complain(&mut self, event: &Value) {
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (namespace, name) = (text("/involvedObject/namespace"), text("/involvedObject/name"));
        let service = ObjectName::new(namespace, name);
        let child = (Subject::Object(Kind::Service), service.clone());
        let told = format!("{}: {}", text("/reason"), text("/message"));
        self.refusals.insert(service, (text("/involvedObject/uid").to_owned(), told));
        self.dirty.extend(self.made.owner(&child).cloned());
        // Events of Services that are not ours, or not any more, are not worth keeping.
        if self.is_begun {
            let Self { refusals, made, .. } = self;
            refusals.retain(|service, _| made.owner(&(Subject::Object(Kind::Service), service.clone())).is_some());
        }
    }

    /// A fetch came to its end.
    pub(super) fn fetched(&mut self, id: ObjectId, found: Result<Option<Value>, String>, changes: &mut Vec<Change>) {
        self.fetches.end(&id, found.is_ok(), self.now);
        let Some(content) = self.contents.get_mut(&id) else {
            self.fetches.drop(&id);
            return;
        };
        match found {
            Ok(document) => {
                *content = Content::Known;
                match document {
                    Some(document) => self.read(id, document, changes),
                    None => {
                        self.feeds.remove(&id);
                        changes.push(Change::Remove(id));
                    }
                }
            }
            Err(why) => tracing::warn!(object = %id, "cannot be fetched: {why}"),
        }
    }

    /// Fetches what is due.
    pub(super) fn fetch(&mut self) {
        for id in self.fetches.take(self.now) {
            let resource = self.resource(&Subject::Object(id.kind.clone())).map(|resource| resource.api.clone());
            // Every API server has the kinds that are fetched.
            let Some(api) = resource else { continue };
            self.fetches.begin(&id);
            self.place.writer.fetch(id, &api);
        }
    }

    fn service_ranges(&self) -> Change {
        let all: Vec<Network> = self.ranges.values().flatten().cloned().collect();
        Change::Fact(Fact::ServiceRanges((!all.is_empty()).then_some(all)))
    }
}

/// Whether only the names of a kind are watched, and contents fetched as they are needed.
pub(super) fn is_fetched(kind: &Kind) -> bool {
    matches!(kind, Kind::Secret | Kind::ConfigMap)
}

/// Whether objects of a kind have a status of ours.
fn has_status(kind: &Kind) -> bool {
    is_shared(kind) || kind.is_route() || matches!(kind, Kind::GatewayClass | Kind::Gateway | Kind::ListenerSet)
}

/// Whether what others wrote into the status of a kind matters to the compiler.
fn is_shared(kind: &Kind) -> bool {
    matches!(kind, Kind::BackendTlsPolicy | Kind::XBackendTrafficPolicy | Kind::XTelemetryPolicy | Kind::XBackend)
}
