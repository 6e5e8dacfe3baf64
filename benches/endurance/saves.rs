//! From a saved file to traffic: routes saved one after another, asked for every five milliseconds.
//!
//! In: a running gateway, how many routes are there, how many are saved. Out: how long each took, and every wrong answer. A good rule
//! answers 404 and then 200, one whose Service is missing 404 and then 500; anything else, a way back, or none in time is wrong. At
//! the end all are asked once more.

use std::fmt::Write as _;
use std::fs;
use std::io::{Error, Result};
use std::thread::sleep;
use std::time::{Duration, Instant};

use benches::page::quantile;

use crate::{World, client::Client, manifests};

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Saves {
    /// Milliseconds from before a file was written to the first right answer of both rules.
    took: Vec<f64>,
    /// What was answered and should not have been.
    wrong: Vec<String>,
    answers: usize,
}

/// Saves and asks.
pub(crate) fn measure(world: World, present: usize, saves: usize) -> Result<Saves> {
    if present > 0 {
        world.save_routes(present)?;
        world.await_routes(present, 503)?;
    }
    sleep(Duration::from_secs(2));
    let mut client = world.ask()?;
    let mut found = Saves::default();
    for nth in 0..saves {
        let start = Instant::now();
        fs::write(world.files().join(format!("saved-{nth}.yaml")), manifests::saved(nth))?;
        found.follow(&mut client, &host(nth), start)?;
    }
    for nth in 0..saves {
        found.ask(&mut client, &host(nth), &mut [true; 2])?;
    }
    world.process.stop()?;
    Ok(found)
}

fn host(nth: usize) -> String {
    format!("saved-{nth}.test")
}

impl Saves {
    /// Asks until both rules are served, and once more.
    fn follow(&mut self, client: &mut Client, host: &str, start: Instant) -> Result<()> {
        let mut served = [false; 2];
        while served != [true; 2] {
            if start.elapsed() > PATIENCE {
                self.wrong.push(format!("{host} is not served after {PATIENCE:?}: {served:?}"));
                return Ok(());
            }
            sleep(Duration::from_millis(5));
            self.ask(client, host, &mut served)?;
        }
        self.took.push(start.elapsed().as_secs_f64() * 1000.0);
        self.ask(client, host, &mut served)
    }

    /// Asks for both rules.
    fn ask(&mut self, client: &mut Client, host: &str, served: &mut [bool; 2]) -> Result<()> {
        for ((path, status), served) in [("/good", 200), ("/missing", 500)].into_iter().zip(served) {
            self.answers += 1;
            match client.get(host, path)? {
                found if found == status => *served = true,
                404 if !*served => {}
                found => {
                    self.wrong.push(format!("{host}{path} answered {found}{}", if *served { " after it was served" } else { "" }))
                }
            }
        }
        Ok(())
    }

    /// What it comes to.
    pub(crate) fn section(&self, present: usize) -> String {
        let share = |share| quantile(self.took.iter().copied(), share);
        let mean = self.took.iter().sum::<f64>() / self.took.len() as f64;
        let mut text = format!(
            "## File saved, served\n\n{} routes saved one after another beside {present}, both rules of each asked for every 5 ms on one\n\
             connection: a good one, and one whose Service is missing. Right is 404, then for good 200 and 500. {} answers, of which wrong: {}.\n\n\
             | mean | p50 | p99 | most |\n|---|---|---|---|\n| {mean:.1} ms | {:.1} ms | {:.1} ms | {:.1} ms |\n",
            self.took.len(),
            self.answers,
            self.wrong.len(),
            share(0.5),
            share(0.99),
            share(1.0),
        );
        if !self.wrong.is_empty() {
            text += "\nThe first that were wrong:\n\n";
            for wrong in self.wrong.iter().take(20) {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "- {wrong}");
            }
        }
        text
    }

    /// # Errors
    /// When any answer was wrong.
    pub(crate) fn check(&self) -> Result<()> {
        match self.wrong.len() {
            0 => Ok(()),
            wrong => Err(Error::other(format!("{wrong} of {} answers were wrong", self.answers))),
        }
    }

    /// Every sample.
    pub(crate) fn samples(&self, present: usize) -> String {
        let mut text = String::new();
        for took in &self.took {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "saved_ms\t{present}\t0\t{took:.2}");
        }
        for wrong in &self.wrong {
            let _ = writeln!(text, "wrong\t{present}\t0\t{wrong}");
        }
        text
    }
}

/// How long a route may take to be served.
const PATIENCE: Duration = Duration::from_secs(30);
