//! What is performed of a decision before a backend is asked: the request steps of rule and target, in order, and local answers.
//!
//! In: a decision, the request's head. Out: the head as it is forwarded, or the answer written. Which steps there are was decided
//! before; a filter of one's own may answer in the backend's stead.
//!
//! Invariants: **each step is performed once, in order**; a step that cannot be performed ends the request, and nothing is
//! forwarded without it.

use std::sync::Arc;

use http::{StatusCode, Version, header};
use pingora_error::Result;
use pingora_proxy::Session;

use gateway_core::admit::Refusal;
use gateway_core::decide::{Answer, Forward, Task};
use gateway_core::snapshot::filters::Extension;
use gateway_core::snapshot::{Backend, BackendProtocol, Security};

use super::{Proxy, edit, permission};
use crate::answer::{self, After, Response};
use crate::aside::Body;
use crate::cors;
use crate::deadline::Deadlines;
use crate::filter::{self, Filter, FilterError, guarded};
use crate::observe::Fault;
use crate::passage::Passage;

impl Proxy {
    /// Performs an edit of the head; one that cannot be written is a fault of ours.
    pub(super) fn edited(outcome: Result<()>) -> Result<(), Fault> {
        outcome.map_err(|error| Fault::Internal(error.to_string().into()))
    }

    /// Performs what concerns the request, in order. A filter may answer.
    async fn perform<'a>(
        &self,
        session: &mut Session,
        passage: &mut Passage,
        tasks: impl Iterator<Item = Task<'a>> + Send,
        mut prefix: usize,
    ) -> Result<Option<Response>, Stop> {
        for filter in &self.parts.always {
            if let Some(response) = self.ask(filter, session, passage).await? {
                return Ok(Some(response));
            }
        }
        for task in tasks {
            let head = session.req_header_mut();
            match task {
                Task::EditRequest(edits) => Self::edited(edit::request(head, edits))?,
                // Those are for the response.
                Task::EditResponse(_) | Task::Cors(..) => {}
                Task::Auth(auth, backend) => {
                    // Boxed: few requests are asked about, and all have a state.
                    if let Some(denial) = Box::pin(self.authorize(session, passage, auth, backend)).await? {
                        return Ok(Some(denial));
                    }
                }
                Task::Mirror(_, backend) => self.mirror(session, passage, backend),
                Task::Rewrite(rewrite) => {
                    if let Some(path) = &rewrite.path {
                        let (path, matched) = path.apply(head.uri.path(), prefix);
                        prefix = matched;
                        Self::edited(edit::set_path(head, &path))?;
                    }
                    if let Some(host) = &rewrite.hostname {
                        Self::edited(edit::set_host(head, host))?;
                    }
                }
                Task::Extension(extension) => {
                    if let Some(response) = self.ask_extension(extension, session, passage).await? {
                        return Ok(Some(response));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Sends a copy of the request as it now is.
    fn mirror(&self, session: &mut Session, passage: &mut Passage, backend: &Arc<Backend>) {
        let Some(listener) = &passage.listener else { return };
        if session.is_upgrade_req() {
            return;
        }
        let body = if session.as_downstream_mut().is_body_empty() { Body::None } else { Body::Follows };
        let tap = self.parts.mirrors.copy(session.req_header(), body, backend, listener);
        match permission::held(session) {
            // It will not pass again where the gateway itself answers.
            Some(held) => drop(tap.map(|tap| tap.show(Some(&held), true))),
            None => passage.taps.extend(tap),
        }
    }

    /// Shows the request to the filter of an extension object.
    pub(super) async fn ask_extension(
        &self,
        extension: &Extension,
        session: &mut Session,
        passage: &mut Passage,
    ) -> Result<Option<Response>, Fault> {
        let Some(filter) = filter::of(extension) else {
            return Err(Fault::Filter(format!("{} is not a filter of this gateway", extension.id).into()));
        };
        self.ask(&filter, session, passage).await
    }

    /// Shows the request to one filter.
    async fn ask(
        &self,
        filter: &Arc<dyn Filter>,
        session: &mut Session,
        passage: &mut Passage,
    ) -> Result<Option<Response>, Fault> {
        let Some(exchange) = &mut passage.exchange else { return Ok(None) };
        match guarded(filter.request(exchange, session.req_header_mut())).await {
            Ok(answer) => {
                passage.filters.push(Arc::clone(filter));
                Ok(answer.map(Response::from))
            }
            Err(error) => Err(self.filter_failed(&error)),
        }
    }

    pub(super) fn filter_failed(&self, error: &FilterError) -> Fault {
        self.parts.counters.filter_failures.add();
        tracing::error!(%error, "a filter failed");
        Fault::Filter(error.to_string().into())
    }

    pub(super) async fn forward(&self, session: &mut Session, passage: &mut Passage, forward: Forward) -> Result<bool> {
        passage.rule = Some(Arc::clone(&forward.rule));
        passage.matched(Some(&forward.path));
        if let Some(entry) = &passage.arrival {
            passage.deadlines = Deadlines::of(forward.rule.timeouts, entry.began);
        }
        passage.session = self.find_session(session.req_header(), &forward);
        let performed = self.perform(session, passage, forward.tasks(), forward.matched_prefix).await;
        let is_http1 = is_http1(&forward.backend);
        passage.forward = Some(forward);
        match performed {
            Ok(None) => {}
            Ok(Some(mut response)) => {
                cors::tell(&mut response.headers, passage, &session.req_header().headers);
                return answer::write(session, passage, response, After::GoOn).await.map(|()| true);
            }
            Err(stop) => return self.stop(session, passage, stop).await,
        }
        if session.is_upgrade_req() {
            // What follows an upgrade may be silent for long.
            session.as_downstream_mut().set_read_timeout(None);
        } else if session.get_header(header::EXPECT).is_some() {
            self.expect(session, is_http1).await?;
        }
        Ok(false)
    }

    /// `Expect: 100-continue` is the business of an HTTP/1 backend; others are spared it.
    async fn expect(&self, session: &mut Session, is_http1: bool) -> Result<()> {
        if is_http1 && session.req_header().version == Version::HTTP_11 {
            return Ok(());
        }
        if session.req_header().version == Version::HTTP_11 {
            session.as_downstream_mut().write_continue_response().await?;
        }
        session.req_header_mut().remove_header(&header::EXPECT);
        Ok(())
    }

    pub(super) async fn answer(&self, session: &mut Session, passage: &mut Passage, answer: Answer) -> Result<bool> {
        passage.rule = Some(Arc::clone(&answer.rule));
        passage.matched(Some(&answer.path));
        let response = match self.perform(session, passage, answer.tasks(), 0).await {
            Ok(None) => Response { status: answer.status, headers: answer.headers, body: answer.body },
            Ok(Some(response)) => response,
            Err(stop) => return self.stop(session, passage, stop).await,
        };
        answer::write(session, passage, response, After::GoOn).await.map(|()| true)
    }

    pub(super) async fn refuse(&self, session: &mut Session, passage: &mut Passage, refusal: Refusal) -> Result<bool> {
        passage.listener = passage.listener.take().or(refusal.listener);
        passage.rule = refusal.rule;
        passage.matched(refusal.path.as_ref());
        let status = refusal.reason.status();
        answer::refuse(session, passage, status, Fault::Refused(refusal.reason), After::GoOn).await.map(|()| true)
    }

    pub(super) async fn stop(&self, session: &mut Session, passage: &mut Passage, stop: Stop) -> Result<bool> {
        let Stop { status, fault, after } = stop;
        answer::refuse(session, passage, status, fault, after).await.map(|()| true)
    }
}

/// Why a request goes no further, and how that is answered.
pub(super) struct Stop {
    pub(super) status: StatusCode,
    pub(super) fault: Fault,
    pub(super) after: After,
}

impl From<Fault> for Stop {
    /// What failed is the gateway.
    fn from(fault: Fault) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, fault, after: After::GoOn }
    }
}

/// Whether nothing but HTTP/1 is spoken to a backend.
fn is_http1(backend: &Backend) -> bool {
    let may_negotiate_h2 = match &backend.security {
        Security::Tls(tls) => tls.alpn.contains(&"h2"),
        Security::Clear | Security::Broken(_) => false,
    };
    backend.protocol == BackendProtocol::Http1 && !may_negotiate_h2
}
