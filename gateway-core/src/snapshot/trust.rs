//! Certificate authorities: whom to trust when a peer shows a certificate.
//!
//! In: the bundles that ConfigMaps and ClusterTrustBundles hold, read and joined by the compiler. Out: roots, as data. Checking a
//! chain against them is the business of whoever shakes hands.

use rustls::pki_types::CertificateDer;

use super::fingerprint::Fingerprint;

/// Certificates of authorities. Compared by fingerprint.
#[derive(Clone, Debug)]
pub struct TrustSet {
    /// At least one.
    pub roots: Box<[CertificateDer<'static>]>,
    /// Equal for equal content: a key for trust stores derived from it.
    pub fingerprint: Fingerprint,
}

impl PartialEq for TrustSet {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for TrustSet {}
