//! Certificate authorities: whom to trust when a peer shows a certificate.
//!
//! In: the bundles that ConfigMaps and ClusterTrustBundles hold, read and joined by the compiler. Out: roots, as data. Checking a
//! chain against them is the business of whoever shakes hands.

use std::fmt;

use rustls::pki_types::CertificateDer;

use super::fingerprint::Fingerprint;
use crate::name::ObjectId;

/// Certificates of authorities. Compared by fingerprint, and by where they come from.
#[derive(Clone, Debug)]
pub struct TrustSet {
    /// At least one.
    pub roots: Box<[CertificateDer<'static>]>,
    /// The ConfigMaps and ClusterTrustBundles that hold them, in order.
    pub sources: Box<[ObjectId]>,
    /// Equal for equal content: a key for trust stores derived from it.
    pub fingerprint: Fingerprint,
}

impl PartialEq for TrustSet {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint && self.sources == other.sources
    }
}

impl Eq for TrustSet {}

impl fmt::Display for TrustSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sources: Vec<_> = self.sources.iter().map(ToString::to_string).collect();
        f.write_str(&sources.join(", "))
    }
}
