//! Flows of UDPRoutes: what a client sends from one address to one of ours, and what comes back.
//!
//! In: a listener's socket, and snapshots. Out: the same datagrams at an endpoint and back. The first of a flow is decided, and
//! decides for all of it: the backend stays as long as the flow, the endpoint as long as the backend has it and it can be reached. The
//! flow ends when nothing passed in either direction for a while.
//!
//! ```text
//! socket ─► Flows::serve ─► Table ─► Flow ─► endpoint         one task for what clients send
//!        ◄───────────────────────── Flow::run ◄─ endpoint     one for the answers of each flow
//! ```
//!
//! Nothing waits for a datagram to be taken on its way to an endpoint: what the system does not take at once is dropped and counted, as
//! a network would.
//!
//! Invariants: **memory is bounded by the number of flows**, and that by a limit; a refused flow stays refused while it goes on and
//! nothing changes, so that its second datagram does not pass for a new flow.

mod flow;
mod socket;
mod table;

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use gateway_core::decide::decide_datagram;
use gateway_core::snapshot::{ListenerId, Socket, Transport, Turn};

use crate::crowd::Crowd;
use crate::live::Live;
use crate::observe::{Counters, Fault, Sink, StreamRecord};
use crate::upstream::Upstreams;
use flow::Flow;
pub(crate) use socket::DatagramSocket;
use socket::{Ends, Tray};
use table::{Room, Row, Table};

/// What the flows of all sockets share.
#[derive(Debug)]
pub(crate) struct Datagrams {
    pub(crate) live: Arc<Live>,
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) sink: Option<Sink<StreamRecord>>,
    pub(crate) crowd: Arc<Crowd>,
    /// Who may be served in the process, connections and flows.
    pub(crate) crowd_most: usize,
    /// Flows of one socket.
    pub(crate) most: usize,
    /// Silence that ends a flow.
    pub(crate) idle: Duration,
}

/// Told once: take in no more, and end what is under way within this time; without one, within the drain time of its Gateway.
pub(crate) type Closing = Option<Option<Duration>>;

/// The flows of one socket.
pub(crate) struct Flows {
    of: Socket,
    shared: Arc<Datagrams>,
    socket: Arc<DatagramSocket>,
    table: Table,
    tasks: JoinSet<Ends>,
    /// The listener that answers on the socket now.
    listener: Option<ListenerId>,
    /// Counts the snapshots.
    version: u64,
    /// Some flows are to leave.
    is_leaving: bool,
    is_closing: bool,
}

impl Flows {
    pub(crate) fn new(of: Socket, socket: Arc<DatagramSocket>, shared: Arc<Datagrams>) -> Self {
        Self {
            of,
            shared,
            socket,
            table: Table::default(),
            tasks: JoinSet::new(),
            listener: None,
            version: 0,
            is_leaving: false,
            is_closing: false,
        }
    }

    /// Serves until no listener is left on the socket, or it is told to close; then until the last flow has ended.
    pub(crate) async fn serve(mut self, mut closing: watch::Receiver<Closing>) {
        let mut tray = Tray::default();
        let mut changed = self.shared.live.changed();
        let mut sweep = tokio::time::interval(SWEEP);
        changed.mark_changed();
        loop {
            tokio::select! {
                // What was published before a datagram came decides it.
                biased;
                Ok(()) = changed.changed() => self.follow(),
                limit = told(&mut closing), if !self.is_closing => self.close(limit),
                Some(ended) = self.tasks.join_next() => self.forget(ended.ok()),
                _ = sweep.tick(), if self.is_leaving => self.see_off(),
                Ok(()) = self.socket.readable(), if !self.is_closing => self.take_in(&mut tray, &mut changed),
            }
            if (self.listener.is_none() || self.is_closing) && self.tasks.is_empty() {
                return;
            }
        }
    }

    /// Takes what is there, up to a bound, so that changes are not held up.
    fn take_in(&mut self, tray: &mut Tray, changed: &mut watch::Receiver<u64>) {
        for _ in 0..BURST {
            match self.socket.try_receive(tray) {
                Ok((datagram, ends)) => {
                    // It may have come after what was published since the first of this burst.
                    if changed.has_changed().unwrap_or(false) {
                        changed.mark_unchanged();
                        self.follow();
                    }
                    self.shared.counters.datagrams_received.add();
                    if !self.pass_on(datagram, ends) {
                        self.shared.counters.datagrams_dropped.add();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => return tracing::debug!(socket = %self.of, %error, "cannot receive"),
            }
        }
    }

    /// Sends a datagram on its way. False when it goes nowhere.
    fn pass_on(&mut self, datagram: &[u8], ends: Ends) -> bool {
        if let Some(flow) = self.known(&ends) {
            return flow.is_some_and(|flow| flow.send(datagram));
        }
        self.begin(ends).is_some_and(|flow| flow.send(datagram))
    }

    /// The flow between these ends: nothing in it when it is refused, and nothing at all when it has yet to be decided.
    fn known(&mut self, ends: &Ends) -> Option<Option<Arc<Flow>>> {
        let (version, idle) = (self.version, self.shared.idle);
        match self.table.get_mut(ends)? {
            Row::Refused { at, version: then } => {
                let holds = *then == version && at.elapsed() < idle;
                *at = Instant::now();
                holds.then_some(None)
            }
            Row::Open { flow, task, checked, .. } => {
                if *checked != version && !flow.endpoint_lives() {
                    task.abort();
                    return None;
                }
                *checked = version;
                (!task.is_finished()).then(|| Some(Arc::clone(flow)))
            }
        }
    }

    /// Decides a flow, and opens it.
    fn begin(&mut self, ends: Ends) -> Option<Arc<Flow>> {
        let shared = &self.shared;
        match self.table.make_room(shared.most) {
            Room::Enough => {}
            Room::Made => shared.counters.flows_evicted.add(),
            Room::None => return None,
        }
        let seat = shared.crowd.enter(shared.crowd_most)?;
        let decided = decide_datagram(&shared.live.load(), &self.of, Turn::take);
        let record = StreamRecord::new(Transport::Udp, SystemTime::now(), canonical(&ends));
        let forward = match decided {
            Ok(forward) => forward,
            Err(refusal) => {
                let record = StreamRecord { listener: refusal.listener, rule: refusal.rule, ..record };
                self.refuse(record, Fault::Refused(refusal.reason));
                self.table.insert(ends, Row::Refused { at: Instant::now(), version: self.version });
                return None;
            }
        };
        let record = record.of(&forward);
        match Flow::open(ends, forward, Arc::clone(shared)) {
            Ok(flow) => {
                let flow = Arc::new(flow);
                let running = Arc::clone(&flow).run(Arc::clone(&self.socket), seat, record);
                let task = self.tasks.spawn(running);
                let row = Row::Open { flow: Arc::clone(&flow), task, checked: self.version, leave_by: None };
                self.table.insert(ends, row);
                Some(flow)
            }
            Err(fault) => {
                self.refuse(record, fault);
                None
            }
        }
    }

    fn refuse(&self, record: StreamRecord, fault: Fault) {
        self.shared.counters.flows_refused.add();
        tracing::debug!(socket = %self.of, %fault, "a flow is refused");
        self.shared.tell(StreamRecord { fault: Some(fault), ..record });
    }

    /// A task has ended. One that was told to is forgotten already.
    fn forget(&mut self, ended: Option<Ends>) {
        if let Some(ends) = ended {
            self.table.remove_ended(&ends);
        }
    }

    /// Looks at a new snapshot: flows of a listener that is gone are to leave. What else changed is looked at when a datagram comes.
    fn follow(&mut self) {
        self.version += 1;
        let listener = {
            let snapshot = self.shared.live.load();
            snapshot.listeners(&self.of).and_then(|listeners| listeners.find(None)).map(|listener| listener.id.clone())
        };
        if listener == self.listener {
            return;
        }
        self.listener = listener;
        let now = Instant::now();
        for (flow, leave_by) in self.table.open() {
            let of = &flow.listener().id;
            if self.listener.as_ref() == Some(of) {
                *leave_by = None;
            } else {
                leave_by.get_or_insert(now + flow.listener().settings.drain_timeout);
                self.is_leaving = true;
            }
        }
    }

    fn close(&mut self, limit: Option<Duration>) {
        self.is_closing = true;
        let now = Instant::now();
        for (flow, leave_by) in self.table.open() {
            *leave_by = Some(now + limit.unwrap_or(flow.listener().settings.drain_timeout));
            self.is_leaving = true;
        }
    }

    /// Ends those of the leaving that are silent, or may not stay any longer.
    fn see_off(&mut self) {
        let now = Instant::now();
        self.is_leaving = self.table.see_off(|flow, by| now >= by || flow.silence() >= GRACE);
    }
}

impl Datagrams {
    fn tell(&self, mut record: StreamRecord) {
        record.duration = record.at.elapsed().unwrap_or_default();
        if let Some(sink) = &self.sink {
            sink.send(record, &self.counters);
        }
    }
}

async fn told(closing: &mut watch::Receiver<Closing>) -> Option<Duration> {
    match closing.wait_for(Option::is_some).await {
        Ok(limit) => limit.flatten(),
        // Whoever would tell is gone: so is the service.
        Err(_) => Some(Duration::ZERO),
    }
}

/// IPv4 as IPv4, also where it came by a socket of both families.
fn canonical(ends: &Ends) -> std::net::SocketAddr {
    std::net::SocketAddr::new(ends.peer.ip().to_canonical(), ends.peer.port())
}

/// Datagrams taken in at once.
const BURST: usize = 64;
/// How often those who are to leave are looked at.
const SWEEP: Duration = Duration::from_millis(100);
/// Silence after which a flow that is to leave has nothing more to say.
const GRACE: Duration = Duration::from_secs(1);
