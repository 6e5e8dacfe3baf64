//! Two tiny backends in the gateway's own process, so that the quickstart needs nothing else.
//!
//! In: nothing. Out: the Services of the quickstart as `--backend` would name them, served on free loopback ports. Each answers
//! with its name and with what it was asked, so that a person sees what the gateway made of a request.

use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;
use gateway_core::name::ObjectName;
use http::{Response, header};
use pingora_core::apps::http_app::ServeHttp;
use pingora_core::protocols::http::ServerSession;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::args::Backend;
use crate::serve::serve;

/// Starts them and says where they are.
pub(crate) async fn start(stop: &watch::Receiver<bool>) -> anyhow::Result<Vec<Backend>> {
    let mut backends = Vec::new();
    for name in SERVICES {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot start a demo backend")?;
        let endpoint = listener.local_addr().context("cannot start a demo backend")?;
        tokio::spawn(serve(listener, Arc::new(Demo { name }), stop.clone()));
        let service = ObjectName::new(NAMESPACE, name);
        backends.push(Backend { service, port: 80, endpoints: vec![endpoint] });
    }
    Ok(backends)
}

/// One of them.
struct Demo {
    name: &'static str,
}

#[async_trait]
impl ServeHttp for Demo {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let head = session.req_header();
        let mut headers = Map::new();
        for (name, value) in &head.headers {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            match headers.get_mut(name.as_str()) {
                Some(Value::String(former)) => former.push_str(&format!(", {value}")),
                Some(_) | None => drop(headers.insert(name.as_str().to_owned(), value.into())),
            }
        }
        let told =
            json!({ "backend": self.name, "method": head.method.as_str(), "path": head.uri.to_string(), "headers": headers });
        let body = format!("{told:#}\n").into_bytes();
        let mut response = Response::new(body);
        let length = response.body().len();
        response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
        response
    }
}

/// The namespace of the quickstart.
const NAMESPACE: &str = "quickstart";

/// Its Services, each with port 80.
const SERVICES: [&str; 2] = ["store", "store-next"];
