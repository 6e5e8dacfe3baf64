//! One Gateway of a cluster, served by this process as its controller says.
//!
//! ```text
//! controller ─► wire ─► one thread: objects ─► Compiler ─► Live, State
//!     ▲                     ▲   │                            │
//!     └── acknowledged ─────┼───┘                            │
//!                           └──────────── adapter ◄──────────┘
//! ```
//!
//! In: flags, and steps from the controller. Out: traffic served, until a signal ends it. Without a controller it serves on with what it
//! has, and a restarted one with what was kept.
//!
//! Invariants: a step is acknowledged only once traffic follows it.

mod apply;
mod keep;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::thread;

use anyhow::Context as _;
use gateway_pingora::{Builder, SessionKey};
use tokio::sync::watch;

use crate::access;
use crate::admin::{self, Admin};
use crate::applying::pass_on_facts;
use crate::args;
use crate::ending::{Closing, End, Patience, Signals};
use crate::memory;
use crate::serve::serve;
use crate::setup;
use crate::state::State;
use crate::wire::follow::{Controller, Ends, follow};
use apply::{Event, Place};
use keep::Keep;

/// Runs until a signal ends it.
pub(crate) fn run(flags: &args::Proxy, builder: Builder) -> anyhow::Result<ExitCode> {
    memory::keep_pages_small();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    let ended = runtime.block_on(serve_gateway(flags, builder));
    runtime.shutdown_background();
    ended
}

async fn serve_gateway(flags: &args::Proxy, builder: Builder) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new()?;
    let admin = match flags.serving.admin {
        args::Admin::Off => None,
        args::Admin::At(address) => Some(admin::bind(address, &mut Vec::new())?),
    };
    let builder = access::logged(setup::limited(builder, flags.serving.limits), flags.serving.log_format);
    let gateway = builder.build().context("cannot start the gateway")?;
    let state = Arc::new(State::default());
    let keep = Keep::open(flags.keep.as_deref()).context("cannot use the folder of --keep")?;
    let (tell, events) = mpsc::channel();
    let (acknowledge, acknowledged) = tokio::sync::mpsc::unbounded_channel();
    let place = Place {
        of: flags.gateway.clone(),
        drain_timeout: flags.serving.drain_timeout,
        state: Arc::clone(&state),
        gateway: gateway.clone(),
        acknowledge,
    };
    let applier = apply::Applier::new(place, keep);
    let held = applier.held();
    let applying = thread::Builder::new().name("gateway-apply".into());
    applying.spawn(move || applier.follow(&events)).context("cannot start the applying thread")?;
    pass_on_facts(&gateway, tell.clone(), Event::Fact);
    let controller = Controller { address: flags.controller, authority: flags.authority.clone(), token: flags.token.clone() };
    let sealing = gateway.clone();
    tokio::spawn(async move {
        let take = move |whole| tell.send(Event::Step(whole)).is_ok();
        let seal = move |keys: &[Vec<u8>]| sealing.seal_sessions(keys.iter().filter_map(|key| session_key(key)));
        follow(&controller, Ends { held: move || held.all(), take, seal, acknowledged }).await;
    });
    let (hush, hushed) = watch::channel(false);
    if let Some(listener) = admin {
        let admin = Admin { state: Arc::clone(&state), gateway: gateway.clone(), ports: BTreeMap::new() };
        tokio::spawn(serve(listener, Arc::new(admin), hushed));
    }
    let serving = tokio::spawn({
        let gateway = gateway.clone();
        async move { gateway.run().await }
    });
    let end = End::Told(signals.next().await);
    let (stop, _) = watch::channel(false);
    let patience = Patience { delay: flags.serving.shutdown_delay, drain: flags.serving.drain_timeout };
    Closing { gateway: &gateway, state: &state, hush, stop, serving }.carry_out(end, patience, &mut signals).await
}

/// A key of sessions as it came; nothing where it is none.
fn session_key(bytes: &[u8]) -> Option<SessionKey> {
    bytes.try_into().ok().map(SessionKey::new)
}
