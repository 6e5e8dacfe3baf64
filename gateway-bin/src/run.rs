//! File mode: manifests followed, compiled and served by one process.
//!
//! ```text
//! file events ─┐
//! SIGHUP ──────┼─► one thread: Files ─► Compiler ─► Live, State ─► what is printed
//! socket facts ┘        ▲                              │
//!                       └────────── adapter ◄──────────┘
//! ```
//!
//! In: flags and a builder of the adapter. Out: traffic served, until a signal ends it or another process takes over: SIGTERM and
//! SIGINT let requests finish within the drain time, a second one ends at once, SIGHUP reads everything again.
//!
//! Invariants: only one thread applies changes; nothing it prints comes before what it says is in force.

mod demo;
mod follow;
mod news;
mod summary;
mod upgrade;

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::thread;

use anyhow::{Context as _, anyhow};
use gateway_pingora::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};

use crate::access;
use crate::admin::{self, Admin};
use crate::applying::pass_on_facts;
use crate::args;
use crate::ending::{Closing, End, Patience, Signals};
use crate::memory;
use crate::serve::serve;
use crate::session_keys;
use crate::setup;
use crate::state::State;
use follow::{Event, Follower};
use upgrade::{Predecessor, Seat};

/// Runs until a signal ends it.
pub(crate) fn run(flags: &args::Run, builder: Builder) -> anyhow::Result<ExitCode> {
    memory::keep_pages_small();
    let predecessor = flags.upgrade_socket.as_deref().map(upgrade::take_over).transpose()?.flatten();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    let ended = runtime.block_on(serve_files(flags, builder, predecessor));
    // What is still at work (a read of standard input, say) must not hold up the end.
    runtime.shutdown_background();
    ended
}

async fn serve_files(flags: &args::Run, builder: Builder, mut predecessor: Option<Predecessor>) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new()?;
    let mut left = predecessor.as_mut().map(Predecessor::sockets).unwrap_or_default();
    let admin = match flags.serving.admin {
        args::Admin::Off => None,
        args::Admin::At(address) => Some(admin::bind(address, &mut left.listeners)?),
    };
    let admin_socket = admin.as_ref().map(|listener| listener.as_fd().try_clone_to_owned()).transpose()?;
    let ports: BTreeMap<u16, u16> = flags.port_map.iter().map(|pair| (pair.named, pair.bound)).collect();
    let builder = ports.iter().fold(builder, |builder, (named, bound)| builder.map_port(*named, *bound));
    let builder = access::logged(setup::limited(builder, flags.serving.limits), flags.serving.log_format);
    let builder = builder.name_servers(flags.name_servers.iter().copied());
    let builder = builder.inherit(left.listeners).inherit_datagrams(left.datagrams);
    let gateway = builder.build().context("cannot start the gateway")?;
    if let Some(path) = &flags.session_key_file {
        session_keys::follow(path, &gateway)?;
    }
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
        has_predecessor: predecessor.is_some(),
    };
    let follower = Follower::new(flags, place, tell.clone());
    let following = thread::Builder::new().name("gateway-apply".into());
    following.spawn(move || follower.follow(&events, began)).context("cannot start the applying thread")?;
    pass_on_facts(&gateway, tell.clone(), Event::Fact);
    let hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
    tokio::spawn(pass_on_hangups(hangup, tell));
    let (hush, hushed) = watch::channel(false);
    let mut answer_admin = {
        let (state, gateway) = (Arc::clone(&state), gateway.clone());
        let mut waiting = admin.map(|listener| (listener, Admin { state, gateway, ports }));
        move || {
            if let Some((listener, admin)) = waiting.take() {
                tokio::spawn(serve(listener, Arc::new(admin), hushed.clone()));
            }
        }
    };
    if predecessor.is_none() {
        answer_admin();
    }
    let serving = tokio::spawn({
        let gateway = gateway.clone();
        async move { gateway.run().await }
    });

    tokio::select! {
        begun = begun => begun.map_err(|_| anyhow!("the applying thread ended"))??,
        _ = signals.next() => return Ok(ExitCode::SUCCESS),
    }
    if let Some(predecessor) = predecessor {
        tokio::select! {
            () = state.ready() => {}
            _ = signals.next() => return Ok(ExitCode::SUCCESS),
        }
        tokio::task::spawn_blocking(move || predecessor.relieve()).await??;
        // Its probes were answered by the one before until now.
        answer_admin();
    }
    gateway.close_inherited();
    let seat = flags.upgrade_socket.as_deref().map(Seat::at).transpose()?;
    let sockets = || {
        let mut all = gateway.sockets()?;
        all.extend(admin_socket.as_ref().map(OwnedFd::try_clone).transpose()?);
        Ok(all)
    };
    let succeeded = async {
        match seat {
            Some(seat) => seat.succeeded(sockets).await,
            None => std::future::pending().await,
        }
    };
    let end = tokio::select! {
        signal = signals.next() => End::Told(signal),
        () = succeeded => End::Succeeded,
    };
    let patience = Patience { delay: flags.serving.shutdown_delay, drain: flags.serving.drain_timeout };
    Closing { gateway: &gateway, state: &state, hush, stop, serving }.carry_out(end, patience, &mut signals).await
}

async fn pass_on_hangups(mut hangup: Signal, tell: mpsc::Sender<Event>) {
    while hangup.recv().await.is_some() {
        if tell.send(Event::Reread).is_err() {
            return;
        }
    }
}
