//! External authorization at rules and backends: it fails closed, and says what goes along (`HTTPExternalAuthFilter`, GEP-1494).

use gateway_core::decide::Task;
use gateway_core::snapshot::Usage;
use gateway_core::snapshot::filters::{Auth, Body};
use gateway_core::support::{Capability, Support};
use http::{HeaderName, Method, StatusCode};

use super::filters::{AUTH, BACKEND, company, performing};

const REDIRECT: &str = "{type: RequestRedirect, requestRedirect: {}}";

/// §9 item 21, GEP-1494: "fail closed".
#[test]
fn an_extension_or_authorization_that_leads_nowhere_fails_its_requests_and_is_never_skipped() {
    let auth = |backend: &str| {
        format!("{{type: ExternalAuth, externalAuth: {{protocol: GRPC, grpc: {{}}, backendRef: {{{backend}}}}}}}")
    };
    let extension =
        |name: &str| format!("{{type: ExtensionRef, extensionRef: {{group: example.com, kind: Sign, name: {name}}}}}");
    for (filter, reason) in [
        (auth("name: missing, port: 80"), "!BackendNotFound"),
        (auth("name: guard, namespace: other, port: 80"), "!RefNotPermitted"),
        (auth("name: guard, kind: Odd"), "!InvalidKind"),
        (extension("missing"), "!BackendNotFound"),
    ] {
        let at_rule = company(&format!("{{filters: [{filter}], {BACKEND}}}"));
        assert_eq!(at_rule.condition("HTTPRoute infra/r", "ResolvedRefs"), reason, "{filter}");
        assert_eq!(at_rule.condition("HTTPRoute infra/r", "Accepted"), "Accepted", "{filter}");
        assert_eq!(at_rule.get("http://h/", &[]), "500", "{filter}");
        for filters in [format!("{filter}, {REDIRECT}"), format!("{REDIRECT}, {filter}")] {
            let beside_answer = company(&format!("{{filters: [{filters}]}}"));
            assert_eq!(beside_answer.condition("HTTPRoute infra/r", "ResolvedRefs"), reason, "{filters}");
            assert_eq!(beside_answer.condition("HTTPRoute infra/r", "Accepted"), "Accepted", "{filters}");
            assert_eq!(beside_answer.get("http://h/", &[]), "500", "{filters}");
        }
        let at_backend =
            company(&format!("{{backendRefs: [{{name: s, port: 80, filters: [{filter}]}}, {{name: copy, port: 80}}]}}"));
        let mut answers = [at_backend.get("http://h/", &[]), at_backend.get("http://h/", &[])];
        answers.sort_unstable();
        assert_eq!(answers, ["500", "infra/copy:80 /"], "{filter}");
    }
}

/// §4.6.5: "never bypass"; §4.6: "All combinations must work".
#[test]
fn an_authorization_is_asked_before_what_answers_wherever_it_stands() {
    for filters in [format!("{AUTH}, {REDIRECT}"), format!("{REDIRECT}, {AUTH}")] {
        for rule in [format!("filters: [{filters}]"), format!("backendRefs: [{{name: s, port: 80, filters: [{filters}]}}]")] {
            let answer = company(&format!("{{{rule}}}")).answered("GET", "http://h/", &[]);
            assert_eq!(answer.status, StatusCode::FOUND, "{rule}");
            assert!(answer.tasks().any(|task| matches!(task, Task::Auth(..))), "{rule}");
        }
    }
}

#[test]
fn an_authorization_whose_backend_has_no_endpoint_denies_with_503() {
    let mut world = company(&format!("{{filters: [{AUTH}], {BACKEND}}}"));
    assert_eq!(world.get("http://h/", &[]), "infra/s:80 / auth=infra/guard:80");
    world.remove("EndpointSlice infra/guard-1");
    assert_eq!(world.get("http://h/", &[]), "503");
    assert_eq!(world.condition("HTTPRoute infra/r", "ResolvedRefs"), "ResolvedRefs");
}

/// HTTPExternalAuthFilter: what is sent to whom, and what of the answer is kept; §10 row 6.
#[test]
fn external_auth_says_what_goes_along_and_refuses_a_body_over_max_size_with_413() {
    let asked = |fields: &str| {
        let filter = format!("{{type: ExternalAuth, externalAuth: {{backendRef: {{name: guard, port: 80}}, {fields}}}}}");
        let forward = company(&format!("{{filters: [{filter}], {BACKEND}}}")).forwarded("GET", "http://h/", &[]);
        let Some(Task::Auth(auth, backend)) = forward.tasks().next() else { panic!("somebody is asked") };
        (Auth::clone(auth), backend.name.usage)
    };
    let name = |name: &'static str| HeaderName::from_static(name);
    let (http, usage) =
        asked("protocol: HTTP, http: {path: /check/, allowedHeaders: [Cookie], allowedResponseHeaders: [X-User]}");
    assert_eq!(usage, Usage::Http);
    assert_eq!(http.target(&Method::POST, "/a?b"), Some((Method::POST, "/check/a?b".to_owned())));
    assert!(http.sends(&name("cookie")) && http.sends(&name("authorization")) && !http.sends(&name("accept")));
    assert!(http.takes(&name("x-user")) && !http.takes(&name("x-other")));
    assert_eq!(http.body(1), Body::Left, "no body goes along unless forwardBody says so");
    let (bare, _) = asked("protocol: HTTP, http: {}, forwardBody: {maxSize: 8}");
    assert!(!bare.sends(&name("cookie")) && bare.takes(&name("x-other")) && !bare.takes(&name("host")));
    assert_eq!(bare.target(&Method::GET, "/"), Some((Method::GET, "/".to_owned())));
    assert_eq!((bare.body(8), bare.body(9)), (Body::Sent, Body::Refused(StatusCode::PAYLOAD_TOO_LARGE)));
    let (grpc, usage) = asked("protocol: GRPC, grpc: {allowedHeaders: [X-Team]}, forwardBody: {maxSize: 0}");
    assert_eq!((usage, grpc.body(9)), (Usage::Grpc, Body::Left));
    assert!(grpc.sends(&name("x-team")) && !grpc.sends(&name("cookie")));
    assert!(asked("protocol: GRPC, grpc: {}").0.sends(&name("cookie")), "an empty list means all");
}

/// "Oversized body": one that the data plane cannot hold is not accepted as if it could.
#[test]
fn a_max_size_beyond_what_the_data_plane_forwards_is_refused() {
    let support = Support::ALL.forwarding(65_536);
    let world = |most: u32| {
        let filter = format!(
            "{{type: ExternalAuth, externalAuth: {{protocol: HTTP, http: {{}}, backendRef: {{name: guard, port: 80}}, forwardBody: {{maxSize: {most}}}}}}}"
        );
        performing(support, &format!("{{filters: [{filter}], {BACKEND}}}"))
    };
    assert_eq!(world(65_536).condition("HTTPRoute infra/r", "Accepted"), "Accepted");
    let beyond = world(65_537);
    assert_eq!(beyond.condition("HTTPRoute infra/r", "Accepted"), "!UnsupportedValue");
    let message = beyond.message("HTTPRoute infra/r", "Accepted");
    assert!(message.contains("maxSize 65537: this data plane forwards 65536 bytes at most"), "{message}");
    assert_eq!(support.and(Support::of(&[Capability::Infrastructure])).most_forwarded(), 65_536);
}

/// "Run a rule's auth … before rewriting/mirroring": it judges the request that the client sent.
#[test]
fn an_authorization_goes_before_the_rewrites_and_mirrors_of_its_list_and_after_those_of_the_rule() {
    let rewrite = "{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /new}}}";
    let mirror = "{type: RequestMirror, requestMirror: {backendRef: {name: copy, port: 80}}}";
    let edit = "{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X, value: why}]}}";
    let order = |rules: &str| {
        let forward = company(rules).forwarded("GET", "http://h/", &[]);
        let told = forward.tasks().map(|task| match task {
            Task::EditRequest(_) => "edit",
            Task::Rewrite(_) => "rewrite",
            Task::Mirror(..) => "mirror",
            Task::Auth(..) => "auth",
            Task::EditResponse(_) | Task::Cors(..) | Task::Extension(_) => "other",
        });
        told.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(order(&format!("{{filters: [{edit}, {mirror}, {rewrite}, {AUTH}], {BACKEND}}}")), "edit auth mirror rewrite");
    assert_eq!(order(&format!("{{filters: [{AUTH}, {edit}, {rewrite}], {BACKEND}}}")), "auth edit rewrite");
    let at_backend = format!("backendRefs: [{{name: s, port: 80, filters: [{rewrite}, {AUTH}]}}]");
    assert_eq!(order(&format!("{{filters: [{mirror}], {at_backend}}}")), "mirror auth rewrite");
}

#[test]
fn an_authorization_is_explained() {
    let steps = company(&format!("{{filters: [{AUTH}], {BACKEND}}}")).explained("GET", "http://h/", &[]).steps;
    assert_eq!(steps, ["infra/guard:80 is asked over HTTP whether the request may pass"]);
}
