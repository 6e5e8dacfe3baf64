//! The addresses of a Gateway (`GatewaySpec.Addresses`, GEP-5093).
//!
//! In: the addresses a Gateway asks for and the answers to that. Out: where it listens, which addresses it shows, why its request
//! is unsupported, why it is not programmed for want of an address. Gives out no address.
//!
//! Invariants: each entry is judged alone, and no two are satisfied by the same address; a stated value, type or routability is
//! never satisfied by another.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::condition::Reason;
use crate::resource::{AddressType, Gateway, GatewayAddress};
use crate::status::StatusAddress;
use crate::support::{Capability, Support};

use super::allotment::{AddressValue, Answer, Given, Outcome};
use super::class::installed;
use super::fault::Fault;
use super::objects::{Facts, Objects};

/// Where a Gateway listens, and what it shows of that.
#[derive(Clone, Debug, Default)]
pub(super) struct Allotted {
    /// `None` is all of the machine's addresses.
    pub(super) listen: Vec<Option<IpAddr>>,
    /// `status.addresses`.
    pub(super) shown: Vec<StatusAddress>,
    /// Whether all that is asked for is assigned; `None` where that is not told, or not known yet.
    pub(super) assigned: Option<Result<Fault, Fault>>,
}

/// The addresses of a Gateway as judged.
#[derive(Clone, Debug, Default)]
pub(super) struct Verdict {
    pub(super) allotted: Allotted,
    /// Why the Gateway is not accepted.
    pub(super) unsupported: Option<Fault>,
    /// Why it is not programmed.
    pub(super) missing: Option<Fault>,
}

/// Judges the addresses of a Gateway.
pub(super) fn addresses(gateway: &Gateway, objects: &Objects, support: Support) -> Verdict {
    let scopes = Scopes::new(&objects.facts, support);
    let stated = &gateway.spec.addresses;
    if let Some(unsupported) = unsupported(stated, scopes) {
        return Verdict { unsupported: Some(unsupported), ..Verdict::default() };
    }
    let Some(known) = objects.facts.addresses.get(&gateway.meta.name) else {
        let listen = if stated.is_empty() { vec![None] } else { Vec::new() };
        let missing =
            (!stated.is_empty()).then(|| (Reason::AddressNotAssigned, "the requested addresses are not assigned yet".to_owned()));
        return Verdict { allotted: Allotted { listen, ..Allotted::default() }, unsupported: None, missing };
    };
    let answered = answered(stated, &known.answers, scopes);
    let missing = if stated.is_empty() { nothing(&answered) } else { answered.missing(scopes) };
    let assigned = scopes.are_told.then(|| answered.assigned(stated.len()));
    let mut shown = answered.shown;
    shown.truncate(MOST_SHOWN);
    Verdict { allotted: Allotted { listen: known.listen.clone(), shown, assigned }, unsupported: None, missing }
}

/// What of a request nobody gives out here, whatever the value.
fn unsupported(stated: &[GatewayAddress], scopes: Scopes<'_>) -> Option<Fault> {
    let mut reasons = Vec::new();
    for address in stated {
        match &address.address_type {
            AddressType::IpAddress | AddressType::Hostname => {}
            AddressType::NamedAddress | AddressType::Other(_) => {
                let kind = &address.address_type;
                reasons.push(format!("addresses of type {kind} are not supported; use IPAddress or Hostname"));
            }
        }
        if !scopes.are_told && demanded(address).is_some() {
            reasons.push(format!(
                "{}: nobody here tells from where an address can be reached; leave routability out",
                Told(address)
            ));
        }
    }
    (!reasons.is_empty()).then(|| (Reason::UnsupportedAddress, reasons.join("; ")))
}

/// What the answers to a Gateway come to.
#[derive(Debug, Default)]
struct Answered {
    shown: Vec<StatusAddress>,
    satisfied: usize,
    unmet: Vec<Unmet>,
    /// Addresses that are there without being asked for (any longer).
    others: usize,
    /// What is said about an address that was not asked for and is not there.
    remark: Option<String>,
}

/// An entry that is not satisfied.
#[derive(Debug)]
struct Unmet {
    /// Whether an address that was named cannot be used.
    is_unusable: bool,
    message: String,
}

fn answered(stated: &[GatewayAddress], answers: &[Answer], scopes: Scopes<'_>) -> Answered {
    let mut found = Answered::default();
    let mut unused: Vec<&Answer> = answers.iter().collect();
    let mut taken = BTreeSet::new();
    for entry in stated {
        let at = unused.iter().position(|answer| answer.to.as_ref() == Some(entry));
        let outcome = at.map(|at| &unused.remove(at).outcome);
        let is_named = !entry.value.is_empty();
        let mut unmet =
            |is_unusable, why: &str| found.unmet.push(Unmet { is_unusable, message: format!("{}: {why}", Told(entry)) });
        match outcome {
            None | Some(Outcome::Pending) => unmet(false, "not assigned yet"),
            Some(Outcome::Refused(why)) => unmet(is_named, why),
            Some(Outcome::Given(given)) if taken.contains(&given.value) => unmet(false, "assigned to another entry already"),
            Some(Outcome::Given(given)) if !is_as_asked(entry, &given.value) => {
                unmet(is_named, &format!("{} was given instead", given.value));
            }
            Some(Outcome::Given(given)) => match scopes.satisfying(entry, given) {
                Ok(routability) => {
                    taken.insert(&given.value);
                    let value = if is_named { entry.value.clone() } else { given.value.to_string() };
                    found.shown.push(StatusAddress { kind: given.value.kind(), value, routability });
                    found.satisfied += 1;
                }
                Err(why) => unmet(false, &why),
            },
        }
    }
    for answer in unused {
        match &answer.outcome {
            Outcome::Given(given) if stated.is_empty() || !found.unmet.is_empty() => {
                if taken.insert(&given.value) {
                    let (kind, value) = (given.value.kind(), given.value.to_string());
                    found.shown.push(StatusAddress { kind, value, routability: scopes.shown(given) });
                    found.others += 1;
                }
            }
            Outcome::Given(_) => {}
            Outcome::Refused(why) => found.remark = Some(why.to_string()),
            Outcome::Pending => {}
        }
    }
    found
}

/// Whether an address is of the type and has the value that an entry states.
fn is_as_asked(entry: &GatewayAddress, value: &AddressValue) -> bool {
    match (&entry.address_type, value) {
        (AddressType::IpAddress, AddressValue::Ip(ip)) => entry.value.is_empty() || entry.value.parse() == Ok(*ip),
        (AddressType::Hostname, AddressValue::Hostname(name)) => entry.value.is_empty() || entry.value.eq_ignore_ascii_case(name),
        (AddressType::IpAddress | AddressType::Hostname | AddressType::NamedAddress | AddressType::Other(_), _) => false,
    }
}

/// Why a Gateway that asks for nothing has nothing.
fn nothing(answered: &Answered) -> Option<Fault> {
    let message = || answered.remark.clone().unwrap_or_else(|| "no address is assigned yet".to_owned());
    (answered.others == 0).then(|| (Reason::AddressNotAssigned, message()))
}

impl Answered {
    /// Why a Gateway that asks for addresses is not programmed. Where scopes are told it is programmed on what it has, unless an
    /// address that it names cannot be used.
    fn missing(&self, scopes: Scopes<'_>) -> Option<Fault> {
        let unusable = self.unmet.iter().any(|unmet| unmet.is_unusable);
        let has_some = self.satisfied + self.others > 0;
        if self.unmet.is_empty() || (scopes.are_told && has_some && !unusable) {
            return None;
        }
        let reason = if unusable { Reason::AddressNotUsable } else { Reason::AddressNotAssigned };
        Some((reason, self.unsatisfied()))
    }

    /// The condition AddressesAssigned.
    fn assigned(&self, stated: usize) -> Result<Fault, Fault> {
        if stated == 0 {
            return match nothing(self) {
                None => Ok((Reason::AddressesAssigned, "the Gateway has an address".to_owned())),
                Some((_, message)) => Err((Reason::NotAssigned, message)),
            };
        }
        if self.unmet.is_empty() {
            return Ok((Reason::AddressesAssigned, "all requested addresses are assigned".to_owned()));
        }
        let reason = if self.satisfied > 0 { Reason::PartiallyAssigned } else { Reason::NotAssigned };
        Err((reason, self.unsatisfied()))
    }

    fn unsatisfied(&self) -> String {
        let messages: Vec<&str> = self.unmet.iter().map(|unmet| &*unmet.message).collect();
        messages.join("; ")
    }
}

/// From where addresses can be reached, as far as that is told here.
#[derive(Clone, Copy, Debug)]
struct Scopes<'a> {
    facts: &'a Facts,
    /// Whether routability is told at all.
    are_told: bool,
    /// Whether `Cluster` is.
    has_cluster: bool,
}

impl<'a> Scopes<'a> {
    fn new(facts: &'a Facts, support: Support) -> Self {
        let are_told = support.has(Capability::Routability) && installed(facts).has_routability();
        Self { facts, are_told, has_cluster: are_told && support.has(Capability::RoutabilityCluster) }
    }

    /// What to show of an address that satisfies an entry, or why its routability does not.
    fn satisfying(self, entry: &GatewayAddress, given: &Given) -> Result<Option<String>, String> {
        let actual = self.actual(given);
        match demanded(entry) {
            Some(SENTINEL) => Ok(self.are_told.then(|| SENTINEL.to_owned())),
            Some(CLUSTER) if !self.has_cluster => Err("addresses of the cluster are not given out here".to_owned()),
            Some(CLUSTER) if actual != CLUSTER && self.is_outside(given) => {
                Err(format!("{} is not within the service ranges of the cluster", given.value))
            }
            Some(scope) if scope.starts_with(TESTING) => Err(format!("routability {scope} is not known here")),
            Some(scope) if scope != actual => Err(format!("no address of routability {scope} is assigned")),
            None if !matches!(actual, "" | CLUSTER) => Err(format!("{} is of routability {actual}", given.value)),
            Some(_) | None => Ok(self.shown(given)),
        }
    }

    /// The routability to show of an address: of every one where that is told, and nowhere else.
    fn shown(self, given: &Given) -> Option<String> {
        self.are_told.then(|| self.actual(given).to_owned())
    }

    /// From where an address can be reached; empty where no promise is made.
    fn actual(self, given: &Given) -> &str {
        let told = given.routability.as_deref().unwrap_or("");
        if !matches!(told, "" | CLUSTER) {
            return told;
        }
        let is_inside = match (&given.value, &self.facts.service_ranges) {
            (AddressValue::Ip(ip), Some(ranges)) => ranges.iter().any(|range| range.contains(*ip)),
            (AddressValue::Ip(_), None) | (AddressValue::Hostname(_), _) => told == CLUSTER,
        };
        if is_inside && self.has_cluster { CLUSTER } else { "" }
    }

    /// Whether an address is known to be outside the service ranges.
    fn is_outside(self, given: &Given) -> bool {
        let AddressValue::Ip(ip) = given.value else { return false };
        self.facts.service_ranges.as_ref().is_some_and(|ranges| !ranges.iter().any(|range| range.contains(ip)))
    }
}

/// The routability that an entry demands.
fn demanded(entry: &GatewayAddress) -> Option<&str> {
    entry.routability.as_deref().filter(|scope| !scope.is_empty())
}

/// An entry as messages name it.
struct Told<'a>(&'a GatewayAddress);

impl std::fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let GatewayAddress { address_type, value, routability } = self.0;
        let value = if value.is_empty() { "any" } else { value };
        match routability.as_deref() {
            None | Some("") => write!(f, "{address_type} {value}"),
            Some(scope) => write!(f, "{address_type} {value} of routability {scope}"),
        }
    }
}

/// Reachable in the cluster.
const CLUSTER: &str = "Cluster";
/// A scope that promises nothing: whoever tells scopes at all accepts it.
const SENTINEL: &str = "testing.x-k8s.io/sentinel";
/// Other scopes of this domain are never known.
const TESTING: &str = "testing.x-k8s.io/";
/// As many addresses as a status holds.
const MOST_SHOWN: usize = 16;
