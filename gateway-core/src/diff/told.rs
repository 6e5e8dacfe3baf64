//! What is told of things on both sides, compared: statuses, problems, listeners and backends.
//!
//! In: the same kind of values from both sides. Out: what is told on one side and not, or not alike, on the other. Generations are
//! not compared: they count edits and not what came of them.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::condition::{Condition, Truth};
use crate::name::ObjectId;
use crate::snapshot::{Backend, Listener, Security, Settings, Snapshot, TlsOptions};
use crate::status::{ListenerStatus, Status};

use super::words::filters;

/// Something that is told of one thing, and not alike on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Altered {
    /// The object, listener or backend.
    pub of: String,
    /// The part of it; empty for the whole.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub part: String,
    /// What is told: the type of a condition, or the name of a property.
    pub what: String,
    /// What was told; `None` where nothing was.
    pub before: Option<String>,
    /// What is told now.
    pub after: Option<String>,
}

/// Words about a thing: by part, then by what they are about.
type Words = BTreeMap<(String, String), String>;

/// The words of both sides about things, compared.
fn altered<K: Ord + fmt::Display>(before: &BTreeMap<K, Words>, after: &BTreeMap<K, Words>) -> Vec<Altered> {
    let none = Words::new();
    let mut all = Vec::new();
    let mut things: Vec<&K> = before.keys().chain(after.keys()).collect();
    things.sort_unstable();
    things.dedup();
    for thing in things {
        let (before, after) = (before.get(thing).unwrap_or(&none), after.get(thing).unwrap_or(&none));
        let mut keys: Vec<_> = before.keys().chain(after.keys()).collect();
        keys.sort_unstable();
        keys.dedup();
        for key @ (part, what) in keys {
            let (before, after) = (before.get(key), after.get(key));
            if before != after {
                let (part, what) = (part.clone(), what.clone());
                all.push(Altered { of: thing.to_string(), part, what, before: before.cloned(), after: after.cloned() });
            }
        }
    }
    all
}

/// The statuses of objects, compared.
pub(super) fn statuses(before: &BTreeMap<ObjectId, Status>, after: &BTreeMap<ObjectId, Status>) -> Vec<Altered> {
    let words =
        |statuses: &BTreeMap<ObjectId, Status>| statuses.iter().map(|(id, status)| (id.clone(), of_status(status))).collect();
    altered(&words(before), &words(after))
}

fn of_status(status: &Status) -> Words {
    let mut words = Words::new();
    for (part, conditions) in status.parts() {
        for Condition { kind, status, reason, message, observed_generation: _ } in conditions {
            let truth = match status {
                Truth::True => "True",
                Truth::False => "False",
                Truth::Unknown => "Unknown",
            };
            let colon = if message.is_empty() { "" } else { ": " };
            words.insert((part.to_string(), kind.to_string()), format!("{truth} {reason}{colon}{message}"));
        }
    }
    for ListenerStatus { name, supported_kinds, attached_routes, conditions: _ } in status.listeners() {
        let kinds: Vec<_> = supported_kinds.iter().map(|kind| kind.kind.as_str()).collect();
        let part = format!("listener {name}");
        words.insert((part.clone(), "supportedKinds".to_owned()), kinds.join(", "));
        words.insert((part, "attachedRoutes".to_owned()), attached_routes.to_string());
    }
    match status {
        Status::GatewayClass(class) => {
            let features: Vec<_> = class.supported_features.iter().map(|feature| feature.name).collect();
            words.insert(whole("supportedFeatures"), features.join(", "));
        }
        Status::Gateway(gateway) => {
            let addresses: Vec<_> =
                gateway.addresses.iter().map(|address| format!("{} {}", address.kind, address.value)).collect();
            words.insert(whole("addresses"), addresses.join(", "));
            words.insert(whole("attachedListenerSets"), gateway.attached_listener_sets.to_string());
        }
        Status::ListenerSet(_) | Status::Route(_) | Status::Policy(_) => {}
    }
    words
}

fn whole(what: &str) -> (String, String) {
    (String::new(), what.to_owned())
}

/// The problems of objects, compared.
pub(super) fn problems(before: &BTreeMap<ObjectId, Vec<String>>, after: &BTreeMap<ObjectId, Vec<String>>) -> Vec<Altered> {
    let mut all = Vec::new();
    let mut objects: Vec<&ObjectId> = before.keys().chain(after.keys()).collect();
    objects.sort_unstable();
    objects.dedup();
    for id in objects {
        let of = |side: &BTreeMap<ObjectId, Vec<String>>| side.get(id).cloned().unwrap_or_default();
        let (before, after) = (of(before), of(after));
        let one = |before, after| Altered { of: id.to_string(), part: String::new(), what: "problem".to_owned(), before, after };
        let only = |some: &[String], others: &[String]| -> Vec<String> {
            some.iter().filter(|problem| !others.contains(problem)).cloned().collect()
        };
        all.extend(only(&before, &after).into_iter().map(|gone| one(Some(gone), None)));
        all.extend(only(&after, &before).into_iter().map(|new| one(None, Some(new))));
    }
    all
}

/// What connections meet at listeners before any rule, compared.
pub(super) fn listeners(before: &Snapshot, after: &Snapshot) -> Vec<Altered> {
    let words = |snapshot: &Snapshot| {
        let mut words: BTreeMap<String, Words> = BTreeMap::new();
        for (socket, listeners) in snapshot.sockets() {
            if let Some(settings) = of_settings(&listeners.settings) {
                words.entry(format!("socket {socket}")).or_default().insert(whole("settings"), settings);
            }
            for listener in listeners.iter() {
                let of_one = words.entry(listener.id.to_string()).or_default();
                if of_one.is_empty() {
                    *of_one = of_listener(snapshot, listener);
                }
                let sockets = of_one.entry(whole("sockets")).or_default();
                let comma = if sockets.is_empty() { "" } else { ", " };
                sockets.push_str(&format!("{comma}{socket}"));
            }
        }
        words
    };
    altered(&words(before), &words(after))
}

fn of_listener(snapshot: &Snapshot, listener: &Listener) -> Words {
    let Listener {
        id: _,
        gateway: _,
        hostname,
        protocol,
        port,
        certificates,
        tls,
        validation,
        filters: guards,
        client_certificate,
        tracing,
        settings,
    } = listener;
    let TlsOptions { minimum_version, cipher_suites } = tls;
    let certificates = certificates.as_ref().map_or_else(
        |why| Some(format!("none, so it is closed: {why}")),
        |set| {
            let named = set.as_ref()?.certificates.iter().map(|one| format!("Secret {} ({})", one.secret, one.fingerprint));
            Some(named.collect::<Vec<_>>().join(", "))
        },
    );
    let validation = validation.as_ref().map(|asked| {
        let optional = if asked.is_optional { "may" } else { "must" };
        format!("clients {optional} hold a certificate of {}", asked.trust.fingerprint)
    });
    let own = client_certificate.as_ref().map(|one| format!("Secret {} ({})", one.secret, one.fingerprint));
    let mut words = Words::new();
    let mut tell = |what: &str, text: Option<String>| {
        if let Some(text) = text {
            words.insert(whole(what), text);
        }
    };
    tell("hostname", hostname.as_deref().map(str::to_owned));
    tell("protocol", Some(format!("{protocol:?}")));
    tell("port", Some(port.to_string()));
    tell("certificates", certificates);
    tell("minimum TLS version", protocol.ends_tls().then(|| format!("{minimum_version:?}")));
    tell("cipher suites", (!cipher_suites.is_empty()).then(|| format!("{cipher_suites:?}")));
    tell("client validation", validation);
    tell("filters", filters(snapshot, guards));
    tell("certificate for backends", own);
    tell("tracing", tracing.as_ref().map(|tracing| snapshot.outline_tracing(tracing)));
    tell("settings", of_settings(settings));
    words
}

fn of_settings(settings: &Settings) -> Option<String> {
    (*settings != Settings::default()).then(|| format!("{settings:?}"))
}

/// Backends, compared by name.
pub(super) fn backends(before: &Snapshot, after: &Snapshot) -> Vec<Altered> {
    let words = |snapshot: &Snapshot| {
        // The same port may be several backends, one for each use.
        snapshot
            .backends()
            .map(|backend| (format!("{} for {:?}", backend.name, backend.name.usage), of_backend(backend)))
            .collect()
    };
    altered(&words(before), &words(after))
}

fn of_backend(backend: &Backend) -> Words {
    let endpoints: Vec<_> = backend.endpoints.iter().map(ToString::to_string).collect();
    let endpoints = if endpoints.is_empty() { "none".to_owned() } else { endpoints.join(", ") };
    [
        (whole("endpoints"), endpoints),
        (whole("protocol"), format!("{:?}", backend.protocol)),
        (whole("security"), secured(&backend.security)),
        (whole("everything but endpoints"), backend.fingerprint().to_string()),
    ]
    .into()
}

fn secured(security: &Security) -> String {
    match security {
        Security::Clear => "in clear".to_owned(),
        Security::Tls(tls) => format!("TLS to {}", tls.identity.server_name),
        Security::Broken(why) => format!("nothing is sent: {why}"),
    }
}

impl fmt::Display for Altered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { of: _, part, what, before, after } = self;
        if !part.is_empty() {
            write!(f, "{part}, ")?;
        }
        match (before, after) {
            (Some(before), Some(after)) => write!(f, "{what}: {before} → {after}"),
            (Some(before), None) => write!(f, "{what} no more: {before}"),
            (None, Some(after)) => write!(f, "{what} now: {after}"),
            (None, None) => Ok(()),
        }
    }
}
