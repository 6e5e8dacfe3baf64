//! Namespace: labels, which selectors of listeners look at.

use super::Meta;

/// A Namespace as read. Its labels always hold its own name under `kubernetes.io/metadata.name`.
#[derive(Clone, Debug, PartialEq)]
pub struct Namespace {
    /// Who it is.
    pub meta: Meta,
}

/// The label every Namespace has.
pub(super) const NAME_LABEL: &str = "kubernetes.io/metadata.name";
