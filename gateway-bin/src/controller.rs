//! A cluster's Gateways: its objects watched, compiled, reported on; proxies made for each Gateway and told what it needs.
//!
//! ```text
//! watches ─┐                                          ┌─► statuses ─► written back, by the leader
//! proxies ─┼─► one thread: Change… ─► Compiler ─► Update ─► needs ──► what each Gateway's proxies are told
//! writes ──┤                                          └─► Gateways ─► what is made for them
//! lease ───┘
//! ```
//!
//! In: flags, an API server. Out: statuses, objects made for Gateways, proxies that are told. Nothing is compiled before all that is
//! watched was listed once.
//!
//! Invariants: only one thread applies changes; only who holds the lease writes.

mod apply;
mod backends;
mod events;
mod feeds;
mod gateways;
mod intake;
mod made;
mod notices;
mod recall;
mod reports;
mod schedule;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::thread;

use anyhow::{Context as _, anyhow};
use gateway_core::name::ObjectName;
use gateway_pingora::Builder;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::{Api, Client};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::admin::{self, Admin};
use crate::args;
use crate::cluster::lease::{self, Leader};
use crate::cluster::provision::Outfit;
use crate::cluster::write::Writer;
use crate::cluster::{review, secrets, watch as watches};
use crate::ending::Signals;
use crate::memory;
use crate::serve::serve;
use crate::state::State;
use crate::wire;
use apply::{Applier, Event, Place};

/// Runs until a signal ends it.
pub(crate) fn run(flags: &args::Controller, builder: Builder) -> anyhow::Result<ExitCode> {
    memory::keep_pages_small();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    let ended = runtime.block_on(control(flags, builder));
    runtime.shutdown_background();
    ended
}

async fn control(flags: &args::Controller, builder: Builder) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new()?;
    let state = Arc::new(State::default());
    // It serves nothing; it brings the kinds of filters that there are.
    let gateway = builder.build().context("cannot start the gateway")?;
    let (hush, hushed) = watch::channel(false);
    if let args::Admin::At(address) = flags.admin {
        let listener = admin::bind(address, &mut Vec::new())?;
        let admin = Admin { state: Arc::clone(&state), gateway: gateway.clone(), ports: BTreeMap::new() };
        tokio::spawn(serve(listener, Arc::new(admin), hushed.clone()));
    }
    let client = Client::try_default().await.context("cannot find the cluster's API server")?;
    let own = Own::find(&client, flags).await?;
    let authority = secrets::authority(client.clone(), &own.object("pingora-gateway-authority")).await?;
    let identity = authority.issue()?;
    let outfit = Outfit {
        controller_name: flags.controller_name.clone(),
        image: own.image.clone(),
        controller: own.service,
        authority: authority.certificate().to_owned(),
    };

    let (tell, events) = mpsc::channel();
    let extensions = gateway.extensions().clone();
    let kinds = extensions.kinds().cloned().collect();
    let done = told(&tell, Event::Done);
    let (lead, mut leads) = watch::channel(Leader::Unknown);
    let writer = Writer::new(client.clone(), Handle::current(), leads.clone(), done);
    let place = Place { outfit, sessions: authority.session_secret(), extensions, state: Arc::clone(&state), writer };
    let applying = thread::Builder::new().name("gateway-apply".into());
    applying.spawn(move || Applier::new(place).follow(&events)).context("cannot start the applying thread")?;
    tokio::spawn(watches::follow(client.clone(), kinds, told(&tell, Event::Seen)));

    let listener = gateway_pingora::listen(flags.wire);
    let listener =
        listener.with_context(|| format!("cannot listen for proxies on {}; choose another with --wire", flags.wire))?;
    let reviewer = client.clone();
    let verify: wire::serve::Verify = Arc::new(move |token| Box::pin(review::review(reviewer.clone(), token)));
    let said = told(&tell, Event::Said);
    let serving = tokio::spawn(async move { wire::serve::serve(listener, &identity, verify, said, hushed).await });

    let lease = own.object("pingora-gateway-controller");
    let striving = tokio::spawn(lease::strive(client.clone(), lease.clone(), own.name.clone(), lead));
    tokio::spawn(async move {
        while leads.changed().await.is_ok() {
            let leader = leads.borrow_and_update().clone();
            if tell.send(Event::Leader(leader)).is_err() {
                return;
            }
        }
    });

    let ended = tokio::select! {
        _ = signals.next() => Ok(ExitCode::SUCCESS),
        served = serving => served.map_err(|_| anyhow!("the wire ended"))?.map(|()| ExitCode::FAILURE),
    };
    state.lock().is_ending = true;
    striving.abort();
    hush.send_replace(true);
    // Nobody waits for us longer than for a lease to run out.
    let _ = tokio::time::timeout(lease::GOODBYE, lease::release(client, &lease, &own.name)).await;
    ended
}

/// Events told to the applying thread.
fn told<T: 'static>(
    tell: &mpsc::Sender<Event>,
    event: impl Fn(T) -> Event + Send + Sync + 'static,
) -> Arc<dyn Fn(T) + Send + Sync> {
    let tell = tell.clone();
    // The thread may be gone when the last events come.
    Arc::new(move |one| drop(tell.send(event(one))))
}

/// What a controller knows of itself.
struct Own {
    namespace: String,
    /// What it calls itself where it leads: its pod, and where proxies find it there.
    name: String,
    image: String,
    service: SocketAddr,
}

impl Own {
    async fn find(client: &Client, flags: &args::Controller) -> anyhow::Result<Self> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let namespace = flags.namespace.clone().or_else(|| variable("POD_NAMESPACE"));
        let namespace = namespace.context("the controller's namespace is not known: give --namespace, or POD_NAMESPACE")?;
        let pod = variable("POD_NAME");
        let ip = variable("POD_IP").unwrap_or_else(|| flags.wire.ip().to_string());
        let address = SocketAddr::new(ip.parse().with_context(|| format!("POD_IP {ip}"))?, flags.wire.port());
        let image = match (&flags.proxy_image, &pod) {
            (Some(image), _) => image.clone(),
            (None, Some(pod)) => {
                let found = Api::<Pod>::namespaced(client.clone(), &namespace).get(pod).await;
                let found = found.with_context(|| format!("cannot read the controller's own pod {namespace}/{pod}"))?;
                let container = found.spec.and_then(|spec| spec.containers.into_iter().next());
                container.and_then(|container| container.image).context("the controller's own pod names no image")?
            }
            (None, None) => anyhow::bail!("the image of proxies is not known: give --proxy-image, or POD_NAME"),
        };
        let services = Api::<Service>::namespaced(client.clone(), &namespace);
        let found = services.get(&flags.service).await;
        let found = found.with_context(|| format!("cannot read the controller's Service {namespace}/{}", flags.service))?;
        let spec = found.spec.unwrap_or_default();
        let ip = spec.cluster_ip.and_then(|ip| ip.parse().ok()).context("the controller's Service has no address")?;
        let port = spec.ports.and_then(|ports| u16::try_from(ports.first()?.port).ok());
        let service = SocketAddr::new(ip, port.context("the controller's Service has no port")?);
        let name = format!("{}_{address}", pod.as_deref().unwrap_or("controller"));
        Ok(Self { namespace, name, image, service })
    }

    fn object(&self, name: &str) -> ObjectName {
        ObjectName::new(&self.namespace, name)
    }
}
