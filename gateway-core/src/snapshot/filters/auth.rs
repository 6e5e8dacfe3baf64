//! External authorization: a backend is asked whether a request may pass (`HTTPExternalAuthFilter`, GEP-1494).
//!
//! In: what the filter states, its reference resolved. Out: what the check says of the request, what its answer means, and what of
//! that answer goes on with the request. Who asks, and waits, is the data plane; whatever keeps it from an answer denies.

use http::{HeaderName, Method, StatusCode, header};

use crate::snapshot::backend::BackendId;

/// An `ExternalAuth` whose reference is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// Who is asked.
    pub backend: BackendId,
    /// How.
    pub protocol: AuthProtocol,
    /// Bytes of body that go along at most; a longer one is refused. `None`: no body goes along (`forwardBody.maxSize`).
    pub body: Option<u32>,
}

/// How a backend is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthProtocol {
    /// By a request like the client's. Status 200 permits, everything else denies and is the answer to the client.
    Http {
        /// What stands before the client's path.
        prefix: Box<str>,
        /// The headers that go along beside those that always do.
        headers: Box<[HeaderName]>,
        /// The headers of the answer that the request takes on.
        response_headers: Named,
    },
    /// By a call of `envoy.service.auth.v3.Authorization/Check`.
    Grpc {
        /// The headers that go along.
        headers: Named,
    },
}

/// Which names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// All.
    All,
    /// These.
    Only(Box<[HeaderName]>),
}

/// What is to be done with the body of a request that is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// It does not go along.
    Left,
    /// It goes along whole.
    Sent,
    /// It is longer than what may go along: the request is refused with this status.
    Refused(StatusCode),
}

impl Auth {
    /// Whether a header of the client's request goes along.
    pub fn sends(&self, name: &HeaderName) -> bool {
        match &self.protocol {
            AuthProtocol::Http { headers, .. } => ALWAYS.contains(name) || headers.contains(name),
            AuthProtocol::Grpc { headers } => headers.has(name),
        }
    }

    /// Whether a header of an answer that permits is copied into the client's request.
    pub fn takes(&self, name: &HeaderName) -> bool {
        match &self.protocol {
            AuthProtocol::Http { response_headers, .. } => *name != header::HOST && response_headers.has(name),
            AuthProtocol::Grpc { .. } => *name != header::HOST,
        }
    }

    /// The method and target of a check over HTTP, for a request with these; `None` for other protocols.
    pub fn target(&self, method: &Method, path_and_query: &str) -> Option<(Method, String)> {
        match &self.protocol {
            AuthProtocol::Http { prefix, .. } => Some((method.clone(), format!("{prefix}{path_and_query}"))),
            AuthProtocol::Grpc { .. } => None,
        }
    }

    /// Whether an answer over HTTP with this status permits.
    pub fn is_permit(status: StatusCode) -> bool {
        status == StatusCode::OK
    }

    /// What becomes of a body of this length.
    pub fn body(&self, length: u64) -> Body {
        match self.body {
            None => Body::Left,
            Some(longest) if length <= u64::from(longest) => Body::Sent,
            Some(_) => Body::Refused(StatusCode::PAYLOAD_TOO_LARGE),
        }
    }
}

/// What always goes along over HTTP beside method and path.
const ALWAYS: [HeaderName; 3] = [header::HOST, header::CONTENT_LENGTH, header::AUTHORIZATION];

impl Named {
    /// Whether a name is among them.
    pub fn has(&self, name: &HeaderName) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: HeaderName = HeaderName::from_static("x-user");

    fn http(headers: &[HeaderName], response_headers: Named, body: Option<u32>) -> Auth {
        let protocol = AuthProtocol::Http { prefix: "/auth".into(), headers: headers.into(), response_headers };
        Auth { backend: BackendId(0), protocol, body }
    }

    #[test]
    fn what_always_goes_along_over_http_goes_and_nothing_more_unless_named() {
        let bare = http(&[], Named::All, None);
        assert!([header::HOST, header::AUTHORIZATION, header::CONTENT_LENGTH].iter().all(|name| bare.sends(name)));
        assert!(!bare.sends(&header::COOKIE) && !bare.sends(&X));
        assert!(http(&[X], Named::All, None).sends(&X));
        let path = bare.target(&Method::PUT, "/a?b=c");
        assert_eq!(path, Some((Method::PUT, "/auth/a?b=c".to_owned())));
    }

    #[test]
    fn headers_of_the_answer_are_copied_but_never_the_host() {
        let (all, one) = (http(&[], Named::All, None), http(&[], Named::Only(Box::new([X, header::HOST])), None));
        assert!(all.takes(&X) && all.takes(&header::COOKIE) && !all.takes(&header::HOST));
        assert!(one.takes(&X) && !one.takes(&header::COOKIE) && !one.takes(&header::HOST));
    }

    #[test]
    fn only_200_permits() {
        let permits = |status: u16| Auth::is_permit(StatusCode::from_u16(status).unwrap());
        assert!(permits(200) && ![201, 204, 302, 401, 403, 500].into_iter().any(permits));
    }

    #[test]
    fn a_body_longer_than_may_go_along_is_413() {
        let auth = http(&[], Named::All, Some(10));
        assert_eq!(auth.body(0), Body::Sent);
        assert_eq!(auth.body(10), Body::Sent);
        assert_eq!(auth.body(11), Body::Refused(StatusCode::PAYLOAD_TOO_LARGE));
        assert_eq!(http(&[], Named::All, None).body(11), Body::Left);
    }
}
