//! Manifests on disk as changes.
//!
//! In: paths, and word that some of them changed. Out: the changes that lead from what was in force to what the files say now, and
//! every problem with its place. One file is read again without looking at the others, so a folder of thousands costs no more
//! than one. Judges no object: what is valid is core's to say, what it means the compiler's.
//!
//! Invariants: **what is wrong with one document, file or folder harms nothing beside it**; a relist yields only what differs.

mod backends;
mod ledger;
pub(crate) mod notice;
mod parse;
pub(crate) mod problem;
mod scan;
mod secrets;
mod selected;
mod split;
pub(crate) mod watch;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gateway_core::compile::Change;
use gateway_core::name::{GroupKind, Kind, ObjectId, ObjectName};
use gateway_core::resource::{self, Object, Reader, Reading, Service};
use serde_json::Value;

use crate::args::{Backend, SecretFiles};
use backends::Backends;
use ledger::{Claim, Ledger, Statement};
use parse::{Format, Parsed, locate, parse};
use problem::{Problem, Severity};
use scan::{Scan, Signature, scan, tidy};
use secrets::Secrets;
use selected::selected;

/// The manifests that were asked for.
#[derive(Debug)]
pub(crate) struct Files {
    paths: Vec<PathBuf>,
    reader: Reader,
    backends: Backends,
    secrets: Secrets,
    ledger: Ledger,
    scan: Scan,
    /// Problems of flags, not of files.
    outer: Vec<Problem>,
    /// Whether any XBackend selects anything.
    is_selecting: bool,
    /// Whether anything was read since it was last asked.
    is_changed: bool,
}

impl Files {
    /// Nothing is read yet.
    pub(crate) fn new(paths: &[PathBuf], reader: Reader, backends: &[Backend], secrets: &[SecretFiles]) -> Self {
        Self {
            paths: paths.iter().map(|path| tidy(path)).collect(),
            reader,
            backends: Backends::new(backends),
            secrets: Secrets::new(secrets),
            ledger: Ledger::default(),
            scan: Scan::default(),
            outer: Vec::new(),
            is_selecting: false,
            is_changed: false,
        }
    }

    /// Reads standard input to its end, if it was asked for.
    pub(crate) fn read_stdin(&mut self) {
        let stdin = Path::new("-");
        if self.paths.iter().any(|path| path == stdin) {
            match read_bounded(io::stdin().lock()) {
                Ok(text) => self.put(stdin, &text),
                Err(reason) => self.ledger.keep(stdin, Problem::of_file(stdin, Severity::Error, reason)),
            }
        }
    }

    /// Looks everywhere, and reads the files that are new or look different; with `again` all of them. `watch` is told of every
    /// folder before it is read. Files in `unfinished` are left as they are.
    pub(crate) fn read_all(&mut self, again: bool, unfinished: &BTreeSet<PathBuf>, watch: impl FnMut(&Path)) -> Vec<Change> {
        let scan = scan(&self.paths, self.secrets.paths(), watch);
        let old = std::mem::replace(&mut self.scan, scan);
        let gone: Vec<_> = old.files.keys().filter(|path| !self.scan.files.contains_key(*path)).cloned().collect();
        for path in gone.iter().filter(|path| !unfinished.contains(*path)) {
            self.forget(path);
        }
        let changed = |(path, signature): &(&PathBuf, &Signature)| match old.files.get(*path) {
            Some(former) if former.is_lasting => again || former != *signature,
            Some(_) => false,
            None => true,
        };
        let files: Vec<_> = self.scan.files.iter().filter(changed).map(|(path, _)| path.clone()).collect();
        for path in files.iter().filter(|path| !unfinished.contains(*path)) {
            self.read_file(path);
        }
        self.settle()
    }

    /// Reads these files again, whether they are new, different or gone.
    pub(crate) fn read_some(&mut self, paths: &BTreeSet<PathBuf>) -> Vec<Change> {
        for path in paths {
            match std::fs::metadata(path) {
                Ok(found) if !found.is_file() => {}
                Ok(found) => {
                    self.scan.files.insert(path.clone(), scan::signature(&found));
                    self.scan.problems.retain(|problem| *problem.file != **path);
                    self.read_file(path);
                }
                Err(err) if err.kind() == io::ErrorKind::NotFound => {
                    self.scan.files.remove(path);
                    self.forget(path);
                }
                Err(_) if self.secrets.touch(path) => {}
                Err(err) => self.ledger.keep(path, Problem::of_file(path, Severity::Error, scan::reason(&err))),
            }
        }
        self.settle()
    }

    /// What was found when it was last looked everywhere.
    pub(crate) fn scan(&self) -> &Scan {
        &self.scan
    }

    /// Whether none of the given paths is there.
    pub(crate) fn is_all_missing(&self) -> bool {
        self.paths.iter().all(|path| self.scan.missing.contains(path))
    }

    /// What is in force.
    pub(crate) fn in_force(&self) -> &HashMap<ObjectId, Object> {
        self.ledger.in_force()
    }

    /// All that is wrong now, by file and line.
    pub(crate) fn problems(&self) -> BTreeSet<Problem> {
        self.scan.problems.iter().chain(&self.outer).chain(self.ledger.problems()).cloned().collect()
    }

    /// How many objects of kinds that are not read here were passed over.
    pub(crate) fn foreign(&self) -> BTreeMap<&GroupKind, usize> {
        self.ledger.foreign()
    }

    fn forget(&mut self, path: &Path) {
        if !self.secrets.touch(path) {
            self.ledger.remove(path);
        }
    }

    fn read_file(&mut self, path: &Path) {
        if self.secrets.touch(path) {
            return;
        }
        let read = File::open(path).map_err(|err| scan::reason(&err)).and_then(read_bounded);
        match read {
            Ok(text) => self.put(path, &text),
            Err(reason) => self.ledger.keep(path, Problem::of_file(path, Severity::Error, reason)),
        }
    }

    fn put(&mut self, path: &Path, text: &str) {
        let format = match path.extension().and_then(OsStr::to_str) {
            Some("json") => Format::Json,
            Some(_) => Format::Yaml,
            None if text.trim_start().starts_with('{') => Format::Json,
            None => Format::Yaml,
        };
        let file: Arc<Path> = path.into();
        let statements = parse(text, format).into_iter().map(|parsed| state(&file, parsed, &self.reader)).collect();
        self.ledger.put(path, statements);
    }

    /// The objects that came into force since this was last asked.
    pub(crate) fn take_fresh(&mut self) -> BTreeSet<ObjectId> {
        self.ledger.take_fresh()
    }

    /// Whether anything was read since it was last asked: then problems may be others.
    pub(crate) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.is_changed)
    }

    fn settle(&mut self) -> Vec<Change> {
        self.is_changed = true;
        for flag in self.secrets.take_stale() {
            let place = secrets::place(&flag.name);
            match secrets::read(&flag, &self.reader) {
                Ok(object) => {
                    let statement = Statement { at: (1, 1), claim: Claim::Object(object), problems: Vec::new() };
                    self.ledger.put(&place, vec![statement]);
                }
                Err(problem) => self.ledger.keep(&place, problem),
            }
        }
        let mut changes = self.ledger.settle();
        if self.backends.services().next().is_some() {
            self.put_backends();
            changes.append(&mut self.ledger.settle());
        }
        let copies = selected(self.ledger.in_force());
        if !copies.is_empty() || self.is_selecting {
            self.is_selecting = !copies.is_empty();
            let state = |copy| Claim::Object(Object::EndpointSlice(Arc::new(copy)));
            let statements = copies.into_values().map(|copy| Statement { at: (1, 1), claim: state(copy), problems: Vec::new() });
            self.ledger.put(Path::new(SELECTED), statements.collect());
            changes.append(&mut self.ledger.settle());
        }
        changes
    }

    /// What the flags stand for depends on the Services among the files.
    fn put_backends(&mut self) {
        let flag: Arc<Path> = Path::new(BACKEND_FLAG).into();
        // Their own Services must not pass for ones among the files.
        let service = |name: &ObjectName| -> Option<&Service> {
            let id = ObjectId::new(Kind::Service, name.clone());
            match self.ledger.in_force().get(&id).filter(|_| !self.ledger.is_claimed_only_by(&id, &flag)) {
                Some(Object::Service(service)) => Some(service),
                Some(_) | None => None,
            }
        };
        let manifests = self.backends.manifests(service);
        let astray = self.backends.astray(service);
        let statement = |value: Value| match resource::read(value, &self.reader) {
            Ok(Reading::Object { object, .. }) => {
                Some(Statement { at: (1, 1), claim: Claim::Object(object), problems: Vec::new() })
            }
            Ok(Reading::Foreign { .. }) | Err(_) => None,
        };
        let statements = manifests.into_iter().filter_map(statement).collect();
        self.ledger.put(&flag, statements);
        let told = astray.into_iter().map(|(name, port)| {
            Problem::of_file(
                Path::new("--backend"),
                Severity::Error,
                format!("Service {name} has no TCP port {port}; the flag has no effect"),
            )
        });
        self.outer = told.collect();
    }
}

/// What a document says, with its problems in place.
fn state(file: &Arc<Path>, parsed: Parsed<'_>, reader: &Reader) -> Statement {
    let Parsed { document, within, value } = parsed;
    let place = |path: &str| match (within.as_str(), path) {
        ("", path) => locate(document, path),
        (within, "") => locate(document, within),
        (within, path) => locate(document, &format!("{within}.{path}")),
    };
    let tell = |severity, object: String, path: String, reason| Problem {
        file: Arc::clone(file),
        at: Some(place(&path)),
        severity,
        object: Some(object),
        field: Some(path).filter(|path| !path.is_empty()),
        reason,
    };
    let at = if within.is_empty() { (document.line, 1) } else { place("") };
    let value = match value {
        Ok(value) => value,
        Err(syntax) => {
            let at = (syntax.line, syntax.column);
            let problem = Problem { at: Some(at), ..Problem::of_file(file, Severity::Error, syntax.reason) };
            return Statement { at, claim: Claim::Unknown, problems: vec![problem] };
        }
    };
    let id = identity(&value, reader);
    match resource::read(value, reader) {
        Ok(Reading::Object { object, warnings }) => {
            let problems = warnings.into_iter().map(|odd| tell(Severity::Warning, odd.object, odd.path, odd.message)).collect();
            Statement { at, claim: Claim::Object(object), problems }
        }
        Ok(Reading::Foreign { kind, .. }) => Statement { at, claim: Claim::Foreign(kind), problems: Vec::new() },
        Err(invalid) => {
            let problems = invalid.into_iter().map(|one| tell(Severity::Error, one.object, one.path, one.expected)).collect();
            Statement { at, claim: id.map_or(Claim::Unknown, Claim::Refused), problems }
        }
    }
}

/// Which object a document claims to be, however broken the rest of it is.
fn identity(value: &Value, reader: &Reader) -> Option<ObjectId> {
    let text =
        |value: &Value, field: &str| value.get(field).and_then(Value::as_str).map(str::to_owned).filter(|text| !text.is_empty());
    let version = text(value, "apiVersion")?;
    let group = version.rsplit_once('/').map_or("", |(group, _)| group);
    let name = text(value, "kind")?;
    let extension = || {
        let kind = GroupKind::new(group, &name);
        reader.extensions.contains(&kind).then(|| Kind::Extension(Box::new(kind)))
    };
    let kind = Kind::named(group, &name).or_else(extension)?;
    let meta = value.get("metadata")?;
    let name = text(meta, "name")?;
    let name = match kind.is_cluster_scoped() {
        true => ObjectName::cluster(&name),
        false => ObjectName::new(text(meta, "namespace").as_deref().unwrap_or("default"), &name),
    };
    Some(ObjectId::new(kind, name))
}

/// Reads all of a text that is not larger than any sensible manifest.
fn read_bounded(from: impl Read) -> Result<String, String> {
    let mut bytes = Vec::new();
    from.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|err| scan::reason(&err))?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("larger than {} MiB", LARGEST >> 20));
    }
    String::from_utf8(bytes).map_err(|err| {
        let valid = &err.as_bytes()[..err.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("not UTF-8 text (line {line})")
    })
}

/// The largest file that is read, in bytes.
const LARGEST: u64 = 64 << 20;

/// The name under which the ledger keeps what the flags stand for; it sorts behind every file, so that files come first.
const BACKEND_FLAG: &str = "\u{10ffff}--backend";
/// The same for the slices that XBackends select.
const SELECTED: &str = "\u{10ffff}selected";
