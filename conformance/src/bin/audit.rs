//! `audit LOG USER [RULES]`: judges what a user of an API server did, by the server's audit log. Prints what should not have been, and
//! with a manifest of roles also which of the permissions given there were never used. Status 1 when there is a complaint.

use std::env;
use std::fs::{self, File};
use std::io::BufReader;
use std::process::ExitCode;

use anyhow::{Context, Result};
use conformance::audit::{granted, judge};

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [log, user, rules @ ..] = &arguments[..] else { anyhow::bail!("usage: audit LOG USER [RULES]") };
    let file = File::open(log).with_context(|| log.clone())?;
    let judgement = judge(BufReader::new(file), user)?;
    println!("{} statuses of {} objects were written", judgement.writes, judgement.objects);
    for complaint in &judgement.complaints {
        println!("NOT SO: {complaint}");
    }
    for rules in rules {
        let text = fs::read_to_string(rules).with_context(|| rules.clone())?;
        for (verb, group, resource) in granted(&text)?.difference(&judgement.used) {
            println!("never used: {verb} {resource} of group {group:?}");
        }
    }
    Ok(if judgement.complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
