//! What the status of an object can depend on, as far as the objects of a log tell it.
//!
//! In: objects as they were written. Out: for an object, which others its status can depend on, by kind and name:
//! - what it names, and what those name: its Gateways and their class, certificates, backends, parameters;
//! - what names one of those and shapes it: ListenerSets and policies, and what these name; what is made for a Gateway;
//! - for all but routes, the routes that lead to it, to its ListenerSets or to its target, and their parents;
//! - for routes of streams, the routes that may contend with it for one listener;
//! - the Namespaces of all these, and grants in them; CRDs, always.
//!
//! Not among them is what no status of ours may ever depend on: endpoints, pods, leases, events, nodes. Whatever an object named at any time of
//! the log counts, so that what it no longer names explains why its status changed.
//!
//! Invariants: a name is followed by the convention of the API alone, that fields which refer end in `Ref` or `Refs`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::record::Id;

const ROUTES: [&str; 5] = ["httproutes", "grpcroutes", "tlsroutes", "tcproutes", "udproutes"];
/// Routes of which the first takes all of a listener, or of a name on it.
const CONTENDING: [&str; 3] = ["tlsroutes", "tcproutes", "udproutes"];
const PARENTS: [&str; 2] = ["gateways", "listenersets"];
/// What others shape by naming it.
const SHAPED: [&str; 6] = ["gateways", "listenersets", "services", "serviceimports", "xbackends", DEFAULT_GATEWAYS];
/// What a route names that takes any Gateway which is a default, and such a Gateway.
const DEFAULT_GATEWAYS: &str = "default gateways";

/// All objects of a log, and what they ever named.
#[derive(Debug, Default)]
pub(super) struct World {
    names: BTreeMap<Id, BTreeSet<Id>>,
}

/// What a status can depend on.
#[derive(Debug)]
pub(super) struct Reach {
    objects: BTreeSet<Id>,
    namespaces: BTreeSet<String>,
}

impl Reach {
    /// Whether a write to this object, or to all of this kind in a namespace, may matter.
    pub(super) fn contains(&self, id: &Id) -> bool {
        match id.resource.as_str() {
            "customresourcedefinitions" => true,
            "namespaces" => self.namespaces.contains(&id.name),
            "referencegrants" => self.namespaces.contains(&id.namespace),
            _ if id.name.is_empty() => {
                self.objects.iter().any(|object| object.resource == id.resource && object.namespace == id.namespace)
            }
            _ => self.objects.contains(id),
        }
    }
}

impl World {
    /// Takes note of what an object names.
    pub(super) fn learn(&mut self, id: &Id, document: &Value) {
        let named = self.names.entry(id.clone()).or_default();
        let spec = document.get("spec").unwrap_or(&Value::Null);
        follow(spec, &id.namespace, named);
        let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str);
        if let Some(class) = text("/spec/gatewayClassName") {
            named.insert(Id { resource: "gatewayclasses".to_owned(), namespace: String::new(), name: class.to_owned() });
        }
        if text("/spec/useDefaultGateways").is_some() || text("/spec/defaultScope").is_some() {
            named.insert(Id { resource: DEFAULT_GATEWAYS.to_owned(), ..Id::default() });
        }
        let owners = document.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        named.extend(owners.into_iter().flatten().filter_map(|owner| named_by(owner, None, &id.namespace)));
    }

    /// What the status of an object can depend on.
    pub(super) fn reach(&self, of: &Id) -> Reach {
        let is_route = |id: &Id| ROUTES.contains(&id.resource.as_str());
        let is_one_of = |kinds: &[&str], id: &Id| kinds.contains(&id.resource.as_str());
        let mut objects = BTreeSet::new();
        self.go_down(of, &mut objects);

        // Who shapes what it names, and who leads to it. A class is not shaped by who names it.
        let shaped: BTreeSet<Id> = objects.iter().filter(|id| is_one_of(&SHAPED, id)).cloned().collect();
        let beside: Vec<&Id> = self.naming(&shaped).filter(|id| !is_route(id)).collect();
        for id in &beside {
            self.go_down(id, &mut objects);
        }
        if !is_route(of) {
            let sets = beside.iter().copied().filter(|id| is_one_of(&PARENTS, id));
            let mut led_to: BTreeSet<Id> = sets.cloned().chain([of.clone()]).collect();
            if !is_one_of(&PARENTS, of) {
                led_to.extend(shaped.iter().cloned());
            }
            for route in self.naming(&led_to).filter(|id| is_route(id)) {
                objects.insert(route.clone());
                for parent in self.names[route].iter().filter(|id| is_one_of(&PARENTS, id)) {
                    self.go_down(parent, &mut objects);
                }
            }
        } else if is_one_of(&CONTENDING, of) {
            let parents: BTreeSet<Id> = shaped.into_iter().filter(|id| is_one_of(&PARENTS, id)).collect();
            objects.extend(self.naming(&parents).filter(|id| is_one_of(&CONTENDING, id)).cloned());
        }
        let namespaces = objects.iter().map(|id| id.namespace.clone()).filter(|namespace| !namespace.is_empty()).collect();
        Reach { objects, namespaces }
    }

    /// An object and what it names, and what those name.
    fn go_down(&self, from: &Id, reached: &mut BTreeSet<Id>) {
        if reached.insert(from.clone()) {
            for named in self.names.get(from).into_iter().flatten() {
                self.go_down(named, reached);
            }
        }
    }

    /// The objects that name one of these.
    fn naming<'a>(&'a self, these: &'a BTreeSet<Id>) -> impl Iterator<Item = &'a Id> {
        self.names.iter().filter(|(_, named)| !named.is_disjoint(these)).map(|(id, _)| id)
    }
}

/// Finds everything that a document refers to.
fn follow(within: &Value, namespace: &str, named: &mut BTreeSet<Id>) {
    match within {
        Value::Object(fields) => {
            for (field, value) in fields {
                let kind = field.strip_suffix("Ref").or_else(|| field.strip_suffix("Refs"));
                if let Some(field) = kind {
                    let entries = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
                    named.extend(entries.iter().filter_map(|entry| named_by(entry, kind_of(field), namespace)));
                }
                follow(value, namespace, named);
            }
        }
        Value::Array(entries) => entries.iter().for_each(|entry| follow(entry, namespace, named)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The kind that a reference means when it says none.
fn kind_of(field: &str) -> Option<&'static str> {
    match field {
        "parent" => Some("Gateway"),
        "backend" => Some("Service"),
        "certificate" | "clientCertificate" => Some("Secret"),
        _ => None,
    }
}

/// What a reference names.
fn named_by(reference: &Value, kind: Option<&str>, namespace: &str) -> Option<Id> {
    let text = |field: &str| reference.get(field).and_then(Value::as_str);
    let kind = text("kind").or(kind)?.to_lowercase();
    let resource = match &kind {
        kind if kind.ends_with("parameters") => kind.clone(),
        kind if kind.ends_with("policy") => format!("{}ies", &kind[..kind.len() - 1]),
        kind if kind.ends_with('s') => format!("{kind}es"),
        kind => format!("{kind}s"),
    };
    let is_of_cluster = matches!(resource.as_str(), "gatewayclasses" | "clustertrustbundles" | "namespaces");
    let namespace = if is_of_cluster { "" } else { text("namespace").unwrap_or(namespace) };
    Some(Id { resource, namespace: namespace.to_owned(), name: text("name")?.to_owned() })
}
