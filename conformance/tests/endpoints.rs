//! One of four endpoints refuses connections for a while, under steady traffic over many rules.
//!
//! With re-pick, which is what a rule without `retry` has, no request fails; without it only those fail that found out. Healed, the
//! endpoint has its full share again within a second. Both kinds of rule are under traffic at the same time, each with a Service of
//! its own, so that neither learns from the other.

use std::fs;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use conformance::echo::{Echo, Heard};
use conformance::http::{Connection, Request};
use conformance::manifest::{a_gateway, a_namespace, a_service, file_of};
use conformance::program::{Program, fresh_address};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Requests a second for each kind of rule, sent by this many connections in turn.
const RATE: u32 = 200;
const CONNECTIONS: u32 = 8;

/// Rules of each kind, spread over as many routes as the API's limit of 16 rules a route asks for.
const RULES: u32 = 256;

const HEALTHY_FIRST: Duration = Duration::from_secs(1);
const REFUSING: Duration = Duration::from_secs(22);
const TO_HEAL: Duration = Duration::from_secs(1);
const HEALED: Duration = Duration::from_secs(3);

/// The same port on four addresses, as endpoints of one EndpointSlice have it.
const PORT: u16 = 18_080;

#[test]
fn an_endpoint_that_refuses_costs_few_requests_or_none_and_returns_to_its_full_share() {
    let without_repick = Endpoints::start("without-repick");
    let with_repick = Endpoints::start("with-repick");

    let folder = TempDir::new().unwrap();
    let mut objects = vec![a_namespace("default", &[].into()), a_gateway("default/edge", &[("HTTP", 80)].into())];
    objects.extend(without_repick.objects(&json!({"attempts": 0})));
    objects.extend(with_repick.objects(&Value::Null));
    fs::write(folder.path().join("all.yaml"), file_of(&objects)).unwrap();
    let program = Program::serving(&[folder.path()]).ports(&[80]).start().unwrap();
    let to = program.socket(80);

    let (without_repick, with_repick) = thread::scope(|scope| {
        let first = scope.spawn(|| without_repick.under_traffic(to));
        let second = with_repick.under_traffic(to);
        (first.join().unwrap(), second)
    });

    println!("without re-pick: {without_repick:?}\nwith re-pick: {with_repick:?}");
    for outcome in [&without_repick, &with_repick] {
        let expected = (HEALTHY_FIRST + REFUSING + TO_HEAL + HEALED).as_secs() as usize * RATE as usize;
        assert!(outcome.sent * 10 >= expected * 9, "only {} of {expected} requests could be sent", outcome.sent);
        // Of 600 requests a quarter is 150, give or take 11; an endpoint still held back would have none.
        let quarter = outcome.healed_all / 4;
        let share = outcome.healed_there;
        assert!(share * 10 >= quarter * 7 && share * 10 <= quarter * 13, "healed, it had {share} of {}", outcome.healed_all);
    }
    assert_eq!(with_repick.failed, 0, "with re-pick: {with_repick:?}");
    assert!(without_repick.failed <= 10, "without re-pick: {without_repick:?}");
}

/// Four endpoints of one Service. The last of them will refuse.
struct Endpoints {
    name: &'static str,
    lasting: Vec<Echo>,
    failing: Echo,
}

/// What was seen.
#[derive(Debug, Default)]
struct Outcome {
    sent: usize,
    failed: usize,
    /// The first failures, in words.
    failures: Vec<String>,
    /// After the time to heal: requests in all, and those that the healed endpoint answered.
    healed_all: usize,
    healed_there: usize,
}

impl Endpoints {
    fn start(name: &'static str) -> Self {
        let start = |at: usize| {
            Echo::start_at(&format!("{name}-{at}"), (fresh_address(), PORT).into()).expect("the address is ours alone")
        };
        Self { name, lasting: (0..3).map(start).collect(), failing: start(3) }
    }

    /// The Service, and routes whose rules all forward to it.
    fn objects(&self, retry: &Value) -> Vec<Value> {
        let addresses: Vec<_> = self.lasting.iter().chain([&self.failing]).map(Echo::address).collect();
        let mut objects = a_service(&format!("default/{}", self.name), 80, &addresses).to_vec();
        for route in 0..RULES / 16 {
            let rule = |rule: u32| {
                let mut rule = json!({
                    "matches": [{"path": {"type": "Exact", "value": path(route * 16 + rule)}}],
                    "backendRefs": [{"name": self.name, "port": 80}],
                });
                if !retry.is_null() {
                    rule["retry"] = retry.clone();
                }
                rule
            };
            objects.push(json!({
                "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
                "metadata": {"namespace": "default", "name": format!("{}-{route}", self.name)},
                "spec": {
                    "parentRefs": [{"name": "edge"}],
                    "hostnames": [self.host()],
                    "rules": (0..16).map(rule).collect::<Vec<_>>(),
                },
            }));
        }
        objects
    }

    fn host(&self) -> String {
        format!("{}.example", self.name)
    }

    /// Healthy, then refusing, then healed, with steady traffic all the while.
    fn under_traffic(self, to: SocketAddr) -> Outcome {
        let (name, host) = (format!("{}-3", self.name), self.host());
        let started = Instant::now();
        let healed = HEALTHY_FIRST + REFUSING;
        thread::scope(|scope| {
            let senders: Vec<_> = (0..CONNECTIONS)
                .map(|sender| {
                    let (name, host) = (&name, &host);
                    scope.spawn(move || send(to, sender, host, name, started, healed + TO_HEAL, healed + TO_HEAL + HEALED))
                })
                .collect();

            sleep_until(started + HEALTHY_FIRST);
            let address = self.failing.address();
            drop(self.failing);
            sleep_until(started + healed);
            let _healed = Echo::start_at(&name, address).expect("the address was its own");
            senders.into_iter().map(|sender| sender.join().expect("senders do not panic")).fold(Outcome::default(), Outcome::and)
        })
    }
}

impl Outcome {
    fn and(mut self, other: Self) -> Self {
        self.sent += other.sent;
        self.failed += other.failed;
        self.failures.extend(other.failures);
        self.failures.truncate(20);
        self.healed_all += other.healed_all;
        self.healed_there += other.healed_there;
        self
    }
}

/// One connection's part of the traffic: every rule in turn, at its share of the rate, until the end.
fn send(to: SocketAddr, sender: u32, host: &str, watched: &str, started: Instant, healed: Duration, end: Duration) -> Outcome {
    let pace = Duration::from_secs(1) / RATE;
    let mut outcome = Outcome::default();
    let mut connection = None;
    for turn in (sender..).step_by(CONNECTIONS as usize) {
        let due = pace * turn;
        if due >= end {
            break;
        }
        sleep_until(started + due);
        if started.elapsed() > end + Duration::from_secs(2) {
            break;
        }
        let request = Request::get(host, &path(turn % RULES));
        outcome.sent += 1;
        let open = match connection.take() {
            Some(open) => Ok(open),
            None => Connection::open(to),
        };
        let answer = open.and_then(|mut open| {
            let answer = open.exchange(&request)?;
            if answer.header("connection").is_none_or(|value| !value.eq_ignore_ascii_case("close")) {
                connection = Some(open);
            }
            Ok(answer)
        });
        let heard = answer.as_ref().ok().filter(|answer| answer.status == 200).and_then(Heard::read);
        let Some(heard) = heard else {
            outcome.failed += 1;
            outcome.failures.push(format!("{:?}: {:?}", started.elapsed(), answer.map(|answer| answer.status)));
            continue;
        };
        if due >= healed {
            outcome.healed_all += 1;
            outcome.healed_there += usize::from(heard.backend == watched);
        }
    }
    outcome
}

fn path(rule: u32) -> String {
    format!("/rule/{rule}")
}

fn sleep_until(instant: Instant) {
    thread::sleep(instant.saturating_duration_since(Instant::now()));
}
