//! Binding, until it succeeds.
//!
//! In: a socket, and a way to bind it. Out: what was bound, and facts about every try. A refused port is tried again, ever more slowly.

use std::io;
use std::time::Duration;

use gateway_core::compile::{Bound, Fact};
use gateway_core::snapshot::Socket;

use super::Premises;

/// Tries until `bind` succeeds.
pub(super) async fn bound<T>(socket: &Socket, premises: &Premises, bind: impl Fn() -> io::Result<T>) -> T {
    let mut pause = FIRST_RETRY;
    loop {
        match bind() {
            Ok(bound) => {
                premises.facts.tell(Fact::Socket(*socket, Some(Bound::Yes)));
                return bound;
            }
            Err(error) => {
                tracing::warn!(%socket, %error, "cannot listen");
                let reason = format!("{error}{}", premises.ports.instead(socket.port));
                premises.facts.tell(Fact::Socket(*socket, Some(Bound::Refused(reason.into()))));
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LAST_RETRY);
    }
}

/// Pauses before a refused port is tried again.
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LAST_RETRY: Duration = Duration::from_secs(5);
