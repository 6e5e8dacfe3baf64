//! The controller's side of the wire: proxies are let in, heard and told.
//!
//! In: connections. Out: who joined with what it holds, what was acknowledged, who left; and an outbox for each. Who may have what
//! is not decided here: a token is handed to whoever can tell whose it is, and the caller's name is passed on.
//!
//! Invariants: nobody joins without a token that was found good, and whoever joined leaves exactly once.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Context as _;
use gateway_core::name::ObjectName;
use http::{Request, Response};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::body::Body;
use tonic::server::Grpc;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Identity as TlsIdentity, Server, ServerTlsConfig};
use tonic::{Status, Streaming};
use tonic_prost::ProstCodec;
use tower_service::Service;

use super::authority::Identity;
use super::{Acknowledged, FromController, FromProxy, Held, KEEP_ALIVE, LARGEST, PATH};

/// Something a proxy did.
#[derive(Debug)]
pub(crate) enum Said {
    /// It came, with what it holds; its release is for people.
    Joined { proxy: ProxyId, caller: Caller, held: Vec<Held>, release: String, outbox: Outbox },
    /// It acknowledged a step.
    Acknowledged { proxy: ProxyId, acknowledged: Acknowledged },
    /// It is gone.
    Left { proxy: ProxyId },
}

/// A connection of a proxy.
pub(crate) type ProxyId = u64;

/// Where what a proxy is told is put. Dropping it ends the connection.
pub(crate) type Outbox = mpsc::UnboundedSender<FromController>;

/// Whose token it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The ServiceAccount.
    pub(crate) account: ObjectName,
    /// The pod, where the token says so.
    pub(crate) pod: Option<String>,
}

/// Tells whose a token is, or why it is nobody's.
pub(crate) type Verify = Arc<dyn Fn(String) -> Verdict + Send + Sync>;

/// What comes of it.
pub(crate) type Verdict = Pin<Box<dyn Future<Output = Result<Caller, String>> + Send>>;

/// Where everything that proxies do is told.
pub(crate) type Tell = Arc<dyn Fn(Said) + Send + Sync>;

/// Serves proxies until `stop` becomes true.
pub(crate) async fn serve(
    listener: TcpListener,
    identity: &Identity,
    verify: Verify,
    tell: Tell,
    mut stop: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let identity = TlsIdentity::from_pem(&identity.certificate, &identity.key);
    let server = Server::builder()
        .tls_config(ServerTlsConfig::new().identity(identity))
        .context("the wire's certificate")?
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE));
    let follow = Follow { verify, tell, next: Arc::default() };
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let stopped = async move { drop(stop.wait_for(|stop| *stop).await) };
    // Connections last: those who are served go elsewhere when the process ends.
    tokio::select! {
        served = server.serve_with_incoming(follow, incoming) => served.context("the wire"),
        () = stopped => Ok(()),
    }
}

/// The service.
#[derive(Clone)]
struct Follow {
    verify: Verify,
    tell: Tell,
    next: Arc<AtomicU64>,
}

type Answer<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl Service<Request<Body>> for Follow {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let method = Method(self.clone());
        Box::pin(async move {
            if request.uri().path() != PATH {
                return Ok(Status::unimplemented("there is no such method").into_http());
            }
            let mut grpc = Grpc::new(ProstCodec::<FromController, FromProxy>::default()).max_decoding_message_size(LARGEST);
            Ok(grpc.streaming(method, request).await)
        })
    }
}

/// The one method of the service.
struct Method(Follow);

impl Service<tonic::Request<Streaming<FromProxy>>> for Method {
    type Response = tonic::Response<Told>;
    type Error = Status;
    type Future = Answer<Result<tonic::Response<Told>, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: tonic::Request<Streaming<FromProxy>>) -> Self::Future {
        let follow = self.0.clone();
        Box::pin(async move {
            let token = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
            let token = token.and_then(|value| value.strip_prefix("Bearer ")).map(str::to_owned);
            let token = token.ok_or_else(|| Status::unauthenticated("a token is missing"))?;
            let caller = (follow.verify)(token).await.map_err(Status::unauthenticated)?;
            let mut heard = request.into_inner();
            let first = tokio::time::timeout(FIRST_WORD, heard.message());
            let first = first.await.map_err(|_| Status::deadline_exceeded("nothing was said"))??;
            let hello = first.and_then(|first| first.hello).ok_or_else(|| Status::invalid_argument("hello comes first"))?;
            let proxy = follow.next.fetch_add(1, Ordering::Relaxed);
            let (outbox, told) = mpsc::unbounded_channel();
            let tell = Arc::clone(&follow.tell);
            let leaving = Leaving { proxy, tell: Arc::clone(&tell) };
            tell(Said::Joined { proxy, caller, held: hello.held, release: hello.release, outbox });
            tokio::spawn(async move {
                let _leaving = leaving;
                // An error of the stream ends it as its end does.
                while let Ok(Some(message)) = heard.message().await {
                    if let Some(acknowledged) = message.acknowledged {
                        tell(Said::Acknowledged { proxy, acknowledged });
                    }
                }
            });
            Ok(tonic::Response::new(Told(UnboundedReceiverStream::new(told))))
        })
    }
}

/// Tells that a proxy is gone, however it went.
struct Leaving {
    proxy: ProxyId,
    tell: Tell,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        (self.tell)(Said::Left { proxy: self.proxy });
    }
}

/// What a proxy is told, as a stream.
struct Told(UnboundedReceiverStream<FromController>);

impl tokio_stream::Stream for Told {
    type Item = Result<FromController, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.0).poll_next(context).map(|next| next.map(Ok))
    }
}

/// How long a proxy may take to say hello.
const FIRST_WORD: Duration = Duration::from_secs(10);
