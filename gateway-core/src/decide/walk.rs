//! The walk over what may match a request, from the best candidate to the worst.
//!
//! In: an admitted request and its head. Out: what each candidate came to, told to a visitor, who says when it has seen enough.
//! `decide` stops at the first match and `explain` goes on, so that they cannot differ.
//!
//! Invariants: candidates are met in the order of `Rank`; beyond one pass over the head for each bucket that is reached, the cost is
//! set by the configuration.

use std::ops::ControlFlow;
use std::sync::Arc;

use http::request::Parts;

use super::fields::Fields;
use super::preflight::Preflight;
use crate::admit::host::Host;
use crate::admit::{Admitted, Reason};
use crate::snapshot::matching::{Expression, Match, PathPattern};
use crate::snapshot::{Candidate, Tier};

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
    /// The expression of the path; other paths are not met unless they hold.
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
    for (tier, host) in admitted.site.table.tiers(host) {
        for bucket in host.http.buckets(path) {
            let fields = Fields::new(head, admitted.snapshot.seed(), bucket.columns());
            let mut questions = Questions { head, path, preflight: preflight.as_ref(), fields, tried: None };
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
                            return Ok(());
                        }
                    }
                    Err(reason) => {
                        visitor.too_long(stand, &reason);
                        return Err(reason);
                    }
                }
            }
        }
    }
    Ok(())
}

/// What the candidates of one bucket ask of a request.
struct Questions<'a> {
    head: &'a Parts,
    path: &'a str,
    /// What the request asks about, where it is a preflight.
    preflight: Option<&'a Preflight<'a>>,
    fields: Fields<'a>,
    /// The expression tried last, and whether it matched: neighbours often share one.
    tried: Option<(&'a Arc<Expression>, bool)>,
}

impl<'a> Questions<'a> {
    /// What of a candidate does not hold; `None` when all does.
    fn ask(&mut self, candidate: Candidate<'a>) -> Result<Option<Miss>, Reason> {
        let matched = candidate.matched;
        if matched.method.as_ref().is_some_and(|method| *method != self.head.method) && !self.excuses(matched, Miss::Method) {
            return Ok(Some(Miss::Method));
        }
        if let PathPattern::Expression(expression) = &matched.path
            && !self.path_matches(expression)?
        {
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

    fn path_matches(&mut self, expression: &'a Arc<Expression>) -> Result<bool, Reason> {
        match self.tried {
            Some((tried, matched)) if Arc::ptr_eq(tried, expression) => Ok(matched),
            _ => {
                let matched = expression.matches(self.path.as_bytes()).map_err(|_| Reason::PathTooLong)?;
                self.tried = Some((expression, matched));
                Ok(matched)
            }
        }
    }
}
