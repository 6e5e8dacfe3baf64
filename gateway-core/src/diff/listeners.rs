//! What connections meet at sockets and listeners before any rule, in the words of manifests.
//!
//! In: the snapshots of both sides. Out: what is said of each listener and socket on one side and not, or not alike, on the other. Settings
//! are told where they are not those of a Gateway without GatewayParameters.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::compile::written_options;
use crate::explain::span;
use crate::snapshot::{
    AttributeValue, Certificate, ExportProtocol, Fingerprint, Listener, Protocol, Rate, Sampling, Settings, Snapshot,
    SpanAttribute, Spans, Tracing,
};

use super::told::{Altered, Said, Words, altered};
use super::words::filters;

/// What connections meet at listeners before any rule, compared.
pub(super) fn listeners(before: &Snapshot, after: &Snapshot) -> Vec<Altered> {
    altered(&words(before), &words(after))
}

fn words(snapshot: &Snapshot) -> BTreeMap<String, Words> {
    let mut words: BTreeMap<String, Words> = BTreeMap::new();
    for (socket, listeners) in snapshot.sockets() {
        let told = of_settings(&listeners.settings);
        if !told.is_empty() {
            words.insert(format!("socket {socket}"), told);
        }
        for listener in listeners.iter() {
            let of_one = words.entry(listener.id.to_string()).or_insert_with(|| of_listener(snapshot, listener));
            let sockets = &mut of_one.entry((String::new(), "sockets".to_owned())).or_default().text;
            let comma = if sockets.is_empty() { "" } else { ", " };
            sockets.push_str(&format!("{comma}{socket}"));
        }
    }
    words
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
    let mut words = of_settings(settings);
    let mut tell = |what: &str, said: Option<Said>| {
        if let Some(said) = said {
            words.insert((String::new(), what.to_owned()), said);
        }
    };
    let (spoken, mode) = written(*protocol);
    tell("hostname", hostname.as_deref().map(Said::of));
    tell("protocol", Some(Said::of(spoken)));
    tell("port", Some(Said::of(port)));
    tell("tls.mode", mode.map(Said::of));
    tell(
        "tls.certificateRefs",
        match certificates {
            Ok(None) => None,
            Ok(Some(set)) => Some(secrets(&set.certificates)),
            Err(why) => Some(Said::of(format!("none to use, so it is closed: {why}"))),
        },
    );
    for (option, value) in written_options(tls) {
        tell(&format!("tls.options {option}"), Some(Said::of(value)));
    }
    tell(
        "client certificates",
        validation.as_ref().map(|asked| {
            let mode = if asked.is_optional { "AllowInsecureFallback" } else { "AllowValidOnly" };
            Said::with(asked.trust.to_string(), asked.trust.fingerprint).after(&format!("{mode}, by "))
        }),
    );
    match guards {
        Ok(guards) => tell("filters.requests", filters(snapshot, guards)),
        Err(why) => tell("requests", Some(Said::of(format!("all are answered 500: {why}")))),
    }
    tell("certificate for backends", client_certificate.as_ref().map(|one| secrets(std::slice::from_ref(one))));
    for (field, said) in tracing.iter().flat_map(|tracing| of_tracing(snapshot, tracing)) {
        tell(&format!("tracing.{field}"), Some(said));
    }
    words
}

/// A protocol as listeners state it, and the mode of its TLS where there are several.
fn written(protocol: Protocol) -> (&'static str, Option<&'static str>) {
    match protocol {
        Protocol::Http => ("HTTP", None),
        Protocol::Https => ("HTTPS", None),
        Protocol::TlsTerminate => ("TLS", Some("Terminate")),
        Protocol::TlsPassthrough => ("TLS", Some("Passthrough")),
        Protocol::Tcp => ("TCP", None),
        Protocol::Udp => ("UDP", None),
    }
}

/// The Secrets of certificates.
pub(super) fn secrets(certificates: &[Arc<Certificate>]) -> Said {
    let each = certificates.iter().map(|one| Said::with(format!("Secret {}", one.secret), one.fingerprint));
    Said::list(each)
}

/// Settings as GatewayParameters state them, where they are not the defaults.
fn of_settings(settings: &Settings) -> Words {
    let told = settings_in_words(settings).into_iter().zip(settings_in_words(&Settings::default()));
    let told = told.filter(|(stated, default)| stated != default);
    told.map(|((field, value), _)| ((String::new(), field.to_owned()), Said::of(value))).collect()
}

fn settings_in_words(settings: &Settings) -> [(&'static str, String); 11] {
    let Settings {
        trusted_proxies,
        proxy_protocol,
        merge_slashes,
        max_header_bytes,
        header_timeout,
        body_timeout,
        min_body_rate,
        write_timeout,
        idle_timeout,
        max_control_frames,
        drain_timeout,
    } = settings;
    let list = |of: Vec<String>| format!("[{}]", of.join(", "));
    [
        ("trustedProxies", list(trusted_proxies.iter().map(ToString::to_string).collect())),
        ("proxyProtocol.ports", list(proxy_protocol.iter().map(ToString::to_string).collect())),
        ("mergeSlashes", merge_slashes.to_string()),
        ("limits.maxHeaderBytes", max_header_bytes.to_string()),
        ("limits.headerTimeout", span(*header_timeout)),
        ("limits.bodyTimeout", span(*body_timeout)),
        ("limits.minBodyRate", min_body_rate.to_string()),
        ("limits.writeTimeout", span(*write_timeout)),
        ("limits.idleTimeout", span(*idle_timeout)),
        ("limits.maxControlFrames", max_control_frames.to_string()),
        ("limits.drainTimeout", span(*drain_timeout)),
    ]
}

/// What an XTelemetryPolicy asks for, by field. The values of headers may be secrets.
fn of_tracing(snapshot: &Snapshot, tracing: &Tracing) -> Vec<(&'static str, Said)> {
    let Tracing::Enabled(spans) = tracing else { return vec![("mode", Said::of("Disabled"))] };
    let Spans { collector, protocol, headers, sampling, service_name, span_name, attributes } = spans;
    let Sampling { own, parents } = sampling;
    let collector = match collector.map(|id| snapshot.backend(id)) {
        Some(Some(backend)) => backend.name.to_string(),
        Some(None) | None => "nobody".to_owned(),
    };
    let over = match protocol {
        ExportProtocol::Grpc => "gRPC",
        ExportProtocol::Http => "HTTP",
    };
    let mut told = vec![
        ("mode", Said::of("Enabled")),
        ("provider.backendRef", Said::of(format!("{collector}, over {over}"))),
        ("samplingRate", Said::of(rate(*own))),
        (
            "parentBasedSampling",
            Said::of(match parents {
                None => "{mode: Disabled}".to_owned(),
                Some(parents) => format!("{{mode: Enabled, samplingRate: {}}}", rate(*parents)),
            }),
        ),
    ];
    let header = |(name, value): &(http::HeaderName, http::HeaderValue)| {
        Said::with(format!("header {name}"), Fingerprint::of([value.as_bytes()]))
    };
    let stated = |name: &Option<Arc<str>>| name.as_deref().map(Said::of);
    told.extend((!headers.0.is_empty()).then(|| ("provider.headers", Said::list(headers.0.iter().map(header)))));
    told.extend(stated(service_name).map(|name| ("serviceName", name)));
    told.extend(stated(span_name).map(|name| ("spanName", name)));
    told.extend((!attributes.is_empty()).then(|| {
        let each: Vec<_> = attributes.iter().map(attribute).collect();
        ("attributes", Said::of(format!("[{}]", each.join(", "))))
    }));
    told
}

fn rate(rate: Rate) -> String {
    let (numerator, denominator) = rate.fraction();
    format!("{{numerator: {numerator}, denominator: {denominator}}}")
}

fn attribute(SpanAttribute { name, value }: &SpanAttribute) -> String {
    match value {
        AttributeValue::Header(header) => format!("{{name: {name}, headerName: {header}}}"),
        AttributeValue::Literal(text) => format!("{{name: {name}, literalValue: {text}}}"),
        AttributeValue::Known(key) => format!("{{name: {name}, attributeKey: {key}}}"),
    }
}
