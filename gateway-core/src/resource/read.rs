//! From a document to an object: which kind it is, its metadata, its fields, and then the rules of its schema.
//!
//! In: a JSON value and what the reader is prepared to accept. Out: the object, or that its kind is none of ours, or all that is
//! wrong with it. `null` counts as absent, as an API server has it.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::name::{EXPERIMENTAL_GROUP, GATEWAY_GROUP, GroupKind, Kind, OWN_GROUP};

use super::endpoint_slice::StatedSlice;
use super::meta::{DEFAULT_NAMESPACE, StatedMeta};
use super::report::{Report, what};
use super::typed::typed;
use super::{
    BackendTlsPolicy, ClusterTrustBundle, ConfigMap, DirectResponse, EndpointSlice, Extension, Gateway, GatewayClass,
    GatewayParameters, GrpcRoute, HttpRoute, Invalid, ListenerSet, Meta, Namespace, Object, ReferenceGrant, Secret, Service,
    ServiceImport, TcpRoute, TlsRoute, UdpRoute, Warning, XBackend, XBackendTrafficPolicy, XTelemetryPolicy, lenient, validate,
    version,
};

/// What a reader is prepared to accept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reader {
    /// What becomes of unknown fields of Gateway API and own kinds; core kinds ignore them always.
    pub validation: FieldValidation,
    /// Whether the forms of files are accepted, with a warning: objects in a header modifier's `remove`, an inline
    /// DirectResponse.
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
    let reading = typed_only(document, reader)?;
    if let Reading::Object { object, .. } = &reading {
        let invalid = validate(object);
        if !invalid.is_empty() {
            return Err(invalid);
        }
    }
    Ok(reading)
}

/// Reads a document that an API server has stored: refused is only what no object can hold. What else [`validate`] would say is
/// kept in the object's [`Meta::violations`], and the compiler makes it a condition: of a rule or a listener where it concerns no
/// more than that, of the object where it does.
pub fn read_stored(document: Value, reader: &Reader) -> Result<Reading, Vec<Invalid>> {
    let mut reading = typed_only(document, reader)?;
    if let Reading::Object { object, .. } = &mut reading {
        let violations = validate(object);
        if !violations.is_empty() {
            object.meta_mut().violations = violations.into();
        }
    }
    Ok(reading)
}

/// Reads a document without asking for more than its types.
fn typed_only(document: Value, reader: &Reader) -> Result<Reading, Vec<Invalid>> {
    let Value::Object(mut fields) = document else {
        let mut report = Report::on("document".to_owned());
        report.refuse("", format!("expected an object with apiVersion, kind and metadata, found {}", what(&document)));
        return Err(report.into_invalid());
    };
    let name = best_name(&fields);
    let mut report = Report::on(label(&fields, &name));
    let (Some((group, version)), Some(kind)) = (api_version(&mut fields, &mut report), text(&mut fields, "kind", &mut report))
    else {
        return Err(report.into_invalid());
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
    version::check(&kind, &version, &mut report);
    let mut document = Document { kind, fields, status, unknown: Vec::new(), report };
    let object = document.object(reader);
    document.judge_unknown(reader.validation);
    match object {
        Some(object) if document.report.invalid.is_empty() => Ok(Reading::Object { object, warnings: document.report.warnings }),
        Some(_) | None => Err(document.report.into_invalid()),
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
        match self.kind.clone() {
            Kind::GatewayClass => {
                self.with_status(meta, |meta, spec, status| Object::GatewayClass(Arc::new(GatewayClass { meta, spec, status })))
            }
            Kind::Gateway => {
                self.with_status(meta, |meta, spec, status| Object::Gateway(Arc::new(Gateway { meta, spec, status })))
            }
            Kind::ListenerSet => {
                self.with_status(meta, |meta, spec, status| Object::ListenerSet(Arc::new(ListenerSet { meta, spec, status })))
            }
            Kind::HttpRoute => {
                self.lenient(reader);
                self.with_status(meta, |meta, spec, status| Object::HttpRoute(Arc::new(HttpRoute { meta, spec, status })))
            }
            Kind::GrpcRoute => {
                self.lenient(reader);
                self.with_status(meta, |meta, spec, status| Object::GrpcRoute(Arc::new(GrpcRoute { meta, spec, status })))
            }
            Kind::TlsRoute => {
                self.with_status(meta, |meta, spec, status| Object::TlsRoute(Arc::new(TlsRoute { meta, spec, status })))
            }
            Kind::TcpRoute => {
                self.with_status(meta, |meta, spec, status| Object::TcpRoute(Arc::new(TcpRoute { meta, spec, status })))
            }
            Kind::UdpRoute => {
                self.with_status(meta, |meta, spec, status| Object::UdpRoute(Arc::new(UdpRoute { meta, spec, status })))
            }
            Kind::ReferenceGrant => {
                self.with_status(meta, |meta, spec, _| Object::ReferenceGrant(Arc::new(ReferenceGrant { meta, spec })))
            }
            Kind::BackendTlsPolicy => self.with_status(meta, |meta, spec, status| {
                Object::BackendTlsPolicy(Arc::new(BackendTlsPolicy { meta, spec, status }))
            }),
            Kind::XBackendTrafficPolicy => self.with_status(meta, |meta, spec, status| {
                Object::XBackendTrafficPolicy(Arc::new(XBackendTrafficPolicy { meta, spec, status }))
            }),
            Kind::XTelemetryPolicy => self.with_status(meta, |meta, spec, status| {
                Object::XTelemetryPolicy(Arc::new(XTelemetryPolicy { meta, spec, status }))
            }),
            Kind::XBackend => {
                self.with_status(meta, |meta, spec, status| Object::XBackend(Arc::new(XBackend { meta, spec, status })))
            }
            Kind::ClusterTrustBundle => {
                self.with_status(meta, |meta, spec, _| Object::ClusterTrustBundle(Arc::new(ClusterTrustBundle { meta, spec })))
            }
            Kind::ServiceImport => {
                self.raise_spec();
                self.with_defaults(meta, |meta, spec| Object::ServiceImport(Arc::new(ServiceImport { meta, spec })))
            }
            Kind::DirectResponse => {
                self.with_defaults(meta, |meta, spec| Object::DirectResponse(Arc::new(DirectResponse { meta, spec })))
            }
            Kind::GatewayParameters => {
                self.with_defaults(meta, |meta, spec| Object::GatewayParameters(Arc::new(GatewayParameters { meta, spec })))
            }
            Kind::Service => self.with_defaults(meta, |meta, spec| Object::Service(Arc::new(Service { meta, spec }))),
            Kind::Namespace => Some(Object::Namespace(Arc::new(Namespace::new(meta?)))),
            Kind::EndpointSlice => Some(Object::EndpointSlice(Arc::new(self.endpoint_slice(meta)?))),
            Kind::Secret => {
                let secret = Secret::decode(meta, &mut self.fields, &mut self.report)?;
                Some(Object::Secret(Arc::new(secret)))
            }
            Kind::ConfigMap => {
                let map = ConfigMap::decode(meta, &mut self.fields, &mut self.report)?;
                Some(Object::ConfigMap(Arc::new(map)))
            }
            Kind::Extension(kind) => {
                let body = Value::Object(std::mem::take(&mut self.fields));
                Some(Object::Extension(Arc::new(Extension { meta: meta?, kind: *kind, body })))
            }
        }
    }

    /// An object whose specification must be there, and which may have a status.
    fn with_status<T: DeserializeOwned>(
        &mut self,
        meta: Option<Meta>,
        object: impl FnOnce(Meta, T, Option<Value>) -> Object,
    ) -> Option<Object> {
        let Some(spec) = self.fields.remove("spec") else {
            self.report.refuse("spec", "expected an object, found none");
            return None;
        };
        let spec = typed(spec, "spec", &mut self.unknown, &mut self.report);
        Some(object(meta?, spec?, self.status.take()))
    }

    /// An object without status whose specification may be left out.
    fn with_defaults<T: DeserializeOwned>(
        &mut self,
        meta: Option<Meta>,
        object: impl FnOnce(Meta, T) -> Object,
    ) -> Option<Object> {
        let spec = self.fields.remove("spec").unwrap_or_else(|| Value::Object(Map::new()));
        let spec = typed(spec, "spec", &mut self.unknown, &mut self.report);
        Some(object(meta?, spec?))
    }

    /// Versions that have no `spec` write its fields at the top.
    fn raise_spec(&mut self) {
        if !self.fields.contains_key("spec") {
            let spec = Value::Object(std::mem::take(&mut self.fields));
            self.fields.insert("spec".to_owned(), spec);
        }
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
        Some(stated.of(&self.kind, &mut self.report))
    }

    fn endpoint_slice(&mut self, meta: Option<Meta>) -> Option<EndpointSlice> {
        let fields = Value::Object(std::mem::take(&mut self.fields));
        let stated: StatedSlice = typed(fields, "", &mut self.unknown, &mut self.report)?;
        let StatedSlice { address_type, endpoints, ports } = stated;
        Some(EndpointSlice { meta: meta?, address_type, endpoints, ports })
    }

    /// Whatever is left at the top is unknown too.
    fn judge_unknown(&mut self, validation: FieldValidation) {
        let group = self.kind.group();
        if ![GATEWAY_GROUP, EXPERIMENTAL_GROUP, OWN_GROUP].contains(&group) || matches!(self.kind, Kind::Extension(_)) {
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::resource::fixture::{document, object, outcome, reader, value};

    const V1: &str = "gateway.networking.k8s.io/v1";

    #[test]
    fn what_is_no_object_says_so() {
        for (yaml, object, path, part) in [
            ("null", "document", "", "found nothing"),
            ("[]", "document", "", "found a list"),
            ("a", "document", "", "found a string"),
            ("{}", "document", "apiVersion", "expected a string, found none"),
            ("{apiVersion: v1}", "document", "kind", "expected a string, found none"),
            ("{apiVersion: v1, kind: ''}", "document", "kind", "found an empty string"),
            ("{apiVersion: 1, kind: Service}", "Service", "apiVersion", "found a number"),
            ("{apiVersion: a/b/c, kind: Service}", "Service", "apiVersion", "found \"a/b/c\""),
            ("{apiVersion: a/, kind: Service}", "Service", "apiVersion", "expected group/version"),
            ("{apiVersion: v1, kind: Service}", "Service", "metadata", "expected an object with a name"),
            ("{apiVersion: v1, kind: Service, metadata: []}", "Service", "metadata", "found a list"),
            ("{apiVersion: v1, kind: Service, metadata: {}}", "Service", "metadata.name", "expected a value, found none"),
            ("{apiVersion: v1, kind: Service, metadata: {name: null}}", "Service", "metadata.name", "found none"),
            ("{apiVersion: v1, kind: Service, metadata: {name: ''}}", "Service default/", "metadata.name", "a DNS label"),
            ("{apiVersion: v1, kind: Service, metadata: {name: a.b}}", "Service default/a.b", "metadata.name", "a DNS label"),
            ("{apiVersion: v1, kind: Service, metadata: {name: [a]}}", "Service", "metadata.name", "expected a string"),
            (
                "{apiVersion: v1, kind: Service, metadata: {name: s, namespace: A}}",
                "Service A/s",
                "metadata.namespace",
                "a DNS label",
            ),
            ("{apiVersion: v1, kind: Secret, metadata: {name: A_b}}", "Secret default/A_b", "metadata.name", "a DNS name"),
            (
                "{apiVersion: v1, kind: Secret, metadata: {name: s, creationTimestamp: yesterday}}",
                "Secret default/s",
                "metadata.creationTimestamp",
                "a time such as 2026-01-31T12:00:00Z (RFC 3339), found string \"yesterday\"",
            ),
            (
                "{apiVersion: v1, kind: Secret, metadata: {name: s, labels: {a: 1}}}",
                "Secret default/s",
                "metadata.labels.a",
                "expected a string, found integer `1`",
            ),
            (
                "{apiVersion: v1, kind: Secret, metadata: {name: s, labels: {a: b c}}}",
                "Secret default/s",
                "metadata.labels.a",
                "a label value",
            ),
            (
                "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: r}}",
                "HTTPRoute default/r",
                "spec",
                "expected an object, found none",
            ),
            (
                "{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: c}, spec: 5}",
                "GatewayClass c",
                "spec",
                "expected an object, found integer `5`",
            ),
        ] {
            let invalid = read(value(yaml), &reader()).unwrap_err();
            assert_eq!((invalid[0].object.as_str(), invalid[0].path.as_str()), (object, path), "{yaml}: {}", invalid[0]);
            assert!(invalid[0].expected.contains(part), "{yaml}: {}", invalid[0]);
        }
    }

    #[test]
    fn metadata_are_read() {
        let yaml = "apiVersion: v1
kind: Secret
metadata:
  name: s
  namespace: team
  generation: 7
  creationTimestamp: '2024-02-29T12:00:00Z'
  resourceVersion: '12'
  uid: u
  annotations: {pingora-gateway.dev/order: '1'}
  ownerReferences: [{whatever: true}]
";
        let object = object(yaml);
        assert_eq!(object.id().to_string(), "Secret team/s");
        let meta = object.meta();
        assert_eq!((meta.generation, meta.created), (7, Some(1_709_208_000)));
        assert_eq!((meta.resource_version.as_deref(), meta.uid.as_deref()), (Some("12"), Some("u")));
        assert_eq!(meta.annotations["pingora-gateway.dev/order"], "1");
    }

    /// What a cluster exports, such as `kubectl get -o yaml` writes it.
    #[test]
    fn metadata_that_a_cluster_adds_are_known_fields_and_others_are_not() {
        let yaml = "apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata:
  name: c
  generateName: c-
  selfLink: /apis/x
  deletionTimestamp: '2024-02-29T12:00:00Z'
  deletionGracePeriodSeconds: 30
  finalizers: [gateway-exists-finalizer.gateway.networking.k8s.io/c]
  ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: o, uid: u, controller: true, weights: [1.5, -2]}]
  managedFields:
  - {manager: kubectl, operation: Update, time: null, fieldsType: FieldsV1, fieldsV1: {'f:spec': {'f:controllerName': {}}}}
spec: {controllerName: a.b/c}
";
        assert_eq!(object(yaml).id().to_string(), "GatewayClass c");
        let misspelt = yaml.replace("finalizers", "finalisers");
        let invalid = read(value(&misspelt), &reader()).unwrap_err();
        assert_eq!(invalid[0].path, "metadata.finalisers");
    }

    #[test]
    fn what_states_no_namespace_is_in_default() {
        for (yaml, id) in [
            ("{apiVersion: v1, kind: Service, metadata: {name: s, creationTimestamp: null}}", "Service default/s"),
            ("{apiVersion: v1, kind: Service, metadata: {name: s, namespace: ''}}", "Service default/s"),
            ("{apiVersion: v1, kind: Namespace, metadata: {name: s}}", "Namespace s"),
        ] {
            assert_eq!(object(yaml).id().to_string(), id);
        }
        let yaml = "{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: c, namespace: x}, spec: {controllerName: a.b/c}}";
        let (object, warnings) = outcome(yaml).unwrap();
        assert_eq!(object.id().to_string(), "GatewayClass c");
        assert_eq!(warnings[0].path, "metadata.namespace");
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let types = "spec: {parentRefs: [{name: g, port: 0}], hostnames: a.com, rules: [{backendRefs: [{name: b, port: http}], retry: {codes: [200]}}]}";
        let rules = "spec: {parentRefs: [{name: ''}], hostnames: ['*'], rules: [{matches: [{path: {value: a}}], backendRefs: [{name: b}]}], other: 1}\nmore: 1";
        for (fields, paths) in [
            (
                types,
                &[
                    "spec.parentRefs[0].port",
                    "spec.hostnames",
                    "spec.rules[0].backendRefs[0].port",
                    "spec.rules[0].retry.codes[0]",
                ][..],
            ),
            (rules, &["spec.other", "more"]),
        ] {
            let invalid = outcome(&document(V1, "HTTPRoute", fields)).unwrap_err();
            let found: BTreeSet<_> = invalid.iter().map(|invalid| invalid.path.as_str()).collect();
            assert_eq!(found, paths.iter().copied().collect(), "{invalid:#?}");
        }
        let rules = rules.replace(", other: 1", "").replace("more: 1", "");
        let invalid = outcome(&document(V1, "HTTPRoute", &rules)).unwrap_err();
        assert_eq!(invalid.len(), 4, "{invalid:#?}");
    }

    #[test]
    fn unknown_fields_are_judged_as_asked() {
        let ours = "metadata: {name: x, lables: {}}\nspec: {hostname: a, rules: [{backendRefs: [{name: b, port: 1, wieght: 2}]}]}\nspecs: {}";
        let ours = format!("apiVersion: {V1}\nkind: HTTPRoute\n{ours}");
        let paths = ["metadata.lables", "spec.hostname", "spec.rules[0].backendRefs[0].wieght", "specs"];
        let judged = |validation| read(value(&ours), &Reader { validation, ..reader() });

        let invalid = judged(FieldValidation::Strict).unwrap_err();
        let found: Vec<_> = invalid.iter().map(|invalid| invalid.path.as_str()).collect();
        assert_eq!(found, paths);
        assert!(invalid.iter().all(|invalid| invalid.expected.contains("a field of HTTPRoute")));

        let Ok(Reading::Object { warnings, .. }) = judged(FieldValidation::Warn) else { panic!("accepted with warnings") };
        let found: Vec<_> = warnings.iter().map(|warning| warning.path.as_str()).collect();
        assert_eq!(found, paths);

        let Ok(Reading::Object { warnings, .. }) = judged(FieldValidation::Ignore) else { panic!("accepted") };
        assert_eq!(warnings, []);

        let core = "apiVersion: v1\nkind: Service\nmetadata: {name: x, other: 1}\nspec: {other: 1}\nmore: 1";
        assert!(outcome(core).is_ok(), "core kinds ignore what is not modelled");
    }

    #[test]
    fn other_kinds_are_foreign_unless_registered() {
        let yaml = "apiVersion: example.com/v1\nkind: Sign\nmetadata: {name: s, namespace: team}\nspec: {key: null, other: 1}\nstatus: {a: 1}";
        let kind = GroupKind::new("example.com", "Sign");
        let foreign = Reading::Foreign { kind: kind.clone(), name: "s".to_owned() };
        assert_eq!(read(value(yaml), &reader()), Ok(foreign));
        let reader = Reader { extensions: vec![kind.clone()], ..reader() };
        let Ok(Reading::Object { object: Object::Extension(extension), warnings }) = read(value(yaml), &reader) else {
            panic!("an extension")
        };
        assert_eq!(extension.kind, kind);
        assert_eq!(extension.body, serde_json::json!({"spec": {"other": 1}}));
        assert_eq!(Object::Extension(extension).id().to_string(), "Sign team/s");
        assert_eq!(warnings, []);
        let nameless = read(value("{apiVersion: kustomize.config.k8s.io/v1, kind: Kustomization}"), &reader);
        assert!(matches!(nameless, Ok(Reading::Foreign { name, .. }) if name.is_empty()));
    }

    #[test]
    fn status_is_kept_as_it_stands() {
        let yaml = document(
            V1,
            "HTTPRoute",
            "spec: {}\nstatus: {parents: [{controllerName: other, conditions: null}], unknown: [null]}",
        );
        let Object::HttpRoute(route) = object(&yaml) else { panic!("no HTTPRoute") };
        let expected = serde_json::json!({"parents": [{"controllerName": "other", "conditions": null}], "unknown": [null]});
        assert_eq!(route.status, Some(expected));
    }

    #[test]
    fn what_is_stored_is_not_judged_by_the_rules() {
        let yaml = document(V1, "HTTPRoute", "spec: {hostnames: ['*'], rules: [{backendRefs: [{name: b}]}]}");
        assert_eq!(read(value(&yaml), &reader()).unwrap_err().len(), 2);
        let Ok(Reading::Object { object, .. }) = read_stored(value(&yaml), &reader()) else { panic!("read") };
        assert_eq!(validate(&object), object.meta().violations.all());
        assert_eq!(object.meta().violations.all().len(), 2);
    }

    #[test]
    fn what_people_write_is_accepted_with_a_remark() {
        for (api_version, kind, fields, remarks) in [
            (
                "gateway.networking.k8s.io/v1beta1",
                "GatewayClass",
                "spec: {controllerName: a.b/c, parametersRef: {group: nobody.example, kind: Config, name: c}}",
                &["metadata.namespace"][..],
            ),
            (
                "gateway.networking.k8s.io/v1beta1",
                "TCPRoute",
                "spec: {parentRefs: [{name: g, namespace: infra, sectionName: db}], rules: [{backendRefs: [{name: db, port: 5432, weight: 100}]}]}",
                &["apiVersion"],
            ),
            (
                "gateway.networking.k8s.io/v1beta1",
                "TLSRoute",
                "spec: {parentRefs: [{name: g}], hostnames: [a.example], rules: [{backendRefs: [{name: b, port: 8443}]}]}",
                &["apiVersion"],
            ),
            (
                "gateway.networking.k8s.io/v1beta1",
                "GRPCRoute",
                "spec: {rules: [{matches: [{method: {service: UserService, method: GetUser}}], backendRefs: [{name: b, port: 9000}]}]}",
                &["apiVersion"],
            ),
            (
                "gateway.networking.k8s.io/v1beta1",
                "HTTPRoute",
                "spec: {rules: [{filters: [{type: RequestHeaderModifier, requestHeaderModifier: {remove: [{name: X-Old}]}}], backendRefs: [{name: b, port: 80}]}]}",
                &["spec.rules[0].filters[0].requestHeaderModifier.remove[0]"],
            ),
            (
                "gateway.networking.k8s.io/v1beta1",
                "HTTPRoute",
                "spec: {rules: [{filters: [{type: DirectResponse, directResponse: {statusCode: 200, body: fine}}]}]}",
                &["spec.rules[0].filters[0]"],
            ),
            (
                "gateway.networking.k8s.io/v1beta1",
                "Gateway",
                "spec: {gatewayClassName: unheard-of, listeners: [{name: dns, protocol: UDP, port: 53, allowedRoutes: {kinds: [{kind: UDPRoute}]}}]}",
                &[],
            ),
        ] {
            let (_, warnings) = outcome(&document(api_version, kind, fields)).unwrap();
            let found: Vec<_> = warnings.iter().map(|warning| warning.path.as_str()).collect();
            assert_eq!(found, remarks, "{kind}");
        }
    }
}
