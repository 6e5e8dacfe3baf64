//! Malformed objects of every kind, a row for each rule of the schema: which object, which field, and what was expected there.
//!
//! Each row breaks one rule only. Read as a file, its object is refused with that one complaint; read from a store, it is there
//! with that complaint, unless it breaks a type, which no store can hold. What the schema leaves open becomes a condition instead.

mod backends;
mod conditions;
mod filters;
mod gateways;
mod policies;
mod routes;
mod rules;

use std::collections::BTreeSet;

use gateway_core::name::Kind;
use gateway_core::resource::{FieldValidation, Invalid, Reader, Reading, read, read_stored};
use serde_json::Value;

/// An object that breaks one rule.
pub(super) struct Row {
    /// The rule in words.
    rule: &'static str,
    kind: &'static str,
    /// Its fields beside `apiVersion`, `kind` and `metadata`.
    fields: String,
    /// Where it is broken.
    path: &'static str,
    /// Words of the complaint.
    part: &'static str,
}

/// A row about the specification of an object.
pub(super) fn row(rule: &'static str, kind: &'static str, spec: impl AsRef<str>, path: &'static str, part: &'static str) -> Row {
    Row { rule, kind, fields: format!("spec: {}", spec.as_ref()), path, part }
}

/// A row about an object without specification.
pub(super) fn plain(rule: &'static str, kind: &'static str, fields: &str, path: &'static str, part: &'static str) -> Row {
    Row { rule, kind, fields: fields.to_owned(), path, part }
}

/// A list of so many entries, each with `#` replaced by its number.
pub(super) fn many(count: usize, entry: &str) -> String {
    let entries: Vec<_> = (0..count).map(|number| entry.replace('#', &number.to_string())).collect();
    format!("[{}]", entries.join(", "))
}

/// A map of so many entries.
pub(super) fn map(count: usize) -> String {
    let entries: Vec<_> = (0..count).map(|number| format!("k{number}: v")).collect();
    format!("{{{}}}", entries.join(", "))
}

fn api_version(kind: &str) -> &'static str {
    match kind {
        "XBackend" | "XBackendTrafficPolicy" | "XTelemetryPolicy" => "gateway.networking.x-k8s.io/v1alpha1",
        "DirectResponse" | "GatewayParameters" => "pingora-gateway.dev/v1alpha1",
        "Namespace" | "Service" | "Secret" | "ConfigMap" => "v1",
        "EndpointSlice" => "discovery.k8s.io/v1",
        "ServiceImport" => "multicluster.x-k8s.io/v1alpha1",
        "ClusterTrustBundle" => "certificates.k8s.io/v1",
        _ => "gateway.networking.k8s.io/v1",
    }
}

fn reader() -> Reader {
    Reader { validation: FieldValidation::Strict, lenient_forms: true, extensions: Vec::new() }
}

impl Row {
    fn document(&self) -> Value {
        let Self { kind, fields, .. } = self;
        let metadata = if fields.contains("metadata:") { "" } else { "metadata: {name: x, namespace: team}\n" };
        let yaml = format!("apiVersion: {}\nkind: {kind}\n{metadata}{fields}\n", api_version(kind));
        serde_saphyr::from_str(&yaml).unwrap_or_else(|error| panic!("{}: {error}\n{yaml}", self.rule))
    }

    /// What is amiss when this is all that is said of it: the one complaint must be the one that is meant.
    fn amiss(&self, invalid: &[Invalid]) -> Option<String> {
        let Self { rule, kind, fields, path, part } = self;
        let is_meant = match invalid {
            [Invalid { object, path: found, expected }] => {
                found == path && expected.contains(part) && object.starts_with(&format!("{kind} "))
            }
            _ => false,
        };
        (!is_meant).then(|| format!("{kind}: {rule}: expected {part:?} at {path}, found {invalid:#?}\n{fields}"))
    }
}

fn rows() -> Vec<Row> {
    [gateways::rows(), routes::rows(), filters::rows(), policies::rows(), backends::rows()].into_iter().flatten().collect()
}

#[test]
fn a_file_that_breaks_a_rule_is_refused_with_object_field_and_expectation() {
    let amiss: Vec<_> =
        rows().iter().filter_map(|row| row.amiss(&read(row.document(), &reader()).err().unwrap_or_default())).collect();
    assert!(amiss.is_empty(), "{}", amiss.join("\n"));
}

#[test]
fn a_stored_object_that_breaks_a_rule_is_read_and_keeps_what_it_violates() {
    let mut kept = 0;
    for row in rows() {
        let invalid = match read_stored(row.document(), &reader()) {
            Ok(Reading::Object { object, .. }) => {
                kept += 1;
                object.meta().violations.all().to_vec()
            }
            Ok(Reading::Foreign { kind, .. }) => panic!("{kind} is not read"),
            Err(invalid) => invalid,
        };
        assert_eq!(row.amiss(&invalid), None);
    }
    assert!(kept > 100, "only {kept} rows are about more than types");
}

#[test]
fn every_demand_of_the_schema_has_its_rows() {
    let rows: BTreeSet<_> = rows().iter().map(|row| (row.kind, row.rule)).chain(conditions::rules()).collect();
    let missing: Vec<_> = rules::DEMANDS
        .iter()
        .flat_map(|demand| demand.rows.iter().map(move |rule| (demand.kind, demand.what, *rule)))
        .filter(|(kind, _, rule)| !rows.contains(&(*kind, *rule)))
        .collect();
    assert!(missing.is_empty(), "no row breaks {missing:#?}");
    assert!(rules::DEMANDS.iter().all(|demand| !demand.rows.is_empty()), "a demand that nothing breaks is not tested");
}

#[test]
fn every_kind_and_every_rule_has_its_row() {
    let rows = rows();
    assert!(rows.len() >= 150, "{} rows", rows.len());
    let rules: BTreeSet<_> = rows.iter().map(|row| (row.kind, row.rule)).collect();
    assert_eq!(rules.len(), rows.len(), "two rows are about one rule of one kind");
    let told: BTreeSet<_> = rows.iter().map(|row| row.kind).collect();
    for row in &rows {
        let group = api_version(row.kind).rsplit_once('/').map_or("", |(group, _)| group);
        assert!(Kind::named(group, row.kind).is_some(), "{} is no kind", row.kind);
    }
    // One row names each kind that is read; extensions have no schema of ours.
    assert_eq!(told.len(), 22, "{told:?}");
}
