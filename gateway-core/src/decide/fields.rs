//! What a request says in its headers and its query, as matches ask for it.
//!
//! In: a head, and the names a bucket of candidates asks for. Out: values, each looked up once for a bucket, and comparisons that
//! copy nothing but for an expression over a value in pieces or with escapes.
//!
//! A header sent several times is its values joined by `,`. Of a query parameter the first value counts; `+` is a space, and an
//! escape that is none stands for itself.

use std::borrow::Cow;

use http::header::{GetAll, HOST};
use http::request::Parts;
use http::{HeaderName, HeaderValue};

use super::walk::Miss;
use crate::admit::host;
use crate::snapshot::matching::path::digit;
use crate::snapshot::matching::{HeaderMatch, LONGEST, QueryMatch, TooLong, ValuePattern};
use crate::snapshot::{Asks, Columns, Gate, HEADER_COLUMNS, Print, QUERY_COLUMNS, Seed};

/// The value of a header.
#[derive(Debug)]
pub(crate) enum Field<'a> {
    Absent,
    One(&'a [u8]),
    Several(GetAll<'a, HeaderValue>),
}

/// The value of a query parameter, as sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameter<'a>(&'a str);

/// The values that the columns of one bucket ask for, each looked up once and when first asked for.
pub(crate) struct Fields<'a> {
    head: &'a Parts,
    authority: Option<&'a [u8]>,
    seed: Seed,
    columns: Option<&'a Columns>,
    headers: Option<Headers<'a>>,
    queries: Option<Parameters<'a>>,
}

/// By column.
struct Headers<'a> {
    fields: [Field<'a>; HEADER_COLUMNS],
    /// By themselves, because some are read often.
    briefs: [Brief; HEADER_COLUMNS],
}

/// A value in brief.
#[derive(Clone, Copy, Debug)]
enum Brief {
    Absent,
    Print(Print),
    /// It would have to be copied first.
    Unknown,
}

type Known<'a> = Option<(Parameter<'a>, Brief)>;

enum Parameters<'a> {
    Few([Known<'a>; QUERY_COLUMNS]),
    Many(Vec<Known<'a>>),
}

impl<'a> Fields<'a> {
    pub(crate) fn new(head: &'a Parts, authority: Option<&'a [u8]>, seed: Seed, columns: Option<&'a Columns>) -> Self {
        Self { head, authority, seed, columns, headers: None, queries: None }
    }

    /// What a gate asks for that is not there. In line, since thousands of candidates may be told apart by it alone.
    #[inline]
    pub(crate) fn stop(&mut self, gate: &Gate) -> Option<Miss> {
        let (brief, miss) = match gate.asks {
            Asks::Nothing => return None,
            Asks::Header => (self.headers().briefs.get(usize::from(gate.column)).copied(), Miss::Header(gate.index.into())),
            Asks::Query => (self.parameters().get(gate.column.into()).map(|(_, brief)| brief), Miss::Query(gate.index.into())),
        };
        let may_be = match brief {
            None | Some(Brief::Absent) => false,
            Some(Brief::Print(print)) => print == gate.print,
            Some(Brief::Unknown) => true,
        };
        (!may_be).then_some(miss)
    }

    /// Whether a header, which stands in this column if in any, is what a match asks for.
    pub(crate) fn header_is(&mut self, wanted: &HeaderMatch, column: Option<usize>) -> Result<bool, TooLong> {
        match column {
            Some(column) => self.headers().fields.get(column).map_or(Ok(false), |field| field.is(&wanted.value)),
            None => Field::of(self.head, self.authority, &wanted.name).is(&wanted.value),
        }
    }

    /// Whether the query parameter in this column is what a match asks for.
    pub(crate) fn query_is(&mut self, wanted: &QueryMatch, column: Option<usize>) -> Result<bool, TooLong> {
        let value = column.and_then(|column| self.parameters().get(column));
        value.map_or(Ok(false), |(value, _)| value.is(&wanted.value))
    }

    #[inline]
    fn headers(&mut self) -> &Headers<'a> {
        let (head, authority, seed, columns) = (self.head, self.authority, self.seed, self.columns);
        self.headers.get_or_insert_with(|| Headers::new(head, authority, seed, columns))
    }

    fn parameters(&mut self) -> &Parameters<'a> {
        let (head, seed, columns) = (self.head, self.seed, self.columns);
        self.queries.get_or_insert_with(|| Parameters::new(head, seed, columns))
    }
}

impl<'a> Headers<'a> {
    #[cold]
    fn new(head: &'a Parts, authority: Option<&'a [u8]>, seed: Seed, columns: Option<&Columns>) -> Self {
        let mut headers = Self { fields: [const { Field::Absent }; HEADER_COLUMNS], briefs: [Brief::Absent; HEADER_COLUMNS] };
        let names = columns.map_or(&[][..], |columns| &columns.headers);
        for ((field, brief), name) in headers.fields.iter_mut().zip(&mut headers.briefs).zip(names) {
            *field = Field::of(head, authority, name);
            *brief = field.brief(seed);
        }
        headers
    }
}

impl<'a> Parameters<'a> {
    fn get(&self, column: usize) -> Known<'a> {
        match self {
            Self::Few(values) => values.get(column).copied().flatten(),
            Self::Many(values) => values.get(column).copied().flatten(),
        }
    }

    /// One pass over the query.
    fn new(head: &'a Parts, seed: Seed, columns: Option<&Columns>) -> Self {
        let mut few = [None; QUERY_COLUMNS];
        let Some(columns) = columns else { return Self::Few(few) };
        if columns.queries.len() <= QUERY_COLUMNS {
            for (name, value) in parameters(head) {
                if let Some(column) = columns.queries.iter().position(|known| is_decoded(name, known.as_bytes())) {
                    few[column].get_or_insert_with(|| (value, value.brief(seed)));
                }
            }
            return Self::Few(few);
        }
        let mut many = vec![None; columns.queries.len()];
        for (name, value) in parameters(head) {
            let name = decoded(name, usize::MAX);
            let column = std::str::from_utf8(&name).ok().and_then(|name| columns.hashed_query(name));
            if let Some(known) = column.and_then(|column| many.get_mut(column)) {
                known.get_or_insert_with(|| (value, value.brief(seed)));
            }
        }
        Self::Many(many)
    }
}

/// The first value of the query parameter with this name.
pub(crate) fn parameter<'a>(head: &'a Parts, name: &str) -> Option<Parameter<'a>> {
    parameters(head).find(|(known, _)| is_decoded(known, name.as_bytes())).map(|(_, value)| value)
}

fn parameters(head: &Parts) -> impl Iterator<Item = (&str, Parameter<'_>)> {
    let pairs = head.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| match pair.bytes().position(|byte| byte == b'=') {
        Some(at) => (&pair[..at], Parameter(&pair[at + 1..])),
        None => (pair, Parameter("")),
    })
}

impl<'a> Field<'a> {
    /// The header with this name; Host is the authority: the one that is given, empty for none, else the head's.
    pub(crate) fn of(head: &'a Parts, authority: Option<&'a [u8]>, name: &HeaderName) -> Self {
        if *name == HOST {
            let authority = authority.or_else(|| host::written(head)).filter(|authority| !authority.is_empty());
            return authority.map_or(Self::Absent, Self::One);
        }
        let all = head.headers.get_all(name);
        let mut values = all.iter();
        match (values.next(), values.next()) {
            (None, _) => Self::Absent,
            (Some(value), None) => Self::One(value.as_bytes()),
            (Some(_), Some(_)) => Self::Several(all),
        }
    }

    /// Whether the value is what a match asks for.
    pub(crate) fn is(&self, wanted: &ValuePattern) -> Result<bool, TooLong> {
        match (self, wanted) {
            (Self::Absent, _) => Ok(false),
            (Self::One(value), ValuePattern::Exact(wanted)) => Ok(*value == wanted.as_bytes()),
            (Self::Several(values), ValuePattern::Exact(wanted)) => Ok(is_joined(values, wanted.as_bytes())),
            (Self::One(value), ValuePattern::Expression(expression)) => expression.matches(value),
            (Self::Several(values), ValuePattern::Expression(expression)) => expression.matches(&joined(values, LONGEST + 1)),
        }
    }

    fn brief(&self, seed: Seed) -> Brief {
        match self {
            Self::Absent => Brief::Absent,
            Self::One(value) => Brief::Print(Print::of(value, seed)),
            Self::Several(_) => Brief::Unknown,
        }
    }

    /// The value for a person to read.
    pub(crate) fn text(self) -> Option<String> {
        match self {
            Self::Absent => None,
            Self::One(value) => Some(String::from_utf8_lossy(value).into_owned()),
            Self::Several(values) => Some(String::from_utf8_lossy(&joined(&values, LONGEST)).into_owned()),
        }
    }
}

impl Parameter<'_> {
    /// Whether the value is what a match asks for.
    pub(crate) fn is(self, wanted: &ValuePattern) -> Result<bool, TooLong> {
        match wanted {
            ValuePattern::Exact(wanted) => Ok(is_decoded(self.0, wanted.as_bytes())),
            ValuePattern::Expression(expression) => expression.matches(&decoded(self.0, LONGEST + 1)),
        }
    }

    fn brief(self, seed: Seed) -> Brief {
        match decoded(self.0, 0) {
            Cow::Borrowed(value) => Brief::Print(Print::of(value, seed)),
            Cow::Owned(_) => Brief::Unknown,
        }
    }

    /// The value for a person to read.
    pub(crate) fn text(self) -> String {
        String::from_utf8_lossy(&decoded(self.0, LONGEST)).into_owned()
    }
}

/// The values joined by `,`, at most `limit` bytes of them.
fn joined(values: &GetAll<'_, HeaderValue>, limit: usize) -> Vec<u8> {
    let mut whole = Vec::new();
    for (index, value) in values.iter().enumerate() {
        if whole.len() >= limit {
            break;
        }
        if index > 0 {
            whole.push(b',');
        }
        let left = limit - whole.len();
        whole.extend(value.as_bytes().iter().take(left));
    }
    whole
}

/// Whether the values joined by `,` are this.
fn is_joined(values: &GetAll<'_, HeaderValue>, mut wanted: &[u8]) -> bool {
    for (index, value) in values.iter().enumerate() {
        let rest = if index > 0 { wanted.strip_prefix(b",") } else { Some(wanted) };
        let Some(rest) = rest.and_then(|rest| rest.strip_prefix(value.as_bytes())) else { return false };
        wanted = rest;
    }
    wanted.is_empty()
}

/// At most `limit` bytes of a name or value of a query without its escapes.
fn decoded(written: &str, limit: usize) -> Cow<'_, [u8]> {
    if written.bytes().any(|byte| byte == b'%' || byte == b'+') {
        Cow::Owned(bytes(written).take(limit).collect())
    } else {
        Cow::Borrowed(written.as_bytes())
    }
}

/// Whether a name or value of a query is this.
fn is_decoded(written: &str, wanted: &[u8]) -> bool {
    // Three bytes make one at best.
    written.len() >= wanted.len() && written.len() / 3 <= wanted.len() && bytes(written).eq(wanted.iter().copied())
}

/// The bytes of a name or value of a query without its escapes.
fn bytes(written: &str) -> impl Iterator<Item = u8> {
    let mut rest = written.as_bytes();
    std::iter::from_fn(move || {
        let (first, after) = rest.split_first()?;
        rest = after;
        match first {
            b'+' => Some(b' '),
            b'%' => {
                let digits = after.first().copied().and_then(digit).zip(after.get(1).copied().and_then(digit));
                let Some((high, low)) = digits else { return Some(b'%') };
                rest = &after[2..];
                Some(high << 4 | low)
            }
            plain => Some(*plain),
        }
    })
}
