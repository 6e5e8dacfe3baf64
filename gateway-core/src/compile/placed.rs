//! Which listeners stand in the snapshot, and on which sockets.
//!
//! In: the listeners that each Gateway or ListenerSet has to serve. Out: edits of the snapshot. A socket obeys, before the listener of
//! a connection is known, the settings of the first Gateway on it by age, then name.
//!
//! Invariants: a holder that is put again as it was edits nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::name::{ObjectId, ObjectName};
use crate::snapshot::matching::Age;
use crate::snapshot::{Listener, ListenerId, Settings, Socket, Writer};

/// The listeners in the snapshot.
#[derive(Debug, Default)]
pub(super) struct Placed {
    listeners: BTreeMap<ListenerId, Standing>,
    /// Gateways with listeners on a socket, the first first.
    present: BTreeMap<Socket, BTreeMap<Seniority, Present>>,
    settings: BTreeMap<Socket, Arc<Settings>>,
    /// Sockets whose settings may differ.
    touched: BTreeSet<Socket>,
}

/// How early a Gateway comes among those on one socket: its age and name.
pub(super) type Seniority = (Age, ObjectName);

#[derive(Debug, PartialEq)]
struct Standing {
    listener: Arc<Listener>,
    sockets: Vec<Socket>,
    seniority: Seniority,
}

#[derive(Debug)]
struct Present {
    listeners: usize,
    settings: Arc<Settings>,
}

impl Placed {
    /// Puts the listeners of a holder, each with its sockets, and takes away those that it no longer has.
    pub(super) fn put(
        &mut self,
        holder: &ObjectId,
        wanted: Vec<(Listener, Vec<Socket>)>,
        seniority: &Seniority,
        writer: &mut Writer,
    ) {
        let mut gone = self.held(holder);
        for (listener, sockets) in wanted {
            gone.remove(&listener.id);
            let standing = Standing { listener: Arc::new(listener), sockets, seniority: seniority.clone() };
            let id = &standing.listener.id;
            if self.listeners.get(id) == Some(&standing) {
                continue;
            }
            self.leave(&id.clone());
            writer.put_listener(Arc::clone(&standing.listener), &standing.sockets);
            for socket in &standing.sockets {
                let settings = &standing.listener.settings;
                let gateways = self.present.entry(*socket).or_default();
                let present =
                    gateways.entry(seniority.clone()).or_insert_with(|| Present { listeners: 0, settings: Arc::clone(settings) });
                present.listeners += 1;
                present.settings = Arc::clone(settings);
                self.touched.insert(*socket);
            }
            self.listeners.insert(id.clone(), standing);
        }
        for id in gone {
            self.leave(&id);
            writer.remove_listener(&id);
        }
    }

    /// Brings the settings of the sockets up to date.
    pub(super) fn settle(&mut self, writer: &mut Writer) {
        for socket in std::mem::take(&mut self.touched) {
            let first = self.present.get(&socket).and_then(|gateways| gateways.values().next());
            let wanted = first.map(|present| Arc::clone(&present.settings));
            if self.settings.get(&socket) == wanted.as_ref() {
                continue;
            }
            match &wanted {
                Some(settings) => drop(self.settings.insert(socket, Arc::clone(settings))),
                None => drop(self.settings.remove(&socket)),
            }
            writer.put_settings(socket, wanted);
        }
    }

    fn held(&self, holder: &ObjectId) -> BTreeSet<ListenerId> {
        let first = ListenerId { parent: holder.clone(), name: "".into() };
        self.listeners.range(first..).map(|(id, _)| id).take_while(|id| id.parent == *holder).cloned().collect()
    }

    fn leave(&mut self, id: &ListenerId) {
        let Some(standing) = self.listeners.remove(id) else { return };
        for socket in standing.sockets {
            self.touched.insert(socket);
            let Some(gateways) = self.present.get_mut(&socket) else { continue };
            if let Some(present) = gateways.get_mut(&standing.seniority) {
                present.listeners -= 1;
                if present.listeners == 0 {
                    gateways.remove(&standing.seniority);
                }
            }
            if gateways.is_empty() {
                self.present.remove(&socket);
            }
        }
    }
}
