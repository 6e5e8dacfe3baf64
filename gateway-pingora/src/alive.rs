//! Peers that are gone without a word: a lost machine, a network that forgot a connection.
//!
//! In: a socket, or a peer for Pingora to connect to. Out: the same, with probes of the system's own (TCP keep-alive) that end it when
//! nobody is there any more. What lasts and is silent, a WebSocket or a stream of events, would otherwise be held for ever, on both
//! sides.

use std::os::fd::AsFd;
use std::time::Duration;

use pingora_core::protocols::l4::ext::TcpKeepalive as PeerProbes;
use pingora_core::upstreams::peer::PeerOptions;
use socket2::{SockRef, TcpKeepalive};

/// Has a socket probed; connections that a listening one accepts are probed too.
pub(crate) fn probe(socket: &impl AsFd) {
    let probes = TcpKeepalive::new().with_time(AFTER).with_interval(EVERY);
    #[cfg(target_os = "linux")]
    let probes = probes.with_retries(MOST);
    // Best effort: most connections have another end, and the idle time of streams is a bound too.
    let _ = SockRef::from(socket).set_tcp_keepalive(&probes);
}

/// Has the connections to a peer probed.
pub(crate) fn probe_peer(options: &mut PeerOptions) {
    options.tcp_keepalive = Some(PeerProbes {
        idle: AFTER,
        interval: EVERY,
        count: MOST as usize,
        #[cfg(target_os = "linux")]
        user_timeout: Duration::ZERO,
    });
}

/// Silence after which the system asks whether a peer is still there, how often then, and how many questions may stay without answer.
const AFTER: Duration = Duration::from_secs(60);
const EVERY: Duration = Duration::from_secs(15);
const MOST: u32 = 4;
