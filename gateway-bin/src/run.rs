//! File mode: manifests followed, compiled and served by one process.
//!
//! ```text
//! file events ─┐
//! SIGHUP ──────┼─► one thread: Files ─► Compiler ─► Live, State ─► what is printed
//! socket facts ┘        ▲                              │
//!                       └────────── adapter ◄──────────┘
//! ```
//!
//! In: flags and a builder of the adapter. Out: traffic served, until a signal ends it: SIGTERM and SIGINT let requests finish
//! within the drain time, a second one ends at once, SIGHUP reads everything again.
//!
//! Invariants: only one thread applies changes; nothing it prints comes before what it says is in force.

mod access;
mod demo;
mod follow;
mod news;
mod summary;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::thread;

use anyhow::{Context as _, anyhow};
use gateway_pingora::Builder;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};

use crate::admin::{self, Admin};
use crate::args;
use crate::memory;
use crate::serve::serve;
use crate::state::State;
use access::AccessLog;
use follow::{Event, Follower};

/// Runs until a signal ends it.
pub(crate) fn run(flags: &args::Run, builder: Builder) -> anyhow::Result<ExitCode> {
    memory::keep_pages_small();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    let ended = runtime.block_on(serve_files(flags, builder));
    // What is still at work (a read of standard input, say) must not hold up the end.
    runtime.shutdown_background();
    ended
}

async fn serve_files(flags: &args::Run, builder: Builder) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new()?;
    let ports: BTreeMap<u16, u16> = flags.port_map.iter().map(|pair| (pair.named, pair.bound)).collect();
    let builder = ports.iter().fold(builder, |builder, (named, bound)| builder.map_port(*named, *bound));
    let mut log = AccessLog::new(flags.log_format);
    let gateway = builder.on_record(move |record| log.write(&record)).build().context("cannot start the gateway")?;
    let admin = match flags.admin {
        args::Admin::Off => None,
        args::Admin::At(address) => Some(admin::bind(address).await?),
    };
    let (stop, stopped) = watch::channel(false);
    let mut backends = flags.given.reading.backends.clone();
    if flags.demo_backends {
        backends.append(&mut demo::start(&stopped).await?);
    }

    let state = Arc::new(State::default());
    let (tell, events) = mpsc::channel();
    let (began, begun) = oneshot::channel();
    let place = follow::Place {
        backends,
        ports: ports.clone(),
        admin: admin.as_ref().and_then(|listener| listener.local_addr().ok()),
        state: Arc::clone(&state),
        gateway: gateway.clone(),
    };
    let follower = Follower::new(flags, place, tell.clone());
    let following = thread::Builder::new().name("gateway-apply".into());
    following.spawn(move || follower.follow(&events, began)).context("cannot start the applying thread")?;
    pass_on_facts(&gateway, tell.clone());
    let hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
    tokio::spawn(pass_on_hangups(hangup, tell));
    if let Some(listener) = admin {
        answer_admin(listener, Admin { state: Arc::clone(&state), gateway: gateway.clone(), ports }, &stopped);
    }
    let serving = tokio::spawn({
        let gateway = gateway.clone();
        async move { gateway.run().await }
    });

    tokio::select! {
        begun = begun => begun.map_err(|_| anyhow!("the applying thread ended"))??,
        () = signals.next() => return Ok(ExitCode::SUCCESS),
    }
    signals.next().await;
    tracing::info!("draining");
    state.lock().is_ending = true;
    let left = tokio::select! {
        left = gateway.drain(flags.drain_timeout) => left,
        () = signals.next() => return Ok(ExitCode::FAILURE),
    };
    stop.send_replace(true);
    if left > 0 {
        tracing::warn!(connections = left, "cut at the end of the drain time");
    } else {
        // All connections are gone; what is left to do is quick.
        let _ = tokio::time::timeout(LAST_STEPS, serving).await;
    }
    Ok(ExitCode::SUCCESS)
}

fn pass_on_facts(gateway: &gateway_pingora::Gateway, tell: mpsc::Sender<Event>) {
    let mut facts = gateway.facts();
    tokio::spawn(async move {
        while let Some(fact) = facts.recv().await {
            if tell.send(Event::Fact(fact)).is_err() {
                return;
            }
        }
    });
}

async fn pass_on_hangups(mut hangup: Signal, tell: mpsc::Sender<Event>) {
    while hangup.recv().await.is_some() {
        if tell.send(Event::Reread).is_err() {
            return;
        }
    }
}

fn answer_admin(listener: TcpListener, admin: Admin, stopped: &watch::Receiver<bool>) {
    tokio::spawn(serve(listener, Arc::new(admin), stopped.clone()));
}

/// The signals that end the program.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// How long the last steps after the last connection may take.
const LAST_STEPS: std::time::Duration = std::time::Duration::from_millis(500);
