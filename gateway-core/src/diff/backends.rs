//! Backends on both sides, compared by name, in the words of manifests.
//!
//! In: the snapshots of both sides. Out: what is said of each backend on one side and not, or not alike, on the other: all that it holds.

use crate::compile::written_options;
use crate::explain::{span, stays};
use crate::snapshot::{
    Backend, BackendIdentity, BackendProtocol, BackendTls, PeerName, Persistence, Presents, RetryBudget, Security, Snapshot,
    Source, Trust, Usage,
};

use super::listeners::secrets;
use super::told::{Altered, Said, Words, altered};

/// Backends, compared by name.
pub(super) fn backends(before: &Snapshot, after: &Snapshot) -> Vec<Altered> {
    let words = |snapshot: &Snapshot| {
        // The same port may be several backends, one for each use.
        snapshot
            .backends()
            .map(|backend| (format!("{} for {}", backend.name, used(backend.name.usage)), of_backend(backend)))
            .collect()
    };
    altered(&words(before), &words(after))
}

fn used(usage: Usage) -> &'static str {
    match usage {
        Usage::Http => "HTTP",
        Usage::Grpc => "gRPC",
        Usage::Stream => "connections",
        Usage::Datagram => "datagrams",
    }
}

fn of_backend(backend: &Backend) -> Words {
    let Backend { id: _, name: _, protocol, security, endpoints, persistence, retry_budget } = backend;
    let endpoints: Vec<_> = endpoints.iter().map(ToString::to_string).collect();
    let spoken = match protocol {
        BackendProtocol::Http1 => "HTTP/1.1",
        BackendProtocol::Http2 => "HTTP/2",
        BackendProtocol::Raw => "bytes as they come",
    };
    let mut words = Words::new();
    let mut tell = |what: &str, said: Said| drop(words.insert((String::new(), what.to_owned()), said));
    tell("endpoints", Said::of(if endpoints.is_empty() { "none".to_owned() } else { endpoints.join(", ") }));
    tell("protocol", Said::of(spoken));
    match security {
        Security::Clear => tell("security", Said::of("in clear")),
        Security::Broken(why) => tell("security", Said::of(format!("nothing is sent: {why}"))),
        Security::Tls(tls) => {
            tell("security", Said::of(format!("TLS to {}", tls.identity.server_name)));
            of_tls(tls).into_iter().for_each(|(what, said)| tell(&what, said));
        }
    }
    if let Some(persistence) = persistence {
        let Persistence { source, carrier: _, lifetime: _ } = &**persistence;
        let by = match source {
            Source::Policy => "XBackendTrafficPolicy",
            Source::Rule => "the rule",
            Source::Backend => "XBackend",
        };
        tell("sessionPersistence", Said::of(format!("{} ({by})", stays(persistence))));
    }
    if let Some(RetryBudget { percent, interval, least, least_interval }) = retry_budget {
        let budget = format!("{{percent: {percent}, interval: {}}}", span(*interval));
        let least = format!("{{count: {least}, interval: {}}}", span(*least_interval));
        tell("retryConstraint", Said::of(format!("{{budget: {budget}, minRetryRate: {least}}}")));
    }
    words
}

/// What TLS to a backend asks for beside the host, by field of a BackendTLSPolicy where there is one.
fn of_tls(tls: &BackendTls) -> Vec<(String, Said)> {
    let BackendTls { identity, alpn, barred, fingerprint: _ } = tls;
    let BackendIdentity { server_name, names, trust, presents, options } = &**identity;
    let names: Vec<_> = names
        .iter()
        .map(|name| match name {
            PeerName::Host(host) => format!("Hostname {host}"),
            PeerName::Uri(uri) => format!("URI {uri}"),
        })
        .collect();
    let mut told = Vec::new();
    if names != [format!("Hostname {server_name}")] {
        told.push(("subjectAltNames".to_owned(), Said::of(names.join(", "))));
    }
    told.push(match trust {
        Trust::System => ("wellKnownCACertificates".to_owned(), Said::of("System")),
        Trust::Set(set) => ("caCertificateRefs".to_owned(), Said::with(set.to_string(), set.fingerprint)),
    });
    let shown = match presents {
        Presents::Gateways => Said::of("that of the Gateway, where it has one"),
        Presents::Nothing => Said::of("none"),
        Presents::Own(certificate) => secrets(std::slice::from_ref(certificate)),
    };
    told.push(("client certificate".to_owned(), shown));
    told.extend(written_options(options).into_iter().map(|(option, value)| (format!("options {option}"), Said::of(value))));
    told.extend((!alpn.is_empty()).then(|| ("ALPN".to_owned(), Said::of(alpn.join(", ")))));
    let barred: Vec<_> = barred.iter().map(|gateway| format!("Gateway {gateway}")).collect();
    told.extend((!barred.is_empty()).then(|| ("nothing is sent for".to_owned(), Said::of(barred.join(", ")))));
    told
}
