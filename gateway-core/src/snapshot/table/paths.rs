//! What the HTTPRoutes of a host say, by path: the exact one, then expressions, then prefixes from the longest.

use std::sync::Arc;

use super::{Bucket, Keyed};
use crate::snapshot::depths::Depths;
use crate::snapshot::map::{Few, Seed};
use crate::snapshot::matching::Match;

/// The buckets of one host by path.
#[derive(Clone, Debug, Default)]
pub(crate) struct Paths {
    exact: Keyed,
    /// All candidates with an expression, longer ones first.
    expressions: Option<Arc<Bucket>>,
    prefixes: Few<Arc<Bucket>>,
    /// Slashes in the keys of `prefixes`.
    depths: Depths,
}

/// Where a bucket stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PathSlot<'a> {
    Exact(&'a str),
    Expressions,
    Prefix(&'a str),
}

impl Paths {
    /// The buckets that may hold a match for a path in normal form, the best first.
    pub(crate) fn buckets(&self, path: &str) -> impl Iterator<Item = &Bucket> {
        let prefixes = self.depths.prefixes(path).filter_map(|prefix| self.prefixes.get(prefix));
        self.exact.find(path).into_iter().chain(&self.expressions).chain(prefixes).map(|bucket| &**bucket)
    }

    pub(super) fn get(&self, slot: PathSlot<'_>) -> Option<&Arc<Bucket>> {
        match slot {
            PathSlot::Exact(path) => self.exact.find(path),
            PathSlot::Expressions => self.expressions.as_ref(),
            PathSlot::Prefix(path) => self.prefixes.get(path),
        }
    }

    pub(super) fn set(&mut self, slot: PathSlot<'_>, bucket: Option<Arc<Bucket>>, seed: Seed) {
        match (slot, bucket) {
            (PathSlot::Expressions, bucket) => self.expressions = bucket,
            (PathSlot::Exact(path), bucket) => self.exact.set(path, bucket, seed),
            (PathSlot::Prefix(path), Some(bucket)) => {
                if self.prefixes.insert(path, bucket, seed) {
                    self.depths.add(slashes(path), path.len());
                }
            }
            (PathSlot::Prefix(path), None) => {
                if self.prefixes.remove(path) {
                    self.depths.remove(slashes(path));
                }
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.expressions.is_none() && self.prefixes.is_empty()
    }

    /// All candidates: of exact paths, expressions, prefixes; by path, then by rank.
    pub(super) fn sorted(&self) -> impl Iterator<Item = &Arc<Match>> {
        let prefixes = self.prefixes.sorted().into_iter().map(|(_, bucket)| bucket);
        self.exact.sorted().chain(&self.expressions).chain(prefixes).flat_map(|bucket| bucket.matches())
    }
}

fn slashes(path: &str) -> usize {
    path.bytes().filter(|byte| *byte == b'/').count()
}
