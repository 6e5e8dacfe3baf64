//! Endpoints of XBackends that select them: for each that a Gateway needs, a headless Service, whose EndpointSlices the API server's own
//! controllers keep.
//!
//! In: an XBackend that changed, or that a Gateway began or ceased to need. Out: what is wanted for it. No pod is read here.

use std::collections::BTreeSet;

use gateway_core::name::{Kind, ObjectId};

use super::apply::Applier;
use crate::cluster::discover::Subject;
use crate::cluster::selecting;

impl Applier {
    /// Works out what is to be made for an XBackend.
    pub(super) fn look_after_backend(&mut self, owner: &ObjectId) {
        let backend = self.backends.get(&owner.name).filter(|_| self.feeds.is_needed(owner)).cloned();
        let resource = self.resource(&Subject::Object(Kind::XBackend)).map(|resource| resource.api.api_version.clone());
        let service = backend.zip(resource).map_or(Ok(None), |(backend, api_version)| {
            selecting::service(&backend, &api_version, &self.place.outfit.controller_name)
        });
        // A Service that could be made for it has another name.
        let none = (Subject::Object(Kind::Service), owner.name.clone());
        let service = match service {
            Ok(Some(service)) => {
                self.told.get_mut(owner).and_then(|told| told.remove(&none));
                Some(service)
            }
            Ok(None) => {
                self.told.remove(owner);
                None
            }
            Err(why) => {
                if self.is_leader() {
                    self.tell_not_made(owner, none, why);
                }
                None
            }
        };
        self.made.want(owner, service.into_iter().collect(), BTreeSet::new(), self.now);
    }
}
