//! What is made for a Gateway: a ServiceAccount, a ConfigMap, a Deployment of proxies, and Services for its addresses (GEP-1762).
//!
//! In: a Gateway, the ports of its listeners, what it asks for in addresses, what proxies are started with. Out: manifests, whole.
//! Nothing is written here.
//!
//! Invariants: every name is a label of at most 63 characters; no two Gateways share one; proxies have no permission in the
//! cluster and no token but one for the controller.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use gateway_core::name::ObjectName;
use gateway_core::resource::Gateway;
use gateway_core::snapshot::Transport;
use serde_json::{Value, json};

use super::address::{Asking, Means};
use super::child::Child;
use super::discover::Subject;
use crate::wire::AUDIENCE;

/// What is the same for all proxies.
#[derive(Clone, Debug)]
pub(crate) struct Outfit {
    pub(crate) controller_name: String,
    pub(crate) image: String,
    /// Where proxies find the controller.
    pub(crate) controller: SocketAddr,
    /// The certificate by which they know it.
    pub(crate) authority: String,
}

/// The ports of a Gateway's listeners.
pub(crate) type Ports = BTreeSet<(u16, Transport)>;

/// All that is to be made for a Gateway. A Gateway without ports has no Services: there is none without ports.
pub(crate) fn children(gateway: &Gateway, ports: &Ports, asking: &[Asking], outfit: &Outfit) -> Vec<Child> {
    let base = base_name(gateway);
    let made = Made { gateway, base: &base, outfit };
    let mut children = vec![
        made.child(
            Subject::ServiceAccount,
            &base,
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "automountServiceAccountToken": false}),
        ),
        made.child(
            Subject::OwnConfigMap,
            &base,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"ca.crt": outfit.authority}}),
        ),
        made.child(Subject::Deployment, &base, made.deployment()),
    ];
    if !ports.is_empty() {
        for one in asking {
            children.extend(made.service(one, ports));
        }
    }
    children
}

/// The ServiceAccount of a Gateway's proxies.
pub(crate) fn account(gateway: &Gateway) -> ObjectName {
    ObjectName::new(gateway.meta.name.namespace(), &base_name(gateway))
}

/// The name of the Service that puts a request for an address.
pub(crate) fn service_name(gateway: &Gateway, asking: &Asking) -> ObjectName {
    let base = base_name(gateway);
    let name = asking.suffix.as_ref().map_or_else(|| base.clone(), |suffix| format!("{base}-{suffix}"));
    ObjectName::new(gateway.meta.name.namespace(), &name)
}

/// The Gateway that an object of ours is for, where it is one of this controller's.
pub(crate) fn gateway_of(document: &Value, controller_name: &str) -> Option<ObjectName> {
    let metadata = document.get("metadata")?;
    let annotation = |name: &str| metadata.get("annotations")?.get(name)?.as_str();
    let namespace = metadata.get("namespace")?.as_str()?;
    let is_managed = metadata.get("labels")?.get(MANAGED_BY)?.as_str() == Some(MANAGER);
    let gateway = annotation(GATEWAY_ANNOTATION)?;
    (is_managed && annotation(CONTROLLER_ANNOTATION)? == controller_name).then(|| ObjectName::new(namespace, gateway))
}

/// What everything made for one Gateway has in common.
struct Made<'a> {
    gateway: &'a Gateway,
    base: &'a str,
    outfit: &'a Outfit,
}

impl Made<'_> {
    fn child(&self, subject: Subject, name: &str, mut manifest: Value) -> Child {
        let namespace = self.gateway.meta.name.namespace();
        manifest["metadata"] = json!({
            "name": name,
            "namespace": namespace,
            "labels": self.labels(),
            "annotations": self.annotations(),
            "ownerReferences": [{
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "Gateway",
                "name": self.gateway.meta.name.name(),
                "uid": self.gateway.meta.uid.as_deref().unwrap_or_default(),
                "controller": true,
            }],
        });
        Child { subject, name: ObjectName::new(namespace, name), manifest }
    }

    fn labels(&self) -> BTreeMap<String, String> {
        let stated = self.gateway.spec.infrastructure.as_ref().map(|infrastructure| infrastructure.labels.clone());
        let own = [
            (MANAGED_BY, MANAGER.to_owned()),
            ("app.kubernetes.io/name", "pingora-gateway-proxy".to_owned()),
            ("gateway.networking.k8s.io/gateway-name", label(self.gateway.meta.name.name())),
            ("gateway.networking.k8s.io/gateway-class-name", label(&self.gateway.spec.gateway_class_name)),
            (SELECTOR, self.base.to_owned()),
        ];
        // Ours are what finds these objects again, whatever the Gateway states.
        stated.unwrap_or_default().into_iter().chain(own.map(|(name, value)| (name.to_owned(), value))).collect()
    }

    fn annotations(&self) -> BTreeMap<String, String> {
        let stated = self.gateway.spec.infrastructure.as_ref().map(|infrastructure| infrastructure.annotations.clone());
        let own = [
            (GATEWAY_ANNOTATION, self.gateway.meta.name.name().to_owned()),
            (CONTROLLER_ANNOTATION, self.outfit.controller_name.clone()),
        ];
        stated.unwrap_or_default().into_iter().chain(own.map(|(name, value)| (name.to_owned(), value))).collect()
    }

    fn deployment(&self) -> Value {
        let probe = |path: &str, period: u32| json!({"httpGet": {"path": path, "port": ADMIN_PORT, "scheme": "HTTP"}, "periodSeconds": period, "timeoutSeconds": 2, "failureThreshold": 3});
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "spec": {
                "selector": {"matchLabels": {SELECTOR: self.base}},
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
                "template": {
                    "metadata": {"labels": self.labels(), "annotations": self.annotations()},
                    "spec": {
                        "serviceAccountName": self.base,
                        "automountServiceAccountToken": false,
                        "enableServiceLinks": false,
                        "terminationGracePeriodSeconds": 45,
                        "securityContext": {
                            "runAsNonRoot": true,
                            "runAsUser": USER,
                            "runAsGroup": USER,
                            "fsGroup": USER,
                            "seccompProfile": {"type": "RuntimeDefault"},
                            "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}],
                        },
                        "containers": [{
                            "name": "proxy",
                            "image": self.outfit.image,
                            "args": [
                                "proxy",
                                format!("--controller={}", self.outfit.controller),
                                format!("--gateway={}", self.gateway.meta.name),
                                "--authority=/var/run/gateway/authority/ca.crt",
                                "--token=/var/run/gateway/token/token",
                                "--keep=/var/run/gateway/kept",
                                format!("--admin=0.0.0.0:{ADMIN_PORT}"),
                                "--shutdown-delay=3s",
                            ],
                            "securityContext": {
                                "allowPrivilegeEscalation": false,
                                "readOnlyRootFilesystem": true,
                                "capabilities": {"drop": ["ALL"]},
                            },
                            "readinessProbe": probe("/readyz", 1),
                            "livenessProbe": probe("/healthz", 10),
                            "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
                            "volumeMounts": [
                                {"name": "authority", "mountPath": "/var/run/gateway/authority", "readOnly": true},
                                {"name": "token", "mountPath": "/var/run/gateway/token", "readOnly": true},
                                {"name": "kept", "mountPath": "/var/run/gateway/kept"},
                            ],
                        }],
                        "volumes": [
                            {"name": "authority", "configMap": {"name": self.base}},
                            {"name": "token", "projected": {"sources": [
                                {"serviceAccountToken": {"audience": AUDIENCE, "expirationSeconds": 3600, "path": "token"}},
                            ]}},
                            {"name": "kept", "emptyDir": {"medium": "Memory", "sizeLimit": "128Mi"}},
                        ],
                    },
                },
            },
        })
    }

    fn service(&self, asking: &Asking, ports: &Ports) -> Option<Child> {
        let mut spec = match &asking.means {
            Means::LoadBalancer(None) => json!({"type": "LoadBalancer"}),
            Means::LoadBalancer(Some(address)) => json!({"type": "LoadBalancer", "loadBalancerIP": address.to_string()}),
            Means::ClusterIp(None) => json!({"type": "ClusterIP"}),
            Means::ClusterIp(Some(address)) => json!({"type": "ClusterIP", "clusterIP": address.to_string()}),
            Means::None(_) => return None,
        };
        let port = |(port, transport): &(u16, Transport)| {
            let (name, protocol) = match transport {
                Transport::Tcp => ("tcp", "TCP"),
                Transport::Udp => ("udp", "UDP"),
            };
            json!({"name": format!("{name}-{port}"), "port": port, "targetPort": port, "protocol": protocol})
        };
        spec["ports"] = ports.iter().map(port).collect();
        spec["selector"] = json!({SELECTOR: self.base});
        let name = service_name(self.gateway, asking);
        Some(self.child(
            Subject::Object(gateway_core::name::Kind::Service),
            name.name(),
            json!({"apiVersion": "v1", "kind": "Service", "spec": spec}),
        ))
    }
}

/// What everything made for a Gateway is called: `<gateway>-<class>` where that is a label and can be taken apart again, else its
/// beginning and a hash.
fn base_name(gateway: &Gateway) -> String {
    let (name, class) = (gateway.meta.name.name(), &gateway.spec.gateway_class_name);
    let whole = format!("{name}-{class}");
    let is_label = whole.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-') && !class.contains('-');
    if is_label && whole.len() <= LONGEST_BASE && whole.starts_with(|c: char| c.is_ascii_lowercase()) {
        return whole;
    }
    let spelt: String = whole.chars().map(|c| if c == '.' { '-' } else { c }).take(LONGEST_BASE - 12).collect();
    // A label of RFC 1035 begins with a letter.
    format!("gw-{}-{}", spelt.trim_matches('-'), short_hash(&whole))
}

/// A name as the value of a label.
fn label(name: &str) -> String {
    if name.len() <= 63 {
        return name.to_owned();
    }
    let start: String = name.chars().take(54).collect();
    format!("{}-{}", start.trim_end_matches(['-', '.']), short_hash(name))
}

/// Eight digits that stand for a text, the same for ever: FNV-1a.
pub(crate) fn short_hash(text: &str) -> String {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{:08x}", (hash >> 32) ^ (hash & 0xffff_ffff))
}

/// By which labels our objects are found.
pub(crate) const MANAGED: &str = "app.kubernetes.io/managed-by=pingora-gateway";
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
const MANAGER: &str = "pingora-gateway";
const SELECTOR: &str = "pingora-gateway.dev/proxies-of";
const GATEWAY_ANNOTATION: &str = "pingora-gateway.dev/gateway";
const CONTROLLER_ANNOTATION: &str = "pingora-gateway.dev/controller";
/// Services add nine characters to it, and pods of a Deployment about sixteen.
const LONGEST_BASE: usize = 46;
/// Where proxies answer probes. A listener on this port is refused.
const ADMIN_PORT: u16 = 19_901;
const USER: u32 = 65_532;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gateway_core::name::Kind;
    use gateway_core::resource::{Object, Reader, Reading, read};

    use super::super::address::ask;
    use super::*;

    fn gateway(name: &str, class: &str, infrastructure: &Value) -> Arc<Gateway> {
        let value = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
            "metadata": {"name": name, "namespace": "shop", "uid": "u-1"},
            "spec": {"gatewayClassName": class, "infrastructure": infrastructure, "listeners": [{"name": "a", "protocol": "HTTP", "port": 80}]},
        });
        match read(value, &Reader::default()) {
            Ok(Reading::Object { object: Object::Gateway(gateway), .. }) => gateway,
            other => panic!("{other:?}"),
        }
    }

    fn made(gateway: &Gateway) -> Vec<Child> {
        let outfit = Outfit {
            controller_name: "example.com/c".into(),
            image: "gateway:1".into(),
            controller: "10.0.0.1:9902".parse().unwrap(),
            authority: "PEM".into(),
        };
        children(gateway, &[(80, Transport::Tcp), (80, Transport::Udp)].into(), &ask(gateway), &outfit)
    }

    #[test]
    fn every_name_and_every_value_of_a_label_has_at_most_63_characters() {
        let long = "a".repeat(253);
        for name in [long.as_str(), "1.2", "web", "x.y.z", "b-".repeat(40).trim_end_matches('-')] {
            for class in ["pingora", &"c".repeat(100)] {
                for child in made(&gateway(name, class, &json!({}))) {
                    let given = child.name.name().to_owned();
                    let is_label =
                        given.len() <= 63 && given.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-');
                    assert!(is_label && given.as_bytes()[0].is_ascii_lowercase() && !given.ends_with('-'), "{given}");
                    let labels = child.manifest["metadata"]["labels"].as_object().unwrap();
                    assert!(labels.values().all(|value| value.as_str().unwrap().len() <= 63), "{labels:?}");
                    let of = gateway_of(&child.manifest, "example.com/c");
                    assert_eq!(of, Some(ObjectName::new("shop", name)), "the whole name is kept");
                }
            }
        }
    }

    #[test]
    fn no_two_gateways_share_a_name() {
        let name = |name: &str, class: &str| account(&gateway(name, class, &json!({})));
        assert_eq!(name("web", "pingora").name(), "web-pingora");
        assert_ne!(name("a-b", "c"), name("a", "b-c"));
        let long = "a".repeat(252);
        assert_ne!(name(&format!("{long}x"), "c"), name(&format!("{long}y"), "c"));
        assert_ne!(name("x.y", "c"), name("x-y", "c"));
    }

    #[test]
    fn infrastructure_is_copied_onto_everything_made_and_overrides_nothing_of_ours() {
        let stated = json!({"labels": {"team": "a", "pingora-gateway.dev/proxies-of": "other"}, "annotations": {"note": "b"}});
        for child in made(&gateway("web", "pingora", &stated)) {
            let metadata = &child.manifest["metadata"];
            assert_eq!((&metadata["labels"]["team"], &metadata["annotations"]["note"]), (&json!("a"), &json!("b")));
            assert_eq!(metadata["labels"][SELECTOR], "web-pingora");
            assert_eq!(metadata["ownerReferences"][0]["uid"], "u-1");
            if child.subject == Subject::Deployment {
                let template = &child.manifest["spec"]["template"]["metadata"];
                assert_eq!((&template["labels"]["team"], &template["annotations"]["note"]), (&json!("a"), &json!("b")));
            }
        }
    }

    #[test]
    fn proxies_have_no_token_but_one_for_the_controller_and_run_as_nobody() {
        let children = made(&gateway("web", "pingora", &json!({})));
        let deployment = children.iter().find(|child| child.subject == Subject::Deployment).unwrap();
        let pod = &deployment.manifest["spec"]["template"]["spec"];
        assert_eq!(pod["automountServiceAccountToken"], false);
        assert_eq!(pod["volumes"][1]["projected"]["sources"][0]["serviceAccountToken"]["audience"], AUDIENCE);
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        let container = &pod["containers"][0]["securityContext"];
        assert_eq!(
            container,
            &json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}})
        );
    }

    #[test]
    fn a_service_has_a_port_for_each_of_the_listeners_and_the_address_that_is_asked_for() {
        let services = |gateway: &Gateway| {
            let service = Subject::Object(Kind::Service);
            made(gateway).into_iter().filter(|child| child.subject == service).collect::<Vec<_>>()
        };
        let plain = services(&gateway("web", "pingora", &json!({})));
        assert_eq!(plain.len(), 1);
        let ports = plain[0].manifest["spec"]["ports"].as_array().unwrap();
        assert_eq!(ports.len(), 2, "one port over two transports");
        assert_eq!(plain[0].manifest["spec"]["type"], "LoadBalancer");
    }
}
