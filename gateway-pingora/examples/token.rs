//! A filter that asks an HTTP service about the token of a request: 204 lets it pass, under the name that the answer tells; everything
//! else denies. Answers are not kept: a token that was withdrawn is refused at once.
//!
//! `cargo run -p gateway-pingora --example token -- MANIFEST…`

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use gateway_pingora::{Exchange, Filter, FilterError, Gateway, RequestHeader};
use http::header::{AUTHORIZATION, HOST, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use pingora_core::connectors::http::Connector;
use pingora_core::upstreams::peer::HttpPeer;
use serde_json::Value;
use tokio::time::timeout;

#[expect(dead_code, reason = "its main is for those who run it alone")]
mod embed;

/// Asks a service. The connector keeps its connections.
pub(crate) struct TokenCheck {
    service: HttpPeer,
    connector: Connector,
}

impl TokenCheck {
    /// Reads the `spec` of a `TokenCheck` object: where the service is.
    pub(crate) fn read(spec: &Value) -> Result<Self, String> {
        let address: Option<SocketAddr> = spec["service"].as_str().and_then(|address| address.parse().ok());
        let address = address.ok_or("a TokenCheck needs a service, such as 127.0.0.1:9000")?;
        let mut service = HttpPeer::new(address, false, String::new());
        service.options.total_connection_timeout = Some(Duration::from_secs(1));
        service.options.idle_timeout = Some(Duration::from_secs(30));
        Ok(Self { service, connector: Connector::new(None) })
    }

    /// Whose token it is; `None` for nobody's.
    async fn owner(&self, token: &[u8]) -> Result<Option<String>, FilterError> {
        let mut question = RequestHeader::build("GET", b"/introspect", None)?;
        question.insert_header(HOST, "tokens")?;
        question.insert_header(AUTHORIZATION, token)?;
        let (mut session, _) = self.connector.get_http_session(&self.service).await?;
        session.write_request_header(Box::new(question)).await?;
        session.finish_request_body().await?;
        session.read_response_header().await?;
        let head = session.response_header().ok_or("no answer")?;
        let name = head.headers.get("x-user").and_then(|name| name.to_str().ok()).map(str::to_owned);
        let owner = name.filter(|_| head.status == StatusCode::NO_CONTENT);
        while session.read_response_body().await?.is_some() {}
        self.connector.release_http_session(session, &self.service, None).await;
        Ok(owner)
    }
}

#[async_trait]
impl Filter for TokenCheck {
    async fn request(&self, _: &mut Exchange, head: &mut RequestHeader) -> Result<Option<Response<Bytes>>, FilterError> {
        let token = head.headers.get(AUTHORIZATION).map(|token| token.as_bytes().to_vec());
        let owner = match token {
            // A failure is one of this request: it is answered 500, and nothing is forwarded.
            Some(token) => timeout(Duration::from_secs(2), self.owner(&token)).await??,
            None => None,
        };
        let Some(owner) = owner else {
            let denial = Response::builder().status(StatusCode::UNAUTHORIZED).header(WWW_AUTHENTICATE, "Bearer");
            return Ok(Some(denial.body(Bytes::from_static(b"who is asking?\n"))?));
        };
        head.remove_header(&AUTHORIZATION);
        head.insert_header("X-User", owner)?;
        Ok(None)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    embed::serve(Gateway::builder().filter("example.com", "TokenCheck", TokenCheck::read))
}
