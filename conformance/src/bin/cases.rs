//! `cases SCRIPTS IMAGE KEY [NAME]...`: judges our own cases in the cluster that the scripts of a folder (`conformance/cluster`) have up, with
//! an image of the upstream suite's echo server, and the key by which its API server signs tokens. Prints one line for each; status 1 when one of them failed. Run inside the cluster's
//! network; `conformance/cases` does all of that.

use std::env;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};
use conformance::cases::{CASES, Scene, judge};
use conformance::cluster::Cluster;
use conformance::program;

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [scripts, image, key, names @ ..] = &arguments[..] else { bail!("usage: cases SCRIPTS IMAGE KEY [NAME]...") };
    if let Some(unknown) = names.iter().find(|name| CASES.iter().all(|case| case.name != **name)) {
        let known: Vec<&str> = CASES.iter().map(|case| case.name).collect();
        bail!("there is no case {unknown}; there are {}", known.join(", "));
    }
    let cluster = Cluster::new(Path::new(scripts));
    let scene = Scene { cluster, echo: image.clone(), program: program::found()?, signing_key: key.into() };
    Ok(if judge(&scene, names)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
