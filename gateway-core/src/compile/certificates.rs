//! Certificates read once per version of their Secret, however many listeners name them.
//!
//! In: Secrets. Out: certificates and sets of them, shared. Forgets what the compiler says is gone.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::name::ObjectName;
use crate::resource::Secret;
use crate::snapshot::{Certificate, CertificateSet, Fingerprint};

use super::certificate::certificate;

/// What was made of each Secret that a listener names.
#[derive(Debug, Default)]
pub(super) struct Certificates(BTreeMap<ObjectName, Result<Arc<Certificate>, String>>);

impl Certificates {
    /// The certificate in a Secret, or what is wrong with it.
    pub(super) fn of(&mut self, secret: &Secret) -> Result<Arc<Certificate>, String> {
        self.0.entry(secret.meta.name.clone()).or_insert_with(|| certificate(secret)).clone()
    }

    /// Forgets a Secret that changed or went.
    pub(super) fn forget(&mut self, secret: &ObjectName) {
        self.0.remove(secret);
    }

    /// Certificates served together.
    pub(super) fn set(certificates: Vec<Arc<Certificate>>) -> Arc<CertificateSet> {
        let fingerprint = Fingerprint::of(certificates.iter().map(|certificate| certificate.fingerprint));
        Arc::new(CertificateSet { certificates: certificates.into(), fingerprint })
    }
}
