//! Who uses one thing: mostly one object, sometimes thousands.
//!
//! In: users that come and go. Out: those there are. One alone needs no table of its own, of which there would be as many as Services.

use crate::name::ObjectId;
use crate::snapshot::Seed;

use super::hashed::HashedSet;

/// A set of objects.
#[derive(Debug)]
pub(super) enum Users {
    One(Option<ObjectId>),
    /// There were several at once.
    Many(HashedSet<ObjectId>),
}

impl Default for Users {
    fn default() -> Self {
        Self::One(None)
    }
}

impl Users {
    /// One more.
    pub(super) fn insert(&mut self, user: &ObjectId, seed: Seed) {
        match self {
            Self::One(Some(known)) if known == user => {}
            Self::One(one) => match one.take() {
                None => *one = Some(user.clone()),
                Some(known) => {
                    let mut many = HashedSet::with_hasher(seed);
                    many.extend([known, user.clone()]);
                    *self = Self::Many(many);
                }
            },
            Self::Many(many) => drop(many.insert(user.clone())),
        }
    }

    /// One less.
    pub(super) fn remove(&mut self, user: &ObjectId) {
        match self {
            Self::One(one) => drop(one.take_if(|known| known == user)),
            Self::Many(many) => drop(many.remove(user)),
        }
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::One(one) => one.is_none(),
            Self::Many(many) => many.is_empty(),
        }
    }

    /// All of them, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &ObjectId> {
        let (one, many) = match self {
            Self::One(one) => (one.as_ref(), None),
            Self::Many(many) => (None, Some(many)),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::{Kind, ObjectName};

    #[test]
    fn one_user_becomes_several_and_none_again() {
        let seed = Seed::new(1);
        let user = |name: &str| ObjectId::new(Kind::HttpRoute, ObjectName::new("ns", name));
        let mut users = Users::default();
        for name in ["a", "a", "b", "c", "b"] {
            users.insert(&user(name), seed);
        }
        let mut all: Vec<_> = users.iter().cloned().collect();
        all.sort_unstable();
        assert_eq!(all, [user("a"), user("b"), user("c")]);
        for name in ["a", "x", "b", "c"] {
            assert!(!users.is_empty());
            users.remove(&user(name));
        }
        assert!(users.is_empty() && users.iter().next().is_none());
        users = Users::default();
        users.insert(&user("a"), seed);
        users.remove(&user("b"));
        assert!(!users.is_empty(), "another one is not removed");
        users.remove(&user("a"));
        assert!(users.is_empty());
    }
}
