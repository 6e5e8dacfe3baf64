//! A gateway that serves manifests.
//!
//! In: YAML, with named ports 80, 443 and the like. Out: a running gateway, and the addresses at which these ports are found.

use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gateway_core::compile::{Bound, Change, Compiler, ExternalNames, Fact, Options};
use gateway_core::name::{GroupKind, Kind, ObjectId, ObjectName};
use gateway_core::resource::{self, FieldValidation, Reader, Reading};
use gateway_core::snapshot::Socket;
use gateway_pingora::{Builder, Gateway, Proxy, Record, SUPPORT, Service};
use pingora_proxy::ProxyHttp;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Runs a test, for half a minute at most.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(30), test).await.expect("the test took too long") });
    runtime.shutdown_background();
}

/// Waits until something holds, for ten seconds at most.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A port of the loopback interface that is free now, outside the range the system draws from.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = 12_000 + (std::process::id() % 64) as u16 * 300;
    loop {
        let port = base + NEXT.fetch_add(1, Ordering::Relaxed) % 300;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() && UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            return port;
        }
    }
}

pub(crate) struct World {
    pub(crate) gateway: Gateway,
    pub(crate) records: Arc<Mutex<Vec<Record>>>,
    compiler: Compiler,
    facts: UnboundedReceiver<Fact>,
    ports: HashMap<u16, u16>,
    bound: HashMap<Socket, Bound>,
    names: HashMap<Arc<str>, Option<Arc<[IpAddr]>>>,
    serving: JoinHandle<()>,
    _running: watch::Sender<bool>,
    kinds: Vec<GroupKind>,
}

/// Ports that manifests may name.
const NAMED: [u16; 4] = [80, 443, 8080, 8443];

impl World {
    /// A gateway serving these manifests, all ports bound.
    pub(crate) async fn of(yaml: &str) -> Self {
        Self::with(|builder| builder, yaml).await
    }

    /// The same with more in its builder.
    pub(crate) async fn with(more: impl FnOnce(Builder) -> Builder, yaml: &str) -> Self {
        Self::start(more, |gateway| gateway.service(), yaml).await
    }

    /// The same with a proxy around the gateway's own.
    pub(crate) async fn around<P>(outer: impl FnOnce(Proxy) -> P, yaml: &str) -> Self
    where
        P: ProxyHttp + Send + Sync + 'static,
        P::CTX: Send + Sync,
    {
        Self::start(|builder| builder, |gateway| gateway.service_with(outer(gateway.proxy())), yaml).await
    }

    async fn start<P>(more: impl FnOnce(Builder) -> Builder, service: impl FnOnce(&Gateway) -> Service<P>, yaml: &str) -> Self
    where
        P: ProxyHttp + Send + Sync + 'static,
        P::CTX: Send + Sync,
    {
        let ports: HashMap<u16, u16> = NAMED.iter().map(|named| (*named, free_port())).collect();
        let records: Arc<Mutex<Vec<Record>>> = Arc::default();
        let kept = Arc::clone(&records);
        let mut builder = Gateway::builder().on_record(move |record| kept.lock().unwrap().push(record));
        for (named, bound) in &ports {
            builder = builder.map_port(*named, *bound);
        }
        let gateway = more(builder).build().unwrap();
        let extensions = gateway.extensions().clone();
        let kinds = extensions.kinds().cloned().collect();
        // All that is asked for here is on the loopback interface.
        let external_names = ExternalNames::Anywhere;
        let compiler = Compiler::new(Options { support: SUPPORT, extensions, external_names, seed: 7, ..Options::default() });
        let (running, shutdown) = watch::channel(false);
        let service = service(&gateway);
        let serving = tokio::spawn(async move { service.serve(shutdown).await });
        let facts = gateway.facts();
        let mut world = Self {
            gateway,
            records,
            compiler,
            facts,
            ports,
            bound: HashMap::new(),
            names: HashMap::new(),
            serving,
            _running: running,
            kinds,
        };
        world.put(yaml).await;
        world
    }

    /// Puts manifests, publishes what they become, and waits until all ports are tried.
    pub(crate) async fn put(&mut self, yaml: &str) {
        self.change(yaml);
        self.settle().await;
    }

    /// Puts manifests and publishes what they become.
    pub(crate) fn change(&mut self, yaml: &str) {
        let reader = Reader { validation: FieldValidation::Strict, lenient_forms: true, extensions: self.kinds.clone() };
        let documents = yaml.split("\n---").filter(|document| !document.trim().is_empty());
        let changes: Vec<Change> = documents
            .map(|document| {
                let value: serde_json::Value = serde_saphyr::from_str(document).unwrap();
                match resource::read(value, &reader) {
                    Ok(Reading::Object { object, .. }) => Change::Put(object),
                    Ok(Reading::Foreign { kind, name }) => panic!("{kind} {name} is not read"),
                    Err(invalid) => panic!("{invalid:?}\n{document}"),
                }
            })
            .collect();
        self.compile(changes);
    }

    /// Removes an object of the namespace `default`.
    pub(crate) async fn remove(&mut self, kind: Kind, name: &str) {
        self.compile(vec![Change::Remove(ObjectId { kind, name: ObjectName::new("default", name) })]);
        self.settle().await;
    }

    /// Feeds facts to the compiler until every socket of its snapshot has been tried, and no other is bound.
    pub(crate) async fn settle(&mut self) {
        loop {
            let mut wanted: Vec<Socket> = self.gateway.live().load().sockets().map(|(socket, _)| *socket).collect();
            let mut tried: Vec<Socket> = self.bound.keys().copied().collect();
            wanted.sort();
            tried.sort();
            if wanted == tried {
                return;
            }
            self.learn().await;
        }
    }

    /// Feeds facts to the compiler until this is what a name was last said to resolve to.
    pub(crate) async fn resolve(&mut self, host: &str, to: Option<&[IpAddr]>) {
        while self.names.get(host).is_none_or(|known| known.as_deref() != to) {
            self.learn().await;
        }
    }

    async fn learn(&mut self) {
        let fact = self.fact().await;
        match fact.clone() {
            Fact::Socket(socket, Some(bound)) => drop(self.bound.insert(socket, bound)),
            Fact::Socket(socket, None) => drop(self.bound.remove(&socket)),
            Fact::Resolved(host, addresses) => drop(self.names.insert(host, addresses)),
            Fact::Acknowledged(..) | Fact::Addresses(..) | Fact::ServiceRanges(_) | Fact::Time(_) | Fact::Bundle(_) => {
                panic!("{fact:?} is not for a gateway to tell")
            }
        }
        self.compile(vec![Change::Fact(fact)]);
    }

    fn compile(&mut self, changes: Vec<Change>) {
        let update = self.compiler.apply(changes);
        self.gateway.live().publish(update.snapshot);
        self.gateway.resolve(&update.names);
    }

    /// The next fact the gateway tells.
    pub(crate) async fn fact(&mut self) -> Fact {
        self.facts.recv().await.unwrap()
    }

    /// Where a named port is found.
    pub(crate) fn at(&self, named: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports[&named]).into()
    }

    /// The port that is bound for a named one.
    pub(crate) fn port(&self, named: u16) -> u16 {
        self.ports[&named]
    }

    /// How the binding of a named port ended.
    pub(crate) fn bound(&self, named: u16) -> Option<&Bound> {
        self.bound.iter().find(|(socket, _)| socket.port == named).map(|(_, bound)| bound)
    }

    /// That of the request that began last, once there are this many: a response is with its client before its record is here, so
    /// they may come out of order.
    pub(crate) async fn record(&self, count: usize) -> Record {
        until("a record", || self.records.lock().unwrap().len() >= count).await;
        self.records.lock().unwrap().iter().max_by_key(|record| record.at).unwrap().clone()
    }

    /// Whether the service has returned.
    pub(crate) fn is_over(&self) -> bool {
        self.serving.is_finished()
    }
}

/// A Gateway with one HTTP listener on port 80, its settings as given (`limits`, `trustedProxies`, …, each indented by two).
pub(crate) fn gateway(settings: &str) -> String {
    let parameters = match settings {
        "" => String::new(),
        settings => format!(
            "
---
apiVersion: pingora-gateway.dev/v1alpha1
kind: GatewayParameters
metadata: {{name: settings, namespace: default}}
spec:
{settings}"
        ),
    };
    let reference = match settings {
        "" => "",
        _ => "  infrastructure: {parametersRef: {group: pingora-gateway.dev, kind: GatewayParameters, name: settings}}\n",
    };
    format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: default}}
spec:
  gatewayClassName: pingora
{reference}  listeners:
  - {{name: http, port: 80, protocol: HTTP}}
{parameters}"
    )
}

/// An HTTPRoute of the Gateway `gw`; `rules` is the list, as YAML.
pub(crate) fn route(name: &str, rules: &str) -> String {
    format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}, namespace: default}}
spec:
  parentRefs: [{{name: gw}}]
  rules: {rules}"
    )
}

/// A Service of port 80 with these endpoints, one slice for each.
pub(crate) fn service(name: &str, endpoints: &[SocketAddr]) -> String {
    speaking(name, "", endpoints)
}

/// The same with an `appProtocol`.
pub(crate) fn speaking(name: &str, protocol: &str, endpoints: &[SocketAddr]) -> String {
    let protocol = if protocol.is_empty() { String::new() } else { format!(", appProtocol: {protocol}") };
    let mut yaml = format!(
        "
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: default}}
spec:
  ports: [{{name: web, port: 80{protocol}}}]"
    );
    for (index, endpoint) in endpoints.iter().enumerate() {
        yaml.push_str(&slice(name, index, endpoint));
    }
    yaml
}

/// One EndpointSlice of a Service.
pub(crate) fn slice(service: &str, index: usize, endpoint: &SocketAddr) -> String {
    format!(
        "
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {service}-{index}, namespace: default, labels: {{kubernetes.io/service-name: {service}}}}}
addressType: IPv4
endpoints: [{{addresses: [{}], conditions: {{ready: true}}}}]
ports: [{{name: web, port: {}}}]",
        endpoint.ip(),
        endpoint.port()
    )
}
