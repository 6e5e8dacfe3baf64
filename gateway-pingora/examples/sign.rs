//! A filter that signs requests, so that backends know by which gateway they came: `X-Signature` holds an HMAC of method, target and
//! time. The key stands in the filter's object, which routes refer to by `ExtensionRef`.
//!
//! `cargo run -p gateway-pingora --example sign -- MANIFEST…`

use std::error::Error;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use gateway_pingora::{Exchange, Filter, FilterError, Gateway, RequestHeader};
use ring::hmac;
use serde_json::Value;

#[expect(dead_code, reason = "its main is for those who run it alone")]
mod embed;

/// Signs with a key.
pub(crate) struct Sign(hmac::Key);

impl Sign {
    /// Reads the `spec` of a `Sign` object; what is said here in refusal is said in the status of routes.
    pub(crate) fn read(spec: &Value) -> Result<Self, String> {
        let key = spec["key"].as_str().filter(|key| key.len() >= 16).ok_or("a Sign needs a key of at least 16 characters")?;
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes())))
    }

    /// What is signed, and by what.
    pub(crate) fn signature(&self, method: &str, target: &str, time: u64) -> String {
        let tag = hmac::sign(&self.0, format!("{method} {target} {time}").as_bytes());
        let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{time}.{hex}")
    }
}

#[async_trait]
impl Filter for Sign {
    async fn request(&self, _: &mut Exchange, head: &mut RequestHeader) -> Result<Option<http::Response<Bytes>>, FilterError> {
        let time = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
        let signature = self.signature(head.method.as_str(), target, time);
        // Whatever a client sent under this name is replaced.
        head.insert_header("X-Signature", signature)?;
        Ok(None)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    embed::serve(Gateway::builder().filter("example.com", "Sign", Sign::read))
}
