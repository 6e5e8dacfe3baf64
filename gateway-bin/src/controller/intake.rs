//! What was seen in the cluster, taken in: objects as changes for the compiler, ours as what is stored of them.
//!
//! In: one sighting, or a content that was fetched. Out: changes, and books kept. Judges nothing.

use gateway_core::compile::{Change, Fact};
use gateway_core::name::{Kind, ObjectId, ObjectName};
use gateway_core::resource::{Object, Reading, read_stored};
use gateway_core::snapshot::Network;
use serde_json::Value;

use super::apply::Applier;
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
    /// It is asked for anew; whether once more after that.
    AskedAgain(bool),
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
                let is_ours = provision::gateway_of(&document, &self.place.outfit.controller_name).is_some();
                self.made.see(&(subject, name), is_ours.then_some(document), self.now);
            }
            Seen::Gone(subject @ (Subject::Deployment | Subject::ServiceAccount | Subject::OwnConfigMap), name) => {
                self.made.see(&(subject, name), None, self.now);
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
                self.fetch(&id);
            }
            return;
        }
        if id.kind == Kind::Service {
            let child = (Subject::Object(Kind::Service), id.name.clone());
            let gateway = provision::gateway_of(&document, &self.place.outfit.controller_name);
            if let Some(gateway) = gateway.clone().or_else(|| self.made.gateway(&child).cloned()) {
                self.dirty.insert(gateway);
            }
            let is_ours = gateway.is_some();
            self.made.see(&child, is_ours.then(|| document.clone()), self.now);
        }
        if has_status(&id.kind) {
            self.reports.store(&id, &document);
        }
        // What is made for Gateways may be shaped otherwise.
        if id.kind == Kind::GatewayParameters {
            self.dirty.extend(self.feeds.users(&id).cloned());
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
                if let Object::Gateway(gateway) = &object {
                    self.gateways.insert(id.name.clone(), gateway.clone());
                    self.dirty.insert(id.name.clone());
                } else if let Object::ListenerSet(set) = &object {
                    self.sets.insert(id.name.clone(), set.clone());
                }
                self.feeds.put(&object, &document);
                changes.push(Change::Put(object));
            }
            Ok(Reading::Foreign { .. }) => {}
            Err(reasons) => {
                let told: Vec<String> = reasons.iter().map(ToString::to_string).collect();
                tracing::warn!(object = %id, "cannot be read: {}", told.join("; "));
                self.gone(id, changes);
            }
        }
    }

    /// An object is gone.
    pub(super) fn gone(&mut self, id: ObjectId, changes: &mut Vec<Change>) {
        if id.kind == Kind::Gateway {
            self.gateways.remove(&id.name);
            self.dirty.insert(id.name.clone());
        } else if id.kind == Kind::ListenerSet {
            self.sets.remove(&id.name);
        } else if id.kind == Kind::Service {
            let child = (Subject::Object(Kind::Service), id.name.clone());
            if let Some(gateway) = self.made.gateway(&child) {
                self.dirty.insert(gateway.clone());
            }
            self.made.see(&child, None, self.now);
            self.refusals.remove(&id.name);
        }
        if is_fetched(&id.kind) && self.contents.contains_key(&id) {
            self.contents.insert(id.clone(), Content::Known);
        }
        if id.kind == Kind::GatewayParameters {
            self.dirty.extend(self.feeds.users(&id).cloned());
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
        if let Some(gateway) = self.made.gateway(&child) {
            self.dirty.insert(gateway.clone());
        }
        // Events of Services that are not ours, or not any more, are not worth keeping.
        if self.is_begun {
            let Self { refusals, made, .. } = self;
            refusals.retain(|service, _| made.gateway(&(Subject::Object(Kind::Service), service.clone())).is_some());
        }
    }

    pub(super) fn fetched(&mut self, id: ObjectId, found: Result<Option<Value>, String>, changes: &mut Vec<Change>) {
        let Some(content) = self.contents.get(&id).copied() else { return };
        match found {
            Ok(document) => {
                let is_stale = content == Content::AskedAgain(true);
                self.contents.insert(id.clone(), if is_stale { Content::AskedAgain(false) } else { Content::Known });
                if is_stale {
                    self.ask(id.clone());
                }
                match document {
                    Some(document) => self.read(id, document, changes),
                    None => {
                        self.feeds.remove(&id);
                        changes.push(Change::Remove(id));
                    }
                }
            }
            Err(why) => {
                tracing::warn!(object = %id, "cannot be fetched: {why}");
                self.ask(id);
            }
        }
    }

    /// The content of an object may be another now.
    fn fetch(&mut self, id: &ObjectId) {
        let Some(content) = self.contents.get_mut(id) else { return };
        match *content {
            Content::Known => {
                *content = Content::AskedAgain(false);
                self.ask(id.clone());
            }
            // What is under way may be older than what was seen.
            Content::Asked | Content::AskedAgain(_) => *content = Content::AskedAgain(true),
        }
    }

    pub(super) fn ask(&self, id: ObjectId) {
        if let Some(resource) = self.resource(&Subject::Object(id.kind.clone())) {
            self.place.writer.fetch(id, &resource.api);
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
