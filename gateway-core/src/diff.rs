//! What differs between two configurations: which requests would be answered differently, and what is told differently of objects.
//!
//! In: what two compilers made of their objects. Out: data, and text for a person. The requests to compare are derived from both
//! configurations: for every listener and every host name that is written there, every path pattern (itself, a child, a sibling; a text
//! that an expression matches), every service and method of calls, with what their candidates ask for, singly and together; and every
//! server name and port for connections and flows. Each is decided on both sides as `decide` would. Shares are compared whole, so
//! that it does not matter whose turn it is.
//!
//! What differs in the name of a rule or listener alone is no difference: clients and backends cannot tell.
//!
//! Invariants: a configuration does not differ from itself; every request that is reported is treated differently.
//!
//! Who serves is seldom written where routes are: a backend that has an endpoint on neither side is taken to have one on both, and how
//! many these are is told.
//!
//! What is not seen: requests that only differ where nothing was derived to ask. How many were left out, and which expressions no
//! text is known for, is told.

mod backends;
mod criteria;
mod listeners;
mod places;
mod request;
mod told;
mod treatment;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use serde::Serialize;

use crate::decide::StreamArrival;
use crate::name::ObjectId;
use crate::snapshot::{BackendName, Listeners, Snapshot, Socket, Transport};
use crate::status::Status;

use criteria::combinations;
use places::{Omitted, hosts, places};
pub use request::{Criteria, Probe, Request};
pub use told::{Altered, Said};
pub use treatment::{Fate, Share, Treatment};
use treatment::{Found, treat};

/// What a compiler made of its objects.
#[derive(Clone, Copy, Debug)]
pub struct Compiled<'a> {
    /// The snapshot of its last update.
    pub snapshot: &'a Arc<Snapshot>,
    /// `Compiler::statuses`.
    pub statuses: &'a BTreeMap<ObjectId, Status>,
    /// `Compiler::problems`.
    pub problems: &'a BTreeMap<ObjectId, Vec<String>>,
}

/// What differs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// Requests, connections and flows that are treated differently, those treated alike together.
    pub traffic: Vec<Change>,
    /// Listeners, in what connections meet before any rule.
    pub listeners: Vec<Altered>,
    /// Backends.
    pub backends: Vec<Altered>,
    /// Statuses of objects.
    pub statuses: Vec<Altered>,
    /// What a person should know and no condition says.
    pub problems: Vec<Altered>,
    /// How much was compared.
    pub extent: Extent,
}

/// Probes that are treated differently, and all so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// What was done with them.
    pub before: Treatment,
    /// What is done now.
    pub after: Treatment,
    /// The first of them.
    pub examples: Vec<Example>,
    /// How many there are.
    pub count: usize,
}

/// A probe, with what depends on it alone: where a redirect leads, or as which host and path it arrives at a backend, for each share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Example {
    /// What was asked.
    pub probe: Probe,
    /// Where it led.
    pub before: Vec<Option<String>>,
    /// Where it leads now.
    pub after: Vec<Option<String>>,
}

/// How much was compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Extent {
    /// Requests, connections and flows that were asked about.
    pub asked: usize,
    /// Requests that were not, because one place would have too many. Some of them may repeat others.
    pub left_out: usize,
    /// Backends that have no endpoint on either side, and are taken to have one.
    pub supposed: usize,
    /// Expressions of which no text is known, and who asks them.
    pub unknown: Vec<String>,
}

/// An address that is nobody's (RFC 5737), for backends that are taken to have an endpoint.
const SOMEWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 80);

/// Examples that are kept of a change.
const EXAMPLES: usize = 16;

/// What differs between what two compilers made.
///
/// ```
/// use gateway_core::compile::{Change, Compiler, Options};
/// use gateway_core::diff::{Compiled, diff};
/// use gateway_core::resource::{self, Reader, Reading};
/// use gateway_core::support::Support;
///
/// let gateway = serde_json::json!({
///     "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "web", "namespace": "shop"},
///     "spec": {"gatewayClassName": "pingora", "listeners": [{"name": "http", "protocol": "HTTP", "port": 80}]},
/// });
/// let route = |path: &str| serde_json::json!({
///     "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "old", "namespace": "shop"},
///     "spec": {"parentRefs": [{"name": "web"}], "hostnames": ["shop.example.com"], "rules": [{
///         "matches": [{"path": {"value": path}}],
///         "filters": [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}],
///     }]},
/// });
/// let compile = |documents: [serde_json::Value; 2]| {
///     let mut compiler = Compiler::new(Options { support: Support::ALL, ..Options::default() });
///     let update = compiler.apply(documents.map(|document| match resource::read(document, &Reader::default()) {
///         Ok(Reading::Object { object, .. }) => Change::Put(object),
///         other => panic!("{other:?}"),
///     }));
///     (compiler, update.snapshot)
/// };
/// let (before, old) = compile([gateway.clone(), route("/cart")]);
/// let (after, new) = compile([gateway, route("/basket")]);
/// let difference = diff(
///     Compiled { snapshot: &old, statuses: before.statuses(), problems: before.problems() },
///     Compiled { snapshot: &new, statuses: after.statuses(), problems: after.problems() },
/// );
/// assert!(difference.to_string().starts_with(
///     "requests:
///   GET http://shop.example.com/basket and 1 more
///     before: 404: no rule matches
///     now:    HTTPRoute shop/old rule 0: answered 302, https://shop.example.com/basket
///   GET http://shop.example.com/cart and 1 more
///     before: HTTPRoute shop/old rule 0: answered 302, https://shop.example.com/cart
///     now:    404: no rule matches
/// "), "{difference}");
/// ```
pub fn diff(before: Compiled<'_>, after: Compiled<'_>) -> Difference {
    let (supposing, supposed) = supposing([before.snapshot, after.snapshot]);
    let mut traffic = Traffic { sides: [&supposing[0], &supposing[1]], changes: Vec::new(), known: BTreeMap::new(), asked: 0 };
    let mut omitted = Omitted::default();
    let mut sockets: Vec<Socket> = traffic.sides.iter().flat_map(|side| side.sockets()).map(|(socket, _)| *socket).collect();
    sockets.sort_unstable();
    sockets.dedup();
    for socket in sockets {
        traffic.compare_socket(socket, &mut omitted);
    }
    Difference {
        listeners: listeners::listeners(before.snapshot, after.snapshot),
        backends: backends::backends(before.snapshot, after.snapshot),
        statuses: told::statuses(before.statuses, after.statuses),
        problems: told::problems(before.problems, after.problems),
        extent: Extent {
            asked: traffic.asked,
            left_out: omitted.left_out,
            supposed,
            unknown: omitted.unknown.into_iter().collect(),
        },
        traffic: traffic.changes,
    }
}

/// Both sides with an endpoint for each backend that has none on either, and how many these are.
fn supposing(sides: [&Arc<Snapshot>; 2]) -> ([Arc<Snapshot>; 2], usize) {
    let served: BTreeSet<&BackendName> = sides
        .into_iter()
        .flat_map(|side| side.backends())
        .filter_map(|backend| (!backend.endpoints.is_empty()).then_some(&backend.name))
        .collect();
    let unserved = sides.map(|side| side.backends().filter(|backend| !served.contains(&backend.name)).collect::<Vec<_>>());
    let names: BTreeSet<&BackendName> = unserved.iter().flatten().map(|backend| &backend.name).collect();
    let count = names.len();
    let [before, after] = unserved.map(|backends| backends.iter().map(|backend| backend.id).collect::<Vec<_>>());
    let [old, new] = sides;
    ([Arc::new(old.supposing(&before, SOMEWHERE)), Arc::new(new.supposing(&after, SOMEWHERE))], count)
}

impl Difference {
    /// Whether nothing differs in what was compared.
    pub fn is_empty(&self) -> bool {
        let Self { traffic, listeners, backends, statuses, problems, extent: _ } = self;
        traffic.is_empty() && [listeners, backends, statuses, problems].into_iter().all(Vec::is_empty)
    }
}

/// What differs in traffic, being gathered.
struct Traffic<'a> {
    sides: [&'a Arc<Snapshot>; 2],
    changes: Vec<Change>,
    /// Where a pair of treatments stands among the changes.
    known: BTreeMap<(Treatment, Treatment), usize>,
    asked: usize,
}

impl<'a> Traffic<'a> {
    fn compare_socket(&mut self, socket: Socket, omitted: &mut Omitted) {
        let sides: [Option<&'a Listeners>; 2] = self.sides.map(|snapshot| snapshot.listeners(&socket));
        if socket.transport == Transport::Udp {
            self.compare(Probe::Flow(socket));
            return;
        }
        let hosts = hosts(sides);
        let speaks = |is_tls: bool| sides.iter().flatten().any(|listeners| listeners.is_tls() == is_tls);
        if speaks(false) || sides.iter().flatten().any(|listeners| listeners.site(None).is_some()) {
            self.compare(Probe::Connection(StreamArrival { socket, server_name: None }));
        }
        for is_tls in [false, true].into_iter().filter(|is_tls| speaks(*is_tls)) {
            for host in &hosts {
                if is_tls {
                    self.compare(Probe::Connection(StreamArrival { socket, server_name: Some(Arc::clone(host)) }));
                }
                self.compare_host(socket, is_tls, host, sides, omitted);
            }
        }
    }

    fn compare_host(
        &mut self,
        socket: Socket,
        is_tls: bool,
        host: &Arc<str>,
        sides: [Option<&'a Listeners>; 2],
        omitted: &mut Omitted,
    ) {
        let answers = |listeners: &&Listeners| listeners.find(Some(host)).is_some_and(|found| found.protocol.is_http());
        if !sides.iter().flatten().any(answers) {
            return;
        }
        for place in places(host, sides, omitted) {
            let plain = place.plain(socket, is_tls, host);
            for asks in combinations(&plain, &place, self.sides, omitted) {
                self.compare(Probe::Request(Request { asks, ..plain.clone() }));
            }
        }
    }

    fn compare(&mut self, probe: Probe) {
        self.asked += 1;
        let [before, after] = self.sides.map(|snapshot| treat(snapshot, &probe));
        if before.is_like(&after) || self.is_told_by_requests(&probe, &before, &after) {
            return;
        }
        let Found { treatment: before, leads: led } = before;
        let Found { treatment: after, leads } = after;
        let after = after.beside(&before);
        let at = *self.known.entry((before.clone(), after.clone())).or_insert_with(|| {
            self.changes.push(Change { before, after, examples: Vec::new(), count: 0 });
            self.changes.len() - 1
        });
        let Some(change) = self.changes.get_mut(at) else { return };
        change.count += 1;
        if change.examples.len() < EXAMPLES {
            change.examples.push(Example { probe, before: led, after: leads });
        }
    }

    /// Whether a difference between connections shows in each request on them: one side reads requests, and no server goes unnamed.
    fn is_told_by_requests(&self, probe: &Probe, before: &Found, after: &Found) -> bool {
        let Probe::Connection(StreamArrival { socket, server_name }) = probe else { return false };
        let is_tls = |side: &Arc<Snapshot>| side.listeners(socket).is_some_and(Listeners::is_tls);
        let speaks_http = |found: &Found| found.treatment.shares.iter().any(|share| share.fate == Fate::Http);
        (server_name.is_some() || !self.sides.into_iter().any(is_tls)) && (speaks_http(before) || speaks_http(after))
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { traffic, listeners, backends, statuses, problems, extent } = self;
        if !traffic.is_empty() {
            writeln!(f, "requests:")?;
            traffic.iter().try_for_each(|change| write!(f, "{change}"))?;
        }
        let told = [("listeners", listeners), ("backends", backends), ("statuses", statuses), ("problems", problems)];
        for (heading, altered) in told.into_iter().filter(|(_, altered)| !altered.is_empty()) {
            writeln!(f, "{heading}:")?;
            let mut last = "";
            for one in altered {
                if one.of != last {
                    writeln!(f, "  {}", one.of)?;
                }
                last = &one.of;
                writeln!(f, "    {one}")?;
            }
        }
        if self.is_empty() {
            write!(f, "no difference; ")?;
        }
        write!(f, "{extent}")
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { asked, left_out, supposed, unknown } = self;
        write!(f, "{asked} requests and connections were compared")?;
        if *left_out > 0 {
            write!(f, ", up to {left_out} more were left out")?;
        }
        match supposed {
            0 => {}
            1 => write!(f, "\none backend has no endpoint on either side, and is taken to have one")?,
            _ => write!(f, "\n{supposed} backends have no endpoint on either side, and are taken to have one")?,
        }
        unknown.iter().try_for_each(|who| write!(f, "\nnot asked about, since no text is known that it matches: {who}"))
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { before, after, examples, count } = self;
        let Some(Example { probe, before: led, after: leads }) = examples.first() else { return Ok(()) };
        write!(f, "  {probe}")?;
        if *count > 1 {
            write!(f, " and {} more", count - 1)?;
        }
        // What both sides do alike need not be read twice.
        writeln!(f, "\n    before: {}", Sentence { treatment: before, leads: led, beside: after })?;
        writeln!(f, "    now:    {}", Sentence { treatment: after, leads, beside: before })
    }
}

/// A treatment in one sentence; steps and terms only where those of the other side differ.
struct Sentence<'a> {
    treatment: &'a Treatment,
    leads: &'a [Option<String>],
    beside: &'a Treatment,
}

impl fmt::Display for Sentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { treatment: Treatment { listener, rule, shares }, leads, beside } = self;
        if let Some(rule) = rule {
            write!(f, "{rule}")?;
        }
        if let (Some(listener), false) = (listener, *listener == beside.listener) {
            write!(f, "{}{listener}", if rule.is_some() { " at " } else { "" })?;
        }
        let mut before = if rule.is_some() || *listener != beside.listener && listener.is_some() { ": " } else { "" };
        let sum: u64 = shares.iter().map(|share| share.weight).sum();
        let all: Vec<_> = shares.iter().chain(&beside.shares).collect();
        let same_steps = all.windows(2).all(|pair| pair[0].steps == pair[1].steps);
        let same_terms = all.windows(2).all(|pair| pair[0].terms == pair[1].terms);
        for (at, Share { weight, fate, steps, terms }) in shares.iter().enumerate() {
            f.write_str(before)?;
            if shares.len() > 1 {
                write!(f, "{weight} of {sum} ")?;
            }
            write!(f, "{fate}")?;
            match (leads.get(at).and_then(Option::as_deref), fate) {
                (Some(lead), Fate::Answer { .. }) => write!(f, ", {lead}")?,
                (Some(lead), _) => write!(f, " as {lead}")?,
                (None, _) => {}
            }
            let steps = steps.iter().filter(|_| !same_steps).map(|step| step.text.as_str());
            let terms = terms.iter().filter(|_| !same_terms).map(String::as_str);
            steps.chain(terms).try_for_each(|line| write!(f, "; {line}"))?;
            before = ", ";
        }
        Ok(())
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing { because } => f.write_str(because),
            Self::Forward { backend } | Self::Pass { backend, ends_tls: false } => write!(f, "→ {backend}"),
            Self::Pass { backend, ends_tls: true } => write!(f, "TLS ends here → {backend}"),
            Self::Http => f.write_str("HTTP is spoken"),
            Self::Answer { status, headers, body } => {
                write!(f, "answered {status}")?;
                headers.iter().try_for_each(|header| write!(f, ", {header}"))?;
                if body.is_empty() { Ok(()) } else { write!(f, ", {body:?}") }
            }
            Self::Refuse { grpc: Some(status), because, .. } => write!(f, "gRPC status {status}: {because}"),
            Self::Refuse { status, grpc: None, because } => write!(f, "{status}: {because}"),
            Self::Close { because } => write!(f, "closed: {because}"),
        }
    }
}
