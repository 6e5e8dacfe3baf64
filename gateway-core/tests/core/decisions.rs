//! Decisions where the sources contradict each other, those that belong to no other file: each test says one.

use gateway_core::resource::{FieldValidation, Reader, read};
use gateway_core::support::{Capability, Installed, Support};
use serde_json::{Value, json};

use super::protocols::gateway;
use super::world::World;

/// A TLSRoute for so many host names.
fn tls_route(hosts: usize) -> Value {
    let hosts: Vec<String> = (0..hosts).map(|nth| format!("h{nth}.example.com")).collect();
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "TLSRoute", "metadata": {"name": "r", "namespace": "infra"},
        "spec": {"parentRefs": [{"name": "gw"}], "hostnames": hosts, "rules": [{"backendRefs": [{"name": "s", "port": 80}]}]},
    })
}

/// § 10 row 5: the schema says 1024, the release notes 4096.
#[test]
fn a_tls_route_has_at_most_1024_hostnames() {
    let listener = "  - {name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough}}";
    let strict = Reader { validation: FieldValidation::Strict, ..Reader::default() };
    for (hosts, accepted) in [(1024, "Accepted"), (1025, "!UnsupportedValue")] {
        let route = tls_route(hosts);
        let world = World::of(&format!("{}\n---\n{route}", gateway(listener)));
        assert_eq!(world.condition("TLSRoute infra/r", "Accepted"), accepted, "{hosts} stored");
        assert_eq!(read(route, &strict).is_ok(), accepted == "Accepted", "{hosts} in a file");
        assert_eq!(world.attached("infra/gw", "tls"), usize::from(accepted == "Accepted"));
    }
}

/// § 10 row 29: where the retry of a rule stands, and what the modes of TLS are called.
#[test]
fn retries_are_of_the_standard_channel_and_the_modes_of_tls_have_the_names_of_the_registry() {
    let standard = Installed { experimental: false, trust_bundles: false, ..Installed::NEWEST };
    let claimed: Vec<_> = Support::ALL.features(standard).collect();
    for name in ["HTTPRouteRetryCodes", "HTTPRouteRetryConnectionError", "TLSRouteModeTerminate", "TLSRouteModeMixed"] {
        assert!(claimed.contains(&name), "{name} is among {claimed:?}");
    }
    for name in Support::ALL.features(Installed::NEWEST) {
        assert!(!["TLSRouteTermination", "TLSRouteMixedMode"].contains(&name));
    }
    let terminating: Vec<_> = Support::of(&[Capability::TlsTerminate, Capability::TlsPassthrough]).features(standard).collect();
    assert!(terminating.contains(&"TLSRouteModeMixed"), "{terminating:?}");
}
