//! How serving ends: by a signal, or because another process has taken over.
//!
//! In: why. Out: an exit status, once what was under way is finished, or its time is over. A signal that comes meanwhile ends at once.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use gateway_pingora::Gateway;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::state::State;

/// Why serving ends.
pub(crate) enum End {
    /// By a signal.
    Told(SignalKind),
    /// Another process has taken over.
    Succeeded,
}

/// How long what is under way may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Traffic still comes in while readiness is denied.
    pub(crate) delay: Duration,
    /// Requests finish.
    pub(crate) drain: Duration,
}

/// What is closed, and by what.
pub(crate) struct Closing<'a> {
    pub(crate) gateway: &'a Gateway,
    pub(crate) state: &'a State,
    /// Ends the admin server.
    pub(crate) hush: watch::Sender<bool>,
    /// Ends the backends that this process serves.
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) serving: JoinHandle<()>,
}

impl Closing<'_> {
    /// Stops being ready, then accepting, then serving.
    pub(crate) async fn carry_out(self, end: End, patience: Patience, signals: &mut Signals) -> anyhow::Result<ExitCode> {
        self.state.lock().is_ending = true;
        match end {
            // At a keyboard nobody routes traffic elsewhere first.
            End::Told(signal) if signal == SignalKind::terminate() && !patience.delay.is_zero() => {
                tracing::info!(delay = ?patience.delay, "not ready any more");
                tokio::select! {
                    () = tokio::time::sleep(patience.delay) => {}
                    _ = signals.next() => return Ok(ExitCode::FAILURE),
                }
            }
            End::Told(_) => {}
            // Whoever asks how things are asks the successor.
            End::Succeeded => drop(self.hush.send_replace(true)),
        }
        tracing::info!("draining");
        let left = tokio::select! {
            left = self.gateway.drain(patience.drain) => left,
            _ = signals.next() => return Ok(ExitCode::FAILURE),
        };
        self.hush.send_replace(true);
        self.stop.send_replace(true);
        if left > 0 {
            tracing::warn!(connections = left, "cut at the end of the drain time");
        } else {
            // All connections are gone; what is left to do is quick.
            let _ = tokio::time::timeout(LAST_STEPS, self.serving).await;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The signals that end the program.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From now on they no longer end the process by themselves.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// Waits for the next, and says which it was.
    pub(crate) async fn next(&mut self) -> SignalKind {
        tokio::select! {
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.interrupt.recv() => SignalKind::interrupt(),
        }
    }
}

/// How long the last steps after the last connection may take.
const LAST_STEPS: Duration = Duration::from_millis(500);
