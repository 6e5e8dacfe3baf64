//! Law 5 for holders of listeners and for policies: what is broken changes nothing but itself and what refers to it.

use gateway_core::compile::Change;
use gateway_core::name::{Kind, ObjectId};
use gateway_core::status::Status;
use proptest::prelude::*;
use serde_json::Value;

use super::policies::policy;
use super::{Outcome, Step, World, last_words, objects, outcome, signing, step, written};
use super::{gateway, listener_set};

/// A name that no other object of the universe has or refers to, and that comes last.
const LAST: &str = "zz";

/// Reasons for which a listener is not accepted and has no place; others leave it where it stands and turn its clients away.
const PLACELESS: [&str; 7] = [
    "HostnameConflict",
    "ProtocolConflict",
    "ListenerConflict",
    "UnsupportedProtocol",
    "UnsupportedValue",
    "TooManyListeners",
    "NotAllowed",
];

/// Objects as documents, their names replaced.
fn renamed(yaml: &str) -> Value {
    let mut value: Value = serde_saphyr::from_str(yaml).expect("a document");
    value["metadata"]["name"] = LAST.into();
    value
}

/// What a world is left with when one more object is put.
fn with(steps: &[Step], more: Option<&Value>) -> Outcome {
    let mut world = World::with(signing(), "");
    world.apply(last_words(steps));
    let more = more.map(|object| objects(&object.to_string())).unwrap_or_default();
    let update = world.apply(more.into_iter().map(Change::Put));
    outcome(&world.compiler, &update)
}

/// The condition Accepted of a list of conditions, as status and reason.
fn accepted(conditions: &Value) -> (&str, &str) {
    let conditions = conditions.as_array().map_or(&[][..], Vec::as_slice);
    let found = conditions.iter().find(|condition| condition["type"] == "Accepted");
    found.map_or(("", ""), |found| (found["status"].as_str().unwrap_or_default(), found["reason"].as_str().unwrap_or_default()))
}

/// A holder without its listeners that have no place; `None` where none is left, or nothing of it is served.
fn without_placeless(holder: &Value, status: &Value) -> Option<Value> {
    let (stands, reason) = accepted(&status["conditions"]);
    match (stands, reason) {
        // Its Gateway may only want for a socket, which is no matter of places.
        ("False", "ParentNotAccepted") => return Some(holder.clone()),
        ("True", _) | (_, "ListenersNotValid") => {}
        _ => return None,
    }
    let is_placeless = |listener: &Value| {
        let said = status["listeners"].as_array().into_iter().flatten().find(|said| said["name"] == listener["name"]);
        said.is_some_and(|said| {
            let (stands, reason) = accepted(&said["conditions"]);
            // One whose filters cannot be had keeps its place, and answers 500.
            stands == "False" && PLACELESS.contains(&reason) && (reason != "UnsupportedValue" || listener["filters"].is_null())
        })
    };
    let mut left = holder.clone();
    let listeners = left["spec"]["listeners"].as_array_mut()?;
    listeners.retain(|listener| !is_placeless(listener));
    (!listeners.is_empty()).then_some(left)
}

/// A status without what it says to the Gateway or set of that name.
fn told_to_others(status: &Status) -> Value {
    let mut status = written(status);
    for (list, reference) in [("ancestors", "ancestorRef"), ("parents", "parentRef")] {
        if let Some(entries) = status[list].as_array_mut() {
            entries.retain(|entry| entry[reference]["name"] != LAST);
            if entries.is_empty() {
                status[list] = Value::Null;
            }
        }
    }
    status
}

/// The statuses but that of one object, and what is served but backends: one that only a broken listener leads to is there, unused.
fn of_others(outcome: &Outcome, id: &ObjectId) -> Vec<String> {
    let (outline, statuses, _) = outcome;
    let served = outline.iter().filter(|line| !line.starts_with("backend ")).cloned();
    let others = statuses.iter().filter(|(other, _)| *other != id);
    served.chain(others.map(|(other, status)| format!("{other}: {}", told_to_others(status)))).collect()
}

/// Where two of them part.
fn difference(one: &[String], other: &[String]) -> Option<String> {
    let differs = |nth: &usize| one.get(*nth) != other.get(*nth);
    (0..one.len().max(other.len())).find(differs).map(|nth| format!("{:?}\n{:?}", one.get(nth), other.get(nth)))
}

/// A line of an outline, or an object, that what a policy targets or its rivals could be seen in.
fn concerns(text: &str, targets: &[String]) -> bool {
    targets.iter().any(|target| text.contains(target.as_str()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    /// "The Gateway as a whole may still be accepted"; what is not accepted of it, or of a ListenerSet, is as good as not there.
    #[test]
    fn listeners_that_are_not_accepted_take_nothing_from_others(
        steps in proptest::collection::vec(step(), 1..30), holder in prop_oneof![gateway(), listener_set()]
    ) {
        // What is a default would be referred to by all that ask for one.
        let holder = renamed(&holder.replace("  defaultScope: All\n", ""));
        let id = objects(&holder.to_string())[0].id();
        let all = with(&steps, Some(&holder));
        let left = all.1.get(&id).and_then(|status| without_placeless(&holder, &written(status)));
        let some = with(&steps, left.as_ref());
        // A holder leads to what its filters name, accepted or not, and policies for that say so.
        let is_told = |line: &String| !["BackendTLSPolicy", "XBackend"].iter().any(|kind| line.starts_with(kind));
        let told = |outcome: &Outcome| of_others(outcome, &id).into_iter().filter(is_told).collect::<Vec<_>>();
        prop_assert_eq!(difference(&told(&all), &told(&some)), None);
    }

    /// A direct policy concerns what it targets, who else targets that, and who leads there.
    #[test]
    fn a_policy_changes_only_itself_its_rivals_and_what_leads_to_its_targets(
        steps in proptest::collection::vec(step(), 1..30), policy in policy()
    ) {
        let policy = renamed(&policy);
        prop_assume!(policy["spec"]["targetRefs"].is_array());
        let id = objects(&policy.to_string())[0].id();
        let (before, after) = (with(&steps, None), with(&steps, Some(&policy)));
        // A collector is led to, as targets are.
        let named = policy["spec"]["targetRefs"].as_array().into_iter().flatten().chain([&policy["spec"]["tracing"]["provider"]["backendRef"]]);
        let targets: Vec<String> = named.filter_map(|target| target["name"].as_str()).map(str::to_owned).collect();
        let words = last_words(&steps);
        let known = |id: &ObjectId| words.iter().find_map(|change| match change {
            Change::Put(object) if object.id() == *id => Some(format!("{object:?}")),
            Change::Put(_) | Change::Remove(_) | Change::Fact(_) => None,
        });
        let is_concerned = |other: &ObjectId| known(other).is_none_or(|text| concerns(&text, &targets)) || concerns(other.name.name(), &targets);
        let exempt: Vec<String> = before.1.keys().chain(after.1.keys()).filter(|other| is_concerned(other)).map(ToString::to_string).collect();
        for (other, status) in after.1.iter().filter(|(other, _)| **other != id && !is_concerned(other)) {
            prop_assert_eq!(Some(written(status)), before.1.get(other).map(written), "{}", other);
        }
        let told = |outcome: &Outcome| -> Vec<String> {
            let is_said = |line: &&String| !line.starts_with("    host ") && !concerns(line, &targets) && !concerns(line, &exempt);
            // Rules stand on the line below their candidate, with the same route in it.
            outcome.0.iter().filter(is_said).filter(|line| !line.contains("ListenerSet") || id.kind != Kind::XTelemetryPolicy).cloned().collect()
        };
        prop_assert_eq!(told(&before), told(&after));

        let status = after.1.get(&id).map(written).unwrap_or_default();
        let entries: Vec<(&str, &str)> = status["ancestors"].as_array().into_iter().flatten().map(|entry| accepted(&entry["conditions"])).collect();
        let has_lost = !entries.is_empty() && entries.iter().all(|entry| *entry == ("False", "Conflicted"));
        let has_rivals = before.1.keys().any(|other| other.kind == id.kind && is_concerned(other));
        // TLS that is broken is not done without; and one for a Gateway that is not accepted is not broken itself.
        let is_refused = |(other, status): (&ObjectId, &Status)| other.kind == Kind::Gateway && accepted(&written(status)["conditions"]).0 != "True";
        let counts = id.kind != Kind::BackendTlsPolicy && !(id.kind == Kind::XTelemetryPolicy && before.1.iter().any(is_refused));
        let is_broken = counts && !has_rivals && entries.contains(&("False", "Invalid"));
        if has_lost || is_broken {
            prop_assert_eq!(difference(&of_others(&before, &id), &of_others(&after, &id)), None);
        }
    }
}
