//! Properties of the index, the walk and what follows from it, over random configurations, histories and requests.

use std::collections::BTreeMap;

use http::request::Parts;
use http::{HeaderValue, Request, Uri};
use proptest::collection::vec;
use proptest::prelude::*;
use regex_automata::meta::Regex;

use super::*;
use crate::admit::{admit, fixture::arrival};
use crate::explain::{Outcome, Verdict, explain};
use crate::snapshot::filters::Redirect;
use crate::snapshot::fixture::{listener, marker, path, rule, socket};
use crate::snapshot::matching::{Age, Match, PathPattern, ValuePattern};
use crate::snapshot::{Snapshot, Writer};

/// Listeners there may be, by name and host name.
const LISTENERS: [(&str, Option<&str>); 3] = [("any", None), ("wild", Some("*.example.com")), ("exact", Some("a.example.com"))];
const HOSTS: [Option<&str>; 7] = [
    None,
    Some("*.com"),
    Some("*.example.com"),
    Some("*.a.example.com"),
    Some("a.example.com"),
    Some("b.a.example.com"),
    Some("example.com"),
];
const PATTERNS: [&str; 6] = ["~/[ab]+", "~/a/.*", "~/b/.*", "~(/[a-z]+)*", "~.*b", "~/a(/x)?(/b)?"];
const ROUTES: [&str; 6] = ["r0", "r1", "r2", "r3", "r4", "r5"];

/// A candidate as a random route writes it: listener, host name, match.
type Written = (usize, usize, Match);

/// What may happen to a configuration.
#[derive(Clone, Debug)]
enum Event {
    /// A route is now this, which may be nothing.
    Route(usize, Vec<Written>),
    /// A listener stands on port 80, or nowhere.
    Listener(usize, bool),
    Commit,
}

fn segments() -> impl Strategy<Value = String> {
    vec(prop::sample::select(vec!["a", "b", "ab", "x"]), 0..4).prop_map(|segments| format!("/{}", segments.join("/")))
}

fn matches() -> impl Strategy<Value = Match> {
    let path_asked = prop_oneof![
        3 => segments(),
        2 => segments().prop_map(|path| format!("={path}")),
        2 => prop::sample::select(PATTERNS.map(str::to_owned).to_vec()),
    ];
    let method = prop::option::of(prop::sample::select(vec!["GET", "PUT"]));
    let value = prop::sample::select(vec!["1", "2", "1,2", "~[12]", "~1.*"]);
    let headers = prop::sample::subsequence(vec!["h-a", "h-b", "host"], 0..3);
    let queries = prop::sample::subsequence(vec!["a", "b c"], 0..3);
    (path_asked, method, headers, queries, vec(value, 5), 0..3_i64).prop_map(
        |(path_asked, method, headers, queries, values, age)| {
            let mut asked = path(&path_asked, &marker("unset"));
            asked.age = Age::new(None, (age > 0).then_some(age));
            if let Some(method) = method {
                asked = asked.with_method(method);
            }
            let mut values = values.into_iter();
            for name in headers {
                asked = asked.with_header(name, values.next().unwrap());
            }
            for name in queries {
                asked = asked.with_query(name, values.next().unwrap());
            }
            asked
        },
    )
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let written = (0..LISTENERS.len(), 0..HOSTS.len(), matches());
    let event = prop_oneof![
        6 => (0..ROUTES.len(), vec(written, 0..12)).prop_map(|(route, written)| Event::Route(route, written)),
        1 => (0..LISTENERS.len(), prop::bool::weighted(0.8)).prop_map(|(listener, stands)| Event::Listener(listener, stands)),
        2 => Just(Event::Commit),
    ];
    (vec(event, 1..16), prop::bool::weighted(0.3)).prop_map(|(events, crowded)| {
        if !crowded {
            return events;
        }
        // All in one place, so that buckets are large.
        let in_one_place = |(_, _, asked): Written| (0, 0, Match { path: PathPattern::prefix("/"), ..asked });
        let moved = events.into_iter().map(|event| match event {
            Event::Route(route, written) => Event::Route(route, written.into_iter().map(in_one_place).collect()),
            Event::Listener(..) | Event::Commit => event,
        });
        moved.collect()
    })
}

fn requests() -> impl Strategy<Value = Parts> {
    let host =
        prop::sample::select(vec!["a.example.com", "b.a.example.com", "x.example.com", "example.com", "x.com", "10.0.0.1"]);
    let end = prop::sample::select(vec!["", "/"]);
    let value = || prop::sample::select(vec!["1", "2", "3"]);
    let headers = vec((prop::sample::select(vec!["h-a", "h-b"]), value()), 0..4);
    let queries = vec((prop::sample::select(vec!["a=", "b+c=", "b%20c=", "b="]), value()), 0..4);
    (host, prop::bool::ANY, segments(), end, headers, queries).prop_map(|(host, get, path, end, headers, queries)| {
        let queries: Vec<_> = queries.into_iter().map(|(name, value)| format!("{name}{value}")).collect();
        let target = format!("{}{}?{}", path.trim_end_matches('/'), if path == "/" { "/" } else { end }, queries.join("&"));
        let request = Request::builder().method(if get { "GET" } else { "PUT" }).uri(target).header("host", host);
        headers.into_iter().fold(request, |request, (name, value)| request.header(name, value)).body(()).unwrap().into_parts().0
    })
}

/// A configuration as a list, edited into a snapshot and scanned without one.
struct World {
    writer: Writer,
    routes: BTreeMap<usize, Vec<(usize, usize, Arc<Match>)>>,
    stands: [bool; 3],
}

impl World {
    fn new(stands: [bool; 3]) -> Self {
        let mut world = Self { writer: Writer::new(7), routes: BTreeMap::new(), stands: [false; 3] };
        (0..3).for_each(|at| world.stand(at, stands[at]));
        world
    }

    fn after(events: Vec<Event>) -> Self {
        let mut world = Self::new([true; 3]);
        for event in events {
            match event {
                Event::Route(route, written) => world.put(route, written),
                Event::Listener(at, stands) => world.stand(at, stands),
                Event::Commit => {
                    world.writer.commit();
                }
            }
        }
        world
    }

    fn stand(&mut self, at: usize, stands: bool) {
        self.stands[at] = stands;
        let (name, hostname) = LISTENERS[at];
        let listener = listener(name, hostname);
        if stands {
            self.writer.put_listener(Arc::new(listener), &[socket(80)]);
        } else {
            self.writer.remove_listener(&listener.id);
        }
    }

    /// Replaces a route. Rules are numbered as written, so each candidate is known by its rule.
    fn put(&mut self, route: usize, written: Vec<Written>) {
        let name = ROUTES[route];
        let id = crate::snapshot::fixture::route(name);
        for (at, host, old) in self.routes.remove(&route).into_iter().flatten() {
            let (place, _) = Match::clone(&old).at(LISTENERS[at].0, HOSTS[host]);
            self.writer.remove(place, &id);
        }
        let numbered = written.into_iter().enumerate().map(|(index, (at, host, mut asked))| {
            asked.rule = Arc::new(rule(name, index, Action::Fail("a marker".into())));
            let (place, asked) = asked.at(LISTENERS[at].0, HOSTS[host]);
            self.writer.add(place, Arc::clone(&asked));
            (at, host, asked)
        });
        let numbered = numbered.collect();
        self.routes.insert(route, numbered);
    }

    fn candidates(&self) -> impl Iterator<Item = &(usize, usize, Arc<Match>)> {
        self.routes.values().flatten()
    }

    /// The candidate that wins, found by looking at all of them.
    fn scan(&self, head: &Parts) -> Option<&Arc<Match>> {
        let host = head.headers["host"].to_str().unwrap();
        let covers = |name: Option<&str>| match name {
            None => Some(0),
            Some(_) if host.starts_with("10.") => None,
            Some(name) => match name.strip_prefix('*') {
                Some(suffix) => host.ends_with(suffix).then_some(name.len()),
                None => (host == name).then_some(1000),
            },
        };
        let listeners = (0..3).filter(|at| self.stands[*at]).filter(|at| covers(LISTENERS[*at].1).is_some());
        let listener = listeners.max_by_key(|at| covers(LISTENERS[*at].1))?;
        let here = self.candidates().filter(|(at, host, _)| *at == listener && covers(HOSTS[*host]).is_some());
        let holding = here.filter(|(_, _, asked)| holds(asked, head));
        holding.max_by_key(|(_, host, asked)| asked.rank(HOSTS[*host])).map(|(_, _, asked)| asked)
    }
}

/// Whether a match holds, by the most direct reading of its words.
fn holds(asked: &Match, head: &Parts) -> bool {
    let is = |pattern: &ValuePattern, value: &str| match pattern {
        ValuePattern::Exact(wanted) => **wanted == *value,
        ValuePattern::Expression(expression) => Regex::new(&format!("^(?:{})$", expression.as_str())).unwrap().is_match(value),
    };
    let path = head.uri.path();
    let path_holds = match &asked.path {
        PathPattern::Exact(wanted) => **wanted == *path,
        PathPattern::Prefix(wanted) => format!("{}/", path.trim_end_matches('/')).starts_with(&format!("{wanted}/")),
        PathPattern::Expression(expression) => is(&ValuePattern::Expression(Arc::clone(expression)), path),
    };
    let header_holds = |name: &HeaderName, wanted: &ValuePattern| {
        let values: Vec<_> = head.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect();
        !values.is_empty() && is(wanted, &values.join(","))
    };
    let pairs: Vec<_> = head.uri.query().unwrap_or("").split('&').filter_map(|pair| pair.split_once('=')).collect();
    let query_holds = |name: &str, wanted: &ValuePattern| {
        let first = pairs.iter().find(|(known, _)| known.replace("%20", " ").replace('+', " ") == name);
        first.is_some_and(|(_, value)| is(wanted, value))
    };
    path_holds
        && asked.method.as_ref().is_none_or(|method| *method == head.method)
        && asked.headers.iter().all(|header| header_holds(&header.name, &header.value))
        && asked.queries.iter().all(|query| query_holds(&query.name, &query.value))
}

/// What `decide` says of a request, and that `explain` says the same.
fn decided(snapshot: &Arc<Snapshot>, head: &Parts) -> Option<Decision> {
    let admitted = admit(snapshot, &arrival(), head).ok()?;
    let decision = decide(&admitted, head, Turn::peek);
    let explanation = explain(&admitted, head);
    let won: Vec<_> = explanation.candidates.iter().filter(|candidate| candidate.verdict == Verdict::Won).collect();
    let rule = match (&decision, &explanation.outcome) {
        (Decision::Forward(forward), Outcome::Forward { backend, .. }) => {
            assert_eq!(forward.backend.name.to_string(), *backend);
            Some(&forward.rule)
        }
        (Decision::Answer(answer), Outcome::Answer { status, .. }) => {
            assert_eq!(answer.status.as_u16(), *status);
            Some(&answer.rule)
        }
        (Decision::Refuse(refusal), Outcome::Refuse { status, because }) => {
            assert_eq!((refusal.reason.status().as_u16(), refusal.reason.to_string()), (*status, because.clone()));
            refusal.rule.as_ref()
        }
        (decision, outcome) => panic!("{decision:?} is explained as {outcome:?}"),
    };
    let named = |rule: &Arc<Rule>| (rule.id.route.to_string(), rule.id.index);
    let explained = won.first().map(|candidate| (candidate.route.clone(), candidate.rule));
    assert_eq!((rule.map(named), won.len() <= 1), (explained, true), "{explanation}");
    Some(decision)
}

/// A configuration with every shape of rule and match, for requests of every shape.
fn every_shape() -> Arc<Snapshot> {
    let redirect = Redirect { status: StatusCode::FOUND, scheme: None, hostname: None, port: None, path: None };
    let redirect = Arc::new(rule("redirect", 0, Action::Reply(Reply::Redirect(redirect))));
    let candidates = vec![
        path("/", &redirect),
        path("/", &marker("method")).with_method("PUT"),
        path("/a", &marker("values")).with_header("x", "~.*a").with_query("q", "~.*"),
        path("/a", &marker("exact")).with_header("x", "a,b").with_header("host", "~[^a]*").with_query("a b", "\u{e9}"),
        path("~.*\\.\\w+", &marker("expression")),
        path("=/a/b", &marker("path")).with_query("", ""),
    ];
    let routes: Vec<_> = candidates.into_iter().map(|candidate| candidate.at("a", None)).collect();
    crate::snapshot::fixture::snapshot([listener("a", None)], routes)
}

proptest! {
    #[test]
    fn the_index_finds_what_a_scan_by_rank_finds(events in events(), heads in vec(requests(), 32)) {
        let mut world = World::after(events);
        let snapshot = world.writer.commit();
        for head in &heads {
            let found = match decided(&snapshot, head) {
                Some(Decision::Refuse(refusal)) => refusal.rule.map(|rule| (rule.id.route.clone(), rule.id.index)),
                _ => None,
            };
            let scanned = world.scan(head).map(|asked| (asked.rule.id.route.clone(), asked.rule.id.index));
            prop_assert_eq!(found, scanned, "{:?}", head);
        }
    }

    #[test]
    fn a_snapshot_does_not_show_the_path_that_led_to_it(events in events()) {
        let mut world = World::after(events);
        let snapshot = world.writer.commit();
        let mut afresh = World::new(world.stands);
        for (route, written) in &world.routes {
            afresh.put(*route, written.iter().map(|(at, host, asked)| (*at, *host, Match::clone(asked))).collect());
        }
        prop_assert_eq!(snapshot.outline(), afresh.writer.commit().outline());
        let written: Vec<_> = world.routes.clone().into_iter().collect();
        for (route, written) in written {
            world.put(route, written.into_iter().map(|(at, host, asked)| (at, host, Match::clone(&asked))).collect());
        }
        prop_assert!(Arc::ptr_eq(&snapshot, &world.writer.commit()), "what is written again equal changes nothing");
    }

    #[test]
    fn an_emptied_configuration_leaves_nothing(events in events()) {
        let mut world = World::after(events);
        (0..ROUTES.len()).for_each(|route| world.put(route, Vec::new()));
        (0..3).for_each(|at| world.stand(at, false));
        prop_assert!(world.writer.commit().outline().is_empty());
        prop_assert!(world.writer.is_empty());
    }

    #[test]
    fn no_head_panics_and_explain_agrees_with_decide(
        target in prop_oneof!["/[a-b./%?&=+\\\\é0-9-]{0,24}", "\\PC{0,16}", "(/[.%]{0,3}[0-9a-f]{0,2}){0,5}"],
        host in prop_oneof!["[a-z.:0-9\\[\\]@*-]{0,12}", Just("a.example".to_owned())],
        values in vec(vec(any::<u8>(), 0..12), 0..3),
        (version, method) in (0..3_usize, prop::sample::select(vec!["GET", "PUT", "OPTIONS", "CONNECT", "X"])),
    ) {
        let Ok(uri) = Uri::try_from(target) else { return Ok(()) };
        let version = [http::Version::HTTP_10, http::Version::HTTP_11, http::Version::HTTP_2][version];
        let mut request = Request::builder().method(method).uri(uri).version(version);
        request = request.header("host", HeaderValue::from_str(&host).unwrap());
        for value in values.iter().filter_map(|value| HeaderValue::from_bytes(value).ok()) {
            request = request.header("x", value);
        }
        let head = request.body(()).unwrap().into_parts().0;
        if let Some(Decision::Answer(answer)) = decided(&every_shape(), &head) {
            prop_assert!(answer.headers.iter().all(|(_, value)| value.to_str().is_ok()));
        }
    }
}
