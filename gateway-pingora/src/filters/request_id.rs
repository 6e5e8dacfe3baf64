//! `RequestId`: every request has an `X-Request-Id`, and its response tells the same one.
//!
//! In: a request with or without one. Out: the one it came with, where that is short and plain, else a new one: 128 random bits.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderValue;
use pingora_http::{RequestHeader, ResponseHeader};
use serde_json::Value;

use crate::filter::{Exchange, Filter, FilterError};

/// Gives every request an identity.
#[derive(Debug)]
pub struct RequestId {
    keys: [RandomState; 2],
    next: AtomicU64,
}

impl Default for RequestId {
    fn default() -> Self {
        Self { keys: [RandomState::new(), RandomState::new()], next: AtomicU64::new(0) }
    }
}

impl RequestId {
    /// Reads the object's `spec`, which has no fields.
    ///
    /// # Errors
    /// When there are any.
    pub fn read(spec: &Value) -> Result<Self, String> {
        if spec.is_null() || spec.as_object().is_some_and(serde_json::Map::is_empty) {
            return Ok(Self::default());
        }
        Err("a RequestId has no fields".into())
    }

    fn draw(&self) -> String {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let [high, low] = self.keys.each_ref().map(|key| key.hash_one(turn));
        format!("{high:016x}{low:016x}")
    }
}

/// What the response will tell.
#[derive(Clone)]
struct Given(HeaderValue);

#[async_trait]
impl Filter for RequestId {
    async fn request(
        &self,
        exchange: &mut Exchange,
        head: &mut RequestHeader,
    ) -> Result<Option<http::Response<Bytes>>, FilterError> {
        let id = match head.headers.get(NAME).filter(|id| is_plain(id)) {
            Some(id) => id.clone(),
            None => {
                let id = HeaderValue::try_from(self.draw())?;
                head.insert_header("X-Request-Id", id.clone())?;
                id
            }
        };
        exchange.state().insert(Given(id));
        Ok(None)
    }

    async fn response(&self, exchange: &mut Exchange, head: &mut ResponseHeader) -> Result<(), FilterError> {
        if let Some(Given(id)) = exchange.state().get::<Given>().cloned() {
            head.insert_header("X-Request-Id", id)?;
        }
        Ok(())
    }
}

fn is_plain(id: &HeaderValue) -> bool {
    (1..=128).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
}

const NAME: &str = "x-request-id";
