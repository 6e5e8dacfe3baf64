//! The same semantics offline: what would be accepted, and which rule would win, and what a change would change.
//!
//! In: manifests, and what nobody can know without serving: addresses are allotted, every socket is taken to be bound. Out: answers
//! on standard output, problems on standard error.

pub(crate) mod diff;
pub(crate) mod explain;
pub(crate) mod validate;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use gateway_core::compile::{Bound, Change, Compiler, Extensions, Fact, Options, Update};
use gateway_core::resource::{Gateway, Object};
use gateway_core::snapshot::{Settings, Snapshot};
use gateway_core::support::Support;
use gateway_pingora::{Builder, SUPPORT};

use crate::addresses::Allotment;
use crate::args::{Judging, Performed, Reading};
use crate::board::{Board, Proof};
use crate::files::Files;
use crate::setup;

/// Manifests read and compiled once.
struct Offline {
    files: Files,
    compiler: Compiler,
    board: Board,
    snapshot: Arc<Snapshot>,
}

impl Offline {
    /// Says what is wrong with the files. Nobody may be there to read it; the status tells too.
    fn tell_problems(&self) {
        let mut errors = std::io::stderr().lock();
        for problem in self.files.problems() {
            let _ = writeln!(errors, "{problem}");
        }
    }

    /// Says which objects were passed over.
    fn tell_foreign(&self) {
        let mut errors = std::io::stderr().lock();
        for (kind, count) in self.files.foreign() {
            let _ = writeln!(errors, "warning: {count} of kind {kind} passed over: it is not read by this program");
        }
    }
}

/// Reads and compiles the manifests as `run` would, for a data plane that performs this much.
fn compile(paths: &[PathBuf], flags: &Reading, judging: Judging, builder: Builder) -> anyhow::Result<Offline> {
    let gateway = builder.build()?;
    Ok(compile_with(paths, flags, judging, gateway.extensions()))
}

/// The same with the kinds of filter that are known.
fn compile_with(paths: &[PathBuf], flags: &Reading, judging: Judging, extensions: &Extensions) -> Offline {
    let mut files = Files::new(paths, setup::reader(flags, extensions), &flags.backends, &flags.secrets);
    files.read_stdin();
    let mut changes = files.read_all(true, &BTreeSet::new(), |_| ());
    changes.append(&mut Allotment::new(&flags.addresses).settle(gateways(&files)));
    changes.push(Change::Fact(Fact::Time(setup::since_1970())));
    let support = match judging.support {
        Performed::Run => SUPPORT,
        Performed::All => Support::ALL,
    };
    let mut compiler = Compiler::new(Options { support, ..setup::options(flags, extensions, Settings::default()) });
    let mut board = Board::new(Proof::Unserved);
    let first = compiler.apply(changes);
    board.absorb(&first);
    let bound = bound(&first);
    let second = compiler.apply(bound);
    board.absorb(&second);
    Offline { files, compiler, board, snapshot: second.snapshot }
}

fn gateways(files: &Files) -> impl Iterator<Item = &Gateway> {
    files.in_force().values().filter_map(|object| if let Object::Gateway(gateway) = object { Some(&**gateway) } else { None })
}

/// Every socket that the update wants, bound.
fn bound(update: &Update) -> Vec<Change> {
    update.snapshot.sockets().map(|(socket, _)| Change::Fact(Fact::Socket(*socket, Some(Bound::Yes)))).collect()
}
