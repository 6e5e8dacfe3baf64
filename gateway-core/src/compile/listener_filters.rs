//! The filters of a listener, judged (`ListenerFilters`, GEP-5224).
//!
//! In: filters in their order, who holds the listener, and the objects they refer to. Out: what runs for every request before a
//! route is looked at; or why nothing can be let through, which the listener then answers 500. No filter is ever left out or moved.

use std::sync::Arc;

use crate::condition::Reason;
use crate::name::{Kind, ObjectId};
use crate::resource::{ExternalAuth, Listener, ListenerFilterType, LocalObjectRef, Protocol};
use crate::snapshot::filters::ListenerFilter;
use crate::support::Capability;

use super::fault::{Fault, together};
use super::listener::{Holder, Sources};
use super::objects::{kind_of, written_kind};
use super::references::{Resolved, usage_of};
use super::ties::Ties;
use super::translate::auth::auth;

/// What came of a listener's filters.
#[derive(Clone, Debug)]
pub(super) struct Filtering {
    /// What runs, in order; or why requests are answered 500.
    pub(super) filters: Result<Arc<[ListenerFilter]>, Arc<str>>,
    /// Why the listener is not accepted because of them.
    pub(super) fault: Option<Fault>,
    /// References of them that are broken.
    pub(super) references: Vec<Fault>,
}

/// Judges the filters of a listener. What they refer to joins `ties`.
pub(super) fn filters(holder: Holder<'_>, listener: &Listener, sources: &mut Sources<'_>, ties: &mut Ties) -> Filtering {
    let stated = listener.filters.as_ref().map_or(&[][..], |filters| &filters.requests);
    let mut filters = Vec::with_capacity(stated.len());
    let (mut faults, mut references) = (Vec::new(), Vec::new());
    if !stated.is_empty() && !matches!(listener.protocol, Protocol::Http | Protocol::Https) {
        let message = format!("filters are for HTTP and HTTPS listeners, and this one speaks {}", listener.protocol);
        faults.push((Reason::InvalidListenerFilter, message));
    } else if !stated.is_empty() && !sources.support.has(Capability::ListenerFilters) {
        faults.push((Reason::UnsupportedValue, "filters of listeners are not performed by this data plane".to_owned()));
    } else {
        for (index, filter) in stated.iter().enumerate() {
            let judged = match (&filter.filter_type, &filter.external_auth, &filter.extension_ref) {
                (ListenerFilterType::ExternalAuth, Some(stated), _) => external_auth(holder, stated, sources, ties),
                (ListenerFilterType::ExtensionRef, _, Some(reference)) => extension(holder, reference, sources, ties),
                (ListenerFilterType::ExternalAuth | ListenerFilterType::ExtensionRef, ..) => {
                    Err(Trouble::Value(unsupported(format!("type {} states no settings", filter.filter_type))))
                }
                (ListenerFilterType::Other(unknown), ..) => {
                    Err(Trouble::Value(unsupported(format!("type {unknown} is not performed by this data plane"))))
                }
            };
            let named = |(reason, message): Fault| (reason, format!("filters.requests[{index}]: {message}"));
            match judged {
                Ok(filter) => filters.push(filter),
                Err(Trouble::Value(fault)) => faults.push(named(fault)),
                Err(Trouble::Reference(fault)) => references.push(named(fault)),
            }
        }
    }
    let fault = together(faults);
    let broken = fault.iter().chain(&references).next();
    let filters = broken.map_or_else(|| Ok(filters.into()), |(_, why)| Err(why.as_str().into()));
    Filtering { filters, fault, references }
}

/// What is wrong with a filter, which decides the condition that says so.
enum Trouble {
    /// Accepted is false.
    Value(Fault),
    /// ResolvedRefs is false.
    Reference(Fault),
}

fn external_auth(
    holder: Holder<'_>,
    stated: &ExternalAuth,
    sources: &mut Sources<'_>,
    ties: &mut Ties,
) -> Result<ListenerFilter, Trouble> {
    // The listener is chosen by the host, so a filter that takes the host from somebody else could never be obeyed.
    let mut copied = stated.http.iter().flat_map(|http| &http.allowed_response_headers);
    if copied.any(|name| ["host", ":authority"].contains(&name.to_ascii_lowercase().as_str())) {
        let message = "externalAuth.http.allowedResponseHeaders names the host, which no filter of a listener can change";
        return Err(Trouble::Value((Reason::InvalidListenerFilter, message.to_owned())));
    }
    let asked = auth(stated, sources.support).map_err(Trouble::Value)?;
    let who = ObjectId::new(holder.kind.clone(), holder.name.clone());
    let leads = sources.world.backend(&who, &stated.backend_ref, usage_of(&stated.protocol), ties);
    let backend = leads.map_err(|fault| Trouble::Reference(as_filter(fault)))?;
    Ok(ListenerFilter::Auth(Arc::new(asked(backend))))
}

fn extension(
    holder: Holder<'_>,
    reference: &LocalObjectRef,
    sources: &mut Sources<'_>,
    ties: &mut Ties,
) -> Result<ListenerFilter, Trouble> {
    let stated = kind_of(&reference.group, &reference.kind);
    let known = &sources.world.extensions;
    let is_known = |kind: &Kind| matches!(kind, Kind::Extension(kind) if known.get(kind).is_some());
    if stated != Kind::DirectResponse && !is_known(&stated) {
        let known: Vec<_> = known.kinds().map(|kind| written_kind(&kind.group, &kind.kind)).collect();
        let known = if known.is_empty() { "none is".to_owned() } else { format!("known are {}", known.join(", ")) };
        let kind = written_kind(&reference.group, &reference.kind);
        let message = format!("filters of kind {kind} are not known here for listeners; {known}");
        return Err(Trouble::Reference((Reason::InvalidListenerFilterRef, message)));
    }
    match sources.world.filter(holder.name.namespace(), reference, ties) {
        Resolved::Extension(extension) => Ok(ListenerFilter::Extension(extension)),
        Resolved::Fault(fault) => Err(Trouble::Reference(as_filter(fault))),
        Resolved::Response(response) => {
            let message = format!("DirectResponse {} answers for rules and is no filter of a listener", response.meta.name);
            Err(Trouble::Reference((Reason::InvalidListenerFilterRef, message)))
        }
    }
}

/// A fault of a reference, in the words of listeners.
fn as_filter((reason, message): Fault) -> Fault {
    let reason = if reason == Reason::RefNotPermitted { reason } else { Reason::InvalidListenerFilterRef };
    (reason, message)
}

fn unsupported(message: String) -> Fault {
    (Reason::UnsupportedValue, message)
}
