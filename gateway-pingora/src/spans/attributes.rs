//! What a span holds of its request: the attributes of OpenTelemetry's conventions for servers, and those that the policy asks for.
//!
//! In: what was noted of a request when it met its listener, and the record of its end. Out: attributes, and whether the request
//! failed. What the policy asks for goes before what is told anyway; of what is not known it gets an empty text.
//!
//! Conventions: HTTP, URL and network as they are stable; RPC by the names of the release candidate. Values of query parameters that
//! sign a URL are not told.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, Method, Version, header};
use pingora_http::{RequestHeader, ResponseHeader};

use gateway_core::snapshot::matching::PathPattern;
use gateway_core::snapshot::{AttributeKey, AttributeValue, SpanAttribute};

use super::Origin;
use super::otlp::{KeyValue, Value};
use crate::observe::{Fault, Record};

/// What is noted of a request when it meets its listener; later its head may be changed.
#[derive(Debug)]
pub(super) struct Noted {
    client: IpAddr,
    scheme: &'static str,
    port: u16,
    is_grpc: bool,
    /// Those of its headers that are told.
    headers: HeaderMap,
}

/// All that is known of a request at its end.
pub(super) struct Told<'a> {
    pub(super) noted: &'a Noted,
    pub(super) record: &'a Record,
    pub(super) path: Option<&'a PathPattern>,
    pub(super) response: Option<&'a ResponseHeader>,
    /// What `grpc-status` said, in the head or the trailers of the response.
    pub(super) grpc_status: Option<u8>,
}

impl Noted {
    /// `port` is the listener's.
    pub(super) fn of(head: &RequestHeader, origin: Origin, port: u16, asked: &[SpanAttribute]) -> Self {
        let Origin { client, is_tls, is_grpc } = origin;
        let scheme = match head.headers.get("x-forwarded-proto").map(|proto| proto.as_bytes()) {
            Some(b"https") => "https",
            Some(b"http") => "http",
            _ => {
                if is_tls {
                    "https"
                } else {
                    "http"
                }
            }
        };
        let mut headers = HeaderMap::new();
        for name in asked.iter().filter_map(header_of).chain([&header::USER_AGENT]) {
            if !headers.contains_key(name) {
                headers.extend(head.headers.get_all(name).iter().map(|value| (name.clone(), value.clone())));
            }
        }
        Self { client, scheme, port, is_grpc, headers }
    }
}

/// The header of the request that an attribute tells.
fn header_of(attribute: &SpanAttribute) -> Option<&HeaderName> {
    match &attribute.value {
        AttributeValue::Header(name) | AttributeValue::Known(AttributeKey::RequestHeader(name)) => Some(name),
        AttributeValue::Known(_) | AttributeValue::Literal(_) => None,
    }
}

impl Told<'_> {
    /// What the span is called where the policy does not say.
    pub(super) fn name(&self) -> String {
        if self.noted.is_grpc {
            return self.call().to_owned();
        }
        let method = known_method(&self.record.method).unwrap_or("HTTP");
        match self.path {
            Some(path) => format!("{method} {}", path.stated()),
            None => method.to_owned(),
        }
    }

    /// What the policy asks for, then what is told anyway.
    pub(super) fn attributes(&self, asked: &[SpanAttribute]) -> Vec<KeyValue> {
        let mut all: Vec<KeyValue> = Vec::with_capacity(asked.len() + ALWAYS.len() + 3);
        for SpanAttribute { name, value } in asked {
            let value = match value {
                AttributeValue::Header(header) => Value::text(&joined(&self.noted.headers, header)),
                AttributeValue::Literal(text) => Value::text(text),
                AttributeValue::Known(key) => self.value(key).unwrap_or_else(|| Value::text("")),
            };
            all.push(KeyValue::new(&**name, value));
        }
        let is_asked = |key: &str| asked.iter().any(|attribute| &*attribute.name == key);
        for key in ALWAYS {
            let name = key.to_string();
            if let Some(value) = self.value(key).filter(|_| !is_asked(&name)) {
                all.push(KeyValue::new(name, value));
            }
        }
        if self.noted.is_grpc {
            let mut tell = |key: &str, value: &str| {
                if !is_asked(key) {
                    all.push(KeyValue::new(key, Value::text(value)));
                }
            };
            tell("rpc.system.name", "grpc");
            tell("rpc.method", self.call());
            if let Some(status) = self.grpc_status {
                tell("rpc.response.status_code", grpc_name(status));
            }
        }
        all
    }

    /// Why the request failed, as far as servers are to blame; `None` where it did not.
    pub(super) fn error(&self) -> Option<Cow<'static, str>> {
        if self.noted.is_grpc
            && let Some(status) = self.grpc_status
        {
            // Of the others the client may have been the cause.
            return [2, 4, 12, 13, 14, 15].contains(&status).then(|| grpc_name(status).into());
        }
        match (self.record.status, &self.record.fault) {
            (500.., _) => Some(self.record.status.to_string().into()),
            (0, None) => Some("_OTHER".into()),
            // It was answered as it deserved.
            (400..500, _) | (1.., None) => None,
            (_, Some(fault)) => broken(fault).map(Cow::Borrowed),
        }
    }

    fn value(&self, key: &AttributeKey) -> Option<Value> {
        let Self { noted, record, .. } = self;
        let number = |number: u16| Some(Value::Number(number.into()));
        let text = |text: &str| Some(Value::text(text));
        match key {
            AttributeKey::RequestMethod => text(known_method(&record.method).unwrap_or("_OTHER")),
            AttributeKey::RequestMethodOriginal => {
                known_method(&record.method).is_none().then(|| Value::text(record.method.as_str()))
            }
            AttributeKey::ResponseStatusCode => {
                if record.status == 0 {
                    None
                } else {
                    number(record.status)
                }
            }
            AttributeKey::Route => self.path.map(|path| Value::text(&path.stated())),
            AttributeKey::UserAgent => {
                noted.headers.contains_key(header::USER_AGENT).then(|| Value::text(&joined(&noted.headers, &header::USER_AGENT)))
            }
            AttributeKey::ErrorType => self.error().map(|error| Value::text(&error)),
            AttributeKey::UrlScheme => text(noted.scheme),
            AttributeKey::UrlPath => text(self.target().0),
            AttributeKey::UrlQuery => self.target().1.map(|query| Value::text(&redacted(query))),
            AttributeKey::UrlFull => {
                let (path, query) = self.target();
                let query = query.map(|query| format!("?{}", redacted(query))).unwrap_or_default();
                Some(Value::text(&format!("{}://{}{path}{query}", noted.scheme, record.host)))
            }
            AttributeKey::UrlFragment => None,
            AttributeKey::ClientAddress => text(&noted.client.to_string()),
            AttributeKey::ClientPort => {
                if noted.client == record.peer.ip() {
                    number(record.peer.port())
                } else {
                    None
                }
            }
            AttributeKey::ServerAddress => (!record.host.is_empty()).then(|| Value::text(host_and_port(&record.host).0)),
            AttributeKey::ServerPort => number(host_and_port(&record.host).1.unwrap_or(noted.port)),
            AttributeKey::PeerAddress => text(&record.peer.ip().to_string()),
            AttributeKey::PeerPort => number(record.peer.port()),
            AttributeKey::ProtocolName => text("http"),
            AttributeKey::ProtocolVersion => text(match record.version {
                Version::HTTP_10 => "1.0",
                Version::HTTP_2 => "2",
                _ => "1.1",
            }),
            AttributeKey::Transport => text("tcp"),
            AttributeKey::NetworkType => text(match record.peer {
                SocketAddr::V4(_) => "ipv4",
                SocketAddr::V6(_) => "ipv6",
            }),
            AttributeKey::RequestHeader(name) => listed(&noted.headers, name),
            AttributeKey::ResponseHeader(name) => self.response.and_then(|head| listed(&head.headers, name)),
        }
    }

    /// Path and query as the client sent them.
    fn target(&self) -> (&str, Option<&str>) {
        let target = &*self.record.target;
        let target = match target.split_once("://") {
            Some((scheme, rest)) if !scheme.contains('/') => rest.find('/').map_or("/", |at| rest.split_at(at).1),
            _ => target,
        };
        match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        }
    }

    /// `service/method` of a gRPC call.
    fn call(&self) -> &str {
        let path = self.target().0;
        path.strip_prefix('/').unwrap_or(path)
    }
}

/// Why an exchange that had begun well did not end so, in few words; `None` where it was not broken off.
fn broken(fault: &Fault) -> Option<&'static str> {
    match fault {
        Fault::RequestTimeout | Fault::BackendTimeout | Fault::Slow(_) => Some("timeout"),
        Fault::Client(_) => Some("client_closed"),
        Fault::Upstream(_) | Fault::Connect(_) | Fault::Identity(_) => Some("backend"),
        Fault::Filter(_) | Fault::Internal(_) | Fault::Idle => Some("_OTHER"),
        Fault::Refused(_)
        | Fault::Framing(_)
        | Fault::HeadTooLarge
        | Fault::Expectation
        | Fault::GrpcOverHttp1
        | Fault::Denied
        | Fault::BodyTooLarge
        | Fault::Authority(_)
        | Fault::RetryBudget => None,
    }
}

/// A method that everybody knows; others could be anything.
fn known_method(method: &Method) -> Option<&str> {
    let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "QUERY", "CONNECT", "TRACE"];
    known.contains(&method.as_str()).then_some(method.as_str())
}

/// All values of a header in one text, empty for none.
fn joined(headers: &HeaderMap, name: &HeaderName) -> String {
    let values: Vec<_> = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    values.join(", ")
}

/// The values of a header, each by itself.
fn listed(headers: &HeaderMap, name: &HeaderName) -> Option<Value> {
    let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    headers.contains_key(name).then(|| Value::list(values))
}

/// A host, without the brackets of an address, and the port behind it.
fn host_and_port(authority: &str) -> (&str, Option<u16>) {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()),
        _ => (authority, None),
    };
    (host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host), port)
}

/// A query without the values that sign it.
fn redacted(query: &str) -> Cow<'_, str> {
    let is_secret = |parameter: &str| {
        let name = parameter.split_once('=').map(|(name, _)| name);
        name.filter(|name| SECRET_PARAMETERS.contains(name)).is_some()
    };
    if !query.split('&').any(is_secret) {
        return Cow::Borrowed(query);
    }
    let shown = query.split('&').map(|parameter| match parameter.split_once('=') {
        Some((name, _)) if is_secret(parameter) => Cow::Owned(format!("{name}=REDACTED")),
        _ => Cow::Borrowed(parameter),
    });
    Cow::Owned(shown.collect::<Vec<_>>().join("&"))
}

/// What a number of `grpc-status` is called.
fn grpc_name(status: u8) -> &'static str {
    GRPC_STATUSES.get(usize::from(status)).copied().unwrap_or("UNKNOWN")
}

/// What is told of every request, as far as it is known.
const ALWAYS: &[AttributeKey] = &[
    AttributeKey::RequestMethod,
    AttributeKey::RequestMethodOriginal,
    AttributeKey::ResponseStatusCode,
    AttributeKey::Route,
    AttributeKey::UserAgent,
    AttributeKey::ErrorType,
    AttributeKey::UrlScheme,
    AttributeKey::UrlPath,
    AttributeKey::UrlQuery,
    AttributeKey::ClientAddress,
    AttributeKey::ServerAddress,
    AttributeKey::ServerPort,
    AttributeKey::PeerAddress,
    AttributeKey::PeerPort,
    AttributeKey::ProtocolVersion,
];
/// Parameters of signed URLs.
const SECRET_PARAMETERS: [&str; 7] =
    ["AWSAccessKeyId", "Signature", "sig", "X-Amz-Credential", "X-Amz-Security-Token", "X-Amz-Signature", "X-Goog-Signature"];
const GRPC_STATUSES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_sign_a_url_are_not_told() {
        let rows = [
            ("a=1&b=2", "a=1&b=2"),
            ("a=1&sig=secret&b", "a=1&sig=REDACTED&b"),
            ("X-Amz-Signature=s&X-Amz-Date=d", "X-Amz-Signature=REDACTED&X-Amz-Date=d"),
            ("Sig=kept&sig", "Sig=kept&sig"),
            ("", ""),
        ];
        for (query, shown) in rows {
            assert_eq!(redacted(query), shown, "{query}");
        }
    }

    #[test]
    fn a_host_is_told_without_port_and_brackets() {
        let rows = [
            ("a.example", ("a.example", None)),
            ("a.example:8080", ("a.example", Some(8080))),
            ("[2001:db8::1]:80", ("2001:db8::1", Some(80))),
            ("[2001:db8::1]", ("2001:db8::1", None)),
            ("", ("", None)),
        ];
        for (authority, found) in rows {
            assert_eq!(host_and_port(authority), found, "{authority}");
        }
    }
}
