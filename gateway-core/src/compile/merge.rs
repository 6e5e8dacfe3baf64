//! Which listeners may stand together on one port (distinctness: `GatewaySpec.Listeners`; precedence: `ListenerSetSpec.Listeners`).
//!
//! In: the claims of listeners that are fit to serve, as they come and go. Out: who conflicts, and who has hosts in common with whom, by
//! name or by certificate, and the holders for which that changed.
//!
//! ```text
//! (port, transport) ─► ground: addresses shared ─► Field: claims in order of precedence, and in groups by host name
//! ```
//! What conflicts within one Gateway's own list falls before it claims anything (`within`). Among the rest the first goes before all
//! others: own listeners of Gateways by age, then name; those of ListenerSets likewise; each in the order of its list. The first
//! claim to a field sets its family of protocols, the first of that family in a group has the name.
//!
//! Invariants: **verdicts depend on the claims that stand, not on the order in which they came**; a change judges the groups it
//! touched, and a whole field only when its family changes or addresses are shared in part.

mod certified;
mod field;
mod hosts;
mod together;
mod within;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::condition::Reason;
use crate::name::{Kind, ObjectId, ObjectName};
use crate::snapshot::matching::Age;
use crate::snapshot::{Protocol, Transport};

use field::Field;
pub(super) use within::{Stated, conflicts_within};

/// All claims, by where they stand.
#[derive(Debug, Default)]
pub(super) struct Merge {
    ports: BTreeMap<(u16, Transport), Port>,
    /// What has to be judged again.
    touched: BTreeMap<Place, Touch>,
}

/// What a claim is made to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) port: u16,
    pub(super) transport: Transport,
    pub(super) ground: Ground,
}

/// Whose listeners meet on a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ground {
    /// Those of one Gateway and its ListenerSets, which have addresses of their own.
    Own(ObjectName),
    /// Those of all Gateways that listen on one of these addresses; `None` is all of the machine's. Sorted, each once, at least one.
    Shared(Arc<[Option<IpAddr>]>),
}

/// A listener that wants a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) rank: Rank,
    /// The Gateway it belongs to: its holder, or the parent of the ListenerSet.
    pub(super) gateway: ObjectName,
    pub(super) listener: Arc<str>,
    pub(super) family: Family,
    /// In lower case; none for families that know no names.
    pub(super) hostname: Option<Arc<str>>,
    /// Whether it speaks HTTPS, so that clients might use one connection for several hosts.
    pub(super) is_https: bool,
    /// What its certificates are valid for, where it does.
    pub(super) names: Arc<[Box<str>]>,
}

/// In which order claims are served. Smaller goes first: the order of these fields is the order of precedence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    pub(super) is_set: bool,
    pub(super) age: Age,
    pub(super) holder: ObjectName,
    /// Index in the holder's listeners.
    pub(super) index: usize,
}

impl Rank {
    /// Who holds the listener.
    pub(super) fn id(&self) -> ObjectId {
        ObjectId::new(if self.is_set { Kind::ListenerSet } else { Kind::Gateway }, self.holder.clone())
    }

    fn is_of_the_same_holder(&self, other: &Self) -> bool {
        (self.is_set, &self.holder) == (other.is_set, &other.holder)
    }

    /// From the first to the last rank that listeners of the same object can have.
    fn siblings(&self) -> (Self, Self) {
        (Self { index: 0, ..self.clone() }, Self { index: usize::MAX, ..self.clone() })
    }
}

/// What cannot share a port with another family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    /// HTTP in clear.
    Plain,
    /// HTTPS and TLS, told apart by server name.
    Tls,
    /// Bytes.
    Tcp,
    /// Datagrams.
    Udp,
}

impl Family {
    /// The family of a protocol.
    pub(super) fn of(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Http => Self::Plain,
            Protocol::Https | Protocol::TlsTerminate | Protocol::TlsPassthrough => Self::Tls,
            Protocol::Tcp => Self::Tcp,
            Protocol::Udp => Self::Udp,
        }
    }

    pub(super) fn transport(self) -> Transport {
        match self {
            Self::Plain | Self::Tls | Self::Tcp => Transport::Tcp,
            Self::Udp => Transport::Udp,
        }
    }

    /// Whether listeners of this family are told apart by host name.
    pub(super) fn has_names(self) -> bool {
        match self {
            Self::Plain | Self::Tls => true,
            Self::Tcp | Self::Udp => false,
        }
    }
}

/// Why a listener lost its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Conflict {
    pub(super) reason: Reason,
    pub(super) message: String,
}

/// What was found of a claim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Why it lost its place.
    pub(super) conflict: Option<Conflict>,
    /// With which HTTPS listeners it has hosts in common, by name or by certificate (OverlappingTLSConfig, GEP-3567).
    pub(super) overlap: Option<Overlap>,
}

/// What a listener has in common with others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Overlap {
    pub(super) reason: Reason,
    pub(super) message: String,
}

/// Host name of a group of claims; `None` for all hosts.
type Key = Option<Arc<str>>;

/// What has to be judged again in a field.
#[derive(Debug)]
enum Touch {
    Groups(BTreeSet<Key>),
    All,
}

impl Default for Touch {
    fn default() -> Self {
        Self::Groups(BTreeSet::new())
    }
}

/// The fields of one port.
#[derive(Debug, Default)]
struct Port {
    fields: BTreeMap<Ground, Field>,
    /// Shared grounds with a field, by address.
    grounds: BTreeMap<Option<IpAddr>, BTreeSet<Ground>>,
}

impl Merge {
    /// Adds a claim, in the place of one of the same rank.
    pub(super) fn put(&mut self, place: &Place, claim: Claim) {
        let port = self.ports.entry((place.port, place.transport)).or_default();
        if !port.fields.contains_key(&place.ground) {
            port.open(&place.ground);
            self.touch_neighbours(place);
        }
        let Some(port) = self.ports.get_mut(&(place.port, place.transport)) else { return };
        let key = claim.hostname.clone();
        let replaced = port.fields.entry(place.ground.clone()).or_default().put(claim);
        self.touch(place, key);
        if let Some(key) = replaced {
            self.touch(place, key);
        }
    }

    /// Removes a claim.
    pub(super) fn remove(&mut self, place: &Place, rank: &Rank) {
        let Some(port) = self.ports.get_mut(&(place.port, place.transport)) else { return };
        let Some(field) = port.fields.get_mut(&place.ground) else { return };
        let Some(key) = field.remove(rank) else { return };
        if !field.is_empty() {
            self.touch(place, key);
            return;
        }
        self.touch_neighbours(place);
        self.touched.remove(place);
        let Some(port) = self.ports.get_mut(&(place.port, place.transport)) else { return };
        port.close(&place.ground);
        if port.fields.is_empty() {
            self.ports.remove(&(place.port, place.transport));
        }
    }

    /// What was found of a claim.
    pub(super) fn verdict(&self, place: &Place, rank: &Rank) -> Option<&Verdict> {
        self.ports.get(&(place.port, place.transport))?.fields.get(&place.ground)?.verdict(rank)
    }

    /// Judges what was touched. Returns the holders of claims for which something changed.
    pub(super) fn settle(&mut self) -> BTreeSet<ObjectId> {
        let mut touched = std::mem::take(&mut self.touched);
        let mut changed = BTreeSet::new();
        while let Some((place, touch)) = touched.pop_first() {
            let Some(port) = self.ports.get_mut(&(place.port, place.transport)) else { continue };
            let grounds = port.connected(&place.ground);
            if grounds.len() > 1 {
                together::settle(port, &grounds, place.port, &mut changed);
                for ground in grounds {
                    touched.remove(&Place { ground, ..place });
                }
            } else if let Some(field) = port.fields.get_mut(&place.ground) {
                field.settle(touch, place.port, &mut changed);
            }
        }
        changed
    }

    fn touch(&mut self, place: &Place, key: Key) {
        if let Touch::Groups(keys) = self.touched.entry(place.clone()).or_default() {
            keys.insert(key);
        }
    }

    /// Fields that share an address with one that opens or closes are judged otherwise from now on.
    fn touch_neighbours(&mut self, place: &Place) {
        let Some(port) = self.ports.get(&(place.port, place.transport)) else { return };
        for ground in port.neighbours(&place.ground) {
            self.touched.insert(Place { ground, ..*place }, Touch::All);
        }
        self.touched.insert(place.clone(), Touch::All);
    }
}

impl Port {
    fn open(&mut self, ground: &Ground) {
        self.fields.insert(ground.clone(), Field::default());
        for address in ground.addresses() {
            self.grounds.entry(*address).or_default().insert(ground.clone());
        }
    }

    fn close(&mut self, ground: &Ground) {
        self.fields.remove(ground);
        for address in ground.addresses() {
            if let Some(grounds) = self.grounds.get_mut(address) {
                grounds.remove(ground);
                if grounds.is_empty() {
                    self.grounds.remove(address);
                }
            }
        }
    }

    /// Other grounds with a field that have an address in common with this one.
    fn neighbours(&self, ground: &Ground) -> BTreeSet<Ground> {
        let sharing = ground.addresses().iter().filter_map(|address| self.grounds.get(address)).flatten();
        sharing.filter(|other| *other != ground).cloned().collect()
    }

    /// The ground itself, and all that are connected with it by addresses in common.
    fn connected(&self, ground: &Ground) -> BTreeSet<Ground> {
        let mut found = BTreeSet::from([ground.clone()]);
        let mut next = vec![ground.clone()];
        while let Some(ground) = next.pop() {
            for neighbour in self.neighbours(&ground) {
                if found.insert(neighbour.clone()) {
                    next.push(neighbour);
                }
            }
        }
        found
    }
}

impl Ground {
    fn addresses(&self) -> &[Option<IpAddr>] {
        match self {
            Self::Own(_) => &[],
            Self::Shared(addresses) => addresses,
        }
    }
}

#[cfg(test)]
mod tests;
