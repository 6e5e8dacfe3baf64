//! One socket for datagrams: bound, and served until no listener wants it and its flows have ended.
//!
//! In: the socket and what all doors share. Out: facts about binding. Unlike a door for connections it stays open while flows leave:
//! they have no other way to their clients. A listener that comes back meanwhile finds it open.

use std::sync::Arc;

use gateway_core::snapshot::Socket;
use tokio::sync::watch;

use super::{Premises, binding};
use crate::datagram::{Closing, Flows};

/// Serves a socket to its end.
pub(super) async fn serve(socket: Socket, premises: Arc<Premises>, closing: watch::Receiver<Closing>) {
    let opened = async {
        let bind = || {
            let bound = premises.ports.bind_datagrams(&socket, &premises.inherited)?;
            Ok((Arc::new(bound.socket), bound.is_inherited))
        };
        let (opened, is_inherited) = binding::bound(&socket, &premises, bind).await;
        tracing::info!(%socket, bound = ?opened.local_addr().ok(), "receiving");
        premises.open.add(socket, &opened);
        if is_inherited {
            premises.inherited.ours().await;
        }
        opened
    };
    let opened = tokio::select! {
        opened = opened => opened,
        () = unwanted(&socket, &premises, closing.clone()) => return,
    };
    Flows::new(socket, opened, Arc::clone(&premises.datagrams)).serve(closing).await;
}

/// Waits until no listener is on the socket, or all close.
async fn unwanted(socket: &Socket, premises: &Premises, mut closing: watch::Receiver<Closing>) {
    let mut changed = premises.live.changed();
    while premises.live.load().listeners(socket).is_some() {
        tokio::select! {
            changed = changed.changed() => if changed.is_err() { return },
            _ = closing.wait_for(Option::is_some) => return,
        }
    }
}
