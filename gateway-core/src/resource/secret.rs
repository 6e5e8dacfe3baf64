//! Secret: certificates and keys, decoded. Its contents appear in no message and no debug output.

use std::collections::BTreeMap;
use std::fmt;

use super::Meta;

/// A Secret as read.
#[derive(Clone, PartialEq)]
pub struct Secret {
    /// Who it is.
    pub meta: Meta,
    /// What it holds, by convention: `kubernetes.io/tls` and others; `Opaque` unless stated.
    pub secret_type: String,
    /// The contents, decoded; what `stringData` says wins over `data`.
    pub data: BTreeMap<String, Vec<u8>>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret")
            .field("meta", &self.meta)
            .field("secret_type", &self.secret_type)
            .field("data", &self.data.keys().collect::<Vec<_>>())
            .finish()
    }
}
