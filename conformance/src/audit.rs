//! What a controller did, as the API server wrote it down: which statuses it wrote, one after another, and which permissions it used.
//!
//! In: the API server's audit log, lines of JSON (`cluster/config/audit.yaml` says what is in it), and whose requests to judge. Out:
//! writes of statuses that say nothing new, conditions that went back and forth though nobody else did anything meanwhile, requests that were
//! forbidden, and every permission that was used.
//!
//! Invariants: a request that the API server did not carry out wrote nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::BufRead;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::manifest::list;

/// A permission as rules name it: verb, API group and resource, a subresource after a slash.
pub type Permission = (String, String, String);

/// What the log says of one user.
#[derive(Debug, Default)]
pub struct Judgement {
    /// How many statuses were written.
    pub writes: usize,
    /// How many objects have one.
    pub objects: usize,
    /// What should not have been.
    pub complaints: Vec<Complaint>,
    /// What was used.
    pub used: BTreeSet<Permission>,
}

/// Something that should not have been.
#[derive(Clone, Debug)]
pub enum Complaint {
    /// A status was written that was there already.
    SaidAgain {
        /// Whose.
        object: String,
        /// When.
        at: String,
    },
    /// A condition went back to what it was, though nobody else wrote anything since it changed.
    BackAndForth {
        /// Whose.
        object: String,
        /// Which part and type.
        condition: String,
        /// What it said: before and after, and between.
        values: [String; 2],
        /// When it changed, and when it changed back.
        at: [String; 2],
    },
    /// A request was forbidden, always.
    Forbidden(Permission),
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SaidAgain { object, at } => write!(f, "{object}: the status written at {at} was there already"),
            Self::BackAndForth { object, condition, values: [own, other], at: [there, back] } => {
                write!(
                    f,
                    "{object}: {condition} went from {own} to {other} at {there} and back at {back}, though nobody wrote anything"
                )
            }
            Self::Forbidden((verb, group, resource)) => write!(f, "forbidden: {verb} {resource} of group {group:?}"),
        }
    }
}

/// A request that was answered.
struct Record {
    at: String,
    user: String,
    permission: Permission,
    is_forbidden: bool,
    /// Whether something was written.
    is_write: bool,
    /// Whether an object was made.
    is_made: bool,
    /// The object as it was afterwards, where the log has it.
    object: Option<Value>,
}

/// Judges what a user did.
///
/// # Errors
///
/// When a line cannot be read, or is no record.
pub fn judge(log: impl BufRead, user: &str) -> Result<Judgement> {
    let mut judgement = Judgement::default();
    let mut objects: BTreeMap<String, Object> = BTreeMap::new();
    let mut forbidden = BTreeSet::new();
    // Of all that others did, only the last is of interest.
    let mut others_wrote_at = String::new();
    for line in log.lines() {
        let line = line?;
        let Some(record) = read(&line).with_context(|| format!("not a record: {line:.200}"))? else { continue };
        if record.user != user {
            if record.is_write {
                others_wrote_at = record.at;
            }
            continue;
        }
        if record.is_forbidden {
            forbidden.insert(record.permission);
            continue;
        }
        if record.permission.2.ends_with("/status")
            && record.is_write
            && let Some(document) = &record.object
        {
            judgement.writes += 1;
            let uid = document.pointer("/metadata/uid").and_then(Value::as_str).context("an object without uid")?;
            let object = objects.entry(uid.to_owned()).or_insert_with(|| Object::new(document));
            object.written(document, &record.at, &others_wrote_at, &mut judgement.complaints);
        }
        if record.is_made {
            // Whoever makes an object by applying it needs both.
            let (_, group, resource) = &record.permission;
            judgement.used.insert(("create".to_owned(), group.clone(), resource.clone()));
        }
        judgement.used.insert(record.permission);
    }
    judgement.objects = objects.len();
    // An API server that has just started forbids everything until it has read who may do what.
    let never_allowed = forbidden.into_iter().filter(|permission| !judgement.used.contains(permission));
    let never_allowed: Vec<Complaint> = never_allowed.map(Complaint::Forbidden).collect();
    judgement.complaints.extend(never_allowed);
    Ok(judgement)
}

/// A line, where it tells of something that matters.
fn read(line: &str) -> Result<Option<Record>> {
    let line: Value = serde_json::from_str(line)?;
    let text = |pointer: &str| line.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let code = line.pointer("/responseStatus/code").and_then(Value::as_u64).unwrap_or(0);
    if code == 0 || text("/objectRef/resource").is_empty() {
        return Ok(None);
    }
    let verb = text("/verb");
    let subresource = text("/objectRef/subresource");
    let mut resource = text("/objectRef/resource");
    if !subresource.is_empty() {
        resource = format!("{resource}/{subresource}");
    }
    Ok(Some(Record {
        at: text("/requestReceivedTimestamp"),
        user: text("/user/username"),
        is_write: (200..300).contains(&code) && !matches!(verb.as_str(), "get" | "list" | "watch"),
        is_made: code == 201,
        permission: (verb, text("/objectRef/apiGroup"), resource),
        is_forbidden: code == 403,
        object: line.get("responseObject").filter(|object| object.get("metadata").is_some()).cloned(),
    }))
}

/// The permissions that the roles of a manifest give, whatever they are bound to.
///
/// # Errors
///
/// When the manifest cannot be read.
pub fn granted(manifest: &str) -> Result<BTreeSet<Permission>> {
    let mut permissions = BTreeSet::new();
    for role in serde_saphyr::from_multiple::<Value>(manifest)? {
        for rule in list(&role, "/rules") {
            let texts = |pointer: &str| list(rule, pointer).iter().filter_map(Value::as_str).map(str::to_owned);
            for verb in texts("/verbs") {
                for group in texts("/apiGroups") {
                    permissions.extend(texts("/resources").map(|resource| (verb.clone(), group.clone(), resource)));
                }
            }
        }
    }
    Ok(permissions)
}

/// An object and what its status said.
struct Object {
    name: String,
    status: Value,
    conditions: BTreeMap<String, Said>,
}

/// A condition: what it says, and what it said before.
#[derive(Clone, Default)]
struct Said {
    value: String,
    generation: i64,
    /// What it said before within this generation of the object, and when that ended.
    before: Option<(String, String)>,
}

impl Object {
    fn new(document: &Value) -> Self {
        let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let name = format!("{} {}/{}", text("/kind"), text("/metadata/namespace"), text("/metadata/name"));
        Self { name, status: Value::Null, conditions: BTreeMap::new() }
    }

    fn written(&mut self, document: &Value, at: &str, others_wrote_at: &str, complaints: &mut Vec<Complaint>) {
        let status = document.get("status").cloned().unwrap_or_default();
        if status == self.status {
            complaints.push(Complaint::SaidAgain { object: self.name.clone(), at: at.to_owned() });
        }
        let mut found = Vec::new();
        conditions(&status, String::new(), &mut found);
        let mut now = BTreeMap::new();
        for (condition, value, generation) in found {
            let last = self.conditions.remove(&condition).filter(|last| last.generation == generation);
            let said = match last {
                Some(last) if last.value == value => last,
                Some(last) => {
                    if let Some((before, changed_at)) = &last.before
                        && *before == value
                        && others_wrote_at < changed_at.as_str()
                    {
                        complaints.push(Complaint::BackAndForth {
                            object: self.name.clone(),
                            condition: condition.clone(),
                            values: [value.clone(), last.value.clone()],
                            at: [changed_at.clone(), at.to_owned()],
                        });
                    }
                    Said { value, generation, before: Some((last.value, at.to_owned())) }
                }
                None => Said { value, generation, before: None },
            };
            now.insert(condition, said);
        }
        self.conditions = now;
        self.status = status;
    }
}

/// Finds all conditions of a status, wherever they are, by the path that leads to them. Entries of a list are told apart by what they name.
fn conditions(within: &Value, path: String, found: &mut Vec<(String, String, i64)>) {
    match within {
        Value::Object(fields) => {
            for (field, value) in fields {
                conditions(value, format!("{path}.{field}"), found);
            }
        }
        Value::Array(entries) => {
            for entry in entries {
                if let (Some(kind), Some(status)) = (entry["type"].as_str(), entry["status"].as_str()) {
                    let reason = entry["reason"].as_str().unwrap_or_default();
                    let generation = entry["observedGeneration"].as_i64().unwrap_or_default();
                    found.push((format!("{path}.{kind}"), format!("{status} ({reason})"), generation));
                } else {
                    let named = ["name", "parentRef", "ancestorRef", "controllerName"].map(|field| entry.get(field));
                    let named: Vec<String> = named.into_iter().flatten().map(Value::to_string).collect();
                    conditions(entry, format!("{path}[{}]", named.join(" ")), found);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const OWN: &str = "controller";

    fn wrote(user: &str, second: u32, generation: i64, status: &str) -> String {
        json!({
            "verb": "patch", "user": {"username": user}, "responseStatus": {"code": 200},
            "requestReceivedTimestamp": format!("2026-01-01T00:00:{second:02}.000000Z"),
            "objectRef": {"apiGroup": "g", "resource": "gateways", "subresource": "status"},
            "responseObject": {
                "kind": "Gateway", "metadata": {"uid": "1", "namespace": "ns", "name": "gw"},
                "status": {"second": second, "listeners": [{"name": "http", "conditions": [
                    {"type": "Programmed", "status": status, "reason": "R", "observedGeneration": generation}]}]},
            },
        })
        .to_string()
    }

    fn complaints(lines: &[String]) -> Vec<String> {
        let judgement = judge(lines.join("\n").as_bytes(), OWN).expect("records");
        judgement.complaints.iter().map(Complaint::to_string).collect()
    }

    #[test]
    fn a_condition_that_goes_back_is_complained_of() {
        let complaints = complaints(&[wrote(OWN, 1, 1, "True"), wrote(OWN, 2, 1, "False"), wrote(OWN, 3, 1, "True")]);
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        assert!(complaints[0].contains("Gateway ns/gw") && complaints[0].contains("Programmed"), "{complaints:?}");
    }

    #[test]
    fn a_condition_may_go_back_when_somebody_did_something() {
        let done = wrote("somebody", 3, 1, "False");
        assert_eq!(complaints(&[wrote(OWN, 1, 1, "True"), wrote(OWN, 2, 1, "False"), done, wrote(OWN, 4, 1, "True")]), [""; 0]);
        let changed = [wrote(OWN, 1, 1, "True"), wrote(OWN, 2, 1, "False"), wrote(OWN, 3, 2, "True")];
        assert_eq!(complaints(&changed), [""; 0], "the object is another one");
    }

    #[test]
    fn a_status_that_was_there_already_is_complained_of() {
        let complaints = complaints(&[wrote(OWN, 1, 1, "True"), wrote(OWN, 1, 1, "True")]);
        assert!(complaints.len() == 1 && complaints[0].contains("there already"), "{complaints:?}");
    }

    #[test]
    fn a_forbidden_request_is_complained_of_and_uses_no_permission() {
        let line = wrote(OWN, 1, 1, "True").replace("\"code\":200", "\"code\":403");
        let judgement = judge(line.as_bytes(), OWN).expect("records");
        assert!(matches!(judgement.complaints[..], [Complaint::Forbidden(_)]) && judgement.used.is_empty());
        assert_eq!(complaints(&[line, wrote(OWN, 2, 1, "True")]), [""; 0], "it was allowed later");
    }
}
