//! What one change of each kind costs among 5,000 routes and among 50,000, side by side: the two should be about the same, as a
//! change touches as much in both. Prints a table for a page.
//!
//! Arguments: a part of the names of the changes to measure, and `--rounds N` (5 unless said).

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use benches::mixed::Mixed;
use benches::{compiler, puts};
use gateway_core::compile::{Bound, Change, Compiler, Fact};
use gateway_core::resource::Object;
use gateway_core::snapshot::Snapshot;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The change of the object with this number, to this version.
type Make = Box<dyn Fn(&Mixed, usize, usize) -> Change>;

/// A change by its name.
type Kind = (&'static str, Make);

const SIZES: [usize; 2] = [5_000, 50_000];
/// How many objects of a kind change in turn.
const HOT: usize = 16;
const CHANGES_OF_A_ROUND: usize = 256;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (mut only, mut rounds) = (String::new(), 5);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--rounds" => rounds = arguments.next().and_then(|rounds| rounds.parse().ok()).expect("a number of rounds"),
            "--bench" => {}
            part => only = part.to_owned(),
        }
    }
    let pairs = [pair(), pair()];
    let universes = SIZES.map(|routes| Mixed { routes, pairs: pairs.clone() });
    let mut held = Vec::new();
    println!("| | objects | whole compile | resident |\n|---|---|---|---|");
    for universe in &universes {
        held.push(whole(universe));
    }
    println!("\n| change | median | p99 | median | p99 | ratio of medians |\n|---|---|---|---|---|---|");
    for (name, change) in kinds() {
        if !name.contains(only.as_str()) {
            continue;
        }
        let mut figures = Vec::new();
        for (universe, (compiler, snapshot)) in universes.iter().zip(&mut held) {
            let measured: Vec<_> = (0..rounds).map(|_| round(universe, compiler, snapshot, &change)).collect();
            // The quietest round: whatever else the machine does only adds.
            figures.extend(measured.into_iter().min());
        }
        let [(small, small_tail), (large, large_tail)] = figures[..] else { panic!("two sizes are measured") };
        let ratio = large.as_secs_f64() / small.as_secs_f64();
        println!("| {name} | {small:.1?} | {small_tail:.1?} | {large:.1?} | {large_tail:.1?} | {ratio:.2} |");
    }
}

fn pair() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["*.example.net".to_owned()]).expect("a certificate");
    (made.cert.pem(), made.signing_key.serialize_pem())
}

fn whole(universe: &Mixed) -> (Compiler, Arc<Snapshot>) {
    let before = resident();
    let objects = universe.objects();
    let count = objects.len();
    let mut fastest = Duration::MAX;
    let mut kept = None;
    for _ in 0..3 {
        drop(kept.take());
        let changes: Vec<_> = puts(&objects).collect();
        let mut compiler = compiler();
        let start = Instant::now();
        let update = compiler.apply(changes);
        fastest = fastest.min(start.elapsed());
        kept = Some((compiler, update));
    }
    drop(objects);
    let (mut compiler, update) = kept.expect("it is compiled");
    let bound: Vec<_> =
        update.snapshot.sockets().map(|(socket, _)| Change::Fact(Fact::Socket(*socket, Some(Bound::Yes)))).collect();
    drop(update);
    let snapshot = compiler.apply(bound).snapshot;
    let grown = resident().saturating_sub(before) / 1024;
    println!("| {} routes | {count} | {fastest:.1?} | {grown} MiB |", universe.routes);
    (compiler, snapshot)
}

/// The median and the 99th percentile of many changes.
fn round(
    universe: &Mixed,
    compiler: &mut Compiler,
    held: &mut Arc<Snapshot>,
    change: &dyn Fn(&Mixed, usize, usize) -> Change,
) -> (Duration, Duration) {
    let mut times = Vec::with_capacity(CHANGES_OF_A_ROUND);
    // The last versions are the first ones, so that the next kind of change finds everything as it was.
    for version in [1, 0].into_iter().cycle().take(CHANGES_OF_A_ROUND / HOT) {
        for nth in 0..HOT {
            let change = change(universe, nth, version);
            let start = Instant::now();
            let update = compiler.apply([change]);
            *held = black_box(update).snapshot;
            times.push(start.elapsed());
        }
    }
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

fn kinds() -> Vec<Kind> {
    fn put(object: impl Fn(&Mixed, usize, usize) -> Object + 'static) -> Make {
        Box::new(move |universe, nth, version| Change::Put(object(universe, nth, version)))
    }
    /// The route with a place in a group, of groups that lie far apart.
    fn at(universe: &Mixed, nth: usize, place: usize) -> usize {
        let groups = universe.routes / 16;
        nth * (groups / HOT / 2).max(1) * 2 * 16 + place
    }
    fn set(universe: &Mixed, nth: usize) -> usize {
        at(universe, nth, 0) / 16
    }
    fn team(universe: &Mixed, nth: usize) -> usize {
        at(universe, nth, 0) / 64
    }
    /// The version of an object that there is one of, another at every change; the last is the first again.
    fn of_one(nth: usize, version: usize) -> usize {
        HOT * version + HOT - 1 - nth
    }
    vec![
        ("HTTPRoute of a Gateway", put(|all, nth, version| all.route(at(all, nth, 1), version))),
        ("HTTPRoute of a ListenerSet", put(|all, nth, version| all.route(at(all, nth, 8), version))),
        ("GRPCRoute", put(|all, nth, version| all.route(at(all, nth, 11), version))),
        ("TLSRoute", put(|all, nth, version| all.route(at(all, nth, 14), version))),
        ("TCPRoute", put(|all, nth, version| all.route(at(all, nth, 15), version))),
        ("UDPRoute", put(|all, nth, version| all.route(at(all, nth, 31), version))),
        (
            "HTTPRoute removed, made again",
            Box::new(|all, nth, version| {
                let route = all.route(at(all, nth, 2), 0);
                if version == 1 { Change::Remove(route.id()) } else { Change::Put(route) }
            }),
        ),
        ("EndpointSlice", put(|all, nth, version| all.slice(at(all, nth, 1), version))),
        ("Service", put(|all, nth, version| all.service(at(all, nth, 1), version))),
        ("ServiceImport, its port moved", put(|all, nth, version| all.backend(at(all, nth, 2), version))),
        ("XBackend", put(|all, nth, version| all.backend(at(all, nth, 4), version))),
        ("XTelemetryPolicy of the Gateway", put(|all, nth, version| all.telemetry(of_one(nth, version)))),
        ("ClusterTrustBundle of four policies", put(|all, nth, version| all.roots(team(all, nth), version))),
        ("Secret", put(|all, nth, version| all.secret(set(all, nth), version))),
        ("Namespace, a label nobody asks for", put(|all, nth, version| all.namespace(team(all, nth), 0, version))),
        ("Namespace, a label that admits four routes", put(|all, nth, version| all.namespace(team(all, nth), version, 0))),
        ("ReferenceGrant", put(|all, nth, version| all.grant(team(all, nth), version))),
        ("BackendTLSPolicy", put(|all, nth, version| all.tls_policy(at(all, nth, 5), version))),
        ("XBackendTrafficPolicy", put(|all, nth, version| all.traffic_policy(at(all, nth, 6), version))),
        ("ConfigMap of four policies", put(|all, nth, version| all.authorities(team(all, nth), version))),
        ("ListenerSet renamed, with its routes", put(|all, nth, version| all.set(set(all, nth), version))),
        ("Gateway", put(|all, nth, version| all.gateway(of_one(nth, version)))),
    ]
}

/// Resident memory in KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
