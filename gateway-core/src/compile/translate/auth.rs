//! External authorization, translated (`HTTPExternalAuthFilter`): of rules, backendRefs and listeners alike.
//!
//! In: what the filter states, and the backend its reference leads to. Out: how that backend is asked.

use http::HeaderName;

use crate::resource::{ExternalAuth, ExternalAuthProtocol, GrpcAuth, HttpAuth};
use crate::snapshot::BackendId;
use crate::snapshot::filters::{Auth, AuthProtocol, Named};
use crate::support::{Capability, Support};

use super::super::fault::Fault;
use super::{headers, unsupported};

/// Translates an `ExternalAuth`, but for its reference.
pub(in crate::compile) fn auth(stated: &ExternalAuth, support: Support) -> Result<impl FnOnce(BackendId) -> Auth, Fault> {
    let ExternalAuth { protocol, backend_ref: _, grpc, http, forward_body } = stated;
    let unperformed = || unsupported(format!("externalAuth.protocol {} is not performed by this data plane", protocol.as_str()));
    let protocol = match protocol {
        ExternalAuthProtocol::Http if support.has(Capability::AuthHttp) => {
            let default = HttpAuth::default();
            let HttpAuth { path, allowed_headers, allowed_response_headers } = http.as_ref().unwrap_or(&default);
            AuthProtocol::Http {
                prefix: prefix(path.as_deref().unwrap_or_default())?,
                headers: names(allowed_headers)?,
                response_headers: named(allowed_response_headers)?,
            }
        }
        ExternalAuthProtocol::Grpc if support.has(Capability::AuthGrpc) => {
            let default = GrpcAuth::default();
            let GrpcAuth { allowed_headers } = grpc.as_ref().unwrap_or(&default);
            AuthProtocol::Grpc { headers: named(allowed_headers)? }
        }
        ExternalAuthProtocol::Http | ExternalAuthProtocol::Grpc | ExternalAuthProtocol::Other(_) => return Err(unperformed()),
    };
    let body = forward_body.map(|forwarded| forwarded.max_size).filter(|most| *most > 0);
    if let Some(most) = body.filter(|most| *most > support.most_forwarded()) {
        let bound = support.most_forwarded();
        return Err(unsupported(format!(
            "externalAuth.forwardBody.maxSize {most}: this data plane forwards {bound} bytes at most"
        )));
    }
    Ok(move |backend| Auth { backend, protocol, body })
}

/// What stands before a path that begins with `/`.
fn prefix(path: &str) -> Result<Box<str>, Fault> {
    let trimmed = path.trim_matches('/');
    if trimmed.is_empty() {
        return Ok("".into());
    }
    let written = format!("/{trimmed}");
    match http::uri::PathAndQuery::try_from(written.as_str()) {
        Ok(parsed) if parsed.query().is_none() && !written.contains('#') => Ok(written.into()),
        _ => Err(unsupported(format!("externalAuth.http.path {path:?} cannot be a path"))),
    }
}

/// A list of which the empty one means all.
fn named(stated: &[String]) -> Result<Named, Fault> {
    if stated.is_empty() { Ok(Named::All) } else { names(stated).map(Named::Only) }
}

fn names(stated: &[String]) -> Result<Box<[HeaderName]>, Fault> {
    stated.iter().map(|name| headers::name(name)).collect()
}
