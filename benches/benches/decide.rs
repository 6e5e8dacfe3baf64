//! What `admit` and `decide` cost together, beside a plain hash map and beside matchit on the same requests; and what hostile
//! requests cost. Names say which requests: `hot64` are 64 of them in turn, `zipf` and `uniform` 4,096 drawn at random.
//!
//! Every answer is checked, and shapes that need no copy are checked to allocate nothing.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::hint::black_box;
use std::sync::Arc;

use benches::{Universe, compiler, gateway, puts, read, route_matching, route_of_hosts, service, slice};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use gateway_core::admit::{Arrival, admit};
use gateway_core::decide::{Decision, StreamArrival, StreamDecision, decide, decide_stream};
use gateway_core::snapshot::{Snapshot, Socket, Transport, Turn};
use http::Request;
use http::request::Parts;
use serde_json::{Value, json};

/// Counts what one thread allocates.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: it adds one to a number and leaves the rest to mimalloc.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { mimalloc::MiMalloc.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { mimalloc::MiMalloc.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SIZES: [usize; 4] = [10, 1_000, 5_000, 50_000];
const DRAWN: usize = 4_096;

fn arrival() -> Arrival {
    Arrival { socket: Socket { address: None, port: 80, transport: Transport::Tcp }, tls: None }
}

/// A head as a browser sends it.
fn head(host: &str, target: &str) -> Parts {
    let request = Request::get(target).header("host", host).header("user-agent", "Mozilla/5.0 (X11; Linux x86_64)");
    let request = request.header("accept", "*/*").header("accept-encoding", "gzip, br").header("x-request-id", "0123456789");
    request.body(()).expect("the target is a URI").into_parts().0
}

/// The name of the backend a request is forwarded to, or its status.
fn answered(snapshot: &Arc<Snapshot>, arrival: &Arrival, head: &Parts, check: impl FnOnce(&Decision) -> bool) {
    let admitted = admit(snapshot, arrival, head).expect("it is admitted");
    let decision = decide(&admitted, head, Turn::take);
    assert!(check(&decision), "{decision:?}");
    black_box(decision);
}

fn is_rule_of(decision: &Decision, name: &str) -> bool {
    matches!(decision, Decision::Forward(forward) if forward.rule.id.route.name.name() == name)
}

/// A stream of random numbers, the same every time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// The routes that requests of each pattern are for.
fn patterns(routes: usize) -> [(&'static str, Vec<usize>); 3] {
    let mut random = Random(42);
    let hot = (0..64.min(routes)).map(|nth| nth * (routes / 64).max(1)).collect();
    let mut shares = Vec::with_capacity(routes);
    let mut total = 0.0;
    for nth in 0..routes {
        total += 1.0 / (nth + 1) as f64;
        shares.push(total);
    }
    // Routes are named in the order in which they were made: spread the popular ones.
    let spread = |rank: usize| (rank * 7_919) % routes;
    let zipf = (0..DRAWN)
        .map(|_| spread(shares.partition_point(|share| *share < total * (random.next() >> 11) as f64 / (1_u64 << 53) as f64)))
        .collect();
    let uniform = (0..DRAWN).map(|_| random.below(routes)).collect();
    [("hot64", hot), ("zipf", zipf), ("uniform", uniform)]
}

type ByPath = hashbrown::HashMap<String, usize, foldhash::fast::FixedState>;

/// The same routes in two plain hash maps, one in the other: what a look-up costs at the least.
fn in_hash_maps(universe: Universe) -> hashbrown::HashMap<String, ByPath, foldhash::fast::FixedState> {
    let mut hosts = hashbrown::HashMap::with_hasher(foldhash::fast::FixedState::default());
    for nth in 0..universe.routes {
        let paths: &mut ByPath = hosts.entry(universe.host(nth)).or_default();
        paths.insert(format!("/api/v1/service-{nth}"), nth);
    }
    hosts
}

/// The same routes in matchit, a router for each host.
fn in_matchit(universe: Universe) -> hashbrown::HashMap<String, matchit::Router<usize>, foldhash::fast::FixedState> {
    let mut hosts = hashbrown::HashMap::with_hasher(foldhash::fast::FixedState::default());
    for nth in 0..universe.routes {
        let router: &mut matchit::Router<usize> = hosts.entry(universe.host(nth)).or_default();
        router.insert(format!("/api/v1/service-{nth}/{{*rest}}"), nth).expect("routes differ");
    }
    hosts
}

/// Three segments of a path: where the plain map is told to look.
fn third_segment(path: &str) -> &str {
    path.match_indices('/').nth(3).map_or(path, |(at, _)| &path[..at])
}

fn plain(criterion: &mut Criterion) {
    for routes in SIZES {
        let universe = Universe::of(routes);
        let snapshot = compiler().apply(puts(&universe.objects()).collect::<Vec<_>>()).snapshot;
        let (maps, routers) = (in_hash_maps(universe), in_matchit(universe));
        let arrival = arrival();
        for (pattern, asked) in patterns(routes) {
            let requests: Vec<_> = asked.iter().map(|nth| (*nth, head(&universe.host(*nth), &universe.path(*nth)))).collect();
            let names: Vec<_> = asked.iter().map(|nth| format!("route-{nth}")).collect();
            let mut group = criterion.benchmark_group(format!("decide/{pattern}"));
            let mut at = 0;
            let mut turn = || {
                at = (at + 1) % requests.len();
                at
            };
            group.bench_function(BenchmarkId::new("ours", routes), |bencher| {
                bencher.iter(|| {
                    let at = turn();
                    answered(&snapshot, &arrival, &requests[at].1, |decision| is_rule_of(decision, &names[at]));
                });
            });
            group.bench_function(BenchmarkId::new("hashbrown", routes), |bencher| {
                bencher.iter(|| {
                    let (nth, head) = &requests[turn()];
                    let host = head.headers["host"].to_str().expect("it is ASCII");
                    assert_eq!(maps[host][third_segment(head.uri.path())], *nth);
                });
            });
            group.bench_function(BenchmarkId::new("matchit", routes), |bencher| {
                bencher.iter(|| {
                    let (nth, head) = &requests[turn()];
                    let host = head.headers["host"].to_str().expect("it is ASCII");
                    assert_eq!(routers[host].at(head.uri.path()).expect("it matches").value, nth);
                });
            });
            group.finish();
            let before = ALLOCATIONS.get();
            for (at, (_, head)) in requests.iter().enumerate() {
                answered(&snapshot, &arrival, head, |decision| is_rule_of(decision, &names[at]));
            }
            assert_eq!(ALLOCATIONS.get(), before, "a plain match allocates nothing");
        }
    }
}

/// A snapshot of routes that share one Service.
fn routes(matches: impl Iterator<Item = Value>) -> Arc<Snapshot> {
    let mut objects = vec![gateway(), service(0), slice(0, 3, 0)];
    objects.extend(matches.enumerate().map(|(nth, matched)| route_matching(&format!("route-{nth:05}"), matched)));
    compiler().apply(puts(&objects).collect::<Vec<_>>()).snapshot
}

fn row(criterion: &mut Criterion, name: &str, snapshot: &Arc<Snapshot>, head: &Parts, check: impl Fn(&Decision) -> bool) {
    let arrival = arrival();
    criterion.bench_function(name, |bencher| bencher.iter(|| answered(snapshot, &arrival, head, &check)));
}

fn is_refused(decision: &Decision) -> bool {
    matches!(decision, Decision::Refuse(_))
}

/// Requests made to be slow, on routes that have done nothing wrong.
fn hostile(criterion: &mut Criterion) {
    let universe = Universe::of(5_000);
    let snapshot = compiler().apply(puts(&universe.objects()).collect::<Vec<_>>()).snapshot;
    let host = universe.host(1);
    row(criterion, "hostile/no-such-path", &snapshot, &head(&host, "/a"), is_refused);
    row(criterion, "hostile/60KB-of-/a", &snapshot, &head(&host, &"/a".repeat(30_000)), is_refused);
    row(criterion, "hostile/60KB-of-a", &snapshot, &head(&host, &format!("/{}", "a".repeat(60_000))), is_refused);
    row(criterion, "hostile/60KB-of-/.", &snapshot, &head(&host, &"/.".repeat(30_000)), is_refused);
    row(criterion, "hostile/60KB-of-%61", &snapshot, &head(&host, &format!("/{}", "%61".repeat(20_000))), is_refused);
    let labels = "a.".repeat(126);
    row(criterion, "hostile/253-bytes-of-a.", &snapshot, &head(&format!("{labels}a"), "/a"), is_refused);
    let wildcards = (0..100).map(|nth| format!("*.{}example.com", "a.".repeat(nth))).collect::<Vec<_>>();
    let mut deep = vec![gateway()];
    deep.extend(wildcards.chunks(16).enumerate().map(|(nth, hosts)| route_of_hosts(&format!("wild-{nth}"), hosts, "/x")));
    let deep = compiler().apply(puts(&deep).collect::<Vec<_>>()).snapshot;
    let host = format!("{}example.com", "a.".repeat(120));
    row(criterion, "hostile/253-bytes-of-a.-and-100-wildcards", &deep, &head(&host, "/nothing"), is_refused);
}

/// Configurations whose cost is linear, and known to be.
fn linear(criterion: &mut Criterion) {
    let tenants = routes((0..5_000).map(|nth| json!({"headers": [{"name": "x-tenant", "value": format!("tenant-{nth}")}]})));
    let with = |name: &'static str, value: &str| {
        let mut head = head("a.example", "/");
        head.headers.insert(name, value.parse().expect("it is a header value"));
        head
    };
    let last = with("x-tenant", "tenant-4999");
    row(criterion, "one-place/5000-by-header/last", &tenants, &last, |decision| is_rule_of(decision, "route-04999"));
    row(criterion, "one-place/5000-by-header/none", &tenants, &with("x-tenant", "tenant"), is_refused);
    let params = routes((0..5_000).map(|nth| json!({"queryParams": [{"name": "tenant", "value": format!("{nth}")}]})));
    let last = head("a.example", "/?a=1&b=2&tenant=4999");
    row(criterion, "one-place/5000-by-query/last", &params, &last, |decision| is_rule_of(decision, "route-04999"));
    let long = format!("/?{}", "a&".repeat(30_000));
    row(criterion, "one-place/5000-by-query/60KB-of-a&", &params, &head("a.example", &long), is_refused);
    let many = routes((0..5_000).map(|nth| json!({"queryParams": [{"name": format!("tenant-{nth}"), "value": "1"}]})));
    row(criterion, "one-place/5000-query-names/60KB-of-a&", &many, &head("a.example", &long), is_refused);
    let expression = |value: String| json!({"path": {"type": "RegularExpression", "value": value}});
    let own = routes((0..1_000).map(|nth| expression(format!("/users-{nth}/[0-9]+/orders"))));
    let last = head("a.example", "/users-7/12345/orders");
    row(criterion, "one-place/1000-expressions-own-heads/last", &own, &last, |decision| is_rule_of(decision, "route-00007"));
    row(criterion, "one-place/1000-expressions-own-heads/none", &own, &head("a.example", "/groups/1"), is_refused);
    let shared = routes((0..1_000).map(|nth| expression(format!("/api/v[0-9]+/tenant-{nth}/.*"))));
    row(criterion, "one-place/1000-expressions-one-head/none", &shared, &head("a.example", "/api/v1/nobody/x"), is_refused);
}

/// A call as a client of gRPC sends it.
fn call(path: &str) -> Parts {
    let request =
        Request::post(path).header("host", "a.example").header("content-type", "application/grpc").header("te", "trailers");
    request.body(()).expect("the path is a URI").into_parts().0
}

/// Calls of 5,000 GRPCRoutes, each of a service of its own, beside an HTTPRoute for what none of them serves.
fn calls(criterion: &mut Criterion) {
    let mut objects = vec![gateway(), service(0), slice(0, 3, 0), route_matching("rest", json!({}))];
    objects.extend((0..5_000).map(|nth| {
        read(json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GRPCRoute",
            "metadata": {"name": format!("route-{nth:05}"), "namespace": "shop"},
            "spec": {"parentRefs": [{"name": "web"}], "rules": [{
                "matches": [{"method": {"service": format!("shop.v1.Service{nth}"), "method": "Get"}}],
                "backendRefs": [{"name": "service-0", "port": 80}],
            }]},
        }))
    }));
    let snapshot = compiler().apply(puts(&objects).collect::<Vec<_>>()).snapshot;
    let rows = [
        ("calls/5000-services", call("/shop.v1.Service7/Get"), "route-00007"),
        ("calls/5000-services/none", call("/shop.v1.Service7/Put"), "rest"),
        ("calls/5000-services/http", head("a.example", "/shop.v1.Service7/Get"), "rest"),
        ("calls/60KB-of-/a", call(&"/a".repeat(30_000)), "rest"),
        ("calls/60KB-of-a", call(&format!("/{}/Get", "a".repeat(60_000))), "rest"),
    ];
    for (name, head, expected) in rows {
        row(criterion, name, &snapshot, &head, |decision| is_rule_of(decision, expected));
        let before = ALLOCATIONS.get();
        answered(&snapshot, &arrival(), &head, |decision| is_rule_of(decision, expected));
        assert_eq!(ALLOCATIONS.get(), before, "a plain call allocates nothing");
    }
}

/// Connections for 5,000 TLSRoutes, each for a name of its own, and one for a domain.
fn connections(criterion: &mut Criterion) {
    let mut objects = vec![service(0), slice(0, 3, 0)];
    objects.push(read(json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"gatewayClassName": "pingora", "listeners": [{"name": "tls", "protocol": "TLS", "port": 443, "tls": {"mode": "Passthrough"}}]},
    })));
    let route = |name: String, host: String| {
        read(json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "TLSRoute", "metadata": {"name": name, "namespace": "shop"},
            "spec": {"parentRefs": [{"name": "web"}], "hostnames": [host], "rules": [{"backendRefs": [{"name": "service-0", "port": 80}]}]},
        }))
    };
    objects.extend((0..5_000).map(|nth| route(format!("route-{nth:05}"), format!("host-{nth}.example.com"))));
    objects.push(route("domain".to_owned(), "*.example.com".to_owned()));
    let snapshot = compiler().apply(puts(&objects).collect::<Vec<_>>()).snapshot;
    let socket = Socket { address: None, port: 443, transport: Transport::Tcp };
    let deep = format!("{}example.com", "a.".repeat(120));
    for (name, host, expected) in [
        ("connections/5000-names", "host-7.example.com", "route-00007"),
        ("connections/5000-names/domain", "other.example.com", "domain"),
        ("connections/253-bytes-of-a.", &deep, "domain"),
    ] {
        let arrival = StreamArrival { socket, server_name: Some(host.into()) };
        let taken = || match decide_stream(&snapshot, &arrival, Turn::take) {
            StreamDecision::Forward(forward) => assert_eq!(forward.rule.id.route.name.name(), expected),
            decision @ (StreamDecision::Http(_) | StreamDecision::Refuse(_)) => panic!("{decision:?}"),
        };
        criterion.bench_function(name, |bencher| bencher.iter(taken));
        let before = ALLOCATIONS.get();
        taken();
        assert_eq!(ALLOCATIONS.get(), before, "a connection allocates nothing");
    }
}

criterion_group!(benches, plain, hostile, linear, calls, connections);
criterion_main!(benches);
