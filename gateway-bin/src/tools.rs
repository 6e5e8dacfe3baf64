//! The same semantics offline: what would be accepted, and which rule would win.
//!
//! In: manifests, and what nobody can know without serving: addresses are allotted, every socket is taken to be bound. Out: answers
//! on standard output, problems on standard error.

pub(crate) mod explain;
pub(crate) mod validate;

use std::collections::BTreeSet;

use gateway_core::compile::{Bound, Change, Compiler, Fact, Update};
use gateway_core::resource::{Gateway, Object};
use gateway_core::snapshot::{Settings, Snapshot};
use gateway_pingora::Builder;

use crate::addresses::Allotment;
use crate::args::Reading;
use crate::board::{Board, Proof};
use crate::files::Files;
use crate::setup;

/// Manifests read and compiled once.
struct Offline {
    files: Files,
    board: Board,
    snapshot: std::sync::Arc<Snapshot>,
}

/// Reads and compiles the manifests as `run` would.
fn compile(flags: &Reading, builder: Builder) -> anyhow::Result<Offline> {
    let gateway = builder.build()?;
    let extensions = gateway.extensions();
    let mut files = Files::new(&flags.paths, setup::reader(flags, extensions), &flags.backends);
    files.read_stdin();
    let mut changes = files.read_all(true, &BTreeSet::new(), |_| ());
    changes.append(&mut Allotment::new(&flags.addresses).settle(gateways(&files)));
    changes.push(Change::Fact(Fact::Time(setup::since_1970())));
    let mut compiler = Compiler::new(setup::options(flags, extensions, Settings::default()));
    let mut board = Board::new(Proof::Unserved);
    let first = compiler.apply(changes);
    board.absorb(&first);
    let bound = bound(&first);
    let second = compiler.apply(bound);
    board.absorb(&second);
    Ok(Offline { files, board, snapshot: second.snapshot })
}

fn gateways(files: &Files) -> impl Iterator<Item = &Gateway> {
    files.in_force().values().filter_map(|object| if let Object::Gateway(gateway) = object { Some(&**gateway) } else { None })
}

/// Every socket that the update wants, bound.
fn bound(update: &Update) -> Vec<Change> {
    update.snapshot.sockets().map(|(socket, _)| Change::Fact(Fact::Socket(*socket, Some(Bound::Yes)))).collect()
}
