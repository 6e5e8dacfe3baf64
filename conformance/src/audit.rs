//! What a controller did, as the API server wrote it down: which statuses it wrote, one after another, and which permissions it used.
//!
//! In: the API server's audit log, lines of JSON (`cluster/config/audit.yaml` says what is in it), and whose requests to judge. Out:
//! statuses that said nothing new, parts of statuses that went back to what they had been without a cause, requests that were
//! forbidden, and every permission that was used.
//!
//! A cause is a write of somebody else to something that the status can depend on (`audit/reach.rs` says what that is), since the part left its
//! former value; or two such writes when that of the first was still being carried out. Another generation of the object begins anew.
//!
//! Invariants: a request that the API server did not carry out wrote nothing. What the controller wrote itself is never a cause.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::BufRead;

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};

mod permission;
mod reach;
mod record;
mod status;

pub use permission::{Permission, Spared, Use, granted, judge as judge_permissions, spared};

use reach::World;
use record::{Id, read};
use status::{Return, Told};

/// How long a controller may take from what it sees to the status that it writes: it waits two seconds for proxies.
const CARRYING_OUT: SignedDuration = SignedDuration::from_secs(3);

/// Whose requests are judged.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    /// The user, as the log names it.
    pub user: &'a str,
    /// The controller's name in lists of a status that controllers share.
    pub controller: &'a str,
}

/// What the log says of one user.
#[derive(Debug, Default)]
pub struct Judgement {
    /// How many statuses were written, in all of the log.
    pub writes: usize,
    /// How many objects have one.
    pub objects: usize,
    /// How many parts of statuses went back to a former value, with a cause or without.
    pub returns: usize,
    /// What should not have been.
    pub complaints: Vec<Complaint>,
    /// What was used, in all of the log.
    pub used: BTreeSet<Permission>,
}

/// Something that should not have been.
#[derive(Clone, Debug)]
pub enum Complaint {
    /// No status was written at all: the log is not what it is taken for.
    NothingWritten,
    /// A status was written that was there already.
    SaidAgain {
        /// Whose.
        object: String,
        /// When.
        at: Timestamp,
    },
    /// A part of a status went back to what it was, without a cause.
    BackAndForth {
        /// Whose.
        object: String,
        /// Which part.
        part: String,
        /// What it said before and after, and between.
        values: [String; 2],
        /// When it changed, and when it changed back.
        at: [Timestamp; 2],
    },
    /// A request was forbidden, always.
    Forbidden(Permission),
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingWritten => write!(f, "not one status was written: this log does not tell of the controller"),
            Self::SaidAgain { object, at } => write!(f, "{object}: the status written at {at} was there already"),
            Self::BackAndForth { object, part, values: [own, other], at: [there, back] } => write!(
                f,
                "{object}: {part} went from {own} to {other} at {there} and back at {back}, though nobody wrote anything \
                 that it depends on"
            ),
            Self::Forbidden(permission) => write!(f, "forbidden: {permission}"),
        }
    }
}

/// Judges what a user did. What stands in the first bytes of the log, as many as told, is only learnt from: who complained of it did so then.
///
/// # Errors
///
/// When a line cannot be read, or is no record.
pub fn judge(log: impl BufRead, who: &Who<'_>, heard: usize) -> Result<Judgement> {
    let mut judgement = Judgement::default();
    let mut told: BTreeMap<String, Told> = BTreeMap::new();
    let mut world = World::default();
    let mut causes: Vec<(Timestamp, Id)> = Vec::new();
    let mut forbidden = BTreeSet::new();
    let mut read_so_far = 0;
    for line in log.split(b'\n') {
        let line = line?;
        let is_judged = read_so_far >= heard;
        read_so_far += line.len() + 1;
        let Some(record) = read(&line).with_context(|| format!("no record: {:.200}", String::from_utf8_lossy(&line)))? else {
            continue;
        };
        let is_own = record.user == who.user;
        if is_own && record.is_forbidden {
            forbidden.extend(is_judged.then_some(record.permission));
            continue;
        }
        if let Some(document) = &record.object {
            world.learn(&record.id, document);
            if record.is_of_api() {
                let of = told.entry(record.uid()?).or_insert_with(|| Told::of(&record.id));
                of.note(document, record.at, is_own && record.is_status(), is_judged, who.controller)?;
            }
        }
        if is_own {
            judgement.writes += usize::from(record.is_status() && record.is_write);
            judgement.used.extend(record.needed());
        } else if record.is_write && !(record.is_of_api() && record.is_status()) {
            // What others say in a status of the API is no cause, but for the object itself, whose `Told` has it.
            causes.push((record.at, record.id));
        }
    }
    causes.sort();
    judgement.objects = told.values().filter(|told| told.is_own()).count();
    if judgement.writes == 0 {
        judgement.complaints.push(Complaint::NothingWritten);
    }
    for told in told.into_values() {
        let id = told.id.clone();
        let heard = told.judge();
        judgement.complaints.extend(heard.again.into_iter().map(|at| Complaint::SaidAgain { object: id.to_string(), at }));
        judgement.returns += heard.returns.len();
        for Return { part, value, left_for, at } in without_cause(heard.returns, &id, &causes, &world) {
            let values = [value, left_for];
            judgement.complaints.push(Complaint::BackAndForth { object: id.to_string(), part, values, at });
        }
    }
    // An API server that has just started forbids everything until it has read who may do what.
    let never_allowed = forbidden.into_iter().filter(|permission| !judgement.used.contains(permission));
    let never_allowed: Vec<Complaint> = never_allowed.map(Complaint::Forbidden).collect();
    judgement.complaints.extend(never_allowed);
    Ok(judgement)
}

/// Those that nobody else's write explains.
fn without_cause(returns: Vec<Return>, id: &Id, causes: &[(Timestamp, Id)], world: &World) -> Vec<Return> {
    if returns.is_empty() {
        return returns;
    }
    let reach = world.reach(id);
    let unexplained = |entry: &Return| {
        let [left, back] = entry.at;
        let begun = left.checked_sub(CARRYING_OUT).unwrap_or(left);
        let from = causes.partition_point(|(at, _)| *at < begun);
        let to = causes.partition_point(|(at, _)| *at < back);
        let related = causes[from..to].iter().filter(|(_, id)| reach.contains(id));
        let (mut before, mut after) = (0, 0);
        for (at, _) in related {
            *(if *at > left { &mut after } else { &mut before }) += 1;
        }
        // One cause alone before it left is why it left.
        after == 0 && before < 2
    };
    returns.into_iter().filter(unexplained).collect()
}
