//! What is done with a request besides answering it, in words for a person.
//!
//! In: the tasks and terms of a decision. Out: a line for each.

use std::time::Duration;

use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, ORIGIN};
use http::request::Parts;

use crate::admit::{Admitted, Guard, Reason};
use crate::decide::{Decision, Task};
use crate::snapshot::filters::{Auth, AuthProtocol, HeaderEdit, HeaderEdits, Mirror, PathRewrite, Rewrite, Step};
use crate::snapshot::{Backend, Carrier, Cookie, Persistence, Retry, Rule, Timeout, Timeouts};

/// What is done first, a line for each step from the one with this index on.
pub(super) fn first(decision: &Decision, admitted: &Admitted, from: usize) -> Vec<String> {
    let told = |(step, task): (&Step, Option<Task<'_>>)| match (step, task) {
        (_, Some(task)) => Some(line(task)),
        (Step::Mirror(mirror), None) => Some(withheld(mirror, admitted)),
        (_, None) => None,
    };
    match decision {
        Decision::Forward(forward) => forward.steps().skip(from).filter_map(told).collect(),
        Decision::Answer(answer) => answer.steps().skip(from).filter_map(told).collect(),
        Decision::Refuse(_) => Vec::new(),
    }
}

/// Why a request is not copied, though a filter says so.
fn withheld(mirror: &Mirror, admitted: &Admitted) -> String {
    let backend = match &mirror.backend {
        Ok(id) => admitted.snapshot.backend(*id),
        Err(why) => return format!("not copied: {why}"),
    };
    let Some(backend) = backend else { return "not copied: nothing is known of the backend".to_owned() };
    let to = &backend.name;
    match (Reason::against(backend, &admitted.listener().gateway), &mirror.share) {
        (Some(reason), _) => format!("not copied to {to}: {reason}"),
        (None, Some(share)) => {
            let (some, of) = share.fraction();
            format!("not copied to {to}: {some} of {of} requests are, and this one is not among them")
        }
        (None, None) => format!("not copied to {to}"),
    }
}

/// What a filter of the listener does.
pub(super) fn guard(guard: &Guard) -> String {
    match guard {
        Guard::Auth(auth, backend) => format!("at the listener: {}", asked(auth, backend)),
        Guard::Extension(extension) => format!("at the listener: filter {}", extension.id),
    }
}

/// On which terms it is forwarded or answered, a line for each.
pub(super) fn terms(decision: &Decision, head: &Parts) -> Vec<String> {
    let forward = match decision {
        Decision::Forward(forward) => forward,
        Decision::Answer(answer) if answer.is_preflight() => {
            let origin = head.headers.get(ORIGIN).map(|origin| text(origin.as_bytes())).unwrap_or_default();
            let is_allowed = answer.headers.iter().any(|(name, _)| *name == ACCESS_CONTROL_ALLOW_ORIGIN);
            let not = if is_allowed { "" } else { "not " };
            return vec![format!("it is a preflight, and the origin {origin} is {not}allowed")];
        }
        Decision::Answer(_) | Decision::Refuse(_) => return Vec::new(),
    };
    let stays = forward.persistence.as_deref().map(stays);
    limits(forward.rule.timeouts).chain(repeated(&forward.rule)).chain(stays).collect()
}

/// How long the requests of a rule may take.
pub(crate) fn limits(Timeouts { request, backend_request }: Timeouts) -> impl Iterator<Item = String> {
    [limit("the whole request", request), limit("each attempt", backend_request)].into_iter().flatten()
}

/// When the requests of a rule are sent again, where it says anything about that.
pub(crate) fn repeated(rule: &Rule) -> Option<String> {
    let none = || (!rule.repick).then(|| "never sent again".to_owned());
    rule.retry.as_ref().map(retried).or_else(none)
}

fn line(task: Task<'_>) -> String {
    match task {
        Task::EditRequest(edits) => format!("request headers: {}", edited(edits)),
        Task::EditResponse(edits) => format!("response headers: {}", edited(edits)),
        Task::Rewrite(rewrite) => format!("rewrite {}", rewritten(rewrite)),
        Task::Mirror(mirror, backend) => {
            let share = mirror.share.as_ref().map(|share| share.fraction());
            let share = share.map_or_else(String::new, |(some, of)| format!(", as {some} of {of} requests are"));
            format!("copied to {}{share}", backend.name)
        }
        Task::Cors(cors, origin) => match origin {
            Some(origin) if cors.allows(origin) => format!("the origin {} may read the response", text(origin.as_bytes())),
            Some(origin) => format!("the origin {} may not read the response", text(origin.as_bytes())),
            None => "no origin is named, so none is told that it may read the response".to_owned(),
        },
        Task::Auth(auth, backend) => asked(auth, backend),
        Task::Extension(extension) => format!("filter {}", extension.id),
    }
}

fn asked(auth: &Auth, backend: &Backend) -> String {
    let how = match auth.protocol {
        AuthProtocol::Http { .. } => "HTTP",
        AuthProtocol::Grpc { .. } => "gRPC",
    };
    format!("{} is asked over {how} whether the request may pass", backend.name)
}

/// How headers are edited.
pub(crate) fn edited(edits: &HeaderEdits) -> String {
    let pair = |edit: &HeaderEdit| format!("{}: {}", edit.name, text(edit.value.as_bytes()));
    let set = edits.set.iter().map(|edit| format!("set {}", pair(edit)));
    let add = edits.add.iter().map(|edit| format!("add {}", pair(edit)));
    let remove = edits.remove.iter().map(|name| format!("remove {name}"));
    set.chain(add).chain(remove).collect::<Vec<_>>().join(", ")
}

fn rewritten(rewrite: &Rewrite) -> String {
    let host = rewrite.hostname.as_ref().map(|host| format!("host to {}", text(host.as_bytes())));
    let path = rewrite.path.as_ref().map(|path| match path {
        PathRewrite::Full(full) => format!("path to {full}"),
        PathRewrite::Prefix(prefix) => format!("matched prefix to {}", if prefix.is_empty() { "/" } else { prefix }),
    });
    host.into_iter().chain(path).collect::<Vec<_>>().join(", ")
}

fn limit(of: &str, timeout: Timeout) -> Option<String> {
    match timeout {
        Timeout::Unstated => None,
        Timeout::Never => Some(format!("{of} may take any time")),
        Timeout::After(limit) => Some(format!("{of} may take {}", span(limit))),
    }
}

fn retried(retry: &Retry) -> String {
    let codes: Vec<_> = retry.codes.iter().map(|code| code.as_str()).collect();
    let codes = if codes.is_empty() { String::new() } else { format!(", and after status {}", codes.join(", ")) };
    let (attempts, pause) = (retry.attempts, span(retry.backoff));
    let times = if attempts == 1 { "once".to_owned() } else { format!("up to {attempts} times") };
    format!("sent again {times} when the backend cannot have processed it{codes}; pauses begin at {pause}")
}

/// How the client stays with an endpoint.
pub(crate) fn stays(persistence: &Persistence) -> String {
    let by = match &persistence.carrier {
        Carrier::Cookie(Cookie { name, path, is_permanent }) => {
            let path = if **path == *"/" { String::new() } else { format!(" of {path}") };
            let kept = if *is_permanent { " that outlives its session" } else { "" };
            format!("cookie {name}{path}{kept}")
        }
        Carrier::Header(name) => format!("header {name}"),
    };
    let lifetime = persistence.lifetime.map_or_else(String::new, |lifetime| format!(" for at most {}", span(lifetime)));
    format!("the client stays with an endpoint by {by}{lifetime}")
}

/// A duration as manifests write it.
pub(crate) fn span(duration: Duration) -> String {
    crate::resource::Duration::from(duration).to_string()
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).escape_debug().collect()
}
