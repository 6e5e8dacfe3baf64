//! Configuration changes under load: 64 connections over h1, h2c and TLS ask without pause while routes, listeners, endpoints,
//! certificates and whole folders are edited, added and removed.
//!
//! Every thing that changes is a [`Subject`] with a version that the editor counts up: even versions may mean that it is not there.
//! The editor notes what it has written, and, once it has seen it served, what is settled. A request is judged by the versions that
//! stood between the one settled before it was sent and the last one written when its answer was there: any of these may be what it
//! met, nothing else. So a lost request, a wrong answer, and an old answer after a newer one was seen all count, and there is no
//! guessing by time. No request is sent twice.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use conformance::program::Program;

mod edit;
mod load;
mod world;

use edit::Editor;
use load::{Connection, Protocol, Tally};
use world::World;

/// How long the edits go on.
const FOR: Duration = Duration::from_secs(15);

const CONNECTIONS: usize = 64;

#[test]
fn changes_under_load_lose_nothing_and_give_no_wrong_answer() {
    let world = Arc::new(World::new());
    let editor = Editor::new(world.clone());
    let program = Program::serving(&[&editor.folder()]).ports(&[80, 443, world::COMING_PORT]).start().unwrap();
    let sockets = Sockets { http: program.socket(80), https: program.socket(443), coming: program.socket(world::COMING_PORT) };

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (tally, edits) = runtime.block_on(async {
        let ends = Instant::now() + FOR;
        let connections: Vec<_> = (0..CONNECTIONS)
            .map(|at| {
                let protocol = [Protocol::Http1, Protocol::Http2, Protocol::Tls1, Protocol::Tls2][at % 4];
                tokio::spawn(Connection::new(at, protocol, sockets, world.clone()).load_until(ends))
            })
            .collect();
        let edits = tokio::task::spawn_blocking(move || editor.edit_until(ends, sockets)).await.unwrap();
        let mut tally = Tally::default();
        for connection in connections {
            tally.add(connection.await.unwrap());
        }
        (tally, edits)
    });

    println!("{edits} edits, {tally}");
    assert!(edits >= 60, "only {edits} edits in {FOR:?}");
    assert!(tally.asked >= 5_000, "only {} requests in {FOR:?}", tally.asked);
    assert!(tally.wrong.is_empty(), "{tally}\n{}", tally.wrong.join("\n"));
}

/// Where the program listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sockets {
    http: SocketAddr,
    https: SocketAddr,
    /// The listener that comes and goes.
    coming: SocketAddr,
}
