//! What tells the candidates of one place apart: the methods, headers and query parameters they ask for.
//!
//! In: a place, and the candidates that a request there meets on both sides. Out: what requests are to say there: nothing; what each
//! candidate asks for, the method of one that asks for none being one that no other does; each single thing; all that go together; and
//! pairs. All of what the place's own candidates ask is asked, of the rest a bounded part.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use http::Method;

use crate::admit::{Reason, admit};
use crate::decide::walk::{Miss, Stand, Visitor, walk};
use crate::snapshot::Snapshot;
use crate::snapshot::matching::{Match, ValuePattern};

use super::places::{Omitted, Place};
use super::request::{Criteria, Request};

/// Combinations at one place beyond what its own candidates ask.
const MOST: usize = 32;

/// Texts of an expression for a header or parameter.
const TEXTS: usize = 4;

/// What requests say at a place.
pub(super) fn combinations(
    plain: &Request,
    place: &Place<'_>,
    sides: [&Arc<Snapshot>; 2],
    omitted: &mut Omitted,
) -> BTreeSet<Criteria> {
    let met: Vec<Arc<Match>> = sides.into_iter().flat_map(|snapshot| met(snapshot, plain)).collect();
    let methods: BTreeSet<&str> = met.iter().filter_map(|matched| matched.method.as_ref()).map(Method::as_str).collect();
    let neutral = ["GET", "POST", "PUT", "DELETE", "PATCH", "OTHER"].into_iter().find(|method| !methods.contains(method));
    let neutral = if plain.is_call { None } else { neutral.filter(|method| *method != "GET") };
    let mut said: BTreeSet<Criteria> = BTreeSet::from([Criteria::default()]);
    for matched in &place.own {
        said.extend(whole(matched, neutral, omitted));
    }
    let mut others: BTreeSet<Criteria> = BTreeSet::new();
    for matched in &met {
        others.extend(whole(matched, neutral, &mut Omitted::default()));
    }
    let all: Vec<Criteria> = others.iter().cloned().collect();
    let together = all.iter().fold(Criteria::default(), |both, one| both.with(one).unwrap_or(both));
    let singles: BTreeSet<Criteria> = all.iter().flat_map(singles).collect();
    let pairs = all.iter().enumerate().flat_map(|(at, one)| all[at + 1..].iter().filter_map(|other| one.with(other)));
    // Pairs of many candidates are more than can be looked at.
    let unseen = all.len().saturating_mul(all.len().saturating_sub(1)) / 2;
    let mut left = 0;
    let mut room = MOST;
    for one in [together].into_iter().chain(others).chain(singles).chain(pairs.take(4 * MOST)) {
        if said.contains(&one) {
            continue;
        }
        if room == 0 {
            left += 1;
        } else {
            room -= 1;
            said.insert(one);
        }
    }
    omitted.left_out += left + unseen.saturating_sub(4 * MOST);
    said
}

/// The candidates that a request meets, whatever they ask beside the path.
fn met(snapshot: &Arc<Snapshot>, plain: &Request) -> Vec<Arc<Match>> {
    let Some(head) = plain.head() else { return Vec::new() };
    let Ok(admitted) = admit(snapshot, &plain.arrival(snapshot), &head) else { return Vec::new() };
    let mut all = All(Vec::new());
    // A value that is too long for an expression ends the walk; what was met until then is asked about.
    let _ = walk(&admitted, &head, &mut all);
    all.0
}

/// Keeps every candidate whose path holds.
struct All(Vec<Arc<Match>>);

impl<'a> Visitor<'a> for All {
    fn miss(&mut self, candidate: Stand<'a>, miss: Miss) {
        if miss != Miss::Path {
            self.0.push(Arc::clone(candidate.matched));
        }
    }

    fn hit(&mut self, candidate: Stand<'a>) -> ControlFlow<()> {
        self.0.push(Arc::clone(candidate.matched));
        ControlFlow::Continue(())
    }

    fn too_long(&mut self, _: Stand<'a>, _: &Reason) {}
}

/// All that a candidate asks, a few times where it asks for expressions, with other texts that they match; where it asks for no method,
/// also with the neutral one; where its rule answers preflights, the one for it. Nothing where no text is known that one of its
/// expressions matches.
fn whole(matched: &Arc<Match>, neutral: Option<&str>, omitted: &mut Omitted) -> Vec<Criteria> {
    let headers = matched.headers.iter().map(|header| &header.value);
    let mut values = headers.chain(matched.queries.iter().map(|query| &query.value));
    let texts = if values.any(|value| matches!(value, ValuePattern::Expression(_))) { TEXTS } else { 1 };
    (0..texts).flat_map(|nth| saying(matched, nth, neutral, omitted)).collect()
}

/// The same with the `nth` text of each expression, counted round.
fn saying(matched: &Arc<Match>, nth: usize, neutral: Option<&str>, omitted: &mut Omitted) -> Vec<Criteria> {
    let mut all = Criteria { method: matched.method.as_ref().map(|method| method.as_str().to_owned()), ..Criteria::default() };
    for header in &matched.headers {
        let Some(value) = text(&header.value, nth) else {
            omitted.tell_value(matched, &header.value, "header");
            return Vec::new();
        };
        all.headers.insert(header.name.as_str().to_owned(), value);
    }
    for query in &matched.queries {
        let Some(value) = text(&query.value, nth) else {
            omitted.tell_value(matched, &query.value, "query parameter");
            return Vec::new();
        };
        all.queries.insert(query.name.to_string(), value);
    }
    if all.headers.contains_key("host") {
        // A host that is a candidate's own question is asked about where it is the request's.
        all.headers.remove("host");
    }
    let mut ways = vec![all.clone()];
    if all.method.is_none() {
        ways.extend(neutral.map(|method| Criteria { method: Some(method.to_owned()), ..all.clone() }));
    }
    if matched.rule.has_cors() {
        ways.push(preflight(&all));
    }
    ways
}

/// The preflight for a request that says this.
fn preflight(asked: &Criteria) -> Criteria {
    let names: Vec<&str> = asked.headers.keys().map(String::as_str).collect();
    let mut headers = vec![
        ("origin", "https://other.invalid".to_owned()),
        ("access-control-request-method", asked.method.clone().unwrap_or_else(|| "GET".to_owned())),
    ];
    if !names.is_empty() {
        headers.push(("access-control-request-headers", names.join(",")));
    }
    let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Criteria { method: Some("OPTIONS".to_owned()), headers, queries: asked.queries.clone() }
}

/// Each thing that is asked, alone.
fn singles(all: &Criteria) -> Vec<Criteria> {
    let Criteria { method, headers, queries } = all;
    let methods = method.iter().map(|method| Criteria { method: Some(method.clone()), ..Criteria::default() });
    let headers = headers.iter().map(|(name, value)| {
        let headers = [(name.clone(), value.clone())].into();
        Criteria { headers, ..Criteria::default() }
    });
    let queries = queries.iter().map(|(name, value)| {
        let queries = [(name.clone(), value.clone())].into();
        Criteria { queries, ..Criteria::default() }
    });
    methods.chain(headers).chain(queries).collect()
}

/// A value that a pattern takes; of those of an expression the `nth`, counted round.
fn text(pattern: &ValuePattern, nth: usize) -> Option<String> {
    match pattern {
        ValuePattern::Exact(value) => Some(value.to_string()),
        ValuePattern::Expression(expression) => {
            let texts = expression.witnesses();
            let mut texts: Vec<_> = texts.into_iter().filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic())).collect();
            let at = nth.checked_rem(texts.len())?;
            Some(texts.swap_remove(at))
        }
    }
}

impl Omitted {
    fn tell_value(&mut self, matched: &Arc<Match>, value: &ValuePattern, of: &str) {
        if let ValuePattern::Expression(expression) = value {
            self.tell(&[matched], expression, of);
        }
    }
}
