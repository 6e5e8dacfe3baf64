//! The laws of the compiler, over generated objects and sequences of changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gateway_core::compile::{Addresses, Bound, Bundle, Change, Compiler, ExternalNames, Fact, Need, Options, Proof, Update};
use gateway_core::name::{Kind, ObjectId, ObjectName};
use gateway_core::resource::Object;
use gateway_core::snapshot::{Socket, Transport};
use gateway_core::status::{Status, merge};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::world::{World, objects, signing};

mod backends;
mod faults;
mod filters;
mod policies;
mod routes;
mod surroundings;

use filters::LISTENER_FILTERS;
use policies::policy;
use routes::route;
use surroundings::{EXTRAS, fact, surrounding};

/// A change to a small universe, small enough that objects meet.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Put(String),
    Remove(&'static str),
    Bound(u16, bool),
    Addressed(usize, At),
    Acknowledged(&'static str, i64),
    /// Whether ClusterTrustBundles are served.
    TrustBundles(bool),
    Resolved(&'static str, Option<&'static str>),
    /// Any other fact.
    Told(Fact),
}

/// Where a Gateway listens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum At {
    Shared,
    Own,
    Both,
}

fn pick(from: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    proptest::sample::select(from)
}

const HOSTS: &[&str] = &["a.example.com", "*.example.com", "b.a.example.com", "*.com", "b.other.org"];
const NAMESPACES: &[&str] = &["one", "two"];

/// Listeners as YAML at the depth of `spec`.
fn listeners() -> impl Strategy<Value = String> {
    let listener = (
        pick(&["http", "other", "tls"]),
        pick(&["HTTP", "HTTP", "HTTPS", "HTTPS", "TLS", "TCP", "UDP", "ODD"]),
        pick(&["80", "443"]),
        proptest::option::of(pick(HOSTS)),
        pick(&["All", "Same", "Selector"]),
        pick(&["Terminate", "Passthrough"]),
        pick(&["", ", kinds: [{kind: HTTPRoute}]", ", kinds: [{kind: TLSRoute}, {kind: Odd}]"]),
        pick(LISTENER_FILTERS),
    );
    proptest::collection::vec(listener, 1..4).prop_map(|listeners| {
        let mut text = "  listeners:\n".to_owned();
        for (nth, (listener, protocol, port, host, from, mode, kinds, filters)) in listeners.into_iter().enumerate() {
            let selector = if from == "Selector" { ", selector: {matchLabels: {admit: 'yes'}}" } else { "" };
            text += &format!("  - name: {listener}-{nth}\n    protocol: {protocol}\n    port: {port}\n    allowedRoutes: {{namespaces: {{from: {from}{selector}}}{kinds}}}\n");
            if let Some(host) = host.filter(|_| !matches!(protocol, "TCP" | "UDP")) {
                text += &format!("    hostname: '{host}'\n");
            }
            if !filters.is_empty() {
                text += &format!("    filters: {{requests: [{filters}]}}\n");
            }
            match (protocol, mode) {
                ("TLS", "Passthrough") => text += "    tls: {mode: Passthrough}\n",
                ("TLS" | "HTTPS", _) => text += "    tls: {certificateRefs: [{name: cert, namespace: two}]}\n",
                _ => {}
            }
        }
        text
    })
}

/// `creationTimestamp`, or none.
fn created() -> impl Strategy<Value = String> {
    proptest::option::of(0..3i64).prop_map(|second| {
        second.map_or_else(String::new, |second| format!(", creationTimestamp: '2026-01-01T00:00:0{second}Z'"))
    })
}

fn gateway() -> impl Strategy<Value = String> {
    let allowed = pick(&[
        "  allowedListeners: {namespaces: {from: All}}\n",
        "  allowedListeners: {namespaces: {from: All}}\n",
        "  allowedListeners: {namespaces: {from: Same}}\n",
        "  allowedListeners: {namespaces: {from: Selector, selector: {matchLabels: {admit: 'yes'}}}}\n",
        "",
    ]);
    let extras = pick(EXTRAS);
    (pick(&["g1", "g2", "g3"]), created(), listeners(), allowed, extras).prop_map(|(name, created, listeners, allowed, extras)| {
        format!("apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: {name}, namespace: one{created}}}\nspec:\n  gatewayClassName: c\n{allowed}{extras}{listeners}")
    })
}

fn listener_set() -> impl Strategy<Value = String> {
    (pick(&["l1", "l2", "l3"]), pick(NAMESPACES), created(), pick(&["g1", "g1", "g2", "none"]), listeners()).prop_map(|(name, namespace, created, gateway, listeners)| {
        format!("apiVersion: gateway.networking.k8s.io/v1\nkind: ListenerSet\nmetadata: {{name: {name}, namespace: {namespace}{created}}}\nspec:\n  parentRef: {{name: {gateway}, namespace: one}}\n{listeners}")
    })
}

/// What a route attaches to, as YAML at the depth of `spec`.
fn parents() -> impl Strategy<Value = &'static str> {
    pick(&[
        "  parentRefs: [{name: g1, namespace: one}]\n",
        "  parentRefs: [{name: g2, namespace: one}, {name: g1, namespace: one, sectionName: http-0}]\n",
        "  parentRefs: [{name: g3, namespace: one, port: 80}]\n",
        "  parentRefs: [{kind: ListenerSet, name: l1, namespace: one}]\n",
        "  parentRefs: [{kind: ListenerSet, name: l1}, {kind: ListenerSet, name: l2, namespace: two, port: 443}, {name: g1, namespace: one}]\n",
        "  parentRefs: [{name: none}, {kind: ListenerSet, name: none}]\n",
        "  useDefaultGateways: All\n",
        "  parentRefs: [{name: g1, namespace: one, sectionName: http-0}]\n  useDefaultGateways: All\n",
        "  parentRefs: []\n",
    ])
}

fn other() -> impl Strategy<Value = String> {
    let namespace = (pick(NAMESPACES), pick(&["yes", "no"])).prop_map(|(name, admit)| {
        format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {{admit: '{admit}'}}}}\n")
    });
    let service = (pick(&["s1", "s2"]), pick(NAMESPACES), pick(&["", ", appProtocol: kubernetes.io/h2c", ", appProtocol: kubernetes.io/odd", ", name: web", ", appProtocol: kubernetes.io/wss", "}, {name: u, port: 80, protocol: UDP"])).prop_map(|(name, namespace, protocol)| format!("apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{ports: [{{port: 80{protocol}}}]}}\n"));
    let slice = (pick(&["e1", "e2"]), pick(NAMESPACES), pick(&["s1", "s2"]), proptest::collection::vec((1..5u8, any::<bool>()), 0..3)).prop_map(|(name, namespace, service, endpoints)| {
        let endpoints: Vec<String> = endpoints.into_iter().map(|(host, ready)| format!("{{addresses: [10.0.0.{host}], conditions: {{ready: {ready}}}}}")).collect();
        format!("apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: {name}, namespace: {namespace}, labels: {{kubernetes.io/service-name: {service}}}}}\naddressType: IPv4\nports: [{{port: 8080}}, {{name: u, port: 9090, protocol: UDP}}]\nendpoints: [{}]\n", endpoints.join(", "))
    });
    let grant = (pick(&["HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute", "Gateway", "ListenerSet", "XTelemetryPolicy"]), pick(&["Service", "Secret"])).prop_map(|(from, to)| {
        let group = if from == "XTelemetryPolicy" { "gateway.networking.x-k8s.io" } else { "gateway.networking.k8s.io" };
        format!("apiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\nmetadata: {{name: grant, namespace: two}}\nspec: {{from: [{{group: {group}, kind: {from}, namespace: one}}], to: [{{group: '', kind: {to}}}]}}\n")
    });
    let class = pick(&["", "parametersRef: {group: odd.example, kind: Odd, name: x}"]).prop_map(|parameters| format!("apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {{name: c}}\nspec:\n  controllerName: example.com/c\n  {parameters}\n"));
    let sign = any::<bool>().prop_map(|is_broken| {
        format!(
            "apiVersion: example.com/v1\nkind: Sign\nmetadata: {{name: sign, namespace: one}}\nspec: {{broken: {}}}\n",
            if is_broken { "true" } else { "null" }
        )
    });
    let secret = pick(&["kubernetes.io/tls", "Opaque"]).prop_map(|kind| format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: cert, namespace: two}}\ntype: {kind}\nstringData: {{tls.crt: x, tls.key: z}}\n"));
    let response = pick(&["200", "418"]).prop_map(|code| format!("apiVersion: pingora-gateway.dev/v1alpha1\nkind: DirectResponse\nmetadata: {{name: d, namespace: one}}\nspec: {{statusCode: {code}, body: b}}\n"));
    prop_oneof![2 => namespace, 3 => service, 3 => slice, 2 => grant, 1 => class, 1 => secret, 1 => response, 1 => sign]
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let ids = &[
        "Gateway one/g1",
        "Gateway one/g2",
        "Gateway one/g3",
        "ListenerSet one/l1",
        "ListenerSet one/l2",
        "ListenerSet two/l2",
        "HTTPRoute one/r1",
        "HTTPRoute two/r2",
        "GRPCRoute one/r1",
        "TLSRoute one/r1",
        "TLSRoute two/r2",
        "TCPRoute one/r1",
        "TCPRoute one/r2",
        "UDPRoute one/r1",
        "UDPRoute two/r2",
        "Service one/s1",
        "Service two/s2",
        "EndpointSlice one/e1",
        "ReferenceGrant two/grant",
        "Namespace two",
        "GatewayClass c",
        "Secret two/cert",
        "DirectResponse one/d",
        "Sign one/sign",
        "BackendTLSPolicy one/p1",
        "BackendTLSPolicy two/p2",
        "XBackendTrafficPolicy one/p1",
        "XTelemetryPolicy one/p1",
        "XTelemetryPolicy one/p2",
        "ConfigMap one/ca",
        "ClusterTrustBundle roots",
        "XBackend one/x1",
        "ServiceImport one/i1",
        "Secret one/client",
        "GatewayParameters one/p",
        "ReferenceGrant two/other",
    ];
    prop_oneof![
        3 => gateway().prop_map(Step::Put),
        4 => listener_set().prop_map(Step::Put),
        7 => route().prop_map(Step::Put),
        5 => other().prop_map(Step::Put),
        4 => policy().prop_map(Step::Put),
        5 => backends::object().prop_map(Step::Put),
        1 => (pick(&["a.example", "b.example"]), proptest::option::of(pick(&["192.0.2.1", "127.0.0.1"]))).prop_map(|(host, address)| Step::Resolved(host, address)),
        3 => surrounding().prop_map(Step::Put),
        2 => fact().prop_map(Step::Told),
        4 => pick(ids).prop_map(Step::Remove),
        2 => (proptest::sample::select(&[80u16, 443][..]), any::<bool>()).prop_map(|(port, bound)| Step::Bound(port, bound)),
        1 => (0..3usize, proptest::sample::select(&[At::Shared, At::Own, At::Both][..])).prop_map(|(gateway, at)| Step::Addressed(gateway, at)),
        1 => any::<bool>().prop_map(Step::TrustBundles),
        2 => (pick(&["Gateway one/g1", "Gateway one/g2", "ListenerSet one/l1", "ListenerSet two/l2"]), 0..2i64).prop_map(|(holder, generation)| Step::Acknowledged(holder, generation)),
    ]
}

fn changes(step: &Step) -> Vec<Change> {
    match step {
        Step::Put(yaml) => objects(yaml).into_iter().map(Change::Put).collect(),
        Step::Remove(what) => vec![Change::Remove(super::world::id(what))],
        Step::Bound(port, bound) => {
            let socket = Socket { address: None, port: *port, transport: Transport::Tcp };
            vec![Change::Fact(Fact::Socket(socket, Some(if *bound { Bound::Yes } else { Bound::Refused("in use".into()) })))]
        }
        Step::Addressed(gateway, at) => {
            let (shared, own) = ("10.9.0.1".to_owned(), format!("10.9.1.{gateway}"));
            let all = match at {
                At::Shared => vec![shared],
                At::Own => vec![own],
                At::Both => vec![own, shared],
            };
            let mut addresses = Addresses::default();
            for address in all {
                let one = Addresses::unasked(address.parse().expect("an address"));
                addresses.listen.extend(one.listen);
                addresses.answers.extend(one.answers);
            }
            let name = ObjectName::new("one", &format!("g{}", gateway + 1));
            vec![Change::Fact(Fact::Addresses(name, Some(addresses)))]
        }
        Step::Told(fact) => vec![Change::Fact(fact.clone())],
        Step::TrustBundles(trust_bundles) => {
            vec![Change::Fact(Fact::Bundle(Bundle { trust_bundles: *trust_bundles, ..Bundle::of("v1.7.0", true) }))]
        }
        Step::Resolved(host, address) => {
            let addresses = address.map(|address| [address.parse().expect("an address")].into());
            vec![Change::Fact(Fact::Resolved((*host).into(), addresses))]
        }
        Step::Acknowledged(holder, generation) => {
            vec![Change::Fact(Fact::Acknowledged(super::world::id(holder), *generation))]
        }
    }
}

/// What a compiler is left with: the outline of its snapshot, its statuses, its problems.
pub(crate) type Outcome = (Vec<String>, BTreeMap<ObjectId, Status>, BTreeMap<ObjectId, Vec<String>>);

pub(crate) fn outcome(compiler: &Compiler, update: &Update) -> Outcome {
    (update.snapshot.outline(), compiler.statuses().clone(), compiler.problems().clone())
}

/// The last word on each object and fact, in order of the first.
pub(crate) fn last_words(steps: &[Step]) -> Vec<Change> {
    last_of(steps.iter().flat_map(changes))
}

/// The same of changes.
pub(crate) fn last_of(changes: impl IntoIterator<Item = Change>) -> Vec<Change> {
    let mut objects: BTreeMap<ObjectId, Object> = BTreeMap::new();
    let mut facts: BTreeMap<String, Fact> = BTreeMap::new();
    for change in changes {
        match change {
            Change::Put(object) => drop(objects.insert(object.id(), object)),
            Change::Remove(id) => {
                // What proxies acknowledged goes with what they acknowledged.
                if objects.remove(&id).is_some() {
                    facts.remove(&format!("acknowledged {id}"));
                }
            }
            Change::Fact(fact) => {
                let key = match &fact {
                    Fact::Socket(socket, _) => socket.to_string(),
                    Fact::Addresses(gateway, _) => gateway.to_string(),
                    Fact::Acknowledged(holder, _) => format!("acknowledged {holder}"),
                    Fact::Bundle(_) => "bundle".to_owned(),
                    Fact::ServiceRanges(_) => "service ranges".to_owned(),
                    Fact::Time(_) => "time".to_owned(),
                    Fact::Resolved(host, _) => format!("resolved {host}"),
                };
                facts.insert(key, fact);
            }
        }
    }
    objects.into_values().map(Change::Put).chain(facts.into_values().map(Change::Fact)).collect()
}

/// What Gateways need.
type Needed = BTreeSet<(ObjectName, ObjectId)>;

fn walked(options: &Options, steps: &[Step], cut: usize) -> (Outcome, Needed) {
    let mut compiler = Compiler::new(options.clone());
    let mut update = compiler.apply([]);
    let mut needed = Needed::new();
    for transaction in steps.chunks(cut) {
        update = compiler.apply(transaction.iter().flat_map(changes));
        for Need { gateway, object, joined } in update.needs.clone() {
            let told = format!("{gateway} {object}");
            let is_news = if joined { needed.insert((gateway, object)) } else { needed.remove(&(gateway, object)) };
            assert!(is_news, "{told} is told twice");
        }
    }
    (outcome(&compiler, &update), needed)
}

fn at_once(options: &Options, steps: &[Step]) -> (Outcome, Needed) {
    let mut compiler = Compiler::new(options.clone());
    let update = compiler.apply(last_words(steps));
    (outcome(&compiler, &update), update.needs.iter().map(|need| (need.gateway.clone(), need.object.clone())).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    /// Laws 1 and 8.
    #[test]
    fn any_sequence_of_changes_leaves_what_compiling_the_final_objects_at_once_gives(steps in proptest::collection::vec(step(), 1..40), cut in 1..6usize) {
        let options = Options { external_names: ExternalNames::Elsewhere, ..signing() };
        prop_assert_eq!(walked(&options, &steps, cut), at_once(&options, &steps));
    }

    /// The same where every Gateway has addresses of its own and proxies prove what is programmed.
    #[test]
    fn any_sequence_of_changes_leaves_the_statuses_of_the_final_objects_to_a_controller(steps in proptest::collection::vec(step(), 1..40), cut in 1..6usize) {
        let controller = Options { proof: Proof::Acknowledgement, traffic: false, ..signing() };
        prop_assert_eq!(walked(&controller, &steps, cut), at_once(&controller, &steps));
    }

    /// Law 2.
    #[test]
    fn the_order_of_objects_does_not_matter(steps in proptest::collection::vec(step(), 1..30), seed in any::<u64>()) {
        let words = last_words(&steps);
        let mut shuffled = words.clone();
        let mut state = seed | 1;
        for at in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            shuffled.swap(at, (state >> 33) as usize % (at + 1));
        }
        let mut one = Compiler::new(signing());
        let at_once = one.apply(words);
        let mut other = Compiler::new(signing());
        let mut update = other.apply([]);
        for change in shuffled {
            update = other.apply([change]);
        }
        prop_assert_eq!(outcome(&one, &at_once), outcome(&other, &update));
    }

    /// Law 4.
    #[test]
    fn statuses_applied_back_yield_no_further_change(steps in proptest::collection::vec(step(), 1..30)) {
        let words = last_words(&steps);
        let mut compiler = Compiler::new(signing());
        let update = compiler.apply(words.clone());
        let mut stored: BTreeMap<ObjectId, Value> = BTreeMap::new();
        for (id, status) in compiler.statuses() {
            let held = words.iter().find_map(|change| match change {
                Change::Put(object) if object.id() == *id => held(object).cloned(),
                Change::Put(_) | Change::Remove(_) | Change::Fact(_) => None,
            });
            if let Some(written) = merge(status, held.as_ref(), "2026-01-01T00:00:00Z") {
                prop_assert_eq!(merge(status, Some(&written), "2026-02-02T00:00:00Z"), None, "{} is written twice", id);
                stored.insert(id.clone(), written);
            }
        }
        let written: Vec<Change> = words.into_iter().filter_map(|change| match change {
            Change::Put(object) => Some(Change::Put(with_status(object, &stored))),
            Change::Remove(_) | Change::Fact(_) => None,
        }).collect();
        let again = compiler.apply(written);
        prop_assert!(again.statuses.is_empty(), "{:?}", again.statuses);
        prop_assert!(again.problems.is_empty() && again.needs.is_empty());
        prop_assert!(Arc::ptr_eq(&update.snapshot, &again.snapshot));
    }

    /// Law 5.
    #[test]
    fn a_broken_route_changes_only_its_own_status_and_traffic(steps in proptest::collection::vec(step(), 1..30), broken in route()) {
        let broken = broken.replace("metadata: {name: r1", "metadata: {name: broken").replace("metadata: {name: r2", "metadata: {name: broken").replace("metadata: {name: r3", "metadata: {name: broken");
        let mut compiler = Compiler::new(signing());
        let before = compiler.apply(last_words(&steps));
        let known = outcome(&compiler, &before);
        let id = objects(&broken)[0].id();
        compiler.apply(objects(&broken).into_iter().map(Change::Put));
        for (other, status) in compiler.statuses() {
            // A route that takes all may leave others of its kind idle, which these say in a message, and nowhere else.
            if other.kind.is_route() && *other != id {
                let (now, before) = (written(status), known.1.get(other).map(written));
                let is_told = matches!(other.kind, Kind::TlsRoute | Kind::TcpRoute | Kind::UdpRoute);
                prop_assert_eq!(Some(if is_told { quiet(now) } else { now }), if is_told { before.map(quiet) } else { before });
            }
        }
        let after = compiler.apply([Change::Remove(id)]);
        prop_assert_eq!(outcome(&compiler, &after), known, "what a route brought goes with it");
    }

    /// Law 5: whatever it is, and whatever is wrong with it.
    #[test]
    fn an_object_that_nobody_refers_to_changes_nothing_but_itself(
        steps in proptest::collection::vec(step(), 1..30), alone in prop_oneof![backends::object(), surrounding()]
    ) {
        let mut compiler = Compiler::new(signing());
        let before = compiler.apply(last_words(&steps));
        let known = outcome(&compiler, &before);
        // A grant, an EndpointSlice and a Namespace are referred to by what they hold, whatever their names.
        let by_content = ["ReferenceGrant", "EndpointSlice", "Namespace"];
        let alone: Vec<Object> = alone
            .split("\n---")
            .filter_map(|document| serde_saphyr::from_str::<Value>(document).ok())
            .filter(|value| value["kind"].as_str().is_some_and(|kind| !by_content.contains(&kind)))
            .flat_map(|mut value| {
                value["metadata"]["name"] = json!("nobodys");
                objects(&value.to_string())
            })
            .collect();
        let ids: Vec<ObjectId> = alone.iter().map(Object::id).collect();
        let update = compiler.apply(alone.into_iter().map(Change::Put));
        let mut now = outcome(&compiler, &update);
        for id in &ids {
            now.1.remove(id);
            now.2.remove(id);
        }
        prop_assert_eq!(&now, &known);
        let after = compiler.apply(ids.into_iter().map(Change::Remove));
        prop_assert_eq!(outcome(&compiler, &after), known);
    }
}

fn written(status: &Status) -> Value {
    merge(status, None, "2026-01-01T00:00:00Z").unwrap_or_default()
}

/// A status without its messages.
fn quiet(mut status: Value) -> Value {
    match &mut status {
        Value::Object(fields) => {
            fields.remove("message");
            fields.values_mut().for_each(|field| *field = quiet(field.take()));
        }
        Value::Array(entries) => entries.iter_mut().for_each(|entry| *entry = quiet(entry.take())),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    status
}

/// What is asked of the kinds with a status, which come first, and of the others.
macro_rules! stored_statuses {
    ($($kind:ident)+ ; $($other:ident)+) => {
        /// The stored status of an object.
        fn held(object: &Object) -> Option<&Value> {
            match object {
                $(Object::$kind(object) => object.status.as_ref(),)+
                $(Object::$other(_) => None,)+
            }
        }

        /// The object with what is stored of its status; what was before, where nothing of ours is.
        fn with_status(object: Object, stored: &BTreeMap<ObjectId, Value>) -> Object {
            let status = stored.get(&object.id()).or_else(|| held(&object)).cloned().or_else(|| Some(json!({})));
            match object {
                $(Object::$kind(object) => Object::$kind(Arc::new(gateway_core::resource::$kind { status, ..(*object).clone() })),)+
                $(Object::$other(_) => object,)+
            }
        }
    };
}

stored_statuses!(
    GatewayClass Gateway ListenerSet HttpRoute GrpcRoute TlsRoute TcpRoute UdpRoute BackendTlsPolicy XBackendTrafficPolicy
    XTelemetryPolicy XBackend;
    ReferenceGrant Namespace Service ServiceImport EndpointSlice Secret ConfigMap ClusterTrustBundle DirectResponse
    GatewayParameters Extension
);
