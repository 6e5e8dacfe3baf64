//! What matches ask for, translated, as far as HTTPRoutes and GRPCRoutes are alike: headers, values, expressions.
//!
//! In: what is stated. Out: patterns, and the first thing that cannot be used.

use std::sync::Arc;

use http::Method;

use crate::resource::{self, MatchType};
use crate::snapshot::matching::{Expression, Expressions, HeaderMatch, PathPattern, QueryMatch, ValuePattern};

use super::super::fault::Fault;
use super::{headers, unsupported};

/// What one match asks for.
pub(super) struct Criteria {
    pub(super) path: PathPattern,
    pub(super) method: Option<Method>,
    pub(super) headers: Box<[HeaderMatch]>,
    pub(super) queries: Box<[QueryMatch]>,
}

impl Criteria {
    /// Those of a match that asks for no more than a path.
    pub(super) fn of(path: PathPattern) -> Self {
        Self { path, method: None, headers: Box::default(), queries: Box::default() }
    }
}

/// What the matches of a rule ask for, each with its index: those that can be read, and what of them cannot.
pub(super) fn each<M>(
    stated: &[M],
    mut read: impl FnMut(&M) -> (Option<Criteria>, Option<Fault>),
) -> (Vec<(usize, Criteria)>, Option<Fault>) {
    let mut fault = None;
    let mut found = Vec::with_capacity(stated.len());
    for (index, wanted) in stated.iter().enumerate() {
        let (asked, why) = read(wanted);
        found.extend(asked.map(|asked| (index, asked)));
        fault = fault.or(why);
    }
    (found, fault)
}

/// What a match asks of headers. Of equivalent names the first entry counts.
pub(super) fn headers(stated: &[resource::HeaderMatch], expressions: &mut Expressions) -> (Box<[HeaderMatch]>, Option<Fault>) {
    let mut fault = None;
    let mut found: Vec<HeaderMatch> = Vec::with_capacity(stated.len());
    for header in stated {
        match header_match(header, expressions) {
            Ok(header) if found.iter().any(|known| known.name == header.name) => {}
            Ok(header) => found.push(header),
            Err(why) => drop(fault.get_or_insert(why)),
        }
    }
    (found.into(), fault)
}

fn header_match(header: &resource::HeaderMatch, expressions: &mut Expressions) -> Result<HeaderMatch, Fault> {
    Ok(HeaderMatch { name: headers::name(&header.name)?, value: value(&header.match_type, &header.value, expressions)? })
}

/// What a value has to be.
pub(super) fn value(kind: &MatchType, value: &str, expressions: &mut Expressions) -> Result<ValuePattern, Fault> {
    match kind {
        MatchType::Exact => Ok(ValuePattern::Exact(value.into())),
        MatchType::RegularExpression => Ok(ValuePattern::Expression(expression(value, expressions)?)),
        MatchType::Other(unknown) => Err(unsupported(format!("match type {unknown} is unknown"))),
    }
}

/// A regular expression.
pub(super) fn expression(pattern: &str, expressions: &mut Expressions) -> Result<Arc<Expression>, Fault> {
    expressions.get(pattern).map_err(|why| unsupported(format!("the regular expression {pattern:?} cannot be used: {why}")))
}
