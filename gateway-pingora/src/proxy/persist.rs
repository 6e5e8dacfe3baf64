//! Session persistence: the endpoint that a client's session holds, and the token by which it is found again (GEP-1619).
//!
//! In: the head of a request as it came, and who answered it. Out: the endpoint to ask, while it is one of the backend's, and on the
//! response of any other endpoint a token for that one. Which backend is asked was decided before, and where a session is carried and
//! when it is over is core's to say.
//!
//! Invariants: a token is good for the Gateway, the backend and the name it was made for, and one that is not good is as none.

use std::time::SystemTime;

use http::header::SET_COOKIE;
use pingora_http::{RequestHeader, ResponseHeader};

use gateway_core::decide::Forward;
use gateway_core::snapshot::{Fingerprint, Persistence};

use super::{Proxy, forwarded};
use crate::passage::Passage;
use crate::session::{Held, Session};

impl Proxy {
    /// The session of a request; `None` where none is kept. Of several tokens the first good one counts.
    pub(super) fn find_session(&self, head: &RequestHeader, forward: &Forward) -> Option<Held> {
        let persistence = forward.persistence.as_ref()?;
        let owner = owner(forward, persistence);
        let tokens = persistence.tokens(&head.headers).take(MOST_TOKENS);
        let mut sessions = tokens.filter_map(|token| self.parts.sessions.open(token, owner));
        let is_good =
            |session: &Session| !persistence.is_over(session.age()) && forward.backend.endpoints.contains(&session.endpoint);
        let endpoint = sessions.find(is_good).map(|session| session.endpoint);
        Some(Held { endpoint, is_secure: forwarded::is_https(head) })
    }

    /// Begins a session where the response is not of the endpoint that the client's own holds.
    pub(super) fn keep_session(&self, head: &mut ResponseHeader, passage: &Passage) {
        let (Some(held), Some(forward), Some(attempt)) = (passage.session, &passage.forward, &passage.attempt) else { return };
        let Some(persistence) = &forward.persistence else { return };
        let endpoint = attempt.address();
        if held.endpoint == Some(endpoint) {
            return;
        }
        let session = Session { endpoint, began: SystemTime::now() };
        let token = self.parts.sessions.seal(session, owner(forward, persistence));
        let kept =
            token.and_then(|token| persistence.keep(&token, held.is_secure).ok()).is_some_and(|(name, value)| match name {
                // Those of the backend stay.
                SET_COOKIE => head.append_header(SET_COOKIE, value).is_ok(),
                name => head.insert_header(name, value).is_ok(),
            });
        if !kept {
            tracing::warn!(rule = %forward.rule.id, "a session could not be told to its client");
        }
    }
}

/// Whose a session is: under one name it may be another Gateway's, or of another backend.
fn owner(forward: &Forward, persistence: &Persistence) -> Fingerprint {
    let (is_cookie, carrier) = persistence.name();
    let kind = if is_cookie { "cookie" } else { "header" };
    Fingerprint::of([forward.listener.gateway.as_str(), &forward.backend.name.to_string(), kind, carrier])
}

/// Tokens that are looked at: a client holds one for each path of a cookie.
const MOST_TOKENS: usize = 8;
