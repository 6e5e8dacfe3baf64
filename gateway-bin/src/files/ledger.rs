//! Which file provides which object, and what is in force.
//!
//! In: what each file says now. Out: the changes that lead from what was in force to what is. An object that breaks, or whose
//! document cannot be read any more, stays in force as it last was; one that is gone is removed; of several claims to one object
//! the first by path, then by place, counts, and the next takes over when it goes.
//!
//! A document that cannot be read has no identity. What the file used to hold between the neighbours of that document, and holds
//! no more, is taken to be what broke: it stays in force.
//!
//! Invariants: an object is in force exactly when some file holds a version of it; `settle` yields nothing when nothing changed.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use gateway_core::compile::Change;
use gateway_core::name::{GroupKind, ObjectId};
use gateway_core::resource::Object;

use super::problem::{Problem, Severity};

/// One document of a file, or one item of a list there.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    /// Where it stands in the file.
    pub(crate) at: (usize, usize),
    pub(crate) claim: Claim,
    /// What is to be said about it.
    pub(crate) problems: Vec<Problem>,
}

/// What a document claims.
#[derive(Clone, Debug)]
pub(crate) enum Claim {
    /// To be this object.
    Object(Object),
    /// To be this object, but it is refused.
    Refused(ObjectId),
    /// Nobody knows.
    Unknown,
    /// To be of a kind that is not read here.
    Foreign(GroupKind),
}

/// What every file says, and what is in force.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    files: BTreeMap<Arc<Path>, Content>,
    claimants: HashMap<ObjectId, Claimants>,
    in_force: HashMap<ObjectId, Object>,
    duplicates: BTreeMap<ObjectId, Vec<Problem>>,
    unsettled: BTreeSet<ObjectId>,
    /// Objects that came into force when it was last settled.
    fresh: BTreeSet<ObjectId>,
}

/// The files that claim an object: nearly always one.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Claimants {
    One(Arc<Path>),
    Many(BTreeSet<Arc<Path>>),
}

#[derive(Debug, Default)]
struct Content {
    held: Vec<Held>,
    foreign: Vec<GroupKind>,
    problems: Vec<Problem>,
}

/// A claim a file has on an object; without a version it is refused and never was accepted.
#[derive(Debug)]
struct Held {
    id: ObjectId,
    at: (usize, usize),
    version: Option<Object>,
}

impl Ledger {
    /// A file says this now.
    pub(crate) fn put(&mut self, path: &Path, statements: Vec<Statement>) {
        let path: Arc<Path> = path.into();
        let old = self.files.remove(&path).unwrap_or_default();
        let new = self.reconcile(&old.held, statements);
        self.claim(&path, &old.held, &new.held);
        self.files.insert(path, new);
    }

    /// A file cannot be read now: what it held stays in force.
    pub(crate) fn keep(&mut self, path: &Path, mut problem: Problem) {
        let content = self.files.entry(path.into()).or_default();
        if content.held.iter().any(|held| held.version.is_some()) {
            problem.reason.push_str(" (what it held stays in force)");
        }
        content.problems = vec![problem];
    }

    /// A file is gone.
    pub(crate) fn remove(&mut self, path: &Path) {
        if let Some(old) = self.files.remove(path) {
            self.claim(&path.into(), &old.held, &[]);
        }
    }

    /// Whether no other file claims the object.
    pub(crate) fn is_claimed_only_by(&self, id: &ObjectId, path: &Path) -> bool {
        matches!(self.claimants.get(id), Some(Claimants::One(only)) if **only == *path)
    }

    /// What is in force.
    pub(crate) fn in_force(&self) -> &HashMap<ObjectId, Object> {
        &self.in_force
    }

    /// All that is to be said, by file and line.
    pub(crate) fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.files.values().flat_map(|content| &content.problems).chain(self.duplicates.values().flatten())
    }

    /// How many objects of each kind that is not read here were passed over.
    pub(crate) fn foreign(&self) -> BTreeMap<&GroupKind, usize> {
        let mut counts = BTreeMap::new();
        for kind in self.files.values().flat_map(|content| &content.foreign) {
            *counts.entry(kind).or_insert(0) += 1;
        }
        counts
    }

    /// The changes since it was last asked.
    pub(crate) fn settle(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        for id in std::mem::take(&mut self.unsettled) {
            let (version, rivals) = self.judge(&id);
            if rivals.is_empty() {
                self.duplicates.remove(&id);
            } else {
                self.duplicates.insert(id.clone(), rivals);
            }
            match version {
                Some(object) if self.in_force.get(&id) == Some(&object) => {}
                Some(object) => {
                    if self.in_force.insert(id.clone(), object.clone()).is_none() {
                        self.fresh.insert(id);
                    }
                    changes.push(Change::Put(object));
                }
                None => {
                    if self.in_force.remove(&id).is_some() {
                        changes.push(Change::Remove(id));
                    }
                }
            }
        }
        shrink(&mut self.claimants);
        shrink(&mut self.in_force);
        changes
    }

    /// The objects that came into force since this was last asked.
    pub(crate) fn take_fresh(&mut self) -> BTreeSet<ObjectId> {
        std::mem::take(&mut self.fresh)
    }

    /// The version of an object that counts, and what is to be said about the other claims.
    fn judge(&self, id: &ObjectId) -> (Option<Object>, Vec<Problem>) {
        let paths = match self.claimants.get(id) {
            None => return (None, Vec::new()),
            Some(Claimants::One(path)) => vec![path],
            Some(Claimants::Many(paths)) => paths.iter().collect(),
        };
        let files = paths.into_iter().filter_map(|path| self.files.get(path).map(|content| (path, content)));
        let claims: Vec<_> = files
            .flat_map(|(path, content)| content.held.iter().filter(|held| held.id == *id).map(move |held| (path, held)))
            .collect();
        let Some(first) = claims.iter().position(|(_, held)| held.version.is_some()) else { return (None, Vec::new()) };
        let (first_path, first_held) = claims[first];
        let reason = format!("already defined in {}:{}; this one does not count", first_path.display(), first_held.at.0);
        let rivals = claims.iter().skip(first + 1).map(|(path, held)| Problem {
            file: Arc::clone(path),
            at: Some(held.at),
            severity: Severity::Error,
            object: Some(id.to_string()),
            field: None,
            reason: reason.clone(),
        });
        (first_held.version.clone(), rivals.collect())
    }

    fn claim(&mut self, path: &Arc<Path>, old: &[Held], new: &[Held]) {
        for Held { id, .. } in old {
            if let Some(rest) = self.claimants.remove(id).and_then(|claimants| claimants.without(path)) {
                self.claimants.insert(id.clone(), rest);
            }
            self.unsettled.insert(id.clone());
        }
        for Held { id, .. } in new {
            let claimants = match self.claimants.remove(id) {
                None => Claimants::One(Arc::clone(path)),
                Some(claimants) => claimants.with(path),
            };
            self.claimants.insert(id.clone(), claimants);
            self.unsettled.insert(id.clone());
        }
    }

    /// Joins what a file says with what it held before.
    fn reconcile(&self, old: &[Held], statements: Vec<Statement>) -> Content {
        let places: HashMap<&ObjectId, usize> = old.iter().enumerate().rev().map(|(place, held)| (&held.id, place)).collect();
        let stated: HashSet<ObjectId> = statements.iter().filter_map(|statement| statement.claim.id()).collect();
        let former: Vec<Option<usize>> =
            statements.iter().map(|statement| statement.claim.id().and_then(|id| places.get(&id).copied())).collect();
        let mut kept = HashSet::new();
        let mut content = Content::default();
        for (index, mut statement) in statements.into_iter().enumerate() {
            let at = statement.at;
            let mut staying = Vec::new();
            match statement.claim {
                Claim::Object(object) => content.held.push(Held { id: object.id(), at, version: Some(object) }),
                Claim::Foreign(kind) => content.foreign.push(kind),
                Claim::Refused(id) => {
                    let before = places.get(&id).and_then(|place| old[*place].version.as_ref());
                    let version = before.or_else(|| self.in_force.get(&id)).cloned();
                    if version.is_some() {
                        staying.push(id.clone());
                    }
                    content.held.push(Held { id, at, version });
                }
                Claim::Unknown => {
                    let after = former[..index].iter().rev().find_map(|place| *place).map_or(0, |place| place + 1);
                    let before = former[index..].iter().find_map(|place| *place).filter(|place| *place >= after);
                    for held in old.iter().take(before.unwrap_or(old.len())).skip(after) {
                        if held.version.is_some() && !stated.contains(&held.id) && kept.insert(&held.id) {
                            staying.push(held.id.clone());
                            content.held.push(Held { id: held.id.clone(), at, version: held.version.clone() });
                        }
                    }
                }
            }
            if let (false, Some(problem)) = (staying.is_empty(), statement.problems.last_mut()) {
                problem.reason.push_str(&stays(&staying));
            }
            content.problems.append(&mut statement.problems);
        }
        content
    }
}

impl Claimants {
    fn with(self, path: &Arc<Path>) -> Self {
        match self {
            Self::One(only) if only == *path => Self::One(only),
            Self::One(only) => Self::Many(BTreeSet::from([only, Arc::clone(path)])),
            Self::Many(mut paths) => {
                paths.insert(Arc::clone(path));
                Self::Many(paths)
            }
        }
    }

    fn without(self, path: &Arc<Path>) -> Option<Self> {
        match self {
            Self::One(only) => (only != *path).then_some(Self::One(only)),
            Self::Many(mut paths) => {
                paths.remove(path);
                match paths.len() {
                    0 | 1 => paths.pop_first().map(Self::One),
                    _ => Some(Self::Many(paths)),
                }
            }
        }
    }
}

/// Gives back the room of what is gone, once most of it is.
fn shrink<V>(map: &mut HashMap<ObjectId, V>) {
    if map.capacity() > 1024 && map.len() < map.capacity() / 4 {
        map.shrink_to_fit();
    }
}

impl Claim {
    fn id(&self) -> Option<ObjectId> {
        match self {
            Self::Object(object) => Some(object.id()),
            Self::Refused(id) => Some(id.clone()),
            Self::Unknown | Self::Foreign(_) => None,
        }
    }
}

fn stays(ids: &[ObjectId]) -> String {
    match ids {
        [id] => format!(" (the last good version of {id} stays in force)"),
        [first, rest @ ..] => format!(" ({first} and {} more stay in force as they last were)", rest.len()),
        [] => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use gateway_core::resource::{FieldValidation, Reader, Reading, read};
    use serde_json::json;

    use super::*;

    fn class(name: &str, description: &str) -> Object {
        let value = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass",
            "metadata": {"name": name}, "spec": {"controllerName": "example.com/x", "description": description},
        });
        let reader = Reader { validation: FieldValidation::Strict, lenient_forms: true, extensions: Vec::new() };
        match read(value, &reader) {
            Ok(Reading::Object { object, .. }) => object,
            other => panic!("{other:?}"),
        }
    }

    fn says(claim: Claim) -> Statement {
        let problems = match &claim {
            Claim::Object(_) | Claim::Foreign(_) => Vec::new(),
            Claim::Refused(_) | Claim::Unknown => vec![Problem::of_file(Path::new("f"), Severity::Error, "broken")],
        };
        Statement { at: (1, 1), claim, problems }
    }

    fn good(name: &str) -> Statement {
        says(Claim::Object(class(name, "")))
    }

    fn refused(name: &str) -> Statement {
        says(Claim::Refused(class(name, "").id()))
    }

    /// `+name` for an object put, `-name` for one removed.
    fn settle(ledger: &mut Ledger) -> Vec<String> {
        let told = |change| match change {
            Change::Put(object) => format!("+{}", object.meta().name),
            Change::Remove(id) => format!("-{}", id.name),
            Change::Fact(_) => unreachable!("the ledger knows no facts"),
        };
        ledger.settle().into_iter().map(told).collect()
    }

    #[test]
    fn only_what_differs_is_a_change() {
        let mut ledger = Ledger::default();
        ledger.put(Path::new("f"), vec![good("a"), good("b")]);
        assert_eq!(settle(&mut ledger), ["+a", "+b"]);
        ledger.put(Path::new("f"), vec![good("b"), good("a")]);
        assert_eq!(settle(&mut ledger), [""; 0]);
        ledger.put(Path::new("f"), vec![says(Claim::Object(class("a", "new"))), good("c")]);
        assert_eq!(settle(&mut ledger), ["+a", "-b", "+c"]);
        ledger.remove(Path::new("f"));
        assert_eq!(settle(&mut ledger), ["-a", "-c"]);
    }

    #[test]
    fn a_refused_object_stays_as_it_last_was() {
        let mut ledger = Ledger::default();
        ledger.put(Path::new("f"), vec![good("a"), refused("new")]);
        assert_eq!(settle(&mut ledger), ["+a"]);
        ledger.put(Path::new("f"), vec![refused("a")]);
        assert_eq!(settle(&mut ledger), [""; 0]);
        let told: Vec<_> = ledger.problems().map(|problem| problem.reason.clone()).collect();
        assert_eq!(told, ["broken (the last good version of GatewayClass a stays in force)"]);
        ledger.put(Path::new("f"), vec![]);
        assert_eq!(settle(&mut ledger), ["-a"]);
        assert_eq!(ledger.problems().count(), 0);
    }

    #[test]
    fn a_document_without_identity_keeps_what_stood_between_its_neighbours() {
        let unknown = || says(Claim::Unknown);
        let rows: [(Vec<Statement>, &[&str]); 7] = [
            (vec![good("a"), unknown(), good("c"), good("d")], &[]),
            (vec![good("a"), unknown()], &[]),
            (vec![unknown(), good("d")], &[]),
            (vec![unknown(), good("b"), good("d")], &["-c"]),
            (vec![good("a"), good("b"), unknown()], &[]),
            (vec![good("d"), unknown()], &["-a", "-b", "-c"]),
            (vec![good("a"), good("d")], &["-b", "-c"]),
        ];
        for (now, expected) in rows {
            let mut ledger = Ledger::default();
            ledger.put(Path::new("f"), vec![good("a"), good("b"), good("c"), good("d")]);
            settle(&mut ledger);
            let told = format!("{:?}", now.iter().map(|statement| statement.claim.id()).collect::<Vec<_>>());
            ledger.put(Path::new("f"), now);
            assert_eq!(settle(&mut ledger), expected, "{told}");
        }
    }

    #[test]
    fn of_duplicates_the_first_by_path_counts_and_the_next_takes_over() {
        let mut ledger = Ledger::default();
        let version = |text| vec![says(Claim::Object(class("a", text)))];
        ledger.put(Path::new("b.yaml"), version("second"));
        assert_eq!(settle(&mut ledger), ["+a"]);
        ledger.put(Path::new("a.yaml"), version("first"));
        assert_eq!(settle(&mut ledger), ["+a"]);
        assert_eq!(
            ledger.problems().map(ToString::to_string).collect::<Vec<_>>(),
            ["b.yaml:1:1: GatewayClass a: already defined in a.yaml:1; this one does not count"]
        );
        ledger.put(Path::new("a.yaml"), vec![refused("a")]);
        assert_eq!(settle(&mut ledger), [""; 0], "its last good version stays the first");
        ledger.remove(Path::new("a.yaml"));
        assert_eq!(settle(&mut ledger), ["+a"]);
        assert_eq!(ledger.problems().count(), 0);
    }

    #[test]
    fn a_file_that_cannot_be_read_keeps_what_it_held() {
        let mut ledger = Ledger::default();
        ledger.put(Path::new("f"), vec![good("a")]);
        settle(&mut ledger);
        ledger.keep(Path::new("f"), Problem::of_file(Path::new("f"), Severity::Error, "permission denied"));
        assert_eq!(settle(&mut ledger), [""; 0]);
        assert_eq!(ledger.problems().next().unwrap().reason, "permission denied (what it held stays in force)");
    }
}
