//! Which addresses each Gateway listens on.
//!
//! In: the addresses the program was given, and the Gateways with what they ask for. Out: facts for the compiler, and who got none.
//! None given: all of the machine's. One: shared by all. Several: a pool from which each Gateway takes one and keeps it while it
//! exists; those who ask for one come first, then the older, then the first by name.
//!
//! Invariants: no two Gateways hold the same address of a pool; what a Gateway holds it keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};

use gateway_core::compile::{Addresses, Change, Fact};
use gateway_core::name::ObjectName;
use gateway_core::resource::{AddressType, Gateway};

/// The addresses there are, and who holds which.
#[derive(Debug)]
pub(crate) struct Allotment {
    pool: Pool,
    held: BTreeMap<ObjectName, Addresses>,
}

/// What there is to allot.
#[derive(Debug)]
enum Pool {
    /// All addresses of the machine, for everybody.
    Machine,
    /// One for everybody.
    Shared(IpAddr),
    /// One for each.
    Each(Vec<IpAddr>),
}

impl Allotment {
    /// Nobody holds anything yet.
    pub(crate) fn new(given: &[IpAddr]) -> Self {
        let mut distinct: Vec<IpAddr> = Vec::new();
        for address in given {
            if !distinct.contains(address) {
                distinct.push(*address);
            }
        }
        let pool = match distinct[..] {
            [] => Pool::Machine,
            [one] => Pool::Shared(one),
            _ => Pool::Each(distinct),
        };
        Self { pool, held: BTreeMap::new() }
    }

    /// The facts that changed now that these are the Gateways.
    pub(crate) fn settle<'a>(&mut self, gateways: impl Iterator<Item = &'a Gateway>) -> Vec<Change> {
        let mut gateways: Vec<&Gateway> = gateways.collect();
        let asks = |gateway: &Gateway| !requests(gateway).is_empty();
        gateways.sort_by_key(|gateway| {
            let created = gateway.meta.created.unwrap_or(i64::MAX);
            (!asks(gateway), created, gateway.meta.name.clone())
        });
        let names: BTreeSet<_> = gateways.iter().map(|gateway| &gateway.meta.name).collect();
        let gone: Vec<_> = self.held.keys().filter(|name| !names.contains(name)).cloned().collect();
        let mut changes = Vec::new();
        for name in gone {
            self.held.remove(&name);
            changes.push(Change::Fact(Fact::Addresses(name, None)));
        }
        for gateway in gateways {
            let name = &gateway.meta.name;
            let now = self.allot(gateway);
            if self.held.get(name) != Some(&now) {
                self.held.insert(name.clone(), now.clone());
                changes.push(Change::Fact(Fact::Addresses(name.clone(), Some(now))));
            }
        }
        changes
    }

    /// The Gateways that got no address, with what to do about it.
    pub(crate) fn without(&self) -> impl Iterator<Item = (&ObjectName, String)> {
        let none = self.held.iter().filter(|(_, held)| held.listen.is_empty());
        none.map(|(name, _)| {
            let reason = match &self.pool {
                Pool::Machine => "none of the addresses it asks for is this machine's".to_owned(),
                Pool::Shared(address) => format!("it asks for another address than {address}, the only one given"),
                Pool::Each(pool) => format!("none of the {} addresses is free for it: give one more --address", pool.len()),
            };
            (name, reason)
        })
    }

    fn allot(&self, gateway: &Gateway) -> Addresses {
        let requests = requests(gateway);
        match &self.pool {
            Pool::Machine if requests.is_empty() => Addresses { listen: vec![None], shown: vec![outward().to_string()] },
            Pool::Machine => exactly(requests.into_iter().filter(|address| is_local(*address))),
            Pool::Shared(address) if requests.is_empty() || requests.contains(address) => exactly([*address]),
            Pool::Shared(_) => exactly([]),
            Pool::Each(pool) => {
                let name = &gateway.meta.name;
                let held = self.held.get(name).map_or(&[][..], |held| &held.listen);
                let taken: BTreeSet<IpAddr> = self
                    .held
                    .iter()
                    .filter(|(other, _)| *other != name)
                    .flat_map(|(_, held)| held.listen.iter().flatten().copied())
                    .collect();
                let is_free = |address: &IpAddr| pool.contains(address) && !taken.contains(address);
                if !requests.is_empty() {
                    return exactly(requests.into_iter().filter(is_free));
                }
                let kept = held.iter().flatten().copied().find(is_free);
                exactly(kept.or_else(|| pool.iter().copied().find(is_free)))
            }
        }
    }
}

/// The addresses a Gateway asks for by value; one that only asks for the type takes any.
fn requests(gateway: &Gateway) -> Vec<IpAddr> {
    let stated = gateway.spec.addresses.iter().filter(|address| address.address_type == AddressType::IpAddress);
    let mut requests: Vec<IpAddr> = stated.filter_map(|address| address.value.parse().ok()).collect();
    requests.sort();
    requests.dedup();
    requests
}

fn exactly(addresses: impl IntoIterator<Item = IpAddr>) -> Addresses {
    let listen: Vec<_> = addresses.into_iter().map(Some).collect();
    let shown = listen.iter().flatten().map(ToString::to_string).collect();
    Addresses { listen, shown }
}

/// Whether the machine has the address: then a socket can be bound to it.
fn is_local(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

/// The address by which others most likely reach this machine; asking for the way there sends nothing.
pub(crate) fn outward() -> IpAddr {
    let ask = || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9))?;
        socket.local_addr()
    };
    ask().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |local| local.ip())
}

#[cfg(test)]
mod tests {
    use gateway_core::resource::{FieldValidation, Object, Reader, Reading, read};
    use serde_json::json;

    use super::*;

    fn gateway(name: &str, created: Option<&str>, addresses: &[&str]) -> std::sync::Arc<Gateway> {
        let addresses: Vec<_> = addresses.iter().map(|value| json!({"value": value})).collect();
        let value = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
            "metadata": {"name": name, "namespace": "x", "creationTimestamp": created},
            "spec": {"gatewayClassName": "c", "addresses": addresses, "listeners": [{"name": "a", "protocol": "HTTP", "port": 80}]},
        });
        let reader = Reader { validation: FieldValidation::Strict, lenient_forms: true, extensions: Vec::new() };
        match read(value, &reader) {
            Ok(Reading::Object { object: Object::Gateway(gateway), .. }) => gateway,
            other => panic!("{other:?}"),
        }
    }

    fn settle(allotment: &mut Allotment, gateways: &[std::sync::Arc<Gateway>]) -> Vec<String> {
        let told = |change| match change {
            Change::Fact(Fact::Addresses(name, Some(addresses))) => format!("{} {}", name.name(), addresses.shown.join(",")),
            Change::Fact(Fact::Addresses(name, None)) => format!("{} -", name.name()),
            Change::Fact(_) | Change::Put(_) | Change::Remove(_) => unreachable!("an allotment is of addresses only"),
        };
        allotment.settle(gateways.iter().map(|gateway| &**gateway)).into_iter().map(told).collect()
    }

    #[test]
    fn of_a_pool_each_takes_one_and_keeps_it() {
        let mut allotment = Allotment::new(&["127.0.0.1", "127.0.0.2", "127.0.0.1"].map(|address| address.parse().unwrap()));
        let (old, a, b) = (gateway("old", Some("2020-01-01T00:00:00Z"), &[]), gateway("a", None, &[]), gateway("b", None, &[]));
        assert_eq!(settle(&mut allotment, &[b.clone(), a.clone()]), ["a 127.0.0.1", "b 127.0.0.2"]);
        assert_eq!(settle(&mut allotment, &[b.clone(), a.clone(), old.clone()]), ["old "], "nobody loses what it holds");
        assert_eq!(allotment.without().map(|(name, _)| name.name()).collect::<Vec<_>>(), ["old"]);
        assert_eq!(settle(&mut allotment, &[a, old]), ["b -", "old 127.0.0.2"]);
    }

    #[test]
    fn of_a_pool_those_who_ask_come_first() {
        let mut allotment = Allotment::new(&["127.0.0.1", "127.0.0.2"].map(|address| address.parse().unwrap()));
        let told = settle(&mut allotment, &[gateway("a", None, &[]), gateway("b", None, &["127.0.0.1", "10.9.9.9"])]);
        assert_eq!(told, ["b 127.0.0.1", "a 127.0.0.2"]);
    }

    #[test]
    fn one_address_is_for_all_who_do_not_ask_for_another() {
        let mut allotment = Allotment::new(&["127.0.0.1".parse().unwrap()]);
        let told = settle(
            &mut allotment,
            &[gateway("a", None, &[]), gateway("b", None, &["127.0.0.1"]), gateway("c", None, &["127.0.0.9"])],
        );
        assert_eq!(told, ["b 127.0.0.1", "c ", "a 127.0.0.1"]);
    }

    #[test]
    fn without_addresses_all_of_the_machine_are_ours() {
        let mut allotment = Allotment::new(&[]);
        settle(&mut allotment, &[gateway("a", None, &[]), gateway("b", None, &["127.0.0.1", "192.0.2.77"])]);
        assert_eq!(allotment.held[&ObjectName::new("x", "a")].listen, [None]);
        assert_eq!(allotment.held[&ObjectName::new("x", "b")].shown, ["127.0.0.1"]);
    }
}
