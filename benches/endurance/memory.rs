//! Memory: of so many routes, under churn, and after they are gone.
//!
//! In: a running gateway, how many routes, how long files change. Out: bytes at each stage, and one sample a second.

use std::fmt::Write as _;
use std::fs;
use std::io::{Error, Result};
use std::thread::sleep;
use std::time::{Duration, Instant};

use benches::page::{median, quantile};
use benches::process::Process;

use crate::{World, manifests, save};

/// What was found. Resident bytes, code included.
#[derive(Debug)]
pub(crate) struct Memory {
    empty: u64,
    full: u64,
    churned: Vec<(Duration, u64)>,
    gone: u64,
}

/// The head of the table.
pub(crate) const HEAD: &str = "\
| routes | resident, empty | resident, full | first tenth of the churn | last tenth | most | after all are removed |
|---|---|---|---|---|---|---|
";

/// Takes the gateway through its stages.
pub(crate) fn measure(world: World, routes: usize, churn: Duration) -> Result<Memory> {
    let empty = settled(&world.process)?;
    let files = world.files();
    world.save_routes(routes)?;
    // Its Service has no endpoints.
    await_last(&world, routes, 503)?;
    let full = settled(&world.process)?;
    let mut churned = Vec::new();
    let (start, mut version, mut sampled) = (Instant::now(), 0, Duration::ZERO);
    while start.elapsed() < churn {
        version += 1;
        save(&files, version % routes.div_ceil(manifests::EACH), routes, version)?;
        sleep(Duration::from_millis(100));
        if start.elapsed() >= sampled {
            sampled += Duration::from_secs(1);
            churned.push((start.elapsed(), world.process.resident_memory()?));
        }
    }
    for nth in 0..routes.div_ceil(manifests::EACH) {
        fs::remove_file(files.join(format!("routes-{nth}.yaml")))?;
    }
    await_last(&world, routes, 404)?;
    let gone = settled(&world.process)?;
    world.process.stop()?;
    Ok(Memory { empty, full, churned, gone })
}

/// Waits until the first, the last and the middle route answer so.
fn await_last(world: &World, routes: usize, status: u16) -> Result<()> {
    let start = Instant::now();
    let mut client = world.ask()?;
    for nth in [0, routes / 2, routes - 1] {
        while client.get(&manifests::host(nth), &manifests::path(nth))? != status {
            if start.elapsed() > Duration::from_secs(300) {
                return Err(Error::other(format!("route {nth} does not answer {status}")));
            }
            sleep(Duration::from_millis(50));
        }
    }
    Ok(())
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
    pub(crate) fn rows(&self, routes: usize) -> String {
        let mib = |bytes: f64| format!("{:.1} MiB", bytes / 1048576.0);
        let tenth = self.churned.len().div_ceil(10);
        let churned = || self.churned.iter().map(|(_, bytes)| *bytes as f64);
        let (first, last) = (median(churned().take(tenth)), median(churned().rev().take(tenth)));
        let most = quantile(churned(), 1.0);
        let [empty, full, gone] = [self.empty, self.full, self.gone].map(|bytes| mib(bytes as f64));
        format!("| {routes} | {empty} | {full} | {} | {} | {} | {gone} |\n", mib(first), mib(last), mib(most))
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
