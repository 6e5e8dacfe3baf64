//! Edits of one listener's routes, gathered over a transaction and performed at once.
//!
//! In: candidates added and removed, in order. Out: the next table. The old bucket is the state: what routes had there is filtered
//! out of it, and what was added is merged in.
//!
//! Invariants: a bucket that ends equal is not replaced; the cost of a transaction is that of sorting its edits and of copying the
//! buckets they meet.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::name::ObjectId;
use crate::snapshot::map::Seed;
use crate::snapshot::matching::{Match, PathPattern};
use crate::snapshot::table::{Bucket, Host, Slot, Table};

/// The edits of one listener, in the order in which they were made.
#[derive(Debug, Default)]
pub(super) struct RouteEdits(Vec<RouteEdit>);

#[derive(Debug)]
struct RouteEdit {
    /// The host name as written.
    host: Option<Arc<str>>,
    edit: Edit,
}

#[derive(Debug)]
enum Edit {
    Add(Arc<Match>),
    /// All that the route has at the path goes.
    Remove(PathPattern, ObjectId),
}

impl RouteEdit {
    fn slot(&self) -> Slot<'_> {
        match &self.edit {
            Edit::Add(candidate) => Slot::of(&candidate.path),
            Edit::Remove(path, _) => Slot::of(path),
        }
    }
}

impl RouteEdits {
    pub(super) fn add(&mut self, host: Option<Arc<str>>, candidate: Arc<Match>) {
        self.0.push(RouteEdit { host, edit: Edit::Add(candidate) });
    }

    pub(super) fn remove(&mut self, host: Option<Arc<str>>, path: PathPattern, route: &ObjectId) {
        self.0.push(RouteEdit { host, edit: Edit::Remove(path, route.clone()) });
    }

    /// Performs the edits, and tells whether they changed anything.
    pub(super) fn apply(mut self, table: &mut Table, seed: Seed) -> bool {
        // Stable: edits of one bucket stay in order.
        self.0.sort_by(|a, b| (&a.host, a.slot()).cmp(&(&b.host, b.slot())));
        let mut changed = false;
        for edits in self.0.chunk_by(|a, b| a.host == b.host) {
            let host = edits.first().and_then(|edit| edit.host.as_deref());
            let Some(next) = edit_host(table.get(host), edits, seed) else { continue };
            if next.is_empty() {
                table.remove(host);
            } else {
                table.insert(host, Arc::new(next), seed);
            }
            changed = true;
        }
        changed
    }
}

/// The host after its edits; `None` when it stays as it is.
fn edit_host(old: Option<&Arc<Host>>, edits: &[RouteEdit], seed: Seed) -> Option<Host> {
    let mut next: Option<Host> = None;
    for edits in edits.chunk_by(|a, b| a.slot() == b.slot()) {
        let Some(slot) = edits.first().map(RouteEdit::slot) else { continue };
        let bucket = old.and_then(|host| host.get(slot));
        let Some(rewritten) = rewrite(bucket.map_or(&[], |bucket| bucket.matches()), edits) else { continue };
        let bucket = (!rewritten.is_empty()).then(|| Arc::new(Bucket::new(rewritten, seed)));
        next.get_or_insert_with(|| old.map(|host| Host::clone(host)).unwrap_or_default()).set(slot, bucket, seed);
    }
    next
}

/// The candidates of a bucket after its edits; `None` when they stay as they are.
fn rewrite(old: &[Arc<Match>], edits: &[RouteEdit]) -> Option<Vec<Arc<Match>>> {
    let removals = edits.iter().enumerate().filter_map(|(at, edit)| match &edit.edit {
        Edit::Remove(path, route) => Some(((route, path), at)),
        Edit::Add(_) => None,
    });
    // Sorted by route, path and time, so that the last removal of each stands last.
    let mut removals: Vec<_> = removals.collect();
    removals.sort_unstable();
    let last_removal = |candidate: &Match| {
        let key = (&candidate.rule.id.route, &candidate.path);
        let end = removals.partition_point(|(removed, _)| *removed <= key);
        removals.get(..end)?.last().filter(|(removed, _)| *removed == key).map(|(_, at)| *at)
    };
    let added = edits.iter().enumerate().filter_map(|(at, edit)| match &edit.edit {
        Edit::Add(candidate) if last_removal(candidate).is_none_or(|removed| removed < at) => Some(candidate),
        Edit::Add(_) | Edit::Remove(..) => None,
    });
    let mut added: Vec<_> = added.collect();
    added.sort_by_key(|candidate| Reverse(candidate.rank(None)));
    let kept: Vec<_> = old.iter().filter(|candidate| last_removal(candidate).is_none()).collect();
    if added.is_empty() && kept.len() == old.len() {
        return None;
    }
    let next = merge(&kept, &added);
    (next != old).then_some(next)
}

/// Two lists sorted by rank as one.
fn merge(kept: &[&Arc<Match>], added: &[&Arc<Match>]) -> Vec<Arc<Match>> {
    let mut next = Vec::with_capacity(kept.len() + added.len());
    let mut rest = kept;
    for candidate in added {
        let rank = candidate.rank(None);
        let (better, worse) = rest.split_at(rest.partition_point(|kept| kept.rank(None) >= rank));
        next.extend(better.iter().map(|kept| Arc::clone(kept)));
        next.push(Arc::clone(candidate));
        rest = worse;
    }
    next.extend(rest.iter().map(|kept| Arc::clone(kept)));
    next
}
