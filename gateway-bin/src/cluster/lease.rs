//! Who leads: of several controllers the one that holds a Lease writes (`coordination.k8s.io`).
//!
//! In: the Lease as it is stored, a name of our own. Out: whether we hold it, and who does. A holder that does not renew in time is
//! succeeded by whoever notices first; the API server lets only one write win.
//!
//! Invariants: we say that we lead only until the lease that we wrote has run out by our own clock.

use std::time::Duration;

use gateway_core::name::ObjectName;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::Instant;

use super::watch::told;

/// Who leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Leader {
    /// Nobody that we know of.
    Unknown,
    /// We do.
    Own,
    /// This one, as it named itself.
    Other(String),
}

/// Strives for the lease, for ever; `name` is what we call ourselves there.
pub(crate) async fn strive(client: Client, lease: ObjectName, name: String, tell: watch::Sender<Leader>) {
    let api: Api<Lease> = Api::namespaced(client, lease.namespace());
    // When what was seen of another's lease last changed.
    let mut seen: Option<(String, Instant)> = None;
    let mut held_until: Option<Instant> = None;
    loop {
        let began = Instant::now();
        let leader = match tokio::time::timeout(RENEWAL, attempt(&api, lease.name(), &name, &mut seen)).await {
            Ok(Ok(leader)) => Some(leader),
            Ok(Err(err)) => {
                tracing::warn!("the lease: {}", told(&err));
                None
            }
            Err(_) => None,
        };
        match leader {
            Some(Leader::Own) => held_until = Some(began + DURATION - RENEWAL),
            Some(Leader::Other(_) | Leader::Unknown) => held_until = None,
            None => {}
        }
        let leader = match leader {
            Some(leader) => leader,
            None if held_until.is_some_and(|until| Instant::now() < until) => Leader::Own,
            None => Leader::Unknown,
        };
        let is_own = leader == Leader::Own;
        tell.send_if_modified(|known| {
            let is_news = *known != leader;
            *known = leader;
            is_news
        });
        tokio::time::sleep(if is_own { RENEWAL } else { LOOK }).await;
    }
}

async fn attempt(api: &Api<Lease>, lease: &str, name: &str, seen: &mut Option<(String, Instant)>) -> kube::Result<Leader> {
    let found = api.get_opt(lease).await?;
    let now = MicroTime(Timestamp::now());
    let spec = |former: Option<&LeaseSpec>| {
        let is_ours = former.is_some_and(|former| former.holder_identity.as_deref() == Some(name));
        let transitions = former.and_then(|former| former.lease_transitions).unwrap_or(0);
        LeaseSpec {
            holder_identity: Some(name.to_owned()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: former.filter(|_| is_ours).map_or_else(|| Some(now.clone()), |former| former.acquire_time.clone()),
            renew_time: Some(now.clone()),
            lease_transitions: Some(transitions + i32::from(!is_ours && former.is_some())),
            ..LeaseSpec::default()
        }
    };
    let Some(found) = found else {
        let metadata = ObjectMeta { name: Some(lease.to_owned()), ..ObjectMeta::default() };
        let new = Lease { metadata, spec: Some(spec(None)) };
        return won(api.create(&PostParams::default(), &new).await.map(drop));
    };
    let held = found.spec.as_ref();
    let holder = held.and_then(|held| held.holder_identity.clone()).unwrap_or_default();
    if holder != name && !holder.is_empty() {
        let version = found.metadata.resource_version.clone().unwrap_or_default();
        let is_known = seen.as_ref().is_some_and(|(known, _)| *known == version);
        if !is_known {
            *seen = Some((version, Instant::now()));
        }
        // Clocks of others are not asked: what counts is how long nothing was renewed.
        let duration = held.and_then(|held| held.lease_duration_seconds).and_then(|seconds| u64::try_from(seconds).ok());
        let duration = duration.map_or(DURATION, Duration::from_secs);
        if seen.as_ref().is_none_or(|(_, since)| since.elapsed() < duration) {
            return Ok(Leader::Other(holder));
        }
    }
    let new = Lease { metadata: found.metadata.clone(), spec: Some(spec(held)) };
    won(api.replace(lease, &PostParams::default(), &new).await.map(drop))
}

/// A conflict is no error: somebody else was faster.
fn won(written: kube::Result<()>) -> kube::Result<Leader> {
    match written {
        Ok(()) => Ok(Leader::Own),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(Leader::Unknown),
        Err(err) => Err(err),
    }
}

/// Gives the lease up, so that another need not wait.
pub(crate) async fn release(client: Client, lease: &ObjectName, name: &str) {
    let api: Api<Lease> = Api::namespaced(client, lease.namespace());
    let Ok(Some(mut found)) = api.get_opt(lease.name()).await else { return };
    let Some(spec) = found.spec.as_mut().filter(|spec| spec.holder_identity.as_deref() == Some(name)) else { return };
    spec.holder_identity = None;
    // Whoever waits takes it when it runs out.
    let _ = api.replace(lease.name(), &PostParams::default(), &found).await;
}

/// How long a lease holds.
const DURATION: Duration = Duration::from_secs(15);
/// How often it is renewed.
const RENEWAL: Duration = Duration::from_secs(5);
/// How long giving it up may take.
pub(crate) const GOODBYE: Duration = Duration::from_secs(2);
/// How often others look.
const LOOK: Duration = Duration::from_secs(2);
