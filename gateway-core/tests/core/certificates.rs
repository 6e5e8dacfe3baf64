//! Certificates of HTTPS listeners (`ListenerTLSConfig.CertificateRefs`, ReferenceGrant).

use gateway_core::compile::{Change, Fact};

use super::world::World;

/// A Secret of type `kubernetes.io/tls` with a fresh certificate.
pub(crate) fn secret(namespace: &str, name: &str, host: &str) -> String {
    let signed = rcgen::generate_simple_self_signed([host.to_owned()]).expect("a host name");
    data(namespace, name, "kubernetes.io/tls", &signed.cert.pem(), &signed.signing_key.serialize_pem())
}

fn data(namespace: &str, name: &str, kind: &str, certificate: &str, key: &str) -> String {
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
    let needed =
        |update: &gateway_core::compile::Update| update.needs.iter().map(|need| need.object.to_string()).collect::<Vec<_>>();
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
        listeners.find(Some("a")).unwrap().certificates.as_ref().map(|set| set.fingerprint)
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
