//! Direct policies (GEP-713): what each asks for, what it targets, and whose say counts where several target the same. XBackends, which
//! state of themselves what policies state of Services and report it in the same way, are among them, each its own only target.
//!
//! In: policies as they were judged one by one. Out: what holds for a target, and who has to be looked at again when a policy changes.
//! Of several with the same target and section the first by age, then name, has its say; when it goes, the next one has. One for a
//! section goes before one for the whole, and neither is in the other's way.
//!
//! Invariants: a policy that lost has no effect; one that is broken keeps its place, so that no other has a say in its stead.

mod backend_tls;
mod report;
pub(super) mod telemetry;
mod traffic;
mod xbackend;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::name::{Kind, ObjectId, ObjectName};
use crate::snapshot::matching::Age;
use crate::snapshot::{BackendIdentity, BackendTls, Persistence, Security, Seed, Tracing};

use super::Options;
use super::certificates::Certificates;
use super::fault::Fault;
use super::hashed::Hashed;
use super::objects::{Objects, kind_of};
use super::ties::Ties;
use super::trust::Authorities;

pub(super) use report::{Ancestors, ancestors, remarks, status};
use report::{Held, MOST_ANCESTORS, MOST_OF_XBACKENDS};
pub(super) use traffic::Traffic;
use xbackend::Own;

/// Every policy, and what they contend for.
#[derive(Debug)]
pub(super) struct Policies {
    known: BTreeMap<ObjectId, Policy>,
    /// By kind of policy and target, the one whose say counts first.
    claims: Hashed<(Kind, Target), BTreeSet<(Age, ObjectId)>>,
    /// The policies that target an object, or a section of it.
    on: Hashed<ObjectId, BTreeSet<ObjectId>>,
}

/// What a policy applies to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Target {
    pub(super) object: ObjectId,
    /// A section of it; all of it when absent.
    pub(super) section: Option<Arc<str>>,
}

/// A policy as judged.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    pub(super) age: Age,
    pub(super) generation: i64,
    /// Sorted, each once.
    pub(super) targets: Vec<Target>,
    /// Why it is not accepted, whatever it targets.
    pub(super) fault: Option<Fault>,
    /// What its references come to; `None` for kinds that refer to nothing.
    pub(super) resolved: Option<Result<(), Fault>>,
    pub(super) asks: Asks,
    /// What it refers to.
    pub(super) ties: Ties,
    /// What a person should know that no condition says.
    pub(super) remarks: Vec<String>,
    /// What its stored status holds.
    pub(super) held: Held,
    /// Gateways that lead to what it targets and for which its status has no room.
    pub(super) barred: Arc<[ObjectName]>,
    /// What Gateways need because of it, sorted.
    pub(super) needed: Vec<(ObjectName, ObjectId)>,
    /// What it makes Gateways lead to.
    pub(super) ways: Vec<(ObjectName, ObjectId)>,
}

/// What a policy asks for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Asks {
    /// TLS to a backend; or why it cannot be spoken, so that nothing may be sent.
    Tls(Result<Arc<BackendIdentity>, Arc<str>>),
    /// How much may be retried, and how clients stay with an endpoint.
    Traffic(Traffic),
    /// Which requests become spans; `None` for what is done where nothing is said.
    Tracing {
        tracing: Option<Arc<Tracing>>,
        /// What it does not do though it is in force.
        told: Vec<String>,
    },
    /// What an XBackend states of itself.
    Own(Own),
}

/// What changes when a policy is replaced.
#[derive(Debug, Default)]
pub(super) struct Replaced {
    /// What it was.
    pub(super) old: Option<Policy>,
    /// Objects for which something else may hold now.
    pub(super) targets: BTreeSet<ObjectId>,
    /// Policies for the same target, where another has its say now.
    pub(super) rivals: BTreeSet<ObjectId>,
}

impl Policies {
    pub(super) fn new(seed: Seed) -> Self {
        Self { known: BTreeMap::new(), claims: Hashed::with_hasher(seed), on: Hashed::with_hasher(seed) }
    }

    /// The policy with this id.
    pub(super) fn get(&self, id: &ObjectId) -> Option<&Policy> {
        self.known.get(id)
    }

    /// The same, to note what became of it.
    pub(super) fn get_mut(&mut self, id: &ObjectId) -> Option<&mut Policy> {
        self.known.get_mut(id)
    }

    /// Replaces a policy. Returns what changes with it.
    pub(super) fn replace(&mut self, id: &ObjectId, new: Option<Policy>) -> Replaced {
        let old = self.known.remove(id);
        let is_alike = |one: &Policy, other: &Policy| {
            (one.age, &one.targets, &one.asks) == (other.age, &other.targets, &other.asks) && one.fault == other.fault
        };
        if old.as_ref().zip(new.as_ref()).is_some_and(|(old, new)| is_alike(old, new)) {
            self.known.extend(new.map(|new| (id.clone(), new)));
            return Replaced { old, ..Replaced::default() };
        }
        let claims = |policy: &Option<Policy>| -> BTreeSet<Target> {
            policy.iter().flat_map(|policy| policy.targets.iter().cloned()).collect()
        };
        let (before, after) = (claims(&old), claims(&new));
        let targets: BTreeSet<&Target> = before.union(&after).collect();
        let firsts: Vec<Option<ObjectId>> = targets.iter().map(|target| self.first(&id.kind, target).cloned()).collect();
        for target in &before {
            let claim = (id.kind.clone(), target.clone());
            if let (Some(ranks), Some(old)) = (self.claims.get_mut(&claim), &old) {
                ranks.remove(&(old.age, id.clone()));
                if ranks.is_empty() {
                    self.claims.remove(&claim);
                }
            }
            if let Some(policies) = self.on.get_mut(&target.object) {
                policies.remove(id);
                if policies.is_empty() {
                    self.on.remove(&target.object);
                }
            }
        }
        for target in &after {
            if let Some(new) = &new {
                self.claims.entry((id.kind.clone(), target.clone())).or_default().insert((new.age, id.clone()));
                self.on.entry(target.object.clone()).or_default().insert(id.clone());
            }
        }
        self.known.extend(new.map(|new| (id.clone(), new)));
        let mut replaced = Replaced { old, ..Replaced::default() };
        for (target, first) in targets.into_iter().zip(firsts) {
            let now = self.first(&id.kind, target);
            if now == first.as_ref() {
                // Those that come after read no differently, and one of them has no effect.
                if now == Some(id) {
                    replaced.targets.insert(target.object.clone());
                }
                continue;
            }
            replaced.targets.insert(target.object.clone());
            let rivals = self.claims.get(&(id.kind.clone(), target.clone())).into_iter().flatten();
            replaced.rivals.extend(rivals.map(|(_, rival)| rival.clone()));
        }
        replaced
    }

    /// The policies that target an object, of whatever kind.
    pub(super) fn on(&self, object: &ObjectId) -> impl Iterator<Item = &ObjectId> {
        self.on.get(object).into_iter().flatten()
    }

    /// The policy of a kind whose say counts for a target.
    pub(super) fn first(&self, kind: &Kind, target: &Target) -> Option<&ObjectId> {
        // Cheaper than making a key where there is no policy at all, which is the rule.
        self.on.get(&target.object)?;
        self.claims.get(&(kind.clone(), target.clone()))?.first().map(|(_, id)| id)
    }

    /// The BackendTLSPolicy that applies to a port of a Service.
    pub(super) fn tls(&self, service: &ObjectId, port: &str) -> Option<&Policy> {
        let of = |section: Option<Arc<str>>| {
            let id = self.first(&Kind::BackendTlsPolicy, &Target { object: service.clone(), section })?;
            self.known.get(id)
        };
        self.on.get(service)?;
        of(Some(port.into())).or_else(|| of(None))
    }

    /// What the XTelemetryPolicy that applies to a Gateway asks for, where it is in force.
    pub(super) fn tracing(&self, gateway: &ObjectName) -> Option<&Arc<Tracing>> {
        let object = ObjectId::new(Kind::Gateway, gateway.clone());
        let policy = self.known.get(self.first(&Kind::XTelemetryPolicy, &Target { object, section: None })?)?;
        match &policy.asks {
            Asks::Tracing { tracing, .. } => tracing.as_ref().filter(|_| !policy.barred.contains(gateway)),
            Asks::Tls(_) | Asks::Traffic(_) | Asks::Own(_) => None,
        }
    }

    /// What the XBackendTrafficPolicy that applies to an object asks for.
    pub(super) fn traffic(&self, object: &ObjectId) -> Option<&Traffic> {
        let id = self.first(&Kind::XBackendTrafficPolicy, &Target { object: object.clone(), section: None })?;
        match &self.known.get(id)?.asks {
            Asks::Traffic(traffic) => Some(traffic),
            Asks::Tls(_) | Asks::Tracing { .. } | Asks::Own(_) => None,
        }
    }
}

impl Policy {
    /// How a backend is spoken to that the policy applies to, offering these protocols.
    pub(super) fn security(&self, alpn: &'static [&'static str]) -> Security {
        match &self.asks {
            Asks::Tls(Ok(identity)) | Asks::Own(Own { tls: Some(Ok(identity)), .. }) => {
                let tls = BackendTls::new(Arc::clone(identity), alpn);
                Security::Tls(Arc::new(BackendTls { barred: Arc::clone(&self.barred), ..tls }))
            }
            Asks::Tls(Err(why)) | Asks::Own(Own { tls: Some(Err(why)), .. }) => Security::Broken(Arc::clone(why)),
            Asks::Traffic(_) | Asks::Tracing { .. } | Asks::Own(Own { tls: None, .. }) => Security::Clear,
        }
    }

    /// How clients stay with an endpoint of an XBackend, where it says so itself.
    pub(super) fn persistence(&self) -> Option<&Arc<Persistence>> {
        match &self.asks {
            Asks::Own(own) => own.persistence.as_ref(),
            Asks::Tls(_) | Asks::Traffic(_) | Asks::Tracing { .. } => None,
        }
    }

    /// How many entries its `status.ancestors` may have.
    fn room(&self) -> usize {
        match &self.asks {
            Asks::Own(_) => MOST_OF_XBACKENDS,
            Asks::Tls(_) | Asks::Traffic(_) | Asks::Tracing { .. } => MOST_ANCESTORS,
        }
    }
}

/// Judges a policy by itself, whatever others there are; `None` when there is no such policy.
pub(super) fn judge(
    id: &ObjectId,
    objects: &Objects,
    authorities: &mut Authorities,
    certificates: &mut Certificates,
    options: &Options,
) -> Option<Policy> {
    match &id.kind {
        Kind::BackendTlsPolicy => {
            objects.backend_tls.get(&id.name).map(|policy| backend_tls::judge(policy, objects, authorities, options))
        }
        Kind::XBackendTrafficPolicy => objects.backend_traffic.get(&id.name).map(|policy| traffic::judge(policy, options)),
        Kind::XBackend => {
            let found = objects.xbackends.get(&id.name);
            found.map(|backend| xbackend::judge(backend, objects, authorities, certificates, options))
        }
        Kind::GatewayClass
        | Kind::Gateway
        | Kind::ListenerSet
        | Kind::HttpRoute
        | Kind::GrpcRoute
        | Kind::TlsRoute
        | Kind::TcpRoute
        | Kind::UdpRoute
        | Kind::ReferenceGrant
        | Kind::XTelemetryPolicy
        | Kind::ServiceImport
        | Kind::ConfigMap
        | Kind::ClusterTrustBundle
        | Kind::Namespace
        | Kind::Service
        | Kind::EndpointSlice
        | Kind::Secret
        | Kind::DirectResponse
        | Kind::GatewayParameters
        | Kind::Extension(_) => None,
    }
}

/// The targets of a policy that routes can lead to, sorted; what is said of the others.
fn backends<'t>(
    namespace: &str,
    targets: impl Iterator<Item = (&'t str, &'t str, &'t str, Option<&'t str>)>,
) -> (Vec<Target>, Vec<String>) {
    let (mut found, mut remarks) = (Vec::new(), Vec::new());
    for (group, kind, name, section) in targets {
        let object = ObjectId::new(kind_of(group, kind), ObjectName::new(namespace, name));
        if matches!(object.kind, Kind::Service | Kind::ServiceImport | Kind::XBackend) {
            found.push(Target { object, section: section.map(Into::into) });
        } else {
            let group = if group.is_empty() { String::new() } else { format!(".{group}") };
            remarks.push(format!("targetRef {kind}{group} {name} is without effect: {TARGETS}"));
        }
    }
    found.sort_unstable();
    found.dedup();
    (found, remarks)
}

/// What a policy can be about.
const TARGETS: &str = "only Services and ServiceImports are targets here";
