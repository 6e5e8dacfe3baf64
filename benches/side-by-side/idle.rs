//! Connections that ask once and then stay, idle.
//!
//! In: a contestant, how many connections of which kind. Out: what one of them occupies.

use std::io::Result;
use std::thread::sleep;
use std::time::Duration;

use benches::process::Process;

use crate::client::{Asked, Http, Speech};
use crate::contestant::{Contestant, Place};
use crate::load::runtime;

/// A kind of connection.
#[derive(Debug)]
pub(crate) struct Idle {
    /// The name of its samples.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    http: Http,
    is_encrypted: bool,
}

/// All kinds.
pub(crate) const IDLE: &[Idle] = &[
    Idle { name: "h1_idle_bytes", title: "HTTP/1 in clear", http: Http::One, is_encrypted: false },
    Idle { name: "h2c_idle_bytes", title: "HTTP/2 in clear", http: Http::Two, is_encrypted: false },
    Idle { name: "h1_tls_idle_bytes", title: "HTTP/1 over TLS", http: Http::One, is_encrypted: true },
    Idle { name: "h2_tls_idle_bytes", title: "HTTP/2 over TLS", http: Http::Two, is_encrypted: true },
];

impl Idle {
    /// Bytes that one idle connection occupies, in a process of its own that has served some before.
    pub(crate) fn measure(&self, contestant: &Contestant, place: &Place, core: usize, count: usize) -> Result<f64> {
        let process = contestant.start(place, core)?;
        drop(self.connections(place, WARM)?);
        let before = settled(&process)?;
        let held = self.connections(place, count)?;
        let after = settled(&process)?;
        drop(held);
        process.stop()?;
        Ok((after - before) / count as f64)
    }

    /// So many connections, each of which got an answer; they stay open as long as what is returned.
    fn connections(&self, place: &Place, count: usize) -> Result<(tokio::runtime::Runtime, Vec<Asked>)> {
        let speech = if self.is_encrypted { Speech::tls(self.http)? } else { Speech::clear(self.http) };
        let address = match (self.is_encrypted, self.http) {
            (true, _) => place.https(),
            (false, Http::One) => place.h1(),
            (false, Http::Two) => place.h2c(),
        };
        let runtime = runtime()?;
        let asked = runtime.block_on(async {
            let mut asked = Vec::new();
            for _ in 0..count {
                asked.push(speech.ask(address).await?);
            }
            Ok::<_, std::io::Error>(asked)
        })?;
        Ok((runtime, asked))
    }
}

/// Memory, once it has not changed for a while.
fn settled(process: &Process) -> Result<f64> {
    let mut last = process.anonymous_memory()?;
    for _ in 0..20 {
        sleep(Duration::from_millis(200));
        let now = process.anonymous_memory()?;
        if now == last {
            break;
        }
        last = now;
    }
    Ok(last as f64)
}

/// Connections that come before: what is made once is not counted, and what they leave behind is little beside what is measured.
const WARM: usize = 20;
