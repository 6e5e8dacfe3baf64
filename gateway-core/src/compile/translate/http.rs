//! HTTPRoutes, translated (`HTTPRouteRule`).
//!
//! In: rules, and what their references lead to. Out: rules with their matches, or why they had to be dropped.

use http::Method;

use crate::resource::{HttpMatch, HttpMethod, HttpRule, PathMatchType};
use crate::snapshot::Rule;
use crate::snapshot::matching::{Expressions, PathPattern, QueryMatch};

use super::super::fault::Fault;
use super::criteria::{self, Criteria, expression};
use super::filters::{Level, Steps, Workshop};
use super::turns::Place;
use super::{Draft, Making, limits, persistence, targets, unsupported};

/// Translates rules.
pub(super) fn translate(rules: &[HttpRule], draft: &mut Draft<'_>) {
    for stated in rules {
        let asked = criteria::each(&stated.matches, |wanted| criteria(wanted, draft.expressions));
        draft.add(stated.name.as_deref(), asked, |making| rule(stated, making));
    }
}

fn rule(stated: &HttpRule, making: &mut Making<'_, '_>) -> Result<Rule, Fault> {
    let HttpRule { name: _, matches, filters, backend_refs, timeouts, retry, session_persistence } = stated;
    let Making { id, leads, turns, support, kept } = making;
    let support = *support;
    let backends = backend_refs.iter().map(|backend| &backend.object);
    let sessions = persistence::of_rule(session_persistence.as_deref(), id, backends, leads, support, kept)?;
    let limits = limits::timeouts(timeouts.as_ref(), support)?;
    let repeats = limits::retry(retry.as_ref(), support)?;
    let one_prefix = matches!(matches.as_slice(), [only] if only.path.match_type == PathMatchType::PathPrefix);
    let mut workshop = Workshop { support, one_prefix, turns };
    let Steps { steps, answer } = workshop.translate(filters, &leads.filters, Level::Rule)?;
    targets::beside(answer.as_ref(), backend_refs.len())?;
    let mut found = Vec::with_capacity(backend_refs.len());
    for ((stated, leads), persistence) in backend_refs.iter().zip(&leads.targets).zip(sessions) {
        let backend = leads.backend.as_ref().ok().copied();
        workshop.turns.enter(Place::Target(backend));
        let own = workshop.translate(&stated.filters, &leads.filters, Level::Backend)?;
        found.push((targets::target(&leads.backend, own, persistence), stated.weight));
    }
    let mut rule = Rule::new((*id).clone(), steps.into(), targets::action(answer, found, turns));
    (rule.timeouts, rule.retry, rule.repick) = (limits, repeats, retry.is_none());
    Ok(rule)
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
        Err((reason, why)) => return (None, Some((reason, format!("{why}, so this match takes nothing")))),
    };
    let (headers, mut fault) = criteria::headers(headers, expressions);
    let mut queries: Vec<QueryMatch> = Vec::with_capacity(query_params.len());
    for query in query_params.iter() {
        match criteria::value(&query.match_type, &query.value, expressions) {
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
    (Some(Criteria { path, method, headers, queries: queries.into() }), fault)
}
