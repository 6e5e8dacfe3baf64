//! Spans as they are sent (OTLP 1.x): messages, and the calls that carry them.
//!
//! In: what a span holds; encoded spans of one Gateway's policy. Out: bytes. Of the messages only the fields that are written or read
//! stand here, under their numbers in the published definitions. A span is encoded when its request ends and never again: a batch holds
//! the bytes of its spans, which on the wire is the same as holding the spans.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;

use gateway_core::snapshot::ExportProtocol;

/// The message of a call that carries these spans, as this protocol has it.
pub(super) fn request(protocol: ExportProtocol, service: &str, spans: Vec<Bytes>) -> Bytes {
    let scope = Scope { name: env!("CARGO_PKG_NAME").to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
    let message = ExportRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource { attributes: vec![KeyValue::new("service.name", Value::text(service))] }),
            scope_spans: vec![ScopeSpans { scope: Some(scope), spans }],
        }],
    };
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(length + PREFIX);
    match protocol {
        ExportProtocol::Http => {}
        ExportProtocol::Grpc => {
            bytes.put_u8(0);
            bytes.put_u32(u32::try_from(length).expect("a batch has a megabyte or a single span"));
        }
    }
    message.encode(&mut bytes).expect("a buffer that grows has room");
    bytes.freeze()
}

/// How many spans the answer to such a call says were refused; `None` where it cannot be read.
pub(super) fn refused(protocol: ExportProtocol, body: &[u8]) -> Option<u64> {
    let message = match protocol {
        ExportProtocol::Http => body,
        ExportProtocol::Grpc => {
            let (prefix, message) = body.split_at_checked(PREFIX)?;
            let (compressed, length) = prefix.split_first()?;
            let length = u32::from_be_bytes(length.try_into().ok()?);
            (*compressed == 0 && usize::try_from(length).ok()? == message.len()).then_some(message)?
        }
    };
    let partial = ExportResponse::decode(message).ok()?.partial_success.unwrap_or_default();
    Some(u64::try_from(partial.rejected_spans).unwrap_or(0))
}

/// Bytes before a message of gRPC: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// `Span`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Span {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) span_id: Vec<u8>,
    #[prost(string, tag = "3")]
    pub(super) trace_state: String,
    #[prost(bytes = "vec", tag = "4")]
    pub(super) parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    pub(super) name: String,
    #[prost(int32, tag = "6")]
    pub(super) kind: i32,
    #[prost(fixed64, tag = "7")]
    pub(super) start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    pub(super) end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    pub(super) attributes: Vec<KeyValue>,
    #[prost(message, optional, tag = "15")]
    pub(super) status: Option<Status>,
    #[prost(fixed32, tag = "16")]
    pub(super) flags: u32,
}

impl Span {
    /// `SPAN_KIND_SERVER`.
    pub(super) const SERVER: i32 = 2;
    /// `SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK`.
    pub(super) const KNOWS_WHETHER_REMOTE: u32 = 0x100;
    /// `SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK`: the parent is a span of somebody else.
    pub(super) const IS_REMOTE: u32 = 0x200;
}

/// `Status`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Status {
    #[prost(int32, tag = "3")]
    pub(super) code: i32,
}

impl Status {
    /// `STATUS_CODE_ERROR`.
    pub(super) const ERROR: i32 = 2;
}

/// `KeyValue`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct KeyValue {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(message, optional, tag = "2")]
    pub(super) value: Option<AnyValue>,
}

impl KeyValue {
    pub(super) fn new(key: impl Into<String>, value: Value) -> Self {
        Self { key: key.into(), value: Some(AnyValue { value: Some(value) }) }
    }
}

/// `AnyValue`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct AnyValue {
    #[prost(oneof = "Value", tags = "1, 3, 5")]
    pub(super) value: Option<Value>,
}

/// What an `AnyValue` holds.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Value {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(int64, tag = "3")]
    Number(i64),
    #[prost(message, tag = "5")]
    List(List),
}

impl Value {
    /// A text, as much of it as an attribute may have.
    pub(super) fn text(text: &str) -> Self {
        let end = text.floor_char_boundary(LONGEST_TEXT);
        Self::Text(text.get(..end).unwrap_or(text).to_owned())
    }

    pub(super) fn list(texts: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let texts = texts.into_iter().take(LONGEST_LIST).map(|text| AnyValue { value: Some(Self::text(text.as_ref())) });
        Self::List(List { values: texts.collect() })
    }
}

/// Bytes of a text, and entries of a list: what clients send must not fill the memory of those who watch.
const LONGEST_TEXT: usize = 4096;
const LONGEST_LIST: usize = 16;

/// `ArrayValue`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct List {
    #[prost(message, repeated, tag = "1")]
    values: Vec<AnyValue>,
}

/// `ExportTraceServiceRequest`.
#[derive(Clone, PartialEq, Message)]
struct ExportRequest {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    /// Each a `Span`.
    #[prost(bytes = "bytes", repeated, tag = "2")]
    spans: Vec<Bytes>,
}

/// `InstrumentationScope`.
#[derive(Clone, PartialEq, Message)]
struct Scope {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
}

/// `ExportTraceServiceResponse`.
#[derive(Clone, PartialEq, Message)]
struct ExportResponse {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected_spans: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_how_many_spans_were_refused() {
        let partial = ExportResponse { partial_success: Some(PartialSuccess { rejected_spans: 3 }) }.encode_to_vec();
        assert_eq!(refused(ExportProtocol::Http, &partial), Some(3));
        assert_eq!(refused(ExportProtocol::Http, b""), Some(0));
        let framed = [&[0, 0, 0, 0, partial.len() as u8][..], &partial].concat();
        assert_eq!(refused(ExportProtocol::Grpc, &framed), Some(3));
        assert_eq!(refused(ExportProtocol::Grpc, &[0; 5]), Some(0));
        for garbage in [&b""[..], b"\0\0\0\0", b"\0\0\0\0\x01", b"\x01\0\0\0\0"] {
            assert_eq!(refused(ExportProtocol::Grpc, garbage), None, "{garbage:?}");
        }
        assert_eq!(refused(ExportProtocol::Http, b"\xff"), None);
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        let Value::Text(text) = Value::text(&"é".repeat(LONGEST_TEXT)) else { panic!("it is a text") };
        assert_eq!(text, "é".repeat(LONGEST_TEXT / 2));
        let Value::Text(text) = Value::text(&format!("a{}", "é".repeat(LONGEST_TEXT))) else { panic!("it is a text") };
        assert_eq!(text.len(), LONGEST_TEXT - 1);
    }
}
