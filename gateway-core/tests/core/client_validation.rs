//! Client certificates asked for on HTTPS listeners (`GatewaySpec.TLS.Frontend`, GEP-91).

use gateway_core::admit::{Arrival, Handshake, admit};
use gateway_core::compile::Options;
use gateway_core::snapshot::{ClientValidation, Fingerprint, Listener, Socket, Transport};
use gateway_core::support::{Capability, Support};

use super::certificates::secret;
use super::world::{World, head, options, service};

/// The certificate of a fresh authority, in PEM.
pub(crate) fn authority(name: &str) -> String {
    rcgen::generate_simple_self_signed([name.to_owned()]).expect("a host name").cert.pem()
}

/// A ConfigMap `infra/name` with this `ca.crt`.
pub(crate) fn config_map(namespace: &str, name: &str, pem: &str) -> String {
    let indented: String = pem.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: {namespace}}}\ndata:\n  ca.crt: |\n{indented}"
    )
}

/// A Gateway with HTTPS on 443 and 8443 and HTTP on 80, and a route on all of them.
fn gateway(frontend: &str) -> String {
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
  - {{name: other, port: 8443, protocol: HTTPS, tls: {{certificateRefs: [{{name: cert}}]}}}}
  - {{name: http, port: 80, protocol: HTTP}}
  tls: {{frontend: {frontend}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: r, namespace: infra}}
spec: {{parentRefs: [{{name: gw}}], rules: [{{backendRefs: [{{name: s, port: 80}}]}}]}}
{}{}",
        service("infra", "s", "10.0.0.1"),
        secret("infra", "cert", "a.example.com")
    )
}

fn refs(refs: &str) -> String {
    format!("{{default: {{validation: {{caCertificateRefs: {refs}}}}}}}")
}

fn config_maps(names: &[&str]) -> String {
    let refs: Vec<String> = names.iter().map(|name| format!("{{group: '', kind: ConfigMap, name: {name}}}")).collect();
    format!("[{}]", refs.join(", "))
}

fn listener(world: &World, port: u16) -> std::sync::Arc<Listener> {
    let (_, listeners) = world.snapshot.sockets().find(|(socket, _)| socket.port == port).expect("somebody listens");
    listeners.find(Some("a.example.com")).expect("a listener for all hosts").clone()
}

fn validation(world: &World, port: u16) -> Option<ClientValidation> {
    listener(world, port).validation.as_deref().cloned()
}

/// The status of a GET on a connection that passed this validation.
fn get(world: &World, port: u16, validation: Option<Fingerprint>) -> u16 {
    let socket = Socket { address: None, port, transport: Transport::Tcp };
    let tls = Some(Handshake { server_name: Some("a.example.com".into()), validation });
    match admit(&world.snapshot, &Arrival { socket, tls }, &head("GET", "/", "a.example.com", &[])) {
        Ok(_) => 200,
        Err(refusal) => refusal.reason.status().as_u16(),
    }
}

#[test]
fn the_default_applies_to_https_ports_without_an_entry_of_their_own_and_to_nothing_else() {
    let frontend = format!(
        "{{default: {{validation: {{caCertificateRefs: {}}}}}, perPort: [{{port: 8443, tls: {{validation: {{caCertificateRefs: {}}}}}}}, {{port: 80, tls: {{validation: {{caCertificateRefs: {}}}}}}}]}}",
        config_maps(&["ca"]),
        config_maps(&["other"]),
        config_maps(&["missing"])
    );
    let mut world = World::of(&format!(
        "{}{}{}",
        gateway(&frontend),
        config_map("infra", "ca", &authority("ca")),
        config_map("infra", "other", &authority("other"))
    ));
    let (default, own) = (validation(&world, 443).unwrap(), validation(&world, 8443).unwrap());
    assert_ne!(default.fingerprint, own.fingerprint);
    assert!(!default.is_optional && !own.is_optional);
    for name in ["https", "other", "http"] {
        assert_eq!(world.condition(&format!("Gateway infra/gw#{name}"), "Programmed"), "Programmed");
        assert_eq!(world.condition(&format!("Gateway infra/gw#{name}"), "ResolvedRefs"), "ResolvedRefs", "{name}");
    }
    assert_eq!(listener(&world, 80).validation, None);
    world.put(&gateway("{default: {}, perPort: [{port: 8443, tls: {}}]}"));
    assert_eq!((validation(&world, 443), validation(&world, 8443)), (None, None), "an entry may also ask for nothing");
}

#[test]
fn a_gateway_whose_references_to_authorities_are_all_invalid_lets_nobody_in_there_and_everybody_elsewhere() {
    let rows = [
        (config_maps(&["ca"]), String::new(), "!InvalidCACertificateRef", "ConfigMap infra/ca does not exist"),
        (config_maps(&["ca"]), config_map("infra", "ca", "nonsense"), "!InvalidCACertificateRef", "holds 0 certificates"),
        (config_maps(&["ca"]), config_map("infra", "ca", ""), "!InvalidCACertificateRef", "holds 0 certificates"),
        (
            config_maps(&["ca"]),
            "\n---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: ca, namespace: infra}, data: {other: x}}".to_owned(),
            "!InvalidCACertificateRef",
            "has no key ca.crt",
        ),
        (
            "[{group: '', kind: Secret, name: cert}]".to_owned(),
            String::new(),
            "!InvalidCACertificateKind",
            "Secret of the core group is no kind of certificate authorities",
        ),
        (
            "[{group: example.com, kind: ConfigMap, name: ca}]".to_owned(),
            String::new(),
            "!InvalidCACertificateKind",
            "ConfigMap of example.com",
        ),
        (
            "[{group: '', kind: ConfigMap, name: ca, namespace: vault}]".to_owned(),
            config_map("vault", "ca", &authority("ca")),
            "!RefNotPermitted",
            "a ReferenceGrant in namespace vault has to allow references from Gateway in namespace infra",
        ),
    ];
    for (refs, objects, reason, why) in rows {
        let frontend = format!("{{default: {{}}, perPort: [{{port: 443, tls: {{validation: {{caCertificateRefs: {refs}}}}}}}]}}");
        let world = World::of(&format!("{}{objects}", gateway(&frontend)));
        assert_eq!(world.condition("Gateway infra/gw#https", "ResolvedRefs"), reason);
        let message = world.message("Gateway infra/gw#https", "ResolvedRefs");
        assert!(message.contains(why), "{message} should say: {why}");
        assert_eq!(world.condition("Gateway infra/gw#https", "Accepted"), "!NoValidCACertificate", "{why}");
        assert_eq!(world.condition("Gateway infra/gw#https", "Programmed"), "!Invalid", "{why}");
        let closed = listener(&world, 443);
        assert!(!closed.is_open() && closed.certificates.is_err(), "it keeps its name, and no handshake can end well");
        for name in ["other", "http"] {
            assert_eq!(world.condition(&format!("Gateway infra/gw#{name}"), "Programmed"), "Programmed");
        }
        assert_eq!(get(&world, 8443, None), 200);
        assert_eq!(world.condition("Gateway infra/gw", "Accepted"), "ListenersNotValid");
        assert_eq!(world.condition("Gateway infra/gw", "Programmed"), "Programmed");
        assert_eq!(world.condition("Gateway infra/gw", "ResolvedRefs"), "!ListenersNotResolved");
        assert_eq!(world.attached("infra/gw", "https"), 1, "what is attached does not depend on health");
    }
}

#[test]
fn of_several_references_the_valid_ones_are_used_and_the_others_reported() {
    let (one, two) = (authority("one"), authority("two"));
    let world = World::of(&format!(
        "{}{}{}",
        gateway(&refs(&config_maps(&["one", "missing", "two"]))),
        config_map("infra", "one", &one),
        config_map("infra", "two", &two)
    ));
    assert_eq!(world.condition("Gateway infra/gw#https", "ResolvedRefs"), "!InvalidCACertificateRef");
    assert_eq!(world.condition("Gateway infra/gw#https", "Accepted"), "Accepted");
    assert_eq!(world.condition("Gateway infra/gw#https", "Programmed"), "Programmed");
    assert_eq!(validation(&world, 443).unwrap().trust.roots.len(), 2);
    let together =
        World::of(&format!("{}{}", gateway(&refs(&config_maps(&["both"]))), config_map("infra", "both", &format!("{two}{one}"))));
    let asked = |world: &World| validation(world, 443).map(|asked| (asked.fingerprint, asked.trust.fingerprint));
    assert_eq!(asked(&together), asked(&world), "it does not matter where they stand");
}

#[test]
fn an_authority_of_another_namespace_is_trusted_while_a_grant_for_gateways_permits_it() {
    let grant = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {name: grant, namespace: vault}
spec: {from: [{group: gateway.networking.k8s.io, kind: Gateway, namespace: infra}], to: [{group: '', kind: ConfigMap}]}
";
    let refs = refs("[{group: '', kind: ConfigMap, name: ca, namespace: vault}]");
    let missing = World::of(&gateway(&refs));
    let mut world = World::of(&format!("{}{}", gateway(&refs), config_map("vault", "ca", &authority("ca"))));
    assert_eq!(
        world.message("Gateway infra/gw#https", "ResolvedRefs"),
        missing.message("Gateway infra/gw#https", "ResolvedRefs"),
        "nothing tells whether it exists"
    );
    world.put(grant);
    world.bind();
    assert_eq!(world.condition("Gateway infra/gw#https", "Programmed"), "Programmed");
    assert!(validation(&world, 443).is_some());
    world.remove("ReferenceGrant vault/grant");
    assert_eq!(world.condition("Gateway infra/gw#https", "ResolvedRefs"), "!RefNotPermitted");
    assert!(!listener(&world, 443).is_open());
}

#[test]
fn insecure_frontend_validation_mode_is_present_only_while_clients_are_let_in_without_a_valid_certificate() {
    let frontend =
        |mode: &str| format!("{{default: {{validation: {{mode: {mode}, caCertificateRefs: {}}}}}}}", config_maps(&["ca"]));
    let mut world =
        World::of(&format!("{}{}", gateway(&frontend("AllowInsecureFallback")), config_map("infra", "ca", &authority("ca"))));
    let mode = |world: &World| world.condition("Gateway infra/gw", "InsecureFrontendValidationMode");
    assert_eq!(mode(&world), "ConfigurationChanged");
    let optional = validation(&world, 443).unwrap();
    assert!(optional.is_optional, "a certificate is asked for all the same");
    world.put(&gateway(&frontend("AllowValidOnly")));
    assert_eq!(mode(&world), "absent");
    let strict = validation(&world, 443).unwrap();
    assert!(!strict.is_optional && strict.fingerprint != optional.fingerprint && strict.trust == optional.trust);
    world.put(&gateway(&format!(
        "{{default: {{}}, perPort: [{{port: 8443, tls: {{validation: {{mode: AllowInsecureFallback, caCertificateRefs: {}}}}}}}]}}",
        config_maps(&["ca"])
    )));
    assert_eq!(mode(&world), "ConfigurationChanged");
}

#[test]
fn a_mode_nobody_knows_and_a_data_plane_that_cannot_check_let_nobody_in() {
    let world_of = |support: Support, mode: &str| {
        let frontend = format!("{{default: {{validation: {{mode: {mode}, caCertificateRefs: {}}}}}}}", config_maps(&["ca"]));
        let objects = format!("{}{}", gateway(&frontend), config_map("infra", "ca", &authority("ca")));
        World::with(Options { support, ..options() }, &objects)
    };
    use Capability::{ClientValidation, Http, Https};
    for (support, mode, why) in [
        (Support::ALL, "Sometimes", "mode Sometimes is unknown; use AllowValidOnly or AllowInsecureFallback"),
        (Support::of(&[Http, Https]), "AllowValidOnly", "does not check"),
        (Support::of(&[Http, Https, ClientValidation]), "AllowInsecureFallback", "use AllowValidOnly"),
    ] {
        let world = world_of(support, mode);
        assert_eq!(world.condition("Gateway infra/gw#https", "Accepted"), "!UnsupportedValue", "{why}");
        let message = world.message("Gateway infra/gw#https", "Accepted");
        assert!(message.contains(why), "{message} should say: {why}");
        assert!(!listener(&world, 443).is_open());
        assert_eq!(world.condition("Gateway infra/gw", "InsecureFrontendValidationMode"), "absent");
        assert_eq!(world.condition("Gateway infra/gw#http", "Programmed"), "Programmed");
    }
}

/// § 9, item 31.
#[test]
fn what_a_port_asks_of_its_clients_holds_for_https_listeners_of_listener_sets_too() {
    let frontend = "{default: {}, perPort: [{port: 9443, tls: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: ca, namespace: vault}]}}}]}";
    let set = format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {{name: set, namespace: team}}
spec:
  parentRef: {{name: gw, namespace: infra}}
  listeners:
  - {{name: asked, port: 9443, protocol: HTTPS, tls: {{certificateRefs: [{{name: cert}}]}}}}
  - {{name: unasked, port: 443, protocol: HTTPS, hostname: set.example.com, tls: {{certificateRefs: [{{name: cert}}]}}}}
{}",
        secret("team", "cert", "a.example.com")
    );
    let grant = |from: &str| {
        format!(
            "
---
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {{name: grant, namespace: vault}}
spec: {{from: [{{group: gateway.networking.k8s.io, {from}}}], to: [{{group: '', kind: ConfigMap}}]}}
"
        )
    };
    let open = gateway(frontend).replace("  listeners:", "  allowedListeners: {namespaces: {from: All}}\n  listeners:");
    let mut world = World::of(&format!("{open}{set}{}", config_map("vault", "ca", &authority("ca"))));
    let asked = "ListenerSet team/set#asked";
    assert_eq!(world.condition(asked, "ResolvedRefs"), "!RefNotPermitted");
    assert_eq!(world.condition(asked, "Accepted"), "!NoValidCACertificate");
    assert_eq!(world.condition("ListenerSet team/set#unasked", "Programmed"), "Programmed");
    world.put(&grant("kind: ListenerSet, namespace: team"));
    assert_eq!(world.condition(asked, "ResolvedRefs"), "!RefNotPermitted", "it is the Gateway that refers");
    world.remove("ReferenceGrant vault/grant");
    world.put(&grant("kind: Gateway, namespace: infra"));
    world.bind();
    assert_eq!(world.condition(asked, "Programmed"), "Programmed");
    let first = validation(&world, 9443).map(|validation| validation.fingerprint);
    assert!(first.is_some() && validation(&world, 443).is_none());
    world.put(&config_map("vault", "ca", &authority("other")));
    assert_ne!(validation(&world, 9443).map(|validation| validation.fingerprint), first, "an authority was rotated");
    world.remove("ReferenceGrant vault/grant");
    assert_eq!(world.condition(asked, "ResolvedRefs"), "!RefNotPermitted");
    assert!(!listener(&world, 9443).is_open());
    world.put(&open.replace("{default: {}, perPort: [{port: 9443", "{default: {}, perPort: [{port: 9444"));
    world.bind();
    assert_eq!(world.condition(asked, "Programmed"), "Programmed", "nothing is asked any longer");
}

#[test]
fn a_connection_that_did_not_pass_the_validation_of_its_listener_is_misdirected() {
    let (old, new) = (authority("old"), authority("new"));
    let mut world = World::of(&format!("{}{}", gateway(&refs(&config_maps(&["ca"]))), config_map("infra", "ca", &old)));
    let passed = validation(&world, 443).map(|validation| validation.fingerprint);
    assert_eq!(get(&world, 443, passed), 200);
    assert_eq!(get(&world, 443, None), 421, "session resumption or coalescing cannot bypass it");
    assert_eq!(get(&world, 443, Some(Fingerprint::of(["another"]))), 421);
    world.put(&config_map("infra", "ca", &new));
    assert_eq!(get(&world, 443, passed), 421, "an authority that was rotated is not believed any longer");
    let rotated = validation(&world, 443).map(|validation| validation.fingerprint);
    assert_eq!(get(&world, 443, rotated), 200);
    world.put(&gateway("{default: {}}"));
    assert_eq!(get(&world, 443, rotated), 200, "nothing is asked any longer");
}
