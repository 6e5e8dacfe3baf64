//! Backends that are no Services with EndpointSlices: ServiceImports (GEP-1748), host names elsewhere, XBackends (GEP-4894).

use std::net::IpAddr;
use std::sync::Arc;

use gateway_core::compile::{Change, ExternalNames, Fact, Need, Options, ServiceNames};
use gateway_core::snapshot::{Backend, BackendProtocol, Carrier, Network, Presents, Security, Source};
use gateway_core::status::Status;
use gateway_core::support::{Capability, Support};

use super::certificates::secret;
use super::client_validation::{authority, config_map};
use super::world::{World, id, options};

const GATEWAY: &str = "
---
{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: gw, namespace: team}, spec: {gatewayClassName: c, listeners: [{name: http, port: 80, protocol: HTTP}]}}
";

fn route(kind: &str, rules: &str) -> String {
    format!(
        "\n---\n{{apiVersion: gateway.networking.k8s.io/v1, kind: {kind}, metadata: {{name: r, namespace: team}}, spec: {{parentRefs: [{{name: gw}}], rules: [{rules}]}}}}\n"
    )
}

fn to(backend: &str) -> String {
    format!("{GATEWAY}{}", route("HTTPRoute", &format!("{{backendRefs: [{{{backend}}}]}}")))
}

fn only(world: &World) -> Arc<Backend> {
    let mut backends = world.snapshot.backends();
    let one = backends.next().expect("one is in use");
    assert!(backends.next().is_none(), "only one");
    Arc::clone(one)
}

fn endpoints(world: &World) -> String {
    only(world).endpoints.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

const R: &str = "HTTPRoute team/r";

// ServiceImports.

const IMPORT_REF: &str = "group: multicluster.x-k8s.io, kind: ServiceImport, name: s, port: 80";

fn import(more: &str) -> String {
    format!(
        "\n---\n{{apiVersion: multicluster.x-k8s.io/v1alpha1, kind: ServiceImport, metadata: {{name: s, namespace: team}}, spec: {{type: ClusterSetIP, ports: [{{port: 80, name: web{more}}}], ips: [10.7.0.1]}}}}\n"
    )
}

const IMPORTED: &str = "
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: e, namespace: team, labels: {multicluster.kubernetes.io/service-name: s}},
 addressType: IPv4, ports: [{name: web, port: 8080}], endpoints: [{addresses: [10.1.0.1]}, {addresses: [10.1.0.2], conditions: {ready: false}}]}
";

#[test]
fn a_service_import_is_a_backend_with_its_own_slices_or_else_its_own_addresses() {
    let mut world = World::of(&(to(IMPORT_REF) + &import("")));
    assert_eq!(endpoints(&world), "10.7.0.1:80", "the address of the whole set");
    assert_eq!(world.get("http://h/", &[]), "ServiceImport team/s:80 /");
    world.put(IMPORTED);
    assert_eq!(endpoints(&world), "10.1.0.1:8080");
    world.put(&import(", appProtocol: kubernetes.io/h2c"));
    assert_eq!(only(&world).protocol, BackendProtocol::Http2);
    world.remove("EndpointSlice team/e");
    assert_eq!(endpoints(&world), "10.7.0.1:80");
    world.remove("ServiceImport team/s");
    assert_eq!((world.condition(R, "ResolvedRefs"), world.get("http://h/", &[])), ("!BackendNotFound".into(), "500".into()));
}

#[test]
fn a_service_import_of_another_namespace_needs_a_grant_for_its_kind() {
    let grant = |group: &str, kind: &str| {
        format!(
            "\n---\n{{apiVersion: gateway.networking.k8s.io/v1, kind: ReferenceGrant, metadata: {{name: g, namespace: team}}, spec: {{from: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: apps}}], to: [{{group: '{group}', kind: {kind}}}]}}}}"
        )
    };
    let elsewhere = route("HTTPRoute", &format!("{{backendRefs: [{{{IMPORT_REF}, namespace: team}}]}}"))
        .replace("namespace: team}, spec", "namespace: apps}, spec")
        .replace("parentRefs: [{name: gw}]", "parentRefs: [{name: gw, namespace: team}]");
    let open = GATEWAY.replace("protocol: HTTP}", "protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}");
    let mut world = World::of(&(open + &elsewhere + &import("")));
    assert_eq!(world.condition("HTTPRoute apps/r", "ResolvedRefs"), "!RefNotPermitted");
    world.put(&grant("", "Service"));
    assert_eq!(world.condition("HTTPRoute apps/r", "ResolvedRefs"), "!RefNotPermitted");
    world.put(&grant("multicluster.x-k8s.io", "ServiceImport"));
    assert_eq!(world.condition("HTTPRoute apps/r", "ResolvedRefs"), "ResolvedRefs");
}

#[test]
fn what_a_data_plane_does_not_serve_as_a_backend_is_of_an_invalid_kind() {
    let plain = || Options { support: Support::of(&[Capability::Http]), ..options() };
    for (backend, kind) in [(IMPORT_REF, "ServiceImport"), (XBACKEND, "XBackend")] {
        let world = World::with(plain(), &(to(backend) + &import("") + &xbackend(SELECTOR)));
        assert_eq!(world.condition(R, "ResolvedRefs"), "!InvalidKind", "{kind}");
        assert!(world.message(R, "ResolvedRefs").contains(&format!("{kind} team/s is of a kind that this data plane")));
        assert_eq!(world.get("http://h/", &[]), "500");
    }
}

// Host names elsewhere.

const EXTERNAL: &str = "
---
{apiVersion: v1, kind: Service, metadata: {name: s, namespace: team}, spec: {type: ExternalName, externalName: Legacy.Example.com.}}
";
const SERVICE: &str = "name: s, port: 443";

fn resolved(host: &str, addresses: Option<&[&str]>) -> Change {
    let addresses = addresses.map(|all| all.iter().map(|one| one.parse::<IpAddr>().expect("an address")).collect());
    Change::Fact(Fact::Resolved(host.into(), addresses))
}

fn naming(external_names: ExternalNames) -> Options {
    Options { external_names, ..options() }
}

#[test]
fn external_name_services_are_refused_unless_they_are_wanted() {
    let world = World::of(&(to(SERVICE) + EXTERNAL));
    assert_eq!(world.condition(R, "ResolvedRefs"), "!BackendNotFound");
    assert!(world.message(R, "ResolvedRefs").contains("it could lead anywhere"));
    assert_eq!(world.get("http://h/", &[]), "500");
    let support = Support::of(&[Capability::Http]);
    let unable = World::with(Options { support, ..naming(ExternalNames::Anywhere) }, &(to(SERVICE) + EXTERNAL));
    assert_eq!(unable.condition(R, "ResolvedRefs"), "!BackendNotFound");
}

#[test]
fn a_host_name_is_wanted_resolved_while_a_backend_leads_to_it() {
    let mut compiler = gateway_core::compile::Compiler::new(naming(ExternalNames::Elsewhere));
    let put = |yaml: &str| super::world::objects(yaml).into_iter().map(Change::Put).collect::<Vec<_>>();
    let names = |update: &gateway_core::compile::Update| {
        update.names.iter().map(|(name, wanted)| format!("{name} {wanted}")).collect::<Vec<_>>()
    };
    assert!(compiler.apply(put(EXTERNAL)).names.is_empty(), "nobody uses it");
    let update = compiler.apply(put(&to(SERVICE)));
    assert_eq!(names(&update), ["legacy.example.com true"]);
    assert_eq!(
        names(&compiler.apply(put(&EXTERNAL.replace("Legacy", "other")))),
        ["legacy.example.com false", "other.example.com true"]
    );
    assert_eq!(names(&compiler.apply([Change::Remove(id(R))])), ["other.example.com false"]);
    assert!(compiler.apply([Change::Remove(id("Service team/s"))]).names.is_empty());
}

#[test]
fn a_resolved_name_gives_endpoints_and_one_that_is_not_gives_503() {
    let mut world = World::with(naming(ExternalNames::Elsewhere), &(to(SERVICE) + EXTERNAL));
    assert_eq!((world.condition(R, "ResolvedRefs"), world.get("http://h/", &[])), ("ResolvedRefs".into(), "503".into()));
    let said = |world: &World| world.compiler.problems()[&id("Service team/s")][0].clone();
    assert!(said(&world).contains("legacy.example.com is not resolved"), "nobody told what it resolves to");
    world.apply([resolved("legacy.example.com", Some(&["127.0.0.1"]))]);
    assert!(said(&world).contains("legacy.example.com resolves to no address that may be used"));
    let update = world.apply([resolved("legacy.example.com", Some(&["192.0.2.2", "2001:db8::1", "192.0.2.1", "192.0.2.2"]))]);
    assert!(update.statuses.is_empty(), "no route is judged again");
    assert_eq!(endpoints(&world), "192.0.2.1:443 192.0.2.2:443 [2001:db8::1]:443");
    assert_eq!(world.get("http://h/", &[]), "team/s:443 /");
    assert!(!world.compiler.problems().contains_key(&id("Service team/s")));
    world.apply([resolved("legacy.example.com", None)]);
    assert_eq!(world.get("http://h/", &[]), "503");
}

#[test]
fn addresses_of_this_machine_and_of_services_are_left_out_unless_any_is_permitted() {
    let answers: &[&str] = &["127.0.0.1", "169.254.169.254", "10.96.0.1", "192.0.2.1"];
    let facts = [
        resolved("legacy.example.com", Some(answers)),
        Change::Fact(Fact::ServiceRanges(Some(vec![Network::parse("10.96.0.0/12").unwrap()]))),
    ];
    let mut guarded = World::with(naming(ExternalNames::Elsewhere), &(to(SERVICE) + EXTERNAL));
    guarded.apply(facts.clone());
    assert_eq!(endpoints(&guarded), "192.0.2.1:443");
    guarded.apply([Change::Fact(Fact::ServiceRanges(None))]);
    assert_eq!(endpoints(&guarded), "10.96.0.1:443 192.0.2.1:443");
    let mut open = World::with(naming(ExternalNames::Anywhere), &(to(SERVICE) + EXTERNAL));
    open.apply(facts);
    assert_eq!(only(&open).endpoints.len(), 4);
}

// XBackends.

const XBACKEND: &str = "group: gateway.networking.x-k8s.io, kind: XBackend, name: s";
const SELECTOR: &str = "type: EndpointSelector, endpointSelector: {matchLabels: {app: a}}, port: {number: 8080}";
const HOST: &str = "type: ExternalHostname, externalHostname: {hostname: api.example.com}, port: {number: 443}";
const X: &str = "XBackend team/s";

fn xbackend(spec: &str) -> String {
    format!(
        "\n---\n{{apiVersion: gateway.networking.x-k8s.io/v1alpha1, kind: XBackend, metadata: {{name: s, namespace: team, generation: 3}}, spec: {{{spec}}}}}\n"
    )
}

const SELECTED: &str = "
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: e, namespace: team, labels: {kubernetes.io/service-name: made-7k2, pingora-gateway.dev/backend: s}},
 addressType: IPv4, ports: [{port: 1}], endpoints: [{addresses: [10.1.0.1]}, {addresses: [10.1.0.2]}]}
";

#[test]
fn an_endpoint_selector_leads_to_pods_at_the_port_it_states() {
    let mut world = World::of(&(to(XBACKEND) + &xbackend(SELECTOR)));
    assert_eq!((world.condition(R, "ResolvedRefs"), world.get("http://h/", &[])), ("ResolvedRefs".into(), "503".into()));
    world.put(SELECTED);
    assert_eq!(endpoints(&world), "10.1.0.1:8080 10.1.0.2:8080");
    assert_eq!(world.get("http://h/", &[]), "XBackend team/s /");
    assert_eq!((only(&world).protocol, &only(&world).security), (BackendProtocol::Http1, &Security::Clear));
    world.remove("EndpointSlice team/e");
    assert_eq!(world.get("http://h/", &[]), "503");
    world.remove(X);
    assert_eq!((world.condition(R, "ResolvedRefs"), world.get("http://h/", &[])), ("!BackendNotFound".into(), "500".into()));
}

#[test]
fn an_external_hostname_is_resolved_without_further_leave_but_not_to_this_machine() {
    let mut world = World::of(&(to(XBACKEND) + &xbackend(HOST)));
    world.apply([resolved("api.example.com", Some(&["127.0.0.1", "192.0.2.1"]))]);
    assert_eq!(endpoints(&world), "192.0.2.1:443");
    let support = Support::of(&[Capability::Http, Capability::XBackend]);
    let unable = World::with(Options { support, ..options() }, &(to(XBACKEND) + &xbackend(HOST)));
    assert_eq!(unable.condition(R, "ResolvedRefs"), "!BackendNotFound");
    assert!(unable.message(R, "ResolvedRefs").contains("host names are not resolved"));
}

#[test]
fn an_xbackend_is_for_routes_of_its_own_namespace_alone() {
    let backend = format!("{XBACKEND}, namespace: other");
    let grant = "\n---\n{apiVersion: gateway.networking.k8s.io/v1, kind: ReferenceGrant, metadata: {name: g, namespace: other}, spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: team}], to: [{group: gateway.networking.x-k8s.io, kind: XBackend}]}}";
    let other = xbackend(SELECTOR).replace("namespace: team", "namespace: other");
    let world = World::of(&(to(&backend) + grant + &other));
    assert_eq!(world.condition(R, "ResolvedRefs"), "!RefNotPermitted");
    assert_eq!(world.get("http://h/", &[]), "500");
}

#[test]
fn protocol_and_tls_of_an_xbackend_are_what_is_spoken_for_each_use() {
    let tls = "tls: {mode: ServerOnly, validation: {hostname: api.example.com, wellKnownCACertificates: System}}";
    // Use, protocol, over TLS or not: what is spoken with what is offered, or the reason why it is not.
    type Row = (&'static str, &'static str, bool, Result<(BackendProtocol, &'static [&'static str]), ()>);
    use BackendProtocol::{Http1, Http2, Raw};
    let rows: [Row; 20] = [
        ("HTTPRoute", "", false, Ok((Http1, &[]))),
        ("HTTPRoute", "", true, Ok((Http1, &["h2", "http/1.1"]))),
        ("HTTPRoute", "HTTP", true, Ok((Http1, &["h2", "http/1.1"]))),
        ("HTTPRoute", "HTTP11", true, Ok((Http1, &["http/1.1"]))),
        ("HTTPRoute", "HTTP11", false, Ok((Http1, &[]))),
        ("HTTPRoute", "HTTP2", true, Ok((Http2, &["h2"]))),
        ("HTTPRoute", "H2C", false, Ok((Http2, &[]))),
        ("HTTPRoute", "GRPC", true, Ok((Http2, &["h2"]))),
        ("HTTPRoute", "MCP", false, Ok((Http1, &[]))),
        ("HTTPRoute", "WSS", true, Ok((Http1, &["http/1.1"]))),
        ("HTTPRoute", "TCP", false, Err(())),
        ("HTTPRoute", "LATER", false, Err(())),
        ("GRPCRoute", "", false, Ok((Http2, &[]))),
        ("GRPCRoute", "GRPC", true, Ok((Http2, &["h2"]))),
        ("GRPCRoute", "HTTP", true, Ok((Http2, &["h2"]))),
        ("GRPCRoute", "HTTP11", false, Err(())),
        ("GRPCRoute", "WSS", true, Err(())),
        ("TCPRoute", "TCP", true, Ok((Raw, &[]))),
        ("TCPRoute", "", false, Ok((Raw, &[]))),
        ("UDPRoute", "", false, Err(())),
    ];
    for (kind, protocol, is_tls, expected) in rows {
        let mut spec = SELECTOR.to_owned();
        if !protocol.is_empty() {
            spec += &format!(", protocol: {protocol}");
        }
        if is_tls {
            spec += &format!(", {tls}");
        }
        let gateway = match kind {
            "TCPRoute" => GATEWAY.replace("protocol: HTTP", "protocol: TCP"),
            "UDPRoute" => GATEWAY.replace("protocol: HTTP", "protocol: UDP"),
            _ => GATEWAY.to_owned(),
        };
        let world = World::of(&(gateway + &route(kind, &format!("{{backendRefs: [{{{XBACKEND}}}]}}")) + &xbackend(&spec)));
        let found = world.condition(&format!("{kind} team/r"), "ResolvedRefs");
        let what = format!("{kind} {protocol} {is_tls}");
        match expected {
            Err(()) => assert_eq!(found, "!UnsupportedProtocol", "{what}"),
            Ok((protocol, alpn)) => {
                assert_eq!(found, "ResolvedRefs", "{what}");
                let backend = only(&world);
                assert_eq!(backend.protocol, protocol, "{what}");
                match &backend.security {
                    Security::Tls(spoken) => {
                        assert!(is_tls, "{what}");
                        assert_eq!(spoken.alpn, alpn, "{what}");
                        assert_eq!(spoken.identity.presents, Presents::Nothing, "the Gateway's certificate is for policies");
                    }
                    Security::Clear => assert!(!is_tls, "{what}"),
                    Security::Broken(why) => panic!("{what}: {why}"),
                }
            }
        }
    }
}

/// §0.1: "a value nobody knows" is told where it is stated, not only where it is referred to.
#[test]
fn an_xbackend_whose_type_or_protocol_is_unknown_is_not_accepted() {
    for (spec, said) in [
        ("type: LATER, port: {number: 80}".to_owned(), "spec.type LATER is not known"),
        (format!("{SELECTOR}, protocol: LATER"), "spec.protocol LATER is not known"),
        (format!("{SELECTOR}, tls: {{mode: LATER}}"), "spec.tls.mode LATER is not known"),
    ] {
        let world = World::of(&(to(XBACKEND) + &xbackend(&spec) + SELECTED));
        assert_eq!(world.condition(X, "Accepted"), "!Invalid", "{spec}");
        assert_eq!(world.message(X, "Accepted"), said);
        assert_eq!(world.get("http://h/", &[]), "500", "{spec}");
    }
}

#[test]
fn an_xbackend_may_be_shown_a_certificate_and_is_never_spoken_to_in_clear_when_its_tls_is_broken() {
    let both = format!(
        "{SELECTOR}, tls: {{mode: ClientAndServer, clientCertificateRef: {{name: cert}}, validation: {{hostname: api.example.com, caCertificateRefs: [{{group: '', kind: ConfigMap, name: ca}}]}}}}"
    );
    let mut world = World::of(&(to(XBACKEND) + &xbackend(&both) + SELECTED));
    let broken = |world: &World, why: &str| {
        assert_eq!(world.get("http://h/", &[]), "500");
        assert!(world.condition(X, "Accepted").starts_with('!'));
        assert!(world.message(X, "Accepted").contains(why), "{}", world.message(X, "Accepted"));
    };
    broken(&world, "Secret team/cert does not exist");
    let update = world.put(&secret("team", "cert", "client.example.com"));
    broken(&world, "no certificate authority is usable");
    assert!(update.needs.is_empty(), "it was needed before it existed");
    world.put(&config_map("team", "ca", &authority("one")));
    assert_eq!(world.condition(X, "Accepted"), "Accepted");
    let backend = only(&world);
    let Security::Tls(spoken) = &backend.security else { panic!("it is over TLS") };
    assert!(matches!(&spoken.identity.presents, Presents::Own(certificate) if certificate.secret.name() == "cert"));
    world.remove("Secret team/cert");
    broken(&world, "Secret team/cert does not exist");
    for support in
        [vec![Capability::Http, Capability::XBackend], vec![Capability::Http, Capability::XBackend, Capability::BackendTls]]
    {
        let speaks_tls = support.contains(&Capability::BackendTls);
        let world =
            World::with(Options { support: Support::of(&support), ..options() }, &(to(XBACKEND) + &xbackend(&both) + SELECTED));
        broken(&world, if speaks_tls { "Secret" } else { "not performed by this data plane" });
    }
}

#[test]
fn the_gateways_whose_routes_use_an_xbackend_are_its_ancestors_and_need_what_it_refers_to() {
    let tls = format!(
        "{SELECTOR}, tls: {{mode: ServerOnly, validation: {{hostname: a.b, caCertificateRefs: [{{group: '', kind: ConfigMap, name: ca}}]}}}}"
    );
    let mut world = World::of(&(GATEWAY.to_owned() + &xbackend(&tls) + &config_map("team", "ca", &authority("one"))));
    let ancestors = |world: &World| {
        let Some(Status::Policy(status)) = world.compiler.statuses().get(&id(X)) else { panic!("it has a status") };
        assert_eq!(status.limit, 32);
        status
            .ancestors
            .iter()
            .map(|one| (one.ancestor_ref.name.clone(), one.conditions[0].observed_generation))
            .collect::<Vec<_>>()
    };
    assert!(ancestors(&world).is_empty());
    let update = world.put(&route("HTTPRoute", &format!("{{backendRefs: [{{{XBACKEND}}}]}}")));
    assert_eq!(ancestors(&world), [("gw".to_owned(), 3)]);
    for what in [X, "ConfigMap team/ca"] {
        let need = Need { gateway: id("Gateway team/gw").name, object: id(what), joined: true };
        assert!(update.needs.contains(&need), "{what}: {:?}", update.needs);
    }
    world.remove(R);
    assert!(ancestors(&world).is_empty());
}

#[test]
fn session_persistence_of_an_xbackend_goes_before_the_rules_own() {
    let kept = format!("{SELECTOR}, sessionPersistence: {{type: Cookie, cookie: {{name: own}}}}");
    let rules = format!("{{sessionPersistence: {{type: Cookie, cookie: {{name: rule}}}}, backendRefs: [{{{XBACKEND}}}]}}");
    let mut world = World::of(&(GATEWAY.to_owned() + &route("HTTPRoute", &rules) + &xbackend(&kept) + SELECTED));
    let carrier = |world: &World| {
        let persistence = world.forwarded("GET", "http://h/", &[]).persistence.expect("sessions are kept");
        let Carrier::Cookie(cookie) = &persistence.carrier else { panic!("by cookie") };
        (persistence.source, cookie.name.to_string())
    };
    assert_eq!(carrier(&world), (Source::Backend, "own".to_owned()));
    world.put(&xbackend(SELECTOR));
    assert_eq!(carrier(&world), (Source::Rule, "rule".to_owned()));
}

// Services that are reached by a name of their own.

#[test]
fn a_service_without_slices_is_reached_by_its_own_name_where_there_is_a_template_for_it() {
    let service = "
---
{apiVersion: v1, kind: Service, metadata: {name: s, namespace: team}, spec: {ports: [{port: 443, name: web, appProtocol: kubernetes.io/h2c}]}}
";
    let slice = "
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: e, namespace: team, labels: {kubernetes.io/service-name: s}}, addressType: IPv4, ports: [{name: web, port: 8443}], endpoints: [{addresses: [10.1.0.1]}]}
";
    // A name within the cluster's own domain is no way around a grant: the Service leads to itself.
    let service_names = ServiceNames::parse("{name}.{namespace}.svc.cluster.local").ok();
    let mut world = World::with(Options { service_names, ..options() }, &to(SERVICE));
    let names = |update: &gateway_core::compile::Update| update.names.clone().into_iter().collect::<Vec<_>>();
    let host: Arc<str> = "s.team.svc.cluster.local".into();
    let update = world.put(service);
    assert_eq!(names(&update), [(Arc::clone(&host), true)]);
    assert_eq!(world.get("http://h/", &[]), "503");
    world.apply([resolved(&host, Some(&["127.0.0.1", "192.0.2.1"]))]);
    assert_eq!((endpoints(&world).as_str(), only(&world).protocol), ("192.0.2.1:443", BackendProtocol::Http2));
    let update = world.put(slice);
    assert_eq!((endpoints(&world).as_str(), names(&update)), ("10.1.0.1:8443", vec![(Arc::clone(&host), false)]));
    let update = world.remove("EndpointSlice team/e");
    assert_eq!((endpoints(&world).as_str(), names(&update)), ("192.0.2.1:443", vec![(host, true)]));
    world.put(EXTERNAL);
    assert_eq!(world.condition(R, "ResolvedRefs"), "!BackendNotFound", "it stands for another host, and these are refused");
}
