//! What is made for a Gateway: a ServiceAccount, a ConfigMap, a Deployment of proxies, and Services for its addresses (GEP-1762).
//!
//! In: a Gateway, the ports of its listeners, what it asks for in addresses, what proxies are started with. Out: manifests, whole.
//! Nothing is written here.
//!
//! Invariants: every name is a label of at most 63 characters; no two Gateways share one; proxies have no permission in the
//! cluster and no token but one for the controller.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use gateway_core::name::{Kind, ObjectId, ObjectName};
use gateway_core::resource::{
    Gateway, GatewayParametersSpec, Quantity, Resources, ServiceType, TaintEffect, Toleration, TolerationOperator,
};
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
pub(crate) fn children(
    gateway: &Gateway,
    parameters: &GatewayParametersSpec,
    ports: &Ports,
    asking: &[Asking],
    outfit: &Outfit,
) -> Vec<Child> {
    let base = base_name(gateway);
    let made = Made { gateway, parameters, base: &base, outfit };
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

/// The Gateway or XBackend that an object of ours is for, where it is one of this controller's.
pub(crate) fn owner_of(document: &Value, controller_name: &str) -> Option<ObjectId> {
    let metadata = document.get("metadata")?;
    let annotation = |name: &str| metadata.get("annotations")?.get(name)?.as_str();
    let namespace = metadata.get("namespace")?.as_str()?;
    let is_managed = metadata.get("labels")?.get(MANAGED_BY)?.as_str() == Some(MANAGER);
    let owner = |kind: Kind, named: &str| Some(ObjectId::new(kind, ObjectName::new(namespace, annotation(named)?)));
    let owner = owner(Kind::Gateway, GATEWAY_ANNOTATION).or_else(|| owner(Kind::XBackend, XBACKEND_ANNOTATION))?;
    (is_managed && annotation(CONTROLLER_ANNOTATION)? == controller_name).then_some(owner)
}

/// What everything made for one Gateway has in common.
struct Made<'a> {
    gateway: &'a Gateway,
    parameters: &'a GatewayParametersSpec,
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
        let stated = &self.parameters.pods;
        let is_on_host = stated.host_network == Some(true);
        // On its node a pod shares its ports with the proxies of other Gateways.
        let (admin_host, admin_port) = if is_on_host { ("127.0.0.1", host_port(self.base)) } else { ("[::]", ADMIN_PORT) };
        let probe = |path: &str, period: u32| {
            let mut get = json!({"path": path, "port": admin_port, "scheme": "HTTP"});
            if is_on_host {
                get["host"] = Value::from(admin_host);
            }
            json!({"httpGet": get, "periodSeconds": period, "timeoutSeconds": 2, "failureThreshold": 3})
        };
        let drain = self.parameters.limits.drain_timeout.map_or(DRAIN, Into::into);
        let mut args = vec![
            "proxy".to_owned(),
            format!("--controller={}", self.outfit.controller),
            format!("--gateway={}", self.gateway.meta.name),
            "--authority=/var/run/gateway/authority/ca.crt".to_owned(),
            "--token=/var/run/gateway/token/token".to_owned(),
            "--keep=/var/run/gateway/kept".to_owned(),
            format!("--admin={admin_host}:{admin_port}"),
            format!("--shutdown-delay={}s", SHUTDOWN_DELAY.as_secs()),
            format!("--drain-timeout={}ms", drain.as_millis()),
        ];
        args.extend(stated.log_format.as_ref().map(|format| format!("--log-format={format}")));
        let mut container = json!({
            "name": "proxy",
            "image": self.outfit.image,
            "args": args,
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": {"drop": ["ALL"]},
            },
            "readinessProbe": probe("/readyz", 1),
            "livenessProbe": probe("/healthz", 10),
            "resources": resources(stated.resources.as_ref()),
            "volumeMounts": [
                {"name": "authority", "mountPath": "/var/run/gateway/authority", "readOnly": true},
                {"name": "token", "mountPath": "/var/run/gateway/token", "readOnly": true},
                {"name": "kept", "mountPath": "/var/run/gateway/kept"},
            ],
        });
        if let Some(level) = &stated.log_level {
            container["env"] = json!([{"name": "GATEWAY_LOG", "value": level.as_str()}]);
        }
        let mut pod = json!({
            "serviceAccountName": self.base,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "terminationGracePeriodSeconds": (SHUTDOWN_DELAY + drain + SLACK).as_secs(),
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": USER,
                "runAsGroup": USER,
                "fsGroup": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
                "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}],
            },
            "volumes": [
                {"name": "authority", "configMap": {"name": self.base}},
                {"name": "token", "projected": {"sources": [
                    {"serviceAccountToken": {"audience": AUDIENCE, "expirationSeconds": 3600, "path": "token"}},
                ]}},
                {"name": "kept", "emptyDir": {"medium": "Memory", "sizeLimit": "128Mi"}},
            ],
        });
        let mut strategy = json!({"maxUnavailable": 0, "maxSurge": 1});
        if is_on_host {
            pod["hostNetwork"] = Value::from(true);
            pod["dnsPolicy"] = Value::from("ClusterFirstWithHostNet");
            // A node's own low ports are root's, and its sysctls nobody's to change.
            pod["securityContext"] = json!({"runAsUser": 0, "runAsGroup": 0, "seccompProfile": {"type": "RuntimeDefault"}});
            container["securityContext"]["capabilities"]["add"] = json!(["NET_BIND_SERVICE"]);
            // Two pods cannot have the same ports of a node.
            strategy = json!({"maxUnavailable": 1, "maxSurge": 0});
        }
        if let Some(selector) = &stated.node_selector {
            pod["nodeSelector"] = json!(selector);
        }
        if let Some(tolerations) = &stated.tolerations {
            pod["tolerations"] = tolerations.iter().map(toleration).collect();
        }
        pod["containers"] = json!([container]);
        let mut spec = json!({
            "selector": {"matchLabels": {SELECTOR: self.base}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": strategy},
            "template": {"metadata": {"labels": self.labels(), "annotations": self.annotations()}, "spec": pod},
        });
        if let Some(replicas) = stated.replicas {
            spec["replicas"] = Value::from(replicas);
        }
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": spec})
    }

    fn service(&self, asking: &Asking, ports: &Ports) -> Option<Child> {
        let stated = &self.parameters.service;
        let (kind, address) = match &asking.means {
            Means::LoadBalancer(address) => (stated.service_type.as_ref().unwrap_or(&ServiceType::LoadBalancer), address),
            Means::ClusterIp(address) => (&ServiceType::ClusterIp, address),
            Means::None(_) => return None,
        };
        let mut spec = json!({"type": kind.as_str()});
        let is_balanced = *kind == ServiceType::LoadBalancer;
        if let Some(address) = address {
            spec[if is_balanced { "loadBalancerIP" } else { "clusterIP" }] = Value::from(address.to_string());
        }
        if let Some(class) = stated.load_balancer_class.as_ref().filter(|_| is_balanced) {
            spec["loadBalancerClass"] = Value::from(class.as_str());
        }
        if let Some(policy) = stated.external_traffic_policy.as_ref().filter(|_| *kind != ServiceType::ClusterIp) {
            spec["externalTrafficPolicy"] = Value::from(policy.as_str());
        }
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
        let mut child =
            self.child(Subject::Object(Kind::Service), name.name(), json!({"apiVersion": "v1", "kind": "Service", "spec": spec}));
        let annotations = child.manifest["metadata"]["annotations"].as_object_mut();
        if let (Some(annotations), Some(stated)) = (annotations, &stated.annotations) {
            for (key, value) in stated {
                annotations.entry(key).or_insert_with(|| Value::from(value.as_str()));
            }
        }
        Some(child)
    }
}

fn resources(stated: Option<&Resources>) -> Value {
    let Some(Resources { requests, limits }) = stated else { return json!({"requests": {"cpu": "10m", "memory": "32Mi"}}) };
    let list = |quantities: &BTreeMap<String, Quantity>| -> Value {
        quantities.iter().map(|(resource, Quantity(quantity))| (resource.clone(), Value::from(quantity.as_str()))).collect()
    };
    let mut resources = json!({});
    for (name, quantities) in [("requests", requests), ("limits", limits)] {
        if !quantities.is_empty() {
            resources[name] = list(quantities);
        }
    }
    resources
}

fn toleration(stated: &Toleration) -> Value {
    let Toleration { key, operator, value, effect, toleration_seconds } = stated;
    let mut toleration = json!({});
    let texts = [
        ("key", key.as_deref()),
        ("operator", operator.as_ref().map(TolerationOperator::as_str)),
        ("value", value.as_deref()),
        ("effect", effect.as_ref().map(TaintEffect::as_str)),
    ];
    for (field, text) in texts {
        if let Some(text) = text {
            toleration[field] = Value::from(text);
        }
    }
    if let Some(seconds) = toleration_seconds {
        toleration["tolerationSeconds"] = Value::from(*seconds);
    }
    toleration
}

/// Where proxies answer probes on a node that they share with others: a port that is likely no other Gateway's.
fn host_port(base: &str) -> u16 {
    let hash = base.bytes().fold(0_u16, |hash, byte| hash.wrapping_mul(31).wrapping_add(u16::from(byte)));
    20_000 + hash % 10_000
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
pub(super) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
pub(super) const MANAGER: &str = "pingora-gateway";
const SELECTOR: &str = "pingora-gateway.dev/proxies-of";
const GATEWAY_ANNOTATION: &str = "pingora-gateway.dev/gateway";
/// The whole name of the XBackend that an object is for.
pub(super) const XBACKEND_ANNOTATION: &str = "pingora-gateway.dev/xbackend";
pub(super) const CONTROLLER_ANNOTATION: &str = "pingora-gateway.dev/controller";
/// Services add nine characters to it, and pods of a Deployment about sixteen.
const LONGEST_BASE: usize = 46;
/// Where proxies answer probes. A listener on this port is refused.
const ADMIN_PORT: u16 = 19_901;
/// How long traffic still comes in once a pod is to end, until all have heard of it.
const SHUTDOWN_DELAY: Duration = Duration::from_secs(3);
/// How long what is under way may go on then, unless parameters say otherwise.
const DRAIN: Duration = Duration::from_secs(30);
/// What a pod is given on top, before it is killed.
const SLACK: Duration = Duration::from_secs(12);
const USER: u32 = 65_532;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

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
        made_by(gateway, &GatewayParametersSpec::default())
    }

    fn made_by(gateway: &Gateway, parameters: &GatewayParametersSpec) -> Vec<Child> {
        let outfit = Outfit {
            controller_name: "example.com/c".into(),
            image: "gateway:1".into(),
            controller: "10.0.0.1:9902".parse().unwrap(),
            authority: "PEM".into(),
        };
        children(gateway, parameters, &[(80, Transport::Tcp), (80, Transport::Udp)].into(), &ask(gateway), &outfit)
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
                    let of = owner_of(&child.manifest, "example.com/c");
                    let whole = ObjectId::new(Kind::Gateway, ObjectName::new("shop", name));
                    assert_eq!(of, Some(whole), "the whole name is kept");
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

    fn parameters(spec: &Value) -> GatewayParametersSpec {
        let value = json!({
            "apiVersion": "pingora-gateway.dev/v1alpha1", "kind": "GatewayParameters",
            "metadata": {"name": "p", "namespace": "shop"}, "spec": spec,
        });
        match read(value, &Reader::default()) {
            Ok(Reading::Object { object: Object::GatewayParameters(parameters), .. }) => parameters.spec.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn of(children: &[Child], subject: &Subject) -> Value {
        children.iter().find(|child| child.subject == *subject).unwrap().manifest.clone()
    }

    #[test]
    fn parameters_shape_the_deployment() {
        let stated = parameters(&json!({"limits": {"drainTimeout": "2m"}, "pods": {
            "replicas": 3, "resources": {"requests": {"cpu": 2, "memory": "64Mi"}, "limits": {"memory": "1Gi"}},
            "nodeSelector": {"zone": "a"}, "tolerations": [{"key": "edge", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}],
            "logLevel": "debug", "logFormat": "text",
        }}));
        let deployment = of(&made_by(&gateway("web", "pingora", &json!({})), &stated), &Subject::Deployment);
        assert_eq!(deployment["spec"]["replicas"], 3);
        let pod = &deployment["spec"]["template"]["spec"];
        assert_eq!(pod["terminationGracePeriodSeconds"], 135);
        assert_eq!((&pod["nodeSelector"], pod.get("hostNetwork")), (&json!({"zone": "a"}), None));
        assert_eq!(
            pod["tolerations"],
            json!([{"key": "edge", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}])
        );
        let container = &pod["containers"][0];
        assert_eq!(container["resources"], json!({"requests": {"cpu": "2", "memory": "64Mi"}, "limits": {"memory": "1Gi"}}));
        assert_eq!(container["env"], json!([{"name": "GATEWAY_LOG", "value": "debug"}]));
        let args: Vec<&str> = container["args"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert!(args.contains(&"--log-format=text") && args.contains(&"--drain-timeout=120000ms"), "{args:?}");
        let plain = of(&made(&gateway("web", "pingora", &json!({}))), &Subject::Deployment);
        assert_eq!(plain["spec"].get("replicas"), None, "whoever scales decides");
    }

    #[test]
    fn on_the_network_of_nodes_proxies_have_one_capability_and_a_probe_port_of_their_own() {
        let stated = parameters(&json!({"pods": {"hostNetwork": true}}));
        let deployment = |name: &str| of(&made_by(&gateway(name, "pingora", &json!({})), &stated), &Subject::Deployment);
        let web = deployment("web");
        let pod = &web["spec"]["template"]["spec"];
        assert_eq!(pod["hostNetwork"], true);
        assert_eq!(pod["securityContext"].get("sysctls"), None, "those are the node's");
        let container = &pod["containers"][0];
        assert_eq!(container["securityContext"]["capabilities"], json!({"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}));
        assert_eq!(web["spec"]["strategy"]["rollingUpdate"], json!({"maxUnavailable": 1, "maxSurge": 0}));
        let port =
            |deployment: &Value| deployment.pointer("/spec/template/spec/containers/0/readinessProbe/httpGet/port").cloned();
        assert_ne!(port(&web), port(&deployment("shop")));
    }

    #[test]
    fn parameters_shape_the_service() {
        let service = |spec: &Value| {
            let children = made_by(&gateway("web", "pingora", &json!({"annotations": {"a": "own"}})), &parameters(spec));
            of(&children, &Subject::Object(Kind::Service))
        };
        let balanced = service(
            &json!({"service": {"annotations": {"a": "stated", "b": "stated"}, "loadBalancerClass": "example.com/lb", "externalTrafficPolicy": "Local"}}),
        );
        assert_eq!(
            (&balanced["spec"]["loadBalancerClass"], &balanced["spec"]["externalTrafficPolicy"]),
            (&json!("example.com/lb"), &json!("Local"))
        );
        let annotations = &balanced["metadata"]["annotations"];
        assert_eq!((&annotations["a"], &annotations["b"]), (&json!("own"), &json!("stated")), "the Gateway's own win");
        let within = service(
            &json!({"service": {"type": "ClusterIP", "loadBalancerClass": "example.com/lb", "externalTrafficPolicy": "Local"}}),
        );
        assert_eq!(within["spec"]["type"], "ClusterIP");
        assert_eq!((within["spec"].get("loadBalancerClass"), within["spec"].get("externalTrafficPolicy")), (None, None));
    }
}
