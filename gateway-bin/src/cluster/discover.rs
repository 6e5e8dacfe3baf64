//! What is installed: which kinds the API server has, in which version, and how the CRDs of the Gateway API are annotated.
//!
//! In: an API server. Out: resources by subject. A kind that is not there is no error: it can come later. An API server that was just
//! started may leave out kinds though their CRDs are there; so what it shows is compared with those.

use std::collections::{BTreeMap, BTreeSet};

use gateway_core::compile::{Bundle, CrdAnnotations};
use gateway_core::name::{EXPERIMENTAL_GROUP, GATEWAY_GROUP, GroupKind, Kind, OWN_GROUP};
use kube::api::ListParams;
use kube::core::metadata::PartialObjectMeta;
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Client, discovery};
use serde_json::Value;

use super::within;

/// Something that is watched.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Subject {
    /// Objects that are read.
    Object(Kind),
    /// Deployments of ours.
    Deployment,
    /// ServiceAccounts of ours.
    ServiceAccount,
    /// ConfigMaps of ours.
    OwnConfigMap,
    /// What went wrong with Services.
    ServiceEvent,
    /// The ranges of Services' addresses.
    ServiceRange,
}

/// Where objects of a subject are found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Resource {
    pub(crate) api: ApiResource,
    /// Whether an API server may keep it from us, and we do without.
    pub(crate) is_optional: bool,
}

/// All that is installed of what we watch.
pub(crate) type Installed = BTreeMap<Subject, Resource>;

/// What an API server shows.
pub(crate) struct Discovered {
    pub(crate) installed: Installed,
    /// All resources of the groups that were looked at, as CRDs are named.
    names: BTreeSet<String>,
}

impl Discovered {
    /// The first of some CRDs that is left out though the API server says itself that it serves it.
    pub(crate) async fn left_out<'a>(
        &self,
        client: &Client,
        names: impl Iterator<Item = &'a String>,
    ) -> kube::Result<Option<&'a String>> {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &crds());
        for name in names.filter(|name| !self.names.contains(*name)) {
            // A list, as that is permitted anyway.
            let found = within(api.list(&ListParams::default().fields(&format!("metadata.name={name}")))).await?;
            if found.items.iter().any(is_served) {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }
}

/// Whether a CRD's resource is to be found on the API server.
fn is_served(crd: &DynamicObject) -> bool {
    let list = |pointer: &str| crd.data.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    let is_established = list("/status/conditions").any(|one| one["type"] == "Established" && one["status"] == "True");
    let has_version = list("/spec/versions").any(|version| version["served"] == true);
    is_established && has_version && crd.metadata.deletion_timestamp.is_none()
}

/// Asks the API server what it has. `extensions` are kinds of filters of one's own.
pub(crate) async fn discover(client: &Client, extensions: &[GroupKind]) -> kube::Result<Discovered> {
    let mut names = BTreeSet::new();
    let mut installed: Installed = built_in().into_iter().collect();
    let present: BTreeSet<String> = within(client.list_api_groups()).await?.groups.into_iter().map(|group| group.name).collect();
    let extended = extensions.iter().map(|kind| (Kind::Extension(Box::new(kind.clone())), true));
    let kinds: Vec<(Kind, bool)> = KINDS.iter().cloned().chain(extended).collect();
    let groups: BTreeSet<&str> = kinds.iter().map(|(kind, _)| kind.group()).chain([NETWORKING]).collect();
    for name in groups.into_iter().filter(|name| present.contains(*name)) {
        let group = within(discovery::group(client, name)).await?;
        let found = group.resources_by_stability();
        names.extend(found.iter().map(|(api, _)| format!("{}.{}", api.plural, api.group)));
        let find = |kind: &str| found.iter().find(|(api, _)| api.kind == kind).map(|(api, _)| api.clone());
        for (kind, is_optional) in kinds.iter().filter(|(kind, _)| kind.group() == name) {
            if let Some(api) = find(kind.as_str()) {
                installed.insert(Subject::Object(kind.clone()), Resource { api, is_optional: *is_optional });
            }
        }
        if name == NETWORKING
            && let Some(api) = find("ServiceCIDR")
        {
            installed.insert(Subject::ServiceRange, Resource { api, is_optional: true });
        }
    }
    Ok(Discovered { installed, names })
}

/// Whether a CRD is one of the Gateway API, by its name.
pub(crate) fn is_of_gateway_api(crd: &str) -> bool {
    let group = crd.split_once('.').map_or("", |(_, group)| group);
    group == GATEWAY_GROUP || group == EXPERIMENTAL_GROUP
}

/// Whether a CRD concerns what is watched.
pub(crate) fn concerns(crd: &str, extensions: &[GroupKind]) -> bool {
    let group = crd.split_once('.').map_or("", |(_, group)| group);
    is_of_gateway_api(crd)
        || group == OWN_GROUP
        || group == "multicluster.x-k8s.io"
        || extensions.iter().any(|kind| *kind.group == *group)
}

/// What the CRDs say of themselves.
pub(crate) fn bundle<'a>(crds: impl Iterator<Item = &'a PartialObjectMeta<DynamicObject>>, installed: &Installed) -> Bundle {
    let annotations = crds.filter(|crd| crd.metadata.name.as_deref().is_some_and(is_of_gateway_api)).map(|crd| {
        let find = |name: &str| crd.metadata.annotations.as_ref()?.get(name).map(|value| value.as_str().into());
        CrdAnnotations {
            version: find("gateway.networking.k8s.io/bundle-version"),
            channel: find("gateway.networking.k8s.io/channel"),
        }
    });
    Bundle { crds: annotations.collect(), trust_bundles: installed.contains_key(&Subject::Object(Kind::ClusterTrustBundle)) }
}

/// The resource of CRDs.
pub(crate) fn crds() -> ApiResource {
    resource("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions")
}

/// A resource that every API server has.
pub(crate) fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    ApiResource { group: group.into(), version: version.into(), api_version, kind: kind.into(), plural: plural.into() }
}

fn built_in() -> Vec<(Subject, Resource)> {
    let row = |subject, group: &str, kind: &str, plural: &str| {
        (subject, Resource { api: resource(group, "v1", kind, plural), is_optional: false })
    };
    let object = Subject::Object;
    vec![
        row(object(Kind::Namespace), "", "Namespace", "namespaces"),
        row(object(Kind::Service), "", "Service", "services"),
        row(object(Kind::Secret), "", "Secret", "secrets"),
        row(object(Kind::ConfigMap), "", "ConfigMap", "configmaps"),
        row(object(Kind::EndpointSlice), "discovery.k8s.io", "EndpointSlice", "endpointslices"),
        row(Subject::Deployment, "apps", "Deployment", "deployments"),
        row(Subject::ServiceAccount, "", "ServiceAccount", "serviceaccounts"),
        row(Subject::OwnConfigMap, "", "ConfigMap", "configmaps"),
        row(Subject::ServiceEvent, "", "Event", "events"),
    ]
}

/// Kinds that may be installed or not, and whether it is no matter when they are kept from us.
const KINDS: [(Kind, bool); 17] = [
    (Kind::GatewayClass, false),
    (Kind::Gateway, false),
    (Kind::HttpRoute, false),
    (Kind::ReferenceGrant, false),
    (Kind::ListenerSet, true),
    (Kind::GrpcRoute, true),
    (Kind::TlsRoute, true),
    (Kind::TcpRoute, true),
    (Kind::UdpRoute, true),
    (Kind::BackendTlsPolicy, true),
    (Kind::XBackendTrafficPolicy, true),
    (Kind::XTelemetryPolicy, true),
    (Kind::XBackend, true),
    (Kind::ServiceImport, true),
    (Kind::ClusterTrustBundle, true),
    (Kind::DirectResponse, true),
    (Kind::GatewayParameters, true),
];

const NETWORKING: &str = "networking.k8s.io";
