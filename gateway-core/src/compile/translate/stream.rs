//! TLSRoutes, TCPRoutes and UDPRoutes, translated.
//!
//! In: rules, each with its name and its backendRefs, and where these lead. Out: a rule that takes every connection or flow of its
//! listeners and host names. There is one: what further rules say could never happen, so they are dropped.

use crate::resource::BackendRef;
use crate::snapshot::Rule;
use crate::snapshot::matching::PathPattern;

use super::criteria::Criteria;
use super::filters::Steps;
use super::{Draft, targets, unsupported};

/// Translates rules.
pub(super) fn translate<'r>(rules: impl Iterator<Item = (Option<&'r str>, &'r [BackendRef])>, draft: &mut Draft<'_>) {
    for (index, (name, backends)) in rules.enumerate() {
        let fault = (index > 0).then(|| unsupported("a route of this kind has one rule".to_owned()));
        draft.add(name, (vec![(0, Criteria::of(PathPattern::Stream))], fault), |making| {
            let leads = backends.iter().zip(&making.leads.targets);
            let found = leads.map(|(stated, leads)| (targets::target(&leads.backend, Steps::default(), None), stated.weight));
            let action = targets::action(None, found.collect(), &making.turns);
            Ok(Rule::new(making.id.clone(), Box::new([]), action))
        });
    }
}
