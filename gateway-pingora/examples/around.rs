//! A proxy of one's own around the gateway's: every callback of `ProxyHttp` that the gateway implements is passed on, and two of them do
//! more. All of them have to be passed on: what is left out is left undone, the check of a backend's identity
//! (`connected_to_upstream`) for one.
//!
//! Most needs are met by a `Filter` for every request (`Builder::always`), which is shorter; this is for what only Pingora can do.
//!
//! `cargo run -p gateway-pingora --example around -- MANIFEST…`

use std::error::Error;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use gateway_pingora::{Gateway, Passage, Proxy, RequestHeader, ResponseHeader};
use http::HeaderMap;
use pingora_core::modules::http::HttpModules;
use pingora_core::protocols::Digest;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::Result;
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use tokio::sync::{mpsc, watch};

#[expect(dead_code, reason = "its main is for those who run it alone")]
mod embed;

/// Tells clients how long the backend took.
pub(crate) struct Timed(pub(crate) Proxy);

/// What is remembered of a request: ours, and within it the gateway's.
pub(crate) struct Ctx {
    asked: Option<Instant>,
    passage: Box<Passage>,
}

#[async_trait]
impl ProxyHttp for Timed {
    type CTX = Ctx;

    fn new_ctx(&self) -> Ctx {
        Ctx { asked: None, passage: self.0.new_ctx() }
    }

    fn init_downstream_modules(&self, modules: &mut HttpModules) {
        self.0.init_downstream_modules(modules);
    }

    async fn early_request_filter(&self, session: &mut Session, ctx: &mut Ctx) -> Result<()> {
        self.0.early_request_filter(session, &mut ctx.passage).await
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut Ctx) -> Result<bool> {
        self.0.request_filter(session, &mut ctx.passage).await
    }

    async fn upstream_peer(&self, session: &mut Session, ctx: &mut Ctx) -> Result<Box<HttpPeer>> {
        // What is added: the time is taken.
        ctx.asked = Some(Instant::now());
        self.0.upstream_peer(session, &mut ctx.passage).await
    }

    async fn connected_to_upstream(
        &self,
        session: &mut Session,
        reused: bool,
        peer: &HttpPeer,
        fd: RawFd,
        digest: Option<&Digest>,
        ctx: &mut Ctx,
    ) -> Result<()> {
        self.0.connected_to_upstream(session, reused, peer, fd, digest, &mut ctx.passage).await
    }

    async fn upstream_request_filter(&self, session: &mut Session, head: &mut RequestHeader, ctx: &mut Ctx) -> Result<()> {
        self.0.upstream_request_filter(session, head, &mut ctx.passage).await
    }

    fn fail_to_connect(
        &self,
        session: &mut Session,
        peer: &HttpPeer,
        ctx: &mut Ctx,
        error: Box<pingora_error::Error>,
    ) -> Box<pingora_error::Error> {
        self.0.fail_to_connect(session, peer, &mut ctx.passage, error)
    }

    fn error_while_proxy(
        &self,
        peer: &HttpPeer,
        session: &mut Session,
        error: Box<pingora_error::Error>,
        ctx: &mut Ctx,
        reused: bool,
    ) -> Box<pingora_error::Error> {
        self.0.error_while_proxy(peer, session, error, &mut ctx.passage, reused)
    }

    async fn request_body_filter(&self, session: &mut Session, body: &mut Option<Bytes>, end: bool, ctx: &mut Ctx) -> Result<()> {
        self.0.request_body_filter(session, body, end, &mut ctx.passage).await
    }

    async fn upstream_response_filter(&self, session: &mut Session, head: &mut ResponseHeader, ctx: &mut Ctx) -> Result<()> {
        self.0.upstream_response_filter(session, head, &mut ctx.passage).await
    }

    fn upstream_response_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Ctx,
    ) -> Result<Option<Duration>> {
        self.0.upstream_response_body_filter(session, body, end, &mut ctx.passage)
    }

    fn upstream_response_trailer_filter(&self, session: &mut Session, trailers: &mut HeaderMap, ctx: &mut Ctx) -> Result<()> {
        self.0.upstream_response_trailer_filter(session, trailers, &mut ctx.passage)
    }

    async fn response_filter(&self, session: &mut Session, head: &mut ResponseHeader, ctx: &mut Ctx) -> Result<()> {
        self.0.response_filter(session, head, &mut ctx.passage).await?;
        // What is added: the time is told.
        if let Some(asked) = ctx.asked {
            head.insert_header("Server-Timing", format!("backend;dur={}", asked.elapsed().as_millis()))?;
        }
        Ok(())
    }

    fn response_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Ctx,
    ) -> Result<Option<Duration>> {
        self.0.response_body_filter(session, body, end, &mut ctx.passage)
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &pingora_error::Error, ctx: &mut Ctx) -> FailToProxy {
        self.0.fail_to_proxy(session, error, &mut ctx.passage).await
    }

    async fn logging(&self, session: &mut Session, error: Option<&pingora_error::Error>, ctx: &mut Ctx) {
        self.0.logging(session, error, &mut ctx.passage).await;
    }

    fn suppress_error_log(&self, session: &Session, ctx: &Ctx, error: &pingora_error::Error) -> bool {
        self.0.suppress_error_log(session, &ctx.passage, error)
    }

    fn suppress_proxy_warn_log(
        &self,
        session: &Session,
        ctx: &Ctx,
        error: &pingora_error::Error,
        of: ProxyWarnLogContext,
    ) -> bool {
        self.0.suppress_proxy_warn_log(session, &ctx.passage, error, of)
    }
}

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn Error>> {
    let gateway = Gateway::builder().build()?;
    let (changes, source) = mpsc::unbounded_channel();
    for path in std::env::args().skip(1) {
        let read = embed::read(&std::fs::read_to_string(path)?, &gateway).map_err(|problem| problem.to_string())?;
        read.into_iter().try_for_each(|change| changes.send(change))?;
    }
    tokio::spawn(embed::follow(gateway.clone(), source));
    let service = gateway.service_with(Timed(gateway.proxy()));
    let (_running, shutdown) = watch::channel(false);
    service.serve(shutdown).await;
    Ok(())
}
