//! The proxy's thread that applies changes: steps and facts, through the compiler, to what is served and acknowledged.
//!
//! In: events. Out: snapshots published, acknowledgements. Each turn of the loop is one transaction.

use std::collections::BTreeMap;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gateway_core::compile::{
    Addresses, Bound, CLUSTER_DOMAIN, CONTROLLER_NAME, Change, Classes, Compiler, ExternalNames, Fact, Options, Proof,
};
use gateway_core::name::{ObjectId, ObjectName};
use gateway_core::resource::{FieldValidation, Reader, Reading, read_stored};
use gateway_core::snapshot::{Settings, Transport};
use tokio::sync::mpsc::UnboundedSender;

use super::keep::Keep;
use crate::applying::{Alarm, wait};
use crate::setup;
use crate::state::{Lost, State};
use crate::wire::follow::Whole;
use crate::wire::{Acknowledged, Held, Put, Refused};

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Event {
    /// The controller says that something changed.
    Step(Whole),
    /// The adapter found something out.
    Fact(Fact),
}

/// What the thread works with.
pub(super) struct Place {
    /// The Gateway that is served.
    pub(super) of: ObjectName,
    pub(super) drain_timeout: Duration,
    pub(super) state: Arc<State>,
    pub(super) gateway: gateway_pingora::Gateway,
    pub(super) acknowledge: UnboundedSender<(u64, Acknowledged)>,
}

/// What is held, for the wire to say.
#[derive(Clone, Debug, Default)]
pub(super) struct Holding(Arc<Mutex<BTreeMap<String, Kept>>>);

/// One object that is held: its version, and which it is where it could be read.
type Kept = (u64, Option<ObjectId>);

impl Holding {
    /// All of it.
    pub(super) fn all(&self) -> Vec<Held> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.iter().map(|(key, (version, _))| Held { key: key.clone(), version: *version }).collect()
    }

    fn put(&self, put: &Put, id: Option<ObjectId>) -> Option<ObjectId> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.insert(put.key.clone(), (put.version, id))?.1
    }

    fn remove(&self, key: &str) -> Option<ObjectId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key)?.1
    }
}

/// The thread's own state.
pub(super) struct Applier {
    place: Place,
    keep: Keep,
    holding: Holding,
    reader: Reader,
    compiler: Compiler,
    /// The last step, by which connection it came, and when it is acknowledged at the latest if it was not yet.
    last: Option<(u64, u64, Option<Instant>)>,
    refused: Vec<Refused>,
    alarm: Alarm,
}

impl Applier {
    /// Nothing is applied yet.
    pub(super) fn new(place: Place, keep: Keep) -> Self {
        let extensions = place.gateway.extensions();
        let compiler = Compiler::new(Options {
            // The controller sends only what is its own.
            classes: Classes::All,
            controller_name: CONTROLLER_NAME.into(),
            support: setup::CLUSTER_SUPPORT,
            extensions: extensions.clone(),
            external_names: ExternalNames::Refused,
            service_names: None,
            cluster_domain: CLUSTER_DOMAIN.into(),
            traffic: true,
            proof: Proof::Sockets,
            settings: Settings { drain_timeout: place.drain_timeout, ..Settings::default() },
            seed: setup::seed(),
        });
        let reader = Reader {
            validation: FieldValidation::Ignore,
            lenient_forms: false,
            extensions: extensions.kinds().cloned().collect(),
        };
        let holding = Holding::default();
        Self { place, keep, holding, reader, compiler, last: None, refused: Vec::new(), alarm: Alarm::default() }
    }

    /// What is held, now and later.
    pub(super) fn held(&self) -> Holding {
        self.holding.clone()
    }

    /// Applies what was kept, then follows events until nobody can send one.
    pub(super) fn follow(mut self, events: &Receiver<Event>) {
        let _lost = Lost(Arc::clone(&self.place.state));
        self.begin();
        while let Some(told) = wait(events, self.next_turn()) {
            self.turn(told);
        }
    }

    fn next_turn(&self) -> Option<Instant> {
        let acknowledge_at = self.last.and_then(|(_, _, at)| at);
        [acknowledge_at, self.alarm.next()].into_iter().flatten().min()
    }

    fn begin(&mut self) {
        let (kept, is_whole) = self.keep.take();
        // Half a step is no configuration: it only saves sending objects again.
        let mut changes: Vec<Change> = kept.iter().filter_map(|put| self.put(put)).collect();
        let addresses = Addresses { listen: vec![None], answers: Vec::new() };
        changes.push(Change::Fact(Fact::Addresses(self.place.of.clone(), Some(addresses))));
        if kept.is_empty() || !is_whole {
            self.compiler.apply(changes);
        } else {
            tracing::info!(objects = kept.len(), "serving what was kept");
            self.apply(changes);
        }
    }

    fn turn(&mut self, events: Vec<Event>) {
        let mut changes = Vec::new();
        let mut is_step = false;
        for event in events {
            match event {
                Event::Step(whole) => {
                    is_step = true;
                    changes.extend(whole.puts.iter().filter_map(|put| self.put(put)));
                    changes.extend(whole.removed.iter().filter_map(|key| self.holding.remove(key)).map(Change::Remove));
                    self.keep.step(&whole.puts, &whole.removed);
                    self.last = Some((whole.connection, whole.number, Some(Instant::now() + PATIENCE)));
                }
                Event::Fact(fact) => changes.push(self.place.state.remember(fact)),
            }
        }
        let now = Instant::now();
        if is_step || !changes.is_empty() || self.alarm.is_time(now) {
            // Before the first step there is nothing to be served.
            if is_step || self.place.state.lock().applied > 0 {
                self.apply(changes);
            } else {
                self.compiler.apply(changes);
            }
        }
        self.acknowledge(now);
        let live = self.place.gateway.live();
        self.alarm.rest(now, || live.collect() > 0);
    }

    fn put(&self, put: &Put) -> Option<Change> {
        let document = serde_json::from_slice(&put.object).ok();
        let reading = document.map(|document| read_stored(document, &self.reader));
        let object = match reading {
            Some(Ok(Reading::Object { object, .. })) => Some(object),
            other => {
                tracing::warn!(object = %put.key, "cannot be read: {other:?}");
                None
            }
        };
        let former = self.holding.put(put, object.as_ref().map(|object| object.id()));
        // What cannot be read is not served as it was before either.
        object.map(Change::Put).or_else(|| former.map(Change::Remove))
    }

    fn apply(&mut self, mut changes: Vec<Change>) {
        let time = setup::since_1970();
        changes.push(Change::Fact(Fact::Time(time)));
        let update = self.compiler.apply(changes);
        self.place.gateway.live().publish(Arc::clone(&update.snapshot));
        self.place.gateway.resolve(&update.names);
        self.alarm.set(time, update.next);
        let mut known = self.place.state.lock();
        known.want(&update.snapshot);
        known.board.absorb(&update);
        known.applied += 1;
        drop(known);
        self.place.state.turned();
    }

    /// Acknowledges the last step once all its ports were tried, and again when a port turns out otherwise.
    fn acknowledge(&mut self, now: Instant) {
        let Some((connection, step, due)) = self.last else { return };
        let known = self.place.state.lock();
        if known.waits_for().is_some() && due.is_some_and(|due| now < due) {
            return;
        }
        let refused = |(socket, bound): (&gateway_core::snapshot::Socket, &Bound)| match bound {
            Bound::Yes => None,
            Bound::Refused(why) => {
                Some(Refused { port: u32::from(socket.port), is_udp: socket.transport == Transport::Udp, why: why.to_string() })
            }
        };
        let refused: Vec<Refused> = known.sockets.iter().filter_map(refused).collect();
        drop(known);
        if due.is_none() && refused == self.refused {
            return;
        }
        self.refused.clone_from(&refused);
        self.last = Some((connection, step, None));
        // The wire ends with the program.
        let _ = self.place.acknowledge.send((connection, Acknowledged { step, refused }));
    }
}

/// How long a step waits for its ports.
const PATIENCE: Duration = Duration::from_secs(1);
