//! Certificates of HTTPS listeners (`ListenerTLSConfig.CertificateRefs`, ReferenceGrant).

use gateway_core::compile::{AddressValue, Addresses, Answer, Bundle, Change, Compiler, Fact, Given, Options, Outcome, Update};
use gateway_core::name::ObjectName;
use gateway_core::resource::Object;
use gateway_core::snapshot::{Listener, Network, TlsVersion};
use gateway_core::support::{Capability, Support};

use super::client_validation::{authority, config_map};
use super::trust::bundle;
use super::world::{World, objects, options};

/// A Secret of type `kubernetes.io/tls` with a fresh certificate.
pub(crate) fn secret(namespace: &str, name: &str, host: &str) -> String {
    let signed = rcgen::generate_simple_self_signed([host.to_owned()]).expect("a host name");
    data(namespace, name, "kubernetes.io/tls", &signed.cert.pem(), &signed.signing_key.serialize_pem())
}

pub(crate) fn data(namespace: &str, name: &str, kind: &str, certificate: &str, key: &str) -> String {
    let indented = |text: &str| text.lines().map(|line| format!("    {line}\n")).collect::<String>();
    format!(
        "\n---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: {namespace}}}\ntype: {kind}\nstringData:\n  tls.crt: |\n{}  tls.key: |\n{}",
        indented(certificate),
        indented(key)
    )
}

fn gateway(refs: &str) -> String {
    format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: infra}}
spec:
  gatewayClassName: c
  listeners:
  - {{name: https, port: 443, protocol: HTTPS, tls: {{certificateRefs: {refs}}}}}
  - {{name: http, port: 80, protocol: HTTP}}
"
    )
}

const GRANT: &str = "
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: grant, namespace: vault}
spec:
  from: [{group: gateway.networking.k8s.io, kind: Gateway, namespace: infra}]
  to: [{group: '', kind: Secret, name: cert}]
";

#[test]
fn a_certificate_that_cannot_be_used_is_an_invalid_certificate_ref_and_says_why() {
    let (one, other) = (
        rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap(),
        rcgen::generate_simple_self_signed(["b".to_owned()]).unwrap(),
    );
    let (certificate, key) = (one.cert.pem(), one.signing_key.serialize_pem());
    let rows = [
        (String::new(), "does not exist"),
        (data("infra", "cert", "Opaque", &certificate, &key), "of type Opaque"),
        (data("infra", "cert", "kubernetes.io/tls", "nonsense", &key), "holds no certificate"),
        (data("infra", "cert", "kubernetes.io/tls", &certificate, "nonsense"), "holds no private key"),
        (data("infra", "cert", "kubernetes.io/tls", &certificate, &other.signing_key.serialize_pem()), "is not the key"),
    ];
    for (secret, why) in rows {
        let world = World::of(&format!("{}{secret}", gateway("[{name: cert}]")));
        assert_eq!(world.condition("Gateway infra/gw#https", "ResolvedRefs"), "!InvalidCertificateRef", "{why}");
        assert_eq!(world.condition("Gateway infra/gw#https", "Accepted"), "Accepted", "it is the certificate that is wrong");
        assert_eq!(world.condition("Gateway infra/gw#https", "Programmed"), "!Invalid");
        let message = world.message("Gateway infra/gw#https", "ResolvedRefs");
        assert!(message.contains(why) && !message.contains("BEGIN"), "{message}");
        assert_eq!(world.condition("Gateway infra/gw", "Accepted"), "ListenersNotValid");
        assert_eq!(world.condition("Gateway infra/gw#http", "Programmed"), "Programmed", "the rest works");
    }
}

#[test]
fn an_ungranted_secret_is_ref_not_permitted_whether_it_exists_or_not() {
    let refs = "[{name: cert, namespace: vault}]";
    let missing = World::of(&gateway(refs));
    let mut present = World::of(&format!("{}{}", gateway(refs), secret("vault", "cert", "a.example.com")));
    assert_eq!(missing.condition("Gateway infra/gw#https", "ResolvedRefs"), "!RefNotPermitted");
    assert_eq!(present.condition("Gateway infra/gw#https", "ResolvedRefs"), "!RefNotPermitted");
    assert_eq!(
        missing.message("Gateway infra/gw#https", "ResolvedRefs"),
        present.message("Gateway infra/gw#https", "ResolvedRefs"),
        "nothing tells whether the target exists"
    );
    let needed = |update: &Update| update.needs.iter().map(|need| need.object.to_string()).collect::<Vec<_>>();
    assert_eq!(needed(&present.put(GRANT)), ["ReferenceGrant vault/grant", "Secret vault/cert"], "nobody needed them before");
    present.bind();
    assert_eq!(present.condition("Gateway infra/gw#https", "Programmed"), "Programmed");
    present.remove("ReferenceGrant vault/grant");
    assert_eq!(present.condition("Gateway infra/gw#https", "ResolvedRefs"), "!RefNotPermitted", "revoking a grant stops its use");
    let listener = present
        .snapshot
        .sockets()
        .find(|(socket, _)| socket.port == 443)
        .and_then(|(_, listeners)| listeners.find(Some("a")))
        .unwrap();
    assert!(!listener.is_open(), "an accepted listener that cannot serve stays, closed");
}

#[test]
fn one_good_certificate_among_bad_ones_is_served_and_the_bad_one_reported() {
    let world = World::of(&format!("{}{}", gateway("[{name: missing}, {name: cert}]"), secret("infra", "cert", "a.example.com")));
    assert_eq!(world.condition("Gateway infra/gw#https", "ResolvedRefs"), "!InvalidCertificateRef");
    assert_eq!(world.condition("Gateway infra/gw#https", "Programmed"), "Programmed");
}

#[test]
fn a_rotated_secret_is_read_again() {
    let mut world = World::of(&format!("{}{}", gateway("[{name: cert}]"), secret("infra", "cert", "a.example.com")));
    let fingerprint = |world: &World| {
        let listeners = world.snapshot.sockets().find(|(socket, _)| socket.port == 443).map(|(_, listeners)| listeners).unwrap();
        listeners.find(Some("a")).unwrap().certificates.clone().unwrap().map(|set| set.fingerprint)
    };
    let before = fingerprint(&world);
    world.put(&secret("infra", "cert", "a.example.com"));
    assert!(before.is_some() && fingerprint(&world) != before);
    world.put(&data("infra", "cert", "kubernetes.io/tls", "broken", "broken"));
    assert_eq!(world.condition("Gateway infra/gw#https", "ResolvedRefs"), "!InvalidCertificateRef");
}

#[test]
fn a_certificate_out_of_date_is_reported_and_served_and_the_next_change_is_told() {
    let mut parameters = rcgen::CertificateParams::new(["a.example.com".to_owned()]).unwrap();
    (parameters.not_before, parameters.not_after) = (rcgen::date_time_ymd(2026, 1, 1), rcgen::date_time_ymd(2026, 2, 1));
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    let secret = data("infra", "cert", "kubernetes.io/tls", &certificate.pem(), &key.serialize_pem());
    let mut world = World::of(&format!("{}{secret}", gateway("[{name: cert}]")));
    let resolved = |world: &World| world.condition("Gateway infra/gw#https", "ResolvedRefs");
    assert_eq!(resolved(&world), "ResolvedRefs", "nobody told the time");
    let (january, february) = (1_767_225_600, 1_769_904_000);
    assert_eq!(world.apply([Change::Fact(Fact::Time(january - 9))]).next, Some(january));
    assert_eq!(resolved(&world), "!InvalidCertificateRef");
    assert_eq!(world.apply([Change::Fact(Fact::Time(january))]).next, Some(february + 1));
    assert_eq!(resolved(&world), "ResolvedRefs");
    assert_eq!(world.apply([Change::Fact(Fact::Time(february + 1))]).next, None);
    assert_eq!(resolved(&world), "!InvalidCertificateRef");
    assert!(world.message("Gateway infra/gw#https", "ResolvedRefs").contains("expired at 2026-02-01"));
    assert_eq!(world.condition("Gateway infra/gw#https", "Programmed"), "Programmed");
}

/// The HTTPS listener of the Gateway.
fn https(world: &World) -> std::sync::Arc<Listener> {
    let (_, listeners) = world.snapshot.sockets().find(|(socket, _)| socket.port == 443).expect("somebody listens");
    listeners.find(Some("a.example.com")).expect("a listener for all hosts").clone()
}

const RSA: &str = include_str!("pem/rsa.crt");
const ECDSA: &str = include_str!("pem/ecdsa.crt");

#[test]
fn keys_are_read_in_each_of_their_forms() {
    for (certificate, key, form) in [
        (RSA, include_str!("pem/rsa.pkcs1.key"), "PKCS#1"),
        (RSA, include_str!("pem/rsa.pkcs8.key"), "RSA in PKCS#8"),
        (ECDSA, include_str!("pem/ecdsa.sec1.key"), "SEC1, after its curve's parameters"),
        (ECDSA, include_str!("pem/ecdsa.pkcs8.key"), "ECDSA in PKCS#8"),
    ] {
        let world =
            World::of(&format!("{}{}", gateway("[{name: cert}]"), data("infra", "cert", "kubernetes.io/tls", certificate, key)));
        assert_eq!(world.condition("Gateway infra/gw#https", "ResolvedRefs"), "ResolvedRefs", "{form}");
        assert_eq!(world.condition("Gateway infra/gw#https", "Programmed"), "Programmed", "{form}");
    }
    let mixed = data("infra", "cert", "kubernetes.io/tls", RSA, include_str!("pem/ecdsa.pkcs8.key"));
    let world = World::of(&format!("{}{mixed}", gateway("[{name: cert}]")));
    assert_eq!(world.condition("Gateway infra/gw#https", "ResolvedRefs"), "!InvalidCertificateRef");
}

/// § 9, item 18.
#[test]
fn several_certificate_refs_of_rsa_and_ecdsa_are_served_together_and_a_bad_one_among_them_is_reported() {
    let world = World::of(&format!(
        "{}{}{}{}",
        gateway("[{name: rsa}, {name: missing}, {name: ecdsa}, {name: odd}]"),
        data("infra", "rsa", "kubernetes.io/tls", RSA, include_str!("pem/rsa.pkcs8.key")),
        data("infra", "ecdsa", "kubernetes.io/tls", ECDSA, include_str!("pem/ecdsa.pkcs8.key")),
        data("infra", "odd", "Opaque", ECDSA, include_str!("pem/ecdsa.pkcs8.key")),
    ));
    let listener = https(&world);
    let served: Vec<_> = listener.certificates.iter().flatten().flat_map(|set| &set.certificates).collect();
    let names: Vec<_> = served.iter().map(|certificate| (certificate.secret.name(), &*certificate.names[0])).collect();
    assert_eq!(names, [("rsa", "rsa.example.com"), ("ecdsa", "ecdsa.example.com")], "in the order of the references");
    assert_eq!(world.condition("Gateway infra/gw#https", "ResolvedRefs"), "!InvalidCertificateRef");
    let message = world.message("Gateway infra/gw#https", "ResolvedRefs");
    assert!(message.contains("infra/missing does not exist") && message.contains("infra/odd is of type Opaque"), "{message}");
    assert_eq!(world.condition("Gateway infra/gw", "ResolvedRefs"), "!ListenersNotResolved");
}

#[test]
fn certificates_are_only_read_from_secrets_of_the_core_group() {
    for (reference, what) in [
        ("{name: cert, kind: ConfigMap}", "ConfigMap of the core group"),
        ("{name: cert, group: example.com}", "Secret of example.com"),
        ("{name: cert, kind: Odd, namespace: vault}", "Odd of the core group"),
    ] {
        let world = World::of(&format!("{}{}", gateway(&format!("[{reference}]")), secret("infra", "cert", "a.example.com")));
        assert_eq!(world.condition("Gateway infra/gw#https", "ResolvedRefs"), "!InvalidCertificateRef", "{what}");
        let message = world.message("Gateway infra/gw#https", "ResolvedRefs");
        assert!(message.contains(what), "{message} should say: {what}");
    }
}

/// § 10, row 8.
#[test]
fn a_listener_without_any_usable_certificate_is_accepted_and_not_programmed() {
    let only = gateway("[{name: missing}]").replace("  - {name: http, port: 80, protocol: HTTP}\n", "");
    let world = World::of(&only);
    assert_eq!(world.condition("Gateway infra/gw#https", "Accepted"), "Accepted");
    assert_eq!(world.condition("Gateway infra/gw#https", "Programmed"), "!Invalid");
    assert_eq!(world.condition("Gateway infra/gw#https", "ResolvedRefs"), "!InvalidCertificateRef");
    assert_eq!(world.condition("Gateway infra/gw", "Accepted"), "ListenersNotValid");
    assert_eq!(world.condition("Gateway infra/gw", "Programmed"), "!Invalid", "no listener is usable");
    assert!(!https(&world).is_open());
}

/// § 10, row 9.
#[test]
fn a_gateway_is_programmed_if_one_of_its_listeners_is() {
    let world = World::of(&gateway("[{name: missing}]"));
    assert_eq!(world.condition("Gateway infra/gw#https", "Programmed"), "!Invalid");
    assert_eq!(world.condition("Gateway infra/gw#http", "Programmed"), "Programmed");
    assert_eq!(world.condition("Gateway infra/gw", "Programmed"), "Programmed");
}

/// § 9, item 1.
#[test]
fn an_expired_or_mismatched_replacement_of_a_certificate_keeps_reporting_invalid_certificate_ref() {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = |from: (i32, u8, u8), until: (i32, u8, u8)| {
        let mut parameters = rcgen::CertificateParams::new(["a.example.com".to_owned()]).unwrap();
        parameters.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
        parameters.not_after = rcgen::date_time_ymd(until.0, until.1, until.2);
        data("infra", "cert", "kubernetes.io/tls", &parameters.self_signed(&key).unwrap().pem(), &key.serialize_pem())
    };
    let mut world = World::of(&format!("{}{}", gateway("[{name: cert}]"), certificate((2025, 1, 1), (2035, 1, 1))));
    world.apply([Change::Fact(Fact::Time(1_767_225_600))]);
    let state = |world: &World| world.condition("Gateway infra/gw#https", "ResolvedRefs");
    assert_eq!(state(&world), "ResolvedRefs");
    world.put(&certificate((2024, 1, 1), (2025, 1, 1)));
    assert_eq!(state(&world), "!InvalidCertificateRef");
    assert!(https(&world).is_open(), "it is served all the same: clients that check the date tell better what is wrong");
    world.put(&data("infra", "cert", "kubernetes.io/tls", ECDSA, include_str!("pem/rsa.pkcs8.key")));
    assert_eq!(state(&world), "!InvalidCertificateRef");
    assert!(!https(&world).is_open());
    world.put(&certificate((2025, 6, 1), (2036, 1, 1)));
    world.bind();
    assert_eq!(state(&world), "ResolvedRefs");
    assert_eq!(world.condition("Gateway infra/gw#https", "Programmed"), "Programmed");
}

/// § 9, item 45.
#[test]
fn a_grant_for_another_name_kind_or_namespace_reveals_nothing_of_the_secret() {
    let near_misses = [
        ("kind: Gateway, namespace: infra", "kind: Secret, name: other"),
        ("kind: Gateway, namespace: elsewhere", "kind: Secret"),
        ("kind: HTTPRoute, namespace: infra", "kind: Secret"),
        ("kind: ListenerSet, namespace: infra", "kind: Secret"),
        ("kind: Gateway, namespace: infra", "kind: ConfigMap"),
    ];
    for (from, to) in near_misses {
        let grant = format!(
            "
---
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {{name: grant, namespace: vault}}
spec: {{from: [{{group: gateway.networking.k8s.io, {from}}}], to: [{{group: '', {to}}}]}}
"
        );
        let refs = "[{name: cert, namespace: vault}]";
        let told: Vec<(String, String)> = ["", &secret("vault", "cert", "a.example.com")]
            .into_iter()
            .map(|secret| World::of(&format!("{}{grant}{secret}", gateway(refs))))
            .map(|world| {
                ["Accepted", "Programmed", "ResolvedRefs"]
                    .map(|kind| {
                        let what = "Gateway infra/gw#https";
                        (world.condition(what, kind), world.message(what, kind))
                    })
                    .into_iter()
                    .unzip()
            })
            .map(|(reasons, messages): (Vec<String>, Vec<String>)| (reasons.join(" "), messages.join("\n")))
            .collect();
        assert_eq!(told[0], told[1], "{from} to {to}");
        assert!(told[0].0.ends_with("!RefNotPermitted"), "{told:?}");
    }
}

fn with_client_certificate(reference: &str) -> String {
    format!("{}  tls: {{backend: {{clientCertificateRef: {reference}}}}}\n", gateway("[{name: cert}]"))
}

/// GatewayInvalidTLSBackendConfiguration, GatewayTLSBackendClientCertificate.
#[test]
fn a_backend_client_certificate_that_cannot_be_used_is_told_on_the_gateway_and_changes_nothing_else() {
    let good = secret("infra", "cert", "a.example.com");
    let rows = [
        ("{name: own}", "", "!InvalidClientCertificateRef"),
        ("{name: own, group: example.com}", "", "!InvalidClientCertificateRef"),
        ("{name: own, kind: ConfigMap}", "", "!InvalidClientCertificateRef"),
        ("{name: own}", &data("infra", "own", "kubernetes.io/tls", "broken", "broken"), "!InvalidClientCertificateRef"),
        (
            "{name: own}",
            &data("infra", "own", "Opaque", ECDSA, include_str!("pem/ecdsa.pkcs8.key")),
            "!InvalidClientCertificateRef",
        ),
        ("{name: own, namespace: vault}", "", "!RefNotPermitted"),
        ("{name: own, namespace: vault}", &secret("vault", "own", "gw"), "!RefNotPermitted"),
        ("{name: own}", &secret("infra", "own", "gw"), "ResolvedRefs"),
    ];
    for (reference, objects, expected) in rows {
        let world = World::of(&format!("{}{good}{objects}", with_client_certificate(reference)));
        assert_eq!(world.condition("Gateway infra/gw", "ResolvedRefs"), expected, "{reference}");
        assert_eq!(world.condition("Gateway infra/gw", "Accepted"), "Accepted");
        assert_eq!(world.condition("Gateway infra/gw", "Programmed"), "Programmed");
        assert_eq!(world.condition("Gateway infra/gw#https", "ResolvedRefs"), "ResolvedRefs");
        let presented = https(&world).client_certificate.as_ref().map(|certificate| certificate.secret.to_string());
        assert_eq!(presented.as_deref(), (expected == "ResolvedRefs").then_some("infra/own"));
    }
}

#[test]
fn a_backend_client_certificate_is_rotated_granted_and_dated_like_any_other() {
    let grant = GRANT.replace(", name: cert", "");
    let mut world = World::of(&format!(
        "{}{}{}",
        with_client_certificate("{name: own, namespace: vault}"),
        secret("infra", "cert", "a.example.com"),
        secret("vault", "own", "gw")
    ));
    let presented = |world: &World| https(world).client_certificate.as_ref().map(|certificate| certificate.fingerprint);
    assert_eq!(presented(&world), None);
    world.put(&grant);
    let first = presented(&world);
    assert!(first.is_some());
    world.put(&secret("vault", "own", "gw"));
    assert!(presented(&world).is_some_and(|second| Some(second) != first));
    let mut parameters = rcgen::CertificateParams::new(["gw".to_owned()]).unwrap();
    (parameters.not_before, parameters.not_after) = (rcgen::date_time_ymd(2026, 1, 1), rcgen::date_time_ymd(2026, 2, 1));
    let key = rcgen::KeyPair::generate().unwrap();
    let dated = parameters.self_signed(&key).unwrap();
    world.put(&data("vault", "own", "kubernetes.io/tls", &dated.pem(), &key.serialize_pem()));
    assert_eq!(world.apply([Change::Fact(Fact::Time(1_769_000_000))]).next, Some(1_769_904_001));
    assert_eq!(world.condition("Gateway infra/gw", "ResolvedRefs"), "ResolvedRefs");
    world.apply([Change::Fact(Fact::Time(1_769_904_001))]);
    assert_eq!(world.condition("Gateway infra/gw", "ResolvedRefs"), "!InvalidClientCertificateRef", "it expired");
    assert!(presented(&world).is_some(), "the backend will say so too");
    world.remove("ReferenceGrant vault/grant");
    assert_eq!(world.condition("Gateway infra/gw", "ResolvedRefs"), "!RefNotPermitted");
    assert_eq!(presented(&world), None);
}

#[test]
fn a_data_plane_that_presents_no_client_certificates_says_so() {
    let support = Support::of(&[Capability::Http, Capability::Https]);
    let objects = format!("{}{}", with_client_certificate("{name: cert}"), secret("infra", "cert", "a.example.com"));
    let world = World::with(Options { support, ..options() }, &objects);
    assert_eq!(world.condition("Gateway infra/gw", "ResolvedRefs"), "!InvalidClientCertificateRef");
    assert!(world.message("Gateway infra/gw", "ResolvedRefs").contains("presents no client certificate"));
    assert_eq!(world.condition("Gateway infra/gw", "Programmed"), "Programmed");
}

#[test]
fn tls_options_under_our_domain_are_performed_or_refused_and_others_remarked() {
    let stated = |option: &str| {
        let gateway = gateway("[{name: cert}]").replace("certificateRefs:", &format!("options: {{{option}}}, certificateRefs:"));
        format!("{gateway}{}", secret("infra", "cert", "a.example.com"))
    };
    let world = World::of(&stated("pingora-gateway.dev/min-tls-version: '1.3'"));
    assert_eq!(world.condition("Gateway infra/gw#https", "Programmed"), "Programmed");
    assert_eq!(https(&world).tls.minimum_version, TlsVersion::V1_3);
    for option in ["pingora-gateway.dev/min-tls-version: '1.0'", "pingora-gateway.dev/odd: x"] {
        let world = World::of(&stated(option));
        assert_eq!(world.condition("Gateway infra/gw#https", "Accepted"), "!UnsupportedValue", "{option}");
        assert_eq!(world.condition("Gateway infra/gw#http", "Programmed"), "Programmed");
    }
    let support = Support::of(&[Capability::Http, Capability::Https]);
    let world = World::with(Options { support, ..options() }, &stated("pingora-gateway.dev/min-tls-version: '1.3'"));
    assert_eq!(world.condition("Gateway infra/gw#https", "Accepted"), "!UnsupportedValue", "nobody performs it");
    let world = World::of(&stated("example.com/odd: x"));
    assert_eq!(world.condition("Gateway infra/gw#https", "Programmed"), "Programmed");
    let remarks: Vec<&String> = world.compiler.problems().values().flatten().collect();
    assert_eq!(remarks, ["listener https: tls.options example.com/odd has no effect: it is not known here"]);
}

/// § 9, item 10.
#[test]
fn revoking_a_reference_grant_for_a_listener_secret_stops_its_use() {
    let narrowed = GRANT.replace("name: cert}]", "name: other}]");
    for revoke in [None, Some(narrowed.as_str())] {
        let refs = "[{name: cert, namespace: vault}]";
        let mut world = World::of(&format!("{}{GRANT}{}", gateway(refs), secret("vault", "cert", "a.example.com")));
        assert_eq!(world.condition("Gateway infra/gw#https", "Programmed"), "Programmed");
        assert!(https(&world).is_open());
        let update = match revoke {
            None => world.remove("ReferenceGrant vault/grant"),
            Some(narrowed) => world.put(narrowed),
        };
        assert_eq!(world.condition("Gateway infra/gw#https", "ResolvedRefs"), "!RefNotPermitted");
        assert_eq!(world.condition("Gateway infra/gw#https", "Programmed"), "!Invalid");
        assert!(!https(&world).is_open());
        let left: Vec<String> = update.needs.iter().filter(|need| !need.joined).map(|need| need.object.to_string()).collect();
        assert_eq!(left, ["ReferenceGrant vault/grant", "Secret vault/cert"], "nobody keeps the key");
        world.put(GRANT);
        world.bind();
        assert_eq!(world.condition("Gateway infra/gw#https", "Programmed"), "Programmed");
    }
}

/// Whatever comes first, the same is left: certificates, authorities, grants, parameters, addresses and what is installed.
#[test]
fn what_a_gateway_refers_to_may_come_in_any_order() {
    let refs = "[{name: cert, namespace: vault}, {name: own}]";
    let gateway = format!(
        "{}  infrastructure: {{parametersRef: {{group: pingora-gateway.dev, kind: GatewayParameters, name: p}}}}
  addresses: [{{routability: Cluster}}]
  tls:
    backend: {{clientCertificateRef: {{name: cert, namespace: vault}}}}
    frontend: {{default: {{validation: {{caCertificateRefs: [{{group: '', kind: ConfigMap, name: ca, namespace: vault}}, {{group: certificates.k8s.io, kind: ClusterTrustBundle, name: roots}}]}}}}}}
",
        gateway(refs)
    );
    let pem = authority("ca");
    let trust = config_map("vault", "ca", &pem) + &bundle("v1", "roots", &authority("roots"));
    let grant = GRANT.replace("name: cert}]", "name: cert}, {group: '', kind: ConfigMap}]");
    let parameters = "\n---\napiVersion: pingora-gateway.dev/v1alpha1\nkind: GatewayParameters\nmetadata: {name: p, namespace: infra}\nspec: {mergeSlashes: false}\n";
    let puts = |yaml: &str| objects(yaml).into_iter().map(Change::Put).collect::<Vec<_>>();
    let [Object::Gateway(read)] = &*objects(&gateway) else { panic!("one Gateway") };
    let given = Given { value: AddressValue::Ip("10.96.0.7".parse().unwrap()), routability: None };
    let answer = Answer { to: read.spec.addresses.first().cloned(), outcome: Outcome::Given(given) };
    let addresses = Addresses { listen: vec!["10.96.0.7".parse().ok()], answers: vec![answer] };
    let groups = [
        puts(&gateway),
        puts(&format!("{}{}", secret("vault", "cert", "a.example.com"), secret("infra", "own", "b.example.com"))),
        puts(&format!("{trust}{parameters}")),
        puts(&grant),
        vec![
            Change::Fact(Fact::Addresses(ObjectName::new("infra", "gw"), Some(addresses))),
            Change::Fact(Fact::ServiceRanges(Network::parse("10.96.0.0/12").map(|range| vec![range]))),
        ],
        vec![Change::Fact(Fact::Bundle(Bundle { trust_bundles: false, ..Bundle::of("v1.7.0", true) }))],
    ];
    let outcome = |compiler: &Compiler, update: &Update| (update.snapshot.outline(), compiler.statuses().clone());
    let mut whole = Compiler::new(options());
    let at_once = whole.apply(groups.iter().flatten().cloned());
    let expected = outcome(&whole, &at_once);
    let mut world = World { compiler: whole, snapshot: at_once.snapshot };
    world.bind();
    assert_eq!(world.condition("Gateway infra/gw#https", "Programmed"), "Programmed");
    assert_eq!(world.condition("Gateway infra/gw#https", "ResolvedRefs"), "!InvalidCACertificateKind");
    let mut order: Vec<usize> = (0..groups.len()).collect();
    let mut orders = 0;
    permute(&mut order, 0, &mut |order| {
        let mut compiler = Compiler::new(options());
        let mut update = compiler.apply([]);
        for at in order {
            update = compiler.apply(groups[*at].iter().cloned());
        }
        assert!(outcome(&compiler, &update) == expected, "{order:?}");
        orders += 1;
    });
    assert_eq!(orders, 720);
}

fn permute(order: &mut Vec<usize>, from: usize, each: &mut impl FnMut(&[usize])) {
    if from == order.len() {
        return each(order);
    }
    for at in from..order.len() {
        order.swap(from, at);
        permute(order, from + 1, each);
        order.swap(from, at);
    }
}
