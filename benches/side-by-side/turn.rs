//! One contestant's turn in one round: all that is measured of it.
//!
//! In: a contestant and a place to work. Out: samples, and what failed with the reason. A failure ends nothing but itself.

use std::io::Result;
use std::time::Duration;

use benches::page;
use benches::process::Process;

use crate::contestant::{Contestant, Place};
use crate::idle::IDLE;
use crate::load::{self, LOADS, Load, Scene};
use crate::report::{self, Sample, Samples};
use crate::tools::Tools;
use crate::{Flags, Measure};

/// The turn.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    pub(crate) flags: &'a Flags,
    pub(crate) tools: &'a Tools,
    pub(crate) contestant: &'a Contestant,
    pub(crate) place: &'a Place,
    pub(crate) round: usize,
    pub(crate) samples: &'a mut Samples,
}

impl Turn<'_> {
    /// Measures what is asked for and can be.
    pub(crate) fn measure(mut self) {
        // It goes from load to load; after a failure another one takes its place.
        let mut running = match self.contestant.start(self.place, self.flags.core) {
            Ok(process) => Some(process),
            Err(error) => return self.note(report::START, Err(error)),
        };
        for load in LOADS {
            if self.is_wanted(load.of) {
                let found = self.under(load, &mut running);
                self.note(load.name, found);
            }
        }
        for rate in &self.flags.rates {
            if self.is_wanted(Measure::Latency) {
                let found = self.latencies(*rate, &mut running);
                self.note(&report::latency(*rate), found);
            }
        }
        if let Some(process) = running {
            let stopped = process.stop().map(|()| Vec::new());
            self.note("stop", stopped);
        }
        for idle in IDLE {
            if self.is_wanted(Measure::Idle) {
                let found = idle.measure(self.contestant, self.place, self.flags.core, self.flags.idle);
                self.note(idle.name, found.map(|bytes| vec![(String::new(), bytes)]));
            }
        }
    }

    fn is_wanted(&self, measure: Measure) -> bool {
        self.flags.measures.contains(&measure) && !self.contestant.lacks.contains(&measure)
    }

    /// What one unit of a load takes of the processor, and how many there are in a second.
    fn under(&self, load: &Load, running: &mut Option<Process>) -> Result<Vec<(String, f64)>> {
        let process = self.running(running)?;
        (load.work)(&self.scene(), Duration::from_secs(1))?;
        let before = process.used()?;
        let done = (load.work)(&self.scene(), self.time())?;
        let after = process.used()?;
        let each = |used: Duration| used.as_secs_f64() * 1e6 / done.units;
        let user = each(after.user.saturating_sub(before.user));
        let system = each(after.system.saturating_sub(before.system));
        let mut found = vec![(report::CPU, user + system), (report::USER, user), (report::RATE, done.per_second)];
        found.extend(done.lost.map(|lost| (report::LOST, lost)));
        *running = Some(process);
        Ok(found.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    fn latencies(&self, rate: u32, running: &mut Option<Process>) -> Result<Vec<(String, f64)>> {
        let process = self.running(running)?;
        let latencies = load::at_rate(&self.scene(), rate, self.time())?;
        *running = Some(process);
        let share = |(name, share): &(&str, f64)| (format!("_{name}_us"), page::quantile(latencies.iter().copied(), *share));
        Ok(report::SHARES.iter().map(share).collect())
    }

    /// The process that runs, taken out: whoever succeeds puts it back.
    fn running(&self, running: &mut Option<Process>) -> Result<Process> {
        running.take().map_or_else(|| self.contestant.start(self.place, self.flags.core), Ok)
    }

    fn scene(&self) -> Scene<'_> {
        Scene { tools: self.tools, place: self.place, core: self.flags.load_core }
    }

    fn time(&self) -> Duration {
        Duration::from_secs(self.flags.seconds)
    }

    /// Keeps what was found, by name and what is added to it; or why nothing was.
    fn note(&mut self, name: &str, found: Result<Vec<(String, f64)>>) {
        match found {
            Ok(found) => {
                for (end, value) in found {
                    self.samples.push(Sample {
                        round: self.round,
                        contestant: self.contestant.name.clone(),
                        measure: format!("{name}{end}"),
                        value,
                        load: page::load_average(),
                    });
                }
            }
            Err(error) => {
                eprintln!("{} fails at {name}: {error}", self.contestant.name);
                self.samples.fail(&self.contestant.name, name, &error.to_string());
            }
        }
    }
}
