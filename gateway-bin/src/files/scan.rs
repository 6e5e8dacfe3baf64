//! Which files and folders the given paths mean.
//!
//! In: paths. Out: every manifest below them with a signature that changes when its content may have, every folder that was read
//! (to be watched), and what could not be read. Hidden names and names that are no manifest's are left out. A folder is read once,
//! however many links lead to it.
//!
//! Invariants: ends on any tree, links that lead back included; one unreadable name hides no other.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use super::problem::{Problem, Severity};

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// The manifests.
    pub(crate) files: BTreeMap<PathBuf, Signature>,
    /// Folders that were read, by their real path, and the path each was reached by.
    pub(crate) folders: BTreeMap<PathBuf, PathBuf>,
    /// Single names whose change matters, by their real path: given paths, links on the way, what links lead to. A plain file
    /// that was given has the path it was given by.
    pub(crate) names: BTreeMap<PathBuf, Option<PathBuf>>,
    /// Whether any name was a symbolic link: then a change at one place may show at another.
    pub(crate) has_links: bool,
    /// Given paths that are not there.
    pub(crate) missing: BTreeSet<PathBuf>,
    /// What could not be read.
    pub(crate) problems: Vec<Problem>,
    seen: HashSet<(u64, u64)>,
}

/// Changes when a file's content may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signature {
    /// Whether the file can be read more than once: a pipe cannot.
    pub(crate) is_lasting: bool,
    identity: (u64, u64),
    size: u64,
    modified: Option<SystemTime>,
}

/// Finds all that the paths mean, and files `beside` them that are no manifests. `watch` is called for each folder before it is read,
/// so that no change falls in between.
pub(crate) fn scan<'p>(paths: &[PathBuf], beside: impl Iterator<Item = &'p PathBuf>, mut watch: impl FnMut(&Path)) -> Scan {
    let mut scan = Scan::default();
    for path in paths.iter().filter(|path| path.as_os_str() != "-") {
        scan.root(&tidy(path), &mut watch);
    }
    for path in beside {
        scan.surroundings(path, &mut watch);
        // Whoever reads it says what is wrong with it.
        if let Ok(found) = fs::metadata(path)
            && !found.is_dir()
        {
            scan.files.insert(path.clone(), signature(&found));
        }
    }
    scan
}

/// Whether a name is that of a manifest.
pub(crate) fn is_manifest(name: &OsStr) -> bool {
    let extension = Path::new(name).extension().and_then(OsStr::to_str);
    !is_hidden(name) && matches!(extension, Some("yaml" | "yml" | "json"))
}

/// Whether a name is hidden, as the lock and swap files of editors and the generations of mounted ConfigMaps are.
pub(crate) fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().first() == Some(&b'.')
}

/// What may change a file's signature.
pub(crate) fn signature(found: &Metadata) -> Signature {
    Signature { is_lasting: found.is_file(), identity: identity(found), size: found.len(), modified: found.modified().ok() }
}

impl Scan {
    fn root(&mut self, path: &Path, watch: &mut impl FnMut(&Path)) {
        self.surroundings(path, watch);
        let found = match fs::metadata(path) {
            Ok(found) => found,
            Err(err) => {
                if err.kind() == io::ErrorKind::NotFound {
                    self.missing.insert(path.to_owned());
                }
                return self.fail(path, reason(&err));
            }
        };
        if !found.is_dir() {
            self.files.insert(path.to_owned(), signature(&found));
            return;
        }
        let before = (self.files.len(), self.problems.len());
        self.folder(path, &found, &mut Vec::new(), watch);
        if before == (self.files.len(), self.problems.len()) {
            let reason = "the folder holds no manifests (*.yaml, *.yml, *.json)";
            self.problems.push(Problem::of_file(path, Severity::Warning, reason));
        }
    }

    /// A given path may be replaced or appear: its name is watched, or that of the first folder on the way that is missing.
    fn surroundings(&mut self, path: &Path, watch: &mut impl FnMut(&Path)) {
        let Ok(absolute) = std::path::absolute(path) else { return };
        let mut name = absolute.as_path();
        while let Some(above) = name.parent().filter(|above| !above.is_dir()) {
            name = above;
        }
        let given = (name == absolute && absolute.is_file()).then(|| path.to_owned());
        self.name(name, given, watch);
        self.links(absolute, watch);
    }

    /// Watches every link on the way from a path to what it means, and the end.
    fn links(&mut self, mut path: PathBuf, watch: &mut impl FnMut(&Path)) {
        for _ in 0..MOST_LINKS {
            let Some(link) = path.ancestors().find(|part| part.is_symlink()).map(Path::to_owned) else { return };
            let (Ok(target), Some(holder)) = (fs::read_link(&link), link.parent()) else { return };
            self.has_links = true;
            self.name(&link, None, watch);
            path = holder.join(target).join(path.strip_prefix(&link).unwrap_or_else(|_| Path::new("")));
            self.name(&path, None, watch);
        }
    }

    fn name(&mut self, path: &Path, given: Option<PathBuf>, watch: &mut impl FnMut(&Path)) {
        let (Some(holder), Some(name)) = (path.parent(), path.file_name()) else { return };
        let Ok(holder) = fs::canonicalize(holder) else { return };
        watch(&holder);
        let known = self.names.entry(holder.join(name)).or_insert_with(|| given.clone());
        if given.is_none() {
            *known = None;
        }
    }

    fn folder(&mut self, path: &Path, found: &Metadata, above: &mut Vec<(u64, u64)>, watch: &mut impl FnMut(&Path)) {
        let own = identity(found);
        if above.contains(&own) {
            return self.fail(path, "the link leads back to a folder above it; it is not followed".into());
        }
        if above.len() >= DEEPEST {
            return self.fail(path, format!("folders nest deeper than {DEEPEST}"));
        }
        if !self.seen.insert(own) {
            return;
        }
        if let Ok(real) = fs::canonicalize(path) {
            watch(&real);
            self.folders.insert(real, path.to_owned());
        }
        let names = match fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>) {
            Ok(names) => names,
            Err(err) => return self.fail(path, reason(&err)),
        };
        let mut names: Vec<_> = names.into_iter().map(|entry| entry.file_name()).filter(|name| !is_hidden(name)).collect();
        names.sort();
        above.push(own);
        for name in names {
            self.entry(&path.join(&name), is_manifest(&name), above, watch);
        }
        above.pop();
    }

    fn entry(&mut self, path: &Path, is_manifest: bool, above: &mut Vec<(u64, u64)>, watch: &mut impl FnMut(&Path)) {
        let found = match fs::symlink_metadata(path) {
            Ok(found) if found.is_symlink() => {
                self.has_links = true;
                self.links(std::path::absolute(path).unwrap_or_else(|_| path.to_owned()), watch);
                fs::metadata(path)
            }
            found => found,
        };
        match found {
            Ok(found) if found.is_dir() => self.folder(path, &found, above, watch),
            Ok(found) if is_manifest && found.is_file() => {
                self.files.insert(path.to_owned(), signature(&found));
            }
            Ok(_) if is_manifest => self.fail(path, "not a regular file".into()),
            Ok(_) => {}
            // Gone since the folder was read.
            Err(err) if err.kind() == io::ErrorKind::NotFound && !path.is_symlink() => {}
            Err(err) if is_manifest => self.fail(path, reason(&err)),
            Err(_) => {}
        }
    }

    fn fail(&mut self, path: &Path, reason: String) {
        self.problems.push(Problem::of_file(path, Severity::Error, reason));
    }
}

/// How deep folders may nest.
const DEEPEST: usize = 64;

/// How many links one path may lead through; systems allow 40.
const MOST_LINKS: usize = 40;

/// The system's reason in plain words.
pub(crate) fn reason(err: &io::Error) -> String {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the system's own words serve for all others, those to come included")]
    match err.kind() {
        io::ErrorKind::NotFound => "no such file or folder".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::InvalidData => "not UTF-8 text".into(),
        _ if err.raw_os_error() == Some(TOO_MANY_LINKS) => "symbolic links lead in a circle".into(),
        _ => err.to_string(),
    }
}

/// `ELOOP`.
const TOO_MANY_LINKS: i32 = if cfg!(target_os = "linux") { 40 } else { 62 };

#[cfg(unix)]
fn identity(found: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (found.dev(), found.ino())
}

/// Without inode numbers two folders may pass for one when made at the same instant, and no link is told apart.
#[cfg(not(unix))]
fn identity(found: &Metadata) -> (u64, u64) {
    let made = found.created().ok().and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    (0, made.map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)))
}

/// The path without `.` and doubled slashes, so that one file has one name.
pub(crate) fn tidy(path: &Path) -> PathBuf {
    let tidy: PathBuf = path.components().filter(|part| *part != Component::CurDir).collect();
    if tidy.as_os_str().is_empty() { PathBuf::from(".") } else { tidy }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(scan: &Scan, root: &Path) -> Vec<String> {
        scan.files.keys().map(|path| path.strip_prefix(root).unwrap_or(path).display().to_string()).collect()
    }

    #[test]
    fn manifests_are_found_and_all_else_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("b/x.yaml")).unwrap();
        fs::create_dir_all(root.join(".git")).unwrap();
        for name in [
            "z.yml",
            "a.yaml",
            "b/c.json",
            "b/x.yaml/in.yaml",
            ".a.yaml.swp",
            ".hidden.yaml",
            ".git/d.yaml",
            "a.yaml~",
            "4913",
            "README.md",
        ] {
            fs::write(root.join(name), "").unwrap();
        }
        let mut watched = 0;
        let scan = scan(&[root.to_owned()], std::iter::empty(), |_| watched += 1);
        assert_eq!(names(&scan, root), ["a.yaml", "b/c.json", "b/x.yaml/in.yaml", "z.yml"]);
        assert_eq!(scan.problems, []);
        assert_eq!(scan.folders.len(), 3);
        assert_eq!(watched, 4, "the folder above the root too");
        assert!(!scan.has_links);
    }

    #[test]
    fn links_are_followed_but_not_back() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("real/sub")).unwrap();
        fs::write(root.join("real/a.yaml"), "").unwrap();
        symlink(root, root.join("real/sub/loop")).unwrap();
        symlink("self.yaml", root.join("self.yaml")).unwrap();
        symlink("nowhere", root.join("gone.yaml")).unwrap();
        symlink("real/a.yaml", root.join("link.yaml")).unwrap();
        let scan = scan(&[root.to_owned()], std::iter::empty(), |_| ());
        assert_eq!(names(&scan, root), ["link.yaml", "real/a.yaml"]);
        let mut reasons: Vec<_> = scan
            .problems
            .iter()
            .map(|problem| (problem.file.strip_prefix(root).unwrap().display().to_string(), &*problem.reason))
            .collect();
        reasons.sort();
        let expected = [
            ("gone.yaml".to_owned(), "no such file or folder"),
            ("real/sub/loop".to_owned(), "the link leads back to a folder above it; it is not followed"),
            ("self.yaml".to_owned(), "symbolic links lead in a circle"),
        ];
        assert_eq!(reasons, expected);
        assert!(scan.has_links);
    }

    #[test]
    fn what_is_missing_or_empty_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (missing, file) = (folder.path().join("none/at/all.yaml"), folder.path().join("odd.txt"));
        fs::write(&file, "").unwrap();
        let empty = folder.path().join("empty");
        fs::create_dir(&empty).unwrap();
        let scan = scan(&[missing.clone(), empty, file.clone(), PathBuf::from("-")], std::iter::empty(), |_| ());
        let reasons: Vec<_> = scan.problems.iter().map(|problem| &*problem.reason).collect();
        assert_eq!(reasons, ["no such file or folder", "the folder holds no manifests (*.yaml, *.yml, *.json)"]);
        assert_eq!(scan.missing, BTreeSet::from([missing]));
        assert!(scan.files.contains_key(&file), "a file given by name is read whatever its name");
        let real = fs::canonicalize(folder.path()).unwrap();
        assert_eq!(scan.names.get(&real.join("none")), Some(&None), "the missing one is seen to come");
        assert_eq!(scan.names.get(&real.join("odd.txt")), Some(&Some(file)));
    }
}
