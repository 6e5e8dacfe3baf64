//! Edits of one listener's routes, gathered over a transaction and performed at once.
//!
//! In: candidates added and removed, by host and path. Out: the next table. The old bucket is the state: what a route had there is
//! filtered out of it, and what was added is merged in.
//!
//! Invariants: a bucket that ends equal is not replaced.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::name::ObjectId;
use crate::snapshot::map::Seed;
use crate::snapshot::matching::{Match, PathPattern};
use crate::snapshot::table::{Bucket, Host, Slot, Table};

/// The edits of one listener, by host name as written.
#[derive(Debug, Default)]
pub(super) struct RouteEdits(BTreeMap<Option<Arc<str>>, HostEdits>);

#[derive(Debug, Default)]
struct HostEdits(BTreeMap<PathPattern, ByRoute>);

type ByRoute = BTreeMap<ObjectId, Edit>;

/// What becomes of one route at one place.
#[derive(Debug, Default)]
struct Edit {
    /// Whether the candidates it had there go.
    gone: bool,
    added: Vec<Arc<Match>>,
}

impl RouteEdits {
    pub(super) fn add(&mut self, host: Option<Arc<str>>, candidate: Arc<Match>) {
        let by_route = self.0.entry(host).or_default().0.entry(candidate.path.clone()).or_default();
        by_route.entry(candidate.rule.id.route.clone()).or_default().added.push(candidate);
    }

    pub(super) fn remove(&mut self, host: Option<Arc<str>>, path: PathPattern, route: &ObjectId) {
        let by_route = self.0.entry(host).or_default().0.entry(path).or_default();
        by_route.insert(route.clone(), Edit { gone: true, added: Vec::new() });
    }

    /// Performs the edits, and tells whether they changed anything.
    pub(super) fn apply(self, table: &mut Table, seed: Seed) -> bool {
        let mut changed = false;
        for (host, edits) in self.0 {
            let host = host.as_deref();
            let Some(next) = edits.apply(table.get(host), seed) else { continue };
            if next.http.is_empty() {
                table.remove(host);
            } else {
                table.insert(host, Arc::new(next), seed);
            }
            changed = true;
        }
        changed
    }
}

impl HostEdits {
    /// The host after the edits; `None` when it stays as it is.
    fn apply(&self, old: Option<&Arc<Host>>, seed: Seed) -> Option<Host> {
        let mut next: Option<Host> = None;
        let edits: Vec<_> = self.0.iter().collect();
        for edits in edits.chunk_by(|(a, _), (b, _)| Slot::of(a) == Slot::of(b)) {
            let Some((pattern, _)) = edits.first() else { continue };
            let slot = Slot::of(pattern);
            let bucket = old.and_then(|host| host.http.get(slot));
            let matches = bucket.map_or(&[][..], |bucket| bucket.matches());
            let Some(rewritten) = rewrite(matches, edits) else { continue };
            let bucket = (!rewritten.is_empty()).then(|| Arc::new(Bucket::new(rewritten, seed)));
            next.get_or_insert_with(|| old.map(|host| Host::clone(host)).unwrap_or_default()).http.set(slot, bucket, seed);
        }
        next
    }
}

/// The candidates of a bucket after the edits of its paths; `None` when they stay as they are.
fn rewrite(old: &[Arc<Match>], edits: &[(&PathPattern, &ByRoute)]) -> Option<Vec<Arc<Match>>> {
    let stays = |candidate: &&Arc<Match>| {
        // Only the bucket of expressions holds several patterns.
        let by_route = match edits {
            [(PathPattern::Exact(_) | PathPattern::Prefix(_), by_route)] => Some(*by_route),
            _ => edits.binary_search_by(|(pattern, _)| (*pattern).cmp(&candidate.path)).ok().map(|at| edits[at].1),
        };
        by_route.and_then(|by_route| by_route.get(&candidate.rule.id.route)).is_none_or(|edit| !edit.gone)
    };
    let mut added: Vec<_> = edits.iter().flat_map(|(_, by_route)| by_route.values()).flat_map(|edit| &edit.added).collect();
    added.sort_by_key(|candidate| Reverse(candidate.rank(None)));
    let kept: Vec<_> = old.iter().filter(stays).collect();
    if added.is_empty() && kept.len() == old.len() {
        return None;
    }
    let mut next = Vec::with_capacity(kept.len() + added.len());
    let mut rest = &kept[..];
    for candidate in added {
        let rank = candidate.rank(None);
        let (better, worse) = rest.split_at(rest.partition_point(|kept| kept.rank(None) >= rank));
        next.extend(better.iter().map(|kept| Arc::clone(kept)));
        next.push(Arc::clone(candidate));
        rest = worse;
    }
    next.extend(rest.iter().map(|kept| Arc::clone(kept)));
    (next != old).then_some(next)
}
