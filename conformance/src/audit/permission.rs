//! What a user may do, as roles say it: which permissions a manifest gives, and which of them nobody need miss.
//!
//! In: a manifest with roles; a list of permissions that a run need not use, each with its reason. Out: both as sets.
//!
//! Invariants: no permission is spared without a reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::{Result, bail, ensure};
use serde_json::Value;

use crate::manifest::list;

/// A permission as rules name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// What is done.
    pub verb: String,
    /// To what group of the API.
    pub group: String,
    /// To what, a subresource after a slash.
    pub resource: String,
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if self.group.is_empty() { Ok(()) } else { write!(f, ".{}", self.group) }
    }
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
                    let permission = |resource| Permission { verb: verb.clone(), group: group.clone(), resource };
                    permissions.extend(texts("/resources").map(permission));
                }
            }
        }
    }
    Ok(permissions)
}

/// Permissions that a run need not use.
pub type Spared = BTreeMap<String, Use>;

/// How a permission that is spared is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Not in such a run.
    Never,
    /// When something happens that a run cannot bring about.
    Perhaps,
}

/// Reads such a list: on each line a permission as it is printed, a `#` and the reason why it is granted; `perhaps` before it says that
/// chance decides whether it is used. Lines that begin with `#` say nothing.
///
/// # Errors
///
/// When a line has no reason, or stands there twice.
pub fn spared(list: &str) -> Result<Spared> {
    let mut spared = Spared::new();
    for line in list.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let Some((permission, reason)) = line.split_once('#') else { bail!("without a reason: {line}") };
        ensure!(!reason.trim().is_empty(), "without a reason: {line}");
        let (of, permission) = match permission.trim().strip_prefix("perhaps ") {
            Some(permission) => (Use::Perhaps, permission),
            None => (Use::Never, permission.trim()),
        };
        ensure!(spared.insert(permission.to_owned(), of).is_none(), "twice: {line}");
    }
    Ok(spared)
}

/// What is wrong with permissions after a run that should have used all but those spared.
#[must_use]
pub fn judge(granted: &BTreeSet<Permission>, used: &BTreeSet<Permission>, spared: &Spared) -> Vec<String> {
    let unused = granted.difference(used).filter(|permission| !spared.contains_key(&permission.to_string()));
    let mut wrongs: Vec<String> = unused.map(|permission| format!("granted, and never used: {permission}")).collect();
    let granted: BTreeSet<String> = granted.iter().map(Permission::to_string).collect();
    let used: BTreeSet<String> = used.iter().map(Permission::to_string).collect();
    for (permission, of) in spared {
        if !granted.contains(permission) {
            wrongs.push(format!("spared, and not granted: {permission}"));
        } else if *of == Use::Never && used.contains(permission) {
            wrongs.push(format!("spared, and used after all: {permission}"));
        }
    }
    wrongs
}
