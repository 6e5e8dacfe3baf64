//! What a route asks of a request, and how its questions rank.
//!
//! In: matches of HTTPRoutes and GRPCRoutes as the compiler translated them: names in lower case, only the first of equal header or
//! parameter names, wrong patterns refused; and the rules of the other kinds, which ask nothing. Out: patterns to compare with, and
//! the `Rank` by which the best match wins.
//!
//! Invariants: precedence is the order of the fields of `Rank`, and stated nowhere else.

mod call;
mod expression;
pub(crate) mod path;
mod witness;

use std::borrow::Cow;
use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;

use http::{HeaderName, Method};

pub(crate) use call::Call;
pub use call::CallPattern;
use call::CallRank;
pub(crate) use expression::TooLong;
pub use expression::{Expression, Expressions, LONGEST};

use super::names::Tier;
use super::rule::Rule;
use crate::name::{Kind, ObjectName};

/// What a path must be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PathPattern {
    /// This, byte for byte.
    Exact(Arc<str>),
    /// This, or something that goes on with `/`. Without trailing slashes, so the prefix of every path is the empty string.
    Prefix(Arc<str>),
    /// Something the whole of which the expression matches.
    Expression(Arc<Expression>),
    /// That of a gRPC call like this.
    Call(CallPattern),
    /// There is none: a connection or a flow of datagrams is taken as it comes.
    Stream,
}

impl PathPattern {
    /// The pattern for a path as a route writes it, in the form in which request paths are compared.
    pub fn exact(value: &str) -> Self {
        Self::Exact(path::spelling(value).into())
    }

    /// The pattern for a path prefix as a route writes it, in the form in which request paths are compared.
    pub fn prefix(value: &str) -> Self {
        Self::Prefix(path::spelling(value).trim_end_matches('/').into())
    }

    /// What it states, without saying how it is compared: `/` for the prefix of every path, `/service/method` for a call.
    pub fn stated(&self) -> Cow<'_, str> {
        match self {
            Self::Exact(path) => Cow::Borrowed(path),
            Self::Prefix(path) if path.is_empty() => Cow::Borrowed("/"),
            Self::Prefix(path) => Cow::Borrowed(path),
            Self::Expression(expression) => Cow::Borrowed(expression.as_str()),
            Self::Call(CallPattern::Call(call)) => Cow::Owned(format!("/{call}")),
            Self::Call(CallPattern::Service(service)) => Cow::Owned(format!("/{service}/*")),
            Self::Call(CallPattern::Method(method)) => Cow::Owned(format!("/*/{method}")),
            Self::Call(CallPattern::Expressions { service, method }) => {
                let part = |part: &Option<Arc<Expression>>| {
                    part.as_ref().map_or_else(|| "*".to_owned(), |part| part.as_str().to_owned())
                };
                Cow::Owned(format!("/{}/{}", part(service), part(method)))
            }
            Self::Call(CallPattern::Any) | Self::Stream => Cow::Borrowed("/"),
        }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(path) => write!(f, "exact {path}"),
            Self::Prefix(path) if path.is_empty() => f.write_str("prefix /"),
            Self::Prefix(path) => write!(f, "prefix {path}"),
            Self::Expression(expression) => write!(f, "expression {expression}"),
            Self::Call(call) => write!(f, "{call}"),
            Self::Stream => f.write_str("all of it"),
        }
    }
}

/// What a value must be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ValuePattern {
    /// This, byte for byte.
    Exact(Arc<str>),
    /// Something the whole of which the expression matches.
    Expression(Arc<Expression>),
}

impl fmt::Display for ValuePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(value) => write!(f, "`{value}`"),
            Self::Expression(expression) => write!(f, "expression `{expression}`"),
        }
    }
}

/// What a header must be. A header sent several times is compared as its values joined by `,`; `host` stands for the authority,
/// whichever way the protocol carries it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HeaderMatch {
    /// The name.
    pub name: HeaderName,
    /// What its value must be.
    pub value: ValuePattern,
}

/// What a query parameter must be. Of a parameter sent several times the first value counts. Names and values are compared
/// after percent-decoding, in which `+` is a space.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QueryMatch {
    /// The name, case-sensitive.
    pub name: Arc<str>,
    /// What its value must be.
    pub value: ValuePattern,
}

/// One entry of a rule's `matches`; all that it asks must hold. The rule of a TLSRoute, TCPRoute or UDPRoute has one that asks
/// nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// What the path must be.
    pub path: PathPattern,
    /// What the method must be; `None` for any.
    pub method: Option<Method>,
    /// What headers must be.
    pub headers: Box<[HeaderMatch]>,
    /// What query parameters must be.
    pub queries: Box<[QueryMatch]>,
    /// The age of the route.
    pub age: Age,
    /// Its index among the rule's matches.
    pub index: usize,
    /// The rule.
    pub rule: Arc<Rule>,
}

/// How old a route counts. Lesser is older.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Age {
    order: i64,
    created: Created,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Created {
    At(i64),
    #[default]
    Never,
}

impl Age {
    /// `order` is what an annotation says, without one 0: a lower one goes before all ages. `created` is the creation timestamp
    /// in seconds since 1970; a route without one is the youngest.
    pub fn new(order: Option<i64>, created: Option<i64>) -> Self {
        Self { order: order.unwrap_or(0), created: created.map_or(Created::Never, Created::At) }
    }
}

/// How a match ranks among those that hold for a request. Greater wins. The order of these fields is the order of precedence
/// (`HTTPRouteSpec.Hostnames`, then `HTTPRouteRule.Matches` and `GRPCRouteRule.Matches`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank<'a> {
    host: HostRank,
    path: PathRank,
    method: bool,
    headers: usize,
    queries: usize,
    age: Reverse<Age>,
    route: Reverse<(&'a ObjectName, &'a Kind)>,
    rule: Reverse<usize>,
    index: Reverse<usize>,
}

/// How the route's own host name ranks: an exact one before wildcards, then by characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum HostRank {
    Any,
    Wildcard(usize),
    Exact(usize),
}

/// How a path pattern ranks. The place of expressions, and that longer ones go first, is ours to choose; and that for a call the
/// GRPCRoutes of a host name go before its HTTPRoutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum PathRank {
    Stream,
    Prefix(usize),
    Expression(usize),
    Exact,
    Call(CallRank),
}

impl Match {
    /// How the match ranks under a host name as the route writes it.
    pub fn rank(&self, host: Option<&str>) -> Rank<'_> {
        let id = &self.rule.id;
        Rank {
            host: match Tier::of(host) {
                Tier::Exact(name) => HostRank::Exact(name.len()),
                Tier::Wildcard(suffix) => HostRank::Wildcard(suffix.len()),
                Tier::Any => HostRank::Any,
            },
            path: match &self.path {
                PathPattern::Exact(_) => PathRank::Exact,
                PathPattern::Prefix(path) => PathRank::Prefix(path.len()),
                PathPattern::Expression(expression) => PathRank::Expression(expression.as_str().len()),
                PathPattern::Call(call) => PathRank::Call(call.rank()),
                PathPattern::Stream => PathRank::Stream,
            },
            method: self.method.is_some(),
            headers: self.headers.len(),
            queries: self.queries.len(),
            age: Reverse(self.age),
            route: Reverse((&id.route.name, &id.route.kind)),
            rule: Reverse(id.index),
            index: Reverse(self.index),
        }
    }
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path)?;
        if let Some(method) = &self.method {
            write!(f, ", method {method}")?;
        }
        for header in &self.headers {
            write!(f, ", header {} {}", header.name, header.value)?;
        }
        for query in &self.queries {
            write!(f, ", query parameter {} {}", query.name, query.value)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Action;
    use crate::snapshot::fixture::{marker, path, rule};

    #[test]
    fn the_older_route_is_lesser_and_one_without_a_timestamp_is_the_youngest() {
        let ages = [(Some(-1), None), (None, Some(1)), (None, Some(2)), (None, None), (Some(1), Some(0))];
        let ages = ages.map(|(order, created)| Age::new(order, created));
        assert!(ages.is_sorted_by(|a, b| a < b), "{ages:?}");
    }

    #[test]
    fn the_first_criterion_that_differs_decides() {
        let on = |written: &str, route: &str| path(written, &marker(route));
        let second_rule = Arc::new(rule("a", 1, Action::Fail("".into())));
        let ranked = [
            (Some("longer.example.com"), on("/", "z")),
            (Some("a.example.com"), on("=/a", "z")),
            (Some("a.example.com"), on("~/abc.*", "z")),
            (Some("a.example.com"), on("~/a.*", "a")),
            (Some("a.example.com"), on("/longer/still", "z")),
            (Some("a.example.com"), on("/longer/", "z").with_method("GET")),
            (Some("a.example.com"), on("/longer", "z").with_header("a", "1").with_header("b", "1")),
            (Some("a.example.com"), on("/longer", "z").with_header("a", "1").with_query("c", "1")),
            (Some("a.example.com"), on("/longer", "z").with_header("a", "1")),
            (Some("a.example.com"), on("/longer", "z").with_query("a", "1").with_query("b", "1")),
            (Some("a.example.com"), on("/longer", "z").with_query("a", "1")),
            (Some("a.example.com"), on("/longer", "z").with_age(1)),
            (Some("a.example.com"), on("/longer", "a-b").with_age(2)),
            (Some("a.example.com"), on("/longer", "a").with_age(3)),
            (Some("a.example.com"), Match { index: 1, ..on("/longer", "a").with_age(3) }),
            (Some("a.example.com"), path("/longer", &second_rule).with_age(3)),
            (Some("a.example.com"), on("/longer", "b").with_age(3)),
            (Some("a.example.com"), on("/longer", "a")),
            (Some("*.a.example.com"), on("=/a", "a")),
            (Some("*.example.com"), on("=/a", "a")),
            (None, on("=/a", "a")),
        ];
        let ranks: Vec<_> = ranked.iter().map(|(host, matched)| matched.rank(*host)).collect();
        assert!(ranks.is_sorted_by(|better, worse| better > worse), "{ranks:#?}");
    }

    #[test]
    fn paths_are_written_in_the_form_in_which_requests_are_compared() {
        assert_eq!(PathPattern::prefix("/abc/"), PathPattern::Prefix("/abc".into()));
        assert_eq!(PathPattern::prefix("/"), PathPattern::Prefix("".into()));
        assert_eq!(PathPattern::exact("/%7euser/a%2fb/"), PathPattern::Exact("/~user/a%2Fb/".into()));
        assert_eq!(PathPattern::exact("/100%"), PathPattern::Exact("/100%".into()), "no request has it, so it never matches");
    }
}
