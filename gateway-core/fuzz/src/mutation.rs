//! Documents changed at one place: a part replaced, taken out, wrapped, doubled, or copied from elsewhere.

use serde_json::{Value, json};

use crate::input::Input;

/// Changes the document at a place and in a way the input chooses.
pub(crate) fn mutate(document: &mut Value, input: &mut Input<'_>) {
    let places = count(document);
    let mut place = input.below(places);
    let with = match input.byte() % 8 {
        0 => Value::Null,
        1 => input.pick(WORDS).map_or(Value::Null, Value::from),
        2 => json!([found(document, &mut place.clone())]),
        3 => {
            let part = found(document, &mut place.clone());
            json!([part, part])
        }
        4 => json!(i64::from(input.byte()) - 2),
        5 => json!(i64::from(input.byte()) << (input.byte() % 56)),
        6 => {
            let mut other = input.below(places);
            found(document, &mut other)
        }
        _ => {
            input.pick(&["{}", "[]", "true", "1.5", "\"\""]).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
        }
    };
    replace(document, &mut place, with);
}

/// The number of places in a document.
fn count(value: &Value) -> usize {
    let inner: usize = match value {
        Value::Array(entries) => entries.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    };
    inner + 1
}

/// What stands at the place with this number, counted from the outside in.
fn found(value: &Value, place: &mut usize) -> Value {
    fn find<'v>(value: &'v Value, place: &mut usize) -> Option<&'v Value> {
        if *place == 0 {
            return Some(value);
        }
        *place -= 1;
        match value {
            Value::Array(entries) => entries.iter().find_map(|entry| find(entry, place)),
            Value::Object(fields) => fields.values().find_map(|field| find(field, place)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        }
    }
    find(value, place).cloned().unwrap_or_default()
}

/// Puts something else there. Gives it back where the place lies elsewhere.
fn replace(value: &mut Value, place: &mut usize, with: Value) -> Option<Value> {
    if *place == 0 {
        *value = with;
        return None;
    }
    *place -= 1;
    let mut with = Some(with);
    match value {
        Value::Array(entries) => {
            entries.iter_mut().for_each(|entry| with = with.take().and_then(|with| replace(entry, place, with)))
        }
        Value::Object(fields) => {
            fields.values_mut().for_each(|field| with = with.take().and_then(|with| replace(field, place, with)));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    with
}

/// Texts that mean something somewhere.
const WORDS: &[&str] = &[
    "",
    "/",
    "*",
    "a",
    "A",
    "web",
    "infra",
    "team",
    "edge",
    "http",
    "users",
    "*.example.com",
    "a.example.com",
    "example.com",
    "10.0.0.1",
    "::1",
    "10.0.0.0/8",
    "Exact",
    "PathPrefix",
    "RegularExpression",
    "ReplacePrefixMatch",
    "ReplaceFullPath",
    "RequestRedirect",
    "URLRewrite",
    "RequestMirror",
    "CORS",
    "ExternalAuth",
    "ExtensionRef",
    "DirectResponse",
    "RequestHeaderModifier",
    "Cookie",
    "Header",
    "Permanent",
    "HTTP",
    "HTTPS",
    "TLS",
    "TCP",
    "UDP",
    "H2C",
    "WSS",
    "Passthrough",
    "Terminate",
    "All",
    "Same",
    "None",
    "Selector",
    "In",
    "NotIn",
    "Exists",
    "System",
    "URI",
    "Hostname",
    "IPAddress",
    "Cluster",
    "ServerOnly",
    "ClientAndServer",
    "AllowInsecureFallback",
    "ExternalHostname",
    "EndpointSelector",
    "ExternalName",
    "Headless",
    "kubernetes.io/h2c",
    "kubernetes.io/wss",
    "Service",
    "ServiceImport",
    "XBackend",
    "Secret",
    "ConfigMap",
    "ClusterTrustBundle",
    "Gateway",
    "ListenerSet",
    "HTTPRoute",
    "gateway.networking.k8s.io",
    "gateway.networking.x-k8s.io",
    "pingora-gateway.dev",
    "0s",
    "1ms",
    "99999h99999h99999h99999h",
    "(a|b)+[",
    "[a-z]{1000}{1000}",
    "^/(x+x+)+y$",
    "🦀",
    "\u{0}",
    "/%",
    "//",
    "https://*",
    "spiffe://a/b",
    "9999-12-31T23:59:59Z",
];
