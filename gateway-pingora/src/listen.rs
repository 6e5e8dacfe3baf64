//! Listeners that follow the configuration: one loop per socket, opened, drained or closed without touching another.
//!
//! In: snapshots as they are published. Out: connections, given to Pingora on our own byte stream, and facts about every socket
//! that was tried, which belong back into the compiler.
//!
//! ```text
//! Live ─► Service::serve ─► Door per TCP Socket ─► Guests of that door ─► a conversation with HttpProxy, or bytes forwarded
//!                 │            └─► Fact::Socket(.., Bound)
//!                 └───────► mailbox per UDP Socket ─► Flows
//! ```
//!
//! Invariants: **a door that stays is not touched when others change**, nor is a connection whose listener stays; when the fact that a socket is bound is taken back, its
//! port is free.

mod binding;
mod conversation;
mod door;
mod guests;
mod heritage;
mod mailbox;
mod overflow;
mod port;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::apps::ServerApp;
use pingora_core::server::{ListenFds, ShutdownWatch};
use pingora_proxy::{HttpProxy, ProxyHttp};
use tokio::sync::watch;
use tokio::task::JoinSet;

use gateway_core::compile::Fact;
use gateway_core::snapshot::{Listeners, Socket, Transport};

pub(crate) use heritage::{Inherited, Open};
pub(crate) use overflow::Overflow;
pub(crate) use port::PortMap;
pub use port::listen;

use crate::crowd::Crowd;
use crate::datagram::{Closing, Datagrams};
use crate::facts::Facts;
use crate::live::Live;
use crate::names::Names;
use crate::observe::Counters;
use crate::stream::Streams;
use crate::tls::Configs;
use door::Door;
use guests::{Guests, Parting};

/// What all doors share.
#[derive(Debug)]
pub(crate) struct Premises {
    pub(crate) live: Arc<Live>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) configs: Configs,
    pub(crate) ports: PortMap,
    pub(crate) facts: Arc<Facts>,
    /// Host names of backends that are kept resolved while the service runs.
    pub(crate) names: Names,
    pub(crate) crowd: Arc<Crowd>,
    /// Connections that may be open.
    pub(crate) most: usize,
    pub(crate) overflow: Overflow,
    pub(crate) inherited: Inherited,
    pub(crate) open: Open,
    pub(crate) streams: Streams,
    pub(crate) datagrams: Arc<Datagrams>,
    /// Set once: close everything within this time.
    pub(crate) stop: watch::Sender<Option<Duration>>,
}

/// The gateway's listeners: an ordinary Pingora service, which also runs on a plain tokio runtime ([`Service::serve`]).
pub struct Service<P> {
    pub(crate) premises: Arc<Premises>,
    pub(crate) proxy: Arc<HttpProxy<P>>,
}

impl<P> fmt::Debug for Service<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").finish_non_exhaustive()
    }
}

impl<P> Clone for Service<P> {
    fn clone(&self) -> Self {
        Self { premises: Arc::clone(&self.premises), proxy: Arc::clone(&self.proxy) }
    }
}

impl<P> Service<P>
where
    P: ProxyHttp + Send + Sync + 'static,
    P::CTX: Send + Sync,
{
    /// Serves until `shutdown` becomes true (or its sender is gone), or [`Gateway::drain`](crate::Gateway::drain) is called; then
    /// closes all ports and returns when the last connection has ended, or when the drain time of their listeners is over.
    ///
    /// On `pingora_core`'s no-steal runtimes all connections run on the thread of this service.
    pub async fn serve(&self, mut shutdown: watch::Receiver<bool>) {
        let mut changed = self.premises.live.changed();
        let mut stop = self.premises.stop.subscribe();
        let mut doors: BTreeMap<Socket, Door> = BTreeMap::new();
        let mut mailboxes = Mailboxes::default();
        let mut leaving = JoinSet::new();
        let mut parting = JoinSet::new();
        let mut sweep = tokio::time::interval(SWEEP);
        let mut names = std::pin::pin!(self.premises.names.keep());
        changed.mark_changed();
        loop {
            let next = tokio::select! {
                Ok(()) = changed.changed() => Next::Follow,
                _ = sweep.tick() => Next::Sweep,
                Some(ended) = mailboxes.tasks.join_next_with_id() => Next::Closed(ended.map_or_else(|error| error.id(), |(id, ())| id)),
                () = &mut names => Next::Go,
                Some(_) = leaving.join_next(), if !leaving.is_empty() => Next::Go,
                Some(_) = parting.join_next(), if !parting.is_empty() => Next::Go,
                _ = async { shutdown.wait_for(|on| *on).await.is_ok() } => Next::Stop,
                _ = async { stop.wait_for(Option::is_some).await.is_ok() } => Next::Stop,
            };
            match next {
                Next::Follow => {
                    self.follow(&mut doors, &mut leaving).await;
                    self.follow_datagrams(&mut mailboxes);
                    self.part(&doors, &mut parting, Guests::follow);
                }
                Next::Sweep => {
                    self.premises.configs.sweep();
                    self.premises.live.collect();
                    self.part(&doors, &mut parting, Guests::sweep);
                }
                Next::Closed(task) => {
                    self.closed(&mut mailboxes, task);
                    // A listener may have come back while it closed.
                    self.follow_datagrams(&mut mailboxes);
                }
                Next::Go => {}
                Next::Stop => break,
            }
        }
        let limit = *stop.borrow();
        mailboxes.closing.send_replace(Some(limit));
        for (socket, door) in doors {
            self.close(socket, door, limit, &mut leaving).await;
        }
        while let Some(ended) = mailboxes.tasks.join_next_with_id().await {
            self.closed(&mut mailboxes, ended.map_or_else(|error| error.id(), |(id, ())| id));
        }
        while leaving.join_next().await.is_some() {}
        self.proxy.cleanup().await;
    }

    /// Opens and closes doors until they are those of the current snapshot.
    async fn follow(&self, doors: &mut BTreeMap<Socket, Door>, leaving: &mut JoinSet<()>) {
        let wanted: Vec<Socket> = {
            let snapshot = self.premises.live.load();
            snapshot.sockets().map(|(socket, _)| *socket).filter(|socket| socket.transport == Transport::Tcp).collect()
        };
        let gone: Vec<Socket> = doors.keys().filter(|socket| wanted.binary_search(socket).is_err()).copied().collect();
        for socket in gone {
            if let Some(door) = doors.remove(&socket) {
                self.close(socket, door, None, leaving).await;
            }
        }
        for socket in wanted {
            doors.entry(socket).or_insert_with(|| Door::open(socket, self));
        }
    }

    /// Opens mailboxes until all of the current snapshot are there. Those that nobody wants close by themselves.
    fn follow_datagrams(&self, mailboxes: &mut Mailboxes) {
        let snapshot = self.premises.live.load();
        let wanted = snapshot.sockets().map(|(socket, _)| *socket).filter(|socket| socket.transport == Transport::Udp);
        for socket in wanted {
            if !mailboxes.open.values().any(|open| *open == socket) {
                let serving = mailbox::serve(socket, Arc::clone(&self.premises), mailboxes.closing.subscribe());
                mailboxes.open.insert(mailboxes.tasks.spawn(serving).id(), socket);
            }
        }
    }

    fn closed(&self, mailboxes: &mut Mailboxes, task: tokio::task::Id) {
        if let Some(socket) = mailboxes.open.remove(&task) {
            tracing::info!(%socket, "closed");
            self.premises.facts.tell(Fact::Socket(socket, None));
        }
    }

    /// Sends connections home whose listener is gone, closed or another, behind doors that stay.
    fn part(&self, doors: &BTreeMap<Socket, Door>, parting: &mut JoinSet<()>, compare: fn(&Guests, &Listeners) -> Parting) {
        let snapshot = self.premises.live.load();
        for (socket, door) in doors {
            // Where a newer snapshot has no such socket, the door is closed next.
            let Some(listeners) = snapshot.listeners(socket) else { continue };
            for (limit, numbers) in compare(&door.guests, listeners) {
                tracing::info!(%socket, connections = numbers.len(), "their listener is gone");
                parting.spawn(Arc::clone(&door.guests).see_off(numbers, limit));
            }
        }
    }

    async fn close(&self, socket: Socket, door: Door, limit: Option<Duration>, leaving: &mut JoinSet<()>) {
        // Before the port goes: whoever sees it closed may count on being told.
        door.guests.announce();
        let guests = door.close().await;
        tracing::info!(%socket, "closed");
        self.premises.facts.tell(Fact::Socket(socket, None));
        leaving.spawn(async move { guests.leave(limit).await });
    }
}

#[async_trait]
impl<P> pingora_core::services::Service for Service<P>
where
    P: ProxyHttp + Send + Sync + 'static,
    P::CTX: Send + Sync,
{
    async fn start_service(&mut self, _fds: Option<ListenFds>, shutdown: ShutdownWatch, _listeners_per_fd: usize) {
        self.serve(shutdown).await;
    }

    fn name(&self) -> &str {
        "gateway"
    }
}

/// The sockets for datagrams, by the tasks that serve them.
struct Mailboxes {
    open: HashMap<tokio::task::Id, Socket>,
    tasks: JoinSet<()>,
    closing: watch::Sender<Closing>,
}

impl Default for Mailboxes {
    fn default() -> Self {
        Self { open: HashMap::new(), tasks: JoinSet::new(), closing: watch::Sender::new(None) }
    }
}

/// What the service does next.
enum Next {
    Follow,
    Sweep,
    Closed(tokio::task::Id),
    Go,
    Stop,
}

/// How often state that no snapshot uses is looked for.
const SWEEP: Duration = Duration::from_secs(1);
