//! GRPCRoutes, translated (`GRPCRouteRule`).
//!
//! In: rules, and what their references lead to. Out: rules with their matches, or why they had to be dropped. A rule without
//! matches is for any call; so is a route without rules, which has no backend for it.

use std::sync::Arc;

use crate::resource::{GrpcFilter, GrpcFilterPayload, GrpcMatch, GrpcMethodMatch, GrpcRule, MatchType};
use crate::snapshot::filters::Step;
use crate::snapshot::matching::{CallPattern, Expressions, PathPattern};
use crate::snapshot::{Rule, RuleId};
use crate::support::Capability;

use super::super::fault::Fault;
use super::super::references::FilterReferences;
use super::criteria::{self, Criteria, expression};
use super::filters::{Level, Steps, Workshop, lost, unperformed};
use super::headers::header_edits;
use super::mirror::mirror;
use super::turns::Place;
use super::{Draft, Making, persistence, targets, unsupported};

/// Translates rules.
pub(super) fn translate(rules: &[GrpcRule], draft: &mut Draft<'_>) {
    let any = || vec![(0, Criteria::of(PathPattern::Call(CallPattern::Any)))];
    for stated in rules {
        let asked = match &*stated.matches {
            [] => (any(), None),
            matches => criteria::each(matches, |wanted| criteria(wanted, draft.expressions)),
        };
        draft.add(stated.name.as_deref(), asked, |making| rule(stated, making));
    }
    if rules.is_empty() {
        let id = RuleId { route: draft.id.clone(), index: 0, name: None };
        draft.matches(any(), &Arc::new(Rule::failing(id, "the route has no rules, so no backends")));
    }
}

fn rule(stated: &GrpcRule, making: &mut Making<'_, '_>) -> Result<Rule, Fault> {
    let GrpcRule { name: _, matches: _, filters, backend_refs, session_persistence } = stated;
    let Making { id, leads, turns, support, kept } = making;
    let support = *support;
    let backends = backend_refs.iter().map(|backend| &backend.object);
    let sessions = persistence::of_rule(session_persistence.as_ref(), id, backends, leads, support, kept)?;
    let mut workshop = Workshop { support, one_prefix: false, turns };
    let Steps { steps, answer } = workshop.translate_grpc(filters, &leads.filters, Level::Rule)?;
    targets::beside(answer.as_ref(), backend_refs.len())?;
    let mut found = Vec::with_capacity(backend_refs.len());
    for ((stated, leads), persistence) in backend_refs.iter().zip(&leads.targets).zip(sessions) {
        let backend = leads.backend.as_ref().ok().copied();
        workshop.turns.enter(Place::Target(backend));
        let own = workshop.translate_grpc(&stated.filters, &leads.filters, Level::Backend)?;
        found.push((targets::target(&leads.backend, own, persistence), stated.weight));
    }
    Ok(Rule::new((*id).clone(), steps.into(), targets::action(answer, found, turns)))
}

impl Workshop<'_, '_> {
    /// Translates a list of filters of gRPC. `leads` holds what its references lead to, in order.
    ///
    /// # Errors
    /// Why the rule is invalid.
    fn translate_grpc(&mut self, filters: &[GrpcFilter], leads: &FilterReferences, level: Level) -> Result<Steps, Fault> {
        self.admits(level, filters.len())?;
        let mut translated = Steps::default();
        let (mut extensions, mut backends) = (leads.extensions.iter(), leads.backends.iter());
        for filter in filters {
            let kind = &filter.filter_type;
            match filter.payload() {
                GrpcFilterPayload::RequestHeaderModifier(edits) => {
                    translated.steps.push(Step::EditRequest(Arc::new(header_edits(edits)?)));
                }
                GrpcFilterPayload::ResponseHeaderModifier(edits) => {
                    self.needs(Capability::EditResponse, kind)?;
                    translated.steps.push(Step::EditResponse(Arc::new(header_edits(edits)?)));
                }
                GrpcFilterPayload::RequestMirror(stated) => {
                    self.needs(Capability::Mirror, kind)?;
                    let leads = backends.next().ok_or_else(|| lost(kind))?;
                    translated.steps.extend(mirror(stated, leads, self.turns));
                }
                GrpcFilterPayload::ExtensionRef(reference) => {
                    translated.extension(reference, extensions.next().ok_or_else(|| lost(kind))?)?;
                }
                GrpcFilterPayload::Unknown(_) => return Err(unperformed(kind)),
            }
        }
        Ok(translated)
    }
}

/// What a match asks for, as far as it can be read, and the first thing that cannot. Without service and method nothing is known
/// of it.
fn criteria(wanted: &GrpcMatch, expressions: &mut Expressions) -> (Option<Criteria>, Option<Fault>) {
    let GrpcMatch { method, headers } = wanted;
    let call = match method.as_ref().map_or(Ok(CallPattern::Any), |method| call(method, expressions)) {
        Ok(call) => call,
        Err((reason, why)) => return (None, Some((reason, format!("{why}, so this match takes nothing")))),
    };
    let (headers, fault) = criteria::headers(headers, expressions);
    (Some(Criteria { headers, ..Criteria::of(PathPattern::Call(call)) }), fault)
}

/// What is asked of service and method. An empty one is as good as none.
fn call(wanted: &GrpcMethodMatch, expressions: &mut Expressions) -> Result<CallPattern, Fault> {
    let GrpcMethodMatch { match_type, service, method } = wanted;
    let stated = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
    let (service, method) = (stated(service), stated(method));
    if service.is_none() && method.is_none() {
        return Err(unsupported("a method match names neither service nor method".to_owned()));
    }
    match match_type {
        MatchType::Exact => {
            // Generated code and reflection sometimes write a fully qualified name with a leading dot.
            let service = service.as_deref().map(|service| service.strip_prefix('.').unwrap_or(service));
            if let Some(odd) = [service, method.as_deref()].into_iter().flatten().find(|name| name.contains('/')) {
                return Err(unsupported(format!("{odd:?} is no name of a service or method")));
            }
            Ok(CallPattern::exact(service, method.as_deref()))
        }
        MatchType::RegularExpression => {
            let mut compiled = |stated: Option<String>| stated.map(|pattern| expression(&pattern, expressions)).transpose();
            Ok(CallPattern::Expressions { service: compiled(service)?, method: compiled(method)? })
        }
        MatchType::Other(unknown) => Err(unsupported(format!("method match type {unknown} is unknown"))),
    }
}
