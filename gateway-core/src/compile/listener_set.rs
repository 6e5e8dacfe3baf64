//! A ListenerSet judged on its own: whether its Gateway takes it (GEP-1713), and each of its listeners.
//!
//! In: a set, its Gateway as judged, the labels of its namespace, and the objects it refers to. Out: a `SetState`, which `merge`
//! completes with conflicts and `status` phrases. Knows nothing of other sets or of routes.
//!
//! Invariants: of a set that is not allowed nothing is looked at that it refers to.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::condition::Reason;
use crate::name::{GATEWAY_GROUP, Kind, ObjectName};
use crate::resource::{FromNamespaces, Gateway, ListenerSet};

use super::MAX_LISTENERS;
use super::age;
use super::attach::unselected;
use super::gateway::GatewayState;
use super::listener::{self, Holder, ListenerState, Sources};
use super::objects::written_kind;
use super::ties::Ties;
use super::violation;

/// A ListenerSet of a Gateway of ours, as judged.
#[derive(Clone, Debug)]
pub(super) struct SetState {
    pub(super) object: Arc<ListenerSet>,
    /// The Gateway it adds to.
    pub(super) gateway: ObjectName,
    /// Why its Gateway does not take it.
    pub(super) refusal: Option<String>,
    /// Why nothing of it can be served.
    pub(super) fault: Option<String>,
    /// As in the spec.
    pub(super) listeners: Vec<ListenerState>,
    /// When time alone will change a verdict, in seconds since 1970.
    pub(super) moments: Vec<i64>,
    /// What it refers to.
    pub(super) ties: Ties,
}

/// Judges a ListenerSet. Only the first `room` of its listeners fit beside those of its Gateway that go before.
pub(super) fn judge(
    set: &Arc<ListenerSet>,
    host: &GatewayState,
    labels: &BTreeMap<String, String>,
    room: usize,
    sources: &mut Sources<'_>,
) -> SetState {
    let gateway = &host.object;
    let refusal = refusal(gateway, set, labels);
    let mut ties = Ties::default();
    let holder = Holder { kind: &Kind::ListenerSet, name: &set.meta.name, gateway };
    let mut listeners: Vec<ListenerState> = match &refusal {
        Some(why) => set.spec.listeners.iter().map(|found| listener::refuse(found, sources.support, why)).collect(),
        None => listener::judge_all(holder, &set.meta, &set.spec.listeners, sources, &mut ties),
    };
    ties.settle();
    for listener in listeners.iter_mut().skip(room) {
        let message = format!(
            "a Gateway and its ListenerSets hold {MAX_LISTENERS} listeners together, and those that go before this one are as many"
        );
        listener.fault = Some((Reason::TooManyListeners, message));
    }
    SetState {
        object: set.clone(),
        gateway: gateway.meta.name.clone(),
        refusal,
        fault: violation::of_listener_set(&set.meta),
        moments: listeners.iter().flat_map(ListenerState::moments).collect(),
        listeners,
        ties,
    }
}

/// What no condition can say of a ListenerSet, as nobody writes the status of one whose Gateway is not there.
pub(super) fn remarks(set: &ListenerSet, state: Option<&SetState>, is_known: impl Fn(&ObjectName) -> bool) -> Vec<String> {
    let parent = &set.spec.parent_ref;
    if !parent.is_gateway() {
        let (kind, name) = (written_kind(&parent.group, &parent.kind), &parent.name);
        let message =
            format!("spec.parentRef {kind} {name}: parents of this kind are not served here; name a Gateway of {GATEWAY_GROUP}");
        return vec![message];
    }
    let gateway = parent.target(set.meta.name.namespace());
    if state.is_none() && !is_known(&gateway) {
        return vec![format!("spec.parentRef {gateway}: there is no such Gateway, or none that could be read")];
    }
    if state.is_none() {
        return Vec::new();
    }
    age::remark(&set.meta).into_iter().chain(set.spec.listeners.iter().flat_map(listener::remarks)).collect()
}

/// Why a Gateway does not take a ListenerSet (`Gateway.spec.allowedListeners`).
fn refusal(gateway: &Gateway, set: &ListenerSet, labels: &BTreeMap<String, String>) -> Option<String> {
    let name = &gateway.meta.name;
    let namespace = set.meta.name.namespace();
    let allowed = &gateway.spec.allowed_listeners.namespaces;
    let why = match (&allowed.from, &allowed.selector) {
        (FromNamespaces::All, _) => return None,
        (FromNamespaces::Same, _) if namespace == name.namespace() => return None,
        (FromNamespaces::Same, _) => {
            format!("takes ListenerSets of its own namespace {} only, not of {namespace}", name.namespace())
        }
        (FromNamespaces::Selector, Some(selector)) if selector.matches(labels) => return None,
        (FromNamespaces::Selector, Some(selector)) => unselected(Kind::ListenerSet, &set.meta, selector, labels),
        (FromNamespaces::Selector, None) => "selects namespaces but states no selector, so takes no ListenerSets".to_owned(),
        (FromNamespaces::None, _) => {
            "takes no ListenerSets; allowedListeners.namespaces.from: Same, Selector or All would admit them".to_owned()
        }
        (FromNamespaces::Other(from), _) => {
            format!("takes no ListenerSets: allowedListeners.namespaces.from: {from} is unknown; use Same, Selector or All")
        }
    };
    Some(format!("Gateway {name} {why}"))
}
