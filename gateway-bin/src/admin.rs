//! Health, readiness, statuses, metrics, and explanations of the running configuration, over HTTP for people and probes.
//!
//! In: what the applying thread and the adapter know now. Out: answers to GET. Nothing can be changed here, and no Secret is shown.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;
use gateway_core::compile::Bound;
use http::{Method, Response, StatusCode, header};
use pingora_core::apps::http_app::ServeHttp;
use pingora_core::protocols::http::ServerSession;
use tokio::net::TcpListener;

use crate::args;
use crate::question::Question;
use crate::state::State;
use crate::target::Target;

/// Binds the admin server's address, unless it is that of a socket which a former process left.
pub(crate) fn bind(address: SocketAddr, left: &mut Vec<std::net::TcpListener>) -> anyhow::Result<TcpListener> {
    // All addresses of a machine without IPv6 are those of IPv4.
    let fallback = address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let fallback = fallback.then(|| SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())));
    let place = left.iter().position(|socket| socket.local_addr().is_ok_and(|its| its == address || Some(its) == fallback));
    let bound = match place.map(|place| left.swap_remove(place)) {
        Some(socket) => socket.set_nonblocking(true).and_then(|()| TcpListener::from_std(socket)),
        None => gateway_pingora::listen(address),
    };
    bound.with_context(|| format!("the admin server cannot listen on {address}; choose another with --admin, or --admin off"))
}

/// The admin server.
pub(crate) struct Admin {
    pub(crate) state: Arc<State>,
    pub(crate) gateway: gateway_pingora::Gateway,
    /// Ports that are bound in place of others.
    pub(crate) ports: BTreeMap<u16, u16>,
}

/// What it answers.
struct Page {
    status: StatusCode,
    kind: &'static str,
    body: String,
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let head = session.req_header();
        let page = match head.method {
            Method::GET | Method::HEAD => self.page(head.uri.path(), head.uri.query().unwrap_or_default()),
            _ => Page::text(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered here\n"),
        };
        let is_head = head.method == Method::HEAD;
        let mut response = Response::new(if is_head { Vec::new() } else { page.body.clone().into_bytes() });
        *response.status_mut() = page.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(page.kind));
        headers.insert(header::CONTENT_LENGTH, page.body.len().into());
        headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
        response
    }
}

impl Admin {
    fn page(&self, path: &str, query: &str) -> Page {
        match path {
            "/healthz" => match self.state.lock().is_lost {
                false => Page::text(StatusCode::OK, "ok\n"),
                true => Page::text(StatusCode::INTERNAL_SERVER_ERROR, "changes are not followed any more\n"),
            },
            "/readyz" => match self.state.lock().waits_for() {
                None => Page::text(StatusCode::OK, "ready\n"),
                Some(what) => Page::text(StatusCode::SERVICE_UNAVAILABLE, format!("waiting: {what}\n")),
            },
            "/status" => self.status(query),
            "/explain" => self.explain(query).unwrap_or_else(|why| Page::text(StatusCode::BAD_REQUEST, why + "\n")),
            "/metrics" => Page { status: StatusCode::OK, kind: METRICS, body: self.metrics() },
            "/" => Page::text(StatusCode::OK, INDEX),
            _ => Page::text(StatusCode::NOT_FOUND, INDEX),
        }
    }

    fn status(&self, query: &str) -> Page {
        let known = self.state.lock();
        match parameters(query).find(|(name, _)| name == "format").map(|(_, value)| value).as_deref() {
            None | Some("json") => Page { status: StatusCode::OK, kind: JSON, body: format!("{:#}\n", known.status_json()) },
            Some("text") => Page::text(StatusCode::OK, known.status_text()),
            Some(other) => Page::text(StatusCode::BAD_REQUEST, format!("format={other}: expected json or text\n")),
        }
    }

    /// Which rule of the running configuration would answer.
    fn explain(&self, query: &str) -> Result<Page, String> {
        let (mut method, mut url, mut headers, mut is_json) = (None, None, Vec::new(), true);
        for (name, value) in parameters(query) {
            match name.as_str() {
                "method" => method = Some(args::method(&value)?),
                "url" => url = Some(value.parse()?),
                "header" => headers.push(value.parse()?),
                "format" => is_json = value != "text",
                other => return Err(format!("{other} is not known; /explain takes method, url, header and format")),
            }
        }
        let target: Target = url.ok_or("url is missing: /explain?url=http://host/path&method=GET")?;
        target.check_head(method.is_some() || !headers.is_empty())?;
        let snapshot = Arc::clone(&self.gateway.live().load());
        let explained = Question { target, method, headers }.ask(&snapshot, &self.ports);
        Ok(match is_json {
            true => Page { status: StatusCode::OK, kind: JSON, body: format!("{:#}\n", explained.json) },
            false => Page::text(StatusCode::OK, explained.text + "\n"),
        })
    }

    /// Counters in the text format of Prometheus.
    fn metrics(&self) -> String {
        let mut text = String::new();
        for (name, value) in self.gateway.counters().all() {
            // A number that goes up and down is a gauge, and its name says so.
            let (kind, suffix) = if name.ends_with("_open") { ("gauge", "") } else { ("counter", "_total") };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "# TYPE gateway_{name}{suffix} {kind}\ngateway_{name}{suffix} {value}");
        }
        let known = self.state.lock();
        let refused = known.sockets.values().filter(|bound| **bound != Bound::Yes).count();
        let gauges = [
            ("transactions_applied_total", "counter", known.applied),
            ("sockets_bound", "gauge", (known.sockets.len() - refused) as u64),
            ("sockets_refused", "gauge", refused as u64),
            ("file_problems", "gauge", known.problems.len() as u64),
        ];
        for (name, kind, value) in gauges {
            let _ = writeln!(text, "# TYPE gateway_{name} {kind}\ngateway_{name} {value}");
        }
        text
    }
}

impl Page {
    fn text(status: StatusCode, body: impl Into<String>) -> Self {
        Self { status, kind: TEXT, body: body.into() }
    }
}

/// The parameters of a query, decoded.
fn parameters(query: &str) -> impl Iterator<Item = (String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(name, value)| (decoded(name), decoded(value)))
}

/// Undoes percent-encoding; a broken triplet stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = match (first, after) {
            (b'%', [high, low, ..]) => char::from(*high).to_digit(16).zip(char::from(*low).to_digit(16)),
            _ => None,
        };
        match (escaped, first) {
            (Some((high, low)), _) => {
                bytes.push((high * 16 + low) as u8);
                rest = &after[2..];
                continue;
            }
            (None, b'+') => bytes.push(b' '),
            (None, other) => bytes.push(*other),
        }
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

const INDEX: &str = "\
/healthz   whether changes are followed
/readyz    whether a configuration is applied and every socket was tried
/status    what became of every object (?format=text for people)
/explain   which route would take it: ?url=http://host/path&method=GET&header=Name:%20value&format=text
/metrics   counters
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let found: Vec<_> = parameters("method=GET&url=http%3A%2F%2Fa%2F%3Fb&header=X:+y&odd=%zz&bare").collect();
        let expected = [("method", "GET"), ("url", "http://a/?b"), ("header", "X: y"), ("odd", "%zz"), ("bare", "")];
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
