//! What people are told by Events: notices of statuses, what could not be made, objects that cannot be read.
//!
//! In: statuses that were written, failures. Out: Events, each matter once.

use std::collections::BTreeMap;

use gateway_core::name::{Kind, ObjectId, ObjectName};
use k8s_openapi::api::core::v1::ObjectReference;

use super::apply::Applier;
use super::notices::Notice;
use super::reports::Written;
use crate::cluster::child::ChildId;
use crate::cluster::discover::Subject;

/// An object that cannot be read.
#[derive(Debug)]
pub(super) struct Unread {
    pub(super) why: String,
    /// The class of a Gateway.
    pub(super) class: Option<String>,
    pub(super) is_told: bool,
}

impl Applier {
    /// Tells of conditions that turned bad.
    pub(super) fn tell_of_status(&mut self, id: &ObjectId, Written { before, after }: &Written) {
        for Notice { reason, message } in self.notices.of_write(before.as_ref(), after, self.now) {
            self.tell(id, reason, message);
        }
    }

    /// Tells of objects that cannot be read, where they concern this controller.
    pub(super) fn tell_of_unread(&mut self) {
        let mut unread = std::mem::take(&mut self.unread);
        for (id, unread) in unread.iter_mut().filter(|(_, unread)| !unread.is_told) {
            let class = unread.class.as_ref().map(|class| ObjectId::new(Kind::GatewayClass, ObjectName::cluster(class)));
            let is_ours = [Some(id), class.as_ref()].into_iter().flatten().any(|id| self.compiler.statuses().contains_key(id));
            if is_ours {
                let message = format!("what was so before holds on, as this cannot be read: {}", unread.why);
                self.tell(id, "CannotBeRead".to_owned(), message);
                unread.is_told = true;
            }
        }
        self.unread = unread;
    }

    /// Tells that something could not be made for an owner.
    pub(super) fn tell_not_made(&mut self, owner: &ObjectId, child: ChildId, why: &str) {
        let message = format!("cannot write {} {}: {why}", kind_of(&child), child.1);
        tracing::warn!(%owner, "{message}");
        let told: &mut BTreeMap<ChildId, String> = self.told.entry(owner.clone()).or_default();
        if told.get(&child) == Some(&message) {
            return;
        }
        told.insert(child, message.clone());
        self.tell(owner, "ProvisioningFailed".to_owned(), message);
    }

    /// What could not be made was made: should it fail again, that is another matter.
    pub(super) fn was_made(&mut self, child: &ChildId) {
        let told = self.made.owner(child).and_then(|owner| self.told.get_mut(owner));
        told.and_then(|told| told.remove(child));
    }

    fn tell(&self, id: &ObjectId, reason: String, message: String) {
        // Of a kind that is not installed any more there is nobody to tell.
        let Some(resource) = self.resource(&Subject::Object(id.kind.clone())) else { return };
        let namespace = id.name.namespace();
        let about = ObjectReference {
            api_version: Some(resource.api.api_version.clone()),
            kind: Some(id.kind.to_string()),
            namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
            name: Some(id.name.name().to_owned()),
            uid: self.reports.uid(id).map(str::to_owned),
            ..ObjectReference::default()
        };
        self.place.writer.tell_people(about, true, reason, message);
    }
}

pub(super) fn kind_of(id: &ChildId) -> String {
    match &id.0 {
        Subject::Object(kind) => kind.to_string(),
        Subject::OwnConfigMap => Kind::ConfigMap.to_string(),
        Subject::Deployment => "Deployment".to_owned(),
        Subject::ServiceAccount => "ServiceAccount".to_owned(),
        Subject::ServiceEvent => "Event".to_owned(),
        Subject::ServiceRange => "ServiceCIDR".to_owned(),
    }
}
