//! One line of the log, and what it is about.
//!
//! In: a line of JSON. Out: a record, where the line tells of a request that was answered and has an object.

use std::fmt;

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde_json::Value;

use super::Permission;

/// Groups whose statuses are judged.
const API: [&str; 3] = ["gateway.networking.k8s.io", "gateway.networking.x-k8s.io", "pingora-gateway.dev"];

/// What an object is called: its kind as paths name it, its namespace, or nothing, and its name. In records of a request for many,
/// the name is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id {
    pub(super) resource: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.resource, self.namespace, self.name)
    }
}

/// A request that was answered.
pub(super) struct Record {
    pub(super) at: Timestamp,
    pub(super) user: String,
    pub(super) permission: Permission,
    pub(super) is_forbidden: bool,
    /// Whether something was written.
    pub(super) is_write: bool,
    /// Whether an object was made.
    is_made: bool,
    /// What was asked for.
    pub(super) id: Id,
    /// The object as it was afterwards, where the log has it.
    pub(super) object: Option<Value>,
}

impl Record {
    /// Whether the object is of a group whose statuses are judged.
    pub(super) fn is_of_api(&self) -> bool {
        API.contains(&self.permission.group.as_str())
    }

    /// Whether a status was asked for, and nothing else of the object.
    pub(super) fn is_status(&self) -> bool {
        self.permission.resource.ends_with("/status")
    }

    /// The object's own, which no other one ever has.
    pub(super) fn uid(&self) -> Result<String> {
        let uid = self.object.as_ref().and_then(|object| object.pointer("/metadata/uid")).and_then(Value::as_str);
        Ok(uid.context("an object without uid")?.to_owned())
    }

    /// The permissions that the request took.
    pub(super) fn needed(&self) -> impl Iterator<Item = Permission> {
        // Whoever makes an object by applying it needs both.
        let made = self.is_made.then(|| Permission { verb: "create".to_owned(), ..self.permission.clone() });
        made.into_iter().chain([self.permission.clone()])
    }
}

/// A line, where it tells of something that matters.
pub(super) fn read(line: &[u8]) -> Result<Option<Record>> {
    if line.is_empty() {
        return Ok(None);
    }
    let line: Value = serde_json::from_slice(line)?;
    let text = |pointer: &str| line.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let code = line.pointer("/responseStatus/code").and_then(Value::as_u64).unwrap_or(0);
    let kind = text("/objectRef/resource");
    if code == 0 || kind.is_empty() {
        return Ok(None);
    }
    let verb = text("/verb");
    let subresource = text("/objectRef/subresource");
    let resource = if subresource.is_empty() { kind.clone() } else { format!("{kind}/{subresource}") };
    let at = text("/requestReceivedTimestamp");
    let is_try = text("/requestURI").contains("dryRun=");
    let is_write = (200..300).contains(&code) && !matches!(verb.as_str(), "get" | "list" | "watch") && !is_try;
    // What answers a deletion may be no object.
    let object = line.get("responseObject").filter(|object| object.pointer("/metadata/uid").is_some()).cloned();
    let mut name = text("/objectRef/name");
    if name.is_empty() && verb == "create" {
        name = text("/responseObject/metadata/name");
    }
    Ok(Some(Record {
        at: at.parse().with_context(|| format!("no time: {at:?}"))?,
        user: text("/user/username"),
        is_write,
        is_made: code == 201,
        is_forbidden: code == 403,
        id: Id { resource: kind, namespace: text("/objectRef/namespace"), name },
        object: object.filter(|_| is_write),
        permission: Permission { verb, group: text("/objectRef/apiGroup"), resource },
    }))
}
