//! Probes of endpoints that could not be connected to: a plain connect now and then, until one succeeds.
//!
//! In: endpoints taken out of use. Out: the same, back in use. One prober per address, however many backends have it; it ends when
//! no backend has it any longer. Endpoints in use are never probed.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::chance;
use super::endpoint::Endpoint;

/// The endpoints that are being probed, by address.
#[derive(Debug, Default)]
pub(super) struct Probes(Mutex<HashMap<SocketAddr, Vec<Weak<Endpoint>>>>);

impl Probes {
    /// Probes an endpoint until it is reached.
    pub(super) fn watch(self: &Arc<Self>, endpoint: &Arc<Endpoint>) {
        let address = endpoint.address;
        let mut waiting = self.lock();
        if let Some(others) = waiting.get_mut(&address) {
            others.push(Arc::downgrade(endpoint));
            return;
        }
        waiting.insert(address, vec![Arc::downgrade(endpoint)]);
        tokio::spawn(Arc::clone(self).probe(address));
    }

    async fn probe(self: Arc<Self>, address: SocketAddr) {
        loop {
            let jitter = Duration::from_millis(chance::draw() % JITTER_MS);
            sleep(PAUSE + jitter).await;
            if self.is_forgotten(address) {
                return;
            }
            if let Ok(Ok(_)) = timeout(PATIENCE, TcpStream::connect(address)).await {
                let restored = self.lock().remove(&address).unwrap_or_default();
                restored.iter().filter_map(Weak::upgrade).for_each(|endpoint| endpoint.restore());
                tracing::info!(endpoint = %address, "reachable again, back in use");
                return;
            }
        }
    }

    /// Whether no backend has the address any longer; then nobody probes it.
    fn is_forgotten(&self, address: SocketAddr) -> bool {
        let mut waiting = self.lock();
        let Some(endpoints) = waiting.get_mut(&address) else { return true };
        endpoints.retain(|endpoint| endpoint.strong_count() > 0);
        if endpoints.is_empty() {
            waiting.remove(&address);
            return true;
        }
        false
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddr, Vec<Weak<Endpoint>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Between two probes of an address.
const PAUSE: Duration = Duration::from_millis(225);
const JITTER_MS: u64 = 50;
/// How long one probe may take.
const PATIENCE: Duration = Duration::from_secs(1);
