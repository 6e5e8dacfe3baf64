//! DirectResponse: a fixed answer, by which a filter ends a request.

use serde::Deserialize;

use super::{Meta, number};

/// A DirectResponse as read.
#[derive(Clone, Debug, PartialEq)]
pub struct DirectResponse {
    /// Who it is.
    pub meta: Meta,
    /// The answer.
    pub spec: DirectResponseSpec,
}

/// A fixed answer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DirectResponseSpec {
    /// The status, 200 to 599; 200 unless stated.
    #[serde(default = "ok", deserialize_with = "number::final_status")]
    pub status_code: u16,
    /// The body; empty unless stated.
    #[serde(default)]
    pub body: String,
    /// The media type of the body; plain text unless stated.
    #[serde(default = "plain_text")]
    pub content_type: String,
}

impl Default for DirectResponseSpec {
    fn default() -> Self {
        Self { status_code: ok(), body: String::new(), content_type: plain_text() }
    }
}

fn ok() -> u16 {
    200
}

fn plain_text() -> String {
    "text/plain; charset=utf-8".to_owned()
}
