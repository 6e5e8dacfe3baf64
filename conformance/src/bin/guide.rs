//! `guide FOLDER`: judges a folder of manifests and prints one line for each. Status 1 when one of them failed.

use std::env;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};

fn main() -> Result<ExitCode> {
    let folder = env::args_os().nth(1).context("usage: guide FOLDER")?;
    let verdicts = conformance::guide::judge(Path::new(&folder))?;
    for verdict in &verdicts {
        println!("{verdict}");
    }
    Ok(if verdicts.iter().any(|verdict| verdict.is_failed()) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
