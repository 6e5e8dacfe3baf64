//! `audit LOG USER HEARD [RULES SPARED]`: judges what a user of an API server did, by the server's audit log, whose first HEARD bytes were
//! judged before. Prints what should not have been. After a run that uses all there is, it is given a manifest of roles, and the list of
//! permissions that such a run need not use: every other one given there must have been used. Status 1 when something is not so.

use std::env;
use std::fs::{self, File};
use std::io::BufReader;
use std::process::ExitCode;

use anyhow::{Context, Result};
use conformance::audit::{Who, granted, judge, judge_permissions, spared};

/// The controller's name in lists that controllers share.
const CONTROLLER: &str = "pingora-gateway.dev/controller";

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [log, user, heard, permissions @ ..] = &arguments[..] else {
        anyhow::bail!("usage: audit LOG USER HEARD [RULES SPARED]")
    };
    let heard = heard.parse().with_context(|| format!("{heard} is no number of bytes"))?;
    let file = File::open(log).with_context(|| log.clone())?;
    let judgement = judge(BufReader::new(file), &Who { user, controller: CONTROLLER }, heard)?;
    println!(
        "{} statuses of {} objects were written; {} times a part of one went back to what it was",
        judgement.writes, judgement.objects, judgement.returns
    );
    let mut wrongs: Vec<String> = judgement.complaints.iter().map(ToString::to_string).collect();
    if let [rules, list] = permissions {
        let read = |path: &String| fs::read_to_string(path).with_context(|| path.clone());
        let granted = granted(&read(rules)?)?;
        wrongs.extend(judge_permissions(&granted, &judgement.used, &spared(&read(list)?)?));
        println!("{} permissions are granted", granted.len());
    }
    for wrong in &wrongs {
        println!("NOT SO: {wrong}");
    }
    Ok(if wrongs.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
