//! From the rules of a route to rules and matches of the snapshot, one file per kind of route and per kind of filter.
//!
//! In: a route and what its references lead to. Out: rules, matches, and what had to be dropped. Knows nothing of listeners.
//!
//! A dropped rule keeps its matches and fails what they match, so that its traffic does not fall to a rule it was never meant for.

pub(super) mod auth;
mod cors;
mod criteria;
mod filters;
mod grpc;
mod headers;
mod http;
mod limits;
mod mirror;
mod paths;
pub(super) mod persistence;
mod stream;
mod targets;
mod turns;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::condition::Reason;
use crate::name::ObjectId;
use crate::resource::{Meta, TcpRule, TlsRule, UdpRule};
use crate::snapshot::matching::{Age, Expressions, Match};
use crate::snapshot::{Rule, RuleId};
use crate::support::Support;

use super::age::age;
use super::fault::Fault;
use super::references::{References, RuleReferences};
use super::route::Route;
use super::violation;
use criteria::Criteria;
use persistence::Kept;
use turns::{Turns, has_turns};

/// A route as translated.
#[derive(Clone, Debug, Default)]
pub(super) struct Translated {
    /// All matches of all rules.
    pub(super) matches: Vec<Arc<Match>>,
    /// Rules that were dropped, in order.
    pub(super) dropped: Vec<Dropped>,
    /// How many rules there are.
    pub(super) rules: usize,
    /// Rules that share requests among several targets, for the next version.
    pub(super) shared: Shared,
}

/// The rules of a route that share requests among several targets, or a mirror's with nobody, by rule name or index.
pub(super) type Shared = BTreeMap<RuleKey, Arc<Rule>>;

/// What makes a rule the same rule in the route's next version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RuleKey {
    /// By `rules[].name`.
    Named(String),
    /// By place.
    Index(usize),
}

/// Translates a route. `before` are the shared rules of its last version, whose turns go on.
pub(super) fn translate(
    route: &Route,
    references: &References,
    before: &Shared,
    support: Support,
    expressions: &mut Expressions,
) -> Translated {
    let (id, meta) = (route.id(), route.meta());
    let mut draft = Draft {
        id,
        meta,
        violated: violation::of_route(meta),
        age: age(meta),
        references,
        before,
        support,
        expressions,
        kept: Kept::default(),
        done: Translated::default(),
    };
    match route {
        Route::Http(route) => http::translate(&route.spec.rules, &mut draft),
        Route::Grpc(route) => grpc::translate(&route.spec.rules, &mut draft),
        Route::Tls(route) => {
            let rules = route.spec.rules.iter().map(|TlsRule { name, backend_refs }| (name.as_deref(), &**backend_refs));
            stream::translate(rules, &mut draft);
        }
        Route::Tcp(route) => {
            let rules = route.spec.rules.iter().map(|TcpRule { name, backend_refs }| (name.as_deref(), &**backend_refs));
            stream::translate(rules, &mut draft);
        }
        Route::Udp(route) => {
            let rules = route.spec.rules.iter().map(|UdpRule { name, backend_refs }| (name.as_deref(), &**backend_refs));
            stream::translate(rules, &mut draft);
        }
    }
    draft.done
}

/// A route being translated, rule by rule.
struct Draft<'a> {
    id: ObjectId,
    meta: &'a Meta,
    /// Why no rule can be performed, whatever it says.
    violated: Option<Fault>,
    age: Age,
    references: &'a References,
    before: &'a Shared,
    support: Support,
    expressions: &'a mut Expressions,
    kept: Kept,
    done: Translated,
}

/// A rule that was dropped.
#[derive(Clone, Debug)]
pub(super) struct Dropped {
    pub(super) index: usize,
    pub(super) fault: Fault,
    /// Whether any of its matches could be read: what they match is failed.
    pub(super) has_matches: bool,
}

/// What a rule is made with.
struct Making<'r, 't> {
    id: &'r RuleId,
    /// Where its references lead.
    leads: &'r RuleReferences,
    turns: Turns<'t>,
    support: Support,
    /// The sessions of the rules before.
    kept: &'r mut Kept,
}

impl Draft<'_> {
    /// Adds the next rule: what its matches ask for, and what of them cannot be read; and how the rest of it is made.
    fn add(
        &mut self,
        name: Option<&str>,
        asked: (Vec<(usize, Criteria)>, Option<Fault>),
        make: impl FnOnce(&mut Making<'_, '_>) -> Result<Rule, Fault>,
    ) {
        let (criteria, fault) = asked;
        let index = self.done.rules;
        let empty = RuleReferences::default();
        let key = name.map_or(RuleKey::Index(index), |name| RuleKey::Named(name.to_owned()));
        let id = RuleId { route: self.id.clone(), index, name: name.map(Into::into) };
        let leads = self.references.rules.get(index).unwrap_or(&empty);
        let turns = Turns::of(self.before.get(&key).map(Arc::as_ref));
        let mut making = Making { id: &id, leads, turns, support: self.support, kept: &mut self.kept };
        let rule = fault.map_or_else(|| make(&mut making), Err);
        let violated = || self.violated.clone().or_else(|| violation::of_rule(self.meta, index));
        let rule = match rule.and_then(|rule| violated().map_or(Ok(rule), Err)) {
            Ok(rule) => rule,
            Err(why) => {
                let rule = Rule::failing(id, &why.1);
                self.done.dropped.push(Dropped { index, fault: why, has_matches: !criteria.is_empty() });
                rule
            }
        };
        self.done.rules += 1;
        let rule = Arc::new(rule);
        if has_turns(&rule) {
            self.done.shared.insert(key, Arc::clone(&rule));
        }
        self.matches(criteria, &rule);
    }

    fn matches(&mut self, criteria: Vec<(usize, Criteria)>, rule: &Arc<Rule>) {
        let age = self.age;
        self.done.matches.extend(criteria.into_iter().map(|(index, Criteria { path, method, headers, queries })| {
            Arc::new(Match { path, method, headers, queries, age, index, rule: Arc::clone(rule) })
        }));
    }
}

/// A value that cannot be performed.
fn unsupported(message: String) -> Fault {
    (Reason::UnsupportedValue, message)
}
