//! What `Compiler::apply` costs: a whole compile, one route, one EndpointSlice, with the previous snapshot held.

use std::hint::black_box;
use std::time::Instant;

use benches::{Universe, compiler, puts, slice};
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use gateway_core::compile::Change;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn whole(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("apply/whole");
    group.sample_size(10);
    for routes in [10, 1_000, 5_000] {
        let objects = Universe::of(routes).objects();
        group.bench_with_input(BenchmarkId::from_parameter(routes), &objects, |bencher, objects| {
            bencher.iter_batched(
                || (compiler(), puts(objects).collect::<Vec<_>>()),
                |(mut compiler, changes)| {
                    let update = compiler.apply(changes);
                    assert_eq!(update.snapshot.backends().count(), objects.len() / 3);
                    (compiler, update)
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
    // Once is enough for the largest: it takes long to set up and its spread is small.
    let objects = Universe::of(50_000).objects();
    let changes: Vec<Change> = puts(&objects).collect();
    let mut compiler = compiler();
    let start = Instant::now();
    let update = compiler.apply(changes);
    println!("apply/whole/50000        time:   {:?} (one run)", start.elapsed());
    black_box(update);
}

fn one(criterion: &mut Criterion) {
    for routes in [10, 1_000, 5_000, 50_000] {
        let universe = Universe::of(routes);
        let mut compiler = compiler();
        let mut held = compiler.apply(puts(&universe.objects()).collect::<Vec<_>>()).snapshot;
        let hot: Vec<_> = (0..64.min(routes)).map(|nth| nth * (routes / 64).max(1)).collect();
        let versions: Vec<Vec<_>> = (1..3).map(|version| hot.iter().map(|nth| universe.route(*nth, version)).collect()).collect();
        let mut turn = 0;
        criterion.bench_function(&format!("apply/route/hot64/{routes}"), |bencher| {
            bencher.iter(|| {
                turn += 1;
                let object = versions[(turn / hot.len()) % 2][turn % hot.len()].clone();
                let update = compiler.apply([Change::Put(object)]);
                held = update.snapshot;
            });
        });
        let slices: Vec<Vec<_>> = (1..3).map(|version| hot.iter().map(|nth| slice(*nth, 100, version)).collect()).collect();
        criterion.bench_function(&format!("apply/slice-of-100/hot64/{routes}"), |bencher| {
            bencher.iter(|| {
                turn += 1;
                let object = slices[(turn / hot.len()) % 2][turn % hot.len()].clone();
                let update = compiler.apply([Change::Put(object)]);
                held = update.snapshot;
            });
        });
    }
}

criterion_group!(benches, whole, one);
criterion_main!(benches);
