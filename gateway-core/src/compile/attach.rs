//! Which routes may attach to which listeners. In: a route, one parentRef, and the listeners of the Gateway or ListenerSet it names.
//! Out: a verdict.
//! Knows nothing of backends or filters: a route with broken backends still attaches, and a broken listener still counts its routes.
//!
//! Invariants: the steps are taken in the order of the specification (section and port, kind, namespace, hostname), so that the
//! reason names the first one that left no listener.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Deref;
use std::sync::Arc;

use crate::condition::Reason;
use crate::name::{Kind, ObjectId};
use crate::resource::{LabelSelector, Meta, ParentRef};

use super::route::Route;

/// What attachment looks at in a listener. When it is unchanged, no route needs to be judged again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Surface {
    pub(super) name: Arc<str>,
    pub(super) port: u16,
    pub(super) protocol: String,
    /// In lower case.
    pub(super) hostname: Option<Arc<str>>,
    /// The kinds it takes.
    pub(super) kinds: Vec<Kind>,
    pub(super) namespaces: Namespaces,
}

/// `allowedRoutes.namespaces`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Namespaces {
    Same,
    All,
    Selector(LabelSelector),
    /// A value nobody knows, or a selector that is missing: admits none.
    Unknown(String),
}

/// Whether a route attaches through one parentRef.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It attaches to these listeners, by index, at least one.
    Attached { listeners: Vec<usize>, message: String },
    /// It does not.
    Refused { reason: Reason, message: String },
}

/// The labels of a namespace, gathered when a selector asks for them.
pub(super) trait Labels: Deref<Target = BTreeMap<String, String>> {}

impl<L: Deref<Target = BTreeMap<String, String>>> Labels for L {}

/// Judges one parentRef of a route. `labels` are those of the route's namespace.
pub(super) fn attach(
    route: &Route,
    parent: &ParentRef,
    holder: &ObjectId,
    listeners: &[&Surface],
    labels: &impl Labels,
) -> Verdict {
    let named: Vec<usize> = (0..listeners.len()).filter(|&at| is_named(parent, listeners[at])).collect();
    if named.is_empty() {
        return Verdict::Refused { reason: Reason::NoMatchingParent, message: no_such_listener(parent, holder, listeners) };
    }
    let mut lost = Vec::new();
    let kind = route.kind();
    let keep = |at: usize, lost: &mut Vec<(usize, String)>, why: Option<String>| match why {
        None => true,
        Some(why) => {
            lost.push((at, why));
            false
        }
    };
    let admitting: Vec<usize> = named.into_iter().filter(|&at| keep(at, &mut lost, kind_refused(&kind, listeners[at]))).collect();
    let admitting: Vec<usize> = admitting
        .into_iter()
        .filter(|&at| keep(at, &mut lost, namespace_refused(route, holder, listeners[at], labels)))
        .collect();
    if admitting.is_empty() {
        return Verdict::Refused { reason: Reason::NotAllowedByListeners, message: refused(holder, listeners, &lost) };
    }
    let carrying: Vec<usize> =
        admitting.into_iter().filter(|&at| keep(at, &mut lost, hostname_refused(route.hostnames(), listeners[at]))).collect();
    if carrying.is_empty() {
        return Verdict::Refused { reason: Reason::NoMatchingListenerHostname, message: refused(holder, listeners, &lost) };
    }
    let message = attached(holder, listeners, &carrying, &lost);
    Verdict::Attached { listeners: carrying, message }
}

/// Whether a listener's hostname and a route's have hosts in common. Both in lower case.
pub(super) fn intersects(listener: Option<&str>, route: &str) -> bool {
    let Some(listener) = listener else { return true };
    match (listener.strip_prefix('*'), route.strip_prefix('*')) {
        (None, None) => listener == route,
        (Some(suffix), None) => is_below(route, suffix),
        (None, Some(suffix)) => is_below(listener, suffix),
        (Some(one), Some(other)) => one.ends_with(other) || other.ends_with(one),
    }
}

/// Whether `host` is one or more labels before `suffix`, which starts with a dot.
fn is_below(host: &str, suffix: &str) -> bool {
    host.len() > suffix.len() && host.ends_with(suffix)
}

fn is_named(parent: &ParentRef, listener: &Surface) -> bool {
    parent.section_name.as_deref().is_none_or(|name| name == &*listener.name)
        && parent.port.is_none_or(|port| port == listener.port)
}

fn kind_refused(kind: &Kind, listener: &Surface) -> Option<String> {
    if listener.kinds.contains(kind) {
        return None;
    }
    let kinds: Vec<&str> = listener.kinds.iter().map(Kind::as_str).collect();
    Some(match kinds.as_slice() {
        [] => format!("takes no route ({})", listener.protocol),
        kinds => format!("takes only {} ({})", kinds.join(" and "), listener.protocol),
    })
}

fn namespace_refused(route: &Route, holder: &ObjectId, listener: &Surface, labels: &impl Labels) -> Option<String> {
    let namespace = route.namespace();
    match &listener.namespaces {
        Namespaces::All => None,
        Namespaces::Same if namespace == holder.name.namespace() => None,
        Namespaces::Same => Some(format!(
            "takes only routes of its own namespace {}, not of {namespace}; allowedRoutes.namespaces.from: All or Selector would admit it",
            holder.name.namespace()
        )),
        Namespaces::Selector(selector) if selector.matches(labels) => None,
        Namespaces::Selector(selector) => Some(unselected(route.kind(), route.meta(), selector, labels)),
        Namespaces::Unknown(why) => Some(why.clone()),
    }
}

/// Says which label of the Namespace is missing, and that the object's own does not count where somebody put it there.
pub(super) fn unselected(kind: Kind, meta: &Meta, selector: &LabelSelector, labels: &BTreeMap<String, String>) -> String {
    let namespace = meta.name.namespace();
    let mut text =
        format!("selects namespaces, and Namespace {namespace} does not satisfy {}", unmet(selector, labels).join(" and "));
    let own = |(key, value): &(&String, &String)| meta.labels.get(*key) == Some(*value);
    if selector.match_labels.iter().any(|pair| own(&pair)) {
        let _ = write!(text, "; the label on the {kind} itself does not count, put it on the Namespace");
    } else if !selector.match_labels.is_empty() {
        let _ = write!(text, "; label Namespace {namespace}");
    }
    text
}

/// What of a selector labels do not meet, as messages say it: nothing where they are selected.
pub(super) fn unmet(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> Vec<String> {
    let pairs = selector.match_labels.iter().filter(|(key, value)| labels.get(*key) != Some(value));
    let terms = selector.match_expressions.iter().filter(|term| !term.matches(labels));
    let pairs = pairs.map(|(key, value)| format!("{key}: {value}"));
    let terms = terms.map(|term| {
        let values = if term.values.is_empty() { String::new() } else { format!(" ({})", term.values.join(", ")) };
        format!("{} {}{values}", term.key, term.operator)
    });
    pairs.chain(terms).collect()
}

fn hostname_refused(hostnames: &[String], listener: &Surface) -> Option<String> {
    let meets = |host: &String| intersects(listener.hostname.as_deref(), &host.to_ascii_lowercase());
    if hostnames.is_empty() || hostnames.iter().any(meets) {
        return None;
    }
    let own = listener.hostname.as_deref().unwrap_or("");
    Some(format!("answers for {own}, which has no host in common with {}", hostnames.join(", ")))
}

fn no_such_listener(parent: &ParentRef, holder: &ObjectId, listeners: &[&Surface]) -> String {
    let mut wanted = String::new();
    if let Some(name) = &parent.section_name {
        let _ = write!(wanted, " named {name}");
    }
    if let Some(port) = parent.port {
        let _ = write!(wanted, " on port {port}");
    }
    let known: Vec<String> = listeners.iter().map(|known| format!("{} (port {})", known.name, known.port)).collect();
    format!("{holder} has no listener{wanted}; its listeners are {}", known.join(", "))
}

fn refused(holder: &ObjectId, listeners: &[&Surface], lost: &[(usize, String)]) -> String {
    let mut text = format!("no listener of {holder} takes this route: ");
    say_lost(&mut text, listeners, lost);
    text
}

fn attached(holder: &ObjectId, listeners: &[&Surface], carrying: &[usize], lost: &[(usize, String)]) -> String {
    let mut text = String::with_capacity(64);
    text.push_str(if carrying.len() == 1 { "carried by listener " } else { "carried by listeners " });
    for (nth, &at) in carrying.iter().enumerate() {
        text.push_str(if nth == 0 { "" } else { ", " });
        text.push_str(&listeners[at].name);
    }
    let _ = write!(text, " of {holder}");
    if !lost.is_empty() {
        text.push_str("; not by others: ");
        say_lost(&mut text, listeners, lost);
    }
    text
}

fn say_lost(text: &mut String, listeners: &[&Surface], lost: &[(usize, String)]) {
    for (nth, (at, why)) in lost.iter().enumerate() {
        let _ = write!(text, "{}listener {} {why}", if nth == 0 { "" } else { "; " }, listeners[*at].name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_and_a_route_hostname_intersect_as_the_table_says() {
        let rows = [
            (None, "a.x", true),
            (Some("a.x"), "a.x", true),
            (Some("*.x"), "a.x", true),
            (Some("*.x"), "a.b.x", true),
            (Some("a.x"), "*.x", true),
            (Some("*.x"), "*.b.x", true),
            (Some("*.b.x"), "*.x", true),
            (Some("*.x"), "x", false),
            (Some("x"), "*.x", false),
            (Some("a.x"), "b.x", false),
            (Some("*.a.x"), "*.b.x", false),
            (Some("*.x"), "ax", false),
        ];
        for (listener, route, expected) in rows {
            assert_eq!(intersects(listener, route), expected, "{listener:?} with {route}");
        }
    }
}
