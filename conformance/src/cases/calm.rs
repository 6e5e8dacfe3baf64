//! What takes neither failures nor load: names, foreigners, labels, what people are told, and what is left at the end.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::load::Load;
use super::scene::{NAMESPACE, Scene, route};
use crate::cluster::{PATIENCE, condition, soon};
use crate::manifest::list;
use crate::process::spending;

pub(super) fn a_gateway_whose_name_has_253_characters_is_served(scene: &Scene) -> Result<String> {
    let name = format!("{}.{}.{}.{}", "a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61));
    ensure!(name.len() == 253, "{}", name.len());
    scene.cluster.apply(&gateway(&name, "pingora"))?;
    scene.cluster.apply(&route("longest", &name, "longest.example", "echo"))?;
    let address = scene.address_of(&name)?;
    scene.await_status(address, "longest.example", 200)?;
    scene.delete("httproute", "longest")?;
    scene.delete("gateway", &name)?;
    Ok(format!("at {address}"))
}

pub(super) fn entries_and_gateways_of_another_controller_are_left_alone(scene: &Scene) -> Result<String> {
    scene.cluster.apply(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: own-cases-foreign}
spec: {controllerName: example.com/another}
",
    )?;
    scene.cluster.apply(&gateway("foreign", "own-cases-foreign"))?;
    let of_both =
        route("of-both", "foreign", "both.example", "echo").replace("[{name: foreign}]", "[{name: foreign}, {name: front}]");
    scene.cluster.apply(&of_both)?;
    let front = scene.address_of("front")?;
    scene.await_status(front, "both.example", 200)?;
    let entry = json!({
        "parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "foreign"},
        "controllerName": "example.com/another",
        "conditions": [{"type": "Accepted", "status": "Unknown", "reason": "Thinking", "message": "of another's own",
            "lastTransitionTime": "2020-02-20T20:20:20Z", "observedGeneration": 1}],
    });
    let parents = || -> Result<Vec<Value>> { Ok(list(&scene.get("httproute", "of-both")?, "/status/parents").to_vec()) };
    let own =
        soon("our own entry", PATIENCE, || Ok(parents()?.into_iter().find(|parent| parent["parentRef"]["name"] == "front")))?;
    let patch = json!({"status": {"parents": [entry, own]}}).to_string();
    let patch = ["patch", "httproute", "of-both", "-n", NAMESPACE, "--subresource=status", "--type=merge", "-p", &patch];
    scene.cluster.kubectl(&patch)?;
    // Ours changes, and goes; the other's stays as it is.
    scene.cluster.apply(&of_both.replace("name: echo,", "name: nowhere,"))?;
    soon("our own entry says BackendNotFound", PATIENCE, || {
        let parents = parents()?;
        ensure!(parents.contains(&entry), "{parents:?}");
        let own = parents.iter().find(|parent| parent["parentRef"]["name"] == "front");
        Ok(own.filter(|own| condition(&own["conditions"], "ResolvedRefs") == Some(("False", "BackendNotFound"))).map(drop))
    })?;
    scene.cluster.apply(&route("of-both", "foreign", "both.example", "echo"))?;
    soon("our own entry is gone", PATIENCE, || {
        let parents = parents()?;
        ensure!(parents.contains(&entry), "{parents:?}");
        Ok((parents.len() == 1).then_some(()))
    })?;
    let foreign = scene.get("gateway", "foreign")?;
    let touched = list(&foreign, "/status/conditions").iter().any(|condition| condition["reason"] != "Pending");
    ensure!(!touched && foreign.pointer("/status/addresses").is_none(), "the foreign Gateway was touched: {}", foreign["status"]);
    scene.delete("httproute", "of-both")?;
    scene.delete("gateway", "foreign")?;
    scene.cluster.kubectl(&["delete", "gatewayclass", "own-cases-foreign"])?;
    Ok("beside our own, changed and removed".to_owned())
}

pub(super) fn a_namespace_that_loses_its_label_loses_its_routes(scene: &Scene) -> Result<String> {
    let selecting = gateway("selecting", "pingora").replace(
        "protocol: HTTP, port: 80",
        "protocol: HTTP, port: 80, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {gateway-access: allowed}}}}",
    );
    let label = |value: &str| scene.cluster.kubectl(&["label", "namespace", NAMESPACE, "--overwrite", value]);
    label("gateway-access=allowed")?;
    scene.cluster.apply(&selecting)?;
    scene.cluster.apply(&route("selected", "selecting", "selected.example", "echo"))?;
    let address = scene.address_of("selecting")?;
    for _ in 0..2 {
        scene.await_status(address, "selected.example", 200)?;
        label("gateway-access-")?;
        scene.await_status(address, "selected.example", 404)?;
        soon("the route says NotAllowedByListeners", PATIENCE, || {
            let route = scene.get("httproute", "selected")?;
            let conditions = route.pointer("/status/parents/0/conditions").context("no conditions")?;
            Ok((condition(conditions, "Accepted") == Some(("False", "NotAllowedByListeners"))).then_some(()))
        })?;
        label("gateway-access=allowed")?;
    }
    scene.await_status(address, "selected.example", 200)?;
    label("gateway-access-")?;
    scene.delete("httproute", "selected")?;
    scene.delete("gateway", "selecting")?;
    Ok("twice".to_owned())
}

pub(super) fn parameters_of_class_and_gateway_shape_what_is_made_for_it(scene: &Scene) -> Result<String> {
    let parameters = |name: &str, spec: &str| {
        format!(
            "
apiVersion: pingora-gateway.dev/v1alpha1
kind: GatewayParameters
metadata: {{name: {name}, namespace: {NAMESPACE}}}
spec: {spec}
"
        )
    };
    let of_class = "{service: {type: ClusterIP}, pods: {replicas: 2, logFormat: text}}";
    scene.cluster.apply(&parameters("of-class", of_class))?;
    scene.cluster.apply(&parameters(
        "own",
        "{service: {annotations: {example.com/note: own}}, pods: {replicas: 1, resources: {limits: {memory: 256Mi}}}}",
    ))?;
    scene.cluster.apply(
        &format!(
            "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: own-cases-shaped}}
spec:
  controllerName: pingora-gateway.dev/controller
  parametersRef: {{group: pingora-gateway.dev, kind: GatewayParameters, name: of-class, namespace: {NAMESPACE}}}
{}",
            gateway("shaped", "own-cases-shaped").replace(
                "spec:",
                "spec:\n  infrastructure: {parametersRef: {group: pingora-gateway.dev, kind: GatewayParameters, name: own}}"
            )
        )
        .replacen(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n",
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n",
            1,
        ),
    )?;
    scene.cluster.apply(&route("shaped", "shaped", "shaped.example", "echo"))?;
    let address = scene.address_of("shaped")?;
    scene.await_status(address, "shaped.example", 200)?;
    let made = |kind: &str| -> Result<Value> {
        let found = scene.cluster.get(&[kind, "-n", NAMESPACE, "-l", "gateway.networking.k8s.io/gateway-name=shaped"])?;
        list(&found, "/items").first().cloned().with_context(|| format!("no {kind}"))
    };
    let (deployment, service) = (made("deployments")?, made("services")?);
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    ensure!(service["spec"]["type"] == "ClusterIP", "the class's type: {}", service["spec"]);
    ensure!(service["metadata"]["annotations"]["example.com/note"] == "own", "{}", service["metadata"]);
    ensure!(deployment["spec"]["replicas"] == 1, "the Gateway's number wins: {}", deployment["spec"]["replicas"]);
    ensure!(container["args"].to_string().contains("--log-format=text"), "{container}");
    ensure!(container["resources"]["limits"]["memory"] == "256Mi", "{container}");
    scene.cluster.apply(&parameters("own", "{pods: {replicas: 2}}"))?;
    soon("two pods are ready", PATIENCE, || {
        Ok((made("deployments")?.pointer("/status/readyReplicas") == Some(&2.into())).then_some(()))
    })?;
    let refused = scene.cluster.apply(&parameters("own", "{pods: {replicas: -1, logLevel: loud}}"));
    ensure!(refused.is_err(), "the schema admits what is no number of pods, and no level");
    scene.delete("httproute", "shaped")?;
    scene.delete("gateway", "shaped")?;
    scene.cluster.kubectl(&["delete", "gatewayclass", "own-cases-shaped", "--timeout=60s"])?;
    scene.delete("gatewayparameters", "own")?;
    scene.delete("gatewayparameters", "of-class")?;
    Ok("type, annotations, replicas, resources, format".to_owned())
}

pub(super) fn get_describe_and_events_show_what_is_wrong(scene: &Scene) -> Result<String> {
    scene.cluster.kubectl(&["create", "namespace", "own-cases-outside"]).ok();
    scene.cluster.apply(
        &gateway("without-secret", "pingora")
            .replace("protocol: HTTP, port: 80", "protocol: HTTPS, port: 443, tls: {certificateRefs: [{name: missing-secret}]}"),
    )?;
    scene.cluster.apply(&gateway("unknown-protocol", "pingora").replace("protocol: HTTP,", "protocol: example.com/odd,"))?;
    scene.cluster.apply(
        &gateway("refused-address", "pingora")
            .replace("  listeners:", "  addresses: [{type: IPAddress, value: 192.0.2.9}]\n  listeners:"),
    )?;
    scene.cluster.apply(&route("lost-backend", "front", "lost.example", "missing-service"))?;
    scene.cluster.apply(&route("wrong-section", "front, sectionName: nowhere", "wrong.example", "echo"))?;
    let outside = route("outside", &format!("front, namespace: {NAMESPACE}"), "outside.example", "echo");
    scene.cluster.apply(
        &outside.replace(&format!("name: outside, namespace: {NAMESPACE}"), "name: outside, namespace: own-cases-outside"),
    )?;
    let wrongs = [
        (NAMESPACE, "gateway", "without-secret", "InvalidCertificateRef", "missing-secret"),
        (NAMESPACE, "gateway", "unknown-protocol", "UnsupportedProtocol", "example.com/odd"),
        (NAMESPACE, "gateway", "refused-address", "AddressNotUsable", "192.0.2.9"),
        (NAMESPACE, "httproute", "lost-backend", "BackendNotFound", "missing-service"),
        (NAMESPACE, "httproute", "wrong-section", "NoMatchingParent", "nowhere"),
        ("own-cases-outside", "httproute", "outside", "NotAllowedByListeners", "own-cases-outside"),
    ];
    for (namespace, kind, name, reason, what) in wrongs {
        soon(&format!("kubectl describe {kind} {name} shows {reason}, {what:?} and an Event"), PATIENCE, || {
            let described = scene.cluster.kubectl(&["describe", kind, name, "-n", namespace])?;
            let (status, events) = described.rsplit_once("\nEvents:").context("no events are shown")?;
            ensure!(status.contains(reason) && status.contains(what), "the status: {described}");
            ensure!(events.contains("Warning") && events.contains(reason) && events.contains(what), "the events: {events}");
            Ok(Some(()))
        })?;
    }
    let shown = scene.cluster.kubectl(&["get", "gateways", "-n", NAMESPACE])?;
    let row = |name: &str| shown.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    ensure!(row("front").contains("True") && row("front").contains(&scene.address_of("front")?.ip().to_string()), "{shown}");
    ensure!(row("refused-address").contains("False"), "{shown}");
    for (_, kind, name, ..) in wrongs {
        scene.delete(kind, name)?;
    }
    scene.cluster.kubectl(&["delete", "namespace", "own-cases-outside", "--wait=false"])?;
    Ok(format!("{} kinds of mistakes", wrongs.len()))
}

pub(super) fn three_replicas_serve_and_nobody_puts_their_number_back(scene: &Scene) -> Result<String> {
    let front = scene.address_of("front")?;
    let load = Load::on(front, "echo.example");
    scene.scale("front-pingora", 3)?;
    let pods = scene.pods(NAMESPACE, "pingora-gateway.dev/proxies-of=front-pingora")?;
    ensure!(pods.len() == 3, "{pods:?}");
    for (_, address) in &pods {
        let answer = scene.ask(SocketAddr::new(*address, 80), "echo.example")?;
        ensure!(answer.status == 200, "a proxy that is ready answered {}", answer.status);
    }
    // Something else changes what is made for the Gateway.
    scene.cluster.kubectl(&[
        "annotate",
        "deployment",
        "front-pingora",
        "-n",
        NAMESPACE,
        "--overwrite",
        "own-cases/touched=yes",
    ])?;
    scene.cluster.apply(&route("scaled", "front", "scaled.example", "echo"))?;
    scene.await_status(front, "scaled.example", 200)?;
    scene.delete("httproute", "scaled")?;
    let replicas = scene.get("deployment", "front-pingora")?.pointer("/spec/replicas").cloned();
    ensure!(replicas == Some(3.into()), "{replicas:?} replicas");
    scene.scale("front-pingora", 2)?;
    // What was scaled away drains.
    soon("two are left", PATIENCE, || {
        let pods = scene.cluster.get(&["pods", "-n", NAMESPACE, "-l", "pingora-gateway.dev/proxies-of=front-pingora"])?;
        Ok((list(&pods, "/items").len() == 2).then_some(()))
    })?;
    load.must_be_whole()
}

pub(super) fn a_deleted_gateway_leaves_nothing_behind(scene: &Scene) -> Result<String> {
    let before = scene.all_made()?;
    scene.cluster.apply(&gateway("deleted", "pingora"))?;
    let address = scene.address_of("deleted")?;
    ensure!(scene.all_made()?.len() > before.len(), "nothing was made for it");
    // A client that stays holds nothing up.
    let client = TcpStream::connect(address)?;
    let started = Instant::now();
    scene.delete("gateway", "deleted")?;
    ensure!(started.elapsed() < Duration::from_secs(5), "the deletion took {:?}", started.elapsed());
    soon("what was made for it is gone", PATIENCE, || Ok((scene.all_made()? == before).then_some(())))?;
    soon("its pods are gone", PATIENCE, || {
        let pods = scene.cluster.get(&["pods", "-n", NAMESPACE, "-l", "pingora-gateway.dev/proxies-of=deleted-pingora"])?;
        Ok(list(&pods, "/items").is_empty().then_some(()))
    })?;
    drop(client);
    Ok(String::from("Deployment, Services, ServiceAccount, ConfigMap, pods"))
}

pub(super) fn controller_and_proxies_that_have_nothing_to_do_do_nothing(scene: &Scene) -> Result<String> {
    const WATCHED: Duration = Duration::from_secs(5);
    scene.address_of("front")?;
    // The last case's echo is over once nobody's share is noticed.
    let mut last = Vec::new();
    soon("all rest", PATIENCE, || {
        last = spending(&scene.cluster, WATCHED)?;
        let busy = last.iter().find(|(_, share)| *share > 0.1);
        ensure!(busy.is_none(), "{busy:?}");
        Ok((!last.is_empty()).then_some(()))
    })?;
    let told = last
        .iter()
        .map(|(process, share)| format!("{} {:.1} % of a core, {} MiB", process.mode, share * 100.0, process.resident >> 20));
    Ok(told.collect::<Vec<_>>().join(", "))
}

fn gateway(name: &str, class: &str) -> String {
    format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: {name}, namespace: {NAMESPACE}}}
spec:
  gatewayClassName: {class}
  listeners: [{{name: http, protocol: HTTP, port: 80}}]
"
    )
}
