//! What is told of conflicts and overlaps. ListenerSets of others are never named: whoever reads a status need not know of them.

use std::sync::Arc;

use super::field::Lead;
use super::{Claim, Conflict, Family, Overlap};
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

/// Listeners of the same object, and whether there are others, which are not named.
type Others<'a> = (&'a [Arc<str>], bool);

/// Which HTTPS listeners have hosts in common with one, by their names and by their certificates.
pub(super) fn overlap(by_name: Others<'_>, by_certificate: Others<'_>, port: u16) -> Option<Overlap> {
    let names = listed(by_name).map(|who| format!("hosts in common with {who}"));
    let certificates = listed(by_certificate).map(|who| format!("certificates for the same hosts as {who}"));
    let reason = if certificates.is_some() { Reason::OverlappingCertificates } else { Reason::OverlappingHostnames };
    let what: Vec<String> = names.into_iter().chain(certificates).collect();
    let message = format!(
        "{} on port {port}; requests that a client sends over a connection made for another listener get 421",
        what.join(", and ")
    );
    (!what.is_empty()).then_some(Overlap { reason, message })
}

fn listed((own, others): Others<'_>) -> Option<String> {
    let others = others.then_some("listeners of other objects");
    match (own.is_empty(), others) {
        (true, others) => others.map(str::to_owned),
        (false, None) => Some(own.join(", ")),
        (false, Some(others)) => Some(format!("{} and {others}", own.join(", "))),
    }
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
