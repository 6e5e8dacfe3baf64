//! Processes of our program in a cluster: what they are, what they spend, what they hold. Read from `/proc`.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::Result;

use crate::cluster::Cluster;

/// A process of our program, as images start it.
#[derive(Clone, Debug)]
pub struct Process {
    id: String,
    /// What it was told to be: `controller` or `proxy`.
    pub mode: String,
    /// Its whole command line.
    pub command: String,
    spent: Duration,
    /// Memory that is its own or shared, and present, in bytes.
    pub resident: u64,
}

/// A process, and which share of a core it spent of late.
pub type Spending = (Process, f64);

/// Those of a cluster: in its control group.
///
/// # Errors
///
/// When processes cannot be listed.
pub fn processes(cluster: &Cluster) -> Result<Vec<Process>> {
    let group = format!("/{}/", cluster.control_group());
    let mut found = Vec::new();
    for entry in Path::new("/proc").read_dir()?.flatten() {
        let id = entry.file_name().to_string_lossy().into_owned();
        // Whatever ends meanwhile is of no interest.
        let Ok(command) = fs::read_to_string(entry.path().join("cmdline")) else { continue };
        let mut words = command.split('\0');
        let (Some("/gateway"), Some(mode)) = (words.next(), words.next()) else { continue };
        let mode = mode.to_owned();
        let Ok(groups) = fs::read_to_string(entry.path().join("cgroup")) else { continue };
        if !groups.contains(&group) {
            continue;
        }
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some((_, fields)) = stat.rsplit_once(") ") else { continue };
        let field = |at: usize| fields.split(' ').nth(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        // In hundredths of a second, and in pages: `proc_pid_stat(5)`.
        let spent = Duration::from_millis((field(11) + field(12)) * 10);
        let command = command.replace('\0', " ");
        found.push(Process { id, mode, command, spent, resident: field(21) * 4096 });
    }
    Ok(found)
}

/// What those spend that are there for all of a while.
///
/// # Errors
///
/// When processes cannot be listed.
pub fn spending(cluster: &Cluster, over: Duration) -> Result<Vec<Spending>> {
    let before = processes(cluster)?;
    thread::sleep(over);
    let shares = processes(cluster)?.into_iter().filter_map(|process| {
        let former = before.iter().find(|former| former.id == process.id)?;
        let share = process.spent.saturating_sub(former.spent).as_secs_f64() / over.as_secs_f64();
        Some((process, share))
    });
    Ok(shares.collect())
}
