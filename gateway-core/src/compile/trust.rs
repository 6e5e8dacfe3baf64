//! References to certificate authorities (`caCertificateRefs`): the key `ca.crt` of ConfigMaps, and ClusterTrustBundles (GEP-5075).
//!
//! In: references and who makes them. Out: the authorities of all that are usable, joined, and what is wrong with each other one,
//! so that callers can apply their partial rules. Read once per version of an object, however many refer to it; what is gone is
//! forgotten with it, so that nobody trusts it any longer.
//!
//! Invariants: a source is used whole or not at all; whether an ungranted one exists is never asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::name::{CERTIFICATES_GROUP, Kind, ObjectId, ObjectName};
use crate::resource::{LocalObjectRef, ObjectRef};
use crate::snapshot::{Fingerprint, TrustSet};

use super::grant::Reference;
use super::objects::{Objects, kind_of};
use super::ties::Ties;

/// What was made of each source that somebody refers to.
#[derive(Debug, Default)]
pub(super) struct Authorities(BTreeMap<ObjectId, Result<Arc<TrustSet>, String>>);

/// A reference to a source of authorities.
#[derive(Clone, Copy, Debug)]
pub(super) struct AuthorityRef<'a> {
    pub(super) group: &'a str,
    pub(super) kind: &'a str,
    pub(super) name: &'a str,
    pub(super) namespace: Option<&'a str>,
}

impl<'a> From<&'a ObjectRef> for AuthorityRef<'a> {
    fn from(reference: &'a ObjectRef) -> Self {
        let ObjectRef { group, kind, name, namespace } = reference;
        Self { group, kind, name, namespace: namespace.as_deref() }
    }
}

impl<'a> From<&'a LocalObjectRef> for AuthorityRef<'a> {
    fn from(reference: &'a LocalObjectRef) -> Self {
        let LocalObjectRef { group, kind, name } = reference;
        Self { group, kind, name, namespace: None }
    }
}

/// What references to authorities come to.
#[derive(Clone, Debug)]
pub(super) struct Trusted {
    /// The authorities of all that are usable; `None` when none is.
    pub(super) set: Option<Arc<TrustSet>>,
    /// What is wrong with the others, in their order.
    pub(super) faults: Vec<Distrust>,
}

/// Why a reference is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Distrust {
    pub(super) cause: Cause,
    pub(super) message: String,
}

/// What kind of thing is wrong; each caller has its own reason for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The kind is not one that holds authorities here.
    Kind,
    /// No ReferenceGrant permits it.
    Permission,
    /// It is missing, malformed or empty.
    Content,
}

impl Authorities {
    /// Forgets a source that changed or went.
    pub(super) fn forget(&mut self, source: &ObjectId) {
        self.0.remove(source);
    }

    /// Follows references that an object of kind `from` makes in `namespace`. What it refers to joins `ties`.
    pub(super) fn trust<'a>(
        &mut self,
        references: impl IntoIterator<Item = AuthorityRef<'a>>,
        from: &Kind,
        namespace: &str,
        objects: &Objects,
        ties: &mut Ties,
    ) -> Trusted {
        let mut sets = Vec::new();
        let mut faults = Vec::new();
        for reference in references {
            match self.follow(reference, from, namespace, objects, ties) {
                Ok(set) => sets.push(set),
                Err((cause, message)) => faults.push(Distrust { cause, message }),
            }
        }
        Trusted { set: joined(sets), faults }
    }

    fn follow(
        &mut self,
        reference: AuthorityRef<'_>,
        from: &Kind,
        namespace: &str,
        objects: &Objects,
        ties: &mut Ties,
    ) -> Result<Arc<TrustSet>, (Cause, String)> {
        let AuthorityRef { group, kind, name, namespace: stated } = reference;
        let kind = kind_of(group, kind);
        let target =
            if kind.is_cluster_scoped() { ObjectName::cluster(name) } else { ObjectName::new(stated.unwrap_or(namespace), name) };
        let id = ObjectId::new(kind, target);
        if !matches!(id.kind, Kind::ConfigMap | Kind::ClusterTrustBundle) {
            let group = if group.is_empty() { "the core group" } else { group };
            let message = format!(
                "{} of {group} is no kind of certificate authorities here; name a ConfigMap, or a ClusterTrustBundle of {CERTIFICATES_GROUP}",
                id.kind
            );
            return Err((Cause::Kind, message));
        }
        let asked = Reference { from, namespace, to: &id };
        if !ties.follow(&asked, objects) {
            return Err((Cause::Permission, asked.advice()));
        }
        if id.kind == Kind::ClusterTrustBundle {
            if objects.facts.bundle.as_ref().is_some_and(|bundle| !bundle.trust_bundles) {
                let message = format!("{id} is named, but this cluster serves no ClusterTrustBundles; name a ConfigMap");
                return Err((Cause::Kind, message));
            }
            if stated.is_some() {
                let message = format!("{id} is named with a namespace, but is in none; leave the namespace out");
                return Err((Cause::Content, message));
            }
        }
        self.read(&id, objects).map_err(|message| (Cause::Content, message))
    }

    fn read(&mut self, id: &ObjectId, objects: &Objects) -> Result<Arc<TrustSet>, String> {
        if let Some(known) = self.0.get(id) {
            return known.clone();
        }
        let missing = || format!("{id} does not exist");
        let pem = if id.kind == Kind::ConfigMap {
            let found = objects.config_maps.get(&id.name).ok_or_else(missing)?;
            found.ca_certificates.as_deref().ok_or_else(|| format!("{id} has no key ca.crt"))
        } else {
            objects.trust_bundles.get(&id.name).ok_or_else(missing).map(|found| found.spec.trust_bundle.as_bytes())
        };
        let read = pem.and_then(|pem| anchors(pem, id).map_err(|why| format!("{id} {why}")));
        self.0.entry(id.clone()).or_insert(read).clone()
    }
}

/// The certificates of a PEM text, each of them fit to be an authority.
fn anchors(pem: &[u8], source: &ObjectId) -> Result<Arc<TrustSet>, String> {
    let roots = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("does not hold certificates in PEM: {error}"))?;
    for (nth, root) in roots.iter().enumerate() {
        let fit = RootCertStore::empty().add(root.clone());
        fit.map_err(|_| format!("holds a certificate that cannot be read, number {} of {}", nth + 1, roots.len()))?;
    }
    let count = roots.len();
    set(roots, vec![source.clone()]).ok_or_else(|| format!("holds {count} certificates; at least one is needed"))
}

/// All authorities of several sources.
fn joined(sets: Vec<Arc<TrustSet>>) -> Option<Arc<TrustSet>> {
    match <[Arc<TrustSet>; 1]>::try_from(sets) {
        Ok([one]) => Some(one),
        Err(sets) => {
            let sources = sets.iter().flat_map(|set| set.sources.iter().cloned());
            set(sets.iter().flat_map(|set| set.roots.iter().cloned()).collect(), sources.collect())
        }
    }
}

/// Authorities as a set: their order and repetition do not matter.
fn set(mut roots: Vec<CertificateDer<'static>>, mut sources: Vec<ObjectId>) -> Option<Arc<TrustSet>> {
    roots.sort_unstable_by(|one, other| one.as_ref().cmp(other.as_ref()));
    roots.dedup();
    sources.sort_unstable();
    sources.dedup();
    if roots.is_empty() {
        return None;
    }
    let fingerprint = Fingerprint::of(&roots);
    Some(Arc::new(TrustSet { roots: roots.into(), sources: sources.into(), fingerprint }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> ObjectId {
        ObjectId::new(Kind::ConfigMap, ObjectName::new("n", "ca"))
    }

    fn pem(host: &str) -> String {
        rcgen::generate_simple_self_signed([host.to_owned()]).unwrap().cert.pem()
    }

    #[test]
    fn a_source_is_read_whole_or_not_at_all() {
        let (one, other) = (pem("one"), pem("other"));
        assert_eq!(anchors(format!("# who we trust\n{one}\n{other}{one}").as_bytes(), &source()).unwrap().roots.len(), 2);
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let rows = [
            (String::new(), "holds 0 certificates"),
            ("nonsense".to_owned(), "holds 0 certificates"),
            (format!("{one}{broken}"), "number 2 of 2"),
            (format!("{one}-----BEGIN CERTIFICATE-----\nAAAA\n"), "does not hold certificates in PEM"),
            (format!("{one}-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n"), "does not hold certificates in PEM"),
        ];
        for (text, why) in rows {
            let message = anchors(text.as_bytes(), &source()).unwrap_err();
            assert!(message.contains(why), "{message} should say: {why}");
        }
    }

    #[test]
    fn equal_authorities_have_equal_fingerprints_whatever_their_order() {
        let (one, other) = (pem("one"), pem("other"));
        let read = |text: String| anchors(text.as_bytes(), &source()).unwrap();
        let (forth, back) = (read(format!("{one}{other}")), read(format!("{other}{one}")));
        assert_eq!(forth, back);
        let (one, other) = (read(one), read(other));
        assert_ne!(one, other);
        assert_eq!(joined(vec![one.clone(), other.clone(), one.clone()]), Some(forth));
        assert_eq!(joined(vec![one.clone()]), Some(one));
        assert_eq!(joined(Vec::new()), None);
    }
}
