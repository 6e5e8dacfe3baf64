//! HTTPRoute: which requests, what is done to them, and where they go.
//!
//! Matches stand in `http_match`, filters in `http_filter`. A rule always has at least one match, and a match always has a path,
//! as the schema fills them in.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::place::Place;
use super::report::Report;
use super::{
    DefaultGateways, Duration, FilteredBackendRef, HttpFilter, HttpMatch, Meta, ParentRef, SessionPersistence, http_filter,
    number, reference, syntax,
};

/// An HTTPRoute as read.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpRoute {
    /// Who it is.
    pub meta: Meta,
    /// What is wanted.
    pub spec: HttpRouteSpec,
    /// The stored status, as it stands.
    pub status: Option<Value>,
}

/// The specification of an HTTPRoute.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteSpec {
    /// The parents it wants to attach to.
    #[serde(default)]
    pub parent_refs: Vec<ParentRef>,
    /// Whether Gateways that serve as default are wanted too.
    #[serde(default)]
    pub use_default_gateways: Option<DefaultGateways>,
    /// The host names, exact or with a leading `*.`; all of the listener when empty.
    #[serde(default)]
    pub hostnames: Vec<String>,
    /// The rules; one that matches everything unless stated.
    #[serde(default = "one_rule")]
    pub rules: Vec<HttpRule>,
}

impl HttpRouteSpec {
    pub(super) fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self { parent_refs, use_default_gateways: _, hostnames, rules } = self;
        reference::check_parents(parent_refs, at, report);
        check_hostnames(hostnames, &at.field("hostnames"), report);
        let at = at.field("rules");
        report.count(&at, rules.len(), 1, 16);
        check_rule_names(rules.iter().map(|rule| rule.name.as_deref()), &at, report);
        check_total(rules.iter().map(|rule| rule.matches.len()), &at, report);
        for (index, rule) in rules.iter().enumerate() {
            rule.check(&at.entry(index), report);
        }
    }
}

/// The host names of an HTTPRoute or GRPCRoute.
pub(super) fn check_hostnames(hostnames: &[String], at: &Place<'_>, report: &mut Report) {
    report.count(at, hostnames.len(), 0, 16);
    for (index, hostname) in hostnames.iter().enumerate() {
        report.text(&at.entry(index), hostname, syntax::HOSTNAME);
    }
}

/// The names of the rules of a route, where they have one.
pub(super) fn check_rule_names<'a>(names: impl Iterator<Item = Option<&'a str>>, at: &Place<'_>, report: &mut Report) {
    let names: Vec<_> = names.enumerate().filter_map(|(index, name)| name.map(|name| (index, name))).collect();
    for &(index, name) in &names {
        report.text(&at.entry(index).field("name"), name, syntax::SUBDOMAIN);
    }
    report.unique_among(at, names, "a name");
}

/// The matches of all rules of a route.
pub(super) fn check_total(matches: impl Iterator<Item = usize>, at: &Place<'_>, report: &mut Report) {
    let total: usize = matches.sum();
    if total > 128 {
        report.refuse(at, format!("expected at most 128 matches in all rules together, found {total}"));
    }
}

/// One rule of an HTTPRoute.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRule {
    /// A name for policies and logs.
    #[serde(default)]
    pub name: Option<String>,
    /// The requests it is for, any of these. Never empty: everything unless stated.
    #[serde(default = "everything", deserialize_with = "some_matches")]
    pub matches: Vec<HttpMatch>,
    /// What is done to them.
    #[serde(default)]
    pub filters: Vec<HttpFilter>,
    /// Where they go.
    #[serde(default)]
    pub backend_refs: Vec<FilteredBackendRef<HttpFilter>>,
    /// How long they may take.
    #[serde(default)]
    pub timeouts: Option<HttpTimeouts>,
    /// When they are tried again.
    #[serde(default)]
    pub retry: Option<HttpRetry>,
    /// How clients stay with an endpoint.
    #[serde(default)]
    pub session_persistence: Option<Box<SessionPersistence>>,
}

impl HttpRule {
    fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self { name: _, matches, filters, backend_refs, timeouts, retry, session_persistence } = self;
        report.count(&at.field("matches"), matches.len(), 0, 64);
        for (index, requested) in matches.iter().enumerate() {
            requested.check(&at.field("matches").entry(index), report);
        }
        http_filter::check_all(filters, &at.field("filters"), report);
        let place = at.field("backendRefs");
        report.count(&place, backend_refs.len(), 0, reference::MAX_BACKENDS);
        for (index, backend) in backend_refs.iter().enumerate() {
            backend.object.check(&place.entry(index), report);
            http_filter::check_all(&backend.filters, &place.entry(index).field("filters"), report);
        }
        if !backend_refs.is_empty() && filters.iter().any(|filter| filter.request_redirect.is_some()) {
            report.refuse(&place, "expected none, as the rule has a RequestRedirect, found some");
        }
        if let Some(HttpTimeouts { request: Some(request), backend_request: Some(attempt) }) = timeouts
            && !request.is_zero()
            && attempt > request
        {
            let expected = format!("expected at most the {request} of the whole request, found {attempt}");
            report.refuse(&at.field("timeouts").field("backendRequest"), expected);
        }
        if let Some(HttpRetry { codes, attempts: _, backoff: _ }) = retry {
            report.unique(&at.field("retry").field("codes"), codes, "a status");
        }
        if let Some(persistence) = session_persistence {
            persistence.check(&at.field("sessionPersistence"), report);
        }
    }
}

/// Time limits of a rule; `0s` switches one off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpTimeouts {
    /// For the whole request, retries included.
    #[serde(default)]
    pub request: Option<Duration>,
    /// For one attempt at one backend.
    #[serde(default)]
    pub backend_request: Option<Duration>,
}

/// When a request is tried again.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRetry {
    /// The statuses that call for it.
    #[serde(default, deserialize_with = "number::error_statuses")]
    pub codes: Vec<u16>,
    /// How often, beside the first time; once unless stated, never when 0.
    #[serde(default = "number::one", deserialize_with = "number::count")]
    pub attempts: u32,
    /// The base interval between attempts.
    #[serde(default)]
    pub backoff: Option<Duration>,
}

fn one_rule() -> Vec<HttpRule> {
    vec![HttpRule {
        name: None,
        matches: everything(),
        filters: Vec::new(),
        backend_refs: Vec::new(),
        timeouts: None,
        retry: None,
        session_persistence: None,
    }]
}

fn everything() -> Vec<HttpMatch> {
    vec![HttpMatch::default()]
}

/// A list written empty means what an absent one means.
fn some_matches<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<HttpMatch>, D::Error> {
    let stated = Vec::deserialize(deserializer)?;
    Ok(if stated.is_empty() { everything() } else { stated })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Object;
    use crate::resource::fixture::{assert_accepted, assert_refused, document, many, object};

    const V1: &str = "gateway.networking.k8s.io/v1";

    fn route(spec: &str) -> HttpRouteSpec {
        let Object::HttpRoute(route) = object(&document(V1, "HTTPRoute", &format!("spec: {spec}"))) else {
            panic!("no HTTPRoute")
        };
        route.spec.clone()
    }

    #[test]
    fn what_is_left_out_is_filled_in() {
        for spec in ["{}", "{rules: null}", "{rules: [{}]}", "{rules: [{matches: []}]}", "{rules: [{matches: [{path: null}]}]}"] {
            assert_eq!(route(spec).rules, one_rule(), "{spec}");
        }
        let spec = route("{parentRefs: [{name: g}], rules: [{retry: {}, backendRefs: [{name: b, port: 1}]}]}");
        assert!(spec.parent_refs[0].is_gateway());
        assert_eq!(spec.rules[0].retry, Some(HttpRetry { codes: Vec::new(), attempts: 1, backoff: None }));
        let backend = &spec.rules[0].backend_refs[0];
        assert!(backend.object.is_service());
        assert_eq!(backend.weight, 1);
        assert_eq!(route("{rules: [{retry: {attempts: 0}}]}").rules[0].retry.as_ref().map(|retry| retry.attempts), Some(0));
    }

    #[test]
    fn a_route_holds_so_much_and_no_more() {
        let rules = |rule: &str| format!("{{rules: [{rule}]}}");
        let eight_times = |count: usize| format!("{{rules: {}}}", many(8, &format!("{{matches: {}}}", many(count, "{}"))));
        assert_refused(
            V1,
            "HTTPRoute",
            &[
                (format!("{{hostnames: {}}}", many(17, "h#.com")), "spec.hostnames", "at most 16 entries, found 17"),
                ("{hostnames: ['*']}".to_owned(), "spec.hostnames[0]", "a lower-case host name"),
                ("{hostnames: [a.com, 'a.com:80']}".to_owned(), "spec.hostnames[1]", "found \"a.com:80\""),
                ("{hostnames: ['']}".to_owned(), "spec.hostnames[0]", "a lower-case host name"),
                (format!("{{hostnames: [{}.com]}}", "a".repeat(250)), "spec.hostnames[0]", "at most 253"),
                ("{rules: []}".to_owned(), "spec.rules", "1 to 16 entries, found 0"),
                (format!("{{rules: {}}}", many(17, "{}")), "spec.rules", "1 to 16 entries, found 17"),
                ("{rules: [{name: a}, {name: a}]}".to_owned(), "spec.rules[1]", "a name of its own"),
                ("{rules: [{name: A}]}".to_owned(), "spec.rules[0].name", "a DNS name"),
                (rules(&format!("{{matches: {}}}", many(65, "{}"))), "spec.rules[0].matches", "at most 64"),
                (eight_times(17), "spec.rules", "at most 128 matches in all rules together, found 136"),
                (
                    rules(&format!("{{backendRefs: {}}}", many(17, "{name: b#, port: 1}"))),
                    "spec.rules[0].backendRefs",
                    "at most 16",
                ),
            ],
        );
        assert_accepted(
            V1,
            "HTTPRoute",
            &[
                eight_times(16),
                "{rules: [{name: a}, {name: b}, {}, {}], hostnames: ['*.example.com', a-b.c1]}".to_owned(),
                "{useDefaultGateways: All}".to_owned(),
            ],
        );
    }

    #[test]
    fn a_redirecting_rule_has_no_backends() {
        let redirect = "filters: [{type: RequestRedirect, requestRedirect: {}}]";
        assert_refused(
            V1,
            "HTTPRoute",
            &[(
                format!("{{rules: [{{{redirect}, backendRefs: [{{name: b, port: 1}}]}}]}}"),
                "spec.rules[0].backendRefs",
                "RequestRedirect",
            )],
        );
        assert_accepted(V1, "HTTPRoute", &[format!("{{rules: [{{{redirect}, backendRefs: []}}]}}")]);
    }

    #[test]
    fn an_attempt_takes_no_longer_than_the_request() {
        let rule = |fields: &str| format!("{{rules: [{{{fields}}}]}}");
        assert_refused(
            V1,
            "HTTPRoute",
            &[
                (
                    rule("timeouts: {request: 1s, backendRequest: 1001ms}"),
                    "spec.rules[0].timeouts.backendRequest",
                    "at most the 1s of the whole request, found 1s1ms",
                ),
                (rule("timeouts: {request: 1.5s}"), "spec.rules[0].timeouts.request", "a duration such as"),
                (rule("timeouts: {request: 5}"), "spec.rules[0].timeouts.request", "found integer `5`"),
                (rule("retry: {codes: [399]}"), "spec.rules[0].retry.codes[0]", "from 400 to 599"),
                (rule("retry: {codes: [500, 600]}"), "spec.rules[0].retry.codes[1]", "from 400 to 599"),
                (rule("retry: {codes: [500, 500]}"), "spec.rules[0].retry.codes[1]", "a status of its own"),
                (rule("retry: {attempts: -1}"), "spec.rules[0].retry.attempts", "from 0"),
                (rule("retry: {backoff: soon}"), "spec.rules[0].retry.backoff", "a duration such as"),
            ],
        );
        assert_accepted(
            V1,
            "HTTPRoute",
            &[
                rule("timeouts: {request: 0s, backendRequest: 1h}"),
                rule("timeouts: {request: 1s, backendRequest: 1000ms}"),
                rule("timeouts: {backendRequest: 1h}"),
                rule("retry: {codes: [400, 599], attempts: 0, backoff: 100ms}"),
            ],
        );
    }
}
