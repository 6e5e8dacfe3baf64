//! Calls told apart from other requests, and the status codes with which they are refused.
//!
//! In: a head. Out: whether it is that of a gRPC call, over whatever version of HTTP; and codes for refusals, which `Reason` names.

use std::fmt;

use http::header::CONTENT_TYPE;
use http::request::Parts;
use serde::{Serialize, Serializer};

const MEDIA_TYPE: &[u8] = b"application/grpc";

/// Whether a request is a gRPC call: its content type is `application/grpc`, alone or followed by `+` or `;`. gRPC-Web is another
/// protocol.
pub fn is_grpc(head: &Parts) -> bool {
    let Some(stated) = head.headers.get(CONTENT_TYPE) else { return false };
    let Some((media_type, rest)) = stated.as_bytes().split_at_checked(MEDIA_TYPE.len()) else { return false };
    media_type.eq_ignore_ascii_case(MEDIA_TYPE) && matches!(rest.first(), None | Some(b'+' | b';'))
}

/// The codes of gRPC with which calls are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrpcStatus {
    /// A time-out passed.
    DeadlineExceeded,
    /// Something of the call is too long to be looked at.
    ResourceExhausted,
    /// Nobody serves the call here.
    Unimplemented,
    /// The call is malformed.
    Internal,
    /// Nobody can serve the call now.
    Unavailable,
}

impl GrpcStatus {
    /// The number for `grpc-status`.
    pub fn code(self) -> u8 {
        match self {
            Self::DeadlineExceeded => 4,
            Self::ResourceExhausted => 8,
            Self::Unimplemented => 12,
            Self::Internal => 13,
            Self::Unavailable => 14,
        }
    }
}

impl Serialize for GrpcStatus {
    /// The number.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.code())
    }
}

impl fmt::Display for GrpcStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::Internal => "INTERNAL",
            Self::Unavailable => "UNAVAILABLE",
        };
        write!(f, "{} {name}", self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_known_by_its_content_type() {
        let rows = [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;charset=utf-8", true),
            ("Application/gRPC", true),
            ("application/grpc-web", false),
            ("application/grpc-web+proto", false),
            ("application/grpcx", false),
            ("application/json", false),
            ("", false),
        ];
        for (content_type, expected) in rows {
            let request = http::Request::builder().header("content-type", content_type);
            assert_eq!(is_grpc(&request.body(()).unwrap().into_parts().0), expected, "{content_type:?}");
        }
        assert!(!is_grpc(&http::Request::new(()).into_parts().0));
    }
}
