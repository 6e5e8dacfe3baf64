//! What every case stands on: a namespace, an echo server of three pods, a Gateway `front` of two proxies, and a route between them.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::cluster::{Cluster, PATIENCE, condition, soon};
use crate::http::{Request, Response, ask};
use crate::manifest::list;

/// Where everything of the cases is.
pub const NAMESPACE: &str = "own-cases";

/// Where our controller is.
pub(super) const SYSTEM: &str = "pingora-gateway-system";

/// The cluster, and what cases need of the machine.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The cluster.
    pub cluster: Cluster,
    /// The image of the echo server.
    pub echo: String,
    /// The program `gateway`, to be run beside the cluster.
    pub program: PathBuf,
    /// The key by which the cluster's API server signs tokens.
    pub signing_key: PathBuf,
}

impl Scene {
    /// Makes what every case stands on, and waits until it serves.
    pub(super) fn set(&self) -> Result<()> {
        let Self { cluster, echo, .. } = self;
        cluster.apply(&format!(
            "
apiVersion: v1
kind: Namespace
metadata: {{name: {NAMESPACE}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: echo, namespace: {NAMESPACE}}}
spec:
  replicas: 3
  selector: {{matchLabels: {{app: echo}}}}
  template:
    metadata: {{labels: {{app: echo}}}}
    spec:
      terminationGracePeriodSeconds: 10
      containers:
        - name: echo
          image: {echo}
          env:
            - {{name: POD_NAME, valueFrom: {{fieldRef: {{fieldPath: metadata.name}}}}}}
            - {{name: NAMESPACE, valueFrom: {{fieldRef: {{fieldPath: metadata.namespace}}}}}}
          readinessProbe: {{httpGet: {{path: /, port: 3000}}, periodSeconds: 1}}
          lifecycle: {{preStop: {{sleep: {{seconds: 3}}}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: echo, namespace: {NAMESPACE}}}
spec:
  selector: {{app: echo}}
  ports: [{{port: 80, targetPort: 3000}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: front, namespace: {NAMESPACE}}}
spec:
  gatewayClassName: pingora
  listeners: [{{name: http, protocol: HTTP, port: 80}}]
---
{}",
            route("echo", "front", "echo.example", "echo")
        ))?;
        cluster.kubectl(&["rollout", "status", "deployment/echo", "-n", NAMESPACE, "--timeout=60s"])?;
        soon("the Gateway front has its proxies", PATIENCE, || self.scale("front-pingora", 2).map(Some))?;
        let front = self.address_of("front")?;
        self.await_status(front, "echo.example", 200)
    }

    /// An object in our namespace.
    pub(super) fn get(&self, kind: &str, name: &str) -> Result<Value> {
        self.cluster.get(&[kind, name, "-n", NAMESPACE])
    }

    /// Takes an object of our namespace away, and waits until it is gone.
    pub(super) fn delete(&self, kind: &str, name: &str) -> Result<()> {
        self.cluster.kubectl(&["delete", kind, name, "-n", NAMESPACE, "--ignore-not-found", "--timeout=60s"]).map(drop)
    }

    /// Gives a Deployment of our namespace so many pods, and waits for them.
    pub(super) fn scale(&self, deployment: &str, replicas: usize) -> Result<()> {
        self.scale_in(NAMESPACE, deployment, replicas)
    }

    /// Gives a Deployment so many pods, and waits for them.
    pub(super) fn scale_in(&self, namespace: &str, deployment: &str, replicas: usize) -> Result<()> {
        let name = format!("deployment/{deployment}");
        self.cluster.kubectl(&["scale", &name, "-n", namespace, &format!("--replicas={replicas}")])?;
        self.cluster.kubectl(&["rollout", "status", &name, "-n", namespace, "--timeout=60s"])?;
        Ok(())
    }

    /// Where a Gateway's port 80 is, once it is programmed.
    pub(super) fn address_of(&self, gateway: &str) -> Result<SocketAddr> {
        soon(&format!("Gateway {gateway} is programmed"), PATIENCE, || {
            let gateway = self.get("gateway", gateway)?;
            let status = gateway.get("status").context("no status")?;
            if condition(&status["conditions"], "Programmed") != Some(("True", "Programmed")) {
                anyhow::bail!("{}", status["conditions"]);
            }
            let address = status.pointer("/addresses/0/value").and_then(Value::as_str).context("no address")?;
            Ok(Some(SocketAddr::new(address.parse::<IpAddr>()?, 80)))
        })
    }

    /// Where the ready pods of a Deployment's label are, with their names.
    pub(super) fn pods(&self, namespace: &str, label: &str) -> Result<Vec<(String, IpAddr)>> {
        let pods = self.cluster.get(&["pods", "-n", namespace, "-l", label])?;
        let ready = list(&pods, "/items").iter().filter(|pod| {
            pod.pointer("/metadata/deletionTimestamp").is_none()
                && condition(&pod["status"]["conditions"], "Ready").is_some_and(|(status, _)| status == "True")
        });
        ready
            .map(|pod| {
                let name = pod.pointer("/metadata/name").and_then(Value::as_str).context("a pod without name")?;
                let address = pod.pointer("/status/podIP").and_then(Value::as_str).context("a pod without address")?;
                Ok((name.to_owned(), address.parse()?))
            })
            .collect()
    }

    /// Waits until an address answers a host's root with this.
    pub(super) fn await_status(&self, address: SocketAddr, host: &str, status: u16) -> Result<()> {
        soon(&format!("{address} answers {host} with {status}"), PATIENCE, || {
            let answer = ask(address, &Request::get(host, "/"))?;
            if answer.status != status {
                anyhow::bail!("{}", answer.status);
            }
            Ok(Some(()))
        })
    }

    /// What an address answers a host's root.
    pub(super) fn ask(&self, address: SocketAddr, host: &str) -> Result<Response> {
        Ok(ask(address, &Request::get(host, "/"))?)
    }

    /// The statuses of everything of the Gateway API in our namespace, and what was made for Gateways, by names.
    pub(super) fn all_statuses(&self) -> Result<Vec<(String, Value)>> {
        let found = self.cluster.get(&["gateways,httproutes,listenersets", "-n", NAMESPACE])?;
        let name = |object: &Value| format!("{} {}", object["kind"], object["metadata"]["name"]);
        Ok(list(&found, "/items").iter().map(|object| (name(object), object["status"].clone())).collect())
    }

    /// Which objects were made for Gateways, by uid.
    pub(super) fn all_made(&self) -> Result<Vec<String>> {
        let kinds = "deployments,services,serviceaccounts,configmaps";
        let found = self.cluster.get(&[kinds, "-A", "-l", "app.kubernetes.io/managed-by=pingora-gateway"])?;
        let mut uids: Vec<_> = list(&found, "/items").iter().map(|object| object["metadata"]["uid"].to_string()).collect();
        uids.sort();
        Ok(uids)
    }
}

/// An HTTPRoute of our namespace that sends a host to a Service's port 80.
pub(super) fn route(name: &str, gateway: &str, host: &str, service: &str) -> String {
    format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}, namespace: {NAMESPACE}}}
spec:
  parentRefs: [{{name: {gateway}}}]
  hostnames: [{host}]
  rules: [{{backendRefs: [{{name: {service}, port: 80}}]}}]
"
    )
}
