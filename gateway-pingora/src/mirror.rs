//! Mirrors: copies of requests for backends whose answers nobody waits for (`HTTPRequestMirrorFilter`).
//!
//! In: the head of a request as the steps before the filter left it, the pieces of its body as they pass. Out: one request to one
//! endpoint; what it answers is read and thrown away. A copy never delays its request and never fails it: a piece that it is not
//! ready for ends it, and so does every error. A copy that was cut short is broken off, not ended, so that no backend takes half a
//! body for a whole one.
//!
//! Requests for an upgrade are not copied: what follows them is a conversation, and a copy has no say in it.
//!
//! Invariants: **a copy is sent once**, however often its request is; copies under way are bounded in number, and in what waits for
//! each and for all of them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pingora_error::{Error, ErrorType, Result};
use pingora_http::RequestHeader;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use gateway_core::snapshot::{Backend, Listener};

use crate::aside::{Aside, Asides, Body};
use crate::observe::Counters;

/// Sends copies.
pub(crate) struct Mirrors {
    asides: Arc<Asides>,
    counters: Arc<Counters>,
    room: Arc<Semaphore>,
    store: Store,
}

/// Bytes that may wait for copies, one permit for each.
#[derive(Clone, Debug)]
struct Store(Arc<Semaphore>);

/// The way by which the body of a request reaches a copy of it; dropped before the end, the copy is broken off.
#[derive(Debug)]
pub(crate) struct Tap {
    pieces: Sender<Piece>,
    store: Store,
}

/// What passes by.
#[derive(Debug)]
enum Piece {
    /// With the room that they take until they are sent.
    Bytes(Bytes, OwnedSemaphorePermit),
    End,
}

impl Store {
    fn new() -> Self {
        Self(Arc::new(Semaphore::new(MOST_STORED)))
    }

    /// The way to a copy.
    fn tap(&self) -> (Tap, Receiver<Piece>) {
        let (sender, pieces) = mpsc::channel(WAITING);
        (Tap { pieces: sender, store: self.clone() }, pieces)
    }
}

impl Mirrors {
    pub(crate) fn new(asides: Arc<Asides>, counters: Arc<Counters>) -> Self {
        Self { asides, counters, room: Arc::new(Semaphore::new(MOST_COPIES)), store: Store::new() }
    }

    /// Sends a copy of a request. Where a body follows, it is wanted by the tap that is returned.
    pub(crate) fn copy(&self, head: &RequestHeader, body: Body, backend: &Arc<Backend>, listener: &Arc<Listener>) -> Option<Tap> {
        let Ok(place) = Arc::clone(&self.room).try_acquire_owned() else {
            self.counters.mirrors_dropped.add();
            return None;
        };
        self.counters.mirrors_sent.add();
        let (tap, pieces) = match body {
            Body::Follows => {
                let (tap, pieces) = self.store.tap();
                (Some(tap), Some(pieces))
            }
            Body::None => (None, None),
        };
        let (asides, counters) = (Arc::clone(&self.asides), Arc::clone(&self.counters));
        let (head, backend, listener) = (head.clone(), Arc::clone(backend), Arc::clone(listener));
        tokio::spawn(async move {
            let _place: OwnedSemaphorePermit = place;
            if let Err(error) = send(&asides, head, pieces, &backend, &listener).await {
                counters.mirrors_failed.add();
                tracing::debug!(%error, backend = %backend.name, "a copy failed");
            }
        });
        tap
    }
}

impl Tap {
    /// Shows a piece of the body to the copy, and whether it was the last. False when the copy is over.
    pub(crate) fn show(&self, body: Option<&Bytes>, is_end: bool) -> bool {
        let goes_on = body.filter(|bytes| !bytes.is_empty()).is_none_or(|bytes| self.keep(bytes));
        goes_on && (!is_end || self.pieces.try_send(Piece::End).is_ok())
    }

    /// Keeps a piece until the copy is ready for it. False where there is no room.
    fn keep(&self, bytes: &Bytes) -> bool {
        let Ok(size) = u32::try_from(bytes.len()) else { return false };
        let Ok(room) = Arc::clone(&self.store.0).try_acquire_many_owned(size) else { return false };
        self.pieces.try_send(Piece::Bytes(bytes.clone(), room)).is_ok()
    }
}

async fn send(
    asides: &Asides,
    head: RequestHeader,
    pieces: Option<Receiver<Piece>>,
    backend: &Arc<Backend>,
    listener: &Listener,
) -> Result<()> {
    let mut aside = asides.open(backend, listener).await?;
    let outcome = exchange(&mut aside, head, pieces).await;
    asides.close(aside).await;
    outcome
}

async fn exchange(aside: &mut Aside, head: RequestHeader, pieces: Option<Receiver<Piece>>) -> Result<()> {
    let body = if pieces.is_some() { Body::Follows } else { Body::None };
    within(aside.send_head(head, body)).await?;
    if let Some(mut pieces) = pieces {
        loop {
            match pieces.recv().await {
                Some(Piece::Bytes(bytes, _room)) => within(aside.send(bytes)).await?,
                Some(Piece::End) => break,
                None => return Err(Error::explain(ErrorType::WriteError, "the request was cut short, or the copy too slow")),
            }
        }
        within(aside.finish()).await?;
    }
    let answer = async {
        aside.head().await?;
        let mut read = 0;
        while let Some(piece) = aside.read().await? {
            read += piece.len();
            if read > SMALL_ANSWER {
                break;
            }
        }
        Ok(())
    };
    within(answer).await
}

/// One step of a copy, which has some time.
async fn within<T>(step: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(PATIENCE, step).await.unwrap_or_else(|_| Err(Error::explain(ErrorType::ReadTimedout, "the mirror took too long")))
}

/// Copies under way at a time; of more requests none are made.
const MOST_COPIES: usize = 1024;
/// Pieces of a body, of 64 KiB at most, that may wait for a copy.
const WAITING: usize = 32;
/// Bytes that may wait for all copies. When they do, a piece that comes ends its copy.
const MOST_STORED: usize = 32 << 20;
/// How long a copy waits for its endpoint, at each step.
const PATIENCE: Duration = Duration::from_secs(15);
/// What is read of an answer for the sake of its connection.
const SMALL_ANSWER: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_all_copies_is_bounded_and_what_was_sent_makes_room() {
        let store = Store::new();
        let piece = Bytes::from(vec![b'x'; 64 * 1024]);
        let mut copies: Vec<_> = (0..MOST_COPIES).map(|_| store.tap()).collect();
        let kept = |tap: &Tap| (0..WAITING).take_while(|_| tap.show(Some(&piece), false)).count();
        let waiting: usize = copies.iter().map(|(tap, _)| kept(tap) * piece.len()).sum();
        assert_eq!(waiting, MOST_STORED);
        let (last, mut pieces) = store.tap();
        assert!(!last.show(Some(&piece), false), "the next one is too much, whoever wants it");
        assert!(last.show(None, true), "an end takes no room");
        assert!(matches!(pieces.try_recv(), Ok(Piece::End)));
        assert!(copies[0].1.try_recv().is_ok());
        assert!(last.show(Some(&piece), false) && !last.show(Some(&piece), false));
        copies.clear();
        assert_eq!(store.0.available_permits(), MOST_STORED - piece.len(), "what is broken off waits for nothing");
    }
}
