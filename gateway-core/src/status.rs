//! Desired statuses, and how they join what is stored.
//!
//! In: what a judge found, and the status an API server holds. Out: the status to write, or nothing. Entries and conditions of
//! other controllers stay as they are, byte for byte.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::condition::{Condition, ConditionType};
use crate::resource::ParentRef;

/// The status we want an object to have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Status {
    /// `GatewayClass.status`.
    GatewayClass(ClassStatus),
    /// `Gateway.status`.
    Gateway(GatewayStatus),
    /// `status` of a route of any kind.
    Route(RouteStatus),
}

/// `GatewayClass.status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClassStatus {
    /// Accepted, SupportedVersion.
    pub conditions: Vec<Condition>,
    /// Names claimed (GEP-2162), sorted.
    pub supported_features: Vec<Feature>,
}

/// One entry of `supportedFeatures`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Feature {
    /// The registered name.
    pub name: &'static str,
}

/// `Gateway.status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayStatus {
    /// What is bound.
    pub addresses: Vec<StatusAddress>,
    /// Accepted, Programmed, ResolvedRefs.
    pub conditions: Vec<Condition>,
    /// One entry per listener of the spec, in its order.
    pub listeners: Vec<ListenerStatus>,
}

/// One entry of `Gateway.status.addresses`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StatusAddress {
    /// `IPAddress` or `Hostname`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The address.
    pub value: String,
}

/// One entry of `Gateway.status.listeners`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerStatus {
    /// The listener.
    pub name: String,
    /// The route kinds it takes.
    pub supported_kinds: Vec<RouteGroupKind>,
    /// How many routes attached.
    pub attached_routes: usize,
    /// Accepted, Programmed, ResolvedRefs, Conflicted, OverlappingTLSConfig.
    pub conditions: Vec<Condition>,
}

/// A route kind a listener takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RouteGroupKind {
    /// Always `gateway.networking.k8s.io`.
    pub group: &'static str,
    /// The kind.
    pub kind: String,
}

/// `status` of a route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RouteStatus {
    /// One entry per parentRef that names a parent of ours, in the order of the spec; none where no parent is ours.
    pub parents: Vec<ParentStatus>,
    /// Whose entries of a stored status are ours.
    #[serde(skip)]
    pub controller_name: Arc<str>,
}

/// One entry of `status.parents`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentStatus {
    /// The reference as the spec holds it.
    pub parent_ref: ParentRef,
    /// Our controller name.
    pub controller_name: Arc<str>,
    /// Accepted, ResolvedRefs, PartiallyInvalid.
    pub conditions: Vec<Condition>,
}

/// The status to write over `stored`, or `None` when nothing of ours differs. `now` is an RFC 3339 time in UTC, for conditions
/// whose status flips. A part of `stored` that was judged at a later generation than ours stays (a leader that was replaced must
/// not undo its successor).
///
/// ```
/// # use gateway_core::status::{ClassStatus, Status, merge};
/// let desired = Status::GatewayClass(ClassStatus { conditions: vec![], supported_features: vec![] });
/// let written = merge(&desired, None, "2026-01-01T00:00:00Z").expect("nothing is stored yet");
/// assert_eq!(merge(&desired, Some(&written), "2026-01-02T00:00:00Z"), None);
/// ```
pub fn merge(desired: &Status, stored: Option<&Value>, now: &str) -> Option<Value> {
    let mut merged = match stored {
        Some(Value::Object(fields)) => fields.clone(),
        Some(_) | None => Map::new(),
    };
    match desired {
        Status::GatewayClass(class) => {
            if merge_conditions(&mut merged, &class.conditions, CLASS_CONDITIONS, now) {
                merged.insert("supportedFeatures".to_owned(), json(&class.supported_features));
            }
        }
        Status::Gateway(gateway) => merge_gateway(&mut merged, gateway, now),
        Status::Route(route) => merge_route(&mut merged, route, now),
    }
    let merged = Value::Object(merged);
    let is_nothing = stored.is_none() && matches!(desired, Status::Route(route) if route.parents.is_empty());
    (stored != Some(&merged) && !is_nothing).then_some(merged)
}

fn merge_gateway(merged: &mut Map<String, Value>, gateway: &GatewayStatus, now: &str) {
    if !merge_conditions(merged, &gateway.conditions, GATEWAY_CONDITIONS, now) {
        return;
    }
    merged.insert("addresses".to_owned(), json(&gateway.addresses));
    let stored = entries(merged, "listeners");
    let listeners = gateway.listeners.iter().map(|listener| {
        let known = stored.iter().find(|entry| entry.get("name").and_then(Value::as_str) == Some(&listener.name));
        let mut entry = known.and_then(Value::as_object).cloned().unwrap_or_default();
        entry.insert("name".to_owned(), Value::String(listener.name.clone()));
        entry.insert("supportedKinds".to_owned(), json(&listener.supported_kinds));
        entry.insert("attachedRoutes".to_owned(), json(&listener.attached_routes));
        merge_conditions(&mut entry, &listener.conditions, LISTENER_CONDITIONS, now);
        Value::Object(entry)
    });
    let listeners = listeners.collect();
    merged.insert("listeners".to_owned(), Value::Array(listeners));
}

/// Entries of others keep their places; ours keep theirs while the parentRef stands, go when it goes, and are appended when new.
fn merge_route(merged: &mut Map<String, Value>, route: &RouteStatus, now: &str) {
    let mut wanted: Vec<(Value, Option<&ParentStatus>)> =
        route.parents.iter().map(|parent| (json(&parent.parent_ref), Some(parent))).collect();
    let mut parents = Vec::new();
    for entry in entries(merged, "parents") {
        if entry.get("controllerName").and_then(Value::as_str) != Some(&*route.controller_name) {
            parents.push(entry);
            continue;
        }
        let same = |(parent_ref, parent): &&mut (Value, Option<&ParentStatus>)| {
            parent.is_some() && entry.get("parentRef") == Some(parent_ref)
        };
        let Some(parent) = wanted.iter_mut().find(same).and_then(|(_, parent)| parent.take()) else { continue };
        parents.push(parent_entry(entry.as_object().cloned().unwrap_or_default(), parent, now));
    }
    parents.extend(wanted.iter().filter_map(|(_, parent)| *parent).map(|parent| parent_entry(Map::new(), parent, now)));
    merged.insert("parents".to_owned(), Value::Array(parents));
}

fn parent_entry(mut entry: Map<String, Value>, parent: &ParentStatus, now: &str) -> Value {
    entry.insert("parentRef".to_owned(), json(&parent.parent_ref));
    entry.insert("controllerName".to_owned(), json(&parent.controller_name));
    merge_conditions(&mut entry, &parent.conditions, ROUTE_CONDITIONS, now);
    Value::Object(entry)
}

/// Merges conditions by type into `holder.conditions`. `own` are the types that are ours here. Returns false, and changes
/// nothing, when what is stored was judged at a later generation.
fn merge_conditions(holder: &mut Map<String, Value>, desired: &[Condition], own: &[ConditionType], now: &str) -> bool {
    let kind = |stored: &Value| stored.get("type").and_then(Value::as_str).map(str::to_owned);
    let is_own = |stored: &Value| kind(stored).is_some_and(|kind| own.iter().any(|own| own.as_str() == kind));
    let stored = entries(holder, "conditions");
    let newest =
        stored.iter().filter(|stored| is_own(stored)).filter_map(|stored| stored.get("observedGeneration")?.as_i64()).max();
    if desired.iter().any(|desired| newest > Some(desired.observed_generation)) {
        return false;
    }
    let mut conditions = Vec::with_capacity(stored.len().max(desired.len()));
    let mut written = Vec::new();
    for known in stored {
        if !is_own(&known) {
            conditions.push(known);
            continue;
        }
        let Some(wanted) = desired.iter().find(|wanted| kind(&known).as_deref() == Some(wanted.kind.as_str())) else { continue };
        if written.contains(&wanted.kind) {
            continue;
        }
        written.push(wanted.kind);
        let status = json(&wanted.status);
        let since = known.get("lastTransitionTime").filter(|_| known.get("status") == Some(&status)).and_then(Value::as_str);
        conditions.push(stamped(wanted, since.unwrap_or(now)));
    }
    conditions.extend(desired.iter().filter(|wanted| !written.contains(&wanted.kind)).map(|wanted| stamped(wanted, now)));
    holder.insert("conditions".to_owned(), Value::Array(conditions));
    true
}

fn stamped(condition: &Condition, since: &str) -> Value {
    let mut value = json(condition);
    if let Value::Object(fields) = &mut value {
        fields.insert("lastTransitionTime".to_owned(), Value::String(since.to_owned()));
    }
    value
}

fn entries(holder: &Map<String, Value>, field: &str) -> Vec<Value> {
    holder.get(field).and_then(Value::as_array).cloned().unwrap_or_default()
}

fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("statuses hold only strings, numbers and lists")
}

const CLASS_CONDITIONS: &[ConditionType] = &[ConditionType::Accepted, ConditionType::SupportedVersion];
const GATEWAY_CONDITIONS: &[ConditionType] = &[ConditionType::Accepted, ConditionType::Programmed, ConditionType::ResolvedRefs];
const LISTENER_CONDITIONS: &[ConditionType] = &[
    ConditionType::Accepted,
    ConditionType::Programmed,
    ConditionType::ResolvedRefs,
    ConditionType::Conflicted,
    ConditionType::OverlappingTlsConfig,
];
const ROUTE_CONDITIONS: &[ConditionType] =
    &[ConditionType::Accepted, ConditionType::ResolvedRefs, ConditionType::PartiallyInvalid];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::condition::{Reason, Truth};

    fn accepted(status: Truth, generation: i64) -> Condition {
        let reason = if status == Truth::True { Reason::Accepted } else { Reason::NotAllowedByListeners };
        Condition { kind: ConditionType::Accepted, status, reason, message: String::new(), observed_generation: generation }
    }

    fn route(conditions: Vec<Condition>) -> Status {
        let parent_ref: ParentRef = serde_json::from_value(json!({"name": "gw"})).unwrap();
        let parents = vec![ParentStatus { parent_ref, controller_name: "ours".into(), conditions }];
        Status::Route(RouteStatus { parents, controller_name: "ours".into() })
    }

    #[test]
    fn entries_of_other_controllers_stay_byte_for_byte() {
        let foreign = json!({"controllerName": "theirs", "parentRef": {"name": "x"}, "conditions": [{"type": "Odd", "observedGeneration": 7}]});
        let stored = json!({"parents": [foreign]});
        let merged = merge(&route(vec![accepted(Truth::True, 1)]), Some(&stored), "t1").unwrap();
        assert_eq!(merged["parents"][0], foreign);
        assert_eq!(merged["parents"][1]["conditions"][0]["lastTransitionTime"], "t1");
        let gone = Status::Route(RouteStatus { parents: Vec::new(), controller_name: "ours".into() });
        assert_eq!(merge(&gone, Some(&merged), "t2"), Some(stored.clone()), "our stale entry is removed");
        assert_eq!(merge(&gone, Some(&stored), "t2"), None);
        assert_eq!(merge(&gone, None, "t2"), None);
    }

    #[test]
    fn last_transition_time_changes_only_when_the_status_flips() {
        let first = merge(&route(vec![accepted(Truth::True, 1)]), None, "t1").unwrap();
        let bumped = merge(&route(vec![accepted(Truth::True, 2)]), Some(&first), "t2").unwrap();
        assert_eq!(bumped["parents"][0]["conditions"][0]["lastTransitionTime"], "t1");
        assert_eq!(bumped["parents"][0]["conditions"][0]["observedGeneration"], 2);
        let flipped = merge(&route(vec![accepted(Truth::False, 2)]), Some(&bumped), "t3").unwrap();
        assert_eq!(flipped["parents"][0]["conditions"][0]["lastTransitionTime"], "t3");
    }

    #[test]
    fn a_status_of_a_later_generation_is_never_overwritten() {
        let newer = merge(&route(vec![accepted(Truth::True, 5)]), None, "t1").unwrap();
        assert_eq!(merge(&route(vec![accepted(Truth::False, 4)]), Some(&newer), "t2"), None);
    }

    #[test]
    fn foreign_conditions_stay_and_own_negative_ones_go() {
        let listener = |conditions| {
            let listener = ListenerStatus { name: "http".into(), supported_kinds: vec![], attached_routes: 0, conditions };
            Status::Gateway(GatewayStatus { addresses: vec![], conditions: vec![], listeners: vec![listener] })
        };
        let stored = json!({"listeners": [
            {"name": "http", "conditions": [{"type": "Conflicted", "status": "True"}, {"type": "example.com/Odd", "status": "Maybe"}]},
            {"name": "gone", "conditions": []},
        ]});
        let merged = merge(&listener(vec![accepted(Truth::True, 1)]), Some(&stored), "t").unwrap();
        assert_eq!(merged["listeners"].as_array().unwrap().len(), 1, "one entry per listener of the spec");
        let types: Vec<_> = merged["listeners"][0]["conditions"].as_array().unwrap().iter().map(|c| c["type"].clone()).collect();
        assert_eq!(types, ["example.com/Odd", "Accepted"]);
    }
}
