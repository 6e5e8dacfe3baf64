//! What a running gateway knows: sockets, the listeners on them, the rules of their routes and the backends behind those.
//!
//! In: edits made by the compiler, one transaction at a time. Out: an immutable value which answers `admit` and `decide`.
//! A snapshot shares what did not change with the one before it; cloning it costs a few reference counts.
//!
//! ```text
//! Socket ─► Listeners ─by name─► Listener ─by host as written─► Host ─by path or call─► Bucket of Match ─► Rule ─► Backend
//! ```
//!
//! Invariants: **precedence is built in** (a walk meets candidates from the best to the worst); **nothing here is iterated in
//! hash order to make output that a person sees**; no request can make a lookup cost more than the configuration allows.

mod backend;
mod backend_tls;
mod depths;
mod edit;
pub mod filters;
mod fingerprint;
#[cfg(test)]
pub(crate) mod fixture;
mod listener;
mod listeners;
mod map;
pub mod matching;
mod names;
mod outline;
mod persistence;
mod retry;
mod rule;
mod split;
mod table;
mod timeouts;
mod tracing;
mod trust;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use imbl::GenericOrdMap;
use imbl::ordmap::DiffItem;
use imbl::shared_ptr::DefaultSharedPtr;

pub use backend::{Backend, BackendId, BackendName, BackendProtocol, RetryBudget, Usage};
pub use backend_tls::{BackendIdentity, BackendTls, CertifiedName, PeerName, PoolKey, Presents, Security, Trust};
pub(crate) use edit::{Place, Writer};
pub use fingerprint::Fingerprint;
pub use listener::{
    Certificate, CertificateSet, ClientValidation, Listener, ListenerId, Network, Protocol, Settings, TlsOptions, TlsVersion,
};
pub(crate) use listeners::Site;
pub use listeners::{Listeners, Roster};
pub(crate) use map::Seed;
pub(crate) use names::Tier;
pub use persistence::{Carrier, Cookie, Persistence, Source};
pub use retry::{Failure, Retry};
pub(crate) use rule::cors;
pub use rule::{Action, Rule, RuleId, Target, TargetAction};
pub use split::{Split, Turn};
pub(crate) use table::{Asks, Bucket, Candidate, Columns, Gate, HEADER_COLUMNS, Print, QUERY_COLUMNS};
pub use timeouts::{Timeout, Timeouts};
pub use tracing::{AttributeKey, AttributeValue, ExportHeaders, ExportProtocol, Rate, Sampling, SpanAttribute, Spans, Tracing};
pub use trust::TrustSet;

/// What a running gateway knows at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    seed: Seed,
    /// By socket.
    sockets: Sockets,
    backends: Backends,
}

/// Backends in order, so that two snapshots of which one was made of the other are compared by what they do not share.
type Backends = GenericOrdMap<BackendId, Kept, DefaultSharedPtr>;

/// A backend. Equal to itself alone.
#[derive(Clone, Debug)]
struct Kept(Arc<Backend>);

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Sockets with their listeners, in order. A changed copy shares what did not change, however many ports there are.
type Sockets = GenericOrdMap<Socket, Arc<Listeners>, DefaultSharedPtr>;

impl Snapshot {
    /// A snapshot without sockets. `seed` is the one of `Options`; it lives as long as the process.
    pub fn empty(seed: u64) -> Self {
        let seed = Seed::new(seed);
        Self { seed, sockets: Sockets::default(), backends: Backends::default() }
    }

    /// The sockets with their listeners, by socket.
    pub fn sockets(&self) -> impl Iterator<Item = (&Socket, &Listeners)> {
        self.sockets.iter().map(|(socket, listeners)| (socket, &**listeners))
    }

    /// The listeners of a socket.
    pub fn listeners(&self, socket: &Socket) -> Option<&Listeners> {
        self.sockets.get(socket).map(|listeners| &**listeners)
    }

    /// A backend.
    pub fn backend(&self, id: BackendId) -> Option<&Arc<Backend>> {
        self.backends.get(&id).map(|kept| &kept.0)
    }

    /// The same where each of these backends has an endpoint: this one.
    pub(crate) fn supposing(&self, backends: &[BackendId], endpoint: SocketAddr) -> Self {
        let mut supposed = self.clone();
        for id in backends {
            if let Some(backend) = self.backend(*id) {
                let supposed_backend = Backend { endpoints: Arc::new([endpoint]), ..Backend::clone(backend) };
                supposed.backends.insert(*id, Kept(Arc::new(supposed_backend)));
            }
        }
        supposed
    }

    /// The backends that are others than in a former snapshot, by id: as they were and as they are. Where one snapshot was made of the
    /// other, it costs about what differs, however many backends there are.
    pub fn changed_backends<'a>(
        &'a self,
        former: &'a Self,
    ) -> impl Iterator<Item = (Option<&'a Arc<Backend>>, Option<&'a Arc<Backend>>)> {
        former.backends.diff(&self.backends).map(|item| match item {
            DiffItem::Add(_, new) => (None, Some(&new.0)),
            DiffItem::Update { old: (_, old), new: (_, new) } => (Some(&old.0), Some(&new.0)),
            DiffItem::Remove(_, old) => (Some(&old.0), None),
        })
    }

    /// The seed of its hashes.
    pub(crate) fn seed(&self) -> Seed {
        self.seed
    }

    /// All backends, by name.
    pub fn backends(&self) -> impl Iterator<Item = &Arc<Backend>> {
        let mut all: Vec<_> = self.backends.values().map(|kept| &kept.0).collect();
        all.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        all.into_iter()
    }
}

/// Where connections arrive, as configured: a port map or a NAT of the data plane does not show here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Socket {
    /// The address; `None` for all addresses of the machine.
    pub address: Option<IpAddr>,
    /// The port the listener names.
    pub port: u16,
    /// TCP or UDP.
    pub transport: Transport,
}

/// What a socket carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// A byte stream.
    Tcp,
    /// Datagrams.
    Udp,
}

impl fmt::Display for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(IpAddr::V6(address)) => write!(f, "[{address}]")?,
            Some(address) => write!(f, "{address}")?,
            None => f.write_str("*")?,
        }
        write!(f, ":{}", self.port)?;
        match self.transport {
            Transport::Tcp => Ok(()),
            Transport::Udp => f.write_str("/udp"),
        }
    }
}
