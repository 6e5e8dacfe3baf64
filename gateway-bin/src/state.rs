//! What the running program knows of itself, for those who ask from other threads.
//!
//! In: what the applying thread found, after each transaction. Out: readiness, statuses, sockets. Nothing here decides traffic.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use gateway_core::compile::{Bound, Change, Fact};
use gateway_core::snapshot::{Snapshot, Socket};
use serde_json::Value;

use crate::board::Board;

/// Shared by the applying thread and the admin server.
#[derive(Debug, Default)]
pub(crate) struct State {
    known: Mutex<Known>,
    /// Changes after what is known did.
    turns: watch::Sender<u64>,
}

/// What is known.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) board: Board,
    /// How each socket that was tried came out.
    pub(crate) sockets: BTreeMap<Socket, Bound>,
    /// Sockets the snapshot wants.
    wanted: BTreeSet<Socket>,
    /// What is wrong with the files.
    pub(crate) problems: BTreeSet<String>,
    /// Transactions applied.
    pub(crate) applied: u64,
    /// The program was told to end: ports close, requests finish.
    pub(crate) is_ending: bool,
    /// The applying thread ended before it was told to.
    pub(crate) is_lost: bool,
}

impl State {
    /// What is known. Held for as long as it takes to copy or to print.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells those who wait that something else is known.
    pub(crate) fn turned(&self) {
        self.turns.send_modify(|turns| *turns += 1);
    }

    /// Remembers a fact of the adapter, and hands it on as a change.
    pub(crate) fn remember(&self, fact: Fact) -> Change {
        if let Fact::Socket(socket, bound) = &fact {
            self.lock().tried(*socket, bound.as_ref());
            self.turned();
        }
        Change::Fact(fact)
    }

    /// Waits until nothing stands against readiness.
    pub(crate) async fn ready(&self) {
        let mut turns = self.turns.subscribe();
        while self.lock().waits_for().is_some() {
            // The sender is ours, so that it cannot be gone.
            let _ = turns.changed().await;
        }
    }
}

impl Known {
    /// Remembers which sockets the snapshot wants.
    pub(crate) fn want(&mut self, snapshot: &Snapshot) {
        self.wanted = snapshot.sockets().map(|(socket, _)| *socket).collect();
    }

    /// Remembers how a socket came out, or that it was closed.
    fn tried(&mut self, socket: Socket, bound: Option<&Bound>) {
        match bound {
            Some(bound) => drop(self.sockets.insert(socket, bound.clone())),
            None => drop(self.sockets.remove(&socket)),
        }
    }

    /// What stands against readiness: the end of the program, or that it still waits for a first configuration, or a socket that was not tried yet.
    pub(crate) fn waits_for(&self) -> Option<String> {
        if self.is_ending {
            return Some("the program is ending".into());
        }
        if self.applied == 0 {
            return Some("no configuration is known yet".into());
        }
        self.wanted.iter().find(|socket| !self.sockets.contains_key(socket)).map(|socket| format!("{socket} is being opened"))
    }

    /// All statuses, as a list of objects.
    pub(crate) fn status_json(&self) -> Value {
        let mut json = self.board.to_json();
        if let Some(fields) = json.as_object_mut() {
            fields.insert("problems".into(), self.problems.iter().map(String::as_str).collect());
        }
        json
    }

    /// All statuses, for people.
    pub(crate) fn status_text(&self) -> String {
        let mut text = self.board.to_table();
        for problem in &self.problems {
            text.push_str(problem);
            text.push('\n');
        }
        text
    }
}

/// Says, when it goes, that the thread that applies changes is gone, however it went.
pub(crate) struct Lost(pub(crate) Arc<State>);

impl Drop for Lost {
    fn drop(&mut self) {
        self.0.lock().is_lost = true;
    }
}
