//! Verb one: objects and facts in, a snapshot and statuses out.
//!
//! In: `Change`s, many at a time. Out: one `Update` per transaction, holding only what changed. `apply` is total: it never fails
//! and never panics; what is invalid gets its condition and harms only what refers to it.
//!
//! Invariants: **any sequence of changes ends where compiling the final objects and facts at once would**; the order of objects
//! does not matter; statuses written back yield no further change.

mod acceptance;
mod addresses;
mod age;
mod allotment;
mod attach;
mod attachment;
mod backends;
mod certificate;
mod certificates;
mod claims;
mod class;
mod client_validation;
mod counted;
mod counts;
mod dependents;
mod difference;
mod endpoints;
mod fault;
mod gateway;
mod gateways;
mod grant;
mod hashed;
mod listener;
mod listener_filters;
mod listener_set;
mod marked;
mod merge;
mod objects;
mod parameters;
mod placed;
mod policies;
mod reach;
mod references;
mod resolve;
mod rivals;
mod rooms;
mod route;
mod routes;
mod service_names;
mod status;
mod ties;
mod tls_options;
mod transaction;
mod translate;
mod trust;
mod users;
mod violation;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::Value;

use crate::name::{GroupKind, ObjectId, ObjectName};
use crate::resource::{GatewayParametersSpec, Object};
use crate::snapshot::filters::Handle;
use crate::snapshot::{Network, Settings, Snapshot, Socket};
use crate::status::Status;
use crate::support::Support;

pub use allotment::{AddressValue, Addresses, Answer, Given, Outcome};
pub use certificate::certificate_flaw;
pub use service_names::ServiceNames;
pub(crate) use tls_options::written_options;

/// What a compiler is told once.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which GatewayClasses are ours.
    pub classes: Classes,
    /// The name written into statuses (`controllerName`).
    pub controller_name: Arc<str>,
    /// What the data plane performs.
    pub support: Support,
    /// The kinds of extension filter the data plane knows.
    pub extensions: Extensions,
    /// Whether Services of type ExternalName lead anywhere, and where host names may lead.
    pub external_names: ExternalNames,
    /// The host names by which Services are reached that have no EndpointSlice; without it such a Service has no endpoint.
    pub service_names: Option<ServiceNames>,
    /// The domain of the cluster's own names, in lower case. Host names of backends do not lead there, but with `Anywhere`: its Services
    /// are referred to by themselves, which takes a grant where they are another namespace's.
    pub cluster_domain: Box<str>,
    /// Whether to build the snapshot; statuses come either way.
    pub traffic: bool,
    /// What proves that a listener is programmed.
    pub proof: Proof,
    /// What a Gateway obeys where no GatewayParameters say otherwise.
    pub settings: Settings,
    /// Seed of the hash maps: draw it at random once per process, fix it in tests. Nothing visible depends on it.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            classes: Classes::All,
            controller_name: CONTROLLER_NAME.into(),
            support: Support::NONE,
            extensions: Extensions::default(),
            external_names: ExternalNames::default(),
            service_names: None,
            cluster_domain: CLUSTER_DOMAIN.into(),
            traffic: true,
            proof: Proof::Sockets,
            settings: Settings::default(),
            seed: 0,
        }
    }
}

/// The controller name this implementation has unless told otherwise.
pub const CONTROLLER_NAME: &str = "pingora-gateway.dev/controller";

/// The domain of a cluster's own names unless it was given another.
pub const CLUSTER_DOMAIN: &str = "cluster.local";

/// Which GatewayClasses are ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Classes {
    /// Those whose `controllerName` equals `Options::controller_name`, and only Gateways of those.
    Named,
    /// All, whatever controller they name; a Gateway whose class is not known is ours too. For files, where nobody else reads.
    All,
}

/// Whether Services of type ExternalName lead anywhere, and where the host names of backends may lead. Whoever may write a Service
/// could reach through one what only the gateway can (CVE-2021-25740).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExternalNames {
    /// Such Services do not. XBackends, which are made for it, lead to addresses elsewhere.
    #[default]
    Refused,
    /// They do, and like XBackends to addresses elsewhere: neither loopback nor link-local ones, nor those of Services of the cluster.
    Elsewhere,
    /// They do, and all may lead to any address.
    Anywhere,
}

impl ExternalNames {
    /// Whether requests may go to an address that a host name resolves to, as far as that can be told of the address alone.
    pub fn admits(self, address: IpAddr) -> bool {
        self == Self::Anywhere || endpoints::is_elsewhere(address, None)
    }
}

/// How many listeners a Gateway and its ListenerSets hold together. Those beyond get `TooManyListeners`: the Gateway's own go first,
/// then those of older sets.
pub const MAX_LISTENERS: usize = 16_384;

/// What proves that a listener is programmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A fact that its sockets are bound: the data plane is this process. Gateways without addresses share all of the machine's.
    Sockets,
    /// A fact that every proxy acknowledged the generation of the Gateway, or of the ListenerSet for its listeners. Every Gateway has
    /// addresses of its own.
    Acknowledgement,
}

/// One change to what the compiler knows.
#[derive(Clone, Debug)]
pub enum Change {
    /// An object is now this. It replaces the one with the same id.
    Put(Object),
    /// An object is gone.
    Remove(ObjectId),
    /// Something outside the objects is now so.
    Fact(Fact),
}

/// What the world tells that no object says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A socket was tried. `None` takes the fact back: the socket was closed.
    Socket(Socket, Option<Bound>),
    /// Every connected proxy, and at least one, serves this generation of the Gateway or ListenerSet.
    Acknowledged(ObjectId, i64),
    /// The addresses of a Gateway, and what became of those it asks for. `None` takes them back.
    Addresses(ObjectName, Option<Addresses>),
    /// The ranges that Services of the cluster have their addresses in (ServiceCIDR). `None` where nobody knows.
    ServiceRanges(Option<Vec<Network>>),
    /// What time it is, in seconds since 1970. Without this fact no certificate is too old or too new.
    Time(i64),
    /// What a host name resolves to. `None` takes it back: it is not known any more.
    Resolved(Arc<str>, Option<Arc<[IpAddr]>>),
    /// The Gateway API bundle that is installed; without this fact, the one this crate was written for.
    Bundle(Bundle),
}

/// How an attempt to bind a socket ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// It accepts connections.
    Yes,
    /// It was refused, with the system's reason.
    Refused(Arc<str>),
}

/// The Gateway API that is installed, as its CRDs are annotated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bundle {
    /// The annotations of all CRDs, each different pair once: one in a cluster that is in order.
    pub crds: BTreeSet<CrdAnnotations>,
    /// Whether ClusterTrustBundles are served beside it.
    pub trust_bundles: bool,
}

impl Bundle {
    /// A bundle that is installed as it was released: `version` such as `v1.7.0`, with ClusterTrustBundles beside it.
    pub fn of(version: &str, experimental: bool) -> Self {
        let channel = if experimental { EXPERIMENTAL } else { "standard" };
        let crd = CrdAnnotations { version: Some(version.into()), channel: Some(channel.into()) };
        Self { crds: [crd].into(), trust_bundles: true }
    }
}

/// What a CRD of the Gateway API says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CrdAnnotations {
    /// `gateway.networking.k8s.io/bundle-version`, such as `v1.7.0`.
    pub version: Option<Arc<str>>,
    /// `gateway.networking.k8s.io/channel`: `standard` or `experimental`.
    pub channel: Option<Arc<str>>,
}

/// The channel with all fields.
const EXPERIMENTAL: &str = "experimental";

/// The kinds of extension filter a data plane knows, with the builders that read their objects.
#[derive(Clone, Default)]
pub struct Extensions(BTreeMap<GroupKind, Builder>);

/// Turns the JSON of an extension object into a handle, or says why it cannot.
pub type Builder = Arc<dyn Fn(&Value) -> Result<Handle, String> + Send + Sync>;

impl Extensions {
    /// Registers a kind. A later builder for the same kind replaces the earlier one.
    pub fn insert(&mut self, kind: GroupKind, builder: Builder) {
        self.0.insert(kind, builder);
    }

    /// The builder for a kind.
    pub fn get(&self, kind: &GroupKind) -> Option<&Builder> {
        self.0.get(kind)
    }

    /// The kinds, in order.
    pub fn kinds(&self) -> impl Iterator<Item = &GroupKind> {
        self.0.keys()
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Turns changes into snapshots and statuses.
///
/// ```
/// use gateway_core::compile::{Change, Compiler, Options};
/// use gateway_core::resource::{self, Reader, Reading};
/// use gateway_core::support::Support;
///
/// let mut compiler = Compiler::new(Options { support: Support::ALL, ..Options::default() });
/// let document = serde_json::json!({
///     "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "web", "namespace": "shop"},
///     "spec": {"gatewayClassName": "pingora", "listeners": [{"name": "http", "protocol": "HTTP", "port": 80}]},
/// });
/// let Ok(Reading::Object { object, .. }) = resource::read(document, &Reader::default()) else { panic!("it is valid") };
/// let update = compiler.apply([Change::Put(object)]);
/// assert_eq!(update.statuses.len(), 1);
/// assert_eq!(update.snapshot.sockets().count(), 1);
/// ```
#[derive(Debug)]
pub struct Compiler {
    options: Options,
    state: transaction::State,
}

impl Compiler {
    /// A compiler that knows no object yet.
    pub fn new(options: Options) -> Self {
        let state = transaction::State::new(&options);
        Self { options, state }
    }

    /// Applies changes as one transaction. Total: bad input becomes conditions and problems.
    pub fn apply(&mut self, changes: impl IntoIterator<Item = Change>) -> Update {
        self.state.apply(changes, &self.options)
    }

    /// Every status as it was last given.
    pub fn statuses(&self) -> &BTreeMap<ObjectId, Status> {
        self.state.statuses()
    }

    /// The parameters of a Gateway: its own GatewayParameters over those of its class, field by field. The data plane's settings follow from
    /// them already; what is made for the Gateway is the embedder's. [`Update::needs`] tells of which objects they come.
    pub fn parameters(&self, gateway: &ObjectName) -> Option<GatewayParametersSpec> {
        self.state.parameters(gateway)
    }

    /// Whether any Gateway names the class.
    pub fn is_class_used(&self, class: &ObjectName) -> bool {
        self.state.is_class_used(class)
    }

    /// Every problem as it was last given.
    pub fn problems(&self) -> &BTreeMap<ObjectId, Vec<String>> {
        self.state.problems()
    }
}

/// What one transaction changed.
#[derive(Clone, Debug)]
pub struct Update {
    /// What to serve now; the same pointer as before when nothing changed for traffic.
    pub snapshot: Arc<Snapshot>,
    /// Statuses that differ from the ones last given, by object. `None`: we no longer have anything to say about the object.
    pub statuses: BTreeMap<ObjectId, Option<Status>>,
    /// What a person should know and no condition says, by object. An entry replaces the former one; an empty one clears it.
    pub problems: BTreeMap<ObjectId, Vec<String>>,
    /// What Gateways began or ceased to depend on.
    pub needs: Vec<Need>,
    /// Host names that backends began (`true`) or ceased to lead to, in lower case. They are wanted resolved (`Fact::Resolved`).
    pub names: BTreeMap<Arc<str>, bool>,
    /// Classes that Gateways began (`true`) or ceased to name, whether the class exists or not. While any does, the finalizer
    /// `gateway-exists-finalizer.gateway.networking.k8s.io` belongs on the class.
    pub classes: BTreeMap<ObjectName, bool>,
    /// When time alone will change something, in seconds since 1970.
    pub next: Option<i64>,
}

/// One object that joined or left what a Gateway depends on, whether the object exists or not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    /// The Gateway.
    pub gateway: ObjectName,
    /// The object. A Service stands for its EndpointSlices too.
    pub object: ObjectId,
    /// Whether it joined or left.
    pub joined: bool,
}
