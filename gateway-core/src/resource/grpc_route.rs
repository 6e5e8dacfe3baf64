//! GRPCRoute: which calls, what is done to them, and where they go.
//!
//! Unlike an HTTPRoute it may be without rules, and a rule without matches: both mean every call.

use serde::Deserialize;
use serde_json::Value;

use super::place::Place;
use super::report::Report;
use super::{
    DefaultGateways, FilteredBackendRef, HeaderMatch, HeaderModifier, LocalObjectRef, MatchType, Meta, ParentRef, RequestMirror,
    SessionPersistence, http_match, http_route, open::open_enum, reference, syntax,
};

/// A GRPCRoute as read.
#[derive(Clone, Debug, PartialEq)]
pub struct GrpcRoute {
    /// Who it is.
    pub meta: Meta,
    /// What is wanted.
    pub spec: GrpcRouteSpec,
    /// The stored status, as it stands.
    pub status: Option<Value>,
}

/// The specification of a GRPCRoute.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrpcRouteSpec {
    /// The parents it wants to attach to.
    #[serde(default)]
    pub parent_refs: Vec<ParentRef>,
    /// Whether Gateways that serve as default are wanted too.
    #[serde(default)]
    pub use_default_gateways: Option<DefaultGateways>,
    /// The host names, exact or with a leading `*.`; all of the listener when empty.
    #[serde(default)]
    pub hostnames: Vec<String>,
    /// The rules; every call when empty.
    #[serde(default)]
    pub rules: Vec<GrpcRule>,
}

impl GrpcRouteSpec {
    pub(super) fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self { parent_refs, use_default_gateways: _, hostnames, rules } = self;
        reference::check_parents(parent_refs, at, report);
        http_route::check_hostnames(hostnames, &at.field("hostnames"), report);
        let at = at.field("rules");
        report.count(&at, rules.len(), 0, 16);
        http_route::check_rule_names(rules.iter().map(|rule| rule.name.as_deref()), &at, report);
        http_route::check_total(rules.iter().map(|rule| rule.matches.len()), &at, report);
        for (index, rule) in rules.iter().enumerate() {
            rule.check(&at.entry(index), report);
        }
    }
}

/// One rule of a GRPCRoute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrpcRule {
    /// A name for policies and logs.
    #[serde(default)]
    pub name: Option<String>,
    /// The calls it is for, any of these; every call when empty.
    #[serde(default)]
    pub matches: Vec<GrpcMatch>,
    /// What is done to them.
    #[serde(default)]
    pub filters: Vec<GrpcFilter>,
    /// Where they go.
    #[serde(default)]
    pub backend_refs: Vec<FilteredBackendRef<GrpcFilter>>,
    /// How clients stay with an endpoint.
    #[serde(default)]
    pub session_persistence: Option<SessionPersistence>,
}

impl GrpcRule {
    fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self { name: _, matches, filters, backend_refs, session_persistence } = self;
        report.count(&at.field("matches"), matches.len(), 0, 64);
        for (index, GrpcMatch { method, headers }) in matches.iter().enumerate() {
            let at = at.field("matches");
            let at = at.entry(index);
            http_match::check_headers(headers, None, &at.field("headers"), report);
            if let Some(method) = method {
                method.check(&at.field("method"), report);
            }
        }
        check_filters(filters, &at.field("filters"), report);
        let place = at.field("backendRefs");
        report.count(&place, backend_refs.len(), 0, reference::MAX_BACKENDS);
        for (index, backend) in backend_refs.iter().enumerate() {
            backend.object.check(&place.entry(index), report);
            check_filters(&backend.filters, &place.entry(index).field("filters"), report);
        }
        if let Some(persistence) = session_persistence {
            persistence.check(&at.field("sessionPersistence"), report);
        }
    }
}

/// One match of a GRPCRoute: all criteria must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrpcMatch {
    /// The service and method; any when absent.
    #[serde(default)]
    pub method: Option<GrpcMethodMatch>,
    /// The headers, all of them.
    #[serde(default)]
    pub headers: Vec<HeaderMatch>,
}

/// What is asked of service and method; one of them may be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrpcMethodMatch {
    /// How they are compared; `Exact` unless stated.
    #[serde(rename = "type", default)]
    pub match_type: MatchType,
    /// The service; any when absent.
    #[serde(default)]
    pub service: Option<String>,
    /// The method; any when absent.
    #[serde(default)]
    pub method: Option<String>,
}

impl GrpcMethodMatch {
    fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self { match_type, service, method } = self;
        if service.is_none() && method.is_none() {
            report.refuse(at, "expected a service, a method or both, found neither");
        }
        for (field, value, syntax) in [("service", service, syntax::GRPC_SERVICE), ("method", method, syntax::GRPC_METHOD)] {
            let Some(value) = value else { continue };
            match match_type {
                MatchType::Exact => report.text(&at.field(field), value, syntax),
                MatchType::RegularExpression | MatchType::Other(_) => report.short(&at.field(field), value, 1024),
            }
        }
    }
}

/// One filter of a GRPCRoute.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrpcFilter {
    /// Which of the payloads is meant.
    #[serde(rename = "type")]
    pub filter_type: GrpcFilterType,
    /// Change headers of the request.
    #[serde(default)]
    pub request_header_modifier: Option<HeaderModifier>,
    /// Change headers of the response.
    #[serde(default)]
    pub response_header_modifier: Option<HeaderModifier>,
    /// Send a copy elsewhere.
    #[serde(default)]
    pub request_mirror: Option<RequestMirror>,
    /// A filter of the implementation.
    #[serde(default)]
    pub extension_ref: Option<LocalObjectRef>,
}

impl GrpcFilter {
    /// What the filter does.
    pub fn payload(&self) -> GrpcFilterPayload<'_> {
        let payload = match &self.filter_type {
            GrpcFilterType::RequestHeaderModifier => {
                self.request_header_modifier.as_ref().map(GrpcFilterPayload::RequestHeaderModifier)
            }
            GrpcFilterType::ResponseHeaderModifier => {
                self.response_header_modifier.as_ref().map(GrpcFilterPayload::ResponseHeaderModifier)
            }
            GrpcFilterType::RequestMirror => self.request_mirror.as_ref().map(GrpcFilterPayload::RequestMirror),
            GrpcFilterType::ExtensionRef => self.extension_ref.as_ref().map(GrpcFilterPayload::ExtensionRef),
            GrpcFilterType::Other(_) => None,
        };
        payload.unwrap_or(GrpcFilterPayload::Unknown(self.filter_type.as_str()))
    }
}

/// What must hold of all filters of a list together, and of each.
fn check_filters(filters: &[GrpcFilter], at: &Place<'_>, report: &mut Report) {
    report.count(at, filters.len(), 0, 16);
    let is_once = |filter: &GrpcFilter| {
        matches!(filter.filter_type, GrpcFilterType::RequestHeaderModifier | GrpcFilterType::ResponseHeaderModifier)
    };
    let once = filters.iter().enumerate().filter(|(_, filter)| is_once(filter));
    report.unique_among(at, once.map(|(index, filter)| (index, &filter.filter_type)), "a type");
    for (index, filter) in filters.iter().enumerate() {
        filter.check(&at.entry(index), report);
    }
}

impl GrpcFilter {
    fn check(&self, at: &Place<'_>, report: &mut Report) {
        let Self { filter_type, request_header_modifier, response_header_modifier, request_mirror, extension_ref } = self;
        let payloads = [
            ("RequestHeaderModifier", "requestHeaderModifier", request_header_modifier.is_some()),
            ("ResponseHeaderModifier", "responseHeaderModifier", response_header_modifier.is_some()),
            ("RequestMirror", "requestMirror", request_mirror.is_some()),
            ("ExtensionRef", "extensionRef", extension_ref.is_some()),
        ];
        report.union(at, filter_type.as_str(), &payloads);
        let at = |field| at.field(field);
        request_header_modifier.iter().for_each(|payload| payload.check(&at("requestHeaderModifier"), report));
        response_header_modifier.iter().for_each(|payload| payload.check(&at("responseHeaderModifier"), report));
        request_mirror.iter().for_each(|payload| payload.check(&at("requestMirror"), report));
        extension_ref.iter().for_each(|payload| payload.check(&at("extensionRef"), report));
    }
}

/// What a filter of a GRPCRoute does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrpcFilterPayload<'a> {
    /// Change headers of the request.
    RequestHeaderModifier(&'a HeaderModifier),
    /// Change headers of the response.
    ResponseHeaderModifier(&'a HeaderModifier),
    /// Send a copy elsewhere.
    RequestMirror(&'a RequestMirror),
    /// A filter of the implementation.
    ExtensionRef(&'a LocalObjectRef),
    /// A type the API does not name; or one it names, without its payload, which `validate` refuses.
    Unknown(&'a str),
}

open_enum! {
    /// The type of a GRPCRoute's filter.
    GrpcFilterType {
        /// Change headers of the request.
        RequestHeaderModifier = "RequestHeaderModifier",
        /// Change headers of the response.
        ResponseHeaderModifier = "ResponseHeaderModifier",
        /// Send a copy elsewhere.
        RequestMirror = "RequestMirror",
        /// A filter of the implementation.
        ExtensionRef = "ExtensionRef",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Object;
    use crate::resource::fixture::{assert_accepted, assert_refused, document, many, object};

    const V1: &str = "gateway.networking.k8s.io/v1";

    fn matching(fields: &str) -> String {
        format!("{{rules: [{{matches: [{{{fields}}}]}}]}}")
    }

    #[test]
    fn what_is_left_out_is_filled_in() {
        let Object::GrpcRoute(route) = object(&document(V1, "GRPCRoute", "spec: {}")) else { panic!("no GRPCRoute") };
        assert!(route.spec.rules.is_empty(), "a route without rules stays without");
        let spec = "spec: {rules: [{}, {matches: [{method: {service: s}}], backendRefs: [{name: b, port: 1}]}]}";
        let Object::GrpcRoute(route) = object(&document(V1, "GRPCRoute", spec)) else { panic!("no GRPCRoute") };
        assert!(route.spec.rules[0].matches.is_empty());
        assert_eq!(route.spec.rules[1].matches[0].method.as_ref().map(|method| &method.match_type), Some(&MatchType::Exact));
        assert_eq!(route.spec.rules[1].backend_refs[0].weight, 1);
    }

    #[test]
    fn of_the_value_of_a_header_only_the_length_is_bounded() {
        assert_accepted(V1, "GRPCRoute", &[&matching("headers: [{name: a, value: 'two  blanks'}]")]);
        let long = matching(&format!("headers: [{{name: a, value: {}}}]", "a".repeat(4097)));
        assert_refused(V1, "GRPCRoute", &[(long, "spec.rules[0].matches[0].headers[0].value", "1 to 4096")]);
    }

    #[test]
    fn a_method_match_names_a_service_or_a_method() {
        let method = "spec.rules[0].matches[0].method";
        let long = "a".repeat(1025);
        assert_refused(
            V1,
            "GRPCRoute",
            &[
                (matching("method: {}"), method, "a service, a method or both"),
                (matching("method: {type: RegularExpression}"), method, "a service, a method or both"),
                (matching("method: {service: ''}"), &format!("{method}.service"), "a gRPC service"),
                (matching("method: {service: a/b}"), &format!("{method}.service"), "a gRPC service"),
                (matching("method: {service: a..b}"), &format!("{method}.service"), "a gRPC service"),
                (matching("method: {service: 1a}"), &format!("{method}.service"), "a gRPC service"),
                (matching("method: {method: ''}"), &format!("{method}.method"), "a gRPC method"),
                (matching("method: {method: a.b}"), &format!("{method}.method"), "a gRPC method"),
                (matching(&format!("method: {{service: {long}}}")), &format!("{method}.service"), "at most 1024"),
                (
                    matching(&format!("method: {{type: RegularExpression, method: {long}}}")),
                    &format!("{method}.method"),
                    "at most 1024",
                ),
            ],
        );
        assert_accepted(
            V1,
            "GRPCRoute",
            &[
                matching("method: {service: .com.Example_1.Users, method: GetUser}"),
                matching("method: {method: Get}"),
                matching("method: {type: RegularExpression, service: '[('}"),
                matching("method: {type: Later, service: a/b}"),
            ],
        );
    }

    #[test]
    fn a_route_holds_so_much_and_no_more() {
        let filters = |list: &str| format!("{{rules: [{{filters: {list}}}]}}");
        let mirror = "{type: RequestMirror, requestMirror: {backendRef: {name: b, port: 1}}}";
        let modifier = "{type: RequestHeaderModifier, requestHeaderModifier: {}}";
        assert_refused(
            V1,
            "GRPCRoute",
            &[
                (format!("{{hostnames: {}}}", many(17, "h#.com")), "spec.hostnames", "at most 16"),
                (format!("{{rules: {}}}", many(17, "{}")), "spec.rules", "at most 16"),
                ("{rules: [{name: a}, {name: a}]}".to_owned(), "spec.rules[1]", "a name of its own"),
                (format!("{{rules: [{{matches: {}}}]}}", many(65, "{}")), "spec.rules[0].matches", "at most 64"),
                (format!("{{rules: {}}}", many(8, &format!("{{matches: {}}}", many(17, "{}")))), "spec.rules", "found 136"),
                (
                    matching(&format!("headers: {}", many(17, "{name: h#, value: v}"))),
                    "spec.rules[0].matches[0].headers",
                    "at most 16",
                ),
                (
                    matching("headers: [{name: a, value: v}, {name: a, value: v}]"),
                    "spec.rules[0].matches[0].headers[1]",
                    "a name of its own",
                ),
                (filters(&many(17, mirror)), "spec.rules[0].filters", "at most 16"),
                (filters(&many(2, modifier)), "spec.rules[0].filters[1]", "a type of its own"),
                (filters("[{type: ResponseHeaderModifier}]"), "spec.rules[0].filters[0].responseHeaderModifier", "found none"),
                (
                    filters("[{type: RequestMirror, requestMirror: {backendRef: {name: b}}}]"),
                    "spec.rules[0].filters[0].requestMirror.backendRef.port",
                    "as the kind is Service",
                ),
                (filters("[{type: CORS, cors: {}}]"), "spec.rules[0].filters[0].cors", "found one it does not have"),
                (
                    format!("{{rules: [{{backendRefs: {}}}]}}", many(17, "{name: b#, port: 1}")),
                    "spec.rules[0].backendRefs",
                    "at most 16",
                ),
                (
                    format!("{{rules: [{{backendRefs: [{{name: b, port: 1, filters: {}}}]}}]}}", many(2, modifier)),
                    "spec.rules[0].backendRefs[0].filters[1]",
                    "a type of its own",
                ),
            ],
        );
        assert_accepted(V1, "GRPCRoute", &[filters(&many(2, mirror)), filters("[{type: Later}]")]);
    }

    #[test]
    fn the_payload_is_that_of_the_type() {
        let spec =
            "spec: {rules: [{filters: [{type: ExtensionRef, extensionRef: {group: a, kind: K, name: nm}}, {type: Later}]}]}";
        let Object::GrpcRoute(route) = object(&document(V1, "GRPCRoute", spec)) else { panic!("no GRPCRoute") };
        let [extension, later] = &*route.spec.rules[0].filters else { panic!("two filters") };
        assert!(matches!(extension.payload(), GrpcFilterPayload::ExtensionRef(target) if target.name == "nm"));
        assert_eq!(later.payload(), GrpcFilterPayload::Unknown("Later"));
    }
}
