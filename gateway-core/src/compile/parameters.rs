//! The settings of a Gateway: its own parameters over its class's over those of the program, field by field.
//!
//! In: a Gateway and the GatewayParameters it and its class name. Out: settings, or why the Gateway's own reference is broken. A
//! broken reference of the class is the class's fault, and its Gateways are served without it.

use std::sync::Arc;

use crate::condition::Reason;
use crate::name::{Kind, OWN_GROUP, ObjectId, ObjectName};
use crate::resource::{Gateway, GatewayParametersSpec};
use crate::snapshot::{Network, Settings};

use super::fault::Fault;
use super::objects::{Objects, kind_of};
use super::ties::Ties;
use super::violation;

/// Merges what settles a Gateway.
pub(super) fn parameters(
    gateway: &Gateway,
    objects: &Objects,
    settings: &Settings,
    ties: &mut Ties,
) -> (Arc<Settings>, Option<Fault>) {
    let mut settings = settings.clone();
    let class = objects.classes.get(&ObjectName::cluster(&gateway.spec.gateway_class_name));
    if let Some(reference) = class.and_then(|class| class.spec.parameters_ref.as_ref())
        && reference.group == OWN_GROUP
        && reference.kind == Kind::GatewayParameters.as_str()
    {
        let name = ObjectName::new(reference.namespace.as_deref().unwrap_or(""), &reference.name);
        ties.uses.push(ObjectId::new(Kind::GatewayParameters, name.clone()));
        if let Some(found) = objects.parameters.get(&name).filter(|found| found.meta.violations.is_empty()) {
            settle(&mut settings, &found.spec);
        }
    }
    let Some(reference) = gateway.spec.infrastructure.as_ref().and_then(|infrastructure| infrastructure.parameters_ref.as_ref())
    else {
        return (Arc::new(settings), None);
    };
    let kind = kind_of(&reference.group, &reference.kind);
    let name = ObjectName::new(gateway.meta.name.namespace(), &reference.name);
    ties.uses.push(ObjectId::new(kind.clone(), name.clone()));
    let fault = |message| Some((Reason::InvalidParameters, message));
    if kind != Kind::GatewayParameters {
        return (
            Arc::new(settings),
            fault(format!(
                "infrastructure.parametersRef names kind {kind} of group {}, which is not known here; GatewayParameters of {OWN_GROUP} are",
                if reference.group.is_empty() { "core" } else { &reference.group }
            )),
        );
    }
    let Some(found) = objects.parameters.get(&name) else {
        let message = format!("infrastructure.parametersRef names GatewayParameters {name}, which does not exist");
        return (Arc::new(settings), fault(message));
    };
    if let Some(why) = violation::of_object(&found.meta) {
        let message = format!("infrastructure.parametersRef names GatewayParameters {name}, which cannot be read: {why}");
        return (Arc::new(settings), fault(message));
    }
    settle(&mut settings, &found.spec);
    (Arc::new(settings), None)
}

/// Lays stated parameters over settings.
fn settle(settings: &mut Settings, stated: &GatewayParametersSpec) {
    let GatewayParametersSpec { trusted_proxies, merge_slashes, limits } = stated;
    if let Some(networks) = trusted_proxies {
        settings.trusted_proxies = networks.iter().filter_map(|network| Network::parse(network)).collect();
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
