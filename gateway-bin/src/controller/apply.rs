//! The controller's thread that applies changes: what was seen, through the compiler, to statuses, proxies and what is made for them.
//!
//! In: events. Out: writes, steps for proxies. Each turn of the loop is one transaction; what it made is held back for a moment while
//! contents of Secrets and ConfigMaps that it newly refers to are fetched, so that nobody sees half of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use gateway_core::compile::{
    Addresses, CLUSTER_DOMAIN, Change, Classes, Compiler, Extensions, ExternalNames, Fact, Options, Proof, Update,
};
use gateway_core::name::{Kind, ObjectId, ObjectName};
use gateway_core::resource::{FieldValidation, Gateway, ListenerSet, Reader, XBackend};
use gateway_core::snapshot::{Network, Settings, Socket};
use gateway_core::status::Status;
use k8s_openapi::jiff::Timestamp;

use super::events::{Unread, kind_of};
use super::feeds::Feeds;
use super::intake::{Content, is_fetched};
use super::made::{Deed, Made};
use super::notices::Notices;
use super::reports::Reports;
use super::schedule::Schedule;
use crate::applying::{Alarm, wait};
use crate::cluster::child::ChildId;
use crate::cluster::discover::{Installed, Resource, Subject};
use crate::cluster::lease::Leader;
use crate::cluster::provision::Outfit;
use crate::cluster::watch::Seen;
use crate::cluster::write::{Done, Outcome, Writer};
use crate::setup;
use crate::state::{Lost, State};
use crate::wire::FromController;
use crate::wire::authority::SessionSecret;
use crate::wire::serve::Said;

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Event {
    /// Something was seen in the cluster.
    Seen(Seen),
    /// A proxy did something.
    Said(Said),
    /// A write or a fetch came to its end.
    Done(Done),
    /// Another leads, or we do.
    Leader(Leader),
}

/// What the thread works with.
pub(super) struct Place {
    pub(super) outfit: Outfit,
    pub(super) sessions: SessionSecret,
    pub(super) extensions: Extensions,
    pub(super) state: Arc<State>,
    pub(super) writer: Writer,
}

/// The thread's own state.
pub(super) struct Applier {
    pub(super) place: Place,
    pub(super) reader: Reader,
    pub(super) compiler: Compiler,
    pub(super) installed: Option<Installed>,
    pub(super) listed: BTreeSet<Subject>,
    pub(super) is_begun: bool,
    leader: Leader,
    pub(super) feeds: Feeds,
    pub(super) reports: Reports,
    pub(super) notices: Notices,
    pub(super) made: Made,
    pub(super) gateways: BTreeMap<ObjectName, Arc<Gateway>>,
    pub(super) sets: BTreeMap<ObjectName, Arc<ListenerSet>>,
    pub(super) backends: BTreeMap<ObjectName, Arc<XBackend>>,
    /// Gateways and XBackends for which other objects may have to be made, or which may have other addresses.
    pub(super) dirty: BTreeSet<ObjectId>,
    /// Classes that may be used now, or not any more.
    pub(super) classes: Schedule<ObjectName>,
    /// What went wrong with Services: whose, and what.
    pub(super) refusals: BTreeMap<ObjectName, (String, String)>,
    pub(super) ranges: BTreeMap<ObjectName, Vec<Network>>,
    /// Secrets and ConfigMaps that are needed.
    pub(super) contents: HashMap<ObjectId, Content>,
    pub(super) fetches: Schedule<ObjectId>,
    /// Objects that cannot be read.
    pub(super) unread: BTreeMap<ObjectId, Unread>,
    /// Contents that the compiler need not keep.
    unneeded: Vec<Change>,
    /// The ServiceAccounts of Gateways' proxies.
    pub(super) accounts: HashMap<ObjectName, ObjectName>,
    /// What the compiler was told.
    pub(super) addresses: BTreeMap<ObjectName, Addresses>,
    pub(super) refused: BTreeMap<ObjectName, BTreeMap<Socket, Arc<str>>>,
    /// What people were told last of what could not be written for a Gateway or an XBackend.
    pub(super) told: BTreeMap<ObjectId, BTreeMap<ChildId, String>>,
    /// When to begin at the latest, though contents are missing.
    begin_by: Option<Instant>,
    /// Since when results are held back.
    held_since: Option<Instant>,
    /// Statuses that are held back.
    withheld: BTreeMap<ObjectId, Option<Status>>,
    pub(super) now: Instant,
    alarm: Alarm,
}

impl Applier {
    /// Nothing is known yet.
    pub(super) fn new(place: Place) -> Self {
        let compiler = Compiler::new(Options {
            classes: Classes::Named,
            controller_name: place.outfit.controller_name.as_str().into(),
            support: setup::CLUSTER_SUPPORT,
            extensions: place.extensions.clone(),
            external_names: ExternalNames::Refused,
            service_names: None,
            cluster_domain: CLUSTER_DOMAIN.into(),
            traffic: false,
            proof: Proof::Acknowledgement,
            settings: Settings::default(),
            seed: setup::seed(),
        });
        let reader = Reader {
            validation: FieldValidation::Ignore,
            lenient_forms: false,
            extensions: place.extensions.kinds().cloned().collect(),
        };
        Self {
            place,
            reader,
            compiler,
            installed: None,
            listed: BTreeSet::new(),
            is_begun: false,
            leader: Leader::Unknown,
            feeds: Feeds::default(),
            reports: Reports::default(),
            notices: Notices::default(),
            made: Made::default(),
            gateways: BTreeMap::new(),
            sets: BTreeMap::new(),
            backends: BTreeMap::new(),
            dirty: BTreeSet::new(),
            classes: Schedule::default(),
            refusals: BTreeMap::new(),
            ranges: BTreeMap::new(),
            contents: HashMap::new(),
            fetches: Schedule::default(),
            unread: BTreeMap::new(),
            unneeded: Vec::new(),
            accounts: HashMap::new(),
            addresses: BTreeMap::new(),
            refused: BTreeMap::new(),
            told: BTreeMap::new(),
            begin_by: None,
            held_since: None,
            withheld: BTreeMap::new(),
            now: Instant::now(),
            alarm: Alarm::default(),
        }
    }

    /// Follows events until nobody can send one.
    pub(super) fn follow(mut self, events: &Receiver<Event>) {
        let _lost = Lost(Arc::clone(&self.place.state));
        while let Some(told) = wait(events, self.next_turn()) {
            self.now = Instant::now();
            self.turn(told);
        }
    }

    fn next_turn(&self) -> Option<Instant> {
        let held = self.held_since.filter(|_| self.is_begun).map(|since| since + HOLD);
        let writes = (self.is_leader() && held.is_none()).then(|| [self.reports.next(), self.made.next(), self.classes.next()]);
        let writes = writes.into_iter().flatten().flatten().min();
        [self.alarm.next(), held, self.begin_by.filter(|_| !self.is_begun), writes, self.fetches.next()]
            .into_iter()
            .flatten()
            .min()
    }

    pub(super) fn is_leader(&self) -> bool {
        self.is_begun && self.leader == Leader::Own
    }

    fn turn(&mut self, events: Vec<Event>) {
        let mut changes = Vec::new();
        for event in events {
            match event {
                Event::Seen(seen) => self.see(seen, &mut changes),
                Event::Said(said) => self.hear(said),
                Event::Done(done) => self.end(done, &mut changes),
                Event::Leader(leader) => self.lead(leader, &mut changes),
            }
        }
        let begins = !self.is_begun;
        if begins {
            // It is only taken note of: nothing is said before all is known.
            self.compiler_note(std::mem::take(&mut changes));
            self.fetch();
            if !self.may_begin() {
                return;
            }
            self.is_begun = true;
            // What is missing still was waited for.
            self.held_since = None;
            changes.extend(self.recall());
            tracing::info!("everything is listed");
        }
        if begins || !changes.is_empty() || self.alarm.is_time(self.now) || !self.dirty.is_empty() {
            self.apply(changes);
        }
        self.fetch();
        self.settle();
        self.write();
        self.alarm.rest(self.now, || false);
    }

    /// Whether everything is listed, and what Gateways need of contents is known, or was waited for.
    fn may_begin(&mut self) -> bool {
        let is_listed = |installed: &Installed| installed.keys().all(|subject| self.listed.contains(subject));
        let is_all_listed = self.installed.as_ref().is_some_and(is_listed);
        self.begin_by = is_all_listed.then(|| self.begin_by.unwrap_or(self.now + PATIENCE));
        self.begin_by.is_some_and(|by| by <= self.now || !self.is_content_missing())
    }

    /// Applies changes of which nobody is told yet.
    fn compiler_note(&mut self, changes: Vec<Change>) {
        if !changes.is_empty() {
            let update = self.compiler.apply(changes);
            self.take_in(&update);
        }
    }

    fn apply(&mut self, mut changes: Vec<Change>) {
        // What is made for a Gateway follows from what becomes of it, and its addresses from what is made.
        for _ in 0..ROUNDS {
            let time = setup::since_1970();
            changes.push(Change::Fact(Fact::Time(time)));
            let update = self.compiler.apply(std::mem::take(&mut changes));
            self.take_in(&update);
            self.alarm.set(time, update.next);
            changes = std::mem::take(&mut self.unneeded);
            changes.extend(self.look_after_owners());
            changes.extend(self.feeds.acknowledged().into_iter().map(Change::Fact));
            if changes.is_empty() {
                break;
            }
        }
        if !changes.is_empty() {
            self.compiler_note(changes);
        }
    }

    /// Takes in what an update says.
    fn take_in(&mut self, update: &Update) {
        self.feeds.depend(&update.needs);
        let parameters = update.needs.iter().filter(|need| need.object.kind == Kind::GatewayParameters);
        self.dirty.extend(parameters.map(|need| gateway(&need.gateway)));
        let backends = update.needs.iter().filter(|need| need.object.kind == Kind::XBackend);
        self.dirty.extend(backends.map(|need| need.object.clone()));
        for need in update.needs.iter().filter(|need| is_fetched(&need.object.kind)) {
            let id = &need.object;
            let is_needed = self.feeds.is_needed(id);
            if is_needed && !self.contents.contains_key(id) {
                self.contents.insert(id.clone(), Content::Asked);
                self.held_since.get_or_insert(self.now);
                self.fetches.hurry(id, self.now);
            } else if !is_needed {
                self.contents.remove(id);
                self.fetches.drop(id);
                self.feeds.remove(id);
                self.unneeded.push(Change::Remove(id.clone()));
            }
        }
        for (id, status) in &update.statuses {
            if id.kind == Kind::Gateway {
                self.feeds.own(&id.name, status.is_some());
                self.dirty.insert(id.clone());
            } else if id.kind == Kind::ListenerSet {
                let set = self.sets.get(&id.name);
                self.dirty.extend(set.map(|set| gateway(&set.spec.parent_ref.target(id.name.namespace()))));
            }
        }
        let classes = update.statuses.keys().filter(|id| id.kind == Kind::GatewayClass).map(|id| &id.name);
        for class in update.classes.keys().chain(classes) {
            self.classes.add(class, self.now);
        }
        self.withheld.extend(update.statuses.clone());
        let mut known = self.place.state.lock();
        known.board.absorb(update);
        if self.is_begun {
            known.applied += 1;
        }
        drop(known);
        self.place.state.turned();
    }

    /// Lets out what was held back, once nothing is missing any more, or its time is over.
    fn settle(&mut self) {
        let is_over = self.held_since.is_none_or(|since| since + HOLD <= self.now);
        if !is_over && self.is_content_missing() {
            return;
        }
        self.held_since = None;
        let turn = self.feeds.turn();
        self.reports.want(&std::mem::take(&mut self.withheld), turn, self.now);
    }

    /// Whether a content is not known yet that a Gateway needs.
    fn is_content_missing(&self) -> bool {
        self.contents.values().any(|content| *content == Content::Asked)
    }

    fn lead(&mut self, leader: Leader, changes: &mut Vec<Change>) {
        tracing::info!(?leader, "the lease");
        if leader == Leader::Own && self.leader != Leader::Own {
            changes.extend(self.recall());
            self.reports.doubt();
            self.dirty.extend(self.gateways.keys().map(gateway));
            self.dirty.extend(self.backends.keys().map(|name| ObjectId::new(Kind::XBackend, name.clone())));
            self.made.complete(self.now);
            for class in self.compiler.statuses().keys().filter(|id| id.kind == Kind::GatewayClass) {
                self.classes.hurry(&class.name, self.now);
            }
        } else if leader != Leader::Own {
            self.feeds.dismiss();
        }
        self.leader = leader;
    }

    fn hear(&mut self, said: Said) {
        match said {
            Said::Joined { proxy, caller, held, release, outbox } => match &self.leader {
                Leader::Own if self.is_begun => {
                    let own = self.accounts.get(&caller.account).cloned();
                    if let Some(own) = &own {
                        let session_keys = vec![self.place.sessions.key(own)];
                        // It hears that, or is gone.
                        let _ = outbox.send(FromController { session_keys, ..FromController::default() });
                    }
                    let Self { feeds, contents, .. } = self;
                    let is_unknown = |id: &ObjectId| contents.get(id) == Some(&Content::Asked);
                    let has_joined = own.as_ref().is_some_and(|own| feeds.join(proxy, own, &held, is_unknown, outbox.clone()));
                    let pod = caller.pod.as_deref().unwrap_or("?");
                    if has_joined {
                        tracing::info!(account = %caller.account, pod, release, "a proxy connected");
                    } else {
                        // Proxies of a Gateway that is gone ask until their pods end.
                        tracing::debug!(account = %caller.account, pod, release, "a proxy was refused");
                        let why = format!("the proxies of no Gateway run as ServiceAccount {}", caller.account);
                        // It hears that, or is gone.
                        let _ = outbox.send(FromController { refused: Some(why), ..FromController::default() });
                    }
                    self.dirty.extend(own.as_ref().map(gateway));
                }
                Leader::Other(name) => {
                    if let Some((_, address)) = name.rsplit_once('_') {
                        // It is gone, or goes there.
                        let _ = outbox.send(FromController { elsewhere: Some(address.to_owned()), ..FromController::default() });
                    }
                }
                // It comes again.
                Leader::Own | Leader::Unknown => {}
            },
            Said::Acknowledged { proxy, acknowledged } => {
                self.dirty.extend(self.feeds.acknowledge(proxy, acknowledged).as_ref().map(gateway));
            }
            Said::Left { proxy } => self.dirty.extend(self.feeds.leave(proxy).as_ref().map(gateway)),
        }
    }

    fn end(&mut self, done: Done, changes: &mut Vec<Change>) {
        match done {
            Done::Status(id, outcome) => {
                if let Some(written) = self.reports.end(&id, outcome, self.now) {
                    self.tell_of_status(&id, &written);
                }
            }
            Done::Fetched(id, found) => self.fetched(id, found, changes),
            Done::Applied(id, outcome) => {
                let told = self.made.applied(&id, outcome, self.now);
                self.dirty.extend(self.made.owner(&id).cloned());
                match told {
                    Some((owner, why)) => self.tell_not_made(&owner, id, &why),
                    None => self.was_made(&id),
                }
            }
            Done::Deleted(id, outcome) => {
                if let Err(why) = &outcome {
                    tracing::warn!("cannot delete {} {}: {why}", kind_of(&id), id.1);
                }
                self.made.deleted(&id, outcome.is_ok(), self.now);
            }
            Done::Finalized(class, outcome) => {
                if let Err(why) = &outcome {
                    tracing::warn!(%class, "its finalizers cannot be written: {why}");
                }
                self.classes.end(&class, outcome.is_ok(), self.now);
            }
        }
    }

    pub(super) fn resource(&self, subject: &Subject) -> Option<&Resource> {
        self.installed.as_ref()?.get(subject)
    }

    /// Writes what is to be written.
    fn write(&mut self) {
        if !self.is_leader() || self.held_since.is_some() {
            return;
        }
        let Self { reports, feeds, sets, .. } = self;
        let is_served = |holder: &ObjectId, turn| {
            if holder.kind == Kind::Gateway {
                return feeds.has_reached(&holder.name, turn);
            }
            let set = sets.get(&holder.name);
            set.is_none_or(|set| feeds.has_reached(&set.spec.parent_ref.target(holder.name.namespace()), turn))
        };
        let written_at = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let writes = reports.take(self.now, &written_at, is_served);
        for write in writes {
            let Some(api) = self.resource(&Subject::Object(write.id.kind.clone())).map(|resource| resource.api.clone()) else {
                self.reports.end(&write.id, Outcome::Gone, self.now);
                continue;
            };
            self.place.writer.status(write.id, &api, write.resource_version, write.status);
        }
        self.tell_of_unread();
        self.finalize_classes();
        for deed in self.made.take(self.now) {
            let id = match &deed {
                Deed::Apply(child, _) => child.id(),
                Deed::Delete(id, _) => id.clone(),
            };
            // Every API server has the kinds that are made.
            let Some(api) = self.resource(&id.0).map(|resource| resource.api.clone()) else {
                self.made.deleted(&id, false, self.now);
                continue;
            };
            match deed {
                Deed::Apply(child, is_known) => {
                    let controller = self.place.outfit.controller_name.clone();
                    self.place.writer.apply(child, &api, is_known, controller);
                }
                Deed::Delete(id, uid) => self.place.writer.delete(id, &api, uid),
            }
        }
    }

    /// A class of ours that Gateways use is not to vanish under them (`GatewayClassFinalizerGatewaysExist`).
    fn finalize_classes(&mut self) {
        for class in self.classes.take(self.now) {
            let id = ObjectId::new(Kind::GatewayClass, class.clone());
            let resource = self.resource(&Subject::Object(Kind::GatewayClass)).map(|resource| resource.api.clone());
            let Some(api) = resource.filter(|_| self.compiler.statuses().contains_key(&id)) else { continue };
            let is_used = self.compiler.is_class_used(&class);
            self.classes.begin(&class);
            self.place.writer.finalize(class, &api, IN_USE, is_used);
        }
    }
}

/// A Gateway as an object.
pub(super) fn gateway(name: &ObjectName) -> ObjectId {
    ObjectId::new(Kind::Gateway, name.clone())
}

/// On classes that Gateways use.
const IN_USE: &str = "gateway-exists-finalizer.gateway.networking.k8s.io";
/// How long results are held back for the sake of contents that are fetched.
const HOLD: Duration = Duration::from_secs(1);
/// How long contents that cannot be fetched are waited for at the beginning.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often what follows from a change may have consequences of its own.
const ROUNDS: usize = 8;
