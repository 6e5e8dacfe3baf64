//! Rows of the five kinds of routes, without their filters.

use super::{Row, many, row};

/// An HTTPRoute with one rule.
fn http(rule: &str) -> String {
    format!("{{rules: [{{{rule}}}]}}")
}

/// An HTTPRoute with one match.
fn matching(fields: &str) -> String {
    http(&format!("matches: [{{{fields}}}]"))
}

/// An HTTPRoute with one path.
fn path(value: &str) -> String {
    matching(&format!("path: {{value: '{value}'}}"))
}

/// A route of any kind with parents and a rule.
fn parents(refs: &str) -> String {
    format!("{{parentRefs: {refs}, rules: [{{backendRefs: [{{name: b, port: 1}}]}}]}}")
}

/// A TLSRoute with these names.
fn names(hostnames: &str) -> String {
    format!("{{hostnames: {hostnames}, rules: [{{backendRefs: [{{name: b, port: 1}}]}}]}}")
}

const PATH: &str = "spec.rules[0].matches[0].path.value";

pub(super) fn rows() -> Vec<Row> {
    [of_parents(), sizes(), paths(), criteria(), times(), sessions(), grpc(), streams()].into_iter().flatten().collect()
}

fn of_parents() -> Vec<Row> {
    let kind = "HTTPRoute";
    vec![
        row(
            "a route has at most 32 parents",
            kind,
            parents(&many(33, "{name: g#}")),
            "spec.parentRefs",
            "at most 32 entries, found 33",
        ),
        row(
            "two references to one parent are told apart",
            kind,
            parents("[{name: g}, {name: g}]"),
            "spec.parentRefs[1]",
            "another sectionName or port",
        ),
        row(
            "two references to one parent both have a sectionName",
            kind,
            parents("[{name: g, sectionName: a}, {name: g}]"),
            "spec.parentRefs[1]",
            "the same of both",
        ),
        row(
            "two references to one parent both have a port",
            kind,
            parents("[{name: g, port: 80}, {name: g, sectionName: a}]"),
            "spec.parentRefs[1]",
            "the same of both",
        ),
        row(
            "sectionName and port of one parent are distinct",
            kind,
            parents("[{name: g, sectionName: a, port: 80}, {name: g, sectionName: a, port: 80}]"),
            "spec.parentRefs[1]",
            "found those of entry 0 again",
        ),
        row("a parent has a name", kind, parents("[{}]"), "spec.parentRefs[0].name", "expected a value, found none"),
        row("the group of a parent is one", kind, parents("[{name: g, group: A}]"), "spec.parentRefs[0].group", "an API group"),
        row("the kind of a parent is one", kind, parents("[{name: g, kind: '1'}]"), "spec.parentRefs[0].kind", "a kind"),
        row(
            "the port of a parent is one",
            kind,
            parents("[{name: g, port: 65536}]"),
            "spec.parentRefs[0].port",
            "from 1 to 65535",
        ),
    ]
}

fn sizes() -> Vec<Row> {
    let kind = "HTTPRoute";
    vec![
        row(
            "a route has at most 16 hostnames",
            kind,
            format!("{{hostnames: {}}}", many(17, "h#.a")),
            "spec.hostnames",
            "found 17",
        ),
        row("a hostname is lower-case", kind, "{hostnames: [A.b]}", "spec.hostnames[0]", "a lower-case host name"),
        row("a hostname has no port", kind, "{hostnames: ['a.b:80']}", "spec.hostnames[0]", "a lower-case host name"),
        row("a wildcard stands for whole labels", kind, "{hostnames: ['a*.b']}", "spec.hostnames[0]", "a lower-case host name"),
        row(
            "a hostname has at most 253 characters",
            kind,
            format!("{{hostnames: [{}a]}}", "abcdef.".repeat(36) + "a"),
            "spec.hostnames[0]",
            "at most 253",
        ),
        row("a route has a rule", kind, "{rules: []}", "spec.rules", "1 to 16 entries, found 0"),
        row("a route has at most 16 rules", kind, format!("{{rules: {}}}", many(17, "{}")), "spec.rules", "found 17"),
        row("names of rules are distinct", kind, "{rules: [{name: a}, {name: a}]}", "spec.rules[1]", "a name of its own"),
        row("the name of a rule is one", kind, "{rules: [{name: a_b}]}", "spec.rules[0].name", "a DNS name"),
        row(
            "a rule has at most 64 matches",
            kind,
            http(&format!("matches: {}", many(65, "{}"))),
            "spec.rules[0].matches",
            "at most 64 entries, found 65",
        ),
        row(
            "a route has at most 128 matches",
            kind,
            format!("{{rules: {}}}", many(3, &format!("{{matches: {}}}", many(43, "{}")))),
            "spec.rules",
            "at most 128 matches in all rules together, found 129",
        ),
        row(
            "a rule has at most 16 backends",
            kind,
            http(&format!("backendRefs: {}", many(17, "{name: b#, port: 1}"))),
            "spec.rules[0].backendRefs",
            "at most 16 entries, found 17",
        ),
        row(
            "a Service has a port",
            kind,
            http("backendRefs: [{name: b}]"),
            "spec.rules[0].backendRefs[0].port",
            "as the kind is Service",
        ),
        row(
            "an XBackend has its own port",
            kind,
            http("backendRefs: [{group: gateway.networking.x-k8s.io, kind: XBackend, name: b, port: 1}]"),
            "spec.rules[0].backendRefs[0].port",
            "that of the XBackend",
        ),
        row(
            "a weight is at most a million",
            kind,
            http("backendRefs: [{name: b, port: 1, weight: 1000001}]"),
            "spec.rules[0].backendRefs[0].weight",
            "from 0 to 1000000",
        ),
        row(
            "a weight is not negative",
            kind,
            http("backendRefs: [{name: b, port: 1, weight: -1}]"),
            "spec.rules[0].backendRefs[0].weight",
            "from 0 to 1000000",
        ),
        row("a field of a rule is one", kind, http("backendRef: {}"), "spec.rules[0].backendRef", "a field of HTTPRoute"),
    ]
}

fn paths() -> Vec<Row> {
    let kind = "HTTPRoute";
    vec![
        row("a path begins with a slash", kind, path("a"), PATH, "an absolute path"),
        row("a path is not empty", kind, path(""), PATH, "an absolute path"),
        row("a path has no //", kind, path("/a//b"), PATH, "without '//'"),
        row("a path has no /./", kind, path("/a/./b"), PATH, "without '//'"),
        row("a path has no /../", kind, path("/a/../b"), PATH, "without '//'"),
        row("a path has no %2f", kind, path("/a%2fb"), PATH, "without '//'"),
        row("a path has no %2F", kind, path("/a%2Fb"), PATH, "without '//'"),
        row("a path has no #", kind, path("/a#b"), PATH, "without '//'"),
        row("a path does not end in /.", kind, path("/a/."), PATH, "not ending in '/.'"),
        row("a path does not end in /..", kind, path("/a/.."), PATH, "not ending in '/.'"),
        row("a path has characters of paths", kind, path("/a b"), PATH, "RFC 3986"),
        row("a path has no query", kind, path("/a?b"), PATH, "RFC 3986"),
        row("a percent sign begins a triplet", kind, path("/a%2"), PATH, "RFC 3986"),
        row("a triplet is hexadecimal", kind, path("/a%zz"), PATH, "RFC 3986"),
        row("a path has at most 1024 characters", kind, path(&format!("/{}", "a".repeat(1024))), PATH, "at most 1024"),
        row("an exact path begins with a slash", kind, matching("path: {type: Exact, value: a}"), PATH, "an absolute path"),
        row(
            "an expression has at most 1024 characters",
            kind,
            matching(&format!("path: {{type: RegularExpression, value: {}}}", "a".repeat(1025))),
            PATH,
            "at most 1024 characters, found 1025",
        ),
    ]
}

fn criteria() -> Vec<Row> {
    let kind = "HTTPRoute";
    vec![
        row(
            "a match has at most 16 headers",
            kind,
            matching(&format!("headers: {}", many(17, "{name: h#, value: v}"))),
            "spec.rules[0].matches[0].headers",
            "at most 16 entries, found 17",
        ),
        row(
            "headers of a match are distinct, case and all",
            kind,
            matching("headers: [{name: a, value: b}, {name: a, value: c}]"),
            "spec.rules[0].matches[0].headers[1]",
            "a name of its own",
        ),
        row(
            "the name of a header is a token",
            kind,
            matching("headers: [{name: 'a:', value: b}]"),
            "spec.rules[0].matches[0].headers[0].name",
            "token characters",
        ),
        row(
            "the name of a header is not empty",
            kind,
            matching("headers: [{name: '', value: b}]"),
            "spec.rules[0].matches[0].headers[0].name",
            "1 to 256 token characters",
        ),
        row(
            "the name of a header has at most 256 characters",
            kind,
            matching(&format!("headers: [{{name: {}, value: b}}]", "a".repeat(257))),
            "spec.rules[0].matches[0].headers[0].name",
            "1 to 256 token characters",
        ),
        row(
            "the value of a header is not empty",
            kind,
            matching("headers: [{name: a, value: ''}]"),
            "spec.rules[0].matches[0].headers[0].value",
            "1 to 4096",
        ),
        row(
            "the value of a header is printable",
            kind,
            matching("headers: [{name: a, value: \"b\\nc\"}]"),
            "spec.rules[0].matches[0].headers[0].value",
            "printable",
        ),
        row(
            "the value of a header has at most 4096 characters",
            kind,
            matching(&format!("headers: [{{name: a, value: {}}}]", "b".repeat(4097))),
            "spec.rules[0].matches[0].headers[0].value",
            "1 to 4096",
        ),
        row(
            "a match has at most 16 query parameters",
            kind,
            matching(&format!("queryParams: {}", many(17, "{name: q#, value: v}"))),
            "spec.rules[0].matches[0].queryParams",
            "at most 16 entries, found 17",
        ),
        row(
            "query parameters of a match are distinct",
            kind,
            matching("queryParams: [{name: a, value: b}, {name: a, value: c}]"),
            "spec.rules[0].matches[0].queryParams[1]",
            "a name of its own",
        ),
        row(
            "the value of a query parameter has at most 1024 characters",
            kind,
            matching(&format!("queryParams: [{{name: a, value: {}}}]", "b".repeat(1025))),
            "spec.rules[0].matches[0].queryParams[0].value",
            "1 to 1024",
        ),
        row("a method is a text", kind, matching("method: [GET]"), "spec.rules[0].matches[0].method", "expected a string"),
    ]
}

fn times() -> Vec<Row> {
    let kind = "HTTPRoute";
    let request = |value: &str| http(&format!("timeouts: {{request: '{value}'}}"));
    let field = "spec.rules[0].timeouts.request";
    vec![
        row(
            "an attempt takes no longer than the request",
            kind,
            http("timeouts: {request: 1s, backendRequest: 2s}"),
            "spec.rules[0].timeouts.backendRequest",
            "at most the 1s of the whole request, found 2s",
        ),
        row("a duration has a unit", kind, request("1"), field, "a duration such as"),
        row("a duration has no sign", kind, request("-1s"), field, "a duration such as"),
        row("a duration has no decimals", kind, request("1.5s"), field, "a duration such as"),
        row("a duration has units h, m, s and ms", kind, request("1us"), field, "a duration such as"),
        row("a duration has at most four groups", kind, request("1h1m1s1ms1ms"), field, "a duration such as"),
        row("a group of a duration has at most five digits", kind, request("100000s"), field, "a duration such as"),
        row(
            "a status to retry is an error",
            kind,
            http("retry: {codes: [399]}"),
            "spec.rules[0].retry.codes[0]",
            "from 400 to 599",
        ),
        row(
            "a status to retry is one of HTTP",
            kind,
            http("retry: {codes: [600]}"),
            "spec.rules[0].retry.codes[0]",
            "from 400 to 599",
        ),
        row(
            "statuses to retry are distinct",
            kind,
            http("retry: {codes: [500, 500]}"),
            "spec.rules[0].retry.codes[1]",
            "a status of its own",
        ),
        row("attempts are not negative", kind, http("retry: {attempts: -1}"), "spec.rules[0].retry.attempts", "from 0"),
        row("a backoff is a duration", kind, http("retry: {backoff: soon}"), "spec.rules[0].retry.backoff", "a duration such as"),
    ]
}

fn sessions() -> Vec<Row> {
    let kind = "HTTPRoute";
    let session = |fields: &str| http(&format!("sessionPersistence: {{{fields}}}"));
    vec![
        row(
            "a session by cookie has a cookie",
            kind,
            session(""),
            "spec.rules[0].sessionPersistence.cookie",
            "as the type is Cookie",
        ),
        row(
            "a session by cookie has no header",
            kind,
            session("cookie: {}, header: {name: h}"),
            "spec.rules[0].sessionPersistence.header",
            "expected nothing",
        ),
        row(
            "a session by header has a header",
            kind,
            session("type: Header"),
            "spec.rules[0].sessionPersistence.header",
            "as the type is Header",
        ),
        row(
            "a session by header has no cookie",
            kind,
            session("type: Header, header: {name: h}, cookie: {}"),
            "spec.rules[0].sessionPersistence.cookie",
            "expected nothing",
        ),
        row(
            "the header of a session has a name",
            kind,
            session("type: Header, header: {}"),
            "spec.rules[0].sessionPersistence.header.name",
            "expected a value, found none",
        ),
        row(
            "a permanent cookie has an end",
            kind,
            session("cookie: {lifetimeType: Permanent}"),
            "spec.rules[0].sessionPersistence.absoluteTimeout",
            "Permanent",
        ),
        row(
            "the name of a cookie is a token",
            kind,
            session("cookie: {name: 'a=b'}"),
            "spec.rules[0].sessionPersistence.cookie.name",
            "a cookie name",
        ),
        row(
            "the name of a cookie has at most 256 characters",
            kind,
            session(&format!("cookie: {{name: {}}}", "a".repeat(257))),
            "spec.rules[0].sessionPersistence.cookie.name",
            "1 to 256",
        ),
        row(
            "the path of a cookie has at most 1024 characters",
            kind,
            session(&format!("cookie: {{path: /{}}}", "a".repeat(1024))),
            "spec.rules[0].sessionPersistence.cookie.path",
            "at most 1024",
        ),
    ]
}

fn grpc() -> Vec<Row> {
    let kind = "GRPCRoute";
    let method = |fields: &str| http(&format!("matches: [{{method: {{{fields}}}}}]"));
    vec![
        row(
            "a method has a service or a method",
            kind,
            method(""),
            "spec.rules[0].matches[0].method",
            "a service, a method or both",
        ),
        row("a service has no slash", kind, method("service: a/b"), "spec.rules[0].matches[0].method.service", "a gRPC service"),
        row("a method is one word", kind, method("method: a.b"), "spec.rules[0].matches[0].method.method", "a gRPC method"),
        row(
            "a service has at most 1024 characters",
            kind,
            method(&format!("service: {}", "a".repeat(1025))),
            "spec.rules[0].matches[0].method.service",
            "at most 1024",
        ),
        row("a route has at most 16 rules", kind, format!("{{rules: {}}}", many(17, "{}")), "spec.rules", "found 17"),
        row("names of rules are distinct", kind, "{rules: [{name: a}, {name: a}]}", "spec.rules[1]", "a name of its own"),
        row(
            "a route has at most 16 hostnames",
            kind,
            format!("{{hostnames: {}}}", many(17, "h#.a")),
            "spec.hostnames",
            "found 17",
        ),
        row(
            "a rule has at most 64 matches",
            kind,
            http(&format!("matches: {}", many(65, "{}"))),
            "spec.rules[0].matches",
            "found 65",
        ),
        row(
            "a route has at most 128 matches",
            kind,
            format!("{{rules: {}}}", many(3, &format!("{{matches: {}}}", many(43, "{}")))),
            "spec.rules",
            "found 129",
        ),
        row(
            "headers of a match are distinct",
            kind,
            http("matches: [{headers: [{name: a, value: b}, {name: a, value: b}]}]"),
            "spec.rules[0].matches[0].headers[1]",
            "a name of its own",
        ),
        row(
            "a Service has a port",
            kind,
            http("backendRefs: [{name: b}]"),
            "spec.rules[0].backendRefs[0].port",
            "as the kind is Service",
        ),
        row(
            "a match has at most 16 headers",
            kind,
            http(&format!("matches: [{{headers: {}}}]", many(17, "{name: h#, value: v}"))),
            "spec.rules[0].matches[0].headers",
            "at most 16 entries, found 17",
        ),
        row(
            "a rule has at most 16 filters",
            kind,
            http(&format!("filters: {}", many(17, "{type: ExtensionRef, extensionRef: {group: a, kind: K, name: e#}}"))),
            "spec.rules[0].filters",
            "at most 16 entries, found 17",
        ),
        row(
            "a rule has at most 16 backends",
            kind,
            http(&format!("backendRefs: {}", many(17, "{name: b#, port: 1}"))),
            "spec.rules[0].backendRefs",
            "found 17",
        ),
        row("a rule has no timeouts", kind, http("timeouts: {}"), "spec.rules[0].timeouts", "a field of GRPCRoute"),
        row(
            "a session by cookie has a cookie",
            kind,
            http("sessionPersistence: {}"),
            "spec.rules[0].sessionPersistence.cookie",
            "as the type is Cookie",
        ),
    ]
}

fn streams() -> Vec<Row> {
    let backend = "{backendRefs: [{name: b, port: 1}]}";
    let mut rows = vec![
        row(
            "a route has a hostname",
            "TLSRoute",
            format!("{{rules: [{backend}]}}"),
            "spec.hostnames",
            "1 to 1024 entries, found 0",
        ),
        row("a route has at most 1024 hostnames", "TLSRoute", names(&many(1025, "h#.a")), "spec.hostnames", "found 1025"),
        row("a hostname is no IPv4 address", "TLSRoute", names("[10.0.0.1]"), "spec.hostnames[0]", "no address"),
        row("a hostname is no IPv6 address", "TLSRoute", names("['::1']"), "spec.hostnames[0]", "no address"),
        row("a wildcard is the first label", "TLSRoute", names("['a.*.b']"), "spec.hostnames[0]", "*.example.com"),
    ];
    for kind in ["TLSRoute", "TCPRoute", "UDPRoute"] {
        let with = |fields: &str| match kind {
            "TLSRoute" => format!("{{hostnames: [a.b], {fields}}}"),
            _ => format!("{{{fields}}}"),
        };
        rows.extend([
            row("a route has rules", kind, with(""), "spec.rules", "expected a value, found none"),
            row("a route has one rule", kind, with("rules: []"), "spec.rules", "exactly 1 entry, found 0"),
            row(
                "a route has no second rule",
                kind,
                with(&format!("rules: [{backend}, {backend}]")),
                "spec.rules",
                "exactly 1 entry, found 2",
            ),
            row(
                "a rule has a backend",
                kind,
                with("rules: [{backendRefs: []}]"),
                "spec.rules[0].backendRefs",
                "1 to 16 entries, found 0",
            ),
            row(
                "a rule has at most 16 backends",
                kind,
                with(&format!("rules: [{{backendRefs: {}}}]", many(17, "{name: b#, port: 1}"))),
                "spec.rules[0].backendRefs",
                "found 17",
            ),
            row(
                "a Service has a port",
                kind,
                with("rules: [{backendRefs: [{name: b}]}]"),
                "spec.rules[0].backendRefs[0].port",
                "as the kind is Service",
            ),
            row(
                "a route has at most 32 parents",
                kind,
                with(&format!("parentRefs: {}, rules: [{backend}]", many(33, "{name: g#}"))),
                "spec.parentRefs",
                "found 33",
            ),
            row(
                "a rule has no filters",
                kind,
                with("rules: [{backendRefs: [{name: b, port: 1}], filters: []}]"),
                "spec.rules[0].filters",
                "a field of",
            ),
        ]);
    }
    rows
}
