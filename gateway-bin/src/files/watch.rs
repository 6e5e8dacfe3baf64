//! The system's file events, as sightings.
//!
//! In: folders to watch. Out: one `Sighting` for each event that may matter, given to a function that must not wait. Folders are
//! watched one by one and by their real path; which ones, the scan knows.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RenameMode};
use notify::{Config, ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::notice::Sighting;

/// Watches folders.
#[derive(Debug)]
pub(crate) struct Watch(RecommendedWatcher);

impl Watch {
    /// Gives every sighting to `tell`.
    pub(crate) fn new(tell: impl Fn(Sighting) + Send + 'static) -> anyhow::Result<Self> {
        let told = move |event: notify::Result<Event>| match event {
            Ok(event) if event.need_rescan() => tell(Sighting::Lost),
            Ok(event) => sightings(event).into_iter().for_each(&tell),
            Err(_) => tell(Sighting::Lost),
        };
        let watcher = RecommendedWatcher::new(told, Config::default().with_follow_symlinks(false));
        watcher.map(Self).context("cannot watch for changes of files; --poll looks for them instead")
    }

    /// Watches a folder, once more if it is watched already: the name may mean another folder now.
    pub(crate) fn add(&mut self, folder: &Path) -> anyhow::Result<()> {
        match self.0.watch(folder, RecursiveMode::NonRecursive) {
            // Whoever reads the folder finds that out as well, and tells it.
            Err(err) if is_unreachable(&err.kind) => Ok(()),
            added => added.with_context(|| format!("cannot watch {}", folder.display())),
        }
    }
}

fn is_unreachable(kind: &ErrorKind) -> bool {
    match kind {
        ErrorKind::PathNotFound => true,
        ErrorKind::Io(err) => matches!(err.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied),
        ErrorKind::Generic(_) | ErrorKind::WatchNotFound | ErrorKind::InvalidConfig(_) | ErrorKind::MaxFilesWatch => false,
    }
}

fn sightings(event: Event) -> Vec<Sighting> {
    let mut paths = event.paths.into_iter();
    let Some(path) = paths.next() else { return Vec::new() };
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => vec![Sighting::Settled(path)],
        EventKind::Modify(ModifyKind::Name(RenameMode::From)) | EventKind::Remove(_) => vec![Sighting::Gone(path)],
        EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => {
            paths.next().map(|to| Sighting::Moved { from: path, to }).into_iter().collect()
        }
        EventKind::Modify(ModifyKind::Name(_)) => vec![Sighting::Settled(path)],
        EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Any) if TELLS_OF_CLOSING => vec![Sighting::Written(path)],
        EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Any) => vec![Sighting::Settled(path)],
        EventKind::Create(kind) => {
            let is_complete = kind == CreateKind::Folder || is_complete(&path) || !TELLS_OF_CLOSING;
            vec![Sighting::Appeared { path, is_complete }]
        }
        EventKind::Any | EventKind::Access(_) | EventKind::Modify(_) | EventKind::Other => Vec::new(),
    }
}

/// Whether what appeared will not be closed after a write: a link of either sort, or a folder.
fn is_complete(path: &PathBuf) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| !found.is_file() || links(&found) > 1)
}

#[cfg(unix)]
fn links(found: &fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt;
    found.nlink()
}

#[cfg(not(unix))]
fn links(_: &fs::Metadata) -> u64 {
    1
}

/// Whether the system tells when a writer closes a file. Elsewhere each write counts.
const TELLS_OF_CLOSING: bool = cfg!(any(target_os = "linux", target_os = "android"));
