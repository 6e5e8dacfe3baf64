//! The way back for an endpoint that could not be connected to: a connect now and then, over TLS with its handshake, until one
//! succeeds.
//!
//! In: endpoints taken out of use. Out: the same, back in use. One prober per address and handshake, however many backends have them;
//! it ends when no backend has them any longer. Endpoints in use are never probed.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::chance;
use super::endpoint::Endpoint;
use crate::tls::{Aim, BackendHandshake};

/// The endpoints that are being probed.
#[derive(Debug, Default)]
pub(super) struct Probes(Mutex<HashMap<Probed, Vec<Weak<Endpoint>>>>);

/// An address, and which handshake it has to pass.
type Probed = (SocketAddr, Option<usize>);

impl Probes {
    /// Probes an endpoint until it is reached.
    pub(super) fn watch(self: &Arc<Self>, endpoint: &Arc<Endpoint>, handshake: Option<&Arc<BackendHandshake>>) {
        // The prober holds the handshake, so that no other is ever made in its place.
        let probed = (endpoint.address, handshake.map(|handshake| Arc::as_ptr(handshake).addr()));
        let mut waiting = self.lock();
        if let Some(others) = waiting.get_mut(&probed) {
            others.push(Arc::downgrade(endpoint));
            return;
        }
        waiting.insert(probed, vec![Arc::downgrade(endpoint)]);
        tokio::spawn(Arc::clone(self).probe(probed, handshake.cloned()));
    }

    async fn probe(self: Arc<Self>, probed: Probed, handshake: Option<Arc<BackendHandshake>>) {
        let (address, _) = probed;
        loop {
            let jitter = Duration::from_millis(chance::draw() % JITTER_MS);
            sleep(PAUSE + jitter).await;
            if self.is_forgotten(&probed) {
                return;
            }
            let reach = async {
                let stream = TcpStream::connect(address).await?;
                match &handshake {
                    Some(handshake) => handshake.shake(stream, Aim::Look).await.map(drop),
                    None => Ok(()),
                }
            };
            if let Ok(Ok(())) = timeout(PATIENCE, reach).await {
                let restored = self.lock().remove(&probed).unwrap_or_default();
                restored.iter().filter_map(Weak::upgrade).for_each(|endpoint| endpoint.restore());
                tracing::info!(endpoint = %address, "reachable again, back in use");
                return;
            }
        }
    }

    /// Whether no backend has the address any longer, or none waits for it; then nobody probes it.
    fn is_forgotten(&self, probed: &Probed) -> bool {
        let mut waiting = self.lock();
        let Some(endpoints) = waiting.get_mut(probed) else { return true };
        endpoints.retain(|endpoint| endpoint.upgrade().is_some_and(|endpoint| endpoint.awaits_probe()));
        if endpoints.is_empty() {
            waiting.remove(probed);
            return true;
        }
        false
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Probed, Vec<Weak<Endpoint>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Between two probes of an address.
const PAUSE: Duration = Duration::from_millis(225);
const JITTER_MS: u64 = 50;
/// How long one probe may take.
const PATIENCE: Duration = Duration::from_secs(1);
