//! What is made for an XBackend of type EndpointSelector (GEP-4894): a headless Service that selects the same pods.
//!
//! In: an XBackend. Out: the manifest, or why there is none; with the label that its EndpointSlices take over, by which they are known as the XBackend's.
//!
//! Invariants: nobody can know the Service's name before it is there, so that nothing else comes to depend on it.

use gateway_core::name::{Kind, ObjectName};
use gateway_core::resource::{XBACKEND_LABEL, XBackend, XBackendType};
use serde_json::json;

use super::child::Child;
use super::discover::Subject;
use super::provision::{CONTROLLER_ANNOTATION, MANAGED_BY, MANAGER, XBACKEND_ANNOTATION, short_hash};

/// The Service of an XBackend that selects endpoints. `api_version` is that of XBackends.
///
/// # Errors
///
/// When its name does not fit into a label.
pub(crate) fn service(backend: &XBackend, api_version: &str, controller_name: &str) -> Result<Option<Child>, &'static str> {
    let spec = &backend.spec;
    let selector = spec.endpoint_selector.as_ref().filter(|_| spec.backend_type == XBackendType::EndpointSelector);
    let Some(selector) = selector else { return Ok(None) };
    let (namespace, own) = (backend.meta.name.namespace(), backend.meta.name.name());
    if own.len() > LONGEST_LABEL {
        return Err("its endpoints cannot be labelled with a name of more than 63 characters; give the XBackend a shorter one");
    }
    let uid = backend.meta.uid.as_deref().unwrap_or_default();
    let start: String = own.chars().map(|c| if c == '.' { '-' } else { c }).take(LONGEST_START).collect();
    let name = format!("xb-{}-{}", start.trim_end_matches('-'), short_hash(&format!("{uid} {controller_name}")));
    let port = spec.port.number;
    let manifest = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {MANAGED_BY: MANAGER, XBACKEND_LABEL: own},
            "annotations": {XBACKEND_ANNOTATION: own, CONTROLLER_ANNOTATION: controller_name},
            "ownerReferences": [{
                "apiVersion": api_version,
                "kind": "XBackend",
                "name": own,
                "uid": uid,
                "controller": true,
            }],
        },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "None",
            "selector": selector.match_labels,
            "ports": [{"name": "endpoints", "port": port, "targetPort": port, "protocol": "TCP"}],
        },
    });
    Ok(Some(Child { subject: Subject::Object(Kind::Service), name: ObjectName::new(namespace, &name), manifest }))
}

/// A value of a label is no longer.
const LONGEST_LABEL: usize = 63;
/// So much of an XBackend's name is in its Service's: with what is around it, a label.
const LONGEST_START: usize = 50;
