//! Desired statuses, and how they join what is stored.
//!
//! In: what a judge found, and the status an API server holds. Out: the status to write, or nothing. Entries and conditions of
//! other controllers stay as they are, byte for byte.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::condition::{Condition, ConditionType};
use crate::name::{GATEWAY_GROUP, ObjectName};
use crate::resource::ParentRef;

/// The status we want an object to have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Status {
    /// `GatewayClass.status`.
    GatewayClass(ClassStatus),
    /// `Gateway.status`.
    Gateway(GatewayStatus),
    /// `ListenerSet.status`.
    ListenerSet(ListenerSetStatus),
    /// `status` of a route of any kind.
    Route(Arc<RouteStatus>),
    /// `status` of a policy of any kind, and of an XBackend.
    Policy(PolicyStatus),
}

/// What a list of conditions in a status is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// The object as a whole.
    Whole,
    /// The listener of this name.
    Listener(&'a str),
    /// A route's place at this parent.
    Parent(&'a ParentRef),
    /// A policy's part at this Gateway.
    Ancestor(&'a AncestorRef),
}

impl fmt::Display for Part<'_> {
    /// Nothing for the whole.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => Ok(()),
            Self::Listener(name) => write!(f, "listener {name}"),
            Self::Parent(parent) => {
                write!(f, "{} ", parent.kind)?;
                if let Some(namespace) = &parent.namespace {
                    write!(f, "{namespace}/")?;
                }
                f.write_str(&parent.name)?;
                if let Some(section) = &parent.section_name {
                    write!(f, " listener {section}")?;
                }
                parent.port.map_or(Ok(()), |port| write!(f, " port {port}"))
            }
            Self::Ancestor(AncestorRef { kind, namespace, name, .. }) => write!(f, "{kind} {namespace}/{name}"),
        }
    }
}

impl Status {
    /// Every list of conditions, the object's own first.
    pub fn parts(&self) -> Vec<(Part<'_>, &[Condition])> {
        match self {
            Self::GatewayClass(class) => vec![(Part::Whole, &class.conditions)],
            Self::Gateway(gateway) => with_listeners(&gateway.conditions, &gateway.listeners),
            Self::ListenerSet(set) => with_listeners(&set.conditions, &set.listeners),
            Self::Route(route) => {
                route.parents.iter().map(|parent| (Part::Parent(&parent.parent_ref), &*parent.conditions)).collect()
            }
            Self::Policy(policy) => {
                policy.ancestors.iter().map(|one| (Part::Ancestor(&one.ancestor_ref), &*one.conditions)).collect()
            }
        }
    }

    /// The statuses of the listeners, for kinds that have any.
    pub fn listeners(&self) -> &[ListenerStatus] {
        match self {
            Self::Gateway(gateway) => &gateway.listeners,
            Self::ListenerSet(set) => &set.listeners,
            Self::GatewayClass(_) | Self::Route(_) | Self::Policy(_) => &[],
        }
    }
}

fn with_listeners<'a>(own: &'a [Condition], listeners: &'a [ListenerStatus]) -> Vec<(Part<'a>, &'a [Condition])> {
    let listeners = listeners.iter().map(|listener| (Part::Listener(&listener.name), &*listener.conditions));
    [(Part::Whole, own)].into_iter().chain(listeners).collect()
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
    /// How many ListenerSets are accepted (GEP-1713).
    pub attached_listener_sets: usize,
    /// Accepted, Programmed, ResolvedRefs and those that are present only while true.
    pub conditions: Vec<Condition>,
    /// One entry per listener of the spec, in its order.
    pub listeners: Vec<ListenerStatus>,
}

/// `ListenerSet.status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerSetStatus {
    /// Accepted, Programmed.
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
    /// Its scope; `None` where scopes are not told (GEP-5093).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routability: Option<String>,
}

/// One entry of `status.listeners` of a Gateway or ListenerSet.
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

/// `status` of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyStatus {
    /// One entry per ancestor of ours, by name: Gateways whose routes the policy has a say in, or that it targets.
    pub ancestors: Vec<AncestorStatus>,
    /// Gateways for which the list has no room, by name: the policy is not in force there.
    #[serde(skip)]
    pub left_out: Vec<ObjectName>,
    /// Whose entries of a stored status are ours.
    #[serde(skip)]
    pub controller_name: Arc<str>,
    /// How many entries the list may hold, those of others included.
    #[serde(skip)]
    pub limit: usize,
}

/// One entry of `status.ancestors`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AncestorStatus {
    /// The Gateway.
    pub ancestor_ref: AncestorRef,
    /// Our controller name.
    pub controller_name: Arc<str>,
    /// Accepted, ResolvedRefs.
    pub conditions: Vec<Condition>,
}

/// `ancestorRef`: always a Gateway here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AncestorRef {
    /// Always `gateway.networking.k8s.io`.
    pub group: &'static str,
    /// Always `Gateway`.
    pub kind: &'static str,
    /// The Gateway's namespace.
    pub namespace: String,
    /// The Gateway's name.
    pub name: String,
}

impl AncestorRef {
    /// A Gateway as an ancestor.
    pub fn gateway(name: &ObjectName) -> Self {
        Self { group: GATEWAY_GROUP, kind: "Gateway", namespace: name.namespace().to_owned(), name: name.name().to_owned() }
    }
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
        Status::ListenerSet(set) => {
            if merge_conditions(&mut merged, &set.conditions, LISTENER_SET_CONDITIONS, now) {
                merge_listeners(&mut merged, &set.listeners, now);
            }
        }
        Status::Route(route) => {
            let wanted = route.parents.iter().map(|parent| Entry {
                key: json(&parent.parent_ref),
                controller_name: &parent.controller_name,
                conditions: &parent.conditions,
            });
            merge_entries(&mut merged, &ROUTE_ENTRIES, &route.controller_name, wanted.collect(), MOST_PARENTS, now);
        }
        Status::Policy(policy) => {
            let wanted = policy.ancestors.iter().map(|ancestor| Entry {
                key: json(&ancestor.ancestor_ref),
                controller_name: &ancestor.controller_name,
                conditions: &ancestor.conditions,
            });
            merge_entries(&mut merged, &POLICY_ENTRIES, &policy.controller_name, wanted.collect(), policy.limit, now);
        }
    }
    let merged = Value::Object(merged);
    let is_nothing = stored.is_none()
        && match desired {
            Status::Route(route) => route.parents.is_empty(),
            Status::Policy(policy) => policy.ancestors.is_empty(),
            Status::GatewayClass(_) | Status::Gateway(_) | Status::ListenerSet(_) => false,
        };
    (stored != Some(&merged) && !is_nothing).then_some(merged)
}

fn merge_gateway(merged: &mut Map<String, Value>, gateway: &GatewayStatus, now: &str) {
    if !merge_conditions(merged, &gateway.conditions, GATEWAY_CONDITIONS, now) {
        return;
    }
    merged.insert("addresses".to_owned(), json(&gateway.addresses));
    merged.insert("attachedListenerSets".to_owned(), json(&gateway.attached_listener_sets));
    merge_listeners(merged, &gateway.listeners, now);
}

/// The most conditions of an object, or of a part of it, that the API's schema takes.
const MOST_CONDITIONS: usize = 8;
/// The most entries of a route's status (`RouteStatus.Parents`).
const MOST_PARENTS: usize = 32;

/// One entry per listener wanted, each joined with the stored one of its name.
fn merge_listeners(merged: &mut Map<String, Value>, wanted: &[ListenerStatus], now: &str) {
    let stored = entries(merged, "listeners");
    let listeners = wanted.iter().map(|listener| {
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

/// A list in a status that controllers share, one entry per controller and key.
struct SharedList {
    field: &'static str,
    key: &'static str,
    own: &'static [ConditionType],
}

/// One entry that we want in such a list.
struct Entry<'a> {
    key: Value,
    controller_name: &'a Arc<str>,
    conditions: &'a [Condition],
}

/// Entries of others keep their places; ours keep theirs while their key is wanted, go when it is not, and are appended when new,
/// as far as the list has room.
fn merge_entries(
    merged: &mut Map<String, Value>,
    list: &SharedList,
    controller_name: &str,
    wanted: Vec<Entry<'_>>,
    limit: usize,
    now: &str,
) {
    let mut wanted: Vec<Option<Entry<'_>>> = wanted.into_iter().map(Some).collect();
    let mut next = Vec::new();
    for stored in entries(merged, list.field) {
        if stored.get("controllerName").and_then(Value::as_str) != Some(controller_name) {
            next.push(stored);
            continue;
        }
        let same = |slot: &&mut Option<Entry<'_>>| slot.as_ref().is_some_and(|entry| stored.get(list.key) == Some(&entry.key));
        let Some(entry) = wanted.iter_mut().find(same).and_then(Option::take) else { continue };
        next.push(merged_entry(stored.as_object().cloned().unwrap_or_default(), list, entry, now));
    }
    let room = limit.saturating_sub(next.len());
    next.extend(wanted.into_iter().flatten().take(room).map(|entry| merged_entry(Map::new(), list, entry, now)));
    merged.insert(list.field.to_owned(), Value::Array(next));
}

fn merged_entry(mut stored: Map<String, Value>, list: &SharedList, entry: Entry<'_>, now: &str) -> Value {
    stored.insert(list.key.to_owned(), entry.key);
    stored.insert("controllerName".to_owned(), json(entry.controller_name));
    merge_conditions(&mut stored, entry.conditions, list.own, now);
    Value::Object(stored)
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
    // A list that is too long is refused whole, so that nothing of ours would be told; what others wrote is theirs to shorten.
    let foreign = stored.iter().filter(|stored| !is_own(stored)).count();
    let desired = &desired[..desired.len().min(MOST_CONDITIONS.saturating_sub(foreign))];
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
const GATEWAY_CONDITIONS: &[ConditionType] = &[
    ConditionType::Accepted,
    ConditionType::Programmed,
    ConditionType::ResolvedRefs,
    ConditionType::AddressesAssigned,
    ConditionType::InsecureFrontendValidationMode,
    ConditionType::DefaultGateway,
];
const LISTENER_SET_CONDITIONS: &[ConditionType] = &[ConditionType::Accepted, ConditionType::Programmed];
const LISTENER_CONDITIONS: &[ConditionType] = &[
    ConditionType::Accepted,
    ConditionType::Programmed,
    ConditionType::ResolvedRefs,
    ConditionType::Conflicted,
    ConditionType::OverlappingTlsConfig,
];
const ROUTE_ENTRIES: SharedList = SharedList {
    field: "parents",
    key: "parentRef",
    own: &[ConditionType::Accepted, ConditionType::ResolvedRefs, ConditionType::PartiallyInvalid],
};
const POLICY_ENTRIES: SharedList =
    SharedList { field: "ancestors", key: "ancestorRef", own: &[ConditionType::Accepted, ConditionType::ResolvedRefs] };

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::condition::{Reason, Truth};

    fn accepted(status: Truth, generation: i64) -> Condition {
        let reason = if status == Truth::True { Reason::Accepted } else { Reason::NotAllowedByListeners };
        Condition { kind: ConditionType::Accepted, status, reason, message: String::new(), observed_generation: generation }
    }

    #[test]
    fn no_list_grows_longer_than_the_schema_takes_and_what_others_wrote_stays() {
        let foreign: Vec<Value> = (0..6).map(|n| json!({"type": format!("example.com/{n}"), "status": "True"})).collect();
        let kinds = [ConditionType::Accepted, ConditionType::Programmed, ConditionType::ResolvedRefs];
        let own = kinds.map(|kind| Condition { kind, ..accepted(Truth::True, 1) });
        let mut holder = Map::from_iter([("conditions".to_owned(), json!(foreign))]);
        assert!(merge_conditions(&mut holder, &own, &kinds, "2026-01-01T00:00:00Z"));
        let conditions = holder["conditions"].as_array().unwrap();
        assert_eq!(conditions.len(), 8);
        assert_eq!(conditions[..6], foreign[..]);
        assert_eq!((&conditions[6]["type"], &conditions[7]["type"]), (&json!("Accepted"), &json!("Programmed")));

        let parent = |name: String| ParentStatus {
            parent_ref: serde_json::from_value(json!({"name": name})).unwrap(),
            controller_name: "ours".into(),
            conditions: vec![accepted(Truth::True, 1)],
        };
        let parents = (0..32).map(|n| parent(n.to_string())).collect();
        let wanted = Status::Route(Arc::new(RouteStatus { parents, controller_name: "ours".into() }));
        let stored = json!({"parents": [{"controllerName": "theirs", "parentRef": {"name": "gw"}}]});
        let written = merge(&wanted, Some(&stored), "2026-01-01T00:00:00Z").unwrap();
        let parents = written["parents"].as_array().unwrap();
        assert_eq!((parents.len(), &parents[0]["controllerName"]), (32, &json!("theirs")));
    }

    fn route(conditions: Vec<Condition>) -> Status {
        let parent_ref: ParentRef = serde_json::from_value(json!({"name": "gw"})).unwrap();
        let parents = vec![ParentStatus { parent_ref, controller_name: "ours".into(), conditions }];
        Status::Route(Arc::new(RouteStatus { parents, controller_name: "ours".into() }))
    }

    #[test]
    fn entries_of_other_controllers_stay_byte_for_byte() {
        let foreign = json!({"controllerName": "theirs", "parentRef": {"name": "x"}, "conditions": [{"type": "Odd", "observedGeneration": 7}]});
        let stored = json!({"parents": [foreign]});
        let merged = merge(&route(vec![accepted(Truth::True, 1)]), Some(&stored), "t1").unwrap();
        assert_eq!(merged["parents"][0], foreign);
        assert_eq!(merged["parents"][1]["conditions"][0]["lastTransitionTime"], "t1");
        let gone = Status::Route(Arc::new(RouteStatus { parents: Vec::new(), controller_name: "ours".into() }));
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
            Status::Gateway(GatewayStatus {
                addresses: vec![],
                attached_listener_sets: 0,
                conditions: vec![],
                listeners: vec![listener],
            })
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
