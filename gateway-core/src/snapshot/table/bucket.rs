//! The candidates of one place, the best first, with what helps to compare many of them quickly.
//!
//! In: matches sorted by rank. Out: the same, each with the numbers of the columns its questions stand in. A column is a header or
//! parameter that candidates of the bucket ask for; a request looks each up once, however many candidates ask.

use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderName;

use crate::snapshot::map::Seed;
use crate::snapshot::matching::Match;

/// Header columns of a bucket at most; what does not fit is looked up for each candidate.
pub(crate) const HEADER_COLUMNS: usize = 32;

/// Query columns for which a parameter is compared with each; with more columns, names are hashed.
pub(crate) const QUERY_COLUMNS: usize = 8;

/// Candidates for which headers are looked up one by one.
const FEW: usize = 8;

/// Stands for a header without a column.
const NONE: u8 = u8::MAX;

/// Candidates, the best first. Compared by their content.
#[derive(Debug)]
pub(crate) struct Bucket {
    matches: Box<[Arc<Match>]>,
    headers: Option<Box<HeaderColumns>>,
    queries: Option<Box<QueryColumns>>,
}

#[derive(Debug)]
struct HeaderColumns {
    names: Box<[HeaderName]>,
    /// For each header of each candidate in turn, its column.
    of: Box<[u8]>,
}

#[derive(Debug)]
struct QueryColumns {
    names: Box<[Arc<str>]>,
    /// For each parameter of each candidate in turn, its column.
    of: Box<[u32]>,
    /// The column of a name, where there are more than `QUERY_COLUMNS`.
    by_name: Option<HashMap<Arc<str>, u32, Seed>>,
}

/// A candidate and where its questions stand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate<'a> {
    pub(crate) matched: &'a Arc<Match>,
    headers: &'a [u8],
    queries: &'a [u32],
}

impl Bucket {
    /// The bucket of these matches, sorted by rank.
    pub(crate) fn new(matches: Vec<Arc<Match>>, seed: Seed) -> Self {
        debug_assert!(matches.is_sorted_by(|a, b| a.rank(None) >= b.rank(None)), "candidates stand by rank");
        let headers = HeaderColumns::of(&matches);
        let queries = QueryColumns::of(&matches, seed);
        Self { matches: matches.into(), headers, queries }
    }

    /// The matches.
    pub(crate) fn matches(&self) -> &[Arc<Match>] {
        &self.matches
    }

    /// The candidates.
    pub(crate) fn candidates(&self) -> impl Iterator<Item = Candidate<'_>> {
        let mut headers = self.headers.as_ref().map_or(&[][..], |columns| &columns.of);
        let mut queries = self.queries.as_ref().map_or(&[][..], |columns| &columns.of);
        self.matches.iter().map(move |matched| Candidate {
            matched,
            headers: take(&mut headers, matched.headers.len()),
            queries: take(&mut queries, matched.queries.len()),
        })
    }

    /// The headers that have a column, at most `HEADER_COLUMNS`.
    pub(crate) fn header_names(&self) -> &[HeaderName] {
        self.headers.as_ref().map_or(&[], |columns| &columns.names)
    }

    /// The query parameters that have a column: all that candidates ask for.
    pub(crate) fn query_names(&self) -> &[Arc<str>] {
        self.queries.as_ref().map_or(&[], |columns| &columns.names)
    }

    /// The column of a query parameter, where the bucket has more than `QUERY_COLUMNS`.
    pub(crate) fn hashed_query_column(&self, name: &str) -> Option<usize> {
        let by_name = self.queries.as_ref()?.by_name.as_ref()?;
        by_name.get(name).map(|column| *column as usize)
    }
}

impl Candidate<'_> {
    /// The column of the header match with this index.
    pub(crate) fn header_column(&self, index: usize) -> Option<usize> {
        self.headers.get(index).filter(|column| **column != NONE).map(|column| usize::from(*column))
    }

    /// The column of the query match with this index.
    pub(crate) fn query_column(&self, index: usize) -> Option<usize> {
        self.queries.get(index).map(|column| *column as usize)
    }
}

impl HeaderColumns {
    fn of(matches: &[Arc<Match>]) -> Option<Box<Self>> {
        if matches.len() <= FEW || matches.iter().all(|matched| matched.headers.is_empty()) {
            return None;
        }
        let mut names: Vec<HeaderName> = Vec::new();
        let mut of: Vec<u8> = Vec::with_capacity(matches.len());
        let mut last = 0;
        for header in matches.iter().flat_map(|matched| &matched.headers) {
            // Neighbours mostly ask for the same header.
            let column = match names.get(last) {
                Some(name) if *name == header.name => Some(last),
                _ => names.iter().position(|name| *name == header.name),
            };
            let column = column.or_else(|| {
                (names.len() < HEADER_COLUMNS).then(|| {
                    names.push(header.name.clone());
                    names.len() - 1
                })
            });
            last = column.unwrap_or(last);
            of.push(column.and_then(|column| u8::try_from(column).ok()).unwrap_or(NONE));
        }
        Some(Box::new(Self { names: names.into(), of: of.into() }))
    }
}

impl QueryColumns {
    fn of(matches: &[Arc<Match>], seed: Seed) -> Option<Box<Self>> {
        if matches.iter().all(|matched| matched.queries.is_empty()) {
            return None;
        }
        let mut by_name: HashMap<Arc<str>, u32, Seed> = HashMap::with_hasher(seed);
        let mut names: Vec<Arc<str>> = Vec::new();
        let mut of = Vec::with_capacity(matches.len());
        for query in matches.iter().flat_map(|matched| &matched.queries) {
            let column = *by_name.entry(Arc::clone(&query.name)).or_insert_with(|| {
                names.push(Arc::clone(&query.name));
                u32::try_from(names.len() - 1).unwrap_or(u32::MAX)
            });
            of.push(column);
        }
        let by_name = (names.len() > QUERY_COLUMNS).then_some(by_name);
        Some(Box::new(Self { names: names.into(), of: of.into(), by_name }))
    }
}

/// The first `count` of what is left, which it shortens; fewer where there are fewer.
fn take<'a, T>(left: &mut &'a [T], count: usize) -> &'a [T] {
    let (taken, rest) = left.split_at(count.min(left.len()));
    *left = rest;
    taken
}
