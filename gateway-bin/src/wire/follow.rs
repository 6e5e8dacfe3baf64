//! The proxy's side of the wire: it connects, says what it holds, hears steps and acknowledges them, and connects again.
//!
//! In: where the controller is, and by what it is known. Out: steps, each whole. Nothing here applies them.
//!
//! Invariants: an acknowledgement is said only on the connection its step came by.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use http::uri::PathAndQuery;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::client::Grpc;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};
use tonic::{Request, Streaming};
use tonic_prost::ProstCodec;

use super::{Acknowledged, FromController, FromProxy, Held, Hello, KEEP_ALIVE, LARGEST, PATH, Put, SERVER_NAME};

/// Where the controller is, and what shows both who the other is.
#[derive(Clone, Debug)]
pub(crate) struct Controller {
    pub(crate) address: SocketAddr,
    /// A file with the certificate of the authority.
    pub(crate) authority: PathBuf,
    /// A file with the token; it is renewed by whoever wrote it.
    pub(crate) token: PathBuf,
}

/// A transaction as it came.
#[derive(Debug, Default)]
pub(crate) struct Whole {
    /// By which connection.
    pub(crate) connection: u64,
    pub(crate) number: u64,
    pub(crate) puts: Vec<Put>,
    pub(crate) removed: Vec<String>,
}

/// What a proxy's applying side gives the wire.
pub(crate) struct Ends<H, S, K> {
    /// What is held now.
    pub(crate) held: H,
    /// Takes a transaction; false when nobody does any more.
    pub(crate) take: S,
    /// Takes the keys of sessions.
    pub(crate) seal: K,
    /// Acknowledgements, each with the connection its step came by.
    pub(crate) acknowledged: mpsc::UnboundedReceiver<(u64, Acknowledged)>,
}

/// Follows the controller until nobody takes steps any more.
pub(crate) async fn follow<H, S, K>(controller: &Controller, mut ends: Ends<H, S, K>)
where
    H: Fn() -> Vec<Held>,
    S: Fn(Whole) -> bool,
    K: Fn(&[Vec<u8>]),
{
    let mut address = controller.address;
    let mut pause = SHORTEST_PAUSE;
    for connection in 0.. {
        let outcome = follow_once(controller, address, connection, &mut ends, &mut pause).await;
        address = controller.address;
        match outcome {
            Ok(Ended::Gone) => return,
            Ok(Ended::Elsewhere(other)) => {
                address = other;
                tracing::info!(%address, "another controller leads");
            }
            Ok(Ended::Closed) => tracing::info!("the controller closed the connection"),
            Err(err) => tracing::warn!("not connected to the controller at {address}: {err:#}"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// How a connection ended.
enum Ended {
    Closed,
    Elsewhere(SocketAddr),
    Gone,
}

async fn follow_once<H, S, K>(
    controller: &Controller,
    address: SocketAddr,
    connection: u64,
    ends: &mut Ends<H, S, K>,
    pause: &mut Duration,
) -> anyhow::Result<Ended>
where
    H: Fn() -> Vec<Held>,
    S: Fn(Whole) -> bool,
    K: Fn(&[Vec<u8>]),
{
    let mut client = connect(controller, address).await?;
    let token = std::fs::read_to_string(&controller.token).context("the token")?;
    let (say, said) = mpsc::unbounded_channel();
    let hello = Hello { held: (ends.held)(), release: env!("CARGO_PKG_VERSION").to_owned() };
    say.send(FromProxy { hello: Some(hello), acknowledged: None })?;
    let mut request = Request::new(UnboundedReceiverStream::new(said));
    let bearer = format!("Bearer {}", token.trim());
    request.metadata_mut().insert("authorization", bearer.parse().context("the token is no token")?);
    client.ready().await.context("cannot connect")?;
    let codec = ProstCodec::<FromProxy, FromController>::default();
    let answer = client.streaming(request, PathAndQuery::from_static(PATH), codec).await;
    let mut heard: Streaming<FromController> = answer.map_err(|status| anyhow!("{}", status.message()))?.into_inner();
    let mut whole = Whole { connection, ..Whole::default() };
    loop {
        tokio::select! {
            message = heard.next() => {
                let Some(message) = message else { return Ok(Ended::Closed) };
                let message = message.map_err(|status| anyhow!("{}", status.message()))?;
                if let Some(other) = message.elsewhere {
                    return Ok(Ended::Elsewhere(other.parse().context("the leader's address")?));
                }
                if let Some(why) = message.refused {
                    bail!("{why}");
                }
                *pause = SHORTEST_PAUSE;
                if !message.session_keys.is_empty() {
                    (ends.seal)(&message.session_keys);
                }
                let Some(step) = message.step else { continue };
                whole.number = step.number;
                whole.puts.extend(step.puts);
                whole.removed.extend(step.removed);
                if step.continues {
                    continue;
                }
                if !(ends.take)(std::mem::replace(&mut whole, Whole { connection, ..Whole::default() })) {
                    return Ok(Ended::Gone);
                }
            }
            acknowledged = ends.acknowledged.recv() => match acknowledged {
                Some((by, acknowledged)) if by == connection => {
                    if say.send(FromProxy { hello: None, acknowledged: Some(acknowledged) }).is_err() {
                        bail!("the controller is gone");
                    }
                }
                Some(_) => {}
                None => return Ok(Ended::Gone),
            },
        }
    }
}

async fn connect(controller: &Controller, address: SocketAddr) -> anyhow::Result<Grpc<tonic::transport::Channel>> {
    let authority = std::fs::read(&controller.authority).context("the certificate of the authority")?;
    let tls = ClientTlsConfig::new().domain_name(SERVER_NAME).ca_certificate(Certificate::from_pem(authority));
    let endpoint = Endpoint::from_shared(format!("https://{address}"))?
        .tls_config(tls)?
        .connect_timeout(CONNECT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true);
    let channel = endpoint.connect().await.context("cannot connect")?;
    Ok(Grpc::new(channel).max_decoding_message_size(LARGEST))
}

const CONNECT: Duration = Duration::from_secs(5);
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
