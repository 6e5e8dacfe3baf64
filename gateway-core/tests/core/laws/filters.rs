//! Filters for the universe of the laws: of listeners, and of rules and backends of HTTPRoutes.

use proptest::prelude::*;

use super::pick;

/// Filters of a listener; most have none.
pub(super) const LISTENER_FILTERS: &[&str] = &[
    "",
    "",
    "",
    "",
    "{type: ExternalAuth, externalAuth: {protocol: HTTP, http: {}, backendRef: {name: s1, port: 80}}}",
    "{type: ExternalAuth, externalAuth: {protocol: GRPC, grpc: {}, backendRef: {name: s2, namespace: two, port: 80}}}",
    "{type: ExtensionRef, extensionRef: {group: example.com, kind: Sign, name: sign}}, {type: Later}",
    "{type: ExtensionRef, extensionRef: {group: example.com, kind: Sign, name: sign}}",
];

/// Filters of a rule or a backend.
const FILTERS: &[&str] = &[
    "{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X, value: why}]}}",
    "{type: ResponseHeaderModifier, responseHeaderModifier: {add: [{name: X, value: why}], remove: [Gone]}}",
    "{type: ResponseHeaderModifier, responseHeaderModifier: {remove: [Connection]}}",
    "{type: URLRewrite, urlRewrite: {hostname: x.org, path: {type: ReplacePrefixMatch, replacePrefixMatch: /x}}}",
    "{type: RequestRedirect, requestRedirect: {port: 1}}",
    "{type: DirectResponse, directResponse: {statusCode: 200}}",
    "{type: RequestMirror, requestMirror: {backendRef: {name: s1, port: 80}}}",
    "{type: RequestMirror, requestMirror: {backendRef: {name: s2, namespace: two, port: 80}, percent: 20}}",
    "{type: RequestMirror, requestMirror: {backendRef: {name: s2, port: 80}, fraction: {numerator: 1, denominator: 3}}}",
    "{type: CORS, cors: {allowOrigins: ['https://*.example.com'], allowCredentials: true}}",
    "{type: ExternalAuth, externalAuth: {protocol: HTTP, http: {path: /auth}, backendRef: {name: s1, port: 80}}}",
    "{type: ExternalAuth, externalAuth: {protocol: GRPC, grpc: {}, backendRef: {name: s2, namespace: two, port: 80}, forwardBody: {maxSize: 9}}}",
    "{type: ExternalAuth, externalAuth: {protocol: LATER, backendRef: {name: s1, port: 80}}}",
    "{type: ExtensionRef, extensionRef: {group: pingora-gateway.dev, kind: DirectResponse, name: d}}",
    "{type: ExtensionRef, extensionRef: {group: example.com, kind: Sign, name: sign}}",
    "{type: Later}",
];

/// A field `filters` in front of others, or nothing.
pub(super) fn filters() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => Just(String::new()),
        1 => proptest::collection::vec(pick(FILTERS), 1..4).prop_map(|list| format!("filters: [{}], ", list.join(", "))),
    ]
}
