//! A Gateway judged on its own: its parameters, addresses, and each listener's protocol, kinds, certificates.
//!
//! In: a Gateway and the objects it refers to. Out: a `GatewayState`, which `merge` completes with conflicts and `status` phrases.
//! Knows nothing of other Gateways or of routes.

use std::sync::Arc;

use crate::condition::Reason;
use crate::name::{GATEWAY_GROUP, Kind, OWN_GROUP, ObjectId, ObjectName};
use crate::resource::{
    AddressType, DefaultGateways, FromNamespaces, Gateway, GatewayParametersSpec, Listener, Protocol, RouteNamespaces,
    SecretObjectRef, TlsMode,
};
use crate::snapshot::{CertificateSet, Network, Settings};
use crate::support::{Capability, Support};

use super::Addresses;
use super::attach::{Namespaces, Surface};
use super::certificate::out_of_date;
use super::certificates::Certificates;
use super::grant::Reference;
use super::merge::{Conflict, Family};
use super::objects::{Objects, kind_of};

/// What is wrong, for a condition.
pub(super) type Fault = (Reason, String);

/// A Gateway as judged.
#[derive(Clone, Debug)]
pub(super) struct GatewayState {
    pub(super) object: Arc<Gateway>,
    pub(super) settings: Arc<Settings>,
    /// Why nothing of it can be served.
    pub(super) fault: Option<Fault>,
    /// Why a reference of the Gateway itself is broken.
    pub(super) reference: Option<Fault>,
    /// Why it has no address to listen on, though nothing else is wrong.
    pub(super) address: Option<Fault>,
    /// Where it listens.
    pub(super) allotted: Addresses,
    /// As in the spec.
    pub(super) listeners: Vec<ListenerState>,
    /// When time alone will change a verdict, in seconds since 1970.
    pub(super) moments: Vec<i64>,
    /// What it refers to, existing or not.
    pub(super) uses: Vec<ObjectId>,
    /// Namespaces it refers into.
    pub(super) crosses: Vec<String>,
}

/// A listener as judged.
#[derive(Clone, Debug)]
pub(super) struct ListenerState {
    pub(super) surface: Surface,
    /// What it shares a port with; `None` for protocols nobody knows or that are not served.
    pub(super) family: Option<Family>,
    /// Why it is not accepted.
    pub(super) fault: Option<Fault>,
    /// Why a reference of it is broken.
    pub(super) reference: Option<Fault>,
    /// What it serves on TLS.
    pub(super) certificates: Option<Arc<CertificateSet>>,
    /// Whether its TLS ends here.
    pub(super) terminates: bool,
    /// Why it lost its place to another listener.
    pub(super) conflict: Option<Conflict>,
    /// With which listeners of its port it has hosts in common.
    pub(super) overlap: Option<String>,
}

impl ListenerState {
    /// Whether nothing but its sockets stands between it and traffic.
    pub(super) fn is_valid(&self) -> bool {
        self.fault.is_none() && self.conflict.is_none()
    }

    /// Whether it can carry traffic when its sockets are bound.
    pub(super) fn is_usable(&self) -> bool {
        self.is_valid() && (!self.terminates || self.certificates.is_some())
    }
}

/// Judges a Gateway.
pub(super) fn judge(
    gateway: &Arc<Gateway>,
    objects: &Objects,
    support: Support,
    settings: &Settings,
    certificates: &mut Certificates,
) -> GatewayState {
    let mut uses = vec![ObjectId::new(Kind::GatewayClass, ObjectName::cluster(&gateway.spec.gateway_class_name))];
    let mut crosses = Vec::new();
    let (settings, parameters) = parameters(gateway, objects, settings, &mut uses);
    let (allotted, unsupported, address) = addresses(gateway, objects);
    let listeners: Vec<ListenerState> = (gateway.spec.listeners.iter())
        .map(|listener| judge_listener(gateway, listener, objects, support, certificates, &mut uses, &mut crosses))
        .collect();
    uses.sort_unstable();
    uses.dedup();
    crosses.sort_unstable();
    crosses.dedup();
    let served = listeners.iter().filter_map(|listener: &ListenerState| listener.certificates.as_ref());
    let moments = served
        .flat_map(|set| &set.certificates)
        .flat_map(|found| [found.not_before, found.not_after.saturating_add(1)])
        .collect();
    GatewayState {
        object: gateway.clone(),
        settings,
        fault: parameters.or(unsupported),
        reference: client_certificate(gateway),
        address,
        allotted,
        listeners,
        moments,
        uses,
        crosses,
    }
}

fn judge_listener(
    gateway: &Gateway,
    listener: &Listener,
    objects: &Objects,
    support: Support,
    certificates: &mut Certificates,
    uses: &mut Vec<ObjectId>,
    crosses: &mut Vec<String>,
) -> ListenerState {
    let served = served(&listener.protocol, support);
    let (kinds, refused) = kinds(listener, support);
    let surface = Surface {
        name: listener.name.as_str().into(),
        port: listener.port,
        protocol: listener.protocol.to_string(),
        hostname: listener.hostname.as_deref().filter(|host| !host.is_empty()).map(|host| host.to_ascii_lowercase().into()),
        kinds,
        namespaces: namespaces(&listener.allowed_routes.namespaces),
    };
    let mut state = ListenerState {
        surface,
        family: served.as_ref().ok().copied(),
        fault: served.err().or_else(|| unperformed(gateway, listener)),
        reference: refused,
        certificates: None,
        terminates: listener.protocol == Protocol::Https,
        conflict: None,
        overlap: None,
    };
    if state.terminates {
        let refs = listener.tls.as_ref().map_or(&[][..], |tls| &tls.certificate_refs);
        let (set, fault) = certificate_set(gateway, refs, objects, certificates, uses, crosses);
        state.certificates = set;
        state.reference = fault.or(state.reference);
    }
    state
}

/// The family of a protocol the data plane serves, or why it does not.
fn served(protocol: &Protocol, support: Support) -> Result<Family, Fault> {
    let (family, needs) = match protocol {
        Protocol::Http => (Family::Plain, Some(Capability::Http)),
        Protocol::Https => (Family::Tls, Some(Capability::Https)),
        Protocol::Tls => (Family::Tls, None),
        Protocol::Tcp => (Family::Tcp, None),
        Protocol::Udp => (Family::Udp, None),
        Protocol::Other(unknown) => {
            return Err((Reason::UnsupportedProtocol, format!("protocol {unknown} is unknown; HTTP and HTTPS are served")));
        }
    };
    if needs.is_some_and(|capability| support.has(capability)) {
        return Ok(family);
    }
    Err((Reason::UnsupportedProtocol, format!("protocol {protocol} is not served by this data plane")))
}

/// What a listener asks for that nobody performs: refused, so that it is not ignored.
fn unperformed(gateway: &Gateway, listener: &Listener) -> Option<Fault> {
    if listener.filters.as_ref().is_some_and(|filters| !filters.requests.is_empty()) {
        return Some((Reason::InvalidListenerFilter, "listener filters are not performed by this data plane".to_owned()));
    }
    if listener.protocol != Protocol::Https {
        return None;
    }
    let tls = listener.tls.as_ref();
    if let Some(tls) = tls.filter(|tls| tls.mode != TlsMode::Terminate) {
        return Some((
            Reason::UnsupportedValue,
            format!("tls.mode {} is not possible on HTTPS, which needs Terminate", tls.mode),
        ));
    }
    let frontend = gateway.spec.tls.as_ref().and_then(|tls| tls.frontend.as_ref());
    if frontend.is_some_and(|frontend| frontend.for_port(listener.port).validation.is_some()) {
        let message =
            "spec.tls.frontend asks for client certificates, which this data plane does not check; nothing is served without";
        return Some((Reason::UnsupportedValue, message.to_owned()));
    }
    let own = |key: &&String| key.starts_with(OWN_GROUP);
    let option = tls.and_then(|tls| tls.options.keys().find(own))?;
    Some((Reason::UnsupportedValue, format!("tls.options {option} is not known")))
}

/// The kinds a listener takes, and a fault when it names one it cannot.
fn kinds(listener: &Listener, support: Support) -> (Vec<Kind>, Option<Fault>) {
    let possible: &[Kind] = match listener.protocol {
        Protocol::Http | Protocol::Https => &[Kind::HttpRoute, Kind::GrpcRoute],
        Protocol::Tls => &[Kind::TlsRoute],
        Protocol::Tcp => &[Kind::TcpRoute],
        Protocol::Udp => &[Kind::UdpRoute],
        Protocol::Other(_) => &[],
    };
    let possible: Vec<Kind> = possible.iter().filter(|kind| support.serves(kind)).cloned().collect();
    let stated = &listener.allowed_routes.kinds;
    if stated.is_empty() {
        return (possible, None);
    }
    let mut kinds = Vec::new();
    let mut refused = Vec::new();
    for allowed in stated {
        match possible.iter().find(|kind| allowed.group == GATEWAY_GROUP && kind.as_str() == allowed.kind) {
            Some(kind) if !kinds.contains(kind) => kinds.push(kind.clone()),
            Some(_) => {}
            None => refused.push(allowed.kind.as_str()),
        }
    }
    let fault = (!refused.is_empty()).then(|| {
        let message = format!(
            "allowedRoutes.kinds names {}, which a {} listener does not take here",
            refused.join(", "),
            listener.protocol
        );
        (Reason::InvalidRouteKinds, message)
    });
    (kinds, fault)
}

fn namespaces(stated: &RouteNamespaces) -> Namespaces {
    match (&stated.from, &stated.selector) {
        (FromNamespaces::All, _) => Namespaces::All,
        (FromNamespaces::Same, _) => Namespaces::Same,
        (FromNamespaces::Selector, Some(selector)) => Namespaces::Selector(selector.clone()),
        (FromNamespaces::Selector, None) => {
            Namespaces::Unknown("selects namespaces but states no selector, so admits none".to_owned())
        }
        (FromNamespaces::None, _) => Namespaces::Unknown("admits routes of no namespace (from: None)".to_owned()),
        (FromNamespaces::Other(from), _) => {
            Namespaces::Unknown(format!("admits routes of no namespace: from: {from} is unknown; use Same, All or Selector"))
        }
    }
}

fn certificate_set(
    gateway: &Gateway,
    refs: &[SecretObjectRef],
    objects: &Objects,
    certificates: &mut Certificates,
    uses: &mut Vec<ObjectId>,
    crosses: &mut Vec<String>,
) -> (Option<Arc<CertificateSet>>, Option<Fault>) {
    let namespace = gateway.meta.name.namespace();
    let mut usable = Vec::new();
    let mut faults: Vec<Fault> = Vec::new();
    for reference in refs {
        let id = ObjectId::new(kind_of(&reference.group, &reference.kind), reference.target(namespace));
        let asked = Reference { from: &Kind::Gateway, namespace, to: &id };
        if asked.crosses() {
            crosses.push(id.name.namespace().to_owned());
        }
        let is_permitted = asked.is_permitted(objects);
        // What is not permitted is not needed either: nobody shall fetch it.
        if is_permitted {
            uses.push(id.clone());
        }
        if asked.crosses() {
            uses.extend(asked.grants(objects).map(|grant| ObjectId::new(Kind::ReferenceGrant, grant.meta.name.clone())));
        }
        if !is_permitted {
            faults.push((Reason::RefNotPermitted, asked.advice()));
        } else if !reference.is_secret() {
            faults.push((Reason::InvalidCertificateRef, format!("{} {} is not a Secret", id.kind, id.name)));
        } else if let Some(secret) = objects.secrets.get(&id.name) {
            match certificates.of(secret) {
                Ok(certificate) => {
                    let stale = objects.facts.now.and_then(|now| out_of_date(&certificate, now));
                    faults.extend(stale.map(|why| (Reason::InvalidCertificateRef, why)));
                    usable.push(certificate);
                }
                Err(why) => faults.push((Reason::InvalidCertificateRef, why)),
            }
        } else {
            faults.push((Reason::InvalidCertificateRef, format!("Secret {} does not exist", id.name)));
        }
    }
    if refs.is_empty() {
        faults.push((Reason::InvalidCertificateRef, "tls.certificateRefs names no certificate".to_owned()));
    }
    let set = (!usable.is_empty()).then(|| Certificates::set(usable));
    let first = faults.iter().position(|(reason, _)| *reason == Reason::RefNotPermitted).unwrap_or(0);
    (set, (first < faults.len()).then(|| faults.swap_remove(first)))
}

/// What a Gateway states that has no effect here, and no condition can say so.
pub(super) fn remarks(gateway: &Gateway) -> Vec<String> {
    let mut remarks = Vec::new();
    if gateway.spec.allowed_listeners.namespaces.from != FromNamespaces::None {
        remarks.push("spec.allowedListeners has no effect: ListenerSets are not served by this data plane".to_owned());
    }
    if gateway.spec.default_scope.as_ref().is_some_and(|scope| *scope != DefaultGateways::None) {
        remarks.push("spec.defaultScope has no effect: routes have to name the Gateway in parentRefs".to_owned());
    }
    for listener in &gateway.spec.listeners {
        for option in listener.tls.iter().flat_map(|tls| tls.options.keys()).filter(|option| !option.starts_with(OWN_GROUP)) {
            remarks.push(format!("listener {}: tls.options {option} has no effect: it is not known here", listener.name));
        }
    }
    remarks
}

/// The backend client certificate is not presented yet; whoever asks for it is told so.
fn client_certificate(gateway: &Gateway) -> Option<Fault> {
    let backend = gateway.spec.tls.as_ref()?.backend.as_ref()?;
    backend.client_certificate_ref.as_ref()?;
    let message =
        "spec.tls.backend.clientCertificateRef is not performed: this data plane presents no client certificate to backends";
    Some((Reason::InvalidClientCertificateRef, message.to_owned()))
}

/// The settings of a Gateway: its own parameters over its class's over those of the program, field by field.
fn parameters(
    gateway: &Gateway,
    objects: &Objects,
    settings: &Settings,
    uses: &mut Vec<ObjectId>,
) -> (Arc<Settings>, Option<Fault>) {
    let mut settings = settings.clone();
    let class = objects.classes.get(&ObjectName::cluster(&gateway.spec.gateway_class_name));
    if let Some(reference) = class.and_then(|class| class.spec.parameters_ref.as_ref())
        && reference.group == OWN_GROUP
        && reference.kind == Kind::GatewayParameters.as_str()
    {
        let name = ObjectName::new(reference.namespace.as_deref().unwrap_or(""), &reference.name);
        uses.push(ObjectId::new(Kind::GatewayParameters, name.clone()));
        if let Some(found) = objects.parameters.get(&name) {
            settle(&mut settings, &found.spec);
        }
    }
    let Some(reference) = gateway.spec.infrastructure.as_ref().and_then(|infrastructure| infrastructure.parameters_ref.as_ref())
    else {
        return (Arc::new(settings), None);
    };
    let kind = kind_of(&reference.group, &reference.kind);
    let name = ObjectName::new(gateway.meta.name.namespace(), &reference.name);
    uses.push(ObjectId::new(kind.clone(), name.clone()));
    let fault = |message| Some((Reason::InvalidParameters, message));
    if kind != Kind::GatewayParameters {
        return (
            Arc::new(settings),
            fault(format!("infrastructure.parametersRef names a {kind}; only GatewayParameters of {OWN_GROUP} are read")),
        );
    }
    match objects.parameters.get(&name) {
        Some(found) => {
            settle(&mut settings, &found.spec);
            (Arc::new(settings), None)
        }
        None => (
            Arc::new(settings),
            fault(format!("infrastructure.parametersRef names GatewayParameters {name}, which does not exist")),
        ),
    }
}

/// Lays stated parameters over settings.
fn settle(settings: &mut Settings, stated: &GatewayParametersSpec) {
    let GatewayParametersSpec { trusted_proxies, merge_slashes, limits } = stated;
    if let Some(networks) = trusted_proxies {
        settings.trusted_proxies = networks.iter().filter_map(|network| Network::parse(network)).collect();
    }
    settings.merge_slashes = merge_slashes.unwrap_or(settings.merge_slashes);
    if let Some(bytes) = limits.max_header_bytes {
        settings.max_header_bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    }
    settings.header_timeout = limits.header_timeout.map_or(settings.header_timeout, Into::into);
    settings.idle_timeout = limits.idle_timeout.map_or(settings.idle_timeout, Into::into);
    settings.drain_timeout = limits.drain_timeout.map_or(settings.drain_timeout, Into::into);
}

/// Where a Gateway listens, why its request is unsupported, and why no address serves it.
fn addresses(gateway: &Gateway, objects: &Objects) -> (Addresses, Option<Fault>, Option<Fault>) {
    let everywhere = Addresses { listen: vec![None], shown: Vec::new() };
    let stated = &gateway.spec.addresses;
    for address in stated {
        if !matches!(address.address_type, AddressType::IpAddress | AddressType::Hostname) {
            let message = format!("addresses of type {} are not supported; use IPAddress", address.address_type);
            return (everywhere, Some((Reason::UnsupportedAddress, message)), None);
        }
        if address.routability.is_some() {
            let message = "addresses with routability are not supported".to_owned();
            return (everywhere, Some((Reason::UnsupportedAddress, message)), None);
        }
    }
    let Some(allotted) = objects.facts.addresses.get(&gateway.meta.name) else {
        let pending =
            (!stated.is_empty()).then(|| (Reason::AddressNotAssigned, "the requested addresses are not allotted yet".to_owned()));
        let nowhere = Addresses { listen: Vec::new(), shown: Vec::new() };
        return (if stated.is_empty() { everywhere } else { nowhere }, None, pending);
    };
    if allotted.listen.is_empty() {
        let message = "no address is free for this Gateway; give the program another one".to_owned();
        return (allotted.clone(), None, Some((Reason::AddressNotAssigned, message)));
    }
    let missing = stated.iter().find(|address| !address.value.is_empty() && !allotted.shown.contains(&address.value));
    let fault = missing.map(|address| (Reason::AddressNotUsable, format!("address {} cannot be used here", address.value)));
    (allotted.clone(), None, fault)
}
