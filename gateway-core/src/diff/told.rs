//! What is told of things on both sides, compared: statuses and problems here, and how it is done for others.
//!
//! In: the same kind of values from both sides. Out: what is told on one side and not, or not alike, on the other. Generations are
//! not compared: they count edits and not what came of them. Of objects whose content no words can tell it is told that it changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::condition::{Condition, Truth};
use crate::name::ObjectId;
use crate::snapshot::Fingerprint;
use crate::status::{ListenerStatus, Status};

/// Something that is told of one thing, and not alike on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Altered {
    /// The object, listener or backend.
    pub of: String,
    /// The part of it; empty for the whole.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub part: String,
    /// What is told: the type of a condition, or the name of a property.
    pub what: String,
    /// What was told; `None` where nothing was.
    pub before: Option<String>,
    /// What is told now.
    pub after: Option<String>,
}

/// What is said of something: in words, and by the content of objects that they name and cannot tell. Equal when both are.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Said {
    /// The words.
    pub text: String,
    #[serde(skip)]
    contents: BTreeMap<String, Fingerprint>,
}

impl Said {
    /// Words that tell all.
    pub(super) fn of(text: impl fmt::Display) -> Self {
        Self { text: text.to_string(), contents: BTreeMap::new() }
    }

    /// An object, or several together, with their content.
    pub(super) fn with(object: String, content: Fingerprint) -> Self {
        Self { text: object.clone(), contents: [(object, content)].into() }
    }

    /// One after the other.
    pub(super) fn list(each: impl Iterator<Item = Self>) -> Self {
        let mut all = Self::default();
        for Self { text, contents } in each {
            let comma = if all.text.is_empty() { "" } else { ", " };
            all.text.push_str(&format!("{comma}{text}"));
            all.contents.extend(contents);
        }
        all
    }

    /// The same after other words.
    pub(super) fn after(mut self, words: &str) -> Self {
        self.text.insert_str(0, words);
        self
    }

    /// The same for whoever has read what was said before: with what changed in objects that are named there too.
    pub(super) fn beside<'a>(mut self, before: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut known: BTreeMap<&str, BTreeSet<Fingerprint>> = BTreeMap::new();
        for (object, content) in before.into_iter().flat_map(|said| &said.contents) {
            known.entry(object).or_default().insert(*content);
        }
        let is_other = |(object, content): &(&String, &Fingerprint)| {
            known.get(object.as_str()).is_some_and(|contents| !contents.contains(*content))
        };
        let changed: Vec<_> = self.contents.iter().filter(is_other).map(|(object, _)| object.as_str()).collect();
        match changed.as_slice() {
            [] => {}
            [only] if *only == self.text => self.text.push_str(", changed"),
            _ => self.text = format!("{}; changed: {}", self.text, changed.join(", ")),
        }
        self
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What is said about a thing: by part, then by what it is about.
pub(super) type Words = BTreeMap<(String, String), Said>;

/// What both sides say about things, compared.
pub(super) fn altered<K: Ord + fmt::Display>(before: &BTreeMap<K, Words>, after: &BTreeMap<K, Words>) -> Vec<Altered> {
    let none = Words::new();
    let mut all = Vec::new();
    let mut things: Vec<&K> = before.keys().chain(after.keys()).collect();
    things.sort_unstable();
    things.dedup();
    for thing in things {
        let (before, after) = (before.get(thing).unwrap_or(&none), after.get(thing).unwrap_or(&none));
        let mut keys: Vec<_> = before.keys().chain(after.keys()).collect();
        keys.sort_unstable();
        keys.dedup();
        for key @ (part, what) in keys {
            let (before, after) = (before.get(key), after.get(key));
            if before != after {
                let (part, what) = (part.clone(), what.clone());
                let after = after.map(|after| after.clone().beside(before).text);
                let before = before.map(|before| before.text.clone());
                all.push(Altered { of: thing.to_string(), part, what, before, after });
            }
        }
    }
    all
}

/// The statuses of objects, compared.
pub(super) fn statuses(before: &BTreeMap<ObjectId, Status>, after: &BTreeMap<ObjectId, Status>) -> Vec<Altered> {
    let words =
        |statuses: &BTreeMap<ObjectId, Status>| statuses.iter().map(|(id, status)| (id.clone(), of_status(status))).collect();
    altered(&words(before), &words(after))
}

fn of_status(status: &Status) -> Words {
    let mut words = Words::new();
    for (part, conditions) in status.parts() {
        for Condition { kind, status, reason, message, observed_generation: _ } in conditions {
            let truth = match status {
                Truth::True => "True",
                Truth::False => "False",
                Truth::Unknown => "Unknown",
            };
            let colon = if message.is_empty() { "" } else { ": " };
            words.insert((part.to_string(), kind.to_string()), Said::of(format!("{truth} {reason}{colon}{message}")));
        }
    }
    for ListenerStatus { name, supported_kinds, attached_routes, conditions: _ } in status.listeners() {
        let kinds: Vec<_> = supported_kinds.iter().map(|kind| kind.kind.as_str()).collect();
        let part = format!("listener {name}");
        words.insert((part.clone(), "supportedKinds".to_owned()), Said::of(kinds.join(", ")));
        words.insert((part, "attachedRoutes".to_owned()), Said::of(attached_routes));
    }
    match status {
        Status::GatewayClass(class) => {
            let features: Vec<_> = class.supported_features.iter().map(|feature| feature.name).collect();
            words.insert(whole("supportedFeatures"), Said::of(features.join(", ")));
        }
        Status::Gateway(gateway) => {
            let addresses: Vec<_> =
                gateway.addresses.iter().map(|address| format!("{} {}", address.kind, address.value)).collect();
            words.insert(whole("addresses"), Said::of(addresses.join(", ")));
            words.insert(whole("attachedListenerSets"), Said::of(gateway.attached_listener_sets));
        }
        Status::ListenerSet(_) | Status::Route(_) | Status::Policy(_) => {}
    }
    words
}

fn whole(what: &str) -> (String, String) {
    (String::new(), what.to_owned())
}

/// The problems of objects, compared.
pub(super) fn problems(before: &BTreeMap<ObjectId, Vec<String>>, after: &BTreeMap<ObjectId, Vec<String>>) -> Vec<Altered> {
    let mut all = Vec::new();
    let mut objects: Vec<&ObjectId> = before.keys().chain(after.keys()).collect();
    objects.sort_unstable();
    objects.dedup();
    for id in objects {
        let of = |side: &BTreeMap<ObjectId, Vec<String>>| side.get(id).cloned().unwrap_or_default();
        let (before, after) = (of(before), of(after));
        let one = |before, after| Altered { of: id.to_string(), part: String::new(), what: "problem".to_owned(), before, after };
        let only = |some: &[String], others: &[String]| -> Vec<String> {
            some.iter().filter(|problem| !others.contains(problem)).cloned().collect()
        };
        all.extend(only(&before, &after).into_iter().map(|gone| one(Some(gone), None)));
        all.extend(only(&after, &before).into_iter().map(|new| one(None, Some(new))));
    }
    all
}

impl fmt::Display for Altered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { of: _, part, what, before, after } = self;
        if !part.is_empty() {
            write!(f, "{part}, ")?;
        }
        match (before, after) {
            (Some(before), Some(after)) => write!(f, "{what}: {before} → {after}"),
            (Some(before), None) => write!(f, "{what} no more: {before}"),
            (None, Some(after)) => write!(f, "{what} now: {after}"),
            (None, None) => Ok(()),
        }
    }
}
