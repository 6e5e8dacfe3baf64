//! What the GRPCRoutes of a host say, by call: service and method, then the service, then the method, then expressions, then what
//! holds for any call.

use std::sync::Arc;

use super::{Bucket, Keyed};
use crate::snapshot::map::Seed;
use crate::snapshot::matching::{Call, Match};

/// The buckets of one host by call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls {
    /// By `service/method`.
    calls: Keyed,
    services: Keyed,
    methods: Keyed,
    /// All candidates with expressions, longer ones first.
    expressions: Option<Arc<Bucket>>,
    any: Option<Arc<Bucket>>,
}

/// Where a bucket stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CallSlot<'a> {
    Call(&'a str),
    Service(&'a str),
    Method(&'a str),
    Expressions,
    Any,
}

impl Calls {
    /// The buckets that may hold a match for a call, the best first; where the path names none, those for any.
    pub(crate) fn buckets(&self, call: Option<Call<'_>>) -> impl Iterator<Item = &Bucket> {
        let named = call.into_iter().flat_map(|call| {
            let keyed = [self.calls.find(call.path), self.services.find(call.service), self.methods.find(call.method)];
            keyed.into_iter().flatten().chain(&self.expressions)
        });
        named.chain(&self.any).map(|bucket| &**bucket)
    }

    pub(super) fn get(&self, slot: CallSlot<'_>) -> Option<&Arc<Bucket>> {
        match slot {
            CallSlot::Call(path) => self.calls.find(path),
            CallSlot::Service(service) => self.services.find(service),
            CallSlot::Method(method) => self.methods.find(method),
            CallSlot::Expressions => self.expressions.as_ref(),
            CallSlot::Any => self.any.as_ref(),
        }
    }

    pub(super) fn set(&mut self, slot: CallSlot<'_>, bucket: Option<Arc<Bucket>>, seed: Seed) {
        match slot {
            CallSlot::Call(path) => self.calls.set(path, bucket, seed),
            CallSlot::Service(service) => self.services.set(service, bucket, seed),
            CallSlot::Method(method) => self.methods.set(method, bucket, seed),
            CallSlot::Expressions => self.expressions = bucket,
            CallSlot::Any => self.any = bucket,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        let Self { calls, services, methods, expressions, any } = self;
        calls.is_empty() && services.is_empty() && methods.is_empty() && expressions.is_none() && any.is_none()
    }

    /// All candidates, by slot, then by rank.
    pub(super) fn sorted(&self) -> impl Iterator<Item = &Arc<Match>> {
        let keyed = self.calls.sorted().chain(self.services.sorted()).chain(self.methods.sorted());
        keyed.chain(&self.expressions).chain(&self.any).flat_map(|bucket| bucket.matches())
    }
}
