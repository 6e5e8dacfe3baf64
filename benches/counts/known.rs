//! What is known of counts: a table in the repository, one line for each, and which compiler it holds for.
//!
//! In: a file. Out: counts by name. Another compiler makes other code, so that its counts would say nothing of ours.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{Error, Result};
use std::path::Path;
use std::process::Command;

use benches::page::first_line;

use crate::Count;

/// Counts that were taken before.
#[derive(Debug)]
pub(crate) struct Known(BTreeMap<String, u64>);

impl Known {
    /// Reads them. Fails where they were taken with another compiler.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let named = |why: String| Error::other(format!("{}: {why}", path.display()));
        let text = fs::read_to_string(path).map_err(|err| named(err.to_string()))?;
        let mut known = BTreeMap::new();
        let mut compiler = None;
        for line in text.lines() {
            if let Some(found) = line.strip_prefix(COMPILER) {
                compiler = Some(found.to_owned());
            } else if !line.starts_with('#') {
                let count = line.split_once('\t').and_then(|(name, count)| Some((name.to_owned(), count.parse().ok()?)));
                known.extend([count.ok_or_else(|| named(format!("not a name and a count: {line}")))?]);
            }
        }
        let here = rustc();
        match compiler {
            Some(compiler) if compiler == here => Ok(Self(known)),
            compiler => Err(named(format!("counted with {}, here is {here}: --bless", compiler.unwrap_or_default()))),
        }
    }

    /// Writes counts as those that are known.
    pub(crate) fn write(path: &Path, counts: &[Count]) -> Result<()> {
        let mut text = format!("# Instructions each time, as benches/counts/run --bless wrote them.\n{COMPILER}{}\n", rustc());
        for Count { name, instructions, .. } in counts {
            let _ = writeln!(text, "{name}\t{instructions}");
        }
        fs::write(path, text)
    }

    /// What was counted under this name.
    pub(crate) fn of(&self, name: &str) -> Option<u64> {
        self.0.get(name).copied()
    }
}

fn rustc() -> String {
    first_line(Command::new("rustc").arg("--version"))
}

const COMPILER: &str = "# Compiler: ";
