//! What `Compiler::apply` costs with many ListenerSets on one Gateway: one set that takes another host name, one that says the same
//! again, a route of a set, the Gateway itself. All grow with what the change touches, not with the number of sets.

use std::time::Instant;

use benches::{compiler, puts, read};
use criterion::{Criterion, criterion_group, criterion_main};
use gateway_core::compile::{Bound, Change, Fact};
use gateway_core::resource::Object;
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Each with an HTTPS listener on the port that all share, and one in clear.
fn set(nth: usize, version: usize) -> Object {
    let hostname = format!("host-{nth}.v{version}.example.com");
    read(json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "ListenerSet",
        "metadata": {"name": format!("set-{nth}"), "namespace": namespace(nth), "generation": version},
        "spec": {"parentRef": {"name": "web", "namespace": "shop"}, "listeners": [
            {"name": "https", "port": 443, "protocol": "HTTPS", "hostname": hostname, "tls": {"certificateRefs": [{"name": "cert"}]}},
            {"name": "http", "port": 80, "protocol": "HTTP", "hostname": hostname},
        ]},
    }))
}

fn route(nth: usize, sets: usize, version: usize) -> Object {
    read(json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": format!("route-{nth}"), "namespace": namespace(nth % sets), "generation": version},
        "spec": {
            "parentRefs": [{"kind": "ListenerSet", "name": format!("set-{}", nth % sets)}],
            "rules": [{"matches": [{"path": {"value": format!("/service-{nth}")}}], "backendRefs": [{"name": format!("service-{nth}"), "port": 80 + version % 2}]}],
        },
    }))
}

fn namespace(set: usize) -> String {
    format!("team-{}", set % 100)
}

/// Listens for all hosts and for a wildcard, so that every set overlaps with it.
fn gateway(version: usize) -> Object {
    let tls: Value = json!({"certificateRefs": [{"name": "cert"}]});
    read(json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
        "metadata": {"name": "web", "namespace": "shop", "generation": version},
        "spec": {"gatewayClassName": "pingora", "allowedListeners": {"namespaces": {"from": "All"}}, "listeners": [
            {"name": "http", "port": 80, "protocol": "HTTP"},
            {"name": "all", "port": 443, "protocol": "HTTPS", "tls": tls},
            {"name": "wildcard", "port": 443, "protocol": "HTTPS", "hostname": "*.example.com", "tls": tls},
            {"name": "own", "port": 443, "protocol": "HTTPS", "hostname": format!("own-{}.example.org", version % 2), "tls": tls},
        ]},
    }))
}

fn secrets() -> Vec<Object> {
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate =
        rcgen::CertificateParams::new(vec!["*.example.com".to_owned()]).expect("names").self_signed(&key).expect("signed");
    let secret = |namespace: String| {
        read(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "cert", "namespace": namespace}, "type": "kubernetes.io/tls",
            "stringData": {"tls.crt": certificate.pem(), "tls.key": key.serialize_pem()},
        }))
    };
    (0..100).map(namespace).chain(["shop".to_owned()]).map(secret).collect()
}

fn one(criterion: &mut Criterion) {
    for (sets, routes) in [(250, 4_000), (2_500, 40_000)] {
        let mut objects = secrets();
        objects.push(gateway(0));
        objects.extend((0..sets).map(|nth| set(nth, 0)));
        objects.extend((0..routes).map(|nth| route(nth, sets, 0)));
        let mut compiler = compiler();
        let start = Instant::now();
        let update = compiler.apply(puts(&objects).collect::<Vec<_>>());
        println!("listener-sets/whole/{sets}    time:   {:?} (one run)", start.elapsed());
        let bound = update.snapshot.sockets().map(|(socket, _)| Change::Fact(Fact::Socket(*socket, Some(Bound::Yes))));
        let mut held = compiler.apply(bound.collect::<Vec<_>>()).snapshot;
        let mut turn = 0;
        let mut measure = |name: &str, object: &dyn Fn(usize) -> Object, statuses: usize| {
            let versions: Vec<Object> = (1..3).map(object).collect();
            criterion.bench_function(&format!("listener-sets/{name}/{sets}"), |bencher| {
                bencher.iter(|| {
                    turn += 1;
                    let update = compiler.apply([Change::Put(versions[turn % 2].clone())]);
                    assert!(update.statuses.len() <= statuses, "it concerns nobody else");
                    held = update.snapshot;
                });
            });
        };
        measure("set-renamed", &|version| set(7, version), 1 + routes / sets);
        measure(
            "set-again",
            &|version| {
                let Object::ListenerSet(set) = set(7, 1) else { unreachable!("it is a set") };
                let mut set = (*set).clone();
                set.meta.generation = i64::try_from(version).unwrap_or(0);
                Object::ListenerSet(set.into())
            },
            1,
        );
        measure("route", &|version| route(7, sets, version), 1);
        measure("gateway", &gateway, 1);
    }
}

criterion_group!(benches, one);
criterion_main!(benches);
