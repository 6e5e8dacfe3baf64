//! The filters of one list, translated.
//!
//! In: `HTTPRouteFilter`s in their order, and what their extension references lead to. Out: steps, and the answer that ends them
//! where one of them answers. What cannot be performed makes the rule invalid; what leads nowhere makes it answer 500.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};

use crate::condition::Reason;
use crate::resource::{
    DirectResponseSpec, HeaderModifier, HttpFilter, HttpFilterPayload, PathModifier, PathReplacement, RedirectScheme,
    RequestRedirect, UrlRewrite,
};
use crate::snapshot::Action;
use crate::snapshot::filters::{DirectResponse, Extension, HeaderEdit, HeaderEdits, PathRewrite, Redirect, Reply, Rewrite, Step};
use crate::support::{Capability, Support};

use super::super::gateway::Fault;
use super::super::references::{FilterReferences, Resolved};

/// A list of filters as translated.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    pub(crate) steps: Vec<Step>,
    /// What answers instead of a backend.
    pub(crate) answer: Option<Action>,
}

/// Where a list of filters stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// On a rule. Tells whether `ReplacePrefixMatch` has the one prefix it needs.
    Rule { one_prefix: bool },
    /// On a backendRef of such a rule.
    Backend { one_prefix: bool },
}

/// Translates a list of filters. `leads` holds what its references lead to, in order.
///
/// # Errors
/// Why the rule is invalid.
pub(crate) fn translate(
    filters: &[HttpFilter],
    leads: &FilterReferences,
    level: Level,
    support: Support,
) -> Result<Steps, Fault> {
    let mut translated = Steps::default();
    let mut resolved = leads.extensions.iter();
    exclusive(filters)?;
    if matches!(level, Level::Backend { .. }) && !filters.is_empty() && !support.has(Capability::BackendFilters) {
        return Err(unsupported("filters on backendRefs are not performed by this data plane".to_owned()));
    }
    for filter in filters {
        let action = match filter.payload() {
            HttpFilterPayload::RequestHeaderModifier(edits) => {
                translated.push(Step::EditRequest(Arc::new(header_edits(edits)?)));
                None
            }
            HttpFilterPayload::ResponseHeaderModifier(edits) if support.has(Capability::EditResponse) => {
                translated.push(Step::EditResponse(Arc::new(header_edits(edits)?)));
                None
            }
            HttpFilterPayload::UrlRewrite(stated) if support.has(Capability::Rewrite) => {
                translated.push(Step::Rewrite(Arc::new(rewrite(stated, level)?)));
                None
            }
            HttpFilterPayload::RequestRedirect(stated) if at_rule(level) => {
                Some(Action::Reply(Reply::Redirect(redirect(stated, level)?)))
            }
            HttpFilterPayload::DirectResponse(stated) if at_rule(level) && support.has(Capability::DirectResponse) => {
                Some(Action::Reply(Reply::Respond(Arc::new(direct_response(stated)?))))
            }
            HttpFilterPayload::ExtensionRef(_) => match resolved.next() {
                Some(Resolved::Response(stated)) if at_rule(level) && support.has(Capability::DirectResponse) => {
                    Some(Action::Reply(Reply::Respond(Arc::new(direct_response(&stated.spec)?))))
                }
                Some(Resolved::Handle(id, handle)) => {
                    translated.push(Step::Extension(Extension { id: id.clone(), handle: handle.clone() }));
                    None
                }
                Some(Resolved::Fault((_, why))) => Some(Action::Fail(why.as_str().into())),
                Some(Resolved::Response(_)) | None => return Err(unperformed(filter, level)),
            },
            HttpFilterPayload::ResponseHeaderModifier(_)
            | HttpFilterPayload::UrlRewrite(_)
            | HttpFilterPayload::RequestRedirect(_)
            | HttpFilterPayload::DirectResponse(_)
            | HttpFilterPayload::RequestMirror(_)
            | HttpFilterPayload::Cors(_)
            | HttpFilterPayload::ExternalAuth(_)
            | HttpFilterPayload::Unknown(_) => return Err(unperformed(filter, level)),
        };
        if translated.answer.is_some() && action.as_ref().is_some_and(|action| !matches!(action, Action::Fail(_))) {
            return Err((Reason::IncompatibleFilters, "a rule can have only one filter that answers".to_owned()));
        }
        translated.answer = translated.answer.or(action);
    }
    Ok(translated)
}

impl Steps {
    /// A step after one that answers is never reached.
    fn push(&mut self, step: Step) {
        if self.answer.is_none() {
            self.steps.push(step);
        }
    }
}

fn at_rule(level: Level) -> bool {
    matches!(level, Level::Rule { .. })
}

/// `RequestRedirect` and `URLRewrite` exclude each other.
fn exclusive(filters: &[HttpFilter]) -> Result<(), Fault> {
    let has = |wanted: fn(&HttpFilterPayload<'_>) -> bool| filters.iter().any(|filter| wanted(&filter.payload()));
    if has(|payload| matches!(payload, HttpFilterPayload::RequestRedirect(_)))
        && has(|payload| matches!(payload, HttpFilterPayload::UrlRewrite(_)))
    {
        return Err((Reason::IncompatibleFilters, "RequestRedirect and URLRewrite exclude each other".to_owned()));
    }
    Ok(())
}

fn header_edits(stated: &HeaderModifier) -> Result<HeaderEdits, Fault> {
    let name =
        |text: &str| HeaderName::from_bytes(text.as_bytes()).map_err(|_| unsupported(format!("{text:?} is not a header name")));
    let edits = |stated: &[crate::resource::HeaderValue]| {
        let mut edits: Vec<HeaderEdit> = Vec::with_capacity(stated.len());
        for header in stated {
            let name = name(&header.name)?;
            let value = HeaderValue::from_str(&header.value).map_err(|_| {
                unsupported(format!("the value of header {} has characters that a header cannot hold", header.name))
            })?;
            // Of equivalent names the first entry counts.
            if edits.iter().all(|known| known.name != name) {
                edits.push(HeaderEdit { name, written: Bytes::copy_from_slice(header.name.as_bytes()), value });
            }
        }
        Ok::<_, Fault>(edits.into_boxed_slice())
    };
    let remove = stated.remove.iter().map(|text| name(text)).collect::<Result<_, _>>()?;
    Ok(HeaderEdits { set: edits(&stated.set)?, add: edits(&stated.add)?, remove })
}

fn rewrite(stated: &UrlRewrite, level: Level) -> Result<Rewrite, Fault> {
    let hostname = stated
        .hostname
        .as_ref()
        .map(|host| HeaderValue::from_str(host).map_err(|_| unsupported(format!("urlRewrite.hostname {host:?} is not a host"))));
    let path = stated.path.as_ref().map(|path| path_rewrite(path, level));
    Ok(Rewrite { hostname: hostname.transpose()?, path: path.transpose()? })
}

fn path_rewrite(stated: &PathModifier, level: Level) -> Result<PathRewrite, Fault> {
    let (Level::Rule { one_prefix } | Level::Backend { one_prefix }) = level;
    let checked = |path: &str| match http::uri::PathAndQuery::try_from(if path.is_empty() { "/" } else { path }) {
        Ok(parsed) if parsed.query().is_none() && !path.contains('#') => Ok(()),
        _ => Err(unsupported(format!("{path:?} cannot be a path"))),
    };
    match stated.replacement() {
        PathReplacement::Full(full) => {
            checked(full)?;
            let slash = if full.starts_with('/') { "" } else { "/" };
            Ok(PathRewrite::Full(format!("{slash}{full}").into()))
        }
        PathReplacement::PrefixMatch(prefix) if one_prefix => {
            checked(prefix)?;
            let trimmed = prefix.trim_end_matches('/');
            let slash = if trimmed.is_empty() || trimmed.starts_with('/') { "" } else { "/" };
            Ok(PathRewrite::Prefix(format!("{slash}{trimmed}").into()))
        }
        PathReplacement::PrefixMatch(_) => {
            Err(unsupported("ReplacePrefixMatch needs a rule with exactly one match, of type PathPrefix".to_owned()))
        }
        PathReplacement::Unknown(unknown) => {
            Err(unsupported(format!("path modifier {unknown} is unknown, or its value is missing")))
        }
    }
}

fn redirect(stated: &RequestRedirect, level: Level) -> Result<Redirect, Fault> {
    let status = match stated.status_code {
        301 | 302 | 303 | 307 | 308 => StatusCode::from_u16(stated.status_code).ok(),
        _ => None,
    };
    let scheme = match &stated.scheme {
        Some(RedirectScheme::Other(unknown)) => return Err(unsupported(format!("requestRedirect.scheme {unknown} is unknown"))),
        known => known.as_ref().map(|scheme| scheme.as_str().into()),
    };
    Ok(Redirect {
        status: status
            .ok_or_else(|| unsupported(format!("requestRedirect.statusCode {} is not a redirect", stated.status_code)))?,
        scheme,
        hostname: stated.hostname.as_deref().map(Into::into),
        port: stated.port,
        path: stated.path.as_ref().map(|path| path_rewrite(path, level)).transpose()?,
    })
}

fn direct_response(stated: &DirectResponseSpec) -> Result<DirectResponse, Fault> {
    let status = StatusCode::from_u16(stated.status_code)
        .ok()
        .filter(|status| !status.is_informational())
        .ok_or_else(|| unsupported(format!("directResponse.statusCode {} is not a final status", stated.status_code)))?;
    let content_type = HeaderValue::from_str(&stated.content_type)
        .map_err(|_| unsupported("directResponse.contentType has characters that a header cannot hold".to_owned()))?;
    Ok(DirectResponse { status, content_type, body: Bytes::copy_from_slice(stated.body.as_bytes()) })
}

fn unperformed(filter: &HttpFilter, level: Level) -> Fault {
    let place = if at_rule(level) { "" } else { " on a backendRef" };
    unsupported(format!("filter {}{place} is not performed by this data plane", filter.filter_type))
}

pub(crate) fn unsupported(message: String) -> Fault {
    (Reason::UnsupportedValue, message)
}
