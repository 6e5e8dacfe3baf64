//! A Gateway judged on its own: its parameters, its addresses, and its listeners one by one.
//!
//! In: a Gateway and the objects it refers to. Out: a `GatewayState`, which `merge` completes with conflicts and `status` phrases.
//! Knows nothing of other Gateways or of routes.

use std::sync::Arc;

use crate::condition::Reason;
use crate::name::{Kind, ObjectId, ObjectName};
use crate::resource::{
    DefaultGateways, FromNamespaces, Gateway, GatewayParametersSpec, Listener, PodParameters, ServiceParameters,
};
use crate::snapshot::{Certificate, Settings};
use crate::support::{Capability, Support};

use super::addresses::{Allotted, addresses};
use super::age;
use super::certificate::moments;
use super::client_validation::is_insecure;
use super::fault::Fault;
use super::listener::{self, Holder, ListenerState, Sources};
use super::merge::{Stated, conflicts_within};
use super::objects::Objects;
use super::parameters::{parameters, stated};
use super::ties::Ties;
use super::violation;

/// A Gateway as judged.
#[derive(Clone, Debug)]
pub(super) struct GatewayState {
    pub(super) object: Arc<Gateway>,
    pub(super) settings: Arc<Settings>,
    /// Why nothing of it can be served.
    pub(super) fault: Option<Fault>,
    /// Why a reference of the Gateway itself is broken.
    pub(super) reference: Option<Fault>,
    /// What it presents to backends.
    pub(super) client_certificate: Option<Arc<Certificate>>,
    /// Whether it lets clients in without a valid certificate though it asks for one.
    pub(super) is_insecure: bool,
    /// Why it has no address to listen on, though nothing else is wrong.
    pub(super) address: Option<Fault>,
    /// Where it listens, and which addresses it shows.
    pub(super) allotted: Allotted,
    /// As in the spec.
    pub(super) listeners: Vec<ListenerState>,
    /// When time alone will change a verdict, in seconds since 1970.
    pub(super) moments: Vec<i64>,
    /// What it refers to.
    pub(super) ties: Ties,
}

/// Judges a Gateway.
pub(super) fn judge(gateway: &Arc<Gateway>, sources: &mut Sources<'_>, settings: &Settings) -> GatewayState {
    let mut ties = Ties::default();
    ties.uses.push(ObjectId::new(Kind::GatewayClass, ObjectName::cluster(&gateway.spec.gateway_class_name)));
    let (settings, parameters) = parameters(gateway, sources.objects, settings, sources.support, &mut ties);
    let addresses = addresses(gateway, sources.objects, sources.support);
    let holder = Holder::gateway(gateway);
    let mut listeners = listener::judge_all(holder, &gateway.meta, &gateway.spec.listeners, sources, &mut ties);
    fall_together(&gateway.spec.listeners, &mut listeners, sources.support);
    let (client_certificate, reference) = client_certificate(gateway, sources, &mut ties);
    ties.settle();
    GatewayState {
        object: gateway.clone(),
        settings,
        fault: violation::of_gateway(&gateway.meta).or(parameters).or(addresses.unsupported),
        reference,
        is_insecure: is_insecure(gateway, sources.support),
        address: addresses.missing,
        allotted: addresses.allotted,
        moments: listeners
            .iter()
            .flat_map(ListenerState::moments)
            .chain(client_certificate.iter().flat_map(|found| moments(found)))
            .collect(),
        client_certificate,
        listeners,
        ties,
    }
}

/// Finds the listeners that conflict with each other.
fn fall_together(specs: &[Listener], listeners: &mut [ListenerState], support: Support) {
    let stated: Vec<Option<Stated>> =
        specs.iter().zip(&*listeners).map(|(spec, state)| Stated::of(spec, state, support)).collect();
    for (listener, conflict) in listeners.iter_mut().zip(conflicts_within(&stated)) {
        listener.conflict = conflict;
    }
}

/// What a Gateway states that has no effect here, and no condition can say so.
pub(super) fn remarks(gateway: &Gateway, objects: &Objects, support: Support) -> Vec<String> {
    let mut remarks: Vec<String> = age::remark(&gateway.meta).into_iter().collect();
    if let FromNamespaces::Other(from) = &gateway.spec.allowed_listeners.namespaces.from {
        remarks.push(format!(
            "spec.allowedListeners.namespaces.from: {from} is unknown, so no ListenerSets are taken; use Same, Selector or All"
        ));
    }
    if let Some(DefaultGateways::Other(scope)) = &gateway.spec.default_scope {
        remarks.push(format!("spec.defaultScope: {scope} is unknown and has no effect; All is known"));
    }
    let infrastructure = gateway.spec.infrastructure.as_ref();
    let is_marked = infrastructure.is_some_and(|stated| !stated.labels.is_empty() || !stated.annotations.is_empty());
    if is_marked && !support.has(Capability::Infrastructure) {
        let message =
            "spec.infrastructure: labels and annotations have no effect: nothing is made for this Gateway that could carry them";
        remarks.push(message.to_owned());
    }
    let GatewayParametersSpec { service, pods, .. } = stated(gateway, objects);
    let is_shaped = service != ServiceParameters::default() || pods != PodParameters::default();
    if is_shaped && !support.has(Capability::Infrastructure) {
        let message = "GatewayParameters: spec.service and spec.pods have no effect: nothing is made for this Gateway";
        remarks.push(message.to_owned());
    }
    remarks.extend(gateway.spec.listeners.iter().flat_map(listener::remarks));
    remarks
}

/// What the Gateway presents to backends, and why it is not what the spec names.
fn client_certificate(
    gateway: &Gateway,
    sources: &mut Sources<'_>,
    ties: &mut Ties,
) -> (Option<Arc<Certificate>>, Option<Fault>) {
    let backend = gateway.spec.tls.as_ref().and_then(|tls| tls.backend.as_ref());
    let Some(reference) = backend.and_then(|backend| backend.client_certificate_ref.as_ref()) else { return (None, None) };
    if !sources.support.has(Capability::BackendClientCertificate) {
        let message =
            "spec.tls.backend.clientCertificateRef is not performed: this data plane presents no client certificate to backends";
        return (None, Some((Reason::InvalidClientCertificateRef, message.to_owned())));
    }
    let namespace = gateway.meta.name.namespace();
    let found = sources.certificate(reference, &Kind::Gateway, namespace, Reason::InvalidClientCertificateRef, ties);
    (
        found.certificate,
        found.fault.map(|(reason, message)| (reason, format!("spec.tls.backend.clientCertificateRef: {message}"))),
    )
}
