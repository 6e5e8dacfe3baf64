//! What a span holds, and where each value comes from (`XTelemetryPolicy.spec.tracing.attributes`, GEP-5253).
//!
//! In: attributes as stated. Out: the same with keys of OpenTelemetry known one by one. What is not known of a request when its span
//! is written stays empty, and never fails the request.

use std::sync::Arc;

use http::HeaderName;

/// Something a span holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanAttribute {
    /// What it is called in the span.
    pub name: Arc<str>,
    /// Where its value comes from.
    pub value: AttributeValue,
}

/// Where the value of an attribute comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeValue {
    /// A header of the request; empty where the request has none.
    Header(HeaderName),
    /// The policy.
    Literal(Arc<str>),
    /// What is known of the request.
    Known(AttributeKey),
}

macro_rules! dictionary {
    ($($(#[$doc:meta])* $key:ident = $text:literal,)+) => {
        /// The stable keys of OpenTelemetry that a proxy can tell of a request (GEP-5253).
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum AttributeKey {
            $($(#[$doc])* $key,)+
            /// `http.request.header.<name>`.
            RequestHeader(HeaderName),
            /// `http.response.header.<name>`.
            ResponseHeader(HeaderName),
        }

        impl AttributeKey {
            /// The key that is written like this; `None` for one that is not in the dictionary.
            pub fn read(text: &str) -> Option<Self> {
                match text {
                    $($text => return Some(Self::$key),)+
                    _ => {}
                }
                let header = |name: &str| HeaderName::from_bytes(name.as_bytes()).ok();
                if let Some(name) = text.strip_prefix(REQUEST_HEADER) {
                    return header(name).map(Self::RequestHeader);
                }
                header(text.strip_prefix(RESPONSE_HEADER)?).map(Self::ResponseHeader)
            }

            /// The keys that name no header, in the order of the dictionary.
            pub const PLAIN: &[Self] = &[$(Self::$key),+];
        }

        impl std::fmt::Display for AttributeKey {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $(Self::$key => f.write_str($text),)+
                    Self::RequestHeader(name) => write!(f, "{REQUEST_HEADER}{name}"),
                    Self::ResponseHeader(name) => write!(f, "{RESPONSE_HEADER}{name}"),
                }
            }
        }
    };
}

dictionary! {
    /// The method, `_OTHER` for one that is not known.
    RequestMethod = "http.request.method",
    /// The method as the client wrote it, where it is not known.
    RequestMethodOriginal = "http.request.method_original",
    /// The status of the answer, a number.
    ResponseStatusCode = "http.response.status_code",
    /// What of the path a match states.
    Route = "http.route",
    /// The header User-Agent.
    UserAgent = "user_agent.original",
    /// Why the request failed, where it did.
    ErrorType = "error.type",
    /// `http` or `https`.
    UrlScheme = "url.scheme",
    /// The path.
    UrlPath = "url.path",
    /// The query, without `?`.
    UrlQuery = "url.query",
    /// All of the URL.
    UrlFull = "url.full",
    /// The fragment, which no client sends: always empty.
    UrlFragment = "url.fragment",
    /// The client, trusted proxies looked through.
    ClientAddress = "client.address",
    /// The client's port, a number.
    ClientPort = "client.port",
    /// The host the client asked for.
    ServerAddress = "server.address",
    /// Its port, a number.
    ServerPort = "server.port",
    /// The other end of the connection.
    PeerAddress = "network.peer.address",
    /// Its port, a number.
    PeerPort = "network.peer.port",
    /// `http`.
    ProtocolName = "network.protocol.name",
    /// Such as `1.1` or `2`.
    ProtocolVersion = "network.protocol.version",
    /// `tcp`.
    Transport = "network.transport",
    /// `ipv4` or `ipv6`.
    NetworkType = "network.type",
}

const REQUEST_HEADER: &str = "http.request.header.";
const RESPONSE_HEADER: &str = "http.response.header.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_read_as_it_is_written() {
        let headers = ["http.request.header.x-user", "http.response.header.content-type"];
        let keys = AttributeKey::PLAIN.iter().cloned().chain(headers.iter().filter_map(|text| AttributeKey::read(text)));
        let mut count = 0;
        for key in keys {
            assert_eq!(AttributeKey::read(&key.to_string()), Some(key));
            count += 1;
        }
        assert_eq!(count, 23);
    }

    #[test]
    fn what_is_not_in_the_dictionary_is_no_key() {
        let none = ["", "http.method", "http.request.header.", "http.request.header.a b", "http.request.header", "url.domain"];
        for text in none {
            assert_eq!(AttributeKey::read(text), None, "{text}");
        }
    }
}
