//! Who an object is: the part of `metadata` that matters here.

use std::collections::BTreeMap;

use crate::name::ObjectName;

/// The metadata of an object as read.
#[derive(Clone, Debug, PartialEq)]
pub struct Meta {
    /// Namespace and name; a namespaced object that states no namespace is in `default`.
    pub name: ObjectName,
    /// The generation of the specification; 0 where none is stated, as in files.
    pub generation: i64,
    /// `creationTimestamp` in seconds since 1970; `None` where none is stated.
    pub created: Option<i64>,
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// The annotations.
    pub annotations: BTreeMap<String, String>,
    /// The version the store gave the object.
    pub resource_version: Option<String>,
    /// The identity the store gave the object.
    pub uid: Option<String>,
}
