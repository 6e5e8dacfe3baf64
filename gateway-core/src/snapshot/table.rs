//! The routes of a listener, by host name and path, in the order in which they are to be tried.
//!
//! In: candidates, placed by the writer. Out: for a host and a path, buckets of candidates from the best to the worst. Within a
//! host: the exact path, then expressions, then prefixes from the longest. Within a bucket: by `Rank`.
//!
//! Invariants: no host is empty, and no bucket is.

use std::sync::Arc;

use super::depths::Depths;
use super::map::{Few, Seed};
use super::matching::{Match, PathPattern};
use super::names::Names;

mod bucket;

pub(crate) use bucket::{Asks, Bucket, Candidate, Columns, Gate, HEADER_COLUMNS, Print, QUERY_COLUMNS};

/// The routes of a listener by host name as written.
pub(crate) type Table = Names<Arc<Host>>;

/// What routes say for one host name. GRPCRoutes will have a table of their own beside `http`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Host {
    pub(crate) http: Paths,
}

/// The buckets of one host by path.
#[derive(Clone, Debug, Default)]
pub(crate) struct Paths {
    exact: Few<Arc<Bucket>>,
    /// Bytes of the longest key of `exact` there was.
    longest: usize,
    /// All candidates with an expression, longer ones first.
    expressions: Option<Arc<Bucket>>,
    prefixes: Few<Arc<Bucket>>,
    /// Slashes in the keys of `prefixes`.
    depths: Depths,
}

/// Where a bucket stands in a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Slot<'a> {
    Exact(&'a str),
    Expressions,
    Prefix(&'a str),
}

impl<'a> Slot<'a> {
    /// Where candidates with this pattern stand.
    pub(crate) fn of(pattern: &'a PathPattern) -> Self {
        match pattern {
            PathPattern::Exact(path) => Self::Exact(path),
            PathPattern::Prefix(path) => Self::Prefix(path),
            PathPattern::Expression(_) => Self::Expressions,
        }
    }
}

impl Paths {
    /// The buckets that may hold a match for a path in normal form, the best first.
    pub(crate) fn buckets(&self, path: &str) -> impl Iterator<Item = &Bucket> {
        let exact = if path.len() <= self.longest { self.exact.get(path) } else { None };
        let prefixes = self.depths.prefixes(path).filter_map(|prefix| self.prefixes.get(prefix));
        exact.into_iter().chain(&self.expressions).chain(prefixes).map(|bucket| &**bucket)
    }

    /// The bucket at a slot.
    pub(crate) fn get(&self, slot: Slot<'_>) -> Option<&Arc<Bucket>> {
        match slot {
            Slot::Exact(path) => self.exact.get(path),
            Slot::Expressions => self.expressions.as_ref(),
            Slot::Prefix(path) => self.prefixes.get(path),
        }
    }

    /// Puts the bucket at a slot; `None` empties it.
    pub(crate) fn set(&mut self, slot: Slot<'_>, bucket: Option<Arc<Bucket>>, seed: Seed) {
        match (slot, bucket) {
            (Slot::Expressions, bucket) => self.expressions = bucket,
            (Slot::Exact(path), Some(bucket)) => {
                self.exact.insert(path, bucket, seed);
                self.longest = self.longest.max(path.len());
            }
            (Slot::Exact(path), None) => {
                self.exact.remove(path);
                if self.exact.is_empty() {
                    self.longest = 0;
                }
            }
            (Slot::Prefix(path), Some(bucket)) => {
                if self.prefixes.insert(path, bucket, seed) {
                    self.depths.add(slashes(path), path.len());
                }
            }
            (Slot::Prefix(path), None) => {
                if self.prefixes.remove(path) {
                    self.depths.remove(slashes(path));
                }
            }
        }
    }

    /// Whether no bucket is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.expressions.is_none() && self.prefixes.is_empty()
    }

    /// All candidates: of exact paths, expressions, prefixes; by path, then by rank.
    pub(crate) fn sorted(&self) -> impl Iterator<Item = &Arc<Match>> {
        let exact = self.exact.sorted().into_iter().map(|(_, bucket)| bucket);
        let prefixes = self.prefixes.sorted().into_iter().map(|(_, bucket)| bucket);
        exact.chain(&self.expressions).chain(prefixes).flat_map(|bucket| bucket.matches())
    }
}

fn slashes(path: &str) -> usize {
    path.bytes().filter(|byte| *byte == b'/').count()
}
