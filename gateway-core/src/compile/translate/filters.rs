//! The filters of one list, translated (`HTTPRouteFilter`).
//!
//! In: filters in their order, and what their references lead to. Out: steps, and the answer that ends them where one of them
//! answers. What cannot be performed makes the rule invalid; an extension or authorization that leads nowhere makes it answer
//! 500; a mirror that leads nowhere is left out.
//!
//! Steps stand in list order, but for two things. An authorization goes before the first rewrite or mirror of its list: it judges
//! the request that the client sent, and nobody gets a copy of one that is denied. And what answers does so once all others of its list
//! have run, wherever it stands: none is skipped, least of all one that denies.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};

use crate::condition::Reason;
use crate::resource::{DirectResponseSpec, HttpFilter, HttpFilterPayload, LocalObjectRef};
use crate::snapshot::BackendId;
use crate::snapshot::filters::{DirectResponse, Reply, Step};
use crate::support::{Capability, Support};

use super::super::fault::Fault;
use super::super::references::{FilterReferences, Resolved};
use super::auth::auth;
use super::cors::cors;
use super::headers::header_edits;
use super::mirror::mirror;
use super::paths::{redirect, rewrite};
use super::turns::Turns;
use super::unsupported;

/// A list of filters as translated.
#[derive(Debug, Default)]
pub(super) struct Steps {
    pub(super) steps: Vec<Step>,
    /// What answers instead of a backend: a filter, or 500 for the reason given.
    pub(super) answer: Option<Result<Reply, Arc<str>>>,
}

/// Where a list of filters stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// On a rule.
    Rule,
    /// On a backendRef.
    Backend,
}

/// What a list of filters is translated with.
#[derive(Debug)]
pub(super) struct Workshop<'t, 'r> {
    pub(super) support: Support,
    /// Whether `ReplacePrefixMatch` has the one prefix it needs.
    pub(super) one_prefix: bool,
    pub(super) turns: &'t mut Turns<'r>,
}

impl Workshop<'_, '_> {
    /// Translates a list of filters. `leads` holds what its references lead to, in order.
    ///
    /// # Errors
    /// Why the rule is invalid.
    pub(super) fn translate(&mut self, filters: &[HttpFilter], leads: &FilterReferences, level: Level) -> Result<Steps, Fault> {
        exclusive(filters)?;
        self.admits(level, filters.len())?;
        let mut translated = Steps::default();
        let (mut extensions, mut backends) = (leads.extensions.iter(), leads.backends.iter());
        for filter in filters {
            let kind = &filter.filter_type;
            match filter.payload() {
                HttpFilterPayload::RequestHeaderModifier(edits) => {
                    translated.steps.push(Step::EditRequest(Arc::new(header_edits(edits)?)));
                }
                HttpFilterPayload::ResponseHeaderModifier(edits) => {
                    self.needs(Capability::EditResponse, kind)?;
                    translated.steps.push(Step::EditResponse(Arc::new(header_edits(edits)?)));
                }
                HttpFilterPayload::UrlRewrite(stated) => {
                    self.needs(Capability::Rewrite, kind)?;
                    translated.steps.push(Step::Rewrite(Arc::new(rewrite(stated, self.one_prefix)?)));
                }
                HttpFilterPayload::RequestMirror(stated) => {
                    self.needs(Capability::Mirror, kind)?;
                    let leads = backends.next().ok_or_else(|| lost(kind))?;
                    translated.steps.extend(mirror(stated, leads, self.turns));
                }
                HttpFilterPayload::Cors(stated) => {
                    self.needs(Capability::Cors, kind)?;
                    translated.steps.push(Step::Cors(Arc::new(cors(stated)?)));
                }
                HttpFilterPayload::ExternalAuth(stated) => {
                    let asked = auth(stated, self.support)?;
                    let leads = backends.next().ok_or_else(|| lost(kind))?;
                    translated.authorize(leads, |backend| Step::Auth(Arc::new(asked(backend))));
                }
                HttpFilterPayload::RequestRedirect(stated) => {
                    translated.reply(Reply::Redirect(redirect(stated, self.one_prefix)?))?;
                }
                HttpFilterPayload::DirectResponse(stated) => {
                    self.needs(Capability::DirectResponse, kind)?;
                    translated.reply(Reply::Respond(Arc::new(direct_response(stated)?)))?;
                }
                HttpFilterPayload::ExtensionRef(reference) => {
                    translated.extension(reference, extensions.next().ok_or_else(|| lost(kind))?)?;
                }
                HttpFilterPayload::Unknown(_) => return Err(unperformed(kind)),
            }
        }
        Ok(translated)
    }

    /// Whether filters may stand at this level.
    pub(super) fn admits(&self, level: Level, filters: usize) -> Result<(), Fault> {
        if level == Level::Backend && filters > 0 && !self.support.has(Capability::BackendFilters) {
            return Err(unsupported("filters on backendRefs are not performed by this data plane".to_owned()));
        }
        Ok(())
    }

    /// Whether a filter of this type, which takes a capability, can be performed.
    pub(super) fn needs(&self, capability: Capability, kind: &impl fmt::Display) -> Result<(), Fault> {
        if self.support.has(capability) { Ok(()) } else { Err(unperformed(kind)) }
    }
}

impl Steps {
    /// A second answer would never be given, and whoever wrote it meant something else.
    fn reply(&mut self, reply: Reply) -> Result<(), Fault> {
        match &self.answer {
            Some(Ok(_)) => Err((Reason::IncompatibleFilters, "a list of filters can have only one that answers".to_owned())),
            Some(Err(_)) => Ok(()),
            None => {
                self.answer = Some(Ok(reply));
                Ok(())
            }
        }
    }

    /// A filter cannot be performed: nothing else may answer in its place.
    fn fail(&mut self, why: &str) {
        if !matches!(self.answer, Some(Err(_))) {
            self.answer = Some(Err(why.into()));
        }
    }

    fn authorize(&mut self, leads: &Result<BackendId, Fault>, step: impl FnOnce(BackendId) -> Step) {
        match leads {
            Ok(backend) => {
                let is_later = |step: &Step| matches!(step, Step::Rewrite(_) | Step::Mirror(_));
                let at = self.steps.iter().position(is_later).unwrap_or(self.steps.len());
                self.steps.insert(at, step(*backend));
            }
            Err((_, why)) => self.fail(why),
        }
    }

    /// What an ExtensionRef leads to.
    pub(super) fn extension(&mut self, reference: &LocalObjectRef, leads: &Resolved) -> Result<(), Fault> {
        match leads {
            Resolved::Response(stated) => self.reply(Reply::Respond(Arc::new(direct_response(&stated.spec)?)))?,
            Resolved::Extension(extension) => {
                debug_assert_eq!(extension.id.name.name(), reference.name, "references are resolved in order");
                self.steps.push(Step::Extension(extension.clone()));
            }
            Resolved::Fault((_, why)) => self.fail(why),
        }
        Ok(())
    }
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

fn direct_response(stated: &DirectResponseSpec) -> Result<DirectResponse, Fault> {
    let status = StatusCode::from_u16(stated.status_code)
        .ok()
        .filter(|status| !status.is_informational())
        .ok_or_else(|| unsupported(format!("directResponse.statusCode {} is not a final status", stated.status_code)))?;
    let content_type = HeaderValue::from_str(&stated.content_type)
        .map_err(|_| unsupported("directResponse.contentType has characters that a header cannot hold".to_owned()))?;
    Ok(DirectResponse { status, content_type, body: Bytes::copy_from_slice(stated.body.as_bytes()) })
}

/// A filter of this type cannot be performed.
pub(super) fn unperformed(kind: &impl fmt::Display) -> Fault {
    unsupported(format!("filter {kind} is not performed by this data plane"))
}

/// Every reference of a list is followed before it is translated; should one not be, its rule is dropped rather than the filter.
pub(super) fn lost(kind: &impl fmt::Display) -> Fault {
    unsupported(format!("the reference of filter {kind} was not followed"))
}
