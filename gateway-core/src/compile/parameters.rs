//! The settings of a Gateway: its own parameters over its class's over those of the program, field by field.
//!
//! In: a Gateway and the GatewayParameters it and its class name. Out: settings, or why the Gateway's own reference is broken,
//! or what they come to cannot be performed. A broken reference of the class is the class's fault, and its Gateways are served without
//! it.

use std::sync::Arc;

use crate::condition::Reason;
use crate::name::{Kind, OWN_GROUP, ObjectId, ObjectName};
use crate::resource::{Gateway, GatewayParametersSpec};
use crate::snapshot::{Network, Settings};
use crate::support::{Capability, Support};

use super::fault::Fault;
use super::objects::{Objects, kind_of};
use super::ties::Ties;
use super::violation;

/// Merges what settles a Gateway.
pub(super) fn parameters(
    gateway: &Gateway,
    objects: &Objects,
    settings: &Settings,
    support: Support,
    ties: &mut Ties,
) -> (Arc<Settings>, Option<Fault>) {
    let mut settings = settings.clone();
    settle(&mut settings, &stated(gateway, objects));
    let fault = references(gateway, objects, ties).and_then(|()| proxy_protocol(&settings, support)).err();
    (Arc::new(settings), fault.map(|message| (Reason::InvalidParameters, message)))
}

/// What is referred to, and whether the Gateway's own reference is good.
fn references(gateway: &Gateway, objects: &Objects, ties: &mut Ties) -> Result<(), String> {
    let class = objects.classes.get(&ObjectName::cluster(&gateway.spec.gateway_class_name));
    if let Some(reference) = class.and_then(|class| class.spec.parameters_ref.as_ref())
        && reference.group == OWN_GROUP
        && reference.kind == Kind::GatewayParameters.as_str()
    {
        let name = ObjectName::new(reference.namespace.as_deref().unwrap_or(""), &reference.name);
        ties.uses.push(ObjectId::new(Kind::GatewayParameters, name));
    }
    let own = gateway.spec.infrastructure.as_ref().and_then(|infrastructure| infrastructure.parameters_ref.as_ref());
    let Some(reference) = own else { return Ok(()) };
    let kind = kind_of(&reference.group, &reference.kind);
    let name = ObjectName::new(gateway.meta.name.namespace(), &reference.name);
    ties.uses.push(ObjectId::new(kind.clone(), name.clone()));
    if kind != Kind::GatewayParameters {
        let group = if reference.group.is_empty() { "core" } else { &reference.group };
        return Err(format!(
            "infrastructure.parametersRef names kind {kind} of group {group}, which is not known here; GatewayParameters of {OWN_GROUP} are"
        ));
    }
    let named = || format!("infrastructure.parametersRef names GatewayParameters {name}");
    let found = objects.parameters.get(&name).ok_or_else(|| format!("{}, which does not exist", named()))?;
    violation::of_object(&found.meta).map_or(Ok(()), |why| Err(format!("{}, which cannot be read: {why}", named())))
}

/// What is stated for a Gateway: its own parameters over its class's. References that are broken state nothing; a condition says so.
pub(super) fn stated(gateway: &Gateway, objects: &Objects) -> GatewayParametersSpec {
    let of_class = objects.classes.get(&ObjectName::cluster(&gateway.spec.gateway_class_name));
    let of_class = of_class.and_then(|class| class.spec.parameters_ref.as_ref());
    let of_class = of_class.filter(|reference| kind_of(&reference.group, &reference.kind) == Kind::GatewayParameters);
    let of_class = of_class.map(|reference| ObjectName::new(reference.namespace.as_deref().unwrap_or(""), &reference.name));
    let own = gateway.spec.infrastructure.as_ref().and_then(|infrastructure| infrastructure.parameters_ref.as_ref());
    let own = own.filter(|reference| kind_of(&reference.group, &reference.kind) == Kind::GatewayParameters);
    let own = own.map(|reference| ObjectName::new(gateway.meta.name.namespace(), &reference.name));
    let spec = |name: Option<ObjectName>| {
        let found = name.and_then(|name| objects.parameters.get(&name)).filter(|found| found.meta.violations.is_empty());
        found.map(|found| found.spec.clone()).unwrap_or_default()
    };
    spec(own).over(&spec(of_class))
}

/// Whether the headers that connections are to begin with will be read and believed. Otherwise nothing is served: what a proxy sends
/// would be taken for its client's.
fn proxy_protocol(settings: &Settings, support: Support) -> Result<(), String> {
    if settings.proxy_protocol.is_empty() {
        return Ok(());
    }
    if !support.has(Capability::ProxyProtocol) {
        return Err("proxyProtocol is not performed by this data plane".to_owned());
    }
    if settings.trusted_proxies.is_empty() {
        return Err("proxyProtocol states ports, and no trustedProxies say whose connections begin with its header".to_owned());
    }
    Ok(())
}

/// Lays stated parameters over settings.
fn settle(settings: &mut Settings, stated: &GatewayParametersSpec) {
    // How Services and pods look is no setting of the data plane.
    let GatewayParametersSpec { trusted_proxies, proxy_protocol, merge_slashes, limits, service: _, pods: _ } = stated;
    if let Some(networks) = trusted_proxies {
        settings.trusted_proxies = networks.iter().filter_map(|network| Network::parse(network)).collect();
    }
    if let Some(stated) = proxy_protocol {
        settings.proxy_protocol = stated.ports.clone().into();
    }
    settings.merge_slashes = merge_slashes.unwrap_or(settings.merge_slashes);
    if let Some(bytes) = limits.max_header_bytes {
        settings.max_header_bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    }
    settings.header_timeout = limits.header_timeout.map_or(settings.header_timeout, Into::into);
    settings.body_timeout = limits.body_timeout.map_or(settings.body_timeout, Into::into);
    settings.min_body_rate = limits.min_body_rate.unwrap_or(settings.min_body_rate);
    settings.write_timeout = limits.write_timeout.map_or(settings.write_timeout, Into::into);
    settings.max_control_frames = limits.max_control_frames.unwrap_or(settings.max_control_frames);
    settings.idle_timeout = limits.idle_timeout.map_or(settings.idle_timeout, Into::into);
    settings.drain_timeout = limits.drain_timeout.map_or(settings.drain_timeout, Into::into);
}
