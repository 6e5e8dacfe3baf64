//! Host names of backends, kept resolved: Services of type ExternalName, XBackends of type ExternalHostname.
//!
//! In: names that backends began or ceased to lead to. Out: facts about what they resolve to. Each is asked again when its answer
//! expires, at the latest after a minute and at the earliest after a second. Which addresses may be used is the compiler's to say;
//! no request ever waits for a name.
//!
//! Invariants: **while nobody answers the last answer holds**, for an hour after it expired; of a name that nobody wants any longer
//! nothing is told after that was said.

mod answers;
mod resolver;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use gateway_core::compile::Fact;

use crate::facts::Facts;
use crate::observe::Counters;
use answers::{Answers, Outcome};
use resolver::Asker;

/// The names that are wanted.
#[derive(Debug)]
pub(crate) struct Names {
    wanted: watch::Sender<BTreeSet<Arc<str>>>,
    desk: Arc<Desk>,
}

/// What all questions share.
#[derive(Debug)]
struct Desk {
    asker: Asker,
    seats: Semaphore,
    facts: Arc<Facts>,
    counters: Arc<Counters>,
}

impl Names {
    /// Without servers, those that the system names are asked.
    pub(crate) fn new(servers: Box<[SocketAddr]>, facts: Arc<Facts>, counters: Arc<Counters>) -> Self {
        let desk = Desk { asker: Asker::new(servers), seats: Semaphore::new(AT_A_TIME), facts, counters };
        Self { wanted: watch::Sender::default(), desk: Arc::new(desk) }
    }

    /// Wants these from now on, or no longer.
    pub(crate) fn want(&self, names: &BTreeMap<Arc<str>, bool>) {
        if names.is_empty() {
            return;
        }
        self.wanted.send_modify(|wanted| {
            for (name, is_wanted) in names {
                match is_wanted {
                    true => wanted.insert(Arc::clone(name)),
                    false => wanted.remove(name),
                };
            }
        });
    }

    /// Keeps what is wanted resolved, for as long as it is polled.
    pub(crate) async fn keep(&self) {
        let mut changed = self.wanted.subscribe();
        let mut kept = Kept::default();
        loop {
            let wanted = changed.borrow_and_update().clone();
            for host in kept.of.keys().filter(|host| !wanted.contains(*host)).cloned().collect::<Vec<_>>() {
                kept.end(&host).await;
                self.desk.facts.tell(Fact::Resolved(host, None));
            }
            for host in wanted {
                kept.of.entry(host).or_insert_with_key(|host| tokio::spawn(Arc::clone(&self.desk).follow(Arc::clone(host))));
            }
            // The sender is ours, so that it cannot be gone.
            let _ = changed.changed().await;
        }
    }
}

/// The tasks that keep names resolved; they end with it.
#[derive(Debug, Default)]
struct Kept {
    of: BTreeMap<Arc<str>, JoinHandle<()>>,
}

impl Kept {
    /// Ends a task. When this returns it tells nothing any more.
    async fn end(&mut self, host: &str) {
        if let Some(task) = self.of.remove(host) {
            task.abort();
            // It was cancelled, which is what was asked for.
            let _ = task.await;
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.of.values().for_each(JoinHandle::abort);
    }
}

impl Desk {
    /// Keeps one name resolved.
    async fn follow(self: Arc<Self>, host: Arc<str>) {
        let mut answers = Answers::default();
        loop {
            let outcomes = self.ask(&host).await;
            let was_failing = answers.failure().is_some();
            let wait = answers.learn(outcomes, Instant::now());
            match answers.failure() {
                Some(why) if !was_failing => tracing::warn!(%host, why, "cannot be resolved; the last answer holds for an hour"),
                None if was_failing => tracing::info!(%host, "is resolved again"),
                Some(_) | None => {}
            }
            self.facts.tell(Fact::Resolved(Arc::clone(&host), answers.known().map(Into::into)));
            tokio::time::sleep(wait).await;
        }
    }

    /// Asks for addresses of both families.
    async fn ask(self: &Arc<Self>, host: &Arc<str>) -> [Outcome; 2] {
        // Nobody closes it.
        let _seat = self.seats.acquire().await;
        let (v4, v6) = tokio::join!(self.asker.ask(host, resolver::V4), self.asker.ask(host, resolver::V6));
        for outcome in [&v4, &v6] {
            self.counters.names_asked.add();
            if matches!(outcome, Outcome::Failure(_)) {
                self.counters.names_failed.add();
            }
        }
        [v4, v6]
    }
}

/// How many names are asked for at a time.
const AT_A_TIME: usize = 32;
