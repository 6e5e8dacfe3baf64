//! The listeners of one socket.
//!
//! In: listeners with their routes, placed by the writer. Out: the one that answers for a host or server name: the exact name, then
//! the longest wildcard, then the listener without a host name.

use std::sync::Arc;

use super::listener::{Listener, Settings};
use super::map::Seed;
use super::names::Names;
use super::table::Table;

/// The listeners of one socket by host name.
#[derive(Clone, Debug)]
pub struct Listeners {
    /// What connections obey before their listener is known.
    pub settings: Arc<Settings>,
    names: Names<Arc<Site>>,
    /// How many of them end TLS: all or none, or they would conflict.
    tls: usize,
    roster: Roster,
}

/// Stands for who the listeners of a socket are. Two that are equal tell that none came or went in between, and that none changed its
/// name, its protocol or what it asks of clients, opened or closed; what else a listener is, and its routes, may differ. Unequal ones
/// tell nothing.
#[derive(Clone, Debug, Default)]
pub struct Roster(Arc<()>);

impl PartialEq for Roster {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Roster {}

/// A listener with its routes.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) listener: Arc<Listener>,
    pub(crate) table: Table,
}

impl Listeners {
    pub(super) fn new(settings: Arc<Settings>) -> Self {
        Self { settings, names: Names::default(), tls: 0, roster: Roster::default() }
    }

    /// The listener that answers for a host or server name in lower case; `None` asks for the one without a host name.
    pub fn find(&self, host: Option<&str>) -> Option<&Arc<Listener>> {
        self.site(host).map(|site| &site.listener)
    }

    /// All listeners, closed ones included, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Listener>> {
        let mut all: Vec<_> = self.names.sorted().map(|(_, site)| &site.listener).collect();
        all.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        all.into_iter()
    }

    /// Who they are, to be compared with who they were before.
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Whether connections begin with a TLS handshake.
    pub fn is_tls(&self) -> bool {
        self.tls > 0
    }

    pub(crate) fn site(&self, host: Option<&str>) -> Option<&Arc<Site>> {
        self.names.tiers(host).next().map(|(_, site)| site)
    }

    /// Whether there is no listener.
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// What stands under a host name as written.
    pub(super) fn named(&self, hostname: Option<&str>) -> Option<&Arc<Site>> {
        self.names.get(hostname)
    }

    /// All listeners with their routes, by host name.
    pub(crate) fn sites(&self) -> impl Iterator<Item = &Arc<Site>> {
        self.names.sorted().map(|(_, site)| site)
    }

    /// Puts a listener under its host name, in the place of any other.
    pub(super) fn put(&mut self, site: Arc<Site>, seed: Seed) {
        let hostname = site.listener.hostname.clone();
        if !self.names.get(hostname.as_deref()).is_some_and(|known| known.is_alike(&site)) {
            self.roster = Roster::default();
        }
        self.take_off(hostname.as_deref());
        self.tls += usize::from(site.is_tls());
        self.names.insert(hostname.as_deref(), site, seed);
    }

    /// Takes away what stands under a host name.
    pub(super) fn remove(&mut self, hostname: Option<&str>) {
        self.take_off(hostname);
        self.names.remove(hostname);
        self.roster = Roster::default();
    }

    fn take_off(&mut self, hostname: Option<&str>) {
        let tls = self.names.get(hostname).is_some_and(|site| site.is_tls());
        self.tls = self.tls.saturating_sub(usize::from(tls));
    }
}

impl Site {
    fn is_tls(&self) -> bool {
        self.listener.protocol.begins_with_tls()
    }

    /// Whether another under the same name means the same to connections that are open.
    fn is_alike(&self, other: &Self) -> bool {
        let asked = |site: &Self| site.listener.validation.as_ref().map(|validation| validation.fingerprint);
        let who = |site: &Self| (site.listener.protocol, site.listener.is_open(), asked(site));
        self.listener.id == other.listener.id && who(self) == who(other)
    }
}
