//! What an object refers to, gathered while it is judged, so that it is judged again when one of those changes.
//!
//! In: references. Out: sorted lists for `Dependents` and `Needs`. What is not permitted is not needed either: nobody shall
//! fetch it, but a grant that permits it later has to be noticed.

use crate::name::{Kind, ObjectId};
use crate::snapshot::BackendName;

use super::grant::Reference;
use super::objects::Objects;

/// What an object refers to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ties {
    /// Other objects, existing or not.
    pub(super) uses: Vec<ObjectId>,
    /// Namespaces it refers into.
    pub(super) crosses: Vec<String>,
    /// Backends it uses.
    pub(super) backends: Vec<BackendName>,
}

impl Ties {
    /// Takes note of a reference and its target, and tells whether it is permitted.
    pub(super) fn follow(&mut self, asked: &Reference<'_>, objects: &Objects) -> bool {
        let is_permitted = self.permits(asked, objects);
        if is_permitted {
            self.uses.push(asked.to.clone());
        }
        is_permitted
    }

    /// Takes note of what permits a reference, and tells whether anything does. The target is taken note of elsewhere.
    pub(super) fn permits(&mut self, asked: &Reference<'_>, objects: &Objects) -> bool {
        if !asked.crosses() {
            return true;
        }
        self.crosses.push(asked.to.name.namespace().to_owned());
        let grants = asked.grants(objects).map(|grant| ObjectId::new(Kind::ReferenceGrant, grant.meta.name.clone()));
        let before = self.uses.len();
        self.uses.extend(grants);
        self.uses.len() > before
    }

    /// The objects that whoever serves it has to be given.
    pub(super) fn needed(&self) -> impl Iterator<Item = &ObjectId> {
        self.uses.iter().chain(self.backends.iter().map(|name| &name.object))
    }

    /// Puts the lists into order.
    pub(super) fn settle(&mut self) {
        self.uses.sort_unstable();
        self.uses.dedup();
        self.crosses.sort_unstable();
        self.crosses.dedup();
        self.backends.sort_unstable();
        self.backends.dedup();
    }
}
