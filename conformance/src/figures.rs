//! What controllers and proxies take: memory, and time of a processor, in a cluster at rest, with many routes, and with many Gateways.
//!
//! In: a cluster in which our controller is installed, and nothing of ours besides. Out: a table of Markdown. Each state is waited for until it
//! is served, and then left alone for a while before it is measured.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::cluster::{Cluster, condition, soon};
use crate::http::{Request, ask};
use crate::manifest::list;
use crate::process::spending;

/// Routes of the Gateway that has many.
const ROUTES: usize = 5000;
/// Hosts that they are for.
const HOSTS: usize = 1000;
/// Services behind them.
const SERVICES: usize = 100;
/// As many Gateways as the upstream suite has at once.
const GATEWAYS: usize = 44;

const NAMESPACE: &str = "figures";
/// How long a state rests before it is measured, and is measured.
const RESTING: Duration = Duration::from_secs(30);
const MEASURED: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(600);

/// Brings about one state after the other, and measures each.
///
/// # Errors
///
/// When a state does not come about.
pub fn measure(cluster: &Cluster) -> Result<String> {
    let mut table =
        String::from("| state | became so within | controller | proxies, each | proxies together |\n|---|---|---|---|---|\n");
    let namespace = format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {NAMESPACE}}}}}");
    cluster.apply(&namespace)?;

    let took = brought_about(|| gateways(cluster, 1))?;
    row(&mut table, cluster, "idle: one Gateway, no route", took)?;

    let took = brought_about(|| routes(cluster))?;
    row(&mut table, cluster, &format!("one Gateway with {ROUTES} HTTPRoutes for {HOSTS} hosts, to {SERVICES} Services"), took)?;
    let took = brought_about(|| {
        cluster.kubectl(&["delete", "httproutes,services", "--all", "-n", NAMESPACE, "--wait=false"])?;
        soon("no route is counted", PATIENCE, || Ok((attached(cluster)? == 0).then_some(())))
    })?;
    row(&mut table, cluster, "the same Gateway, all of them deleted", took)?;

    let took = brought_about(|| gateways(cluster, GATEWAYS))?;
    row(&mut table, cluster, &format!("{GATEWAYS} Gateways, each with a proxy of its own, no route"), took)?;

    cluster.kubectl(&["delete", "gateways", "--all", "-n", NAMESPACE, "--timeout=120s"])?;
    cluster.kubectl(&["delete", "namespace", NAMESPACE, "--wait=false"])?;
    Ok(table)
}

/// Brings a state about, and tells how long that took.
fn brought_about(state: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let started = Instant::now();
    state()?;
    Ok(started.elapsed())
}

/// Gateways until there are so many, all of them programmed.
fn gateways(cluster: &Cluster, count: usize) -> Result<()> {
    let gateway = |number| {
        format!(
            "---\n{{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {{name: gateway-{number}, namespace: {NAMESPACE}}}, \
             spec: {{gatewayClassName: pingora, listeners: [{{name: http, protocol: HTTP, port: 80}}]}}}}\n"
        )
    };
    cluster.apply(&(0..count).map(gateway).collect::<String>())?;
    soon("all Gateways are programmed", PATIENCE, || {
        let found = cluster.get(&["gateways", "-n", NAMESPACE])?;
        let is_programmed =
            |gateway: &&Value| condition(&gateway["status"]["conditions"], "Programmed") == Some(("True", "Programmed"));
        let programmed = list(&found, "/items").iter().filter(is_programmed).count();
        ensure!(programmed == count, "{programmed} of {count}");
        Ok(Some(()))
    })
}

/// Many routes at the first Gateway, the last of them served.
fn routes(cluster: &Cluster) -> Result<()> {
    let service = |number| {
        format!(
            "---\n{{apiVersion: v1, kind: Service, metadata: {{name: service-{number}, namespace: {NAMESPACE}}}, spec: {{ports: [{{port: 80}}]}}}}\n"
        )
    };
    let route = |number| {
        format!(
            "---\n{{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {{name: route-{number}, namespace: {NAMESPACE}}}, \
             spec: {{parentRefs: [{{name: gateway-0}}], hostnames: [host-{}.example], \
             rules: [{{matches: [{{path: {{value: /path-{number}}}}}], backendRefs: [{{name: service-{}, port: 80}}]}}]}}}}\n",
            number % HOSTS,
            number % SERVICES
        )
    };
    cluster.apply(&(0..SERVICES).map(service).collect::<String>())?;
    for first in (0..ROUTES).step_by(500) {
        cluster.apply(&(first..first + 500).map(route).collect::<String>())?;
    }
    soon("all routes are counted", PATIENCE, || {
        let attached = attached(cluster)?;
        ensure!(attached == ROUTES as u64, "{attached} of {ROUTES}");
        Ok(Some(()))
    })?;
    let gateway = cluster.get(&["gateway", "gateway-0", "-n", NAMESPACE])?;
    let address = gateway.pointer("/status/addresses/0/value").and_then(Value::as_str).context("no address")?;
    let address = SocketAddr::new(address.parse()?, 80);
    let last = Request::get(&format!("host-{}.example", (ROUTES - 1) % HOSTS), &format!("/path-{}", ROUTES - 1));
    soon("the last route is served", PATIENCE, || {
        let status = ask(address, &last)?.status;
        // There is no endpoint behind it.
        ensure!(status == 503, "{status}");
        Ok(Some(()))
    })
}

fn attached(cluster: &Cluster) -> Result<u64> {
    let gateway = cluster.get(&["gateway", "gateway-0", "-n", NAMESPACE])?;
    gateway.pointer("/status/listeners/0/attachedRoutes").and_then(Value::as_u64).context("no count")
}

/// Measures what is, as a row of the table.
fn row(table: &mut String, cluster: &Cluster, state: &str, took: Duration) -> Result<()> {
    thread::sleep(RESTING);
    let all = spending(cluster, MEASURED)?;
    let controller = all.iter().find(|(process, _)| process.mode == "controller").context("there is no controller")?;
    let proxies: Vec<_> = all.iter().filter(|(process, _)| process.mode == "proxy").collect();
    ensure!(!proxies.is_empty(), "there is no proxy");
    let told =
        |resident: u64, share: f64| format!("{:.1} MiB, {:.2} % of a core", resident as f64 / f64::from(1 << 20), share * 100.0);
    let residents = proxies.iter().map(|(process, _)| process.resident);
    let (resident, share) = (residents.clone().sum::<u64>(), proxies.iter().map(|(_, share)| share).sum::<f64>());
    let most = residents.max().unwrap_or_default();
    let each = told(most, share / proxies.len() as f64);
    writeln!(
        table,
        "| {state} | {:.1} s | {} | {} of {each} | {} |",
        took.as_secs_f64(),
        told(controller.0.resident, controller.1),
        proxies.len(),
        told(resident, share)
    )?;
    Ok(())
}
