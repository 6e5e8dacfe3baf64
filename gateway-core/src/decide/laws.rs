//! Properties of the index, the walk and what follows from it, over random configurations, histories and requests.

use std::collections::BTreeMap;

use http::request::Parts;
use http::{HeaderValue, Request, Uri};
use proptest::collection::vec;
use proptest::prelude::*;
use regex_automata::meta::Regex;

use super::*;
use crate::admit::{admit, fixture::arrival, is_grpc};
use crate::explain::{Outcome, StreamOutcome, Verdict, explain, explain_stream};
use crate::snapshot::filters::{Cors, Listed, Origins, Redirect};
use crate::snapshot::fixture::{
    call, listener, marker, passthrough_listener, path, rule, socket, socket_of, stream, tcp_listener, terminate_listener,
    tls_listener,
};
use crate::snapshot::matching::{Age, CallPattern, Match, PathPattern, ValuePattern};
use crate::snapshot::{Snapshot, Writer};

/// Listeners there may be: those of port 80, those of port 443, and one by itself.
const LISTENERS: [(&str, Option<&str>, Kind); 8] = [
    ("any", None, Kind::Http),
    ("wild", Some("*.example.com"), Kind::Http),
    ("exact", Some("a.example.com"), Kind::Http),
    ("tls-any", None, Kind::Passthrough),
    ("tls-wild", Some("*.example.com"), Kind::Terminate),
    ("tls-exact", Some("a.example.com"), Kind::Passthrough),
    ("https", Some("b.a.example.com"), Kind::Https),
    ("tcp", None, Kind::Tcp),
];
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
const CALLS: [&str; 11] = ["a/b", "a/x", "ab/a", "a/b/x", "a/", "ab/", "/b", "/x", "~[ab]+/", "/~[a-c]", "~a(.b)?/~.*"];
const SERVER_NAMES: [Option<&str>; 7] =
    [None, Some("a.example.com"), Some("b.a.example.com"), Some("x.example.com"), Some("x.com"), Some("org"), Some("10.0.0.1")];
const ROUTES: [&str; 6] = ["r0", "r1", "r2", "r3", "r4", "r5"];

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Http,
    Https,
    Passthrough,
    Terminate,
    Tcp,
}

impl Kind {
    fn listener(self, name: &str, hostname: Option<&str>) -> Listener {
        match self {
            Self::Http => listener(name, hostname),
            Self::Https => tls_listener(name, hostname),
            Self::Passthrough => passthrough_listener(name, hostname),
            Self::Terminate => terminate_listener(name, hostname),
            Self::Tcp => tcp_listener(name, 9000),
        }
    }
}

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

/// Matches that ask for a path, for a call, or for nothing.
fn matches() -> impl Strategy<Value = Match> {
    let unset = || marker("unset");
    let path_asked = prop_oneof![
        3 => segments().prop_map(move |written| path(&written, &unset())),
        2 => segments().prop_map(move |written| path(&format!("={written}"), &unset())),
        2 => prop::sample::select(PATTERNS.to_vec()).prop_map(move |written| path(written, &unset())),
        4 => prop::sample::select(CALLS.to_vec()).prop_map(move |written| call(written, &unset())),
        3 => Just(()).prop_map(move |()| stream(&unset())),
    ];
    let method = prop::option::of(prop::sample::select(vec!["GET", "PUT"]));
    let value = prop::sample::select(vec!["1", "2", "1,2", "~[12]", "~1.*"]);
    let headers = prop::sample::subsequence(vec!["h-a", "h-b", "host"], 0..3);
    let queries = prop::sample::subsequence(vec!["a", "b c"], 0..3);
    (path_asked, method, headers, queries, vec(value, 5), 0..3_i64).prop_map(
        |(path_asked, method, headers, queries, values, age)| {
            let mut asked = Match { age: Age::new(None, (age > 0).then_some(age)), ..path_asked };
            if asked.path == PathPattern::Stream {
                return asked;
            }
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
        let in_one_place = |(_, _, asked): Written| match asked.path {
            PathPattern::Stream => (7, 0, asked),
            PathPattern::Call(_) => (0, 0, Match { path: PathPattern::Call(CallPattern::Any), ..asked }),
            PathPattern::Exact(_) | PathPattern::Prefix(_) | PathPattern::Expression(_) => {
                (0, 0, Match { path: PathPattern::prefix("/"), ..asked })
            }
        };
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
    let media = ["", "application/grpc", "application/grpc+proto", "application/grpc;x=y", "application/grpc-web", "text/plain"];
    let media = prop::sample::select(media.to_vec());
    let asked = prop::option::weighted(0.3, prop::sample::select(vec!["", "h-a", "accept, H-B", "h-b,h-a"]));
    (host, prop::bool::ANY, segments(), end, headers, queries, media, asked).prop_map(
        |(host, get, path, end, headers, queries, media, asked)| {
            let queries: Vec<_> = queries.into_iter().map(|(name, value)| format!("{name}{value}")).collect();
            let target = format!("{}{}?{}", path.trim_end_matches('/'), if path == "/" { "/" } else { end }, queries.join("&"));
            let method = if get { "GET" } else { "PUT" };
            let request = Request::builder().uri(target).header("host", host);
            let request = match asked {
                None => request.method(method),
                Some(asked) => {
                    let asking =
                        request.method("OPTIONS").header("origin", "https://a").header("access-control-request-method", method);
                    asking.header("access-control-request-headers", asked)
                }
            };
            let request = if media.is_empty() { request } else { request.header("content-type", media) };
            headers
                .into_iter()
                .fold(request, |request, (name, value)| request.header(name, value))
                .body(())
                .unwrap()
                .into_parts()
                .0
        },
    )
}

/// A configuration as a list, edited into a snapshot and scanned without one.
struct World {
    writer: Writer,
    routes: BTreeMap<usize, Vec<(usize, usize, Arc<Match>)>>,
    stands: [bool; 8],
}

impl World {
    fn new(stands: [bool; 8]) -> Self {
        let mut world = Self { writer: Writer::new(7), routes: BTreeMap::new(), stands: [false; 8] };
        (0..8).for_each(|at| world.stand(at, stands[at]));
        world
    }

    fn after(events: Vec<Event>) -> Self {
        let mut world = Self::new([true; 8]);
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
        let (name, hostname, kind) = LISTENERS[at];
        let listener = kind.listener(name, hostname);
        if stands {
            let socket = socket_of(&listener);
            self.writer.put_listener(Arc::new(listener), &[socket]);
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
            if route % 2 == 1 {
                let id = asked.rule.id.clone();
                asked.rule =
                    Arc::new(Rule::new(id, Box::new([Step::Cors(Arc::new(for_all_origins()))]), Action::Fail("a marker".into())));
            }
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

    /// The listener of these that answers for a name.
    fn listener(&self, name: Option<&str>, is_meant: impl Fn(Kind) -> bool) -> Option<usize> {
        let known = (0..LISTENERS.len()).filter(|at| self.stands[*at] && is_meant(LISTENERS[*at].2));
        known.filter(|at| covers(LISTENERS[*at].1, name).is_some()).max_by_key(|at| covers(LISTENERS[*at].1, name))
    }

    /// The candidate that wins, found by looking at all of them.
    fn scan(&self, head: &Parts) -> Option<&Arc<Match>> {
        let host = Some(head.headers["host"].to_str().unwrap()).filter(|host| !host.starts_with("10."));
        let listener = self.listener(host, |kind| kind == Kind::Http)?;
        let here = self.candidates().filter(|(at, written, _)| *at == listener && covers(HOSTS[*written], host).is_some());
        let holding = here.filter(|(_, _, asked)| holds(asked, head));
        holding.max_by_key(|(_, host, asked)| asked.rank(HOSTS[*host])).map(|(_, _, asked)| asked)
    }

    /// The listener of port 443 that answers for a server name, and the candidate that takes the connection.
    fn scan_tls(&self, name: Option<&str>) -> (Option<Kind>, Option<&Arc<Match>>) {
        let Some(listener) = self.listener(name, |kind| kind != Kind::Http && kind != Kind::Tcp) else { return (None, None) };
        let kind = LISTENERS[listener].2;
        let here = self.candidates().filter(|(at, written, asked)| {
            *at == listener && covers(HOSTS[*written], name).is_some() && asked.path == PathPattern::Stream
        });
        let found = here.max_by_key(|(_, host, asked)| asked.rank(HOSTS[*host])).map(|(_, _, asked)| asked);
        (Some(kind), found.filter(|_| name.is_some() && kind != Kind::Https))
    }

    /// The candidate that takes the connections of the one TCP listener.
    fn scan_tcp(&self) -> Option<&Arc<Match>> {
        let here = |(at, host, asked): &&(usize, usize, Arc<Match>)| {
            self.stands[*at] && LISTENERS[*at].2 == Kind::Tcp && HOSTS[*host].is_none() && asked.path == PathPattern::Stream
        };
        self.candidates().filter(here).map(|(_, _, asked)| asked).max_by_key(|asked| asked.rank(None))
    }
}

fn for_all_origins() -> Cors {
    let nothing = || Listed::These(None);
    let (methods, headers, exposed) = (nothing(), nothing(), nothing());
    Cors { origins: Origins::Any, credentials: false, methods, headers, exposed, max_age: 5 }
}

/// How well a host name as written covers a name, if it does.
fn covers(written: Option<&str>, name: Option<&str>) -> Option<usize> {
    match (written, name) {
        (None, _) => Some(0),
        (Some(_), None) => None,
        (Some(written), Some(name)) => match written.strip_prefix('*') {
            Some(suffix) => name.ends_with(suffix).then_some(written.len()),
            None => (name == written).then_some(1000),
        },
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
        PathPattern::Call(pattern) => {
            let media = head.headers.get("content-type").map_or("", |value| value.to_str().unwrap());
            let named = path[1..].rsplit_once('/');
            let part_is = |expression: &Option<Arc<_>>, part: &str| {
                expression.as_ref().is_none_or(|expression| is(&ValuePattern::Expression(Arc::clone(expression)), part))
            };
            let holds = match (pattern, named) {
                (CallPattern::Any, _) => true,
                (_, None) => false,
                (CallPattern::Call(wanted), Some(_)) => **wanted == path[1..],
                (CallPattern::Service(wanted), Some((service, _))) => **wanted == *service,
                (CallPattern::Method(wanted), Some((_, method))) => **wanted == *method,
                (CallPattern::Expressions { service, method }, Some(named)) => {
                    part_is(service, named.0) && part_is(method, named.1)
                }
            };
            holds && ["application/grpc", "application/grpc+proto", "application/grpc;x=y"].contains(&media)
        }
        PathPattern::Stream => false,
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
    // What a preflight asks about is as good as there, for the rules that answer it.
    let field = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap().to_ascii_lowercase());
    let is_excused = head.method == "OPTIONS" && field("origin").is_some() && asked.rule.has_cors();
    let asks_for = |method: &http::Method| field("access-control-request-method") == Some(method.as_str().to_ascii_lowercase());
    let names = |name: &HeaderName| {
        field("access-control-request-headers").is_some_and(|names| names.split(',').any(|known| known.trim() == name.as_str()))
    };
    path_holds
        && asked.method.as_ref().is_none_or(|method| *method == head.method || is_excused && asks_for(method))
        && asked.headers.iter().all(|header| header_holds(&header.name, &header.value) || is_excused && names(&header.name))
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
        (Decision::Refuse(refusal), Outcome::Refuse { status, grpc, because }) => {
            assert_eq!((refusal.reason.status().as_u16(), refusal.reason.to_string()), (*status, because.clone()));
            assert_eq!(*grpc, is_grpc(head).then(|| refusal.reason.grpc_status()));
            refusal.rule.as_ref()
        }
        (decision, outcome) => panic!("{decision:?} is explained as {outcome:?}"),
    };
    let named = |rule: &Arc<Rule>| (rule.id.route.to_string(), rule.id.index);
    let explained = won.first().map(|candidate| (candidate.route.clone(), candidate.rule));
    assert_eq!((rule.map(named), won.len() <= 1), (explained, true), "{explanation}");
    Some(decision)
}

/// What `decide_stream` says of a connection, and that `explain_stream` says the same.
fn decided_stream(snapshot: &Snapshot, arrival: &StreamArrival) -> StreamDecision {
    let decision = decide_stream(snapshot, arrival, Turn::peek);
    let explanation = explain_stream(snapshot, arrival);
    let won = explanation.candidates.first().map(|candidate| (candidate.route.clone(), candidate.rule));
    assert!(explanation.candidates.iter().skip(1).all(|candidate| candidate.verdict == Verdict::RankedLower));
    let rule = match (&decision, &explanation.outcome) {
        (StreamDecision::Http(_), StreamOutcome::Http) => None,
        (StreamDecision::Forward(forward), StreamOutcome::Forward { backend, .. }) => {
            assert_eq!(forward.backend.name.to_string(), *backend);
            Some(&forward.rule)
        }
        (StreamDecision::Refuse(refusal), StreamOutcome::Refuse { because }) => {
            assert_eq!(refusal.reason.to_string(), *because);
            refusal.rule.as_ref()
        }
        (decision, outcome) => panic!("{decision:?} is explained as {outcome:?}"),
    };
    assert_eq!(rule.map(|rule| (rule.id.route.to_string(), rule.id.index)), won, "{explanation}");
    decision
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
        call("a/b", &marker("call")).with_header("x", "~.*"),
        call("~a*/~[^/]*", &marker("calls")),
        call("/", &marker("any call")).with_header("x", "a,b"),
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
    fn a_connection_goes_where_a_scan_by_rank_says(events in events(), name in prop::sample::select(SERVER_NAMES.to_vec())) {
        let mut world = World::after(events);
        let snapshot = world.writer.commit();
        let named = |asked: &Arc<Match>| (asked.rule.id.route.clone(), asked.rule.id.index);
        let of = |refusal: Refusal| refusal.rule.map(|rule| (rule.id.route.clone(), rule.id.index));
        let arrival = StreamArrival { socket: socket(443), server_name: name.map(Into::into) };
        let (kind, scanned) = world.scan_tls(name.filter(|name| !name.starts_with("10.")));
        match decided_stream(&snapshot, &arrival) {
            StreamDecision::Http(listener) => prop_assert!(listener.is_some() && kind == Some(Kind::Https)),
            StreamDecision::Refuse(refusal) => {
                prop_assert!(kind != Some(Kind::Https) && refusal.listener.is_some() == kind.is_some());
                prop_assert_eq!(of(refusal), scanned.map(named));
            }
            StreamDecision::Forward(forward) => panic!("{forward:?}"),
        }
        let arrival = StreamArrival { socket: socket(9000), server_name: None };
        match decided_stream(&snapshot, &arrival) {
            StreamDecision::Refuse(refusal) => prop_assert_eq!(of(refusal), world.scan_tcp().map(named)),
            decision @ (StreamDecision::Http(_) | StreamDecision::Forward(_)) => panic!("{decision:?}"),
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
        (0..8).for_each(|at| world.stand(at, false));
        prop_assert!(world.writer.commit().outline().is_empty());
        prop_assert!(world.writer.is_empty());
    }

    #[test]
    fn no_head_panics_and_explain_agrees_with_decide(
        target in prop_oneof!["/[a-b./%?&=+\\\\é0-9-]{0,24}", "\\PC{0,16}", "(/[.%]{0,3}[0-9a-f]{0,2}){0,5}"],
        host in prop_oneof!["[a-z.:0-9\\[\\]@*-]{0,12}", Just("a.example".to_owned())],
        values in vec(vec(any::<u8>(), 0..12), 0..3),
        media in prop_oneof![Just("application/grpc".to_owned()), "application/(grpc)?[+;a-z]{0,3}"],
        (version, method) in (0..3_usize, prop::sample::select(vec!["GET", "PUT", "OPTIONS", "CONNECT", "X"])),
    ) {
        let Ok(uri) = Uri::try_from(target) else { return Ok(()) };
        let version = [http::Version::HTTP_10, http::Version::HTTP_11, http::Version::HTTP_2][version];
        let mut request = Request::builder().method(method).uri(uri).version(version);
        request = request.header("host", HeaderValue::from_str(&host).unwrap()).header("content-type", media);
        for value in values.iter().filter_map(|value| HeaderValue::from_bytes(value).ok()) {
            request = request.header("x", value);
        }
        let head = request.body(()).unwrap().into_parts().0;
        if let Some(Decision::Answer(answer)) = decided(&every_shape(), &head) {
            prop_assert!(answer.headers.iter().all(|(_, value)| value.to_str().is_ok()));
        }
    }
}
