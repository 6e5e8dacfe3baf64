//! Routes judged: attached, resolved, translated, placed into the tables of their listeners, and phrased.
//!
//! In: one route and what the compiler knows. Out: its `RouteState`, edits of the tables, its status. What did not change since it
//! was judged last is reused, so that a change elsewhere costs what it concerns.

use std::sync::Arc;

use crate::condition::{Condition, ConditionType, Reason};
use crate::name::{Kind, ObjectId, ObjectName};
use crate::resource::ParentRef;
use crate::snapshot::matching::Match;
use crate::snapshot::{ListenerId, Place, Writer};
use crate::status::{ParentStatus, RouteStatus};

use super::attach::{self, Surface, Verdict};
use super::gateway::{Fault, GatewayState};
use super::references::References;
use super::route::Route;
use super::status::condition;
use super::translate::http::Translated;
use super::violation;

/// A route as judged.
#[derive(Debug)]
pub(super) struct RouteState {
    pub(super) route: Route,
    pub(super) references: References,
    pub(super) translated: Arc<Translated>,
    /// Listeners that carry it with their hostnames, sorted, each once.
    pub(super) carried: Vec<(ListenerId, Option<Arc<str>>)>,
    /// Where its matches stand, sorted, each once.
    pub(super) places: Vec<Place>,
    /// The Gateways it names, ours or not, sorted.
    pub(super) gateways: Vec<ObjectName>,
}

impl RouteState {
    /// The listeners that carry it, sorted, each once.
    pub(super) fn attached(&self) -> Vec<ListenerId> {
        self.carried.iter().map(|(listener, _)| listener.clone()).collect()
    }
}

/// What attaching a route gave.
#[derive(Debug, Default)]
pub(super) struct Attachment {
    /// Listeners that carry it, sorted, each once.
    pub(super) listeners: Vec<(ListenerId, Option<Arc<str>>)>,
    pub(super) parents: Vec<(ParentRef, Verdict)>,
    /// What no status can say.
    pub(super) problems: Vec<String>,
}

/// Attaches a route to the Gateways it names. `gateway` finds those that are ours.
pub(super) fn attach_route<'g>(
    route: &Route,
    labels: &std::collections::BTreeMap<String, String>,
    gateway: impl Fn(&ObjectName) -> Option<&'g GatewayState>,
    is_known: impl Fn(&ObjectName) -> bool,
) -> Attachment {
    let mut attachment = Attachment::default();
    for parent in route.parents() {
        if !parent.is_gateway() {
            attachment
                .problems
                .push(format!("parentRef {} {}: parents of this kind are not served here", parent.kind, parent.name));
            continue;
        }
        let name = parent.target(route.namespace());
        let Some(state) = gateway(&name) else {
            if !is_known(&name) {
                attachment.problems.push(format!("parentRef {name}: there is no such Gateway"));
            }
            continue;
        };
        let surfaces: Vec<&Surface> = state.listeners.iter().map(|listener| &listener.surface).collect();
        let verdict = attach::attach(route, parent, &name, &surfaces, labels);
        if let Verdict::Attached { listeners, .. } = &verdict {
            attachment.listeners.extend(listeners.iter().map(|&at| {
                let surface = surfaces[at];
                let parent = ObjectId::new(Kind::Gateway, name.clone());
                (ListenerId { parent, name: surface.name.clone() }, surface.hostname.clone())
            }));
        }
        attachment.parents.push((parent.clone(), verdict));
    }
    if route.asks_for_default_gateways() {
        let say = "spec.useDefaultGateways has no effect: name a Gateway in spec.parentRefs";
        attachment.problems.push(say.to_owned());
    } else if route.parents().is_empty() {
        attachment.problems.push("spec.parentRefs is empty, so no Gateway serves it".to_owned());
    }
    attachment.listeners.sort_unstable();
    attachment.listeners.dedup();
    attachment
}

/// Every place where a route's matches stand, with the match.
pub(super) fn places(
    route: &Route,
    translated: &Translated,
    listeners: &[(ListenerId, Option<Arc<str>>)],
) -> Vec<(Place, Arc<Match>)> {
    let hosts: Vec<Option<Arc<str>>> = match route.hostnames() {
        [] => vec![None],
        hosts => hosts.iter().map(|host| Some(host.to_ascii_lowercase().into())).collect(),
    };
    let mut places = Vec::with_capacity(listeners.len() * hosts.len() * translated.matches.len());
    for (listener, name) in listeners {
        for host in &hosts {
            if host.as_ref().is_some_and(|host| !attach::intersects(name.as_deref(), host)) {
                continue;
            }
            places.extend(translated.matches.iter().map(|found| {
                let place = Place { listener: listener.clone(), host: host.clone(), path: found.path.clone() };
                (place, found.clone())
            }));
        }
    }
    places
}

/// Moves a route's matches from their old places to the new ones.
pub(super) fn replace(writer: &mut Writer, id: &ObjectId, old: &[Place], new: Vec<(Place, Arc<Match>)>) -> Vec<Place> {
    for place in old {
        writer.remove(place.clone(), id);
    }
    let mut places = Vec::with_capacity(new.len());
    for (place, found) in new {
        places.push(place.clone());
        writer.add(place, found);
    }
    places.sort_unstable();
    places.dedup();
    places
}

/// Why the route as a whole is not accepted, though listeners would take it.
pub(super) fn invalid(route: &Route, translated: &Translated) -> Option<Fault> {
    if let Some(fault) = violation::of_route(route.meta()) {
        return Some(fault);
    }
    if translated.rules == 0 || translated.dropped.len() < translated.rules {
        return None;
    }
    let (index, (reason, why)) = translated.dropped.first()?;
    Some((*reason, format!("no rule is valid; rule {index}: {why}")))
}

/// The status of a route.
pub(super) fn status(
    route: &Route,
    controller_name: &Arc<str>,
    attachment: &Attachment,
    references: &References,
    translated: &Translated,
) -> RouteStatus {
    let generation = route.meta().generation;
    let invalid = invalid(route, translated);
    let parents: Vec<ParentStatus> = attachment
        .parents
        .iter()
        .map(|(parent, verdict)| {
            let mut conditions = Vec::with_capacity(3);
            let accepted = match (verdict, &invalid) {
                (Verdict::Refused { reason, message }, _) => Err((*reason, message.clone())),
                (Verdict::Attached { .. }, Some(fault)) => Err(fault.clone()),
                (Verdict::Attached { message, .. }, None) => Ok((Reason::Accepted, message.clone())),
            };
            let is_accepted = accepted.is_ok();
            conditions.push(condition(ConditionType::Accepted, accepted, generation));
            conditions.push(condition(ConditionType::ResolvedRefs, resolved(references), generation));
            if is_accepted && let Some(partially) = dropped(translated, generation) {
                conditions.push(partially);
            }
            ParentStatus { parent_ref: parent.clone(), controller_name: controller_name.clone(), conditions }
        })
        .collect();
    RouteStatus { parents, controller_name: controller_name.clone() }
}

fn resolved(references: &References) -> Result<Fault, Fault> {
    references.fault.clone().map_or_else(|| Ok((Reason::ResolvedRefs, "all references are resolved".to_owned())), Err)
}

fn dropped(translated: &Translated, generation: i64) -> Option<Condition> {
    let (_, (reason, _)) = translated.dropped.first()?;
    let rules: Vec<String> = translated.dropped.iter().map(|(index, (_, why))| format!("rule {index}: {why}")).collect();
    let message = format!("Dropped Rule: {}; requests that match it are answered 500", rules.join("; "));
    Some(condition(ConditionType::PartiallyInvalid, Ok((*reason, message)), generation))
}
