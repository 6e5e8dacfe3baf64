//! What `diff` tells of listeners and backends: in the words of manifests, and which objects changed.

use super::super::backend_tls_policies::{REF, S, SYSTEM, base, policy};
use super::super::certificates::secret;
use super::super::client_validation::{authority, config_map};
use super::super::world::{World, service};
use super::between;

/// What is told of listeners, sockets and backends, each with its lines.
fn told(before: &str, after: &str) -> Vec<String> {
    let difference = between(&World::of(before), &World::of(after));
    let text = difference.to_string();
    for odd in ["Some(", "None", "Settings", "V1_", "Http1", "TLS13_", "everything but"] {
        assert!(!text.contains(odd), "{odd} is no word of a manifest:\n{text}");
    }
    let told = difference.listeners.iter().chain(&difference.backends);
    told.map(|one| format!("{}: {one}", one.of)).collect()
}

fn gateway(fields: &str, listener: &str) -> String {
    format!(
        "\n---\n{{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {{name: gw, namespace: team}}, spec: {{gatewayClassName: c, {fields} listeners: [{{name: l, {listener}}}]}}}}\n"
    )
}

const HTTPS: &str = "protocol: HTTPS, port: 443, tls: {certificateRefs: [{name: cert}]}";
const L: &str = "Gateway team/gw listener l";

#[test]
fn settings_are_told_by_the_fields_and_forms_of_gateway_parameters() {
    let named = "infrastructure: {parametersRef: {group: pingora-gateway.dev, kind: GatewayParameters, name: p}},";
    let world = |spec: &str| {
        gateway(named, "protocol: HTTP, port: 80")
            + &format!(
                "---\n{{apiVersion: pingora-gateway.dev/v1alpha1, kind: GatewayParameters, metadata: {{name: p, namespace: team}}, spec: {spec}}}\n"
            )
    };
    let before = "{trustedProxies: [10.0.0.0/8], limits: {idleTimeout: 5s, bodyTimeout: 90s}}";
    let after =
        "{trustedProxies: [10.0.0.0/8, '::1'], mergeSlashes: false, proxyProtocol: {ports: [80]}, limits: {idleTimeout: 500ms}}";
    let expected = [
        "limits.bodyTimeout no more: 1m30s",
        "limits.idleTimeout: 5s → 500ms",
        "mergeSlashes now: false",
        "proxyProtocol.ports now: [80]",
        "trustedProxies: [10.0.0.0/8] → [10.0.0.0/8, ::1/128]",
    ];
    let expected: Vec<_> = [L, "socket *:80"].iter().flat_map(|of| expected.map(|line| format!("{of}: {line}"))).collect();
    assert_eq!(told(&world(before), &world(after)), expected);
}

#[test]
fn of_certificates_and_authorities_it_is_told_which_objects_changed() {
    let ca = |pem: &str| config_map("team", "ca", pem);
    let frontend = |mode: &str| {
        format!(
            "tls: {{frontend: {{default: {{validation: {{mode: {mode}, caCertificateRefs: [{{group: '', kind: ConfigMap, name: ca}}]}}}}}}}},"
        )
    };
    let strict = gateway(&frontend("AllowValidOnly"), HTTPS);
    let (one, other) = (authority("one"), authority("other"));
    let (cert, renewed) = (secret("team", "cert", "a.example"), secret("team", "cert", "a.example"));
    assert_eq!(
        told(&format!("{strict}{}{cert}", ca(&one)), &format!("{strict}{}{renewed}", ca(&other))),
        [
            format!(
                "{L}: client certificates: AllowValidOnly, by ConfigMap team/ca → AllowValidOnly, by ConfigMap team/ca; changed: ConfigMap team/ca"
            ),
            format!("{L}: tls.certificateRefs: Secret team/cert → Secret team/cert, changed"),
        ]
    );
    let lax = gateway(&frontend("AllowInsecureFallback"), HTTPS);
    assert_eq!(
        told(&format!("{strict}{}{cert}", ca(&one)), &format!("{lax}{}{cert}", ca(&one))),
        [format!("{L}: client certificates: AllowValidOnly, by ConfigMap team/ca → AllowInsecureFallback, by ConfigMap team/ca")]
    );
    assert_eq!(
        told(&format!("{}{cert}", gateway("", HTTPS)), &gateway("", HTTPS)),
        [format!("{L}: tls.certificateRefs: Secret team/cert → none to use, so it is closed: Secret team/cert does not exist")]
    );
}

#[test]
fn protocols_and_options_of_tls_are_told_as_listeners_state_them() {
    let tls = |more: &str| gateway("", &format!("protocol: TLS, port: 443, hostname: a.example, tls: {{{more}}}"));
    let options = "certificateRefs: [{name: cert}], options: {pingora-gateway.dev/min-tls-version: '1.3', pingora-gateway.dev/tls-cipher-suites: TLS_AES_128_GCM_SHA256}";
    let cert = secret("team", "cert", "a.example");
    assert_eq!(
        told(&format!("{}{cert}", tls("mode: Passthrough")), &format!("{}{cert}", tls(options))),
        [
            format!("{L}: tls.certificateRefs now: Secret team/cert"),
            format!("{L}: tls.mode: Passthrough → Terminate"),
            format!("{L}: tls.options pingora-gateway.dev/min-tls-version now: 1.3"),
            format!("{L}: tls.options pingora-gateway.dev/tls-cipher-suites now: TLS_AES_128_GCM_SHA256"),
        ]
    );
}

#[test]
fn a_listener_that_answers_nothing_says_so_and_not_that_its_filters_differ() {
    let http = |from: &str| gateway("", &format!("protocol: HTTP, port: 80, allowedRoutes: {{namespaces: {{from: {from}}}}}"));
    let why = "allowedRoutes.namespaces.from: Odd is unknown, so no routes are taken; use Same, All or Selector";
    assert_eq!(told(&http("All"), &http("Odd")), [format!("{L}: requests now: all are answered 500: {why}")]);
}

#[test]
fn tracing_is_told_by_the_fields_of_its_policy_and_no_header_is_shown() {
    let world = |tracing: &str| {
        gateway("", "protocol: HTTP, port: 80")
            + &service("team", "otel", "10.0.0.9")
            + &format!(
                "---\n{{apiVersion: gateway.networking.x-k8s.io/v1alpha1, kind: XTelemetryPolicy, metadata: {{name: p, namespace: team}}, spec: {{targetRefs: [{{group: gateway.networking.k8s.io, kind: Gateway, name: gw}}], tracing: {{mode: Enabled, provider: {{backendRef: {{name: otel, port: 80}}, {tracing}}}}}}}\n"
            )
    };
    let before = "headers: [{name: api-key, value: secret}]}, samplingRate: {numerator: 1, denominator: 4}, serviceName: shop";
    let after = "headers: [{name: api-key, value: other}]}, samplingRate: {numerator: 1, denominator: 2}, attributes: [{name: tenant, sourceType: Header, headerName: X-Tenant}]";
    assert_eq!(
        told(&world(before), &world(after)),
        [
            format!("{L}: tracing.attributes now: [{{name: tenant, headerName: x-tenant}}]"),
            format!("{L}: tracing.provider.headers: header api-key → header api-key, changed"),
            format!("{L}: tracing.samplingRate: {{numerator: 1, denominator: 4}} → {{numerator: 1, denominator: 2}}"),
            format!("{L}: tracing.serviceName no more: shop"),
        ]
    );
}

#[test]
fn backends_are_told_by_how_they_are_spoken_to_and_by_the_fields_of_policies() {
    let backend = "team/s:80 for HTTP";
    let h2c = base().replace("{port: 80}", "{port: 80, appProtocol: kubernetes.io/h2c}");
    assert_eq!(told(&base(), &h2c), [format!("{backend}: protocol: HTTP/1.1 → HTTP/2")]);
    let with = |validation: &str| format!("{}{}", base(), policy("p", "", S, validation));
    let own = with(REF) + &config_map("team", "ca", &authority("one"));
    assert_eq!(
        told(&base(), &with(SYSTEM)),
        [
            format!("{backend}: ALPN now: h2, http/1.1"),
            format!("{backend}: client certificate now: that of the Gateway, where it has one"),
            format!("{backend}: security: in clear → TLS to abc.example.com"),
            format!("{backend}: wellKnownCACertificates now: System"),
        ]
    );
    let renewed = with(REF) + &config_map("team", "ca", &authority("one"));
    assert_eq!(told(&own, &renewed), [format!("{backend}: caCertificateRefs: ConfigMap team/ca → ConfigMap team/ca, changed")]);
    let traffic = |spec: &str| {
        format!(
            "{}---\n{{apiVersion: gateway.networking.x-k8s.io/v1alpha1, kind: XBackendTrafficPolicy, metadata: {{name: t, namespace: team}}, spec: {{targetRefs: [{S}], {spec}}}}}\n",
            base()
        )
    };
    let budget = "retryConstraint: {budget: {percent: 20, interval: 10s}, minRetryRate: {count: 10, interval: 1s}}";
    assert_eq!(
        told(&traffic(budget), &traffic(&budget.replace("20", "30"))),
        [format!(
            "{backend}: retryConstraint: {{budget: {{percent: 20, interval: 10s}}, minRetryRate: {{count: 10, interval: 1s}}}} → {{budget: {{percent: 30, interval: 10s}}, minRetryRate: {{count: 10, interval: 1s}}}}"
        )]
    );
    let session = |name: &str| format!("sessionPersistence: {{absoluteTimeout: 1h, cookie: {{name: {name}}}}}");
    let lines = told(&traffic(&session("a")), &traffic(&session("b")));
    assert!(lines.iter().any(|line| line.contains("sessionPersistence: ") && line.contains("for at most 1h")), "{lines:?}");
}

#[test]
fn one_attempt_is_once() {
    let rule = |attempts: u32| format!("{{retry: {{attempts: {attempts}}}, {}}}", super::CART);
    let lines = super::requests(&super::rules(&rule(1), &rule(2))).join("\n");
    assert!(lines.contains("sent again once when") && lines.contains("sent again up to 2 times when"), "{lines}");
}
