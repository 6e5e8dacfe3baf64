//! HTTPRoutes, translated (`HTTPRouteRule`).
//!
//! In: an HTTPRoute and what its references lead to. Out: its rules with their matches, and which rules had to be dropped. A
//! dropped rule keeps its matches and answers 500, so that its traffic does not fall to a rule it was never meant for.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{HeaderName, Method};

use crate::condition::Reason;
use crate::name::ObjectId;
use crate::resource::{HttpMatch, HttpMethod, HttpRoute, HttpRule, MatchType, PathMatchType};
use crate::snapshot::matching::{Expression, Expressions, HeaderMatch, Match, PathPattern, QueryMatch, ValuePattern};
use crate::snapshot::{Action, Rule, RuleId, Split, Target};
use crate::support::Support;

use super::super::age::age;
use super::super::fault::Fault;
use super::super::references::{References, RuleReferences};
use super::super::violation;
use super::filters::{Level, Steps, Workshop};
use super::turns::{Place, Turns, has_turns};
use super::{limits, persistence, unsupported};

/// A route as translated.
#[derive(Clone, Debug, Default)]
pub(crate) struct Translated {
    /// All matches of all rules.
    pub(crate) matches: Vec<Arc<Match>>,
    /// Rules that were dropped, with the reason.
    pub(crate) dropped: Vec<(usize, Fault)>,
    /// How many rules there are.
    pub(crate) rules: usize,
    /// Rules that share requests among several targets, for the next version.
    pub(crate) shared: Shared,
}

/// The rules of a route that share requests among several targets, or a mirror's with nobody, by rule name or index.
pub(crate) type Shared = BTreeMap<RuleKey, Arc<Rule>>;

/// What makes a rule the same rule in the route's next version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RuleKey {
    /// By `rules[].name`.
    Named(String),
    /// By place.
    Index(usize),
}

/// Translates a route. `before` are the shared rules of its last version, whose turns go on.
pub(crate) fn translate(
    route: &HttpRoute,
    id: &ObjectId,
    references: &References,
    before: &Shared,
    support: Support,
    expressions: &mut Expressions,
) -> Translated {
    let mut translated = Translated { rules: route.spec.rules.len(), ..Default::default() };
    let age = age(&route.meta);
    for (index, stated) in route.spec.rules.iter().enumerate() {
        let empty = RuleReferences::default();
        let leads = references.rules.get(index).unwrap_or(&empty);
        let key = stated.name.clone().map_or(RuleKey::Index(index), RuleKey::Named);
        let mut fault = None;
        let mut criteria = Vec::with_capacity(stated.matches.len());
        for (nth, wanted) in stated.matches.iter().enumerate() {
            let (asked, why) = self::criteria(wanted, expressions);
            criteria.extend(asked.map(|asked| (nth, asked)));
            fault = fault.or(why);
        }
        let rule_id = RuleId { route: id.clone(), index, name: stated.name.as_deref().map(Into::into) };
        let mut turns = Turns::of(before.get(&key).map(Arc::as_ref));
        let rule = fault.map_or_else(|| rule(stated, leads, &rule_id, &mut turns, support), Err);
        let rule = match rule.and_then(|rule| violation::of_rule(&route.meta, index).map_or(Ok(rule), Err)) {
            Ok(rule) => rule,
            Err(why) => {
                let rule = Rule::failing(rule_id, &why.1);
                translated.dropped.push((index, why));
                rule
            }
        };
        let rule = Arc::new(rule);
        if has_turns(&rule) {
            translated.shared.insert(key, rule.clone());
        }
        translated.matches.extend(criteria.into_iter().map(|(nth, Criteria { path, method, headers, queries })| {
            Arc::new(Match { path, method, headers, queries, age, index: nth, rule: rule.clone() })
        }));
    }
    translated
}

fn rule(stated: &HttpRule, leads: &RuleReferences, id: &RuleId, turns: &mut Turns<'_>, support: Support) -> Result<Rule, Fault> {
    let HttpRule { name: _, matches, filters, backend_refs, timeouts, retry, session_persistence } = stated;
    let backends = backend_refs.iter().map(|backend| &backend.object);
    let sessions = persistence::of_rule(session_persistence.as_ref(), id, backends, support)?;
    let limits = limits::timeouts(timeouts.as_ref(), support)?;
    let repeats = limits::retry(retry.as_ref(), support)?;
    let one_prefix = matches!(matches.as_slice(), [only] if only.path.match_type == PathMatchType::PathPrefix);
    let mut workshop = Workshop { support, one_prefix, turns };
    let Steps { steps, answer } = workshop.translate(filters, &leads.filters, Level::Rule)?;
    if matches!(answer, Some(Ok(_))) && !backend_refs.is_empty() {
        let message = "a rule with RequestRedirect or DirectResponse must have no backendRefs".to_owned();
        return Err((Reason::IncompatibleFilters, message));
    }
    let mut targets = Vec::with_capacity(backend_refs.len());
    for ((stated, leads), persistence) in backend_refs.iter().zip(&leads.targets).zip(sessions) {
        let backend = leads.backend.as_ref().ok().copied();
        workshop.turns.enter(Place::Target(backend));
        let own = workshop.translate(&stated.filters, &leads.filters, Level::Backend)?;
        // A filter that leads nowhere fails the requests of its target, and of no other; so does an invalid reference, whatever
        // a filter would answer in its place.
        let (backend, reply) = match own.answer {
            None => (backend, None),
            Some(Ok(reply)) => (None, Some(reply).filter(|_| backend.is_some())),
            Some(Err(_)) => (None, None),
        };
        targets.push((Target { backend, steps: own.steps.into(), reply, persistence }, stated.weight));
    }
    let is_stated = !targets.is_empty();
    targets.retain(|(_, weight)| *weight > 0);
    let action = match answer {
        Some(Ok(reply)) => Action::Reply(reply),
        Some(Err(why)) => Action::Fail(why),
        None if !is_stated => Action::Fail("the rule has no backendRefs".into()),
        None if targets.is_empty() => Action::Fail("all backendRefs of the rule have weight 0".into()),
        None => Action::Forward(share(targets, turns.split())),
    };
    let mut rule = Rule::new(id.clone(), steps.into(), action);
    (rule.timeouts, rule.retry, rule.repick) = (limits, repeats, retry.is_none());
    Ok(rule)
}

/// Shares requests among targets; the turns of the rule's last version go on.
fn share(targets: Vec<(Target, u32)>, former: Option<&Split>) -> Split {
    let turn = || former.and_then(Split::turn).cloned().unwrap_or_default();
    let turn = (targets.len() > 1).then(turn);
    match former {
        Some(former) => Split::following(former, targets, turn),
        None => Split::new(targets, turn),
    }
}

/// What one match asks for.
struct Criteria {
    path: PathPattern,
    method: Option<Method>,
    headers: Box<[HeaderMatch]>,
    queries: Box<[QueryMatch]>,
}

/// What a match asks for, as far as it can be read, and the first thing that cannot. Without a path nothing is known of it.
fn criteria(wanted: &HttpMatch, expressions: &mut Expressions) -> (Option<Criteria>, Option<Fault>) {
    let HttpMatch { path, headers, query_params, method } = wanted;
    let path = match &path.match_type {
        PathMatchType::Exact => Ok(PathPattern::exact(&path.value)),
        PathMatchType::PathPrefix => Ok(PathPattern::prefix(&path.value)),
        PathMatchType::RegularExpression => expression(&path.value, expressions).map(PathPattern::Expression),
        PathMatchType::Other(unknown) => Err(unsupported(format!("path match type {unknown} is unknown"))),
    };
    let path = match path {
        Ok(path) => path,
        Err((reason, why)) => return (None, Some((reason, format!("{why}; requests for such paths go to other rules")))),
    };
    let mut fault = None;
    let mut found: Vec<HeaderMatch> = Vec::with_capacity(headers.len());
    for header in headers {
        match header_match(header, expressions) {
            // Of equivalent names the first entry counts.
            Ok(header) if found.iter().any(|known| known.name == header.name) => {}
            Ok(header) => found.push(header),
            Err(why) => drop(fault.get_or_insert(why)),
        }
    }
    let mut queries: Vec<QueryMatch> = Vec::with_capacity(query_params.len());
    for query in query_params.iter() {
        match pattern(&query.match_type, &query.value, expressions) {
            Ok(_) if queries.iter().any(|known| *known.name == *query.name) => {}
            Ok(value) => queries.push(QueryMatch { name: query.name.as_str().into(), value }),
            Err(why) => drop(fault.get_or_insert(why)),
        }
    }
    let method = match method {
        Some(HttpMethod::Other(unknown)) => {
            fault.get_or_insert_with(|| unsupported(format!("method {unknown} is unknown")));
            None
        }
        known => known.as_ref().and_then(|method| Method::from_bytes(method.as_str().as_bytes()).ok()),
    };
    (Some(Criteria { path, method, headers: found.into(), queries: queries.into() }), fault)
}

fn header_match(header: &crate::resource::HeaderMatch, expressions: &mut Expressions) -> Result<HeaderMatch, Fault> {
    let name = HeaderName::from_bytes(header.name.as_bytes())
        .map_err(|_| unsupported(format!("{:?} is not a header name", header.name)))?;
    Ok(HeaderMatch { name, value: pattern(&header.match_type, &header.value, expressions)? })
}

fn pattern(kind: &MatchType, value: &str, expressions: &mut Expressions) -> Result<ValuePattern, Fault> {
    match kind {
        MatchType::Exact => Ok(ValuePattern::Exact(value.into())),
        MatchType::RegularExpression => Ok(ValuePattern::Expression(expression(value, expressions)?)),
        MatchType::Other(unknown) => Err(unsupported(format!("match type {unknown} is unknown"))),
    }
}

fn expression(pattern: &str, expressions: &mut Expressions) -> Result<Arc<Expression>, Fault> {
    expressions.get(pattern).map_err(|why| unsupported(format!("the regular expression {pattern:?} cannot be used: {why}")))
}
