//! What a rule does besides answering, in words that leave nothing out.
//!
//! In: the tasks and terms of a decision. Out: what is said of each. Two are equal exactly when what they say is done alike, so all
//! that a step holds is told; a rewrite is told by what it makes of this request.

use std::fmt;

use http::{HeaderName, HeaderValue};

use crate::admit::Guard;
use crate::decide::{Forward, Task};
use crate::explain::{edited, limits, repeated, stays};
use crate::snapshot::filters::{
    Auth, AuthProtocol, Cors, Extension, Listed, ListenerFilter, Mirror, Named, OriginPattern, Origins,
};
use crate::snapshot::{Backend, Snapshot};

use super::told::Said;

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
    pub(super) fn step(&mut self, task: Task<'_>) -> Option<Said> {
        let line = match task {
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
            Task::Extension(extension) => return Some(extended(extension)),
        };
        line.map(Said::of)
    }

    /// As which host and path the request arrives, where that is another.
    pub(super) fn lead(self) -> Option<String> {
        let (host, path) = self.from;
        let host = if host == self.host { "" } else { &self.host };
        (!host.is_empty() || path != self.path).then(|| format!("{host}{}", self.path))
    }
}

/// What the filters of a listener do; `None` where it has none.
pub(super) fn filters(snapshot: &Snapshot, filters: &[ListenerFilter]) -> Option<Said> {
    let lines = filters.iter().map(|filter| match filter {
        ListenerFilter::Auth(auth) => match snapshot.backend(auth.backend) {
            Some(backend) => Said::of(authorized(auth, backend)),
            None => Said::of("nobody is asked"),
        },
        ListenerFilter::Extension(extension) => extended(extension),
    });
    (!filters.is_empty()).then(|| Said::list(lines))
}

/// What a filter of a listener does.
pub(super) fn guard(guard: &Guard) -> Said {
    let said = match guard {
        Guard::Auth(auth, backend) => Said::of(authorized(auth, backend)),
        Guard::Extension(extension) => extended(extension),
    };
    said.after("at the listener: ")
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
        Origins::Any => "*".to_owned(),
        Origins::Of(patterns) => patterns.iter().map(OriginPattern::to_string).collect::<Vec<_>>().join(", "),
    };
    let (methods, headers, exposed) = (Written(methods), Written(headers), Written(exposed));
    format!(
        "CORS: {{allowOrigins: [{origins}], allowCredentials: {credentials}, allowMethods: [{methods}], \
         allowHeaders: [{headers}], exposeHeaders: [{exposed}], maxAge: {max_age}}}"
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

fn extended(extension: &Extension) -> Said {
    Said::with(format!("filter {}", extension.id), extension.content)
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

struct Written<'a>(&'a Listed);

impl fmt::Display for Written<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Listed::Any => f.write_str("*"),
            Listed::These(None) => Ok(()),
            Listed::These(Some(names)) => f.write_str(&text(HeaderValue::as_bytes(names))),
        }
    }
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).escape_debug().collect()
}
