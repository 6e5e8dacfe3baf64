//! Kubernetes: the only room that knows its clients.
//!
//! In: an API server. Out: what is installed, what every watched object is now, who leads; and writes carried out. What objects mean
//! is core's; what follows from a change is decided by the mode that asked.

pub(crate) mod address;
pub(crate) mod child;
pub(crate) mod discover;
pub(crate) mod lease;
pub(crate) mod provision;
pub(crate) mod review;
pub(crate) mod secrets;
pub(crate) mod selecting;
pub(crate) mod watch;
pub(crate) mod write;

use std::time::Duration;

/// Waits for the answer to a request, but not without end: an API server that was lost without a word never answers.
pub(crate) async fn within<T>(request: impl Future<Output = kube::Result<T>>) -> kube::Result<T> {
    let late = |_| kube::Error::Service("it took too long".into());
    tokio::time::timeout(PATIENCE, request).await.map_err(late)?
}

/// How long any request but a watch may take.
const PATIENCE: Duration = Duration::from_secs(10);
