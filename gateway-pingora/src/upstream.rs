//! Which endpoint of a backend to ask, and how its endpoints are doing.
//!
//! In: a backend as decided, for whose traffic, and how exchanges with its endpoints went. Out: an attempt at one endpoint, and a
//! peer for Pingora to connect to, in clear or over TLS. Whoever uses such a peer calls `Attempt::check` on the connection before
//! anything is sent. Weights were decided before; here every endpoint of the one backend counts the same: of two drawn at random, the
//! one with less to do wins, unless the client's session holds one.
//!
//! Health is learnt from traffic, belongs to (backend, address) and outlives configurations: a failed connect takes an endpoint out
//! of use until a connect succeeds; five failed exchanges in a row take it out for a second, then two, up to thirty. When all are
//! out, all are used.
//!
//! Invariants: **an address that left a backend and came back is another endpoint**: it meets no pooled connection of its former
//! self; **requests learn about endpoints, and never add or forget any**; healthy endpoints are never probed.

mod budget;
mod chance;
mod endpoint;
mod probe;
mod upgrade;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use pingora_core::upstreams::peer::HttpPeer;

use gateway_core::snapshot::{Backend, BackendName, BackendProtocol, Fingerprint, Listener, Security, Snapshot};

use crate::alive;
use crate::observe::Counters;
use crate::tls::BackendHandshakes;
use budget::Ledger;
pub(crate) use chance::draw;
pub(crate) use endpoint::Attempt;
use endpoint::{Endpoint, Way};
use probe::Probes;
pub(crate) use upgrade::Gate;

/// The endpoints of all backends of the current snapshot.
#[derive(Debug)]
pub(crate) struct Upstreams {
    shards: Box<[RwLock<Groups>]>,
    hasher: RandomState,
    epochs: AtomicU64,
    probes: Arc<Probes>,
    handshakes: BackendHandshakes,
    counters: Arc<Counters>,
    connect_timeout: Duration,
}

/// Why there is no endpoint to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// The backend has none that was not tried.
    NoEndpoint,
    /// Nothing may be sent to the backend: the text says why.
    Broken(Arc<str>),
}

type Groups = HashMap<BackendName, Arc<Group>>;

/// The endpoints of one backend.
#[derive(Debug)]
struct Group {
    backend: Arc<Backend>,
    /// Of the backend; there once it was asked for.
    fingerprint: OnceLock<Fingerprint>,
    endpoints: Box<[Arc<Endpoint>]>,
    /// Where the backend has a budget for retries.
    ledger: Option<Arc<Ledger>>,
}

impl Upstreams {
    pub(crate) fn new(counters: Arc<Counters>, connect_timeout: Duration) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            hasher: RandomState::new(),
            epochs: AtomicU64::new(0),
            probes: Arc::default(),
            handshakes: BackendHandshakes::default(),
            counters,
            connect_timeout,
        }
    }

    /// How long a connect may take, its handshake included.
    pub(crate) fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// Chooses an endpoint that is not in `tried`, for traffic of a listener.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn pick(&self, backend: &Arc<Backend>, listener: &Listener, tried: &[SocketAddr]) -> Result<Attempt, Unfit> {
        self.pick_over(&backend.security, backend, listener, tried)
    }

    /// The same where another security than the backend's own holds: TLS that passes through is the client's.
    pub(crate) fn pick_over(
        &self,
        security: &Security,
        backend: &Arc<Backend>,
        listener: &Listener,
        tried: &[SocketAddr],
    ) -> Result<Attempt, Unfit> {
        self.pick_by(security, backend, listener, |endpoints| choose(endpoints, tried))
    }

    /// The endpoint that a session holds, where the backend has it, and it is in use or none is.
    pub(crate) fn pick_held(&self, backend: &Arc<Backend>, listener: &Listener, held: SocketAddr) -> Option<Attempt> {
        self.pick_by(&backend.security, backend, listener, |endpoints| find_held(endpoints, held)).ok()
    }

    fn pick_by(
        &self,
        security: &Security,
        backend: &Arc<Backend>,
        listener: &Listener,
        choose: impl FnOnce(&[Arc<Endpoint>]) -> Option<&Arc<Endpoint>>,
    ) -> Result<Attempt, Unfit> {
        let (handshake, key) = match security {
            Security::Clear => (None, None),
            Security::Tls(tls) => {
                let handshake = self.handshakes.handshake(tls, listener).map_err(Unfit::Broken)?;
                (Some(handshake), Some(tls.pool_key(listener)))
            }
            Security::Broken(why) => return Err(Unfit::Broken(Arc::clone(why))),
        };
        let group = self.group(backend);
        let endpoint = choose(&group.endpoints).ok_or(Unfit::NoEndpoint)?;
        // Connections are shared only where everything about the backend, the endpoint and the handshake is the same.
        let fingerprint = group.fingerprint.get_or_init(|| backend.fingerprint());
        let pool = self.hasher.hash_one((fingerprint, endpoint.epoch, endpoint.trusted(), key));
        Ok(Attempt::begin(Arc::clone(endpoint), Way { handshake, pool }))
    }

    /// What Pingora needs to know to ask an endpoint.
    pub(crate) fn peer(&self, backend: &Backend, attempt: &Attempt) -> Box<HttpPeer> {
        let Way { handshake, pool } = attempt.way();
        let mut peer = match handshake {
            Some(handshake) => Box::new(handshake.peer(attempt.address())),
            None => {
                let mut peer = Box::new(HttpPeer::new(attempt.address(), false, String::new()));
                match backend.protocol {
                    BackendProtocol::Http1 | BackendProtocol::Raw => peer.options.set_http_version(1, 1),
                    BackendProtocol::Http2 => peer.options.set_http_version(2, 2),
                }
                peer
            }
        };
        alive::probe_peer(&mut peer.options);
        peer.options.max_h2_streams = H2_STREAMS;
        peer.options.idle_timeout = Some(POOLED);
        peer.options.total_connection_timeout = Some(self.connect_timeout);
        peer.group_key = *pool;
        peer
    }

    /// The same for a request that asks for an upgrade: its response is held back by the gate. The connection is made here, its
    /// handshake with it: there is nothing for Pingora to encrypt, and nothing to check.
    pub(crate) fn peer_for_upgrade(&self, attempt: &Attempt, gate: &Arc<Gate>) -> Box<HttpPeer> {
        let mut peer = Box::new(HttpPeer::new(attempt.address(), false, String::new()));
        peer.options.set_http_version(1, 1);
        peer.options.total_connection_timeout = Some(self.connect_timeout);
        let handshake = attempt.handshake().cloned();
        let connect = upgrade::Connect { gate: Arc::clone(gate), handshake, time: self.connect_timeout };
        peer.options.custom_l4 = Some(Arc::new(connect));
        // No pooled connection has a gate.
        peer.group_key = self.hasher.hash_one((attempt.way().pool, "upgrade"));
        peer
    }

    /// Takes note of a request that is no retry.
    pub(crate) fn count_request(&self, backend: &Arc<Backend>) {
        if backend.retry_budget.is_some()
            && let Some(ledger) = &self.group(backend).ledger
        {
            ledger.count_request();
        }
    }

    /// Whether a backend affords one more retry, which is then counted.
    pub(crate) fn affords_retry(&self, backend: &Arc<Backend>) -> bool {
        backend.retry_budget.is_none() || self.group(backend).ledger.as_ref().is_none_or(|ledger| ledger.affords_retry())
    }

    /// A connect failed: the endpoint is out of use until a probe reaches it.
    pub(crate) fn unreachable(&self, attempt: &Attempt) {
        self.counters.upstream_connects_failed.add();
        if attempt.endpoint().eject_until_probed() {
            self.counters.upstream_ejections.add();
            tracing::warn!(endpoint = %attempt.endpoint().address, "unreachable, taken out of use");
            self.probes.watch(attempt.endpoint(), attempt.handshake());
        }
    }

    /// An endpoint of datagrams is not there. No connect can tell when it is back: it is out of use for a while.
    pub(crate) fn refused(&self, attempt: &Attempt) {
        self.counters.upstream_connects_failed.add();
        self.eject(attempt, attempt.endpoint().count_refusal());
    }

    /// The exchange failed after it had begun, or its status says that the endpoint is not well.
    pub(crate) fn failed(&self, attempt: &Attempt) {
        self.eject(attempt, attempt.endpoint().count_failure());
    }

    fn eject(&self, attempt: &Attempt, time: Option<Duration>) {
        if let Some(time) = time {
            self.counters.upstream_ejections.add();
            tracing::warn!(endpoint = %attempt.endpoint().address, ?time, "fails, taken out of use");
        }
    }

    /// Brings what is known in line with a snapshot that is about to take the place of another: backends and addresses that left are
    /// forgotten, those that came are added. Costs about what changed.
    pub(crate) fn follow(&self, former: &Snapshot, snapshot: &Snapshot) {
        self.handshakes.sweep();
        for (old, new) in snapshot.changed_backends(former) {
            if let Some(old) = old.filter(|old| new.is_none_or(|new| new.name != old.name)) {
                self.forget(old);
            }
            let Some(backend) = new else { continue };
            let former = self.known(backend);
            let group = Arc::new(self.regroup(backend, former.as_ref()));
            if former.is_some_and(|former| former.backend.security != backend.security) {
                // Who did not pass one handshake may well pass another.
                group.endpoints.iter().for_each(|endpoint| endpoint.restore());
            }
            write(self.shard(backend)).insert(backend.name.clone(), group);
        }
    }

    /// Forgets a backend that left, unless another has its name by now.
    fn forget(&self, backend: &Backend) {
        let mut groups = write(self.shard(backend));
        if groups.get(&backend.name).is_some_and(|group| group.backend.id == backend.id) {
            groups.remove(&backend.name);
        }
    }

    /// The backend of this name as it is now, be it that nobody referred to it for a while; `None` where nobody does.
    pub(crate) fn current(&self, backend: &Backend) -> Option<Arc<Backend>> {
        let named = |shard: &RwLock<Groups>| read(shard).get(&backend.name).map(|group| Arc::clone(&group.backend));
        named(self.shard(backend)).or_else(|| self.shards.iter().find_map(named))
    }

    /// The endpoints of a backend as a request knows it. One that was decided by a former snapshot may know addresses that left: what
    /// is learnt of these ends with the request.
    fn group(&self, backend: &Arc<Backend>) -> Arc<Group> {
        match self.known(backend) {
            Some(group) if same(&group.backend, backend) => group,
            other => Arc::new(self.regroup(backend, other.as_ref())),
        }
    }

    fn known(&self, backend: &Backend) -> Option<Arc<Group>> {
        read(self.shard(backend)).get(&backend.name).cloned()
    }

    fn shard(&self, backend: &Backend) -> &RwLock<Groups> {
        &self.shards[self.hasher.hash_one(backend.id) as usize % SHARDS]
    }

    /// The group of a backend, with what is known of endpoints it already had.
    fn regroup(&self, backend: &Arc<Backend>, former: Option<&Arc<Group>>) -> Group {
        let known: HashMap<SocketAddr, &Arc<Endpoint>> =
            former.map(|group| group.endpoints.iter().map(|endpoint| (endpoint.address, endpoint)).collect()).unwrap_or_default();
        let endpoints = backend.endpoints.iter().map(|address| match known.get(address) {
            Some(endpoint) => Arc::clone(endpoint),
            None => Arc::new(Endpoint::new(*address, self.epochs.fetch_add(1, Ordering::Relaxed))),
        });
        let kept = former.and_then(|group| group.ledger.clone());
        let ledger = backend.retry_budget.map(|budget| match kept {
            Some(ledger) if ledger.budget == budget => ledger,
            _ => Arc::new(Ledger::new(budget)),
        });
        Group { backend: Arc::clone(backend), fingerprint: OnceLock::new(), endpoints: endpoints.collect(), ledger }
    }
}

fn read(shard: &RwLock<Groups>) -> RwLockReadGuard<'_, Groups> {
    shard.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(shard: &RwLock<Groups>) -> RwLockWriteGuard<'_, Groups> {
    shard.write().unwrap_or_else(PoisonError::into_inner)
}

/// Whether two versions of a backend are the same, their endpoints those of one judgement.
fn same(a: &Arc<Backend>, b: &Arc<Backend>) -> bool {
    Arc::ptr_eq(a, b) || (Arc::ptr_eq(&a.endpoints, &b.endpoints) && a == b)
}

/// An endpoint by its address, unless it is out of use while others are not.
fn find_held(endpoints: &[Arc<Endpoint>], address: SocketAddr) -> Option<&Arc<Endpoint>> {
    let now = endpoint::now();
    let found = endpoints.iter().find(|endpoint| endpoint.address == address)?;
    (found.is_in_use(now) || !endpoints.iter().any(|endpoint| endpoint.is_in_use(now))).then_some(found)
}

/// Of two random endpoints the better one, among those in use; among all where none is.
fn choose<'a>(endpoints: &'a [Arc<Endpoint>], tried: &[SocketAddr]) -> Option<&'a Arc<Endpoint>> {
    let now = endpoint::now();
    let fresh = |endpoint: &Arc<Endpoint>| !tried.contains(&endpoint.address);
    two(endpoints, now, |endpoint| fresh(endpoint) && endpoint.is_in_use(now)).or_else(|| two(endpoints, now, fresh))
}

/// The better of two random endpoints that pass.
fn two(endpoints: &[Arc<Endpoint>], now: u64, pass: impl Fn(&Arc<Endpoint>) -> bool) -> Option<&Arc<Endpoint>> {
    let a = one(endpoints, &pass)?;
    match one(endpoints, |endpoint| !Arc::ptr_eq(a, endpoint) && pass(endpoint)) {
        Some(b) if b.beats(a, now) => Some(b),
        _ => Some(a),
    }
}

/// One of those that pass, each as likely as the others: drawn until one does. Where few pass, the next one from a random place on.
fn one(endpoints: &[Arc<Endpoint>], pass: impl Fn(&Arc<Endpoint>) -> bool) -> Option<&Arc<Endpoint>> {
    let place = || (draw() as usize).checked_rem(endpoints.len());
    for _ in 0..DRAWS {
        let drawn = endpoints.get(place()?)?;
        if pass(drawn) {
            return Some(drawn);
        }
    }
    let (before, after) = endpoints.split_at(place()?);
    after.iter().chain(before).find(|endpoint| pass(endpoint))
}

const SHARDS: usize = 16;
/// With half of the endpoints out of use, one choice in 256 is left to the neighbours of those.
const DRAWS: usize = 8;
/// Streams on one HTTP/2 connection to an endpoint.
const H2_STREAMS: usize = 100;
/// How long an idle connection to an endpoint is kept.
pub(crate) const POOLED: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use gateway_core::compile::{Change, Compiler, Options};
    use gateway_core::resource::{self, FieldValidation, Reader, Reading};
    use serde_json::json;

    use super::*;

    fn endpoints(n: u16) -> Vec<Arc<Endpoint>> {
        (0..n).map(|i| Arc::new(Endpoint::new(([127, 0, 0, 1], 1000 + i).into(), u64::from(i)))).collect()
    }

    #[test]
    fn what_was_tried_or_ejected_is_not_chosen_while_others_are_there() {
        let all = endpoints(3);
        all[0].eject_until_probed();
        let tried = [all[1].address];
        for _ in 0..100 {
            assert_eq!(choose(&all, &tried).unwrap().address, all[2].address);
        }
    }

    #[test]
    fn when_all_are_ejected_all_are_used_but_each_is_tried_once() {
        let all = endpoints(2);
        all.iter().for_each(|endpoint| assert!(endpoint.eject_until_probed()));
        assert_eq!(choose(&all, &[all[1].address]).unwrap().address, all[0].address);
        assert!(choose(&all, &[all[0].address, all[1].address]).is_none());
        assert!(choose(&[], &[]).is_none());
    }

    #[test]
    fn those_in_use_are_chosen_equally_often_wherever_others_are_out() {
        let all = endpoints(4);
        all[3].eject_until_probed();
        let mut counts = [0; 4];
        for _ in 0..9_000 {
            let chosen = choose(&all, &[]).unwrap();
            counts[chosen.epoch as usize] += 1;
        }
        // Of 9,000 a third is 3,000, give or take 45.
        assert!(counts[..3].iter().all(|count| (2_700..3_300).contains(count)), "{counts:?}");
        assert_eq!(counts[3], 0);
    }

    #[test]
    fn the_one_with_less_to_do_wins() {
        let all = endpoints(2);
        let _busy = Attempt::begin(Arc::clone(&all[0]), Way { handshake: None, pool: 0 });
        for _ in 0..100 {
            assert_eq!(choose(&all, &[]).unwrap().address, all[1].address);
        }
    }

    fn put(value: serde_json::Value) -> Change {
        let reader = Reader { validation: FieldValidation::Strict, lenient_forms: true, extensions: Vec::new() };
        match resource::read(value, &reader) {
            Ok(Reading::Object { object, .. }) => Change::Put(object),
            other => panic!("{other:?}"),
        }
    }

    /// A slice of the Service `web` with these endpoints.
    fn slice(addresses: &[&str]) -> Change {
        put(json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "web", "namespace": "default", "labels": {"kubernetes.io/service-name": "web"}},
            "endpoints": [{"addresses": addresses, "conditions": {"ready": true}}],
            "ports": [{"name": "web", "port": 8000}],
        }))
    }

    fn compiler() -> Compiler {
        let mut compiler = Compiler::new(Options { support: crate::SUPPORT, ..Options::default() });
        compiler.apply([
            put(json!({
                "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "gw", "namespace": "default"},
                "spec": {"gatewayClassName": "pingora", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]},
            })),
            put(json!({
                "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "r", "namespace": "default"},
                "spec": {"parentRefs": [{"name": "gw"}], "rules": [{"backendRefs": [{"name": "web", "port": 80}]}]},
            })),
            put(json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default"},
                "spec": {"ports": [{"name": "web", "port": 80}]},
            })),
        ]);
        compiler
    }

    fn find(group: &Group, ip: [u8; 4]) -> Arc<Endpoint> {
        let found = group.endpoints.iter().find(|endpoint| endpoint.address.ip() == std::net::IpAddr::from(ip));
        Arc::clone(found.unwrap())
    }

    #[test]
    fn a_request_of_a_former_snapshot_changes_nothing_about_the_current_endpoints() {
        let (mut compiler, upstreams) = (compiler(), Upstreams::new(Arc::default(), Duration::from_secs(1)));
        let former = compiler.apply([slice(&["10.0.0.1", "10.0.0.2"])]).snapshot;
        upstreams.follow(&Snapshot::empty(0), &former);
        let old = Arc::clone(former.backends().next().unwrap());
        let left = find(&upstreams.group(&old), [10, 0, 0, 1]);
        let current = compiler.apply([slice(&["10.0.0.2", "10.0.0.3"])]).snapshot;
        upstreams.follow(&former, &current);
        let new = Arc::clone(current.backends().next().unwrap());
        let (stays, came) = (find(&upstreams.group(&new), [10, 0, 0, 2]), find(&upstreams.group(&new), [10, 0, 0, 3]));
        came.eject_until_probed();

        let straggler = upstreams.group(&old);
        assert!(Arc::ptr_eq(&find(&straggler, [10, 0, 0, 2]), &stays), "what is known of it counts");
        assert_ne!(find(&straggler, [10, 0, 0, 1]).epoch, left.epoch, "it left");
        assert!(Arc::ptr_eq(&find(&upstreams.group(&new), [10, 0, 0, 3]), &came), "its health and its epoch are kept");
        assert!(Arc::ptr_eq(&find(&upstreams.group(&new), [10, 0, 0, 2]), &stays));
        assert!(!Arc::ptr_eq(&upstreams.group(&old), &straggler), "nothing of it stays");
        upstreams.follow(&current, &Snapshot::empty(0));
        upstreams.group(&new);
        assert!(upstreams.known(&new).is_none(), "a backend that left does not come back by a request");
    }
}
