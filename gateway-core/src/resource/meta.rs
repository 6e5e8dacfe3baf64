//! Who an object is: the part of `metadata` that matters here.
//!
//! In: `metadata` as written. Out: the same with its namespace settled and its time as a number. Fields that exist but do not
//! matter are known by name, so that a misspelt one is noticed.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::name::{Kind, ObjectName};

use super::Violations;
use super::report::Report;

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
    /// What the object as a whole violates of the schema, though it is stored; nothing for what nobody had stored.
    pub violations: Violations,
}

/// `metadata` as written.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StatedMeta {
    name: String,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    generation: i64,
    #[serde(default)]
    creation_timestamp: Option<Timestamp>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    resource_version: Option<String>,
    #[serde(default)]
    uid: Option<String>,
    #[serde(default, rename = "generateName")]
    _generate_name: Unread,
    #[serde(default, rename = "selfLink")]
    _self_link: Unread,
    #[serde(default, rename = "deletionTimestamp")]
    _deletion_timestamp: Unread,
    #[serde(default, rename = "deletionGracePeriodSeconds")]
    _deletion_grace_period_seconds: Unread,
    #[serde(default, rename = "ownerReferences")]
    _owner_references: Unread,
    #[serde(default, rename = "finalizers")]
    _finalizers: Unread,
    #[serde(default, rename = "managedFields")]
    _managed_fields: Unread,
}

impl StatedMeta {
    /// The metadata of an object of this kind.
    pub(super) fn of(self, kind: &Kind, report: &mut Report) -> Meta {
        let namespace = self.namespace.filter(|namespace| !namespace.is_empty());
        let name = match namespace {
            Some(namespace) if kind.is_cluster_scoped() => {
                report.warn("metadata.namespace", format!("passed over: a {kind} is in no namespace, found \"{namespace}\""));
                ObjectName::cluster(&self.name)
            }
            None if kind.is_cluster_scoped() => ObjectName::cluster(&self.name),
            namespace => ObjectName::new(namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE), &self.name),
        };
        Meta {
            name,
            generation: self.generation,
            created: self.creation_timestamp.map(|created| created.0),
            labels: self.labels,
            annotations: self.annotations,
            resource_version: self.resource_version,
            uid: self.uid,
            violations: Violations::default(),
        }
    }
}

/// What a field holds that is known and does not matter. Serde's own `IgnoredAny` stands for what nobody knows, and is told as such.
#[derive(Default)]
struct Unread;

impl<'de> Deserialize<'de> for Unread {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Unread {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self, A::Error> {
        while fields.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }
}

/// Seconds since 1970, written as RFC 3339 has it.
struct Timestamp(i64);

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let expected = "a time such as 2026-01-31T12:00:00Z (RFC 3339)";
        let time: jiff::Timestamp = text.parse().map_err(|_| de::Error::invalid_value(de::Unexpected::Str(&text), &expected))?;
        Ok(Self(time.as_second()))
    }
}

/// The namespace of a namespaced object that states none.
pub(super) const DEFAULT_NAMESPACE: &str = "default";
