//! From a saved file to traffic: routes saved one after another, asked for every five milliseconds.
//!
//! In: a running gateway, how many routes are there, how many are saved. Out: how long each took. A good rule answers 404 and then
//! 200, one whose Service is missing 404 and then 500; anything else, or a way back, is an error.

use std::fmt::Write as _;
use std::fs;
use std::io::{Error, Result};
use std::thread::sleep;
use std::time::{Duration, Instant};

use benches::page::quantile;

use crate::{World, client::Client, manifests};

/// Milliseconds from before a file was written to the first right answer of both rules.
#[derive(Debug)]
pub(crate) struct Saves(Vec<f64>);

/// Saves and asks.
pub(crate) fn measure(world: World, present: usize, saves: usize) -> Result<Saves> {
    world.save_routes(present)?;
    let mut client = world.ask()?;
    let last = present.saturating_sub(1);
    while present > 0 && client.get(&manifests::host(last), &manifests::path(last))? != 503 {
        sleep(Duration::from_millis(50));
    }
    sleep(Duration::from_secs(2));
    let mut took = Vec::new();
    for nth in 0..saves {
        let start = Instant::now();
        fs::write(world.files().join(format!("saved-{nth}.yaml")), manifests::saved(nth))?;
        let served = follow(&mut client, &format!("saved-{nth}.test"), start)?;
        took.push(served.as_secs_f64() * 1000.0);
    }
    world.process.stop()?;
    Ok(Saves(took))
}

/// Asks until both rules are served and says how long that took; they still are when asked once more.
fn follow(client: &mut Client, host: &str, start: Instant) -> Result<Duration> {
    let mut served = [false; 2];
    while served != [true; 2] {
        if start.elapsed() > Duration::from_secs(30) {
            return Err(Error::other(format!("{host} is not served after 30 s")));
        }
        sleep(Duration::from_millis(5));
        ask(client, host, &mut served)?;
    }
    let took = start.elapsed();
    ask(client, host, &mut served)?;
    Ok(took)
}

fn ask(client: &mut Client, host: &str, served: &mut [bool; 2]) -> Result<()> {
    for ((path, status), served) in [("/good", 200), ("/missing", 500)].into_iter().zip(served) {
        match client.get(host, path)? {
            found if found == status => *served = true,
            404 if !*served => {}
            found => return Err(Error::other(format!("{host}{path} answered {found}, served before: {served}"))),
        }
    }
    Ok(())
}

impl Saves {
    /// What it comes to.
    pub(crate) fn section(&self, present: usize) -> String {
        let share = |share| quantile(self.0.iter().copied(), share);
        let mean = self.0.iter().sum::<f64>() / self.0.len() as f64;
        format!(
            "## File saved, served\n\n{} routes saved one after another beside {present}, both rules of each asked for every 5 ms: \
             a good one, and one whose Service is missing. No answer but 404, then 200 or 500 as configured.\n\n\
             | mean | p50 | p99 | most |\n|---|---|---|---|\n| {mean:.1} ms | {:.1} ms | {:.1} ms | {:.1} ms |\n",
            self.0.len(),
            share(0.5),
            share(0.99),
            share(1.0),
        )
    }

    /// Every sample.
    pub(crate) fn samples(&self, present: usize) -> String {
        let mut text = String::new();
        for took in &self.0 {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "saved_ms\t{present}\t0\t{took:.2}");
        }
        text
    }
}
