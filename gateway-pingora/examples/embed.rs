//! A program of one's own with the gateway inside, and its own source of configuration: here manifests that stand in files and are read
//! once. Another source gives changes whenever there are some; the rest stays as it is.
//!
//! `cargo run -p gateway-pingora --example embed -- MANIFEST…`

use std::error::Error;
use std::fs;

use gateway_core::compile::{Change, Compiler, Options};
use gateway_core::resource::{self, Reader, Reading};
use gateway_pingora::{Builder, Gateway, SUPPORT};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

type Problem = Box<dyn Error + Send + Sync>;

/// Compiles what comes, facts of the gateway's own among it, and publishes what it becomes.
pub(crate) async fn follow(gateway: Gateway, mut source: UnboundedReceiver<Change>) {
    let options = Options { support: SUPPORT, extensions: gateway.extensions().clone(), ..Options::default() };
    let (mut compiler, mut facts) = (Compiler::new(options), gateway.facts());
    loop {
        let change = tokio::select! {
            Some(change) = source.recv() => change,
            Some(fact) = facts.recv() => Change::Fact(fact),
            else => return,
        };
        let update = compiler.apply([change]);
        for (object, problems) in &update.problems {
            problems.iter().for_each(|problem| eprintln!("{object}: {problem}"));
        }
        gateway.live().publish(update.snapshot);
        gateway.resolve(&update.names);
    }
}

/// The objects of a file, as changes.
pub(crate) fn read(text: &str, gateway: &Gateway) -> Result<Vec<Change>, Problem> {
    let reader = Reader { extensions: gateway.extensions().kinds().cloned().collect(), ..Reader::default() };
    let mut changes = Vec::new();
    for document in text.split("\n---").filter(|document| !document.trim().is_empty()) {
        match resource::read(serde_saphyr::from_str(document)?, &reader) {
            Ok(Reading::Object { object, .. }) => changes.push(Change::Put(object)),
            Ok(Reading::Foreign { kind, name }) => eprintln!("{kind} {name} has no say here"),
            Err(invalid) => return Err(format!("{invalid:?}").into()),
        }
    }
    Ok(changes)
}

/// Serves the manifests that the command line names until the process is interrupted.
#[tokio::main]
pub(crate) async fn serve(builder: Builder) -> Result<(), Box<dyn Error>> {
    let gateway = builder.build()?;
    let (changes, source) = unbounded_channel();
    for path in std::env::args().skip(1) {
        let read = read(&fs::read_to_string(path)?, &gateway).map_err(|problem| problem.to_string())?;
        read.into_iter().try_for_each(|change| changes.send(change))?;
    }
    tokio::spawn(follow(gateway.clone(), source));
    gateway.run().await;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    serve(Gateway::builder())
}
