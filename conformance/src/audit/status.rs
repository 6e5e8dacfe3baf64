//! What the status of one object said, write after write: its parts, and which of them went back to what they had been.
//!
//! In: the object as it was after each write, whoever wrote. Out: writes that said nothing new, and returns to former values.
//!
//! A status is taken apart to its leaves: each condition, each count, each list without names is a part, called by the path that leads to
//! it; entries of lists are told apart by what they name, not by where they stand. All of a condition counts, its message too, which has no
//! more reason to go back and forth than its status has; only the time of its last transition does not. What other controllers wrote into
//! lists that they share is not looked at.
//!
//! Invariants: within one generation every former value of every part is remembered. Who else changes a part begins its history anew.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde_json::Value;

use super::record::Id;

/// What was told of an object.
pub(super) struct Told {
    pub(super) id: Id,
    writes: Vec<Write>,
}

/// An object's status after a write.
struct Write {
    /// By which the API server orders writes.
    version: u64,
    at: Timestamp,
    is_own: bool,
    is_judged: bool,
    generation: i64,
    status: Value,
    parts: BTreeMap<String, String>,
}

/// What was found.
#[derive(Default)]
pub(super) struct Heard {
    /// When a status was written that was there already.
    pub(super) again: Vec<Timestamp>,
    pub(super) returns: Vec<Return>,
}

/// A part that is again what it was.
pub(super) struct Return {
    pub(super) part: String,
    pub(super) value: String,
    /// What it was meanwhile, or last of that.
    pub(super) left_for: String,
    /// When it left the value, and when it returned.
    pub(super) at: [Timestamp; 2],
}

/// The value of a part that is not there.
const ABSENT: &str = "nothing";

/// By what entries of lists are told apart.
const NAMES: [&str; 4] = ["name", "parentRef", "ancestorRef", "controllerName"];

impl Told {
    pub(super) fn of(id: &Id) -> Self {
        Self { id: id.clone(), writes: Vec::new() }
    }

    /// Takes note of the object after a write; `is_own` says that this was a write of a status by who is judged.
    pub(super) fn note(
        &mut self,
        document: &Value,
        at: Timestamp,
        is_own: bool,
        is_judged: bool,
        controller: &str,
    ) -> Result<()> {
        let version = document.pointer("/metadata/resourceVersion").and_then(Value::as_str);
        let version = version.and_then(|version| version.parse().ok()).context("an object without a version")?;
        let generation = document.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or_default();
        let status = document.get("status").cloned().unwrap_or_default();
        let parts = parts(&status, controller);
        self.writes.push(Write { version, at, is_own, is_judged, generation, status, parts });
        Ok(())
    }

    /// Whether who is judged wrote it, ever.
    pub(super) fn is_own(&self) -> bool {
        self.writes.iter().any(|write| write.is_own)
    }

    /// Looks through all writes in their order.
    pub(super) fn judge(mut self) -> Heard {
        // A deletion is answered with the object's last version.
        self.writes.sort_by_key(|write| (write.version, write.at));
        let mut heard = Heard::default();
        let mut last: Option<Write> = None;
        let mut left: BTreeMap<String, BTreeMap<String, Timestamp>> = BTreeMap::new();
        for write in self.writes {
            let Some(former) = last.take() else {
                last = Some(write);
                continue;
            };
            if write.is_own && write.is_judged && write.status == former.status {
                heard.again.push(write.at);
            }
            if write.generation != former.generation {
                left.clear();
            }
            let names: BTreeSet<&String> = former.parts.keys().chain(write.parts.keys()).collect();
            for part in names {
                let value_in = |parts: &BTreeMap<String, String>| parts.get(part).map_or(ABSENT, String::as_str).to_owned();
                let (before, now) = (value_in(&former.parts), value_in(&write.parts));
                if before == now {
                    continue;
                }
                if !write.is_own {
                    left.remove(part);
                    continue;
                }
                let values = left.entry(part.clone()).or_default();
                if let Some(left_at) = values.get(&now).copied()
                    && write.is_judged
                {
                    let at = [left_at, write.at];
                    heard.returns.push(Return { part: part.clone(), value: now, left_for: before.clone(), at });
                }
                values.insert(before, write.at);
            }
            last = Some(write);
        }
        heard
    }
}

/// Takes a status apart.
fn parts(status: &Value, controller: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    take_apart(status, String::new(), controller, &mut found);
    found
}

fn take_apart(within: &Value, path: String, controller: &str, found: &mut BTreeMap<String, String>) {
    match within {
        Value::Object(fields) => {
            for (field, value) in fields {
                take_apart(value, format!("{path}.{field}"), controller, found);
            }
        }
        Value::Array(entries) if !entries.is_empty() && entries.iter().all(|entry| entry_name(entry).is_some()) => {
            for entry in entries {
                if entry.get("controllerName").is_some_and(|name| name != controller) {
                    continue;
                }
                let path = format!("{path}[{}]", entry_name(entry).unwrap_or_default());
                let mut entry = entry.clone();
                if let Some(fields) = entry.as_object_mut()
                    && fields.contains_key("lastTransitionTime")
                {
                    fields.remove("lastTransitionTime");
                    fields.remove("type");
                    found.insert(path, entry.to_string());
                } else {
                    if let Some(fields) = entry.as_object_mut() {
                        fields.retain(|field, _| !NAMES.contains(&field.as_str()));
                        if fields.is_empty() {
                            found.insert(path, "there".to_owned());
                            continue;
                        }
                    }
                    take_apart(&entry, path, controller, found);
                }
            }
        }
        Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            found.insert(path, within.to_string());
        }
    }
}

/// What tells an entry of a list from the others: a condition its type, every other one what it names.
fn entry_name(entry: &Value) -> Option<String> {
    if entry.get("lastTransitionTime").is_some() {
        return entry.get("type").and_then(Value::as_str).map(str::to_owned);
    }
    let named = NAMES.iter().filter_map(|field| entry.get(field));
    let named: Vec<String> = named.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).collect();
    (!named.is_empty()).then(|| named.join(" "))
}
