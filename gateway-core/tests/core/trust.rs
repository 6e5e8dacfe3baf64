//! Certificate authorities in ClusterTrustBundles (GEP-5075).

use gateway_core::compile::{Bundle, Change, Fact};
use gateway_core::snapshot::TrustSet;

use super::certificates::secret;
use super::client_validation::{authority, config_map};
use super::world::World;

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
  - {{name: https, port: 443, protocol: HTTPS, tls: {{certificateRefs: [{{name: cert}}]}}}}
  tls: {{frontend: {{default: {{validation: {{caCertificateRefs: {refs}}}}}}}}}
{}",
        secret("infra", "cert", "a.example.com")
    )
}

/// A ClusterTrustBundle.
pub(crate) fn bundle(version: &str, name: &str, pem: &str) -> String {
    let signer = name.rsplit_once(':').map_or(String::new(), |(signer, _)| signer.replacen(':', "/", 1));
    let indented: String = pem.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "\n---\napiVersion: certificates.k8s.io/{version}\nkind: ClusterTrustBundle\nmetadata: {{name: '{name}'}}\nspec:\n  signerName: '{signer}'\n  trustBundle: |\n{indented}"
    )
}

const ROOTS: &str = "[{group: certificates.k8s.io, kind: ClusterTrustBundle, name: roots}]";

fn trust(world: &World) -> Option<TrustSet> {
    let (_, listeners) = world.snapshot.sockets().next()?;
    listeners.find(Some("a.example.com"))?.validation.as_ref().map(|validation| (*validation.trust).clone())
}

fn resolved(world: &World) -> String {
    world.condition("Gateway infra/gw#https", "ResolvedRefs")
}

#[test]
fn a_cluster_trust_bundle_needs_no_grant_and_may_have_a_signer() {
    for version in ["v1", "v1beta1"] {
        let name = "example.com:signer:roots";
        let refs = format!("[{{group: certificates.k8s.io, kind: ClusterTrustBundle, name: '{name}'}}]");
        let world = World::of(&format!("{}{}", gateway(&refs), bundle(version, name, &authority("one"))));
        assert_eq!(resolved(&world), "ResolvedRefs");
        assert_eq!(trust(&world).unwrap().roots.len(), 1);
    }
}

#[test]
fn an_updated_bundle_is_trusted_as_it_is_now_and_a_deleted_one_not_at_all() {
    let mut world = World::of(&gateway(ROOTS));
    assert_eq!(resolved(&world), "!InvalidCACertificateRef", "it does not exist yet");
    world.put(&bundle("v1", "roots", &authority("one")));
    let first = trust(&world).expect("it does now");
    world.put(&bundle("v1", "roots", &authority("two")));
    assert!(trust(&world).is_some_and(|second| second != first));
    let update = world.remove("ClusterTrustBundle roots");
    assert!(!update.statuses.is_empty());
    assert_eq!(trust(&world), None, "no anchors are kept");
    assert_eq!(resolved(&world), "!InvalidCACertificateRef");
    assert_eq!(world.condition("Gateway infra/gw#https", "Accepted"), "!NoValidCACertificate");
    world.put(&bundle("v1", "roots", "nonsense"));
    assert_eq!(resolved(&world), "!InvalidCACertificateRef", "nor is one that cannot be read");
    world.put(&bundle("v1", "roots", &authority("three")));
    world.bind();
    assert_eq!(resolved(&world), "ResolvedRefs");
    assert_eq!(world.condition("Gateway infra/gw#https", "Programmed"), "Programmed");
}

#[test]
fn one_bad_cluster_trust_bundle_among_several_references_is_left_out_and_the_others_are_used() {
    let refs = "[{group: certificates.k8s.io, kind: ClusterTrustBundle, name: missing}, {group: certificates.k8s.io, kind: ClusterTrustBundle, name: roots}, {group: '', kind: ConfigMap, name: ca}]";
    let world = World::of(&format!(
        "{}{}{}",
        gateway(refs),
        bundle("v1", "roots", &authority("one")),
        config_map("infra", "ca", &authority("two"))
    ));
    assert_eq!(resolved(&world), "!InvalidCACertificateRef");
    assert_eq!(world.condition("Gateway infra/gw#https", "Accepted"), "Accepted");
    assert_eq!(trust(&world).unwrap().roots.len(), 2);
}

#[test]
fn a_cluster_that_serves_no_cluster_trust_bundles_makes_them_an_invalid_ca_certificate_kind() {
    let mut world = World::of(&format!("{}{}", gateway(ROOTS), bundle("v1", "roots", &authority("one"))));
    let installed = |trust_bundles: bool| Change::Fact(Fact::Bundle(Bundle { trust_bundles, ..Bundle::of("v1.7.0", true) }));
    assert_eq!(resolved(&world), "ResolvedRefs");
    world.apply([installed(false)]);
    assert_eq!(resolved(&world), "!InvalidCACertificateKind");
    assert_eq!(world.condition("Gateway infra/gw#https", "Accepted"), "!NoValidCACertificate");
    assert_eq!(trust(&world), None);
    world.apply([installed(true)]);
    assert_eq!(resolved(&world), "ResolvedRefs", "the API appeared at run time");
}

#[test]
fn a_cluster_trust_bundle_named_with_a_namespace_is_an_invalid_ca_certificate_ref() {
    let refs = ROOTS.replace("name: roots", "name: roots, namespace: infra");
    let world = World::of(&format!("{}{}", gateway(&refs), bundle("v1", "roots", &authority("one"))));
    assert_eq!(resolved(&world), "!InvalidCACertificateRef");
    assert!(world.message("Gateway infra/gw#https", "ResolvedRefs").contains("leave the namespace out"));
    assert_eq!(world.condition("Gateway infra/gw", "Accepted"), "!ListenersNotValid", "nothing but the reference is at fault");
}
