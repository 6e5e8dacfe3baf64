//! A folder of manifests like those of a Gateway API guide, judged one by one by what the program does with them.
//!
//! In: a folder whose files are numbered as the cases are. Out: one verdict per file, and one for all of them at once. Every
//! file is served as it stands, beside the folder's class and Gateway, and given what a guide leaves out: Namespaces, Services with
//! endpoints, Gateways that it names and never shows. What to ask, and what must come back, is read from the file's own objects.
//!
//! Invariants: a file is judged by a program of its own; nothing a file does can change the verdict on another.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::manifest::{Manifest, is_route, kind, list, name, parents, services, text};

mod cases;
mod scene;

use self::cases::CASES;
use self::scene::{Labels, Scene};

/// What came of one file.
#[derive(Debug)]
pub struct Verdict {
    /// The file's number.
    pub number: String,
    /// The rest of its name.
    pub title: String,
    /// What came of it.
    pub outcome: Outcome,
}

/// What can come of a file.
#[derive(Debug)]
pub enum Outcome {
    /// All that is expected holds.
    Holds,
    /// Something does not.
    Failed(String),
    /// It was not judged, for this reason.
    Skipped(&'static str),
}

impl Verdict {
    /// Whether something expected does not hold.
    pub fn is_failed(&self) -> bool {
        matches!(self.outcome, Outcome::Failed(_))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, title, outcome } = self;
        match outcome {
            Outcome::Holds => write!(f, "ok {number} {title}"),
            Outcome::Failed(why) => write!(f, "FAILED {number} {title}: {why}"),
            Outcome::Skipped(why) => write!(f, "skipped {number} {title}: {why}"),
        }
    }
}

/// The files of a guide.
#[derive(Debug)]
struct Guide {
    files: Vec<Manifest>,
}

impl Guide {
    /// The files that every other builds on: the class, and the first Gateway of it.
    fn base(&self) -> Vec<&Manifest> {
        let first = |wanted: &str| self.files.iter().find(|file| file.objects.iter().any(|object| kind(object) == wanted));
        [first("GatewayClass"), first("Gateway")].into_iter().flatten().collect()
    }

    /// The base, and this file after it.
    fn base_and<'a>(&'a self, file: &'a Manifest) -> Vec<&'a Manifest> {
        let mut files = self.base();
        if !files.iter().any(|other| other.file == file.file) {
            files.push(file);
        }
        files
    }
}

/// Judges every numbered file of a folder, then all of them together. An error means that nothing could be judged.
pub fn judge(folder: &Path) -> Result<Vec<Verdict>> {
    let guide = Guide { files: Manifest::all_in(folder)? };
    ensure!(guide.base().len() == 2, "{} has no GatewayClass and Gateway to build on", folder.display());
    let mut verdicts = Vec::new();
    for file in &guide.files {
        let (number, title) = file.file.trim_end_matches(".yaml").split_once('-').unwrap_or((&file.file, ""));
        let outcome = match CASES.iter().find(|(known, _)| *known == number) {
            Some((_, check)) => Outcome::of(check(&guide, file)),
            None => Outcome::Skipped("no case has this number"),
        };
        verdicts.push(Verdict { number: number.into(), title: title.into(), outcome });
    }
    verdicts.push(Verdict { number: "all".into(), title: "together".into(), outcome: Outcome::of(together(&guide)) });
    Ok(verdicts)
}

impl Outcome {
    fn of(result: Result<()>) -> Self {
        match result {
            Ok(()) => Self::Holds,
            Err(error) => Self::Failed(format!("{error:#}")),
        }
    }
}

/// The whole folder as it stands, given what it lacks, each Gateway on an address of its own: every Gateway serves, and so does every
/// route that a listener admits; the others are told that none does.
fn together(guide: &Guide) -> Result<()> {
    let files = guide.files.iter().collect();
    let scene = Scene::of(files).labelled(Labels::AsSelected).with_missing_gateways().with_secrets().start()?;
    let routes = || guide.files.iter().flat_map(|file| &file.objects).filter(|object| is_route(object));
    let mut served = 0;
    let statuses = scene.running.statuses()?;
    for object in guide.files.iter().flat_map(|file| &file.objects) {
        let full = name(object);
        if kind(object) == "Gateway" {
            let answer = scene.get(&full, "nobody.example", "/nothing/here")?;
            ensure!(answer.status == 404, "Gateway {full} answered {} where no route is", answer.status);
        } else if is_route(object) {
            let said = statuses.of(kind(object), &full).with_context(|| format!("nothing is said of {} {full}", kind(object)))?;
            let accepted = list(said, "/parents/0/conditions").iter().find(|condition| text(condition, "/type") == "Accepted");
            match accepted.map(|condition| text(condition, "/reason")) {
                // Several match the same requests at one Gateway; which of them goes first is judged file by file.
                Some("Accepted") => {
                    let rivals = routes().filter(|other| kind(other) == kind(object) && parents(other) == parents(object));
                    cases::expect_served(&scene, object, &rivals.flat_map(services).collect())?;
                    served += 1;
                }
                Some("NotAllowedByListeners") => {}
                _ => bail!("{} {full} is neither accepted nor refused: {said}", kind(object)),
            }
        }
    }
    ensure!(served * 2 > routes().count(), "only {served} of {} routes are served", routes().count());
    let alive = scene.running.admin("/healthz").context("after all were asked");
    alive.map(drop)
}
