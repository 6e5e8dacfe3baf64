//! Authorization over gRPC: calls of `envoy.service.auth.v3.Authorization/Check`, as Envoy's `ext_authz` makes them.
//!
//! In: a question. Out: the head and message of the call; of its answer, a verdict. Status `OK` permits, with changes to the headers of
//! request and response; every other status denies, with the response that the answer holds, or 403.
//!
//! Of the messages only the fields that are written or read stand here, under their numbers in the published definitions. What is not
//! read: metadata for filters of Envoy's, and changes to query parameters.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::SystemTime;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Method, Response, StatusCode, Version, header};
use pingora_error::Result;
use pingora_http::RequestHeader;
use prost::Message;

use gateway_core::snapshot::filters::Auth;

use super::{Change, Changes, How, MOST_ANSWER, Question, Verdict, may_change, read, unreadable};
use crate::aside::{self, Aside};

/// The head of the call.
pub(super) fn head(question: &Question<'_>) -> Result<RequestHeader> {
    let service = &question.backend.name.object.name;
    let mut head = RequestHeader::build(Method::POST, b"/envoy.service.auth.v3.Authorization/Check", Some(4))?;
    head.insert_header(header::HOST, format!("{}.{}", service.name(), service.namespace()))?;
    head.insert_header(header::CONTENT_TYPE, "application/grpc")?;
    head.insert_header(header::TE, "trailers")?;
    Ok(head)
}

/// Its message, with the five bytes that stand before it.
pub(super) fn request(question: &Question<'_>) -> Bytes {
    let message = CheckRequest { attributes: Some(attributes(question)) };
    let length = message.encoded_len();
    let mut framed = BytesMut::with_capacity(length + PREFIX);
    framed.put_u8(0);
    // A head is at most some hundred kilobytes, a body that goes along 64.
    framed.put_u32(u32::try_from(length).expect("a head and a body that are held in memory"));
    message.encode(&mut framed).expect("a buffer that grows has room");
    framed.freeze()
}

/// What the answer means.
pub(super) async fn verdict(auth: &Auth, aside: &mut Aside) -> Result<Verdict> {
    let answer = aside.head().await?;
    if answer.status != StatusCode::OK || answer.headers.contains_key(GRPC_STATUS) {
        return Err(unreadable("the call failed"));
    }
    let framed = read(aside, MOST_ANSWER).await?;
    let trailers = aside.trailers().await?;
    if trailers.as_ref().and_then(|trailers| trailers.get(GRPC_STATUS)).is_none_or(|status| status != "0") {
        return Err(unreadable("the call did not end well"));
    }
    understood(|name| auth.takes(name), &framed).ok_or_else(|| unreadable("the message cannot be read"))
}

/// The verdict of a framed message; `None` where it is not one message, uncompressed and whole.
fn understood(takes: impl Fn(&HeaderName) -> bool, framed: &[u8]) -> Option<Verdict> {
    let (prefix, message) = framed.split_at_checked(PREFIX)?;
    let (compressed, length) = prefix.split_first()?;
    let length = u32::from_be_bytes(length.try_into().ok()?);
    if *compressed != 0 || usize::try_from(length).ok()? != message.len() {
        return None;
    }
    let answer = CheckResponse::decode(message).ok()?;
    if answer.status.map_or(0, |status| status.code) != 0 {
        return Some(Verdict::Deny(denial(answer.denied.unwrap_or_default())));
    }
    let Some(ok) = answer.ok else { return Some(Verdict::Permit(Changes::default())) };
    let request = ok.headers.into_iter().filter_map(FieldOption::change).filter(|change| takes(&change.name)).collect();
    let named = ok.remove.iter().filter_map(|name| HeaderName::try_from(name).ok());
    let remove = named.filter(|name| takes(name) && may_change(name)).collect();
    let response = ok.response_headers.into_iter().filter_map(FieldOption::change).collect();
    Some(Verdict::Permit(Changes { request, remove, response }))
}

fn denial(denied: Denied) -> Response<Bytes> {
    let said = denied.status.and_then(|status| u16::try_from(status.code).ok()).filter(|code| (200..600).contains(code));
    let mut response = Response::new(Bytes::from(denied.body));
    *response.status_mut() = said.and_then(|code| StatusCode::from_u16(code).ok()).unwrap_or(StatusCode::FORBIDDEN);
    for change in denied.headers.into_iter().filter_map(FieldOption::change) {
        // There is nothing yet that a field could be absent from.
        match change.how {
            How::Append => drop(response.headers_mut().append(change.name, change.value)),
            How::Set | How::SetIfAbsent | How::SetIfPresent => drop(response.headers_mut().insert(change.name, change.value)),
        }
    }
    response
}

fn attributes(question: &Question<'_>) -> Attributes {
    let Question { auth, head, connection, body, .. } = question;
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in head.headers.iter().filter(|(name, _)| auth.sends(name)) {
        let value = String::from_utf8_lossy(value.as_bytes());
        match headers.get_mut(name.as_str()) {
            Some(all) => {
                all.push(',');
                all.push_str(&value);
            }
            None => drop(headers.insert(name.as_str().to_owned(), value.into_owned())),
        }
    }
    let (text, raw) = match body.map(|body| (std::str::from_utf8(body), body)) {
        Some((Ok(text), _)) => (text.to_owned(), Bytes::new()),
        Some((Err(_), raw)) => (String::new(), raw.clone()),
        None => (String::new(), Bytes::new()),
    };
    let length = head.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let tls = connection.arrival().tls.as_ref();
    let http = HttpRequest {
        method: head.method.as_str().to_owned(),
        headers,
        path: head.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned(),
        host: aside::host(head).ok().and_then(|host| host.to_str().ok().map(str::to_owned)).unwrap_or_default(),
        scheme: if tls.is_some() { "https" } else { "http" }.to_owned(),
        size: body.map_or(length.unwrap_or(-1), |body| i64::try_from(body.len()).unwrap_or(i64::MAX)),
        protocol: protocol(head.version).to_owned(),
        body: text,
        raw_body: raw,
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let time = Timestamp {
        seconds: i64::try_from(now.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(now.subsec_nanos()).unwrap_or(0),
    };
    Attributes {
        source: Some(peer(connection.peer())),
        destination: Some(peer(connection.local())),
        request: Some(Request { time: Some(time), http: Some(http) }),
        tls_session: tls.map(|tls| TlsSession { sni: tls.server_name.as_deref().unwrap_or_default().to_owned() }),
    }
}

fn peer(address: SocketAddr) -> Peer {
    let socket = SocketAddress { address: address.ip().to_string(), port: u32::from(address.port()) };
    Peer { address: Some(Address { socket: Some(socket) }) }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

impl FieldOption {
    /// The change it asks for; `None` where it is no field that could be written.
    fn change(self) -> Option<Change> {
        let field = self.field?;
        let name = HeaderName::try_from(field.key).ok().filter(may_change)?;
        let value = if field.raw.is_empty() { field.value.into_bytes().into() } else { field.raw };
        let value = HeaderValue::from_maybe_shared(value).ok()?;
        // Without `append`, the first action is what a message says that says nothing: for this service that means to set.
        let how = match (self.append.is_some_and(|append| append.value), self.action) {
            (true, _) => How::Append,
            (false, ADD_IF_ABSENT) => How::SetIfAbsent,
            (false, OVERWRITE_IF_EXISTS) => How::SetIfPresent,
            (false, _) => How::Set,
        };
        Some(Change { name, value, how })
    }
}

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// Bytes before a message: whether it is compressed, and its length.
const PREFIX: usize = 5;
const ADD_IF_ABSENT: i32 = 1;
const OVERWRITE_IF_EXISTS: i32 = 3;

#[derive(Clone, PartialEq, Message)]
struct CheckRequest {
    #[prost(message, optional, tag = "1")]
    attributes: Option<Attributes>,
}

/// `AttributeContext`.
#[derive(Clone, PartialEq, Message)]
struct Attributes {
    #[prost(message, optional, tag = "1")]
    source: Option<Peer>,
    #[prost(message, optional, tag = "2")]
    destination: Option<Peer>,
    #[prost(message, optional, tag = "4")]
    request: Option<Request>,
    #[prost(message, optional, tag = "12")]
    tls_session: Option<TlsSession>,
}

#[derive(Clone, PartialEq, Message)]
struct Peer {
    #[prost(message, optional, tag = "1")]
    address: Option<Address>,
}

#[derive(Clone, PartialEq, Message)]
struct Address {
    #[prost(message, optional, tag = "1")]
    socket: Option<SocketAddress>,
}

#[derive(Clone, PartialEq, Message)]
struct SocketAddress {
    #[prost(string, tag = "2")]
    address: String,
    #[prost(uint32, tag = "3")]
    port: u32,
}

#[derive(Clone, PartialEq, Message)]
struct TlsSession {
    #[prost(string, tag = "1")]
    sni: String,
}

#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(message, optional, tag = "1")]
    time: Option<Timestamp>,
    #[prost(message, optional, tag = "2")]
    http: Option<HttpRequest>,
}

#[derive(Clone, PartialEq, Message)]
struct Timestamp {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
struct HttpRequest {
    #[prost(string, tag = "2")]
    method: String,
    #[prost(btree_map = "string, string", tag = "3")]
    headers: BTreeMap<String, String>,
    #[prost(string, tag = "4")]
    path: String,
    #[prost(string, tag = "5")]
    host: String,
    #[prost(string, tag = "6")]
    scheme: String,
    #[prost(int64, tag = "9")]
    size: i64,
    #[prost(string, tag = "10")]
    protocol: String,
    #[prost(string, tag = "11")]
    body: String,
    #[prost(bytes = "bytes", tag = "12")]
    raw_body: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct CheckResponse {
    #[prost(message, optional, tag = "1")]
    status: Option<Status>,
    #[prost(message, optional, tag = "2")]
    denied: Option<Denied>,
    #[prost(message, optional, tag = "3")]
    ok: Option<Permitted>,
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
}

/// `DeniedHttpResponse`.
#[derive(Clone, PartialEq, Message)]
struct Denied {
    #[prost(message, optional, tag = "1")]
    status: Option<HttpStatus>,
    #[prost(message, repeated, tag = "2")]
    headers: Vec<FieldOption>,
    #[prost(string, tag = "3")]
    body: String,
}

#[derive(Clone, PartialEq, Message)]
struct HttpStatus {
    #[prost(int32, tag = "1")]
    code: i32,
}

/// `OkHttpResponse`.
#[derive(Clone, PartialEq, Message)]
struct Permitted {
    #[prost(message, repeated, tag = "2")]
    headers: Vec<FieldOption>,
    #[prost(string, repeated, tag = "5")]
    remove: Vec<String>,
    #[prost(message, repeated, tag = "6")]
    response_headers: Vec<FieldOption>,
}

/// `HeaderValueOption`.
#[derive(Clone, PartialEq, Message)]
struct FieldOption {
    #[prost(message, optional, tag = "1")]
    field: Option<Field>,
    #[prost(message, optional, tag = "2")]
    append: Option<Flag>,
    #[prost(int32, tag = "3")]
    action: i32,
}

/// `HeaderValue`.
#[derive(Clone, PartialEq, Message)]
struct Field {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
    #[prost(bytes = "bytes", tag = "3")]
    raw: Bytes,
}

/// `google.protobuf.BoolValue`.
#[derive(Clone, PartialEq, Message)]
struct Flag {
    #[prost(bool, tag = "1")]
    value: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(message: &CheckResponse) -> Vec<u8> {
        let mut bytes = vec![0];
        bytes.extend((message.encoded_len() as u32).to_be_bytes());
        bytes.extend(message.encode_to_vec());
        bytes
    }

    #[test]
    fn nothing_but_one_whole_message_with_status_ok_permits() {
        let ok = framed(&CheckResponse::default());
        assert!(matches!(understood(|_| true, &ok), Some(Verdict::Permit(_))));
        let denied =
            CheckResponse { status: Some(Status { code: 7 }), ok: Some(Permitted::default()), ..CheckResponse::default() };
        assert!(matches!(understood(|_| true, &framed(&denied)), Some(Verdict::Deny(answer)) if answer.status() == 403));
        let garbage: [&[u8]; 5] = [b"", b"\0\0\0\0", b"\0\0\0\0\x01", b"\x01\0\0\0\0", b"\0\0\0\0\x02\xff\xff"];
        for bytes in garbage {
            assert!(understood(|_| true, bytes).is_none(), "{bytes:?}");
        }
        let twice = [framed(&CheckResponse::default()), framed(&denied)].concat();
        assert!(understood(|_| true, &twice).is_none());
    }

    #[test]
    fn a_status_that_is_none_denies_with_403() {
        for code in [0, 99, 101, 600, -1, i32::MAX] {
            let denied = Denied { status: Some(HttpStatus { code }), ..Denied::default() };
            assert_eq!(denial(denied).status(), 403, "{code}");
        }
        assert_eq!(denial(Denied { status: Some(HttpStatus { code: 401 }), ..Denied::default() }).status(), 401);
    }

    #[test]
    fn a_field_is_set_unless_the_answer_says_otherwise() {
        let field = |append: Option<bool>, action| {
            let field = Field { key: "X-User".into(), value: "ann".into(), raw: Bytes::new() };
            let append = append.map(|value| Flag { value });
            FieldOption { field: Some(field), append, action }.change().unwrap()
        };
        assert_eq!((field(None, 0).name.as_str(), field(None, 0).value.as_bytes()), ("x-user", &b"ann"[..]));
        let cases = [(None, 0), (Some(false), 0), (Some(true), 0), (None, 1), (None, 2), (None, 3)];
        let hows = cases.map(|(append, action)| field(append, action).how);
        assert_eq!(hows, [How::Set, How::Set, How::Append, How::SetIfAbsent, How::Set, How::SetIfPresent]);
        let odd = Field { key: ":path".into(), value: "/".into(), raw: Bytes::new() };
        assert!(FieldOption { field: Some(odd), append: None, action: 0 }.change().is_none());
    }
}
