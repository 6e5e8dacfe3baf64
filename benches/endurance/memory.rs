//! Memory: of so many routes, under churn, and after they are gone.
//!
//! In: a running gateway, how many routes, how long files change. Out: bytes at each stage, and one sample a second.

use std::fmt::Write as _;
use std::io::Result;
use std::thread::sleep;
use std::time::{Duration, Instant};

use benches::page::{median, quantile};
use benches::process::Process;

use crate::{World, manifests, remove, save};

/// What was found. Resident bytes, code included.
#[derive(Debug)]
pub(crate) struct Memory {
    empty: u64,
    full: u64,
    churned: Vec<(Duration, u64)>,
    gone: u64,
}

/// What is measured how, and the head of the table.
pub(crate) fn head(churn: Duration) -> String {
    format!(
        "## Memory\n\nResident memory of the program. Every route has a Service of its own. Churn, for {} s: ten times a second one of the\n\
         files, of {} routes each, is saved anew with another header in its routes; each tenth time another file is taken away, until its\n\
         turn comes. Growth: of the last tenth of that time over the first (medians). Kept: what is left above empty, once all are removed.\n\n\
         | routes | empty | full | churn, first tenth | last tenth | most | growth | all removed | kept |\n|---|---|---|---|---|---|---|---|---|\n",
        churn.as_secs(),
        manifests::EACH,
    )
}

/// Takes the gateway through its stages.
pub(crate) fn measure(world: World, routes: usize, churn: Duration) -> Result<Memory> {
    let empty = settled(&world.process)?;
    let (files, count) = (world.files(), routes.div_ceil(manifests::EACH));
    world.save_routes(routes)?;
    // Its Service has no endpoints.
    world.await_routes(routes, 503)?;
    let full = settled(&world.process)?;
    let mut churned = Vec::new();
    let (start, mut version, mut sampled) = (Instant::now(), 0, Duration::ZERO);
    while start.elapsed() < churn {
        version += 1;
        if version % 10 == 0 {
            remove(&files, (version + count / 2) % count)?;
        }
        save(&files, version % count, routes, version)?;
        sleep(Duration::from_millis(100));
        if start.elapsed() >= sampled {
            sampled += Duration::from_secs(1);
            churned.push((start.elapsed(), world.process.resident_memory()?));
        }
    }
    (0..count).try_for_each(|nth| remove(&files, nth))?;
    world.await_routes(routes, 404)?;
    let gone = settled(&world.process)?;
    world.process.stop()?;
    Ok(Memory { empty, full, churned, gone })
}

/// Memory once it has not changed for three seconds.
fn settled(process: &Process) -> Result<u64> {
    let (mut last, mut since) = (process.resident_memory()?, Instant::now());
    let start = Instant::now();
    while since.elapsed() < Duration::from_secs(3) && start.elapsed() < Duration::from_secs(60) {
        sleep(Duration::from_millis(100));
        let now = process.resident_memory()?;
        if now.abs_diff(last) > 64 * 1024 {
            (last, since) = (now, Instant::now());
        }
    }
    process.resident_memory()
}

impl Memory {
    /// A row of the table.
    pub(crate) fn row(&self, routes: usize) -> String {
        let mib = |bytes: f64| format!("{:.1} MiB", bytes / 1048576.0);
        let tenth = self.churned.len().div_ceil(10);
        let churned = || self.churned.iter().map(|(_, bytes)| *bytes as f64);
        let (first, last) = (median(churned().take(tenth)), median(churned().rev().take(tenth)));
        let most = quantile(churned(), 1.0);
        let [empty, full, gone] = [self.empty, self.full, self.gone].map(|bytes| bytes as f64);
        let growth = format!("{:+.1} %", (last / first - 1.0) * 100.0);
        let cells = [mib(empty), mib(full), mib(first), mib(last), mib(most), growth, mib(gone), mib(gone - empty)];
        format!("| {routes} | {} |\n", cells.join(" | "))
    }

    /// Every sample.
    pub(crate) fn samples(&self, routes: usize) -> String {
        let mut text = String::new();
        for (what, bytes) in [("empty", self.empty), ("full", self.full), ("gone", self.gone)] {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{what}_bytes\t{routes}\t0\t{bytes}");
        }
        for (at, bytes) in &self.churned {
            let _ = writeln!(text, "churn_bytes\t{routes}\t{:.1}\t{bytes}", at.as_secs_f64());
        }
        text
    }
}
