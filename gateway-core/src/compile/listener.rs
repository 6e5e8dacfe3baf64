//! One listener judged on its own: its protocol, kinds, namespaces, certificates, filters.
//!
//! In: a listener, who holds it, and the objects it refers to. Out: a `ListenerState`, which `merge` completes with conflicts and
//! `status` phrases. Knows nothing of other listeners or of routes; a listener of a Gateway and one of a ListenerSet differ only
//! in their `Holder`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::condition::Reason;
use crate::name::{GATEWAY_GROUP, Kind, ObjectId, ObjectName};
use crate::resource::{FromNamespaces, Gateway, Listener, Meta, Protocol, RouteNamespaces, SecretObjectRef, TlsMode};
use crate::snapshot::filters::ListenerFilter;
use crate::snapshot::{self, Certificate, CertificateSet, ClientValidation, TlsOptions};
use crate::support::{Capability, Support};

use super::attach::{Namespaces, Surface};
use super::certificate::{moments, none_is_for, out_of_date};
use super::certificates::Certificates;
use super::client_validation::{self, Demand};
use super::fault::{Fault, together};
use super::grant::Reference;
use super::listener_filters::{self, Filtering};
use super::merge::{Conflict, Family, Overlap};
use super::objects::{Objects, kind_of, written_kind};
use super::references::World;
use super::ties::Ties;
use super::tls_options::{self, tls_options};
use super::trust::Authorities;
use super::violation;

/// Who holds a listener.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holder<'a> {
    /// Gateway or ListenerSet: who refers, for grants.
    pub(super) kind: &'a Kind,
    /// Its name; references without a namespace lead into its own.
    pub(super) name: &'a ObjectName,
    /// The Gateway that the listener belongs to: the holder itself, or the parent of the set.
    pub(super) gateway: &'a Gateway,
}

impl<'a> Holder<'a> {
    /// A Gateway holds its own listeners.
    pub(super) fn gateway(gateway: &'a Gateway) -> Self {
        Self { kind: &Kind::Gateway, name: &gateway.meta.name, gateway }
    }
}

/// What listeners are judged with.
#[derive(Debug)]
pub(super) struct Sources<'a> {
    pub(super) objects: &'a Objects,
    pub(super) support: Support,
    pub(super) certificates: &'a mut Certificates,
    pub(super) authorities: &'a mut Authorities,
    /// For what filters refer to.
    pub(super) world: World<'a>,
}

/// What a reference to a certificate leads to. One that is out of date is both usable and at fault.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) certificate: Option<Arc<Certificate>>,
    pub(super) fault: Option<Fault>,
}

impl Sources<'_> {
    /// Follows a reference to a certificate that an object of kind `from` makes in `namespace`. `invalid` is the reason where it is
    /// permitted but leads nowhere useful.
    pub(super) fn certificate(
        &mut self,
        reference: &SecretObjectRef,
        from: &Kind,
        namespace: &str,
        invalid: Reason,
        ties: &mut Ties,
    ) -> Found {
        let failed = |reason, message| Found { certificate: None, fault: Some((reason, message)) };
        let id = ObjectId::new(kind_of(&reference.group, &reference.kind), reference.target(namespace));
        if !reference.is_secret() {
            let group = if reference.group.is_empty() { "the core group" } else { &reference.group };
            return failed(
                invalid,
                format!("{} of {group} holds no certificates here; name a Secret, which has no group", id.kind),
            );
        }
        let asked = Reference { from, namespace, to: &id };
        if !ties.follow(&asked, self.objects) {
            return failed(Reason::RefNotPermitted, asked.advice());
        }
        let Some(secret) = self.objects.secrets.get(&id.name) else {
            return failed(invalid, format!("Secret {} does not exist", id.name));
        };
        match self.certificates.of(secret) {
            Ok(certificate) => {
                let stale = self.objects.facts.now.and_then(|now| out_of_date(&certificate, now));
                Found { certificate: Some(certificate), fault: stale.map(|why| (invalid, why)) }
            }
            Err(why) => failed(invalid, why),
        }
    }
}

/// A listener as judged.
#[derive(Clone, Debug)]
pub(super) struct ListenerState {
    pub(super) surface: Surface,
    /// What it speaks; `None` where nobody knows the protocol or nobody performs it.
    pub(super) protocol: Option<snapshot::Protocol>,
    /// Why it is not accepted.
    pub(super) fault: Option<Fault>,
    /// Why it is not accepted though it keeps its name: whoever connects to it is turned away.
    pub(super) closed: Option<Fault>,
    /// What runs for every request; or why requests are answered 500.
    pub(super) filters: Result<Arc<[ListenerFilter]>, Arc<str>>,
    /// Why it is not accepted though it keeps its name: whoever asks there is answered 500.
    pub(super) unfiltered: Option<Fault>,
    /// Why a reference of it is broken.
    pub(super) reference: Option<Fault>,
    /// What it serves on TLS; or why it has nothing to serve.
    pub(super) certificates: Result<Option<Arc<CertificateSet>>, Arc<str>>,
    /// That what it serves is not for its host name.
    pub(super) unproven: Option<String>,
    /// How it speaks TLS.
    pub(super) tls: TlsOptions,
    /// What it asks of its clients.
    pub(super) validation: Option<Arc<ClientValidation>>,
    /// Why it lost its place to another listener.
    pub(super) conflict: Option<Conflict>,
    /// With which listeners of its port it has hosts in common.
    pub(super) overlap: Option<Overlap>,
}

impl ListenerState {
    /// Whether nothing but its sockets stands between it and traffic.
    pub(super) fn is_valid(&self) -> bool {
        self.fault.is_none() && self.conflict.is_none()
    }

    /// Whether it is accepted when its sockets are bound.
    pub(super) fn is_accepted(&self) -> bool {
        self.is_valid() && self.closed.is_none() && self.unfiltered.is_none()
    }

    /// Whether it can carry traffic when its sockets are bound.
    pub(super) fn is_usable(&self) -> bool {
        self.is_accepted() && self.filters.is_ok() && self.certificates.is_ok()
    }

    /// Takes a fault. Where it `has_place`, a listener for names keeps its own, so that no other answers to them.
    fn spoil(&mut self, fault: Fault, has_place: bool) {
        match self.protocol.filter(|_| has_place) {
            Some(protocol) if protocol.begins_with_tls() => drop(self.closed.get_or_insert(fault)),
            Some(snapshot::Protocol::Http) => {
                self.filters = Err(fault.1.as_str().into());
                self.unfiltered.get_or_insert(fault);
            }
            Some(_) | None => drop(self.fault.get_or_insert(fault)),
        }
    }

    /// What it shares a port with.
    pub(super) fn family(&self) -> Option<Family> {
        self.protocol.map(Family::of)
    }

    /// When time alone will change a verdict on it, in seconds since 1970.
    pub(super) fn moments(&self) -> impl Iterator<Item = i64> {
        self.certificates.iter().flatten().flat_map(|set| &set.certificates).flat_map(|found| moments(found))
    }
}

/// Judges the listeners of an object with this metadata. What they refer to joins `ties`.
pub(super) fn judge_all(
    holder: Holder<'_>,
    meta: &Meta,
    listeners: &[Listener],
    sources: &mut Sources<'_>,
    ties: &mut Ties,
) -> Vec<ListenerState> {
    let mut names = BTreeSet::new();
    let mut states = Vec::with_capacity(listeners.len());
    for (index, listener) in listeners.iter().enumerate() {
        let mut state = judge(holder, listener, sources, ties);
        if !names.insert(&listener.name) {
            let message = format!("another listener of the same {} has the name {}", holder.kind, listener.name);
            state.fault = Some((Reason::UnsupportedValue, message));
        }
        if let Some(fault) = violation::of_listener(meta, index) {
            state.spoil(fault, violation::has_place(meta, index));
        }
        states.push(state);
    }
    states
}

/// Judges a listener. What it refers to joins `ties`.
fn judge(holder: Holder<'_>, listener: &Listener, sources: &mut Sources<'_>, ties: &mut Ties) -> ListenerState {
    let support = sources.support;
    let served = served(listener, support);
    let protocol = served.as_ref().ok().copied();
    let (surface, refused) = surface(listener, support);
    let terminates = protocol.is_some_and(snapshot::Protocol::ends_tls);
    let (tls, unknown) = options(listener, terminates, support);
    let unperformed = unperformed(listener, support).or(unknown);
    let mut references = Vec::new();
    let (mut certificates, mut demand) = (Ok(None), Demand::default());
    if terminates {
        let refs = listener.tls.as_ref().map_or(&[][..], |tls| &tls.certificate_refs);
        certificates = certificate_set(holder, refs, sources, ties, &mut references);
    }
    if protocol == Some(snapshot::Protocol::Https) {
        demand = client_validation::demand(holder.gateway, listener.port, sources, ties);
        references.append(&mut demand.references);
    }
    let Filtering { filters, fault: unfiltered, references: mut of_filters } =
        listener_filters::filters(holder, listener, sources, ties);
    references.append(&mut of_filters);
    references.extend(refused);
    // What speaks no HTTP cannot be answered 500 either.
    let is_http = protocol.is_some_and(snapshot::Protocol::is_http);
    let misplaced = unfiltered.clone().filter(|_| !is_http);
    let unproven = match (&surface.hostname, &certificates) {
        (Some(host), Ok(Some(set))) => none_is_for(host, &set.certificates),
        (Some(_), Ok(None) | Err(_)) | (None, _) => None,
    };
    let mut state = ListenerState {
        surface,
        protocol,
        fault: served.err().or(misplaced),
        closed: demand.closed,
        filters,
        unfiltered,
        reference: together(references),
        certificates,
        unproven,
        tls,
        validation: demand.validation,
        conflict: None,
        overlap: None,
    };
    if let Some(fault) = unperformed.or_else(|| unknown_origin(listener)) {
        state.spoil(fault, true);
    }
    state
}

/// Why nobody knows from where a listener takes routes.
fn unknown_origin(listener: &Listener) -> Option<Fault> {
    let FromNamespaces::Other(from) = &listener.allowed_routes.namespaces.from else { return None };
    let message = format!("allowedRoutes.namespaces.from: {from} is unknown, so no routes are taken; use Same, All or Selector");
    Some((Reason::UnsupportedValue, message))
}

/// A listener of a holder that is not taken: routes attach to it like to any other, and nothing it refers to is looked at.
pub(super) fn refuse(listener: &Listener, support: Support, why: &str) -> ListenerState {
    let (surface, _) = surface(listener, support);
    ListenerState {
        surface,
        protocol: None,
        fault: Some((Reason::NotAllowed, why.to_owned())),
        closed: None,
        filters: Ok(Arc::default()),
        unfiltered: None,
        reference: None,
        certificates: Ok(None),
        unproven: None,
        tls: TlsOptions::default(),
        validation: None,
        conflict: None,
        overlap: None,
    }
}

/// What routes see of a listener, and a fault when it names kinds of route it cannot take.
fn surface(listener: &Listener, support: Support) -> (Surface, Option<Fault>) {
    let (kinds, refused) = kinds(listener, support);
    let surface = Surface {
        name: listener.name.as_str().into(),
        port: listener.port,
        protocol: listener.protocol.to_string(),
        hostname: listener.hostname.as_deref().filter(|host| !host.is_empty()).map(|host| host.to_ascii_lowercase().into()),
        kinds,
        namespaces: namespaces(&listener.allowed_routes.namespaces),
    };
    (surface, refused)
}

/// What a listener states that has no effect here, and no condition can say so.
pub(super) fn remarks(listener: &Listener) -> impl Iterator<Item = String> {
    let foreign = listener.tls.iter().flat_map(|tls| tls.options.keys()).filter(|option| tls_options::own(option).is_none());
    foreign.map(|option| format!("listener {}: tls.options {option} has no effect: it is not known here", listener.name))
}

/// What a listener speaks, or why the data plane does not perform it.
fn served(listener: &Listener, support: Support) -> Result<snapshot::Protocol, Fault> {
    let (protocol, needs) = match &listener.protocol {
        Protocol::Http => (snapshot::Protocol::Http, Capability::Http),
        Protocol::Https => (snapshot::Protocol::Https, Capability::Https),
        Protocol::Tls => return served_tls(listener, support),
        Protocol::Tcp => (snapshot::Protocol::Tcp, Capability::Tcp),
        Protocol::Udp => (snapshot::Protocol::Udp, Capability::Udp),
        Protocol::Other(unknown) => {
            let message = format!("protocol {unknown} is unknown; HTTP, HTTPS, TLS, TCP and UDP are known");
            return Err((Reason::UnsupportedProtocol, message));
        }
    };
    if support.has(needs) {
        return Ok(protocol);
    }
    Err((Reason::UnsupportedProtocol, format!("protocol {} is not served by this data plane", listener.protocol)))
}

/// The same for protocol TLS, where it depends on the mode. One of a mode that is not performed has its place among those that are.
fn served_tls(listener: &Listener, support: Support) -> Result<snapshot::Protocol, Fault> {
    if tls_modes(support).next().is_none() {
        return Err((Reason::UnsupportedProtocol, "protocol TLS is not served by this data plane".to_owned()));
    }
    Ok(match tls_mode(listener) {
        TlsMode::Passthrough => snapshot::Protocol::TlsPassthrough,
        TlsMode::Terminate | TlsMode::Other(_) => snapshot::Protocol::TlsTerminate,
    })
}

fn tls_mode(listener: &Listener) -> &TlsMode {
    listener.tls.as_ref().map_or(&TlsMode::Terminate, |tls| &tls.mode)
}

/// The modes of TLS listeners that the data plane performs.
pub(super) fn tls_modes(support: Support) -> impl Iterator<Item = &'static TlsMode> {
    let modes = [(&TlsMode::Passthrough, Capability::TlsPassthrough), (&TlsMode::Terminate, Capability::TlsTerminate)];
    modes.into_iter().filter(move |(_, needs)| support.has(*needs)).map(|(mode, _)| mode)
}

/// Why the mode of a listener's TLS cannot be performed: refused, so that it is not ignored.
fn unperformed(listener: &Listener, support: Support) -> Option<Fault> {
    let mode = tls_mode(listener);
    let message = match listener.protocol {
        Protocol::Https if *mode == TlsMode::Terminate => return None,
        Protocol::Https => format!("tls.mode {mode} is not possible on HTTPS, which needs Terminate"),
        Protocol::Tls if tls_modes(support).any(|known| known == mode) => return None,
        Protocol::Tls => {
            let performed: Vec<&str> = tls_modes(support).map(TlsMode::as_str).collect();
            let verb = if performed.len() == 1 { "is" } else { "are" };
            format!("tls.mode {mode} is not performed by this data plane; {} {verb}", performed.join(" and "))
        }
        Protocol::Http | Protocol::Tcp | Protocol::Udp | Protocol::Other(_) => return None,
    };
    Some((Reason::UnsupportedValue, message))
}

/// How a listener speaks TLS, and a fault when it states options that are ours and cannot be performed.
fn options(listener: &Listener, terminates: bool, support: Support) -> (TlsOptions, Option<Fault>) {
    let none = BTreeMap::new();
    let stated = listener.tls.as_ref().map_or(&none, |tls| &tls.options);
    let Some(first) = stated.keys().find(|key| tls_options::own(key).is_some()) else { return (TlsOptions::default(), None) };
    let refused = if !terminates {
        Err(format!("tls.options {first} has no meaning where TLS does not end"))
    } else if !support.has(Capability::TlsOptions) {
        Err(format!("tls.options {first} is not performed by this data plane"))
    } else {
        tls_options("tls.options", stated)
    };
    match refused {
        Ok(options) => (options, None),
        Err(why) => (TlsOptions::default(), Some((Reason::UnsupportedValue, why))),
    }
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
            None => refused.push(written_kind(&allowed.group, &allowed.kind)),
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

/// What a listener serves on TLS, or why it has nothing to serve. What is wrong with the certificates it names joins `faults`.
fn certificate_set(
    holder: Holder<'_>,
    refs: &[SecretObjectRef],
    sources: &mut Sources<'_>,
    ties: &mut Ties,
    faults: &mut Vec<Fault>,
) -> Result<Option<Arc<CertificateSet>>, Arc<str>> {
    if refs.is_empty() {
        faults.push((Reason::InvalidCertificateRef, "tls.certificateRefs names no certificate".to_owned()));
    }
    let namespace = holder.name.namespace();
    let mut usable = Vec::new();
    for reference in refs {
        let found = sources.certificate(reference, holder.kind, namespace, Reason::InvalidCertificateRef, ties);
        usable.extend(found.certificate);
        faults.extend(found.fault);
    }
    if usable.is_empty() {
        let why: Vec<&str> = faults.iter().map(|(_, why)| why.as_str()).collect();
        return Err(why.join("; ").into());
    }
    Ok(Some(Certificates::set(usable)))
}
