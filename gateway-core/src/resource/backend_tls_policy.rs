//! BackendTLSPolicy: that a Service is spoken to over TLS, and how it proves who it is.
//!
//! In: a policy as written. Out: its targets and what a backend's certificate is checked against. Whether targets and trust
//! anchors exist, and which of several policies counts, is asked elsewhere.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::place::Place;
use super::reference::MAX_TARGETS;
use super::report::Report;
use super::{LocalObjectRef, Meta, open::open_enum, syntax};

/// A BackendTLSPolicy as read.
#[derive(Clone, Debug, PartialEq)]
pub struct BackendTlsPolicy {
    /// Who it is.
    pub meta: Meta,
    /// What is wanted.
    pub spec: BackendTlsPolicySpec,
    /// The stored status, as it stands.
    pub status: Option<Value>,
}

/// The specification of a BackendTLSPolicy.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendTlsPolicySpec {
    /// What it applies to.
    pub target_refs: Vec<PolicyTargetRef>,
    /// What a backend's certificate is checked against.
    pub validation: BackendTlsValidation,
    /// Options of the implementation.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
}

impl BackendTlsPolicySpec {
    pub(super) fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self { target_refs, validation, options } = self;
        check_targets(target_refs, &at.field("targetRefs"), report);
        validation.check(&at.field("validation"), report);
        report.annotations(&at.field("options"), options);
    }
}

/// What a policy applies to, in its own namespace: all of an object or a section of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyTargetRef {
    /// The group; empty for the core group.
    pub group: String,
    /// The kind.
    pub kind: String,
    /// The name.
    pub name: String,
    /// The name of a section, for a Service that of a port; all of the target when absent.
    #[serde(default)]
    pub section_name: Option<String>,
}

fn check_targets(targets: &[PolicyTargetRef], at: &Place<'_>, report: &mut Report) {
    report.count(at, targets.len(), 1, MAX_TARGETS);
    for (index, target) in targets.iter().enumerate() {
        let at = at.entry(index);
        let PolicyTargetRef { group, kind, name, section_name } = target;
        report.text(&at.field("group"), group, syntax::GROUP);
        report.text(&at.field("kind"), kind, syntax::KIND);
        report.text(&at.field("name"), name, syntax::NAME);
        report.optional_text(&at.field("sectionName"), section_name.as_deref(), syntax::SUBDOMAIN);
        let is_same = |other: &PolicyTargetRef| (group, kind, name) == (&other.group, &other.kind, &other.name);
        let earlier = targets.iter().take(index.min(MAX_TARGETS)).enumerate().filter(|(_, other)| is_same(other));
        for (earlier, other) in earlier {
            let expected = match (section_name, &other.section_name) {
                (Some(one), Some(other)) if one != other => continue,
                (Some(_), Some(_)) | (None, None) => "expected another sectionName for the same target, found that of entry",
                (Some(_), None) | (None, Some(_)) => "expected a sectionName in every reference to the same target, unlike entry",
            };
            report.refuse(&at, format!("{expected} {earlier}"));
            break;
        }
    }
}

/// What a backend's certificate is checked against.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendTlsValidation {
    /// Where the trust anchors are.
    #[serde(default)]
    pub ca_certificate_refs: Vec<LocalObjectRef>,
    /// Trust anchors by name, instead of references; none when left empty.
    #[serde(default, rename = "wellKnownCACertificates", deserialize_with = "unless_empty")]
    pub well_known_ca_certificates: Option<WellKnownCaCertificates>,
    /// The server name asked for, and the name to be proven unless `subject_alt_names` says otherwise.
    pub hostname: String,
    /// Names of which the certificate must hold one.
    #[serde(default)]
    pub subject_alt_names: Vec<SubjectAltName>,
}

impl BackendTlsValidation {
    pub(super) fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self { ca_certificate_refs, well_known_ca_certificates, hostname, subject_alt_names } = self;
        let refs = at.field("caCertificateRefs");
        match (ca_certificate_refs.is_empty(), well_known_ca_certificates) {
            (true, None) => report.refuse(&refs, "expected an entry, or wellKnownCACertificates, found neither"),
            (false, Some(_)) => {
                report.refuse(&at.field("wellKnownCACertificates"), "expected nothing beside caCertificateRefs, found a value");
            }
            (true, Some(_)) | (false, None) => {}
        }
        report.count(&refs, ca_certificate_refs.len(), 0, 8);
        for (index, anchor) in ca_certificate_refs.iter().enumerate() {
            anchor.check(&refs.entry(index), report);
        }
        report.text(&at.field("hostname"), hostname, syntax::PRECISE_SERVER_NAME);
        let at = at.field("subjectAltNames");
        report.count(&at, subject_alt_names.len(), 0, 5);
        for (index, name) in subject_alt_names.iter().enumerate() {
            name.check(&at.entry(index), report);
        }
    }
}

open_enum! {
    /// Trust anchors that need no reference.
    WellKnownCaCertificates {
        /// Those of the system.
        System = "System",
    }
}

/// A name a certificate may hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubjectAltName {
    /// What kind of name.
    #[serde(rename = "type")]
    pub name_type: SubjectAltNameType,
    /// The name of type `Hostname`, exact or with a leading `*.`.
    #[serde(default, deserialize_with = "text_unless_empty")]
    pub hostname: Option<String>,
    /// The name of type `URI`.
    #[serde(default, deserialize_with = "text_unless_empty")]
    pub uri: Option<String>,
}

impl SubjectAltName {
    fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self { name_type, hostname, uri } = self;
        let payloads = [("Hostname", "hostname", hostname.is_some()), ("URI", "uri", uri.is_some())];
        report.union_of_texts(at, name_type.as_str(), &payloads);
        report.optional_text(&at.field("hostname"), hostname.as_deref(), syntax::HOSTNAME);
        report.optional_text(&at.field("uri"), uri.as_deref(), syntax::ABSOLUTE_URI);
    }
}

open_enum! {
    /// What kind of name a certificate holds.
    SubjectAltNameType {
        /// A host name.
        Hostname = "Hostname",
        /// A URI, such as an identity of SPIFFE.
        Uri = "URI",
    }
}

/// An empty text counts as none.
fn text_unless_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Some(String::deserialize(deserializer)?).filter(|text| !text.is_empty()))
}

fn unless_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<WellKnownCaCertificates>, D::Error> {
    Ok(text_unless_empty(deserializer)?.map(WellKnownCaCertificates::from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Object;
    use crate::resource::fixture::{assert_accepted, assert_refused, document, many, object};

    const V1: &str = "gateway.networking.k8s.io/v1";
    const TARGET: &str = "targetRefs: [{group: '', kind: Service, name: s}]";

    fn validation(fields: &str) -> String {
        format!("{{{TARGET}, validation: {{hostname: a.com, {fields}}}}}")
    }

    fn targets(refs: &str) -> String {
        format!("{{targetRefs: {refs}, validation: {{hostname: a.com, wellKnownCACertificates: System}}}}")
    }

    #[test]
    fn empty_texts_count_as_none() {
        let spec = validation(
            "wellKnownCACertificates: '', caCertificateRefs: [{group: '', kind: ConfigMap, name: c}], subjectAltNames: [{type: URI, uri: 'spiffe://a/b', hostname: ''}]",
        );
        let Object::BackendTlsPolicy(policy) = object(&document(V1, "BackendTLSPolicy", &format!("spec: {spec}"))) else {
            panic!("no policy")
        };
        let validation = &policy.spec.validation;
        assert_eq!((validation.hostname.as_str(), &validation.well_known_ca_certificates), ("a.com", &None));
        let name = SubjectAltName { name_type: SubjectAltNameType::Uri, hostname: None, uri: Some("spiffe://a/b".to_owned()) };
        assert_eq!(validation.subject_alt_names, [name]);
    }

    #[test]
    fn trust_anchors_come_from_one_source() {
        let anchors = many(9, "{group: '', kind: ConfigMap, name: c#}");
        assert_refused(
            V1,
            "BackendTLSPolicy",
            &[
                (validation(""), "spec.validation.caCertificateRefs", "found neither"),
                (validation("caCertificateRefs: []"), "spec.validation.caCertificateRefs", "found neither"),
                (
                    validation("wellKnownCACertificates: System, caCertificateRefs: [{group: '', kind: ConfigMap, name: c}]"),
                    "spec.validation.wellKnownCACertificates",
                    "expected nothing beside caCertificateRefs",
                ),
                (validation(&format!("caCertificateRefs: {anchors}")), "spec.validation.caCertificateRefs", "at most 8"),
                (
                    validation("caCertificateRefs: [{kind: ConfigMap, name: c}]"),
                    "spec.validation.caCertificateRefs[0].group",
                    "expected a value, found none",
                ),
                (
                    format!("{{{TARGET}, validation: {{wellKnownCACertificates: System}}}}"),
                    "spec.validation.hostname",
                    "expected a value, found none",
                ),
            ],
        );
        assert_accepted(V1, "BackendTLSPolicy", &[validation("wellKnownCACertificates: Later")]);
    }

    #[test]
    fn targets_are_few_and_distinct() {
        let service = "group: '', kind: Service, name: s";
        assert_refused(
            V1,
            "BackendTLSPolicy",
            &[
                (targets("[]"), "spec.targetRefs", "1 to 16 entries, found 0"),
                (targets(&many(17, "{group: '', kind: Service, name: s#}")), "spec.targetRefs", "found 17"),
                (targets(&format!("[{{{service}}}, {{{service}}}]")), "spec.targetRefs[1]", "another sectionName"),
                (
                    targets(&format!("[{{{service}, sectionName: a}}, {{{service}}}]")),
                    "spec.targetRefs[1]",
                    "a sectionName in every reference to the same target",
                ),
                (
                    targets(&format!("[{{{service}, sectionName: a}}, {{{service}, sectionName: a}}]")),
                    "spec.targetRefs[1]",
                    "found that of entry 0",
                ),
                (targets("[{kind: Service, name: s}]"), "spec.targetRefs[0].group", "expected a value, found none"),
                (targets(&format!("[{{{service}, sectionName: ''}}]")), "spec.targetRefs[0].sectionName", "a DNS name"),
                (targets(&format!("[{{{service}, namespace: a}}]")), "spec.targetRefs[0].namespace", "a field of"),
            ],
        );
        assert_accepted(
            V1,
            "BackendTLSPolicy",
            &[targets(&format!("[{{{service}, sectionName: a}}, {{{service}, sectionName: b}}]"))],
        );
    }

    #[test]
    fn names_hold_what_their_type_means() {
        let names = |names: &str| validation(&format!("wellKnownCACertificates: System, subjectAltNames: {names}"));
        let place = "spec.validation.subjectAltNames[0]";
        assert_refused(
            V1,
            "BackendTLSPolicy",
            &[
                (names("[{type: Hostname}]"), &*format!("{place}.hostname"), "as the type is Hostname, found none"),
                (names("[{type: URI}]"), &format!("{place}.uri"), "as the type is URI, found none"),
                (names("[{type: URI, uri: 'a://b', hostname: a.b}]"), &format!("{place}.hostname"), "expected nothing"),
                (names("[{type: Hostname, uri: 'a://b', hostname: a.b}]"), &format!("{place}.uri"), "expected nothing"),
                (names("[{type: Hostname, hostname: A.b}]"), &format!("{place}.hostname"), "a lower-case host name"),
                (names("[{type: URI, uri: no-scheme}]"), &format!("{place}.uri"), "an absolute URI"),
                (names("[{hostname: a.b}]"), &format!("{place}.type"), "expected a value, found none"),
                (names(&many(6, "{type: Hostname, hostname: a#.b}")), "spec.validation.subjectAltNames", "at most 5"),
            ],
        );
        assert_accepted(V1, "BackendTLSPolicy", &[names("[{type: Hostname, hostname: '*.a.b'}]"), names("[{type: Later}]")]);
    }
}
