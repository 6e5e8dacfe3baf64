//! Which listeners may stand together on one port (§ Listener distinctness in `GatewaySpec.Listeners`).
//!
//! In: all listeners that want one port, with their Gateways' precedence. Out: those that conflict, each with its reason. Within one
//! Gateway all that conflict fall; among Gateways that share an address the first by age, then name, keeps its place.
//!
//! Invariants: the order in which listeners are given does not matter.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::condition::Reason;
use crate::name::ObjectName;
use crate::snapshot::Transport;

use crate::snapshot::matching::Age;

/// One listener that wants a port.
#[derive(Clone, Debug)]
pub(super) struct Claim<'a> {
    pub(super) age: Age,
    pub(super) gateway: &'a ObjectName,
    /// Index in the Gateway's listeners.
    pub(super) index: usize,
    pub(super) name: &'a str,
    pub(super) family: Family,
    /// In lower case.
    pub(super) hostname: Option<&'a str>,
    /// The addresses its Gateway listens on; `None` is all of the machine's.
    pub(super) addresses: &'a [Option<IpAddr>],
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
    pub(super) fn transport(self) -> Transport {
        match self {
            Self::Plain | Self::Tls | Self::Tcp => Transport::Tcp,
            Self::Udp => Transport::Udp,
        }
    }

    /// What two listeners of this family may not have in common on one port.
    fn key(self, hostname: Option<&str>) -> Option<&str> {
        match self {
            Self::Plain | Self::Tls => hostname,
            Self::Tcp | Self::Udp => None,
        }
    }
}

/// A listener that conflicts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Conflict {
    pub(super) reason: Reason,
    pub(super) message: String,
}

/// Judges all claims to one port. Keys are (Gateway, listener index).
pub(super) fn conflicts(port: u16, claims: &[Claim<'_>]) -> BTreeMap<(ObjectName, usize), Conflict> {
    let mut order: Vec<&Claim<'_>> = claims.iter().collect();
    order.sort_by(|a, b| (&a.age, a.gateway, a.index).cmp(&(&b.age, b.gateway, b.index)));
    let mut found = BTreeMap::new();
    within_gateways(port, &order, &mut found);
    among_gateways(port, &order, &mut found);
    found
}

fn within_gateways(port: u16, claims: &[&Claim<'_>], found: &mut BTreeMap<(ObjectName, usize), Conflict>) {
    for group in claims.chunk_by(|a, b| a.gateway == b.gateway && a.age == b.age) {
        for claim in group {
            let rivals =
                group.iter().filter(|other| other.index != claim.index && other.family.transport() == claim.family.transport());
            let conflict = rivals
                .filter_map(|other| rivalry(claim, other).map(|reason| (reason, *other)))
                .min_by_key(|(reason, _)| u8::from(*reason != Reason::ProtocolConflict));
            if let Some((reason, other)) = conflict {
                let message = if reason == Reason::ProtocolConflict {
                    format!("listener {} speaks another protocol on port {port}; give one of them another port", other.name)
                } else {
                    format!("listener {} has the same port {port} and hostname; give one of them another", other.name)
                };
                found.insert((claim.gateway.clone(), claim.index), Conflict { reason, message });
            }
        }
    }
}

/// The first on an address keeps it: its family, and each of its names.
fn among_gateways(port: u16, claims: &[&Claim<'_>], found: &mut BTreeMap<(ObjectName, usize), Conflict>) {
    let mut families: BTreeMap<(Option<IpAddr>, Transport), (Family, &ObjectName)> = BTreeMap::new();
    let mut names: BTreeMap<(Option<IpAddr>, Family, Option<&str>), &ObjectName> = BTreeMap::new();
    for claim in claims {
        if found.contains_key(&(claim.gateway.clone(), claim.index)) {
            continue;
        }
        let key = claim.family.key(claim.hostname);
        let addresses: BTreeSet<Option<IpAddr>> = claim.addresses.iter().copied().collect();
        let taken = addresses.iter().find_map(|address| {
            let family = families.get(&(*address, claim.family.transport()));
            if let Some((_, holder)) = family.filter(|(family, holder)| *family != claim.family && *holder != claim.gateway) {
                return Some((Reason::ProtocolConflict, *holder));
            }
            let holder = names.get(&(*address, claim.family, key)).filter(|holder| **holder != claim.gateway)?;
            Some((Reason::HostnameConflict, *holder))
        });
        if let Some((reason, holder)) = taken {
            let message = shared(port, reason, claim.hostname, holder);
            found.insert((claim.gateway.clone(), claim.index), Conflict { reason, message });
            continue;
        }
        for address in addresses {
            families.entry((address, claim.family.transport())).or_insert((claim.family, claim.gateway));
            names.entry((address, claim.family, key)).or_insert(claim.gateway);
        }
    }
}

fn rivalry(one: &Claim<'_>, other: &Claim<'_>) -> Option<Reason> {
    if one.family != other.family {
        return Some(Reason::ProtocolConflict);
    }
    (one.family.key(one.hostname) == other.family.key(other.hostname)).then_some(Reason::HostnameConflict)
}

fn shared(port: u16, reason: Reason, hostname: Option<&str>, holder: &ObjectName) -> String {
    let way_out = "give this Gateway an address of its own, another port, or another hostname";
    match (reason, hostname) {
        (Reason::ProtocolConflict, _) => {
            format!("Gateway {holder} goes first and speaks another protocol on port {port} of the same address; {way_out}")
        }
        (_, Some(hostname)) => {
            format!("Gateway {holder} goes first and has {hostname} on port {port} of the same address; {way_out}")
        }
        (_, None) => {
            format!("Gateway {holder} goes first and has port {port} of the same address for all hosts; {way_out}")
        }
    }
}
