//! Connections and flows and their rules, over snapshots made by hand: arrivals in, decisions out.

use super::*;
use crate::explain::{explain_datagram, explain_stream};
use crate::snapshot::fixture::{
    listener, marker, passthrough_listener, snapshot, socket, stream, tcp_listener, terminate_listener, tls_listener,
    udp_listener,
};
use crate::snapshot::{Place, Split, Target, TargetAction};

fn on(listener: &str, host: Option<&str>, name: &str, created: i64) -> (Place, Arc<Match>) {
    stream(&marker(name)).with_age(created).at(listener, host)
}

/// Who takes a connection to port 443 with this server name: a route, HTTPS at a listener, or nobody.
fn taken(snapshot: &Snapshot, server_name: Option<&str>) -> String {
    taken_at(snapshot, 443, server_name)
}

fn taken_at(snapshot: &Snapshot, port: u16, server_name: Option<&str>) -> String {
    let arrival = StreamArrival { socket: socket(port), server_name: server_name.map(Into::into) };
    match decide_stream(snapshot, &arrival, Turn::take) {
        StreamDecision::Http(Some(listener)) => format!("https at {}", listener.id.name),
        StreamDecision::Http(None) => "http".to_owned(),
        StreamDecision::Refuse(Refusal { rule: Some(rule), .. }) => rule.id.route.name.name().to_owned(),
        StreamDecision::Refuse(Refusal { reason, .. }) => reason.to_string(),
        StreamDecision::Forward(forward) => panic!("{forward:?}"),
    }
}

const NOBODY: &str = "no listener answers for this host";
const NO_ROUTE: &str = "no rule matches";

#[test]
fn https_and_tls_share_a_port_and_are_told_apart_by_server_name() {
    let closed = Listener { certificates: Err("no Secret".into()), ..terminate_listener("closed", Some("closed.example")) };
    let listeners = [
        tls_listener("https", Some("https.example")),
        passthrough_listener("pass", Some("*.pass.example")),
        terminate_listener("end", Some("end.example")),
        closed,
    ];
    let routes = [
        on("pass", Some("*.pass.example"), "pass", 1),
        on("end", Some("end.example"), "end", 1),
        on("closed", Some("closed.example"), "closed", 1),
        on("https", None, "odd", 1),
    ];
    let snapshot = snapshot(listeners, routes);
    let rows = [
        (Some("https.example"), "https at https"),
        (Some("a.pass.example"), "pass"),
        (Some("end.example"), "end"),
        (Some("closed.example"), "the listener is closed: no Secret"),
        (Some("pass.example"), NOBODY),
        (None, NOBODY),
    ];
    for (name, expected) in rows {
        assert_eq!(taken(&snapshot, name), expected, "{name:?}");
    }
    assert_eq!(taken_at(&snapshot, 444, Some("end.example")), NOBODY);
}

#[test]
fn without_a_server_name_only_a_listener_without_host_name_answers_and_no_tls_route() {
    let with = |nameless: Listener| {
        let routes = [on("any", None, "any", 1), on("named", Some("a.example"), "named", 1)];
        snapshot([nameless, passthrough_listener("named", Some("a.example"))], routes)
    };
    for (nameless, expected) in [
        (tls_listener("any", None), "https at any"),
        (passthrough_listener("any", None), NO_ROUTE),
        (terminate_listener("any", None), NO_ROUTE),
    ] {
        let snapshot = with(nameless);
        assert_eq!(taken(&snapshot, None), expected);
        assert_eq!(taken(&snapshot, Some("10.0.0.1")), expected, "an address is no server name");
        assert_eq!(taken(&snapshot, Some("a.example")), "named");
    }
}

#[test]
fn of_the_routes_for_a_name_the_more_specific_one_wins_then_the_older_and_the_next_is_not_tried() {
    let routes = [
        on("any", Some("*.example.com"), "wide", 1),
        on("any", Some("*.a.example.com"), "narrow", 3),
        on("any", Some("x.a.example.com"), "older", 2),
        on("any", Some("x.a.example.com"), "younger", 3),
        on("any", Some("x.a.example.com"), "also-older", 2),
    ];
    let snapshot = snapshot([passthrough_listener("any", None)], routes);
    let rows = [
        ("x.a.example.com", "also-older"),
        ("y.a.example.com", "narrow"),
        ("b.example.com", "wide"),
        ("example.com", NO_ROUTE),
        ("a.example.com", "wide"),
    ];
    for (name, expected) in rows {
        assert_eq!(taken(&snapshot, Some(name)), expected, "{name}");
    }
    let arrival = StreamArrival { socket: socket(443), server_name: Some("x.a.example.com".into()) };
    let expected = "Gateway test/gateway listener any answers for x.a.example.com
  HTTPRoute test/also-older, host x.a.example.com: wins
  HTTPRoute test/older, host x.a.example.com: holds, but ranks lower
  HTTPRoute test/younger, host x.a.example.com: holds, but ranks lower
  HTTPRoute test/narrow, host *.a.example.com: holds, but ranks lower
  HTTPRoute test/wide, host *.example.com: holds, but ranks lower
refused: a marker";
    assert_eq!(explain_stream(&snapshot, &arrival).to_string(), expected);
}

#[test]
fn tcp_and_udp_stand_on_one_port_number_side_by_side() {
    let routes = [on("tcp", None, "tcp", 1), on("udp", None, "udp", 2), on("udp", None, "younger", 3)];
    let snapshot = snapshot([tcp_listener("tcp", 53), udp_listener("udp", 53)], routes);
    assert_eq!(taken_at(&snapshot, 53, None), "tcp");
    let udp = Socket { transport: Transport::Udp, ..socket(53) };
    let dropped = |socket| decide_datagram(&snapshot, &socket, Turn::take).unwrap_err();
    assert_eq!(dropped(udp).rule.unwrap().id.route.name.name(), "udp");
    assert_eq!(dropped(socket(53)).reason, Reason::NoListener, "datagrams do not arrive on a TCP socket");
    let arrival = StreamArrival { socket: udp, server_name: None };
    let StreamDecision::Refuse(refusal) = decide_stream(&snapshot, &arrival, Turn::take) else { panic!() };
    assert_eq!(refusal.reason, Reason::NoListener);
    let explanation = explain_datagram(&snapshot, &udp);
    assert_eq!((explanation.socket.as_str(), explanation.candidates.len()), ("*:53/udp", 2));
}

#[test]
fn on_a_port_in_clear_http_is_spoken_and_no_tcp_route_is_met_there() {
    let snapshot = snapshot([listener("http", Some("a.example"))], [on("http", None, "odd", 1)]);
    assert_eq!(taken_at(&snapshot, 80, None), "http");
}

#[test]
fn an_invalid_backend_refuses_its_share_of_connections() {
    let turn = Arc::new(Turn::default());
    let target = || Target::new(TargetAction::Fail("no Service".into()));
    let split = Split::new(vec![(target(), 1), (target(), 1)], Some(Arc::clone(&turn)));
    let rule = Arc::new(crate::snapshot::fixture::rule("shared", 0, Action::Forward(split)));
    let snapshot = snapshot([tcp_listener("tcp", 9000)], [stream(&rule).at("tcp", None)]);
    let arrival = StreamArrival { socket: socket(9000), server_name: None };
    for _ in 0..2 {
        let StreamDecision::Refuse(refusal) = decide_stream(&snapshot, &arrival, Turn::take) else { panic!() };
        assert_eq!(refusal.reason, Reason::InvalidBackend("no Service".into()));
    }
    explain_stream(&snapshot, &arrival);
    assert_eq!(turn.peek(), 2, "one for each connection, none for an explanation");
}
