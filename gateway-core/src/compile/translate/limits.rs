//! Time limits and retries, translated (`HTTPRouteTimeouts`, `HTTPRouteRetry`).
//!
//! In: what the rule states. Out: the same as data, or why this data plane cannot keep it. What asks for nothing (`0s`,
//! `attempts: 0`) is kept by every data plane.

use http::StatusCode;

use crate::resource::{Duration, HttpRetry, HttpTimeouts};
use crate::snapshot::{Retry, Timeout, Timeouts};
use crate::support::{Capability, Support};

use super::super::fault::Fault;
use super::unsupported;

/// Translates the time limits of a rule.
pub(super) fn timeouts(stated: Option<&HttpTimeouts>, support: Support) -> Result<Timeouts, Fault> {
    let Some(HttpTimeouts { request, backend_request }) = stated else { return Ok(Timeouts::default()) };
    let limit = |field: &str, limit: &Option<Duration>, needs: Capability| match limit {
        None => Ok(Timeout::Unstated),
        Some(limit) if limit.is_zero() => Ok(Timeout::Never),
        Some(limit) if support.has(needs) => Ok(Timeout::After(limit.to_std())),
        Some(_) => {
            let message = "is not performed by this data plane; only 0s, which means none, is accepted";
            Err(unsupported(format!("timeouts.{field} {message}")))
        }
    };
    Ok(Timeouts {
        request: limit("request", request, Capability::RequestTimeout)?,
        backend_request: limit("backendRequest", backend_request, Capability::BackendTimeout)?,
    })
}

/// Translates the retries of a rule.
pub(super) fn retry(stated: Option<&HttpRetry>, support: Support) -> Result<Option<Retry>, Fault> {
    let Some(HttpRetry { codes, attempts, backoff }) = stated.filter(|retry| retry.attempts > 0) else { return Ok(None) };
    if !support.has(Capability::Retry) {
        return Err(unsupported("retry is not performed by this data plane; only attempts: 0 is accepted".to_owned()));
    }
    let code = |code: &u16| match StatusCode::from_u16(*code) {
        Ok(status) if status.is_client_error() || status.is_server_error() => Ok(status),
        Ok(_) | Err(_) => Err(unsupported(format!("retry.codes: {code} is not a status of an error"))),
    };
    let codes = codes.iter().map(code).collect::<Result<_, _>>()?;
    let backoff = backoff.filter(|backoff| !backoff.is_zero()).map_or(Retry::BACKOFF, Duration::to_std);
    Ok(Some(Retry { attempts: *attempts, codes, backoff }))
}
