//! The loop of decisions of a proxy, without its sockets: what it would do with each request that arrives on port 80.
//!
//! `cargo run -p gateway-core --example proxy -- FOLDER http://shop.example.com/cart…`

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use gateway_core::admit::{Arrival, admit};
use gateway_core::compile::{Compiler, Options};
use gateway_core::decide::{Decision, decide};
use gateway_core::snapshot::{Snapshot, Socket, Transport, Turn};
use gateway_core::support::{Capability, Support};
use http::header::HOST;
use http::request::Parts;

#[path = "reading/folder.rs"]
mod folder;

/// What this proxy performs. An object that asks for more says so in its status, and its traffic is refused, not mistreated.
const SUPPORT: Support = Support::of(&[Capability::Http, Capability::DirectResponse]);

/// What becomes of each request, in order.
pub(crate) fn run(folder: &Path, urls: &[&str]) -> Result<Vec<String>, Box<dyn Error>> {
    let mut compiler = Compiler::new(Options { support: SUPPORT, ..Options::default() });
    // A proxy puts the snapshot of each update where its connections find it.
    let snapshot = compiler.apply(folder::changes(folder)?).snapshot;
    urls.iter().map(|url| Ok(format!("{url}: {}", answer(&snapshot, &request(url)?)))).collect()
}

/// One request on its way.
fn answer(snapshot: &Arc<Snapshot>, head: &Parts) -> String {
    let arrival = Arrival { socket: Socket { address: None, port: 80, transport: Transport::Tcp }, tls: None };
    let admitted = match admit(snapshot, &arrival, head) {
        Ok(admitted) => admitted,
        Err(refusal) => return format!("{} {}", refusal.reason.status().as_u16(), refusal.reason),
    };
    match decide(&admitted, head, Turn::take) {
        // Here a connection is opened, the tasks are performed in order, and the head is sent on.
        Decision::Forward(forward) => {
            let tasks = forward.tasks().count();
            let endpoint = forward.backend.endpoints.first().map(ToString::to_string).unwrap_or_default();
            format!("forwarded to {} at {endpoint} after {tasks} tasks", forward.backend.name)
        }
        Decision::Answer(answer) => format!("answered {}", answer.status.as_u16()),
        Decision::Refuse(refusal) => format!("{} {}", refusal.reason.status().as_u16(), refusal.reason),
    }
}

/// The head as it would arrive.
fn request(url: &str) -> Result<Parts, Box<dyn Error>> {
    let url: http::Uri = url.parse()?;
    let target = url.path_and_query().map_or("/", |target| target.as_str());
    let host = url.host().ok_or("which host?")?;
    Ok(http::Request::get(target).header(HOST, host).body(())?.into_parts().0)
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (folder, urls) = args.split_first().ok_or("which folder?")?;
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    run(Path::new(folder), &urls)?.iter().for_each(|line| println!("{line}"));
    Ok(())
}
