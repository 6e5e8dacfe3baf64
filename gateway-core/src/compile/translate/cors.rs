//! Rules for other origins, translated (`HTTPCORSFilter`).
//!
//! In: lists as stated. Out: patterns to compare origins with, and header values that can be written as they stand.

use crate::resource;
use crate::snapshot::filters::{Cors, Listed, OriginPattern, Origins};

use super::super::fault::Fault;
use super::unsupported;

/// Translates a `CORS` filter.
pub(super) fn cors(stated: &resource::Cors) -> Result<Cors, Fault> {
    let resource::Cors { allow_origins, allow_credentials, allow_methods, allow_headers, expose_headers, max_age } = stated;
    let pattern = |origin: &String| {
        OriginPattern::parse(origin).ok_or_else(|| unsupported(format!("cors.allowOrigins: {origin:?} is not an origin")))
    };
    let origins = if allow_origins.iter().any(|origin| origin == "*") {
        Origins::Any
    } else {
        Origins::Of(allow_origins.iter().map(pattern).collect::<Result<_, _>>()?)
    };
    Ok(Cors {
        origins,
        credentials: *allow_credentials,
        methods: listed("allowMethods", allow_methods)?,
        headers: listed("allowHeaders", allow_headers)?,
        exposed: listed("exposeHeaders", expose_headers)?,
        max_age: *max_age,
    })
}

fn listed(field: &str, names: &[String]) -> Result<Listed, Fault> {
    Listed::of(names).map_err(|_| unsupported(format!("cors.{field} has characters that a header cannot hold")))
}
