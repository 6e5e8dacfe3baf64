//! Backends that are found by host names: Services of type ExternalName, XBackends of type ExternalHostname; ServiceImports.
//!
//! Name servers are the tests' own, on loopback: what they answer is set as the test goes on.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use gateway_core::name::Kind;
use tokio::net::UdpSocket;

use crate::backend::Backend;
use crate::client::get;
use crate::world::{World, gateway, route, run, until};

/// What a name server says of a name that it knows.
#[derive(Clone, Copy)]
enum Said {
    /// It has this address, for so many seconds.
    Here(IpAddr, u32),
    /// Nothing that helps (SERVFAIL).
    Failure,
}

/// A name server. Names it does not know do not exist (NXDOMAIN); none has an address of IPv6.
struct NameServer {
    address: SocketAddr,
    names: Arc<Mutex<HashMap<String, Said>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl NameServer {
    async fn start() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        let server = Self { address, names: Arc::default(), asked: Arc::default() };
        let (names, asked) = (Arc::clone(&server.names), Arc::clone(&server.asked));
        tokio::spawn(async move {
            let mut buffer = [0; 1500];
            loop {
                let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
                let (name, reply) = answer(&buffer[..length], &names.lock().unwrap());
                asked.lock().unwrap().push(name);
                socket.send_to(&reply, from).await.unwrap();
            }
        });
        server
    }

    fn say(&self, name: &str, said: Said) {
        self.names.lock().unwrap().insert(name.into(), said);
    }

    fn asked(&self, name: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| *asked == name).count()
    }
}

/// The name that a query (RFC 1035) asks for, and the answer to it.
fn answer(query: &[u8], names: &HashMap<String, Said>) -> (String, Vec<u8>) {
    let (mut at, mut labels) = (12, Vec::new());
    while query[at] != 0 {
        let end = at + 1 + query[at] as usize;
        labels.push(String::from_utf8(query[at + 1..end].to_vec()).unwrap());
        at = end;
    }
    let name = labels.join(".");
    let (question, kind) = (&query[12..at + 5], query[at + 2]);
    let (code, record) = match names.get(&name) {
        Some(Said::Here(IpAddr::V4(address), seconds)) if kind == A => (0, Some((address, seconds))),
        Some(Said::Here(..)) => (0, None),
        Some(Said::Failure) => (2, None),
        None => (3, None),
    };
    let mut reply = query[..2].to_vec();
    reply.extend([0x81, 0x80 | code, 0, 1, 0, record.is_some().into(), 0, 0, 0, 0]);
    reply.extend(question);
    if let Some((address, seconds)) = record {
        reply.extend([0xc0, 12, 0, A, 0, 1]);
        reply.extend(seconds.to_be_bytes());
        reply.extend([0, 4]);
        reply.extend(address.octets());
    }
    (name, reply)
}

const A: u8 = 1;

fn external(host: &str, port: u16) -> String {
    format!(
        "
---
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: default}}
spec: {{type: ExternalName, externalName: {host}, ports: [{{port: {port}}}]}}"
    )
}

fn to_service(port: u16) -> String {
    route("all", &format!("[{{backendRefs: [{{name: web, port: {port}}}]}}]"))
}

async fn world(server: &NameServer, yaml: &str) -> World {
    let address = server.address;
    World::with(|builder| builder.name_servers([address]), yaml).await
}

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[test]
fn an_external_name_leads_to_the_addresses_it_resolves_to() {
    run(async {
        let (server, backend) = (NameServer::start().await, Backend::echo("there").await);
        let port = backend.address.port();
        server.say("legacy.example.com", Said::Here(LOCAL, 60));
        let mut world = world(&server, &(gateway("") + &to_service(port) + &external("legacy.example.com", port))).await;
        world.resolve("legacy.example.com", Some(&[LOCAL])).await;
        assert_eq!(get(world.at(80), "a", "/").await.json()["backend"], "there");
        let (asked, failed) = (world.gateway.counters().names_asked(), world.gateway.counters().names_failed());
        assert_eq!((asked, failed), (2, 0), "for each family once");
        world.put(&external("gone.example.com", port)).await;
        world.resolve("gone.example.com", Some(&[])).await;
        assert_eq!(get(world.at(80), "a", "/").await.status, 503, "that it does not exist is known");
        world.remove(Kind::HttpRoute, "all").await;
        world.resolve("gone.example.com", None).await;
        let asked = server.asked("gone.example.com");
        world.put(&(to_service(port) + &external("legacy.example.com", port))).await;
        world.resolve("legacy.example.com", Some(&[LOCAL])).await;
        assert_eq!(server.asked("gone.example.com"), asked, "nobody wants it any longer");
    });
}

#[test]
fn an_answer_is_asked_for_again_when_it_expires_and_holds_while_nobody_answers() {
    run(async {
        let (server, backend) = (NameServer::start().await, Backend::echo("there").await);
        let port = backend.address.port();
        let elsewhere = IpAddr::from([127, 0, 0, 77]);
        server.say("api.example.com", Said::Here(elsewhere, 0));
        let mut world = world(&server, &(gateway("") + &to_service(port) + &external("api.example.com", port))).await;
        world.resolve("api.example.com", Some(&[elsewhere])).await;
        server.say("api.example.com", Said::Here(LOCAL, 0));
        world.resolve("api.example.com", Some(&[LOCAL])).await;
        assert_eq!(get(world.at(80), "a", "/").await.json()["backend"], "there");
        server.say("api.example.com", Said::Failure);
        until("failures", || world.gateway.counters().names_failed() >= 4).await;
        assert_eq!(get(world.at(80), "a", "/").await.json()["backend"], "there", "the last answer holds");
        server.say("api.example.com", Said::Here(elsewhere, 0));
        world.resolve("api.example.com", Some(&[elsewhere])).await;
    });
}

#[test]
fn no_request_waits_for_a_name_that_nobody_answers_for() {
    run(async {
        // It takes queries and never answers.
        let silent = UdpSocket::bind((LOCAL, 0)).await.unwrap();
        let address = silent.local_addr().unwrap();
        let yaml = gateway("") + &to_service(80) + &external("slow.example.com", 80);
        let world = World::with(|builder| builder.name_servers([address]), &yaml).await;
        let mut query = [0; 512];
        silent.recv_from(&mut query).await.unwrap();
        assert_eq!(get(world.at(80), "a", "/").await.status, 503);
        assert_eq!(world.gateway.counters().names_asked(), 0, "the answer is still waited for");
    });
}

/// §9 item 66: external names.
#[test]
fn an_xbackend_leads_to_a_host_elsewhere_or_to_selected_endpoints() {
    run(async {
        let (server, backend, pod) = (NameServer::start().await, Backend::echo("there").await, Backend::echo("pod").await);
        server.say("api.example.com", Said::Here(LOCAL, 60));
        let xbackend = |spec: &str| {
            format!(
                "
---
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackend
metadata: {{name: x, namespace: default}}
spec: {{{spec}}}"
            )
        };
        let host = "type: ExternalHostname, externalHostname: {hostname: api.example.com}";
        let yaml = gateway("")
            + &route("all", "[{backendRefs: [{group: gateway.networking.x-k8s.io, kind: XBackend, name: x}]}]")
            + &xbackend(&format!("{host}, port: {{number: {}}}", backend.address.port()));
        let mut world = world(&server, &yaml).await;
        world.resolve("api.example.com", Some(&[LOCAL])).await;
        assert_eq!(get(world.at(80), "a", "/").await.json()["backend"], "there");
        let slice = "
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: x-1, namespace: default, labels: {pingora-gateway.dev/backend: x}}
addressType: IPv4
ports: []
endpoints: [{addresses: ['127.0.0.1']}]";
        let selector = "type: EndpointSelector, endpointSelector: {matchLabels: {app: a}}";
        let port = pod.address.port();
        world.put(&(xbackend(&format!("{selector}, port: {{number: {port}}}")) + slice)).await;
        assert_eq!(get(world.at(80), "a", "/").await.json()["backend"], "pod");
    });
}

/// §9 item 49: ServiceImport backends.
#[test]
fn a_service_import_is_a_backend() {
    run(async {
        let backend = Backend::echo("far").await;
        let yaml = format!(
            "
---
apiVersion: multicluster.x-k8s.io/v1alpha1
kind: ServiceImport
metadata: {{name: s, namespace: default}}
spec: {{type: ClusterSetIP, ports: [{{port: {}}}], ips: ['127.0.0.1']}}",
            backend.address.port()
        );
        let reference =
            format!("{{group: multicluster.x-k8s.io, kind: ServiceImport, name: s, port: {}}}", backend.address.port());
        let world = World::of(&(gateway("") + &route("all", &format!("[{{backendRefs: [{reference}]}}]")) + &yaml)).await;
        assert_eq!(get(world.at(80), "a", "/").await.json()["backend"], "far");
    });
}
