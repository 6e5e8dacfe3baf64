//! Valgrind's callgrind, which counts the instructions of whole runs.
//!
//! In: a command. Out: how many instructions it took. What is counted is the process itself, all its threads together.

use std::fs;
use std::io::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::work::Work;

/// Where callgrind writes.
#[derive(Debug)]
pub(crate) struct Valgrind {
    folder: TempDir,
    keep: Option<PathBuf>,
}

impl Valgrind {
    /// Makes sure that it is there.
    pub(crate) fn find(keep: Option<PathBuf>) -> Result<Self> {
        let version = Command::new("valgrind").arg("--version").output();
        version.map_err(|err| Error::new(err.kind(), "not found: valgrind (Debian package of this name)"))?;
        if let Some(folder) = &keep {
            fs::create_dir_all(folder)?;
        }
        Ok(Self { folder: tempfile::tempdir()?, keep })
    }

    /// The instructions of some work, each time.
    pub(crate) fn work(&self, work: Work) -> Result<u64> {
        let this = std::env::current_exe()?;
        self.difference(&work.to_string(), work.times(), |times, out| {
            let mut command = self.command(&this, out);
            let output = command.args(["work", &work.to_string(), &times.to_string()]).output()?;
            if output.status.success() { Ok(()) } else { Err(Error::other(String::from_utf8_lossy(&output.stderr).into_owned())) }
        })
    }

    /// What one of `times` takes: the difference of a run that does it once so often and one that does it twice as often.
    pub(crate) fn difference(&self, name: &str, times: usize, run: impl Fn(usize, &Path) -> Result<()>) -> Result<u64> {
        let out = self.folder.path().join("callgrind.out");
        let count = |times| {
            run(times, &out)?;
            total(&out)
        };
        let (once, twice) = (count(times)?, count(2 * times)?);
        if let Some(keep) = &self.keep {
            fs::copy(&out, keep.join(name.replace('/', "-")))?;
        }
        Ok(twice.saturating_sub(once) / times as u64)
    }

    /// A program, counted.
    pub(crate) fn command(&self, program: &Path, out: &Path) -> Command {
        let mut command = Command::new("valgrind");
        command.args(["--quiet", "--tool=callgrind"]).arg(format!("--callgrind-out-file={}", out.display())).arg(program);
        command
    }

    /// A folder for what else is written.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

fn total(out: &Path) -> Result<u64> {
    let text = fs::read_to_string(out)?;
    let line = text.lines().find_map(|line| line.strip_prefix("summary: ").or_else(|| line.strip_prefix("totals: ")));
    line.and_then(|count| count.trim().parse().ok()).ok_or_else(|| Error::other("callgrind told no total"))
}
