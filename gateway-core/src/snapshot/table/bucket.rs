//! The candidates of one place, the best first, with what helps to compare many of them quickly.
//!
//! In: matches sorted by rank. Out: the same, each with the numbers of the columns its questions stand in. A column is a header or
//! parameter that candidates of the bucket ask for; a request looks each up once, however many candidates ask.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use http::HeaderName;

use crate::snapshot::map::Seed;
use crate::snapshot::matching::{Match, ValuePattern};

/// Header columns of a bucket at most; what does not fit is looked up for each candidate.
pub(crate) const HEADER_COLUMNS: usize = 32;

/// Query columns for which a parameter is compared with each; with more columns, names are hashed.
pub(crate) const QUERY_COLUMNS: usize = 8;

/// Candidates for which headers are looked up one by one.
const FEW: usize = 8;

/// Stands for a header without a column.
const NONE: u8 = u8::MAX;

/// Candidates, the best first.
#[derive(Debug)]
pub(crate) struct Bucket {
    matches: Box<[Arc<Match>]>,
    /// Where there are many candidates, or any asks for a query parameter.
    columns: Option<Box<Columns>>,
}

/// The columns of a bucket.
#[derive(Debug)]
pub(crate) struct Columns {
    /// The headers that have a column, at most `HEADER_COLUMNS`.
    pub(crate) headers: Box<[HeaderName]>,
    /// All query parameters that candidates ask for.
    pub(crate) queries: Box<[Arc<str>]>,
    /// The column of a query parameter, where there are more than `QUERY_COLUMNS`.
    by_name: Option<HashMap<Arc<str>, u32, Seed>>,
    /// For each candidate, what to look at first. By themselves, because all of them are read.
    gates: Box<[Gate]>,
    /// For each candidate, where its headers begin in `of_headers` and its parameters in `of_queries`.
    starts: Box<[(u32, u32)]>,
    /// For each header of each candidate in turn, its column.
    of_headers: Box<[u8]>,
    /// For each parameter of each candidate in turn, its column.
    of_queries: Box<[u32]>,
}

/// One value a candidate asks for, in brief: where the request's differs, the candidate need not be looked at. Eight bytes, as
/// thousands of them are read in a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gate {
    pub(crate) print: Print,
    pub(crate) column: u16,
    /// The index of the question among the candidate's headers or parameters.
    pub(crate) index: u8,
    pub(crate) asks: Asks,
}

/// What a gate is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    /// Nothing that could be told in brief.
    Nothing,
    Header,
    Query,
}

/// A hash of a value. Equal values have equal ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Print(u32);

impl Print {
    pub(crate) fn of(value: &[u8], seed: Seed) -> Self {
        // The upper half is as well mixed.
        Self((seed.hash_one(value) >> 32) as u32)
    }
}

/// A candidate and where its questions stand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate<'a> {
    pub(crate) matched: &'a Arc<Match>,
    gate: Option<&'a Gate>,
    columns: Option<&'a Columns>,
    at: usize,
}

impl Bucket {
    /// The bucket of these matches, sorted by rank.
    pub(crate) fn new(matches: Vec<Arc<Match>>, seed: Seed) -> Self {
        debug_assert!(matches.is_sorted_by(|a, b| a.rank(None) >= b.rank(None)), "candidates stand by rank");
        let columns = Columns::of(&matches, seed).map(Box::new);
        Self { matches: matches.into(), columns }
    }

    /// The matches.
    pub(crate) fn matches(&self) -> &[Arc<Match>] {
        &self.matches
    }

    /// The columns, if there are any.
    pub(crate) fn columns(&self) -> Option<&Columns> {
        self.columns.as_deref()
    }

    /// The candidates.
    pub(crate) fn candidates(&self) -> impl Iterator<Item = Candidate<'_>> {
        let columns = self.columns.as_deref();
        let mut gates = columns.map_or(&[][..], |columns| &columns.gates).iter();
        let candidates = self.matches.iter().enumerate();
        candidates.map(move |(at, matched)| Candidate { matched, gate: gates.next(), columns, at })
    }
}

impl<'a> Candidate<'a> {
    /// What to look at first.
    pub(crate) fn gate(&self) -> Option<&'a Gate> {
        self.gate
    }

    /// The column of the header match with this index.
    pub(crate) fn header_column(&self, index: usize) -> Option<usize> {
        let columns = self.columns?;
        let (start, _) = columns.starts.get(self.at)?;
        let column = *columns.of_headers.get(*start as usize + index)?;
        (column != NONE).then_some(usize::from(column))
    }

    /// The column of the query match with this index.
    pub(crate) fn query_column(&self, index: usize) -> Option<usize> {
        let columns = self.columns?;
        let (_, start) = columns.starts.get(self.at)?;
        columns.of_queries.get(*start as usize + index).map(|column| *column as usize)
    }
}

impl Columns {
    /// The column of a query parameter, where there are more than `QUERY_COLUMNS`.
    pub(crate) fn hashed_query(&self, name: &str) -> Option<usize> {
        self.by_name.as_ref()?.get(name).map(|column| *column as usize)
    }

    fn of(matches: &[Arc<Match>], seed: Seed) -> Option<Self> {
        let are_many = matches.len() > FEW;
        let asks = |matched: &Arc<Match>| !matched.queries.is_empty() || are_many && !matched.headers.is_empty();
        if !matches.iter().any(asks) {
            return None;
        }
        let mut build = Build::new(seed, are_many);
        let rows = matches.iter().map(|matched| build.row(matched));
        let (gates, starts): (Vec<_>, Vec<_>) = rows.unzip();
        let hashed = build.queries.len() > QUERY_COLUMNS;
        Some(Self {
            headers: build.headers.into(),
            queries: build.queries.into(),
            by_name: hashed.then_some(build.by_name),
            gates: gates.into(),
            starts: starts.into(),
            of_headers: build.of_headers.into(),
            of_queries: build.of_queries.into(),
        })
    }
}

/// Columns being found.
struct Build {
    seed: Seed,
    are_many: bool,
    headers: Vec<HeaderName>,
    queries: Vec<Arc<str>>,
    by_name: HashMap<Arc<str>, u32, Seed>,
    of_headers: Vec<u8>,
    of_queries: Vec<u32>,
}

impl Build {
    fn new(seed: Seed, are_many: bool) -> Self {
        let by_name = HashMap::with_hasher(seed);
        let (headers, queries, of_headers, of_queries) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { seed, are_many, headers, queries, by_name, of_headers, of_queries }
    }

    /// The gate of the next candidate, and where its columns begin.
    fn row(&mut self, matched: &Match) -> (Gate, (u32, u32)) {
        let starts = (clamp(self.of_headers.len()), clamp(self.of_queries.len()));
        let mut gate = None;
        if self.are_many {
            for (index, header) in matched.headers.iter().enumerate() {
                let column = self.header_column(&header.name);
                self.of_headers.push(column.unwrap_or(NONE));
                gate = gate.or_else(|| self.gate(&header.value, Asks::Header, column?.into(), index));
            }
        }
        for (index, query) in matched.queries.iter().enumerate() {
            let column = self.query_column(&query.name);
            self.of_queries.push(column);
            gate = gate.or_else(|| self.gate(&query.value, Asks::Query, column, index));
        }
        (gate.unwrap_or(Gate { print: Print(0), column: 0, index: 0, asks: Asks::Nothing }), starts)
    }

    fn gate(&self, value: &ValuePattern, asks: Asks, column: u32, index: usize) -> Option<Gate> {
        match value {
            ValuePattern::Exact(value) if self.are_many => {
                let print = Print::of(value.as_bytes(), self.seed);
                Some(Gate { print, column: column.try_into().ok()?, index: index.try_into().ok()?, asks })
            }
            ValuePattern::Exact(_) | ValuePattern::Expression(_) => None,
        }
    }

    fn header_column(&mut self, name: &HeaderName) -> Option<u8> {
        // Neighbours mostly ask for the same header.
        let last = self.of_headers.last().map(|last| usize::from(*last));
        let known = last.filter(|last| self.headers.get(*last) == Some(name));
        let known = known.or_else(|| self.headers.iter().position(|known| known == name));
        let column = known.or_else(|| {
            (self.headers.len() < HEADER_COLUMNS).then(|| {
                self.headers.push(name.clone());
                self.headers.len() - 1
            })
        });
        column.and_then(|column| u8::try_from(column).ok())
    }

    fn query_column(&mut self, name: &Arc<str>) -> u32 {
        let next = clamp(self.queries.len());
        *self.by_name.entry(Arc::clone(name)).or_insert_with(|| {
            self.queries.push(Arc::clone(name));
            next
        })
    }
}

fn clamp(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
