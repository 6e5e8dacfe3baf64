//! The client certificates that a Gateway asks for on its HTTPS listeners (`GatewaySpec.TLS.Frontend`, GEP-91).
//!
//! In: a Gateway, a port, and the authorities it names. Out: what to ask of clients there, which references are broken, and why no
//! connection may be let in. The Gateway is who refers, also where the listener belongs to a ListenerSet.
//!
//! Invariants: where validation is asked for and cannot be had, nobody is let in.

use std::sync::Arc;

use crate::condition::Reason;
use crate::name::Kind;
use crate::resource::{FrontendTlsValidation, FrontendValidationMode, Gateway};
use crate::snapshot::{ClientValidation, Fingerprint};
use crate::support::{Capability, Support};

use super::fault::Fault;
use super::listener::Sources;
use super::ties::Ties;
use super::trust::{AuthorityRef, Cause};

/// What a port asks of its clients.
#[derive(Clone, Debug, Default)]
pub(super) struct Demand {
    /// `None` where nothing is asked, and where nobody is let in.
    pub(super) validation: Option<Arc<ClientValidation>>,
    /// Why nobody is let in.
    pub(super) closed: Option<Fault>,
    /// What is wrong with references to authorities.
    pub(super) references: Vec<Fault>,
}

/// What HTTPS listeners on a port ask of their clients. The references join `ties`, of whoever holds the listener.
pub(super) fn demand(gateway: &Gateway, port: u16, sources: &mut Sources<'_>, ties: &mut Ties) -> Demand {
    let frontend = gateway.spec.tls.as_ref().and_then(|tls| tls.frontend.as_ref());
    let Some(validation) = frontend.and_then(|frontend| frontend.for_port(port).validation.as_ref()) else {
        return Demand::default();
    };
    if let Some(closed) = unperformed(validation, sources.support) {
        return Demand { closed: Some(closed), ..Demand::default() };
    }
    let references = validation.ca_certificate_refs.iter().map(AuthorityRef::from);
    let namespace = gateway.meta.name.namespace();
    let trusted = sources.authorities.trust(references, &Kind::Gateway, namespace, sources.objects, ties);
    let is_optional = validation.mode == FrontendValidationMode::AllowInsecureFallback;
    let closed = trusted.set.is_none().then(|| {
        let message = "spec.tls.frontend names no authority that can be used, so no client is let in".to_owned();
        (Reason::NoValidCaCertificate, message)
    });
    let validation = trusted.set.map(|trust| {
        let fingerprint = Fingerprint::of([trust.fingerprint.as_ref(), &[u8::from(is_optional)]]);
        Arc::new(ClientValidation { trust, is_optional, fingerprint })
    });
    let fault = |cause| match cause {
        Cause::Kind => Reason::InvalidCaCertificateKind,
        Cause::Permission => Reason::RefNotPermitted,
        Cause::Content => Reason::InvalidCaCertificateRef,
    };
    let references =
        trusted.faults.into_iter().map(|found| (fault(found.cause), format!("spec.tls.frontend: {}", found.message))).collect();
    Demand { validation, closed, references }
}

/// Whether a Gateway lets clients in without a valid certificate anywhere though it asks for one.
pub(super) fn is_insecure(gateway: &Gateway, support: Support) -> bool {
    let Some(frontend) = gateway.spec.tls.as_ref().and_then(|tls| tls.frontend.as_ref()) else { return false };
    let stated = [&frontend.default].into_iter().chain(frontend.per_port.iter().map(|entry| &entry.tls));
    let mut validations = stated.filter_map(|config| config.validation.as_ref());
    validations.any(|validation| {
        validation.mode == FrontendValidationMode::AllowInsecureFallback && unperformed(validation, support).is_none()
    })
}

/// Why what is asked cannot be performed, whatever the authorities.
fn unperformed(validation: &FrontendTlsValidation, support: Support) -> Option<Fault> {
    let why = match &validation.mode {
        _ if !support.has(Capability::ClientValidation) => {
            "spec.tls.frontend asks for client certificates, which this data plane does not check".to_owned()
        }
        FrontendValidationMode::AllowValidOnly => return None,
        FrontendValidationMode::AllowInsecureFallback if support.has(Capability::InsecureFallback) => return None,
        FrontendValidationMode::AllowInsecureFallback => {
            "spec.tls.frontend: mode AllowInsecureFallback is not performed by this data plane; use AllowValidOnly".to_owned()
        }
        FrontendValidationMode::Other(mode) => {
            format!("spec.tls.frontend: mode {mode} is unknown; use AllowValidOnly or AllowInsecureFallback")
        }
    };
    Some((Reason::UnsupportedValue, format!("{why}; no client is let in")))
}
