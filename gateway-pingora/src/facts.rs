//! What the gateway finds out about the world, for whoever feeds the compiler.
//!
//! In: how sockets came out, what host names resolve to. Out: for each who listens, first all facts that hold, then every further
//! one. A fact that says what was known already is told to nobody.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use gateway_core::compile::{Bound, Fact};
use gateway_core::snapshot::Socket;

/// The facts that hold now, and those who are told of others.
#[derive(Debug, Default)]
pub(crate) struct Facts(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    bound: BTreeMap<Socket, Bound>,
    resolved: BTreeMap<Arc<str>, Arc<[IpAddr]>>,
    listeners: Vec<UnboundedSender<Fact>>,
}

impl Facts {
    /// All facts that hold now, then every further one.
    pub(crate) fn listen(&self) -> UnboundedReceiver<Fact> {
        let (sender, facts) = unbounded_channel();
        let mut told = self.lock();
        let bound = told.bound.iter().map(|(socket, bound)| Fact::Socket(*socket, Some(bound.clone())));
        let resolved = told.resolved.iter().map(|(host, found)| Fact::Resolved(Arc::clone(host), Some(Arc::clone(found))));
        for fact in bound.chain(resolved) {
            // The receiver is right here.
            let _ = sender.send(fact);
        }
        told.listeners.push(sender);
        facts
    }

    /// Tells all who listen, where it is news.
    pub(crate) fn tell(&self, fact: Fact) {
        let mut told = self.lock();
        let is_news = match &fact {
            Fact::Socket(socket, bound) => turn(&mut told.bound, *socket, bound.as_ref()),
            Fact::Resolved(host, found) => turn(&mut told.resolved, Arc::clone(host), found.as_ref()),
            Fact::Acknowledged(..) | Fact::Addresses(..) | Fact::ServiceRanges(_) | Fact::Time(_) | Fact::Bundle(_) => true,
        };
        if is_news {
            told.listeners.retain(|listener| listener.send(fact.clone()).is_ok());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts or removes what is known. Returns whether that is another than before.
fn turn<K: Ord, V: Clone + PartialEq>(known: &mut BTreeMap<K, V>, key: K, value: Option<&V>) -> bool {
    match value {
        Some(value) => known.insert(key, value.clone()).as_ref() != Some(value),
        None => known.remove(&key).is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_late_hears_what_holds_and_nobody_hears_anything_twice() {
        let (facts, host, here) = (Facts::default(), Arc::from("a.example"), [IpAddr::from([192, 0, 2, 1])]);
        let mut early = facts.listen();
        let resolved = |to: Option<&[IpAddr]>| Fact::Resolved(Arc::clone(&host), to.map(Into::into));
        facts.tell(resolved(Some(&here)));
        facts.tell(resolved(Some(&here)));
        let mut late = facts.listen();
        for listener in [&mut early, &mut late] {
            assert_eq!(listener.try_recv().as_ref(), Ok(&resolved(Some(&here))));
            assert!(listener.try_recv().is_err());
        }
        facts.tell(resolved(None));
        facts.tell(resolved(None));
        assert_eq!(early.try_recv(), Ok(resolved(None)));
        assert!(early.try_recv().is_err());
    }
}
