//! The routes of a listener, by host name, in the order in which they are to be tried.
//!
//! In: candidates, placed by the writer. Out: for a host, what HTTPRoutes say by path, what GRPCRoutes say by call, and the routes
//! that take connections and flows as they come: buckets of candidates from the best to the worst. Within a bucket: by `Rank`.
//!
//! Invariants: no host is empty, and no bucket is.

use std::sync::Arc;

use super::map::{Few, Seed};
use super::matching::{CallPattern, Match, PathPattern};
use super::names::Names;

mod bucket;
mod calls;
mod paths;

pub(crate) use bucket::{Asks, Bucket, Candidate, Columns, Gate, HEADER_COLUMNS, Print, QUERY_COLUMNS};
pub(crate) use calls::{CallSlot, Calls};
pub(crate) use paths::{PathSlot, Paths};

/// The routes of a listener by host name as written.
pub(crate) type Table = Names<Arc<Host>>;

/// What routes say for one host name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Host {
    /// HTTPRoutes.
    pub(crate) http: Paths,
    /// GRPCRoutes.
    pub(crate) grpc: Option<Arc<Calls>>,
    /// Routes of the other kinds; the first takes all.
    pub(crate) stream: Option<Arc<Bucket>>,
}

/// Where a bucket stands in a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Slot<'a> {
    Path(PathSlot<'a>),
    Call(CallSlot<'a>),
    Stream,
}

impl<'a> Slot<'a> {
    /// Where candidates with this pattern stand.
    pub(crate) fn of(pattern: &'a PathPattern) -> Self {
        match pattern {
            PathPattern::Exact(path) => Self::Path(PathSlot::Exact(path)),
            PathPattern::Prefix(path) => Self::Path(PathSlot::Prefix(path)),
            PathPattern::Expression(_) => Self::Path(PathSlot::Expressions),
            PathPattern::Call(CallPattern::Call(path)) => Self::Call(CallSlot::Call(path)),
            PathPattern::Call(CallPattern::Service(service)) => Self::Call(CallSlot::Service(service)),
            PathPattern::Call(CallPattern::Method(method)) => Self::Call(CallSlot::Method(method)),
            PathPattern::Call(CallPattern::Expressions { .. }) => Self::Call(CallSlot::Expressions),
            PathPattern::Call(CallPattern::Any) => Self::Call(CallSlot::Any),
            PathPattern::Stream => Self::Stream,
        }
    }
}

impl Host {
    /// The bucket at a slot.
    pub(crate) fn get(&self, slot: Slot<'_>) -> Option<&Arc<Bucket>> {
        match slot {
            Slot::Path(slot) => self.http.get(slot),
            Slot::Call(slot) => self.grpc.as_ref().and_then(|calls| calls.get(slot)),
            Slot::Stream => self.stream.as_ref(),
        }
    }

    /// Puts the bucket at a slot; `None` empties it.
    pub(crate) fn set(&mut self, slot: Slot<'_>, bucket: Option<Arc<Bucket>>, seed: Seed) {
        match slot {
            Slot::Path(slot) => self.http.set(slot, bucket, seed),
            Slot::Call(slot) => {
                let calls = Arc::make_mut(self.grpc.get_or_insert_default());
                calls.set(slot, bucket, seed);
                if calls.is_empty() {
                    self.grpc = None;
                }
            }
            Slot::Stream => self.stream = bucket,
        }
    }

    /// Whether no bucket is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.http.is_empty() && self.grpc.is_none() && self.stream.is_none()
    }

    /// All candidates, in a fixed order.
    pub(crate) fn sorted(&self) -> impl Iterator<Item = &Arc<Match>> {
        let calls = self.grpc.iter().flat_map(|calls| calls.sorted());
        let streams = self.stream.iter().flat_map(|bucket| bucket.matches());
        calls.chain(self.http.sorted()).chain(streams)
    }
}

/// Buckets by a key that has to be equal.
#[derive(Clone, Debug, Default)]
struct Keyed {
    buckets: Few<Arc<Bucket>>,
    /// Bytes of the longest key there was since there was none: a longer one need not be looked for.
    longest: usize,
}

impl Keyed {
    /// The bucket a request asks for.
    fn find(&self, key: &str) -> Option<&Arc<Bucket>> {
        if key.len() <= self.longest { self.buckets.get(key) } else { None }
    }

    fn set(&mut self, key: &str, bucket: Option<Arc<Bucket>>, seed: Seed) {
        match bucket {
            Some(bucket) => {
                self.buckets.insert(key, bucket, seed);
                self.longest = self.longest.max(key.len());
            }
            None => {
                self.buckets.remove(key);
                if self.buckets.is_empty() {
                    self.longest = 0;
                }
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    fn sorted(&self) -> impl Iterator<Item = &Arc<Bucket>> {
        self.buckets.sorted().into_iter().map(|(_, bucket)| bucket)
    }
}
