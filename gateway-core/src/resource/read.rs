//! From a document to an object: which kind it is, its metadata, its fields, and then the rules of its schema.
//!
//! In: a JSON value and what the reader is prepared to accept. Out: the object, or that its kind is none of ours, or all that is wrong with it. `null`
//! counts as absent, as an API server has it.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::name::{GATEWAY_GROUP, GroupKind, Kind, OWN_GROUP, ObjectName};

use super::endpoint_slice::StatedSlice;
use super::namespace::NAME_LABEL;
use super::report::Report;
use super::typed::typed;
use super::{
    DirectResponse, EndpointSlice, Extension, Gateway, GatewayClass, GatewayParameters, GrpcRoute, HttpRoute, Invalid, Meta,
    Namespace, Object, ReferenceGrant, Secret, Service, TcpRoute, TlsRoute, UdpRoute, Warning, lenient, validate,
};

/// What a reader is prepared to accept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader {
    /// What becomes of unknown fields of Gateway API and own kinds; core kinds ignore them always.
    pub validation: FieldValidation,
    /// Whether the forms of files are accepted, with a warning: objects in a header modifier's `remove`, an inline DirectResponse.
    pub lenient_forms: bool,
    /// The kinds registered as extension filters.
    pub extensions: Vec<GroupKind>,
}

/// What becomes of unknown fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// They are refused.
    #[default]
    Strict,
    /// They are remarked on.
    Warn,
    /// They are passed over.
    Ignore,
}

/// What a document turned out to be.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// An object of a kind that is read.
    Object {
        /// The object.
        object: Object,
        /// What is odd about it.
        warnings: Vec<Warning>,
    },
    /// An object of another kind.
    Foreign {
        /// Its kind.
        kind: GroupKind,
        /// Its name, as far as it states one.
        name: String,
    },
}

/// Reads a document nobody has checked: what an API server would refuse is refused, with all that is wrong with it.
pub fn read(document: Value, reader: &Reader) -> Result<Reading, Vec<Invalid>> {
    let reading = read_stored(document, reader)?;
    if let Reading::Object { object, .. } = &reading {
        let invalid = validate(object);
        if !invalid.is_empty() {
            return Err(invalid);
        }
    }
    Ok(reading)
}

/// Reads a document that an API server has stored: refused is only what no object can hold. What else [`validate`] would say is left to the caller.
pub fn read_stored(document: Value, reader: &Reader) -> Result<Reading, Vec<Invalid>> {
    let Value::Object(mut fields) = document else {
        let mut report = Report::on("document".to_owned());
        report.refuse("", format!("expected an object with apiVersion, kind and metadata, found {}", what(&document)));
        return Err(report.invalid);
    };
    let name = best_name(&fields);
    let mut report = Report::on(label(&fields, &name));
    let (Some((group, version)), Some(kind)) = (api_version(&mut fields, &mut report), text(&mut fields, "kind", &mut report))
    else {
        return Err(report.invalid);
    };
    let group_kind = GroupKind::new(&group, &kind);
    let kind = match Kind::named(&group, &kind) {
        Some(kind) => kind,
        None if reader.extensions.contains(&group_kind) => Kind::Extension(Box::new(group_kind)),
        None => return Ok(Reading::Foreign { kind: group_kind, name }),
    };
    let status = fields.remove("status");
    fields.retain(|_, field| !field.is_null());
    fields.values_mut().for_each(prune);
    check_version(&kind, &version, &mut report);
    let mut document = Document { kind, fields, status, unknown: Vec::new(), report };
    let object = document.object(reader);
    document.judge_unknown(reader.validation);
    match object {
        Some(object) if document.report.invalid.is_empty() => Ok(Reading::Object { object, warnings: document.report.warnings }),
        Some(_) | None => Err(document.report.invalid),
    }
}

/// A document whose kind is known.
struct Document {
    kind: Kind,
    /// What has not been looked at yet.
    fields: Map<String, Value>,
    status: Option<Value>,
    /// The paths of fields nobody knows.
    unknown: Vec<String>,
    report: Report,
}

impl Document {
    fn object(&mut self, reader: &Reader) -> Option<Object> {
        let meta = self.meta();
        Some(match self.kind.clone() {
            Kind::GatewayClass => {
                let spec = self.spec();
                Object::GatewayClass(Arc::new(GatewayClass { meta: meta?, spec: spec?, status: self.status.take() }))
            }
            Kind::Gateway => {
                let spec = self.spec();
                Object::Gateway(Arc::new(Gateway { meta: meta?, spec: spec?, status: self.status.take() }))
            }
            Kind::HttpRoute => {
                self.lenient(reader);
                let spec = self.spec();
                Object::HttpRoute(Arc::new(HttpRoute { meta: meta?, spec: spec?, status: self.status.take() }))
            }
            Kind::GrpcRoute => {
                self.lenient(reader);
                let spec = self.spec();
                Object::GrpcRoute(Arc::new(GrpcRoute { meta: meta?, spec: spec?, status: self.status.take() }))
            }
            Kind::TlsRoute => {
                let spec = self.spec();
                Object::TlsRoute(Arc::new(TlsRoute { meta: meta?, spec: spec?, status: self.status.take() }))
            }
            Kind::TcpRoute => {
                let spec = self.spec();
                Object::TcpRoute(Arc::new(TcpRoute { meta: meta?, spec: spec?, status: self.status.take() }))
            }
            Kind::UdpRoute => {
                let spec = self.spec();
                Object::UdpRoute(Arc::new(UdpRoute { meta: meta?, spec: spec?, status: self.status.take() }))
            }
            Kind::ReferenceGrant => {
                let spec = self.spec();
                Object::ReferenceGrant(Arc::new(ReferenceGrant { meta: meta?, spec: spec? }))
            }
            Kind::DirectResponse => {
                let spec = self.spec_or_empty();
                Object::DirectResponse(Arc::new(DirectResponse { meta: meta?, spec: spec? }))
            }
            Kind::GatewayParameters => {
                let spec = self.spec_or_empty();
                Object::GatewayParameters(Arc::new(GatewayParameters { meta: meta?, spec: spec? }))
            }
            Kind::Service => {
                let spec = self.spec_or_empty();
                Object::Service(Arc::new(Service { meta: meta?, spec: spec? }))
            }
            Kind::Namespace => Object::Namespace(Arc::new(namespace(meta?))),
            Kind::EndpointSlice => Object::EndpointSlice(Arc::new(self.endpoint_slice(meta)?)),
            Kind::Secret => Object::Secret(Arc::new(self.secret(meta)?)),
            Kind::Extension(kind) => {
                let body = Value::Object(std::mem::take(&mut self.fields));
                Object::Extension(Arc::new(Extension { meta: meta?, kind: *kind, body }))
            }
        })
    }

    /// A specification that must be there.
    fn spec<T: DeserializeOwned>(&mut self) -> Option<T> {
        let Some(spec) = self.fields.remove("spec") else {
            self.report.refuse("spec", "expected an object, found none");
            return None;
        };
        typed(spec, "spec", &mut self.unknown, &mut self.report)
    }

    /// A specification whose fields all have defaults.
    fn spec_or_empty<T: DeserializeOwned>(&mut self) -> Option<T> {
        let spec = self.fields.remove("spec").unwrap_or_else(|| Value::Object(Map::new()));
        typed(spec, "spec", &mut self.unknown, &mut self.report)
    }

    fn lenient(&mut self, reader: &Reader) {
        if let Some(spec) = self.fields.get_mut("spec") {
            lenient::admit(spec, reader.lenient_forms, &mut self.report);
        }
    }

    fn meta(&mut self) -> Option<Meta> {
        let Some(stated) = self.fields.remove("metadata") else {
            self.report.refuse("metadata", "expected an object with a name, found none");
            return None;
        };
        let stated: StatedMeta = typed(stated, "metadata", &mut self.unknown, &mut self.report)?;
        let namespace = stated.namespace.filter(|namespace| !namespace.is_empty());
        let name = match namespace {
            Some(namespace) if self.kind.is_cluster_scoped() => {
                let message = format!("passed over: a {} is in no namespace, found \"{namespace}\"", self.kind);
                self.report.warn("metadata.namespace", message);
                ObjectName::cluster(&stated.name)
            }
            None if self.kind.is_cluster_scoped() => ObjectName::cluster(&stated.name),
            namespace => ObjectName::new(namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE), &stated.name),
        };
        Some(Meta {
            name,
            generation: stated.generation,
            created: stated.creation_timestamp.map(|created| created.0),
            labels: stated.labels,
            annotations: stated.annotations,
            resource_version: stated.resource_version,
            uid: stated.uid,
        })
    }

    fn endpoint_slice(&mut self, meta: Option<Meta>) -> Option<EndpointSlice> {
        let fields = Value::Object(std::mem::take(&mut self.fields));
        let stated: StatedSlice = typed(fields, "", &mut self.unknown, &mut self.report)?;
        let StatedSlice { address_type, endpoints, ports } = stated;
        Some(EndpointSlice { meta: meta?, address_type, endpoints, ports })
    }

    /// No message may quote what a Secret holds, so its contents are taken apart by hand.
    fn secret(&mut self, meta: Option<Meta>) -> Option<Secret> {
        let mut data = BTreeMap::new();
        for (key, value) in self.secret_entries("data") {
            match STANDARD.decode(value.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect::<Vec<_>>()) {
                Ok(value) => drop(data.insert(key, value)),
                Err(_) => self.report.refuse(format!("data.{key}"), "expected base64, found something else"),
            }
        }
        for (key, value) in self.secret_entries("stringData") {
            data.insert(key, value.into_bytes());
        }
        let secret_type = match self.fields.remove("type") {
            Some(Value::String(text)) => text,
            None => "Opaque".to_owned(),
            Some(other) => {
                self.report.refuse("type", format!("expected a string, found {}", what(&other)));
                return None;
            }
        };
        Some(Secret { meta: meta?, secret_type, data })
    }

    fn secret_entries(&mut self, field: &str) -> Vec<(String, String)> {
        let entries = match self.fields.remove(field) {
            None => return Vec::new(),
            Some(Value::Object(entries)) => entries,
            Some(other) => {
                self.report.refuse(field, format!("expected an object of strings, found {}", what(&other)));
                return Vec::new();
            }
        };
        let mut strings = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            if let Value::String(text) = value {
                strings.push((key, text));
            } else {
                self.report.refuse(format!("{field}.{key}"), format!("expected a string, found {}", what(&value)));
            }
        }
        strings
    }

    /// Whatever is left at the top is unknown too.
    fn judge_unknown(&mut self, validation: FieldValidation) {
        let group = self.kind.group();
        if group != GATEWAY_GROUP && group != OWN_GROUP || matches!(self.kind, Kind::Extension(_)) {
            return;
        }
        let top = std::mem::take(&mut self.fields).into_iter().map(|(field, _)| field);
        for path in std::mem::take(&mut self.unknown).into_iter().chain(top) {
            match validation {
                FieldValidation::Strict => {
                    let expected = format!("expected a field of {}, found one it does not have", self.kind);
                    self.report.refuse(path, expected);
                }
                FieldValidation::Warn => {
                    let message = format!("passed over: {} has no such field", self.kind);
                    self.report.warn(path, message);
                }
                FieldValidation::Ignore => {}
            }
        }
    }
}

/// `metadata` as written; fields that exist but do not matter are named so that they are not unknown.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatedMeta {
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
    _generate_name: IgnoredAny,
    #[serde(default, rename = "selfLink")]
    _self_link: IgnoredAny,
    #[serde(default, rename = "deletionTimestamp")]
    _deletion_timestamp: IgnoredAny,
    #[serde(default, rename = "deletionGracePeriodSeconds")]
    _deletion_grace_period_seconds: IgnoredAny,
    #[serde(default, rename = "ownerReferences")]
    _owner_references: IgnoredAny,
    #[serde(default, rename = "finalizers")]
    _finalizers: IgnoredAny,
    #[serde(default, rename = "managedFields")]
    _managed_fields: IgnoredAny,
}

/// Seconds since 1970, written as RFC 3339 has it.
struct Timestamp(i64);

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let expected = "a time such as 2026-01-31T12:00:00Z (RFC 3339)";
        let time: jiff::Timestamp =
            text.parse().map_err(|_| serde::de::Error::invalid_value(serde::de::Unexpected::Str(&text), &expected))?;
        Ok(Self(time.as_second()))
    }
}

fn namespace(mut meta: Meta) -> Namespace {
    meta.labels.insert(NAME_LABEL.to_owned(), meta.name.name().to_owned());
    Namespace { meta }
}

/// `apiVersion`, taken apart into group and version.
fn api_version(fields: &mut Map<String, Value>, report: &mut Report) -> Option<(String, String)> {
    let text = text(fields, "apiVersion", report)?;
    let (group, version) = text.rsplit_once('/').unwrap_or(("", &text));
    if version.is_empty() || group.contains('/') || text.starts_with('/') {
        report.refuse("apiVersion", format!("expected group/version, or the version of a core kind, found \"{text}\""));
        return None;
    }
    Some((group.to_owned(), version.to_owned()))
}

/// A string that must be there.
fn text(fields: &mut Map<String, Value>, field: &str, report: &mut Report) -> Option<String> {
    match fields.remove(field) {
        Some(Value::String(text)) if !text.is_empty() => return Some(text),
        Some(other) => report.refuse(field, format!("expected a string, found {}", what(&other))),
        None => report.refuse(field, "expected a string, found none"),
    }
    None
}

/// Remarks on a version the kind never had.
fn check_version(kind: &Kind, version: &str, report: &mut Report) {
    let served = versions(kind);
    let Some(best) = served.first().filter(|_| !served.contains(&version)) else { return };
    let slash = if kind.group().is_empty() { "" } else { "/" };
    let message = format!("{kind} never had version {version}; read as {}{slash}{best}", kind.group());
    report.warn("apiVersion", message);
}

/// The versions a kind has or had, the best first; none for a kind that is not ours to judge.
fn versions(kind: &Kind) -> &'static [&'static str] {
    match kind {
        Kind::GatewayClass | Kind::Gateway | Kind::HttpRoute => &["v1", "v1beta1", "v1alpha2"],
        Kind::GrpcRoute | Kind::TcpRoute | Kind::UdpRoute => &["v1", "v1alpha2"],
        Kind::TlsRoute => &["v1", "v1alpha3", "v1alpha2"],
        Kind::ReferenceGrant => &["v1", "v1beta1", "v1alpha2"],
        Kind::Namespace | Kind::Service | Kind::Secret => &["v1"],
        Kind::EndpointSlice => &["v1", "v1beta1", "v1alpha1"],
        Kind::DirectResponse | Kind::GatewayParameters => &["v1alpha1"],
        Kind::Extension(_) => &[],
    }
}

/// The name to call the object by before its metadata are read.
fn best_name(fields: &Map<String, Value>) -> String {
    fields.get("metadata").and_then(|meta| meta.get("name")).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// What to call the object before it is read.
fn label(fields: &Map<String, Value>, name: &str) -> String {
    let group =
        fields.get("apiVersion").and_then(Value::as_str).and_then(|text| text.rsplit_once('/')).map_or("", |(group, _)| group);
    let kind = fields.get("kind").and_then(Value::as_str).filter(|kind| !kind.is_empty()).unwrap_or("document");
    let clustered = Kind::named(group, kind).is_some_and(|kind| kind.is_cluster_scoped());
    let namespace = fields.get("metadata").and_then(|meta| meta.get("namespace")).and_then(Value::as_str);
    let namespace = namespace.filter(|namespace| !namespace.is_empty()).unwrap_or(DEFAULT_NAMESPACE);
    match (name, clustered) {
        ("", _) => kind.to_owned(),
        (name, true) => format!("{kind} {name}"),
        (name, false) => format!("{kind} {namespace}/{name}"),
    }
}

/// Takes out every field that is `null`; one in a list stays, and is refused by its type.
fn prune(value: &mut Value) {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, field| !field.is_null());
        fields.values_mut().for_each(prune);
    } else if let Some(entries) = value.as_array_mut() {
        entries.iter_mut().for_each(prune);
    }
}

/// What kind of value this is, without what it says.
fn what(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(text) if text.is_empty() => "an empty string",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

const DEFAULT_NAMESPACE: &str = "default";
