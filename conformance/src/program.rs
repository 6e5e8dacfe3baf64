//! The program under judgement: found, started on loopback addresses of its own, watched, and ended.
//!
//! In: paths of manifests and further arguments. Out: a running program that said it is ready, the statuses it reports and all that
//! it printed. The program is looked for beside the running executable, where Cargo builds both, or where `GATEWAY_PROGRAM` says.
//!
//! Invariants: a [`Running`] ends with its owner, also when a test panics; no two of them share an address.

use std::env;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::http::{Request, ask};
use crate::manifest::{list, name as name_of};

/// How long the program may take to become ready. It takes milliseconds; a loaded machine is given time.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// Where the admin server of every started program listens, on the program's first address.
const ADMIN_PORT: u16 = 9901;

/// Ports of listeners are bound this much higher, so that nobody needs to be root.
const RAISED_BY: u16 = 20_000;

/// The program, and what it is to be started with.
#[derive(Debug)]
pub struct Program {
    arguments: Vec<OsString>,
    addresses: Vec<Ipv4Addr>,
    ports: Vec<u16>,
}

impl Program {
    /// `gateway run` on these manifests, listening on one address.
    pub fn serving(paths: &[&Path]) -> Self {
        let mut arguments = vec!["run".into()];
        arguments.extend(paths.iter().map(OsString::from));
        Self { arguments, addresses: vec![fresh_address()], ports: Vec::new() }
    }

    /// Gives each Gateway an address of its own, as far as these many go.
    #[must_use]
    pub fn addresses(mut self, count: usize) -> Self {
        self.addresses.resize_with(count.max(1), fresh_address);
        self
    }

    /// Says which ports the manifests' listeners name.
    #[must_use]
    pub fn ports(mut self, ports: &[u16]) -> Self {
        self.ports.extend(ports);
        self
    }

    /// Starts it and waits until it says that it is ready.
    pub fn start(mut self) -> Result<Running> {
        for address in &self.addresses {
            self.arguments.extend(["--address".into(), address.to_string().into()]);
        }
        if !self.ports.is_empty() {
            let pairs: Vec<_> = self.ports.iter().map(|port| format!("{port}={}", raised(*port))).collect();
            self.arguments.extend(["--port-map".into(), pairs.join(",").into()]);
        }
        let admin = SocketAddr::from((self.addresses[0], ADMIN_PORT));
        self.arguments.extend(["--admin".into(), admin.to_string().into()]);

        let program = found()?;
        let mut child = Command::new(&program)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let printed = Arc::new(Mutex::new(String::new()));
        collect(child.stdout.take(), &printed);
        collect(child.stderr.take(), &printed);
        let mut running = Running { child, admin, addresses: self.addresses, printed };
        running.wait_ready()?;
        Ok(running)
    }
}

/// The program, ready and serving.
#[derive(Debug)]
pub struct Running {
    child: Child,
    admin: SocketAddr,
    addresses: Vec<Ipv4Addr>,
    printed: Arc<Mutex<String>>,
}

impl Running {
    /// Where a listener's port is reached on the first address.
    pub fn socket(&self, port: u16) -> SocketAddr {
        (self.addresses[0], raised(port)).into()
    }

    /// Where a listener's port is reached on the address a Gateway reports.
    pub fn socket_of(&self, gateway: &str, port: u16) -> Result<SocketAddr> {
        let status = self.statuses()?;
        let status = status.of("Gateway", gateway).with_context(|| format!("Gateway {gateway} has no status"))?;
        let address = status.pointer("/addresses/0/value").and_then(Value::as_str);
        let address: IpAddr = address.with_context(|| format!("Gateway {gateway} has no address"))?.parse()?;
        Ok((address, raised(port)).into())
    }

    /// What the admin server answers under this path.
    pub fn admin(&self, path: &str) -> Result<String> {
        let answer = ask(self.admin, &Request::get("admin", path)).with_context(|| format!("admin {path}"))?;
        ensure!(answer.status == 200, "admin {path} answered {}: {}", answer.status, answer.text());
        Ok(answer.text())
    }

    /// The statuses it reports now.
    pub fn statuses(&self) -> Result<Statuses> {
        let text = self.admin("/status")?;
        let read = serde_json::from_str(&text).with_context(|| format!("/status is no JSON: {text}"))?;
        Ok(Statuses(read))
    }

    /// All that it has printed.
    pub fn printed(&self) -> String {
        lock(&self.printed).clone()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn wait_ready(&mut self) -> Result<()> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                // What it said last may still be on its way through the pipes.
                thread::sleep(Duration::from_millis(50));
                bail!("the program ended with {status} before it was ready:\n{}", self.printed());
            }
            if ask(self.admin, &Request::get("admin", "/readyz")).is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            if started.elapsed() > READY_WITHIN {
                bail!("the program was not ready within {READY_WITHIN:?}:\n{}", self.printed());
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- the program printed:\n{}---", self.printed());
        }
    }
}

/// What the program reports of every object.
#[derive(Debug)]
pub struct Statuses(Value);

impl Statuses {
    /// The status of an object, named `namespace/name`, or `name` where its kind has no namespaces.
    pub fn of(&self, kind: &str, name: &str) -> Option<&Value> {
        self.entry(kind, name)?.get("status")
    }

    /// All that is reported of an object.
    pub fn entry(&self, kind: &str, name: &str) -> Option<&Value> {
        self.entries().iter().find(|entry| entry["kind"] == kind && name_of(entry) == name)
    }

    /// All objects of which something is reported.
    pub fn entries(&self) -> &[Value] {
        list(&self.0, "/items")
    }

    /// The whole report, for messages.
    pub fn text(&self) -> String {
        self.0.to_string()
    }
}

/// Where the program is.
pub fn found() -> Result<PathBuf> {
    if let Some(path) = env::var_os("GATEWAY_PROGRAM") {
        return Ok(path.into());
    }
    let own = env::current_exe()?;
    let folder = own.parent().context("an executable stands in a folder")?;
    let folder = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    let program = folder.join(format!("gateway{}", env::consts::EXE_SUFFIX));
    ensure!(
        program.is_file(),
        "{} is not there: build it first with `cargo build`, or name it in GATEWAY_PROGRAM",
        program.display()
    );
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(newest_source).unwrap_or(SystemTime::UNIX_EPOCH);
    if program.metadata()?.modified()? < sources {
        eprintln!("{} is older than its sources: `cargo build` first?", program.display());
    }
    Ok(program)
}

/// When a source of the program last changed. What cannot be read does not count: this is for a hint.
fn newest_source(workspace: &Path) -> SystemTime {
    let mut newest = SystemTime::UNIX_EPOCH;
    let mut folders: Vec<_> =
        ["gateway-core/src", "gateway-pingora/src", "gateway-bin/src"].iter().map(|room| workspace.join(room)).collect();
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(modified) = entry.metadata().and_then(|metadata| metadata.modified()) {
                newest = newest.max(modified);
            }
        }
    }
    newest
}

/// A loopback address that no other program of this run has, nor of another run that is likely to go on at the same time.
pub fn fresh_address() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let id = process::id();
    let (second, third) = (16 + id % 200, id / 200 % 250);
    Ipv4Addr::new(127, second as u8, third as u8, NEXT.fetch_add(1, Ordering::SeqCst))
}

fn raised(port: u16) -> u16 {
    port + RAISED_BY
}

fn collect(from: Option<impl Read + Send + 'static>, into: &Arc<Mutex<String>>) {
    let Some(from) = from else { return };
    let into = into.clone();
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let mut printed = lock(&into);
            printed.push_str(&line);
            printed.push('\n');
        }
    });
}

fn lock(text: &Mutex<String>) -> MutexGuard<'_, String> {
    text.lock().unwrap_or_else(PoisonError::into_inner)
}
