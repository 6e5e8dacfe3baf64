//! A connection that speaks HTTP: its requests, one after another.
//!
//! In: the byte stream of a connection. Out: its requests, given to Pingora. As Pingora's own loop, but for what is kept while a client of HTTP/1
//! asks nothing: the stream alone. What Pingora makes of it to serve a request (a session, its buffers, and a future as large as
//! all that may come of a request) is made when the first byte is there, and goes with the answer.
//!
//! Invariants: **no request is waited for that is there already**; how long one may be waited for, the stream knows.

use std::sync::Arc;

use pingora_core::apps::{HttpPersistentSettings, HttpServerApp as _, ServerApp as _};
use pingora_core::protocols::Stream;
use pingora_core::protocols::http::ServerSession;
use pingora_core::server::ShutdownWatch;
use pingora_proxy::{HttpProxy, ProxyHttp};

use crate::connection::wire::{Carrier, Wire};

/// Serves a connection until it ends.
pub(super) async fn converse<P, S>(proxy: &Arc<HttpProxy<P>>, mut wire: Box<Wire<S>>, leaving: &ShutdownWatch)
where
    P: ProxyHttp + Send + Sync + 'static,
    P::CTX: Send + Sync,
    S: Carrier,
{
    match wire.speaks_h2().await {
        Ok(true) => {
            // Nothing comes back: HTTP/2 keeps its streams to the end.
            let _ = proxy.process_new(wire, leaving).await;
        }
        Ok(false) => {
            wire.rest().await;
            answer::<P, S>(proxy, wire, leaving).await;
        }
        // The client is gone.
        Err(_) => {}
    }
}

/// Answers requests of HTTP/1 until one is the last.
async fn answer<P, S>(proxy: &Arc<HttpProxy<P>>, wire: Box<Wire<S>>, leaving: &ShutdownWatch) -> Option<()>
where
    P: ProxyHttp + Send + Sync + 'static,
    P::CTX: Send + Sync,
    S: Carrier,
{
    let mut ended = proxy.process_new_http(first(wire, leaving), leaving).await?;
    loop {
        let (stream, settings) = ended.consume();
        // It is the one that was given.
        let mut wire = stream.into_any().downcast::<Wire<S>>().ok()?;
        wire.rest().await;
        ended = proxy.process_new_http(another(wire, settings), leaving).await?;
    }
}

/// The session of a connection's first request.
fn first(stream: Stream, leaving: &ShutdownWatch) -> ServerSession {
    let mut session = ServerSession::new_http1(stream);
    session.set_keepalive((!*leaving.borrow()).then_some(KEPT_SECONDS));
    session
}

/// The session of a further request.
fn another(stream: Stream, settings: Option<HttpPersistentSettings>) -> ServerSession {
    let mut session = ServerSession::new_http1(stream);
    if let Some(settings) = settings {
        settings.apply_to_session(&mut session);
    }
    session
}

/// What Pingora's own loop tells a new session. The stream is stricter, and from the first request on the client's wish counts.
const KEPT_SECONDS: u64 = 60;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::os::fd::AsRawFd as _;
    use std::time::{Duration, SystemTime};

    use gateway_core::admit::Arrival;
    use gateway_core::snapshot::{Settings, Socket, Transport};
    use pingora_core::server::configuration::ServerConf;
    use pingora_proxy::http_proxy;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    use super::*;
    use crate::connection::Connection;
    use crate::connection::wire::Layers;
    use crate::{Gateway, Proxy};

    /// Waits until so many hold the connection.
    async fn held(connection: &Arc<Connection>, by: impl Fn(usize) -> bool) {
        let reached = async {
            while !by(Arc::strong_count(connection)) {
                tokio::task::yield_now().await;
            }
        };
        let counted = timeout(Duration::from_secs(10), reached).await;
        assert!(counted.is_ok(), "held by {}", Arc::strong_count(connection));
    }

    /// A client, and our end of its connection.
    async fn pair() -> (TcpStream, Box<Wire<TcpStream>>, Arc<Connection>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, peer) = listener.accept().await.unwrap();
        let arrival = Arrival { socket: Socket { address: None, port: 80, transport: Transport::Tcp }, tls: None };
        let local = stream.local_addr().unwrap();
        let connection = Arc::new(Connection::new(arrival, peer, local, Arc::<Settings>::default(), Arc::default()));
        let layers = Layers { fd: stream.as_raw_fd(), accepted: SystemTime::now(), tls: None };
        (client, Box::new(Wire::new(stream, Arc::clone(&connection), layers)), connection)
    }

    fn proxy() -> Arc<HttpProxy<Proxy>> {
        Arc::new(http_proxy(&Arc::new(ServerConf::default()), Gateway::builder().build().unwrap().proxy()))
    }

    #[tokio::test]
    async fn between_requests_of_http1_the_stream_alone_is_kept() {
        let (mut client, wire, connection) = pair().await;
        let leaving = connection.leaving();
        let at_rest = Arc::strong_count(&connection);
        let conversation = tokio::spawn(async move { converse(&proxy(), wire, &leaving).await });
        for _ in 0..3 {
            client.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n").await.unwrap();
            // What Pingora makes of the stream knows whose it is.
            held(&connection, |holders| holders > at_rest).await;
            client.write_all(b"\r\nabc").await.unwrap();
            let mut answer = [0; 13];
            client.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"HTTP/1.1 404 ");
            held(&connection, |holders| holders == at_rest).await;
            // The rest of the answer must not be taken for the next.
            while client.try_read(&mut [0; 1024]).is_ok_and(|read| read > 0) {}
        }
        drop(client);
        conversation.await.unwrap();
    }

    /// h2 begins each connection with a buffer of 16 KiB, and writes little of it. Where the allocator makes it of the memory of a request
    /// that is over, as it does with what is about as large, all of it is occupied.
    #[tokio::test]
    async fn a_request_takes_less_than_what_http2_writes_into() {
        let (_client, wire, connection) = pair().await;
        let (proxy, leaving) = (proxy(), connection.leaving());
        let request = proxy.process_new_http(first(wire, &leaving), &leaving);
        assert!(size_of_val(&*request) <= 14 * 1024, "{}", size_of_val(&*request));
    }
}
