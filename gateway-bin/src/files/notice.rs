//! What is to be read again, and when.
//!
//! In: what the system saw happen to names, one at a time. Out: batches, each one transaction: what arrives within 5 ms of its
//! first. A file counts when its writer closed it or it was moved into place; a write alone does not. A name that vanishes waits a
//! moment, since many editors take a file away before they put the new one in its place. Keeps no clock: the time is an argument.
//!
//! Invariants: every name that changed for good is in a batch; no file is in one while its writer has it open.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::scan::{Scan, is_hidden, is_manifest};

/// Something that happened to a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sighting {
    /// Its writer closed it, or it was moved here.
    Settled(PathBuf),
    /// It is new: a plain file that is about to be written, or something complete (a link, a folder).
    Appeared { path: PathBuf, is_complete: bool },
    /// It was written to.
    Written(PathBuf),
    /// It is gone.
    Gone(PathBuf),
    /// It was moved, both names being watched.
    Moved { from: PathBuf, to: PathBuf },
    /// Some sightings were lost: anything may have happened.
    Lost,
}

/// What is to be read in one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Batch {
    /// Whether to look everywhere.
    pub(crate) all: bool,
    /// These in any case.
    pub(crate) files: BTreeSet<PathBuf>,
    /// These not, wherever it is looked.
    pub(crate) unfinished: BTreeSet<PathBuf>,
}

/// What was noticed and is not yet in a batch.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    all: bool,
    files: BTreeSet<PathBuf>,
    /// Since when a batch is gathered.
    since: Option<Instant>,
    /// Names that vanished, with the time at which they count as gone.
    vanished: BTreeMap<PathBuf, Instant>,
    /// Files that somebody has open for writing.
    open: BTreeSet<PathBuf>,
}

/// What a name means to us.
enum Meaning {
    /// A manifest, by the path it is known by.
    Manifest(PathBuf),
    /// Part of the ways that lead to manifests.
    Way,
    /// Nothing.
    Nothing,
}

impl Notices {
    /// Takes in one sighting.
    pub(crate) fn note(&mut self, sighting: Sighting, scan: &Scan, now: Instant) {
        match sighting {
            Sighting::Lost => self.everything(now),
            Sighting::Settled(path) => match meaning(&path, scan) {
                Meaning::Manifest(file) => self.file(file, now),
                Meaning::Way => self.everything(now),
                Meaning::Nothing => {}
            },
            Sighting::Appeared { path, is_complete } => match meaning(&path, scan) {
                Meaning::Manifest(file) if !is_complete => drop(self.open.insert(file)),
                Meaning::Manifest(_) => self.everything(now),
                Meaning::Way if is_complete => self.everything(now),
                Meaning::Way | Meaning::Nothing => {}
            },
            Sighting::Written(path) => {
                if let Meaning::Manifest(file) = meaning(&path, scan) {
                    self.open.insert(file);
                }
            }
            Sighting::Gone(path) => match meaning(&path, scan) {
                Meaning::Manifest(file) => {
                    self.open.remove(&file);
                    self.files.remove(&file);
                    self.vanished.insert(file, now + PATIENCE);
                }
                Meaning::Way => self.everything(now),
                Meaning::Nothing => {}
            },
            Sighting::Moved { from, to } => {
                if let (Meaning::Manifest(from), Meaning::Manifest(_)) = (meaning(&from, scan), meaning(&to, scan)) {
                    self.file(from, now);
                }
            }
        }
    }

    /// When the next batch will be due.
    pub(crate) fn due_at(&self) -> Option<Instant> {
        let gathered = self.since.map(|since| since + TOGETHER);
        self.vanished.values().copied().chain(gathered).min()
    }

    /// The next batch, if it is due.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Batch> {
        if self.due_at().is_none_or(|due| due > now) {
            return None;
        }
        self.since = None;
        let mut files = std::mem::take(&mut self.files);
        self.vanished.retain(|file, due| {
            let waits = *due > now;
            // A new one that is being written counts when it is closed.
            if !waits && !self.open.contains(file) {
                files.insert(file.clone());
            }
            waits
        });
        let unfinished = self.open.iter().chain(self.vanished.keys()).cloned().collect();
        let batch = Batch { all: std::mem::take(&mut self.all), files, unfinished };
        (batch.all || !batch.files.is_empty()).then_some(batch)
    }

    fn file(&mut self, file: PathBuf, now: Instant) {
        self.open.remove(&file);
        self.vanished.remove(&file);
        self.files.insert(file);
        self.since.get_or_insert(now);
    }

    fn everything(&mut self, now: Instant) {
        self.all = true;
        self.since.get_or_insert(now);
    }
}

fn meaning(path: &Path, scan: &Scan) -> Meaning {
    if let Some(given) = scan.names.get(path) {
        return given.clone().map_or(Meaning::Way, Meaning::Manifest);
    }
    if scan.folders.contains_key(path) {
        return Meaning::Way;
    }
    let (Some(name), Some(folder)) = (path.file_name(), path.parent().and_then(|folder| scan.folders.get(folder))) else {
        return Meaning::Nothing;
    };
    if scan.has_links {
        return Meaning::Way;
    }
    match (is_manifest(name), is_hidden(name)) {
        (true, _) if path.is_dir() => Meaning::Way,
        (true, _) => Meaning::Manifest(folder.join(name)),
        (false, true) => Meaning::Nothing,
        (false, false) if path.is_dir() || path.is_symlink() => Meaning::Way,
        (false, false) => Meaning::Nothing,
    }
}

/// What arrives within this time of the first is one transaction.
const TOGETHER: Duration = Duration::from_millis(5);

/// How long a name must be gone before what it held is.
const PATIENCE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Scan {
        let mut scan = Scan::default();
        scan.folders.insert("/real".into(), "conf".into());
        scan.names.insert("/else/one.txt".into(), Some("one.txt".into()));
        scan
    }

    fn after(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    fn files(names: &[&str]) -> BTreeSet<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn what_arrives_within_five_milliseconds_is_one_batch() {
        let (scan, start, mut notices) = (place(), Instant::now(), Notices::default());
        notices.note(Sighting::Settled("/real/a.yaml".into()), &scan, start);
        notices.note(Sighting::Settled("/else/one.txt".into()), &scan, after(start, 4));
        notices.note(Sighting::Settled("/real/README.md".into()), &scan, after(start, 4));
        assert_eq!(notices.take(after(start, 4)), None);
        let batch = notices.take(after(start, 5)).unwrap();
        assert_eq!((batch.all, batch.files), (false, files(&["conf/a.yaml", "one.txt"])));
        assert_eq!(notices.due_at(), None);
    }

    #[test]
    fn a_write_counts_when_it_is_closed() {
        let (scan, start, mut notices) = (place(), Instant::now(), Notices::default());
        notices.note(Sighting::Appeared { path: "/real/a.yaml".into(), is_complete: false }, &scan, start);
        notices.note(Sighting::Written("/real/b.yaml".into()), &scan, start);
        assert_eq!(notices.due_at(), None);
        notices.note(Sighting::Lost, &scan, start);
        let batch = notices.take(after(start, 5)).unwrap();
        assert_eq!((batch.all, batch.unfinished), (true, files(&["conf/a.yaml", "conf/b.yaml"])));
        notices.note(Sighting::Settled("/real/a.yaml".into()), &scan, after(start, 6));
        let batch = notices.take(after(start, 11)).unwrap();
        assert_eq!((batch.files, batch.unfinished), (files(&["conf/a.yaml"]), files(&["conf/b.yaml"])));
    }

    #[test]
    fn a_name_that_vanishes_for_a_moment_is_not_gone() {
        let (scan, start, mut notices) = (place(), Instant::now(), Notices::default());
        notices.note(Sighting::Gone("/real/a.yaml".into()), &scan, start);
        notices.note(Sighting::Gone("/real/b.yaml".into()), &scan, start);
        notices.note(Sighting::Gone("/real/c.yaml".into()), &scan, start);
        notices.note(Sighting::Settled("/real/a.yaml".into()), &scan, after(start, 20));
        notices.note(Sighting::Appeared { path: "/real/c.yaml".into(), is_complete: false }, &scan, after(start, 20));
        let batch = notices.take(after(start, 25)).unwrap();
        assert_eq!((batch.files, batch.unfinished), (files(&["conf/a.yaml"]), files(&["conf/b.yaml", "conf/c.yaml"])));
        let batch = notices.take(after(start, 100)).unwrap();
        assert_eq!(batch.files, files(&["conf/b.yaml"]));
        assert_eq!(notices.take(after(start, 200)), None, "the third is being written");
    }

    #[test]
    fn a_manifest_moved_to_another_name_is_gone_at_once() {
        let (scan, start, mut notices) = (place(), Instant::now(), Notices::default());
        notices.note(Sighting::Gone("/real/a.yaml".into()), &scan, start);
        notices.note(Sighting::Settled("/real/b.yaml".into()), &scan, start);
        notices.note(Sighting::Moved { from: "/real/a.yaml".into(), to: "/real/b.yaml".into() }, &scan, start);
        assert_eq!(notices.take(after(start, 5)).unwrap().files, files(&["conf/a.yaml", "conf/b.yaml"]));
        notices.note(Sighting::Gone("/real/b.yaml".into()), &scan, start);
        notices.note(Sighting::Moved { from: "/real/b.yaml".into(), to: "/real/b.yaml~".into() }, &scan, start);
        assert_eq!(notices.take(after(start, 5)), None, "an editor's backup: the new one is to come");
    }

    #[test]
    fn where_links_are_any_name_may_matter() {
        let (mut scan, start, mut notices) = (place(), Instant::now(), Notices::default());
        notices.note(Sighting::Settled("/real/..data".into()), &scan, start);
        assert_eq!(notices.due_at(), None);
        scan.has_links = true;
        notices.note(Sighting::Settled("/real/..data".into()), &scan, start);
        assert!(notices.take(after(start, 5)).unwrap().all);
        notices.note(Sighting::Gone("/real".into()), &scan, start);
        assert!(notices.take(after(start, 5)).unwrap().all);
    }
}
