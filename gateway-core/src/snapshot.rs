//! What a running gateway knows: sockets, the listeners on them, the rules of their routes and the backends behind those.
//!
//! In: edits made by the compiler, one transaction at a time. Out: an immutable value which answers `admit` and `decide`.
//! A snapshot shares what did not change with the one before it; cloning it costs a few reference counts.
//!
//! ```text
//! Socket ─► Listeners ─by name─► Listener ─by host as written─► Host ─by path─► Bucket of Match ─► Rule ─► Backend
//! ```
//!
//! Invariants: **precedence is built in** (a walk meets candidates from the best to the worst); **nothing here is iterated in
//! hash order to make output that a person sees**; no request can make a lookup cost more than the configuration allows.

mod backend;
pub mod filters;
mod listener;
mod rule;
mod split;

use std::fmt;
use std::net::IpAddr;

pub use backend::{Backend, BackendId, BackendName, BackendProtocol};
pub use listener::{Certificate, CertificateSet, Listener, ListenerId, Network, Protocol, Settings};
pub use rule::{Action, Rule, RuleId, Target};
pub use split::{Split, Turn};

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
