//! How many instructions the gateway takes for what it does most, compared with what it took before: unlike time, the same on a busy
//! machine, so that what costs more than it did is found when it comes in.
//!
//! ```sh
//! benches/counts/run            # compare with known.tsv
//! benches/counts/run --bless    # write it anew
//! ```
//!
//! In: the program `gateway`, and what is known. Out: a table; failure where anything takes more than it may. Valgrind counts two runs of
//! the same work, one with more of it, and the difference is what the rest costs: how a run starts and ends is in both.

mod known;
mod proxied;
mod valgrind;
mod work;

use std::fmt;
use std::io::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use known::Known;
use valgrind::Valgrind;
use work::Work;

/// Counts instructions.
#[derive(Debug, Parser)]
#[command(name = "counts")]
struct Flags {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Counts all there is and compares it with what is known
    Compare {
        /// The program whose proxied requests are counted
        #[arg(long)]
        gateway: PathBuf,

        /// What is known
        #[arg(long, default_value = "benches/counts/known.tsv")]
        known: PathBuf,

        /// Write what is counted as what is known
        #[arg(long)]
        bless: bool,

        /// Keep what callgrind found of the longer runs in this folder, for callgrind_annotate
        #[arg(long)]
        keep: Option<PathBuf>,
    },
    /// Does some work so many times: what is counted
    Work {
        /// Its name
        name: Work,
        /// How often
        times: usize,
    },
}

fn main() -> ExitCode {
    let compared = match Flags::parse().verb {
        Verb::Work { name, times } => {
            name.perform(times);
            Ok(())
        }
        Verb::Compare { gateway, known, bless, keep } => compare(&gateway, &known, bless, keep),
    };
    match compared {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("error: {err}");
            ExitCode::FAILURE
        }
    }
}

fn compare(gateway: &Path, path: &Path, bless: bool, keep: Option<PathBuf>) -> Result<()> {
    let valgrind = Valgrind::find(keep)?;
    let mut counts = Vec::new();
    let mut note = |name: String, instructions: u64, tolerance: f64| {
        eprintln!("counted {name}: {instructions}");
        counts.push(Count { name, instructions, tolerance });
    };
    for work in Work::ALL {
        note(work.to_string(), valgrind.work(*work)?, IN_PROCESS);
    }
    for protocol in proxied::Protocol::ALL {
        note(protocol.to_string(), proxied::count(&valgrind, gateway, *protocol)?, PROXIED);
    }
    if bless {
        return Known::write(path, &counts);
    }
    let known = Known::read(path)?;
    let table: Vec<Compared<'_>> = counts.iter().map(|count| Compared { count, before: known.of(&count.name) }).collect();
    table.iter().for_each(|row| println!("{row}"));
    let failed: Vec<_> = table.iter().filter(|row| !row.holds()).map(|row| row.count.name.as_str()).collect();
    if failed.is_empty() {
        return Ok(());
    }
    Err(Error::other(format!(
        "{}: more instructions than known, or not known. Where that is meant: benches/counts/run --bless",
        failed.join(", ")
    )))
}

/// How many instructions something took, each time.
#[derive(Debug)]
struct Count {
    name: String,
    instructions: u64,
    /// The share by which it may differ from one time to another.
    tolerance: f64,
}

/// A count beside the one before.
struct Compared<'a> {
    count: &'a Count,
    before: Option<u64>,
}

impl Compared<'_> {
    fn change(&self) -> Option<f64> {
        self.before.map(|before| self.count.instructions as f64 / before as f64 - 1.0)
    }

    fn holds(&self) -> bool {
        self.change().is_some_and(|change| change <= self.count.tolerance)
    }
}

impl fmt::Display for Compared<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Count { name, instructions, tolerance } = self.count;
        let Some((before, change)) = self.before.zip(self.change()) else {
            return write!(f, "{name:<32} {instructions:>12}  NOT KNOWN");
        };
        let said = if change > *tolerance {
            "MORE THAN KNOWN"
        } else if change < -tolerance {
            "less: --bless keeps it so"
        } else {
            ""
        };
        write!(f, "{name:<32} {instructions:>12} {before:>12} {:>+7.1} %  {said}", change * 100.0)
    }
}

/// What the order of addresses and the like may change where everything happens in one thread.
const IN_PROCESS: f64 = 0.02;
/// And where threads wake each other.
const PROXIED: f64 = 0.06;
