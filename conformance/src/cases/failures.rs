//! Failures and updates under load.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::load::Load;
use super::scene::{NAMESPACE, SYSTEM, Scene, route};
use crate::cluster::{PATIENCE, soon};

pub(super) fn a_rolling_update_of_proxies_loses_no_request(scene: &Scene) -> Result<String> {
    rolled(scene, "deployment/front-pingora")
}

pub(super) fn a_rolling_update_of_backends_loses_no_request(scene: &Scene) -> Result<String> {
    rolled(scene, "deployment/echo")
}

fn rolled(scene: &Scene, deployment: &str) -> Result<String> {
    let load = Load::on(scene.address_of("front")?, "echo.example");
    scene.cluster.kubectl(&["rollout", "restart", deployment, "-n", NAMESPACE])?;
    scene.cluster.kubectl(&["rollout", "status", deployment, "-n", NAMESPACE, "--timeout=120s"])?;
    // The last of the old pods still drain.
    thread::sleep(Duration::from_secs(5));
    load.must_be_whole()
}

pub(super) fn a_killed_proxy_costs_its_neighbour_no_request(scene: &Scene) -> Result<String> {
    let label = "pingora-gateway.dev/proxies-of=front-pingora";
    let two = || Ok(Some(scene.pods(NAMESPACE, label)?).filter(|pods| pods.len() == 2));
    let pods = soon("two proxies are ready", PATIENCE, two)?;
    let [(victim, killed), (_, neighbour)] = &pods[..] else { anyhow::bail!("{pods:?}") };
    let load = Load::on(SocketAddr::new(*neighbour, 80), "echo.example");
    kill_pods_process(scene, victim)?;
    scene.await_status(SocketAddr::new(*killed, 80), "echo.example", 200)?;
    soon("both are ready again", PATIENCE, two)?;
    load.must_be_whole()
}

/// Kills the process of a pod from outside; its container is started again.
fn kill_pods_process(scene: &Scene, pod: &str) -> Result<()> {
    let found = scene.get("pod", pod)?;
    let id = found.pointer("/status/containerStatuses/0/containerID").and_then(Value::as_str).context("no container")?;
    scene.cluster.kill_container(id.trim_start_matches("containerd://"))?;
    soon("the container is started again", PATIENCE, || {
        let restarts = scene.get("pod", pod)?.pointer("/status/containerStatuses/0/restartCount").and_then(Value::as_u64);
        let before = found.pointer("/status/containerStatuses/0/restartCount").and_then(Value::as_u64);
        Ok((restarts > before).then_some(()))
    })
}

pub(super) fn a_killed_controller_costs_no_request_and_changes_no_status(scene: &Scene) -> Result<String> {
    without_loss(scene, "after-controller", || {
        scene.cluster.kill("^/gateway controller")?;
        Ok(())
    })
}

pub(super) fn a_killed_api_server_costs_no_request_and_changes_no_status(scene: &Scene) -> Result<String> {
    without_loss(scene, "after-api-server", || {
        scene.cluster.kill("hyper kube-apiserver")?;
        soon("the API server is back", PATIENCE, || scene.cluster.kubectl(&["get", "--raw", "/readyz"]).map(Some))?;
        Ok(())
    })
}

pub(super) fn another_controller_takes_over_from_a_lost_leader(scene: &Scene) -> Result<String> {
    scene.scale_in(SYSTEM, "controller", 2)?;
    let holder = || -> Result<String> {
        let lease = scene.cluster.get(&["leases", "-n", SYSTEM])?;
        let holder = lease.pointer("/items/0/spec/holderIdentity").and_then(Value::as_str).context("nobody holds the lease")?;
        Ok(holder.rsplit_once('_').map_or(holder, |(pod, _)| pod).to_owned())
    };
    let first = holder()?;
    let told = without_loss(scene, "after-leader", || {
        scene.cluster.kubectl(&["delete", "pod", &first, "-n", SYSTEM, "--force", "--grace-period=0"])?;
        soon("another holds the lease", PATIENCE, || Ok(Some(holder()?).filter(|holder| *holder != first)))?;
        Ok(())
    })?;
    scene.scale_in(SYSTEM, "controller", 1)?;
    Ok(told)
}

/// A failure under load, after which a new route is served, and nothing else is other than it was.
fn without_loss(scene: &Scene, name: &str, fail: impl FnOnce() -> Result<()>) -> Result<String> {
    let host = format!("{name}.example");
    scene.delete("httproute", name)?;
    let address = scene.address_of("front")?;
    scene.await_status(address, &host, 404)?;
    // What former cases took away is still being counted and written.
    let mut last = scene.all_statuses()?;
    soon("statuses rest", PATIENCE, || {
        thread::sleep(Duration::from_secs(1));
        let now = scene.all_statuses()?;
        Ok((std::mem::replace(&mut last, now) == last).then_some(()))
    })?;
    let (statuses, made) = (scene.all_statuses()?, scene.all_made()?);
    let load = Load::on(address, "echo.example");
    fail()?;
    soon("a route is applied", PATIENCE, || scene.cluster.apply(&route(name, "front", &host, "echo")).map(Some))?;
    scene.await_status(address, &host, 200)?;
    scene.delete("httproute", name)?;
    scene.await_status(address, &host, 404)?;
    let told = load.must_be_whole()?;
    soon("all statuses are as they were, times included", PATIENCE, || {
        let after = scene.all_statuses()?;
        ensure!(after == statuses, "{after:?} instead of {statuses:?}");
        Ok(Some(()))
    })?;
    ensure!(scene.all_made()? == made, "objects made for Gateways are others");
    Ok(told)
}
