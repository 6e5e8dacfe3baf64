//! A filter that counts the bytes of bodies, both ways, of every request, and refuses uploads that are too long as they come. What it
//! has to remember of a request lives in the exchange.
//!
//! `cargo run -p gateway-pingora --example count -- MANIFEST…`

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use gateway_pingora::{Exchange, Filter, FilterError, Gateway, Record};

#[expect(dead_code, reason = "its main is for those who run it alone")]
mod embed;

/// Counts for all requests; `most` is what one may upload.
#[derive(Clone)]
pub(crate) struct Count {
    pub(crate) totals: Arc<Totals>,
    pub(crate) most: u64,
}

/// What was counted.
#[derive(Default)]
pub(crate) struct Totals {
    pub(crate) requests: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) sent: AtomicU64,
}

/// What is remembered of one request.
#[derive(Clone, Default)]
struct Bytecount {
    received: u64,
    sent: u64,
}

#[async_trait]
impl Filter for Count {
    async fn request_body(&self, exchange: &mut Exchange, piece: &mut Option<Bytes>, _end: bool) -> Result<(), FilterError> {
        let count = exchange.state().get_or_insert_default::<Bytecount>();
        count.received += piece.as_ref().map_or(0, |piece| piece.len() as u64);
        // It was forwarded as it came: the backend sees it break off, the client 500.
        if count.received > self.most { Err("the body is too long".into()) } else { Ok(()) }
    }

    fn response_body(&self, exchange: &mut Exchange, piece: &mut Option<Bytes>, _end: bool) -> Result<(), FilterError> {
        let count = exchange.state().get_or_insert_default::<Bytecount>();
        count.sent += piece.as_ref().map_or(0, |piece| piece.len() as u64);
        Ok(())
    }

    fn log(&self, exchange: &mut Exchange, record: &Record) {
        let Bytecount { received, sent } = exchange.state().remove().unwrap_or_default();
        self.totals.requests.fetch_add(1, Ordering::Relaxed);
        self.totals.received.fetch_add(received, Ordering::Relaxed);
        self.totals.sent.fetch_add(sent, Ordering::Relaxed);
        println!("{} {}: {received} bytes in, {sent} out", record.method, record.target);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    embed::serve(Gateway::builder().always(Count { totals: Arc::default(), most: 1 << 20 }))
}
