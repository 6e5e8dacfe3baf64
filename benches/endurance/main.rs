//! The running program with thousands of routes: what it occupies, whether that stays flat under churn and is given back, and how
//! long a saved file takes to be served.
//!
//! ```sh
//! cargo build --release -p gateway-bin
//! cargo run -p benches --bin endurance                      # half an hour
//! cargo run -p benches --bin endurance -- --routes 500 --present 500 --churn 10 --saves 100    # a minute, to see that it runs
//! ```
//!
//! In: a build of the gateway. Out: `endurance.md` and every sample. Each gateway has the same one core, and what asks it another. A wrong
//! answer ends nothing: it is counted and told, and the run fails in the end.

mod client;
mod manifests;
mod memory;
mod saves;

use std::fs;
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use benches::page::{self, first_line};
use benches::process::{Process, free_ports, keep_to};
use clap::Parser;
use memory::Memory;

/// Measures memory and the way from file to traffic.
#[derive(Debug, Parser)]
#[command(name = "endurance")]
struct Flags {
    /// The program
    #[arg(long, default_value = "target/release/gateway")]
    gateway: PathBuf,

    /// How many routes, each with a Service of its own
    #[arg(long, value_delimiter = ',', default_value = "5000,50000")]
    routes: Vec<usize>,

    /// How long files change, in seconds, with each number of routes
    #[arg(long, default_value_t = 1800)]
    churn: u64,

    /// How many routes are saved one after another
    #[arg(long, default_value_t = 3000)]
    saves: usize,

    /// Routes that are there while others are saved
    #[arg(long, default_value_t = 5000)]
    present: usize,

    /// The core of the gateway
    #[arg(long, default_value_t = 0)]
    core: usize,

    /// The core of what asks it and answers behind it
    #[arg(long, default_value_t = 1)]
    load_core: usize,

    /// Where page and samples go
    #[arg(long, default_value = "benches/results")]
    out: PathBuf,
}

fn main() -> ExitCode {
    match run(&Flags::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("error: {err}");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: &Flags) -> Result<()> {
    keep_to(flags.load_core)?;
    let load = page::load_average();
    let mut raw = String::from("what\troutes\tat_seconds\tvalue\n");
    let mut text = String::new();
    for (routes, found) in memories(flags)? {
        text += &found.row(routes);
        raw += &found.samples(routes);
    }
    let saved = saves::measure(World::start(flags)?, flags.present, flags.saves)?;
    raw += &saved.samples(flags.present);
    let setting = format!(
        "- Machine: {}. Load average at the start {load:.1}, at the end {:.1}; what goes beyond 2 is others' work.\n\
         - {}, one core; resident memory counts code, anonymous memory does not.\n",
        page::machine(),
        page::load_average(),
        first_line(Command::new(&flags.gateway).arg("--version")),
    );
    let page = format!(
        "# Endurance\n\nWritten by `cargo run -p benches --bin endurance -- --churn {}`; every sample stands in [raw/endurance.tsv](raw/endurance.tsv).\n\n\
         {setting}\n{}{text}\n{}",
        flags.churn,
        memory::head(Duration::from_secs(flags.churn)),
        saved.section(flags.present),
    );
    print!("{page}");
    fs::create_dir_all(flags.out.join("raw"))?;
    fs::write(flags.out.join("raw/endurance.tsv"), raw)?;
    fs::write(flags.out.join("endurance.md"), page)?;
    saved.check()
}

/// Memory with each number of routes. All at once: what one program occupies is no matter of how busy the others are.
fn memories(flags: &Flags) -> Result<Vec<(usize, Memory)>> {
    let churn = Duration::from_secs(flags.churn);
    let worlds = flags.routes.iter().map(|routes| Ok((*routes, World::start(flags)?))).collect::<Result<Vec<_>>>()?;
    thread::scope(|scope| {
        let measure = |routes, world| {
            let found = memory::measure(world, routes, churn)?;
            eprint!("{}", found.row(routes));
            Ok((routes, found))
        };
        let running: Vec<_> = worlds.into_iter().map(|(routes, world)| scope.spawn(move || measure(routes, world))).collect();
        running.into_iter().map(|one| one.join().unwrap_or_else(|_| Err(Error::other("a measurement panicked")))).collect()
    })
}

/// A running gateway that follows a folder.
struct World {
    folder: tempfile::TempDir,
    port: u16,
    process: Process,
}

impl World {
    /// With a Gateway and one Service that is served, and no route.
    fn start(flags: &Flags) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let logs = folder.path().join("logs");
        let files = folder.path().join("files");
        fs::create_dir(&logs)?;
        fs::create_dir(&files)?;
        let [port] = free_ports()?;
        fs::write(files.join("gateway.yaml"), manifests::gateway(port))?;
        let backend = format!("test/here:80={}", client::serve()?);
        let arguments = ["run", &files.display().to_string(), "--backend", &backend, "--admin", "off", "--log-format", "text"];
        let arguments = arguments.map(str::to_owned);
        let mut process = Process::start("gateway", flags.core, &flags.gateway, &arguments, &logs)?;
        process.await_answer(([127, 0, 0, 1], port).into(), "nobody.test", "/", 404)?;
        Ok(Self { folder, port, process })
    }

    fn files(&self) -> PathBuf {
        self.folder.path().join("files")
    }

    /// Saves so many routes in files of [`manifests::EACH`].
    fn save_routes(&self, routes: usize) -> Result<()> {
        let files = self.files();
        (0..routes.div_ceil(manifests::EACH)).try_for_each(|nth| save(&files, nth, routes, 0))
    }

    /// Waits until the first, the last and the middle one of so many routes answer so.
    fn await_routes(&self, routes: usize, status: u16) -> Result<()> {
        let start = Instant::now();
        let mut client = self.ask()?;
        for nth in [0, routes / 2, routes.saturating_sub(1)] {
            while client.get(&manifests::host(nth), &manifests::path(nth))? != status {
                if start.elapsed() > PATIENCE {
                    return Err(Error::other(format!("route {nth} does not answer {status}")));
                }
                sleep(Duration::from_millis(50));
            }
        }
        Ok(())
    }

    fn ask(&self) -> Result<client::Client> {
        client::Client::connect(([127, 0, 0, 1], self.port).into())
    }
}

/// Saves the file of this number; versions differ in a header they set.
fn save(files: &Path, nth: usize, routes: usize, version: usize) -> Result<()> {
    fs::write(files.join(format!("routes-{nth}.yaml")), manifests::routes(nth, routes, version))
}

/// Takes the file of this number away, if it is there.
fn remove(files: &Path, nth: usize) -> Result<()> {
    match fs::remove_file(files.join(format!("routes-{nth}.yaml"))) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// How long all routes together may take to be served, or to be gone.
const PATIENCE: Duration = Duration::from_secs(300);
