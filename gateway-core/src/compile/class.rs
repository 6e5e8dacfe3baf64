//! A GatewayClass judged (`GatewayClass`, GEP-922, GEP-2162).
//!
//! In: a class, the parameters it names, the installed bundle. Out: its status. A class that is not accepted still has its
//! Gateways served.

use std::sync::Arc;

use crate::condition::{Condition, ConditionType, Reason};
use crate::name::{Kind, OWN_GROUP, ObjectId, ObjectName};
use crate::resource::GatewayClass;
use crate::status::{ClassStatus, Feature};
use crate::support::{Installed, Support};

use super::gateway::Fault;
use super::objects::{Facts, Objects, kind_of};
use super::status::condition;
use super::{Classes, Options};

/// Whether a class is ours.
pub(super) fn is_ours(class: &GatewayClass, options: &Options) -> bool {
    match options.classes {
        Classes::All => true,
        Classes::Named => *class.spec.controller_name == *options.controller_name,
    }
}

/// Judges a class. Returns its status and what it refers to.
pub(super) fn judge(class: &Arc<GatewayClass>, objects: &Objects, support: Support) -> (ClassStatus, Vec<ObjectId>) {
    let mut uses = Vec::new();
    let generation = class.meta.generation;
    let accepted = parameters(class, objects, &mut uses);
    let (version, installed) = version(&objects.facts);
    let conditions: Vec<Condition> = vec![
        condition(ConditionType::Accepted, accepted, generation),
        condition(ConditionType::SupportedVersion, version, generation),
    ];
    let supported_features = support.features(installed).map(|name| Feature { name }).collect();
    (ClassStatus { conditions, supported_features }, uses)
}

fn parameters(class: &GatewayClass, objects: &Objects, uses: &mut Vec<ObjectId>) -> Result<Fault, Fault> {
    let good = || Ok((Reason::Accepted, "the class is accepted".to_owned()));
    let Some(reference) = &class.spec.parameters_ref else { return good() };
    let fault = |message: String| Err((Reason::InvalidParameters, message));
    let kind = kind_of(&reference.group, &reference.kind);
    let namespace = reference.namespace.as_deref().unwrap_or("");
    let name = ObjectName::new(namespace, &reference.name);
    uses.push(ObjectId::new(kind.clone(), name.clone()));
    if kind != Kind::GatewayParameters {
        let group = if reference.group.is_empty() { "core" } else { &reference.group };
        return fault(format!(
            "spec.parametersRef names kind {} of group {group}, which is not known here; GatewayParameters of {OWN_GROUP} are. Gateways of the class are served with defaults",
            reference.kind
        ));
    }
    if namespace.is_empty() {
        return fault("spec.parametersRef names GatewayParameters, which live in a namespace, without stating it".to_owned());
    }
    if objects.parameters.contains_key(&name) {
        return good();
    }
    fault(format!("spec.parametersRef names GatewayParameters {name}, which does not exist"))
}

/// What of the Gateway API is installed.
pub(super) fn installed(facts: &Facts) -> Installed {
    version(facts).1
}

/// What the installed bundle means for the class, and what decides which features may be claimed.
fn version(facts: &Facts) -> (Result<Fault, Fault>, Installed) {
    let Some(bundle) = &facts.bundle else {
        return (Ok((Reason::SupportedVersion, format!("Gateway API v1.{NEWEST} is spoken"))), Installed::NEWEST);
    };
    let installed = |minor| Installed { minor, experimental: bundle.experimental, trust_bundles: bundle.trust_bundles };
    let minor =
        bundle.version.strip_prefix("v1.").and_then(|rest| rest.split(['.', '-']).next()).and_then(|minor| minor.parse().ok());
    match minor.filter(|minor| (OLDEST..=NEWEST).contains(minor)) {
        Some(minor) => (Ok((Reason::SupportedVersion, format!("Gateway API {} is installed", bundle.version))), installed(minor)),
        None => {
            let message =
                format!("Gateway API {} is installed; versions v1.{OLDEST} to v1.{NEWEST} are supported", bundle.version);
            (Err((Reason::UnsupportedVersion, message)), installed(NEWEST))
        }
    }
}

const OLDEST: u32 = 5;
const NEWEST: u32 = Installed::NEWEST.minor;
