//! What a rule does besides answering, in words that leave nothing out.
//!
//! In: the tasks and terms of a decision. Out: a line for each. Two lines are equal exactly when what they say is done alike, so all
//! that a step holds is told; a rewrite is told by what it makes of this request.

use std::fmt;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use crate::admit::Guard;
use crate::decide::{Forward, Task};
use crate::explain::{edited, limits, repeated, stays};
use crate::snapshot::filters::{
    Auth, AuthProtocol, Cors, Extension, Listed, ListenerFilter, Mirror, Named, OriginPattern, Origins,
};
use crate::snapshot::{Backend, Snapshot};

/// The host and path of a request on its way.
pub(super) struct Way<'a> {
    host: String,
    path: String,
    matched_prefix: usize,
    from: (&'a str, &'a str),
}

impl<'a> Way<'a> {
    pub(super) fn new(host: &'a str, path: &'a str, matched_prefix: usize) -> Self {
        Self { host: host.to_owned(), path: path.to_owned(), matched_prefix, from: (host, path) }
    }

    /// What a task does; `None` for a rewrite that makes no difference to this request.
    pub(super) fn step(&mut self, task: Task<'_>) -> Option<String> {
        match task {
            Task::EditRequest(edits) => Some(format!("request headers: {}", edited(edits))),
            Task::EditResponse(edits) => Some(format!("response headers: {}", edited(edits))),
            Task::Rewrite(rewrite) => {
                let before = (self.host.clone(), self.path.clone());
                if let Some(host) = &rewrite.hostname {
                    self.host = text(host.as_bytes());
                }
                if let Some(path) = &rewrite.path {
                    (self.path, self.matched_prefix) = path.apply(&self.path, self.matched_prefix);
                }
                ((&before.0, &before.1) != (&self.host, &self.path)).then(|| "rewritten".to_owned())
            }
            Task::Mirror(mirror, backend) => Some(mirrored(mirror, backend)),
            Task::Cors(cors, _) => Some(shared(cors)),
            Task::Auth(auth, backend) => Some(authorized(auth, backend)),
            Task::Extension(extension) => Some(extended(extension)),
        }
    }

    /// As which host and path the request arrives, where that is another.
    pub(super) fn lead(self) -> Option<String> {
        let (host, path) = self.from;
        let host = if host == self.host { "" } else { &self.host };
        (!host.is_empty() || path != self.path).then(|| format!("{host}{}", self.path))
    }
}

/// What the filters of a listener do; `None` where it has none.
pub(super) fn filters(snapshot: &Snapshot, filters: &Result<Arc<[ListenerFilter]>, Arc<str>>) -> Option<String> {
    let filters = match filters {
        Err(why) => return Some(format!("all requests are refused: {why}")),
        Ok(filters) if filters.is_empty() => return None,
        Ok(filters) => filters,
    };
    let lines = filters.iter().map(|filter| match filter {
        ListenerFilter::Auth(auth) => match snapshot.backend(auth.backend) {
            Some(backend) => authorized(auth, backend),
            None => "nobody is asked".to_owned(),
        },
        ListenerFilter::Extension(extension) => extended(extension),
    });
    Some(lines.collect::<Vec<_>>().join("; "))
}

/// What a filter of a listener does.
pub(super) fn guard(guard: &Guard) -> String {
    match guard {
        Guard::Auth(auth, backend) => format!("at the listener: {}", authorized(auth, backend)),
        Guard::Extension(extension) => format!("at the listener: {}", extended(extension)),
    }
}

/// On which terms a request is forwarded.
pub(super) fn terms(forward: &Forward) -> Vec<String> {
    let stays = forward.persistence.as_deref().map(stays);
    limits(forward.rule.timeouts).chain(repeated(&forward.rule)).chain(stays).collect()
}

fn mirrored(mirror: &Mirror, backend: &Backend) -> String {
    let Mirror { backend: _, share } = mirror;
    let share = share.as_ref().map(|share| share.fraction());
    let share = share.map_or_else(String::new, |(some, of)| format!(", {some} of {of} requests"));
    format!("copied to {}{share}", backend.name)
}

fn shared(cors: &Cors) -> String {
    let Cors { origins, credentials, methods, headers, exposed, max_age } = cors;
    let origins = match origins {
        Origins::Any => "all".to_owned(),
        Origins::Of(patterns) => list(patterns.iter().map(OriginPattern::to_string)),
    };
    let credentials = if *credentials { "with" } else { "without" };
    let (methods, headers, exposed) = (Said(methods), Said(headers), Said(exposed));
    format!(
        "answers may be read from origins {origins}, {credentials} credentials; methods {methods}; headers {headers}; exposed {exposed}; kept {max_age} s"
    )
}

fn authorized(auth: &Auth, backend: &Backend) -> String {
    let Auth { backend: _, protocol, body } = auth;
    let body = body.map_or_else(|| "without body".to_owned(), |limit| format!("with up to {limit} bytes of body"));
    let how = match protocol {
        AuthProtocol::Http { prefix, headers, response_headers } => {
            let headers = list(headers.iter().map(HeaderName::to_string));
            format!("HTTP at {prefix}/, headers {headers}, taking {} from the answer", some(response_headers))
        }
        AuthProtocol::Grpc { headers } => format!("gRPC, headers {}", some(headers)),
    };
    format!("{} is asked over {how}, {body}", backend.name)
}

fn extended(extension: &Extension) -> String {
    format!("filter {} with content {}", extension.id, extension.content)
}

fn some(named: &Named) -> String {
    match named {
        Named::All => "all".to_owned(),
        Named::Only(names) => list(names.iter().map(HeaderName::to_string)),
    }
}

fn list(of: impl Iterator<Item = String>) -> String {
    let all: Vec<_> = of.collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

struct Said<'a>(&'a Listed);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Listed::Any => f.write_str("all"),
            Listed::These(None) => f.write_str("none"),
            Listed::These(Some(names)) => f.write_str(&text(HeaderValue::as_bytes(names))),
        }
    }
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).escape_debug().collect()
}
