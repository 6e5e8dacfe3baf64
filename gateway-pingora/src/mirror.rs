//! Mirrors: copies of requests for backends whose answers nobody waits for (`HTTPRequestMirrorFilter`).
//!
//! In: the head of a request as the steps before the filter left it, the pieces of its body as they pass. Out: one request to one
//! endpoint; what it answers is read and thrown away. A copy never delays its request and never fails it: a piece that it is not
//! ready for ends it, and so does every error. A copy that was cut short is broken off, not ended, so that no backend takes half a
//! body for a whole one.
//!
//! Requests for an upgrade are not copied: what follows them is a conversation, and a copy has no say in it.
//!
//! Invariants: **a copy is sent once**, however often its request is; copies under way are bounded in number, and each in what waits
//! for it.

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
}

/// The way by which the body of a request reaches a copy of it; dropped before the end, the copy is broken off.
#[derive(Debug)]
pub(crate) struct Tap(Sender<Piece>);

/// What passes by.
#[derive(Debug)]
enum Piece {
    Bytes(Bytes),
    End,
}

impl Mirrors {
    pub(crate) fn new(asides: Arc<Asides>, counters: Arc<Counters>) -> Self {
        Self { asides, counters, room: Arc::new(Semaphore::new(MOST_COPIES)) }
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
                let (sender, pieces) = mpsc::channel(WAITING);
                (Some(Tap(sender)), Some(pieces))
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
        let bytes = body.filter(|bytes| !bytes.is_empty()).map(|bytes| Piece::Bytes(bytes.clone()));
        let end = is_end.then_some(Piece::End);
        bytes.into_iter().chain(end).all(|piece| self.0.try_send(piece).is_ok())
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
                Some(Piece::Bytes(bytes)) => within(aside.send(bytes)).await?,
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
/// How long a copy waits for its endpoint, at each step.
const PATIENCE: Duration = Duration::from_secs(15);
/// What is read of an answer for the sake of its connection.
const SMALL_ANSWER: usize = 64 * 1024;
