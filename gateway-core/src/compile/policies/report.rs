//! What is said of a policy, to each Gateway that leads to what it targets (`PolicyStatus`, GEP-713).
//!
//! In: a policy as judged, its rivals, the objects, the ways from Gateways. Out: its ancestors with their conditions, and those for
//! which the list has no room.
//!
//! Invariants: a policy is accepted for a Gateway while it has its say in anything that this Gateway leads to.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use crate::condition::{ConditionType, Reason};
use crate::name::{Kind, ObjectId, ObjectName};
use crate::status::{AncestorRef, AncestorStatus, PolicyStatus};

use super::super::fault::Fault;
use super::super::objects::Objects;
use super::super::reach::Reach;
use super::super::status::condition;
use super::{Asks, Policies, Policy, TARGETS, Target};

/// The Gateways that lead to what a policy targets.
#[derive(Debug, Default)]
pub(in crate::compile) struct Ancestors {
    /// By name, as far as the list has room.
    pub(in crate::compile) told: Vec<ObjectName>,
    /// The others.
    pub(in crate::compile) barred: Vec<ObjectName>,
}

/// What the list of ancestors in a stored status holds.
#[derive(Clone, Debug, Default)]
pub(in crate::compile) struct Held {
    /// How many entries of other controllers.
    others: usize,
    /// The Gateways in our entries.
    own: BTreeSet<ObjectName>,
}

impl Held {
    pub(in crate::compile) fn of(stored: Option<&Value>, controller_name: &str) -> Self {
        let mut held = Self::default();
        for entry in stored.and_then(|stored| stored.get("ancestors")).and_then(Value::as_array).into_iter().flatten() {
            if entry.get("controllerName").and_then(Value::as_str) != Some(controller_name) {
                held.others += 1;
                continue;
            }
            let text = |field: &str| entry.get("ancestorRef")?.get(field)?.as_str();
            held.own.extend(text("namespace").zip(text("name")).map(|(namespace, name)| ObjectName::new(namespace, name)));
        }
        held
    }

    /// Those of all Gateways, by name, for which there is room where the list holds this many entries.
    pub(super) fn fit(&self, most: usize, all: Vec<ObjectName>) -> Ancestors {
        let room = most.saturating_sub(self.others);
        let mut told = all;
        if told.len() <= room {
            return Ancestors { told, barred: Vec::new() };
        }
        told.sort_by_key(|gateway| !self.own.contains(gateway));
        let mut barred = told.split_off(room);
        told.sort_unstable();
        barred.sort_unstable();
        Ancestors { told, barred }
    }
}

/// The ancestors of a policy: the Gateways that lead to what it targets. Where not all have room, those that have an entry keep it.
pub(in crate::compile) fn ancestors(policy: &Policy, reach: &Reach) -> Ancestors {
    let all: BTreeSet<&ObjectName> = policy.targets.iter().flat_map(|target| reach.gateways(&target.object)).collect();
    policy.held.fit(policy.room(), all.into_iter().cloned().collect())
}

/// The status of a policy for these ancestors.
pub(in crate::compile) fn status(
    id: &ObjectId,
    policy: &Policy,
    ancestors: &Ancestors,
    policies: &Policies,
    objects: &Objects,
    reach: &Reach,
    controller_name: &Arc<str>,
) -> PolicyStatus {
    let standings: Vec<(&Target, Result<(), Fault>)> =
        policy.targets.iter().map(|target| (target, standing(id, target, policies, objects))).collect();
    let told = |gateway: &ObjectName| {
        // What nobody can lead to is told to all.
        let is_amiss = |standing: &Result<(), Fault>| {
            standing.as_ref().is_err_and(|(reason, _)| matches!(reason, Reason::TargetNotFound | Reason::Invalid))
        };
        let concerned = standings.iter().filter(|(target, standing)| is_amiss(standing) || reach.leads(gateway, &target.object));
        entry(gateway, policy, accepted(policy, concerned.map(|(_, standing)| standing)), controller_name)
    };
    PolicyStatus {
        ancestors: ancestors.told.iter().map(told).collect(),
        left_out: ancestors.barred.clone(),
        controller_name: Arc::clone(controller_name),
        limit: policy.room(),
    }
}

/// What a person should know that no condition says.
pub(in crate::compile) fn remarks(policy: &Policy, told: &[ObjectName], barred: &[ObjectName], objects: &Objects) -> Vec<String> {
    let mut remarks = policy.remarks.clone();
    if told.is_empty() && barred.is_empty() {
        let is_own = matches!(policy.asks, Asks::Own(_));
        let missing = policy.targets.iter().filter(|_| !is_own).filter_map(|target| exists(target, objects).err());
        remarks.extend(missing.map(|(_, message)| message));
        remarks.extend(policy.fault.as_ref().map(|(_, message)| message.clone()));
        remarks.push("no Gateway leads to what it targets, so its status is empty".to_owned());
    }
    remarks.extend(barred.iter().map(|gateway| no_room(gateway, ", and requests to its targets are refused", policy.room())));
    remarks
}

/// What is said of a policy to one Gateway.
pub(super) fn entry(
    gateway: &ObjectName,
    policy: &Policy,
    accepted: Result<Fault, Fault>,
    controller_name: &Arc<str>,
) -> AncestorStatus {
    let mut conditions = vec![condition(ConditionType::Accepted, accepted, policy.generation)];
    if let Some(resolved) = &policy.resolved {
        let good = |()| (Reason::ResolvedRefs, "all references are resolved".to_owned());
        conditions.push(condition(ConditionType::ResolvedRefs, resolved.clone().map(good), policy.generation));
    }
    AncestorStatus { ancestor_ref: AncestorRef::gateway(gateway), controller_name: Arc::clone(controller_name), conditions }
}

/// That a policy is not in force for a Gateway for which its list of ancestors has no room, and what follows.
pub(super) fn no_room(gateway: &ObjectName, consequence: &str, room: usize) -> String {
    format!(
        "its status has no room for Gateway {gateway}, so it is not in force there{consequence}; \
         a list holds {room} entries, those of other controllers included"
    )
}

fn accepted<'s>(policy: &Policy, standings: impl Iterator<Item = &'s Result<(), Fault>>) -> Result<Fault, Fault> {
    let (mut has_say, mut faults) = (false, Vec::new());
    for standing in standings {
        match standing {
            Ok(()) => has_say = true,
            Err(fault) => faults.push(fault),
        }
    }
    let told: Vec<&str> = faults.iter().map(|(_, message)| &**message).collect();
    if !has_say && let Some((reason, _)) = faults.iter().min_by_key(|(reason, _)| *reason != Reason::Conflicted) {
        return Err((*reason, told.join("; ")));
    }
    if let Some(fault) = &policy.fault {
        return Err(fault.clone());
    }
    let message = match told.is_empty() {
        true => "it is in force".to_owned(),
        false => format!("it is in force, but not everywhere: {}", told.join("; ")),
    };
    Ok((Reason::Accepted, message))
}

/// Whether a policy has its say in one of its targets.
fn standing(id: &ObjectId, target: &Target, policies: &Policies, objects: &Objects) -> Result<(), Fault> {
    // An XBackend speaks for itself.
    if id.kind != Kind::XBackend {
        exists(target, objects)?;
    }
    match policies.first(&id.kind, target) {
        Some(first) if first == id => Ok(()),
        Some(first) => Err((Reason::Conflicted, format!("{first} targets {} too and goes first", named(target)))),
        None => Ok(()),
    }
}

fn exists(target: &Target, objects: &Objects) -> Result<(), Fault> {
    if !matches!(target.object.kind, Kind::Service | Kind::ServiceImport) {
        return Err((Reason::Invalid, format!("{} is no target: {TARGETS}", target.object)));
    }
    let missing = |what: String| Err((Reason::TargetNotFound, what));
    let Some(ports) = objects.ports(&target.object) else {
        return missing(format!("{} does not exist", target.object));
    };
    match &target.section {
        Some(section) if !ports.iter().any(|port| *port.name == **section) => {
            let names: Vec<&str> = ports.iter().map(|port| &*port.name).filter(|name| !name.is_empty()).collect();
            let names = if names.is_empty() {
                "none of its ports has a name".to_owned()
            } else {
                format!("its ports are named {}", names.join(", "))
            };
            missing(format!("{} has no port named {section}; {names}", target.object))
        }
        Some(_) | None => Ok(()),
    }
}

fn named(target: &Target) -> String {
    match &target.section {
        Some(section) => format!("port {section} of {}", target.object),
        None => target.object.to_string(),
    }
}

/// How many entries `status.ancestors` of a policy may have.
pub(super) const MOST_ANCESTORS: usize = 16;
/// The same of an XBackend.
pub(super) const MOST_OF_XBACKENDS: usize = 32;
