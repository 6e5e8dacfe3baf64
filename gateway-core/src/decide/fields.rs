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

use crate::admit::host;
use crate::snapshot::matching::path::digit;
use crate::snapshot::matching::{HeaderMatch, LONGEST, QueryMatch, TooLong, ValuePattern};
use crate::snapshot::{Bucket, HEADER_COLUMNS, QUERY_COLUMNS};

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

/// The values one bucket of candidates asks for.
pub(crate) struct Fields<'a> {
    head: &'a Parts,
    bucket: &'a Bucket,
    /// By column. Looked up when first asked for.
    headers: Option<[Field<'a>; HEADER_COLUMNS]>,
    queries: Option<Parameters<'a>>,
}

enum Parameters<'a> {
    Few([Option<Parameter<'a>>; QUERY_COLUMNS]),
    Many(Vec<Option<Parameter<'a>>>),
}

impl<'a> Fields<'a> {
    pub(crate) fn new(head: &'a Parts, bucket: &'a Bucket) -> Self {
        Self { head, bucket, headers: None, queries: None }
    }

    /// Whether a header, which stands in this column if in any, is what a match asks for.
    pub(crate) fn header_is(&mut self, wanted: &HeaderMatch, column: Option<usize>) -> Result<bool, TooLong> {
        let Some(column) = column else { return Field::of(self.head, &wanted.name).is(&wanted.value) };
        let (head, bucket) = (self.head, self.bucket);
        let fields = self.headers.get_or_insert_with(|| {
            let mut fields = [const { Field::Absent }; HEADER_COLUMNS];
            for (field, name) in fields.iter_mut().zip(bucket.header_names()) {
                *field = Field::of(head, name);
            }
            fields
        });
        fields.get(column).map_or(Ok(false), |field| field.is(&wanted.value))
    }

    /// Whether the query parameter in this column is what a match asks for.
    pub(crate) fn query_is(&mut self, wanted: &QueryMatch, column: Option<usize>) -> Result<bool, TooLong> {
        let (head, bucket) = (self.head, self.bucket);
        let parameters = self.queries.get_or_insert_with(|| Parameters::new(head, bucket));
        let value = column.and_then(|column| parameters.get(column));
        value.map_or(Ok(false), |value| value.is(&wanted.value))
    }
}

impl<'a> Parameters<'a> {
    fn get(&self, column: usize) -> Option<Parameter<'a>> {
        match self {
            Self::Few(values) => values.get(column).copied().flatten(),
            Self::Many(values) => values.get(column).copied().flatten(),
        }
    }

    /// One pass over the query.
    fn new(head: &'a Parts, bucket: &Bucket) -> Self {
        let names = bucket.query_names();
        if names.len() <= QUERY_COLUMNS {
            let mut values = [None; QUERY_COLUMNS];
            for (name, value) in parameters(head) {
                if let Some(column) = names.iter().position(|known| is_decoded(name, known.as_bytes())) {
                    values[column].get_or_insert(value);
                }
            }
            Self::Few(values)
        } else {
            let mut values = vec![None; names.len()];
            for (name, value) in parameters(head) {
                let name = decoded(name, usize::MAX);
                let column = std::str::from_utf8(&name).ok().and_then(|name| bucket.hashed_query_column(name));
                if let Some(slot) = column.and_then(|column| values.get_mut(column)) {
                    slot.get_or_insert(value);
                }
            }
            Self::Many(values)
        }
    }
}

/// The first value of the query parameter with this name.
pub(crate) fn parameter<'a>(head: &'a Parts, name: &str) -> Option<Parameter<'a>> {
    parameters(head).find(|(known, _)| is_decoded(known, name.as_bytes())).map(|(_, value)| value)
}

fn parameters(head: &Parts) -> impl Iterator<Item = (&str, Parameter<'_>)> {
    let pairs = head.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').map_or((pair, Parameter("")), |(name, value)| (name, Parameter(value))))
}

impl<'a> Field<'a> {
    /// The header with this name; Host is the authority.
    pub(crate) fn of(head: &'a Parts, name: &HeaderName) -> Self {
        if *name == HOST {
            return host::written(head).map_or(Self::Absent, Self::One);
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
