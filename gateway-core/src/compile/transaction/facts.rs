//! Facts learnt: who has to be judged or phrased again because of them.
//!
//! In: a fact. Out: the fact in the books, and marks in `Dirty`.

use std::sync::Arc;

use crate::name::Kind;

use super::super::{Bound, Fact};
use super::{Dirty, State};

impl State {
    pub(super) fn learn(&mut self, fact: Fact, dirty: &mut Dirty) {
        let facts = &mut self.objects.facts;
        match fact {
            Fact::Socket(socket, bound) => {
                let old = match bound {
                    Some(bound) => facts.sockets.insert(socket, bound.clone()).filter(|old| *old == bound),
                    None => facts.sockets.remove(&socket).is_none().then_some(Bound::Yes),
                };
                if old.is_none() {
                    dirty.phrased.extend(self.gateways.on_port(socket.port).cloned());
                }
            }
            Fact::Acknowledged(holder, generation) => {
                facts.acknowledged.insert(holder.clone(), generation);
                dirty.phrased.insert(holder);
            }
            Fact::Addresses(gateway, addresses) => {
                match addresses {
                    Some(addresses) => drop(facts.addresses.insert(gateway.clone(), addresses)),
                    None => drop(facts.addresses.remove(&gateway)),
                }
                dirty.gateways.insert(gateway);
            }
            Fact::ServiceRanges(ranges) => {
                if facts.service_ranges != ranges {
                    facts.service_ranges = ranges;
                    dirty.gateways.extend(facts.addresses.keys().cloned());
                    let hosts: Vec<_> = facts.resolved.keys().cloned().collect();
                    dirty.backends.extend(hosts.iter().flat_map(|host| self.objects.named(host)).cloned());
                }
            }
            Fact::Time(now) => {
                // A clock that goes back is as good a reason to look again.
                let (from, to) = facts.now.replace(now).map_or((i64::MIN, i64::MAX), |before| (before.min(now), before.max(now)));
                self.gateways.changing(from, to).for_each(|holder| dirty.touch(holder));
            }
            Fact::Resolved(host, addresses) => {
                let old = match addresses.clone() {
                    Some(addresses) => facts.resolved.insert(Arc::clone(&host), addresses),
                    None => facts.resolved.remove(&host),
                };
                if old != addresses {
                    dirty.backends.extend(self.objects.named(&host).cloned());
                }
            }
            Fact::Bundle(bundle) => {
                let had = facts.bundle.as_ref().is_none_or(|bundle| bundle.trust_bundles);
                let has = bundle.trust_bundles;
                if facts.bundle.as_ref() != Some(&bundle) {
                    // Which fields addresses have may differ.
                    dirty.gateways.extend(self.objects.gateways.keys().cloned());
                }
                self.objects.facts.bundle = Some(bundle);
                dirty.classes.extend(self.objects.classes.keys().cloned());
                if had != has {
                    self.dependents.users_of_kind(&Kind::ClusterTrustBundle).for_each(|user| dirty.touch(user));
                }
            }
        }
    }
}
