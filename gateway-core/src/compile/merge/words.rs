//! What is told of conflicts and overlaps. ListenerSets of others are never named: whoever reads a status need not know of them.

use std::fmt::Write as _;
use std::sync::Arc;

use super::field::Lead;
use super::{Claim, Conflict, Family};
use crate::condition::Reason;

/// Somebody else has the name.
pub(super) fn hostname(claim: &Claim, winner: &Claim, port: u16) -> Conflict {
    let what = what(claim, port);
    let message = match (claim.rank.is_set, winner.rank.is_set) {
        (_, true) if claim.rank.is_of_the_same_holder(&winner.rank) => {
            format!("listener {} of the same ListenerSet goes first and has {what}; give one of them another", winner.listener)
        }
        (_, true) => format!(
            "another ListenerSet goes first (the older one, or else the first by name) and has {what}; give this listener another"
        ),
        (true, false) if claim.gateway == winner.gateway => format!(
            "listener {} of Gateway {} has {what}, and its own go before those of ListenerSets; give this listener another",
            winner.listener, winner.gateway
        ),
        (true, false) => {
            format!("a listener of another Gateway has {what} of the same address, and goes first; give this listener another")
        }
        (false, false) => format!("Gateway {} goes first and has {what} of the same address; {WAY_OUT}", winner.gateway),
    };
    Conflict { reason: Reason::HostnameConflict, message }
}

/// The port speaks another protocol.
pub(super) fn protocol(claim: &Claim, lead: &Lead, reason: Reason, port: u16) -> String {
    let speaks = speaks(lead.family);
    let mut text = match &lead.gateway {
        Some(gateway) if !claim.rank.is_set => {
            return format!(
                "Gateway {gateway} goes first and speaks another protocol, {speaks}, on port {port} of the same address; {WAY_OUT}"
            );
        }
        Some(gateway) if *gateway == claim.gateway => {
            format!("Gateway {gateway} speaks another protocol, {speaks}, on port {port}, and goes before ListenerSets")
        }
        Some(_) => {
            format!("another Gateway speaks another protocol, {speaks}, on port {port} of the same address, and goes first")
        }
        None => format!("listeners that go first speak another protocol, {speaks}, on port {port}"),
    };
    if reason == Reason::ListenerConflict {
        text.push_str(", and one of them has the hostname too");
    }
    text.push_str("; give this listener another port");
    text
}

/// Which HTTPS listeners have hosts in common with one. `own` are of the same object; others are not named.
pub(super) fn overlap(own: &[Arc<str>], others: bool, port: u16) -> Option<String> {
    let mut text = "hosts in common with ".to_owned();
    for (nth, name) in own.iter().enumerate() {
        let _ = write!(text, "{}{name}", if nth == 0 { "" } else { ", " });
    }
    match (own.is_empty(), others) {
        (true, false) => return None,
        (true, true) => text.push_str("listeners of other objects"),
        (false, true) => text.push_str(" and listeners of other objects"),
        (false, false) => {}
    }
    let _ = write!(text, " on port {port}; requests that a client sends over a connection made for another listener get 421");
    Some(text)
}

fn what(claim: &Claim, port: u16) -> String {
    match &claim.hostname {
        Some(hostname) => format!("{hostname} on port {port}"),
        None if claim.family.has_names() => format!("port {port} for all hosts"),
        None => format!("port {port}"),
    }
}

pub(super) fn speaks(family: Family) -> &'static str {
    match family {
        Family::Plain => "HTTP",
        Family::Tls => "TLS",
        Family::Tcp => "TCP",
        Family::Udp => "UDP",
    }
}

const WAY_OUT: &str = "give this Gateway an address of its own, another port, or another hostname";
