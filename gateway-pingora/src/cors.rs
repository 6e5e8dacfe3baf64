//! What other origins are told by responses (`HTTPCORSFilter`): the gateway's word in place of the backend's.
//!
//! In: the rules for other origins that a decision names, and a response, a backend's or our own. Out: the response with its headers
//! exchanged. What is said was decided by `gateway_core`; preflights are answered there too.
//!
//! A refusal under such rules tells origins as well: without that a script could not even read the status.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use pingora_error::Result;
use pingora_http::ResponseHeader;

use gateway_core::decide::Task;
use gateway_core::snapshot::Rule;
use gateway_core::snapshot::filters::{Cors, Step};

use crate::passage::Passage;

/// Exchanges what a backend's response says to other origins.
pub(crate) fn replace(head: &mut ResponseHeader, cors: &Cors, origin: Option<&HeaderValue>) -> Result<()> {
    let said = cors.response(origin, &head.headers);
    for name in &Cors::REPLACED {
        head.remove_header(name);
    }
    for (name, value) in said {
        head.append_header(name, value)?;
    }
    Ok(())
}

/// The same for a response of our own to a request that was decided.
pub(crate) fn tell(headers: &mut Vec<(HeaderName, HeaderValue)>, passage: &Passage, request: &HeaderMap) {
    if let Some(forward) = &passage.forward {
        for task in forward.tasks() {
            if let Task::Cors(cors, origin) = task {
                exchange(headers, cors, origin);
            }
        }
    } else if let Some(cors) = passage.rule.as_deref().and_then(of_rule) {
        exchange(headers, cors, request.get(header::ORIGIN));
    }
}

fn exchange(headers: &mut Vec<(HeaderName, HeaderValue)>, cors: &Cors, origin: Option<&HeaderValue>) {
    let said = cors.response(origin, &headers.iter().cloned().collect());
    headers.retain(|(name, _)| !Cors::REPLACED.contains(name));
    headers.extend(said);
}

fn of_rule(rule: &Rule) -> Option<&Cors> {
    rule.steps.iter().find_map(|step| match step {
        Step::Cors(cors) => Some(&**cors),
        Step::EditRequest(_)
        | Step::EditResponse(_)
        | Step::Rewrite(_)
        | Step::Mirror(_)
        | Step::Auth(_)
        | Step::Extension(_) => None,
    })
}
