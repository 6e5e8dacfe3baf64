//! What an XBackend states of itself that policies state of Services (GEP-4894): TLS, and how clients stay with an endpoint.
//!
//! In: an XBackend, the authorities and the certificate it refers to. Out: the identity that its endpoints have to prove and the one we
//! show, or why it cannot be used; nothing is sent in clear where TLS is asked for.

use std::sync::Arc;

use crate::condition::Reason;
use crate::name::{Kind, ObjectId};
use crate::resource::{SecretObjectRef, XBackend, XBackendProtocol, XBackendTls, XBackendTlsMode, XBackendType};
use crate::snapshot::{BackendIdentity, Certificate, Persistence, Presents, Source};
use crate::support::Capability;

use super::super::age::age;
use super::super::certificates::Certificates;
use super::super::fault::Fault;
use super::super::grant::Reference;
use super::super::objects::{Objects, written_kind};
use super::super::ties::Ties;
use super::super::translate::persistence;
use super::super::trust::Authorities;
use super::super::{Options, violation};
use super::{Asks, Held, Policy, Target, backend_tls};

/// What an XBackend states of itself.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::compile) struct Own {
    /// TLS; or why it cannot be spoken.
    pub(in crate::compile) tls: Option<Result<Arc<BackendIdentity>, Arc<str>>>,
    pub(in crate::compile) persistence: Option<Arc<Persistence>>,
}

/// Judges an XBackend by itself.
pub(super) fn judge(
    backend: &XBackend,
    objects: &Objects,
    authorities: &mut Authorities,
    certificates: &mut Certificates,
    options: &Options,
) -> Policy {
    let id = ObjectId::new(Kind::XBackend, backend.meta.name.clone());
    let mut ties = Ties::default();
    let tls = tls(&backend.spec.tls, &id, objects, authorities, certificates, &mut ties, options);
    ties.settle();
    let stated = backend.spec.session_persistence.as_ref();
    let read = |stated| persistence::of_backend(stated, Source::Backend, &id.to_string(), true, options.support);
    let persistence = stated.map(read).transpose().map_err(|(_, message)| (Reason::Invalid, message));
    let violation = violation::of_object(&backend.meta).map(|message| (Reason::Invalid, message));
    let unserved = (!options.support.has(Capability::XBackend))
        .then(|| (Reason::Invalid, "XBackends are not served by this data plane".to_owned()));
    let broken = tls.as_ref().and_then(|tls| tls.as_ref().err().cloned());
    let fault = unserved.or(violation).or_else(|| unknown(backend)).or(broken).or_else(|| persistence.as_ref().err().cloned());
    let tls = tls.map(|tls| tls.map(Arc::new).map_err(|(_, message)| format!("{id}: {message}").into()));
    Policy {
        age: age(&backend.meta),
        generation: backend.meta.generation,
        targets: vec![Target { object: id.clone(), section: None }],
        fault,
        resolved: None,
        asks: Asks::Own(Own { tls, persistence: persistence.ok().flatten().map(Arc::new) }),
        ties,
        remarks: Vec::new(),
        held: Held::of(backend.status.as_ref(), &options.controller_name),
        barred: Arc::from([]),
        needed: Vec::new(),
        ways: Vec::new(),
    }
}

/// What it says that nobody here knows the meaning of.
fn unknown(backend: &XBackend) -> Option<Fault> {
    let (field, stated) = match (&backend.spec.backend_type, &backend.spec.protocol) {
        (XBackendType::Other(stated), _) => ("type", stated),
        (_, Some(XBackendProtocol::Other(stated))) => ("protocol", stated),
        _ => return None,
    };
    Some((Reason::Invalid, format!("spec.{field} {stated} is not known")))
}

fn tls(
    stated: &XBackendTls,
    id: &ObjectId,
    objects: &Objects,
    authorities: &mut Authorities,
    certificates: &mut Certificates,
    ties: &mut Ties,
    options: &Options,
) -> Option<Result<BackendIdentity, Fault>> {
    let presents = match &stated.mode {
        XBackendTlsMode::None => return None,
        XBackendTlsMode::ServerOnly => Ok(Presents::Nothing),
        XBackendTlsMode::ClientAndServer => match &stated.client_certificate_ref {
            Some(reference) => certificate(reference, id, objects, certificates, ties).map(Presents::Own),
            None => Err((Reason::Invalid, "spec.tls.clientCertificateRef is missing".to_owned())),
        },
        XBackendTlsMode::Other(unknown) => Err((Reason::Invalid, format!("spec.tls.mode {unknown} is not known"))),
    };
    let Some(validation) = &stated.validation else {
        return Some(presents.and_then(|_| Err((Reason::Invalid, "spec.tls.validation is missing".to_owned()))));
    };
    if let Some(unperformed) = backend_tls::unperformed(validation, options.support) {
        return Some(Err(unperformed));
    }
    let asked = (&Kind::XBackend, id.name.namespace());
    let read = backend_tls::validation(validation, asked, Presents::Nothing, objects, authorities, ties);
    Some(presents.and_then(|presents| Ok(BackendIdentity { presents, ..read.identity? })))
}

/// The certificate that is shown to the backend.
fn certificate(
    reference: &SecretObjectRef,
    id: &ObjectId,
    objects: &Objects,
    certificates: &mut Certificates,
    ties: &mut Ties,
) -> Result<Arc<Certificate>, Fault> {
    let invalid = |message: String| (Reason::Invalid, format!("spec.tls.clientCertificateRef: {message}"));
    if !reference.is_secret() {
        let kind = written_kind(&reference.group, &reference.kind);
        return Err(invalid(format!("{kind} holds no certificates here; name a Secret, which has no group")));
    }
    let namespace = id.name.namespace();
    let target = ObjectId::new(Kind::Secret, reference.target(namespace));
    let asked = Reference { from: &Kind::XBackend, namespace, to: &target };
    if !ties.follow(&asked, objects) {
        return Err(invalid(asked.advice()));
    }
    let secret = objects.secrets.get(&target.name).ok_or_else(|| invalid(format!("{target} does not exist")))?;
    certificates.of(secret).map_err(invalid)
}
