//! Authorization over HTTP: a request like the client's, and what its answer means.
//!
//! In: a question. Out: the head that asks it; of an answer, a verdict. Status 200 permits, and headers of the answer go on with the
//! request; every other answer is the client's.
//!
//! Where all headers of an answer go on, those that describe the answer's own content do not: they would misdescribe the request's.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Response, header};
use pingora_error::Result;
use pingora_http::RequestHeader;

use gateway_core::snapshot::filters::{Auth, AuthProtocol, Named};

use super::{Change, Changes, How, MOST_ANSWER, OF_A_MESSAGE, Question, Verdict, may_change, read, unreadable};
use crate::aside::{self, Aside};

/// The head of the request that asks.
pub(super) fn head(question: &Question<'_>) -> Result<RequestHeader> {
    let Question { auth, head, body, .. } = question;
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let (method, target) = auth.target(&head.method, target).ok_or_else(|| unreadable("it is not asked over HTTP"))?;
    let mut asked = RequestHeader::build(method, target.as_bytes(), Some(8))?;
    for (name, value) in &head.headers {
        if auth.sends(name) && *name != header::HOST && may_change(name) {
            asked.append_header(name, value)?;
        }
    }
    asked.insert_header(header::HOST, aside::host(head)?)?;
    asked.insert_header(header::CONTENT_LENGTH, body.map_or(0, Bytes::len))?;
    Ok(asked)
}

/// What the answer means.
pub(super) async fn verdict(auth: &Auth, aside: &mut Aside) -> Result<Verdict> {
    let answer = aside.head().await?;
    let (status, headers) = (answer.status, answer.headers.clone());
    if Auth::is_permit(status) {
        return Ok(Verdict::Permit(Changes { request: taken(auth, &headers), ..Changes::default() }));
    }
    let body = read(aside, MOST_ANSWER).await?;
    let mut denial = Response::new(body);
    *denial.status_mut() = status;
    *denial.headers_mut() = headers;
    for name in &OF_A_MESSAGE {
        denial.headers_mut().remove(name);
    }
    Ok(Verdict::Deny(denial))
}

/// What the request takes on of an answer that permits.
fn taken(auth: &Auth, headers: &HeaderMap) -> Vec<Change> {
    let takes_all = matches!(&auth.protocol, AuthProtocol::Http { response_headers: Named::All, .. });
    let mut changes = Vec::new();
    for name in headers.keys().filter(|name| auth.takes(name) && may_change(name) && !(takes_all && OF_CONTENT.contains(name))) {
        for (index, value) in headers.get_all(name).iter().enumerate() {
            let how = if index == 0 { How::Set } else { How::Append };
            changes.push(Change { name: name.clone(), value: value.clone(), how });
        }
    }
    changes
}

/// What describes the content of the message it stands in.
const OF_CONTENT: [HeaderName; 5] =
    [header::CONTENT_TYPE, header::CONTENT_ENCODING, header::CONTENT_LANGUAGE, header::CONTENT_LOCATION, header::CONTENT_RANGE];
