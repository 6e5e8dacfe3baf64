//! What a stored object violates of the schema: another version or channel of the API had admitted it.
//!
//! In: the complaints of [`validate`](super::validate) about an object that is read all the same. Out: the same, by the part of the
//! object they concern, so that a judge can turn them into the condition of just that part.

use std::sync::Arc;

use super::Invalid;

/// The violations of one object; nearly always none. Cloning them copies one pointer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Violations(Option<Arc<[Invalid]>>);

impl Violations {
    /// Every one.
    pub fn all(&self) -> &[Invalid] {
        self.0.as_deref().unwrap_or_default()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Those of one entry of a list, such as `spec.rules`.
    pub fn within(&self, list: &str, index: usize) -> impl Iterator<Item = &Invalid> {
        self.all().iter().filter(move |violation| entry(&violation.path, list) == Some(index))
    }

    /// Those that concern no single entry of the list, but the list itself or anything else.
    pub fn outside(&self, list: &str) -> impl Iterator<Item = &Invalid> {
        self.all().iter().filter(move |violation| entry(&violation.path, list).is_none())
    }
}

impl From<Vec<Invalid>> for Violations {
    fn from(violations: Vec<Invalid>) -> Self {
        Self(Some(violations).filter(|violations| !violations.is_empty()).map(Arc::from))
    }
}

/// The entry of the list that a path leads into.
fn entry(path: &str, list: &str) -> Option<usize> {
    path.strip_prefix(list)?.strip_prefix('[')?.split_once(']')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn violations_are_told_apart_by_the_entry_they_concern() {
        let paths = ["spec.rules[0].name", "spec.rules[10].matches[1].path.value", "spec.rules", "spec.rulesets[0]", ""];
        let invalid = |path: &&str| Invalid { object: String::new(), path: (*path).to_owned(), expected: String::new() };
        let violations = Violations::from(paths.iter().map(invalid).collect::<Vec<_>>());
        let found = |index| violations.within("spec.rules", index).map(|found| found.path.as_str()).collect::<Vec<_>>();
        assert_eq!((found(0), found(1), found(10)), (vec![paths[0]], vec![], vec![paths[1]]));
        let outside: Vec<_> = violations.outside("spec.rules").map(|found| found.path.as_str()).collect();
        assert_eq!(outside, paths[2..]);
        assert!(Violations::from(Vec::new()).is_empty() && !violations.is_empty());
    }
}
