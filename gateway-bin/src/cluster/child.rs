//! Objects that we keep for a Gateway, and whether they are as we want them.
//!
//! In: a manifest, and the object as it is stored. Out: whether the one is in force in the other. What others add to an object of
//! ours, an API server's defaults among them, is theirs.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use gateway_core::name::ObjectName;
use serde_json::Value;

use super::discover::Subject;

/// Which object.
pub(crate) type ChildId = (Subject, ObjectName);

/// An object that we want to be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Child {
    pub(crate) subject: Subject,
    pub(crate) name: ObjectName,
    pub(crate) manifest: Value,
}

impl Child {
    /// Which object it is.
    pub(crate) fn id(&self) -> ChildId {
        (self.subject.clone(), self.name.clone())
    }

    /// What the manifest is known by.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.manifest.to_string().hash(&mut hasher);
        hasher.finish()
    }
}

/// Whether everything that is wanted is in what is stored. Of a list, each wanted entry must be in some stored one.
pub(crate) fn contains(stored: &Value, wanted: &Value) -> bool {
    match (stored, wanted) {
        (Value::Object(stored), Value::Object(wanted)) => {
            wanted.iter().all(|(field, wanted)| stored.get(field).is_some_and(|stored| contains(stored, wanted)))
        }
        (Value::Array(stored), Value::Array(wanted)) => {
            wanted.iter().all(|wanted| stored.iter().any(|stored| contains(stored, wanted)))
        }
        (stored, wanted) => stored == wanted,
    }
}

/// What became of what is wanted: an API server may write a value otherwise than it was given.
pub(crate) fn outcome(stored: &Value, wanted: &Value) -> Value {
    match (stored, wanted) {
        (Value::Object(stored), Value::Object(wanted)) => {
            let fields = wanted.iter().filter_map(|(field, wanted)| Some((field.clone(), outcome(stored.get(field)?, wanted))));
            Value::Object(fields.collect())
        }
        (stored, _) => stored.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_others_add_is_no_drift_and_what_they_change_is() {
        let wanted = json!({"spec": {"ports": [{"port": 80}, {"port": 81}], "type": "LoadBalancer"}});
        let rows = [
            (
                json!({"spec": {"ports": [{"port": 81, "nodePort": 1}, {"port": 80}], "type": "LoadBalancer", "x": 1}, "status": {}}),
                true,
            ),
            (json!({"spec": {"ports": [{"port": 80}], "type": "LoadBalancer"}}), false),
            (json!({"spec": {"ports": [{"port": 80}, {"port": 81}], "type": "ClusterIP"}}), false),
            (json!({"spec": {"ports": {}, "type": "LoadBalancer"}}), false),
        ];
        for (stored, expected) in rows {
            assert_eq!(contains(&stored, &wanted), expected, "{stored}");
        }
    }
}
