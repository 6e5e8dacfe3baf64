//! Where configurations can differ: the hosts they speak of, and for each the paths that tell its patterns apart.
//!
//! In: the listeners of one socket on both sides. Out: hosts as requests name them, with a stranger for each wildcard and one for any
//! other host; and paths with the candidates that are at home there: an exact path itself, a prefix itself with a child and a sibling,
//! texts that an expression matches, a call with a stranger beside it. An expression of which no text is known is named instead.
//!
//! Patterns of less specific host names are asked about under a more specific one as well, up to a bound: what stands in front of them
//! there is what asking under their own name cannot see.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::snapshot::matching::path::{Slashes, normal};
use crate::snapshot::matching::{CallPattern, Expression, Match, PathPattern};
use crate::snapshot::{Listeners, Tier};

use super::request::Request;

/// Patterns of less specific host names that are asked about under one host.
const LOWER: usize = 64;

/// A host and what is asked about it.
#[derive(Debug)]
pub(super) struct Place<'a> {
    pub(super) path: Arc<str>,
    pub(super) is_call: bool,
    /// The candidates whose pattern leads here, on both sides.
    pub(super) own: Vec<&'a Arc<Match>>,
}

/// What cannot be asked, and how much is not.
#[derive(Debug, Default)]
pub(super) struct Omitted {
    /// Requests, or patterns of which not even one was made.
    pub(super) left_out: usize,
    /// For each expression of which no text is known, who asks it.
    pub(super) unknown: BTreeSet<String>,
}

/// The hosts that the listeners of a socket speak of, as requests name them. `None` is a connection that names none.
pub(super) fn hosts(sides: [Option<&Listeners>; 2]) -> BTreeSet<Arc<str>> {
    let mut written = BTreeSet::new();
    for site in sides.into_iter().flatten().flat_map(Listeners::sites) {
        written.insert(site.listener.hostname.clone());
        written.extend(site.table.sorted().map(|(tier, _)| match tier {
            Tier::Any => None,
            Tier::Exact(_) | Tier::Wildcard(_) => Some(tier.to_string().into()),
        }));
    }
    written.iter().map(|name| stranger(name.as_deref(), &written)).collect()
}

/// A host that a name as written covers, and that no more specific one of these does.
fn stranger(name: Option<&str>, written: &BTreeSet<Option<Arc<str>>>) -> Arc<str> {
    let suffix = match Tier::of(name) {
        Tier::Exact(name) => return name.into(),
        Tier::Wildcard(suffix) => suffix,
        Tier::Any => "invalid",
    };
    let is_taken = |host: &str| written.iter().flatten().any(|name| **name == *host);
    let mut label = "other".to_owned();
    while is_taken(&format!("{label}.{suffix}")) {
        label.push('x');
    }
    format!("{label}.{suffix}").into()
}

/// What is asked about one host.
pub(super) fn places<'a>(host: &str, sides: [Option<&'a Listeners>; 2], omitted: &mut Omitted) -> Vec<Place<'a>> {
    let (own, lower) = patterns(host, sides);
    let mut paths = Paths { taken: BTreeSet::new(), places: BTreeMap::new() };
    for pattern in own.keys().chain(lower.keys()) {
        if let PathPattern::Exact(path) | PathPattern::Prefix(path) = pattern {
            paths.taken.insert(path);
        }
    }
    paths.add("/", false, &[]);
    let stranger = paths.fresh("/");
    paths.add(&stranger, false, &[]);
    for (pattern, candidates) in &own {
        paths.lead(pattern, candidates, omitted);
    }
    for (pattern, _) in lower.iter().filter(|(pattern, _)| !own.contains_key(*pattern)).take(LOWER) {
        // They are at home under another host.
        paths.lead(pattern, &[], omitted);
    }
    omitted.left_out += lower.len().saturating_sub(LOWER);
    let places = paths.places.into_iter();
    places.map(|((is_call, path), own)| Place { path: path.into(), is_call, own }).collect()
}

type Patterns<'a> = BTreeMap<&'a PathPattern, Vec<&'a Arc<Match>>>;

/// The patterns of the most specific host name that covers a host on each side, and those of the others.
#[expect(clippy::mutable_key_type, reason = "an expression is compared by its pattern, which never changes")]
fn patterns<'a>(host: &str, sides: [Option<&'a Listeners>; 2]) -> (Patterns<'a>, Patterns<'a>) {
    let (mut own, mut lower) = (Patterns::new(), Patterns::new());
    for site in sides.into_iter().flatten().filter_map(|listeners| listeners.site(Some(host))) {
        for (at, (_, entry)) in site.table.tiers(Some(host)).enumerate() {
            let into = if at == 0 { &mut own } else { &mut lower };
            for matched in entry.sorted() {
                into.entry(&matched.path).or_default().push(matched);
            }
        }
    }
    (own, lower)
}

/// Paths being gathered.
struct Paths<'a> {
    /// Paths that mean something here.
    taken: BTreeSet<&'a str>,
    places: BTreeMap<(bool, String), Vec<&'a Arc<Match>>>,
}

impl<'a> Paths<'a> {
    fn add(&mut self, path: &str, is_call: bool, own: &[&'a Arc<Match>]) {
        self.places.entry((is_call, path.to_owned())).or_default().extend_from_slice(own);
    }

    /// A path that begins so and is not written anywhere.
    fn fresh(&self, beginning: &str) -> String {
        let mut path = format!("{beginning}other");
        while self.taken.contains(path.as_str()) {
            path.push('x');
        }
        path
    }

    /// The paths to which a pattern leads.
    fn lead(&mut self, pattern: &PathPattern, candidates: &[&'a Arc<Match>], omitted: &mut Omitted) {
        match pattern {
            PathPattern::Exact(path) => self.add(path, false, candidates),
            PathPattern::Prefix(path) => {
                let itself = if path.is_empty() { "/" } else { path };
                self.add(itself, false, candidates);
                let child = self.fresh(&format!("{path}/"));
                self.add(&child, false, candidates);
                if !path.is_empty() {
                    let sibling = self.fresh(path);
                    self.add(&sibling, false, &[]);
                }
            }
            PathPattern::Expression(expression) => {
                let known: Vec<_> = expression.witnesses().into_iter().filter(|path| is_path(path)).collect();
                if known.is_empty() {
                    omitted.tell(candidates, expression, "path");
                }
                known.iter().for_each(|path| self.add(path, false, candidates));
            }
            PathPattern::Call(call) => self.call(call, candidates, omitted),
            PathPattern::Stream => {}
        }
    }

    fn call(&mut self, pattern: &CallPattern, candidates: &[&'a Arc<Match>], omitted: &mut Omitted) {
        const SERVICE: &str = "other.Service";
        const METHOD: &str = "Other";
        let mut add = |service: &str, method: &str| self.add(&format!("/{service}/{method}"), true, candidates);
        match pattern {
            CallPattern::Call(path) => {
                let service = path.rsplit_once('/').map_or("", |(service, _)| service);
                self.add(&format!("/{path}"), true, candidates);
                self.add(&format!("/{service}/{METHOD}"), true, &[]);
            }
            CallPattern::Service(service) => add(service, METHOD),
            CallPattern::Method(method) => add(SERVICE, method),
            CallPattern::Any => add(SERVICE, METHOD),
            CallPattern::Expressions { service, method } => {
                let mut known = |expression: &Option<Arc<Expression>>, other: &str, of| {
                    let Some(expression) = expression else { return vec![other.to_owned()] };
                    let known: Vec<_> = expression.witnesses();
                    if known.is_empty() {
                        omitted.tell(candidates, expression, of);
                    }
                    known
                };
                let (services, methods) = (known(service, SERVICE, "service"), known(method, METHOD, "method"));
                for (service, method) in services.iter().flat_map(|service| methods.iter().map(move |method| (service, method))) {
                    if is_path(&format!("/{service}/{method}")) {
                        add(service, method);
                    }
                }
            }
        }
    }
}

impl Omitted {
    pub(super) fn tell(&mut self, candidates: &[&Arc<Match>], expression: &Expression, of: &str) {
        let asks = |matched: &&Arc<Match>| format!("{} match {}: {of} expression {expression}", matched.rule.id, matched.index);
        self.unknown.extend(candidates.iter().map(asks));
    }
}

/// Whether a text is a path that arrives as it is.
fn is_path(text: &str) -> bool {
    normal(text, Slashes::Merge).is_ok_and(|form| form == text)
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && !text.contains(['?', '#'])
}

impl Place<'_> {
    /// The request that asks for no more than the place.
    pub(super) fn plain(&self, socket: crate::snapshot::Socket, is_tls: bool, host: &Arc<str>) -> Request {
        let asks = super::request::Criteria::default();
        Request { socket, is_tls, host: Arc::clone(host), path: Arc::clone(&self.path), asks, is_call: self.is_call }
    }
}
