//! Programs under measurement: started on a core of their own, watched through `/proc`, ended by their id.
//!
//! In: command lines. Out: what a program and its children have used of the processor and occupy of memory. Whatever is started here
//! ends with the value that stands for it; nothing else is ever signalled.

use std::fs;
use std::io::{Error, ErrorKind, Read as _, Result, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_setaffinity};

/// A running program.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    /// What it complains of.
    complaints: PathBuf,
}

/// Processor time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    /// In the program itself.
    pub user: Duration,
    /// In the system on its behalf.
    pub system: Duration,
}

impl Process {
    /// Starts a program on one core; what it prints goes to these two files in `folder`: `NAME.out` and `NAME.err`.
    pub fn start(name: &str, core: usize, program: &Path, arguments: &[String], folder: &Path) -> Result<Self> {
        let mut command = pinned(core, program);
        command.args(arguments).stdin(Stdio::null());
        command.stdout(fs::File::create(folder.join(format!("{name}.out")))?);
        let complaints = folder.join(format!("{name}.err"));
        command.stderr(fs::File::create(&complaints)?);
        let child = command.spawn().map_err(|err| Error::new(err.kind(), format!("{name}: {err}")))?;
        Ok(Self { child, name: name.to_owned(), complaints })
    }

    /// Waits until a GET of `path` for `host` is answered with `status`.
    pub fn await_answer(&mut self, address: SocketAddr, host: &str, path: &str, status: u16) -> Result<()> {
        let start = Instant::now();
        loop {
            if let Some(ended) = self.child.try_wait()? {
                let said = fs::read_to_string(&self.complaints).unwrap_or_default();
                let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
                return Err(Error::other(format!("{} ended: {ended}: {last}", self.name)));
            }
            match ask(address, host, path) {
                Ok(found) if found == status => return Ok(()),
                found if start.elapsed() > PATIENCE => {
                    return Err(Error::other(format!("{} does not answer {status} but {found:?}", self.name)));
                }
                _ => sleep(Duration::from_millis(20)),
            }
        }
    }

    /// What it and its children have used so far. In steps of the system's clock tick, 10 ms.
    pub fn used(&self) -> Result<Used> {
        let mut used = Used::default();
        for id in self.family()? {
            let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
            // The name in parentheses may hold anything, spaces too.
            let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
            let mut ticks = after.split_whitespace().skip(11).map(|field| field.parse::<u64>().unwrap_or_default());
            used.user += Duration::from_millis(10 * ticks.next().unwrap_or_default());
            used.system += Duration::from_millis(10 * ticks.next().unwrap_or_default());
        }
        Ok(used)
    }

    /// Bytes of memory that it and its children occupy and that no file holds.
    pub fn anonymous_memory(&self) -> Result<u64> {
        self.memory("RssAnon:")
    }

    /// Bytes of memory that it and its children occupy, code included.
    pub fn resident_memory(&self) -> Result<u64> {
        self.memory("VmRSS:")
    }

    fn memory(&self, what: &str) -> Result<u64> {
        let mut bytes = 0;
        for id in self.family()? {
            let status = fs::read_to_string(format!("/proc/{id}/status"))?;
            let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap_or_default();
            let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap_or_default();
            bytes += kib * 1024;
        }
        Ok(bytes)
    }

    /// Its id and those of all below it.
    fn family(&self) -> Result<Vec<u32>> {
        let mut all = vec![self.child.id()];
        let mut at = 0;
        while let Some(id) = all.get(at) {
            for task in fs::read_dir(format!("/proc/{id}/task"))? {
                let children = fs::read_to_string(task?.path().join("children")).unwrap_or_default();
                all.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
            }
            at += 1;
        }
        Ok(all)
    }

    /// Ends it as a service manager would, and waits; by force when it takes too long.
    pub fn stop(mut self) -> Result<()> {
        if let Some(id) = Pid::from_raw(self.child.id().cast_signed()) {
            kill_process(id, Signal::TERM)?;
        }
        let start = Instant::now();
        while self.child.try_wait()?.is_none() {
            if start.elapsed() > PATIENCE {
                return Err(Error::new(ErrorKind::TimedOut, format!("{} does not end", self.name)));
            }
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Children first: without their parent nothing would tell that they are ours.
        for id in self.family().unwrap_or_default().into_iter().rev() {
            if matches!(self.child.try_wait(), Ok(None))
                && let Some(id) = Pid::from_raw(id.cast_signed())
            {
                let _ = kill_process(id, Signal::KILL);
            }
        }
        let _ = self.child.wait();
    }
}

/// Keeps this process, and what it starts from now on, on one core.
pub fn keep_to(core: usize) -> Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    Ok(sched_setaffinity(None, &cores)?)
}

/// A command that runs on one core only.
pub fn pinned(core: usize, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.arg("-c").arg(core.to_string()).arg(program);
    command
}

/// Loopback ports that nobody uses now.
pub fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let mut ports = [0; N];
    // All are held until all are found, so that no two are the same.
    let mut held = Vec::new();
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

/// The status of one GET on a connection of its own.
pub fn ask(address: SocketAddr, host: &str, path: &str) -> Result<u16> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut line = [0; 12];
    stream.read_exact(&mut line)?;
    status(&line).ok_or_else(|| Error::new(ErrorKind::InvalidData, "not a response"))
}

/// The status of a response that begins so.
pub fn status(start: &[u8]) -> Option<u16> {
    std::str::from_utf8(start.get(9..12)?).ok()?.parse().ok()
}

/// How long a program may take to start, or to end.
const PATIENCE: Duration = Duration::from_secs(15);
