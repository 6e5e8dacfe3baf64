//! A rich configuration: every kind of object, most fields of each.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock};

use gateway_core::compile::{Bound, Change, Compiler, Extensions, ExternalNames, Fact, Options, Update};
use gateway_core::resource::{FieldValidation, Object, Reader, Reading, read};
use gateway_core::snapshot::Snapshot;
use gateway_core::support::Support;
use serde_json::Value;

/// The documents, as written, with a certificate and a key where they say so.
pub(crate) static DOCUMENTS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let mut documents = documents(include_str!("../world.yaml"));
    if let Ok(made) = rcgen::generate_simple_self_signed(["*.example.com".to_owned(), "shop.example.com".to_owned()]) {
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        documents.iter_mut().for_each(|document| fill(document, &certificate, &key));
    }
    documents
});

/// Writes the certificate and the key where their names stand.
fn fill(value: &mut Value, certificate: &str, key: &str) {
    match value {
        Value::String(text) if text == "CERTIFICATE" => certificate.clone_into(text),
        Value::String(text) if text == "KEY" => key.clone_into(text),
        Value::Array(entries) => entries.iter_mut().for_each(|entry| fill(entry, certificate, key)),
        Value::Object(fields) => fields.values_mut().for_each(|field| fill(field, certificate, key)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The documents of a text, as far as they can be read.
pub(crate) fn documents(text: &str) -> Vec<Value> {
    text.split("\n---")
        .filter_map(|document| serde_saphyr::from_str(document).ok())
        .filter(|value: &Value| !value.is_null())
        .collect()
}

/// Reads as files are read.
pub(crate) fn reader() -> Reader {
    Reader { validation: FieldValidation::Strict, lenient_forms: true, extensions: Vec::new() }
}

/// A data plane that performs everything.
pub(crate) fn options() -> Options {
    let external_names = ExternalNames::Elsewhere;
    Options { support: Support::ALL, extensions: Extensions::default(), external_names, seed: 7, ..Options::default() }
}

/// What is served of the world, with every socket bound and every name resolved.
pub(crate) static SNAPSHOT: LazyLock<Arc<Snapshot>> = LazyLock::new(|| compiled().snapshot);

fn compiled() -> Update {
    let objects = DOCUMENTS.iter().map(|document| match read(document.clone(), &reader()) {
        Ok(Reading::Object { object, .. }) => object,
        other => panic!("{other:#?}"),
    });
    let mut compiler = Compiler::new(options());
    let update = compiler.apply(objects.map(Change::Put).collect::<Vec<_>>());
    let bound = update.snapshot.sockets().map(|(socket, _)| Change::Fact(Fact::Socket(*socket, Some(Bound::Yes))));
    let names = ["api.example.net", "dns.example.net"]
        .map(|host| Change::Fact(Fact::Resolved(host.into(), Some([IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))].into()))));
    compiler.apply(bound.chain(names).collect::<Vec<_>>())
}

/// The stored status of an object.
pub(crate) fn stored(object: &Object) -> Option<&Value> {
    match object {
        Object::GatewayClass(object) => object.status.as_ref(),
        Object::Gateway(object) => object.status.as_ref(),
        Object::ListenerSet(object) => object.status.as_ref(),
        Object::HttpRoute(object) => object.status.as_ref(),
        Object::GrpcRoute(object) => object.status.as_ref(),
        Object::TlsRoute(object) => object.status.as_ref(),
        Object::TcpRoute(object) => object.status.as_ref(),
        Object::UdpRoute(object) => object.status.as_ref(),
        Object::BackendTlsPolicy(object) => object.status.as_ref(),
        Object::XBackendTrafficPolicy(object) => object.status.as_ref(),
        Object::XTelemetryPolicy(object) => object.status.as_ref(),
        Object::XBackend(object) => object.status.as_ref(),
        Object::ReferenceGrant(_)
        | Object::Namespace(_)
        | Object::Service(_)
        | Object::ServiceImport(_)
        | Object::EndpointSlice(_)
        | Object::Secret(_)
        | Object::ConfigMap(_)
        | Object::ClusterTrustBundle(_)
        | Object::DirectResponse(_)
        | Object::GatewayParameters(_)
        | Object::Extension(_) => None,
    }
}
