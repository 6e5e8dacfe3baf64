//! Small HTTP servers of the program's own, beside the gateway: one listener, one function from request to response.
//!
//! In: a bound listener and an app of Pingora's. Out: answers, until told to stop. Nothing here is fit for traffic of others: it
//! serves a few connections at a time and closes those that dawdle.

use std::sync::Arc;
use std::time::Duration;

use pingora_core::apps::ServerApp;
use pingora_core::apps::http_app::ServeHttp;
use pingora_core::protocols::l4::stream::Stream;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

/// Answers what comes to `listener` until `stop` becomes true.
pub(crate) async fn serve<A>(listener: TcpListener, app: Arc<A>, mut stop: watch::Receiver<bool>)
where
    A: ServeHttp + Send + Sync + 'static,
{
    let seats = Arc::new(Semaphore::new(SEATS));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let Ok(seat) = Arc::clone(&seats).acquire_owned().await else { return };
        // Best effort: without it small answers may be delayed.
        let _ = stream.set_nodelay(true);
        let (app, stop) = (Arc::clone(&app), stop.clone());
        tokio::spawn(async move {
            let conversation = app.process_new(Box::new(Stream::from(stream)), &stop);
            // Whatever is not over by then is cut.
            let _ = tokio::time::timeout(LONGEST, conversation).await;
            drop(seat);
        });
    }
}

/// Connections served at a time.
const SEATS: usize = 64;

/// How long one connection may last.
const LONGEST: Duration = Duration::from_secs(120);

/// Pause after an accept failed for lack of resources.
const PAUSE: Duration = Duration::from_millis(50);
