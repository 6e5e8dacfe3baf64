//! XBackends that select their endpoints by labels of pods.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::scene::{NAMESPACE, Scene, route};
use crate::cluster::{PATIENCE, soon};
use crate::http::{Request, ask};
use crate::manifest::list;

pub(super) fn an_xbackend_that_selects_pods_leads_to_them(scene: &Scene) -> Result<String> {
    let crds = scene.cluster.get(&["customresourcedefinitions"])?;
    if !list(&crds, "/items").iter().any(|crd| crd["metadata"]["name"] == "xbackends.gateway.networking.x-k8s.io") {
        return Ok("this channel has no XBackend".to_owned());
    }
    scene.cluster.apply(&format!(
        "
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackend
metadata: {{name: selected, namespace: {NAMESPACE}}}
spec: {{type: EndpointSelector, endpointSelector: {{matchLabels: {{app: echo}}}}, port: {{number: 3000}}, protocol: HTTP}}
"
    ))?;
    let to_xbackend = "{group: gateway.networking.x-k8s.io, kind: XBackend, name: selected}";
    let route = route("selected", "front", "selected.example", "selected");
    scene.cluster.apply(&route.replace("{name: selected, port: 80}", to_xbackend))?;
    let front = scene.address_of("front")?;
    scene.await_status(front, "selected.example", 200)?;
    let pods: BTreeSet<String> = scene.pods(NAMESPACE, "app=echo")?.into_iter().map(|(pod, _)| pod).collect();
    let mut met = BTreeSet::new();
    soon("all selected pods answer", PATIENCE, || {
        let answer = ask(front, &Request::get("selected.example", "/"))?;
        let told: Value = serde_json::from_slice(&answer.body).context("what the echo server says")?;
        met.extend(told["pod"].as_str().map(str::to_owned));
        Ok((met == pods).then_some(()))
    })?;
    let services = || -> Result<Vec<Value>> {
        let found = scene.cluster.get(&["services", "-n", NAMESPACE, "-l", "pingora-gateway.dev/backend=selected"])?;
        Ok(list(&found, "/items").to_vec())
    };
    let headless = services()?;
    ensure!(headless.len() == 1 && headless[0]["spec"]["clusterIP"] == "None", "{headless:?}");
    scene.delete("httproute", "selected")?;
    soon("its Service is gone once nobody needs it", PATIENCE, || Ok(services()?.is_empty().then_some(())))?;
    scene.delete("xbackends.gateway.networking.x-k8s.io", "selected")?;
    Ok(format!("{} pods", met.len()))
}
