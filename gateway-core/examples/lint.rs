//! Lints the manifests of a folder: every condition that a gateway would write, and what else a person should know.
//!
//! `cargo run -p gateway-core --example lint -- FOLDER`

use std::error::Error;
use std::path::Path;

use gateway_core::compile::{Compiler, Options};
use gateway_core::support::Support;

#[path = "reading/folder.rs"]
mod folder;

/// A line for each condition of each object, then one for each problem.
pub(crate) fn run(folder: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    // Judged is what the manifests say, whoever performs it.
    let mut compiler = Compiler::new(Options { support: Support::ALL, ..Options::default() });
    compiler.apply(folder::changes(folder)?);
    let mut lines = Vec::new();
    for (id, status) in compiler.statuses() {
        for (part, conditions) in status.parts() {
            for condition in conditions {
                let (kind, status, reason) = (condition.kind, condition.status, condition.reason);
                lines.push(format!("{id} {part}: {kind} is {status:?} ({reason}): {}", condition.message));
            }
        }
    }
    for (id, problems) in compiler.problems() {
        lines.extend(problems.iter().map(|problem| format!("{id}: {problem}")));
    }
    Ok(lines)
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).ok_or("which folder?")?;
    run(Path::new(&folder))?.iter().for_each(|line| println!("{line}"));
    Ok(())
}
