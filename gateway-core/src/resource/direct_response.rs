//! DirectResponse: a fixed answer, by which a filter ends a request.

use serde::Deserialize;

use super::place::Place;
use super::report::Report;
use super::{Meta, number, syntax};

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

impl DirectResponseSpec {
    pub(super) fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self { status_code: _, body, content_type } = self;
        if body.len() > MAX_BODY {
            report.refuse(&at.field("body"), format!("expected at most {MAX_BODY} bytes, found {}", body.len()));
        }
        report.text(&at.field("contentType"), content_type, syntax::HEADER_VALUE);
    }
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

/// Bytes of the largest body.
const MAX_BODY: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Object;
    use crate::resource::fixture::{assert_accepted, assert_refused, document, object};

    const V1: &str = "pingora-gateway.dev/v1alpha1";

    #[test]
    fn what_is_left_out_is_filled_in() {
        let Object::DirectResponse(response) = object(&document(V1, "DirectResponse", "spec: {}")) else { panic!("no response") };
        assert_eq!(response.spec, DirectResponseSpec::default());
        assert_eq!((response.spec.status_code, response.spec.content_type.as_str()), (200, "text/plain; charset=utf-8"));
    }

    #[test]
    fn a_response_is_final_and_small() {
        assert_refused(
            V1,
            "DirectResponse",
            &[
                ("{statusCode: 199}".to_owned(), "spec.statusCode", "from 200 to 599"),
                ("{statusCode: 600}".to_owned(), "spec.statusCode", "from 200 to 599"),
                (format!("{{body: {}}}", "b".repeat(MAX_BODY + 1)), "spec.body", "at most 65536 bytes, found 65537"),
                ("{contentType: ''}".to_owned(), "spec.contentType", "printable"),
                ("{contentType: \"a\\nb\"}".to_owned(), "spec.contentType", "printable"),
            ],
        );
        assert_accepted(V1, "DirectResponse", &[format!("{{statusCode: 503, body: {}}}", "b".repeat(MAX_BODY))]);
    }
}
