//! The walk over what may match a request, from the best candidate to the worst.
//!
//! In: an admitted request and its head. Out: what each candidate came to, told to a visitor, who says when it has seen enough.
//! `decide` stops at the first match and `explain` goes on, so that they cannot differ. A gRPC call meets the GRPCRoutes of each host
//! name before its HTTPRoutes; other requests meet HTTPRoutes alone.
//!
//! Invariants: candidates are met in the order of `Rank`; beyond one pass over the head for each bucket that is reached, the cost is
//! set by the configuration.

use std::ops::ControlFlow;
use std::sync::Arc;

use http::request::Parts;

use super::fields::Fields;
use super::preflight::Preflight;
use crate::admit::host::Host;
use crate::admit::{Admitted, Reason, is_grpc};
use crate::snapshot::matching::{Call, CallPattern, Expression, Match, PathPattern};
use crate::snapshot::{Bucket, Candidate, Tier};

/// A candidate and where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stand<'a> {
    /// The host name its route writes.
    pub(crate) tier: Tier<'a>,
    pub(crate) matched: &'a Arc<Match>,
}

/// What a candidate asks that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Miss {
    Method,
    /// The expression of the path, or of service or method; other patterns are not met unless they hold.
    Path,
    /// The header match with this index.
    Header(usize),
    /// The query match with this index.
    Query(usize),
}

/// Is told of each candidate.
pub(crate) trait Visitor<'a> {
    /// The candidate does not match.
    fn miss(&mut self, candidate: Stand<'a>, miss: Miss);

    /// The candidate matches. Breaking ends the walk.
    fn hit(&mut self, candidate: Stand<'a>) -> ControlFlow<()>;

    /// An expression of the candidate would have to be tried on too long a value. The walk ends here.
    fn too_long(&mut self, candidate: Stand<'a>, reason: &Reason);
}

/// Shows the visitor every candidate whose host and path may match.
///
/// # Errors
/// A reason, when an expression would have to be tried on too long a value. The walk ends there.
pub(crate) fn walk<'a>(admitted: &'a Admitted, head: &'a Parts, visitor: &mut impl Visitor<'a>) -> Result<(), Reason> {
    let path = admitted.path(head);
    if !path.starts_with('/') {
        return Ok(()); // `*` is the server, which no rule is about.
    }
    let host = admitted.host.as_ref().and_then(Host::name);
    let preflight = Preflight::of(head);
    let mut asked = None;
    let scene = Scene { admitted, head, authority: admitted.authority(), path, preflight: preflight.as_ref() };
    for (tier, host) in admitted.site.table.tiers(host) {
        if let Some(grpc) = &host.grpc
            && let Asked::Call(call) = *asked.get_or_insert_with(|| Asked::of(head, path))
        {
            for bucket in grpc.buckets(call) {
                if scene.show(tier, bucket, visitor)?.is_break() {
                    return Ok(());
                }
            }
        }
        for bucket in host.http.buckets(path) {
            if scene.show(tier, bucket, visitor)?.is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Whether a request is a gRPC call, looked for only where there are GRPCRoutes.
#[derive(Clone, Copy)]
enum Asked<'a> {
    Http,
    /// With service and method, where the path names them.
    Call(Option<Call<'a>>),
}

impl<'a> Asked<'a> {
    fn of(head: &Parts, path: &'a str) -> Self {
        if is_grpc(head) { Self::Call(Call::of(path)) } else { Self::Http }
    }
}

/// What the candidates of every bucket are compared with.
struct Scene<'a, 'p> {
    admitted: &'a Admitted,
    head: &'a Parts,
    authority: Option<&'a [u8]>,
    path: &'a str,
    preflight: Option<&'p Preflight<'a>>,
}

impl<'a> Scene<'a, '_> {
    /// Shows the visitor the candidates of one bucket.
    fn show(&self, tier: Tier<'a>, bucket: &'a Bucket, visitor: &mut impl Visitor<'a>) -> Result<ControlFlow<()>, Reason> {
        let fields = Fields::new(self.head, self.authority, self.admitted.snapshot.seed(), bucket.columns());
        let mut questions = Questions { head: self.head, path: self.path, preflight: self.preflight, fields, tried: [None; 2] };
        for candidate in bucket.candidates() {
            let stand = Stand { tier, matched: candidate.matched };
            let answer = match candidate.gate() {
                Some(gate) => match questions.fields.stop(gate) {
                    Some(miss) if !questions.excuses(candidate.matched, miss) => Ok(Some(miss)),
                    Some(_) | None => questions.ask(candidate),
                },
                None => questions.ask(candidate),
            };
            match answer {
                Ok(Some(miss)) => visitor.miss(stand, miss),
                Ok(None) => {
                    if visitor.hit(stand).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                Err(reason) => {
                    visitor.too_long(stand, &reason);
                    return Err(reason);
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// What the candidates of one bucket ask of a request.
struct Questions<'a> {
    head: &'a Parts,
    path: &'a str,
    /// What the request asks about, where it is a preflight.
    preflight: Option<&'a Preflight<'a>>,
    fields: Fields<'a>,
    /// The expressions tried last and whether they matched, of path or service and of method: neighbours often share one.
    tried: [Option<(&'a Arc<Expression>, bool)>; 2],
}

impl<'a> Questions<'a> {
    /// What of a candidate does not hold; `None` when all does.
    fn ask(&mut self, candidate: Candidate<'a>) -> Result<Option<Miss>, Reason> {
        let matched = candidate.matched;
        if matched.method.as_ref().is_some_and(|method| *method != self.head.method) && !self.excuses(matched, Miss::Method) {
            return Ok(Some(Miss::Method));
        }
        if !self.path_holds(&matched.path)? {
            return Ok(Some(Miss::Path));
        }
        for (index, header) in matched.headers.iter().enumerate() {
            let holds = self.fields.header_is(header, candidate.header_column(index)).map_err(|_| Reason::HeaderTooLong)?;
            if !holds && !self.excuses(matched, Miss::Header(index)) {
                return Ok(Some(Miss::Header(index)));
            }
        }
        for (index, query) in matched.queries.iter().enumerate() {
            if !self.fields.query_is(query, candidate.query_column(index)).map_err(|_| Reason::QueryTooLong)? {
                return Ok(Some(Miss::Query(index)));
            }
        }
        Ok(None)
    }

    /// Whether what does not hold of a preflight will hold of the request it asks about, where the candidate's rule answers it.
    fn excuses(&self, matched: &Match, miss: Miss) -> bool {
        let Some(preflight) = self.preflight.filter(|_| matched.rule.has_cors()) else { return false };
        match miss {
            Miss::Method => matched.method.as_ref().is_some_and(|method| preflight.asks_for(method)),
            Miss::Header(index) => matched.headers.get(index).is_some_and(|header| preflight.names(&header.name)),
            Miss::Path | Miss::Query(_) => false,
        }
    }

    /// Whether the expressions of a pattern match; other patterns are not met unless they hold.
    fn path_holds(&mut self, pattern: &'a PathPattern) -> Result<bool, Reason> {
        match pattern {
            PathPattern::Expression(expression) => self.matches(0, expression, self.path),
            PathPattern::Call(CallPattern::Expressions { service, method }) => {
                let Some(call) = Call::of(self.path) else { return Ok(false) };
                let mut holds = |at, expression: &'a Option<Arc<Expression>>, value| match expression {
                    Some(expression) => self.matches(at, expression, value),
                    None => Ok(true),
                };
                Ok(holds(0, service, call.service)? && holds(1, method, call.method)?)
            }
            PathPattern::Exact(_) | PathPattern::Prefix(_) | PathPattern::Call(_) | PathPattern::Stream => Ok(true),
        }
    }

    fn matches(&mut self, at: usize, expression: &'a Arc<Expression>, value: &str) -> Result<bool, Reason> {
        match self.tried[at] {
            Some((tried, matched)) if Arc::ptr_eq(tried, expression) => Ok(matched),
            _ => {
                let matched = expression.matches(value.as_bytes()).map_err(|_| Reason::PathTooLong)?;
                self.tried[at] = Some((expression, matched));
                Ok(matched)
            }
        }
    }
}
