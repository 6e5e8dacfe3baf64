//! Request heads nobody has checked, against the world: admitted, decided and explained.
//!
//! Bytes: which socket, which server name, then lines: a method, a target, headers.
//!
//! Laws: nothing panics; `explain` says what `decide` does; a turn that was only looked at is still to be had.

use gateway_core::admit::{Arrival, Handshake, admit};
use gateway_core::decide::{Decision, Forward, Task, decide};
use gateway_core::explain::{Outcome, explain};
use gateway_core::snapshot::{Socket, Turn};
use http::request::Parts;

use crate::input::Input;
use crate::streams::ask;
use crate::world::SNAPSHOT;

/// Asks what becomes of the request that the bytes say; `None` where they say none, or one that meets no listener.
pub fn requests(bytes: &[u8]) -> Option<Outcome> {
    let snapshot = &*SNAPSHOT;
    let sockets: Vec<Socket> = snapshot.sockets().map(|(socket, _)| *socket).collect();
    let mut input = Input::new(bytes);
    let Some(socket) = input.pick(&sockets) else { panic!("the world listens nowhere") };
    let arrival = Arrival { socket, tls: handshake(&mut input) };
    ask(snapshot, arrival.socket, arrival.tls.as_ref().and_then(|tls| tls.server_name.clone()));
    let head = head(&input.text())?;
    let admitted = admit(snapshot, &arrival, &head).ok()?;
    assert!(admitted.path(&head).starts_with('/') || admitted.path(&head) == "*", "a path in normal form is absolute");
    let explanation = explain(&admitted, &head);
    match (&explanation.outcome, decide(&admitted, &head, Turn::peek)) {
        (Outcome::Forward { backend, .. }, Decision::Forward(forward)) => {
            assert_eq!(*backend, forward.backend.name.to_string());
            rewrite(&forward, admitted.path(&head));
        }
        (Outcome::Answer { status, .. }, Decision::Answer(answer)) => {
            assert_eq!(*status, answer.status.as_u16());
            answer.tasks().for_each(drop);
        }
        (Outcome::Refuse { status, because, .. }, Decision::Refuse(refusal)) => {
            assert_eq!((*status, because), (refusal.reason.status().as_u16(), &refusal.reason.to_string()));
        }
        (explained, decided) => panic!("explained as {explained:?}, decided as {decided:?}"),
    }
    assert!(!explanation.to_string().is_empty(), "an explanation says something");
    decide(&admitted, &head, Turn::take);
    Some(explanation.outcome)
}

/// Rewrites the path as the tasks say, in order.
fn rewrite(forward: &Forward, path: &str) {
    let (mut path, mut prefix) = (path.to_owned(), forward.matched_prefix);
    for task in forward.tasks() {
        assert!(prefix <= path.len(), "no more of a path is matched than there is");
        if let Task::Rewrite(rewrite) = task
            && let Some(replacement) = &rewrite.path
        {
            (path, prefix) = replacement.apply(&path, prefix);
            assert!(path.starts_with('/'), "a rewritten path is absolute");
        }
    }
}

fn handshake(input: &mut Input<'_>) -> Option<Handshake> {
    let names = [None, Some(""), Some("a.example.com"), Some("b.example.com"), Some("shop.example.com"), Some("other.org")];
    let choice = input.byte();
    let server_name = names.get(usize::from(choice) % names.len()).copied().flatten().map(Into::into);
    (choice < 0x80).then(|| Handshake { server_name, ..Handshake::default() })
}

fn head(text: &str) -> Option<Parts> {
    let mut lines = text.split('\n');
    let mut request = http::Request::builder().method(lines.next()?).uri(lines.next()?);
    if text.len() % 7 == 0 {
        request = request.version(http::Version::HTTP_10);
    }
    for line in lines {
        let (name, value) = line.split_once(": ")?;
        request = request.header(name, value);
    }
    Some(request.body(()).ok()?.into_parts().0)
}
