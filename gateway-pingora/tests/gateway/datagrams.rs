//! Flows of UDPRoutes: datagrams both ways, who gets them, and what becomes of flows when things change.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gateway_core::compile::{Bound, Fact};
use gateway_core::name::Kind;
use gateway_pingora::{Fault, Gateway, StreamRecord};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::world::{World, free_port, run, until};

/// Gives every datagram back, after its name.
struct Echo {
    address: SocketAddr,
    /// Who sent something.
    clients: Arc<Mutex<HashSet<SocketAddr>>>,
    task: JoinHandle<()>,
}

impl Echo {
    async fn start(name: &'static str) -> Self {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), name).await
    }

    async fn start_at(address: SocketAddr, name: &'static str) -> Self {
        let socket = UdpSocket::bind(address).await.unwrap();
        let address = socket.local_addr().unwrap();
        let clients: Arc<Mutex<HashSet<SocketAddr>>> = Arc::default();
        let known = Arc::clone(&clients);
        let task = tokio::spawn(async move {
            let mut bytes = vec![0; 65_536];
            while let Ok((count, client)) = socket.recv_from(&mut bytes).await {
                known.lock().unwrap().insert(client);
                let answer = [name.as_bytes(), &bytes[..count]].concat();
                let _ = socket.send_to(&answer, client).await;
            }
        });
        Self { address, clients, task }
    }

    fn flows(&self) -> usize {
        self.clients.lock().unwrap().len()
    }

    /// Nobody listens at the address when this returns.
    async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A client: it takes answers from whom it asks, and from nobody else.
struct Client(UdpSocket);

impl Client {
    async fn of(at: impl Into<SocketAddr>) -> Self {
        let at = at.into();
        let any = if at.is_ipv4() { IpAddr::from(Ipv4Addr::UNSPECIFIED) } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0)).await.unwrap();
        socket.connect(at).await.unwrap();
        Self(socket)
    }

    async fn say(&self, datagram: &[u8]) {
        self.0.send(datagram).await.unwrap();
    }

    async fn hear(&self) -> Vec<u8> {
        timeout(Duration::from_secs(10), self.try_hear()).await.expect("no answer came")
    }

    async fn try_hear(&self) -> Vec<u8> {
        let mut bytes = vec![0; 65_536];
        let count = self.0.recv(&mut bytes).await.unwrap();
        bytes.truncate(count);
        bytes
    }

    async fn ask(&self, datagram: &str) -> String {
        self.say(datagram.as_bytes()).await;
        String::from_utf8(self.hear().await).unwrap()
    }

    /// Asks again and again, as a client of UDP does.
    async fn insist(&self, datagram: &str) -> String {
        for _ in 0..100 {
            self.say(datagram.as_bytes()).await;
            if let Ok(answer) = timeout(Duration::from_millis(100), self.try_hear()).await {
                return String::from_utf8(answer).unwrap();
            }
        }
        panic!("no answer came");
    }
}

/// A Gateway with a UDP listener on port 8080, and a route; `more` are listeners.
fn udp(more: &str, backends: &str) -> String {
    format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: default}}
spec:
  gatewayClassName: pingora
  listeners:
  - {{name: udp, port: 8080, protocol: UDP}}
{more}
---
apiVersion: gateway.networking.k8s.io/v1
kind: UDPRoute
metadata: {{name: r, namespace: default}}
spec:
  parentRefs: [{{name: gw, sectionName: udp}}]
  rules: [{{backendRefs: {backends}}}]
"
    )
}

/// A Service of datagrams with these endpoints.
fn service(name: &str, endpoints: &[SocketAddr]) -> String {
    let mut yaml = format!(
        "
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: default}}
spec: {{ports: [{{name: web, port: 80, protocol: UDP}}]}}"
    );
    for (index, endpoint) in endpoints.iter().enumerate() {
        yaml += &slice(name, index, &format!("{{addresses: [{}]}}", endpoint.ip()), endpoint.port());
    }
    yaml
}

fn slice(service: &str, index: usize, endpoints: &str, port: u16) -> String {
    format!(
        "
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {service}-{index}, namespace: default, labels: {{kubernetes.io/service-name: {service}}}}}
addressType: IPv4
endpoints: [{endpoints}]
ports: [{{name: web, port: {port}, protocol: UDP}}]"
    )
}

fn one(endpoint: &Echo) -> String {
    udp("", "[{name: s, port: 80}]") + &service("s", &[endpoint.address])
}

type Records = Arc<Mutex<Vec<StreamRecord>>>;

/// A world whose flows end after this silence, and what is told of them.
async fn told(idle: Duration, yaml: &str) -> (World, Records) {
    let records: Records = Arc::default();
    let kept = Arc::clone(&records);
    let more = |builder: gateway_pingora::Builder| {
        builder.flow_idle_timeout(idle).on_stream(move |record| kept.lock().unwrap().push(record))
    };
    (World::with(more, yaml).await, records)
}

#[test]
fn datagrams_keep_their_boundaries_and_sizes_both_ways() {
    run(async {
        let echo = Echo::start("").await;
        let (world, records) = told(Duration::from_millis(300), &one(&echo)).await;
        let client = Client::of(world.at(8080)).await;
        let largest: Vec<u8> = (0..65_507_u32).map(|n| (n % 251) as u8).collect();
        for datagram in [&b""[..], b"x", b"", b"two words", &largest] {
            client.say(datagram).await;
            assert!(client.hear().await == datagram, "{} bytes", datagram.len());
        }
        for n in 0..20 {
            client.say(format!("number {n}").as_bytes()).await;
        }
        for n in 0..20 {
            assert_eq!(client.hear().await, format!("number {n}").as_bytes());
        }
        assert_eq!(echo.flows(), 1);
        let counters = world.gateway.counters();
        assert_eq!((counters.datagrams_received(), counters.datagrams_sent(), counters.datagrams_dropped()), (25, 25, 0));
        until("it is told", || records.lock().unwrap().len() == 1).await;
        let record = records.lock().unwrap()[0].clone();
        assert_eq!(record.endpoint, Some(echo.address));
        assert_eq!(record.peer.port(), client.0.local_addr().unwrap().port());
        assert_eq!((record.received_bytes, record.sent_bytes, record.tries, record.fault), (65_687, 65_687, 1, None));
        assert_eq!((counters.flows_forwarded(), counters.flows_open()), (1, 0));
    });
}

#[test]
fn flows_are_shared_by_weight_and_those_of_an_invalid_backend_are_dropped_for_good() {
    run(async {
        let (one, two) = (Echo::start("one").await, Echo::start("two").await);
        let backends = "[{name: s, port: 80, weight: 5}, {name: t, port: 80, weight: 3}, {name: gone, port: 80, weight: 2}]";
        let world = World::of(&(udp("", backends) + &service("s", &[one.address]) + &service("t", &[two.address]))).await;
        let counters = world.gateway.counters();
        let mut clients = Vec::new();
        for count in 1..=50 {
            let client = Client::of(world.at(8080)).await;
            // Several of one flow are decided once.
            for _ in 0..3 {
                client.say(b"").await;
            }
            until("they are taken in", || counters.datagrams_received() == 3 * count).await;
            clients.push(client);
        }
        until("all are answered", || counters.datagrams_sent() == 3 * 40).await;
        assert_eq!([one.flows(), two.flows()], [25, 15]);
        assert_eq!((counters.flows_forwarded(), counters.flows_refused(), counters.datagrams_dropped()), (40, 10, 30));
    });
}

#[test]
fn answers_come_from_the_address_that_was_asked() {
    run(async {
        let echo = Echo::start("").await;
        let world = World::of(&one(&echo)).await;
        let port = world.port(8080);
        for address in [IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 1, 2, 3]), Ipv6Addr::LOCALHOST.into()] {
            let client = Client::of((address, port)).await;
            assert_eq!(client.ask("who").await, "who", "{address}");
        }
        // One client that asks two addresses of ours has two flows.
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        for address in [[127, 0, 0, 1], [127, 0, 0, 2]] {
            let at = SocketAddr::from((address, port));
            socket.send_to(b"who", at).await.unwrap();
            let (_, from) = timeout(Duration::from_secs(10), socket.recv_from(&mut [0; 8])).await.unwrap().unwrap();
            assert_eq!(from, at);
        }
        assert_eq!(echo.flows(), 5);
    });
}

#[test]
fn tcp_and_udp_serve_on_one_port_number() {
    run(async {
        let echo = Echo::start("datagram ").await;
        let backend = crate::backend::Backend::echo("web").await;
        let route = crate::world::route("all", "[{backendRefs: [{name: web, port: 80}]}]");
        let yaml = udp("  - {name: http, port: 8080, protocol: HTTP}", "[{name: s, port: 80}]")
            + &service("s", &[echo.address])
            + &route
            + &crate::world::service("web", &[backend.address]);
        let mut world = World::of(&yaml).await;
        assert_eq!(Client::of(world.at(8080)).await.ask("x").await, "datagram x");
        assert_eq!(crate::client::get(world.at(8080), "a", "/").await.status, 200);
        world.put(&yaml.replace("  - {name: http, port: 8080, protocol: HTTP}", "")).await;
        assert!(std::net::TcpStream::connect(world.at(8080)).is_err());
        assert_eq!(Client::of(world.at(8080)).await.ask("x").await, "datagram x");
    });
}

#[test]
fn an_endpoint_where_nobody_listens_is_passed_over_and_the_flow_goes_on_at_another() {
    run(async {
        let (first, second) = (Echo::start("").await, Echo::start("").await);
        let dead: SocketAddr = (Ipv4Addr::LOCALHOST, free_port()).into();
        let yaml = udp("", "[{name: s, port: 80}]") + &service("s", &[dead, first.address, second.address]);
        let world = World::of(&yaml).await;
        let clients = [Client::of(world.at(8080)).await, Client::of(world.at(8080)).await, Client::of(world.at(8080)).await];
        for client in &clients {
            assert_eq!(client.insist("x").await, "x");
        }
        // Whichever of the two goes, the flows that were with it are with the other.
        first.stop().await;
        for client in &clients {
            assert_eq!(client.insist("y").await.trim_matches('x'), "y");
        }
        let counters = world.gateway.counters();
        assert_eq!((counters.flows_forwarded(), counters.flows_refused()), (3, 0), "each goes on as one flow");
    });
}

#[test]
fn a_flow_whose_only_endpoint_is_away_finds_it_again() {
    run(async {
        let address: SocketAddr = (Ipv4Addr::LOCALHOST, free_port()).into();
        let (world, records) =
            told(Duration::from_millis(400), &(udp("", "[{name: s, port: 80}]") + &service("s", &[address]))).await;
        let client = Client::of(world.at(8080)).await;
        for _ in 0..5 {
            client.say(b"x").await;
        }
        until("it is told", || records.lock().unwrap().len() == 1).await;
        assert!(matches!(records.lock().unwrap()[0].fault, Some(Fault::Connect(_))), "{:?}", records.lock().unwrap()[0]);
        client.say(b"x").await;
        let _echo = Echo::start_at(address, "back ").await;
        assert!(client.insist("x").await.starts_with("back "));
        until("it is told", || records.lock().unwrap().len() == 2).await;
        assert_eq!(records.lock().unwrap()[1].fault, None, "it answered in the end");
    });
}

#[test]
fn a_flow_stays_with_its_endpoint_while_that_lives_whatever_else_changes() {
    run(async {
        let (a, b, c) = (Echo::start("a").await, Echo::start("b").await, Echo::start("c").await);
        let with = |backend: &str| udp("", &format!("[{{name: {backend}, port: 80}}]"));
        let services = service("s", &[a.address]) + &service("t", &[c.address]);
        let mut world = World::of(&(with("s") + &services)).await;
        let client = Client::of(world.at(8080)).await;
        assert_eq!(client.ask("1").await, "a1");
        // Another endpoint comes, which has less to do.
        world.put(&service("s", &[a.address, b.address])).await;
        assert_eq!(client.ask("2").await, "a2");
        // The route goes elsewhere: new flows do, too.
        world.put(&with("t")).await;
        assert_eq!(client.ask("3").await, "a3");
        assert_eq!(Client::of(world.at(8080)).await.ask("3").await, "c3");
        world.put(&with("s")).await;
        assert_eq!(client.ask("4").await, "a4");
        // The endpoint is gone: the next datagram begins anew.
        world.remove(Kind::EndpointSlice, "s-0").await;
        assert_eq!(client.ask("5").await, "b5");
        assert_eq!(a.flows(), 1);
    });
}

#[test]
fn a_refused_flow_is_decided_anew_when_something_changed() {
    run(async {
        let echo = Echo::start("").await;
        let mut world = World::of(&udp("", "[{name: s, port: 80}]")).await;
        let client = Client::of(world.at(8080)).await;
        client.say(b"x").await;
        until("it is refused", || world.gateway.counters().flows_refused() == 1).await;
        world.put(&service("s", &[echo.address])).await;
        assert_eq!(client.ask("y").await, "y");
    });
}

#[test]
fn when_as_many_flows_are_there_as_may_be_the_silent_make_room_and_others_are_not_disturbed() {
    run(async {
        let echo = Echo::start("").await;
        let world = World::with(|builder| builder.max_flows(3), &one(&echo)).await;
        let mut clients = Vec::new();
        for _ in 0..3 {
            let client = Client::of(world.at(8080)).await;
            assert_eq!(client.ask("x").await, "x");
            clients.push(client);
        }
        let counters = world.gateway.counters();
        let newcomer = Client::of(world.at(8080)).await;
        newcomer.say(b"x").await;
        until("there is no room", || counters.datagrams_dropped() == 1).await;
        // The first goes on talking, the others fall silent.
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(1200) {
            assert_eq!(clients[0].ask("x").await, "x");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(newcomer.ask("x").await, "x");
        assert_eq!(clients[0].ask("x").await, "x");
        assert_eq!((counters.flows_evicted(), counters.flows_forwarded()), (1, 4));
        assert_eq!(echo.flows(), 4);
    });
}

const DRAIN: &str = "
---
apiVersion: pingora-gateway.dev/v1alpha1
kind: GatewayParameters
metadata: {name: settings, namespace: default}
spec: {limits: {drainTimeout: 2s}}";

fn drained(yaml: &str) -> String {
    yaml.replace(
        "  listeners:",
        "  infrastructure: {parametersRef: {group: pingora-gateway.dev, kind: GatewayParameters, name: settings}}\n  listeners:",
    )
}

#[test]
fn flows_of_a_removed_listener_go_on_until_the_drain_time_and_its_port_is_free_when_they_are_gone() {
    run(async {
        let echo = Echo::start("").await;
        // Another listener holds the Gateway up.
        let both = drained(&udp("  - {name: other, port: 80, protocol: HTTP}", "[{name: s, port: 80}]"));
        let mut world = World::of(&(both.clone() + DRAIN + &service("s", &[echo.address]))).await;
        let (talking, silent) = (Client::of(world.at(8080)).await, Client::of(world.at(8080)).await);
        assert_eq!((talking.ask("x").await, silent.ask("x").await), ("x".into(), "x".into()));
        let counters = world.gateway.clone();
        let counters = counters.counters();
        let without = both.replace("  - {name: udp, port: 8080, protocol: UDP}\n", "");
        let began = Instant::now();
        world.change(&without);
        let late = Client::of(world.at(8080)).await;
        late.say(b"x").await;
        until("who comes late is refused", || counters.flows_refused() == 1).await;
        let mut silent_ended = None;
        while counters.flows_open() > 0 {
            if timeout(Duration::from_millis(50), talking.ask("x")).await.is_err() {
                continue;
            }
            if counters.flows_open() == 1 {
                silent_ended.get_or_insert_with(|| began.elapsed());
            }
        }
        let (silent_ended, ended) = (silent_ended.unwrap(), began.elapsed());
        assert!((Duration::from_millis(900)..Duration::from_millis(1900)).contains(&silent_ended), "{silent_ended:?}");
        assert!((Duration::from_millis(1900)..Duration::from_secs(6)).contains(&ended), "{ended:?}");
        world.settle().await;
        assert!(std::net::UdpSocket::bind(world.at(8080)).is_ok(), "the port is free");
    });
}

#[test]
fn a_listener_that_comes_back_while_its_flows_leave_keeps_them() {
    run(async {
        let echo = Echo::start("").await;
        let yaml = drained(&udp("  - {name: other, port: 80, protocol: HTTP}", "[{name: s, port: 80}]"));
        let mut world = World::of(&(yaml.clone() + DRAIN + &service("s", &[echo.address]))).await;
        let client = Client::of(world.at(8080)).await;
        assert_eq!(client.ask("x").await, "x");
        world.change(&yaml.replace("  - {name: udp, port: 8080, protocol: UDP}\n", ""));
        assert_eq!(client.ask("x").await, "x");
        world.change(&yaml);
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(2500) {
            assert_eq!(client.ask("x").await, "x");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!((echo.flows(), world.gateway.counters().flows_forwarded()), (1, 1));
    });
}

#[test]
fn a_refused_port_is_told_and_tried_again() {
    run(async {
        let echo = Echo::start("").await;
        let port = free_port();
        let taken = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap();
        let mut world = World::with(|builder| builder.map_port(8080, port), &one(&echo)).await;
        assert!(matches!(world.bound(8080), Some(Bound::Refused(_))), "{:?}", world.bound(8080));
        drop(taken);
        assert!(matches!(world.fact().await, Fact::Socket(_, Some(Bound::Yes))));
        let client = Client::of((Ipv4Addr::LOCALHOST, port)).await;
        assert_eq!(client.ask("x").await, "x");
    });
}

#[test]
fn a_drained_gateway_lets_answers_through_and_takes_nothing_in_and_its_successor_loses_no_datagram() {
    run(async {
        let echo = Echo::start("").await;
        let world = World::of(&one(&echo)).await;
        let client = Client::of(world.at(8080)).await;
        assert_eq!(client.ask("x").await, "x");
        let sockets = world.gateway.sockets().unwrap();
        assert_eq!(sockets.len(), 1);
        let left: Vec<_> = sockets.into_iter().map(std::net::UdpSocket::from).collect();
        let port = world.port(8080);
        let successor = World::with(|builder| builder.map_port(8080, port).inherit_datagrams(left), &one(&echo)).await;
        // Until it is told that they are its own, the former one serves all.
        for _ in 0..20 {
            assert_eq!(client.ask("x").await, "x");
        }
        assert_eq!((successor.gateway.counters().datagrams_received(), echo.flows()), (0, 1));
        let gateway: Gateway = world.gateway.clone();
        let drained = tokio::spawn(async move { gateway.drain(Duration::from_secs(20)).await });
        until("it takes nothing in", || world.gateway.counters().flows_open() == 0).await;
        client.say(b"waits").await;
        assert_eq!(drained.await.unwrap(), 0);
        successor.gateway.close_inherited();
        assert_eq!(client.hear().await, b"waits");
        until("the service returns", || world.is_over()).await;
    });
}
