//! Compiles so many routes at once, a few times, and prints how long each took: something for a profiler to look at.

use std::time::Instant;

use benches::{Universe, compiler, puts};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let routes = std::env::args().nth(1).and_then(|routes| routes.parse().ok()).unwrap_or(5_000);
    let objects = Universe::of(routes).objects();
    let rounds = std::env::args().nth(2).and_then(|rounds| rounds.parse().ok()).unwrap_or(5);
    for _ in 0..rounds {
        let changes: Vec<_> = puts(&objects).collect();
        let mut compiler = compiler();
        let start = Instant::now();
        let update = compiler.apply(changes);
        println!("{routes} routes: {:?}, {} statuses", start.elapsed(), update.statuses.len());
    }
}
