//! The thread that applies changes: from files and facts, through the compiler, to what is served and known.
//!
//! In: events. Out: snapshots published, statuses kept, news printed. Each turn of the loop is at most one transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use anyhow::bail;
use gateway_core::compile::{Change, Compiler, ExternalNames, Fact};
use gateway_core::name::Kind;
use gateway_core::resource::{Gateway, Object};
use tokio::sync::oneshot;

use super::news::{News, say};
use super::summary::Scene;
use crate::addresses::Allotment;
use crate::applying::{Alarm, wait};
use crate::args::{self, Backend};
use crate::files::Files;
use crate::files::notice::{Batch, Notices, Sighting};
use crate::files::problem::{Problem, Severity};
use crate::files::watch::Watch;
use crate::setup;
use crate::state::{Lost, State};

/// What the thread is told.
#[derive(Debug)]
pub(crate) enum Event {
    /// Something happened to a name.
    Sighting(Sighting),
    /// The adapter found something out.
    Fact(Fact),
    /// Everything is to be read again.
    Reread,
}

/// What the thread works with beside the flags.
pub(crate) struct Place {
    pub(crate) backends: Vec<Backend>,
    pub(crate) ports: BTreeMap<u16, u16>,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) state: Arc<State>,
    pub(crate) gateway: gateway_pingora::Gateway,
    /// Another process serves these manifests so far: what it made of them when they were in order is more than nothing.
    pub(crate) has_predecessor: bool,
}

/// The thread's own state.
pub(crate) struct Follower {
    place: Place,
    files: Files,
    watch: Option<Watch>,
    notices: Notices,
    compiler: Compiler,
    allotment: Allotment,
    /// What was last said to be wrong with the files.
    problems: BTreeSet<Problem>,
    /// When to look for changes without being told.
    poll_at: Option<Instant>,
    alarm: Alarm,
    /// Services without EndpointSlices are found by their names.
    by_name: bool,
    external_names: ExternalNames,
    /// Host names of which it was said that nothing is sent where they lead.
    barred: BTreeSet<Arc<str>>,
    /// When the summary is printed at the latest; none once it is.
    summary_by: Option<Instant>,
}

impl Follower {
    /// Nothing is read yet.
    pub(crate) fn new(flags: &args::Run, place: Place, tell: Sender<Event>) -> Self {
        let extensions = place.gateway.extensions();
        let reading = &flags.given.reading;
        let files = Files::new(&flags.given.paths, setup::reader(reading, extensions), &place.backends, &reading.secrets);
        let options = setup::options(reading, extensions, setup::settings(flags));
        let (by_name, external_names) = (options.service_names.is_some(), options.external_names);
        let compiler = Compiler::new(options);
        // The thread may be gone when the last events come.
        let told = move |sighting| drop(tell.send(Event::Sighting(sighting)));
        let watch = match flags.poll {
            true => None,
            false => Watch::new(told).inspect_err(|err| say(&format!("warning: {err:#}"))).ok(),
        };
        let poll_at = watch.is_none().then(|| Instant::now() + POLL);
        Self {
            files,
            watch,
            notices: Notices::default(),
            compiler,
            allotment: Allotment::new(&flags.given.reading.addresses),
            problems: BTreeSet::new(),
            poll_at,
            alarm: Alarm::default(),
            by_name,
            external_names,
            barred: BTreeSet::new(),
            summary_by: None,
            place,
        }
    }

    /// Reads everything, says whether that worked, and follows events until nobody can send one.
    pub(crate) fn follow(mut self, events: &Receiver<Event>, began: oneshot::Sender<anyhow::Result<()>>) {
        let _lost = Lost(Arc::clone(&self.place.state));
        let first = self.begin();
        let is_failure = first.is_err();
        // Nobody waits for the answer any more when the program is told to end meanwhile.
        let _ = began.send(first);
        if is_failure {
            return;
        }
        while let Some(told) = wait(events, self.next_turn()) {
            self.turn(told);
        }
    }

    fn begin(&mut self) -> anyhow::Result<()> {
        self.files.read_stdin();
        let changes = self.look_everywhere(true, &BTreeSet::new());
        if self.files.is_all_missing() {
            let told: Vec<_> = self.files.problems().iter().map(ToString::to_string).collect();
            bail!("nothing to serve: {}", told.join("; "));
        }
        if self.place.has_predecessor {
            let errors = self.files.problems();
            let errors = errors.iter().filter(|problem| problem.severity == Severity::Error);
            let told: Vec<_> = errors.map(ToString::to_string).collect();
            if !told.is_empty() {
                bail!("not taking over, as the process that serves may do more with these manifests: {}", told.join("; "));
            }
        }
        self.summary_by = Some(Instant::now() + PATIENCE);
        self.tell_problems();
        self.apply(changes);
        Ok(())
    }

    fn next_turn(&self) -> Option<Instant> {
        [self.notices.due_at(), self.poll_at, self.alarm.next(), self.summary_by].into_iter().flatten().min()
    }

    fn turn(&mut self, events: Vec<Event>) {
        let mut changes = Vec::new();
        let mut everything = None;
        for event in events {
            match event {
                Event::Sighting(sighting) => self.notices.note(sighting, self.files.scan(), Instant::now()),
                Event::Fact(fact) => {
                    self.tell_barred(&fact);
                    changes.push(self.place.state.remember(fact));
                }
                Event::Reread => everything = Some(true),
            }
        }
        let now = Instant::now();
        let batch = self.notices.take(now).unwrap_or_default();
        if self.poll_at.is_some_and(|at| at <= now) {
            self.poll_at = Some(now + POLL);
            everything = everything.or(Some(false));
        }
        changes.append(&mut self.read(batch, everything));
        if !changes.is_empty() || self.alarm.is_time(now) {
            self.apply(changes);
        }
        self.tell_problems();
        self.summarise(now);
        let live = self.place.gateway.live();
        self.alarm.rest(now, || live.collect() > 0);
    }

    fn read(&mut self, batch: Batch, everything: Option<bool>) -> Vec<Change> {
        let mut changes = Vec::new();
        if let Some(again) = everything.or(if batch.all { Some(false) } else { None }) {
            changes.append(&mut self.look_everywhere(again, &batch.unfinished));
        }
        if !batch.files.is_empty() {
            changes.append(&mut self.files.read_some(&batch.files));
        }
        changes
    }

    fn look_everywhere(&mut self, again: bool, unfinished: &BTreeSet<std::path::PathBuf>) -> Vec<Change> {
        let Self { files, watch, poll_at, .. } = self;
        files.read_all(again, unfinished, |folder| {
            if let (Some(Err(err)), None) = (watch.as_mut().map(|watch| watch.add(folder)), &poll_at) {
                say(&format!("warning: {err:#}; from now on it is looked for changes every {} ms", POLL.as_millis()));
                *poll_at = Some(Instant::now() + POLL);
            }
        })
    }

    fn apply(&mut self, mut changes: Vec<Change>) {
        let concerns_gateways = |change: &Change| match change {
            Change::Put(object) => matches!(object, Object::Gateway(_)),
            Change::Remove(id) => id.kind == Kind::Gateway,
            Change::Fact(_) => false,
        };
        if changes.iter().any(concerns_gateways) {
            changes.append(&mut self.allotment.settle(gateways(&self.files)));
        }
        let time = setup::since_1970();
        changes.push(Change::Fact(Fact::Time(time)));
        let mut news = News::of(&changes, &self.files.take_fresh());
        let update = self.compiler.apply(changes);
        self.place.gateway.live().publish(Arc::clone(&update.snapshot));
        self.place.gateway.resolve(&update.names);
        self.alarm.set(time, update.next);
        let mut known = self.place.state.lock();
        known.want(&update.snapshot);
        news.turned(known.board.absorb(&update));
        known.applied += 1;
        let is_news = self.summary_by.is_none() && known.applied > 1 && !known.is_ending;
        let lines = if is_news { news.lines(&known.board) } else { Vec::new() };
        // Whoever reads the lines may be slow; nobody else shall wait for that.
        drop(known);
        self.place.state.turned();
        lines.iter().for_each(|line| say(line));
    }

    /// Says of a host name that nothing is sent where it leads, once.
    fn tell_barred(&mut self, fact: &Fact) {
        let Fact::Resolved(host, found) = fact else { return };
        let found = found.as_deref().unwrap_or_default();
        if found.is_empty() || found.iter().any(|address| self.external_names.admits(*address)) {
            self.barred.remove(host);
        } else if self.barred.insert(Arc::clone(host)) {
            let found: Vec<_> = found.iter().map(ToString::to_string).collect();
            let found = found.join(", ");
            say(&format!(
                "{host} leads to {found}, where nothing is sent unless the program is run with --external-names anywhere"
            ));
        }
    }

    fn tell_problems(&mut self) {
        if self.files.take_changed() {
            let now = self.files.problems();
            if self.summary_by.is_none() {
                now.difference(&self.problems).for_each(|problem| say(&problem.to_string()));
                let mended = self.problems.difference(&now).count();
                if mended > 0 && now.is_empty() {
                    say("all manifests are in order");
                }
            }
            self.place.state.lock().problems = now.iter().map(ToString::to_string).collect();
            self.problems = now;
        }
    }

    /// Prints the summary once everything was tried, or was given its time.
    fn summarise(&mut self, now: Instant) {
        let Some(by) = self.summary_by else { return };
        let known = self.place.state.lock();
        if known.waits_for().is_some() && now < by {
            return;
        }
        let scene = Scene {
            files: &self.files,
            board: &known.board,
            sockets: &known.sockets,
            ports: &self.place.ports,
            homeless: self.allotment.without().map(|(name, reason)| (name.clone(), reason)).collect(),
            admin: self.place.admin,
            by_name: self.by_name,
        };
        let summary = scene.summary();
        drop(known);
        say(summary.trim_end());
        self.summary_by = None;
    }
}

fn gateways(files: &Files) -> impl Iterator<Item = &Gateway> {
    files.in_force().values().filter_map(|object| if let Object::Gateway(gateway) = object { Some(&**gateway) } else { None })
}

/// How often changes are looked for where the system does not tell of them.
const POLL: Duration = Duration::from_millis(500);

/// How long the summary waits for sockets.
const PATIENCE: Duration = Duration::from_secs(2);
