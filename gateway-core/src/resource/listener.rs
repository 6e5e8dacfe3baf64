//! Listeners: a port, a protocol, perhaps a host name, and which routes may attach.
//!
//! In: an entry of `listeners` as written. Out: the same with every default of the schema in place.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::place::Place;
use super::report::Report;
use super::{
    ExternalAuth, LabelSelector, LocalObjectRef, SecretObjectRef, number, open::open_enum, reference::gateway_group, syntax,
};

/// One listener.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    /// The name, unique within its Gateway.
    pub name: String,
    /// The host name, exact or with a leading `*.`; all when absent.
    #[serde(default)]
    pub hostname: Option<String>,
    /// The port.
    #[serde(deserialize_with = "number::port")]
    pub port: u16,
    /// The protocol.
    #[serde(deserialize_with = "protocol")]
    pub protocol: Protocol,
    /// TLS settings of HTTPS and TLS listeners.
    #[serde(default)]
    pub tls: Option<ListenerTls>,
    /// Which routes may attach.
    #[serde(default)]
    pub allowed_routes: AllowedRoutes,
    /// What runs before a route is chosen.
    #[serde(default)]
    pub filters: Option<ListenerFilters>,
}

/// What holds the listeners: the schemas of the two differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// A Gateway.
    Gateway,
    /// A ListenerSet, whose schema admits filters whatever the protocol, so that they become a condition.
    ListenerSet,
}

/// What must hold of all listeners of an object together, and of each.
pub(super) fn check_all(listeners: &[Listener], holder: Holder, at: &Place<'_>, report: &mut Report) {
    report.count(at, listeners.len(), 1, 64);
    for (index, listener) in listeners.iter().enumerate() {
        listener.check(holder, &at.entry(index), report);
    }
    report.unique(at, listeners.iter().map(|listener| &listener.name), "a name");
    let distinct = listeners.iter().map(|listener| (listener.port, &listener.protocol, &listener.hostname));
    report.unique(at, distinct, "a combination of port, protocol and hostname");
}

impl Listener {
    fn check(&self, holder: Holder, at: &Place<'_>, report: &mut Report) {
        let Self { name, hostname, port: _, protocol, tls, allowed_routes, filters } = self;
        report.text(&at.field("name"), name, syntax::SUBDOMAIN);
        report.optional_text(&at.field("hostname"), hostname.as_deref(), syntax::HOSTNAME);
        report.text(&at.field("protocol"), protocol.as_str(), syntax::PROTOCOL);
        let (has_hostname, has_tls, has_filters) = match protocol {
            Protocol::Http => (true, false, true),
            Protocol::Https => (true, true, true),
            Protocol::Tls => (true, true, false),
            Protocol::Tcp | Protocol::Udp => (false, false, false),
            Protocol::Other(_) => (true, true, false),
        };
        if hostname.is_some() && !has_hostname {
            report.refuse(&at.field("hostname"), format!("expected none, as the protocol is {protocol}, found one"));
        }
        if tls.is_some() && !has_tls {
            report.refuse(&at.field("tls"), format!("expected none, as the protocol is {protocol}, found one"));
        }
        if filters.is_some() && !has_filters && holder == Holder::Gateway {
            report.refuse(&at.field("filters"), format!("expected none, as the protocol is {protocol}, found some"));
        }
        if tls.is_none() && *protocol == Protocol::Tls {
            report.refuse(&at.field("tls"), "expected an object with a mode, as the protocol is TLS, found none");
        }
        if let Some(tls) = tls {
            tls.check(protocol, &at.field("tls"), report);
        }
        report.count(&at.field("allowedRoutes").field("kinds"), allowed_routes.kinds.len(), 0, 8);
        for (index, RouteGroupKind { group, kind }) in allowed_routes.kinds.iter().enumerate() {
            report.text(&at.field("allowedRoutes").field("kinds").entry(index).field("group"), group, syntax::GROUP);
            report.text(&at.field("allowedRoutes").field("kinds").entry(index).field("kind"), kind, syntax::KIND);
        }
        if let Some(filters) = filters {
            filters.check(&at.field("filters").field("requests"), report);
        }
    }
}

open_enum! {
    /// The protocol of a listener.
    Protocol {
        /// HTTP/1.1 and HTTP/2 in the clear.
        Http = "HTTP",
        /// HTTP over TLS.
        Https = "HTTPS",
        /// TLS, passed through or terminated.
        Tls = "TLS",
        /// TCP.
        Tcp = "TCP",
        /// UDP.
        Udp = "UDP",
    }
}

/// The protocols of the API are read whatever their case (ProtocolType).
fn protocol<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Protocol, D::Error> {
    let text = String::deserialize(deserializer)?;
    let known = Protocol::KNOWN.iter().find(|known| known.eq_ignore_ascii_case(&text));
    Ok(Protocol::from(known.map_or(text, |known| (*known).to_owned())))
}

/// TLS settings of a listener.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerTls {
    /// Whether TLS ends here; `Terminate` unless stated.
    #[serde(default = "terminate")]
    pub mode: TlsMode,
    /// The certificates presented to clients.
    #[serde(default)]
    pub certificate_refs: Vec<SecretObjectRef>,
    /// Options of the implementation.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
}

impl ListenerTls {
    fn check(&self, protocol: &Protocol, at: &Place<'_>, report: &mut Report) {
        let Self { mode, certificate_refs, options } = self;
        if *protocol == Protocol::Https && *mode == TlsMode::Passthrough {
            report.refuse(&at.field("mode"), "expected Terminate, as the protocol is HTTPS, found Passthrough");
        }
        if *mode == TlsMode::Terminate && certificate_refs.is_empty() && options.is_empty() {
            report.refuse(&at.field("certificateRefs"), "expected an entry, or options, as the mode is Terminate, found none");
        }
        let place = at.field("certificateRefs");
        report.count(&place, certificate_refs.len(), 0, 64);
        for (index, certificate) in certificate_refs.iter().enumerate() {
            certificate.check(&place.entry(index), report);
        }
        report.annotations(&at.field("options"), options);
    }
}

fn terminate() -> TlsMode {
    TlsMode::Terminate
}

open_enum! {
    /// Whether TLS ends at the listener.
    TlsMode {
        /// It does.
        Terminate = "Terminate",
        /// It is forwarded as it comes.
        Passthrough = "Passthrough",
    }
}

/// Which routes may attach to a listener.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AllowedRoutes {
    /// The namespaces they may be in.
    #[serde(default)]
    pub namespaces: RouteNamespaces,
    /// Their kinds; all the protocol can carry when empty.
    #[serde(default)]
    pub kinds: Vec<RouteGroupKind>,
}

/// The namespaces routes may be in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteNamespaces {
    /// Which namespaces; `Same` unless stated.
    #[serde(default = "from_same")]
    pub from: FromNamespaces,
    /// The selector of `from: Selector`; without one, nothing is selected.
    #[serde(default)]
    pub selector: Option<LabelSelector>,
}

impl Default for RouteNamespaces {
    fn default() -> Self {
        Self { from: FromNamespaces::Same, selector: None }
    }
}

fn from_same() -> FromNamespaces {
    FromNamespaces::Same
}

open_enum! {
    /// Which namespaces something may come from.
    FromNamespaces {
        /// Any.
        All = "All",
        /// Those a selector selects.
        Selector = "Selector",
        /// The namespace of the object that says so.
        Same = "Same",
        /// None.
        None = "None",
    }
}

/// A kind of routes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteGroupKind {
    /// The group; `gateway.networking.k8s.io` unless stated.
    #[serde(default = "gateway_group")]
    pub group: String,
    /// The kind.
    pub kind: String,
}

/// What runs before a route is chosen, by phase.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerFilters {
    /// For every request, in this order.
    #[serde(default)]
    pub requests: Vec<ListenerFilter>,
}

impl ListenerFilters {
    fn check(&self, at: &Place<'_>, report: &mut Report) {
        report.count(at, self.requests.len(), 0, 16);
        for (index, ListenerFilter { filter_type, external_auth, extension_ref }) in self.requests.iter().enumerate() {
            let at = at.entry(index);
            let payloads = [
                ("ExternalAuth", "externalAuth", external_auth.is_some()),
                ("ExtensionRef", "extensionRef", extension_ref.is_some()),
            ];
            report.union(&at, filter_type.as_str(), &payloads);
            if let Some(auth) = external_auth {
                auth.check(&at.field("externalAuth"), report);
            }
            if let Some(extension) = extension_ref {
                extension.check(&at.field("extensionRef"), report);
            }
        }
    }
}

/// One filter of a listener.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerFilter {
    /// Which of the payloads is meant.
    #[serde(rename = "type")]
    pub filter_type: ListenerFilterType,
    /// Ask somebody whether the request may pass.
    #[serde(default)]
    pub external_auth: Option<ExternalAuth>,
    /// A filter of the implementation.
    #[serde(default)]
    pub extension_ref: Option<LocalObjectRef>,
}

open_enum! {
    /// The type of a listener's filter.
    ListenerFilterType {
        /// Ask somebody whether the request may pass.
        ExternalAuth = "ExternalAuth",
        /// A filter of the implementation.
        ExtensionRef = "ExtensionRef",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Object;
    use crate::resource::fixture::{assert_accepted, assert_refused, document, many, object};

    const V1: &str = "gateway.networking.k8s.io/v1";

    fn gateway(listeners: &str) -> String {
        format!("{{gatewayClassName: c, listeners: {listeners}}}")
    }

    fn listener(fields: &str) -> String {
        gateway(&format!("[{{name: a, port: 80, {fields}}}]"))
    }

    #[test]
    fn what_is_left_out_is_filled_in() {
        let yaml = document(
            V1,
            "Gateway",
            "spec: {gatewayClassName: c, listeners: [{name: a, port: 80, protocol: https, tls: {certificateRefs: [{name: s}]}, allowedRoutes: {kinds: [{kind: K}]}}]}",
        );
        let Object::Gateway(gateway) = object(&yaml) else { panic!("no Gateway") };
        let [listener] = &*gateway.spec.listeners else { panic!("one listener") };
        let tls = listener.tls.as_ref().unwrap();
        assert_eq!(listener.protocol, Protocol::Https, "protocols are read whatever their case");
        assert_eq!(tls.mode, TlsMode::Terminate);
        assert_eq!((tls.certificate_refs[0].group.as_str(), tls.certificate_refs[0].kind.as_str()), ("", "Secret"));
        assert_eq!(listener.allowed_routes.namespaces, RouteNamespaces { from: FromNamespaces::Same, selector: None });
        assert_eq!(listener.allowed_routes.kinds[0].group, "gateway.networking.k8s.io");
    }

    #[test]
    fn protocol_decides_what_else_may_be_said() {
        assert_refused(
            V1,
            "Gateway",
            &[
                (
                    listener("protocol: HTTP, tls: {certificateRefs: [{name: s}]}"),
                    "spec.listeners[0].tls",
                    "the protocol is HTTP",
                ),
                (listener("protocol: TCP, tls: {certificateRefs: [{name: s}]}"), "spec.listeners[0].tls", "the protocol is TCP"),
                (listener("protocol: UDP, tls: {certificateRefs: [{name: s}]}"), "spec.listeners[0].tls", "the protocol is UDP"),
                (
                    listener("protocol: HTTPS, tls: {mode: Passthrough}"),
                    "spec.listeners[0].tls.mode",
                    "expected Terminate, as the protocol is HTTPS",
                ),
                (listener("protocol: TLS"), "spec.listeners[0].tls", "an object with a mode"),
                (listener("protocol: TLS, tls: {}"), "spec.listeners[0].tls.certificateRefs", "as the mode is Terminate"),
                (listener("protocol: HTTPS, tls: {}"), "spec.listeners[0].tls.certificateRefs", "or options"),
                (listener("protocol: TCP, hostname: a.b"), "spec.listeners[0].hostname", "the protocol is TCP"),
                (listener("protocol: UDP, hostname: a.b"), "spec.listeners[0].hostname", "the protocol is UDP"),
                (listener("protocol: TCP, filters: {requests: []}"), "spec.listeners[0].filters", "the protocol is TCP"),
                (
                    listener("protocol: TLS, tls: {mode: Passthrough}, filters: {requests: []}"),
                    "spec.listeners[0].filters",
                    "the protocol is TLS",
                ),
                (listener("protocol: a_b"), "spec.listeners[0].protocol", "a protocol such as"),
            ],
        );
        assert_accepted(
            V1,
            "Gateway",
            &[
                listener("protocol: TLS, tls: {mode: Passthrough}"),
                listener("protocol: HTTPS"),
                listener("protocol: HTTPS, tls: {options: {example.com/x: 'y'}}"),
                listener("protocol: HTTPS, tls: {mode: Later, certificateRefs: [{name: s}]}"),
                listener("protocol: INVALID"),
                listener("protocol: example.com/mine"),
                listener("protocol: HTTP, hostname: '*.example.com'"),
            ],
        );
    }

    #[test]
    fn listeners_are_few_and_distinct() {
        let many_listeners = gateway(&many(65, "{name: l#, port: 80, protocol: HTTP, hostname: h#.com}"));
        let refs = many(65, "{name: s#}");
        let options = (0..17).map(|number| format!("a{number}: b")).collect::<Vec<_>>().join(", ");
        let kinds = many(9, "{kind: K#}");
        assert_refused(
            V1,
            "Gateway",
            &[
                (gateway("[]"), "spec.listeners", "1 to 64 entries, found 0"),
                (many_listeners, "spec.listeners", "1 to 64 entries, found 65"),
                (
                    gateway("[{name: a, port: 80, protocol: HTTP}, {name: a, port: 81, protocol: HTTP}]"),
                    "spec.listeners[1]",
                    "a name of its own, found that of entry 0",
                ),
                (
                    gateway("[{name: a, port: 80, protocol: HTTP}, {name: b, port: 80, protocol: HTTP}]"),
                    "spec.listeners[1]",
                    "port, protocol and hostname",
                ),
                (gateway("[{name: a, port: 0, protocol: HTTP}]"), "spec.listeners[0].port", "from 1 to 65535, found integer `0`"),
                (gateway("[{name: A, port: 1, protocol: HTTP}]"), "spec.listeners[0].name", "a DNS name"),
                (listener("protocol: HTTP, hostname: 'a.*.com'"), "spec.listeners[0].hostname", "a lower-case host name"),
                (listener("protocol: HTTP, hostname: ''"), "spec.listeners[0].hostname", "a lower-case host name"),
                (
                    listener(&format!("protocol: HTTPS, tls: {{certificateRefs: {refs}}}")),
                    "spec.listeners[0].tls.certificateRefs",
                    "at most 64",
                ),
                (
                    listener(&format!("protocol: HTTPS, tls: {{options: {{{options}}}}}")),
                    "spec.listeners[0].tls.options",
                    "at most 16",
                ),
                (
                    listener("protocol: HTTPS, tls: {certificateRefs: [{name: s, namespace: Ns}]}"),
                    "spec.listeners[0].tls.certificateRefs[0].namespace",
                    "a DNS label",
                ),
                (
                    listener(&format!("protocol: HTTP, allowedRoutes: {{kinds: {kinds}}}")),
                    "spec.listeners[0].allowedRoutes.kinds",
                    "at most 8",
                ),
                (
                    listener("protocol: HTTP, allowedRoutes: {kinds: [{kind: a b}]}"),
                    "spec.listeners[0].allowedRoutes.kinds[0].kind",
                    "a kind",
                ),
            ],
        );
        assert_accepted(
            V1,
            "Gateway",
            &[
                gateway("[{name: a, port: 80, protocol: HTTP}, {name: b, port: 80, protocol: HTTP, hostname: b.c}]"),
                gateway("[{name: a, port: 53, protocol: TCP}, {name: b, port: 53, protocol: UDP}]"),
            ],
        );
    }

    #[test]
    fn filters_of_a_listener_hold_what_their_type_means() {
        let filters = |requests: &str| listener(&format!("protocol: HTTP, filters: {{requests: {requests}}}"));
        let extension = "extensionRef: {group: e.com, kind: K, name: nm}";
        let auth = "externalAuth: {protocol: HTTP, http: {}, backendRef: {name: b, port: 1}}";
        assert_refused(
            V1,
            "Gateway",
            &[
                (
                    filters(&many(17, &format!("{{type: ExtensionRef, {extension}}}"))),
                    "spec.listeners[0].filters.requests",
                    "at most 16",
                ),
                (
                    filters("[{type: ExtensionRef}]"),
                    "spec.listeners[0].filters.requests[0].extensionRef",
                    "as the type is ExtensionRef, found none",
                ),
                (
                    filters(&format!("[{{type: ExtensionRef, {extension}, {auth}}}]")),
                    "spec.listeners[0].filters.requests[0].externalAuth",
                    "expected nothing, as the type is \"ExtensionRef\"",
                ),
                (
                    filters("[{type: ExternalAuth, externalAuth: {protocol: HTTP, http: {}, backendRef: {name: b}}}]"),
                    "spec.listeners[0].filters.requests[0].externalAuth.backendRef.port",
                    "as the kind is Service",
                ),
            ],
        );
        assert_accepted(V1, "Gateway", &[filters(&format!("[{{type: ExternalAuth, {auth}}}]")), filters("[{type: Later}]")]);
    }
}
