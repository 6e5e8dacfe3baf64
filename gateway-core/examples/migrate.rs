//! Simulates a migration: which requests a new folder of manifests would answer differently from an old one, and which statuses change.
//!
//! `cargo run -p gateway-core --example migrate -- OLD NEW`

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use gateway_core::compile::{Compiler, Options};
use gateway_core::diff::{Compiled, Difference, diff};
use gateway_core::snapshot::Snapshot;
use gateway_core::support::Support;

#[path = "reading/folder.rs"]
mod folder;

/// What differs.
pub(crate) fn run(old: &Path, new: &Path) -> Result<Difference, Box<dyn Error>> {
    let ((before, old), (after, new)) = (compiled(old)?, compiled(new)?);
    Ok(diff(
        Compiled { snapshot: &old, statuses: before.statuses(), problems: before.problems() },
        Compiled { snapshot: &new, statuses: after.statuses(), problems: after.problems() },
    ))
}

fn compiled(folder: &Path) -> Result<(Compiler, Arc<Snapshot>), Box<dyn Error>> {
    let mut compiler = Compiler::new(Options { support: Support::ALL, ..Options::default() });
    let update = compiler.apply(folder::changes(folder)?);
    Ok((compiler, update.snapshot))
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut folders = std::env::args_os().skip(1);
    let (old, new) = folders.next().zip(folders.next()).ok_or("which two folders?")?;
    println!("{}", run(Path::new(&old), Path::new(&new))?);
    Ok(())
}
