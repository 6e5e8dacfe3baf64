//! XTelemetryPolicy (GEP-4768): which requests of a Gateway become spans, and the collector that receives them.
//!
//! In: a policy, where its reference leads, how its targets stand. Out: what holds for listeners of the Gateways it targets, and what
//! is said of it to each of these. A collector that cannot be used is said, and costs spans alone.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use crate::condition::Reason;
use crate::name::{Kind, ObjectId, ObjectName};
use crate::resource::{
    AttributeSource, BackendObjectRef, Fraction, ParentBasedSampling, ServicePort, SpanAttribute, TelemetryMode, TracingProvider,
    TransportProtocol, XBackendProtocol, XTelemetryPolicy,
};
use crate::snapshot::{
    self as traffic, AttributeKey, AttributeValue, BackendId, ExportHeaders, ExportProtocol, Rate, Sampling, Spans, Tracing,
    Usage,
};
use crate::status::PolicyStatus;
use crate::support::Capability;

use super::super::age::{self, age};
use super::super::fault::Fault;
use super::super::objects::{Objects, kind_of};
use super::super::references::World;
use super::super::ties::Ties;
use super::super::{Options, violation};
use super::report::{MOST_ANCESTORS, entry, no_room};
use super::{Asks, Held, Policies, Policy, Target};

/// How a Gateway stands to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::compile) enum Standing {
    /// It does not exist.
    Missing,
    /// It is another controller's: nothing is said of it.
    Foreign,
    /// It is ours and serves nothing, as it is not accepted.
    Refused,
    /// It is ours.
    Accepted,
}

/// Judges a policy by itself, knowing how Gateways stand.
pub(in crate::compile) fn judge(
    id: &ObjectId,
    policy: &XTelemetryPolicy,
    standing: impl Fn(&ObjectName) -> Standing,
    world: &mut World<'_>,
    options: &Options,
) -> Policy {
    let (targets, mut remarks) = targets(policy);
    let held = Held::of(policy.status.as_ref(), &options.controller_name);
    let concerned = targets.iter().map(|target| &target.object.name).filter(|name| standing(name) != Standing::Foreign);
    let barred = held.fit(MOST_ANCESTORS, concerned.cloned().collect()).barred;
    remarks.extend(age::remark(&policy.meta));
    remarks.extend(barred.iter().map(|gateway| no_room(gateway, "", MOST_ANCESTORS)));
    let is_idle = targets.iter().all(|target| standing(&target.object.name) == Standing::Foreign);
    let mut ties = Ties::default();
    let read = if is_idle { Ok(Read::default()) } else { read(id, policy, world, &mut ties, options) };
    ties.settle();
    let (read, fault) = match read {
        Ok(read) => (read, None),
        Err(fault) => (Read::default(), Some(fault)),
    };
    Policy {
        age: age(&policy.meta),
        generation: policy.meta.generation,
        targets,
        fault,
        resolved: read.resolved,
        asks: Asks::Tracing { tracing: read.tracing.map(Arc::new), told: read.told },
        ties,
        remarks,
        held,
        barred: barred.into(),
        needed: Vec::new(),
        ways: Vec::new(),
    }
}

/// The Gateways it targets, sorted; what is said of other targets.
fn targets(policy: &XTelemetryPolicy) -> (Vec<Target>, Vec<String>) {
    let (mut found, mut remarks) = (Vec::new(), Vec::new());
    for target in &policy.spec.target_refs {
        let object =
            ObjectId::new(kind_of(&target.group, &target.kind), ObjectName::new(policy.meta.name.namespace(), &target.name));
        if object.kind == Kind::Gateway {
            found.push(Target { object, section: None });
        } else {
            let (kind, group) = (&target.kind, &target.group);
            remarks.push(format!(
                "targetRef {kind}.{group} {} is without effect: only Gateways of gateway.networking.k8s.io are targets here",
                target.name
            ));
        }
    }
    found.sort_unstable();
    found.dedup();
    (found, remarks)
}

/// What a policy comes to.
#[derive(Debug, Default)]
struct Read {
    /// `None` for what data planes do where nothing is said.
    tracing: Option<Tracing>,
    /// What its reference comes to, where it has one.
    resolved: Option<Result<(), Fault>>,
    /// What an accepted policy does not do.
    told: Vec<String>,
}

fn read(
    id: &ObjectId,
    policy: &XTelemetryPolicy,
    world: &mut World<'_>,
    ties: &mut Ties,
    options: &Options,
) -> Result<Read, Fault> {
    let invalid = |message: String| Err((Reason::Invalid, message));
    if let Some(message) = violation::of_object(&policy.meta) {
        return invalid(message);
    }
    if !options.support.has(Capability::Tracing) {
        return invalid("tracing is not performed by this data plane: no span is made of any request".to_owned());
    }
    let stated = &policy.spec.tracing;
    match &stated.mode {
        TelemetryMode::Enabled => {}
        TelemetryMode::Disabled => return Ok(Read { tracing: Some(Tracing::Disabled), ..Read::default() }),
        TelemetryMode::ImplementationDefault => {
            let told = vec!["where nothing else is said, no span is made of any request".to_owned()];
            return Ok(Read { told, ..Read::default() });
        }
        TelemetryMode::Other(unknown) => {
            return invalid(format!("spec.tracing.mode {unknown} is not known; use Enabled, Disabled or ImplementationDefault"));
        }
    }
    let Some(TracingProvider { backend_ref, headers }) = &stated.provider else {
        return invalid("spec.tracing.provider is missing, as the mode is Enabled".to_owned());
    };
    let parents = parents(stated.parent_based_sampling.as_ref())?;
    let headers = headers.iter().map(|header| export_header(&header.name, &header.value)).collect::<Result<Box<[_]>, Fault>>()?;
    let mut told = Vec::new();
    let attributes = stated.attributes.iter().filter_map(|attribute| match value(attribute) {
        Ok(value) => Some(traffic::SpanAttribute { name: attribute.name.as_str().into(), value }),
        Err(why) => {
            told.push(format!("attribute {} is omitted: {why}", attribute.name));
            None
        }
    });
    let attributes = attributes.collect();
    let (protocol, collector) = collector(id, backend_ref, world, ties);
    if collector.is_err() {
        told.push("no span is exported, as its collector cannot be used".to_owned());
    }
    let spans = Spans {
        collector: collector.as_ref().ok().copied(),
        protocol,
        headers: ExportHeaders(headers),
        sampling: Sampling { own: stated.sampling_rate.as_ref().map_or(Rate::ALL, rate), parents },
        service_name: stated.service_name.as_deref().map(Into::into),
        span_name: stated.span_name.as_deref().map(Into::into),
        attributes,
    };
    Ok(Read { tracing: Some(Tracing::Enabled(spans)), resolved: Some(collector.map(|_| ())), told })
}

/// Of what parents say, how much counts. Where nothing is said, it does not; where that is left to us, all of it.
fn parents(stated: Option<&ParentBasedSampling>) -> Result<Option<Rate>, Fault> {
    let Some(ParentBasedSampling { mode, sampling_rate }) = stated else { return Ok(None) };
    match mode {
        TelemetryMode::Enabled | TelemetryMode::ImplementationDefault => {
            Ok(Some(sampling_rate.as_ref().map_or(Rate::new(100, 100), rate)))
        }
        TelemetryMode::Disabled => Ok(None),
        TelemetryMode::Other(unknown) => Err((
            Reason::Invalid,
            format!(
                "spec.tracing.parentBasedSampling.mode {unknown} is not known; use Enabled, Disabled or ImplementationDefault"
            ),
        )),
    }
}

fn rate(stated: &Fraction) -> Rate {
    Rate::new(stated.numerator, stated.denominator)
}

fn export_header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Fault> {
    let refuse = |what: &str| (Reason::Invalid, format!("spec.tracing.provider.headers: {name:?} {what}"));
    let read = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refuse("is not a header name"))?;
    let mut value = HeaderValue::from_str(value).map_err(|_| refuse("has a value that a header cannot hold"))?;
    value.set_sensitive(true);
    Ok((read, value))
}

/// Where the value of an attribute comes from, or why nowhere.
fn value(stated: &SpanAttribute) -> Result<AttributeValue, String> {
    let SpanAttribute { name: _, source_type, header_name, literal_value, attribute_key } = stated;
    match (source_type, header_name, literal_value, attribute_key) {
        (AttributeSource::Header, Some(header), _, _) => HeaderName::from_bytes(header.as_bytes())
            .map(AttributeValue::Header)
            .map_err(|_| format!("{header:?} is not a header name")),
        (AttributeSource::Literal, _, Some(text), _) => Ok(AttributeValue::Literal(text.as_str().into())),
        (AttributeSource::Attribute, _, _, Some(key)) => AttributeKey::read(key)
            .map(AttributeValue::Known)
            .ok_or_else(|| format!("attributeKey {key} is not known here; keys are those of GEP-5253")),
        (AttributeSource::Header | AttributeSource::Literal | AttributeSource::Attribute, ..) => {
            Err(format!("it states no value of source type {source_type}"))
        }
        (AttributeSource::Other(unknown), ..) => {
            Err(format!("source type {unknown} is not known; use Header, Literal or Attribute"))
        }
    }
}

/// The collector, and how spans are sent to it.
fn collector(
    id: &ObjectId,
    reference: &BackendObjectRef,
    world: &mut World<'_>,
    ties: &mut Ties,
) -> (ExportProtocol, Result<BackendId, Fault>) {
    let target = ObjectId::new(kind_of(&reference.group, &reference.kind), reference.target(id.name.namespace()));
    let protocol = export_protocol(&target, reference.port, world.sources.objects);
    let usage = match protocol {
        ExportProtocol::Grpc => Usage::Grpc,
        ExportProtocol::Http => Usage::Http,
    };
    let found = world.backend(id, reference, usage, ties);
    if found.as_ref().err().is_none_or(|(reason, _)| *reason != Reason::RefNotPermitted) {
        // What its port is called decides how spans are sent.
        ties.uses.push(target);
    }
    (protocol, found)
}

/// How spans are sent: as the port's `appProtocol` says, or else its name (`otlp-http`, `http`, `otlp-grpc`), or the protocol of an
/// XBackend; over gRPC where none of them says anything.
fn export_protocol(target: &ObjectId, port: Option<u16>, objects: &Objects) -> ExportProtocol {
    if target.kind == Kind::XBackend {
        return match objects.xbackends.get(&target.name).and_then(|backend| backend.spec.protocol.as_ref()) {
            Some(XBackendProtocol::Http | XBackendProtocol::Http11) => ExportProtocol::Http,
            _ => ExportProtocol::Grpc,
        };
    }
    let is_it = |stated: &&ServicePort| Some(stated.port) == port && stated.protocol == TransportProtocol::Tcp;
    let found = objects.ports(target).and_then(|ports| ports.iter().find(is_it));
    found.map_or(ExportProtocol::Grpc, of_port)
}

fn of_port(port: &ServicePort) -> ExportProtocol {
    match port.app_protocol.as_deref() {
        Some("http" | "https") => return ExportProtocol::Http,
        Some("grpc" | "kubernetes.io/h2c") => return ExportProtocol::Grpc,
        Some(_) | None => {}
    }
    let mut words = port.name.split('-');
    if words.any(|word| matches!(word, "http" | "https")) { ExportProtocol::Http } else { ExportProtocol::Grpc }
}

/// The status of a policy: an entry for each Gateway it targets, but for those that are others'.
pub(in crate::compile) fn status(
    id: &ObjectId,
    policy: &Policy,
    policies: &Policies,
    standing: impl Fn(&ObjectName) -> Standing,
    controller_name: &Arc<str>,
) -> PolicyStatus {
    let told = |target: &Target| {
        let gateway = &target.object.name;
        let standing = standing(gateway);
        if standing == Standing::Foreign || policy.barred.contains(gateway) {
            return None;
        }
        Some(entry(gateway, policy, accepted(id, policy, target, standing, policies), controller_name))
    };
    PolicyStatus {
        ancestors: policy.targets.iter().filter_map(told).collect(),
        left_out: policy.barred.to_vec(),
        controller_name: Arc::clone(controller_name),
        limit: MOST_ANCESTORS,
    }
}

fn accepted(id: &ObjectId, policy: &Policy, target: &Target, standing: Standing, policies: &Policies) -> Result<Fault, Fault> {
    let object = &target.object;
    if standing == Standing::Missing {
        return Err((Reason::TargetNotFound, format!("{object} does not exist")));
    }
    if let Some(first) = policies.first(&id.kind, target).filter(|first| *first != id) {
        return Err((Reason::Conflicted, format!("{first} targets {object} too and goes first")));
    }
    if let Some(fault) = &policy.fault {
        return Err(fault.clone());
    }
    if standing == Standing::Refused {
        return Err((Reason::Invalid, format!("{object} is not accepted, so there is nothing to trace")));
    }
    let mut message = "the policy is in force".to_owned();
    if let Asks::Tracing { told, .. } = &policy.asks {
        told.iter().for_each(|more| message.push_str(&format!("; {more}")));
    }
    Ok((Reason::Accepted, message))
}
