//! The configuration kept on (memory-backed) storage, so that a restarted proxy serves before it found its controller.
//!
//! In: objects put and removed. Out: all that were kept, at the next start. One file an object, named by a hash of its key; a mark says
//! that a step was not written wholly. Once one was not, the mark stays: what it lacked is not written again.
//!
//! Invariants: what is loaded is either a whole step's outcome, or is marked as none.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};

use crate::wire::Put;

/// Where objects are kept; nowhere without a folder.
#[derive(Debug)]
pub(super) struct Keep {
    folder: Option<PathBuf>,
    /// What was found at the start.
    found: Vec<Put>,
    is_whole: bool,
    /// Whether all that was there before is in the folder too: not once a step could not be written.
    is_complete: bool,
}

impl Keep {
    /// Loads what is kept in a folder.
    pub(super) fn open(folder: Option<&Path>) -> io::Result<Self> {
        let Some(folder) = folder else { return Ok(Self { folder: None, found: Vec::new(), is_whole: true, is_complete: true }) };
        fs::create_dir_all(folder)?;
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "object")
                && let Some(put) = decode(&fs::read(&path)?)
            {
                found.insert(put.key.clone(), put);
            }
        }
        let is_whole = !folder.join(UNFINISHED).exists();
        let found = found.into_values().collect();
        Ok(Self { folder: Some(folder.to_owned()), found, is_whole, is_complete: true })
    }

    /// What was kept, and whether it is the outcome of a whole step.
    pub(super) fn take(&mut self) -> (Vec<Put>, bool) {
        (std::mem::take(&mut self.found), self.is_whole)
    }

    /// Keeps what a step brought. A failure costs the next start its head start, and nothing else.
    pub(super) fn step(&mut self, puts: &[Put], removed: &[String]) {
        let Some(folder) = &self.folder else { return };
        let written = write(folder, puts, removed);
        let written = written.and_then(|()| if self.is_complete { fs::remove_file(folder.join(UNFINISHED)) } else { Ok(()) });
        if let Err(err) = written {
            tracing::warn!(folder = %folder.display(), "the configuration cannot be kept: {err}");
            self.is_complete = false;
        }
    }
}

fn write(folder: &Path, puts: &[Put], removed: &[String]) -> io::Result<()> {
    fs::write(folder.join(UNFINISHED), "")?;
    for put in puts {
        // A reader finds the former file or the new one, whole.
        let (path, draft) = (path(folder, &put.key), folder.join("draft"));
        fs::write(&draft, encode(put))?;
        fs::rename(draft, path)?;
    }
    for key in removed {
        match fs::remove_file(path(folder, key)) {
            Err(err) if err.kind() != io::ErrorKind::NotFound => return Err(err),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn path(folder: &Path, key: &str) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    folder.join(format!("{:016x}.object", hasher.finish()))
}

/// Key, version and object, a line each.
fn encode(put: &Put) -> Vec<u8> {
    let mut bytes = format!("{}\n{}\n", put.key, put.version).into_bytes();
    bytes.extend_from_slice(&put.object);
    bytes
}

fn decode(bytes: &[u8]) -> Option<Put> {
    let mut lines = bytes.splitn(3, |byte| *byte == b'\n');
    let (key, version, object) = (lines.next()?, lines.next()?, lines.next()?);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    Some(Put { key: text(key)?, version: text(version)?.parse().ok()?, object: object.to_vec() })
}

/// Stands while a step is written.
const UNFINISHED: &str = "unfinished";

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str, version: u64) -> Put {
        Put { key: key.into(), version, object: format!("{{\"of\":\n\"{key}\"}}").into_bytes() }
    }

    #[test]
    fn what_was_kept_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let found = || Keep::open(Some(folder.path())).unwrap().take();
        let mut keep = Keep::open(Some(folder.path())).unwrap();
        keep.step(&[put("|Secret|a/b", 7), put("g|Kind|a", 8)], &[]);
        assert_eq!(found(), (vec![put("g|Kind|a", 8), put("|Secret|a/b", 7)], true));
        keep.step(&[put("g|Kind|a", 9)], &["|Secret|a/b".into(), "|Secret|never/there".into()]);
        assert_eq!(found(), (vec![put("g|Kind|a", 9)], true));
    }

    #[test]
    fn a_step_that_could_not_be_written_is_not_forgotten_over_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let mut keep = Keep::open(Some(folder.path())).unwrap();
        // A folder where the draft is to be: nothing can be written.
        fs::create_dir(folder.path().join("draft")).unwrap();
        keep.step(&[put("g|Kind|a", 9)], &[]);
        fs::remove_dir(folder.path().join("draft")).unwrap();
        keep.step(&[put("g|Kind|b", 9)], &[]);
        assert!(!Keep::open(Some(folder.path())).unwrap().take().1);
    }

    #[test]
    fn half_a_step_is_marked_as_such() {
        let folder = tempfile::tempdir().unwrap();
        let mut keep = Keep::open(Some(folder.path())).unwrap();
        keep.step(&[put("g|Kind|a", 9)], &[]);
        fs::write(folder.path().join(UNFINISHED), "").unwrap();
        assert!(!Keep::open(Some(folder.path())).unwrap().take().1);
    }
}
