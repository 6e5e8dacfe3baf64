//! Routes judged: attached, resolved, translated, placed into the tables of their listeners, and phrased.
//!
//! In: one route and what the compiler knows. Out: its `RouteState`, edits of the tables, its status. What did not change since it
//! was judged last is reused, so that a change elsewhere costs what it concerns.

use std::sync::Arc;

use crate::condition::{Condition, ConditionType, Reason};
use crate::name::{ObjectId, ObjectName};
use crate::snapshot::matching::{Age, Match};
use crate::snapshot::{ListenerId, Place, Writer};
use crate::status::{ParentStatus, RouteStatus};

use super::age::age;
use super::attach::{self, Verdict};
use super::attachment::{Attachment, Parent};
use super::counts::Carrying;
use super::fault::Fault;
use super::references::References;
use super::rivals::Stand;
use super::route::Route;
use super::status::condition;
use super::translate::{Dropped, Translated};
use super::violation;

/// A route as judged.
#[derive(Debug)]
pub(super) struct RouteState {
    pub(super) route: Route,
    pub(super) references: Arc<References>,
    pub(super) translated: Arc<Translated>,
    /// Whether it is one that listeners may accept.
    pub(super) is_valid: bool,
    /// Listeners on which its matches stand, with their hostnames, sorted, each once.
    pub(super) stands_on: Vec<Carrying>,
    /// The Gateways of the listeners that carry it, sorted, each once.
    pub(super) carriers: Vec<ObjectName>,
    /// Where its matches stand, sorted, each once.
    pub(super) places: Vec<Place>,
    /// Where it contends with others for all there is; empty for kinds that do not.
    pub(super) contends: Vec<Stand>,
    /// The Gateways and ListenerSets that it names or is offered to, ours or not, sorted.
    pub(super) holders: Vec<ObjectId>,
    /// The Gateways behind those, sorted.
    pub(super) gateways: Vec<ObjectName>,
}

impl RouteState {
    /// Whether the books say the same of another state of the route. One that was resolved anew may refer to other objects.
    pub(super) fn is_booked_like(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.references, &other.references)
            && self.is_valid == other.is_valid
            && self.stands_on == other.stands_on
            && self.carriers == other.carriers
            && self.contends == other.contends
            && self.holders == other.holders
            && self.gateways == other.gateways
    }

    /// The listeners that carry the route: which count it as attached, and whose traffic it may forward.
    pub(super) fn carried(state: Option<&Self>) -> &[Carrying] {
        state.filter(|state| state.is_valid).map_or(&[], |state| &state.stands_on)
    }

    /// The age of a route, and where it contends.
    pub(super) fn contention(state: Option<&Self>) -> (Age, &[Stand]) {
        match state {
            Some(state) => (age(state.route.meta()), &state.contends),
            None => (Age::default(), &[]),
        }
    }
}

/// Of the listeners that would carry a route, those on which its matches stand. Of a route that is not valid they fail what they match,
/// so that no request falls to a route that was meant for less; bytes know of no such difference, and go to the route that is next.
pub(super) fn stands_on(route: &Route, listeners: &[Carrying], is_valid: bool) -> Vec<Carrying> {
    let stands = match route {
        Route::Http(_) | Route::Grpc(_) => true,
        Route::Tls(_) | Route::Tcp(_) | Route::Udp(_) => is_valid,
    };
    if stands { listeners.to_vec() } else { Vec::new() }
}

/// Where a route stands: on its listeners, under those of its hostnames that they have hosts in common with.
pub(super) fn stands(route: &Route, listeners: &[Carrying]) -> Vec<Stand> {
    let hosts: Vec<Option<Arc<str>>> = match route.hostnames() {
        [] => vec![None],
        hosts => hosts.iter().map(|host| Some(host.to_ascii_lowercase().into())).collect(),
    };
    let mut stands = Vec::with_capacity(listeners.len() * hosts.len());
    for (listener, name) in listeners {
        let common = |host: &&Option<Arc<str>>| host.as_ref().is_none_or(|host| attach::intersects(name.as_deref(), host));
        stands.extend(hosts.iter().filter(common).map(|host| Stand { listener: listener.clone(), host: host.clone() }));
    }
    stands
}

/// Where a route contends with others for all there is, sorted, each once.
pub(super) fn contends(route: &Route, listeners: &[Carrying]) -> Vec<Stand> {
    let mut stands = match route {
        Route::Http(_) | Route::Grpc(_) => return Vec::new(),
        Route::Tls(_) | Route::Tcp(_) | Route::Udp(_) => stands(route, listeners),
    };
    stands.sort_unstable();
    stands.dedup();
    stands
}

/// Every place where a route's matches stand, with the match.
pub(super) fn places(route: &Route, translated: &Translated, listeners: &[Carrying]) -> Vec<(Place, Arc<Match>)> {
    let stands = stands(route, listeners);
    let mut places = Vec::with_capacity(stands.len() * translated.matches.len());
    for Stand { listener, host } in stands {
        places.extend(translated.matches.iter().map(|found| {
            let place = Place { listener: listener.clone(), host: host.clone(), path: found.path.clone() };
            (place, found.clone())
        }));
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
    let fate = fate(route, translated).map_or_else(String::new, |fate| format!("; {fate}"));
    if let Some((reason, why)) = violation::of_route(route.meta()) {
        return Some((reason, format!("{why}{fate}")));
    }
    if translated.rules == 0 || translated.dropped.len() < translated.rules {
        return None;
    }
    let Dropped { index, fault: (reason, why), .. } = translated.dropped.first()?;
    Some((*reason, format!("no rule is valid; rule {index}: {why}{fate}")))
}

/// The status of a route. `idle` tells of listeners where another route takes all.
pub(super) fn status(
    route: &Route,
    controller_name: &Arc<str>,
    attachment: &Attachment,
    references: &References,
    translated: &Translated,
    idle: impl Fn(&[ListenerId]) -> Option<String>,
) -> RouteStatus {
    let generation = route.meta().generation;
    let invalid = invalid(route, translated);
    let parents: Vec<ParentStatus> = attachment
        .parents
        .iter()
        .map(|Parent { reference, verdict, listeners }| {
            let mut conditions = Vec::with_capacity(3);
            let accepted = match (verdict, &invalid) {
                (Verdict::Refused { reason, message }, _) => Err((*reason, message.clone())),
                (Verdict::Attached { .. }, Some(fault)) => Err(fault.clone()),
                (Verdict::Attached { message, .. }, None) => {
                    let idle = idle(listeners).map_or_else(String::new, |idle| format!("; {idle}"));
                    Ok((Reason::Accepted, format!("{message}{idle}")))
                }
            };
            let is_accepted = accepted.is_ok();
            conditions.push(condition(ConditionType::Accepted, accepted, generation));
            conditions.push(condition(ConditionType::ResolvedRefs, resolved(references), generation));
            if is_accepted && let Some(partially) = dropped(route, translated, generation) {
                conditions.push(partially);
            }
            ParentStatus { parent_ref: reference.clone(), controller_name: controller_name.clone(), conditions }
        })
        .collect();
    RouteStatus { parents, controller_name: controller_name.clone() }
}

fn resolved(references: &References) -> Result<Fault, Fault> {
    references.fault.clone().map_or_else(|| Ok((Reason::ResolvedRefs, "all references are resolved".to_owned())), Err)
}

fn dropped(route: &Route, translated: &Translated, generation: i64) -> Option<Condition> {
    let Dropped { fault: (reason, _), .. } = translated.dropped.first()?;
    let rules = translated.dropped.iter().map(|Dropped { index, fault: (_, why), .. }| format!("rule {index}: {why}"));
    let mut parts: Vec<String> = rules.collect();
    match route {
        Route::Http(_) | Route::Grpc(_) => parts.extend(fate(route, translated).map(str::to_owned)),
        Route::Tls(_) | Route::Tcp(_) | Route::Udp(_) => parts.push("the first takes all".to_owned()),
    }
    let message = format!("Dropped Rule: {}", parts.join("; "));
    Some(condition(ConditionType::PartiallyInvalid, Ok((*reason, message)), generation))
}

/// What becomes of requests that match rules which were dropped; nothing where none of their matches is left: that says itself where
/// requests go.
fn fate(route: &Route, translated: &Translated) -> Option<&'static str> {
    if !translated.dropped.iter().any(|rule| rule.has_matches) {
        return None;
    }
    match route {
        Route::Http(_) => Some("requests that its matches take are answered 500"),
        Route::Grpc(_) => Some("calls that its matches take are answered UNAVAILABLE"),
        Route::Tls(_) | Route::Tcp(_) | Route::Udp(_) => None,
    }
}
