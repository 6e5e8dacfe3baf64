//! What people are told by Events: conditions that turned bad, where `kubectl describe` and `kubectl get events` show it.
//!
//! In: a status as it was stored, and as it was written. Out: one notice for each condition that is bad now and was not, or
//! was for another reason. What stays bad is told once.
//!
//! Invariants: conditions that others wrote are never told; a storm of bad conditions does not become a storm of Events.

use std::time::{Duration, Instant};

use serde_json::Value;

/// One Event.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Notice {
    pub(super) reason: String,
    pub(super) message: String,
}

/// How many notices may go out.
#[derive(Debug)]
pub(super) struct Notices {
    left: u32,
    filled_at: Option<Instant>,
}

impl Default for Notices {
    fn default() -> Self {
        Self { left: MOST_AT_ONCE, filled_at: None }
    }
}

impl Notices {
    /// What is to be told of a write; nothing, once too much was.
    pub(super) fn of_write(&mut self, before: Option<&Value>, after: &Value, now: Instant) -> Vec<Notice> {
        let since = self.filled_at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let filled = u32::try_from(since.as_millis() / EVERY.as_millis()).unwrap_or(u32::MAX);
        if filled > 0 || self.filled_at.is_none() {
            self.left = self.left.saturating_add(filled).min(MOST_AT_ONCE);
            self.filled_at = Some(now);
        }
        let mut notices = worse(before, after);
        notices.truncate(self.left as usize);
        self.left -= u32::try_from(notices.len()).unwrap_or(self.left);
        notices
    }
}

/// Conditions that are bad after a write and were not before, or for another reason.
fn worse(before: Option<&Value>, after: &Value) -> Vec<Notice> {
    let before = before.map(bad).unwrap_or_default();
    let mut notices = Vec::new();
    for (place, condition) in bad(after) {
        let was_so = before.iter().any(|(at, former)| *at == place && former["reason"] == condition["reason"]);
        let text = |field: &str| condition[field].as_str().unwrap_or_default();
        let notice = Notice { reason: text("reason").to_owned(), message: format!("{}{}", named(&place), text("message")) };
        // A Gateway's own conditions repeat those of its listeners.
        if !was_so && !notices.contains(&notice) {
            notices.push(notice);
        }
    }
    notices
}

/// Where a condition is: the entry that it stands in, without conditions, and its type.
type Place = (Value, Value);

/// All conditions that tell of something bad.
fn bad(status: &Value) -> Vec<(Place, Value)> {
    let own = std::iter::once(status);
    let lists = ["listeners", "parents", "ancestors"].into_iter().filter_map(|list| status.get(list)?.as_array()).flatten();
    let mut found = Vec::new();
    for entry in own.chain(lists) {
        let place =
            ["name", "parentRef", "ancestorRef", "controllerName"].map(|field| entry.get(field).cloned().unwrap_or_default());
        for condition in entry.get("conditions").and_then(Value::as_array).into_iter().flatten() {
            if is_bad(condition) {
                found.push(((Value::from(place.to_vec()), condition["type"].clone()), condition.clone()));
            }
        }
    }
    found
}

fn is_bad(condition: &Value) -> bool {
    match (condition["type"].as_str(), condition["status"].as_str(), condition["reason"].as_str()) {
        // It is on its way.
        (_, _, Some("Pending")) => false,
        (Some("Accepted" | "ResolvedRefs" | "Programmed"), Some("False"), _) => true,
        (
            Some("Conflicted" | "PartiallyInvalid" | "OverlappingTLSConfig" | "InsecureFrontendValidationMode"),
            Some("True"),
            _,
        ) => true,
        _ => false,
    }
}

/// What an entry is about, for people.
fn named((entry, _): &Place) -> String {
    let text = |pointer: &str| entry.pointer(pointer).and_then(Value::as_str);
    if let Some(listener) = text("/0") {
        return format!("listener {listener}: ");
    }
    let reference = if entry[1].is_object() { &entry[1] } else { &entry[2] };
    let Some(name) = reference["name"].as_str() else { return String::new() };
    let kind = reference["kind"].as_str().unwrap_or("Gateway");
    let namespace = reference["namespace"].as_str().map(|namespace| format!("{namespace}/")).unwrap_or_default();
    format!("{kind} {namespace}{name}: ")
}

/// So many are told at once,
const MOST_AT_ONCE: u32 = 200;
/// and then one in this time.
const EVERY: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn route(truth: &str, reason: &str) -> Value {
        json!({"parents": [
            {"controllerName": "example.com/other", "parentRef": {"name": "theirs"},
                "conditions": [{"type": "Accepted", "status": "False", "reason": "Theirs", "message": "not ours"}]},
            {"controllerName": "example.com/c", "parentRef": {"name": "web", "kind": "Gateway"},
                "conditions": [{"type": "ResolvedRefs", "status": truth, "reason": reason, "message": "Service x does not exist"}]},
        ]})
    }

    fn told(before: &Value, after: &Value) -> Vec<String> {
        worse(Some(before), after).into_iter().map(|notice| format!("{} {}", notice.reason, notice.message)).collect()
    }

    #[test]
    fn a_condition_that_turns_bad_is_told_once_and_by_what_it_is_about() {
        let (good, bad) = (route("True", "ResolvedRefs"), route("False", "BackendNotFound"));
        assert_eq!(told(&good, &bad), ["BackendNotFound Gateway web: Service x does not exist"]);
        assert_eq!(told(&bad, &bad), [""; 0]);
        assert_eq!(told(&bad, &route("False", "RefNotPermitted")).len(), 1, "another reason is another matter");
        assert_eq!(told(&bad, &good), [""; 0]);
    }

    #[test]
    fn what_is_on_its_way_is_not_told() {
        let gateway =
            |reason: &str| json!({"conditions": [{"type": "Programmed", "status": "False", "reason": reason, "message": ""}]});
        assert_eq!(told(&json!({}), &gateway("Pending")), [""; 0]);
        assert_eq!(told(&json!({}), &gateway("AddressNotUsable")).len(), 1);
    }

    #[test]
    fn a_storm_is_cut_short_and_told_again_later() {
        let (mut notices, now) = (Notices::default(), Instant::now());
        let bad = route("False", "BackendNotFound");
        let told = (0..500).map(|_| notices.of_write(Some(&route("True", "ResolvedRefs")), &bad, now).len()).sum::<usize>();
        assert_eq!(told, MOST_AT_ONCE as usize);
        assert_eq!(notices.of_write(Some(&route("True", "ResolvedRefs")), &bad, now + EVERY).len(), 1);
    }
}
