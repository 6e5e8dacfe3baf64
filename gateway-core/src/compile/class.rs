//! A GatewayClass judged (`GatewayClass`, GEP-922, GEP-2162).
//!
//! In: a class, the parameters it names, the installed bundle. Out: its status. A class that is not accepted still has its
//! Gateways served.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::condition::{Condition, ConditionType, Reason};
use crate::name::{Kind, OWN_GROUP, ObjectId, ObjectName};
use crate::resource::GatewayClass;
use crate::status::{ClassStatus, Feature};
use crate::support::{Installed, Support};

use super::fault::Fault;
use super::objects::{Facts, Objects, kind_of};
use super::status::condition;
use super::{Bundle, Classes, EXPERIMENTAL, Options, violation};

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
    if let Some(why) = violation::of_object(&class.meta) {
        return Err((Reason::Unsupported, why));
    }
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
    let Some(found) = objects.parameters.get(&name) else {
        return fault(format!("spec.parametersRef names GatewayParameters {name}, which does not exist"));
    };
    match violation::of_object(&found.meta) {
        Some(why) => fault(format!("spec.parametersRef names GatewayParameters {name}, which cannot be read: {why}")),
        None => good(),
    }
}

/// What of the Gateway API is installed.
pub(super) fn installed(facts: &Facts) -> Installed {
    version(facts).1
}

/// What the installed bundle means for the class, and what decides which features may be claimed. Of several versions the oldest
/// decides; of one that is not known, the nearest that is.
fn version(facts: &Facts) -> (Result<Fault, Fault>, Installed) {
    let Some(Bundle { crds, trust_bundles }) = &facts.bundle else {
        return (Ok((Reason::SupportedVersion, format!("Gateway API v1.{NEWEST} is spoken"))), Installed::NEWEST);
    };
    let versions: BTreeSet<Option<&str>> = crds.iter().map(|crd| crd.version.as_deref()).collect();
    let read: Vec<Option<Release>> = versions.iter().map(|version| Release::read((*version)?)).collect();
    let is_known = |release: &Release| (OLDEST..=NEWEST).contains(&release.minor);
    let oldest = read.iter().flatten().min().copied().filter(|_| read.iter().all(Option::is_some));
    let oldest = oldest.unwrap_or(Release { minor: OLDEST, patch: 0 });
    let nearest = match oldest.minor {
        ..OLDEST => Release { minor: OLDEST, patch: 0 },
        OLDEST..=NEWEST => oldest,
        _ => Release { minor: NEWEST, patch: 0 },
    };
    let installed = Installed {
        minor: nearest.minor,
        patch: nearest.patch,
        experimental: !crds.is_empty() && crds.iter().all(|crd| crd.channel.as_deref() == Some(EXPERIMENTAL)),
        trust_bundles: *trust_bundles,
    };
    let found = told(&versions);
    if read.is_empty() || !read.iter().all(|release| release.as_ref().is_some_and(is_known)) {
        let message = format!(
            "the CRDs of the Gateway API are annotated with {found}; versions v1.{OLDEST} to v1.{NEWEST} are supported: install all of one of them"
        );
        return (Err((Reason::UnsupportedVersion, message)), installed);
    }
    let channels: BTreeSet<Option<&str>> = crds.iter().map(|crd| crd.channel.as_deref()).collect();
    let message = if versions.len() > 1 || channels.len() > 1 {
        let channels = told(&channels);
        format!(
            "CRDs of Gateway API {found}, channel {channels}, are installed side by side; only what all of them have is claimed"
        )
    } else {
        format!("Gateway API {found} is installed")
    };
    (Ok((Reason::SupportedVersion, message)), installed)
}

/// Annotations as messages list them.
fn told(found: &BTreeSet<Option<&str>>) -> String {
    let texts: Vec<&str> = found.iter().map(|text| text.unwrap_or("nothing")).collect();
    if texts.is_empty() { "nothing".to_owned() } else { texts.join(" and ") }
}

/// A release of the Gateway API, 1.`minor`.`patch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Release {
    minor: u32,
    patch: u32,
}

impl Release {
    /// Reads `v1.7.0`, also with what marks a candidate.
    fn read(version: &str) -> Option<Self> {
        let (minor, patch) = version.strip_prefix("v1.")?.split_once('.')?;
        let patch = patch.split_once('-').map_or(patch, |(patch, _)| patch);
        Some(Self { minor: minor.parse().ok()?, patch: patch.parse().ok()? })
    }
}

const OLDEST: u32 = 5;
const NEWEST: u32 = Installed::NEWEST.minor;
