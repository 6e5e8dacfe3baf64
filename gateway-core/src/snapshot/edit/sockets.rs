//! Edits of the sockets: which listeners stand on which.
//!
//! In: listeners taken off and put on. Out: the next sockets, or nothing where none changed. What is not edited is not copied.
//!
//! Invariants: no socket is without listeners.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::snapshot::listener::{Listener, Settings};
use crate::snapshot::listeners::{Listeners, Site};
use crate::snapshot::{Snapshot, Socket, Sockets};

#[derive(Debug)]
pub(super) struct SocketEdits<'a> {
    old: &'a Snapshot,
    settings: &'a BTreeMap<Socket, Arc<Settings>>,
    edited: BTreeMap<Socket, Listeners>,
}

impl<'a> SocketEdits<'a> {
    pub(super) fn new(old: &'a Snapshot, settings: &'a BTreeMap<Socket, Arc<Settings>>) -> Self {
        Self { old, settings, edited: BTreeMap::new() }
    }

    /// Takes a listener off a socket, where it stands.
    pub(super) fn take_off(&mut self, socket: Socket, listener: &Arc<Listener>) {
        let listeners = self.edit(socket);
        let hostname = listener.hostname.as_deref();
        if listeners.named(hostname).is_some_and(|site| Arc::ptr_eq(&site.listener, listener)) {
            listeners.remove(hostname);
        }
    }

    /// Puts a listener on a socket.
    pub(super) fn put_on(&mut self, socket: Socket, site: Arc<Site>) {
        let seed = self.old.seed;
        self.edit(socket).put(site, seed);
    }

    /// Brings the settings of a socket up to date, where it exists.
    pub(super) fn settle(&mut self, socket: Socket) {
        let settings = self.settings_of(socket);
        let present = self.edited.get(&socket).or_else(|| self.old.listeners(&socket));
        if present.is_some_and(|listeners| listeners.settings != settings) {
            self.edit(socket).settings = settings;
        }
    }

    /// The sockets after the edits; `None` when they stay as they are.
    pub(super) fn finish(self) -> Option<Sockets> {
        if self.edited.is_empty() {
            return None;
        }
        let mut next = self.old.sockets.clone();
        for (socket, listeners) in self.edited {
            if listeners.is_empty() {
                next.remove(&socket);
            } else {
                next.insert(socket, Arc::new(listeners));
            }
        }
        Some(next)
    }

    fn edit(&mut self, socket: Socket) -> &mut Listeners {
        let settings = self.settings_of(socket);
        self.edited.entry(socket).or_insert_with(|| match self.old.listeners(&socket) {
            Some(listeners) => listeners.clone(),
            None => Listeners::new(settings),
        })
    }

    fn settings_of(&self, socket: Socket) -> Arc<Settings> {
        self.settings.get(&socket).cloned().unwrap_or_default()
    }
}
