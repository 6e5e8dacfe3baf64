//! Which addresses each Gateway listens on.
//!
//! In: the addresses the program was given, and the Gateways with what they ask for. Out: facts for the compiler, and who got none.
//! None given: all of the machine's. One: shared by all. Several: a pool from which each Gateway takes one and keeps it while it
//! exists; those who ask for one come first, then the older, then the first by name.
//!
//! Invariants: no two Gateways hold the same address of a pool; what a Gateway holds it keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};

use gateway_core::compile::{AddressValue, Addresses, Answer, Change, Fact, Given, Outcome};
use gateway_core::name::ObjectName;
use gateway_core::resource::{AddressType, Gateway, GatewayAddress};

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
        let asks = |gateway: &Gateway| gateway.spec.addresses.iter().any(|entry| matches!(asked(entry), Asked::This(_)));
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

    /// What a Gateway has, and what becomes of each of its requests: those that name an address are heard first.
    fn allot(&self, gateway: &Gateway) -> Addresses {
        let name = &gateway.meta.name;
        let stated = &gateway.spec.addresses;
        let mut taken = Vec::new();
        let (mut answers, mut open) = (Vec::new(), Vec::new());
        for entry in stated {
            let outcome = match asked(entry) {
                Asked::Nothing(why) => Outcome::Refused(why.into()),
                Asked::This(address) => outcome_of(self.claim(name, address), &mut taken),
                Asked::Any => {
                    open.push(answers.len());
                    Outcome::Pending
                }
            };
            answers.push(Answer { to: Some(entry.clone()), outcome });
        }
        let everywhere = matches!(self.pool, Pool::Machine) && taken.is_empty() && (stated.is_empty() || !open.is_empty());
        for at in open {
            answers[at].outcome = outcome_of(self.any(name, &taken), &mut taken);
        }
        if stated.is_empty() {
            let outcome = outcome_of(self.any(name, &taken), &mut taken);
            answers.push(Answer { to: None, outcome });
        }
        let listen = if everywhere { vec![None] } else { taken.into_iter().map(Some).collect() };
        Addresses { listen, answers }
    }

    /// The address that a Gateway names, if it can have it.
    fn claim(&self, name: &ObjectName, address: IpAddr) -> Result<IpAddr, String> {
        match &self.pool {
            Pool::Machine if is_local(address) => Ok(address),
            Pool::Machine => Err("it is not an address of this machine".to_owned()),
            Pool::Shared(only) if *only == address => Ok(address),
            Pool::Shared(only) => Err(format!("{only} is the only --address given")),
            Pool::Each(pool) if !pool.contains(&address) => Err("it is not among the --address given".to_owned()),
            Pool::Each(_) if self.is_taken(name, address) => Err("another Gateway has it".to_owned()),
            Pool::Each(_) => Ok(address),
        }
    }

    /// Any address, preferably one that the Gateway has already.
    fn any(&self, name: &ObjectName, taken: &[IpAddr]) -> Result<IpAddr, String> {
        let held = self.held.get(name).map_or(&[][..], |held| &held.listen);
        let (pool, held): (Vec<IpAddr>, Vec<IpAddr>) = match &self.pool {
            Pool::Machine => (vec![outward()], Vec::new()),
            Pool::Shared(only) => (vec![*only], Vec::new()),
            Pool::Each(pool) => (pool.clone(), held.iter().flatten().copied().collect()),
        };
        let is_free = |address: &IpAddr| pool.contains(address) && !taken.contains(address) && !self.is_taken(name, *address);
        let found = held.into_iter().find(is_free).or_else(|| pool.iter().copied().find(is_free));
        found.ok_or_else(|| "no address is free for this Gateway; give one more --address".to_owned())
    }

    /// Whether an address of a pool is another Gateway's.
    fn is_taken(&self, name: &ObjectName, address: IpAddr) -> bool {
        let others = || self.held.iter().filter(|(other, _)| *other != name);
        matches!(self.pool, Pool::Each(_)) && others().any(|(_, held)| held.listen.contains(&Some(address)))
    }
}

/// What becomes of a request; what is given is taken.
fn outcome_of(found: Result<IpAddr, String>, taken: &mut Vec<IpAddr>) -> Outcome {
    match found {
        Ok(address) => {
            taken.push(address);
            Outcome::Given(Given { value: AddressValue::Ip(address), routability: None })
        }
        Err(why) => Outcome::Refused(why.into()),
    }
}

/// What an entry of `spec.addresses` asks for.
enum Asked {
    /// This address.
    This(IpAddr),
    /// Any address.
    Any,
    /// Nothing that is given out here; why.
    Nothing(&'static str),
}

fn asked(entry: &GatewayAddress) -> Asked {
    if entry.address_type != AddressType::IpAddress {
        return Asked::Nothing("only addresses of type IPAddress are given out here");
    }
    if entry.routability.as_deref().is_some_and(|scope| !scope.is_empty()) {
        return Asked::Nothing("nobody here tells from where an address can be reached");
    }
    if entry.value.is_empty() {
        return Asked::Any;
    }
    entry.value.parse().map_or(Asked::Nothing("it is not an IP address"), Asked::This)
}

/// Whether the machine has the address: then a socket can be bound to it.
fn is_local(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

/// The address by which others most likely reach this machine; asking for the way there sends nothing.
pub(crate) fn outward() -> IpAddr {
    // Addresses of nobody, outside of every network (RFC 5737, RFC 3849).
    let outside = [("0.0.0.0:0", "192.0.2.1:9"), ("[::]:0", "[2001:db8::1]:9")];
    let ask = |(from, to)| {
        let socket = UdpSocket::bind::<&str>(from).ok()?;
        socket.connect::<&str>(to).ok()?;
        socket.local_addr().ok()
    };
    outside.into_iter().find_map(ask).map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |local| local.ip())
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

    /// The addresses given, and `!` for each request that was refused.
    fn shown(addresses: &Addresses) -> String {
        let told = addresses.answers.iter().map(|answer| match &answer.outcome {
            Outcome::Given(given) => given.value.to_string(),
            Outcome::Refused(_) => "!".to_owned(),
            Outcome::Pending => "?".to_owned(),
        });
        told.collect::<Vec<_>>().join(",")
    }

    fn settle(allotment: &mut Allotment, gateways: &[std::sync::Arc<Gateway>]) -> Vec<String> {
        let told = |change| match change {
            Change::Fact(Fact::Addresses(name, Some(addresses))) => format!("{} {}", name.name(), shown(&addresses)),
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
        assert_eq!(settle(&mut allotment, &[b.clone(), a.clone(), old.clone()]), ["old !"], "nobody loses what it holds");
        assert_eq!(allotment.without().map(|(name, _)| name.name()).collect::<Vec<_>>(), ["old"]);
        assert_eq!(settle(&mut allotment, &[a, old]), ["b -", "old 127.0.0.2"]);
    }

    #[test]
    fn of_a_pool_those_who_ask_come_first() {
        let mut allotment = Allotment::new(&["127.0.0.1", "127.0.0.2"].map(|address| address.parse().unwrap()));
        let told = settle(&mut allotment, &[gateway("a", None, &[]), gateway("b", None, &["127.0.0.1", "10.9.9.9"])]);
        assert_eq!(told, ["b 127.0.0.1,!", "a 127.0.0.2"]);
    }

    #[test]
    fn one_address_is_for_all_who_do_not_ask_for_another() {
        let mut allotment = Allotment::new(&["127.0.0.1".parse().unwrap()]);
        let told = settle(
            &mut allotment,
            &[gateway("a", None, &[]), gateway("b", None, &["127.0.0.1"]), gateway("c", None, &["127.0.0.9"])],
        );
        assert_eq!(told, ["b 127.0.0.1", "c !", "a 127.0.0.1"]);
    }

    #[test]
    fn without_addresses_all_of_the_machine_are_ours() {
        let mut allotment = Allotment::new(&[]);
        settle(&mut allotment, &[gateway("a", None, &[]), gateway("b", None, &["127.0.0.1", "192.0.2.77"])]);
        assert_eq!(allotment.held[&ObjectName::new("x", "a")].listen, [None]);
        assert_eq!(shown(&allotment.held[&ObjectName::new("x", "b")]), "127.0.0.1,!");
    }

    #[test]
    fn a_request_without_a_value_gets_an_address_of_its_own() {
        let mut allotment = Allotment::new(&["127.0.0.1", "127.0.0.2"].map(|address| address.parse().unwrap()));
        let told = settle(&mut allotment, &[gateway("a", None, &["", "127.0.0.1", "", ""])]);
        assert_eq!(told, ["a 127.0.0.2,127.0.0.1,!,!"], "what is named comes first");
        let mut allotment = Allotment::new(&[]);
        settle(&mut allotment, &[gateway("a", None, &["", ""]), gateway("b", None, &["", "127.0.0.3"])]);
        let held = |name: &str| &allotment.held[&ObjectName::new("x", name)];
        assert_eq!((held("a").listen.as_slice(), shown(held("a"))), (&[None][..], format!("{},!", outward())));
        assert_eq!(shown(held("b")), format!("{},127.0.0.3", outward()));
        assert_eq!(held("b").listen, ["127.0.0.3".parse().ok(), Some(outward())]);
    }
}
