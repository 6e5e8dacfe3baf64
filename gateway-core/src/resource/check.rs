//! The rules of the schema and its expressions, kind by kind: what an API server would refuse although every field has the right
//! type.
//!
//! In: an object as read. Out: everything it violates. Not violations, because the API wants them in a condition instead:
//! enumerations with an unknown value, regular expressions nobody can compile, and a replaced prefix where a rule does not match
//! by exactly one prefix.

use std::collections::BTreeMap;

use crate::name::Kind;

use super::place::Place;
use super::report::Report;
use super::syntax::{self, Syntax};
use super::{Invalid, Object};

/// All that an API server would say against the object.
pub fn validate(object: &Object) -> Vec<Invalid> {
    let mut report = Report::on(object.id().to_string());
    let spec = Place::top("spec");
    meta(object, &mut report);
    match object {
        Object::GatewayClass(class) => class.spec.check(&spec, &mut report),
        Object::Gateway(gateway) => gateway.spec.check(&spec, &mut report),
        Object::HttpRoute(route) => route.spec.check(&spec, &mut report),
        Object::GrpcRoute(route) => route.spec.check(&spec, &mut report),
        Object::TlsRoute(route) => route.spec.check(&spec, &mut report),
        Object::TcpRoute(route) => route.spec.check(&spec, &mut report),
        Object::UdpRoute(route) => route.spec.check(&spec, &mut report),
        Object::ReferenceGrant(grant) => grant.spec.check(&spec, &mut report),
        Object::Service(service) => service.spec.check(&spec, &mut report),
        Object::EndpointSlice(slice) => slice.check(&mut report),
        Object::ListenerSet(set) => set.spec.check(&spec, &mut report),
        Object::BackendTlsPolicy(policy) => policy.spec.check(&spec, &mut report),
        Object::XBackendTrafficPolicy(policy) => policy.spec.check(&spec, &mut report),
        Object::XTelemetryPolicy(policy) => policy.spec.check(&spec, &mut report),
        Object::XBackend(backend) => backend.spec.check(&spec, &mut report),
        Object::ServiceImport(import) => import.spec.check(&spec, &mut report),
        Object::ClusterTrustBundle(bundle) => bundle.check(&mut report),
        Object::DirectResponse(response) => response.spec.check(&spec, &mut report),
        Object::GatewayParameters(parameters) => parameters.spec.check(&spec, &mut report),
        // Their fields cannot be wrong once they have their types.
        Object::Namespace(_) | Object::Secret(_) | Object::ConfigMap(_) | Object::Extension(_) => {}
    }
    report.into_invalid()
}

fn meta(object: &Object, report: &mut Report) {
    let metadata = Place::top("metadata");
    let meta = object.meta();
    let name = match object.kind() {
        Kind::Namespace | Kind::Service | Kind::ServiceImport => syntax::LABEL,
        // The rule for its name depends on its signer.
        Kind::ClusterTrustBundle => syntax::NAME,
        Kind::GatewayClass
        | Kind::Gateway
        | Kind::ListenerSet
        | Kind::HttpRoute
        | Kind::GrpcRoute
        | Kind::TlsRoute
        | Kind::TcpRoute
        | Kind::UdpRoute
        | Kind::ReferenceGrant
        | Kind::BackendTlsPolicy
        | Kind::XBackendTrafficPolicy
        | Kind::XTelemetryPolicy
        | Kind::XBackend
        | Kind::EndpointSlice
        | Kind::Secret
        | Kind::ConfigMap
        | Kind::DirectResponse
        | Kind::GatewayParameters
        | Kind::Extension(_) => syntax::SUBDOMAIN,
    };
    report.text(&metadata.field("name"), meta.name.name(), name);
    if !meta.name.namespace().is_empty() {
        report.text(&metadata.field("namespace"), meta.name.namespace(), syntax::LABEL);
    }
    let labels = metadata.field("labels");
    for (key, value) in &meta.labels {
        report.text(&labels.field(key), key, syntax::QUALIFIED_NAME);
        report.text(&labels.field(key), value, syntax::LABEL_VALUE);
    }
}

impl Report {
    /// The text must have this form.
    pub(super) fn text(&mut self, at: &Place<'_>, text: &str, syntax: Syntax) {
        if !(syntax.holds)(text) {
            self.refuse(at, format!("expected {}, found {}", syntax.called, quoted(text)));
        }
    }

    /// The text, where there is one, must have this form.
    pub(super) fn optional_text(&mut self, at: &Place<'_>, text: Option<&str>, syntax: Syntax) {
        if let Some(text) = text {
            self.text(at, text, syntax);
        }
    }

    /// The text may have at most so many characters.
    pub(super) fn short(&mut self, at: &Place<'_>, text: &str, most: usize) {
        let length = text.chars().count();
        if length > most {
            self.refuse(at, format!("expected at most {most} characters, found {length}"));
        }
    }

    /// The text must have so many characters.
    pub(super) fn bounded(&mut self, at: &Place<'_>, text: &str, least: usize, most: usize) {
        let length = text.chars().count();
        if !(least..=most).contains(&length) {
            self.refuse(at, format!("expected {least} to {most} characters, found {length}"));
        }
    }

    /// The list or map must have so many entries.
    pub(super) fn count(&mut self, at: &Place<'_>, found: usize, least: usize, most: usize) {
        if (least..=most).contains(&found) {
            return;
        }
        let expected = match (least, most) {
            (0, most) => format!("at most {most} entries"),
            (least, most) if least == most => format!("exactly {least} {}", if least == 1 { "entry" } else { "entries" }),
            (least, most) => format!("{least} to {most} entries"),
        };
        self.refuse(at, format!("expected {expected}, found {found}"));
    }

    /// Annotations, and what is formed like them.
    pub(super) fn annotations(&mut self, at: &Place<'_>, annotations: &BTreeMap<String, String>) {
        self.count(at, annotations.len(), 0, 16);
        for (key, value) in annotations {
            self.text(&at.field(key), key, syntax::QUALIFIED_NAME);
            self.short(&at.field(key), value, 4096);
        }
    }

    /// No two entries of the list may have the same key.
    pub(super) fn unique<K: Ord>(&mut self, at: &Place<'_>, keys: impl IntoIterator<Item = K>, what: &str) {
        self.unique_among(at, keys.into_iter().enumerate(), what);
    }

    /// No two of these entries of the list may have the same key.
    pub(super) fn unique_among<K: Ord>(&mut self, at: &Place<'_>, keys: impl IntoIterator<Item = (usize, K)>, what: &str) {
        let mut first = BTreeMap::new();
        for (index, key) in keys {
            match first.get(&key) {
                Some(earlier) => {
                    self.refuse(&at.entry(index), format!("expected {what} of its own, found that of entry {earlier} again"))
                }
                None => drop(first.insert(key, index)),
            }
        }
    }

    /// Of a union, the payload that its type means must be there, and no other.
    pub(super) fn union(&mut self, at: &Place<'_>, stated: &str, payloads: &[(&str, &str, bool)]) {
        self.payloads(at, stated, payloads, "an object");
    }

    /// The same where the payloads are texts.
    pub(super) fn union_of_texts(&mut self, at: &Place<'_>, stated: &str, payloads: &[(&str, &str, bool)]) {
        self.payloads(at, stated, payloads, "a string");
    }

    fn payloads(&mut self, at: &Place<'_>, stated: &str, payloads: &[(&str, &str, bool)], form: &str) {
        for &(means, field, is_there) in payloads {
            match (means == stated, is_there) {
                (true, false) => self.refuse(&at.field(field), format!("expected {form}, as the type is {means}, found none")),
                (false, true) => {
                    self.refuse(&at.field(field), format!("expected nothing, as the type is {}, found {form}", quoted(stated)))
                }
                (true, true) | (false, false) => {}
            }
        }
    }
}

/// A text for a message, not longer than a message should be.
pub(super) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(LONGEST_QUOTE).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}

const LONGEST_QUOTE: usize = 80;
