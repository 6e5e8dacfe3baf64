//! ClusterTrustBundle: trust anchors for a whole cluster.

use serde::Deserialize;

use super::place::Place;
use super::report::Report;
use super::{Meta, syntax};

/// A ClusterTrustBundle as read.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterTrustBundle {
    /// Who it is.
    pub meta: Meta,
    /// What it holds.
    pub spec: ClusterTrustBundleSpec,
}

/// The specification of a ClusterTrustBundle.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterTrustBundleSpec {
    /// The signer whose anchors these are; empty when they are nobody's in particular.
    #[serde(default)]
    pub signer_name: String,
    /// Certificates in PEM.
    pub trust_bundle: String,
}

impl ClusterTrustBundle {
    /// The name of a bundle with a signer begins with that of the signer, `/` written as `:`; the name of one without has no `:`.
    pub(super) fn check(&self, report: &mut Report) {
        let (name, signer) = (self.meta.name.name(), &self.spec.signer_name);
        let metadata = Place::top("metadata");
        let at = metadata.field("name");
        if signer.is_empty() {
            return report.text(&at, name, syntax::SUBDOMAIN);
        }
        let spec = Place::top("spec");
        report.text(&spec.field("signerName"), signer, syntax::DOMAIN_PATH);
        let prefix = format!("{}:", signer.replace('/', ":"));
        match name.strip_prefix(&prefix) {
            Some(rest) => report.text(&at, rest, syntax::SUBDOMAIN),
            None => report.refuse(&at, format!("expected a name that begins with \"{prefix}\", as the signer is {signer}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::resource::Object;
    use crate::resource::fixture::{object, outcome};

    fn bundle(version: &str, name: &str, spec: &str) -> String {
        format!("apiVersion: certificates.k8s.io/{version}\nkind: ClusterTrustBundle\nmetadata: {{name: '{name}'}}\nspec: {spec}")
    }

    #[test]
    fn every_version_is_read_alike() {
        for version in ["v1", "v1beta1", "v1alpha1"] {
            let yaml = bundle(version, "a.com:x:b", "{signerName: a.com/x, trustBundle: pem}");
            let (object, warnings) = outcome(&yaml).unwrap();
            assert_eq!((object.id().to_string().as_str(), warnings.len()), ("ClusterTrustBundle a.com:x:b", 0));
            let Object::ClusterTrustBundle(bundle) = object else { panic!("no bundle") };
            assert_eq!((bundle.spec.signer_name.as_str(), bundle.spec.trust_bundle.as_str()), ("a.com/x", "pem"));
        }
        assert!(matches!(object(&bundle("v1", "roots", "{trustBundle: pem}")), Object::ClusterTrustBundle(_)));
    }

    #[test]
    fn the_name_tells_the_signer() {
        for (name, spec, path) in [
            ("a.com:x:b", "{trustBundle: pem}", "metadata.name"),
            ("b", "{signerName: a.com/x, trustBundle: pem}", "metadata.name"),
            ("a.com:x:", "{signerName: a.com/x, trustBundle: pem}", "metadata.name"),
            ("a:b", "{signerName: a, trustBundle: pem}", "spec.signerName"),
            ("b", "{}", "spec.trustBundle"),
        ] {
            let invalid = outcome(&bundle("v1", name, spec)).unwrap_err();
            assert_eq!(invalid.len(), 1, "{invalid:?}");
            assert_eq!(invalid[0].path, path, "{}", invalid[0]);
        }
    }
}
