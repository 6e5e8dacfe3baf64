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
    settle(&mut settings, &stated(gateway, objects));
    let settings = Arc::new(settings);
    let class = objects.classes.get(&ObjectName::cluster(&gateway.spec.gateway_class_name));
    if let Some(reference) = class.and_then(|class| class.spec.parameters_ref.as_ref())
        && reference.group == OWN_GROUP
        && reference.kind == Kind::GatewayParameters.as_str()
    {
        let name = ObjectName::new(reference.namespace.as_deref().unwrap_or(""), &reference.name);
        ties.uses.push(ObjectId::new(Kind::GatewayParameters, name));
    }
    let Some(reference) = gateway.spec.infrastructure.as_ref().and_then(|infrastructure| infrastructure.parameters_ref.as_ref())
    else {
        return (settings, None);
    };
    let kind = kind_of(&reference.group, &reference.kind);
    let name = ObjectName::new(gateway.meta.name.namespace(), &reference.name);
    ties.uses.push(ObjectId::new(kind.clone(), name.clone()));
    let fault = |message| Some((Reason::InvalidParameters, message));
    if kind != Kind::GatewayParameters {
        return (
            settings,
            fault(format!(
                "infrastructure.parametersRef names kind {kind} of group {}, which is not known here; GatewayParameters of {OWN_GROUP} are",
                if reference.group.is_empty() { "core" } else { &reference.group }
            )),
        );
    }
    let Some(found) = objects.parameters.get(&name) else {
        let message = format!("infrastructure.parametersRef names GatewayParameters {name}, which does not exist");
        return (settings, fault(message));
    };
    if let Some(why) = violation::of_object(&found.meta) {
        let message = format!("infrastructure.parametersRef names GatewayParameters {name}, which cannot be read: {why}");
        return (settings, fault(message));
    }
    (settings, None)
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

/// Lays stated parameters over settings.
fn settle(settings: &mut Settings, stated: &GatewayParametersSpec) {
    // How Services and pods look is no setting of the data plane.
    let GatewayParametersSpec { trusted_proxies, merge_slashes, limits, service: _, pods: _ } = stated;
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
