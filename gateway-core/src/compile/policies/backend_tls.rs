//! BackendTLSPolicy (GEP-1897): that a Service is spoken to over TLS, and how it proves who it is.
//!
//! In: a policy, and the authorities it refers to. Out: the identity that backends have to prove, or why none can be, in which case
//! nothing is sent to them. Some usable references to authorities are enough; the others are told.

use std::sync::Arc;

use crate::condition::Reason;
use crate::name::Kind;
use crate::resource::{BackendTlsPolicy, BackendTlsValidation, SubjectAltName, SubjectAltNameType, WellKnownCaCertificates};
use crate::snapshot::{BackendIdentity, PeerName, Presents, TlsOptions, Trust};
use crate::support::{Capability, Support};

use super::super::age::{self, age};
use super::super::fault::Fault;
use super::super::objects::Objects;
use super::super::ties::Ties;
use super::super::tls_options::{self, tls_options};
use super::super::trust::{Authorities, AuthorityRef, Cause};
use super::super::{Options, violation};
use super::{Asks, Held, Policy, backends};

/// Judges a policy by itself.
pub(super) fn judge(policy: &BackendTlsPolicy, objects: &Objects, authorities: &mut Authorities, options: &Options) -> Policy {
    let namespace = policy.meta.name.namespace();
    let refs = policy.spec.target_refs.iter();
    let refs = refs.map(|target| (&*target.group, &*target.kind, &*target.name, target.section_name.as_deref()));
    let (targets, mut remarks) = backends(namespace, refs);
    let foreign = policy.spec.options.keys().filter(|option| tls_options::own(option).is_none());
    remarks.extend(foreign.map(|option| format!("spec.options {option} has no effect: it is not known here")));
    remarks.extend(age::remark(&policy.meta));
    let mut ties = Ties::default();
    let read = validation(
        &policy.spec.validation,
        (&Kind::BackendTlsPolicy, namespace),
        Presents::Gateways,
        objects,
        authorities,
        &mut ties,
    );
    ties.settle();
    let violation = violation::of_object(&policy.meta).map(|message| (Reason::Invalid, message));
    let fault = violation.or_else(|| unperformed(&policy.spec.validation, options.support));
    let options_read = tls_options("spec.options", &policy.spec.options).map_err(|message| (Reason::Invalid, message));
    let identity = match (fault, options_read, read.identity) {
        (Some(fault), ..) | (None, Err(fault), _) | (None, Ok(_), Err(fault)) => Err(fault),
        (None, Ok(options), Ok(identity)) => Ok(Arc::new(BackendIdentity { options, ..identity })),
    };
    Policy {
        age: age(&policy.meta),
        generation: policy.meta.generation,
        targets,
        fault: identity.as_ref().err().cloned(),
        resolved: Some(read.resolved),
        asks: Asks::Tls(identity.map_err(|(_, message)| format!("BackendTLSPolicy {}: {message}", policy.meta.name).into())),
        ties,
        remarks,
        held: Held::of(policy.status.as_ref(), &options.controller_name),
        barred: Arc::from([]),
        needed: Vec::new(),
        ways: Vec::new(),
    }
}

/// What a `validation` comes to.
#[derive(Debug)]
pub(in crate::compile) struct Validation {
    /// What has to be proven, or why nothing can be.
    pub(in crate::compile) identity: Result<BackendIdentity, Fault>,
    /// What its references come to.
    pub(in crate::compile) resolved: Result<(), Fault>,
}

/// Reads a `validation` of an object of this kind in this namespace.
pub(in crate::compile) fn validation(
    stated: &BackendTlsValidation,
    (kind, namespace): (&Kind, &str),
    presents: Presents,
    objects: &Objects,
    authorities: &mut Authorities,
    ties: &mut Ties,
) -> Validation {
    let (trust, resolved) = trust(stated, kind, namespace, objects, authorities, ties);
    let hostname = stated.hostname.to_ascii_lowercase();
    let names = match &*stated.subject_alt_names {
        [] => Ok(Box::from([PeerName::Host(hostname.as_str().into())])),
        names => names.iter().map(name).collect::<Result<Box<[PeerName]>, Fault>>(),
    };
    let identity = trust.and_then(|trust| {
        let (server_name, options) = (hostname.as_str().into(), TlsOptions::default());
        Ok(BackendIdentity { server_name, names: names?, trust, presents, options })
    });
    Validation { identity, resolved }
}

fn name(stated: &SubjectAltName) -> Result<PeerName, Fault> {
    match (&stated.name_type, &stated.hostname, &stated.uri) {
        (SubjectAltNameType::Hostname, Some(host), _) => Ok(PeerName::Host(host.to_ascii_lowercase().into())),
        (SubjectAltNameType::Uri, _, Some(uri)) => Ok(PeerName::Uri(uri.as_str().into())),
        (SubjectAltNameType::Hostname | SubjectAltNameType::Uri, ..) => {
            Err((Reason::Invalid, format!("a subjectAltName of type {} states no name of this type", stated.name_type)))
        }
        (SubjectAltNameType::Other(unknown), ..) => {
            Err((Reason::Invalid, format!("subjectAltNames of type {unknown} are not known; use Hostname or URI")))
        }
    }
}

fn trust(
    stated: &BackendTlsValidation,
    kind: &Kind,
    namespace: &str,
    objects: &Objects,
    authorities: &mut Authorities,
    ties: &mut Ties,
) -> (Result<Trust, Fault>, Result<(), Fault>) {
    match &stated.well_known_ca_certificates {
        Some(WellKnownCaCertificates::System) => return (Ok(Trust::System), Ok(())),
        Some(WellKnownCaCertificates::Other(unknown)) => {
            let message = format!("validation.wellKnownCACertificates {unknown} is not known; use System");
            return (Err((Reason::Invalid, message)), Ok(()));
        }
        None => {}
    }
    let references = stated.ca_certificate_refs.iter().map(AuthorityRef::from);
    let trusted = authorities.trust(references, kind, namespace, objects, ties);
    let reason = trusted.faults.first().map(|fault| match fault.cause {
        Cause::Kind => Reason::InvalidKind,
        Cause::Permission | Cause::Content => Reason::InvalidCaCertificateRef,
    });
    let told: Vec<&str> = trusted.faults.iter().map(|fault| &*fault.message).collect();
    let told = told.join("; ");
    let resolved = reason.map_or(Ok(()), |reason| Err((reason, told.clone())));
    let none = || (Reason::NoValidCaCertificate, format!("no certificate authority is usable, so nothing is sent: {told}"));
    (trusted.set.map(Trust::Set).ok_or_else(none), resolved)
}

/// Why this data plane does not do what is asked for.
pub(in crate::compile) fn unperformed(stated: &BackendTlsValidation, support: Support) -> Option<Fault> {
    let refuse =
        |what: &str| Some((Reason::Invalid, format!("{what} not performed by this data plane; nothing is sent in clear")));
    if !support.has(Capability::BackendTls) {
        return refuse("TLS to backends is");
    }
    if !stated.subject_alt_names.is_empty() && !support.has(Capability::BackendTlsNames) {
        return refuse("subjectAltNames are");
    }
    None
}
